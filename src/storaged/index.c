/*
 * The index: opening it, its schema, and the writer. The tables, their checksums and what holds
 * between them are described in docs/formats/store.md; change both together, and raise
 * SCHEMA_VERSION.
 *
 * Invariants:
 * 1. Every row of `objects` names one row of `bodies`, and every body belongs to one object.
 * 2. A body's id is never used again, also not by a later run: each run has an epoch of its own.
 * 3. The totals in `buckets` change in the transaction that changes the objects.
 *
 * The database is in WAL mode with synchronous=FULL: a commit is one fsync of the log. Checkpoints,
 * which write the log's pages to their places, are made by the keeper thread and not by the
 * committer.
 */
#include "storaged/index_private.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    SCHEMA_VERSION = 1,
    APPLICATION_ID = 0x4c484f53, /* "LHOS" */
    WRITER_CACHE_KIB = 8 << 10,
    KEEPER_CACHE_KIB = 256,
    BUSY_WAIT_MS = 5000,
    FINISH_WAIT_MS = 20, /* for readers to leave the log, while commits wait */
};

static const char schema[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;"
    "CREATE TABLE buckets(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  objects INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
    "CREATE TABLE objects(bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,"
    "  modified INTEGER NOT NULL, etag TEXT NOT NULL, content_type TEXT NOT NULL,"
    "  body INTEGER NOT NULL, in_file INTEGER NOT NULL, sum INTEGER NOT NULL,"
    "  PRIMARY KEY(bucket, key)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE bodies(id INTEGER PRIMARY KEY, sums BLOB NOT NULL, sums_sum INTEGER NOT NULL,"
    "  payload BLOB) STRICT;"
    "INSERT INTO meta VALUES('epoch', 0);"
    "INSERT INTO buckets VALUES(1, 'lake', 0, 0);";

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

lh_code lh_index_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement,
                         struct lh_error *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL) !=
        SQLITE_OK)
        return lh_index_fail(db, "prepare a statement", err);
    return LH_OK;
}

/* Runs a statement that gives no rows, and resets it. */
static lh_code run(sqlite3 *db, sqlite3_stmt *statement, const char *what, struct lh_error *err)
{
    lh_code code = LH_OK;
    if (sqlite3_step(statement) != SQLITE_DONE)
        code = lh_index_fail(db, what, err);
    sqlite3_reset(statement);
    return code;
}

/* One integer from one row. */
static lh_code query_i64(sqlite3 *db, const char *sql, int64_t *ret, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_prepare(db, sql, &statement, err));
    lh_code code = LH_OK;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        code = lh_index_fail(db, "read its own head", err);
    sqlite3_finalize(statement);
    return code;
}

/* ---- checksums ---- */

static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
    size_t len = strlen(text);
    at = put_u64(at, len);
    memcpy(at, text, len);
    return at + len;
}

uint64_t lh_index_row_sum(int64_t bucket, lh_str key, const struct lh_index_row *row)
{
    unsigned char bytes[7 * 8 + LH_STORE_ETAG_SIZE + LH_STORE_TYPE_SIZE + LH_STORE_KEY_MAX];
    LH_CHECK(key.len <= LH_STORE_KEY_MAX);
    unsigned char *at = put_u64(bytes, (uint64_t)bucket);
    at = put_u64(at, row->info.size);
    at = put_u64(at, (uint64_t)row->info.modified_ms);
    at = put_u64(at, row->body);
    at = put_u64(at, row->in_file);
    at = put_text(at, row->info.etag);
    at = put_text(at, row->info.content_type);
    memcpy(at, key.ptr, key.len);
    return lh_xxh3(bytes, (size_t)(at + key.len - bytes));
}

/* The list of sums is stored as it lies in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the store's format is little-endian");

uint64_t lh_index_sums_sum(uint64_t body, uint64_t size, const uint64_t *sums, size_t count)
{
    struct lh_xxh3 *state = lh_xxh3_new();
    unsigned char head[16];
    put_u64(put_u64(head, body), size);
    lh_xxh3_update(state, head, sizeof(head));
    lh_xxh3_update(state, sums, count * sizeof(*sums));
    uint64_t value = lh_xxh3_value(state);
    lh_xxh3_free(state);
    return value;
}

/* ---- opening ---- */

lh_code lh_index_connect(const struct lh_index *index, bool create, int cache_kib, sqlite3 **ret_db,
                         struct lh_error *err)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    char settings[160];
    snprintf(settings, sizeof(settings),
             "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-%d;"
             "PRAGMA page_size=%d;",
             cache_kib, LH_INDEX_PAGE_BYTES);
    lh_code code;
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

static lh_code make_schema(sqlite3 *db, struct lh_error *err)
{
    char head[96];
    snprintf(head, sizeof(head), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             APPLICATION_ID, SCHEMA_VERSION);
    LH_TRY(lh_index_exec(db, "BEGIN IMMEDIATE", err));
    LH_TRY(lh_index_exec(db, schema, err));
    LH_TRY(lh_index_exec(db, head, err));
    return lh_index_exec(db, "COMMIT", err);
}

/* Makes the tables of a new database, or refuses one that is not ours or newer. */
static lh_code check_schema(sqlite3 *db, const char *path, struct lh_error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    LH_TRY(query_i64(db, "PRAGMA application_id", &application, err));
    LH_TRY(query_i64(db, "PRAGMA user_version", &version, err));
    LH_TRY(query_i64(db, "SELECT count(*) FROM sqlite_schema", &tables, err));
    if (tables == 0)
        return make_schema(db, err);
    if (application != APPLICATION_ID)
        return lh_fail(err, LH_INVALID_CONFIG, "%s is not the index of an object store", path);
    if (version > SCHEMA_VERSION) {
        LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG,
                          "%s is of version %" PRId64 ", this program knows versions up to %d",
                          path, version, SCHEMA_VERSION),
                  "the hint returns the code");
        return lh_hint(err, "start the newer program that wrote it");
    }
    return LH_OK;
}

static int on_commit(void *ctx, sqlite3 *db, const char *name, int page_count)
{
    (void)db, (void)name;
    struct lh_index *index = ctx;
    atomic_store(&index->log_pages, (uint64_t)page_count);
    return SQLITE_OK;
}

static lh_code prepare_writer(struct lh_index *index, struct lh_error *err)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&index->begin, "BEGIN IMMEDIATE"},
        {&index->commit, "COMMIT"},
        {&index->rollback, "ROLLBACK"},
        {&index->find, "SELECT " LH_ROW_COLUMNS " FROM objects o WHERE bucket=?1 AND key=?2"},
        {&index->put, "REPLACE INTO objects VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
        {&index->put_body, "INSERT INTO bodies VALUES(?1, ?2, ?3, ?4)"},
        {&index->remove, "DELETE FROM objects WHERE bucket=?1 AND key=?2"},
        {&index->remove_body, "DELETE FROM bodies WHERE id=?1"},
        {&index->add_totals, "UPDATE buckets SET objects=objects+?2, bytes=bytes+?3 WHERE id=?1"},
    };
    for (size_t i = 0; i < LH_COUNT(statements); i++)
        LH_TRY(lh_index_prepare(index->writer, statements[i].sql, statements[i].statement, err));
    return LH_OK;
}

/* An epoch of this run's own, durable before it is used. */
static lh_code begin_epoch(struct lh_index *index, struct lh_error *err)
{
    LH_TRY(lh_index_exec(index->writer, "UPDATE meta SET value=value+1 WHERE name='epoch'", err));
    int64_t epoch = 0;
    LH_TRY(query_i64(index->writer, "SELECT value FROM meta WHERE name='epoch'", &epoch, err));
    if (epoch <= 0 || epoch >= INT64_C(1) << (63 - LH_EPOCH_SHIFT))
        return lh_fail(err, LH_CORRUPT, "%s: epoch %" PRId64 " cannot be", index->path, epoch);
    index->epoch = (uint64_t)epoch;
    return LH_OK;
}

static lh_code load_totals(struct lh_index *index, struct lh_error *err)
{
    int64_t objects = 0;
    int64_t bytes = 0;
    LH_TRY(query_i64(index->writer, "SELECT sum(objects) FROM buckets", &objects, err));
    LH_TRY(query_i64(index->writer, "SELECT sum(bytes) FROM buckets", &bytes, err));
    atomic_store(&index->objects, (uint64_t)objects);
    atomic_store(&index->bytes, (uint64_t)bytes);
    return LH_OK;
}

static lh_code open_writer(struct lh_index *index, struct lh_error *err)
{
    LH_TRY(lh_index_connect(index, true, WRITER_CACHE_KIB, &index->writer, err));
    int reserved = LH_INDEX_SEAL_BYTES; /* counts for a new database only */
    sqlite3_file_control(index->writer, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    LH_TRY(lh_index_exec(index->writer,
                         "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                         "PRAGMA wal_autocheckpoint=0; PRAGMA cache_spill=OFF;",
                         err));
    LH_TRY(check_schema(index->writer, index->path, err));
    sqlite3_wal_hook(index->writer, on_commit, index);
    lh_code code = begin_epoch(index, err);
    if (code != LH_OK && code != LH_STORAGE_FULL)
        return code;
    LH_TRY(load_totals(index, err));
    LH_TRY(prepare_writer(index, err));
    LH_TRY(lh_index_connect(index, false, KEEPER_CACHE_KIB, &index->keeper, err));
    return lh_index_exec(index->keeper, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;",
                         err);
}

lh_code lh_index_open(const char *dir, bool must_exist, struct lh_index **ret_index,
                      struct lh_error *err)
{
    struct lh_index *index = lh_calloc(1, sizeof(*index));
    lh_mutex_init(&index->mutex);
    lh_cond_init(&index->reader_free);
    index->path = lh_asprintf("%s/index.db", dir);
    index->vfs = lh_index_vfs_new();
    struct stat st;
    lh_code code = LH_OK;
    if (must_exist && (stat(index->path, &st) != 0 || st.st_size == 0)) {
        code = lh_fail(err, LH_INVALID_CONFIG, "%s is missing", index->path);
        LH_IGNORE(lh_hint(err, "restore it from a backup of the whole folder"), "code is at hand");
    } else {
        code = open_writer(index, err);
    }
    if (code != LH_OK) {
        lh_index_close(index);
        return code;
    }
    *ret_index = index;
    return LH_OK;
}

static void close_reader(struct lh_index_reader *reader)
{
    sqlite3_finalize(reader->head);
    sqlite3_finalize(reader->get);
    sqlite3_finalize(reader->has_body);
    sqlite3_finalize(reader->walk);
    lh_index_disconnect(reader->db);
    free(reader);
}

void lh_index_close(struct lh_index *index)
{
    if (!index)
        return;
    while (index->idle) {
        struct lh_index_reader *reader = index->idle;
        index->idle = reader->next;
        index->reader_count--;
        close_reader(reader);
    }
    LH_CHECK(index->reader_count == 0);
    sqlite3_stmt *statements[] = {index->begin,  index->commit,      index->rollback,
                                  index->find,   index->put,         index->put_body,
                                  index->remove, index->remove_body, index->add_totals};
    for (size_t i = 0; i < LH_COUNT(statements); i++)
        sqlite3_finalize(statements[i]);
    lh_index_disconnect(index->keeper);
    lh_index_disconnect(index->writer); /* the last one brings the log home */
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

/* ---- the writer ---- */

lh_code lh_index_begin(struct lh_index *index, struct lh_error *err)
{
    index->change = (struct lh_index_totals){0};
    index->bucket_change = (struct lh_index_totals){0};
    return run(index->writer, index->begin, "begin a commit", err);
}

static void bind_key(sqlite3_stmt *statement, int64_t bucket, lh_str key)
{
    sqlite3_bind_int64(statement, 1, bucket);
    sqlite3_bind_blob(statement, 2, key.ptr, (int)key.len, SQLITE_STATIC);
}

lh_code lh_index_find(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err)
{
    bind_key(index->find, bucket, key);
    lh_code code = LH_OK;
    int result = sqlite3_step(index->find);
    if (result == SQLITE_ROW) {
        lh_str found;
        lh_index_row_read(index->find, bucket, &found, ret_row);
        *ret_found = true;
    } else if (result == SQLITE_DONE) {
        *ret_found = false;
    } else {
        code = lh_index_fail(index->writer, "look up a key", err);
    }
    sqlite3_reset(index->find);
    return code;
}

/* Writes the changes that were gathered for one bucket. */
static lh_code write_totals(struct lh_index *index, struct lh_error *err)
{
    struct lh_index_totals *change = &index->bucket_change;
    if (change->objects == 0 && change->bytes == 0)
        return LH_OK;
    sqlite3_bind_int64(index->add_totals, 1, index->change_bucket);
    sqlite3_bind_int64(index->add_totals, 2, (int64_t)change->objects);
    sqlite3_bind_int64(index->add_totals, 3, (int64_t)change->bytes);
    *change = (struct lh_index_totals){0};
    return run(index->writer, index->add_totals, "count", err);
}

/* `objects` and `bytes` may be negative: sums are taken modulo 2^64. */
static lh_code count(struct lh_index *index, int64_t bucket, int64_t objects, int64_t bytes,
                     struct lh_error *err)
{
    if (index->change_bucket != bucket)
        LH_TRY(write_totals(index, err));
    index->change_bucket = bucket;
    index->bucket_change.objects += (uint64_t)objects;
    index->bucket_change.bytes += (uint64_t)bytes;
    index->change.objects += (uint64_t)objects;
    index->change.bytes += (uint64_t)bytes;
    return LH_OK;
}

static lh_code forget_old(struct lh_index *index, int64_t bucket, const struct lh_index_row *old,
                          struct lh_error *err)
{
    /* What a damaged row says of its size cannot be trusted either; the totals may then be off by
     * it. */
    LH_TRY(count(index, bucket, -1, -(int64_t)old->info.size, err));
    if (old->damaged)
        return LH_OK;
    sqlite3_bind_int64(index->remove_body, 1, (int64_t)old->body);
    return run(index->writer, index->remove_body, "remove a body", err);
}

static lh_code put_body(struct lh_index *index, const struct lh_index_row *row,
                        const struct lh_index_body *body, struct lh_error *err)
{
    sqlite3_stmt *statement = index->put_body;
    uint64_t sum = lh_index_sums_sum(row->body, row->info.size, body->sums, body->sum_count);
    sqlite3_bind_int64(statement, 1, (int64_t)row->body);
    /* A NULL pointer would bind NULL: an empty object has an empty list of sums. */
    sqlite3_bind_blob64(statement, 2, body->sum_count ? (const void *)body->sums : "",
                        body->sum_count * sizeof(*body->sums), SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)sum);
    if (row->in_file)
        sqlite3_bind_null(statement, 4);
    else
        sqlite3_bind_blob64(statement, 4, body->payload, row->info.size, SQLITE_STATIC);
    lh_code code = run(index->writer, statement, "store a body", err);
    sqlite3_clear_bindings(statement); /* they borrow the caller's memory */
    return code;
}

lh_code lh_index_put(struct lh_index *index, int64_t bucket, lh_str key,
                     const struct lh_index_row *row, const struct lh_index_body *body,
                     const struct lh_index_row *old, struct lh_error *err)
{
    if (old)
        LH_TRY(forget_old(index, bucket, old, err));
    LH_TRY(put_body(index, row, body, err));
    LH_TRY(count(index, bucket, 1, (int64_t)row->info.size, err));

    sqlite3_stmt *statement = index->put;
    bind_key(statement, bucket, key);
    sqlite3_bind_int64(statement, 3, (int64_t)row->info.size);
    sqlite3_bind_int64(statement, 4, row->info.modified_ms);
    sqlite3_bind_text(statement, 5, row->info.etag, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 6, row->info.content_type, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 7, (int64_t)row->body);
    sqlite3_bind_int64(statement, 8, row->in_file);
    sqlite3_bind_int64(statement, 9, (int64_t)lh_index_row_sum(bucket, key, row));
    return run(index->writer, statement, "store a row", err);
}

lh_code lh_index_remove(struct lh_index *index, int64_t bucket, lh_str key,
                        const struct lh_index_row *old, struct lh_error *err)
{
    LH_TRY(forget_old(index, bucket, old, err));
    bind_key(index->remove, bucket, key);
    return run(index->writer, index->remove, "remove a row", err);
}

lh_code lh_index_commit(struct lh_index *index, struct lh_error *err)
{
    LH_TRY(write_totals(index, err));
    LH_TRY(run(index->writer, index->commit, "commit", err));
    atomic_fetch_add(&index->objects, index->change.objects);
    atomic_fetch_add(&index->bytes, index->change.bytes);
    return LH_OK;
}

void lh_index_rollback(struct lh_index *index)
{
    /* SQLite has rolled back by itself after some failures. */
    if (sqlite3_get_autocommit(index->writer))
        return;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(run(index->writer, index->rollback, "roll back", &ignored),
              "the failure that led here is the news; the next begin would fail, too");
}

struct lh_index_totals lh_index_totals(struct lh_index *index)
{
    return (struct lh_index_totals){atomic_load(&index->objects), atomic_load(&index->bytes)};
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
