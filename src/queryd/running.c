/*
 * One lock guards the list and what the watching thread looks at. A worker's pid is only signalled
 * while the run is attached, under the lock, so it cannot be another process's by then.
 *
 * Lock order: lock before send_lock is never taken; the watching thread only tries send_lock, so
 * that a handler that is busy sending cannot hold it up (its CANCEL is repeated anyway).
 */
#include "queryd/running.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "queryd/protocol.h"
#include "service/worker.h"

#include <signal.h>
#include <string.h>

enum {
    KILL_AFTER_MS =
        2000,        /* an interrupt takes milliseconds, but not inside one call of a function */
    REPEAT_MS = 100, /* an interrupt between two statements is lost, so it is repeated */
    SQL_SHOWN_MAX = 1000,
    LIST_MAX = 16 << 20,
    LH_RUN_MAGIC = 0x6e757220,
};

struct lh_run {
    uint32_t magic;
    struct lh_running *all;
    char id[LH_UUID_TEXT];
    char *sql;
    lh_mono started;
    lh_deadline deadline;
    int64_t timeout_ms;
    enum lh_run_end end;
    bool attached;
    int fd;
    pid_t pid;
    uint64_t number;
    lh_deadline kill_at, repeat_at; /* once the end is wanted and a worker is attached */
    bool told;
    pthread_mutex_t send_lock;
    struct lh_run *next, *previous;
};

struct lh_running {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lh_run *first, *last;
    size_t count;
    uint64_t numbers;
    bool stopping;
    void (*on_end)(void *ctx);
    void *ctx;
    pthread_t watcher;
};

/* ---- the watching thread ---- */

static void send_cancel(struct lh_run *run)
{
    struct lh_error err = LH_ERROR_INIT;
    if (pthread_mutex_trylock(&run->send_lock) != 0)
        return;
    LH_IGNORE(lh_frame_send(run->fd, LH_QUERY_CANCEL, &run->number, sizeof(run->number), &err),
              "a worker that is gone needs none");
    lh_mutex_unlock(&run->send_lock);
}

/* Does what is due for the run; returns when to look again. */
static lh_deadline watch(struct lh_run *run)
{
    if (run->end == LH_RUN_GOES_ON) {
        if (!lh_deadline_passed(run->deadline))
            return run->deadline;
        run->end = LH_RUN_TIMED_OUT;
    }
    if (!run->attached)
        return LH_NO_DEADLINE; /* in the queue: it looks at its own deadline */
    if (!run->told) {
        run->told = true;
        run->kill_at = lh_deadline_in_ms(KILL_AFTER_MS);
        run->repeat_at = (lh_deadline){0};
    }
    if (lh_deadline_passed(run->kill_at)) {
        kill(run->pid, SIGKILL);
        run->kill_at = LH_NO_DEADLINE;
        run->repeat_at = LH_NO_DEADLINE;
    } else if (lh_deadline_passed(run->repeat_at)) {
        send_cancel(run);
        run->repeat_at = lh_deadline_in_ms(REPEAT_MS);
    }
    return lh_deadline_sooner(run->kill_at, run->repeat_at);
}

static void *run_watcher(void *arg)
{
    struct lh_running *all = arg;
    lh_mutex_lock(&all->lock);
    while (!all->stopping) {
        lh_deadline next = LH_NO_DEADLINE;
        for (struct lh_run *run = all->first; run != NULL; run = run->next)
            next = lh_deadline_sooner(next, watch(run));
        lh_cond_wait_until(&all->changed, &all->lock, next);
    }
    lh_mutex_unlock(&all->lock);
    return NULL;
}

lh_code lh_running_open(void (*on_end)(void *ctx), void *ctx, struct lh_running **ret_running,
                        struct lh_error *err)
{
    struct lh_running *all = lh_calloc(1, sizeof(*all));
    all->on_end = on_end;
    all->ctx = ctx;
    lh_mutex_init(&all->lock);
    lh_cond_init(&all->changed);
    lh_code code = lh_thread_start(&all->watcher, "deadlines", run_watcher, all, err);
    if (code != LH_OK) {
        free(all);
        return code;
    }
    *ret_running = all;
    return LH_OK;
}

void lh_running_close(struct lh_running *all)
{
    if (all == NULL)
        return;
    LH_CHECK(all->first == NULL);
    lh_mutex_lock(&all->lock);
    all->stopping = true;
    pthread_cond_signal(&all->changed);
    lh_mutex_unlock(&all->lock);
    pthread_join(all->watcher, NULL);
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->changed);
    free(all);
}

/* ---- one query ---- */

struct lh_run *lh_run_start(struct lh_running *all, lh_str sql, int64_t timeout_ms)
{
    struct lh_run *run = lh_calloc(1, sizeof(*run));
    run->magic = LH_RUN_MAGIC;
    run->all = all;
    lh_uuid7(run->id);
    run->sql = lh_strndup(sql.ptr, sql.len < SQL_SHOWN_MAX ? sql.len : SQL_SHOWN_MAX);
    run->started = lh_mono_now();
    run->timeout_ms = timeout_ms;
    run->deadline = lh_deadline_in_ms(timeout_ms);
    lh_mutex_init(&run->send_lock);
    lh_mutex_lock(&all->lock);
    run->previous = all->last;
    *(all->last != NULL ? &all->last->next : &all->first) = run;
    all->last = run;
    all->count++;
    pthread_cond_signal(&all->changed);
    lh_mutex_unlock(&all->lock);
    return run;
}

void lh_run_finish(struct lh_run *run)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    LH_CHECK(!run->attached);
    struct lh_running *all = run->all;
    lh_mutex_lock(&all->lock);
    *(run->previous != NULL ? &run->previous->next : &all->first) = run->next;
    *(run->next != NULL ? &run->next->previous : &all->last) = run->previous;
    all->count--;
    lh_mutex_unlock(&all->lock);
    run->magic = 0;
    pthread_mutex_destroy(&run->send_lock);
    free(run->sql);
    free(run);
}

const char *lh_run_id(const struct lh_run *run)
{
    return run->id;
}

lh_mono lh_run_started(const struct lh_run *run)
{
    return run->started;
}

lh_deadline lh_run_deadline(const struct lh_run *run)
{
    return run->deadline;
}

int64_t lh_run_timeout_ms(const struct lh_run *run)
{
    return run->timeout_ms;
}

uint64_t lh_run_attach(struct lh_run *run, int fd, pid_t pid)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    struct lh_running *all = run->all;
    lh_mutex_lock(&all->lock);
    run->attached = true;
    run->fd = fd;
    run->pid = pid;
    run->told = false;
    run->number = ++all->numbers;
    pthread_cond_signal(&all->changed);
    lh_mutex_unlock(&all->lock);
    return run->number;
}

void lh_run_detach(struct lh_run *run)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    lh_mutex_lock(&run->all->lock);
    run->attached = false;
    lh_mutex_unlock(&run->all->lock);
}

lh_code lh_run_send(struct lh_run *run, uint32_t type, lh_str payload, struct lh_error *err)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    lh_mutex_lock(&run->send_lock);
    lh_code code = lh_frame_send(run->fd, type, payload.ptr, payload.len, err);
    lh_mutex_unlock(&run->send_lock);
    return code;
}

/* With the lock held. */
static void stop(struct lh_run *run, enum lh_run_end reason)
{
    if (run->end == LH_RUN_GOES_ON)
        run->end = reason;
    pthread_cond_signal(&run->all->changed);
}

void lh_run_stop(struct lh_run *run, enum lh_run_end reason)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    struct lh_running *all = run->all;
    lh_mutex_lock(&all->lock);
    stop(run, reason);
    lh_mutex_unlock(&all->lock);
    all->on_end(all->ctx);
}

bool lh_running_cancel(struct lh_running *all, lh_str id)
{
    lh_mutex_lock(&all->lock);
    struct lh_run *run = all->first;
    while (run != NULL && !lh_str_eq(lh_str_from(run->id), id))
        run = run->next;
    if (run != NULL)
        stop(run, LH_RUN_CANCELLED);
    lh_mutex_unlock(&all->lock);
    if (run != NULL)
        all->on_end(all->ctx);
    return run != NULL;
}

enum lh_run_end lh_run_ended(struct lh_run *run)
{
    LH_CHECK_MAGIC(run, LH_RUN_MAGIC);
    lh_mutex_lock(&run->all->lock);
    enum lh_run_end end = run->end;
    lh_mutex_unlock(&run->all->lock);
    return end;
}

/* ---- the list ---- */

void lh_running_list(struct lh_running *all, struct lh_buf *out)
{
    struct lh_json json = LH_JSON_TO(out);
    lh_json_array(&json);
    lh_mutex_lock(&all->lock);
    for (struct lh_run *run = all->first; run != NULL && out->len < LIST_MAX; run = run->next) {
        lh_json_object(&json);
        lh_json_kcstr(&json, "query_id", run->id);
        lh_json_kcstr(&json, "sql", run->sql);
        lh_json_kcstr(&json, "state",
                      run->end != LH_RUN_GOES_ON ? "ending"
                      : run->attached            ? "running"
                                                 : "waiting");
        lh_json_ki64(&json, "elapsed_ms", lh_mono_since_ms(run->started));
        lh_json_object_end(&json);
    }
    lh_mutex_unlock(&all->lock);
    lh_json_array_end(&json);
}

size_t lh_running_count(struct lh_running *all)
{
    lh_mutex_lock(&all->lock);
    size_t count = all->count;
    lh_mutex_unlock(&all->lock);
    return count;
}
