/*
 * GET and HEAD of an object by the native REST; and `?locate`.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storaged/api.h"
#include "storaged/api_read.h"

enum { LOCATE_BYTES_MAX = 16 << 10 };

/* ---- the object ---- */

/* A Range is for GET only (RFC 9110 section 14.2). */
static lh_code choose(struct lh_http_exchange *x, const struct lh_store_info *info,
                      struct lh_read_run *ret_run, struct lh_error *err)
{
    if (lh_http_method(x) == LH_HTTP_GET)
        return lh_read_choose(x, info, ret_run, err);
    *ret_run = (struct lh_read_run){.status = 200, .len = info->size};
    return LH_OK;
}

static lh_code reply_object(struct lh_http_exchange *x, struct lh_object *object,
                            struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    bool unchanged = false;
    LH_TRY(lh_read_judge_request(x, info, &unchanged, err));
    if (unchanged)
        return lh_read_reply_unchanged(x, info, err);
    struct lh_read_run run;
    LH_TRY(choose(x, info, &run, err));
    LH_TRY(lh_read_first(x, object, &run, err));
    lh_read_set_headers(x, object, NULL, NULL);
    return lh_read_send(x, object, info->content_type, &run, err);
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
        LH_TRY(lh_check_may_wait("an external store", err));
    if (storaged->remote != NULL)
        return lh_storaged_remote_get(storaged, x, err);
    if (locates)
        return locate(storaged, x, key, err);
    struct lh_object *object;
    LH_TRY(lh_object_open(storaged->store, LH_BUCKET_LAKE, key, &object, err));
    lh_code code = reply_object(x, object, err);
    lh_object_close(object);
    return code;
}
