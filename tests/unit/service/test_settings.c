/* The settings and the command line of all programs. */
#include "support/cmocka.h"

#include "base/mem.h"
#include "service/command_line.h"
#include "service/settings.h"

#include <string.h>

/* ---- settings ---- */

static lh_code load(const struct lh_config_flag *flags, size_t count, char *const *environment,
                    struct lh_settings *ret, struct lh_error *err)
{
    const struct lh_config_source source = {
        .environment = environment, .flags = flags, .flag_count = count};
    return lh_settings_load(&source, ret, NULL, err);
}

static void test_defaults_are_within_their_bounds(void **state)
{
    (void)state;
    struct lh_settings settings;
    struct lh_error err = LH_ERROR_INIT;
    if (load(NULL, 0, NULL, &settings, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(settings.gateway.listen, "127.0.0.1:3110");
    assert_string_equal(settings.gateway.queryd_url, "http://127.0.0.1:3214");
    assert_string_equal(settings.vectord.storaged_url, "http://127.0.0.1:3211");
    assert_int_equal(settings.storaged.max_object_bytes, INT64_C(5) << 30);
    assert_int_equal(settings.http.header_timeout, 10000);
    lh_settings_free(&settings);
}

static void test_urls_follow_listen(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *url;
    } cases[] = {
        {"127.0.0.1:4000", "http://127.0.0.1:4000"}, {"0.0.0.0:4000", "http://127.0.0.1:4000"},
        {"[::]:4000", "http://[::1]:4000"},          {"[::1]:4000", "http://[::1]:4000"},
        {"10.0.0.7:4000", "http://10.0.0.7:4000"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        const struct lh_config_flag flag = {LH_STR("storaged"), LH_STR("listen"),
                                            lh_str_from(cases[i].listen)};
        struct lh_settings settings;
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(load(&flag, 1, NULL, &settings, &err), LH_OK);
        assert_string_equal(settings.catalogd.storaged_url, cases[i].url);
        assert_string_equal(settings.gateway.storaged_url, cases[i].url);
        lh_settings_free(&settings);
    }
}

static void test_given_urls_stay(void **state)
{
    (void)state;
    const struct lh_config_flag flags[] = {
        {LH_STR("vectord"), LH_STR("storaged_url"), LH_STR("")},
        {LH_STR("catalogd"), LH_STR("storaged_url"), LH_STR("http://10.1.2.3:9")},
    };
    struct lh_settings settings;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(load(flags, 2, NULL, &settings, &err), LH_OK);
    assert_string_equal(settings.vectord.storaged_url, "");
    assert_string_equal(settings.catalogd.storaged_url, "http://10.1.2.3:9");
    lh_settings_free(&settings);
}

static void test_environment_chooses_ports(void **state)
{
    (void)state;
    char variable[] = "LAKEHOUSE_STORAGED__LISTEN=127.0.0.1:5001";
    char *const environment[] = {variable, NULL};
    struct lh_settings settings;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(load(NULL, 0, environment, &settings, &err), LH_OK);
    assert_string_equal(settings.ingestd.storaged_url, "http://127.0.0.1:5001");
    lh_settings_free(&settings);
}

static void test_document_has_every_key(void **state)
{
    (void)state;
    LH_AUTO_BUF struct lh_buf page = LH_BUF_INIT(1 << 20);
    lh_settings_document(&page);
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        LH_AUTO_FREE char *row = lh_asprintf("| `%s` | `", lh_settings_options[i].key);
        assert_non_null(strstr(page.data, row));
        assert_true(strlen(lh_settings_options[i].help) > 0);
    }
    assert_non_null(strstr(page.data, "## [storaged]: the object store\n"));
    assert_non_null(strstr(page.data, "| `inline_bytes_max` | `64KiB` | 0B to 1MiB | "));
    assert_non_null(strstr(page.data, "| `durability` | `sync` | sync, async | "));
    assert_non_null(strstr(page.data, "| `result_rows_max` | `0` | 0 to no limit | "));
}

/* ---- the command line ---- */

static lh_code parse(const char *section, const char *const *words, struct lh_command_line *ret,
                     struct lh_error *err)
{
    int count = 0;
    while (words[count] != NULL)
        count++;
    return lh_command_line_parse(section, count, (char *const *)(uintptr_t)words, ret, err);
}

static void check_flag(const struct lh_command_line *line, size_t index, const char *section,
                       const char *key, const char *value)
{
    assert_true(index < line->flag_count);
    assert_true(lh_str_is(line->flags[index].section, section));
    assert_true(lh_str_is(line->flags[index].key, key));
    assert_true(lh_str_is(line->flags[index].value, value));
}

static void test_flags(void **state)
{
    (void)state;
    const char *const words[] = {"-config",
                                 "a.toml",
                                 "--listen=127.0.0.1:0",
                                 "-data",
                                 "/d",
                                 "--max-object-bytes",
                                 "1MiB",
                                 "-http.workers_max=3",
                                 "-insecure",
                                 NULL};
    struct lh_command_line line;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(parse("storaged", words, &line, &err), LH_OK);
    assert_string_equal(line.config_file, "a.toml");
    assert_true(line.insecure);
    assert_false(line.help);
    assert_int_equal(line.flag_count, 4);
    check_flag(&line, 0, "storaged", "listen", "127.0.0.1:0");
    check_flag(&line, 1, "", "data_dir", "/d");
    check_flag(&line, 2, "storaged", "max_object_bytes", "1MiB");
    check_flag(&line, 3, "http", "workers_max", "3");
    lh_command_line_free(&line);
}

static void test_bad_flags(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        const char *message, *hint;
    } cases[] = {
        {{"-max_objct_bytes", "1", NULL}, "there is no flag -max_objct_bytes", "max_object_bytes?"},
        {{"-htp.workers_max=1", NULL}, "there is no flag -htp.workers_max", "-http.workers_max?"},
        {{"-lissten=1", NULL}, "there is no flag -lissten", "did you mean -listen?"},
        {{"-listen", NULL}, "-listen needs a value", ""},
        {{"-help=1", NULL}, "-help takes no value", ""},
        {{"x", NULL}, "'x' is not a flag", ""},
        {{"-", NULL}, "'-' is not a flag", ""},
        {{"--", NULL}, "'--' is not a flag", ""},
        {{"-=1", NULL}, "'-=1' is not a flag", ""},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_command_line line;
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(parse("storaged", cases[i].words, &line, &err), LH_INVALID_CONFIG);
        assert_string_equal(err.message, cases[i].message);
        assert_non_null(strstr(err.hint, cases[i].hint));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_within_their_bounds),
        cmocka_unit_test(test_urls_follow_listen),
        cmocka_unit_test(test_given_urls_stay),
        cmocka_unit_test(test_environment_chooses_ports),
        cmocka_unit_test(test_document_has_every_key),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_bad_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
