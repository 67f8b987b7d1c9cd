/* What writer and reader of LHV1 share. */
#ifndef LH_VECTORD_LHV1_PRIVATE_H
#define LH_VECTORD_LHV1_PRIVATE_H

#include "vectord/lhv1.h"

enum {
    LH_LHV1_VERSION = 2,
    LH_LHV1_CHUNK = 1 << 20,  /* bytes behind one checksum */
    LH_LHV1_PREFIX_BYTES = 8, /* magic and length */
    LH_LHV1_PAGE = 4096,
    LH_LHV1_ALIGN = 64,
    LH_LHV1_SUM_DIGITS = 16,
    LH_LHV1_FLOAT_DIGITS = 8,
};

extern const char *const lh_section_names[LH_SECTION_COUNT];

/* The member that holds the envelope's own checksum, up to its digits. */
#define LH_LHV1_SUM_KEY "\"envelope_xxh3\":\""

static inline uint64_t lh_lhv1_aligned(uint64_t offset)
{
    return (offset + LH_LHV1_ALIGN - 1) / LH_LHV1_ALIGN * LH_LHV1_ALIGN;
}

/* Bytes of the sums of so many bytes: the rest up to a multiple of 64 are zeros, so that no zeros
 * are needed behind them. */
static inline uint64_t lh_lhv1_sums_bytes(uint64_t bytes)
{
    return lh_lhv1_aligned((bytes + LH_LHV1_CHUNK - 1) / LH_LHV1_CHUNK * sizeof(uint64_t));
}

/* A float as the hex digits of its bits: exactly the same when it comes back. */
void lh_lhv1_put_float(float value, char ret_digits[LH_LHV1_FLOAT_DIGITS + 1]);

/* XXH3 of an envelope with the digits of its own checksum taken as zeros; false when there is not
 * exactly one place for them. ret_digits: their offset. */
bool lh_lhv1_envelope_sum(lh_str envelope, uint64_t *ret_sum, size_t *ret_digits);

#endif
