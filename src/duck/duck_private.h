/*
 * What the files of src/duck share: the structs behind duck.h, and the way from DuckDB's error
 * texts to our codes.
 */
#ifndef LH_DUCK_DUCK_PRIVATE_H
#define LH_DUCK_DUCK_PRIVATE_H

#include "duck/duck.h"
#include "duck/statement.h"

#include <duckdb.h>

enum {
    LH_DUCK_MAGIC = 0x6b637564,
    LH_DUCK_CONN_MAGIC = 0x6e6e6f63,
    LH_DUCK_ROWS_MAGIC = 0x73776f72
};

struct lh_duck {
    uint32_t magic;
    duckdb_database database;
};

struct lh_duck_conn {
    uint32_t magic;
    duckdb_connection connection;
};

/* Turns the text of a failed call into *err: the code by the type of DuckDB's exception, never by
 * its wording. *ret_position (may be NULL) gets the byte offset in the SQL text, or
 * LH_DUCK_NO_POSITION. Returns err->code. */
lh_code lh_duck_fail(struct lh_error *err, const char *text, int64_t *ret_position);

#endif
