#include "queryd/caret.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t offset;
        uint64_t line, column;
        const char *excerpt;
    } cases[] = {
        {"SELECT foo", 7, 1, 8, "SELECT foo\n       ^"},
        {"SELECT foo", 0, 1, 1, "SELECT foo\n^"},
        {"SELECT", 6, 1, 7, "SELECT\n      ^"},
        {"SELECT", 600, 1, 7, "SELECT\n      ^"},
        {"", 0, 1, 1, "\n^"},
        {"a\nbc d\ne", 5, 2, 4, "bc d\n   ^"},
        {"a\r\nbc\r\n", 3, 2, 1, "bc\n^"},
        {"a\n", 2, 2, 1, "\n^"},
        {"é €x", 6, 1, 4, "é €x\n   ^"},
        {"\ta\tb", 3, 1, 4, "\ta\tb\n\t \t^"},
        {"a\x01"
         "b c",
         4, 1, 5, "a?b c\n    ^"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        lh_sql_caret(lh_str_from(cases[i].sql), cases[i].offset, &err);
        assert_int_equal(err.line, cases[i].line);
        assert_int_equal(err.column, cases[i].column);
        assert_string_equal(err.excerpt, cases[i].excerpt);
    }
}

/* Whatever the text, the excerpt fits, has two lines, and the caret stands below the place. */
static void test_long_lines(void **state)
{
    (void)state;
    static char sql[100000];
    for (size_t i = 0; i + 4 <= sizeof(sql); i += 4)
        memcpy(sql + i, "\xF0\x9D\x84\x9E", 4); /* four bytes a character */
    for (size_t offset = 0; offset < sizeof(sql); offset += 388) {
        struct lh_error err = LH_ERROR_INIT;
        lh_sql_caret(lh_str_of(sql, sizeof(sql)), offset, &err);
        assert_int_equal(err.column, offset / 4 + 1);
        char *second = strchr(err.excerpt, '\n');
        assert_non_null(second);
        assert_true(lh_utf8_valid(lh_str_from(err.excerpt)));
        assert_string_equal(err.excerpt + strlen(err.excerpt) - 1, "^");
        size_t caret = strlen(second + 1) - 1;
        assert_int_equal(caret, offset / 4 <= 60 ? offset / 4 : 63);
    }
}

static void test_byte_of_character(void **state)
{
    (void)state;
    lh_str text = LH_STR("aé€x");
    static const size_t bytes[] = {0, 1, 3, 6, 7, 7};
    for (size_t i = 0; i < LH_COUNT(bytes); i++)
        assert_int_equal(lh_sql_byte_of_character(text, i), bytes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_byte_of_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
