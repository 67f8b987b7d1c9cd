/*
 * Every call on files of every operation fails in turn, once or from then on, with each of several
 * errors. What was acknowledged is there afterwards, what was refused is not, other objects are
 * untouched, and the next start finds a store in which rows and files agree.
 */
#include "storaged/storaged.h"

#include <errno.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "support/fault.h"
#include "unit/storaged/sample.h"

enum { SMALL = 3000, LARGE = 300000, CALLS_MAX = 2000 };

enum { EIO_PLANS = 2 }; /* the first ones; for what takes long */

/* What the key "k" holds. */
struct state {
    bool present;
    size_t len;
    uint64_t seed;
};

struct scenario {
    const char *name;
    struct state before;
    struct state after;
};

static const struct scenario scenarios[] = {
    {"put small", {false, 0, 0}, {true, SMALL, 2}},
    {"put large", {false, 0, 0}, {true, LARGE, 2}},
    {"small over small", {true, SMALL, 1}, {true, SMALL, 2}},
    {"small over large", {true, LARGE, 1}, {true, SMALL, 2}},
    {"large over small", {true, SMALL, 1}, {true, LARGE, 2}},
    {"large over large", {true, LARGE, 1}, {true, LARGE, 2}},
    {"delete small", {true, SMALL, 1}, {false, 0, 0}},
    {"delete large", {true, LARGE, 1}, {false, 0, 0}},
};

/* Calls that a signal may interrupt on a local file system. */
enum {
    INTERRUPTIBLE = LH_FAULT_OPEN | LH_FAULT_READ | LH_FAULT_WRITE | LH_FAULT_SYNC |
                    LH_FAULT_TRUNCATE | LH_FAULT_ALLOCATE
};

static const struct plan {
    int error;
    bool for_ever;
    unsigned calls;
} plans[] = {
    {EIO, false, LH_FAULT_ALL},   {EIO, true, LH_FAULT_ALL},     {ENOSPC, false, LH_FAULT_ALL},
    {ENOSPC, true, LH_FAULT_ALL}, {EINTR, false, INTERRUPTIBLE},
};

static size_t open_file_count(void)
{
    DIR *entries = opendir("/proc/self/fd");
    assert_non_null(entries);
    size_t count = 0;
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

static lh_code reach(struct lh_store *store, const struct state *state)
{
    return state->present ? sample_put(store, "k", state->len, state->seed)
                          : sample_delete(store, "k");
}

static bool is_in(struct lh_store *store, const struct state *state)
{
    bool same = false;
    lh_code code = sample_get(store, "k", state->len, state->seed, &same);
    return state->present ? code == LH_OK && same : code == LH_NOT_FOUND;
}

static bool count_key(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    (void)name;
    assert_false(damaged);
    *(uint64_t *)ctx += info->size;
    return true;
}

/* Rows, totals and files agree. */
static void assert_sound(struct lh_store *store, const char *dir, bool large)
{
    struct lh_error err = LH_ERROR_INIT;
    uint64_t bytes = 0;
    char cursor[LH_STORE_CURSOR_MAX];
    struct lh_list_options options = {.bucket = LH_BUCKET_LAKE, .limit = 1000};
    assert_int_equal(lh_store_list(store, &options, count_key, &bytes, cursor, &err), LH_OK);
    assert_int_equal(sample_stats(store).bytes, bytes);
    assert_object(store, "keep/small", SMALL, 10);
    assert_object(store, "keep/large", LARGE, 11);
    sample_tend(store);
    assert_int_equal(sample_file_count(dir), large ? 2 : 1);
    assert_int_equal(sample_stats(store).damaged, 0);
    assert_int_equal(sample_stats(store).damaged_pages, 0);
}

/* One run with the n-th call failing. Returns whether the plan was reached. */
static bool run(const char *dir, const struct scenario *scenario, const struct plan *plan,
                uint64_t n, bool named)
{
    struct lh_store *store;
    if (named) { /* the probe for O_TMPFILE is the first link of a start */
        lh_fault_start(
            &(struct lh_fault){.calls = LH_FAULT_LINK, .fail_at = 1, .error = EOPNOTSUPP});
        store = sample_open(dir);
        lh_fault_stop();
    } else {
        store = sample_open(dir);
    }
    assert_int_equal(reach(store, &scenario->before), LH_OK);
    lh_store_tend(store);

    lh_fault_start(&(struct lh_fault){
        .calls = plan->calls, .fail_at = n, .for_ever = plan->for_ever, .error = plan->error});
    lh_code code = reach(store, &scenario->after);
    lh_store_tend(store);
    uint64_t count = lh_fault_stop();
    bool read_only = sample_stats(store).read_only;
    if ((plan->error == EINTR || count < n) && code != LH_OK)
        print_message("%s, errno %d, call %d\n", scenario->name, plan->error, (int)n);
    if (plan->error == EINTR || count < n)
        assert_int_equal(code, LH_OK);
    if (plan->error == EINTR)
        assert_false(read_only);
    if (code == LH_OK)
        assert_true(is_in(store, &scenario->after));
    if (code != LH_OK && !read_only)
        assert_true(is_in(store, &scenario->before));
    if (read_only && code != LH_OK)
        assert_int_equal(sample_put(store, "new", 1, 1), LH_READ_ONLY);
    assert_object(store, "keep/large", LARGE, 11);
    lh_store_close(store);

    store = sample_open(dir);
    bool is_new = is_in(store, &scenario->after);
    assert_true(is_new || is_in(store, &scenario->before));
    if (code == LH_OK)
        assert_true(is_new);
    /* When the log could neither be made durable nor be cut back, the outcome is open. */
    if (code != LH_OK && !(read_only && plan->for_ever))
        assert_false(is_new);
    const struct state *now = is_new ? &scenario->after : &scenario->before;
    assert_sound(store, dir, now->present && now->len == LARGE);
    lh_store_close(store);
    return count >= n;
}

static char *prepared(const char *dir)
{
    struct lh_store *store = sample_open(dir);
    assert_int_equal(sample_put(store, "keep/small", SMALL, 10), LH_OK);
    assert_int_equal(sample_put(store, "keep/large", LARGE, 11), LH_OK);
    lh_store_close(store);
    return lh_strdup(dir);
}

static void run_all(size_t plan_count, bool named)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *ready = prepared(dir);
    uint64_t faults = 0;
    for (size_t s = 0; s < LH_COUNT(scenarios); s++) {
        for (size_t p = 0; p < plan_count; p++) {
            uint64_t n = 1;
            while (run(ready, &scenarios[s], &plans[p], n, named)) {
                assert_true(n < CALLS_MAX);
                n += p == 0 ? 1 : LH_FAULT_STEP;
                faults++;
            }
        }
    }
    print_message("%d faults\n", (int)faults);
    assert_true(faults > 300 / LH_FAULT_STEP);
}

LH_TEST(every_call_fails_in_turn)
{
    run_all(LH_COUNT(plans), false);
}

LH_TEST(the_same_without_nameless_files)
{
    run_all(EIO_PLANS, true);
}

LH_TEST(short_transfers_and_interrupts)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *ready = prepared(dir);
    size_t files_before = open_file_count();
    lh_fault_start(&(struct lh_fault){.transfer_max = 1000, .interrupt_every = 3});
    for (size_t s = 0; s < LH_COUNT(scenarios); s++) {
        struct lh_store *store = sample_open(ready);
        assert_int_equal(reach(store, &scenarios[s].before), LH_OK);
        assert_int_equal(reach(store, &scenarios[s].after), LH_OK);
        sample_tend(store);
        assert_true(is_in(store, &scenarios[s].after));
        lh_store_close(store);
        store = sample_open(ready);
        assert_true(is_in(store, &scenarios[s].after));
        const struct state *after = &scenarios[s].after;
        assert_sound(store, ready, after->present && after->len == LARGE);
        lh_store_close(store);
    }
    lh_fault_stop();
    assert_int_equal(open_file_count(), files_before);
}

/* ---- opening ---- */

/* Opening a store, new or old, with the n-th call failing: it opens or says no, and opens
 * afterwards with all that it had. */
static bool open_with_fault(const char *dir, const struct plan *plan, uint64_t n)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_options options = sample_options(dir);
    struct lh_store *store = NULL;
    size_t files_before = open_file_count();
    lh_fault_start(&(struct lh_fault){
        .calls = plan->calls, .fail_at = n, .for_ever = plan->for_ever, .error = plan->error});
    lh_code code = lh_store_open(&options, &store, &err);
    if (code == LH_OK)
        sample_tend(store);
    uint64_t count = lh_fault_stop();
    assert_true(code == LH_OK || err.message[0] != '\0');
    lh_store_close(store);
    assert_int_equal(open_file_count(), files_before);
    return count >= n;
}

LH_TEST(opening_an_old_store)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *ready = prepared(dir);
    for (size_t p = 0; p < LH_COUNT(plans); p++) {
        for (uint64_t n = 1; open_with_fault(ready, &plans[p], n); n += n < 60 ? 1 : 97) {
            struct lh_store *store = sample_open(ready);
            assert_sound(store, ready, false);
            lh_store_close(store);
        }
    }
}

LH_TEST(making_a_new_store)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (size_t p = 0; p < EIO_PLANS; p++) {
        bool reached = true;
        for (uint64_t n = 1; reached; n += n < 10 || (n > 260 && n < 320) ? 1 : 83) {
            LH_AUTO_FREE char *path = lh_asprintf("%s/%d-%d", dir, (int)p, (int)n);
            reached = open_with_fault(path, &plans[p], n);
            struct lh_store *store = sample_open(path);
            assert_int_equal(sample_put(store, "k", LARGE, 1), LH_OK);
            assert_object(store, "k", LARGE, 1);
            lh_store_close(store);
            struct lh_error err = LH_ERROR_INIT;
            assert_int_equal(lh_clear_dir(path, &err), LH_OK);
        }
    }
}

/* ---- reading ---- */

LH_TEST(a_read_that_fails_is_told)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *ready = prepared(dir);
    for (uint64_t n = 1;; n++) {
        struct lh_store *store = sample_open(ready);
        bool same = false;
        lh_fault_start(&(struct lh_fault){.calls = LH_FAULT_ALL, .fail_at = n, .error = EIO});
        lh_code code = sample_get(store, "keep/large", LARGE, 11, &same);
        uint64_t count = lh_fault_stop();
        assert_true(code == LH_OK ? same : code == LH_IO);
        assert_object(store, "keep/large", LARGE, 11);
        assert_false(sample_stats(store).read_only);
        lh_store_close(store);
        if (count < n) {
            assert_int_equal(code, LH_OK);
            break;
        }
    }
}

int main(void)
{
    /* The faults are made in this process: a disk in memory does as well, and there are some 10,000
     * fsyncs. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    /* The keeper tells of each failure that is made here. */
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    lh_log_init("test", LH_LOG_ERROR, nowhere);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_in_turn),
        cmocka_unit_test(the_same_without_nameless_files),
        cmocka_unit_test(short_transfers_and_interrupts),
        cmocka_unit_test(opening_an_old_store),
        cmocka_unit_test(making_a_new_store),
        cmocka_unit_test(a_read_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
