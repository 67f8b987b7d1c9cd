#include "storaged/index.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/os.h"
#include "base/thread.h"
#include "unit/storaged/sample.h"

static struct lh_index *open_index(const char *dir)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index *index = NULL;
    assert_int_equal(lh_index_open(dir, false, &index, &err), LH_OK);
    return index;
}

static void put_in(struct lh_index *index, const char *key, const char *text, uint64_t body)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_row old;
    bool found;
    uint64_t sum = lh_xxh3(text, strlen(text));
    struct lh_index_row row = {
        .info = {.size = strlen(text), .modified_ms = 1, .etag = "e", .content_type = "t"},
        .body = body};
    struct lh_index_body part = {.sums = &sum, .sum_count = 1, .payload = text};
    assert_int_equal(lh_index_find(index, LH_BUCKET_LAKE, lh_str_from(key), &old, &found, &err),
                     LH_OK);
    assert_int_equal(lh_index_put(index, LH_BUCKET_LAKE, lh_str_from(key), &row, &part, NULL,
                                  found ? &old : NULL, &err),
                     LH_OK);
}

static void begin(struct lh_index *index)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_index_begin(index, &err), LH_OK);
}

static void commit(struct lh_index *index)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_index_commit(index, &err), LH_OK);
}

static void assert_holds(struct lh_index *index, const char *key, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_object object;
    assert_int_equal(lh_index_get(index, LH_BUCKET_LAKE, lh_str_from(key), &object, &err), LH_OK);
    assert_int_equal(object.row.info.size, strlen(text));
    assert_memory_equal(object.payload, text, strlen(text));
    lh_index_object_deinit(&object);
}

static int64_t row_count(struct lh_index *index)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_walk *walk;
    struct lh_index_row row;
    lh_str key;
    int64_t count = 0;
    assert_int_equal(lh_index_walk_begin(index, LH_BUCKET_LAKE, &walk, &err), LH_OK);
    assert_int_equal(lh_index_walk_seek(walk, LH_STR(""), &err), LH_OK);
    while (lh_index_walk_next(walk, &key, &row, &err) == LH_OK && key.ptr)
        count++;
    lh_index_walk_end(walk);
    return count;
}

static lh_code head(struct lh_index *index, const char *key)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_row row;
    return lh_index_head(index, LH_BUCKET_LAKE, lh_str_from(key), &row, &err);
}

LH_TEST(readers_see_commits_and_nothing_else)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_index *index = open_index(dir);
    begin(index);
    put_in(index, "a", "one", 1);
    assert_int_equal(head(index, "a"), LH_NOT_FOUND);
    commit(index);
    assert_holds(index, "a", "one");
    begin(index);
    put_in(index, "a", "two", 2);
    put_in(index, "b", "three", 3);
    lh_index_rollback(index);
    assert_holds(index, "a", "one");
    assert_int_equal(head(index, "b"), LH_NOT_FOUND);
    assert_int_equal(row_count(index), 1);
    lh_index_close(index);
    index = open_index(dir);
    assert_holds(index, "a", "one");
    lh_index_close(index);
}

LH_TEST(a_replaced_body_is_gone)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_index *index = open_index(dir);
    struct lh_error err = LH_ERROR_INIT;
    bool known = false;
    begin(index);
    put_in(index, "a", "one", 1);
    put_in(index, "a", "two", 2); /* sees the row of its own transaction */
    commit(index);
    assert_int_equal(lh_index_has_body(index, 1, &known, &err), LH_OK);
    assert_false(known);
    assert_int_equal(lh_index_has_body(index, 2, &known, &err), LH_OK);
    assert_true(known);
    assert_int_equal(row_count(index), 1);
    lh_index_close(index);
}

LH_TEST(every_run_has_an_epoch_of_its_own)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (uint64_t run = 1; run < 4; run++) {
        struct lh_index *index = open_index(dir);
        assert_int_equal(lh_index_epoch(index), run);
        lh_index_close(index);
    }
}

LH_TEST(checkpoints_bring_the_log_home)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_index *index = open_index(dir);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *text = lh_malloc(50001);
    memset(text, 'x', 50000);
    text[50000] = '\0';
    LH_AUTO_FREE char *log = lh_asprintf("%s/index.db-wal", dir);
    struct stat st;
    off_t size_of_one_round = 0;
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 10; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%d", (int)i);
            begin(index);
            put_in(index, key, text, 1 + round * 10 + i);
            commit(index);
        }
        assert_true(lh_index_log_bytes(index) > 500000);
        assert_int_equal(lh_index_checkpoint(index, false, &err), LH_OK);
        assert_int_equal(lh_index_checkpoint(index, true, &err), LH_OK);
        assert_int_equal(lh_index_log_bytes(index), 0);
        assert_int_equal(stat(log, &st), 0);
        size_of_one_round = round == 1 ? st.st_size : size_of_one_round;
        if (round > 1)
            assert_true(st.st_size <= size_of_one_round + 65536); /* begun anew each time */
    }
    assert_holds(index, "k3", text);
    lh_index_close(index);
}

/* A walk that stays open keeps its snapshot, while commits and checkpoints go on. */
LH_TEST(a_walk_is_a_snapshot)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_index *index = open_index(dir);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_walk *walk;
    struct lh_index_row row;
    lh_str key;
    begin(index);
    put_in(index, "a", "one", 1);
    put_in(index, "b", "two", 2);
    commit(index);
    assert_int_equal(lh_index_walk_begin(index, LH_BUCKET_LAKE, &walk, &err), LH_OK);
    assert_int_equal(lh_index_walk_next(walk, &key, &row, &err), LH_OK);
    assert_null(key.ptr); /* no seek yet */
    assert_int_equal(lh_index_walk_seek(walk, LH_STR(""), &err), LH_OK);
    assert_int_equal(lh_index_walk_next(walk, &key, &row, &err), LH_OK);
    assert_true(lh_str_is(key, "a"));
    for (uint64_t i = 0; i < 50; i++) {
        begin(index);
        put_in(index, "b", "three", 10 + i);
        put_in(index, i % 2 ? "c" : "aa", "four", 100 + i);
        commit(index);
        assert_int_equal(lh_index_checkpoint(index, false, &err), LH_OK);
        assert_int_equal(lh_index_checkpoint(index, true, &err), LH_OK);
    }
    assert_int_equal(lh_index_walk_next(walk, &key, &row, &err), LH_OK);
    assert_true(lh_str_is(key, "b"));
    assert_int_equal(row.info.size, 3);
    assert_int_equal(lh_index_walk_next(walk, &key, &row, &err), LH_OK);
    assert_null(key.ptr);
    lh_index_walk_end(walk);
    assert_holds(index, "b", "three");
    lh_index_close(index);
}

/* ---- seals ---- */

enum { SEALED_KEYS = 300 };

/* Reads all rows and payloads; how many could not be had, or are not what was put. */
static unsigned broken_rows(struct lh_index *index)
{
    unsigned broken = 0;
    for (int i = 0; i < SEALED_KEYS; i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_index_object object;
        char key[16];
        snprintf(key, sizeof(key), "key/%d", i);
        if (lh_index_get(index, LH_BUCKET_LAKE, lh_str_from(key), &object, &err) != LH_OK) {
            broken++;
            continue;
        }
        uint64_t sum = lh_xxh3(object.payload, object.row.info.size);
        broken += sum != object.sums[0] || strncmp(object.payload, key, strlen(key)) != 0;
        lh_index_object_deinit(&object);
    }
    return broken;
}

static unsigned damaged_pages(struct lh_index *index)
{
    struct lh_index_disk_stats stats;
    lh_index_disk_stats(index, &stats);
    return stats.damaged_pages;
}

/* Rounds of puts, replacements and deletes, so that pages are split, freed and used again. */
static void fill(struct lh_index *index)
{
    char text[3000];
    uint64_t body = 1;
    for (int round = 0; round < 4; round++) {
        begin(index);
        for (int i = 0; i < SEALED_KEYS; i++, body++) {
            struct lh_error err = LH_ERROR_INIT;
            struct lh_index_row old;
            bool found = false;
            char key[16];
            snprintf(key, sizeof(key), "key/%d", i);
            size_t len = (size_t)(100 + (i * 37 + round * 911) % 2800);
            memset(text, 'x', len);
            text[len] = '\0';
            memcpy(text, key, strlen(key));
            lh_str name = lh_str_from(key);
            assert_int_equal(lh_index_find(index, LH_BUCKET_LAKE, name, &old, &found, &err), LH_OK);
            if (found && i % 3 == round)
                assert_int_equal(lh_index_remove(index, LH_BUCKET_LAKE, name, &old, &err), LH_OK);
            put_in(index, key, text, body);
        }
        commit(index);
    }
}

/* Each page gets a flipped bit in turn. What is read is right or refused, and the page is named. */
LH_TEST(a_damaged_page_is_named)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_index *index = open_index(dir);
    fill(index);
    lh_index_close(index);
    index = open_index(dir);
    assert_int_equal(broken_rows(index), 0);
    assert_int_equal(damaged_pages(index), 0);
    lh_index_close(index);

    LH_AUTO_FREE char *path = lh_path_in(dir, "index.db");
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *good = NULL;
    size_t size;
    assert_int_equal(lh_read_file(path, 64 << 20, &good, &size, &err), LH_OK);
    struct lh_random random = lh_random_start();
    unsigned named = 0;
    unsigned flips = 0;
    for (size_t page = 1; page < size / 4096; page += 3, flips++) {
        size_t at = page * 4096 + lh_random_below(&random, 4096);
        good[at] ^= 1;
        assert_int_equal(lh_write_file_durable(path, good, size, 0600, &err), LH_OK);
        good[at] ^= 1;
        if (lh_index_open(dir, true, &index, &err) != LH_OK)
            continue; /* it says so at once */
        unsigned broken = broken_rows(index);
        unsigned damaged = damaged_pages(index);
        assert_true(broken == 0 || damaged > 0);
        named += damaged > 0;
        lh_index_close(index);
    }
    assert_true(flips > 50);
    assert_true(named > flips / 3); /* the others are free pages, which nobody reads */
}

/* ---- readers, the writer and checkpoints at the same time ---- */

enum {
    READERS = 20,
    WALKS_EACH = 30,
    PAIRS = 50,
    COMMITS = 300
}; /* more readers than connections */

struct crowd {
    struct lh_index *index;
    atomic_int broken;
    atomic_bool stop;
};

/* Both keys of a pair are always changed in one transaction, so every snapshot has them alike. */
static void *reader_main(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < WALKS_EACH; i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_index_walk *walk;
        struct lh_index_row left, right;
        lh_str key;
        if (lh_index_walk_begin(crowd->index, LH_BUCKET_LAKE, &walk, &err) != LH_OK) {
            atomic_fetch_add(&crowd->broken, 1);
            continue;
        }
        bool good = lh_index_walk_seek(walk, LH_STR(""), &err) == LH_OK;
        for (int pair = 0; good && pair < PAIRS; pair++) {
            good = lh_index_walk_next(walk, &key, &left, &err) == LH_OK &&
                   lh_index_walk_next(walk, &key, &right, &err) == LH_OK && key.ptr &&
                   left.info.size == right.info.size && !left.damaged && !right.damaged;
        }
        lh_index_walk_end(walk);
        if (!good)
            atomic_fetch_add(&crowd->broken, 1);
    }
    return NULL;
}

static void *checkpointer_main(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->stop)) {
        struct lh_error err = LH_ERROR_INIT;
        if (lh_index_checkpoint(crowd->index, false, &err) != LH_OK)
            atomic_fetch_add(&crowd->broken, 1);
        lh_sleep_ms(1);
    }
    return NULL;
}

static void put_pair(struct lh_index *index, int pair, size_t len, uint64_t body)
{
    char key[16];
    char text[64];
    memset(text, 'x', len);
    text[len] = '\0';
    snprintf(key, sizeof(key), "%02d/left", pair);
    put_in(index, key, text, body);
    snprintf(key, sizeof(key), "%02d/right", pair);
    put_in(index, key, text, body + 1);
}

LH_TEST(a_crowd)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct crowd crowd = {.index = open_index(dir)};
    struct lh_error err = LH_ERROR_INIT;
    pthread_t readers[READERS];
    pthread_t checkpointer;
    uint64_t body = 1;
    begin(crowd.index);
    for (int pair = 0; pair < PAIRS; pair++, body += 2)
        put_pair(crowd.index, pair, 1, body);
    commit(crowd.index);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(lh_thread_start(&readers[i], "reader", reader_main, &crowd, &err), LH_OK);
    assert_int_equal(lh_thread_start(&checkpointer, "keeper", checkpointer_main, &crowd, &err),
                     LH_OK);
    for (int i = 0; i < COMMITS; i++, body += 2) {
        begin(crowd.index);
        put_pair(crowd.index, i % PAIRS, 1 + (size_t)i % 60, body);
        if (i % 7 == 0)
            lh_index_rollback(crowd.index);
        else
            commit(crowd.index);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    atomic_store(&crowd.stop, true);
    pthread_join(checkpointer, NULL);
    assert_int_equal(crowd.broken, 0);
    assert_int_equal(row_count(crowd.index), 2 * PAIRS);
    lh_index_close(crowd.index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_commits_and_nothing_else),
        cmocka_unit_test(a_replaced_body_is_gone),
        cmocka_unit_test(every_run_has_an_epoch_of_its_own),
        cmocka_unit_test(checkpoints_bring_the_log_home),
        cmocka_unit_test(a_walk_is_a_snapshot),
        cmocka_unit_test(a_damaged_page_is_named),
        cmocka_unit_test(a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
