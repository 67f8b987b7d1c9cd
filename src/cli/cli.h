/*
 * The command line tool: what its commands share. A command is a line in the table of cli.c and a
 * file cmd_<name>.c; it parses its own flags, talks to a running lakehouse through the gateway,
 * prints data on stdout and everything else on stderr, and returns an exit code.
 *
 * One process runs one command, so what is here is not thread-safe.
 */
#ifndef LH_CLI_CLI_H
#define LH_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct lh_http_client;

enum lh_exit {
    LH_EXIT_OK = 0,
    LH_EXIT_FAILED = 1, /* the operation or the SQL failed */
    LH_EXIT_USAGE = 2,
    LH_EXIT_NOT_FOUND = 3,
    LH_EXIT_CONFLICT = 4,
    LH_EXIT_AUTH = 5,
    LH_EXIT_UNREACHABLE = 6,
    LH_EXIT_PROBLEMS = 8, /* health or config check found some */
    LH_EXIT_TIMEOUT = 124,
    LH_EXIT_CANCELLED = 130,
};

enum lh_color { LH_COLOR_AUTO, LH_COLOR_ALWAYS, LH_COLOR_NEVER };

struct lh_cli {
    const char *command; /* "sql" */

    /* Flags of every command; NULL = not given. */
    const char *url_flag;
    const char *config_flag;
    enum lh_color color;

    /* Made when first asked for. */
    char *url;
    struct lh_http_client *client;
};

struct lh_cli_command {
    const char *name;
    const char *arguments; /* as they stand in the usage line */
    const char *summary;
    int (*run)(struct lh_cli *cli, int argc, char **argv); /* argv without the command's name */
};

int lh_cli_main(int argc, char **argv);

/* ---- flags (flags.c) ---- */

enum lh_cli_flag_type {
    LH_CLI_SWITCH, /* bool *target */
    LH_CLI_TEXT,   /* const char **target, borrowed from argv */
    LH_CLI_COUNT,  /* int64_t *target, at least 1 */
    LH_CLI_COLOR,  /* enum lh_color *target */
};

struct lh_cli_flag {
    const char *name; /* without dashes */
    char letter;      /* 0 = none */
    enum lh_cli_flag_type type;
    void *target;
    const char *argument; /* its name in the help; NULL for a switch */
    const char *help;
};

struct lh_cli_arguments {
    const char **words; /* what is no flag, borrowed from argv */
    size_t count;
    bool help; /* --help was given */
};

/* Flags may stand anywhere, with one dash or two, as "--name value" or "--name=value"; "--" ends
 * them. The flags of every command are added. LH_INVALID with the nearest spelling. */
lh_code lh_cli_parse(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t flag_count,
                     int argc, char **argv, struct lh_cli_arguments *ret_arguments,
                     struct lh_error *err);
void lh_cli_arguments_free(struct lh_cli_arguments *arguments); /* accepts the zero state */
#define LH_AUTO_CLI_ARGUMENTS __attribute__((cleanup(lh_cli_arguments_free)))

/* The usage of cli->command on stdout. */
int lh_cli_usage(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t flag_count);

/* The command of that name, or NULL; with its neighbours for the overview. */
const struct lh_cli_command *lh_cli_find_command(lh_str name);

/* ---- ends ---- */

/* Prints what is wrong, why and how to mend it, and gives the exit code for it. */
int lh_cli_failed(const struct lh_cli *cli, const struct lh_error *err);
enum lh_exit lh_cli_exit_code(lh_code code);
/* The same for a command that was typed wrongly: always LH_EXIT_USAGE. */
int lh_cli_misused(const struct lh_cli *cli, const struct lh_error *err);

/* Makes Ctrl-C set a flag instead of ending the program. A second one ends it. */
void lh_cli_catch_interrupts(void);
bool lh_cli_interrupted(const void *unused); /* fits lh_http_call.cancelled */
void lh_cli_interrupt(void);                 /* as if by Ctrl-C. thread-safe */

/* ---- commands ---- */

int lh_cmd_serve(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_health(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_sql(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_ingest(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_storage(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_config(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_demo(struct lh_cli *cli, int argc, char **argv);
int lh_cmd_vector(struct lh_cli *cli, int argc, char **argv);

#endif
