/* One vector index in memory: ids and metadata around the graph. */
#include "vectord/index.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { INDEX_MAGIC = 0x4c484958, TABLE_MIN = 64 };

enum {
    CALIBRATE_MIN = 4096, /* slots; smaller indexes are scanned */
    CALIBRATE_GROWTH = 4, /* then again, when there are so many times as many */
    SAMPLE_MAX = 20000,
};

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

static const uint64_t *ends_of(const struct lh_rows *ends)
{
    return (const uint64_t *)(const void *)ends->base;
}

static uint64_t end_of(const struct lh_rows *ends, uint32_t count)
{
    return count == 0 ? 0 : ends_of(ends)[count - 1];
}

static uint64_t table_bytes(const struct lh_id_table *table)
{
    return table->entries == NULL ? 0 : ((uint64_t)table->mask + 1) * sizeof(*table->entries);
}

uint64_t lh_vindex_bytes(const struct lh_vindex *index)
{
    uint32_t count = index->graph.count;
    return count * slot_bytes(index) + end_of(&index->id_ends, count) +
           end_of(&index->metadata_ends, count) + table_bytes(&index->table) +
           table_bytes(&index->next_table);
}

/* ---- life ---- */

lh_code lh_vindex_new(const struct lh_vindex_config *config, struct lh_budget *budget,
                      uint64_t reserve_bytes, struct lh_vindex **ret_index, struct lh_error *err)
{
    struct lh_vindex *index = lh_calloc(1, sizeof(*index));
    index->magic = INDEX_MAGIC;
    atomic_init(&index->references, 1);
    index->config = *config;
    index->budget = budget;
    index->calibrate_at = CALIBRATE_MIN;
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
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
    atomic_fetch_add(&index->references, 1);
    return index;
}

void lh_vindex_unref(struct lh_vindex *index)
{
    if (index == NULL)
        return;
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
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

/* ---- the table of ids ---- */

static uint32_t tag_of(lh_str id)
{
    return (uint32_t)lh_xxh3(id.ptr, id.len);
}

static void table_put(struct lh_id_table *table, uint32_t tag, int32_t slot)
{
    uint32_t at = tag & table->mask;
    while (table->entries[at].slot >= 0)
        at = (at + 1) & table->mask;
    table->entries[at] = (struct lh_id_entry){tag, slot};
}

/* The place of an id, or -1. */
static int64_t table_find(const struct lh_vindex *index, lh_str id, uint32_t tag)
{
    const struct lh_id_table *table = &index->table;
    if (table->entries == NULL)
        return -1;
    for (uint32_t at = tag & table->mask; table->entries[at].slot >= 0;
         at = (at + 1) & table->mask) {
        const struct lh_id_entry *entry = &table->entries[at];
        if (entry->tag == tag && lh_str_eq(lh_vindex_id(index, (uint32_t)entry->slot), id))
            return at;
    }
    return -1;
}

/* Knuth, volume 3, 6.4, algorithm R: what follows moves up, so there are no tombstones in the
 * table. */
static void table_remove(struct lh_id_table *table, uint32_t at)
{
    uint32_t hole = at;
    for (;;) {
        at = (at + 1) & table->mask;
        if (table->entries[at].slot < 0)
            break;
        uint32_t home = table->entries[at].tag & table->mask;
        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].slot = -1;
}

static lh_code table_new(struct lh_id_table *table, uint64_t items, struct lh_error *err)
{
    uint64_t size = TABLE_MIN;
    while (size < items + items / 2) /* at most two thirds full */
        size *= 2;
    LH_CHECK(size <= UINT64_C(1) << 32);
    table->entries = lh_try_malloc(size, sizeof(*table->entries));
    if (table->entries == NULL)
        return lh_fail(err, LH_INDEX_MEMORY, "no memory for a table of %llu ids",
                       (unsigned long long)items);
    memset(table->entries, 0xff, size * sizeof(*table->entries));
    table->mask = (uint32_t)(size - 1);
    return LH_OK;
}

static bool table_fits(const struct lh_id_table *table, uint64_t items)
{
    return table->entries != NULL && items + items / 2 <= (uint64_t)table->mask + 1;
}

/* Fills next_table beside readers, who use `table` until the next apply. */
static lh_code grow_table(struct lh_vindex *index, uint32_t items, struct lh_error *err)
{
    free(index->last_table.entries); /* its readers were excluded when it was replaced */
    index->last_table.entries = NULL;
    uint64_t wanted = (uint64_t)lh_vindex_live(index) + items;
    if (table_fits(&index->table, wanted) || table_fits(&index->next_table, wanted))
        return LH_OK;
    struct lh_id_table grown;
    LH_TRY(table_new(&grown, wanted, err));
    for (uint64_t i = 0; index->table.entries != NULL && i <= index->table.mask; i++) {
        if (index->table.entries[i].slot >= 0)
            table_put(&grown, index->table.entries[i].tag, index->table.entries[i].slot);
    }
    free(index->next_table.entries);
    index->next_table = grown;
    return LH_OK;
}

/* Readers are excluded. */
static void use_next_table(struct lh_vindex *index)
{
    if (index->next_table.entries == NULL)
        return;
    LH_CHECK(index->last_table.entries == NULL);
    index->last_table = index->table;
    index->table = index->next_table;
    index->next_table.entries = NULL;
}

/* ---- writing ---- */

lh_code lh_vindex_reserve(struct lh_vindex *index, const struct lh_vindex_need *need,
                          struct lh_error *err)
{
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
    uint64_t slots = (uint64_t)index->graph.count + need->items;
    uint64_t id_end = end_of(&index->id_ends, index->graph.count) + need->id_bytes;
    uint64_t metadata_end =
        end_of(&index->metadata_ends, index->graph.count) + need->metadata_bytes;
    if (slots > index->graph.options.slots_max)
        return lh_fail(err, LH_INDEX_MEMORY, "an index may hold at most %u slots here",
                       index->graph.options.slots_max);
    LH_TRY(grow_table(index, need->items, err));
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

static void append(struct lh_rows *bytes, struct lh_rows *ends, uint32_t slot, lh_str text)
{
    uint64_t start = end_of(ends, slot);
    LH_CHECK(start + text.len <= bytes->usable_bytes);
    if (text.len > 0)
        memcpy(bytes->base + start, text.ptr, text.len);
    ((uint64_t *)(void *)ends->base)[slot] = start + text.len;
}

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

static uint32_t next_calibration(const struct lh_vindex *index)
{
    uint64_t next = (uint64_t)index->graph.count * CALIBRATE_GROWTH;
    return next < UINT32_MAX ? (uint32_t)next : UINT32_MAX;
}

static void calibrate_when_due(struct lh_vindex *index, pthread_rwlock_t *lock)
{
    struct lh_hnsw *graph = &index->graph;
    if (!wants_codes(index) || graph->count < index->calibrate_at)
        return;
    struct lh_codes *codes = make_codes(index);
    index->calibrate_at = next_calibration(index);
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
    use_next_table(index);
    lh_hnsw_publish(&index->graph, count);
    for (uint32_t i = 0; i < count; i++) {
        if (lh_vindex_delete(index, changes[i].id))
            applied->updated++;
        else
            applied->added++;
        table_put(&index->table, tag_of(changes[i].id), (int32_t)(first + i));
    }
}

static void put(struct lh_vindex *index, const struct lh_change *changes, uint32_t count,
                struct lh_builder *builder, pthread_rwlock_t *lock, struct lh_applied *applied)
{
    const float *vectors[LH_HNSW_LINK_MAX] = {NULL};
    for (uint32_t i = 0; i < count; i++) {
        append(&index->ids, &index->id_ends, index->graph.count + i, changes[i].id);
        append(&index->metadata, &index->metadata_ends, index->graph.count + i,
               changes[i].metadata);
        vectors[i] = changes[i].vector;
    }
    lh_hnsw_link(&index->graph, vectors, count, builder);
    lock_readers_out(lock);
    publish(index, changes, count, applied);
    let_readers_in(lock);
    calibrate_when_due(index, lock);
}

void lh_vindex_apply(struct lh_vindex *index, const struct lh_change *changes, size_t count,
                     struct lh_builder *builder, pthread_rwlock_t *lock,
                     struct lh_applied *ret_applied)
{
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
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
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
    use_next_table(index);
    int64_t at = table_find(index, id, tag_of(id));
    if (at < 0)
        return false;
    int32_t slot = index->table.entries[at].slot;
    table_remove(&index->table, (uint32_t)at);
    lh_hnsw_delete(&index->graph, (uint32_t)slot);
    return true;
}

/* ---- reading ---- */

static lh_str text_of(const struct lh_rows *bytes, const struct lh_rows *ends, uint32_t slot)
{
    uint64_t start = end_of(ends, slot);
    return lh_str_of((const char *)bytes->base + start, ends_of(ends)[slot] - start);
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
    LH_CHECK_MAGIC(index, INDEX_MAGIC);
    int64_t at = table_find(index, id, tag_of(id));
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
        uint64_t end = ends_of(ends)[slot];
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
    LH_TRY(table_new(&index->table, lh_vindex_live(index), err));
    for (uint32_t slot = 0; slot < count; slot++) {
        lh_str id = lh_vindex_id(index, slot);
        if (!lh_utf8_valid(id) || !lh_utf8_valid(lh_vindex_metadata(index, slot)))
            return lh_fail(err, LH_CORRUPT, "the texts of slot %u are not UTF-8", slot);
        if (lh_hnsw_is_dead(&index->graph, slot))
            continue;
        if (lh_vindex_find(index, id) >= 0)
            return lh_fail(err, LH_CORRUPT, "the id of slot %u stands twice", slot);
        table_put(&index->table, tag_of(id), (int32_t)slot);
    }
    uint64_t bytes = lh_vindex_bytes(index);
    if (bytes > index->taken_bytes) {
        LH_TRY(lh_budget_take(index->budget, bytes - index->taken_bytes, err));
        index->taken_bytes = bytes;
    }
    if (index->graph.codes != NULL)
        index->calibrate_at = next_calibration(index);
    calibrate_when_due(index, NULL);
    return LH_OK;
}

lh_code lh_vindex_check(const struct lh_vindex *index, struct lh_error *err)
{
    LH_TRY(lh_hnsw_check(&index->graph, err));
    LH_TRY(check_ends(&index->id_ends, index->graph.count, 1, LH_ITEM_ID_MAX, "id", err));
    LH_TRY(check_ends(&index->metadata_ends, index->graph.count, 0, UINT32_MAX, "metadata", err));
    uint32_t entries = 0;
    for (uint64_t i = 0; index->table.entries != NULL && i <= index->table.mask; i++)
        entries += index->table.entries[i].slot >= 0;
    if (entries != lh_vindex_live(index))
        return lh_fail(err, LH_CORRUPT, "the table holds %u ids, %u items live", entries,
                       lh_vindex_live(index));
    for (uint32_t slot = 0; slot < index->graph.count; slot++) {
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
