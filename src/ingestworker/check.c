/*
 * The check of a CSV file.
 */
#include "ingestworker/check.h"

#include "base/mem.h"
#include "ingestworker/input.h"

#include <math.h>

enum { NUMBER_TEXT_MAX = 400 };

/* ---- kinds ---- */

static const struct {
    const char *type;
    int64_t min;
    uint64_t max;
} integers[] = {
    {"BIGINT", INT64_MIN, INT64_MAX},   {"INTEGER", INT32_MIN, INT32_MAX},
    {"SMALLINT", INT16_MIN, INT16_MAX}, {"TINYINT", INT8_MIN, INT8_MAX},
    {"UBIGINT", 0, UINT64_MAX},         {"UINTEGER", 0, UINT32_MAX},
    {"USMALLINT", 0, UINT16_MAX},       {"UTINYINT", 0, UINT8_MAX},
};

void lh_check_column_init(struct lh_check_column *column, const char *name, const char *type)
{
    *column = (struct lh_check_column){.name = name, .type = type};
    lh_str word = lh_str_from(type);
    unsigned width;
    for (size_t i = 0; i < LH_COUNT(integers); i++) {
        if (!lh_str_is(word, integers[i].type))
            continue;
        column->kind = LH_CHECK_INTEGER;
        column->min = integers[i].min;
        column->max = integers[i].max;
    }
    if (lh_str_is(word, "DATE"))
        column->kind = LH_CHECK_DATE;
    else if (sscanf(type, "DECIMAL(%u,%u)", &width, &column->scale) == 2 && !lh_str_ends(word, "]"))
        column->kind = LH_CHECK_DECIMAL;
}

/* ---- values ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool fits_integer(const struct lh_check_column *column, lh_str text)
{
    bool negative = text.ptr[0] == '-';
    size_t i = negative || text.ptr[0] == '+';
    size_t digits = text.len - i;
    if (digits == 0 || (column->keeps_zeros && digits > 1 && text.ptr[i] == '0'))
        return false;
    uint64_t value = 0;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    return negative ? value <= (uint64_t)0 - (uint64_t)column->min : value <= column->max;
}

static bool fits_decimal(const struct lh_check_column *column, lh_str text, char separator)
{
    const char *point = memchr(text.ptr, separator, text.len);
    if (memchr(text.ptr, 'e', text.len) != NULL || memchr(text.ptr, 'E', text.len) != NULL)
        return false;
    if (point == NULL)
        return true; /* whether it is a number at all is seen by the cast */
    size_t len = text.len;
    while (text.ptr[len - 1] == '0')
        len--;
    return len - (size_t)(point - text.ptr) - 1 <= column->scale;
}

static bool is_finite_number(lh_str text)
{
    if (text.len >= NUMBER_TEXT_MAX || !(is_digit(text.ptr[0]) || is_digit(text.ptr[text.len - 1])))
        return true; /* "inf" was meant */
    char copy[NUMBER_TEXT_MAX];
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return isfinite(strtod(copy, NULL)) != 0;
}

static bool is_short_integer(lh_str text)
{
    size_t first = text.ptr[0] == '-' || text.ptr[0] == '+';
    for (size_t i = first; i < text.len; i++)
        if (!is_digit(text.ptr[i]))
            return true; /* no integer at all */
    int64_t value;
    return text.len - first < 19 || lh_str_to_i64(lh_str_skip(text, text.ptr[0] == '+'), &value);
}

static lh_str trim_spaces(lh_str text)
{
    while (text.len > 0 && text.ptr[0] == ' ')
        text = lh_str_skip(text, 1);
    while (text.len > 0 && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

static bool fits(const struct lh_csv_check *check, const struct lh_check_column *column,
                 const struct lh_csv_field *field)
{
    lh_str text = lh_str_of(field->ptr, field->len);
    if (check->null_text[0] != '\0' && lh_str_is(text, check->null_text))
        return true;
    text = trim_spaces(text);
    if (text.len == 0)
        return true;
    switch (column->kind) {
    case LH_CHECK_NOTHING:
        return true;
    case LH_CHECK_INTEGER:
        return fits_integer(column, text);
    case LH_CHECK_DECIMAL:
        return fits_decimal(column, text, check->decimal_separator);
    case LH_CHECK_DATE:
        return memchr(text.ptr, ':', text.len) == NULL;
    case LH_CHECK_FINITE:
        return is_finite_number(text);
    case LH_CHECK_SHORT:
        return is_short_integer(text);
    }
    return true;
}

/* ---- failures ---- */

lh_code lh_fail_misfit(const struct lh_misfit *misfit, struct lh_error *err)
{
    struct lh_error cut = LH_ERROR_INIT;
    lh_error_set_excerpt(&cut, misfit->value);
    LH_IGNORE(lh_fail(err, misfit->code, "%s %llu, column '%s': '%s' is no %s", misfit->unit,
                      (unsigned long long)misfit->line, misfit->name, cut.excerpt, misfit->type),
              "a hint follows");
    memcpy(err->excerpt, cut.excerpt, sizeof(cut.excerpt));
    err->line = misfit->line;
    err->column = misfit->column_index + 1;
    if (misfit->code == LH_FINGERPRINT_CONFLICT)
        return lh_hint(err,
                       "the dataset's column is %s: delete the dataset, or ingest under another "
                       "name",
                       misfit->type);
    if (misfit->by_dataset)
        return lh_hint(err,
                       "mend the value: the dataset's column is %s; or say what stands for a "
                       "missing one: ?null=%s",
                       misfit->type, cut.excerpt);
    return lh_hint(err,
                   "mend the value; or say what stands for a missing one: ?null=%s; or name "
                   "the type: ?type.%s=VARCHAR",
                   cut.excerpt, misfit->name);
}

static lh_code fail_ragged(const struct lh_csv_check *check, const struct lh_csv_record *record,
                           struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu has %zu values, where %zu are expected",
                      (unsigned long long)record->line, record->count, check->column_count),
              "a hint follows");
    const struct lh_csv_field *first = &record->fields[0];
    const struct lh_csv_field *last = &record->fields[record->count - 1];
    lh_error_set_excerpt(err, lh_str_of(first->ptr, (size_t)(last->ptr + last->len - first->ptr)));
    err->line = record->line;
    err->column = record->count < check->column_count ? record->count : check->column_count + 1;
    return lh_hint(err,
                   "put values that hold the delimiter '%c' in quotes, or name the right "
                   "delimiter: ?delimiter=;",
                   check->reader.dialect.delimiter);
}

static lh_code fail_newline(const struct lh_csv_record *record, enum lh_csv_newline first,
                            struct lh_error *err)
{
    static const char *const names[] = {"nothing", "LF", "CRLF", "CR"};
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu ends in %s, the lines before it in %s",
                      (unsigned long long)record->line, names[record->newline], names[first]),
              "a hint follows");
    err->line = record->line;
    return lh_hint(err, "make the line ends one kind, or accept both: ?strict_mode=false");
}

/* ---- the pass ---- */

/* The columns that have anything to be checked, so that others cost nothing. */
struct checked {
    size_t *indexes;
    size_t count;
};

static lh_code check_values(struct lh_csv_check *check, const struct checked *checked,
                            const struct lh_csv_record *record, struct lh_error *err)
{
    for (size_t i = 0; i < checked->count; i++) {
        size_t index = checked->indexes[i];
        struct lh_check_column *column = &check->columns[index];
        const struct lh_csv_field *field = &record->fields[index];
        if (column->bad_line != 0 || fits(check, column, field))
            continue;
        lh_str value = lh_str_of(field->ptr, field->len);
        struct lh_error cut = LH_ERROR_INIT;
        if (column->fixed)
            return lh_fail_misfit(&(struct lh_misfit){.code = check->misfit_code,
                                                      .unit = "line",
                                                      .line = record->line,
                                                      .column_index = index,
                                                      .name = column->name,
                                                      .type = column->type,
                                                      .value = value,
                                                      .by_dataset = check->by_dataset},
                                  err);
        lh_error_set_excerpt(&cut, value);
        column->bad_line = record->line;
        memcpy(column->bad_value, cut.excerpt, LH_CHECK_VALUE_MAX);
    }
    return LH_OK;
}

/* A delimiter at the end of a line is not one value more: DuckDB reads it so as well. */
static bool is_even(const struct lh_csv_check *check, const struct lh_csv_record *record)
{
    if (record->count == check->column_count)
        return true;
    const struct lh_csv_field *last = &record->fields[record->count - 1];
    return record->count == check->column_count + 1 && last->len == 0 && !last->quoted;
}

static lh_code check_records(struct lh_csv_check *check, struct lh_csv_reader *reader,
                             const struct checked *checked, struct lh_error *err)
{
    enum lh_csv_newline newline = LH_CSV_NEWLINE_NONE;
    bool header = check->header;
    uint64_t skip = check->skip;
    for (;;) {
        struct lh_csv_record record;
        bool got;
        LH_TRY(lh_csv_reader_next(reader, &record, &got, err));
        if (!got)
            return LH_OK;
        if (newline == LH_CSV_NEWLINE_NONE)
            newline = record.newline;
        else if (record.newline != newline && record.newline != LH_CSV_NEWLINE_NONE)
            return fail_newline(&record, newline, err);
        if (skip > 0) {
            skip--;
            continue;
        }
        if (check->column_count > 1 && lh_csv_is_blank(&record))
            continue;
        if (!is_even(check, &record))
            return fail_ragged(check, &record, err);
        if (record.bytes > check->longest_bytes)
            check->longest_bytes = record.bytes;
        if (header) {
            header = false;
            continue;
        }
        check->records++;
        LH_TRY(check_values(check, checked, &record, err));
    }
}

lh_code lh_csv_check_file(const char *path, struct lh_csv_check *check, struct lh_error *err)
{
    LH_AUTO_FREE size_t *indexes = lh_calloc(check->column_count + 1, sizeof(*indexes));
    struct checked checked = {.indexes = indexes};
    for (size_t i = 0; i < check->column_count; i++)
        if (check->columns[i].kind != LH_CHECK_NOTHING)
            indexes[checked.count++] = i;
    LH_AUTO_CSV_READER struct lh_csv_reader reader = LH_CSV_READER_NONE;
    LH_TRY(lh_csv_reader_open(path, &check->reader, &reader, err));
    check->records = 0;
    check->longest_bytes = 0;
    LH_TRY(check_records(check, &reader, &checked, err));
    check->has_nul = reader.has_nul;
    return LH_OK;
}
