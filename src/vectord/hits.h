/*
 * The answer to searches, written as JSON or as raw bytes (docs/api/vectord.md):
 *
 *   for each query, little-endian: 4 bytes number of hits; 4 bytes flags, bit 0 = exact;
 *   4 bytes for each distance (float); 2 bytes for each id's length; the ids; zeros up to a
 *   multiple of 4
 */
#ifndef LH_VECTORD_HITS_H
#define LH_VECTORD_HITS_H

#include "base/buf.h"
#include "base/json.h"
#include "vectord/collection.h"

/* The hits of one query. */
struct lh_hits {
    const struct lh_vindex *index;
    const struct lh_hnsw_hit *items;
    size_t count;
    bool exact;
};

/* One hit as an object. */
void lh_hits_put_json(struct lh_json *json, const struct lh_hits *hits, size_t i, bool metadata);
/* All of them. */
void lh_hits_put_raw(struct lh_buf *out, const struct lh_hits *hits);

/* The member "metadata" of a slot, in an object that is being written. */
void lh_hits_put_metadata(struct lh_json *json, const struct lh_vindex *index, uint32_t slot);

#endif
