/*
 * PUT of an object. What a request asks for and we do not do is refused: a condition or a checksum
 * that is silently ignored corrupts somebody's table.
 */
#include <stdio.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "storaged/api.h"

enum { ANSWER_BYTES_MAX = 16 << 10 };

/* ---- headers ---- */

static lh_code need_base64(const char *name, lh_str text, void *out, size_t size,
                           struct lh_error *err)
{
    size_t len = 0;
    if (lh_base64_decode(text, out, size, &len) && len == size)
        return LH_OK;
    return lh_fail(err, LH_INVALID, "%s is not the base64 of %zu bytes", name, size);
}

/* SHA-256 as S3's signatures carry it: in hex, or a word that says why it is not there. */
static lh_code take_content_sha256(lh_str value, struct lh_put_digests *digests,
                                   struct lh_error *err)
{
    if (lh_str_is(value, "UNSIGNED-PAYLOAD"))
        return LH_OK;
    if (!lh_unhex(value, digests->sha256, sizeof(digests->sha256)))
        return lh_fail(err, LH_UNSUPPORTED, "x-amz-content-sha256: %.*s is not supported here",
                       LH_FMT(value));
    digests->has_sha256 = true;
    return LH_OK;
}

static lh_code take_plain(const struct lh_http_exchange *x, struct lh_put_digests *digests,
                          struct lh_error *err)
{
    lh_str sha256 = lh_http_header(x, "x-amz-content-sha256");
    if (sha256.ptr)
        LH_TRY(take_content_sha256(sha256, digests, err));
    lh_str md5 = lh_http_header(x, "Content-MD5");
    if (md5.ptr) {
        LH_TRY(need_base64("Content-MD5", md5, digests->md5, sizeof(digests->md5), err));
        digests->has_md5 = true;
    }
    return LH_OK;
}

static bool has_prefix_nocase(lh_str name, lh_str prefix)
{
    return name.len >= prefix.len && lh_str_eq_nocase(lh_str_of(name.ptr, prefix.len), prefix);
}

static lh_code take_checksum(const struct lh_http_header *header, struct lh_put_digests *digests,
                             struct lh_error *err)
{
    uint8_t sha256[LH_SHA256_SIZE];
    if (!lh_str_eq_nocase(header->name, LH_STR("x-amz-checksum-sha256"))) {
        LH_IGNORE(lh_fail(err, LH_UNSUPPORTED, "%.*s is not verified here", LH_FMT(header->name)),
                  "the hint returns it");
        return lh_hint(err, "send x-amz-checksum-sha256 or Content-MD5 instead");
    }
    LH_TRY(need_base64("x-amz-checksum-sha256", header->value, sha256, sizeof(sha256), err));
    if (digests->has_sha256 && memcmp(digests->sha256, sha256, sizeof(sha256)) != 0)
        return lh_fail(err, LH_BAD_DIGEST, "the request names two different SHA-256");
    memcpy(digests->sha256, sha256, sizeof(sha256));
    digests->has_sha256 = true;
    return LH_OK;
}

static lh_code take_checksums(const struct lh_http_exchange *x, struct lh_put_digests *digests,
                              struct lh_error *err)
{
    for (size_t i = 0; i < lh_http_header_count(x); i++) {
        struct lh_http_header header = lh_http_header_at(x, i);
        if (has_prefix_nocase(header.name, LH_STR("x-amz-checksum-")))
            LH_TRY(take_checksum(&header, digests, err));
    }
    return LH_OK;
}

/* RFC 9110 section 14.5: a part of an object cannot be put. A coding would be lost, since only the
 * type is kept with the object. */
static lh_code refuse_partial(const struct lh_http_exchange *x, struct lh_error *err)
{
    lh_str encoding = lh_http_header(x, "Content-Encoding");
    if (lh_http_header(x, "Content-Range").ptr)
        return lh_fail(err, LH_INVALID, "Content-Range is not possible with PUT");
    if (encoding.len > 0 && !lh_str_eq_nocase(encoding, LH_STR("identity")))
        return lh_fail(err, LH_UNSUPPORTED, "Content-Encoding: %.*s is not kept with objects",
                       LH_FMT(encoding));
    return LH_OK;
}

/* ---- body ---- */

static lh_code receive(struct lh_http_exchange *x, struct lh_upload *upload, struct lh_error *err)
{
    for (;;) {
        void *space;
        size_t room;
        size_t got;
        LH_TRY(lh_upload_space(upload, &space, &room, err));
        LH_TRY(lh_http_body_read(x, space, room, &got, err));
        if (got == 0)
            return LH_OK;
        LH_TRY(lh_upload_added(upload, got, err));
    }
}

lh_code lh_storaged_reply_stored(struct lh_http_exchange *x, lh_str key, uint64_t size,
                                 const char *etag, bool created, struct lh_error *err)
{
    char quoted[LH_STORE_ETAG_SIZE + 2];
    snprintf(quoted, sizeof(quoted), "\"%s\"", etag);
    lh_http_set_header(x, "ETag", lh_str_from(quoted));
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kstr(&json, "key", key);
    lh_json_ku64(&json, "size", size);
    lh_json_kcstr(&json, "etag", etag);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, created ? 201 : 200, &body, err);
}

static lh_code store_body(struct lh_http_exchange *x, struct lh_upload *upload, lh_str key,
                          struct lh_error *err)
{
    struct lh_store_info info;
    bool created = false;
    LH_TRY(receive(x, upload, err));
    LH_TRY(lh_upload_commit(upload, &info, &created, err));
    return lh_storaged_reply_stored(x, key, info.size, info.etag, created, err);
}

lh_code lh_storaged_take_digests(const struct lh_http_exchange *x, struct lh_put_digests *ret,
                                 struct lh_error *err)
{
    struct lh_put_digests digests = {0};
    LH_TRY(refuse_partial(x, err));
    LH_TRY(take_plain(x, &digests, err));
    LH_TRY(take_checksums(x, &digests, err));
    *ret = digests;
    return LH_OK;
}

lh_code lh_storaged_put(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    LH_TRY(lh_storaged_admit(storaged, x, LH_ACCESS_WRITE, lh_http_param(x, "key"), err));
    if (storaged->remote != NULL)
        return lh_storaged_remote_put(storaged, x, err);
    struct lh_put_digests digests;
    struct lh_upload_options options = {
        .bucket = LH_BUCKET_LAKE,
        .key = lh_http_param(x, "key"),
        .content_type = lh_http_header(x, "Content-Type"),
        .condition = {lh_http_header(x, "If-Match"), lh_http_header(x, "If-None-Match")},
        .length = lh_http_body_length(x),
    };
    LH_TRY(lh_store_check_key(options.key, err));
    LH_TRY(lh_storaged_take_digests(x, &digests, err));
    LH_TRY(lh_http_body_limit(x, storaged->object_bytes_max, err));
    options.md5 = digests.has_md5 ? digests.md5 : NULL;
    options.sha256 = digests.has_sha256 ? digests.sha256 : NULL;
    struct lh_upload *upload;
    LH_TRY(lh_upload_begin(storaged->store, &options, &upload, err));
    lh_code code = store_body(x, upload, options.key, err);
    lh_upload_free(upload);
    return code;
}
