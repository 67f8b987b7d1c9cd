/*
 * The strict guard: what a request's header lines must be before anything else looks at them. Pure,
 * so that it can be fuzzed. It refuses every doubt about where a body ends (RFC 9112 section 6.3;
 * request smuggling, CWE-444).
 */
#ifndef LH_NET_HTTP_GUARD_H
#define LH_NET_HTTP_GUARD_H

#include "net/http.h"

struct lh_http_guard_limits {
    size_t target_bytes_max; /* beyond: LH_URI_TOO_LONG */
    size_t header_count_max; /* beyond: LH_HEADERS_TOO_LARGE */
    size_t header_bytes_max;
};

/* `version` is "HTTP/1.1" or "HTTP/1.0". A failure means: answer, then close the connection. */
lh_code lh_http_guard(lh_str version, lh_str method, lh_str target,
                      const struct lh_http_header *headers, size_t header_count,
                      const struct lh_http_guard_limits *limits, struct lh_error *err);

#endif
