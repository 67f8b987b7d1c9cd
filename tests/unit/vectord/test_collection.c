/*
 * One collection, used by several threads at once: adds, deletes, searches, rebuilds and snapshots.
 * Most telling under the thread sanitizer.
 */
#include "vectord/collection.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "sample.h"
#include "support/cmocka.h"
#include "vectord/fold.h"
#include "vectord/vectord.h"

enum { DIM = 8, WRITERS = 2, READERS = 2, ROUNDS = 300, ITEMS = 20, IDS = 400 };

static const struct lh_vectord_settings settings = {.storaged_url = (char *)(uintptr_t) "",
                                                    .durability = (char *)(uintptr_t) "sync",
                                                    .memory_limit = 256 << 20,
                                                    .indexes_max = 10,
                                                    .dimension_max = 100,
                                                    .ef_default = 64,
                                                    .storage_timeout = 60000,
                                                    .async_bytes_max = 1 << 20};

struct fixture {
    struct lh_vectord *vectord;
    struct lh_collection *collection;
    float *vectors;
    atomic_int writers_left;
    atomic_size_t expected[IDS]; /* number of the vector an id has, + 1; 0 = absent */
    atomic_size_t number;
};

static bool never(const void *ctx)
{
    (void)ctx;
    return false;
}

static void fixture_open(struct fixture *f)
{
    struct lh_error err = LH_ERROR_INIT;
    memset(f, 0, sizeof(*f));
    f->vectord = lh_vectord_new(&settings, NULL);
    const struct lh_create create = {.name = LH_STR("docs"),
                                     .dimension = DIM,
                                     .metric = LH_METRIC_L2,
                                     .m = 8,
                                     .ef_construction = 40};
    bool created = false;
    assert_int_equal(lh_vectord_create(f->vectord, &create, &created, &err), LH_OK);
    assert_true(created);
    assert_int_equal(lh_vectord_find(f->vectord, LH_STR("docs"), &f->collection, &err), LH_OK);
    struct lh_random random = lh_random_start();
    f->vectors = sample_vectors(&random, (size_t)WRITERS * ROUNDS * ITEMS, DIM);
    f->writers_left = WRITERS;
}

static void fixture_close(struct fixture *f)
{
    lh_collection_unref(f->collection);
    lh_vectord_free(f->vectord);
    free(f->vectors);
}

struct writer {
    struct fixture *f;
    int number;
};

/* Puts items under ids of its own, then deletes a third of them: its answers must be exact. */
static void *run_writer(void *ctx)
{
    const struct writer *writer = ctx;
    struct fixture *f = writer->f;
    struct lh_random random = {(uint64_t)writer->number + 1};
    for (size_t round = 0; round < ROUNDS; round++) {
        LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(1 << 20);
        struct lh_write_result result = {0};
        struct lh_error err = LH_ERROR_INIT;
        size_t known = 0, gone = 0;
        size_t first = lh_random_below(&random, IDS / WRITERS - ITEMS);
        for (size_t i = 0; i < ITEMS; i++) {
            size_t item = (size_t)writer->number * (IDS / WRITERS) + first + i;
            size_t number = atomic_fetch_add(&f->number, 1);
            bool remove = lh_random_below(&random, 3) == 0;
            bool there = atomic_load(&f->expected[item]) > 0;
            known += there && !remove;
            gone += there && remove;
            const char *id = lh_arena_printf(&batch.arena, "%zu", item);
            lh_batch_add(&batch, &(struct lh_change){
                                     .kind = remove ? LH_CHANGE_DELETE : LH_CHANGE_UPSERT,
                                     .id = lh_str_from(id),
                                     .vector = remove ? NULL : f->vectors + number * DIM,
                                 });
            atomic_store(&f->expected[item], remove ? 0 : number + 1);
        }
        LH_CHECK(lh_collection_write(f->collection, &batch, &result, &err) == LH_OK);
        LH_CHECK(result.updated == known && result.deleted == gone);
    }
    atomic_fetch_sub(&f->writers_left, 1);
    return NULL;
}

static void *run_reader(void *ctx)
{
    struct fixture *f = ctx;
    struct lh_random random = {99};
    struct lh_hnsw_hit hits[10];
    while (atomic_load(&f->writers_left) > 0) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_found found;
        size_t number = lh_random_below(&random, (size_t)WRITERS * ROUNDS * ITEMS);
        const struct lh_hnsw_query query = {.vector = f->vectors + number * DIM, .k = 10, .ef = 40};
        LH_CHECK(lh_collection_search(f->collection, NULL, &query, hits, &found, &err) == LH_OK);
        for (size_t i = 0; i < found.hits.count; i++) {
            lh_str id = lh_vindex_id(found.index, (uint32_t)hits[i].slot);
            LH_CHECK(id.len >= 1 && id.len <= 3);
            LH_CHECK(i == 0 || hits[i - 1].order <= hits[i].order);
        }
        lh_vindex_unref(found.index);
        struct lh_collection_stats stats;
        lh_collection_stats(f->collection, &stats);
        LH_CHECK(stats.live <= IDS);
    }
    return NULL;
}

/* Reads back what was frozen while writers went on. */
static void check_snapshot(const struct lh_frozen *frozen)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_lhv1_limits limits = {.name = "docs", .reserve_bytes = 64 << 20};
    struct lh_lhv1_writer writer;
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&limits);
    LH_AUTO_FREE char *piece = lh_malloc(65536);
    struct lh_vindex *loaded = NULL;
    uint64_t sequence;
    size_t len = 1;
    lh_lhv1_writer_init(&writer, frozen);
    while (len > 0) {
        assert_int_equal(lh_lhv1_writer_read(&writer, piece, 65536, &len, &err), LH_OK);
        assert_int_equal(lh_lhv1_reader_feed(reader, piece, len, &err), LH_OK);
    }
    if (lh_lhv1_reader_finish(reader, &loaded, &sequence, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(lh_vindex_check(loaded, &err), LH_OK);
    lh_vindex_unref(loaded);
    lh_lhv1_reader_free(reader);
    lh_lhv1_writer_deinit(&writer);
}

static void freeze_and_check(struct fixture *f)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_frozen *frozen = NULL;
    lh_collection_begin_writing(f->collection);
    assert_int_equal(lh_frozen_new(f->collection->index, 0, &frozen, &err), LH_OK);
    lh_collection_end_writing(f->collection);
    check_snapshot(frozen);
    lh_frozen_free(frozen);
}

/* In the end exactly what the writers meant is there, with the right vectors. */
static void check_content(struct fixture *f)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_collection_check(f->collection, &err) != LH_OK)
        fail_msg("%s", err.message);
    uint32_t live = 0;
    for (size_t item = 0; item < IDS; item++) {
        char id[16];
        snprintf(id, sizeof(id), "%zu", item);
        struct lh_vindex *index = NULL;
        uint32_t slot;
        size_t expected = atomic_load(&f->expected[item]);
        lh_code code = lh_collection_find(f->collection, lh_str_from(id), &index, &slot, &err);
        assert_int_equal(code, expected > 0 ? LH_OK : LH_NOT_FOUND);
        if (code != LH_OK)
            continue;
        assert_memory_equal(lh_hnsw_vector(&index->graph, slot), f->vectors + (expected - 1) * DIM,
                            DIM * sizeof(float));
        lh_vindex_unref(index);
        live++;
    }
    struct lh_collection_stats stats;
    lh_collection_stats(f->collection, &stats);
    assert_int_equal(stats.live, live);
}

LH_TEST(writers_readers_rebuilds_and_snapshots_together)
{
    struct fixture f;
    fixture_open(&f);
    struct lh_error err = LH_ERROR_INIT;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS + READERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){&f, i};
        assert_int_equal(lh_thread_start(&threads[i], "writer", run_writer, &writers[i], &err),
                         LH_OK);
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(lh_thread_start(&threads[WRITERS + i], "reader", run_reader, &f, &err),
                         LH_OK);
    int rebuilds = 0;
    while (atomic_load(&f.writers_left) > 0) {
        assert_int_equal(lh_collection_rebuild(f.collection, never, NULL, &err), LH_OK);
        freeze_and_check(&f);
        rebuilds++;
    }
    for (int i = 0; i < WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    print_message("%d rebuilds and snapshots meanwhile\n", rebuilds);
    check_content(&f);
    assert_int_equal(lh_collection_rebuild(f.collection, never, NULL, &err), LH_OK);
    check_content(&f);
    struct lh_collection_stats stats;
    lh_collection_stats(f.collection, &stats);
    assert_int_equal(stats.dead, 0);
    fixture_close(&f);
}

LH_TEST(a_batch_without_room_fails_alone)
{
    struct lh_vectord_settings tight = settings;
    tight.memory_limit = 1 << 20;
    struct lh_vectord *vectord = lh_vectord_new(&tight, NULL);
    struct lh_error err = LH_ERROR_INIT;
    bool created;
    const struct lh_create create = {
        .name = LH_STR("a"), .dimension = 100, .m = 16, .ef_construction = 10};
    struct lh_collection *collection;
    assert_int_equal(lh_vectord_create(vectord, &create, &created, &err), LH_OK);
    assert_int_equal(lh_vectord_find(vectord, LH_STR("a"), &collection, &err), LH_OK);
    const float vector[100] = {1};
    struct lh_write_result result = {0};
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(1 << 20);
    for (int i = 0; i < 3000; i++) {
        const char *id = lh_arena_printf(&batch.arena, "%d", i);
        lh_batch_add(
            &batch,
            &(struct lh_change){.kind = LH_CHANGE_UPSERT, .id = lh_str_from(id), .vector = vector});
    }
    assert_int_equal(lh_collection_write(collection, &batch, &result, &err), LH_INDEX_MEMORY);
    batch.count = 10;
    assert_int_equal(lh_collection_write(collection, &batch, &result, &err), LH_OK);
    assert_int_equal(result.added, 10);
    assert_int_equal(lh_collection_check(collection, &err), LH_OK);
    lh_collection_unref(collection);
    assert_int_equal(lh_vectord_drop(vectord, LH_STR("a"), &err), LH_OK);
    assert_int_equal(lh_vectord_find(vectord, LH_STR("a"), &collection, &err), LH_NOT_FOUND);
    assert_int_equal(lh_vectord_commons(vectord)->budget.used_bytes, 0);
    lh_vectord_free(vectord);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_readers_rebuilds_and_snapshots_together),
        cmocka_unit_test(a_batch_without_room_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
