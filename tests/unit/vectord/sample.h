/*
 * Vectors for tests: clusters of points around random centres, which is what embeddings look like,
 * and the part of an answer that is right.
 */
#ifndef LH_TESTS_UNIT_VECTORD_SAMPLE_H
#define LH_TESTS_UNIT_VECTORD_SAMPLE_H

#include <math.h>

#include "base/mem.h"
#include "support/fixture.h"
#include "vectord/index.h"

/* Normal distribution by the sum of twelve uniform numbers: good enough, and the same everywhere.
 */
static inline float sample_normal(struct lh_random *random)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += lh_random_f64(random);
    return (float)sum;
}

/* count rows of dim_count floats; owned by the caller. */
static inline float *sample_vectors(struct lh_random *random, size_t count, size_t dim_count)
{
    size_t cluster_count = 100;
    float *centres = lh_calloc(cluster_count * dim_count, sizeof(float));
    for (size_t i = 0; i < cluster_count * dim_count; i++)
        centres[i] = sample_normal(random);
    float *vectors = lh_calloc(count * dim_count, sizeof(float));
    for (size_t i = 0; i < count; i++) {
        const float *centre = centres + lh_random_below(random, cluster_count) * dim_count;
        for (size_t j = 0; j < dim_count; j++)
            vectors[i * dim_count + j] = centre[j] + sample_normal(random) * 0.5F;
    }
    free(centres);
    return vectors;
}

/* Share of the true k nearest (by a scan) that a search finds; equals of the k-th count. */
static inline double sample_recall(const struct lh_hnsw *graph, const float *queries,
                                   size_t query_count, size_t k, size_t ef)
{
    struct lh_hnsw_scratch scratch = {0};
    struct lh_hnsw_hit *truth = lh_calloc(k, sizeof(*truth));
    struct lh_hnsw_hit *found = lh_calloc(k, sizeof(*found));
    size_t right = 0, wanted = 0;
    for (size_t i = 0; i < query_count; i++) {
        const float *query = queries + i * graph->options.dim_count;
        struct lh_hnsw_query asked = {.vector = query, .k = k, .ef = ef};
        size_t found_count = lh_hnsw_search(graph, &asked, &scratch, found).count;
        asked.exact = true;
        size_t true_count = lh_hnsw_search(graph, &asked, &scratch, truth).count;
        float farthest = truth[true_count - 1].order;
        for (size_t j = 0; j < found_count; j++)
            right += found[j].order <= farthest;
        wanted += true_count;
    }
    free(truth);
    free(found);
    lh_hnsw_scratch_deinit(&scratch);
    return (double)right / (double)wanted;
}

#endif
