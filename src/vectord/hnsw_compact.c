/*
 * Copying a graph without its dead nodes. Slots are numbered anew in their order, and what the dead
 * held together is mended:
 *  - A row that led to dead nodes is selected anew, from its live links and the live links of those
 *    dead nodes, up to all that a row may hold. So deleting does not thin the graph out.
 *  - A node whose parent died becomes a child of its nearest living ancestor, or of another older
 *    node that takes one more (slots keep their order, so older stays older). Links of the tree are
 * pinned as ever (hnsw.h).
 *
 * The old graph may be searched and added to meanwhile: what is read of it is written once, but for
 * the links, of which any mix of old and new will do.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

enum {
    BLOCK = 256,    /* slots that a thread takes at a time */
    ROW_MAX = 1024, /* candidates of one row */
};

struct compaction {
    struct lh_hnsw *to;
    const struct lh_hnsw *from;
    struct lh_space space; /* of `to`: its rows are there before its links */
    struct lh_builder *builder;
    int32_t *new_of; /* by old slot; -1 = left out */
    uint32_t *old_of;
    uint32_t end; /* of the old slots */
    uint32_t count;
    /* Children that a parent has: those of parent p are children[first_child[p]] and on. */
    uint32_t *first_child;
    int32_t *children;
};

/* ---- slots ---- */

static uint32_t number_anew(struct compaction *c, const uint64_t *left_out)
{
    uint32_t blocks = 0;
    for (uint32_t old = 0; old < c->end; old++) {
        c->new_of[old] = -1;
        if ((left_out[old >> 6] >> (old & 63)) & 1)
            continue;
        c->new_of[old] = (int32_t)c->count;
        c->old_of[c->count++] = old;
        blocks += lh_hnsw_levels(c->from)[old];
    }
    return blocks;
}

static void copy_rows(struct compaction *c)
{
    struct lh_hnsw *to = c->to;
    uint32_t blocks = 0;
    for (uint32_t slot = 0; slot < c->count; slot++) {
        uint32_t old = c->old_of[slot];
        memcpy(lh_hnsw_row(to, (int32_t)slot), lh_hnsw_row(c->from, (int32_t)old),
               to->row_floats * sizeof(float));
        lh_hnsw_levels(to)[slot] = lh_hnsw_levels(c->from)[old];
        lh_hnsw_upper_base(to)[slot] = blocks;
        blocks += lh_hnsw_levels(to)[slot];
        if (to->codes != NULL)
            lh_codes_encode(to->codes, lh_hnsw_row(to, (int32_t)slot),
                            lh_codes_row(to->codes, slot));
        if (to->entry < 0 || lh_hnsw_levels(to)[slot] > to->entry_level) {
            to->entry = (int32_t)slot;
            to->entry_level = lh_hnsw_levels(to)[slot];
        }
    }
    to->block_count = blocks;
}

/* ---- the tree ---- */

/* The nearest ancestor that is still there, as a new slot; -1 when there is none. */
static int32_t living_ancestor(const struct compaction *c, uint32_t slot)
{
    int32_t old = lh_hnsw_parents(c->from)[c->old_of[slot]];
    while (old >= 0 && c->new_of[old] < 0)
        old = lh_hnsw_parents(c->from)[old];
    return old < 0 ? -1 : c->new_of[old];
}

static bool takes_a_child(const struct compaction *c, int32_t slot)
{
    return lh_hnsw_children(c->to)[slot] < lh_hnsw_children_max(c->to);
}

/* Its parent or an ancestor, a neighbour, or any that is older and has room. There is one: the
 * nodes before it have less than one child each so far, and may have two. */
static int32_t find_parent(const struct compaction *c, uint32_t slot)
{
    int32_t ancestor = living_ancestor(c, slot);
    if (ancestor >= 0 && takes_a_child(c, ancestor))
        return ancestor;
    const int32_t *links = lh_hnsw_links(c->from, (int32_t)c->old_of[slot], 0);
    for (uint32_t i = 0; i < 2 * c->to->options.m; i++) {
        int32_t link = lh_hnsw_link_get(links + i);
        if (link < 0)
            break;
        int32_t neighbour = (uint32_t)link < c->end ? c->new_of[link] : -1;
        if (neighbour >= 0 && neighbour < (int32_t)slot && takes_a_child(c, neighbour))
            return neighbour;
    }
    int32_t before = (int32_t)slot - 1;
    while (!takes_a_child(c, before))
        before--;
    return before;
}

static void adopt_children(struct compaction *c)
{
    int32_t *parents = lh_hnsw_parents(c->to);
    uint8_t *children = lh_hnsw_children(c->to);
    if (c->count > 0)
        parents[0] = -1;
    for (uint32_t slot = 1; slot < c->count; slot++) {
        parents[slot] = find_parent(c, slot);
        children[parents[slot]]++;
    }
    /* Every parent's children in one place. */
    uint32_t at = 0;
    for (uint32_t slot = 0; slot < c->count; slot++) {
        c->first_child[slot] = at;
        at += children[slot];
    }
    c->first_child[c->count] = at;
    for (uint32_t slot = c->count; slot-- > 1;)
        c->children[c->first_child[parents[slot]] + --children[parents[slot]]] = (int32_t)slot;
    for (uint32_t slot = 0; slot < c->count; slot++)
        children[slot] = (uint8_t)(c->first_child[slot + 1] - c->first_child[slot]);
}

/* ---- links ---- */

/* Candidates of one row, new slots, each once. */
struct row {
    int32_t *slots;
    size_t count, max;
    bool mended; /* it had dead links */
};

static void offer(struct row *row, int32_t centre, int32_t slot)
{
    if (slot < 0 || slot == centre || row->count == row->max)
        return;
    for (size_t i = 0; i < row->count; i++) {
        if (row->slots[i] == slot)
            return;
    }
    row->slots[row->count++] = slot;
}

static void offer_row(const struct compaction *c, struct row *row, int32_t centre, int32_t old,
                      uint32_t level)
{
    const int32_t *links = lh_hnsw_links(c->from, old, level);
    for (uint32_t i = 0; i < lh_hnsw_link_max(c->from, level); i++) {
        int32_t link = lh_hnsw_link_get(links + i);
        if (link < 0)
            break;
        if ((uint32_t)link < c->end)
            offer(row, centre, c->new_of[link]);
    }
}

/* Its pins and live links, then the links of its dead ones. */
static void collect(const struct compaction *c, struct row *row, int32_t centre, uint32_t level)
{
    int32_t old = (int32_t)c->old_of[centre];
    if (level == 0) {
        offer(row, centre, lh_hnsw_parents(c->to)[centre]);
        for (uint32_t i = c->first_child[centre]; i < c->first_child[centre + 1]; i++)
            offer(row, centre, c->children[i]);
    }
    offer_row(c, row, centre, old, level);
    const int32_t *links = lh_hnsw_links(c->from, old, level);
    for (uint32_t i = 0; i < lh_hnsw_link_max(c->from, level); i++) {
        int32_t link = lh_hnsw_link_get(links + i);
        if (link < 0)
            break;
        if ((uint32_t)link >= c->end || c->new_of[link] >= 0)
            continue;
        row->mended = true;
        offer_row(c, row, centre, link, level);
    }
}

static int compare_hits(const void *left, const void *right)
{
    const struct lh_hnsw_hit *a = left, *b = right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

/* Selects what the row may hold from more, or from others, than it held. */
static size_t select_row(const struct compaction *c, const struct row *row, int32_t centre,
                         uint32_t level, struct lh_hnsw_scratch *scratch)
{
    struct lh_hnsw_hit *sorted = scratch->frontier;
    float orders[64];
    bool pinned[ROW_MAX];
    for (size_t i = 0; i < row->count; i += LH_COUNT(orders)) {
        size_t some = row->count - i < LH_COUNT(orders) ? row->count - i : LH_COUNT(orders);
        c->space.loops->measure(&c->space, lh_space_row(&c->space, centre), row->slots + i, some,
                                orders);
        for (size_t j = 0; j < some; j++)
            sorted[i + j] = (struct lh_hnsw_hit){orders[j], row->slots[i + j]};
    }
    qsort(sorted, row->count, sizeof(*sorted), compare_hits);
    for (size_t i = 0; i < row->count; i++)
        pinned[i] = lh_hnsw_is_pinned(c->to, centre, sorted[i].slot);
    return c->space.loops->select(&c->space, sorted, level == 0 ? pinned : NULL, row->count,
                                  lh_hnsw_link_max(c->to, level), scratch->unseen);
}

static void mend_row(const struct compaction *c, int32_t centre, uint32_t level,
                     struct lh_hnsw_scratch *scratch)
{
    int32_t slots[ROW_MAX];
    struct row row = {.slots = slots, .max = ROW_MAX};
    uint32_t link_max = lh_hnsw_link_max(c->to, level);
    collect(c, &row, centre, level);
    if (!row.mended && row.count <= link_max) {
        lh_hnsw_write_links(lh_hnsw_links(c->to, centre, level), link_max, slots, row.count);
        return;
    }
    size_t kept = select_row(c, &row, centre, level, scratch);
    lh_hnsw_write_links(lh_hnsw_links(c->to, centre, level), link_max, scratch->unseen, kept);
}

static void mend_part(void *ctx, size_t thread, size_t part)
{
    const struct compaction *c = ctx;
    struct lh_hnsw_scratch *scratch = lh_builder_scratch(c->builder, thread);
    lh_hnsw_scratch_fit(scratch, c->to, ROW_MAX);
    uint32_t end =
        (uint32_t)(part + 1) * BLOCK < c->count ? (uint32_t)(part + 1) * BLOCK : c->count;
    for (uint32_t slot = (uint32_t)part * BLOCK; slot < end; slot++) {
        for (uint32_t level = 0; level <= lh_hnsw_levels(c->to)[slot]; level++)
            mend_row(c, (int32_t)slot, level, scratch);
    }
}

lh_code lh_hnsw_compact(struct lh_hnsw *to, const struct lh_hnsw *from, uint32_t end,
                        const uint64_t *left_out, struct lh_builder *builder, struct lh_error *err)
{
    LH_CHECK(to->count == 0 && to->options.m == from->options.m);
    LH_AUTO_FREE int32_t *new_of = lh_try_malloc((size_t)end + 1, sizeof(*new_of));
    LH_AUTO_FREE uint32_t *old_of = lh_try_malloc((size_t)end + 1, sizeof(*old_of));
    LH_AUTO_FREE uint32_t *first_child = lh_try_malloc((size_t)end + 1, sizeof(*first_child));
    LH_AUTO_FREE int32_t *children = lh_try_malloc((size_t)end + 1, sizeof(*children));
    if (new_of == NULL || old_of == NULL || first_child == NULL || children == NULL)
        return lh_fail(err, LH_INDEX_MEMORY, "no memory to number %u slots", end);
    struct compaction c = {.to = to,
                           .from = from,
                           .builder = builder,
                           .new_of = new_of,
                           .old_of = old_of,
                           .end = end,
                           .first_child = first_child,
                           .children = children};
    uint32_t blocks = number_anew(&c, left_out);
    LH_TRY(lh_hnsw_load_begin(to, c.count, blocks, err));
    copy_rows(&c);
    adopt_children(&c);
    c.space = lh_hnsw_walk_space(to);
    lh_crew_run(lh_builder_crew(builder), mend_part, &c, (c.count + BLOCK - 1) / BLOCK);
    to->count = c.count;
    return LH_OK;
}
