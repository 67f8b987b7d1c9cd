/*
 * The options of an ingest, their names and their canonical text.
 */
#include "ingestd/options.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "ingestd/types.h"

enum { OPTIONS_TEXT_MAX = 8 << 20 };

static const char *const mode_words[] = {"create", "append", "replace"};
static const char *const format_words[] = {"auto", "csv", "json", "ndjson", "parquet"};
static const char *const header_words[] = {"auto", "true", "false"};

const char *lh_ingest_mode_name(enum lh_ingest_mode mode)
{
    return mode_words[mode];
}

const char *lh_ingest_format_name(enum lh_ingest_format format)
{
    return format_words[format];
}

void lh_ingest_options_init(struct lh_ingest_options *options)
{
    *options = (struct lh_ingest_options){
        .delimiter = ',',
        .quote = '"',
        .escape = '"',
        .decimal_separator = '.',
        .strict_mode = true,
    };
}

void lh_ingest_options_deinit(struct lh_ingest_options *options)
{
    free(options->null_text);
    free(options->date_format);
    free(options->timestamp_format);
    for (size_t i = 0; i < options->type_count; i++) {
        free(options->types[i].name);
        free(options->types[i].type);
    }
    free(options->types);
    *options = (struct lh_ingest_options){0};
}

/* ---- values ---- */

static lh_code fail_value(lh_str name, lh_str value, const char *wanted, struct lh_error *err)
{
    return lh_fail(err, LH_INVALID, "%.*s=%.*s: must be %s", LH_FMT(name), LH_FMT(value), wanted);
}

/* The index of the word, or -1. */
static int find_word(lh_str value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_eq_nocase(value, lh_str_from(words[i])))
            return (int)i;
    return -1;
}

/* One character of ASCII, also by name, for those that are hard to type into an address. */
static bool parse_character(lh_str value, char *ret)
{
    static const struct {
        const char *name;
        char character;
    } names[] = {{"tab", '\t'},      {"\\t", '\t'},  {"comma", ','}, {"pipe", '|'},
                 {"semicolon", ';'}, {"space", ' '}, {"colon", ':'}, {"apostrophe", '\''}};
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        if (!lh_str_eq_nocase(value, lh_str_from(names[i].name)))
            continue;
        *ret = names[i].character;
        return true;
    }
    if (value.len != 1)
        return false;
    char c = value.ptr[0];
    if (c != '\t' && (c < ' ' || c > '~'))
        return false;
    *ret = c;
    return true;
}

static lh_code set_character(lh_str name, lh_str value, char *ret, bool *ret_set,
                             struct lh_error *err)
{
    if (!parse_character(value, ret))
        return fail_value(name, value, "one character, or tab", err);
    *ret_set = true;
    return LH_OK;
}

static lh_code set_quote(struct lh_ingest_options *options, lh_str name, lh_str value,
                         struct lh_error *err)
{
    if (value.len == 0 || lh_str_eq_nocase(value, LH_STR("none"))) {
        options->quote = 0;
        options->has_quote = true;
        return LH_OK;
    }
    LH_TRY(set_character(name, value, &options->quote, &options->has_quote, err));
    if (!options->has_escape)
        options->escape = options->quote;
    return LH_OK;
}

static lh_code set_text(lh_str name, lh_str value, char **ret, struct lh_error *err)
{
    if (memchr(value.ptr != NULL ? value.ptr : "", '\0', value.len) != NULL ||
        !lh_utf8_valid(value))
        return fail_value(name, LH_STR("..."), "text without NUL", err);
    free(*ret);
    *ret = lh_strndup(value.len > 0 ? value.ptr : "", value.len);
    return LH_OK;
}

/* A format of strptime, of the specifiers that DuckDB knows; it names at least one. */
static lh_code set_time_format(lh_str name, lh_str value, char **ret, struct lh_error *err)
{
    static const char specifiers[] = "aAwdbhBmyYHIpMSgfzZjUWcxXGVun%";
    bool any = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '%')
            continue;
        i += i + 1 < value.len && value.ptr[i + 1] == '-' ? 2 : 1;
        any = any || (i < value.len && value.ptr[i] != '%');
        if (i >= value.len || value.ptr[i] == '\0' || strchr(specifiers, value.ptr[i]) == NULL)
            return fail_value(name, value, "a format such as %d/%m/%Y", err);
    }
    if (!any)
        return fail_value(name, value, "a format such as %d/%m/%Y", err);
    return set_text(name, value, ret, err);
}

static lh_code set_bool(lh_str name, lh_str value, bool *ret, struct lh_error *err)
{
    bool yes = lh_str_eq_nocase(value, LH_STR("true")) || lh_str_is(value, "1");
    bool no = lh_str_eq_nocase(value, LH_STR("false")) || lh_str_is(value, "0");
    if (!yes && !no)
        return fail_value(name, value, "true or false", err);
    *ret = yes;
    return LH_OK;
}

static lh_code set_format(struct lh_ingest_options *options, lh_str name, lh_str value,
                          struct lh_error *err)
{
    if (lh_str_eq_nocase(value, LH_STR("tsv"))) {
        options->format = LH_INGEST_CSV;
        options->delimiter = '\t';
        options->has_delimiter = true;
        return LH_OK;
    }
    if (lh_str_eq_nocase(value, LH_STR("jsonl")))
        value = LH_STR("ndjson");
    int index = find_word(value, format_words, LH_COUNT(format_words));
    if (index < 0)
        return fail_value(name, value, "auto, csv, tsv, json, ndjson or parquet", err);
    options->format = (enum lh_ingest_format)index;
    return LH_OK;
}

static lh_code set_header(struct lh_ingest_options *options, lh_str name, lh_str value,
                          struct lh_error *err)
{
    bool yes;
    if (lh_str_eq_nocase(value, LH_STR("auto"))) {
        options->header = LH_HEADER_AUTO;
        return LH_OK;
    }
    LH_TRY(set_bool(name, value, &yes, err));
    options->header = yes ? LH_HEADER_YES : LH_HEADER_NO;
    return LH_OK;
}

static lh_code set_decimal_separator(struct lh_ingest_options *options, lh_str name, lh_str value,
                                     struct lh_error *err)
{
    if (!lh_str_is(value, ".") && !lh_str_is(value, ",") && !lh_str_is(value, "comma"))
        return fail_value(name, value, "a point or a comma", err);
    options->decimal_separator = value.ptr[0] == '.' ? '.' : ',';
    return LH_OK;
}

/* Where the column stands in the sorted list, or would. */
static size_t type_position(const struct lh_ingest_options *options, lh_str column, bool *ret_found)
{
    size_t i = 0;
    int order = -1;
    while (i < options->type_count &&
           (order = lh_str_compare(lh_str_from(options->types[i].name), column)) < 0)
        i++;
    *ret_found = i < options->type_count && order == 0;
    return i;
}

static lh_code set_type(struct lh_ingest_options *options, lh_str column, lh_str value,
                        struct lh_error *err)
{
    if (column.len == 0 || memchr(column.ptr, '\0', column.len) != NULL || !lh_utf8_valid(column))
        return lh_fail(err, LH_INVALID, "type.COLUMN: the name of the column is not valid");
    if (options->type_count == LH_INGEST_TYPES_MAX)
        return lh_fail(err, LH_INVALID, "more than %d type.COLUMN parameters", LH_INGEST_TYPES_MAX);
    char *type = NULL;
    LH_TRY(lh_column_type_parse(value, &type, err));
    bool found;
    size_t at = type_position(options, column, &found);
    if (found) {
        free(options->types[at].type);
        options->types[at].type = type;
        return LH_OK;
    }
    size_t capacity = options->type_count;
    options->types =
        lh_grow(options->types, &capacity, options->type_count + 1, sizeof(*options->types));
    memmove(&options->types[at + 1], &options->types[at],
            (options->type_count - at) * sizeof(*options->types));
    options->types[at] = (struct lh_ingest_column){lh_strndup(column.ptr, column.len), type};
    options->type_count++;
    return LH_OK;
}

static lh_code fail_unknown(lh_str name, struct lh_error *err)
{
    static const char *const known[] = {
        "dataset", "mode",        "format",           "encoding",  "header",
        "null",    "date_format", "timestamp_format", "delimiter", "quote",
        "escape",  "strict_mode", "decimal_separator"};
    LH_IGNORE(lh_fail(err, LH_INVALID, "there is no parameter %.*s", LH_FMT(name)),
              "a hint may follow");
    const char *near = lh_nearest(name, known, LH_COUNT(known));
    return near != NULL ? lh_hint(err, "did you mean %s?", near) : err->code;
}

lh_code lh_ingest_options_set(struct lh_ingest_options *options, lh_str name, lh_str value,
                              struct lh_error *err)
{
    if (value.len > LH_INGEST_VALUE_MAX)
        return lh_fail(err, LH_INVALID, "%.*s: the value is longer than %d bytes", LH_FMT(name),
                       LH_INGEST_VALUE_MAX);
    if (lh_str_is(name, "dataset"))
        return lh_ingest_name_parse(value, options->dataset, err);
    if (lh_str_is(name, "mode")) {
        int index = find_word(value, mode_words, LH_COUNT(mode_words));
        if (index < 0)
            return fail_value(name, value, "create, append or replace", err);
        options->mode = (enum lh_ingest_mode)index;
        return LH_OK;
    }
    if (lh_str_is(name, "format"))
        return set_format(options, name, value, err);
    if (lh_str_is(name, "encoding")) {
        if (!lh_encoding_parse(value, &options->encoding))
            return fail_value(name, value, "auto, utf-8, utf-16, latin-1 or windows-1252", err);
        return LH_OK;
    }
    if (lh_str_is(name, "header"))
        return set_header(options, name, value, err);
    if (lh_str_is(name, "delimiter"))
        return set_character(name, value, &options->delimiter, &options->has_delimiter, err);
    if (lh_str_is(name, "quote"))
        return set_quote(options, name, value, err);
    if (lh_str_is(name, "escape"))
        return set_character(name, value, &options->escape, &options->has_escape, err);
    if (lh_str_is(name, "strict_mode"))
        return set_bool(name, value, &options->strict_mode, err);
    if (lh_str_is(name, "decimal_separator"))
        return set_decimal_separator(options, name, value, err);
    if (lh_str_is(name, "null"))
        return set_text(name, value, &options->null_text, err);
    if (lh_str_is(name, "date_format"))
        return set_time_format(name, value, &options->date_format, err);
    if (lh_str_is(name, "timestamp_format"))
        return set_time_format(name, value, &options->timestamp_format, err);
    if (lh_str_starts(name, "type."))
        return set_type(options, lh_str_skip(name, 5), value, err);
    return fail_unknown(name, err);
}

lh_code lh_ingest_options_check(const struct lh_ingest_options *options, struct lh_error *err)
{
    if (options->format != LH_INGEST_CSV)
        return LH_OK;
    const char *null_text = options->null_text != NULL ? options->null_text : "";
    bool quoted = options->quote != 0;
    if (quoted && (options->delimiter == options->quote || options->delimiter == options->escape))
        return lh_fail(err, LH_INVALID,
                       "the delimiter '%c' is the quote or the escape as well: they must differ",
                       options->delimiter);
    if (strchr(null_text, options->delimiter) != NULL ||
        (quoted && strchr(null_text, options->quote) != NULL) ||
        (quoted && strchr(null_text, options->escape) != NULL))
        return lh_fail(err, LH_INVALID, "null=%s: must not hold the delimiter, quote or escape",
                       null_text);
    return LH_OK;
}

/* ---- the name of a dataset ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(lh_str text)
{
    if (text.len == 0 || text.len > 128 || !is_letter(text.ptr[0]))
        return false;
    for (size_t i = 1; i < text.len; i++)
        if (!is_letter(text.ptr[i]) && !(text.ptr[i] >= '0' && text.ptr[i] <= '9') &&
            text.ptr[i] != '-')
            return false;
    return true;
}

lh_code lh_ingest_name_parse(lh_str text, char out[LH_INGEST_NAME_SIZE], struct lh_error *err)
{
    lh_str name = text;
    lh_str space = LH_STR("main");
    const char *dot = text.len > 0 ? memchr(text.ptr, '.', text.len) : NULL;
    if (dot != NULL) {
        space = lh_str_of(text.ptr, (size_t)(dot - text.ptr));
        name = lh_str_skip(text, space.len + 1);
    }
    if (!is_name(space) || !is_name(name)) {
        LH_IGNORE(lh_fail(err, LH_INVALID_NAME, "'%.*s' is no name for a dataset", LH_FMT(text)),
                  "a hint follows");
        return lh_hint(err, "letters, digits, _ and -, at most 128, not starting with a digit or "
                            "-; optionally behind a namespace and a point");
    }
    bool in_main = lh_str_is(space, "main");
    snprintf(out, LH_INGEST_NAME_SIZE, "%.*s%s%.*s", in_main ? 0 : (int)space.len, space.ptr,
             in_main ? "" : ".", LH_FMT(name));
    return LH_OK;
}

bool lh_ingest_name_from_file(lh_str file_name, char out[LH_INGEST_NAME_SIZE])
{
    for (size_t i = file_name.len; i-- > 0;)
        if (file_name.ptr[i] == '/' || file_name.ptr[i] == '\\') {
            file_name = lh_str_skip(file_name, i + 1);
            break;
        }
    const char *dot = file_name.len > 0 ? memrchr(file_name.ptr, '.', file_name.len) : NULL;
    if (dot != NULL)
        file_name.len = (size_t)(dot - file_name.ptr);
    size_t len = 0;
    bool usable = false;
    for (size_t i = 0; i < file_name.len && len < 128; i++) {
        char c = file_name.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (digit && len == 0)
            out[len++] = '_';
        if (is_letter(c) || digit || (c == '-' && len > 0)) {
            out[len++] = c;
            usable = usable || c != '_';
        } else if (len == 0 || out[len - 1] != '_') {
            out[len++] = '_';
        }
    }
    while (len > 0 && out[len - 1] == '_')
        len--;
    out[len] = '\0';
    return usable && len > 0;
}

/* ---- canonical text ---- */

static void write_character(struct lh_json *json, const char *key, char c)
{
    lh_json_kstr(json, key, lh_str_of(&c, c != 0));
}

static void write_csv_options(const struct lh_ingest_options *options, struct lh_json *json)
{
    lh_json_kcstr(json, "encoding", lh_encoding_name(options->encoding));
    lh_json_kcstr(json, "header", header_words[options->header]);
    write_character(json, "delimiter", options->delimiter);
    write_character(json, "quote", options->quote);
    write_character(json, "escape", options->escape);
    write_character(json, "decimal_separator", options->decimal_separator);
    lh_json_kbool(json, "strict_mode", options->strict_mode);
    /* An absent format and one that is empty are two things, as for "null". */
    if (options->null_text != NULL)
        lh_json_kcstr(json, "null", options->null_text);
    if (options->date_format != NULL)
        lh_json_kcstr(json, "date_format", options->date_format);
    if (options->timestamp_format != NULL)
        lh_json_kcstr(json, "timestamp_format", options->timestamp_format);
}

void lh_ingest_options_write(const struct lh_ingest_options *options, struct lh_json *json)
{
    lh_json_object(json);
    lh_json_kcstr(json, "format", format_words[options->format]);
    if (options->format == LH_INGEST_CSV)
        write_csv_options(options, json);
    else if (options->format != LH_INGEST_PARQUET)
        lh_json_kcstr(json, "encoding", lh_encoding_name(options->encoding));
    lh_json_key(json, "types");
    lh_json_object(json);
    for (size_t i = 0; i < options->type_count; i++)
        lh_json_kcstr(json, options->types[i].name, options->types[i].type);
    lh_json_object_end(json);
    lh_json_object_end(json);
}

static lh_code read_types(json_t *types, struct lh_ingest_options *options, struct lh_error *err)
{
    const char *column;
    json_t *type;
    /* jansson's macro wants a pointer that is not const, and changes nothing */
    json_object_foreach ((json_t *)(uintptr_t)types, column, type) {
        LH_TRY(set_type(options, lh_str_from(column), lh_str_from(json_string_value(type)), err));
    }
    return LH_OK;
}

lh_code lh_ingest_options_read(const json_t *object, struct lh_ingest_options *options,
                               struct lh_error *err)
{
    static const char *const texts[] = {
        "format", "encoding", "header",      "delimiter",        "quote",
        "escape", "null",     "date_format", "timestamp_format", "decimal_separator"};
    lh_ingest_options_init(options);
    lh_code code = LH_OK;
    for (size_t i = 0; code == LH_OK && i < LH_COUNT(texts); i++) {
        lh_str value = LH_STR_NONE;
        code = lh_json_opt_str(object, texts[i], &value, err);
        if (code == LH_OK && value.ptr != NULL)
            code = lh_ingest_options_set(options, lh_str_from(texts[i]), value, err);
    }
    if (code == LH_OK)
        code = lh_json_opt_bool(object, "strict_mode", &options->strict_mode, err);
    json_t *types = json_object_get(object, "types");
    if (code == LH_OK && types != NULL)
        code = read_types(types, options, err);
    if (code != LH_OK)
        lh_ingest_options_deinit(options);
    return code;
}

void lh_ingest_content_id(struct lh_digest *digest, const struct lh_ingest_options *options,
                          char out[LH_CONTENT_ID_SIZE])
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(OPTIONS_TEXT_MAX);
    struct lh_json json = LH_JSON_TO(&text);
    lh_ingest_options_write(options, &json);
    LH_CHECK(!lh_buf_overflowed(&text));
    uint8_t hash[LH_SHA256_SIZE];
    lh_digest_update(digest, "", 1);
    lh_digest_update(digest, text.data, text.len);
    lh_digest_final(digest, hash);
    lh_hex(hash, sizeof(hash), out);
}
