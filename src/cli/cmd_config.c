/* lakehouse config check | show | init [FILE] | keys new | document */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/client.h"
#include "cli/terminal.h"
#include "service/keys.h"
#include "service/settings.h"

enum { PAGE_BYTES_MAX = 1 << 20 };

static lh_code load(const struct lh_cli *cli, struct lh_settings *settings,
                    enum lh_config_origin *origins, struct lh_error *err)
{
    const struct lh_config_source source = {
        .file = lh_client_config_file(cli),
        .environment = environ,
    };
    return lh_settings_load(&source, settings, origins, err);
}

static int check(struct lh_cli *cli)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_settings settings;
    if (load(cli, &settings, NULL, &err) != LH_OK) {
        lh_cli_failed(cli, &err);
        return LH_EXIT_PROBLEMS;
    }
    lh_settings_free(&settings);
    const char *file = lh_client_config_file(cli);
    printf("%s: ok\n", file ? file : "defaults (there is no lakehouse.toml here)");
    return LH_EXIT_OK;
}

/* ---- as TOML ---- */

static bool is_quoted(enum lh_option_type type)
{
    return type != LH_OPTION_COUNT && type != LH_OPTION_BOOL;
}

/* key = value, as it would stand in a file. */
static void put_value(struct lh_buf *out, const struct lh_option *option,
                      const struct lh_settings *settings)
{
    LH_AUTO_BUF struct lh_buf value = LH_BUF_INIT(PAGE_BYTES_MAX);
    lh_config_format(option, settings, &value);
    lh_buf_printf(out, "%s = ", option->key);
    if (!is_quoted(option->type)) {
        lh_buf_append_str(out, lh_buf_str(&value));
        return;
    }
    lh_buf_append_char(out, '"');
    lh_json_escape(out, lh_buf_str(&value)); /* TOML's basic strings take JSON's escapes */
    lh_buf_append_char(out, '"');
}

/* "[section]" before the first key of a section. */
static void put_section(struct lh_buf *out, size_t i)
{
    const char *section = lh_settings_options[i].section;
    bool is_first = i == 0 || strcmp(section, lh_settings_options[i - 1].section) != 0;
    if (!is_first || section[0] == '\0')
        return;
    const char *help = lh_settings_section_help(section);
    lh_buf_printf(out, "\n[%s]", section);
    if (help)
        lh_buf_printf(out, "  # %s", help);
    lh_buf_append_char(out, '\n');
}

static int show(struct lh_cli *cli)
{
    static const char *const origin_words[] = {
        [LH_FROM_DEFAULT] = "",
        [LH_FROM_FILE] = "  # file",
        [LH_FROM_ENVIRONMENT] = "  # environment",
        [LH_FROM_FLAG] = "  # flag",
    };
    struct lh_error err = LH_ERROR_INIT;
    struct lh_settings settings;
    LH_AUTO_FREE enum lh_config_origin *origins =
        lh_calloc(lh_settings_option_count, sizeof(*origins));
    if (load(cli, &settings, origins, &err) != LH_OK)
        return lh_cli_failed(cli, &err);
    LH_AUTO_BUF struct lh_buf page = LH_BUF_INIT(PAGE_BYTES_MAX);
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        put_section(&page, i);
        put_value(&page, &lh_settings_options[i], &settings);
        lh_buf_printf(&page, "%s\n", origin_words[origins[i]]);
    }
    fputs(page.data, stdout);
    lh_settings_free(&settings);
    return LH_EXIT_OK;
}

/* Every key with its default, commented out, so that the rest is what somebody chose. */
static void put_template(struct lh_buf *out)
{
    lh_buf_append_cstr(out,
                       "# The configuration of a lakehouse. A line that begins with # shows the "
                       "default.\n# lakehouse config check looks for mistakes.\n\n");
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        const struct lh_option *option = &lh_settings_options[i];
        put_section(out, i);
        const char *quote = is_quoted(option->type) ? "\"" : "";
        LH_AUTO_FREE char *line =
            lh_asprintf("#%s = %s%s%s", option->key, quote, option->fallback, quote);
        lh_buf_printf(out, "%-44s # %s\n", line, option->help);
    }
}

static int init(struct lh_cli *cli, const char *path)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = LH_OK;
    LH_AUTO_BUF struct lh_buf page = LH_BUF_INIT(PAGE_BYTES_MAX);
    put_template(&page);
    if (access(path, F_OK) == 0)
        code = lh_fail(&err, LH_EXISTS, "%s is there already", path);
    else
        code = lh_write_file_durable(path, page.data, page.len, 0644, &err);
    if (code != LH_OK)
        return lh_cli_failed(cli, &err);
    printf("%s: written, all defaults\n", path);
    return LH_EXIT_OK;
}

static int document(void)
{
    LH_AUTO_BUF struct lh_buf page = LH_BUF_INIT(PAGE_BYTES_MAX);
    lh_settings_document(&page);
    fputs(page.data, stdout);
    return LH_EXIT_OK;
}

/* A fresh key on stdout, to be put into the keys file. */
static int make_key(struct lh_cli *cli, const char *role, const char *pattern)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf key = LH_BUF_INIT(PAGE_BYTES_MAX);
    if (lh_keys_make(role, lh_str_from(pattern), &key, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    fputs(key.data, stdout);
    return LH_EXIT_OK;
}

static int unknown(struct lh_cli *cli, const char *word)
{
    static const char *const words[] = {"check", "show", "init", "keys", "document"};
    struct lh_error err = LH_ERROR_INIT;
    const char *nearest = lh_nearest(lh_str_from(word), words, LH_COUNT(words));
    LH_IGNORE(lh_fail(&err, LH_INVALID,
                      "lakehouse config takes check, show, init, keys new or document%s%s",
                      word[0] ? ", not " : "", word),
              "the hint follows");
    if (nearest)
        LH_IGNORE(lh_hint(&err, "did you mean: lakehouse config %s", nearest), "printed below");
    return lh_cli_misused(cli, &err);
}

int lh_cmd_config(struct lh_cli *cli, int argc, char **argv)
{
    const char *role = "admin", *pattern = "*";
    const struct lh_cli_flag flags[] = {
        {"role", 0, LH_CLI_TEXT, &role, "ROLE", "of the new key: admin, write or read (admin)"},
        {"pattern", 0, LH_CLI_TEXT, &pattern, "PATTERN",
         "what it may reach: a bucket, or bucket/prefix* (*)"},
    };
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_CLI_ARGUMENTS struct lh_cli_arguments arguments = {0};
    if (lh_cli_parse(cli, flags, LH_COUNT(flags), argc, argv, &arguments, &err) != LH_OK)
        return lh_cli_misused(cli, &err);
    if (arguments.help)
        return lh_cli_usage(cli, flags, LH_COUNT(flags));
    lh_str word = arguments.count > 0 ? lh_str_from(arguments.words[0]) : LH_STR_NONE;
    if (lh_str_is(word, "init") && arguments.count <= 2)
        return init(cli, arguments.count == 2 ? arguments.words[1] : "lakehouse.toml");
    if (lh_str_is(word, "check") && arguments.count == 1)
        return check(cli);
    if (lh_str_is(word, "show") && arguments.count == 1)
        return show(cli);
    if (lh_str_is(word, "keys") && arguments.count == 2 &&
        lh_str_is(lh_str_from(arguments.words[1]), "new"))
        return make_key(cli, role, pattern);
    if (lh_str_is(word, "document") && arguments.count == 1)
        return document();
    return unknown(cli, arguments.count > 0 ? arguments.words[0] : "");
}
