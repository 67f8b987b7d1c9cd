#include "base/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "support/cmocka.h"
#include "support/fixture.h"

struct settings {
    char *data_dir;
    char *listen;
    char *url;
    char *level;
    char *title;
    int64_t size;
    int64_t timeout;
    int64_t count;
    bool strict;
};

#define MEMBER(name) offsetof(struct settings, name)
static const struct lh_option options[] = {
    {"", "data_dir", LH_OPTION_PATH, MEMBER(data_dir), "lake-data", 0, 0, NULL, "the data"},
    {"store", "listen", LH_OPTION_ADDRESS, MEMBER(listen), "127.0.0.1:3211", 0, 0, NULL, ""},
    {"store", "url", LH_OPTION_URL, MEMBER(url), "auto", 0, 0, NULL, ""},
    {"store", "title", LH_OPTION_STRING, MEMBER(title), "", 0, 0, NULL, ""},
    {"store", "max_bytes", LH_OPTION_BYTES, MEMBER(size), "5GiB", 1024, INT64_C(1) << 40, NULL, ""},
    {"store", "timeout", LH_OPTION_DURATION, MEMBER(timeout), "60s", 100, 3600000, NULL, ""},
    {"store", "count", LH_OPTION_COUNT, MEMBER(count), "4", 1, 64, NULL, ""},
    {"store", "strict", LH_OPTION_BOOL, MEMBER(strict), "false", 0, 0, NULL, ""},
    {"log", "level", LH_OPTION_CHOICE, MEMBER(level), "info", 0, 0, "debug|info|warn|error", ""},
};
enum { OPTION_COUNT = LH_COUNT(options) };

static char *const no_environment[] = {NULL};

/* Loads from the text of a file, an environment and one flag; each may be NULL. */
static lh_code load(const char *dir, const char *file_text, char *const *environment,
                    const struct lh_config_flag *flag, struct settings *settings,
                    enum lh_config_origin *origins, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_path_in(dir, "lake.toml");
    if (file_text)
        assert_int_equal(lh_write_file_durable(path, file_text, strlen(file_text), 0600, err),
                         LH_OK);
    struct lh_config_source source = {
        .file = file_text ? path : NULL,
        .environment = environment ? environment : no_environment,
        .flags = flag,
        .flag_count = flag ? 1 : 0,
    };
    memset(settings, 0xAA, sizeof(*settings)); /* every member must be filled */
    return lh_config_load(options, OPTION_COUNT, &source, settings, origins, err);
}

LH_TEST(defaults)
{
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    enum lh_config_origin origins[OPTION_COUNT];
    assert_int_equal(load("", NULL, NULL, NULL, &settings, origins, &err), LH_OK);
    assert_string_equal(settings.data_dir, "lake-data");
    assert_string_equal(settings.listen, "127.0.0.1:3211");
    assert_string_equal(settings.url, "auto");
    assert_string_equal(settings.title, "");
    assert_int_equal(settings.size, INT64_C(5) << 30);
    assert_int_equal(settings.timeout, 60000);
    assert_int_equal(settings.count, 4);
    assert_false(settings.strict);
    assert_string_equal(settings.level, "info");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        assert_int_equal(origins[i], LH_FROM_DEFAULT);
    lh_config_free(options, OPTION_COUNT, &settings);
    assert_null(settings.data_dir);
    lh_config_free(options, OPTION_COUNT, &settings);
}

LH_TEST(a_file_of_every_type)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    enum lh_config_origin origins[OPTION_COUNT];
    const char *text = "# a comment\n"
                       "data_dir = \"there\"\n"
                       "store.title = \"dotted \\\"keys\\\" work\"\n"
                       "[store2]\n";
    assert_int_equal(load(dir, text, NULL, NULL, &settings, origins, &err), LH_INVALID_CONFIG);
    text = "data_dir = \"there\"\n"
           "[store]\n"
           "listen = \"[::1]:0\"\n"
           "url = \"http://10.0.0.1:1\"\n"
           "title = 'a # no comment'\n"
           "max_bytes = 4_096\n"
           "timeout = \"5m\"\n"
           "count = 64\n"
           "strict = true\n"
           "[log]\n"
           "level = \"debug\"\n";
    assert_int_equal(load(dir, text, NULL, NULL, &settings, origins, &err), LH_OK);
    LH_AUTO_FREE char *there = lh_path_in(dir, "there");
    assert_string_equal(settings.data_dir, there);
    assert_string_equal(settings.listen, "[::1]:0");
    assert_string_equal(settings.url, "http://10.0.0.1:1");
    assert_string_equal(settings.title, "a # no comment");
    assert_int_equal(settings.size, 4096);
    assert_int_equal(settings.timeout, 300000);
    assert_int_equal(settings.count, 64);
    assert_true(settings.strict);
    assert_string_equal(settings.level, "debug");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        assert_int_equal(origins[i], LH_FROM_FILE);
    lh_config_free(options, OPTION_COUNT, &settings);
}

LH_TEST(paths_start_at_the_file)
{
    static const struct {
        const char *text;
        const char *in_dir; /* NULL: as it stands in `exact` */
        const char *exact;
    } cases[] = {
        {"", "lake-data", NULL}, /* the default, too: writing it out must change nothing */
        {"data_dir = \"lake-data\"", "lake-data", NULL},
        {"data_dir = \"/srv/lake\"", NULL, "/srv/lake"},
        {"data_dir = \"../x\"", "../x", NULL},
    };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct settings settings;
        struct lh_error err = LH_ERROR_INIT;
        assert_int_equal(load(dir, cases[i].text, NULL, NULL, &settings, NULL, &err), LH_OK);
        LH_AUTO_FREE char *in_dir = lh_path_in(dir, cases[i].in_dir ? cases[i].in_dir : "");
        assert_string_equal(settings.data_dir, cases[i].in_dir ? in_dir : cases[i].exact);
        lh_config_free(options, OPTION_COUNT, &settings);
    }
}

LH_TEST(flag_beats_environment_beats_file_beats_default)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    static char variable[] = "LAKEHOUSE_STORE__COUNT=3";
    static char *const environment[] = {variable, NULL};
    const struct lh_config_flag flag = {LH_STR("store"), LH_STR("count"), LH_STR("2")};
    const char *file = "[store]\ncount = 5\n";
    static const struct {
        bool file, environment, flag;
        int64_t count;
        enum lh_config_origin origin;
    } cases[] = {
        {false, false, false, 4, LH_FROM_DEFAULT},    {true, false, false, 5, LH_FROM_FILE},
        {true, true, false, 3, LH_FROM_ENVIRONMENT},  {true, true, true, 2, LH_FROM_FLAG},
        {false, true, true, 2, LH_FROM_FLAG},         {true, false, true, 2, LH_FROM_FLAG},
        {false, true, false, 3, LH_FROM_ENVIRONMENT},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct settings settings;
        struct lh_error err = LH_ERROR_INIT;
        enum lh_config_origin origins[OPTION_COUNT];
        assert_int_equal(load(dir, cases[i].file ? file : NULL,
                              cases[i].environment ? environment : NULL,
                              cases[i].flag ? &flag : NULL, &settings, origins, &err),
                         LH_OK);
        assert_int_equal(settings.count, cases[i].count);
        size_t at = lh_config_find(options, OPTION_COUNT, LH_STR("store"), LH_STR("count"));
        assert_int_equal(origins[at], cases[i].origin);
        lh_config_free(options, OPTION_COUNT, &settings);
    }
}

LH_TEST(mistakes_in_a_file_are_placed_and_explained)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *message, *hint;
    } cases[] = {
        {"[stor]\nlisten = 1\n", 2, 1, "there is no section [stor]", "did you mean \"store\"?"},
        {"[stor]\n", 1, 2, "there is no section [stor]", "did you mean \"store\"?"},
        {"[store]\nlisen = \"x\"\n", 2, 1, "there is no key \"lisen\" in [store]",
         "did you mean \"listen\"?"},
        {"\n\ndatadir = \"x\"\n", 3, 1, "there is no key \"datadir\" at the top level",
         "did you mean \"data_dir\"?"},
        {"[store]\n  count = 65\n", 2, 3, "store.count is \"65\", but it must be between 1 and 64",
         ""},
        {"[store]\ncount = 0\n", 2, 1, "between 1 and 64", ""},
        {"[store]\ncount = -1\n", 2, 1, "between 1 and 64", ""},
        {"[store]\ncount = \"many\"\n", 2, 1, "a whole number", ""},
        {"[store]\ncount = 1.5\n", 2, 1, "count cannot be a number with a fraction", ""},
        {"[store]\ncount = [1]\n", 2, 1, "count cannot be an array", ""},
        {"[store]\ncount = 1979-05-27\n", 2, 1, "count cannot be a date or time", ""},
        {"[store.inner]\ncount = 1\n", 1, 8, "inner cannot be a table", ""},
        {"[[store]]\ncount = 1\n", 1, 3, "store cannot be an array", ""},
        {"[store]\nmax_bytes = \"5XiB\"\n", 2, 1, "a size such as", ""},
        {"[store]\nmax_bytes = \"1KiB\"\n[store]\n", 3, 1, "", ""},
        {"[store]\nmax_bytes = 1023\n", 2, 1, "between 1KiB and 1TiB", ""},
        {"[store]\nmax_bytes = \"9999999TiB\"\n", 2, 1, "a size such as", ""},
        {"[store]\ntimeout = 60\n", 2, 1, "a time such as", ""},
        {"[store]\ntimeout = \"2h\"\n", 2, 1, "between 100ms and 1h", ""},
        {"[store]\nstrict = 1\n", 2, 1, "true or false", ""},
        {"[store]\nlisten = \"3211\"\n", 2, 1, "host:port", ""},
        {"[store]\nlisten = \"h:65536\"\n", 2, 1, "host:port", ""},
        {"[store]\nurl = \"ftp://x\"\n", 2, 1, "http://host:port", ""},
        {"[store]\ntitle = \"a\\u0000b\"\n", 2, 1, "without NUL", ""},
        {"data_dir = \"\"\n", 1, 1, "a path", ""},
        {"[log]\nlevel = \"wran\"\n", 2, 1, "one of debug|info|warn|error",
         "did you mean \"warn\"?"},
        {"[store]\ncount = 1\ncount = 2\n", 3, 0, "count", ""},
        {"[store]\ncount = 99999999999999999999\n", 2, 0, "", ""},
        {"[store]\ntitle = \"a\x01\"\n", 2, 0, "", ""},
        {"[,]\n", 1, 0, "", ""},
        {"[store\n", 1, 0, "", ""},
        {"count\n", 1, 0, "", ""},
    };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct settings settings;
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = load(dir, cases[i].text, NULL, NULL, &settings, NULL, &err);
        assert_int_equal(code, LH_INVALID_CONFIG);
        if (!strstr(err.message, cases[i].message) || strcmp(err.hint, cases[i].hint) != 0)
            fail_msg("%s gives: %s (%s)", cases[i].text, err.message, err.hint);
        if (err.line != cases[i].line || (cases[i].column && err.column != cases[i].column))
            fail_msg("%s gives: %s", cases[i].text, err.message);
        LH_AUTO_FREE char *place =
            lh_asprintf("%s/lake.toml:%u:%u: ", dir, (unsigned)err.line, (unsigned)err.column);
        assert_int_equal(strncmp(err.message, place, strlen(place)), 0);
        assert_null(settings.data_dir); /* freed and zero */
        assert_int_equal(settings.count, 0);
    }
}

LH_TEST(the_first_mistake_is_told)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    /* toml++ sorts by name; the file's order is what people read. */
    const char *text = "[store]\nzzz = 1\n[log]\naaa = 2\n";
    assert_int_equal(load(dir, text, NULL, NULL, &settings, NULL, &err), LH_INVALID_CONFIG);
    assert_int_equal(err.line, 2);
}

LH_TEST(files_that_cannot_be_read)
{
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_config_source source = {.file = "/no/such/file.toml"};
    assert_int_equal(lh_config_load(options, OPTION_COUNT, &source, &settings, NULL, &err),
                     LH_INVALID_CONFIG);
    assert_non_null(strstr(err.message, "/no/such/file.toml"));
    source.file = "/";
    assert_int_equal(lh_config_load(options, OPTION_COUNT, &source, &settings, NULL, &err),
                     LH_INVALID_CONFIG);
}

LH_TEST(environment)
{
    static const struct {
        const char *variable;
        const char *message; /* NULL: fine */
    } cases[] = {
        {"LAKEHOUSE_DATA_DIR=/x", NULL},
        {"LAKEHOUSE_STORE__TITLE=", NULL},
        {"LAKEHOUSE_STORE__TITLE=a=b", NULL},
        {"LAKEHOUSE_LOG__LEVEL=warn", NULL},
        {"LAKEHOUSE_URL=http://x", NULL}, /* no key of ours: the tools use it */
        {"LAKEHOUSE_", NULL},
        {"LAKEHOUSE", NULL},
        {"LAKEHOUSE_=", NULL},
        {"STORE__COUNT=900", NULL},
        {"PATH=/bin", NULL},
        {"", NULL},
        {"LAKEHOUSE_STORE__COUNT=0",
         "LAKEHOUSE_STORE__COUNT: store.count is \"0\", but it must be between 1 and 64"},
        {"LAKEHOUSE_STORE__COUNTS=1", "LAKEHOUSE_STORE__COUNTS: there is no key \"counts\""},
        {"LAKEHOUSE_STOR__COUNT=1", "LAKEHOUSE_STOR__COUNT: there is no section [stor]"},
        {"LAKEHOUSE_DATA_DIR=", "LAKEHOUSE_DATA_DIR: data_dir is \"\""},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_FREE char *variable = lh_strdup(cases[i].variable);
        char *const variables[] = {variable, NULL};
        struct settings settings;
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = load("", NULL, variables, NULL, &settings, NULL, &err);
        assert_int_equal(code, cases[i].message ? LH_INVALID_CONFIG : LH_OK);
        if (cases[i].message)
            assert_int_equal(strncmp(err.message, cases[i].message, strlen(cases[i].message)), 0);
        lh_config_free(options, OPTION_COUNT, &settings);
    }
}

LH_TEST(flags)
{
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_config_flag flag = {LH_STR_NONE, LH_STR("data_dir"), LH_STR("relative")};
    assert_int_equal(load("", NULL, NULL, &flag, &settings, NULL, &err), LH_OK);
    assert_string_equal(settings.data_dir, "relative");
    lh_config_free(options, OPTION_COUNT, &settings);
    flag = (struct lh_config_flag){LH_STR("store"), LH_STR("listn"), LH_STR("x")};
    assert_int_equal(load("", NULL, NULL, &flag, &settings, NULL, &err), LH_INVALID_CONFIG);
    assert_string_equal(err.hint, "did you mean \"listen\"?");
}

LH_TEST(values_format_as_they_would_be_written)
{
    static const struct {
        const char *key, *text, *formatted;
    } cases[] = {
        {"max_bytes", "1024", "1KiB"},
        {"max_bytes", "5GiB", "5GiB"},
        {"max_bytes", "10MB", "10MB"},
        {"max_bytes", "1025", "1025B"},
        {"max_bytes", "1536KiB", "1536KiB"},
        {"max_bytes", "1 mib", "1MiB"},
        {"timeout", "60s", "1m"},
        {"timeout", "90s", "90s"},
        {"timeout", "1500ms", "1500ms"},
        {"timeout", "60m", "1h"},
        {"count", "7", "7"},
        {"strict", "true", "true"},
        {"title", "a b", "a b"},
        {"url", "", ""},
    };
    struct settings settings;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(load("", NULL, NULL, NULL, &settings, NULL, &err), LH_OK);
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        size_t at =
            lh_config_find(options, OPTION_COUNT, LH_STR("store"), lh_str_from(cases[i].key));
        assert_int_equal(lh_config_set(&options[at], lh_str_from(cases[i].text), &settings, &err),
                         LH_OK);
        LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
        lh_config_format(&options[at], &settings, &out);
        assert_true(lh_str_is(lh_buf_str(&out), cases[i].formatted));
        /* What is shown can be written back. */
        assert_int_equal(lh_config_set(&options[at], lh_buf_str(&out), &settings, &err), LH_OK);
    }
    lh_config_free(options, OPTION_COUNT, &settings);
}

LH_TEST(sizes_and_times)
{
    static const struct {
        const char *text;
        int64_t bytes, ms; /* -1: refused */
    } cases[] = {
        {"0", 0, 0},
        {"7", 7, -1},
        {"64KiB", 65536, -1},
        {"1kb", 1000, -1},
        {"2TiB", INT64_C(2) << 40, -1},
        {"5m", -1, 300000},
        {"5 m", -1, 300000},
        {"1d", -1, 86400000},
        {"250ms", -1, 250},
        {"1H", -1, 3600000},
        {"", -1, -1},
        {"KiB", -1, -1},
        {"-1", -1, -1},
        {"1.5GiB", -1, -1},
        {"1 Ki B", -1, -1},
        {"0x10", -1, -1},
        {"8388608TiB", -1, -1},
        {"9223372036854775807", INT64_MAX, -1},
        {"9223372036854775808", -1, -1},
        {"106751991168d", -1, -1},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        int64_t bytes = -1, ms = -1;
        bool is_size = lh_parse_bytes(lh_str_from(cases[i].text), &bytes);
        bool is_time = lh_parse_duration_ms(lh_str_from(cases[i].text), &ms);
        assert_int_equal(is_size, cases[i].bytes >= 0);
        assert_int_equal(is_time, cases[i].ms >= 0);
        assert_true(bytes == cases[i].bytes && ms == cases[i].ms);
    }
}

LH_TEST(addresses)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        unsigned port;
    } cases[] = {
        {"127.0.0.1:3110", "127.0.0.1", 3110},
        {"localhost:0", "localhost", 0},
        {"[::1]:65535", "::1", 65535},
        {"0.0.0.0:1", "0.0.0.0", 1},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"host", NULL, 0},
        {"host:", NULL, 0},
        {"host:65536", NULL, 0},
        {"host:-1", NULL, 0},
        {"host: 1", NULL, 0},
        {"::1:80", NULL, 0},
        {"[::1]", NULL, 0},
        {"[]:1", NULL, 0},
        {"[host]:1", NULL, 0},
        {"a b:1", NULL, 0},
        {"http://h:1", NULL, 0},
        {"a_name_that_is_longer_than_the_room:1", NULL, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        char host[16] = "untouched";
        uint16_t port = 7;
        bool good = lh_parse_address(lh_str_from(cases[i].text), host, sizeof(host), &port);
        assert_int_equal(good, cases[i].host != NULL);
        assert_string_equal(host, good ? cases[i].host : "untouched");
        assert_int_equal(port, good ? cases[i].port : 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(a_file_of_every_type),
        cmocka_unit_test(paths_start_at_the_file),
        cmocka_unit_test(flag_beats_environment_beats_file_beats_default),
        cmocka_unit_test(mistakes_in_a_file_are_placed_and_explained),
        cmocka_unit_test(the_first_mistake_is_told),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(environment),
        cmocka_unit_test(flags),
        cmocka_unit_test(values_format_as_they_would_be_written),
        cmocka_unit_test(sizes_and_times),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
