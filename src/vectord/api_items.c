/* Items over HTTP: add, delete, get; and what all handlers need of a request. */
#include <string.h>

#include "base/mem.h"
#include "vectord/api.h"

enum { READ_BYTES = 256 << 10 };

lh_code lh_vector_target(struct lh_vector_api *api, const struct lh_http_exchange *x,
                         struct lh_collection **ret_collection, struct lh_body_limits *ret_limits,
                         struct lh_error *err)
{
    struct lh_collection *collection;
    struct lh_vindex *index;
    LH_TRY(lh_vectord_find(api->core, lh_http_param(x, "name"), &collection, err));
    lh_code code = lh_collection_index(collection, &index, err);
    if (code != LH_OK) {
        lh_collection_unref(collection);
        return code;
    }
    *ret_limits = (struct lh_body_limits){
        .dimension = index->config.dimension,
        .metric = index->config.metric,
        .items_max = (size_t)api->settings->batch_items_max,
        .metadata_bytes_max = (size_t)api->settings->metadata_bytes_max,
        .k_max = (uint64_t)api->settings->k_max,
        .ef_max = (uint64_t)api->settings->ef_max,
    };
    lh_vindex_unref(index);
    *ret_collection = collection;
    return LH_OK;
}

/* ---- bodies ---- */

void lh_vector_body_deinit(struct lh_vector_body *body)
{
    lh_buf_deinit(&body->buf);
    if (body->api != NULL)
        lh_budget_give(&body->api->body_budget, body->taken_bytes);
    memset(body, 0, sizeof(*body));
}

static lh_code take_budget(struct lh_vector_body *body, uint64_t bytes, struct lh_error *err)
{
    struct lh_error ignored = LH_ERROR_INIT;
    if (lh_budget_take(&body->api->body_budget, bytes, &ignored) != LH_OK)
        return lh_fail(err, LH_BUSY, "too many bodies of requests are in memory");
    body->taken_bytes += bytes;
    return LH_OK;
}

/* With a Content-Length, all of it is taken from the budget at once; else as it comes. */
static lh_code read_all(struct lh_http_exchange *x, struct lh_vector_body *body,
                        struct lh_error *err)
{
    int64_t announced = lh_http_body_length(x);
    if (announced > 0)
        LH_TRY(take_budget(body, (uint64_t)announced, err));
    if (announced > 0 && lh_buf_reserve(&body->buf, (size_t)announced + 1) == NULL)
        return lh_fail(err, LH_TOO_LARGE, "a body of %lld bytes", (long long)announced);
    for (;;) {
        size_t len = 0;
        if (announced < 0)
            LH_TRY(take_budget(body, READ_BYTES, err));
        size_t room = announced < 0 ? READ_BYTES : (size_t)announced - body->buf.len;
        char *into = lh_buf_reserve(&body->buf, room + 1);
        if (into == NULL)
            return lh_fail(err, LH_TOO_LARGE, "the body is beyond vectord.body_bytes_max");
        LH_TRY(lh_http_body_read(x, into, room + 1, &len, err));
        if (len == 0)
            return LH_OK;
        lh_buf_commit(&body->buf, len);
    }
}

lh_code lh_vector_body_read(struct lh_vector_api *api, struct lh_http_exchange *x,
                            struct lh_vector_body *ret_body, struct lh_error *err)
{
    struct lh_vector_body body = {.api = api};
    int64_t bytes_max = api->settings->body_bytes_max;
    body.buf = LH_BUF_INIT((size_t)bytes_max + READ_BYTES + 1);
    lh_code code = lh_http_body_limit(x, bytes_max, err);
    if (code == LH_OK)
        code = read_all(x, &body, err);
    if (code != LH_OK) {
        lh_vector_body_deinit(&body);
        return code;
    }
    *ret_body = body;
    return LH_OK;
}

lh_code lh_vector_content_type(const struct lh_http_exchange *x, bool lines_allowed,
                               enum lh_vector_format *ret_format, struct lh_error *err)
{
    static const char *const lines[] = {"application/x-ndjson", "application/ndjson",
                                        "application/jsonl", "application/x-jsonlines"};
    lh_str rest = lh_http_header(x, "Content-Type");
    lh_str type = LH_STR_NONE;
    lh_str_next(&rest, ';', &type);
    type = lh_str_trim(type);
    *ret_format = LH_VECTOR_JSON;
    if (type.len == 0 || lh_str_eq_nocase(type, LH_STR("application/json")))
        return LH_OK;
    for (size_t i = 0; lines_allowed && i < LH_COUNT(lines); i++) {
        if (lh_str_eq_nocase(type, lh_str_from(lines[i]))) {
            *ret_format = LH_VECTOR_NDJSON;
            return LH_OK;
        }
    }
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "a body of '%.*s'", type.len < 64 ? (int)type.len : 64,
                      type.ptr),
              "the hint returns the code");
    return lh_hint(err, lines_allowed ? "send application/json or application/x-ndjson"
                                      : "send application/json");
}

void lh_vector_put_metadata(struct lh_json *json, const struct lh_vindex *index, uint32_t slot)
{
    lh_str metadata = lh_vindex_metadata(index, slot);
    lh_json_key(json, "metadata");
    if (metadata.len > 0)
        lh_json_raw(json, metadata);
    else
        lh_json_null(json);
}

/* ---- add ---- */

static lh_code add_to(struct lh_vector_api *api, struct lh_http_exchange *x,
                      struct lh_collection *collection, const struct lh_body_limits *limits,
                      struct lh_write_result *ret_result, struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    enum lh_vector_format format;
    LH_TRY(lh_vector_content_type(x, true, &format, err));
    LH_TRY(lh_vector_body_read(api, x, &body, err));
    LH_TRY((format == LH_VECTOR_JSON ? lh_body_items : lh_body_item_lines)(lh_buf_str(&body.buf),
                                                                           limits, &batch, err));
    return lh_collection_write(collection, &batch, ret_result, err);
}

lh_code lh_vector_add(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_body_limits limits;
    struct lh_write_result result = {0};
    LH_TRY(lh_vector_target(api, x, &collection, &limits, err));
    lh_code code = add_to(api, x, collection, &limits, &result, err);
    lh_collection_unref(collection);
    LH_TRY(code);
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(1024);
    struct lh_json json = LH_JSON_TO(&answer);
    lh_json_object(&json);
    lh_json_ku64(&json, "added", result.added);
    lh_json_ku64(&json, "updated", result.updated);
    lh_json_kbool(&json, "durable", result.durable);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &answer, err);
}

/* ---- delete ---- */

static lh_code delete_from(struct lh_vector_api *api, struct lh_http_exchange *x,
                           struct lh_collection *collection, const struct lh_body_limits *limits,
                           struct lh_write_result *ret_result, struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    enum lh_vector_format format;
    LH_TRY(lh_vector_content_type(x, false, &format, err));
    LH_TRY(lh_vector_body_read(api, x, &body, err));
    LH_TRY(lh_body_delete(lh_buf_str(&body.buf), limits, &batch, err));
    return lh_collection_write(collection, &batch, ret_result, err);
}

lh_code lh_vector_delete_items(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_body_limits limits;
    struct lh_write_result result = {0};
    LH_TRY(lh_vector_target(api, x, &collection, &limits, err));
    lh_code code = delete_from(api, x, collection, &limits, &result, err);
    lh_collection_unref(collection);
    LH_TRY(code);
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(1024);
    struct lh_json json = LH_JSON_TO(&answer);
    lh_json_object(&json);
    lh_json_ku64(&json, "deleted", result.deleted);
    lh_json_kbool(&json, "durable", result.durable);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &answer, err);
}

/* ---- get ---- */

static void put_whole_item(struct lh_json *json, const struct lh_vindex *index, uint32_t slot)
{
    const float *vector = lh_hnsw_vector(&index->graph, slot);
    lh_json_object(json);
    lh_json_kstr(json, "id", lh_vindex_id(index, slot));
    lh_vector_put_metadata(json, index, slot);
    lh_json_key(json, "vector");
    lh_json_array(json);
    for (uint32_t i = 0; i < index->config.dimension; i++)
        lh_json_f32(json, vector[i]);
    lh_json_array_end(json);
    lh_json_object_end(json);
}

lh_code lh_vector_get_item(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_vindex *index = NULL;
    uint32_t slot = 0;
    LH_TRY(lh_vectord_find(api->core, lh_http_param(x, "name"), &collection, err));
    lh_code code = lh_collection_find(collection, lh_http_param(x, "id"), &index, &slot, err);
    lh_collection_unref(collection);
    LH_TRY(code);
    LH_AUTO_BUF struct lh_buf answer =
        LH_BUF_INIT((size_t)4 << 30); /* bounded by the item's size */
    struct lh_json json = LH_JSON_TO(&answer);
    put_whole_item(&json, index, slot);
    lh_vindex_unref(index);
    return lh_http_reply_json(x, 200, &answer, err);
}
