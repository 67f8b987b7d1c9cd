#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "support/cmocka.h"
#include "support/fixture.h"

/* The log goes into a file of its own for the length of one test. */
struct capture {
    char *path;
    int fd;
};

static void capture_start(struct capture *capture, const char *dir, enum lh_log_level level)
{
    capture->path = lh_path_in(dir, "log");
    capture->fd = open(capture->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(capture->fd >= 0);
    lh_log_init("tester", level, capture->fd);
}

/* All lines so far, each parsed, as one array. */
static json_t *capture_end(struct capture *capture)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *bytes = NULL;
    size_t len;
    assert_int_equal(lh_read_file(capture->path, 64 << 20, &bytes, &len, &err), LH_OK);
    assert_true(len == 0 || bytes[len - 1] == '\n');
    json_t *lines = json_array();
    lh_str rest = len > 0 ? lh_str_of(bytes, len - 1) : LH_STR_NONE, line;
    while (lh_str_next(&rest, '\n', &line)) {
        json_t *object;
        if (lh_json_parse(line, &object, &err) != LH_OK)
            fail_msg("%.*s: %s", LH_FMT(line), err.message);
        json_array_append_new(lines, object);
    }
    lh_log_init("tester", LH_LOG_INFO, STDERR_FILENO);
    close(capture->fd);
    free(capture->path);
    return lines;
}

static const char *text_of(json_t *lines, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(lines, i), key));
}

LH_TEST(a_line_is_an_object)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_INFO);
    lh_log_set_request_id(LH_STR("req-1"));
    LH_LOG(INFO, "recovered", LH_LOG_STR("index", "docs"), LH_LOG_INT("records", 12),
           LH_LOG_F64("seconds", 0.5), LH_LOG_TEXT("part", lh_str_of("xyz", 2)));
    lh_log_set_request_id(LH_STR_NONE);
    LH_LOG(WARN, "plain");
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_int_equal(json_array_size(lines), 2);
    assert_string_equal(text_of(lines, 0, "level"), "info");
    assert_string_equal(text_of(lines, 0, "service"), "tester");
    assert_string_equal(text_of(lines, 0, "message"), "recovered");
    assert_string_equal(text_of(lines, 0, "request_id"), "req-1");
    assert_string_equal(text_of(lines, 0, "index"), "docs");
    assert_string_equal(text_of(lines, 0, "part"), "xy");
    json_t *first = json_array_get(lines, 0);
    assert_int_equal(json_integer_value(json_object_get(first, "records")), 12);
    assert_true(json_real_value(json_object_get(first, "seconds")) == 0.5);
    lh_time_ms time;
    assert_true(lh_parse_rfc3339(lh_str_from(text_of(lines, 0, "time")), &time));
    assert_string_equal(text_of(lines, 1, "level"), "warn");
    assert_null(text_of(lines, 1, "request_id"));
}

LH_TEST(below_the_level_nothing_is_written)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_WARN);
    int evaluated = 0;
    LH_LOG(DEBUG, "no", LH_LOG_INT("n", ++evaluated));
    LH_LOG(INFO, "no", LH_LOG_INT("n", ++evaluated));
    LH_LOG(ERROR, "yes");
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_fail(&err, LH_BUSY, "x"), LH_BUSY);
    lh_log_error(LH_LOG_INFO, "no", &err);
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_int_equal(json_array_size(lines), 1);
    assert_int_equal(evaluated, 0);
}

LH_TEST(control_bytes_cannot_forge_a_line)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_INFO);
    LH_LOG(INFO, "named", LH_LOG_STR("name", "a\n{\"level\":\"error\"}\x1b[31m\xff\""));
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_int_equal(json_array_size(lines), 1);
    assert_string_equal(text_of(lines, 0, "name"),
                        "a\n{\"level\":\"error\"}\x1b[31m\xef\xbf\xbd\"");
}

LH_TEST(failures_carry_code_and_errno)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_INFO);
    struct lh_error err = LH_ERROR_INIT;
    errno = ENOSPC;
    assert_int_equal(lh_fail_errno(&err, "cannot write x"), LH_STORAGE_FULL);
    lh_log_error(LH_LOG_ERROR, "saving failed", &err);
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_string_equal(text_of(lines, 0, "code"), "storage_full");
    assert_non_null(strstr(text_of(lines, 0, "error"), "cannot write x"));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "errno")),
                     ENOSPC);
}

LH_TEST(long_texts_are_cut_and_long_lines_keep_their_form)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_INFO);
    static char huge[100000];
    memset(huge, 'x', sizeof(huge));
    lh_str text = lh_str_of(huge, sizeof(huge));
    LH_LOG(INFO, "one", LH_LOG_TEXT("text", text));
    LH_LOG(INFO, "many", LH_LOG_TEXT("a", text), LH_LOG_TEXT("b", text), LH_LOG_TEXT("c", text),
           LH_LOG_TEXT("d", text), LH_LOG_TEXT("e", text), LH_LOG_TEXT("f", text),
           LH_LOG_TEXT("g", text), LH_LOG_TEXT("h", text), LH_LOG_TEXT("i", text));
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_int_equal(strlen(text_of(lines, 0, "text")), 2048);
    assert_string_equal(text_of(lines, 1, "message"), "many");
    json_t *second = json_array_get(lines, 1);
    assert_int_equal(json_integer_value(json_object_get(second, "fields_dropped")), 9);
}

LH_TEST(levels_by_name)
{
    enum lh_log_level level = LH_LOG_INFO;
    assert_true(lh_log_level_parse("debug", &level));
    assert_int_equal(level, LH_LOG_DEBUG);
    assert_true(lh_log_level_parse("error", &level));
    assert_int_equal(level, LH_LOG_ERROR);
    assert_false(lh_log_level_parse("Error", &level));
    assert_false(lh_log_level_parse("", &level));
}

enum { WRITERS = 4, LINES_EACH = 500 };

static void *write_lines(void *arg)
{
    const char *name = arg;
    lh_log_set_request_id(lh_str_from(name));
    for (int i = 0; i < LINES_EACH; i++)
        LH_LOG(INFO, "line", LH_LOG_STR("writer", name), LH_LOG_INT("i", i));
    return NULL;
}

LH_TEST(lines_of_threads_never_mix)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct capture capture;
    capture_start(&capture, dir, LH_LOG_INFO);
    static char names[WRITERS][2] = {"a", "b", "c", "d"};
    pthread_t threads[WRITERS];
    struct lh_error err = LH_ERROR_INIT;
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(lh_thread_start(&threads[i], "writer", write_lines, names[i], &err),
                         LH_OK);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    LH_AUTO_JSON json_t *lines = capture_end(&capture);
    assert_int_equal(json_array_size(lines), WRITERS * LINES_EACH);
    for (size_t i = 0; i < WRITERS * LINES_EACH; i++)
        assert_string_equal(text_of(lines, i, "request_id"), text_of(lines, i, "writer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_an_object),
        cmocka_unit_test(below_the_level_nothing_is_written),
        cmocka_unit_test(control_bytes_cannot_forge_a_line),
        cmocka_unit_test(failures_carry_code_and_errno),
        cmocka_unit_test(long_texts_are_cut_and_long_lines_keep_their_form),
        cmocka_unit_test(levels_by_name),
        cmocka_unit_test(lines_of_threads_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
