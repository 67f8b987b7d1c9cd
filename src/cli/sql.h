/*
 * A query sent to the lakehouse.
 */
#ifndef LH_CLI_SQL_H
#define LH_CLI_SQL_H

#include <stdio.h>

#include "base/error.h"
#include "base/str.h"
#include "cli/cli.h"

struct lh_sql_query {
    lh_str sql;
    const char *at; /* NULL, "NAME=SNAPSHOT" (several with commas), or a time (RFC 3339) */
};

/* The result as the server writes it (json, ndjson, csv), copied to `out` while it arrives. */
lh_code lh_sql_copy(struct lh_cli *cli, const struct lh_sql_query *sql, const char *format,
                    FILE *out, struct lh_error *err);

/* The same, handed out in pieces while it arrives. */
lh_code lh_sql_stream(struct lh_cli *cli, const struct lh_sql_query *sql, const char *format,
                      lh_code (*on_bytes)(void *ctx, const void *bytes, size_t len,
                                          struct lh_error *err),
                      void *ctx, struct lh_error *err);

/* The result as a table, with a line below that tells rows and time. */
lh_code lh_sql_table(struct lh_cli *cli, const struct lh_sql_query *sql, FILE *out,
                     struct lh_error *err);

#endif
