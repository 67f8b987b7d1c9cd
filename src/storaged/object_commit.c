/*
 * Changes of objects, as the committer makes them: put and tags (deletes: delete_commit.c). Each
 * judges its condition against the row that this transaction sees, and writes only then.
 */
#include "storaged/store_private.h"

#include "base/mem.h"
#include "net/http.h"
#include "storaged/attributes.h"

/* ---- conditions ---- */

static bool is_star(lh_str condition)
{
    return lh_str_is(lh_str_trim(condition), "*");
}

lh_code lh_object_judge(const struct lh_store_condition *condition, const struct lh_index_row *old,
                        const char **ret_why)
{
    lh_str if_match = condition->if_match;
    lh_str if_none_match = condition->if_none_match;
    bool by_etag =
        (if_match.ptr && !is_star(if_match)) || (if_none_match.ptr && !is_star(if_none_match));
    *ret_why = "the object's row in the index is damaged";
    if (old && old->damaged && by_etag)
        return LH_CORRUPT;
    lh_str etag = old ? lh_str_from(old->info.etag) : LH_STR_NONE;
    *ret_why = old ? "the object has another etag" : "there is no object of this key";
    if (if_match.ptr && !(old && lh_http_etag_matches(if_match, etag, false)))
        return LH_PRECONDITION;
    *ret_why = "there is an object of this key";
    if (if_none_match.ptr && old && lh_http_etag_matches(if_none_match, etag, true))
        return LH_PRECONDITION;
    return LH_OK;
}

/* Bytes that go from the totals with a row. What a damaged one says of its size cannot be trusted;
 * the totals may then be off by it. */
static int64_t bytes_of(const struct lh_index_row *row)
{
    return (int64_t)row->info.size;
}

void lh_object_gone(struct lh_store *store, int64_t bucket, lh_str key,
                    const struct lh_index_row *old)
{
    if (old->in_file && !old->damaged)
        lh_store_doom_file(store, old->body);
    if (old->info.part_count > 0)
        lh_store_wake_keeper(store);
    lh_store_forget_damaged(store, bucket, key);
}

/* ---- put ---- */

/* In a versioned bucket what was current stays, but for the null version while versioning is
 * suspended: that one goes, wherever it is. */
static lh_code find_replaced(struct lh_store *store, struct lh_object_put *put,
                             struct lh_error *err)
{
    const struct lh_version null = {.kind = LH_VERSION_NULL};
    enum lh_versioning versioning = put->entry->info.versioning;
    put->replaces = put->existed;
    if (versioning == LH_VERSIONING_NONE)
        return LH_OK;
    put->replaces = put->existed && versioning == LH_VERSIONING_SUSPENDED &&
                    lh_version_of(&put->old.info).kind == LH_VERSION_NULL;
    if (versioning == LH_VERSIONING_ENABLED || put->replaces)
        return LH_OK;
    return lh_index_find_version(store->index, put->bucket, put->key, null, &put->other,
                                 &put->replaces_other, err);
}

lh_code lh_object_put_judge(struct lh_store *store, struct lh_object_put *put, int64_t more_bytes,
                            bool *ret_allowed, struct lh_error *err)
{
    struct lh_commit *commit = &put->commit;
    *ret_allowed = false;
    put->entry = lh_buckets_at(&store->buckets, put->bucket);
    if (!put->entry)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    LH_TRY(lh_index_find(store->index, put->bucket, put->key, &put->old, &put->existed, err));
    const char *why = NULL;
    lh_code code = lh_object_judge(&put->condition, put->existed ? &put->old : NULL, &why);
    if (code != LH_OK)
        return lh_commit_refuse(commit, code, "%s", why);
    LH_TRY(find_replaced(store, put, err));
    if (put->replaces)
        more_bytes -= bytes_of(&put->old);
    if (put->replaces_other)
        more_bytes -= bytes_of(&put->other);
    if (!lh_bucket_has_room(put->entry, more_bytes))
        return lh_commit_refuse(commit, LH_QUOTA, "the bucket may hold %llu bytes",
                                (unsigned long long)put->entry->info.quota_bytes);
    *ret_allowed = true;
    return LH_OK;
}

lh_code lh_object_put_write(struct lh_store *store, struct lh_object_put *put, int64_t more_bytes,
                            struct lh_error *err)
{
    put->commit.changes = true;
    if (put->replaces)
        lh_bucket_count(store, put->entry, -1, -bytes_of(&put->old));
    lh_bucket_count(store, put->entry, 1, more_bytes);
    if (put->replaces_other) {
        lh_bucket_count(store, put->entry, -1, -bytes_of(&put->other));
        LH_TRY(lh_index_remove_version(store->index, put->bucket, put->key, &put->other, err));
    }
    if (put->existed && !put->replaces)
        LH_TRY(lh_index_demote(store->index, put->bucket, put->key, err));
    lh_version_take(store, put->entry, &put->row.info);
    return lh_index_put(store->index, put->bucket, put->key, &put->row, put->body, &put->attributes,
                        put->replaces ? &put->old : NULL, err);
}

void lh_object_put_publish(struct lh_store *store, struct lh_object_put *put)
{
    if (put->replaces)
        lh_object_gone(store, put->bucket, put->key, &put->old);
    if (put->replaces_other)
        lh_object_gone(store, put->bucket, put->key, &put->other);
}

static lh_code apply_put(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct lh_object_put *put = (struct lh_object_put *)commit;
    bool allowed = false;
    LH_TRY(lh_object_put_judge(store, put, bytes_of(&put->row), &allowed, err));
    return allowed ? lh_object_put_write(store, put, bytes_of(&put->row), err) : LH_OK;
}

static void publish_put(struct lh_store *store, struct lh_commit *commit)
{
    lh_object_put_publish(store, (struct lh_object_put *)commit);
}

const struct lh_commit_kind lh_object_put_kind = {.apply = apply_put, .publish = publish_put};

/* ---- tags ---- */

struct tags_change {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    struct lh_version version;
    lh_str tags; /* encoded */
};

static lh_code find_tagged(struct lh_store *store, const struct tags_change *change,
                           struct lh_index_row *ret_row, bool *ret_found, bool *ret_current,
                           struct lh_error *err)
{
    struct lh_index_row row;
    LH_TRY(lh_index_find(store->index, change->bucket, change->key, ret_row, ret_current, err));
    *ret_found = *ret_current;
    if (change->version.kind == LH_VERSION_CURRENT)
        return LH_OK;
    LH_TRY(lh_index_find_version(store->index, change->bucket, change->key, change->version, &row,
                                 ret_found, err));
    if (!*ret_found)
        return LH_OK;
    *ret_current = *ret_current && ret_row->info.version == row.info.version;
    *ret_row = row;
    return LH_OK;
}

static lh_code apply_tags(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct tags_change *change = (struct tags_change *)commit;
    struct lh_index_row row;
    bool found = false;
    bool current = false;
    LH_TRY(find_tagged(store, change, &row, &found, &current, err));
    if (!found)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "there is no object of this key");
    if (row.info.delete_marker)
        return lh_commit_refuse(commit, LH_METHOD_NOT_ALLOWED, "a delete marker has no tags");
    if (row.damaged)
        return lh_commit_refuse(commit, LH_CORRUPT, "the object's row in the index is damaged");
    LH_AUTO_FREE char *headers = NULL;
    size_t len = 0;
    struct lh_error damage = LH_ERROR_INIT;
    if (lh_index_find_headers(store->index, &row, &headers, &len, &damage) != LH_OK)
        return lh_commit_refuse(commit, damage.code, "%s", damage.message);
    commit->changes = true;
    const struct lh_index_attributes attributes = {lh_str_of(headers, len), change->tags};
    return lh_index_set_attributes(store->index, change->bucket, change->key, &row, current,
                                   &attributes, err);
}

static const struct lh_commit_kind tags_kind = {.apply = apply_tags};

lh_code lh_store_set_version_tags(struct lh_store *store, int64_t bucket, lh_str key,
                                  struct lh_version version, struct lh_attributes tags,
                                  struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_store_check_writable(store, err));
    LH_AUTO_FREE char *text = NULL;
    size_t len = 0;
    LH_TRY(lh_attributes_encode_tags(tags, &text, &len, err));
    struct tags_change change = {
        .commit = {.kind = &tags_kind, .err = LH_ERROR_INIT},
        .bucket = bucket,
        .key = key,
        .version = version,
        .tags = lh_str_of(text, len),
    };
    return lh_commit_submit(store, &change.commit, err);
}

lh_code lh_store_set_tags(struct lh_store *store, int64_t bucket, lh_str key,
                          struct lh_attributes tags, struct lh_error *err)
{
    const struct lh_version current = {.kind = LH_VERSION_CURRENT};
    return lh_store_set_version_tags(store, bucket, key, current, tags, err);
}
