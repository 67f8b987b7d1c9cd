/*
 * One SELECT of a user: prepared, bound, run as a stream, and its rows written as text (encode.h).
 * The statement and its connection stay on one thread.
 */
#ifndef LH_DUCK_STATEMENT_H
#define LH_DUCK_STATEMENT_H

#include "duck/duck.h"

struct lh_buf;
struct lh_duck_statement;

enum { LH_DUCK_NO_POSITION = -1 };

enum lh_duck_kind { LH_DUCK_SELECT, LH_DUCK_EXPLAIN };

/* `sql` must hold exactly one statement of that kind (else LH_STATEMENT_NOT_ALLOWED) and no NUL.
 * *ret_position is set on failure: the byte in `sql` where it is wrong, or LH_DUCK_NO_POSITION.
 * Constants are folded here, so this may take time and memory. */
lh_code lh_duck_prepare(struct lh_duck_conn *conn, const char *sql, enum lh_duck_kind kind,
                        struct lh_duck_statement **ret_statement, int64_t *ret_position,
                        struct lh_error *err);
void lh_duck_statement_free(struct lh_duck_statement *statement); /* accepts NULL */

/* Parameters, by the name without its $; the n-th ? is called n. */
size_t lh_duck_param_count(const struct lh_duck_statement *statement);
bool lh_duck_has_param(const struct lh_duck_statement *statement, const char *name);
/* Appends the names as "$a, $b", for messages. */
void lh_duck_param_names(const struct lh_duck_statement *statement, struct lh_buf *out);

enum lh_duck_value_type {
    LH_DUCK_NULL,
    LH_DUCK_BOOL,
    LH_DUCK_I64,
    LH_DUCK_F64,
    LH_DUCK_TEXT,
};
struct lh_duck_value {
    enum lh_duck_value_type type;
    bool boolean;
    int64_t i64;
    double f64;
    lh_str text;
};
/* LH_INVALID when there is no such parameter. */
lh_code lh_duck_bind(struct lh_duck_statement *statement, const char *name,
                     const struct lh_duck_value *value, struct lh_error *err);

/* The columns, after run. */
size_t lh_duck_column_count(const struct lh_duck_statement *statement);
lh_str lh_duck_column_name(const struct lh_duck_statement *statement, size_t column);
/* DuckDB's text of the type: BIGINT, DECIMAL(18,3), STRUCT(a INTEGER, b VARCHAR[]). */
lh_str lh_duck_column_type(const struct lh_duck_statement *statement, size_t column);
/* Whether encode.h can write it; otherwise the query casts the column to VARCHAR. */
bool lh_duck_column_encodes(const struct lh_duck_statement *statement, size_t column);

/* Begins; returns when the first rows are there. *ret_position as in prepare. */
lh_code lh_duck_run(struct lh_duck_statement *statement, int64_t *ret_position,
                    struct lh_error *err);
/* The next chunk of rows; *ret_rows = 0 at the end. A stream may fail after it gave rows. */
lh_code lh_duck_next_chunk(struct lh_duck_statement *statement, size_t *ret_rows,
                           int64_t *ret_position, struct lh_error *err);

#endif
