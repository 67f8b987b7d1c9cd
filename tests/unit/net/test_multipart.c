/*
 * multipart/form-data: every form is fed whole and in pieces of every size, and must come out the
 * same.
 */
#include "net/multipart.h"

#include "base/mem.h"
#include "support/cmocka.h"

/* What came out, as text: [name|filename|type]content; */
struct seen {
    struct lh_buf text;
    bool open;
};

static lh_code on_part(void *ctx, const struct lh_multipart_part *part, struct lh_error *err)
{
    (void)err;
    struct seen *seen = ctx;
    assert_false(seen->open);
    seen->open = true;
    lh_buf_printf(&seen->text, "[%.*s|%.*s|%.*s]", LH_FMT(part->name), LH_FMT(part->filename),
                  LH_FMT(part->content_type));
    return LH_OK;
}

static lh_code on_data(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)err;
    struct seen *seen = ctx;
    assert_true(seen->open);
    assert_true(len > 0);
    lh_buf_append(&seen->text, bytes, len);
    return LH_OK;
}

static lh_code on_end(void *ctx, struct lh_error *err)
{
    (void)err;
    struct seen *seen = ctx;
    assert_true(seen->open);
    seen->open = false;
    lh_buf_append_char(&seen->text, ';');
    return LH_OK;
}

static lh_code parse(const char *content_type, lh_str body, size_t piece, struct seen *seen,
                     struct lh_error *err)
{
    const struct lh_multipart_sink sink = {
        .ctx = seen, .on_part = on_part, .on_data = on_data, .on_end = on_end};
    struct lh_multipart form = {0};
    lh_code code = lh_multipart_init(&form, lh_str_from(content_type), &sink, err);
    for (size_t i = 0; code == LH_OK && i < body.len; i += piece) {
        /* A copy of its own for each piece, so that a sanitizer sees a read beyond it. */
        size_t len = body.len - i < piece ? body.len - i : piece;
        char *copy = lh_strndup(body.ptr + i, len);
        code = lh_multipart_feed(&form, copy, len, err);
        free(copy);
    }
    if (code == LH_OK)
        code = lh_multipart_finish(&form, err);
    lh_multipart_deinit(&form);
    return code;
}

#define PART(name, rest, content)                                                                  \
    "--xYz\r\nContent-Disposition: form-data; name=\"" name "\"" rest "\r\n\r\n" content "\r\n"

static const struct {
    const char *what;
    lh_str body;
    const char *want; /* NULL: refused with `code` */
    lh_code code;
} forms[] = {
    {"one field", LH_STR(PART("a", "", "1") "--xYz--\r\n"), "[a||]1;", LH_OK},
    {"a file",
     LH_STR(PART("file", "; filename=\"t.csv\"\r\nContent-Type: text/csv",
                 "a,b\r\n1,2\r\n") "--xYz--"),
     "[file|t.csv|text/csv]a,b\r\n1,2\r\n;", LH_OK},
    {"two parts", LH_STR(PART("a", "", "1") PART("b", "", "2") "--xYz--"), "[a||]1;[b||]2;", LH_OK},
    {"empty content", LH_STR(PART("a", "", "") "--xYz--"), "[a||];", LH_OK},
    {"no content at all", LH_STR("--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n--xYz--"),
     "[a||];", LH_OK},
    {"no part at all", LH_STR("--xYz--\r\n"), "", LH_OK},
    {"almost a delimiter", LH_STR(PART("a", "", "\r\n--xY\r\r\n--xYx--xYz\r\n-") "--xYz--"),
     "[a||]\r\n--xY\r\r\n--xYx--xYz\r\n-;", LH_OK},
    {"content begins like a delimiter", LH_STR(PART("a", "", "--xY!") "--xYz--"), "[a||]--xY!;",
     LH_OK},
    {"content begins with line ends", LH_STR(PART("a", "", "\r\n\r\nx") "--xYz--"),
     "[a||]\r\n\r\nx;", LH_OK},
    {"preamble, padding, epilogue",
     LH_STR(
         "hello\r\n--xYz \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xYz--\r\nbye"),
     "[a||]1;", LH_OK},
    {"escapes in names",
     LH_STR(PART("a\\\"b", "; filename=\"c:\\dir\\x\\\\y.csv\"", "1") "--xYz--"),
     "[a\"b|c:\\dir\\x\\y.csv|]1;", LH_OK},
    {"header names without case, other headers",
     LH_STR(
         "--xYz\r\nX-Y: z\r\ncontent-disposition:form-data;NAME=a ; other=1\r\n\r\n1\r\n--xYz--"),
     "[a||]1;", LH_OK},
    {"a semicolon inside quotes", LH_STR(PART("a", "; filename=\"x;y=z.csv\"", "1") "--xYz--"),
     "[a|x;y=z.csv|]1;", LH_OK},
    {"nothing", LH_STR(""), NULL, LH_INCOMPLETE_BODY},
    {"cut in the content", LH_STR("--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n1"), NULL,
     LH_INCOMPLETE_BODY},
    {"cut before the closing dashes", LH_STR(PART("a", "", "1") "--xYz-"), NULL,
     LH_INCOMPLETE_BODY},
    {"no disposition", LH_STR("--xYz\r\nContent-Type: a/b\r\n\r\n1\r\n--xYz--"), NULL, LH_INVALID},
    {"no header", LH_STR("--xYz\r\n\r\n1\r\n--xYz--"), NULL, LH_INVALID},
    {"two dispositions",
     LH_STR("--xYz\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; "
            "name=b\r\n\r\n1\r\n--xYz--"),
     NULL, LH_INVALID},
    {"not form-data", LH_STR("--xYz\r\nContent-Disposition: attachment; name=a\r\n\r\n--xYz--"),
     NULL, LH_INVALID},
    {"no name", LH_STR("--xYz\r\nContent-Disposition: form-data\r\n\r\n--xYz--"), NULL, LH_INVALID},
    {"open quote", LH_STR("--xYz\r\nContent-Disposition: form-data; name=\"a\r\n\r\n--xYz--"), NULL,
     LH_INVALID},
    {"boundary without a line end", LH_STR("--xYzABC\r\n\r\n"), NULL, LH_INVALID},
    {"bare line feeds", LH_STR("--xYz\nContent-Disposition: form-data; name=a\n\n1\n--xYz--"), NULL,
     LH_INVALID},
    {"a NUL in a header", LH_STR("--xYz\r\nContent-Disposition: form-data; name=\"a\0b\"\r\n\r\n"),
     NULL, LH_INVALID},
    {"a name that is no UTF-8", LH_STR(PART("\xff", "", "1") "--xYz--"), NULL, LH_INVALID},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t f = 0; f < LH_COUNT(forms); f++) {
        for (size_t piece = 1; piece <= forms[f].body.len + 1; piece++) {
            struct seen seen = {.text = LH_BUF_INIT(4096)};
            struct lh_error err = LH_ERROR_INIT;
            lh_code code =
                parse("multipart/form-data; boundary=xYz", forms[f].body, piece, &seen, &err);
            if (code != forms[f].code)
                fail_msg("%s, pieces of %zu: %s (%s)", forms[f].what, piece, lh_code_word(code),
                         err.message);
            if (forms[f].want != NULL) {
                lh_buf_append_char(&seen.text, '\0');
                assert_string_equal(seen.text.data, forms[f].want);
            }
            lh_buf_deinit(&seen.text);
        }
    }
}

static void test_boundaries(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool ok;
    } cases[] = {
        {"multipart/form-data; boundary=a", true},
        {"Multipart/Form-Data ; charset=utf-8; BOUNDARY=\"a b\"", true},
        {"multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", true},
        {"multipart/form-data", false},
        {"multipart/form-data; boundary=", false},
        {"multipart/form-data; boundary=\"a", false},
        {"multipart/form-data; boundary=\"a \"", false},
        {"multipart/form-data; boundary=a\xc3\xa4", false},
        {"multipart/form-data; "
         "boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
         true},
        {"multipart/form-data; "
         "boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
         false},
        {"multipart/mixed; boundary=a", false},
        {"text/csv", false},
        {"", false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        const struct lh_multipart_sink sink = {
            .on_part = on_part, .on_data = on_data, .on_end = on_end};
        struct lh_multipart form = {0};
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = lh_multipart_init(&form, lh_str_from(cases[i].type), &sink, &err);
        if ((code == LH_OK) != cases[i].ok)
            fail_msg("%s: %s", cases[i].type, lh_code_word(code));
        lh_multipart_deinit(&form);
    }
}

/* Neither many parts nor endless header lines take more than the bounds say. */
static void test_bounds(void **state)
{
    (void)state;
    struct lh_buf body = LH_BUF_INIT(1 << 20);
    struct seen seen = {.text = LH_BUF_INIT(1 << 16)};
    struct lh_error err = LH_ERROR_INIT;
    for (int i = 0; i <= LH_MULTIPART_PARTS_MAX; i++)
        lh_buf_append_cstr(&body, PART("a", "", "1"));
    assert_int_equal(
        parse("multipart/form-data; boundary=xYz", lh_buf_str(&body), 1000, &seen, &err),
        LH_TOO_LARGE);
    lh_buf_reset(&body);
    lh_buf_append_cstr(&body, "--xYz\r\nX: ");
    for (int i = 0; i <= LH_MULTIPART_HEADER_MAX; i++)
        lh_buf_append_char(&body, 'x');
    seen.open = false;
    assert_int_equal(
        parse("multipart/form-data; boundary=xYz", lh_buf_str(&body), 1000, &seen, &err),
        LH_TOO_LARGE);
    lh_buf_deinit(&body);
    lh_buf_deinit(&seen.text);
}

static lh_code refuse(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)ctx;
    (void)bytes;
    (void)len;
    return lh_fail(err, LH_STORAGE_FULL, "no room");
}

static void test_sink_failure_ends_it(void **state)
{
    (void)state;
    struct seen seen = {.text = LH_BUF_INIT(4096)};
    const struct lh_multipart_sink sink = {
        .ctx = &seen, .on_part = on_part, .on_data = refuse, .on_end = on_end};
    struct lh_multipart form = {0};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        lh_multipart_init(&form, LH_STR("multipart/form-data; boundary=xYz"), &sink, &err), LH_OK);
    lh_str body = LH_STR(PART("a", "", "1") "--xYz--");
    assert_int_equal(lh_multipart_feed(&form, body.ptr, body.len, &err), LH_STORAGE_FULL);
    lh_multipart_deinit(&form);
    lh_buf_deinit(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_sink_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
