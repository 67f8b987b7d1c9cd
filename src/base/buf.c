/*
 * The growing buffer. All growth goes through lh_buf_reserve, which alone decides on the maximum.
 */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

void lh_buf_check(const struct lh_buf *buf)
{
    LH_CHECK(buf->max < PTRDIFF_MAX);
    LH_CHECK(buf->cap <= buf->max + 1);
    LH_CHECK((buf->data != NULL) == (buf->cap > 0));
    if (!buf->data) {
        LH_CHECK(buf->len == 0);
        return;
    }
    LH_CHECK(buf->len < buf->cap);
    LH_CHECK(buf->data[buf->len] == '\0');
}

void lh_buf_deinit(struct lh_buf *buf)
{
    free(buf->data);
    *buf = LH_BUF_INIT(buf->max);
}

void lh_buf_reset(struct lh_buf *buf)
{
    buf->len = 0;
    buf->overflowed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

/* Room for content of `len` bytes and the terminator: doubled, but never beyond the maximum. */
static void grow(struct lh_buf *buf, size_t len)
{
    LH_CHECK(buf->max < PTRDIFF_MAX);
    size_t cap = buf->cap > 0 ? buf->cap * 2 : FIRST_CAPACITY;
    if (cap < len + 1)
        cap = len + 1;
    if (cap > buf->max + 1)
        cap = buf->max + 1;
    buf->data = lh_realloc(buf->data, cap);
    buf->cap = cap;
    buf->data[buf->len] = '\0';
}

char *lh_buf_reserve(struct lh_buf *buf, size_t len)
{
    if (buf->overflowed || len > buf->max - buf->len) {
        buf->overflowed = true;
        return NULL;
    }
    if (buf->len + len >= buf->cap)
        grow(buf, buf->len + len);
    return buf->data + buf->len;
}

void lh_buf_commit(struct lh_buf *buf, size_t len)
{
    LH_CHECK(len < buf->cap - buf->len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void lh_buf_append(struct lh_buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    char *room = lh_buf_reserve(buf, len);
    if (!room)
        return;
    memcpy(room, bytes, len);
    lh_buf_commit(buf, len);
}

void lh_buf_append_str(struct lh_buf *buf, lh_str text)
{
    lh_buf_append(buf, text.ptr, text.len);
}

void lh_buf_append_cstr(struct lh_buf *buf, const char *text)
{
    lh_buf_append(buf, text, strlen(text));
}

void lh_buf_append_char(struct lh_buf *buf, char byte)
{
    lh_buf_append(buf, &byte, 1);
}

void lh_buf_printf(struct lh_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lh_buf_vprintf(buf, format, args);
    va_end(args);
}

void lh_buf_vprintf(struct lh_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char small[128];
    int len = vsnprintf(small, sizeof(small), format, args);
    LH_CHECK(len >= 0);
    if ((size_t)len < sizeof(small)) {
        lh_buf_append(buf, small, (size_t)len);
    } else {
        char *room = lh_buf_reserve(buf, (size_t)len);
        if (room) {
            vsnprintf(room, (size_t)len + 1, format, again);
            lh_buf_commit(buf, (size_t)len);
        }
    }
    va_end(again);
}

void lh_buf_consume(struct lh_buf *buf, size_t len)
{
    LH_CHECK(len <= buf->len);
    if (len == 0)
        return;
    memmove(buf->data, buf->data + len, buf->len - len + 1);
    buf->len -= len;
}

char *lh_buf_take(struct lh_buf *buf)
{
    char *data = buf->data ? buf->data : lh_strdup("");
    *buf = LH_BUF_INIT(buf->max);
    return data;
}

lh_str lh_buf_str(const struct lh_buf *buf)
{
    return lh_str_of(buf->data ? buf->data : "", buf->len);
}

bool lh_buf_overflowed(const struct lh_buf *buf)
{
    return buf->overflowed;
}
