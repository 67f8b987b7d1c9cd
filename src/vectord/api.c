/* vectord over HTTP: the routes, and indexes as a whole (docs/api/vectord.md). */
#include "vectord/api.h"
#include "vectord/figures.h"

#include <string.h>

#include "base/mem.h"

enum { CREATE_BODY_MAX = 64 << 10, LIST_DEFAULT = 100, LIST_MAX = 1000, ANSWER_MAX = 8 << 20 };

/* ---- creating ---- */

static lh_code read_metric(const json_t *root, enum lh_metric *ret, struct lh_error *err)
{
    lh_str text = LH_STR_NONE;
    LH_TRY(lh_json_opt_str(root, "metric", &text, err));
    if (text.ptr == NULL || lh_metric_parse(text, ret))
        return LH_OK;
    return lh_fail(err, LH_INVALID, "'%.*s' is no metric: cosine, l2 or ip",
                   text.len < 64 ? (int)text.len : 64, text.ptr);
}

static lh_code read_quantization(const json_t *root, enum lh_quantization *ret,
                                 struct lh_error *err)
{
    lh_str text = LH_STR_NONE;
    LH_TRY(lh_json_opt_str(root, "quantization", &text, err));
    if (text.ptr == NULL || lh_quantization_parse(text, ret))
        return LH_OK;
    return lh_fail(err, LH_INVALID, "'quantization' is auto, none or sq8");
}

static lh_code read_create(const json_t *root, struct lh_create *ret, struct lh_error *err)
{
    static const char *const keys[] = {"name", "dimension",       "metric",
                                       "m",    "ef_construction", "quantization"};
    struct lh_create create = {.metric = LH_METRIC_COSINE,
                               .m = LH_M_DEFAULT,
                               .ef_construction = LH_EF_CONSTRUCTION_DEFAULT};
    if (!json_is_object(root))
        return lh_fail(err, LH_INVALID, "the body is not an object");
    LH_TRY(lh_json_only(root, keys, LH_COUNT(keys), err));
    LH_TRY(lh_json_need_str(root, "name", &create.name, err));
    LH_TRY(lh_json_need_i64(root, "dimension", &create.dimension, err));
    LH_TRY(read_metric(root, &create.metric, err));
    LH_TRY(lh_json_opt_i64(root, "m", &create.m, err));
    LH_TRY(lh_json_opt_i64(root, "ef_construction", &create.ef_construction, err));
    LH_TRY(read_quantization(root, &create.quantization, err));
    *ret = create;
    return LH_OK;
}

/* ---- what an index is, as JSON ---- */

static void put_config(struct lh_json *json, const struct lh_vindex_config *config)
{
    char created[LH_RFC3339_SIZE];
    lh_format_rfc3339(config->created_ms, created);
    lh_json_ku64(json, "dimension", config->dimension);
    lh_json_kcstr(json, "metric", lh_metric_name(config->metric));
    lh_json_ku64(json, "m", config->m);
    lh_json_ku64(json, "ef_construction", config->ef_construction);
    lh_json_kcstr(json, "quantization", lh_quantization_name(config->quantization));
    lh_json_kcstr(json, "created", created);
}

static void put_figures(struct lh_json *json, const struct lh_collection_stats *stats)
{
    const struct lh_log_figures *figures = &stats->figures;
    lh_json_ku64(json, "sequence", figures->sequence);
    lh_json_ku64(json, "snapshot_sequence", figures->snapshot_sequence);
    lh_json_ku64(json, "snapshot_bytes", figures->snapshot_bytes);
    lh_json_ku64(json, "log_objects", figures->sequence - figures->snapshot_sequence);
    lh_json_ku64(json, "log_bytes", figures->log_bytes);
    lh_json_ku64(json, "pending_bytes", stats->pending_bytes);
}

static void put_codes(struct lh_json *json, const struct lh_index_figures *figures)
{
    lh_json_key(json, "codes");
    if (!figures->has_codes) {
        lh_json_null(json);
        return;
    }
    lh_json_object(json);
    lh_json_ku64(json, "levels", figures->scale.level_max + 1);
    lh_json_kf64(json, "low", (double)figures->scale.low);
    lh_json_kf64(json, "step", (double)figures->scale.step);
    lh_json_kf64(json, "clipped", figures->scale.clipped);
    lh_json_kf64(json, "score", figures->scale.score);
    lh_json_object_end(json);
}

static void put_insides(struct lh_json *json, struct lh_collection *collection)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_index_figures figures;
    if (lh_collection_figures(collection, &figures, &err) != LH_OK)
        return; /* it was dropped meanwhile */
    lh_json_ku64(json, "levels", figures.level_count);
    lh_json_key(json, "memory");
    lh_json_object(json);
    lh_json_ku64(json, "vectors", figures.vector_bytes);
    lh_json_ku64(json, "codes", figures.code_bytes);
    lh_json_ku64(json, "links", figures.link_bytes);
    lh_json_ku64(json, "ids", figures.id_bytes);
    lh_json_ku64(json, "metadata", figures.metadata_bytes);
    lh_json_ku64(json, "fields", figures.field_bytes);
    lh_json_object_end(json);
    put_codes(json, &figures);
}

/* `insides`: with what it is made of. */
static void put_collection(struct lh_json *json, struct lh_collection *collection, bool insides)
{
    struct lh_collection_stats stats;
    lh_collection_stats(collection, &stats);
    lh_json_object(json);
    lh_json_kcstr(json, "name", collection->name);
    lh_json_kcstr(json, "status", lh_collection_state_name(stats.state));
    if (stats.problem.code != LH_OK && stats.state != LH_COLLECTION_READY)
        lh_json_kcstr(json, "problem", stats.problem.message);
    if (stats.loaded) {
        put_config(json, &stats.config);
        lh_json_ku64(json, "count", stats.live);
        lh_json_ku64(json, "deleted", stats.dead);
        lh_json_ku64(json, "memory_bytes", stats.memory_bytes);
        if (collection->commons->store != NULL)
            put_figures(json, &stats);
        if (insides)
            put_insides(json, collection);
    }
    lh_json_object_end(json);
}

static lh_code reply_collection(struct lh_http_exchange *x, int status, bool insides,
                                struct lh_collection *collection, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_MAX);
    struct lh_json json = LH_JSON_TO(&answer);
    put_collection(&json, collection, insides);
    return lh_http_reply_json(x, status, &answer, err);
}

lh_code lh_vector_reply_collection(struct lh_http_exchange *x, struct lh_collection *collection,
                                   struct lh_error *err)
{
    return reply_collection(x, 200, true, collection, err);
}

/* ---- handlers ---- */

static lh_code create(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    LH_AUTO_JSON json_t *root = NULL;
    struct lh_create wanted;
    bool created = false;
    struct lh_collection *collection;
    LH_TRY(lh_http_body_json(x, CREATE_BODY_MAX, &root, err));
    LH_TRY(read_create(root, &wanted, err));
    LH_TRY(lh_vectord_create(api->core, &wanted, &created, err));
    LH_TRY(lh_vectord_find(api->core, wanted.name, &collection, err));
    lh_code code = reply_collection(x, created ? 201 : 200, false, collection, err);
    lh_collection_unref(collection);
    return code;
}

static lh_code get_one(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_body_limits limits; /* asked for, since it fails for an index that is not served */
    LH_TRY(lh_vector_target(api, x, &collection, &limits, err));
    lh_code code = lh_vector_reply_collection(x, collection, err);
    lh_collection_unref(collection);
    return code;
}

static lh_code drop(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    LH_TRY(lh_vectord_drop(api->core, lh_http_param(x, "name"), err));
    return lh_http_reply_empty(x, 204, err);
}

/* The cursor is the last name of the page before. */
static lh_code list(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    lh_str prefix = LH_STR(""), after = LH_STR("");
    uint64_t limit = LIST_DEFAULT;
    LH_TRY(lh_http_query_u64(x, "limit", 1, LIST_MAX, &limit, err));
    lh_http_query(x, "prefix", &prefix);
    lh_http_query(x, "cursor", &after);
    struct lh_collection **found = lh_calloc(limit + 1, sizeof(struct lh_collection *));
    size_t count = lh_vectord_list(api->core, prefix, after, limit + 1, found);
    size_t shown = count < limit ? count : limit;
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_MAX);
    struct lh_json json = LH_JSON_TO(&answer);
    lh_json_object(&json);
    lh_json_key(&json, "items");
    lh_json_array(&json);
    for (size_t i = 0; i < shown; i++)
        put_collection(&json, found[i], false);
    lh_json_array_end(&json);
    lh_json_kcstr(&json, "next", count > limit ? found[shown - 1]->name : NULL);
    lh_json_object_end(&json);
    for (size_t i = 0; i < count; i++)
        lh_collection_unref(found[i]);
    free(found);
    return lh_http_reply_json(x, 200, &answer, err);
}

const struct lh_route lh_vector_routes[LH_VECTOR_ROUTES] = {
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors",
     .handler = create,
     .flags = LH_ROUTE_BODY,
     .summary = "Create an index; the same again is 200",
     .body = "application/json",
     .answers = "200 201 409 501 503 507"},
    {.methods = LH_HTTP_GET,
     .pattern = "/vectors",
     .handler = list,
     .query = "prefix limit cursor",
     .summary = "The indexes, in order of their names",
     .answers = "200"},
    {.methods = LH_HTTP_GET,
     .pattern = "/vectors/{name}",
     .handler = get_one,
     .summary = "Statistics of an index",
     .answers = "200 404 503"},
    {.methods = LH_HTTP_DELETE,
     .pattern = "/vectors/{name}",
     .handler = drop,
     .summary = "Delete an index and its objects",
     .answers = "204 404 503"},
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors/{name}/add",
     .handler = lh_vector_add,
     .flags = LH_ROUTE_BODY,
     .query = "ids",
     .summary = "Put items, by id; all or none",
     .body = "application/json application/x-ndjson application/x-lakehouse-f32",
     .answers = "200 404 413 415 422 503 507"},
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors/{name}/search",
     .handler = lh_vector_search,
     .flags = LH_ROUTE_BODY | LH_ROUTE_TRY,
     .query = "k ef exact metadata refine filter",
     .summary = "The nearest items of one query or several, of those that fulfil a filter",
     .body = "application/json application/x-lakehouse-f32",
     .answers = "200 404 413 415 422 503 507"},
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors/{name}/delete",
     .handler = lh_vector_delete_items,
     .flags = LH_ROUTE_BODY,
     .summary = "Delete items by id, or those that fulfil a filter",
     .body = "application/json",
     .answers = "200 404 413 415 422 503 507"},
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors/{name}/snapshot",
     .handler = lh_vector_snapshot,
     .summary = "Write a snapshot now, unless the last one has everything",
     .answers = "200 404 501 503 504 507"},
    {.methods = LH_HTTP_POST,
     .pattern = "/vectors/{name}/recall",
     .handler = lh_vector_recall,
     .flags = LH_ROUTE_BODY,
     .summary = "Estimate the recall on a sample of the stored vectors",
     .body = "application/json",
     .answers = "200 404 413 415 503 507"},
    {.methods = LH_HTTP_GET,
     .pattern = "/vectors/{name}/items/{id}",
     .handler = lh_vector_get_item,
     .summary = "One item with its vector and metadata",
     .answers = "200 404 503"},
};
