/*
 * What the parts of the index share: connections and their statements, the checksums of rows, the
 * mapping of errors.
 */
#ifndef LH_STORAGED_INDEX_PRIVATE_H
#define LH_STORAGED_INDEX_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "storaged/index.h"
#include "storaged/index_vfs.h"

enum { LH_INDEX_READERS_MAX = 16 };

enum lh_index_sql {
#define LH_SQL(name, text) LH_SQL_##name,
#include "storaged/index_sql.def"
#undef LH_SQL
    LH_SQL_COUNT
};

/* Used by one thread at a time. */
struct lh_index_connection {
    struct lh_index_connection *next; /* in the list of idle readers */
    sqlite3 *db;
    sqlite3_stmt *statements[LH_SQL_COUNT]; /* NULL until first used */
};

struct lh_index {
    char *path;
    struct lh_index_vfs *vfs;
    uint64_t epoch;

    struct lh_index_connection *writer; /* committer thread only */
    sqlite3 *keeper;                    /* for checkpoints, one thread at a time */
    atomic_uint_fast64_t log_pages;     /* as of the last commit */

    pthread_mutex_t mutex; /* guards the readers; never held across I/O */
    pthread_cond_t reader_free;
    struct lh_index_connection *idle;
    unsigned reader_count; /* idle and busy */
};

/* ---- index.c ---- */

/* The failure of `db` as ours; `what` says what was tried. Picks the code from SQLite's. */
lh_code lh_index_fail(sqlite3 *db, const char *what, struct lh_error *err);
lh_code lh_index_exec(sqlite3 *db, const char *sql, struct lh_error *err);
/* One integer from the first row. */
lh_code lh_index_query_i64(sqlite3 *db, const char *sql, int64_t *ret, struct lh_error *err);
/* A connection with the settings that all share; `flags` of sqlite3_open_v2. */
lh_code lh_index_connect(const struct lh_index *index, int flags, int cache_kib, sqlite3 **ret_db,
                         struct lh_error *err);
/* Closes a connection; its statements must be finalised. */
void lh_index_disconnect(sqlite3 *db);
void lh_index_connection_free(struct lh_index_connection *connection); /* accepts NULL */

/* The statement, ready to be bound. */
lh_code lh_index_statement(struct lh_index_connection *connection, enum lh_index_sql sql,
                           sqlite3_stmt **ret_statement, struct lh_error *err);
/* Runs one that gives no rows, and makes it ready for the next use. */
lh_code lh_index_run(struct lh_index_connection *connection, sqlite3_stmt *statement,
                     const char *what, struct lh_error *err);
/* To the next row: *ret_row says whether there is one. The caller ends with lh_index_done. */
lh_code lh_index_step(struct lh_index_connection *connection, sqlite3_stmt *statement,
                      const char *what, bool *ret_row, struct lh_error *err);
void lh_index_done(sqlite3_stmt *statement);

/* ---- index_schema.c ---- */

/* Makes the tables of a new database, brings an older one up to date, refuses one that is not ours
 * or newer. */
lh_code lh_index_prepare_schema(sqlite3 *db, const char *path, struct lh_error *err);
/* LH_INVALID_CONFIG unless it is of exactly this version. */
lh_code lh_index_require_schema(sqlite3 *db, const char *path, struct lh_error *err);

/* ---- index_read.c ---- */

lh_code lh_index_take_reader(struct lh_index *index, struct lh_index_connection **ret_reader,
                             struct lh_error *err);
void lh_index_give_reader(struct lh_index *index, struct lh_index_connection *reader);
/* From a statement whose column `first` holds sums, sums_sum, payload. */
lh_code lh_index_body_read(sqlite3_stmt *statement, int first, uint64_t body, uint64_t size,
                           bool in_file, struct lh_index_object *ret_object, struct lh_error *err);

/* The same with headers, tags, sum. */
lh_code lh_index_texts_read(sqlite3_stmt *statement, int first, uint64_t body,
                            struct lh_index_object *ret_object, struct lh_error *err);

/* ---- index_write.c ---- */

lh_code lh_index_put_body(struct lh_index *index, uint64_t id, uint64_t size,
                          const struct lh_index_body *body, struct lh_error *err);
lh_code lh_index_remove_body(struct lh_index *index, uint64_t id, struct lh_error *err);
lh_code lh_index_put_attributes(struct lh_index *index, uint64_t body,
                                const struct lh_index_attributes *attributes, struct lh_error *err);
/* Runs a writer's statement whose only parameter is this number. */
lh_code lh_index_run_id(struct lh_index *index, enum lh_index_sql sql, uint64_t id,
                        const char *what, struct lh_error *err);

/* ---- index_row.c: rows as statements have them, and their checksums ---- */

enum { LH_ROW_COLUMN_COUNT = 11 }; /* of LH_ROW_COLUMNS */
enum {
    LH_ROW_IN_FILE = 1,
    LH_ROW_HAS_ATTRIBUTES = 2,
    LH_ROW_IN_PARTS = 4,
    LH_ROW_HAS_CHECKSUM = 8,
    LH_ROW_HIDDEN = 16, /* of an upload */
    LH_ROW_NULL_VERSION = 32,
    LH_ROW_DELETE_MARKER = 64,
};

/* A statement that finds one version of a key: `current`, or the one of `other` for its kind. */
struct lh_index_lookup {
    enum lh_index_sql current;
    enum lh_index_sql null;
    enum lh_index_sql numbered;
};
lh_code lh_index_version_statement(struct lh_index_connection *connection,
                                   const struct lh_index_lookup *lookup, int64_t bucket, lh_str key,
                                   struct lh_version version, sqlite3_stmt **ret_statement,
                                   struct lh_error *err);

void lh_index_bind_key(sqlite3_stmt *statement, int64_t bucket, lh_str key);
/* Of an empty text too: a NULL pointer would bind NULL. */
void lh_index_bind_blob(sqlite3_stmt *statement, int column, lh_str bytes);

/* Reads LH_ROW_COLUMNS; borrows the key until the next step. Marks the row when its checksum is
 * wrong. */
void lh_index_row_read(sqlite3_stmt *statement, int64_t bucket, lh_str *ret_key,
                       struct lh_index_row *ret_row);
/* Binds all parameters of LH_SQL_PUT and PUT_VERSION; borrows key and row until the statement has
 * run. */
void lh_index_row_bind(sqlite3_stmt *statement, int64_t bucket, lh_str key,
                       const struct lh_index_row *row);

/* Reads LH_UPLOAD_COLUMNS. */
void lh_index_upload_read(sqlite3_stmt *statement, int64_t *ret_bucket, lh_str *ret_key,
                          struct lh_index_upload *ret_upload);
void lh_index_upload_bind(sqlite3_stmt *statement, int64_t bucket, lh_str key,
                          const struct lh_index_upload *upload);
/* Reads LH_PART_COLUMNS. */
void lh_index_part_read(sqlite3_stmt *statement, uint64_t list, struct lh_index_part *ret_part);
void lh_index_part_bind(sqlite3_stmt *statement, uint64_t list, const struct lh_index_part *part);

/* What the column public_rights holds: the rights, and behind them how the bucket is versioned. */
enum { LH_BUCKET_VERSIONING_SHIFT = 2, LH_BUCKET_RIGHTS_MASK = 3 };
uint64_t lh_index_bucket_settings(const struct lh_bucket *bucket);
uint64_t lh_index_bucket_sum(const struct lh_bucket *bucket);
/* XXH3 over a body's checksums, bound to the body's id and size. */
uint64_t lh_index_sums_sum(uint64_t body, uint64_t size, const uint64_t *sums, size_t count);
/* XXH3 over two texts, bound to what they belong to. */
uint64_t lh_index_texts_sum(uint64_t owner, uint64_t kind, lh_str a, lh_str b);

/* Copies a text column of at most out_size - 1 bytes without NUL; false when it is another. */
bool lh_index_copy_text(sqlite3_stmt *statement, int column, char *out, size_t out_size);

#endif
