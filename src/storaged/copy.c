/*
 * Copies of whole objects. The bytes stay where they are when the file system can give a file a
 * second name: a copy is then a commit and no more. An object in parts is copied part by part,
 * under an upload of our own that no listing shows, and that the keeper ends when a crash has cut
 * it off.
 */
#include "storaged/object_private.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "storaged/attributes.h"

/* What one copy is made of. */
struct copy {
    struct lh_store *store;
    struct lh_object *source;
    const struct lh_upload_options *options;
    struct lh_store_info info; /* of the copy */
    char *headers;             /* encoded */
    char *tags;
    size_t headers_len;
    size_t tags_len;
};

static void copy_deinit(struct copy *copy)
{
    free(copy->headers);
    free(copy->tags);
}

/* ---- bodies ---- */

/* The piece at hand, block by block: each is checked on the way. */
static lh_code write_piece(struct lh_object *source, int fd, struct lh_error *err)
{
    uint64_t start = source->piece.start;
    uint64_t size = source->piece.size;
    for (uint64_t at = 0; at < size;) {
        const void *bytes;
        size_t len;
        LH_TRY(lh_object_read(source, start + at, &bytes, &len, err));
        LH_TRY(lh_pwrite_all(fd, bytes, len, at, "an object's file", err));
        at += len;
    }
    return LH_OK;
}

static lh_code copy_file(struct copy *copy, struct lh_body_file *ret_file, struct lh_error *err)
{
    struct lh_body_file file;
    LH_TRY(lh_body_create(copy->store, (int64_t)copy->source->piece.size, &file, err));
    lh_code code = write_piece(copy->source, file.fd, err);
    if (code == LH_OK)
        code = lh_body_publish(copy->store, &file, err);
    if (code == LH_OK)
        *ret_file = file;
    else
        lh_body_discard(copy->store, &file);
    return code;
}

/* A body of the piece at hand for the copy: a second name of its file, or a file of its own where
 * there can be none. What lives in the index gets a number only. */
static lh_code take_body(struct copy *copy, struct lh_body_file *ret_file, struct lh_error *err)
{
    struct lh_store *store = copy->store;
    const struct lh_piece *piece = &copy->source->piece;
    struct lh_error ignored = LH_ERROR_INIT;
    *ret_file = (struct lh_body_file){.fd = -1};
    if (piece->fd < 0) {
        ret_file->id = atomic_fetch_add(&store->next_body, 1);
        return LH_OK;
    }
    if (lh_body_link(store, piece->body, ret_file, &ignored) == LH_OK)
        return LH_OK;
    return copy_file(copy, ret_file, err);
}

static struct lh_index_body index_body(const struct lh_piece *piece)
{
    return (struct lh_index_body){
        .sums = piece->known.sums,
        .sum_count = piece->known.sum_count,
        .payload = piece->fd < 0 ? piece->known.payload : NULL,
    };
}

/* Submits a commit that needs the body, and keeps the body when it has become part of the store. */
static lh_code submit(struct copy *copy, struct lh_commit *commit, struct lh_body_file *file,
                      struct lh_error *err)
{
    const struct lh_piece *piece = &copy->source->piece;
    bool has_file = piece->fd >= 0;
    commit->err = LH_ERROR_INIT;
    commit->load = has_file ? 0 : piece->size;
    commit->files = &file->id;
    commit->file_count = has_file;
    lh_code code = lh_commit_submit(copy->store, commit, err);
    if (has_file && (code == LH_OK || commit->outcome_open))
        lh_body_keep(file);
    else if (has_file)
        lh_body_discard(copy->store, file);
    return code;
}

/* ---- in one piece ---- */

static lh_code copy_whole(struct copy *copy, struct lh_error *err)
{
    struct lh_body_file file;
    LH_TRY(take_body(copy, &file, err));
    const struct lh_index_body body = index_body(&copy->source->piece);
    struct lh_object_put put = {
        .commit = {.kind = &lh_object_put_kind},
        .bucket = copy->options->bucket,
        .key = copy->options->key,
        .condition = copy->options->condition,
        .row = {.info = copy->info,
                .body = file.id,
                .in_file = copy->source->row.in_file,
                .has_attributes = copy->headers_len > 0 || copy->tags_len > 0},
        .body = &body,
        .attributes = {lh_str_of(copy->headers, copy->headers_len),
                       lh_str_of(copy->tags, copy->tags_len)},
    };
    LH_TRY(submit(copy, &put.commit, &file, err));
    copy->info = put.row.info;
    return LH_OK;
}

/* ---- in parts ---- */

/* The piece at hand as a part of the upload. */
static lh_code copy_part(struct copy *copy, const struct lh_index_upload *upload,
                         const struct lh_index_part *part, struct lh_error *err)
{
    struct lh_body_file file;
    LH_TRY(take_body(copy, &file, err));
    const struct lh_index_body body = index_body(&copy->source->piece);
    struct lh_part_put put = {
        .commit = {.kind = &lh_part_put_kind},
        .bucket = copy->options->bucket,
        .key = copy->options->key,
        .upload_id = upload->info.id,
        .part = *part,
        .body = &body,
    };
    put.part.body = file.id;
    return submit(copy, &put.commit, &file, err);
}

static lh_code copy_parts(struct copy *copy, const struct lh_index_upload *upload,
                          struct lh_error *err)
{
    struct lh_object *source = copy->source;
    uint32_t number = 0;
    for (uint32_t i = 0; i < source->row.info.part_count; i++) {
        struct lh_index_part part;
        LH_TRY(lh_index_part_from(copy->store->index, source->row.body, number + 1, &part, err));
        LH_TRY(lh_object_load_part(source, &part, err));
        LH_TRY(copy_part(copy, upload, &part, err));
        number = part.info.number;
    }
    return LH_OK;
}

static lh_code end_copy(struct copy *copy, const struct lh_index_upload *upload,
                        struct lh_error *err)
{
    struct lh_upload_complete change = {
        .put = {.commit = {.kind = &lh_upload_complete_kind, .err = LH_ERROR_INIT},
                .bucket = copy->options->bucket,
                .key = copy->options->key,
                .condition = copy->options->condition,
                .row = {.info = copy->info,
                        .body = upload->body,
                        .has_attributes = upload->has_attributes}},
        .upload_id = upload->info.id,
        .as_it_is = true,
    };
    LH_TRY(lh_commit_submit(copy->store, &change.put.commit, err));
    copy->info = change.put.row.info;
    return LH_OK;
}

static lh_code copy_in_parts(struct copy *copy, struct lh_error *err)
{
    const struct lh_upload_options *options = copy->options;
    const struct lh_multipart_options upload_options = {
        .bucket = options->bucket,
        .key = options->key,
        .content_type = options->content_type,
        .headers = options->headers,
        .tags = options->tags,
    };
    struct lh_index_upload upload;
    struct lh_error ignored = LH_ERROR_INIT;
    LH_TRY(lh_upload_create(copy->store, &upload_options, true, &upload, err));
    lh_code code = copy_parts(copy, &upload, err);
    if (code == LH_OK)
        code = end_copy(copy, &upload, err);
    if (code != LH_OK)
        LH_IGNORE(lh_multipart_abort(copy->store, options->bucket, options->key, upload.info.id,
                                     &ignored),
                  "what stays is ended at the next start");
    return code;
}

/* ---- copy ---- */

/* The checksum of another kind than the source has: over its bytes. */
static lh_code compute_checksum(struct copy *copy, struct lh_error *err)
{
    struct lh_checksummer *sum = lh_checksummer_new(copy->options->checksum);
    lh_code code = LH_OK;
    for (uint64_t at = 0; code == LH_OK && at < copy->info.size;) {
        const void *bytes;
        size_t len;
        code = lh_object_read(copy->source, at, &bytes, &len, err);
        if (code == LH_OK) {
            lh_checksummer_update(sum, bytes, len);
            at += len;
        }
    }
    if (code == LH_OK)
        lh_checksummer_final(sum, &copy->info.checksum);
    copy->info.checksum_composite = false;
    lh_checksummer_free(sum);
    return code;
}

static lh_code prepare(struct copy *copy, struct lh_error *err)
{
    const struct lh_upload_options *options = copy->options;
    LH_TRY(lh_store_check_key(options->key, err));
    LH_TRY(lh_store_check_type(options->content_type, err));
    LH_TRY(lh_store_check_writable(copy->store, err));
    LH_TRY(lh_store_check_room(copy->store, 0, err));
    LH_TRY(lh_attributes_encode_headers(options->headers, &copy->headers, &copy->headers_len, err));
    LH_TRY(lh_attributes_encode_tags(options->tags, &copy->tags, &copy->tags_len, err));
    copy->info = copy->source->row.info;
    copy->info.modified_ms = lh_store_now(copy->store);
    copy->info.version = 0; /* the commit gives it one of its own */
    copy->info.null_version = false;
    lh_store_take_type(options->content_type, copy->info.content_type);
    bool another = options->checksum != LH_CHECKSUM_NONE &&
                   (options->checksum != copy->info.checksum.kind || copy->info.checksum_composite);
    return another ? compute_checksum(copy, err) : LH_OK;
}

lh_code lh_store_copy(struct lh_store *store, struct lh_object *source,
                      const struct lh_upload_options *options, struct lh_store_info *ret_info,
                      struct lh_error *err)
{
    LH_CHECK(source->store == store);
    LH_AUTO(copy_deinit)
    struct copy copy = {.store = store, .source = source, .options = options};
    LH_TRY(prepare(&copy, err));
    LH_TRY(copy.info.part_count > 0 ? copy_in_parts(&copy, err) : copy_whole(&copy, err));
    *ret_info = copy.info;
    return LH_OK;
}
