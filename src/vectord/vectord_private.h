/* The core's insides, shared by vectord.c (create, drop, find) and keeper.c (start, background). */
#ifndef LH_VECTORD_VECTORD_PRIVATE_H
#define LH_VECTORD_VECTORD_PRIVATE_H

#include "vectord/registry.h"
#include "vectord/vectord.h"

struct lh_vectord {
    uint32_t magic;
    struct lh_commons commons;
    struct lh_registry registry;

    pthread_mutex_t keeper_mutex;
    pthread_cond_t keeper_wake;
    bool keeper_woken; /* there may be something to do now */
    bool keeper_runs;
    struct lh_snapshot_request *snapshots; /* that are waited for, oldest first */
    atomic_bool stopping;
    pthread_t keeper;
};

/* The background looks at all indexes soon. */
void lh_vectord_wake(struct lh_vectord *vectord);

/* Makes durable what durability async has not saved yet. The keeper's thread. */
lh_code lh_collection_flush(struct lh_collection *collection, struct lh_error *err);

/* Saves what durability async has not saved, as far as one attempt goes. When the keeper has ended.
 */
void lh_vectord_flush_all(struct lh_vectord *vectord);

/* Deletes the objects of an index that is DROPPING: the snapshot, which is the commit point, then
 * the log; and forgets it. A failure leaves it DROPPING. */
lh_code lh_vectord_finish_drop(struct lh_vectord *vectord, struct lh_collection *collection,
                               struct lh_error *err);

#endif
