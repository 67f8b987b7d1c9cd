/*
 * The walk over a statement's tree.
 *
 * Every object is visited. An expression has a "class", a query, a table or a modifier has a "type"
 * from the lists below; anything else with a type is refused. Scopes are those of DuckDB's binder
 * (tried on it): a table expression is seen by the ones after it in its WITH, by the query that the
 * WITH belongs to, and by what nests in that; a recursive one by its own right side.
 */
#include "queryworker/gate.h"

#include "base/mem.h"
#include "queryd/caret.h"
#include "queryworker/gate_functions.h"

#include <string.h>

enum { ARENA_MAX = 16 << 20, NAME_MAX = 4096 };

/* A table expression in sight; the innermost first. */
struct scope {
    lh_str name;
    const struct scope *outer;
};

struct walk {
    struct lh_gate *gate;
    const struct lh_ast *ast;
    struct lh_error *err;
    uint32_t place; /* the innermost node with a location: where a refusal points to */
};

static lh_code walk(struct walk *w, uint32_t node, const struct scope *scope);

static lh_code refuse(struct walk *w, const char *what, const char *hint)
{
    LH_IGNORE(lh_fail(w->err, LH_STATEMENT_NOT_ALLOWED, "%s", what), "the hint returns the code");
    return lh_hint(w->err, "%s", hint);
}

/* The content of a string in the arena. */
static lh_code text_of(struct walk *w, uint32_t node, lh_str *ret)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(NAME_MAX);
    lh_ast_text(w->ast, node, &buf);
    if (lh_buf_overflowed(&buf))
        return lh_fail(w->err, LH_INVALID_SQL, "a name is longer than %d bytes", NAME_MAX);
    char *copy = lh_arena_strndup(&w->gate->arena, buf.data != NULL ? buf.data : "", buf.len);
    if (copy == NULL)
        return lh_fail(w->err, LH_INVALID_SQL, "the statement has too many parts");
    *ret = lh_str_of(copy, buf.len);
    return LH_OK;
}

static bool one_of(const struct lh_ast *ast, uint32_t node, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lh_ast_is(ast, node, words[i]))
            return true;
    return false;
}

static lh_code walk_children(struct walk *w, uint32_t node, const struct scope *scope)
{
    for (uint32_t c = lh_ast_child(w->ast, node); c != LH_AST_NONE; c = lh_ast_next(w->ast, c))
        LH_TRY(walk(w, c, scope));
    return LH_OK;
}

/* ---- tables ---- */

static bool in_scope(const struct scope *scope, lh_str name)
{
    for (; scope != NULL; scope = scope->outer)
        if (lh_str_eq_nocase(scope->name, name))
            return true;
    return false;
}

/* AT (VERSION => 3) or AT (TIMESTAMP => '...'), also with a cast around the text. */
static lh_code read_at(struct walk *w, uint32_t at, struct lh_gate_table *table)
{
    static const char hint[] =
        "write AT (VERSION => 3) or AT (TIMESTAMP => '2026-01-31T12:00:00Z')";
    const struct lh_ast *ast = w->ast;
    uint32_t unit = lh_ast_member(ast, at, "unit");
    uint32_t expression = lh_ast_member(ast, at, "expr");
    while (lh_ast_is(ast, lh_ast_member(ast, expression, "class"), "CAST"))
        expression = lh_ast_member(ast, expression, "child");
    uint32_t value = lh_ast_member(ast, lh_ast_member(ast, expression, "value"), "value");
    if (value == LH_AST_NONE)
        return refuse(w, "AT takes a constant", hint);
    if (lh_ast_is(ast, unit, "VERSION") && lh_ast_type(ast, value) == LH_AST_SCALAR) {
        table->unit = LH_AT_VERSION;
        if (!lh_str_to_i64(lh_ast_raw(ast, value), &table->version) || table->version < 1)
            return refuse(w, "AT (VERSION => n) takes the number of a snapshot", hint);
        return LH_OK;
    }
    if (lh_ast_is(ast, unit, "TIMESTAMP") && lh_ast_type(ast, value) == LH_AST_STRING) {
        lh_str time;
        LH_TRY(text_of(w, value, &time));
        table->unit = LH_AT_TIMESTAMP;
        table->time = time.ptr;
        return LH_OK;
    }
    return refuse(w, "AT takes the number of a snapshot or a time as a text", hint);
}

static bool same_table(const struct lh_gate_table *a, const struct lh_gate_table *b)
{
    return lh_str_eq_nocase(lh_str_from(a->schema), lh_str_from(b->schema)) &&
           strcmp(a->name, b->name) == 0 && a->unit == b->unit && a->version == b->version &&
           strcmp(a->time, b->time) == 0;
}

static lh_code add_table(struct walk *w, uint32_t node, const struct lh_gate_table *table)
{
    struct lh_gate *g = w->gate;
    size_t index = 0;
    while (index < g->table_count && !same_table(&g->tables[index], table))
        index++;
    if (index == LH_GATE_TABLES_MAX)
        return lh_fail(w->err, LH_INVALID_SQL, "a statement reads at most %d datasets",
                       LH_GATE_TABLES_MAX);
    if (index == g->table_count) {
        g->tables = lh_grow(g->tables, &g->table_capacity, index + 1, sizeof(*g->tables));
        g->tables[g->table_count++] = *table;
    }
    g->references = lh_grow(g->references, &g->reference_capacity, g->reference_count + 1,
                            sizeof(*g->references));
    g->references[g->reference_count++] = (struct lh_gate_reference){node, index};
    return LH_OK;
}

static size_t location_of(const struct lh_ast *ast, uint32_t node)
{
    uint32_t location = lh_ast_member(ast, node, "query_location");
    uint64_t offset = 0;
    if (location == LH_AST_NONE || !lh_str_to_u64(lh_ast_raw(ast, location), &offset) ||
        offset > UINT32_MAX)
        return 0;
    return (size_t)offset;
}

static lh_code walk_base_table(struct walk *w, uint32_t node, const struct scope *scope)
{
    lh_str catalog, schema, name;
    LH_TRY(text_of(w, lh_ast_member(w->ast, node, "catalog_name"), &catalog));
    LH_TRY(text_of(w, lh_ast_member(w->ast, node, "schema_name"), &schema));
    LH_TRY(text_of(w, lh_ast_member(w->ast, node, "table_name"), &name));
    if (catalog.len > 0)
        return refuse(w, "a dataset's name has at most two parts",
                      "write dataset or namespace.dataset");
    uint32_t at = lh_ast_member(w->ast, node, "at_clause");
    bool has_at = !lh_ast_is_null(w->ast, at);
    if (schema.len == 0 && !has_at && in_scope(scope, name))
        return walk_children(w, node, scope);

    struct lh_gate_table table = {
        .schema = schema.ptr, .name = name.ptr, .time = "", .offset = location_of(w->ast, node)};
    if (has_at)
        LH_TRY(read_at(w, at, &table));
    LH_TRY(add_table(w, node, &table));
    return walk_children(w, node, scope);
}

/* DESCRIBE and SUMMARIZE have a query; SHOW TABLES and its kin look into the engine's own catalog.
 */
static lh_code walk_show(struct walk *w, uint32_t node, const struct scope *scope)
{
    if (lh_ast_is_null(w->ast, lh_ast_member(w->ast, node, "query")))
        return refuse(w, "this SHOW statement is not allowed",
                      "SHOW TABLES by itself lists the datasets; so does GET /catalog/datasets");
    return walk_children(w, node, scope);
}

/* Its arguments are not walked: they must be constants, and the call is exchanged for a table. */
static lh_code add_search(struct walk *w, uint32_t node, uint32_t call)
{
    struct lh_gate *g = w->gate;
    uint32_t ordinality = lh_ast_member(w->ast, node, "with_ordinality");
    if (ordinality != LH_AST_NONE && !lh_ast_is(w->ast, ordinality, "WITHOUT_ORDINALITY"))
        return refuse(w, "vector_search has no ordinality", "hits are in order of their distance");
    if (g->search_count == LH_GATE_SEARCHES_MAX)
        return lh_fail(w->err, LH_INVALID_SQL, "a statement has at most %d calls of vector_search",
                       LH_GATE_SEARCHES_MAX);
    g->searches =
        lh_grow(g->searches, &g->search_capacity, g->search_count + 1, sizeof(*g->searches));
    g->searches[g->search_count++] = (struct lh_gate_search){node, call};
    return LH_OK;
}

static lh_code walk_table_function(struct walk *w, uint32_t node, const struct scope *scope)
{
    uint32_t call = lh_ast_member(w->ast, node, "function");
    if (lh_gate_is_vector_search(w->ast, call))
        return add_search(w, node, call);
    LH_TRY(lh_gate_table_function(w->ast, call, w->err));
    /* Its arguments, but not the call itself: in FROM the rows come one by one. */
    return walk_children(w, call, scope);
}

/* ---- queries ---- */

/* DuckDB's own views could be meant by such a name wherever our idea of a scope were wrong. */
static bool is_reserved(lh_str name)
{
    static const char *const prefixes[] = {"duckdb_", "pg_", "sqlite_", "pragma_"};
    for (size_t i = 0; i < LH_COUNT(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (name.len >= len && lh_str_eq_nocase(lh_str_of(name.ptr, len), lh_str_from(prefixes[i])))
            return true;
    }
    return false;
}

static lh_code walk_query(struct walk *w, uint32_t node, const struct scope *scope);

static lh_code walk_table_expression(struct walk *w, uint32_t entry, const struct scope *scope,
                                     struct scope *ret_scope)
{
    LH_TRY(text_of(w, lh_ast_member(w->ast, entry, "key"), &ret_scope->name));
    if (is_reserved(ret_scope->name))
        return refuse(w, "this name is reserved for the engine", "name the WITH query differently");
    uint32_t value = lh_ast_member(w->ast, entry, "value");
    uint32_t query = lh_ast_member(w->ast, value, "query");
    uint32_t inner = lh_ast_member(w->ast, query, "node");
    if (inner == LH_AST_NONE)
        return refuse(w, "a WITH query is not understood", "write it as a subquery");
    LH_TRY(walk_query(w, inner, scope));
    for (uint32_t c = lh_ast_child(w->ast, value); c != LH_AST_NONE; c = lh_ast_next(w->ast, c))
        if (c != query)
            LH_TRY(walk(w, c, scope));
    ret_scope->outer = scope;
    return LH_OK;
}

/* Members of a query, except those walked already. */
static lh_code walk_members(struct walk *w, uint32_t node, const struct scope *scope,
                            uint32_t except, uint32_t except_too)
{
    for (uint32_t c = lh_ast_child(w->ast, node); c != LH_AST_NONE; c = lh_ast_next(w->ast, c))
        if (c != except && c != except_too)
            LH_TRY(walk(w, c, scope));
    return LH_OK;
}

/* RECURSIVE_CTE_NODE: the right side sees the name. CTE_NODE (1.4, materialized): the child does.
 */
static lh_code walk_named_query(struct walk *w, uint32_t node, const char *inner,
                                const struct scope *scope, uint32_t ctes)
{
    struct scope own = {.outer = scope};
    LH_TRY(text_of(w, lh_ast_member(w->ast, node, "cte_name"), &own.name));
    if (own.name.len == 0 || is_reserved(own.name))
        return refuse(w, "this name is reserved for the engine", "name the WITH query differently");
    uint32_t seeing = lh_ast_member(w->ast, node, inner);
    if (seeing == LH_AST_NONE)
        return refuse(w, "a WITH query is not understood", "write it as a subquery");
    LH_TRY(walk(w, seeing, &own));
    return walk_members(w, node, scope, seeing, ctes);
}

static lh_code walk_query(struct walk *w, uint32_t node, const struct scope *scope)
{
    const struct lh_ast *ast = w->ast;
    uint32_t type = lh_ast_member(ast, node, "type");
    uint32_t ctes = lh_ast_member(ast, node, "cte_map");
    uint32_t map = lh_ast_member(ast, ctes, "map");
    uint32_t entry = map == LH_AST_NONE ? LH_AST_NONE : lh_ast_child(ast, map);
    for (; entry != LH_AST_NONE; entry = lh_ast_next(ast, entry)) {
        struct scope *added = lh_arena_calloc(&w->gate->arena, sizeof(*added));
        if (added == NULL)
            return lh_fail(w->err, LH_INVALID_SQL, "the statement has too many parts");
        LH_TRY(walk_table_expression(w, entry, scope, added));
        scope = added;
    }
    if (lh_ast_is(ast, type, "RECURSIVE_CTE_NODE"))
        return walk_named_query(w, node, "right", scope, ctes);
    if (lh_ast_is(ast, type, "CTE_NODE"))
        return walk_named_query(w, node, "child", scope, ctes);
    return walk_members(w, node, scope, ctes, LH_AST_NONE);
}

/* ---- all nodes ---- */

static const char *const query_types[] = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE",
                                          "CTE_NODE"};
static const char *const plain_table_types[] = {"JOIN",       "SUBQUERY",        "EMPTY",
                                                "EMPTY_FROM", "EXPRESSION_LIST", "PIVOT"};
static const char *const modifier_types[] = {
    "ORDER_MODIFIER",    "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER",
    "DISTINCT_MODIFIER", "ORDER_DEFAULT",  "ASCENDING",
    "DESCENDING"};
static const char *const expression_classes[] = {
    "BETWEEN",    "CASE",       "CAST",        "COLLATE",
    "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT",
    "DEFAULT",    "LAMBDA",     "LAMBDA_REF",  "OPERATOR",
    "PARAMETER",  "STAR",       "SUBQUERY",    "POSITIONAL_REFERENCE",
    "TYPE"};

static lh_code walk_expression(struct walk *w, uint32_t node, uint32_t class,
                               const struct scope *scope)
{
    if (lh_ast_is(w->ast, class, "FUNCTION") || lh_ast_is(w->ast, class, "WINDOW"))
        LH_TRY(lh_gate_function(w->ast, node, w->err));
    else if (!one_of(w->ast, class, expression_classes, LH_COUNT(expression_classes)))
        return refuse(w, "an expression of this kind is not allowed", "write it differently");
    return walk_children(w, node, scope);
}

static bool is_type_info(const struct lh_ast *ast, uint32_t type)
{
    lh_str raw = lh_ast_raw(ast, type);
    return lh_str_ends(raw, "_TYPE_INFO\"");
}

static lh_code walk_typed(struct walk *w, uint32_t node, uint32_t type, const struct scope *scope)
{
    const struct lh_ast *ast = w->ast;
    if (one_of(ast, type, query_types, LH_COUNT(query_types)))
        return walk_query(w, node, scope);
    if (lh_ast_is(ast, type, "BASE_TABLE"))
        return walk_base_table(w, node, scope);
    if (lh_ast_is(ast, type, "TABLE_FUNCTION"))
        return walk_table_function(w, node, scope);
    if (lh_ast_is(ast, type, "SHOW_REF"))
        return walk_show(w, node, scope);
    if (one_of(ast, type, plain_table_types, LH_COUNT(plain_table_types)) ||
        one_of(ast, type, modifier_types, LH_COUNT(modifier_types)) || is_type_info(ast, type))
        return walk_children(w, node, scope);
    return refuse(w, "a part of this statement is not understood", "write it differently");
}

static lh_code walk(struct walk *w, uint32_t node, const struct scope *scope)
{
    const struct lh_ast *ast = w->ast;
    enum lh_ast_type kind = lh_ast_type(ast, node);
    if (kind == LH_AST_ARRAY)
        return walk_children(w, node, scope);
    if (kind != LH_AST_OBJECT)
        return LH_OK;

    uint32_t outside = w->place;
    if (location_of(ast, node) > 0)
        w->place = node;
    uint32_t class = lh_ast_member(ast, node, "class");
    uint32_t type = lh_ast_member(ast, node, "type");
    if (class != LH_AST_NONE)
        LH_TRY(walk_expression(w, node, class, scope));
    else if (type != LH_AST_NONE && lh_ast_type(ast, type) == LH_AST_STRING)
        LH_TRY(walk_typed(w, node, type, scope));
    else
        LH_TRY(walk_children(w, node, scope));
    w->place = outside; /* a failure leaves it where it was found */
    return LH_OK;
}

/* ---- the statement ---- */

static lh_code fail_not_select(struct walk *w)
{
    LH_IGNORE(lh_fail(w->err, LH_STATEMENT_NOT_ALLOWED, "only SELECT statements are allowed"),
              "the hint returns the code");
    return lh_hint(w->err,
                   "SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES and EXPLAIN "
                   "read (PIVOT with an IN list, too); data comes in by POST /ingest");
}

/* The parser's refusals. A syntax error has a position in characters. What is no SELECT has the
 * same type as SQL that DuckDB does not implement, so here, and only here, a text of the library
 * decides. */
static lh_code fail_from_parser(struct walk *w, lh_str sql)
{
    static const char not_select[] = "Only SELECT statements can be serialized to json!";
    const struct lh_ast *ast = w->ast;
    lh_str text, position;
    LH_TRY(text_of(w, lh_ast_member(ast, 0, "error_message"), &text));
    LH_TRY(text_of(w, lh_ast_member(ast, 0, "position"), &position));
    if (lh_str_is(text, not_select))
        return fail_not_select(w);
    lh_code code = lh_fail(w->err, LH_INVALID_SQL, "%.*s", LH_FMT(text));
    uint64_t at = 0;
    if (lh_str_to_u64(position, &at))
        lh_sql_caret(sql, lh_sql_byte_of_character(sql, (size_t)at), w->err);
    return code;
}

/* Exactly `SHOW TABLES`: one plain SELECT * over that reference. */
static bool is_show_tables(const struct lh_ast *ast, uint32_t query)
{
    uint32_t from = lh_ast_member(ast, query, "from_table");
    return lh_ast_is(ast, lh_ast_member(ast, from, "type"), "SHOW_REF") &&
           lh_ast_is_null(ast, lh_ast_member(ast, from, "query")) &&
           lh_ast_is(ast, lh_ast_member(ast, from, "table_name"), "\\\"tables\\\"");
}

static lh_code check_statement(struct walk *w, lh_str sql)
{
    const struct lh_ast *ast = w->ast;
    uint32_t error = lh_ast_member(ast, 0, "error");
    if (error == LH_AST_NONE || !lh_str_is(lh_ast_raw(ast, error), "false"))
        return fail_from_parser(w, sql);
    uint32_t statements = lh_ast_member(ast, 0, "statements");
    uint32_t first = statements == LH_AST_NONE ? LH_AST_NONE : lh_ast_child(ast, statements);
    if (first == LH_AST_NONE)
        return lh_fail(w->err, LH_INVALID_SQL, "there is no statement");
    if (lh_ast_next(ast, first) != LH_AST_NONE)
        return refuse(w, "only one statement at a time is allowed",
                      "send each statement by itself");
    uint32_t query = lh_ast_member(ast, first, "node");
    if (!one_of(ast, lh_ast_member(ast, query, "type"), query_types, LH_COUNT(query_types)))
        return refuse(w, "a part of this statement is not understood", "write it differently");
    if (is_show_tables(ast, query)) {
        w->gate->kind = LH_GATE_SHOW_TABLES;
        return LH_OK;
    }
    return walk_children(w, first, NULL);
}

lh_code lh_gate_check(lh_str sql, lh_str tree, struct lh_gate *ret_gate, struct lh_error *err)
{
    struct lh_gate gate = {.kind = LH_GATE_SELECT, .arena = LH_ARENA_INIT(ARENA_MAX)};
    LH_TRY(lh_ast_parse(tree, &gate.ast, err));
    struct walk w = {.gate = &gate, .ast = &gate.ast, .err = err, .place = LH_AST_NONE};
    lh_code code = check_statement(&w, sql);
    if (code != LH_OK) {
        if (err->line == 0 && w.place != LH_AST_NONE)
            lh_sql_caret(sql, location_of(&gate.ast, w.place), err);
        lh_gate_deinit(&gate);
        return code;
    }
    *ret_gate = gate;
    return LH_OK;
}

void lh_gate_deinit(struct lh_gate *gate)
{
    lh_ast_deinit(&gate->ast);
    lh_arena_deinit(&gate->arena);
    free(gate->tables);
    free(gate->references);
    free(gate->searches);
    *gate = (struct lh_gate){0};
}
