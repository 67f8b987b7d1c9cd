/*
 * The supervisor with six small programs in place of the services. This program is linked into a
 * folder under nine names: as "supervisor" it runs the loop, as "storaged" and so on it is a
 * service that says that it listens and is ready, or misbehaves as LH_TEST_<name> tells it. All of
 * them append what happens to one file, whose lines are then compared.
 */
#include "support/cmocka.h"
#include "support/fixture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "service/supervisor.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *const services[] = {"storaged", "catalogd", "vectord",
                                       "ingestd",  "queryd",   "gateway"};

/* ---- all: the file of events ---- */

static void note(const char *word, const char *name)
{
    LH_AUTO_FREE char *line = lh_asprintf("%s %s\n", word, name);
    LH_AUTO_FD int fd =
        open(getenv("LH_TEST_EVENTS"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct lh_error err = LH_ERROR_INIT;
    if (lh_write_all(fd, line, strlen(line), "events", &err) != LH_OK)
        abort();
}

/* ---- as a service ---- */

static void upper(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)toupper((unsigned char)*text);
}

static const char *variable_of(const char *format_head, const char *name, const char *tail)
{
    LH_AUTO_FREE char *variable = lh_asprintf("%s%s%s", format_head, name, tail);
    upper(variable);
    return getenv(variable);
}

/* The first time in this folder? */
static bool first_time(const char *name)
{
    LH_AUTO_FREE char *path = lh_asprintf("%s.%s", getenv("LH_TEST_EVENTS"), name);
    LH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0;
}

static volatile sig_atomic_t told_to_stop;

static void on_term(int signal_number)
{
    (void)signal_number;
    told_to_stop = 1;
}

static void tell(int fd, const char *line)
{
    if (write(fd, line, strlen(line)) < 0)
        abort();
}

static int run_service(const char *name, int argc, char **argv)
{
    const char *behaviour = variable_of("LH_TEST_", name, "");
    if (behaviour == NULL)
        behaviour = "";
    struct sigaction action = {.sa_handler =
                                   strcmp(behaviour, "stubborn") == 0 ? SIG_IGN : on_term};
    sigaction(SIGTERM, &action, NULL);
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    note("start", name);
    const char *store = getenv("LAKEHOUSE_STORAGED__LISTEN");
    LH_AUTO_FREE char *sees =
        lh_asprintf("%s sees %s and %d flags", name, store != NULL ? store : "nothing", argc - 1);
    note("program", sees);
    for (int i = 1; i < argc; i++)
        note("flag", argv[i]);
    if (strcmp(behaviour, "refuse") == 0)
        return 2;
    if (strcmp(behaviour, "fail") == 0 || (strcmp(behaviour, "fail-once") == 0 && first_time(name)))
        return 1;

    const char *listen = variable_of("LAKEHOUSE_", name, "__LISTEN");
    LH_AUTO_FREE char *line =
        lh_asprintf("listening %s\n", listen != NULL ? listen : "127.0.0.1:4242");
    int fd = (int)strtol(getenv("LAKEHOUSE_NOTIFY_FD"), NULL, 10);
    note(line + strlen("listening "), name);
    tell(fd, line);
    tell(fd, "ready\n");
    close(fd);
    if (strcmp(behaviour, "crash-once") == 0 && first_time(name)) {
        lh_sleep_ms(50);
        raise(SIGKILL);
    }
    while (!told_to_stop)
        sigsuspend(&before);
    lh_sleep_ms(20); /* so that a wrong order would be seen */
    note("stop", name);
    return 0;
}

/* ---- as the supervisor ---- */

static void on_event(void *ctx, const struct lh_supervisor_event *event)
{
    (void)ctx;
    const char *name = event->services[event->index].name;
    switch (event->type) {
    case LH_SUPERVISOR_SERVICE_READY:
        note("ready", name);
        return;
    case LH_SUPERVISOR_ALL_READY:
        for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
            if (!event->services[i].ready || event->services[i].pid <= 0)
                abort();
        }
        note("all-ready", "");
        return;
    case LH_SUPERVISOR_CRASHED:
        note("crashed", name);
        return;
    case LH_SUPERVISOR_STOPPING:
        note("stopping", "");
        return;
    }
}

static int run_supervisor(int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_command_line line;
    struct lh_settings settings;
    if (lh_command_line_parse("", argc - 1, argv + 1, &line, &err) != LH_OK)
        return 3;
    const struct lh_config_source source = {
        .environment = environ, .flags = line.flags, .flag_count = line.flag_count};
    if (lh_settings_load(&source, &settings, NULL, &err) != LH_OK)
        return 4;
    const struct lh_supervisor_options options = {
        .settings = &settings, .line = &line, .on_event = on_event};
    lh_code code = lh_supervisor_run(&options, &err);
    lh_settings_free(&settings);
    lh_command_line_free(&line);
    note("end", code == LH_OK ? "ok" : lh_code_word(code));
    return code == LH_OK ? 0 : 1;
}

/* ---- the tests ---- */

struct whole {
    char *dir;
    char *events;
    pid_t pid;
};

static void link_as(const char *dir, const char *name)
{
    LH_AUTO_FREE char *path = lh_path_in(dir, name);
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    if (link(self, path) == 0)
        return;
    /* Another file system. */
    LH_AUTO_FREE char *bytes = NULL;
    struct lh_error err = LH_ERROR_INIT;
    size_t size = 0;
    assert_int_equal(lh_read_file(self, 1 << 30, &bytes, &size, &err), LH_OK);
    assert_int_equal(lh_write_file_durable(path, bytes, size, 0700, &err), LH_OK);
}

static void whole_start(struct whole *whole, char *dir, char *const *argv)
{
    *whole = (struct whole){.dir = dir, .events = lh_path_in(dir, "events")};
    link_as(dir, "supervisor");
    for (size_t i = 0; i < LH_COUNT(services); i++)
        link_as(dir, services[i]);
    setenv("LH_TEST_EVENTS", whole->events, 1);
    LH_AUTO_FREE char *program = lh_path_in(dir, "supervisor");
    whole->pid = fork();
    assert_true(whole->pid >= 0);
    if (whole->pid == 0) {
        execv(program, argv);
        _exit(127);
    }
}

static char *events_of(const struct whole *whole)
{
    struct lh_error err = LH_ERROR_INIT;
    char *text = NULL;
    size_t len = 0;
    if (lh_read_file(whole->events, 1 << 20, &text, &len, &err) != LH_OK)
        return lh_strdup("");
    return text;
}

/* How often the line stands in the file. */
static size_t count_line(const char *text, const char *line)
{
    size_t count = 0;
    lh_str rest = lh_str_from(text), item;
    while (lh_str_next(&rest, '\n', &item))
        count += lh_str_is(item, line);
    return count;
}

static void wait_for_line(const struct whole *whole, const char *line, size_t times)
{
    lh_deadline deadline = lh_deadline_in_ms(30000);
    for (;;) {
        LH_AUTO_FREE char *text = events_of(whole);
        if (count_line(text, line) >= times)
            return;
        if (lh_deadline_passed(deadline))
            fail_msg("'%s' did not come %zu times:\n%s", line, times, text);
        lh_sleep_ms(2);
    }
}

static int whole_end(struct whole *whole)
{
    int status = 0;
    lh_deadline deadline = lh_deadline_in_ms(30000);
    while (waitpid(whole->pid, &status, WNOHANG) == 0) {
        assert_false(lh_deadline_passed(deadline));
        lh_sleep_ms(2);
    }
    free(whole->events);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The place of a line's first occurrence; the line must be there. */
static size_t place(const char *text, const char *line)
{
    LH_AUTO_FREE char *whole_line = lh_asprintf("%s\n", line);
    const char *at = strstr(text, whole_line);
    if (at == NULL)
        fail_msg("no '%s' in:\n%s", line, text);
    return (size_t)(at - text);
}

static void assert_order(const char *text, const char *first, const char *second)
{
    if (place(text, first) >= place(text, second))
        fail_msg("'%s' is not before '%s':\n%s", first, second, text);
}

static char program_name[] = "supervisor";

LH_TEST(test_stages_up_and_down)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "all-ready ", 1);
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "end ok", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 0);
    assert_order(text, "ready storaged", "start catalogd");
    assert_order(text, "ready storaged", "start vectord");
    assert_order(text, "ready catalogd", "start ingestd");
    assert_order(text, "ready vectord", "start queryd");
    assert_order(text, "ready ingestd", "start gateway");
    assert_order(text, "ready queryd", "start gateway");
    assert_order(text, "ready gateway", "all-ready ");
    assert_order(text, "stopping ", "stop gateway");
    assert_order(text, "stop gateway", "stop ingestd");
    assert_order(text, "stop gateway", "stop queryd");
    assert_order(text, "stop ingestd", "stop catalogd");
    assert_order(text, "stop queryd", "stop vectord");
    assert_order(text, "stop catalogd", "stop storaged");
    assert_order(text, "stop vectord", "stop storaged");
    for (size_t i = 0; i < LH_COUNT(services); i++) {
        LH_AUTO_FREE char *line = lh_asprintf("start %s", services[i]);
        assert_int_equal(count_line(text, line), 1);
    }
}

LH_TEST(test_crashed_service_is_started_again)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    setenv("LH_TEST_CATALOGD", "crash-once", 1);
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "ready catalogd", 2);
    wait_for_line(&whole, "all-ready ", 1);
    kill(whole.pid, SIGINT);
    wait_for_line(&whole, "end ok", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 0);
    unsetenv("LH_TEST_CATALOGD");
    assert_int_equal(count_line(text, "crashed catalogd"), 1);
    assert_int_equal(count_line(text, "start catalogd"), 2);
    assert_int_equal(count_line(text, "start storaged"), 1);
    assert_int_equal(count_line(text, "all-ready "), 1);
}

LH_TEST(test_failed_first_start_is_tried_again)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    setenv("LH_TEST_VECTORD", "fail-once", 1);
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "all-ready ", 1);
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "end ok", 1);
    assert_int_equal(whole_end(&whole), 0);
    unsetenv("LH_TEST_VECTORD");
}

LH_TEST(test_service_that_never_starts)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    setenv("LH_TEST_QUERYD", "fail", 1);
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "end unavailable", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 1);
    unsetenv("LH_TEST_QUERYD");
    assert_int_equal(count_line(text, "start queryd"), 5);
    assert_int_equal(count_line(text, "start gateway"), 0);
    assert_order(text, "stop ingestd", "stop storaged"); /* the rest ended in order */
}

LH_TEST(test_refused_configuration_is_final)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    setenv("LH_TEST_STORAGED", "refuse", 1);
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "end invalid_config", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 1);
    unsetenv("LH_TEST_STORAGED");
    assert_int_equal(count_line(text, "start storaged"), 1);
    assert_int_equal(count_line(text, "start catalogd"), 0);
}

LH_TEST(test_second_signal_ends_at_once)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    setenv("LH_TEST_GATEWAY", "stubborn", 1);
    whole_start(&whole, dir, (char *[]){program_name, NULL});
    wait_for_line(&whole, "all-ready ", 1);
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "stopping ", 1);
    lh_mono before = lh_mono_now();
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "end cancelled", 1);
    assert_true(lh_mono_since_ms(before) < 5000);
    assert_int_equal(whole_end(&whole), 1);
    unsetenv("LH_TEST_GATEWAY");
}

/* Ports chosen by the system are told to the ones started later, and kept over a restart. */
LH_TEST(test_chosen_ports)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    char flag[] = "-storaged.listen=127.0.0.1:0";
    setenv("LH_TEST_STORAGED", "crash-once", 1);
    whole_start(&whole, dir, (char *[]){program_name, flag, NULL});
    wait_for_line(&whole, "all-ready ", 1);
    wait_for_line(&whole, "ready storaged", 2);
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "end ok", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 0);
    unsetenv("LH_TEST_STORAGED");
    assert_order(text, "program storaged sees nothing and 1 flags",
                 "program storaged sees 127.0.0.1:4242 and 0 flags");
    place(text, "program gateway sees 127.0.0.1:4242 and 0 flags");
}

LH_TEST(test_flags_are_passed_on)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct whole whole;
    char data[] = "-data=/some/where", level[] = "-log.level", word[] = "warn";
    char listen[] = "-storaged.listen=127.0.0.1:4711", insecure[] = "-insecure";
    whole_start(&whole, dir, (char *[]){program_name, data, level, word, listen, insecure, NULL});
    wait_for_line(&whole, "all-ready ", 1);
    kill(whole.pid, SIGTERM);
    wait_for_line(&whole, "end ok", 1);
    LH_AUTO_FREE char *text = events_of(&whole);
    assert_int_equal(whole_end(&whole), 0);
    static const char *const lines[] = {"flag -data_dir=/some/where", "flag -log.level=warn",
                                        "flag -storaged.listen=127.0.0.1:4711", "flag -insecure"};
    for (size_t i = 0; i < LH_COUNT(lines); i++)
        assert_int_equal(count_line(text, lines[i]), LH_COUNT(services));
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    if (strcmp(name, program_name) == 0)
        return run_supervisor(argc, argv);
    for (size_t i = 0; i < LH_COUNT(services); i++) {
        if (strcmp(name, services[i]) == 0)
            return run_service(name, argc, argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_up_and_down),
        cmocka_unit_test(test_crashed_service_is_started_again),
        cmocka_unit_test(test_failed_first_start_is_tried_again),
        cmocka_unit_test(test_service_that_never_starts),
        cmocka_unit_test(test_refused_configuration_is_final),
        cmocka_unit_test(test_second_signal_ends_at_once),
        cmocka_unit_test(test_chosen_ports),
        cmocka_unit_test(test_flags_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
