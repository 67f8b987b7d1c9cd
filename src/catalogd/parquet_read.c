/*
 * Reads what parquet_write.c wrote, and trusts none of it: every offset and length is checked
 * against what is there before it is followed, nothing is allocated by a number from the file that
 * the limits do not bound, and whatever the writer would not have written is LH_CORRUPT. The rows'
 * own content is the caller's to verify (manifest.c: a checksum in each row).
 */
#include "catalogd/parquet.h"

#include "base/check.h"
#include "base/mem.h"
#include "catalogd/thrift.h"

#include <string.h>
#include <zstd.h>

enum { FRAME_BYTES = 12, MAGIC_BYTES = 4 };

/* What the footer says about a column. */
struct chunk {
    int64_t type;
    int64_t codec;
    int64_t values;
    int64_t offset;
    int64_t stored_bytes;
};

struct column_in {
    const struct lh_parquet_column *shape;
    char *plain; /* the decompressed page, when it was compressed */
    const uint8_t *levels, *levels_end;
    const uint8_t *values, *values_end;
    uint64_t run_rows; /* left of the run */
    bool run_level;
    unsigned bit; /* next bit of *values, for booleans */
};

struct lh_parquet_reader {
    const struct lh_parquet_schema *schema;
    lh_str file;
    size_t decoded_bytes_left;
    uint64_t row_count;
    uint64_t rows_read;
    ZSTD_DCtx *zstd; /* made when the first page needs it */
    struct chunk chunks[LH_PARQUET_COLUMNS_MAX];
    struct column_in columns[LH_PARQUET_COLUMNS_MAX];
};

void lh_parquet_reader_free(struct lh_parquet_reader *reader)
{
    if (!reader)
        return;
    for (size_t c = 0; c < reader->schema->column_count; c++)
        free(reader->columns[c].plain);
    ZSTD_freeDCtx(reader->zstd);
    free(reader);
}

void lh_parquet_reader_cleanup(struct lh_parquet_reader **reader)
{
    lh_parquet_reader_free(*reader);
    *reader = NULL;
}

uint64_t lh_parquet_row_count(const struct lh_parquet_reader *reader)
{
    return reader->row_count;
}

static uint64_t get_le(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

/* ---- the footer ---- */

/* One SchemaElement must be the column that we expect; the root comes first and is not looked at.
 */
static void read_schema_element(struct lh_thrift_reader *r, const struct lh_parquet_column *want)
{
    int64_t type = -1, repetition = -1;
    lh_str name = LH_STR_NONE;
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 1)
            type = lh_thrift_read_int(r, field);
        else if (id == 3)
            repetition = lh_thrift_read_int(r, field);
        else if (id == 4)
            name = lh_thrift_read_text(r, field);
        else
            lh_thrift_skip(r, field);
    }
    if (!want)
        return;
    int64_t want_repetition = want->required ? LH_PARQUET_REQUIRED : LH_PARQUET_OPTIONAL;
    if (!lh_str_is(name, want->name) || type != lh_parquet_physical(want->type) ||
        repetition != want_repetition)
        r->bad = true;
}

static void read_schema(struct lh_thrift_reader *r, enum lh_thrift_type field,
                        const struct lh_parquet_schema *schema)
{
    size_t count = lh_thrift_read_list(r, field, LH_THRIFT_STRUCT, LH_PARQUET_COLUMNS_MAX + 1);
    if (count != schema->column_count + 1)
        r->bad = true;
    for (size_t i = 0; i < count && !r->bad; i++)
        read_schema_element(r, i == 0 ? NULL : &schema->columns[i - 1]);
}

static void read_column_meta(struct lh_thrift_reader *r, struct chunk *chunk)
{
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 1)
            chunk->type = lh_thrift_read_int(r, field);
        else if (id == 4)
            chunk->codec = lh_thrift_read_int(r, field);
        else if (id == 5)
            chunk->values = lh_thrift_read_int(r, field);
        else if (id == 7)
            chunk->stored_bytes = lh_thrift_read_int(r, field);
        else if (id == 9)
            chunk->offset = lh_thrift_read_int(r, field);
        else
            lh_thrift_skip(r, field);
    }
}

static void read_chunk(struct lh_thrift_reader *r, struct chunk *chunk)
{
    *chunk = (struct chunk){.type = -1, .codec = -1, .values = -1, .offset = -1};
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 3 && field == LH_THRIFT_STRUCT)
            read_column_meta(r, chunk);
        else
            lh_thrift_skip(r, field);
    }
}

static void read_row_group(struct lh_parquet_reader *reader, struct lh_thrift_reader *r)
{
    int id = 0;
    enum lh_thrift_type field;
    size_t count = 0;
    while (lh_thrift_next(r, &id, &field)) {
        if (id != 1) {
            lh_thrift_skip(r, field);
            continue;
        }
        count = lh_thrift_read_list(r, field, LH_THRIFT_STRUCT, LH_PARQUET_COLUMNS_MAX);
        for (size_t c = 0; c < count && !r->bad; c++)
            read_chunk(r, &reader->chunks[c]);
    }
    if (count != reader->schema->column_count)
        r->bad = true;
}

/* The value of our key in the file's key-value metadata. */
static void read_version(struct lh_thrift_reader *r, enum lh_thrift_type field, const char *want,
                         lh_str *ret_version)
{
    size_t count = lh_thrift_read_list(r, field, LH_THRIFT_STRUCT, 16);
    for (size_t i = 0; i < count && !r->bad; i++) {
        lh_str key = LH_STR_NONE, value = LH_STR_NONE;
        int id = 0;
        while (lh_thrift_next(r, &id, &field)) {
            if (id == 1)
                key = lh_thrift_read_text(r, field);
            else if (id == 2)
                value = lh_thrift_read_text(r, field);
            else
                lh_thrift_skip(r, field);
        }
        if (lh_str_is(key, want))
            *ret_version = value;
    }
}

struct footer {
    int64_t row_count;
    lh_str version;
    bool schema_seen, rows_seen;
};

static void read_fields(struct lh_parquet_reader *reader, struct lh_thrift_reader *r,
                        struct footer *ret_footer)
{
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 2) {
            read_schema(r, field, reader->schema);
            ret_footer->schema_seen = true;
        } else if (id == 3) {
            ret_footer->row_count = lh_thrift_read_int(r, field);
        } else if (id == 4) {
            if (lh_thrift_read_list(r, field, LH_THRIFT_STRUCT, 1) == 1)
                read_row_group(reader, r);
            ret_footer->rows_seen = true;
        } else if (id == 5) {
            read_version(r, field, reader->schema->version_key, &ret_footer->version);
        } else {
            lh_thrift_skip(r, field);
        }
    }
}

/* The version stands behind the schema in the file, so a newer schema is first seen as a bad one:
 * the version is looked for on its own before. */
static lh_code check_version(const struct lh_parquet_reader *reader, struct lh_thrift_reader r,
                             struct lh_error *err)
{
    lh_str version = LH_STR_NONE;
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(&r, &id, &field)) {
        if (id == 5)
            read_version(&r, field, reader->schema->version_key, &version);
        else
            lh_thrift_skip(&r, field);
    }
    if (r.bad || version.ptr == NULL)
        return lh_fail(err, LH_CORRUPT, "the footer cannot be read");
    if (!lh_str_is(version, reader->schema->version))
        return lh_fail(err, LH_UNSUPPORTED, "%s is '%.*s'; this version reads '%s'",
                       reader->schema->version_key, LH_FMT(version), reader->schema->version);
    return LH_OK;
}

static lh_code read_footer(struct lh_parquet_reader *reader, lh_str bytes, struct lh_error *err)
{
    struct lh_thrift_reader r = {.at = (const uint8_t *)bytes.ptr,
                                 .end = (const uint8_t *)bytes.ptr + bytes.len};
    LH_TRY(check_version(reader, r, err));
    struct footer footer = {.row_count = -1};
    read_fields(reader, &r, &footer);
    if (r.bad || r.at != r.end || !footer.schema_seen || !footer.rows_seen || footer.row_count < 0)
        return lh_fail(err, LH_CORRUPT, "the footer is not that of a manifest");
    reader->row_count = (uint64_t)footer.row_count;
    return LH_OK;
}

/* ---- pages ---- */

struct page {
    int64_t type, plain_bytes, stored_bytes, values, encoding, levels_encoding;
};

static void read_data_page_header(struct lh_thrift_reader *r, struct page *page)
{
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 1)
            page->values = lh_thrift_read_int(r, field);
        else if (id == 2)
            page->encoding = lh_thrift_read_int(r, field);
        else if (id == 3)
            page->levels_encoding = lh_thrift_read_int(r, field);
        else
            lh_thrift_skip(r, field);
    }
}

static void read_page_header(struct lh_thrift_reader *r, struct page *page)
{
    int id = 0;
    enum lh_thrift_type field;
    while (lh_thrift_next(r, &id, &field)) {
        if (id == 1)
            page->type = lh_thrift_read_int(r, field);
        else if (id == 2)
            page->plain_bytes = lh_thrift_read_int(r, field);
        else if (id == 3)
            page->stored_bytes = lh_thrift_read_int(r, field);
        else if (id == 5 && field == LH_THRIFT_STRUCT)
            read_data_page_header(r, page);
        else
            lh_thrift_skip(r, field);
    }
}

static lh_code bad_column(const struct column_in *column, const char *what, struct lh_error *err)
{
    return lh_fail(err, LH_CORRUPT, "column %s: %s", column->shape->name, what);
}

static lh_code decompress(struct lh_parquet_reader *reader, struct column_in *column, lh_str stored,
                          size_t plain_bytes, struct lh_error *err)
{
    if (!reader->zstd)
        reader->zstd = ZSTD_createDCtx();
    column->plain = lh_try_malloc(plain_bytes > 0 ? plain_bytes : 1, 1);
    if (!reader->zstd || !column->plain)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a page of %zu bytes", plain_bytes);
    size_t len =
        ZSTD_decompressDCtx(reader->zstd, column->plain, plain_bytes, stored.ptr, stored.len);
    if (ZSTD_isError(len) || len != plain_bytes)
        return bad_column(column, "the page cannot be decompressed", err);
    return LH_OK;
}

/* Cuts the page into levels and values. */
static lh_code set_page(struct column_in *column, const uint8_t *page, size_t len,
                        struct lh_error *err)
{
    column->values = page;
    column->values_end = page + len;
    if (column->shape->required)
        return LH_OK;
    if (len < 4 || get_le(page, 4) > len - 4)
        return bad_column(column, "the levels are longer than the page", err);
    column->levels = page + 4;
    column->levels_end = column->levels + get_le(page, 4);
    column->values = column->levels_end;
    return LH_OK;
}

static lh_code open_column(struct lh_parquet_reader *reader, size_t c, struct lh_error *err)
{
    struct column_in *column = &reader->columns[c];
    const struct chunk *chunk = &reader->chunks[c];
    uint64_t pages_end = reader->file.len - FRAME_BYTES + MAGIC_BYTES;
    if (chunk->type != lh_parquet_physical(column->shape->type) ||
        chunk->values != (int64_t)reader->row_count)
        return bad_column(column, "its type or its number of values is not the table's", err);
    if (chunk->offset < MAGIC_BYTES || (uint64_t)chunk->offset > pages_end ||
        chunk->stored_bytes < 0 ||
        (uint64_t)chunk->stored_bytes > pages_end - (uint64_t)chunk->offset)
        return bad_column(column, "its page lies outside of the file", err);

    const uint8_t *start = (const uint8_t *)reader->file.ptr + chunk->offset;
    struct lh_thrift_reader r = {.at = start, .end = start + chunk->stored_bytes};
    struct page page = {-1, -1, -1, -1, -1, -1};
    read_page_header(&r, &page);
    if (r.bad || page.type != LH_PARQUET_PAGE_DATA || page.values != chunk->values ||
        page.encoding != LH_PARQUET_ENCODING_PLAIN ||
        page.levels_encoding != LH_PARQUET_ENCODING_RLE || page.plain_bytes < 0 ||
        page.stored_bytes != r.end - r.at)
        return bad_column(column, "the page's header is not valid", err);
    if ((uint64_t)page.plain_bytes > reader->decoded_bytes_left)
        return lh_fail(err, LH_TOO_LARGE, "the pages have more bytes than may be decoded");
    reader->decoded_bytes_left -= (size_t)page.plain_bytes;

    lh_str stored = lh_str_of((const char *)r.at, (size_t)page.stored_bytes);
    if (chunk->codec == LH_PARQUET_CODEC_ZSTD) {
        LH_TRY(decompress(reader, column, stored, (size_t)page.plain_bytes, err));
        return set_page(column, (const uint8_t *)column->plain, (size_t)page.plain_bytes, err);
    }
    if (chunk->codec != LH_PARQUET_CODEC_NONE || page.plain_bytes != page.stored_bytes)
        return bad_column(column, "the codec is not one of ours", err);
    return set_page(column, r.at, stored.len, err);
}

static lh_code open_file(struct lh_parquet_reader *reader, struct lh_error *err)
{
    lh_str file = reader->file;
    if (file.len < FRAME_BYTES || memcmp(file.ptr, "PAR1", MAGIC_BYTES) != 0 ||
        memcmp(file.ptr + file.len - MAGIC_BYTES, "PAR1", MAGIC_BYTES) != 0)
        return lh_fail(err, LH_CORRUPT, "%zu bytes that are no Parquet file", file.len);
    uint64_t footer_bytes = get_le((const uint8_t *)file.ptr + file.len - 8, 4);
    if (footer_bytes > file.len - FRAME_BYTES)
        return lh_fail(err, LH_CORRUPT, "the footer is longer than the file");
    lh_str footer = lh_str_of(file.ptr + file.len - 8 - footer_bytes, (size_t)footer_bytes);
    LH_TRY(read_footer(reader, footer, err));
    for (size_t c = 0; c < reader->schema->column_count; c++)
        LH_TRY(open_column(reader, c, err));
    return LH_OK;
}

lh_code lh_parquet_open(lh_str file, const struct lh_parquet_schema *schema,
                        const struct lh_parquet_limits *limits,
                        struct lh_parquet_reader **ret_reader, struct lh_error *err)
{
    LH_CHECK(schema->column_count <= LH_PARQUET_COLUMNS_MAX);
    if (file.len > limits->file_bytes_max)
        return lh_fail(err, LH_TOO_LARGE, "%zu bytes, at most %zu are read", file.len,
                       limits->file_bytes_max);
    LH_AUTO(lh_parquet_reader_cleanup)
    struct lh_parquet_reader *reader = lh_calloc(1, sizeof(*reader));
    reader->schema = schema;
    reader->file = file;
    reader->decoded_bytes_left = limits->decoded_bytes_max;
    for (size_t c = 0; c < schema->column_count; c++)
        reader->columns[c].shape = &schema->columns[c];
    LH_TRY(open_file(reader, err));
    *ret_reader = LH_TAKE(reader);
    return LH_OK;
}

/* ---- rows ---- */

/* Starts the next run of levels. Bit-packed runs are not among what the writer writes. */
static bool next_run(struct column_in *column)
{
    uint64_t head = 0;
    unsigned shift = 0;
    do {
        if (column->levels == column->levels_end || shift > 35)
            return false;
        head |= (uint64_t)(*column->levels & 0x7f) << shift;
        shift += 7;
    } while (*column->levels++ & 0x80);
    if (head & 1 || head == 0 || column->levels == column->levels_end || *column->levels > 1)
        return false;
    column->run_rows = head >> 1;
    column->run_level = *column->levels++ == 1;
    return true;
}

static bool read_bit(struct column_in *column, int64_t *ret)
{
    if (column->values == column->values_end)
        return false;
    *ret = *column->values >> column->bit & 1;
    if (++column->bit == 8) {
        column->bit = 0;
        column->values++;
    }
    return true;
}

static bool read_text(struct column_in *column, lh_str *ret)
{
    size_t left = (size_t)(column->values_end - column->values);
    if (left < 4 || get_le(column->values, 4) > left - 4)
        return false;
    *ret = lh_str_of((const char *)column->values + 4, (size_t)get_le(column->values, 4));
    column->values += 4 + ret->len;
    return true;
}

static bool read_number(struct column_in *column, size_t bytes, int64_t *ret)
{
    if ((size_t)(column->values_end - column->values) < bytes)
        return false;
    uint64_t value = get_le(column->values, bytes);
    *ret = bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
    column->values += bytes;
    return true;
}

lh_code lh_parquet_read_row(struct lh_parquet_reader *reader, struct lh_parquet_row *ret_row,
                            struct lh_error *err)
{
    if (reader->rows_read == reader->row_count)
        return lh_fail(err, LH_CORRUPT, "there are only %llu rows",
                       (unsigned long long)reader->row_count);
    ret_row->present = 0;
    for (size_t c = 0; c < reader->schema->column_count; c++) {
        struct column_in *column = &reader->columns[c];
        if (!column->shape->required) {
            if (column->run_rows == 0 && !next_run(column))
                return bad_column(column, "the levels are damaged", err);
            column->run_rows--;
            if (!column->run_level)
                continue;
        }
        bool ok;
        if (column->shape->type == LH_PARQUET_TEXT)
            ok = read_text(column, &ret_row->cells[c].text);
        else if (column->shape->type == LH_PARQUET_BOOL)
            ok = read_bit(column, &ret_row->cells[c].i64);
        else
            ok = read_number(column, column->shape->type == LH_PARQUET_INT32 ? 4 : 8,
                             &ret_row->cells[c].i64);
        if (!ok)
            return bad_column(column, "the values end early", err);
        ret_row->present |= UINT64_C(1) << c;
    }
    reader->rows_read++;
    return LH_OK;
}

lh_code lh_parquet_read_end(const struct lh_parquet_reader *reader, struct lh_error *err)
{
    if (reader->rows_read != reader->row_count)
        return lh_fail(err, LH_CORRUPT, "there are rows after the last one");
    for (size_t c = 0; c < reader->schema->column_count; c++) {
        const struct column_in *column = &reader->columns[c];
        const uint8_t *end = column->values + (column->bit > 0 ? 1 : 0);
        if (column->run_rows > 0 || column->levels != column->levels_end ||
            end != column->values_end)
            return bad_column(column, "there are values after the last row", err);
    }
    return LH_OK;
}
