/*
 * Flags of commands, and the usage text that is made from the same table.
 */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/terminal.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64, FLAGS_MAX = 32 };

/* The flags of a command, then those of every command. */
struct flag_list {
    struct lh_cli_flag items[FLAGS_MAX];
    size_t count;
};

static void list_flags(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t count,
                       struct flag_list *list)
{
    const struct lh_cli_flag common[] = {
        {"url", 0, LH_CLI_TEXT, &cli->url_flag, "URL",
         "the gateway (LAKEHOUSE_URL, or from the configuration)"},
        {"config", 0, LH_CLI_TEXT, &cli->config_flag, "FILE",
         "the configuration (lakehouse.toml, if it is here)"},
        {"color", 0, LH_CLI_COLOR, &cli->color, "WHEN", "auto, always or never"},
    };
    list->count = 0;
    for (size_t i = 0; i < count; i++)
        list->items[list->count++] = flags[i];
    for (size_t i = 0; i < LH_COUNT(common); i++)
        list->items[list->count++] = common[i];
}

static const struct lh_cli_flag *find_flag(const struct flag_list *list, lh_str name)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct lh_cli_flag *flag = &list->items[i];
        if (lh_str_is(name, flag->name) || (name.len == 1 && name.ptr[0] == flag->letter))
            return flag;
    }
    return NULL;
}

static lh_code unknown_flag(const struct lh_cli *cli, const struct flag_list *list, lh_str name,
                            struct lh_error *err)
{
    const char *names[FLAGS_MAX];
    for (size_t i = 0; i < list->count; i++)
        names[i] = list->items[i].name;
    const char *nearest = lh_nearest(name, names, list->count);
    lh_code code =
        lh_fail(err, LH_INVALID, "lakehouse %s has no flag --%.*s", cli->command, LH_FMT(name));
    if (code == LH_OK)
        return code;
    return nearest ? lh_hint(err, "did you mean --%s?", nearest)
                   : lh_hint(err, "lakehouse help %s lists the flags", cli->command);
}

static lh_code set_color(enum lh_color *target, const char *value, struct lh_error *err)
{
    static const char *const words[] = {"auto", "always", "never"};
    for (size_t i = 0; i < LH_COUNT(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *target = (enum lh_color)i;
            return LH_OK;
        }
    }
    return lh_fail(err, LH_INVALID, "--color takes auto, always or never, not \"%s\"", value);
}

static lh_code set_count(const struct lh_cli_flag *flag, const char *value, struct lh_error *err)
{
    int64_t count;
    if (!lh_str_to_i64(lh_str_from(value), &count) || count < 1)
        return lh_fail(err, LH_INVALID, "--%s takes a number from 1 on, not \"%s\"", flag->name,
                       value);
    *(int64_t *)flag->target = count;
    return LH_OK;
}

static lh_code set_flag(const struct lh_cli_flag *flag, const char *value, struct lh_error *err)
{
    switch (flag->type) {
    case LH_CLI_SWITCH:
        *(bool *)flag->target = true;
        return LH_OK;
    case LH_CLI_TEXT:
        *(const char **)flag->target = value;
        return LH_OK;
    case LH_CLI_COUNT:
        return set_count(flag, value, err);
    case LH_CLI_COLOR:
        return set_color(flag->target, value, err);
    }
    return LH_OK;
}

/* The flag at argv[*i]; takes its value along. */
static lh_code parse_flag(const struct lh_cli *cli, const struct flag_list *list, int argc,
                          char **argv, int *i, struct lh_error *err)
{
    const char *text = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
    lh_str name = lh_str_of(text, strcspn(text, "="));
    const char *value = text[name.len] == '=' ? text + name.len + 1 : NULL;
    const struct lh_cli_flag *flag = find_flag(list, name);
    if (!flag)
        return unknown_flag(cli, list, name, err);
    if (flag->type == LH_CLI_SWITCH && value)
        return lh_fail(err, LH_INVALID, "--%s takes no value", flag->name);
    if (flag->type != LH_CLI_SWITCH && !value) {
        if (*i + 1 >= argc)
            return lh_fail(err, LH_INVALID, "--%s needs a value: --%s %s", flag->name, flag->name,
                           flag->argument);
        value = argv[++*i];
    }
    return set_flag(flag, value, err);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0;
}

static lh_code parse_all(const struct lh_cli *cli, const struct flag_list *list, int argc,
                         char **argv, struct lh_cli_arguments *arguments, struct lh_error *err)
{
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!only_words && strcmp(word, "--") == 0)
            only_words = true;
        else if (!only_words && is_help(word))
            arguments->help = true;
        else if (!only_words && word[0] == '-' && word[1] != '\0') /* "-" alone is stdin */
            LH_TRY(parse_flag(cli, list, argc, argv, &i, err));
        else
            arguments->words[arguments->count++] = word;
    }
    return LH_OK;
}

lh_code lh_cli_parse(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t flag_count,
                     int argc, char **argv, struct lh_cli_arguments *ret_arguments,
                     struct lh_error *err)
{
    struct flag_list list;
    list_flags(cli, flags, flag_count, &list);
    struct lh_cli_arguments arguments = {.words = lh_calloc((size_t)argc, sizeof(char *))};
    lh_code code = parse_all(cli, &list, argc, argv, &arguments, err);
    if (code != LH_OK) {
        lh_cli_arguments_free(&arguments);
        return code;
    }
    *ret_arguments = arguments;
    return LH_OK;
}

void lh_cli_arguments_free(struct lh_cli_arguments *arguments)
{
    free(arguments->words);
    *arguments = (struct lh_cli_arguments){0};
}

int lh_cli_usage(struct lh_cli *cli, const struct lh_cli_flag *flags, size_t flag_count)
{
    struct lh_style style = lh_style_of(stdout, cli->color);
    const struct lh_cli_command *command = lh_cli_find_command(lh_str_from(cli->command));
    printf("%slakehouse %s%s %s\n\n%s\n\n", style.bold, command->name, style.off,
           command->arguments, command->summary);
    struct flag_list list;
    list_flags(cli, flags, flag_count, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct lh_cli_flag *flag = &list.items[i];
        char text[NAME_BYTES_MAX];
        char letter[8] = "    ";
        if (flag->letter)
            snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
        snprintf(text, sizeof(text), "%s--%s %s", letter, flag->name,
                 flag->argument ? flag->argument : "");
        printf("  %-26s %s\n", text, flag->help);
    }
    return LH_EXIT_OK;
}
