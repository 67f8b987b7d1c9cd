/*
 * The compact protocol: fields as (difference to the last id, type) in one byte where it fits,
 * integers as zigzag varints, text as length and bytes. Nothing here allocates on its own.
 */
#include "catalogd/thrift.h"

#include "base/check.h"

/* ---- writing ---- */

static void put_varint(struct lh_buf *out, uint64_t value)
{
    while (value >= 0x80) {
        lh_buf_append_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    lh_buf_append_char(out, (char)value);
}

static void put_zigzag(struct lh_buf *out, int64_t value)
{
    put_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static void put_field(struct lh_thrift_writer *w, int id, enum lh_thrift_type type)
{
    LH_CHECK(w->depth > 0);
    int *last = &w->last_id[w->depth - 1];
    LH_CHECK(id > *last && id - *last <= 15); /* so the long form is never needed */
    lh_buf_append_char(w->out, (char)((id - *last) << 4 | (int)type));
    *last = id;
}

void lh_thrift_begin(struct lh_thrift_writer *w)
{
    LH_CHECK(w->depth < LH_THRIFT_DEPTH_MAX);
    w->last_id[w->depth++] = 0;
}

void lh_thrift_begin_field(struct lh_thrift_writer *w, int id)
{
    put_field(w, id, LH_THRIFT_STRUCT);
    lh_thrift_begin(w);
}

void lh_thrift_end(struct lh_thrift_writer *w)
{
    LH_CHECK(w->depth > 0);
    lh_buf_append_char(w->out, LH_THRIFT_STOP);
    w->depth--;
}

void lh_thrift_i8(struct lh_thrift_writer *w, int id, int8_t value)
{
    put_field(w, id, LH_THRIFT_I8);
    lh_buf_append_char(w->out, (char)value);
}

void lh_thrift_i32(struct lh_thrift_writer *w, int id, int32_t value)
{
    put_field(w, id, LH_THRIFT_I32);
    put_zigzag(w->out, value);
}

void lh_thrift_i64(struct lh_thrift_writer *w, int id, int64_t value)
{
    put_field(w, id, LH_THRIFT_I64);
    put_zigzag(w->out, value);
}

void lh_thrift_bool(struct lh_thrift_writer *w, int id, bool value)
{
    put_field(w, id, value ? LH_THRIFT_TRUE : LH_THRIFT_FALSE);
}

void lh_thrift_text(struct lh_thrift_writer *w, int id, lh_str text)
{
    put_field(w, id, LH_THRIFT_BINARY);
    lh_thrift_element_text(w, text);
}

void lh_thrift_list(struct lh_thrift_writer *w, int id, enum lh_thrift_type type, size_t count)
{
    put_field(w, id, LH_THRIFT_LIST);
    if (count < 15) {
        lh_buf_append_char(w->out, (char)(count << 4 | (size_t)type));
        return;
    }
    lh_buf_append_char(w->out, (char)(0xf0 | (int)type));
    put_varint(w->out, count);
}

void lh_thrift_element_i32(struct lh_thrift_writer *w, int32_t value)
{
    put_zigzag(w->out, value);
}

void lh_thrift_element_text(struct lh_thrift_writer *w, lh_str text)
{
    put_varint(w->out, text.len);
    lh_buf_append_str(w->out, text);
}

/* ---- reading ---- */

static uint8_t take_byte(struct lh_thrift_reader *r)
{
    if (r->bad || r->at == r->end) {
        r->bad = true;
        return 0;
    }
    return *r->at++;
}

static uint64_t take_varint(struct lh_thrift_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return r->bad ? 0 : value;
    }
    r->bad = true; /* more than ten bytes */
    return 0;
}

static int64_t take_zigzag(struct lh_thrift_reader *r)
{
    uint64_t value = take_varint(r);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static lh_str take_bytes(struct lh_thrift_reader *r, uint64_t len)
{
    if (r->bad || len > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return LH_STR_NONE;
    }
    lh_str bytes = lh_str_of((const char *)r->at, (size_t)len);
    r->at += len;
    return bytes;
}

bool lh_thrift_next(struct lh_thrift_reader *r, int *id, enum lh_thrift_type *ret_type)
{
    uint8_t head = take_byte(r);
    enum lh_thrift_type type = (enum lh_thrift_type)(head & 0x0f);
    if (r->bad || type == LH_THRIFT_STOP)
        return false;
    int64_t next = head >> 4 ? *id + (head >> 4) : take_zigzag(r);
    if (type > LH_THRIFT_STRUCT || next < 0 || next > INT16_MAX) {
        r->bad = true;
        return false;
    }
    *id = (int)next;
    *ret_type = type;
    return !r->bad;
}

int64_t lh_thrift_read_int(struct lh_thrift_reader *r, enum lh_thrift_type type)
{
    if (type == LH_THRIFT_I8)
        return (int8_t)take_byte(r);
    if (type >= LH_THRIFT_I16 && type <= LH_THRIFT_I64)
        return take_zigzag(r);
    r->bad = true;
    return 0;
}

lh_str lh_thrift_read_text(struct lh_thrift_reader *r, enum lh_thrift_type type)
{
    if (type != LH_THRIFT_BINARY)
        r->bad = true;
    return take_bytes(r, take_varint(r));
}

size_t lh_thrift_read_list(struct lh_thrift_reader *r, enum lh_thrift_type type,
                           enum lh_thrift_type element, size_t count_max)
{
    uint8_t head = take_byte(r);
    uint64_t count = head >> 4 == 15 ? take_varint(r) : head >> 4;
    if (type != LH_THRIFT_LIST || (head & 0x0f) != (int)element || count > count_max)
        r->bad = true;
    return r->bad ? 0 : (size_t)count;
}

static void skip_value(struct lh_thrift_reader *r, enum lh_thrift_type type, unsigned depth);

/* Each element takes at least one byte, so a wrong count ends at the end of the input. */
static void skip_elements(struct lh_thrift_reader *r, uint64_t count, enum lh_thrift_type type,
                          unsigned depth)
{
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        if (type == LH_THRIFT_TRUE || type == LH_THRIFT_FALSE)
            take_byte(r);
        else
            skip_value(r, type, depth);
    }
}

static void skip_struct(struct lh_thrift_reader *r, unsigned depth)
{
    int id = 0;
    enum lh_thrift_type type;
    while (lh_thrift_next(r, &id, &type))
        skip_value(r, type, depth);
}

static void skip_value(struct lh_thrift_reader *r, enum lh_thrift_type type, unsigned depth)
{
    if (depth == 0) {
        r->bad = true;
        return;
    }
    switch (type) {
    case LH_THRIFT_TRUE:
    case LH_THRIFT_FALSE:
        return;
    case LH_THRIFT_I8:
        take_byte(r);
        return;
    case LH_THRIFT_I16:
    case LH_THRIFT_I32:
    case LH_THRIFT_I64:
        take_varint(r);
        return;
    case LH_THRIFT_DOUBLE:
        take_bytes(r, 8);
        return;
    case LH_THRIFT_BINARY:
        take_bytes(r, take_varint(r));
        return;
    case LH_THRIFT_LIST:
    case LH_THRIFT_SET: {
        uint8_t head = take_byte(r);
        uint64_t count = head >> 4 == 15 ? take_varint(r) : head >> 4;
        skip_elements(r, count, (enum lh_thrift_type)(head & 0x0f), depth - 1);
        return;
    }
    case LH_THRIFT_MAP: {
        uint64_t count = take_varint(r);
        uint8_t types = count > 0 ? take_byte(r) : 0;
        for (uint64_t i = 0; i < count && !r->bad; i++) {
            skip_elements(r, 1, (enum lh_thrift_type)(types >> 4), depth - 1);
            skip_elements(r, 1, (enum lh_thrift_type)(types & 0x0f), depth - 1);
        }
        return;
    }
    case LH_THRIFT_STRUCT:
        skip_struct(r, depth - 1);
        return;
    case LH_THRIFT_STOP:
        break;
    }
    r->bad = true;
}

void lh_thrift_skip(struct lh_thrift_reader *r, enum lh_thrift_type type)
{
    skip_value(r, type, LH_THRIFT_DEPTH_MAX);
}
