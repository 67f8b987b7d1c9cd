/* Items over HTTP: delete, get; and what all handlers need of a request. */
#include <string.h>

#include "base/mem.h"
#include "vectord/api.h"
#include "vectord/hits.h"
#include "vectord/select.h"

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

lh_code lh_vector_body_take(struct lh_vector_body *body, uint64_t bytes, struct lh_error *err)
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
        LH_TRY(lh_vector_body_take(body, (uint64_t)announced, err));
    if (announced > 0 && lh_buf_reserve(&body->buf, (size_t)announced + 1) == NULL)
        return lh_fail(err, LH_TOO_LARGE, "a body of %lld bytes", (long long)announced);
    for (;;) {
        size_t len = 0;
        if (announced < 0)
            LH_TRY(lh_vector_body_take(body, READ_BYTES, err));
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

static const struct {
    const char *type;
    enum lh_vector_format format;
} content_types[] = {
    {"application/json", LH_VECTOR_JSON},          {"application/x-ndjson", LH_VECTOR_NDJSON},
    {"application/ndjson", LH_VECTOR_NDJSON},      {"application/jsonl", LH_VECTOR_NDJSON},
    {"application/x-jsonlines", LH_VECTOR_NDJSON}, {"application/x-lakehouse-f32", LH_VECTOR_RAW},
    {"application/octet-stream", LH_VECTOR_RAW},
};

static lh_code fail_content_type(lh_str type, unsigned allowed, struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "a body of '%.*s'", type.len < 64 ? (int)type.len : 64,
                      type.ptr),
              "the hint returns the code");
    return lh_hint(err, "send application/json%s%s",
                   allowed & LH_VECTOR_NDJSON ? ", application/x-ndjson" : "",
                   allowed & LH_VECTOR_RAW ? ", application/x-lakehouse-f32" : "");
}

lh_code lh_vector_content_type(const struct lh_http_exchange *x, unsigned allowed,
                               enum lh_vector_format *ret_format, struct lh_error *err)
{
    lh_str rest = lh_http_header(x, "Content-Type");
    lh_str type = LH_STR_NONE;
    lh_str_next(&rest, ';', &type);
    type = lh_str_trim(type);
    *ret_format = LH_VECTOR_JSON;
    if (type.len == 0)
        return LH_OK;
    for (size_t i = 0; i < LH_COUNT(content_types); i++) {
        if ((content_types[i].format & allowed) != 0 &&
            lh_str_eq_nocase(type, lh_str_from(content_types[i].type))) {
            *ret_format = content_types[i].format;
            return LH_OK;
        }
    }
    return fail_content_type(type, allowed, err);
}

/* ---- delete ---- */

/* Until nothing fulfils the condition. A batch of deletes is one change; many are several. */
static lh_code delete_by_filter(const struct lh_http_exchange *x, struct lh_collection *collection,
                                const struct lh_condition *condition, size_t items_max,
                                struct lh_write_result *ret_result, struct lh_error *err)
{
    struct lh_write_result sum = {0};
    for (bool more = true; more;) {
        LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(items_max * LH_ITEM_ID_MAX);
        struct lh_write_result result = {0};
        if (lh_http_cancelled(x))
            return lh_fail(err, LH_CANCELLED, "the client is gone");
        LH_TRY(lh_collection_select_deletes(collection, condition, items_max, &batch, &more, err));
        LH_TRY(lh_collection_write(collection, &batch, &result, err));
        sum.deleted += result.deleted;
        sum.durable = result.durable;
    }
    *ret_result = sum;
    return LH_OK;
}

static lh_code delete_from(struct lh_vector_api *api, struct lh_http_exchange *x,
                           struct lh_collection *collection, const struct lh_body_limits *limits,
                           struct lh_write_result *ret_result, struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_condition condition = {.filter = NULL};
    enum lh_vector_format format;
    LH_TRY(lh_vector_content_type(x, LH_VECTOR_JSON, &format, err));
    LH_TRY(lh_vector_body_read(api, x, &body, err));
    LH_TRY(lh_body_delete(lh_buf_str(&body.buf), limits, &batch, &condition, err));
    if (condition.filter != NULL)
        return delete_by_filter(x, collection, &condition, limits->items_max, ret_result, err);
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
    lh_hits_put_metadata(json, index, slot);
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
