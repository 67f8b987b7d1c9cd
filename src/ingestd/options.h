/*
 * What a caller may say about a file: one set of options, whether it comes as query parameters or
 * as fields of a form. The same options as canonical JSON go into the content id and to the worker.
 * Pure.
 */
#ifndef LH_INGESTD_OPTIONS_H
#define LH_INGESTD_OPTIONS_H

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "ingestd/encoding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LH_INGEST_NAME_SIZE = 2 * 128 + 2, /* "namespace.name" with its terminator */
    LH_INGEST_VALUE_MAX = 256,         /* bytes of an option's value */
    LH_INGEST_TYPES_MAX = 4096,        /* type.COLUMN parameters */
    LH_CONTENT_ID_SIZE = 65,
};

enum lh_ingest_mode { LH_INGEST_CREATE, LH_INGEST_APPEND, LH_INGEST_REPLACE };

enum lh_ingest_format {
    LH_INGEST_AUTO,
    LH_INGEST_CSV,
    LH_INGEST_JSON,
    LH_INGEST_NDJSON,
    LH_INGEST_PARQUET,
};

/* Whether the first line holds names. */
enum lh_ingest_header { LH_HEADER_AUTO, LH_HEADER_YES, LH_HEADER_NO };

/* A column and its type, in DuckDB's canonical words. */
struct lh_ingest_column {
    char *name;
    char *type;
};

struct lh_ingest_options {
    char dataset[LH_INGEST_NAME_SIZE]; /* canonical; "" = not given */
    enum lh_ingest_mode mode;
    enum lh_ingest_format format; /* "tsv" is CSV with a tab */
    enum lh_encoding encoding;
    enum lh_ingest_header header;
    bool has_delimiter, has_quote, has_escape; /* said by the caller, not found by us */
    char delimiter;
    char quote; /* 0 = no quoting */
    char escape;
    char decimal_separator;
    bool strict_mode;
    char *null_text; /* what stands for NULL; NULL = an empty field */
    char *date_format;
    char *timestamp_format;
    struct lh_ingest_column *types; /* sorted by name */
    size_t type_count;
};

void lh_ingest_options_init(struct lh_ingest_options *options);
void lh_ingest_options_deinit(struct lh_ingest_options *options); /* accepts the zero state */

/* One option from its text, as it stands in a query or a form. LH_INVALID (LH_INVALID_NAME for the
 * dataset) naming the parameter, with the nearest spelling for one that is unknown. */
lh_code lh_ingest_options_set(struct lh_ingest_options *options, lh_str name, lh_str value,
                              struct lh_error *err);

/* Whether the options of a CSV file go together, once all are known: delimiter, quote and escape
 * are three things, and the text for NULL holds none of them. LH_INVALID. */
lh_code lh_ingest_options_check(const struct lh_ingest_options *options, struct lh_error *err);

/* The canonical text of a dataset's name: "orders", "sales.orders"; "main.orders" is "orders".
 * LH_INVALID_NAME. */
lh_code lh_ingest_name_parse(lh_str text, char out[LH_INGEST_NAME_SIZE], struct lh_error *err);

/* A name for a dataset from a file's name: "in/2024 sales.csv" gives "_2024_sales". False when
 * nothing usable is left. */
bool lh_ingest_name_from_file(lh_str file_name, char out[LH_INGEST_NAME_SIZE]);

/* Writes what decides how bytes become rows (neither dataset nor mode) as an object with its
 * members in a fixed order; equal options give equal text. */
void lh_ingest_options_write(const struct lh_ingest_options *options, struct lh_json *json);

/* The reverse, for the worker. *options is initialised first. */
lh_code lh_ingest_options_read(const json_t *object, struct lh_ingest_options *options,
                               struct lh_error *err);

const char *lh_ingest_mode_name(enum lh_ingest_mode mode);
const char *lh_ingest_format_name(enum lh_ingest_format format);

/* The content id: SHA-256 of the input's bytes (already in `digest`, which ends here), a zero byte
 * and the options' canonical text. */
struct lh_digest;
void lh_ingest_content_id(struct lh_digest *digest, const struct lh_ingest_options *options,
                          char out[LH_CONTENT_ID_SIZE]);

#endif
