/*
 * The index's writer: transactions, and the rows of objects with their bodies and attributes. Only
 * the committer thread comes here.
 */
#include "storaged/index_private.h"

#include "base/mem.h"

/* ---- transactions ---- */

static lh_code run_simple(struct lh_index *index, enum lh_index_sql sql, const char *what,
                          struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    return lh_index_run(index->writer, statement, what, err);
}

lh_code lh_index_begin(struct lh_index *index, struct lh_error *err)
{
    return run_simple(index, LH_SQL_BEGIN, "begin a commit", err);
}

lh_code lh_index_commit(struct lh_index *index, struct lh_error *err)
{
    return run_simple(index, LH_SQL_COMMIT, "commit", err);
}

void lh_index_rollback(struct lh_index *index)
{
    /* SQLite has rolled back by itself after some failures. */
    if (sqlite3_get_autocommit(index->writer->db))
        return;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_IGNORE(run_simple(index, LH_SQL_ROLLBACK, "roll back", &ignored),
              "the failure that led here is the news; the next begin would fail, too");
}

lh_code lh_index_run_id(struct lh_index *index, enum lh_index_sql sql, uint64_t id,
                        const char *what, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)id);
    return lh_index_run(index->writer, statement, what, err);
}

/* ---- bodies and attributes ---- */

lh_code lh_index_put_body(struct lh_index *index, uint64_t id, uint64_t size,
                          const struct lh_index_body *body, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PUT_BODY, &statement, err));
    uint64_t sum = lh_index_sums_sum(id, size, body->sums, body->sum_count);
    sqlite3_bind_int64(statement, 1, (int64_t)id);
    lh_index_bind_blob(statement, 2,
                       lh_str_of((const char *)body->sums, body->sum_count * sizeof(*body->sums)));
    sqlite3_bind_int64(statement, 3, (int64_t)sum);
    if (body->payload)
        lh_index_bind_blob(statement, 4, lh_str_of(body->payload, size));
    return lh_index_run(index->writer, statement, "store a body", err);
}

lh_code lh_index_remove_body(struct lh_index *index, uint64_t id, struct lh_error *err)
{
    return lh_index_run_id(index, LH_SQL_REMOVE_BODY, id, "remove a body", err);
}

lh_code lh_index_put_attributes(struct lh_index *index, uint64_t body,
                                const struct lh_index_attributes *attributes, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PUT_ATTRIBUTES, &statement, err));
    uint64_t sum = lh_index_texts_sum(body, 0, attributes->headers, attributes->tags);
    sqlite3_bind_int64(statement, 1, (int64_t)body);
    lh_index_bind_blob(statement, 2, attributes->headers);
    lh_index_bind_blob(statement, 3, attributes->tags);
    sqlite3_bind_int64(statement, 4, (int64_t)sum);
    return lh_index_run(index->writer, statement, "store attributes", err);
}

/* ---- rows ---- */

/* Runs a look-up whose parameters are bound. */
static lh_code find_row(struct lh_index *index, sqlite3_stmt *statement, int64_t bucket,
                        struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err)
{
    bool found = false;
    lh_code code = lh_index_step(index->writer, statement, "look up a key", &found, err);
    if (found) {
        lh_str same;
        lh_index_row_read(statement, bucket, &same, ret_row);
    }
    lh_index_done(statement);
    LH_TRY(code);
    *ret_found = found;
    return LH_OK;
}

static lh_code find_by(struct lh_index *index, enum lh_index_sql sql, int64_t bucket, lh_str key,
                       struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    lh_index_bind_key(statement, bucket, key);
    return find_row(index, statement, bucket, ret_row, ret_found, err);
}

lh_code lh_index_find(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err)
{
    return find_by(index, LH_SQL_FIND, bucket, key, ret_row, ret_found, err);
}

/* What goes with a row. Nobody can tell whose body a damaged one named: it stays behind. */
static lh_code forget_old(struct lh_index *index, const struct lh_index_row *old,
                          struct lh_error *err)
{
    if (old->damaged || old->info.delete_marker)
        return LH_OK;
    if (old->has_attributes)
        LH_TRY(
            lh_index_run_id(index, LH_SQL_REMOVE_ATTRIBUTES, old->body, "remove attributes", err));
    if (old->info.part_count > 0)
        return lh_index_run_id(index, LH_SQL_DOOM, old->body, "give up the parts of an object",
                               err);
    return lh_index_remove_body(index, old->body, err);
}

static lh_code put_row(struct lh_index *index, enum lh_index_sql sql, int64_t bucket, lh_str key,
                       const struct lh_index_row *row, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    lh_index_row_bind(statement, bucket, key, row);
    return lh_index_run(index->writer, statement, "store a row", err);
}

lh_code lh_index_put(struct lh_index *index, int64_t bucket, lh_str key,
                     const struct lh_index_row *row, const struct lh_index_body *body,
                     const struct lh_index_attributes *attributes, const struct lh_index_row *old,
                     struct lh_error *err)
{
    if (old)
        LH_TRY(forget_old(index, old, err));
    if (body)
        LH_TRY(lh_index_put_body(index, row->body, row->info.size, body, err));
    if (body && row->has_attributes)
        LH_TRY(lh_index_put_attributes(index, row->body, attributes, err));
    return put_row(index, LH_SQL_PUT, bucket, key, row, err);
}

/* Runs a statement about one row: its parameters are the key and, where it has a third, a version.
 */
static lh_code run_key(struct lh_index *index, enum lh_index_sql sql, int64_t bucket, lh_str key,
                       const struct lh_index_row *row, struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, sql, &statement, err));
    lh_index_bind_key(statement, bucket, key);
    if (row)
        sqlite3_bind_int64(statement, 3, (int64_t)row->info.version);
    return lh_index_run(index->writer, statement, "move or remove a row", err);
}

lh_code lh_index_remove(struct lh_index *index, int64_t bucket, lh_str key,
                        const struct lh_index_row *old, struct lh_error *err)
{
    LH_TRY(forget_old(index, old, err));
    return run_key(index, LH_SQL_REMOVE, bucket, key, NULL, err);
}

/* ---- versions ---- */

lh_code lh_index_find_version(struct lh_index *index, int64_t bucket, lh_str key,
                              struct lh_version version, struct lh_index_row *ret_row,
                              bool *ret_found, struct lh_error *err)
{
    static const struct lh_index_lookup lookup = {LH_SQL_FIND, LH_SQL_FIND_NULL,
                                                  LH_SQL_FIND_NUMBERED};
    sqlite3_stmt *statement;
    LH_TRY(
        lh_index_version_statement(index->writer, &lookup, bucket, key, version, &statement, err));
    return find_row(index, statement, bucket, ret_row, ret_found, err);
}

lh_code lh_index_find_newest(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err)
{
    return find_by(index, LH_SQL_NEWEST, bucket, key, ret_row, ret_found, err);
}

lh_code lh_index_demote(struct lh_index *index, int64_t bucket, lh_str key, struct lh_error *err)
{
    return run_key(index, LH_SQL_DEMOTE, bucket, key, NULL, err);
}

lh_code lh_index_leave(struct lh_index *index, int64_t bucket, lh_str key, struct lh_error *err)
{
    return run_key(index, LH_SQL_REMOVE, bucket, key, NULL, err);
}

lh_code lh_index_promote(struct lh_index *index, int64_t bucket, lh_str key,
                         const struct lh_index_row *row, struct lh_error *err)
{
    LH_TRY(run_key(index, LH_SQL_PROMOTE, bucket, key, row, err));
    return run_key(index, LH_SQL_REMOVE_VERSION, bucket, key, row, err);
}

lh_code lh_index_put_marker(struct lh_index *index, int64_t bucket, lh_str key,
                            const struct lh_index_row *marker, struct lh_error *err)
{
    return put_row(index, LH_SQL_PUT_VERSION, bucket, key, marker, err);
}

lh_code lh_index_remove_version(struct lh_index *index, int64_t bucket, lh_str key,
                                const struct lh_index_row *row, struct lh_error *err)
{
    LH_TRY(forget_old(index, row, err));
    return run_key(index, LH_SQL_REMOVE_VERSION, bucket, key, row, err);
}

/* ---- other attributes for an object ---- */

lh_code lh_index_find_headers(struct lh_index *index, const struct lh_index_row *row,
                              char **ret_headers, size_t *ret_len, struct lh_error *err)
{
    if (!row->has_attributes) {
        *ret_headers = NULL;
        *ret_len = 0;
        return LH_OK;
    }
    sqlite3_stmt *statement;
    bool found = false;
    struct lh_index_object texts = {0};
    LH_TRY(lh_index_statement(index->writer, LH_SQL_GET_ATTRIBUTES, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)row->body);
    lh_code code = lh_index_step(index->writer, statement, "look up attributes", &found, err);
    if (code == LH_OK)
        code = found ? lh_index_texts_read(statement, 0, row->body, &texts, err)
                     : lh_fail(err, LH_CORRUPT, "the object's attributes are missing");
    lh_index_done(statement);
    if (code == LH_OK) {
        *ret_len = texts.headers_len;
        *ret_headers = LH_TAKE(texts.headers);
    }
    lh_index_object_deinit(&texts);
    return code;
}

lh_code lh_index_set_attributes(struct lh_index *index, int64_t bucket, lh_str key,
                                const struct lh_index_row *row, bool current,
                                const struct lh_index_attributes *attributes, struct lh_error *err)
{
    struct lh_index_row changed = *row;
    changed.has_attributes = attributes->headers.len > 0 || attributes->tags.len > 0;
    if (changed.has_attributes)
        LH_TRY(lh_index_put_attributes(index, row->body, attributes, err));
    else if (row->has_attributes)
        LH_TRY(
            lh_index_run_id(index, LH_SQL_REMOVE_ATTRIBUTES, row->body, "remove attributes", err));
    if (changed.has_attributes == row->has_attributes)
        return LH_OK;
    return put_row(index, current ? LH_SQL_PUT : LH_SQL_PUT_VERSION, bucket, key, &changed, err);
}
