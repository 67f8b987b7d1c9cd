/*
 * Versions: what becomes of the current one, which is current then, what a listing says, and that a
 * check of everything agrees.
 */
#include "storaged/storaged.h"

#include "base/os.h"
#include "storaged/scrub.h"
#include "unit/storaged/sample.h"

enum { SMALL = 1000, LARGE = 70000, TEXT_MAX = 1 << 14 };

/* ---- a bucket ---- */

static int64_t create(struct lh_store *store, enum lh_versioning versioning)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    assert_int_equal(lh_bucket_create(store, LH_STR("bucket"), "me", &bucket, &err), LH_OK);
    if (versioning != LH_VERSIONING_NONE)
        assert_int_equal(lh_bucket_set_versioning(store, bucket.id, versioning, &err), LH_OK);
    return bucket.id;
}

static void set_versioning(struct lh_store *store, int64_t bucket, enum lh_versioning versioning)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_bucket_set_versioning(store, bucket, versioning, &err), LH_OK);
}

static struct lh_bucket find(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    assert_int_equal(lh_bucket_find(store, LH_STR("bucket"), &bucket, &err), LH_OK);
    return bucket;
}

/* The version that was made. */
static struct lh_version put(struct lh_store *store, int64_t bucket, const char *key, size_t len,
                             uint64_t seed)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_upload *upload;
    struct lh_store_info info;
    bool created;
    const struct lh_upload_options options = {
        .bucket = bucket, .key = lh_str_from(key), .length = (int64_t)len};
    LH_AUTO_FREE char *bytes = sample_body(len, seed);
    assert_int_equal(lh_upload_begin(store, &options, &upload, &err), LH_OK);
    assert_int_equal(sample_feed(upload, bytes, len, len, &err), LH_OK);
    assert_int_equal(lh_upload_commit(upload, &info, &created, &err), LH_OK);
    lh_upload_free(upload);
    return lh_version_of(&info);
}

static struct lh_deletion delete (struct lh_store *store, int64_t bucket, const char *key,
                                  struct lh_version version)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_deletion deletion = {.key = lh_str_from(key), .version = version};
    assert_int_equal(lh_store_delete_version(store, bucket, &deletion, NULL, &err), LH_OK);
    return deletion;
}

static const struct lh_version current = {.kind = LH_VERSION_CURRENT};
static const struct lh_version null = {.kind = LH_VERSION_NULL};

/* Whether it is there with the bytes of that seed; LH_NOT_FOUND. */
static lh_code get(struct lh_store *store, int64_t bucket, const char *key,
                   struct lh_version version, size_t len, uint64_t seed)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    bool same = false;
    LH_TRY(lh_object_open_version(store, bucket, lh_str_from(key), version, &object, &err));
    lh_code code = sample_compare(object, len, seed, &same);
    lh_object_close(object);
    return code == LH_OK && !same ? LH_CONFLICT : code;
}

/* ---- listings as text: "key:size" or "key:marker", "n" for null, "*" for the latest ---- */

struct listing {
    struct lh_buf text;
    char last[LH_STORE_KEY_MAX + 1];
    struct lh_version last_version;
    bool last_is_key;
};

static bool add(void *ctx, lh_str name, const struct lh_store_info *info, bool is_latest)
{
    struct listing *listing = ctx;
    if (listing->text.len > 0)
        lh_buf_append_char(&listing->text, ' ');
    snprintf(listing->last, sizeof(listing->last), "%.*s", LH_FMT(name));
    lh_buf_append_str(&listing->text, name);
    listing->last_is_key = info != NULL;
    if (!info)
        return true;
    listing->last_version = lh_version_of(info);
    if (info->delete_marker)
        lh_buf_append_cstr(&listing->text, ":marker");
    else
        lh_buf_printf(&listing->text, ":%d", (int)info->size);
    lh_buf_append_cstr(&listing->text, listing->last_version.kind == LH_VERSION_NULL ? "n" : "");
    lh_buf_append_cstr(&listing->text, is_latest ? "*" : "");
    return true;
}

/* All pages of that limit, one behind the other. */
static void assert_versions(struct lh_store *store, struct lh_version_list_options options,
                            const char *expected)
{
    struct lh_error err = LH_ERROR_INIT;
    struct listing listing = {.text = LH_BUF_INIT(TEXT_MAX)};
    char after[LH_STORE_KEY_MAX + 1];
    bool more = true;
    while (more) {
        assert_int_equal(lh_store_list_versions(store, &options, add, &listing, &more, &err),
                         LH_OK);
        memcpy(after, listing.last, sizeof(after));
        options.key_after = lh_str_from(after);
        options.in_key = listing.last_is_key;
        options.version_after = listing.last_version;
    }
    assert_string_equal(lh_buf_str(&listing.text).ptr ? lh_buf_str(&listing.text).ptr : "",
                        expected);
    lh_buf_deinit(&listing.text);
}

static void assert_listed(struct lh_store *store, int64_t bucket, const char *expected)
{
    for (size_t limit = 1; limit <= 4; limit++)
        assert_versions(store, (struct lh_version_list_options){.bucket = bucket, .limit = limit},
                        expected);
}

static void tell(void *ctx, const char *what)
{
    (void)ctx;
    print_message("%s\n", what);
}

/* Closes it, too. */
static void assert_sound(struct lh_store *store, const char *dir)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_scrub_state state;
    const struct lh_scrub_report report = {.found = tell};
    sample_tend(store);
    lh_store_close(store);
    assert_int_equal(lh_store_check_offline(dir, &report, &state, &err), LH_OK);
    assert_int_equal(state.findings, 0);
}

/* ---- ids ---- */

LH_TEST(ids_of_versions)
{
    static const char *const bad[] = {"",
                                      "Null",
                                      "0",
                                      "0000000000000000",
                                      "000001000000000g",
                                      "00000100000000011",
                                      "8000000000000000"};
    struct lh_version version;
    char id[LH_VERSION_ID_SIZE];
    for (size_t i = 0; i < LH_COUNT(bad); i++)
        assert_false(lh_version_parse(lh_str_from(bad[i]), &version));
    assert_true(lh_version_parse(LH_STR("0000010000000001"), &version));
    assert_int_equal(version.kind, LH_VERSION_NUMBERED);
    assert_int_equal(version.number, UINT64_C(0x10000000001));
    lh_version_id(version, id);
    assert_string_equal(id, "0000010000000001");
    assert_true(lh_version_parse(LH_STR("null"), &version));
    lh_version_id(version, id);
    assert_string_equal(id, "null");
}

/* ---- the life of versions ---- */

LH_TEST(versions_stay_until_they_are_deleted)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    int64_t bucket = create(store, LH_VERSIONING_NONE);
    assert_int_equal(put(store, bucket, "k", SMALL, 1).kind, LH_VERSION_NULL);
    set_versioning(store, bucket, LH_VERSIONING_ENABLED);
    struct lh_version second = put(store, bucket, "k", LARGE, 2);
    struct lh_version third = put(store, bucket, "k", SMALL, 3);
    assert_true(second.kind == LH_VERSION_NUMBERED && third.number > second.number);
    assert_listed(store, bucket, "k:1000* k:70000 k:1000n");
    assert_int_equal(find(store).objects, 3);
    assert_int_equal(find(store).bytes, 2 * SMALL + LARGE);
    lh_store_close(store);

    store = sample_open(dir);
    assert_int_equal(find(store).versioning, LH_VERSIONING_ENABLED);
    assert_int_equal(get(store, bucket, "k", current, SMALL, 3), LH_OK);
    assert_int_equal(get(store, bucket, "k", null, SMALL, 1), LH_OK);
    assert_int_equal(get(store, bucket, "k", second, LARGE, 2), LH_OK);
    delete (store, bucket, "k", third); /* the newest of the others is current then */
    assert_int_equal(get(store, bucket, "k", current, LARGE, 2), LH_OK);
    assert_int_equal(get(store, bucket, "k", third, SMALL, 3), LH_NOT_FOUND);
    delete (store, bucket, "k", null);
    delete (store, bucket, "k", null); /* again: it is gone */
    assert_listed(store, bucket, "k:70000*");
    delete (store, bucket, "k", second);
    assert_int_equal(find(store).objects, 0);
    assert_int_equal(find(store).bytes, 0);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    assert_sound(store, dir);
}

LH_TEST(markers_stand_for_absence)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    struct lh_version first = put(store, bucket, "k", LARGE, 1);
    struct lh_deletion deletion = delete (store, bucket, "k", current);
    assert_true(deletion.marker && deletion.made.kind == LH_VERSION_NUMBERED);
    assert_int_equal(get(store, bucket, "k", current, LARGE, 1), LH_NOT_FOUND);
    assert_int_equal(get(store, bucket, "k", first, LARGE, 1), LH_OK);
    assert_int_equal(lh_store_head_marker(store, bucket, LH_STR("k"), &info, &err), LH_OK);
    assert_int_equal(info.version, deletion.made.number);
    struct lh_deletion second = delete (store, bucket, "k", current);
    assert_true(delete (store, bucket, "none", current).marker);
    assert_listed(store, bucket, "k:marker* k:marker k:70000 none:marker*");
    assert_int_equal(lh_bucket_delete(store, LH_STR("bucket"), &err), LH_NOT_EMPTY);

    assert_true(delete (store, bucket, "k", second.made).marker);
    assert_int_equal(get(store, bucket, "k", current, LARGE, 1), LH_NOT_FOUND);
    delete (store, bucket, "k", deletion.made);
    assert_int_equal(get(store, bucket, "k", current, LARGE, 1), LH_OK);
    assert_int_equal(lh_store_head_marker(store, bucket, LH_STR("k"), &info, &err), LH_NOT_FOUND);
    delete (store, bucket, "k", current);
    delete (store, bucket, "k", first); /* below a marker: that one stays */
    assert_listed(store, bucket, "k:marker* none:marker*");
    struct lh_version again = put(store, bucket, "k", SMALL, 2);
    assert_listed(store, bucket, "k:1000* k:marker none:marker*");
    assert_int_equal(get(store, bucket, "k", again, SMALL, 2), LH_OK);
    assert_sound(store, dir);
}

LH_TEST(suspended_buckets_write_one_null_version)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    struct lh_version first = put(store, bucket, "k", SMALL, 1);
    set_versioning(store, bucket, LH_VERSIONING_SUSPENDED);
    assert_int_equal(put(store, bucket, "k", LARGE, 2).kind, LH_VERSION_NULL);
    put(store, bucket, "k", LARGE + 1, 3);
    assert_listed(store, bucket, "k:70001n* k:1000");
    set_versioning(store, bucket, LH_VERSIONING_ENABLED);
    put(store, bucket, "k", SMALL + 1, 4);
    set_versioning(store, bucket, LH_VERSIONING_SUSPENDED);
    assert_listed(store, bucket, "k:1001* k:70001n k:1000");
    assert_int_equal(get(store, bucket, "k", null, LARGE + 1, 3), LH_OK);
    put(store, bucket, "k", LARGE + 2, 5); /* the null version goes from between the others */
    assert_listed(store, bucket, "k:70002n* k:1001 k:1000");
    assert_int_equal(delete (store, bucket, "k", current).made.kind, LH_VERSION_NULL);
    assert_listed(store, bucket, "k:markern* k:1001 k:1000");
    delete (store, bucket, "k", current);
    assert_listed(store, bucket, "k:markern* k:1001 k:1000");
    delete (store, bucket, "k", null);
    assert_listed(store, bucket, "k:1001* k:1000");
    delete (store, bucket, "k", current);
    put(store, bucket, "k", SMALL, 6);
    assert_listed(store, bucket, "k:1000n* k:1001 k:1000");
    assert_int_equal(get(store, bucket, "k", first, SMALL, 1), LH_OK);
    assert_int_equal(find(store).bytes, 3 * SMALL + 1);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    assert_sound(store, dir);
}

/* ---- what hangs on versions ---- */

LH_TEST(versions_have_tags_and_conditions_of_their_own)
{
    static const struct lh_attribute tag = {LH_STR("colour"), LH_STR("red")};
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    struct lh_version first = put(store, bucket, "k", SMALL, 1);
    struct lh_version second = put(store, bucket, "k", SMALL, 2);
    const struct lh_attributes tags = {&tag, 1};
    const struct lh_attributes none = {NULL, 0};
    assert_int_equal(lh_store_set_version_tags(store, bucket, LH_STR("k"), first, tags, &err),
                     LH_OK);
    assert_int_equal(lh_object_open_version(store, bucket, LH_STR("k"), first, &object, &err),
                     LH_OK);
    assert_int_equal(lh_object_tags(object).count, 1);
    struct lh_deletion deletion = {.key = LH_STR("k"), .version = first};
    const struct lh_store_condition other = {.if_match = LH_STR("other")};
    const struct lh_store_condition etag = {.if_match = lh_str_from(lh_object_info(object)->etag)};
    assert_int_equal(lh_store_delete_version(store, bucket, &deletion, &other, &err),
                     LH_PRECONDITION);
    deletion.version = second;
    assert_int_equal(lh_store_delete_version(store, bucket, &deletion, &etag, &err),
                     LH_PRECONDITION);
    lh_object_close(object);
    assert_int_equal(lh_object_open(store, bucket, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(lh_object_tags(object).count, 0);
    lh_object_close(object);
    delete (store, bucket, "k", second);
    assert_int_equal(lh_object_open(store, bucket, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(lh_object_tags(object).count, 1);
    lh_object_close(object);
    struct lh_version marker = delete (store, bucket, "k", current).made;
    assert_int_equal(lh_store_set_version_tags(store, bucket, LH_STR("k"), marker, tags, &err),
                     LH_METHOD_NOT_ALLOWED);
    assert_int_equal(lh_store_set_version_tags(store, bucket, LH_STR("k"), second, tags, &err),
                     LH_NOT_FOUND);
    assert_int_equal(lh_store_set_version_tags(store, bucket, LH_STR("k"), first, none, &err),
                     LH_OK);
    assert_sound(store, dir);
}

LH_TEST(versions_count_for_the_quota)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    assert_int_equal(lh_bucket_set_quota(store, bucket, 2 * SMALL, &err), LH_OK);
    put(store, bucket, "k", SMALL, 1);
    struct lh_version second = put(store, bucket, "k", SMALL, 2);
    const struct lh_upload_options options = {.bucket = bucket, .key = LH_STR("k"), .length = 1};
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_QUOTA);
    delete (store, bucket, "k", current); /* a marker frees nothing */
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_QUOTA);
    delete (store, bucket, "k", second);
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_OK);
    set_versioning(store, bucket, LH_VERSIONING_SUSPENDED);
    assert_int_equal(lh_bucket_set_quota(store, bucket, 2 * SMALL + 1, &err), LH_OK);
    put(store, bucket, "k", SMALL, 3);
    put(store, bucket, "k", SMALL, 4); /* it replaces the null version */
    assert_sound(store, dir);
}

LH_TEST(an_open_version_outlives_its_deletion)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    bool same = false;
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    struct lh_version first = put(store, bucket, "k", LARGE, 1);
    put(store, bucket, "k", SMALL, 2);
    assert_int_equal(lh_object_open_version(store, bucket, LH_STR("k"), first, &object, &err),
                     LH_OK);
    delete (store, bucket, "k", first);
    sample_tend(store);
    assert_int_equal(sample_compare(object, LARGE, 1, &same), LH_OK);
    assert_true(same);
    lh_object_close(object);
    assert_sound(store, dir);
}

/* ---- listings ---- */

LH_TEST(listings_of_versions)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    int64_t bucket = create(store, LH_VERSIONING_NONE);
    put(store, bucket, "a/1", 1, 1);
    put(store, bucket, "b", 2, 1);
    set_versioning(store, bucket, LH_VERSIONING_ENABLED);
    put(store, bucket, "a/1", 3, 1);
    put(store, bucket, "a/2", 4, 1);
    put(store, bucket, "b", 5, 1);
    delete (store, bucket, "a/2", current);
    put(store, bucket, "c", 6, 1);
    assert_listed(store, bucket, "a/1:3* a/1:1n a/2:marker* a/2:4 b:5* b:2n c:6*");
    for (size_t limit = 1; limit <= 4; limit++) {
        assert_versions(store,
                        (struct lh_version_list_options){
                            .bucket = bucket, .delimiter = LH_STR("/"), .limit = limit},
                        "a/ b:5* b:2n c:6*");
        assert_versions(store,
                        (struct lh_version_list_options){
                            .bucket = bucket, .prefix = LH_STR("a/"), .limit = limit},
                        "a/1:3* a/1:1n a/2:marker* a/2:4");
        assert_versions(store,
                        (struct lh_version_list_options){
                            .bucket = bucket, .key_after = LH_STR("a/1"), .limit = limit},
                        "a/2:marker* a/2:4 b:5* b:2n c:6*");
        assert_versions(
            store,
            (struct lh_version_list_options){
                .bucket = bucket, .prefix = LH_STR("b"), .key_after = LH_STR("b"), .limit = limit},
            "");
    }
    assert_sound(store, dir);
}

/* ---- life cycle ---- */

static lh_time_ms test_time = INT64_C(1800000000000);

static lh_time_ms test_now(void)
{
    return test_time;
}

LH_TEST(what_expires_gets_a_marker)
{
    static const lh_time_ms day = INT64_C(24) * 3600 * 1000;
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store;
    options.now = test_now;
    assert_int_equal(lh_store_open(&options, &store, &err), LH_OK);
    int64_t bucket = create(store, LH_VERSIONING_ENABLED);
    const struct lh_lifecycle_rule rule = {.enabled = true, .expire_days = 3};
    assert_int_equal(lh_bucket_set_lifecycle(store, bucket, &rule, 1, LH_STR("<r/>"), &err), LH_OK);
    put(store, bucket, "k", SMALL, 1);
    sample_tend(store);
    for (int i = 0; i < 3; i++) { /* one marker, however often it looks */
        test_time += 3 * day;
        sample_tend(store);
        assert_listed(store, bucket, "k:marker* k:1000");
    }
    assert_sound(store, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_versions),
        cmocka_unit_test(versions_stay_until_they_are_deleted),
        cmocka_unit_test(markers_stand_for_absence),
        cmocka_unit_test(suspended_buckets_write_one_null_version),
        cmocka_unit_test(versions_have_tags_and_conditions_of_their_own),
        cmocka_unit_test(versions_count_for_the_quota),
        cmocka_unit_test(an_open_version_outlives_its_deletion),
        cmocka_unit_test(listings_of_versions),
        cmocka_unit_test(what_expires_gets_a_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
