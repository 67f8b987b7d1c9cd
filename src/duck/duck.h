/*
 * DuckDB behind one door: src/duck is the only folder that includes duckdb.h. Used by the workers
 * of queryd and ingestd.
 *
 * A database is shared by threads, a connection belongs to one thread at a time; only
 * lh_duck_interrupt may be called from another.
 */
#ifndef LH_DUCK_DUCK_H
#define LH_DUCK_DUCK_H

#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct lh_duck;
struct lh_duck_conn;
struct lh_duck_rows;

struct lh_duck_options {
    int64_t memory_bytes; /* DuckDB's memory_limit */
    int64_t threads;
    const char *spill_dir; /* NULL = nothing is spilled */
    int64_t spill_bytes_max;
};

/* An in-memory database without extensions loading. Refuses a library outside 1.4.4 <= v < 1.6. */
lh_code lh_duck_open(const struct lh_duck_options *options, struct lh_duck **ret_duck,
                     struct lh_error *err);
void lh_duck_close(struct lh_duck *duck);
const char *lh_duck_version(void);

lh_code lh_duck_connect(struct lh_duck *duck, struct lh_duck_conn **ret_conn, struct lh_error *err);
void lh_duck_disconnect(struct lh_duck_conn *conn);

/* Files are read only below `dirs` from now on, and no setting can be changed any more. */
lh_code lh_duck_lock(struct lh_duck_conn *conn, const char *const *dirs, size_t dir_count,
                     struct lh_error *err);

/* Runs trusted SQL whose result does not matter. */
lh_code lh_duck_exec(struct lh_duck_conn *conn, const char *sql, struct lh_error *err);

/* Runs trusted SQL with $1, $2 ... bound to the texts; the rows are read one after the other.
 *
 *   LH_TRY(lh_duck_query(conn, "SELECT a, b FROM t WHERE k = $1", &key, 1, &rows, err));
 *   while (lh_duck_next(rows)) ... lh_duck_text(rows, 0) ...
 *   LH_TRY(lh_duck_rows_close(&rows, err));    the failure of a stream shows here
 */
lh_code lh_duck_query(struct lh_duck_conn *conn, const char *sql, const lh_str *params,
                      size_t param_count, struct lh_duck_rows **ret_rows, struct lh_error *err);
bool lh_duck_next(struct lh_duck_rows *rows);
/* Values of the present row; text is borrowed until the next row. Every type has a text form (the
 * one of CAST(x AS VARCHAR)); the query casts what is not VARCHAR. */
bool lh_duck_is_null(const struct lh_duck_rows *rows, size_t column);
lh_str lh_duck_text(const struct lh_duck_rows *rows, size_t column);  /* VARCHAR, BLOB */
int64_t lh_duck_i64(const struct lh_duck_rows *rows, size_t column);  /* BIGINT and narrower */
uint64_t lh_duck_u64(const struct lh_duck_rows *rows, size_t column); /* UBIGINT and narrower */
double lh_duck_f64(const struct lh_duck_rows *rows, size_t column);   /* DOUBLE, FLOAT */
bool lh_duck_bool(const struct lh_duck_rows *rows, size_t column);
lh_code lh_duck_rows_close(struct lh_duck_rows **rows, struct lh_error *err);

/* What COPY ... (RETURN_STATS) says of one column of the file that it wrote. Borrowed for the call.
 */
struct lh_duck_column_stats {
    lh_str path; /* quoted: "a", or "s"."c" for a member of a struct */
    lh_str min;  /* as text; ptr is NULL when there is none */
    lh_str max;
    uint64_t null_count;
    bool has_nan; /* NaN stands in the column, beyond min and max */
};

/* Runs a trusted COPY ... TO 'file' (..., RETURN_STATS) that writes one file. on_column is called
 * for each column, in no order. */
lh_code lh_duck_copy(struct lh_duck_conn *conn, const char *sql,
                     void (*on_column)(void *ctx, const struct lh_duck_column_stats *stats),
                     void *ctx, uint64_t *ret_rows, uint64_t *ret_bytes, struct lh_error *err);

/* Ends what runs on the connection within milliseconds. thread-safe. */
void lh_duck_interrupt(struct lh_duck_conn *conn);

/* Quoting for SQL text that we build: 'it''s' and "a ""name""". Appended to out. */
struct lh_buf;
void lh_duck_quote_literal(struct lh_buf *out, lh_str text);
void lh_duck_quote_name(struct lh_buf *out, lh_str name);

#endif
