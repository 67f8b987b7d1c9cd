/*
 * The live items of an index that fulfil a filter, at one moment; and what is done with them:
 * searched, deleted.
 */
#ifndef LH_VECTORD_SELECT_H
#define LH_VECTORD_SELECT_H

#include "vectord/batch.h"
#include "vectord/collection.h"
#include "vectord/fields.h"

/* The set and the index it is of (unref it). Items whose change was answered before the call are in
 * it as they then were. thread-safe. */
lh_code lh_collection_select(struct lh_collection *collection, const struct lh_condition *condition,
                             struct lh_vindex **ret_index, struct lh_slot_set *ret_set,
                             struct lh_error *err);

/* Searches with one condition, which is evaluated once for all queries, and again when the index
 * has changed. */
struct lh_searcher {
    struct lh_collection *collection;
    const struct lh_condition *condition; /* filter NULL = all items */
    struct lh_vindex *index;              /* that `set` is of; NULL until the first query */
    struct lh_slot_set set;
    uint32_t dead_count; /* when `set` was taken */
};
void lh_searcher_deinit(struct lh_searcher *searcher); /* accepts the zero state */

/* As lh_collection_search, with the condition: min(k, items that fulfil it) hits. */
lh_code lh_searcher_search(struct lh_searcher *searcher, const struct lh_hnsw_query *query,
                           struct lh_hnsw_hit *ret_hits, struct lh_found *ret_found,
                           struct lh_error *err);

/* Appends the deletes of at most `max` items that fulfil the condition; ids are copied. *ret_more
 * tells whether there are more. */
lh_code lh_collection_select_deletes(struct lh_collection *collection,
                                     const struct lh_condition *condition, size_t max,
                                     struct lh_batch *batch, bool *ret_more, struct lh_error *err);

#endif
