/*
 * Items for a vector index: from lines of JSON, from a query, or from a file of another kind, which
 * the server reads (it becomes a dataset for as long as that takes).
 *
 * Each row has an id and a vector. What else it has is the item's metadata; if that is one column
 * of the name "metadata", its content is.
 */
#ifndef LH_CLI_VECTOR_ADD_H
#define LH_CLI_VECTOR_ADD_H

#include <stdint.h>

#include "base/error.h"
#include "cli/cli.h"

struct lh_vector_add {
    const char *index;
    const char *path;          /* "-" is stdin; NULL = sql */
    const char *sql;           /* NULL = path */
    const char *format;        /* of the file: "ndjson", "csv", ...; NULL = by its name */
    const char *id_column;     /* "id" */
    const char *vector_column; /* "vector" */
    int64_t batch;             /* items in one request */
};

struct lh_vector_added {
    uint64_t added;
    uint64_t updated;
    bool durable;
};

/* Batches that were answered stay when a later one fails; *ret_added counts them then, too. */
lh_code lh_vector_add(struct lh_cli *cli, const struct lh_vector_add *add,
                      struct lh_vector_added *ret_added, struct lh_error *err);

#endif
