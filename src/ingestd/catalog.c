/*
 * The client of catalogd.
 */
#include "ingestd/catalog.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/http_client.h"

enum { ANSWER_BYTES_MAX = 256 << 20 };

struct lh_catalog {
    char *url; /* without a slash at its end */
    struct lh_http_client *client;
};

lh_code lh_catalog_open(const char *url, struct lh_http_client *client,
                        struct lh_catalog **ret_catalog, struct lh_error *err)
{
    lh_str base = lh_str_from(url);
    if (!lh_str_starts(base, "http://"))
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not the address of a catalog", url);
    while (lh_str_ends(base, "/"))
        base.len--;
    struct lh_catalog *catalog = lh_calloc(1, sizeof(*catalog));
    catalog->url = lh_strndup(base.ptr, base.len);
    catalog->client = client;
    *ret_catalog = catalog;
    return LH_OK;
}

void lh_catalog_close(struct lh_catalog *catalog)
{
    if (catalog == NULL)
        return;
    free(catalog->url);
    free(catalog);
}

lh_code lh_catalog_get(struct lh_catalog *catalog, const char *dataset, lh_deadline deadline,
                       json_t **ret_dataset, struct lh_error *err)
{
    /* A dataset's name needs no encoding: letters, digits, '_', '-' and '.'. */
    LH_AUTO_FREE char *url = lh_asprintf("%s/catalog/datasets/%s", catalog->url, dataset);
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

lh_code lh_catalog_commit(struct lh_catalog *catalog, lh_str body, lh_deadline deadline,
                          json_t **ret_answer, bool *ret_unknown, struct lh_error *err)
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
    *ret_unknown = status >= 500;
    if (status == 200 || status == 201)
        return lh_json_parse(lh_buf_str(&answer), ret_answer, err);
    return lh_http_fail_from_answer(status, lh_buf_str(&answer), "catalogd", err);
}

/* Whether an object of the dataset has this text as its member `key`. */
static bool has_member(const json_t *dataset, const char *key, lh_str text)
{
    size_t index;
    json_t *object;
    json_array_foreach (json_object_get(dataset, "objects"), index, object) {
        const char *value = json_string_value(json_object_get(object, key));
        if (value != NULL && lh_str_is(text, value))
            return true;
    }
    return false;
}

bool lh_catalog_has_object(const json_t *dataset, lh_str key)
{
    return has_member(dataset, "key", key);
}

bool lh_catalog_has_content(const json_t *dataset, const char *content_id)
{
    return has_member(dataset, "content_id", lh_str_from(content_id));
}
