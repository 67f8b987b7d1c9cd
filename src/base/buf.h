/*
 * lh_buf: a growing byte buffer with a maximum. Whoever creates one says how large it may become,
 * so no input from outside decides on our memory.
 *
 * Appending beyond the maximum drops the bytes and sets `overflowed`; from then on nothing is
 * appended until lh_buf_reset, so the content has no gap. Writers append freely and ask once at the
 * end (lh_buf_overflowed). Memory for the buffer does not fail.
 *
 * Invariant (lh_buf_check): len <= cap <= max + 1, and data[len] == 0 whenever data != NULL, so
 * the content may be used as a C string when it holds no NUL.
 */
#ifndef LH_BASE_BUF_H
#define LH_BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct lh_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool overflowed;
};

/* Nothing is allocated until the first append. */
#define LH_BUF_INIT(bytes_max) ((struct lh_buf){.max = (bytes_max)})

void lh_buf_deinit(struct lh_buf *buf); /* accepts the zero state */
void lh_buf_reset(struct lh_buf *buf);  /* empty, memory kept, overflowed cleared */
void lh_buf_append(struct lh_buf *buf, const void *bytes, size_t len);
void lh_buf_append_str(struct lh_buf *buf, lh_str text);
void lh_buf_append_cstr(struct lh_buf *buf, const char *text);
void lh_buf_append_char(struct lh_buf *buf, char byte);
void lh_buf_printf(struct lh_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void lh_buf_vprintf(struct lh_buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Room for `len` more bytes, or NULL (and overflowed) when that goes beyond the maximum. The caller
 * writes at most len bytes there and then says how many by lh_buf_commit. */
char *lh_buf_reserve(struct lh_buf *buf, size_t len);
void lh_buf_commit(struct lh_buf *buf, size_t len);

/* Drops bytes at the front. */
void lh_buf_consume(struct lh_buf *buf, size_t len);

/* Moves the content out as a terminated string (never NULL) owned by the caller; buf is empty. */
char *lh_buf_take(struct lh_buf *buf);

lh_str lh_buf_str(const struct lh_buf *buf); /* borrowed until the next change */
bool lh_buf_overflowed(const struct lh_buf *buf);
void lh_buf_check(const struct lh_buf *buf); /* validator: aborts when an invariant is broken */

#define LH_AUTO_BUF __attribute__((cleanup(lh_buf_deinit)))

#endif
