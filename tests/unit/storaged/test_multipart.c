#include "storaged/multipart.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/thread.h"
#include "unit/storaged/sample.h"

/* Uneven, small ones and such that have a file. */
static const size_t part_sizes[] = {300000, 1000, SAMPLE_INLINE_MAX + 1, 262144, 5000, 3};
enum { PARTS = sizeof(part_sizes) / sizeof(part_sizes[0]) };

static size_t total_size(void)
{
    size_t total = 0;
    for (size_t i = 0; i < PARTS; i++)
        total += part_sizes[i];
    return total;
}

/* All parts of the body of that seed, in a strange order. */
static void put_parts(struct lh_store *store, const char *key, const char *id, uint64_t seed)
{
    for (size_t step = 0; step < PARTS; step++) {
        size_t i = (step * 5 + 2) % PARTS;
        size_t start = 0;
        for (size_t before = 0; before < i; before++)
            start += part_sizes[before];
        assert_int_equal(
            sample_put_part(store, key, id, (uint32_t)i + 1, start, part_sizes[i], seed), LH_OK);
    }
}

static void put_object(struct lh_store *store, const char *key, uint64_t seed)
{
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, key, id), LH_OK);
    put_parts(store, key, id, seed);
    assert_int_equal(sample_complete(store, key, id, PARTS), LH_OK);
}

static struct lh_bucket lake(struct lh_store *store)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    assert_int_equal(lh_bucket_find(store, LH_STR("lake"), &bucket, &err), LH_OK);
    return bucket;
}

static struct lh_store_info info_of(struct lh_store *store, const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    assert_int_equal(lh_store_head(store, LH_BUCKET_LAKE, lh_str_from(key), &info, &err), LH_OK);
    return info;
}

LH_TEST(parts_become_one_object)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    put_parts(store, "k", id, 7);
    assert_absent(store, "k");
    assert_int_equal(lake(store).objects, 0);
    assert_int_equal(lake(store).bytes, total_size());
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_OK);
    assert_object(store, "k", total_size(), 7);
    assert_int_equal(lake(store).objects, 1);
    assert_int_equal(lake(store).bytes, total_size());
    assert_int_equal(info_of(store, "k").part_count, PARTS);
    lh_store_close(store);
    store = sample_open(dir);
    sample_tend(store);
    assert_object(store, "k", total_size(), 7);
    assert_int_equal(lake(store).bytes, total_size());
    assert_int_equal(sample_delete(store, "k"), LH_OK);
    assert_absent(store, "k");
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    assert_int_equal(lake(store).bytes, 0);
    lh_store_close(store);
}

LH_TEST(the_etag_is_the_md5_of_md5s)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    put_object(store, "k", 7);
    LH_AUTO_FREE char *bytes = sample_body(total_size(), 7);
    uint8_t sums[PARTS][LH_MD5_SIZE];
    size_t at = 0;
    for (size_t i = 0; i < PARTS; i++) {
        lh_md5(bytes + at, part_sizes[i], sums[i]);
        at += part_sizes[i];
    }
    uint8_t md5[LH_MD5_SIZE];
    char hex[LH_MD5_HEX];
    lh_md5(sums, sizeof(sums), md5);
    lh_hex(md5, sizeof(md5), hex);
    LH_AUTO_FREE char *expected = lh_asprintf("%s-%d", hex, PARTS);
    assert_string_equal(info_of(store, "k").etag, expected);
    lh_store_close(store);
}

LH_TEST(reading_at_any_offset)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    put_object(store, "k", 7);
    LH_AUTO_FREE char *bytes = sample_body(total_size(), 7);
    struct lh_object *object;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    struct lh_random random = lh_random_start();
    for (int i = 0; i < 500; i++) {
        uint64_t at = lh_random_below(&random, total_size());
        const void *got;
        size_t len;
        assert_int_equal(lh_object_read(object, at, &got, &len, &err), LH_OK);
        assert_true(len > 0 && at + len <= total_size());
        assert_memory_equal(got, bytes + at, len);
    }
    lh_object_close(object);
    lh_store_close(store);
}

LH_TEST(numbers_may_have_gaps_and_parts_be_left_out)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 2, 0, 300000, 7), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 3, 0, 300000, 8), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 77, 300000, 2000, 7), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 10000, 302000, 300001, 7), LH_OK);
    const struct lh_completion_part parts[] = {{.number = 2}, {.number = 77}, {.number = 10000}};
    const struct lh_completion completion = {.bucket = LH_BUCKET_LAKE,
                                             .key = LH_STR("k"),
                                             .id = id,
                                             .parts = parts,
                                             .count = 3,
                                             .size = 602001};
    assert_int_equal(lh_multipart_complete(store, &completion, &info, &err), LH_OK);
    assert_object(store, "k", 602001, 7);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 2);
    assert_int_equal(lake(store).bytes, 602001);
    struct lh_object *object;
    struct lh_object_part part;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(lh_object_part(object, 1, &part, &err), LH_OK);
    assert_int_equal(part.number, 77);
    assert_int_equal(part.offset, 300000);
    assert_int_equal(part.size, 2000);
    assert_int_equal(lh_object_part(object, 2, &part, &err), LH_OK);
    assert_int_equal(part.number, 10000);
    assert_int_equal(lh_object_part(object, 3, &part, &err), LH_NOT_FOUND);
    lh_object_close(object);
    lh_store_close(store);
}

LH_TEST(a_part_put_again_replaces)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 300000, 8), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 2000, 9), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 400000, 7), LH_OK);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 1);
    assert_int_equal(lake(store).bytes, 400000);
    assert_int_equal(sample_complete(store, "k", id, 1), LH_OK);
    assert_object(store, "k", 400000, 7);
    lh_store_close(store);
}

LH_TEST(completing_again_succeeds_while_it_is_that_object)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    put_parts(store, "k", id, 7);
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_OK);
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_OK);
    assert_int_equal(sample_complete(store, "k", id, PARTS - 1), LH_NOT_FOUND);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 10, 1), LH_NOT_FOUND);
    assert_int_equal(sample_put(store, "k", 10, 1), LH_OK);
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_NOT_FOUND);
    assert_object(store, "k", 10, 1);
    lh_store_close(store);
}

static lh_code complete_with(struct lh_store *store, const char *id,
                             const struct lh_completion_part *parts, size_t count)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    const struct lh_completion completion = {.bucket = LH_BUCKET_LAKE,
                                             .key = LH_STR("k"),
                                             .id = id,
                                             .parts = parts,
                                             .count = count,
                                             .size = -1};
    return lh_multipart_complete(store, &completion, &info, &err);
}

LH_TEST(wrong_completions_change_nothing)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 2000, 7), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 2, 2000, 999, 7), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 3, 2999, 10, 7), LH_OK);
    const struct {
        lh_code code;
        size_t count;
        struct lh_completion_part parts[3];
    } cases[] = {
        {LH_INVALID, 0, {{0}}},
        {LH_PART_ORDER, 2, {{.number = 2}, {.number = 1}}},
        {LH_PART_ORDER, 2, {{.number = 1}, {.number = 1}}},
        {LH_INVALID_PART, 2, {{.number = 1}, {.number = 4}}},
        {LH_INVALID_PART, 1, {{.number = 0}}},
        {LH_INVALID_PART, 1, {{.number = 10001}}},
        {LH_INVALID_PART, 1, {{.number = 1, .etag = LH_STR("00")}}},
        {LH_INVALID_PART, 1, {{.number = 1, .checksum = {.kind = LH_CHECKSUM_CRC32}}}},
        {LH_PART_TOO_SMALL, 3, {{.number = 1}, {.number = 2}, {.number = 3}}},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++)
        assert_int_equal(complete_with(store, id, cases[i].parts, cases[i].count), cases[i].code);
    const struct lh_completion_part good[] = {{.number = 1}, {.number = 2}};
    assert_int_equal(complete_with(store, "0123456789abcdef0123456789abcdef", good, 2),
                     LH_NOT_FOUND);
    assert_int_equal(complete_with(store, "", good, 2), LH_NOT_FOUND);
    assert_int_equal(complete_with(store, id, good, 2), LH_OK);
    assert_object(store, "k", 2999, 7);
    lh_store_close(store);
}

LH_TEST(conditions_hold_for_completions)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_put(store, "k", 10, 1), LH_OK);
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 300000, 7), LH_OK);
    const struct lh_completion_part part = {.number = 1};
    struct lh_completion completion = {.bucket = LH_BUCKET_LAKE,
                                       .key = LH_STR("k"),
                                       .id = id,
                                       .parts = &part,
                                       .count = 1,
                                       .size = -1,
                                       .condition = {.if_none_match = LH_STR("*")}};
    assert_int_equal(lh_multipart_complete(store, &completion, &info, &err), LH_PRECONDITION);
    assert_object(store, "k", 10, 1);
    completion.condition = (struct lh_store_condition){.if_match = LH_STR("*")};
    assert_int_equal(lh_multipart_complete(store, &completion, &info, &err), LH_OK);
    assert_object(store, "k", 300000, 7);
    lh_store_close(store);
}

LH_TEST(an_aborted_upload_leaves_nothing)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    put_parts(store, "k", id, 7);
    assert_int_equal(lh_multipart_abort(store, LH_BUCKET_LAKE, LH_STR("other"), id, &err),
                     LH_NOT_FOUND);
    assert_int_equal(lh_multipart_abort(store, LH_BUCKET_LAKE, LH_STR("k"), id, &err), LH_OK);
    assert_int_equal(lake(store).bytes, 0);
    assert_int_equal(lh_multipart_abort(store, LH_BUCKET_LAKE, LH_STR("k"), id, &err),
                     LH_NOT_FOUND);
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_NOT_FOUND);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    lh_store_close(store);
    store = sample_open(dir);
    assert_int_equal(lake(store).bytes, 0);
    lh_store_close(store);
}

/* What is open is read to its end, whatever happens to the key. */
LH_TEST(an_open_object_is_a_snapshot)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    put_object(store, "k", 7);
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(sample_put(store, "k", 10, 1), LH_OK);
    sample_tend(store);
    bool same = false;
    assert_int_equal(sample_compare(object, total_size(), 7, &same), LH_OK);
    assert_true(same);
    assert_int_equal(sample_file_count(dir), 3);
    lh_object_close(object);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    assert_object(store, "k", 10, 1);
    lh_store_close(store);
}

LH_TEST(damage_in_a_part_is_never_served)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    const void *bytes;
    size_t len;
    put_object(store, "k", 7);
    for (unsigned folder = 0; folder < 256; folder++) {
        LH_AUTO_FREE char *command = lh_asprintf("rm -f '%s'/data/%02x/*", dir, folder);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(lh_object_read(object, 5, &bytes, &len, &err), LH_CORRUPT);
    assert_int_equal(lh_object_read(object, 300010, &bytes, &len, &err), LH_OK);
    assert_int_equal(lh_object_read(object, 301000, &bytes, &len, &err), LH_CORRUPT);
    assert_int_equal(sample_stats(store).damaged, 1);
    lh_object_close(object);
    lh_store_close(store);
}

/* ---- checksums ---- */

static void put_with_checksum(struct lh_store *store, enum lh_checksum_kind kind, bool composite,
                              struct lh_store_info *ret_info)
{
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    const struct lh_multipart_options options = {.bucket = LH_BUCKET_LAKE,
                                                 .key = LH_STR("k"),
                                                 .checksum = kind,
                                                 .checksum_composite = composite};
    assert_int_equal(lh_multipart_create(store, &options, id, &err), LH_OK);
    put_parts(store, "k", id, 7);
    assert_int_equal(sample_complete(store, "k", id, PARTS), LH_OK);
    *ret_info = info_of(store, "k");
}

static struct lh_checksum sum_of(enum lh_checksum_kind kind, const void *bytes, size_t len)
{
    struct lh_checksum sum;
    struct lh_checksummer *running = lh_checksummer_new(kind);
    lh_checksummer_update(running, bytes, len);
    lh_checksummer_final(running, &sum);
    lh_checksummer_free(running);
    return sum;
}

LH_TEST(checksums_of_the_whole_and_of_the_parts)
{
    static const enum lh_checksum_kind kinds[] = {LH_CHECKSUM_CRC32, LH_CHECKSUM_CRC32C,
                                                  LH_CHECKSUM_CRC64NVME, LH_CHECKSUM_SHA1,
                                                  LH_CHECKSUM_SHA256};
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    LH_AUTO_FREE char *bytes = sample_body(total_size(), 7);
    for (size_t i = 0; i < LH_COUNT(kinds); i++) {
        struct lh_store_info info;
        size_t size = lh_checksum_size(kinds[i]);
        if (kinds[i] <= LH_CHECKSUM_CRC64NVME) {
            struct lh_checksum whole = sum_of(kinds[i], bytes, total_size());
            put_with_checksum(store, kinds[i], false, &info);
            assert_false(info.checksum_composite);
            assert_int_equal(info.checksum.kind, kinds[i]);
            assert_memory_equal(info.checksum.bytes, whole.bytes, size);
        }
        uint8_t values[PARTS * LH_CHECKSUM_MAX];
        size_t at = 0;
        for (size_t p = 0; p < PARTS; p++) {
            struct lh_checksum part = sum_of(kinds[i], bytes + at, part_sizes[p]);
            memcpy(values + p * size, part.bytes, size);
            at += part_sizes[p];
        }
        struct lh_checksum composite = sum_of(kinds[i], values, PARTS * size);
        put_with_checksum(store, kinds[i], true, &info);
        assert_true(info.checksum_composite);
        assert_memory_equal(info.checksum.bytes, composite.bytes, size);
    }
    lh_store_close(store);
}

LH_TEST(a_wrong_checksum_of_the_whole_is_refused)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    char id[LH_UPLOAD_ID_SIZE];
    const struct lh_multipart_options options = {
        .bucket = LH_BUCKET_LAKE, .key = LH_STR("k"), .checksum = LH_CHECKSUM_CRC64NVME};
    assert_int_equal(lh_multipart_create(store, &options, id, &err), LH_OK);
    assert_int_equal(sample_put_part(store, "k", id, 1, 0, 5000, 7), LH_OK);
    LH_AUTO_FREE char *bytes = sample_body(5000, 7);
    struct lh_checksum sum = sum_of(LH_CHECKSUM_CRC64NVME, bytes, 5000);
    const struct lh_completion_part part = {.number = 1, .checksum = sum};
    const struct lh_completion completion = {.bucket = LH_BUCKET_LAKE,
                                             .key = LH_STR("k"),
                                             .id = id,
                                             .parts = &part,
                                             .count = 1,
                                             .size = 5000,
                                             .checksum = &sum};
    sum.bytes[3] ^= 1;
    assert_int_equal(lh_multipart_complete(store, &completion, &info, &err), LH_BAD_DIGEST);
    sum.bytes[3] ^= 1;
    assert_int_equal(lh_multipart_complete(store, &completion, &info, &err), LH_OK);
    lh_store_close(store);
}

/* ---- listings ---- */

static void add_number(void *ctx, const struct lh_part *part)
{
    char *text = ctx;
    snprintf(text + strlen(text), 64, "%d:%d ", (int)part->number, (int)part->size);
}

LH_TEST(parts_are_listed_page_by_page)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    bool more = true;
    assert_int_equal(sample_begin_upload(store, "k", id), LH_OK);
    for (uint32_t number = 5; number > 0; number--)
        assert_int_equal(sample_put_part(store, "k", id, number, 0, number * 10, 1), LH_OK);
    char text[256] = "";
    assert_int_equal(lh_multipart_parts(store, LH_BUCKET_LAKE, LH_STR("k"), id, 0, 3, add_number,
                                        text, &more, &err),
                     LH_OK);
    assert_string_equal(text, "1:10 2:20 3:30 ");
    assert_true(more);
    text[0] = '\0';
    assert_int_equal(lh_multipart_parts(store, LH_BUCKET_LAKE, LH_STR("k"), id, 3, 2, add_number,
                                        text, &more, &err),
                     LH_OK);
    assert_string_equal(text, "4:40 5:50 ");
    assert_false(more);
    lh_store_close(store);
}

static bool add_name(void *ctx, lh_str name, const struct lh_multipart_info *info)
{
    char *text = ctx;
    snprintf(text + strlen(text), 64, "%.*s%s ", LH_FMT(name), info ? "" : "*");
    return true;
}

LH_TEST(uploads_are_listed_page_by_page)
{
    static const char *const keys[] = {"a/1", "a/2", "b", "b", "c/x/1", "c/x/2", "c/y", "d"};
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char ids[LH_COUNT(keys)][LH_UPLOAD_ID_SIZE];
    for (size_t i = 0; i < LH_COUNT(keys); i++)
        assert_int_equal(sample_begin_upload(store, keys[i], ids[i]), LH_OK);
    const struct {
        struct lh_multipart_list options;
        const char *expected;
        bool more;
    } cases[] = {
        {{.limit = 100}, "a/1 a/2 b b c/x/1 c/x/2 c/y d ", false},
        {{.limit = 3}, "a/1 a/2 b ", true},
        {{.limit = 8}, "a/1 a/2 b b c/x/1 c/x/2 c/y d ", false},
        {{.limit = 100, .prefix = LH_STR("c/")}, "c/x/1 c/x/2 c/y ", false},
        {{.limit = 100, .delimiter = LH_STR("/")}, "a/* b b c/* d ", false},
        {{.limit = 1, .delimiter = LH_STR("/")}, "a/* ", true},
        {{.limit = 2, .delimiter = LH_STR("/"), .key_after = LH_STR("a/")}, "b b ", true},
        {{.limit = 9, .prefix = LH_STR("c/"), .delimiter = LH_STR("/")}, "c/x/* c/y ", false},
        {{.limit = 9, .key_after = LH_STR("b")}, "c/x/1 c/x/2 c/y d ", false},
        {{.limit = 9, .key_after = LH_STR("b"), .id_after = lh_str_from(ids[2])},
         "b c/x/1 c/x/2 c/y d ",
         false},
        {{.limit = 9, .key_after = LH_STR("x")}, "", false},
        {{.limit = 9, .prefix = LH_STR("zz")}, "", false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_multipart_list options = cases[i].options;
        char text[512] = "";
        bool more = false;
        options.bucket = LH_BUCKET_LAKE;
        assert_int_equal(lh_multipart_list(store, &options, add_name, text, &more, &err), LH_OK);
        assert_string_equal(text, cases[i].expected);
        assert_int_equal(more, cases[i].more);
    }
    lh_store_close(store);
}

/* ---- copies ---- */

LH_TEST(copies_move_no_bytes)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    assert_int_equal(sample_put(store, "small", 100, 1), LH_OK);
    assert_int_equal(sample_put(store, "large", 700000, 2), LH_OK);
    put_object(store, "parts", 7);
    assert_int_equal(sample_copy(store, "small", "small2"), LH_OK);
    assert_int_equal(sample_copy(store, "large", "large2"), LH_OK);
    assert_int_equal(sample_copy(store, "parts", "parts2"), LH_OK);
    assert_int_equal(sample_copy(store, "parts", "parts"), LH_OK);
    assert_string_equal(info_of(store, "parts2").etag, info_of(store, "parts").etag);
    assert_int_equal(info_of(store, "parts2").part_count, PARTS);
    assert_int_equal(lake(store).bytes, 2 * (100 + 700000 + total_size()));
    for (int round = 0; round < 2; round++) {
        sample_tend(store);
        assert_object(store, "small2", 100, 1);
        assert_object(store, "large2", 700000, 2);
        assert_object(store, "parts2", total_size(), 7);
        assert_int_equal(sample_delete(store, "small"), LH_OK);
        assert_int_equal(sample_delete(store, "large"), LH_OK);
        assert_int_equal(sample_delete(store, "parts"), LH_OK);
    }
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 1 + 3);
    lh_store_close(store);
    store = sample_open(dir);
    sample_tend(store);
    assert_object(store, "parts2", total_size(), 7);
    assert_int_equal(lake(store).bytes, 100 + 700000 + total_size());
    assert_int_equal(lake(store).objects, 3);
    lh_store_close(store);
}

/* ---- at the same time ---- */

enum { ROUNDS = 30 };

struct race {
    struct lh_store *store;
    atomic_bool stop;
    atomic_int broken;
};

static void *reader_main(void *arg)
{
    struct race *race = arg;
    while (!atomic_load(&race->stop)) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_object *object;
        bool same = false;
        if (lh_object_open(race->store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err) != LH_OK) {
            atomic_fetch_add(&race->broken, 1);
            continue;
        }
        uint64_t seed = strlen(lh_object_info(object)->etag) > 32 ? 7 : 8;
        if (sample_compare(object, total_size(), seed, &same) != LH_OK || !same)
            atomic_fetch_add(&race->broken, 1);
        lh_object_close(object);
    }
    return NULL;
}

static void *keeper_main(void *arg)
{
    struct race *race = arg;
    while (!atomic_load(&race->stop))
        lh_store_tend(race->store);
    return NULL;
}

LH_TEST(readers_while_the_object_is_replaced)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct race race = {.store = sample_open(dir)};
    struct lh_error err = LH_ERROR_INIT;
    pthread_t threads[3];
    put_object(race.store, "k", 7);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(lh_thread_start(&threads[i], "reader", reader_main, &race, &err), LH_OK);
    assert_int_equal(lh_thread_start(&threads[2], "keeper", keeper_main, &race, &err), LH_OK);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2)
            put_object(race.store, "k", 7);
        else
            assert_int_equal(sample_put(race.store, "k", total_size(), 8), LH_OK);
    }
    atomic_store(&race.stop, true);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.broken), 0);
    sample_tend(race.store);
    assert_int_equal(sample_file_count(dir), 3);
    lh_store_close(race.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_become_one_object),
        cmocka_unit_test(the_etag_is_the_md5_of_md5s),
        cmocka_unit_test(reading_at_any_offset),
        cmocka_unit_test(numbers_may_have_gaps_and_parts_be_left_out),
        cmocka_unit_test(a_part_put_again_replaces),
        cmocka_unit_test(completing_again_succeeds_while_it_is_that_object),
        cmocka_unit_test(wrong_completions_change_nothing),
        cmocka_unit_test(conditions_hold_for_completions),
        cmocka_unit_test(an_aborted_upload_leaves_nothing),
        cmocka_unit_test(an_open_object_is_a_snapshot),
        cmocka_unit_test(damage_in_a_part_is_never_served),
        cmocka_unit_test(checksums_of_the_whole_and_of_the_parts),
        cmocka_unit_test(a_wrong_checksum_of_the_whole_is_refused),
        cmocka_unit_test(parts_are_listed_page_by_page),
        cmocka_unit_test(uploads_are_listed_page_by_page),
        cmocka_unit_test(copies_move_no_bytes),
        cmocka_unit_test(readers_while_the_object_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
