/*
 * The canonical form of a request (Amazon S3 API Reference, "Signature calculations: creating a
 * canonical request"), the same for requests that come in and that go out.
 *
 * Different from the general scheme, as S3 is: a path is not normalised ("//" and ".." are keys)
 * and is encoded once. What is not told there is done as the clients do it: '+' in a query is a
 * blank, and in a path a plus; "%2F" in a path is a slash; headers of one name are joined by ','.
 */
#include <string.h>

#include "net/sigv4_private.h"

static const char upper_digits[] = "0123456789ABCDEF";

/* Bytes that stand for themselves (RFC 3986 section 2.3). */
static const bool unreserved[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true,
    ['.'] = true,         ['_'] = true,         ['~'] = true,
};

/* The byte at text[*at], decoded; steps over it. A '%' that begins no escape is itself. */
static unsigned char next_byte(lh_str text, size_t *at, bool plus_is_space)
{
    char c = text.ptr[(*at)++];
    if (c == '+' && plus_is_space)
        return ' ';
    if (c != '%' || text.len - *at < 2)
        return (unsigned char)c;
    int high = lh_hex_value(text.ptr[*at]), low = lh_hex_value(text.ptr[*at + 1]);
    if (high < 0 || low < 0)
        return (unsigned char)c;
    *at += 2;
    return (unsigned char)(high << 4 | low);
}

/* Decodes once and encodes; `out` has room for three times the text. Returns the end. */
static char *recode(lh_str text, bool is_path, char *out)
{
    for (size_t at = 0; at < text.len;) {
        unsigned char byte = next_byte(text, &at, !is_path);
        if (unreserved[byte] || (is_path && byte == '/')) {
            *out++ = (char)byte;
        } else {
            *out++ = '%';
            *out++ = upper_digits[byte >> 4];
            *out++ = upper_digits[byte & 15];
        }
    }
    return out;
}

static void append_path(struct lh_buf *out, lh_str path)
{
    if (path.len == 0)
        path = LH_STR("/");
    char *start = lh_buf_reserve(out, 3 * path.len);
    if (start)
        lh_buf_commit(out, (size_t)(recode(path, true, start) - start));
}

/* ---- the query ---- */

struct parameter {
    lh_str name;
    lh_str value;
};

static bool after(const struct parameter *a, const struct parameter *b)
{
    int order = lh_str_compare(a->name, b->name);
    return order > 0 || (order == 0 && lh_str_compare(a->value, b->value) > 0);
}

/* Few, and mostly in order already. */
static void sort(struct parameter *parameters, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct parameter moving = parameters[i];
        size_t at = i;
        for (; at > 0 && after(&parameters[at - 1], &moving); at--)
            parameters[at] = parameters[at - 1];
        parameters[at] = moving;
    }
}

/* Encodes one parameter into `room`, which moves on. */
static struct parameter recode_parameter(lh_str text, char **room)
{
    lh_str name = LH_STR_NONE;
    lh_str_next(&text, '=', &name);
    char *start = *room;
    char *middle = recode(name, false, start);
    *room = recode(text, false, middle);
    return (struct parameter){lh_str_of(start, (size_t)(middle - start)),
                              lh_str_of(middle, (size_t)(*room - middle))};
}

static lh_code append_query(struct lh_buf *out, lh_str query, bool presigned, struct lh_error *err)
{
    struct parameter parameters[LH_SIGV4_PARAMS_MAX];
    size_t count = 0;
    struct lh_buf recoded = LH_BUF_INIT(3 * query.len);
    char *room = query.len > 0 ? lh_buf_reserve(&recoded, 3 * query.len) : NULL;
    lh_str text;
    while (room && lh_str_next(&query, '&', &text)) {
        if (text.len == 0)
            continue;
        struct parameter parameter = recode_parameter(text, &room);
        if (presigned && lh_str_eq_nocase(parameter.name, LH_STR("X-Amz-Signature")))
            continue;
        if (count == LH_SIGV4_PARAMS_MAX) {
            lh_buf_deinit(&recoded);
            return lh_fail(err, LH_INVALID, "the query has more than %d parameters",
                           LH_SIGV4_PARAMS_MAX);
        }
        parameters[count++] = parameter;
    }
    sort(parameters, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_char(out, '&');
        lh_buf_append_str(out, parameters[i].name);
        lh_buf_append_char(out, '=');
        lh_buf_append_str(out, parameters[i].value);
    }
    lh_buf_deinit(&recoded);
    return LH_OK;
}

/* ---- headers ---- */

bool lh_sigv4_lists(lh_str signed_headers, lh_str name)
{
    lh_str item;
    while (lh_str_next(&signed_headers, ';', &item)) {
        if (lh_str_eq_nocase(item, name))
            return true;
    }
    return false;
}

bool lh_sigv4_header(const struct lh_sigv4_request *request, lh_str name, lh_str *ret_value)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (lh_str_eq_nocase(request->headers[i].name, name)) {
            *ret_value = lh_str_trim(request->headers[i].value);
            return true;
        }
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Blanks inside a value: each run of them becomes one space. */
static void append_folded(struct lh_buf *out, lh_str value)
{
    value = lh_str_trim(value);
    char *start = value.len > 0 ? lh_buf_reserve(out, value.len) : NULL;
    if (!start)
        return;
    char *next = start;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_blank(value.ptr[i]))
            *next++ = value.ptr[i];
        else if (!is_blank(value.ptr[i + 1])) /* a trimmed value does not end in one */
            *next++ = ' ';
    }
    lh_buf_commit(out, (size_t)(next - start));
}

/* "name:value,value\n"; LH_INVALID when the request has no such header. */
static lh_code append_header(struct lh_buf *out, const struct lh_sigv4_request *request,
                             lh_str name, struct lh_error *err)
{
    bool found = false;
    lh_buf_append_str(out, name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (!lh_str_eq_nocase(request->headers[i].name, name))
            continue;
        lh_buf_append_char(out, found ? ',' : ':');
        append_folded(out, request->headers[i].value);
        found = true;
    }
    if (!found)
        return lh_fail(err, LH_INVALID, "the header %.*s is signed and missing", LH_FMT(name));
    lh_buf_append_char(out, '\n');
    return LH_OK;
}

lh_code lh_sigv4_canonical(const struct lh_sigv4_request *request, bool presigned,
                           lh_str signed_headers, lh_str content_sha256, struct lh_buf *out,
                           struct lh_error *err)
{
    lh_buf_append_cstr(out, lh_http_method_name(request->method));
    lh_buf_append_char(out, '\n');
    append_path(out, request->path);
    lh_buf_append_char(out, '\n');
    LH_TRY(append_query(out, request->query, presigned, err));
    lh_buf_append_char(out, '\n');
    lh_str names = signed_headers, name;
    while (lh_str_next(&names, ';', &name))
        LH_TRY(append_header(out, request, name, err));
    lh_buf_append_char(out, '\n');
    lh_buf_append_str(out, signed_headers);
    lh_buf_append_char(out, '\n');
    lh_buf_append_str(out, content_sha256);
    return LH_OK;
}
