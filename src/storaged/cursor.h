/*
 * The cursor of a listing: where the page before ended. Opaque to clients, and bound to the prefix
 * and delimiter of its listing: hex of
 *
 *   u8 version (1) | u8 kind | u32 check, little-endian | position (1 to 1,024 bytes)
 *
 * check: the lower half of XXH3 over prefix, NUL, delimiter, NUL, kind, position.
 */
#ifndef LH_STORAGED_CURSOR_H
#define LH_STORAGED_CURSOR_H

#include "storaged/storaged.h"

enum lh_cursor_kind {
    LH_CURSOR_KEY = 'k',    /* go on after this key */
    LH_CURSOR_PREFIX = 'p', /* go on after all keys with this common prefix */
};

struct lh_cursor {
    enum lh_cursor_kind kind;
    size_t len;
    char position[LH_STORE_KEY_MAX];
};

void lh_cursor_encode(const struct lh_cursor *cursor, lh_str prefix, lh_str delimiter,
                      char out[LH_STORE_CURSOR_MAX]);
/* LH_INVALID when the text is no cursor of that listing. */
lh_code lh_cursor_decode(lh_str text, lh_str prefix, lh_str delimiter, struct lh_cursor *ret_cursor,
                         struct lh_error *err);

#endif
