/*
 * Options: from text, to canonical text and back; names of datasets; the content id.
 */
#include "ingestd/options.h"

#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"

static lh_code set(struct lh_ingest_options *options, const char *name, const char *value,
                   struct lh_error *err)
{
    return lh_ingest_options_set(options, lh_str_from(name), lh_str_from(value), err);
}

static char *canonical(const struct lh_ingest_options *options)
{
    struct lh_buf text = LH_BUF_INIT(1 << 16);
    struct lh_json json = LH_JSON_TO(&text);
    lh_ingest_options_write(options, &json);
    return lh_buf_take(&text);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        lh_code code;
    } cases[] = {
        {"dataset", "orders", LH_OK},
        {"dataset", "", LH_INVALID_NAME},
        {"dataset", "a/b", LH_INVALID_NAME},
        {"mode", "append", LH_OK},
        {"mode", "REPLACE", LH_OK},
        {"mode", "upsert", LH_INVALID},
        {"format", "tsv", LH_OK},
        {"format", "jsonl", LH_OK},
        {"format", "xml", LH_INVALID},
        {"encoding", "Latin-1", LH_OK},
        {"encoding", "ebcdic", LH_INVALID},
        {"header", "auto", LH_OK},
        {"header", "false", LH_OK},
        {"header", "perhaps", LH_INVALID},
        {"delimiter", ";", LH_OK},
        {"delimiter", "tab", LH_OK},
        {"delimiter", "\t", LH_OK},
        {"delimiter", "", LH_INVALID},
        {"delimiter", "::", LH_INVALID},
        {"delimiter", "\xc3\xa4", LH_INVALID},
        {"delimiter", "\n", LH_INVALID},
        {"quote", "", LH_OK},
        {"quote", "none", LH_OK},
        {"quote", "'", LH_OK},
        {"quote", "ab", LH_INVALID},
        {"escape", "\\", LH_OK},
        {"decimal_separator", ",", LH_OK},
        {"decimal_separator", ";", LH_INVALID},
        {"strict_mode", "false", LH_OK},
        {"strict_mode", "no", LH_INVALID},
        {"null", "NA", LH_OK},
        {"null", "\xff", LH_INVALID},
        {"date_format", "%d/%m/%Y", LH_OK},
        {"timestamp_format", "%d/%m/%Y %H:%M", LH_OK},
        {"date_format", "%-d.%-m.%Y", LH_OK},
        {"date_format", "", LH_INVALID},
        {"date_format", "%", LH_INVALID},
        {"date_format", "%-", LH_INVALID},
        {"date_format", "%Q", LH_INVALID},
        {"date_format", "dd/mm", LH_INVALID},
        {"date_format", "100%%", LH_INVALID},
        {"type.a", "int", LH_OK},
        {"type.a", "DECIMAL(10, 2)", LH_OK},
        {"type.a", "text[]", LH_OK},
        {"type.a", "DECIMAL(39,2)", LH_INVALID},
        {"type.a", "DECIMAL(2,3)", LH_INVALID},
        {"type.a", "BIGINT); DROP TABLE x", LH_INVALID},
        {"type.", "BIGINT", LH_INVALID},
        {"delimeter", ";", LH_INVALID},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        lh_code code = set(&options, cases[i].name, cases[i].value, &err);
        if (code != cases[i].code)
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, lh_code_word(code));
        assert_true(code == LH_OK || err.message[0] != '\0');
        lh_ingest_options_deinit(&options);
    }
}

static void test_that_go_together(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        lh_code code;
    } cases[] = {
        {"delimiter", ",", LH_OK},    {"delimiter", "\"", LH_INVALID}, {"quote", ",", LH_INVALID},
        {"escape", ",", LH_INVALID},  {"null", "NA", LH_OK},           {"null", "a,b", LH_INVALID},
        {"null", "\"\"", LH_INVALID}, {"quote", "none", LH_OK},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_ingest_options options;
        struct lh_error err = LH_ERROR_INIT;
        lh_ingest_options_init(&options);
        options.format = LH_INGEST_CSV;
        assert_int_equal(set(&options, cases[i].name, cases[i].value, &err), LH_OK);
        assert_int_equal(lh_ingest_options_check(&options, &err), cases[i].code);
        lh_ingest_options_deinit(&options);
    }
}

static void test_misspelt_parameter_is_named(void **state)
{
    (void)state;
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    assert_int_equal(set(&options, "delimeter", ";", &err), LH_INVALID);
    assert_non_null(strstr(err.hint, "delimiter"));
    char longer[LH_INGEST_VALUE_MAX + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(set(&options, "null", longer, &err), LH_INVALID);
    lh_ingest_options_deinit(&options);
}

static void test_types(void **state)
{
    (void)state;
    static const char *const said[][2] = {
        {"b", "numeric(10,2)"}, {"a", "int"}, {"c", "timestamptz"}, {"a", "TEXT"}, {"d", "real[]"},
    };
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    options.format = LH_INGEST_PARQUET;
    for (size_t i = 0; i < LH_COUNT(said); i++) {
        char name[16];
        snprintf(name, sizeof(name), "type.%s", said[i][0]);
        assert_int_equal(set(&options, name, said[i][1], &err), LH_OK);
    }
    char *text = canonical(&options);
    assert_string_equal(text, "{\"format\":\"parquet\",\"types\":{\"a\":\"VARCHAR\",\"b\":"
                              "\"DECIMAL(10,2)\",\"c\":\"TIMESTAMP WITH TIME ZONE\","
                              "\"d\":\"FLOAT[]\"}}");
    free(text);
    lh_ingest_options_deinit(&options);
}

/* What is written reads back as the same text, for every kind of value. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const said[][2] = {
        {"format", "csv"},    {"delimiter", "tab"},         {"quote", ""},
        {"escape", "\\"},     {"encoding", "windows-1252"}, {"header", "false"},
        {"null", ""},         {"date_format", "%d\"%m"},    {"timestamp_format", "%S"},
        {"strict_mode", "0"}, {"decimal_separator", ","},   {"type.a \"b\" 'c'", "date"},
    };
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    lh_ingest_options_init(&options);
    for (size_t i = 0; i < LH_COUNT(said); i++)
        assert_int_equal(set(&options, said[i][0], said[i][1], &err), LH_OK);
    char *text = canonical(&options);
    json_t *root = NULL;
    struct lh_ingest_options again;
    assert_int_equal(lh_json_parse(lh_str_from(text), &root, &err), LH_OK);
    assert_int_equal(lh_ingest_options_read(root, &again, &err), LH_OK);
    char *text_again = canonical(&again);
    assert_string_equal(text, text_again);
    json_decref(root);
    free(text);
    free(text_again);
    lh_ingest_options_deinit(&options);
    lh_ingest_options_deinit(&again);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical; /* NULL = refused */
    } names[] = {
        {"orders", "orders"},
        {"main.orders", "orders"},
        {"sales.orders", "sales.orders"},
        {"_a-b9", "_a-b9"},
        {"9a", NULL},
        {"-a", NULL},
        {"a.b.c", NULL},
        {".a", NULL},
        {"a.", NULL},
        {"a b", NULL},
        {"\xc3\xa4", NULL},
        {"a/../b", NULL},
    };
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        char out[LH_INGEST_NAME_SIZE];
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = lh_ingest_name_parse(lh_str_from(names[i].text), out, &err);
        assert_int_equal(code, names[i].canonical != NULL ? LH_OK : LH_INVALID_NAME);
        if (code == LH_OK)
            assert_string_equal(out, names[i].canonical);
    }
    char longest[130];
    char out[LH_INGEST_NAME_SIZE];
    struct lh_error err = LH_ERROR_INIT;
    memset(longest, 'x', 129);
    longest[129] = '\0';
    assert_int_equal(lh_ingest_name_parse(lh_str_of(longest, 128), out, &err), LH_OK);
    assert_int_equal(lh_ingest_name_parse(lh_str_of(longest, 129), out, &err), LH_INVALID_NAME);
}

static void test_names_from_files(void **state)
{
    (void)state;
    static const struct {
        const char *file, *name; /* NULL = nothing usable */
    } files[] = {
        {"orders.csv", "orders"},
        {"in/2024 sales (final).csv", "_2024_sales_final"},
        {"C:\\data\\a.b.csv", "a_b"},
        {"J\xc3\xbcrgen.csv", "J_rgen"},
        {".csv", NULL},
        {"", NULL},
        {"___.csv", NULL},
        {"-x", "_x"},
    };
    for (size_t i = 0; i < LH_COUNT(files); i++) {
        char out[LH_INGEST_NAME_SIZE];
        bool usable = lh_ingest_name_from_file(lh_str_from(files[i].file), out);
        if (usable != (files[i].name != NULL))
            fail_msg("%s: %s", files[i].file, usable ? out : "nothing");
        if (!usable)
            continue;
        char parsed[LH_INGEST_NAME_SIZE];
        struct lh_error err = LH_ERROR_INIT;
        assert_string_equal(out, files[i].name);
        assert_int_equal(lh_ingest_name_parse(lh_str_from(out), parsed, &err), LH_OK);
    }
}

static void content_id(const char *bytes, const struct lh_ingest_options *options,
                       char out[LH_CONTENT_ID_SIZE])
{
    struct lh_digest *digest = lh_digest_new(LH_DIGEST_SHA256);
    lh_digest_update(digest, bytes, strlen(bytes));
    lh_ingest_content_id(digest, options, out);
    lh_digest_free(digest);
}

/* Neither the dataset nor the mode is part of it; every option that changes the rows is. */
static void test_content_id(void **state)
{
    (void)state;
    struct lh_ingest_options options;
    struct lh_error err = LH_ERROR_INIT;
    char first[LH_CONTENT_ID_SIZE];
    char other[LH_CONTENT_ID_SIZE];
    lh_ingest_options_init(&options);
    options.format = LH_INGEST_CSV;
    content_id("a,b\n", &options, first);
    assert_int_equal(strlen(first), 64);
    assert_int_equal(set(&options, "dataset", "x", &err), LH_OK);
    assert_int_equal(set(&options, "mode", "append", &err), LH_OK);
    content_id("a,b\n", &options, other);
    assert_string_equal(first, other);
    content_id("a,b\n1", &options, other);
    assert_string_not_equal(first, other);
    assert_int_equal(set(&options, "delimiter", ";", &err), LH_OK);
    content_id("a,b\n", &options, other);
    assert_string_not_equal(first, other);
    lh_ingest_options_deinit(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_that_go_together),
        cmocka_unit_test(test_misspelt_parameter_is_named),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_from_files),
        cmocka_unit_test(test_content_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
