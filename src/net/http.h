/*
 * What server and client share about HTTP: methods, headers, status lines, ranges, conditions.
 * Pure: no I/O, no library.
 */
#ifndef LH_NET_HTTP_H
#define LH_NET_HTTP_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lh_http_method {
    LH_HTTP_GET = 1,
    LH_HTTP_HEAD = 2,
    LH_HTTP_PUT = 4,
    LH_HTTP_POST = 8,
    LH_HTTP_DELETE = 16,
    LH_HTTP_OPTIONS = 32,
};

/* 0 for a method that we do not know. */
enum lh_http_method lh_http_method_parse(lh_str text);
const char *lh_http_method_name(enum lh_http_method method);
const char *lh_http_status_text(int status);

struct lh_http_header {
    lh_str name;
    lh_str value;
};

/* A token of RFC 9110 section 5.6.2: what a header's name is made of. */
bool lh_http_is_token(lh_str text);

/* True for headers that concern one connection only and are never passed on (RFC 9110
 * section 7.6.1); `connection` is the value of the Connection header, whose names are also meant.
 */
bool lh_http_is_hop_by_hop(lh_str name, lh_str connection);

/* One range of bytes (RFC 9110 section 14.1.2) against an object of `size` bytes. */
enum lh_range_result { LH_RANGE_WHOLE, LH_RANGE_PART, LH_RANGE_UNSATISFIABLE };
/* Anything that is not one well-formed bytes range counts as no range at all (LH_RANGE_WHOLE), as
 * the RFC allows; on LH_RANGE_PART *ret_offset and *ret_len are set, and len > 0. */
enum lh_range_result lh_http_range(lh_str range, uint64_t size, uint64_t *ret_offset,
                                   uint64_t *ret_len);

/* Whether the entity tag stands in the list of an If-Match or If-None-Match value ("*" matches any
 * that exists). `etag` without quotes; `weak_ok` for If-None-Match. An unquoted tag in the list is
 * accepted, as S3 clients send it. */
bool lh_http_etag_matches(lh_str list, lh_str etag, bool weak_ok);

/* A path segment or key as it goes into a URL: everything but unreserved characters (and '/' when
 * `keep_slash`) becomes %XX (RFC 3986 section 2). Appends to out. */
struct lh_buf;
void lh_http_encode(struct lh_buf *out, lh_str text, bool keep_slash);

/* The quality (0 to 1000) that an Accept value gives a media type; 1000 when there is no Accept. */
unsigned lh_http_accept_quality(lh_str accept, const char *media_type);

#endif
