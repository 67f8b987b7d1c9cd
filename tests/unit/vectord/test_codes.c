/* Codes: the scale, and graphs that are built and searched by them. */
#include "vectord/codes.h"

#include "sample.h"
#include "support/cmocka.h"
#include "vectord/hnsw_private.h"

enum { DIM = 40, COUNT = 8000, QUERIES = 200 };

struct fixture {
    struct lh_random random;
    float *vectors;
    struct lh_hnsw graph;
};

/* Rows padded as in a graph. */
static bool calibrate(const float *vectors, size_t count, bool must, struct lh_code_scale *scale)
{
    size_t floats = lh_row_floats(DIM);
    float *rows = NULL;
    LH_CHECK(posix_memalign((void **)&rows, LH_ROW_ALIGN, count * floats * sizeof(float)) == 0);
    memset(rows, 0, count * floats * sizeof(float));
    LH_AUTO_FREE const float **pointers = lh_calloc(count, sizeof(*pointers));
    for (size_t i = 0; i < count; i++) {
        memcpy(rows + i * floats, vectors + i * DIM, DIM * sizeof(float));
        pointers[i] = rows + i * floats;
    }
    bool good = lh_codes_calibrate(pointers, count, DIM, must, scale);
    free(rows);
    return good;
}

static void add_all(struct lh_hnsw *graph, const float *vectors, size_t count, unsigned threads)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_builder *builder = lh_builder_new(threads);
    const float *rows[LH_HNSW_LINK_MAX];
    assert_int_equal(lh_hnsw_reserve(graph, (uint32_t)count, &err), LH_OK);
    for (size_t done = 0; done < count;) {
        size_t some = count - done < LH_HNSW_LINK_MAX ? count - done : LH_HNSW_LINK_MAX;
        for (size_t i = 0; i < some; i++)
            rows[i] = vectors + (done + i) * DIM;
        lh_hnsw_link(graph, rows, (uint32_t)some, builder);
        lh_hnsw_publish(graph, (uint32_t)some);
        done += some;
    }
    lh_builder_free(builder);
    if (lh_hnsw_check(graph, &err) != LH_OK)
        fail_msg("%s", err.message);
}

/* A graph whose walks go by codes from the first vector on. */
static void open_graph(struct fixture *f, enum lh_metric metric, const struct lh_code_scale *scale,
                       const struct lh_isa *isa, unsigned threads)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_hnsw_options options = {.dim_count = DIM,
                                            .metric = metric,
                                            .m = 16,
                                            .ef_construction = 100,
                                            .seed = 7,
                                            .slots_max = COUNT};
    assert_int_equal(lh_hnsw_init(&f->graph, &options, &err), LH_OK);
    f->graph.isa = isa;
    if (scale != NULL)
        assert_int_equal(lh_codes_new(scale, DIM, COUNT, &f->graph.codes, &err), LH_OK);
    add_all(&f->graph, f->vectors, COUNT, threads);
}

static void fixture_open(struct fixture *f, enum lh_metric metric)
{
    *f = (struct fixture){.random = lh_random_start()};
    f->vectors = sample_vectors(&f->random, COUNT + QUERIES, DIM);
    for (size_t i = 0; i < COUNT + QUERIES; i++)
        assert_null(lh_vector_prepare(f->vectors + i * DIM, DIM, metric));
}

static double recall(const struct fixture *f, size_t ef)
{
    return sample_recall(&f->graph, f->vectors + COUNT * DIM, QUERIES, 10, ef);
}

LH_TEST(encoding_rounds_clamps_and_pads)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_code_scale scale = {.low = -1, .step = 0.5F, .level_max = 4};
    struct lh_codes *codes = NULL;
    assert_int_equal(lh_codes_new(&scale, 6, 10, &codes, &err), LH_OK);
    const float vector[6] = {-1, -0.8F, -0.7F, 1, 7, -7};
    unsigned char row[64];
    memset(row, 0xee, sizeof(row));
    assert_int_equal(lh_codes_encode(codes, vector, row), 2);
    const unsigned char expected[64] = {0, 0, 1, 4, 4, 0};
    assert_memory_equal(row, expected, sizeof(row));
    lh_codes_unref(codes);
}

LH_TEST(a_scale_is_found_and_says_how_good_it_is)
{
    struct fixture f;
    struct lh_code_scale scale;
    fixture_open(&f, LH_METRIC_L2);
    assert_true(calibrate(f.vectors, COUNT, false, &scale));
    print_message("levels %u, clipped %g, score %.4f\n", scale.level_max, scale.clipped,
                  scale.score);
    assert_true(scale.score >= LH_CODE_SCORE_MIN);
    free(f.vectors);
}

/* One component a thousand times as large as all that tells vectors apart: no scale serves both,
 * and walks stay with floats, unless codes are ordered. */
LH_TEST(where_no_scale_is_good_enough_there_are_no_codes)
{
    struct fixture f;
    struct lh_code_scale scale;
    fixture_open(&f, LH_METRIC_L2);
    for (size_t i = 0; i < COUNT; i++)
        f.vectors[i * DIM + 3] = (float)(i % 7) * 10000;
    assert_false(calibrate(f.vectors, COUNT, false, &scale));
    assert_true(calibrate(f.vectors, COUNT, true, &scale));
    assert_true(scale.score < LH_CODE_SCORE_MIN);
    free(f.vectors);
}

/* The floors: measured, minus a margin. Codes cost at most half a percent. */
static void recall_is_kept(enum lh_metric metric, uint32_t level_max, double floor)
{
    struct fixture f;
    struct lh_code_scale scale;
    fixture_open(&f, metric);
    open_graph(&f, metric, NULL, lh_isa_used(), 1);
    double floats = recall(&f, 48);
    lh_hnsw_deinit(&f.graph);
    assert_true(calibrate(f.vectors, COUNT, true, &scale));
    scale.step *= (float)scale.level_max / (float)level_max;
    scale.level_max = level_max;
    open_graph(&f, metric, &scale, lh_isa_used(), 1);
    double codes = recall(&f, 48);
    print_message("%s, %u levels: recall@10 at ef 48: floats %.4f, codes %.4f\n",
                  lh_metric_name(metric), level_max, floats, codes);
    assert_true(codes >= floor && codes >= floats - 0.005);
    lh_hnsw_deinit(&f.graph);
    free(f.vectors);
}

LH_TEST(recall_l2_255)
{
    recall_is_kept(LH_METRIC_L2, 255, 0.98);
}

LH_TEST(recall_l2_127)
{
    recall_is_kept(LH_METRIC_L2, 127, 0.98);
}

LH_TEST(recall_cosine_255)
{
    recall_is_kept(LH_METRIC_COSINE, 255, 0.98);
}

LH_TEST(recall_cosine_127)
{
    recall_is_kept(LH_METRIC_COSINE, 127, 0.98);
}

/* Codes are whole numbers: a graph built by them is the same on every instruction set, and for any
 * number of threads. */
LH_TEST(the_same_graph_everywhere)
{
    struct fixture f;
    struct lh_code_scale scale;
    fixture_open(&f, LH_METRIC_COSINE);
    assert_true(calibrate(f.vectors, COUNT, true, &scale));
    open_graph(&f, LH_METRIC_COSINE, &scale, &lh_isa_scalar, 1);
    struct lh_hnsw reference = f.graph;
    const struct lh_isa *isa;
    for (size_t at = 0; (isa = lh_isa_at(at)) != NULL; at++) {
        open_graph(&f, LH_METRIC_COSINE, &scale, isa, 1 + (unsigned)at);
        print_message("%s\n", isa->name);
        assert_memory_equal(reference.links0.base, f.graph.links0.base,
                            (size_t)COUNT * 32 * sizeof(int32_t));
        assert_memory_equal(reference.upper.base, f.graph.upper.base,
                            (size_t)reference.block_count * 16 * sizeof(int32_t));
        assert_int_equal(reference.entry, f.graph.entry);
        lh_hnsw_deinit(&f.graph);
    }
    lh_hnsw_deinit(&reference);
    free(f.vectors);
}

LH_TEST(refining_more_finds_no_less)
{
    struct fixture f;
    struct lh_code_scale scale;
    struct lh_hnsw_scratch scratch = {0};
    struct lh_hnsw_hit hits[10];
    fixture_open(&f, LH_METRIC_L2);
    assert_true(calibrate(f.vectors, COUNT, true, &scale));
    scale.step *= 16; /* too coarse */
    scale.level_max = 15;
    open_graph(&f, LH_METRIC_L2, &scale, lh_isa_used(), 1);
    double last = 0;
    for (double refine = 1; refine <= 8; refine *= 2) {
        double sum = 0;
        for (size_t i = 0; i < QUERIES; i++) {
            const struct lh_hnsw_query query = {
                .vector = f.vectors + (COUNT + i) * DIM, .k = 10, .ef = 100, .refine = refine};
            assert_int_equal(lh_hnsw_search(&f.graph, &query, &scratch, hits).count, 10);
            for (size_t j = 0; j < 10; j++)
                sum -= (double)hits[j].order;
        }
        assert_true(refine == 1 || sum >= last);
        last = sum;
    }
    lh_hnsw_scratch_deinit(&scratch);
    lh_hnsw_deinit(&f.graph);
    free(f.vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_rounds_clamps_and_pads),
        cmocka_unit_test(a_scale_is_found_and_says_how_good_it_is),
        cmocka_unit_test(where_no_scale_is_good_enough_there_are_no_codes),
        cmocka_unit_test(recall_l2_255),
        cmocka_unit_test(recall_l2_127),
        cmocka_unit_test(recall_cosine_255),
        cmocka_unit_test(recall_cosine_127),
        cmocka_unit_test(the_same_graph_everywhere),
        cmocka_unit_test(refining_more_finds_no_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
