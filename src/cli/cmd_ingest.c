/* lakehouse ingest FILE */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/ingest.h"
#include "cli/terminal.h"

static lh_code ingest(struct lh_cli *cli, const struct lh_ingest_request *request, bool as_json,
                      struct lh_error *err)
{
    lh_mono start = lh_mono_now();
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(lh_ingest_file(cli, request, &answer, err));
    if (as_json) {
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        return LH_OK;
    }
    lh_ingest_print(cli, answer, lh_mono_since_s(start));
    const char *dataset = json_string_value(json_object_get(answer, "dataset"));
    struct lh_style style = lh_style_of(stderr, cli->color);
    if (dataset && lh_is_terminal(stderr))
        fprintf(stderr, "  %snext: lakehouse sql \"FROM %s LIMIT 5\"%s\n", style.dim, dataset,
                style.off);
    return LH_OK;
}

int lh_cmd_ingest(struct lh_cli *cli, int argc, char **argv)
{
    struct lh_ingest_request request = {0};
    bool as_json = false;
    const struct lh_cli_flag flags[] = {
        {"into", 'i', LH_CLI_TEXT, &request.dataset, "NAME",
         "the dataset (else it is named after the file)"},
        {"mode", 'm', LH_CLI_TEXT, &request.mode, "MODE",
         "create (an error if it exists), append or replace"},
        {"format", 0, LH_CLI_TEXT, &request.format, "FORMAT",
         "csv, tsv, json, ndjson or parquet (else the server looks)"},
        {"json", 0, LH_CLI_SWITCH, &as_json, NULL, "the answer as JSON"},
    };
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    if (lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    lh_code code = LH_OK;
    if (arguments.count != 1)
        code =
            lh_fail(&err, LH_INVALID, "lakehouse ingest takes one file, not %zu", arguments.count);
    else if (strcmp(arguments.words[0], "-") == 0 && !request.dataset)
        code = lh_fail(&err, LH_INVALID, "what comes from stdin has no name: say --into NAME");
    if (code != LH_OK)
        return lh_cli_misused(cli, &err);
    request.path = arguments.words[0];
    LH_AUTO_FREE char *derived = request.dataset ? NULL : lh_dataset_name_of(request.path);
    if (derived && derived[0] == '\0') {
        LH_IGNORE(lh_fail(&err, LH_INVALID, "no dataset can be named after %s: say --into NAME",
                          request.path),
                  "printed below");
        return lh_cli_misused(cli, &err);
    }
    lh_cli_catch_interrupts();
    code = ingest(cli, &request, as_json || !lh_is_terminal(stdout), &err);
    return code == LH_OK ? LH_EXIT_OK : lh_cli_failed(cli, &err);
}
