/*
 * Inserting into the graph: Alg. 1 of the paper, neighbour selection by its Alg. 4 without refill,
 * and the tree of pinned links that keeps level 0 connected (see hnsw.h).
 *
 * Up to LH_HNSW_LINK_MAX nodes are linked together, in three steps:
 *  1. Each finds its neighbours, in parallel, in the graph as it was before and among the new nodes
 *     before it (all of which it looks at). It writes its own rows only, which nobody reads yet.
 *  2. One after the other they are given their parents.
 *  3. The chosen link back. Each row belongs to one thread, which goes through the new nodes in
 *     order; so nothing is locked, and the result is the same for any number of threads.
 *
 * A row that is full is selected anew, from its links and the new one, around the row's own node.
 * Pinned links are always kept: at most one parent and m / 2 children in a row of 2 m.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/hnsw_private.h"

/* What a new node has chosen on one level. */
struct joint {
    int32_t slot;
    uint32_t level;
    uint32_t count;
    int32_t selected[LH_HNSW_M_MAX + 1]; /* on level 0 its parent, too */
    float orders[LH_HNSW_M_MAX + 1];
};

struct lh_builder {
    struct lh_crew *crew;
    struct lh_hnsw_scratch *scratches; /* one for each thread */
    struct joint *joints;
    size_t joint_max;

    /* The step under way. */
    struct lh_hnsw *graph;
    struct lh_space space;
    uint32_t first; /* new slot */
    uint32_t count;
    uint32_t *joint_of; /* of a new node: its joint on level 0, those of levels 1, 2, ... follow */
    size_t joint_count;
};

struct lh_builder *lh_builder_new(unsigned thread_count)
{
    struct lh_builder *builder = lh_calloc(1, sizeof(*builder));
    builder->crew = lh_crew_new(thread_count);
    builder->scratches = lh_calloc(lh_crew_size(builder->crew), sizeof(*builder->scratches));
    builder->joint_of = lh_calloc(LH_HNSW_LINK_MAX, sizeof(*builder->joint_of));
    return builder;
}

void lh_builder_free(struct lh_builder *builder)
{
    if (builder == NULL)
        return;
    for (size_t i = 0; i < lh_crew_size(builder->crew); i++)
        lh_hnsw_scratch_deinit(&builder->scratches[i]);
    lh_crew_free(builder->crew);
    free(builder->scratches);
    free(builder->joints);
    free(builder->joint_of);
    free(builder);
}

struct lh_crew *lh_builder_crew(const struct lh_builder *builder)
{
    return builder->crew;
}

struct lh_hnsw_scratch *lh_builder_scratch(const struct lh_builder *builder, size_t thread)
{
    return &builder->scratches[thread];
}

/* ---- the slots themselves ---- */

/* Writes all that belongs to the slot itself; nothing points to it yet. */
static void write_slot(struct lh_hnsw *graph, uint32_t slot, const float *vector)
{
    float *row = lh_hnsw_row(graph, (int32_t)slot);
    memcpy(row, vector, graph->options.dim_count * sizeof(float)); /* the rest is zero already */
    uint32_t level = lh_hnsw_level_of(graph, slot);
    lh_hnsw_levels(graph)[slot] = (uint8_t)level;
    lh_hnsw_upper_base(graph)[slot] = graph->block_count;
    graph->block_count += level;
    for (uint32_t at = 0; at <= level; at++)
        lh_hnsw_write_links(lh_hnsw_links(graph, (int32_t)slot, at), lh_hnsw_link_max(graph, at),
                            NULL, 0);
    lh_hnsw_parents(graph)[slot] = -1;
    if (graph->codes != NULL)
        lh_codes_encode(graph->codes, row, lh_codes_row(graph->codes, slot));
}

static void write_slots(struct lh_builder *builder, const float *const *vectors)
{
    struct lh_hnsw *graph = builder->graph;
    builder->joint_count = 0;
    for (uint32_t i = 0; i < builder->count; i++) {
        uint32_t slot = builder->first + i;
        write_slot(graph, slot, vectors[i]);
        uint32_t level = lh_hnsw_levels(graph)[slot];
        builder->joints = lh_grow(builder->joints, &builder->joint_max,
                                  builder->joint_count + level + 1, sizeof(*builder->joints));
        builder->joint_of[i] = (uint32_t)builder->joint_count;
        for (uint32_t at = 0; at <= level; at++) {
            struct joint *joint = &builder->joints[builder->joint_count++];
            joint->slot = (int32_t)slot;
            joint->level = at;
            joint->count = 0;
        }
    }
}

/* ---- 1. finding neighbours ---- */

/* Adds the new nodes before this one that are on the level to the pool. */
static size_t offer_mates(const struct lh_builder *builder, const struct lh_walk *walk,
                          int32_t slot, uint32_t level, size_t found)
{
    size_t ef = builder->graph->options.ef_construction;
    struct lh_hnsw_hit *pool = walk->scratch->pool;
    int32_t mates[64];
    float orders[64];
    for (int32_t mate = (int32_t)builder->first; mate < slot;) {
        size_t count = 0;
        for (; mate < slot && count < LH_COUNT(mates); mate++) {
            mates[count] = mate;
            count += lh_hnsw_levels(builder->graph)[mate] >= level;
        }
        builder->space.loops->measure(&builder->space, walk->query, mates, count, orders);
        for (size_t i = 0; i < count; i++) {
            if (found < ef || orders[i] < pool[found - 1].order)
                lh_hits_insert(pool, &found, ef, (struct lh_hnsw_hit){orders[i], mates[i]});
        }
    }
    return found;
}

/* Alg. 4 on what the pool holds; the result is the node's own row. */
static void choose(const struct lh_builder *builder, const struct lh_walk *walk,
                   struct joint *joint, size_t found)
{
    const struct lh_hnsw *graph = builder->graph;
    joint->count = (uint32_t)builder->space.loops->select(
        &builder->space, walk->scratch->pool, NULL, found, graph->options.m, joint->selected);
    builder->space.loops->measure(&builder->space, walk->query, joint->selected, joint->count,
                                  joint->orders);
    lh_hnsw_write_links(lh_hnsw_links(graph, joint->slot, joint->level),
                        lh_hnsw_link_max(graph, joint->level), joint->selected, joint->count);
}

/* The nearest live nodes of a level into the pool; returns how many. *at: where to begin, and then
 * the nearest. */
static size_t find_near(const struct lh_walk *walk, uint32_t level, struct lh_hnsw_hit *at)
{
    const struct lh_loops *loops = walk->space->loops;
    size_t ef = walk->graph->options.ef_construction;
    size_t found = walk->graph->dead_count == 0 ? loops->walk_all(walk, *at, level, ef)
                                                : loops->walk_some(walk, *at, level, ef);
    if (found > 0)
        *at = walk->scratch->pool[0];
    return found;
}

/* Alg. 1 for one new node, but for linking back. */
static void join(const struct lh_builder *builder, uint32_t number, struct lh_hnsw_scratch *scratch)
{
    const struct lh_hnsw *graph = builder->graph;
    int32_t slot = (int32_t)(builder->first + number);
    struct joint *joints = &builder->joints[builder->joint_of[number]];
    struct lh_walk walk = {.graph = graph,
                           .space = &builder->space,
                           .query = lh_space_row(&builder->space, slot),
                           .scratch = scratch,
                           .limit = builder->first};
    bool any = graph->entry >= 0;
    struct lh_hnsw_hit at = {0};
    uint32_t level = lh_hnsw_levels(graph)[slot];
    lh_hnsw_scratch_fit(scratch, graph, graph->options.ef_construction);
    if (any) {
        at = (struct lh_hnsw_hit){lh_space_one(&builder->space, walk.query, graph->entry),
                                  graph->entry};
        for (uint32_t top = graph->entry_level; top > level; top--)
            builder->space.loops->descend(&walk, top, &at);
    }
    for (uint32_t on = level + 1; on-- > 0;) {
        size_t found = any && on <= graph->entry_level ? find_near(&walk, on, &at) : 0;
        found = offer_mates(builder, &walk, slot, on, found);
        if (found == 0 && on == 0 && any) /* nothing but dead ones near: somewhere one lives */
            found =
                lh_hnsw_scan_row(graph, lh_hnsw_row(graph, slot), NULL, 1, scratch, scratch->pool);
        choose(builder, &walk, &joints[on], found);
    }
}

static void join_part(void *ctx, size_t thread, size_t part)
{
    struct lh_builder *builder = ctx;
    join(builder, (uint32_t)part, &builder->scratches[thread]);
}

/* ---- 2. parents ---- */

/* The nearest of the selected that takes one more child; else the node before this one, which has
 * none yet. */
static int32_t find_parent(const struct lh_hnsw *graph, const struct joint *joint)
{
    for (size_t i = 0; i < joint->count; i++) {
        if (lh_hnsw_children(graph)[joint->selected[i]] < lh_hnsw_children_max(graph))
            return joint->selected[i];
    }
    return joint->slot - 1;
}

static void give_parent(struct lh_builder *builder, struct joint *joint)
{
    struct lh_hnsw *graph = builder->graph;
    if (joint->count == 0)
        return; /* a root */
    int32_t parent = find_parent(graph, joint);
    lh_hnsw_parents(graph)[joint->slot] = parent;
    lh_hnsw_children(graph)[parent]++;
    for (size_t i = 0; i < joint->count; i++) {
        if (joint->selected[i] == parent)
            return;
    }
    lh_hnsw_link_set(lh_hnsw_links(graph, joint->slot, 0) + joint->count, parent);
    joint->selected[joint->count] = parent;
    joint->orders[joint->count++] =
        lh_space_one(&builder->space, lh_space_row(&builder->space, joint->slot), parent);
}

/* ---- 3. linking back ---- */

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

/* Adds a node to the links of `centre`. A full row is selected anew. */
static void link_back(const struct lh_builder *builder, int32_t centre, struct lh_hnsw_hit added,
                      uint32_t level, struct lh_hnsw_scratch *scratch)
{
    const struct lh_hnsw *graph = builder->graph;
    const struct lh_space *space = &builder->space;
    int32_t *links = lh_hnsw_links(graph, centre, level);
    uint32_t link_max = lh_hnsw_link_max(graph, level);
    uint32_t degree = 0;
    while (degree < link_max && links[degree] >= 0)
        degree++;
    if (degree < link_max) {
        lh_hnsw_link_set(links + degree, added.slot);
        return;
    }
    space->loops->measure(space, lh_space_row(space, centre), links, degree, scratch->orders);
    for (uint32_t i = 0; i < degree; i++)
        scratch->sorted[i] = (struct lh_hnsw_hit){scratch->orders[i], links[i]};
    scratch->sorted[degree] = added;
    insertion_sort(scratch->sorted, degree + 1);
    for (uint32_t i = 0; level == 0 && i <= degree; i++)
        scratch->pinned[i] = lh_hnsw_is_pinned(graph, centre, scratch->sorted[i].slot);
    size_t kept = space->loops->select(space, scratch->sorted, level == 0 ? scratch->pinned : NULL,
                                       degree + 1, link_max, scratch->unseen);
    lh_hnsw_write_links(links, link_max, scratch->unseen, kept);
}

/* The rows of one thread. */
static void link_part(void *ctx, size_t thread, size_t part)
{
    struct lh_builder *builder = ctx;
    size_t threads = lh_crew_size(builder->crew);
    struct lh_hnsw_scratch *scratch = &builder->scratches[thread];
    lh_hnsw_scratch_fit(scratch, builder->graph, 1);
    for (size_t i = 0; i < builder->joint_count; i++) {
        const struct joint *joint = &builder->joints[i];
        for (size_t j = 0; j < joint->count; j++) {
            if ((uint32_t)joint->selected[j] % threads == part)
                link_back(builder, joint->selected[j],
                          (struct lh_hnsw_hit){joint->orders[j], joint->slot}, joint->level,
                          scratch);
        }
    }
}

/* ---- all of it ---- */

void lh_hnsw_link(struct lh_hnsw *graph, const float *const *vectors, uint32_t count,
                  struct lh_builder *builder)
{
    LH_CHECK(count <= LH_HNSW_LINK_MAX);
    LH_CHECK(((size_t)graph->count + count) * sizeof(int32_t) <= graph->parents.usable_bytes);
    builder->graph = graph;
    builder->space = lh_hnsw_walk_space(graph);
    builder->first = graph->count;
    builder->count = count;
    write_slots(builder, vectors);
    lh_crew_run(builder->crew, join_part, builder, count);
    for (uint32_t i = 0; i < count; i++)
        give_parent(builder, &builder->joints[builder->joint_of[i]]);
    lh_crew_run(builder->crew, link_part, builder, lh_crew_size(builder->crew));
}

void lh_hnsw_publish(struct lh_hnsw *graph, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = graph->count++;
        uint32_t level = lh_hnsw_levels(graph)[slot];
        if (graph->entry < 0 || level > graph->entry_level) {
            graph->entry = (int32_t)slot;
            graph->entry_level = level;
        }
    }
}

uint32_t lh_hnsw_add(struct lh_hnsw *graph, const float *vector, struct lh_builder *builder)
{
    lh_hnsw_link(graph, &vector, 1, builder);
    lh_hnsw_publish(graph, 1);
    return graph->count - 1;
}
