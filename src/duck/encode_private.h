/*
 * Between encode.c (vectors, window) and the formats.
 */
#ifndef LH_DUCK_ENCODE_PRIVATE_H
#define LH_DUCK_ENCODE_PRIVATE_H

#include "duck/encode.h"

#include "base/check.h"

#include <duckdb.h>
#include <string.h>

/* The window before the sink. Writers ask for room, write at `out->data + out->len`, and move len.
 * A sink that failed takes no more: its bytes are dropped, the failure is told at the end of the
 * chunk. */
struct lh_out {
    char *data;
    size_t len;
    lh_duck_sink sink;
    void *sink_ctx;
    bool double_quotes; /* inside a quoted CSV field: " becomes "" */
    struct lh_error failure;
};

enum {
    LH_OUT_BYTES = 128 << 10,
    LH_OUT_ROOM_MAX = 4 << 10, /* largest request for room */
};

void lh_out_flush(struct lh_out *out);

/* Room for `bytes` more. */
static inline char *lh_out_room(struct lh_out *out, size_t bytes)
{
    LH_DCHECK(bytes <= LH_OUT_ROOM_MAX);
    if (LH_OUT_BYTES - out->len < bytes)
        lh_out_flush(out);
    return out->data + out->len;
}

/* A byte of structure. */
static inline void lh_out_char(struct lh_out *out, char c)
{
    char *to = lh_out_room(out, 2);
    to[0] = c;
    out->len++;
    if (c == '"' && out->double_quotes) {
        to[1] = '"';
        out->len++;
    }
}

/* Bytes as they are, of any length; quotes are doubled where they must be. */
void lh_out_bytes_slow(struct lh_out *out, const char *bytes, size_t len);
static inline void lh_out_bytes(struct lh_out *out, const char *bytes, size_t len)
{
    if (out->double_quotes || len > LH_OUT_BYTES - out->len) {
        lh_out_bytes_slow(out, bytes, len);
        return;
    }
    memcpy(out->data + out->len, bytes, len);
    out->len += len;
}

/* A vector with what its type says, made once; the pointers are those of the present chunk. */
struct lh_vector {
    duckdb_type type;
    duckdb_type storage; /* of DECIMAL and ENUM */
    uint8_t scale;       /* of DECIMAL */
    idx_t array_size;    /* of ARRAY */
    const void *data;
    const uint64_t *validity; /* NULL = all valid */
    size_t child_count;       /* LIST, ARRAY 1; MAP 2 (key, value); STRUCT its members */
    struct lh_vector *children;
    char **names;      /* STRUCT: of the members */
    char **dictionary; /* ENUM */
    size_t dictionary_count;
};

static inline bool lh_vector_is_null(const struct lh_vector *vector, idx_t row)
{
    return vector->validity != NULL && ((vector->validity[row >> 6] >> (row & 63)) & 1) == 0;
}

static inline lh_str lh_vector_str(const struct lh_vector *vector, idx_t row)
{
    const duckdb_string_t *text = &((const duckdb_string_t *)vector->data)[row];
    if (text->value.inlined.length <= sizeof(text->value.inlined.inlined))
        return lh_str_of(text->value.inlined.inlined, text->value.inlined.length);
    return lh_str_of(text->value.pointer.ptr, text->value.pointer.length);
}

/* The text of an ENUM. */
lh_str lh_vector_enum(const struct lh_vector *vector, idx_t row);

struct lh_duck_encoder {
    struct lh_duck_statement *statement;
    const struct lh_row_format *format;
    struct lh_out out;
    struct lh_vector *columns;
    char **keys; /* NDJSON: {"name": of the first member, ,"name": of the others; each name once */
    uint64_t rows;
};

struct lh_row_format {
    void (*head)(struct lh_duck_encoder *encoder);
    void (*row)(struct lh_duck_encoder *encoder, idx_t row);
    void (*tail)(struct lh_duck_encoder *encoder, const struct lh_duck_summary *summary);
};

extern const struct lh_row_format lh_format_json;
extern const struct lh_row_format lh_format_ndjson;
extern const struct lh_row_format lh_format_csv;

/* What stands before each value of an object, {"a": or ,"b": (encode_names.c). column_count texts.
 */
char **lh_encode_keys(const struct lh_duck_statement *statement);

/* One value as JSON (encode_json.c). */
void lh_encode_json_value(struct lh_out *out, const struct lh_vector *vector, idx_t row);

/* The text of a value of fixed size that is not NULL (encode_text.c): at most LH_TEXT_MAX bytes,
 * none of which needs an escape. */
enum { LH_TEXT_MAX = 128 };
size_t lh_value_text(const struct lh_vector *vector, idx_t row, char *out);

#endif
