/*
 * The routes of queryd. Wire contract: docs/api/queryd.md.
 */
#include "queryd/api.h"

#include "base/mem.h"

#include <string.h>

enum { ERROR_LINE_MAX = 8 << 10, LIST_BYTES_MAX = 32 << 20 };

/* ---- POST /sql ---- */

struct answer {
    struct lh_http_exchange *x;
    const char *format;
    char last; /* byte that was sent */
};

static void client_gone(void *run)
{
    lh_run_stop(run, LH_RUN_CLIENT_GONE);
}

/* The query may be stopped by the client's leaving as long as it is there. */
static void on_run(void *ctx, struct lh_run *run)
{
    struct answer *answer = ctx;
    if (run == NULL) {
        lh_http_on_cancel(answer->x, NULL, NULL);
        return;
    }
    lh_http_set_header(answer->x, "X-Query-Id", lh_str_from(lh_run_id(run)));
    lh_http_on_cancel(answer->x, client_gone, run);
}

static const char *content_type(const char *format)
{
    if (strcmp(format, "csv") == 0)
        return "text/csv; charset=utf-8; header=present";
    return strcmp(format, "ndjson") == 0 ? "application/x-ndjson" : "application/json";
}

static lh_code on_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct answer *answer = ctx;
    if (!lh_http_started(answer->x))
        LH_TRY(lh_http_start(answer->x, 200, content_type(answer->format), -1, err));
    if (len > 0)
        answer->last = ((const char *)bytes)[len - 1];
    return lh_http_write(answer->x, bytes, len, err);
}

/* The last line of a stream that failed; after it the connection is cut. */
static void write_error_line(struct answer *answer, const struct lh_error *failure)
{
    LH_AUTO_BUF struct lh_buf line = LH_BUF_INIT(ERROR_LINE_MAX);
    struct lh_json json = LH_JSON_TO(&line);
    struct lh_error unused = LH_ERROR_INIT;
    bool public = lh_code_is_public(failure->code);
    if (answer->last != '\n') /* a worker that was killed may have ended within a row */
        lh_buf_append_char(&line, '\n');
    lh_json_object(&json);
    lh_json_key(&json, "error");
    lh_json_object(&json);
    lh_json_kcstr(&json, "code", lh_code_word(failure->code));
    lh_json_kcstr(&json, "detail", public ? failure->message : lh_code_title(failure->code));
    lh_json_kstr(&json, "request_id", lh_http_request_id(answer->x));
    lh_json_object_end(&json);
    lh_json_object_end(&json);
    lh_buf_append_char(&line, '\n');
    LH_IGNORE(lh_http_write(answer->x, line.data, line.len, &unused), "the client may be gone");
}

static lh_code run_query(struct lh_queryd *queryd, struct answer *answer,
                         const struct lh_query_request *request, struct lh_error *err)
{
    const struct lh_query_sink sink = {.ctx = answer, .on_run = on_run, .on_body = on_body};
    lh_code code = lh_query_run(queryd, request, &sink, err);
    if (code != LH_OK) {
        if (lh_http_started(answer->x) && strcmp(answer->format, "ndjson") == 0)
            write_error_line(answer, err);
        return code;
    }
    if (!lh_http_started(answer->x)) /* NDJSON without rows */
        LH_TRY(lh_http_start(answer->x, 200, content_type(answer->format), -1, err));
    return lh_http_finish(answer->x, err);
}

static lh_code post_sql(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    LH_AUTO(lh_query_body_deinit) struct lh_query_body body = {0};
    LH_TRY(lh_query_body_read(service, x, &body, err));
    struct answer answer = {.x = x, .format = body.request.format};
    return run_query(service, &answer, &body.request, err);
}

/* ---- GET /sql, DELETE /sql/{id} ---- */

static lh_code list_queries(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_queryd *queryd = service;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(LIST_BYTES_MAX);
    lh_buf_append_cstr(&body, "{\"items\":");
    lh_running_list(queryd->running, &body);
    lh_buf_append_cstr(&body, ",\"next\":null}");
    return lh_http_reply_json(x, 200, &body, err);
}

static lh_code cancel_query(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_queryd *queryd = service;
    lh_str id = lh_http_param(x, "id");
    if (!lh_running_cancel(queryd->running, id))
        return lh_fail(err, LH_NOT_FOUND, "no query of that id runs or waits: %.*s", LH_FMT(id));
    return lh_http_reply_empty(x, 204, err);
}

const struct lh_route lh_queryd_routes[LH_QUERYD_ROUTES] = {
    {.methods = LH_HTTP_POST,
     .pattern = "/sql",
     .handler = post_sql,
     .flags = LH_ROUTE_BODY,
     .query = "format limit timeout_ms as_of",
     .summary = "Run one SELECT statement over the datasets",
     .body = "application/json text/plain application/sql",
     .answers = "200 403 404 413 415 422 499 503 504 507"},
    {.methods = LH_HTTP_GET,
     .pattern = "/sql",
     .handler = list_queries,
     .query = "",
     .summary = "List the queries that run or wait",
     .answers = "200"},
    {.methods = LH_HTTP_DELETE,
     .pattern = "/sql/{id}",
     .handler = cancel_query,
     .query = "",
     .summary = "Cancel a query",
     .answers = "204 404"},
};
