/*
 * `storaged check`: the store of a stopped storaged, looked at from the first row to the last byte.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "service/command_line.h"
#include "service/service.h"
#include "storaged/scrub.h"

enum { EXIT_SOUND = 0, EXIT_NOT_SOUND = 1, EXIT_USAGE = 2 };

static const char clear_line[] = "\r\033[K";

static void print_finding(void *ctx, const char *what)
{
    const bool *terminal = ctx;
    if (*terminal)
        fputs(clear_line, stderr);
    printf("%s\n", what);
    fflush(stdout);
}

static void print_progress(void *ctx, const struct lh_scrub_state *state)
{
    const bool *terminal = ctx;
    if (*terminal)
        fprintf(stderr, "%s%" PRIu64 " objects, %" PRIu64 " MiB, %" PRIu64 " findings", clear_line,
                state->objects, state->bytes >> 20, state->findings);
}

static int tell(const struct lh_error *err, int exit_code)
{
    fprintf(stderr, "storaged check: %s\n", err->message);
    if (err->hint[0] != '\0')
        fprintf(stderr, "  hint: %s\n", err->hint);
    return exit_code;
}

static int check(const char *dir)
{
    bool terminal = isatty(STDERR_FILENO);
    const struct lh_scrub_report report = {
        .found = print_finding, .progress = print_progress, .ctx = &terminal};
    struct lh_error err = LH_ERROR_INIT;
    struct lh_scrub_state state = {.findings = 0};
    lh_code code = lh_store_check_offline(dir, &report, &state, &err);
    if (terminal)
        fputs(clear_line, stderr);
    if (code == LH_BUSY)
        LH_IGNORE(lh_hint(&err, "a running storaged is checked by POST /storage?check"), "told");
    if (code != LH_OK)
        return tell(&err, EXIT_NOT_SOUND);
    printf("%s: %" PRIu64 " objects, %" PRIu64 " bytes, %" PRIu64 " findings\n", dir, state.objects,
           state.bytes, state.findings);
    return state.findings == 0 ? EXIT_SOUND : EXIT_NOT_SOUND;
}

int lh_storaged_check_main(int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_command_line line = {0};
    struct lh_settings settings = {0};
    lh_code code = lh_command_line_parse("storaged", argc, argv, &line, &err);
    if (code == LH_OK && line.help) {
        printf("usage: storaged check [-data DIR] [-config FILE]\n\n"
               "Reads the whole store of a stopped storaged and names what is damaged, missing or\n"
               "left over. Exit code 0: it is sound; 1: it is not, or could not be read.\n");
        lh_command_line_free(&line);
        return EXIT_SOUND;
    }
    const struct lh_config_source source = {
        .file = line.config_file,
        .environment = environ,
        .flags = line.flags,
        .flag_count = line.flag_count,
    };
    if (code == LH_OK)
        code = lh_settings_load(&source, &settings, NULL, &err);
    lh_command_line_free(&line);
    if (code != LH_OK)
        return tell(&err, EXIT_USAGE);
    LH_AUTO_FREE char *dir = lh_asprintf("%s/storaged", settings.data_dir);
    int exit_code = check(dir);
    lh_settings_free(&settings);
    return exit_code;
}
