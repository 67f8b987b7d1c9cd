/*
 * The native REST of storaged: the table of routes, DELETE and LIST. Wire contract:
 * docs/api/storaged.md.
 */
#include "storaged/api.h"
#include "storaged/s3.h"

#include "base/mem.h"

enum { LIST_LIMIT_DEFAULT = 1000 };

/* ---- DELETE ---- */

static lh_code delete_object(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    LH_TRY(lh_storaged_admit(storaged, x, LH_ACCESS_WRITE, lh_http_param(x, "key"), err));
    if (storaged->remote != NULL)
        return lh_storaged_remote_delete(storaged, x, err);
    const struct lh_store_condition condition = {.if_match = lh_http_header(x, "If-Match"),
                                                 .if_none_match = LH_STR_NONE};
    LH_TRY(
        lh_store_delete(storaged->store, LH_BUCKET_LAKE, lh_http_param(x, "key"), &condition, err));
    return lh_http_reply_empty(x, 204, err);
}

/* ---- LIST ---- */

static lh_code list_objects(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    uint64_t limit = LIST_LIMIT_DEFAULT;
    struct lh_list_options options = {.bucket = LH_BUCKET_LAKE};
    lh_str ignored;
    if (lh_http_query(x, "check", &ignored))
        return lh_storaged_check_state(storaged, x, err);
    lh_http_query(x, "prefix", &options.prefix);
    LH_TRY(lh_storaged_admit(storaged, x, LH_ACCESS_READ, options.prefix, err));
    lh_http_query(x, "delimiter", &options.delimiter);
    lh_http_query(x, "cursor", &options.cursor);
    LH_TRY(lh_http_query_u64(x, "limit", 1, UINT64_MAX, &limit, err));
    options.limit = limit < storaged->list_limit_max ? (size_t)limit : storaged->list_limit_max;
    if (storaged->remote != NULL)
        return lh_storaged_remote_list(storaged, &options, x, err);

    LH_AUTO_LISTING struct lh_listing listing;
    char cursor[LH_STORE_CURSOR_MAX];
    lh_listing_init(&listing);
    LH_TRY(lh_store_list(storaged->store, &options, lh_listing_add, &listing, cursor, err));
    return lh_listing_reply(&listing, lh_str_from(cursor), x, err);
}

/* ---- routes ---- */

const struct lh_route lh_storaged_routes[LH_STORAGED_ROUTES] = {
    {.methods = LH_HTTP_GET,
     .pattern = "/storage",
     .handler = list_objects,
     .query = "prefix delimiter limit cursor check",
     .summary = "List objects in byte order of their keys, page by page; ?check tells of the check",
     .answers = "200"},
    {.methods = LH_HTTP_POST,
     .pattern = "/storage",
     .handler = lh_storaged_check_start,
     .query = "check",
     .summary = "Begin to check every object against its checksums, beside all other work",
     .answers = "202 501 503"},
    {.methods = LH_HTTP_GET,
     .pattern = "/storage/{key*}",
     .handler = lh_storaged_get,
     .flags = LH_ROUTE_TRY,
     .query = "locate",
     .summary = "Read an object, or a range of it; ?locate names its local file",
     .answers = "200 206 304 404 412 416"},
    {.methods = LH_HTTP_PUT,
     .pattern = "/storage/{key*}",
     .handler = lh_storaged_put,
     .flags = LH_ROUTE_BODY | LH_ROUTE_TRY,
     .query = "",
     .summary = "Store an object; durable when answered",
     .body = "*/*",
     .answers = "200 201 412 413 501 507"},
    {.methods = LH_HTTP_DELETE,
     .pattern = "/storage/{key*}",
     .handler = delete_object,
     .query = "",
     .summary = "Delete an object; no matter whether it is there",
     .answers = "204 412"},
    {.methods =
         LH_HTTP_GET | LH_HTTP_HEAD | LH_HTTP_PUT | LH_HTTP_POST | LH_HTTP_DELETE | LH_HTTP_OPTIONS,
     .pattern = "/{bucket}/{key*}",
     .handler = lh_s3_handle,
     .flags = LH_ROUTE_BODY | LH_ROUTE_ANY_QUERY | LH_ROUTE_REST | LH_ROUTE_TRY,
     .query = "",
     .summary = "The API of Amazon S3, for buckets (without a key) and objects",
     .body = "*/*",
     .answers = "200 204 206 304 403 404 409 411 412 416 501 507"},
};
