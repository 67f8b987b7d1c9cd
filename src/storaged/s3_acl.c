/*
 * Access lists, as far as there are any: a bucket is private, or anybody may read it, or write it,
 * too; an object is as its bucket. Who else may do what is said by the table of keys.
 */
#include "base/mem.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 8 << 10 };

static bool is_canned(lh_str name)
{
    static const char *const all[] = {
        "private",       "public-read",       "public-read-write",        "authenticated-read",
        "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"};
    for (size_t i = 0; i < LH_COUNT(all); i++)
        if (lh_str_is(name, all[i]))
            return true;
    return false;
}

lh_code lh_s3_canned_acl(struct lh_s3 *s3, unsigned *ret_rights, struct lh_error *err)
{
    lh_str name = lh_http_header(s3->x, "x-amz-acl");
    for (size_t i = 0; i < lh_http_header_count(s3->x); i++)
        if (lh_str_starts_nocase(lh_http_header_at(s3->x, i).name, LH_STR("x-amz-grant-")))
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                              "grants are not served: roles and patterns of keys are");
    if (name.ptr != NULL && !is_canned(name))
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "x-amz-acl: %.*s", LH_FMT(name));
    unsigned rights = 0;
    if (lh_str_is(name, "public-read"))
        rights = LH_PUBLIC_READ;
    else if (lh_str_is(name, "public-read-write"))
        rights = LH_PUBLIC_READ | LH_PUBLIC_WRITE;
    else if (lh_str_is(name, "authenticated-read") || lh_str_is(name, "aws-exec-read"))
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                          "x-amz-acl %.*s is not served: roles and patterns of keys are",
                          LH_FMT(name));
    *ret_rights = rights;
    return LH_OK;
}

static void add_grant(struct lh_s3 *s3, struct lh_xml *xml, bool everybody, const char *permission)
{
    static const char open[] = "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                               "xsi:type=";
    lh_xml_open(xml, "Grant");
    lh_buf_append_cstr(xml->out, open);
    if (everybody) {
        lh_buf_append_cstr(xml->out, "\"Group\">");
        lh_xml_cstr(xml, "URI", "http://acs.amazonaws.com/groups/global/AllUsers");
    } else {
        const char *owner = lh_s3_owner_of(&s3->bucket);
        lh_buf_append_cstr(xml->out, "\"CanonicalUser\">");
        lh_s3_xml_user(s3, xml, owner);
    }
    lh_xml_close(xml, "Grantee");
    lh_xml_cstr(xml, "Permission", permission);
    lh_xml_close(xml, "Grant");
}

static lh_code need_object(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_object *object;
    if (s3->key.len == 0)
        return LH_OK;
    LH_TRY(lh_s3_open(s3, &object, err));
    lh_object_close(object);
    return LH_OK;
}

lh_code lh_s3_get_acl(struct lh_s3 *s3, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    LH_TRY(need_object(s3, err));
    lh_xml_begin(&xml, "AccessControlPolicy");
    lh_xml_open(&xml, "Owner");
    lh_s3_xml_user(s3, &xml, lh_s3_owner_of(&s3->bucket));
    lh_xml_close(&xml, "Owner");
    lh_xml_open(&xml, "AccessControlList");
    add_grant(s3, &xml, false, "FULL_CONTROL");
    if ((s3->bucket.public_rights & LH_PUBLIC_READ) != 0)
        add_grant(s3, &xml, true, "READ");
    if ((s3->bucket.public_rights & LH_PUBLIC_WRITE) != 0)
        add_grant(s3, &xml, true, "WRITE");
    lh_xml_close(&xml, "AccessControlList");
    lh_xml_close(&xml, "AccessControlPolicy");
    return lh_s3_reply_xml(s3, &body, err);
}

/* Only canned lists are taken: a body with one of its own is not. */
static lh_code take_acl(struct lh_s3 *s3, unsigned *ret_rights, struct lh_error *err)
{
    if (lh_http_body_length(s3->x) != 0 || lh_http_header(s3->x, "x-amz-acl").ptr == NULL)
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                          "access lists are not served but for x-amz-acl");
    return lh_s3_canned_acl(s3, ret_rights, err);
}

lh_code lh_s3_put_bucket_acl(struct lh_s3 *s3, struct lh_error *err)
{
    unsigned rights = 0;
    LH_TRY(take_acl(s3, &rights, err));
    LH_TRY(lh_bucket_set_public(s3->storaged->store, s3->bucket.id, rights, err));
    return lh_http_reply_empty(s3->x, 200, err);
}

/* An object is as its bucket: what says so is accepted, what says otherwise is not. */
lh_code lh_s3_put_object_acl(struct lh_s3 *s3, struct lh_error *err)
{
    unsigned rights = 0;
    LH_TRY(take_acl(s3, &rights, err));
    LH_TRY(need_object(s3, err));
    if (rights != s3->bucket.public_rights)
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "an object is as public as its bucket");
    return lh_http_reply_empty(s3->x, 200, err);
}
