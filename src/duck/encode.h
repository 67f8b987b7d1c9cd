/*
 * Rows of a running statement as text: JSON, NDJSON or CSV, written from DuckDB's vectors without a
 * tree in between, in constant memory whatever the width of a row.
 *
 * Every value that is not a number, a boolean or nested has the text of CAST(x AS VARCHAR), with
 * time zones at UTC. In JSON integers of every width and decimals are exact numbers; NaN and
 * infinities are null; LIST and ARRAY are arrays, STRUCT and MAP are objects. In CSV (RFC 4180,
 * lines end in \n) NULL is an empty field, the empty text is "", and nested values are JSON.
 */
#ifndef LH_DUCK_ENCODE_H
#define LH_DUCK_ENCODE_H

#include "duck/statement.h"

enum lh_duck_format { LH_DUCK_JSON, LH_DUCK_NDJSON, LH_DUCK_CSV };

struct lh_duck_encoder;

/* Takes the bytes when the window is full or flushed. A failure ends the encoding. */
typedef lh_code (*lh_duck_sink)(void *ctx, const void *bytes, size_t len, struct lh_error *err);

/* What the end of a JSON answer says. */
struct lh_duck_summary {
    uint64_t rows;
    bool truncated;
    int64_t elapsed_ms;
    const char *query_id;
};

/* After lh_duck_run. `statement` is borrowed. LH_UNSUPPORTED when a column's type has no writer. */
lh_code lh_duck_encoder_new(struct lh_duck_statement *statement, enum lh_duck_format format,
                            lh_duck_sink sink, void *sink_ctx, struct lh_duck_encoder **ret_encoder,
                            struct lh_error *err);
void lh_duck_encoder_free(struct lh_duck_encoder *encoder); /* accepts NULL */

/* In this order: head once, rows for each chunk (the first `count` of it), tail once. */
void lh_duck_encode_head(struct lh_duck_encoder *encoder);
lh_code lh_duck_encode_rows(struct lh_duck_encoder *encoder, size_t count, struct lh_error *err);
void lh_duck_encode_tail(struct lh_duck_encoder *encoder, const struct lh_duck_summary *summary);
/* Hands what is in the window to the sink. */
lh_code lh_duck_encode_flush(struct lh_duck_encoder *encoder, struct lh_error *err);

#endif
