/*
 * The compact protocol of Apache Thrift, as far as Parquet's headers need it: a writer, and a
 * reader for bytes that nobody vouches for.
 * https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */
#ifndef LH_CATALOGD_THRIFT_H
#define LH_CATALOGD_THRIFT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum lh_thrift_type {
    LH_THRIFT_STOP = 0,
    LH_THRIFT_TRUE = 1, /* as a field's type a boolean is its own value */
    LH_THRIFT_FALSE = 2,
    LH_THRIFT_I8 = 3,
    LH_THRIFT_I16 = 4,
    LH_THRIFT_I32 = 5,
    LH_THRIFT_I64 = 6,
    LH_THRIFT_DOUBLE = 7,
    LH_THRIFT_BINARY = 8,
    LH_THRIFT_LIST = 9,
    LH_THRIFT_SET = 10,
    LH_THRIFT_MAP = 11,
    LH_THRIFT_STRUCT = 12,
};

enum { LH_THRIFT_DEPTH_MAX = 16 };

/* ---- writing: into a buffer; fields of a struct in ascending order of their ids ---- */

struct lh_thrift_writer {
    struct lh_buf *out;
    int last_id[LH_THRIFT_DEPTH_MAX]; /* of the field before, per open struct */
    unsigned depth;                   /* open structs */
};

#define LH_THRIFT_TO(buffer) ((struct lh_thrift_writer){.out = (buffer)})

/* The outermost struct and the elements of a list begin without a field; others are fields. */
void lh_thrift_begin(struct lh_thrift_writer *w);
void lh_thrift_begin_field(struct lh_thrift_writer *w, int id);
void lh_thrift_end(struct lh_thrift_writer *w);
void lh_thrift_i8(struct lh_thrift_writer *w, int id, int8_t value);
void lh_thrift_i32(struct lh_thrift_writer *w, int id, int32_t value);
void lh_thrift_i64(struct lh_thrift_writer *w, int id, int64_t value);
void lh_thrift_bool(struct lh_thrift_writer *w, int id, bool value);
void lh_thrift_text(struct lh_thrift_writer *w, int id, lh_str text);
/* A list's header; `count` elements follow by begin/end or lh_thrift_element_*. */
void lh_thrift_list(struct lh_thrift_writer *w, int id, enum lh_thrift_type type, size_t count);
void lh_thrift_element_i32(struct lh_thrift_writer *w, int32_t value);
void lh_thrift_element_text(struct lh_thrift_writer *w, lh_str text);

/* ---- reading: the first malformed byte sets `bad`, which stays set; values read after it are 0
 * ---- */

struct lh_thrift_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

/* The next field of a struct; *id is 0 before the first. False at the struct's end, or when bad.
 *
 *   int id = 0;
 *   enum lh_thrift_type type;
 *   while (lh_thrift_next(r, &id, &type)) {
 *       if (id == 3) rows = lh_thrift_read_int(r, type); else lh_thrift_skip(r, type); }
 */
bool lh_thrift_next(struct lh_thrift_reader *r, int *id, enum lh_thrift_type *ret_type);
/* I8 to I64. Another type is bad. */
int64_t lh_thrift_read_int(struct lh_thrift_reader *r, enum lh_thrift_type type);
/* BINARY, borrowed from the input. */
lh_str lh_thrift_read_text(struct lh_thrift_reader *r, enum lh_thrift_type type);
/* A list's header: its count, at most count_max (more is bad), 0 when bad. */
size_t lh_thrift_read_list(struct lh_thrift_reader *r, enum lh_thrift_type type,
                           enum lh_thrift_type element, size_t count_max);
void lh_thrift_skip(struct lh_thrift_reader *r, enum lh_thrift_type type);

#endif
