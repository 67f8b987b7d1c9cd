/*
 * DuckDB's SQL parser by itself: from text to a tree as JSON, and back. It neither binds nor runs
 * anything.
 */
#ifndef LH_DUCK_PARSER_H
#define LH_DUCK_PARSER_H

#include "duck/duck.h"

struct lh_buf;
struct lh_duck_parser;

/* Prepared once; the connection is borrowed and used by nothing else at the same time. */
lh_code lh_duck_parser_new(struct lh_duck_conn *conn, struct lh_duck_parser **ret_parser,
                           struct lh_error *err);
void lh_duck_parser_free(struct lh_duck_parser *parser); /* accepts NULL */

/* What json_serialize_sql says of `sql`, a refusal included, into `out` (whose maximum bounds it:
 * LH_TOO_LARGE). */
lh_code lh_duck_parse(struct lh_duck_parser *parser, lh_str sql, struct lh_buf *out,
                      struct lh_error *err);

/* The canonical text of a tree: one statement without comments. */
lh_code lh_duck_unparse(struct lh_duck_parser *parser, lh_str tree, struct lh_buf *out,
                        struct lh_error *err);

#endif
