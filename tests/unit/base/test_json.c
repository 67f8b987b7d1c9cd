#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "support/cmocka.h"
#include "support/fixture.h"

/* ---- reading ---- */

LH_TEST(parses_documents)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [1, 2.5, \"x\", null, true] ",
                                       "\"text\"",
                                       "12",
                                       "9223372036854775807",
                                       "{\"a\":{\"b\":[]}}",
                                       "-9223372036854775808"};
    for (size_t i = 0; i < LH_COUNT(good); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_JSON json_t *root = NULL;
        assert_int_equal(lh_json_parse(lh_str_from(good[i]), &root, &err), LH_OK);
        assert_non_null(root);
    }
}

LH_TEST(refuses_with_line_and_column)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } cases[] = {
        {"", 1, ""},
        {"{", 1, ""},
        {"{\"a\":1,\n\"a\":2}", 2, "duplicate"},
        {"{\"a\":9223372036854775808}", 1, "integer"},
        {"[1e999]", 1, "overflow"},
        {"[1]x", 1, "end of file"},
        {"[1] [2]", 1, "end of file"},
        {"{\"a\"\n:\n}", 3, ""},
        {"[\"\\u0000\"]", 1, "u0000"},
        {"[\"\xff\"]", 1, "decode byte"},
        {"[01]", 1, ""},
        {"[nan]", 1, ""},
        {"['x']", 1, ""},
        {"[1,]", 1, ""},
        {"// note\n[1]", 1, ""},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        json_t *root = NULL;
        assert_int_equal(lh_json_parse(lh_str_from(cases[i].text), &root, &err), LH_INVALID);
        assert_null(root);
        assert_int_equal(err.line, cases[i].line);
        assert_true(err.column > 0);
        if (!strstr(err.message, cases[i].reason))
            fail_msg("%s: %s", cases[i].text, err.message);
    }
    struct lh_error err = LH_ERROR_INIT;
    json_t *root = NULL;
    assert_int_equal(lh_json_parse(LH_STR_NONE, &root, &err), LH_INVALID);
    assert_int_equal(lh_json_parse(LH_STR("[1]\0"), &root, &err), LH_INVALID);
}

/* The deepest document that is taken, parsed and freed on the smallest stack that we have. */
static void *parse_deepest(void *ctx)
{
    bool *good = ctx;
    char text[257];
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *root = NULL;
    *good = lh_json_parse(lh_str_of(text, 256), &root, &err) == LH_OK;
    return NULL;
}

LH_TEST(nesting_is_bounded)
{
    bool good = false;
    pthread_t thread;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_thread_start(&thread, "parser", parse_deepest, &good, &err), LH_OK);
    pthread_join(thread, NULL);
    assert_true(good);

    char text[100000];
    memset(text, '[', sizeof(text));
    json_t *root = NULL;
    assert_int_equal(lh_json_parse(lh_str_of(text, sizeof(text)), &root, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "nested"));
    /* Brackets in strings are no nesting. */
    memset(text, '[', 1000);
    text[0] = '"';
    text[1] = '\\';
    text[2] = '"';
    text[999] = '"';
    LH_AUTO_JSON json_t *string = NULL;
    assert_int_equal(lh_json_parse(lh_str_of(text, 1000), &string, &err), LH_OK);
}

LH_TEST(members_of_the_right_type)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *root = NULL;
    assert_int_equal(lh_json_parse(LH_STR("{\"s\":\"a\xc3\xa9\",\"i\":-7,\"r\":1.0,\"b\":true,"
                                          "\"n\":null,\"a\":[1]}"),
                                   &root, &err),
                     LH_OK);
    lh_str text = LH_STR_NONE;
    int64_t number = 0;
    bool flag = false;
    json_t *array = NULL;
    assert_int_equal(lh_json_need_str(root, "s", &text, &err), LH_OK);
    assert_true(lh_str_is(text, "a\xc3\xa9"));
    assert_int_equal(lh_json_need_i64(root, "i", &number, &err), LH_OK);
    assert_int_equal(number, -7);
    assert_int_equal(lh_json_opt_bool(root, "b", &flag, &err), LH_OK);
    assert_true(flag);
    assert_int_equal(lh_json_need_array(root, "a", &array, &err), LH_OK);
    assert_int_equal(json_array_size(array), 1);

    /* Absent and null leave the value alone when it is optional, and fail when it is needed. */
    text = LH_STR("old");
    number = 42;
    assert_int_equal(lh_json_opt_str(root, "x", &text, &err), LH_OK);
    assert_int_equal(lh_json_opt_str(root, "n", &text, &err), LH_OK);
    assert_int_equal(lh_json_opt_i64(root, "n", &number, &err), LH_OK);
    assert_int_equal(lh_json_opt_bool(root, "n", &flag, &err), LH_OK);
    assert_true(lh_str_is(text, "old"));
    assert_int_equal(number, 42);
    assert_true(flag);
    assert_int_equal(lh_json_need_str(root, "n", &text, &err), LH_INVALID);
    assert_string_equal(err.message, "\"n\" is missing: it must be a string");
    assert_int_equal(lh_json_need_array(root, "x", &array, &err), LH_INVALID);

    assert_int_equal(lh_json_need_i64(root, "r", &number, &err), LH_INVALID);
    assert_string_equal(err.message, "\"r\" must be an integer, but it is a number with a fraction "
                                     "or exponent");
    assert_int_equal(lh_json_opt_str(root, "i", &text, &err), LH_INVALID);
    assert_int_equal(lh_json_opt_i64(root, "s", &number, &err), LH_INVALID);
    assert_int_equal(lh_json_opt_bool(root, "i", &flag, &err), LH_INVALID);
    assert_int_equal(lh_json_need_array(root, "s", &array, &err), LH_INVALID);
    assert_int_equal(lh_json_need_str(array, "s", &text, &err), LH_INVALID);
    assert_int_equal(lh_json_need_str(NULL, "s", &text, &err), LH_INVALID);
}

LH_TEST(unknown_members_are_named)
{
    static const char *const keys[] = {"dimension", "metric"};
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *good = NULL, *bad = NULL, *list = NULL;
    assert_int_equal(lh_json_parse(LH_STR("{\"metric\":1}"), &good, &err), LH_OK);
    assert_int_equal(lh_json_only(good, keys, LH_COUNT(keys), &err), LH_OK);
    assert_int_equal(lh_json_parse(LH_STR("{\"metrik\":1}"), &bad, &err), LH_OK);
    assert_int_equal(lh_json_only(bad, keys, LH_COUNT(keys), &err), LH_INVALID);
    assert_string_equal(err.message, "\"metrik\" is not known here");
    assert_string_equal(err.hint, "did you mean \"metric\"?");
    assert_int_equal(lh_json_parse(LH_STR("[]"), &list, &err), LH_OK);
    assert_int_equal(lh_json_only(list, keys, LH_COUNT(keys), &err), LH_INVALID);
    assert_int_equal(lh_json_only(NULL, keys, LH_COUNT(keys), &err), LH_INVALID);
}

/* ---- writing ---- */

LH_TEST(writes_every_kind_of_value)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&out);
    lh_json_object(&json);
    lh_json_kcstr(&json, "text", "a\"b");
    lh_json_kcstr(&json, "none", NULL);
    lh_json_kstr(&json, "part", LH_STR("xyz"));
    lh_json_ki64(&json, "low", INT64_MIN);
    lh_json_ku64(&json, "high", UINT64_MAX);
    lh_json_kf64(&json, "third", 1.5);
    lh_json_kf64(&json, "nan", (double)NAN);
    lh_json_kbool(&json, "yes", true);
    lh_json_key(&json, "list");
    lh_json_array(&json);
    lh_json_f32(&json, 0.1F);
    lh_json_f32(&json, HUGE_VALF);
    lh_json_null(&json);
    lh_json_bool(&json, false);
    lh_json_raw(&json, LH_STR("{\"raw\":1}"));
    lh_json_array(&json);
    lh_json_array_end(&json);
    lh_json_object(&json);
    lh_json_object_end(&json);
    lh_json_array_end(&json);
    lh_json_object_end(&json);
    assert_int_equal(json.depth, 0);
    assert_string_equal(out.data,
                        "{\"text\":\"a\\\"b\",\"none\":null,\"part\":\"xyz\","
                        "\"low\":-9223372036854775808,\"high\":18446744073709551615,\"third\":1.5,"
                        "\"nan\":null,\"yes\":true,"
                        "\"list\":[0.1,null,null,false,{\"raw\":1},[],{}]}");
}

LH_TEST(flushing_between_calls_changes_nothing)
{
    LH_AUTO_BUF struct lh_buf whole = LH_BUF_INIT(4096), part = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&part);
    lh_json_array(&json);
    for (int i = 0; i < 3; i++) {
        lh_json_object(&json);
        lh_buf_append_str(&whole, lh_buf_str(&part));
        lh_buf_reset(&part);
        lh_json_key(&json, "i");
        lh_buf_append_str(&whole, lh_buf_str(&part));
        lh_buf_reset(&part);
        lh_json_i64(&json, i);
        lh_json_object_end(&json);
    }
    lh_json_array_end(&json);
    lh_buf_append_str(&whole, lh_buf_str(&part));
    assert_string_equal(whole.data, "[{\"i\":0},{\"i\":1},{\"i\":2}]");
}

LH_TEST(sixty_four_levels)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&out);
    for (int i = 0; i < 64; i++)
        lh_json_array(&json);
    lh_json_i64(&json, 1);
    lh_json_i64(&json, 2);
    for (int i = 0; i < 64; i++)
        lh_json_array_end(&json);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *root = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&out), &root, &err), LH_OK);
}

LH_TEST(escapes)
{
    static const struct {
        const char *text, *escaped;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\"\\/", "\\\"\\\\/"},
        {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\x7f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
        lh_json_escape(&out, lh_str_from(cases[i].text));
        assert_true(lh_str_is(lh_buf_str(&out), cases[i].escaped));
    }
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
    lh_json_escape(&out, LH_STR("a\0b"));
    assert_string_equal(out.data, "a\\u0000b");
}

/* Whatever the bytes, what is written is a string that the reader takes. */
LH_TEST(any_bytes_come_back_as_valid_text)
{
    struct lh_random random = lh_random_start();
    for (int i = 0; i < 20000; i++) {
        char bytes[64];
        size_t len = lh_random_below(&random, sizeof(bytes));
        lh_random_fill(&random, bytes, len);
        for (size_t j = 0; j < len; j++) {
            if (i % 2 == 0)
                bytes[j] &= 0x7F;
            if (bytes[j] == '\0') /* the reader refuses NUL in strings */
                bytes[j] = ' ';
        }
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1000);
        struct lh_json json = LH_JSON_TO(&out);
        lh_json_str(&json, lh_str_of(bytes, len));
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_JSON json_t *root = NULL;
        assert_int_equal(lh_json_parse(lh_buf_str(&out), &root, &err), LH_OK);
        lh_str back = lh_str_of(json_string_value(root), json_string_length(root));
        if (lh_utf8_valid(lh_str_of(bytes, len)))
            assert_true(lh_str_eq(back, lh_str_of(bytes, len)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_documents),
        cmocka_unit_test(refuses_with_line_and_column),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(members_of_the_right_type),
        cmocka_unit_test(unknown_members_are_named),
        cmocka_unit_test(writes_every_kind_of_value),
        cmocka_unit_test(flushing_between_calls_changes_nothing),
        cmocka_unit_test(sixty_four_levels),
        cmocka_unit_test(escapes),
        cmocka_unit_test(any_bytes_come_back_as_valid_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
