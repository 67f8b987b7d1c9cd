/* What writer and reader of LHV1 share. */
#ifndef LH_VECTORD_LHV1_PRIVATE_H
#define LH_VECTORD_LHV1_PRIVATE_H

#include "vectord/lhv1.h"

enum {
    LH_LHV1_VERSION = 1,
    LH_LHV1_PREFIX_BYTES = 8, /* magic and length */
    LH_LHV1_PAGE = 4096,
    LH_LHV1_ALIGN = 64,
    LH_LHV1_SUM_DIGITS = 16,
};

extern const char *const lh_section_names[LH_SECTION_COUNT];

/* The member that holds the envelope's own checksum, up to its digits. */
#define LH_LHV1_SUM_KEY "\"envelope_xxh3\":\""

static inline uint64_t lh_lhv1_aligned(uint64_t offset)
{
    return (offset + LH_LHV1_ALIGN - 1) / LH_LHV1_ALIGN * LH_LHV1_ALIGN;
}

/* XXH3 of an envelope with the digits of its own checksum taken as zeros; false when there is not
 * exactly one place for them. ret_digits: their offset. */
bool lh_lhv1_envelope_sum(lh_str envelope, uint64_t *ret_sum, size_t *ret_digits);

#endif
