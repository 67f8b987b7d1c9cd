/*
 * Uploads in parts: beginning, looking at and ending them. What a completion checks is in
 * multipart_complete.c; what is written, in multipart_commit.c.
 */
#include "storaged/multipart.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storaged/attributes.h"
#include "storaged/list.h"
#include "storaged/store_private.h"

/* ---- create and abort ---- */

/* The list's id, so that a completion which is repeated finds the object; and a random number, so
 * that nobody guesses it. In this order ids are in the order of time. */
static void make_id(struct lh_index_upload *upload)
{
    uint64_t secret;
    lh_random_bytes(&secret, sizeof(secret));
    snprintf(upload->info.id, sizeof(upload->info.id), "%016" PRIx64 "%016" PRIx64, upload->body,
             secret);
}

static lh_code check_options(struct lh_store *store, const struct lh_multipart_options *options,
                             struct lh_error *err)
{
    LH_TRY(lh_store_check_key(options->key, err));
    LH_TRY(lh_store_check_type(options->content_type, err));
    if (options->owner && strlen(options->owner) >= LH_BUCKET_OWNER_SIZE)
        return lh_fail(err, LH_INVALID, "the owner's id is too long");
    bool is_crc = options->checksum == LH_CHECKSUM_CRC32 ||
                  options->checksum == LH_CHECKSUM_CRC32C ||
                  options->checksum == LH_CHECKSUM_CRC64NVME;
    if (options->checksum != LH_CHECKSUM_NONE && !is_crc && !options->checksum_composite)
        return lh_fail(err, LH_INVALID, "a checksum of kind %s is composite",
                       lh_checksum_name(options->checksum));
    return lh_store_check_writable(store, err);
}

lh_code lh_upload_create(struct lh_store *store, const struct lh_multipart_options *options,
                         bool hidden, struct lh_index_upload *ret_upload, struct lh_error *err)
{
    LH_TRY(check_options(store, options, err));
    LH_AUTO_FREE char *headers = NULL;
    LH_AUTO_FREE char *tags = NULL;
    size_t headers_len = 0;
    size_t tags_len = 0;
    LH_TRY(lh_attributes_encode_headers(options->headers, &headers, &headers_len, err));
    LH_TRY(lh_attributes_encode_tags(options->tags, &tags, &tags_len, err));
    struct lh_upload_create change = {
        .commit = {.kind = &lh_upload_create_kind, .err = LH_ERROR_INIT},
        .bucket = options->bucket,
        .key = options->key,
        .upload = {.info = {.created_ms = lh_store_now(store),
                            .checksum = options->checksum,
                            .checksum_composite = options->checksum_composite},
                   .body = atomic_fetch_add(&store->next_body, 1),
                   .has_attributes = headers_len > 0 || tags_len > 0,
                   .hidden = hidden},
        .attributes = {lh_str_of(headers, headers_len), lh_str_of(tags, tags_len)},
    };
    struct lh_index_upload *upload = &change.upload;
    make_id(upload);
    if (options->owner)
        memcpy(upload->info.owner, options->owner, strlen(options->owner));
    lh_store_take_type(options->content_type, upload->content_type);
    LH_TRY(lh_commit_submit(store, &change.commit, err));
    *ret_upload = *upload;
    return LH_OK;
}

lh_code lh_multipart_create(struct lh_store *store, const struct lh_multipart_options *options,
                            char ret_id[LH_UPLOAD_ID_SIZE], struct lh_error *err)
{
    struct lh_index_upload upload;
    LH_TRY(lh_upload_create(store, options, false, &upload, err));
    memcpy(ret_id, upload.info.id, LH_UPLOAD_ID_SIZE);
    return LH_OK;
}

lh_code lh_multipart_abort(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                           struct lh_error *err)
{
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_store_check_writable(store, err));
    struct lh_upload_abort change = {
        .commit = {.kind = &lh_upload_abort_kind, .err = LH_ERROR_INIT},
        .bucket = bucket,
        .key = key,
        .upload_id = id,
    };
    return lh_commit_submit(store, &change.commit, err);
}

/* ---- looking ---- */

lh_code lh_multipart_find(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                          struct lh_multipart_info *ret_info, struct lh_error *err)
{
    struct lh_index_upload upload;
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_index_upload(store->index, bucket, key, id, &upload, err));
    *ret_info = upload.info;
    return LH_OK;
}

struct parts_page {
    void (*visit)(void *ctx, const struct lh_part *part);
    void *ctx;
    size_t limit;
    size_t count;
    bool more;
};

static bool add_part(void *ctx, const struct lh_index_part *part)
{
    struct parts_page *page = ctx;
    if (page->count == page->limit) {
        page->more = true;
        return false;
    }
    page->count++;
    page->visit(page->ctx, &part->info);
    return true;
}

lh_code lh_multipart_parts(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                           uint32_t after, size_t limit,
                           void (*visit)(void *ctx, const struct lh_part *part), void *ctx,
                           bool *ret_more, struct lh_error *err)
{
    struct lh_index_upload upload;
    struct parts_page page = {.visit = visit, .ctx = ctx, .limit = limit};
    LH_TRY(lh_store_check_key(key, err));
    LH_TRY(lh_index_upload(store->index, bucket, key, id, &upload, err));
    if (after < LH_PARTS_MAX)
        LH_TRY(lh_index_parts(store->index, upload.body, after + 1, add_part, &page, err));
    *ret_more = page.more;
    return LH_OK;
}

/* ---- listing ---- */

struct uploads_page {
    const struct lh_multipart_list *options;
    bool (*visit)(void *ctx, lh_str name, const struct lh_multipart_info *info);
    void *ctx;
    size_t count;
    bool full;
    bool more;
    bool end;                /* no upload behind this one can be of the listing */
    struct lh_position from; /* where to go on after a common prefix */
    bool jump;
};

static void emit(struct uploads_page *page, lh_str name, const struct lh_multipart_info *info)
{
    page->count++;
    page->full = !page->visit(page->ctx, name, info) || page->count == page->options->limit;
}

/* Whether the listing begins behind this upload (S3 ListMultipartUploads, key-marker and
 * upload-id-marker). */
static bool is_before(const struct lh_multipart_list *options, lh_str key, const char *id)
{
    int order = lh_str_compare(key, options->key_after);
    if (options->key_after.len == 0 || order > 0)
        return false;
    return order < 0 || options->id_after.len == 0 ||
           lh_str_compare(lh_str_from(id), options->id_after) <= 0;
}

static bool add_upload(void *ctx, int64_t bucket, lh_str key, const struct lh_index_upload *upload)
{
    struct uploads_page *page = ctx;
    const struct lh_multipart_list *options = page->options;
    if (bucket != options->bucket || !lh_begins_with(key, options->prefix)) {
        page->end = true;
        return false;
    }
    if (upload->hidden || upload->damaged || is_before(options, key, upload->info.id))
        return true;
    lh_str common = lh_common_prefix(key, options->prefix, options->delimiter);
    if (common.ptr && lh_str_compare(common, options->key_after) <= 0)
        return true; /* was on the page before */
    if (page->full) {
        page->more = true;
        return false;
    }
    if (!common.ptr) {
        emit(page, key, &upload->info);
        return true;
    }
    emit(page, common, NULL);
    page->jump = true;
    page->end = !lh_position_after_prefix(common, &page->from);
    return false;
}

lh_code lh_multipart_list(struct lh_store *store, const struct lh_multipart_list *options,
                          bool (*visit)(void *ctx, lh_str name,
                                        const struct lh_multipart_info *info),
                          void *ctx, bool *ret_more, struct lh_error *err)
{
    struct uploads_page page = {.options = options, .visit = visit, .ctx = ctx, .jump = true};
    lh_str first = lh_str_compare(options->key_after, options->prefix) > 0 ? options->key_after
                                                                           : options->prefix;
    LH_TRY(lh_list_check_part("prefix", options->prefix, err));
    LH_TRY(lh_list_check_part("delimiter", options->delimiter, err));
    LH_TRY(lh_list_check_part("marker", options->key_after, err));
    memcpy(page.from.bytes, first.len ? first.ptr : "", first.len);
    page.from.len = first.len;
    while (page.jump && !page.end) {
        page.jump = false;
        struct lh_position from = page.from;
        LH_TRY(lh_index_uploads(store->index, options->bucket, lh_str_of(from.bytes, from.len), "",
                                add_upload, &page, err));
    }
    *ret_more = page.more;
    return LH_OK;
}
