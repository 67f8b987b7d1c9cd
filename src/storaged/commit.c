/*
 * The committer: the one thread that changes the index. It takes all commits that wait, judges
 * their conditions and writes them in one transaction with one fsync, and then answers all of them:
 * group commit. What a commit does is said by its kind. While it works the next group gathers, so
 * the more there is to do the larger the groups get.
 *
 * Invariants:
 * 1. A condition sees every earlier commit, those of its own group too.
 * 2. A commit that is not wanted (its condition fails, nothing to delete) does not disturb the
 * others.
 * 3. The folders that hold a group's new files are durable before its transaction is.
 * 4. If the transaction fails, every commit of the group fails, and the index is as before.
 * 5. Files of replaced objects are removed only after the transaction is durable.
 */
#include "storaged/store_private.h"

#include <stdarg.h>

#include "base/check.h"
#include "base/thread.h"

enum { GROUP_COMMITS_MAX = 1024, GROUP_BYTES_MAX = 16 << 20 };

lh_code lh_commit_refuse(struct lh_commit *commit, lh_code code, const char *format, ...)
{
    char message[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    commit->code = lh_fail(&commit->err, code, "%s", message);
    return LH_OK;
}

/* ---- one group ---- */

static lh_code sync_folders(struct lh_store *store, const struct lh_commit *group,
                            struct lh_error *err)
{
    bool folders[LH_BODY_FOLDERS] = {false};
    for (const struct lh_commit *commit = group; commit; commit = commit->next) {
        for (size_t i = 0; commit->changes && i < commit->file_count; i++)
            folders[lh_body_folder(commit->files[i])] = true;
    }
    for (unsigned folder = 0; folder < LH_BODY_FOLDERS; folder++) {
        if (folders[folder])
            LH_TRY(lh_body_sync_folder(store, folder, err));
    }
    return LH_OK;
}

/* The transaction. *ret_begun: it was begun, and a failure must roll it back. */
static lh_code write_group(struct lh_store *store, struct lh_commit *group, bool *ret_begun,
                           struct lh_error *err)
{
    bool changes = false;
    LH_TRY(lh_store_check_writable(store, err));
    LH_TRY(lh_index_begin(store->index, err));
    *ret_begun = true;
    for (struct lh_commit *commit = group; commit; commit = commit->next) {
        LH_TRY(commit->kind->apply(store, commit, err));
        changes |= commit->changes;
    }
    if (!changes) {
        lh_index_rollback(store->index);
        return LH_OK;
    }
    LH_TRY(sync_folders(store, group, err));
    LH_TRY(lh_buckets_write_totals(store, err));
    return lh_index_commit(store->index, err);
}

static void fail_group(struct lh_store *store, struct lh_commit *group, bool begun,
                       const struct lh_error *err)
{
    bool open = begun && lh_store_index_failed(store);
    if (begun)
        lh_index_rollback(store->index);
    lh_buckets_forget_totals(store);
    for (struct lh_commit *commit = group; commit; commit = commit->next) {
        commit->code = err->code;
        commit->err = *err;
        commit->outcome_open = open;
    }
}

static void publish_group(struct lh_store *store, struct lh_commit *group)
{
    lh_buckets_publish_totals(store);
    for (struct lh_commit *commit = group; commit; commit = commit->next) {
        if (commit->code == LH_OK && commit->changes && commit->kind->publish)
            commit->kind->publish(store, commit);
    }
}

/* Wakes the callers who sleep, and tells the others. After that their commits are gone. */
static void answer_group(struct lh_store *store, struct lh_commit *group)
{
    bool due = lh_keeper_checkpoint_due(store);
    struct lh_commit *to_tell = NULL;
    struct lh_commit **to_tell_end = &to_tell;
    lh_mutex_lock(&store->mutex);
    for (struct lh_commit *commit = group, *next; commit; commit = next) {
        next = commit->next;
        if (commit->told) {
            *to_tell_end = commit;
            to_tell_end = &commit->next;
        } else {
            commit->done = true;
            pthread_cond_signal(&commit->answered);
        }
    }
    *to_tell_end = NULL;
    if (due || store->doomed_count > 0)
        lh_keeper_wake(store);
    lh_mutex_unlock(&store->mutex);
    for (struct lh_commit *commit = to_tell, *next; commit; commit = next) {
        next = commit->next;
        commit->told(commit->told_ctx);
    }
}

static void commit_group(struct lh_store *store, struct lh_commit *group)
{
    struct lh_error err = LH_ERROR_INIT;
    bool begun = false;
    lh_mutex_lock(&store->turn);
    if (write_group(store, group, &begun, &err) == LH_OK)
        publish_group(store, group);
    else
        fail_group(store, group, begun, &err);
    lh_mutex_unlock(&store->turn);
    for (const struct lh_commit *commit = group; commit; commit = commit->next)
        atomic_fetch_add(&store->group_requests, 1);
    atomic_fetch_add(&store->groups, 1);
    answer_group(store, group);
}

/* ---- the thread ---- */

/* Takes the head of the queue, up to the bounds of a group. Called with the mutex held. */
static struct lh_commit *take_group(struct lh_store *store)
{
    struct lh_commit *group = store->queue;
    struct lh_commit *last = group;
    size_t count = 1;
    size_t load = last->load;
    while (last->next && count < GROUP_COMMITS_MAX && load < GROUP_BYTES_MAX &&
           !last->kind->alone && !last->next->kind->alone) {
        last = last->next;
        count++;
        load += last->load;
    }
    store->queue = last->next;
    if (!store->queue)
        store->queue_end = &store->queue;
    last->next = NULL;
    return group;
}

static void *committer_main(void *arg)
{
    struct lh_store *store = arg;
    lh_mutex_lock(&store->mutex);
    for (;;) {
        while (!store->queue && !store->committer_stopping)
            lh_cond_wait_until(&store->committer_wake, &store->mutex, LH_NO_DEADLINE);
        if (!store->queue)
            break;
        struct lh_commit *group = take_group(store);
        lh_mutex_unlock(&store->mutex);
        commit_group(store, group);
        lh_mutex_lock(&store->mutex);
    }
    lh_mutex_unlock(&store->mutex);
    return NULL;
}

lh_code lh_committer_start(struct lh_store *store, struct lh_error *err)
{
    LH_TRY(lh_thread_start(&store->committer, "committer", committer_main, store, err));
    store->committer_started = true;
    return LH_OK;
}

void lh_committer_stop(struct lh_store *store)
{
    if (!store->committer_started)
        return;
    lh_mutex_lock(&store->mutex);
    store->committer_stopping = true;
    pthread_cond_signal(&store->committer_wake);
    lh_mutex_unlock(&store->mutex);
    LH_CHECK(pthread_join(store->committer, NULL) == 0);
    store->committer_started = false;
}

/* mutex held. */
static void enqueue(struct lh_store *store, struct lh_commit *commit)
{
    *store->queue_end = commit;
    store->queue_end = &commit->next;
    pthread_cond_signal(&store->committer_wake);
}

void lh_commit_begin(struct lh_store *store, struct lh_commit *commit)
{
    LH_CHECK(commit->told != NULL);
    lh_mutex_lock(&store->mutex);
    enqueue(store, commit);
    lh_mutex_unlock(&store->mutex);
}

lh_code lh_commit_submit(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    commit->code = lh_check_may_wait("a commit", err);
    LH_TRY(commit->code);
    lh_cond_init(&commit->answered);
    lh_mutex_lock(&store->mutex);
    enqueue(store, commit);
    while (!commit->done)
        lh_cond_wait_until(&commit->answered, &store->mutex, LH_NO_DEADLINE);
    lh_mutex_unlock(&store->mutex);
    pthread_cond_destroy(&commit->answered);
    if (commit->code != LH_OK)
        *err = commit->err;
    return commit->code;
}
