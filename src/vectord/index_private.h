/* What the files of an index in memory share. */
#ifndef LH_VECTORD_INDEX_PRIVATE_H
#define LH_VECTORD_INDEX_PRIVATE_H

#include "vectord/index.h"

enum {
    LH_INDEX_MAGIC = 0x4c484958,
    LH_INDEX_CALIBRATE_MIN = 4096, /* slots; smaller indexes are scanned, mostly */
};

/* ---- texts: the bytes of a slot begin where those of the one before end ---- */

static inline const uint64_t *lh_index_ends(const struct lh_rows *ends)
{
    return (const uint64_t *)(const void *)ends->base;
}

static inline uint64_t lh_index_end(const struct lh_rows *ends, uint32_t count)
{
    return count == 0 ? 0 : lh_index_ends(ends)[count - 1];
}

/* The text of a new slot; those before it are there, and room is. */
void lh_index_append(struct lh_rows *bytes, struct lh_rows *ends, uint32_t slot, lh_str text);

/* ---- the table of ids ---- */

uint32_t lh_id_tag(lh_str id);
void lh_id_table_put(struct lh_id_table *table, uint32_t tag, int32_t slot);
/* The place of an id, or -1. */
int64_t lh_id_table_find(const struct lh_vindex *index, lh_str id, uint32_t tag);
void lh_id_table_remove(struct lh_id_table *table, uint32_t at);
/* Room for so many ids. LH_INDEX_MEMORY. */
lh_code lh_id_table_new(struct lh_id_table *table, uint64_t items, struct lh_error *err);
/* Fills next_table beside readers, who use `table` until it is switched. */
lh_code lh_id_tables_grow(struct lh_vindex *index, uint32_t items, struct lh_error *err);
/* Readers are excluded. */
void lh_id_tables_switch(struct lh_vindex *index);

/* ---- codes ---- */

/* Calibrates, encodes all, and puts the codes in place, for which `lock` is taken; does nothing
 * before the index has grown enough since the last time. */
void lh_index_calibrate_when_due(struct lh_vindex *index, pthread_rwlock_t *lock);
/* The codes that it has are good until it has grown. */
void lh_index_put_off_calibration(struct lh_vindex *index);

#endif
