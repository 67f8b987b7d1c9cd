/*
 * The bodies of requests, from bytes to batches and queries: strict JSON, read by a scanner that
 * builds no tree, with everything about an item checked before anything is changed.
 *
 * A body that is not JSON of the right shape is LH_INVALID with line and column. An item that
 * cannot be taken is LH_INVALID_VECTOR that names its number and id and what is wrong with it.
 */
#ifndef LH_VECTORD_BODY_H
#define LH_VECTORD_BODY_H

#include "base/error.h"
#include "base/str.h"
#include "vectord/batch.h"
#include "vectord/index.h"

struct lh_body_limits {
    uint32_t dimension;
    enum lh_metric metric;
    size_t items_max; /* items, ids or queries; beyond: LH_TOO_LARGE */
    size_t metadata_bytes_max;
    uint64_t k_max;
    uint64_t ef_max;
};

/* {"items": [{"id", "vector", "metadata"}]}. The batch borrows from the body. */
lh_code lh_body_items(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                      struct lh_error *err);
/* The same, one item a line (NDJSON). */
lh_code lh_body_item_lines(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                           struct lh_error *err);

/* {"ids": ["..."]}: deletes, ids that stand twice once. LH_UNSUPPORTED for "filter". */
lh_code lh_body_delete(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                       struct lh_error *err);

struct lh_search_request {
    float *vectors; /* owned; count x dimension, prepared; NULL when an id was given */
    size_t count;
    bool many; /* "vectors" was given, even if it holds one */
    lh_str id; /* the item whose neighbours are wanted; len 0 = none. Borrowed, or in the arena */
    uint64_t k;
    uint64_t ef; /* 0 = the default */
    bool exact;
    struct lh_arena arena;
};

#define LH_AUTO_SEARCH_REQUEST LH_AUTO(lh_search_request_deinit)

/* {"vector" | "vectors" | "id", "k", "ef", "exact"}. LH_UNSUPPORTED for "filter" and "refine". */
lh_code lh_body_search(lh_str body, const struct lh_body_limits *limits,
                       struct lh_search_request *ret_request, struct lh_error *err);
void lh_search_request_deinit(struct lh_search_request *request); /* accepts the zero state */

/* NULL, or what is wrong with an item's id. */
const char *lh_item_id_problem(lh_str id);

#endif
