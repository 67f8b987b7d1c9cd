/*
 * src/duck on the real library: settings, errors by type, rows, interrupts, the lock.
 */
#include "duck/duck.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct lh_duck *duck;
    struct lh_duck_conn *conn;
    char dir[64];
};

static int setup(void **state)
{
    struct fixture *f = lh_calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/lh-test-duck-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    struct lh_duck_options options = {.memory_bytes = 64 << 20, .threads = 2};
    struct lh_error err = LH_ERROR_INIT;
    if (lh_duck_open(&options, &f->duck, &err) != LH_OK ||
        lh_duck_connect(f->duck, &f->conn, &err) != LH_OK)
        fail_msg("open: %s", err.message);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lh_duck_disconnect(f->conn);
    lh_duck_close(f->duck);
    LH_AUTO_FREE char *command = lh_asprintf("rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Runs to the end; returns the code of the query or of its stream. */
static lh_code run(struct fixture *f, const char *sql, struct lh_error *err)
{
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(f->conn, sql, NULL, 0, &rows, err));
    while (lh_duck_next(rows))
        ;
    return lh_duck_rows_close(&rows, err);
}

static void test_version_and_quotes(void **state)
{
    (void)state;
    assert_memory_equal(lh_duck_version(), "v1.", 3);
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
    lh_duck_quote_literal(&out, LH_STR("it's \"x\""));
    lh_buf_append_char(&out, ' ');
    lh_duck_quote_name(&out, LH_STR("a \"name\"'s"));
    assert_string_equal(out.data, "'it''s \"x\"' \"a \"\"name\"\"'s\"");
}

static void test_values(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    const char *sql =
        "SELECT 'short', 'a text of more than twelve bytes', '\\x00\\xFF'::BLOB, -5::TINYINT,"
        " 300::SMALLINT, -70000, 9223372036854775807, 255::UTINYINT, 65535::USMALLINT,"
        " 4294967295::UINTEGER, 18446744073709551615::UBIGINT, 1.5::DOUBLE, 0.25::FLOAT,"
        " true, NULL::VARCHAR, NULL::BIGINT, false";
    assert_int_equal(lh_duck_query(f->conn, sql, NULL, 0, &rows, &err), LH_OK);
    assert_true(lh_duck_next(rows));
    assert_true(lh_str_is(lh_duck_text(rows, 0), "short"));
    assert_true(lh_str_is(lh_duck_text(rows, 1), "a text of more than twelve bytes"));
    lh_str blob = lh_duck_text(rows, 2);
    assert_int_equal(blob.len, 2);
    assert_memory_equal(blob.ptr, "\x00\xff", 2);
    assert_int_equal(lh_duck_i64(rows, 3), -5);
    assert_int_equal(lh_duck_i64(rows, 4), 300);
    assert_int_equal(lh_duck_i64(rows, 5), -70000);
    assert_true(lh_duck_i64(rows, 6) == INT64_MAX);
    assert_int_equal(lh_duck_u64(rows, 7), 255);
    assert_int_equal(lh_duck_i64(rows, 7), 255);
    assert_int_equal(lh_duck_u64(rows, 8), 65535);
    assert_true(lh_duck_u64(rows, 9) == UINT32_MAX);
    assert_true(lh_duck_u64(rows, 10) == UINT64_MAX);
    assert_true(lh_duck_f64(rows, 11) == 1.5);
    assert_true(lh_duck_f64(rows, 12) == 0.25);
    assert_true(lh_duck_bool(rows, 13));
    assert_true(lh_duck_is_null(rows, 14));
    assert_int_equal(lh_duck_text(rows, 14).len, 0);
    assert_true(lh_duck_is_null(rows, 15));
    assert_false(lh_duck_is_null(rows, 16));
    assert_false(lh_duck_bool(rows, 16));
    assert_false(lh_duck_next(rows));
    assert_false(lh_duck_next(rows));
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
    assert_null(rows);
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
}

/* Many chunks, NULLs at word borders of the validity mask. */
static void test_many_rows(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    const char *sql = "SELECT CASE WHEN i % 64 = 63 THEN NULL ELSE i END FROM range(100000) t(i)";
    assert_int_equal(lh_duck_query(f->conn, sql, NULL, 0, &rows, &err), LH_OK);
    int64_t count = 0;
    while (lh_duck_next(rows)) {
        assert_int_equal(lh_duck_is_null(rows, 0), count % 64 == 63);
        assert_int_equal(lh_duck_i64(rows, 0), count % 64 == 63 ? 0 : count);
        count++;
    }
    assert_int_equal(count, 100000);
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    lh_str params[] = {LH_STR("it's"), LH_STR(""), LH_STR("41")};
    assert_int_equal(
        lh_duck_query(f->conn, "SELECT $1, $2, $3::BIGINT + 1", params, 3, &rows, &err), LH_OK);
    assert_true(lh_duck_next(rows));
    assert_true(lh_str_is(lh_duck_text(rows, 0), "it's"));
    assert_int_equal(lh_duck_text(rows, 1).len, 0);
    assert_false(lh_duck_is_null(rows, 1));
    assert_int_equal(lh_duck_i64(rows, 2), 42);
    /* abandoned before its end: nothing leaks, the connection stays usable */
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
    assert_int_equal(run(f, "SELECT 1", &err), LH_OK);
    assert_int_not_equal(lh_duck_query(f->conn, "SELECT 1", params, 1, &rows, &err), LH_OK);
    assert_null(rows);
}

static void test_error_codes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        lh_code code;
        const char *message, *hint;
    } cases[] = {
        {"SELCT 1", LH_INVALID_SQL, "syntax error at or near \"SELCT\"", ""},
        {"SELECT '{' || FROM", LH_INVALID_SQL, "syntax error at end of input", ""},
        {"SELECT foo FROM range(3)", LH_INVALID_SQL,
         "Referenced column \"foo\" not found in FROM clause!", "Candidate bindings: \"range\""},
        {"SELECT * FROM nope", LH_INVALID_SQL, "Table with name nope does not exist!",
         "Did you mean \"pg_enum\"?"},
        {"SELECT CAST('x' AS INT)", LH_BAD_DATA, "Could not convert string 'x' to INT32", ""},
        {"SELECT error('{\"a\"')", LH_BAD_DATA, "{\"a\"", ""},
        {"SELECT * FROM read_csv('/nope.csv')", LH_IO,
         "No files found that match the pattern \"/nope.csv\"", ""},
        {"SELECT list(i) FROM range(100000000) t(i)", LH_QUERY_MEMORY,
         "the query needs more memory than it may have", ""},
        {"SELECT 1; SELECT 2", LH_BAD_DATA, "Cannot prepare multiple statements at once!", ""},
        {"INSTALL httpfs FROM 'http://127.0.0.1:1'", LH_IO, NULL, NULL},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = run(f, cases[i].sql, &err);
        if (code != cases[i].code)
            fail_msg("%s: %s, %s", cases[i].sql, lh_code_word(code), err.message);
        assert_int_equal(err.code, code);
        if (cases[i].message != NULL) {
            assert_string_equal(err.message, cases[i].message);
            assert_string_equal(err.hint, cases[i].hint);
        }
    }
}

/* The stream has sent rows when it fails: that must not look like its end. */
static void test_error_in_the_middle(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    const char *sql = "SELECT CAST(CASE WHEN i = 3000000 THEN 'x' ELSE '1' END AS INT) "
                      "FROM range(5000000) t(i)";
    assert_int_equal(lh_duck_query(f->conn, sql, NULL, 0, &rows, &err), LH_OK);
    uint64_t count = 0;
    while (lh_duck_next(rows))
        count++;
    assert_true(count > 0 && count <= 3000000);
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_BAD_DATA);
    assert_non_null(strstr(err.message, "Could not convert"));
}

static void *interrupt_later(void *arg)
{
    lh_sleep_ms(150);
    lh_duck_interrupt(arg);
    return NULL;
}

static void test_interrupt(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    pthread_t thread;
    assert_int_equal(lh_thread_start(&thread, "interrupt", interrupt_later, f->conn, &err), LH_OK);
    lh_mono start = lh_mono_now();
    lh_code code =
        run(f, "SELECT sum(a.i * b.i) FROM range(3000000) a(i), range(3000000) b(i)", &err);
    pthread_join(thread, NULL);
    assert_int_equal(code, LH_CANCELLED);
    assert_true(lh_mono_since_ms(start) < 5000);
    assert_int_equal(run(f, "SELECT 1", &err), LH_OK);
}

static void test_lock(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *inside = lh_asprintf("%s/in", f->dir);
    LH_AUTO_FREE char *beside = lh_asprintf("%s/in2", f->dir);
    assert_int_equal(mkdir(inside, 0700) | mkdir(beside, 0700), 0);
    LH_AUTO_FREE char *copy_in = lh_asprintf("COPY (SELECT 7 AS a) TO '%s/x.parquet'", inside);
    LH_AUTO_FREE char *copy_out = lh_asprintf("COPY (SELECT 7 AS a) TO '%s/x.parquet'", beside);
    assert_int_equal(lh_duck_exec(f->conn, copy_in, &err), LH_OK);
    assert_int_equal(lh_duck_exec(f->conn, copy_out, &err), LH_OK);

    const char *dirs[] = {inside};
    if (lh_duck_lock(f->conn, dirs, 1, &err) != LH_OK)
        fail_msg("lock: %s", err.message);
    LH_AUTO_FREE char *read_in = lh_asprintf("SELECT a FROM read_parquet('%s/x.parquet')", inside);
    LH_AUTO_FREE char *read_out = lh_asprintf("SELECT a FROM read_parquet('%s/x.parquet')", beside);
    LH_AUTO_FREE char *read_up =
        lh_asprintf("SELECT a FROM read_parquet('%s/../in2/x.parquet')", inside);
    assert_int_equal(run(f, read_in, &err), LH_OK);
    assert_int_equal(run(f, read_out, &err), LH_STATEMENT_NOT_ALLOWED);
    assert_int_equal(run(f, read_up, &err), LH_STATEMENT_NOT_ALLOWED);
    assert_int_equal(run(f, "SELECT * FROM read_text('/etc/passwd')", &err),
                     LH_STATEMENT_NOT_ALLOWED);
    assert_int_not_equal(lh_duck_exec(f->conn, "SET threads = 1", &err), LH_OK);
    assert_int_not_equal(lh_duck_exec(f->conn, "SET enable_external_access = true", &err), LH_OK);
    assert_int_not_equal(lh_duck_exec(f->conn, "RESET lock_configuration", &err), LH_OK);
    LH_AUTO_FREE char *view = lh_asprintf(
        "CREATE OR REPLACE VIEW v AS SELECT * FROM read_parquet(['%s/x.parquet'])", inside);
    assert_int_equal(lh_duck_exec(f->conn, view, &err), LH_OK);
}

static void test_spill(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *dir = lh_asprintf("%s/spill", f->dir);
    struct lh_duck_options options = {
        .memory_bytes = 64 << 20, .threads = 1, .spill_dir = dir, .spill_bytes_max = 1 << 30};
    struct fixture other = {0};
    assert_int_equal(lh_duck_open(&options, &other.duck, &err), LH_OK);
    assert_int_equal(lh_duck_connect(other.duck, &other.conn, &err), LH_OK);
    const char *sql =
        "SELECT count(*) FROM (SELECT i, hash(i) h FROM range(6000000) t(i) ORDER BY h "
        "OFFSET 1)";
    lh_code code = run(&other, sql, &err);
    lh_duck_disconnect(other.conn);
    lh_duck_close(other.duck);
    if (code != LH_OK)
        fail_msg("spill: %s", err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_and_quotes),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spill, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
