/*
 * The strict guard: see http_guard.h. Every rule refuses a text on whose meaning two parsers of
 * HTTP have been known to differ.
 */
#include "net/http_guard.h"

#include "base/mem.h"

/* Headers that must not come twice: what frames the message, and what we act on by its one value.
 */
static const lh_str single_headers[] = {
    LH_STR("host"),
    LH_STR("content-length"),
    LH_STR("transfer-encoding"),
    LH_STR("authorization"),
    LH_STR("content-type"),
    LH_STR("content-md5"),
    LH_STR("content-encoding"),
    LH_STR("content-range"),
    LH_STR("date"),
    LH_STR("expect"),
    LH_STR("if-match"),
    LH_STR("if-none-match"),
    LH_STR("if-modified-since"),
    LH_STR("if-unmodified-since"),
    LH_STR("if-range"),
    LH_STR("range"),
    LH_STR("traceparent"),
    LH_STR("x-api-key"),
    LH_STR("x-request-id"),
};
enum { HOST, CONTENT_LENGTH, TRANSFER_ENCODING }; /* the first three of the table */

_Static_assert(LH_COUNT(single_headers) <= 32, "the headers seen are kept in 32 bits");

/* The whole x-amz- family is signed or acted on, but for the user's metadata. */
static bool is_single_amz(lh_str name)
{
    return lh_str_starts_nocase(name, LH_STR("x-amz-")) &&
           !lh_str_starts_nocase(name, LH_STR("x-amz-meta-"));
}

static lh_code check_name(lh_str name, struct lh_error *err)
{
    if (!lh_http_is_token(name))
        return lh_fail(err, LH_INVALID, "a header's name holds a byte that is not allowed there");
    return LH_OK;
}

/* RFC 9110 section 5.5: no control bytes but the tab. */
static lh_code check_value(const struct lh_http_header *header, struct lh_error *err)
{
    for (size_t i = 0; i < header->value.len; i++) {
        unsigned char c = (unsigned char)header->value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return lh_fail(err, LH_INVALID, "the header %.*s holds a control byte",
                           LH_FMT(header->name));
    }
    return LH_OK;
}

static lh_code fail_double(lh_str name, struct lh_error *err)
{
    return lh_fail(err, LH_INVALID, "the header %.*s stands there twice", LH_FMT(name));
}

/* RFC 9112 section 6.2: digits alone; more than one value, even the same, is refused. */
static lh_code check_content_length(lh_str value, struct lh_error *err)
{
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return lh_fail(err, LH_INVALID, "Content-Length is not a number");
    if (!lh_str_to_u64(value, &length) || length > INT64_MAX)
        return lh_fail(err, LH_INVALID, "Content-Length is not a number that fits 63 bits");
    return LH_OK;
}

static lh_code check_request_line(lh_str version, lh_str method, lh_str target,
                                  const struct lh_http_guard_limits *limits, struct lh_error *err)
{
    if (!lh_str_is(version, "HTTP/1.1") && !lh_str_is(version, "HTTP/1.0"))
        return lh_fail(err, LH_HTTP_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (!lh_http_is_token(method))
        return lh_fail(err, LH_INVALID, "the method holds a byte that is not allowed there");
    if (target.len > limits->target_bytes_max)
        return lh_fail(err, LH_URI_TOO_LONG, "the address has %zu bytes, and %zu are allowed",
                       target.len, limits->target_bytes_max);
    if (target.len == 0 || target.ptr[0] != '/')
        return lh_fail(err, LH_INVALID, "the address must begin with a slash");
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        /* A fragment never travels (RFC 9112 section 3.2); clients behind us would cut it off. */
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            LH_IGNORE(lh_fail(err, LH_INVALID, "the address holds the byte 0x%02x at %zu", c, i),
                      "the hint returns it");
            return lh_hint(err, "percent-encode it: %%%02X", c);
        }
    }
    return LH_OK;
}

static lh_code check_framing(lh_str version, unsigned seen, struct lh_error *err)
{
    bool length = (seen & (1U << CONTENT_LENGTH)) != 0;
    bool encoding = (seen & (1U << TRANSFER_ENCODING)) != 0;
    if (length && encoding)
        return lh_fail(err, LH_INVALID, "Content-Length and Transfer-Encoding exclude each other");
    if (encoding && lh_str_is(version, "HTTP/1.0"))
        return lh_fail(err, LH_INVALID, "HTTP/1.0 has no Transfer-Encoding");
    if ((seen & (1U << HOST)) == 0 && lh_str_is(version, "HTTP/1.1"))
        return lh_fail(err, LH_INVALID, "the header Host is missing");
    return LH_OK;
}

lh_code lh_http_guard(lh_str version, lh_str method, lh_str target,
                      const struct lh_http_header *headers, size_t header_count,
                      const struct lh_http_guard_limits *limits, struct lh_error *err)
{
    LH_TRY(check_request_line(version, method, target, limits, err));
    if (header_count > limits->header_count_max)
        return lh_fail(err, LH_HEADERS_TOO_LARGE, "%zu header lines, and %zu are allowed",
                       header_count, limits->header_count_max);

    size_t bytes = 0;
    unsigned seen = 0;
    for (size_t i = 0; i < header_count; i++) {
        const struct lh_http_header *header = &headers[i];
        bytes += header->name.len + header->value.len + 4; /* ": " and the line's end */
        LH_TRY(check_name(header->name, err));
        LH_TRY(check_value(header, err));
        size_t which = 0;
        while (which < LH_COUNT(single_headers) &&
               !lh_str_eq_nocase(header->name, single_headers[which]))
            which++;
        if (which < LH_COUNT(single_headers)) {
            if ((seen & (1U << which)) != 0)
                return fail_double(header->name, err);
            seen |= 1U << which;
        } else if (is_single_amz(header->name)) {
            for (size_t other = 0; other < i; other++)
                if (lh_str_eq_nocase(headers[other].name, header->name))
                    return fail_double(header->name, err);
        }
        if (which == CONTENT_LENGTH)
            LH_TRY(check_content_length(header->value, err));
        if (which == TRANSFER_ENCODING && !lh_str_eq_nocase(header->value, LH_STR("chunked")))
            return lh_fail(err, LH_INVALID, "the only Transfer-Encoding taken is chunked");
    }
    if (bytes > limits->header_bytes_max)
        return lh_fail(err, LH_HEADERS_TOO_LARGE, "%zu bytes of headers, and %zu are allowed",
                       bytes, limits->header_bytes_max);
    return check_framing(version, seen, err);
}
