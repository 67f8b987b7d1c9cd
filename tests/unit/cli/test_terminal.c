#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "support/cmocka.h"

LH_TEST(numbers_for_people)
{
    char text[LH_HUMAN_SIZE];
    assert_string_equal(lh_human_count(0, text), "0");
    assert_string_equal(lh_human_count(999, text), "999");
    assert_string_equal(lh_human_count(1000, text), "1,000");
    assert_string_equal(lh_human_count(3066766, text), "3,066,766");
    assert_string_equal(lh_human_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(lh_human_bytes(0, text), "0 bytes");
    assert_string_equal(lh_human_bytes(999, text), "999 bytes");
    assert_string_equal(lh_human_bytes(1000, text), "1.0 KB");
    assert_string_equal(lh_human_bytes(48100000, text), "48.1 MB");
    assert_string_equal(lh_human_bytes(999700000, text), "1.0 GB");
    assert_string_equal(lh_human_bytes(412000000, text), "412 MB");
    assert_string_equal(lh_human_bytes(UINT64_MAX, text), "18.4 EB");
    assert_string_equal(lh_human_seconds(0.0414, text), "41 ms");
    assert_string_equal(lh_human_seconds(0.9999, text), "1.0 s");
    assert_string_equal(lh_human_seconds(59.9, text), "59.9 s");
    assert_string_equal(lh_human_seconds(59.97, text), "1:00 min");
    assert_string_equal(lh_human_seconds(3661, text), "61:01 min");
}

LH_TEST(widths_and_cuts)
{
    static const struct {
        const char *text;
        size_t columns, width, used;
        const char *shown;
    } cases[] = {
        {"", 5, 0, 0, ""},
        {"abc", 3, 3, 3, "abc"},
        {"abcd", 3, 4, 3, "ab…"},
        {"日本語", 6, 6, 6, "日本語"},
        {"日本語", 5, 6, 5, "日本…"},
        {"日本語", 4, 6, 3, "日…"}, /* half a character does not fit */
        {"e\xcc\x81", 1, 1, 1, "e\xcc\x81"},
        {"a\tb\x1b[31m", 20, 8, 8, "a·b·[31m"}, /* data does not steer the terminal */
        {"a\xff\xfe", 9, 3, 3, "a··"},
        {"x\xc2\x9by", 9, 3, 3, "x·y"}, /* CSI as one character of Latin 1 */
    };
    lh_terminal_init();
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
        lh_str text = lh_str_from(cases[i].text);
        assert_int_equal(lh_display_width(text), cases[i].width);
        assert_int_equal(lh_put_clipped(&out, text, cases[i].columns), cases[i].used);
        assert_string_equal(lh_buf_str(&out).ptr, cases[i].shown);
    }
}

LH_TEST(bar_fills_in_eighths)
{
    static const struct {
        uint64_t done, total;
        const char *bar;
    } cases[] = {
        {0, 100, "░░░░"}, {50, 100, "██░░"}, {100, 100, "████"}, {200, 100, "████"},
        {0, 0, "░░░░"},   {1, 32, "▏░░░"},   {31, 32, "███▉"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
        lh_progress_bar(&out, cases[i].done, cases[i].total, 4);
        assert_string_equal(out.data, cases[i].bar);
    }
}

/* The table as text. */
static char *print(struct lh_table *table, size_t width)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct lh_style plain = lh_style_of(out, LH_COLOR_NEVER);
    lh_table_print(table, out, width, &plain);
    fclose(out);
    return text;
}

LH_TEST(table_in_boxes)
{
    struct lh_table *table = lh_table_new(40);
    lh_table_add_column(table, LH_STR("vendor"), LH_STR("VARCHAR"));
    lh_table_add_column(table, LH_STR("n"), LH_STR("BIGINT"));
    lh_table_add_row(table, LH_STR("[\"CMT\",1803112]"));
    lh_table_add_row(table, LH_STR("[null,null]"));
    lh_table_add_row(table, LH_STR("[\"日本\",-1]"));
    LH_AUTO_FREE char *text = print(table, 80);
    assert_string_equal(text, "┌─────────┬─────────┐\n"
                              "│ vendor  │       n │\n"
                              "│ VARCHAR │  BIGINT │\n"
                              "├─────────┼─────────┤\n"
                              "│ CMT     │ 1803112 │\n"
                              "│ NULL    │    NULL │\n"
                              "│ 日本    │      -1 │\n"
                              "└─────────┴─────────┘\n");
    lh_table_free(table);
}

LH_TEST(table_fits_the_terminal)
{
    struct lh_table *table = lh_table_new(40);
    lh_table_add_column(table, LH_STR("id"), LH_STR("BIGINT"));
    lh_table_add_column(table, LH_STR("text"), LH_STR("VARCHAR"));
    lh_table_add_row(table, LH_STR("[7,\"a text that is longer than there is room\"]"));
    LH_AUTO_FREE char *narrow = print(table, 30);
    assert_string_equal(narrow, "┌────────┬───────────────────┐\n"
                                "│     id │ text              │\n"
                                "│ BIGINT │ VARCHAR           │\n"
                                "├────────┼───────────────────┤\n"
                                "│      7 │ a text that is l… │\n"
                                "└────────┴───────────────────┘\n");
    for (int i = 0; i < 20; i++)
        lh_table_add_column(table, LH_STR("more_of_it"), LH_STR("VARCHAR"));
    LH_AUTO_FREE char *cut = print(table, 40);
    assert_non_null(strstr(cut, "4 of 22 columns fit"));
    lh_table_free(table);
}

LH_TEST(long_tables_show_both_ends)
{
    for (int rows = 0; rows < 20; rows++) {
        struct lh_table *table = lh_table_new(6);
        lh_table_add_column(table, LH_STR("i"), LH_STR("BIGINT"));
        for (int i = 0; i < rows; i++) {
            LH_AUTO_FREE char *row = lh_asprintf("[%d]", 100 + i);
            lh_table_add_row(table, lh_str_from(row));
        }
        LH_AUTO_FREE char *text = print(table, 80);
        assert_int_equal(lh_table_row_count(table), rows);
        assert_int_equal(strstr(text, "·") != NULL, rows > 6);
        for (int i = 0; i < rows; i++) {
            LH_AUTO_FREE char *cell = lh_asprintf(" %d ", 100 + i);
            bool shown = rows <= 6 || i < 3 || i >= rows - 3;
            assert_int_equal(strstr(text, cell) != NULL, shown);
        }
        const char *at = text; /* in order */
        for (int i = 0; i < rows; i++) {
            LH_AUTO_FREE char *cell = lh_asprintf(" %d ", 100 + i);
            const char *found = strstr(text, cell);
            assert_true(!found || found > at);
            at = found ? found : at;
        }
        lh_table_free(table);
    }
}

LH_TEST(colour_by_flag_and_environment)
{
    static const struct {
        enum lh_color color;
        const char *no_color, *force;
        bool colored;
    } cases[] = {
        {LH_COLOR_ALWAYS, "1", NULL, true}, {LH_COLOR_NEVER, NULL, "1", false},
        {LH_COLOR_AUTO, NULL, NULL, false}, /* a file is no terminal */
        {LH_COLOR_AUTO, NULL, "1", true},   {LH_COLOR_AUTO, "1", "1", false},
        {LH_COLOR_AUTO, "", "0", false},
    };
    FILE *file = tmpfile();
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        unsetenv("NO_COLOR");
        unsetenv("CLICOLOR_FORCE");
        if (cases[i].no_color)
            setenv("NO_COLOR", cases[i].no_color, 1);
        if (cases[i].force)
            setenv("CLICOLOR_FORCE", cases[i].force, 1);
        struct lh_style style = lh_style_of(file, cases[i].color);
        assert_int_equal(style.bold[0] != '\0', cases[i].colored);
    }
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_for_people),
        cmocka_unit_test(widths_and_cuts),
        cmocka_unit_test(bar_fills_in_eighths),
        cmocka_unit_test(table_in_boxes),
        cmocka_unit_test(table_fits_the_terminal),
        cmocka_unit_test(long_tables_show_both_ends),
        cmocka_unit_test(colour_by_flag_and_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
