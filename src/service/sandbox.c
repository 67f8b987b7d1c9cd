/*
 * The cage: no new privileges, Landlock for files, seccomp for system calls. Both by raw system
 * calls, with the kernel's numbers written out here, so that it builds with older headers and runs
 * on older kernels.
 *
 * The seccomp filter is a list of what is refused, not of what is allowed: the worker holds a large
 * library whose needs change with its versions, and the walls that count (no socket, no program, no
 * other process, no kernel feature with a history) can be named. Refused calls fail with EPERM.
 */
#include "service/sandbox.h"

#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock (Documentation/userspace-api/landlock.rst) ---- */

enum {
    SYS_LANDLOCK_CREATE_RULESET = 444, /* the same on all architectures */
    SYS_LANDLOCK_ADD_RULE = 445,
    SYS_LANDLOCK_RESTRICT_SELF = 446,
    CREATE_RULESET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
};

enum {
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_REFER = 1 << 13,     /* since ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* since ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* since ABI 5 */
    FS_ALL_OF_ABI_1 = (1 << 13) - 1,
    FS_READ = FS_READ_FILE | FS_READ_DIR,
    FS_WRITE = FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
               FS_MAKE_REG | FS_REFER | FS_TRUNCATE,
};

struct ruleset_attr {
    uint64_t handled_access_fs;
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

/* Everything that this kernel can refuse; 0 when it has no Landlock. */
static uint64_t landlock_rights(void)
{
    long abi = syscall(SYS_LANDLOCK_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0; /* ENOSYS, or EOPNOTSUPP when it was switched off at boot */
    uint64_t rights = FS_ALL_OF_ABI_1;
    if (abi >= 2)
        rights |= FS_REFER;
    if (abi >= 3)
        rights |= FS_TRUNCATE;
    if (abi >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static lh_code allow_below(int ruleset_fd, const char *const *dirs, uint64_t rights,
                           struct lh_error *err)
{
    for (; dirs != NULL && *dirs != NULL; dirs++) {
        LH_AUTO_FD int fd = open(*dirs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return lh_fail_errno(err, "cannot open %s for the cage", *dirs);
        const struct path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
        if (syscall(SYS_LANDLOCK_ADD_RULE, ruleset_fd, RULE_PATH_BENEATH, &rule, 0) != 0)
            return lh_fail_errno(err, "Landlock does not take %s", *dirs);
    }
    return LH_OK;
}

static lh_code enter_landlock(const struct lh_sandbox *sandbox, bool *ret_missing,
                              struct lh_error *err)
{
    uint64_t rights = landlock_rights();
    if (rights == 0) {
        *ret_missing = true;
        return LH_OK;
    }
    const struct ruleset_attr attr = {.handled_access_fs = rights};
    LH_AUTO_FD int ruleset_fd = (int)syscall(SYS_LANDLOCK_CREATE_RULESET, &attr, sizeof(attr), 0);
    if (ruleset_fd < 0)
        return lh_fail_errno(err, "cannot make a Landlock ruleset");
    LH_TRY(allow_below(ruleset_fd, sandbox->read_dirs, FS_READ & rights, err));
    LH_TRY(allow_below(ruleset_fd, sandbox->write_dirs, FS_WRITE & rights, err));
    if (syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset_fd, 0) != 0)
        return lh_fail_errno(err, "cannot enter Landlock");
    *ret_missing = false;
    return LH_OK;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0
#endif

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

/* Refused whatever the arguments. */
// clang-format off
static const int refused_calls[] = {
    /* the network */
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    /* other programs and processes */
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill,
    SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_kcmp, SYS_setpgid, SYS_setsid,
    434 /* pidfd_open */, 424 /* pidfd_send_signal */, 438 /* pidfd_getfd */,
    440 /* process_madvise */,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
    /* files by other ways than a path below the folders */
    SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_chroot, SYS_pivot_root, SYS_mount,
    SYS_umount2, SYS_mknodat, 428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */,
    431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */, 442 /* mount_setattr */,
#ifdef SYS_mknod
    SYS_mknod,
#endif
    /* identity and namespaces */
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
    SYS_setgroups, SYS_setfsuid, SYS_setfsgid, SYS_capset, SYS_unshare, SYS_setns,
    /* parts of the kernel with a history */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
    425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_acct, SYS_quotactl, SYS_syslog, SYS_settimeofday, SYS_clock_settime,
    SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname, SYS_personality,
    SYS_vhangup, SYS_lookup_dcookie, SYS_mbind, SYS_migrate_pages, SYS_move_pages,
    SYS_set_mempolicy,
};
// clang-format on

enum { FILTER_MAX = 2 * LH_COUNT(refused_calls) + 32 };

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short count;
};

static void add(struct filter *filter, struct sock_filter instruction)
{
    LH_CHECK(filter->count < FILTER_MAX);
    filter->code[filter->count++] = instruction;
}

#define LOAD(member)                                                                               \
    ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member)))
/* Skips `count` instructions when the loaded word is not `value`. */
#define UNLESS(value, count)                                                                       \
    ((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (count)))
#define ANSWER(action) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (action)))
#define REFUSE(error)  ANSWER(SECCOMP_RET_ERRNO | (error))

static void add_refused(struct filter *filter, int number, uint32_t error)
{
    add(filter, UNLESS(number, 1));
    add(filter, REFUSE(error));
}

/* Allowed only when the first argument is `a` or `b` (its low word: both calls take a pid_t). */
static void add_only_with(struct filter *filter, int number, uint32_t a, uint32_t b)
{
    add(filter, UNLESS(number, 6));
    add(filter, LOAD(args[0]));
    add(filter, UNLESS(a, 1));
    add(filter, ANSWER(SECCOMP_RET_ALLOW));
    add(filter, UNLESS(b, 1));
    add(filter, ANSWER(SECCOMP_RET_ALLOW));
    add(filter, REFUSE(EPERM));
}

static void make_filter(struct filter *filter)
{
    const uint32_t self = (uint32_t)getpid();
    add(filter, LOAD(arch));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
    add(filter, ANSWER(SECCOMP_RET_KILL_PROCESS));
    add(filter, LOAD(nr));
#ifdef __x86_64__
    /* The x32 calls are the same ones under other numbers. */
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1));
    add(filter, REFUSE(EPERM));
#endif
    for (size_t i = 0; i < LH_COUNT(refused_calls); i++)
        add_refused(filter, refused_calls[i], EPERM);
    /* clone3 hides its flags behind a pointer: libc falls back to clone when it is missing. */
    add_refused(filter, SYS_clone3, ENOSYS);
    /* clone: threads only. */
    add(filter, UNLESS(SYS_clone, 4));
    add(filter, LOAD(args[0]));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    add(filter, ANSWER(SECCOMP_RET_ALLOW));
    add(filter, REFUSE(EPERM));
    /* abort() signals its own thread; limits of its own process may be asked. */
    add_only_with(filter, SYS_tgkill, self, self);
    add_only_with(filter, SYS_prlimit64, 0, self);
    add(filter, ANSWER(SECCOMP_RET_ALLOW));
}

static lh_code enter_seccomp(bool *ret_missing, struct lh_error *err)
{
    *ret_missing = true;
    if (OUR_ARCH == 0)
        return LH_OK;
    struct filter filter = {.count = 0};
    make_filter(&filter);
    const struct sock_fprog program = {.len = filter.count, .filter = filter.code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) {
        *ret_missing = false;
        return LH_OK;
    }
    if (errno == EINVAL || errno == ENOSYS)
        return LH_OK; /* a kernel built without it */
    return lh_fail_errno(err, "cannot enter seccomp");
}

/* ---- both ---- */

lh_code lh_sandbox_enter(const struct lh_sandbox *sandbox, const char **ret_missing,
                         struct lh_error *err)
{
    const struct rlimit no_core = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &no_core) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return lh_fail_errno(err, "cannot give up privileges");
    bool no_landlock = false, no_seccomp = false;
    LH_TRY(enter_landlock(sandbox, &no_landlock, err));
    LH_TRY(enter_seccomp(&no_seccomp, err));
    if (no_landlock && no_seccomp)
        *ret_missing = "this kernel has neither Landlock nor seccomp filters";
    else if (no_landlock)
        *ret_missing = "this kernel has no Landlock: files are not fenced off";
    else if (no_seccomp)
        *ret_missing = "this kernel has no seccomp filters: system calls are not fenced off";
    else
        *ret_missing = "";
    return LH_OK;
}
