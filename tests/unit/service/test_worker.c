/* Workers are real processes: this program starts itself under other names of work. */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "service/spawn.h"
#include "service/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_FD = 3, EXIT_WANTED = 7 };

static const char self[] = "unit_service_worker";

/* ---- what the children do ---- */

/* Sends back what it gets, until its parent goes. */
static int child_echo(void)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    while (lh_frame_receive(FRAME_FD, LH_NO_DEADLINE, &type, &payload, &err) == LH_OK) {
        if (lh_frame_send(FRAME_FD, type + 1, payload.data, payload.len, &err) != LH_OK)
            return 1;
    }
    return err.code == LH_CANCELLED ? 0 : 1;
}

/* Tells about its descriptors, signals and limits. */
static int child_report(void)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    DIR *fds = opendir("/proc/self/fd");
    const struct dirent *entry;
    while ((entry = readdir(fds)) != NULL) {
        uint64_t fd = 0;
        if (lh_str_to_u64(lh_str_from(entry->d_name), &fd) && (int)fd != dirfd(fds))
            lh_buf_printf(&out, "fd%d ", (int)fd);
    }
    closedir(fds);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    lh_buf_printf(&out, "term-blocked:%d ", sigismember(&mask, SIGTERM));
    struct rlimit core, file;
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_FSIZE, &file);
    lh_buf_printf(&out, "core:%d file:%d", (int)core.rlim_max, (int)file.rlim_max);
    struct lh_error err = LH_ERROR_INIT;
    return lh_frame_send(FRAME_FD, 1, out.data, out.len, &err) != LH_OK;
}

/* Starts a grandchild that hangs, says its pid, and waits to be killed. */
static int child_parent(void)
{
    struct lh_worker worker = {.fd = -1};
    struct lh_error err = LH_ERROR_INIT;
    const char *const args[] = {"child-hang", NULL};
    const struct lh_worker_options options = {.program = self, .args = args};
    if (lh_worker_start(&options, &worker, &err) != LH_OK)
        return 1;
    if (lh_frame_send(FRAME_FD, 1, &worker.pid, sizeof(worker.pid), &err) != LH_OK)
        return 1;
    for (;;)
        pause();
}

static int run_child(const char *work)
{
    if (strcmp(work, "child-echo") == 0)
        return child_echo();
    if (strcmp(work, "child-report") == 0)
        return child_report();
    if (strcmp(work, "child-parent") == 0)
        return child_parent();
    if (strcmp(work, "child-exit") == 0)
        return EXIT_WANTED;
    for (;;) /* child-hang */
        pause();
}

/* ---- the tests ---- */

static struct lh_worker start(const char *work, int64_t file_bytes_max)
{
    struct lh_worker worker = {.fd = -1};
    struct lh_error err = LH_ERROR_INIT;
    const char *const args[] = {work, NULL};
    const struct lh_worker_options options = {
        .program = self, .args = args, .file_bytes_max = file_bytes_max};
    assert_int_equal(lh_worker_start(&options, &worker, &err), LH_OK);
    assert_true(worker.pid > 0);
    return worker;
}

static void receive(struct lh_worker *worker, struct lh_buf *payload, uint32_t *ret_type)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        lh_frame_receive(worker->fd, lh_deadline_in_ms(20000), ret_type, payload, &err), LH_OK);
}

static void test_frames_both_ways(void **state)
{
    (void)state;
    struct lh_worker worker = start("child-echo", 0);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t type = 0;
        assert_int_equal(lh_frame_send(worker.fd, i, "ping", 4, &err), LH_OK);
        receive(&worker, &payload, &type);
        assert_int_equal(type, i + 1);
        assert_true(lh_str_is(lh_buf_str(&payload), "ping"));
    }
    pid_t pid = worker.pid;
    lh_worker_stop(&worker, 20000);
    assert_int_equal(worker.pid, 0);
    assert_int_equal(worker.fd, -1);
    assert_int_equal(kill(pid, 0), -1); /* gone and reaped */
}

static void test_child_is_clean(void **state)
{
    (void)state;
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a library might */
    struct lh_worker worker = start("child-report", 12345);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    receive(&worker, &payload, &type);
    lh_worker_stop(&worker, 20000);
    close(leak);
    assert_string_equal(payload.data, "fd0 fd1 fd2 fd3 term-blocked:0 core:0 file:12345");
}

static void test_exit_is_seen(void **state)
{
    (void)state;
    struct lh_worker worker = start("child-exit", 0);
    int status = 0;
    lh_deadline deadline = lh_deadline_in_ms(20000);
    while (!lh_worker_exited(&worker, &status)) {
        assert_false(lh_deadline_passed(deadline));
        lh_sleep_ms(1);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_WANTED);
    assert_int_equal(worker.fd, -1);
    lh_worker_stop(&worker, 0); /* both accept what is over */
    lh_worker_kill(&worker);
}

static void test_one_that_hangs_is_killed(void **state)
{
    (void)state;
    struct lh_worker worker = start("child-hang", 0);
    pid_t pid = worker.pid;
    lh_mono before = lh_mono_now();
    lh_worker_stop(&worker, 50);
    assert_true(lh_mono_since_ms(before) >= 50);
    assert_int_equal(kill(pid, 0), -1);

    worker = start("child-hang", 0);
    pid = worker.pid;
    int status = 0;
    assert_false(lh_worker_exited(&worker, &status));
    lh_worker_kill(&worker);
    assert_int_equal(kill(pid, 0), -1);
}

static void test_no_such_program(void **state)
{
    (void)state;
    struct lh_worker worker = {.fd = -1};
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_worker_options options = {.program = "no-such-program"};
    assert_int_equal(lh_worker_start(&options, &worker, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.message, "no-such-program"));
    assert_int_equal(worker.fd, -1);
}

static void *start_in_thread(void *arg)
{
    *(struct lh_worker *)arg = start("child-echo", 0);
    return NULL;
}

/* A worker must not die with the thread that asked for it. */
static void test_outlives_its_thread(void **state)
{
    (void)state;
    struct lh_worker workers[4];
    pthread_t threads[4];
    struct lh_error err = LH_ERROR_INIT;
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        assert_int_equal(
            lh_thread_start(&threads[i], "starter", start_in_thread, &workers[i], &err), LH_OK);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    for (size_t i = 0; i < LH_COUNT(threads); i++) {
        uint32_t type = 0;
        assert_int_equal(lh_frame_send(workers[i].fd, 1, "x", 1, &err), LH_OK);
        receive(&workers[i], &payload, &type);
        lh_worker_stop(&workers[i], 20000);
    }
}

static void test_dies_with_its_parent(void **state)
{
    (void)state;
    struct lh_worker parent = start("child-parent", 0);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    receive(&parent, &payload, &type);
    pid_t grandchild = 0;
    assert_int_equal(payload.len, sizeof(grandchild));
    memcpy(&grandchild, payload.data, sizeof(grandchild));
    assert_int_equal(kill(grandchild, 0), 0);
    lh_worker_kill(&parent);
    /* It is now a child of init, or of a subreaper that may leave it a zombie: gone or dead. */
    lh_deadline deadline = lh_deadline_in_ms(20000);
    char path[64], *stat = NULL;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)grandchild);
    for (bool lives = true; lives; lh_sleep_ms(1)) {
        struct lh_error err = LH_ERROR_INIT;
        size_t len = 0;
        assert_false(lh_deadline_passed(deadline));
        lives = lh_read_file(path, 4096, &stat, &len, &err) == LH_OK &&
                strstr(stat, ") Z") == NULL && strstr(stat, ") X") == NULL;
        free(stat);
        stat = NULL;
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "child-", 6) == 0)
        return run_child(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_both_ways),
        cmocka_unit_test(test_child_is_clean),
        cmocka_unit_test(test_exit_is_seen),
        cmocka_unit_test(test_one_that_hangs_is_killed),
        cmocka_unit_test(test_no_such_program),
        cmocka_unit_test(test_outlives_its_thread),
        cmocka_unit_test(test_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
