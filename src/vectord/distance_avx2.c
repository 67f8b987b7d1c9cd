/*
 * Distances with AVX2 and FMA. The only file that is compiled for them (flags.cmake), so it defines
 * nothing but these kernels: an inline function of a shared header could otherwise end up in the
 * program in its AVX2 form for all callers.
 */
#ifdef __x86_64__

#include <immintrin.h>

#include "vectord/distance.h"

extern const struct lh_kernels lh_kernels_avx2;

/* Two accumulators a row, since a fused multiply-add has a latency of four and a throughput of two
 * a cycle: with four rows at once that keeps both units busy. */

static float sum_of(__m256 a, __m256 b)
{
    __m256 lanes = _mm256_add_ps(a, b);
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* The sums of four rows in one register: three horizontal adds instead of twelve. */
static __m128 sums_of(const __m256 a[4], const __m256 b[4])
{
    __m256 low = _mm256_hadd_ps(_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1]));
    __m256 high = _mm256_hadd_ps(_mm256_add_ps(a[2], b[2]), _mm256_add_ps(a[3], b[3]));
    __m256 all = _mm256_hadd_ps(low, high);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

static float avx2_l2(const float *restrict query, const float *restrict row, size_t float_count)
{
    __m256 a = _mm256_setzero_ps();
    __m256 b = _mm256_setzero_ps();
    for (size_t i = 0; i < float_count; i += 16) {
        __m256 d0 = _mm256_sub_ps(_mm256_load_ps(query + i), _mm256_load_ps(row + i));
        __m256 d1 = _mm256_sub_ps(_mm256_load_ps(query + i + 8), _mm256_load_ps(row + i + 8));
        a = _mm256_fmadd_ps(d0, d0, a);
        b = _mm256_fmadd_ps(d1, d1, b);
    }
    return sum_of(a, b);
}

static float avx2_ip(const float *restrict query, const float *restrict row, size_t float_count)
{
    __m256 a = _mm256_setzero_ps();
    __m256 b = _mm256_setzero_ps();
    for (size_t i = 0; i < float_count; i += 16) {
        a = _mm256_fmadd_ps(_mm256_load_ps(query + i), _mm256_load_ps(row + i), a);
        b = _mm256_fmadd_ps(_mm256_load_ps(query + i + 8), _mm256_load_ps(row + i + 8), b);
    }
    return -sum_of(a, b);
}

static void avx2_l2_four(const float *restrict query, const float *const rows[4],
                         size_t float_count, float ret_distances[4])
{
    __m256 a[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    __m256 b[4] = {a[0], a[0], a[0], a[0]};
    for (size_t i = 0; i < float_count; i += 16) {
        __m256 q0 = _mm256_load_ps(query + i);
        __m256 q1 = _mm256_load_ps(query + i + 8);
        for (size_t r = 0; r < 4; r++) {
            __m256 d0 = _mm256_sub_ps(q0, _mm256_load_ps(rows[r] + i));
            __m256 d1 = _mm256_sub_ps(q1, _mm256_load_ps(rows[r] + i + 8));
            a[r] = _mm256_fmadd_ps(d0, d0, a[r]);
            b[r] = _mm256_fmadd_ps(d1, d1, b[r]);
        }
    }
    _mm_storeu_ps(ret_distances, sums_of(a, b));
}

static void avx2_ip_four(const float *restrict query, const float *const rows[4],
                         size_t float_count, float ret_distances[4])
{
    __m256 a[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    __m256 b[4] = {a[0], a[0], a[0], a[0]};
    for (size_t i = 0; i < float_count; i += 16) {
        __m256 q0 = _mm256_load_ps(query + i);
        __m256 q1 = _mm256_load_ps(query + i + 8);
        for (size_t r = 0; r < 4; r++) {
            a[r] = _mm256_fmadd_ps(q0, _mm256_load_ps(rows[r] + i), a[r]);
            b[r] = _mm256_fmadd_ps(q1, _mm256_load_ps(rows[r] + i + 8), b[r]);
        }
    }
    _mm_storeu_ps(ret_distances, _mm_sub_ps(_mm_setzero_ps(), sums_of(a, b)));
}

const struct lh_kernels lh_kernels_avx2 = {
    .name = "avx2",
    .l2 = avx2_l2,
    .ip = avx2_ip,
    .l2_four = avx2_l2_four,
    .ip_four = avx2_ip_four,
};

#else
typedef int lh_distance_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
