/*
 * PutObject.
 */
#include "storaged/s3_object.h"

lh_code lh_s3_put_object(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_store_info info;
    bool created = false;
    struct lh_upload_options options = {
        .bucket = s3->bucket.id, .key = s3->key, .condition = lh_s3_condition(s3)};
    LH_TRY(lh_store_check_key(s3->key, err));
    LH_TRY(lh_s3_refuse_headers(s3, err));
    LH_TRY(lh_s3_take_headers(s3, &options, err));
    LH_TRY(lh_s3_take_tags(s3, &options.tags, err));
    LH_TRY(lh_s3_body_length(s3, &options.length, err));
    lh_code code = lh_s3_store_body(s3, &options, &info, &created, err);
    if (code != LH_OK)
        return lh_s3_condition_failed(s3, code, err);
    lh_s3_set_etag(s3, info.etag);
    lh_s3_set_object_checksum(s3, &info);
    return lh_http_reply_empty(s3->x, 200, err);
}
