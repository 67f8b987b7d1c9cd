/*
 * Many transfers: the list of what is to be done, and threads that do it while the main thread
 * draws how far they are. The list is made first, so that the whole is known; its memory grows with
 * the number of objects, not with their bytes.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/progress.h"
#include "cli/storage.h"

#include <stdlib.h>
#include <string.h>

enum { DRAW_EVERY_MS = 80, QUIET_MS = 500 };

/* ---- the plan ---- */

void lh_storage_plan_add(struct lh_storage_plan *plan, struct lh_storage_item item)
{
    plan->items = lh_grow(plan->items, &plan->capacity, plan->count + 1, sizeof(plan->items[0]));
    plan->items[plan->count++] = item;
    plan->bytes += item.bytes;
}

void lh_storage_plan_deinit(struct lh_storage_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->items[i].local);
        free(plan->items[i].key);
    }
    free(plan->items);
    *plan = (struct lh_storage_plan){0};
}

static int by_key(const void *a, const void *b)
{
    const struct lh_storage_item *left = a, *right = b;
    return strcmp(left->key, right->key);
}

void lh_storage_plan_sort(struct lh_storage_plan *plan)
{
    if (plan->count > 0)
        qsort(plan->items, plan->count, sizeof(plan->items[0]), by_key);
}

const struct lh_storage_item *lh_storage_plan_find(const struct lh_storage_plan *plan,
                                                   const char *key)
{
    const struct lh_storage_item wanted = {.key = (char *)(uintptr_t)key};
    if (plan->count == 0)
        return NULL;
    return bsearch(&wanted, plan->items, plan->count, sizeof(plan->items[0]), by_key);
}

static lh_code add_object(void *ctx, lh_str key, const struct lh_object_info *info,
                          struct lh_error *err)
{
    (void)err;
    LH_CHECK(info != NULL); /* without a delimiter there are no prefixes */
    lh_storage_plan_add(ctx, (struct lh_storage_item){.key = lh_strndup(key.ptr, key.len),
                                                      .remote = *info,
                                                      .bytes = info->size});
    return LH_OK;
}

lh_code lh_storage_plan_list(const struct lh_storage *storage, const struct lh_storage_path *path,
                             struct lh_storage_plan *plan, struct lh_error *err)
{
    return lh_storage_walk(storage, path, "", add_object, plan, err);
}

/* ---- carrying it out ---- */

/* What the threads share; `mutex` guards all of it but job and plan. */
struct run {
    struct lh_storage_job *job;
    const struct lh_storage_plan *plan;
    lh_storage_work work;
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a thread has nothing more to do */
    size_t next;
    size_t threads_left;
    lh_code code; /* the first failure, in err */
    struct lh_error err;
};

bool lh_storage_job_ends(const void *ctx)
{
    const struct lh_storage_job *job = ctx;
    return job->failed || lh_cli_interrupted(NULL);
}

/* NULL when there is nothing more to do. */
static const struct lh_storage_item *take(struct run *run)
{
    const struct lh_storage_item *item = NULL;
    lh_mutex_lock(&run->mutex);
    if (run->next < run->plan->count && !lh_storage_job_ends(run->job))
        item = &run->plan->items[run->next++];
    lh_mutex_unlock(&run->mutex);
    return item;
}

/* A thread that gave up because another one had failed has nothing to tell. */
static void note_failure(struct run *run, lh_code code, const struct lh_error *err)
{
    lh_mutex_lock(&run->mutex);
    if (run->code == LH_OK) {
        run->code = code;
        run->err = *err;
    }
    run->job->failed = true;
    lh_mutex_unlock(&run->mutex);
}

static void *run_worker(void *arg)
{
    struct run *run = arg;
    const struct lh_storage_item *item;
    while ((item = take(run)) != NULL) {
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = run->work(run->job, item, &err);
        if (code != LH_OK)
            note_failure(run, code, &err);
    }
    lh_mutex_lock(&run->mutex);
    run->threads_left--;
    pthread_cond_signal(&run->ended);
    lh_mutex_unlock(&run->mutex);
    return NULL;
}

/* Draws until all threads have ended. */
static void watch(struct run *run, const char *label)
{
    struct lh_progress progress;
    lh_progress_start(&progress, label, QUIET_MS, run->job->storage->cli->color);
    lh_mutex_lock(&run->mutex);
    while (run->threads_left > 0) {
        lh_cond_wait_until(&run->ended, &run->mutex, lh_deadline_in_ms(DRAW_EVERY_MS));
        struct lh_progress_state state = {
            .bytes = run->job->moved_bytes,
            .bytes_total = run->plan->bytes,
        };
        lh_mutex_unlock(&run->mutex);
        lh_progress_draw(&progress, &state);
        lh_mutex_lock(&run->mutex);
    }
    lh_mutex_unlock(&run->mutex);
    lh_progress_end(&progress);
}

static size_t start_threads(struct run *run, pthread_t *threads)
{
    size_t wanted = (size_t)run->job->storage->parallel;
    size_t count = 0;
    if (wanted > run->plan->count)
        wanted = run->plan->count;
    run->threads_left = wanted;
    while (count < wanted) {
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = lh_thread_start(&threads[count], "transfer", run_worker, run, &err);
        if (code != LH_OK) {
            note_failure(run, code, &err);
            break;
        }
        count++;
    }
    lh_mutex_lock(&run->mutex);
    run->threads_left -= wanted - count;
    lh_mutex_unlock(&run->mutex);
    return count;
}

lh_code lh_storage_run(struct lh_storage_job *job, const struct lh_storage_plan *plan,
                       const char *label, lh_storage_work work, struct lh_error *err)
{
    pthread_t threads[LH_STORAGE_PARALLEL_MAX];
    struct run run = {.job = job, .plan = plan, .work = work, .code = LH_OK};
    lh_mutex_init(&run.mutex);
    lh_cond_init(&run.ended);
    size_t count = start_threads(&run, threads);
    watch(&run, label);
    for (size_t i = 0; i < count; i++)
        LH_CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_cond_destroy(&run.ended);
    pthread_mutex_destroy(&run.mutex);
    if (run.code == LH_OK && lh_cli_interrupted(NULL))
        return lh_fail(err, LH_CANCELLED, "interrupted: %zu of %zu were begun", run.next,
                       plan->count);
    if (run.code != LH_OK)
        *err = run.err;
    return run.code;
}
