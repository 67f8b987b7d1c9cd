/*
 * Reading objects. Every block is checked against its checksum before it is handed out; an object
 * that is not what was stored is put on the list of damaged ones and never served.
 */
#include "storaged/store_private.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

static const uint32_t object_magic = 0x0b7ec700;

enum { OPEN_TRIES_MAX = 100 };

struct lh_object {
    uint32_t magic;
    struct lh_store *store;
    int64_t bucket;
    char *key;
    size_t key_len;
    struct lh_index_object known;
    int fd;      /* -1 for one that lives in the index */
    char *block; /* of a file; made by the first read */
};

static void free_object(struct lh_object *object)
{
    if (object->fd >= 0)
        lh_io->close(object->fd);
    lh_index_object_deinit(&object->known);
    free(object->block);
    free(object->key);
    object->magic = 0;
    free(object);
}

/* Opens the row's file. Between the look at the index and the open the object may have been
 * replaced and its file removed (LH_NOT_FOUND). */
static lh_code open_file(struct lh_object *object, struct lh_error *err)
{
    uint64_t size = object->known.row.info.size;
    struct stat st;
    LH_TRY(lh_body_open(object->store, object->known.row.body, &object->fd, err));
    if (lh_io->fstat(object->fd, &st) != 0)
        return lh_fail_errno(err, "cannot look at an object's file");
    if ((uint64_t)st.st_size != size)
        return lh_fail(err, LH_CORRUPT, "the object's file has %jd bytes instead of %" PRIu64,
                       (intmax_t)st.st_size, size);
    return LH_OK;
}

/* Reads the row and opens its file, again when the object was replaced in between. */
static lh_code open_current(struct lh_object *object, lh_str key, struct lh_error *err)
{
    uint64_t missing = 0;
    for (int i = 0; i < OPEN_TRIES_MAX; i++) {
        LH_TRY(lh_index_get(object->store->index, object->bucket, key, &object->known, err));
        if (!object->known.row.in_file)
            return LH_OK;
        lh_code code = open_file(object, err);
        if (code != LH_NOT_FOUND)
            return code;
        if (object->known.row.body == missing)
            return lh_fail(err, LH_CORRUPT, "the object's file is missing");
        missing = object->known.row.body;
        lh_index_object_deinit(&object->known);
    }
    return lh_fail(err, LH_BUSY, "the object is being replaced all the time");
}

lh_code lh_object_open(struct lh_store *store, int64_t bucket, lh_str key,
                       struct lh_object **ret_object, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    struct lh_object *object = lh_calloc(1, sizeof(*object));
    *object = (struct lh_object){.magic = object_magic, .store = store, .bucket = bucket, .fd = -1};
    object->key = lh_strndup(key.ptr, key.len);
    object->key_len = key.len;
    lh_code code = open_current(object, key, err);
    if (code == LH_CORRUPT)
        lh_store_note_damaged(store, bucket, key);
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
    return &object->known.row.info;
}

/* The bytes of one block, unchecked. */
static lh_code load_block(struct lh_object *object, uint64_t start, size_t len,
                          const char **ret_bytes, struct lh_error *err)
{
    if (object->fd < 0) {
        *ret_bytes = object->known.payload + start;
        return LH_OK;
    }
    if (!object->block) {
        uint64_t size = object->known.row.info.size;
        object->block = lh_try_malloc(size < LH_STORE_BLOCK ? (size_t)size : LH_STORE_BLOCK, 1);
    }
    if (!object->block)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a block of an object");
    LH_TRY(lh_pread_all(object->fd, object->block, len, start, "an object's file", err));
    *ret_bytes = object->block;
    return LH_OK;
}

lh_code lh_object_read(struct lh_object *object, uint64_t offset, const void **ret_bytes,
                       size_t *ret_len, struct lh_error *err)
{
    LH_CHECK_MAGIC(object, object_magic);
    uint64_t size = object->known.row.info.size;
    LH_CHECK(offset < size);
    size_t index = (size_t)(offset / LH_STORE_BLOCK);
    uint64_t start = (uint64_t)index * LH_STORE_BLOCK;
    size_t len = size - start < LH_STORE_BLOCK ? (size_t)(size - start) : LH_STORE_BLOCK;
    const char *bytes = NULL;
    lh_code code = load_block(object, start, len, &bytes, err);
    if (code == LH_OK && lh_xxh3(bytes, len) != object->known.sums[index])
        code =
            lh_fail(err, LH_CORRUPT, "block %zu of the object does not match its checksum", index);
    if (code == LH_CORRUPT || code == LH_IO)
        lh_store_note_damaged(object->store, object->bucket,
                              lh_str_of(object->key, object->key_len));
    LH_TRY(code);
    *ret_bytes = bytes + (offset - start);
    *ret_len = len - (size_t)(offset - start);
    return LH_OK;
}

void lh_object_close(struct lh_object *object)
{
    if (!object)
        return;
    LH_CHECK_MAGIC(object, object_magic);
    free_object(object);
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
