/* Kernels with NEON; the dot product of bytes where the compiler may use it. */
#ifndef LH_VECTORD_KERNELS_NEON_H
#define LH_VECTORD_KERNELS_NEON_H

#include <arm_neon.h>

#include "vectord/distance.h"

static inline void l2_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t i = 0; i < bytes / sizeof(float); i += 4) {
        float32x4_t block = vld1q_f32(x + i);
        for (size_t r = 0; r < 4; r++) {
            float32x4_t apart = vsubq_f32(block, vld1q_f32((const float *)rows[r] + i));
            sums[r] = vfmaq_f32(sums[r], apart, apart);
        }
    }
    for (size_t r = 0; r < 4; r++)
        ret_orders[r] = vaddvq_f32(sums[r]);
}

static inline void ip_four(const void *query, const void *const rows[4], size_t bytes,
                           float ret_orders[4])
{
    const float *x = query;
    float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (size_t i = 0; i < bytes / sizeof(float); i += 4) {
        float32x4_t block = vld1q_f32(x + i);
        for (size_t r = 0; r < 4; r++)
            sums[r] = vfmaq_f32(sums[r], block, vld1q_f32((const float *)rows[r] + i));
    }
    for (size_t r = 0; r < 4; r++)
        ret_orders[r] = -vaddvq_f32(sums[r]);
}

static inline uint32x4_t neon_code_add(uint32x4_t sum, uint8x16_t x, uint8x16_t y)
{
    uint8x16_t apart = vabdq_u8(x, y);
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_u32(sum, apart, apart);
#else
    sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(apart), vget_low_u8(apart)));
    return vpadalq_u16(sum, vmull_u8(vget_high_u8(apart), vget_high_u8(apart)));
#endif
}

static inline void code8_four(const void *query, const void *const rows[4], size_t bytes,
                              float ret_orders[4])
{
    uint32x4_t sums[4] = {vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0)};
    for (size_t i = 0; i < bytes; i += 16) {
        uint8x16_t block = vld1q_u8((const uint8_t *)query + i);
        for (size_t r = 0; r < 4; r++)
            sums[r] = neon_code_add(sums[r], block, vld1q_u8((const uint8_t *)rows[r] + i));
    }
    for (size_t r = 0; r < 4; r++)
        ret_orders[r] = (float)vaddvq_u32(sums[r]);
}

static inline void code7_four(const void *query, const void *const rows[4], size_t bytes,
                              float ret_orders[4])
{
    code8_four(query, rows, bytes, ret_orders);
}

/* Rows left over from the fours are few: they are measured as a four of one row. */
#define LH_NEON_ONE(name)                                                                          \
    static inline float name##_one(const void *query, const void *row, size_t bytes)               \
    {                                                                                              \
        const void *const rows[4] = {row, row, row, row};                                          \
        float orders[4];                                                                           \
        name##_four(query, rows, bytes, orders);                                                   \
        return orders[0];                                                                          \
    }

LH_NEON_ONE(l2)
LH_NEON_ONE(ip)
LH_NEON_ONE(code8)
LH_NEON_ONE(code7)

#endif
