/*
 * Reading, writing and fsync of the index's files.
 *
 * 1. A failed fsync is final. From then on every write, truncation and fsync fails without reaching
 * the disk, so that nothing later can be built on what the kernel may have dropped.
 * 2. Every page of the database ends in a seal, a checksum over the page and its number (in bytes
 * that SQLite leaves to us). The frames of the write-ahead log (WAL) carry SQLite's own.
 * 3. What is appended to the WAL is gathered and written in one piece before its fsync: SQLite
 * writes each page of a commit by two calls. Other connections read what is committed only, so they
 * never miss it.
 * 4. What a checkpoint writes to the database goes to the disk bit by bit, so that its fsync has
 * little left to do: commits, which share the disk with it, would wait for all of that.
 * 5. When the fsync of the WAL fails, what was written since the last good one is cut off. It was
 * not acknowledged, and must not come back as a commit at the next start.
 */
#include "storaged/index_vfs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

enum {
    PAGE_BYTES = LH_INDEX_PAGE_BYTES,
    SEAL_AT = PAGE_BYTES - LH_INDEX_SEAL_BYTES,
    GATHER_BYTES = 256 << 10,
    WRITE_BACK_BYTES = 1 << 20,
};

/* ---- seals of pages ---- */

/* XXH3 over the page with its number in place of the seal. */
static uint64_t seal_of(unsigned char page[PAGE_BYTES], int64_t number)
{
    memcpy(page + SEAL_AT, &number, sizeof(number));
    return lh_xxh3(page, PAGE_BYTES);
}

static bool is_page(const struct lh_vfs_file *file, size_t len, int64_t offset)
{
    return file->is_database && len == PAGE_BYTES && offset % PAGE_BYTES == 0;
}

/* Notes whether page `number` is damaged. The list is short and mostly empty. */
static void mark_page(struct lh_index_vfs *vfs, int64_t number, bool damaged)
{
    lh_mutex_lock(&vfs->mutex);
    unsigned count = atomic_load(&vfs->damaged_count);
    unsigned i = 0;
    while (i < count && vfs->damaged_pages[i] != number)
        i++;
    if (damaged && i == count && count < LH_VFS_DAMAGED_PAGES_MAX) {
        vfs->damaged_pages[i] = number;
        atomic_store(&vfs->damaged_count, count + 1);
    } else if (!damaged && i < count) {
        vfs->damaged_pages[i] = vfs->damaged_pages[count - 1];
        atomic_store(&vfs->damaged_count, count - 1);
    }
    lh_mutex_unlock(&vfs->mutex);
}

/* A damaged page is named and still read: its rows have checksums of their own, and one flipped bit
 * must not take its neighbours along. */
static void check_page(struct lh_index_vfs *vfs, unsigned char page[PAGE_BYTES], int64_t number)
{
    uint64_t seal;
    memcpy(&seal, page + SEAL_AT, sizeof(seal));
    bool damaged = seal_of(page, number) != seal;
    memcpy(page + SEAL_AT, &seal, sizeof(seal));
    if (damaged)
        mark_page(vfs, number, true);
}

/* ---- transfers ---- */

static int write_out(struct lh_vfs_file *file, const void *bytes, size_t len, int64_t offset)
{
    if (atomic_load(&file->vfs->failed_errno) != 0)
        return SQLITE_IOERR_WRITE;
    struct lh_error err = LH_ERROR_INIT;
    switch (lh_pwrite_all(file->fd, bytes, len, (uint64_t)offset, "the index", &err)) {
    case LH_OK:
        return SQLITE_OK;
    case LH_STORAGE_FULL:
        return SQLITE_FULL;
    default:
        return SQLITE_IOERR_WRITE;
    }
}

/* Writes what was gathered. After a failure it is gone: the transaction that wrote it fails. */
static int write_gathered(struct lh_vfs_file *file)
{
    size_t len = file->gathered_len;
    file->gathered_len = 0;
    return len > 0 ? write_out(file, file->gathered, len, file->gathered_at) : SQLITE_OK;
}

static int gather(struct lh_vfs_file *file, const void *bytes, size_t len, int64_t offset)
{
    bool follows = offset == file->gathered_at + (int64_t)file->gathered_len;
    if (file->gathered_len > 0 && (!follows || len > GATHER_BYTES - file->gathered_len)) {
        int result = write_gathered(file);
        if (result != SQLITE_OK)
            return result;
    }
    if (len > GATHER_BYTES)
        return write_out(file, bytes, len, offset);
    if (!file->gathered)
        file->gathered = lh_malloc(GATHER_BYTES);
    if (file->gathered_len == 0)
        file->gathered_at = offset;
    memcpy(file->gathered + file->gathered_len, bytes, len);
    file->gathered_len += len;
    return SQLITE_OK;
}

/* Whatever fails here is what an fsync would have failed with. */
static int write_back(struct lh_vfs_file *file)
{
    file->unwritten += PAGE_BYTES;
    if (file->unwritten < WRITE_BACK_BYTES)
        return SQLITE_OK;
    file->unwritten = 0;
    int result;
    do
        result = lh_io->write_back(file->fd);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno == ENOSYS || errno == EINVAL)
        return SQLITE_OK;
    int none = 0;
    atomic_compare_exchange_strong(&file->vfs->failed_errno, &none, errno);
    return SQLITE_IOERR_FSYNC;
}

static int write_page(struct lh_vfs_file *file, const void *bytes, int64_t offset)
{
    unsigned char page[PAGE_BYTES];
    int64_t number = offset / PAGE_BYTES;
    memcpy(page, bytes, SEAL_AT);
    uint64_t seal = seal_of(page, number);
    memcpy(page + SEAL_AT, &seal, sizeof(seal));
    if (atomic_load(&file->vfs->damaged_count) > 0)
        mark_page(file->vfs, number, false);
    int result = write_out(file, page, sizeof(page), offset);
    return result == SQLITE_OK ? write_back(file) : result;
}

int lh_vfs_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    if (file->unsynced_from < 0 || offset < file->unsynced_from)
        file->unsynced_from = offset;
    if (is_page(file, (size_t)len, offset))
        return write_page(file, bytes, offset);
    return file->is_log ? gather(file, bytes, (size_t)len, offset)
                        : write_out(file, bytes, (size_t)len, offset);
}

int lh_vfs_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    int written = write_gathered(file);
    if (written != SQLITE_OK)
        return written;
    char *next = bytes;
    size_t left = (size_t)len;
    while (left > 0) {
        off_t at = offset + (next - (char *)bytes);
        ssize_t got = lh_may_wait() ? lh_io->pread(file->fd, next, left, at)
                                    : lh_io->pread_now(file->fd, next, left, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && !lh_may_wait() && (errno == EAGAIN || errno == EOPNOTSUPP))
            return SQLITE_IOERR_BLOCKED; /* not in memory; see lh_index_fail */
        if (got < 0)
            return SQLITE_IOERR_READ;
        if (got == 0) {
            memset(next, 0, left); /* as SQLite wants what lies beyond the end */
            return SQLITE_IOERR_SHORT_READ;
        }
        next += got;
        left -= (size_t)got;
    }
    if (is_page(file, (size_t)len, offset))
        check_page(file->vfs, bytes, offset / PAGE_BYTES);
    return SQLITE_OK;
}

static int truncate_fd(int fd, int64_t size)
{
    int result;
    do
        result = lh_io->ftruncate(fd, size);
    while (result != 0 && errno == EINTR);
    return result;
}

int lh_vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    int written = write_gathered(file);
    if (written != SQLITE_OK)
        return written;
    if (atomic_load(&file->vfs->failed_errno) != 0)
        return SQLITE_IOERR_TRUNCATE;
    if (file->unsynced_from < 0 || size < file->unsynced_from)
        file->unsynced_from = size;
    return truncate_fd(file->fd, size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

/* ---- fsync ---- */

/* Times one fsync and records a failure. EINTR says nothing about the data, so it is asked again.
 */
static bool sync_fd(struct lh_index_vfs *vfs, int fd, int (*sync)(int fd))
{
    lh_mono start = lh_mono_now();
    int result;
    do
        result = sync(fd);
    while (result != 0 && errno == EINTR);
    int failure = result != 0 ? errno : 0;
    atomic_fetch_add(&vfs->sync_count, 1);
    atomic_fetch_add(&vfs->sync_ns, (uint64_t)lh_mono_since_ns(start));
    if (failure != 0) {
        int none = 0;
        atomic_compare_exchange_strong(&vfs->failed_errno, &none, failure);
    }
    return failure == 0;
}

/* The folder in which the file stands. */
bool lh_vfs_sync_parent(struct lh_index_vfs *vfs, const char *path)
{
    LH_AUTO_FREE char *folder = lh_strdup(path);
    char *slash = strrchr(folder, '/');
    LH_CHECK(slash && slash != folder);
    *slash = '\0';
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        int none = 0;
        atomic_compare_exchange_strong(&vfs->failed_errno, &none, errno);
        return false;
    }
    return sync_fd(vfs, fd, lh_io->fsync);
}

int lh_vfs_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    if (atomic_load(&file->vfs->failed_errno) != 0)
        return SQLITE_IOERR_FSYNC;
    int written = write_gathered(file);
    if (written != SQLITE_OK)
        return written;
    if (!sync_fd(file->vfs, file->fd, lh_io->fdatasync) ||
        (file->name_unsynced && !lh_vfs_sync_parent(file->vfs, file->path))) {
        /* Best effort: if this fails, too, the next start may find the commit, and nobody was told
         * that it happened or that it did not. */
        if (file->is_log && file->unsynced_from >= 0)
            truncate_fd(file->fd, file->unsynced_from);
        return SQLITE_IOERR_FSYNC;
    }
    file->name_unsynced = false;
    file->unsynced_from = -1;
    return SQLITE_OK;
}

int lh_vfs_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    struct stat st;
    int written = write_gathered(lh_vfs_file_of(base));
    if (written != SQLITE_OK)
        return written;
    if (lh_io->fstat(lh_vfs_file_of(base)->fd, &st) != 0)
        return SQLITE_IOERR_FSTAT;
    *ret_size = st.st_size;
    return SQLITE_OK;
}
