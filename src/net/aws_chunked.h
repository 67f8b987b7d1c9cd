/*
 * The content coding aws-chunked (Amazon S3 API Reference, "Signature calculations for the
 * Authorization header: transferring payload in multiple chunks"): a body in chunks, each with its
 * length and perhaps a signature, and perhaps headers behind it. A push decoder in constant memory;
 * pure but for what it hands out.
 *
 *   size in hex [;chunk-signature=64 hex digits] CRLF bytes CRLF ... 0[;chunk-signature=...] CRLF
 *   [name:value CRLF]* [x-amz-trailer-signature:hex CRLF] CRLF
 */
#ifndef LH_NET_AWS_CHUNKED_H
#define LH_NET_AWS_CHUNKED_H

#include "net/sigv4.h"

struct lh_aws_chunked;

enum { LH_AWS_TRAILERS_MAX = 8, LH_AWS_LINE_MAX = 1024 /* with its CRLF */ };

struct lh_aws_chunked_options {
    bool is_signed;   /* each chunk has a signature, which must hold */
    bool has_trailer; /* headers follow the last chunk, signed when the chunks are */
    /* Of a signed one; copied. NULL: signatures must be there, but nobody knows the key. */
    const struct lh_sigv4_context *context;
    int64_t decoded_length; /* what x-amz-decoded-content-length says; -1 = unknown */
};

/* Never NULL. */
struct lh_aws_chunked *lh_aws_chunked_new(const struct lh_aws_chunked_options *options);
void lh_aws_chunked_free(struct lh_aws_chunked *decoder); /* accepts NULL */

/* Takes bytes as they come: *ret_used of them are consumed, and *ret_bytes of length *ret_len is
 * the decoded run among them (points into `bytes`; may be empty). Call until all are used.
 * LH_INVALID for bad framing, LH_BAD_DIGEST when a signature does not hold: bytes of a chunk are
 * handed out before its signature is known, so nothing may be committed before finish.
 * LH_INCOMPLETE_BODY when the chunks hold more than decoded_length. A failure is final. */
lh_code lh_aws_chunked_take(struct lh_aws_chunked *decoder, const void *bytes, size_t len,
                            size_t *ret_used, const void **ret_bytes, size_t *ret_len,
                            struct lh_error *err);
/* The body is at its end. LH_INCOMPLETE_BODY when the stream is not, or its length is another one.
 */
lh_code lh_aws_chunked_finish(struct lh_aws_chunked *decoder, struct lh_error *err);
/* Trailing headers but the signature; valid after finish, until free. Names are as sent. */
size_t lh_aws_chunked_trailer_count(const struct lh_aws_chunked *decoder);
struct lh_http_header lh_aws_chunked_trailer(const struct lh_aws_chunked *decoder, size_t index);

#endif
