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
    struct lh_index_connection *reader;
    sqlite3_stmt *statement;
    int64_t bucket;
    bool at_end;
};

/* ---- the pool ---- */

static lh_code new_reader(const struct lh_index *index, struct lh_index_connection **ret_reader,
                          struct lh_error *err)
{
    sqlite3 *db;
    LH_TRY(lh_index_connect(index, SQLITE_OPEN_READWRITE, READER_CACHE_KIB, &db, err));
    lh_code code = lh_index_exec(db, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0;", err);
    if (code != LH_OK) {
        lh_index_disconnect(db);
        return code;
    }
    *ret_reader = lh_calloc(1, sizeof(**ret_reader));
    (*ret_reader)->db = db;
    return LH_OK;
}

lh_code lh_index_take_reader(struct lh_index *index, struct lh_index_connection **ret_reader,
                             struct lh_error *err)
{
    lh_mutex_lock(&index->mutex);
    lh_code code = index->idle ? LH_OK : lh_check_may_wait("a new reader of the index", err);
    if (code != LH_OK) {
        lh_mutex_unlock(&index->mutex);
        return code;
    }
    while (!index->idle && index->reader_count == LH_INDEX_READERS_MAX)
        lh_cond_wait_until(&index->reader_free, &index->mutex, LH_NO_DEADLINE);
    struct lh_index_connection *reader = index->idle;
    if (reader)
        index->idle = reader->next;
    else
        index->reader_count++; /* the place is ours before the connection is */
    lh_mutex_unlock(&index->mutex);
    if (reader) {
        *ret_reader = reader;
        return LH_OK;
    }
    code = new_reader(index, ret_reader, err);
    if (code != LH_OK) {
        lh_mutex_lock(&index->mutex);
        index->reader_count--;
        lh_mutex_unlock(&index->mutex);
        pthread_cond_signal(&index->reader_free);
    }
    return code;
}

void lh_index_give_reader(struct lh_index *index, struct lh_index_connection *reader)
{
    lh_mutex_lock(&index->mutex);
    reader->next = index->idle;
    index->idle = reader;
    lh_mutex_unlock(&index->mutex);
    pthread_cond_signal(&index->reader_free);
}

/* ---- rows ---- */

/* Steps to the one row of a look-up. */
static lh_code step_to_row(struct lh_index_connection *reader, sqlite3_stmt *statement,
                           struct lh_error *err)
{
    bool found = false;
    LH_TRY(lh_index_step(reader, statement, "look up a key", &found, err));
    return found ? LH_OK : lh_fail(err, LH_NOT_FOUND, "there is no object of this key");
}

/* The row of a look-up whose parameters are bound. */
static lh_code read_row(struct lh_index_connection *reader, sqlite3_stmt *statement, int64_t bucket,
                        struct lh_index_row *ret_row, struct lh_error *err)
{
    lh_str found;
    lh_code code = step_to_row(reader, statement, err);
    if (code == LH_OK)
        lh_index_row_read(statement, bucket, &found, ret_row);
    lh_index_done(statement);
    return code;
}

lh_code lh_index_head_version(struct lh_index *index, int64_t bucket, lh_str key,
                              struct lh_version version, struct lh_index_row *ret_row,
                              struct lh_error *err)
{
    static const struct lh_index_lookup lookup = {LH_SQL_FIND, LH_SQL_FIND_NULL,
                                                  LH_SQL_FIND_NUMBERED};
    struct lh_index_connection *reader;
    sqlite3_stmt *statement;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code =
        lh_index_version_statement(reader, &lookup, bucket, key, version, &statement, err);
    if (code == LH_OK)
        code = read_row(reader, statement, bucket, ret_row, err);
    lh_index_give_reader(index, reader);
    return code;
}

lh_code lh_index_head(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, struct lh_error *err)
{
    const struct lh_version current = {.kind = LH_VERSION_CURRENT};
    return lh_index_head_version(index, bucket, key, current, ret_row, err);
}

lh_code lh_index_head_newest(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_index_row *ret_row, struct lh_error *err)
{
    struct lh_index_connection *reader;
    sqlite3_stmt *statement;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code = lh_index_statement(reader, LH_SQL_NEWEST, &statement, err);
    if (code == LH_OK) {
        lh_index_bind_key(statement, bucket, key);
        code = read_row(reader, statement, bucket, ret_row, err);
    }
    lh_index_give_reader(index, reader);
    return code;
}

void lh_index_object_deinit(struct lh_index_object *object)
{
    free(object->sums);
    free(object->payload);
    free(object->headers);
    free(object->tags);
    *object = (struct lh_index_object){.row = object->row};
}

/* Copies a column's blob; NULL when there is no memory. An empty one gives a buffer of no use. */
static void *copy_blob(sqlite3_stmt *statement, int column, size_t bytes)
{
    void *copy = lh_try_malloc(bytes ? bytes : 1, 1);
    if (copy && bytes > 0)
        memcpy(copy, sqlite3_column_blob(statement, column), bytes);
    return copy;
}

/* What the index says of the body's size must fit. */
lh_code lh_index_body_read(sqlite3_stmt *statement, int first, uint64_t body, uint64_t size,
                           bool in_file, struct lh_index_object *ret_object, struct lh_error *err)
{
    int sums = first;
    int sums_sum = first + 1;
    int payload = first + 2;
    size_t sums_bytes = (size_t)sqlite3_column_bytes(statement, sums);
    size_t payload_bytes = (size_t)sqlite3_column_bytes(statement, payload);
    size_t count = sums_bytes / sizeof(uint64_t);
    if (count * sizeof(uint64_t) != sums_bytes ||
        count != (size + LH_STORE_BLOCK - 1) / LH_STORE_BLOCK ||
        (!in_file && payload_bytes != size))
        return lh_fail(err, LH_CORRUPT, "the object's body in the index is damaged");

    ret_object->sum_count = count;
    ret_object->sums = copy_blob(statement, sums, sums_bytes);
    if (!in_file)
        ret_object->payload = copy_blob(statement, payload, payload_bytes);
    if (!ret_object->sums || (!in_file && !ret_object->payload))
        return lh_fail(err, LH_NO_MEMORY, "no memory for an object of the index");
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, sums_sum);
    if (lh_index_sums_sum(body, size, ret_object->sums, count) != sum)
        return lh_fail(err, LH_CORRUPT, "the object's checksums in the index are damaged");
    return LH_OK;
}

lh_code lh_index_texts_read(sqlite3_stmt *statement, int first, uint64_t body,
                            struct lh_index_object *ret_object, struct lh_error *err)
{
    ret_object->headers_len = (size_t)sqlite3_column_bytes(statement, first);
    ret_object->tags_len = (size_t)sqlite3_column_bytes(statement, first + 1);
    ret_object->headers = copy_blob(statement, first, ret_object->headers_len);
    ret_object->tags = copy_blob(statement, first + 1, ret_object->tags_len);
    if (!ret_object->headers || !ret_object->tags)
        return lh_fail(err, LH_NO_MEMORY, "no memory for the attributes of an object");
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, first + 2);
    lh_str headers = lh_str_of(ret_object->headers, ret_object->headers_len);
    lh_str tags = lh_str_of(ret_object->tags, ret_object->tags_len);
    if (lh_index_texts_sum(body, 0, headers, tags) != sum)
        return lh_fail(err, LH_CORRUPT, "the object's attributes in the index are damaged");
    return LH_OK;
}

/* The row of `get`: a row's columns, then the body's, then the attributes'. */
static lh_code read_object(sqlite3_stmt *statement, int64_t bucket, struct lh_index_object *object,
                           struct lh_error *err)
{
    enum { BODY = LH_ROW_COLUMN_COUNT, TEXTS = BODY + 3 };
    lh_str key;
    lh_index_row_read(statement, bucket, &key, &object->row);
    const struct lh_index_row *row = &object->row;
    if (row->damaged)
        return lh_fail(err, LH_CORRUPT, "the object's row in the index is damaged");
    if (row->has_attributes)
        LH_TRY(lh_index_texts_read(statement, TEXTS, row->body, object, err));
    bool without = row->info.part_count > 0 || row->info.delete_marker;
    return without ? LH_OK
                   : lh_index_body_read(statement, BODY, row->body, row->info.size, row->in_file,
                                        object, err);
}

static lh_code get(struct lh_index_connection *reader, int64_t bucket, lh_str key,
                   struct lh_version version, struct lh_index_object *object, struct lh_error *err)
{
    static const struct lh_index_lookup lookup = {LH_SQL_GET, LH_SQL_GET_NULL, LH_SQL_GET_NUMBERED};
    sqlite3_stmt *statement;
    LH_TRY(lh_index_version_statement(reader, &lookup, bucket, key, version, &statement, err));
    lh_code code = step_to_row(reader, statement, err);
    if (code == LH_OK)
        code = read_object(statement, bucket, object, err);
    lh_index_done(statement);
    return code;
}

lh_code lh_index_get_version(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_version version, struct lh_index_object *ret_object,
                             struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    struct lh_index_object object = {0};
    lh_code code = get(reader, bucket, key, version, &object, err);
    lh_index_give_reader(index, reader);
    if (code == LH_OK)
        *ret_object = object;
    else
        lh_index_object_deinit(&object);
    return code;
}

lh_code lh_index_get(struct lh_index *index, int64_t bucket, lh_str key,
                     struct lh_index_object *ret_object, struct lh_error *err)
{
    const struct lh_version current = {.kind = LH_VERSION_CURRENT};
    return lh_index_get_version(index, bucket, key, current, ret_object, err);
}

/* ---- bodies ---- */

static lh_code get_body(struct lh_index_connection *reader, uint64_t body, uint64_t size,
                        bool in_file, struct lh_index_object *object, struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool found = false;
    LH_TRY(lh_index_statement(reader, LH_SQL_GET_BODY, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)body);
    lh_code code = lh_index_step(reader, statement, "look up a body", &found, err);
    if (code == LH_OK)
        code = found ? lh_index_body_read(statement, 0, body, size, in_file, object, err)
                     : lh_fail(err, LH_CORRUPT, "the object's body is missing in the index");
    lh_index_done(statement);
    return code;
}

lh_code lh_index_get_body(struct lh_index *index, uint64_t body, uint64_t size, bool in_file,
                          struct lh_index_object *ret_object, struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    struct lh_index_object object = {0};
    lh_code code = get_body(reader, body, size, in_file, &object, err);
    lh_index_give_reader(index, reader);
    if (code == LH_OK)
        *ret_object = object;
    else
        lh_index_object_deinit(&object);
    return code;
}

lh_code lh_index_has_body(struct lh_index *index, uint64_t body, bool *ret_known,
                          struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    sqlite3_stmt *statement;
    bool known = false;
    lh_code code = lh_index_statement(reader, LH_SQL_HAS_BODY, &statement, err);
    if (code == LH_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)body);
        code = lh_index_step(reader, statement, "look up a body", &known, err);
        lh_index_done(statement);
    }
    lh_index_give_reader(index, reader);
    if (code == LH_OK)
        *ret_known = known;
    return code;
}

/* ---- walks ---- */

static lh_code begin_walk(struct lh_index *index, enum lh_index_sql sql, int64_t bucket,
                          struct lh_index_walk **ret_walk, struct lh_error *err)
{
    struct lh_index_connection *reader;
    sqlite3_stmt *statement = NULL;
    LH_TRY(lh_check_may_wait("a listing", err));
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code = lh_index_statement(reader, sql, &statement, err);
    if (code == LH_OK)
        code = lh_index_exec(reader->db, "BEGIN", err);
    if (code != LH_OK) {
        lh_index_give_reader(index, reader);
        return code;
    }
    struct lh_index_walk *walk = lh_calloc(1, sizeof(*walk));
    *walk = (struct lh_index_walk){
        .index = index, .reader = reader, .statement = statement, .bucket = bucket};
    walk->at_end = true; /* until the first seek */
    *ret_walk = walk;
    return LH_OK;
}

lh_code lh_index_walk_begin(struct lh_index *index, int64_t bucket, struct lh_index_walk **ret_walk,
                            struct lh_error *err)
{
    return begin_walk(index, LH_SQL_WALK, bucket, ret_walk, err);
}

lh_code lh_index_walk_versions(struct lh_index *index, int64_t bucket,
                               struct lh_index_walk **ret_walk, struct lh_error *err)
{
    return begin_walk(index, LH_SQL_WALK_VERSIONS, bucket, ret_walk, err);
}

lh_code lh_index_walk_seek_version(struct lh_index_walk *walk, lh_str from, uint64_t below,
                                   struct lh_error *err)
{
    LH_TRY(lh_index_walk_seek(walk, from, err));
    sqlite3_bind_int64(walk->statement, 3, (int64_t)below);
    return LH_OK;
}

lh_code lh_index_walk_seek(struct lh_index_walk *walk, lh_str from, struct lh_error *err)
{
    sqlite3_stmt *statement = walk->statement;
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
    while ((result = sqlite3_step(walk->statement)) == SQLITE_ROW) {
        lh_index_row_read(walk->statement, walk->bucket, ret_key, ret_row);
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
    lh_index_done(walk->statement);
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(lh_index_exec(walk->reader->db, "COMMIT", &ignored), "it has changed nothing");
    lh_index_give_reader(walk->index, walk->reader);
    free(walk);
}
