/*
 * PUT of an object. What a request asks for and we do not do is refused: a condition or a checksum
 * that is silently ignored corrupts somebody's table.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storaged/api.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 16 << 10 };

/* SHA-256 as S3's signatures carry it: in hex, or a word that says why it is not there. */
lh_code lh_storaged_take_payload(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str value = lh_http_header(s3->x, "x-amz-content-sha256");
    s3->body_mode = LH_S3_BODY_UNSIGNED;
    if (!value.ptr || lh_str_is(value, "UNSIGNED-PAYLOAD"))
        return LH_OK;
    if (!lh_unhex(value, s3->body_sha256, sizeof(s3->body_sha256)))
        return lh_fail(err, LH_UNSUPPORTED, "x-amz-content-sha256: %.*s is not supported here",
                       LH_FMT(value));
    s3->body_mode = LH_S3_BODY_SIGNED;
    return LH_OK;
}

lh_code lh_storaged_reply_stored(struct lh_http_exchange *x, lh_str key, uint64_t size,
                                 const char *etag, bool created, struct lh_error *err)
{
    struct lh_s3 s3 = {.x = x};
    lh_s3_set_etag(&s3, etag);
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kstr(&json, "key", key);
    lh_json_ku64(&json, "size", size);
    lh_json_kcstr(&json, "etag", etag);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, created ? 201 : 200, &body, err);
}

static lh_code reply_stored(struct lh_s3 *s3, lh_code code, const struct lh_store_info *info,
                            bool created, struct lh_error *err)
{
    LH_TRY(code);
    lh_s3_set_object_checksum(s3, info);
    return lh_storaged_reply_stored(s3->x, s3->key, info->size, info->etag, created, err);
}

/* Header for header as S3's PutObject, so that whatever that verifies or keeps is verified and kept
 * here; only the answers differ. */
lh_code lh_storaged_put(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    LH_TRY(lh_storaged_admit(storaged, x, LH_ACCESS_WRITE, lh_http_param(x, "key"), err));
    if (storaged->remote != NULL)
        LH_TRY(lh_check_may_wait("an external store", err));
    if (storaged->remote != NULL)
        return lh_storaged_remote_put(storaged, x, err);
    struct lh_s3 s3 = {
        .storaged = service, .x = x, .key = lh_http_param(x, "key"), .is_native = true};
    struct lh_upload_options options = {
        .bucket = LH_BUCKET_LAKE,
        .key = s3.key,
        .condition = lh_s3_condition(&s3),
        .length = lh_http_body_length(x),
    };
    LH_TRY(lh_store_check_key(s3.key, err));
    LH_TRY(lh_storaged_take_payload(&s3, err));
    LH_TRY(lh_s3_refuse_headers(&s3, err));
    LH_TRY(lh_s3_take_headers(&s3, &options, err));
    LH_TRY(lh_s3_take_tags(&s3, &options.tags, err));
    return lh_s3_store_body(&s3, &options, reply_stored, err);
}
