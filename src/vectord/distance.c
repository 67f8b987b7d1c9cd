/* Distances: the scalar reference, and the choice of kernels by processor. */
#include "vectord/distance.h"

#include "base/check.h"
#include "base/mem.h"

/* Sixteen partial sums: the compiler turns the inner loop into whatever vector unit it may use, and
 * no sum depends on the one before it. */
static float sum_of(const float partial[LH_ROW_FLOATS])
{
    float sum[4] = {0};
    for (size_t i = 0; i < LH_ROW_FLOATS; i++)
        sum[i % 4] += partial[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static float scalar_l2(const float *restrict query, const float *restrict row, size_t float_count)
{
    LH_DCHECK(float_count % LH_ROW_FLOATS == 0);
    float partial[LH_ROW_FLOATS] = {0};
    for (size_t i = 0; i < float_count; i += LH_ROW_FLOATS) {
        for (size_t j = 0; j < LH_ROW_FLOATS; j++) {
            float difference = query[i + j] - row[i + j];
            partial[j] += difference * difference;
        }
    }
    return sum_of(partial);
}

static float scalar_ip(const float *restrict query, const float *restrict row, size_t float_count)
{
    LH_DCHECK(float_count % LH_ROW_FLOATS == 0);
    float partial[LH_ROW_FLOATS] = {0};
    for (size_t i = 0; i < float_count; i += LH_ROW_FLOATS) {
        for (size_t j = 0; j < LH_ROW_FLOATS; j++)
            partial[j] += query[i + j] * row[i + j];
    }
    return -sum_of(partial);
}

static void scalar_l2_four(const float *restrict query, const float *const rows[4],
                           size_t float_count, float ret_distances[4])
{
    for (size_t r = 0; r < 4; r++)
        ret_distances[r] = scalar_l2(query, rows[r], float_count);
}

static void scalar_ip_four(const float *restrict query, const float *const rows[4],
                           size_t float_count, float ret_distances[4])
{
    for (size_t r = 0; r < 4; r++)
        ret_distances[r] = scalar_ip(query, rows[r], float_count);
}

const struct lh_kernels lh_kernels_scalar = {
    .name = "scalar",
    .l2 = scalar_l2,
    .ip = scalar_ip,
    .l2_four = scalar_l2_four,
    .ip_four = scalar_ip_four,
};

#ifdef __x86_64__
extern const struct lh_kernels lh_kernels_avx2; /* distance_avx2.c */

static const struct lh_kernels *avx2_if_supported(void)
{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &lh_kernels_avx2;
    return NULL;
}
#else
static const struct lh_kernels *avx2_if_supported(void)
{
    return NULL;
}
#endif

const struct lh_kernels *lh_kernels_at(size_t index)
{
    if (index == 0)
        return &lh_kernels_scalar;
    return index == 1 ? avx2_if_supported() : NULL;
}

const struct lh_kernels *lh_kernels_best(void)
{
    const struct lh_kernels *avx2 = avx2_if_supported();
    return avx2 != NULL ? avx2 : &lh_kernels_scalar;
}

size_t lh_row_floats(size_t dim_count)
{
    return (dim_count + LH_ROW_FLOATS - 1) / LH_ROW_FLOATS * LH_ROW_FLOATS;
}
