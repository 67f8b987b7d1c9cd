/*
 * Versions at the S3 door: which one a request means, what an answer says of the one it is about,
 * and GetBucketVersioning and PutBucketVersioning.
 */
#include <string.h>

#include "base/mem.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 1 << 10 };

/* ---- which version ---- */

lh_code lh_s3_parse_version(struct lh_s3 *s3, lh_str id, struct lh_version *ret,
                            struct lh_error *err)
{
    if (id.len == 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "Version id cannot be the empty string");
    if (!lh_version_parse(id, ret))
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_VERSION, "The specified version does not exist.");
    return LH_OK;
}

lh_code lh_s3_take_version(struct lh_s3 *s3, struct lh_version *ret, struct lh_error *err)
{
    lh_str id;
    *ret = (struct lh_version){.kind = LH_VERSION_CURRENT};
    return lh_http_query(s3->x, "versionId", &id) ? lh_s3_parse_version(s3, id, ret, err) : LH_OK;
}

void lh_s3_set_version_header(struct lh_s3 *s3, const char *header, struct lh_version version)
{
    char id[LH_VERSION_ID_SIZE];
    lh_version_id(version, id);
    lh_http_set_header(s3->x, header, lh_str_from(id));
}

void lh_s3_set_written_version(struct lh_s3 *s3, const struct lh_store_info *info)
{
    struct lh_version version = lh_version_of(info);
    if (version.kind == LH_VERSION_NUMBERED)
        lh_s3_set_version_header(s3, "x-amz-version-id", version);
}

/* ---- opening ---- */

static void set_marker(struct lh_s3 *s3, const struct lh_store_info *marker)
{
    lh_http_set_header(s3->x, "x-amz-delete-marker", LH_STR("true"));
    lh_s3_set_version_header(s3, "x-amz-version-id", lh_version_of(marker));
}

/* What stands in the place of an object that is not there. */
static lh_code fail_absent(struct lh_s3 *s3, const struct lh_bucket *bucket, lh_str key,
                           struct lh_version version, struct lh_error *err)
{
    struct lh_store_info marker;
    struct lh_error ignored = LH_ERROR_INIT;
    if (version.kind != LH_VERSION_CURRENT)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_VERSION, "The specified version does not exist.");
    if (bucket->versioning != LH_VERSIONING_NONE) {
        lh_code code =
            lh_store_head_marker(s3->storaged->store, bucket->id, key, &marker, &ignored);
        if (code == LH_WOULD_WAIT) {
            *err = ignored;
            return code;
        }
        if (code == LH_OK)
            set_marker(s3, &marker);
    }
    return lh_s3_fail(s3, err, LH_S3_NO_SUCH_KEY, "The specified key does not exist.");
}

lh_code lh_s3_open_version(struct lh_s3 *s3, const struct lh_bucket *bucket, lh_str key,
                           struct lh_version version, struct lh_object **ret_object,
                           struct lh_error *err)
{
    struct lh_object *object;
    lh_code code =
        lh_object_open_version(s3->storaged->store, bucket->id, key, version, &object, err);
    if (code == LH_NOT_FOUND)
        return fail_absent(s3, bucket, key, version, err);
    LH_TRY(code);
    const struct lh_store_info *info = lh_object_info(object);
    if (info->delete_marker) {
        set_marker(s3, info);
        lh_object_close(object);
        return lh_s3_fail(s3, err, LH_S3_METHOD_NOT_ALLOWED,
                          "The specified method is not allowed against this resource: the version "
                          "is a delete marker.");
    }
    *ret_object = object;
    return LH_OK;
}

lh_code lh_s3_open(struct lh_s3 *s3, struct lh_object **ret_object, struct lh_error *err)
{
    struct lh_version version;
    LH_TRY(lh_s3_take_version(s3, &version, err));
    LH_TRY(lh_s3_open_version(s3, &s3->bucket, s3->key, version, ret_object, err));
    if (s3->bucket.versioning != LH_VERSIONING_NONE)
        lh_s3_set_version_header(s3, "x-amz-version-id",
                                 lh_version_of(lh_object_info(*ret_object)));
    return LH_OK;
}

/* ---- of a bucket ---- */

lh_code lh_s3_get_versioning(struct lh_s3 *s3, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    enum lh_versioning versioning = s3->bucket.versioning;
    lh_xml_begin(&xml, "VersioningConfiguration");
    if (versioning != LH_VERSIONING_NONE)
        lh_xml_cstr(&xml, "Status", versioning == LH_VERSIONING_ENABLED ? "Enabled" : "Suspended");
    lh_xml_close(&xml, "VersioningConfiguration");
    return lh_s3_reply_xml(s3, &body, err);
}

/* A rule that was kept because there were no versions would not be obeyed from now on. */
static lh_code check_lifecycle(struct lh_s3 *s3, struct lh_error *err)
{
    static const lh_str unserved[] = {LH_STR("<NoncurrentVersionExpiration>"),
                                      LH_STR("<ExpiredObjectDeleteMarker>")};
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    lh_code code =
        lh_bucket_document(s3->storaged->store, s3->bucket.id, LH_BUCKET_LIFECYCLE, &text, err);
    if (code == LH_NOT_FOUND)
        return LH_OK;
    LH_TRY(code);
    lh_str document = lh_buf_str(&text);
    for (size_t i = 0; i < LH_COUNT(unserved); i++)
        if (memmem(document.ptr, document.len, unserved[i].ptr, unserved[i].len))
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                              "the life cycle of the bucket has %.*s, which is not served where "
                              "there are versions",
                              LH_FMT(unserved[i]));
    return LH_OK;
}

lh_code lh_s3_put_versioning(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    LH_TRY(lh_s3_body_xml(s3, "VersioningConfiguration", &root, err));
    lh_str status = lh_xml_child_text(root, "Status");
    lh_str mfa = lh_xml_child_text(root, "MfaDelete");
    enum lh_versioning versioning = LH_VERSIONING_SUSPENDED;
    if (mfa.len > 0 && !lh_str_is(mfa, "Disabled"))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "MFA delete is not served");
    if (lh_str_is(status, "Enabled"))
        versioning = LH_VERSIONING_ENABLED;
    else if (!lh_str_is(status, "Suspended"))
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "Status must be Enabled or Suspended");
    LH_TRY(check_lifecycle(s3, err));
    LH_TRY(lh_bucket_set_versioning(s3->storaged->store, s3->bucket.id, versioning, err));
    return lh_http_reply_empty(s3->x, 200, err);
}
