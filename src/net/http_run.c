/*
 * Running handlers: on a worker; tried on the event thread first (LH_ROUTE_TRY); in two halves
 * (lh_http_defer).
 *
 * A tried handler that would have to wait leaves nothing behind and is run anew by a worker. One
 * that defers has its second half run where the least has to be woken: by the first half's own
 * thread when that is still at it, by the event thread when the connection sleeps with its request
 * whole (it must wake for the answer anyway), by a worker otherwise: when the client is gone, or
 * its body is still on the way.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

/* ---- two halves ---- */

void lh_http_defer(struct lh_http_exchange *x, lh_http_handler then, void *state)
{
    atomic_fetch_add(&x->refs, 1); /* until the second half has run */
    atomic_fetch_add(&x->server->deferred, 1);
    lh_mutex_lock(&x->mutex);
    LH_CHECK(x->deferral == LH_DEFERRAL_NONE && !lh_http_started(x));
    x->deferral = LH_DEFERRAL_FIRST;
    x->then = then;
    x->then_state = state;
    lh_mutex_unlock(&x->mutex);
}

static void give_to_worker(struct lh_http_exchange *x)
{
    atomic_fetch_add(&x->refs, 1);
    if (lh_http_workers_push(&x->server->workers, x, true))
        return;
    lh_http_run(x);
    lh_http_exchange_unref(x);
}

void lh_http_resume(struct lh_http_exchange *x)
{
    bool to_worker = false;
    lh_mutex_lock(&x->mutex);
    if (x->deferral == LH_DEFERRAL_FIRST) {
        x->deferral = LH_DEFERRAL_RESUMED;
    } else {
        LH_CHECK(x->deferral == LH_DEFERRAL_WAITING);
        to_worker = !x->suspended || x->phase != LH_PHASE_WHOLE;
        x->deferral = to_worker ? LH_DEFERRAL_WORKER : LH_DEFERRAL_DUE;
        if (!to_worker)
            lh_http_mhd_resume(x);
    }
    lh_mutex_unlock(&x->mutex);
    if (to_worker)
        give_to_worker(x);
}

void lh_http_leave(struct lh_http_exchange *x)
{
    bool to_worker = false;
    lh_mutex_lock(&x->mutex);
    if (x->tried && x->deferral == LH_DEFERRAL_FIRST)
        x->deferral = LH_DEFERRAL_WAITING;
    else
        to_worker =
            x->deferral == LH_DEFERRAL_DUE || (x->tried && x->deferral == LH_DEFERRAL_RESUMED);
    if (to_worker)
        x->deferral = LH_DEFERRAL_WORKER;
    lh_mutex_unlock(&x->mutex);
    if (to_worker)
        give_to_worker(x);
}

/* ---- one half ---- */

static lh_code run_handler(struct lh_http_exchange *x, lh_http_handler handler, void *state,
                           struct lh_error *err)
{
    lh_log_set_request_id(x->request_id);
    lh_code code = handler(state, x, err);
    lh_log_set_request_id(LH_STR_NONE);
    return code;
}

static lh_code run_first(struct lh_http_exchange *x, struct lh_error *err)
{
    return run_handler(x, x->match.route->handler, x->server->options.service, err);
}

/* The handler has said all that it has to say. */
static void settle(struct lh_http_exchange *x, lh_code code, const struct lh_error *err)
{
    lh_http_on_cancel(x, NULL, NULL);
    lh_log_set_request_id(x->request_id);
    lh_http_settle(x, code, err);
    lh_log_set_request_id(LH_STR_NONE);
    if (lh_http_has_body(x)) {
        lh_mutex_lock(&x->mutex);
        lh_http_drop_body(x);
        lh_mutex_unlock(&x->mutex);
    }
    atomic_store(&x->handling, false);
}

static void run_second(struct lh_http_exchange *x)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_http_server *server = x->server;
    settle(x, run_handler(x, x->then, x->then_state, &err), &err);
    lh_http_exchange_unref(x); /* the caller has another reference */
    atomic_fetch_sub(&server->deferred, 1);
}

/* ---- on a worker ---- */

/* What is due after the first half has returned, or before anything has run. */
static enum lh_http_deferral take_deferral(struct lh_http_exchange *x)
{
    lh_mutex_lock(&x->mutex);
    enum lh_http_deferral deferral = x->deferral;
    if (deferral == LH_DEFERRAL_FIRST)
        x->deferral = LH_DEFERRAL_WAITING;
    else if (deferral == LH_DEFERRAL_RESUMED || deferral == LH_DEFERRAL_WORKER)
        x->deferral = LH_DEFERRAL_NONE;
    lh_mutex_unlock(&x->mutex);
    return deferral;
}

void lh_http_run(struct lh_http_exchange *x)
{
    if (take_deferral(x) == LH_DEFERRAL_WORKER) {
        run_second(x);
        return;
    }
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = run_first(x, &err);
    switch (take_deferral(x)) {
    case LH_DEFERRAL_NONE:
        settle(x, code, &err);
        break;
    case LH_DEFERRAL_RESUMED:
        LH_CHECK(code == LH_OK);
        run_second(x);
        break;
    case LH_DEFERRAL_FIRST: /* from here on it is another thread's */
    case LH_DEFERRAL_WAITING:
    case LH_DEFERRAL_DUE:
    case LH_DEFERRAL_WORKER:
        LH_CHECK(code == LH_OK);
        break;
    }
}

/* ---- on the event thread ---- */

void lh_http_try(struct lh_http_exchange *x)
{
    struct lh_error err = LH_ERROR_INIT;
    x->tried = true;
    x->handling = true;
    x->on_event_thread = true;
    lh_set_may_wait(false);
    lh_code code = run_first(x, &err);
    lh_set_may_wait(true);
    x->on_event_thread = false;
    lh_mutex_lock(&x->mutex);
    bool deferred = x->deferral != LH_DEFERRAL_NONE;
    lh_mutex_unlock(&x->mutex);
    LH_CHECK(!deferred || code == LH_OK);
    if (deferred)
        return;
    if (code != LH_WOULD_WAIT) {
        settle(x, code, &err);
        return;
    }
    lh_http_on_cancel(x, NULL, NULL);
    lh_http_forget_answer(x);
    x->body_read = 0;
    x->tried = false;
    x->handling = false;
}

void lh_http_run_second(struct lh_http_exchange *x)
{
    x->on_event_thread = true;
    lh_set_may_wait(false);
    run_second(x);
    lh_set_may_wait(true);
    x->on_event_thread = false;
}
