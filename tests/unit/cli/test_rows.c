#include "cli/rows.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "support/cmocka.h"

static lh_code join_rows(void *ctx, lh_str row, struct lh_error *err)
{
    (void)err;
    lh_buf_append_str(ctx, row);
    lh_buf_append_char(ctx, '\n');
    return LH_OK;
}

/* Feeds the text in pieces of `step` bytes. */
static lh_code read_all(const char *text, size_t step, struct lh_buf *rows_out, struct lh_buf *rest,
                        struct lh_error *err)
{
    struct lh_rows rows;
    lh_rows_init(&rows, join_rows, rows_out);
    lh_code code = LH_OK;
    size_t len = strlen(text);
    for (size_t i = 0; i < len && code == LH_OK; i += step)
        code = lh_rows_feed(&rows, text + i, len - i < step ? len - i : step, err);
    lh_str document;
    if (code == LH_OK)
        code = lh_rows_end(&rows, &document, err);
    if (code == LH_OK)
        lh_buf_append_str(rest, document);
    lh_rows_deinit(&rows);
    return code;
}

LH_TEST(rows_come_one_by_one_whatever_the_pieces)
{
    static const struct {
        const char *text, *rows, *rest;
    } cases[] = {
        {"{\"columns\":[{\"name\":\"a\"}],\"rows\":[[1],[2]],\"row_count\":2}\n", "[1]\n[2]\n",
         "{\"columns\":[{\"name\":\"a\"}],\"rows\":[],\"row_count\":2}\n"},
        {"{\"rows\":[]}", "", "{\"rows\":[]}"},
        {"{\"rows\":[[\"],[\",\"\\\"]\\\\\"],[{\"a\":[1,[2]]},null]],\"z\":[[1]]}",
         "[\"],[\",\"\\\"]\\\\\"]\n[{\"a\":[1,[2]]},null]\n", "{\"rows\":[],\"z\":[[1]]}"},
        {"{\"columns\":[{\"name\":\"\\\"rows\\\":[\"}],\"rows\":[[\"x\"]]}", "[\"x\"]\n",
         "{\"columns\":[{\"name\":\"\\\"rows\\\":[\"}],\"rows\":[]}"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        for (size_t step = 1; step < 30; step++) {
            LH_AUTO_BUF struct lh_buf rows = LH_BUF_INIT(1000), rest = LH_BUF_INIT(1000);
            struct lh_error err = LH_ERROR_INIT;
            assert_int_equal(read_all(cases[i].text, step, &rows, &rest, &err), LH_OK);
            assert_true(lh_str_is(lh_buf_str(&rows), cases[i].rows));
            assert_true(lh_str_is(lh_buf_str(&rest), cases[i].rest));
        }
    }
}

LH_TEST(what_breaks_off_is_no_result)
{
    static const char text[] = "{\"columns\":[],\"rows\":[[\"a\"],[\"b\"]],\"n\":1}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        LH_AUTO_FREE char *part = lh_strndup(text, len);
        LH_AUTO_BUF struct lh_buf rows = LH_BUF_INIT(1000), rest = LH_BUF_INIT(1000);
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(read_all(part, 7, &rows, &rest, &err), LH_BAD_UPSTREAM);
    }
    LH_AUTO_BUF struct lh_buf rows = LH_BUF_INIT(1000), rest = LH_BUF_INIT(1000);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(read_all("]", 1, &rows, &rest, &err), LH_BAD_UPSTREAM);
}

LH_TEST(values_of_a_row)
{
    lh_str rest = LH_STR("1,\"a,b\",[1,2],{\"k\":\"},\"},null,\"\",-2.5e3"), value;
    static const char *const values[] = {"1",    "\"a,b\"", "[1,2]", "{\"k\":\"},\"}",
                                         "null", "\"\"",    "-2.5e3"};
    static const char *const texts[] = {"1",    "a,b", "[1,2]", "{\"k\":\"},\"}",
                                        "null", "",    "-2.5e3"};
    size_t count = 0;
    while (lh_row_next(&rest, &value)) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(100);
        assert_true(lh_str_is(value, values[count]));
        lh_row_value_text(value, &text);
        assert_true(lh_str_is(lh_buf_str(&text), texts[count]));
        count++;
    }
    assert_int_equal(count, LH_COUNT(values));
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(100);
    lh_row_value_text(LH_STR("\"a\\n\\u00e9\\\"\""), &text);
    assert_true(lh_str_is(lh_buf_str(&text), "a\n\xc3\xa9\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_one_by_one_whatever_the_pieces),
        cmocka_unit_test(what_breaks_off_is_no_result),
        cmocka_unit_test(values_of_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
