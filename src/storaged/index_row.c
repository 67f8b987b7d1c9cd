/*
 * Rows of the index: how they lie in their columns, and the checksum that each one carries over all
 * of them. docs/formats/store.md has the material of the checksums.
 */
#include "storaged/index_private.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- checksums ---- */

/* The material of one checksum. Numbers are 64 bits, little-endian; texts have their length before
 * them. */
struct material {
    unsigned char bytes[16 * 8 + LH_STORE_ETAG_SIZE + LH_STORE_TYPE_SIZE + LH_CHECKSUM_MAX +
                        LH_BUCKET_OWNER_SIZE + LH_UPLOAD_ID_SIZE + LH_STORE_KEY_MAX];
    size_t len;
};

static void add_u64(struct material *material, uint64_t value)
{
    LH_CHECK(material->len + 8 <= sizeof(material->bytes));
    for (int i = 0; i < 8; i++)
        material->bytes[material->len++] = (unsigned char)(value >> (8 * i));
}

static void add_bytes(struct material *material, const void *bytes, size_t len)
{
    LH_CHECK(material->len + len <= sizeof(material->bytes));
    memcpy(material->bytes + material->len, bytes, len);
    material->len += len;
}

static void add_text(struct material *material, const char *text)
{
    size_t len = strlen(text);
    add_u64(material, len);
    add_bytes(material, text, len);
}

static void add_checksum(struct material *material, const struct lh_checksum *sum, bool composite)
{
    add_u64(material, (uint64_t)sum->kind << 1 | composite);
    add_bytes(material, sum->bytes, lh_checksum_size(sum->kind));
}

static uint64_t material_sum(const struct material *material)
{
    return lh_xxh3(material->bytes, material->len);
}

/* ---- columns ---- */

void lh_index_bind_blob(sqlite3_stmt *statement, int column, lh_str bytes)
{
    sqlite3_bind_blob64(statement, column, bytes.len ? bytes.ptr : "", bytes.len, SQLITE_STATIC);
}

void lh_index_bind_key(sqlite3_stmt *statement, int64_t bucket, lh_str key)
{
    sqlite3_bind_int64(statement, 1, bucket);
    lh_index_bind_blob(statement, 2, key);
}

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
}

bool lh_index_copy_text(sqlite3_stmt *statement, int column, char *out, size_t out_size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (!text || len >= out_size || memchr(text, '\0', len))
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static lh_str column_blob(sqlite3_stmt *statement, int column)
{
    const char *bytes = sqlite3_column_blob(statement, column);
    return lh_str_of(bytes, (size_t)sqlite3_column_bytes(statement, column));
}

/* A checksum is a byte for its kind, the upper bit of which says composite, and its value. */
enum { COMPOSITE = 0x80 };

static void bind_checksum(sqlite3_stmt *statement, int column, const struct lh_checksum *sum,
                          bool composite)
{
    unsigned char bytes[1 + LH_CHECKSUM_MAX];
    size_t size = lh_checksum_size(sum->kind);
    if (sum->kind == LH_CHECKSUM_NONE) {
        sqlite3_bind_null(statement, column);
        return;
    }
    bytes[0] = (unsigned char)((unsigned)sum->kind | (composite ? COMPOSITE : 0));
    memcpy(bytes + 1, sum->bytes, size);
    sqlite3_bind_blob(statement, column, bytes, (int)(1 + size), SQLITE_TRANSIENT);
}

static bool read_checksum(sqlite3_stmt *statement, int column, struct lh_checksum *ret_sum,
                          bool *ret_composite)
{
    lh_str bytes = column_blob(statement, column);
    struct lh_checksum sum = {.kind = LH_CHECKSUM_NONE};
    if (bytes.len == 0) {
        *ret_sum = sum;
        *ret_composite = false;
        return true;
    }
    unsigned kind = (unsigned char)bytes.ptr[0] & ~(unsigned)COMPOSITE;
    if (kind == LH_CHECKSUM_NONE || kind > LH_CHECKSUM_SHA256 ||
        bytes.len != 1 + lh_checksum_size((enum lh_checksum_kind)kind))
        return false;
    sum.kind = (enum lh_checksum_kind)kind;
    memcpy(sum.bytes, bytes.ptr + 1, bytes.len - 1);
    *ret_sum = sum;
    *ret_composite = ((unsigned char)bytes.ptr[0] & COMPOSITE) != 0;
    return true;
}

/* ---- objects ---- */

static uint64_t row_flags(const struct lh_index_row *row)
{
    return (row->in_file ? LH_ROW_IN_FILE : 0) | (row->has_attributes ? LH_ROW_HAS_ATTRIBUTES : 0) |
           (row->info.part_count > 0 ? LH_ROW_IN_PARTS : 0) |
           (row->info.checksum.kind != LH_CHECKSUM_NONE ? LH_ROW_HAS_CHECKSUM : 0) |
           (row->info.null_version ? LH_ROW_NULL_VERSION : 0) |
           (row->info.delete_marker ? LH_ROW_DELETE_MARKER : 0);
}

/* Rows of format 1 have none of the flags behind the first, and the same checksum as ever. */
static uint64_t row_sum(int64_t bucket, lh_str key, const struct lh_index_row *row)
{
    struct material material = {.len = 0};
    add_u64(&material, (uint64_t)bucket);
    add_u64(&material, row->info.size);
    add_u64(&material, (uint64_t)row->info.modified_ms);
    add_u64(&material, row->body);
    add_u64(&material, row_flags(row));
    add_text(&material, row->info.etag);
    add_text(&material, row->info.content_type);
    if (row->info.part_count > 0)
        add_u64(&material, row->info.part_count);
    if (row->info.checksum.kind != LH_CHECKSUM_NONE)
        add_checksum(&material, &row->info.checksum, row->info.checksum_composite);
    if (row->info.version > 0)
        add_u64(&material, row->info.version);
    add_bytes(&material, key.ptr, key.len);
    return material_sum(&material);
}

void lh_index_row_read(sqlite3_stmt *statement, int64_t bucket, lh_str *ret_key,
                       struct lh_index_row *ret_row)
{
    struct lh_index_row row = {0};
    lh_str key = column_blob(statement, 0);
    row.info.size = (uint64_t)sqlite3_column_int64(statement, 1);
    row.info.modified_ms = sqlite3_column_int64(statement, 2);
    bool fits =
        key.len > 0 && key.len <= LH_STORE_KEY_MAX &&
        lh_index_copy_text(statement, 3, row.info.etag, sizeof(row.info.etag)) &&
        lh_index_copy_text(statement, 4, row.info.content_type, sizeof(row.info.content_type)) &&
        read_checksum(statement, 9, &row.info.checksum, &row.info.checksum_composite);
    row.body = (uint64_t)sqlite3_column_int64(statement, 5);
    uint64_t flags = (uint64_t)sqlite3_column_int64(statement, 6);
    row.in_file = flags & LH_ROW_IN_FILE;
    row.has_attributes = flags & LH_ROW_HAS_ATTRIBUTES;
    row.info.null_version = flags & LH_ROW_NULL_VERSION;
    row.info.delete_marker = flags & LH_ROW_DELETE_MARKER;
    row.info.version = (uint64_t)sqlite3_column_int64(statement, 10);
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, 7);
    int64_t part_count = sqlite3_column_int64(statement, 8);
    row.info.part_count = (uint32_t)part_count;
    row.damaged = !fits || row.info.size > INT64_MAX || part_count < 0 ||
                  part_count > LH_PARTS_MAX || flags != row_flags(&row) ||
                  row_sum(bucket, key, &row) != sum;
    *ret_key = key;
    *ret_row = row;
}

void lh_index_row_bind(sqlite3_stmt *statement, int64_t bucket, lh_str key,
                       const struct lh_index_row *row)
{
    lh_index_bind_key(statement, bucket, key);
    sqlite3_bind_int64(statement, 3, (int64_t)row->info.size);
    sqlite3_bind_int64(statement, 4, row->info.modified_ms);
    bind_text(statement, 5, row->info.etag);
    bind_text(statement, 6, row->info.content_type);
    sqlite3_bind_int64(statement, 7, (int64_t)row->body);
    sqlite3_bind_int64(statement, 8, (int64_t)row_flags(row));
    sqlite3_bind_int64(statement, 9, (int64_t)row_sum(bucket, key, row));
    sqlite3_bind_int64(statement, 10, row->info.part_count);
    bind_checksum(statement, 11, &row->info.checksum, row->info.checksum_composite);
    sqlite3_bind_int64(statement, 12, (int64_t)row->info.version);
}

/* ---- bodies and texts ---- */

/* The list of sums is stored as it lies in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the store's format is little-endian");

uint64_t lh_index_sums_sum(uint64_t body, uint64_t size, const uint64_t *sums, size_t count)
{
    struct lh_xxh3 *state = lh_xxh3_new();
    struct material head = {.len = 0};
    add_u64(&head, body);
    add_u64(&head, size);
    lh_xxh3_update(state, head.bytes, head.len);
    lh_xxh3_update(state, sums, count * sizeof(*sums));
    uint64_t value = lh_xxh3_value(state);
    lh_xxh3_free(state);
    return value;
}

uint64_t lh_index_texts_sum(uint64_t owner, uint64_t kind, lh_str a, lh_str b)
{
    struct lh_xxh3 *state = lh_xxh3_new();
    struct material head = {.len = 0};
    add_u64(&head, owner);
    add_u64(&head, kind);
    add_u64(&head, a.len);
    lh_xxh3_update(state, head.bytes, head.len);
    lh_xxh3_update(state, a.len ? a.ptr : "", a.len);
    lh_xxh3_update(state, b.len ? b.ptr : "", b.len);
    uint64_t value = lh_xxh3_value(state);
    lh_xxh3_free(state);
    return value;
}

uint64_t lh_index_bucket_settings(const struct lh_bucket *bucket)
{
    return bucket->public_rights | (uint64_t)bucket->versioning << LH_BUCKET_VERSIONING_SHIFT;
}

uint64_t lh_index_bucket_sum(const struct lh_bucket *bucket)
{
    struct material material = {.len = 0};
    add_u64(&material, (uint64_t)bucket->id);
    add_text(&material, bucket->name);
    add_text(&material, bucket->owner);
    add_u64(&material, (uint64_t)bucket->created_ms);
    add_u64(&material, bucket->quota_bytes);
    add_u64(&material, lh_index_bucket_settings(bucket));
    return material_sum(&material);
}

/* ---- uploads in parts ---- */

static uint64_t upload_flags(const struct lh_index_upload *upload)
{
    return (upload->has_attributes ? LH_ROW_HAS_ATTRIBUTES : 0) |
           (upload->hidden ? LH_ROW_HIDDEN : 0);
}

/* An upload's checksum has a kind and no value yet. */
static uint64_t checksum_number(const struct lh_multipart_info *info)
{
    return (uint64_t)info->checksum | (info->checksum_composite ? COMPOSITE : 0);
}

static uint64_t upload_sum(int64_t bucket, lh_str key, const struct lh_index_upload *upload)
{
    struct material material = {.len = 0};
    add_u64(&material, (uint64_t)bucket);
    add_u64(&material, upload->body);
    add_u64(&material, (uint64_t)upload->info.created_ms);
    add_u64(&material, checksum_number(&upload->info));
    add_u64(&material, upload_flags(upload));
    add_text(&material, upload->info.id);
    add_text(&material, upload->info.owner);
    add_text(&material, upload->content_type);
    add_bytes(&material, key.ptr, key.len);
    return material_sum(&material);
}

void lh_index_upload_read(sqlite3_stmt *statement, int64_t *ret_bucket, lh_str *ret_key,
                          struct lh_index_upload *ret_upload)
{
    struct lh_index_upload upload = {0};
    struct lh_multipart_info *info = &upload.info;
    lh_str key = column_blob(statement, 0);
    bool fits = key.len > 0 && key.len <= LH_STORE_KEY_MAX &&
                lh_index_copy_text(statement, 1, info->id, sizeof(info->id)) &&
                lh_index_copy_text(statement, 4, info->owner, sizeof(info->owner)) &&
                lh_index_copy_text(statement, 5, upload.content_type, sizeof(upload.content_type));
    upload.body = (uint64_t)sqlite3_column_int64(statement, 2);
    info->created_ms = sqlite3_column_int64(statement, 3);
    uint64_t number = (uint64_t)sqlite3_column_int64(statement, 6);
    uint64_t kind = number & ~(uint64_t)COMPOSITE;
    if (kind <= LH_CHECKSUM_SHA256) {
        info->checksum = (enum lh_checksum_kind)kind;
        info->checksum_composite = (number & COMPOSITE) != 0;
    }
    uint64_t flags = (uint64_t)sqlite3_column_int64(statement, 7);
    upload.has_attributes = flags & LH_ROW_HAS_ATTRIBUTES;
    upload.hidden = flags & LH_ROW_HIDDEN;
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, 8);
    int64_t bucket = sqlite3_column_int64(statement, 9);
    upload.damaged = !fits || checksum_number(info) != number || upload_flags(&upload) != flags ||
                     upload_sum(bucket, key, &upload) != sum;
    *ret_bucket = bucket;
    *ret_key = key;
    *ret_upload = upload;
}

void lh_index_upload_bind(sqlite3_stmt *statement, int64_t bucket, lh_str key,
                          const struct lh_index_upload *upload)
{
    lh_index_bind_key(statement, bucket, key);
    bind_text(statement, 3, upload->info.id);
    sqlite3_bind_int64(statement, 4, (int64_t)upload->body);
    sqlite3_bind_int64(statement, 5, upload->info.created_ms);
    bind_text(statement, 6, upload->info.owner);
    bind_text(statement, 7, upload->content_type);
    sqlite3_bind_int64(statement, 8, (int64_t)checksum_number(&upload->info));
    sqlite3_bind_int64(statement, 9, (int64_t)upload_flags(upload));
    sqlite3_bind_int64(statement, 10, (int64_t)upload_sum(bucket, key, upload));
}

static uint64_t part_sum(uint64_t list, const struct lh_index_part *part)
{
    struct material material = {.len = 0};
    add_u64(&material, list);
    add_u64(&material, part->info.number);
    add_u64(&material, part->start);
    add_u64(&material, part->info.size);
    add_u64(&material, (uint64_t)part->info.modified_ms);
    add_u64(&material, part->body);
    add_u64(&material, part->in_file);
    add_text(&material, part->info.etag);
    add_checksum(&material, &part->info.checksum, false);
    return material_sum(&material);
}

void lh_index_part_read(sqlite3_stmt *statement, uint64_t list, struct lh_index_part *ret_part)
{
    struct lh_index_part part = {0};
    bool composite = false;
    int64_t number = sqlite3_column_int64(statement, 0);
    part.info.number = (uint32_t)number;
    part.start = (uint64_t)sqlite3_column_int64(statement, 1);
    part.info.size = (uint64_t)sqlite3_column_int64(statement, 2);
    part.info.modified_ms = sqlite3_column_int64(statement, 3);
    bool fits = lh_index_copy_text(statement, 4, part.info.etag, sizeof(part.info.etag)) &&
                read_checksum(statement, 7, &part.info.checksum, &composite);
    part.body = (uint64_t)sqlite3_column_int64(statement, 5);
    part.in_file = sqlite3_column_int64(statement, 6) != 0;
    uint64_t sum = (uint64_t)sqlite3_column_int64(statement, 8);
    part.damaged = !fits || number < 1 || number > LH_PARTS_MAX || part.start > INT64_MAX ||
                   part.info.size > INT64_MAX || part_sum(list, &part) != sum;
    *ret_part = part;
}

void lh_index_part_bind(sqlite3_stmt *statement, uint64_t list, const struct lh_index_part *part)
{
    sqlite3_bind_int64(statement, 1, (int64_t)list);
    sqlite3_bind_int64(statement, 2, part->info.number);
    sqlite3_bind_int64(statement, 3, (int64_t)part->start);
    sqlite3_bind_int64(statement, 4, (int64_t)part->info.size);
    sqlite3_bind_int64(statement, 5, part->info.modified_ms);
    bind_text(statement, 6, part->info.etag);
    sqlite3_bind_int64(statement, 7, (int64_t)part->body);
    sqlite3_bind_int64(statement, 8, part->in_file);
    bind_checksum(statement, 9, &part->info.checksum, false);
    sqlite3_bind_int64(statement, 10, (int64_t)part_sum(list, part));
}
