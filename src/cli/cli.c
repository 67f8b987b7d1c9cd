/*
 * The table of commands, and finding the right one.
 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/terminal.h"
#include "service/service.h"

static int cmd_help(struct lh_cli *cli, int argc, char **argv);
static int cmd_version(struct lh_cli *cli, int argc, char **argv);

static const struct lh_cli_command commands[] = {
    {"serve", "[--demo]", "start all services and watch over them", lh_cmd_serve},
    {"ingest", "FILE", "put a CSV, JSON or Parquet file into a dataset", lh_cmd_ingest},
    {"sql", "[SQL | -f FILE | -]", "ask a question", lh_cmd_sql},
    {"storage", "ls | put | get | cp | rm | stat | du | presign | mb | rb",
     "objects in buckets, by S3", lh_cmd_storage},
    {"vector", "create | add | search | delete | drop | stats | recall | ls", "indexes of vectors",
     lh_cmd_vector},
    {"health", "", "how every service is", lh_cmd_health},
    {"config", "check | show | init [FILE] | keys new | document", "look at the configuration",
     lh_cmd_config},
    {"demo", "", "a million rows in, SQL out, a search in vectors", lh_cmd_demo},
    {"help", "[COMMAND]", "this, or how a command is used", cmd_help},
    {"version", "", "the version", cmd_version},
};

const struct lh_cli_command *lh_cli_find_command(lh_str name)
{
    for (size_t i = 0; i < LH_COUNT(commands); i++) {
        if (lh_str_is(name, commands[i].name))
            return &commands[i];
    }
    return NULL;
}

/* ---- help and version ---- */

static int print_overview(void)
{
    struct lh_style style = lh_style_of(stdout, LH_COLOR_AUTO);
    printf("%slakehouse%s: files in, SQL and vector search out, on one box\n\n", style.bold,
           style.off);
    printf("usage: lakehouse COMMAND [FLAGS]\n\n");
    for (size_t i = 0; i < LH_COUNT(commands); i++)
        printf("  %s%-8s%s %s\n", style.bold, commands[i].name, style.off, commands[i].summary);
    printf("\nlakehouse help COMMAND tells more. First steps:\n"
           "  lakehouse serve                          in one terminal\n"
           "  lakehouse ingest trips.csv               in another\n"
           "  lakehouse sql \"FROM trips LIMIT 5\"\n\n"
           "exit codes: 0 fine, 1 failed, 2 usage, 3 not found, 4 conflict, 5 key refused,\n"
           "            6 no server, 8 problems found, 124 timeout, 130 Ctrl-C\n");
    return LH_EXIT_OK;
}

static int unknown_command(struct lh_cli *cli, const char *name)
{
    const char *names[LH_COUNT(commands)];
    for (size_t i = 0; i < LH_COUNT(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = lh_nearest(lh_str_from(name), names, LH_COUNT(names));
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_fail(&err, LH_INVALID, "there is no command \"%s\"", name);
    if (nearest)
        code = lh_hint(&err, "did you mean: lakehouse %s", nearest);
    else
        code = lh_hint(&err, "lakehouse help lists the commands");
    (void)code;
    lh_cli_failed(cli, &err);
    return LH_EXIT_USAGE;
}

static int cmd_help(struct lh_cli *cli, int argc, char **argv)
{
    if (argc == 0)
        return print_overview();
    const struct lh_cli_command *command = lh_cli_find_command(lh_str_from(argv[0]));
    if (!command)
        return unknown_command(cli, argv[0]);
    static char help_flag[] = "--help";
    char *help_argv[] = {help_flag, NULL};
    cli->command = command->name;
    return command->run == cmd_help ? print_overview() : command->run(cli, 1, help_argv);
}

static int cmd_version(struct lh_cli *cli, int argc, char **argv)
{
    (void)cli;
    (void)argc;
    (void)argv;
    printf("lakehouse %s\n", lh_version);
    return LH_EXIT_OK;
}

/* ---- interrupts ---- */

/* Set by a signal handler, read by threads. */
static atomic_bool interrupted;

static void on_interrupt(int signal_number)
{
    if (atomic_exchange(&interrupted, true)) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

void lh_cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool lh_cli_interrupted(const void *unused)
{
    (void)unused;
    return atomic_load(&interrupted);
}

void lh_cli_interrupt(void)
{
    atomic_store(&interrupted, true);
}

/* ---- the whole ---- */

static int run_command(struct lh_cli *cli, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return print_overview();
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-version") == 0)
        return cmd_version(cli, 0, NULL);
    const struct lh_cli_command *command = lh_cli_find_command(lh_str_from(argv[1]));
    if (!command)
        return unknown_command(cli, argv[1]);
    cli->command = command->name;
    return command->run(cli, argc - 2, argv + 2);
}

int lh_cli_main(int argc, char **argv)
{
    struct lh_cli cli = {.command = ""};
    lh_terminal_init();
    int code = run_command(&cli, argc, argv);
    lh_client_close(&cli);
    /* What did not reach its reader is a failure: a full disk behind "> out.csv". */
    if (fflush(stdout) != 0 && code == LH_EXIT_OK) {
        fprintf(stderr, "error: cannot write the output: %s\n", strerrorname_np(errno));
        code = LH_EXIT_FAILED;
    }
    return code;
}
