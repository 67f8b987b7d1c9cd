/* Bytes by kind, and the shape of the graph. */
#include "vectord/figures.h"

#include "vectord/fields.h"

static uint64_t table_bytes(const struct lh_id_table *table)
{
    return table->entries == NULL ? 0 : ((uint64_t)table->mask + 1) * sizeof(*table->entries);
}

/* The bytes of all slots' texts: where the last one ends. */
static uint64_t text_bytes(const struct lh_rows *ends, uint32_t count)
{
    const uint64_t *end = (const uint64_t *)(const void *)ends->base;
    return count * sizeof(*end) + (count == 0 ? 0 : end[count - 1]);
}

lh_code lh_collection_figures(struct lh_collection *collection,
                              struct lh_index_figures *ret_figures, struct lh_error *err)
{
    LH_TRY(lh_collection_begin_reading(collection, err));
    struct lh_vindex *index = collection->index;
    const struct lh_hnsw *graph = &index->graph;
    uint64_t count = graph->count;
    uint64_t m = graph->options.m;
    struct lh_index_figures figures = {
        .vector_bytes = count * graph->row_floats * sizeof(float),
        .link_bytes = (count * 2 * m + graph->block_count * m) * sizeof(int32_t),
        .id_bytes = text_bytes(&index->id_ends, graph->count) + table_bytes(&index->table),
        .metadata_bytes = text_bytes(&index->metadata_ends, graph->count),
        .field_bytes = lh_fields_bytes(index),
        .level_count = graph->entry < 0 ? 0 : graph->entry_level + 1,
        .has_codes = graph->codes != NULL,
    };
    if (figures.has_codes) {
        figures.code_bytes = count * graph->codes->row_bytes;
        figures.scale = graph->codes->scale;
    }
    lh_collection_end_reading(collection);
    *ret_figures = figures;
    return LH_OK;
}
