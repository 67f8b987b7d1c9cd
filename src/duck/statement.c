/*
 * A user's statement. States: prepared -> (bound) -> running -> at its end; every failure leaves it
 * fit for lh_duck_statement_free and nothing else.
 */
#include "duck/statement_private.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "duck/type.h"

enum { TYPE_TEXT_MAX = 64 << 10 };

static lh_code refuse_kind(struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED, "only one SELECT statement is allowed"),
              "the hint returns the code");
    return lh_hint(err, "send each statement by itself");
}

/* Exactly one statement of that kind, whatever the text may look like to others. */
static lh_code prepare_one(struct lh_duck_statement *s, duckdb_extracted_statements extracted,
                           idx_t count, duckdb_connection connection, enum lh_duck_kind kind,
                           int64_t *ret_position, struct lh_error *err)
{
    if (count == 0)
        return lh_duck_fail(err, duckdb_extract_statements_error(extracted), ret_position);
    if (count != 1)
        return refuse_kind(err);
    if (duckdb_prepare_extracted_statement(connection, extracted, 0, &s->prepared) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_prepare_error(s->prepared), ret_position);
    duckdb_statement_type wanted =
        kind == LH_DUCK_SELECT ? DUCKDB_STATEMENT_TYPE_SELECT : DUCKDB_STATEMENT_TYPE_EXPLAIN;
    if (duckdb_prepared_statement_type(s->prepared) != wanted)
        return refuse_kind(err);
    return LH_OK;
}

static void columns_free(struct lh_duck_statement *s)
{
    for (size_t i = 0; i < s->column_count; i++) {
        free(s->columns[i].name);
        free(s->columns[i].type_text);
        duckdb_destroy_logical_type(&s->columns[i].type);
    }
    free(s->columns);
}

/* `type` is taken over. */
static void column_describe(struct lh_duck_result_column *column, const char *name,
                            duckdb_logical_type type)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(TYPE_TEXT_MAX);
    lh_duck_type_text(type, &text);
    *column = (struct lh_duck_result_column){
        .name = lh_strdup(name != NULL ? name : ""),
        .type_text = lh_buf_take(&text),
        .type = type,
        .encodes = lh_duck_type_encodes(type),
    };
}

/* From the result, not from what was prepared: that costs O(columns) for each of them. */
static void describe_result(struct lh_duck_statement *s)
{
    s->column_count = duckdb_column_count(&s->result);
    s->columns = lh_calloc(s->column_count + 1, sizeof(*s->columns));
    for (idx_t i = 0; i < s->column_count; i++)
        column_describe(&s->columns[i], duckdb_column_name(&s->result, i),
                        duckdb_column_logical_type(&s->result, i));
}

lh_code lh_duck_prepare(struct lh_duck_conn *conn, const char *sql, enum lh_duck_kind kind,
                        struct lh_duck_statement **ret_statement, int64_t *ret_position,
                        struct lh_error *err)
{
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    struct lh_duck_statement *s = lh_calloc(1, sizeof(*s));
    s->magic = LH_DUCK_STATEMENT_MAGIC;
    *ret_position = LH_DUCK_NO_POSITION;
    duckdb_extracted_statements extracted = NULL;
    idx_t count = duckdb_extract_statements(conn->connection, sql, &extracted);
    lh_code code = prepare_one(s, extracted, count, conn->connection, kind, ret_position, err);
    duckdb_destroy_extracted(&extracted);
    if (code != LH_OK) {
        lh_duck_statement_free(s);
        return code;
    }
    *ret_statement = s;
    return LH_OK;
}

void lh_duck_statement_free(struct lh_duck_statement *s)
{
    if (s == NULL)
        return;
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    s->magic = 0;
    duckdb_destroy_data_chunk(&s->chunk);
    duckdb_destroy_result(&s->result);
    duckdb_destroy_pending(&s->pending);
    duckdb_destroy_prepare(&s->prepared);
    columns_free(s);
    free(s);
}

/* ---- parameters ---- */

size_t lh_duck_param_count(const struct lh_duck_statement *s)
{
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    return duckdb_nparams(s->prepared);
}

void lh_duck_param_names(const struct lh_duck_statement *s, struct lh_buf *out)
{
    size_t count = lh_duck_param_count(s);
    for (size_t i = 0; i < count; i++) {
        const char *name = duckdb_parameter_name(s->prepared, i + 1);
        lh_buf_append_cstr(out, i > 0 ? ", $" : "$");
        lh_buf_append_cstr(out, name != NULL ? name : "");
        duckdb_free((void *)(uintptr_t)name);
    }
}

static duckdb_state bind_at(duckdb_prepared_statement prepared, idx_t index,
                            const struct lh_duck_value *value)
{
    switch (value->type) {
    case LH_DUCK_NULL:
        return duckdb_bind_null(prepared, index);
    case LH_DUCK_BOOL:
        return duckdb_bind_boolean(prepared, index, value->boolean);
    case LH_DUCK_I64:
        return duckdb_bind_int64(prepared, index, value->i64);
    case LH_DUCK_F64:
        return duckdb_bind_double(prepared, index, value->f64);
    case LH_DUCK_TEXT:
        return duckdb_bind_varchar_length(
            prepared, index, value->text.len > 0 ? value->text.ptr : "", value->text.len);
    }
    return DuckDBError;
}

bool lh_duck_has_param(const struct lh_duck_statement *s, const char *name)
{
    idx_t index = 0;
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    return duckdb_bind_parameter_index(s->prepared, &index, name) == DuckDBSuccess;
}

lh_code lh_duck_bind(struct lh_duck_statement *s, const char *name,
                     const struct lh_duck_value *value, struct lh_error *err)
{
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    idx_t index = 0;
    if (duckdb_bind_parameter_index(s->prepared, &index, name) != DuckDBSuccess)
        return lh_fail(err, LH_INVALID, "the statement has no parameter $%s", name);
    if (bind_at(s->prepared, index, value) != DuckDBSuccess)
        return lh_fail(err, LH_INVALID, "the parameter $%s cannot take this value", name);
    return LH_OK;
}

/* ---- columns ---- */

size_t lh_duck_column_count(const struct lh_duck_statement *s)
{
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    return s->column_count;
}

lh_str lh_duck_column_name(const struct lh_duck_statement *s, size_t column)
{
    LH_CHECK(column < s->column_count);
    return lh_str_from(s->columns[column].name);
}

lh_str lh_duck_column_type(const struct lh_duck_statement *s, size_t column)
{
    LH_CHECK(column < s->column_count);
    return lh_str_from(s->columns[column].type_text);
}

bool lh_duck_column_encodes(const struct lh_duck_statement *s, size_t column)
{
    LH_CHECK(column < s->column_count);
    return s->columns[column].encodes;
}

/* ---- rows ---- */

lh_code lh_duck_run(struct lh_duck_statement *s, int64_t *ret_position, struct lh_error *err)
{
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    LH_CHECK(s->pending == NULL);
    if (duckdb_pending_prepared_streaming(s->prepared, &s->pending) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_pending_error(s->pending), ret_position);
    if (duckdb_execute_pending(s->pending, &s->result) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_result_error(&s->result), ret_position);

    describe_result(s);
    return LH_OK;
}

lh_code lh_duck_next_chunk(struct lh_duck_statement *s, size_t *ret_rows, int64_t *ret_position,
                           struct lh_error *err)
{
    LH_CHECK_MAGIC(s, LH_DUCK_STATEMENT_MAGIC);
    LH_CHECK(s->pending != NULL);
    for (;;) {
        duckdb_destroy_data_chunk(&s->chunk);
        s->chunk = duckdb_fetch_chunk(s->result);
        if (s->chunk == NULL) {
            const char *why = duckdb_result_error(&s->result);
            if (why != NULL)
                return lh_duck_fail(err, why, ret_position);
            *ret_rows = 0;
            return LH_OK;
        }
        idx_t rows = duckdb_data_chunk_get_size(s->chunk);
        if (rows > 0) {
            *ret_rows = rows;
            return LH_OK;
        }
    }
}
