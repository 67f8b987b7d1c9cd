/*
 * Changes of objects, as the committer makes them: put, delete, tags. Each judges its condition
 * against the row that this transaction sees, and writes only then.
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

/* RFC 9110 sections 13.1.1 and 13.1.2, for a method that changes the object. *ret_why says what is
 * wrong. */
static lh_code judge(const struct lh_store_condition *condition, const struct lh_index_row *old,
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

/* After the commit: the row that was there is gone, with what it had. */
static void publish_replaced(struct lh_store *store, int64_t bucket, lh_str key,
                             const struct lh_index_row *old)
{
    if (old->in_file && !old->damaged)
        lh_store_doom_file(store, old->body);
    if (old->info.part_count > 0)
        lh_store_wake_keeper(store);
    lh_store_forget_damaged(store, bucket, key);
}

/* ---- put ---- */

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
    lh_code code = judge(&put->condition, put->existed ? &put->old : NULL, &why);
    if (code != LH_OK)
        return lh_commit_refuse(commit, code, "%s", why);
    if (put->existed)
        more_bytes -= bytes_of(&put->old);
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
    if (put->existed)
        lh_bucket_count(store, put->entry, -1, -bytes_of(&put->old));
    lh_bucket_count(store, put->entry, 1, more_bytes);
    return lh_index_put(store->index, put->bucket, put->key, &put->row, put->body, &put->attributes,
                        put->existed ? &put->old : NULL, err);
}

void lh_object_put_publish(struct lh_store *store, struct lh_object_put *put)
{
    if (put->existed)
        publish_replaced(store, put->bucket, put->key, &put->old);
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

/* ---- delete ---- */

/* One key, whose result goes into `code`. */
struct object_delete {
    struct lh_commit commit;
    int64_t bucket;
    const lh_str *keys;
    const uint64_t *bodies; /* NULL = whatever is there */
    lh_code *codes;
    size_t count;
    struct lh_store_condition condition;
    struct lh_index_row *old; /* of each key; body 0 = nothing was deleted */
};

/* Whether the row is to be deleted; refuses the whole when a condition fails. */
static bool wants_delete(struct object_delete *change, size_t i, const struct lh_index_row *old)
{
    const char *why = NULL;
    lh_code code = judge(&change->condition, old, &why);
    if (code != LH_OK)
        LH_IGNORE(lh_commit_refuse(&change->commit, code, "%s", why), "it is LH_OK");
    return code == LH_OK && old && (!change->bodies || change->bodies[i] == old->body);
}

static lh_code apply_delete(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct object_delete *change = (struct object_delete *)commit;
    struct lh_bucket_entry *entry = lh_buckets_at(&store->buckets, change->bucket);
    if (!entry)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    for (size_t i = 0; i < change->count; i++) {
        struct lh_index_row row;
        bool found = false;
        if (change->codes[i] != LH_OK)
            continue; /* a key that cannot be */
        LH_TRY(lh_index_find(store->index, change->bucket, change->keys[i], &row, &found, err));
        if (!wants_delete(change, i, found ? &row : NULL))
            continue;
        LH_TRY(lh_index_remove(store->index, change->bucket, change->keys[i], &row, err));
        lh_bucket_count(store, entry, -1, -bytes_of(&row));
        change->old[i] = row;
        commit->changes = true;
    }
    return LH_OK;
}

static void publish_delete(struct lh_store *store, struct lh_commit *commit)
{
    struct object_delete *change = (struct object_delete *)commit;
    for (size_t i = 0; i < change->count; i++) {
        if (change->old[i].body != 0 || change->old[i].damaged)
            publish_replaced(store, change->bucket, change->keys[i], &change->old[i]);
    }
}

static const struct lh_commit_kind delete_kind = {.apply = apply_delete, .publish = publish_delete};

lh_code lh_store_delete(struct lh_store *store, int64_t bucket, lh_str key,
                        const struct lh_store_condition *condition, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_store_check_writable(store, err));
    lh_code code = LH_OK;
    struct lh_index_row old = {0};
    struct object_delete change = {
        .commit = {.kind = &delete_kind, .err = LH_ERROR_INIT},
        .bucket = bucket,
        .keys = &key,
        .codes = &code,
        .count = 1,
        .old = &old,
    };
    if (condition)
        change.condition = *condition;
    return lh_commit_submit(store, &change.commit, err);
}

lh_code lh_store_delete_bodies(struct lh_store *store, int64_t bucket, const lh_str *keys,
                               const uint64_t *bodies, size_t count, lh_code *codes,
                               struct lh_error *err)
{
    LH_TRY(lh_store_check_writable(store, err));
    LH_AUTO_FREE struct lh_index_row *old = lh_calloc(count ? count : 1, sizeof(*old));
    for (size_t i = 0; i < count; i++) {
        struct lh_error ignored = LH_ERROR_INIT;
        codes[i] = lh_store_check_key(keys[i], &ignored);
    }
    struct object_delete change = {
        .commit = {.kind = &delete_kind, .err = LH_ERROR_INIT},
        .bucket = bucket,
        .keys = keys,
        .bodies = bodies,
        .codes = codes,
        .count = count,
        .old = old,
    };
    return lh_commit_submit(store, &change.commit, err);
}

lh_code lh_store_delete_many(struct lh_store *store, int64_t bucket, const lh_str *keys,
                             size_t count, lh_code *codes, struct lh_error *err)
{
    return lh_store_delete_bodies(store, bucket, keys, NULL, count, codes, err);
}

/* ---- tags ---- */

struct tags_change {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    lh_str tags; /* encoded */
};

static lh_code apply_tags(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct tags_change *change = (struct tags_change *)commit;
    struct lh_index_row row;
    bool found = false;
    LH_TRY(lh_index_find(store->index, change->bucket, change->key, &row, &found, err));
    if (!found)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "there is no object of this key");
    if (row.damaged)
        return lh_commit_refuse(commit, LH_CORRUPT, "the object's row in the index is damaged");
    LH_AUTO_FREE char *headers = NULL;
    size_t len = 0;
    struct lh_error damage = LH_ERROR_INIT;
    if (lh_index_find_headers(store->index, &row, &headers, &len, &damage) != LH_OK)
        return lh_commit_refuse(commit, damage.code, "%s", damage.message);
    commit->changes = true;
    const struct lh_index_attributes attributes = {lh_str_of(headers, len), change->tags};
    return lh_index_set_attributes(store->index, change->bucket, change->key, &row, &attributes,
                                   err);
}

static const struct lh_commit_kind tags_kind = {.apply = apply_tags};

lh_code lh_store_set_tags(struct lh_store *store, int64_t bucket, lh_str key,
                          struct lh_attributes tags, struct lh_error *err)
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
        .tags = lh_str_of(text, len),
    };
    return lh_commit_submit(store, &change.commit, err);
}
