/*
 * What is to be said of a CSV file: which value was refused, and what was read other than it may
 * have been meant.
 */
#include "ingestworker/csv_input.h"

#include "base/mem.h"
#include "base/os.h"
#include "ingestworker/input.h"

#include <fcntl.h>
#include <math.h>

enum { REJECTS_MAX = 1000, READ_STEP = 256 << 10 };

/* ---- a refusal by DuckDB ---- */

/* The line of the file in which a byte stands. DuckDB counts records, and a record may span lines.
 */
static lh_code line_of_byte(const char *path, uint64_t offset, uint64_t *ret_line,
                            struct lh_error *err)
{
    LH_AUTO_FREE char *piece = lh_malloc(READ_STEP);
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the input");
    uint64_t line = 1;
    for (uint64_t at = 0; at < offset;) {
        size_t want = offset - at < READ_STEP ? (size_t)(offset - at) : READ_STEP;
        LH_TRY(lh_pread_all(fd, piece, want, at, "the input", err));
        for (size_t i = 0; i < want; i++)
            line += piece[i] == '\n';
        at += want;
    }
    *ret_line = line;
    return LH_OK;
}

struct reject {
    uint64_t line;
    uint64_t column; /* 1-based; 0 = none */
    char *kind;      /* DuckDB's error_type */
    char *record;
};

static void reject_deinit(struct reject *reject)
{
    free(reject->kind);
    free(reject->record);
}

static char *text_of(lh_str text)
{
    return lh_strndup(text.len > 0 ? text.ptr : "", text.len);
}

static lh_code read_reject(struct lh_csv_input *in, struct reject *ret, bool *ret_found,
                           struct lh_error *err)
{
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(in->c->conn,
                         "SELECT line_byte_position, column_idx, CAST(error_type AS VARCHAR), "
                         "csv_line FROM reject_errors ORDER BY line_byte_position, byte_position "
                         "LIMIT 1",
                         NULL, 0, &rows, err));
    uint64_t position = 0;
    *ret_found = lh_duck_next(rows);
    if (*ret_found) {
        position = lh_duck_u64(rows, 0); /* 1-based */
        ret->column = lh_duck_u64(rows, 1);
        ret->kind = text_of(lh_duck_text(rows, 2));
        ret->record = text_of(lh_duck_text(rows, 3));
    }
    LH_TRY(lh_duck_rows_close(&rows, err));
    if (!*ret_found || position == 0)
        return LH_OK;
    return line_of_byte(in->c->input, position - 1, &ret->line, err);
}

/* The value of the refused record in that column; the whole record when it does not come apart. */
static lh_str value_of_reject(const struct lh_csv_input *in, const struct reject *reject)
{
    struct lh_csv_field fields[64];
    struct lh_csv csv;
    struct lh_csv_record record;
    lh_str text = lh_str_from(reject->record);
    lh_csv_init(&csv, &in->reader.dialect, fields, LH_COUNT(fields));
    lh_csv_refill(&csv, text, true);
    if (lh_csv_next(&csv, &record) != LH_CSV_RECORD || reject->column > record.count)
        return text;
    const struct lh_csv_field *field = &record.fields[reject->column - 1];
    return lh_str_of(field->ptr, field->len);
}

static lh_code fail_reject(struct lh_csv_input *in, const struct reject *reject,
                           struct lh_error *err)
{
    const struct lh_conversion *c = in->c;
    if (strcmp(reject->kind, "CAST") == 0 && reject->column > 0 &&
        reject->column <= c->column_count) {
        const struct lh_input_column *column = &c->columns[reject->column - 1];
        lh_code code =
            column->fixed && c->request->replacing != 0 ? LH_FINGERPRINT_CONFLICT : LH_BAD_DATA;
        return lh_fail_misfit(&(struct lh_misfit){.code = code,
                                                  .unit = "line",
                                                  .line = reject->line,
                                                  .column_index = (size_t)reject->column - 1,
                                                  .name = column->name,
                                                  .type = column->type,
                                                  .value = value_of_reject(in, reject),
                                                  .by_dataset = c->request->schema != NULL},
                              err);
    }
    bool encoding = strcmp(reject->kind, "INVALID ENCODING") == 0;
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu %s", (unsigned long long)reject->line,
                      encoding ? "is not valid UTF-8" : "cannot be read as a record"),
              "a hint follows");
    lh_error_set_excerpt(err, lh_str_from(reject->record));
    err->line = reject->line;
    err->column = reject->column;
    return lh_hint(err, "%s",
                   encoding ? "name its encoding: ?encoding=latin-1 (or windows-1252)"
                            : "mend it, or accept it as it is: ?strict_mode=false");
}

lh_code lh_csv_explain(struct lh_csv_input *in, struct lh_error *err)
{
    /* Converted once more, for the table of what was refused. */
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    char rejects[64];
    snprintf(rejects, sizeof(rejects), ", store_rejects=true, rejects_limit=%d", REJECTS_MAX);
    lh_buf_append_cstr(&sql, "SELECT * FROM ");
    lh_csv_source(in, rejects, &sql);
    struct lh_error first = *err;
    LH_AUTO(reject_deinit) struct reject reject = {0};
    bool found = false;
    lh_code code = lh_convert_copy(in->c, lh_buf_str(&sql), err);
    if (code == LH_OK)
        LH_TRY(read_reject(in, &reject, &found, err));
    if (found)
        return fail_reject(in, &reject, err);
    if (code != LH_OK && code != LH_BAD_DATA)
        return code;
    /* DuckDB's own text names our files and its options: only its first line is of use. */
    lh_str rest = lh_str_from(first.message);
    lh_str line = LH_STR_NONE;
    (void)lh_str_next(&rest, '\n', &line);
    return lh_fail(err, LH_BAD_DATA, "the file cannot be converted: %.*s", LH_FMT(line));
}

/* ---- names and bytes ---- */

static void warn_names(struct lh_csv_input *in)
{
    struct lh_conversion *c = in->c;
    if (!in->header) {
        if (c->request->options.header == LH_HEADER_AUTO)
            lh_convert_warn(c, "W-NO-HEADER", NULL, "if the first line holds names: ?header=true",
                            "the first line was read as data, not as names");
        return;
    }
    for (size_t i = 0; i < c->column_count && i < in->first_count; i++) {
        const char *name = c->columns[i].name;
        if (c->request->schema != NULL || lh_str_is(lh_str_trim(lh_str_from(in->first[i])), name))
            continue;
        if (in->first[i][0] == '\0')
            lh_convert_warn(c, "W-RENAMED", name, "give every column a name",
                            "column %zu has no name", i + 1);
        else
            lh_convert_warn(c, "W-RENAMED", name, "give every column a name of its own",
                            "column %zu was '%s', which is taken", i + 1, in->first[i]);
    }
}

/* The values hold commas, and the header none: one column of text, or a header that lacks names. */
static void warn_one_column(struct lh_csv_input *in)
{
    if (in->c->column_count == 1 && in->reader.dialect.delimiter != ',')
        lh_convert_warn(in->c, "W-ONE-COLUMN", in->c->columns[0].name,
                        "if it has more, the first line must name them all",
                        "the file was read as one column");
}

static void warn_bytes(struct lh_csv_input *in)
{
    enum lh_encoding encoding = in->c->request->options.encoding;
    if (in->has_nul)
        lh_convert_warn(in->c, "W-NUL-BYTES", NULL, "remove them: tr -d '\\000'",
                        "the file holds zero bytes; they were kept as they are");
    if (encoding == LH_ENCODING_UTF16LE || encoding == LH_ENCODING_UTF16BE)
        lh_convert_warn(in->c, "W-ENCODING", NULL, NULL, "the file was read as %s",
                        lh_encoding_name(encoding));
}

/* ---- dates that can be read two ways ---- */

static bool is_ambiguous_format(const char *format)
{
    return format != NULL && (strncmp(format, "%d", 2) == 0 || strncmp(format, "%m", 2) == 0) &&
           strstr(format, "%b") == NULL && strstr(format, "%B") == NULL;
}

/* Every day of the column is at most 12: nothing shows which number is the month. */
static lh_code warn_date(struct lh_csv_input *in, const struct lh_input_column *column,
                         const char *format, const char *parameter, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT max(day(");
    lh_duck_quote_name(&sql, lh_str_from(column->target));
    lh_buf_append_cstr(&sql, ")) FROM read_parquet(");
    lh_duck_quote_literal(&sql, lh_str_from(in->c->output));
    lh_buf_append_char(&sql, ')');
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(in->c->conn, sql.data, NULL, 0, &rows, err));
    bool ambiguous = lh_duck_next(rows) && !lh_duck_is_null(rows, 0) && lh_duck_i64(rows, 0) <= 12;
    LH_TRY(lh_duck_rows_close(&rows, err));
    bool day_first = format[1] == 'd';
    if (ambiguous)
        lh_convert_warn(in->c, "W-DATE-AMBIGUOUS", column->name,
                        day_first ? "if the month comes first: ?date_format=%m/%d/%Y"
                                  : "if the day comes first: ?date_format=%d/%m/%Y",
                        "was read as %s (%s %s); every value fits the other reading as well",
                        day_first ? "day before month" : "month before day", parameter, format);
    return LH_OK;
}

static lh_code warn_dates(struct lh_csv_input *in, struct lh_error *err)
{
    const struct lh_ingest_options *options = &in->c->request->options;
    for (size_t i = 0; i < in->c->column_count; i++) {
        const struct lh_input_column *column = &in->c->columns[i];
        if (strcmp(column->type, "DATE") == 0 && options->date_format == NULL &&
            is_ambiguous_format(in->date_format))
            LH_TRY(warn_date(in, column, in->date_format, "date_format", err));
        if (strcmp(column->type, "TIMESTAMP") == 0 && options->timestamp_format == NULL &&
            is_ambiguous_format(in->timestamp_format))
            LH_TRY(warn_date(in, column, in->timestamp_format, "timestamp_format", err));
    }
    return LH_OK;
}

/* ---- numbers that a double does not hold ---- */

/* The greatest magnitude in the column that was written; 0 when it is not known. */
static double magnitude(const struct lh_conversion *c, const char *target)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(LH_SQL_MAX);
    lh_duck_quote_name(&path, lh_str_from(target));
    for (size_t i = 0; i < c->stats_count; i++) {
        const struct lh_output_stats *stats = &c->stats[i];
        if (!lh_str_is(lh_buf_str(&path), stats->path) || stats->min == NULL || stats->max == NULL)
            continue;
        return fmax(fabs(strtod(stats->min, NULL)), fabs(strtod(stats->max, NULL)));
    }
    return 0;
}

/* A second pass over the columns of doubles, only when their bounds give a reason. */
static lh_code check_doubles(struct lh_csv_input *in, struct lh_error *err)
{
    struct lh_conversion *c = in->c;
    LH_AUTO_FREE struct lh_check_column *columns = lh_calloc(c->column_count, sizeof(*columns));
    bool needed = false;
    for (size_t i = 0; i < c->column_count; i++) {
        const struct lh_input_column *column = &c->columns[i];
        columns[i].name = column->name;
        columns[i].type = column->type;
        if (strcmp(column->type, "DOUBLE") != 0 && strcmp(column->type, "FLOAT") != 0)
            continue;
        double most = magnitude(c, column->target);
        if (most < 9.2e18)
            continue;
        columns[i].kind = isinf(most) ? LH_CHECK_FINITE : LH_CHECK_SHORT;
        columns[i].fixed = isinf(most);
        needed = needed || !column->fixed || isinf(most);
    }
    if (!needed)
        return LH_OK;
    struct lh_csv_check check = lh_csv_check_of(in, columns);
    LH_TRY(lh_csv_check_file(c->input, &check, err));
    for (size_t i = 0; i < c->column_count; i++) {
        if (columns[i].bad_line == 0 || c->columns[i].fixed)
            continue;
        LH_AUTO_FREE char *hint =
            lh_asprintf("to keep every digit: ?type.%s=DECIMAL(38,0)", columns[i].name);
        lh_convert_warn(c, "W-INT-OVERFLOW-TO-DOUBLE", columns[i].name, hint,
                        "is DOUBLE: line %llu holds '%s', more than 64 bits hold",
                        (unsigned long long)columns[i].bad_line, columns[i].bad_value);
    }
    return LH_OK;
}

lh_code lh_csv_findings(struct lh_csv_input *in, struct lh_error *err)
{
    warn_names(in);
    warn_one_column(in);
    warn_bytes(in);
    LH_TRY(warn_dates(in, err));
    return in->c->request->options.strict_mode ? check_doubles(in, err) : LH_OK;
}
