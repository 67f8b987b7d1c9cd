/*
 * Threads, mutexes and conditions. Errors of pthread calls on valid objects are programmer errors.
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
enum { STACK_BYTES = 1 << 20 }; /* sanitizers make frames several times larger */
#else
enum { STACK_BYTES = 256 << 10 };
#endif

void lh_mutex_init(pthread_mutex_t *mutex)
{
    LH_CHECK(pthread_mutex_init(mutex, NULL) == 0);
}

void lh_mutex_lock(pthread_mutex_t *mutex)
{
    LH_CHECK(pthread_mutex_lock(mutex) == 0);
}

void lh_mutex_unlock(pthread_mutex_t *mutex)
{
    LH_CHECK(pthread_mutex_unlock(mutex) == 0);
}

void lh_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    LH_CHECK(pthread_condattr_init(&attributes) == 0);
    LH_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    LH_CHECK(pthread_cond_init(cond, &attributes) == 0);
    LH_CHECK(pthread_condattr_destroy(&attributes) == 0);
}

bool lh_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, lh_deadline deadline)
{
    struct timespec until = lh_deadline_timespec(deadline);
    int result = pthread_cond_timedwait(cond, mutex, &until);
    LH_CHECK(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

/* All signals but those that a fault of the thread itself raises: blocked, they would end the
 * process without the report of a sanitizer or debugger. */
static sigset_t signals_to_block(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&set, faults[i]);
    return set;
}

lh_code lh_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg,
                        struct lh_error *err)
{
    pthread_attr_t attributes;
    LH_CHECK(pthread_attr_init(&attributes) == 0);
    LH_CHECK(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);

    /* A thread inherits the mask of the one that starts it. */
    sigset_t blocked = signals_to_block();
    sigset_t before;
    LH_CHECK(pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
    pthread_t thread;
    int result = pthread_create(&thread, &attributes, run, arg);
    LH_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    LH_CHECK(pthread_attr_destroy(&attributes) == 0);
    if (result != 0) {
        errno = result;
        LH_IGNORE(lh_fail_errno(err, "no thread for %s", name), "the code follows");
        err->code = LH_BUSY;
        return err->code;
    }

    char short_name[16];
    snprintf(short_name, sizeof(short_name), "%.15s", name);
    pthread_setname_np(thread, short_name); /* for ps and gdb only */
    *ret_thread = thread;
    return LH_OK;
}

/* ---- threads that may not wait ---- */

static _Thread_local bool may_not_wait;

bool lh_may_wait(void)
{
    return !may_not_wait;
}

void lh_set_may_wait(bool may_wait)
{
    may_not_wait = !may_wait;
}

lh_code lh_check_may_wait(const char *what, struct lh_error *err)
{
    return may_not_wait ? lh_fail(err, LH_WOULD_WAIT, "%s would have to wait", what) : LH_OK;
}
