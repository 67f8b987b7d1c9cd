/*
 * Reading objects. Every block is checked against its checksum before it is handed out; an object
 * that is not what was stored is put on the list of damaged ones and never served.
 *
 * An object is read piece by piece: one that was put in parts has a piece for each, found in the
 * index when it is needed; any other is one piece. The list of parts is pinned while the object is
 * open, so that its parts stay even when it is replaced.
 */
#include "storaged/object_private.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "storaged/attributes.h"

static const uint32_t object_magic = 0x0b7ec700;

enum { OPEN_TRIES_MAX = 100 };

/* ---- pieces ---- */

static void close_piece(struct lh_object *object)
{
    struct lh_piece *piece = &object->piece;
    if (piece->fd >= 0)
        lh_io->close(piece->fd);
    lh_index_object_deinit(&piece->known);
    *piece = (struct lh_piece){.fd = -1};
}

/* Opens the piece's file. LH_NOT_FOUND when there is none. */
static lh_code open_file(struct lh_object *object, struct lh_error *err)
{
    struct lh_piece *piece = &object->piece;
    struct stat st;
    LH_TRY(lh_check_may_wait("an object's file", err));
    LH_TRY(lh_body_open(object->store, piece->body, &piece->fd, err));
    if (lh_io->fstat(piece->fd, &st) != 0)
        return lh_fail_errno(err, "cannot look at an object's file");
    if ((uint64_t)st.st_size != piece->size)
        return lh_fail(err, LH_CORRUPT, "the object's file has %jd bytes instead of %" PRIu64,
                       (intmax_t)st.st_size, piece->size);
    return LH_OK;
}

/* The part that holds the byte at `offset`: the one behind the piece at hand when the object is
 * read from front to back, else by halving. */
static lh_code find_part(struct lh_object *object, uint64_t offset, struct lh_index_part *ret_part,
                         struct lh_error *err)
{
    struct lh_index *index = object->store->index;
    uint64_t list = object->row.body;
    uint32_t low = 1;
    uint32_t high = LH_PARTS_MAX;
    uint32_t number = object->piece.number + 1;
    while (low <= high) {
        lh_code code = number > LH_PARTS_MAX
                           ? LH_NOT_FOUND
                           : lh_index_part_from(index, list, number, ret_part, err);
        if (code != LH_OK && code != LH_NOT_FOUND)
            return code;
        if (code == LH_NOT_FOUND || ret_part->start > offset)
            high = number - 1;
        else if (offset - ret_part->start < ret_part->info.size)
            return LH_OK;
        else
            low = ret_part->info.number + 1;
        number = (low + high) / 2;
    }
    return lh_fail(err, LH_CORRUPT, "no part of the object has byte %" PRIu64, offset);
}

lh_code lh_object_load_part(struct lh_object *object, const struct lh_index_part *part,
                            struct lh_error *err)
{
    close_piece(object);
    struct lh_piece *piece = &object->piece;
    piece->number = part->info.number;
    piece->start = part->start;
    piece->size = part->info.size;
    piece->body = part->body;
    lh_code code = lh_index_get_body(object->store->index, part->body, part->info.size,
                                     part->in_file, &piece->known, err);
    if (code == LH_OK && part->in_file)
        code = open_file(object, err);
    if (code != LH_OK)
        close_piece(object);
    return code == LH_NOT_FOUND ? lh_fail(err, LH_CORRUPT, "the file of a part is missing") : code;
}

static lh_code load_piece(struct lh_object *object, uint64_t offset, struct lh_error *err)
{
    struct lh_index_part part;
    LH_TRY(find_part(object, offset, &part, err));
    return lh_object_load_part(object, &part, err);
}

/* ---- opening ---- */

static void free_object(struct lh_object *object)
{
    close_piece(object);
    if (object->pinned)
        lh_store_unpin(object->store, object->row.body);
    free(object->headers);
    free(object->tags);
    free(object->header_list);
    free(object->tag_list);
    free(object->block);
    free(object->key);
    object->magic = 0;
    free(object);
}

/* What the index gave: the attributes stay with the object, sums and payload with its piece. */
static void take_known(struct lh_object *object, struct lh_index_object *known)
{
    object->row = known->row;
    object->headers = LH_TAKE(known->headers);
    object->tags = LH_TAKE(known->tags);
    object->headers_len = known->headers_len;
    object->tags_len = known->tags_len;
    object->piece = (struct lh_piece){.fd = -1};
    if (known->row.info.part_count > 0)
        return;
    object->piece.size = known->row.info.size;
    object->piece.body = known->row.body;
    object->piece.known = *known;
}

static void drop_known(struct lh_object *object)
{
    close_piece(object);
    if (object->pinned)
        lh_store_unpin(object->store, object->row.body);
    object->pinned = false;
    free(LH_TAKE(object->headers));
    free(LH_TAKE(object->tags));
}

/* From here on the parts stay. That they were still there when they were pinned is known when the
 * key has the same list after it. LH_NOT_FOUND otherwise. */
static lh_code pin_parts(struct lh_object *object, lh_str key, struct lh_error *err)
{
    struct lh_index_row now;
    LH_TRY(lh_check_may_wait("an object in parts", err));
    lh_store_pin(object->store, object->row.body);
    object->pinned = true;
    LH_TRY(lh_index_head_version(object->store->index, object->bucket, key, object->version, &now,
                                 err));
    return now.body == object->row.body
               ? LH_OK
               : lh_fail(err, LH_NOT_FOUND, "the object has been replaced");
}

/* Reads the row and opens its file or pins its parts, again when the object was replaced in
 * between. */
static lh_code open_current(struct lh_object *object, lh_str key, struct lh_error *err)
{
    uint64_t missing = 0;
    for (int i = 0; i < OPEN_TRIES_MAX; i++) {
        struct lh_index_object known = {0};
        LH_TRY(lh_index_get_version(object->store->index, object->bucket, key, object->version,
                                    &known, err));
        take_known(object, &known);
        lh_code code = LH_OK;
        if (object->row.info.part_count > 0)
            code = pin_parts(object, key, err);
        else if (object->row.in_file)
            code = open_file(object, err);
        if (code != LH_NOT_FOUND)
            return code;
        if (object->row.body == missing)
            return lh_fail(err, LH_CORRUPT, "the object's file is missing");
        missing = object->row.in_file ? object->row.body : 0;
        drop_known(object);
    }
    return lh_fail(err, LH_BUSY, "the object is being replaced all the time");
}

static lh_code decode_attributes(struct lh_object *object, struct lh_error *err)
{
    LH_TRY(lh_attributes_decode(lh_str_of(object->headers, object->headers_len),
                                &object->header_list, &object->header_count, err));
    return lh_attributes_decode(lh_str_of(object->tags, object->tags_len), &object->tag_list,
                                &object->tag_count, err);
}

lh_code lh_object_open_version(struct lh_store *store, int64_t bucket, lh_str key,
                               struct lh_version version, struct lh_object **ret_object,
                               struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    struct lh_object *object = lh_calloc(1, sizeof(*object));
    *object = (struct lh_object){.magic = object_magic,
                                 .store = store,
                                 .bucket = bucket,
                                 .version = version,
                                 .piece = {.fd = -1}};
    object->key = lh_strndup(key.ptr, key.len);
    object->key_len = key.len;
    lh_code code = open_current(object, key, err);
    if (code == LH_OK)
        code = decode_attributes(object, err);
    if (code == LH_CORRUPT)
        lh_store_note_damaged(store, bucket, key);
    if (code != LH_OK) {
        free_object(object);
        return code;
    }
    *ret_object = object;
    return LH_OK;
}

lh_code lh_object_open(struct lh_store *store, int64_t bucket, lh_str key,
                       struct lh_object **ret_object, struct lh_error *err)
{
    const struct lh_version current = {.kind = LH_VERSION_CURRENT};
    return lh_object_open_version(store, bucket, key, current, ret_object, err);
}

lh_code lh_object_open_part(struct lh_store *store, int64_t bucket, lh_str key,
                            const struct lh_index_part *part, struct lh_object **ret_object,
                            struct lh_error *err)
{
    struct lh_object *object = lh_calloc(1, sizeof(*object));
    *object = (struct lh_object){
        .magic = object_magic, .store = store, .bucket = bucket, .piece = {.fd = -1}};
    object->key = lh_strndup(key.ptr, key.len);
    object->key_len = key.len;
    object->row.info.size = part->info.size;
    lh_code code = lh_object_load_part(object, part, err);
    if (code != LH_OK) {
        free_object(object);
        return code;
    }
    *ret_object = object;
    return LH_OK;
}

const struct lh_store_info *lh_object_info(const struct lh_object *object)
{
    LH_CHECK_MAGIC(object, object_magic);
    return &object->row.info;
}

struct lh_attributes lh_object_headers(const struct lh_object *object)
{
    LH_CHECK_MAGIC(object, object_magic);
    return (struct lh_attributes){object->header_list, object->header_count};
}

struct lh_attributes lh_object_tags(const struct lh_object *object)
{
    LH_CHECK_MAGIC(object, object_magic);
    return (struct lh_attributes){object->tag_list, object->tag_count};
}

/* ---- reading ---- */

/* The bytes of one block of the piece, unchecked. */
static lh_code load_block(struct lh_object *object, uint64_t start, size_t len,
                          const char **ret_bytes, struct lh_error *err)
{
    const struct lh_piece *piece = &object->piece;
    if (piece->fd < 0) {
        *ret_bytes = piece->known.payload + start;
        return LH_OK;
    }
    if (!object->block) {
        uint64_t size = object->row.info.size;
        object->block = lh_try_malloc(size < LH_STORE_BLOCK ? (size_t)size : LH_STORE_BLOCK, 1);
    }
    if (!object->block)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a block of an object");
    LH_TRY(lh_pread_all(piece->fd, object->block, len, start, "an object's file", err));
    *ret_bytes = object->block;
    return LH_OK;
}

/* The piece's bytes at `offset` up to the end of their block. */
static lh_code read_piece(struct lh_object *object, uint64_t offset, const void **ret_bytes,
                          size_t *ret_len, struct lh_error *err)
{
    uint64_t size = object->piece.size;
    size_t index = (size_t)(offset / LH_STORE_BLOCK);
    uint64_t start = (uint64_t)index * LH_STORE_BLOCK;
    size_t len = size - start < LH_STORE_BLOCK ? (size_t)(size - start) : LH_STORE_BLOCK;
    const char *bytes = NULL;
    LH_TRY(load_block(object, start, len, &bytes, err));
    if (lh_xxh3(bytes, len) != object->piece.known.sums[index])
        return lh_fail(err, LH_CORRUPT, "block %zu of the object does not match its checksum",
                       index);
    *ret_bytes = bytes + (offset - start);
    *ret_len = len - (size_t)(offset - start);
    return LH_OK;
}

lh_code lh_object_read(struct lh_object *object, uint64_t offset, const void **ret_bytes,
                       size_t *ret_len, struct lh_error *err)
{
    LH_CHECK_MAGIC(object, object_magic);
    const struct lh_piece *piece = &object->piece;
    LH_CHECK(offset < object->row.info.size);
    lh_code code = LH_OK;
    if (offset < piece->start || offset - piece->start >= piece->size)
        code = load_piece(object, offset, err);
    if (code == LH_OK)
        code = read_piece(object, offset - piece->start, ret_bytes, ret_len, err);
    if (code == LH_CORRUPT || code == LH_IO)
        lh_store_note_damaged(object->store, object->bucket,
                              lh_str_of(object->key, object->key_len));
    return code;
}

void lh_object_close(struct lh_object *object)
{
    if (!object)
        return;
    LH_CHECK_MAGIC(object, object_magic);
    free_object(object);
}

/* ---- parts ---- */

struct nth_part {
    uint32_t left;
    struct lh_index_part *part;
    bool found;
};

static bool count_part(void *ctx, const struct lh_index_part *part)
{
    struct nth_part *nth = ctx;
    nth->found = nth->left == 0;
    if (nth->found)
        *nth->part = *part;
    nth->left--;
    return !nth->found;
}

/* Numbers are 1, 2, 3 ... unless the client left some out: then parts are counted. */
static lh_code find_nth(const struct lh_object *object, uint32_t index,
                        struct lh_index_part *ret_part, struct lh_error *err)
{
    struct lh_index *db = object->store->index;
    const struct lh_store_info *info = &object->row.info;
    struct lh_index_part last;
    struct nth_part nth = {.left = index, .part = ret_part};
    lh_code code = lh_index_part_from(db, object->row.body, info->part_count, &last, err);
    if (code == LH_OK && last.info.number == info->part_count &&
        last.start + last.info.size == info->size)
        return lh_index_part_from(db, object->row.body, index + 1, ret_part, err);
    LH_TRY(lh_index_parts(db, object->row.body, 0, count_part, &nth, err));
    return nth.found && !ret_part->damaged ? LH_OK : lh_fail(err, LH_CORRUPT, "a part is damaged");
}

lh_code lh_object_part(const struct lh_object *object, uint32_t index,
                       struct lh_object_part *ret_part, struct lh_error *err)
{
    LH_CHECK_MAGIC(object, object_magic);
    struct lh_index_part part;
    if (index >= object->row.info.part_count)
        return lh_fail(err, LH_NOT_FOUND, "the object has %" PRIu32 " parts",
                       object->row.info.part_count);
    LH_TRY(find_nth(object, index, &part, err));
    *ret_part = (struct lh_object_part){
        .number = part.info.number,
        .offset = part.start,
        .size = part.info.size,
        .checksum = part.info.checksum,
    };
    memcpy(ret_part->etag, part.info.etag, sizeof(ret_part->etag));
    return LH_OK;
}

/* ---- without the body ---- */

static lh_code head(struct lh_store *store, int64_t bucket, lh_str key,
                    struct lh_index_row *ret_row, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_index_head(store->index, bucket, key, ret_row, err));
    if (!ret_row->damaged)
        return LH_OK;
    lh_store_note_damaged(store, bucket, key);
    return lh_fail(err, LH_CORRUPT, "the object's row in the index is damaged");
}

lh_code lh_store_head(struct lh_store *store, int64_t bucket, lh_str key,
                      struct lh_store_info *ret_info, struct lh_error *err)
{
    struct lh_index_row row;
    LH_TRY(head(store, bucket, key, &row, err));
    *ret_info = row.info;
    return LH_OK;
}

lh_code lh_store_locate(struct lh_store *store, int64_t bucket, lh_str key, char **ret_path,
                        struct lh_store_info *ret_info, struct lh_error *err)
{
    struct lh_index_row row;
    LH_TRY(head(store, bucket, key, &row, err));
    *ret_info = row.info;
    *ret_path = row.in_file ? lh_body_path(store, row.body) : NULL;
    return LH_OK;
}
