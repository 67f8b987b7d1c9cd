/*
 * Encodings: text in pieces of every size, and the place of what is no UTF-8.
 */
#include "ingestd/encoding.h"

#include "base/mem.h"
#include "support/cmocka.h"

static const struct {
    enum lh_encoding encoding;
    lh_str bytes;
    const char *text; /* NULL = refused */
    uint64_t line;
} cases[] = {
    {LH_ENCODING_UTF8, {"J\xc3\xb6", 3}, "J\xc3\xb6", 0},
    {LH_ENCODING_LATIN1, {"J\xf6\x80", 3}, "J\xc3\xb6\xc2\x80", 0},
    {LH_ENCODING_WINDOWS1252, {"\x80\xf6\x93", 3}, "\xe2\x82\xac\xc3\xb6\xe2\x80\x9c", 0},
    {LH_ENCODING_UTF16LE, {"\xff\xfeJ\0\xf6\0", 6}, "J\xc3\xb6", 0},
    {LH_ENCODING_UTF16BE, {"\0J\0\xf6", 4}, "J\xc3\xb6", 0},
    {LH_ENCODING_UTF16LE, {"\x3d\xd8\x00\xde", 4}, "\xf0\x9f\x98\x80", 0},
    {LH_ENCODING_UTF16LE, {"\xac\x20", 2}, "\xe2\x82\xac", 0},
    {LH_ENCODING_UTF16LE,
     {"a\0\xff\xfe", 4},
     "a\xef\xbb\xbf",
     0}, /* a mark inside is a character */
    {LH_ENCODING_UTF16LE,
     {"\n\0\x3d\xd8"
      "a\0",
      6},
     NULL,
     2},                                             /* high without low */
    {LH_ENCODING_UTF16LE, {"\x00\xde", 2}, NULL, 1}, /* low without high */
    {LH_ENCODING_UTF16LE, {"a\0b", 3}, NULL, 1},     /* half a unit */
    {LH_ENCODING_UTF16LE, {"\x3d\xd8", 2}, NULL, 1}, /* half a pair at the end */
};

static void test_transcode(void **state)
{
    (void)state;
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        for (size_t piece = 1; piece <= cases[i].bytes.len; piece++) {
            struct lh_transcoder transcoder = LH_TRANSCODER_INIT(cases[i].encoding);
            struct lh_buf out = LH_BUF_INIT(64);
            struct lh_error err = LH_ERROR_INIT;
            lh_code code = LH_OK;
            for (size_t at = 0; code == LH_OK && at < cases[i].bytes.len; at += piece) {
                size_t left = cases[i].bytes.len - at;
                code = lh_transcode(&transcoder, cases[i].bytes.ptr + at,
                                    left < piece ? left : piece, &out, &err);
            }
            if (code == LH_OK)
                code = lh_transcode_finish(&transcoder, &err);
            if (cases[i].text == NULL) {
                assert_int_equal(code, LH_BAD_DATA);
                assert_int_equal(err.line, cases[i].line);
            } else {
                assert_int_equal(code, LH_OK);
                assert_true(lh_str_is(lh_buf_str(&out), cases[i].text));
            }
            lh_buf_deinit(&out);
        }
    }
}

static void test_words(void **state)
{
    (void)state;
    for (int e = LH_ENCODING_AUTO; e <= LH_ENCODING_WINDOWS1252; e++) {
        enum lh_encoding parsed;
        const char *name = lh_encoding_name((enum lh_encoding)e);
        assert_true(lh_encoding_parse(lh_str_from(name), &parsed));
        assert_int_equal(parsed, e);
    }
    enum lh_encoding untouched = LH_ENCODING_LATIN1;
    assert_false(lh_encoding_parse(LH_STR("utf-7"), &untouched));
}

static void test_invalid_utf8(void **state)
{
    (void)state;
    static const struct {
        lh_str text;
        size_t at;
    } texts[] = {
        {{"", 0}, 0},           {{"abc", 3}, 3},
        {{"a\xc3\xb6z", 4}, 4}, {{"a\xe9z", 3}, 1},
        {{"a\xc3", 2}, 2},     /* cut */
        {{"a\xe2\x82", 3}, 3}, /* cut */
        {{"a\xe2\x28", 3}, 1}, /* broken, not cut */
        {{"\xe0\x80", 2}, 0},  /* overlong, though cut */
        {{"\xed\xa0", 2}, 0},  /* a surrogate, though cut */
        {{"\xf4\x90", 2}, 0},  /* beyond U+10FFFF */
        {{"ok\xc0\x80", 4}, 2}, {{"\xf0\x9f\x98\x80!", 5}, 5},
    };
    for (size_t i = 0; i < LH_COUNT(texts); i++)
        assert_int_equal(lh_utf8_invalid_at(texts[i].text), texts[i].at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcode),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_invalid_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
