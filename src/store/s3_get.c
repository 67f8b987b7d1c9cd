/*
 * Reading and removing objects.
 */
#include "base/mem.h"
#include "store/s3_client_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RANGE_TEXT_MAX = 64 };

lh_str lh_s3_quote(const char *etag, char out[LH_S3_QUOTED_SIZE])
{
    int len = snprintf(out, LH_S3_QUOTED_SIZE, "\"%s\"", etag);
    return lh_str_of(out, (size_t)len);
}

lh_code lh_s3_client_head(struct lh_s3_client *client, lh_str bucket, lh_str key,
                          const struct lh_s3_limits *limits, struct lh_s3_answer *answer,
                          struct lh_error *err)
{
    const struct lh_s3_call call = {
        .method = LH_HTTP_HEAD, .bucket = bucket, .key = key, .limits = *limits};
    return lh_s3_client_call(client, &call, answer, err);
}

/* ---- get ---- */

/* A stream that may need several calls. */
struct stream {
    const struct lh_s3_get *get;
    struct lh_checksummer *sum; /* NULL: there is nothing to check against */
    struct lh_checksum expected;
    char etag[LH_ETAG_SIZE];
    uint64_t at;  /* the next byte of the object */
    uint64_t end; /* behind the last one that is wanted */
    bool begun;
};

/* The first call's head is the caller's; it says what is to come. */
static lh_code begin(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err)
{
    struct stream *stream = ctx;
    stream->begun = true;
    stream->at = answer->first;
    stream->end = answer->first + answer->length;
    snprintf(stream->etag, sizeof(stream->etag), "%s", answer->info.etag);
    if (answer->status == 200 && answer->checksum.kind != LH_CHECKSUM_NONE) {
        stream->expected = answer->checksum;
        stream->sum = lh_checksummer_new(answer->checksum.kind);
    }
    return stream->get->on_head(stream->get->ctx, answer, err);
}

static lh_code go_on(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err)
{
    const struct stream *stream = ctx;
    if (answer->status != 206 || answer->first != stream->at ||
        answer->length != stream->end - stream->at)
        return lh_fail(err, LH_BAD_UPSTREAM, "the store does not go on with a stream that broke");
    return LH_OK;
}

static lh_code check_sum(struct stream *stream, struct lh_error *err)
{
    struct lh_checksum found;
    lh_checksummer_final(stream->sum, &found);
    if (memcmp(found.bytes, stream->expected.bytes, lh_checksum_size(found.kind)) != 0)
        return lh_fail(err, LH_CORRUPT, "%.*s does not match its %s", LH_FMT(stream->get->key),
                       lh_checksum_name(found.kind));
    return LH_OK;
}

/* The last bytes are given on only when all of them are as they should be: so damage never looks
 * like a whole object. */
static lh_code pass_on(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct stream *stream = ctx;
    if (len > stream->end - stream->at)
        return lh_fail(err, LH_BAD_UPSTREAM, "the store sends more than it has announced");
    if (stream->sum != NULL)
        lh_checksummer_update(stream->sum, bytes, len);
    if (stream->sum != NULL && stream->at + len == stream->end)
        LH_TRY(check_sum(stream, err));
    LH_TRY(stream->get->on_body(stream->get->ctx, bytes, len, err));
    stream->at += len;
    return LH_OK;
}

static lh_code first_call(struct lh_s3_client *client, struct stream *stream,
                          struct lh_s3_answer *answer, struct lh_error *err)
{
    const struct lh_s3_get *get = stream->get;
    struct lh_http_header headers[LH_S3_HEADERS_MAX] = {
        {LH_STR("x-amz-checksum-mode"), LH_STR("ENABLED")}};
    size_t count = 1;
    for (size_t i = 0; i < get->header_count && count < LH_COUNT(headers); i++)
        headers[count++] = get->headers[i];
    const struct lh_s3_call call = {
        .method = LH_HTTP_GET,
        .bucket = get->bucket,
        .key = get->key,
        .headers = headers,
        .header_count = count,
        .limits = get->limits,
        .on_head = begin,
        .on_body = pass_on,
        .ctx = stream,
    };
    return lh_s3_client_call(client, &call, answer, err);
}

/* The rest, of the same version of the object. */
static lh_code next_call(struct lh_s3_client *client, struct stream *stream,
                         struct lh_s3_answer *answer, struct lh_error *err)
{
    char range[RANGE_TEXT_MAX];
    char etag[LH_S3_QUOTED_SIZE];
    int len =
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, stream->at, stream->end - 1);
    const struct lh_http_header headers[] = {
        {LH_STR("Range"), lh_str_of(range, (size_t)len)},
        {LH_STR("If-Match"), lh_s3_quote(stream->etag, etag)},
    };
    const struct lh_s3_call call = {
        .method = LH_HTTP_GET,
        .bucket = stream->get->bucket,
        .key = stream->get->key,
        .headers = headers,
        .header_count = LH_COUNT(headers),
        .limits = stream->get->limits,
        .on_head = go_on,
        .on_body = pass_on,
        .ctx = stream,
    };
    return lh_s3_client_call(client, &call, answer, err);
}

static bool may_go_on(const struct stream *stream, lh_code code)
{
    return stream->begun && stream->at < stream->end && stream->etag[0] != '\0' &&
           (code == LH_UNAVAILABLE || code == LH_BAD_UPSTREAM || code == LH_TIMEOUT) &&
           !lh_deadline_passed(stream->get->limits.deadline);
}

lh_code lh_s3_client_get(struct lh_s3_client *client, const struct lh_s3_get *get,
                         struct lh_error *err)
{
    struct stream stream = {.get = get};
    struct lh_error failure = LH_ERROR_INIT;
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    lh_code code = first_call(client, &stream, &answer, &failure);
    /* Each call that brings nothing is one of the tries. */
    for (unsigned tries = 1; may_go_on(&stream, code) && tries < client->tries_max;) {
        uint64_t before = stream.at;
        code = next_call(client, &stream, &answer, &failure);
        tries = stream.at == before ? tries + 1 : 1;
    }
    lh_checksummer_free(stream.sum);
    if (code != LH_OK)
        *err = failure;
    return code;
}

/* ---- delete ---- */

static bool is_absent(struct lh_s3_client *client, const struct lh_s3_call *call)
{
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    struct lh_error ignored = LH_ERROR_INIT;
    return lh_s3_client_head(client, call->bucket, call->key, &call->limits, &answer, &ignored) ==
           LH_NOT_FOUND;
}

/* What a failure to delete means. That there is nothing is no failure without a condition; with one
 * it may be the doing of the try before. */
static lh_code settle(struct lh_s3_client *client, const struct lh_s3_call *call,
                      const struct lh_s3_answer *answer, struct lh_error *err)
{
    bool conditional = call->header_count > 0;
    bool absent = err->code == LH_NOT_FOUND && strcmp(answer->code, "NoSuchBucket") != 0;
    if (absent && !conditional)
        return LH_OK;
    if (absent)
        LH_IGNORE(lh_fail(err, LH_PRECONDITION, "there is no object %.*s", LH_FMT(call->key)),
                  "judged below");
    if (err->code == LH_PRECONDITION && answer->tries > 1 && is_absent(client, call))
        return LH_OK;
    return err->code;
}

lh_code lh_s3_client_delete(struct lh_s3_client *client, lh_str bucket, lh_str key,
                            const char *if_match, const struct lh_s3_limits *limits,
                            struct lh_error *err)
{
    char etag[LH_S3_QUOTED_SIZE];
    struct lh_http_header header = {LH_STR("If-Match"), LH_STR_NONE};
    if (if_match != NULL)
        header.value = lh_s3_quote(if_match, etag);
    const struct lh_s3_call call = {
        .method = LH_HTTP_DELETE,
        .bucket = bucket,
        .key = key,
        .headers = &header,
        .header_count = if_match != NULL,
        .counts_tries = if_match != NULL,
        .limits = *limits,
    };
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = lh_s3_client_call(client, &call, &answer, &failure);
    if (code != LH_OK)
        code = settle(client, &call, &answer, &failure);
    if (code != LH_OK)
        *err = failure;
    return code;
}
