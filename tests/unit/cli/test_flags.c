#include "cli/cli.h"

#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/demo.h"
#include "cli/ingest.h"
#include "support/cmocka.h"

enum { WORDS_MAX = 8 };

struct values {
    const char *file;
    bool json;
    int64_t rows;
};

/* Parses words ended by NULL. */
static lh_code parse(const char *const *words, struct lh_cli *cli, struct values *values,
                     struct lh_cli_arguments *arguments, struct lh_error *err)
{
    const struct lh_cli_flag flags[] = {
        {"file", 'f', LH_CLI_TEXT, &values->file, "FILE", ""},
        {"json", 0, LH_CLI_SWITCH, &values->json, NULL, ""},
        {"rows", 'n', LH_CLI_COUNT, &values->rows, "N", ""},
    };
    char *argv[WORDS_MAX + 1];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc]; /* which the parser does not change */
    *cli = (struct lh_cli){.command = "sql"};
    *values = (struct values){0};
    return lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, arguments, err);
}

LH_TEST(flags_anywhere_and_in_every_form)
{
    struct lh_cli cli;
    struct values values;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_cli_arguments arguments = {0};
    const char *const words[] = {"one",  "--file",         "a.sql", "-json", "two",
                                 "-n=5", "--url=http://x", "-",     NULL};
    assert_int_equal(parse(words, &cli, &values, &arguments, &err), LH_OK);
    assert_string_equal(values.file, "a.sql");
    assert_true(values.json);
    assert_int_equal(values.rows, 5);
    assert_string_equal(cli.url_flag, "http://x");
    assert_int_equal(arguments.count, 3);
    assert_string_equal(arguments.words[0], "one");
    assert_string_equal(arguments.words[2], "-");
    assert_false(arguments.help);
    lh_cli_arguments_free(&arguments);

    const char *const ended[] = {"-f", "x", "--", "--json", "-h", NULL};
    assert_int_equal(parse(ended, &cli, &values, &arguments, &err), LH_OK);
    assert_false(values.json);
    assert_int_equal(arguments.count, 2);
    lh_cli_arguments_free(&arguments);

    const char *const helped[] = {"x", "--help", NULL};
    assert_int_equal(parse(helped, &cli, &values, &arguments, &err), LH_OK);
    assert_true(arguments.help);
    lh_cli_arguments_free(&arguments);
}

LH_TEST(mistakes_are_explained)
{
    static const struct {
        const char *words[3];
        const char *message, *hint;
    } cases[] = {
        {{"--fiel", "x"}, "no flag --fiel", "did you mean --file?"},
        {{"--zzzzzz"}, "no flag --zzzzzz", "lakehouse help sql lists the flags"},
        {{"--file"}, "--file needs a value", ""},
        {{"--json=1"}, "--json takes no value", ""},
        {{"--rows", "0"}, "a number from 1 on", ""},
        {{"--rows", "many"}, "a number from 1 on", ""},
        {{"--color", "blue"}, "auto, always or never", ""},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_cli cli;
        struct values values;
        struct lh_error err = LH_ERROR_INIT;
        struct lh_cli_arguments arguments = {0};
        assert_int_equal(parse(cases[i].words, &cli, &values, &arguments, &err), LH_INVALID);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_string_equal(err.hint, cases[i].hint);
        assert_null(arguments.words);
    }
}

LH_TEST(exit_codes)
{
    static const struct {
        lh_code code;
        int exit_code;
    } cases[] = {
        {LH_OK, 0},          {LH_INVALID_SQL, 1},          {LH_BAD_DATA, 1},
        {LH_INTERNAL, 1},    {LH_INVALID_CONFIG, 2},       {LH_NOT_FOUND, 3},
        {LH_EXISTS, 4},      {LH_FINGERPRINT_CONFLICT, 4}, {LH_PRECONDITION, 4},
        {LH_FORBIDDEN, 5},   {LH_UNAVAILABLE, 6},          {LH_QUERY_TIMEOUT, 124},
        {LH_CANCELLED, 130},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++)
        assert_int_equal(lh_cli_exit_code(cases[i].code), cases[i].exit_code);
}

LH_TEST(datasets_named_after_files)
{
    static const char *const cases[][2] = {
        {"trips.csv", "trips"},
        {"/data/in/trips.csv.gz", "trips"},
        {"2024 sales.csv", "_2024_sales"},
        {"-x.csv", "_-x"},
        {"Ümläut.csv", "__ml__ut"},
        {"no_ending", "no_ending"},
        {".hidden", ""},
        {"a-b_c.ndjson", "a-b_c"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_FREE char *name = lh_dataset_name_of(cases[i][0]);
        assert_string_equal(name, cases[i][1]);
    }
}

LH_TEST(answers_that_are_errors)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        lh_client_fail(
            400,
            LH_STR("{\"code\":\"invalid_sql\",\"detail\":\"no column foo\",\"hint\":\"did "
                   "you mean bar?\",\"line\":2,\"column\":8,\"excerpt\":\"SELECT foo\\n     "
                   "  ^\",\"status\":400}"),
            &err),
        LH_INVALID_SQL);
    assert_string_equal(err.message, "no column foo");
    assert_string_equal(err.hint, "did you mean bar?");
    assert_string_equal(err.excerpt, "SELECT foo\n       ^");
    assert_int_equal(err.line, 2);
    assert_int_equal(lh_client_fail(500,
                                    LH_STR("{\"code\":\"internal\",\"title\":\"x\",\"request_id\":"
                                           "\"r-1\"}"),
                                    &err),
                     LH_INTERNAL);
    assert_non_null(strstr(err.message, "request r-1"));
    assert_int_equal(lh_client_fail(404, LH_STR("<html>"), &err), LH_NOT_FOUND);
    assert_int_equal(lh_client_fail(503, LH_STR_NONE, &err), LH_UNAVAILABLE);
}

LH_TEST(demo_phrases_differ_and_vectors_have_length_one)
{
    char first[LH_DEMO_PHRASE_MAX], other[LH_DEMO_PHRASE_MAX];
    for (size_t i = 0; i < LH_DEMO_PHRASES; i += 50) {
        lh_demo_phrase(i, first);
        for (size_t j = i + 1; j < LH_DEMO_PHRASES; j++) {
            lh_demo_phrase(j, other);
            assert_string_not_equal(first, other);
        }
        float vector[LH_DEMO_DIMENSION], square = 0;
        lh_demo_embed(first, vector);
        for (size_t k = 0; k < LH_DEMO_DIMENSION; k++)
            square += vector[k] * vector[k];
        assert_true(square > 0.999F && square < 1.001F);
    }
    float empty[LH_DEMO_DIMENSION];
    lh_demo_embed("", empty);
    assert_true(empty[0] == 1.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_anywhere_and_in_every_form),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(datasets_named_after_files),
        cmocka_unit_test(answers_that_are_errors),
        cmocka_unit_test(demo_phrases_differ_and_vectors_have_length_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
