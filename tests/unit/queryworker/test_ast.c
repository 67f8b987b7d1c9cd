#include "queryworker/ast.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_reading(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_ast ast = {0};
    lh_str text =
        LH_STR(" {\"a\": [1, 18446744073709551615, null],\"b\":{\"c\":\"x\"},\"d\":true} ");
    assert_int_equal(lh_ast_parse(text, &ast, &err), LH_OK);
    uint32_t a = lh_ast_member(&ast, 0, "a");
    assert_int_equal(lh_ast_type(&ast, a), LH_AST_ARRAY);
    assert_true(lh_str_is(lh_ast_raw(&ast, a), "[1, 18446744073709551615, null]"));
    uint32_t first = lh_ast_child(&ast, a);
    uint32_t second = lh_ast_next(&ast, first);
    assert_true(lh_str_is(lh_ast_raw(&ast, second), "18446744073709551615"));
    assert_false(lh_ast_is_null(&ast, second));
    assert_true(lh_ast_is_null(&ast, lh_ast_next(&ast, second)));
    assert_int_equal(lh_ast_next(&ast, lh_ast_next(&ast, second)), LH_AST_NONE);
    uint32_t c = lh_ast_member(&ast, lh_ast_member(&ast, 0, "b"), "c");
    assert_true(lh_ast_is(&ast, c, "x"));
    assert_true(lh_str_is(lh_ast_key(&ast, c), "c"));
    assert_int_equal(lh_ast_member(&ast, 0, "nope"), LH_AST_NONE);
    assert_int_equal(lh_ast_member(&ast, c, "nope"), LH_AST_NONE);
    assert_int_equal(lh_ast_member(&ast, LH_AST_NONE, "nope"), LH_AST_NONE);
    assert_true(lh_ast_is_null(&ast, LH_AST_NONE));
    lh_ast_deinit(&ast);
    lh_ast_deinit(&ast);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"\"", ""},
        {"\"a b\"", "a b"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\"", "Aé€"},
        {"\"\\ud834\\udd1e\"", "𝄞"},
        {"\"\\ud834x\"", "\xEF\xBF\xBDx"},
        {"\"\\ud834\\u0041\"", "\xEF\xBF\xBD"
                               "A"},
        {"\"\\uZZZZ\"", "\xEF\xBF\xBD"},
        {"\"é€𝄞\"", "é€𝄞"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_ast ast = {0};
        assert_int_equal(lh_ast_parse(lh_str_from(cases[i].json), &ast, &err), LH_OK);
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
        lh_ast_text(&ast, 0, &out);
        assert_string_equal(out.len > 0 ? out.data : "", cases[i].text);
        lh_ast_deinit(&ast);
    }
}

static void test_broken(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",     " ",          "{",     "}",        "[",         "[1",   "[1,",
        "[,]",  "{\"a\"}",    "{a:1}", "{\"a\":}", "{\"a\":1",  "[1]]", "\"",
        "\"\\", "{\"a\":1,}", "[1 2]", "1 2",      "{\"a\" 1}",
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_ast ast = {0};
        if (lh_ast_parse(lh_str_from(cases[i]), &ast, &err) != LH_INTERNAL)
            fail_msg("%s was read", cases[i]);
        assert_null(ast.nodes);
    }
}

static void test_depth(void **state)
{
    (void)state;
    enum { DEEP = LH_AST_DEPTH_MAX };
    static char text[2 * DEEP + 8];
    struct lh_error err = LH_ERROR_INIT;
    struct lh_ast ast = {0};
    memset(text, '[', DEEP);
    memset(text + DEEP, ']', DEEP);
    assert_int_equal(lh_ast_parse(lh_str_of(text, (size_t)2 * DEEP), &ast, &err), LH_OK);
    lh_ast_deinit(&ast);
    memset(text, '[', DEEP + 2);
    memset(text + DEEP + 2, ']', DEEP + 2);
    assert_int_equal(lh_ast_parse(lh_str_of(text, (size_t)2 * DEEP + 4), &ast, &err),
                     LH_INVALID_SQL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
