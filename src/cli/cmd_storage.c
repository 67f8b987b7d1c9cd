/* lakehouse storage ls | put | get | cp | rm | stat | du | presign | mb | rb */
#include "base/mem.h"
#include "cli/storage.h"

#include <stdio.h>

/* The fewest and the most words behind each name. */
static const struct subcommand {
    const char *name;
    size_t words_min, words_max;
    const char *words; /* as they are said when they are wrong */
    lh_code (*run)(struct lh_storage *storage, const char *const *words, size_t count,
                   struct lh_error *err);
} subcommands[] = {
    {"ls", 0, 1, "[BUCKET[/PREFIX]]", lh_storage_ls},
    {"put", 2, SIZE_MAX, "FILE|FOLDER|- ... BUCKET/KEY", lh_storage_put},
    {"get", 1, 2, "BUCKET/KEY [FILE|FOLDER|-]", lh_storage_get},
    {"cp", 2, 2, "BUCKET/KEY BUCKET/KEY", lh_storage_cp},
    {"rm", 1, SIZE_MAX, "BUCKET/KEY ...", lh_storage_rm},
    {"stat", 1, 1, "BUCKET/KEY", lh_storage_stat},
    {"du", 1, 1, "BUCKET[/PREFIX]", lh_storage_du},
    {"presign", 1, 1, "BUCKET/KEY", lh_storage_presign},
    {"mb", 1, 1, "BUCKET", lh_storage_mb},
    {"rb", 1, 1, "BUCKET", lh_storage_rb},
};

static lh_code find(const char *name, const struct subcommand **ret, struct lh_error *err)
{
    const char *names[LH_COUNT(subcommands)];
    for (size_t i = 0; i < LH_COUNT(subcommands); i++) {
        names[i] = subcommands[i].name;
        if (lh_str_is(lh_str_from(name), names[i])) {
            *ret = &subcommands[i];
            return LH_OK;
        }
    }
    LH_IGNORE(
        lh_fail(err, LH_INVALID,
                "lakehouse storage takes ls, put, get, cp, rm, stat, du, presign, mb or rb%s%s",
                name[0] != '\0' ? ", not " : "", name),
        "the hint returns it");
    const char *nearest = lh_nearest(lh_str_from(name), names, LH_COUNT(names));
    return nearest != NULL ? lh_hint(err, "did you mean: lakehouse storage %s", nearest)
                           : lh_hint(err, "lakehouse help storage tells more");
}

static lh_code check(const struct lh_storage *storage, const struct lh_cli_arguments *arguments,
                     const struct subcommand **ret, struct lh_error *err)
{
    LH_TRY(find(arguments->count > 0 ? arguments->words[0] : "", ret, err));
    size_t count = arguments->count - 1;
    if (count < (*ret)->words_min || count > (*ret)->words_max)
        return lh_fail(err, LH_INVALID, "lakehouse storage %s takes %s", (*ret)->name,
                       (*ret)->words);
    if (storage->parallel > LH_STORAGE_PARALLEL_MAX)
        return lh_fail(err, LH_INVALID, "-j is at most %d", LH_STORAGE_PARALLEL_MAX);
    if (storage->with_delete && !storage->sync)
        return lh_fail(err, LH_INVALID, "--delete goes with --sync");
    return LH_OK;
}

int lh_cmd_storage(struct lh_cli *cli, int argc, char **argv)
{
    struct lh_storage storage = {.cli = cli, .parallel = LH_STORAGE_PARALLEL_DEFAULT};
    const struct lh_cli_flag flags[] = {
        {"recursive", 'r', LH_CLI_SWITCH, &storage.recursive, NULL, "everything below a prefix"},
        {"jobs", 'j', LH_CLI_COUNT, &storage.parallel, "N", "transfers at the same time (8)"},
        {"sync", 0, LH_CLI_SWITCH, &storage.sync, NULL, "leave out what is the same already"},
        {"delete", 0, LH_CLI_SWITCH, &storage.with_delete, NULL,
         "with --sync: delete at the target what is not in the source"},
        {"long", 'l', LH_CLI_SWITCH, &storage.is_long, NULL, "ls: with size, time and etag"},
        {"json", 0, LH_CLI_SWITCH, &storage.as_json, NULL, "one JSON object a line"},
        {"expires", 0, LH_CLI_TEXT, &storage.expires, "TIME", "presign: for how long (1h)"},
        {"put", 0, LH_CLI_SWITCH, &storage.to_put, NULL, "presign: to write instead of to read"},
        {"endpoint", 0, LH_CLI_TEXT, &storage.endpoint, "URL",
         "the S3 store (AWS_ENDPOINT_URL, or storaged of the configuration)"},
        {"key-id", 0, LH_CLI_TEXT, &storage.key_id, "ID",
         "access key (AWS_ACCESS_KEY_ID, or of the configuration)"},
        {"secret", 0, LH_CLI_TEXT, &storage.secret, "SECRET",
         "its secret (AWS_SECRET_ACCESS_KEY, or of the configuration)"},
        {"region", 0, LH_CLI_TEXT, &storage.region, "NAME", "of the store (us-east-1)"},
    };
    struct lh_error err = LH_ERROR_INIT;
    const struct subcommand *subcommand = NULL;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    if (lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    if (check(&storage, &arguments, &subcommand, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    lh_cli_catch_interrupts();
    lh_code code = lh_storage_open(&storage, &err);
    if (code == LH_OK)
        code = subcommand->run(&storage, arguments.words + 1, arguments.count - 1, &err);
    lh_storage_close(&storage);
    if (code == LH_OK)
        return LH_EXIT_OK;
    return code == LH_INVALID ? lh_cli_misused(cli, &err) : lh_cli_failed(cli, &err);
}
