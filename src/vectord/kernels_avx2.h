/* Kernels with AVX2 and FMA. */
#ifndef LH_VECTORD_KERNELS_AVX2_H
#define LH_VECTORD_KERNELS_AVX2_H

#include <immintrin.h>

#include "vectord/distance.h"

/* ---- floats: two sums a row, since a fused multiply-add has a latency of four and a throughput of
 * two a cycle; with four rows at once that keeps both units busy ---- */

static inline float avx2_sum(__m256 a, __m256 b)
{
    __m256 lanes = _mm256_add_ps(a, b);
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* The sums of four rows in one register: three horizontal adds instead of twelve. */
static inline __m128 avx2_sums(const __m256 a[4], const __m256 b[4])
{
    __m256 low = _mm256_hadd_ps(_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1]));
    __m256 high = _mm256_hadd_ps(_mm256_add_ps(a[2], b[2]), _mm256_add_ps(a[3], b[3]));
    __m256 all = _mm256_hadd_ps(low, high);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

static inline float l2_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    __m256 a = _mm256_setzero_ps(), b = a;
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m256 d0 = _mm256_sub_ps(_mm256_load_ps(x + i), _mm256_load_ps(y + i));
        __m256 d1 = _mm256_sub_ps(_mm256_load_ps(x + i + 8), _mm256_load_ps(y + i + 8));
        a = _mm256_fmadd_ps(d0, d0, a);
        b = _mm256_fmadd_ps(d1, d1, b);
    }
    return avx2_sum(a, b);
}

static inline float ip_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    __m256 a = _mm256_setzero_ps(), b = a;
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        a = _mm256_fmadd_ps(_mm256_load_ps(x + i), _mm256_load_ps(y + i), a);
        b = _mm256_fmadd_ps(_mm256_load_ps(x + i + 8), _mm256_load_ps(y + i + 8), b);
    }
    return -avx2_sum(a, b);
}

static inline void l2_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    __m256 zero = _mm256_setzero_ps();
    __m256 a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m256 q0 = _mm256_load_ps(x + i), q1 = _mm256_load_ps(x + i + 8);
        for (size_t r = 0; r < 4; r++) {
            const float *y = (const float *)rows[r] + i;
            __m256 d0 = _mm256_sub_ps(q0, _mm256_load_ps(y));
            __m256 d1 = _mm256_sub_ps(q1, _mm256_load_ps(y + 8));
            a[r] = _mm256_fmadd_ps(d0, d0, a[r]);
            b[r] = _mm256_fmadd_ps(d1, d1, b[r]);
        }
    }
    _mm_storeu_ps(ret_orders, avx2_sums(a, b));
}

static inline void ip_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    __m256 zero = _mm256_setzero_ps();
    __m256 a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m256 q0 = _mm256_load_ps(x + i), q1 = _mm256_load_ps(x + i + 8);
        for (size_t r = 0; r < 4; r++) {
            const float *y = (const float *)rows[r] + i;
            a[r] = _mm256_fmadd_ps(q0, _mm256_load_ps(y), a[r]);
            b[r] = _mm256_fmadd_ps(q1, _mm256_load_ps(y + 8), b[r]);
        }
    }
    _mm_storeu_ps(ret_orders, _mm_sub_ps(_mm_setzero_ps(), avx2_sums(a, b)));
}

/* ---- codes ---- */

/* Squares of up to 127 are summed in pairs by maddubs, whose second operand is signed: 2 * 127^2
 * fits 16 bits. */
static inline __m256i avx2_code7_add(__m256i sum, __m256i x, __m256i y)
{
    __m256i apart = _mm256_abs_epi8(_mm256_sub_epi8(x, y));
    __m256i pairs = _mm256_maddubs_epi16(apart, apart);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Up to 255: of the two saturated differences one is zero; squared as 16-bit numbers. */
static inline __m256i avx2_code8_add(__m256i sum, __m256i x, __m256i y)
{
    __m256i apart = _mm256_or_si256(_mm256_subs_epu8(x, y), _mm256_subs_epu8(y, x));
    __m256i low = _mm256_unpacklo_epi8(apart, _mm256_setzero_si256());
    __m256i high = _mm256_unpackhi_epi8(apart, _mm256_setzero_si256());
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, low));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(high, high));
}

static inline float avx2_code_sum(__m256i sum)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
    return (float)_mm_cvtsi128_si32(half);
}

static inline __m128 avx2_code_sums(const __m256i sums[4])
{
    __m256i all =
        _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    return _mm_cvtepi32_ps(
        _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

static inline __m256i avx2_load(const void *row, size_t i)
{
    return _mm256_load_si256((const __m256i *)(const void *)((const char *)row + i));
}

#define LH_AVX2_CODE(name)                                                                         \
    static inline float name##_one(const void *query, const void *row, size_t bytes)               \
    {                                                                                              \
        __m256i sum = _mm256_setzero_si256();                                                      \
        for (size_t i = 0; i < bytes; i += 32)                                                     \
            sum = avx2_##name##_add(sum, avx2_load(query, i), avx2_load(row, i));                  \
        return avx2_code_sum(sum);                                                                 \
    }                                                                                              \
                                                                                                   \
    static inline void name##_four(const void *query, const void *const rows[4], size_t bytes,     \
                                   float ret_orders[4])                                            \
    {                                                                                              \
        __m256i zero = _mm256_setzero_si256();                                                     \
        __m256i sums[4] = {zero, zero, zero, zero};                                                \
        for (size_t i = 0; i < bytes; i += 32) {                                                   \
            __m256i x = avx2_load(query, i);                                                       \
            for (size_t r = 0; r < 4; r++)                                                         \
                sums[r] = avx2_##name##_add(sums[r], x, avx2_load(rows[r], i));                    \
        }                                                                                          \
        _mm_storeu_ps(ret_orders, avx2_code_sums(sums));                                           \
    }

LH_AVX2_CODE(code7)
LH_AVX2_CODE(code8)

#endif
