/*
 * The manifest's rows. One flat table holds every kind of record; a record fills the columns that
 * it has. Order: dataset, origins, each schema followed by its columns, snapshots, contents,
 * objects, end.
 *
 * Parquet has no checksums that readers insist on, so each row carries one: XXH3-64 over the nonce
 * of the commit and the row's cells (row_checksum). It binds a row to its commit, its place (`row`)
 * and its content; the end record says how many rows there are. So a flipped byte, a row that is
 * missing, doubled or from another commit is found.
 */
#include "catalogd/manifest.h"

#include "base/check.h"
#include "base/mem.h"
#include "catalogd/parquet.h"

#include <stdio.h>
#include <string.h>

enum { FORMAT_VERSION = 1, DECODED_PER_BYTE = 16, DECODED_MAX = 1 << 30 };

/* The columns, in the file's order: enumerator, name, type, required. */
#define MANIFEST_COLUMNS(X)                                                                        \
    X(ROW, "row", INT64, true)                                                                     \
    X(RECORD, "record", TEXT, true)                                                                \
    X(FORMAT, "format_version", INT32, false)                                                      \
    X(DATASET, "dataset", TEXT, false)                                                             \
    X(DATASET_ID, "dataset_id", TEXT, false)                                                       \
    X(NONCE, "nonce", TEXT, false)                                                                 \
    X(TIME, "time", TIMESTAMP, false)                                                              \
    X(SCHEMA_ID, "schema_id", INT32, false)                                                        \
    X(FINGERPRINT, "fingerprint", TEXT, false)                                                     \
    X(COLUMN_NAME, "column_name", TEXT, false)                                                     \
    X(COLUMN_TYPE, "column_type", TEXT, false)                                                     \
    X(NULLABLE, "nullable", BOOL, false)                                                           \
    X(SNAPSHOT, "snapshot", INT64, false)                                                          \
    X(OPERATION, "operation", TEXT, false)                                                         \
    X(RESTORED, "restored_snapshot", INT64, false)                                                 \
    X(CONTENT_ID, "content_id", TEXT, false)                                                       \
    X(KEY, "object_key", TEXT, false)                                                              \
    X(STATS, "stats", TEXT, false)                                                                 \
    X(ADDED, "added_snapshot", INT64, false)                                                       \
    X(REMOVED, "removed_snapshot", INT64, false)                                                   \
    X(ROWS, "rows", INT64, false)                                                                  \
    X(BYTES, "bytes", INT64, false)                                                                \
    X(OBJECTS, "objects", INT64, false)                                                            \
    X(ROWS_ADDED, "rows_added", INT64, false)                                                      \
    X(BYTES_ADDED, "bytes_added", INT64, false)                                                    \
    X(OBJECTS_ADDED, "objects_added", INT64, false)                                                \
    X(ROWS_REMOVED, "rows_removed", INT64, false)                                                  \
    X(BYTES_REMOVED, "bytes_removed", INT64, false)                                                \
    X(OBJECTS_REMOVED, "objects_removed", INT64, false)                                            \
    X(CHECKSUM, "checksum", UINT64, true)

enum column {
#define X(enumerator, name, type, required) COL_##enumerator,
    MANIFEST_COLUMNS(X)
#undef X
        COL_COUNT
};

static const struct lh_parquet_column columns[COL_COUNT] = {
#define X(enumerator, name, type, required)                                                        \
    [COL_##enumerator] = {name, LH_PARQUET_##type, required},
    MANIFEST_COLUMNS(X)
#undef X
};

static const struct lh_parquet_schema table = {
    .columns = columns,
    .column_count = COL_COUNT,
    .version_key = "lakehouse.manifest",
    .version = "1",
};

/* ---- keys ---- */

void lh_manifest_key(const char *dataset_id, char out[LH_MANIFEST_KEY_SIZE])
{
    snprintf(out, LH_MANIFEST_KEY_SIZE, LH_MANIFEST_PREFIX "%s" LH_MANIFEST_SUFFIX, dataset_id);
}

bool lh_manifest_key_parse(lh_str key, char ret_dataset_id[LH_UUID_TEXT])
{
    if (!lh_str_starts(key, LH_MANIFEST_PREFIX) || !lh_str_ends(key, LH_MANIFEST_SUFFIX) ||
        key.len != strlen(LH_MANIFEST_PREFIX LH_MANIFEST_SUFFIX) + LH_UUID_TEXT - 1)
        return false;
    const char *id = key.ptr + strlen(LH_MANIFEST_PREFIX);
    for (size_t i = 0; i < LH_UUID_TEXT - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f');
        if (dash ? id[i] != '-' : !digit)
            return false;
    }
    memcpy(ret_dataset_id, id, LH_UUID_TEXT - 1);
    ret_dataset_id[LH_UUID_TEXT - 1] = '\0';
    return true;
}

/* ---- cells ---- */

static void set_i64(struct lh_parquet_row *row, enum column column, int64_t value)
{
    row->present |= UINT64_C(1) << column;
    row->cells[column].i64 = value;
}

static void set_text(struct lh_parquet_row *row, enum column column, lh_str text)
{
    row->present |= UINT64_C(1) << column;
    row->cells[column].text = text;
}

static bool has(const struct lh_parquet_row *row, enum column column)
{
    return row->present >> column & 1;
}

/* Absent reads as 0 and as "". */
static int64_t get_i64(const struct lh_parquet_row *row, enum column column)
{
    return has(row, column) ? row->cells[column].i64 : 0;
}

static lh_str get_text(const struct lh_parquet_row *row, enum column column)
{
    return has(row, column) ? row->cells[column].text : LH_STR("");
}

/* The canonical bytes: the nonce's 32 digits; then for each cell that is there, in the order of the
 * columns and without the checksum itself: its column's number in one byte, and the value: a number
 * as 8 bytes little-endian, a text as its length in 4 bytes little-endian and its bytes. */
static uint64_t row_checksum(const struct lh_parquet_row *row, lh_str nonce, struct lh_buf *scratch)
{
    lh_buf_reset(scratch);
    lh_buf_append_str(scratch, nonce);
    for (unsigned c = 0; c < COL_CHECKSUM; c++) {
        if (!has(row, (enum column)c))
            continue;
        bool is_text = columns[c].type == LH_PARQUET_TEXT;
        uint64_t number = is_text ? row->cells[c].text.len : (uint64_t)row->cells[c].i64;
        lh_buf_append_char(scratch, (char)c);
        for (unsigned i = 0; i < (is_text ? 4U : 8U); i++)
            lh_buf_append_char(scratch, (char)(number >> (8 * i)));
        if (is_text)
            lh_buf_append_str(scratch, row->cells[c].text);
    }
    return lh_xxh3(scratch->data, scratch->len);
}

/* ---- encoding ---- */

struct encoder {
    struct lh_parquet_writer *writer;
    struct lh_parquet_row row; /* the one being filled */
    lh_str nonce;
    int64_t row_count;
    struct lh_buf scratch;
};

static void begin_row(struct encoder *e, const char *record)
{
    e->row.present = 0;
    set_i64(&e->row, COL_ROW, e->row_count++);
    set_text(&e->row, COL_RECORD, lh_str_from(record));
}

static void end_row(struct encoder *e)
{
    set_i64(&e->row, COL_CHECKSUM, (int64_t)row_checksum(&e->row, e->nonce, &e->scratch));
    lh_parquet_write_row(e->writer, &e->row);
}

static void set_text_unless_empty(struct encoder *e, enum column column, lh_str text)
{
    if (text.len > 0)
        set_text(&e->row, column, text);
}

static void set_span(struct encoder *e, const struct lh_span *span)
{
    set_i64(&e->row, COL_ADDED, span->added);
    if (span->removed != 0)
        set_i64(&e->row, COL_REMOVED, span->removed);
}

static void encode_identity(struct encoder *e, const struct lh_dataset_parts *parts)
{
    begin_row(e, "dataset");
    set_i64(&e->row, COL_FORMAT, FORMAT_VERSION);
    set_text(&e->row, COL_DATASET, parts->name);
    set_text(&e->row, COL_DATASET_ID, lh_str_from(parts->id));
    set_text(&e->row, COL_NONCE, e->nonce);
    set_i64(&e->row, COL_TIME, parts->created);
    end_row(e);
    for (size_t i = 0; i < parts->origin_count; i++) {
        begin_row(e, "origin");
        set_text(&e->row, COL_DATASET_ID, parts->origins[i].dataset_id);
        set_text(&e->row, COL_NONCE, parts->origins[i].nonce);
        end_row(e);
    }
}

static void encode_schemas(struct encoder *e, const struct lh_dataset_parts *parts)
{
    for (size_t i = 0; i < parts->schema_count; i++) {
        const struct lh_schema *schema = &parts->schemas[i];
        begin_row(e, "schema");
        set_i64(&e->row, COL_SCHEMA_ID, schema->id);
        set_text(&e->row, COL_FINGERPRINT, schema->fingerprint);
        end_row(e);
        for (size_t c = 0; c < schema->column_count; c++) {
            const struct lh_column *column = &parts->columns[schema->column_first + c];
            begin_row(e, "column");
            set_i64(&e->row, COL_SCHEMA_ID, schema->id);
            set_text(&e->row, COL_COLUMN_NAME, column->name);
            set_text(&e->row, COL_COLUMN_TYPE, column->type);
            set_i64(&e->row, COL_NULLABLE, column->nullable);
            end_row(e);
        }
    }
}

static void encode_snapshot(struct encoder *e, const struct lh_snapshot *snapshot)
{
    begin_row(e, "snapshot");
    set_i64(&e->row, COL_SNAPSHOT, snapshot->id);
    set_i64(&e->row, COL_TIME, snapshot->time);
    set_text(&e->row, COL_OPERATION, lh_str_from(lh_operation_word(snapshot->operation)));
    set_i64(&e->row, COL_SCHEMA_ID, snapshot->schema_id);
    if (snapshot->restored != 0)
        set_i64(&e->row, COL_RESTORED, snapshot->restored);
    set_text_unless_empty(e, COL_CONTENT_ID, snapshot->content_id);
    set_i64(&e->row, COL_ROWS, snapshot->rows);
    set_i64(&e->row, COL_BYTES, snapshot->bytes);
    set_i64(&e->row, COL_OBJECTS, snapshot->objects);
    set_i64(&e->row, COL_ROWS_ADDED, snapshot->rows_added);
    set_i64(&e->row, COL_BYTES_ADDED, snapshot->bytes_added);
    set_i64(&e->row, COL_OBJECTS_ADDED, snapshot->objects_added);
    set_i64(&e->row, COL_ROWS_REMOVED, snapshot->rows_removed);
    set_i64(&e->row, COL_BYTES_REMOVED, snapshot->bytes_removed);
    set_i64(&e->row, COL_OBJECTS_REMOVED, snapshot->objects_removed);
    end_row(e);
}

static void encode_things(struct encoder *e, const struct lh_dataset_parts *parts)
{
    for (size_t i = 0; i < parts->content_count; i++) {
        begin_row(e, "content");
        set_text_unless_empty(e, COL_CONTENT_ID, parts->contents[i].id);
        set_span(e, &parts->contents[i].span);
        end_row(e);
    }
    for (size_t i = 0; i < parts->object_count; i++) {
        const struct lh_object *object = &parts->objects[i];
        begin_row(e, "object");
        set_text(&e->row, COL_KEY, object->key);
        set_text_unless_empty(e, COL_CONTENT_ID, object->content_id);
        set_text_unless_empty(e, COL_STATS, object->stats);
        set_span(e, &object->span);
        set_i64(&e->row, COL_ROWS, object->rows);
        set_i64(&e->row, COL_BYTES, object->bytes);
        end_row(e);
    }
}

static struct lh_parquet_limits limits_of(size_t bytes_max)
{
    size_t decoded = bytes_max < DECODED_MAX / DECODED_PER_BYTE ? bytes_max * DECODED_PER_BYTE
                                                                : (size_t)DECODED_MAX;
    return (struct lh_parquet_limits){.file_bytes_max = bytes_max, .decoded_bytes_max = decoded};
}

static void encoder_deinit(struct encoder *e)
{
    lh_parquet_writer_free(e->writer);
    lh_buf_deinit(&e->scratch);
}

lh_code lh_manifest_encode(const struct lh_dataset *dataset, size_t bytes_max, struct lh_buf *out,
                           struct lh_error *err)
{
    const struct lh_dataset_parts *parts = &dataset->parts;
    struct lh_parquet_limits limits = limits_of(bytes_max);
    LH_AUTO(encoder_deinit)
    struct encoder e = {.writer = lh_parquet_writer_new(&table, &limits),
                        .nonce = lh_str_from(parts->nonce),
                        .scratch = LH_BUF_INIT(DECODED_MAX)};
    encode_identity(&e, parts);
    encode_schemas(&e, parts);
    for (size_t i = 0; i < parts->snapshot_count; i++)
        encode_snapshot(&e, &parts->snapshots[i]);
    encode_things(&e, parts);
    begin_row(&e, "end");
    set_i64(&e.row, COL_ROWS, e.row_count);
    set_text(&e.row, COL_NONCE, e.nonce);
    end_row(&e);
    if (lh_parquet_finish(e.writer, out, err) != LH_OK)
        return lh_fail_context(err, "the manifest of '%.*s'", LH_FMT(parts->name));
    return LH_OK;
}

/* ---- decoding ---- */

struct decoder {
    struct lh_parquet_reader *reader;
    struct lh_dataset_parts draft; /* its texts lie in the reader's pages */
    struct lh_buf scratch;
    lh_str nonce;
    uint64_t rows_read;
    bool ended;
};

/* What a row of each record has; anything more or less is damage that the checksums cannot see. */
struct record {
    const char *word;
    uint64_t needs;
    uint64_t may;
    lh_code (*take)(struct decoder *d, const struct lh_parquet_row *row, struct lh_error *err);
};

#define HAS(enumerator) (UINT64_C(1) << COL_##enumerator)

static lh_code take_dataset(struct decoder *d, const struct lh_parquet_row *row,
                            struct lh_error *err)
{
    lh_str id = get_text(row, COL_DATASET_ID);
    if (d->rows_read != 0 || get_i64(row, COL_FORMAT) != FORMAT_VERSION ||
        id.len != LH_UUID_TEXT - 1)
        return lh_fail(err, LH_CORRUPT, "the dataset's own record is not valid");
    memcpy(d->draft.id, id.ptr, id.len);
    memcpy(d->draft.nonce, d->nonce.ptr, d->nonce.len);
    d->draft.name = get_text(row, COL_DATASET);
    d->draft.created = get_i64(row, COL_TIME);
    return LH_OK;
}

static lh_code take_origin(struct decoder *d, const struct lh_parquet_row *row,
                           struct lh_error *err)
{
    (void)err;
    *lh_draft_add_origin(&d->draft) = (struct lh_origin){
        .dataset_id = get_text(row, COL_DATASET_ID), .nonce = get_text(row, COL_NONCE)};
    return LH_OK;
}

static lh_code take_schema(struct decoder *d, const struct lh_parquet_row *row,
                           struct lh_error *err)
{
    (void)err;
    struct lh_schema *schema = lh_draft_add_schema(&d->draft);
    schema->id = (int32_t)get_i64(row, COL_SCHEMA_ID);
    schema->fingerprint = get_text(row, COL_FINGERPRINT);
    schema->column_first = d->draft.column_count;
    return LH_OK;
}

static lh_code take_column(struct decoder *d, const struct lh_parquet_row *row,
                           struct lh_error *err)
{
    size_t schemas = d->draft.schema_count;
    if (schemas == 0 || d->draft.schemas[schemas - 1].id != get_i64(row, COL_SCHEMA_ID))
        return lh_fail(err, LH_CORRUPT, "a column stands outside of its schema");
    d->draft.schemas[schemas - 1].column_count++;
    *lh_draft_add_column(&d->draft) = (struct lh_column){
        .name = get_text(row, COL_COLUMN_NAME),
        .type = get_text(row, COL_COLUMN_TYPE),
        .nullable = get_i64(row, COL_NULLABLE) != 0,
    };
    return LH_OK;
}

static lh_code take_snapshot(struct decoder *d, const struct lh_parquet_row *row,
                             struct lh_error *err)
{
    struct lh_snapshot *snapshot = lh_draft_add_snapshot(&d->draft);
    *snapshot = (struct lh_snapshot){
        .id = get_i64(row, COL_SNAPSHOT),
        .time = get_i64(row, COL_TIME),
        .schema_id = (int32_t)get_i64(row, COL_SCHEMA_ID),
        .restored = get_i64(row, COL_RESTORED),
        .content_id = get_text(row, COL_CONTENT_ID),
        .rows = get_i64(row, COL_ROWS),
        .bytes = get_i64(row, COL_BYTES),
        .objects = get_i64(row, COL_OBJECTS),
        .rows_added = get_i64(row, COL_ROWS_ADDED),
        .bytes_added = get_i64(row, COL_BYTES_ADDED),
        .objects_added = get_i64(row, COL_OBJECTS_ADDED),
        .rows_removed = get_i64(row, COL_ROWS_REMOVED),
        .bytes_removed = get_i64(row, COL_BYTES_REMOVED),
        .objects_removed = get_i64(row, COL_OBJECTS_REMOVED),
    };
    if (!lh_operation_parse(get_text(row, COL_OPERATION), &snapshot->operation))
        return lh_fail(err, LH_CORRUPT, "a snapshot's operation is not known");
    return LH_OK;
}

static struct lh_span get_span(const struct lh_parquet_row *row)
{
    return (struct lh_span){.added = get_i64(row, COL_ADDED), .removed = get_i64(row, COL_REMOVED)};
}

static lh_code take_content(struct decoder *d, const struct lh_parquet_row *row,
                            struct lh_error *err)
{
    (void)err;
    *lh_draft_add_content(&d->draft) =
        (struct lh_content){.span = get_span(row), .id = get_text(row, COL_CONTENT_ID)};
    return LH_OK;
}

static lh_code take_object(struct decoder *d, const struct lh_parquet_row *row,
                           struct lh_error *err)
{
    (void)err;
    *lh_draft_add_object(&d->draft) = (struct lh_object){
        .span = get_span(row),
        .key = get_text(row, COL_KEY),
        .content_id = get_text(row, COL_CONTENT_ID),
        .stats = get_text(row, COL_STATS),
        .rows = get_i64(row, COL_ROWS),
        .bytes = get_i64(row, COL_BYTES),
    };
    return LH_OK;
}

static lh_code take_end(struct decoder *d, const struct lh_parquet_row *row, struct lh_error *err)
{
    if (get_i64(row, COL_ROWS) != (int64_t)d->rows_read + 1 ||
        !lh_str_eq(get_text(row, COL_NONCE), d->nonce))
        return lh_fail(err, LH_CORRUPT, "the end record counts other rows than there are");
    d->ended = true;
    return LH_OK;
}

static const struct record records[] = {
    {"dataset", HAS(FORMAT) | HAS(DATASET) | HAS(DATASET_ID) | HAS(NONCE) | HAS(TIME), 0,
     take_dataset},
    {"origin", HAS(DATASET_ID) | HAS(NONCE), 0, take_origin},
    {"schema", HAS(SCHEMA_ID) | HAS(FINGERPRINT), 0, take_schema},
    {"column", HAS(SCHEMA_ID) | HAS(COLUMN_NAME) | HAS(COLUMN_TYPE) | HAS(NULLABLE), 0,
     take_column},
    {"snapshot",
     HAS(SNAPSHOT) | HAS(TIME) | HAS(OPERATION) | HAS(SCHEMA_ID) | HAS(ROWS) | HAS(BYTES) |
         HAS(OBJECTS) | HAS(ROWS_ADDED) | HAS(BYTES_ADDED) | HAS(OBJECTS_ADDED) |
         HAS(ROWS_REMOVED) | HAS(BYTES_REMOVED) | HAS(OBJECTS_REMOVED),
     HAS(RESTORED) | HAS(CONTENT_ID), take_snapshot},
    {"content", HAS(ADDED), HAS(CONTENT_ID) | HAS(REMOVED), take_content},
    {"object", HAS(KEY) | HAS(ADDED) | HAS(ROWS) | HAS(BYTES),
     HAS(CONTENT_ID) | HAS(STATS) | HAS(REMOVED), take_object},
    {"end", HAS(ROWS) | HAS(NONCE), 0, take_end},
};

static const struct record *find_record(lh_str word)
{
    for (size_t i = 0; i < LH_COUNT(records); i++) {
        if (lh_str_is(word, records[i].word))
            return &records[i];
    }
    return NULL;
}

static lh_code take_row(struct decoder *d, const struct lh_parquet_row *row, struct lh_error *err)
{
    if (d->rows_read == 0)
        d->nonce = get_text(row, COL_NONCE);
    if (d->nonce.len != LH_NONCE_SIZE - 1 ||
        (uint64_t)get_i64(row, COL_CHECKSUM) != row_checksum(row, d->nonce, &d->scratch))
        return lh_fail(err, LH_CORRUPT, "row %llu does not match its checksum",
                       (unsigned long long)d->rows_read);
    const struct record *record = find_record(get_text(row, COL_RECORD));
    const uint64_t always = HAS(ROW) | HAS(RECORD) | HAS(CHECKSUM);
    if (!record || get_i64(row, COL_ROW) != (int64_t)d->rows_read || d->ended ||
        (row->present & (record->needs | always)) != (record->needs | always) ||
        (row->present & ~(record->needs | record->may | always)) != 0 ||
        (d->rows_read == 0) != (record == &records[0]))
        return lh_fail(err, LH_CORRUPT, "row %llu is out of place or not a record of a manifest",
                       (unsigned long long)d->rows_read);
    LH_TRY(record->take(d, row, err));
    d->rows_read++;
    return LH_OK;
}

static lh_code decode_rows(struct decoder *d, struct lh_error *err)
{
    struct lh_parquet_row row;
    while (!d->ended) {
        LH_TRY(lh_parquet_read_row(d->reader, &row, err));
        LH_TRY(take_row(d, &row, err));
    }
    LH_TRY(lh_parquet_read_end(d->reader, err));
    return lh_dataset_check(&d->draft, err);
}

static void decoder_deinit(struct decoder *d)
{
    lh_parquet_reader_free(d->reader);
    lh_draft_deinit(&d->draft);
    lh_buf_deinit(&d->scratch);
}

lh_code lh_manifest_decode(lh_str bytes, size_t bytes_max, struct lh_dataset **ret_dataset,
                           struct lh_error *err)
{
    struct lh_parquet_limits limits = limits_of(bytes_max);
    LH_AUTO(decoder_deinit) struct decoder d = {.scratch = LH_BUF_INIT(DECODED_MAX)};
    LH_TRY(lh_parquet_open(bytes, &table, &limits, &d.reader, err));
    LH_TRY(decode_rows(&d, err));
    *ret_dataset = lh_dataset_freeze(&d.draft);
    return LH_OK;
}
