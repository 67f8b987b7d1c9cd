/*
 * The index's readers: a pool of connections, each used by one thread at a time. A reader never
 * waits for the writer (write-ahead log), only for a connection when LH_INDEX_READERS_MAX are in
 * use.
 */
#include "storaged/index_private.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"

enum { READER_CACHE_KIB = 1024 };

struct lh_index_walk {
    struct lh_index *index;
    struct lh_index_reader *reader;
    int64_t bucket;
    bool at_end;
};

/* ---- the pool ---- */

static lh_code new_reader(const struct lh_index *index, struct lh_index_reader **ret_reader,
                          struct lh_error *err)
{
    sqlite3 *db;
    LH_TRY(lh_index_connect(index, false, READER_CACHE_KIB, &db, err));
    lh_code code = lh_index_exec(db, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0;", err);
    if (code != LH_OK) {
        lh_index_disconnect(db);
        return code;
    }
    *ret_reader = lh_calloc(1, sizeof(**ret_reader));
    (*ret_reader)->db = db;
    return LH_OK;
}

static lh_code take_reader(struct lh_index *index, struct lh_index_reader **ret_reader,
                           struct lh_error *err)
{
    lh_mutex_lock(&index->mutex);
    while (!index->idle && index->reader_count == LH_INDEX_READERS_MAX)
        lh_cond_wait_until(&index->reader_free, &index->mutex, LH_NO_DEADLINE);
    struct lh_index_reader *reader = index->idle;
    if (reader)
        index->idle = reader->next;
    else
        index->reader_count++; /* the place is ours before the connection is */
    lh_mutex_unlock(&index->mutex);
    if (reader) {
        *ret_reader = reader;
        return LH_OK;
    }
    lh_code code = new_reader(index, ret_reader, err);
    if (code != LH_OK) {
        lh_mutex_lock(&index->mutex);
        index->reader_count--;
        lh_mutex_unlock(&index->mutex);
        pthread_cond_signal(&index->reader_free);
    }
    return code;
}

static void give_reader(struct lh_index *index, struct lh_index_reader *reader)
{
    lh_mutex_lock(&index->mutex);
    reader->next = index->idle;
    index->idle = reader;
    lh_mutex_unlock(&index->mutex);
    pthread_cond_signal(&index->reader_free);
}

static lh_code need(struct lh_index_reader *reader, sqlite3_stmt **statement, const char *sql,
                    struct lh_error *err)
{
    return *statement ? LH_OK : lh_index_prepare(reader->db, sql, statement, err);
}

static void bind_key(sqlite3_stmt *statement, int64_t bucket, lh_str key)
{
    sqlite3_bind_int64(statement, 1, bucket);
    sqlite3_bind_blob(statement, 2, key.ptr, (int)key.len, SQLITE_STATIC);
}

/* ---- rows ---- */

static bool copy_text(sqlite3_stmt *statement, int column, char *out, size_t out_size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (!text || len >= out_size || memchr(text, '\0', len))
        return false;
    memcpy(out, text, len + 1);
    return true;
}

void lh_index_row_read(sqlite3_stmt *statement, int64_t bucket, lh_str *ret_key,
                       struct lh_index_row *ret_row)
{
    struct lh_index_row row = {0};
    lh_str key = {sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
    row.info.size = (uint64_t)sqlite3_column_int64(statement, 1);
    row.info.modified_ms = sqlite3_column_int64(statement, 2);
    bool fits = key.len > 0 && key.len <= LH_STORE_KEY_MAX &&
                copy_text(statement, 3, row.info.etag, sizeof(row.info.etag)) &&
                copy_text(statement, 4, row.info.content_type, sizeof(row.info.content_type));
    row.body = (uint64_t)sqlite3_column_int64(statement, 5);
    row.in_file = sqlite3_column_int64(statement, 6) != 0;
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, 7);
    row.damaged = !fits || row.info.size > INT64_MAX || lh_index_row_sum(bucket, key, &row) != sum;
    *ret_key = key;
    *ret_row = row;
}

/* Steps to the one row of head or get. */
static lh_code step_to_row(struct lh_index_reader *reader, sqlite3_stmt *statement,
                           struct lh_error *err)
{
    switch (sqlite3_step(statement)) {
    case SQLITE_ROW:
        return LH_OK;
    case SQLITE_DONE:
        return lh_fail(err, LH_NOT_FOUND, "there is no object of this key");
    default:
        return lh_index_fail(reader->db, "look up a key", err);
    }
}

static lh_code head(struct lh_index_reader *reader, int64_t bucket, lh_str key,
                    struct lh_index_row *ret_row, struct lh_error *err)
{
    LH_TRY(need(reader, &reader->head,
                "SELECT " LH_ROW_COLUMNS " FROM objects o WHERE bucket=?1 AND key=?2", err));
    bind_key(reader->head, bucket, key);
    lh_code code = step_to_row(reader, reader->head, err);
    lh_str found;
    if (code == LH_OK)
        lh_index_row_read(reader->head, bucket, &found, ret_row);
    sqlite3_reset(reader->head);
    return code;
}

lh_code lh_index_head(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, struct lh_error *err)
{
    struct lh_index_reader *reader;
    LH_TRY(take_reader(index, &reader, err));
    lh_code code = head(reader, bucket, key, ret_row, err);
    give_reader(index, reader);
    return code;
}

void lh_index_object_deinit(struct lh_index_object *object)
{
    free(object->sums);
    free(object->payload);
    object->sums = NULL;
    object->payload = NULL;
}

/* Copies a column's blob; NULL when there is no memory. An empty one gives a buffer of no use. */
static void *copy_blob(sqlite3_stmt *statement, int column, size_t bytes)
{
    void *copy = lh_try_malloc(bytes ? bytes : 1, 1);
    if (copy && bytes > 0)
        memcpy(copy, sqlite3_column_blob(statement, column), bytes);
    return copy;
}

/* The row of `get`: a row's columns, then the body's. What the index says of the body's size must
 * fit. */
static lh_code read_object(sqlite3_stmt *statement, int64_t bucket, struct lh_index_object *object,
                           struct lh_error *err)
{
    enum { SUMS = LH_ROW_COLUMN_COUNT, SUMS_SUM, PAYLOAD };
    lh_str key;
    lh_index_row_read(statement, bucket, &key, &object->row);
    if (object->row.damaged)
        return lh_fail(err, LH_CORRUPT, "the object's row in the index is damaged");
    uint64_t size = object->row.info.size;
    size_t sums_bytes = (size_t)sqlite3_column_bytes(statement, SUMS);
    size_t payload_bytes = (size_t)sqlite3_column_bytes(statement, PAYLOAD);
    object->sum_count = sums_bytes / sizeof(uint64_t);
    if (object->sum_count * sizeof(uint64_t) != sums_bytes ||
        object->sum_count != (size + LH_STORE_BLOCK - 1) / LH_STORE_BLOCK ||
        (!object->row.in_file && payload_bytes != size))
        return lh_fail(err, LH_CORRUPT, "the object's body in the index is damaged");

    object->sums = copy_blob(statement, SUMS, sums_bytes);
    if (!object->row.in_file)
        object->payload = copy_blob(statement, PAYLOAD, payload_bytes);
    if (!object->sums || (!object->row.in_file && !object->payload))
        return lh_fail(err, LH_NO_MEMORY, "no memory for an object of the index");
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, SUMS_SUM);
    if (lh_index_sums_sum(object->row.body, size, object->sums, object->sum_count) != sum)
        return lh_fail(err, LH_CORRUPT, "the object's checksums in the index are damaged");
    return LH_OK;
}

static lh_code get(struct lh_index_reader *reader, int64_t bucket, lh_str key,
                   struct lh_index_object *object, struct lh_error *err)
{
    LH_TRY(need(reader, &reader->get,
                "SELECT " LH_ROW_COLUMNS ", b.sums, b.sums_sum, b.payload"
                " FROM objects o LEFT JOIN bodies b ON b.id=o.body WHERE o.bucket=?1 AND o.key=?2",
                err));
    bind_key(reader->get, bucket, key);
    lh_code code = step_to_row(reader, reader->get, err);
    if (code == LH_OK)
        code = read_object(reader->get, bucket, object, err);
    sqlite3_reset(reader->get);
    return code;
}

lh_code lh_index_get(struct lh_index *index, int64_t bucket, lh_str key,
                     struct lh_index_object *ret_object, struct lh_error *err)
{
    struct lh_index_reader *reader;
    LH_TRY(take_reader(index, &reader, err));
    struct lh_index_object object = {0};
    lh_code code = get(reader, bucket, key, &object, err);
    give_reader(index, reader);
    if (code == LH_OK)
        *ret_object = object;
    else
        lh_index_object_deinit(&object);
    return code;
}

lh_code lh_index_has_body(struct lh_index *index, uint64_t body, bool *ret_known,
                          struct lh_error *err)
{
    struct lh_index_reader *reader;
    LH_TRY(take_reader(index, &reader, err));
    lh_code code = need(reader, &reader->has_body, "SELECT 1 FROM bodies WHERE id=?1", err);
    if (code == LH_OK) {
        sqlite3_bind_int64(reader->has_body, 1, (int64_t)body);
        int result = sqlite3_step(reader->has_body);
        if (result == SQLITE_ROW || result == SQLITE_DONE)
            *ret_known = result == SQLITE_ROW;
        else
            code = lh_index_fail(reader->db, "look up a body", err);
        sqlite3_reset(reader->has_body);
    }
    give_reader(index, reader);
    return code;
}

/* ---- walks ---- */

lh_code lh_index_walk_begin(struct lh_index *index, int64_t bucket, struct lh_index_walk **ret_walk,
                            struct lh_error *err)
{
    struct lh_index_reader *reader;
    LH_TRY(take_reader(index, &reader, err));
    lh_code code = need(
        reader, &reader->walk,
        "SELECT " LH_ROW_COLUMNS " FROM objects o WHERE bucket=?1 AND key>=?2 ORDER BY key", err);
    if (code == LH_OK)
        code = lh_index_exec(reader->db, "BEGIN", err);
    if (code != LH_OK) {
        give_reader(index, reader);
        return code;
    }
    struct lh_index_walk *walk = lh_calloc(1, sizeof(*walk));
    *walk = (struct lh_index_walk){.index = index, .reader = reader, .bucket = bucket};
    walk->at_end = true; /* until the first seek */
    *ret_walk = walk;
    return LH_OK;
}

lh_code lh_index_walk_seek(struct lh_index_walk *walk, lh_str from, struct lh_error *err)
{
    sqlite3_stmt *statement = walk->reader->walk;
    sqlite3_reset(statement);
    sqlite3_bind_int64(statement, 1, walk->bucket);
    /* Copied: the caller's key may be gone at the next step. An empty one must not become NULL. */
    if (sqlite3_bind_blob(statement, 2, from.len ? from.ptr : "", (int)from.len,
                          SQLITE_TRANSIENT) != SQLITE_OK)
        return lh_index_fail(walk->reader->db, "seek", err);
    walk->at_end = false;
    return LH_OK;
}

lh_code lh_index_walk_next(struct lh_index_walk *walk, lh_str *ret_key,
                           struct lh_index_row *ret_row, struct lh_error *err)
{
    if (walk->at_end) {
        *ret_key = LH_STR_NONE;
        return LH_OK;
    }
    int result;
    while ((result = sqlite3_step(walk->reader->walk)) == SQLITE_ROW) {
        lh_index_row_read(walk->reader->walk, walk->bucket, ret_key, ret_row);
        if (ret_key->len > 0 && ret_key->len <= LH_STORE_KEY_MAX)
            return LH_OK; /* others are damage that no request can name */
    }
    if (result != SQLITE_DONE)
        return lh_index_fail(walk->reader->db, "list keys", err);
    walk->at_end = true;
    *ret_key = LH_STR_NONE;
    return LH_OK;
}

void lh_index_walk_end(struct lh_index_walk *walk)
{
    if (!walk)
        return;
    sqlite3_reset(walk->reader->walk);
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(lh_index_exec(walk->reader->db, "COMMIT", &ignored), "it has changed nothing");
    give_reader(walk->index, walk->reader);
    free(walk);
}
