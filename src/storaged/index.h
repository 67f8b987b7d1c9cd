/*
 * The index: which objects there are, and the payload of the small ones, in one SQLite database.
 * The only part that knows SQLite (index*.c). Tables and invariants: docs/formats/store.md.
 *
 * One writer (the committer thread) and any number of readers, which never wait for each other. A
 * reader sees the last commit. The database's files are read and written through lh_io
 * (index_vfs.c).
 */
#ifndef LH_STORAGED_INDEX_H
#define LH_STORAGED_INDEX_H

#include "storaged/storaged.h"

struct lh_index;

/* A row. `body` is the object's body id: the file's name when in_file, else that of the payload. */
struct lh_index_row {
    struct lh_store_info info;
    uint64_t body;
    bool in_file;
    bool damaged; /* set by reading: the row does not match its checksum */
};

/* The body's part: one XXH3 for each block, and the payload of an inline object. */
struct lh_index_body {
    const uint64_t *sums;
    size_t sum_count;
    const void *payload; /* NULL when in_file */
};

/* Opens or makes the database `dir`/index.db. With `must_exist` a missing one is LH_INVALID_CONFIG;
 * so is one of a newer version. Starts a new epoch of body ids (lh_index_epoch). */
lh_code lh_index_open(const char *dir, bool must_exist, struct lh_index **ret_index,
                      struct lh_error *err);
void lh_index_close(struct lh_index *index); /* accepts NULL */

/* Body ids of this run are epoch << LH_EPOCH_SHIFT plus a count: never used twice, by no run. 0:
 * the disk was too full to note the new epoch; then nothing may be put. */
enum { LH_EPOCH_SHIFT = 40 };
uint64_t lh_index_epoch(const struct lh_index *index);

struct lh_index_totals {
    uint64_t objects;
    uint64_t bytes;
};

/* ---- the writer: committer thread only. A failure of any but begin ends the transaction. ---- */

lh_code lh_index_begin(struct lh_index *index, struct lh_error *err);
/* The row as this transaction sees it; *ret_found false when there is none. */
lh_code lh_index_find(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err);
/* `old` is what find gave, or NULL: its body goes with it (unless damaged: then nobody knows
 * whose). */
lh_code lh_index_put(struct lh_index *index, int64_t bucket, lh_str key,
                     const struct lh_index_row *row, const struct lh_index_body *body,
                     const struct lh_index_row *old, struct lh_error *err);
lh_code lh_index_remove(struct lh_index *index, int64_t bucket, lh_str key,
                        const struct lh_index_row *old, struct lh_error *err);
/* Durable when it returns LH_OK. */
lh_code lh_index_commit(struct lh_index *index, struct lh_error *err);
void lh_index_rollback(struct lh_index *index);
/* Sums over all buckets as of the last commit. thread-safe. */
struct lh_index_totals lh_index_totals(struct lh_index *index);

/* ---- readers: thread-safe ---- */

struct lh_index_object {
    struct lh_index_row row;
    uint64_t *sums; /* all three owned by the caller: lh_index_object_deinit */
    size_t sum_count;
    char *payload;
};
void lh_index_object_deinit(struct lh_index_object *object);

/* LH_NOT_FOUND. A damaged row is found and marked so. */
lh_code lh_index_head(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, struct lh_error *err);
/* With sums and payload; LH_CORRUPT when row or sums do not match their checksums. */
lh_code lh_index_get(struct lh_index *index, int64_t bucket, lh_str key,
                     struct lh_index_object *ret_object, struct lh_error *err);
/* Whether a body of that id is known. */
lh_code lh_index_has_body(struct lh_index *index, uint64_t body, bool *ret_known,
                          struct lh_error *err);

/* A walk over keys in byte order in one snapshot; holds a connection until it ends. */
struct lh_index_walk;
lh_code lh_index_walk_begin(struct lh_index *index, int64_t bucket, struct lh_index_walk **ret_walk,
                            struct lh_error *err);
/* Goes to the first key that is not before `from`, and to the end when there is none. */
lh_code lh_index_walk_seek(struct lh_index_walk *walk, lh_str from, struct lh_error *err);
/* The next key, borrowed until the next call; *ret_key.ptr is NULL at the end. */
lh_code lh_index_walk_next(struct lh_index_walk *walk, lh_str *ret_key,
                           struct lh_index_row *ret_row, struct lh_error *err);
void lh_index_walk_end(struct lh_index_walk *walk); /* accepts NULL */

/* ---- upkeep ---- */

/* Bytes of the write-ahead log that are not home yet, as of the last commit. thread-safe. */
uint64_t lh_index_log_bytes(const struct lh_index *index);
/* Copies the log into the database. `finish`: also lets the next commit start it anew; the caller
 * then keeps commits away for the length of the call. One thread at a time. */
lh_code lh_index_checkpoint(struct lh_index *index, bool finish, struct lh_error *err);

struct lh_index_disk_stats {
    uint64_t sync_count;
    uint64_t sync_ns;
    int failed_errno; /* of the first fsync that failed, else 0: from then on nothing is written */
    unsigned damaged_pages; /* found so by reading, and not written anew since */
};
void lh_index_disk_stats(const struct lh_index *index, struct lh_index_disk_stats *ret);

#endif
