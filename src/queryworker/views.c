/*
 * A view is `SELECT * FROM read_parquet([files])`: it hides the virtual columns (filename) and is
 * bound once. Files are immutable, so a view is right as long as it names the files asked for.
 * (Not as long as id and snapshot are the same: a dataset that was deleted and made again has
 * both.)
 */
#include "queryworker/views.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum { VIEWS_MAX = 512, SQL_MAX = 64 << 20 };

struct view {
    char *schema, *name; /* compared as DuckDB does, without case */
    uint64_t definition; /* XXH3 of its SQL, which names every file */
    uint64_t used;       /* clock of the last use */
};

struct lh_views {
    struct lh_duck_conn *conn;
    struct view *items;
    size_t count, capacity;
    uint64_t clock;
};

struct lh_views *lh_views_new(struct lh_duck_conn *conn)
{
    struct lh_views *views = lh_calloc(1, sizeof(*views));
    views->conn = conn;
    return views;
}

/* ---- the text of a view ---- */

static void put_qualified(struct lh_buf *sql, lh_str schema, lh_str name)
{
    lh_duck_quote_name(sql, schema);
    lh_buf_append_char(sql, '.');
    lh_duck_quote_name(sql, name);
}

static lh_code put_files(struct lh_buf *sql, const json_t *files, struct lh_error *err)
{
    lh_buf_append_cstr(sql, "SELECT * FROM read_parquet([");
    size_t index;
    json_t *file;
    json_array_foreach (files, index, file) {
        if (!json_is_string(file))
            return lh_fail(err, LH_INTERNAL, "a file of a dataset is no text");
        if (index > 0)
            lh_buf_append_char(sql, ',');
        lh_duck_quote_literal(sql, lh_str_of(json_string_value(file), json_string_length(file)));
    }
    lh_buf_append_cstr(sql, "], hive_partitioning = false)");
    return LH_OK;
}

/* A dataset without objects still has its columns. */
static lh_code put_empty(struct lh_buf *sql, const json_t *columns, struct lh_error *err)
{
    size_t index;
    json_t *column;
    lh_buf_append_cstr(sql, "SELECT ");
    json_array_foreach (columns, index, column) {
        lh_str name, type;
        LH_TRY(lh_json_need_str(column, "name", &name, err));
        LH_TRY(lh_json_need_str(column, "type", &type, err));
        lh_buf_printf(sql, "%sCAST(NULL AS %.*s) AS ", index > 0 ? ", " : "", LH_FMT(type));
        lh_duck_quote_name(sql, name);
    }
    lh_buf_append_cstr(sql, " WHERE false");
    return LH_OK;
}

static lh_code put_view(struct lh_buf *sql, lh_str schema, lh_str name, const json_t *dataset,
                        struct lh_error *err)
{
    json_t *files = NULL;
    json_t *columns = NULL;
    LH_TRY(lh_json_need_array(dataset, "files", &files, err));
    LH_TRY(lh_json_need_array(dataset, "columns", &columns, err));
    lh_buf_append_cstr(sql, "CREATE OR REPLACE VIEW ");
    put_qualified(sql, schema, name);
    lh_buf_append_cstr(sql, " AS ");
    if (json_array_size(files) > 0)
        LH_TRY(put_files(sql, files, err));
    else
        LH_TRY(put_empty(sql, columns, err));
    if (lh_buf_overflowed(sql))
        return lh_fail(err, LH_TOO_LARGE, "the dataset has too many objects for one query");
    return LH_OK;
}

/* ---- the list ---- */

static struct view *find(struct lh_views *views, lh_str schema, lh_str name)
{
    for (size_t i = 0; i < views->count; i++) {
        struct view *v = &views->items[i];
        if (lh_str_eq_nocase(lh_str_from(v->name), name) &&
            lh_str_eq_nocase(lh_str_from(v->schema), schema))
            return v;
    }
    return NULL;
}

static void forget(struct lh_views *views, struct view *v)
{
    free(v->schema);
    free(v->name);
    *v = views->items[--views->count];
}

static lh_code drop_oldest(struct lh_views *views, struct lh_error *err)
{
    struct view *oldest = &views->items[0];
    for (size_t i = 1; i < views->count; i++)
        if (views->items[i].used < oldest->used)
            oldest = &views->items[i];
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    lh_buf_append_cstr(&sql, "DROP VIEW ");
    put_qualified(&sql, lh_str_from(oldest->schema), lh_str_from(oldest->name));
    forget(views, oldest);
    return lh_duck_exec(views->conn, sql.data, err);
}

static lh_code create_schema(struct lh_views *views, lh_str schema, struct lh_error *err)
{
    if (lh_str_is(schema, "main"))
        return LH_OK;
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    lh_buf_append_cstr(&sql, "CREATE SCHEMA IF NOT EXISTS ");
    lh_duck_quote_name(&sql, schema);
    return lh_duck_exec(views->conn, sql.data, err);
}

lh_code lh_views_show(struct lh_views *views, lh_str schema, lh_str name, const json_t *dataset,
                      struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    LH_TRY(put_view(&sql, schema, name, dataset, err));
    uint64_t definition = lh_xxh3(sql.data, sql.len);
    struct view *v = find(views, schema, name);
    if (v != NULL && v->definition == definition) {
        v->used = ++views->clock;
        return LH_OK;
    }
    if (v != NULL)
        forget(views, v); /* whatever comes now, it no longer shows what it says */
    while (views->count >= VIEWS_MAX)
        LH_TRY(drop_oldest(views, err));
    LH_TRY(create_schema(views, schema, err));
    LH_TRY(lh_duck_exec(views->conn, sql.data, err));
    views->items = lh_grow(views->items, &views->capacity, views->count + 1, sizeof(*v));
    views->items[views->count++] = (struct view){
        .schema = lh_strndup(schema.ptr, schema.len),
        .name = lh_strndup(name.ptr, name.len),
        .definition = definition,
        .used = ++views->clock,
    };
    return LH_OK;
}
