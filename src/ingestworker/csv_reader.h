/*
 * A CSV file read record by record, with what is wrong in its structure said in the terms of the
 * file: the line, and how to mend it. Memory: the longest record, at least a megabyte.
 */
#ifndef LH_INGESTWORKER_CSV_READER_H
#define LH_INGESTWORKER_CSV_READER_H

#include "base/error.h"
#include "ingestd/csv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_csv_reader_options {
    struct lh_csv_dialect dialect;
    size_t columns_max;
    size_t line_bytes_max;
};

struct lh_csv_reader {
    struct lh_csv_reader_options options;
    int fd;
    bool at_end;  /* of the file */
    bool has_nul; /* a zero byte was seen */
    char *buffer;
    size_t capacity;
    size_t len;
    struct lh_csv csv; /* reads in the buffer */
    struct lh_csv_field *fields;
};

/* A byte order mark at the start of the file is skipped. */
lh_code lh_csv_reader_open(const char *path, const struct lh_csv_reader_options *options,
                           struct lh_csv_reader *ret_reader, struct lh_error *err);
void lh_csv_reader_close(struct lh_csv_reader *reader); /* accepts {.fd = -1} */

/* The next record, borrowed until the next call; *ret_got = false at the end of the file.
 * LH_BAD_DATA with the line for what is no CSV, for a record longer than line_bytes_max or with too
 * many columns. */
lh_code lh_csv_reader_next(struct lh_csv_reader *reader, struct lh_csv_record *ret_record,
                           bool *ret_got, struct lh_error *err);

#define LH_CSV_READER_NONE ((struct lh_csv_reader){.fd = -1})
#define LH_AUTO_CSV_READER __attribute__((cleanup(lh_csv_reader_close)))

#endif
