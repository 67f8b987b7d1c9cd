/*
 * The worker processes. One is kept warm; more start when more queries come, up to a bound; beyond
 * it queries wait in a bounded queue. What idles goes, what died is replaced. thread-safe.
 */
#ifndef LH_QUERYD_POOL_H
#define LH_QUERYD_POOL_H

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lh_pool;
struct lh_pool_worker;

enum { LH_POOL_READ_DIRS_MAX = 4 };

struct lh_pool_options {
    size_t workers_max;
    size_t queue_max;
    int64_t memory_bytes; /* of one worker */
    int64_t threads;
    int64_t spill_bytes;          /* of one worker */
    const char *spill_dir;        /* each worker gets a folder in it */
    const char *const *read_dirs; /* absolute: what workers may read; ended by NULL, borrowed */
};

/* Starts the first worker, so that a broken installation shows at once. *ret_missing is what the
 * sandbox lacks on this kernel ("" = nothing), valid as long as the pool. */
lh_code lh_pool_open(const struct lh_pool_options *options, struct lh_pool **ret_pool,
                     const char **ret_missing, struct lh_error *err);
void lh_pool_close(struct lh_pool *pool); /* all workers are released; accepts NULL */

/* A worker of one's own. Waits in the queue while all are taken; `gave_up` (thread-safe) is asked
 * again whenever lh_pool_wake is called. LH_BUSY at once when the queue is full, LH_TIMEOUT,
 * LH_CANCELLED. */
lh_code lh_pool_acquire(struct lh_pool *pool, lh_deadline deadline,
                        bool (*gave_up)(const void *ctx), const void *ctx,
                        struct lh_pool_worker **ret_worker, struct lh_error *err);
/* `reusable`: it answered with DONE or ERROR; otherwise it is killed and replaced. */
void lh_pool_release(struct lh_pool *pool, struct lh_pool_worker *worker, bool reusable);
/* Lets those in the queue ask whether they gave up. */
void lh_pool_wake(struct lh_pool *pool);

int lh_pool_worker_fd(const struct lh_pool_worker *worker);
pid_t lh_pool_worker_pid(const struct lh_pool_worker *worker);
/* Waits up to a second for a worker whose socket closed; the signal that ended it, 0 for an exit.
 */
int lh_pool_worker_signal(struct lh_pool_worker *worker);

struct lh_pool_stats {
    uint64_t live, idle, waiting, started, crashed;
};
void lh_pool_stats(struct lh_pool *pool, struct lh_pool_stats *ret_stats);

#endif
