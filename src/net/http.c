/*
 * Facts and small parsers of HTTP (RFC 9110): methods, status texts, ranges, entity tags, Accept.
 */
#include "net/http.h"

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

static const struct {
    enum lh_http_method method;
    const char *name;
} methods[] = {
    {LH_HTTP_GET, "GET"},   {LH_HTTP_HEAD, "HEAD"},     {LH_HTTP_PUT, "PUT"},
    {LH_HTTP_POST, "POST"}, {LH_HTTP_DELETE, "DELETE"}, {LH_HTTP_OPTIONS, "OPTIONS"},
};

enum lh_http_method lh_http_method_parse(lh_str text)
{
    for (size_t i = 0; i < LH_COUNT(methods); i++)
        if (lh_str_is(text, methods[i].name))
            return methods[i].method;
    return 0;
}

const char *lh_http_method_name(enum lh_http_method method)
{
    for (size_t i = 0; i < LH_COUNT(methods); i++)
        if (methods[i].method == method)
            return methods[i].name;
    return "?";
}

const char *lh_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < LH_COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool lh_http_is_token(lh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!is_alnum(c) && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

bool lh_http_is_hop_by_hop(lh_str name, lh_str connection)
{
    static const lh_str names[] = {
        LH_STR("connection"),       LH_STR("keep-alive"), LH_STR("proxy-authenticate"),
        LH_STR("proxy-connection"), LH_STR("te"),         LH_STR("proxy-authorization"),
        LH_STR("trailer"),          LH_STR("upgrade"),    LH_STR("transfer-encoding"),
    };
    for (size_t i = 0; i < LH_COUNT(names); i++)
        if (lh_str_eq_nocase(name, names[i]))
            return true;
    lh_str item;
    while (lh_str_next(&connection, ',', &item))
        if (lh_str_eq_nocase(lh_str_trim(item), name))
            return true;
    return false;
}

/* ---- ranges ---- */

/* A position of a range. A number too large for us lies behind the end of any object. */
static bool position(lh_str text, uint64_t *ret)
{
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    if (!lh_str_to_u64(text, ret))
        *ret = UINT64_MAX;
    return true;
}

enum lh_range_result lh_http_range(lh_str range, uint64_t size, uint64_t *ret_offset,
                                   uint64_t *ret_len)
{
    const lh_str unit = LH_STR("bytes=");
    if (!lh_str_starts_nocase(range, unit))
        return LH_RANGE_WHOLE;
    lh_str spec = lh_str_trim(lh_str_skip(range, unit.len));
    const char *dash = spec.len > 0 ? memchr(spec.ptr, '-', spec.len) : NULL;
    if (dash == NULL)
        return LH_RANGE_WHOLE;
    lh_str first_text = lh_str_of(spec.ptr, (size_t)(dash - spec.ptr));
    lh_str last_text = lh_str_skip(spec, first_text.len + 1);

    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    if (first_text.len == 0) { /* "-n": the last n bytes */
        uint64_t suffix = 0;
        if (!position(last_text, &suffix))
            return LH_RANGE_WHOLE;
        if (suffix == 0 || size == 0)
            return LH_RANGE_UNSATISFIABLE;
        first = suffix < size ? size - suffix : 0;
    } else {
        if (!position(first_text, &first) || (last_text.len > 0 && !position(last_text, &last)))
            return LH_RANGE_WHOLE;
        if (last < first)
            return LH_RANGE_WHOLE;
        if (first >= size)
            return LH_RANGE_UNSATISFIABLE;
    }
    if (last > size - 1)
        last = size - 1;
    *ret_offset = first;
    *ret_len = last - first + 1;
    return LH_RANGE_PART;
}

/* ---- entity tags ---- */

/* Takes the next element of a list of entity tags; a comma inside quotes does not part elements. */
static bool next_etag(lh_str *rest, lh_str *ret_item)
{
    while (rest->len > 0 && (*rest->ptr == ',' || *rest->ptr == ' ' || *rest->ptr == '\t'))
        *rest = lh_str_skip(*rest, 1);
    if (rest->len == 0)
        return false;
    size_t end = 0;
    bool quoted = false;
    while (end < rest->len && (quoted || rest->ptr[end] != ',')) {
        if (rest->ptr[end] == '"')
            quoted = !quoted;
        end++;
    }
    *ret_item = lh_str_trim(lh_str_of(rest->ptr, end));
    *rest = lh_str_skip(*rest, end);
    return true;
}

bool lh_http_etag_matches(lh_str list, lh_str etag, bool weak_ok)
{
    if (lh_str_is(lh_str_trim(list), "*"))
        return true;
    lh_str item;
    while (next_etag(&list, &item)) {
        if (lh_str_starts(item, "W/")) {
            if (!weak_ok)
                continue; /* RFC 9110 section 13.1.1: the strong comparison */
            item = lh_str_skip(item, 2);
        }
        if (item.len >= 2 && item.ptr[0] == '"' && item.ptr[item.len - 1] == '"')
            item = lh_str_of(item.ptr + 1, item.len - 2);
        if (lh_str_eq(item, etag))
            return true;
    }
    return false;
}

/* ---- encoding ---- */

void lh_http_encode(struct lh_buf *out, lh_str text, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain || (keep_slash && c == '/')) {
            lh_buf_append_char(out, (char)c);
        } else {
            const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            lh_buf_append(out, escape, sizeof(escape));
        }
    }
}

/* ---- Accept ---- */

/* "0.25" as 250; a text that is no quality counts as 0, so a broken weight never wins. */
static unsigned parse_quality(lh_str text)
{
    if (text.len == 0 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return 0;
    unsigned quality = text.ptr[0] == '1' ? 1000 : 0;
    if (text.len == 1)
        return quality;
    if (text.ptr[1] != '.' || text.len > 5)
        return 0;
    unsigned scale = 100;
    for (size_t i = 2; i < text.len; i++, scale /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        quality += scale * (unsigned)(text.ptr[i] - '0');
    }
    return quality <= 1000 ? quality : 0;
}

/* How closely a media range names the type: 3 exactly, 2 "text/...", 1 everything, 0 not at all. */
static unsigned match_range(lh_str range, lh_str type)
{
    if (lh_str_eq_nocase(range, type))
        return 3;
    if (lh_str_is(range, "*/*"))
        return 1;
    if (!lh_str_ends(range, "/*"))
        return 0;
    size_t prefix = range.len - 1;
    return type.len > prefix && lh_str_starts_nocase(type, lh_str_of(range.ptr, prefix)) ? 2 : 0;
}

unsigned lh_http_accept_quality(lh_str accept, const char *media_type)
{
    if (lh_str_trim(accept).len == 0)
        return 1000;
    lh_str type = lh_str_from(media_type);
    unsigned best_match = 0;
    unsigned best_quality = 0;
    lh_str item;
    while (lh_str_next(&accept, ',', &item)) {
        lh_str range = LH_STR_NONE;
        if (!lh_str_next(&item, ';', &range))
            continue;
        unsigned match = match_range(lh_str_trim(range), type);
        if (match == 0 || match < best_match)
            continue;
        unsigned quality = 1000;
        lh_str parameter;
        while (lh_str_next(&item, ';', &parameter)) {
            parameter = lh_str_trim(parameter);
            if (lh_str_starts_nocase(parameter, LH_STR("q=")))
                quality = parse_quality(lh_str_skip(parameter, 2));
        }
        if (match > best_match || quality > best_quality)
            best_quality = quality;
        best_match = match;
    }
    return best_quality;
}
