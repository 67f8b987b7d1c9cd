/*
 * From a stored object to a known outcome: it is part of a dataset, or it is gone.
 *
 * A commit whose answer did not come (the catalog was killed, the time was over) may have happened,
 * may still happen, or never will. It is sent again until there is an answer. That is safe:
 *  - commits are idempotent by content id: one that happened is answered "unchanged";
 *  - every commit names the snapshot that it builds on (expect_snapshot): once another one came
 * first, this one never happens, whichever copy of it arrives when. So a refusal is final, and only
 * then is the object removed. An object is never removed on the ground that the catalog does not
 * know it yet.
 */
#include "ingestd/ingestd_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    TRY_MS = 15000, /* one request: a little more than catalogd gives storaged */
    PAUSE_MIN_MS = 50,
    PAUSE_MAX_MS = 2000,
    ROUND_PAUSE_MIN_MS = 500,
    ROUND_PAUSE_MAX_MS = 30000,
};

static bool is_stopping(struct lh_intake *intake)
{
    lh_mutex_lock(&intake->lock);
    bool stopping = intake->stopping;
    lh_mutex_unlock(&intake->lock);
    return stopping;
}

/* The job of that id, or NULL; with the lock held. */
static struct lh_job *find_job(struct lh_intake *intake, const char *id)
{
    struct lh_job *job = intake->jobs;
    while (job != NULL && strcmp(job->id, id) != 0)
        job = job->next;
    return job;
}

void lh_settle_later(struct lh_intake *intake, const struct lh_journal_entry *entry)
{
    lh_mutex_lock(&intake->lock);
    struct lh_job *job = find_job(intake, entry->id);
    if (job != NULL) {
        job->leaves_entry = true; /* counted when it ends: until then the background keeps off */
    } else {
        intake->unsettled++;
        pthread_cond_broadcast(&intake->changed);
    }
    lh_mutex_unlock(&intake->lock);
}

/* ---- removing ---- */

static lh_code try_delete(struct lh_intake *intake, const struct lh_journal_entry *entry,
                          struct lh_error *err)
{
    LH_TRY(lh_objstore_delete(intake->options.store, entry->key, lh_deadline_in_ms(TRY_MS), err));
    return lh_journal_remove(intake->journal, entry->id, err);
}

void lh_settle_delete(struct lh_intake *intake, const struct lh_journal_entry *entry)
{
    struct lh_error err = LH_ERROR_INIT;
    if (try_delete(intake, entry, &err) == LH_OK)
        return;
    /* Without its commit, so that the background only removes it. */
    const struct lh_journal_entry bare = {.id = entry->id, .key = entry->key};
    struct lh_error ignored = LH_ERROR_INIT;
    if (entry->commit.len > 0)
        LH_IGNORE(lh_journal_write(intake->journal, &bare, &ignored),
                  "then the background hears the refusal once more");
    LH_LOG(WARN, "an object could not be removed yet", LH_LOG_TEXT("key", entry->key),
           LH_LOG_STR("error", err.message));
    lh_settle_later(intake, entry);
}

/* ---- committing ---- */

static lh_code send_until_known(struct lh_intake *intake, lh_str commit, lh_deadline deadline,
                                json_t **ret_answer, bool *ret_unknown, struct lh_error *err)
{
    int64_t pause_ms = PAUSE_MIN_MS;
    for (;;) {
        lh_deadline soon = lh_deadline_sooner(deadline, lh_deadline_in_ms(TRY_MS));
        lh_code code = lh_catalog_client_commit(intake->options.catalog, commit, soon, ret_answer,
                                                ret_unknown, err);
        if (code == LH_OK || !*ret_unknown)
            return code;
        if (lh_deadline_left_ms(deadline) <= pause_ms || is_stopping(intake))
            return code;
        lh_sleep_ms(pause_ms);
        pause_ms = 2 * pause_ms < PAUSE_MAX_MS ? 2 * pause_ms : PAUSE_MAX_MS;
    }
}

/* The name that a commit is for, borrowed from its parsed body. */
static const char *name_of(const json_t *commit)
{
    const char *name = json_string_value(json_object_get(commit, "name"));
    return name != NULL ? name : "";
}

/* The catalog had the content already. From another job: then our object is surplus. From this
 * commit, sent before: then the object is in use. */
static lh_code settle_unchanged(struct lh_intake *intake, const struct lh_journal_entry *entry,
                                struct lh_error *err)
{
    LH_AUTO_JSON json_t *commit = NULL;
    LH_AUTO_JSON json_t *dataset = NULL;
    LH_TRY(lh_json_parse(entry->commit, &commit, err));
    LH_TRY(lh_catalog_client_get(intake->options.catalog, name_of(commit), 0,
                                 lh_deadline_in_ms(TRY_MS), &dataset, err));
    if (lh_catalog_client_has_object(dataset, entry->key))
        return lh_journal_remove(intake->journal, entry->id, err);
    lh_settle_delete(intake, entry);
    return LH_OK;
}

static void settle_answer(struct lh_intake *intake, const struct lh_journal_entry *entry,
                          const json_t *answer)
{
    struct lh_error err = LH_ERROR_INIT;
    const char *status = json_string_value(json_object_get(answer, "status"));
    bool unchanged = status != NULL && strcmp(status, "unchanged") == 0;
    lh_code code = unchanged ? settle_unchanged(intake, entry, &err)
                             : lh_journal_remove(intake->journal, entry->id, &err);
    if (code == LH_OK)
        return;
    LH_LOG(WARN, "an object is settled later", LH_LOG_TEXT("key", entry->key),
           LH_LOG_STR("error", err.message));
    lh_settle_later(intake, entry);
}

lh_code lh_settle_commit(struct lh_intake *intake, const struct lh_journal_entry *entry,
                         lh_deadline deadline, json_t **ret_answer, bool *ret_unknown,
                         struct lh_error *err)
{
    lh_code code = send_until_known(intake, entry->commit, deadline, ret_answer, ret_unknown, err);
    if (code == LH_OK)
        settle_answer(intake, entry, *ret_answer);
    else if (*ret_unknown)
        lh_settle_later(intake, entry);
    else if (code != LH_PRECONDITION)
        lh_settle_delete(intake, entry);
    return code;
}

/* ---- the background: what a crash or an outage left behind ---- */

/* Another commit came first. Ours may have come before that one: then a snapshot since has the
 * object. */
static lh_code find_in_snapshots(struct lh_intake *intake, const json_t *commit, lh_str key,
                                 bool *ret_found, bool *ret_no_dataset, struct lh_error *err)
{
    struct lh_catalog_client *catalog = intake->options.catalog;
    LH_AUTO_JSON json_t *present = NULL;
    LH_TRY(lh_catalog_client_get(catalog, name_of(commit), 0, lh_deadline_in_ms(TRY_MS), &present,
                                 err));
    *ret_no_dataset = present == NULL;
    *ret_found = lh_catalog_client_has_object(present, key);
    int64_t head = json_integer_value(json_object_get(present, "snapshot"));
    int64_t base = json_integer_value(json_object_get(commit, "expect_snapshot"));
    for (int64_t id = head - 1; id > base && !*ret_found; id--) {
        LH_AUTO_JSON json_t *past = NULL;
        LH_TRY(lh_catalog_client_get(catalog, name_of(commit), id, lh_deadline_in_ms(TRY_MS), &past,
                                     err));
        if (past == NULL)
            break; /* older ones are forgotten as well */
        *ret_found = lh_catalog_client_has_object(past, key);
    }
    return LH_OK;
}

static lh_code settle_overtaken(struct lh_intake *intake, const struct lh_journal_entry *entry,
                                struct lh_error *err)
{
    LH_AUTO_JSON json_t *commit = NULL;
    bool found = false;
    bool no_dataset = false;
    LH_TRY(lh_json_parse(entry->commit, &commit, err));
    LH_TRY(find_in_snapshots(intake, commit, entry->key, &found, &no_dataset, err));
    if (found)
        return lh_journal_remove(intake->journal, entry->id, err);
    if (no_dataset) {
        /* Deleted, or renamed with the object in it: rather one object too many than one lost. */
        LH_LOG(WARN, "an object was left in the store: its dataset is gone",
               LH_LOG_TEXT("key", entry->key), LH_LOG_STR("dataset", name_of(commit)));
        return lh_journal_remove(intake->journal, entry->id, err);
    }
    return try_delete(intake, entry, err);
}

static bool is_running(struct lh_intake *intake, const char *id)
{
    lh_mutex_lock(&intake->lock);
    bool running = find_job(intake, id) != NULL;
    lh_mutex_unlock(&intake->lock);
    return running;
}

static lh_code settle_entry(struct lh_intake *intake, const struct lh_journal_entry *entry,
                            struct lh_error *err)
{
    if (entry->commit.len == 0)
        return try_delete(intake, entry, err);
    LH_AUTO_JSON json_t *answer = NULL;
    bool unknown = false;
    lh_code code = lh_catalog_client_commit(intake->options.catalog, entry->commit,
                                            lh_deadline_in_ms(TRY_MS), &answer, &unknown, err);
    if (code == LH_OK) {
        settle_answer(intake, entry, answer);
        return LH_OK;
    }
    if (unknown)
        return code;
    struct lh_error refusal = *err;
    *err = LH_ERROR_INIT;
    LH_LOG(INFO, "a commit that was left open is refused", LH_LOG_TEXT("key", entry->key),
           LH_LOG_STR("reason", refusal.message));
    return code == LH_PRECONDITION ? settle_overtaken(intake, entry, err)
                                   : try_delete(intake, entry, err);
}

struct round {
    struct lh_intake *intake;
    size_t left; /* entries that could not be settled */
};

static lh_code visit_entry(void *ctx, const struct lh_journal_entry *entry, struct lh_error *err)
{
    struct round *round = ctx;
    if (is_stopping(round->intake))
        return lh_fail(err, LH_CANCELLED, "the service is stopping");
    if (is_running(round->intake, entry->id))
        return LH_OK; /* its job sees to it, and leaves it to the next round if need be */
    struct lh_error failure = LH_ERROR_INIT;
    if (settle_entry(round->intake, entry, &failure) != LH_OK) {
        round->left++;
        LH_LOG(DEBUG, "an entry stays open", LH_LOG_STR("entry", entry->id),
               LH_LOG_STR("error", failure.message));
    } else {
        LH_LOG(INFO, "settled what was left open", LH_LOG_TEXT("key", entry->key));
    }
    return LH_OK;
}

/* One walk through the journal; false when something is left to do. */
static bool settle_round(struct lh_intake *intake)
{
    struct round round = {.intake = intake};
    struct lh_error err = LH_ERROR_INIT;
    size_t damaged = 0;
    lh_mutex_lock(&intake->lock);
    size_t counted = intake->unsettled;
    lh_mutex_unlock(&intake->lock);
    lh_code code = lh_journal_each(intake->journal, visit_entry, &round, &damaged, &err);
    lh_mutex_lock(&intake->lock);
    if (code == LH_OK) {
        /* What was left behind during the walk is still counted, seen or not. */
        intake->unsettled = round.left + (intake->unsettled - counted);
        intake->damaged = damaged;
    }
    bool done = intake->unsettled == 0;
    lh_mutex_unlock(&intake->lock);
    return done;
}

void *lh_settle_run(void *arg)
{
    struct lh_intake *intake = arg;
    int64_t pause_ms = ROUND_PAUSE_MIN_MS;
    lh_mutex_lock(&intake->lock);
    while (!intake->stopping) {
        if (intake->unsettled == 0) {
            lh_cond_wait_until(&intake->changed, &intake->lock, LH_NO_DEADLINE);
            continue;
        }
        lh_mutex_unlock(&intake->lock);
        bool done = settle_round(intake);
        lh_mutex_lock(&intake->lock);
        pause_ms = done ? ROUND_PAUSE_MIN_MS : pause_ms;
        lh_deadline next = lh_deadline_in_ms(pause_ms);
        while (!done && !intake->stopping && !lh_deadline_passed(next))
            lh_cond_wait_until(&intake->changed, &intake->lock, next);
        if (!done && 2 * pause_ms <= ROUND_PAUSE_MAX_MS)
            pause_ms *= 2;
    }
    lh_mutex_unlock(&intake->lock);
    return NULL;
}
