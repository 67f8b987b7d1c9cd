/*
 * Changes to one dataset. Each runs the same way: take the turn, work out the next state
 * (commit.c), make it durable by one conditional put, publish it, give the turn back. Where another
 * catalogd wrote in between, the put's condition fails: the manifest is read again and the rules
 * are asked again.
 */
#include "catalogd/catalog_private.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

/* Against another writer that always wins; with both at full speed a few rounds are enough. */
enum { ATTEMPTS_MAX = 50, BACK_OFF_MS_MAX = 32 };

/* The time for a change: the puts may use three quarters, the rest is for learning what became of
 * one. */
struct budget {
    lh_deadline whole;
    lh_deadline put;
};

static struct budget budget_of(const struct lh_catalog *catalog)
{
    int64_t ms = catalog->options.storage_timeout_ms;
    return (struct budget){.whole = lh_deadline_in_ms(ms), .put = lh_deadline_in_ms(ms * 3 / 4)};
}

static void back_off(unsigned attempt)
{
    uint8_t random = 0;
    lh_random_bytes(&random, sizeof(random));
    unsigned ms_max = attempt < 5 ? 1U << attempt : BACK_OFF_MS_MAX;
    lh_sleep_ms(random % ms_max);
}

/* Brings an entry whose memory may be wrong up to date. LH_CORRUPT when it cannot be read. */
static lh_code make_sure(struct lh_catalog *catalog, struct lh_entry *entry,
                         const struct budget *budget, struct lh_error *err)
{
    if (!entry->failure && !entry->doubtful)
        return LH_OK;
    return lh_entry_reload(catalog, entry, budget->whole, err);
}

/* ---- commit and restore ---- */

/* One kind of change: a pure function, and what it needs. *ret_next = NULL when nothing changes. */
struct change {
    lh_code (*apply)(const struct change *change, const struct lh_dataset *current,
                     const struct lh_commit_context *context, struct lh_dataset **ret_next,
                     enum lh_commit_status *ret_status, struct lh_error *err);
    const struct lh_commit_request *commit;
    lh_str name;
    int64_t snapshot;
    bool objects_checked;
};

static lh_code apply_commit(const struct change *change, const struct lh_dataset *current,
                            const struct lh_commit_context *context, struct lh_dataset **ret_next,
                            enum lh_commit_status *ret_status, struct lh_error *err)
{
    return lh_commit_apply(current, change->commit, context, ret_next, ret_status, err);
}

static lh_code apply_restore(const struct change *change, const struct lh_dataset *current,
                             const struct lh_commit_context *context, struct lh_dataset **ret_next,
                             enum lh_commit_status *ret_status, struct lh_error *err)
{
    if (!current)
        return lh_fail(err, LH_NOT_FOUND, "there is no dataset '%.*s'", LH_FMT(change->name));
    LH_TRY(lh_restore_apply(current, change->snapshot, context, ret_next, err));
    *ret_status = *ret_next ? LH_COMMIT_RESTORED : LH_COMMIT_UNCHANGED;
    return LH_OK;
}

static struct lh_commit_context context_of(const struct lh_catalog *catalog)
{
    return (struct lh_commit_context){.now = lh_now_ms(),
                                      .snapshots_max = catalog->options.snapshots_max};
}

/* Durable, then published. */
static lh_code write_next(struct lh_catalog *catalog, struct lh_entry *entry,
                          const struct change *change, struct lh_dataset *next,
                          const struct budget *budget, struct lh_error *err)
{
    if (!entry->dataset)
        LH_TRY(lh_catalog_check_room(catalog, err));
    if (!change->objects_checked)
        LH_TRY(lh_catalog_check_objects(catalog, next->parts.objects, next->parts.object_count,
                                        lh_dataset_head(next)->id, err));
    char etag[LH_ETAG_SIZE];
    LH_TRY(lh_entry_put(catalog, entry, next, budget->put, etag, err));
    lh_entry_publish(catalog, entry, lh_dataset_ref(next), etag);
    return LH_OK;
}

/* With the turn. One round: *ret_again when somebody else wrote and the manifest was read again. */
static lh_code try_change(struct lh_catalog *catalog, struct lh_entry *entry,
                          const struct change *change, const struct budget *budget, bool *verified,
                          struct lh_commit_result *ret_result, bool *ret_again,
                          struct lh_error *err)
{
    const struct lh_commit_context context = context_of(catalog);
    LH_AUTO_DATASET struct lh_dataset *next = NULL;
    enum lh_commit_status status = LH_COMMIT_UNCHANGED;
    *ret_again = false;
    lh_code code = change->apply(change, entry->dataset, &context, &next, &status, err);
    if (code != LH_OK || !next) {
        /* Nothing to write, so no condition will tell whether memory is still the truth: ask. */
        if (!*verified && lh_entry_moved(catalog, entry, budget->whole)) {
            *ret_again = true;
            return lh_entry_reload(catalog, entry, budget->whole, err);
        }
        *verified = true;
        LH_TRY(code);
        *ret_result =
            (struct lh_commit_result){.dataset = lh_dataset_ref(entry->dataset), .status = status};
        return LH_OK;
    }
    code = write_next(catalog, entry, change, next, budget, err);
    if (code == LH_PRECONDITION) {
        *ret_again = true;
        return lh_entry_reload(catalog, entry, budget->whole, err);
    }
    LH_TRY(code);
    *ret_result = (struct lh_commit_result){.dataset = LH_TAKE(next), .status = status};
    return LH_OK;
}

/* With the turn. */
static lh_code run_change(struct lh_catalog *catalog, struct lh_entry *entry,
                          const struct change *change, const struct budget *budget,
                          struct lh_commit_result *ret_result, struct lh_error *err)
{
    LH_TRY(make_sure(catalog, entry, budget, err));
    bool verified = false;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX && !lh_deadline_passed(budget->whole);
         attempt++) {
        struct lh_error failure = LH_ERROR_INIT;
        bool again = false;
        lh_code code =
            try_change(catalog, entry, change, budget, &verified, ret_result, &again, &failure);
        if (code != LH_OK)
            *err = failure;
        if (code != LH_OK || !again)
            return code;
        back_off(attempt);
    }
    return lh_fail(err, LH_CONFLICT, "dataset '%.*s': others change it all the time",
                   LH_FMT(change->name));
}

static lh_code change_dataset(struct lh_catalog *catalog, const struct change *change,
                              struct lh_commit_result *ret_result, struct lh_error *err)
{
    char id[LH_UUID_TEXT];
    lh_dataset_id(change->name, id);
    const struct budget budget = budget_of(catalog);
    struct lh_entry *entry = NULL;
    LH_TRY(lh_entry_take(catalog, id, budget.whole, &entry, err));
    lh_code code = run_change(catalog, entry, change, &budget, ret_result, err);
    lh_entry_release(catalog, entry);
    return code;
}

/* Whether memory says that the request will write something. Only a guess: the turn decides. */
static bool will_write(struct lh_catalog *catalog, const struct lh_commit_request *request)
{
    char id[LH_UUID_TEXT];
    lh_dataset_id(request->name, id);
    LH_AUTO_DATASET struct lh_dataset *current = lh_catalog_peek(catalog, id);
    LH_AUTO_DATASET struct lh_dataset *next = NULL;
    const struct lh_commit_context context = context_of(catalog);
    enum lh_commit_status status;
    struct lh_error failure = LH_ERROR_INIT;
    return lh_commit_apply(current, request, &context, &next, &status, &failure) == LH_OK && next;
}

lh_code lh_catalog_commit(struct lh_catalog *catalog, const struct lh_commit_request *request,
                          struct lh_commit_result *ret_result, struct lh_error *err)
{
    LH_TRY(lh_commit_check(request, err));
    struct change change = {.apply = apply_commit, .commit = request, .name = request->name};
    /* The objects are looked for before the turn, so that others do not wait for that. */
    if (will_write(catalog, request)) {
        LH_TRY(lh_catalog_check_objects(catalog, request->objects, request->object_count, 0, err));
        change.objects_checked = true;
    }
    return change_dataset(catalog, &change, ret_result, err);
}

lh_code lh_catalog_restore(struct lh_catalog *catalog, lh_str name, int64_t snapshot,
                           struct lh_commit_result *ret_result, struct lh_error *err)
{
    const struct change change = {.apply = apply_restore, .name = name, .snapshot = snapshot};
    return change_dataset(catalog, &change, ret_result, err);
}

/* ---- delete ---- */

/* With the turn: makes sure that the entry is as in the store, and that there is a dataset. */
static lh_code need_dataset(struct lh_catalog *catalog, struct lh_entry *entry, lh_str name,
                            const struct budget *budget, struct lh_error *err)
{
    LH_TRY(make_sure(catalog, entry, budget, err));
    if (!entry->dataset && lh_entry_moved(catalog, entry, budget->whole))
        LH_TRY(lh_entry_reload(catalog, entry, budget->whole, err));
    if (!entry->dataset)
        return lh_fail(err, LH_NOT_FOUND, "there is no dataset '%.*s'", LH_FMT(name));
    return LH_OK;
}

/* With the turn. *ret_deleted: the state that was removed. *ret_by_us: false when the manifest was
 * gone already; then this call did it, by a request that was repeated, or another catalogd did, and
 * may have given the dataset another name. */
static lh_code delete_entry(struct lh_catalog *catalog, struct lh_entry *entry, lh_str name,
                            struct lh_dataset **ret_deleted, bool *ret_by_us, struct lh_error *err)
{
    const struct budget budget = budget_of(catalog);
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        LH_TRY(need_dataset(catalog, entry, name, &budget, err));
        struct lh_error failure = LH_ERROR_INIT;
        lh_code code = lh_entry_delete(catalog, entry, entry->etag, budget.put, &failure);
        if (code == LH_OK || code == LH_NOT_FOUND) {
            *ret_by_us = code == LH_OK;
            *ret_deleted = lh_dataset_ref(entry->dataset);
            lh_entry_publish(catalog, entry, NULL, "");
            return LH_OK;
        }
        if (code != LH_PRECONDITION) {
            *err = failure;
            return code;
        }
        LH_TRY(lh_entry_reload(catalog, entry, budget.whole, err));
        back_off(attempt);
    }
    return lh_fail(err, LH_CONFLICT, "dataset '%.*s': others change it all the time", LH_FMT(name));
}

lh_code lh_catalog_delete(struct lh_catalog *catalog, lh_str name, bool purge, struct lh_error *err)
{
    char id[LH_UUID_TEXT];
    lh_dataset_id(name, id);
    struct lh_entry *entry = NULL;
    LH_TRY(lh_entry_take(catalog, id, budget_of(catalog).whole, &entry, err));
    LH_AUTO_DATASET struct lh_dataset *deleted = NULL;
    bool by_us = false;
    lh_code code = delete_entry(catalog, entry, name, &deleted, &by_us, err);
    lh_entry_release(catalog, entry);
    if (code != LH_OK || !purge)
        return code;
    if (!by_us)
        return lh_fail(err, LH_UNAVAILABLE,
                       "dataset '%.*s' is gone, but perhaps by another's doing: its objects are "
                       "still in the store",
                       LH_FMT(name));
    return lh_catalog_purge(catalog, deleted, err);
}

/* ---- rename ----
 *
 * The put of the new manifest is the commit point: it names the old id and the nonce of the old
 * manifest, which is void from then on. That manifest is removed afterwards; where it stays behind
 * (a crash, a store that went away), the next start removes it, and a new dataset of the old name
 * writes over it. */

/* With both turns. */
static lh_code rename_entries(struct lh_catalog *catalog, struct lh_entry *from,
                              struct lh_entry *to, lh_str name, lh_str new_name,
                              struct lh_commit_result *ret_result, struct lh_error *err)
{
    const struct budget budget = budget_of(catalog);
    LH_TRY(need_dataset(catalog, from, name, &budget, err));
    LH_TRY(make_sure(catalog, to, &budget, err));
    if (to->dataset)
        return lh_fail(err, LH_EXISTS, "there is a dataset '%.*s' already", LH_FMT(new_name));

    LH_AUTO_DATASET struct lh_dataset *next = lh_rename_apply(from->dataset, new_name);
    char etag[LH_ETAG_SIZE];
    lh_code code = lh_entry_put(catalog, to, next, budget.put, etag, err);
    struct lh_error ignored = LH_ERROR_INIT;
    if (code == LH_PRECONDITION) {
        LH_IGNORE(lh_entry_reload(catalog, to, budget.whole, &ignored), "the answer is the same");
        return lh_fail(err, LH_EXISTS, "there is a dataset '%.*s' already", LH_FMT(new_name));
    }
    LH_TRY(code);
    code = lh_entry_delete(catalog, from, from->etag, budget.whole, &ignored);
    if (code == LH_PRECONDITION) {
        /* Another catalogd committed to the old name meanwhile: its commit must not be lost. */
        lh_entry_set_doubtful(catalog, from);
        lh_entry_set_doubtful(catalog, to);
        LH_TRY(lh_entry_delete(catalog, to, etag, budget.whole, err));
        return lh_fail(err, LH_CONFLICT, "dataset '%.*s' was changed while it was renamed",
                       LH_FMT(name));
    }
    bool left_behind = code != LH_OK && code != LH_NOT_FOUND;
    lh_entry_publish_rename(catalog, from, to, lh_dataset_ref(next), etag, left_behind);
    *ret_result = (struct lh_commit_result){.dataset = LH_TAKE(next), .status = LH_COMMIT_RENAMED};
    return LH_OK;
}

lh_code lh_catalog_rename(struct lh_catalog *catalog, lh_str name, lh_str to,
                          struct lh_commit_result *ret_result, struct lh_error *err)
{
    if (lh_str_eq(name, to)) {
        struct lh_commit_result result = {.status = LH_COMMIT_UNCHANGED};
        LH_TRY(lh_catalog_get(catalog, name, &result.dataset, err));
        *ret_result = result;
        return LH_OK;
    }
    char ids[2][LH_UUID_TEXT];
    lh_dataset_id(name, ids[0]);
    lh_dataset_id(to, ids[1]);
    size_t first = strcmp(ids[0], ids[1]) < 0 ? 0 : 1;
    lh_deadline deadline = budget_of(catalog).whole;
    struct lh_entry *entries[2] = {NULL, NULL};
    LH_TRY(lh_entry_take(catalog, ids[first], deadline, &entries[first], err));
    lh_code code = lh_entry_take(catalog, ids[1 - first], deadline, &entries[1 - first], err);
    if (code == LH_OK)
        code = rename_entries(catalog, entries[0], entries[1], name, to, ret_result, err);
    lh_entry_release(catalog, entries[0]);
    lh_entry_release(catalog, entries[1]);
    return code;
}
