/* Kernels with AVX-512 (F, BW, VL, DQ) and VNNI. */
#ifndef LH_VECTORD_KERNELS_AVX512_H
#define LH_VECTORD_KERNELS_AVX512_H

#include <immintrin.h>

#include "vectord/distance.h"

/* The sums of four rows in one register: first the halves, then as with AVX2. */
static inline __m256 avx512_half(__m512 sum)
{
    return _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1));
}

static inline __m128 avx512_sums(const __m512 sums[4])
{
    __m256 low = _mm256_hadd_ps(avx512_half(sums[0]), avx512_half(sums[1]));
    __m256 high = _mm256_hadd_ps(avx512_half(sums[2]), avx512_half(sums[3]));
    __m256 all = _mm256_hadd_ps(low, high);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

static inline float l2_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m512 apart = _mm512_sub_ps(_mm512_load_ps(x + i), _mm512_load_ps(y + i));
        sum = _mm512_fmadd_ps(apart, apart, sum);
    }
    return _mm512_reduce_add_ps(sum);
}

static inline float ip_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < bytes / sizeof(float); i += 16)
        sum = _mm512_fmadd_ps(_mm512_load_ps(x + i), _mm512_load_ps(y + i), sum);
    return -_mm512_reduce_add_ps(sum);
}

static inline void l2_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    __m512 zero = _mm512_setzero_ps();
    __m512 sums[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m512 block = _mm512_load_ps(x + i);
        for (size_t r = 0; r < 4; r++) {
            __m512 apart = _mm512_sub_ps(block, _mm512_load_ps((const float *)rows[r] + i));
            sums[r] = _mm512_fmadd_ps(apart, apart, sums[r]);
        }
    }
    _mm_storeu_ps(ret_orders, avx512_sums(sums));
}

static inline void ip_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    __m512 zero = _mm512_setzero_ps();
    __m512 sums[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < bytes / sizeof(float); i += 16) {
        __m512 block = _mm512_load_ps(x + i);
        for (size_t r = 0; r < 4; r++)
            sums[r] = _mm512_fmadd_ps(block, _mm512_load_ps((const float *)rows[r] + i), sums[r]);
    }
    _mm_storeu_ps(ret_orders, _mm_sub_ps(_mm_setzero_ps(), avx512_sums(sums)));
}

/* ---- codes ---- */

/* dpbusd multiplies unsigned with signed bytes: squares of up to 127 only. */
static inline __m512i avx512_code7_add(__m512i sum, __m512i x, __m512i y)
{
    __m512i apart = _mm512_abs_epi8(_mm512_sub_epi8(x, y));
    return _mm512_dpbusd_epi32(sum, apart, apart);
}

static inline __m512i avx512_code8_add(__m512i sum, __m512i x, __m512i y)
{
    __m512i apart = _mm512_or_si512(_mm512_subs_epu8(x, y), _mm512_subs_epu8(y, x));
    __m512i low = _mm512_unpacklo_epi8(apart, _mm512_setzero_si512());
    __m512i high = _mm512_unpackhi_epi8(apart, _mm512_setzero_si512());
    return _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(sum, low, low), high, high);
}

static inline __m256i avx512_code_half(__m512i sum)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
}

static inline __m128 avx512_code_sums(const __m512i sums[4])
{
    __m256i low = _mm256_hadd_epi32(avx512_code_half(sums[0]), avx512_code_half(sums[1]));
    __m256i high = _mm256_hadd_epi32(avx512_code_half(sums[2]), avx512_code_half(sums[3]));
    __m256i all = _mm256_hadd_epi32(low, high);
    return _mm_cvtepi32_ps(
        _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

#define LH_AVX512_CODE(name)                                                                       \
    static inline float name##_one(const void *query, const void *row, size_t bytes)               \
    {                                                                                              \
        __m512i sum = _mm512_setzero_si512();                                                      \
        for (size_t i = 0; i < bytes; i += 64)                                                     \
            sum = avx512_##name##_add(sum, _mm512_load_si512((const char *)query + i),             \
                                      _mm512_load_si512((const char *)row + i));                   \
        return (float)_mm512_reduce_add_epi32(sum);                                                \
    }                                                                                              \
                                                                                                   \
    static inline void name##_four(const void *query, const void *const rows[4], size_t bytes,     \
                                   float ret_orders[4])                                            \
    {                                                                                              \
        __m512i zero = _mm512_setzero_si512();                                                     \
        __m512i sums[4] = {zero, zero, zero, zero};                                                \
        for (size_t i = 0; i < bytes; i += 64) {                                                   \
            __m512i x = _mm512_load_si512((const char *)query + i);                                \
            for (size_t r = 0; r < 4; r++)                                                         \
                sums[r] =                                                                          \
                    avx512_##name##_add(sums[r], x, _mm512_load_si512((const char *)rows[r] + i)); \
        }                                                                                          \
        _mm_storeu_ps(ret_orders, avx512_code_sums(sums));                                         \
    }

LH_AVX512_CODE(code7)
LH_AVX512_CODE(code8)

#endif
