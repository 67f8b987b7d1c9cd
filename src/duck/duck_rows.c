/*
 * Trusted queries, read row by row: a chunk of at most 2,048 rows is held at a time, and the values
 * are read where DuckDB put them.
 */
#include "duck/duck_private.h"

#include "base/check.h"
#include "base/mem.h"

struct column {
    duckdb_type type;
    const void *data;         /* of the present chunk */
    const uint64_t *validity; /* bit k of word k >> 6; NULL = all valid */
};

struct lh_duck_rows {
    uint32_t magic;
    duckdb_prepared_statement statement;
    duckdb_pending_result pending;
    duckdb_result result;
    duckdb_data_chunk chunk; /* NULL before the first and after the last row */
    idx_t row;               /* in the chunk */
    idx_t chunk_rows;
    bool done;
    size_t column_count;
    struct column *columns;
    struct lh_error failure; /* of the stream */
};

static lh_code bind_texts(duckdb_prepared_statement statement, const lh_str *params, size_t count,
                          struct lh_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (duckdb_bind_varchar_length(statement, i + 1, params[i].len > 0 ? params[i].ptr : "",
                                       params[i].len) != DuckDBSuccess)
            return lh_duck_fail(err, duckdb_prepare_error(statement), NULL);
    return LH_OK;
}

static lh_code start(struct lh_duck_rows *rows, duckdb_connection connection, const char *sql,
                     const lh_str *params, size_t param_count, struct lh_error *err)
{
    if (duckdb_prepare(connection, sql, &rows->statement) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_prepare_error(rows->statement), NULL);
    LH_TRY(bind_texts(rows->statement, params, param_count, err));
    if (duckdb_pending_prepared_streaming(rows->statement, &rows->pending) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_pending_error(rows->pending), NULL);
    if (duckdb_execute_pending(rows->pending, &rows->result) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_result_error(&rows->result), NULL);

    rows->column_count = duckdb_column_count(&rows->result);
    rows->columns = lh_calloc(rows->column_count, sizeof(*rows->columns));
    for (size_t i = 0; i < rows->column_count; i++)
        rows->columns[i].type = duckdb_column_type(&rows->result, i);
    return LH_OK;
}

static void rows_free(struct lh_duck_rows *rows)
{
    LH_CHECK_MAGIC(rows, LH_DUCK_ROWS_MAGIC);
    rows->magic = 0;
    duckdb_destroy_data_chunk(&rows->chunk);
    duckdb_destroy_result(&rows->result);
    duckdb_destroy_pending(&rows->pending);
    duckdb_destroy_prepare(&rows->statement);
    free(rows->columns);
    free(rows);
}

lh_code lh_duck_query(struct lh_duck_conn *conn, const char *sql, const lh_str *params,
                      size_t param_count, struct lh_duck_rows **ret_rows, struct lh_error *err)
{
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    struct lh_duck_rows *rows = lh_calloc(1, sizeof(*rows));
    rows->magic = LH_DUCK_ROWS_MAGIC;
    lh_code code = start(rows, conn->connection, sql, params, param_count, err);
    if (code != LH_OK) {
        rows_free(rows);
        return code;
    }
    *ret_rows = rows;
    return LH_OK;
}

static bool next_chunk(struct lh_duck_rows *rows)
{
    duckdb_destroy_data_chunk(&rows->chunk);
    rows->chunk = duckdb_fetch_chunk(rows->result);
    rows->row = 0;
    if (rows->chunk == NULL) {
        rows->done = true;
        /* A stream that failed half-way looks like its end. */
        const char *why = duckdb_result_error(&rows->result);
        if (why != NULL)
            LH_IGNORE(lh_duck_fail(&rows->failure, why, NULL), "told by lh_duck_rows_close");
        return false;
    }
    rows->chunk_rows = duckdb_data_chunk_get_size(rows->chunk);
    for (size_t i = 0; i < rows->column_count; i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(rows->chunk, i);
        rows->columns[i].data = duckdb_vector_get_data(vector);
        rows->columns[i].validity = duckdb_vector_get_validity(vector);
    }
    return true;
}

bool lh_duck_next(struct lh_duck_rows *rows)
{
    LH_CHECK_MAGIC(rows, LH_DUCK_ROWS_MAGIC);
    if (rows->done)
        return false;
    if (rows->chunk != NULL && ++rows->row < rows->chunk_rows)
        return true;
    do {
        if (!next_chunk(rows))
            return false;
    } while (rows->chunk_rows == 0);
    return true;
}

lh_code lh_duck_rows_close(struct lh_duck_rows **rows, struct lh_error *err)
{
    if (*rows == NULL)
        return LH_OK;
    struct lh_error failure = (*rows)->failure;
    rows_free(*rows);
    *rows = NULL;
    if (failure.code != LH_OK)
        *err = failure;
    return failure.code;
}

/* ---- values ---- */

static const struct column *column_at(const struct lh_duck_rows *rows, size_t column)
{
    LH_CHECK_MAGIC(rows, LH_DUCK_ROWS_MAGIC);
    LH_CHECK(rows->chunk != NULL && column < rows->column_count);
    return &rows->columns[column];
}

bool lh_duck_is_null(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    return c->validity != NULL && (c->validity[rows->row >> 6] >> (rows->row & 63) & 1) == 0;
}

lh_str lh_duck_text(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    LH_CHECK(c->type == DUCKDB_TYPE_VARCHAR || c->type == DUCKDB_TYPE_BLOB);
    if (lh_duck_is_null(rows, column))
        return LH_STR_NONE;
    const duckdb_string_t *value = &((const duckdb_string_t *)c->data)[rows->row];
    if (value->value.inlined.length <= sizeof(value->value.inlined.inlined))
        return lh_str_of(value->value.inlined.inlined, value->value.inlined.length);
    return lh_str_of(value->value.pointer.ptr, value->value.pointer.length);
}

int64_t lh_duck_i64(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    if (lh_duck_is_null(rows, column))
        return 0;
    switch (c->type) {
    case DUCKDB_TYPE_BIGINT:
        return ((const int64_t *)c->data)[rows->row];
    case DUCKDB_TYPE_INTEGER:
        return ((const int32_t *)c->data)[rows->row];
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)c->data)[rows->row];
    case DUCKDB_TYPE_TINYINT:
        return ((const int8_t *)c->data)[rows->row];
    default:
        return (int64_t)lh_duck_u64(rows, column);
    }
}

uint64_t lh_duck_u64(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    if (lh_duck_is_null(rows, column))
        return 0;
    switch (c->type) {
    case DUCKDB_TYPE_UBIGINT:
        return ((const uint64_t *)c->data)[rows->row];
    case DUCKDB_TYPE_UINTEGER:
        return ((const uint32_t *)c->data)[rows->row];
    case DUCKDB_TYPE_USMALLINT:
        return ((const uint16_t *)c->data)[rows->row];
    case DUCKDB_TYPE_UTINYINT:
        return ((const uint8_t *)c->data)[rows->row];
    default:
        LH_CHECK(c->type == DUCKDB_TYPE_BIGINT); /* a count, say: never negative */
        return (uint64_t)((const int64_t *)c->data)[rows->row];
    }
}

double lh_duck_f64(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    LH_CHECK(c->type == DUCKDB_TYPE_DOUBLE || c->type == DUCKDB_TYPE_FLOAT);
    if (lh_duck_is_null(rows, column))
        return 0;
    return c->type == DUCKDB_TYPE_DOUBLE ? ((const double *)c->data)[rows->row]
                                         : (double)((const float *)c->data)[rows->row];
}

bool lh_duck_bool(const struct lh_duck_rows *rows, size_t column)
{
    const struct column *c = column_at(rows, column);
    LH_CHECK(c->type == DUCKDB_TYPE_BOOLEAN);
    return !lh_duck_is_null(rows, column) && ((const bool *)c->data)[rows->row];
}
