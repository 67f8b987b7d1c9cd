#include "support/fault.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/os.h"

static struct lh_fault plan;
static atomic_uint_fast64_t call_count;     /* of the kinds in plan.calls */
static atomic_uint_fast64_t transfer_count; /* reads and writes, for interrupt_every */
static atomic_int_fast64_t open_files;

/* Whether this call is to fail; errno is set then. */
static bool fails(enum lh_fault_call call)
{
    if ((plan.calls & call) == 0)
        return false;
    uint64_t n = atomic_fetch_add(&call_count, 1) + 1;
    bool hit = plan.fail_at > 0 && (n == plan.fail_at || (plan.for_ever && n > plan.fail_at));
    if (hit)
        errno = plan.error;
    return hit;
}

static bool interrupted(void)
{
    if (plan.interrupt_every == 0)
        return false;
    uint64_t n = atomic_fetch_add(&transfer_count, 1) + 1;
    if (n % plan.interrupt_every != 0)
        return false;
    errno = EINTR;
    return true;
}

static size_t shortened(size_t len)
{
    return plan.transfer_max > 0 && len > plan.transfer_max ? plan.transfer_max : len;
}

static int fault_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    if (fails(LH_FAULT_OPEN))
        return -1;
    int fd = lh_io_posix.openat(dir_fd, path, flags, mode);
    if (fd >= 0)
        atomic_fetch_add(&open_files, 1);
    return fd;
}

static int fault_close(int fd)
{
    atomic_fetch_sub(&open_files, 1);
    return lh_io_posix.close(fd);
}

static ssize_t fault_read(int fd, void *buf, size_t len)
{
    if (interrupted() || fails(LH_FAULT_READ))
        return -1;
    return lh_io_posix.read(fd, buf, shortened(len));
}

static ssize_t fault_pread(int fd, void *buf, size_t len, off_t offset)
{
    if (interrupted() || fails(LH_FAULT_READ))
        return -1;
    return lh_io_posix.pread(fd, buf, shortened(len), offset);
}

static ssize_t fault_pread_now(int fd, void *buf, size_t len, off_t offset)
{
    if (interrupted() || fails(LH_FAULT_READ))
        return -1;
    return lh_io_posix.pread_now(fd, buf, shortened(len), offset);
}

static ssize_t fault_write(int fd, const void *buf, size_t len)
{
    if (interrupted() || fails(LH_FAULT_WRITE))
        return -1;
    return lh_io_posix.write(fd, buf, shortened(len));
}

static ssize_t fault_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    if (interrupted() || fails(LH_FAULT_WRITE))
        return -1;
    return lh_io_posix.pwrite(fd, buf, shortened(len), offset);
}

static int fault_fsync(int fd)
{
    return fails(LH_FAULT_SYNC) ? -1 : lh_io_posix.fsync(fd);
}

static int fault_fdatasync(int fd)
{
    return fails(LH_FAULT_SYNC) ? -1 : lh_io_posix.fdatasync(fd);
}

static int fault_write_back(int fd)
{
    return fails(LH_FAULT_SYNC) ? -1 : lh_io_posix.write_back(fd);
}

static int fault_ftruncate(int fd, off_t length)
{
    return fails(LH_FAULT_TRUNCATE) ? -1 : lh_io_posix.ftruncate(fd, length);
}

static int fault_fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fails(LH_FAULT_ALLOCATE) ? -1 : lh_io_posix.fallocate(fd, mode, offset, length);
}

static int fault_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return fails(LH_FAULT_LINK) ? -1 : lh_io_posix.linkat(from_dir, from, to_dir, to, flags);
}

static int fault_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(LH_FAULT_RENAME) ? -1 : lh_io_posix.renameat(from_dir, from, to_dir, to);
}

static int fault_unlinkat(int dir_fd, const char *path, int flags)
{
    return fails(LH_FAULT_UNLINK) ? -1 : lh_io_posix.unlinkat(dir_fd, path, flags);
}

static int fault_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    return fails(LH_FAULT_MKDIR) ? -1 : lh_io_posix.mkdirat(dir_fd, path, mode);
}

static int fault_fstat(int fd, struct stat *st)
{
    return fails(LH_FAULT_STAT) ? -1 : lh_io_posix.fstat(fd, st);
}

static const struct lh_io fault_table = {
    .openat = fault_openat,
    .close = fault_close,
    .read = fault_read,
    .pread = fault_pread,
    .pread_now = fault_pread_now,
    .write = fault_write,
    .pwrite = fault_pwrite,
    .fsync = fault_fsync,
    .fdatasync = fault_fdatasync,
    .write_back = fault_write_back,
    .ftruncate = fault_ftruncate,
    .fallocate = fault_fallocate,
    .linkat = fault_linkat,
    .renameat = fault_renameat,
    .unlinkat = fault_unlinkat,
    .mkdirat = fault_mkdirat,
    .fstat = fault_fstat,
};

void lh_fault_start(const struct lh_fault *new_plan)
{
    LH_CHECK(lh_io == &lh_io_posix);
    /* A call that answers EINTR for ever would never end. */
    LH_CHECK(new_plan->interrupt_every != 1);
    plan = *new_plan;
    atomic_store(&call_count, 0);
    atomic_store(&transfer_count, 0);
    atomic_store(&open_files, 0);
    lh_io = &fault_table;
}

uint64_t lh_fault_stop(void)
{
    LH_CHECK(lh_io == &fault_table);
    lh_io = &lh_io_posix;
    return lh_fault_count();
}

uint64_t lh_fault_count(void)
{
    return atomic_load(&call_count);
}

int64_t lh_fault_open_files(void)
{
    return atomic_load(&open_files);
}
