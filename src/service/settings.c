/*
 * The settings: the table of options made from settings.def, the URLs that follow from listen
 * addresses, and the table as a page of documentation.
 */
#include "service/settings.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

/* ---- the table ---- */

#define LH_SECTION(section, help)
#define LH_TEXT(section_, key_, type_, fallback_, choices_, help_)                                 \
    {.section = #section_,                                                                         \
     .key = #key_,                                                                                 \
     .type = LH_OPTION_##type_,                                                                    \
     .offset = offsetof(struct lh_settings, section_.key_),                                        \
     .fallback = (fallback_),                                                                      \
     .choices = (choices_),                                                                        \
     .help = (help_)},
#define LH_NUMBER(section_, key_, type_, fallback_, min_, max_, help_)                             \
    {.section = #section_,                                                                         \
     .key = #key_,                                                                                 \
     .type = LH_OPTION_##type_,                                                                    \
     .offset = offsetof(struct lh_settings, section_.key_),                                        \
     .fallback = (fallback_),                                                                      \
     .min = (min_),                                                                                \
     .max = (max_),                                                                                \
     .help = (help_)},
#define LH_FLAG(section_, key_, fallback_, help_)                                                  \
    {.section = #section_,                                                                         \
     .key = #key_,                                                                                 \
     .type = LH_OPTION_BOOL,                                                                       \
     .offset = offsetof(struct lh_settings, section_.key_),                                        \
     .fallback = (fallback_),                                                                      \
     .help = (help_)},
#define LH_SECTION_END(section)

const struct lh_option lh_settings_options[] = {
    {.section = "",
     .key = "data_dir",
     .type = LH_OPTION_PATH,
     .offset = offsetof(struct lh_settings, data_dir),
     .fallback = "lakehouse-data",
     .help = "folder of all data; each service has its own folder in it"},
#include "service/settings.def"
};
#undef LH_SECTION
#undef LH_TEXT
#undef LH_NUMBER
#undef LH_FLAG
#undef LH_SECTION_END

const size_t lh_settings_option_count = LH_COUNT(lh_settings_options);

/* ---- loading ---- */

static char **text_member(struct lh_settings *settings, const struct lh_option *option)
{
    return (char **)(void *)((char *)settings + option->offset);
}

/* Where a client reaches a service that listens on `listen`: an address that stands for all
 * interfaces is reached through loopback. */
char *lh_settings_url(const struct lh_settings *settings, const char *listen)
{
    char host[256];
    uint16_t port = 0;
    LH_CHECK(lh_parse_address(lh_str_from(listen), host, sizeof(host), &port));
    const char *scheme = settings->http.tls_certificate[0] != '\0' ? "https" : "http";
    if (strcmp(host, "0.0.0.0") == 0)
        return lh_asprintf("%s://127.0.0.1:%u", scheme, port);
    if (strcmp(host, "::") == 0)
        return lh_asprintf("%s://[::1]:%u", scheme, port);
    bool is_v6 = strchr(host, ':') != NULL;
    return lh_asprintf("%s://%s%s%s:%u", scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

/* A text of the settings by its name; NULL when there is no such key. */
static const char *find_text(const struct lh_settings *settings, lh_str section, lh_str key)
{
    size_t index = lh_config_find(lh_settings_options, lh_settings_option_count, section, key);
    if (index == lh_settings_option_count)
        return NULL;
    const char *member = (const char *)settings + lh_settings_options[index].offset;
    return *(char *const *)(const void *)member;
}

const char *lh_settings_listen(const struct lh_settings *settings, lh_str section)
{
    const char *listen = find_text(settings, section, LH_STR("listen"));
    LH_CHECK(listen != NULL);
    return listen;
}

const char *lh_settings_storaged_url(const struct lh_settings *settings, const char *section)
{
    const char *url = find_text(settings, lh_str_from(section), LH_STR("storaged_url"));
    return url != NULL ? url : "";
}

/* "storaged_url" -> the listen address of [storaged]. */
static const char *listen_behind(const struct lh_settings *settings, const char *url_key)
{
    lh_str section = lh_str_from(url_key);
    LH_CHECK(lh_str_ends(section, "_url"));
    section.len -= strlen("_url");
    return lh_settings_listen(settings, section);
}

static void derive_urls(struct lh_settings *settings)
{
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        const struct lh_option *option = &lh_settings_options[i];
        if (option->type != LH_OPTION_URL)
            continue;
        char **url = text_member(settings, option);
        if (strcmp(*url, "auto") != 0)
            continue;
        free(*url);
        *url = lh_settings_url(settings, listen_behind(settings, option->key));
    }
}

lh_code lh_settings_load(const struct lh_config_source *source, struct lh_settings *ret_settings,
                         enum lh_config_origin *origins, struct lh_error *err)
{
    struct lh_settings settings = {0};
    LH_TRY(lh_config_load(lh_settings_options, lh_settings_option_count, source, &settings, origins,
                          err));
    derive_urls(&settings);
    *ret_settings = settings;
    return LH_OK;
}

void lh_settings_free(struct lh_settings *settings)
{
    lh_config_free(lh_settings_options, lh_settings_option_count, settings);
}

/* ---- the page ---- */

static const struct {
    const char *section, *help;
} sections[] = {
#define LH_SECTION(section, help) {#section, help},
#define LH_TEXT(section, key, type, fallback, choices, help)
#define LH_NUMBER(section, key, type, fallback, min, max, help)
#define LH_FLAG(section, key, fallback, help)
#define LH_SECTION_END(section)
#include "service/settings.def"
#undef LH_SECTION
#undef LH_TEXT
#undef LH_NUMBER
#undef LH_FLAG
#undef LH_SECTION_END
};

const char *lh_settings_section_help(const char *section)
{
    for (size_t i = 0; i < LH_COUNT(sections); i++) {
        if (strcmp(sections[i].section, section) == 0)
            return sections[i].help;
    }
    return NULL;
}

/* A bound as it would stand in a file: "1MiB", "10s". */
static void append_bound(struct lh_buf *out, const struct lh_option *option, int64_t bound)
{
    if (bound == INT64_MAX) {
        lh_buf_append_cstr(out, "no limit");
        return;
    }
    struct lh_option number = *option;
    number.offset = 0;
    lh_config_format(&number, &bound, out);
}

static void append_bounds(struct lh_buf *out, const struct lh_option *option)
{
    switch (option->type) {
    case LH_OPTION_BYTES:
    case LH_OPTION_DURATION:
    case LH_OPTION_COUNT:
        append_bound(out, option, option->min);
        lh_buf_append_cstr(out, " to ");
        append_bound(out, option, option->max);
        return;
    case LH_OPTION_CHOICE:
        for (const char *c = option->choices; *c != '\0'; c++) {
            if (*c == '|')
                lh_buf_append_cstr(out, ", ");
            else
                lh_buf_append_char(out, *c);
        }
        return;
    case LH_OPTION_BOOL:
        lh_buf_append_cstr(out, "true, false");
        return;
    case LH_OPTION_ADDRESS:
        lh_buf_append_cstr(out, "host:port; port 0 = any free one");
        return;
    case LH_OPTION_URL:
        lh_buf_append_cstr(out, "http://host:port; auto = from its listen address");
        return;
    case LH_OPTION_PATH:
        lh_buf_append_cstr(out, "path; in a file: relative to the file");
        return;
    case LH_OPTION_STRING:
        lh_buf_append_cstr(out, "text");
        return;
    case LH_OPTION_SECRET:
        lh_buf_append_cstr(out, "text; better in the environment than in a file");
        return;
    }
}

static void append_option_row(struct lh_buf *out, const struct lh_option *option)
{
    lh_buf_printf(out, "| `%s` | `%s` | ", option->key,
                  option->fallback[0] == '\0' ? "\"\"" : option->fallback);
    append_bounds(out, option);
    lh_buf_printf(out, " | %s |\n", option->help);
}

static void append_section_rows(struct lh_buf *out, const char *section)
{
    lh_buf_append_cstr(out, "| key | default | bounds | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < lh_settings_option_count; i++) {
        if (strcmp(lh_settings_options[i].section, section) == 0)
            append_option_row(out, &lh_settings_options[i]);
    }
    lh_buf_append_char(out, '\n');
}

void lh_settings_document(struct lh_buf *out)
{
    lh_buf_append_cstr(
        out,
        "# Settings and limits\n\n"
        "Every key of `lakehouse.toml`, made from `src/service/settings.def` by\n"
        "`lakehouse config document`. A key is set, the first that is given wins, by the flag\n"
        "`-section.key VALUE` (of the program's own section also `-key VALUE`), by the "
        "environment\n"
        "variable `LAKEHOUSE_SECTION__KEY`, by the file, or it has its default. An unknown key is "
        "an\n"
        "error that names the nearest spelling. Sizes are written `4096`, `64KiB`, `5GiB`; times\n"
        "`500ms`, `60s`, `5m`, `1h`.\n\n"
        "## top level\n\n");
    append_section_rows(out, "");
    for (size_t i = 0; i < LH_COUNT(sections); i++) {
        lh_buf_printf(out, "## [%s]: %s\n\n", sections[i].section, sections[i].help);
        append_section_rows(out, sections[i].section);
    }
}
