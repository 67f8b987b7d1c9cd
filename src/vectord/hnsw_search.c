/*
 * Searching the graph: who is scanned and who is walked, the walk, measuring again by floats, and
 * the exact scan.
 *
 * A filter that leaves few nodes is scanned; one that leaves some is walked over those that it
 * leaves, stepping over the others (walk_hops); one that leaves most is walked through as dead
 * nodes are (walk_some). A walk that comes back with less than k, or that measured more than a scan
 * would have, is finished by a scan.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

enum {
    /* Up to here a scan of all rows is faster than a walk (bench/recall, 128 dimensions). */
    SCAN_LIVE_MAX = 2000,
    SCAN_PARTS = 32,      /* a filter that leaves less than this part of the nodes: the same */
    THROUGH_PERCENT = 60, /* one that leaves more than this is walked through */
    EXTRA_STARTS = 8,     /* of a filtered walk: the allowed may lie far from the query */
};

/* How many times k candidates are measured by floats unless the query says. With codes that passed
 * their calibration 2 and 3 find the same; more helps beyond a recall of .99 (bench/recall). */
static const double refine_default = 3;

size_t lh_hits_insert(struct lh_hnsw_hit *hits, size_t *count, size_t max, struct lh_hnsw_hit entry)
{
    if (*count == max)
        (*count)--;
    size_t low = 0, high = *count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (hits[middle].order <= entry.order)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(hits + low + 1, hits + low, (*count - low) * sizeof(*hits));
    hits[low] = entry;
    (*count)++;
    return low;
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

/* The slots of one word that may be found, as bits. */
static uint64_t findable_word(const struct lh_hnsw *graph, const struct lh_hnsw_query *filter,
                              uint32_t word)
{
    uint64_t bits = ~lh_hnsw_dead(graph)[word];
    uint32_t end = graph->count;
    if (filter != NULL && filter->allowed != NULL) {
        end = end < filter->allowed_slots ? end : filter->allowed_slots;
        bits = word < (end + 63) / 64 ? bits & filter->allowed[word] : 0;
    }
    if (end / 64 == word)
        bits &= (UINT64_C(1) << (end % 64)) - 1;
    return end / 64 < word ? 0 : bits;
}

size_t lh_hnsw_scan_row(const struct lh_hnsw *graph, const float *query,
                        const struct lh_hnsw_query *filter, size_t k,
                        struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits)
{
    const struct lh_space space = lh_hnsw_exact_space(graph);
    size_t found = 0;
    int32_t slots[64];
    float orders[64];
    for (uint32_t word = 0; word < (graph->count + 63) / 64; word++) {
        size_t count = 0;
        for (uint64_t bits = findable_word(graph, filter, word); bits != 0; bits &= bits - 1)
            slots[count++] = (int32_t)(word * 64 + (uint32_t)__builtin_ctzll(bits));
        space.loops->measure(&space, query, slots, count, orders);
        scratch->distances += count;
        for (size_t i = 0; i < count; i++)
            heap_offer(ret_hits, &found, k, (struct lh_hnsw_hit){orders[i], slots[i]});
    }
    qsort(ret_hits, found, sizeof(*ret_hits), compare_hits);
    return found;
}

/* ---- the walk ---- */

/* The search's query as a padded row of floats, and of codes where there are any. Returns the one
 * that walks go by. */
static const void *load_query(const struct lh_hnsw *graph, const float *vector,
                              struct lh_hnsw_scratch *scratch)
{
    size_t dim_count = graph->options.dim_count;
    float *query = scratch->query;
    memcpy(query, vector, dim_count * sizeof(float));
    memset(query + dim_count, 0, (graph->row_floats - dim_count) * sizeof(float));
    if (graph->codes == NULL)
        return query;
    lh_codes_encode(graph->codes, query, scratch->code);
    return scratch->code;
}

/* A few allowed slots, spread over all. */
static size_t spread_starts(const struct lh_walk *walk, struct lh_hnsw_hit *ret_starts)
{
    uint32_t words = (walk->graph->count + 63) / 64;
    size_t count = 0;
    int32_t last = -1;
    for (uint32_t i = 0; i < EXTRA_STARTS; i++) {
        uint32_t word = (uint32_t)((uint64_t)words * i / EXTRA_STARTS);
        uint64_t bits = 0;
        while (word < words && (bits = findable_word(walk->graph, walk->filter, word)) == 0)
            word++;
        if (bits == 0)
            break;
        int32_t slot = (int32_t)(word * 64 + (uint32_t)__builtin_ctzll(bits));
        if (slot > last)
            ret_starts[count++] =
                (struct lh_hnsw_hit){lh_space_one(walk->space, walk->query, slot), slot};
        last = slot > last ? slot : last;
    }
    return count;
}

/* Into scratch->pool; returns how many. `among` may be found. */
static size_t walk_base(const struct lh_walk *walk, struct lh_hnsw_hit start, size_t ef,
                        size_t among)
{
    const struct lh_loops *loops = walk->space->loops;
    const struct lh_hnsw *graph = walk->graph;
    if (among == graph->count && walk->filter->allowed == NULL)
        return loops->walk_all(walk, start, 0, ef);
    if (walk->filter->allowed == NULL ||
        (uint64_t)among * 100 > (uint64_t)graph->count * THROUGH_PERCENT)
        return loops->walk_some(walk, start, 0, ef);
    struct lh_hnsw_hit starts[EXTRA_STARTS + 1];
    size_t count = spread_starts(walk, starts);
    bool among_them = false;
    for (size_t i = 0; i < count; i++)
        among_them = among_them || starts[i].slot == start.slot;
    if (!among_them)
        starts[count++] = start;
    return loops->walk_hops(walk, starts, count, ef);
}

/* Measures the first `count` of the pool by floats and puts the k nearest into ret_hits. */
static void refine(const struct lh_hnsw *graph, size_t count, size_t k,
                   struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits)
{
    const struct lh_space space = lh_hnsw_exact_space(graph);
    int32_t slots[64];
    float orders[64];
    size_t kept = 0;
    for (size_t i = 0; i < count; i += LH_COUNT(slots)) {
        size_t some = count - i < LH_COUNT(slots) ? count - i : LH_COUNT(slots);
        for (size_t j = 0; j < some; j++)
            slots[j] = scratch->pool[i + j].slot;
        space.loops->measure(&space, scratch->query, slots, some, orders);
        for (size_t j = 0; j < some; j++) {
            if (kept < k || orders[j] < ret_hits[kept - 1].order)
                lh_hits_insert(ret_hits, &kept, k, (struct lh_hnsw_hit){orders[j], slots[j]});
        }
    }
    scratch->distances += count;
}

/* Returns how many hits; fewer than k when the walk got stuck among those that may not be found. */
static size_t walk(const struct lh_hnsw *graph, const struct lh_hnsw_query *query, size_t ef,
                   size_t among, struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits)
{
    const struct lh_space space = lh_hnsw_walk_space(graph);
    const struct lh_walk walk = {.graph = graph,
                                 .space = &space,
                                 .query = load_query(graph, query->vector, scratch),
                                 .scratch = scratch,
                                 .filter = query,
                                 .limit = graph->count};
    struct lh_hnsw_hit at = {lh_space_one(&space, walk.query, graph->entry), graph->entry};
    for (uint32_t level = graph->entry_level; level > 0; level--)
        space.loops->descend(&walk, level, &at);
    size_t found = walk_base(&walk, at, ef, among);
    if (found < query->k)
        return found;
    if (graph->codes == NULL) {
        memcpy(ret_hits, scratch->pool, query->k * sizeof(*ret_hits));
        return query->k;
    }
    double wanted = (query->refine > 0 ? query->refine : refine_default) * (double)query->k;
    wanted = wanted < (double)query->k ? (double)query->k : ceil(wanted);
    refine(graph, wanted < (double)found ? (size_t)wanted : found, query->k, scratch, ret_hits);
    return query->k;
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
    scratch->distances = 0;
    if (!found.exact) {
        found.count = walk(graph, query, ef, among, scratch, ret_hits);
        found.exact = found.count < k;
    }
    if (found.exact) {
        load_query(graph, query->vector, scratch);
        found.count = lh_hnsw_scan_row(graph, scratch->query, query, k, scratch, ret_hits);
    }
    found.distances = scratch->distances;
    return found;
}
