/*
 * Buckets in the index: their rows, totals and documents.
 */
#include "storaged/index_private.h"

#include "base/mem.h"

/* ---- rows ---- */

static bool read_bucket(sqlite3_stmt *statement, struct lh_bucket *ret)
{
    struct lh_bucket bucket = {.id = sqlite3_column_int64(statement, 0)};
    bool fits = lh_index_copy_text(statement, 1, bucket.name, sizeof(bucket.name)) &&
                lh_index_copy_text(statement, 4, bucket.owner, sizeof(bucket.owner));
    bucket.objects = (uint64_t)sqlite3_column_int64(statement, 2);
    bucket.bytes = (uint64_t)sqlite3_column_int64(statement, 3);
    bucket.created_ms = sqlite3_column_int64(statement, 5);
    bucket.quota_bytes = (uint64_t)sqlite3_column_int64(statement, 6);
    uint64_t settings = (uint64_t)sqlite3_column_int64(statement, 7);
    bucket.public_rights = settings & LH_BUCKET_RIGHTS_MASK;
    bucket.versioning = (enum lh_versioning)(settings >> LH_BUCKET_VERSIONING_SHIFT & 3);
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, 8);
    *ret = bucket;
    return fits && lh_index_bucket_sum(&bucket) == sum;
}

static lh_code visit_buckets(struct lh_index_connection *reader, sqlite3_stmt *statement,
                             void (*visit)(void *ctx, const struct lh_bucket *bucket, bool damaged),
                             void *ctx, struct lh_error *err)
{
    for (;;) {
        bool row = false;
        LH_TRY(lh_index_step(reader, statement, "list buckets", &row, err));
        if (!row)
            return LH_OK;
        struct lh_bucket bucket;
        bool good = read_bucket(statement, &bucket);
        visit(ctx, &bucket, !good);
    }
}

lh_code lh_index_buckets(struct lh_index *index,
                         void (*visit)(void *ctx, const struct lh_bucket *bucket, bool damaged),
                         void *ctx, struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    sqlite3_stmt *statement;
    lh_code code = lh_index_statement(reader, LH_SQL_BUCKETS, &statement, err);
    if (code == LH_OK) {
        code = visit_buckets(reader, statement, visit, ctx, err);
        lh_index_done(statement);
    }
    lh_index_give_reader(index, reader);
    return code;
}

lh_code lh_index_new_bucket_id(struct lh_index *index, int64_t *ret_id, struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool row = false;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_NEW_BUCKET_ID, &statement, err));
    lh_code code = lh_index_step(index->writer, statement, "number a bucket", &row, err);
    if (code == LH_OK && !row)
        code = lh_fail(err, LH_CORRUPT, "the index has lost the number of its last bucket");
    if (code == LH_OK)
        *ret_id = sqlite3_column_int64(statement, 0);
    lh_index_done(statement);
    return code;
}

lh_code lh_index_put_bucket(struct lh_index *index, const struct lh_bucket *bucket,
                            struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PUT_BUCKET, &statement, err));
    sqlite3_bind_int64(statement, 1, bucket->id);
    sqlite3_bind_text(statement, 2, bucket->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, bucket->owner, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, bucket->created_ms);
    sqlite3_bind_int64(statement, 5, (int64_t)bucket->quota_bytes);
    sqlite3_bind_int64(statement, 6, (int64_t)lh_index_bucket_settings(bucket));
    sqlite3_bind_int64(statement, 7, (int64_t)lh_index_bucket_sum(bucket));
    return lh_index_run(index->writer, statement, "store a bucket", err);
}

lh_code lh_index_remove_bucket(struct lh_index *index, int64_t bucket, struct lh_error *err)
{
    static const enum lh_index_sql in_turn[] = {
        LH_SQL_DOOM_UPLOADS, LH_SQL_REMOVE_UPLOAD_ATTRIBUTES, LH_SQL_REMOVE_UPLOADS,
        LH_SQL_REMOVE_DOCUMENTS, LH_SQL_REMOVE_BUCKET};
    for (size_t i = 0; i < LH_COUNT(in_turn); i++)
        LH_TRY(lh_index_run_id(index, in_turn[i], (uint64_t)bucket, "remove a bucket", err));
    return LH_OK;
}

lh_code lh_index_bucket_in_use(struct lh_index *index, int64_t bucket, bool *ret_used,
                               struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_BUCKET_IN_USE, &statement, err));
    sqlite3_bind_int64(statement, 1, bucket);
    lh_code code = lh_index_step(index->writer, statement, "look into a bucket", ret_used, err);
    lh_index_done(statement);
    return code;
}

lh_code lh_index_add_totals(struct lh_index *index, int64_t bucket, int64_t objects, int64_t bytes,
                            struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_ADD_TOTALS, &statement, err));
    sqlite3_bind_int64(statement, 1, bucket);
    sqlite3_bind_int64(statement, 2, objects);
    sqlite3_bind_int64(statement, 3, bytes);
    return lh_index_run(index->writer, statement, "count", err);
}

/* ---- documents ---- */

static uint64_t document_sum(int64_t bucket, int kind, lh_str text)
{
    return lh_index_texts_sum((uint64_t)bucket, (uint64_t)kind, text, LH_STR_NONE);
}

static void bind_document(sqlite3_stmt *statement, int64_t bucket, int kind)
{
    sqlite3_bind_int64(statement, 1, bucket);
    sqlite3_bind_int64(statement, 2, kind);
}

lh_code lh_index_put_document(struct lh_index *index, int64_t bucket, int kind, lh_str text,
                              struct lh_error *err)
{
    sqlite3_stmt *statement;
    enum lh_index_sql sql = text.ptr ? LH_SQL_PUT_DOCUMENT : LH_SQL_REMOVE_DOCUMENT;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    bind_document(statement, bucket, kind);
    if (text.ptr) {
        lh_index_bind_blob(statement, 3, text);
        sqlite3_bind_int64(statement, 4, (int64_t)document_sum(bucket, kind, text));
    }
    return lh_index_run(index->writer, statement, "store a bucket's document", err);
}

static lh_code read_document(sqlite3_stmt *statement, int64_t bucket, int kind, struct lh_buf *out,
                             struct lh_error *err)
{
    const char *bytes = sqlite3_column_blob(statement, 0);
    lh_str text = lh_str_of(bytes, (size_t)sqlite3_column_bytes(statement, 0));
    if ((uint64_t)sqlite3_column_int64(statement, 1) != document_sum(bucket, kind, text))
        return lh_fail(err, LH_CORRUPT, "a document of the bucket is damaged");
    lh_buf_append_str(out, text);
    return lh_buf_overflowed(out)
               ? lh_fail(err, LH_TOO_LARGE, "no room for a document of the bucket")
               : LH_OK;
}

static lh_code get_document(struct lh_index_connection *reader, int64_t bucket, int kind,
                            struct lh_buf *out, struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool found = false;
    LH_TRY(lh_index_statement(reader, LH_SQL_GET_DOCUMENT, &statement, err));
    bind_document(statement, bucket, kind);
    lh_code code = lh_index_step(reader, statement, "look up a document", &found, err);
    if (code == LH_OK)
        code = found ? read_document(statement, bucket, kind, out, err)
                     : lh_fail(err, LH_NOT_FOUND, "the bucket has no such document");
    lh_index_done(statement);
    return code;
}

lh_code lh_index_document(struct lh_index *index, int64_t bucket, int kind, struct lh_buf *out,
                          struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code = get_document(reader, bucket, kind, out, err);
    lh_index_give_reader(index, reader);
    return code;
}
