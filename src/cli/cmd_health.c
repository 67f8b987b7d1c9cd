/* lakehouse health: a line for each service. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/terminal.h"

static void print_service(const json_t *service, const struct lh_style *style)
{
    const char *name = json_string_value(json_object_get(service, "service"));
    const char *status = json_string_value(json_object_get(service, "status"));
    if (!name || !status)
        return;
    const char *color = strcmp(status, "ok") == 0         ? style->green
                        : strcmp(status, "degraded") == 0 ? style->yellow
                                                          : style->red;
    printf("%-10s %s%s%s", name, color, status, style->off);
    size_t i;
    json_t *reason;
    json_array_foreach (json_object_get(service, "reasons"), i, reason) {
        if (json_is_string(reason))
            printf("%s %s", i == 0 ? ":" : ";", json_string_value(reason));
    }
    putchar('\n');
}

static lh_code health(struct lh_cli *cli, bool as_json, bool *ret_all_ok, struct lh_error *err)
{
    LH_AUTO_JSON json_t *whole = NULL;
    LH_TRY(lh_client_json(cli, LH_HTTP_GET, "/v1/health", NULL, &whole, err));
    const char *status = json_string_value(json_object_get(whole, "status"));
    if (!status)
        return lh_fail(err, LH_BAD_UPSTREAM, "that is no lakehouse: its answer names no status");
    *ret_all_ok = strcmp(status, "ok") == 0;
    if (as_json) {
        json_dumpf(whole, stdout, JSON_COMPACT);
        putchar('\n');
        return LH_OK;
    }
    struct lh_style style = lh_style_of(stdout, cli->color);
    size_t i;
    json_t *service;
    json_array_foreach (json_object_get(whole, "services"), i, service) {
        print_service(service, &style);
    }
    return LH_OK;
}

int lh_cmd_health(struct lh_cli *cli, int argc, char **argv)
{
    bool as_json = false;
    const struct lh_cli_flag flags[] = {
        {"json", 0, LH_CLI_SWITCH, &as_json, NULL, "the answer as JSON"},
    };
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    lh_code code = lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err);
    if (code == LH_OK && arguments.count > 0)
        code = lh_fail(&err, LH_INVALID, "lakehouse health takes no argument");
    if (code != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    bool all_ok = false;
    if (health(cli, as_json, &all_ok, &err) != LH_OK)
        return lh_cli_failed(cli, &err);
    return all_ok ? LH_EXIT_OK : LH_EXIT_PROBLEMS;
}
