/*
 * Worker processes. All of them are forked by one thread that lives as long as the process, since a
 * child with PR_SET_PDEATHSIG dies with the thread that forked it, and those of the HTTP pool come
 * and go.
 *
 * Locks: `starting` (one start at a time) before `lock` (the mailbox of the forking thread).
 */
#include "service/worker.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "service/spawn.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the thread that forks ---- */

static struct {
    pthread_once_t once;
    pthread_mutex_t starting;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct lh_spawn *wanted; /* NULL = nothing to do */
    bool done;
    lh_code code; /* of what was wanted, with pid and err */
    pid_t pid;
    struct lh_error err;

    bool started;
    struct lh_error start_err;
} forker = {.once = PTHREAD_ONCE_INIT};

static void *run_forker(void *arg)
{
    (void)arg;
    lh_mutex_lock(&forker.lock);
    for (;;) {
        while (forker.wanted == NULL)
            lh_cond_wait_until(&forker.changed, &forker.lock, LH_NO_DEADLINE);
        forker.code = lh_spawn(forker.wanted, &forker.pid, &forker.err);
        forker.wanted = NULL;
        forker.done = true;
        pthread_cond_broadcast(&forker.changed);
    }
    return NULL;
}

static void start_forker(void)
{
    lh_mutex_init(&forker.starting);
    lh_mutex_init(&forker.lock);
    lh_cond_init(&forker.changed);
    pthread_t thread;
    forker.started =
        lh_thread_start(&thread, "forker", run_forker, NULL, &forker.start_err) == LH_OK;
    if (forker.started)
        pthread_detach(thread);
}

static lh_code spawn_by_forker(const struct lh_spawn *spawn, pid_t *ret_pid, struct lh_error *err)
{
    LH_CHECK(pthread_once(&forker.once, start_forker) == 0);
    if (!forker.started) {
        *err = forker.start_err;
        return err->code;
    }
    lh_mutex_lock(&forker.starting);
    lh_mutex_lock(&forker.lock);
    forker.wanted = spawn;
    forker.done = false;
    pthread_cond_broadcast(&forker.changed);
    while (!forker.done)
        lh_cond_wait_until(&forker.changed, &forker.lock, LH_NO_DEADLINE);
    lh_code code = forker.code;
    if (code == LH_OK)
        *ret_pid = forker.pid;
    else
        *err = forker.err;
    lh_mutex_unlock(&forker.lock);
    lh_mutex_unlock(&forker.starting);
    return code;
}

/* ---- workers ---- */

lh_code lh_worker_start(const struct lh_worker_options *options, struct lh_worker *ret_worker,
                        struct lh_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return lh_fail_errno(err, "cannot make a socket pair for %s", options->program);
    const struct lh_spawn spawn = {
        .program = options->program,
        .args = options->args,
        .fd = pair[1],
        .address_space_bytes = options->address_space_bytes,
        .file_bytes_max = options->file_bytes_max,
    };
    pid_t pid = 0;
    lh_code code = spawn_by_forker(&spawn, &pid, err);
    close(pair[1]);
    if (code != LH_OK) {
        close(pair[0]);
        return code;
    }
    *ret_worker = (struct lh_worker){.pid = pid, .fd = pair[0]};
    return LH_OK;
}

static void forget(struct lh_worker *worker)
{
    if (worker->fd >= 0)
        close(worker->fd);
    *worker = (struct lh_worker){.pid = 0, .fd = -1};
}

bool lh_worker_exited(struct lh_worker *worker, int *ret_status)
{
    if (worker->pid <= 0)
        return true;
    int status = 0;
    pid_t pid;
    do {
        pid = waitpid(worker->pid, &status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return false;
    *ret_status = status;
    forget(worker);
    return true;
}

void lh_worker_kill(struct lh_worker *worker)
{
    if (worker->pid <= 0)
        return;
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    forget(worker);
}

void lh_worker_stop(struct lh_worker *worker, int64_t grace_ms)
{
    if (worker->pid <= 0)
        return;
    close(worker->fd);
    worker->fd = -1;
    lh_deadline deadline = lh_deadline_in_ms(grace_ms);
    int status = 0;
    for (int64_t pause_ms = 1; !lh_worker_exited(worker, &status); pause_ms *= 2) {
        if (lh_deadline_passed(deadline)) {
            lh_worker_kill(worker);
            return;
        }
        lh_sleep_ms(pause_ms < 20 ? pause_ms : 20);
    }
}
