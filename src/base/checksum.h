/*
 * The checksums that S3 knows (Amazon S3 User Guide, "Checking object integrity"): CRC-32
 * (ISO-HDLC), CRC-32C (Castagnoli), CRC-64/NVME, SHA-1, SHA-256. Values are big-endian bytes, as
 * they are put into base64.
 */
#ifndef LH_BASE_CHECKSUM_H
#define LH_BASE_CHECKSUM_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lh_checksum_kind {
    LH_CHECKSUM_NONE,
    LH_CHECKSUM_CRC32,
    LH_CHECKSUM_CRC32C,
    LH_CHECKSUM_CRC64NVME,
    LH_CHECKSUM_SHA1,
    LH_CHECKSUM_SHA256,
};

enum { LH_CHECKSUM_MAX = 32, LH_CHECKSUM_TEXT = 45 /* base64 with its terminator */ };

struct lh_checksum {
    enum lh_checksum_kind kind;
    uint8_t bytes[LH_CHECKSUM_MAX]; /* lh_checksum_size(kind) of them */
};

size_t lh_checksum_size(enum lh_checksum_kind kind);
/* "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"; parsing is without case. NONE for others. */
const char *lh_checksum_name(enum lh_checksum_kind kind);
enum lh_checksum_kind lh_checksum_parse(lh_str name);

/* A running checksum; the CRCs use the CPU's instructions where it has them. new never returns
 * NULL; final may be called once. */
struct lh_checksummer;
struct lh_checksummer *lh_checksummer_new(enum lh_checksum_kind kind);
void lh_checksummer_update(struct lh_checksummer *sum, const void *bytes, size_t len);
void lh_checksummer_final(struct lh_checksummer *sum, struct lh_checksum *ret);
void lh_checksummer_free(struct lh_checksummer *sum); /* accepts NULL */

/* The CRC of two byte strings, one behind the other, from theirs: `total` becomes that of total and
 * next, which has `next_len` bytes. Only for the CRC kinds, both the same. */
void lh_checksum_combine(struct lh_checksum *total, const struct lh_checksum *next,
                         uint64_t next_len);

void lh_checksum_text(const struct lh_checksum *sum, char out[LH_CHECKSUM_TEXT]);
/* False when it is not the base64 of so many bytes. */
bool lh_checksum_from_text(enum lh_checksum_kind kind, lh_str text, struct lh_checksum *ret);

#endif
