/*
 * EXPLAIN is not a SELECT to the parser, so it is recognised by its first word; the server explains
 * the gated rest itself.
 */
#ifndef LH_QUERYWORKER_EXPLAIN_H
#define LH_QUERYWORKER_EXPLAIN_H

#include "base/error.h"

#include <stdbool.h>

/* When `sql` begins with EXPLAIN (after spaces and comments), overwrites that word with spaces, so
 * that the rest keeps its offsets. EXPLAIN ANALYZE and EXPLAIN (options) get
 * LH_STATEMENT_NOT_ALLOWED: the first runs the statement, and shows the names of files. */
lh_code lh_explain_strip(char *sql, bool *ret_explain, struct lh_error *err);

#endif
