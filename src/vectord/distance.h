/*
 * Measures between rows, for each instruction set: a scalar reference, AVX2, AVX-512 and NEON. The
 * best that the processor can is chosen once.
 *
 * A row starts on a 64-byte boundary and is padded with zeros to a multiple of 64 bytes, the query
 * too, so kernels load whole blocks and have no tail. Smaller is nearer in every measure. Floats
 * must be finite with a squared norm of at most LH_NORM_SQUARED_MAX: then no sum inside overflows,
 * and there is never a NaN. Sums of codes are whole numbers, the same on every instruction set;
 * sums of floats differ in their last bits.
 */
#ifndef LH_VECTORD_DISTANCE_H
#define LH_VECTORD_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    LH_ROW_ALIGN = 64,
    LH_ROW_FLOATS = LH_ROW_ALIGN / sizeof(float),
    LH_CODE_DIMENSION_MAX = 32768, /* 32768 * 255^2 fits an int32_t */
};

/* |x - y|^2 <= 4 max |x|^2 must fit a float. */
#define LH_NORM_SQUARED_MAX 8.0e37

enum lh_measure {
    LH_MEASURE_L2,    /* of floats: squared Euclidean distance */
    LH_MEASURE_IP,    /* of floats: the inner product, negated */
    LH_MEASURE_CODE8, /* of bytes: squared Euclidean distance */
    LH_MEASURE_CODE7, /* of bytes up to 127: the same, faster */
    LH_MEASURE_COUNT,
};

struct lh_kernels {
    float (*one)(const void *query, const void *row, size_t bytes);
    /* The same for four rows at once: each block of the query is loaded once. */
    void (*four)(const void *query, const void *const rows[4], size_t bytes, float ret_orders[4]);
};

struct lh_loops; /* hnsw_private.h: the graph's inner loops around a measure */

struct lh_isa {
    const char *name;
    struct lh_kernels kernels[LH_MEASURE_COUNT];
    const struct lh_loops *loops[LH_MEASURE_COUNT];
};

/* The reference, on every machine. */
extern const struct lh_isa lh_isa_scalar;

/* The index-th that this processor can run, from the slowest to the fastest; NULL beyond the last.
 * 0 is the scalar one. thread-safe. */
const struct lh_isa *lh_isa_at(size_t index);

/* "scalar", "avx2", "avx512", "neon"; "auto" is the fastest. NULL when this processor cannot run
 * it. thread-safe. */
const struct lh_isa *lh_isa_find(lh_str name);

/* What new graphs use: the fastest, or what was set. Set it before there are threads. */
const struct lh_isa *lh_isa_used(void);
void lh_isa_use(const struct lh_isa *isa);

/* Floats, and bytes, of a padded row. */
size_t lh_row_floats(size_t dim_count);
size_t lh_row_code_bytes(size_t dim_count);

#endif
