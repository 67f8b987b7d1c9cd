/*
 * What all indexes of the process share: settings, the object store, memory, working memory of
 * searches, counters. thread-safe.
 */
#ifndef LH_VECTORD_COMMONS_H
#define LH_VECTORD_COMMONS_H

#include <pthread.h>
#include <stdatomic.h>

#include "service/settings.h"
#include "store/objstore.h"
#include "vectord/index.h"

struct lh_scratch_node {
    struct lh_scratch_node *next;
    struct lh_hnsw_scratch scratch;
};

struct lh_builder_node {
    struct lh_builder_node *next;
    struct lh_builder *builder;
};

struct lh_commons {
    const struct lh_vectord_settings *settings; /* borrowed */
    struct lh_objstore *store;                  /* borrowed; NULL = memory only */
    bool async;                                 /* answered before it is durable */
    struct lh_budget budget;
    uint64_t reserve_bytes; /* address space for each array of an index */

    pthread_mutex_t scratch_lock;
    struct lh_scratch_node *scratches; /* those not in use */
    struct lh_builder_node *builders;  /* the same; the one with all threads first */
    struct lh_builder_node *crewed;    /* that one, once it was made */

    atomic_int_fast64_t quick_until_ns; /* see lh_commons_may_be_quick */

    /* For /metrics and /health. */
    atomic_uint_fast64_t searches, queries, items_added, items_deleted;
    atomic_uint_fast64_t commits, commit_failures, folds, fold_failures, rebuilds;
    atomic_uint_fast64_t storage_failing; /* failures in a row; 0 = the last request went well */
};

void lh_commons_init(struct lh_commons *commons, const struct lh_vectord_settings *settings,
                     struct lh_objstore *store);
void lh_commons_deinit(struct lh_commons *commons);

/* Working memory for one search, given back by _give. */
struct lh_scratch_node *lh_commons_take_scratch(struct lh_commons *commons);
void lh_commons_give_scratch(struct lh_commons *commons, struct lh_scratch_node *node);

/* The same for inserts. One of them has vectord.build_threads threads; who comes while it is in use
 * gets one without. */
struct lh_builder_node *lh_commons_take_builder(struct lh_commons *commons);
void lh_commons_give_builder(struct lh_commons *commons, struct lh_builder_node *node);

/* Small searches may run on the event thread, which spares the way to a worker, but no more than
 * half of the time: under load the workers share them. Asked before a search; and told how long it
 * took. thread-safe. */
bool lh_commons_may_be_quick(const struct lh_commons *commons);
void lh_commons_was_quick(struct lh_commons *commons, lh_mono start);

/* The deadline of one request to storaged. */
lh_deadline lh_commons_deadline(const struct lh_commons *commons);

#endif
