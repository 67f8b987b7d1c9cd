/*
 * The pool of workers: threads that run handlers. It grows by one when an exchange finds nobody
 * idle, up to workers_max; then exchanges queue, up to queue_max; then they are refused. A worker
 * that has been idle for WORKER_IDLE_MS leaves.
 *
 * Threads that leave are joined by the next one that leaves, and the last by deinit, so that none
 * is ever detached: when deinit returns, no thread of the pool runs any code.
 */
#include "base/check.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

enum { WORKER_IDLE_MS = 10 * 1000 };

void lh_http_workers_init(struct lh_http_workers *workers, size_t workers_max, size_t queue_max)
{
    LH_CHECK(workers_max > 0);
    *workers = (struct lh_http_workers){.workers_max = workers_max, .queue_max = queue_max};
    lh_mutex_init(&workers->mutex);
    lh_cond_init(&workers->work);
    lh_cond_init(&workers->ended);
}

/* Whether to wake a worker: not while one that was woken is still on its way; that one wakes the
 * next when it finds more than it takes. So a burst of short requests is worked off by few threads,
 * and a crowd of long ones has a thread each soon after. mutex held. */
static bool is_wake_due(struct lh_http_workers *workers)
{
    if (workers->first == NULL || workers->waking || workers->idle == 0)
        return false;
    workers->waking = true;
    return true;
}

/* The next exchange, or NULL when it is time to leave. `fresh`: the thread has just begun. mutex
 * held. */
static struct lh_http_exchange *take(struct lh_http_workers *workers, bool fresh)
{
    lh_deadline until = lh_deadline_in_ms(WORKER_IDLE_MS);
    if (fresh)
        workers->waking = false;
    while (workers->first == NULL) {
        if (workers->stopping)
            break;
        bool in_time = lh_cond_wait_until(&workers->work, &workers->mutex, until);
        workers->waking = false;
        if (!in_time)
            break;
    }
    struct lh_http_exchange *x = workers->first;
    workers->idle--;
    if (x == NULL)
        return NULL;
    workers->first = x->queue_next;
    if (workers->first == NULL)
        workers->last = NULL;
    workers->queued--;
    if (is_wake_due(workers))
        pthread_cond_signal(&workers->work);
    return x;
}

/* Leaves the pool, joining who left before. mutex held; released. */
static void leave(struct lh_http_workers *workers)
{
    bool has_left = workers->has_left;
    pthread_t left = workers->left;
    workers->left = pthread_self();
    workers->has_left = true;
    workers->count--;
    pthread_cond_signal(&workers->ended);
    lh_mutex_unlock(&workers->mutex);
    if (has_left)
        pthread_join(left, NULL);
}

static void *work(void *arg)
{
    struct lh_http_workers *workers = arg;
    bool fresh = true;
    lh_mutex_lock(&workers->mutex);
    for (;;) {
        struct lh_http_exchange *x = take(workers, fresh);
        if (x == NULL)
            break;
        fresh = false;
        lh_mutex_unlock(&workers->mutex);
        lh_http_run(x);
        lh_http_exchange_unref(x);
        lh_mutex_lock(&workers->mutex);
        workers->idle++;
    }
    leave(workers);
    return NULL;
}

/* One worker more, idle at first. False when the system gives none. mutex held. */
static bool grow(struct lh_http_workers *workers)
{
    struct lh_error err = LH_ERROR_INIT;
    pthread_t thread;
    if (lh_thread_start(&thread, "http-worker", work, workers, &err) != LH_OK)
        return false;
    workers->count++;
    workers->idle++;
    return true;
}

bool lh_http_workers_push(struct lh_http_workers *workers, struct lh_http_exchange *x, bool must)
{
    lh_mutex_lock(&workers->mutex);
    bool taken =
        workers->queued < workers->idle ||
        (workers->count < workers->workers_max && grow(workers)) ||
        (workers->count > 0 && (must || workers->queued - workers->idle < workers->queue_max));
    if (taken) {
        x->queue_next = NULL;
        if (workers->last != NULL)
            workers->last->queue_next = x;
        else
            workers->first = x;
        workers->last = x;
        workers->queued++;
    }
    bool wake = is_wake_due(workers);
    if (wake && must) /* called by any thread: when the mutex is free, the pool may be gone */
        pthread_cond_signal(&workers->work);
    lh_mutex_unlock(&workers->mutex);
    if (wake && !must)
        pthread_cond_signal(&workers->work); /* who is woken finds the mutex free */
    return taken;
}

size_t lh_http_workers_count(struct lh_http_workers *workers)
{
    lh_mutex_lock(&workers->mutex);
    size_t count = workers->count;
    lh_mutex_unlock(&workers->mutex);
    return count;
}

void lh_http_workers_deinit(struct lh_http_workers *workers)
{
    lh_mutex_lock(&workers->mutex);
    LH_CHECK(workers->first == NULL || workers->count > 0);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->work);
    while (workers->count > 0)
        pthread_cond_wait(&workers->ended, &workers->mutex);
    bool has_left = workers->has_left;
    lh_mutex_unlock(&workers->mutex);
    if (has_left)
        pthread_join(workers->left, NULL);
    pthread_cond_destroy(&workers->ended);
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->mutex);
}
