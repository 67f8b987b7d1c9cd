/*
 * DuckDB's types as text, and which of them the encoders write.
 */
#ifndef LH_DUCK_TYPE_H
#define LH_DUCK_TYPE_H

#include "base/buf.h"

#include <duckdb.h>
#include <stdbool.h>

/* Appends the text that CREATE TABLE would take: DECIMAL(18,3), STRUCT(a INTEGER, b VARCHAR[]). A
 * type that this code does not know is "UNKNOWN". */
void lh_duck_type_text(duckdb_logical_type type, struct lh_buf *out);

/* False for types without a writer of their own, and for what holds one. */
bool lh_duck_type_encodes(duckdb_logical_type type);

#endif
