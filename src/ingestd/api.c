/*
 * The REST of ingestd. Wire contract: docs/api/ingestd.md.
 */
#include "ingestd/api.h"

#include "base/mem.h"
#include "net/router.h"

enum { ANSWER_MAX = 16 << 20, LIST_MAX = 16 << 20, TOTAL_UNKNOWN = -1 };

/* ---- POST /ingest ---- */

/* Every parameter is an option; which ones there are is known by options.c. */
static lh_code read_query(const struct lh_http_exchange *x, struct lh_ingest_options *options,
                          struct lh_error *err)
{
    lh_str path;
    lh_str query;
    lh_str item;
    lh_router_split(lh_http_target(x), &path, &query);
    while (lh_str_next(&query, '&', &item)) {
        if (item.len == 0)
            continue;
        LH_AUTO_FREE char *text = lh_malloc(item.len + 1);
        const char *equals = memchr(item.ptr, '=', item.len);
        size_t raw_name_len = equals != NULL ? (size_t)(equals - item.ptr) : item.len;
        size_t name_len = 0;
        size_t value_len = 0;
        lh_str raw_value = lh_str_skip(item, raw_name_len + (equals != NULL));
        if (!lh_percent_decode(lh_str_of(item.ptr, raw_name_len), true, text, &name_len) ||
            !lh_percent_decode(raw_value, true, text + name_len, &value_len))
            return lh_fail(err, LH_INVALID, "a parameter has a bad %% escape: %.*s", LH_FMT(item));
        LH_TRY(lh_ingest_options_set(options, lh_str_of(text, name_len),
                                     lh_str_of(text + name_len, value_len), err));
    }
    return LH_OK;
}

static lh_code refuse_encoded_body(const struct lh_http_exchange *x, struct lh_error *err)
{
    lh_str encoding = lh_str_trim(lh_http_header(x, "Content-Encoding"));
    if (encoding.len == 0 || lh_str_eq_nocase(encoding, LH_STR("identity")))
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "a body with Content-Encoding %.*s is not unpacked",
                      LH_FMT(encoding)),
              "a hint follows");
    return lh_hint(err, "send it unpacked");
}

static bool is_cancelled(const void *ctx)
{
    const struct lh_http_exchange *x = ctx;
    return lh_http_cancelled(x);
}

static lh_code run_job(struct lh_http_exchange *x, struct lh_job *job,
                       struct lh_ingest_options *options, struct lh_buf *answer, int *ret_status,
                       struct lh_error *err)
{
    LH_TRY(lh_ingestd_upload(x, job, options, err));
    return lh_job_run(job, options, answer, ret_status, err);
}

static lh_code ingest_with(struct lh_ingestd *ingestd, struct lh_http_exchange *x,
                           struct lh_ingest_options *options, struct lh_error *err)
{
    LH_TRY(read_query(x, options, err));
    LH_TRY(refuse_encoded_body(x, err));
    LH_TRY(lh_http_body_limit(x, ingestd->body_bytes_max, err));
    int64_t length = lh_http_body_length(x);
    const struct lh_job_start start = {
        .dataset = options->dataset,
        .bytes_total = length >= 0 ? length : TOTAL_UNKNOWN,
        .cancelled = is_cancelled,
        .cancel_ctx = x,
    };
    struct lh_job *job = NULL;
    LH_TRY(lh_job_begin(ingestd->intake, &start, &job, err));
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_MAX);
    int status = 0;
    lh_code code = run_job(x, job, options, &answer, &status, err);
    lh_job_end(job); /* before the answer: whoever has it finds nothing left over */
    return code == LH_OK ? lh_http_reply_json(x, status, &answer, err) : code;
}

static lh_code post_ingest(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_ingest_options options;
    lh_ingest_options_init(&options);
    lh_code code = ingest_with(service, x, &options, err);
    lh_ingest_options_deinit(&options);
    return code;
}

/* ---- GET /ingest ---- */

static lh_code list_jobs(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_ingestd *ingestd = service;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(LIST_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_key(&json, "items");
    lh_json_array(&json);
    lh_intake_list(ingestd->intake, &json);
    lh_json_array_end(&json);
    lh_json_key(&json, "next");
    lh_json_null(&json);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &body, err);
}

/* ---- routes ---- */

const struct lh_route lh_ingestd_routes[LH_INGESTD_ROUTES] = {
    {.methods = LH_HTTP_POST,
     .pattern = "/ingest",
     .handler = post_ingest,
     .flags = LH_ROUTE_BODY | LH_ROUTE_ANY_QUERY,
     .query = "dataset mode format delimiter quote escape header encoding null date_format "
              "timestamp_format decimal_separator strict_mode type.COLUMN",
     .summary = "Take in a file: CSV, TSV, JSON, NDJSON or Parquet becomes part of a dataset",
     .body = "text/csv text/tab-separated-values application/json application/x-ndjson "
             "application/vnd.apache.parquet multipart/form-data",
     .answers = "200 201 409 413 415 422 503 504 507"},
    {.methods = LH_HTTP_GET,
     .pattern = "/ingest",
     .handler = list_jobs,
     .query = "",
     .summary = "The files that are being taken in, with phase and bytes",
     .answers = "200"},
};
