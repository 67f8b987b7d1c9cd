/*
 * What the files of the signature share: the canonical form (sigv4_canonical.c) and the signing
 * keys (sigv4_key.c).
 */
#ifndef LH_NET_SIGV4_PRIVATE_H
#define LH_NET_SIGV4_PRIVATE_H

#include "net/sigv4.h"

#define LH_SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define LH_SIGV4_UNSIGNED  "UNSIGNED-PAYLOAD"

/* Says why and is the result that says so. */
#define LH_SIGV4_REFUSE(err, code, result, ...)                                                    \
    (lh_fail((err), (code), __VA_ARGS__) == LH_OK ? LH_SIGV4_OK : (result))

/* The canonical request (AWS: "Create a canonical request"), appended to out: the path decoded and
 * encoded once, without any other change; the query sorted, without X-Amz-Signature when presigned;
 * the headers that `signed_headers` names, in its order. LH_INVALID for more parameters than
 * LH_SIGV4_PARAMS_MAX, or when a header is named that the request does not have. */
lh_code lh_sigv4_canonical(const struct lh_sigv4_request *request, bool presigned,
                           lh_str signed_headers, lh_str content_sha256, struct lh_buf *out,
                           struct lh_error *err);

/* Whether the list of signed headers has that name; lists hold lower case. */
bool lh_sigv4_lists(lh_str signed_headers, lh_str name);

/* The value of the first header of that name; false when there is none. */
bool lh_sigv4_header(const struct lh_sigv4_request *request, lh_str name, lh_str *ret_value);

enum { LH_SIGV4_KEY_SIZE = 32 };

/* The signing key of a secret for a scope ("20261122/us-east-1/s3/aws4_request"). */
void lh_sigv4_key_derive(lh_str secret, lh_str scope, uint8_t out[LH_SIGV4_KEY_SIZE]);
/* The cache of these keys: a fixed table, one place for each hash. thread-safe. */
bool lh_sigv4_key_find(lh_str secret, lh_str scope, uint8_t out[LH_SIGV4_KEY_SIZE]);
void lh_sigv4_key_keep(lh_str secret, lh_str scope, const uint8_t key[LH_SIGV4_KEY_SIZE]);

#endif
