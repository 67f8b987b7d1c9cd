/* Starting a program of ours as a child. */
#include "service/spawn.h"

#include "base/mem.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_FD = 3, CLOSE_RANGE_SETS_CLOEXEC = 4 };

/* Sanitizers reserve terabytes of addresses: there is no limit on them then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* All that the child needs, made before the fork. */
struct plan {
    const struct lh_spawn *spawn;
    char *path;
    char **argv;
    char *const *environment;
    int null_fd;
    int report_fd; /* gets errno when the exec fails; closed by the exec */
    pid_t parent;
};

/* ---- in the child: async-signal-safe calls only ---- */

static void child_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL); /* fails for SIGKILL and SIGSTOP, which is fine */
    action.sa_handler = SIG_IGN; /* reload; until the program knows how, it has just read all */
    sigaction(SIGHUP, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_limits(const struct lh_spawn *spawn)
{
    const struct rlimit no_core = {0, 0};
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        return -1;
    const rlim_t space = (rlim_t)spawn->address_space_bytes;
    const struct rlimit space_limit = {space, space};
    if (space > 0 && !SANITIZED && setrlimit(RLIMIT_AS, &space_limit) != 0)
        return -1;
    const rlim_t file = (rlim_t)spawn->file_bytes_max;
    const struct rlimit file_limit = {file, file};
    if (file > 0 && setrlimit(RLIMIT_FSIZE, &file_limit) != 0)
        return -1;
    return 0;
}

/* A copy beyond the numbers that the child's own files get. */
static int move_up(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FD + 1);
}

/* 0, 1, 2, and 3 if there is one; everything else closes at the exec. */
static int child_files(struct plan *plan)
{
    bool passes = plan->spawn->fd >= 0;
    int report = move_up(plan->report_fd);
    int null = move_up(plan->null_fd);
    int passed = passes ? move_up(plan->spawn->fd) : 0;
    if (report < 0 || null < 0 || passed < 0)
        return -1;
    plan->report_fd = report;
    if (dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -1;
    if (passes && dup2(passed, CHILD_FD) < 0)
        return -1;
    /* Ours are all O_CLOEXEC; this is for those of libraries. Old kernels have no such call. */
    unsigned first = passes ? CHILD_FD + 1 : CHILD_FD;
    syscall(SYS_close_range, first, UINT_MAX, CLOSE_RANGE_SETS_CLOEXEC);
    return 0;
}

_Noreturn static void child(struct plan *plan)
{
    child_signals();
    /* A group of its own: Ctrl-C at a terminal is for us, who stop it in order. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == plan->parent && setpgid(0, 0) == 0 &&
        child_files(plan) == 0 && child_limits(plan->spawn) == 0)
        execve(plan->path, plan->argv, plan->environment);
    int failure = errno;
    while (write(plan->report_fd, &failure, sizeof(failure)) < 0 && errno == EINTR)
        continue;
    _exit(127);
}

/* ---- in the parent ---- */

static char **make_argv(const char *path, const char *const *args)
{
    size_t count = 0;
    while (args != NULL && args[count] != NULL)
        count++;
    char **argv = lh_calloc(count + 2, sizeof(*argv));
    argv[0] = lh_strdup(path);
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = lh_strdup(args[i]);
    return argv;
}

static void free_argv(char ***argv)
{
    for (char **arg = *argv; arg != NULL && *arg != NULL; arg++)
        free(*arg);
    free(*argv);
}

/* Waits for the exec: nothing comes when it worked. */
static lh_code await_exec(int report_fd, pid_t pid, const char *path, struct lh_error *err)
{
    int failure = 0;
    ssize_t got;
    do {
        got = read(report_fd, &failure, sizeof(failure));
    } while (got < 0 && errno == EINTR);
    if (got == 0)
        return LH_OK;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    errno = failure;
    return lh_fail_errno(err, "cannot start %s", path);
}

static char *program_path(const char *program)
{
    LH_AUTO_FREE char *dir = lh_program_dir();
    return lh_asprintf("%s/%s", dir, program);
}

lh_code lh_spawn(const struct lh_spawn *spawn, pid_t *ret_pid, struct lh_error *err)
{
    LH_AUTO_FREE char *path = program_path(spawn->program);
    LH_AUTO(free_argv) char **argv = make_argv(path, spawn->args);
    LH_AUTO_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int report[2];
    if (null_fd < 0 || pipe2(report, O_CLOEXEC) != 0)
        return lh_fail_errno(err, "cannot start %s", path);
    LH_AUTO_FD int report_read = report[0];
    int report_write = report[1];
    struct plan plan = {
        .spawn = spawn,
        .path = path,
        .argv = argv,
        .environment = spawn->environment != NULL ? spawn->environment : environ,
        .null_fd = null_fd,
        .report_fd = report_write,
        .parent = getpid(),
    };
    pid_t pid = fork();
    if (pid == 0)
        child(&plan);
    close(report_write);
    if (pid < 0)
        return lh_fail_errno(err, "cannot start %s", path);
    LH_TRY(await_exec(report_read, pid, path, err));
    *ret_pid = pid;
    return LH_OK;
}
