/*
 * What the parts of the index share: the connection, the checksums of rows, the mapping of errors.
 */
#ifndef LH_STORAGED_INDEX_PRIVATE_H
#define LH_STORAGED_INDEX_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "storaged/index.h"
#include "storaged/index_vfs.h"

enum { LH_INDEX_READERS_MAX = 16 };

/* A reader's connection with its statements, which are made when first used. */
struct lh_index_reader {
    struct lh_index_reader *next; /* in the list of idle ones */
    sqlite3 *db;
    sqlite3_stmt *head;
    sqlite3_stmt *get;
    sqlite3_stmt *has_body;
    sqlite3_stmt *walk;
};

struct lh_index {
    char *path;
    struct lh_index_vfs *vfs;
    uint64_t epoch;

    sqlite3 *writer; /* committer thread only, with its statements */
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *find, *put, *put_body, *remove, *remove_body, *add_totals;
    sqlite3 *keeper; /* for checkpoints, one thread at a time */
    /* The transaction's changes of the totals: of all buckets, and of the one at hand. */
    struct lh_index_totals change;
    struct lh_index_totals bucket_change;
    int64_t change_bucket;

    atomic_uint_fast64_t objects; /* totals as of the last commit */
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t log_pages;

    pthread_mutex_t mutex; /* guards the readers; never held across I/O */
    pthread_cond_t reader_free;
    struct lh_index_reader *idle;
    unsigned reader_count; /* idle and busy */
};

/* The failure of `db` as ours; `what` says what was tried. Picks the code from SQLite's. */
lh_code lh_index_fail(sqlite3 *db, const char *what, struct lh_error *err);
lh_code lh_index_exec(sqlite3 *db, const char *sql, struct lh_error *err);
lh_code lh_index_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement,
                         struct lh_error *err);
/* A connection with the settings that all share. */
lh_code lh_index_connect(const struct lh_index *index, bool create, int cache_kib, sqlite3 **ret_db,
                         struct lh_error *err);
/* Closes a connection; its statements must be finalised. */
void lh_index_disconnect(sqlite3 *db);

/* The first columns of every statement that reads rows, in this order. */
#define LH_ROW_COLUMNS "o.key, o.size, o.modified, o.etag, o.content_type, o.body, o.in_file, o.sum"
enum { LH_ROW_COLUMN_COUNT = 8 };
/* Reads them; borrows the key until the next step. Marks the row when its checksum is wrong. */
void lh_index_row_read(sqlite3_stmt *statement, int64_t bucket, lh_str *ret_key,
                       struct lh_index_row *ret_row);

/* XXH3 over all of a row's columns. */
uint64_t lh_index_row_sum(int64_t bucket, lh_str key, const struct lh_index_row *row);
/* XXH3 over a body's checksums, bound to the body's id and size. */
uint64_t lh_index_sums_sum(uint64_t body, uint64_t size, const uint64_t *sums, size_t count);

#endif
