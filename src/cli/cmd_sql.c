/* lakehouse sql [SQL | -f FILE | -] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/sql.h"
#include "cli/terminal.h"

enum { SQL_BYTES_MAX = 16 << 20 };

static lh_code read_stdin(struct lh_buf *out, struct lh_error *err)
{
    for (;;) {
        enum { READ_BYTES = 64 << 10 };
        char *room = lh_buf_reserve(out, READ_BYTES);
        if (!room)
            return lh_fail(err, LH_TOO_LARGE, "the SQL is longer than %d bytes", SQL_BYTES_MAX);
        ssize_t got = read(STDIN_FILENO, room, READ_BYTES);
        if (got < 0 && errno == EINTR && !lh_cli_interrupted(NULL))
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read stdin");
        if (got == 0)
            return LH_OK;
        lh_buf_commit(out, (size_t)got);
    }
}

/* The statement: from the arguments, from a file, or from stdin. */
static lh_code take_sql(const struct lh_cli_arguments *arguments, const char *file,
                        struct lh_buf *out, struct lh_error *err)
{
    if (file && arguments->count > 0)
        return lh_fail(err, LH_INVALID, "it takes SQL or a file of it, not both");
    bool from_stdin =
        arguments->count == 0 || (arguments->count == 1 && strcmp(arguments->words[0], "-") == 0);
    if (file) {
        LH_AUTO_FREE char *bytes = NULL;
        size_t len;
        LH_TRY(lh_read_file(file, SQL_BYTES_MAX, &bytes, &len, err));
        lh_buf_append(out, bytes, len);
    } else if (from_stdin) {
        if (lh_is_terminal(stdin) && arguments->count == 0)
            return lh_fail(err, LH_INVALID, "no SQL: lakehouse sql \"SHOW TABLES\"");
        return read_stdin(out, err);
    }
    for (size_t i = 0; i < arguments->count; i++) { /* unquoted words are one statement */
        lh_buf_append_cstr(out, i > 0 ? " " : "");
        lh_buf_append_cstr(out, arguments->words[i]);
    }
    return LH_OK;
}

/* --output, LAKEHOUSE_OUTPUT, or what fits: a table for people, CSV for programs. */
static lh_code choose_output(const char *flag, const char **ret_output, struct lh_error *err)
{
    static const char *const outputs[] = {"table", "json", "ndjson", "csv"};
    const char *wanted = flag ? flag : getenv("LAKEHOUSE_OUTPUT");
    if (!wanted || !wanted[0]) {
        *ret_output = lh_is_terminal(stdout) ? "table" : "csv";
        return LH_OK;
    }
    for (size_t i = 0; i < LH_COUNT(outputs); i++) {
        if (strcmp(wanted, outputs[i]) == 0) {
            *ret_output = outputs[i];
            return LH_OK;
        }
    }
    const char *nearest = lh_nearest(lh_str_from(wanted), outputs, LH_COUNT(outputs));
    lh_code code =
        lh_fail(err, LH_INVALID, "the output is table, json, ndjson or csv, not \"%s\"", wanted);
    return nearest ? lh_hint(err, "did you mean %s?", nearest) : code;
}

int lh_cmd_sql(struct lh_cli *cli, int argc, char **argv)
{
    const char *file = NULL, *output_flag = NULL, *output = NULL;
    struct lh_sql_query query = {0};
    const struct lh_cli_flag flags[] = {
        {"file", 'f', LH_CLI_TEXT, &file, "FILE", "read the SQL from a file"},
        {"output", 'o', LH_CLI_TEXT, &output_flag, "FORMAT",
         "table, json, ndjson or csv (table on a terminal, else csv)"},
        {"at", 0, LH_CLI_TEXT, &query.at, "NAME=N|TIME",
         "as it was: a dataset's snapshot, or a time such as 2026-01-31"},
    };
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    if (lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err) != LH_OK ||
        choose_output(output_flag, &output, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    lh_cli_catch_interrupts();
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(SQL_BYTES_MAX);
    lh_code code = take_sql(&arguments, file, &sql, &err);
    if (code == LH_INVALID)
        return lh_cli_misused(cli, &err);
    query.sql = lh_buf_str(&sql);
    if (code == LH_OK)
        code = strcmp(output, "table") == 0 ? lh_sql_table(cli, &query, stdout, &err)
                                            : lh_sql_copy(cli, &query, output, stdout, &err);
    return code == LH_OK ? LH_EXIT_OK : lh_cli_failed(cli, &err);
}
