/*
 * The background of vectord: one thread that looks at every index now and then. It folds logs,
 * rebuilds what is mostly dead, saves what durability async has not saved yet, ends drops that
 * failed, and tries again to load what could not be loaded. And the start, which loads everything.
 */
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "vectord/commit.h"
#include "vectord/fold.h"
#include "vectord/load.h"
#include "vectord/log.h"
#include "vectord/objects.h"
#include "vectord/snapshot.h"
#include "vectord/vectord_private.h"

enum {
    ROUND_MS = 1000,       /* between two looks */
    ROUND_ASYNC_MS = 200,  /* the same where changes wait to be saved */
    RETRY_FOLD_MS = 10000, /* after a failure */
    RETRY_LOAD_MS = 1000,  /* doubled for each failure, up to a minute */
    RETRY_LOAD_MAX_MS = 60000,
    STORE_WAIT_MS = 100, /* at start, while storaged cannot be reached */
    STORE_WAIT_MAX_MS = 2000,
    LOADERS_MAX = 64,
};

static bool is_stopping(const void *ctx)
{
    const struct lh_vectord *vectord = ctx;
    return atomic_load(&vectord->stopping);
}

void lh_vectord_wake(struct lh_vectord *vectord)
{
    lh_mutex_lock(&vectord->keeper_mutex);
    vectord->keeper_woken = true;
    pthread_cond_signal(&vectord->keeper_wake);
    lh_mutex_unlock(&vectord->keeper_mutex);
}

void lh_vectord_stop(struct lh_vectord *vectord)
{
    atomic_store(&vectord->stopping, true);
    lh_vectord_wake(vectord);
}

static void log_failure(const struct lh_collection *collection, const char *what,
                        const struct lh_error *err)
{
    LH_LOG(WARN, what, LH_LOG_STR("index", collection->name),
           LH_LOG_STR("code", lh_code_word(err->code)), LH_LOG_STR("detail", err->message));
}

/* ---- durability async ---- */

/* Writes one log object of what waits. The object stays in `flushing` until it is durable, so that
 * a second attempt finds the first one's object and knows it. */
lh_code lh_collection_flush(struct lh_collection *collection, struct lh_error *err)
{
    lh_mutex_lock(&collection->mutex);
    if (collection->flushing.len == 0) {
        struct lh_buf empty = collection->flushing;
        collection->flushing = collection->pending;
        collection->pending = empty;
        collection->flushing_bytes = collection->flushing.len;
    }
    lh_mutex_unlock(&collection->mutex);
    if (collection->flushing.len == 0)
        return LH_OK;
    const struct lh_vindex_need nothing = {0}; /* they are applied already */
    LH_TRY(lh_commit_log(collection, &collection->flushing, &nothing, false, err));
    lh_buf_deinit(&collection->flushing);
    collection->flushing = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    lh_mutex_lock(&collection->mutex);
    collection->flushing_bytes = 0;
    lh_mutex_unlock(&collection->mutex);
    return LH_OK;
}

static void flush(struct lh_collection *collection)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_collection_flush(collection, &err) != LH_OK)
        log_failure(collection, "changes could not be saved yet", &err);
}

/* ---- the other work ---- */

static void rebuild(struct lh_vectord *vectord, struct lh_collection *collection)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_collection_rebuild(collection, is_stopping, vectord, &err);
    if (code == LH_OK)
        LH_LOG(INFO, "index rebuilt without its deleted items",
               LH_LOG_STR("index", collection->name));
    else if (code != LH_CANCELLED)
        log_failure(collection, "index could not be rebuilt", &err);
}

static void fold(struct lh_collection *collection)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_mono start = lh_mono_now();
    if (lh_collection_fold(collection, &err) == LH_OK) {
        LH_LOG(INFO, "log folded into the snapshot", LH_LOG_STR("index", collection->name),
               LH_LOG_INT("elapsed_ms", lh_mono_since_ms(start)));
        return;
    }
    atomic_fetch_add(&collection->commons->fold_failures, 1);
    log_failure(collection, "log could not be folded", &err);
    collection->fold_after = lh_deadline_in_ms(RETRY_FOLD_MS);
}

static void keep_ready(struct lh_vectord *vectord, struct lh_collection *collection)
{
    if (vectord->commons.async)
        flush(collection);
    if (!lh_deadline_passed(collection->fold_after))
        return;
    bool rebuilt = lh_collection_wants_rebuild(collection);
    if (rebuilt) {
        collection->fold_after = lh_deadline_in_ms(RETRY_FOLD_MS);
        rebuild(vectord, collection);
    }
    if (lh_collection_wants_fold(collection) || (rebuilt && vectord->commons.store != NULL))
        fold(collection);
}

static void load_again(struct lh_vectord *vectord, struct lh_collection *collection)
{
    if (!lh_deadline_passed(collection->load_after))
        return;
    struct lh_error err = LH_ERROR_INIT;
    if (lh_collection_load(collection, is_stopping, vectord, &err) == LH_OK) {
        LH_LOG(INFO, "index loaded after all", LH_LOG_STR("index", collection->name));
        return;
    }
    unsigned doublings = collection->load_failures < 6 ? collection->load_failures : 6;
    int64_t wait_ms = (int64_t)RETRY_LOAD_MS << doublings;
    collection->load_failures++;
    collection->load_after =
        lh_deadline_in_ms(wait_ms < RETRY_LOAD_MAX_MS ? wait_ms : RETRY_LOAD_MAX_MS);
}

static void drop_again(struct lh_vectord *vectord, struct lh_collection *collection)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_str name = lh_str_from(collection->name);
    if (lh_registry_claim(&vectord->registry, name, lh_deadline_in_ms(0), &err) != LH_OK)
        return; /* somebody is at it */
    if (lh_collection_state(collection) == LH_COLLECTION_DROPPING &&
        lh_vectord_finish_drop(vectord, collection, &err) == LH_OK)
        LH_LOG(INFO, "index deleted after all", LH_LOG_STR("index", collection->name));
    lh_registry_unclaim(&vectord->registry, name);
}

static void keep(struct lh_vectord *vectord, struct lh_collection *collection)
{
    switch (lh_collection_state(collection)) {
    case LH_COLLECTION_READY:
        keep_ready(vectord, collection);
        break;
    case LH_COLLECTION_UNAVAILABLE:
        load_again(vectord, collection);
        break;
    case LH_COLLECTION_DROPPING:
        drop_again(vectord, collection);
        break;
    case LH_COLLECTION_LOADING:
    case LH_COLLECTION_DAMAGED:
    case LH_COLLECTION_GONE:
        break;
    }
}

static void keep_all(struct lh_vectord *vectord)
{
    struct lh_collection **all;
    size_t count = lh_registry_all(&vectord->registry, &all);
    if (atomic_load(&vectord->commons.storage_failing) > 0)
        lh_objects_probe(&vectord->commons);
    lh_vectord_serve_snapshots(vectord, false);
    for (size_t i = 0; i < count && !is_stopping(vectord); i++) {
        keep(vectord, all[i]);
        lh_vectord_serve_snapshots(vectord, false);
    }
    lh_collections_free(all, count);
}

void lh_vectord_flush_all(struct lh_vectord *vectord)
{
    struct lh_collection **all;
    size_t count = lh_registry_all(&vectord->registry, &all);
    for (size_t i = 0; i < count; i++) {
        if (lh_collection_state(all[i]) != LH_COLLECTION_READY)
            continue;
        flush(all[i]);
        flush(all[i]); /* what came while the first was being written */
    }
    lh_collections_free(all, count);
}

static void *run_keeper(void *ctx)
{
    struct lh_vectord *vectord = ctx;
    while (!is_stopping(vectord)) {
        keep_all(vectord);
        lh_mutex_lock(&vectord->keeper_mutex);
        if (!vectord->keeper_woken)
            lh_cond_wait_until(
                &vectord->keeper_wake, &vectord->keeper_mutex,
                lh_deadline_in_ms(vectord->commons.async ? ROUND_ASYNC_MS : ROUND_MS));
        vectord->keeper_woken = false;
        lh_mutex_unlock(&vectord->keeper_mutex);
    }
    lh_vectord_serve_snapshots(vectord, true);
    return NULL;
}

/* ---- the start ---- */

struct names {
    char **items;
    bool *has_snapshot;
    size_t count, capacity, flag_capacity;
};

static void on_index(void *ctx, lh_str name, bool has_snapshot)
{
    struct names *names = ctx;
    names->items = lh_grow(names->items, &names->capacity, names->count + 1, sizeof(char *));
    names->has_snapshot =
        lh_grow(names->has_snapshot, &names->flag_capacity, names->count + 1, sizeof(bool));
    names->items[names->count] = lh_strndup(name.ptr, name.len);
    names->has_snapshot[names->count++] = has_snapshot;
}

static void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    free(names->has_snapshot);
    memset(names, 0, sizeof(*names));
}

struct stop {
    bool (*stopping)(const void *ctx);
    const void *ctx;
    struct lh_vectord *vectord;
};

static bool must_stop(const void *ctx)
{
    const struct stop *stop = ctx;
    return stop->stopping(stop->ctx) || is_stopping(stop->vectord);
}

/* Waits for storaged: at the start of a whole, the services start at the same time. */
static lh_code list_all(struct lh_vectord *vectord, const struct stop *stop, struct names *names,
                        struct lh_error *err)
{
    int64_t wait_ms = STORE_WAIT_MS;
    for (int attempt = 0;; attempt++) {
        struct lh_error failure = LH_ERROR_INIT;
        if (must_stop(stop))
            return lh_fail(err, LH_CANCELLED, "the service stops");
        if (lh_objects_list(&vectord->commons, on_index, names, &failure) == LH_OK)
            return LH_OK;
        names_deinit(names);
        if (attempt % 20 == 0)
            lh_log_error(LH_LOG_WARN, "storaged cannot be reached yet", &failure);
        lh_sleep_ms(wait_ms);
        wait_ms = wait_ms * 2 < STORE_WAIT_MAX_MS ? wait_ms * 2 : STORE_WAIT_MAX_MS;
    }
}

struct loaders {
    struct lh_collection **collections;
    size_t count;
    atomic_size_t next;
    const struct stop *stop;
};

static void *run_loader(void *ctx)
{
    struct loaders *loaders = ctx;
    for (;;) {
        size_t at = atomic_fetch_add(&loaders->next, 1);
        if (at >= loaders->count || must_stop(loaders->stop))
            return NULL;
        struct lh_collection *collection = loaders->collections[at];
        struct lh_error err = LH_ERROR_INIT;
        lh_mono start = lh_mono_now();
        lh_code code = lh_collection_load(collection, must_stop, loaders->stop, &err);
        if (code == LH_OK)
            LH_LOG(INFO, "index loaded", LH_LOG_STR("index", collection->name),
                   LH_LOG_INT("items", lh_vindex_live(collection->index)),
                   LH_LOG_INT("elapsed_ms", lh_mono_since_ms(start)));
        else if (code != LH_CANCELLED)
            log_failure(collection, "index could not be loaded", &err);
    }
}

/* Loads all collections, the caller being one of the threads. */
static void load_all(struct lh_vectord *vectord, const struct stop *stop)
{
    struct loaders loaders = {.stop = stop};
    loaders.count = lh_registry_all(&vectord->registry, &loaders.collections);
    pthread_t threads[LOADERS_MAX];
    size_t started = 0;
    size_t wanted = (size_t)vectord->commons.settings->load_parallel;
    struct lh_error err = LH_ERROR_INIT;
    while (started + 1 < wanted && started + 1 < loaders.count && started < LOADERS_MAX &&
           lh_thread_start(&threads[started], "loader", run_loader, &loaders, &err) == LH_OK)
        started++;
    run_loader(&loaders);
    for (size_t i = 0; i < started; i++)
        LH_CHECK(pthread_join(threads[i], NULL) == 0);
    lh_collections_free(loaders.collections, loaders.count);
}

/* A log without a snapshot is what a drop left: its commit point is the snapshot's end. */
static void sweep_leftovers(struct lh_vectord *vectord, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_collection *found =
            lh_registry_find(&vectord->registry, lh_str_from(names->items[i]));
        lh_collection_unref(found);
        if (found != NULL)
            continue;
        if (lh_objects_sweep_log(&vectord->commons, names->items[i], UINT64_MAX, &err) == LH_OK)
            LH_LOG(INFO, "rest of a deleted index removed", LH_LOG_STR("index", names->items[i]));
    }
}

static lh_code load_from_store(struct lh_vectord *vectord, const struct stop *stop,
                               struct lh_error *err)
{
    struct names names = {0};
    lh_code code = list_all(vectord, stop, &names, err);
    if (code == LH_OK) {
        for (size_t i = 0; i < names.count; i++) {
            if (!names.has_snapshot[i])
                continue;
            struct lh_collection *collection = lh_collection_new(&vectord->commons, names.items[i]);
            lh_registry_add(&vectord->registry, collection);
            lh_collection_unref(collection);
        }
        load_all(vectord, stop);
        sweep_leftovers(vectord, &names);
    }
    names_deinit(&names);
    return code;
}

lh_code lh_vectord_start(struct lh_vectord *vectord, bool (*stopping)(const void *ctx),
                         const void *ctx, struct lh_error *err)
{
    const struct stop stop = {stopping, ctx, vectord};
    if (vectord->commons.store != NULL)
        LH_TRY(load_from_store(vectord, &stop, err));
    LH_TRY(lh_thread_start(&vectord->keeper, "keeper", run_keeper, vectord, err));
    vectord->keeper_runs = true;
    return LH_OK;
}
