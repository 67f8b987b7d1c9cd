/*
 * CSV to Parquet.
 *
 *   1. decode        another encoding becomes UTF-8
 *   2. first record  by our own scanner: names and number of columns
 *   3. guess         DuckDB's sniffer gives types, header and date formats, from a sample
 *   4. check         every record by our own scanner: structure, and values that a cast would bend
 *   5. widen         when the check, or DuckDB in step 6, finds a value that does not fit: guess
 * again, once, from the whole file
 *   6. convert       with every type said, so that DuckDB guesses nothing
 *   7. findings      warnings; as many rows as records
 */
#include "ingestworker/csv_input.h"

#include "base/mem.h"

#include <unistd.h>

enum { DUCK_LINE_MAX = 2000000 }; /* DuckDB's default; more costs memory, so only when needed */

static const struct lh_ingest_options *options_of(const struct lh_csv_input *in)
{
    return &in->c->request->options;
}

/* ---- SQL ---- */

static void append_argument(struct lh_buf *sql, const char *name, lh_str value)
{
    lh_buf_printf(sql, ", %s=", name);
    lh_duck_quote_literal(sql, value);
}

static void append_character(struct lh_buf *sql, const char *name, char c)
{
    append_argument(sql, name, lh_str_of(&c, c != 0));
}

void lh_csv_arguments(const struct lh_csv_input *in, struct lh_buf *sql)
{
    const struct lh_ingest_options *options = options_of(in);
    lh_duck_quote_literal(sql, lh_str_from(in->c->input));
    append_character(sql, "delim", options->delimiter);
    append_character(sql, "quote", options->quote);
    append_character(sql, "escape", options->quote == 0 ? 0 : options->escape);
    append_character(sql, "decimal_separator", options->decimal_separator);
    lh_buf_printf(sql, ", comment='', skip=%llu, strict_mode=%s", (unsigned long long)in->skip,
                  options->strict_mode ? "true" : "false");
    if (options->null_text != NULL) {
        lh_buf_append_cstr(sql, ", nullstr=['', ");
        lh_duck_quote_literal(sql, lh_str_from(options->null_text));
        lh_buf_append_char(sql, ']');
    }
    if (in->date_format != NULL)
        append_argument(sql, "dateformat", lh_str_from(in->date_format));
    if (in->timestamp_format != NULL)
        append_argument(sql, "timestampformat", lh_str_from(in->timestamp_format));
    if (in->longest_bytes >= DUCK_LINE_MAX)
        lh_buf_printf(sql, ", max_line_size=%zu", in->longest_bytes + 2);
}

void lh_csv_source(const struct lh_csv_input *in, const char *more, struct lh_buf *sql)
{
    lh_buf_append_cstr(sql, "read_csv(");
    lh_csv_arguments(in, sql);
    lh_buf_printf(sql, ", auto_detect=false, header=%s, columns=", in->header ? "true" : "false");
    lh_columns_literal(in->c, sql);
    lh_buf_printf(sql, "%s)", more);
}

/* ---- 2: the first record ---- */

static lh_code read_first_record(struct lh_csv_input *in, struct lh_error *err)
{
    LH_AUTO_CSV_READER struct lh_csv_reader reader = LH_CSV_READER_NONE;
    LH_TRY(lh_csv_reader_open(in->c->input, &in->reader, &reader, err));
    struct lh_csv_record record;
    bool got;
    do {
        LH_TRY(lh_csv_reader_next(&reader, &record, &got, err));
        in->skip++;
    } while (got && lh_csv_is_blank(&record));
    if (!got)
        return lh_fail(err, LH_BAD_DATA, "the file is empty");
    in->skip--;
    if (record.count > in->reader.columns_max)
        return lh_fail(err, LH_BAD_DATA, "the file has more than %zu columns",
                       in->reader.columns_max);
    in->first = lh_calloc(record.count, sizeof(*in->first));
    in->first_count = record.count;
    for (size_t i = 0; i < record.count; i++) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(record.bytes + 1);
        lh_csv_unescape(&in->reader.dialect, &record.fields[i], &text);
        in->first[i] = lh_buf_take(&text);
    }
    return LH_OK;
}

/* Whether the first record has all names of the dataset: then it is a header, whatever it looks
 * like. */
static bool first_record_fits_schema(const struct lh_csv_input *in)
{
    const struct lh_convert_request *request = in->c->request;
    for (size_t i = 0; i < request->schema_count; i++) {
        bool found = false;
        for (size_t k = 0; k < in->first_count && !found; k++)
            found = lh_str_eq_nocase(lh_str_trim(lh_str_from(in->first[k])),
                                     lh_str_from(request->schema[i].name));
        if (!found)
            return false;
    }
    return request->schema_count > 0;
}

/* ---- 3: the guess ---- */

static char *optional_text(const struct lh_duck_rows *rows, size_t column)
{
    lh_str text = lh_duck_text(rows, column);
    return text.len > 0 ? lh_strndup(text.ptr, text.len) : NULL;
}

static lh_code take_guess(struct lh_csv_input *in, struct lh_error *err)
{
    const struct lh_ingest_options *options = options_of(in);
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(in->c->conn,
                         "SELECT CAST(HasHeader AS VARCHAR), DateFormat, TimestampFormat "
                         "FROM sniffed",
                         NULL, 0, &rows, err));
    if (lh_duck_next(rows)) {
        if (options->header == LH_HEADER_AUTO && !first_record_fits_schema(in))
            in->header = lh_str_is(lh_duck_text(rows, 0), "true");
        if (options->date_format == NULL)
            in->date_format = optional_text(rows, 1);
        if (options->timestamp_format == NULL)
            in->timestamp_format = optional_text(rows, 2);
    }
    LH_TRY(lh_duck_rows_close(&rows, err));
    return lh_convert_describe(
        in->c, "SELECT c.name, c.type FROM (SELECT unnest(Columns) AS c FROM sniffed)", err);
}

static void forget_guess(struct lh_csv_input *in)
{
    const struct lh_ingest_options *options = options_of(in);
    free(in->date_format);
    free(in->timestamp_format);
    in->date_format = options->date_format != NULL ? lh_strdup(options->date_format) : NULL;
    in->timestamp_format =
        options->timestamp_format != NULL ? lh_strdup(options->timestamp_format) : NULL;
}

/* `sample_rows` -1 = all. */
static lh_code guess_once(struct lh_csv_input *in, int64_t sample_rows, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    forget_guess(in);
    lh_buf_append_cstr(&sql, "CREATE OR REPLACE TEMP TABLE sniffed AS SELECT * FROM sniff_csv(");
    lh_csv_arguments(in, &sql);
    lh_buf_printf(&sql, ", sample_size=%lld", (long long)sample_rows);
    if (options_of(in)->header != LH_HEADER_AUTO || first_record_fits_schema(in))
        lh_buf_printf(&sql, ", header=%s", in->header ? "true" : "false");
    lh_buf_append_char(&sql, ')');
    LH_TRY(lh_duck_exec(in->c->conn, sql.data, err));
    return take_guess(in, err);
}

/* DuckDB's sniffer gave up, with a page of text and no line. Our own check finds the place; when it
 * finds nothing but long lines, there is one more try. */
static lh_code explain_failed_guess(struct lh_csv_input *in, int64_t sample_rows,
                                    struct lh_error *err)
{
    LH_AUTO_FREE struct lh_check_column *columns = lh_calloc(in->first_count, sizeof(*columns));
    struct lh_csv_check check = lh_csv_check_of(in, columns);
    check.column_count = in->first_count;
    LH_TRY(lh_csv_check_file(in->c->input, &check, err));
    if (check.longest_bytes >= DUCK_LINE_MAX && in->longest_bytes == 0) {
        in->longest_bytes = check.longest_bytes;
        return guess_once(in, sample_rows, err);
    }
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the file cannot be read as CSV with the delimiter '%c'",
                      options_of(in)->delimiter),
              "a hint follows");
    return lh_hint(err, "name what differs: ?delimiter=, ?quote=, ?escape=, ?encoding=");
}

static lh_code guess(struct lh_csv_input *in, int64_t sample_rows, struct lh_error *err)
{
    lh_code code = guess_once(in, sample_rows, err);
    if (code == LH_BAD_DATA)
        code = explain_failed_guess(in, sample_rows, err);
    LH_TRY(code);
    return lh_fit_columns(in->c, options_of(in)->header == LH_HEADER_NO, false, err);
}

/* ---- 4: the check ---- */

struct lh_csv_check lh_csv_check_of(const struct lh_csv_input *in, struct lh_check_column *columns)
{
    const struct lh_ingest_options *options = options_of(in);
    return (struct lh_csv_check){
        .reader = in->reader,
        .skip = in->skip,
        .header = in->header,
        .null_text = options->null_text != NULL ? options->null_text : "",
        .decimal_separator = options->decimal_separator,
        .misfit_code = in->c->request->replacing != 0 ? LH_FINGERPRINT_CONFLICT : LH_BAD_DATA,
        .by_dataset = in->c->request->schema != NULL,
        .columns = columns,
        .column_count = in->c->column_count,
    };
}

static lh_code check_file(struct lh_csv_input *in, struct lh_error *err)
{
    struct lh_conversion *c = in->c;
    free(in->checks);
    in->checks = lh_calloc(c->column_count, sizeof(*in->checks));
    for (size_t i = 0; i < c->column_count; i++) {
        const struct lh_input_column *column = &c->columns[i];
        lh_check_column_init(&in->checks[i], column->name, column->type);
        in->checks[i].fixed = column->fixed;
        in->checks[i].keeps_zeros = !column->fixed;
    }
    struct lh_csv_check check = lh_csv_check_of(in, in->checks);
    LH_TRY(lh_csv_check_file(c->input, &check, err));
    in->records = check.records;
    in->longest_bytes = check.longest_bytes;
    in->has_nul = check.has_nul;
    return LH_OK;
}

/* The first value in the file that does not fit its guessed type, or NULL. */
static const struct lh_check_column *first_misfit(const struct lh_csv_input *in)
{
    const struct lh_check_column *first = NULL;
    for (size_t i = 0; i < in->c->column_count && in->checks != NULL; i++) {
        const struct lh_check_column *column = &in->checks[i];
        if (column->bad_line != 0 && (first == NULL || column->bad_line < first->bad_line))
            first = column;
    }
    return first;
}

/* ---- 5: a second guess ---- */

static bool may_resample(const struct lh_csv_input *in)
{
    return !in->resampled && in->c->input_bytes <= (uint64_t)in->c->request->resample_bytes_max;
}

static void warn_widened(struct lh_csv_input *in, const char *old_type,
                         const struct lh_check_column *check, const struct lh_input_column *column)
{
    LH_AUTO_FREE char *hint =
        lh_asprintf("name the type to be sure of it: ?type.%s=%s", column->name, column->type);
    if (check->bad_line != 0)
        lh_convert_warn(in->c, "W-WIDENED", column->name, hint,
                        "is %s, not %s: line %llu holds '%s'", column->type, old_type,
                        (unsigned long long)check->bad_line, check->bad_value);
    else
        lh_convert_warn(in->c, "W-WIDENED", column->name, hint,
                        "is %s, not %s as the first %lld rows suggest", column->type, old_type,
                        (long long)in->c->request->sample_rows);
}

/* Takes the types of the second guess. A column that the sniffer still gives the type which our
 * check has found too narrow becomes text: nothing is bent. */
static void compare_guesses(struct lh_csv_input *in, char *const *old_types,
                            const struct lh_check_column *old_checks)
{
    struct lh_conversion *c = in->c;
    for (size_t i = 0; i < c->column_count; i++) {
        struct lh_input_column *column = &c->columns[i];
        if (column->fixed)
            continue;
        bool same = strcmp(column->type, old_types[i]) == 0;
        if (same && old_checks[i].bad_line != 0) {
            free(column->type);
            column->type = lh_strdup("VARCHAR");
            same = false;
        }
        if (!same)
            warn_widened(in, old_types[i], &old_checks[i], column);
    }
}

static lh_code guess_from_whole_file(struct lh_csv_input *in, struct lh_error *err)
{
    struct lh_conversion *c = in->c;
    size_t count = c->column_count;
    char **old_types = lh_calloc(count, sizeof(*old_types));
    for (size_t i = 0; i < count; i++)
        old_types[i] = lh_strdup(c->columns[i].type);
    struct lh_check_column *old_checks = LH_TAKE(in->checks);
    if (old_checks == NULL)
        old_checks = lh_calloc(count, sizeof(*old_checks));
    in->resampled = true;
    lh_code code = guess(in, -1, err);
    if (code == LH_OK && c->column_count != count)
        code = lh_fail(err, LH_BAD_DATA, "the file cannot be read as CSV with %zu columns", count);
    if (code == LH_OK)
        compare_guesses(in, old_types, old_checks);
    for (size_t i = 0; i < count; i++)
        free(old_types[i]);
    free(old_types);
    free(old_checks);
    return code;
}

static lh_code check_and_widen(struct lh_csv_input *in, struct lh_error *err)
{
    LH_TRY(check_file(in, err));
    const struct lh_check_column *misfit = first_misfit(in);
    if (misfit == NULL)
        return LH_OK;
    if (may_resample(in))
        return guess_from_whole_file(in, err);
    return lh_fail_misfit(&(struct lh_misfit){.code = LH_BAD_DATA,
                                              .unit = "line",
                                              .line = misfit->bad_line,
                                              .column_index = (size_t)(misfit - in->checks),
                                              .name = misfit->name,
                                              .type = misfit->type,
                                              .value = lh_str_from(misfit->bad_value)},
                          err);
}

/* ---- 6: the conversion ---- */

static lh_code copy(struct lh_csv_input *in, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT ");
    lh_fit_select_list(in->c, false, &sql);
    lh_buf_append_cstr(&sql, " FROM ");
    lh_csv_source(in, "", &sql);
    return lh_convert_copy(in->c, lh_buf_str(&sql), err);
}

static bool has_guessed_column(const struct lh_csv_input *in)
{
    for (size_t i = 0; i < in->c->column_count; i++)
        if (!in->c->columns[i].fixed)
            return true;
    return false;
}

static lh_code copy_or_explain(struct lh_csv_input *in, struct lh_error *err)
{
    lh_code code = copy(in, err);
    if (code == LH_BAD_DATA && may_resample(in) && has_guessed_column(in)) {
        code = guess_from_whole_file(in, err);
        if (code == LH_OK)
            code = copy(in, err);
    }
    return code == LH_BAD_DATA ? lh_csv_explain(in, err) : code;
}

/* ---- the whole ---- */

static lh_code convert(struct lh_csv_input *in, struct lh_error *err)
{
    const struct lh_ingest_options *options = options_of(in);
    LH_TRY(lh_convert_decode(in->c, false, err));
    LH_TRY(read_first_record(in, err));
    in->header = options->header != LH_HEADER_NO;
    /* Without strict mode records are not checked, so the types come from all of them at once. */
    in->resampled = !options->strict_mode;
    LH_TRY(guess(in, in->resampled ? -1 : in->c->request->sample_rows, err));
    if (options->strict_mode)
        LH_TRY(check_and_widen(in, err));
    LH_TRY(copy_or_explain(in, err));
    if (options->strict_mode && in->c->rows != in->records)
        return lh_fail(err, LH_BAD_DATA, "the file holds %llu records, but %llu rows came out",
                       (unsigned long long)in->records, (unsigned long long)in->c->rows);
    return lh_csv_findings(in, err);
}

lh_code lh_convert_csv(struct lh_conversion *c, struct lh_error *err)
{
    const struct lh_ingest_options *options = &c->request->options;
    struct lh_csv_input in = {
        .c = c,
        .reader = {.dialect = {.delimiter = options->delimiter,
                               .quote = options->quote,
                               .escape = options->escape},
                   .columns_max = (size_t)c->request->columns_max,
                   .line_bytes_max = (size_t)c->request->line_bytes_max},
    };
    lh_code code = convert(&in, err);
    for (size_t i = 0; i < in.first_count; i++)
        free(in.first[i]);
    free(in.first);
    free(in.date_format);
    free(in.timestamp_format);
    free(in.checks);
    return code;
}
