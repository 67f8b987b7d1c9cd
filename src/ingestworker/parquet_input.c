/*
 * Parquet to Parquet: read whole and written anew, so that what is stored was understood to its
 * last value, in our compression and with statistics.
 */
#include "ingestworker/check.h"
#include "ingestworker/conversion.h"

#include "base/mem.h"

static void append_source(const struct lh_conversion *c, struct lh_buf *sql)
{
    lh_buf_append_cstr(sql, "read_parquet(");
    lh_duck_quote_literal(sql, lh_str_from(c->input));
    lh_buf_append_char(sql, ')');
}

/* DuckDB names our file; the caller knows it as the upload. */
static lh_code explain(const struct lh_conversion *c, struct lh_error *err)
{
    if (err->code != LH_BAD_DATA && err->code != LH_IO && err->code != LH_INVALID_SQL)
        return err->code;
    lh_str text = lh_str_from(err->message);
    const char *file = memmem(text.ptr, text.len, c->input, strlen(c->input));
    lh_str line = LH_STR_NONE;
    if (file != NULL) /* "Footer length error in file 'path'" */
        text.len = (size_t)(file - text.ptr);
    (void)lh_str_next(&text, '\n', &line);
    while (line.len > 0 && strchr("' \"", line.ptr[line.len - 1]) != NULL)
        line.len--;
    if (file != NULL && (lh_str_ends(line, " in file") || lh_str_ends(line, " of file")))
        line.len -= strlen(" in file");
    char why[160];
    snprintf(why, sizeof(why), "%.*s", LH_FMT(line));
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the file is no valid Parquet: %s", why), "a hint follows");
    return lh_hint(err, "was it written and sent whole?");
}

/* The first row whose value does not survive the cast to the dataset's type. */
static lh_code check_fit(const struct lh_conversion *c, size_t index, struct lh_error *err)
{
    const struct lh_input_column *column = &c->columns[index];
    if (strcmp(column->type, column->natural_type) == 0)
        return LH_OK;
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT row, CAST(v AS VARCHAR) FROM (SELECT row_number() OVER () AS "
                             "row, ");
    lh_duck_quote_name(&sql, lh_str_from(column->name));
    lh_buf_append_cstr(&sql, " AS v FROM ");
    append_source(c, &sql);
    lh_buf_printf(&sql,
                  ") WHERE v IS NOT NULL AND (TRY_CAST(v AS %s) IS NULL OR "
                  "TRY_CAST(TRY_CAST(v AS %s) AS %s) IS DISTINCT FROM v) ORDER BY row LIMIT 1",
                  column->type, column->type, column->natural_type);
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(c->conn, sql.data, NULL, 0, &rows, err));
    lh_code code = LH_OK;
    struct lh_error misfit = LH_ERROR_INIT;
    if (lh_duck_next(rows))
        code = lh_fail_misfit(&(struct lh_misfit){.code = c->request->replacing != 0
                                                              ? LH_FINGERPRINT_CONFLICT
                                                              : LH_BAD_DATA,
                                                  .unit = "row",
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

/* Types that Parquet does not hold as they are: written as doubles they would lose digits. */
static void keep_digits(struct lh_conversion *c)
{
    for (size_t i = 0; i < c->column_count; i++) {
        struct lh_input_column *column = &c->columns[i];
        if (strcmp(column->type, "HUGEINT") != 0 && strcmp(column->type, "UHUGEINT") != 0)
            continue;
        free(column->type);
        column->type = lh_strdup("DECIMAL(38,0)");
    }
}

static lh_code convert(struct lh_conversion *c, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT column_name, column_type FROM (DESCRIBE FROM ");
    append_source(c, &sql);
    lh_buf_append_char(&sql, ')');
    LH_TRY(lh_convert_describe(c, sql.data, err));
    LH_TRY(lh_fit_columns(c, false, false, err));
    keep_digits(c);
    for (size_t i = 0; i < c->column_count; i++)
        LH_TRY(check_fit(c, i, err));
    lh_buf_reset(&sql);
    lh_buf_append_cstr(&sql, "SELECT ");
    lh_fit_select_list(c, true, &sql);
    lh_buf_append_cstr(&sql, " FROM ");
    append_source(c, &sql);
    return lh_convert_copy(c, lh_buf_str(&sql), err);
}

lh_code lh_convert_parquet(struct lh_conversion *c, struct lh_error *err)
{
    lh_code code = convert(c, err);
    return code != LH_OK && err->line == 0 ? explain(c, err) : code;
}
