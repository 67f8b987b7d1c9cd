/*
 * The gate on real trees: what may run, what may not and why, which datasets are read, and that
 * nothing of the library's own can be reached.
 */
#include "queryworker/gate.h"

#include "base/mem.h"
#include "duck/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct fixture {
    struct lh_duck *duck;
    struct lh_duck_conn *conn;
    struct lh_duck_parser *parser;
};

static int setup(void **state)
{
    struct fixture *f = lh_calloc(1, sizeof(*f));
    struct lh_duck_options options = {.memory_bytes = 256 << 20, .threads = 1};
    struct lh_error err = LH_ERROR_INIT;
    if (lh_duck_open(&options, &f->duck, &err) != LH_OK ||
        lh_duck_connect(f->duck, &f->conn, &err) != LH_OK ||
        lh_duck_parser_new(f->conn, &f->parser, &err) != LH_OK)
        fail_msg("open: %s", err.message);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lh_duck_parser_free(f->parser);
    lh_duck_disconnect(f->conn);
    lh_duck_close(f->duck);
    free(f);
    return 0;
}

/* The names of the datasets as "a, ns.b@3", or the word of the failure. */
static void verdict(struct fixture *f, const char *sql, struct lh_buf *out, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf tree = LH_BUF_INIT(64 << 20);
    struct lh_gate gate = {0};
    *err = (struct lh_error)LH_ERROR_INIT;
    if (lh_duck_parse(f->parser, lh_str_from(sql), &tree, err) != LH_OK ||
        lh_gate_check(lh_str_from(sql), lh_buf_str(&tree), &gate, err) != LH_OK) {
        lh_buf_append_cstr(out, lh_code_word(err->code));
        return;
    }
    if (gate.kind == LH_GATE_SHOW_TABLES)
        lh_buf_append_cstr(out, "show tables");
    for (size_t i = 0; i < gate.table_count; i++) {
        const struct lh_gate_table *t = &gate.tables[i];
        lh_buf_printf(out, "%s%s%s%s", i > 0 ? ", " : "", t->schema, *t->schema ? "." : "",
                      t->name);
        if (t->unit == LH_AT_VERSION)
            lh_buf_printf(out, "@%d", (int)t->version);
        if (t->unit == LH_AT_TIMESTAMP)
            lh_buf_printf(out, "@'%s'", t->time);
    }
    lh_buf_append_char(out, '.');
    lh_gate_deinit(&gate);
}

static void expect(struct fixture *f, const char *sql, const char *wanted)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
    struct lh_error err;
    verdict(f, sql, &out, &err);
    if (strcmp(out.data, wanted) != 0)
        fail_msg("%s\n  gives  %s\n  wanted %s\n  (%s)", sql, out.data, wanted, err.message);
}

struct expectation {
    const char *sql, *wanted;
};

static void expect_all(struct fixture *f, const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect(f, cases[i].sql, cases[i].wanted);
}

static void test_allowed(void **state)
{
    static const struct expectation cases[] = {
        {"SELECT 1", "."},
        {"VALUES (1), (2)", "."},
        {"FROM t", "t."},
        {"TABLE t", "t."},
        {"SELECT * FROM t;", "t."},
        {"/* c */ SELECT 1 -- x", "."},
        {"SELECT * FROM T, t", "T, t."},
        {"SELECT * FROM main.t JOIN \"my-ns\".\"a b\" USING (x)", "main.t, my-ns.a b."},
        {"SELECT * FROM t a, t b", "t."},
        {"SELECT (SELECT max(x) FROM a), EXISTS (FROM b), x IN (FROM c) FROM d", "a, b, c, d."},
        {"FROM a UNION ALL FROM b EXCEPT FROM c", "a, b, c."},
        {"FROM a, LATERAL (SELECT a.x)", "a."},
        {"FROM (PIVOT p ON c IN ('x', 'y') USING sum(v))", "p."},
        {"UNPIVOT u ON a, b INTO NAME n VALUE v", "u."},
        {"DESCRIBE t", "t."},
        {"DESCRIBE SELECT * FROM t", "t."},
        {"SHOW t", "t."},
        {"SUMMARIZE t", "t."},
        {"FROM (SUMMARIZE SELECT * FROM t)", "t."},
        {"SHOW TABLES", "show tables."},
        {"show tables;", "show tables."},
        {"SELECT * FROM range(10), generate_series(1, 3), unnest([1, 2])", "."},
        {"SELECT * FROM range(1000000000000)", "."},
        {"SELECT $1, $2", "."},
        {"SELECT $a + $b FROM t WHERE x = $a", "t."},
        {"SELECT [x + 1 FOR x IN l IF x > 1], list_transform(l, x -> x + 1) FROM t", "t."},
        {"SELECT * EXCLUDE (a) REPLACE (b + 1 AS b), COLUMNS('c.*'), #1 FROM t", "t."},
        {"SELECT sum(x) OVER (PARTITION BY a ORDER BY b ROWS 2 PRECEDING) FROM t QUALIFY 1 = 1",
         "t."},
        {"SELECT a, count(*) FILTER (WHERE b) FROM t GROUP BY ROLLUP (a) HAVING count(*) > 1 "
         "ORDER BY ALL DESC NULLS LAST LIMIT 10% OFFSET 1",
         "t."},
        {"SELECT DISTINCT ON (a) * FROM t TABLESAMPLE 10%", "t."},
        {"SELECT CAST(x AS DECIMAL(10,2)), x::STRUCT(a INT), x::INT[3], TRY_CAST(x AS DATE) FROM t",
         "t."},
        {"SELECT {'a': 1}, MAP {1: 2}, [1], (1, 2), DATE '2026-01-01', INTERVAL 3 DAY", "."},
        {"SELECT CASE WHEN a THEN b END, a BETWEEN 1 AND 2, NOT a, a IS NULL, COALESCE(a, b), "
         "TRY(a),"
         " a COLLATE nocase, l[1], l[1:2], s.f FROM t",
         "t."},
        {"SELECT repeat('x', 1000000), lpad('x', 10, '0'), repeat('-', least(n, 50)) FROM t", "t."},
        {"SELECT range(1000), unnest(generate_series(a, b, INTERVAL 1 DAY)), range(n) FROM t",
         "t."},
        {"SELECT printf('%5.2f of %s', x, y), format('{:>10} {}', x, y) FROM t", "t."},
        {"SELECT 170141183460469231731687303715884105727, 12345678901234567890.5", "."},
        {"SELECT random(), uuid(), now(), version(), error('x')", "."},
        {"FROM a ASOF JOIN b ON a.t >= b.t POSITIONAL JOIN c NATURAL JOIN d CROSS JOIN e",
         "a, b, c, d, e."},
    };
    expect_all(*state, cases, LH_COUNT(cases));
}

/* A WITH name hides a dataset in its scope and only there (as DuckDB binds it). */
static void test_scopes(void **state)
{
    static const struct expectation cases[] = {
        {"WITH c AS (FROM t) FROM c", "t."},
        {"WITH C AS (SELECT 1) FROM c", "."},
        {"WITH c AS (FROM c) FROM c", "c."},
        {"WITH a AS (SELECT 1), b AS (FROM a) FROM b", "."},
        {"WITH a AS (FROM b), b AS (SELECT 1) FROM a", "b."},
        {"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r", "."},
        {"WITH RECURSIVE r(n) AS (FROM r UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r", "r."},
        {"WITH RECURSIVE a AS (FROM b), b AS (SELECT 1) FROM a", "b."},
        {"SELECT * FROM (WITH c AS (SELECT 1) FROM c), c", "c."},
        {"(WITH c AS (SELECT 1) FROM c) UNION ALL FROM c", "c."},
        {"WITH c AS (SELECT 1) SELECT (SELECT max(x) FROM c), (FROM d) FROM c", "d."},
        {"WITH c AS (SELECT 1) FROM main.c", "main.c."},
        {"WITH c AS (SELECT 1) FROM c AT (VERSION => 1)", "c@1."},
        {"WITH c AS (WITH d AS (SELECT 1) FROM d) FROM c, d", "d."},
        {"WITH c AS MATERIALIZED (FROM t) FROM c", "t."},
        {"WITH c AS NOT MATERIALIZED (FROM t) FROM c", "t."},
        {"WITH c AS (SELECT 1) FROM (FROM (FROM (FROM c)))", "."},
    };
    expect_all(*state, cases, LH_COUNT(cases));
}

static void test_time_travel(void **state)
{
    static const struct expectation cases[] = {
        {"FROM t AT (VERSION => 3)", "t@3."},
        {"FROM t AT (VERSION => 3), t, t AT (VERSION => 4), T AT (VERSION => 3)",
         "t@3, t, t@4, T@3."},
        {"FROM ns.t AT (TIMESTAMP => '2026-01-01')", "ns.t@'2026-01-01'."},
        {"FROM t AT (TIMESTAMP => TIMESTAMP '2026-01-01 10:00:00')", "t@'2026-01-01 10:00:00'."},
        {"FROM t AT (VERSION => 0)", "statement_not_allowed"},
        {"FROM t AT (VERSION => -1)", "statement_not_allowed"},
        {"FROM t AT (VERSION => 'x')", "statement_not_allowed"},
        {"FROM t AT (VERSION => (SELECT 1))", "statement_not_allowed"},
        {"FROM t AT (TIMESTAMP => now())", "statement_not_allowed"},
        {"FROM t AT (TIMESTAMP => 5)", "statement_not_allowed"},
        {"FROM t AT (TIMESTAMP => NULL)", "statement_not_allowed"},
        {"FROM t AT (VERSION => NULL)", "statement_not_allowed"},
    };
    expect_all(*state, cases, LH_COUNT(cases));
}

/* Names that no catalog has: whoever resolves them refuses. What matters is that they are reported.
 */
static void test_tables_of_the_engine_are_reported(void **state)
{
    static const struct expectation cases[] = {
        {"FROM 'f.csv'", "f.csv."},
        {"FROM '/etc/passwd'", "/etc/passwd."},
        {"FROM 'https://example.org/a.parquet'", "https://example.org/a.parquet."},
        {"FROM duckdb_settings", "duckdb_settings."},
        {"FROM duckdb_views", "duckdb_views."},
        {"FROM pg_class", "pg_class."},
        {"FROM pg_catalog.pg_class", "pg_catalog.pg_class."},
        {"FROM information_schema.tables", "information_schema.tables."},
        {"FROM sqlite_master", "sqlite_master."},
        {"FROM pragma_database_list", "pragma_database_list."},
        {"SELECT 1 WHERE EXISTS (FROM duckdb_secrets)", "duckdb_secrets."},
        {"SELECT (SELECT count(*) FROM 'x.parquet')", "x.parquet."},
        {"WITH c AS (FROM duckdb_settings) FROM c", "duckdb_settings."},
        {"SELECT CASE WHEN 1 = 1 THEN (SELECT max(sql) FROM duckdb_views) END", "duckdb_views."},
        {"SELECT * FROM range(1) t(i) WHERE i IN (SELECT oid FROM pg_type)", "pg_type."},
        {"SELECT sum(x) OVER (ORDER BY (SELECT max(oid) FROM pg_class)) FROM t", "pg_class, t."},
        {"SELECT list_transform([1], x -> (SELECT max(oid) FROM pg_class)) FROM t", "pg_class, t."},
        {"SELECT 1 LIMIT (SELECT count(*) FROM pg_class)", "pg_class."},
        {"SELECT 1 ORDER BY (SELECT count(*) FROM pg_class)", "pg_class."},
        {"VALUES ((SELECT max(oid) FROM pg_class))", "pg_class."},
        {"FROM range((SELECT max(oid) FROM pg_class))", "pg_class."},
        {"SELECT max(x) FILTER (WHERE EXISTS (FROM pg_class)) FROM t", "pg_class, t."},
        {"SELECT * REPLACE ((SELECT max(oid) FROM pg_class) AS a) FROM t", "pg_class, t."},
        {"SELECT DISTINCT ON ((SELECT max(oid) FROM pg_class)) 1", "pg_class."},
        {"DESCRIBE pg_class", "pg_class."},
        {"SUMMARIZE duckdb_settings", "duckdb_settings."},
        {"FROM (DESCRIBE duckdb_settings)", "duckdb_settings."},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
        struct lh_error err;
        verdict(f, cases[i].sql, &out, &err);
        lh_str first = LH_STR_NONE;
        lh_str wanted = lh_str_from(cases[i].wanted);
        assert_true(lh_str_next(&wanted, ',', &first));
        bool ends = lh_str_ends(first, ".");
        LH_AUTO_FREE char *name = lh_strndup(first.ptr, first.len - ends);
        if (strstr(out.data, name) == NULL)
            fail_msg("%s\n  gives  %s, not %s", cases[i].sql, out.data, name);
    }
}

static void test_refused(void **state)
{
    static const char *const refused[] = {
        /* not SELECT */
        "CREATE TABLE t (a INT)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE OR REPLACE VIEW t AS SELECT 1",
        "CREATE MACRO abs(x) AS x",
        "CREATE TEMP TABLE t (a INT)",
        "CREATE SCHEMA s",
        "CREATE SEQUENCE s",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE SECRET s (TYPE s3)",
        "CREATE INDEX i ON t (a)",
        "DROP VIEW t",
        "DROP TABLE t",
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "TRUNCATE t",
        "MERGE INTO t USING s ON (a = b) WHEN MATCHED THEN DELETE",
        "COPY t TO 'x.parquet'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "COPY t FROM 'x.csv'",
        "COPY t TO STDOUT",
        "EXPORT DATABASE 'x'",
        "IMPORT DATABASE 'x'",
        "ATTACH 'x.db'",
        "ATTACH ':memory:' AS m",
        "DETACH memory",
        "USE memory",
        "SET memory_limit = '1TB'",
        "SET VARIABLE x = 1",
        "SET schema = 'main'",
        "SET search_path = 'main'",
        "RESET threads",
        "PRAGMA memory_limit = '1TB'",
        "PRAGMA enable_profiling",
        "PRAGMA database_list = 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FORCE INSTALL httpfs FROM 'http://x'",
        "UPDATE EXTENSIONS",
        "CALL pragma_version()",
        "CALL enable_profiling()",
        "CHECKPOINT",
        "FORCE CHECKPOINT",
        "VACUUM",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN ANALYZE SELECT 1",
        "COMMENT ON TABLE t IS 'x'",
        "GRANT SELECT ON t TO u",
        "PIVOT t ON a USING sum(b)",
        /* more than one */
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW t",
        "SELECT 1;; SELECT 2",
        "DROP VIEW t; SELECT 1",
        /* functions in FROM */
        "FROM read_csv('/etc/passwd')",
        "FROM read_csv_auto('x')",
        "FROM read_text('/etc/passwd')",
        "FROM read_blob('/etc/passwd')",
        "FROM read_json('x')",
        "FROM read_json_auto('x')",
        "FROM read_ndjson('x')",
        "FROM read_ndjson_objects('x')",
        "FROM read_json_objects('x')",
        "FROM read_parquet('x')",
        "FROM parquet_scan('x')",
        "FROM parquet_metadata('x')",
        "FROM parquet_schema('x')",
        "FROM parquet_file_metadata('x')",
        "FROM parquet_kv_metadata('x')",
        "FROM parquet_bloom_probe('x', 'a', 1)",
        "FROM parquet_full_metadata('x')",
        "FROM sniff_csv('x')",
        "FROM glob('/*')",
        "FROM arrow_scan(1, 2, 3)",
        "FROM seq_scan('t')",
        "FROM query('SELECT 1')",
        "FROM query_table('t')",
        "FROM query_table(['t', 'u'])",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "FROM sql_auto_complete('SEL')",
        "FROM duckdb_settings()",
        "FROM duckdb_views()",
        "FROM duckdb_tables()",
        "FROM duckdb_secrets()",
        "FROM duckdb_extensions()",
        "FROM duckdb_functions()",
        "FROM duckdb_logs()",
        "FROM duckdb_memory()",
        "FROM duckdb_temporary_files()",
        "FROM duckdb_variables()",
        "FROM pragma_version()",
        "FROM pragma_database_size()",
        "FROM pragma_table_info('t')",
        "FROM pragma_storage_info('t')",
        "FROM pragma_show('t')",
        "FROM enable_profiling()",
        "FROM disable_profiling()",
        "FROM enable_logging()",
        "FROM disable_logging()",
        "FROM set_log_level('debug')",
        "FROM checkpoint()",
        "FROM force_checkpoint()",
        "FROM truncate_duckdb_logs()",
        "FROM which_secret('x', 's3')",
        "FROM repeat('x', 1000000000)",
        "FROM repeat_row(1, num_rows = 10)",
        "FROM test_all_types()",
        "FROM summary((FROM t))",
        "FROM icu_calendar_names()",
        "FROM pg_timezone_names()",
        "FROM main.read_csv('x')",
        "FROM system.main.read_csv('x')",
        "FROM READ_CSV('x')",
        "FROM \"read_csv\"('x')",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "WITH c AS (FROM read_csv('x')) FROM c",
        "FROM t, LATERAL (FROM read_csv(t.x))",
        "FROM range(1) WHERE EXISTS (FROM glob('*'))",
        "DESCRIBE FROM read_csv('x')",
        "SUMMARIZE FROM read_parquet('x')",
        /* functions in expressions */
        "SELECT write_log('x')",
        "SELECT nextval('s')",
        "SELECT currval('s')",
        "SELECT setseed(0.5)",
        "SELECT sleep_ms(100000)",
        "SELECT pg_sleep(100)",
        "SELECT current_setting('memory_limit')",
        "SELECT CURRENT_SETTING('memory_limit')",
        "SELECT \"current_setting\"('temp_directory')",
        "SELECT main.current_setting('temp_directory')",
        "SELECT system.main.current_setting('temp_directory')",
        "SELECT 'temp_directory'.current_setting()",
        "SELECT getvariable('x')",
        "SELECT getenv('HOME')",
        "SELECT current_query()",
        "SELECT current_query_id()",
        "SELECT current_connection_id()",
        "SELECT current_transaction_id()",
        "SELECT txid_current()",
        "SELECT stats(1)",
        "SELECT pg_get_viewdef(1)",
        "SELECT pg_get_constraintdef(1)",
        "SELECT format_type(1, 1)",
        "SELECT get_block_size('memory')",
        "SELECT json_execute_serialized_sql('{}')",
        "SELECT list_transform([1], x -> sleep_ms(x))",
        "SELECT max(sleep_ms(x)) FROM t",
        "SELECT 1 ORDER BY current_setting('x')",
        "SELECT 1 LIMIT sleep_ms(1)",
        "SELECT 1 GROUP BY getvariable('x')",
        "VALUES (sleep_ms(1))",
        "FROM range(sleep_ms(1))",
        "SELECT * REPLACE (sleep_ms(1) AS a) FROM t",
        "SELECT COLUMNS(c -> sleep_ms(1) = 1) FROM t",
        "SELECT sum(x) OVER (ORDER BY sleep_ms(1)) FROM t",
        "SELECT count(*) FILTER (WHERE sleep_ms(1) = 1) FROM t",
        "SELECT CASE WHEN sleep_ms(1) = 1 THEN 1 END",
        "FROM t JOIN u ON sleep_ms(1) = 1",
        /* sizes */
        "SELECT repeat('x', 3000000000)",
        "SELECT repeat('x', 1000001)",
        "SELECT repeat('x', 1000 * 3000000)",
        "SELECT repeat('x', n) FROM t",
        "SELECT repeat('x', (SELECT 3000000000))",
        "SELECT repeat('x', $1)",
        "SELECT repeat('x', 3000000000::BIGINT)",
        "SELECT repeat('x', '3000000000')",
        "SELECT repeat('x', 99999999999999999999999)",
        "SELECT repeat('x', greatest(1, 3000000000))",
        "SELECT repeat('x', least(3000000000, n)) FROM t",
        "SELECT 'x'.repeat(3000000000)",
        "SELECT REPEAT('x', 3000000000)",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT rpad('x', 2000000000, 'y')",
        "SELECT bitstring('0101', 800000000)",
        "SELECT list_resize([1], 200000000, 1)",
        "SELECT array_resize([1], 200000000, 1)",
        "SELECT range(2000000000)",
        "SELECT range(0, 2000000000)",
        "SELECT generate_series(0, 10, 2000000000)",
        "SELECT len(range(2000000000))",
        "FROM unnest(range(2000000000))",
        "SELECT printf('%2000000000d', 1)",
        "SELECT printf('%*d', 2000000000, 1)",
        "SELECT printf('%' || '2000000000d', 1)",
        "SELECT printf(f, 1) FROM t",
        "SELECT format('{:2000000000}', 1)",
        "SELECT format('{:{}}', 1, 2000000000)",
        "SELECT format($1, 1)",
        /* other ways around */
        "WITH duckdb_settings AS (SELECT 1) FROM duckdb_settings",
        "WITH pg_class AS (SELECT 1) FROM pg_class",
        "WITH sqlite_master AS (SELECT 1) FROM sqlite_master",
        "WITH RECURSIVE pg_class AS (SELECT 1 UNION ALL FROM pg_class) FROM pg_class",
        "FROM a.b.c",
        "FROM system.main.duckdb_settings",
        "FROM memory.main.t",
        "SHOW DATABASES",
        "SHOW ALL TABLES",
        "SHOW TABLES FROM main",
        "SHOW VARIABLES",
        "FROM (SHOW TABLES)",
        "SELECT * FROM (SHOW DATABASES)",
    };
    struct fixture *f = *state;
    assert_true(LH_COUNT(refused) >= 150);
    for (size_t i = 0; i < LH_COUNT(refused); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
        struct lh_error err;
        verdict(f, refused[i], &out, &err);
        /* what the parser does not even know may be called invalid */
        if (err.code != LH_STATEMENT_NOT_ALLOWED && err.code != LH_INVALID_SQL)
            fail_msg("%s\n  gives %s", refused[i], out.data);
        if (err.code == LH_STATEMENT_NOT_ALLOWED && err.hint[0] == '\0')
            fail_msg("%s\n  has no hint", refused[i]);
    }
}

static void test_syntax_errors_show_the_place(void **state)
{
    static const struct {
        const char *sql, *excerpt;
        uint64_t line, column;
    } cases[] = {
        {"SELCT 1", "SELCT 1\n^", 1, 1},
        {"SELECT *\nFORM t", "FORM t\n     ^", 2, 6},
        {"SELECT 'é', FROM ,x", "SELECT 'é', FROM ,x\n                 ^", 1, 18},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
        struct lh_error err;
        verdict(f, cases[i].sql, &out, &err);
        assert_int_equal(err.code, LH_INVALID_SQL);
        assert_string_equal(err.excerpt, cases[i].excerpt);
        assert_int_equal(err.line, cases[i].line);
        assert_int_equal(err.column, cases[i].column);
    }
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
    struct lh_error err;
    verdict(f, "SELECT 1,\n  sleep_ms(1)", &out, &err);
    assert_string_equal(err.excerpt, "  sleep_ms(1)\n  ^");
    expect(f, "SELECT $a, $1", "invalid_sql");
    expect(f, "SELECT * FROM t FOR UPDATE", "invalid_sql");
    expect(f, "", "invalid_sql");
    expect(f, "-- nothing", "invalid_sql");
    expect(f, ";", "invalid_sql");
}

static void test_deep_and_large(void **state)
{
    struct fixture *f = *state;
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(4 << 20);
    lh_buf_append_cstr(&sql, "SELECT ");
    for (int i = 0; i < 20000; i++)
        lh_buf_append_cstr(&sql, "abs(");
    lh_buf_append_cstr(&sql, "1");
    for (int i = 0; i < 20000; i++)
        lh_buf_append_cstr(&sql, ")");
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
    struct lh_error err;
    verdict(f, sql.data, &out, &err);
    assert_int_not_equal(err.code, LH_OK);

    lh_buf_reset(&sql);
    lh_buf_reset(&out);
    lh_buf_append_cstr(&sql, "SELECT 1");
    for (int i = 0; i < 50000; i++)
        lh_buf_append_cstr(&sql, ",1");
    verdict(f, sql.data, &out, &err);
    assert_int_equal(err.code, LH_OK);

    lh_buf_reset(&sql);
    lh_buf_reset(&out);
    lh_buf_append_cstr(&sql, "SELECT 1 FROM t0");
    for (int i = 1; i < 300; i++)
        lh_buf_printf(&sql, ", t%d", i);
    verdict(f, sql.data, &out, &err);
    assert_int_equal(err.code, LH_INVALID_SQL);
}

static void test_rewrite(void **state)
{
    static const struct {
        const char *sql, *wanted;
    } cases[] = {
        {"SELECT t.a FROM t", "SELECT t.a FROM v0 AS t"},
        {"FROM ns.\"My T\" x AT (VERSION => 3), c", "SELECT * FROM v0 AS x , v1 AS c"},
        {"WITH RECURSIVE r AS (FROM a AT (VERSION => 1) UNION ALL FROM r, b) FROM r, a", NULL},
        {"SELECT 170141183460469231731687303715884105727, 18446744073709551615 FROM t", NULL},
    };
    struct fixture *f = *state;
    static const char *const views[] = {"v0", "v1", "v2", "v3"};
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_BUF struct lh_buf tree = LH_BUF_INIT(1 << 20);
        LH_AUTO_BUF struct lh_buf changed = LH_BUF_INIT(1 << 20);
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(1 << 20);
        struct lh_gate gate = {0};
        lh_str sql = lh_str_from(cases[i].sql);
        assert_int_equal(lh_duck_parse(f->parser, sql, &tree, &err), LH_OK);
        if (lh_gate_check(sql, lh_buf_str(&tree), &gate, &err) != LH_OK)
            fail_msg("%s: %s", cases[i].sql, err.message);
        lh_gate_rewrite(&gate, views, NULL, &changed);
        if (lh_duck_unparse(f->parser, lh_buf_str(&changed), &text, &err) != LH_OK)
            fail_msg("%s: %s\n%s", cases[i].sql, err.message, changed.data);
        if (cases[i].wanted != NULL)
            assert_string_equal(text.data, cases[i].wanted);
        assert_null(strstr(text.data, " AT "));
        lh_gate_deinit(&gate);
    }
}

/* The library's own list of functions with side effects: each was looked at. A new version of the
 * library that has another one fails here. */
static void test_every_volatile_function_is_known(void **state)
{
    static const char *const harmless[] = {"error", "gen_random_uuid", "random",
                                           "uuid",  "uuidv4",          "uuidv7"};
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    const char *sql = "SELECT DISTINCT function_name FROM duckdb_functions() "
                      "WHERE function_type = 'scalar' AND (stability = 'VOLATILE' OR "
                      "has_side_effects) ORDER BY 1";
    assert_int_equal(lh_duck_query(f->conn, sql, NULL, 0, &rows, &err), LH_OK);
    size_t count = 0;
    LH_AUTO_BUF struct lh_buf unknown = LH_BUF_INIT(1 << 16);
    LH_AUTO_BUF struct lh_buf calls = LH_BUF_INIT(1 << 16);
    while (lh_duck_next(rows)) {
        lh_str name = lh_duck_text(rows, 0);
        count++;
        bool known = false;
        for (size_t i = 0; i < LH_COUNT(harmless); i++)
            known = known || lh_str_is(name, harmless[i]);
        if (!known)
            lh_buf_printf(&calls, "%.*s,", LH_FMT(name));
    }
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
    assert_true(count > 5);
    lh_str rest = lh_buf_str(&calls);
    lh_str name;
    while (lh_str_next(&rest, ',', &name)) {
        if (name.len == 0)
            continue;
        LH_AUTO_FREE char *call = lh_asprintf("SELECT \"%.*s\"(1)", LH_FMT(name));
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 16);
        verdict(f, call, &out, &err);
        if (err.code != LH_STATEMENT_NOT_ALLOWED)
            lh_buf_printf(&unknown, " %.*s", LH_FMT(name));
    }
    if (unknown.len > 0)
        fail_msg("functions with side effects that the gate lets pass:%s", unknown.data);
}

/* Macros of the library that look into its catalog. */
static void test_every_macro_over_the_catalog_is_refused(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    const char *sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = "
                      "'macro' AND macro_definition ILIKE '%select%'";
    assert_int_equal(lh_duck_query(f->conn, sql, NULL, 0, &rows, &err), LH_OK);
    LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(1 << 16);
    while (lh_duck_next(rows))
        lh_buf_printf(&names, "%.*s,", LH_FMT(lh_duck_text(rows, 0)));
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
    lh_str rest = lh_buf_str(&names);
    lh_str name;
    while (lh_str_next(&rest, ',', &name)) {
        if (name.len == 0)
            continue;
        LH_AUTO_FREE char *call = lh_asprintf("SELECT %.*s(1)", LH_FMT(name));
        expect(f, call, "statement_not_allowed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_time_travel),
        cmocka_unit_test(test_tables_of_the_engine_are_reported),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_syntax_errors_show_the_place),
        cmocka_unit_test(test_deep_and_large),
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_every_volatile_function_is_known),
        cmocka_unit_test(test_every_macro_over_the_catalog_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
