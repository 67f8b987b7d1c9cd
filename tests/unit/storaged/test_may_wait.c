/*
 * A store used by a thread that may not wait: what is in memory is read, all else says
 * LH_WOULD_WAIT and has changed nothing; and puts that are committed without sleeping for them.
 */
#include "base/thread.h"
#include "unit/storaged/sample.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

static char *dir;
static struct lh_store *store;

static int start(void **state)
{
    (void)state;
    dir = lh_temp_dir();
    store = sample_open(dir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lh_set_may_wait(true);
    lh_store_close(store);
    lh_temp_dir_remove(&dir);
    return 0;
}

static lh_code open_object(const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object = NULL;
    lh_code code = lh_object_open(store, LH_BUCKET_LAKE, lh_str_from(key), &object, &err);
    lh_object_close(object);
    return code;
}

static lh_code list(void)
{
    struct lh_error err = LH_ERROR_INIT;
    char cursor[LH_STORE_CURSOR_MAX];
    const struct lh_list_options options = {.bucket = LH_BUCKET_LAKE, .limit = 10};
    return lh_store_list(store, &options, NULL, NULL, cursor, &err);
}

LH_TEST(only_what_is_in_memory_is_read)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(sample_put(store, "small", 1000, 1), LH_OK);
    assert_int_equal(sample_put(store, "large", 200000, 2), LH_OK);
    assert_int_equal(open_object("small"), LH_OK);
    lh_set_may_wait(false);
    assert_int_equal(open_object("small"), LH_OK);
    assert_int_equal(open_object("absent"), LH_NOT_FOUND);
    assert_int_equal(open_object("large"), LH_WOULD_WAIT);
    assert_int_equal(list(), LH_WOULD_WAIT);
    assert_int_equal(lh_store_delete(store, LH_BUCKET_LAKE, LH_STR("small"), NULL, &err),
                     LH_WOULD_WAIT);
    assert_int_equal(sample_put(store, "late", 200000, 3), LH_WOULD_WAIT);
    assert_int_equal(sample_put(store, "late", 1000, 3), LH_WOULD_WAIT);
    assert_int_equal(open_object("late"), LH_NOT_FOUND);
    assert_int_equal(open_object("small"), LH_OK);
    struct lh_store_stats stats;
    lh_store_stats(store, &stats);
    assert_int_equal(stats.uploads, 0);
    assert_int_equal(stats.damaged, 0);
}

static atomic_int told;

static void tell(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&told, 1);
}

LH_TEST(a_put_is_told)
{
    enum { PUTS = 8 };
    struct lh_upload *uploads[PUTS];
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *body = sample_body(1000, 7);
    atomic_store(&told, 0);
    lh_set_may_wait(false);
    for (int i = 0; i < PUTS; i++) { /* four keys; the second put of each is not wanted */
        char key[8];
        snprintf(key, sizeof(key), "k%d", i % 4);
        const struct lh_upload_options options = {
            .bucket = LH_BUCKET_LAKE,
            .key = lh_str_from(key),
            .length = 1000,
            .condition = {.if_none_match = LH_STR("*")},
        };
        assert_int_equal(lh_upload_begin(store, &options, &uploads[i], &err), LH_OK);
        assert_int_equal(sample_feed(uploads[i], body, 1000, 300, &err), LH_OK);
        assert_int_equal(lh_upload_prepare(uploads[i], &err), LH_OK);
        lh_upload_commit_begin(uploads[i], tell, NULL);
    }
    lh_set_may_wait(true);
    for (int i = 0; i < 20000 && atomic_load(&told) < PUTS; i++)
        lh_sleep_ms(1);
    assert_int_equal(atomic_load(&told), PUTS);
    for (int i = 0; i < PUTS; i++) {
        struct lh_store_info info;
        bool created = false;
        lh_code code = lh_upload_commit_end(uploads[i], &info, &created, &err);
        assert_int_equal(code, i < 4 ? LH_OK : LH_PRECONDITION);
        assert_int_equal(created, i < 4);
        lh_upload_free(uploads[i]);
    }
    assert_int_equal(open_object("k3"), LH_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_is_in_memory_is_read, start, stop),
        cmocka_unit_test_setup_teardown(a_put_is_told, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
