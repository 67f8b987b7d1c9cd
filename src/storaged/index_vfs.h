/*
 * SQLite's door to the disk: a virtual file system of ours, so that every read, write and fsync of
 * the index goes through lh_io and can be failed, counted and timed. One instance serves the
 * connections of one database in one process.
 */
#ifndef LH_STORAGED_INDEX_VFS_H
#define LH_STORAGED_INDEX_VFS_H

#include <sqlite3.h>
#include <stdint.h>

struct lh_index_vfs;
struct lh_index_disk_stats;

/* Pages of the database; the last bytes of each hold its seal (SQLite's "reserved" bytes). */
enum { LH_INDEX_PAGE_BYTES = 4096, LH_INDEX_SEAL_BYTES = 8 };

/* Registered under a name of its own until it is freed. */
struct lh_index_vfs *lh_index_vfs_new(void);
/* All connections must be closed. Accepts NULL. */
void lh_index_vfs_free(struct lh_index_vfs *vfs);
const char *lh_index_vfs_name(const struct lh_index_vfs *vfs);
/* thread-safe */
void lh_index_vfs_stats(const struct lh_index_vfs *vfs, struct lh_index_disk_stats *ret);

#endif
