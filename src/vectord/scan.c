/* A strict JSON scanner without trees. */
#include "vectord/scan.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { MEMBERS_MAX = 32 };

struct lh_scan lh_scan_start(lh_str body, struct lh_arena *arena)
{
    return (struct lh_scan){
        .at = body.ptr, .end = body.ptr + body.len, .start = body.ptr, .arena = arena};
}

lh_code lh_scan_fail(const struct lh_scan *scan, struct lh_error *err, const char *wanted)
{
    uint64_t line = scan->first_line + 1, column = 1;
    for (const char *at = scan->start; at < scan->at; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    lh_code code = lh_fail(err, LH_INVALID, "the body has no %s at line %llu, column %llu", wanted,
                           (unsigned long long)line, (unsigned long long)column);
    err->line = line;
    err->column = column;
    return code;
}

void lh_scan_space(struct lh_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

char lh_scan_peek(struct lh_scan *scan)
{
    lh_scan_space(scan);
    return scan->at < scan->end ? *scan->at : '\0';
}

bool lh_scan_take(struct lh_scan *scan, char byte)
{
    lh_scan_space(scan);
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

lh_code lh_scan_end(struct lh_scan *scan, struct lh_error *err)
{
    lh_scan_space(scan);
    return scan->at == scan->end ? LH_OK : lh_scan_fail(scan, err, "end");
}

/* ---- strings ---- */

/* The end of a string whose opening quote was consumed: its closing quote. NULL if there is none,
 * or a control character stands in it (RFC 8259 section 7). */
static const char *string_end(const struct lh_scan *scan, bool *ret_escapes)
{
    *ret_escapes = false;
    for (const char *at = scan->at; at < scan->end; at++) {
        if (*at == '"')
            return at;
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\') {
            *ret_escapes = true;
            at++;
        }
    }
    return NULL;
}

static bool hex4(const char *text, const char *end, unsigned *ret)
{
    unsigned char bytes[2];
    if (end - text < 4 || !lh_unhex(lh_str_of(text, 4), bytes, 2))
        return false;
    *ret = (unsigned)bytes[0] << 8 | bytes[1];
    return true;
}

/* What stands behind \u, surrogate pairs joined. Returns the end, NULL when it is no character. */
static const char *unescape_unicode(const char *at, const char *end, unsigned *ret)
{
    unsigned low;
    if (!hex4(at, end, ret))
        return NULL;
    if (*ret < 0xd800 || *ret > 0xdfff)
        return at + 4;
    if (*ret > 0xdbff || end - at < 10 || at[4] != '\\' || at[5] != 'u' ||
        !hex4(at + 6, end, &low) || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return at + 10;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* One escape, behind its backslash. Returns the end, NULL when there is no such escape. */
static const char *unescape(const char *at, const char *end, char **out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return NULL;
    if (*at == 'u') {
        unsigned c = 0;
        const char *after = unescape_unicode(at + 1, end, &c);
        if (after != NULL && *out != NULL)
            *out = put_utf8(*out, c);
        return after;
    }
    const char *name = memchr(names, *at, sizeof(names) - 1);
    if (name == NULL)
        return NULL;
    if (*out != NULL)
        *(*out)++ = values[name - names];
    return at + 1;
}

/* Unescapes into `out`, or only checks when it is NULL. An escape is never shorter than what it
 * stands for. Returns the length, or -1. */
static ptrdiff_t unescape_all(const char *at, const char *end, char *out)
{
    char *to = out;
    while (at < end) {
        if (*at != '\\') {
            if (to != NULL)
                *to++ = *at;
            at++;
            continue;
        }
        at = unescape(at + 1, end, &to);
        if (at == NULL)
            return -1;
    }
    return to - out;
}

lh_code lh_scan_string(struct lh_scan *scan, lh_str *ret, struct lh_error *err)
{
    if (!lh_scan_take(scan, '"'))
        return lh_scan_fail(scan, err, "string");
    bool escapes;
    const char *end = string_end(scan, &escapes);
    if (end == NULL)
        return lh_scan_fail(scan, err, "end of a string");
    size_t len = (size_t)(end - scan->at);
    if (!escapes) {
        *ret = lh_str_of(scan->at, len);
    } else {
        char *text = lh_arena_alloc(scan->arena, len);
        if (text == NULL)
            return lh_fail(err, LH_TOO_LARGE, "the strings of the body are too large");
        ptrdiff_t unescaped = unescape_all(scan->at, end, text);
        if (unescaped < 0)
            return lh_scan_fail(scan, err, "valid escapes in the string");
        *ret = lh_str_of(text, (size_t)unescaped);
    }
    scan->at = end + 1;
    return LH_OK;
}

/* ---- other values ---- */

static bool take_word(struct lh_scan *scan, lh_str word)
{
    lh_scan_space(scan);
    if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.ptr, word.len) != 0)
        return false;
    scan->at += word.len;
    return true;
}

lh_code lh_scan_bool(struct lh_scan *scan, bool *ret, struct lh_error *err)
{
    bool value = take_word(scan, LH_STR("true"));
    if (!value && !take_word(scan, LH_STR("false")))
        return lh_scan_fail(scan, err, "true or false");
    *ret = value;
    return LH_OK;
}

static size_t skip_digits(struct lh_scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return (size_t)(scan->at - start);
}

static bool at_one_of(const struct lh_scan *scan, char a, char b)
{
    return scan->at < scan->end && (*scan->at == a || *scan->at == b);
}

static bool skip_number(struct lh_scan *scan)
{
    if (at_one_of(scan, '-', '-'))
        scan->at++;
    if (at_one_of(scan, '0', '0'))
        scan->at++;
    else if (skip_digits(scan) == 0)
        return false;
    if (at_one_of(scan, '.', '.')) {
        scan->at++;
        if (skip_digits(scan) == 0)
            return false;
    }
    if (at_one_of(scan, 'e', 'E')) {
        scan->at++;
        if (at_one_of(scan, '+', '-'))
            scan->at++;
        if (skip_digits(scan) == 0)
            return false;
    }
    return true;
}

lh_code lh_scan_u64(struct lh_scan *scan, uint64_t *ret, struct lh_error *err)
{
    lh_scan_space(scan);
    const char *start = scan->at;
    if (!skip_number(scan) || !lh_str_to_u64(lh_str_of(start, (size_t)(scan->at - start)), ret)) {
        scan->at = start;
        return lh_scan_fail(scan, err, "whole number, 0 or more,");
    }
    return LH_OK;
}

static lh_code skip_value(struct lh_scan *scan, unsigned depth, struct lh_error *err);

static lh_code skip_string(struct lh_scan *scan, struct lh_error *err)
{
    bool escapes;
    if (!lh_scan_take(scan, '"'))
        return lh_scan_fail(scan, err, "string");
    const char *end = string_end(scan, &escapes);
    if (end == NULL || (escapes && unescape_all(scan->at, end, NULL) < 0))
        return lh_scan_fail(scan, err, "valid string");
    scan->at = end + 1;
    return LH_OK;
}

static lh_code skip_container(struct lh_scan *scan, char close, unsigned depth,
                              struct lh_error *err)
{
    if (depth == LH_SCAN_DEPTH_MAX)
        return lh_fail(err, LH_INVALID, "the body is nested deeper than %d levels",
                       LH_SCAN_DEPTH_MAX);
    scan->at++;
    if (lh_scan_take(scan, close))
        return LH_OK;
    do {
        if (close == '}') {
            LH_TRY(skip_string(scan, err));
            if (!lh_scan_take(scan, ':'))
                return lh_scan_fail(scan, err, "colon");
        }
        LH_TRY(skip_value(scan, depth + 1, err));
    } while (lh_scan_take(scan, ','));
    return lh_scan_take(scan, close) ? LH_OK : lh_scan_fail(scan, err, "comma or closing bracket");
}

static lh_code skip_value(struct lh_scan *scan, unsigned depth, struct lh_error *err)
{
    switch (lh_scan_peek(scan)) {
    case '{':
        return skip_container(scan, '}', depth, err);
    case '[':
        return skip_container(scan, ']', depth, err);
    case '"':
        return skip_string(scan, err);
    case 't':
    case 'f':
    case 'n':
        if (take_word(scan, LH_STR("true")) || take_word(scan, LH_STR("false")) ||
            take_word(scan, LH_STR("null")))
            return LH_OK;
        return lh_scan_fail(scan, err, "value");
    default:
        return skip_number(scan) ? LH_OK : lh_scan_fail(scan, err, "value");
    }
}

lh_code lh_scan_value(struct lh_scan *scan, lh_str *ret, struct lh_error *err)
{
    lh_scan_space(scan);
    const char *start = scan->at;
    LH_TRY(skip_value(scan, 0, err));
    *ret = lh_str_of(start, (size_t)(scan->at - start));
    return LH_OK;
}

/* ---- containers ---- */

static size_t find_member(const struct lh_scan_member *members, size_t count, lh_str name)
{
    size_t at = 0;
    while (at < count && !lh_str_is(name, members[at].name))
        at++;
    return at;
}

static lh_code fail_unknown(const struct lh_scan_member *members, size_t count, const char *what,
                            lh_str name, struct lh_error *err)
{
    const char *names[MEMBERS_MAX] = {NULL};
    for (size_t i = 0; i < count; i++)
        names[i] = members[i].name;
    size_t shown = name.len < 64 ? name.len : 64;
    lh_code code = lh_fail(err, LH_INVALID, "%s has no member '%.*s'", what, (int)shown, name.ptr);
    const char *nearest = lh_nearest(name, names, count);
    return nearest == NULL ? code : lh_hint(err, "did you mean '%s'?", nearest);
}

lh_code lh_scan_object(struct lh_scan *scan, const struct lh_scan_member *members, size_t count,
                       const char *what, void *ctx, unsigned *ret_seen, struct lh_error *err)
{
    LH_CHECK(count <= MEMBERS_MAX);
    unsigned seen = 0;
    if (!lh_scan_take(scan, '{'))
        return lh_scan_fail(scan, err, "object");
    bool empty = lh_scan_take(scan, '}');
    while (!empty) {
        lh_str name = LH_STR_NONE;
        LH_TRY(lh_scan_string(scan, &name, err));
        size_t at = find_member(members, count, name);
        if (at == count)
            return fail_unknown(members, count, what, name, err);
        if (seen & 1U << at)
            return lh_fail(err, LH_INVALID, "'%s' stands twice in %s", members[at].name, what);
        seen |= 1U << at;
        if (!lh_scan_take(scan, ':'))
            return lh_scan_fail(scan, err, "colon");
        LH_TRY(members[at].read(scan, ctx, err));
        if (lh_scan_take(scan, '}'))
            break;
        if (!lh_scan_take(scan, ','))
            return lh_scan_fail(scan, err, "comma or closing bracket");
    }
    *ret_seen = seen;
    return LH_OK;
}

lh_code lh_scan_array(struct lh_scan *scan, const char *what,
                      lh_code (*read)(struct lh_scan *scan, size_t number, void *ctx,
                                      struct lh_error *err),
                      void *ctx, struct lh_error *err)
{
    if (!lh_scan_take(scan, '['))
        return lh_scan_fail(scan, err, what);
    if (lh_scan_take(scan, ']'))
        return LH_OK;
    size_t number = 0;
    do {
        LH_TRY(read(scan, number++, ctx, err));
    } while (lh_scan_take(scan, ','));
    return lh_scan_take(scan, ']') ? LH_OK : lh_scan_fail(scan, err, "comma or closing bracket");
}

size_t lh_scan_compact(lh_str text, char *out)
{
    char *to = out;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        *to++ = c;
        if (c == '"')
            in_string = !in_string;
        else if (c == '\\' && i + 1 < text.len)
            *to++ = text.ptr[++i];
    }
    return (size_t)(to - out);
}
