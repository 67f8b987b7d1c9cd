/*
 * The cage, from inside: this program starts itself, the child enters the cage, tries each thing,
 * and its exit code says whether the outcome was the wanted one.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/thread.h"
#include "service/sandbox.h"
#include "service/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WANTED = 0, UNWANTED = 1, CANNOT_TELL = 77 };

static const char self[] = "unit_service_sandbox";

/* ---- in the cage ---- */

static int is(bool outcome)
{
    return outcome ? WANTED : UNWANTED;
}

static bool refused(long result)
{
    return result == -1 && (errno == EPERM || errno == EACCES);
}

static int try_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd;
}

static int try_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd;
}

static void *set_flag(void *flag)
{
    *(bool *)flag = true;
    return NULL;
}

static int try_thread(void)
{
    bool ran = false;
    pthread_t thread;
    struct lh_error err = LH_ERROR_INIT;
    if (lh_thread_start(&thread, "caged", set_flag, &ran, &err) != LH_OK)
        return UNWANTED;
    pthread_join(thread, NULL);
    return is(ran);
}

static int try_exec(void)
{
    char program[] = "/bin/true";
    char *const argv[] = {program, NULL};
    return is(refused(execve(program, argv, NULL)));
}

static int try_raise_limit(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    return is(refused(syscall(SYS_prlimit64, getppid(), RLIMIT_FSIZE, &limit, NULL)) &&
              getrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* In the folder `dir`: in/ may be read, out/ written; file and out/file exist. */
static int run_child(const char *work, const char *dir, bool landlock_wanted)
{
    if (chdir(dir) != 0)
        return UNWANTED;
    const char *const read_dirs[] = {"in", NULL};
    const char *const write_dirs[] = {"out", NULL};
    const struct lh_sandbox sandbox = {.read_dirs = read_dirs, .write_dirs = write_dirs};
    struct lh_error err = LH_ERROR_INIT;
    const char *missing = NULL;
    if (lh_sandbox_enter(&sandbox, &missing, &err) != LH_OK)
        return UNWANTED;
    if (strstr(missing, landlock_wanted ? "Landlock" : "seccomp") != NULL)
        return CANNOT_TELL;

    if (strcmp(work, "child-read-in") == 0)
        return is(try_read("in/file") >= 0);
    if (strcmp(work, "child-write-in") == 0)
        return is(refused(try_write("in/file")) && refused(try_write("in/new")) &&
                  refused(unlink("in/file")) && refused(mkdir("in/dir", 0700)));
    if (strcmp(work, "child-write-out") == 0)
        return is(try_write("out/new") >= 0 && rename("out/new", "out/renamed") == 0 &&
                  mkdir("out/dir", 0700) == 0 && rmdir("out/dir") == 0 &&
                  unlink("out/renamed") == 0);
    if (strcmp(work, "child-read-outside") == 0)
        return is(refused(try_read("file")) && refused(try_read("/etc/passwd")) &&
                  refused(try_read("in/../file")));
    if (strcmp(work, "child-link-out") == 0)
        return is(symlink("../file", "out/link") != 0 && link("file", "out/hard") != 0);
    if (strcmp(work, "child-socket") == 0)
        return is(refused(socket(AF_INET, SOCK_STREAM, 0)) &&
                  refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
                  refused(connect(3, (const struct sockaddr *)"", 0)));
    if (strcmp(work, "child-exec") == 0)
        return try_exec();
    if (strcmp(work, "child-fork") == 0)
        return is(refused(fork()));
    if (strcmp(work, "child-signal") == 0)
        return is(refused(kill(getppid(), 0)) &&
                  refused(syscall(SYS_tgkill, getppid(), getppid(), 0)));
    if (strcmp(work, "child-ptrace") == 0)
        return is(refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)));
    if (strcmp(work, "child-limit") == 0)
        return try_raise_limit();
    if (strcmp(work, "child-thread") == 0)
        return try_thread();
    if (strcmp(work, "child-abort") == 0)
        abort();
    if (strcmp(work, "child-frames") == 0)
        return is(lh_frame_send(3, 1, "x", 1, &err) == LH_OK);
    return UNWANTED;
}

/* ---- outside of it ---- */

static char folder[] = "/tmp/lakehouse-sandbox-XXXXXX";

static void make_file(const char *name)
{
    LH_AUTO_FREE char *path = lh_asprintf("%s/%s", folder, name);
    assert_true(try_write(path) >= 0);
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    const char *const dirs[] = {"in", "out"};
    for (size_t i = 0; i < LH_COUNT(dirs); i++) {
        LH_AUTO_FREE char *path = lh_asprintf("%s/%s", folder, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    make_file("file");
    make_file("in/file");
    make_file("out/file");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const names[] = {"out/file", "in/file", "file", "in", "out", ""};
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        LH_AUTO_FREE char *path = lh_asprintf("%s/%s", folder, names[i]);
        remove(path);
    }
    return 0;
}

static int run(const char *work, bool landlock_wanted)
{
    struct lh_worker worker = {.fd = -1};
    struct lh_error err = LH_ERROR_INIT;
    const char *const args[] = {work, folder, landlock_wanted ? "landlock" : "seccomp", NULL};
    const struct lh_worker_options options = {.program = self, .args = args};
    assert_int_equal(lh_worker_start(&options, &worker, &err), LH_OK);
    int status = 0;
    lh_deadline deadline = lh_deadline_in_ms(30000);
    while (!lh_worker_exited(&worker, &status)) {
        assert_false(lh_deadline_passed(deadline));
        lh_sleep_ms(1);
    }
    return status;
}

static void check(const char *work, bool landlock_wanted)
{
    int status = run(work, landlock_wanted);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_TELL) {
        print_message("%s: this kernel lacks what it tries\n", work);
        skip();
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != WANTED)
        fail_msg("%s ended with status 0x%x", work, (unsigned)status);
}

static void test_files(void **state)
{
    (void)state;
    check("child-read-in", true);
    check("child-write-in", true);
    check("child-write-out", true);
    check("child-read-outside", true);
    check("child-link-out", true);
}

static void test_system_calls(void **state)
{
    (void)state;
    check("child-socket", false);
    check("child-exec", false);
    check("child-fork", false);
    check("child-signal", false);
    check("child-ptrace", false);
    check("child-limit", false);
}

static void test_work_goes_on(void **state)
{
    (void)state;
    check("child-thread", false);
    check("child-frames", false);
    int status = run("child-abort", false);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == CANNOT_TELL);
}

int main(int argc, char **argv)
{
    if (argc == 4) /* _exit: a leak checker could not look at a process that is caged */
        _exit(run_child(argv[1], argv[2], strcmp(argv[3], "landlock") == 0));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_system_calls),
        cmocka_unit_test(test_work_goes_on),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
