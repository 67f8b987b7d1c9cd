/*
 * One query, seen from the front: find a worker, tell it the statement, resolve the datasets that
 * it names, pass on the bytes, and make sure of an end.
 *
 * When a worker dies before the first byte of the answer, the query runs once more on a new one:
 * reading is idempotent, and a death is mostly the fault of somebody else's query before (or of the
 * kernel).
 */
#include "queryd/queryd.h"

#include "base/check.h"
#include "base/mem.h"
#include "queryd/caret.h"
#include "queryd/protocol.h"
#include "service/worker.h"

#include <signal.h>
#include <string.h>

/* One dataset of the statement, while it is read. */
struct source {
    struct lh_dataset *dataset;
    struct lh_cached **copies; /* one for each file; NULL where the file itself is used */
};

struct query {
    struct lh_queryd *queryd;
    const struct lh_query_request *request;
    const struct lh_query_sink *sink;
    struct lh_run *run;
    struct source *sources;
    size_t source_count;
    bool begun; /* bytes went out */
    uint64_t rows;
};

/* How an exchange with a worker ended. */
enum outcome {
    ANSWERED, /* DONE or ERROR came: the worker is free */
    DIED,     /* its socket closed */
};

/* ---- datasets ---- */

static void sources_free(struct query *q)
{
    for (size_t i = 0; i < q->source_count; i++) {
        struct source *s = &q->sources[i];
        for (size_t f = 0; s->copies != NULL && f < s->dataset->file_count; f++)
            lh_cache_unpin(q->queryd->cache, s->copies[f]);
        free(s->copies);
        lh_dataset_unref(s->dataset);
    }
    free(q->sources);
    q->sources = NULL;
    q->source_count = 0;
}

static lh_code pin_copies(struct query *q, struct source *s, struct lh_error *err)
{
    s->copies = lh_calloc(s->dataset->file_count + 1, sizeof(*s->copies));
    for (size_t i = 0; i < s->dataset->file_count; i++) {
        const struct lh_dataset_file *file = &s->dataset->files[i];
        if (file->path == NULL)
            LH_TRY(lh_cache_pin(q->queryd->cache, file->key, file->etag, file->size,
                                lh_run_deadline(q->run), &s->copies[i], err));
    }
    return LH_OK;
}

static lh_code put_dataset(struct lh_buf *payload, const struct source *s, struct lh_error *err)
{
    const struct lh_dataset *d = s->dataset;
    struct lh_json json = LH_JSON_TO(payload);
    lh_json_object(&json);
    lh_json_kcstr(&json, "dataset", d->name);
    lh_json_kcstr(&json, "dataset_id", d->id);
    lh_json_ki64(&json, "snapshot", d->snapshot);
    char *columns = json_dumps(d->columns, JSON_COMPACT);
    LH_CHECK(columns != NULL);
    lh_json_key(&json, "columns");
    lh_json_raw(&json, lh_str_from(columns));
    free(columns);
    lh_json_key(&json, "files");
    lh_json_array(&json);
    for (size_t i = 0; i < d->file_count; i++)
        lh_json_cstr(&json, s->copies[i] != NULL ? lh_cached_path(s->copies[i]) : d->files[i].path);
    lh_json_array_end(&json);
    lh_json_object_end(&json);
    if (lh_buf_overflowed(payload))
        return lh_fail(err, LH_TOO_LARGE, "%s has too many objects for one query", d->name);
    return LH_OK;
}

/* A time as SQL writes it: without a zone it is UTC, as everywhere in a query. */
static lh_code read_time(lh_str text, char ret_text[LH_RFC3339_SIZE], struct lh_error *err)
{
    lh_time_ms time;
    LH_AUTO_FREE char *in_utc = lh_asprintf("%.*sZ", LH_FMT(text));
    if (!lh_parse_rfc3339(text, &time) && !lh_parse_rfc3339(lh_str_from(in_utc), &time)) {
        LH_IGNORE(lh_fail(err, LH_INVALID_SQL, "AT takes a time, not '%.*s'", LH_FMT(text)),
                  "the hint returns the code");
        return lh_hint(err, "write it as 2026-01-31 or 2026-01-31T12:00:00Z");
    }
    lh_format_rfc3339(time, ret_text);
    return LH_OK;
}

/* What AT says counts most, then "snapshots", then "as_of". `time_text` is room for the time. */
static lh_code choose_when(const struct query *q, const json_t *table, const char *name,
                           char time_text[LH_RFC3339_SIZE], struct lh_when *ret_when,
                           struct lh_error *err)
{
    struct lh_when when = {.unit = LH_WHEN_PRESENT};
    lh_str unit, time;
    LH_TRY(lh_json_need_str(table, "unit", &unit, err));
    LH_TRY(lh_json_need_str(table, "time", &time, err));
    LH_TRY(lh_json_need_i64(table, "version", &when.snapshot, err));
    const json_t *wish = json_object_get(q->request->snapshots, name);
    if (lh_str_is(unit, "version")) {
        when.unit = LH_WHEN_SNAPSHOT;
    } else if (lh_str_is(unit, "timestamp")) {
        when.unit = LH_WHEN_TIME;
        LH_TRY(read_time(time, time_text, err));
        when.time = time_text;
    } else if (wish != NULL) {
        when.unit = LH_WHEN_SNAPSHOT;
        when.snapshot = json_integer_value(wish);
    } else if (q->request->as_of != NULL) {
        when.unit = LH_WHEN_TIME;
        when.time = q->request->as_of;
    }
    *ret_when = when;
    return LH_OK;
}

static lh_code resolve_table(struct query *q, const json_t *table, struct lh_error *err)
{
    lh_str schema, name;
    int64_t offset = 0;
    struct lh_when when;
    LH_TRY(lh_json_need_str(table, "schema", &schema, err));
    LH_TRY(lh_json_need_str(table, "name", &name, err));
    LH_TRY(lh_json_need_i64(table, "offset", &offset, err));
    bool in_main = schema.len == 0 || lh_str_eq_nocase(schema, LH_STR("main"));
    LH_AUTO_FREE char *full = in_main ? lh_strndup(name.ptr, name.len)
                                      : lh_asprintf("%.*s.%.*s", LH_FMT(schema), LH_FMT(name));
    char time_text[LH_RFC3339_SIZE];
    struct source *s = &q->sources[q->source_count];
    lh_code code = choose_when(q, table, full, time_text, &when, err);
    if (code == LH_OK)
        code = lh_datasets_get(q->queryd->datasets, lh_str_from(full), &when,
                               lh_run_deadline(q->run), &s->dataset, err);
    if (code == LH_INVALID_SQL)
        lh_sql_caret(q->request->sql, (size_t)offset, err);
    if (code != LH_OK)
        return code;
    q->source_count++;
    return pin_copies(q, s, err);
}

static lh_code send_datasets(struct query *q, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    for (size_t i = 0; i < q->source_count; i++) {
        lh_buf_reset(&payload);
        LH_TRY(put_dataset(&payload, &q->sources[i], err));
        LH_TRY(lh_run_send(q->run, LH_QUERY_DATASET, lh_buf_str(&payload), err));
    }
    return LH_OK;
}

/* ---- searches of vectors ---- */

static bool gave_up(const void *ctx)
{
    struct lh_run *run = (struct lh_run *)(uintptr_t)ctx; /* asking takes its lock */
    return lh_run_ended(run) != LH_RUN_GOES_ON;
}

static lh_code send_hits(struct query *q, const json_t *search, struct lh_error *err)
{
    struct lh_vectors_search wanted = {
        .deadline = lh_run_deadline(q->run), .cancelled = gave_up, .ctx = q->run};
    int64_t offset = 0;
    LH_AUTO_BUF struct lh_buf hits = LH_BUF_INIT(LH_FRAME_MAX);
    LH_TRY(lh_json_need_str(search, "index", &wanted.index, err));
    LH_TRY(lh_json_need_str(search, "body", &wanted.body, err));
    LH_TRY(lh_json_need_i64(search, "offset", &offset, err));
    lh_code code = lh_vectors_search(&q->queryd->vectors, &wanted, &hits, err);
    if (code == LH_INVALID_SQL)
        lh_sql_caret(q->request->sql, (size_t)offset, err);
    LH_TRY(code);
    return lh_run_send(q->run, LH_QUERY_HITS, lh_buf_str(&hits), err);
}

static lh_code search_vectors(struct query *q, const json_t *root, struct lh_error *err)
{
    json_t *searches = NULL;
    size_t index;
    json_t *search;
    LH_TRY(lh_json_need_array(root, "searches", &searches, err));
    json_array_foreach (searches, index, search)
        LH_TRY(send_hits(q, search, err));
    return LH_OK;
}

/* ---- the answer to TABLES ---- */

static void put_name(void *ctx, const char *name)
{
    lh_json_cstr(ctx, name);
}

static lh_code send_run(struct query *q, bool show_tables, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    struct lh_json json = LH_JSON_TO(&payload);
    lh_json_object(&json);
    if (show_tables) {
        lh_json_key(&json, "names");
        lh_json_array(&json);
        lh_datasets_each(q->queryd->datasets, put_name, &json);
        lh_json_array_end(&json);
    }
    lh_json_object_end(&json);
    if (lh_buf_overflowed(&payload))
        return lh_fail(err, LH_RESULT_TOO_LARGE, "there are too many datasets to be listed");
    return lh_run_send(q->run, LH_QUERY_RUN, lh_buf_str(&payload), err);
}

static lh_code resolve(struct query *q, lh_str payload, struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    json_t *tables = NULL;
    bool show_tables = false;
    LH_TRY(lh_json_parse(payload, &root, err));
    LH_TRY(lh_json_need_array(root, "tables", &tables, err));
    LH_TRY(lh_json_opt_bool(root, "show_tables", &show_tables, err));
    if (q->sources != NULL)
        return lh_fail(err, LH_INTERNAL, "a worker asked twice for datasets");
    if (show_tables || json_array_size(tables) > 0)
        LH_TRY(lh_datasets_sync(q->queryd->datasets, lh_run_deadline(q->run), err));
    q->sources = lh_calloc(json_array_size(tables) + 1, sizeof(*q->sources));
    size_t index;
    json_t *table;
    json_array_foreach (tables, index, table)
        LH_TRY(resolve_table(q, table, err));
    LH_TRY(send_datasets(q, err));
    LH_TRY(search_vectors(q, root, err));
    return send_run(q, show_tables, err);
}

/* ---- the exchange with a worker ---- */

static lh_code send_start(struct query *q, uint64_t number, struct lh_error *err)
{
    const struct lh_query_request *r = q->request;
    uint64_t rows_max = q->queryd->rows_max;
    if (r->limit > 0 && (rows_max == 0 || r->limit < rows_max))
        rows_max = r->limit;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_buf_append(&payload, &number, sizeof(number));
    struct lh_json json = LH_JSON_TO(&payload);
    lh_json_object(&json);
    lh_json_kcstr(&json, "query_id", lh_run_id(q->run));
    lh_json_kstr(&json, "sql", r->sql);
    if (r->params != NULL) {
        char *params = json_dumps(r->params, JSON_COMPACT | JSON_ENCODE_ANY);
        LH_CHECK(params != NULL);
        lh_json_key(&json, "params");
        lh_json_raw(&json, lh_str_from(params));
        free(params);
    }
    lh_json_kcstr(&json, "format", r->format);
    lh_json_ki64(&json, "rows_max", rows_max > INT64_MAX ? INT64_MAX : (int64_t)rows_max);
    lh_json_ki64(&json, "started_ns", lh_run_started(q->run).ns);
    lh_json_object_end(&json);
    if (lh_buf_overflowed(&payload))
        return lh_fail(err, LH_TOO_LARGE, "the statement and its parameters are too large");
    return lh_run_send(q->run, LH_QUERY_START, lh_buf_str(&payload), err);
}

static lh_code take_done(struct query *q, lh_str payload, struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    int64_t rows = 0;
    LH_TRY(lh_json_parse(payload, &root, err));
    LH_TRY(lh_json_need_i64(root, "rows", &rows, err));
    q->rows = (uint64_t)rows;
    return LH_OK;
}

static lh_code pass_on(struct query *q, lh_str bytes, struct lh_error *err)
{
    q->begun = true;
    atomic_fetch_add(&q->queryd->counts.bytes, bytes.len);
    return q->sink->on_body(q->sink->ctx, bytes.ptr, bytes.len, err);
}

/* A failure on our side: the worker is told to stop, and may not wait for datasets any more. */
static void abandon(struct query *q, bool resolving)
{
    struct lh_error unused = LH_ERROR_INIT;
    lh_run_stop(q->run, LH_RUN_FAILED);
    if (resolving)
        LH_IGNORE(lh_run_send(q->run, LH_QUERY_RUN, LH_STR("{}"), &unused), "it may be gone");
}

/* Reads frames to the end of the query. *ret_code is its result when the worker answered; the first
 * failure, ours or the worker's, is the one that counts. */
static enum outcome converse(struct query *q, int fd, lh_code *ret_code, struct lh_error *err)
{
    struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_code code = LH_OK;
    enum outcome outcome = DIED;
    for (bool over = false; !over;) {
        struct lh_error failure = LH_ERROR_INIT;
        lh_code step = LH_OK;
        uint32_t type = 0;
        /* No deadline of its own: whoever must end is interrupted, then killed, and that ends it
         * here. */
        if (lh_frame_receive(fd, LH_NO_DEADLINE, &type, &payload, &failure) != LH_OK)
            break;
        if (type == LH_QUERY_TABLES) {
            step = resolve(q, lh_buf_str(&payload), &failure);
        } else if (type == LH_QUERY_BODY) {
            if (code == LH_OK)
                step = pass_on(q, lh_buf_str(&payload), &failure);
        } else {
            over = true;
            outcome = ANSWERED;
            if (type == LH_QUERY_DONE)
                step = take_done(q, lh_buf_str(&payload), &failure);
            else
                lh_frame_get_error(lh_buf_str(&payload), &failure);
            step = type == LH_QUERY_DONE ? step : failure.code;
        }
        if (step == LH_OK || code != LH_OK)
            continue;
        if (step == LH_CANCELLED && type == LH_QUERY_TABLES)
            continue; /* it died meanwhile: the next frame will not come */
        code = step;
        *err = failure;
        if (!over)
            abandon(q, type == LH_QUERY_TABLES);
    }
    lh_buf_deinit(&payload);
    *ret_code = code;
    return outcome;
}

static lh_code fail_dead(int signal, struct lh_error *err)
{
    /* The kernel's out-of-memory killer, or an allocation that failed where it may not. */
    if (signal == SIGKILL || signal == SIGABRT)
        return lh_fail(err, LH_QUERY_MEMORY, "the query's process ran out of memory");
    return lh_fail(err, LH_UNAVAILABLE, "the query's process ended unexpectedly");
}

/* The exchange with one worker. *ret_again: it failed through no fault of the query, before any
 * byte of the answer, so that another try may succeed. */
static lh_code exchange(struct query *q, struct lh_pool_worker *worker, enum outcome *ret_outcome,
                        bool *ret_again, struct lh_error *err)
{
    int fd = lh_pool_worker_fd(worker);
    uint64_t number = lh_run_attach(q->run, fd, lh_pool_worker_pid(worker));
    enum outcome outcome = ANSWERED;
    lh_code code = send_start(q, number, err);
    if (code == LH_CANCELLED) { /* it died while it was idle */
        outcome = DIED;
        code = LH_OK;
    } else if (code == LH_OK) {
        outcome = converse(q, fd, &code, err);
    }
    lh_run_detach(q->run);

    if (outcome == DIED && code == LH_OK && gave_up(q->run)) {
        code = lh_fail(err, LH_CANCELLED, "the query was ended");
    } else if (outcome == DIED && code == LH_OK) {
        *ret_again = !q->begun;
        code = fail_dead(lh_pool_worker_signal(worker), err);
    } else if (code == LH_IO && !q->begun) {
        /* A file is gone: what we know of the datasets may be old. */
        *ret_again = true;
        for (size_t i = 0; i < q->source_count; i++)
            lh_datasets_forget(q->queryd->datasets, q->sources[i].dataset);
    }
    *ret_outcome = outcome;
    return code;
}

static lh_code attempt(struct query *q, bool *ret_again, struct lh_error *err)
{
    struct lh_pool_worker *worker = NULL;
    enum outcome outcome = DIED;
    *ret_again = false;
    LH_TRY(
        lh_pool_acquire(q->queryd->pool, lh_run_deadline(q->run), gave_up, q->run, &worker, err));
    lh_code code = exchange(q, worker, &outcome, ret_again, err);
    lh_pool_release(q->queryd->pool, worker, outcome == ANSWERED);
    sources_free(q);
    return code;
}

/* ---- the whole ---- */

/* Whatever an interrupted query failed with, the caller learns why it was interrupted. */
static lh_code tell_end(const struct query *q, lh_code code, struct lh_error *err)
{
    enum lh_run_end end = lh_run_ended(q->run);
    bool late = end == LH_RUN_TIMED_OUT || lh_deadline_passed(lh_run_deadline(q->run));
    if (code != LH_CANCELLED && code != LH_TIMEOUT)
        return code;
    if (end == LH_RUN_CANCELLED)
        return lh_fail(err, LH_CANCELLED, "the query was cancelled");
    if (end == LH_RUN_CLIENT_GONE)
        return lh_fail(err, LH_CANCELLED, "the client went away");
    if (!late)
        return code;
    code = lh_fail(err, LH_QUERY_TIMEOUT, "the query took longer than %lld ms",
                   (long long)lh_run_timeout_ms(q->run));
    return lh_hint(err,
                   "ask for less, or give more time: timeout_ms in the request, up to [queryd] "
                   "timeout");
}

static void count(struct lh_queryd *queryd, const struct query *q, lh_code code)
{
    struct lh_query_counts *counts = &queryd->counts;
    atomic_ullong *kind = &counts->failed;
    if (code == LH_OK)
        kind = &counts->ok;
    else if (code == LH_QUERY_TIMEOUT)
        kind = &counts->timed_out;
    else if (code == LH_CANCELLED)
        kind = &counts->cancelled;
    else if (lh_code_status(code) < 500)
        kind = &counts->refused;
    atomic_fetch_add(kind, 1);
    atomic_fetch_add(&counts->rows, q->rows);
}

lh_code lh_query_run(struct lh_queryd *queryd, const struct lh_query_request *request,
                     const struct lh_query_sink *sink, struct lh_error *err)
{
    if ((int64_t)request->sql.len > queryd->sql_bytes_max)
        return lh_fail(err, LH_TOO_LARGE, "the statement has %zu bytes; at most %lld are taken",
                       request->sql.len, (long long)queryd->sql_bytes_max);
    if (memchr(request->sql.ptr != NULL ? request->sql.ptr : "", 0, request->sql.len) != NULL ||
        !lh_utf8_valid(request->sql))
        return lh_fail(err, LH_INVALID_SQL, "the statement is not UTF-8 text without NUL");
    int64_t timeout_ms = queryd->timeout_ms;
    if (request->timeout_ms > 0 && request->timeout_ms < timeout_ms)
        timeout_ms = request->timeout_ms;

    struct query q = {.queryd = queryd, .request = request, .sink = sink};
    q.run = lh_run_start(queryd->running, request->sql, timeout_ms);
    sink->on_run(sink->ctx, q.run);
    bool again = false;
    lh_code code = attempt(&q, &again, err);
    if (code != LH_OK && again) {
        atomic_fetch_add(&queryd->counts.retried, 1);
        code = attempt(&q, &again, err);
    }
    if (code != LH_OK)
        code = tell_end(&q, code, err);
    sink->on_run(sink->ctx, NULL);
    lh_run_finish(q.run);
    count(queryd, &q, code);
    return code;
}
