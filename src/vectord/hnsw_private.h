/* What the files of the graph share. The letters are the paper's where it has one. */
#ifndef LH_VECTORD_HNSW_PRIVATE_H
#define LH_VECTORD_HNSW_PRIVATE_H

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

/* The row of links of a node on one level: lh_hnsw_link_max entries. */
static inline int32_t *lh_hnsw_links(const struct lh_hnsw *graph, int32_t slot, uint32_t level)
{
    if (level == 0)
        return (int32_t *)(void *)graph->links0.base + (size_t)slot * 2 * graph->options.m;
    size_t block = (size_t)lh_hnsw_upper_base(graph)[slot] + level - 1;
    return (int32_t *)(void *)graph->upper.base + block * graph->options.m;
}

static inline bool lh_hnsw_dead_bit(const struct lh_hnsw *graph, int32_t slot)
{
    return (lh_hnsw_dead(graph)[(uint32_t)slot >> 6] >> ((uint32_t)slot & 63)) & 1;
}

static inline float lh_hnsw_one(const struct lh_hnsw *graph, const float *query, int32_t slot)
{
    const struct lh_kernels *kernels = graph->kernels;
    return (graph->options.metric == LH_METRIC_IP ? kernels->ip : kernels->l2)(
        query, lh_hnsw_row(graph, slot), graph->row_floats);
}

/* Distances from a query to `count` slots, four at a time, rows ahead of them being fetched. */
void lh_hnsw_measure(const struct lh_hnsw *graph, const float *query, const int32_t *slots,
                     size_t count, float *ret_orders);

uint32_t lh_hnsw_level_of(const struct lh_hnsw *graph, uint32_t slot);

/* Makes scratch large enough for this graph and `ef`. */
void lh_hnsw_scratch_fit(struct lh_hnsw_scratch *scratch, const struct lh_hnsw *graph, size_t ef);

/* Greedy walk (Alg. 2 with ef = 1) from *slot, at distance *order, to a local minimum. */
void lh_hnsw_descend(const struct lh_hnsw *graph, const float *query, uint32_t level, int32_t *slot,
                     float *order);

/* Alg. 2: the ef nearest live nodes on a level into scratch->pool, sorted; returns how many.
 * `start` is where the walk begins; filter may be NULL, of it only `allowed` counts. */
size_t lh_hnsw_search_layer(const struct lh_hnsw *graph, const float *query,
                            const struct lh_hnsw_query *filter, int32_t start, float start_order,
                            uint32_t level, size_t ef, struct lh_hnsw_scratch *scratch);

/* The k nearest that may be found by looking at all; query is a padded row. */
size_t lh_hnsw_scan_row(const struct lh_hnsw *graph, const float *query,
                        const struct lh_hnsw_query *filter, size_t k,
                        struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits);

#endif
