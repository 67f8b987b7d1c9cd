/*
 * ListParts and ListMultipartUploads.
 */
#include "base/mem.h"
#include "storaged/s3_object.h"

enum {
    PAGE_MAX = 1000,
    ENTRY_BYTES_MAX = 8 << 10, /* a key of 1,024 bytes, each escaped, twice, and the rest */
    PAGE_BYTES_MAX = (PAGE_MAX + 4) * ENTRY_BYTES_MAX,
};

/* ---- parameters ---- */

/* A number of the query: as it is sent, cut to `most`. */
static lh_code take_number(struct lh_s3 *s3, const char *name, uint64_t most, uint64_t *value,
                           struct lh_error *err)
{
    lh_str text;
    uint64_t number = 0;
    if (!lh_http_query(s3->x, name, &text) || text.len == 0)
        return LH_OK;
    if (!lh_str_to_u64(text, &number) || number > INT32_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "Argument %s must be an integer between 0 and %d", name, INT32_MAX);
    *value = number < most ? number : most;
    return LH_OK;
}

static lh_str take_text(struct lh_s3 *s3, const char *name)
{
    lh_str text = LH_STR("");
    lh_http_query(s3->x, name, &text);
    return text;
}

static lh_code take_encoding(struct lh_s3 *s3, bool *ret_url, struct lh_error *err)
{
    lh_str encoding = take_text(s3, "encoding-type");
    *ret_url = lh_str_is(encoding, "url");
    if (encoding.len > 0 && !*ret_url)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "Invalid Encoding Method specified in Request");
    return LH_OK;
}

static void write_checksum_plan(struct lh_xml *xml, const struct lh_multipart_info *upload)
{
    if (upload->checksum == LH_CHECKSUM_NONE)
        return;
    lh_xml_cstr(xml, "ChecksumAlgorithm", lh_checksum_name(upload->checksum));
    lh_xml_cstr(xml, "ChecksumType", lh_s3_checksum_type(upload->checksum_composite));
}

/* ---- ListParts ---- */

struct parts {
    struct lh_buf entries;
    uint32_t last;
};

static void write_part(void *ctx, const struct lh_part *part)
{
    struct parts *parts = ctx;
    struct lh_xml xml = {&parts->entries};
    lh_xml_open(&xml, "Part");
    lh_xml_u64(&xml, "PartNumber", part->number);
    lh_xml_time(&xml, "LastModified", part->modified_ms);
    lh_xml_quoted(&xml, "ETag", part->etag);
    lh_xml_u64(&xml, "Size", part->size);
    lh_s3_xml_checksum(&xml, &part->checksum, 0);
    lh_xml_close(&xml, "Part");
    parts->last = part->number;
}

static void write_upload_owner(const struct lh_s3 *s3, struct lh_xml *xml,
                               const struct lh_multipart_info *upload)
{
    lh_s3_xml_owner(s3, xml, "Initiator", upload->owner);
    lh_s3_xml_owner(s3, xml, "Owner", upload->owner);
    lh_xml_cstr(xml, "StorageClass", "STANDARD");
}

static lh_code reply_parts(struct lh_s3 *s3, const struct lh_multipart_info *upload,
                           const struct parts *parts, uint64_t after, uint64_t limit, bool more,
                           struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(PAGE_BYTES_MAX);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, "ListPartsResult");
    lh_xml_text(&xml, "Bucket", s3->bucket_name);
    lh_xml_text(&xml, "Key", s3->key);
    lh_xml_cstr(&xml, "UploadId", upload->id);
    write_upload_owner(s3, &xml, upload);
    write_checksum_plan(&xml, upload);
    lh_xml_u64(&xml, "PartNumberMarker", after);
    lh_xml_u64(&xml, "NextPartNumberMarker", parts->last);
    lh_xml_u64(&xml, "MaxParts", limit);
    lh_xml_bool(&xml, "IsTruncated", more);
    lh_buf_append_str(&body, lh_buf_str(&parts->entries));
    lh_xml_close(&xml, "ListPartsResult");
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_list_parts(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_store *store = s3->storaged->store;
    struct lh_multipart_info upload;
    uint64_t limit = PAGE_MAX;
    uint64_t after = 0;
    bool more = false;
    const char *id = lh_s3_upload_id(s3);
    LH_TRY(take_number(s3, "max-parts", PAGE_MAX, &limit, err));
    LH_TRY(take_number(s3, "part-number-marker", LH_PARTS_MAX, &after, err));
    lh_code code = lh_multipart_find(store, s3->bucket.id, s3->key, id, &upload, err);
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    struct parts parts = {.entries = LH_BUF_INIT(PAGE_BYTES_MAX)};
    if (limit > 0)
        code = lh_multipart_parts(store, s3->bucket.id, s3->key, id, (uint32_t)after, limit,
                                  write_part, &parts, &more, err);
    if (code == LH_OK)
        code = reply_parts(s3, &upload, &parts, after, limit, more, err);
    lh_buf_deinit(&parts.entries);
    return lh_s3_no_upload(s3, code, err);
}

/* ---- ListMultipartUploads ---- */

struct uploads {
    const struct lh_s3 *s3;
    struct lh_buf entries;
    struct lh_buf prefixes;
    bool url;
    struct lh_buf last_key;
    char last_id[LH_UPLOAD_ID_SIZE];
};

static bool write_upload(void *ctx, lh_str name, const struct lh_multipart_info *info)
{
    struct uploads *uploads = ctx;
    struct lh_xml xml = {info ? &uploads->entries : &uploads->prefixes};
    lh_buf_reset(&uploads->last_key);
    lh_buf_append_str(&uploads->last_key, name);
    uploads->last_id[0] = '\0';
    if (!info) {
        lh_xml_open(&xml, "CommonPrefixes");
        lh_xml_key(&xml, "Prefix", name, uploads->url);
        lh_xml_close(&xml, "CommonPrefixes");
        return true;
    }
    memcpy(uploads->last_id, info->id, sizeof(info->id));
    lh_xml_open(&xml, "Upload");
    lh_xml_key(&xml, "Key", name, uploads->url);
    lh_xml_cstr(&xml, "UploadId", info->id);
    write_upload_owner(uploads->s3, &xml, info);
    lh_xml_time(&xml, "Initiated", info->created_ms);
    write_checksum_plan(&xml, info);
    lh_xml_close(&xml, "Upload");
    return true;
}

static lh_code reply_uploads(struct lh_s3 *s3, const struct uploads *uploads,
                             const struct lh_multipart_list *list, bool more, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(PAGE_BYTES_MAX);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, "ListMultipartUploadsResult");
    lh_xml_text(&xml, "Bucket", s3->bucket_name);
    lh_xml_key(&xml, "Prefix", list->prefix, uploads->url);
    lh_xml_key(&xml, "KeyMarker", list->key_after, uploads->url);
    lh_xml_text(&xml, "UploadIdMarker", list->id_after);
    if (list->delimiter.len > 0)
        lh_xml_key(&xml, "Delimiter", list->delimiter, uploads->url);
    if (uploads->url)
        lh_xml_cstr(&xml, "EncodingType", "url");
    lh_xml_u64(&xml, "MaxUploads", list->limit);
    lh_xml_bool(&xml, "IsTruncated", more);
    if (more) {
        lh_xml_key(&xml, "NextKeyMarker", lh_buf_str(&uploads->last_key), uploads->url);
        lh_xml_cstr(&xml, "NextUploadIdMarker", uploads->last_id);
    }
    lh_buf_append_str(&body, lh_buf_str(&uploads->entries));
    lh_buf_append_str(&body, lh_buf_str(&uploads->prefixes));
    lh_xml_close(&xml, "ListMultipartUploadsResult");
    return lh_s3_reply_xml(s3, &body, err);
}

static lh_code list_uploads(struct lh_s3 *s3, struct uploads *uploads,
                            const struct lh_multipart_list *list, struct lh_error *err)
{
    bool more = false;
    if (list->limit > 0)
        LH_TRY(lh_multipart_list(s3->storaged->store, list, write_upload, uploads, &more, err));
    return reply_uploads(s3, uploads, list, more, err);
}

lh_code lh_s3_list_uploads(struct lh_s3 *s3, struct lh_error *err)
{
    uint64_t limit = PAGE_MAX;
    struct uploads uploads = {.s3 = s3,
                              .entries = LH_BUF_INIT(PAGE_BYTES_MAX),
                              .prefixes = LH_BUF_INIT(PAGE_BYTES_MAX),
                              .last_key = LH_BUF_INIT(LH_STORE_KEY_MAX)};
    LH_TRY(take_number(s3, "max-uploads", PAGE_MAX, &limit, err));
    LH_TRY(take_encoding(s3, &uploads.url, err));
    const struct lh_multipart_list list = {
        .bucket = s3->bucket.id,
        .prefix = take_text(s3, "prefix"),
        .delimiter = take_text(s3, "delimiter"),
        .key_after = take_text(s3, "key-marker"),
        .id_after = take_text(s3, "upload-id-marker"),
        .limit = (size_t)limit,
    };
    lh_code code = list_uploads(s3, &uploads, &list, err);
    lh_buf_deinit(&uploads.entries);
    lh_buf_deinit(&uploads.prefixes);
    lh_buf_deinit(&uploads.last_key);
    return code;
}
