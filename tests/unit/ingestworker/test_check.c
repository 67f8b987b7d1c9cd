/*
 * The check of CSV files: what is refused, with which line, and what is noticed and passed.
 */
#include "ingestworker/check.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "support/cmocka.h"
#include "support/fixture.h"

enum { COLUMNS_MAX = 4 };

struct outcome {
    lh_code code;
    struct lh_error err;
    struct lh_csv_check check;
    struct lh_check_column columns[COLUMNS_MAX];
};

/* Checks a text as the file would be, with columns of these types; `fixed` as the caller said them.
 */
static void run(lh_str text, const char *const *types, size_t count, bool fixed,
                struct outcome *ret)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "input");
    *ret = (struct outcome){.err = LH_ERROR_INIT};
    assert_int_equal(lh_write_file_durable(path, text.ptr, text.len, 0600, &ret->err), LH_OK);
    for (size_t i = 0; i < count; i++) {
        static const char *const names[COLUMNS_MAX] = {"a", "b", "c", "d"};
        lh_check_column_init(&ret->columns[i], names[i], types[i]);
        ret->columns[i].fixed = fixed;
        ret->columns[i].keeps_zeros = !fixed;
    }
    ret->check = (struct lh_csv_check){
        .reader = {.dialect = {',', '"', '"'}, .columns_max = COLUMNS_MAX, .line_bytes_max = 1000},
        .header = true,
        .null_text = "NA",
        .decimal_separator = '.',
        .misfit_code = LH_BAD_DATA,
        .columns = ret->columns,
        .column_count = count,
    };
    ret->code = lh_csv_check_file(path, &ret->check, &ret->err);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value;
        bool fits_guessed, fits_said;
    } cases[] = {
        {"BIGINT", "0", true, true},
        {"BIGINT", "-5", true, true},
        {"BIGINT", "+5", true, true},
        {"BIGINT", " 7 ", true, true},
        {"BIGINT", "", true, true},
        {"BIGINT", "NA", true, true},
        {"BIGINT", "\"12\"", true, true},
        {"BIGINT", "007", false, true},
        {"BIGINT", "1.5", false, false},
        {"BIGINT", "1.0", false, false},
        {"BIGINT", "1e3", false, false},
        {"BIGINT", "0x10", false, false},
        {"BIGINT", "1_000", false, false},
        {"BIGINT", "-", false, false},
        {"BIGINT", "9223372036854775807", true, true},
        {"BIGINT", "9223372036854775808", false, false},
        {"BIGINT", "-9223372036854775808", true, true},
        {"BIGINT", "-9223372036854775809", false, false},
        {"BIGINT", "123456789012345678901234567890", false, false},
        {"TINYINT", "127", true, true},
        {"TINYINT", "128", false, false},
        {"UTINYINT", "-1", false, false},
        {"UBIGINT", "18446744073709551615", true, true},
        {"UBIGINT", "18446744073709551616", false, false},
        {"DECIMAL(5,2)", "1.25", true, true},
        {"DECIMAL(5,2)", "1.250", true, true},
        {"DECIMAL(5,2)", "1.255", false, false},
        {"DECIMAL(5,2)", "1e-3", false, false},
        {"DECIMAL(5,2)", "100", true, true},
        {"DATE", "2026-01-02", true, true},
        {"DATE", "2026-01-02 03:04:05", false, false},
        {"DOUBLE", "1.5", true, true},
        {"VARCHAR", "anything", true, true},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_FREE char *text = lh_asprintf("a\n%s\n", cases[i].value);
        for (int fixed = 0; fixed < 2; fixed++) {
            struct outcome outcome;
            run(lh_str_from(text), &cases[i].type, 1, fixed, &outcome);
            bool fits = outcome.code == LH_OK && outcome.columns[0].bad_line == 0;
            if (fits != (fixed ? cases[i].fits_said : cases[i].fits_guessed))
                fail_msg("%s as %s (%s)", cases[i].value, cases[i].type,
                         fixed ? "said" : "guessed");
            assert_true(fixed || outcome.code == LH_OK); /* a guess never fails the file */
        }
    }
}

static void test_misfit_names_line_column_and_value(void **state)
{
    (void)state;
    static const char *const types[] = {"VARCHAR", "BIGINT"};
    struct outcome outcome;
    run(LH_STR("a,b\n\"x\ny\",1\nz,1.5\n"), types, 2, true, &outcome);
    assert_int_equal(outcome.code, LH_BAD_DATA);
    assert_int_equal(outcome.err.line, 4); /* the record before spans two lines */
    assert_int_equal(outcome.err.column, 2);
    assert_string_equal(outcome.err.excerpt, "1.5");
    assert_string_equal(outcome.err.message, "line 4, column 'b': '1.5' is no BIGINT");
    assert_non_null(strstr(outcome.err.hint, "type.b=VARCHAR"));

    run(LH_STR("a,b\n\"x\ny\",1\nz,1.5\n"), types, 2, false, &outcome);
    assert_int_equal(outcome.code, LH_OK);
    assert_int_equal(outcome.columns[1].bad_line, 4);
    assert_string_equal(outcome.columns[1].bad_value, "1.5");
    assert_int_equal(outcome.check.records, 2);
}

static void test_structure(void **state)
{
    (void)state;
    static const char *const types[] = {"VARCHAR", "VARCHAR"};
    static const struct {
        const char *text;
        uint64_t line; /* 0 = accepted */
        const char *says;
        uint64_t records;
    } cases[] = {
        {"a,b\n1,2\n", 0, "", 1},
        {"a,b\n", 0, "", 0},
        {"a,b\n1,2\n\n3,4\n\n", 0, "", 2},
        {"a,b\n1,2,\n3,4,\n", 0, "", 2},
        {"a,b\n1,2\n1,2,3\n", 3, "3 values, where 2", 0},
        {"a,b\n1\n", 2, "1 values, where 2", 0},
        {"a,b\n1,2,\"\"\n", 2, "3 values", 0},
        {"a,b\n1,\"x\n2,y\n", 2, "never closed", 0},
        {"a,b\n1,\"x\"y\n", 2, "closing quote", 0},
        {"a,b\r\n1,2\n", 2, "LF", 0},
        {"a,b\n1,2\r\n", 2, "CRLF", 0},
        {"a,b,c,d,e\n1,2,3,4,5\n", 1, "values", 0},
        {"a,b,c,d,e,f,g\n", 1, "more than 4 columns", 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct outcome outcome;
        run(lh_str_from(cases[i].text), types, 2, false, &outcome);
        if ((outcome.code == LH_OK) != (cases[i].line == 0) || outcome.err.line != cases[i].line ||
            strstr(outcome.err.message, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, outcome.err.message);
        if (outcome.code == LH_OK)
            assert_int_equal(outcome.check.records, cases[i].records);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const char *const types[] = {"VARCHAR"};
    struct outcome outcome;
    run(LH_STR("a\nx\0y\n"), types, 1, false, &outcome);
    assert_int_equal(outcome.code, LH_OK);
    assert_true(outcome.check.has_nul);
    run(LH_STR("\xef\xbb\xbf"
               "a\n1\n"),
        types, 1, false, &outcome);
    assert_int_equal(outcome.code, LH_OK);
    assert_int_equal(outcome.check.records, 1);
    assert_int_equal(outcome.check.longest_bytes, 2);

    char longest[1100];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "a\n", 2);
    run(lh_str_of(longest, 1001), types, 1, false, &outcome);
    assert_int_equal(outcome.code, LH_OK);
    run(lh_str_of(longest, 1100), types, 1, false, &outcome);
    assert_int_equal(outcome.code, LH_BAD_DATA);
    assert_int_equal(outcome.err.line, 2);
}

/* A file of several buffers: nothing is lost or doubled where one ends and the next begins. */
static void test_many_buffers(void **state)
{
    (void)state;
    static const char *const types[] = {"BIGINT", "VARCHAR"};
    struct lh_buf text = LH_BUF_INIT(8 << 20);
    lh_buf_append_cstr(&text, "a,b\n");
    enum { RECORDS = 200000 };
    for (int i = 0; i < RECORDS; i++)
        lh_buf_printf(&text, "%d,\"a quoted, value %d\"\n", i, i);
    lh_buf_append_cstr(&text, "1.5,end\n");
    struct outcome outcome;
    run(lh_buf_str(&text), types, 2, false, &outcome);
    assert_int_equal(outcome.code, LH_OK);
    assert_int_equal(outcome.check.records, RECORDS + 1);
    assert_int_equal(outcome.columns[0].bad_line, RECORDS + 2);
    lh_buf_deinit(&text);
}

static void test_numbers_beyond_doubles(void **state)
{
    (void)state;
    static const char *const values[] = {"1e999", "-1e999", "1e308",
                                         "inf",   "nan",    "12345678901234567890"};
    static const bool finite[] = {false, false, true, true, true, true};
    static const bool is_short[] = {true, true, true, true, true, false};
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "input");
    for (size_t i = 0; i < LH_COUNT(values); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_FREE char *text = lh_asprintf("a\n%s\n", values[i]);
        assert_int_equal(lh_write_file_durable(path, text, strlen(text), 0600, &err), LH_OK);
        for (int kind = LH_CHECK_FINITE; kind <= LH_CHECK_SHORT; kind++) {
            struct lh_check_column column = {.name = "a", .type = "DOUBLE", .kind = kind};
            struct lh_csv_check check = {
                .reader = {.dialect = {',', '"', '"'}, .columns_max = 4, .line_bytes_max = 1000},
                .header = true,
                .null_text = "",
                .decimal_separator = '.',
                .columns = &column,
                .column_count = 1,
            };
            assert_int_equal(lh_csv_check_file(path, &check, &err), LH_OK);
            bool good = kind == LH_CHECK_FINITE ? finite[i] : is_short[i];
            if ((column.bad_line == 0) != good)
                fail_msg("%s, kind %d", values[i], kind);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_misfit_names_line_column_and_value),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_many_buffers),
        cmocka_unit_test(test_numbers_beyond_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
