/*
 * Distances between rows of floats: a scalar reference and one set of kernels for each instruction
 * set, chosen once by what the processor can.
 *
 * A row starts on a 64-byte boundary and is padded with zeros to a multiple of 16 floats, the query
 * too, so kernels load whole blocks and have no tail. Smaller is nearer in both measures. Values
 * must be finite with a squared norm of at most LH_NORM_SQUARED_MAX: then no sum inside overflows,
 * and there is never a NaN.
 */
#ifndef LH_VECTORD_DISTANCE_H
#define LH_VECTORD_DISTANCE_H

#include <stddef.h>

enum { LH_ROW_FLOATS = 16, LH_ROW_ALIGN = 64 };

/* |x - y|^2 <= 4 max |x|^2 must fit a float. */
#define LH_NORM_SQUARED_MAX 8.0e37

struct lh_kernels {
    const char *name;
    /* Squared Euclidean distance. float_count is a multiple of LH_ROW_FLOATS. */
    float (*l2)(const float *restrict query, const float *restrict row, size_t float_count);
    /* The inner product, negated. */
    float (*ip)(const float *restrict query, const float *restrict row, size_t float_count);
    /* The same for four rows at once: each block of the query is loaded once. */
    void (*l2_four)(const float *restrict query, const float *const rows[4], size_t float_count,
                    float ret_distances[4]);
    void (*ip_four)(const float *restrict query, const float *const rows[4], size_t float_count,
                    float ret_distances[4]);
};

/* The reference, on every machine. */
extern const struct lh_kernels lh_kernels_scalar;

/* The fastest set that this processor can run. thread-safe. */
const struct lh_kernels *lh_kernels_best(void);

/* For tests and benchmarks: the index-th set that this processor can run, NULL beyond the last.
 * 0 is the scalar one. */
const struct lh_kernels *lh_kernels_at(size_t index);

/* Floats of a padded row. */
size_t lh_row_floats(size_t dim_count);

#endif
