/*
 * Inserting into the graph: Alg. 1 of the paper, neighbour selection by its Alg. 4 without refill,
 * and the tree of pinned links that keeps level 0 connected (see hnsw.h).
 *
 * A row that is full is selected anew, from its links and the new one, around the row's own node.
 * Pinned links are always kept: at most one parent and m / 2 children in a row of 2 m.
 */
#include <string.h>

#include "base/check.h"
#include "vectord/hnsw_private.h"

/* Whether the link between two nodes of level 0 belongs to the tree. */
static bool is_pinned(const struct lh_hnsw *graph, int32_t a, int32_t b)
{
    return lh_hnsw_parents(graph)[a] == b || lh_hnsw_parents(graph)[b] == a;
}

/* Whether a candidate is nearer to the centre than to each of the kept ones: then it leads into a
 * direction of its own (Alg. 4, line 11). */
static bool is_diverse(const struct lh_hnsw *graph, struct lh_hnsw_hit candidate,
                       const int32_t *kept, size_t kept_count)
{
    const float *row = lh_hnsw_row(graph, candidate.slot);
    float orders[4];
    for (size_t i = 0; i < kept_count; i += 4) {
        size_t count = kept_count - i < 4 ? kept_count - i : 4;
        lh_hnsw_measure(graph, row, kept + i, count, orders);
        for (size_t j = 0; j < count; j++) {
            if (orders[j] < candidate.order)
                return false;
        }
    }
    return true;
}

/* Alg. 4: from candidates sorted by distance to the centre, at most `max` into ret_kept. */
static size_t select_diverse(const struct lh_hnsw *graph, const struct lh_hnsw_hit *candidates,
                             size_t count, size_t max, int32_t *ret_kept)
{
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < max; i++) {
        if (is_diverse(graph, candidates[i], ret_kept, kept))
            ret_kept[kept++] = candidates[i].slot;
    }
    return kept;
}

/* The same for a row of level 0 that exists: its pinned links stay, and leave the others less room.
 */
static size_t select_pinned(const struct lh_hnsw *graph, int32_t centre,
                            const struct lh_hnsw_hit *candidates, size_t count, size_t max,
                            int32_t *ret_kept)
{
    size_t pinned = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        pinned += is_pinned(graph, centre, candidates[i].slot);
    LH_CHECK(pinned <= max);
    for (size_t i = 0; i < count && kept < max; i++) {
        if (is_pinned(graph, centre, candidates[i].slot)) {
            ret_kept[kept++] = candidates[i].slot;
            pinned--;
        } else if (kept + pinned < max && is_diverse(graph, candidates[i], ret_kept, kept)) {
            ret_kept[kept++] = candidates[i].slot;
        }
    }
    return kept;
}

static void write_links(int32_t *links, uint32_t link_max, const int32_t *slots, size_t count)
{
    LH_CHECK(count <= link_max);
    if (count > 0)
        memcpy(links, slots, count * sizeof(*links));
    memset(links + count, 0xff, (link_max - count) * sizeof(*links)); /* -1 */
}

static void insertion_sort(struct lh_hnsw_hit *hits, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct lh_hnsw_hit hit = hits[i];
        size_t at = i;
        for (; at > 0 && hits[at - 1].order > hit.order; at--)
            hits[at] = hits[at - 1];
        hits[at] = hit;
    }
}

/* Adds `slot` to the links of `centre`. A full row is selected anew. */
static void link_back(struct lh_hnsw *graph, int32_t centre, struct lh_hnsw_hit added,
                      uint32_t level, struct lh_hnsw_scratch *scratch)
{
    int32_t *links = lh_hnsw_links(graph, centre, level);
    uint32_t link_max = lh_hnsw_link_max(graph, level);
    uint32_t degree = 0;
    while (degree < link_max && links[degree] >= 0)
        degree++;
    if (degree < link_max) {
        links[degree] = added.slot;
        return;
    }
    float orders[2 * LH_HNSW_M_MAX];
    lh_hnsw_measure(graph, lh_hnsw_row(graph, centre), links, degree, orders);
    for (uint32_t i = 0; i < degree; i++)
        scratch->sorted[i] = (struct lh_hnsw_hit){orders[i], links[i]};
    scratch->sorted[degree] = added;
    insertion_sort(scratch->sorted, degree + 1);
    size_t kept =
        level == 0
            ? select_pinned(graph, centre, scratch->sorted, degree + 1, link_max, scratch->unseen)
            : select_diverse(graph, scratch->sorted, degree + 1, link_max, scratch->unseen);
    write_links(links, link_max, scratch->unseen, kept);
}

/* The n-th child of a node that has more than n. */
static int32_t child_at(const struct lh_hnsw *graph, int32_t slot, uint32_t n)
{
    const int32_t *links = lh_hnsw_links(graph, slot, 0);
    for (uint32_t i = 0; i < 2 * graph->options.m && links[i] >= 0; i++) {
        if (lh_hnsw_parents(graph)[links[i]] == slot && n-- == 0)
            return links[i];
    }
    LH_UNREACHABLE("children are in their parent's row");
    return -1;
}

/* The nearest of the selected that takes one more child; else down its tree, a different way for
 * each slot so that the tree stays flat. */
static int32_t find_parent(const struct lh_hnsw *graph, uint32_t slot, const int32_t *selected,
                           size_t count)
{
    uint32_t children_max = lh_hnsw_children_max(graph);
    for (size_t i = 0; i < count; i++) {
        if (lh_hnsw_children(graph)[selected[i]] < children_max)
            return selected[i];
    }
    int32_t parent = selected[0];
    for (uint32_t way = slot; lh_hnsw_children(graph)[parent] >= children_max; way /= children_max)
        parent = child_at(graph, parent, way % children_max);
    return parent;
}

/* Links a new node on level 0: to the selected ones and, if it is not among them, to its parent. */
static void link_base(struct lh_hnsw *graph, int32_t slot, const float *row,
                      struct lh_hnsw_scratch *scratch, size_t found)
{
    int32_t selected[LH_HNSW_M_MAX + 1];
    size_t count = select_diverse(graph, scratch->pool, found, graph->options.m, selected);
    LH_CHECK(count > 0);
    int32_t parent = find_parent(graph, (uint32_t)slot, selected, count);
    lh_hnsw_parents(graph)[slot] = parent;
    lh_hnsw_children(graph)[parent]++;
    bool among = false;
    for (size_t i = 0; i < count; i++)
        among = among || selected[i] == parent;
    if (!among)
        selected[count++] = parent;
    write_links(lh_hnsw_links(graph, slot, 0), 2 * graph->options.m, selected, count);
    float orders[LH_HNSW_M_MAX + 1];
    lh_hnsw_measure(graph, row, selected, count, orders);
    for (size_t i = 0; i < count; i++)
        link_back(graph, selected[i], (struct lh_hnsw_hit){orders[i], slot}, 0, scratch);
}

static void link_upper(struct lh_hnsw *graph, int32_t slot, const float *row, uint32_t level,
                       struct lh_hnsw_scratch *scratch, size_t found)
{
    int32_t selected[LH_HNSW_M_MAX];
    float orders[LH_HNSW_M_MAX];
    size_t count = select_diverse(graph, scratch->pool, found, graph->options.m, selected);
    write_links(lh_hnsw_links(graph, slot, level), graph->options.m, selected, count);
    lh_hnsw_measure(graph, row, selected, count, orders);
    for (size_t i = 0; i < count; i++)
        link_back(graph, selected[i], (struct lh_hnsw_hit){orders[i], slot}, level, scratch);
}

/* Alg. 1. */
static void link_node(struct lh_hnsw *graph, int32_t slot, uint32_t level,
                      struct lh_hnsw_scratch *scratch)
{
    const float *row = lh_hnsw_row(graph, slot);
    int32_t nearest = graph->entry;
    float order = lh_hnsw_one(graph, row, nearest);
    uint32_t top = graph->entry_level;
    for (; top > level; top--)
        lh_hnsw_descend(graph, row, top, &nearest, &order);
    for (uint32_t at = top;; at--) {
        size_t found = lh_hnsw_search_layer(graph, row, NULL, nearest, order, at,
                                            graph->options.ef_construction, scratch);
        if (found > 0) {
            nearest = scratch->pool[0].slot;
            order = scratch->pool[0].order;
        }
        if (at > 0) {
            link_upper(graph, slot, row, at, scratch, found);
            continue;
        }
        if (found == 0) /* nothing but dead nodes near: there is a live one somewhere */
            found = lh_hnsw_scan_row(graph, row, NULL, 1, scratch, scratch->pool);
        link_base(graph, slot, row, scratch, found);
        return;
    }
}

/* Writes all that belongs to the slot itself; nothing points to it yet. Returns its level. */
static uint32_t write_slot(struct lh_hnsw *graph, uint32_t slot, const float *vector)
{
    float *row = lh_hnsw_row(graph, (int32_t)slot);
    memcpy(row, vector, graph->options.dim_count * sizeof(float)); /* the rest is zero already */
    uint32_t level = lh_hnsw_level_of(graph, slot);
    lh_hnsw_levels(graph)[slot] = (uint8_t)level;
    lh_hnsw_upper_base(graph)[slot] = graph->block_count;
    graph->block_count += level;
    for (uint32_t at = 0; at <= level; at++)
        write_links(lh_hnsw_links(graph, (int32_t)slot, at), lh_hnsw_link_max(graph, at), NULL, 0);
    lh_hnsw_parents(graph)[slot] = -1;
    return level;
}

uint32_t lh_hnsw_add(struct lh_hnsw *graph, const float *vector, struct lh_hnsw_scratch *scratch)
{
    uint32_t slot = graph->count;
    LH_CHECK(((size_t)slot + 1) * sizeof(int32_t) <= graph->parents.usable_bytes);
    lh_hnsw_scratch_fit(scratch, graph, graph->options.ef_construction);
    uint32_t level = write_slot(graph, slot, vector);
    if (graph->entry >= 0)
        link_node(graph, (int32_t)slot, level, scratch);
    graph->count++;
    if (graph->entry < 0 || level > graph->entry_level) {
        graph->entry = (int32_t)slot;
        graph->entry_level = level;
    }
    return slot;
}
