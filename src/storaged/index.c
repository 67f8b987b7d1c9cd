/*
 * The index: opening it, its connections and statements, checkpoints. Rows are written in
 * index_write.c, index_bucket.c and index_parts.c, and read in index_read.c.
 *
 * Invariants:
 * 1. Every row of `objects` and of `versions` (but for delete markers) names one row of `bodies`,
 * or a list in `parts` each of which does; every body belongs to one object or part.
 * 2. A body's id is never used again, also not by a later run: each run has an epoch of its own.
 * 3. The totals in `buckets` change in the transaction that changes objects and parts.
 *
 * The database is in WAL mode with synchronous=FULL: a commit is one fsync of the log. Checkpoints,
 * which write the log's pages to their places, are made by the keeper thread and not by the
 * committer.
 */
#include "storaged/index_private.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    WRITER_CACHE_KIB = 8 << 10,
    KEEPER_CACHE_KIB = 256,
    BUSY_WAIT_MS = 5000,
    FINISH_WAIT_MS = 20, /* for readers to leave the log, while commits wait */
};

/* ---- errors and statements ---- */

lh_code lh_index_fail(sqlite3 *db, const char *what, struct lh_error *err)
{
    int result = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    lh_code code;
    switch (result & 0xff) {
    case SQLITE_FULL:
        code = LH_STORAGE_FULL;
        break;
    case SQLITE_NOMEM:
        code = LH_NO_MEMORY;
        break;
    case SQLITE_IOERR:
        code = result == SQLITE_IOERR_BLOCKED ? LH_WOULD_WAIT : LH_IO;
        break;
    case SQLITE_CANTOPEN:
        code = LH_IO;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = LH_CORRUPT;
        break;
    case SQLITE_BUSY:
        code = LH_BUSY;
        break;
    default:
        code = LH_INTERNAL;
    }
    return lh_fail(err, code, "the index cannot %s: %s (%d)", what, text, result);
}

lh_code lh_index_exec(sqlite3 *db, const char *sql, struct lh_error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return lh_index_fail(db, "be set up", err);
    return LH_OK;
}

lh_code lh_index_query_i64(sqlite3 *db, const char *sql, int64_t *ret, struct lh_error *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        return lh_index_fail(db, "prepare a statement", err);
    lh_code code = LH_OK;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        code = lh_index_fail(db, "read its own head", err);
    sqlite3_finalize(statement);
    return code;
}

static const char *const statement_texts[] = {
#define LH_SQL(name, text) [LH_SQL_##name] = (text),
#include "storaged/index_sql.def"
#undef LH_SQL
};

lh_code lh_index_statement(struct lh_index_connection *connection, enum lh_index_sql sql,
                           sqlite3_stmt **ret_statement, struct lh_error *err)
{
    sqlite3_stmt **statement = &connection->statements[sql];
    if (!*statement && sqlite3_prepare_v3(connection->db, statement_texts[sql], -1,
                                          SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return lh_index_fail(connection->db, "prepare a statement", err);
    *ret_statement = *statement;
    return LH_OK;
}

lh_code lh_index_version_statement(struct lh_index_connection *connection,
                                   const struct lh_index_lookup *lookup, int64_t bucket, lh_str key,
                                   struct lh_version version, sqlite3_stmt **ret_statement,
                                   struct lh_error *err)
{
    enum lh_index_sql sql = lookup->current;
    if (version.kind != LH_VERSION_CURRENT)
        sql = version.kind == LH_VERSION_NULL ? lookup->null : lookup->numbered;
    LH_TRY(lh_index_statement(connection, sql, ret_statement, err));
    lh_index_bind_key(*ret_statement, bucket, key);
    if (version.kind == LH_VERSION_NUMBERED)
        sqlite3_bind_int64(*ret_statement, 3, (int64_t)version.number);
    return LH_OK;
}

void lh_index_done(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* they borrow the caller's memory */
}

lh_code lh_index_run(struct lh_index_connection *connection, sqlite3_stmt *statement,
                     const char *what, struct lh_error *err)
{
    lh_code code = LH_OK;
    if (sqlite3_step(statement) != SQLITE_DONE)
        code = lh_index_fail(connection->db, what, err);
    lh_index_done(statement);
    return code;
}

lh_code lh_index_step(struct lh_index_connection *connection, sqlite3_stmt *statement,
                      const char *what, bool *ret_row, struct lh_error *err)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return lh_index_fail(connection->db, what, err);
    *ret_row = result == SQLITE_ROW;
    return LH_OK;
}

/* ---- opening ---- */

lh_code lh_index_connect(const struct lh_index *index, int flags, int cache_kib, sqlite3 **ret_db,
                         struct lh_error *err)
{
    sqlite3 *db = NULL;
    char settings[160];
    snprintf(settings, sizeof(settings),
             "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-%d;"
             "PRAGMA page_size=%d;",
             cache_kib, LH_INDEX_PAGE_BYTES);
    lh_code code;
    flags |= SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(index->path, &db, flags, lh_index_vfs_name(index->vfs)) != SQLITE_OK) {
        code = lh_index_fail(db, "be opened", err);
    } else {
        sqlite3_extended_result_codes(db, 1);
        sqlite3_busy_timeout(db, BUSY_WAIT_MS);
        code = lh_index_exec(db, settings, err);
    }
    if (code != LH_OK) {
        lh_index_disconnect(db);
        return code;
    }
    *ret_db = db;
    return LH_OK;
}

void lh_index_disconnect(sqlite3 *db)
{
    LH_CHECK(sqlite3_close(db) == SQLITE_OK); /* BUSY would be a statement forgotten */
}

void lh_index_connection_free(struct lh_index_connection *connection)
{
    if (!connection)
        return;
    for (size_t i = 0; i < LH_SQL_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    lh_index_disconnect(connection->db);
    free(connection);
}

static int on_commit(void *ctx, sqlite3 *db, const char *name, int page_count)
{
    (void)db, (void)name;
    struct lh_index *index = ctx;
    atomic_store(&index->log_pages, (uint64_t)page_count);
    return SQLITE_OK;
}

/* An epoch of this run's own, durable before it is used. */
static lh_code begin_epoch(struct lh_index *index, sqlite3 *db, struct lh_error *err)
{
    LH_TRY(lh_index_exec(db, "UPDATE meta SET value=value+1 WHERE name='epoch'", err));
    int64_t epoch = 0;
    LH_TRY(lh_index_query_i64(db, "SELECT value FROM meta WHERE name='epoch'", &epoch, err));
    if (epoch <= 0 || epoch >= INT64_C(1) << (63 - LH_EPOCH_SHIFT))
        return lh_fail(err, LH_CORRUPT, "%s: epoch %" PRId64 " cannot be", index->path, epoch);
    index->epoch = (uint64_t)epoch;
    return LH_OK;
}

static lh_code open_writer(struct lh_index *index, struct lh_error *err)
{
    enum { FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };
    index->writer = lh_calloc(1, sizeof(*index->writer));
    LH_TRY(lh_index_connect(index, FLAGS, WRITER_CACHE_KIB, &index->writer->db, err));
    sqlite3 *db = index->writer->db;
    int reserved = LH_INDEX_SEAL_BYTES; /* counts for a new database only */
    sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    LH_TRY(lh_index_exec(db,
                         "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "PRAGMA wal_autocheckpoint=0; PRAGMA cache_spill=OFF;",
                         err));
    LH_TRY(lh_index_prepare_schema(db, index->path, err));
    sqlite3_wal_hook(db, on_commit, index);
    lh_code code = begin_epoch(index, db, err);
    if (code != LH_OK && code != LH_STORAGE_FULL)
        return code;
    LH_TRY(lh_index_connect(index, SQLITE_OPEN_READWRITE, KEEPER_CACHE_KIB, &index->keeper, err));
    return lh_index_exec(index->keeper, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;",
                         err);
}

static struct lh_index *new_index(const char *dir)
{
    struct lh_index *index = lh_calloc(1, sizeof(*index));
    lh_mutex_init(&index->mutex);
    lh_cond_init(&index->reader_free);
    index->path = lh_asprintf("%s/index.db", dir);
    index->vfs = lh_index_vfs_new();
    return index;
}

static lh_code require_file(const struct lh_index *index, struct lh_error *err)
{
    struct stat st;
    if (stat(index->path, &st) == 0 && st.st_size > 0)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG, "%s is missing", index->path), "the hint returns it");
    return lh_hint(err, "restore it from a backup of the whole folder");
}

static lh_code finish_open(struct lh_index *index, lh_code code, struct lh_index **ret_index)
{
    if (code == LH_OK)
        *ret_index = index;
    else
        lh_index_close(index);
    return code;
}

lh_code lh_index_open(const char *dir, bool must_exist, struct lh_index **ret_index,
                      struct lh_error *err)
{
    struct lh_index *index = new_index(dir);
    lh_code code = must_exist ? require_file(index, err) : LH_OK;
    if (code == LH_OK)
        code = open_writer(index, err);
    return finish_open(index, code, ret_index);
}

static lh_code open_to_check(struct lh_index *index, struct lh_error *err)
{
    LH_TRY(require_file(index, err));
    LH_TRY(lh_index_connect(index, SQLITE_OPEN_READWRITE, KEEPER_CACHE_KIB, &index->keeper, err));
    LH_TRY(lh_index_require_schema(index->keeper, index->path, err));
    int64_t epoch = 0;
    LH_TRY(lh_index_query_i64(index->keeper, "SELECT value FROM meta WHERE name='epoch'", &epoch,
                              err));
    index->epoch = (uint64_t)epoch + 1; /* that of the next start: no upload is in flight */
    return LH_OK;
}

lh_code lh_index_open_to_check(const char *dir, struct lh_index **ret_index, struct lh_error *err)
{
    struct lh_index *index = new_index(dir);
    return finish_open(index, open_to_check(index, err), ret_index);
}

void lh_index_close(struct lh_index *index)
{
    if (!index)
        return;
    while (index->idle) {
        struct lh_index_connection *reader = index->idle;
        index->idle = reader->next;
        index->reader_count--;
        lh_index_connection_free(reader);
    }
    LH_CHECK(index->reader_count == 0);
    lh_index_disconnect(index->keeper);
    lh_index_connection_free(index->writer); /* the last one brings the log home */
    lh_index_vfs_free(index->vfs);
    pthread_cond_destroy(&index->reader_free);
    pthread_mutex_destroy(&index->mutex);
    free(index->path);
    free(index);
}

uint64_t lh_index_epoch(const struct lh_index *index)
{
    return index->epoch;
}

/* ---- upkeep ---- */

uint64_t lh_index_log_bytes(const struct lh_index *index)
{
    return atomic_load(&index->log_pages) * LH_INDEX_PAGE_BYTES;
}

lh_code lh_index_checkpoint(struct lh_index *index, bool finish, struct lh_error *err)
{
    int mode = finish ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
    sqlite3_busy_timeout(index->keeper, finish ? FINISH_WAIT_MS : 0);
    int result = sqlite3_wal_checkpoint_v2(index->keeper, NULL, mode, NULL, NULL);
    /* BUSY: readers are still in the log. Then it goes on growing until the next turn. */
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
        return lh_index_fail(index->keeper, "bring its log home", err);
    if (finish && result == SQLITE_OK)
        atomic_store(&index->log_pages, 0);
    return LH_OK;
}

void lh_index_disk_stats(const struct lh_index *index, struct lh_index_disk_stats *ret)
{
    lh_index_vfs_stats(index->vfs, ret);
}
