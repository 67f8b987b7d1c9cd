#include "queryd/cache.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OBJECT = 1000 };

/* A store whose objects are their key, repeated to 1,000 bytes. Some keys misbehave. */
static atomic_uint fetches;

static lh_code fetch(void *ctx, const char *key, lh_deadline deadline,
                     lh_code (*write)(void *to, const void *bytes, size_t len,
                                      struct lh_error *err),
                     void *to, struct lh_error *err)
{
    (void)ctx;
    (void)deadline;
    atomic_fetch_add(&fetches, 1);
    if (strcmp(key, "gone") == 0)
        return lh_fail(err, LH_NOT_FOUND, "gone");
    if (strcmp(key, "slow") == 0)
        lh_sleep_ms(100);
    size_t len = strcmp(key, "short") == 0  ? OBJECT - 1
                 : strcmp(key, "long") == 0 ? OBJECT + 1
                                            : OBJECT;
    for (size_t i = 0; i < len; i++)
        LH_TRY(write(to, &key[i % strlen(key)], 1, err));
    return LH_OK;
}

struct fixture {
    char dir[64];
    struct lh_cache *cache;
};

static struct lh_cache_options options_of(const struct fixture *f)
{
    return (struct lh_cache_options){
        .dir = f->dir, .bytes_max = UINT64_C(3) * OBJECT, .fetch = fetch};
}

static int setup(void **state)
{
    struct fixture *f = lh_calloc(1, sizeof(*f));
    struct lh_error err = LH_ERROR_INIT;
    snprintf(f->dir, sizeof(f->dir), "/tmp/lh-test-cache-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    struct lh_cache_options options = options_of(f);
    if (lh_cache_open(&options, &f->cache, &err) != LH_OK)
        fail_msg("open: %s", err.message);
    atomic_store(&fetches, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lh_cache_close(f->cache);
    assert_int_equal(rmdir(f->dir), 0); /* it leaves nothing behind */
    free(f);
    return 0;
}

static lh_code pin(struct fixture *f, const char *key, struct lh_cached **cached,
                   struct lh_error *err)
{
    return lh_cache_pin(f->cache, key, "etag", OBJECT, lh_deadline_in_ms(5000), cached, err);
}

static void use(struct fixture *f, const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_cached *cached = NULL;
    if (pin(f, key, &cached, &err) != LH_OK)
        fail_msg("%s: %s", key, err.message);
    char *bytes = NULL;
    size_t len = 0;
    assert_int_equal(lh_read_file(lh_cached_path(cached), 10000, &bytes, &len, &err), LH_OK);
    assert_int_equal(len, OBJECT);
    assert_memory_equal(bytes, key, strlen(key));
    free(bytes);
    lh_cache_unpin(f->cache, cached);
}

static void check(struct fixture *f, unsigned copies, unsigned fetched)
{
    struct lh_cache_stats stats;
    lh_cache_stats(f->cache, &stats);
    assert_int_equal(stats.copies, copies);
    assert_int_equal(stats.bytes, copies * OBJECT);
    assert_int_equal(atomic_load(&fetches), fetched);
}

static void test_oldest_goes_first(void **state)
{
    struct fixture *f = *state;
    use(f, "a");
    use(f, "b");
    use(f, "c");
    check(f, 3, 3);
    use(f, "a"); /* now b is the oldest */
    check(f, 3, 3);
    use(f, "d");
    check(f, 3, 4);
    use(f, "a");
    use(f, "c");
    use(f, "d");
    check(f, 3, 4);
    use(f, "b");
    check(f, 3, 5);
}

static void test_pinned_stays(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_cached *held[4] = {NULL};
    assert_int_equal(pin(f, "a", &held[0], &err), LH_OK);
    assert_int_equal(pin(f, "b", &held[1], &err), LH_OK);
    assert_int_equal(pin(f, "c", &held[2], &err), LH_OK);
    assert_int_equal(pin(f, "d", &held[3], &err), LH_STORAGE_FULL);
    assert_null(held[3]);
    check(f, 3, 3);
    lh_cache_unpin(f->cache, held[1]);
    assert_int_equal(pin(f, "d", &held[3], &err), LH_OK);
    check(f, 3, 4);
    assert_int_equal(access(lh_cached_path(held[0]), R_OK), 0);
    lh_cache_unpin(f->cache, held[0]);
    lh_cache_unpin(f->cache, held[2]);
    lh_cache_unpin(f->cache, held[3]);
    lh_cache_unpin(f->cache, NULL);
}

static void test_failures_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_cached *cached = NULL;
    assert_int_equal(pin(f, "gone", &cached, &err), LH_NOT_FOUND);
    assert_int_equal(pin(f, "short", &cached, &err), LH_CORRUPT);
    assert_int_equal(pin(f, "long", &cached, &err), LH_CORRUPT);
    assert_int_equal(
        lh_cache_pin(f->cache, "x", "e", UINT64_C(4) * OBJECT, LH_NO_DEADLINE, &cached, &err),
        LH_STORAGE_FULL);
    assert_null(cached);
    check(f, 0, 3);
}

/* The etag is part of what a copy is: a key that was stored anew is another object. */
static void test_etags_differ(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_cached *one = NULL;
    struct lh_cached *two = NULL;
    assert_int_equal(lh_cache_pin(f->cache, "a", "1", OBJECT, LH_NO_DEADLINE, &one, &err), LH_OK);
    assert_int_equal(lh_cache_pin(f->cache, "a", "2", OBJECT, LH_NO_DEADLINE, &two, &err), LH_OK);
    assert_string_not_equal(lh_cached_path(one), lh_cached_path(two));
    lh_cache_unpin(f->cache, one);
    lh_cache_unpin(f->cache, two);
}

static void *use_slow(void *arg)
{
    for (int i = 0; i < 5; i++)
        use(arg, "slow");
    return NULL;
}

static void test_fetched_once_for_all(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    pthread_t threads[8];
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        assert_int_equal(lh_thread_start(&threads[i], "use", use_slow, f, &err), LH_OK);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    check(f, 1, 1);
}

static void *use_many(void *arg)
{
    char key[2] = {0};
    for (unsigned i = 0; i < 300; i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_cached *cached = NULL;
        key[0] = (char)('a' + i * 7 % 11);
        lh_code code = pin(arg, key, &cached, &err);
        assert_true(code == LH_OK || code == LH_STORAGE_FULL);
        if (code == LH_OK)
            assert_int_equal(access(lh_cached_path(cached), R_OK), 0);
        lh_cache_unpin(((struct fixture *)arg)->cache, cached);
    }
    return NULL;
}

/* More objects than fit, from many sides: the bound holds, what is pinned is there. */
static void test_eviction_under_load(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    pthread_t threads[4];
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        assert_int_equal(lh_thread_start(&threads[i], "use", use_many, f, &err), LH_OK);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    struct lh_cache_stats stats;
    lh_cache_stats(f->cache, &stats);
    assert_true(stats.copies <= 3 && stats.bytes == stats.copies * OBJECT);
}

static void test_starts_empty(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    use(f, "a");
    LH_AUTO_FREE char *leftover = lh_asprintf("%s/leftover.parquet", f->dir);
    assert_int_equal(lh_write_file_durable(leftover, "x", 1, 0600, &err), LH_OK);
    struct lh_cache *again = NULL;
    struct lh_cache_options options = options_of(f);
    assert_int_equal(lh_cache_open(&options, &again, &err), LH_OK);
    assert_int_not_equal(access(leftover, F_OK), 0);
    lh_cache_close(again);
    lh_cache_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_oldest_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pinned_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_etags_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetched_once_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eviction_under_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starts_empty, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
