/*
 * An upload in parts (Amazon S3 User Guide, "Uploading and copying objects using multipart
 * upload"). The caller's thread reads the body into windows; a worker for each window sends it. All
 * parts are equally long but the last (some stores demand it). A worker that cannot have a window
 * is done without: one is enough to go on.
 *
 * States: begun by create; every failure from then on aborts; complete makes the object visible.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/xml.h"
#include "store/s3_client_private.h"

#include <stdio.h>
#include <string.h>

enum {
    WORKERS_MAX = 8,
    UPLOAD_ID_MAX = 1024,
    QUERY_BYTES_MAX = 4 << 10,
    ANSWER_BYTES_MAX = 64 << 10,
    ARENA_BYTES_MAX = 2 * ANSWER_BYTES_MAX,
    ENCODED_ID_MAX = 3 * UPLOAD_ID_MAX,
    ANSWER_NODES_MAX = 64,
    COMPLETE_BYTES_MAX = LH_S3_PARTS_MAX * 256,
    ABORT_TIMEOUT_MS = 15000,
};

struct upload;

struct worker {
    struct upload *upload;
    struct lh_s3_window window;
    pthread_t thread;
    bool running;
    unsigned number; /* of its part, from 1 */
    char etag[LH_ETAG_SIZE];
    lh_code code;
    struct lh_error err;
};

struct upload {
    struct lh_s3_client *client;
    const struct lh_s3_put *put;
    char *id; /* encoded as it goes into a query */
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;
    char (*etags)[LH_ETAG_SIZE]; /* of the parts that are done */
    size_t etag_capacity;
    unsigned part_count;
    uint64_t bytes;
    atomic_bool failed; /* the others need not go on */
};

static bool must_end(const void *ctx)
{
    const struct upload *upload = ctx;
    const struct lh_s3_limits *limits = &upload->put->limits;
    return upload->failed || (limits->cancelled != NULL && limits->cancelled(limits->ctx));
}

/* A call about the upload, without headers or body. */
static struct lh_s3_call call_of(const struct upload *upload, enum lh_http_method method,
                                 const char *query)
{
    return (struct lh_s3_call){
        .method = method,
        .bucket = upload->put->bucket,
        .key = upload->put->key,
        .query = query,
        .limits = upload->put->limits,
    };
}

/* ---- create ---- */

/* The text of a child of the answer's root, in `arena`. LH_BAD_UPSTREAM when there is none. */
static lh_code read_answer(const struct lh_s3_answer *answer, const char *name,
                           struct lh_arena *arena, lh_str *ret_text, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    struct lh_error ignored = LH_ERROR_INIT;
    lh_code code =
        lh_xml_parse(lh_buf_str(&answer->body), ANSWER_NODES_MAX, arena, &root, &ignored);
    lh_str text = code == LH_OK ? lh_xml_child_text(root, name) : LH_STR_NONE;
    if (text.len == 0 || text.len > UPLOAD_ID_MAX)
        return lh_fail(err, LH_BAD_UPSTREAM, "the store's answer names no %s", name);
    *ret_text = text;
    return LH_OK;
}

static lh_code create(struct upload *upload, const struct lh_s3_put_head *head,
                      struct lh_error *err)
{
    struct lh_s3_call call = call_of(upload, LH_HTTP_POST, "uploads=");
    call.headers = head->list;
    call.header_count = head->count;
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    LH_TRY(lh_s3_client_call(upload->client, &call, &answer, err));
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_BYTES_MAX);
    lh_str id;
    LH_TRY(read_answer(&answer, "UploadId", &arena, &id, err));
    struct lh_buf encoded = LH_BUF_INIT(ENCODED_ID_MAX);
    lh_http_encode(&encoded, id, false);
    upload->id = lh_buf_take(&encoded);
    return LH_OK;
}

static void abort_upload(struct upload *upload)
{
    char query[QUERY_BYTES_MAX];
    struct lh_error ignored = LH_ERROR_INIT;
    snprintf(query, sizeof(query), "uploadId=%s", upload->id);
    struct lh_s3_call call = call_of(upload, LH_HTTP_DELETE, query);
    call.limits = (struct lh_s3_limits){.deadline = lh_deadline_in_ms(ABORT_TIMEOUT_MS)};
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    LH_IGNORE(lh_s3_client_call(upload->client, &call, &answer, &ignored),
              "the failure that led here is told; the store's own rule removes the rest");
}

/* ---- parts ---- */

static lh_code send_part(struct worker *worker, struct lh_error *err)
{
    struct upload *upload = worker->upload;
    char query[QUERY_BYTES_MAX];
    snprintf(query, sizeof(query), "partNumber=%u&uploadId=%s", worker->number, upload->id);
    struct lh_s3_call call = call_of(upload, LH_HTTP_PUT, query);
    call.body = worker->window.bytes;
    call.body_len = worker->window.len;
    call.limits.cancelled = must_end;
    call.limits.ctx = upload;
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    LH_TRY(lh_s3_client_call(upload->client, &call, &answer, err));
    if (answer.info.etag[0] == '\0')
        return lh_fail(err, LH_BAD_UPSTREAM, "the store has taken a part and named no ETag");
    memcpy(worker->etag, answer.info.etag, sizeof(worker->etag));
    return LH_OK;
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    worker->code = send_part(worker, &worker->err);
    if (worker->code != LH_OK)
        worker->upload->failed = true;
    return NULL;
}

static lh_code start(struct worker *worker, struct lh_error *err)
{
    struct upload *upload = worker->upload;
    if (upload->part_count == LH_S3_PARTS_MAX)
        return lh_fail(err, LH_TOO_LARGE, "the object has more than %d parts", LH_S3_PARTS_MAX);
    worker->number = ++upload->part_count;
    upload->bytes += worker->window.len;
    upload->etags = lh_grow(upload->etags, &upload->etag_capacity, upload->part_count,
                            sizeof(upload->etags[0]));
    LH_TRY(lh_thread_start(&worker->thread, "s3-part", run_worker, worker, err));
    worker->running = true;
    return LH_OK;
}

/* Until its part is sent. */
static lh_code join(struct worker *worker, struct lh_error *err)
{
    if (!worker->running)
        return LH_OK;
    LH_CHECK(pthread_join(worker->thread, NULL) == 0);
    worker->running = false;
    worker->window.len = 0;
    if (worker->code != LH_OK) {
        *err = worker->err;
        return worker->code;
    }
    memcpy(worker->upload->etags[worker->number - 1], worker->etag, sizeof(worker->etag));
    return LH_OK;
}

/* The worker for the next part: a new one while there may be more and there is memory, else the one
 * that began first. */
static lh_code next_worker(struct upload *upload, size_t window_bytes, struct worker **ret_worker,
                           struct lh_error *err)
{
    unsigned max = upload->client->parts_parallel;
    if (upload->worker_count < max && upload->worker_count < WORKERS_MAX) {
        struct worker *worker = &upload->workers[upload->worker_count];
        /* Half of the memory is for the first windows of others. */
        uint64_t left = upload->client->buffer_bytes_max / 2;
        if (lh_s3_window_take(upload->client, window_bytes, left, &worker->window)) {
            upload->worker_count++;
            *ret_worker = worker;
            return LH_OK;
        }
    }
    struct worker *first = &upload->workers[0];
    for (unsigned i = 1; i < upload->worker_count; i++) {
        if (upload->workers[i].number < first->number)
            first = &upload->workers[i];
    }
    *ret_worker = first;
    return join(first, err);
}

/* A body of known length is not asked for its end. */
static bool is_complete(const struct upload *upload)
{
    return upload->put->length >= 0 && upload->bytes >= (uint64_t)upload->put->length;
}

static lh_code send_parts(struct upload *upload, struct lh_error *err)
{
    const struct lh_s3_put *put = upload->put;
    size_t window_bytes = upload->workers[0].window.size;
    bool ended = upload->workers[0].window.len < window_bytes;
    LH_TRY(start(&upload->workers[0], err));
    while (!ended && !is_complete(upload)) {
        struct worker *worker = NULL;
        LH_TRY(next_worker(upload, window_bytes, &worker, err));
        LH_TRY(lh_s3_window_fill(put, &worker->window, err));
        ended = worker->window.len < window_bytes;
        if (worker->window.len > 0)
            LH_TRY(start(worker, err));
    }
    if (put->length >= 0 && upload->bytes != (uint64_t)put->length)
        return lh_fail(err, LH_INCOMPLETE_BODY, "the body has %llu bytes instead of %lld",
                       (unsigned long long)upload->bytes, (long long)put->length);
    return LH_OK;
}

/* Of several failures the first one is told: the others were sent home by it. */
static lh_code join_all(struct upload *upload, lh_code code, struct lh_error *err)
{
    if (code != LH_OK)
        upload->failed = true;
    for (unsigned i = 0; i < upload->worker_count; i++) {
        struct lh_error failure = LH_ERROR_INIT;
        lh_code joined = join(&upload->workers[i], &failure);
        bool tells_more = code == LH_OK || (code == LH_CANCELLED && joined != LH_CANCELLED);
        if (joined != LH_OK && tells_more) {
            code = joined;
            *err = failure;
        }
    }
    return code;
}

/* ---- complete ---- */

static void write_complete(const struct upload *upload, struct lh_buf *out)
{
    lh_buf_append_cstr(out, "<CompleteMultipartUpload "
                            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (unsigned i = 0; i < upload->part_count; i++) {
        lh_buf_printf(out, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", i + 1);
        lh_xml_escape(out, lh_str_from(upload->etags[i]));
        lh_buf_append_cstr(out, "&quot;</ETag></Part>");
    }
    lh_buf_append_cstr(out, "</CompleteMultipartUpload>");
}

static lh_code complete_call(struct upload *upload, const struct lh_buf *body,
                             struct lh_s3_answer *answer, struct lh_error *err)
{
    struct lh_http_header conditions[LH_S3_CONDITIONS_MAX];
    char etag[LH_S3_QUOTED_SIZE];
    char query[QUERY_BYTES_MAX];
    snprintf(query, sizeof(query), "uploadId=%s", upload->id);
    struct lh_s3_call call = call_of(upload, LH_HTTP_POST, query);
    call.headers = conditions;
    call.header_count = lh_s3_conditions(upload->put, etag, conditions);
    call.body = body->data;
    call.body_len = body->len;
    call.may_hide_error = true;
    return lh_s3_client_call(upload->client, &call, answer, err);
}

static lh_code read_completed(const struct lh_s3_answer *answer, struct lh_object_info *ret_info,
                              struct lh_error *err)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_BYTES_MAX);
    lh_str etag;
    LH_TRY(read_answer(answer, "ETag", &arena, &etag, err));
    *ret_info = (struct lh_object_info){.size = 0};
    if (!lh_s3_take_etag(etag, ret_info->etag))
        return lh_fail(err, LH_BAD_UPSTREAM, "the store has named an ETag of %zu bytes", etag.len);
    return LH_OK;
}

static lh_code complete(struct upload *upload, const char *nonce, struct lh_object_info *ret_info,
                        struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(COMPLETE_BYTES_MAX);
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(ANSWER_BYTES_MAX);
    struct lh_error failure = LH_ERROR_INIT;
    struct lh_object_info info;
    write_complete(upload, &body);
    lh_code code = complete_call(upload, &body, &answer, &failure);
    if (code == LH_OK)
        code = read_completed(&answer, &info, &failure);
    else
        code = lh_s3_settle(upload->client, upload->put, nonce, &answer, &info, &failure);
    if (code != LH_OK) {
        *err = failure;
        return code;
    }
    info.size = upload->bytes;
    *ret_info = info;
    return LH_OK;
}

/* ---- the whole ---- */

static void upload_deinit(struct upload *upload, struct lh_s3_window *first)
{
    /* The first window is the caller's. */
    *first = upload->workers[0].window;
    for (unsigned i = 1; i < upload->worker_count; i++)
        lh_s3_window_free(upload->client, &upload->workers[i].window);
    free(upload->etags);
    free(upload->id);
    free(upload);
}

lh_code lh_s3_put_parts(struct lh_s3_client *client, const struct lh_s3_put *put,
                        struct lh_s3_window *first, const struct lh_s3_put_head *head,
                        struct lh_object_info *ret_info, struct lh_error *err)
{
    struct upload *upload = lh_calloc(1, sizeof(*upload));
    upload->client = client;
    upload->put = put;
    upload->workers[0].window = *first;
    upload->worker_count = 1;
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        upload->workers[i].upload = upload;
    lh_code code = create(upload, head, err);
    if (code == LH_OK)
        code = join_all(upload, send_parts(upload, err), err);
    if (code == LH_OK && put->before_commit != NULL)
        code = put->before_commit(put->ctx, err);
    if (code == LH_OK)
        code = complete(upload, head->nonce, ret_info, err);
    if (code != LH_OK && upload->id != NULL)
        abort_upload(upload);
    upload_deinit(upload, first);
    return code;
}
