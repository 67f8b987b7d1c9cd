/*
 * The keeper: the thread for work that no request waits for.
 *
 * 1. After a start, it sweeps the folders for orphans: files that a crash left without a row.
 * 2. It removes the files of replaced and deleted objects.
 * 3. It brings the index's log home (checkpoint) when that has grown: first beside the commits,
 * which go on, then the short rest while the committer waits, so that the log starts anew and does
 * not grow without end.
 */
#include "storaged/store_private.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

/* Pages that change often are written home once for all their changes in the log: the longer the
 * log, the less is written; the longer takes a start after a crash. 32 MiB are read in some 50 ms.
 */
enum { LOG_BYTES_DUE = 32 << 20, ROUND_MS = 3600 * 1000 };

bool lh_keeper_checkpoint_due(const struct lh_store *store)
{
    uint64_t due = store->options.tend_by_hand ? 1 : LOG_BYTES_DUE;
    return lh_index_log_bytes(store->index) >= due;
}

void lh_store_wake_keeper(struct lh_store *store)
{
    lh_mutex_lock(&store->mutex);
    lh_keeper_wake(store);
    lh_mutex_unlock(&store->mutex);
}

void lh_keeper_wake(struct lh_store *store)
{
    store->work_to_do = true;
    pthread_cond_signal(&store->keeper_wake);
}

/* True when a folder was swept and another may follow. A failure leaves its orphans to the next
 * start: they take room and do no harm. */
static bool sweep(struct lh_store *store)
{
    unsigned folder = atomic_load(&store->sweep_folder);
    if (folder == LH_BODY_FOLDERS)
        return false;
    struct lh_error err = LH_ERROR_INIT;
    if (lh_body_sweep(store, folder, &err) != LH_OK)
        lh_log_error(LH_LOG_WARN, "orphans could not be swept", &err);
    atomic_store(&store->sweep_folder, folder + 1);
    uint64_t swept = atomic_load(&store->orphans_swept);
    if (folder + 1 == LH_BODY_FOLDERS && swept > 0)
        LH_LOG(INFO, "files left by a crash were removed", LH_LOG_INT("files", swept));
    return true;
}

static void remove_doomed(struct lh_store *store)
{
    lh_mutex_lock(&store->mutex);
    LH_AUTO_FREE uint64_t *doomed = LH_TAKE(store->doomed);
    size_t count = store->doomed_count;
    store->doomed_count = 0;
    store->doomed_capacity = 0;
    lh_mutex_unlock(&store->mutex);
    for (size_t i = 0; i < count; i++) {
        struct lh_error err = LH_ERROR_INIT;
        if (lh_body_remove(store, doomed[i], &err) != LH_OK)
            lh_log_error(LH_LOG_WARN, "the file of a replaced object stays until the next start",
                         &err);
    }
}

static void checkpoint(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_index_checkpoint(store->index, false, &err);
    if (code == LH_OK) {
        lh_mutex_lock(&store->turn);
        code = lh_index_checkpoint(store->index, true, &err);
        lh_mutex_unlock(&store->turn);
    }
    if (code == LH_OK)
        return;
    lh_log_error(LH_LOG_ERROR, "the index's log could not be brought home", &err);
    lh_store_index_failed(store);
}

bool lh_store_tend(struct lh_store *store)
{
    bool more = lh_store_dismantle(store);
    more = lh_store_live(store) || more;
    remove_doomed(store);
    if (lh_keeper_checkpoint_due(store) && !atomic_load(&store->read_only))
        checkpoint(store);
    return sweep(store) || more;
}

static void *keeper_main(void *arg)
{
    struct lh_store *store = arg;
    lh_mutex_lock(&store->mutex);
    while (!atomic_load(&store->keeper_stopping)) {
        store->work_to_do = false;
        lh_mutex_unlock(&store->mutex);
        bool more = lh_store_tend(store);
        lh_mutex_lock(&store->mutex);
        while (!more && !store->work_to_do && !atomic_load(&store->keeper_stopping))
            more = !lh_cond_wait_until(&store->keeper_wake, &store->mutex,
                                       lh_deadline_in_ms(ROUND_MS));
    }
    lh_mutex_unlock(&store->mutex);
    return NULL;
}

lh_code lh_keeper_start(struct lh_store *store, struct lh_error *err)
{
    LH_TRY(lh_thread_start(&store->keeper, "keeper", keeper_main, store, err));
    store->keeper_started = true;
    return LH_OK;
}

void lh_keeper_stop(struct lh_store *store)
{
    if (!store->keeper_started)
        return;
    lh_mutex_lock(&store->mutex);
    atomic_store(&store->keeper_stopping, true);
    pthread_cond_signal(&store->keeper_wake);
    lh_mutex_unlock(&store->mutex);
    LH_CHECK(pthread_join(store->keeper, NULL) == 0);
    store->keeper_started = false;
    remove_doomed(store);
}
