/*
 * The first look at a file, before any of it is converted: what it is (format, encoding) and how it
 * is written (delimiter, quotes). DuckDB guesses these as well, but guesses silently: a ragged file
 * becomes one column of text, a lost quote is taken for content. So we look ourselves and tell
 * DuckDB. Pure.
 */
#ifndef LH_INGESTD_SNIFF_H
#define LH_INGESTD_SNIFF_H

#include "base/error.h"
#include "base/str.h"
#include "ingestd/options.h"

#include <stdbool.h>
#include <stddef.h>

enum { LH_SNIFF_BYTES = 256 << 10 }; /* what is looked at, from the start of the file */

struct lh_sniff {
    lh_str start; /* of the file, at most LH_SNIFF_BYTES */
    bool whole;   /* that is all of it */
    lh_str content_type;
    lh_str file_name; /* of the upload; either may be empty */
    size_t columns_max;
};

/* Fills in what the caller left open: afterwards options->format and ->encoding are not AUTO, and
 * the delimiter and the quote are the file's. A byte order mark outranks everything that was said
 * about the encoding. LH_MEDIA_TYPE for what is none of our formats; LH_BAD_DATA, with line and
 * hint, for an empty file, for bytes that are no text in the encoding, for too many columns, and
 * for one column whose name holds a separator. */
lh_code lh_sniff(const struct lh_sniff *sniff, struct lh_ingest_options *options,
                 struct lh_error *err);

#endif
