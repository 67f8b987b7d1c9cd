/*
 * Uploads: a body streams through one window of constant size. Each full window is hashed block by
 * block and written to the body's file; what fits into the window and is small enough never becomes
 * a file and goes into the index with its row.
 *
 *   begin -> (space, added)* -> commit -> free        or free at any point: nothing is left
 */
#include "storaged/store_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "storaged/attributes.h"
#include "storaged/multipart.h"

static const uint32_t upload_magic = 0x0b10ad00;

struct lh_upload {
    uint32_t magic;
    struct lh_store *store;
    int64_t bucket;
    char *key;
    size_t key_len;
    char content_type[LH_STORE_TYPE_SIZE];
    struct lh_store_condition condition;
    int64_t length; /* -1 = unknown */
    bool has_md5;
    bool has_sha256;
    uint8_t want_md5[LH_MD5_SIZE];
    uint8_t want_sha256[LH_SHA256_SIZE];
    struct lh_checksum want_checksum; /* kind NONE = any */
    char *headers;                    /* encoded, NULL = none */
    size_t headers_len;
    char *tags;
    size_t tags_len;
    char *upload_id; /* NULL = an object, else part `part_number` of that upload */
    uint32_t part_number;

    struct lh_digest *md5;
    struct lh_digest *sha256;           /* NULL when nobody asks for it */
    struct lh_checksummer *checksummer; /* the same */
    enum lh_checksum_kind checksum;
    char *window;
    size_t window_bytes; /* what the budget gave */
    size_t filled;
    uint64_t size; /* received */
    uint64_t written;
    uint64_t *sums;
    size_t sum_count;
    size_t sum_capacity;
    bool has_file;
    struct lh_body_file file;
    bool kept; /* the file belongs to the store, or its fate is open */

    /* The commit: one of `put`. */
    struct lh_store_info info;
    struct lh_index_body body;
    uint64_t body_id;
    struct lh_commit *commit;
    union {
        struct lh_object_put object;
        struct lh_part_put part;
    } put;
};

/* ---- begin ---- */

/* The window holds whole blocks, and any object that may live in the index. One byte more than a
 * known length, so that the reader sees the end of the body without a full window. */
static size_t window_bytes(const struct lh_store *store, int64_t length)
{
    uint64_t full = store->options.inline_bytes_max + 1;
    full = (full + LH_STORE_BLOCK - 1) / LH_STORE_BLOCK * LH_STORE_BLOCK;
    return (size_t)(length >= 0 && (uint64_t)length < full ? (uint64_t)length + 1 : full);
}

bool lh_store_is_inline(const struct lh_store *store, int64_t length)
{
    return length >= 0 && (uint64_t)length <= store->options.inline_bytes_max;
}

static lh_code take_budget(struct lh_store *store, size_t bytes, struct lh_error *err)
{
    lh_mutex_lock(&store->mutex);
    bool fits = store->upload_bytes + bytes <= store->options.upload_budget_bytes ||
                store->upload_count == 0;
    if (fits) {
        store->upload_count++;
        store->upload_bytes += bytes;
    }
    uint64_t uploads = store->upload_count;
    lh_mutex_unlock(&store->mutex);
    if (fits)
        return LH_OK;
    return lh_fail(err, LH_BUSY, "%" PRIu64 " uploads in flight use up their memory", uploads);
}

static void give_budget(struct lh_store *store, size_t bytes)
{
    lh_mutex_lock(&store->mutex);
    store->upload_count--;
    store->upload_bytes -= bytes;
    lh_mutex_unlock(&store->mutex);
}

static lh_code check_begin(struct lh_store *store, const struct lh_upload_options *options,
                           struct lh_error *err)
{
    LH_TRY(lh_store_check_key(options->key, err));
    LH_TRY(lh_store_check_type(options->content_type, err));
    if (options->length > 0 && (uint64_t)options->length > store->options.object_bytes_max)
        return lh_fail(err, LH_TOO_LARGE,
                       "an object of %" PRId64 " bytes, at most %" PRIu64 " are possible",
                       options->length, store->options.object_bytes_max);
    LH_TRY(lh_store_check_writable(store, err));
    return lh_store_check_room(store, options->length > 0 ? (uint64_t)options->length : 0, err);
}

static void set_wanted(struct lh_upload *upload, const struct lh_upload_options *options)
{
    if (options->md5) {
        upload->has_md5 = true;
        memcpy(upload->want_md5, options->md5, LH_MD5_SIZE);
    }
    if (options->sha256) {
        upload->has_sha256 = true;
        memcpy(upload->want_sha256, options->sha256, LH_SHA256_SIZE);
        upload->sha256 = lh_digest_new(LH_DIGEST_SHA256);
    }
}

/* The checksum of a part is the upload's: parts of another could not become one object. */
static lh_code choose_checksum(struct lh_store *store, const struct lh_upload_options *options,
                               enum lh_checksum_kind *ret_kind, struct lh_error *err)
{
    *ret_kind = options->checksum;
    if (!options->upload_id)
        return LH_OK;
    if (options->part_number < 1 || options->part_number > LH_PARTS_MAX)
        return lh_fail(err, LH_INVALID, "part numbers are from 1 to %d", LH_PARTS_MAX);
    struct lh_index_upload upload;
    LH_TRY(lh_index_upload(store->index, options->bucket, options->key, options->upload_id, &upload,
                           err));
    if (upload.info.checksum == LH_CHECKSUM_NONE)
        return LH_OK;
    if (options->checksum != LH_CHECKSUM_NONE && options->checksum != upload.info.checksum)
        return lh_fail(err, LH_INVALID, "the upload was begun for checksums of kind %s",
                       lh_checksum_name(upload.info.checksum));
    *ret_kind = upload.info.checksum;
    return LH_OK;
}

/* Copies what the options borrow. A failure leaves the rest to lh_upload_free. */
static lh_code take_options(struct lh_upload *upload, const struct lh_upload_options *options,
                            struct lh_error *err)
{
    upload->bucket = options->bucket;
    upload->key = lh_strndup(options->key.ptr, options->key.len);
    upload->key_len = options->key.len;
    lh_store_take_type(options->content_type, upload->content_type);
    upload->condition = options->condition;
    upload->length = options->length;
    upload->md5 = lh_digest_new(LH_DIGEST_MD5);
    set_wanted(upload, options);
    LH_TRY(choose_checksum(upload->store, options, &upload->checksum, err));
    if (upload->checksum != LH_CHECKSUM_NONE)
        upload->checksummer = lh_checksummer_new(upload->checksum);
    if (options->upload_id) {
        upload->upload_id = lh_strdup(options->upload_id);
        upload->part_number = options->part_number;
        return LH_OK;
    }
    LH_TRY(lh_attributes_encode_headers(options->headers, &upload->headers, &upload->headers_len,
                                        err));
    return lh_attributes_encode_tags(options->tags, &upload->tags, &upload->tags_len, err);
}

lh_code lh_upload_begin(struct lh_store *store, const struct lh_upload_options *options,
                        struct lh_upload **ret_upload, struct lh_error *err)
{
    LH_TRY(check_begin(store, options, err));
    size_t bytes = window_bytes(store, options->length);
    LH_TRY(take_budget(store, bytes, err));
    struct lh_upload *upload = lh_calloc(1, sizeof(*upload));
    upload->magic = upload_magic;
    upload->store = store;
    upload->window_bytes = bytes;
    upload->window = lh_try_malloc(bytes, 1);
    lh_code code = upload->window ? take_options(upload, options, err)
                                  : lh_fail(err, LH_NO_MEMORY, "no memory for an upload");
    if (code != LH_OK) {
        lh_upload_free(upload);
        return code;
    }
    *ret_upload = upload;
    return LH_OK;
}

/* ---- body ---- */

static void sum_window(struct lh_upload *upload)
{
    for (size_t at = 0; at < upload->filled; at += LH_STORE_BLOCK) {
        size_t len = upload->filled - at < LH_STORE_BLOCK ? upload->filled - at : LH_STORE_BLOCK;
        upload->sums = lh_grow(upload->sums, &upload->sum_capacity, upload->sum_count + 1,
                               sizeof(*upload->sums));
        upload->sums[upload->sum_count++] = lh_xxh3(upload->window + at, len);
    }
}

/* Writes the window to the file, which is made by the first one. All but the last are whole blocks.
 */
static lh_code flush(struct lh_upload *upload, struct lh_error *err)
{
    struct lh_store *store = upload->store;
    LH_TRY(lh_check_may_wait("an object's file", err));
    LH_CHECK(upload->written % LH_STORE_BLOCK == 0);
    if (upload->length < 0)
        LH_TRY(lh_store_check_room(store, upload->filled, err));
    if (!upload->has_file) {
        LH_TRY(lh_body_create(store, upload->length, &upload->file, err));
        upload->has_file = true;
    }
    sum_window(upload);
    LH_TRY(lh_pwrite_all(upload->file.fd, upload->window, upload->filled, upload->written,
                         "an object's file", err));
    upload->written += upload->filled;
    upload->filled = 0;
    return LH_OK;
}

lh_code lh_upload_space(struct lh_upload *upload, void **ret_space, size_t *ret_room,
                        struct lh_error *err)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    if (upload->filled == upload->window_bytes)
        LH_TRY(flush(upload, err));
    *ret_space = upload->window + upload->filled;
    *ret_room = upload->window_bytes - upload->filled;
    return LH_OK;
}

lh_code lh_upload_added(struct lh_upload *upload, size_t len, struct lh_error *err)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    LH_CHECK(len <= upload->window_bytes - upload->filled);
    const char *bytes = upload->window + upload->filled;
    lh_digest_update(upload->md5, bytes, len);
    if (upload->sha256)
        lh_digest_update(upload->sha256, bytes, len);
    if (upload->checksummer)
        lh_checksummer_update(upload->checksummer, bytes, len);
    upload->filled += len;
    upload->size += len;
    if (upload->size > upload->store->options.object_bytes_max)
        return lh_fail(err, LH_TOO_LARGE, "the object has more than %" PRIu64 " bytes",
                       upload->store->options.object_bytes_max);
    if (upload->length >= 0 && upload->size > (uint64_t)upload->length)
        return lh_fail(err, LH_INVALID, "the body is longer than the %" PRId64 " bytes announced",
                       upload->length);
    return LH_OK;
}

/* ---- commit ---- */

lh_code lh_upload_expect(struct lh_upload *upload, const struct lh_checksum *checksum,
                         struct lh_error *err)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    if (checksum->kind == LH_CHECKSUM_NONE || checksum->kind != upload->checksum)
        return lh_fail(err, LH_INVALID, "the upload was not begun for a checksum of kind %s",
                       lh_checksum_name(checksum->kind));
    upload->want_checksum = *checksum;
    return LH_OK;
}

static lh_code check_digests(struct lh_upload *upload, char ret_etag[LH_STORE_ETAG_SIZE],
                             struct lh_error *err)
{
    if (upload->length >= 0 && upload->size != (uint64_t)upload->length)
        return lh_fail(err, LH_INCOMPLETE_BODY, "%" PRIu64 " of %" PRId64 " bytes came",
                       upload->size, upload->length);
    uint8_t md5[LH_MD5_SIZE];
    lh_digest_final(upload->md5, md5);
    if (upload->has_md5 && memcmp(md5, upload->want_md5, sizeof(md5)) != 0)
        return lh_fail(err, LH_BAD_DIGEST, "the body's MD5 is another one than Content-MD5 says");
    if (upload->sha256) {
        uint8_t sha256[LH_SHA256_SIZE];
        lh_digest_final(upload->sha256, sha256);
        if (upload->has_sha256 && memcmp(sha256, upload->want_sha256, sizeof(sha256)) != 0)
            return lh_fail(err, LH_BAD_DIGEST,
                           "the body's SHA-256 is another one than the request says");
    }
    lh_hex(md5, sizeof(md5), ret_etag);
    return LH_OK;
}

/* The body's checksum, of kind NONE when nobody asked for one. */
static lh_code check_checksum(struct lh_upload *upload, struct lh_checksum *ret_sum,
                              struct lh_error *err)
{
    *ret_sum = (struct lh_checksum){.kind = LH_CHECKSUM_NONE};
    if (!upload->checksummer)
        return LH_OK;
    lh_checksummer_final(upload->checksummer, ret_sum);
    if (upload->want_checksum.kind != LH_CHECKSUM_NONE &&
        memcmp(ret_sum->bytes, upload->want_checksum.bytes, lh_checksum_size(ret_sum->kind)) != 0)
        return lh_fail(err, LH_BAD_DIGEST, "the body's %s is another one than the request says",
                       lh_checksum_name(ret_sum->kind));
    return LH_OK;
}

/* The body where it will stay: in the window for the index, or in its file. */
static lh_code settle(struct lh_upload *upload, uint64_t *ret_body, struct lh_error *err)
{
    struct lh_store *store = upload->store;
    if (!upload->has_file && upload->size <= store->options.inline_bytes_max) {
        sum_window(upload);
        *ret_body = atomic_fetch_add(&store->next_body, 1);
        return LH_OK;
    }
    if (upload->filled > 0)
        LH_TRY(flush(upload, err));
    LH_TRY(lh_body_publish(store, &upload->file, err));
    *ret_body = upload->file.id;
    return LH_OK;
}

static struct lh_commit *prepare_object(struct lh_upload *upload, uint64_t body_id)
{
    upload->put.object = (struct lh_object_put){
        .commit = {.kind = &lh_object_put_kind},
        .bucket = upload->bucket,
        .key = lh_str_of(upload->key, upload->key_len),
        .condition = upload->condition,
        .row = {.info = upload->info,
                .body = body_id,
                .in_file = upload->has_file,
                .has_attributes = upload->headers_len > 0 || upload->tags_len > 0},
        .body = &upload->body,
        .attributes = {lh_str_of(upload->headers, upload->headers_len),
                       lh_str_of(upload->tags, upload->tags_len)},
    };
    return &upload->put.object.commit;
}

static struct lh_commit *prepare_part(struct lh_upload *upload, uint64_t body_id)
{
    const struct lh_store_info *info = &upload->info;
    upload->put.part = (struct lh_part_put){
        .commit = {.kind = &lh_part_put_kind},
        .bucket = upload->bucket,
        .key = lh_str_of(upload->key, upload->key_len),
        .upload_id = upload->upload_id,
        .part = {.info = {.number = upload->part_number,
                          .size = info->size,
                          .modified_ms = info->modified_ms,
                          .checksum = info->checksum},
                 .body = body_id,
                 .in_file = upload->has_file},
        .body = &upload->body,
    };
    memcpy(upload->put.part.part.info.etag, info->etag, sizeof(info->etag));
    return &upload->put.part.commit;
}

lh_code lh_upload_prepare(struct lh_upload *upload, struct lh_error *err)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    struct lh_store_info *info = &upload->info;
    *info = (struct lh_store_info){.size = upload->size};
    LH_TRY(check_digests(upload, info->etag, err));
    LH_TRY(check_checksum(upload, &info->checksum, err));
    LH_TRY(settle(upload, &upload->body_id, err));
    info->modified_ms = lh_store_now(upload->store);
    memcpy(info->content_type, upload->content_type, sizeof(info->content_type));
    upload->body = (struct lh_index_body){
        .sums = upload->sums,
        .sum_count = upload->sum_count,
        .payload = upload->has_file ? NULL : upload->window,
    };
    struct lh_commit *commit = upload->upload_id ? prepare_part(upload, upload->body_id)
                                                 : prepare_object(upload, upload->body_id);
    commit->err = LH_ERROR_INIT;
    commit->load = upload->body.payload ? upload->size : 0;
    commit->files = &upload->body_id;
    commit->file_count = upload->has_file ? 1 : 0;
    upload->commit = commit;
    return LH_OK;
}

void lh_upload_commit_begin(struct lh_upload *upload, void (*told)(void *ctx), void *ctx)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    LH_CHECK(upload->commit != NULL);
    upload->commit->told = told;
    upload->commit->told_ctx = ctx;
    lh_commit_begin(upload->store, upload->commit);
}

lh_code lh_upload_commit_end(struct lh_upload *upload, struct lh_store_info *ret_info,
                             bool *ret_created, struct lh_error *err)
{
    LH_CHECK_MAGIC(upload, upload_magic);
    const struct lh_commit *commit = upload->commit;
    upload->kept = commit->code == LH_OK || commit->outcome_open;
    *ret_created = !(upload->upload_id ? upload->put.part.existed : upload->put.object.existed);
    if (commit->code != LH_OK) {
        *err = commit->err;
        return commit->code;
    }
    *ret_info = upload->upload_id ? upload->info : upload->put.object.row.info;
    return LH_OK;
}

lh_code lh_upload_commit(struct lh_upload *upload, struct lh_store_info *ret_info,
                         bool *ret_created, struct lh_error *err)
{
    LH_TRY(lh_upload_prepare(upload, err));
    LH_IGNORE(lh_commit_submit(upload->store, upload->commit, err), "the end tells");
    return lh_upload_commit_end(upload, ret_info, ret_created, err);
}

void lh_upload_free(struct lh_upload *upload)
{
    if (!upload)
        return;
    LH_CHECK_MAGIC(upload, upload_magic);
    upload->magic = 0;
    if (upload->has_file && upload->kept)
        lh_body_keep(&upload->file);
    else if (upload->has_file)
        lh_body_discard(upload->store, &upload->file);
    give_budget(upload->store, upload->window_bytes);
    lh_digest_free(upload->md5);
    lh_digest_free(upload->sha256);
    lh_checksummer_free(upload->checksummer);
    free(upload->headers);
    free(upload->tags);
    free(upload->upload_id);
    free(upload->window);
    free(upload->sums);
    free(upload->key);
    free(upload);
}
