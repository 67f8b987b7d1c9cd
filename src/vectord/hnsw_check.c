/*
 * The validators of the graph: what a loaded file must satisfy before anything follows its links,
 * and what must hold after every operation.
 */
#include <math.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

static lh_code check_vector(const struct lh_hnsw *graph, uint32_t slot, struct lh_error *err)
{
    const float *row = lh_hnsw_row(graph, (int32_t)slot);
    double squares = 0;
    for (size_t i = 0; i < graph->options.dim_count; i++)
        squares += (double)row[i] * (double)row[i];
    if (!(squares <= LH_NORM_SQUARED_MAX))
        return lh_fail(err, LH_CORRUPT, "the vector of slot %u is not finite", slot);
    for (size_t i = graph->options.dim_count; i < graph->row_floats; i++) {
        if (row[i] != 0)
            return lh_fail(err, LH_CORRUPT, "the padding of slot %u is not zero", slot);
    }
    return LH_OK;
}

/* In range, filled from the left, to nodes that are on this level. */
static lh_code check_row(const struct lh_hnsw *graph, uint32_t slot, uint32_t level,
                         struct lh_error *err)
{
    const int32_t *links = lh_hnsw_links(graph, (int32_t)slot, level);
    uint32_t link_max = lh_hnsw_link_max(graph, level);
    bool ended = false;
    for (uint32_t i = 0; i < link_max; i++) {
        if (links[i] == -1) {
            ended = true;
            continue;
        }
        if (ended || links[i] < 0 || (uint32_t)links[i] >= graph->count ||
            links[i] == (int32_t)slot || lh_hnsw_levels(graph)[links[i]] < level)
            return lh_fail(err, LH_CORRUPT, "slot %u has a bad link on level %u", slot, level);
    }
    return LH_OK;
}

static bool has_link(const struct lh_hnsw *graph, int32_t from, int32_t to)
{
    const int32_t *links = lh_hnsw_links(graph, from, 0);
    for (uint32_t i = 0; i < 2 * graph->options.m && links[i] >= 0; i++) {
        if (links[i] == to)
            return true;
    }
    return false;
}

/* Parents are older than their children, so one pass in order of slots finds every root. */
static lh_code check_tree(const struct lh_hnsw *graph, struct lh_error *err)
{
    LH_AUTO_FREE int32_t *roots = lh_try_malloc((size_t)graph->count + 1, sizeof(*roots));
    if (roots == NULL)
        return lh_fail(err, LH_NO_MEMORY, "no memory to check %u slots", graph->count);
    for (int32_t slot = 0; slot < (int32_t)graph->count; slot++) {
        int32_t parent = lh_hnsw_parents(graph)[slot];
        if (parent < -1 || parent >= slot)
            return lh_fail(err, LH_CORRUPT, "slot %d has no valid parent", slot);
        if (parent >= 0 && (!has_link(graph, parent, slot) || !has_link(graph, slot, parent)))
            return lh_fail(err, LH_CORRUPT, "slot %d is not linked with its parent", slot);
        roots[slot] = parent < 0 ? slot : roots[parent];
    }
    for (int32_t slot = 0; slot < (int32_t)graph->count; slot++) {
        if (!lh_hnsw_dead_bit(graph, slot) && roots[slot] != roots[graph->entry])
            return lh_fail(err, LH_CORRUPT, "slot %d is not in the entry's tree", slot);
    }
    return LH_OK;
}

static lh_code check_counts(const struct lh_hnsw *graph, struct lh_error *err)
{
    uint32_t dead = 0;
    for (uint32_t word = 0; word < (graph->count + 63) / 64; word++)
        dead += (uint32_t)__builtin_popcountll(lh_hnsw_dead(graph)[word]);
    if (graph->count % 64 != 0 &&
        lh_hnsw_dead(graph)[graph->count / 64] >> (graph->count % 64) != 0)
        return lh_fail(err, LH_CORRUPT, "there are tombstones beyond the last slot");
    if (dead != graph->dead_count)
        return lh_fail(err, LH_CORRUPT, "there are %u tombstones, %u were said", dead,
                       graph->dead_count);
    bool has_entry = graph->entry >= 0;
    if (graph->entry < -1 || has_entry != (dead < graph->count) ||
        (has_entry && ((uint32_t)graph->entry >= graph->count ||
                       lh_hnsw_levels(graph)[graph->entry] != graph->entry_level)))
        return lh_fail(err, LH_CORRUPT, "the entry (slot %d, level %u) is not valid", graph->entry,
                       graph->entry_level);
    return LH_OK;
}

lh_code lh_hnsw_check_links(const struct lh_hnsw *graph, struct lh_error *err)
{
    LH_TRY(check_counts(graph, err));
    for (uint32_t slot = 0; slot < graph->count; slot++) {
        LH_TRY(check_vector(graph, slot, err));
        uint32_t level_max = lh_hnsw_levels(graph)[slot];
        if (level_max > LH_HNSW_LEVEL_MAX)
            return lh_fail(err, LH_CORRUPT, "slot %u is on level %u", slot, level_max);
        for (uint32_t level = 0; level <= level_max; level++)
            LH_TRY(check_row(graph, slot, level, err));
    }
    return check_tree(graph, err);
}

static lh_code check_no_twins(const struct lh_hnsw *graph, uint32_t slot, struct lh_error *err)
{
    for (uint32_t level = 0; level <= lh_hnsw_levels(graph)[slot]; level++) {
        const int32_t *links = lh_hnsw_links(graph, (int32_t)slot, level);
        for (uint32_t i = 0; i < lh_hnsw_link_max(graph, level) && links[i] >= 0; i++) {
            for (uint32_t j = 0; j < i; j++) {
                if (links[i] == links[j])
                    return lh_fail(err, LH_CORRUPT, "slot %u links twice to %d", slot, links[i]);
            }
        }
    }
    return LH_OK;
}

static lh_code check_reachable(const struct lh_hnsw *graph, struct lh_error *err)
{
    if (graph->entry < 0)
        return LH_OK;
    LH_AUTO_FREE int32_t *queue = lh_calloc(graph->count, sizeof(*queue));
    LH_AUTO_FREE bool *seen = lh_calloc(graph->count, sizeof(*seen));
    size_t queued = 0;
    queue[queued++] = graph->entry;
    seen[graph->entry] = true;
    for (size_t at = 0; at < queued; at++) {
        const int32_t *links = lh_hnsw_links(graph, queue[at], 0);
        for (uint32_t i = 0; i < 2 * graph->options.m && links[i] >= 0; i++) {
            if (!seen[links[i]])
                queue[queued++] = links[i];
            seen[links[i]] = true;
        }
    }
    for (uint32_t slot = 0; slot < graph->count; slot++) {
        if (!seen[slot] && !lh_hnsw_dead_bit(graph, (int32_t)slot))
            return lh_fail(err, LH_CORRUPT, "slot %u cannot be reached", slot);
    }
    return LH_OK;
}

lh_code lh_hnsw_check(const struct lh_hnsw *graph, struct lh_error *err)
{
    LH_TRY(lh_hnsw_check_links(graph, err));
    for (uint32_t slot = 0; slot < graph->count; slot++)
        LH_TRY(check_no_twins(graph, slot, err));
    return check_reachable(graph, err);
}
