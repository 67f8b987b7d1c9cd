/* The command line that all programs share. */
#include "service/command_line.h"

#include "base/mem.h"
#include "service/settings.h"

#include <string.h>

enum { NAME_MAX_BYTES = 128 };

struct general_flag {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;
};

static const struct general_flag general_flags[] = {
    {"config", "FILE", "the configuration file (TOML)"},
    {"data", "DIR", "folder of all data"},
    {"insecure", NULL, "listen on an address that others can reach, though nothing asks for a key"},
    {"version", NULL, "print the version"},
    {"help", NULL, "print this"},
};

/* ---- looking up names ---- */

/* The option behind a flag's name, or NULL. */
static const struct lh_option *find_option(const char *section, lh_str name)
{
    lh_str key = name, other = LH_STR_NONE;
    const char *dot = memchr(name.ptr, '.', name.len);
    if (dot != NULL) {
        other = lh_str_of(name.ptr, (size_t)(dot - name.ptr));
        key = lh_str_skip(name, other.len + 1);
    }
    lh_str in = dot != NULL ? other : lh_str_from(section);
    size_t index = lh_config_find(lh_settings_options, lh_settings_option_count, in, key);
    if (index == lh_settings_option_count && dot == NULL)
        index = lh_config_find(lh_settings_options, lh_settings_option_count, LH_STR(""), key);
    return index < lh_settings_option_count ? &lh_settings_options[index] : NULL;
}

static lh_code fail_unknown(const char *section, lh_str name, struct lh_error *err)
{
    size_t count = 0;
    LH_AUTO_FREE const char **names =
        lh_calloc(LH_COUNT(general_flags) + 2 * lh_settings_option_count, sizeof(*names));
    LH_AUTO_FREE char *spelled = lh_calloc(lh_settings_option_count, NAME_MAX_BYTES);
    for (size_t i = 0; i < LH_COUNT(general_flags); i++)
        names[count++] = general_flags[i].name;
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        const struct lh_option *option = &lh_settings_options[i];
        if (strcmp(option->section, section) == 0 || option->section[0] == '\0')
            names[count++] = option->key;
        char *full = spelled + i * NAME_MAX_BYTES;
        snprintf(full, NAME_MAX_BYTES, "%s.%s", option->section, option->key);
        names[count++] = full;
    }
    const char *nearest = lh_nearest(name, names, count);
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG, "there is no flag -%.*s", LH_FMT(name)),
              "the hint's code is the same");
    if (nearest != NULL)
        return lh_hint(err, "did you mean -%s?", nearest);
    return lh_hint(err, "-help lists the flags");
}

/* ---- parsing ---- */

/* One argument of the command line, cut up. */
struct word {
    char name_text[NAME_MAX_BYTES];
    lh_str name;
    bool has_value; /* "-name=value" */
    lh_str value;
};

static lh_code cut_word(const char *argument, struct word *ret, struct lh_error *err)
{
    const char *name = argument;
    if (name[0] != '-' || name[1] == '\0')
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not a flag", argument);
    name += name[1] == '-' ? 2 : 1;
    size_t len = strcspn(name, "=");
    if (len == 0 || len >= NAME_MAX_BYTES)
        return lh_fail(err, LH_INVALID_CONFIG, "'%s' is not a flag", argument);
    for (size_t i = 0; i < len; i++)
        ret->name_text[i] = name[i] == '-' ? '_' : name[i];
    ret->name_text[len] = '\0';
    ret->name = lh_str_of(ret->name_text, len);
    ret->has_value = name[len] == '=';
    ret->value = ret->has_value ? lh_str_from(name + len + 1) : LH_STR_NONE;
    return LH_OK;
}

/* The value of a flag: after '=', or the next argument, which is then used up. */
static lh_code take_value(struct word *word, int argc, char *const *argv, int *index,
                          struct lh_error *err)
{
    if (word->has_value)
        return LH_OK;
    if (*index + 1 >= argc)
        return lh_fail(err, LH_INVALID_CONFIG, "-%s needs a value", word->name_text);
    *index += 1;
    word->value = lh_str_from(argv[*index]);
    return LH_OK;
}

static void add_flag(struct lh_command_line *line, const char *section, const char *key,
                     lh_str value)
{
    line->flags = lh_realloc(line->flags, (line->flag_count + 1) * sizeof(*line->flags));
    line->flags[line->flag_count++] = (struct lh_config_flag){
        .section = lh_str_from(section), .key = lh_str_from(key), .value = value};
}

static lh_code parse_word(const char *section, int argc, char *const *argv, int *index,
                          struct lh_command_line *line, struct lh_error *err)
{
    struct word word;
    LH_TRY(cut_word(argv[*index], &word, err));
    bool *simple = lh_str_is(word.name, "insecure")  ? &line->insecure
                   : lh_str_is(word.name, "version") ? &line->version
                   : lh_str_is(word.name, "help")    ? &line->help
                                                     : NULL;
    if (simple != NULL) {
        if (word.has_value)
            return lh_fail(err, LH_INVALID_CONFIG, "-%s takes no value", word.name_text);
        *simple = true;
        return LH_OK;
    }
    if (lh_str_is(word.name, "config")) {
        LH_TRY(take_value(&word, argc, argv, index, err));
        line->config_file = word.value.ptr; /* the end of an argument: terminated */
        return LH_OK;
    }
    if (lh_str_is(word.name, "data")) {
        LH_TRY(take_value(&word, argc, argv, index, err));
        add_flag(line, "", "data_dir", word.value);
        return LH_OK;
    }
    const struct lh_option *option = find_option(section, word.name);
    if (option == NULL)
        return fail_unknown(section, word.name, err);
    if (option->type == LH_OPTION_BOOL && !word.has_value)
        word.value = LH_STR("true");
    else
        LH_TRY(take_value(&word, argc, argv, index, err));
    add_flag(line, option->section, option->key, word.value);
    return LH_OK;
}

lh_code lh_command_line_parse(const char *section, int argc, char *const *argv,
                              struct lh_command_line *ret_line, struct lh_error *err)
{
    struct lh_command_line line = {0};
    for (int i = 0; i < argc; i++) {
        lh_code code = parse_word(section, argc, argv, &i, &line, err);
        if (code != LH_OK) {
            lh_command_line_free(&line);
            return code;
        }
    }
    *ret_line = line;
    return LH_OK;
}

void lh_command_line_free(struct lh_command_line *line)
{
    free(line->flags);
    *line = (struct lh_command_line){0};
}

/* ---- help ---- */

static const char *argument_word(enum lh_option_type type)
{
    switch (type) {
    case LH_OPTION_STRING:
    case LH_OPTION_SECRET:
        return "TEXT";
    case LH_OPTION_ADDRESS:
        return "HOST:PORT";
    case LH_OPTION_URL:
        return "URL";
    case LH_OPTION_PATH:
        return "PATH";
    case LH_OPTION_BYTES:
        return "SIZE";
    case LH_OPTION_DURATION:
        return "TIME";
    case LH_OPTION_COUNT:
        return "N";
    case LH_OPTION_BOOL:
        return "BOOL";
    case LH_OPTION_CHOICE:
        return "WORD";
    }
    return "";
}

static void help_section(const char *section, bool own, FILE *out)
{
    fprintf(out, "\n[%s]\n", section);
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        const struct lh_option *option = &lh_settings_options[i];
        if (strcmp(option->section, section) != 0)
            continue;
        char flag[NAME_MAX_BYTES];
        snprintf(flag, sizeof(flag), "-%s%s%s %s", own ? "" : section, own ? "" : ".", option->key,
                 argument_word(option->type));
        fprintf(out, "  %-36s %s (%s)\n", flag, option->help,
                option->fallback[0] == '\0' ? "\"\"" : option->fallback);
    }
}

void lh_command_line_help(const char *section, FILE *out)
{
    for (size_t i = 0; i < LH_COUNT(general_flags); i++) {
        char flag[NAME_MAX_BYTES];
        snprintf(flag, sizeof(flag), "-%s %s", general_flags[i].name,
                 general_flags[i].argument != NULL ? general_flags[i].argument : "");
        fprintf(out, "  %-36s %s\n", flag, general_flags[i].help);
    }
    if (section[0] != '\0')
        help_section(section, true, out);
    help_section("http", false, out);
    help_section("log", false, out);
}
