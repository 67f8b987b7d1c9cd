/*
 * LHV1: one index as one object (docs/formats/lhv1.md).
 *
 *   4 bytes  magic "LHV1"
 *   4 bytes  length of the envelope, unsigned, big-endian
 *   n bytes  envelope: JSON, padded with spaces so that the sections begin at a multiple of 4,096
 *   rest     the sections, each at a multiple of 64 with zeros between: the arrays as in memory
 *
 * Every bit is covered: the envelope by a checksum of its own (over its text, with that checksum's
 * digits taken as zeros), the first section, which holds the XXH3 of each MiB of all that follows
 * it, by one in the envelope. Version 1 had sums of whole sections and no codes; it is still read.
 *
 * Writing: lh_frozen_new takes what changes (the links, the tombstones) out of an index while its
 * writer stands still; the rest never changes and is shared. Then the object is streamed without
 * any lock. Reading is a machine fed with bytes, so that an object need not be in memory twice.
 */
#ifndef LH_VECTORD_LHV1_H
#define LH_VECTORD_LHV1_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "vectord/index.h"

/* In the order in which they stand. */
enum lh_section {
    LH_SECTION_SUMS,
    LH_SECTION_CODES,
    LH_SECTION_LINKS0,
    LH_SECTION_UPPER,
    LH_SECTION_LEVELS,
    LH_SECTION_PARENTS,
    LH_SECTION_TOMBSTONES,
    LH_SECTION_ID_ENDS,
    LH_SECTION_IDS,
    LH_SECTION_METADATA_ENDS,
    LH_SECTION_METADATA,
    LH_SECTION_VECTORS,
    LH_SECTION_COUNT,
};

enum { LH_ENVELOPE_BYTES_MAX = 64 << 10 };

/* ---- writing ---- */

/* An index as it was at one moment. */
struct lh_frozen {
    struct lh_vindex *index; /* a reference */
    uint64_t sequence;       /* of the last log object that is in it */
    uint32_t count;
    uint32_t dead_count;
    int32_t entry;
    uint32_t entry_level;
    const void *data[LH_SECTION_COUNT];
    uint64_t bytes[LH_SECTION_COUNT];
    struct lh_codes *codes; /* a reference; NULL = none */
    void *links0;           /* copies, owned */
    void *upper;
    void *dead;
};

/* No change may be made to the index meanwhile; searches may run. LH_NO_MEMORY. */
lh_code lh_frozen_new(struct lh_vindex *index, uint64_t sequence, struct lh_frozen **ret_frozen,
                      struct lh_error *err);
void lh_frozen_free(struct lh_frozen *frozen); /* accepts NULL */

struct lh_lhv1_writer {
    const struct lh_frozen *frozen;
    struct lh_buf head; /* magic, length, envelope */
    uint64_t *sums;
    const void *data[LH_SECTION_COUNT];
    uint64_t section_bytes[LH_SECTION_COUNT];
    uint64_t offsets[LH_SECTION_COUNT];
    uint64_t bytes; /* of the whole object */
    uint64_t position;
};

/* Computes the checksums (one pass over everything) and the envelope. */
void lh_lhv1_writer_init(struct lh_lhv1_writer *writer, const struct lh_frozen *frozen);
void lh_lhv1_writer_deinit(struct lh_lhv1_writer *writer);
/* The next bytes, as lh_object_body.read wants them: 0 at the end. `ctx` is the writer. */
lh_code lh_lhv1_writer_read(void *ctx, void *bytes, size_t max, size_t *ret_len,
                            struct lh_error *err);

/* ---- reading ---- */

struct lh_lhv1_limits {
    const char *name;         /* the envelope must be of this index */
    struct lh_budget *budget; /* may be NULL */
    uint64_t reserve_bytes;
};

struct lh_lhv1_reader;

struct lh_lhv1_reader *lh_lhv1_reader_new(const struct lh_lhv1_limits *limits);
void lh_lhv1_reader_free(struct lh_lhv1_reader *reader); /* accepts NULL */

/* The object's bytes in order, in pieces of any size; `ctx` is the reader. Memory is taken as far
 * as the envelope says and the limits allow. LH_CORRUPT, LH_INDEX_MEMORY. */
lh_code lh_lhv1_reader_feed(void *ctx, const void *bytes, size_t len, struct lh_error *err);

/* The end of the object: verifies all checksums and every index in the arrays before it hands out
 * the index (one reference) and the last sequence that is in it. */
lh_code lh_lhv1_reader_finish(struct lh_lhv1_reader *reader, struct lh_vindex **ret_index,
                              uint64_t *ret_sequence, struct lh_error *err);

/* What the envelope said, once it has been read; NULL before. */
const struct lh_vindex_config *lh_lhv1_reader_config(const struct lh_lhv1_reader *reader,
                                                     uint64_t *ret_sequence);

#endif
