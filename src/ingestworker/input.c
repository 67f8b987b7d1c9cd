/*
 * Reading, and showing what was read.
 */
#include "ingestworker/input.h"

#include "base/os.h"

#include <errno.h>

enum { EXCERPT_BYTES = 200 };

lh_code lh_input_read(int fd, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    ssize_t got;
    do {
        got = lh_io->read(fd, bytes, max);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return lh_fail_errno(err, "cannot read the input");
    *ret_len = (size_t)got;
    return LH_OK;
}

void lh_error_set_excerpt(struct lh_error *err, lh_str text)
{
    size_t len = text.len < EXCERPT_BYTES ? text.len : EXCERPT_BYTES;
    while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    memcpy(err->excerpt, text.ptr, len);
    err->excerpt[len] = '\0';
    for (size_t i = 0; i < len; i++) /* a line of text, even when the value was not */
        if ((unsigned char)err->excerpt[i] < ' ')
            err->excerpt[i] = ' ';
}
