/*
 * A thin layer over pthreads for what is the same everywhere: conditions on the monotonic clock,
 * and threads with a name, a small stack and no signals.
 */
#ifndef LH_BASE_THREAD_H
#define LH_BASE_THREAD_H

#include "base/clock.h"
#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>

void lh_mutex_init(pthread_mutex_t *mutex);
void lh_mutex_lock(pthread_mutex_t *mutex); /* aborts on misuse */
void lh_mutex_unlock(pthread_mutex_t *mutex);

void lh_cond_init(pthread_cond_t *cond);
/* False when the deadline passed. */
bool lh_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, lh_deadline deadline);

/* A joinable thread with all signals blocked and a 256 KiB stack (1 MiB under sanitizers).
 * `name` is cut to 15 bytes. LH_BUSY when the system gives no more threads. */
lh_code lh_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg,
                        struct lh_error *err);

/* Whether this thread may wait: for a disk, for another thread, for a lock that is held for long.
 * True unless it has said otherwise; an event loop does so around what it calls. Who would have to
 * wait and may not fails with LH_WOULD_WAIT, before anything was changed. */
bool lh_may_wait(void);
void lh_set_may_wait(bool may_wait);
lh_code lh_check_may_wait(const char *what, struct lh_error *err);

#endif
