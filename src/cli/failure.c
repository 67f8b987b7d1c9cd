/*
 * How a command ends when something is wrong: what, where, and how to mend it; and its exit code.
 */
#include "cli/cli.h"
#include "cli/terminal.h"

enum lh_exit lh_cli_exit_code(lh_code code)
{
    switch (code) {
    case LH_OK:
        return LH_EXIT_OK;
    case LH_INVALID_CONFIG:
        return LH_EXIT_USAGE;
    case LH_NOT_FOUND:
    case LH_ROUTE_NOT_FOUND:
        return LH_EXIT_NOT_FOUND;
    case LH_CONFLICT:
    case LH_EXISTS:
    case LH_FINGERPRINT_CONFLICT:
    case LH_PRECONDITION:
        return LH_EXIT_CONFLICT;
    case LH_UNAUTHENTICATED:
    case LH_FORBIDDEN:
        return LH_EXIT_AUTH;
    case LH_UNAVAILABLE:
        return LH_EXIT_UNREACHABLE;
    case LH_REQUEST_TIMEOUT:
    case LH_TIMEOUT:
    case LH_QUERY_TIMEOUT:
        return LH_EXIT_TIMEOUT;
    case LH_CANCELLED:
        return LH_EXIT_CANCELLED;
    default:
        return LH_EXIT_FAILED;
    }
}

/* Each line of the excerpt, moved in; the caret's line stands out. */
static void print_excerpt(const char *excerpt, const struct lh_style *style)
{
    lh_str rest = lh_str_from(excerpt), line;
    while (lh_str_next(&rest, '\n', &line)) {
        bool is_caret = lh_str_is(lh_str_trim(line), "^");
        fprintf(stderr, "    %s%.*s%s\n", is_caret ? style->red : "", LH_FMT(line),
                is_caret ? style->off : "");
    }
}

int lh_cli_failed(const struct lh_cli *cli, const struct lh_error *err)
{
    struct lh_style style = lh_style_of(stderr, cli->color);
    fflush(stdout);
    fprintf(stderr, "%serror:%s %s\n", style.red, style.off, err->message);
    if (err->excerpt[0])
        print_excerpt(err->excerpt, &style);
    if (err->hint[0])
        fprintf(stderr, "  %sfix:%s %s\n", style.green, style.off, err->hint);
    return lh_cli_exit_code(err->code);
}

int lh_cli_misused(const struct lh_cli *cli, const struct lh_error *err)
{
    lh_cli_failed(cli, err);
    return LH_EXIT_USAGE;
}
