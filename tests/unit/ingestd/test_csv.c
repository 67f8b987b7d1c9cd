/*
 * The CSV scanner: every text is scanned whole and through windows of every size, with the same
 * result.
 */
#include "ingestd/csv.h"

#include "base/buf.h"
#include "base/mem.h"
#include "support/cmocka.h"

enum { FIELDS_MAX = 8 };

/* Records as text: line:[a][b]LF ... and what ended it. */
static void scan(lh_str text, const struct lh_csv_dialect *dialect, size_t window,
                 struct lh_buf *out)
{
    static const char *const newlines[] = {"", "LF", "CRLF", "CR"};
    static const char *const ends[] = {"", "more", "end", "open quote", "after quote", "too many"};
    struct lh_csv_field fields[FIELDS_MAX];
    struct lh_csv csv;
    struct lh_csv_record record;
    enum lh_csv_result result;
    size_t shown = window < text.len ? window : text.len;
    lh_csv_init(&csv, dialect, fields, FIELDS_MAX);
    lh_csv_refill(&csv, lh_str_of(text.ptr, shown), shown == text.len);
    for (;;) {
        result = lh_csv_next(&csv, &record);
        if (result == LH_CSV_RECORD) {
            lh_buf_printf(out, "%llu:", (unsigned long long)record.line);
            for (size_t i = 0; i < record.count; i++) {
                lh_buf_append_char(out, record.fields[i].quoted ? '(' : '[');
                lh_csv_unescape(dialect, &record.fields[i], out);
                lh_buf_append_char(out, record.fields[i].quoted ? ')' : ']');
            }
            lh_buf_printf(out, "%s ", newlines[record.newline]);
        } else if (result == LH_CSV_MORE) {
            size_t done = (size_t)(csv.at - text.ptr);
            shown = shown + window < text.len ? shown + window : text.len;
            lh_csv_refill(&csv, lh_str_of(text.ptr + done, shown - done), shown == text.len);
        } else {
            lh_buf_append_cstr(out, ends[result]);
            if (result != LH_CSV_END)
                lh_buf_printf(out, " %llu", (unsigned long long)record.line);
            return;
        }
    }
}

static const struct {
    const char *text;
    const char *want;
    struct lh_csv_dialect dialect;
} cases[] = {
    {"", "end", {',', '"', '"'}},
    {"a,b\n1,2\n", "1:[a][b]LF 2:[1][2]LF end", {',', '"', '"'}},
    {"a,b\r\n1,2", "1:[a][b]CRLF 2:[1][2] end", {',', '"', '"'}},
    {"a\rb\r", "1:[a]CR 2:[b]CR end", {',', '"', '"'}},
    {"\n\n", "1:[]LF 2:[]LF end", {',', '"', '"'}},
    {",\n", "1:[][]LF end", {',', '"', '"'}},
    {"a,", "1:[a][] end", {',', '"', '"'}},
    {"\"a\",\"b\"\n", "1:(a)(b)LF end", {',', '"', '"'}},
    {"\"a\"\"b\",\"\"\n", "1:(a\"b)()LF end", {',', '"', '"'}},
    {"\"a\nb\r\nc\",d\ne\n", "1:(a\nb\r\nc)[d]LF 4:[e]LF end", {',', '"', '"'}},
    {"a\"b,c\"\n", "1:[a\"b][c\"]LF end", {',', '"', '"'}},
    {" \"a,b\" ,c\n", "1:(a,b)[c]LF end", {',', '"', '"'}},
    {" a ,b\n", "1:[ a ][b]LF end", {',', '"', '"'}},
    {"\"a\"x,b\n", "after quote 1", {',', '"', '"'}},
    {"a\n\"b\nc", "1:[a]LF open quote 2", {',', '"', '"'}},
    {"'a,b',\"c\"\n", "1:(a,b)[\"c\"]LF end", {',', '\'', '\''}},
    {"\"a\\\"b\\\\\",c\n", "1:(a\"b\\)[c]LF end", {',', '"', '\\'}},
    {"\"a\",b\n", "1:[\"a\"][b]LF end", {',', 0, 0}},
    {"a b \"c\"\n", "1:[a][b](c)LF end", {' ', '"', '"'}},
    {"1,2,3,4,5,6,7,8\n", "1:[1][2][3][4][5][6][7][8]LF end", {',', '"', '"'}},
    {"1,2,3,4,5,6,7,8,9\n", "too many 1", {',', '"', '"'}},
    {"a field that is longer than sixteen bytes,and another one of that kind\n",
     "1:[a field that is longer than sixteen bytes][and another one of that kind]LF end",
     {',', '"', '"'}},
};

static void test_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str text = lh_str_from(cases[i].text);
        for (size_t window = 1; window <= text.len + 1; window++) {
            struct lh_buf out = LH_BUF_INIT(4096);
            scan(text, &cases[i].dialect, window, &out);
            lh_buf_append_char(&out, '\0');
            if (strcmp(out.data, cases[i].want) != 0)
                fail_msg("case %zu, window %zu: %s, not %s", i, window, out.data, cases[i].want);
            lh_buf_deinit(&out);
        }
    }
}

static void test_blank(void **state)
{
    (void)state;
    struct lh_csv_field field = {.len = 0};
    struct lh_csv_record record = {.fields = &field, .count = 1};
    assert_true(lh_csv_is_blank(&record));
    field.quoted = true;
    assert_false(lh_csv_is_blank(&record));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
