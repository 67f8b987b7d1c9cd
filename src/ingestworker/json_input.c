/*
 * JSON and NDJSON to Parquet.
 *
 * The types are guessed from the whole file, always: DuckDB's casts bend what comes after a sample
 * (1.5 in a column of integers becomes 2), and the guess costs about as much as the conversion.
 */
#include "ingestworker/check.h"
#include "ingestworker/conversion.h"
#include "ingestworker/input.h"

#include "base/mem.h"
#include "base/os.h"

#include <fcntl.h>

enum { READ_STEP = 1 << 20, DOCUMENT_MAX = 64 << 20 };

/* How DuckDB is to read it: one object a line, one array of objects, or objects one after the
 * other. */
static lh_code find_layout(const struct lh_conversion *c, const char **ret, struct lh_error *err)
{
    if (c->request->options.format == LH_INGEST_NDJSON) {
        *ret = "newline_delimited";
        return LH_OK;
    }
    char start[4096];
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, c->input, O_RDONLY, 0);
    size_t got = 0;
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the input");
    LH_TRY(lh_input_read(fd, start, sizeof(start), &got, err));
    size_t i = 0;
    while (i < got && memchr(" \t\r\n", start[i], 4) != NULL)
        i++;
    *ret = i < got && start[i] == '[' ? "array" : "unstructured";
    return LH_OK;
}

static void append_source(const struct lh_conversion *c, const char *layout, bool with_columns,
                          struct lh_buf *sql)
{
    lh_buf_append_cstr(sql, "read_json(");
    lh_duck_quote_literal(sql, lh_str_from(c->input));
    lh_buf_printf(sql, ", format='%s', records=true, maximum_object_size=%lld", layout,
                  (long long)c->request->line_bytes_max);
    if (with_columns) {
        lh_buf_append_cstr(sql, ", columns=");
        lh_columns_literal(c, sql);
    } else {
        lh_buf_append_cstr(sql, ", sample_size=-1");
    }
    lh_buf_append_char(sql, ')');
}

/* ---- which line is wrong ---- */

static lh_code fail_line(uint64_t line, uint64_t column, lh_str text, const char *why,
                         struct lh_error *err)
{
    LH_IGNORE(
        lh_fail(err, LH_BAD_DATA, "line %llu is no JSON object: %s", (unsigned long long)line, why),
        "the position follows");
    lh_error_set_excerpt(err, text);
    err->line = line;
    err->column = column;
    return err->code;
}

/* Fails for the first line that is no JSON; LH_OK when all are. */
static lh_code check_line(uint64_t number, lh_str line, struct lh_error *err)
{
    while (line.len > 0 && memchr(" \t\r", line.ptr[0], 3) != NULL)
        line = lh_str_skip(line, 1);
    if (line.len == 0)
        return LH_OK;
    json_error_t why;
    json_t *value = json_loadb(line.ptr, line.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    bool is_object = json_is_object(value);
    json_decref(value);
    if (value == NULL)
        return fail_line(number, why.column > 0 ? (uint64_t)why.column : 0, line, why.text, err);
    return is_object ? LH_OK : fail_line(number, 1, line, "it must be {...}", err);
}

static lh_code check_lines(const struct lh_conversion *c, struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, c->input, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the input");
    LH_AUTO_BUF struct lh_buf text =
        LH_BUF_INIT((size_t)c->request->line_bytes_max + 2 * (size_t)READ_STEP);
    for (uint64_t number = 1;;) {
        char *room = lh_buf_reserve(&text, READ_STEP);
        if (room == NULL)
            return fail_line(number, 0, LH_STR(""), "it is too long", err);
        size_t got = 0;
        LH_TRY(lh_input_read(fd, room, READ_STEP, &got, err));
        lh_buf_commit(&text, got);
        lh_str rest = lh_buf_str(&text);
        const char *end;
        while (rest.len > 0 && (end = memchr(rest.ptr, '\n', rest.len)) != NULL) {
            size_t len = (size_t)(end - rest.ptr);
            LH_TRY(check_line(number++, lh_str_of(rest.ptr, len), err));
            rest = lh_str_skip(rest, len + 1);
        }
        if (got == 0)
            return check_line(number, rest, err);
        lh_buf_consume(&text, text.len - rest.len);
    }
}

/* One document: jansson says where it breaks off. */
static lh_code check_document(const struct lh_conversion *c, struct lh_error *err)
{
    LH_AUTO_FREE char *bytes = NULL;
    size_t len = 0;
    struct lh_error ignored = LH_ERROR_INIT;
    if (lh_read_file(c->input, DOCUMENT_MAX, &bytes, &len, &ignored) != LH_OK)
        return LH_OK; /* too large to be read whole: no position then */
    json_error_t why;
    json_t *root = json_loadb(bytes, len, JSON_ALLOW_NUL, &why);
    json_decref(root);
    if (root != NULL)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %d is no JSON: %s", why.line, why.text),
              "the position follows");
    err->line = why.line > 0 ? (uint64_t)why.line : 0;
    err->column = why.column > 0 ? (uint64_t)why.column : 0;
    return err->code;
}

/* DuckDB refused the file. We look for the line ourselves; what is left is told in its first line,
 * without the names of our files. */
static lh_code explain(const struct lh_conversion *c, struct lh_error *err)
{
    if (err->code != LH_BAD_DATA && err->code != LH_INVALID_SQL)
        return err->code;
    struct lh_error first = *err;
    *err = LH_ERROR_INIT;
    LH_TRY(c->request->options.format == LH_INGEST_NDJSON ? check_lines(c, err)
                                                          : check_document(c, err));
    if (first.code == LH_INVALID_SQL)
        return lh_fail(err, LH_BAD_DATA, "the file holds no JSON objects with members");
    lh_str text = lh_str_from(first.message);
    const char *file = memmem(text.ptr, text.len, c->input, strlen(c->input));
    if (file != NULL) /* ... in file "path", in line 3: what is wrong */
        text = lh_str_skip(text, (size_t)(file - text.ptr) + strlen(c->input) + 1);
    while (text.len > 0 && (text.ptr[0] == ',' || text.ptr[0] == ' '))
        text = lh_str_skip(text, 1);
    lh_str line = LH_STR_NONE;
    (void)lh_str_next(&text, '\n', &line);
    return lh_fail(err, LH_BAD_DATA, "the file cannot be converted: %.*s", LH_FMT(line));
}

/* ---- values that must fit a type that was said ---- */

static bool is_text_for_casting(const char *type)
{
    return strcmp(type, "DATE") == 0 || strncmp(type, "TIME", 4) == 0 || strcmp(type, "UUID") == 0;
}

/* The first value that a column's said type cannot hold: the cast there and back must give the same
 * value; a text only has to be understood. `v` is the value as text, `n` the one that was guessed.
 */
static void append_misfit(const struct lh_input_column *column, struct lh_buf *sql)
{
    if (is_text_for_casting(column->type))
        lh_buf_printf(sql, "TRY_CAST(v AS %s) IS NULL", column->type);
    else
        lh_buf_printf(sql,
                      "TRY_CAST(v AS %s) IS NULL OR "
                      "TRY_CAST(TRY_CAST(v AS %s) AS %s) IS DISTINCT FROM TRY_CAST(v AS %s)",
                      column->type, column->type, column->natural_type, column->natural_type);
}

static bool needs_no_check(const struct lh_input_column *column)
{
    return !column->fixed || strcmp(column->type, column->natural_type) == 0 ||
           strcmp(column->type, "VARCHAR") == 0 || strcmp(column->type, "JSON") == 0;
}

static lh_code check_fit(const struct lh_conversion *c, const char *layout, size_t index,
                         struct lh_error *err)
{
    const struct lh_input_column *column = &c->columns[index];
    if (needs_no_check(column))
        return LH_OK;
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT line, v FROM (SELECT row_number() OVER () AS line, ");
    lh_duck_quote_name(&sql, lh_str_from(column->name));
    lh_buf_append_cstr(&sql, "->>'$' AS v FROM read_json(");
    lh_duck_quote_literal(&sql, lh_str_from(c->input));
    lh_buf_printf(&sql, ", format='%s', records=true, maximum_object_size=%lld, columns={", layout,
                  (long long)c->request->line_bytes_max);
    lh_duck_quote_literal(&sql, lh_str_from(column->name));
    lh_buf_append_cstr(&sql, ":'JSON'})) WHERE v IS NOT NULL AND (");
    append_misfit(column, &sql);
    lh_buf_append_cstr(&sql, ") ORDER BY line LIMIT 1");
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(c->conn, sql.data, NULL, 0, &rows, err));
    lh_code code = LH_OK;
    struct lh_error misfit = LH_ERROR_INIT;
    if (lh_duck_next(rows))
        code = lh_fail_misfit(
            &(struct lh_misfit){
                .code = c->request->replacing != 0 ? LH_FINGERPRINT_CONFLICT : LH_BAD_DATA,
                .unit = c->request->options.format == LH_INGEST_NDJSON ? "line" : "object",
                .line = lh_duck_u64(rows, 0),
                .column_index = index,
                .name = column->name,
                .type = column->type,
                .value = lh_duck_text(rows, 1),
                .by_dataset = c->request->schema != NULL},
            &misfit);
    LH_TRY(lh_duck_rows_close(&rows, err));
    if (code != LH_OK)
        *err = misfit;
    return code;
}

/* ---- the whole ---- */

static void warn(struct lh_conversion *c)
{
    for (size_t i = 0; i < c->column_count; i++) {
        const struct lh_input_column *column = &c->columns[i];
        if (column->fixed || strstr(column->type, "JSON") == NULL)
            continue;
        LH_AUTO_FREE char *hint = lh_asprintf("to have it as text: ?type.%s=VARCHAR", column->name);
        lh_convert_warn(c, "W-MIXED-TYPE", column->name, hint,
                        "holds values of several types, or none, and is kept as JSON");
    }
}

/* Integers beyond 64 bits: JSON has them, a double does not keep their digits, DECIMAL(38,0) does.
 */
static void keep_digits(struct lh_conversion *c)
{
    for (size_t i = 0; i < c->column_count; i++) {
        struct lh_input_column *column = &c->columns[i];
        if (column->fixed ||
            (strcmp(column->type, "HUGEINT") != 0 && strcmp(column->type, "UHUGEINT") != 0))
            continue;
        free(column->type);
        column->type = lh_strdup("DECIMAL(38,0)");
    }
}

static lh_code convert(struct lh_conversion *c, const char *layout, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ");
    append_source(c, layout, false, &sql);
    lh_buf_append_char(&sql, ')');
    LH_TRY(lh_convert_describe(c, sql.data, err));
    LH_TRY(lh_fit_columns(c, false, true, err));
    keep_digits(c);
    for (size_t i = 0; i < c->column_count; i++)
        LH_TRY(check_fit(c, layout, i, err));
    lh_buf_reset(&sql);
    lh_buf_append_cstr(&sql, "SELECT ");
    lh_fit_select_list(c, false, &sql);
    lh_buf_append_cstr(&sql, " FROM ");
    append_source(c, layout, true, &sql);
    return lh_convert_copy(c, lh_buf_str(&sql), err);
}

lh_code lh_convert_json(struct lh_conversion *c, struct lh_error *err)
{
    const char *layout = NULL;
    LH_TRY(lh_convert_decode(c, true, err));
    LH_TRY(find_layout(c, &layout, err));
    lh_code code = convert(c, layout, err);
    if (code != LH_OK && err->line == 0)
        return explain(c, err);
    LH_TRY(code);
    warn(c);
    return LH_OK;
}
