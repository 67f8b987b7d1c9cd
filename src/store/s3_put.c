/*
 * Writing an object: windows of memory within the client's budget, the put in one request, and who
 * has won when a condition does not hold.
 *
 * The whole body of a request is in memory when it is sent: so its SHA-256 can be signed, and it
 * can be sent again.
 */
#include "base/check.h"
#include "base/mem.h"
#include "store/s3_client_private.h"

#include <string.h>

enum { WINDOW_FIRST_BYTES = 64 << 10 };

/* ---- windows ---- */

static bool take_from_buffer(struct lh_s3_client *client, size_t size, uint64_t left)
{
    uint64_t max = client->buffer_bytes_max - left;
    lh_mutex_lock(&client->mutex);
    bool fits = size <= max && client->stats.buffer_bytes <= max - size;
    if (fits)
        client->stats.buffer_bytes += size;
    lh_mutex_unlock(&client->mutex);
    return fits;
}

bool lh_s3_window_take(struct lh_s3_client *client, size_t size, uint64_t left,
                       struct lh_s3_window *ret_window)
{
    if (!take_from_buffer(client, size, left))
        return false;
    *ret_window = (struct lh_s3_window){.bytes = lh_try_malloc(size, 1), .size = size};
    if (ret_window->bytes == NULL)
        lh_s3_window_free(client, ret_window);
    return ret_window->bytes != NULL;
}

void lh_s3_window_free(struct lh_s3_client *client, struct lh_s3_window *window)
{
    lh_mutex_lock(&client->mutex);
    client->stats.buffer_bytes -= window->size;
    lh_mutex_unlock(&client->mutex);
    free(window->bytes);
    *window = (struct lh_s3_window){0};
}

/* Four times the room, but not more than `max`. */
static bool window_grow(struct lh_s3_client *client, struct lh_s3_window *window, size_t max)
{
    size_t size = window->size > max / 4 ? max : window->size * 4;
    if (!take_from_buffer(client, size - window->size, 0))
        return false;
    window->bytes = lh_realloc(window->bytes, size);
    window->size = size;
    return true;
}

lh_code lh_s3_window_fill(const struct lh_s3_put *put, struct lh_s3_window *window,
                          struct lh_error *err)
{
    while (window->len < window->size) {
        size_t len = 0;
        LH_TRY(put->read(put->ctx, window->bytes + window->len, window->size - window->len, &len,
                         err));
        if (len == 0)
            return LH_OK;
        window->len += len;
    }
    return LH_OK;
}

static lh_code fail_no_room(struct lh_error *err)
{
    return lh_fail(err, LH_BUSY, "the memory for uploads is used up");
}

/* As much of a body of unknown length as fits one request; a small one takes little. */
static lh_code read_unknown(struct lh_s3_client *client, const struct lh_s3_put *put, size_t max,
                            struct lh_s3_window *window, struct lh_error *err)
{
    for (;;) {
        LH_TRY(lh_s3_window_fill(put, window, err));
        if (window->len < window->size || window->size == max)
            return LH_OK;
        if (!window_grow(client, window, max))
            return fail_no_room(err);
    }
}

/* ---- one request ---- */

/* What is kept with the object. Of a put with a condition, and of one in parts, the nonce: these
 * are not simply the same again when they are repeated. */
static void make_head(const struct lh_s3_put *put, bool with_nonce, struct lh_s3_put_head *ret)
{
    const char *type = put->content_type != NULL ? put->content_type : "application/octet-stream";
    LH_CHECK(put->header_count <= LH_S3_PUT_HEADERS_MAX - 2);
    ret->list[ret->count++] = (struct lh_http_header){LH_STR("Content-Type"), lh_str_from(type)};
    for (size_t i = 0; i < put->header_count; i++)
        ret->list[ret->count++] = put->headers[i];
    if (!with_nonce)
        return;
    lh_uuid4(ret->nonce);
    ret->list[ret->count++] =
        (struct lh_http_header){LH_STR("x-amz-meta-" LH_S3_NONCE), lh_str_from(ret->nonce)};
}

size_t lh_s3_conditions(const struct lh_s3_put *put, char etag[LH_S3_QUOTED_SIZE],
                        struct lh_http_header out[LH_S3_CONDITIONS_MAX])
{
    size_t count = 0;
    if (put->if_none_match)
        out[count++] = (struct lh_http_header){LH_STR("If-None-Match"), LH_STR("*")};
    if (put->if_match != NULL)
        out[count++] =
            (struct lh_http_header){LH_STR("If-Match"), lh_s3_quote(put->if_match, etag)};
    return count;
}

lh_code lh_s3_settle(struct lh_s3_client *client, const struct lh_s3_put *put, const char *nonce,
                     const struct lh_s3_answer *failed, struct lh_object_info *ret_info,
                     struct lh_error *err)
{
    bool conditional = put->if_none_match || put->if_match != NULL;
    /* To If-Match "there is nothing" is a refusal (Amazon S3 User Guide, "Conditional writes"). */
    bool lost =
        conditional && (err->code == LH_PRECONDITION || strcmp(failed->code, "NoSuchKey") == 0);
    bool done = strcmp(failed->code, "NoSuchUpload") == 0;
    if (!lost && !done)
        return err->code;
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    struct lh_error unknown = LH_ERROR_INIT;
    lh_code code =
        lh_s3_client_head(client, put->bucket, put->key, &put->limits, &answer, &unknown);
    if (code == LH_OK && strcmp(answer.nonce, nonce) == 0) {
        *ret_info = answer.info;
        return LH_OK;
    }
    if (code != LH_OK && code != LH_NOT_FOUND) {
        *err = unknown;
        return code;
    }
    if (!lost)
        return err->code;
    return lh_fail(err, LH_PRECONDITION, "%s",
                   put->if_none_match ? "the object is there already"
                                      : "the object has another etag, or is not there");
}

static lh_code put_whole(struct lh_s3_client *client, const struct lh_s3_put *put,
                         const struct lh_s3_window *window, const struct lh_s3_put_head *head,
                         struct lh_object_info *ret_info, struct lh_error *err)
{
    struct lh_http_header headers[LH_S3_PUT_HEADERS_MAX + LH_S3_CONDITIONS_MAX];
    char etag[LH_S3_QUOTED_SIZE];
    memcpy(headers, head->list, head->count * sizeof(headers[0]));
    size_t conditions = lh_s3_conditions(put, etag, headers + head->count);
    const struct lh_s3_call call = {
        .method = LH_HTTP_PUT,
        .bucket = put->bucket,
        .key = put->key,
        .headers = headers,
        .header_count = head->count + conditions,
        .body = window->bytes,
        .body_len = window->len,
        .limits = put->limits,
    };
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    struct lh_error failure = LH_ERROR_INIT;
    struct lh_object_info info = {0};
    lh_code code = lh_s3_client_call(client, &call, &answer, &failure);
    if (code == LH_OK)
        info = answer.info;
    else
        code = lh_s3_settle(client, put, head->nonce, &answer, &info, &failure);
    if (code != LH_OK) {
        *err = failure;
        return code;
    }
    if (info.etag[0] == '\0')
        return lh_fail(err, LH_BAD_UPSTREAM, "the store has taken an object and named no ETag");
    info.size = window->len;
    *ret_info = info;
    return LH_OK;
}

/* ---- which way ---- */

uint64_t lh_s3_client_part_bytes(const struct lh_s3_client *client, uint64_t size)
{
    uint64_t least = (size + LH_S3_PARTS_MAX - 1) / LH_S3_PARTS_MAX;
    return least > client->part_bytes ? least : client->part_bytes;
}

static lh_code put_window(struct lh_s3_client *client, const struct lh_s3_put *put, bool whole,
                          struct lh_s3_window *window, struct lh_object_info *ret_info,
                          struct lh_error *err)
{
    struct lh_s3_put_head head = {.count = 0};
    make_head(put, !whole || put->if_none_match || put->if_match != NULL, &head);
    if (!whole && put->whole_only)
        return lh_fail(err, LH_UNSUPPORTED,
                       "the object does not fit one request, and the store ignores conditions of "
                       "uploads in parts");
    if (!whole)
        return lh_s3_put_parts(client, put, window, &head, ret_info, err);
    if (put->length >= 0 && window->len != (uint64_t)put->length)
        return lh_fail(err, LH_INCOMPLETE_BODY, "the body ended after %zu of %lld bytes",
                       window->len, (long long)put->length);
    if (put->before_commit != NULL)
        LH_TRY(put->before_commit(put->ctx, err));
    return put_whole(client, put, window, &head, ret_info, err);
}

lh_code lh_s3_client_put(struct lh_s3_client *client, const struct lh_s3_put *put,
                         struct lh_object_info *ret_info, struct lh_error *err)
{
    struct lh_s3_window window = {0};
    bool known = put->length >= 0;
    uint64_t most = known ? (uint64_t)put->length : put->size_max;
    size_t part = (size_t)lh_s3_client_part_bytes(client, most);
    size_t size = WINDOW_FIRST_BYTES < part ? WINDOW_FIRST_BYTES : part;
    if (known)
        size = (uint64_t)put->length < part ? (size_t)put->length : part;
    if (!lh_s3_window_take(client, size > 0 ? size : 1, 0, &window))
        return fail_no_room(err);
    lh_code code = known ? lh_s3_window_fill(put, &window, err)
                         : read_unknown(client, put, part, &window, err);
    bool whole = !put->in_parts && (known ? (uint64_t)put->length <= part : window.len < part);
    if (code == LH_OK)
        code = put_window(client, put, whole, &window, ret_info, err);
    lh_s3_window_free(client, &window);
    return code;
}

/* ---- copy ---- */

lh_code lh_s3_client_copy(struct lh_s3_client *client, const struct lh_s3_copy *copy,
                          struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf source = LH_BUF_INIT(LH_S3_URL_BYTES_MAX);
    lh_buf_append_char(&source, '/');
    lh_http_encode(&source, copy->from_bucket, false);
    lh_buf_append_char(&source, '/');
    lh_http_encode(&source, copy->from_key, true);
    const struct lh_http_header header = {LH_STR("x-amz-copy-source"), lh_buf_str(&source)};
    const struct lh_s3_call call = {
        .method = LH_HTTP_PUT,
        .bucket = copy->bucket,
        .key = copy->key,
        .headers = &header,
        .header_count = 1,
        .may_hide_error = true,
        .limits = copy->limits,
    };
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LH_S3_ERROR_BYTES_MAX);
    return lh_s3_client_call(client, &call, &answer, err);
}
