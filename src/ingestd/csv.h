/*
 * Our own reading of CSV (RFC 4180): records and their fields, without a copy. It is what the first
 * look at a file is made with (sniff.c), and what checks every record before DuckDB converts it
 * (ingestworker/check.c), so it is built to run at the speed of memory. Pure.
 *
 *   while ((result = lh_csv_next(&csv, &record)) == LH_CSV_RECORD) ...
 *   if (result == LH_CSV_MORE) move the rest to the front, read more behind it, lh_csv_refill
 */
#ifndef LH_INGESTD_CSV_H
#define LH_INGESTD_CSV_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_csv_dialect {
    char delimiter;
    char quote;  /* 0 = no quoting */
    char escape; /* of a quote inside of quotes; usually the quote itself */
};

struct lh_csv_field {
    const char *ptr; /* into the text; between the quotes, escapes as they stand */
    size_t len;
    bool quoted;
};

enum lh_csv_newline {
    LH_CSV_NEWLINE_NONE, /* the text ended without one */
    LH_CSV_NEWLINE_LF,
    LH_CSV_NEWLINE_CRLF,
    LH_CSV_NEWLINE_CR,
};

struct lh_csv_record {
    const struct lh_csv_field *fields; /* at least one */
    size_t count;
    uint64_t line; /* of its first byte, 1-based; a quoted field may span lines */
    size_t bytes;  /* with its line end */
    enum lh_csv_newline newline;
};

enum lh_csv_result {
    LH_CSV_RECORD,
    LH_CSV_MORE,        /* the text ends inside of a record */
    LH_CSV_END,         /* the whole text has been read */
    LH_CSV_OPEN_QUOTE,  /* the text ends inside of quotes, which began in *ret_record->line */
    LH_CSV_AFTER_QUOTE, /* something stands behind a closing quote; ->line, ->count = field's number
                         */
    LH_CSV_TOO_MANY,    /* more fields than there is room for; ->line */
};

struct lh_csv {
    struct lh_csv_dialect dialect;
    const char *at;  /* the next record */
    const char *end; /* of the text at hand */
    bool final;      /* no more text comes */
    uint64_t line;   /* of `at` */
    struct lh_csv_field *fields;
    size_t fields_max;
};

/* The caller owns the array of fields, which bounds the columns. */
void lh_csv_init(struct lh_csv *csv, const struct lh_csv_dialect *dialect,
                 struct lh_csv_field *fields, size_t fields_max);

/* The text at hand is now this: what was left (from csv->at on) and what follows it. */
void lh_csv_refill(struct lh_csv *csv, lh_str text, bool final);

/* The next record; borrowed until the text moves. Anything but LH_CSV_RECORD leaves csv->at alone.
 */
enum lh_csv_result lh_csv_next(struct lh_csv *csv, struct lh_csv_record *ret_record);

/* A record of one empty, unquoted field: an empty line. */
bool lh_csv_is_blank(const struct lh_csv_record *record);

/* The field's text with its escapes undone; appended to out. */
struct lh_buf;
void lh_csv_unescape(const struct lh_csv_dialect *dialect, const struct lh_csv_field *field,
                     struct lh_buf *out);

#endif
