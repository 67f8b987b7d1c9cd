/* Hits of vector searches as tables of the database in memory; they end with the query. */
#include "queryworker/searches.h"

#include "base/mem.h"
#include "queryd/caret.h"

enum { SQL_MAX = 4096 };

lh_code lh_searches_read(const struct lh_gate *gate, lh_str sql, const json_t *params,
                         struct lh_duck_conn *conn, struct lh_searches *searches,
                         struct lh_error *err)
{
    searches->conn = conn;
    searches->used = json_object();
    for (size_t i = 0; i < gate->search_count; i++) {
        size_t offset = 0;
        lh_code code = lh_vector_call_read(&gate->ast, gate->searches[i].function, params,
                                           searches->used, &searches->calls[i], &offset, err);
        if (code != LH_OK) {
            lh_sql_caret(sql, offset, err);
            return code;
        }
        searches->tables[i] = lh_asprintf("vector_search@%zu", i + 1);
        searches->count++;
    }
    return LH_OK;
}

static lh_code run_named(struct lh_searches *searches, const char *before, const char *table,
                         const char *after, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    lh_buf_append_cstr(&sql, before);
    lh_duck_quote_name(&sql, lh_str_from(table));
    lh_buf_append_cstr(&sql, after);
    return lh_duck_exec(searches->conn, sql.data, err);
}

void lh_searches_deinit(struct lh_searches *searches)
{
    for (size_t i = 0; i < searches->count; i++) {
        struct lh_error err = LH_ERROR_INIT;
        if (i < searches->shown)
            LH_IGNORE(
                run_named(searches, "DROP TABLE IF EXISTS main.", searches->tables[i], "", &err),
                "the next of its name replaces it");
        lh_vector_call_deinit(&searches->calls[i]);
        free(searches->tables[i]);
    }
    lh_json_cleanup(&searches->used);
    *searches = (struct lh_searches){0};
}

void lh_searches_put(const struct lh_searches *searches, struct lh_json *json)
{
    lh_json_key(json, "searches");
    lh_json_array(json);
    for (size_t i = 0; i < searches->count; i++) {
        const struct lh_vector_call *call = &searches->calls[i];
        lh_json_object(json);
        lh_json_kstr(json, "index", lh_buf_str(&call->index));
        lh_json_kstr(json, "body", lh_buf_str(&call->body));
        lh_json_ku64(json, "offset", call->offset);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static lh_code fill(struct lh_searches *searches, const char *table, lh_str hits,
                    struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    struct lh_duck_rows *rows = NULL;
    lh_buf_append_cstr(&sql, "INSERT INTO main.");
    lh_duck_quote_name(&sql, lh_str_from(table));
    lh_buf_append_cstr(&sql,
                       " SELECT hit ->> 'id', CAST(hit ->> 'distance' AS FLOAT), "
                       "CASE WHEN json_type(hit, 'metadata') = 'OBJECT' "
                       "THEN hit -> 'metadata' END "
                       "FROM (SELECT unnest(CAST(CAST($1 AS JSON) -> 'hits' AS JSON[])) AS hit)");
    LH_TRY(lh_duck_query(searches->conn, sql.data, &hits, 1, &rows, err));
    while (lh_duck_next(rows))
        continue; /* one row: how many were inserted */
    return lh_duck_rows_close(&rows, err);
}

lh_code lh_searches_show(struct lh_searches *searches, lh_str hits, struct lh_error *err)
{
    const char *table = searches->tables[searches->shown];
    LH_TRY(run_named(searches, "CREATE OR REPLACE TABLE main.", table,
                     " (id VARCHAR, distance FLOAT, metadata JSON)", err));
    searches->shown++;
    return fill(searches, table, hits, err);
}
