/*
 * PutObject.
 */
#include "storaged/s3_object.h"

static lh_code reply_stored(struct lh_s3 *s3, lh_code code, const struct lh_store_info *info,
                            bool created, struct lh_error *err)
{
    if (code == LH_PRECONDITION && created && lh_http_header(s3->x, "If-Match").ptr)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_KEY, "The specified key does not exist.");
    LH_TRY(code);
    lh_s3_set_etag(s3, info->etag);
    lh_s3_set_written_version(s3, info);
    lh_s3_set_object_checksum(s3, info);
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_put_object(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_upload_options options = {
        .bucket = s3->bucket.id, .key = s3->key, .condition = lh_s3_condition(s3)};
    LH_TRY(lh_store_check_key(s3->key, err));
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(lh_s3_take_headers(s3, &options, err));
    LH_TRY(lh_s3_take_tags(s3, &options.tags, err));
    LH_TRY(lh_s3_body_length(s3, &options.length, err));
    return lh_s3_store_body(s3, &options, reply_stored, err);
}
