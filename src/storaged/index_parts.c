/*
 * Uploads in parts, in the index. The parts of an upload are listed under the body id of the object
 * that it will be; completing it leaves them where they are. Lists that nobody needs any more are
 * doomed in one commit and taken apart in later ones.
 */
#include "storaged/index_private.h"

/* ---- the writer ---- */

static void bind_upload_name(sqlite3_stmt *statement, int64_t bucket, lh_str key, const char *id)
{
    lh_index_bind_key(statement, bucket, key);
    sqlite3_bind_text(statement, 3, id, -1, SQLITE_STATIC);
}

static lh_code find_upload(struct lh_index_connection *connection, int64_t bucket, lh_str key,
                           const char *id, struct lh_index_upload *ret_upload, bool *ret_found,
                           struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool found = false;
    LH_TRY(lh_index_statement(connection, LH_SQL_FIND_UPLOAD, &statement, err));
    bind_upload_name(statement, bucket, key, id);
    lh_code code = lh_index_step(connection, statement, "look up an upload", &found, err);
    if (found) {
        int64_t same_bucket;
        lh_str same_key;
        lh_index_upload_read(statement, &same_bucket, &same_key, ret_upload);
    }
    lh_index_done(statement);
    LH_TRY(code);
    *ret_found = found;
    return LH_OK;
}

lh_code lh_index_find_upload(struct lh_index *index, int64_t bucket, lh_str key, const char *id,
                             struct lh_index_upload *ret_upload, bool *ret_found,
                             struct lh_error *err)
{
    return find_upload(index->writer, bucket, key, id, ret_upload, ret_found, err);
}

static lh_code step_to_part(struct lh_index_connection *connection, enum lh_index_sql sql,
                            uint64_t list, uint32_t number, struct lh_index_part *ret_part,
                            bool *ret_found, struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool found = false;
    LH_TRY(lh_index_statement(connection, sql, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)list);
    sqlite3_bind_int64(statement, 2, number);
    lh_code code = lh_index_step(connection, statement, "look up a part", &found, err);
    if (found)
        lh_index_part_read(statement, list, ret_part);
    lh_index_done(statement);
    LH_TRY(code);
    *ret_found = found;
    return LH_OK;
}

lh_code lh_index_find_part(struct lh_index *index, uint64_t list, uint32_t number,
                           struct lh_index_part *ret_part, bool *ret_found, struct lh_error *err)
{
    return step_to_part(index->writer, LH_SQL_FIND_PART, list, number, ret_part, ret_found, err);
}

lh_code lh_index_parts_totals(struct lh_index *index, uint64_t list, size_t *ret_count,
                              uint64_t *ret_bytes, struct lh_error *err)
{
    sqlite3_stmt *statement;
    bool row = false;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PARTS_TOTALS, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)list);
    lh_code code = lh_index_step(index->writer, statement, "count parts", &row, err);
    if (row) {
        *ret_count = (size_t)sqlite3_column_int64(statement, 0);
        *ret_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    lh_index_done(statement);
    return code;
}

lh_code lh_index_put_upload(struct lh_index *index, int64_t bucket, lh_str key,
                            const struct lh_index_upload *upload,
                            const struct lh_index_attributes *attributes, struct lh_error *err)
{
    if (upload->has_attributes)
        LH_TRY(lh_index_put_attributes(index, upload->body, attributes, err));
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PUT_UPLOAD, &statement, err));
    lh_index_upload_bind(statement, bucket, key, upload);
    return lh_index_run(index->writer, statement, "store an upload", err);
}

lh_code lh_index_remove_upload(struct lh_index *index, int64_t bucket, lh_str key,
                               const struct lh_index_upload *upload, bool keep_parts,
                               struct lh_error *err)
{
    if (!keep_parts) {
        LH_TRY(lh_index_run_id(index, LH_SQL_DOOM, upload->body, "give up parts", err));
        LH_TRY(lh_index_run_id(index, LH_SQL_REMOVE_ATTRIBUTES, upload->body, "remove attributes",
                               err));
    }
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_REMOVE_UPLOAD, &statement, err));
    bind_upload_name(statement, bucket, key, upload->info.id);
    return lh_index_run(index->writer, statement, "remove an upload", err);
}

lh_code lh_index_place_part(struct lh_index *index, uint64_t list, const struct lh_index_part *part,
                            struct lh_error *err)
{
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_PUT_PART, &statement, err));
    lh_index_part_bind(statement, list, part);
    return lh_index_run(index->writer, statement, "store a part", err);
}

lh_code lh_index_put_part(struct lh_index *index, uint64_t list, const struct lh_index_part *part,
                          const struct lh_index_body *body, const struct lh_index_part *old,
                          struct lh_error *err)
{
    if (old && !old->damaged)
        LH_TRY(lh_index_remove_body(index, old->body, err));
    LH_TRY(lh_index_put_body(index, part->body, part->info.size, body, err));
    return lh_index_place_part(index, list, part, err);
}

lh_code lh_index_remove_part(struct lh_index *index, uint64_t list,
                             const struct lh_index_part *part, struct lh_error *err)
{
    if (!part->damaged)
        LH_TRY(lh_index_remove_body(index, part->body, err));
    sqlite3_stmt *statement;
    LH_TRY(lh_index_statement(index->writer, LH_SQL_REMOVE_PART, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)list);
    sqlite3_bind_int64(statement, 2, part->info.number);
    return lh_index_run(index->writer, statement, "remove a part", err);
}

lh_code lh_index_end_doom(struct lh_index *index, uint64_t list, struct lh_error *err)
{
    return lh_index_run_id(index, LH_SQL_END_DOOM, list, "end a list of parts", err);
}

/* ---- readers ---- */

lh_code lh_index_upload(struct lh_index *index, int64_t bucket, lh_str key, const char *id,
                        struct lh_index_upload *ret_upload, struct lh_error *err)
{
    struct lh_index_connection *reader;
    bool found = false;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code = find_upload(reader, bucket, key, id, ret_upload, &found, err);
    lh_index_give_reader(index, reader);
    LH_TRY(code);
    if (!found)
        return lh_fail(err, LH_NOT_FOUND, "there is no such upload");
    return ret_upload->damaged ? lh_fail(err, LH_CORRUPT, "the upload's row is damaged") : LH_OK;
}

lh_code lh_index_part_from(struct lh_index *index, uint64_t list, uint32_t number,
                           struct lh_index_part *ret_part, struct lh_error *err)
{
    struct lh_index_connection *reader;
    bool found = false;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    lh_code code = step_to_part(reader, LH_SQL_PARTS, list, number, ret_part, &found, err);
    lh_index_give_reader(index, reader);
    LH_TRY(code);
    if (!found)
        return lh_fail(err, LH_NOT_FOUND, "there is no such part");
    return ret_part->damaged ? lh_fail(err, LH_CORRUPT, "the row of a part is damaged") : LH_OK;
}

static lh_code visit_parts(struct lh_index_connection *reader, sqlite3_stmt *statement,
                           uint64_t list,
                           bool (*visit)(void *ctx, const struct lh_index_part *part), void *ctx,
                           struct lh_error *err)
{
    for (;;) {
        bool row = false;
        LH_TRY(lh_index_step(reader, statement, "list parts", &row, err));
        struct lh_index_part part;
        if (row)
            lh_index_part_read(statement, list, &part);
        if (!row || !visit(ctx, &part))
            return LH_OK;
    }
}

lh_code lh_index_parts(struct lh_index *index, uint64_t list, uint32_t from,
                       bool (*visit)(void *ctx, const struct lh_index_part *part), void *ctx,
                       struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    sqlite3_stmt *statement;
    lh_code code = lh_index_statement(reader, LH_SQL_PARTS, &statement, err);
    if (code == LH_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)list);
        sqlite3_bind_int64(statement, 2, from);
        code = visit_parts(reader, statement, list, visit, ctx, err);
        lh_index_done(statement);
    }
    lh_index_give_reader(index, reader);
    return code;
}

static lh_code visit_uploads(struct lh_index_connection *reader, sqlite3_stmt *statement,
                             lh_index_upload_visitor visit, void *ctx, struct lh_error *err)
{
    for (;;) {
        bool row = false;
        int64_t bucket;
        lh_str key;
        struct lh_index_upload upload;
        LH_TRY(lh_index_step(reader, statement, "list uploads", &row, err));
        if (row)
            lh_index_upload_read(statement, &bucket, &key, &upload);
        if (!row || !visit(ctx, bucket, key, &upload))
            return LH_OK;
    }
}

lh_code lh_index_uploads(struct lh_index *index, int64_t bucket, lh_str key_from,
                         const char *id_from, lh_index_upload_visitor visit, void *ctx,
                         struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    sqlite3_stmt *statement;
    lh_code code =
        lh_index_statement(reader, bucket ? LH_SQL_UPLOADS : LH_SQL_ALL_UPLOADS, &statement, err);
    if (code == LH_OK) {
        if (bucket)
            bind_upload_name(statement, bucket, key_from, id_from);
        code = visit_uploads(reader, statement, visit, ctx, err);
        lh_index_done(statement);
    }
    lh_index_give_reader(index, reader);
    return code;
}

lh_code lh_index_next_doomed(struct lh_index *index, uint64_t after, uint64_t *ret_list,
                             struct lh_error *err)
{
    struct lh_index_connection *reader;
    LH_TRY(lh_index_take_reader(index, &reader, err));
    sqlite3_stmt *statement;
    bool found = false;
    uint64_t list = 0;
    lh_code code = lh_index_statement(reader, LH_SQL_NEXT_DOOMED, &statement, err);
    if (code == LH_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)after);
        code = lh_index_step(reader, statement, "look for parts to remove", &found, err);
        if (found)
            list = (uint64_t)sqlite3_column_int64(statement, 0);
        lh_index_done(statement);
    }
    lh_index_give_reader(index, reader);
    LH_TRY(code);
    *ret_list = list;
    return LH_OK;
}
