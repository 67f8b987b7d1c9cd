#include "storaged/storaged.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "base/thread.h"
#include "unit/storaged/sample.h"

static const lh_str none = {NULL, 0};

static lh_code put_if(struct lh_store *store, const char *key, const char *body, lh_str if_match,
                      lh_str if_none_match, bool *ret_created)
{
    struct lh_error err = LH_ERROR_INIT;
    return sample_put_with(store,
                           (struct lh_upload_options){.key = lh_str_from(key),
                                                      .length = -1,
                                                      .condition = {if_match, if_none_match}},
                           body, strlen(body), ret_created, &err);
}

static void assert_text(struct lh_store *store, const char *key, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    const void *bytes;
    size_t len;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, lh_str_from(key), &object, &err), LH_OK);
    assert_int_equal(lh_object_read(object, 0, &bytes, &len, &err), LH_OK);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
    lh_object_close(object);
}

/* ---- put and get ---- */

static const size_t sizes[] = {
    0,
    1,
    4096,
    SAMPLE_INLINE_MAX - 1,
    SAMPLE_INLINE_MAX,
    SAMPLE_INLINE_MAX + 1,
    262143,
    262144,
    262145,
    524288,
    1000003,
    SAMPLE_OBJECT_MAX,
};

LH_TEST(bodies_of_every_size_come_back)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    uint64_t bytes = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < LH_COUNT(sizes); i++) {
            char key[32];
            snprintf(key, sizeof(key), "size/%zu", sizes[i]);
            if (round == 0)
                assert_int_equal(sample_put(store, key, sizes[i], i), LH_OK);
            bytes += round == 0 ? sizes[i] : 0;
            assert_object(store, key, sizes[i], i);
        }
        assert_int_equal(sample_stats(store).objects, LH_COUNT(sizes));
        assert_int_equal(sample_stats(store).bytes, bytes);
        lh_store_close(store);
        store = sample_open(dir);
    }
    assert_int_equal(sample_file_count(dir), 7);
    lh_store_close(store);
}

LH_TEST(unknown_length_gives_the_same)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    for (size_t i = 0; i < LH_COUNT(sizes); i++) {
        struct lh_error err = LH_ERROR_INIT;
        bool created = false;
        LH_AUTO_FREE char *bytes = sample_body(sizes[i], i);
        assert_int_equal(
            sample_put_with(store, (struct lh_upload_options){.key = LH_STR("k"), .length = -1},
                            bytes, sizes[i], &created, &err),
            LH_OK);
        assert_int_equal(created, i == 0);
        assert_object(store, "k", sizes[i], i);
    }
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 1);
    lh_store_close(store);
}

LH_TEST(info_is_what_was_put)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    bool created = false;
    lh_time_ms before = lh_now_ms();
    assert_int_equal(sample_put_with(store,
                                     (struct lh_upload_options){.key = LH_STR("a"),
                                                                .length = 5,
                                                                .content_type = LH_STR("text/x")},
                                     "hello", 5, &created, &err),
                     LH_OK);
    struct lh_store_info info;
    assert_int_equal(lh_store_head(store, LH_BUCKET_LAKE, LH_STR("a"), &info, &err), LH_OK);
    assert_string_equal(info.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_string_equal(info.content_type, "text/x");
    assert_int_equal(info.size, 5);
    assert_in_range(info.modified_ms, before, lh_now_ms());
    assert_int_equal(lh_store_head(store, 2, LH_STR("a"), &info, &err), LH_NOT_FOUND);
    lh_store_close(store);
}

LH_TEST(reading_at_any_offset)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    enum { LEN = 3 * LH_STORE_BLOCK + 17 };
    LH_AUTO_FREE char *expected = sample_body(LEN, 7);
    assert_int_equal(sample_put(store, "k", LEN, 7), LH_OK);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    static const uint64_t offsets[] = {LEN - 1, 0, LH_STORE_BLOCK - 1, LH_STORE_BLOCK, LEN - 17, 5};
    for (size_t i = 0; i < LH_COUNT(offsets); i++) {
        const void *bytes;
        size_t len;
        assert_int_equal(lh_object_read(object, offsets[i], &bytes, &len, &err), LH_OK);
        assert_true(len > 0 && offsets[i] + len <= LEN);
        assert_memory_equal(bytes, expected + offsets[i], len);
    }
    lh_object_close(object);
    lh_store_close(store);
}

/* ---- replace and delete ---- */

LH_TEST(an_open_object_is_a_snapshot)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *old;
    struct lh_object *newer;
    bool same = false;
    assert_int_equal(sample_put(store, "k", 1000000, 1), LH_OK);
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &old, &err), LH_OK);
    assert_int_equal(sample_put(store, "k", 500000, 2), LH_OK);
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &newer, &err), LH_OK);
    assert_int_equal(sample_delete(store, "k"), LH_OK);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), 0);
    assert_int_equal(sample_compare(old, 1000000, 1, &same), LH_OK);
    assert_true(same);
    assert_int_equal(sample_compare(newer, 500000, 2, &same), LH_OK);
    assert_true(same);
    lh_object_close(old);
    lh_object_close(newer);
    assert_absent(store, "k");
    assert_int_equal(sample_delete(store, "k"), LH_OK);
    assert_int_equal(sample_stats(store).objects, 0);
    assert_int_equal(sample_stats(store).bytes, 0);
    lh_store_close(store);
}

LH_TEST(locate_names_files_only)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    char *path = NULL;
    assert_int_equal(sample_put(store, "small", 100, 1), LH_OK);
    assert_int_equal(sample_put(store, "large", 300000, 2), LH_OK);
    assert_int_equal(lh_store_locate(store, LH_BUCKET_LAKE, LH_STR("small"), &path, &info, &err),
                     LH_OK);
    assert_null(path);
    assert_int_equal(lh_store_locate(store, LH_BUCKET_LAKE, LH_STR("large"), &path, &info, &err),
                     LH_OK);
    assert_int_equal(path[0], '/');
    LH_AUTO_FREE char *located = path;
    LH_AUTO_FREE char *content = NULL;
    LH_AUTO_FREE char *expected = sample_body(300000, 2);
    size_t len;
    assert_int_equal(lh_read_file(located, 1 << 20, &content, &len, &err), LH_OK);
    assert_int_equal(len, 300000);
    assert_memory_equal(content, expected, len);
    assert_int_equal(lh_store_locate(store, LH_BUCKET_LAKE, LH_STR("none"), &path, &info, &err),
                     LH_NOT_FOUND);
    lh_store_close(store);
}

/* ---- conditions ---- */

LH_TEST(conditions)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    const lh_str star = LH_STR("*");
    const lh_str one = LH_STR("\"f97c5d29941bfb1b2fdab0874906ab82\""); /* of "one" */
    const lh_str weak = LH_STR("W/\"f97c5d29941bfb1b2fdab0874906ab82\"");
    const lh_str list = LH_STR("\"x\", \"f97c5d29941bfb1b2fdab0874906ab82\"");
    bool created = false;
    assert_int_equal(put_if(store, "k", "one", star, none, &created), LH_PRECONDITION);
    assert_int_equal(put_if(store, "k", "one", one, none, &created), LH_PRECONDITION);
    assert_absent(store, "k");
    assert_int_equal(put_if(store, "k", "one", none, star, &created), LH_OK);
    assert_true(created);
    assert_int_equal(put_if(store, "k", "two", none, star, &created), LH_PRECONDITION);
    assert_int_equal(put_if(store, "k", "two", none, one, &created), LH_PRECONDITION);
    assert_int_equal(put_if(store, "k", "two", LH_STR("\"x\""), none, &created), LH_PRECONDITION);
    assert_int_equal(put_if(store, "k", "two", weak, none, &created), LH_PRECONDITION);
    assert_text(store, "k", "one");
    assert_int_equal(put_if(store, "k", "one", star, none, &created), LH_OK);
    assert_int_equal(put_if(store, "k", "one", list, none, &created), LH_OK);
    assert_int_equal(put_if(store, "k", "two", one, none, &created), LH_OK);
    assert_false(created);
    assert_int_equal(put_if(store, "k", "three", one, none, &created), LH_PRECONDITION);
    assert_text(store, "k", "two");

    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_condition condition = {.if_match = one};
    assert_int_equal(lh_store_delete(store, LH_BUCKET_LAKE, LH_STR("k"), &condition, &err),
                     LH_PRECONDITION);
    condition.if_match = star;
    assert_int_equal(lh_store_delete(store, LH_BUCKET_LAKE, LH_STR("k"), &condition, &err), LH_OK);
    assert_int_equal(lh_store_delete(store, LH_BUCKET_LAKE, LH_STR("k"), &condition, &err),
                     LH_PRECONDITION);
    lh_store_close(store);
}

enum { RACERS = 16, ROUNDS = 20 };

struct race {
    struct lh_store *store;
    atomic_int won;
    atomic_int lost;
};

static void *race_main(void *arg)
{
    struct race *race = arg;
    for (int round = 0; round < ROUNDS; round++) {
        char key[16];
        bool created;
        snprintf(key, sizeof(key), "race/%d", round);
        switch (put_if(race->store, key, key, none, LH_STR("*"), &created)) {
        case LH_OK:
            atomic_fetch_add(&race->won, 1);
            break;
        case LH_PRECONDITION:
            atomic_fetch_add(&race->lost, 1);
            break;
        default:
            break;
        }
    }
    return NULL;
}

LH_TEST(of_many_that_race_one_wins)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct race race = {.store = sample_open(dir)};
    struct lh_error err = LH_ERROR_INIT;
    pthread_t threads[RACERS];
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(lh_thread_start(&threads[i], "racer", race_main, &race, &err), LH_OK);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.won, ROUNDS);
    assert_int_equal(race.lost, ROUNDS * (RACERS - 1));
    struct lh_store_stats stats = sample_stats(race.store);
    assert_int_equal(stats.objects, ROUNDS);
    assert_int_equal(stats.group_requests, ROUNDS * RACERS);
    assert_true(stats.groups <= stats.group_requests);
    lh_store_close(race.store);
}

/* ---- refused uploads ---- */

static void assert_nothing_left(struct lh_store *store, const char *dir)
{
    struct lh_store_stats stats = sample_stats(store);
    assert_int_equal(stats.objects, 0);
    assert_int_equal(stats.uploads, 0);
    assert_int_equal(stats.upload_bytes, 0);
    assert_int_equal(sample_file_count(dir), 0);
}

LH_TEST(digests_are_verified)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    for (size_t i = 0; i < LH_COUNT(sizes); i++) {
        LH_AUTO_FREE char *bytes = sample_body(sizes[i], i);
        uint8_t md5[LH_MD5_SIZE];
        uint8_t sha256[LH_SHA256_SIZE];
        lh_md5(bytes, sizes[i], md5);
        lh_sha256(bytes, sizes[i], sha256);
        for (int wrong = 0; wrong < 3; wrong++) {
            struct lh_error err = LH_ERROR_INIT;
            bool created;
            md5[3] ^= wrong == 0;
            sha256[30] ^= wrong == 1;
            struct lh_upload_options options = {
                .key = LH_STR("k"), .length = -1, .md5 = md5, .sha256 = sha256};
            lh_code code = sample_put_with(store, options, bytes, sizes[i], &created, &err);
            assert_int_equal(code, wrong < 2 ? LH_BAD_DIGEST : LH_OK);
            md5[3] ^= wrong == 0;
            sha256[30] ^= wrong == 1;
            if (wrong < 2)
                assert_nothing_left(store, dir);
        }
        assert_int_equal(sample_delete(store, "k"), LH_OK);
        sample_tend(store);
    }
    lh_store_close(store);
}

LH_TEST(wrong_lengths_leave_nothing)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    LH_AUTO_FREE char *bytes = sample_body(SAMPLE_OBJECT_MAX + 1, 3);
    static const struct {
        int64_t length;
        size_t sent;
        lh_code code;
    } cases[] = {
        {100, 99, LH_INCOMPLETE_BODY},
        {300000, 299999, LH_INCOMPLETE_BODY},
        {300000, 0, LH_INCOMPLETE_BODY},
        {100, 101, LH_INVALID},
        {SAMPLE_OBJECT_MAX + 1, 0, LH_TOO_LARGE},
        {-1, SAMPLE_OBJECT_MAX + 1, LH_TOO_LARGE},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        bool created;
        struct lh_upload_options options = {.key = LH_STR("k"), .length = cases[i].length};
        assert_int_equal(sample_put_with(store, options, bytes, cases[i].sent, &created, &err),
                         cases[i].code);
        assert_nothing_left(store, dir);
    }
    lh_store_close(store);
}

LH_TEST(an_abandoned_upload_leaves_nothing)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    LH_AUTO_FREE char *bytes = sample_body(600000, 3);
    for (size_t sent = 0; sent <= 600000; sent += 100000) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_upload_options options = {
            .bucket = LH_BUCKET_LAKE, .key = LH_STR("k"), .length = 600000};
        struct lh_upload *upload;
        assert_int_equal(lh_upload_begin(store, &options, &upload, &err), LH_OK);
        assert_int_equal(sample_feed(upload, bytes, sent, 1000, &err), LH_OK);
        assert_int_equal(sample_stats(store).uploads, 1);
        assert_absent(store, "k");
        lh_upload_free(upload);
        assert_nothing_left(store, dir);
    }
    lh_store_close(store);
}

LH_TEST(the_budget_bounds_uploads)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store;
    options.upload_budget_bytes = 600 << 10; /* two windows, and a small object */
    assert_int_equal(lh_store_open(&options, &store, &err), LH_OK);
    struct lh_upload_options large = {.bucket = LH_BUCKET_LAKE, .key = LH_STR("k"), .length = -1};
    struct lh_upload_options small = {.bucket = LH_BUCKET_LAKE, .key = LH_STR("k"), .length = 100};
    struct lh_upload *uploads[3];
    struct lh_upload *more;
    assert_int_equal(lh_upload_begin(store, &large, &uploads[0], &err), LH_OK);
    assert_int_equal(lh_upload_begin(store, &large, &uploads[1], &err), LH_OK);
    assert_int_equal(lh_upload_begin(store, &large, &more, &err), LH_BUSY);
    assert_int_equal(lh_upload_begin(store, &small, &uploads[2], &err), LH_OK);
    lh_upload_free(uploads[0]);
    assert_int_equal(lh_upload_begin(store, &large, &uploads[0], &err), LH_OK);
    for (int i = 0; i < 3; i++)
        lh_upload_free(uploads[i]);
    assert_nothing_left(store, dir);
    lh_store_close(store);
}

LH_TEST(the_reserve_is_for_deletes)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    assert_int_equal(sample_put(store, "small", 10, 1), LH_OK);
    assert_int_equal(sample_put(store, "large", 300000, 2), LH_OK);
    lh_store_close(store);

    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    options.reserve_bytes = UINT64_MAX / 2;
    assert_int_equal(lh_store_open(&options, &store, &err), LH_OK);
    assert_int_equal(sample_put(store, "new", 0, 1), LH_STORAGE_FULL);
    assert_int_equal(sample_put(store, "small", 10, 3), LH_STORAGE_FULL);
    assert_object(store, "small", 10, 1);
    assert_object(store, "large", 300000, 2);
    assert_int_equal(sample_delete(store, "large"), LH_OK);
    assert_absent(store, "large");
    assert_false(sample_stats(store).read_only);
    lh_store_close(store);
}

LH_TEST(content_types_are_bounded)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    char type[LH_STORE_TYPE_SIZE];
    bool created;
    memset(type, 'x', sizeof(type));
    struct lh_upload_options options = {.key = LH_STR("k"), .length = 1};
    options.content_type = lh_str_of(type, sizeof(type));
    assert_int_equal(sample_put_with(store, options, "1", 1, &created, &err), LH_INVALID);
    options.content_type = LH_STR("a\r\nb");
    assert_int_equal(sample_put_with(store, options, "1", 1, &created, &err), LH_INVALID);
    options.content_type = lh_str_of(type, sizeof(type) - 1);
    assert_int_equal(sample_put_with(store, options, "1", 1, &created, &err), LH_OK);
    lh_store_close(store);
}

/* ---- opening ---- */

static lh_code open_code(const char *dir, char hint[LH_ERROR_HINT_MAX])
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store = NULL;
    lh_code code = lh_store_open(&options, &store, &err);
    lh_store_close(store);
    memcpy(hint, err.hint, sizeof(err.hint));
    return code;
}

static void write_text(const char *dir, const char *name, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *path = lh_path_in(dir, name);
    assert_int_equal(lh_write_file_durable(path, text, strlen(text), 0600, &err), LH_OK);
}

static void run_sql(const char *dir, const char *sql)
{
    LH_AUTO_FREE char *path = lh_path_in(dir, "index.db");
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (result != SQLITE_OK)
        print_message("%s: %s\n", sql, sqlite3_errmsg(db));
    assert_int_equal(result, SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

LH_TEST(one_process_at_a_time)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    char hint[LH_ERROR_HINT_MAX];
    struct lh_store *store = sample_open(dir);
    assert_int_equal(open_code(dir, hint), LH_BUSY);
    lh_store_close(store);
    assert_int_equal(open_code(dir, hint), LH_OK);
}

LH_TEST(newer_and_foreign_folders_are_refused)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    char hint[LH_ERROR_HINT_MAX];
    lh_store_close(sample_open(dir));
    write_text(dir, "FORMAT", "lakehouse object store, format 3\n");
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
    assert_non_null(strstr(hint, "newer"));
    write_text(dir, "FORMAT", "something else\n");
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
    write_text(dir, "FORMAT", "lakehouse object store, format 1\n");
    assert_int_equal(open_code(dir, hint), LH_OK);
    run_sql(dir, "PRAGMA user_version=99");
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
    assert_non_null(strstr(hint, "newer"));
    run_sql(dir, "PRAGMA user_version=2; PRAGMA application_id=7");
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
}

LH_TEST(a_lost_index_does_not_cost_the_objects)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    char hint[LH_ERROR_HINT_MAX];
    struct lh_store *store = sample_open(dir);
    assert_int_equal(sample_put(store, "k", 300000, 1), LH_OK);
    lh_store_close(store);
    LH_AUTO_FREE char *index = lh_path_in(dir, "index.db");
    LH_AUTO_FREE char *format = lh_path_in(dir, "FORMAT");
    LH_AUTO_FREE char *aside = lh_path_in(dir, "aside");
    assert_int_equal(rename(index, aside), 0);
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
    assert_int_equal(unlink(format), 0);
    assert_int_equal(open_code(dir, hint), LH_INVALID_CONFIG);
    assert_int_equal(sample_file_count(dir), 1);
    assert_int_equal(rename(aside, index), 0);
    store = sample_open(dir);
    sample_tend(store);
    assert_object(store, "k", 300000, 1);
    lh_store_close(store);
}

LH_TEST(orphans_are_swept_and_objects_are_not)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    for (uint64_t i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", (int)i);
        assert_int_equal(sample_put(store, key, 70000, i), LH_OK);
    }
    lh_store_close(store);
    write_text(dir, "data/00/00000100000000ff", "an upload that was linked and not committed");
    write_text(dir, "data/07/.0000010000001c01", "an upload without O_TMPFILE");
    write_text(dir, "data/07/0fffff0000001c01", "of a later epoch: the index is an old one");
    write_text(dir, "data/07/notes", "not ours");

    store = sample_open(dir);
    assert_true(sample_stats(store).sweeping);
    sample_tend(store);
    assert_false(sample_stats(store).sweeping);
    assert_int_equal(sample_stats(store).orphans_swept, 2);
    assert_int_equal(sample_file_count(dir), 22);
    for (uint64_t i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", (int)i);
        assert_object(store, key, 70000, i);
    }
    lh_store_close(store);
}

/* ---- damage ---- */

static void count_name(void *ctx, lh_str key)
{
    (void)key;
    ++*(size_t *)ctx;
}

static void assert_damaged(struct lh_store *store, const char *key, lh_code code)
{
    bool same;
    size_t names = 0;
    assert_int_equal(sample_get(store, key, 0, 0, &same), code);
    assert_int_equal(sample_get(store, key, 0, 0, &same), code);
    assert_int_equal(sample_stats(store).damaged, 1);
    lh_store_damaged(store, count_name, &names);
    assert_int_equal(names, 1);
    assert_int_equal(sample_put(store, key, 100000, 9), LH_OK);
    assert_object(store, key, 100000, 9);
    assert_int_equal(sample_stats(store).damaged, 0);
}

/* Flips one bit in the middle of the object's file. */
static void flip_bit(const char *path, off_t offset)
{
    unsigned char byte;
    assert_int_equal(chmod(path, 0600), 0);
    LH_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

LH_TEST(damaged_files_are_never_served)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (int kind = 0; kind < 5; kind++) {
        struct lh_store *store = sample_open(dir);
        struct lh_error err = LH_ERROR_INIT;
        struct lh_store_info info;
        char *path = NULL;
        assert_int_equal(sample_put(store, "k", 700000, 1), LH_OK);
        assert_int_equal(lh_store_locate(store, LH_BUCKET_LAKE, LH_STR("k"), &path, &info, &err),
                         LH_OK);
        if (kind < 3)
            flip_bit(path, (off_t[]){0, 300000, 699999}[kind]);
        else if (kind == 3)
            assert_int_equal(truncate(path, 699999), 0);
        else
            assert_int_equal(unlink(path), 0);
        free(path);
        assert_damaged(store, "k", LH_CORRUPT);
        lh_store_close(store);
    }
}

LH_TEST(only_the_damaged_block_is_refused)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info;
    char *path = NULL;
    assert_int_equal(sample_put(store, "k", 700000, 1), LH_OK);
    assert_int_equal(lh_store_locate(store, LH_BUCKET_LAKE, LH_STR("k"), &path, &info, &err),
                     LH_OK);
    LH_AUTO_FREE char *located = path;
    flip_bit(located, 300000);
    struct lh_object *object;
    const void *bytes;
    size_t len;
    assert_int_equal(lh_object_open(store, LH_BUCKET_LAKE, LH_STR("k"), &object, &err), LH_OK);
    assert_int_equal(lh_object_read(object, 0, &bytes, &len, &err), LH_OK);
    assert_int_equal(lh_object_read(object, LH_STORE_BLOCK + 5, &bytes, &len, &err), LH_CORRUPT);
    assert_int_equal(lh_object_read(object, 2 * LH_STORE_BLOCK, &bytes, &len, &err), LH_OK);
    lh_object_close(object);
    lh_store_close(store);
}

static bool collect_damaged(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    (void)name, (void)info;
    *(size_t *)ctx += damaged ? 1000 : 1;
    return true;
}

/* Every column of the index that an object's bytes depend on. */
LH_TEST(damaged_rows_are_never_served)
{
    static const char *const changes[] = {
        "UPDATE bodies SET payload = zeroblob(length(payload))",
        "UPDATE bodies SET payload = x'00'",
        "UPDATE bodies SET sums = zeroblob(length(sums))",
        "UPDATE bodies SET sums = x'00'",
        "UPDATE bodies SET sums_sum = sums_sum + 1",
        "UPDATE bodies SET id = id + 1000",
        "DELETE FROM bodies",
        "UPDATE objects SET size = size - 1",
        "UPDATE objects SET etag = 'x'",
        "UPDATE objects SET etag = printf('%.200c', 'x')",
        "UPDATE objects SET content_type = 'text/html'",
        "UPDATE objects SET body = body + 1",
        "UPDATE objects SET flags = 1",
        "UPDATE objects SET flags = 2",
        "UPDATE objects SET flags = 4",
        "UPDATE objects SET part_count = 1",
        "UPDATE objects SET checksum = x'01cbf43926'",
        "UPDATE objects SET modified = modified + 1",
        "UPDATE objects SET sum = sum + 1",
    };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (size_t i = 0; i < LH_COUNT(changes); i++) {
        struct lh_store *store = sample_open(dir);
        assert_int_equal(sample_put(store, "k", 5000, 1), LH_OK);
        lh_store_close(store);
        run_sql(dir, changes[i]);
        store = sample_open(dir);
        size_t listed = 0;
        struct lh_error err = LH_ERROR_INIT;
        struct lh_list_options options = {.bucket = LH_BUCKET_LAKE, .limit = 10};
        char cursor[LH_STORE_CURSOR_MAX];
        assert_int_equal(lh_store_list(store, &options, collect_damaged, &listed, cursor, &err),
                         LH_OK);
        assert_int_equal(listed, strstr(changes[i], "objects") ? 1000 : 1);
        assert_damaged(store, "k", LH_CORRUPT);
        lh_store_close(store);
    }
}

LH_TEST(a_condition_on_a_damaged_row_does_not_guess)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    bool created;
    assert_int_equal(put_if(store, "k", "one", none, none, &created), LH_OK);
    lh_store_close(store);
    run_sql(dir, "UPDATE objects SET modified = modified + 1");
    store = sample_open(dir);
    assert_int_equal(
        put_if(store, "k", "two", LH_STR("\"f97c5d29941bfb1b2fdab0874906ab82\""), none, &created),
        LH_CORRUPT);
    assert_int_equal(put_if(store, "k", "two", none, LH_STR("*"), &created), LH_PRECONDITION);
    assert_int_equal(put_if(store, "k", "two", LH_STR("*"), none, &created), LH_OK);
    assert_text(store, "k", "two");
    lh_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_every_size_come_back),
        cmocka_unit_test(unknown_length_gives_the_same),
        cmocka_unit_test(info_is_what_was_put),
        cmocka_unit_test(reading_at_any_offset),
        cmocka_unit_test(an_open_object_is_a_snapshot),
        cmocka_unit_test(locate_names_files_only),
        cmocka_unit_test(conditions),
        cmocka_unit_test(of_many_that_race_one_wins),
        cmocka_unit_test(digests_are_verified),
        cmocka_unit_test(wrong_lengths_leave_nothing),
        cmocka_unit_test(an_abandoned_upload_leaves_nothing),
        cmocka_unit_test(the_budget_bounds_uploads),
        cmocka_unit_test(the_reserve_is_for_deletes),
        cmocka_unit_test(content_types_are_bounded),
        cmocka_unit_test(one_process_at_a_time),
        cmocka_unit_test(newer_and_foreign_folders_are_refused),
        cmocka_unit_test(a_lost_index_does_not_cost_the_objects),
        cmocka_unit_test(orphans_are_swept_and_objects_are_not),
        cmocka_unit_test(damaged_files_are_never_served),
        cmocka_unit_test(only_the_damaged_block_is_refused),
        cmocka_unit_test(damaged_rows_are_never_served),
        cmocka_unit_test(a_condition_on_a_damaged_row_does_not_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
