/* Every call on files fails in turn, in what changes versions. */
#include "unit/storaged/turns.h"

/* ---- buckets with versions ---- */

/* A bucket and its versions. */
struct versions {
    int64_t bucket;
    struct lh_deletion list[16];
    char keys[16][8];
    size_t count;
};

/* As `prepare` has left them. */
static struct versions enabled;
static struct versions suspended;

static bool take_version(void *ctx, lh_str name, const struct lh_store_info *info, bool is_latest)
{
    struct versions *versions = ctx;
    (void)is_latest;
    size_t i = versions->count++;
    memcpy(versions->keys[i], name.ptr, name.len);
    versions->list[i] = (struct lh_deletion){.key = lh_str_of(versions->keys[i], name.len),
                                             .version = lh_version_of(info)};
    return versions->count < LH_COUNT(versions->list);
}

/* Bucket 0 when there is none. */
static void find_versions(struct lh_store *store, const char *name, struct versions *versions)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    bool more;
    versions->count = 0;
    versions->bucket = 0;
    if (lh_bucket_find(store, lh_str_from(name), &bucket, &err) != LH_OK)
        return;
    versions->bucket = bucket.id;
    const struct lh_version_list_options list = {.bucket = bucket.id, .limit = 16};
    assert_int_equal(lh_store_list_versions(store, &list, take_version, versions, &more, &err),
                     LH_OK);
}

static lh_code put_version(struct lh_store *store, int64_t bucket, const char *key, size_t len)
{
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    LH_AUTO_FREE char *bytes = sample_body(len, 9);
    const struct lh_upload_options options = {
        .bucket = bucket, .key = lh_str_from(key), .length = (int64_t)len};
    return sample_put_with(store, options, bytes, len, &created, &err);
}

/* Of "k" the null version, a large and a small one; of "m" one, and a marker over it. */
static void prepare_versions(struct lh_store *store, const char *name,
                             enum lh_versioning versioning, struct versions *all)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    find_versions(store, name, all);
    if (all->count > 0)
        assert_int_equal(lh_store_delete_many(store, all->bucket, all->list, all->count, &err),
                         LH_OK);
    if (all->bucket != 0)
        assert_int_equal(lh_bucket_delete(store, lh_str_from(name), &err), LH_OK);
    assert_int_equal(lh_bucket_create(store, lh_str_from(name), "me", &bucket, &err), LH_OK);
    assert_int_equal(put_version(store, bucket.id, "k", LARGE + 1), LH_OK);
    assert_int_equal(lh_bucket_set_versioning(store, bucket.id, LH_VERSIONING_ENABLED, &err),
                     LH_OK);
    assert_int_equal(put_version(store, bucket.id, "k", LARGE), LH_OK);
    assert_int_equal(put_version(store, bucket.id, "k", SMALL), LH_OK);
    assert_int_equal(put_version(store, bucket.id, "m", SMALL), LH_OK);
    assert_int_equal(lh_store_delete(store, bucket.id, LH_STR("m"), NULL, &err), LH_OK);
    assert_int_equal(lh_bucket_set_versioning(store, bucket.id, versioning, &err), LH_OK);
    find_versions(store, name, all);
}

static void prepare_both(struct lh_store *store)
{
    prepare_versions(store, "enabled", LH_VERSIONING_ENABLED, &enabled);
    prepare_versions(store, "suspended", LH_VERSIONING_SUSPENDED, &suspended);
}

/* ---- what is done ---- */

static lh_code put_newer(struct lh_store *store)
{
    return put_version(store, enabled.bucket, "k", LARGE + 2);
}

static lh_code put_null(struct lh_store *store)
{
    return put_version(store, suspended.bucket, "k", LARGE + 2);
}

static lh_code delete_to_marker(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_store_delete(store, enabled.bucket, LH_STR("k"), NULL, &err);
}

static lh_code delete_to_null_marker(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_store_delete(store, suspended.bucket, LH_STR("k"), NULL, &err);
}

/* The current one, a marker, and one of the others: of two keys another is current then. */
static lh_code delete_versions(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(enabled.count, 5);
    struct lh_deletion list[] = {enabled.list[0], enabled.list[3], enabled.list[2]};
    return lh_store_delete_many(store, enabled.bucket, list, LH_COUNT(list), &err);
}

static lh_code enable_versioning(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_bucket_set_versioning(store, suspended.bucket, LH_VERSIONING_ENABLED, &err);
}

static const struct action actions[] = {
    {"put a version", put_newer},
    {"put the null version", put_null},
    {"delete to a marker", delete_to_marker},
    {"delete to the null marker", delete_to_null_marker},
    {"delete versions", delete_versions},
    {"enable versioning", enable_versioning},
};

int main(void)
{
    prepare_more = prepare_both;
    return turns_run(actions, LH_COUNT(actions));
}
