/*
 * Changing an index: codes when there are enough items, changes in order, and copying without what
 * is dead.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/index_private.h"

enum {
    CALIBRATE_GROWTH = 4, /* codes are calibrated again when there are so many times as many */
    SAMPLE_MAX = 20000,
};

/* ---- codes ---- */

static bool wants_codes(const struct lh_vindex *index)
{
    return index->config.quantization != LH_QUANTIZATION_NONE &&
           index->config.metric != LH_METRIC_IP;
}

/* Rows of live slots, spread over all. */
static const float **sample(const struct lh_hnsw *graph, size_t *ret_count)
{
    const float **rows = lh_calloc(SAMPLE_MAX, sizeof(*rows));
    size_t stride = (size_t)graph->count / SAMPLE_MAX + 1, count = 0;
    for (size_t slot = 0; slot < graph->count; slot += stride) {
        if (!lh_hnsw_is_dead(graph, (uint32_t)slot))
            rows[count++] = lh_hnsw_vector(graph, (uint32_t)slot);
    }
    *ret_count = count;
    return rows;
}

/* Codes of all slots on a new scale; NULL when no scale is good enough, or there is no memory:
 * walks go by floats then. */
static struct lh_codes *make_codes(const struct lh_vindex *index)
{
    const struct lh_hnsw *graph = &index->graph;
    struct lh_code_scale scale;
    struct lh_codes *codes = NULL;
    struct lh_error err = LH_ERROR_INIT;
    size_t count;
    LH_AUTO_FREE const float **rows = sample(graph, &count);
    if (count < LH_CALIBRATE_ROWS_MIN ||
        !lh_codes_calibrate(rows, count, index->config.dimension,
                            index->config.quantization == LH_QUANTIZATION_SQ8, &scale))
        return NULL;
    if (lh_codes_new(&scale, index->config.dimension, graph->options.slots_max, &codes, &err) !=
        LH_OK)
        return NULL;
    size_t room = graph->vectors.usable_bytes / (graph->row_floats * sizeof(float));
    room = room < graph->options.slots_max ? room : graph->options.slots_max;
    if (lh_codes_fit(codes, room, &err) != LH_OK) {
        lh_codes_unref(codes);
        return NULL;
    }
    for (uint32_t slot = 0; slot < graph->count; slot++)
        lh_codes_encode(codes, lh_hnsw_vector(graph, slot), lh_codes_row(codes, slot));
    return codes;
}

static void lock_readers_out(pthread_rwlock_t *lock)
{
    if (lock != NULL)
        LH_CHECK(pthread_rwlock_wrlock(lock) == 0);
}

static void let_readers_in(pthread_rwlock_t *lock)
{
    if (lock != NULL)
        LH_CHECK(pthread_rwlock_unlock(lock) == 0);
}

void lh_index_put_off_calibration(struct lh_vindex *index)
{
    uint64_t next = (uint64_t)index->graph.count * CALIBRATE_GROWTH;
    index->calibrate_at = next < UINT32_MAX ? (uint32_t)next : UINT32_MAX;
}

void lh_index_calibrate_when_due(struct lh_vindex *index, pthread_rwlock_t *lock)
{
    struct lh_hnsw *graph = &index->graph;
    if (!wants_codes(index) || graph->count < index->calibrate_at)
        return;
    struct lh_codes *codes = make_codes(index);
    lh_index_put_off_calibration(index);
    lock_readers_out(lock);
    codes = lh_hnsw_set_codes(graph, codes);
    let_readers_in(lock);
    lh_codes_unref(codes);
}

/* ---- applying ---- */

/* What was linked appears, what it replaces disappears. */
static void publish(struct lh_vindex *index, const struct lh_change *changes, uint32_t count,
                    struct lh_applied *applied)
{
    uint32_t first = index->graph.count;
    lh_id_tables_switch(index);
    lh_hnsw_publish(&index->graph, count);
    for (uint32_t i = 0; i < count; i++) {
        if (lh_vindex_delete(index, changes[i].id))
            applied->updated++;
        else
            applied->added++;
        lh_id_table_put(&index->table, lh_id_tag(changes[i].id), (int32_t)(first + i));
    }
}

static void put(struct lh_vindex *index, const struct lh_change *changes, uint32_t count,
                struct lh_builder *builder, pthread_rwlock_t *lock, struct lh_applied *applied)
{
    const float *vectors[LH_HNSW_LINK_MAX] = {NULL};
    for (uint32_t i = 0; i < count; i++) {
        lh_index_append(&index->ids, &index->id_ends, index->graph.count + i, changes[i].id);
        lh_index_append(&index->metadata, &index->metadata_ends, index->graph.count + i,
                        changes[i].metadata);
        vectors[i] = changes[i].vector;
    }
    lh_hnsw_link(&index->graph, vectors, count, builder);
    lock_readers_out(lock);
    publish(index, changes, count, applied);
    let_readers_in(lock);
    lh_index_calibrate_when_due(index, lock);
}

void lh_vindex_apply(struct lh_vindex *index, const struct lh_change *changes, size_t count,
                     struct lh_builder *builder, pthread_rwlock_t *lock,
                     struct lh_applied *ret_applied)
{
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    for (size_t at = 0; at < count;) {
        size_t end = at + 1;
        while (end < count && end - at < LH_HNSW_LINK_MAX && changes[end].kind == changes[at].kind)
            end++;
        if (changes[at].kind == LH_CHANGE_UPSERT) {
            put(index, changes + at, (uint32_t)(end - at), builder, lock, ret_applied);
            at = end;
            continue;
        }
        lock_readers_out(lock);
        for (; at < end; at++)
            ret_applied->deleted += lh_vindex_delete(index, changes[at].id);
        let_readers_in(lock);
    }
}

bool lh_vindex_upsert(struct lh_vindex *index, lh_str id, const float *vector, lh_str metadata,
                      struct lh_builder *builder)
{
    const struct lh_change change = {LH_CHANGE_UPSERT, id, metadata, vector};
    struct lh_applied applied = {0};
    lh_vindex_apply(index, &change, 1, builder, NULL, &applied);
    return applied.updated > 0;
}

bool lh_vindex_delete(struct lh_vindex *index, lh_str id)
{
    LH_CHECK_MAGIC(index, LH_INDEX_MAGIC);
    lh_id_tables_switch(index);
    int64_t at = lh_id_table_find(index, id, lh_id_tag(id));
    if (at < 0)
        return false;
    int32_t slot = index->table.entries[at].slot;
    lh_id_table_remove(&index->table, (uint32_t)at);
    lh_hnsw_delete(&index->graph, (uint32_t)slot);
    return true;
}

/* ---- copying without the dead ---- */

lh_code lh_vindex_compact(struct lh_vindex *to, struct lh_vindex *from, uint32_t end,
                          const uint64_t *left_out, struct lh_codes *codes,
                          struct lh_builder *builder, struct lh_error *err)
{
    struct lh_vindex_need need = {0};
    for (uint32_t slot = 0; slot < end; slot++) {
        if ((left_out[slot >> 6] >> (slot & 63)) & 1)
            continue;
        need.items++;
        need.id_bytes += lh_vindex_id(from, slot).len;
        need.metadata_bytes += lh_vindex_metadata(from, slot).len;
    }
    if (codes != NULL)
        LH_TRY(lh_codes_new(&codes->scale, codes->dim_count, to->graph.options.slots_max,
                            &to->graph.codes, err));
    LH_TRY(lh_vindex_reserve(to, &need, err));
    LH_TRY(lh_hnsw_compact(&to->graph, &from->graph, end, left_out, builder, err));
    lh_id_tables_switch(to);
    uint32_t copied = 0;
    for (uint32_t slot = 0; slot < end; slot++) {
        if ((left_out[slot >> 6] >> (slot & 63)) & 1)
            continue;
        lh_str id = lh_vindex_id(from, slot);
        lh_index_append(&to->ids, &to->id_ends, copied, id);
        lh_index_append(&to->metadata, &to->metadata_ends, copied, lh_vindex_metadata(from, slot));
        lh_id_table_put(&to->table, lh_id_tag(id), (int32_t)copied++);
    }
    if (codes != NULL)
        lh_index_put_off_calibration(to);
    return LH_OK;
}
