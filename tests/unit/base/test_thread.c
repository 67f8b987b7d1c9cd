#include "base/thread.h"

#include <signal.h>
#include <string.h>

#include "support/cmocka.h"

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int turns;
    bool term_blocked;
    bool segv_blocked;
};

static void *take_turns(void *arg)
{
    struct shared *shared = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    char stack_use[64 << 10]; /* a good part of what a thread has */
    memset(stack_use, 1, sizeof(stack_use));
    lh_mutex_lock(&shared->mutex);
    shared->term_blocked = sigismember(&mask, SIGTERM) == 1;
    shared->segv_blocked = sigismember(&mask, SIGSEGV) == 1;
    shared->turns += stack_use[sizeof(stack_use) - 1];
    pthread_cond_signal(&shared->cond);
    lh_mutex_unlock(&shared->mutex);
    return arg;
}

LH_TEST(threads_meet)
{
    struct shared shared = {.turns = 0};
    lh_mutex_init(&shared.mutex);
    lh_cond_init(&shared.cond);
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct lh_error err = LH_ERROR_INIT;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            lh_thread_start(&threads[i], "a name longer than 15", take_turns, &shared, &err),
            LH_OK);
    lh_mutex_lock(&shared.mutex);
    lh_deadline deadline = lh_deadline_in_ms(10000);
    while (shared.turns < THREADS)
        assert_true(lh_cond_wait_until(&shared.cond, &shared.mutex, deadline));
    lh_mutex_unlock(&shared.mutex);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &shared);
    }
    assert_true(shared.term_blocked);
    assert_false(shared.segv_blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    pthread_cond_destroy(&shared.cond);
    pthread_mutex_destroy(&shared.mutex);
}

LH_TEST(waiting_ends_at_the_deadline)
{
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    lh_mutex_init(&mutex);
    lh_cond_init(&cond);
    lh_mutex_lock(&mutex);
    lh_mono start = lh_mono_now();
    lh_deadline deadline = lh_deadline_in_ms(30);
    while (lh_cond_wait_until(&cond, &mutex, deadline))
        continue; /* woken for nothing, which a condition may do */
    assert_true(lh_mono_since_ms(start) >= 30);
    assert_false(lh_cond_wait_until(&cond, &mutex, (lh_deadline){-1}));
    lh_mutex_unlock(&mutex);
    pthread_cond_destroy(&cond);
    pthread_mutex_destroy(&mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_meet),
        cmocka_unit_test(waiting_ends_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
