/*
 * One conversion: a file in, a Parquet file out, with what was found on the way. The steps:
 *
 *   convert.c        calls the reader of the format, writes the answer
 *   csv_input.c      CSV:  decode, guess types, check every record, convert
 *   json_input.c     JSON: decode, guess types from the whole file, convert
 *   parquet_input.c  Parquet: read and rewritten, which validates it
 *   fit.c            the columns of a file against those of a dataset
 */
#ifndef LH_INGESTWORKER_CONVERSION_H
#define LH_INGESTWORKER_CONVERSION_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "duck/duck.h"
#include "ingestd/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A column of the file, as it is read. */
struct lh_input_column {
    char *name;         /* in the file, made unique by DuckDB */
    char *type;         /* with which it is read */
    char *natural_type; /* which DuckDB guessed, or which the file declares */
    const char *target; /* its name in the result; NULL = left out */
    bool fixed;         /* the type was said by the caller or by the dataset */
};

/* Statistics of a column of the result; NULL texts where there are none. */
struct lh_output_stats {
    char *path; /* quoted, as DuckDB gives it */
    char *min;
    char *max;
    uint64_t null_count;
};

struct lh_conversion {
    const struct lh_convert_request *request;
    struct lh_duck_conn *conn;
    char *input; /* the file to read: UTF-8, or Parquet */
    char *output;
    uint64_t input_bytes; /* as it came */

    struct lh_input_column *columns;
    size_t column_count;

    struct lh_output_stats *stats;
    size_t stats_count;
    size_t stats_capacity;
    uint64_t rows;
    uint64_t output_bytes;

    struct lh_buf warnings; /* JSON objects, between commas */
    size_t warning_count;
};

/* Readers: each fills columns, writes the output and adds its warnings. */
lh_code lh_convert_csv(struct lh_conversion *c, struct lh_error *err);
lh_code lh_convert_json(struct lh_conversion *c, struct lh_error *err);
lh_code lh_convert_parquet(struct lh_conversion *c, struct lh_error *err);

/* The whole of it, on a connection that is locked to the folder of the job: `result` gets the
 * payload of LH_CONVERT_RESULT. */
lh_code lh_convert(const struct lh_convert_request *request, struct lh_duck_conn *conn,
                   struct lh_buf *result, struct lh_error *err);

/* {"code","column","message","hint"}; `column` and `hint` may be NULL. Beyond a thousand they are
 * dropped. */
void lh_convert_warn(struct lh_conversion *c, const char *code, const char *column,
                     const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Text in another encoding becomes a file in UTF-8 beside the input, which c->input then names; so
 * does UTF-8 with a byte order mark when that is to be dropped (DuckDB knows it in CSV, not in
 * JSON). */
lh_code lh_convert_decode(struct lh_conversion *c, bool drop_bom, struct lh_error *err);

/* Fills the columns from a query whose rows are name and type. Limits their number. */
lh_code lh_convert_describe(struct lh_conversion *c, const char *sql, struct lh_error *err);
void lh_convert_forget_columns(struct lh_conversion *c);

/* COPY (sql) TO the output, with statistics. */
lh_code lh_convert_copy(struct lh_conversion *c, lh_str select, struct lh_error *err);

/* Applies the caller's types and the dataset's schema (fit.c): sets type, target and fixed of every
 * column. LH_INVALID for a type.COLUMN that names no column, LH_FINGERPRINT_CONFLICT when the names
 * differ. With `by_position` names do not count, only their number. With `may_lack` the file need
 * not have every column of the dataset. */
lh_code lh_fit_columns(struct lh_conversion *c, bool by_position, bool may_lack,
                       struct lh_error *err);

/* The select list in the order of the result: "file name" AS "target", ..., each cast to its type
 * when `with_casts`; a column that the file lacks becomes a NULL of its type. */
void lh_fit_select_list(const struct lh_conversion *c, bool with_casts, struct lh_buf *sql);

/* {'a': 'BIGINT', ...} of all columns, for read_csv and read_json. */
void lh_columns_literal(const struct lh_conversion *c, struct lh_buf *sql);

enum { LH_SQL_MAX = 8 << 20 };

#endif
