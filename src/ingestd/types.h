/*
 * The types that a column may be given (?type.COLUMN=TYPE), by DuckDB's canonical words. Pure.
 */
#ifndef LH_INGESTD_TYPES_H
#define LH_INGESTD_TYPES_H

#include "base/error.h"
#include "base/str.h"

/* The canonical text of a type: "int" gives INTEGER, "numeric(10,2)" DECIMAL(10,2), "text[]"
 * VARCHAR[]. Owned by the caller. LH_INVALID for anything that is not known to us: the text goes
 * into SQL. */
lh_code lh_column_type_parse(lh_str text, char **ret_type, struct lh_error *err);

#endif
