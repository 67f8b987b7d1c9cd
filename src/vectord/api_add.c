/*
 * Adding items over HTTP. JSON and raw bodies are one batch, in memory as a whole: all items or
 * none. Lines of JSON may be without end: they are read and committed part by part, each of them
 * all or none.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/api.h"

enum { PART_BYTES = 4 << 20, READ_MIN = 64 << 10 };

struct adding {
    struct lh_vector_api *api;
    struct lh_http_exchange *x;
    struct lh_collection *collection;
    struct lh_body_limits limits;
    struct lh_write_result result;
};

static lh_code commit(struct adding *adding, const struct lh_batch *batch, struct lh_error *err)
{
    struct lh_write_result result = {0};
    LH_TRY(lh_collection_write(adding->collection, batch, &result, err));
    adding->result.added += result.added;
    adding->result.updated += result.updated;
    adding->result.durable = result.durable;
    return LH_OK;
}

/* ---- bodies in memory ---- */

/* "u64", which is the default, or "text". */
static lh_code read_id_kind(const struct lh_http_exchange *x, enum lh_raw_ids *ret,
                            struct lh_error *err)
{
    lh_str text = LH_STR("u64");
    lh_http_query(x, "ids", &text);
    if (!lh_str_is(text, "u64") && !lh_str_is(text, "text"))
        return lh_fail(err, LH_INVALID, "'ids' is u64 or text");
    *ret = lh_str_is(text, "u64") ? LH_RAW_IDS_U64 : LH_RAW_IDS_TEXT;
    return LH_OK;
}

static lh_code add_whole(struct adding *adding, enum lh_vector_format format, struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    enum lh_raw_ids ids = LH_RAW_IDS_U64;
    if (format == LH_VECTOR_RAW)
        LH_TRY(read_id_kind(adding->x, &ids, err));
    LH_TRY(lh_vector_body_read(adding->api, adding->x, &body, err));
    if (format == LH_VECTOR_RAW && body.buf.len > 0)
        LH_TRY(lh_body_raw_items(body.buf.data, body.buf.len, ids, &adding->limits, &batch, err));
    else if (format == LH_VECTOR_JSON)
        LH_TRY(lh_body_items(lh_buf_str(&body.buf), &adding->limits, &batch, err));
    return commit(adding, &batch, err);
}

/* ---- lines ---- */

/* More of the body behind what is in the window; false at its end. */
static lh_code read_more(struct adding *adding, struct lh_vector_body *window, bool *ret_more,
                         struct lh_error *err)
{
    size_t len = 0;
    if (window->buf.len + READ_MIN > window->taken_bytes)
        LH_TRY(lh_vector_body_take(window, PART_BYTES, err));
    char *into = lh_buf_reserve(&window->buf, READ_MIN);
    if (into == NULL)
        return lh_fail(err, LH_TOO_LARGE, "a line is beyond vectord.body_bytes_max");
    LH_TRY(lh_http_body_read(adding->x, into, READ_MIN, &len, err));
    lh_buf_commit(&window->buf, len);
    *ret_more = len > 0;
    return LH_OK;
}

/* The complete lines of the window, at most as many as a batch may have; at the end of the body its
 * last line need not be complete. */
static lh_str next_part(const struct lh_buf *window, size_t lines_max, bool at_end,
                        uint64_t *ret_lines)
{
    const char *at = window->data, *end = window->data + window->len;
    uint64_t lines = 0;
    while (at < end && lines < lines_max) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL && !at_end)
            break;
        at = newline != NULL ? newline + 1 : end;
        lines++;
    }
    *ret_lines = lines;
    return lh_str_of(window->data, (size_t)(at - window->data));
}

static lh_code add_part(struct adding *adding, lh_str part, uint64_t lines, struct lh_error *err)
{
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    lh_code code = lh_body_item_lines(part, &adding->limits, &batch, err);
    if (code == LH_OK)
        code = commit(adding, &batch, err);
    if (code != LH_OK && adding->limits.first_item > 0)
        return lh_fail_context(err, "the first %llu items were put",
                               (unsigned long long)adding->limits.first_item);
    adding->limits.first_line += lines;
    adding->limits.first_item += batch.count;
    return code;
}

static lh_code add_lines_of(struct adding *adding, struct lh_vector_body *window,
                            struct lh_error *err)
{
    bool more = true;
    while (more || window->buf.len > 0) {
        uint64_t lines = 0;
        while (more && window->buf.len < PART_BYTES)
            LH_TRY(read_more(adding, window, &more, err));
        if (window->buf.len == 0)
            break;
        lh_str part = next_part(&window->buf, adding->limits.items_max, !more, &lines);
        if (part.len == 0) { /* a line longer than a part */
            LH_TRY(read_more(adding, window, &more, err));
            continue;
        }
        LH_TRY(add_part(adding, part, lines, err));
        lh_buf_consume(&window->buf, part.len);
    }
    return LH_OK;
}

static lh_code add_lines(struct adding *adding, struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body window = {.api = adding->api};
    window.buf = LH_BUF_INIT((size_t)adding->api->settings->body_bytes_max + PART_BYTES);
    LH_TRY(lh_http_body_limit(adding->x, INT64_MAX, err));
    LH_TRY(add_lines_of(adding, &window, err));
    const struct lh_batch nothing = {.count = 0}; /* the answer to no lines at all */
    return adding->limits.first_line == 0 ? commit(adding, &nothing, err) : LH_OK;
}

/* ---- the handler ---- */

static lh_code add(struct adding *adding, struct lh_error *err)
{
    enum lh_vector_format format;
    lh_str unused;
    LH_TRY(lh_vector_content_type(adding->x, LH_VECTOR_JSON | LH_VECTOR_NDJSON | LH_VECTOR_RAW,
                                  &format, err));
    if (format != LH_VECTOR_RAW && lh_http_query(adding->x, "ids", &unused))
        return lh_fail(err, LH_INVALID, "'ids' is for raw bodies; JSON has ids of its own");
    return format == LH_VECTOR_NDJSON ? add_lines(adding, err) : add_whole(adding, format, err);
}

lh_code lh_vector_add(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct adding adding = {.api = service, .x = x};
    LH_TRY(lh_vector_target(adding.api, x, &adding.collection, &adding.limits, err));
    lh_code code = add(&adding, err);
    lh_collection_unref(adding.collection);
    LH_TRY(code);
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(1024);
    struct lh_json json = LH_JSON_TO(&answer);
    lh_json_object(&json);
    lh_json_ku64(&json, "added", adding.result.added);
    lh_json_ku64(&json, "updated", adding.result.updated);
    lh_json_kbool(&json, "durable", adding.result.durable);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &answer, err);
}
