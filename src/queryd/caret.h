/*
 * A place in a text of SQL, shown to people: line, column and an excerpt with a caret below.
 *
 *   SELECT foo FROM events
 *          ^
 */
#ifndef LH_QUERYD_CARET_H
#define LH_QUERYD_CARET_H

#include "base/error.h"
#include "base/str.h"

/* Puts line, column (1-based, in characters) and excerpt of the byte at `offset` into *err, whose
 * code and message stand already. An offset beyond the text means its end. Long lines are cut
 * around the place. */
void lh_sql_caret(lh_str sql, size_t offset, struct lh_error *err);

/* The byte at which the n-th character begins (n from 0); sql.len when there are not so many. */
size_t lh_sql_byte_of_character(lh_str sql, size_t n);

#endif
