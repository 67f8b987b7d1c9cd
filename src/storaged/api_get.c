/*
 * GET and HEAD of an object: conditions, ranges, the stream of checked blocks; and `?locate`.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "storaged/api.h"

enum { ETAG_QUOTED = LH_STORE_ETAG_SIZE + 2, LOCATE_BYTES_MAX = 16 << 10 };

/* ---- conditions ---- */

/* Whether the object is younger than the date of a header; false when that is absent or no date. */
static bool modified_since(const struct lh_store_info *info, lh_str date, bool *ret_is_date)
{
    lh_time_ms limit = 0;
    *ret_is_date = date.ptr && lh_parse_http_date(date, &limit);
    return *ret_is_date && info->modified_ms / 1000 > limit / 1000;
}

/* RFC 9110 section 13.2.2. *ret_unchanged: answer 304. */
lh_code lh_storaged_judge(const struct lh_http_exchange *x, const struct lh_store_info *info,
                          bool *ret_unchanged, struct lh_error *err)
{
    lh_str etag = lh_str_from(info->etag);
    lh_str if_match = lh_http_header(x, "If-Match");
    lh_str if_none_match = lh_http_header(x, "If-None-Match");
    bool is_date = false;
    if (if_match.ptr && !lh_http_etag_matches(if_match, etag, false))
        return lh_fail(err, LH_PRECONDITION, "the object has another etag");
    if (!if_match.ptr && modified_since(info, lh_http_header(x, "If-Unmodified-Since"), &is_date))
        return lh_fail(err, LH_PRECONDITION, "the object was modified since");
    if (if_none_match.ptr) {
        *ret_unchanged = lh_http_etag_matches(if_none_match, etag, true);
        return LH_OK;
    }
    bool younger = modified_since(info, lh_http_header(x, "If-Modified-Since"), &is_date);
    *ret_unchanged = is_date && !younger;
    return LH_OK;
}

/* RFC 9110 section 13.1.5: a range is meant for the object that the client knows. */
bool lh_storaged_range_is_meant(const struct lh_http_exchange *x, const struct lh_store_info *info)
{
    lh_str if_range = lh_http_header(x, "If-Range");
    if (!if_range.ptr)
        return true;
    lh_time_ms date = 0;
    if (lh_parse_http_date(if_range, &date))
        return info->modified_ms / 1000 == date / 1000;
    return !lh_str_starts(if_range, "W/") &&
           lh_http_etag_matches(if_range, lh_str_from(info->etag), false);
}

/* ---- headers ---- */

static void set_text(struct lh_http_exchange *x, const char *name, const char *text)
{
    lh_http_set_header(x, name, lh_str_from(text));
}

void lh_storaged_set_validators(struct lh_http_exchange *x, const struct lh_store_info *info)
{
    char etag[ETAG_QUOTED];
    char date[LH_HTTP_DATE_SIZE];
    snprintf(etag, sizeof(etag), "\"%s\"", info->etag);
    lh_format_http_date(info->modified_ms, date);
    set_text(x, "ETag", etag);
    set_text(x, "Last-Modified", date);
    set_text(x, "Accept-Ranges", "bytes");
}

/* ---- the body ---- */

struct part {
    int status; /* 200 or 206 */
    uint64_t offset;
    uint64_t len;
};

/* Which bytes are asked for. Sets Content-Range where it belongs. */
static lh_code choose_part(struct lh_http_exchange *x, const struct lh_store_info *info,
                           struct part *ret_part, struct lh_error *err)
{
    char text[96];
    struct part part = {200, 0, info->size};
    lh_str range = lh_http_header(x, "Range");
    enum lh_range_result result = LH_RANGE_WHOLE;
    if (range.ptr && lh_storaged_range_is_meant(x, info))
        result = lh_http_range(range, info->size, &part.offset, &part.len);
    if (result == LH_RANGE_UNSATISFIABLE) {
        snprintf(text, sizeof(text), "bytes */%" PRIu64, info->size);
        set_text(x, "Content-Range", text);
        return lh_fail(err, LH_RANGE, "the object has %" PRIu64 " bytes", info->size);
    }
    if (result == LH_RANGE_PART) {
        part.status = 206;
        snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, part.offset,
                 part.offset + part.len - 1, info->size);
        set_text(x, "Content-Range", text);
    }
    *ret_part = part;
    return LH_OK;
}

/* The first block is checked before the answer starts, so that damage found there is still a 500;
 * found later it cuts the connection. */
static lh_code send_part(struct lh_http_exchange *x, struct lh_object *object,
                         const struct part *part, struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    const void *bytes = NULL;
    size_t len = 0;
    uint64_t at = part->offset;
    uint64_t end = part->offset + part->len;
    if (at < end)
        LH_TRY(lh_object_read(object, at, &bytes, &len, err));
    lh_storaged_set_validators(x, info);
    LH_TRY(lh_http_start(x, part->status, info->content_type, (int64_t)part->len, err));
    while (at < end) {
        if (len > end - at)
            len = (size_t)(end - at);
        LH_TRY(lh_http_write(x, bytes, len, err));
        at += len;
        if (at < end)
            LH_TRY(lh_object_read(object, at, &bytes, &len, err));
    }
    return lh_http_finish(x, err);
}

lh_code lh_storaged_reply_unchanged(struct lh_http_exchange *x, const struct lh_store_info *info,
                                    struct lh_error *err)
{
    lh_storaged_set_validators(x, info);
    return lh_http_reply_empty(x, 304, err);
}

static lh_code reply_object(struct lh_http_exchange *x, struct lh_object *object,
                            struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    bool unchanged = false;
    LH_TRY(lh_storaged_judge(x, info, &unchanged, err));
    if (unchanged)
        return lh_storaged_reply_unchanged(x, info, err);
    struct part part = {0};
    LH_TRY(choose_part(x, info, &part, err));
    return send_part(x, object, &part, err);
}

/* As GET, without touching the body (RFC 9110 section 9.3.2); a Range is for GET only. */
static lh_code head_object(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                           lh_str key, struct lh_error *err)
{
    struct lh_store_info info;
    bool unchanged = false;
    LH_TRY(lh_store_head(storaged->store, LH_BUCKET_LAKE, key, &info, err));
    LH_TRY(lh_storaged_judge(x, &info, &unchanged, err));
    if (unchanged)
        return lh_storaged_reply_unchanged(x, &info, err);
    lh_storaged_set_validators(x, &info);
    LH_TRY(lh_http_start(x, 200, info.content_type, (int64_t)info.size, err));
    return lh_http_finish(x, err);
}

/* ---- locate ---- */

lh_code lh_storaged_reply_location(struct lh_http_exchange *x, const char *path, uint64_t size,
                                   const char *etag, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(LOCATE_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kcstr(&json, "path", path);
    lh_json_ku64(&json, "size", size);
    lh_json_kcstr(&json, "etag", etag);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &body, err);
}

static lh_code locate(const struct lh_storaged *storaged, struct lh_http_exchange *x, lh_str key,
                      struct lh_error *err)
{
    struct lh_store_info info;
    LH_AUTO_FREE char *path = NULL;
    LH_TRY(lh_store_locate(storaged->store, LH_BUCKET_LAKE, key, &path, &info, err));
    return lh_storaged_reply_location(x, path, info.size, info.etag, err);
}

lh_code lh_storaged_get(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    lh_str key = lh_http_param(x, "key");
    lh_str ignored;
    bool locates = lh_http_query(x, "locate", &ignored);
    /* A path of this host is for services on it, not for everybody who may read. */
    LH_TRY(lh_storaged_admit(storaged, x, locates ? LH_ACCESS_ADMIN : LH_ACCESS_READ, key, err));
    if (storaged->remote != NULL)
        return lh_storaged_remote_get(storaged, x, err);
    if (locates)
        return locate(storaged, x, key, err);
    if (lh_http_method(x) == LH_HTTP_HEAD)
        return head_object(storaged, x, key, err);
    struct lh_object *object;
    LH_TRY(lh_object_open(storaged->store, LH_BUCKET_LAKE, key, &object, err));
    lh_code code = reply_object(x, object, err);
    lh_object_close(object);
    return code;
}
