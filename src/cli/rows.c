/*
 * Reading a result while it arrives: brackets are counted, strings are stepped over.
 */
#include "cli/rows.h"

#include <string.h>

#include "base/json.h"

enum { REST_BYTES_MAX = 16 << 20, ROW_BYTES_MAX = 256 << 20, ROWS_DEPTH = 2 };

void lh_rows_init(struct lh_rows *rows, lh_row_fn on_row, void *ctx)
{
    *rows = (struct lh_rows){
        .on_row = on_row,
        .ctx = ctx,
        .rest = LH_BUF_INIT(REST_BYTES_MAX),
        .row = LH_BUF_INIT(ROW_BYTES_MAX),
    };
}

void lh_rows_deinit(struct lh_rows *rows)
{
    lh_buf_deinit(&rows->rest);
    lh_buf_deinit(&rows->row);
}

static lh_code finish_row(struct lh_rows *rows, struct lh_error *err)
{
    if (lh_buf_overflowed(&rows->row))
        return lh_fail(err, LH_TOO_LARGE, "a row is larger than %zu bytes", rows->row.max);
    rows->count++;
    lh_code code = rows->on_row(rows->ctx, lh_buf_str(&rows->row), err);
    lh_buf_reset(&rows->row);
    return code;
}

/* Depth 1 is the document, 2 the list of rows, 3 a row. */
static void opened(struct lh_rows *rows)
{
    rows->depth++;
    if (rows->depth == ROWS_DEPTH)
        rows->in_rows = lh_str_ends(lh_buf_str(&rows->rest), "\"rows\":[");
}

static lh_code closed(struct lh_rows *rows, struct lh_error *err)
{
    if (rows->depth == 0)
        return lh_fail(err, LH_BAD_UPSTREAM, "the answer is no result");
    rows->depth--;
    if (rows->in_rows && rows->depth == ROWS_DEPTH)
        return finish_row(rows, err);
    return LH_OK;
}

/* One byte that is in no string. It is kept before the brackets are counted, so a row holds both of
 * its own, and the list of rows keeps its two as well. */
static lh_code feed_structure(struct lh_rows *rows, char c, struct lh_error *err)
{
    bool ends_rows = c == ']' && rows->in_rows && rows->depth == ROWS_DEPTH;
    if (ends_rows)
        rows->in_rows = false;
    bool between_rows = rows->in_rows && rows->depth == ROWS_DEPTH && c != '[';
    if (!between_rows)
        lh_buf_append_char(rows->in_rows ? &rows->row : &rows->rest, c);
    if (c == '"')
        rows->in_string = true;
    else if (c == '[' || c == '{')
        opened(rows);
    else if (c == ']' || c == '}')
        return closed(rows, err);
    return LH_OK;
}

/* Keeps the bytes of a string up to its end; returns how many. */
static size_t feed_string(struct lh_rows *rows, const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && rows->in_string) {
        char c = bytes[i++];
        if (rows->escaped)
            rows->escaped = false;
        else if (c == '\\')
            rows->escaped = true;
        else if (c == '"')
            rows->in_string = false;
    }
    lh_buf_append(rows->in_rows ? &rows->row : &rows->rest, bytes, i);
    return i;
}

lh_code lh_rows_feed(struct lh_rows *rows, const void *bytes, size_t len, struct lh_error *err)
{
    const char *text = bytes;
    for (size_t i = 0; i < len;) {
        if (rows->in_string)
            i += feed_string(rows, text + i, len - i);
        else
            LH_TRY(feed_structure(rows, text[i++], err));
    }
    return LH_OK;
}

lh_code lh_rows_end(const struct lh_rows *rows, lh_str *ret_document, struct lh_error *err)
{
    if (rows->depth != 0 || rows->in_string || rows->rest.len == 0 ||
        lh_buf_overflowed(&rows->rest))
        return lh_fail(err, LH_BAD_UPSTREAM, "the result broke off after %llu rows",
                       (unsigned long long)rows->count);
    *ret_document = lh_buf_str(&rows->rest);
    return LH_OK;
}

/* ---- one row ---- */

bool lh_row_next(lh_str *rest, lh_str *ret_value)
{
    if (rest->len == 0)
        return false;
    unsigned depth = 0;
    bool in_string = false;
    size_t i = 0;
    for (; i < rest->len; i++) {
        char c = rest->ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == ',' && depth == 0) {
            break;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    i = i < rest->len ? i : rest->len;
    *ret_value = lh_str_of(rest->ptr, i);
    *rest = lh_str_skip(*rest, i < rest->len ? i + 1 : i);
    return true;
}

void lh_row_value_text(lh_str value, struct lh_buf *out)
{
    bool is_string = value.len >= 2 && value.ptr[0] == '"';
    if (!is_string) {
        lh_buf_append_str(out, value);
        return;
    }
    struct lh_error ignored = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *text = NULL;
    if (!memchr(value.ptr, '\\', value.len))
        lh_buf_append(out, value.ptr + 1, value.len - 2);
    else if (lh_json_parse(value, &text, &ignored) == LH_OK && json_is_string(text))
        lh_buf_append(out, json_string_value(text), json_string_length(text));
    else
        lh_buf_append_str(out, value); /* a \u0000, which jansson refuses: as it stands */
}
