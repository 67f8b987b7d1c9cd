/*
 * Workers are idle (in the list), taken (owned by who acquired them) or being started (counted in
 * `live` only). `live` counts all three and never exceeds workers_max.
 *
 * A thread, the keeper, wakes every second and when a worker died: it retires what idled too long,
 * finds what died while idle, and starts a worker when none is left, so that the next query meets a
 * warm one.
 *
 * One lock; never held while a process starts, stops or is waited for.
 */
#include "queryd/pool.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "queryd/protocol.h"
#include "service/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READY_MS = 10000, /* a worker needs 40 to 60 ms; under sanitizers and load more */
    STOP_GRACE_MS = 500,
    IDLE_MAX_MS = 60000,
    KEEPER_MS = 1000,
    KEEPER_RETRY_MS = 5000, /* after a start that failed */
    CRASH_WAIT_MS = 1000,
    LH_POOL_MAGIC = 0x6c6f6f70,
};

struct lh_pool_worker {
    struct lh_worker process;
    char *spill_dir;
    lh_mono idle_since;
    struct lh_pool_worker *next;
};

struct lh_pool {
    uint32_t magic;
    struct lh_pool_options options;
    char *spill_dir;
    char missing[256];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a worker came free, or the queue shall ask */
    pthread_cond_t keep;    /* the keeper has something to do */
    struct lh_pool_worker *idle;
    uint64_t live, waiting, idle_count;
    uint64_t folders; /* number of the next spill folder */
    uint64_t started, crashed;
    bool stopping;
    pthread_t keeper;
};

/* ---- one process ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LH_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LH_SHADOW_MEMORY 1
#endif
#endif

/* The shadow of a sanitizer takes terabytes of addresses. */
static int64_t address_space(const struct lh_pool *pool)
{
#ifdef LH_SHADOW_MEMORY
    (void)pool;
    return 0;
#else
    /* DuckDB's limit does not count everything that it allocates: code, stacks, strings of one
     * call. */
    return pool->options.memory_bytes + (INT64_C(2) << 30);
#endif
}

/* What the sandbox lacks goes into `missing` (may be NULL) of `size` bytes. */
static lh_code wait_ready(int fd, char *missing, size_t size, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    if (lh_frame_receive(fd, lh_deadline_in_ms(READY_MS), &type, &payload, err) != LH_OK)
        return lh_fail_context(err, "a query worker does not start");
    if (type == LH_QUERY_ERROR) {
        lh_frame_get_error(lh_buf_str(&payload), err);
        return lh_fail_context(err, "a query worker does not start");
    }
    LH_AUTO_JSON json_t *root = NULL;
    lh_str phrase;
    LH_TRY(lh_json_parse(lh_buf_str(&payload), &root, err));
    LH_TRY(lh_json_need_str(root, "sandbox", &phrase, err));
    if (missing != NULL)
        snprintf(missing, size, "%.*s", LH_FMT(phrase));
    return LH_OK;
}

static lh_code spawn(const struct lh_pool *pool, struct lh_pool_worker *worker,
                     struct lh_error *err)
{
    char memory[24], threads[24], spill[24];
    snprintf(memory, sizeof(memory), "%" PRId64, pool->options.memory_bytes);
    snprintf(threads, sizeof(threads), "%" PRId64, pool->options.threads);
    snprintf(spill, sizeof(spill), "%" PRId64, pool->options.spill_bytes);
    const char *args[5 + LH_POOL_READ_DIRS_MAX] = {memory, threads, spill, worker->spill_dir};
    for (size_t i = 0; pool->options.read_dirs[i] != NULL; i++) {
        LH_CHECK(i < LH_POOL_READ_DIRS_MAX);
        args[4 + i] = pool->options.read_dirs[i];
    }
    const struct lh_worker_options options = {
        .program = "queryd-worker",
        .args = args,
        .address_space_bytes = address_space(pool),
    };
    return lh_worker_start(&options, &worker->process, err);
}

static void remove_spill(const struct lh_pool_worker *worker)
{
    struct lh_error err = LH_ERROR_INIT;
    if (lh_clear_dir(worker->spill_dir, &err) != LH_OK)
        lh_log_error(LH_LOG_WARN, "spill folder not emptied", &err);
    (void)lh_io->unlinkat(AT_FDCWD, worker->spill_dir, AT_REMOVEDIR);
}

/* The process is gone, or goes now. */
static void worker_free(struct lh_pool_worker *worker, int64_t grace_ms)
{
    if (grace_ms > 0)
        lh_worker_stop(&worker->process, grace_ms);
    else
        lh_worker_kill(&worker->process);
    remove_spill(worker);
    free(worker->spill_dir);
    free(worker);
}

static lh_code worker_new(struct lh_pool *pool, char *missing, size_t missing_size,
                          struct lh_pool_worker **ret_worker, struct lh_error *err)
{
    struct lh_pool_worker *worker = lh_calloc(1, sizeof(*worker));
    worker->process = (struct lh_worker){0, -1};
    lh_mutex_lock(&pool->lock);
    uint64_t number = pool->folders++;
    pool->started++;
    lh_mutex_unlock(&pool->lock);
    worker->spill_dir = lh_asprintf("%s/%" PRIu64, pool->spill_dir, number);
    lh_code code = spawn(pool, worker, err);
    if (code == LH_OK)
        code = wait_ready(worker->process.fd, missing, missing_size, err);
    if (code != LH_OK) {
        worker_free(worker, 0);
        return code;
    }
    *ret_worker = worker;
    return LH_OK;
}

int lh_pool_worker_fd(const struct lh_pool_worker *worker)
{
    return worker->process.fd;
}

pid_t lh_pool_worker_pid(const struct lh_pool_worker *worker)
{
    return worker->process.pid;
}

int lh_pool_worker_signal(struct lh_pool_worker *worker)
{
    lh_deadline deadline = lh_deadline_in_ms(CRASH_WAIT_MS);
    int status = 0;
    while (!lh_worker_exited(&worker->process, &status)) {
        if (lh_deadline_passed(deadline))
            return 0;
        lh_sleep_ms(5);
    }
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- acquire and release ---- */

static struct lh_pool_worker *pop_idle(struct lh_pool *pool)
{
    struct lh_pool_worker *worker = pool->idle;
    pool->idle = worker->next;
    pool->idle_count--;
    return worker;
}

static void push_idle(struct lh_pool *pool, struct lh_pool_worker *worker)
{
    worker->idle_since = lh_mono_now();
    worker->next = pool->idle;
    pool->idle = worker;
    pool->idle_count++;
    pthread_cond_signal(&pool->changed);
}

/* With the lock held: whether there is an idle worker, or room for a new one. */
static lh_code wait_for_place(struct lh_pool *pool, lh_deadline deadline,
                              bool (*gave_up)(const void *ctx), const void *ctx,
                              struct lh_error *err)
{
    if (pool->idle != NULL || pool->live < pool->options.workers_max)
        return LH_OK;
    if (pool->waiting >= pool->options.queue_max)
        return lh_fail(err, LH_BUSY, "%" PRIu64 " queries run and %" PRIu64 " wait already",
                       pool->live, pool->waiting);
    lh_code code = LH_OK;
    pool->waiting++;
    while (code == LH_OK && pool->idle == NULL && pool->live >= pool->options.workers_max) {
        if (gave_up(ctx))
            code = lh_fail(err, LH_CANCELLED, "the query was cancelled while it waited");
        else if (!lh_cond_wait_until(&pool->changed, &pool->lock, deadline))
            code = lh_fail(err, LH_TIMEOUT, "no worker came free in time");
    }
    pool->waiting--;
    return code;
}

lh_code lh_pool_acquire(struct lh_pool *pool, lh_deadline deadline,
                        bool (*gave_up)(const void *ctx), const void *ctx,
                        struct lh_pool_worker **ret_worker, struct lh_error *err)
{
    LH_CHECK_MAGIC(pool, LH_POOL_MAGIC);
    lh_mutex_lock(&pool->lock);
    lh_code code = wait_for_place(pool, deadline, gave_up, ctx, err);
    struct lh_pool_worker *worker = NULL;
    if (code == LH_OK && pool->idle != NULL)
        worker = pop_idle(pool);
    else if (code == LH_OK)
        pool->live++;
    lh_mutex_unlock(&pool->lock);
    if (code != LH_OK)
        return code;
    if (worker == NULL && worker_new(pool, NULL, 0, &worker, err) != LH_OK) {
        lh_mutex_lock(&pool->lock);
        pool->live--;
        pthread_cond_signal(&pool->changed);
        lh_mutex_unlock(&pool->lock);
        return err->code;
    }
    *ret_worker = worker;
    return LH_OK;
}

void lh_pool_release(struct lh_pool *pool, struct lh_pool_worker *worker, bool reusable)
{
    LH_CHECK_MAGIC(pool, LH_POOL_MAGIC);
    if (!reusable)
        worker_free(worker, 0);
    lh_mutex_lock(&pool->lock);
    if (reusable) {
        push_idle(pool, worker);
    } else {
        pool->live--;
        pool->crashed++;
        pthread_cond_signal(&pool->changed);
        pthread_cond_signal(&pool->keep);
    }
    lh_mutex_unlock(&pool->lock);
}

void lh_pool_wake(struct lh_pool *pool)
{
    lh_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->changed);
    lh_mutex_unlock(&pool->lock);
}

/* ---- the keeper ---- */

/* Takes out of the idle list what died, and what idled too long while another is left. */
static struct lh_pool_worker *take_useless(struct lh_pool *pool)
{
    struct lh_pool_worker *useless = NULL;
    struct lh_pool_worker **link = &pool->idle;
    while (*link != NULL) {
        struct lh_pool_worker *worker = *link;
        int status = 0;
        bool died = lh_worker_exited(&worker->process, &status);
        bool stale = pool->live > 1 && lh_mono_since_ms(worker->idle_since) > IDLE_MAX_MS;
        if (!died && !stale) {
            link = &worker->next;
            continue;
        }
        *link = worker->next;
        worker->next = useless;
        useless = worker;
        pool->idle_count--;
        pool->live--;
        pool->crashed += died;
    }
    return useless;
}

static void free_all(struct lh_pool_worker *worker)
{
    while (worker != NULL) {
        struct lh_pool_worker *next = worker->next;
        worker_free(worker, STOP_GRACE_MS);
        worker = next;
    }
}

/* The lock is held at entry and at return. False when it could not be started. */
static bool start_warm(struct lh_pool *pool)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_pool_worker *worker = NULL;
    pool->live++;
    lh_mutex_unlock(&pool->lock);
    lh_code code = worker_new(pool, NULL, 0, &worker, &err);
    if (code != LH_OK)
        lh_log_error(LH_LOG_ERROR, "no query worker", &err);
    lh_mutex_lock(&pool->lock);
    if (code == LH_OK)
        push_idle(pool, worker);
    else
        pool->live--;
    return code == LH_OK;
}

static void *run_keeper(void *arg)
{
    struct lh_pool *pool = arg;
    int64_t wait_ms = KEEPER_MS;
    lh_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        lh_cond_wait_until(&pool->keep, &pool->lock, lh_deadline_in_ms(wait_ms));
        if (pool->stopping)
            break;
        struct lh_pool_worker *useless = take_useless(pool);
        if (useless != NULL) {
            lh_mutex_unlock(&pool->lock);
            free_all(useless);
            lh_mutex_lock(&pool->lock);
        }
        wait_ms = pool->live > 0 || start_warm(pool) ? KEEPER_MS : KEEPER_RETRY_MS;
    }
    lh_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- life ---- */

static void pool_free(struct lh_pool *pool)
{
    free_all(pool->idle);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->changed);
    pthread_cond_destroy(&pool->keep);
    free(pool->spill_dir);
    pool->magic = 0;
    free(pool);
}

static lh_code pool_start(struct lh_pool *pool, struct lh_error *err)
{
    struct lh_pool_worker *first = NULL;
    LH_TRY(lh_make_dirs(pool->spill_dir, err));
    LH_TRY(lh_clear_dir(pool->spill_dir, err));
    LH_TRY(worker_new(pool, pool->missing, sizeof(pool->missing), &first, err));
    pool->live = 1;
    push_idle(pool, first);
    return lh_thread_start(&pool->keeper, "workers", run_keeper, pool, err);
}

lh_code lh_pool_open(const struct lh_pool_options *options, struct lh_pool **ret_pool,
                     const char **ret_missing, struct lh_error *err)
{
    LH_CHECK(options->workers_max > 0);
    struct lh_pool *pool = lh_calloc(1, sizeof(*pool));
    pool->magic = LH_POOL_MAGIC;
    pool->options = *options;
    pool->spill_dir = lh_strdup(options->spill_dir);
    lh_mutex_init(&pool->lock);
    lh_cond_init(&pool->changed);
    lh_cond_init(&pool->keep);
    lh_code code = pool_start(pool, err);
    if (code != LH_OK) {
        pool_free(pool);
        return code;
    }
    *ret_missing = pool->missing;
    *ret_pool = pool;
    return LH_OK;
}

void lh_pool_close(struct lh_pool *pool)
{
    if (pool == NULL)
        return;
    LH_CHECK_MAGIC(pool, LH_POOL_MAGIC);
    lh_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->keep);
    lh_mutex_unlock(&pool->lock);
    pthread_join(pool->keeper, NULL);
    LH_CHECK(pool->live == pool->idle_count);
    pool_free(pool);
}

void lh_pool_stats(struct lh_pool *pool, struct lh_pool_stats *ret_stats)
{
    lh_mutex_lock(&pool->lock);
    *ret_stats = (struct lh_pool_stats){
        .live = pool->live,
        .idle = pool->idle_count,
        .waiting = pool->waiting,
        .started = pool->started,
        .crashed = pool->crashed,
    };
    lh_mutex_unlock(&pool->lock);
}
