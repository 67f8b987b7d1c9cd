/*
 * The graph: hierarchical navigable small world (Malkov & Yashunin 2018, "Efficient and robust
 * approximate nearest neighbor search using hierarchical navigable small world graphs"), over rows
 * of floats kept in flat arrays.
 *
 * A node is a slot number. Slots are handed out in order and never reused, so everything of a slot
 * but its links is written once: that is what lets a snapshot be written while others search and
 * insert. Dead slots are given up by copying the rest (lh_hnsw_compact).
 *
 * What differs from the paper, and why:
 *  - Every node but a root has a parent, an older node; the links parent -> node and node -> parent
 *    on level 0 are pinned: pruning never drops them. So level 0 holds a tree whose links go both
 *    ways, and every live node is reachable from every other, whatever the data (ten thousand equal
 *    vectors, too). The paper's heuristic alone leaves nodes that nothing points to.
 *  - A deleted node stays in the graph and is walked through, never returned.
 *  - A node's level comes from a hash of the seed and its slot: the same operations build the same
 *    graph.
 *
 * One writer at a time. Searches may run beside lh_hnsw_reserve and lh_hnsw_link; not beside
 * lh_hnsw_publish, lh_hnsw_delete and lh_hnsw_set_codes, which take moments.
 */
#ifndef LH_VECTORD_HNSW_H
#define LH_VECTORD_HNSW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vectord/codes.h"
#include "vectord/distance.h"
#include "vectord/rows.h"

enum lh_metric { LH_METRIC_COSINE, LH_METRIC_L2, LH_METRIC_IP };

enum {
    LH_HNSW_M_MIN = 4,
    LH_HNSW_M_MAX = 128,
    LH_HNSW_EF_CONSTRUCTION_MAX = 4096,
    LH_HNSW_LEVEL_MAX = 20,
};

struct lh_hnsw_options {
    uint32_t dim_count;
    enum lh_metric metric;
    uint32_t m;               /* links of a node on the upper levels; twice that on level 0 */
    uint32_t ef_construction; /* nodes looked at when one is linked */
    uint64_t seed;            /* of the levels */
    uint32_t slots_max;       /* address space is reserved for so many */
};

/* Arrays by slot, as they are persisted (docs/formats/lhv1.md). */
struct lh_hnsw {
    struct lh_hnsw_options options;
    const struct lh_isa *isa;
    size_t row_floats;

    struct lh_rows vectors;    /* float[row_floats] */
    struct lh_rows links0;     /* int32_t[2 m]: slots, filled from the left, -1 ends the row */
    struct lh_rows upper;      /* int32_t[m] blocks: levels 1, 2, ... of a slot one after another */
    struct lh_rows upper_base; /* uint32_t: number of the slot's first block */
    struct lh_rows levels;     /* uint8_t */
    struct lh_rows parents;    /* int32_t: an older slot, or -1 for a root */
    struct lh_rows children;   /* uint8_t: how many slots name this one as their parent */
    struct lh_rows dead;       /* uint64_t[]: bit slot % 64 of word slot / 64 */
    struct lh_codes *codes;    /* what walks go by; NULL = the floats */

    uint32_t count;       /* slots published */
    uint32_t dead_count;  /* of these, deleted */
    uint32_t block_count; /* blocks of `upper` in use */
    int32_t entry; /* where a search begins, on level `entry_level`; -1 while there is none */
    uint32_t entry_level;
};

/* One found node. `order` grows with the distance (see lh_hnsw_distance). */
struct lh_hnsw_hit {
    float order;
    int32_t slot;
};

/* Working memory of one search or insert, reused for the next; zero state is valid. */
struct lh_hnsw_scratch {
    uint64_t *visited;
    size_t visited_words;
    struct lh_hnsw_hit *pool;     /* the nearest nodes so far, sorted */
    struct lh_hnsw_hit *frontier; /* where some nodes may not be found: those still to be walked
                                     through, sorted */
    size_t pool_max;              /* entries in each of the two */
    struct lh_hnsw_hit *sorted;   /* a row and a candidate, by distance */
    int32_t *unseen;              /* neighbours to be measured */
    int32_t *near, *far;          /* neighbours, and theirs */
    float *orders;
    bool *pinned;
    size_t row_max;     /* rows of links in each of the six */
    void *query, *code; /* a padded, aligned row of floats, and its codes */
    size_t query_bytes; /* of each */
    uint64_t distances; /* computed by the search */
};

lh_code lh_hnsw_init(struct lh_hnsw *graph, const struct lh_hnsw_options *options,
                     struct lh_error *err);
void lh_hnsw_deinit(struct lh_hnsw *graph); /* accepts the zero state */

/* Makes room so that the next `count` calls of lh_hnsw_add cannot fail. LH_INDEX_MEMORY. */
lh_code lh_hnsw_reserve(struct lh_hnsw *graph, uint32_t count, struct lh_error *err);

/* Working memory for inserts, and the threads that share them. */
struct lh_builder *lh_builder_new(unsigned thread_count);
void lh_builder_free(struct lh_builder *builder); /* accepts NULL */

enum { LH_HNSW_LINK_MAX = 512 };

/* Writes up to LH_HNSW_LINK_MAX vectors of dim_count floats (any alignment; of unit length for
 * cosine) into the slots behind the last, and links them. May run beside searches, which do not see
 * them before they are published. Room must have been reserved. The result does not depend on the
 * number of threads. */
void lh_hnsw_link(struct lh_hnsw *graph, const float *const *vectors, uint32_t count,
                  struct lh_builder *builder);

/* Makes what was linked part of the graph. No search meanwhile. */
void lh_hnsw_publish(struct lh_hnsw *graph, uint32_t count);

/* Both, for one vector; returns its slot. */
uint32_t lh_hnsw_add(struct lh_hnsw *graph, const float *vector, struct lh_builder *builder);

/* Walks go by these codes from now on (NULL: by the floats); they hold all slots. Takes over the
 * reference, returns what was there before. */
struct lh_codes *lh_hnsw_set_codes(struct lh_hnsw *graph, struct lh_codes *codes);

/* Marks a live slot deleted. */
void lh_hnsw_delete(struct lh_hnsw *graph, uint32_t slot);

struct lh_hnsw_query {
    const float *vector; /* dim_count floats, any alignment; of unit length for cosine */
    size_t k;            /* at least 1 */
    size_t ef;           /* candidates that a walk keeps; less than k counts as k */
    double refine;       /* how many times k candidates are measured exactly, where the walk was by
                            codes; 0 = the default */
    bool exact;          /* look at all nodes */
    /* Which slots may be found: bit slot % 64 of word slot / 64, for slots below allowed_slots;
     * those above may not. Dead ones may be in it. NULL = all. allowed_count bits are set. */
    const uint64_t *allowed;
    uint32_t allowed_slots;
    uint32_t allowed_count;
};

struct lh_hnsw_found {
    size_t count;       /* hits */
    bool exact;         /* all nodes that may be found were looked at: no other is nearer */
    uint64_t distances; /* computed on the way */
};

/* The k nearest live nodes that are allowed, nearest first; ret_hits has room for k. Always
 * min(k, live and allowed) of them: a small graph or a selective filter is scanned, and a walk that
 * comes back with too little is finished by a scan. */
struct lh_hnsw_found lh_hnsw_search(const struct lh_hnsw *graph, const struct lh_hnsw_query *query,
                                    struct lh_hnsw_scratch *scratch, struct lh_hnsw_hit *ret_hits);

/* What a user is told: cosine: 1 - cosine of the angle, 0 to 2; l2: Euclidean distance; ip: the
 * inner product, negated. */
float lh_hnsw_distance(enum lh_metric metric, float order);

/* The padded row of a slot that was handed out; stays valid and unchanged as long as the graph. May
 * be called beside the writer. */
const float *lh_hnsw_vector(const struct lh_hnsw *graph, uint32_t slot);
bool lh_hnsw_is_dead(const struct lh_hnsw *graph, uint32_t slot);

/* Bytes of all arrays for one slot, on average. */
size_t lh_hnsw_slot_bytes(const struct lh_hnsw_options *options);

void lh_hnsw_scratch_deinit(struct lh_hnsw_scratch *scratch);

/* Fills the empty graph `to` with the slots of `from` below `end` whose bit in `left_out` is not
 * set, numbered anew in their order. Links that led to what is left out are mended. Searches of
 * `from` and inserts into it may go on. LH_INDEX_MEMORY. */
lh_code lh_hnsw_compact(struct lh_hnsw *to, const struct lh_hnsw *from, uint32_t end,
                        const uint64_t *left_out, struct lh_builder *builder, struct lh_error *err);

/* ---- loading (lhv1.c) ---- */

/* Makes room for `count` slots and `block_count` upper blocks; the caller then fills the arrays
 * vectors, links0, upper, levels, parents and dead, sets entry and dead_count, and calls _finish,
 * which sets the counts, derives the rest, and believes nothing: LH_CORRUPT when any index points
 * out of its array, or lh_hnsw_check_links finds fault. */
lh_code lh_hnsw_load_begin(struct lh_hnsw *graph, uint32_t count, uint32_t block_count,
                           struct lh_error *err);
lh_code lh_hnsw_load_finish(struct lh_hnsw *graph, uint32_t count, uint32_t block_count,
                            struct lh_error *err);

/* ---- validators: LH_CORRUPT that names the slot ---- */

/* Vectors finite and padded with zeros; links in range, filled from the left, to nodes of that
 * level, not to itself; degrees bounded; parents older, pinned on both sides; every live node in
 * the entry's tree; counts right. Linear in the size of the graph. */
lh_code lh_hnsw_check_links(const struct lh_hnsw *graph, struct lh_error *err);

/* That, and: no link twice in a row; every live node reachable from the entry by walking level 0.
 */
lh_code lh_hnsw_check(const struct lh_hnsw *graph, struct lh_error *err);

#endif
