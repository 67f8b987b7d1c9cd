/*
 * Writes a flat table as Parquet. Rows are taken apart into columns as they come: the values in
 * their stored form, the definition levels (0 null, 1 there) as runs. At the end each column
 * becomes one page, and the footer says where they are.
 *
 *   "PAR1"
 *   per column: page header (Thrift), page: [4 bytes length, levels as runs]? values
 *   footer: FileMetaData (Thrift)
 *   4 bytes length of the footer, little-endian
 *   "PAR1"
 */
#include "catalogd/parquet.h"

#include "base/check.h"
#include "base/mem.h"
#include "catalogd/thrift.h"

#include <string.h>
#include <zstd.h>

/* Pages below this stay as they are: compressing them costs more time than it saves bytes. */
enum { COMPRESS_BYTES_MIN = 512, COMPRESS_LEVEL = 3, SCHEMA_DEPTH_ROOT = 1 };

struct column_out {
    struct lh_buf values;
    struct lh_buf levels; /* finished runs; optional columns only */
    bool run_level;       /* of the run that grows */
    uint32_t run_rows;
    uint8_t bits; /* booleans not yet in values */
    unsigned bit_count;

    /* Of the written page. */
    uint64_t offset;
    uint64_t plain_bytes; /* with the page's header, as ColumnMetaData wants them */
    uint64_t stored_bytes;
    int codec;
};

struct lh_parquet_writer {
    const struct lh_parquet_schema *schema;
    struct lh_parquet_limits limits;
    uint64_t row_count;
    ZSTD_CCtx *zstd; /* made when the first page needs it */
    struct column_out columns[LH_PARQUET_COLUMNS_MAX];
};

struct lh_parquet_writer *lh_parquet_writer_new(const struct lh_parquet_schema *schema,
                                                const struct lh_parquet_limits *limits)
{
    LH_CHECK(schema->column_count <= LH_PARQUET_COLUMNS_MAX);
    LH_CHECK(limits->decoded_bytes_max <= 1U << 30);
    struct lh_parquet_writer *writer = lh_calloc(1, sizeof(*writer));
    writer->schema = schema;
    writer->limits = *limits;
    for (size_t c = 0; c < schema->column_count; c++) {
        writer->columns[c].values = LH_BUF_INIT(limits->decoded_bytes_max);
        writer->columns[c].levels = LH_BUF_INIT(limits->decoded_bytes_max);
    }
    return writer;
}

void lh_parquet_writer_free(struct lh_parquet_writer *writer)
{
    if (!writer)
        return;
    for (size_t c = 0; c < writer->schema->column_count; c++) {
        lh_buf_deinit(&writer->columns[c].values);
        lh_buf_deinit(&writer->columns[c].levels);
    }
    ZSTD_freeCCtx(writer->zstd);
    free(writer);
}

void lh_parquet_writer_cleanup(struct lh_parquet_writer **writer)
{
    lh_parquet_writer_free(*writer);
    *writer = NULL;
}

int lh_parquet_physical(enum lh_parquet_type type)
{
    switch (type) {
    case LH_PARQUET_BOOL:
        return LH_PARQUET_PHYSICAL_BOOLEAN;
    case LH_PARQUET_INT32:
        return LH_PARQUET_PHYSICAL_INT32;
    case LH_PARQUET_INT64:
    case LH_PARQUET_UINT64:
    case LH_PARQUET_TIMESTAMP:
        return LH_PARQUET_PHYSICAL_INT64;
    case LH_PARQUET_TEXT:
        break;
    }
    return LH_PARQUET_PHYSICAL_BYTE_ARRAY;
}

/* ---- rows ---- */

static void put_le(struct lh_buf *out, uint64_t value, size_t bytes)
{
    char text[8];
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)(value >> (8 * i));
    lh_buf_append(out, text, bytes);
}

/* RLE/bit-packing hybrid, run form: varint(rows << 1), then the level in one byte. */
static void end_run(struct column_out *column)
{
    if (column->run_rows == 0)
        return;
    uint64_t head = (uint64_t)column->run_rows << 1;
    for (; head >= 0x80; head >>= 7)
        lh_buf_append_char(&column->levels, (char)(head | 0x80));
    lh_buf_append_char(&column->levels, (char)head);
    lh_buf_append_char(&column->levels, column->run_level ? 1 : 0);
    column->run_rows = 0;
}

static void put_level(struct column_out *column, bool present)
{
    if (column->run_rows > 0 && column->run_level != present)
        end_run(column);
    column->run_level = present;
    column->run_rows++;
}

static void end_bits(struct column_out *column)
{
    if (column->bit_count > 0)
        lh_buf_append_char(&column->values, (char)column->bits);
    column->bits = 0;
    column->bit_count = 0;
}

static void put_bit(struct column_out *column, bool bit)
{
    column->bits = (uint8_t)(column->bits | (unsigned)bit << column->bit_count);
    if (++column->bit_count == 8)
        end_bits(column);
}

void lh_parquet_write_row(struct lh_parquet_writer *writer, const struct lh_parquet_row *row)
{
    for (size_t c = 0; c < writer->schema->column_count; c++) {
        const struct lh_parquet_column *shape = &writer->schema->columns[c];
        struct column_out *column = &writer->columns[c];
        bool present = row->present >> c & 1;
        LH_CHECK(present || !shape->required);
        if (!shape->required)
            put_level(column, present);
        if (!present)
            continue;
        lh_str text = row->cells[c].text;
        uint64_t value = (uint64_t)row->cells[c].i64;
        if (shape->type == LH_PARQUET_TEXT) {
            put_le(&column->values, text.len, 4);
            lh_buf_append_str(&column->values, text);
        } else if (shape->type == LH_PARQUET_BOOL) {
            put_bit(column, value != 0);
        } else {
            put_le(&column->values, value, shape->type == LH_PARQUET_INT32 ? 4 : 8);
        }
    }
    writer->row_count++;
}

/* ---- pages ---- */

static void write_page_header(struct lh_buf *out, uint64_t row_count, size_t plain_bytes,
                              size_t stored_bytes)
{
    struct lh_thrift_writer w = LH_THRIFT_TO(out);
    lh_thrift_begin(&w);
    lh_thrift_i32(&w, 1, LH_PARQUET_PAGE_DATA);
    lh_thrift_i32(&w, 2, (int32_t)plain_bytes);
    lh_thrift_i32(&w, 3, (int32_t)stored_bytes);
    lh_thrift_begin_field(&w, 5);
    lh_thrift_i32(&w, 1, (int32_t)row_count);
    lh_thrift_i32(&w, 2, LH_PARQUET_ENCODING_PLAIN);
    lh_thrift_i32(&w, 3, LH_PARQUET_ENCODING_RLE);
    lh_thrift_i32(&w, 4, LH_PARQUET_ENCODING_RLE);
    lh_thrift_end(&w);
    lh_thrift_end(&w);
}

/* The page's content, compressed when that pays; gives what to store. */
static lh_str compress(struct lh_parquet_writer *writer, lh_str page, struct lh_buf *scratch,
                       int *ret_codec)
{
    *ret_codec = LH_PARQUET_CODEC_NONE;
    if (page.len < COMPRESS_BYTES_MIN)
        return page;
    if (!writer->zstd)
        writer->zstd = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(page.len);
    char *target = lh_buf_reserve(scratch, room);
    if (!writer->zstd || !target)
        return page;
    size_t len = ZSTD_compressCCtx(writer->zstd, target, room, page.ptr, page.len, COMPRESS_LEVEL);
    if (ZSTD_isError(len) || len >= page.len)
        return page;
    *ret_codec = LH_PARQUET_CODEC_ZSTD;
    return lh_str_of(target, len);
}

static void write_column(struct lh_parquet_writer *writer, size_t c, struct lh_buf *out)
{
    struct column_out *column = &writer->columns[c];
    end_run(column);
    end_bits(column);
    LH_AUTO_BUF struct lh_buf page = LH_BUF_INIT(writer->limits.decoded_bytes_max);
    if (!writer->schema->columns[c].required) {
        put_le(&page, column->levels.len, 4);
        lh_buf_append_str(&page, lh_buf_str(&column->levels));
    }
    lh_buf_append_str(&page, lh_buf_str(&column->values));

    LH_AUTO_BUF struct lh_buf scratch = LH_BUF_INIT(ZSTD_compressBound(page.len));
    lh_str stored = compress(writer, lh_buf_str(&page), &scratch, &column->codec);
    column->offset = out->len;
    write_page_header(out, writer->row_count, page.len, stored.len);
    uint64_t header_bytes = out->len - column->offset;
    lh_buf_append_str(out, stored);
    column->plain_bytes = header_bytes + page.len;
    column->stored_bytes = header_bytes + stored.len;
}

/* ---- the footer (parquet.thrift: FileMetaData) ---- */

/* SchemaElement.converted_type (older readers) and .logicalType (newer ones). */
static void write_logical_type(struct lh_thrift_writer *w, enum lh_parquet_type type)
{
    enum { UTF8 = 0, TIMESTAMP_MILLIS = 9, UINT_64 = 14 };
    switch (type) {
    case LH_PARQUET_TEXT:
        lh_thrift_i32(w, 6, UTF8);
        lh_thrift_begin_field(w, 10);
        lh_thrift_begin_field(w, 1); /* STRING */
        lh_thrift_end(w);
        break;
    case LH_PARQUET_TIMESTAMP:
        lh_thrift_i32(w, 6, TIMESTAMP_MILLIS);
        lh_thrift_begin_field(w, 10);
        lh_thrift_begin_field(w, 8); /* TIMESTAMP */
        lh_thrift_bool(w, 1, true);  /* isAdjustedToUTC */
        lh_thrift_begin_field(w, 2); /* unit */
        lh_thrift_begin_field(w, 1); /* MILLIS */
        lh_thrift_end(w);
        lh_thrift_end(w);
        lh_thrift_end(w);
        break;
    case LH_PARQUET_UINT64:
        lh_thrift_i32(w, 6, UINT_64);
        lh_thrift_begin_field(w, 10);
        lh_thrift_begin_field(w, 10); /* INTEGER */
        lh_thrift_i8(w, 1, 64);
        lh_thrift_bool(w, 2, false); /* isSigned */
        lh_thrift_end(w);
        break;
    case LH_PARQUET_BOOL:
    case LH_PARQUET_INT32:
    case LH_PARQUET_INT64:
        return;
    }
    lh_thrift_end(w);
}

static void write_schema(struct lh_thrift_writer *w, const struct lh_parquet_schema *schema)
{
    lh_thrift_list(w, 2, LH_THRIFT_STRUCT, schema->column_count + SCHEMA_DEPTH_ROOT);
    lh_thrift_begin(w);
    lh_thrift_text(w, 4, LH_STR("schema"));
    lh_thrift_i32(w, 5, (int32_t)schema->column_count);
    lh_thrift_end(w);
    for (size_t c = 0; c < schema->column_count; c++) {
        const struct lh_parquet_column *column = &schema->columns[c];
        lh_thrift_begin(w);
        lh_thrift_i32(w, 1, lh_parquet_physical(column->type));
        lh_thrift_i32(w, 3, column->required ? LH_PARQUET_REQUIRED : LH_PARQUET_OPTIONAL);
        lh_thrift_text(w, 4, lh_str_from(column->name));
        write_logical_type(w, column->type);
        lh_thrift_end(w);
    }
}

static void write_chunk(struct lh_thrift_writer *w, const struct lh_parquet_writer *writer,
                        size_t c)
{
    const struct lh_parquet_column *shape = &writer->schema->columns[c];
    const struct column_out *column = &writer->columns[c];
    lh_thrift_begin(w);
    lh_thrift_i64(w, 2, (int64_t)column->offset);
    lh_thrift_begin_field(w, 3); /* ColumnMetaData */
    lh_thrift_i32(w, 1, lh_parquet_physical(shape->type));
    lh_thrift_list(w, 2, LH_THRIFT_I32, 2);
    lh_thrift_element_i32(w, LH_PARQUET_ENCODING_PLAIN);
    lh_thrift_element_i32(w, LH_PARQUET_ENCODING_RLE);
    lh_thrift_list(w, 3, LH_THRIFT_BINARY, 1);
    lh_thrift_element_text(w, lh_str_from(shape->name));
    lh_thrift_i32(w, 4, column->codec);
    lh_thrift_i64(w, 5, (int64_t)writer->row_count);
    lh_thrift_i64(w, 6, (int64_t)column->plain_bytes);
    lh_thrift_i64(w, 7, (int64_t)column->stored_bytes);
    lh_thrift_i64(w, 9, (int64_t)column->offset);
    lh_thrift_end(w);
    lh_thrift_end(w);
}

static void write_row_group(struct lh_thrift_writer *w, const struct lh_parquet_writer *writer)
{
    uint64_t plain_bytes = 0;
    lh_thrift_list(w, 4, LH_THRIFT_STRUCT, 1);
    lh_thrift_begin(w);
    lh_thrift_list(w, 1, LH_THRIFT_STRUCT, writer->schema->column_count);
    for (size_t c = 0; c < writer->schema->column_count; c++) {
        write_chunk(w, writer, c);
        plain_bytes += writer->columns[c].plain_bytes;
    }
    lh_thrift_i64(w, 2, (int64_t)plain_bytes);
    lh_thrift_i64(w, 3, (int64_t)writer->row_count);
    lh_thrift_end(w);
}

static void write_footer(const struct lh_parquet_writer *writer, struct lh_buf *out)
{
    struct lh_thrift_writer w = LH_THRIFT_TO(out);
    lh_thrift_begin(&w);
    lh_thrift_i32(&w, 1, 1);
    write_schema(&w, writer->schema);
    lh_thrift_i64(&w, 3, (int64_t)writer->row_count);
    write_row_group(&w, writer);
    lh_thrift_list(&w, 5, LH_THRIFT_STRUCT, 1);
    lh_thrift_begin(&w);
    lh_thrift_text(&w, 1, lh_str_from(writer->schema->version_key));
    lh_thrift_text(&w, 2, lh_str_from(writer->schema->version));
    lh_thrift_end(&w);
    lh_thrift_text(&w, 6, LH_STR("lakehouse"));
    lh_thrift_end(&w);
}

/* Nothing that a reader with the same limits would refuse is ever written. */
static lh_code check_decoded_size(const struct lh_parquet_writer *writer, struct lh_error *err)
{
    uint64_t total = 0;
    for (size_t c = 0; c < writer->schema->column_count; c++) {
        const struct column_out *column = &writer->columns[c];
        total += column->values.len + column->levels.len + 16;
        if (lh_buf_overflowed(&column->values) || total > writer->limits.decoded_bytes_max)
            return lh_fail(err, LH_TOO_LARGE, "the table has more than %zu bytes",
                           writer->limits.decoded_bytes_max);
    }
    return LH_OK;
}

lh_code lh_parquet_finish(struct lh_parquet_writer *writer, struct lh_buf *out,
                          struct lh_error *err)
{
    LH_TRY(check_decoded_size(writer, err));
    LH_CHECK(out->len == 0);
    lh_buf_append_str(out, LH_STR("PAR1"));
    for (size_t c = 0; c < writer->schema->column_count; c++)
        write_column(writer, c, out);
    size_t footer = out->len;
    write_footer(writer, out);
    put_le(out, out->len - footer, 4);
    lh_buf_append_str(out, LH_STR("PAR1"));
    if (lh_buf_overflowed(out) || out->len > writer->limits.file_bytes_max)
        return lh_fail(err, LH_TOO_LARGE, "the file has more than %zu bytes",
                       writer->limits.file_bytes_max);
    return LH_OK;
}
