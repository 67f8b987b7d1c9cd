/*
 * AWS Signature Version 4 (AWS General Reference, "Signature Version 4 signing process"; Amazon S3
 * API Reference, "Authenticating requests"): one canonical form, used to verify requests that come
 * in and to sign those that go out. By header and by query (presigned). Pure: no I/O; the caller
 * brings the time.
 */
#ifndef LH_NET_SIGV4_H
#define LH_NET_SIGV4_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LH_SIGV4_SKEW_MS = 15 * 60 * 1000,
    LH_SIGV4_EXPIRES_MAX = 604800, /* seconds */
    LH_SIGV4_SIGNATURE_HEX = 65,
    LH_SIGV4_TIMESTAMP_SIZE = 17, /* "20261122T191000Z" with its terminator */
    LH_SIGV4_SCOPE_SIZE = 128,
    LH_SIGV4_PARAMS_MAX = 256,   /* parameters of a query that is signed */
    LH_SIGV4_DECODED_MAX = 2048, /* bytes of a presigned query's own parameters */
};

/* A request as it is signed. `path` and `query` are raw, as they stand in the request line. */
struct lh_sigv4_request {
    enum lh_http_method method;
    lh_str path;
    lh_str query;
    const struct lh_http_header *headers;
    size_t header_count;
};

/* What a request says about its signature. Pieces point into the request, or into `decoded`: a
 * claim stays where it was parsed. */
struct lh_sigv4_claim {
    bool presigned;
    lh_str access_key;
    lh_str scope; /* "20261122/us-east-1/s3/aws4_request", made of these three: */
    lh_str date;
    lh_str region;
    lh_str service;
    lh_str signed_headers; /* "host;x-amz-date" */
    lh_str signature;
    char timestamp[LH_SIGV4_TIMESTAMP_SIZE];
    lh_time_ms signed_ms;
    int64_t expires_s;     /* presigned only */
    lh_str content_sha256; /* its header, or UNSIGNED-PAYLOAD when presigned without */
    char decoded[LH_SIGV4_DECODED_MAX];
};

/* What keeps a claim from holding; a door chooses its own words for these. */
enum lh_sigv4_result {
    LH_SIGV4_OK,
    LH_SIGV4_NONE,            /* the request is not signed at all */
    LH_SIGV4_VERSION_2,       /* by the old scheme */
    LH_SIGV4_MALFORMED,       /* of the Authorization header or of the query's parameters */
    LH_SIGV4_SKEWED,          /* the clocks differ by more than LH_SIGV4_SKEW_MS */
    LH_SIGV4_EXPIRED,         /* presigned, or for no span of time that is allowed */
    LH_SIGV4_UNSIGNED_HEADER, /* host, or a header that begins with x-amz-, is not signed */
    LH_SIGV4_MISMATCH,
};

/* Finds and parses the claim. Does not look at keys, at the time, or at which region and service
 * the signature is for. Fills *err unless the result is OK or NONE. */
enum lh_sigv4_result lh_sigv4_parse(const struct lh_sigv4_request *request,
                                    struct lh_sigv4_claim *ret_claim, struct lh_error *err);

/* Running state for the chunks of a signed stream: the key of the day, and the last signature. */
struct lh_sigv4_context {
    uint8_t signing_key[32];
    char scope[LH_SIGV4_SCOPE_SIZE];
    char timestamp[LH_SIGV4_TIMESTAMP_SIZE];
    char signature[LH_SIGV4_SIGNATURE_HEX];
};

/* Whether the claim holds for this secret at this time. The signing key of a day, region and secret
 * is derived once and cached (thread-safe). Compares in constant time. ret_context may be NULL.
 * Fills *err unless the result is OK; on a mismatch its excerpt is the text that we have signed. */
enum lh_sigv4_result lh_sigv4_verify(const struct lh_sigv4_request *request,
                                     const struct lh_sigv4_claim *claim, lh_str secret,
                                     lh_time_ms now, struct lh_sigv4_context *ret_context,
                                     struct lh_error *err);

/* The signature of the next chunk, of a body with that SHA-256; it becomes the context's last. */
void lh_sigv4_sign_chunk(struct lh_sigv4_context *context, const uint8_t sha256[32],
                         char ret[LH_SIGV4_SIGNATURE_HEX]);
/* The same of the trailing headers: SHA-256 of "name:value\n" lines. */
void lh_sigv4_sign_trailer(struct lh_sigv4_context *context, const uint8_t sha256[32],
                           char ret[LH_SIGV4_SIGNATURE_HEX]);

struct lh_sigv4_credentials {
    lh_str access_key;
    lh_str secret;
    lh_str region;
    lh_str service; /* "s3" */
};

void lh_sigv4_format_time(lh_time_ms time, char out[LH_SIGV4_TIMESTAMP_SIZE]);

/* The value of Authorization for a request whose headers hold host, x-amz-date and
 * x-amz-content-sha256 already; all of its headers are signed. Appends to out. LH_INVALID when one
 * of the three is missing, or for more than can be signed. */
lh_code lh_sigv4_sign(const struct lh_sigv4_request *request,
                      const struct lh_sigv4_credentials *credentials, struct lh_buf *out,
                      struct lh_error *err);

/* A URL that anybody may use until it expires: appends `endpoint` ("http://host:port"), path and
 * query with the signature. Both are encoded already, and the query has no signature yet. */
lh_code lh_sigv4_presign(enum lh_http_method method, lh_str endpoint, lh_str path, lh_str query,
                         const struct lh_sigv4_credentials *credentials, lh_time_ms now,
                         int64_t expires_s, struct lh_buf *out, struct lh_error *err);

#endif
