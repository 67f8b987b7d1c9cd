/* What the files of the graph share. The letters are the paper's where it has one. */
#ifndef LH_VECTORD_HNSW_PRIVATE_H
#define LH_VECTORD_HNSW_PRIVATE_H

#include "base/check.h"
#include "vectord/crew.h"
#include "vectord/hnsw.h"

/* Children of a node are pinned into its row, together with the link to its own parent: at most
 * half of m leaves most of the row to the heuristic. */
static inline uint32_t lh_hnsw_children_max(const struct lh_hnsw *graph)
{
    return graph->options.m / 2;
}

static inline float *lh_hnsw_row(const struct lh_hnsw *graph, int32_t slot)
{
    return (float *)(void *)graph->vectors.base + (size_t)slot * graph->row_floats;
}

static inline uint32_t lh_hnsw_link_max(const struct lh_hnsw *graph, uint32_t level)
{
    return level == 0 ? 2 * graph->options.m : graph->options.m;
}

static inline uint8_t *lh_hnsw_levels(const struct lh_hnsw *graph)
{
    return graph->levels.base;
}

static inline uint8_t *lh_hnsw_children(const struct lh_hnsw *graph)
{
    return graph->children.base;
}

static inline int32_t *lh_hnsw_parents(const struct lh_hnsw *graph)
{
    return (int32_t *)(void *)graph->parents.base;
}

static inline uint32_t *lh_hnsw_upper_base(const struct lh_hnsw *graph)
{
    return (uint32_t *)(void *)graph->upper_base.base;
}

static inline uint64_t *lh_hnsw_dead(const struct lh_hnsw *graph)
{
    return (uint64_t *)(void *)graph->dead.base;
}

/* The row of links of a node on one level: lh_hnsw_link_max entries. While others search, entries
 * are read and written by lh_hnsw_link_get and _set only. */
static inline int32_t *lh_hnsw_links(const struct lh_hnsw *graph, int32_t slot, uint32_t level)
{
    if (level == 0)
        return (int32_t *)(void *)graph->links0.base + (size_t)slot * 2 * graph->options.m;
    size_t block = (size_t)lh_hnsw_upper_base(graph)[slot] + level - 1;
    return (int32_t *)(void *)graph->upper.base + block * graph->options.m;
}

/* A reader may see a row half old, half new: a mix of valid neighbours, which is harmless. */
static inline int32_t lh_hnsw_link_get(const int32_t *link)
{
    return __atomic_load_n(link, __ATOMIC_RELAXED);
}

static inline void lh_hnsw_link_set(int32_t *link, int32_t slot)
{
    __atomic_store_n(link, slot, __ATOMIC_RELAXED);
}

static inline void lh_hnsw_write_links(int32_t *links, uint32_t link_max, const int32_t *slots,
                                       size_t count)
{
    LH_CHECK(count <= link_max);
    for (uint32_t i = 0; i < link_max; i++)
        lh_hnsw_link_set(links + i, i < count ? slots[i] : -1);
}

/* Whether the link between two nodes of level 0 belongs to the tree. */
static inline bool lh_hnsw_is_pinned(const struct lh_hnsw *graph, int32_t a, int32_t b)
{
    return lh_hnsw_parents(graph)[a] == b || lh_hnsw_parents(graph)[b] == a;
}

static inline bool lh_hnsw_dead_bit(const struct lh_hnsw *graph, int32_t slot)
{
    return (lh_hnsw_dead(graph)[(uint32_t)slot >> 6] >> ((uint32_t)slot & 63)) & 1;
}

/* ---- the inner loops, compiled for each instruction set (hnsw_loops.h) ---- */

/* Rows that a walk measures: floats, or codes. */
struct lh_space {
    const unsigned char *base;
    size_t row_bytes; /* a multiple of 64 */
    const struct lh_loops *loops;
};

/* What all steps of one walk have in common. */
struct lh_walk {
    const struct lh_hnsw *graph;
    const struct lh_space *space;
    const void *query; /* a row of that space */
    struct lh_hnsw_scratch *scratch;
    const struct lh_hnsw_query *filter; /* of it only `allowed` counts; NULL = all */
    uint32_t limit;                     /* slots from here on are not published */
};

struct lh_loops {
    /* Distances from a query to `count` slots, four at a time, rows ahead of them being fetched. */
    void (*measure)(const struct lh_space *space, const void *query, const int32_t *slots,
                    size_t count, float *ret_orders);
    /* Greedy walk (Alg. 2 with ef = 1) from *at to a local minimum. */
    void (*descend)(const struct lh_walk *walk, uint32_t level, struct lh_hnsw_hit *at);
    /* Alg. 2: the ef nearest that may be found into scratch->pool, sorted; returns how many.
     * _all: every node may be found. _some: others are walked through. _hops: others are stepped
     * over, level 0 only. The scratch fits. */
    size_t (*walk_all)(const struct lh_walk *walk, struct lh_hnsw_hit start, uint32_t level,
                       size_t ef);
    size_t (*walk_some)(const struct lh_walk *walk, struct lh_hnsw_hit start, uint32_t level,
                        size_t ef);
    size_t (*walk_hops)(const struct lh_walk *walk, const struct lh_hnsw_hit *starts,
                        size_t start_count, size_t ef);
    /* Alg. 4 without refill: from candidates sorted by distance to the centre, at most `max` into
     * ret_kept: those nearer to the centre than to each that was kept, which so lead into a
     * direction of their own. Where pinned[i] is set, candidate i is kept anyhow; NULL = none. */
    size_t (*select)(const struct lh_space *space, const struct lh_hnsw_hit *candidates,
                     const bool *pinned, size_t count, size_t max, int32_t *ret_kept);
};

static inline const void *lh_space_row(const struct lh_space *space, int32_t slot)
{
    return space->base + (size_t)(uint32_t)slot * space->row_bytes;
}

static inline float lh_space_one(const struct lh_space *space, const void *query, int32_t slot)
{
    float order;
    space->loops->measure(space, query, &slot, 1, &order);
    return order;
}

/* The originals; and what walks go by: the codes, when there are any. */
struct lh_space lh_hnsw_exact_space(const struct lh_hnsw *graph);
struct lh_space lh_hnsw_walk_space(const struct lh_hnsw *graph);

/* Whether a search may return it. */
static inline bool lh_hnsw_may_find(const struct lh_hnsw *graph, const struct lh_hnsw_query *filter,
                                    int32_t slot)
{
    if (lh_hnsw_dead_bit(graph, slot))
        return false;
    return filter == NULL || filter->allowed == NULL ||
           ((uint32_t)slot < filter->allowed_slots &&
            ((filter->allowed[(uint32_t)slot >> 6] >> ((uint32_t)slot & 63)) & 1) != 0);
}

struct lh_crew *lh_builder_crew(const struct lh_builder *builder);
/* That of one of the crew's threads. */
struct lh_hnsw_scratch *lh_builder_scratch(const struct lh_builder *builder, size_t thread);

uint32_t lh_hnsw_level_of(const struct lh_hnsw *graph, uint32_t slot);

/* Makes scratch large enough for this graph and `ef`. */
void lh_hnsw_scratch_fit(struct lh_hnsw_scratch *scratch, const struct lh_hnsw *graph, size_t ef);

/* Puts an entry into a sorted array, behind its equals; the last one drops out of a full array.
 * Returns its place. The caller knows that there is one. */
size_t lh_hits_insert(struct lh_hnsw_hit *hits, size_t *count, size_t max,
                      struct lh_hnsw_hit entry);

/* The k nearest that may be found by looking at all; query is a padded row of floats. */
size_t lh_hnsw_scan_row(const struct lh_hnsw *graph, const float *query,
                        const struct lh_hnsw_query *filter, size_t k,
                        struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits);

#endif
