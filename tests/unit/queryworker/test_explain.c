#include "queryworker/explain.h"

#include "base/mem.h"
#include "queryworker/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_strip(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *rest; /* NULL = refused */
        bool explain;
    } cases[] = {
        {"SELECT 1", "SELECT 1", false},
        {"EXPLAIN SELECT 1", "        SELECT 1", true},
        {"explain\nselect 1", "       \nselect 1", true},
        {" /* a /* b */ c */ -- d\n\tExPlAiN(SELECT 1)", NULL, true},
        {"/*x*/EXPLAIN/*y*/SELECT 1", "/*x*/       /*y*/SELECT 1", true},
        {"EXPLAIN", "       ", true},
        {"EXPLAINS SELECT 1", "EXPLAINS SELECT 1", false},
        {"EXPLAIN_x", "EXPLAIN_x", false},
        {"-- EXPLAIN\nSELECT 1", "-- EXPLAIN\nSELECT 1", false},
        {"/* EXPLAIN SELECT 1", "/* EXPLAIN SELECT 1", false},
        {"EXPLAIN ANALYZE SELECT 1", NULL, true},
        {"EXPLAIN /* */ analyze SELECT 1", NULL, true},
        {"EXPLAIN (FORMAT json) SELECT 1", NULL, true},
        {"EXPLAIN ANALYZER", "        ANALYZER", true},
        {"", "", false},
        {"/", "/", false},
        {"/*", "/*", false},
        {"--", "--", false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        bool explain = false;
        LH_AUTO_FREE char *sql = lh_strdup(cases[i].sql);
        lh_code code = lh_explain_strip(sql, &explain, &err);
        assert_int_equal(explain, cases[i].explain);
        assert_int_equal(code, cases[i].rest == NULL ? LH_STATEMENT_NOT_ALLOWED : LH_OK);
        if (cases[i].rest != NULL)
            assert_string_equal(sql, cases[i].rest);
    }
}

static void test_hide(void **state)
{
    (void)state;
    static const struct {
        const char *message, *wanted;
    } cases[] = {
        {"nothing", "nothing"},
        {"cannot open \"/data/lake/a/b.parquet\": gone", "cannot open \"(a data file)\": gone"},
        {"/data/lake/x and /data/lake/y", "(a data file) and (a data file)"},
        {"/data/lake", "(a data file)"},
        {"'/data/lake/a', [/data/lake/b]", "'(a data file)', [(a data file)]"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        snprintf(err.message, sizeof(err.message), "%s", cases[i].message);
        snprintf(err.hint, sizeof(err.hint), "%s", cases[i].message);
        lh_message_hide(&err, "/data/lake");
        lh_message_hide(&err, "");
        assert_string_equal(err.message, cases[i].wanted);
        assert_string_equal(err.hint, cases[i].wanted);
    }
    /* a replacement that is longer than the path, in a message without room */
    struct lh_error err = LH_ERROR_INIT;
    memset(err.message, '/', sizeof(err.message) - 1);
    for (size_t i = 0; i + 4 < sizeof(err.message); i += 3)
        memcpy(err.message + i, "/d ", 3);
    lh_message_hide(&err, "/d");
    assert_true(strlen(err.message) < sizeof(err.message));
    assert_null(strstr(err.message, "/d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_hide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
