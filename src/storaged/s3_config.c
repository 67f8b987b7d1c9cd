/*
 * What a client hangs on a bucket: tags, and our own settings (quota, public reading).
 */
#include "base/json.h"
#include "base/mem.h"
#include "storaged/s3.h"

enum { TAGS_MAX = 50, TAG_KEY_CHARS_MAX = 128, TAG_VALUE_CHARS_MAX = 256, SETTINGS_MAX = 4 << 10 };

lh_code lh_s3_reply_document(struct lh_s3 *s3, enum lh_bucket_document kind,
                             enum lh_s3_word missing, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    lh_code code = lh_bucket_document(s3->storaged->store, s3->bucket.id, kind, &text, err);
    if (code == LH_NOT_FOUND)
        return lh_s3_fail(s3, err, missing, "the bucket has no such configuration");
    LH_TRY(code);
    return lh_s3_reply_xml(s3, &text, err);
}

lh_code lh_s3_keep_document(struct lh_s3 *s3, enum lh_bucket_document kind,
                            const struct lh_xml_node *root, enum lh_s3_word too_long,
                            const char *what, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
    lh_s3_xml_copy(&text, root);
    if (lh_buf_overflowed(&text))
        return lh_s3_fail(s3, err, too_long, "the %s are beyond %d bytes", what,
                          LH_BUCKET_DOCUMENT_MAX);
    return lh_bucket_set_document(s3->storaged->store, s3->bucket.id, kind, lh_buf_str(&text), err);
}

/* ---- tags ---- */

static size_t count_chars(lh_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

/* Amazon S3 User Guide, "Using cost allocation S3 bucket tags". */
static bool is_valid_tag(const struct lh_xml_node *tag)
{
    lh_str key = lh_xml_child_text(tag, "Key");
    return lh_str_is(tag->name, "Tag") && lh_xml_child(tag, "Value") != NULL && key.len > 0 &&
           !lh_str_starts(key, "aws:") && count_chars(key) <= TAG_KEY_CHARS_MAX &&
           count_chars(lh_xml_child_text(tag, "Value")) <= TAG_VALUE_CHARS_MAX;
}

static bool stands_before(const struct lh_xml_node *first, const struct lh_xml_node *tag)
{
    lh_str key = lh_xml_child_text(tag, "Key");
    for (; first != tag; first = first->next)
        if (lh_str_eq(lh_xml_child_text(first, "Key"), key))
            return true;
    return false;
}

static lh_code check_tags(struct lh_s3 *s3, const struct lh_xml_node *root, struct lh_error *err)
{
    size_t count = 0;
    const struct lh_xml_node *set = lh_xml_child(root, "TagSet");
    if (set == NULL)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "there is no TagSet");
    for (const struct lh_xml_node *tag = set->first_child; tag; tag = tag->next) {
        if (++count > TAGS_MAX)
            return lh_s3_fail(s3, err, LH_S3_INVALID_TAG, "a bucket has at most %d tags", TAGS_MAX);
        if (!is_valid_tag(tag) || stands_before(set->first_child, tag))
            return lh_s3_fail(s3, err, LH_S3_INVALID_TAG, "tag %zu is not valid, or stands twice",
                              count);
    }
    return LH_OK;
}

lh_code lh_s3_put_bucket_tags(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    LH_TRY(lh_s3_body_xml(s3, "Tagging", &root, err));
    LH_TRY(check_tags(s3, root, err));
    LH_TRY(lh_s3_keep_document(s3, LH_BUCKET_TAGGING, root, LH_S3_INVALID_TAG, "tags", err));
    return lh_http_reply_empty(s3->x, 204, err);
}

lh_code lh_s3_get_bucket_tags(struct lh_s3 *s3, struct lh_error *err)
{
    return lh_s3_reply_document(s3, LH_BUCKET_TAGGING, LH_S3_NO_SUCH_TAG_SET, err);
}

lh_code lh_s3_delete_bucket_tags(struct lh_s3 *s3, struct lh_error *err)
{
    LH_TRY(lh_bucket_set_document(s3->storaged->store, s3->bucket.id, LH_BUCKET_TAGGING,
                                  LH_STR_NONE, err));
    return lh_http_reply_empty(s3->x, 204, err);
}

/* ---- our own settings ---- */

static lh_code reply_settings(struct lh_s3 *s3, const struct lh_bucket *bucket,
                              struct lh_error *err)
{
    char created[LH_RFC3339_SIZE];
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(SETTINGS_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_format_rfc3339(bucket->created_ms, created);
    lh_json_object(&json);
    lh_json_kcstr(&json, "name", bucket->name);
    lh_json_kcstr(&json, "owner", lh_s3_owner_of(bucket));
    lh_json_kcstr(&json, "created", created);
    lh_json_ku64(&json, "objects", bucket->objects);
    lh_json_ku64(&json, "bytes", bucket->bytes);
    lh_json_ku64(&json, "quota_bytes", bucket->quota_bytes);
    lh_json_kbool(&json, "public_read", (bucket->public_rights & LH_PUBLIC_READ) != 0);
    lh_json_kbool(&json, "public_write", (bucket->public_rights & LH_PUBLIC_WRITE) != 0);
    lh_json_object_end(&json);
    return lh_http_reply_json(s3->x, 200, &body, err);
}

lh_code lh_s3_get_settings(struct lh_s3 *s3, struct lh_error *err)
{
    return reply_settings(s3, &s3->bucket, err);
}

/* Members that are absent stay as they are. */
static lh_code take_settings(const json_t *root, int64_t *quota_bytes, unsigned *rights,
                             struct lh_error *err)
{
    static const char *const keys[] = {"quota_bytes", "public_read", "public_write"};
    bool may_read = (*rights & LH_PUBLIC_READ) != 0;
    bool may_write = (*rights & LH_PUBLIC_WRITE) != 0;
    if (!json_is_object(root))
        return lh_fail(err, LH_INVALID, "the settings are no JSON object");
    LH_TRY(lh_json_only(root, keys, LH_COUNT(keys), err));
    LH_TRY(lh_json_opt_i64(root, "quota_bytes", quota_bytes, err));
    LH_TRY(lh_json_opt_bool(root, "public_read", &may_read, err));
    LH_TRY(lh_json_opt_bool(root, "public_write", &may_write, err));
    if (*quota_bytes < 0)
        return lh_fail(err, LH_INVALID, "quota_bytes must be 0 (none) or more");
    *rights = (may_read ? LH_PUBLIC_READ : 0u) | (may_write ? LH_PUBLIC_WRITE : 0u);
    return LH_OK;
}

lh_code lh_s3_put_settings(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_store *store = s3->storaged->store;
    lh_str body = LH_STR_NONE;
    LH_AUTO_JSON json_t *root = NULL;
    int64_t quota_bytes = (int64_t)s3->bucket.quota_bytes;
    unsigned rights = s3->bucket.public_rights;
    LH_TRY(lh_s3_body_all(s3, SETTINGS_MAX, &body, err));
    LH_TRY(lh_json_parse(body, &root, err));
    LH_TRY(take_settings(root, &quota_bytes, &rights, err));
    if ((uint64_t)quota_bytes != s3->bucket.quota_bytes)
        LH_TRY(lh_bucket_set_quota(store, s3->bucket.id, (uint64_t)quota_bytes, err));
    if (rights != s3->bucket.public_rights)
        LH_TRY(lh_bucket_set_public(store, s3->bucket.id, rights, err));
    LH_TRY(lh_bucket_find(store, s3->bucket_name, &s3->bucket, err));
    return reply_settings(s3, &s3->bucket, err);
}
