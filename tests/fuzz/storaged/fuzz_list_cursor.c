/*
 * The cursor of a listing: what is accepted is what we would have written, for that listing and no
 * other. Input: prefix, NUL, delimiter, NUL, cursor.
 */
#include "storaged/cursor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_str rest = lh_str_of((const char *)data, size);
    lh_str prefix;
    lh_str delimiter;
    if (!lh_str_next(&rest, '\0', &prefix) || !lh_str_next(&rest, '\0', &delimiter))
        return 0;
    struct lh_cursor cursor;
    struct lh_error err = LH_ERROR_INIT;
    if (lh_cursor_decode(rest, prefix, delimiter, &cursor, &err) != LH_OK)
        return 0;
    char text[LH_STORE_CURSOR_MAX];
    lh_cursor_encode(&cursor, prefix, delimiter, text);
    if (!lh_str_eq_nocase(lh_str_from(text), rest))
        abort();
    return 0;
}
