/*
 * Flat tables as Apache Parquet files: what a manifest needs and no more. One row group, one data
 * page (version 1) a column, PLAIN values, levels as runs, pages uncompressed or zstd. Any Parquet
 * reader reads what is written here; the reader here reads what this writer wrote and refuses
 * everything else. https://parquet.apache.org/docs/file-format/
 *
 * Why not DuckDB: reading 10,000 manifests through it takes 6 s of CPU, and it keeps 35 MB resident
 * (docs/adr/0008-catalogd-writes-parquet-itself.md).
 */
#ifndef LH_CATALOGD_PARQUET_H
#define LH_CATALOGD_PARQUET_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LH_PARQUET_COLUMNS_MAX = 64 };

enum lh_parquet_type {
    LH_PARQUET_BOOL,
    LH_PARQUET_INT32,
    LH_PARQUET_INT64,
    LH_PARQUET_UINT64,
    LH_PARQUET_TIMESTAMP, /* milliseconds since 1970, UTC */
    LH_PARQUET_TEXT,
};

struct lh_parquet_column {
    const char *name;
    enum lh_parquet_type type;
    bool required; /* never null */
};

/* The shape of a table. `name` and `version` go into the file's key-value metadata. */
struct lh_parquet_schema {
    const struct lh_parquet_column *columns;
    size_t column_count;
    const char *version_key;
    const char *version;
};

/* One row. Bit c of `present` says whether cells[c] is there; a text cell is borrowed. */
struct lh_parquet_row {
    uint64_t present;
    struct {
        int64_t i64; /* every type but TEXT; UINT64 as its bits */
        lh_str text;
    } cells[LH_PARQUET_COLUMNS_MAX];
};

struct lh_parquet_limits {
    size_t file_bytes_max;
    size_t decoded_bytes_max; /* pages of all columns together, not compressed; at most 1 GiB */
};

/* ---- writing ---- */

struct lh_parquet_writer;
struct lh_parquet_writer *lh_parquet_writer_new(const struct lh_parquet_schema *schema,
                                                const struct lh_parquet_limits *limits);
void lh_parquet_writer_free(struct lh_parquet_writer *writer);
void lh_parquet_writer_cleanup(struct lh_parquet_writer **writer);
/* Texts are copied. A required cell must be present. */
void lh_parquet_write_row(struct lh_parquet_writer *writer, const struct lh_parquet_row *row);
/* The whole file into `out`. LH_TOO_LARGE when a limit was met; the writer is used up. */
lh_code lh_parquet_finish(struct lh_parquet_writer *writer, struct lh_buf *out,
                          struct lh_error *err);

/* ---- reading ---- */

struct lh_parquet_reader;
/* Checks the file's frame and its footer against the schema and the limits. LH_CORRUPT that says
 * what is wrong, LH_UNSUPPORTED for another version, LH_TOO_LARGE. `file` is borrowed until free.
 */
lh_code lh_parquet_open(lh_str file, const struct lh_parquet_schema *schema,
                        const struct lh_parquet_limits *limits,
                        struct lh_parquet_reader **ret_reader, struct lh_error *err);
void lh_parquet_reader_free(struct lh_parquet_reader *reader);
void lh_parquet_reader_cleanup(struct lh_parquet_reader **reader);
uint64_t lh_parquet_row_count(const struct lh_parquet_reader *reader);
/* The next row; texts live as long as the reader. LH_CORRUPT when a page is damaged, or when there
 * are no more rows. */
lh_code lh_parquet_read_row(struct lh_parquet_reader *reader, struct lh_parquet_row *ret_row,
                            struct lh_error *err);
/* After the last row: LH_CORRUPT unless every page is used up. */
lh_code lh_parquet_read_end(const struct lh_parquet_reader *reader, struct lh_error *err);

/* ---- the numbers of the standard (parquet.thrift), for both sides ---- */

enum {
    LH_PARQUET_PHYSICAL_BOOLEAN = 0,
    LH_PARQUET_PHYSICAL_INT32 = 1,
    LH_PARQUET_PHYSICAL_INT64 = 2,
    LH_PARQUET_PHYSICAL_BYTE_ARRAY = 6,

    LH_PARQUET_REQUIRED = 0,
    LH_PARQUET_OPTIONAL = 1,

    LH_PARQUET_CODEC_NONE = 0,
    LH_PARQUET_CODEC_ZSTD = 6,

    LH_PARQUET_ENCODING_PLAIN = 0,
    LH_PARQUET_ENCODING_RLE = 3,

    LH_PARQUET_PAGE_DATA = 0,
};

/* How the type is stored. */
int lh_parquet_physical(enum lh_parquet_type type);

#endif
