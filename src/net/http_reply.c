/*
 * Answers as a handler gives them.
 *
 * An answer is composed by its owner (the handler's thread) and made visible by lh_http_publish.
 * Whole answers go to the connection as one buffer with one wake-up. A stream is held back until
 * LH_HTTP_HOLD_BYTES have gathered, it is finished, or the sweeper passes: so a small one leaves as
 * a whole, with its length, and a failure in the beginning can still be told by its status.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- headers ---- */

static void add_field(struct lh_http_exchange *x, const char *name, lh_str value)
{
    struct lh_http_field *field = lh_http_alloc(x, sizeof(*field));
    *field =
        (struct lh_http_field){lh_http_copy(x, lh_str_from(name)), lh_http_copy(x, value), NULL};
    if (x->answer.last_field != NULL)
        x->answer.last_field->next = field;
    else
        x->answer.fields = field;
    x->answer.last_field = field;
}

/* The server's own: whatever a handler says about these is dropped. */
static bool is_own_header(const char *name)
{
    static const lh_str own[] = {
        LH_STR("content-length"),    LH_STR("connection"), LH_STR("date"),
        LH_STR("transfer-encoding"), LH_STR("keep-alive"), LH_STR("x-request-id"),
    };
    for (size_t i = 0; i < LH_COUNT(own); i++)
        if (lh_str_eq_nocase(lh_str_from(name), own[i]))
            return true;
    return false;
}

void lh_http_set_header(struct lh_http_exchange *x, const char *name, lh_str value)
{
    LH_CHECK(!lh_http_started(x) && lh_http_is_token(lh_str_from(name)));
    if (is_own_header(name))
        return;
    add_field(x, name, value);
    /* Values may come from outside: none may end its line. */
    char *text = (char *)(uintptr_t)x->answer.last_field->value.ptr;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
}

static bool has_field(const struct lh_http_exchange *x, const char *name)
{
    for (const struct lh_http_field *field = x->answer.fields; field; field = field->next)
        if (lh_str_eq_nocase(field->name, lh_str_from(name)))
            return true;
    return false;
}

/* What every answer begins with. */
static void begin(struct lh_http_exchange *x, int status, const char *content_type)
{
    LH_CHECK(status >= 200 && status <= 599);
    x->answer.started = true;
    x->answer.status = status;
    if (content_type != NULL)
        add_field(x, "Content-Type", lh_str_from(content_type));
    add_field(x, "X-Request-Id", x->request_id);
}

/* ---- sending it on its way ---- */

void lh_http_publish(struct lh_http_exchange *x, enum lh_http_answer_state state)
{
    x->answer.state = state;
    if (x->suspended) {
        lh_http_mhd_resume(x);
        return;
    }
    /* The event thread waits for body bytes that a client may send late or never. When the request
     * is over already, its socket may be another's. */
    bool told = x->body_begun || !x->expects_continue;
    if (x->connection != NULL && x->phase == LH_PHASE_BODY && told && state == LH_ANSWER_WHOLE)
        lh_http_answer_early(x);
}

void lh_http_flush(struct lh_http_exchange *x)
{
    if (x->answer.state == LH_ANSWER_OPEN && x->out.len > 0)
        lh_http_publish(x, LH_ANSWER_SENDING);
}

static void publish_whole(struct lh_http_exchange *x)
{
    lh_mutex_lock(&x->mutex);
    lh_http_publish(x, LH_ANSWER_WHOLE);
    lh_mutex_unlock(&x->mutex);
}

/* ---- whole answers ---- */

static lh_code fail_if_started(const struct lh_http_exchange *x, struct lh_error *err)
{
    if (lh_http_started(x))
        return lh_fail(err, LH_INTERNAL, "a second answer to one request");
    return LH_OK;
}

lh_code lh_http_reply_empty(struct lh_http_exchange *x, int status, struct lh_error *err)
{
    LH_TRY(fail_if_started(x, err));
    begin(x, status, NULL);
    publish_whole(x);
    return LH_OK;
}

lh_code lh_http_reply_bytes(struct lh_http_exchange *x, int status, const char *content_type,
                            const void *bytes, size_t len, struct lh_error *err)
{
    LH_TRY(fail_if_started(x, err));
    if (len <= LH_HTTP_SCRATCH_BYTES) {
        x->answer.body = lh_http_alloc(x, len);
    } else {
        x->answer.body = lh_try_malloc(1, len);
        if (x->answer.body == NULL)
            return lh_fail(err, LH_NO_MEMORY, "no memory for an answer of %zu bytes", len);
        x->answer.body_on_heap = true;
    }
    if (len > 0)
        memcpy(x->answer.body, bytes, len);
    x->answer.body_len = len;
    begin(x, status, content_type);
    publish_whole(x);
    return LH_OK;
}

lh_code lh_http_reply_buf(struct lh_http_exchange *x, int status, const char *content_type,
                          struct lh_buf *body, struct lh_error *err)
{
    LH_TRY(fail_if_started(x, err));
    if (lh_buf_overflowed(body))
        return lh_fail(err, LH_RESULT_TOO_LARGE, "the answer has more than the %zu bytes allowed",
                       body->max);
    x->answer.body_len = body->len;
    x->answer.body = lh_buf_take(body);
    x->answer.body_on_heap = true;
    begin(x, status, content_type);
    publish_whole(x);
    return LH_OK;
}

lh_code lh_http_reply_json(struct lh_http_exchange *x, int status, struct lh_buf *body,
                           struct lh_error *err)
{
    return lh_http_reply_buf(x, status, "application/json", body, err);
}

/* ---- failures ---- */

/* 5xx are our fault, but for these: they are the normal answers of overload and start, which
 * counters tell, and of requests that no service could answer. A flood of them must not flood the
 * log. */
static bool is_fault(lh_code code)
{
    return lh_code_status(code) >= 500 && code != LH_BUSY && code != LH_NOT_READY &&
           code != LH_UNSUPPORTED && code != LH_HTTP_VERSION;
}

void lh_http_log_failure(struct lh_http_exchange *x, const struct lh_error *failure)
{
    enum lh_log_level level = lh_code_status(failure->code) == 500 ? LH_LOG_ERROR : LH_LOG_WARN;
    if (!is_fault(failure->code) || !lh_log_enabled(level))
        return;
    const struct lh_log_field fields[] = {
        LH_LOG_TEXT("request_id", x->request_id),
        LH_LOG_STR("method", lh_http_method_name(x->method)),
        LH_LOG_TEXT("path", x->path),
        LH_LOG_STR("code", lh_code_word(failure->code)),
        LH_LOG_STR("detail", failure->message),
    };
    /* The thread's id would be written a second time beside ours. */
    bool named = lh_log_request_id().len > 0;
    lh_log_write(level, "request failed", fields + named, LH_COUNT(fields) - named);
}

/* RFC 9457. */
static void write_problem(const struct lh_http_exchange *x, const struct lh_error *failure,
                          struct lh_buf *out)
{
    struct lh_json json = LH_JSON_TO(out);
    char type[96];
    snprintf(type, sizeof(type), "urn:lakehouse:error:%s", lh_code_word(failure->code));
    lh_json_object(&json);
    lh_json_kcstr(&json, "type", type);
    lh_json_kcstr(&json, "title", lh_code_title(failure->code));
    lh_json_ki64(&json, "status", lh_code_status(failure->code));
    lh_json_kcstr(&json, "code", lh_code_word(failure->code));
    if (lh_code_is_public(failure->code)) {
        if (failure->message[0] != '\0')
            lh_json_kcstr(&json, "detail", failure->message);
        if (failure->hint[0] != '\0')
            lh_json_kcstr(&json, "hint", failure->hint);
        if (failure->line != 0)
            lh_json_ku64(&json, "line", failure->line);
        if (failure->column != 0)
            lh_json_ku64(&json, "column", failure->column);
        if (failure->excerpt[0] != '\0')
            lh_json_kcstr(&json, "excerpt", failure->excerpt);
    }
    lh_json_kstr(&json, "request_id", x->request_id);
    lh_json_object_end(&json);
}

void lh_http_compose_error(struct lh_http_exchange *x, const struct lh_error *failure)
{
    enum { PROBLEM_MAX = 16 << 10 }; /* an lh_error with every byte escaped stays below */
    struct lh_buf body = LH_BUF_INIT(PROBLEM_MAX);
    write_problem(x, failure, &body);
    x->answer.body_len = body.len;
    x->answer.body = lh_buf_take(&body);
    x->answer.body_on_heap = true;

    int status = lh_code_status(failure->code);
    if (status == 503 && !has_field(x, "Retry-After"))
        add_field(x, "Retry-After", LH_STR("1"));
    begin(x, status, "application/problem+json");
    lh_http_log_failure(x, failure);
}

lh_code lh_http_reply_error(struct lh_http_exchange *x, const struct lh_error *failure,
                            struct lh_error *err)
{
    LH_TRY(fail_if_started(x, err));
    lh_http_compose_error(x, failure);
    publish_whole(x);
    return LH_OK;
}

/* ---- streams ---- */

/* The headers and bytes of a success that was started and has not left. */
static void drop_unsent(struct lh_http_exchange *x)
{
    if (x->answer.body_on_heap)
        free(x->answer.body);
    x->answer.body_on_heap = false;
    x->answer.body = NULL;
    x->answer.fields = x->answer.last_field = NULL;
    x->answer.started = false;
}

/* Answers that have a head alone; their bytes are counted and dropped. */
static bool is_bodyless(const struct lh_http_exchange *x)
{
    int status = x->answer.status;
    return x->method == LH_HTTP_HEAD || status == 204 || status == 304;
}

bool lh_http_started(const struct lh_http_exchange *x)
{
    return x->answer.started;
}

lh_code lh_http_start(struct lh_http_exchange *x, int status, const char *content_type,
                      int64_t length, struct lh_error *err)
{
    LH_CHECK(length >= -1);
    LH_TRY(fail_if_started(x, err));
    begin(x, status, content_type);
    x->answer.length = length;
    if (!is_bodyless(x)) {
        if (x->on_event_thread && (length < 0 || length > LH_HTTP_SMALL_BYTES)) {
            drop_unsent(x);
            return lh_fail(err, LH_WOULD_WAIT, "an answer that is sent while it is made");
        }
        if (length >= 0 && length <= LH_HTTP_SMALL_BYTES) {
            x->answer.body = lh_malloc((size_t)length + 1);
            x->answer.body_on_heap = true;
        } else if (!lh_http_stream_open(&x->out)) {
            drop_unsent(x);
            return lh_fail(err, LH_NO_MEMORY, "no memory for the window of an answer");
        }
    }
    lh_mutex_lock(&x->mutex);
    x->answer.state = LH_ANSWER_OPEN;
    lh_mutex_unlock(&x->mutex);
    return LH_OK;
}

/* Waits for free bytes in the ring. Called and left with the mutex. */
static lh_code wait_for_space(struct lh_http_exchange *x, char **ret_at, size_t *ret_space,
                              struct lh_error *err)
{
    for (;;) {
        if (x->gone || lh_http_cancelled(x))
            return lh_fail(err, LH_CANCELLED, "the client left before the answer's end");
        *ret_space = lh_http_stream_space(&x->out, ret_at);
        if (*ret_space > 0)
            return LH_OK;
        lh_http_drop_body(x); /* the answer leaves after the body's end only */
        pthread_cond_wait(&x->changed, &x->mutex);
    }
}

static lh_code write_streamed(struct lh_http_exchange *x, const char *bytes, size_t len,
                              struct lh_error *err)
{
    lh_code code = LH_OK;
    lh_mutex_lock(&x->mutex);
    while (len > 0) {
        char *at = NULL;
        size_t space = 0;
        code = wait_for_space(x, &at, &space, err);
        if (code != LH_OK)
            break;
        size_t part = len < space ? len : space;
        lh_mutex_unlock(&x->mutex);
        memcpy(at, bytes, part); /* the region is ours until it is committed */
        lh_mutex_lock(&x->mutex);
        lh_http_stream_commit(&x->out, part);
        bytes += part;
        len -= part;
        if (x->answer.state == LH_ANSWER_OPEN && x->out.len >= LH_HTTP_HOLD_BYTES)
            lh_http_flush(x);
        else if (x->answer.state == LH_ANSWER_SENDING && x->suspended)
            lh_http_mhd_resume(x);
    }
    lh_mutex_unlock(&x->mutex);
    return code;
}

lh_code lh_http_write(struct lh_http_exchange *x, const void *bytes, size_t len,
                      struct lh_error *err)
{
    struct lh_http_answer *answer = &x->answer;
    LH_CHECK(lh_http_started(x));
    if (answer->length >= 0 && len > (uint64_t)answer->length - answer->written)
        return lh_fail(err, LH_INTERNAL, "an answer longer than the %lld bytes announced",
                       (long long)answer->length);
    if (!is_bodyless(x)) {
        if (answer->body != NULL)
            memcpy(answer->body + answer->written, bytes, len);
        else
            LH_TRY(write_streamed(x, bytes, len, err));
    }
    answer->written += len;
    return LH_OK;
}

/* A stream of unknown length that is still held back leaves as a whole. */
static void take_ring_as_body(struct lh_http_exchange *x)
{
    const char *at = NULL;
    x->answer.body_len = lh_http_stream_bytes(&x->out, &at);
    LH_CHECK(x->answer.body_len == x->out.len);
    x->answer.body = x->out.data + x->out.start;
}

lh_code lh_http_finish(struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_http_answer *answer = &x->answer;
    LH_CHECK(lh_http_started(x));
    bool bodyless = is_bodyless(x);
    if (!bodyless && answer->length >= 0 && answer->written != (uint64_t)answer->length)
        return lh_fail(err, LH_INTERNAL, "an answer of %llu bytes, and %lld were announced",
                       (unsigned long long)answer->written, (long long)answer->length);
    lh_mutex_lock(&x->mutex);
    if (bodyless) {
        answer->body_len =
            (size_t)(answer->length >= 0 ? answer->length : (int64_t)answer->written);
        lh_http_publish(x, LH_ANSWER_WHOLE);
    } else if (answer->body != NULL) {
        answer->body_len = (size_t)answer->written;
        lh_http_publish(x, LH_ANSWER_WHOLE);
    } else if (answer->state == LH_ANSWER_OPEN) {
        take_ring_as_body(x);
        lh_http_publish(x, LH_ANSWER_WHOLE);
    } else {
        lh_http_publish(x, LH_ANSWER_DONE);
    }
    lh_mutex_unlock(&x->mutex);
    return LH_OK;
}

void lh_http_forget_answer(struct lh_http_exchange *x)
{
    lh_mutex_lock(&x->mutex);
    LH_CHECK(x->answer.state == LH_ANSWER_NONE || x->answer.state == LH_ANSWER_OPEN);
    x->answer.state = LH_ANSWER_NONE;
    lh_mutex_unlock(&x->mutex);
    drop_unsent(x);
    x->answer.length = -1;
    x->answer.written = 0;
}

/* ---- the end of a handler ---- */

/* What a handler that returned `code` has to say when its answer is not complete. */
static struct lh_error failure_of(const struct lh_http_exchange *x, lh_code code,
                                  const struct lh_error *err)
{
    struct lh_error failure = LH_ERROR_INIT;
    if (code == LH_OK)
        LH_IGNORE(lh_fail(&failure, LH_INTERNAL, "the handler gave no whole answer"), "it is sent");
    else if (code == LH_CANCELLED && atomic_load(&x->server->draining))
        LH_IGNORE(lh_fail(&failure, LH_UNAVAILABLE, "the service stops"), "it is sent");
    else
        failure = *err;
    return failure;
}

void lh_http_settle(struct lh_http_exchange *x, lh_code code, const struct lh_error *err)
{
    lh_mutex_lock(&x->mutex);
    enum lh_http_answer_state state = x->answer.state;
    if (state == LH_ANSWER_OPEN)
        x->answer.state = LH_ANSWER_NONE; /* so that the sweeper does not flush it now */
    else if (state == LH_ANSWER_SENDING)
        lh_http_publish(x, LH_ANSWER_CUT);
    lh_mutex_unlock(&x->mutex);
    if (state == LH_ANSWER_WHOLE || state == LH_ANSWER_DONE)
        return;

    struct lh_error failure = failure_of(x, code, err);
    if (state == LH_ANSWER_SENDING) {
        lh_http_log_failure(x, &failure);
        return;
    }
    if (state == LH_ANSWER_OPEN)
        drop_unsent(x);
    lh_http_compose_error(x, &failure);
    publish_whole(x);
}
