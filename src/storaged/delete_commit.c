/*
 * Deletes, as the committer makes them. In a bucket that was never versioned a row goes; in another
 * one a delete marker takes the place of the current version, and one that is named goes for good.
 */
#include "storaged/store_private.h"

#include "base/mem.h"

struct object_delete {
    struct lh_commit commit;
    int64_t bucket;
    struct lh_deletion *list;
    const uint64_t *bodies; /* NULL = whatever is there */
    size_t count;
    struct lh_store_condition condition;
    struct lh_bucket_entry *entry;
    struct lh_index_row *gone; /* of each key; body 0 = no bytes went */
};

/* Whether it is to be deleted; refuses the whole when a condition fails. */
static bool wants_delete(struct object_delete *change, size_t i, const struct lh_index_row *old)
{
    const char *why = NULL;
    lh_code code = lh_object_judge(&change->condition, old, &why);
    if (code != LH_OK)
        LH_IGNORE(lh_commit_refuse(&change->commit, code, "%s", why), "it is LH_OK");
    return code == LH_OK && (!change->bodies || (old && change->bodies[i] == old->body));
}

static void note_gone(struct lh_store *store, struct object_delete *change, size_t i,
                      const struct lh_index_row *row)
{
    lh_bucket_count(store, change->entry, -1, -(int64_t)row->info.size);
    change->gone[i] = *row;
    change->commit.changes = true;
}

static lh_code remove_current(struct lh_store *store, struct object_delete *change, size_t i,
                              const struct lh_index_row *row, struct lh_error *err)
{
    note_gone(store, change, i, row);
    return lh_index_remove(store->index, change->bucket, change->list[i].key, row, err);
}

static lh_code remove_other(struct lh_store *store, struct object_delete *change, size_t i,
                            const struct lh_index_row *row, struct lh_error *err)
{
    note_gone(store, change, i, row);
    return lh_index_remove_version(store->index, change->bucket, change->list[i].key, row, err);
}

/* ---- markers ---- */

/* Makes room for a marker: the current version becomes one of the others; while versioning is
 * suspended the null version goes, wherever it is. */
static lh_code clear_place(struct lh_store *store, struct object_delete *change, size_t i,
                           const struct lh_index_row *current, struct lh_error *err)
{
    lh_str key = change->list[i].key;
    const struct lh_version null = {.kind = LH_VERSION_NULL};
    bool suspended = change->entry->info.versioning == LH_VERSIONING_SUSPENDED;
    struct lh_index_row row;
    bool found = false;
    if (current && suspended && lh_version_of(&current->info).kind == LH_VERSION_NULL)
        return remove_current(store, change, i, current, err);
    if (current) {
        LH_TRY(lh_index_demote(store->index, change->bucket, key, err));
        LH_TRY(lh_index_leave(store->index, change->bucket, key, err));
    }
    if (suspended)
        LH_TRY(lh_index_find_version(store->index, change->bucket, key, null, &row, &found, err));
    return found ? remove_other(store, change, i, &row, err) : LH_OK;
}

static lh_code put_marker(struct lh_store *store, struct object_delete *change, size_t i,
                          const struct lh_index_row *current, struct lh_error *err)
{
    struct lh_deletion *item = &change->list[i];
    struct lh_index_row marker = {
        .info = {.modified_ms = lh_store_now(store), .delete_marker = true}};
    LH_TRY(clear_place(store, change, i, current, err));
    lh_version_take(store, change->entry, &marker.info);
    lh_bucket_count(store, change->entry, 1, 0);
    change->commit.changes = true;
    item->marker = true;
    item->made = lh_version_of(&marker.info);
    return lh_index_put_marker(store->index, change->bucket, item->key, &marker, err);
}

/* ---- named versions ---- */

/* Without a current version the newest of the others is it, unless it is a marker. */
static lh_code promote_newest(struct lh_store *store, int64_t bucket, lh_str key,
                              struct lh_error *err)
{
    struct lh_index_row newest;
    bool found = false;
    LH_TRY(lh_index_find_newest(store->index, bucket, key, &newest, &found, err));
    if (!found || newest.info.delete_marker)
        return LH_OK;
    return lh_index_promote(store->index, bucket, key, &newest, err);
}

/* One that is not there is gone already, whatever the condition. */
static lh_code delete_version(struct lh_store *store, struct object_delete *change, size_t i,
                              const struct lh_index_row *current, struct lh_error *err)
{
    struct lh_deletion *item = &change->list[i];
    struct lh_index_row row;
    bool found = false;
    LH_TRY(lh_index_find_version(store->index, change->bucket, item->key, item->version, &row,
                                 &found, err));
    if (!found || !wants_delete(change, i, &row))
        return LH_OK;
    bool is_current = current && current->info.version == row.info.version;
    item->marker = row.info.delete_marker;
    if (item->marker)
        item->made = item->version;
    LH_TRY(is_current ? remove_current(store, change, i, &row, err)
                      : remove_other(store, change, i, &row, err));
    return is_current || !current ? promote_newest(store, change->bucket, item->key, err) : LH_OK;
}

/* ---- the change ---- */

static lh_code apply_one(struct lh_store *store, struct object_delete *change, size_t i,
                         struct lh_error *err)
{
    const struct lh_deletion *item = &change->list[i];
    struct lh_index_row row;
    bool found = false;
    LH_TRY(lh_index_find(store->index, change->bucket, item->key, &row, &found, err));
    const struct lh_index_row *current = found ? &row : NULL;
    if (item->version.kind != LH_VERSION_CURRENT)
        return delete_version(store, change, i, current, err);
    if (!wants_delete(change, i, current))
        return LH_OK;
    if (change->entry->info.versioning != LH_VERSIONING_NONE)
        return put_marker(store, change, i, current, err);
    return current ? remove_current(store, change, i, current, err) : LH_OK;
}

static lh_code apply_delete(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct object_delete *change = (struct object_delete *)commit;
    change->entry = lh_buckets_at(&store->buckets, change->bucket);
    if (!change->entry)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    for (size_t i = 0; i < change->count; i++) {
        if (change->list[i].code == LH_OK) /* else a key that cannot be */
            LH_TRY(apply_one(store, change, i, err));
    }
    return LH_OK;
}

static void publish_delete(struct lh_store *store, struct lh_commit *commit)
{
    struct object_delete *change = (struct object_delete *)commit;
    for (size_t i = 0; i < change->count; i++) {
        if (change->gone[i].body != 0 || change->gone[i].damaged)
            lh_object_gone(store, change->bucket, change->list[i].key, &change->gone[i]);
    }
}

static const struct lh_commit_kind delete_kind = {.apply = apply_delete, .publish = publish_delete};

static lh_code run(struct lh_store *store, struct object_delete *change, struct lh_error *err)
{
    change->commit = (struct lh_commit){.kind = &delete_kind, .err = LH_ERROR_INIT};
    for (size_t i = 0; i < change->count; i++) {
        change->list[i].marker = false;
        change->list[i].made = (struct lh_version){.kind = LH_VERSION_CURRENT};
    }
    return lh_commit_submit(store, &change->commit, err);
}

lh_code lh_store_delete_version(struct lh_store *store, int64_t bucket,
                                struct lh_deletion *deletion,
                                const struct lh_store_condition *condition, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(deletion->key, err));
    LH_TRY(lh_store_check_writable(store, err));
    struct lh_index_row gone = {0};
    struct object_delete change = {.bucket = bucket, .list = deletion, .count = 1, .gone = &gone};
    if (condition)
        change.condition = *condition;
    deletion->code = LH_OK;
    deletion->code = run(store, &change, err);
    return deletion->code;
}

lh_code lh_store_delete(struct lh_store *store, int64_t bucket, lh_str key,
                        const struct lh_store_condition *condition, struct lh_error *err)
{
    struct lh_deletion deletion = {.key = key};
    return lh_store_delete_version(store, bucket, &deletion, condition, err);
}

lh_code lh_store_delete_bodies(struct lh_store *store, int64_t bucket, struct lh_deletion *list,
                               const uint64_t *bodies, size_t count, struct lh_error *err)
{
    LH_TRY(lh_store_check_writable(store, err));
    LH_AUTO_FREE struct lh_index_row *gone = lh_calloc(count ? count : 1, sizeof(*gone));
    for (size_t i = 0; i < count; i++) {
        struct lh_error ignored = LH_ERROR_INIT;
        list[i].code = lh_store_check_key(list[i].key, &ignored);
    }
    struct object_delete change = {
        .bucket = bucket, .list = list, .bodies = bodies, .count = count, .gone = gone};
    return run(store, &change, err);
}

lh_code lh_store_delete_many(struct lh_store *store, int64_t bucket, struct lh_deletion *list,
                             size_t count, struct lh_error *err)
{
    return lh_store_delete_bodies(store, bucket, list, NULL, count, err);
}
