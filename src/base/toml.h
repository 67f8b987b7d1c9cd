/*
 * TOML, flattened. The one C++ file of the tree (toml.cc) sits behind this header; no C++ type
 * crosses it.
 */
#ifndef LH_BASE_TOML_H
#define LH_BASE_TOML_H

#include "base/error.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One key of a document: [section] key = value. Values arrive as text: integers in decimal,
 * booleans as true or false. Borrowed for the call. */
typedef lh_code (*lh_toml_value)(void *ctx, lh_str section, lh_str key, lh_str value, uint64_t line,
                                 uint64_t column, struct lh_error *err);

/* Calls `on_value` for each key in the order of the file. Refuses what an option cannot be (floats,
 * dates, arrays, tables inside of sections). LH_INVALID_CONFIG with line and column in *err. */
lh_code lh_toml_parse(lh_str text, lh_toml_value on_value, void *ctx, struct lh_error *err);

/* One key of a table in a document that is a list of tables, [[name]] key = value; `index` counts
 * the tables of that name from 0. A list arrives as a call for each of its values, a table without
 * keys as one with an empty key. Borrowed for the call. */
typedef lh_code (*lh_toml_entry)(void *ctx, lh_str name, size_t index, lh_str key, lh_str value,
                                 struct lh_error *err);

/* The same for a document that holds nothing but such tables. */
lh_code lh_toml_parse_tables(lh_str text, lh_toml_entry on_entry, void *ctx, struct lh_error *err);

#ifdef __cplusplus
}
#endif

#endif
