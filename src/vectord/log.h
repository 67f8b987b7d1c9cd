/*
 * LHVL: one object of an index's log, the changes of one commit (docs/formats/lhv1.md). All numbers
 * are little-endian.
 *
 *    0   4  magic "LHVL"
 *    4   4  version, 1
 *    8  16  UUID of the index
 *   24   8  sequence
 *   32   4  number of records
 *   36   4  dimension
 *   40   8  bytes of the records
 *   48      records, each:
 *             1  kind: 1 upsert, 2 delete
 *             1  zero
 *             2  length of the id, 1 to 256
 *             4  length of the metadata, 0 = none
 *             -  id, metadata, zeros up to a multiple of 4
 *             -  upsert: the vector, 4 bytes a dimension
 *    end  8  XXH3 of everything before
 */
#ifndef LH_VECTORD_LOG_H
#define LH_VECTORD_LOG_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "vectord/batch.h"

/* No log object is larger; the settings keep bodies, and so commits, far below. */
#define LH_LOG_OBJECT_BYTES_MAX ((size_t)64 << 30)

/* Writing: begin once, append batches, seal. A sealed object may be sealed again with another
 * sequence. */
void lh_lhvl_begin(const struct lh_vindex_config *config, struct lh_buf *out);
void lh_lhvl_append(const struct lh_vindex_config *config, const struct lh_batch *batch,
                    struct lh_buf *out);
void lh_lhvl_seal(uint64_t sequence, struct lh_buf *out);
/* Bytes that a batch adds, and those of an object without records. */
uint64_t lh_lhvl_batch_bytes(const struct lh_vindex_config *config, const struct lh_batch *batch);
enum { LH_LHVL_EMPTY_BYTES = 56 };

struct lh_lhvl_head {
    char uuid[LH_UUID_TEXT];
    uint64_t sequence;
    uint32_t record_count;
    uint32_t dimension;
};

/* Verifies the checksum and the head alone; believes nothing. LH_CORRUPT. */
lh_code lh_lhvl_head(lh_str object, struct lh_lhvl_head *ret_head, struct lh_error *err);

/* Verifies everything and appends the changes, which point into `object` (aligned to 4).
 * LH_CORRUPT, also when it belongs to an index of another UUID or dimension. */
lh_code lh_lhvl_decode(lh_str object, const struct lh_vindex_config *config, struct lh_batch *batch,
                       struct lh_lhvl_head *ret_head, struct lh_error *err);

#endif
