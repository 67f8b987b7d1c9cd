/*
 * Every record of a CSV file is checked before DuckDB converts it. Two reasons:
 *
 *  - DuckDB names a bad record only sometimes; we always say the line of the file.
 *  - DuckDB's casts lose what does not fit, without a word, once a type is settled: 1.5 in a column
 * of integers becomes 2, 007 becomes 7, a time of day in a column of dates is dropped. The check
 *    finds such values, so that the column is widened or the file refused.
 *
 * One pass at several hundred megabytes a second (bench/load/ingest.py).
 */
#ifndef LH_INGESTWORKER_CHECK_H
#define LH_INGESTWORKER_CHECK_H

#include "base/error.h"
#include "ingestworker/csv_reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lh_check_kind {
    LH_CHECK_NOTHING,
    LH_CHECK_INTEGER, /* plain digits within min and max */
    LH_CHECK_DECIMAL, /* no more digits behind the point than `scale` */
    LH_CHECK_DATE,    /* no time of day */
    LH_CHECK_FINITE,  /* no number beyond what a double holds */
    LH_CHECK_SHORT,   /* no integer beyond 64 bits */
};

enum { LH_CHECK_VALUE_MAX = 201 };

struct lh_check_column {
    const char *name;
    const char *type;
    enum lh_check_kind kind;
    bool keeps_zeros; /* 007 is no integer here: nobody said that it is one */
    bool fixed;       /* a value that does not fit ends the check with a failure */
    int64_t min;
    uint64_t max;
    unsigned scale;
    /* Filled in: the first value that does not fit; 0 = all do. */
    uint64_t bad_line;
    char bad_value[LH_CHECK_VALUE_MAX];
};

struct lh_csv_check {
    struct lh_csv_reader_options reader;
    uint64_t skip; /* empty lines before the first record */
    bool header;   /* the first record holds names */
    const char *null_text;
    char decimal_separator;
    lh_code misfit_code; /* of the failure for a `fixed` column */
    bool by_dataset;     /* what is fixed is so by the dataset's schema */
    struct lh_check_column *columns;
    size_t column_count;
    /* Filled in: */
    uint64_t records; /* rows that the file holds */
    size_t longest_bytes;
    bool has_nul;
};

/* The kind of check that a type asks for, with its bounds. */
void lh_check_column_init(struct lh_check_column *column, const char *name, const char *type);

/* Checks the whole file. LH_BAD_DATA with line (and column and value) for what is no CSV, for a
 * record with another number of values than there are columns, for line ends of two kinds;
 * misfit_code for a value that does not fit a fixed column. */
lh_code lh_csv_check_file(const char *path, struct lh_csv_check *check, struct lh_error *err);

/* A value that its column cannot hold. */
struct lh_misfit {
    lh_code code;
    const char *unit; /* what `line` counts: "line" or "row" */
    uint64_t line;
    size_t column_index;
    const char *name;
    const char *type;
    lh_str value;
    bool by_dataset; /* the type is the dataset's, and cannot be changed */
};

/* "line 3, column 'v': '1.5' is no BIGINT", with position, excerpt and hint. */
lh_code lh_fail_misfit(const struct lh_misfit *misfit, struct lh_error *err);

#endif
