/*
 * Headers and tags of objects as the index keeps them: for each name and value a u16 of the length
 * of each, little-endian, and their bytes.
 */
#ifndef LH_STORAGED_ATTRIBUTES_H
#define LH_STORAGED_ATTRIBUTES_H

#include "storaged/storaged.h"

/* LH_TOO_LARGE beyond the bounds of storaged.h, LH_INVALID for an empty name. The text is owned by
 * the caller; NULL and 0 when the list is empty. */
lh_code lh_attributes_encode_headers(struct lh_attributes headers, char **ret_text, size_t *ret_len,
                                     struct lh_error *err);
lh_code lh_attributes_encode_tags(struct lh_attributes tags, char **ret_text, size_t *ret_len,
                                  struct lh_error *err);

/* The list is owned by the caller and borrows from `text`. LH_CORRUPT when that is no such text. */
lh_code lh_attributes_decode(lh_str text, struct lh_attribute **ret_list, size_t *ret_count,
                             struct lh_error *err);

#endif
