/*
 * CSV as in RFC 4180, with \n at the end of lines: a head line of names, fields quoted only where
 * they must be.
 */
#include "duck/encode_private.h"

#include "duck/statement_private.h"

#include <string.h>

static void put_quoted(struct lh_out *out, lh_str text)
{
    lh_out_char(out, '"');
    out->double_quotes = true;
    lh_out_bytes(out, text.ptr, text.len);
    out->double_quotes = false;
    lh_out_char(out, '"');
}

static bool needs_quotes(lh_str text)
{
    if (text.len == 0) /* "" is the empty text, nothing at all is NULL */
        return true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"' || c == ',' || c == '\n' || c == '\r')
            return true;
    }
    return text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ';
}

static void put_text(struct lh_out *out, lh_str text)
{
    if (needs_quotes(text))
        put_quoted(out, text);
    else
        lh_out_bytes(out, text.ptr, text.len);
}

/* What JSON writes, as a quoted field. */
static void put_json(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    lh_out_char(out, '"');
    out->double_quotes = true;
    lh_encode_json_value(out, v, row);
    out->double_quotes = false;
    lh_out_char(out, '"');
}

static void put_blob(struct lh_out *out, lh_str bytes)
{
    static const char hex[] = "0123456789ABCDEF";
    lh_out_char(out, '"'); /* no byte of the text below is a quote */
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        if (byte >= 32 && byte <= 126 && byte != '\\' && byte != '\'' && byte != '"') {
            lh_out_char(out, (char)byte);
        } else {
            const char code[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
            lh_out_bytes(out, code, sizeof(code));
        }
    }
    lh_out_char(out, '"');
}

static void put_value(struct lh_out *out, const struct lh_vector *v, idx_t row)
{
    if (v->type == DUCKDB_TYPE_SQLNULL || lh_vector_is_null(v, row))
        return;
    switch (v->type) {
    case DUCKDB_TYPE_VARCHAR:
        put_text(out, lh_vector_str(v, row));
        return;
    case DUCKDB_TYPE_ENUM:
        put_text(out, lh_vector_enum(v, row));
        return;
    case DUCKDB_TYPE_BLOB:
        put_blob(out, lh_vector_str(v, row));
        return;
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_STRUCT:
    case DUCKDB_TYPE_MAP:
        put_json(out, v, row);
        return;
    default:
        out->len += lh_value_text(v, row, lh_out_room(out, LH_TEXT_MAX));
        return;
    }
}

static void csv_head(struct lh_duck_encoder *e)
{
    for (size_t i = 0; i < e->statement->column_count; i++) {
        if (i > 0)
            lh_out_char(&e->out, ',');
        put_text(&e->out, lh_str_from(e->statement->columns[i].name));
    }
    lh_out_char(&e->out, '\n');
}

static void csv_row(struct lh_duck_encoder *e, idx_t row)
{
    for (size_t i = 0; i < e->statement->column_count; i++) {
        if (i > 0)
            lh_out_char(&e->out, ',');
        put_value(&e->out, &e->columns[i], row);
    }
    lh_out_char(&e->out, '\n');
}

static void csv_tail(struct lh_duck_encoder *e, const struct lh_duck_summary *summary)
{
    (void)e;
    (void)summary;
}

const struct lh_row_format lh_format_csv = {csv_head, csv_row, csv_tail};
