/*
 * The columns of a file against what the caller said of them and against the dataset's schema.
 */
#include "ingestworker/conversion.h"

#include "base/mem.h"

enum { NAMES_MAX = 200 };

static void set_type(struct lh_input_column *column, const char *type)
{
    free(column->type);
    column->type = lh_strdup(type);
    column->fixed = true;
}

/* The column of that name: exactly, else without regard to case, as SQL finds it. */
static struct lh_input_column *find_column(struct lh_conversion *c, const char *name)
{
    struct lh_input_column *near = NULL;
    for (size_t i = 0; i < c->column_count; i++) {
        if (strcmp(c->columns[i].name, name) == 0)
            return &c->columns[i];
        if (lh_str_eq_nocase(lh_str_from(c->columns[i].name), lh_str_from(name)))
            near = &c->columns[i];
    }
    return near;
}

static lh_code apply_said_types(struct lh_conversion *c, struct lh_error *err)
{
    const struct lh_ingest_options *options = &c->request->options;
    for (size_t i = 0; i < options->type_count; i++) {
        struct lh_input_column *column = find_column(c, options->types[i].name);
        if (column == NULL)
            return lh_fail(err, LH_INVALID, "type.%s: the file has no such column",
                           options->types[i].name);
        set_type(column, options->types[i].type);
    }
    return LH_OK;
}

static void append_name(struct lh_buf *names, const char *name)
{
    if (names->len > 0)
        lh_buf_append_cstr(names, ", ");
    lh_buf_append_cstr(names, name);
}

static lh_code fail_names(const struct lh_buf *lacks, const struct lh_buf *extra,
                          struct lh_error *err)
{
    const char *lacking = lacks->len > 0 ? lacks->data : "";
    const char *more = extra->len > 0 ? extra->data : "";
    LH_IGNORE(lh_fail(err, LH_FINGERPRINT_CONFLICT, "the columns differ:%s%s%s%s%s",
                      lacks->len > 0 ? " the file lacks " : "", lacking,
                      lacks->len > 0 && extra->len > 0 ? ";" : "",
                      extra->len > 0 ? " the dataset lacks " : "", more),
              "a hint follows");
    return lh_hint(err, "rename the columns of the file, or ingest it under another name");
}

static lh_code match_by_name(struct lh_conversion *c, bool may_lack, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf lacks = LH_BUF_INIT(NAMES_MAX);
    LH_AUTO_BUF struct lh_buf extra = LH_BUF_INIT(NAMES_MAX);
    for (size_t i = 0; i < c->request->schema_count; i++) {
        const struct lh_ingest_column *wanted = &c->request->schema[i];
        struct lh_input_column *column = find_column(c, wanted->name);
        if (column != NULL && column->target == NULL) {
            column->target = wanted->name;
            set_type(column, wanted->type);
        } else if (!may_lack) {
            append_name(&lacks, wanted->name);
        }
    }
    for (size_t i = 0; i < c->column_count; i++)
        if (c->columns[i].target == NULL)
            append_name(&extra, c->columns[i].name);
    return lacks.len > 0 || extra.len > 0 ? fail_names(&lacks, &extra, err) : LH_OK;
}

static lh_code match_by_position(struct lh_conversion *c, struct lh_error *err)
{
    if (c->column_count != c->request->schema_count)
        return lh_fail(err, LH_FINGERPRINT_CONFLICT, "the file has %zu columns, the dataset %zu",
                       c->column_count, c->request->schema_count);
    for (size_t i = 0; i < c->column_count; i++) {
        c->columns[i].target = c->request->schema[i].name;
        set_type(&c->columns[i], c->request->schema[i].type);
    }
    return LH_OK;
}

lh_code lh_fit_columns(struct lh_conversion *c, bool by_position, bool may_lack,
                       struct lh_error *err)
{
    LH_TRY(apply_said_types(c, err));
    if (c->request->schema != NULL)
        return by_position ? match_by_position(c, err) : match_by_name(c, may_lack, err);
    for (size_t i = 0; i < c->column_count; i++)
        c->columns[i].target = c->columns[i].name;
    return LH_OK;
}

static void append_item(const struct lh_input_column *column, const char *target, const char *type,
                        bool with_cast, struct lh_buf *sql)
{
    if (with_cast || column == NULL)
        lh_buf_append_cstr(sql, "CAST(");
    if (column != NULL)
        lh_duck_quote_name(sql, lh_str_from(column->name));
    else
        lh_buf_append_cstr(sql, "NULL");
    if (with_cast || column == NULL)
        lh_buf_printf(sql, " AS %s)", type);
    lh_buf_append_cstr(sql, " AS ");
    lh_duck_quote_name(sql, lh_str_from(target));
}

static const struct lh_input_column *column_of_target(const struct lh_conversion *c,
                                                      const char *target)
{
    for (size_t i = 0; i < c->column_count; i++)
        if (c->columns[i].target == target)
            return &c->columns[i];
    return NULL;
}

void lh_fit_select_list(const struct lh_conversion *c, bool with_casts, struct lh_buf *sql)
{
    bool by_schema = c->request->schema != NULL;
    size_t count = by_schema ? c->request->schema_count : c->column_count;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_cstr(sql, ", ");
        if (by_schema) {
            const struct lh_ingest_column *wanted = &c->request->schema[i];
            append_item(column_of_target(c, wanted->name), wanted->name, wanted->type, with_casts,
                        sql);
        } else {
            const struct lh_input_column *column = &c->columns[i];
            append_item(column, column->target, column->type, with_casts, sql);
        }
    }
}

void lh_columns_literal(const struct lh_conversion *c, struct lh_buf *sql)
{
    lh_buf_append_char(sql, '{');
    for (size_t i = 0; i < c->column_count; i++) {
        if (i > 0)
            lh_buf_append_char(sql, ',');
        lh_duck_quote_literal(sql, lh_str_from(c->columns[i].name));
        lh_buf_append_char(sql, ':');
        lh_duck_quote_literal(sql, lh_str_from(c->columns[i].type));
    }
    lh_buf_append_char(sql, '}');
}
