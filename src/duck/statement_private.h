/*
 * The inside of a statement, for the encoders.
 */
#ifndef LH_DUCK_STATEMENT_PRIVATE_H
#define LH_DUCK_STATEMENT_PRIVATE_H

#include "duck/duck_private.h"
#include "duck/statement.h"

enum { LH_DUCK_STATEMENT_MAGIC = 0x746d7473 };

struct lh_duck_result_column {
    char *name;
    char *type_text;
    duckdb_logical_type type;
    bool encodes;
};

struct lh_duck_statement {
    uint32_t magic;
    duckdb_prepared_statement prepared;
    duckdb_pending_result pending; /* not NULL once it runs */
    duckdb_result result;
    duckdb_data_chunk chunk;
    size_t column_count;
    struct lh_duck_result_column *columns;
};

#endif
