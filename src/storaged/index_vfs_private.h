/*
 * The inside of the index's file system: its state, and what its two files share.
 */
#ifndef LH_STORAGED_INDEX_VFS_PRIVATE_H
#define LH_STORAGED_INDEX_VFS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "storaged/index_vfs.h"

enum {
    LH_VFS_PATH_BYTES_MAX = 4096,
    LH_VFS_DAMAGED_PAGES_MAX = 64, /* that are told apart; more count as so many */
};

struct lh_index_vfs {
    sqlite3_vfs base; /* first: SQLite hands it back */
    char name[32];
    pthread_mutex_t mutex;

    unsigned shared_count;              /* files at SHARED or above */
    const struct lh_vfs_file *reserved; /* the one at RESERVED or above, or NULL */
    bool pending;                       /* it waits for the others to leave: no new SHARED */

    char **regions; /* of shared memory; zeroed when made */
    size_t region_count;
    size_t region_capacity;
    unsigned mapped_count; /* files that use them */
    unsigned slot_shared[SQLITE_SHM_NLOCK];
    const struct lh_vfs_file *slot_exclusive[SQLITE_SHM_NLOCK];

    int64_t damaged_pages[LH_VFS_DAMAGED_PAGES_MAX]; /* read and not written anew since */
    atomic_uint damaged_count;

    atomic_uint_fast64_t sync_count;
    atomic_uint_fast64_t sync_ns;
    atomic_int failed_errno;
};

struct lh_vfs_file {
    sqlite3_file base; /* first: SQLite hands it back */
    struct lh_index_vfs *vfs;
    int fd;
    int lock;              /* SQLITE_LOCK_... */
    unsigned slots_shared; /* bit set of shared memory locks */
    bool mapped;
    bool is_log;
    bool is_database;
    bool name_unsynced; /* just created: its folder must be synced with it */
    bool delete_on_close;
    size_t unwritten;      /* bytes of the database since they were last written back */
    int64_t unsynced_from; /* lowest offset written since the last fsync; -1 = none */
    char *gathered;        /* of a WAL: bytes not written yet; made by the first write */
    size_t gathered_len;
    int64_t gathered_at;
    char path[LH_VFS_PATH_BYTES_MAX];
};

static inline struct lh_vfs_file *lh_vfs_file_of(sqlite3_file *file)
{
    return (struct lh_vfs_file *)file;
}

/* index_vfs_io.c: the transfers among SQLite's methods of a file. */
int lh_vfs_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset);
int lh_vfs_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset);
int lh_vfs_truncate(sqlite3_file *base, sqlite3_int64 size);
int lh_vfs_sync(sqlite3_file *base, int flags);
int lh_vfs_size(sqlite3_file *base, sqlite3_int64 *ret_size);
/* fsync of the folder in which `path` stands. */
bool lh_vfs_sync_parent(struct lh_index_vfs *vfs, const char *path);

#endif
