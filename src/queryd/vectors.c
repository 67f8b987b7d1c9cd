/* Searches of vectord, for statements that call vector_search. */
#include "queryd/vectors.h"

#include <string.h>

#include "base/mem.h"
#include "net/http_client.h"

enum { PATH_MAX_BYTES = 8192 };

void lh_vectors_init(struct lh_vectors *vectors, const char *url, struct lh_http_client *client,
                     int64_t timeout_ms)
{
    *vectors =
        (struct lh_vectors){.url = lh_strdup(url), .client = client, .timeout_ms = timeout_ms};
}

void lh_vectors_deinit(struct lh_vectors *vectors)
{
    free(vectors->url);
    memset(vectors, 0, sizeof(*vectors));
}

/* What is wrong with the request is wrong with the statement. */
static lh_code fail_from(int status, lh_str body, struct lh_error *err)
{
    lh_code code = lh_http_fail_from_answer(status, body, "vectord", err);
    if (status != 400 && status != 404 && status != 413 && status != 422)
        return code;
    err->code = LH_INVALID_SQL;
    err->line = 0; /* a place in the body, which nobody has seen */
    err->column = 0;
    return lh_fail_context(err, "vector_search");
}

lh_code lh_vectors_search(const struct lh_vectors *vectors, const struct lh_vectors_search *search,
                          struct lh_buf *answer, struct lh_error *err)
{
    static const struct lh_http_header headers[] = {
        {LH_STR("Content-Type"), LH_STR("application/json")}};
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(PATH_MAX_BYTES);
    lh_buf_printf(&url, "%s/vectors/", vectors->url);
    lh_http_encode(&url, search->index, false);
    lh_buf_append_cstr(&url, "/search");
    if (lh_buf_overflowed(&url))
        return lh_fail(err, LH_INVALID_SQL, "vector_search: the name of the index is too long");
    const struct lh_http_call call = {
        .method = LH_HTTP_POST,
        .url = url.data,
        .headers = headers,
        .header_count = LH_COUNT(headers),
        .body = search->body.ptr,
        .body_len = search->body.len,
        .deadline = lh_deadline_sooner(search->deadline, lh_deadline_in_ms(vectors->timeout_ms)),
        .cancelled = search->cancelled,
        .cancel_ctx = search->ctx,
    };
    int status = 0;
    lh_code code = lh_http_call_buf(vectors->client, &call, answer, &status, err);
    if (code == LH_TOO_LARGE)
        return lh_fail(err, LH_RESULT_TOO_LARGE,
                       "the hits of vector_search are larger than %zu bytes; ask for fewer",
                       answer->max);
    if (code != LH_OK)
        return lh_fail_context(err, "vectord does not answer");
    return status == 200 ? LH_OK : fail_from(status, lh_buf_str(answer), err);
}
