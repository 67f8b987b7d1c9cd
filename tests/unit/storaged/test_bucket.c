#include "storaged/bucket.h"

#include <sys/stat.h>

#include "base/os.h"
#include "unit/storaged/sample.h"

static lh_time_ms test_time = INT64_C(1800000000000);

static lh_time_ms test_now(void)
{
    return test_time;
}

enum { HOUR = 3600 * 1000 };
static const lh_time_ms DAY = 24 * HOUR;

static struct lh_store *open_with_clock(const char *dir)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store = NULL;
    options.now = test_now;
    options.stale_upload_ms = 7 * DAY;
    assert_int_equal(lh_store_open(&options, &store, &err), LH_OK);
    return store;
}

static int64_t create(struct lh_store *store, const char *name)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    assert_int_equal(lh_bucket_create(store, lh_str_from(name), "me", &bucket, &err), LH_OK);
    return bucket.id;
}

static struct lh_bucket find(struct lh_store *store, const char *name)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket = {0};
    LH_IGNORE(lh_bucket_find(store, lh_str_from(name), &bucket, &err), "id 0 tells");
    return bucket;
}

static lh_code put_in(struct lh_store *store, int64_t bucket, const char *key, size_t len)
{
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    LH_AUTO_FREE char *bytes = sample_body(len, 1);
    return sample_put_with(store,
                           (struct lh_upload_options){
                               .bucket = bucket, .key = lh_str_from(key), .length = (int64_t)len},
                           bytes, len, &created, &err);
}

static lh_code delete_bucket(struct lh_store *store, const char *name)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_bucket_delete(store, lh_str_from(name), &err);
}

static bool exists(struct lh_store *store, int64_t bucket, const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    return lh_store_head(store, bucket, lh_str_from(key), &info, &err) == LH_OK;
}

/* ---- names ---- */

LH_TEST(names_that_can_be)
{
    static const char *const good[] = {
        "abc",   "a-b",
        "a.b.c", "0lake",
        "1.2.3", "storage1",
        "lake",  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"};
    static const char *const bad[] = {
        "",
        "ab",
        "Abc",
        "a_b",
        "a b",
        "a/b",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "a..b",
        "a.-b",
        "a-.b",
        "192.168.5.4",
        "storage",
        "health",
        "livez",
        "readyz",
        "metrics",
        "openapi.json",
        "caf\xc3\xa9",
        "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd"};
    for (size_t i = 0; i < LH_COUNT(good); i++) {
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(lh_bucket_check_name(lh_str_from(good[i]), &err), LH_OK);
    }
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(lh_bucket_check_name(lh_str_from(bad[i]), &err), LH_INVALID_NAME);
    }
}

/* ---- life of a bucket ---- */

LH_TEST(buckets_come_and_go)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    int64_t first = create(store, "first");
    assert_int_equal(lh_bucket_create(store, LH_STR("first"), "you", &bucket, &err), LH_EXISTS);
    assert_string_equal(bucket.owner, "me");
    assert_int_equal(put_in(store, first, "k", 5000), LH_OK);
    assert_int_equal(put_in(store, first, "l", 300000), LH_OK);
    assert_false(exists(store, LH_BUCKET_LAKE, "k"));
    assert_int_equal(find(store, "first").objects, 2);
    assert_int_equal(find(store, "first").bytes, 305000);
    assert_int_equal(delete_bucket(store, "first"), LH_NOT_EMPTY);
    lh_store_close(store);
    store = sample_open(dir);
    assert_int_equal(find(store, "first").id, first);
    assert_int_equal(find(store, "first").bytes, 305000);
    assert_int_equal(lh_store_delete(store, first, LH_STR("k"), NULL, &err), LH_OK);
    assert_int_equal(lh_store_delete(store, first, LH_STR("l"), NULL, &err), LH_OK);
    assert_int_equal(delete_bucket(store, "first"), LH_OK);
    assert_int_equal(delete_bucket(store, "first"), LH_NOT_FOUND);
    assert_int_equal(delete_bucket(store, "lake"), LH_FORBIDDEN);
    assert_int_equal(put_in(store, first, "k", 10), LH_NOT_FOUND);
    assert_true(create(store, "first") > first); /* no id is given twice */
    lh_store_close(store);
    store = sample_open(dir);
    assert_int_equal(find(store, "first").objects, 0);
    lh_store_close(store);
}

static bool add_name(void *ctx, const struct lh_bucket *bucket)
{
    char *text = ctx;
    snprintf(text + strlen(text), 80, "%s ", bucket->name);
    return strlen(text) < 20;
}

LH_TEST(buckets_are_listed_by_name)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char text[200] = "";
    create(store, "zebra");
    create(store, "ant");
    create(store, "mouse");
    create(store, "ant.hill");
    lh_bucket_list(store, LH_STR(""), add_name, text);
    assert_string_equal(text, "ant ant.hill lake mouse ");
    text[0] = '\0';
    lh_bucket_list(store, LH_STR("lake"), add_name, text);
    assert_string_equal(text, "mouse zebra ");
    text[0] = '\0';
    lh_bucket_list(store, LH_STR("b"), add_name, text);
    assert_string_equal(text, "lake mouse zebra ");
    lh_store_close(store);
}

LH_TEST(unfinished_uploads_go_with_their_bucket)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    bool created;
    int64_t bucket = create(store, "bucket");
    const struct lh_attribute header = {LH_STR("x-amz-meta-a"), LH_STR("b")};
    const struct lh_multipart_options options = {
        .bucket = bucket, .key = LH_STR("k"), .headers = {&header, 1}};
    assert_int_equal(lh_multipart_create(store, &options, id, &err), LH_OK);
    LH_AUTO_FREE char *bytes = sample_body(300000, 1);
    assert_int_equal(sample_put_with(store,
                                     (struct lh_upload_options){.bucket = bucket,
                                                                .key = LH_STR("k"),
                                                                .length = -1,
                                                                .upload_id = id,
                                                                .part_number = 1},
                                     bytes, 300000, &created, &err),
                     LH_OK);
    assert_int_equal(sample_stats(store).bytes, 300000);
    assert_int_equal(delete_bucket(store, "bucket"), LH_OK);
    assert_int_equal(sample_stats(store).bytes, 0);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    lh_store_close(store);
}

/* ---- settings and documents ---- */

LH_TEST(settings_and_documents_stay)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    int64_t bucket = create(store, "bucket");
    assert_int_equal(lh_bucket_set_quota(store, bucket, 12345, &err), LH_OK);
    assert_int_equal(lh_bucket_set_public(store, bucket, LH_PUBLIC_READ, &err), LH_OK);
    assert_int_equal(lh_bucket_set_document(store, bucket, LH_BUCKET_CORS, LH_STR("<cors/>"), &err),
                     LH_OK);
    lh_store_close(store);
    store = sample_open(dir);
    assert_int_equal(find(store, "bucket").quota_bytes, 12345);
    assert_int_equal(find(store, "bucket").public_rights, LH_PUBLIC_READ);
    assert_string_equal(find(store, "bucket").owner, "me");
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    assert_int_equal(lh_bucket_document(store, bucket, LH_BUCKET_CORS, &text, &err), LH_OK);
    assert_true(lh_str_is(lh_buf_str(&text), "<cors/>"));
    assert_int_equal(lh_bucket_document(store, bucket, LH_BUCKET_TAGGING, &text, &err),
                     LH_NOT_FOUND);
    assert_int_equal(lh_bucket_set_document(store, bucket, LH_BUCKET_CORS, LH_STR_NONE, &err),
                     LH_OK);
    assert_int_equal(lh_bucket_document(store, bucket, LH_BUCKET_CORS, &text, &err), LH_NOT_FOUND);
    assert_int_equal(lh_bucket_set_quota(store, 99, 1, &err), LH_NOT_FOUND);
    LH_AUTO_FREE char *large = sample_body(LH_BUCKET_DOCUMENT_MAX + 1, 1);
    assert_int_equal(lh_bucket_set_document(store, bucket, LH_BUCKET_CORS,
                                            lh_str_of(large, LH_BUCKET_DOCUMENT_MAX + 1), &err),
                     LH_TOO_LARGE);
    lh_store_close(store);
}

LH_TEST(a_quota_is_kept)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    int64_t bucket = create(store, "bucket");
    assert_int_equal(lh_bucket_set_quota(store, bucket, 10000, &err), LH_OK);
    assert_int_equal(put_in(store, bucket, "a", 6000), LH_OK);
    assert_int_equal(put_in(store, bucket, "b", 4001), LH_QUOTA);
    assert_int_equal(put_in(store, bucket, "b", 4000), LH_OK);
    assert_int_equal(put_in(store, bucket, "b", 4001), LH_QUOTA);
    assert_int_equal(put_in(store, bucket, "b", 3000), LH_OK);
    assert_int_equal(put_in(store, bucket, "c", 0), LH_OK);
    assert_int_equal(put_in(store, LH_BUCKET_LAKE, "c", 100000), LH_OK);
    assert_int_equal(lh_bucket_set_quota(store, bucket, 100, &err), LH_OK);
    assert_int_equal(put_in(store, bucket, "a", 5000), LH_OK); /* it gets less */
    assert_int_equal(put_in(store, bucket, "d", 1), LH_QUOTA);
    assert_int_equal(lh_bucket_set_quota(store, bucket, 0, &err), LH_OK);
    assert_int_equal(put_in(store, bucket, "d", 100000), LH_OK);
    assert_int_equal(find(store, "bucket").bytes, 5000 + 3000 + 100000);
    lh_store_close(store);
}

LH_TEST(parts_count_for_the_quota)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(lh_bucket_set_quota(store, LH_BUCKET_LAKE, 10000, &err), LH_OK);
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 6000, 1), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 2, 0, 6000, 1), LH_QUOTA);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 10000, 1), LH_OK);
    assert_int_equal(sample_complete(store, "k", id, 1), LH_OK);
    assert_int_equal(sample_put(store, "l", 1, 1), LH_QUOTA);
    lh_store_close(store);
}

/* ---- attributes and tags ---- */

static void assert_attributes(struct lh_attributes attributes, const char *expected)
{
    char text[400] = "";
    for (size_t i = 0; i < attributes.count; i++)
        snprintf(text + strlen(text), 100, "%.*s=%.*s;", LH_FMT(attributes.list[i].name),
                 LH_FMT(attributes.list[i].value));
    assert_string_equal(text, expected);
}

static void assert_kept(struct lh_store *store, const char *key, const char *headers,
                        const char *tags)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, lh_str_from(key), &object, &err), LH_OK);
    assert_attributes(lh_object_headers(object), headers);
    assert_attributes(lh_object_tags(object), tags);
    lh_object_close(object);
}

LH_TEST(headers_and_tags_are_kept)
{
    static const struct lh_attribute headers[] = {{LH_STR("cache-control"), LH_STR("no-cache")},
                                                  {LH_STR("x-amz-meta-empty"), LH_STR("")},
                                                  {LH_STR("x-amz-meta-a"), LH_STR("\xc3\xa4")}};
    static const struct lh_attribute tags[] = {{LH_STR("colour"), LH_STR("red")}};
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    struct lh_upload_options options = {
        .key = LH_STR("k"), .length = -1, .headers = {headers, 3}, .tags = {tags, 1}};
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_OK);
    options.key = LH_STR("plain");
    options.headers.count = options.tags.count = 0;
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_OK);
    lh_store_close(store);
    store = sample_open(dir);
    static const char text[] = "cache-control=no-cache;x-amz-meta-empty=;x-amz-meta-a=\xc3\xa4;";
    assert_kept(store, "k", text, "colour=red;");
    assert_kept(store, "plain", "", "");
    const struct lh_attributes more = {tags, 1};
    const struct lh_attributes no_tags = {NULL, 0};
    assert_int_equal(lh_store_set_tags(store, LH_BUCKET_LAKE, LH_STR("k"), no_tags, &err), LH_OK);
    assert_int_equal(lh_store_set_tags(store, LH_BUCKET_LAKE, LH_STR("plain"), more, &err), LH_OK);
    assert_int_equal(lh_store_set_tags(store, LH_BUCKET_LAKE, LH_STR("none"), more, &err),
                     LH_NOT_FOUND);
    assert_kept(store, "k", text, "");
    assert_kept(store, "plain", "", "colour=red;");
    assert_int_equal(lh_store_set_tags(store, LH_BUCKET_LAKE, LH_STR("plain"), no_tags, &err),
                     LH_OK);
    assert_kept(store, "plain", "", "");
    assert_int_equal(sample_put(store, "k", 1, 1), LH_OK);
    assert_kept(store, "k", "", "");
    lh_store_close(store);
}

LH_TEST(attributes_are_bounded)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *text = lh_calloc(1, LH_ATTRIBUTES_BYTES_MAX + 1);
    struct lh_attribute list[LH_TAGS_MAX + 1];
    bool created;
    for (size_t i = 0; i < LH_COUNT(list); i++)
        list[i] = (struct lh_attribute){LH_STR("n"), LH_STR("v")};
    struct lh_upload_options options = {.key = LH_STR("k"), .length = -1};
    options.tags = (struct lh_attributes){list, LH_TAGS_MAX + 1};
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_TOO_LARGE);
    options.tags.count = 0;
    list[0].value = lh_str_of(text, LH_ATTRIBUTES_BYTES_MAX);
    options.headers = (struct lh_attributes){list, 1};
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_TOO_LARGE);
    list[0].value.len--;
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_OK);
    list[0] = (struct lh_attribute){LH_STR(""), LH_STR("v")};
    assert_int_equal(sample_put_with(store, options, "x", 1, &created, &err), LH_INVALID);
    assert_int_equal(sample_stats(store).upload_bytes, 0);
    lh_store_close(store);
}

LH_TEST(checksums_are_kept_and_verified)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_checksum sum;
    assert_true(lh_checksum_from_text(LH_CHECKSUM_CRC32, LH_STR("y/Q5Jg=="), &sum));
    for (int wrong = 0; wrong < 2; wrong++) {
        const struct lh_upload_options options = {.bucket = LH_BUCKET_LAKE,
                                                  .key = LH_STR("k"),
                                                  .length = -1,
                                                  .checksum = LH_CHECKSUM_CRC32};
        struct lh_upload *upload;
        struct lh_store_info info;
        bool created;
        sum.bytes[0] ^= (uint8_t)wrong;
        assert_int_equal(lh_upload_begin(store, &options, &upload, &err), LH_OK);
        assert_int_equal(sample_feed(upload, "123456789", 9, 4, &err), LH_OK);
        assert_int_equal(lh_upload_expect(upload, &sum, &err), LH_OK);
        assert_int_equal(
            lh_upload_expect(upload, &(struct lh_checksum){.kind = LH_CHECKSUM_SHA1}, &err),
            LH_INVALID);
        assert_int_equal(lh_upload_commit(upload, &info, &created, &err),
                         wrong ? LH_BAD_DIGEST : LH_OK);
        lh_upload_free(upload);
    }
    struct lh_store_info info;
    assert_int_equal(lh_store_head(store, LH_BUCKET_LAKE, LH_STR("k"), &info, &err), LH_OK);
    char text[LH_CHECKSUM_TEXT];
    lh_checksum_text(&info.checksum, text);
    assert_string_equal(text, "y/Q5Jg==");
    lh_store_close(store);
}

LH_TEST(many_deletes_in_one_group)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(sample_put(store, "a", 10, 1), LH_OK);
    assert_int_equal(sample_put(store, "b", 300000, 1), LH_OK);
    assert_int_equal(sample_put(store, "keep", 10, 1), LH_OK);
    struct lh_deletion list[] = {{.key = LH_STR("b")},
                                 {.key = LH_STR("a")},
                                 {.key = LH_STR("none")},
                                 {.key = LH_STR("")},
                                 {.key = LH_STR("a")}};
    uint64_t groups = sample_stats(store).groups;
    assert_int_equal(lh_store_delete_many(store, LH_BUCKET_LAKE, list, LH_COUNT(list), &err),
                     LH_OK);
    assert_int_equal(sample_stats(store).groups, groups + 1);
    for (size_t i = 0; i < LH_COUNT(list); i++)
        assert_int_equal(list[i].code, i == 3 ? LH_INVALID_KEY : LH_OK);
    sample_tend(store);
    assert_int_equal(sample_stats(store).objects, 1);
    assert_int_equal(sample_stats(store).bytes, 10);
    assert_int_equal(sample_file_count(dir), 0);
    lh_store_close(store);
}

/* ---- life cycle ---- */

LH_TEST(old_objects_expire)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = open_with_clock(dir);
    struct lh_error err = LH_ERROR_INIT;
    sample_tend(store);
    int64_t bucket = create(store, "bucket");
    const struct lh_lifecycle_rule rules[] = {
        {.enabled = true, .id = LH_STR("one"), .prefix = LH_STR("logs/"), .expire_days = 3},
        {.enabled = false, .id = LH_STR("two"), .prefix = LH_STR(""), .expire_days = 1},
        {.enabled = true, .prefix = LH_STR("until/"), .expire_at_ms = test_time + 5 * DAY},
    };
    assert_int_equal(lh_bucket_set_lifecycle(store, bucket, rules, 3, LH_STR("<rules/>"), &err),
                     LH_OK);
    for (int i = 0; i < 600; i++) {
        char key[32];
        snprintf(key, sizeof(key), "logs/%d", i);
        assert_int_equal(put_in(store, bucket, key, 10), LH_OK);
    }
    assert_int_equal(put_in(store, bucket, "log", 10), LH_OK);
    assert_int_equal(put_in(store, bucket, "until/a", 10), LH_OK);
    test_time += 3 * DAY - HOUR;
    sample_tend(store);
    assert_int_equal(find(store, "bucket").objects, 602);
    assert_int_equal(put_in(store, bucket, "logs/5", 10), LH_OK);
    lh_store_close(store);
    store = open_with_clock(dir); /* the rules stay */
    test_time += HOUR;
    sample_tend(store);
    assert_int_equal(find(store, "bucket").objects, 3);
    assert_true(exists(store, bucket, "logs/5"));
    test_time += 2 * DAY;
    sample_tend(store);
    assert_false(exists(store, bucket, "until/a"));
    assert_int_equal(lh_bucket_set_document(store, bucket, LH_BUCKET_LIFECYCLE, LH_STR_NONE, &err),
                     LH_OK);
    test_time += 30 * DAY;
    sample_tend(store);
    assert_int_equal(find(store, "bucket").objects, 2);
    lh_store_close(store);
}

static lh_code find_upload(struct lh_store *store, int64_t bucket, const char *key, const char *id)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_multipart_info info;
    return lh_multipart_find(store, bucket, lh_str_from(key), id, &info, &err);
}

LH_TEST(stale_uploads_are_aborted)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = open_with_clock(dir);
    struct lh_error err = LH_ERROR_INIT;
    char by_rule[LH_UPLOAD_ID_SIZE];
    char by_age[LH_UPLOAD_ID_SIZE];
    const struct lh_lifecycle_rule rule = {
        .enabled = true, .prefix = LH_STR("tmp/"), .abort_upload_days = 2};
    sample_tend(store);
    assert_int_equal(lh_bucket_set_lifecycle(store, LH_BUCKET_LAKE, &rule, 1, LH_STR("x"), &err),
                     LH_OK);
    assert_int_equal(sample_begin_upload(store, "tmp/a", by_rule), LH_OK);
    assert_int_equal(sample_begin_upload(store, "b", by_age), LH_OK);
    assert_int_equal(sample_put_part(store, "tmp/a", by_rule, 1, 0, 300000, 1), LH_OK);
    test_time += 2 * DAY;
    sample_tend(store);
    assert_int_equal(find_upload(store, LH_BUCKET_LAKE, "tmp/a", by_rule), LH_NOT_FOUND);
    assert_int_equal(find_upload(store, LH_BUCKET_LAKE, "b", by_age), LH_OK);
    assert_int_equal(sample_file_count(dir), 0);
    test_time += 5 * DAY;
    sample_tend(store);
    assert_int_equal(find_upload(store, LH_BUCKET_LAKE, "b", by_age), LH_NOT_FOUND);
    lh_store_close(store);
}

/* Its first round has enough to do that the stop comes in the middle of it. */
LH_TEST(a_stop_does_not_wait_for_a_round_and_a_round_for_no_committer)
{
    enum { UPLOADS = 3000 };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = open_with_clock(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    char first[LH_UPLOAD_ID_SIZE];
    char other[LH_UPLOAD_ID_SIZE];
    sample_tend(store);
    assert_int_equal(sample_begin_upload(store, "a", first), LH_OK);
    for (int i = 1; i < UPLOADS; i++)
        assert_int_equal(sample_begin_upload(store, "b", other), LH_OK);
    lh_store_close(store);
    test_time += 8 * DAY;
    options.now = test_now;
    options.stale_upload_ms = 7 * DAY;
    options.tend_by_hand = false;
    assert_int_equal(lh_store_open(&options, &store, &err), LH_OK);
    while (find_upload(store, LH_BUCKET_LAKE, "a", first) == LH_OK)
        lh_sleep_ms(1);
    lh_store_close(store);
}

/* ---- the format before ---- */

static void copy_file(const char *from, const char *to)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *bytes = NULL;
    size_t len;
    assert_int_equal(lh_read_file(from, 1 << 20, &bytes, &len, &err), LH_OK);
    assert_int_equal(lh_write_file_durable(to, bytes, len, 0600, &err), LH_OK);
}

/* tests/data/storaged/format-1: "small", "dir/empty", and "large", 70,000 zeros in a file. */
static void lay_out_format_1(const char *dir)
{
    static const char *const files[] = {"FORMAT", "index.db", "0000010000000002"};
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *here = lh_strdup(__FILE__);
    *strrchr(here, '/') = '\0';
    for (unsigned folder = 0; folder < 256; folder++) {
        LH_AUTO_FREE char *path = lh_asprintf("%s/data/%02x", dir, folder);
        assert_int_equal(lh_make_dirs(path, &err), LH_OK);
    }
    for (size_t i = 0; i < LH_COUNT(files); i++) {
        LH_AUTO_FREE char *from = lh_asprintf("%s/../../data/storaged/format-1/%s", here, files[i]);
        LH_AUTO_FREE char *to = lh_asprintf("%s/%s%s", dir, i == 2 ? "data/00/" : "", files[i]);
        copy_file(from, to);
    }
}

LH_TEST(a_store_of_format_1_is_brought_up_to_date)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    lay_out_format_1(dir);
    for (int round = 0; round < 2; round++) {
        struct lh_store *store = sample_open(dir);
        struct lh_error err = LH_ERROR_INIT;
        struct lh_store_info info;
        sample_tend(store);
        assert_int_equal(sample_stats(store).objects, 3 + round);
        assert_int_equal(sample_stats(store).damaged, 0);
        assert_int_equal(lh_store_head(store, LH_BUCKET_LAKE, LH_STR("small"), &info, &err), LH_OK);
        assert_string_equal(info.etag, "cb5f2a630a049f73a0f35beb98182d9d");
        struct lh_object *object;
        const void *bytes;
        size_t len;
        assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("large"), &object, &err),
                         LH_OK);
        assert_int_equal(lh_object_read(object, 0, &bytes, &len, &err), LH_OK);
        assert_int_equal(len, 70000);
        lh_object_close(object);
        assert_int_equal(sample_put(store, "new", 300000, 1), LH_OK);
        assert_int_equal(find(store, "lake").id, LH_BUCKET_LAKE);
        lh_store_close(store);
    }
    LH_AUTO_FREE char *format = lh_path_in(dir, "FORMAT");
    LH_AUTO_FREE char *text = NULL;
    size_t len;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_read_file(format, 1000, &text, &len, &err), LH_OK);
    assert_non_null(strstr(text, "format 2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_can_be),
        cmocka_unit_test(buckets_come_and_go),
        cmocka_unit_test(buckets_are_listed_by_name),
        cmocka_unit_test(unfinished_uploads_go_with_their_bucket),
        cmocka_unit_test(settings_and_documents_stay),
        cmocka_unit_test(a_quota_is_kept),
        cmocka_unit_test(parts_count_for_the_quota),
        cmocka_unit_test(headers_and_tags_are_kept),
        cmocka_unit_test(attributes_are_bounded),
        cmocka_unit_test(checksums_are_kept_and_verified),
        cmocka_unit_test(many_deletes_in_one_group),
        cmocka_unit_test(old_objects_expire),
        cmocka_unit_test(stale_uploads_are_aborted),
        cmocka_unit_test(a_stop_does_not_wait_for_a_round_and_a_round_for_no_committer),
        cmocka_unit_test(a_store_of_format_1_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
