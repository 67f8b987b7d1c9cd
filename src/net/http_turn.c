/*
 * An exchange as the event thread sees it: what happens at each call of libmicrohttpd. The states
 * are those of enum lh_http_phase; all moves between them are in this file and in http_early.c.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

#include <string.h>

/* ---- moving on ---- */

/* What is done next, without the mutex: libmicrohttpd holds its own lock of a response while it
 * asks for the response's bytes, and a worker that is woken should not find its exchange locked. */
enum step { CLOSE, GO_ON, QUEUE, DISPATCH, SECOND };

static bool sendable(const struct lh_http_exchange *x)
{
    enum lh_http_answer_state state = x->answer.state;
    return state == LH_ANSWER_WHOLE || state == LH_ANSWER_SENDING || state == LH_ANSWER_DONE ||
           state == LH_ANSWER_CUT;
}

static enum step queue(struct lh_http_exchange *x)
{
    x->phase = LH_PHASE_QUEUED;
    return QUEUE;
}

static enum step dispatch(struct lh_http_exchange *x)
{
    x->handling = true;
    return DISPATCH;
}

/* A small body is gathered first: a slow client then holds no worker. */
static bool is_gathered_first(const struct lh_http_exchange *x)
{
    return !x->expects_continue && x->body_length > 0 && x->body_length <= LH_HTTP_SMALL_BYTES &&
           x->body_length <= x->body_limit;
}

/* An answer that is queued now, before libmicrohttpd has seen the whole request, makes it close the
 * connection: that is for refusals, and for clients whose body never begins. */
static enum step advance_from_head(struct lh_http_exchange *x)
{
    if (sendable(x) && x->answer.close)
        return queue(x);
    if (!lh_http_has_body(x))
        return GO_ON; /* the next call comes at once */
    if (x->expects_continue) {
        if (sendable(x))
            return queue(x);
        if (!x->wants_body && !x->discard) {
            x->phase = LH_PHASE_HELD;
            lh_http_mhd_suspend(x);
            return x->handling ? GO_ON : dispatch(x);
        }
    }
    x->phase = LH_PHASE_BODY;
    x->rate_since = lh_mono_now().ns;
    if (x->answer.state == LH_ANSWER_WHOLE) {
        lh_http_answer_early(x);
        return GO_ON;
    }
    if (!is_gathered_first(x))
        return x->handling ? GO_ON : dispatch(x);
    x->gathered = lh_malloc((size_t)x->body_length + 1);
    return GO_ON;
}

/* Whether the second half of the handler is this thread's to run now. When it is not due yet,
 * whoever resumes it finds the connection asleep. */
static bool is_second_due(struct lh_http_exchange *x)
{
    if (x->tried && x->deferral == LH_DEFERRAL_FIRST)
        x->deferral = LH_DEFERRAL_WAITING;
    bool due = x->deferral == LH_DEFERRAL_DUE || (x->tried && x->deferral == LH_DEFERRAL_RESUMED);
    if (due)
        x->deferral = LH_DEFERRAL_NONE;
    return due;
}

static enum step advance(struct lh_http_exchange *x)
{
    bool cut = x->answer.state == LH_ANSWER_CUT;
    if (x->gone || (cut && x->phase != LH_PHASE_WHOLE && x->phase != LH_PHASE_QUEUED))
        return CLOSE;
    switch (x->phase) {
    case LH_PHASE_HEAD:
    case LH_PHASE_HELD:
        return advance_from_head(x);
    case LH_PHASE_BODY:
        if (x->answer.state == LH_ANSWER_WHOLE)
            lh_http_answer_early(x);
        return GO_ON;
    case LH_PHASE_WHOLE:
        if (sendable(x))
            return queue(x);
        if (is_second_due(x))
            return SECOND;
        lh_http_mhd_suspend(x);
        return x->handling ? GO_ON : dispatch(x);
    case LH_PHASE_QUEUED:
    case LH_PHASE_LINGER:
        return GO_ON;
    }
    return CLOSE;
}

/* Gives x to a worker, or answers that there is none. */
static void give_to_worker(struct lh_http_exchange *x)
{
    atomic_fetch_add(&x->refs, 1);
    if (lh_http_workers_push(&x->server->workers, x, false))
        return;
    atomic_fetch_sub(&x->refs, 1);
    atomic_fetch_add(&x->server->shed, 1);
    struct lh_error busy = LH_ERROR_INIT;
    LH_IGNORE(lh_fail(&busy, LH_BUSY, "all workers are taken and the queue is full"), "it is sent");
    lh_http_compose_error(x, &busy);
    lh_mutex_lock(&x->mutex);
    x->handling = false;
    lh_http_publish(x, LH_ANSWER_WHOLE);
    lh_mutex_unlock(&x->mutex);
}

/* Releases the mutex and does the step; false when the connection is to be closed. */
static bool leave(struct lh_http_exchange *x, enum step step)
{
    bool whole = x->answer.state == LH_ANSWER_WHOLE;
    lh_mutex_unlock(&x->mutex);
    switch (step) {
    case QUEUE:
        return lh_http_mhd_queue(x, whole);
    case DISPATCH:
        give_to_worker(x);
        return true;
    case SECOND:
        lh_http_run_second(x);
        lh_mutex_lock(&x->mutex);
        return leave(x, advance(x));
    case GO_ON:
        return true;
    case CLOSE:
        return false;
    }
    return false;
}

/* Whether the event thread tries the handler first: a small request that is all here. */
static bool is_tried(const struct lh_http_exchange *x)
{
    return x->match.route != NULL && (x->match.route->flags & LH_ROUTE_TRY) != 0 &&
           x->body_length >= 0 && x->body_length <= LH_HTTP_TRY_BYTES && !x->expects_continue;
}

/* ---- the header is complete ---- */

bool lh_http_turn_head(struct lh_http_exchange *x, const struct lh_error *refusal)
{
    if (refusal != NULL) {
        lh_http_compose_error(x, refusal);
        x->answer.state = LH_ANSWER_WHOLE;
    } else if ((x->match.route->flags & LH_ROUTE_INLINE) != 0) {
        LH_CHECK(!lh_http_has_body(x));
        x->on_event_thread = true;
        lh_http_run(x);
        x->on_event_thread = false;
    }
    if ((!x->answer.started && !is_tried(x)) || lh_http_has_body(x))
        lh_http_sweep_add(&x->server->sweeper, x);
    lh_mutex_lock(&x->mutex);
    return leave(x, advance(x));
}

/* ---- the body ---- */

static void take_gathered(struct lh_http_exchange *x, const char *bytes, size_t *len)
{
    LH_CHECK(*len <= (uint64_t)x->body_length - x->body_received);
    memcpy(x->gathered + x->body_received, bytes, *len);
    x->body_received += *len;
    *len = 0;
}

/* Into the ring; what does not fit stays with libmicrohttpd, which sleeps until there is room. */
static void take_streamed(struct lh_http_exchange *x, const char *bytes, size_t *len)
{
    while (*len > 0 && !x->discard) {
        char *at = NULL;
        size_t space = lh_http_stream_space(&x->in, &at);
        if (space == 0) {
            x->rate_paused = true;
            lh_http_mhd_suspend(x);
            return;
        }
        size_t part = *len < space ? *len : space;
        lh_mutex_unlock(&x->mutex);
        memcpy(at, bytes, part); /* the region is ours until it is committed */
        lh_mutex_lock(&x->mutex);
        lh_http_stream_commit(&x->in, part);
        x->body_received += part;
        bytes += part;
        *len -= part;
        pthread_cond_signal(&x->changed);
    }
}

bool lh_http_turn_body(struct lh_http_exchange *x, const char *bytes, size_t *len)
{
    lh_mutex_lock(&x->mutex);
    x->body_begun = true;
    enum step step = advance(x);
    if (step != CLOSE && !x->discard) {
        if (x->gathered != NULL)
            take_gathered(x, bytes, len);
        else if (lh_http_stream_open(&x->in))
            take_streamed(x, bytes, len);
        else
            step = CLOSE;
    }
    if (x->discard && *len > 0) {
        x->body_received += *len;
        *len = 0;
    }
    return leave(x, step);
}

/* The request is all here, and nobody has begun to answer it. Called and left with the mutex. */
static void try_handler(struct lh_http_exchange *x)
{
    lh_mutex_unlock(&x->mutex);
    lh_http_try(x);
    if (!x->answer.started && !x->swept)
        lh_http_sweep_add(&x->server->sweeper, x);
    lh_mutex_lock(&x->mutex);
}

bool lh_http_turn(struct lh_http_exchange *x)
{
    lh_mutex_lock(&x->mutex);
    if (x->phase == LH_PHASE_LINGER) /* answered, and now the body has ended, too */
        return leave(x, CLOSE);
    if (x->phase == LH_PHASE_BODY || (x->phase == LH_PHASE_HEAD && !lh_http_has_body(x))) {
        x->phase = LH_PHASE_WHOLE;
        x->body_ended = true;
        x->rate_since = 0;
        pthread_cond_signal(&x->changed);
        if (is_tried(x) && !x->handling && !x->answer.started && !x->discard && !x->gone)
            try_handler(x);
    }
    return leave(x, advance(x));
}

/* ---- the answer, as libmicrohttpd asks for it ---- */

ssize_t lh_http_turn_read(struct lh_http_exchange *x, char *out, size_t max)
{
    ssize_t result = LH_HTTP_READ_WAIT;
    lh_mutex_lock(&x->mutex);
    const char *at = NULL;
    size_t len = lh_http_stream_bytes(&x->out, &at);
    if (x->gone) {
        result = LH_HTTP_READ_CUT;
    } else if (len > 0) { /* also of a stream that is cut: its last bytes may say why */
        if (len > max)
            len = max;
        lh_mutex_unlock(&x->mutex);
        memcpy(out, at, len); /* the region is ours until it is consumed */
        lh_mutex_lock(&x->mutex);
        lh_http_stream_consume(&x->out, len);
        if (lh_http_stream_roomy(&x->out))
            pthread_cond_signal(&x->changed);
        result = (ssize_t)len;
    } else if (x->answer.state == LH_ANSWER_DONE) {
        result = LH_HTTP_READ_END;
    } else if (x->answer.state == LH_ANSWER_CUT) {
        result = LH_HTTP_READ_CUT;
    } else {
        lh_http_mhd_suspend(x);
    }
    lh_mutex_unlock(&x->mutex);
    return result;
}

/* ---- the end ---- */

static void count_and_log(struct lh_http_exchange *x, int status)
{
    struct lh_http_server *server = x->server;
    int64_t ns = lh_mono_since_ns(x->begun);
    atomic_fetch_add(&server->status_count[status / 100 % 6], 1);
    atomic_fetch_add(&server->busy_ns, (uint64_t)ns);
    LH_LOG(DEBUG, "request", LH_LOG_TEXT("request_id", x->request_id),
           LH_LOG_STR("method", lh_http_method_name(x->method)), LH_LOG_TEXT("path", x->path),
           LH_LOG_INT("status", status), LH_LOG_INT("bytes_in", x->body_received),
           LH_LOG_INT("us", ns / 1000), LH_LOG_STR("client", x->address));
}

void lh_http_turn_end(struct lh_http_exchange *x, bool complete)
{
    struct lh_http_server *server = x->server;
    struct lh_http_connection *home = x->home;
    bool counts = x->head_seen;
    lh_http_leave(x);
    lh_http_sweep_remove(&server->sweeper, x);
    lh_mutex_lock(&x->mutex);
    enum lh_http_answer_state state = x->answer.state;
    bool whole = state == LH_ANSWER_WHOLE || state == LH_ANSWER_DONE || state == LH_ANSWER_CUT;
    int status = state == LH_ANSWER_NONE ? lh_code_status(LH_CANCELLED) : x->answer.status;
    x->connection = NULL;
    x->suspended = false;
    lh_mutex_unlock(&x->mutex);

    if (counts && !complete && !whole)
        lh_http_cancel(x, true);
    if (counts)
        count_and_log(x, status);
    else /* libmicrohttpd has answered the header itself, or it broke off */
        atomic_fetch_add(&server->refused, 1);
    atomic_store(&home->served, true);
    atomic_store(&home->waiting_since, lh_mono_now().ns);
    lh_http_exchange_unref(x);
    if (counts)
        atomic_fetch_sub(&server->in_flight, 1);
}
