/*
 * The HTTP face of catalogd: the table of routes, and the handlers that change something. Wire
 * contract: docs/api/catalogd.md.
 */
#include "catalogd/api.h"

#include "base/json.h"
#include "base/mem.h"

enum { SMALL_BODY_BYTES = 4096, ANSWER_BYTES_MAX = 8192 };

lh_code lh_catalogd_name(const struct lh_http_exchange *x, char out[LH_NAME_MAX + 1],
                         struct lh_error *err)
{
    return lh_dataset_name_parse(lh_http_param(x, "name"), out, err);
}

static void result_deinit(struct lh_commit_result *result)
{
    lh_dataset_unref(result->dataset);
}

static lh_code reply_result(struct lh_http_exchange *x, const struct lh_commit_result *result,
                            struct lh_error *err)
{
    const struct lh_dataset *dataset = result->dataset;
    const struct lh_snapshot *head = lh_dataset_head(dataset);
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kstr(&json, "dataset", dataset->parts.name);
    lh_json_kcstr(&json, "dataset_id", dataset->parts.id);
    lh_json_kstr(&json, "fingerprint", lh_dataset_schema(dataset, head->schema_id)->fingerprint);
    lh_json_ki64(&json, "snapshot", head->id);
    lh_json_kcstr(&json, "version", dataset->parts.nonce);
    lh_json_kcstr(&json, "status", lh_commit_status_word(result->status));
    lh_json_ki64(&json, "rows", head->rows);
    lh_json_ki64(&json, "bytes", head->bytes);
    lh_json_object_end(&json);
    int status = result->status == LH_COMMIT_CREATED ? 201 : 200;
    return lh_http_reply_json(x, status, &body, err);
}

static lh_code post_dataset(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    json_t *root = NULL;
    LH_TRY(lh_http_body_limit(x, (int64_t)catalogd->body_bytes_max, err));
    LH_TRY(lh_http_body_json(x, catalogd->body_bytes_max, &root, err));
    LH_AUTO_COMMIT_BODY struct lh_commit_body body = {0};
    LH_TRY(lh_commit_body_parse(root, &catalogd->limits, &body, err));
    LH_AUTO(result_deinit) struct lh_commit_result result = {0};
    LH_TRY(lh_catalog_commit(catalogd->catalog, &body.request, &result, err));
    return reply_result(x, &result, err);
}

/* A small body: an object with one member. */
static lh_code read_small(struct lh_http_exchange *x, const char *key, json_t **ret_root,
                          struct lh_error *err)
{
    LH_TRY(lh_http_body_limit(x, SMALL_BODY_BYTES, err));
    LH_TRY(lh_http_body_json(x, SMALL_BODY_BYTES, ret_root, err));
    return lh_json_only(*ret_root, &key, 1, err);
}

static lh_code restore_dataset(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    char name[LH_NAME_MAX + 1];
    LH_TRY(lh_catalogd_name(x, name, err));
    LH_AUTO_JSON json_t *root = NULL;
    int64_t snapshot = 0;
    LH_TRY(read_small(x, "snapshot", &root, err));
    LH_TRY(lh_json_need_i64(root, "snapshot", &snapshot, err));
    LH_AUTO(result_deinit) struct lh_commit_result result = {0};
    LH_TRY(lh_catalog_restore(catalogd->catalog, lh_str_from(name), snapshot, &result, err));
    return reply_result(x, &result, err);
}

static lh_code rename_dataset(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    char name[LH_NAME_MAX + 1], to[LH_NAME_MAX + 1];
    LH_TRY(lh_catalogd_name(x, name, err));
    LH_AUTO_JSON json_t *root = NULL;
    lh_str text;
    LH_TRY(read_small(x, "to", &root, err));
    LH_TRY(lh_json_need_str(root, "to", &text, err));
    LH_TRY(lh_dataset_name_parse(text, to, err));
    LH_AUTO(result_deinit) struct lh_commit_result result = {0};
    LH_TRY(lh_catalog_rename(catalogd->catalog, lh_str_from(name), lh_str_from(to), &result, err));
    return reply_result(x, &result, err);
}

static lh_code delete_dataset(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    char name[LH_NAME_MAX + 1];
    LH_TRY(lh_catalogd_name(x, name, err));
    lh_str text = LH_STR("false");
    lh_http_query(x, "purge", &text);
    bool purge = lh_str_is(text, "true") || text.len == 0; /* "?purge" alone */
    if (!purge && !lh_str_is(text, "false"))
        return lh_fail(err, LH_INVALID, "purge is true or false, not '%.*s'", LH_FMT(text));
    LH_TRY(lh_catalog_delete(catalogd->catalog, lh_str_from(name), purge, err));
    return lh_http_reply_empty(x, 204, err);
}

const struct lh_route lh_catalogd_routes[LH_CATALOGD_ROUTES] = {
    {.methods = LH_HTTP_POST,
     .pattern = "/catalog/datasets",
     .handler = post_dataset,
     .flags = LH_ROUTE_BODY,
     .query = "",
     .summary = "Register a dataset, or commit objects to it",
     .body = "application/json",
     .answers = "200 201 409 412 413 422 507"},
    {.methods = LH_HTTP_GET,
     .pattern = "/catalog/datasets",
     .handler = lh_catalogd_list,
     .query = "prefix limit cursor",
     .summary = "List datasets by name, page by page",
     .answers = "200"},
    {.methods = LH_HTTP_GET,
     .pattern = "/catalog/datasets/{name}",
     .handler = lh_catalogd_get,
     .query = "snapshot as_of",
     .summary = "One dataset with its schema and objects, now or at a snapshot",
     .answers = "200 404"},
    {.methods = LH_HTTP_DELETE,
     .pattern = "/catalog/datasets/{name}",
     .handler = delete_dataset,
     .query = "purge",
     .summary = "Delete a dataset; purge=true removes its objects as well",
     .answers = "204 404"},
    {.methods = LH_HTTP_GET,
     .pattern = "/catalog/datasets/{name}/history",
     .handler = lh_catalogd_history,
     .query = "limit cursor",
     .summary = "The snapshots of a dataset, newest first",
     .answers = "200 404"},
    {.methods = LH_HTTP_POST,
     .pattern = "/catalog/datasets/{name}/restore",
     .handler = restore_dataset,
     .flags = LH_ROUTE_BODY,
     .query = "",
     .summary = "Make a new snapshot with the objects of an older one",
     .body = "application/json",
     .answers = "200 404 409 422"},
    {.methods = LH_HTTP_POST,
     .pattern = "/catalog/datasets/{name}/rename",
     .handler = rename_dataset,
     .flags = LH_ROUTE_BODY,
     .query = "",
     .summary = "Give a dataset another name, and with it another id",
     .body = "application/json",
     .answers = "200 404 409"},
    {.methods = LH_HTTP_GET,
     .pattern = "/catalog/changes",
     .handler = lh_catalogd_changes,
     .query = "since wait_ms",
     .summary = "What changed since a cursor; waits for a change when asked to",
     .answers = "200"},
};
