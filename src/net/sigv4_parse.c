/*
 * What a request says about its signature: the Authorization header, or the query's X-Amz-
 * parameters (Amazon S3 API Reference, "Authenticating requests").
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/sigv4_private.h"

enum { CREDENTIAL_PARTS = 4, ACCESS_KEY_MAX = 128 };

static enum lh_sigv4_result malformed(struct lh_error *err, const char *what)
{
    return LH_SIGV4_REFUSE(err, LH_INVALID, LH_SIGV4_MALFORMED,
                           "the signature is not well formed: %s", what);
}

static enum lh_sigv4_result version_2(struct lh_error *err)
{
    return LH_SIGV4_REFUSE(err, LH_INVALID, LH_SIGV4_VERSION_2,
                           "signature version 2 is not spoken here; use version 4");
}

/* "20261122T191000Z" */
static bool parse_time(lh_str text, struct lh_sigv4_claim *claim)
{
    if (text.len != LH_SIGV4_TIMESTAMP_SIZE - 1)
        return false;
    const char *t = text.ptr;
    const char plain[] = {t[0], t[1], t[2],  t[3], '-',   t[4],  t[5], '-',   t[6],  t[7],
                          t[8], t[9], t[10], ':',  t[11], t[12], ':',  t[13], t[14], t[15]};
    if (t[8] != 'T' || t[15] != 'Z' ||
        !lh_parse_rfc3339(lh_str_of(plain, sizeof(plain)), &claim->signed_ms))
        return false;
    memcpy(claim->timestamp, text.ptr, text.len);
    claim->timestamp[text.len] = '\0';
    return true;
}

void lh_sigv4_format_time(lh_time_ms time, char out[LH_SIGV4_TIMESTAMP_SIZE])
{
    char text[LH_RFC3339_SIZE];
    lh_format_rfc3339(time, text);
    size_t len = 0;
    for (const char *c = text; *c != '.'; c++) {
        if (*c != '-' && *c != ':')
            out[len++] = *c;
    }
    out[len++] = 'Z';
    out[len] = '\0';
}

/* Cuts the last part, behind a slash, off the text. */
static bool cut_last(lh_str *text, lh_str *ret_part)
{
    const char *slash = text->len > 0 ? memrchr(text->ptr, '/', text->len) : NULL;
    if (slash == NULL)
        return false;
    size_t head = (size_t)(slash - text->ptr);
    *ret_part = lh_str_skip(*text, head + 1);
    text->len = head;
    return ret_part->len > 0;
}

/* "key/20261122/us-east-1/s3/aws4_request", from its end: a key may hold slashes. */
static enum lh_sigv4_result parse_credential(lh_str text, struct lh_sigv4_claim *claim,
                                             struct lh_error *err)
{
    lh_str key = text, terminator;
    if (!cut_last(&key, &terminator) || !cut_last(&key, &claim->service) ||
        !cut_last(&key, &claim->region) || !cut_last(&key, &claim->date))
        return malformed(err, "the credential is to be KEY/DATE/REGION/SERVICE/aws4_request");
    if (!lh_str_is(terminator, "aws4_request"))
        return malformed(err, "the credential does not end in aws4_request");
    if (key.len == 0 || key.len > ACCESS_KEY_MAX)
        return malformed(err, "the credential has no access key, or a very long one");
    claim->access_key = key;
    claim->scope = lh_str_skip(text, key.len + 1);
    if (claim->scope.len >= LH_SIGV4_SCOPE_SIZE)
        return malformed(err, "the credential's scope is too long");
    return LH_SIGV4_OK;
}

/* What both ways have in common, once all pieces are there. */
static enum lh_sigv4_result complete(const struct lh_sigv4_claim *claim, struct lh_error *err)
{
    if (!lh_str_eq(claim->date, lh_str_of(claim->timestamp, strlen("20261122"))))
        return malformed(err, "the date of the credential is not that of the request");
    if (claim->signed_headers.len == 0)
        return malformed(err, "it names no signed headers");
    if (claim->signature.len == 0)
        return malformed(err, "the signature is empty");
    return LH_SIGV4_OK;
}

/* ---- by header ---- */

/* An HTTP date; its zone may be written as in RFC 5322, which Python's clients do. */
static bool parse_date(lh_str text, lh_time_ms *ret)
{
    char plain[LH_HTTP_DATE_SIZE];
    size_t zone_len = strlen(" -0000");
    if (!lh_str_ends(text, " -0000") && !lh_str_ends(text, " +0000"))
        return lh_parse_http_date(text, ret);
    if (text.len - zone_len + strlen(" GMT") >= sizeof(plain))
        return false;
    snprintf(plain, sizeof(plain), "%.*s GMT", (int)(text.len - zone_len), text.ptr);
    return lh_parse_http_date(lh_str_from(plain), ret);
}

/* The date of a request without x-amz-date is that of its Date header. */
static bool header_time(const struct lh_sigv4_request *request, struct lh_sigv4_claim *claim)
{
    lh_str text;
    if (lh_sigv4_header(request, LH_STR("x-amz-date"), &text))
        return parse_time(text, claim);
    if (!lh_sigv4_header(request, LH_STR("date"), &text))
        return false;
    if (!parse_date(text, &claim->signed_ms))
        return parse_time(text, claim);
    lh_sigv4_format_time(claim->signed_ms, claim->timestamp);
    return true;
}

/* "Credential=..., SignedHeaders=..., Signature=...", with blanks or without, in any order. */
static enum lh_sigv4_result parse_fields(lh_str fields, struct lh_sigv4_claim *claim,
                                         struct lh_error *err)
{
    lh_str credential = LH_STR_NONE;
    const struct {
        const char *name;
        lh_str *value;
    } known[] = {
        {"Credential", &credential},
        {"SignedHeaders", &claim->signed_headers},
        {"Signature", &claim->signature},
    };
    lh_str field;
    while (lh_str_next(&fields, ',', &field)) {
        field = lh_str_trim(field);
        lh_str name = LH_STR_NONE;
        lh_str_next(&field, '=', &name);
        for (size_t i = 0; i < LH_COUNT(known); i++) {
            if (!lh_str_is(lh_str_trim(name), known[i].name))
                continue;
            if (known[i].value->ptr)
                return malformed(err, "a field of Authorization is there twice");
            *known[i].value = lh_str_trim(field);
        }
    }
    return parse_credential(credential, claim, err);
}

static enum lh_sigv4_result parse_header(const struct lh_sigv4_request *request,
                                         lh_str authorization, struct lh_sigv4_claim *claim,
                                         struct lh_error *err)
{
    if (lh_str_starts(authorization, "AWS "))
        return version_2(err);
    if (!lh_str_starts(authorization, LH_SIGV4_ALGORITHM " "))
        return malformed(err, "Authorization is not by " LH_SIGV4_ALGORITHM);
    lh_str fields = lh_str_skip(authorization, strlen(LH_SIGV4_ALGORITHM " "));
    enum lh_sigv4_result result = parse_fields(fields, claim, err);
    if (result != LH_SIGV4_OK)
        return result;
    if (!header_time(request, claim))
        return malformed(err, "there is no valid x-amz-date or Date");
    if (!lh_sigv4_header(request, LH_STR("x-amz-content-sha256"), &claim->content_sha256))
        return malformed(err, "the header x-amz-content-sha256 is missing");
    return complete(claim, err);
}

/* ---- by query ---- */

/* The parameters of a presigned URL, decoded. */
struct presigned {
    lh_str algorithm;
    lh_str credential;
    lh_str date;
    lh_str expires;
    lh_str signed_headers;
    lh_str signature;
    lh_str content_sha256;
    bool version_2; /* AWSAccessKeyId, of the old scheme */
    bool twice;
    bool too_long;
};

static void take_parameter(lh_str name, lh_str value, struct presigned *to,
                           struct lh_sigv4_claim *claim, size_t *used)
{
    const struct {
        const char *name;
        lh_str *value;
    } known[] = {
        {"X-Amz-Algorithm", &to->algorithm},
        {"X-Amz-Credential", &to->credential},
        {"X-Amz-Date", &to->date},
        {"X-Amz-Expires", &to->expires},
        {"X-Amz-SignedHeaders", &to->signed_headers},
        {"X-Amz-Signature", &to->signature},
        {"X-Amz-Content-Sha256", &to->content_sha256},
    };
    to->version_2 |= lh_str_is(name, "AWSAccessKeyId");
    for (size_t i = 0; i < LH_COUNT(known); i++) {
        if (!lh_str_eq_nocase(name, lh_str_from(known[i].name)))
            continue;
        to->twice |= known[i].value->ptr != NULL;
        if (value.len > sizeof(claim->decoded) - *used) {
            to->too_long = true;
            return;
        }
        char *start = claim->decoded + *used;
        size_t len = 0;
        if (!lh_percent_decode(value, true, start, &len))
            len = 0; /* what it was is missed by whoever needs it */
        *used += len;
        *known[i].value = lh_str_of(start, len);
    }
}

static struct presigned scan_query(lh_str query, struct lh_sigv4_claim *claim)
{
    struct presigned found = {0};
    size_t used = 0;
    lh_str parameter;
    while (lh_str_next(&query, '&', &parameter)) {
        lh_str name = LH_STR_NONE;
        lh_str_next(&parameter, '=', &name);
        take_parameter(name, parameter, &found, claim, &used);
    }
    return found;
}

static enum lh_sigv4_result parse_query(const struct lh_sigv4_request *request,
                                        const struct presigned *found, struct lh_sigv4_claim *claim,
                                        struct lh_error *err)
{
    if (found->twice || found->too_long)
        return malformed(err, "a parameter of the query is there twice, or very long");
    if (!lh_str_is(found->algorithm, LH_SIGV4_ALGORITHM))
        return malformed(err, "X-Amz-Algorithm is not " LH_SIGV4_ALGORITHM);
    enum lh_sigv4_result result = parse_credential(found->credential, claim, err);
    if (result != LH_SIGV4_OK)
        return result;
    if (!parse_time(found->date, claim))
        return malformed(err, "there is no valid X-Amz-Date");
    if (!lh_str_to_i64(found->expires, &claim->expires_s))
        return malformed(err, "X-Amz-Expires is not a number of seconds");
    claim->presigned = true;
    claim->signed_headers = found->signed_headers;
    claim->signature = found->signature;
    /* By the query, else by a header that is signed, else the body is anybody's. */
    const lh_str name = LH_STR("x-amz-content-sha256");
    claim->content_sha256 = found->content_sha256;
    if (claim->content_sha256.len == 0 && (!lh_sigv4_lists(found->signed_headers, name) ||
                                           !lh_sigv4_header(request, name, &claim->content_sha256)))
        claim->content_sha256 = LH_STR(LH_SIGV4_UNSIGNED);
    return complete(claim, err);
}

enum lh_sigv4_result lh_sigv4_parse(const struct lh_sigv4_request *request,
                                    struct lh_sigv4_claim *ret_claim, struct lh_error *err)
{
    /* All but the room for decoded text, which would cost more than the parsing. */
    memset(ret_claim, 0, offsetof(struct lh_sigv4_claim, decoded));
    lh_str authorization = LH_STR_NONE;
    lh_sigv4_header(request, LH_STR("authorization"), &authorization);
    struct presigned found = scan_query(request->query, ret_claim);
    bool presigned = found.algorithm.ptr || found.signature.ptr || found.credential.ptr;
    if (authorization.len > 0 && presigned)
        return malformed(err, "it is in the query and in Authorization");
    if (presigned)
        return parse_query(request, &found, ret_claim, err);
    if (authorization.len > 0)
        return parse_header(request, authorization, ret_claim, err);
    return found.version_2 ? version_2(err) : LH_SIGV4_NONE;
}
