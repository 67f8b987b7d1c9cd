/*
 * Changes of buckets. They are rare, and each has a group of its own: so it sees what is published,
 * and nothing of it is half done.
 */
#include "storaged/store_private.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- create ---- */

struct bucket_create {
    struct lh_commit commit;
    struct lh_bucket bucket;
};

static lh_code apply_create(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct bucket_create *change = (struct bucket_create *)commit;
    bool found = false;
    size_t place = lh_buckets_place(&store->buckets, lh_str_from(change->bucket.name), &found);
    if (found) {
        change->bucket = store->buckets.by_name[place]->info;
        return lh_commit_refuse(commit, LH_EXISTS, "there is a bucket %s", change->bucket.name);
    }
    if (store->buckets.count >= LH_BUCKETS_MAX)
        return lh_commit_refuse(commit, LH_BUSY, "there are %d buckets, more are not possible",
                                LH_BUCKETS_MAX);
    commit->changes = true;
    LH_TRY(lh_index_new_bucket_id(store->index, &change->bucket.id, err));
    return lh_index_put_bucket(store->index, &change->bucket, err);
}

static void publish_create(struct lh_store *store, struct lh_commit *commit)
{
    lh_buckets_add(store, &((struct bucket_create *)commit)->bucket);
}

static const struct lh_commit_kind create_kind = {
    .apply = apply_create, .publish = publish_create, .alone = true};

lh_code lh_bucket_create(struct lh_store *store, lh_str name, const char *owner,
                         struct lh_bucket *ret_bucket, struct lh_error *err)
{
    LH_TRY(lh_bucket_check_name(name, err));
    LH_TRY(lh_store_check_writable(store, err));
    if (strlen(owner) >= LH_BUCKET_OWNER_SIZE)
        return lh_fail(err, LH_INVALID, "the owner's id is too long");
    struct bucket_create change = {.commit = {.kind = &create_kind, .err = LH_ERROR_INIT}};
    memcpy(change.bucket.name, name.ptr, name.len);
    memcpy(change.bucket.owner, owner, strlen(owner));
    change.bucket.created_ms = lh_store_now(store);
    lh_code code = lh_commit_submit(store, &change.commit, err);
    if (code == LH_OK || code == LH_EXISTS)
        *ret_bucket = change.bucket;
    return code;
}

/* ---- delete ---- */

struct bucket_delete {
    struct lh_commit commit;
    lh_str name;
    struct lh_bucket_entry *entry;
};

static lh_code apply_delete(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct bucket_delete *change = (struct bucket_delete *)commit;
    bool found = false;
    bool used = false;
    size_t place = lh_buckets_place(&store->buckets, change->name, &found);
    if (!found)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "there is no bucket of this name");
    change->entry = store->buckets.by_name[place];
    if (change->entry->info.id == LH_BUCKET_LAKE)
        return lh_commit_refuse(commit, LH_FORBIDDEN, "the bucket lake cannot be deleted");
    LH_TRY(lh_index_bucket_in_use(store->index, change->entry->info.id, &used, err));
    if (used)
        return lh_commit_refuse(commit, LH_NOT_EMPTY, "the bucket has objects");
    commit->changes = true;
    return lh_index_remove_bucket(store->index, change->entry->info.id, err);
}

static void publish_delete(struct lh_store *store, struct lh_commit *commit)
{
    struct lh_bucket_entry *entry = ((struct bucket_delete *)commit)->entry;
    /* Parts of its unfinished uploads went with it. */
    atomic_fetch_sub(&store->bytes, entry->info.bytes);
    atomic_fetch_sub(&store->objects, entry->info.objects);
    lh_buckets_remove(store, entry);
    lh_store_wake_keeper(store);
}

static const struct lh_commit_kind delete_kind = {
    .apply = apply_delete, .publish = publish_delete, .alone = true};

lh_code lh_bucket_delete(struct lh_store *store, lh_str name, struct lh_error *err)
{
    LH_TRY(lh_store_check_writable(store, err));
    struct bucket_delete change = {.commit = {.kind = &delete_kind, .err = LH_ERROR_INIT},
                                   .name = name};
    return lh_commit_submit(store, &change.commit, err);
}

/* ---- settings ---- */

struct bucket_settings {
    struct lh_commit commit;
    int64_t bucket;
    const uint64_t *quota_bytes; /* NULL = as it is */
    const unsigned *public_rights;
    const enum lh_versioning *versioning;
    struct lh_bucket_entry *entry;
    struct lh_bucket changed;
};

static lh_code apply_settings(struct lh_store *store, struct lh_commit *commit,
                              struct lh_error *err)
{
    struct bucket_settings *change = (struct bucket_settings *)commit;
    change->entry = lh_buckets_at(&store->buckets, change->bucket);
    if (!change->entry)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    change->changed = change->entry->info;
    if (change->quota_bytes)
        change->changed.quota_bytes = *change->quota_bytes;
    if (change->public_rights)
        change->changed.public_rights = *change->public_rights;
    if (change->versioning)
        change->changed.versioning = *change->versioning;
    commit->changes = true;
    return lh_index_put_bucket(store->index, &change->changed, err);
}

static void publish_settings(struct lh_store *store, struct lh_commit *commit)
{
    const struct bucket_settings *change = (struct bucket_settings *)commit;
    lh_buckets_change(store, change->entry, &change->changed);
}

static const struct lh_commit_kind settings_kind = {
    .apply = apply_settings, .publish = publish_settings, .alone = true};

/* What of `wanted` is not NULL. */
static lh_code set(struct lh_store *store, int64_t bucket, struct bucket_settings wanted,
                   struct lh_error *err)
{
    LH_TRY(lh_store_check_writable(store, err));
    wanted.commit = (struct lh_commit){.kind = &settings_kind, .err = LH_ERROR_INIT};
    wanted.bucket = bucket;
    return lh_commit_submit(store, &wanted.commit, err);
}

lh_code lh_bucket_set_quota(struct lh_store *store, int64_t bucket, uint64_t bytes,
                            struct lh_error *err)
{
    if (bytes > INT64_MAX)
        return lh_fail(err, LH_INVALID, "the quota is too large");
    return set(store, bucket, (struct bucket_settings){.quota_bytes = &bytes}, err);
}

lh_code lh_bucket_set_public(struct lh_store *store, int64_t bucket, unsigned rights,
                             struct lh_error *err)
{
    return set(store, bucket, (struct bucket_settings){.public_rights = &rights}, err);
}

lh_code lh_bucket_set_versioning(struct lh_store *store, int64_t bucket,
                                 enum lh_versioning versioning, struct lh_error *err)
{
    LH_CHECK(versioning != LH_VERSIONING_NONE);
    return set(store, bucket, (struct bucket_settings){.versioning = &versioning}, err);
}

/* ---- documents ---- */

struct bucket_document {
    struct lh_commit commit;
    int64_t bucket;
    int kind;
    lh_str text;
    const lh_str *rules; /* encoded, written with the document; NULL = only that */
};

static lh_code apply_document(struct lh_store *store, struct lh_commit *commit,
                              struct lh_error *err)
{
    const struct bucket_document *change = (struct bucket_document *)commit;
    if (!lh_buckets_at(&store->buckets, change->bucket))
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    commit->changes = true;
    if (change->rules)
        LH_TRY(lh_index_put_document(store->index, change->bucket, LH_INDEX_LIFECYCLE,
                                     *change->rules, err));
    return lh_index_put_document(store->index, change->bucket, change->kind, change->text, err);
}

static const struct lh_commit_kind document_kind = {.apply = apply_document, .alone = true};

lh_code lh_bucket_put_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                               lh_str text, const lh_str *rules, struct lh_error *err)
{
    LH_CHECK(kind < LH_BUCKET_DOCUMENTS);
    LH_TRY(lh_store_check_writable(store, err));
    if (text.len > LH_BUCKET_DOCUMENT_MAX)
        return lh_fail(err, LH_TOO_LARGE, "the document has %zu bytes, at most %d are possible",
                       text.len, LH_BUCKET_DOCUMENT_MAX);
    struct bucket_document change = {
        .commit = {.kind = &document_kind, .err = LH_ERROR_INIT},
        .bucket = bucket,
        .kind = (int)kind,
        .text = text,
        .rules = rules,
    };
    return lh_commit_submit(store, &change.commit, err);
}

lh_code lh_bucket_set_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                               lh_str text, struct lh_error *err)
{
    /* Without its document a life cycle has no rules either. */
    bool with_rules = kind == LH_BUCKET_LIFECYCLE && !text.ptr;
    return lh_bucket_put_document(store, bucket, kind, text, with_rules ? &LH_STR_NONE : NULL, err);
}

lh_code lh_bucket_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                           struct lh_buf *out, struct lh_error *err)
{
    LH_CHECK(kind < LH_BUCKET_DOCUMENTS);
    return lh_index_document(store->index, bucket, (int)kind, out, err);
}
