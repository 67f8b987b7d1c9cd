/*
 * The client of catalogd.
 */
#include "ingestd/catalog.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/http_client.h"

enum { ANSWER_BYTES_MAX = 256 << 20 };

struct lh_catalog_client {
    char *url; /* without a slash at its end */
    struct lh_http_client *client;
};

lh_code lh_catalog_client_open(const char *url, struct lh_http_client *client,
                               struct lh_catalog_client **ret_catalog, struct lh_error *err)
{
    lh_str base = lh_str_from(url);
    if (!lh_str_starts(base, "http://") && !lh_str_starts(base, "https://"))
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not the address of a catalog", url);
    while (lh_str_ends(base, "/"))
        base.len--;
    struct lh_catalog_client *catalog = lh_calloc(1, sizeof(*catalog));
    catalog->url = lh_strndup(base.ptr, base.len);
    catalog->client = client;
    *ret_catalog = catalog;
    return LH_OK;
}

void lh_catalog_client_close(struct lh_catalog_client *catalog)
{
    if (catalog == NULL)
        return;
    free(catalog->url);
    free(catalog);
}

lh_code lh_catalog_client_get(struct lh_catalog_client *catalog, const char *dataset,
                              int64_t snapshot, lh_deadline deadline, json_t **ret_dataset,
                              struct lh_error *err)
{
    /* A dataset's name needs no encoding: letters, digits, '_', '-' and '.'. */
    char query[40] = "";
    if (snapshot > 0)
        snprintf(query, sizeof(query), "?snapshot=%lld", (long long)snapshot);
    LH_AUTO_FREE char *url = lh_asprintf("%s/catalog/datasets/%s%s", catalog->url, dataset, query);
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_BYTES_MAX);
    const struct lh_http_call call = {.method = LH_HTTP_GET, .url = url, .deadline = deadline};
    int status = 0;
    LH_TRY(lh_http_call_buf(catalog->client, &call, &answer, &status, err));
    if (status == 200)
        return lh_json_parse(lh_buf_str(&answer), ret_dataset, err);
    lh_code code = lh_http_fail_from_answer(status, lh_buf_str(&answer), "catalogd", err);
    if (code != LH_NOT_FOUND)
        return code;
    *err = LH_ERROR_INIT;
    *ret_dataset = NULL;
    return LH_OK;
}

lh_code lh_catalog_client_commit(struct lh_catalog_client *catalog, lh_str body,
                                 lh_deadline deadline, json_t **ret_answer, bool *ret_unknown,
                                 struct lh_error *err)
{
    LH_AUTO_FREE char *url = lh_asprintf("%s/catalog/datasets", catalog->url);
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(1 << 20);
    const struct lh_http_header json = {LH_STR("Content-Type"), LH_STR("application/json")};
    const struct lh_http_call call = {
        .method = LH_HTTP_POST,
        .url = url,
        .headers = &json,
        .header_count = 1,
        .body = body.ptr,
        .body_len = body.len,
        .deadline = deadline,
    };
    int status = 0;
    *ret_unknown = true;
    LH_TRY(lh_http_call_buf(catalog->client, &call, &answer, &status, err));
    *ret_unknown = status >= 500 && status != 507; /* a full disk took nothing */
    if (status == 200 || status == 201)
        return lh_json_parse(lh_buf_str(&answer), ret_answer, err);
    return lh_http_fail_from_answer(status, lh_buf_str(&answer), "catalogd", err);
}

static bool has_text(const json_t *object, const char *key, lh_str text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL && lh_str_is(text, value);
}

bool lh_catalog_client_has_object(const json_t *dataset, lh_str key)
{
    size_t index;
    json_t *object;
    json_array_foreach (json_object_get(dataset, "objects"), index, object) {
        if (has_text(object, "key", key))
            return true;
    }
    return false;
}

size_t lh_catalog_client_count_content(const json_t *dataset, const char *content_id, bool *ret_all)
{
    size_t index;
    json_t *object;
    size_t count = 0;
    const json_t *objects = json_object_get(dataset, "objects");
    json_array_foreach (objects, index, object) {
        count += has_text(object, "content_id", lh_str_from(content_id));
    }
    *ret_all = count > 0 && count == json_array_size(objects);
    return count;
}
