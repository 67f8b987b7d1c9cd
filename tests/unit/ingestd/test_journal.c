/*
 * The journal: written, replaced, walked, removed; damage is counted; a write that fails at any
 * call leaves the old entry or the new one.
 */
#include "ingestd/journal.h"

#include "base/mem.h"
#include "base/os.h"
#include "support/cmocka.h"
#include "support/fault.h"
#include "support/fixture.h"

#include <errno.h>

struct walked {
    size_t count;
    char key[64];
    char commit[256];
};

static lh_code remember(void *ctx, const struct lh_journal_entry *entry, struct lh_error *err)
{
    (void)err;
    struct walked *walked = ctx;
    walked->count++;
    snprintf(walked->key, sizeof(walked->key), "%.*s", LH_FMT(entry->key));
    snprintf(walked->commit, sizeof(walked->commit), "%.*s", LH_FMT(entry->commit));
    return LH_OK;
}

static struct walked walk(struct lh_journal *journal, size_t *ret_damaged)
{
    struct walked walked = {0};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_journal_each(journal, remember, &walked, ret_damaged, &err), LH_OK);
    return walked;
}

static const struct lh_journal_entry stored = {.id = "one", .key = {"datasets/a", 10}};
static const struct lh_journal_entry committing = {
    .id = "one",
    .key = {"datasets/a", 10},
    .commit = {"{\"name\":\"a\",\"expect_snapshot\":3}", 32}};

static void test_life_of_an_entry(void **state)
{
    (void)state;
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_journal *journal = NULL;
    struct lh_error err = LH_ERROR_INIT;
    size_t damaged = 0;
    assert_int_equal(lh_journal_open(dir, &journal, &err), LH_OK);
    assert_int_equal(walk(journal, &damaged).count, 0);

    assert_int_equal(lh_journal_write(journal, &stored, &err), LH_OK);
    struct walked walked = walk(journal, &damaged);
    assert_int_equal(walked.count, 1);
    assert_string_equal(walked.key, "datasets/a");
    assert_string_equal(walked.commit, "");

    assert_int_equal(lh_journal_write(journal, &committing, &err), LH_OK);
    lh_journal_close(journal);
    LH_AUTO_FREE char *unfinished = lh_path_in(dir, "two.json.1a2b.tmp");
    assert_int_equal(lh_write_file_durable(unfinished, "x", 1, 0600, &err), LH_OK);
    assert_int_equal(lh_journal_open(dir, &journal, &err), LH_OK);
    struct stat st;
    assert_int_equal(stat(unfinished, &st), -1);
    walked = walk(journal, &damaged);
    assert_int_equal(walked.count, 1);
    assert_string_equal(walked.commit, committing.commit.ptr);
    assert_int_equal(damaged, 0);

    assert_int_equal(lh_journal_remove(journal, "one", &err), LH_OK);
    assert_int_equal(lh_journal_remove(journal, "one", &err), LH_OK);
    assert_int_equal(walk(journal, &damaged).count, 0);
    lh_journal_close(journal);
}

/* Every single changed byte, and every length short of the whole, is noticed. */
static void test_damage_is_counted(void **state)
{
    (void)state;
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "one.json");
    struct lh_journal *journal = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_journal_open(dir, &journal, &err), LH_OK);
    assert_int_equal(lh_journal_write(journal, &committing, &err), LH_OK);
    LH_AUTO_FREE char *bytes = NULL;
    size_t len = 0;
    assert_int_equal(lh_read_file(path, 4096, &bytes, &len, &err), LH_OK);
    for (size_t i = 0; i < 2 * len; i++) {
        size_t damaged = 0;
        LH_AUTO_FREE char *copy = lh_strndup(bytes, len);
        if (i < len)
            copy[i] ^= 0x20;
        assert_int_equal(lh_write_file_durable(path, copy, i < len ? len : i - len, 0600, &err),
                         LH_OK);
        assert_int_equal(walk(journal, &damaged).count, 0);
        assert_int_equal(damaged, 1);
    }
    lh_journal_close(journal);
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
        struct lh_journal *journal = NULL;
        struct lh_error err = LH_ERROR_INIT;
        size_t damaged = 0;
        assert_int_equal(lh_journal_open(dir, &journal, &err), LH_OK);
        assert_int_equal(lh_journal_write(journal, &stored, &err), LH_OK);
        lh_fault_start(
            &(struct lh_fault){.calls = LH_FAULT_CHANGES, .fail_at = n, .error = ENOSPC});
        lh_code code = lh_journal_write(journal, &committing, &err);
        uint64_t count = lh_fault_stop();
        struct walked walked = walk(journal, &damaged);
        assert_int_equal(damaged, 0);
        assert_int_equal(walked.count, 1);
        if (code == LH_OK)
            assert_string_equal(walked.commit, committing.commit.ptr);
        lh_journal_close(journal);
        if (count < n) {
            assert_int_equal(code, LH_OK);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_an_entry),
        cmocka_unit_test(test_damage_is_counted),
        cmocka_unit_test(test_every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
