/*
 * Snapshots on demand. Only the background thread folds; who wants a snapshot now leaves a request
 * with it and waits.
 */
#ifndef LH_VECTORD_SNAPSHOT_H
#define LH_VECTORD_SNAPSHOT_H

#include "vectord/vectord.h"

/* Returns when a snapshot holds every change that was answered before the call; at once when the
 * last one does. LH_UNSUPPORTED without a store, LH_TIMEOUT, LH_CANCELLED when the service stops,
 * and what a fold may fail with. thread-safe. */
lh_code lh_vectord_snapshot(struct lh_vectord *vectord, struct lh_collection *collection,
                            lh_deadline deadline, struct lh_error *err);

/* The background's part: does what was asked for. `stopping`: refuses it. */
void lh_vectord_serve_snapshots(struct lh_vectord *vectord, bool stopping);

#endif
