/* Snapshots on demand: the requests and the thread that fulfils them. */
#include "vectord/snapshot.h"

#include "base/check.h"
#include "vectord/fold.h"
#include "vectord/vectord_private.h"

/* It lives on the stack of who waits. Everything under keeper_mutex. */
struct lh_snapshot_request {
    struct lh_snapshot_request *next;
    struct lh_collection *collection;
    pthread_cond_t settled;
    bool taken; /* the background is at it, and will finish */
    bool done;
    lh_code code;
    struct lh_error err;
};

static void enqueue(struct lh_vectord *vectord, struct lh_snapshot_request *request)
{
    struct lh_snapshot_request **last = &vectord->snapshots;
    while (*last != NULL)
        last = &(*last)->next;
    *last = request;
}

static void dequeue(struct lh_vectord *vectord, const struct lh_snapshot_request *request)
{
    struct lh_snapshot_request **at = &vectord->snapshots;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
}

static lh_code wait_for(struct lh_vectord *vectord, struct lh_snapshot_request *request,
                        lh_deadline deadline)
{
    while (!request->done) {
        bool in_time = lh_cond_wait_until(&request->settled, &vectord->keeper_mutex,
                                          request->taken ? LH_NO_DEADLINE : deadline);
        if (in_time || request->taken || request->done)
            continue;
        dequeue(vectord, request);
        return lh_fail(&request->err, LH_TIMEOUT, "other work of the background takes too long");
    }
    return request->code;
}

lh_code lh_vectord_snapshot(struct lh_vectord *vectord, struct lh_collection *collection,
                            lh_deadline deadline, struct lh_error *err)
{
    struct lh_snapshot_request request = {.collection = collection, .err = LH_ERROR_INIT};
    if (vectord->commons.store == NULL)
        return lh_fail(err, LH_UNSUPPORTED, "this service keeps its indexes in memory only");
    if (atomic_load(&vectord->stopping))
        return lh_fail(err, LH_CANCELLED, "the service stops");
    lh_cond_init(&request.settled);
    lh_mutex_lock(&vectord->keeper_mutex);
    enqueue(vectord, &request);
    vectord->keeper_woken = true;
    pthread_cond_signal(&vectord->keeper_wake);
    lh_code code = wait_for(vectord, &request, deadline);
    lh_mutex_unlock(&vectord->keeper_mutex);
    pthread_cond_destroy(&request.settled);
    if (code != LH_OK)
        *err = request.err;
    return code;
}

/* ---- the background ---- */

static lh_code snapshot(struct lh_vectord *vectord, struct lh_collection *collection,
                        struct lh_error *err)
{
    struct lh_vindex *index;
    struct lh_collection_stats stats;
    LH_TRY(lh_collection_index(collection, &index, err)); /* or why it is not served */
    lh_vindex_unref(index);
    for (int i = 0; i < 2 && vectord->commons.async; i++) /* what is on its way, and what waits */
        LH_TRY(lh_collection_flush(collection, err));
    lh_collection_stats(collection, &stats);
    if (stats.figures.snapshot_sequence == stats.figures.sequence)
        return LH_OK;
    return lh_collection_fold(collection, err);
}

static struct lh_snapshot_request *take(struct lh_vectord *vectord)
{
    lh_mutex_lock(&vectord->keeper_mutex);
    struct lh_snapshot_request *request = vectord->snapshots;
    if (request != NULL) {
        vectord->snapshots = request->next;
        request->taken = true;
    }
    lh_mutex_unlock(&vectord->keeper_mutex);
    return request;
}

void lh_vectord_serve_snapshots(struct lh_vectord *vectord, bool stopping)
{
    struct lh_snapshot_request *request;
    while ((request = take(vectord)) != NULL) {
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = stopping ? lh_fail(&err, LH_CANCELLED, "the service stops")
                                : snapshot(vectord, request->collection, &err);
        lh_mutex_lock(&vectord->keeper_mutex);
        request->code = code;
        request->err = err;
        request->done = true;
        pthread_cond_signal(&request->settled); /* with the mutex: then it may be gone */
        lh_mutex_unlock(&vectord->keeper_mutex);
    }
}
