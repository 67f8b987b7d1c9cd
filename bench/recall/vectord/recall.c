/*
 * Our graph in-process: seconds to build, recall@10 and queries a second by ef.
 *
 *   bench/recall BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS [THREADS [auto|none|sq8
 * [REFINE]]]]
 *
 * One JSON object a line. THREADS build, and each of them searches at the same time.
 * Files hold rows of little-endian floats without a header. Recall counts equal distances. Queries
 * come one by one, after one pass that warms up; the best of three passes counts.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "vectord/index.h"

enum { K = 10, PASSES = 3, M = 16, EF_CONSTRUCTION = 200, THREADS_MAX = 64, CODES_FROM = 4096 };

/* Of this thread: what others on the machine take does not count. */
static double cpu_s(clockid_t clock)
{
    struct timespec now;
    LH_CHECK(clock_gettime(clock, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

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
    struct lh_code_scale scale; /* level_max 0 = no codes */
    size_t thread_count;
    double refine;
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

/* One thread's passes over the queries. */
struct searcher {
    pthread_t thread;
    const struct bench *bench;
    size_t ef;
    struct lh_hnsw_scratch scratch;
    size_t right;
    double cpu_s;
};

static void *search_all(void *ctx)
{
    struct searcher *searcher = ctx;
    const struct bench *bench = searcher->bench;
    struct lh_hnsw_hit hits[K];
    size_t dimension = bench->graph.options.dim_count;
    searcher->right = 0;
    double start = cpu_s(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < bench->query_count; i++) {
        const struct lh_hnsw_query query = {.vector = bench->queries + i * dimension,
                                            .k = K,
                                            .ef = searcher->ef,
                                            .refine = bench->refine};
        size_t found = lh_hnsw_search(&bench->graph, &query, &searcher->scratch, hits).count;
        for (size_t j = 0; j < found; j++)
            searcher->right += hits[j].order <= bench->farthest[i];
    }
    searcher->cpu_s = cpu_s(CLOCK_THREAD_CPUTIME_ID) - start;
    return NULL;
}

static void measure(const struct bench *bench, struct searcher *searchers, size_t ef)
{
    double best = 1e18, best_cpu = 1e18;
    for (int pass = 0; pass <= PASSES; pass++) {
        lh_mono start = lh_mono_now();
        for (size_t i = 0; i < bench->thread_count; i++) {
            searchers[i].bench = bench;
            searchers[i].ef = ef;
            if (i > 0)
                LH_CHECK(pthread_create(&searchers[i].thread, NULL, search_all, &searchers[i]) ==
                         0);
        }
        search_all(&searchers[0]);
        for (size_t i = 1; i < bench->thread_count; i++)
            LH_CHECK(pthread_join(searchers[i].thread, NULL) == 0);
        double elapsed = lh_mono_since_s(start);
        best = pass > 0 && elapsed < best ? elapsed : best;
        best_cpu = pass > 0 && searchers[0].cpu_s < best_cpu ? searchers[0].cpu_s : best_cpu;
    }
    printf("{\"ef\":%zu,\"recall_at_10\":%.4f,\"qps\":%.0f,\"qps_cpu\":%.0f}\n", ef,
           (double)searchers[0].right / (double)(bench->query_count * K),
           (double)(bench->query_count * bench->thread_count) / best,
           (double)bench->query_count / best_cpu);
    fflush(stdout);
}

/* As an index does: once there are enough rows to calibrate with. */
static void make_codes(struct bench *bench, size_t slots_max, bool must)
{
    struct lh_hnsw *graph = &bench->graph;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE const float **rows = lh_calloc(graph->count, sizeof(*rows));
    for (uint32_t slot = 0; slot < graph->count; slot++)
        rows[slot] = lh_hnsw_vector(graph, slot);
    if (!lh_codes_calibrate(rows, graph->count, graph->options.dim_count, must, &bench->scale))
        return;
    struct lh_codes *codes;
    LH_CHECK(lh_codes_new(&bench->scale, graph->options.dim_count, (uint32_t)slots_max, &codes,
                          &err) == LH_OK);
    LH_CHECK(lh_codes_fit(codes, slots_max, &err) == LH_OK);
    for (uint32_t slot = 0; slot < graph->count; slot++)
        lh_codes_encode(codes, rows[slot], lh_codes_row(codes, slot));
    lh_codes_unref(lh_hnsw_set_codes(graph, codes));
}

static void build(struct bench *bench, const float *base, size_t count, lh_str quantization)
{
    size_t dimension = bench->graph.options.dim_count;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_builder *builder = lh_builder_new((unsigned)bench->thread_count);
    const float *rows[LH_HNSW_LINK_MAX];
    bool wants = !lh_str_is(quantization, "none") && bench->graph.options.metric != LH_METRIC_IP;
    size_t calibrate_at = CODES_FROM;
    lh_mono start = lh_mono_now();
    double start_cpu = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
    LH_CHECK(lh_hnsw_reserve(&bench->graph, (uint32_t)count, &err) == LH_OK);
    for (size_t done = 0; done < count;) {
        size_t some = count - done < LH_HNSW_LINK_MAX ? count - done : LH_HNSW_LINK_MAX;
        for (size_t i = 0; i < some; i++)
            rows[i] = base + (done + i) * dimension;
        lh_hnsw_link(&bench->graph, rows, (uint32_t)some, builder);
        lh_hnsw_publish(&bench->graph, (uint32_t)some);
        done += some;
        if (wants && done >= calibrate_at) {
            make_codes(bench, count, lh_str_is(quantization, "sq8"));
            calibrate_at = 4 * done;
        }
    }
    lh_builder_free(builder);
    const struct lh_code_scale *scale = &bench->scale;
    printf("{\"rows\":%zu,\"dimension\":%zu,\"metric\":\"%s\",\"threads\":%zu,\"build_s\":%.2f,"
           "\"build_cpu_s\":%.2f,"
           "\"isa\":\"%s\",\"levels\":%u,\"clipped\":%g,\"score\":%.4f,\"bytes_per_row\":%zu}\n",
           count, dimension, lh_metric_name(bench->graph.options.metric), bench->thread_count,
           lh_mono_since_s(start), cpu_s(CLOCK_PROCESS_CPUTIME_ID) - start_cpu,
           bench->graph.isa->name, bench->graph.codes != NULL ? scale->level_max : 0,
           scale->clipped, scale->score, lh_hnsw_slot_bytes(&bench->graph.options));
    fflush(stdout);
}

static bool parse_number(int argc, char **argv, int at, uint64_t *ret)
{
    return argc <= at || lh_str_to_u64(lh_str_from(argv[at]), ret);
}

int main(int argc, char **argv)
{
    enum lh_metric metric;
    uint64_t dimension, rows_max = UINT64_MAX, threads = 1, refine = 0;
    if (argc < 5 || argc > 9 || !lh_str_to_u64(lh_str_from(argv[3]), &dimension) ||
        !lh_metric_parse(lh_str_from(argv[4]), &metric) ||
        !parse_number(argc, argv, 5, &rows_max) || !parse_number(argc, argv, 6, &threads) ||
        !parse_number(argc, argv, 8, &refine) || threads == 0 || threads > THREADS_MAX) {
        fprintf(stderr,
                "use: %s BASE.f32 QUERY.f32 DIMENSION cosine|l2|ip [ROWS [THREADS "
                "[auto|none|sq8 [REFINE]]]]\n",
                argv[0]);
        return 2;
    }
    struct bench bench = {.thread_count = threads, .refine = (double)refine};
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
    build(&bench, base, count, lh_str_from(argc > 7 ? argv[7] : "auto"));
    find_truth(&bench);
    struct searcher searchers[THREADS_MAX] = {0};
    static const size_t efs[] = {10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512};
    for (size_t i = 0; i < LH_COUNT(efs); i++)
        measure(&bench, searchers, efs[i]);
    for (size_t i = 0; i < threads; i++)
        lh_hnsw_scratch_deinit(&searchers[i].scratch);
    lh_hnsw_scratch_deinit(&bench.scratch);
    free(bench.farthest);
    lh_hnsw_deinit(&bench.graph);
    return 0;
}
