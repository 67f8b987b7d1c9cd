/*
 * CopyObject and UploadPartCopy: what is copied, whether the source may be read, and on which
 * conditions.
 */
#include <string.h>

#include "base/mem.h"
#include "storaged/api_read.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 4 << 10 };

/* ---- which object ---- */

/* "bucket/key", "/bucket/key", both perhaps with "?versionId=..." behind them; percent-encoded but
 * for that question mark. Clients differ in whether they encode the slashes, too. */
lh_code lh_s3_take_source(struct lh_s3 *s3, struct lh_s3_source *source, struct lh_error *err)
{
    lh_str raw = lh_http_header(s3->x, "x-amz-copy-source");
    static const char version_word[] = "?versionId=";
    const char *mark =
        memmem(raw.ptr ? raw.ptr : "", raw.len, version_word, sizeof(version_word) - 1);
    lh_str version = LH_STR_NONE;
    if (mark) {
        size_t at = (size_t)(mark - raw.ptr);
        version = lh_str_skip(raw, at + sizeof(version_word) - 1);
        raw.len = at;
    }
    size_t len = 0;
    char *text = lh_arena_alloc(lh_http_arena(s3->x), raw.len + 1);
    if (!text || !lh_percent_decode(raw, false, text, &len))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "Invalid copy source encoding: %.*s",
                          LH_FMT(raw));
    lh_str name = lh_str_of(text, len);
    if (lh_str_starts(name, "/"))
        name = lh_str_skip(name, 1);
    if (!lh_str_next(&name, '/', &source->bucket_name) || source->bucket_name.len == 0 ||
        name.len == 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "Copy Source must mention the source bucket and key: "
                          "sourcebucket/sourcekey");
    source->key = name;
    source->version = (struct lh_version){.kind = LH_VERSION_CURRENT};
    return version.ptr ? lh_s3_parse_version(s3, version, &source->version, err) : LH_OK;
}

/* x-amz-copy-source-if-*: any that does not hold is 412, also those that mean 304 of a GET. */
static lh_code judge_source(struct lh_s3 *s3, const struct lh_store_info *info,
                            struct lh_error *err)
{
    const struct lh_read_conditions conditions = {
        .if_match = lh_http_header(s3->x, "x-amz-copy-source-if-match"),
        .if_none_match = lh_http_header(s3->x, "x-amz-copy-source-if-none-match"),
        .if_modified_since = lh_http_header(s3->x, "x-amz-copy-source-if-modified-since"),
        .if_unmodified_since = lh_http_header(s3->x, "x-amz-copy-source-if-unmodified-since"),
    };
    if (lh_read_judge(&conditions, info) != LH_VERDICT_READ)
        return lh_s3_fail(s3, err, LH_S3_PRECONDITION_FAILED,
                          "At least one of the pre-conditions you specified did not hold");
    return LH_OK;
}

/* Opens what x-amz-copy-source names; lh_object_close(source->object) is the caller's. */
static lh_code open_source(struct lh_s3 *s3, struct lh_s3_source *source, struct lh_error *err)
{
    struct lh_store *store = s3->storaged->store;
    LH_TRY(lh_s3_take_source(s3, source, err));
    LH_TRY(lh_s3_authorize(s3, LH_ACCESS_READ, source->bucket_name, source->key, err));
    lh_code code = lh_bucket_find(store, source->bucket_name, &source->bucket, err);
    if (code == LH_NOT_FOUND)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_BUCKET, "The specified bucket does not exist");
    LH_TRY(code);
    lh_str owner = lh_http_header(s3->x, "x-amz-source-expected-bucket-owner");
    if (owner.ptr && !lh_str_is(owner, lh_s3_owner_of(&source->bucket)))
        return lh_s3_fail(s3, err, LH_S3_ACCESS_DENIED, "the source's bucket has another owner");
    LH_TRY(lh_s3_open_version(s3, &source->bucket, source->key, source->version, &source->object,
                              err));
    const struct lh_store_info *info = lh_object_info(source->object);
    LH_TRY(judge_source(s3, info, err));
    if (source->bucket.versioning != LH_VERSIONING_NONE)
        lh_s3_set_version_header(s3, "x-amz-copy-source-version-id", lh_version_of(info));
    return LH_OK;
}

static void close_source(struct lh_s3_source *source)
{
    lh_object_close(source->object);
}

/* ---- CopyObject ---- */

/* The words of x-amz-metadata-directive and x-amz-tagging-directive. */
static lh_code take_directive(struct lh_s3 *s3, const char *header, bool *ret_replace,
                              struct lh_error *err)
{
    lh_str word = lh_http_header(s3->x, header);
    *ret_replace = lh_str_is(word, "REPLACE");
    if (!word.ptr || *ret_replace || lh_str_is(word, "COPY"))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "%s must be COPY or REPLACE", header);
}

static lh_code take_copy_options(struct lh_s3 *s3, const struct lh_s3_source *source,
                                 struct lh_upload_options *options, struct lh_error *err)
{
    bool replace = false;
    bool replace_tags = false;
    LH_TRY(take_directive(s3, "x-amz-metadata-directive", &replace, err));
    LH_TRY(take_directive(s3, "x-amz-tagging-directive", &replace_tags, err));
    LH_TRY(lh_s3_take_algorithm(s3, "x-amz-checksum-algorithm", &options->checksum, err));
    bool itself = source->bucket.id == s3->bucket.id && lh_str_eq(source->key, s3->key) &&
                  source->version.kind == LH_VERSION_CURRENT;
    if (itself && !replace && options->checksum == LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "This copy request is illegal because it is trying to copy an object to "
                          "itself without changing the object's metadata, storage class, website "
                          "redirect location or encryption attributes.");
    if (replace) {
        LH_TRY(lh_s3_take_headers(s3, options, err));
    } else {
        options->content_type = lh_str_from(lh_object_info(source->object)->content_type);
        options->headers = lh_object_headers(source->object);
    }
    if (replace_tags)
        return lh_s3_take_tags(s3, &options->tags, err);
    options->tags = lh_object_tags(source->object);
    return LH_OK;
}

static lh_code reply_copied(struct lh_s3 *s3, const char *root, const struct lh_store_info *info,
                            struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, root);
    lh_xml_time(&xml, "LastModified", info->modified_ms);
    lh_xml_quoted(&xml, "ETag", info->etag);
    lh_s3_xml_checksum(&xml, &info->checksum, lh_s3_composite_parts(info));
    lh_xml_close(&xml, root);
    return lh_s3_reply_xml(s3, &body, err);
}

lh_code lh_s3_copy_object(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_store_info info;
    LH_AUTO(close_source) struct lh_s3_source source = {.object = NULL};
    struct lh_upload_options options = {
        .bucket = s3->bucket.id, .key = s3->key, .condition = lh_s3_condition(s3), .length = -1};
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(open_source(s3, &source, err));
    LH_TRY(take_copy_options(s3, &source, &options, err));
    lh_code code = lh_store_copy(s3->storaged->store, source.object, &options, &info, err);
    if (code != LH_OK)
        return lh_s3_condition_failed(s3, code, err);
    lh_s3_set_written_version(s3, &info);
    return reply_copied(s3, "CopyObjectResult", &info, err);
}

/* ---- UploadPartCopy ---- */

/* x-amz-copy-source-range: "bytes=first-last", both given and both in the object. */
lh_code lh_s3_take_run(struct lh_s3 *s3, uint64_t size, struct lh_s3_run *ret, struct lh_error *err)
{
    lh_str text = lh_http_header(s3->x, "x-amz-copy-source-range");
    lh_str word = LH_STR_NONE;
    uint64_t first = 0;
    uint64_t last = 0;
    *ret = (struct lh_s3_run){0, size};
    if (!text.ptr)
        return LH_OK;
    bool valid = lh_str_starts(text, "bytes=");
    text = valid ? lh_str_skip(text, 6) : text;
    valid = valid && lh_str_next(&text, '-', &word) && lh_str_to_u64(word, &first) &&
            lh_str_to_u64(text, &last) && first <= last;
    if (!valid)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "The x-amz-copy-source-range value must be of the form bytes=first-last "
                          "where first and last are the zero-based offsets of the first and last "
                          "bytes to copy");
    if (last >= size)
        return lh_s3_fail(s3, err, LH_S3_INVALID_RANGE,
                          "Range specified is not valid for source object of size: %llu",
                          (unsigned long long)size);
    *ret = (struct lh_s3_run){first, last - first + 1};
    return LH_OK;
}

static lh_code copy_run(struct lh_s3 *s3, struct lh_object *source, const struct lh_s3_run *run,
                        struct lh_upload *upload, struct lh_error *err)
{
    uint64_t at = run->offset;
    uint64_t end = run->offset + run->len;
    while (at < end) {
        const void *bytes = NULL;
        size_t len = 0;
        if (lh_http_cancelled(s3->x))
            return lh_fail(err, LH_CANCELLED, "the request was cancelled");
        LH_TRY(lh_object_read(source, at, &bytes, &len, err));
        if (len > end - at)
            len = (size_t)(end - at);
        LH_TRY(lh_s3_add_bytes(upload, bytes, len, err));
        at += len;
    }
    return LH_OK;
}

lh_code lh_s3_copy_part(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_s3_run run;
    struct lh_store_info info;
    struct lh_upload_options options;
    struct lh_upload *upload;
    bool created = false;
    LH_AUTO(close_source) struct lh_s3_source source = {.object = NULL};
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(lh_s3_begin_part(s3, &options, err));
    LH_TRY(open_source(s3, &source, err));
    LH_TRY(lh_s3_take_run(s3, lh_object_info(source.object)->size, &run, err));
    options.length = (int64_t)run.len;
    LH_TRY(lh_upload_begin(s3->storaged->store, &options, &upload, err));
    lh_code code = copy_run(s3, source.object, &run, upload, err);
    if (code == LH_OK)
        code = lh_upload_commit(upload, &info, &created, err);
    lh_upload_free(upload);
    if (code != LH_OK)
        return lh_s3_no_upload(s3, code, err);
    return reply_copied(s3, "CopyPartResult", &info, err);
}
