/*
 * Files. The table of system calls, and what is built on it: whole transfers, durable replacement,
 * locks.
 *
 * A failed fsync is final: the kernel may have dropped the dirty pages and reports the failure
 * once, so nothing here ever tries it again.
 */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

static int posix_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    return openat(dir_fd, path, flags | O_CLOEXEC, mode);
}

static ssize_t posix_pread_now(int fd, void *buf, size_t len, off_t offset)
{
    const struct iovec part = {buf, len};
    return preadv2(fd, &part, 1, offset, RWF_NOWAIT);
}

static int posix_write_back(int fd)
{
    return sync_file_range(
        fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

const struct lh_io lh_io_posix = {
    .openat = posix_openat,
    .close = close,
    .read = read,
    .pread = pread,
    .pread_now = posix_pread_now,
    .write = write,
    .pwrite = pwrite,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .write_back = posix_write_back,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .linkat = linkat,
    .renameat = renameat,
    .unlinkat = unlinkat,
    .mkdirat = mkdirat,
    .fstat = fstat,
};

const struct lh_io *lh_io = &lh_io_posix;

/* ---- whole transfers ---- */

lh_code lh_write_all(int fd, const void *bytes, size_t len, const char *what, struct lh_error *err)
{
    const char *next = bytes;
    while (len > 0) {
        ssize_t written = lh_io->write(fd, next, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return lh_fail_errno(err, "cannot write %s", what);
        next += written;
        len -= (size_t)written;
    }
    return LH_OK;
}

lh_code lh_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset, const char *what,
                      struct lh_error *err)
{
    const char *next = bytes;
    while (len > 0) {
        ssize_t written = lh_io->pwrite(fd, next, len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return lh_fail_errno(err, "cannot write %s", what);
        next += written;
        offset += (uint64_t)written;
        len -= (size_t)written;
    }
    return LH_OK;
}

lh_code lh_pread_all(int fd, void *bytes, size_t len, uint64_t offset, const char *what,
                     struct lh_error *err)
{
    char *next = bytes;
    while (len > 0) {
        ssize_t got = lh_io->pread(fd, next, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read %s", what);
        if (got == 0)
            return lh_fail(err, LH_CORRUPT, "%s ends %zu bytes too early", what, len);
        next += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return LH_OK;
}

lh_code lh_read_file(const char *path, size_t bytes_max, char **ret_bytes, size_t *ret_len,
                     struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open %s", path);
    LH_AUTO_BUF struct lh_buf content = LH_BUF_INIT(bytes_max + 1);
    for (;;) {
        enum { READ_BYTES = 64 << 10 };
        size_t want = bytes_max + 1 - content.len;
        want = want < READ_BYTES ? want : READ_BYTES;
        if (want == 0)
            return lh_fail(err, LH_TOO_LARGE, "%s is larger than %zu bytes", path, bytes_max);
        ssize_t got = lh_io->read(fd, lh_buf_reserve(&content, want), want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read %s", path);
        if (got == 0)
            break;
        lh_buf_commit(&content, (size_t)got);
    }
    *ret_len = content.len;
    *ret_bytes = lh_buf_take(&content);
    return LH_OK;
}

/* ---- durable names ---- */

/* The folder in which `path` stands, owned by the caller. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return lh_strdup(".");
    return slash == path ? lh_strdup("/") : lh_strndup(path, (size_t)(slash - path));
}

lh_code lh_sync_dir(const char *path, struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the folder %s", path);
    if (lh_io->fsync(fd) != 0)
        return lh_fail_errno(err, "cannot make the folder %s durable", path);
    return LH_OK;
}

/* One level. The parent is synced also when somebody else made the folder in this moment: he may be
 * stopped before his own sync. */
static lh_code make_dir(const char *path, struct lh_error *err)
{
    if (lh_io->mkdirat(AT_FDCWD, path, 0700) != 0 && errno != EEXIST)
        return lh_fail_errno(err, "cannot make the folder %s", path);
    LH_AUTO_FREE char *parent = parent_of(path);
    return lh_sync_dir(parent, err);
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

lh_code lh_make_dirs(const char *path, struct lh_error *err)
{
    LH_AUTO_FREE char *level = lh_strdup(path);
    for (char *cut = level; *cut; cut++) {
        if (*cut != '/' || cut == level)
            continue;
        *cut = '\0';
        if (!is_dir(level))
            LH_TRY(make_dir(level, err));
        *cut = '/';
    }
    if (!is_dir(level))
        LH_TRY(make_dir(level, err));
    if (!is_dir(level)) {
        errno = ENOTDIR;
        return lh_fail_errno(err, "cannot make the folder %s", path);
    }
    return LH_OK;
}

/* Writes the new content under a temporary name. */
static lh_code write_temporary(const char *path, const void *bytes, size_t len, mode_t mode,
                               struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0)
        return lh_fail_errno(err, "cannot create %s", path);
    LH_TRY(lh_write_all(fd, bytes, len, path, err));
    if (lh_io->fdatasync(fd) != 0)
        return lh_fail_errno(err, "cannot make %s durable", path);
    return LH_OK;
}

lh_code lh_write_file_durable(const char *path, const void *bytes, size_t len, mode_t mode,
                              struct lh_error *err)
{
    char id[LH_UUID_TEXT];
    lh_uuid4(id);
    LH_AUTO_FREE char *temporary = lh_asprintf("%s.%.8s.tmp", path, id);
    lh_code code = write_temporary(temporary, bytes, len, mode, err);
    if (code == LH_OK && lh_io->renameat(AT_FDCWD, temporary, AT_FDCWD, path) != 0)
        code = lh_fail_errno(err, "cannot put %s in place", path);
    if (code != LH_OK) {
        lh_io->unlinkat(AT_FDCWD, temporary, 0); /* best effort: the first failure is the news */
        return code;
    }
    LH_AUTO_FREE char *parent = parent_of(path);
    return lh_sync_dir(parent, err);
}

/* ---- clearing ---- */

static lh_code clear_open_dir(DIR *dir, const char *path, struct lh_error *err);

/* Removes one file, or one folder with all that is in it. */
static lh_code remove_entry(DIR *dir, const char *path, const char *name, struct lh_error *err)
{
    int dir_fd = dirfd(dir);
    /* A folder answers EISDIR (Linux) or EPERM (POSIX) to an unlink; a link to one does not. */
    if (lh_io->unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return LH_OK;
    if (errno != EISDIR && errno != EPERM)
        return lh_fail_errno(err, "cannot remove %s/%s", path, name);
    int fd = lh_io->openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open %s/%s", path, name);
    DIR *inner = fdopendir(fd);
    LH_CHECK(inner);
    LH_AUTO_FREE char *inner_path = lh_asprintf("%s/%s", path, name);
    lh_code code = clear_open_dir(inner, inner_path, err);
    closedir(inner);
    if (code == LH_OK && lh_io->unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        code = lh_fail_errno(err, "cannot remove %s", inner_path);
    return code;
}

static lh_code clear_open_dir(DIR *dir, const char *path, struct lh_error *err)
{
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        LH_TRY(remove_entry(dir, path, entry->d_name, err));
    }
    return errno == 0 ? LH_OK : lh_fail_errno(err, "cannot list %s", path);
}

lh_code lh_clear_dir(const char *path, struct lh_error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? LH_OK : lh_fail_errno(err, "cannot open the folder %s", path);
    lh_code code = clear_open_dir(dir, path, err);
    closedir(dir);
    return code;
}

/* ---- the process ---- */

/* The text that the holder of a lock left in the file; "" if there is none. */
static void read_holder(int fd, char *out, size_t out_size)
{
    ssize_t got = lh_io->pread(fd, out, out_size - 1, 0);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && (out[len - 1] < '0' || out[len - 1] > '9'))
        len--;
    out[len] = '\0';
}

lh_code lh_lock_file(const char *path, int *ret_fd, struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the lock %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return lh_fail_errno(err, "cannot lock %s", path);
        char holder[32];
        read_holder(fd, holder, sizeof(holder));
        return lh_fail(err, LH_BUSY, "%s is held by another process (pid %s)", path,
                       holder[0] ? holder : "unknown");
    }
    char pid[32];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (lh_io->ftruncate(fd, 0) != 0)
        return lh_fail_errno(err, "cannot write the lock %s", path);
    LH_TRY(lh_pwrite_all(fd, pid, (size_t)len, 0, path, err));
    *ret_fd = fd;
    fd = -1;
    return LH_OK;
}

char *lh_program_dir(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len <= 0)
        return lh_strdup(".");
    path[len] = '\0';
    return parent_of(path);
}

uint64_t lh_resident_bytes(void)
{
    /* statm: size resident shared ..., in pages (man 5 proc) */
    LH_AUTO_FD int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    char text[128];
    ssize_t len = read(fd, text, sizeof(text));
    lh_str rest = lh_str_of(text, len > 0 ? (size_t)len : 0);
    lh_str size, resident;
    uint64_t pages = 0;
    if (!lh_str_next(&rest, ' ', &size) || !lh_str_next(&rest, ' ', &resident) ||
        !lh_str_to_u64(resident, &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
