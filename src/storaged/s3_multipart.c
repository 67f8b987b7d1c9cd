/*
 * Uploads in parts: create, part, complete, abort. What lists them is in s3_multipart_list.c.
 */
#include <string.h>

#include "base/mem.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 32 << 10 };

/* ---- create ---- */

/* Without a type, what the algorithm's is by default (Amazon S3 API Reference,
 * CreateMultipartUpload, x-amz-checksum-type). */
static lh_code take_checksum_plan(struct lh_s3 *s3, struct lh_multipart_options *options,
                                  struct lh_error *err)
{
    bool given = false;
    bool composite = false;
    LH_TRY(lh_s3_take_algorithm(s3, "x-amz-checksum-algorithm", &options->checksum, err));
    LH_TRY(lh_s3_take_checksum_type(s3, options->checksum, &given, &composite, err));
    if (!given)
        composite =
            options->checksum != LH_CHECKSUM_NONE && options->checksum != LH_CHECKSUM_CRC64NVME;
    options->checksum_composite = composite;
    return LH_OK;
}

static lh_code reply_created(struct lh_s3 *s3, const struct lh_multipart_options *options,
                             const char *id, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    if (options->checksum != LH_CHECKSUM_NONE) {
        lh_http_set_header(s3->x, "x-amz-checksum-algorithm",
                           lh_str_from(lh_checksum_name(options->checksum)));
        lh_http_set_header(s3->x, "x-amz-checksum-type",
                           lh_str_from(lh_s3_checksum_type(options->checksum_composite)));
    }
    lh_xml_begin(&xml, "InitiateMultipartUploadResult");
    lh_xml_text(&xml, "Bucket", s3->bucket_name);
    lh_xml_text(&xml, "Key", s3->key);
    lh_xml_cstr(&xml, "UploadId", id);
    lh_xml_close(&xml, "InitiateMultipartUploadResult");
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_create_multipart(struct lh_s3 *s3, struct lh_error *err)
{
    char id[LH_UPLOAD_ID_SIZE];
    struct lh_upload_options object = {.bucket = s3->bucket.id};
    struct lh_multipart_options options = {
        .bucket = s3->bucket.id, .key = s3->key, .owner = s3->who.user_id};
    LH_TRY(lh_store_check_key(s3->key, err));
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(lh_s3_take_headers(s3, &object, err));
    LH_TRY(lh_s3_take_tags(s3, &options.tags, err));
    LH_TRY(take_checksum_plan(s3, &options, err));
    options.content_type = object.content_type;
    options.headers = object.headers;
    LH_TRY(lh_multipart_create(s3->storaged->store, &options, id, err));
    return reply_created(s3, &options, id, err);
}

/* ---- part ---- */

lh_code lh_s3_begin_part(struct lh_s3 *s3, struct lh_upload_options *ret_options,
                         struct lh_error *err)
{
    struct lh_multipart_info upload;
    struct lh_upload_options options = {
        .bucket = s3->bucket.id, .key = s3->key, .upload_id = lh_s3_upload_id(s3), .length = -1};
    LH_TRY(lh_s3_take_part_number(s3, &options.part_number, err));
    lh_code code = lh_multipart_find(s3->storaged->store, s3->bucket.id, s3->key, options.upload_id,
                                     &upload, err);
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    options.checksum = upload.checksum;
    *ret_options = options;
    return LH_OK;
}

static lh_code reply_part(struct lh_s3 *s3, lh_code code, const struct lh_store_info *info,
                          bool created, struct lh_error *err)
{
    (void)created;
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    lh_s3_set_etag(s3, info->etag);
    lh_s3_set_checksum(s3, &info->checksum, 0);
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_put_part(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_upload_options options;
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(lh_s3_begin_part(s3, &options, err));
    LH_TRY(lh_s3_body_length(s3, &options.length, err));
    return lh_s3_store_body(s3, &options, reply_part, err);
}

/* ---- complete ---- */

static lh_code malformed(struct lh_s3 *s3, const char *why, struct lh_error *err)
{
    return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML,
                      "The XML you provided was not well-formed or did not validate against our "
                      "published schema: %s",
                      why);
}

static lh_str unquote(lh_str etag)
{
    etag = lh_str_trim(etag);
    if (etag.len >= 2 && etag.ptr[0] == '"' && etag.ptr[etag.len - 1] == '"')
        return lh_str_of(etag.ptr + 1, etag.len - 2);
    return etag;
}

/* <ChecksumCRC32> and its like; a client names none, or the one of the upload. */
static lh_code take_part_checksum(struct lh_s3 *s3, const struct lh_xml_node *field,
                                  struct lh_completion_part *part, struct lh_error *err)
{
    const lh_str prefix = LH_STR("Checksum");
    if (!lh_str_starts(field->name, prefix.ptr))
        return LH_OK;
    enum lh_checksum_kind kind = lh_checksum_parse(lh_str_skip(field->name, prefix.len));
    if (kind == LH_CHECKSUM_NONE)
        return malformed(s3, "a checksum of an unknown kind", err);
    if (!lh_checksum_from_text(kind, lh_str_trim(field->text), &part->checksum))
        return lh_s3_fail(s3, err, LH_S3_INVALID_PART, "part %u: %.*s is not a checksum",
                          part->number, LH_FMT(field->name));
    return LH_OK;
}

static lh_code take_part(struct lh_s3 *s3, const struct lh_xml_node *node,
                         struct lh_completion_part *ret_part, struct lh_error *err)
{
    uint64_t number = 0;
    struct lh_completion_part part = {.etag = unquote(lh_xml_child_text(node, "ETag"))};
    if (!lh_str_to_u64(lh_str_trim(lh_xml_child_text(node, "PartNumber")), &number) ||
        part.etag.len == 0)
        return malformed(s3, "a part needs PartNumber and ETag", err);
    if (number < 1 || number > LH_PARTS_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "PartNumber must be an integer between 1 and %d", LH_PARTS_MAX);
    part.number = (uint32_t)number;
    for (const struct lh_xml_node *field = node->first_child; field; field = field->next)
        LH_TRY(take_part_checksum(s3, field, &part, err));
    *ret_part = part;
    return LH_OK;
}

static lh_code take_parts(struct lh_s3 *s3, const struct lh_xml_node *root,
                          struct lh_completion *completion, struct lh_error *err)
{
    size_t count = 0;
    const struct lh_xml_node *first = lh_xml_child(root, "Part");
    for (const struct lh_xml_node *node = first; node; node = lh_xml_next(node))
        count++;
    if (count == 0 || count > LH_PARTS_MAX)
        return malformed(s3, "it lists no parts, or too many", err);
    struct lh_completion_part *parts =
        lh_arena_calloc(lh_http_arena(s3->x), count * sizeof(*parts));
    if (!parts)
        return lh_fail(err, LH_TOO_LARGE, "the list of parts is too large");
    size_t at = 0;
    for (const struct lh_xml_node *node = first; node; node = lh_xml_next(node)) {
        LH_TRY(take_part(s3, node, &parts[at], err));
        /* A part that was sent again while it was under way stands twice: its last word counts. */
        if (at > 0 && parts[at].number == parts[at - 1].number)
            parts[at - 1] = parts[at];
        else
            at++;
    }
    completion->parts = parts;
    completion->count = at;
    return LH_OK;
}

static lh_code take_size(struct lh_s3 *s3, int64_t *ret, struct lh_error *err)
{
    int64_t size = -1;
    lh_str text = lh_http_header(s3->x, "x-amz-mp-object-size");
    if (text.ptr && (!lh_str_to_i64(text, &size) || size < 0))
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "Value for x-amz-mp-object-size header is invalid.");
    *ret = size;
    return LH_OK;
}

/* x-amz-checksum-type repeats what the upload was created with. */
static lh_code check_type(struct lh_s3 *s3, const char *id, struct lh_error *err)
{
    struct lh_multipart_info upload;
    lh_str type = lh_http_header(s3->x, "x-amz-checksum-type");
    if (!type.ptr)
        return LH_OK;
    lh_code code = lh_multipart_find(s3->storaged->store, s3->bucket.id, s3->key, id, &upload, err);
    if (code == LH_NOT_FOUND)
        return LH_OK; /* completed before, perhaps */
    LH_TRY(code);
    if (upload.checksum != LH_CHECKSUM_NONE &&
        lh_str_is(type, lh_s3_checksum_type(upload.checksum_composite)))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                      "The upload was created with another checksum type than %.*s", LH_FMT(type));
}

static lh_code reply_completed(struct lh_s3 *s3, const struct lh_store_info *info,
                               struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    LH_AUTO_BUF struct lh_buf location = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    lh_buf_printf(&location, "http://%.*s/", LH_FMT(lh_http_header(s3->x, "Host")));
    lh_http_encode(&location, s3->bucket_name, false);
    lh_buf_append_char(&location, '/');
    lh_http_encode(&location, s3->key, true);
    lh_xml_begin(&xml, "CompleteMultipartUploadResult");
    lh_xml_text(&xml, "Location", lh_buf_str(&location));
    lh_xml_text(&xml, "Bucket", s3->bucket_name);
    lh_xml_text(&xml, "Key", s3->key);
    lh_xml_quoted(&xml, "ETag", info->etag);
    if (info->checksum.kind != LH_CHECKSUM_NONE) {
        lh_s3_xml_checksum(&xml, &info->checksum, lh_s3_composite_parts(info));
        lh_xml_cstr(&xml, "ChecksumType", lh_s3_checksum_type(info->checksum_composite));
    }
    lh_xml_close(&xml, "CompleteMultipartUploadResult");
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_take_completion(struct lh_s3 *s3, struct lh_completion *ret,
                              struct lh_checksum *checksum, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    struct lh_completion completion = {
        .bucket = s3->bucket.id,
        .key = s3->key,
        .id = lh_s3_upload_id(s3),
        .condition = lh_s3_condition(s3),
    };
    s3->checksum_of_object = true;
    LH_TRY(lh_s3_body_xml(s3, "CompleteMultipartUpload", &root, err));
    LH_TRY(take_parts(s3, root, &completion, err));
    LH_TRY(lh_s3_take_object_checksum(s3, completion.count, checksum, err));
    LH_TRY(take_size(s3, &completion.size, err));
    if (checksum->kind != LH_CHECKSUM_NONE)
        completion.checksum = checksum;
    *ret = completion;
    return LH_OK;
}

lh_code lh_s3_complete_multipart(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_store_info info;
    struct lh_checksum checksum;
    struct lh_completion completion;
    LH_TRY(lh_s3_take_completion(s3, &completion, &checksum, err));
    LH_TRY(check_type(s3, completion.id, err));
    lh_code code = lh_multipart_complete(s3->storaged->store, &completion, &info, err);
    if (code == LH_PRECONDITION)
        return lh_s3_condition_failed(s3, code, err);
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    lh_s3_set_written_version(s3, &info);
    return reply_completed(s3, &info, err);
}

/* ---- abort ---- */

lh_code lh_s3_abort_multipart(struct lh_s3 *s3, struct lh_error *err)
{
    lh_code code =
        lh_multipart_abort(s3->storaged->store, s3->bucket.id, s3->key, lh_s3_upload_id(s3), err);
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    return lh_http_reply_empty(s3->x, 204, err);
}
