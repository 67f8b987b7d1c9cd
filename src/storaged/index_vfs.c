/*
 * The virtual file system under the index (https://www.sqlite.org/vfs.html): names, locks and
 * shared memory. Transfers and fsync are in index_vfs_io.c.
 *
 * Locks and the shared memory of the write-ahead log live in this process, not in files: the
 * store's LOCK file keeps other processes out. This also saves the system calls of fcntl locks.
 *
 * Locking: `mutex` guards the lock levels, the shared memory and the list of damaged pages; it is
 * never held across I/O. SQLite uses one file in one thread at a time. The order of the lock levels
 * is SQLite's: SHARED, RESERVED, PENDING, EXCLUSIVE.
 */
#include "storaged/index_vfs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "storaged/index.h"

enum { SECTOR_BYTES = 4096 };

/* ---- locks of the database file ---- */

static int lock_level(struct lh_index_vfs *vfs, struct lh_vfs_file *file, int level)
{
    bool other_reserved = vfs->reserved && vfs->reserved != file;
    if (level == SQLITE_LOCK_SHARED) {
        if (vfs->pending)
            return SQLITE_BUSY;
        vfs->shared_count++;
        file->lock = SQLITE_LOCK_SHARED;
        return SQLITE_OK;
    }
    if (other_reserved)
        return SQLITE_BUSY;
    vfs->reserved = file;
    if (level == SQLITE_LOCK_RESERVED) {
        file->lock = SQLITE_LOCK_RESERVED;
        return SQLITE_OK;
    }
    vfs->pending = true;
    file->lock = SQLITE_LOCK_PENDING;
    if (vfs->shared_count > 1)
        return SQLITE_BUSY;
    file->lock = SQLITE_LOCK_EXCLUSIVE;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    if (file->lock >= level)
        return SQLITE_OK;
    lh_mutex_lock(&file->vfs->mutex);
    int result = lock_level(file->vfs, file, level);
    lh_mutex_unlock(&file->vfs->mutex);
    return result;
}

static int file_unlock(sqlite3_file *base, int level)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    struct lh_index_vfs *vfs = file->vfs;
    if (file->lock <= level)
        return SQLITE_OK;
    lh_mutex_lock(&vfs->mutex);
    if (vfs->reserved == file) {
        vfs->reserved = NULL;
        vfs->pending = false;
    }
    if (level == SQLITE_LOCK_NONE)
        vfs->shared_count--;
    file->lock = level;
    lh_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *ret_reserved)
{
    struct lh_index_vfs *vfs = lh_vfs_file_of(base)->vfs;
    lh_mutex_lock(&vfs->mutex);
    *ret_reserved = vfs->reserved != NULL;
    lh_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

/* ---- shared memory of the write-ahead log ---- */

static int file_shm_map(sqlite3_file *base, int region, int region_bytes, int extend,
                        void volatile **ret_memory)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    struct lh_index_vfs *vfs = file->vfs;
    size_t need = (size_t)region + 1;
    lh_mutex_lock(&vfs->mutex);
    if (!file->mapped) {
        file->mapped = true;
        vfs->mapped_count++;
    }
    if (extend && vfs->region_count < need) {
        vfs->regions = lh_grow(vfs->regions, &vfs->region_capacity, need, sizeof(*vfs->regions));
        while (vfs->region_count < need)
            vfs->regions[vfs->region_count++] = lh_calloc(1, (size_t)region_bytes);
    }
    *ret_memory = vfs->region_count < need ? NULL : vfs->regions[region];
    lh_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

static void unlock_slots(struct lh_index_vfs *vfs, struct lh_vfs_file *file, int first, int count)
{
    for (int slot = first; slot < first + count; slot++) {
        if (vfs->slot_exclusive[slot] == file)
            vfs->slot_exclusive[slot] = NULL;
        if (file->slots_shared & (1u << slot)) {
            file->slots_shared &= ~(1u << slot);
            vfs->slot_shared[slot]--;
        }
    }
}

static int lock_slots(struct lh_index_vfs *vfs, struct lh_vfs_file *file, int first, int count,
                      bool exclusive)
{
    for (int slot = first; slot < first + count; slot++) {
        if (vfs->slot_exclusive[slot] && vfs->slot_exclusive[slot] != file)
            return SQLITE_BUSY;
        if (exclusive && vfs->slot_shared[slot] > 0)
            return SQLITE_BUSY;
    }
    for (int slot = first; slot < first + count; slot++) {
        if (exclusive) {
            vfs->slot_exclusive[slot] = file;
        } else if (!(file->slots_shared & (1u << slot))) {
            file->slots_shared |= 1u << slot;
            vfs->slot_shared[slot]++;
        }
    }
    return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    LH_CHECK(first >= 0 && count > 0 && first + count <= SQLITE_SHM_NLOCK);
    int result = SQLITE_OK;
    lh_mutex_lock(&file->vfs->mutex);
    if (flags & SQLITE_SHM_UNLOCK)
        unlock_slots(file->vfs, file, first, count);
    else
        result = lock_slots(file->vfs, file, first, count, flags & SQLITE_SHM_EXCLUSIVE);
    lh_mutex_unlock(&file->vfs->mutex);
    return result;
}

static void file_shm_barrier(sqlite3_file *base)
{
    struct lh_index_vfs *vfs = lh_vfs_file_of(base)->vfs;
    __sync_synchronize();
    lh_mutex_lock(&vfs->mutex); /* also a barrier for compilers and race detectors */
    lh_mutex_unlock(&vfs->mutex);
}

static int file_shm_unmap(sqlite3_file *base, int delete_it)
{
    (void)delete_it; /* gone with its last user, as the log itself */
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    struct lh_index_vfs *vfs = file->vfs;
    if (!file->mapped)
        return SQLITE_OK;
    lh_mutex_lock(&vfs->mutex);
    unlock_slots(vfs, file, 0, SQLITE_SHM_NLOCK);
    file->mapped = false;
    if (--vfs->mapped_count == 0) {
        while (vfs->region_count > 0)
            free(vfs->regions[--vfs->region_count]);
    }
    lh_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

/* ---- facts ---- */

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base, (void)operation, (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

/* As SQLite assumes of every disk by default: a write that is cut by a power loss does not touch
 * bytes beside it. The checksums of the WAL find a torn commit. */
static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int file_close(sqlite3_file *base)
{
    struct lh_vfs_file *file = lh_vfs_file_of(base);
    file_shm_unmap(base, 0);
    file_unlock(base, SQLITE_LOCK_NONE);
    free(file->gathered); /* what is in it was never committed */
    lh_io->close(file->fd);
    if (file->delete_on_close)
        lh_io->unlinkat(AT_FDCWD, file->path, 0);
    return SQLITE_OK;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = lh_vfs_read,
    .xWrite = lh_vfs_write,
    .xTruncate = lh_vfs_truncate,
    .xSync = lh_vfs_sync,
    .xFileSize = lh_vfs_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the file system ---- */

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *ret_file, int flags,
                    int *ret_flags)
{
    struct lh_vfs_file *file = lh_vfs_file_of(ret_file);
    *file = (struct lh_vfs_file){.fd = -1, .unsynced_from = -1};
    /* No path: a temporary file, which temp_store=MEMORY does away with. */
    if (!path || strlen(path) >= sizeof(file->path))
        return SQLITE_CANTOPEN;
    memcpy(file->path, path, strlen(path) + 1);

    int open_flags = flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY;
    struct stat st;
    bool create = flags & SQLITE_OPEN_CREATE;
    bool existed = fstatat(AT_FDCWD, path, &st, 0) == 0;
    if (create)
        open_flags |= O_CREAT | (flags & SQLITE_OPEN_EXCLUSIVE ? O_EXCL : 0);
    do
        file->fd = lh_io->openat(AT_FDCWD, path, open_flags, 0600);
    while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0)
        return SQLITE_CANTOPEN;

    file->vfs = base->pAppData;
    file->is_log = flags & SQLITE_OPEN_WAL;
    file->is_database = flags & SQLITE_OPEN_MAIN_DB;
    file->name_unsynced = create && !existed;
    file->delete_on_close = flags & SQLITE_OPEN_DELETEONCLOSE;
    file->base.pMethods = &file_methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_dir)
{
    struct lh_index_vfs *vfs = base->pAppData;
    if (atomic_load(&vfs->failed_errno) != 0)
        return SQLITE_IOERR_DELETE;
    if (lh_io->unlinkat(AT_FDCWD, path, 0) != 0)
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    return !sync_dir || lh_vfs_sync_parent(vfs, path) ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *ret_result)
{
    (void)base;
    /* As SQLite's own: an empty file does not exist. A WAL without a header is no log. */
    struct stat st;
    if (flags == SQLITE_ACCESS_EXISTS)
        *ret_result =
            fstatat(AT_FDCWD, path, &st, 0) == 0 && (!S_ISREG(st.st_mode) || st.st_size > 0);
    else
        *ret_result = faccessat(AT_FDCWD, path, R_OK | W_OK, 0) == 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *path, int out_bytes, char *out)
{
    (void)base; /* the index is always opened by an absolute path */
    size_t len = strlen(path) + 1;
    if (path[0] != '/' || len > (size_t)out_bytes)
        return SQLITE_CANTOPEN;
    memcpy(out, path, len);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *base, int len, char *out)
{
    (void)base;
    lh_random_bytes(out, (size_t)len);
    return len;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    lh_sleep_ms((microseconds + 999) / 1000);
    return microseconds;
}

static int vfs_now(sqlite3_vfs *base, sqlite3_int64 *ret_ms)
{
    (void)base;
    *ret_ms = lh_now_ms() + INT64_C(210866760000000); /* 1970-01-01 as a Julian day */
    return SQLITE_OK;
}

static int vfs_now_days(sqlite3_vfs *base, double *ret_days)
{
    sqlite3_int64 ms;
    vfs_now(base, &ms);
    *ret_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int len, char *text)
{
    (void)base, (void)len, (void)text;
    return errno;
}

struct lh_index_vfs *lh_index_vfs_new(void)
{
    struct lh_index_vfs *vfs = lh_calloc(1, sizeof(*vfs));
    snprintf(vfs->name, sizeof(vfs->name), "lh-%p", (void *)vfs);
    lh_mutex_init(&vfs->mutex);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct lh_vfs_file),
        .mxPathname = LH_VFS_PATH_BYTES_MAX - 1,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_now_days,
        .xCurrentTimeInt64 = vfs_now,
        .xGetLastError = vfs_last_error,
    };
    LH_CHECK(sqlite3_vfs_register(&vfs->base, 0) == SQLITE_OK);
    return vfs;
}

void lh_index_vfs_free(struct lh_index_vfs *vfs)
{
    if (!vfs)
        return;
    LH_CHECK(vfs->shared_count == 0 && vfs->mapped_count == 0);
    sqlite3_vfs_unregister(&vfs->base);
    pthread_mutex_destroy(&vfs->mutex);
    free(vfs->regions);
    free(vfs);
}

const char *lh_index_vfs_name(const struct lh_index_vfs *vfs)
{
    return vfs->name;
}

void lh_index_vfs_stats(const struct lh_index_vfs *vfs, struct lh_index_disk_stats *ret)
{
    *ret = (struct lh_index_disk_stats){
        .damaged_pages = atomic_load(&vfs->damaged_count),
        .sync_count = atomic_load(&vfs->sync_count),
        .sync_ns = atomic_load(&vfs->sync_ns),
        .failed_errno = atomic_load(&vfs->failed_errno),
    };
}
