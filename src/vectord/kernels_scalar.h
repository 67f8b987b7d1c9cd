/* The reference kernels: what every instruction set is compared with. */
#ifndef LH_VECTORD_KERNELS_SCALAR_H
#define LH_VECTORD_KERNELS_SCALAR_H

#include "vectord/distance.h"

/* Sixteen partial sums: the compiler turns the inner loop into whatever vector unit it may use, and
 * no sum depends on the one before it. */
static inline float scalar_sum(const float partial[LH_ROW_FLOATS])
{
    float sum[4] = {0};
    for (size_t i = 0; i < LH_ROW_FLOATS; i++)
        sum[i % 4] += partial[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static inline float l2_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    float partial[LH_ROW_FLOATS] = {0};
    for (size_t i = 0; i < bytes / sizeof(float); i += LH_ROW_FLOATS) {
        for (size_t j = 0; j < LH_ROW_FLOATS; j++)
            partial[j] += (x[i + j] - y[i + j]) * (x[i + j] - y[i + j]);
    }
    return scalar_sum(partial);
}

static inline float ip_one(const void *query, const void *row, size_t bytes)
{
    const float *x = query, *y = row;
    float partial[LH_ROW_FLOATS] = {0};
    for (size_t i = 0; i < bytes / sizeof(float); i += LH_ROW_FLOATS) {
        for (size_t j = 0; j < LH_ROW_FLOATS; j++)
            partial[j] += x[i + j] * y[i + j];
    }
    return -scalar_sum(partial);
}

static inline float code8_one(const void *query, const void *row, size_t bytes)
{
    const unsigned char *x = query, *y = row;
    int32_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return (float)sum;
}

static inline float code7_one(const void *query, const void *row, size_t bytes)
{
    return code8_one(query, row, bytes);
}

#define LH_SCALAR_FOUR(name)                                                                       \
    static inline void name##_four(const void *query, const void *const rows[4], size_t bytes,     \
                                   float ret_orders[4])                                            \
    {                                                                                              \
        for (size_t r = 0; r < 4; r++)                                                             \
            ret_orders[r] = name##_one(query, rows[r], bytes);                                     \
    }

LH_SCALAR_FOUR(l2)
LH_SCALAR_FOUR(ip)
LH_SCALAR_FOUR(code8)
LH_SCALAR_FOUR(code7)

#endif
