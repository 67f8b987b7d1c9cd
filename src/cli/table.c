/*
 * The table: rows are kept as the JSON that they came in, and cut into cells when they are printed.
 *
 *   ┌─────────┬─────────┐
 *   │ vendor  │       n │
 *   │ VARCHAR │  BIGINT │
 *   ├─────────┼─────────┤
 *   │ CMT     │ 1803112 │
 *   └─────────┴─────────┘
 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/rows.h"

enum { CELL_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 1 << 20 };

struct column {
    char *name;
    char *type;
    bool right; /* numbers */
    size_t width;
};

struct lh_table {
    struct column *columns;
    size_t column_count, column_capacity;
    char **first; /* the first half of what is shown */
    char **last;  /* a ring of the newest rows after it */
    size_t half;
    uint64_t row_count;
};

struct lh_table *lh_table_new(size_t rows_shown)
{
    LH_CHECK(rows_shown > 0);
    struct lh_table *table = lh_calloc(1, sizeof(*table));
    table->half = (rows_shown + 1) / 2;
    table->first = lh_calloc(table->half, sizeof(char *));
    table->last = lh_calloc(table->half, sizeof(char *));
    return table;
}

void lh_table_free(struct lh_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type);
    }
    for (size_t i = 0; i < table->half; i++) {
        free(table->first[i]);
        free(table->last[i]);
    }
    free(table->columns);
    free(table->first);
    free(table->last);
    free(table);
}

static bool is_number(lh_str type)
{
    static const char *const words[] = {"TINYINT", "SMALLINT", "INTEGER",   "BIGINT",
                                        "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
                                        "UBIGINT", "UHUGEINT", "FLOAT",     "DOUBLE"};
    for (size_t i = 0; i < LH_COUNT(words); i++) {
        if (lh_str_is(type, words[i]))
            return true;
    }
    return lh_str_starts(type, "DECIMAL");
}

void lh_table_add_column(struct lh_table *table, lh_str name, lh_str type)
{
    table->columns = lh_grow(table->columns, &table->column_capacity, table->column_count + 1,
                             sizeof(*table->columns));
    table->columns[table->column_count++] = (struct column){
        .name = lh_strndup(name.ptr, name.len),
        .type = lh_strndup(type.ptr, type.len),
        .right = is_number(type),
    };
}

void lh_table_add_row(struct lh_table *table, lh_str row)
{
    LH_CHECK(table->half > 0);
    char **slot = table->row_count < table->half
                      ? &table->first[table->row_count]
                      : &table->last[(table->row_count - table->half) % table->half];
    free(*slot);
    *slot = lh_strndup(row.ptr, row.len);
    table->row_count++;
}

uint64_t lh_table_row_count(const struct lh_table *table)
{
    return table->row_count;
}

uint64_t lh_table_rows_shown(const struct lh_table *table)
{
    return table->row_count < 2 * table->half ? table->row_count : 2 * table->half;
}

/* The i-th of the shown rows. */
static const char *shown_row(const struct lh_table *table, uint64_t i)
{
    if (i < table->half)
        return table->first[i];
    LH_CHECK(table->half > 0); /* rows are kept */
    uint64_t last_count = lh_table_rows_shown(table) - table->half;
    uint64_t oldest = table->row_count - table->half - last_count;
    return table->last[(oldest + i - table->half) % table->half];
}

/* ---- widths ---- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void cell_text(lh_str value, struct lh_buf *out)
{
    lh_buf_reset(out);
    if (lh_str_is(value, "null"))
        lh_buf_append_cstr(out, "NULL");
    else
        lh_row_value_text(value, out);
}

/* The inside of the brackets. */
static lh_str row_inside(const char *row)
{
    lh_str text = lh_str_from(row);
    LH_CHECK(text.len >= 2);
    return lh_str_of(text.ptr + 1, text.len - 2);
}

static void measure(struct lh_table *table)
{
    for (size_t c = 0; c < table->column_count; c++) {
        struct column *column = &table->columns[c];
        column->width = larger(lh_display_width(lh_str_from(column->name)),
                               lh_display_width(lh_str_from(column->type)));
    }
    LH_AUTO_BUF struct lh_buf cell = LH_BUF_INIT(CELL_BYTES_MAX);
    for (uint64_t r = 0; r < lh_table_rows_shown(table); r++) {
        lh_str rest = row_inside(shown_row(table, r)), value;
        for (size_t c = 0; c < table->column_count && lh_row_next(&rest, &value); c++) {
            struct column *column = &table->columns[c];
            cell_text(value, &cell);
            column->width = larger(column->width, lh_display_width(lh_buf_str(&cell)));
        }
    }
}

static size_t total_width(const struct lh_table *table, size_t columns)
{
    size_t total = 1;
    for (size_t c = 0; c < columns; c++)
        total += table->columns[c].width + 3;
    return total;
}

/* Takes from the widest column, again and again, until the table fits or none exceeds `least`. */
static void shrink(struct lh_table *table, size_t width, size_t least)
{
    for (size_t total = total_width(table, table->column_count); total > width; total--) {
        struct column *widest = &table->columns[0];
        for (size_t c = 1; c < table->column_count; c++) {
            if (table->columns[c].width > widest->width)
                widest = &table->columns[c];
        }
        if (widest->width <= least)
            return;
        widest->width--;
    }
}

/* Makes room; returns how many columns from the left are shown. Whole names and numbers in fewer
 * columns tell more than stumps in all of them, but a few columns should always be there. */
static size_t fit(struct lh_table *table, size_t width)
{
    enum { COMFORTABLE = 20, LEAST = 6, COLUMNS_WANTED = 3 };
    static const size_t widths[] = {COMFORTABLE, LEAST};
    size_t count = 0;
    for (size_t i = 0; i < LH_COUNT(widths); i++) {
        shrink(table, width, widths[i]);
        count = table->column_count;
        while (count > 1 && total_width(table, count) > width)
            count--;
        if (count == table->column_count || count >= COLUMNS_WANTED)
            break;
    }
    return count;
}

/* ---- printing ---- */

struct printer {
    const struct lh_table *table;
    const struct lh_style *style;
    FILE *out;
    size_t columns;
    struct lh_buf line;
    struct lh_buf cell;
};

static void print_rule(struct printer *p, const char *left, const char *cross, const char *right)
{
    lh_buf_append_cstr(&p->line, p->style->dim);
    lh_buf_append_cstr(&p->line, left);
    for (size_t c = 0; c < p->columns; c++) {
        if (c > 0)
            lh_buf_append_cstr(&p->line, cross);
        for (size_t i = 0; i < p->table->columns[c].width + 2; i++)
            lh_buf_append_str(&p->line, LH_STR("─"));
    }
    lh_buf_append_cstr(&p->line, right);
    lh_buf_append_cstr(&p->line, p->style->off);
    fprintf(p->out, "%s\n", p->line.data);
    lh_buf_reset(&p->line);
}

static void put_spaces(struct lh_buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lh_buf_append_char(out, ' ');
}

static void put_bar(struct printer *p)
{
    lh_buf_append_cstr(&p->line, p->style->dim);
    lh_buf_append_str(&p->line, LH_STR("│"));
    lh_buf_append_cstr(&p->line, p->style->off);
}

static void put_cell(struct printer *p, size_t c, lh_str text, const char *color)
{
    const struct column *column = &p->table->columns[c];
    lh_buf_reset(&p->cell);
    size_t used = lh_put_clipped(&p->cell, text, column->width);
    put_bar(p);
    put_spaces(&p->line, column->right ? column->width - used + 1 : 1);
    lh_buf_append_cstr(&p->line, color);
    lh_buf_append_str(&p->line, lh_buf_str(&p->cell));
    lh_buf_append_cstr(&p->line, color[0] ? p->style->off : "");
    put_spaces(&p->line, column->right ? 1 : column->width - used + 1);
}

static void end_line(struct printer *p)
{
    put_bar(p);
    fprintf(p->out, "%s\n", p->line.data);
    lh_buf_reset(&p->line);
}

static void print_head(struct printer *p)
{
    bool any_type = false;
    for (size_t c = 0; c < p->columns; c++) {
        put_cell(p, c, lh_str_from(p->table->columns[c].name), p->style->bold);
        any_type = any_type || p->table->columns[c].type[0];
    }
    end_line(p);
    if (!any_type)
        return;
    for (size_t c = 0; c < p->columns; c++)
        put_cell(p, c, lh_str_from(p->table->columns[c].type), p->style->dim);
    end_line(p);
}

static void print_row(struct printer *p, const char *row)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(CELL_BYTES_MAX);
    lh_str rest = row_inside(row), value;
    for (size_t c = 0; c < p->columns && lh_row_next(&rest, &value); c++) {
        cell_text(value, &text);
        put_cell(p, c, lh_buf_str(&text), lh_str_is(value, "null") ? p->style->dim : "");
    }
    end_line(p);
}

/* Between the first and the last rows, where some are left out. */
static void print_gap(struct printer *p)
{
    for (size_t c = 0; c < p->columns; c++)
        put_cell(p, c, LH_STR("·"), p->style->dim);
    end_line(p);
}

void lh_table_print(struct lh_table *table, FILE *out, size_t width, const struct lh_style *style)
{
    if (table->column_count == 0)
        return;
    measure(table);
    struct printer p = {
        .table = table,
        .style = style,
        .out = out,
        .columns = fit(table, width),
        .line = LH_BUF_INIT(LINE_BYTES_MAX),
        .cell = LH_BUF_INIT(CELL_BYTES_MAX),
    };
    print_rule(&p, "┌", "┬", "┐");
    print_head(&p);
    print_rule(&p, "├", "┼", "┤");
    uint64_t shown = lh_table_rows_shown(table);
    for (uint64_t r = 0; r < shown; r++) {
        if (r == table->half && shown < table->row_count)
            print_gap(&p);
        print_row(&p, shown_row(table, r));
    }
    print_rule(&p, "└", "┴", "┘");
    if (p.columns < table->column_count)
        fprintf(out, "%s%zu of %zu columns fit; more with: SELECT names, or -o csv%s\n", style->dim,
                p.columns, table->column_count, style->off);
    lh_buf_deinit(&p.line);
    lh_buf_deinit(&p.cell);
}
