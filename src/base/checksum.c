/*
 * S3's checksums. The three CRCs are one algorithm with three polynomials, all reflected (the first
 * bit of a message is the least significant one of its first byte, and the highest coefficient),
 * all begun and ended by an inversion:
 *
 *   short runs    tables, eight bytes at a time ("slicing by 8", Kounavis and Berry 2005)
 *   long runs     carry-less multiplication: the message is folded into the 16 bytes that have the
 *                 same remainder (Gopal et al. 2009, "Fast CRC Computation for Generic Polynomials
 *                 Using PCLMULQDQ"), and those go through the tables
 *
 * A polynomial modulo P is a number whose most significant bit (of 32 or 64) is the coefficient
 * of x^0. Constants and tables are computed from the polynomials at the first use.
 */
#include "base/checksum.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the tables take eight bytes as they lie");

enum { SLICES = 8, LANE = 16, LANES = 4, FOLD_MIN = LANES * LANE };

struct crc {
    unsigned bits;
    uint64_t polynomial;
    uint64_t table[SLICES][256];
    /* A lane times x^512 (four lanes on) and x^128 (one lane on): for its first eight bytes, and
     * for its last eight. */
    uint64_t by_four[2];
    uint64_t by_one[2];
};

/* https://reveng.sourceforge.io/crc-catalogue: ISO-HDLC, ISCSI, NVME. */
static struct crc crc32 = {.bits = 32, .polynomial = UINT64_C(0xedb88320)};
static struct crc crc32c = {.bits = 32, .polynomial = UINT64_C(0x82f63b78)};
static struct crc crc64nvme = {.bits = 64, .polynomial = UINT64_C(0x9a6c9329ac4bc9b5)};
static bool can_fold;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* ---- polynomials ---- */

static uint64_t one(const struct crc *crc)
{
    return UINT64_C(1) << (crc->bits - 1);
}

static uint64_t times_x(const struct crc *crc, uint64_t a)
{
    return a >> 1 ^ (a & 1 ? crc->polynomial : 0);
}

static uint64_t times(const struct crc *crc, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (uint64_t bit = one(crc); bit != 0; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = times_x(crc, b);
    }
    return product;
}

static uint64_t power(const struct crc *crc, uint64_t base, uint64_t exponent)
{
    uint64_t result = one(crc);
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result = times(crc, result, base);
        base = times(crc, base, base);
    }
    return result;
}

/* ---- tables and constants ---- */

/* x^exponent as a factor of a carry-less product of 64 bits: those are aligned at their top, and
 * the product of two reflected numbers comes out one place too low. */
static uint64_t factor(const struct crc *crc, uint64_t exponent)
{
    return power(crc, one(crc) >> 1, exponent - 1) << (64 - crc->bits);
}

static void prepare_one(struct crc *crc)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t value = byte;
        for (int i = 0; i < 8; i++)
            value = times_x(crc, value);
        crc->table[0][byte] = value;
    }
    for (unsigned slice = 1; slice < SLICES; slice++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint64_t before = crc->table[slice - 1][byte];
            crc->table[slice][byte] = before >> 8 ^ crc->table[0][before & 0xff];
        }
    }
    crc->by_four[0] = factor(crc, 512 + 64);
    crc->by_four[1] = factor(crc, 512);
    crc->by_one[0] = factor(crc, 128 + 64);
    crc->by_one[1] = factor(crc, 128);
}

static void prepare(void)
{
    prepare_one(&crc32);
    prepare_one(&crc32c);
    prepare_one(&crc64nvme);
#ifdef __x86_64__
    can_fold = __builtin_cpu_supports("pclmul");
#endif
}

static const struct crc *crc_of(enum lh_checksum_kind kind)
{
    LH_CHECK(pthread_once(&prepared, prepare) == 0);
    switch (kind) {
    case LH_CHECKSUM_CRC32:
        return &crc32;
    case LH_CHECKSUM_CRC32C:
        return &crc32c;
    case LH_CHECKSUM_CRC64NVME:
        return &crc64nvme;
    case LH_CHECKSUM_NONE:
    case LH_CHECKSUM_SHA1:
    case LH_CHECKSUM_SHA256:
        break;
    }
    return NULL;
}

/* ---- running over bytes ---- */

static uint64_t run_tables(const struct crc *crc, uint64_t value, const uint8_t *bytes, size_t len)
{
    const uint64_t(*table)[256] = crc->table;
    for (; len >= SLICES; len -= SLICES, bytes += SLICES) {
        uint64_t word;
        memcpy(&word, bytes, sizeof(word));
        word ^= value;
        value = 0;
        for (unsigned i = 0; i < SLICES; i++)
            value ^= table[SLICES - 1 - i][word >> (8 * i) & 0xff];
    }
    for (; len > 0; len--, bytes++)
        value = value >> 8 ^ table[0][(value ^ *bytes) & 0xff];
    return value;
}

#ifdef __x86_64__

__attribute__((target("pclmul"))) static inline __m128i fold(__m128i lane, __m128i factors,
                                                             __m128i next)
{
    __m128i first = _mm_clmulepi64_si128(lane, factors, 0x00);
    __m128i last = _mm_clmulepi64_si128(lane, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(first, last), next);
}

/* Whole lanes, at least four; what remains of them, and the bytes behind, goes to the tables. */
__attribute__((target("pclmul"))) static uint64_t run_folding(const struct crc *crc, uint64_t value,
                                                              const uint8_t *bytes, size_t len)
{
    const __m128i by_four = _mm_loadu_si128((const __m128i *)crc->by_four);
    const __m128i by_one = _mm_loadu_si128((const __m128i *)crc->by_one);
    __m128i lanes[LANES];
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] = _mm_loadu_si128((const __m128i *)bytes + i);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128((long long)value));
    bytes += FOLD_MIN;
    len -= FOLD_MIN;
    for (; len >= FOLD_MIN; len -= FOLD_MIN, bytes += FOLD_MIN) {
        for (unsigned i = 0; i < LANES; i++)
            lanes[i] = fold(lanes[i], by_four, _mm_loadu_si128((const __m128i *)bytes + i));
    }
    __m128i all = lanes[0];
    for (unsigned i = 1; i < LANES; i++)
        all = fold(all, by_one, lanes[i]);
    for (; len >= LANE; len -= LANE, bytes += LANE)
        all = fold(all, by_one, _mm_loadu_si128((const __m128i *)bytes));
    uint8_t rest[LANE];
    _mm_storeu_si128((__m128i *)rest, all);
    return run_tables(crc, run_tables(crc, 0, rest, sizeof(rest)), bytes, len);
}

#else

static uint64_t run_folding(const struct crc *crc, uint64_t value, const uint8_t *bytes, size_t len)
{
    return run_tables(crc, value, bytes, len);
}

#endif

static uint64_t run(const struct crc *crc, uint64_t value, const void *bytes, size_t len)
{
    return can_fold && len >= FOLD_MIN ? run_folding(crc, value, bytes, len)
                                       : run_tables(crc, value, bytes, len);
}

/* ---- the interface ---- */

struct lh_checksummer {
    enum lh_checksum_kind kind;
    const struct crc *crc; /* NULL for the others, which have a digest */
    uint64_t value;
    struct lh_digest *digest;
};

static const struct {
    const char *name;
    size_t size;
} kinds[] = {
    [LH_CHECKSUM_NONE] = {"", 0},
    [LH_CHECKSUM_CRC32] = {"CRC32", 4},
    [LH_CHECKSUM_CRC32C] = {"CRC32C", 4},
    [LH_CHECKSUM_CRC64NVME] = {"CRC64NVME", 8},
    [LH_CHECKSUM_SHA1] = {"SHA1", LH_SHA1_SIZE},
    [LH_CHECKSUM_SHA256] = {"SHA256", LH_SHA256_SIZE},
};

size_t lh_checksum_size(enum lh_checksum_kind kind)
{
    return kinds[kind].size;
}

const char *lh_checksum_name(enum lh_checksum_kind kind)
{
    return kinds[kind].name;
}

enum lh_checksum_kind lh_checksum_parse(lh_str name)
{
    for (size_t i = LH_CHECKSUM_NONE + 1; i < LH_COUNT(kinds); i++) {
        if (lh_str_eq_nocase(name, lh_str_from(kinds[i].name)))
            return (enum lh_checksum_kind)i;
    }
    return LH_CHECKSUM_NONE;
}

struct lh_checksummer *lh_checksummer_new(enum lh_checksum_kind kind)
{
    LH_CHECK(kind != LH_CHECKSUM_NONE);
    struct lh_checksummer *sum = lh_calloc(1, sizeof(*sum));
    sum->kind = kind;
    sum->crc = crc_of(kind);
    if (sum->crc)
        sum->value = UINT64_MAX >> (64 - sum->crc->bits);
    else
        sum->digest = lh_digest_new(kind == LH_CHECKSUM_SHA1 ? LH_DIGEST_SHA1 : LH_DIGEST_SHA256);
    return sum;
}

void lh_checksummer_update(struct lh_checksummer *sum, const void *bytes, size_t len)
{
    if (sum->crc)
        sum->value = run(sum->crc, sum->value, bytes, len);
    else
        lh_digest_update(sum->digest, bytes, len);
}

static void put_value(struct lh_checksum *checksum, uint64_t value)
{
    size_t size = kinds[checksum->kind].size;
    for (size_t i = size; i-- > 0; value >>= 8)
        checksum->bytes[i] = (uint8_t)value;
}

static uint64_t get_value(const struct lh_checksum *checksum)
{
    uint64_t value = 0;
    for (size_t i = 0; i < kinds[checksum->kind].size; i++)
        value = value << 8 | checksum->bytes[i];
    return value;
}

void lh_checksummer_final(struct lh_checksummer *sum, struct lh_checksum *ret)
{
    *ret = (struct lh_checksum){.kind = sum->kind};
    if (sum->crc)
        put_value(ret, ~sum->value);
    else
        lh_digest_final(sum->digest, ret->bytes);
}

void lh_checksummer_free(struct lh_checksummer *sum)
{
    if (!sum)
        return;
    lh_digest_free(sum->digest);
    free(sum);
}

void lh_checksum_combine(struct lh_checksum *total, const struct lh_checksum *next,
                         uint64_t next_len)
{
    const struct crc *crc = crc_of(total->kind);
    LH_CHECK(crc && next->kind == total->kind);
    uint64_t by_byte = one(crc) >> 8;
    uint64_t moved = times(crc, get_value(total), power(crc, by_byte, next_len));
    put_value(total, moved ^ get_value(next));
}

void lh_checksum_text(const struct lh_checksum *sum, char out[LH_CHECKSUM_TEXT])
{
    lh_base64_encode(sum->bytes, lh_checksum_size(sum->kind), out);
}

bool lh_checksum_from_text(enum lh_checksum_kind kind, lh_str text, struct lh_checksum *ret)
{
    struct lh_checksum sum = {.kind = kind};
    size_t len = 0;
    if (!lh_base64_decode(text, sum.bytes, sizeof(sum.bytes), &len) ||
        len != lh_checksum_size(kind))
        return false;
    *ret = sum;
    return true;
}
