/*
 * A result of SQL read while it arrives: {"columns":[...],"rows":[[...],...],...}. Rows are handed
 * out one by one as text; only what is not a row is kept. Memory does not grow with the result.
 */
#ifndef LH_CLI_ROWS_H
#define LH_CLI_ROWS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* A row as it stands in the answer: "[1,\"x\",null]". Borrowed for the call. */
typedef lh_code (*lh_row_fn)(void *ctx, lh_str row, struct lh_error *err);

struct lh_rows {
    lh_row_fn on_row;
    void *ctx;
    uint64_t count;
    struct lh_buf rest; /* the document without its rows */
    struct lh_buf row;  /* the one that is arriving */
    unsigned depth;
    bool in_rows;
    bool in_string;
    bool escaped; /* the byte before was a backslash */
};

void lh_rows_init(struct lh_rows *rows, lh_row_fn on_row, void *ctx);
void lh_rows_deinit(struct lh_rows *rows);
lh_code lh_rows_feed(struct lh_rows *rows, const void *bytes, size_t len, struct lh_error *err);
/* At the end: the document without its rows, to be parsed. LH_BAD_UPSTREAM when it is not whole. */
lh_code lh_rows_end(const struct lh_rows *rows, lh_str *ret_document, struct lh_error *err);

/* Cuts the first value off the inside of a row: `*rest` begins after '[' and ends before ']'. False
 * when nothing is left. */
bool lh_row_next(lh_str *rest, lh_str *ret_value);

/* A value for people: strings without quotes and escapes, all else as it stands. */
void lh_row_value_text(lh_str value, struct lh_buf *out);

#endif
