/*
 * The native REST over an external store (remote.h): the same requests and answers as over the
 * local one, as far as the store can say. Where it cannot: a PUT without a condition is answered
 * 200, for it is not known whether the key was there; conditions name one etag.
 */
#include "base/checksum.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storaged/api.h"
#include "storaged/api_read.h"
#include "storaged/remote.h"
#include "storaged/s3_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_BYTES_MAX = 64 << 10,
    LIST_PAGE_MAX = 1000,
    RANGE_TEXT_MAX = 96,
    GET_HEADERS_MAX = 5
};

static bool is_cancelled(const void *ctx)
{
    return lh_http_cancelled(ctx);
}

/* As long as the client waits. */
static struct lh_s3_limits limits_of(const struct lh_http_exchange *x)
{
    return (struct lh_s3_limits){.deadline = LH_NO_DEADLINE, .cancelled = is_cancelled, .ctx = x};
}

static lh_code take_key(const struct lh_http_exchange *x, lh_str *ret_key, struct lh_error *err)
{
    lh_str key = lh_http_param(x, "key");
    LH_TRY(lh_store_check_key(key, err));
    *ret_key = key;
    return LH_OK;
}

/* ---- conditions of PUT and DELETE ---- */

/* The one strong etag of an If-Match, without quotes. */
static lh_code take_if_match(const struct lh_http_exchange *x, char out[LH_ETAG_SIZE],
                             const char **ret_etag, struct lh_error *err)
{
    lh_str value = lh_str_trim(lh_http_header(x, "If-Match"));
    if (value.ptr == NULL)
        return LH_OK;
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = lh_str_of(value.ptr + 1, value.len - 2);
    for (size_t i = 0; i < value.len; i++) {
        if (strchr("\"*,", value.ptr[i]) != NULL)
            return lh_fail(err, LH_UNSUPPORTED,
                           "If-Match must be one etag: the objects are in an external store");
    }
    if (value.len == 0 || value.len >= LH_ETAG_SIZE)
        return lh_fail(err, LH_PRECONDITION, "the object has another etag");
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    *ret_etag = out;
    return LH_OK;
}

static lh_code take_if_none_match(const struct lh_http_exchange *x, bool *ret, struct lh_error *err)
{
    lh_str value = lh_str_trim(lh_http_header(x, "If-None-Match"));
    if (value.ptr != NULL && !lh_str_is(value, "*"))
        return lh_fail(err, LH_UNSUPPORTED,
                       "If-None-Match must be *: the objects are in an external store");
    *ret = value.ptr != NULL;
    return LH_OK;
}

/* ---- PUT ---- */

/* A body on its way, and what it must hash to. */
struct incoming {
    struct lh_http_exchange *x;
    struct lh_s3 s3; /* what reads its headers */
    struct lh_s3_digests expected;
    struct lh_digest *md5; /* NULL when it is not asked for; so the next */
    struct lh_digest *sha256;
    struct lh_checksummer *checksum;
};

static lh_code read_body(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    struct incoming *incoming = ctx;
    LH_TRY(lh_http_body_read(incoming->x, bytes, max, ret_len, err));
    if (incoming->md5 != NULL)
        lh_digest_update(incoming->md5, bytes, *ret_len);
    if (incoming->sha256 != NULL)
        lh_digest_update(incoming->sha256, bytes, *ret_len);
    if (incoming->checksum != NULL)
        lh_checksummer_update(incoming->checksum, bytes, *ret_len);
    return LH_OK;
}

static lh_code check_digest(struct lh_digest *digest, const uint8_t *expected, size_t size,
                            const char *name, struct lh_error *err)
{
    uint8_t found[LH_SHA256_SIZE];
    if (digest == NULL)
        return LH_OK;
    lh_digest_final(digest, found);
    if (memcmp(found, expected, size) != 0)
        return lh_fail(err, LH_BAD_DIGEST, "the body does not match its %s", name);
    return LH_OK;
}

static lh_code check_body(void *ctx, struct lh_error *err)
{
    const struct incoming *incoming = ctx;
    const struct lh_checksum *expected = &incoming->expected.checksum;
    struct lh_checksum found;
    LH_TRY(check_digest(incoming->md5, incoming->expected.md5, LH_MD5_SIZE, "MD5", err));
    LH_TRY(
        check_digest(incoming->sha256, incoming->s3.body_sha256, LH_SHA256_SIZE, "SHA-256", err));
    if (incoming->checksum == NULL)
        return LH_OK;
    lh_checksummer_final(incoming->checksum, &found);
    if (memcmp(found.bytes, expected->bytes, lh_checksum_size(expected->kind)) != 0)
        return lh_fail(err, LH_BAD_DIGEST, "the body does not match its %s",
                       lh_checksum_name(expected->kind));
    return LH_OK;
}

/* What this service would keep and the external store is not told is refused. */
static lh_code take_headers(struct incoming *incoming, struct lh_error *err)
{
    struct lh_upload_options kept = {.length = -1};
    LH_TRY(lh_storaged_take_payload(&incoming->s3, err));
    LH_TRY(lh_s3_refuse_headers(&incoming->s3, err));
    LH_TRY(lh_s3_take_digests(&incoming->s3, &incoming->expected, err));
    LH_TRY(lh_s3_take_headers(&incoming->s3, &kept, err));
    if (kept.headers.count > 0 || lh_http_header(incoming->x, "x-amz-tagging").ptr != NULL ||
        lh_http_header(incoming->x, "Content-Encoding").len > 0)
        return lh_fail(err, LH_UNSUPPORTED,
                       "headers and tags are not kept with objects in an external store");
    return LH_OK;
}

static lh_code take_content_type(struct lh_http_exchange *x, const char **ret, struct lh_error *err)
{
    lh_str type = lh_http_header(x, "Content-Type");
    if (type.len >= LH_STORE_TYPE_SIZE)
        return lh_fail(err, LH_INVALID, "the content type has %zu bytes, at most %d are possible",
                       type.len, LH_STORE_TYPE_SIZE - 1);
    if (type.len == 0)
        return LH_OK;
    *ret = lh_arena_strndup(lh_http_arena(x), type.ptr, type.len);
    return *ret != NULL ? LH_OK : lh_fail(err, LH_BUSY, "no memory for this request");
}

static lh_code put_body(const struct lh_storaged *storaged, struct incoming *incoming,
                        struct lh_s3_put *put, lh_str key, struct lh_error *err)
{
    struct lh_object_info info;
    put->read = read_body;
    put->before_commit = check_body;
    put->ctx = incoming;
    if (incoming->expected.has_md5)
        incoming->md5 = lh_digest_new(LH_DIGEST_MD5);
    if (incoming->s3.body_mode == LH_S3_BODY_SIGNED)
        incoming->sha256 = lh_digest_new(LH_DIGEST_SHA256);
    if (incoming->expected.checksum.kind != LH_CHECKSUM_NONE)
        incoming->checksum = lh_checksummer_new(incoming->expected.checksum.kind);
    lh_code code = lh_remote_put(storaged->remote, key, put, &info, err);
    lh_digest_free(incoming->md5);
    lh_digest_free(incoming->sha256);
    lh_checksummer_free(incoming->checksum);
    LH_TRY(code);
    return lh_storaged_reply_stored(incoming->x, key, info.size, info.etag, put->if_none_match,
                                    err);
}

lh_code lh_storaged_remote_put(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                               struct lh_error *err)
{
    lh_str key;
    char etag[LH_ETAG_SIZE];
    struct incoming incoming = {.x = x, .s3 = {.x = x}};
    struct lh_s3_put put = {
        .length = lh_http_body_length(x),
        .size_max = (uint64_t)storaged->object_bytes_max,
        .limits = limits_of(x),
    };
    LH_TRY(take_key(x, &key, err));
    LH_TRY(take_if_match(x, etag, &put.if_match, err));
    LH_TRY(take_if_none_match(x, &put.if_none_match, err));
    LH_TRY(take_content_type(x, &put.content_type, err));
    LH_TRY(take_headers(&incoming, err));
    LH_TRY(lh_http_body_limit(x, storaged->object_bytes_max, err));
    return put_body(storaged, &incoming, &put, key, err);
}

/* ---- GET and HEAD ---- */

static void to_store_info(const struct lh_s3_answer *answer, struct lh_store_info *ret)
{
    *ret =
        (struct lh_store_info){.size = answer->info.size, .modified_ms = answer->info.modified_ms};
    snprintf(ret->etag, sizeof(ret->etag), "%s", answer->info.etag);
    snprintf(ret->content_type, sizeof(ret->content_type), "%s",
             answer->content_type[0] != '\0' ? answer->content_type : "application/octet-stream");
}

/* An object on its way out. */
struct outgoing {
    struct lh_http_exchange *x;
    bool unchanged; /* answered with 304 */
};

static lh_code send_head(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err)
{
    struct outgoing *outgoing = ctx;
    struct lh_http_exchange *x = outgoing->x;
    struct lh_store_info info;
    to_store_info(answer, &info);
    outgoing->unchanged = answer->status == 304;
    if (outgoing->unchanged)
        return lh_read_reply_unchanged(x, &info, err);
    lh_read_set_validators(x, &info);
    if (answer->status == 206) {
        char range[RANGE_TEXT_MAX];
        int len = snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                           answer->first, answer->first + answer->length - 1, info.size);
        lh_http_set_header(x, "Content-Range", lh_str_of(range, (size_t)len));
    }
    return lh_http_start(x, answer->status, info.content_type, (int64_t)answer->length, err);
}

static lh_code send_bytes(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    const struct outgoing *outgoing = ctx;
    return lh_http_write(outgoing->x, bytes, len, err);
}

/* A Range is passed on when it is one of bytes and meant for the object that is there. */
static lh_code wants_range(const struct lh_storaged *storaged, const struct lh_http_exchange *x,
                           lh_str key, bool *ret, struct lh_error *err)
{
    uint64_t offset, len;
    lh_str range = lh_http_header(x, "Range");
    *ret = range.ptr != NULL && lh_http_range(range, INT64_MAX, &offset, &len) == LH_RANGE_PART;
    if (!*ret || lh_http_header(x, "If-Range").ptr == NULL)
        return LH_OK;
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    struct lh_s3_limits limits = limits_of(x);
    struct lh_store_info info;
    LH_TRY(lh_remote_head(storaged->remote, key, &limits, &answer, err));
    to_store_info(&answer, &info);
    *ret = lh_read_range_is_meant(x, &info);
    return LH_OK;
}

static lh_code get_object(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                          lh_str key, struct lh_error *err)
{
    static const char *const passed_on[GET_HEADERS_MAX] = {
        "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Range"};
    struct lh_http_header headers[GET_HEADERS_MAX];
    size_t count = 0;
    bool ranged = false;
    LH_TRY(wants_range(storaged, x, key, &ranged, err));
    for (size_t i = 0; i < GET_HEADERS_MAX; i++) {
        lh_str value = lh_http_header(x, passed_on[i]);
        if (value.len > 0 && (ranged || strcmp(passed_on[i], "Range") != 0))
            headers[count++] = (struct lh_http_header){lh_str_from(passed_on[i]), value};
    }
    struct outgoing outgoing = {.x = x};
    const struct lh_s3_get get = {
        .headers = headers,
        .header_count = count,
        .on_head = send_head,
        .on_body = send_bytes,
        .ctx = &outgoing,
        .limits = limits_of(x),
    };
    LH_TRY(lh_remote_get(storaged->remote, key, &get, err));
    return outgoing.unchanged ? LH_OK : lh_http_finish(x, err);
}

static lh_code reply_head(struct lh_http_exchange *x, const struct lh_s3_answer *answer,
                          struct lh_error *err)
{
    struct lh_store_info info;
    bool unchanged = false;
    to_store_info(answer, &info);
    LH_TRY(lh_read_judge_request(x, &info, &unchanged, err));
    if (unchanged)
        return lh_read_reply_unchanged(x, &info, err);
    lh_read_set_validators(x, &info);
    LH_TRY(lh_http_start(x, 200, info.content_type, (int64_t)info.size, err));
    return lh_http_finish(x, err);
}

lh_code lh_storaged_remote_get(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                               struct lh_error *err)
{
    lh_str key, ignored;
    LH_TRY(take_key(x, &key, err));
    bool locate = lh_http_query(x, "locate", &ignored);
    if (!locate && lh_http_method(x) != LH_HTTP_HEAD)
        return get_object(storaged, x, key, err);
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    struct lh_s3_limits limits = limits_of(x);
    LH_TRY(lh_remote_head(storaged->remote, key, &limits, &answer, err));
    if (!locate)
        return reply_head(x, &answer, err);
    return lh_storaged_reply_location(x, NULL, answer.info.size, answer.info.etag, err);
}

/* ---- DELETE ---- */

lh_code lh_storaged_remote_delete(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                                  struct lh_error *err)
{
    lh_str key;
    char etag[LH_ETAG_SIZE];
    const char *if_match = NULL;
    struct lh_s3_limits limits = limits_of(x);
    LH_TRY(take_key(x, &key, err));
    LH_TRY(take_if_match(x, etag, &if_match, err));
    LH_TRY(lh_remote_delete(storaged->remote, key, if_match, &limits, err));
    return lh_http_reply_empty(x, 204, err);
}

/* ---- LIST ---- */

static lh_code add_entry(void *ctx, lh_str name, const struct lh_object_info *info,
                         struct lh_error *err)
{
    (void)err;
    struct lh_store_info entry = {.size = info != NULL ? info->size : 0};
    if (info != NULL) {
        entry.modified_ms = info->modified_ms;
        snprintf(entry.etag, sizeof(entry.etag), "%s", info->etag);
    }
    /* That the page is full is for the store to say: its cursor stands behind its last entry. */
    (void)lh_listing_add(ctx, name, info != NULL ? &entry : NULL, false);
    return LH_OK;
}

lh_code lh_storaged_remote_list(const struct lh_storaged *storaged,
                                const struct lh_list_options *options, struct lh_http_exchange *x,
                                struct lh_error *err)
{
    const struct lh_s3_list list = {
        .prefix = options->prefix,
        .delimiter = options->delimiter,
        .token = options->cursor,
        .limit = options->limit < LIST_PAGE_MAX ? (unsigned)options->limit : LIST_PAGE_MAX,
        .limits = limits_of(x),
    };
    if (!lh_utf8_valid(options->prefix) || !lh_utf8_valid(options->delimiter))
        return lh_fail(err, LH_INVALID, "prefix and delimiter must be UTF-8 text");
    LH_AUTO_LISTING struct lh_listing listing;
    LH_AUTO_BUF struct lh_buf token = LH_BUF_INIT(ANSWER_BYTES_MAX);
    lh_listing_init(&listing);
    LH_TRY(lh_remote_list(storaged->remote, &list, add_entry, &listing, &token, err));
    return lh_listing_reply(&listing, lh_buf_str(&token), x, err);
}
