/*
 * A set of texts: which object keys are there already. The texts are borrowed. Not thread-safe.
 */
#ifndef LH_CATALOGD_KEYSET_H
#define LH_CATALOGD_KEYSET_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct lh_keyset {
    lh_str *slots; /* a power of two; ptr NULL = free */
    size_t slot_count;
    size_t count;
};

/* Room for `expected` texts without growing. */
struct lh_keyset lh_keyset_new(size_t expected);
void lh_keyset_deinit(struct lh_keyset *set);
/* False when it was in the set already. */
bool lh_keyset_add(struct lh_keyset *set, lh_str key);
/* The set's own copy of the (borrowed) text, or LH_STR_NONE. */
lh_str lh_keyset_get(const struct lh_keyset *set, lh_str key);
bool lh_keyset_has(const struct lh_keyset *set, lh_str key);
#define LH_AUTO_KEYSET __attribute__((cleanup(lh_keyset_deinit)))

#endif
