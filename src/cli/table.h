/*
 * A table in boxes, as wide as the terminal at most. Of a long result the first and the last rows
 * are kept, with the number of all below.
 */
#ifndef LH_CLI_TABLE_H
#define LH_CLI_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/terminal.h"

struct lh_table;

/* rows_shown: at most, half from the start and half from the end. */
struct lh_table *lh_table_new(size_t rows_shown);
void lh_table_free(struct lh_table *table);

/* All columns before the first print; `type` as the server calls it, or "". */
void lh_table_add_column(struct lh_table *table, lh_str name, lh_str type);

/* A row as JSON: "[1,\"x\",null]". Copied when it is kept. */
void lh_table_add_row(struct lh_table *table, lh_str row);

uint64_t lh_table_row_count(const struct lh_table *table);
uint64_t lh_table_rows_shown(const struct lh_table *table);

void lh_table_print(struct lh_table *table, FILE *out, size_t width, const struct lh_style *style);

#endif
