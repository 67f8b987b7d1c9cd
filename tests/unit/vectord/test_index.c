#include "vectord/index.h"

#include <string.h>

#include "base/check.h"
#include "sample.h"
#include "support/cmocka.h"
#include "vectord/batch.h"

enum { DIM = 8, MODEL_IDS = 400 };

static struct lh_vindex *make_index(enum lh_metric metric, struct lh_budget *budget)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_vindex_config config = {.name = "docs",
                                            .dimension = DIM,
                                            .metric = metric,
                                            .m = 8,
                                            .ef_construction = 40,
                                            .seed = 42,
                                            .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab"};
    struct lh_vindex *index = NULL;
    assert_int_equal(lh_vindex_new(&config, budget, 64 << 20, &index, &err), LH_OK);
    return index;
}

static bool put(struct lh_vindex *index, const char *id, const float *vector, const char *metadata,
                struct lh_builder *builder)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_vindex_need need = {1, strlen(id), strlen(metadata)};
    assert_int_equal(lh_vindex_reserve(index, &need, &err), LH_OK);
    return lh_vindex_upsert(index, lh_str_from(id), vector, lh_str_from(metadata), builder);
}

static void check(const struct lh_vindex *index)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_vindex_check(index, &err) != LH_OK)
        fail_msg("%s", err.message);
}

/* Random operations beside a model that is an array: what is there, and what vector it has. */
LH_TEST(it_behaves_like_its_model)
{
    struct lh_random random = lh_random_start();
    struct lh_vindex *index = make_index(LH_METRIC_L2, NULL);
    struct lh_builder *builder = lh_builder_new(1);
    LH_AUTO_FREE float *vectors = sample_vectors(&random, 4000, DIM);
    int model[MODEL_IDS]; /* number of the vector, -1 = absent */
    memset(model, 0xff, sizeof(model));
    for (int step = 0; step < 4000; step++) {
        char id[16], metadata[32];
        size_t item = lh_random_below(&random, MODEL_IDS);
        snprintf(id, sizeof(id), "%zu", item);
        snprintf(metadata, sizeof(metadata), "{\"step\":%d}", step);
        if (lh_random_below(&random, 3) == 0) {
            assert_int_equal(lh_vindex_delete(index, lh_str_from(id)), model[item] >= 0);
            model[item] = -1;
        } else {
            bool updated = put(index, id, vectors + step * DIM, metadata, builder);
            assert_int_equal(updated, model[item] >= 0);
            model[item] = step;
        }
        if (step % 100 == 0)
            check(index);
    }
    check(index);
    uint32_t live = 0;
    for (size_t item = 0; item < MODEL_IDS; item++) {
        char id[16], metadata[32];
        snprintf(id, sizeof(id), "%zu", item);
        snprintf(metadata, sizeof(metadata), "{\"step\":%d}", model[item]);
        int32_t slot = lh_vindex_find(index, lh_str_from(id));
        assert_int_equal(slot >= 0, model[item] >= 0);
        if (slot < 0)
            continue;
        live++;
        assert_memory_equal(lh_hnsw_vector(&index->graph, (uint32_t)slot),
                            vectors + model[item] * DIM, DIM * sizeof(float));
        assert_true(lh_str_is(lh_vindex_metadata(index, (uint32_t)slot), metadata));
    }
    assert_int_equal(live, lh_vindex_live(index));
    lh_builder_free(builder);
    lh_vindex_unref(index);
}

/* coder/hnsw went wrong on each of these. */
LH_TEST(the_last_item_deleted_and_added_again)
{
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, NULL);
    struct lh_hnsw_scratch scratch = {0};
    struct lh_builder *builder = lh_builder_new(1);
    const float vector[DIM] = {1};
    for (int round = 0; round < 5; round++) {
        assert_false(put(index, "only", vector, "", builder));
        assert_true(put(index, "only", vector, "", builder));
        check(index);
        assert_true(lh_vindex_delete(index, LH_STR("only")));
        assert_false(lh_vindex_delete(index, LH_STR("only")));
        check(index);
        struct lh_hnsw_hit hit;
        const struct lh_hnsw_query query = {.vector = vector, .k = 1, .ef = 1};
        assert_int_equal(lh_hnsw_search(&index->graph, &query, &scratch, &hit).count, 0);
    }
    lh_hnsw_scratch_deinit(&scratch);
    lh_builder_free(builder);
    lh_vindex_unref(index);
}

LH_TEST(memory_is_taken_from_the_budget_and_given_back)
{
    struct lh_budget budget = {.bytes_max = 100000};
    struct lh_vindex *index = make_index(LH_METRIC_L2, &budget);
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_vindex_need small = {10, 100, 1000};
    assert_int_equal(lh_vindex_reserve(index, &small, &err), LH_OK);
    uint64_t used = budget.used_bytes;
    assert_in_range(used, 1, 100000);
    assert_int_equal(lh_vindex_reserve(index, &small, &err), LH_OK);
    assert_int_equal(budget.used_bytes, used);
    const struct lh_vindex_need large = {10, 100, 100000};
    assert_int_equal(lh_vindex_reserve(index, &large, &err), LH_INDEX_MEMORY);
    assert_int_equal(budget.used_bytes, used);
    check(index);
    lh_vindex_unref(index);
    assert_int_equal(budget.used_bytes, 0);
}

LH_TEST(vectors_are_checked_and_scaled)
{
    float unit[2] = {0.6F, 0.8F};
    assert_null(lh_vector_prepare(unit, 2, LH_METRIC_COSINE));
    assert_true(unit[0] == 0.6F && unit[1] == 0.8F); /* bit by bit */
    float longer[2] = {3, 4};
    assert_null(lh_vector_prepare(longer, 2, LH_METRIC_COSINE));
    assert_true(longer[0] == 0.6F && longer[1] == 0.8F);
    float tiny[2] = {1e-45F, 0};
    assert_null(lh_vector_prepare(tiny, 2, LH_METRIC_COSINE));
    assert_true(tiny[0] == 1);
    float huge[2] = {3e38F, 3e38F};
    assert_non_null(lh_vector_prepare(huge, 2, LH_METRIC_L2));
    assert_non_null(lh_vector_prepare(huge, 2, LH_METRIC_IP));
    assert_null(lh_vector_prepare(huge, 2, LH_METRIC_COSINE));
    float zero[2] = {0, -0.0F};
    assert_non_null(lh_vector_prepare(zero, 2, LH_METRIC_COSINE));
    assert_null(lh_vector_prepare(zero, 2, LH_METRIC_L2));
    float infinite[2] = {INFINITY, 0};
    float nan[2] = {NAN, 0};
    for (enum lh_metric metric = LH_METRIC_COSINE; metric <= LH_METRIC_IP; metric++) {
        assert_non_null(lh_vector_prepare(infinite, 2, metric));
        assert_non_null(lh_vector_prepare(nan, 2, metric));
    }
}

LH_TEST(a_vector_finds_itself_at_distance_zero)
{
    struct lh_random random = lh_random_start();
    struct lh_hnsw_scratch scratch = {0};
    struct lh_builder *builder = lh_builder_new(1);
    LH_AUTO_FREE float *vectors = sample_vectors(&random, 500, DIM);
    for (enum lh_metric metric = LH_METRIC_COSINE; metric <= LH_METRIC_L2; metric++) {
        struct lh_vindex *index = make_index(metric, NULL);
        for (size_t i = 0; i < 500; i++) {
            char id[16];
            snprintf(id, sizeof(id), "%zu", i);
            assert_null(lh_vector_prepare(vectors + i * DIM, DIM, metric));
            put(index, id, vectors + i * DIM, "", builder);
        }
        for (size_t i = 0; i < 500; i++) {
            struct lh_hnsw_hit hit;
            const struct lh_hnsw_query query = {.vector = vectors + i * DIM, .k = 1, .ef = 64};
            lh_hnsw_search(&index->graph, &query, &scratch, &hit);
            assert_true(lh_hnsw_distance(metric, hit.order) == 0);
        }
        lh_vindex_unref(index);
    }
    lh_hnsw_scratch_deinit(&scratch);
    lh_builder_free(builder);
}

LH_TEST(an_id_twice_in_a_batch_is_named)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(1 << 20);
    for (int i = 0; i < 1000; i++) {
        char *id = lh_arena_printf(&batch.arena, "id-%d", i);
        lh_batch_add(&batch, &(struct lh_change){.kind = LH_CHANGE_DELETE, .id = lh_str_from(id)});
    }
    assert_int_equal(lh_batch_check_unique(&batch, &err), LH_OK);
    lh_batch_add(&batch, &(struct lh_change){.kind = LH_CHANGE_DELETE, .id = LH_STR("id-7")});
    assert_int_equal(lh_batch_check_unique(&batch, &err), LH_INVALID_VECTOR);
    assert_string_equal(err.message, "item 1000 (id 'id-7') has the same id as item 7");
}

/* ---- searches beside changes ---- */

enum { READERS = 2, BATCHES = 24, BATCH = 300, ITEMS = 5000 };

struct traffic {
    struct lh_vindex *index;
    pthread_rwlock_t lock;
    const float *vectors;
    atomic_bool over;
    atomic_uint_fast64_t searches;
};

/* Hits are live, in order, and as many as there can be. */
static void *search_on(void *ctx)
{
    struct traffic *traffic = ctx;
    struct lh_hnsw_scratch scratch = {0};
    struct lh_hnsw_hit hits[10];
    for (size_t i = 0; !atomic_load(&traffic->over); i++) {
        const struct lh_hnsw_query query = {
            .vector = traffic->vectors + i % ITEMS * DIM, .k = 10, .ef = 40};
        LH_CHECK(pthread_rwlock_rdlock(&traffic->lock) == 0);
        const struct lh_hnsw *graph = &traffic->index->graph;
        size_t live = lh_vindex_live(traffic->index);
        size_t found = lh_hnsw_search(graph, &query, &scratch, hits).count;
        LH_CHECK(found == (live < 10 ? live : 10));
        for (size_t j = 0; j < found; j++) {
            lh_str id = lh_vindex_id(traffic->index, (uint32_t)hits[j].slot);
            LH_CHECK(lh_vindex_find(traffic->index, id) == hits[j].slot);
            LH_CHECK(j == 0 || hits[j - 1].order <= hits[j].order);
        }
        LH_CHECK(pthread_rwlock_unlock(&traffic->lock) == 0);
        atomic_fetch_add(&traffic->searches, 1);
    }
    lh_hnsw_scratch_deinit(&scratch);
    return NULL;
}

static void change(struct traffic *traffic, struct lh_random *random, struct lh_builder *builder)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_change changes[BATCH];
    char ids[BATCH][16];
    struct lh_vindex_need need = {.items = BATCH, .id_bytes = sizeof(ids)};
    struct lh_applied applied = {0};
    for (size_t i = 0; i < BATCH; i++) {
        size_t item = lh_random_below(random, ITEMS);
        snprintf(ids[i], sizeof(ids[i]), "%zu", item);
        changes[i] = (struct lh_change){.kind = lh_random_below(random, 8) == 0 ? LH_CHANGE_DELETE
                                                                                : LH_CHANGE_UPSERT,
                                        .id = lh_str_from(ids[i]),
                                        .vector = traffic->vectors + item * DIM};
    }
    assert_int_equal(lh_vindex_reserve(traffic->index, &need, &err), LH_OK);
    lh_vindex_apply(traffic->index, changes, BATCH, builder, &traffic->lock, &applied);
}

LH_TEST(searches_go_on_beside_changes)
{
    struct lh_random random = lh_random_start();
    struct lh_error err = LH_ERROR_INIT;
    struct lh_builder *builder = lh_builder_new(2);
    LH_AUTO_FREE float *vectors = sample_vectors(&random, ITEMS, DIM);
    struct traffic traffic = {.index = make_index(LH_METRIC_L2, NULL), .vectors = vectors};
    for (size_t i = 0; i < ITEMS; i++)
        assert_null(lh_vector_prepare(vectors + i * DIM, DIM, traffic.index->config.metric));
    /* As in collection.c: readers who never rest must not keep the writer out. */
    pthread_rwlockattr_t attributes;
    assert_int_equal(pthread_rwlockattr_init(&attributes), 0);
    assert_int_equal(
        pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP),
        0);
    assert_int_equal(pthread_rwlock_init(&traffic.lock, &attributes), 0);
    pthread_rwlockattr_destroy(&attributes);
    pthread_t readers[READERS];
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, search_on, &traffic), 0);
    for (int batch = 0; batch < BATCHES; batch++)
        change(&traffic, &random, builder);
    atomic_store(&traffic.over, true);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    print_message("%llu searches\n", (unsigned long long)atomic_load(&traffic.searches));
    if (lh_vindex_check(traffic.index, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_non_null(traffic.index->graph.codes);
    pthread_rwlock_destroy(&traffic.lock);
    lh_vindex_unref(traffic.index);
    lh_builder_free(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_behaves_like_its_model),
        cmocka_unit_test(the_last_item_deleted_and_added_again),
        cmocka_unit_test(memory_is_taken_from_the_budget_and_given_back),
        cmocka_unit_test(vectors_are_checked_and_scaled),
        cmocka_unit_test(a_vector_finds_itself_at_distance_zero),
        cmocka_unit_test(an_id_twice_in_a_batch_is_named),
        cmocka_unit_test(searches_go_on_beside_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
