/* One vector index in memory: ids and metadata around the graph. */
#include "vectord/index_private.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- memory ---- */

lh_code lh_budget_take(struct lh_budget *budget, uint64_t bytes, struct lh_error *err)
{
    if (budget == NULL)
        return LH_OK;
    uint64_t used = atomic_fetch_add(&budget->used_bytes, bytes);
    if (bytes <= budget->bytes_max && used <= budget->bytes_max - bytes)
        return LH_OK;
    atomic_fetch_sub(&budget->used_bytes, bytes);
    LH_IGNORE(lh_fail(err, LH_INDEX_MEMORY,
                      "%llu more bytes are needed, and %llu of %llu are in use by all indexes",
                      (unsigned long long)bytes, (unsigned long long)used,
                      (unsigned long long)budget->bytes_max),
              "the hint returns the code");
    return lh_hint(err, "raise vectord.memory_limit, or delete what is not needed");
}

void lh_budget_give(struct lh_budget *budget, uint64_t bytes)
{
    if (budget != NULL)
        atomic_fetch_sub(&budget->used_bytes, bytes);
}

static uint64_t slot_bytes(const struct lh_vindex *index)
{
    uint64_t codes = index->config.quantization != LH_QUANTIZATION_NONE
                         ? lh_row_code_bytes(index->config.dimension)
                         : 0;
    return lh_hnsw_slot_bytes(&index->graph.options) + codes + 2 * sizeof(uint64_t);
}

static uint64_t table_bytes(const struct lh_id_table *table)
{
    return table->entries == NULL ? 0 : ((uint64_t)table->mask + 1) * sizeof(*table->entries);
}

uint64_t lh_vindex_bytes(const struct lh_vindex *index)
{
    uint32_t count = index->graph.count;
    return count * slot_bytes(index) + lh_index_end(&index->id_ends, count) +
           lh_index_end(&index->metadata_ends, count) + table_bytes(&index->table) +
           table_bytes(&index->next_table);
}

/* ---- life ---- */

lh_code lh_vindex_new(const struct lh_vindex_config *config, struct lh_budget *budget,
                      uint64_t reserve_bytes, struct lh_vindex **ret_index, struct lh_error *err)
{
    struct lh_vindex *index = lh_calloc(1, sizeof(*index));
    index->magic = LH_INDEX_MAGIC;
    atomic_init(&index->references, 1);
    index->config = *config;
    index->budget = budget;
    index->calibrate_at = LH_INDEX_CALIBRATE_MIN;
    struct lh_hnsw_options options = {
        .dim_count = config->dimension,
        .metric = config->metric,
        .m = config->m,
        .ef_construction = config->ef_construction,
        .seed = config->seed,
    };
    uint64_t slots = reserve_bytes / (lh_hnsw_slot_bytes(&options) + 2 * sizeof(uint64_t)) + 1;
    options.slots_max = slots < INT32_MAX ? (uint32_t)slots : INT32_MAX;
    slots = options.slots_max;
    lh_code code = lh_hnsw_init(&index->graph, &options, err);
    if (code == LH_OK)
        code = lh_rows_init(&index->id_ends, slots * sizeof(uint64_t), err);
    if (code == LH_OK)
        code = lh_rows_init(&index->ids, slots * LH_ITEM_ID_MAX, err);
    if (code == LH_OK)
        code = lh_rows_init(&index->metadata_ends, slots * sizeof(uint64_t), err);
    if (code == LH_OK)
        code = lh_rows_init(&index->metadata, reserve_bytes, err);
    if (code != LH_OK) {
        lh_vindex_unref(index);
        return code;
    }
    *ret_index = index;
    return LH_OK;
}

struct lh_vindex *lh_vindex_ref(struct lh_vindex *index)
{
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    atomic_fetch_add(&index->references, 1);
    return index;
}

void lh_vindex_unref(struct lh_vindex *index)
{
    if (index == NULL)
        return;
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    if (atomic_fetch_sub(&index->references, 1) > 1)
        return;
    index->magic = 0;
    void *attachment = atomic_load(&index->attachment);
    if (attachment != NULL)
        atomic_load (&index->attachment_free)(attachment);
    lh_budget_give(index->budget, index->taken_bytes);
    lh_hnsw_deinit(&index->graph);
    lh_rows_deinit(&index->id_ends);
    lh_rows_deinit(&index->ids);
    lh_rows_deinit(&index->metadata_ends);
    lh_rows_deinit(&index->metadata);
    free(index->table.entries);
    free(index->next_table.entries);
    free(index->last_table.entries);
    free(index);
}

/* ---- writing ---- */

lh_code lh_vindex_reserve(struct lh_vindex *index, const struct lh_vindex_need *need,
                          struct lh_error *err)
{
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    uint64_t slots = (uint64_t)index->graph.count + need->items;
    uint64_t id_end = lh_index_end(&index->id_ends, index->graph.count) + need->id_bytes;
    uint64_t metadata_end =
        lh_index_end(&index->metadata_ends, index->graph.count) + need->metadata_bytes;
    if (slots > index->graph.options.slots_max)
        return lh_fail(err, LH_INDEX_MEMORY, "an index may hold at most %u slots here",
                       index->graph.options.slots_max);
    LH_TRY(lh_id_tables_grow(index, need->items, err));
    uint64_t bytes = slots * slot_bytes(index) + id_end + metadata_end +
                     table_bytes(&index->table) + table_bytes(&index->next_table);
    if (bytes > index->taken_bytes) {
        LH_TRY(lh_budget_take(index->budget, bytes - index->taken_bytes, err));
        index->taken_bytes = bytes;
    }
    LH_TRY(lh_rows_fit(&index->id_ends, slots * sizeof(uint64_t), err));
    LH_TRY(lh_rows_fit(&index->ids, id_end, err));
    LH_TRY(lh_rows_fit(&index->metadata_ends, slots * sizeof(uint64_t), err));
    LH_TRY(lh_rows_fit(&index->metadata, metadata_end, err));
    return lh_hnsw_reserve(&index->graph, need->items, err);
}

void lh_index_append(struct lh_rows *bytes, struct lh_rows *ends, uint32_t slot, lh_str text)
{
    uint64_t start = lh_index_end(ends, slot);
    LH_CHECK(start + text.len <= bytes->usable_bytes);
    if (text.len > 0)
        memcpy(bytes->base + start, text.ptr, text.len);
    ((uint64_t *)(void *)ends->base)[slot] = start + text.len;
}

/* ---- reading ---- */

static lh_str text_of(const struct lh_rows *bytes, const struct lh_rows *ends, uint32_t slot)
{
    uint64_t start = lh_index_end(ends, slot);
    return lh_str_of((const char *)bytes->base + start, lh_index_ends(ends)[slot] - start);
}

lh_str lh_vindex_id(const struct lh_vindex *index, uint32_t slot)
{
    return text_of(&index->ids, &index->id_ends, slot);
}

lh_str lh_vindex_metadata(const struct lh_vindex *index, uint32_t slot)
{
    return text_of(&index->metadata, &index->metadata_ends, slot);
}

int32_t lh_vindex_find(const struct lh_vindex *index, lh_str id)
{
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    int64_t at = lh_id_table_find(index, id, lh_id_tag(id));
    return at < 0 ? -1 : index->table.entries[at].slot;
}

uint32_t lh_vindex_live(const struct lh_vindex *index)
{
    return index->graph.count - index->graph.dead_count;
}

/* ---- loading and checking ---- */

static lh_code check_ends(const struct lh_rows *ends, uint32_t count, uint64_t len_min,
                          uint64_t len_max, const char *what, struct lh_error *err)
{
    uint64_t start = 0;
    for (uint32_t slot = 0; slot < count; slot++) {
        uint64_t end = lh_index_ends(ends)[slot];
        if (end < start || end - start < len_min || end - start > len_max)
            return lh_fail(err, LH_CORRUPT, "the %s of slot %u has no valid length", what, slot);
        start = end;
    }
    return LH_OK;
}

/* The caller has seen to it that the last ends are the sizes of the arrays. */
lh_code lh_vindex_load_finish(struct lh_vindex *index, struct lh_error *err)
{
    uint32_t count = index->graph.count;
    LH_TRY(check_ends(&index->id_ends, count, 1, LH_ITEM_ID_MAX, "id", err));
    LH_TRY(check_ends(&index->metadata_ends, count, 0, UINT32_MAX, "metadata", err));
    free(index->table.entries);
    index->table.entries = NULL;
    LH_TRY(lh_id_table_new(&index->table, lh_vindex_live(index), err));
    for (uint32_t slot = 0; slot < count; slot++) {
        lh_str id = lh_vindex_id(index, slot);
        if (!lh_utf8_valid(id) || !lh_utf8_valid(lh_vindex_metadata(index, slot)))
            return lh_fail(err, LH_CORRUPT, "the texts of slot %u are not UTF-8", slot);
        if (lh_hnsw_is_dead(&index->graph, slot))
            continue;
        if (lh_vindex_find(index, id) >= 0)
            return lh_fail(err, LH_CORRUPT, "the id of slot %u stands twice", slot);
        lh_id_table_put(&index->table, lh_id_tag(id), (int32_t)slot);
    }
    uint64_t bytes = lh_vindex_bytes(index);
    if (bytes > index->taken_bytes) {
        LH_TRY(lh_budget_take(index->budget, bytes - index->taken_bytes, err));
        index->taken_bytes = bytes;
    }
    if (index->graph.codes != NULL)
        lh_index_put_off_calibration(index);
    lh_index_calibrate_when_due(index, NULL);
    return LH_OK;
}

lh_code lh_vindex_check(const struct lh_vindex *index, struct lh_error *err)
{
    LH_TRY(lh_hnsw_check(&index->graph, err));
    LH_TRY(check_ends(&index->id_ends, index->graph.count, 1, LH_ITEM_ID_MAX, "id", err));
    LH_TRY(check_ends(&index->metadata_ends, index->graph.count, 0, UINT32_MAX, "metadata", err));
    uint32_t live = lh_vindex_live(index), entries = 0;
    for (uint64_t i = 0; index->table.entries != NULL && i <= index->table.mask; i++)
        entries += index->table.entries[i].slot >= 0;
    if (entries != live)
        return lh_fail(err, LH_CORRUPT, "the table holds %u ids, %u items live", entries, live);
    for (uint32_t slot = 0; live > 0 && slot < index->graph.count; slot++) {
        if (!lh_hnsw_is_dead(&index->graph, slot) &&
            lh_vindex_find(index, lh_vindex_id(index, slot)) != (int32_t)slot)
            return lh_fail(err, LH_CORRUPT, "the id of slot %u is not found", slot);
    }
    return LH_OK;
}

/* ---- vectors ---- */

const char *lh_metric_name(enum lh_metric metric)
{
    static const char *const names[] = {
        [LH_METRIC_COSINE] = "cosine", [LH_METRIC_L2] = "l2", [LH_METRIC_IP] = "ip"};
    return names[metric];
}

bool lh_metric_parse(lh_str text, enum lh_metric *ret)
{
    for (enum lh_metric metric = LH_METRIC_COSINE; metric <= LH_METRIC_IP; metric++) {
        if (lh_str_is(text, lh_metric_name(metric))) {
            *ret = metric;
            return true;
        }
    }
    return false;
}

const char *lh_quantization_name(enum lh_quantization quantization)
{
    static const char *const names[] = {[LH_QUANTIZATION_AUTO] = "auto",
                                        [LH_QUANTIZATION_NONE] = "none",
                                        [LH_QUANTIZATION_SQ8] = "sq8"};
    return names[quantization];
}

bool lh_quantization_parse(lh_str text, enum lh_quantization *ret)
{
    for (enum lh_quantization value = LH_QUANTIZATION_AUTO; value <= LH_QUANTIZATION_SQ8; value++) {
        if (lh_str_is(text, lh_quantization_name(value))) {
            *ret = value;
            return true;
        }
    }
    return false;
}

const char *lh_vector_prepare(float *vector, size_t dim_count, enum lh_metric metric)
{
    double squares = 0; /* of the smallest float still a normal double, so 0 means all zeros */
    for (size_t i = 0; i < dim_count; i++)
        squares += (double)vector[i] * (double)vector[i];
    if (!isfinite(squares))
        return "it holds a value that is not finite";
    if (metric != LH_METRIC_COSINE)
        return squares <= LH_NORM_SQUARED_MAX ? NULL : "its length overflows 32-bit floats";
    if (squares == 0)
        return "it is all zeros, which has no direction (metric cosine)";
    /* Rounding each component to a float changes the squared norm by less than 2^-22. */
    if (fabs(squares - 1) <= 0x1p-22)
        return NULL;
    double scale = 1 / sqrt(squares);
    for (size_t i = 0; i < dim_count; i++)
        vector[i] = (float)((double)vector[i] * scale);
    return NULL;
}
