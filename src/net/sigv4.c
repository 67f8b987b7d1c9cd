/*
 * Signatures: made, and verified by making them again.
 *
 *   signature = HMAC(signing key, algorithm \n time \n scope \n SHA-256 of the canonical request)
 *
 * The signature of a chunk has the last one in the place of the request (Amazon S3 API Reference,
 * "Signature calculations: transferring payload in multiple chunks"), so the chunks are a chain.
 */
#include "net/sigv4.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/sigv4_private.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
    CANONICAL_MAX = 256 << 10, /* of a request whose header has at most 64 KiB */
    TEXT_MAX = 512,            /* of a string to sign: four lines, two of them bounded */
    SIGNED_HEADERS_MAX = 64,   /* of a request that we sign */
};

static void hmac_hex(const uint8_t key[LH_SIGV4_KEY_SIZE], lh_str text,
                     char ret[LH_SIGV4_SIGNATURE_HEX])
{
    uint8_t mac[LH_SHA256_SIZE];
    lh_hmac_sha256(key, LH_SIGV4_KEY_SIZE, text.ptr, text.len, mac);
    lh_hex(mac, sizeof(mac), ret);
}

/* The string to sign of a request: its canonical form by its hash. Appends to out. */
static lh_code string_to_sign(const struct lh_sigv4_request *request,
                              const struct lh_sigv4_claim *claim, struct lh_buf *out,
                              struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf canonical = LH_BUF_INIT(CANONICAL_MAX);
    /* Enough for most, so that it does not grow piece by piece. */
    size_t likely = 3 * (request->path.len + request->query.len) + 1024;
    LH_IGNORE(lh_buf_reserve(&canonical, likely) == NULL, "it is asked for at the end");
    LH_TRY(lh_sigv4_canonical(request, claim->presigned, claim->signed_headers,
                              claim->content_sha256, &canonical, err));
    if (lh_buf_overflowed(&canonical))
        return lh_fail(err, LH_INVALID, "what is signed is longer than %d bytes", CANONICAL_MAX);
    char hash[LH_SHA256_HEX];
    lh_sha256_hex(canonical.data, canonical.len, hash);
    lh_buf_append_cstr(out, LH_SIGV4_ALGORITHM "\n");
    lh_buf_append_cstr(out, claim->timestamp);
    lh_buf_append_char(out, '\n');
    lh_buf_append_str(out, claim->scope);
    lh_buf_append_char(out, '\n');
    lh_buf_append(out, hash, sizeof(hash) - 1);
    LH_CHECK(!lh_buf_overflowed(out));
    return LH_OK;
}

/* ---- verifying ---- */

static enum lh_sigv4_result check_time(const struct lh_sigv4_claim *claim, lh_time_ms now,
                                       struct lh_error *err)
{
    int64_t age_ms = now - claim->signed_ms;
    if (age_ms < -LH_SIGV4_SKEW_MS || (!claim->presigned && age_ms > LH_SIGV4_SKEW_MS))
        return LH_SIGV4_REFUSE(err, LH_FORBIDDEN, LH_SIGV4_SKEWED,
                               "the request was signed at %s, %lld s before the server's time",
                               claim->timestamp, (long long)(age_ms / 1000));
    if (!claim->presigned)
        return LH_SIGV4_OK;
    if (claim->expires_s < 1 || claim->expires_s > LH_SIGV4_EXPIRES_MAX)
        return LH_SIGV4_REFUSE(err, LH_FORBIDDEN, LH_SIGV4_EXPIRED,
                               "X-Amz-Expires is %lld, not 1 to %d", (long long)claim->expires_s,
                               LH_SIGV4_EXPIRES_MAX);
    if (age_ms / 1000 >= claim->expires_s)
        return LH_SIGV4_REFUSE(err, LH_FORBIDDEN, LH_SIGV4_EXPIRED,
                               "the request has expired: it was signed at %s for %lld s",
                               claim->timestamp, (long long)claim->expires_s);
    return LH_SIGV4_OK;
}

/* What could be changed on the way must be signed: where to, and all of S3's own headers. */
static enum lh_sigv4_result check_headers(const struct lh_sigv4_request *request,
                                          const struct lh_sigv4_claim *claim, struct lh_error *err)
{
    lh_str missing = LH_STR_NONE;
    const lh_str prefix = LH_STR("x-amz-");
    if (!lh_sigv4_lists(claim->signed_headers, LH_STR("host")))
        missing = LH_STR("host");
    for (size_t i = 0; i < request->header_count && !missing.ptr; i++) {
        lh_str name = request->headers[i].name;
        if (name.len > prefix.len && lh_str_eq_nocase(lh_str_of(name.ptr, prefix.len), prefix) &&
            !lh_sigv4_lists(claim->signed_headers, name))
            missing = name;
    }
    if (!missing.ptr)
        return LH_SIGV4_OK;
    return LH_SIGV4_REFUSE(err, LH_FORBIDDEN, LH_SIGV4_UNSIGNED_HEADER,
                           "the header %.*s is not signed", LH_FMT(missing));
}

static enum lh_sigv4_result mismatch(lh_str signed_text, struct lh_error *err)
{
    enum lh_sigv4_result result =
        LH_SIGV4_REFUSE(err, LH_FORBIDDEN, LH_SIGV4_MISMATCH,
                        "the signature does not match the request and the key");
    size_t room = sizeof(err->excerpt) - 1;
    size_t len = signed_text.len < room ? signed_text.len : room;
    memcpy(err->excerpt, signed_text.ptr, len);
    err->excerpt[len] = '\0';
    return result;
}

static void fill_context(const struct lh_sigv4_claim *claim, const uint8_t key[LH_SIGV4_KEY_SIZE],
                         struct lh_sigv4_context *ret)
{
    memcpy(ret->signing_key, key, LH_SIGV4_KEY_SIZE);
    memcpy(ret->scope, claim->scope.ptr, claim->scope.len);
    ret->scope[claim->scope.len] = '\0';
    memcpy(ret->timestamp, claim->timestamp, sizeof(ret->timestamp));
    memcpy(ret->signature, claim->signature.ptr, claim->signature.len);
    ret->signature[claim->signature.len] = '\0';
}

enum lh_sigv4_result lh_sigv4_verify(const struct lh_sigv4_request *request,
                                     const struct lh_sigv4_claim *claim, lh_str secret,
                                     lh_time_ms now, struct lh_sigv4_context *ret_context,
                                     struct lh_error *err)
{
    enum lh_sigv4_result result = check_time(claim, now, err);
    if (result == LH_SIGV4_OK)
        result = check_headers(request, claim, err);
    if (result != LH_SIGV4_OK)
        return result;
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(TEXT_MAX);
    if (string_to_sign(request, claim, &text, err) != LH_OK)
        return LH_SIGV4_MALFORMED;
    uint8_t key[LH_SIGV4_KEY_SIZE];
    bool known = lh_sigv4_key_find(secret, claim->scope, key);
    if (!known)
        lh_sigv4_key_derive(secret, claim->scope, key);
    char signature[LH_SIGV4_SIGNATURE_HEX];
    hmac_hex(key, lh_buf_str(&text), signature);
    if (!lh_secret_eq(lh_str_from(signature), claim->signature))
        return mismatch(lh_buf_str(&text), err);
    if (!known) /* only now: a stranger's request takes no place in the cache */
        lh_sigv4_key_keep(secret, claim->scope, key);
    if (ret_context)
        fill_context(claim, key, ret_context);
    return LH_SIGV4_OK;
}

/* ---- chunks ---- */

static void sign_next(struct lh_sigv4_context *context, const char *kind, const char *between,
                      const uint8_t sha256[LH_SHA256_SIZE], char ret[LH_SIGV4_SIGNATURE_HEX])
{
    char hash[LH_SHA256_HEX];
    lh_hex(sha256, LH_SHA256_SIZE, hash);
    struct lh_buf text = LH_BUF_INIT(TEXT_MAX);
    lh_buf_printf(&text, LH_SIGV4_ALGORITHM "-%s\n%s\n%s\n%s\n%s%s", kind, context->timestamp,
                  context->scope, context->signature, between, hash);
    LH_CHECK(!lh_buf_overflowed(&text));
    hmac_hex(context->signing_key, lh_buf_str(&text), context->signature);
    memcpy(ret, context->signature, sizeof(context->signature));
    lh_buf_deinit(&text);
}

void lh_sigv4_sign_chunk(struct lh_sigv4_context *context, const uint8_t sha256[32],
                         char ret[LH_SIGV4_SIGNATURE_HEX])
{
    sign_next(context, "PAYLOAD", EMPTY_SHA256 "\n", sha256, ret);
}

void lh_sigv4_sign_trailer(struct lh_sigv4_context *context, const uint8_t sha256[32],
                           char ret[LH_SIGV4_SIGNATURE_HEX])
{
    sign_next(context, "TRAILER", "", sha256, ret);
}

/* ---- signing ---- */

/* The names of all headers, in lower case, sorted, each once, joined by ';'. */
static lh_code list_headers(const struct lh_sigv4_request *request, struct lh_buf *out,
                            struct lh_error *err)
{
    lh_str names[SIGNED_HEADERS_MAX];
    size_t count = 0;
    LH_AUTO_BUF struct lh_buf lower = LH_BUF_INIT(CANONICAL_MAX);
    for (size_t i = 0; i < request->header_count; i++)
        lh_buf_append_str(&lower, request->headers[i].name);
    if (request->header_count > SIGNED_HEADERS_MAX || lh_buf_overflowed(&lower))
        return lh_fail(err, LH_INVALID, "a request with more than %d headers is not signed",
                       SIGNED_HEADERS_MAX);
    char *next = lower.data;
    for (size_t i = 0; i < request->header_count; i++) {
        lh_str name = lh_str_of(next, request->headers[i].name.len);
        for (; next < name.ptr + name.len; next++) {
            if (*next >= 'A' && *next <= 'Z')
                *next = (char)(*next | 0x20);
        }
        size_t at = count;
        while (at > 0 && lh_str_compare(names[at - 1], name) > 0)
            at--;
        if (at > 0 && lh_str_eq(names[at - 1], name))
            continue;
        memmove(&names[at + 1], &names[at], (count - at) * sizeof(names[0]));
        names[at] = name;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_char(out, ';');
        lh_buf_append_str(out, names[i]);
    }
    return LH_OK;
}

static lh_code sign_claim(const struct lh_sigv4_request *request,
                          const struct lh_sigv4_claim *claim, lh_str secret,
                          char ret[LH_SIGV4_SIGNATURE_HEX], struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(TEXT_MAX);
    LH_TRY(string_to_sign(request, claim, &text, err));
    uint8_t key[LH_SIGV4_KEY_SIZE];
    if (!lh_sigv4_key_find(secret, claim->scope, key)) {
        lh_sigv4_key_derive(secret, claim->scope, key);
        lh_sigv4_key_keep(secret, claim->scope, key);
    }
    hmac_hex(key, lh_buf_str(&text), ret);
    return LH_OK;
}

/* "20261122/us-east-1/s3/aws4_request" of a time and credentials. */
static lh_code append_scope(struct lh_buf *out, const char *timestamp,
                            const struct lh_sigv4_credentials *credentials, struct lh_error *err)
{
    lh_buf_printf(out, "%.8s/%.*s/%.*s/aws4_request", timestamp, LH_FMT(credentials->region),
                  LH_FMT(credentials->service));
    if (lh_buf_overflowed(out) || credentials->region.len == 0 || credentials->service.len == 0)
        return lh_fail(err, LH_INVALID, "\"%.*s\" is no region to sign for",
                       LH_FMT(credentials->region));
    return LH_OK;
}

lh_code lh_sigv4_sign(const struct lh_sigv4_request *request,
                      const struct lh_sigv4_credentials *credentials, struct lh_buf *out,
                      struct lh_error *err)
{
    struct lh_sigv4_claim claim;
    memset(&claim, 0, sizeof(claim));
    lh_str date = LH_STR_NONE, host;
    lh_sigv4_header(request, LH_STR("x-amz-date"), &date);
    if (date.len != LH_SIGV4_TIMESTAMP_SIZE - 1 ||
        !lh_sigv4_header(request, LH_STR("host"), &host) ||
        !lh_sigv4_header(request, LH_STR("x-amz-content-sha256"), &claim.content_sha256))
        return lh_fail(err, LH_INVALID,
                       "to be signed, a request needs host, x-amz-date and x-amz-content-sha256");
    memcpy(claim.timestamp, date.ptr, date.len);
    LH_AUTO_BUF struct lh_buf scope = LH_BUF_INIT(LH_SIGV4_SCOPE_SIZE - 1);
    LH_TRY(append_scope(&scope, claim.timestamp, credentials, err));
    LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(CANONICAL_MAX);
    LH_TRY(list_headers(request, &names, err));
    claim.scope = lh_buf_str(&scope);
    claim.signed_headers = lh_buf_str(&names);
    char signature[LH_SIGV4_SIGNATURE_HEX];
    LH_TRY(sign_claim(request, &claim, credentials->secret, signature, err));
    lh_buf_printf(out, LH_SIGV4_ALGORITHM " Credential=%.*s/%s, SignedHeaders=%s, Signature=%s",
                  LH_FMT(credentials->access_key), scope.data, names.data, signature);
    return LH_OK;
}

/* The query that is signed: the caller's, and what says how it is signed. */
static void presigned_query(lh_str query, const struct lh_sigv4_credentials *credentials,
                            const struct lh_sigv4_claim *claim, int64_t expires_s,
                            struct lh_buf *out)
{
    lh_buf_append_str(out, query);
    lh_buf_printf(out, "%sX-Amz-Algorithm=" LH_SIGV4_ALGORITHM "&X-Amz-Credential=",
                  query.len > 0 ? "&" : "");
    lh_http_encode(out, credentials->access_key, false);
    lh_buf_append_cstr(out, "%2F");
    lh_http_encode(out, claim->scope, false);
    lh_buf_printf(out, "&X-Amz-Date=%s&X-Amz-Expires=%lld&X-Amz-SignedHeaders=host",
                  claim->timestamp, (long long)expires_s);
}

lh_code lh_sigv4_presign(enum lh_http_method method, lh_str endpoint, lh_str path, lh_str query,
                         const struct lh_sigv4_credentials *credentials, lh_time_ms now,
                         int64_t expires_s, struct lh_buf *out, struct lh_error *err)
{
    if (expires_s < 1 || expires_s > LH_SIGV4_EXPIRES_MAX)
        return lh_fail(err, LH_INVALID, "a URL can be valid for 1 to %d seconds, not %lld",
                       LH_SIGV4_EXPIRES_MAX, (long long)expires_s);
    struct lh_sigv4_claim claim;
    memset(&claim, 0, sizeof(claim));
    claim.presigned = true;
    lh_sigv4_format_time(now, claim.timestamp);
    LH_AUTO_BUF struct lh_buf scope = LH_BUF_INIT(LH_SIGV4_SCOPE_SIZE - 1);
    LH_TRY(append_scope(&scope, claim.timestamp, credentials, err));
    claim.scope = lh_buf_str(&scope);
    claim.signed_headers = LH_STR("host");
    claim.content_sha256 = LH_STR(LH_SIGV4_UNSIGNED);

    LH_AUTO_BUF struct lh_buf signed_query = LH_BUF_INIT(CANONICAL_MAX);
    presigned_query(query, credentials, &claim, expires_s, &signed_query);
    lh_str host = endpoint;
    for (const char *scheme = "://"; host.len > 0 && !lh_str_starts(host, scheme);)
        host = lh_str_skip(host, 1);
    if (host.len == 0 || lh_buf_overflowed(&signed_query))
        return lh_fail(err, LH_INVALID, "\"%.*s\" is no http:// or https:// address",
                       LH_FMT(endpoint));
    const struct lh_http_header header = {LH_STR("host"), lh_str_skip(host, strlen("://"))};
    const struct lh_sigv4_request request = {method, path, lh_buf_str(&signed_query), &header, 1};
    char signature[LH_SIGV4_SIGNATURE_HEX];
    LH_TRY(sign_claim(&request, &claim, credentials->secret, signature, err));
    lh_buf_append_str(out, endpoint);
    lh_buf_append_str(out, path);
    lh_buf_append_char(out, '?');
    lh_buf_append_str(out, request.query);
    lh_buf_printf(out, "&X-Amz-Signature=%s", signature);
    return LH_OK;
}
