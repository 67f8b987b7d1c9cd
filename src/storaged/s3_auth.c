/*
 * Who asks, and what they may: signatures of version 4 (Amazon S3 API Reference, "Authenticating
 * requests"), the table of keys, and how the body is told to be protected.
 *
 * Without keys the door is open: signatures are not looked at, but what is said of the body is.
 */
#include "storaged/s3.h"

#include <stdio.h>
#include <string.h>

/* ---- the body ---- */

static lh_code take_body_mode(struct lh_s3 *s3, lh_str text, struct lh_error *err)
{
    static const struct {
        const char *text;
        enum lh_s3_body_mode mode;
    } modes[] = {
        {"UNSIGNED-PAYLOAD", LH_S3_BODY_UNSIGNED},
        {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", LH_S3_BODY_UNSIGNED_TRAILER},
        {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", LH_S3_BODY_CHUNKED_SIGNED},
        {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", LH_S3_BODY_CHUNKED_TRAILER},
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (lh_str_is(text, modes[i].text)) {
            s3->body_mode = modes[i].mode;
            return LH_OK;
        }
    }
    if (lh_str_starts(text, "STREAMING-AWS4-ECDSA-"))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "asymmetric signatures are not served");
    s3->body_mode = LH_S3_BODY_SIGNED;
    if (lh_unhex(text, s3->body_sha256, sizeof(s3->body_sha256)))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                      "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                      "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value");
}

/* aws-chunked needs a mode that says how: without, the frame would become part of the object. */
static lh_code check_framing(struct lh_s3 *s3, struct lh_error *err)
{
    bool has_frame = lh_http_header(s3->x, "x-amz-decoded-content-length").ptr != NULL;
    bool is_plain = s3->body_mode == LH_S3_BODY_SIGNED || s3->body_mode == LH_S3_BODY_UNSIGNED;
    if (has_frame && is_plain)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "x-amz-decoded-content-length needs a streaming x-amz-content-sha256");
    return LH_OK;
}

/* ---- nobody, and everybody ---- */

static void be_anybody(struct lh_s3 *s3)
{
    s3->who = (struct lh_key){
        .role = LH_ROLE_ADMIN, .pattern = "*", .user_id = LH_S3_OWNER, .display_name = LH_S3_OWNER};
}

static void be_nobody(struct lh_s3 *s3)
{
    s3->who = (struct lh_key){.anonymous = true};
}

static bool needs_keys(const struct lh_s3 *s3)
{
    return s3->storaged->keys != NULL && lh_keys_required(s3->storaged->keys);
}

/* ---- signatures ---- */

static enum lh_s3_word word_of(enum lh_sigv4_result result, bool presigned)
{
    switch (result) {
    case LH_SIGV4_VERSION_2:
        return LH_S3_INVALID_REQUEST;
    case LH_SIGV4_MALFORMED:
        return presigned ? LH_S3_AUTHORIZATION_QUERY_ERROR : LH_S3_AUTHORIZATION_HEADER_MALFORMED;
    case LH_SIGV4_SKEWED:
        return LH_S3_REQUEST_TIME_TOO_SKEWED;
    case LH_SIGV4_MISMATCH:
        return LH_S3_SIGNATURE_DOES_NOT_MATCH;
    case LH_SIGV4_EXPIRED:
    case LH_SIGV4_UNSIGNED_HEADER:
    case LH_SIGV4_NONE:
    case LH_SIGV4_OK:
        break;
    }
    return LH_S3_ACCESS_DENIED;
}

static lh_code refuse(struct lh_s3 *s3, enum lh_sigv4_result result, struct lh_error *err)
{
    lh_str ignored;
    bool presigned = lh_http_query(s3->x, "X-Amz-Algorithm", &ignored);
    char message[LH_ERROR_MESSAGE_MAX];
    snprintf(message, sizeof(message), "%s", err->message);
    return lh_s3_fail(s3, err, word_of(result, presigned), "%s", message);
}

static lh_code take_headers(struct lh_s3 *s3, struct lh_sigv4_request *request,
                            struct lh_error *err)
{
    size_t count = lh_http_header_count(s3->x);
    struct lh_http_header *headers =
        lh_arena_alloc(lh_http_arena(s3->x), (count + 1) * sizeof(*headers));
    if (headers == NULL)
        return lh_fail(err, LH_BUSY, "no memory for the headers");
    for (size_t i = 0; i < count; i++)
        headers[i] = lh_http_header_at(s3->x, i);
    *request = (struct lh_sigv4_request){.method = lh_http_method(s3->x),
                                         .path = s3->path,
                                         .query = s3->query,
                                         .headers = headers,
                                         .header_count = count};
    return LH_OK;
}

static lh_code check_scope(struct lh_s3 *s3, const struct lh_sigv4_claim *claim,
                           struct lh_error *err)
{
    if (!lh_str_is(claim->service, "s3"))
        return lh_s3_fail(s3, err, LH_S3_AUTHORIZATION_HEADER_MALFORMED,
                          "the credential's scope is for the service %.*s, and this is s3",
                          LH_FMT(claim->service));
    if (lh_http_header(s3->x, "x-amz-security-token").ptr != NULL)
        return lh_s3_fail(s3, err, LH_S3_INVALID_SESSION_TOKEN, "there are no session tokens here");
    if (claim->content_sha256.ptr == NULL)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "the header x-amz-content-sha256 is missing");
    return LH_OK;
}

static lh_code verify(struct lh_s3 *s3, const struct lh_sigv4_request *request,
                      const struct lh_sigv4_claim *claim, struct lh_error *err)
{
    LH_TRY(check_scope(s3, claim, err));
    if (!lh_keys_by_id(s3->storaged->keys, claim->access_key, &s3->who))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ACCESS_KEY_ID,
                          "The access key id you provided does not exist in our records");
    enum lh_sigv4_result result = lh_sigv4_verify(request, claim, lh_str_from(s3->who.secret),
                                                  lh_now_ms(), &s3->signature, err);
    if (result != LH_SIGV4_OK)
        return refuse(s3, result, err);
    s3->signed_request = true;
    return take_body_mode(s3, claim->content_sha256, err);
}

static lh_code take_unsigned_body(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str mode = lh_http_header(s3->x, "x-amz-content-sha256");
    return mode.ptr == NULL ? LH_OK : take_body_mode(s3, mode, err);
}

lh_code lh_s3_authenticate(struct lh_s3 *s3, struct lh_error *err)
{
    if (!needs_keys(s3)) {
        be_anybody(s3);
        LH_TRY(take_unsigned_body(s3, err));
        return check_framing(s3, err);
    }
    struct lh_sigv4_request request;
    struct lh_sigv4_claim claim;
    LH_TRY(take_headers(s3, &request, err));
    enum lh_sigv4_result result = lh_sigv4_parse(&request, &claim, err);
    if (result == LH_SIGV4_NONE) {
        be_nobody(s3);
        LH_TRY(take_unsigned_body(s3, err));
    } else if (result != LH_SIGV4_OK) {
        return refuse(s3, result, err);
    } else {
        LH_TRY(verify(s3, &request, &claim, err));
    }
    return check_framing(s3, err);
}

/* ---- may they? ---- */

bool lh_s3_may(const struct lh_s3 *s3, enum lh_access access, lh_str bucket, lh_str key)
{
    if (!needs_keys(s3))
        return true;
    unsigned needed = access == LH_ACCESS_READ ? LH_PUBLIC_READ : LH_PUBLIC_WRITE;
    if (access != LH_ACCESS_ADMIN && (s3->bucket.public_rights & needed) != 0 &&
        lh_str_eq(bucket, lh_str_from(s3->bucket.name)))
        return true;
    return !s3->who.anonymous && lh_key_may(&s3->who, access, bucket, key);
}

lh_code lh_s3_authorize(struct lh_s3 *s3, enum lh_access access, lh_str bucket, lh_str key,
                        struct lh_error *err)
{
    if (lh_s3_may(s3, access, bucket, key))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_ACCESS_DENIED, "Access Denied");
}
