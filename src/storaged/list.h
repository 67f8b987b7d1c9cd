/*
 * Places in the order of keys, for the listings.
 */
#ifndef LH_STORAGED_LIST_H
#define LH_STORAGED_LIST_H

#include "storaged/storaged.h"

/* One byte longer than a key for "just after this key". */
struct lh_position {
    size_t len;
    char bytes[LH_STORE_KEY_MAX + 1];
};

/* The first string after all that begin with `prefix`; false when there is none. */
bool lh_position_after_prefix(lh_str prefix, struct lh_position *ret);

bool lh_begins_with(lh_str key, lh_str prefix);
/* The key up to and with its first delimiter behind the prefix; LH_STR_NONE if it has none. */
lh_str lh_common_prefix(lh_str key, lh_str prefix, lh_str delimiter);

/* LH_INVALID for a prefix, delimiter or start that no key can have. */
lh_code lh_list_check_part(const char *what, lh_str text, struct lh_error *err);

#endif
