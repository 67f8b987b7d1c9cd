/*
 * Configuration: one table of options, four sources. Sources are applied from the weakest to the
 * strongest, each value through lh_config_set, so that all of them are checked alike.
 */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/toml.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_BYTES_MAX = 128 };

static bool is_text(enum lh_option_type type)
{
    switch (type) {
    case LH_OPTION_STRING:
    case LH_OPTION_ADDRESS:
    case LH_OPTION_URL:
    case LH_OPTION_PATH:
    case LH_OPTION_CHOICE:
    case LH_OPTION_SECRET:
        return true;
    case LH_OPTION_BYTES:
    case LH_OPTION_DURATION:
    case LH_OPTION_COUNT:
    case LH_OPTION_BOOL:
        return false;
    }
    return false;
}

/* ---- members of the settings struct ---- */

static void *member(const struct lh_option *option, void *settings)
{
    return (char *)settings + option->offset;
}

static const void *member_const(const struct lh_option *option, const void *settings)
{
    return (const char *)settings + option->offset;
}

static void set_text(const struct lh_option *option, void *settings, char *owned)
{
    char **slot = member(option, settings);
    free(*slot);
    *slot = owned;
}

/* ---- units ---- */

struct unit {
    const char *name;
    int64_t factor;
};

/* From the largest to the smallest of a family, so that formatting takes the first that divides. */
static const struct unit byte_units[] = {
    {"TiB", INT64_C(1) << 40}, {"GiB", INT64_C(1) << 30},      {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10}, {"TB", INT64_C(1000000000000)}, {"GB", INT64_C(1000000000)},
    {"MB", INT64_C(1000000)},  {"KB", INT64_C(1000)},          {"B", 1},
};

static const struct unit duration_units[] = {
    {"d", INT64_C(86400000)},
    {"h", INT64_C(3600000)},
    {"m", INT64_C(60000)},
    {"s", INT64_C(1000)},
    {"ms", 1},
};

/* "12unit" or "12 unit". A number without unit counts only if it is 0 or `unit_needed` is false. */
static bool parse_with_unit(lh_str text, const struct unit *units, size_t unit_count,
                            bool unit_needed, int64_t *ret)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    int64_t number;
    if (!lh_str_to_i64(lh_str_of(text.ptr, digits), &number))
        return false;
    lh_str name = lh_str_trim(lh_str_skip(text, digits));
    if (text.len == digits) {
        if (unit_needed && number != 0)
            return false;
        *ret = number;
        return true;
    }
    for (size_t i = 0; i < unit_count; i++) {
        int64_t product;
        if (lh_str_eq_nocase(name, lh_str_from(units[i].name))) {
            if (__builtin_mul_overflow(number, units[i].factor, &product))
                return false;
            *ret = product;
            return true;
        }
    }
    return false;
}

bool lh_parse_bytes(lh_str text, int64_t *ret)
{
    return parse_with_unit(text, byte_units, LH_COUNT(byte_units), false, ret);
}

bool lh_parse_duration_ms(lh_str text, int64_t *ret)
{
    return parse_with_unit(text, duration_units, LH_COUNT(duration_units), true, ret);
}

static void format_with_unit(int64_t value, const struct unit *units, size_t unit_count,
                             struct lh_buf *out)
{
    const struct unit *unit = units;
    while (unit < units + unit_count - 1 && (value == 0 || value % unit->factor != 0))
        unit++;
    lh_buf_printf(out, "%lld%s", (long long)(value / unit->factor), unit->name);
}

static void format_number(enum lh_option_type type, int64_t value, struct lh_buf *out)
{
    if (type == LH_OPTION_BYTES)
        format_with_unit(value, byte_units, LH_COUNT(byte_units), out);
    else if (type == LH_OPTION_DURATION)
        format_with_unit(value, duration_units, LH_COUNT(duration_units), out);
    else
        lh_buf_printf(out, "%lld", (long long)value);
}

bool lh_parse_address(lh_str text, char *ret_host, size_t host_size, uint16_t *ret_port)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    lh_str host = lh_str_of(text.ptr, colon - 1);
    uint64_t port;
    if (!lh_str_to_u64(lh_str_skip(text, colon), &port) || port > UINT16_MAX)
        return false;
    bool in_brackets = lh_str_starts(host, "[") && lh_str_ends(host, "]") && host.len > 2;
    if (in_brackets)
        host = lh_str_of(host.ptr + 1, host.len - 2);
    bool has_colon = host.len > 0 && memchr(host.ptr, ':', host.len) != NULL;
    if (host.len == 0 || host.len >= host_size || has_colon != in_brackets)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (strchr(" /[]", host.ptr[i])) /* NUL, too */
            return false;
    }
    memcpy(ret_host, host.ptr, host.len);
    ret_host[host.len] = '\0';
    *ret_port = (uint16_t)port;
    return true;
}

/* ---- one value ---- */

/* "storaged.listen", or the key alone at the top level. */
static void option_name(const struct lh_option *option, char out[NAME_BYTES_MAX])
{
    const char *dot = option->section[0] ? "." : "";
    snprintf(out, NAME_BYTES_MAX, "%s%s%s", option->section, dot, option->key);
}

static lh_code wrong_value(const struct lh_option *option, lh_str text, const char *wanted,
                           struct lh_error *err)
{
    char name[NAME_BYTES_MAX];
    option_name(option, name);
    return lh_fail(err, LH_INVALID_CONFIG, "%s is \"%.*s\", but it must be %s", name, LH_FMT(text),
                   wanted);
}

static lh_code set_number(const struct lh_option *option, lh_str text, void *settings,
                          struct lh_error *err)
{
    int64_t value = 0;
    if (option->type == LH_OPTION_BYTES && !lh_parse_bytes(text, &value))
        return wrong_value(option, text, "a size such as 4096, \"64KiB\" or \"5GiB\"", err);
    if (option->type == LH_OPTION_DURATION && !lh_parse_duration_ms(text, &value))
        return wrong_value(option, text, "a time such as \"500ms\", \"60s\", \"5m\" or \"1h\"",
                           err);
    if (option->type == LH_OPTION_COUNT && !lh_str_to_i64(text, &value))
        return wrong_value(option, text, "a whole number", err);
    if (value < option->min || value > option->max) {
        LH_AUTO_BUF struct lh_buf bounds = LH_BUF_INIT(NAME_BYTES_MAX);
        lh_buf_append_cstr(&bounds, "between ");
        format_number(option->type, option->min, &bounds);
        lh_buf_append_cstr(&bounds, " and ");
        format_number(option->type, option->max, &bounds);
        return wrong_value(option, text, bounds.data, err);
    }
    memcpy(member(option, settings), &value, sizeof(value));
    return LH_OK;
}

static lh_code set_bool(const struct lh_option *option, lh_str text, void *settings,
                        struct lh_error *err)
{
    bool value = lh_str_is(text, "true");
    if (!value && !lh_str_is(text, "false"))
        return wrong_value(option, text, "true or false", err);
    memcpy(member(option, settings), &value, sizeof(value));
    return LH_OK;
}

static lh_code check_choice(const struct lh_option *option, lh_str text, struct lh_error *err)
{
    const char *words[16];
    size_t count = 0;
    LH_AUTO_FREE char *space = lh_strdup(option->choices);
    for (char *word = space; word && count < LH_COUNT(words);) {
        char *bar = strchr(word, '|');
        if (bar)
            *bar++ = '\0';
        if (lh_str_is(text, word))
            return LH_OK;
        words[count++] = word;
        word = bar;
    }
    LH_AUTO_FREE char *wanted = lh_asprintf("one of %s", option->choices);
    lh_code code = wrong_value(option, text, wanted, err);
    const char *nearest = lh_nearest(text, words, count);
    return nearest ? lh_hint(err, "did you mean \"%s\"?", nearest) : code;
}

static bool is_url(lh_str text)
{
    return text.len == 0 || lh_str_is(text, "auto") ||
           (lh_str_starts(text, "http://") && text.len > strlen("http://")) ||
           (lh_str_starts(text, "https://") && text.len > strlen("https://"));
}

static lh_code check_text(const struct lh_option *option, lh_str text, struct lh_error *err)
{
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return wrong_value(option, text, "a text without NUL", err);
    char host[256];
    uint16_t port;
    if (option->type == LH_OPTION_ADDRESS && !lh_parse_address(text, host, sizeof(host), &port))
        return wrong_value(option, text, "host:port, such as \"127.0.0.1:3110\"", err);
    if (option->type == LH_OPTION_URL && !is_url(text))
        return wrong_value(option, text, "\"http://host:port\", \"auto\" or \"\"", err);
    if (option->type == LH_OPTION_PATH && text.len == 0 && option->fallback[0] != '\0')
        return wrong_value(option, text, "a path", err);
    return option->type == LH_OPTION_CHOICE ? check_choice(option, text, err) : LH_OK;
}

lh_code lh_config_set(const struct lh_option *option, lh_str text, void *settings,
                      struct lh_error *err)
{
    if (option->type == LH_OPTION_BOOL)
        return set_bool(option, text, settings, err);
    if (!is_text(option->type))
        return set_number(option, text, settings, err);
    LH_TRY(check_text(option, text, err));
    set_text(option, settings, lh_strndup(text.ptr, text.len));
    return LH_OK;
}

void lh_config_format(const struct lh_option *option, const void *settings, struct lh_buf *out)
{
    const void *slot = member_const(option, settings);
    if (is_text(option->type)) {
        const char *text = *(const char *const *)slot;
        if (option->type == LH_OPTION_SECRET && text != NULL && text[0] != '\0')
            text = "(set)";
        lh_buf_append_cstr(out, text ? text : "");
    } else if (option->type == LH_OPTION_BOOL) {
        bool value;
        memcpy(&value, slot, sizeof(value));
        lh_buf_append_cstr(out, value ? "true" : "false");
    } else {
        int64_t value;
        memcpy(&value, slot, sizeof(value));
        format_number(option->type, value, out);
    }
}

/* ---- names ---- */

size_t lh_config_find(const struct lh_option *options, size_t count, lh_str section, lh_str key)
{
    for (size_t i = 0; i < count; i++) {
        if (lh_str_is(section, options[i].section) && lh_str_is(key, options[i].key))
            return i;
    }
    return count;
}

/* The sources as they are applied: where a value goes, and who set it. */
struct loading {
    const struct lh_option *options;
    size_t count;
    void *settings;
    enum lh_config_origin *origins; /* one each, owned here */
    const char *file;
};

static bool section_is_known(const struct loading *loading, lh_str section)
{
    for (size_t i = 0; i < loading->count; i++) {
        if (lh_str_is(section, loading->options[i].section))
            return true;
    }
    return false;
}

/* Names what is not known, and what may have been meant. */
static lh_code unknown_name(const struct loading *loading, lh_str section, lh_str key,
                            struct lh_error *err)
{
    bool known_section = section_is_known(loading, section);
    LH_AUTO_FREE const char **candidates = lh_calloc(loading->count, sizeof(*candidates));
    size_t candidate_count = 0;
    for (size_t i = 0; i < loading->count; i++) {
        const struct lh_option *option = &loading->options[i];
        if (!known_section)
            candidates[candidate_count++] = option->section;
        else if (lh_str_is(section, option->section))
            candidates[candidate_count++] = option->key;
    }
    const char *nearest = lh_nearest(known_section ? key : section, candidates, candidate_count);
    lh_code code;
    if (!known_section)
        code = lh_fail(err, LH_INVALID_CONFIG, "there is no section [%.*s]", LH_FMT(section));
    else if (section.len == 0)
        code = lh_fail(err, LH_INVALID_CONFIG, "there is no key \"%.*s\" at the top level",
                       LH_FMT(key));
    else
        code = lh_fail(err, LH_INVALID_CONFIG, "there is no key \"%.*s\" in [%.*s]", LH_FMT(key),
                       LH_FMT(section));
    return nearest ? lh_hint(err, "did you mean \"%s\"?", nearest) : code;
}

static lh_code set_named(struct loading *loading, lh_str section, lh_str key, lh_str value,
                         enum lh_config_origin origin, struct lh_error *err)
{
    size_t i = lh_config_find(loading->options, loading->count, section, key);
    if (i == loading->count)
        return unknown_name(loading, section, key, err);
    LH_TRY(lh_config_set(&loading->options[i], value, loading->settings, err));
    loading->origins[i] = origin;
    return LH_OK;
}

/* ---- the sources ---- */

static lh_code apply_defaults(struct loading *loading, struct lh_error *err)
{
    for (size_t i = 0; i < loading->count; i++) {
        const struct lh_option *option = &loading->options[i];
        LH_TRY(lh_config_set(option, lh_str_from(option->fallback), loading->settings, err));
        loading->origins[i] = LH_FROM_DEFAULT;
    }
    return LH_OK;
}

static lh_code on_file_value(void *ctx, lh_str section, lh_str key, lh_str value, uint64_t line,
                             uint64_t column, struct lh_error *err)
{
    (void)line; /* lh_toml_parse puts both into *err */
    (void)column;
    struct loading *loading = ctx;
    if (key.len == 0 && section_is_known(loading, section)) /* an empty section */
        return LH_OK;
    return set_named(loading, section, key, value, LH_FROM_FILE, err);
}

static lh_code apply_file(struct loading *loading, struct lh_error *err)
{
    LH_AUTO_FREE char *bytes = NULL;
    size_t len;
    if (lh_read_file(loading->file, FILE_BYTES_MAX, &bytes, &len, err) != LH_OK) {
        err->code = LH_INVALID_CONFIG; /* for whoever asked for it, whatever the reason */
        return err->code;
    }
    lh_code code = lh_toml_parse(lh_str_of(bytes, len), on_file_value, loading, err);
    if (code == LH_OK)
        return LH_OK;
    return lh_fail_context(err, "%s:%llu:%llu", loading->file, (unsigned long long)err->line,
                           (unsigned long long)err->column);
}

/* Paths of the file, and the defaults that stand for what it leaves out, start at its folder. */
static void place_paths(struct loading *loading)
{
    const char *slash = strrchr(loading->file, '/');
    if (!slash)
        return;
    int folder_len = (int)(slash + 1 - loading->file);
    for (size_t i = 0; i < loading->count; i++) {
        const struct lh_option *option = &loading->options[i];
        if (option->type != LH_OPTION_PATH)
            continue;
        char *const *path = member(option, loading->settings);
        if ((*path)[0] != '/' && (*path)[0] != '\0')
            set_text(option, loading->settings,
                     lh_asprintf("%.*s%s", folder_len, loading->file, *path));
    }
}

/* "STORAGED__LISTEN" to "storaged" and "listen"; "DATA_DIR" to "" and "data_dir". */
static void split_variable(char *name, lh_str *ret_section, lh_str *ret_key)
{
    for (char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    char *cut = strstr(name, "__");
    *ret_section = cut ? lh_str_of(name, (size_t)(cut - name)) : LH_STR_NONE;
    *ret_key = lh_str_from(cut ? cut + 2 : name);
}

static lh_code apply_variable(struct loading *loading, const char *variable, struct lh_error *err)
{
    const char *equals = strchr(variable, '=');
    lh_str whole_name = lh_str_of(variable, equals ? (size_t)(equals - variable) : 0);
    if (!lh_str_starts(whole_name, "LAKEHOUSE_"))
        return LH_OK;
    lh_str short_name = lh_str_skip(whole_name, strlen("LAKEHOUSE_"));
    LH_AUTO_FREE char *name = lh_strndup(short_name.ptr, short_name.len);
    lh_str section, key;
    split_variable(name, &section, &key);
    /* Others use plain names: LAKEHOUSE_URL of the command line tool. */
    if (section.len == 0 &&
        lh_config_find(loading->options, loading->count, section, key) == loading->count)
        return LH_OK;
    lh_str value = lh_str_from(equals + 1);
    if (set_named(loading, section, key, value, LH_FROM_ENVIRONMENT, err) == LH_OK)
        return LH_OK;
    return lh_fail_context(err, "%.*s", LH_FMT(whole_name));
}

static lh_code apply_environment(struct loading *loading, char *const *environment,
                                 struct lh_error *err)
{
    for (char *const *variable = environment; *variable; variable++)
        LH_TRY(apply_variable(loading, *variable, err));
    return LH_OK;
}

static lh_code apply_flags(struct loading *loading, const struct lh_config_flag *flags,
                           size_t flag_count, struct lh_error *err)
{
    for (size_t i = 0; i < flag_count; i++) {
        const struct lh_config_flag *flag = &flags[i];
        LH_TRY(set_named(loading, flag->section, flag->key, flag->value, LH_FROM_FLAG, err));
    }
    return LH_OK;
}

static lh_code apply_all(struct loading *loading, const struct lh_config_source *source,
                         struct lh_error *err)
{
    LH_TRY(apply_defaults(loading, err));
    if (source->file) {
        LH_TRY(apply_file(loading, err));
        place_paths(loading);
    }
    if (source->environment)
        LH_TRY(apply_environment(loading, source->environment, err));
    return apply_flags(loading, source->flags, source->flag_count, err);
}

/* Every member 0, so that lh_config_free accepts the settings however far the loading comes. */
static void clear(const struct lh_option *options, size_t count, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        enum lh_option_type type = options[i].type;
        size_t bytes = is_text(type)            ? sizeof(char *)
                       : type == LH_OPTION_BOOL ? sizeof(bool)
                                                : sizeof(int64_t);
        memset(member(&options[i], settings), 0, bytes);
    }
}

lh_code lh_config_load(const struct lh_option *options, size_t count,
                       const struct lh_config_source *source, void *settings,
                       enum lh_config_origin *origins, struct lh_error *err)
{
    clear(options, count, settings);
    LH_AUTO_FREE enum lh_config_origin *found = lh_calloc(count, sizeof(*found));
    struct loading loading = {options, count, settings, found, source->file};
    lh_code code = apply_all(&loading, source, err);
    if (code != LH_OK) {
        lh_config_free(options, count, settings);
        return code;
    }
    if (origins)
        memcpy(origins, found, count * sizeof(*found));
    return LH_OK;
}

void lh_config_free(const struct lh_option *options, size_t count, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        if (is_text(options[i].type))
            set_text(&options[i], settings, NULL);
    }
    clear(options, count, settings);
}
