/*
 * Sending a query, and what is done with its rows.
 */
#include "cli/sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum {
    ROWS_SHOWN = 40,
    BODY_BYTES_MAX = 64 << 20,
    ERROR_BYTES_MAX = 1 << 20,
    QUERY_ID_SIZE = 64,
};

/* One query under way. */
struct query {
    struct lh_cli *cli;
    int status;
    char id[QUERY_ID_SIZE]; /* "" until the server told it */
    struct lh_buf error;    /* the body of an answer that is an error */
    lh_code (*on_bytes)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
    void *ctx;
};

/* ---- the request ---- */

/* "trips=3,zones=1" as {"trips":3,"zones":1}. */
static lh_code put_snapshots(struct lh_json *json, const char *at, struct lh_error *err)
{
    lh_json_key(json, "snapshots");
    lh_json_object(json);
    lh_str rest = lh_str_from(at), item;
    while (lh_str_next(&rest, ',', &item)) {
        lh_str name;
        int64_t number;
        if (!lh_str_next(&item, '=', &name) || name.len == 0 || !lh_str_to_i64(item, &number))
            return lh_fail(err, LH_INVALID, "--at %s: it takes NAME=SNAPSHOT, or a time", at);
        LH_AUTO_FREE char *key = lh_strndup(name.ptr, name.len);
        lh_json_ki64(json, key, number);
    }
    lh_json_object_end(json);
    return LH_OK;
}

static lh_code put_at(struct lh_json *json, const char *at, struct lh_error *err)
{
    if (strchr(at, '='))
        return put_snapshots(json, at, err);
    int64_t number;
    if (lh_str_to_i64(lh_str_from(at), &number)) {
        LH_IGNORE(lh_fail(err, LH_INVALID, "--at %s: of which dataset is that the snapshot?", at),
                  "the hint follows");
        return lh_hint(err, "--at NAME=%s", at);
    }
    lh_json_kcstr(json, "as_of", at);
    return LH_OK;
}

static lh_code put_body(const struct lh_sql_query *query, struct lh_buf *body, struct lh_error *err)
{
    if (!lh_utf8_valid(query->sql))
        return lh_fail(err, LH_INVALID_SQL, "the SQL is not UTF-8");
    struct lh_json json = LH_JSON_TO(body);
    lh_json_object(&json);
    lh_json_kstr(&json, "sql", query->sql);
    if (query->at)
        LH_TRY(put_at(&json, query->at, err));
    lh_json_object_end(&json);
    return lh_buf_overflowed(body) ? lh_fail(err, LH_TOO_LARGE, "the SQL is too long") : LH_OK;
}

/* ---- the answer ---- */

static lh_code on_head(void *ctx, int status, const struct lh_http_header *headers, size_t count,
                       struct lh_error *err)
{
    (void)err;
    struct query *query = ctx;
    query->status = status;
    for (size_t i = 0; i < count; i++) {
        if (lh_str_eq_nocase(headers[i].name, LH_STR("X-Query-Id")) &&
            headers[i].value.len < sizeof(query->id)) {
            memcpy(query->id, headers[i].value.ptr, headers[i].value.len);
            query->id[headers[i].value.len] = '\0';
        }
    }
    return LH_OK;
}

static lh_code on_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct query *query = ctx;
    if (query->status == 200)
        return query->on_bytes(query->ctx, bytes, len, err);
    lh_buf_append(&query->error, bytes, len);
    return lh_buf_overflowed(&query->error)
               ? lh_fail(err, LH_BAD_UPSTREAM, "the error answer is too large to be one")
               : LH_OK;
}

/* After Ctrl-C: by its id if the server told one. If not, it notices that we are gone. */
static lh_code cancel(struct query *query, struct lh_error *err)
{
    if (query->id[0]) {
        LH_AUTO_FREE char *path = lh_asprintf("/v1/sql/%s", query->id);
        struct lh_error ignored = LH_ERROR_INIT;
        LH_AUTO_JSON json_t *answer = NULL;
        LH_IGNORE(lh_client_json(query->cli, LH_HTTP_DELETE, path, NULL, &answer, &ignored),
                  "it may have ended by itself");
    }
    return lh_fail(err, LH_CANCELLED, "cancelled, here and on the server");
}

static lh_code run(struct query *query, const struct lh_sql_query *sql, const char *format,
                   struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BODY_BYTES_MAX);
    LH_TRY(put_body(sql, &body, err));
    static const struct lh_http_header json_body = {
        {"Content-Type", sizeof("Content-Type") - 1},
        {"application/json", sizeof("application/json") - 1},
    };
    const struct lh_http_call call = {
        .method = LH_HTTP_POST,
        .headers = &json_body,
        .header_count = 1,
        .body = body.data,
        .body_len = body.len,
        .deadline = LH_NO_DEADLINE, /* the server has one */
        .cancelled = lh_cli_interrupted,
    };
    const struct lh_http_sink sink = {.ctx = query, .on_head = on_head, .on_body = on_body};
    LH_AUTO_FREE char *path = lh_asprintf("/v1/sql?format=%s", format);
    int status;
    lh_code code = lh_client_call(query->cli, path, &call, &sink, &status, err);
    if (code == LH_CANCELLED)
        return cancel(query, err);
    if (code == LH_OK && status != 200)
        code = lh_client_fail(status, lh_buf_str(&query->error), err);
    return code;
}

static struct query query_to(struct lh_cli *cli,
                             lh_code (*on_bytes)(void *, const void *, size_t, struct lh_error *),
                             void *ctx)
{
    return (struct query){
        .cli = cli,
        .error = LH_BUF_INIT(ERROR_BYTES_MAX),
        .on_bytes = on_bytes,
        .ctx = ctx,
    };
}

/* ---- as the server writes it ---- */

static lh_code copy_bytes(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    FILE *out = ctx;
    if (fwrite(bytes, 1, len, out) == len)
        return LH_OK;
    if (lh_cli_interrupted(NULL)) /* a reader that stalls does not keep Ctrl-C from working */
        return lh_fail(err, LH_CANCELLED, "cancelled");
    return lh_fail_errno(err, "cannot write the result");
}

lh_code lh_sql_stream(struct lh_cli *cli, const struct lh_sql_query *sql, const char *format,
                      lh_code (*on_bytes)(void *ctx, const void *bytes, size_t len,
                                          struct lh_error *err),
                      void *ctx, struct lh_error *err)
{
    struct query query = query_to(cli, on_bytes, ctx);
    lh_code code = run(&query, sql, format, err);
    lh_buf_deinit(&query.error);
    return code;
}

lh_code lh_sql_copy(struct lh_cli *cli, const struct lh_sql_query *sql, const char *format,
                    FILE *out, struct lh_error *err)
{
    return lh_sql_stream(cli, sql, format, copy_bytes, out, err);
}

/* ---- as a table ---- */

struct shown {
    struct lh_rows rows;
    struct lh_table *table;
};

static lh_code keep_row(void *ctx, lh_str row, struct lh_error *err)
{
    (void)err;
    lh_table_add_row(ctx, row);
    return LH_OK;
}

static lh_code feed(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct shown *shown = ctx;
    return lh_rows_feed(&shown->rows, bytes, len, err);
}

static lh_str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return lh_str_of(json_string_value(value), json_string_length(value));
}

static void print_footer(const struct lh_table *table, const json_t *document, FILE *out,
                         const struct lh_style *style)
{
    char rows[LH_HUMAN_SIZE], shown[LH_HUMAN_SIZE], time[LH_HUMAN_SIZE];
    uint64_t count = lh_table_row_count(table);
    fprintf(out, "%s%s row%s", style->dim, lh_human_count(count, rows), count == 1 ? "" : "s");
    if (lh_table_rows_shown(table) < count)
        fprintf(out, " (%s shown)", lh_human_count(lh_table_rows_shown(table), shown));
    if (json_is_true(json_object_get(document, "truncated")))
        fprintf(out, ", cut at the limit");
    double ms = (double)json_integer_value(json_object_get(document, "elapsed_ms"));
    fprintf(out, "  %s%s\n", lh_human_seconds(ms / 1000, time), style->off);
}

static lh_code print_table(struct lh_cli *cli, struct shown *shown, FILE *out, struct lh_error *err)
{
    lh_str text;
    LH_TRY(lh_rows_end(&shown->rows, &text, err));
    LH_AUTO_JSON json_t *document = NULL;
    LH_TRY(lh_json_parse(text, &document, err));
    size_t i;
    json_t *column;
    json_array_foreach (json_object_get(document, "columns"), i, column) {
        lh_table_add_column(shown->table, text_of(column, "name"), text_of(column, "type"));
    }
    struct lh_style style = lh_style_of(out, cli->color);
    lh_table_print(shown->table, out, lh_terminal_width(out), &style);
    print_footer(shown->table, document, out, &style);
    return LH_OK;
}

lh_code lh_sql_table(struct lh_cli *cli, const struct lh_sql_query *sql, FILE *out,
                     struct lh_error *err)
{
    struct shown shown = {.table = lh_table_new(ROWS_SHOWN)};
    lh_rows_init(&shown.rows, keep_row, shown.table);
    struct query query = query_to(cli, feed, &shown);
    lh_code code = run(&query, sql, "json", err);
    if (code == LH_OK)
        code = print_table(cli, &shown, out, err);
    lh_buf_deinit(&query.error);
    lh_rows_deinit(&shown.rows);
    lh_table_free(shown.table);
    return code;
}
