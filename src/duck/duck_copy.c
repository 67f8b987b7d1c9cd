/*
 * COPY with its statistics. The result is one row:
 *
 *   filename, count BIGINT, file_size_bytes UBIGINT, footer_size_bytes,
 *   column_statistics MAP(VARCHAR, MAP(VARCHAR, VARCHAR)), partition_keys
 *
 * A map is a list of structs of key and value, and is read where DuckDB put it.
 */
#include "duck/duck_private.h"

#include "base/check.h"

enum { COLUMN_COUNT = 1, COLUMN_BYTES = 2, COLUMN_STATS = 4 };

/* The entries of one map: keys[first .. first + count), and the values beside them. */
struct map {
    duckdb_vector keys;
    duckdb_vector values;
    idx_t first;
    idx_t count;
};

static struct map map_at(duckdb_vector vector, idx_t row)
{
    const duckdb_list_entry *entries = duckdb_vector_get_data(vector);
    duckdb_vector pairs = duckdb_list_vector_get_child(vector);
    return (struct map){
        .keys = duckdb_struct_vector_get_child(pairs, 0),
        .values = duckdb_struct_vector_get_child(pairs, 1),
        .first = entries[row].offset,
        .count = entries[row].length,
    };
}

static lh_str text_at(duckdb_vector vector, idx_t row)
{
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    if (validity != NULL && (validity[row >> 6] >> (row & 63) & 1) == 0)
        return LH_STR_NONE;
    duckdb_string_t *text = (duckdb_string_t *)duckdb_vector_get_data(vector) + row;
    return lh_str_of(duckdb_string_t_data(text), duckdb_string_t_length(*text));
}

static void read_column(lh_str path, const struct map *facts,
                        void (*on_column)(void *ctx, const struct lh_duck_column_stats *stats),
                        void *ctx)
{
    struct lh_duck_column_stats stats = {.path = path};
    for (idx_t i = facts->first; i < facts->first + facts->count; i++) {
        lh_str key = text_at(facts->keys, i);
        lh_str value = text_at(facts->values, i);
        if (lh_str_is(key, "min"))
            stats.min = value;
        else if (lh_str_is(key, "max"))
            stats.max = value;
        else if (lh_str_is(key, "null_count"))
            LH_IGNORE(!lh_str_to_u64(value, &stats.null_count), "it stays 0");
        else if (lh_str_is(key, "has_nan"))
            stats.has_nan = lh_str_is(value, "true");
    }
    on_column(ctx, &stats);
}

static void read_stats(duckdb_vector vector,
                       void (*on_column)(void *ctx, const struct lh_duck_column_stats *stats),
                       void *ctx)
{
    const struct map columns = map_at(vector, 0);
    for (idx_t i = columns.first; i < columns.first + columns.count; i++) {
        const struct map facts = map_at(columns.values, i);
        read_column(text_at(columns.keys, i), &facts, on_column, ctx);
    }
}

static uint64_t number_at(duckdb_data_chunk chunk, idx_t column)
{
    /* BIGINT or UBIGINT, never negative: the same bits */
    return *(const uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
}

lh_code lh_duck_copy(struct lh_duck_conn *conn, const char *sql,
                     void (*on_column)(void *ctx, const struct lh_duck_column_stats *stats),
                     void *ctx, uint64_t *ret_rows, uint64_t *ret_bytes, struct lh_error *err)
{
    LH_CHECK_MAGIC(conn, LH_DUCK_CONN_MAGIC);
    duckdb_result result = {0};
    duckdb_data_chunk chunk = NULL;
    lh_code code = LH_OK;
    if (duckdb_query(conn->connection, sql, &result) != DuckDBSuccess)
        code = lh_duck_fail(err, duckdb_result_error(&result), NULL);
    else if ((chunk = duckdb_fetch_chunk(result)) == NULL ||
             duckdb_data_chunk_get_size(chunk) != 1 ||
             duckdb_data_chunk_get_column_count(chunk) <= COLUMN_STATS)
        code = lh_fail(err, LH_INTERNAL, "COPY did not answer with one row of statistics");
    if (code == LH_OK) {
        *ret_rows = number_at(chunk, COLUMN_COUNT);
        *ret_bytes = number_at(chunk, COLUMN_BYTES);
        read_stats(duckdb_data_chunk_get_vector(chunk, COLUMN_STATS), on_column, ctx);
    }
    duckdb_destroy_data_chunk(&chunk);
    duckdb_destroy_result(&result);
    return code;
}
