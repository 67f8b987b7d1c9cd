/*
 * One query: gate, datasets, prepare, bind, run, encode. Whatever fails ends in one ERROR frame.
 *
 * The text that runs is the user's own wherever it can be, so that errors point into it: the gate
 * has seen the same text through the same parser. It is the canonical text of the (changed) tree
 * when tables are exchanged (time travel), when columns must be cast to be written, and for
 * EXPLAIN.
 */
#include "queryworker/worker.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "duck/encode.h"
#include "queryd/caret.h"
#include "queryd/protocol.h"
#include "queryworker/explain.h"
#include "queryworker/gate.h"
#include "queryworker/messages.h"
#include "queryworker/searches.h"
#include "service/worker.h"

#include <string.h>

enum {
    TREE_MAX = 64 << 20,
    SQL_MAX = 64 << 20,
    FLUSH_EVERY_MS = 50, /* rows that trickle are not held back longer */
};

struct query {
    struct lh_query_worker *worker;
    /* the request; texts are borrowed from `request` */
    json_t *request;
    lh_str id, sql;
    const json_t *params;
    enum lh_duck_format format;
    uint64_t rows_max; /* 0 = no limit */
    lh_mono started;

    bool explain;
    char *text;         /* the statement without EXPLAIN, offsets unchanged */
    struct lh_buf tree; /* JSON of the gate */
    struct lh_gate gate;
    struct lh_searches searches; /* calls of vector_search */
    struct lh_buf canonical;     /* what runs instead of the text; empty = the text */

    struct lh_duck_conn *conn;
    struct lh_duck_statement *statement;
    struct lh_duck_encoder *encoder;
    uint64_t rows;
    bool truncated;
    bool sent; /* bytes of the answer are on their way */
};

/* ---- the request ---- */

static lh_code read_request(struct query *q, lh_str start, struct lh_error *err)
{
    static const struct {
        const char *word;
        enum lh_duck_format format;
    } formats[] = {{"json", LH_DUCK_JSON}, {"ndjson", LH_DUCK_NDJSON}, {"csv", LH_DUCK_CSV}};
    lh_str format;
    int64_t rows_max = 0;
    LH_TRY(lh_json_parse(start, &q->request, err));
    LH_TRY(lh_json_need_str(q->request, "query_id", &q->id, err));
    LH_TRY(lh_json_need_str(q->request, "sql", &q->sql, err));
    LH_TRY(lh_json_need_str(q->request, "format", &format, err));
    LH_TRY(lh_json_need_i64(q->request, "rows_max", &rows_max, err));
    LH_TRY(lh_json_need_i64(q->request, "started_ns", &q->started.ns, err));
    q->params = json_object_get(q->request, "params");
    q->rows_max = (uint64_t)rows_max;
    for (size_t i = 0; i < LH_COUNT(formats); i++) {
        if (lh_str_is(format, formats[i].word)) {
            q->format = formats[i].format;
            return LH_OK;
        }
    }
    return lh_fail(err, LH_INTERNAL, "an unknown format was asked for");
}

/* ---- gate ---- */

static lh_code pass_gate(struct query *q, struct lh_error *err)
{
    q->text = lh_strndup(q->sql.ptr, q->sql.len);
    LH_TRY(lh_explain_strip(q->text, &q->explain, err));
    LH_TRY(lh_duck_parse(q->worker->parser, lh_str_from(q->text), &q->tree, err));
    LH_TRY(lh_gate_check(lh_str_from(q->text), lh_buf_str(&q->tree), &q->gate, err));
    return lh_searches_read(&q->gate, q->sql, q->params, q->worker->trusted, &q->searches, err);
}

static void put_table(struct lh_json *json, const struct lh_gate_table *table)
{
    static const char *const units[] = {
        [LH_AT_PRESENT] = "present", [LH_AT_VERSION] = "version", [LH_AT_TIMESTAMP] = "timestamp"};
    lh_json_object(json);
    lh_json_kcstr(json, "schema", table->schema);
    lh_json_kcstr(json, "name", table->name);
    lh_json_kcstr(json, "unit", units[table->unit]);
    lh_json_ki64(json, "version", table->version);
    lh_json_kcstr(json, "time", table->time);
    lh_json_ku64(json, "offset", table->offset);
    lh_json_object_end(json);
}

static lh_code ask_for_datasets(struct query *q, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    struct lh_json json = LH_JSON_TO(&payload);
    lh_json_object(&json);
    lh_json_kbool(&json, "show_tables", q->gate.kind == LH_GATE_SHOW_TABLES);
    lh_json_key(&json, "tables");
    lh_json_array(&json);
    for (size_t i = 0; i < q->gate.table_count; i++)
        put_table(&json, &q->gate.tables[i]);
    lh_json_array_end(&json);
    lh_searches_put(&q->searches, &json);
    lh_json_object_end(&json);
    if (lh_buf_overflowed(&payload))
        return lh_fail(err, LH_INVALID_SQL, "the names of the datasets are too long");
    return lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_TABLES, payload.data, payload.len, err);
}

/* ---- datasets ---- */

/* Names that DuckDB would take for one of its catalogs or schemas. */
static bool schema_is_taken(lh_str schema)
{
    static const char *const taken[] = {"memory", "system", "temp", "pg_catalog",
                                        "information_schema"};
    for (size_t i = 0; i < LH_COUNT(taken); i++)
        if (lh_str_eq_nocase(schema, lh_str_from(taken[i])))
            return true;
    return false;
}

/* Whether two tables of the statement would want the same view name: one dataset at two times, or
 * two whose names differ in case alone. */
static bool names_collide(const struct lh_gate *gate, bool in_case_alone)
{
    for (size_t i = 0; i < gate->table_count; i++) {
        for (size_t j = i + 1; j < gate->table_count; j++) {
            const struct lh_gate_table *a = &gate->tables[i];
            const struct lh_gate_table *b = &gate->tables[j];
            if (lh_str_eq_nocase(lh_str_from(a->name), lh_str_from(b->name)) &&
                lh_str_eq_nocase(lh_str_from(a->schema), lh_str_from(b->schema)) &&
                (!in_case_alone || strcmp(a->name, b->name) != 0))
                return true;
        }
    }
    return false;
}

static bool needs_exchange(const struct lh_gate *gate)
{
    for (size_t i = 0; i < gate->table_count; i++)
        if (gate->tables[i].unit != LH_AT_PRESENT ||
            schema_is_taken(lh_str_from(gate->tables[i].schema)))
            return true;
    return names_collide(gate, false);
}

/* A name that no dataset can have (the catalog's are without @), and that people may see in the
 * names of columns: events@3. Datasets that differ in case alone are told apart by their ids, too.
 */
static lh_code exchange_name(const struct lh_gate *gate, const json_t *dataset, char **ret_name,
                             struct lh_error *err)
{
    lh_str id, name;
    int64_t snapshot;
    LH_TRY(lh_json_need_str(dataset, "dataset", &name, err));
    LH_TRY(lh_json_need_str(dataset, "dataset_id", &id, err));
    LH_TRY(lh_json_need_i64(dataset, "snapshot", &snapshot, err));
    *ret_name = names_collide(gate, true)
                    ? lh_asprintf("%.*s@%lld.%.*s", LH_FMT(name), (long long)snapshot, LH_FMT(id))
                    : lh_asprintf("%.*s@%lld", LH_FMT(name), (long long)snapshot);
    return LH_OK;
}

static lh_code show_dataset(struct query *q, size_t table, lh_str payload, bool exchange,
                            char **views, struct lh_error *err)
{
    LH_AUTO_JSON json_t *dataset = NULL;
    LH_TRY(lh_json_parse(payload, &dataset, err));
    if (exchange) {
        LH_TRY(exchange_name(&q->gate, dataset, &views[table], err));
        return lh_views_show(q->worker->views, LH_STR("main"), lh_str_from(views[table]), dataset,
                             err);
    }
    const struct lh_gate_table *t = &q->gate.tables[table];
    lh_str schema = *t->schema != '\0' ? lh_str_from(t->schema) : LH_STR("main");
    return lh_views_show(q->worker->views, schema, lh_str_from(t->name), dataset, err);
}

/* DATASET for each table, HITS for each search, then RUN. A CANCEL instead of them wakes nobody, so
 * queryd sends RUN then, too. */
static lh_code receive_datasets(struct query *q, bool exchange, char **views,
                                struct lh_buf *payload, struct lh_error *err)
{
    size_t table = 0;
    lh_code code = LH_OK;
    for (;;) {
        uint32_t type = lh_control_next(q->worker->control, payload);
        if (type == LH_QUERY_RUN)
            break;
        if (code == LH_OK && type == LH_QUERY_DATASET && table < q->gate.table_count)
            code = show_dataset(q, table++, lh_buf_str(payload), exchange, views, err);
        else if (code == LH_OK && type == LH_QUERY_HITS && q->searches.shown < q->searches.count)
            code = lh_searches_show(&q->searches, lh_buf_str(payload), err);
    }
    LH_TRY(code);
    LH_TRY(lh_control_check(q->worker->control, err));
    if (table != q->gate.table_count || q->searches.shown != q->searches.count)
        return lh_fail(err, LH_INTERNAL, "a dataset, or the hits of a search, were not sent");
    return LH_OK;
}

static lh_code put_canonical(struct query *q, lh_str tree, struct lh_error *err)
{
    return lh_duck_unparse(q->worker->parser, tree, &q->canonical, err);
}

/* `views` NULL: only the searches. */
static lh_code exchange_tables(struct query *q, char *const *views, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf tree = LH_BUF_INIT(TREE_MAX);
    lh_gate_rewrite(&q->gate, (const char *const *)views, (const char *const *)q->searches.tables,
                    &tree);
    if (lh_buf_overflowed(&tree))
        return lh_fail(err, LH_INVALID_SQL, "the statement has too many parts");
    return put_canonical(q, lh_buf_str(&tree), err);
}

/* SHOW TABLES becomes a list of names. */
static lh_code list_names(struct query *q, lh_str run, struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    json_t *names = NULL;
    LH_TRY(lh_json_parse(run, &root, err));
    LH_TRY(lh_json_need_array(root, "names", &names, err));
    lh_buf_append_cstr(&q->canonical, "SELECT unnest(CAST([");
    size_t index;
    json_t *name;
    json_array_foreach (names, index, name) {
        if (index > 0)
            lh_buf_append_char(&q->canonical, ',');
        lh_duck_quote_literal(&q->canonical, lh_str_from(json_string_value(name)));
    }
    lh_buf_append_cstr(&q->canonical, "] AS VARCHAR[])) AS name");
    return LH_OK;
}

static lh_code resolve(struct query *q, struct lh_error *err)
{
    if (q->gate.table_count == 0 && q->searches.count == 0 && q->gate.kind == LH_GATE_SELECT)
        return LH_OK;
    LH_TRY(ask_for_datasets(q, err));
    bool exchange = needs_exchange(&q->gate);
    char **views = lh_calloc(q->gate.table_count + 1, sizeof(*views));
    struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_code code = receive_datasets(q, exchange, views, &payload, err);
    if (code == LH_OK && (exchange || q->searches.count > 0))
        code = exchange_tables(q, exchange ? views : NULL, err);
    if (code == LH_OK && q->gate.kind == LH_GATE_SHOW_TABLES)
        code = list_names(q, lh_buf_str(&payload), err);
    for (size_t i = 0; i < q->gate.table_count; i++)
        free(views[i]);
    free(views);
    lh_buf_deinit(&payload);
    return code;
}

/* ---- parameters ---- */

static lh_code bind_value(struct query *q, const char *name, const json_t *value,
                          struct lh_error *err)
{
    struct lh_duck_value bound = {.type = LH_DUCK_NULL};
    switch (json_typeof(value)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        bound.type = LH_DUCK_BOOL;
        bound.boolean = json_is_true(value);
        break;
    case JSON_INTEGER:
        bound.type = LH_DUCK_I64;
        bound.i64 = json_integer_value(value);
        break;
    case JSON_REAL:
        bound.type = LH_DUCK_F64;
        bound.f64 = json_real_value(value);
        break;
    case JSON_STRING:
        bound.type = LH_DUCK_TEXT;
        bound.text = lh_str_of(json_string_value(value), json_string_length(value));
        break;
    default:
        return lh_fail(err, LH_INVALID,
                       "the parameter $%s is neither text, number, boolean nor null", name);
    }
    return lh_duck_bind(q->statement, name, &bound, err);
}

/* What a parameter of the request is called in the statement that runs: see lh_gate_rewrite. */
struct param_name {
    char text[256];
};

static struct param_name param_name(const struct query *q, const char *name)
{
    uint64_t number;
    struct param_name ret;
    bool renamed = q->searches.count > 0 && lh_str_to_u64(lh_str_from(name), &number);
    snprintf(ret.text, sizeof(ret.text), "%s%s", renamed ? "p" : "", name);
    return ret;
}

/* Whether only calls of vector_search have taken the parameter. */
static bool is_used_up(const struct query *q, const char *name)
{
    const struct param_name own = param_name(q, name);
    return json_object_get(q->searches.used, name) != NULL &&
           !lh_duck_has_param(q->statement, own.text);
}

static size_t used_up_count(const struct query *q)
{
    size_t count = 0;
    const char *name;
    json_t *unused;
    json_object_foreach (q->searches.used, name, unused)
        count += is_used_up(q, name);
    return count;
}

static lh_code check_param_count(struct query *q, size_t given, struct lh_error *err)
{
    size_t wanted = lh_duck_param_count(q->statement) + used_up_count(q);
    if (wanted == given)
        return LH_OK;
    LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(200);
    lh_duck_param_names(q->statement, &names);
    LH_IGNORE(lh_fail(err, LH_INVALID, "the statement has %zu parameters%s%s%s, params has %zu",
                      wanted, wanted > 0 ? " (" : "", wanted > 0 ? names.data : "",
                      wanted > 0 ? ")" : "", given),
              "the hint returns the code");
    return lh_hint(err, "params is an array for $1, $2 or ?, and an object for $name");
}

static lh_code bind_one(struct query *q, const char *name, const json_t *value,
                        struct lh_error *err)
{
    const struct param_name own = param_name(q, name);
    return is_used_up(q, name) ? LH_OK : bind_value(q, own.text, value, err);
}

static lh_code bind_all(struct query *q, struct lh_error *err)
{
    size_t given =
        json_is_array(q->params) ? json_array_size(q->params) : json_object_size(q->params);
    LH_TRY(check_param_count(q, given, err));
    if (json_is_array(q->params)) {
        for (size_t i = 0; i < given; i++) {
            char name[24];
            snprintf(name, sizeof(name), "%zu", i + 1);
            LH_TRY(bind_one(q, name, json_array_get(q->params, i), err));
        }
        return LH_OK;
    }
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)q->params, name, value)
        LH_TRY(bind_one(q, name, value, err));
    return LH_OK;
}

/* ---- running ---- */

/* A place in the user's own text can be shown; one in a text of ours cannot. */
static lh_code show_place(const struct query *q, int64_t position, struct lh_error *err)
{
    if (position != LH_DUCK_NO_POSITION && q->canonical.len == 0)
        lh_sql_caret(q->sql, (size_t)position, err);
    return err->code;
}

static lh_code prepare(struct query *q, struct lh_error *err)
{
    int64_t position = LH_DUCK_NO_POSITION;
    const char *sql = q->canonical.len > 0 ? q->canonical.data : q->text;
    LH_TRY(lh_control_check(q->worker->control, err));
    enum lh_duck_kind kind = q->explain ? LH_DUCK_EXPLAIN : LH_DUCK_SELECT;
    if (lh_duck_prepare(q->conn, sql, kind, &q->statement, &position, err) != LH_OK)
        return show_place(q, position, err);
    return bind_all(q, err);
}

static bool all_encode(const struct query *q)
{
    for (size_t i = 0; i < lh_duck_column_count(q->statement); i++)
        if (!lh_duck_column_encodes(q->statement, i))
            return false;
    return true;
}

/* SELECT c0 AS "name", CAST(c1 AS VARCHAR) AS "other" FROM (statement) AS t(c0, c1) */
static lh_code cast_columns(struct query *q, struct lh_error *err)
{
    if (q->canonical.len == 0)
        LH_TRY(put_canonical(q, lh_buf_str(&q->tree), err));
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_MAX);
    LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(SQL_MAX);
    for (size_t i = 0; i < lh_duck_column_count(q->statement); i++) {
        bool encodes = lh_duck_column_encodes(q->statement, i);
        const char *comma = i > 0 ? ", " : "";
        lh_buf_printf(&names, "%sc%zu", comma, i);
        lh_buf_printf(&sql, encodes ? "%s%sc%zu AS " : "%s%sCAST(c%zu AS VARCHAR) AS ",
                      i == 0 ? "SELECT " : "", comma, i);
        lh_duck_quote_name(&sql, lh_duck_column_name(q->statement, i));
    }
    lh_buf_append_cstr(&sql, " FROM (");
    lh_buf_append_str(&sql, lh_buf_str(&q->canonical));
    lh_buf_append_cstr(&sql, ") AS t(");
    lh_buf_append_str(&sql, lh_buf_str(&names));
    lh_buf_append_char(&sql, ')');
    lh_buf_deinit(&q->canonical);
    q->canonical = sql;
    sql = LH_BUF_INIT(0);
    lh_duck_statement_free(q->statement);
    q->statement = NULL;
    return prepare(q, err);
}

static lh_code run(struct query *q, struct lh_error *err)
{
    int64_t position = LH_DUCK_NO_POSITION;
    if (q->explain) {
        if (q->canonical.len == 0)
            LH_TRY(put_canonical(q, lh_buf_str(&q->tree), err));
        LH_AUTO_BUF struct lh_buf select = q->canonical;
        q->canonical = LH_BUF_INIT(SQL_MAX);
        lh_buf_append_cstr(&q->canonical, "EXPLAIN ");
        lh_buf_append_str(&q->canonical, lh_buf_str(&select));
    }
    LH_TRY(prepare(q, err));
    LH_TRY(lh_control_check(q->worker->control, err));
    if (lh_duck_run(q->statement, &position, err) != LH_OK)
        return show_place(q, position, err);
    if (all_encode(q))
        return LH_OK;
    /* It runs again, with these columns cast: rare types are not worth a look at every query. */
    LH_TRY(cast_columns(q, err));
    return lh_duck_run(q->statement, &position, err);
}

/* ---- the answer ---- */

static lh_code send_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct query *q = ctx;
    q->sent = true;
    return lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_BODY, bytes, len, err);
}

/* The next rows, as many as may still be sent; *ret_rows = 0 at the end. */
static lh_code next_rows(struct query *q, size_t *ret_rows, struct lh_error *err)
{
    int64_t position = LH_DUCK_NO_POSITION;
    size_t rows = 0;
    LH_TRY(lh_control_check(q->worker->control, err));
    if (lh_duck_next_chunk(q->statement, &rows, &position, err) != LH_OK)
        return show_place(q, position, err);
    if (q->rows_max > 0 && rows > q->rows_max - q->rows) {
        rows = q->rows_max - q->rows;
        q->truncated = true;
    }
    *ret_rows = rows;
    return LH_OK;
}

static lh_code encode_rows(struct query *q, struct lh_error *err)
{
    size_t rows = 0;
    LH_TRY(next_rows(q, &rows, err)); /* a failure before the first row finds nothing sent */
    lh_duck_encode_head(q->encoder);
    lh_mono flushed = lh_mono_now();
    while (rows > 0) {
        LH_TRY(lh_duck_encode_rows(q->encoder, rows, err));
        q->rows += rows;
        if (q->truncated)
            break;
        if (lh_mono_since_ms(flushed) >= FLUSH_EVERY_MS) {
            LH_TRY(lh_duck_encode_flush(q->encoder, err));
            flushed = lh_mono_now();
        }
        LH_TRY(next_rows(q, &rows, err));
    }
    return LH_OK;
}

static lh_code encode(struct query *q, struct lh_error *err)
{
    LH_TRY(lh_duck_encoder_new(q->statement, q->format, send_body, q, &q->encoder, err));
    lh_code code = encode_rows(q, err);
    if (code != LH_OK) {
        struct lh_error unused = LH_ERROR_INIT;
        /* The last piece may have ended within a row: what follows it must not be glued to that. */
        if (q->sent)
            LH_IGNORE(lh_duck_encode_flush(q->encoder, &unused), "it has failed already");
        return code;
    }
    LH_AUTO_FREE char *id = lh_strndup(q->id.ptr, q->id.len);
    struct lh_duck_summary summary = {
        .rows = q->rows,
        .truncated = q->truncated,
        .elapsed_ms = lh_mono_since_ms(q->started),
        .query_id = id,
    };
    lh_duck_encode_tail(q->encoder, &summary);
    return lh_duck_encode_flush(q->encoder, err);
}

static lh_code execute(struct query *q, lh_str start, struct lh_error *err)
{
    LH_TRY(read_request(q, start, err));
    LH_TRY(pass_gate(q, err));
    LH_TRY(resolve(q, err));
    /* A connection of its own: nothing outlives a query but the views. */
    LH_TRY(lh_duck_connect(q->worker->duck, &q->conn, err));
    lh_control_running(q->worker->control, q->conn);
    LH_TRY(run(q, err));
    return encode(q, err);
}

static void query_deinit(struct query *q)
{
    lh_duck_encoder_free(q->encoder);
    lh_duck_statement_free(q->statement);
    lh_control_running(q->worker->control, NULL);
    lh_duck_disconnect(q->conn);
    lh_searches_deinit(&q->searches);
    lh_gate_deinit(&q->gate);
    lh_buf_deinit(&q->tree);
    lh_buf_deinit(&q->canonical);
    free(q->text);
    lh_json_cleanup(&q->request);
}

static lh_code send_done(const struct query *q, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&payload);
    lh_json_object(&json);
    lh_json_ku64(&json, "rows", q->rows);
    lh_json_kbool(&json, "truncated", q->truncated);
    lh_json_object_end(&json);
    return lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_DONE, payload.data, payload.len, err);
}

static lh_code send_error(const struct query *q, struct lh_error *failure, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    for (const char *const *dir = q->worker->hidden; *dir != NULL; dir++)
        lh_message_hide(failure, *dir);
    lh_frame_put_error(&payload, failure);
    return lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_ERROR, payload.data, payload.len, err);
}

lh_code lh_query_serve(struct lh_query_worker *worker, lh_str start, struct lh_error *err)
{
    struct query q = {
        .worker = worker, .tree = LH_BUF_INIT(TREE_MAX), .canonical = LH_BUF_INIT(SQL_MAX)};
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = execute(&q, start, &failure);
    query_deinit(&q);
    return code == LH_OK ? send_done(&q, err) : send_error(&q, &failure, err);
}
