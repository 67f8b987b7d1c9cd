/*
 * JSON and NDJSON.
 */
#include "duck/encode_private.h"

#include "base/number.h"
#include "duck/statement_private.h"

#include <math.h>
#include <string.h>

/* What a byte of a text becomes: 0 = itself, 'u' = \u00XX, else a backslash and this. RFC 8259, 7.
 */
static const char escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
    ['\t'] = 't', [0x00] = 'u',  [0x01] = 'u', [0x02] = 'u', [0x03] = 'u', [0x04] = 'u',
    [0x05] = 'u', [0x06] = 'u',  [0x07] = 'u', [0x0b] = 'u', [0x0e] = 'u', [0x0f] = 'u',
    [0x10] = 'u', [0x11] = 'u',  [0x12] = 'u', [0x13] = 'u', [0x14] = 'u', [0x15] = 'u',
    [0x16] = 'u', [0x17] = 'u',  [0x18] = 'u', [0x19] = 'u', [0x1a] = 'u', [0x1b] = 'u',
    [0x1c] = 'u', [0x1d] = 'u',  [0x1e] = 'u', [0x1f] = 'u', [0x7f] = 0,
};

static void put_escape(struct lh_out *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    lh_out_char(out, '\\');
    lh_out_char(out, escapes[byte]);
    if (escapes[byte] == 'u') {
        const char code[4] = {'0', '0', hex[byte >> 4], hex[byte & 15]};
        lh_out_bytes(out, code, sizeof(code));
    }
}

/* DuckDB holds valid UTF-8 only, so bytes from 0x80 on pass as they are. */
static void put_string(struct lh_out *out, lh_str text)
{
    lh_out_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (escapes[byte] == 0)
            continue;
        lh_out_bytes(out, text.ptr + from, i - from);
        put_escape(out, byte);
        from = i + 1;
    }
    lh_out_bytes(out, text.ptr + from, text.len - from);
    lh_out_char(out, '"');
}

/* The text that CAST(blob AS VARCHAR) gives: \xAA for bytes that are not plain. */
static void put_blob(struct lh_out *out, lh_str bytes)
{
    static const char hex[] = "0123456789ABCDEF";
    lh_out_char(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        if (byte >= 32 && byte <= 126 && byte != '\\' && byte != '\'' && byte != '"') {
            lh_out_char(out, (char)byte);
        } else {
            const char code[5] = {'\\', '\\', 'x', hex[byte >> 4], hex[byte & 15]};
            lh_out_bytes(out, code, sizeof(code));
        }
    }
    lh_out_char(out, '"');
}

static inline void put_literal(struct lh_out *out, const char *text)
{
    lh_out_bytes(out, text, strlen(text));
}

/* Text of a bounded length, without a byte that needs an escape. */
static void put_plain(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    out->len += lh_value_text(v, row, lh_out_room(out, LH_TEXT_MAX));
}

static void put_quoted_plain(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    lh_out_char(out, '"');
    put_plain(out, v, row);
    lh_out_char(out, '"');
}

static void put_items(struct lh_out *out, const struct lh_vector *items, idx_t from, idx_t count)
{
    lh_out_char(out, '[');
    for (idx_t i = 0; i < count; i++) {
        if (i > 0)
            lh_out_char(out, ',');
        lh_encode_json_value(out, items, from + i);
    }
    lh_out_char(out, ']');
}

static void put_struct(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    lh_out_char(out, '{');
    for (size_t i = 0; i < v->child_count; i++) {
        if (i > 0)
            lh_out_char(out, ',');
        put_string(out, lh_str_from(v->names[i]));
        lh_out_char(out, ':');
        lh_encode_json_value(out, &v->children[i], row);
    }
    lh_out_char(out, '}');
}

/* A member's name is a text: what is none by itself stands in quotes. (type.c sees to it that no
 * key is nested.) */
static void put_map_key(struct lh_out *out, const struct lh_vector *keys, idx_t row)
{
    switch (keys->type) {
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
    case DUCKDB_TYPE_ENUM:
        lh_encode_json_value(out, keys, row);
        break;
    default:
        put_quoted_plain(out, keys, row);
        break;
    }
}

static void put_map(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    duckdb_list_entry entry = ((const duckdb_list_entry *)v->data)[row];
    lh_out_char(out, '{');
    for (idx_t i = 0; i < entry.length; i++) {
        if (i > 0)
            lh_out_char(out, ',');
        put_map_key(out, &v->children[0], entry.offset + i);
        lh_out_char(out, ':');
        lh_encode_json_value(out, &v->children[1], entry.offset + i);
    }
    lh_out_char(out, '}');
}

static bool is_finite(const struct lh_vector *v, idx_t row)
{
    return v->type == DUCKDB_TYPE_DOUBLE ? isfinite(((const double *)v->data)[row])
                                         : isfinite(((const float *)v->data)[row]);
}

void lh_encode_json_value(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    if (lh_vector_is_null(v, row)) {
        put_literal(out, "null");
        return;
    }
    switch (v->type) {
    case DUCKDB_TYPE_SQLNULL:
        put_literal(out, "null");
        return;
    case DUCKDB_TYPE_VARCHAR:
        put_string(out, lh_vector_str(v, row));
        return;
    case DUCKDB_TYPE_BLOB:
        put_blob(out, lh_vector_str(v, row));
        return;
    case DUCKDB_TYPE_ENUM:
        put_string(out, lh_vector_enum(v, row));
        return;
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
        if (is_finite(v, row))
            put_plain(out, v, row);
        else
            put_literal(out, "null");
        return;
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
    case DUCKDB_TYPE_DECIMAL:
        put_plain(out, v, row);
        return;
    case DUCKDB_TYPE_LIST: {
        duckdb_list_entry entry = ((const duckdb_list_entry *)v->data)[row];
        put_items(out, &v->children[0], entry.offset, entry.length);
        return;
    }
    case DUCKDB_TYPE_ARRAY:
        put_items(out, &v->children[0], row * v->array_size, v->array_size);
        return;
    case DUCKDB_TYPE_STRUCT:
        put_struct(out, v, row);
        return;
    case DUCKDB_TYPE_MAP:
        put_map(out, v, row);
        return;
    default:
        put_quoted_plain(out, v, row);
        return;
    }
}

/* ---- {"columns":[...],"rows":[[...],...],"row_count":...} ---- */

static void json_head(struct lh_duck_encoder *e)
{
    const struct lh_duck_statement *s = e->statement;
    put_literal(&e->out, "{\"columns\":[");
    for (size_t i = 0; i < s->column_count; i++) {
        put_literal(&e->out, i > 0 ? ",{\"name\":" : "{\"name\":");
        put_string(&e->out, lh_str_from(s->columns[i].name));
        put_literal(&e->out, ",\"type\":");
        put_string(&e->out, lh_str_from(s->columns[i].type_text));
        lh_out_char(&e->out, '}');
    }
    put_literal(&e->out, "],\"rows\":[");
}

static void json_row(struct lh_duck_encoder *e, idx_t row)
{
    if (e->rows > 0)
        lh_out_char(&e->out, ',');
    for (size_t i = 0; i < e->statement->column_count; i++) {
        lh_out_char(&e->out, i > 0 ? ',' : '[');
        lh_encode_json_value(&e->out, &e->columns[i], row);
    }
    lh_out_char(&e->out, ']');
}

static void put_number(struct lh_out *out, uint64_t value)
{
    out->len += lh_format_u64(value, lh_out_room(out, LH_NUMBER_MAX));
}

static void json_tail(struct lh_duck_encoder *e, const struct lh_duck_summary *summary)
{
    put_literal(&e->out, "],\"row_count\":");
    put_number(&e->out, summary->rows);
    put_literal(&e->out, summary->truncated ? ",\"truncated\":true" : ",\"truncated\":false");
    put_literal(&e->out, ",\"elapsed_ms\":");
    put_number(&e->out, (uint64_t)summary->elapsed_ms);
    put_literal(&e->out, ",\"query_id\":");
    put_string(&e->out, lh_str_from(summary->query_id));
    put_literal(&e->out, "}\n");
}

const struct lh_row_format lh_format_json = {json_head, json_row, json_tail};

/* ---- one object a line ---- */

static void ndjson_head(struct lh_duck_encoder *e)
{
    (void)e;
}

static void ndjson_row(struct lh_duck_encoder *e, idx_t row)
{
    for (size_t i = 0; i < e->statement->column_count; i++) {
        put_literal(&e->out, e->keys[i]);
        lh_encode_json_value(&e->out, &e->columns[i], row);
    }
    put_literal(&e->out, "}\n");
}

static void ndjson_tail(struct lh_duck_encoder *e, const struct lh_duck_summary *summary)
{
    (void)e;
    (void)summary;
}

const struct lh_row_format lh_format_ndjson = {ndjson_head, ndjson_row, ndjson_tail};
