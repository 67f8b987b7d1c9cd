/* lakehouse demo [--rows N] */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/demo.h"

int lh_cmd_demo(struct lh_cli *cli, int argc, char **argv)
{
    int64_t rows = LH_DEMO_ROWS;
    const struct lh_cli_flag flags[] = {
        {"rows", 'n', LH_CLI_COUNT, &rows, "N", "rows of the file that is made (1000000)"},
    };
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    lh_code code = lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err);
    if (code == LH_OK && arguments.count > 0)
        code = lh_fail(&err, LH_INVALID, "lakehouse demo takes no argument");
    if (code != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    lh_cli_catch_interrupts();
    code = lh_demo_run(cli, rows, &err);
    return code == LH_OK ? LH_EXIT_OK : lh_cli_failed(cli, &err);
}
