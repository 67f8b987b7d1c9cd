/*
 * A streaming parser of multipart/form-data (RFC 7578, RFC 2046 section 5.1). Pure: bytes are
 * pushed in, in pieces of any size, and come out as parts. Constant memory: the content of a part
 * is handed on as it comes, only a part's header lines are held, and those are bounded.
 *
 *   struct lh_multipart form;
 *   LH_TRY(lh_multipart_init(&form, content_type, &sink, err));
 *   while (...) LH_TRY(lh_multipart_feed(&form, bytes, len, err));
 *   LH_TRY(lh_multipart_finish(&form, err));
 *   lh_multipart_deinit(&form);
 *
 * Strict where doubt could hide something: lines end in CRLF, a part has exactly one
 * Content-Disposition with a name, the closing delimiter is there. What a browser sends is
 * accepted: backslashes in a file name that escape nothing, padding after a boundary, a preamble,
 * an epilogue.
 */
#ifndef LH_NET_MULTIPART_H
#define LH_NET_MULTIPART_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    LH_MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046 section 5.1.1 */
    LH_MULTIPART_HEADER_MAX = 8192, /* bytes of one part's header lines */
    LH_MULTIPART_PARTS_MAX = 256,
};

/* The head of a part. `filename` and `content_type` are empty when absent. Borrowed for the call.
 */
struct lh_multipart_part {
    lh_str name;
    lh_str filename;
    lh_str content_type;
};

/* Where the parts go, each as on_part, any number of on_data, on_end. A failure that one returns is
 * what lh_multipart_feed returns, and ends the parse. */
struct lh_multipart_sink {
    void *ctx;
    lh_code (*on_part)(void *ctx, const struct lh_multipart_part *part, struct lh_error *err);
    lh_code (*on_data)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
    lh_code (*on_end)(void *ctx, struct lh_error *err);
};

struct lh_multipart {
    struct lh_multipart_sink sink;
    enum {
        LH_MULTIPART_PREAMBLE,
        LH_MULTIPART_AFTER_BOUNDARY,
        LH_MULTIPART_HEADERS,
        LH_MULTIPART_CONTENT,
        LH_MULTIPART_EPILOGUE,
    } state;
    char delimiter[4 + LH_MULTIPART_BOUNDARY_MAX]; /* CRLF "--" boundary */
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that the input has ended with so far */
    size_t phantom; /* of those: bytes that were never in the content */
    char tail[2];   /* what stood right after a boundary: "--", or the CR of its CRLF */
    size_t tail_len;
    size_t part_count;
    struct lh_buf headers;
};

/* Whether a Content-Type is multipart/form-data at all. */
bool lh_multipart_is(lh_str content_type);

/* `content_type`: "multipart/form-data; boundary=...". LH_INVALID when it has no usable boundary.
 */
lh_code lh_multipart_init(struct lh_multipart *form, lh_str content_type,
                          const struct lh_multipart_sink *sink, struct lh_error *err);

/* The next bytes of the body. LH_INVALID for what is not well formed, LH_TOO_LARGE beyond a bound.
 */
lh_code lh_multipart_feed(struct lh_multipart *form, const void *bytes, size_t len,
                          struct lh_error *err);

/* The body has ended: LH_INCOMPLETE_BODY unless the closing delimiter has been seen. */
lh_code lh_multipart_finish(const struct lh_multipart *form, struct lh_error *err);

void lh_multipart_deinit(struct lh_multipart *form); /* accepts the zero state */

#endif
