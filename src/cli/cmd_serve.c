/*
 * lakehouse serve: the supervisor, with a few lines for whoever watches. With --demo the
 * demonstration runs on a thread of its own as soon as all services are ready.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/client.h"
#include "cli/demo.h"
#include "cli/terminal.h"
#include "service/service.h"
#include "service/supervisor.h"

struct serving {
    struct lh_cli *cli;
    const struct lh_settings *settings;
    bool wants_demo;
    int64_t demo_rows;
    bool demo_started;
    pthread_t demo;
    struct lh_cli demo_cli; /* of the demo's thread */
    char *url;              /* of the gateway */
};

/* ---- what is shown ---- */

static const char *address_of(const struct lh_supervised *services, const char *name)
{
    for (size_t i = 0; i < LH_SUPERVISED_COUNT; i++) {
        if (strcmp(services[i].name, name) == 0)
            return services[i].address;
    }
    return "";
}

static void show_ready(const struct serving *serving, const struct lh_supervisor_event *event)
{
    struct lh_style style = lh_style_of(stdout, serving->cli->color);
    char time[LH_HUMAN_SIZE];
    printf("%slakehouse %s%s  data %s  ready in %s\n", style.bold, lh_version, style.off,
           serving->settings->data_dir, lh_human_seconds((double)event->elapsed_ms / 1000, time));
    const char *scheme = serving->settings->http.tls_certificate[0] != '\0' ? "https" : "http";
    printf("  console  %s%s://%s/%s\n", style.cyan, scheme, address_of(event->services, "gateway"),
           style.off);
    printf("  api      %s%s://%s/v1%s\n", style.cyan, scheme,
           address_of(event->services, "gateway"), style.off);
    printf("  storage  %s%s://%s%s\n", style.cyan, scheme, address_of(event->services, "storaged"),
           style.off);
    fflush(stdout);
}

static void show_crash(const struct serving *serving, const struct lh_supervisor_event *event)
{
    struct lh_style style = lh_style_of(stderr, serving->cli->color);
    int status = event->wait_status;
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof(how), "ended with code %d", WEXITSTATUS(status));
    fprintf(stderr, "%swarning:%s %s %s; it is started again in %lld ms\n", style.yellow, style.off,
            event->services[event->index].name, how, (long long)event->pause_ms);
}

/* ---- the demonstration ---- */

static void *run_demo(void *arg)
{
    struct serving *serving = arg;
    struct lh_cli *cli = &serving->demo_cli;
    struct lh_error err = LH_ERROR_INIT;
    putchar('\n');
    lh_code code = lh_demo_run(cli, serving->demo_rows, &err);
    if (code != LH_OK && code != LH_CANCELLED)
        lh_cli_failed(cli, &err);
    else if (code == LH_OK && lh_is_terminal(stdout))
        printf("\nCtrl-C stops everything; the data stays.\n");
    fflush(stdout);
    lh_client_close(cli);
    return NULL;
}

static void start_demo(struct serving *serving, const struct lh_supervisor_event *event)
{
    serving->url = lh_settings_url(serving->settings, address_of(event->services, "gateway"));
    serving->demo_cli = (struct lh_cli){
        .command = "demo",
        .url_flag = serving->url,
        .color = serving->cli->color,
    };
    struct lh_error err = LH_ERROR_INIT;
    if (lh_thread_start(&serving->demo, "demo", run_demo, serving, &err) == LH_OK)
        serving->demo_started = true;
    else
        lh_cli_failed(serving->cli, &err);
}

/* ---- the supervisor ---- */

static void on_event(void *ctx, const struct lh_supervisor_event *event)
{
    struct serving *serving = ctx;
    switch (event->type) {
    case LH_SUPERVISOR_SERVICE_READY:
        return;
    case LH_SUPERVISOR_ALL_READY:
        show_ready(serving, event);
        if (serving->wants_demo)
            start_demo(serving, event);
        return;
    case LH_SUPERVISOR_CRASHED:
        show_crash(serving, event);
        return;
    case LH_SUPERVISOR_STOPPING:
        lh_cli_interrupt(); /* the demo, if it still runs */
        return;
    }
}

/* The flags that are ours, taken out of argv; the rest is for the services. */
static lh_code take_own_flags(struct serving *serving, int *argc, char **argv, struct lh_error *err)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        const char *word = argv[i][0] == '-' && argv[i][1] == '-' ? argv[i] + 1 : argv[i];
        if (strcmp(word, "-demo") == 0) {
            serving->wants_demo = true;
        } else if (strcmp(word, "-demo-rows") == 0 && i + 1 < *argc) {
            if (!lh_str_to_i64(lh_str_from(argv[++i]), &serving->demo_rows) ||
                serving->demo_rows < 1)
                return lh_fail(err, LH_INVALID, "--demo-rows takes a number from 1 on");
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return LH_OK;
}

static int print_help(void)
{
    printf("lakehouse serve [FLAGS]\n\n"
           "start all services and watch over them, until SIGTERM or Ctrl-C\n\n"
           "  -demo                                when ready, show what it can do\n"
           "  -demo-rows N                         rows of the demonstration (1000000)\n");
    lh_command_line_help("", stdout);
    printf("\nEvery key of every section is a flag: -storaged.listen HOST:PORT.\n"
           "They are listed by: lakehouse config show\n");
    return LH_EXIT_OK;
}

/* A terminal shows what needs attention; a log collector gets every line. */
static void quieten(struct lh_command_line *line)
{
    line->flags = lh_realloc(line->flags, (line->flag_count + 1) * sizeof(*line->flags));
    line->flags[line->flag_count++] = (struct lh_config_flag){
        .section = LH_STR("log"), .key = LH_STR("level"), .value = LH_STR("warn")};
}

static lh_code load_settings(struct lh_command_line *line, struct lh_settings *settings,
                             struct lh_error *err)
{
    LH_AUTO_FREE enum lh_config_origin *origins =
        lh_calloc(lh_settings_option_count, sizeof(*origins));
    const struct lh_config_source source = {
        .file = line->config_file,
        .environment = environ,
        .flags = line->flags,
        .flag_count = line->flag_count,
    };
    LH_TRY(lh_settings_load(&source, settings, origins, err));
    size_t level = lh_config_find(lh_settings_options, lh_settings_option_count, LH_STR("log"),
                                  LH_STR("level"));
    if (origins[level] == LH_FROM_DEFAULT && lh_is_terminal(stderr))
        quieten(line);
    return LH_OK;
}

static lh_code serve(struct serving *serving, struct lh_command_line *line, struct lh_error *err)
{
    if (!line->config_file)
        line->config_file = lh_client_config_file(serving->cli);
    struct lh_settings settings;
    LH_TRY(load_settings(line, &settings, err));
    enum lh_log_level level = LH_LOG_INFO;
    lh_log_level_parse(settings.log.level, &level);
    lh_log_init("lakehouse", lh_is_terminal(stderr) ? LH_LOG_ERROR : level, STDERR_FILENO);
    serving->settings = &settings;
    const struct lh_supervisor_options options = {
        .settings = &settings,
        .line = line,
        .on_event = on_event,
        .ctx = serving,
    };
    lh_code code = lh_supervisor_run(&options, err);
    lh_cli_interrupt();
    if (serving->demo_started)
        pthread_join(serving->demo, NULL);
    free(serving->url);
    lh_settings_free(&settings);
    return code;
}

int lh_cmd_serve(struct lh_cli *cli, int argc, char **argv)
{
    struct serving serving = {.cli = cli, .demo_rows = LH_DEMO_ROWS};
    struct lh_command_line line = {0};
    struct lh_error err = LH_ERROR_INIT;
    if (take_own_flags(&serving, &argc, argv, &err) != LH_OK ||
        lh_command_line_parse("", argc, argv, &line, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    int exit_code;
    if (line.help) {
        exit_code = print_help();
    } else {
        lh_code code = serve(&serving, &line, &err);
        exit_code = code == LH_OK ? LH_EXIT_OK : lh_cli_failed(cli, &err);
    }
    lh_command_line_free(&line);
    return exit_code;
}
