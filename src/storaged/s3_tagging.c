/*
 * The tags of an object: GetObjectTagging, PutObjectTagging, DeleteObjectTagging.
 */
#include "base/mem.h"
#include "storaged/s3_object.h"

enum { ANSWER_BYTES_MAX = 128 << 10 };

lh_code lh_s3_get_tags(struct lh_s3 *s3, struct lh_error *err)
{
    struct lh_object *object;
    LH_TRY(lh_s3_open(s3, &object, err));
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    struct lh_attributes tags = lh_object_tags(object);
    lh_xml_begin(&xml, "Tagging");
    lh_xml_open(&xml, "TagSet");
    for (size_t i = 0; i < tags.count; i++) {
        lh_xml_open(&xml, "Tag");
        lh_xml_text(&xml, "Key", tags.list[i].name);
        lh_xml_text(&xml, "Value", tags.list[i].value);
        lh_xml_close(&xml, "Tag");
    }
    lh_xml_close(&xml, "TagSet");
    lh_xml_close(&xml, "Tagging");
    lh_object_close(object);
    return lh_s3_reply_xml(s3, &body, err);
}

/* One more than allowed is taken, so that the check finds it. */
static lh_code take_tag_set(struct lh_s3 *s3, const struct lh_xml_node *set,
                            struct lh_attributes *ret_tags, struct lh_error *err)
{
    struct lh_attribute *list =
        lh_arena_calloc(lh_http_arena(s3->x), (LH_TAGS_MAX + 1) * sizeof(*list));
    struct lh_attributes tags = {list, 0};
    if (!list)
        return lh_fail(err, LH_BUSY, "no memory for tags");
    if (!set)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "there is no TagSet in Tagging");
    const struct lh_xml_node *node = lh_xml_child(set, "Tag");
    for (; node && tags.count <= LH_TAGS_MAX; node = lh_xml_next(node)) {
        struct lh_attribute *tag = &list[tags.count++];
        tag->name = lh_xml_child_text(node, "Key");
        tag->value = lh_xml_child_text(node, "Value");
        if (!tag->name.ptr || !tag->value.ptr)
            return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "a Tag needs Key and Value");
    }
    LH_TRY(lh_s3_check_tags(s3, &tags, err));
    *ret_tags = tags;
    return LH_OK;
}

static lh_code set_tags(struct lh_s3 *s3, struct lh_attributes tags, struct lh_error *err)
{
    struct lh_version version;
    LH_TRY(lh_s3_take_version(s3, &version, err));
    lh_code code =
        lh_store_set_version_tags(s3->storaged->store, s3->bucket.id, s3->key, version, tags, err);
    if (code == LH_NOT_FOUND && version.kind != LH_VERSION_CURRENT)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_VERSION, "The specified version does not exist.");
    LH_TRY(code);
    if (version.kind != LH_VERSION_CURRENT)
        lh_s3_set_version_header(s3, "x-amz-version-id", version);
    return LH_OK;
}

lh_code lh_s3_put_tags(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    struct lh_attributes tags;
    LH_TRY(lh_s3_body_xml(s3, "Tagging", &root, err));
    LH_TRY(take_tag_set(s3, lh_xml_child(root, "TagSet"), &tags, err));
    LH_TRY(set_tags(s3, tags, err));
    return lh_http_reply_empty(s3->x, 200, err);
}

lh_code lh_s3_delete_tags(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_attributes none = {NULL, 0};
    LH_TRY(set_tags(s3, none, err));
    return lh_http_reply_empty(s3->x, 204, err);
}
