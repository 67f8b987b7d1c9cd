/*
 * Our graph in-process: seconds to build, recall@10 and queries a second by ef, on one thread.
 *
 *   bench/recall BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS]      one JSON object a line
 *
 * Files hold rows of little-endian floats without a header. Recall counts equal distances. Queries
 * come one by one, after one pass that warms up; the best of three passes counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "vectord/index.h"

enum { K = 10, PASSES = 3, M = 16, EF_CONSTRUCTION = 200 };

static float *read_rows(const char *path, size_t dimension, size_t *ret_count)
{
    struct lh_error err = LH_ERROR_INIT;
    char *bytes = NULL;
    size_t len = 0;
    if (lh_read_file(path, (size_t)64 << 30, &bytes, &len, &err) != LH_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    *ret_count = len / (dimension * sizeof(float));
    return (float *)(void *)bytes;
}

static void prepare(float *rows, size_t count, size_t dimension, enum lh_metric metric)
{
    for (size_t i = 0; i < count; i++)
        LH_CHECK(lh_vector_prepare(rows + i * dimension, dimension, metric) == NULL);
}

struct bench {
    struct lh_hnsw graph;
    struct lh_hnsw_scratch scratch;
    const float *queries;
    size_t query_count;
    float *farthest; /* true distance of the tenth, by query */
};

static void find_truth(struct bench *bench)
{
    struct lh_hnsw_hit hits[K];
    size_t dimension = bench->graph.options.dim_count;
    bench->farthest = lh_calloc(bench->query_count, sizeof(float));
    for (size_t i = 0; i < bench->query_count; i++) {
        const struct lh_hnsw_query query = {
            .vector = bench->queries + i * dimension, .k = K, .exact = true};
        size_t found = lh_hnsw_search(&bench->graph, &query, &bench->scratch, hits).count;
        LH_CHECK(found == K);
        bench->farthest[i] = hits[K - 1].order;
    }
}

static void measure(struct bench *bench, size_t ef)
{
    struct lh_hnsw_hit hits[K];
    size_t dimension = bench->graph.options.dim_count;
    double best = 1e18;
    size_t right = 0;
    for (int pass = 0; pass <= PASSES; pass++) {
        right = 0;
        lh_mono start = lh_mono_now();
        for (size_t i = 0; i < bench->query_count; i++) {
            const struct lh_hnsw_query query = {
                .vector = bench->queries + i * dimension, .k = K, .ef = ef};
            size_t found = lh_hnsw_search(&bench->graph, &query, &bench->scratch, hits).count;
            for (size_t j = 0; j < found; j++)
                right += hits[j].order <= bench->farthest[i];
        }
        double elapsed = lh_mono_since_s(start);
        best = pass > 0 && elapsed < best ? elapsed : best;
    }
    printf("{\"ef\":%zu,\"recall_at_10\":%.4f,\"qps\":%.0f}\n", ef,
           (double)right / (double)(bench->query_count * K), (double)bench->query_count / best);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    enum lh_metric metric;
    uint64_t dimension, rows_max = UINT64_MAX;
    if (argc < 5 || argc > 6 || !lh_str_to_u64(lh_str_from(argv[3]), &dimension) ||
        !lh_metric_parse(lh_str_from(argv[4]), &metric) ||
        (argc == 6 && !lh_str_to_u64(lh_str_from(argv[5]), &rows_max))) {
        fprintf(stderr, "use: %s BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS]\n", argv[0]);
        return 2;
    }
    struct bench bench = {0};
    size_t count;
    LH_AUTO_FREE float *base = read_rows(argv[1], dimension, &count);
    LH_AUTO_FREE float *queries = read_rows(argv[2], dimension, &bench.query_count);
    count = count < rows_max ? count : rows_max;
    prepare(base, count, dimension, metric);
    prepare(queries, bench.query_count, dimension, metric);
    bench.queries = queries;
    const struct lh_hnsw_options options = {.dim_count = (uint32_t)dimension,
                                            .metric = metric,
                                            .m = M,
                                            .ef_construction = EF_CONSTRUCTION,
                                            .seed = 1,
                                            .slots_max = (uint32_t)count};
    struct lh_error err = LH_ERROR_INIT;
    LH_CHECK(lh_hnsw_init(&bench.graph, &options, &err) == LH_OK);
    lh_mono start = lh_mono_now();
    LH_CHECK(lh_hnsw_reserve(&bench.graph, (uint32_t)count, &err) == LH_OK);
    for (size_t i = 0; i < count; i++)
        lh_hnsw_add(&bench.graph, base + i * dimension, &bench.scratch);
    printf("{\"rows\":%zu,\"dimension\":%zu,\"metric\":\"%s\",\"build_s\":%.2f,"
           "\"bytes_per_row\":%zu}\n",
           count, (size_t)dimension, lh_metric_name(metric), lh_mono_since_s(start),
           lh_hnsw_slot_bytes(&options));
    find_truth(&bench);
    static const size_t efs[] = {10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512};
    for (size_t i = 0; i < LH_COUNT(efs); i++)
        measure(&bench, efs[i]);
    free(bench.farthest);
    lh_hnsw_deinit(&bench.graph);
    lh_hnsw_scratch_deinit(&bench.scratch);
    return 0;
}
