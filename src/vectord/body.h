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
#include "vectord/filter.h"
#include "vectord/index.h"

struct lh_body_limits {
    uint32_t dimension;
    enum lh_metric metric;
    size_t items_max; /* items, ids or queries; beyond: LH_TOO_LARGE */
    size_t metadata_bytes_max;
    uint64_t k_max;
    uint64_t ef_max;
    uint64_t first_item; /* of a body that is a part of a stream: what came before it, so that */
    uint64_t first_line; /* messages count from the beginning */
};

/* {"items": [{"id", "vector", "metadata"}]}. The batch borrows from the body. */
lh_code lh_body_items(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                      struct lh_error *err);
/* The same, one item a line (NDJSON). */
lh_code lh_body_item_lines(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                           struct lh_error *err);

/* {"ids": ["..."]}: deletes, ids that stand twice once; or {"filter": {...}}: the batch is empty,
 * and the condition, which lives in its arena, says what to delete. */
lh_code lh_body_delete(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                       struct lh_condition *ret_condition, struct lh_error *err);

/* Raw items, one after another, all numbers little-endian:
 *   LH_RAW_IDS_U64   8 bytes: the id, a number; then the vector, 4 bytes a dimension
 *   LH_RAW_IDS_TEXT  2 bytes: length of the id; the id; zeros up to a multiple of 4; the vector
 * The body is aligned to 8; vectors are prepared in place, so the batch points into it. */
enum lh_raw_ids { LH_RAW_IDS_U64, LH_RAW_IDS_TEXT };
lh_code lh_body_raw_items(char *body, size_t len, enum lh_raw_ids ids,
                          const struct lh_body_limits *limits, struct lh_batch *batch,
                          struct lh_error *err);

struct lh_search_request {
    float *vectors; /* owned; count x dimension, prepared; NULL when an id was given */
    size_t count;
    bool many; /* "vectors" was given, even if it holds one */
    lh_str id; /* the item whose neighbours are wanted; len 0 = none. Borrowed, or in the arena */
    uint64_t k;
    uint64_t ef;   /* 0 = the default */
    double refine; /* 0 = the default */
    bool exact;
    bool metadata;                 /* of hits is wanted */
    struct lh_condition condition; /* in the arena */
    struct lh_arena arena;
};

#define LH_AUTO_SEARCH_REQUEST LH_AUTO(lh_search_request_deinit)

/* A request with defaults and nothing else. */
void lh_search_request_init(struct lh_search_request *request, const struct lh_body_limits *limits);

/* {"vector" | "vectors" | "id", "k", "ef", "refine", "exact", "filter", "metadata"}. Nothing of the
 * request points into the body but the id. */
lh_code lh_body_search(lh_str body, const struct lh_body_limits *limits,
                       struct lh_search_request *ret_request, struct lh_error *err);
/* Raw queries: nothing but vectors, one after another. They are copied into the request. */
lh_code lh_body_raw_queries(lh_str body, const struct lh_body_limits *limits,
                            struct lh_search_request *request, struct lh_error *err);
void lh_search_request_deinit(struct lh_search_request *request); /* accepts the zero state */

/* The filter of a request whose body is raw. */
lh_code lh_body_search_filter(lh_str text, struct lh_search_request *request, struct lh_error *err);
/* A number from 1 to 100. LH_INVALID. */
lh_code lh_body_refine(lh_str text, double *ret, struct lh_error *err);

/* NULL, or what is wrong with an item's id. */
const char *lh_item_id_problem(lh_str id);

#endif
