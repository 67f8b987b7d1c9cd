/*
 * The answer to LIST: entries come mixed in byte order, the answer has them in two lists.
 */
#include "base/json.h"
#include "base/mem.h"
#include "storaged/api.h"

enum {
    /* A page ends early when it has so many bytes, whatever its limit: memory follows this bound.
     */
    PAGE_BYTES = 4 << 20,
    /* A page of an external store cannot be ended early: a thousand keys of 1,024 bytes, each byte
     * escaped. */
    LIST_BYTES_MAX = 8 << 20,
};

void lh_listing_init(struct lh_listing *listing)
{
    listing->items = LH_BUF_INIT(LIST_BYTES_MAX);
    listing->prefixes = LH_BUF_INIT(LIST_BYTES_MAX);
    listing->items_json = LH_JSON_TO(&listing->items);
    listing->prefixes_json = LH_JSON_TO(&listing->prefixes);
    lh_json_array(&listing->items_json);
    lh_json_array(&listing->prefixes_json);
}

void lh_listing_deinit(struct lh_listing *listing)
{
    lh_buf_deinit(&listing->items);
    lh_buf_deinit(&listing->prefixes);
}

bool lh_listing_add(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    struct lh_listing *listing = ctx;
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
    return listing->items.len + listing->prefixes.len < PAGE_BYTES;
}

lh_code lh_listing_reply(struct lh_listing *listing, lh_str cursor, struct lh_http_exchange *x,
                         struct lh_error *err)
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
    lh_json_key(&json, "next");
    if (cursor.len > 0)
        lh_json_str(&json, cursor);
    else
        lh_json_null(&json);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &body, err);
}
