/*
 * lh_fields: the secondary indexes of one lh_vindex, made of its items' metadata when a filter
 * first asks for a field, and kept with the lh_vindex.
 *
 * A field's index is a column: for every slot the number of what the field holds there. Contents
 * that are equal have one number, so a condition is decided once for each different content, and
 * then looked up for each slot. As slots only grow and a slot's metadata never changes, a column
 * is brought up to date by reading the slots that came since it was last used: upserts and deletes
 * do nothing for it. The same holds for the slots that fulfil a whole filter: those of the last
 * filters are kept, and the next search with one of them reads the new slots only.
 *
 * Which slots are dead is not known here; the caller takes them out (select.h).
 *
 * Memory comes out of the index's budget. What was least recently used makes room: filters beyond
 * 32, fields beyond 64, and both when the budget is used up.
 *
 * thread-safe; one evaluation at a time for each index. It is built without holding up searches
 * that have no filter, or writers.
 */
#ifndef LH_VECTORD_FIELDS_H
#define LH_VECTORD_FIELDS_H

#include "vectord/filter.h"
#include "vectord/index.h"

/* Bit slot % 64 of word slot / 64, for slots below `slots`; bits above are 0. */
struct lh_slot_set {
    uint64_t *words; /* owned */
    uint32_t slots;
    uint32_t count; /* of bits that are set */
};

#define LH_AUTO_SLOT_SET LH_AUTO(lh_slot_set_deinit)
void lh_slot_set_deinit(struct lh_slot_set *set); /* accepts the zero state */

/* The slots below `slots` (which have all been handed out) whose metadata fulfils the filter, dead
 * ones too; `count` is not set. `key` is the filter's text: equal texts are equal filters.
 * LH_INDEX_MEMORY. */
lh_code lh_fields_select(struct lh_vindex *index, uint32_t slots, const struct lh_filter *filter,
                         lh_str key, struct lh_slot_set *ret_set, struct lh_error *err);

/* What the indexes of the fields take; part of the budget's use. */
uint64_t lh_fields_bytes(struct lh_vindex *index);

#endif
