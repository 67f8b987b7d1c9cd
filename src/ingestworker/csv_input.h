/*
 * What the files of the CSV reader share.
 */
#ifndef LH_INGESTWORKER_CSV_INPUT_H
#define LH_INGESTWORKER_CSV_INPUT_H

#include "ingestworker/check.h"
#include "ingestworker/conversion.h"

struct lh_csv_input {
    struct lh_conversion *c;
    struct lh_csv_reader_options reader;
    uint64_t skip; /* empty lines before the first record */
    char **first;  /* the values of the first record: the names, when it is the header */
    size_t first_count;
    bool header;
    char *date_format; /* found by DuckDB, or said; NULL = ISO */
    char *timestamp_format;
    struct lh_check_column *checks; /* one for each column of c */
    uint64_t records;
    size_t longest_bytes; /* 0 = not known yet */
    bool has_nul;
    bool resampled; /* the types were guessed from the whole file */
};

/* Appends the arguments that read_csv and sniff_csv share, from the path on; no closing bracket. */
void lh_csv_arguments(const struct lh_csv_input *in, struct lh_buf *sql);

/* read_csv('path', ...) of the whole file, with every column's type said; `more` are further
 * arguments, "" or ", name=value". */
void lh_csv_source(const struct lh_csv_input *in, const char *more, struct lh_buf *sql);

/* Prepares a check of the file as it is understood now; its columns are the caller's. */
struct lh_csv_check lh_csv_check_of(const struct lh_csv_input *in, struct lh_check_column *columns);

/* DuckDB refused a value or a record: finds out which, and fails with its line (csv_findings.c). */
lh_code lh_csv_explain(struct lh_csv_input *in, struct lh_error *err);

/* After the conversion: what the caller should know (csv_findings.c). LH_BAD_DATA for a number that
 * became infinite. */
lh_code lh_csv_findings(struct lh_csv_input *in, struct lh_error *err);

#endif
