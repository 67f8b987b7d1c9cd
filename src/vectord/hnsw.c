/* The graph's arrays: reserving, growing, loading, levels. */
#include "vectord/hnsw.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arrays are persisted as they are");

/* One upper block for every 1 / (m - 1) slots is expected; with m >= 4 a half leaves ample room. */
static size_t blocks_max(const struct lh_hnsw_options *options)
{
    return (size_t)options->slots_max / 2 + 1024;
}

size_t lh_hnsw_slot_bytes(const struct lh_hnsw_options *options)
{
    size_t row = lh_row_floats(options->dim_count) * sizeof(float);
    size_t links = (size_t)2 * options->m * sizeof(int32_t);
    size_t upper = options->m * sizeof(int32_t) / (options->m - 1);
    /* upper_base and parents, levels and children, and a bit that counts as a byte */
    return row + links + upper + 2 * sizeof(int32_t) + 2 + 1;
}

lh_code lh_hnsw_init(struct lh_hnsw *graph, const struct lh_hnsw_options *options,
                     struct lh_error *err)
{
    LH_CHECK(options->dim_count > 0 && options->slots_max > 0 && options->slots_max <= INT32_MAX);
    LH_CHECK(options->m >= LH_HNSW_M_MIN && options->m <= LH_HNSW_M_MAX);
    LH_CHECK(options->ef_construction > 0);
    memset(graph, 0, sizeof(*graph));
    graph->options = *options;
    graph->isa = lh_isa_used();
    graph->row_floats = lh_row_floats(options->dim_count);
    graph->entry = -1;
    size_t slots = options->slots_max;
    const struct {
        struct lh_rows *rows;
        size_t bytes;
    } arrays[] = {
        {&graph->vectors, slots * graph->row_floats * sizeof(float)},
        {&graph->links0, slots * 2 * options->m * sizeof(int32_t)},
        {&graph->upper, blocks_max(options) * options->m * sizeof(int32_t)},
        {&graph->upper_base, slots * sizeof(uint32_t)},
        {&graph->levels, slots},
        {&graph->parents, slots * sizeof(int32_t)},
        {&graph->children, slots},
        {&graph->dead, (slots / 64 + 1) * sizeof(uint64_t)},
    };
    for (size_t i = 0; i < LH_COUNT(arrays); i++) {
        lh_code code = lh_rows_init(arrays[i].rows, arrays[i].bytes, err);
        if (code != LH_OK) {
            lh_hnsw_deinit(graph);
            return code;
        }
    }
    return LH_OK;
}

void lh_hnsw_deinit(struct lh_hnsw *graph)
{
    lh_rows_deinit(&graph->vectors);
    lh_rows_deinit(&graph->links0);
    lh_rows_deinit(&graph->upper);
    lh_rows_deinit(&graph->upper_base);
    lh_rows_deinit(&graph->levels);
    lh_rows_deinit(&graph->parents);
    lh_rows_deinit(&graph->children);
    lh_rows_deinit(&graph->dead);
    lh_codes_unref(graph->codes);
    memset(graph, 0, sizeof(*graph));
}

static lh_code fit(struct lh_hnsw *graph, size_t slots, size_t blocks, struct lh_error *err)
{
    uint32_t m = graph->options.m;
    if (slots > graph->options.slots_max || blocks > blocks_max(&graph->options))
        return lh_fail(err, LH_INDEX_MEMORY, "an index may hold at most %u slots here",
                       graph->options.slots_max);
    LH_TRY(lh_rows_fit(&graph->vectors, slots * graph->row_floats * sizeof(float), err));
    LH_TRY(lh_rows_fit(&graph->links0, slots * 2 * m * sizeof(int32_t), err));
    LH_TRY(lh_rows_fit(&graph->upper, blocks * m * sizeof(int32_t), err));
    LH_TRY(lh_rows_fit(&graph->upper_base, slots * sizeof(uint32_t), err));
    LH_TRY(lh_rows_fit(&graph->levels, slots, err));
    LH_TRY(lh_rows_fit(&graph->parents, slots * sizeof(int32_t), err));
    LH_TRY(lh_rows_fit(&graph->children, slots, err));
    if (graph->codes != NULL)
        LH_TRY(lh_codes_fit(graph->codes, slots, err));
    return lh_rows_fit(&graph->dead, (slots + 63) / 64 * sizeof(uint64_t), err);
}

lh_code lh_hnsw_reserve(struct lh_hnsw *graph, uint32_t count, struct lh_error *err)
{
    size_t slots = (size_t)graph->count + count;
    size_t blocks = graph->block_count;
    for (size_t slot = graph->count; slot < slots && slot <= INT32_MAX; slot++)
        blocks += lh_hnsw_level_of(graph, (uint32_t)slot);
    return fit(graph, slots, blocks, err);
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring slots give unrelated numbers.
 */
static uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

/* floor(-ln(u) / ln(m)), u uniform in (0, 1] (section 4.1 of the paper). */
uint32_t lh_hnsw_level_of(const struct lh_hnsw *graph, uint32_t slot)
{
    double u = ((double)(mix(graph->options.seed ^ mix(slot)) >> 11) + 1) * 0x1p-53;
    double level = -log(u) / log((double)graph->options.m);
    return level < LH_HNSW_LEVEL_MAX ? (uint32_t)level : LH_HNSW_LEVEL_MAX;
}

/* ---- rows ---- */

struct lh_space lh_hnsw_exact_space(const struct lh_hnsw *graph)
{
    enum lh_measure measure = graph->options.metric == LH_METRIC_IP ? LH_MEASURE_IP : LH_MEASURE_L2;
    return (struct lh_space){.base = graph->vectors.base,
                             .row_bytes = graph->row_floats * sizeof(float),
                             .loops = graph->isa->loops[measure]};
}

struct lh_space lh_hnsw_walk_space(const struct lh_hnsw *graph)
{
    const struct lh_codes *codes = graph->codes;
    if (codes == NULL)
        return lh_hnsw_exact_space(graph);
    enum lh_measure measure = codes->scale.level_max <= 127 ? LH_MEASURE_CODE7 : LH_MEASURE_CODE8;
    return (struct lh_space){.base = codes->rows.base,
                             .row_bytes = codes->row_bytes,
                             .loops = graph->isa->loops[measure]};
}

struct lh_codes *lh_hnsw_set_codes(struct lh_hnsw *graph, struct lh_codes *codes)
{
    LH_CHECK(codes == NULL || codes->rows.usable_bytes >= graph->count * codes->row_bytes);
    struct lh_codes *before = graph->codes;
    graph->codes = codes;
    return before;
}

void lh_hnsw_delete(struct lh_hnsw *graph, uint32_t slot)
{
    LH_CHECK(slot < graph->count && !lh_hnsw_dead_bit(graph, (int32_t)slot));
    lh_hnsw_dead(graph)[slot >> 6] |= UINT64_C(1) << (slot & 63);
    graph->dead_count++;
    if (graph->dead_count == graph->count)
        graph->entry = -1; /* the next node starts a tree of its own */
}

const float *lh_hnsw_vector(const struct lh_hnsw *graph, uint32_t slot)
{
    return lh_hnsw_row(graph, (int32_t)slot);
}

bool lh_hnsw_is_dead(const struct lh_hnsw *graph, uint32_t slot)
{
    LH_CHECK(slot < graph->count);
    return lh_hnsw_dead_bit(graph, (int32_t)slot);
}

float lh_hnsw_distance(enum lh_metric metric, float order)
{
    switch (metric) {
    case LH_METRIC_COSINE:
        return order / 2; /* |x - y|^2 = 2 - 2 cos for unit vectors; exactly 0 for equal ones */
    case LH_METRIC_L2:
        return sqrtf(order);
    case LH_METRIC_IP:
        break;
    }
    return order;
}

/* ---- loading ---- */

lh_code lh_hnsw_load_begin(struct lh_hnsw *graph, uint32_t count, uint32_t block_count,
                           struct lh_error *err)
{
    LH_CHECK(graph->count == 0);
    return fit(graph, count, block_count, err);
}

lh_code lh_hnsw_load_finish(struct lh_hnsw *graph, uint32_t count, uint32_t block_count,
                            struct lh_error *err)
{
    uint64_t blocks = 0;
    for (uint32_t slot = 0; slot < count; slot++) {
        lh_hnsw_upper_base(graph)[slot] = (uint32_t)blocks;
        blocks += lh_hnsw_levels(graph)[slot];
        if (lh_hnsw_levels(graph)[slot] > LH_HNSW_LEVEL_MAX || blocks > block_count)
            return lh_fail(err, LH_CORRUPT, "the levels do not fit the upper links (slot %u)",
                           slot);
    }
    if (blocks != block_count)
        return lh_fail(err, LH_CORRUPT, "there are %u blocks of upper links, the levels need %llu",
                       block_count, (unsigned long long)blocks);
    for (uint32_t slot = 0; slot < count; slot++) {
        int32_t parent = lh_hnsw_parents(graph)[slot];
        if (parent < -1 || parent >= (int32_t)slot)
            return lh_fail(err, LH_CORRUPT, "slot %u has no valid parent", slot);
        if (parent >= 0 && ++lh_hnsw_children(graph)[parent] > lh_hnsw_children_max(graph))
            return lh_fail(err, LH_CORRUPT, "slot %d has too many children", parent);
    }
    graph->count = count;
    graph->block_count = block_count;
    return lh_hnsw_check_links(graph, err);
}

/* ---- scratch ---- */

static void free_rows(struct lh_hnsw_scratch *scratch)
{
    free(scratch->sorted);
    free(scratch->unseen);
    free(scratch->near);
    free(scratch->far);
    free(scratch->orders);
    free(scratch->pinned);
}

void lh_hnsw_scratch_deinit(struct lh_hnsw_scratch *scratch)
{
    free(scratch->visited);
    free(scratch->pool);
    free(scratch->frontier);
    free_rows(scratch);
    free(scratch->query);
    free(scratch->code);
    memset(scratch, 0, sizeof(*scratch));
}

static void *aligned_bytes(size_t bytes)
{
    void *memory = NULL;
    LH_CHECK(posix_memalign(&memory, LH_ROW_ALIGN, bytes) == 0);
    return memory;
}

static void fit_rows(struct lh_hnsw_scratch *scratch, size_t row_max)
{
    free_rows(scratch);
    scratch->sorted = lh_malloc((row_max + 1) * sizeof(struct lh_hnsw_hit));
    scratch->unseen = lh_malloc(2 * row_max * sizeof(int32_t));
    scratch->near = lh_malloc(row_max * sizeof(int32_t));
    scratch->far = lh_malloc(row_max * sizeof(int32_t));
    scratch->orders = lh_malloc(2 * row_max * sizeof(float));
    scratch->pinned = lh_malloc((row_max + 1) * sizeof(bool));
    scratch->row_max = row_max;
}

/* Frees before it allocates: nothing in it outlives one search. */
void lh_hnsw_scratch_fit(struct lh_hnsw_scratch *scratch, const struct lh_hnsw *graph, size_t ef)
{
    size_t words = (size_t)graph->count / 64 + 1;
    if (words > scratch->visited_words) {
        free(scratch->visited);
        scratch->visited_words = words + words / 4;
        scratch->visited = lh_malloc(scratch->visited_words * sizeof(uint64_t));
    }
    size_t pool_max = 4 * ef + 64;
    if (pool_max > scratch->pool_max) {
        free(scratch->pool);
        free(scratch->frontier);
        scratch->pool = lh_malloc(pool_max * sizeof(struct lh_hnsw_hit));
        scratch->frontier = lh_malloc(pool_max * sizeof(struct lh_hnsw_hit));
        scratch->pool_max = pool_max;
    }
    if (2 * (size_t)graph->options.m > scratch->row_max)
        fit_rows(scratch, 2 * (size_t)graph->options.m);
    size_t query_bytes = graph->row_floats * sizeof(float);
    if (query_bytes > scratch->query_bytes) {
        free(scratch->query);
        free(scratch->code);
        scratch->query = aligned_bytes(query_bytes);
        scratch->code = aligned_bytes(query_bytes);
        scratch->query_bytes = query_bytes;
    }
}
