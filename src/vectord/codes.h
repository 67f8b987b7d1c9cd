/*
 * lh_codes: a byte for each component of a vector, on one scale for all of them. Walks measure
 * codes, a quarter of the memory traffic of floats; what they find is measured again by floats.
 *
 *   code = round((clamp(x, low, low + step * level_max) - low) / step)
 *
 * The scale is calibrated on a sample of the rows themselves: some of them are held out as queries,
 * and the codes' order is compared with the true one. Where no scale is good enough there are no
 * codes. How much a scale may clip cannot be fixed beforehand: what is best for one set ruins
 * another.
 */
#ifndef LH_VECTORD_CODES_H
#define LH_VECTORD_CODES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vectord/distance.h"
#include "vectord/rows.h"

struct lh_code_scale {
    float low;
    float step;
    uint32_t level_max; /* 127 or 255 */
    double clipped;     /* part of the sample's components beyond each end */
    double score;       /* part of the true 10 nearest found among the 20 nearest by codes */
};

/* Codes by slot. Reference counted: a snapshot may outlive a new calibration. */
struct lh_codes {
    atomic_int references;
    struct lh_code_scale scale;
    size_t dim_count;
    size_t row_bytes;
    struct lh_rows rows;
};

/* The best score of all that the sample could give is at least this; a chosen scale has it. */
#define LH_CODE_SCORE_MIN 0.995

/* LH_INDEX_MEMORY when there is no address space. */
lh_code lh_codes_new(const struct lh_code_scale *scale, size_t dim_count, uint32_t slots_max,
                     struct lh_codes **ret_codes, struct lh_error *err);
struct lh_codes *lh_codes_ref(struct lh_codes *codes); /* accepts NULL */
void lh_codes_unref(struct lh_codes *codes);           /* accepts NULL */

/* Room for `count` slots. LH_INDEX_MEMORY. */
lh_code lh_codes_fit(struct lh_codes *codes, size_t count, struct lh_error *err);

/* The codes of a vector of dim_count floats, padded with zeros to a row. Returns how many of its
 * components were clipped. */
size_t lh_codes_encode(const struct lh_codes *codes, const float *vector, void *ret_row);

static inline unsigned char *lh_codes_row(const struct lh_codes *codes, uint32_t slot)
{
    return codes->rows.base + (size_t)slot * codes->row_bytes;
}

/* Finds a scale for rows of floats (padded; at least LH_CALIBRATE_ROWS_MIN): false when none is
 * good enough, unless it `must`. Takes a second at most. */
enum { LH_CALIBRATE_ROWS_MIN = 1000 };
bool lh_codes_calibrate(const float *const *rows, size_t count, size_t dim_count, bool must,
                        struct lh_code_scale *ret_scale);

#endif
