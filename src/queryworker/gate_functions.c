/*
 * Functions. In FROM only those on a short list; in expressions all but those that look at or act
 * on the process instead of the data. Some make a value of any size out of a number: DuckDB's
 * memory limit does not count them and an interrupt does not reach into one call, so their number
 * is bounded here. (What slips through, say by a subquery, meets RLIMIT_AS and the deadline's
 * SIGKILL.)
 *
 * Functions are known by their name whatever schema stands before it: s.repeat(3) is a method call,
 * which the parser shows as schema s.
 */
#include "queryworker/gate_functions.h"

#include "base/mem.h"
#include "queryworker/gate.h"

#include <string.h>

/* They read files, run SQL that the gate has not seen, or show settings and views. A new version of
 * the library with further ones is found by test_gate.c: it compares with duckdb_functions(). */
static const char *const denied[] = {
    "currval",
    "current_connection_id",
    "current_query",
    "current_query_id",
    "current_setting",
    "current_transaction_id",
    "format_type",
    "get_block_size",
    "getenv",
    "getvariable",
    "json_execute_serialized_sql",
    "nextval",
    "pg_get_constraintdef",
    "pg_get_viewdef",
    "pg_sleep",
    "query",
    "query_table",
    "setseed",
    "sleep_ms",
    "stats",
    "txid_current",
    "write_log",
};

static const char *const table_functions[] = {"generate_series", "range", "unnest"};

/* Which arguments say how long the result becomes. */
static const struct {
    const char *name;
    unsigned first, last; /* argument numbers from 0 */
    bool constant;        /* must be bounded by what stands in the text */
} sized[] = {
    {"repeat", 1, 1, true},      {"lpad", 1, 1, true},
    {"rpad", 1, 1, true},        {"bitstring", 1, 1, true},
    {"list_resize", 1, 1, true}, {"array_resize", 1, 1, true},
    {"range", 0, 2, false},      {"generate_series", 0, 2, false},
};

static lh_str function_name(const struct lh_ast *ast, uint32_t node, struct lh_buf *name)
{
    lh_ast_text(ast, lh_ast_member(ast, node, "function_name"), name);
    return lh_buf_str(name);
}

static bool listed(const char *const *names, size_t count, lh_str name)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_eq_nocase(lh_str_from(names[i]), name))
            return true;
    return false;
}

static uint32_t argument(const struct lh_ast *ast, uint32_t call, unsigned number)
{
    uint32_t children = lh_ast_member(ast, call, "children");
    if (children == LH_AST_NONE)
        return LH_AST_NONE;
    uint32_t child = lh_ast_child(ast, children);
    while (number-- > 0 && child != LH_AST_NONE)
        child = lh_ast_next(ast, child);
    return child;
}

/* ---- how large a number can be ---- */

enum bound { WITHIN, BEYOND, UNKNOWN };

static enum bound bound_of_number(lh_str digits)
{
    if (digits.len > 0 && digits.ptr[0] == '-')
        digits = lh_str_skip(digits, 1);
    uint64_t value = 0;
    if (!lh_str_to_u64(digits, &value))
        return UNKNOWN;
    return value <= LH_GATE_LENGTH_MAX ? WITHIN : BEYOND;
}

static enum bound bound_of_constant(const struct lh_ast *ast, uint32_t node)
{
    uint32_t value = lh_ast_member(ast, node, "value");
    if (lh_ast_is(ast, lh_ast_member(ast, lh_ast_member(ast, value, "type"), "id"), "NULL") ||
        (lh_ast_member(ast, value, "is_null") != LH_AST_NONE &&
         lh_str_is(lh_ast_raw(ast, lh_ast_member(ast, value, "is_null")), "true")))
        return WITHIN;
    uint32_t number = lh_ast_member(ast, value, "value");
    if (number == LH_AST_NONE || lh_ast_type(ast, number) != LH_AST_SCALAR)
        return UNKNOWN; /* wide integers, decimals, texts */
    return bound_of_number(lh_ast_raw(ast, number));
}

static enum bound bound_of(const struct lh_ast *ast, uint32_t node);

/* least(x, 100) is within what its smallest bounded argument is. */
static enum bound bound_of_least(const struct lh_ast *ast, uint32_t node)
{
    for (unsigned i = 0; argument(ast, node, i) != LH_AST_NONE; i++)
        if (bound_of(ast, argument(ast, node, i)) == WITHIN)
            return WITHIN;
    return UNKNOWN;
}

static enum bound bound_of(const struct lh_ast *ast, uint32_t node)
{
    uint32_t class = lh_ast_member(ast, node, "class");
    if (lh_ast_is(ast, class, "CONSTANT"))
        return bound_of_constant(ast, node);
    if (lh_ast_is(ast, class, "CAST"))
        return bound_of(ast, lh_ast_member(ast, node, "child"));
    if (!lh_ast_is(ast, class, "FUNCTION"))
        return UNKNOWN;
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(256);
    lh_str name = function_name(ast, node, &buf);
    if (lh_str_eq_nocase(name, LH_STR("least")))
        return bound_of_least(ast, node);
    if (lh_str_is(name, "-") && argument(ast, node, 1) == LH_AST_NONE)
        return bound_of(ast, argument(ast, node, 0));
    return UNKNOWN;
}

static lh_code check_sizes(const struct lh_ast *ast, uint32_t node, lh_str name,
                           struct lh_error *err)
{
    for (size_t i = 0; i < LH_COUNT(sized); i++) {
        if (!lh_str_eq_nocase(lh_str_from(sized[i].name), name))
            continue;
        for (unsigned a = sized[i].first; a <= sized[i].last; a++) {
            uint32_t size = argument(ast, node, a);
            if (size == LH_AST_NONE)
                break;
            enum bound bound = bound_of(ast, size);
            if (bound == WITHIN || (bound == UNKNOWN && !sized[i].constant))
                continue;
            LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED,
                              bound == BEYOND
                                  ? "the length given to %s is beyond %d"
                                  : "the length given to %s must be a number of at most %d",
                              sized[i].name, LH_GATE_LENGTH_MAX),
                      "the hint returns the code");
            return lh_hint(err, "write a number, or bound what is computed: least(n, 1000)");
        }
    }
    return LH_OK;
}

/* ---- printf and format: widths stand inside the text ---- */

/* More than six digits in a row, or a width that is taken from an argument. */
static bool width_is_large(lh_str text)
{
    size_t digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        digits = c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > 6)
            return true;
    }
    /* printf: %*d; format: {:{}} */
    if (memchr(text.ptr, '*', text.len) != NULL && memchr(text.ptr, '%', text.len) != NULL)
        return true;
    bool in_field = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '{' && in_field)
            return true;
        in_field = text.ptr[i] == '{' || (in_field && text.ptr[i] != '}');
    }
    return false;
}

static lh_code check_format(const struct lh_ast *ast, uint32_t node, lh_str name,
                            struct lh_error *err)
{
    if (!lh_str_eq_nocase(name, LH_STR("printf")) && !lh_str_eq_nocase(name, LH_STR("format")))
        return LH_OK;
    uint32_t text =
        lh_ast_member(ast, lh_ast_member(ast, argument(ast, node, 0), "value"), "value");
    LH_AUTO_BUF struct lh_buf content = LH_BUF_INIT(64 << 10);
    if (text != LH_AST_NONE && lh_ast_type(ast, text) == LH_AST_STRING) {
        lh_ast_text(ast, text, &content);
        if (!lh_buf_overflowed(&content) && !width_is_large(lh_buf_str(&content)))
            return LH_OK;
    }
    LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED,
                      "%.*s needs a text with widths of at most six digits", LH_FMT(name)),
              "the hint returns the code");
    return lh_hint(err, "write the format as a text in the statement");
}

/* ---- the two verdicts ---- */

lh_code lh_gate_function(const struct lh_ast *ast, uint32_t node, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(256);
    lh_str name = function_name(ast, node, &buf);
    if (lh_buf_overflowed(&buf))
        return lh_fail(err, LH_STATEMENT_NOT_ALLOWED, "the name of a function is too long");
    if (listed(denied, LH_COUNT(denied), name)) {
        LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED, "the function %.*s is not allowed",
                          LH_FMT(name)),
                  "the hint returns the code");
        return lh_hint(err, "queries see the data, not the engine");
    }
    LH_TRY(check_sizes(ast, node, name, err));
    return check_format(ast, node, name, err);
}

bool lh_gate_is_vector_search(const struct lh_ast *ast, uint32_t node)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(256);
    return lh_str_eq_nocase(function_name(ast, node, &buf), LH_STR("vector_search")) &&
           lh_ast_is(ast, lh_ast_member(ast, node, "schema"), "");
}

lh_code lh_gate_table_function(const struct lh_ast *ast, uint32_t node, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(256);
    lh_str name = function_name(ast, node, &buf);
    if (!lh_buf_overflowed(&buf) && listed(table_functions, LH_COUNT(table_functions), name))
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED, "the table function %.*s is not allowed",
                      LH_FMT(name)),
              "the hint returns the code");
    return lh_hint(err,
                   "FROM takes datasets, subqueries, vector_search, range, generate_series and "
                   "unnest; files become datasets by POST /ingest");
}
