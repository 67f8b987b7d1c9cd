/*
 * json_serialize_sql and json_deserialize_sql, prepared once: that makes a parse three times
 * cheaper.
 */
#include "duck/parser.h"

#include "base/buf.h"
#include "base/mem.h"
#include "duck/duck_private.h"

struct lh_duck_parser {
    duckdb_prepared_statement parse;
    duckdb_prepared_statement unparse;
};

static lh_code prepare(struct lh_duck_conn *conn, const char *sql,
                       duckdb_prepared_statement *ret_statement, struct lh_error *err)
{
    if (duckdb_prepare(conn->connection, sql, ret_statement) != DuckDBSuccess)
        return lh_duck_fail(err, duckdb_prepare_error(*ret_statement), NULL);
    return LH_OK;
}

lh_code lh_duck_parser_new(struct lh_duck_conn *conn, struct lh_duck_parser **ret_parser,
                           struct lh_error *err)
{
    struct lh_duck_parser *parser = lh_calloc(1, sizeof(*parser));
    lh_code code = prepare(conn, "SELECT json_serialize_sql($1::VARCHAR)", &parser->parse, err);
    if (code == LH_OK)
        code = prepare(conn, "SELECT json_deserialize_sql($1::JSON)", &parser->unparse, err);
    if (code != LH_OK) {
        lh_duck_parser_free(parser);
        return code;
    }
    *ret_parser = parser;
    return LH_OK;
}

void lh_duck_parser_free(struct lh_duck_parser *parser)
{
    if (parser == NULL)
        return;
    duckdb_destroy_prepare(&parser->parse);
    duckdb_destroy_prepare(&parser->unparse);
    free(parser);
}

/* The one text of the one row. */
static lh_code take_text(duckdb_result result, struct lh_buf *out, struct lh_error *err)
{
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk == NULL || duckdb_data_chunk_get_size(chunk) != 1) {
        duckdb_destroy_data_chunk(&chunk);
        return lh_fail(err, LH_INTERNAL, "the parser of SQL gave no answer");
    }
    duckdb_string_t *text = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    lh_buf_append(out, duckdb_string_t_data(text), duckdb_string_t_length(*text));
    duckdb_destroy_data_chunk(&chunk);
    if (lh_buf_overflowed(out))
        return lh_fail(err, LH_TOO_LARGE, "the statement has too many parts");
    return LH_OK;
}

static lh_code call(duckdb_prepared_statement statement, lh_str input, struct lh_buf *out,
                    struct lh_error *err)
{
    if (duckdb_bind_varchar_length(statement, 1, input.len > 0 ? input.ptr : "", input.len) !=
        DuckDBSuccess)
        return lh_duck_fail(err, duckdb_prepare_error(statement), NULL);
    duckdb_result result = {0};
    lh_code code = LH_OK;
    if (duckdb_execute_prepared(statement, &result) != DuckDBSuccess)
        code = lh_duck_fail(err, duckdb_result_error(&result), NULL);
    else
        code = take_text(result, out, err);
    duckdb_destroy_result(&result);
    return code;
}

lh_code lh_duck_parse(struct lh_duck_parser *parser, lh_str sql, struct lh_buf *out,
                      struct lh_error *err)
{
    return call(parser->parse, sql, out, err);
}

lh_code lh_duck_unparse(struct lh_duck_parser *parser, lh_str tree, struct lh_buf *out,
                        struct lh_error *err)
{
    return call(parser->unparse, tree, out, err);
}
