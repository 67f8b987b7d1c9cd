#include "vectord/hnsw.h"

#include "base/clock.h"
#include "sample.h"
#include "support/cmocka.h"
#include "vectord/hnsw_private.h"

enum { DIM = 24, COUNT = 6000, QUERIES = 100 };

struct fixture {
    struct lh_random random;
    struct lh_hnsw graph;
    struct lh_hnsw_scratch scratch;
    struct lh_builder *builder;
};

static void fixture_open(struct fixture *f, enum lh_metric metric, uint32_t m, uint32_t dim_count)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_hnsw_options options = {.dim_count = dim_count,
                                      .metric = metric,
                                      .m = m,
                                      .ef_construction = 100,
                                      .seed = 7,
                                      .slots_max = 100000};
    *f = (struct fixture){.random = lh_random_start(), .builder = lh_builder_new(1)};
    assert_int_equal(lh_hnsw_init(&f->graph, &options, &err), LH_OK);
}

static void fixture_close(struct fixture *f)
{
    lh_hnsw_deinit(&f->graph);
    lh_builder_free(f->builder);
    lh_hnsw_scratch_deinit(&f->scratch);
}

static void check(struct fixture *f)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_hnsw_check(&f->graph, &err) != LH_OK)
        fail_msg("%s", err.message);
}

static void add_all(struct fixture *f, float *vectors, size_t count)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_hnsw_reserve(&f->graph, (uint32_t)count, &err), LH_OK);
    for (size_t i = 0; i < count; i++) {
        float *vector = vectors + i * f->graph.options.dim_count;
        assert_null(lh_vector_prepare(vector, f->graph.options.dim_count, f->graph.options.metric));
        lh_hnsw_add(&f->graph, vector, f->builder);
    }
}

static void prepare_all(struct fixture *f, float *vectors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_null(lh_vector_prepare(vectors + i * f->graph.options.dim_count,
                                      f->graph.options.dim_count, f->graph.options.metric));
}

static size_t search(struct fixture *f, const float *vector, size_t k, size_t ef,
                     struct lh_hnsw_hit *hits)
{
    const struct lh_hnsw_query query = {.vector = vector, .k = k, .ef = ef};
    return lh_hnsw_search(&f->graph, &query, &f->scratch, hits).count;
}

LH_TEST(an_empty_graph_and_a_single_node)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 16, 3);
    struct lh_hnsw_hit hits[4];
    float vector[3] = {1, 2, 3};
    assert_int_equal(search(&f, vector, 4, 10, hits), 0);
    check(&f);
    add_all(&f, vector, 1);
    check(&f);
    assert_int_equal(search(&f, vector, 4, 10, hits), 1);
    assert_int_equal(hits[0].slot, 0);
    assert_true(hits[0].order == 0);
    fixture_close(&f);
}

/* The floors: measured (0.99 and more), minus a margin; the same seed gives the same graph. */
static void recall_is_above(enum lh_metric metric, double floor)
{
    struct fixture f;
    fixture_open(&f, metric, 16, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, COUNT + QUERIES, DIM);
    float *queries = vectors + COUNT * DIM;
    prepare_all(&f, queries, QUERIES);
    add_all(&f, vectors, COUNT);
    check(&f);
    double recall = sample_recall(&f.graph, queries, QUERIES, 10, 64);
    print_message("%s: recall@10 at ef 64: %.4f\n", lh_metric_name(metric), recall);
    assert_true(recall >= floor);
    assert_true(sample_recall(&f.graph, queries, QUERIES, 10, 400) >= recall);
    fixture_close(&f);
}

LH_TEST(recall_cosine)
{
    recall_is_above(LH_METRIC_COSINE, 0.98);
}

LH_TEST(recall_l2)
{
    recall_is_above(LH_METRIC_L2, 0.98);
}

LH_TEST(recall_ip)
{
    recall_is_above(LH_METRIC_IP, 0.95);
}

/* Dead nodes are never returned, cost no recall, and k hits come back as long as there are k. */
LH_TEST(deleting_keeps_recall_and_reach)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 16, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, COUNT + QUERIES, DIM);
    float *queries = vectors + COUNT * DIM;
    add_all(&f, vectors, COUNT);
    for (uint32_t slot = 0; slot < COUNT; slot++) {
        if (lh_random_below(&f.random, 2) == 0)
            lh_hnsw_delete(&f.graph, slot);
    }
    check(&f);
    double recall = sample_recall(&f.graph, queries, QUERIES, 10, 64);
    print_message("half deleted: recall@10 at ef 64: %.4f\n", recall);
    assert_true(recall >= 0.98);
    struct lh_hnsw_hit hits[100];
    for (size_t i = 0; i < QUERIES; i++) {
        assert_int_equal(search(&f, queries + i * DIM, 100, 1, hits), 100);
        for (size_t j = 0; j < 100; j++) {
            assert_false(lh_hnsw_is_dead(&f.graph, (uint32_t)hits[j].slot));
            assert_true(j == 0 || hits[j - 1].order <= hits[j].order);
        }
    }
    fixture_close(&f);
}

/* A live island in a sea of dead nodes is found even when the walk cannot cross. */
LH_TEST(k_hits_whatever_is_dead)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 8, 2);
    LH_AUTO_FREE float *vectors = lh_calloc(8000 * 2, sizeof(float));
    for (size_t i = 0; i < 8000; i++) {
        vectors[2 * i] = (float)i;
        vectors[2 * i + 1] = (float)(lh_random_f64(&f.random));
    }
    add_all(&f, vectors, 8000);
    for (uint32_t slot = 0; slot < 5500; slot++)
        lh_hnsw_delete(&f.graph, slot);
    check(&f);
    struct lh_hnsw_hit hits[10];
    float query[2] = {0, 0};
    assert_int_equal(search(&f, query, 10, 10, hits), 10);
    for (int32_t i = 0; i < 10; i++)
        assert_int_equal(hits[i].slot, 5500 + i);
    fixture_close(&f);
}

/* Every n-th slot is allowed; or those farthest from the query. Always min(k, allowed) hits, all of
 * them allowed, and as near as an exact search finds. */
static double filtered_recall(struct fixture *f, const float *queries, const uint64_t *allowed,
                              uint32_t allowed_count)
{
    struct lh_hnsw_hit hits[10], truth[10];
    size_t right = 0, wanted = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        struct lh_hnsw_query query = {.vector = queries + i * DIM,
                                      .k = 10,
                                      .ef = 64,
                                      .allowed = allowed,
                                      .allowed_slots = COUNT,
                                      .allowed_count = allowed_count};
        size_t found = lh_hnsw_search(&f->graph, &query, &f->scratch, hits).count;
        assert_int_equal(found, allowed_count < 10 ? allowed_count : 10);
        query.exact = true;
        assert_int_equal(lh_hnsw_search(&f->graph, &query, &f->scratch, truth).count, found);
        for (size_t j = 0; j < found; j++) {
            assert_true((allowed[hits[j].slot >> 6] >> (hits[j].slot & 63)) & 1);
            right += hits[j].order <= truth[found - 1].order;
        }
        wanted += found;
    }
    return wanted == 0 ? 1 : (double)right / (double)wanted;
}

LH_TEST(filters_never_come_back_with_too_little)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 16, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, COUNT + QUERIES, DIM);
    add_all(&f, vectors, COUNT);
    static const uint32_t every[] = {1, 2, 3, 10, 100, 1000, COUNT / 3, COUNT + 1};
    for (size_t i = 0; i < LH_COUNT(every); i++) {
        uint64_t allowed[COUNT / 64 + 1] = {0};
        uint32_t allowed_count = 0;
        for (uint32_t slot = every[i] - 1; slot < COUNT; slot += every[i]) {
            allowed[slot >> 6] |= UINT64_C(1) << (slot & 63);
            allowed_count++;
        }
        double recall = filtered_recall(&f, vectors + COUNT * DIM, allowed, allowed_count);
        print_message("every %u-th: recall@10 at ef 64: %.4f\n", every[i], recall);
        assert_true(recall >= 0.95);
    }
    fixture_close(&f);
}

LH_TEST(all_deleted_then_added_again)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_COSINE, 4, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, 900, DIM);
    for (uint32_t round = 0; round < 3; round++) {
        add_all(&f, vectors + round * 300 * DIM, 300);
        check(&f);
        for (uint32_t slot = round * 300; slot < (round + 1) * 300; slot++)
            lh_hnsw_delete(&f.graph, slot);
        check(&f);
        assert_int_equal(f.graph.entry, -1);
    }
    fixture_close(&f);
}

/* The paper's heuristic alone leaves most of these unreachable. */
LH_TEST(ten_thousand_equal_vectors)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_COSINE, 16, DIM);
    float vector[DIM];
    for (size_t i = 0; i < DIM; i++)
        vector[i] = (float)i + 1;
    lh_mono start = lh_mono_now();
    for (size_t i = 0; i < 10000; i++)
        add_all(&f, vector, 1);
    print_message("10,000 equal vectors: %lld ms\n", (long long)lh_mono_since_ms(start));
    check(&f);
    struct lh_hnsw_hit hits[50];
    assert_int_equal(search(&f, vector, 50, 64, hits), 50);
    for (size_t i = 0; i < 50; i++)
        assert_true(hits[i].order == 0);
    fixture_close(&f);
}

/* Everything that one can do, in random order; the validator after each step. */
LH_TEST(random_operations_keep_every_invariant)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_IP, 4, 5);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, 1500, 5);
    size_t added = 0;
    for (int step = 0; step < 300; step++) {
        size_t count = 1 + lh_random_below(&f.random, 5);
        if (added + count <= 1500 && lh_random_below(&f.random, 100) < 60) {
            add_all(&f, vectors + added * 5, count);
            added += count;
        } else if (added > 0) {
            uint32_t slot = (uint32_t)lh_random_below(&f.random, added);
            if (!lh_hnsw_is_dead(&f.graph, slot))
                lh_hnsw_delete(&f.graph, slot);
        }
        check(&f);
    }
    fixture_close(&f);
}

LH_TEST(the_smallest_settings)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, LH_HNSW_M_MIN, 1);
    f.graph.options.ef_construction = 1;
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, 3000, 1);
    add_all(&f, vectors, 3000);
    check(&f);
    struct lh_hnsw_hit hits[100];
    assert_int_equal(search(&f, vectors, 100, 1, hits), 100);
    fixture_close(&f);
}

LH_TEST(the_same_operations_build_the_same_graph)
{
    struct fixture a, b;
    fixture_open(&a, LH_METRIC_L2, 16, DIM);
    fixture_open(&b, LH_METRIC_L2, 16, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&a.random, 2000, DIM);
    add_all(&a, vectors, 2000);
    add_all(&b, vectors, 2000);
    assert_memory_equal(a.graph.links0.base, b.graph.links0.base, 2000 * 32 * sizeof(int32_t));
    assert_memory_equal(a.graph.levels.base, b.graph.levels.base, 2000);
    assert_int_equal(a.graph.entry, b.graph.entry);
    fixture_close(&a);
    fixture_close(&b);
}

/* The validator itself: each kind of damage is seen. */
LH_TEST(the_validator_sees_damage)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 16, DIM);
    LH_AUTO_FREE float *vectors = sample_vectors(&f.random, 500, DIM);
    add_all(&f, vectors, 500);
    struct lh_error err = LH_ERROR_INIT;
    int32_t *link = lh_hnsw_links(&f.graph, 250, 0);
    const int32_t bad[] = {500, -2, 250, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        int32_t kept = link[1];
        link[1] = bad[i];
        assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
        link[1] = kept;
    }
    float *row = lh_hnsw_row(&f.graph, 3);
    row[0] = NAN;
    assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
    row[0] = 0;
    row[DIM] = 1;
    assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
    row[DIM] = 0;
    int32_t parent = lh_hnsw_parents(&f.graph)[7];
    lh_hnsw_parents(&f.graph)[7] = 8;
    assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
    lh_hnsw_parents(&f.graph)[7] = parent;
    f.graph.entry_level++;
    assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
    f.graph.entry_level--;
    f.graph.dead_count++;
    assert_int_equal(lh_hnsw_check_links(&f.graph, &err), LH_CORRUPT);
    f.graph.dead_count--;
    link[1] = link[0];
    assert_int_equal(lh_hnsw_check(&f.graph, &err), LH_CORRUPT);
    fixture_close(&f);
}

LH_TEST(no_more_slots_than_reserved)
{
    struct fixture f;
    fixture_open(&f, LH_METRIC_L2, 16, DIM);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_hnsw_reserve(&f.graph, 100001, &err), LH_INDEX_MEMORY);
    assert_int_equal(lh_hnsw_reserve(&f.graph, 100000, &err), LH_OK);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_graph_and_a_single_node),
        cmocka_unit_test(recall_cosine),
        cmocka_unit_test(recall_l2),
        cmocka_unit_test(recall_ip),
        cmocka_unit_test(deleting_keeps_recall_and_reach),
        cmocka_unit_test(k_hits_whatever_is_dead),
        cmocka_unit_test(filters_never_come_back_with_too_little),
        cmocka_unit_test(all_deleted_then_added_again),
        cmocka_unit_test(ten_thousand_equal_vectors),
        cmocka_unit_test(random_operations_keep_every_invariant),
        cmocka_unit_test(the_smallest_settings),
        cmocka_unit_test(the_same_operations_build_the_same_graph),
        cmocka_unit_test(the_validator_sees_damage),
        cmocka_unit_test(no_more_slots_than_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
