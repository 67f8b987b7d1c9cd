/*
 * The committer: the one thread that changes the index. It takes all commits that wait, judges
 * their conditions and writes them in one transaction with one fsync, and then answers all of them:
 * group commit. While it works the next group gathers, so the more there is to do the larger the
 * groups get.
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

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http.h"

enum { GROUP_COMMITS_MAX = 1024, GROUP_BYTES_MAX = 16 << 20 };

/* ---- one commit ---- */

static lh_code refuse(struct lh_commit *commit, lh_code code, const char *why)
{
    struct lh_error *err = &commit->err;
    commit->code = lh_fail(err, code, "%s", why);
    return commit->code;
}

static bool is_star(lh_str condition)
{
    return lh_str_is(lh_str_trim(condition), "*");
}

/* RFC 9110 sections 13.1.1 and 13.1.2, for a method that changes the object. */
static lh_code judge(struct lh_commit *commit, const struct lh_index_row *old)
{
    lh_str if_match = commit->condition.if_match;
    lh_str if_none_match = commit->condition.if_none_match;
    bool by_etag =
        (if_match.ptr && !is_star(if_match)) || (if_none_match.ptr && !is_star(if_none_match));
    if (old && old->damaged && by_etag)
        return refuse(commit, LH_CORRUPT, "the object's row in the index is damaged");
    lh_str etag = old ? lh_str_from(old->info.etag) : LH_STR_NONE;
    if (if_match.ptr && !(old && lh_http_etag_matches(if_match, etag, false)))
        return refuse(commit, LH_PRECONDITION,
                      old ? "the object has another etag" : "there is no object of this key");
    if (if_none_match.ptr && old && lh_http_etag_matches(if_none_match, etag, true))
        return refuse(commit, LH_PRECONDITION, "there is an object of this key");
    return LH_OK;
}

/* Applies one commit to the transaction. A failure returned here is the whole group's. */
static lh_code apply(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct lh_index_row old;
    LH_TRY(lh_index_find(store->index, commit->bucket, commit->key, &old, &commit->existed, err));
    const struct lh_index_row *known = commit->existed ? &old : NULL;
    if (judge(commit, known) != LH_OK)
        return LH_OK;
    if (commit->existed && old.in_file && !old.damaged)
        commit->old_file = old.body;
    commit->changes = commit->kind == LH_COMMIT_PUT || known;
    if (commit->kind == LH_COMMIT_PUT)
        return lh_index_put(store->index, commit->bucket, commit->key, &commit->row, &commit->body,
                            known, err);
    return known ? lh_index_remove(store->index, commit->bucket, commit->key, known, err) : LH_OK;
}

/* ---- one group ---- */

static lh_code sync_folders(struct lh_store *store, const struct lh_commit *group,
                            struct lh_error *err)
{
    bool folders[LH_BODY_FOLDERS] = {false};
    for (const struct lh_commit *commit = group; commit; commit = commit->next) {
        if (commit->kind == LH_COMMIT_PUT && commit->changes && commit->row.in_file)
            folders[lh_body_folder(commit->row.body)] = true;
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
        LH_TRY(apply(store, commit, err));
        changes |= commit->changes;
    }
    if (!changes) {
        lh_index_rollback(store->index);
        return LH_OK;
    }
    LH_TRY(sync_folders(store, group, err));
    return lh_index_commit(store->index, err);
}

static void fail_group(struct lh_store *store, struct lh_commit *group, bool begun,
                       const struct lh_error *err)
{
    bool open = begun && lh_store_index_failed(store);
    if (begun)
        lh_index_rollback(store->index);
    for (struct lh_commit *commit = group; commit; commit = commit->next) {
        commit->code = err->code;
        commit->err = *err;
        commit->outcome_open = open;
    }
}

/* Hands the files of replaced objects to the keeper, and wakes the callers. After that their
 * commits are gone: they live on the callers' stacks. */
static void answer_group(struct lh_store *store, struct lh_commit *group)
{
    bool due = lh_keeper_checkpoint_due(store);
    lh_mutex_lock(&store->mutex);
    for (struct lh_commit *commit = group, *next; commit; commit = next) {
        next = commit->next;
        if (commit->code == LH_OK && commit->old_file != 0) {
            store->doomed = lh_grow(store->doomed, &store->doomed_capacity, store->doomed_count + 1,
                                    sizeof(*store->doomed));
            store->doomed[store->doomed_count++] = commit->old_file;
        }
        commit->done = true;
        pthread_cond_signal(&commit->answered);
    }
    if (due || store->doomed_count > 0)
        lh_keeper_wake(store);
    lh_mutex_unlock(&store->mutex);
}

static void commit_group(struct lh_store *store, struct lh_commit *group)
{
    struct lh_error err = LH_ERROR_INIT;
    bool begun = false;
    lh_mutex_lock(&store->turn);
    if (write_group(store, group, &begun, &err) != LH_OK)
        fail_group(store, group, begun, &err);
    lh_mutex_unlock(&store->turn);

    for (const struct lh_commit *commit = group; commit; commit = commit->next) {
        atomic_fetch_add(&store->group_requests, 1);
        if (commit->code == LH_OK && commit->existed)
            lh_store_forget_damaged(store, commit->bucket, commit->key);
    }
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
    uint64_t bytes = last->row.in_file ? 0 : last->row.info.size;
    while (last->next && count < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX) {
        last = last->next;
        count++;
        bytes += last->row.in_file ? 0 : last->row.info.size;
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
        while (!store->queue && !store->stopping)
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
    store->stopping = true;
    pthread_cond_signal(&store->committer_wake);
    lh_mutex_unlock(&store->mutex);
    LH_CHECK(pthread_join(store->committer, NULL) == 0);
    store->committer_started = false;
}

lh_code lh_commit_submit(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    lh_cond_init(&commit->answered);
    lh_mutex_lock(&store->mutex);
    *store->queue_end = commit;
    store->queue_end = &commit->next;
    pthread_cond_signal(&store->committer_wake);
    while (!commit->done)
        lh_cond_wait_until(&commit->answered, &store->mutex, LH_NO_DEADLINE);
    lh_mutex_unlock(&store->mutex);
    pthread_cond_destroy(&commit->answered);
    if (commit->code != LH_OK)
        *err = commit->err;
    return commit->code;
}

lh_code lh_store_delete(struct lh_store *store, int64_t bucket, lh_str key,
                        const struct lh_store_condition *condition, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_store_check_writable(store, err));
    struct lh_commit commit = {
        .kind = LH_COMMIT_DELETE, .bucket = bucket, .key = key, .err = LH_ERROR_INIT};
    if (condition)
        commit.condition = *condition;
    return lh_commit_submit(store, &commit, err);
}
