/*
 * Operations on buckets as such: list, create, head, delete, location.
 */
#include <string.h>

#include "storaged/s3.h"

enum {
    BUCKETS_PAGE_MAX = 10000,
    BUCKETS_BYTES_MAX = 8 << 20,
    SMALL_ANSWER_MAX = 4 << 10,
};

/* ---- owners ---- */

const char *lh_s3_owner_of(const struct lh_bucket *bucket)
{
    return bucket->owner[0] != '\0' ? bucket->owner : LH_S3_OWNER;
}

void lh_s3_xml_user(const struct lh_s3 *s3, struct lh_xml *xml, const char *user_id)
{
    bool is_self = strcmp(user_id, s3->who.user_id) == 0;
    lh_xml_cstr(xml, "ID", user_id);
    lh_xml_cstr(xml, "DisplayName", is_self ? s3->who.display_name : user_id);
}

void lh_s3_xml_owner(const struct lh_s3 *s3, struct lh_xml *xml, const char *element,
                     const char *user_id)
{
    lh_xml_open(xml, element);
    lh_s3_xml_user(s3, xml, user_id);
    lh_xml_close(xml, element);
}

static bool owns(const struct lh_s3 *s3, const struct lh_bucket *bucket)
{
    return strcmp(lh_s3_owner_of(bucket), s3->who.user_id) == 0;
}

/* ---- ListBuckets ---- */

struct bucket_page {
    const struct lh_s3 *s3;
    struct lh_xml xml;
    lh_str prefix;
    uint64_t left;
    bool more;
    char last[LH_BUCKET_NAME_SIZE];
};

/* Those that the key may read, whoever made them: what one may use is what one sees. */
static bool add_bucket(void *ctx, const struct lh_bucket *bucket)
{
    struct bucket_page *page = ctx;
    lh_str name = lh_str_from(bucket->name);
    bool below = name.len >= page->prefix.len &&
                 lh_str_eq(lh_str_of(name.ptr, page->prefix.len), page->prefix);
    if (!below || !lh_s3_may(page->s3, LH_ACCESS_READ, name, LH_STR("")))
        return true;
    if (page->left == 0) {
        page->more = true;
        return false;
    }
    page->left--;
    memcpy(page->last, bucket->name, sizeof(page->last));
    lh_xml_open(&page->xml, "Bucket");
    lh_xml_text(&page->xml, "Name", name);
    lh_xml_time(&page->xml, "CreationDate", bucket->created_ms);
    lh_xml_cstr(&page->xml, "BucketRegion", page->s3->storaged->s3_region);
    lh_xml_close(&page->xml, "Bucket");
    return true;
}

/* The token is the last name of the page before, in hex: opaque, and checked. */
static lh_code take_token(struct lh_s3 *s3, char ret[LH_BUCKET_NAME_SIZE], struct lh_error *err)
{
    lh_str token = LH_STR("");
    ret[0] = '\0';
    if (!lh_http_query(s3->x, "continuation-token", &token) || token.len == 0)
        return LH_OK;
    size_t len = token.len / 2;
    if (len < LH_BUCKET_NAME_SIZE && lh_unhex(token, ret, len)) {
        ret[len] = '\0';
        return LH_OK;
    }
    return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "continuation-token is not one of ours");
}

static lh_code reply_buckets(struct lh_s3 *s3, struct bucket_page *page, lh_str after,
                             struct lh_error *err)
{
    struct lh_xml *xml = &page->xml;
    lh_xml_begin(xml, "ListAllMyBucketsResult");
    lh_s3_xml_owner(s3, xml, "Owner", s3->who.user_id);
    lh_xml_open(xml, "Buckets");
    lh_bucket_list(s3->storaged->store, after, add_bucket, page);
    lh_xml_close(xml, "Buckets");
    if (page->prefix.len > 0)
        lh_xml_text(xml, "Prefix", page->prefix);
    if (page->more) {
        char token[2 * LH_BUCKET_NAME_SIZE];
        lh_hex(page->last, strlen(page->last), token);
        lh_xml_cstr(xml, "ContinuationToken", token);
    }
    lh_xml_close(xml, "ListAllMyBucketsResult");
    return lh_s3_reply_xml(s3, xml->out, err);
}

lh_code lh_s3_list_buckets(struct lh_s3 *s3, struct lh_error *err)
{
    char after[LH_BUCKET_NAME_SIZE];
    lh_str region = LH_STR_NONE;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(BUCKETS_BYTES_MAX);
    struct bucket_page page = {.s3 = s3, .xml = {&body}, .left = BUCKETS_PAGE_MAX};
    lh_http_query(s3->x, "prefix", &page.prefix);
    LH_TRY(lh_http_query_u64(s3->x, "max-buckets", 1, BUCKETS_PAGE_MAX, &page.left, err));
    LH_TRY(take_token(s3, after, err));
    if (lh_http_query(s3->x, "bucket-region", &region) &&
        !lh_str_is(region, s3->storaged->s3_region))
        page.prefix = LH_STR("/"); /* no bucket is there: no name begins so */
    return reply_buckets(s3, &page, lh_str_from(after), err);
}

/* ---- CreateBucket ---- */

/* Amazon S3 API Reference, CreateBucket: no body, or the region in which we are. */
static lh_code check_location(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    if (lh_http_body_length(s3->x) == 0)
        return LH_OK;
    LH_TRY(lh_s3_body_xml(s3, "CreateBucketConfiguration", &root, err));
    for (const struct lh_xml_node *node = root->first_child; node; node = node->next)
        if (!lh_str_is(node->name, "LocationConstraint"))
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "<%.*s> of a bucket is not served",
                              LH_FMT(node->name));
    lh_str region = lh_xml_child_text(root, "LocationConstraint");
    if (region.len == 0 || lh_str_is(region, s3->storaged->s3_region))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_LOCATION_CONSTRAINT, "the region is %s, and not %.*s",
                      s3->storaged->s3_region, LH_FMT(region));
}

/* Headers that would make another kind of bucket. */
static lh_code check_kind(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str lock = lh_http_header(s3->x, "x-amz-bucket-object-lock-enabled");
    lh_str ownership = lh_http_header(s3->x, "x-amz-object-ownership");
    if (lock.ptr != NULL && !lh_str_eq_nocase(lock, LH_STR("false")))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "object lock is not served");
    if (ownership.ptr != NULL && !lh_str_is(ownership, "BucketOwnerEnforced"))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                          "every object belongs to its bucket's owner (BucketOwnerEnforced)");
    return LH_OK;
}

/* Amazon S3 API Reference: in us-east-1 an owner who creates a bucket again gets 200, and nothing
 * changes; elsewhere it is an error. */
static lh_code check_existing(struct lh_s3 *s3, unsigned rights, struct lh_error *err)
{
    if (!owns(s3, &s3->bucket))
        return lh_s3_fail(s3, err, LH_S3_BUCKET_ALREADY_EXISTS,
                          "The requested bucket name is not available");
    bool has_acl = lh_http_header(s3->x, "x-amz-acl").ptr != NULL;
    if (has_acl && rights != s3->bucket.public_rights)
        return lh_s3_fail(s3, err, LH_S3_BUCKET_ALREADY_EXISTS,
                          "the bucket exists with another access list");
    if (strcmp(s3->storaged->s3_region, "us-east-1") != 0)
        return lh_s3_fail(s3, err, LH_S3_BUCKET_ALREADY_OWNED, "You own this bucket already");
    return LH_OK;
}

lh_code lh_s3_create_bucket(struct lh_s3 *s3, struct lh_error *err)
{
    unsigned rights = 0;
    struct lh_store *store = s3->storaged->store;
    LH_TRY(check_location(s3, err));
    LH_TRY(check_kind(s3, err));
    LH_TRY(lh_s3_canned_acl(s3, &rights, err));
    lh_code code = lh_bucket_create(store, s3->bucket_name, s3->who.user_id, &s3->bucket, err);
    if (code == LH_EXISTS) {
        LH_TRY(check_existing(s3, rights, err));
    } else if (code == LH_BUSY) {
        return lh_s3_fail(s3, err, LH_S3_TOO_MANY_BUCKETS, "there are %d buckets already",
                          LH_BUCKETS_MAX);
    } else if (code != LH_OK) {
        return code;
    } else if (rights != 0) {
        LH_TRY(lh_bucket_set_public(store, s3->bucket.id, rights, err));
    }
    char location[LH_BUCKET_NAME_SIZE + 1] = "/";
    memcpy(location + 1, s3->bucket.name, LH_BUCKET_NAME_SIZE);
    lh_http_set_header(s3->x, "Location", lh_str_from(location));
    return lh_http_reply_empty(s3->x, 200, err);
}

/* ---- the others ---- */

lh_code lh_s3_head_bucket(struct lh_s3 *s3, struct lh_error *err)
{
    lh_http_set_header(s3->x, "x-amz-bucket-region", lh_str_from(s3->storaged->s3_region));
    lh_http_set_header(s3->x, "x-amz-access-point-alias", LH_STR("false"));
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_delete_bucket(struct lh_s3 *s3, struct lh_error *err)
{
    LH_TRY(lh_bucket_delete(s3->storaged->store, s3->bucket_name, err));
    return lh_http_reply_empty(s3->x, 204, err);
}

/* AWS leaves it empty for us-east-1; clients understand the name, too. */
lh_code lh_s3_get_location(struct lh_s3 *s3, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(SMALL_ANSWER_MAX);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, "LocationConstraint");
    lh_xml_escape(&body, lh_str_from(s3->storaged->s3_region));
    lh_xml_close(&xml, "LocationConstraint");
    return lh_s3_reply_xml(s3, &body, err);
}
