/* Copying without what is dead: recall, reach and size over many rounds of deleting. */
#include "sample.h"
#include "support/cmocka.h"
#include "vectord/hnsw_private.h"

enum { DIM = 24, COUNT = 6000, QUERIES = 200, CYCLES = 10 };

struct fixture {
    struct lh_random random;
    struct lh_builder *builder;
    struct lh_vindex *index;
    float *vectors; /* COUNT, then QUERIES */
};

static struct lh_vindex *new_index(enum lh_metric metric)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_vindex_config config = {
        .name = "docs", .dimension = DIM, .metric = metric, .m = 16, .ef_construction = 100};
    struct lh_vindex *index = NULL;
    assert_int_equal(lh_vindex_new(&config, NULL, 256 << 20, &index, &err), LH_OK);
    return index;
}

static void put(struct fixture *f, struct lh_vindex *index, size_t number)
{
    struct lh_error err = LH_ERROR_INIT;
    char id[32];
    snprintf(id, sizeof(id), "%zu", number);
    const struct lh_vindex_need need = {1, sizeof(id), 2};
    assert_int_equal(lh_vindex_reserve(index, &need, &err), LH_OK);
    lh_vindex_upsert(index, lh_str_from(id), f->vectors + number * DIM, LH_STR("{}"), f->builder);
}

static void fixture_open(struct fixture *f, enum lh_metric metric, unsigned threads)
{
    *f = (struct fixture){.random = lh_random_start(), .builder = lh_builder_new(threads)};
    f->vectors = sample_vectors(&f->random, COUNT + QUERIES, DIM);
    for (size_t i = 0; i < COUNT + QUERIES; i++)
        assert_null(lh_vector_prepare(f->vectors + i * DIM, DIM, metric));
    f->index = new_index(metric);
    for (size_t i = 0; i < COUNT; i++)
        put(f, f->index, i);
}

static void fixture_close(struct fixture *f)
{
    lh_vindex_unref(f->index);
    lh_builder_free(f->builder);
    free(f->vectors);
}

static void check(const struct lh_vindex *index)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_vindex_check(index, &err) != LH_OK)
        fail_msg("%s", err.message);
}

static void compact(struct fixture *f)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *old = f->index;
    f->index = new_index(old->config.metric);
    uint32_t live = lh_vindex_live(old);
    if (lh_vindex_compact(f->index, old, old->graph.count, lh_hnsw_dead(&old->graph),
                          old->graph.codes, f->builder, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(lh_vindex_live(f->index), live);
    assert_int_equal(f->index->graph.count, live);
    check(f->index);
    lh_vindex_unref(old);
}

static double recall(const struct fixture *f, const struct lh_vindex *index)
{
    return sample_recall(&index->graph, f->vectors + COUNT * DIM, QUERIES, 10, 32);
}

static void churn(enum lh_metric metric)
{
    struct fixture f;
    fixture_open(&f, metric, 2);
    double fresh = recall(&f, f.index);
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        LH_AUTO_FREE bool *gone = lh_calloc(COUNT, sizeof(*gone));
        for (size_t i = 0; i < COUNT; i++) {
            char id[32];
            gone[i] = lh_random_below(&f.random, 10) < 3;
            snprintf(id, sizeof(id), "%zu", i);
            assert_true(!gone[i] || lh_vindex_delete(f.index, lh_str_from(id)));
        }
        check(f.index);
        compact(&f);
        for (size_t i = 0; i < COUNT; i++) {
            if (gone[i])
                put(&f, f.index, i);
        }
        check(f.index);
        assert_int_equal(f.index->graph.count, COUNT);
    }
    double after = recall(&f, f.index);
    print_message("%s: recall@10 at ef 32: fresh %.4f, after %d rounds %.4f\n",
                  lh_metric_name(metric), fresh, CYCLES, after);
    assert_true(after >= fresh - 0.005);
    fixture_close(&f);
}

LH_TEST(recall_stays_l2)
{
    churn(LH_METRIC_L2);
}

LH_TEST(recall_stays_cosine)
{
    churn(LH_METRIC_COSINE);
}

LH_TEST(recall_stays_ip)
{
    churn(LH_METRIC_IP);
}

/* Nine of ten die, the oldest and with them the roots of the tree among them; then all. */
LH_TEST(few_and_none_are_left)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 1);
    for (size_t i = 0; i < COUNT * 9 / 10; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%zu", i);
        assert_true(lh_vindex_delete(f.index, lh_str_from(id)));
    }
    compact(&f);
    assert_true(lh_vindex_find(f.index, LH_STR("0")) < 0);
    int32_t slot = lh_vindex_find(f.index, LH_STR("5999"));
    assert_true(slot >= 0);
    assert_memory_equal(lh_hnsw_vector(&f.index->graph, (uint32_t)slot), f.vectors + 5999 * DIM,
                        DIM * sizeof(float));
    for (size_t i = COUNT * 9 / 10; i < COUNT; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%zu", i);
        assert_true(lh_vindex_delete(f.index, lh_str_from(id)));
    }
    compact(&f);
    assert_int_equal(f.index->graph.count, 0);
    for (size_t i = 0; i < 100; i++)
        put(&f, f.index, i);
    check(f.index);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_stays_l2),
        cmocka_unit_test(recall_stays_cosine),
        cmocka_unit_test(recall_stays_ip),
        cmocka_unit_test(few_and_none_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
