/*
 * Objects kept by storaged, over its native REST (docs/api/storaged.md). Nothing is remembered
 * between calls but the address, so any thread may call at any time.
 */
#include "store/objstore.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/http_client.h"

#include <string.h>

enum {
    LIST_PAGE = 1000,
    LIST_PAGE_BYTES_MAX = 8 << 20, /* a thousand keys of 1,024 bytes, each byte escaped */
    ANSWER_BYTES_MAX = 64 << 10,
    URL_BYTES_MAX = 16 << 10,
    CURSOR_MAX = 4096,
};

struct lh_objstore {
    uint32_t magic;
    char *url; /* "http://host:port", no slash at the end */
    struct lh_http_client *client;
};

static const uint32_t objstore_magic = 0x0b7ec757;

lh_code lh_objstore_open_http(const char *url, struct lh_http_client *client,
                              struct lh_objstore **ret_store, struct lh_error *err)
{
    lh_str base = lh_str_from(url);
    if (!lh_str_starts(base, "http://") && !lh_str_starts(base, "https://"))
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not the address of an object store", url);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    struct lh_objstore *store = lh_calloc(1, sizeof(*store));
    store->magic = objstore_magic;
    store->url = lh_strndup(base.ptr, base.len);
    store->client = client;
    *ret_store = store;
    return LH_OK;
}

void lh_objstore_close(struct lh_objstore *store)
{
    if (store == NULL)
        return;
    LH_CHECK_MAGIC(store, objstore_magic);
    store->magic = 0;
    free(store->url);
    free(store);
}

/* ---- requests and answers ---- */

static lh_code key_url(const struct lh_objstore *store, lh_str key, const char *query,
                       struct lh_buf *ret_url, struct lh_error *err)
{
    LH_CHECK_MAGIC(store, objstore_magic);
    if (key.len == 0 || key.len > LH_KEY_MAX)
        return lh_fail(err, LH_INVALID_KEY, "an object key of %zu bytes: 1 to %d are possible",
                       key.len, LH_KEY_MAX);
    lh_buf_printf(ret_url, "%s/storage/", store->url);
    lh_http_encode(ret_url, key, true);
    lh_buf_append_cstr(ret_url, query);
    return LH_OK;
}

/* What an answer brings: the facts of its header, and its body if it is short or an error. */
struct answer {
    int status;
    struct lh_object_info info;
    struct lh_buf body;

    /* Where the body of a success goes; without it, into `body`. */
    lh_code (*write)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
    void *ctx;
};

static void take_etag(struct lh_object_info *info, lh_str value)
{
    if (lh_str_starts(value, "W/"))
        value = lh_str_skip(value, 2);
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = lh_str_of(value.ptr + 1, value.len - 2);
    if (value.len < LH_ETAG_SIZE) {
        memcpy(info->etag, value.ptr, value.len);
        info->etag[value.len] = '\0';
    }
}

static lh_code on_head(void *ctx, int status, const struct lh_http_header *headers, size_t count,
                       struct lh_error *err)
{
    (void)err;
    struct answer *answer = ctx;
    answer->status = status;
    for (size_t i = 0; i < count; i++) {
        lh_time_ms modified = 0;
        if (lh_str_eq_nocase(headers[i].name, LH_STR("ETag")))
            take_etag(&answer->info, headers[i].value);
        else if (lh_str_eq_nocase(headers[i].name, LH_STR("Content-Length")))
            (void)lh_str_to_u64(headers[i].value, &answer->info.size);
        else if (lh_str_eq_nocase(headers[i].name, LH_STR("Last-Modified")) &&
                 lh_parse_http_date(headers[i].value, &modified))
            answer->info.modified_ms = modified;
    }
    return LH_OK;
}

static lh_code on_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct answer *answer = ctx;
    if (answer->write != NULL && answer->status < 300)
        return answer->write(answer->ctx, bytes, len, err);
    lh_buf_append(&answer->body, bytes, len);
    if (lh_buf_overflowed(&answer->body) && answer->status < 300)
        return lh_fail(err, LH_BAD_UPSTREAM, "storaged's answer is larger than %zu bytes",
                       answer->body.max);
    return LH_OK;
}

/* Performs the call; a status beyond 299 becomes its error. */
static lh_code perform(const struct lh_objstore *store, const struct lh_http_call *call,
                       struct answer *answer, struct lh_error *err)
{
    const struct lh_http_sink sink = {.ctx = answer, .on_head = on_head, .on_body = on_body};
    int status = 0;
    LH_TRY(lh_http_call(store->client, call, &sink, &status, err));
    if (status >= 200 && status < 300)
        return LH_OK;
    return lh_http_fail_from_answer(status, lh_buf_str(&answer->body), "storaged", err);
}

/* The call went well, but what came makes no sense: storaged's fault, not our caller's. */
static lh_code fail_not_understood(struct lh_error *err)
{
    err->code = LH_BAD_UPSTREAM;
    return lh_fail_context(err, "storaged's answer is not understood");
}

static void answer_deinit(struct answer *answer)
{
    lh_buf_deinit(&answer->body);
}

#define AUTO_ANSWER LH_AUTO(answer_deinit) struct answer
#define ANSWER_INIT ((struct answer){.body = LH_BUF_INIT(ANSWER_BYTES_MAX)})

/* ---- one object ---- */

static size_t put_headers(const struct lh_put_options *options, char *etag, size_t etag_size,
                          struct lh_http_header headers[3])
{
    size_t count = 0;
    if (options == NULL)
        return 0;
    if (options->if_none_match)
        headers[count++] = (struct lh_http_header){LH_STR("If-None-Match"), LH_STR("*")};
    if (options->if_match != NULL) {
        int len = snprintf(etag, etag_size, "\"%s\"", options->if_match);
        LH_CHECK(len > 0 && (size_t)len < etag_size);
        headers[count++] =
            (struct lh_http_header){LH_STR("If-Match"), lh_str_of(etag, (size_t)len)};
    }
    if (options->content_type != NULL)
        headers[count++] =
            (struct lh_http_header){LH_STR("Content-Type"), lh_str_from(options->content_type)};
    return count;
}

lh_code lh_objstore_put(struct lh_objstore *store, lh_str key, const struct lh_object_body *body,
                        const struct lh_put_options *options, lh_deadline deadline,
                        struct lh_object_info *ret_info, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(URL_BYTES_MAX);
    LH_TRY(key_url(store, key, "", &url, err));
    char etag[LH_ETAG_SIZE + 2];
    struct lh_http_header headers[3];
    const struct lh_http_call call = {
        .method = LH_HTTP_PUT,
        .url = url.data,
        .headers = headers,
        .header_count = put_headers(options, etag, sizeof(etag), headers),
        .body = body->bytes,
        .body_len = body->read == NULL ? body->len : 0,
        .read_body = body->read,
        .read_ctx = body->ctx,
        .read_length = (int64_t)body->len,
        .deadline = deadline,
    };
    AUTO_ANSWER answer = ANSWER_INIT;
    LH_TRY(perform(store, &call, &answer, err));
    if (answer.info.etag[0] == '\0')
        return lh_fail(err, LH_BAD_UPSTREAM, "storaged stored an object and named no ETag");
    if (ret_info != NULL) {
        *ret_info = answer.info;
        ret_info->size = body->len;
    }
    return LH_OK;
}

lh_code lh_objstore_get_to(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           lh_code (*write)(void *ctx, const void *bytes, size_t len,
                                            struct lh_error *err),
                           void *ctx, struct lh_object_info *ret_info, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(URL_BYTES_MAX);
    LH_TRY(key_url(store, key, "", &url, err));
    const struct lh_http_call call = {.method = LH_HTTP_GET, .url = url.data, .deadline = deadline};
    AUTO_ANSWER answer = ANSWER_INIT;
    answer.write = write;
    answer.ctx = ctx;
    LH_TRY(perform(store, &call, &answer, err));
    if (ret_info != NULL)
        *ret_info = answer.info;
    return LH_OK;
}

static lh_code append_to(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct lh_buf *out = ctx;
    lh_buf_append(out, bytes, len);
    if (lh_buf_overflowed(out))
        return lh_fail(err, LH_TOO_LARGE, "the object is larger than %zu bytes", out->max);
    return LH_OK;
}

lh_code lh_objstore_get(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                        struct lh_buf *out, struct lh_object_info *ret_info, struct lh_error *err)
{
    lh_buf_reset(out);
    return lh_objstore_get_to(store, key, deadline, append_to, out, ret_info, err);
}

/* A request without a body whose answer has none that matters. */
static lh_code simple(struct lh_objstore *store, enum lh_http_method method, lh_str key,
                      const char *query, lh_deadline deadline, struct answer *answer,
                      struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(URL_BYTES_MAX);
    LH_TRY(key_url(store, key, query, &url, err));
    const struct lh_http_call call = {.method = method, .url = url.data, .deadline = deadline};
    return perform(store, &call, answer, err);
}

lh_code lh_objstore_head(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                         struct lh_object_info *ret_info, struct lh_error *err)
{
    AUTO_ANSWER answer = ANSWER_INIT;
    LH_TRY(simple(store, LH_HTTP_HEAD, key, "", deadline, &answer, err));
    *ret_info = answer.info;
    return LH_OK;
}

lh_code lh_objstore_delete(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           struct lh_error *err)
{
    AUTO_ANSWER answer = ANSWER_INIT;
    return simple(store, LH_HTTP_DELETE, key, "", deadline, &answer, err);
}

lh_code lh_objstore_delete_if_match(struct lh_objstore *store, lh_str key, const char *etag,
                                    lh_deadline deadline, struct lh_error *err)
{
    char quoted[LH_ETAG_SIZE + 2];
    struct lh_http_header headers[3];
    const struct lh_put_options options = {.if_match = etag};
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(URL_BYTES_MAX);
    LH_TRY(key_url(store, key, "", &url, err));
    const struct lh_http_call call = {
        .method = LH_HTTP_DELETE,
        .url = url.data,
        .headers = headers,
        .header_count = put_headers(&options, quoted, sizeof(quoted), headers),
        .deadline = deadline,
    };
    AUTO_ANSWER answer = ANSWER_INIT;
    return perform(store, &call, &answer, err);
}

/* ---- locate ---- */

struct location {
    lh_str path; /* ptr NULL = there is none */
    lh_str etag;
    int64_t size;
};

static lh_code read_location(lh_str body, json_t **root, struct location *ret, struct lh_error *err)
{
    LH_TRY(lh_json_parse(body, root, err));
    LH_TRY(lh_json_opt_str(*root, "path", &ret->path, err));
    LH_TRY(lh_json_need_str(*root, "etag", &ret->etag, err));
    return lh_json_need_i64(*root, "size", &ret->size, err);
}

lh_code lh_objstore_locate(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           char **ret_path, struct lh_object_info *ret_info, struct lh_error *err)
{
    AUTO_ANSWER answer = ANSWER_INIT;
    LH_TRY(simple(store, LH_HTTP_GET, key, "?locate", deadline, &answer, err));
    LH_AUTO_JSON json_t *root = NULL;
    struct location location = {.path = LH_STR_NONE};
    if (read_location(lh_buf_str(&answer.body), &root, &location, err) != LH_OK)
        return fail_not_understood(err);
    if (ret_info != NULL) {
        *ret_info = (struct lh_object_info){.size = (uint64_t)location.size,
                                            .modified_ms = answer.info.modified_ms};
        take_etag(ret_info, location.etag);
    }
    *ret_path = location.path.ptr == NULL ? NULL : lh_strndup(location.path.ptr, location.path.len);
    return LH_OK;
}

/* ---- list ---- */

typedef lh_code (*on_object_fn)(void *ctx, lh_str key, const struct lh_object_info *info,
                                struct lh_error *err);

static lh_code read_item(const json_t *item, lh_str *ret_key, struct lh_object_info *ret_info,
                         struct lh_error *err)
{
    lh_str etag, modified = LH_STR_NONE;
    int64_t size = 0;
    LH_TRY(lh_json_need_str(item, "key", ret_key, err));
    LH_TRY(lh_json_need_i64(item, "size", &size, err));
    LH_TRY(lh_json_need_str(item, "etag", &etag, err));
    LH_TRY(lh_json_opt_str(item, "modified", &modified, err));
    if (size < 0)
        return lh_fail(err, LH_BAD_UPSTREAM, "an object of %lld bytes", (long long)size);
    *ret_info = (struct lh_object_info){.size = (uint64_t)size};
    take_etag(ret_info, etag);
    (void)lh_parse_rfc3339(modified, &ret_info->modified_ms);
    return LH_OK;
}

static lh_code read_page(lh_str body, json_t **root, json_t **ret_items, lh_str *ret_next,
                         struct lh_error *err)
{
    LH_TRY(lh_json_parse(body, root, err));
    LH_TRY(lh_json_need_array(*root, "items", ret_items, err));
    return lh_json_opt_str(*root, "next", ret_next, err);
}

static lh_code list_url(const struct lh_objstore *store, lh_str prefix, lh_str cursor,
                        struct lh_buf *ret_url, struct lh_error *err)
{
    lh_buf_printf(ret_url, "%s/storage?limit=%d&prefix=", store->url, LIST_PAGE);
    lh_http_encode(ret_url, prefix, false);
    if (cursor.len > 0) {
        lh_buf_append_cstr(ret_url, "&cursor=");
        lh_http_encode(ret_url, cursor, false);
    }
    if (lh_buf_overflowed(ret_url))
        return lh_fail(err, LH_KEY_TOO_LONG, "a prefix of %zu bytes is too long", prefix.len);
    return LH_OK;
}

/* One page; *cursor moves on, or becomes empty at the end. */
static lh_code list_page(struct lh_objstore *store, lh_str prefix, lh_deadline deadline,
                         struct lh_buf *cursor, on_object_fn on_object, void *ctx,
                         struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(URL_BYTES_MAX);
    LH_TRY(list_url(store, prefix, lh_buf_str(cursor), &url, err));
    const struct lh_http_call call = {.method = LH_HTTP_GET, .url = url.data, .deadline = deadline};
    AUTO_ANSWER answer = {.body = LH_BUF_INIT(LIST_PAGE_BYTES_MAX)};
    LH_TRY(perform(store, &call, &answer, err));

    LH_AUTO_JSON json_t *root = NULL;
    json_t *items = NULL;
    lh_str next = LH_STR_NONE;
    if (read_page(lh_buf_str(&answer.body), &root, &items, &next, err) != LH_OK)
        return fail_not_understood(err);
    size_t index;
    json_t *item;
    json_array_foreach (items, index, item) {
        lh_str key;
        struct lh_object_info info;
        if (read_item(item, &key, &info, err) != LH_OK)
            return fail_not_understood(err);
        LH_TRY(on_object(ctx, key, &info, err));
    }
    if (next.len > 0 && lh_str_eq(next, lh_buf_str(cursor)))
        return lh_fail(err, LH_BAD_UPSTREAM, "storaged's listing does not move on");
    lh_buf_reset(cursor);
    lh_buf_append_str(cursor, next);
    if (lh_buf_overflowed(cursor))
        return lh_fail(err, LH_BAD_UPSTREAM, "storaged's cursor has %zu bytes", next.len);
    return LH_OK;
}

lh_code lh_objstore_list(struct lh_objstore *store, lh_str prefix, lh_deadline deadline,
                         lh_code (*on_object)(void *ctx, lh_str key,
                                              const struct lh_object_info *info,
                                              struct lh_error *err),
                         void *ctx, struct lh_error *err)
{
    LH_CHECK_MAGIC(store, objstore_magic);
    LH_AUTO_BUF struct lh_buf cursor = LH_BUF_INIT(CURSOR_MAX);
    do {
        LH_TRY(list_page(store, prefix, deadline, &cursor, on_object, ctx, err));
    } while (cursor.len > 0);
    return LH_OK;
}
