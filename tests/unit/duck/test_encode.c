/*
 * The encoders: every type against the library's own CAST(x AS VARCHAR), and whole answers.
 */
#include "duck/encode.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct fixture {
    struct lh_duck *duck;
    struct lh_duck_conn *conn;
};

static int setup(void **state)
{
    struct fixture *f = lh_calloc(1, sizeof(*f));
    struct lh_duck_options options = {.memory_bytes = 256 << 20, .threads = 2};
    struct lh_error err = LH_ERROR_INIT;
    if (lh_duck_open(&options, &f->duck, &err) != LH_OK ||
        lh_duck_connect(f->duck, &f->conn, &err) != LH_OK ||
        lh_duck_exec(f->conn, "SET TimeZone = 'UTC'", &err) != LH_OK)
        fail_msg("open: %s", err.message);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lh_duck_disconnect(f->conn);
    lh_duck_close(f->duck);
    free(f);
    return 0;
}

static lh_code to_buf(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)err;
    lh_buf_append(ctx, bytes, len);
    return LH_OK;
}

static lh_code encode_all(struct lh_duck_statement *statement, struct lh_duck_encoder *encoder,
                          struct lh_error *err)
{
    struct lh_duck_summary summary = {.elapsed_ms = 5, .query_id = "q"};
    int64_t position;
    lh_duck_encode_head(encoder);
    for (;;) {
        size_t rows = 0;
        LH_TRY(lh_duck_next_chunk(statement, &rows, &position, err));
        if (rows == 0)
            break;
        LH_TRY(lh_duck_encode_rows(encoder, rows, err));
        summary.rows += rows;
    }
    lh_duck_encode_tail(encoder, &summary);
    return lh_duck_encode_flush(encoder, err);
}

/* The whole answer as a text. */
static lh_code encode(struct fixture *f, const char *sql, enum lh_duck_format format,
                      struct lh_buf *out, struct lh_error *err)
{
    struct lh_duck_statement *statement = NULL;
    struct lh_duck_encoder *encoder = NULL;
    int64_t position;
    LH_TRY(lh_duck_prepare(f->conn, sql, LH_DUCK_SELECT, &statement, &position, err));
    lh_code code = lh_duck_run(statement, &position, err);
    if (code == LH_OK)
        code = lh_duck_encoder_new(statement, format, to_buf, out, &encoder, err);
    if (code == LH_OK)
        code = encode_all(statement, encoder, err);
    lh_duck_encoder_free(encoder);
    lh_duck_statement_free(statement);
    return code;
}

static void expect(struct fixture *f, enum lh_duck_format format, const char *sql,
                   const char *wanted)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 20);
    if (encode(f, sql, format, &out, &err) != LH_OK)
        fail_msg("%s: %s", sql, err.message);
    assert_string_equal(out.len > 0 ? out.data : "", wanted);
}

/* Values whose text is that of the cast, in quotes. */
static void test_texts_are_those_of_the_cast(void **state)
{
    struct fixture *f = *state;
    static const char *const expressions[] = {
        "DATE '2026-11-22'",
        "DATE '1970-01-01' + CAST(i * 7919 AS INTEGER) FROM range(-90000, 270000, 997) t(i)",
        "DATE '0001-01-01' - CAST(i AS INTEGER) FROM range(0, 3000, 13) t(i)",
        "DATE '9999-12-31' + 1",
        "DATE 'infinity'",
        "DATE '-infinity'",
        "TIME '00:00:00'",
        "TIME '23:59:59.999999'",
        "TIME '04:05:06.5'",
        "TIMESTAMP '2026-11-22 15:04:05'",
        "TIMESTAMP '2026-11-22 15:04:05.123456'",
        "TIMESTAMP '1969-12-31 23:59:59.999999'",
        "TIMESTAMP '0001-01-01 00:00:00' - INTERVAL 1 SECOND",
        "TIMESTAMP 'infinity'",
        "TIMESTAMP '-infinity'",
        "make_timestamp(i * 86399999999) FROM range(-1000, 1000, 7) t(i)",
        "TIMESTAMPTZ '2026-11-22 15:04:05.1+02'",
        "TIMESTAMP_S '2026-11-22 15:04:05'",
        "TIMESTAMP_MS '2026-11-22 15:04:05.120'",
        "TIMESTAMP_NS '2026-11-22 15:04:05.123456789'",
        "TIMESTAMP_NS '1900-01-01 00:00:00.000000001'",
        "INTERVAL 0 SECOND",
        "INTERVAL '1 year 2 months 3 days 04:05:06.5'",
        "INTERVAL '-1 year -2 months -3 days -04:05:06.5'",
        "INTERVAL (i) MONTH FROM range(-30, 30) t(i)",
        "INTERVAL (i) DAY FROM range(-3, 3) t(i)",
        "INTERVAL 100000 HOUR",
        "UUID '00000000-0000-0000-0000-000000000000'",
        "UUID 'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "UUID '7f0a1b2c-3d4e-5a6c-9d8e-a8f3c1d24e5b'",
        "'happy'::ENUM('sad', 'happy')",
    };
    for (size_t i = 0; i < LH_COUNT(expressions); i++) {
        const char *from = strstr(expressions[i], " FROM ");
        int head = from != NULL ? (int)(from - expressions[i]) : (int)strlen(expressions[i]);
        const char *tail = from != NULL ? from : "";
        LH_AUTO_FREE char *ours = lh_asprintf("SELECT %.*s AS v%s", head, expressions[i], tail);
        LH_AUTO_FREE char *theirs =
            lh_asprintf("SELECT CAST(%.*s AS VARCHAR) AS v%s", head, expressions[i], tail);
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_BUF struct lh_buf wanted = LH_BUF_INIT(1 << 20);
        if (encode(f, theirs, LH_DUCK_NDJSON, &wanted, &err) != LH_OK)
            fail_msg("%s: %s", theirs, err.message);
        expect(f, LH_DUCK_NDJSON, ours, wanted.data);
    }
}

/* Numbers stand bare, with all their digits. */
static void test_exact_numbers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *expression, *text;
    } cases[] = {
        {"(-128)::TINYINT", "-128"},
        {"32767::SMALLINT", "32767"},
        {"-2147483648", "-2147483648"},
        {"9223372036854775807", "9223372036854775807"},
        {"(-9223372036854775808)::BIGINT", "-9223372036854775808"},
        {"18446744073709551615::UBIGINT", "18446744073709551615"},
        {"170141183460469231731687303715884105727::HUGEINT",
         "170141183460469231731687303715884105727"},
        {"(-170141183460469231731687303715884105728)::HUGEINT",
         "-170141183460469231731687303715884105728"},
        {"340282366920938463463374607431768211455::UHUGEINT",
         "340282366920938463463374607431768211455"},
        {"0::HUGEINT", "0"},
        {"1.234::DECIMAL(4,3)", "1.234"},
        {"-0.05::DECIMAL(4,2)", "-0.05"},
        {"0::DECIMAL(9,3)", "0.000"},
        {"-99999999999999999999999999999999999999::DECIMAL(38,0)",
         "-99999999999999999999999999999999999999"},
        {"0.00000000000000000000000000000000000001::DECIMAL(38,38)",
         "0.00000000000000000000000000000000000001"},
        {"123456789.123456789::DECIMAL(18,9)", "123456789.123456789"},
        {"0.1::DOUBLE", "0.1"},
        {"'nan'::DOUBLE", "null"},
        {"'-inf'::FLOAT", "null"},
        {"0.1::FLOAT", "0.1"},
        {"true", "true"},
        {"NULL", "null"},
        {"NULL::DATE", "null"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_FREE char *sql = lh_asprintf("SELECT %s AS v", cases[i].expression);
        LH_AUTO_FREE char *wanted = lh_asprintf("{\"v\":%s}\n", cases[i].text);
        expect(f, LH_DUCK_NDJSON, sql, wanted);
    }
}

static void test_texts_and_nesting(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *expression, *json;
    } cases[] = {
        {"''", "\"\""},
        {"'a\"b\\c/d'", "\"a\\\"b\\\\c/d\""},
        {"chr(10) || chr(13) || chr(9) || chr(1) || chr(31) || 'x' || chr(8)",
         "\"\\n\\r\\t\\u0001\\u001fx\\b\""},
        {"'Zürich €𝄞'", "\"Zürich €𝄞\""},
        {"'\\x00\\xFFa\\x22'::BLOB", "\"\\\\x00\\\\xFFa\\\\x22\""},
        {"'{\"a\":1}'::JSON", "\"{\\\"a\\\":1}\""},
        {"[1, NULL, 3]", "[1,null,3]"},
        {"[]::INTEGER[]", "[]"},
        {"[[1], NULL, []]::INTEGER[][]", "[[1],null,[]]"},
        {"array_value(1.5::DOUBLE, 2.5::DOUBLE)", "[1.5,2.5]"},
        {"{'a': 1, 'b': {'c': 'x'}, 'd': NULL::DATE}", "{\"a\":1,\"b\":{\"c\":\"x\"},\"d\":null}"},
        {"MAP {'k': 1, 'l': NULL}", "{\"k\":1,\"l\":null}"},
        {"MAP {1: 'x', 2: 'y'}", "{\"1\":\"x\",\"2\":\"y\"}"},
        {"MAP {DATE '2026-01-01': [1]}", "{\"2026-01-01\":[1]}"},
        {"[{'a': ['x']}]", "[{\"a\":[\"x\"]}]"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_FREE char *sql = lh_asprintf("SELECT %s AS v", cases[i].expression);
        LH_AUTO_FREE char *wanted = lh_asprintf("{\"v\":%s}\n", cases[i].json);
        expect(f, LH_DUCK_NDJSON, sql, wanted);
    }
}

/* Offsets of lists and children over several chunks. */
static void test_nested_over_chunks(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf ours = LH_BUF_INIT(16 << 20);
    LH_AUTO_BUF struct lh_buf theirs = LH_BUF_INIT(16 << 20);
    const char *from = "FROM (SELECT {'i': i, 'l': CASE WHEN i % 5 = 0 THEN NULL ELSE "
                       "range(i % 7) END, 's': 'row ' || i} AS v FROM range(5000) t(i))";
    LH_AUTO_FREE char *a = lh_asprintf("SELECT v %s", from);
    LH_AUTO_FREE char *b = lh_asprintf("SELECT to_json(v)::VARCHAR AS v %s", from);
    assert_int_equal(encode(f, a, LH_DUCK_NDJSON, &ours, &err), LH_OK);
    struct lh_duck_rows *rows = NULL;
    assert_int_equal(lh_duck_query(f->conn, b, NULL, 0, &rows, &err), LH_OK);
    while (lh_duck_next(rows)) {
        lh_str json = lh_duck_text(rows, 0);
        lh_buf_printf(&theirs, "{\"v\":%.*s}\n", LH_FMT(json));
    }
    assert_int_equal(lh_duck_rows_close(&rows, &err), LH_OK);
    assert_int_equal(ours.len, theirs.len);
    assert_string_equal(ours.data, theirs.data);
}

static void test_json_answer(void **state)
{
    struct fixture *f = *state;
    expect(f, LH_DUCK_JSON,
           "SELECT 1 AS a, 'x' AS \"b\"\"c\", NULL::DECIMAL(18,3) AS d, [1] AS l, "
           "{'k': 1, 'K L': 'x'} AS s, MAP {1: 2} AS m, 'p'::ENUM('p', 'q''r') AS e, "
           "TIMESTAMPTZ '2026-01-01 00:00:00+00' AS t, '1'::JSON AS j",
           "{\"columns\":[{\"name\":\"a\",\"type\":\"INTEGER\"},"
           "{\"name\":\"b\\\"c\",\"type\":\"VARCHAR\"},{\"name\":\"d\",\"type\":\"DECIMAL(18,3)\"},"
           "{\"name\":\"l\",\"type\":\"INTEGER[]\"},"
           "{\"name\":\"s\",\"type\":\"STRUCT(k INTEGER, \\\"K L\\\" VARCHAR)\"},"
           "{\"name\":\"m\",\"type\":\"MAP(INTEGER, INTEGER)\"},"
           "{\"name\":\"e\",\"type\":\"ENUM('p', 'q''r')\"},"
           "{\"name\":\"t\",\"type\":\"TIMESTAMP WITH TIME ZONE\"},"
           "{\"name\":\"j\",\"type\":\"JSON\"}],"
           "\"rows\":[[1,\"x\",null,[1],{\"k\":1,\"K L\":\"x\"},{\"1\":2},\"p\","
           "\"2026-01-01 00:00:00+00\",\"1\"]],"
           "\"row_count\":1,\"truncated\":false,\"elapsed_ms\":5,\"query_id\":\"q\"}\n");
    expect(f, LH_DUCK_JSON, "SELECT 1 AS a WHERE false",
           "{\"columns\":[{\"name\":\"a\",\"type\":\"INTEGER\"}],\"rows\":[],"
           "\"row_count\":0,\"truncated\":false,\"elapsed_ms\":5,\"query_id\":\"q\"}\n");
}

static void test_ndjson_names_once(void **state)
{
    struct fixture *f = *state;
    expect(
        f, LH_DUCK_NDJSON, "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a FROM range(2)",
        "{\"a\":1,\"a_1\":2,\"a_1_1\":3,\"a_2\":4}\n{\"a\":1,\"a_1\":2,\"a_1_1\":3,\"a_2\":4}\n");
    expect(f, LH_DUCK_NDJSON, "SELECT 1 AS a WHERE false", "");

    /* many columns of one name take no time that grows with their square */
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(1 << 20);
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 20);
    struct lh_error err = LH_ERROR_INIT;
    lh_buf_append_cstr(&sql, "SELECT 1");
    for (int i = 0; i < 5000; i++)
        lh_buf_append_cstr(&sql, ",1");
    assert_int_equal(encode(f, sql.data, LH_DUCK_NDJSON, &out, &err), LH_OK);
    LH_AUTO_JSON json_t *row = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&out), &row, &err), LH_OK);
    assert_int_equal(json_object_size(row), 5001);
}

static void test_csv(void **state)
{
    struct fixture *f = *state;
    expect(
        f, LH_DUCK_CSV,
        "SELECT * FROM (VALUES (1, 'plain', 1.5::DOUBLE, NULL), (2, 'a,\"b\"', 'nan'::DOUBLE, ''),"
        " (3, 'line' || chr(10) || 'two', '-inf'::DOUBLE, ' x')) t(i, \"the text\", d, \"n,\")",
        "i,the text,d,\"n,\"\n1,plain,1.5,\n2,\"a,\"\"b\"\"\",nan,\"\"\n"
        "3,\"line\ntwo\",-inf,\" x\"\n");
    expect(f, LH_DUCK_CSV, "SELECT ['a\"b', NULL] AS l, {'k': 'x'} AS s, '\\xAA'::BLOB AS b",
           "l,s,b\n\"[\"\"a\\\"\"b\"\",null]\",\"{\"\"k\"\":\"\"x\"\"}\",\"\\xAA\"\n");
    expect(f, LH_DUCK_CSV, "SELECT 1 AS a WHERE false", "a\n");
}

/* A value longer than the window goes through it in pieces. */
static void test_long_values(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(8 << 20);
    const char *sql = "SELECT repeat('a\"', 1000000) AS v";
    assert_int_equal(encode(f, sql, LH_DUCK_NDJSON, &out, &err), LH_OK);
    assert_int_equal(out.len, 3000000 + 9);
    LH_AUTO_JSON json_t *root = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&out), &root, &err), LH_OK);
    lh_buf_reset(&out);
    assert_int_equal(encode(f, sql, LH_DUCK_CSV, &out, &err), LH_OK);
    assert_int_equal(out.len, 3000000 + 5);
}

static lh_code sink_that_fails(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)bytes;
    *(size_t *)ctx += len;
    return lh_fail(err, LH_CANCELLED, "gone");
}

static void test_sink_fails(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_statement *statement = NULL;
    struct lh_duck_encoder *encoder = NULL;
    int64_t position;
    size_t seen = 0;
    assert_int_equal(lh_duck_prepare(f->conn, "SELECT i, 'a text' FROM range(10000000) t(i)",
                                     LH_DUCK_SELECT, &statement, &position, &err),
                     LH_OK);
    assert_int_equal(lh_duck_run(statement, &position, &err), LH_OK);
    assert_int_equal(
        lh_duck_encoder_new(statement, LH_DUCK_JSON, sink_that_fails, &seen, &encoder, &err),
        LH_OK);
    assert_int_equal(encode_all(statement, encoder, &err), LH_CANCELLED);
    assert_true(seen > 0 && seen <= 128 << 10);
    lh_duck_encoder_free(encoder);
    lh_duck_statement_free(statement);
}

static void test_types_without_a_writer(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    static const struct {
        const char *expression, *type;
    } cases[] = {
        {"'101'::BIT", "BIT"},
        {"union_value(a := 1)", "UNION(a INTEGER)"},
        {"TIMETZ '04:05:06+01'", "TIME WITH TIME ZONE"},
        {"['101'::BIT]", "BIT[]"},
        {"{'a': TIMETZ '04:05:06+01'}", "STRUCT(a TIME WITH TIME ZONE)"},
        {"MAP {[1]: 2}", "MAP(INTEGER[], INTEGER)"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_duck_statement *statement = NULL;
        int64_t position;
        LH_AUTO_FREE char *sql = lh_asprintf("SELECT %s AS v, 1 AS w", cases[i].expression);
        if (lh_duck_prepare(f->conn, sql, LH_DUCK_SELECT, &statement, &position, &err) != LH_OK)
            fail_msg("%s: %s", sql, err.message);
        assert_int_equal(lh_duck_run(statement, &position, &err), LH_OK);
        assert_true(lh_str_is(lh_duck_column_type(statement, 0), cases[i].type));
        assert_false(lh_duck_column_encodes(statement, 0));
        assert_true(lh_duck_column_encodes(statement, 1));
        lh_duck_statement_free(statement);
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1000);
        assert_int_equal(encode(f, sql, LH_DUCK_JSON, &out, &err), LH_UNSUPPORTED);
    }
}

static void test_statements(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        lh_code code;
        int64_t position;
    } cases[] = {
        {"SELECT 1; SELECT 2", LH_STATEMENT_NOT_ALLOWED, LH_DUCK_NO_POSITION},
        {"CREATE TABLE t (a INT)", LH_STATEMENT_NOT_ALLOWED, LH_DUCK_NO_POSITION},
        {"EXPLAIN SELECT 1", LH_STATEMENT_NOT_ALLOWED, LH_DUCK_NO_POSITION},
        {"SELECT nope", LH_INVALID_SQL, 7},
        {"SELEC", LH_INVALID_SQL, 0},
        {"SELECT $a, $1", LH_INVALID_SQL, LH_DUCK_NO_POSITION},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_duck_statement *statement = NULL;
        int64_t position = 99;
        assert_int_equal(
            lh_duck_prepare(f->conn, cases[i].sql, LH_DUCK_SELECT, &statement, &position, &err),
            cases[i].code);
        if (strncmp(lh_duck_version(), "v1.4", 4) != 0) /* that one tells no positions here */
            assert_int_equal(position, cases[i].position);
        assert_null(statement);
    }
}

static void test_named_parameters(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_statement *statement = NULL;
    int64_t position;
    assert_int_equal(lh_duck_prepare(f->conn, "SELECT $low + $high + $low", LH_DUCK_SELECT,
                                     &statement, &position, &err),
                     LH_OK);
    LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(100);
    lh_duck_param_names(statement, &names);
    assert_string_equal(names.data, "$low, $high");
    struct lh_duck_value value = {.type = LH_DUCK_I64, .i64 = 1};
    assert_int_equal(lh_duck_bind(statement, "high", &value, &err), LH_OK);
    assert_int_equal(lh_duck_run(statement, &position, &err), LH_BAD_DATA); /* $low is missing */
    lh_duck_statement_free(statement);
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_statement *statement = NULL;
    int64_t position;
    assert_int_equal(lh_duck_prepare(f->conn,
                                     "SELECT $2 AS a, $1 AS b, $3 || 'x' AS c, $4 AS d, $5 AS e",
                                     LH_DUCK_SELECT, &statement, &position, &err),
                     LH_OK);
    assert_int_equal(lh_duck_param_count(statement), 5);
    const struct {
        const char *name;
        struct lh_duck_value value;
    } values[] = {
        {"1", {.type = LH_DUCK_I64, .i64 = 41}},
        {"2", {.type = LH_DUCK_TEXT, .text = LH_STR("two")}},
        {"3", {.type = LH_DUCK_TEXT, .text = LH_STR("")}},
        {"4", {.type = LH_DUCK_F64, .f64 = 2.5}},
        {"5", {.type = LH_DUCK_NULL}},
    };
    for (size_t i = 0; i < LH_COUNT(values); i++)
        assert_int_equal(lh_duck_bind(statement, values[i].name, &values[i].value, &err), LH_OK);
    assert_int_equal(lh_duck_bind(statement, "nope", &values[0].value, &err), LH_INVALID);

    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1000);
    struct lh_duck_encoder *encoder = NULL;
    assert_int_equal(lh_duck_run(statement, &position, &err), LH_OK);
    assert_int_equal(lh_duck_encoder_new(statement, LH_DUCK_NDJSON, to_buf, &out, &encoder, &err),
                     LH_OK);
    assert_int_equal(encode_all(statement, encoder, &err), LH_OK);
    assert_string_equal(out.data, "{\"a\":\"two\",\"b\":41,\"c\":\"x\",\"d\":2.5,\"e\":null}\n");
    lh_duck_encoder_free(encoder);
    lh_duck_statement_free(statement);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_those_of_the_cast),
        cmocka_unit_test(test_exact_numbers),
        cmocka_unit_test(test_texts_and_nesting),
        cmocka_unit_test(test_nested_over_chunks),
        cmocka_unit_test(test_json_answer),
        cmocka_unit_test(test_ndjson_names_once),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_sink_fails),
        cmocka_unit_test(test_types_without_a_writer),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_named_parameters),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
