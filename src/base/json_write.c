/*
 * Writing JSON: a streaming writer. What it keeps is one bit a level (has this container an item
 * already?), so the buffer may be flushed between any two calls.
 */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"

enum { DEPTH_MAX = 64 };

/* ---- structure ---- */

/* Before each value: the comma after its predecessor, unless a key stands there. */
static void begin_value(struct lh_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (json->depth == 0)
        return;
    uint64_t bit = UINT64_C(1) << (json->depth - 1);
    if (json->has_items & bit)
        lh_buf_append_char(json->out, ',');
    json->has_items |= bit;
}

static void open_container(struct lh_json *json, char bracket)
{
    LH_CHECK(json->depth < DEPTH_MAX);
    begin_value(json);
    lh_buf_append_char(json->out, bracket);
    json->has_items &= ~(UINT64_C(1) << json->depth);
    json->depth++;
}

static void close_container(struct lh_json *json, char bracket)
{
    LH_CHECK(json->depth > 0 && !json->after_key);
    json->depth--;
    lh_buf_append_char(json->out, bracket);
}

void lh_json_object(struct lh_json *json)
{
    open_container(json, '{');
}

void lh_json_object_end(struct lh_json *json)
{
    close_container(json, '}');
}

void lh_json_array(struct lh_json *json)
{
    open_container(json, '[');
}

void lh_json_array_end(struct lh_json *json)
{
    close_container(json, ']');
}

void lh_json_key(struct lh_json *json, const char *key)
{
    LH_CHECK(json->depth > 0 && !json->after_key);
    lh_json_cstr(json, key);
    lh_buf_append_char(json->out, ':');
    json->after_key = true;
}

/* ---- strings ---- */

/* How a byte stands in a string: 0 as it is, 'u' as \u00XX, '8' part of a character of several
 * bytes, else the letter after the backslash. */
static const char escape_of[256] = {
    [0x00] = 'u', [0x01] = 'u', [0x02] = 'u', [0x03] = 'u',  [0x04] = 'u',          [0x05] = 'u',
    [0x06] = 'u', [0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',  ['\n'] = 'n',          [0x0B] = 'u',
    ['\f'] = 'f', ['\r'] = 'r', [0x0E] = 'u', [0x0F] = 'u',  [0x10] = 'u',          [0x11] = 'u',
    [0x12] = 'u', [0x13] = 'u', [0x14] = 'u', [0x15] = 'u',  [0x16] = 'u',          [0x17] = 'u',
    [0x18] = 'u', [0x19] = 'u', [0x1A] = 'u', [0x1B] = 'u',  [0x1C] = 'u',          [0x1D] = 'u',
    [0x1E] = 'u', [0x1F] = 'u', ['"'] = '"',  ['\\'] = '\\', [0x80 ... 0xFF] = '8',
};

static void append_escape(struct lh_buf *out, unsigned char byte)
{
    char escape = escape_of[byte];
    if (escape == 'u') {
        static const char digits[] = "0123456789abcdef";
        char text[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
        lh_buf_append(out, text, sizeof(text));
    } else {
        char text[2] = {'\\', escape};
        lh_buf_append(out, text, sizeof(text));
    }
}

void lh_json_escape(struct lh_buf *out, lh_str text)
{
    size_t start = 0; /* of the run that needs no escape */
    size_t i = 0;
    while (i < text.len) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (escape_of[byte] == 0) {
            i++;
            continue;
        }
        if (escape_of[byte] == '8') {
            size_t len = lh_utf8_length(lh_str_skip(text, i));
            if (len > 0) {
                i += len;
                continue;
            }
        }
        lh_buf_append(out, text.ptr + start, i - start);
        if (escape_of[byte] == '8')
            lh_buf_append_str(out, LH_STR("\xEF\xBF\xBD")); /* U+FFFD */
        else
            append_escape(out, byte);
        i++;
        start = i;
    }
    if (i > start)
        lh_buf_append(out, text.ptr + start, i - start);
}

void lh_json_str(struct lh_json *json, lh_str text)
{
    begin_value(json);
    lh_buf_append_char(json->out, '"');
    lh_json_escape(json->out, text);
    lh_buf_append_char(json->out, '"');
}

void lh_json_cstr(struct lh_json *json, const char *text)
{
    lh_json_str(json, lh_str_from(text));
}

/* ---- other values ---- */

void lh_json_raw(struct lh_json *json, lh_str text)
{
    begin_value(json);
    lh_buf_append_str(json->out, text);
}

void lh_json_i64(struct lh_json *json, int64_t value)
{
    char text[LH_NUMBER_MAX];
    lh_json_raw(json, lh_str_of(text, lh_format_i64(value, text)));
}

void lh_json_u64(struct lh_json *json, uint64_t value)
{
    char text[LH_NUMBER_MAX];
    lh_json_raw(json, lh_str_of(text, lh_format_u64(value, text)));
}

void lh_json_f64(struct lh_json *json, double value)
{
    char text[LH_NUMBER_MAX];
    if (isfinite(value))
        lh_json_raw(json, lh_str_of(text, lh_format_f64(value, text)));
    else
        lh_json_null(json);
}

void lh_json_f32(struct lh_json *json, float value)
{
    char text[LH_NUMBER_MAX];
    if (isfinite(value))
        lh_json_raw(json, lh_str_of(text, lh_format_f32(value, text)));
    else
        lh_json_null(json);
}

void lh_json_bool(struct lh_json *json, bool value)
{
    lh_json_raw(json, value ? LH_STR("true") : LH_STR("false"));
}

void lh_json_null(struct lh_json *json)
{
    lh_json_raw(json, LH_STR("null"));
}

/* ---- key and value ---- */

void lh_json_kstr(struct lh_json *json, const char *key, lh_str text)
{
    lh_json_key(json, key);
    lh_json_str(json, text);
}

void lh_json_kcstr(struct lh_json *json, const char *key, const char *text)
{
    lh_json_key(json, key);
    if (text)
        lh_json_cstr(json, text);
    else
        lh_json_null(json);
}

void lh_json_ki64(struct lh_json *json, const char *key, int64_t value)
{
    lh_json_key(json, key);
    lh_json_i64(json, value);
}

void lh_json_ku64(struct lh_json *json, const char *key, uint64_t value)
{
    lh_json_key(json, key);
    lh_json_u64(json, value);
}

void lh_json_kf64(struct lh_json *json, const char *key, double value)
{
    lh_json_key(json, key);
    lh_json_f64(json, value);
}

void lh_json_kbool(struct lh_json *json, const char *key, bool value)
{
    lh_json_key(json, key);
    lh_json_bool(json, value);
}
