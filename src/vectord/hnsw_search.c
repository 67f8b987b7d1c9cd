/*
 * Searching the graph: the greedy walk of the upper levels, the layer search, and the exact scan.
 *
 * A layer search keeps one sorted array that is both the frontier and the result (the paper's C and
 * W): an entry whose slot is negative has been walked through already. With dead nodes about, two
 * arrays are needed: `ef` bounds the live ones, or dead nodes would push them out.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

enum {
    /* Up to here a scan of all rows is faster than a walk (bench/recall, 128 dimensions). */
    SCAN_LIVE_MAX = 2000,
    SCAN_PARTS = 32,           /* a filter that leaves less than this part of the nodes: the same */
    PREFETCH_BYTES_MAX = 1024, /* of a row; the processor's own prefetcher does the rest */
    CACHE_LINE = 64,
};

#define WALKED INT32_MIN

static inline void prefetch_row(const struct lh_hnsw *graph, int32_t slot)
{
    const char *row = (const char *)lh_hnsw_row(graph, slot);
    size_t bytes = graph->row_floats * sizeof(float);
    if (bytes > PREFETCH_BYTES_MAX)
        bytes = PREFETCH_BYTES_MAX;
    for (size_t i = 0; i < bytes; i += CACHE_LINE)
        __builtin_prefetch(row + i);
}

static inline void prefetch_links(const struct lh_hnsw *graph, int32_t slot, uint32_t level)
{
    const char *links = (const char *)lh_hnsw_links(graph, slot, level);
    __builtin_prefetch(links);
    __builtin_prefetch(links + CACHE_LINE);
}

/* How many rows to fetch ahead: enough to cover a miss, no more than the cache's queues take. */
static inline size_t ahead_of(const struct lh_hnsw *graph)
{
    return graph->row_floats * sizeof(float) <= 256 ? 12 : 6;
}

void lh_hnsw_measure(const struct lh_hnsw *graph, const float *query, const int32_t *slots,
                     size_t count, float *ret_orders)
{
    const struct lh_kernels *kernels = graph->kernels;
    bool ip = graph->options.metric == LH_METRIC_IP;
    size_t ahead = ahead_of(graph);
    for (size_t i = 0; i < count && i < ahead; i++)
        prefetch_row(graph, slots[i]);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t j = i + ahead; j < i + ahead + 4 && j < count; j++)
            prefetch_row(graph, slots[j]);
        const float *rows[4] = {lh_hnsw_row(graph, slots[i]), lh_hnsw_row(graph, slots[i + 1]),
                                lh_hnsw_row(graph, slots[i + 2]), lh_hnsw_row(graph, slots[i + 3])};
        (ip ? kernels->ip_four : kernels->l2_four)(query, rows, graph->row_floats, ret_orders + i);
    }
    for (; i < count; i++)
        ret_orders[i] = lh_hnsw_one(graph, query, slots[i]);
}

void lh_hnsw_descend(const struct lh_hnsw *graph, const float *query, uint32_t level, int32_t *slot,
                     float *order)
{
    float orders[LH_HNSW_M_MAX];
    bool moved = true;
    while (moved) {
        const int32_t *links = lh_hnsw_links(graph, *slot, level);
        size_t degree = 0;
        while (degree < graph->options.m && links[degree] >= 0)
            degree++;
        lh_hnsw_measure(graph, query, links, degree, orders);
        moved = false;
        for (size_t i = 0; i < degree; i++) {
            if (orders[i] < *order) {
                *order = orders[i];
                *slot = links[i];
                moved = true;
            }
        }
    }
}

/* Puts an entry into a sorted array, behind its equals; the last one drops out of a full array.
 * Returns its place. The caller knows that there is one. */
static inline size_t insert_sorted(struct lh_hnsw_hit *array, size_t *count, size_t max,
                                   struct lh_hnsw_hit entry)
{
    if (*count == max)
        (*count)--;
    size_t low = 0, high = *count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (array[middle].order <= entry.order)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(array + low + 1, array + low, (*count - low) * sizeof(*array));
    array[low] = entry;
    (*count)++;
    return low;
}

/* The neighbours of a node that were not seen before, which they now are. Free of branches: whether
 * a node was seen is as good as random. */
static inline size_t take_unseen(const struct lh_hnsw *graph, int32_t slot, uint32_t level,
                                 struct lh_hnsw_scratch *scratch)
{
    const int32_t *links = lh_hnsw_links(graph, slot, level);
    uint32_t link_max = lh_hnsw_link_max(graph, level);
    size_t count = 0;
    for (uint32_t i = 0; i < link_max && links[i] >= 0; i++) {
        uint64_t word = scratch->visited[(uint32_t)links[i] >> 6];
        uint64_t bit = UINT64_C(1) << ((uint32_t)links[i] & 63);
        scratch->visited[(uint32_t)links[i] >> 6] = word | bit;
        scratch->unseen[count] = links[i];
        count += (word & bit) == 0;
    }
    return count;
}

static void begin_walk(const struct lh_hnsw *graph, int32_t start, struct lh_hnsw_scratch *scratch)
{
    memset(scratch->visited, 0, ((size_t)graph->count / 64 + 1) * sizeof(uint64_t));
    scratch->visited[(uint32_t)start >> 6] |= UINT64_C(1) << ((uint32_t)start & 63);
}

/* All nodes live: pool is frontier and result. */
static size_t walk_live(const struct lh_hnsw *graph, const float *query, struct lh_hnsw_hit start,
                        uint32_t level, size_t ef, struct lh_hnsw_scratch *scratch)
{
    struct lh_hnsw_hit *pool = scratch->pool;
    float orders[2 * LH_HNSW_M_MAX];
    size_t count = 0, current = 0;
    insert_sorted(pool, &count, ef, start);
    while (current < count) {
        int32_t slot = pool[current].slot;
        pool[current].slot |= WALKED;
        size_t unseen = take_unseen(graph, slot, level, scratch);
        lh_hnsw_measure(graph, query, scratch->unseen, unseen, orders);
        scratch->distances += unseen;
        size_t lowest = current + 1;
        for (size_t i = 0; i < unseen; i++) {
            if (count == ef && orders[i] >= pool[count - 1].order)
                continue;
            size_t place = insert_sorted(pool, &count, ef,
                                         (struct lh_hnsw_hit){orders[i], scratch->unseen[i]});
            if (place < lowest)
                lowest = place;
        }
        current = lowest;
        while (current < count && pool[current].slot < 0)
            current++;
        if (current < count)
            prefetch_links(graph, pool[current].slot, level);
    }
    for (size_t i = 0; i < count; i++)
        pool[i].slot &= ~WALKED;
    return count;
}

static inline bool may_be_found(const struct lh_hnsw *graph, const struct lh_hnsw_query *filter,
                                int32_t slot)
{
    if (lh_hnsw_dead_bit(graph, slot))
        return false;
    return filter == NULL || filter->allowed == NULL ||
           ((uint32_t)slot < filter->allowed_slots &&
            ((filter->allowed[(uint32_t)slot >> 6] >> ((uint32_t)slot & 63)) & 1) != 0);
}

/* Some nodes may not be found: they are in the frontier only. The frontier is four times as long as
 * the pool, so that a region of them is crossed. */
static size_t walk_mixed(const struct lh_hnsw *graph, const float *query,
                         const struct lh_hnsw_query *filter, struct lh_hnsw_hit start,
                         uint32_t level, size_t ef, struct lh_hnsw_scratch *scratch)
{
    struct lh_hnsw_hit *pool = scratch->pool;
    struct lh_hnsw_hit *frontier = scratch->frontier;
    float orders[2 * LH_HNSW_M_MAX];
    size_t frontier_max = 4 * ef + 64;
    size_t found = 0, waiting = 0, current = 0;
    insert_sorted(frontier, &waiting, frontier_max, start);
    if (may_be_found(graph, filter, start.slot))
        insert_sorted(pool, &found, ef, start);
    while (current < waiting && (found < ef || frontier[current].order <= pool[found - 1].order)) {
        int32_t slot = frontier[current].slot;
        frontier[current].slot |= WALKED;
        size_t unseen = take_unseen(graph, slot, level, scratch);
        lh_hnsw_measure(graph, query, scratch->unseen, unseen, orders);
        scratch->distances += unseen;
        size_t lowest = current + 1;
        for (size_t i = 0; i < unseen; i++) {
            struct lh_hnsw_hit hit = {orders[i], scratch->unseen[i]};
            if (found == ef && hit.order >= pool[found - 1].order)
                continue;
            if (waiting < frontier_max || hit.order < frontier[waiting - 1].order) {
                size_t place = insert_sorted(frontier, &waiting, frontier_max, hit);
                if (place < lowest)
                    lowest = place;
            }
            if (may_be_found(graph, filter, hit.slot))
                insert_sorted(pool, &found, ef, hit);
        }
        current = lowest;
        while (current < waiting && frontier[current].slot < 0)
            current++;
    }
    return found;
}

size_t lh_hnsw_search_layer(const struct lh_hnsw *graph, const float *query,
                            const struct lh_hnsw_query *filter, int32_t start, float start_order,
                            uint32_t level, size_t ef, struct lh_hnsw_scratch *scratch)
{
    struct lh_hnsw_hit first = {start_order, start};
    begin_walk(graph, start, scratch);
    if (graph->dead_count > 0 || (filter != NULL && filter->allowed != NULL))
        return walk_mixed(graph, query, filter, first, level, ef, scratch);
    return walk_live(graph, query, first, level, ef, scratch);
}

/* ---- the exact scan ---- */

static void sift_down(struct lh_hnsw_hit *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && heap[child + 1].order > heap[child].order)
            child++;
        if (heap[at].order >= heap[child].order)
            return;
        struct lh_hnsw_hit swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* A heap with the farthest on top, built once it is full. */
static void heap_offer(struct lh_hnsw_hit *heap, size_t *count, size_t k, struct lh_hnsw_hit hit)
{
    if (*count < k) {
        heap[(*count)++] = hit;
        if (*count == k) {
            for (size_t i = k / 2; i-- > 0;)
                sift_down(heap, k, i);
        }
    } else if (hit.order < heap[0].order) {
        heap[0] = hit;
        sift_down(heap, k, 0);
    }
}

/* Nearest first; equals by slot, so that an answer does not depend on the heap's history. */
static int compare_hits(const void *left, const void *right)
{
    const struct lh_hnsw_hit *a = left, *b = right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

static void load_query(const struct lh_hnsw *graph, const float *query,
                       struct lh_hnsw_scratch *scratch)
{
    size_t dim_count = graph->options.dim_count;
    memcpy(scratch->query, query, dim_count * sizeof(float));
    memset(scratch->query + dim_count, 0, (graph->row_floats - dim_count) * sizeof(float));
}

size_t lh_hnsw_scan_row(const struct lh_hnsw *graph, const float *query,
                        const struct lh_hnsw_query *filter, size_t k,
                        struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits)
{
    size_t found = 0, pending = 0;
    int32_t slots[32];
    float orders[32];
    for (int32_t slot = 0; slot < (int32_t)graph->count; slot++) {
        if (may_be_found(graph, filter, slot))
            slots[pending++] = slot;
        if (pending == LH_COUNT(slots) || slot + 1 == (int32_t)graph->count) {
            lh_hnsw_measure(graph, query, slots, pending, orders);
            scratch->distances += pending;
            for (size_t i = 0; i < pending; i++)
                heap_offer(ret_hits, &found, k, (struct lh_hnsw_hit){orders[i], slots[i]});
            pending = 0;
        }
    }
    qsort(ret_hits, found, sizeof(*ret_hits), compare_hits);
    return found;
}

/* Nodes that may be found, at most. */
static size_t findable(const struct lh_hnsw *graph, const struct lh_hnsw_query *query)
{
    size_t live = graph->count - graph->dead_count;
    return query->allowed != NULL && query->allowed_count < live ? query->allowed_count : live;
}

struct lh_hnsw_found lh_hnsw_search(const struct lh_hnsw *graph, const struct lh_hnsw_query *query,
                                    struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits)
{
    LH_CHECK(query->k > 0);
    size_t k = query->k;
    size_t ef = query->ef < k ? k : query->ef;
    size_t among = findable(graph, query);
    struct lh_hnsw_found found = {.exact = query->exact || among <= SCAN_LIVE_MAX || ef >= among ||
                                           among < graph->count / SCAN_PARTS};
    lh_hnsw_scratch_fit(scratch, graph, found.exact ? 1 : ef);
    load_query(graph, query->vector, scratch);
    scratch->distances = 0;
    if (!found.exact) {
        int32_t slot = graph->entry;
        float order = lh_hnsw_one(graph, scratch->query, slot);
        for (uint32_t level = graph->entry_level; level > 0; level--)
            lh_hnsw_descend(graph, scratch->query, level, &slot, &order);
        size_t walked =
            lh_hnsw_search_layer(graph, scratch->query, query, slot, order, 0, ef, scratch);
        /* Otherwise the walk got stuck among those that may not be found. */
        found.exact = walked < k;
        found.count = k;
        if (!found.exact)
            memcpy(ret_hits, scratch->pool, k * sizeof(*ret_hits));
    }
    if (found.exact)
        found.count = lh_hnsw_scan_row(graph, scratch->query, query, k, scratch, ret_hits);
    found.distances = scratch->distances;
    return found;
}
