/*
 * The inner loops of the graph around one measure, LH_LOOP(one) and LH_LOOP(four); included once
 * for each measure, in the file of each instruction set, so that the kernels are inlined.
 *
 * A layer search keeps one sorted array that is both the frontier and the result (the paper's C and
 * W): an entry whose slot is negative has been walked through already. Where some nodes may not be
 * found there are two arrays: `ef` bounds those that may, or the others would push them out.
 */
#ifndef LH_VECTORD_HNSW_LOOPS_H
#define LH_VECTORD_HNSW_LOOPS_H

#define LH_WALKED INT32_MIN

enum {
    LOOP_CACHE_LINE = 64,
    LOOP_FETCH_BYTES_MAX = 1024, /* of a row; the processor's own prefetcher does the rest */
    /* Rows to fetch ahead: enough to cover a miss, no more than the cache's queues take. */
    LOOP_AHEAD_SHORT = 12,
    LOOP_AHEAD_LONG = 6,
    LOOP_SHORT_BYTES = 256,
    LOOP_SOON = 4, /* places in the pool from which on a node's links are fetched */
};

static inline void loop_fetch_row(const struct lh_space *space, int32_t slot)
{
    const char *row = lh_space_row(space, slot);
    size_t bytes =
        space->row_bytes < LOOP_FETCH_BYTES_MAX ? space->row_bytes : LOOP_FETCH_BYTES_MAX;
    for (size_t i = 0; i < bytes; i += LOOP_CACHE_LINE)
        __builtin_prefetch(row + i);
}

static inline void loop_fetch_links(const struct lh_hnsw *graph, int32_t slot, uint32_t level)
{
    const char *links = (const char *)lh_hnsw_links(graph, slot, level);
    __builtin_prefetch(links);
    __builtin_prefetch(links + LOOP_CACHE_LINE);
}

/* The neighbours of a node that were not seen before, which they now are. Free of branches: whether
 * a node was seen is as good as random. Slots that are not published all fall on the bit of
 * `limit`, which is set. */
static inline size_t loop_take_unseen(const struct lh_walk *walk, int32_t slot, uint32_t level,
                                      int32_t *ret_unseen)
{
    const int32_t *links = lh_hnsw_links(walk->graph, slot, level);
    uint32_t link_max = lh_hnsw_link_max(walk->graph, level);
    uint64_t *visited = walk->scratch->visited;
    uint32_t limit = walk->limit;
    size_t count = 0;
    for (uint32_t i = 0; i < link_max; i++) {
        int32_t link = lh_hnsw_link_get(links + i);
        if (link < 0)
            break;
        uint32_t place = (uint32_t)link < limit ? (uint32_t)link : limit;
        uint64_t word = visited[place >> 6];
        uint64_t bit = UINT64_C(1) << (place & 63);
        visited[place >> 6] = word | bit;
        ret_unseen[count] = link;
        count += (word & bit) == 0;
    }
    return count;
}

static inline void loop_see(const struct lh_walk *walk, int32_t slot)
{
    walk->scratch->visited[(uint32_t)slot >> 6] |= UINT64_C(1) << ((uint32_t)slot & 63);
}

static inline void loop_begin(const struct lh_walk *walk)
{
    __builtin_memset(walk->scratch->visited, 0, ((size_t)walk->limit / 64 + 1) * sizeof(uint64_t));
    loop_see(walk, (int32_t)walk->limit);
}

/* Nodes to be measured when `slot` is stepped from: neighbours that may be found, and where one may
 * not, its neighbours in its place (ACORN: Patel and others 2024, section 5). */
static inline size_t loop_take_hops(const struct lh_walk *walk, int32_t slot, int32_t *ret_unseen)
{
    const struct lh_hnsw *graph = walk->graph;
    int32_t *near = walk->scratch->near, *far = walk->scratch->far;
    size_t wanted = 2 * (size_t)graph->options.m, count = 0, over = 0;
    size_t near_count = loop_take_unseen(walk, slot, 0, near);
    for (size_t i = 0; i < near_count; i++) {
        if (lh_hnsw_may_find(graph, walk->filter, near[i])) {
            ret_unseen[count++] = near[i];
        } else {
            loop_fetch_links(graph, near[i], 0);
            near[over++] = near[i];
        }
    }
    for (size_t i = 0; i < over && count < wanted; i++) {
        size_t far_count = loop_take_unseen(walk, near[i], 0, far);
        for (size_t j = 0; j < far_count; j++) {
            if (lh_hnsw_may_find(graph, walk->filter, far[j]))
                ret_unseen[count++] = far[j];
        }
    }
    return count; /* less than two rows */
}

#endif

/* An order as a whole number that sorts as it does: comparing those takes half the time. Squared
 * distances are never negative. */
static inline int32_t LH_LOOP(key)(float order)
{
    int32_t bits;
    __builtin_memcpy(&bits, &order, sizeof(bits));
    return LH_LOOP_NEGATIVE && bits < 0 ? bits ^ INT32_MAX : bits;
}

/* As lh_hits_insert. */
static inline size_t LH_LOOP(insert)(struct lh_hnsw_hit *hits, size_t *count, size_t max,
                                     struct lh_hnsw_hit entry)
{
    int32_t key = LH_LOOP(key)(entry.order);
    if (*count == max)
        (*count)--;
    /* Upper bound, free of branches: which half it is in is as good as random. */
    size_t low = 0;
    for (size_t left = *count; left > 0;) {
        size_t half = (left + 1) / 2;
        low += LH_LOOP(key)(hits[low + half - 1].order) <= key ? half : 0;
        left -= half;
    }
    __builtin_memmove(hits + low + 1, hits + low, (*count - low) * sizeof(*hits));
    hits[low] = entry;
    (*count)++;
    return low;
}

static void LH_LOOP(measure)(const struct lh_space *space, const void *query, const int32_t *slots,
                             size_t count, float *ret_orders)
{
    size_t bytes = space->row_bytes;
    size_t ahead = bytes <= LOOP_SHORT_BYTES ? LOOP_AHEAD_SHORT : LOOP_AHEAD_LONG;
    for (size_t i = 0; i < count && i < ahead; i++)
        loop_fetch_row(space, slots[i]);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t j = i + ahead; j < i + ahead + 4 && j < count; j++)
            loop_fetch_row(space, slots[j]);
        const void *const rows[4] = {
            lh_space_row(space, slots[i]), lh_space_row(space, slots[i + 1]),
            lh_space_row(space, slots[i + 2]), lh_space_row(space, slots[i + 3])};
        LH_LOOP(four)(query, rows, bytes, ret_orders + i);
    }
    for (; i < count; i++)
        ret_orders[i] = LH_LOOP(one)(query, lh_space_row(space, slots[i]), bytes);
}

static void LH_LOOP(descend)(const struct lh_walk *walk, uint32_t level, struct lh_hnsw_hit *at)
{
    int32_t *near = walk->scratch->near;
    float *orders = walk->scratch->orders;
    bool moved = true;
    while (moved) {
        const int32_t *links = lh_hnsw_links(walk->graph, at->slot, level);
        size_t degree = 0;
        for (uint32_t i = 0; i < walk->graph->options.m; i++) {
            int32_t link = lh_hnsw_link_get(links + i);
            if (link < 0)
                break;
            near[degree] = link;
            degree += (uint32_t)link < walk->limit;
        }
        LH_LOOP(measure)(walk->space, walk->query, near, degree, orders);
        walk->scratch->distances += degree;
        moved = false;
        for (size_t i = 0; i < degree; i++) {
            if (orders[i] < at->order) {
                *at = (struct lh_hnsw_hit){orders[i], near[i]};
                moved = true;
            }
        }
    }
}

/* The pool is frontier and result. */
static inline size_t LH_LOOP(walk_pool)(const struct lh_walk *walk, size_t count, uint32_t level,
                                        size_t ef, bool hops)
{
    struct lh_hnsw_scratch *scratch = walk->scratch;
    struct lh_hnsw_hit *pool = scratch->pool;
    int32_t *unseen = scratch->unseen;
    float *orders = scratch->orders;
    uint64_t distances = 0;
    size_t current = 0;
    while (current < count) {
        int32_t slot = pool[current].slot;
        pool[current].slot |= LH_WALKED;
        size_t taken =
            hops ? loop_take_hops(walk, slot, unseen) : loop_take_unseen(walk, slot, level, unseen);
        LH_LOOP(measure)(walk->space, walk->query, unseen, taken, orders);
        distances += taken;
        size_t lowest = current + 1;
        for (size_t i = 0; i < taken; i++) {
            if (count == ef && orders[i] >= pool[count - 1].order)
                continue;
            size_t place =
                LH_LOOP(insert)(pool, &count, ef, (struct lh_hnsw_hit){orders[i], unseen[i]});
            if (place < current + LOOP_SOON)
                loop_fetch_links(walk->graph, unseen[i], level);
            if (place < lowest)
                lowest = place;
        }
        current = lowest;
        while (current < count && pool[current].slot < 0)
            current++;
    }
    for (size_t i = 0; i < count; i++)
        pool[i].slot &= ~LH_WALKED;
    scratch->distances += distances;
    return count;
}

static size_t LH_LOOP(walk_all)(const struct lh_walk *walk, struct lh_hnsw_hit start,
                                uint32_t level, size_t ef)
{
    loop_begin(walk);
    loop_see(walk, start.slot);
    walk->scratch->pool[0] = start;
    return LH_LOOP(walk_pool)(walk, 1, level, ef, false);
}

/* The starts need not be such as may be found: those are taken out at the end. */
static size_t LH_LOOP(walk_hops)(const struct lh_walk *walk, const struct lh_hnsw_hit *starts,
                                 size_t start_count, size_t ef)
{
    struct lh_hnsw_hit *pool = walk->scratch->pool;
    size_t count = 0, kept = 0;
    loop_begin(walk);
    for (size_t i = 0; i < start_count; i++) {
        loop_see(walk, starts[i].slot);
        LH_LOOP(insert)(pool, &count, ef + start_count, starts[i]);
    }
    count = LH_LOOP(walk_pool)(walk, count, 0, ef + start_count, true);
    for (size_t i = 0; i < count; i++) {
        if (lh_hnsw_may_find(walk->graph, walk->filter, pool[i].slot))
            pool[kept++] = pool[i];
    }
    return kept < ef ? kept : ef;
}

/* The frontier is four times as long as the pool, so that a region of nodes that may not be found
 * is crossed. */
static size_t LH_LOOP(walk_some)(const struct lh_walk *walk, struct lh_hnsw_hit start,
                                 uint32_t level, size_t ef)
{
    struct lh_hnsw_scratch *scratch = walk->scratch;
    struct lh_hnsw_hit *pool = scratch->pool, *frontier = scratch->frontier;
    int32_t *unseen = scratch->unseen;
    float *orders = scratch->orders;
    size_t frontier_max = 4 * ef + 64;
    size_t found = 0, waiting = 0, current = 0;
    loop_begin(walk);
    loop_see(walk, start.slot);
    LH_LOOP(insert)(frontier, &waiting, frontier_max, start);
    if (lh_hnsw_may_find(walk->graph, walk->filter, start.slot))
        LH_LOOP(insert)(pool, &found, ef, start);
    while (current < waiting && (found < ef || frontier[current].order <= pool[found - 1].order)) {
        int32_t slot = frontier[current].slot;
        frontier[current].slot |= LH_WALKED;
        size_t taken = loop_take_unseen(walk, slot, level, unseen);
        LH_LOOP(measure)(walk->space, walk->query, unseen, taken, orders);
        scratch->distances += taken;
        size_t lowest = current + 1;
        for (size_t i = 0; i < taken; i++) {
            struct lh_hnsw_hit hit = {orders[i], unseen[i]};
            if (found == ef && hit.order >= pool[found - 1].order)
                continue;
            if (waiting < frontier_max || hit.order < frontier[waiting - 1].order) {
                size_t place = LH_LOOP(insert)(frontier, &waiting, frontier_max, hit);
                if (place < lowest)
                    lowest = place;
            }
            if (lh_hnsw_may_find(walk->graph, walk->filter, hit.slot))
                LH_LOOP(insert)(pool, &found, ef, hit);
        }
        current = lowest;
        while (current < waiting && frontier[current].slot < 0)
            current++;
    }
    return found;
}

static inline bool LH_LOOP(is_diverse)(const struct lh_space *space, struct lh_hnsw_hit candidate,
                                       const int32_t *kept, size_t kept_count)
{
    const void *row = lh_space_row(space, candidate.slot);
    float orders[4];
    size_t i = 0;
    for (; i + 4 <= kept_count; i += 4) {
        const void *const rows[4] = {lh_space_row(space, kept[i]), lh_space_row(space, kept[i + 1]),
                                     lh_space_row(space, kept[i + 2]),
                                     lh_space_row(space, kept[i + 3])};
        LH_LOOP(four)(row, rows, space->row_bytes, orders);
        if (orders[0] < candidate.order || orders[1] < candidate.order ||
            orders[2] < candidate.order || orders[3] < candidate.order)
            return false;
    }
    for (; i < kept_count; i++) {
        if (LH_LOOP(one)(row, lh_space_row(space, kept[i]), space->row_bytes) < candidate.order)
            return false;
    }
    return true;
}

static size_t LH_LOOP(select)(const struct lh_space *space, const struct lh_hnsw_hit *candidates,
                              const bool *pinned, size_t count, size_t max, int32_t *ret_kept)
{
    size_t kept = 0, pins = 0; /* those still to come leave the others less room */
    for (size_t i = 0; pinned != NULL && i < count; i++)
        pins += pinned[i];
    for (size_t i = 0; i < count && kept < max; i++) {
        if (i + LOOP_AHEAD_LONG < count)
            loop_fetch_row(space, candidates[i + LOOP_AHEAD_LONG].slot);
        if (pinned != NULL && pinned[i]) {
            ret_kept[kept++] = candidates[i].slot;
            pins--;
        } else if (kept + pins < max && LH_LOOP(is_diverse)(space, candidates[i], ret_kept, kept)) {
            ret_kept[kept++] = candidates[i].slot;
        }
    }
    return kept;
}

static const struct lh_loops LH_LOOP(loops) = {
    .measure = LH_LOOP(measure),
    .descend = LH_LOOP(descend),
    .walk_all = LH_LOOP(walk_all),
    .walk_some = LH_LOOP(walk_some),
    .walk_hops = LH_LOOP(walk_hops),
    .select = LH_LOOP(select),
};
