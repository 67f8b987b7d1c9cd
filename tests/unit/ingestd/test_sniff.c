/*
 * The first look at a file: what each kind of start is taken for.
 */
#include "ingestd/sniff.h"

#include "base/mem.h"
#include "support/cmocka.h"

static lh_code look(lh_str start, const char *content_type, const char *file_name,
                    struct lh_ingest_options *options, struct lh_error *err)
{
    /* A copy of its own, so that a sanitizer sees a read beyond it. */
    char *copy = lh_malloc(start.len > 0 ? start.len : 1);
    if (start.len > 0)
        memcpy(copy, start.ptr, start.len);
    const struct lh_sniff sniff = {
        .start = lh_str_of(copy, start.len),
        .whole = true,
        .content_type = lh_str_from(content_type),
        .file_name = lh_str_from(file_name),
        .columns_max = 5,
    };
    lh_code code = lh_sniff(&sniff, options, err);
    free(copy);
    return code;
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *content_type, *file_name, *start;
        enum lh_ingest_format format;
        lh_code code;
    } cases[] = {
        {"", "", "a,b\n1,2\n", LH_INGEST_CSV, LH_OK},
        {"text/csv; charset=utf-8", "", "a\n", LH_INGEST_CSV, LH_OK},
        {"application/json", "", "[1]", LH_INGEST_JSON, LH_OK},
        {"application/x-ndjson", "", "{}", LH_INGEST_NDJSON, LH_OK},
        {"application/octet-stream", "x.ndjson", "{}", LH_INGEST_NDJSON, LH_OK},
        {"", "x.PARQUET", "xyz", LH_INGEST_PARQUET, LH_OK},
        {"application/x-www-form-urlencoded", "", "a,b\n", LH_INGEST_CSV, LH_OK},
        {"text/csv", "", "PAR1xxxx", LH_INGEST_PARQUET, LH_OK},
        {"", "", " {\"a\":1}\n{\"a\":2}\n", LH_INGEST_NDJSON, LH_OK},
        {"", "", "{\n\"a\":1}\n", LH_INGEST_JSON, LH_OK},
        {"", "", "[ {\"a\":1}]", LH_INGEST_JSON, LH_OK},
        {"", "", "[]", LH_INGEST_JSON, LH_OK},
        {"", "", "[a],b\n", LH_INGEST_CSV, LH_OK},
        {"image/png", "", "a,b\n", LH_INGEST_AUTO, LH_MEDIA_TYPE},
        {"application/xml", "x.csv", "<a/>", LH_INGEST_AUTO, LH_MEDIA_TYPE},
        {"", "", "\x1f\x8b\x08", LH_INGEST_AUTO, LH_MEDIA_TYPE},
        {"text/csv", "", "PK\x03\x04", LH_INGEST_AUTO, LH_MEDIA_TYPE},
        {"", "", "%PDF-1.4", LH_INGEST_AUTO, LH_MEDIA_TYPE},
        {"", "", "", LH_INGEST_AUTO, LH_BAD_DATA},
        {"", "", " \r\n\n", LH_INGEST_AUTO, LH_BAD_DATA},
        {"", "", "\xef\xbb\xbf", LH_INGEST_AUTO, LH_BAD_DATA},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        lh_code code = look(lh_str_from(cases[i].start), cases[i].content_type, cases[i].file_name,
                            &options, &err);
        if (code != cases[i].code || (code == LH_OK && options.format != cases[i].format))
            fail_msg("case %zu (%s): %s, %s", i, cases[i].start, lh_code_word(code), err.message);
        lh_ingest_options_deinit(&options);
    }
}

static void test_binary_is_no_text(void **state)
{
    (void)state;
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    assert_int_equal(look(LH_STR("\x7f"
                                 "ELF\x02\x00\x01\xff\xfe\x80"),
                          "", "", &options, &err),
                     LH_MEDIA_TYPE);
    lh_ingest_options_deinit(&options);
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        lh_str start;
        const char *said; /* ?encoding=, or NULL */
        enum lh_encoding encoding;
        lh_code code;
    } cases[] = {
        {{"a,b\n", 4}, NULL, LH_ENCODING_UTF8, LH_OK},
        {{"\xef\xbb\xbf"
          "a,b\n",
          7},
         "latin-1",
         LH_ENCODING_UTF8,
         LH_OK},
        {{"\xff\xfe"
          "a\0,\0b\0",
          8},
         NULL,
         LH_ENCODING_UTF16LE,
         LH_OK},
        {{"\xfe\xff\0a\0,\0b", 8}, "utf-16le", LH_ENCODING_UTF16BE, LH_OK},
        {{"a\0,\0b\0\n\0", 8}, NULL, LH_ENCODING_AUTO, LH_BAD_DATA},
        {{"a\0,\0b\0\n\0", 8}, "utf-16le", LH_ENCODING_UTF16LE, LH_OK},
        {{"a\nJos\xe9\n", 7}, NULL, LH_ENCODING_AUTO, LH_BAD_DATA},
        {{"a\nJos\xe9\n", 7}, "latin-1", LH_ENCODING_LATIN1, LH_OK},
        {{"a\nJos\xc3\xa9\n", 8}, NULL, LH_ENCODING_UTF8, LH_OK},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        if (cases[i].said != NULL)
            assert_int_equal(lh_ingest_options_set(&options, LH_STR("encoding"),
                                                   lh_str_from(cases[i].said), &err),
                             LH_OK);
        lh_code code = look(cases[i].start, "text/csv", "", &options, &err);
        if (code != cases[i].code || (code == LH_OK && options.encoding != cases[i].encoding))
            fail_msg("case %zu: %s, %s", i, lh_code_word(code), err.message);
        lh_ingest_options_deinit(&options);
    }
}

static void test_latin1_names_line_and_way_out(void **state)
{
    (void)state;
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    assert_int_equal(look(LH_STR("a\nb\nJos\xe9\n"), "", "", &options, &err), LH_BAD_DATA);
    assert_int_equal(err.line, 3);
    assert_non_null(strstr(err.hint, "?encoding=latin-1"));
    lh_ingest_options_deinit(&options);
}

static void test_delimiters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char delimiter; /* 0 = refused */
    } cases[] = {
        {"a,b\n1,2\n", ','},
        {"a;b\n1,5;2\n", ';'},
        {"a\tb\n1\t2\n", '\t'},
        {"a|b\n1|2\n", '|'},
        {"a,b;c\n1;2\n3;4\n", ';'},        /* the records decide between two */
        {"a,b\n1,2\n1,2,3\n", ','},        /* ragged, but comma it is */
        {"\"x,y\";b\n1;2\n", ';'},         /* a separator inside of quotes is none */
        {"name\nBob, the builder\n", ';'}, /* one column */
        {"\n\na;b\n1;2\n", ';'},           /* empty lines before the header */
        {"a,b\n1,\"x\ny\"\n", ','},        /* a record of two lines */
        {"\"a,b\"\n\"1,2\"\n", 0},         /* whole lines in quotes */
        {"a,b,c,d,e,f\n", 0},              /* more than columns_max */
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        lh_code code = look(lh_str_from(cases[i].text), "text/csv", "", &options, &err);
        if ((code == LH_OK) != (cases[i].delimiter != 0) ||
            (code == LH_OK && options.delimiter != cases[i].delimiter))
            fail_msg("%s: %s, '%c'", cases[i].text, lh_code_word(code), options.delimiter);
        lh_ingest_options_deinit(&options);
    }
}

static void test_said_delimiter_stands(void **state)
{
    (void)state;
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    assert_int_equal(lh_ingest_options_set(&options, LH_STR("delimiter"), LH_STR(","), &err),
                     LH_OK);
    assert_int_equal(look(LH_STR("\"a,b\"\n\"1,2\"\n"), "", "", &options, &err), LH_OK);
    assert_int_equal(options.delimiter, ',');
    lh_ingest_options_deinit(&options);
}

/* A start that is cut inside of a character or of quotes says nothing against the file. */
static void test_cut_start(void **state)
{
    (void)state;
    static const char *const starts[] = {"a;b\n1;J\xc3", "a;b\n1;\"open\n2"};
    for (size_t i = 0; i < LH_COUNT(starts); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        const struct lh_sniff sniff = {.start = lh_str_from(starts[i]), .columns_max = 5};
        assert_int_equal(lh_sniff(&sniff, &options, &err), LH_OK);
        assert_int_equal(options.delimiter, ';');
        lh_ingest_options_deinit(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),    cmocka_unit_test(test_binary_is_no_text),
        cmocka_unit_test(test_encodings),  cmocka_unit_test(test_latin1_names_line_and_way_out),
        cmocka_unit_test(test_delimiters), cmocka_unit_test(test_said_delimiter_stands),
        cmocka_unit_test(test_cut_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
