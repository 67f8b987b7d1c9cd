/*
 * A strict JSON scanner (RFC 8259) over bytes in memory, for bodies that are mostly numbers: it
 * builds no tree. A failure is LH_INVALID with line and column.
 *
 * An object is read by a table of its members, each with a function that reads its value; so a
 * body's shape stands in one place, and unknown members and members that stand twice are refused.
 */
#ifndef LH_VECTORD_SCAN_H
#define LH_VECTORD_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum { LH_SCAN_DEPTH_MAX = 64 };

struct lh_scan {
    const char *at;
    const char *end;
    const char *start;      /* of the body, for line and column */
    uint64_t first_line;    /* lines of the stream before it */
    struct lh_arena *arena; /* for strings with escapes */
};

struct lh_scan lh_scan_start(lh_str body, struct lh_arena *arena);

/* "... at line 3, column 7": what stands there is not what JSON or the body's shape wants. */
lh_code lh_scan_fail(const struct lh_scan *scan, struct lh_error *err, const char *wanted);

void lh_scan_space(struct lh_scan *scan);
/* The next byte that is not space, 0 at the end. It is not consumed. */
char lh_scan_peek(struct lh_scan *scan);
/* Consumes the byte if it is the next one that is not space. */
bool lh_scan_take(struct lh_scan *scan, char byte);
/* Nothing but space may be left. */
lh_code lh_scan_end(struct lh_scan *scan, struct lh_error *err);

/* A string: borrowed from the body when it has no escapes, else in the arena (LH_TOO_LARGE beyond
 * its limit). Its bytes are not checked for UTF-8. */
lh_code lh_scan_string(struct lh_scan *scan, lh_str *ret, struct lh_error *err);
lh_code lh_scan_bool(struct lh_scan *scan, bool *ret, struct lh_error *err);
/* A whole number that is not negative. */
lh_code lh_scan_u64(struct lh_scan *scan, uint64_t *ret, struct lh_error *err);
/* Any value; *ret is its text as it stands in the body. */
lh_code lh_scan_value(struct lh_scan *scan, lh_str *ret, struct lh_error *err);

struct lh_scan_member {
    const char *name;
    /* Reads the value that is next. */
    lh_code (*read)(struct lh_scan *scan, void *ctx, struct lh_error *err);
};

/* An object of these members, at most 32, in any order; *ret_seen has bit i set when member i stood
 * there. `what` names the object for messages. */
lh_code lh_scan_object(struct lh_scan *scan, const struct lh_scan_member *members, size_t count,
                       const char *what, void *ctx, unsigned *ret_seen, struct lh_error *err);

/* Reads an array: calls `read` for each element with its number. */
lh_code lh_scan_array(struct lh_scan *scan, const char *what,
                      lh_code (*read)(struct lh_scan *scan, size_t number, void *ctx,
                                      struct lh_error *err),
                      void *ctx, struct lh_error *err);

/* Copies JSON without the space between its tokens; `out` has room for text.len bytes. Returns the
 * length. The text must be valid. */
size_t lh_scan_compact(lh_str text, char *out);

#endif
