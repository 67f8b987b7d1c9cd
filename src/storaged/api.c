/*
 * The native REST of storaged: the table of routes, DELETE and LIST. Wire contract:
 * docs/api/storaged.md.
 */
#include "storaged/api.h"

#include "base/json.h"
#include "base/mem.h"

enum {
    LIST_LIMIT_DEFAULT = 1000,
    /* A page ends early when it has so many bytes, whatever its limit: memory follows this bound.
     */
    LIST_PAGE_BYTES = 4 << 20,
    LIST_BYTES_MAX = LIST_PAGE_BYTES + (64 << 10), /* the last entry and the frame */
};

/* ---- DELETE ---- */

static lh_code delete_object(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    const struct lh_store_condition condition = {.if_match = lh_http_header(x, "If-Match"),
                                                 .if_none_match = LH_STR_NONE};
    LH_TRY(
        lh_store_delete(storaged->store, LH_BUCKET_LAKE, lh_http_param(x, "key"), &condition, err));
    return lh_http_reply_empty(x, 204, err);
}

/* ---- LIST ---- */

/* Entries come mixed in byte order; the answer has them in two lists. */
struct listing {
    struct lh_buf items;
    struct lh_buf prefixes;
    struct lh_json items_json;
    struct lh_json prefixes_json;
};

static void listing_deinit(struct listing *listing)
{
    lh_buf_deinit(&listing->items);
    lh_buf_deinit(&listing->prefixes);
}

static bool add_entry(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    struct listing *listing = ctx;
    if (info) {
        struct lh_json *json = &listing->items_json;
        char modified[LH_RFC3339_SIZE];
        lh_format_rfc3339(info->modified_ms, modified);
        lh_json_object(json);
        lh_json_kstr(json, "key", name);
        lh_json_ku64(json, "size", info->size);
        lh_json_kcstr(json, "etag", info->etag);
        lh_json_kcstr(json, "modified", modified);
        if (damaged)
            lh_json_kbool(json, "damaged", true);
        lh_json_object_end(json);
    } else {
        lh_json_str(&listing->prefixes_json, name);
    }
    return listing->items.len + listing->prefixes.len < LIST_PAGE_BYTES;
}

static lh_code reply_listing(struct lh_http_exchange *x, struct listing *listing,
                             const char *cursor, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT((size_t)2 * LIST_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_array_end(&listing->items_json);
    lh_json_array_end(&listing->prefixes_json);
    lh_json_object(&json);
    lh_json_key(&json, "items");
    lh_json_raw(&json, lh_buf_str(&listing->items));
    lh_json_key(&json, "prefixes");
    lh_json_raw(&json, lh_buf_str(&listing->prefixes));
    lh_json_kcstr(&json, "next", cursor[0] ? cursor : NULL);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &body, err);
}

static lh_code list_objects(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    uint64_t limit = LIST_LIMIT_DEFAULT;
    struct lh_list_options options = {.bucket = LH_BUCKET_LAKE};
    lh_http_query(x, "prefix", &options.prefix);
    lh_http_query(x, "delimiter", &options.delimiter);
    lh_http_query(x, "cursor", &options.cursor);
    LH_TRY(lh_http_query_u64(x, "limit", 1, UINT64_MAX, &limit, err));
    options.limit = limit < storaged->list_limit_max ? (size_t)limit : storaged->list_limit_max;

    LH_AUTO(listing_deinit)
    struct listing listing = {.items = LH_BUF_INIT(LIST_BYTES_MAX),
                              .prefixes = LH_BUF_INIT(LIST_BYTES_MAX)};
    listing.items_json = LH_JSON_TO(&listing.items);
    listing.prefixes_json = LH_JSON_TO(&listing.prefixes);
    lh_json_array(&listing.items_json);
    lh_json_array(&listing.prefixes_json);
    char cursor[LH_STORE_CURSOR_MAX];
    LH_TRY(lh_store_list(storaged->store, &options, add_entry, &listing, cursor, err));
    return reply_listing(x, &listing, cursor, err);
}

/* ---- routes ---- */

const struct lh_route lh_storaged_routes[LH_STORAGED_ROUTES] = {
    {.methods = LH_HTTP_GET,
     .pattern = "/storage",
     .handler = list_objects,
     .query = "prefix delimiter limit cursor",
     .summary = "List objects in byte order of their keys, page by page",
     .answers = "200"},
    {.methods = LH_HTTP_GET,
     .pattern = "/storage/{key*}",
     .handler = lh_storaged_get,
     .query = "locate",
     .summary = "Read an object, or a range of it; ?locate names its local file",
     .answers = "200 206 304 404 412 416"},
    {.methods = LH_HTTP_PUT,
     .pattern = "/storage/{key*}",
     .handler = lh_storaged_put,
     .flags = LH_ROUTE_BODY,
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
};
