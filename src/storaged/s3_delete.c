/*
 * DeleteObject and DeleteObjects.
 */
#include "base/mem.h"
#include "storaged/s3_object.h"

enum { KEYS_MAX = 1000, ANSWER_BYTES_MAX = 8 << 20 };

/* ---- DeleteObject ---- */

/* What was made or deleted for good: a delete marker, or one version. */
static void set_deleted(struct lh_s3 *s3, const struct lh_deletion *deletion)
{
    struct lh_version version = deletion->marker ? deletion->made : deletion->version;
    if (s3->bucket.versioning == LH_VERSIONING_NONE)
        return;
    if (deletion->marker)
        lh_http_set_header(s3->x, "x-amz-delete-marker", LH_STR("true"));
    if (version.kind != LH_VERSION_CURRENT)
        lh_s3_set_version_header(s3, "x-amz-version-id", version);
}

lh_code lh_s3_delete_object(struct lh_s3 *s3, struct lh_error *err)
{
    static const char *const unserved[] = {"x-amz-mfa", "x-amz-if-match-last-modified-time",
                                           "x-amz-if-match-size"};
    const struct lh_store_condition condition = {.if_match = lh_http_header(s3->x, "If-Match"),
                                                 .if_none_match = LH_STR_NONE};
    for (size_t i = 0; i < LH_COUNT(unserved); i++)
        if (lh_http_header(s3->x, unserved[i]).ptr != NULL)
            return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "the header %s is not served",
                              unserved[i]);
    struct lh_deletion deletion = {.key = s3->key};
    LH_TRY(lh_s3_take_version(s3, &deletion.version, err));
    LH_TRY(lh_store_delete_version(s3->storaged->store, s3->bucket.id, &deletion, &condition, err));
    set_deleted(s3, &deletion);
    return lh_http_reply_empty(s3->x, 204, err);
}

/* ---- DeleteObjects ---- */

struct item {
    struct lh_deletion deletion;
    lh_str version;       /* as it was sent; LH_STR_NONE when it was not */
    lh_str etag;          /* of a condition; LH_STR_NONE when there is none */
    enum lh_s3_word word; /* of a failure; NONE = deleted, or absent anyway */
};

static const char *const known[] = {"Key", "VersionId", "ETag"};

static bool has_unknown(const struct lh_xml_node *object)
{
    for (const struct lh_xml_node *node = object->first_child; node; node = node->next) {
        bool is_known = false;
        for (size_t i = 0; i < LH_COUNT(known); i++)
            is_known = is_known || lh_str_is(node->name, known[i]);
        if (!is_known)
            return true;
    }
    return false;
}

/* What keeps one key from being deleted, before the store is asked. */
static enum lh_s3_word judge(const struct lh_s3 *s3, const struct lh_xml_node *object,
                             struct item *item)
{
    struct lh_error ignored = LH_ERROR_INIT;
    lh_code code = lh_store_check_key(item->deletion.key, &ignored);
    if (code != LH_OK)
        return lh_s3_word_of(s3, code);
    if (item->version.len > 0 && !lh_version_parse(item->version, &item->deletion.version))
        return LH_S3_NO_SUCH_VERSION;
    if (has_unknown(object))
        return LH_S3_NOT_IMPLEMENTED; /* conditions on size or time: never passed over */
    if (!lh_s3_may(s3, LH_ACCESS_WRITE, s3->bucket_name, item->deletion.key))
        return LH_S3_ACCESS_DENIED;
    return LH_S3_WORD_NONE;
}

static lh_code take_items(struct lh_s3 *s3, const struct lh_xml_node *root, struct item **ret_items,
                          size_t *ret_count, struct lh_error *err)
{
    size_t count = 0;
    struct item *items = lh_arena_calloc(lh_http_arena(s3->x), KEYS_MAX * sizeof(*items));
    if (items == NULL)
        return lh_fail(err, LH_BUSY, "no memory for the keys");
    for (const struct lh_xml_node *node = lh_xml_child(root, "Object"); node;
         node = lh_xml_next(node)) {
        if (count == KEYS_MAX || lh_xml_child(node, "Key") == NULL)
            return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML,
                              "an object has no key, or there are more than %d", KEYS_MAX);
        struct item *item = &items[count++];
        item->deletion.key = lh_xml_child_text(node, "Key");
        item->version = lh_xml_child_text(node, "VersionId");
        item->etag = lh_xml_child_text(node, "ETag");
        item->word = judge(s3, node, item);
    }
    if (count == 0)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "no object is named");
    *ret_items = items;
    *ret_count = count;
    return LH_OK;
}

static enum lh_s3_word word_of(const struct lh_s3 *s3, lh_code code)
{
    return code == LH_OK ? LH_S3_WORD_NONE : lh_s3_word_of(s3, code);
}

/* All keys without a condition go in one group, behind one fsync; the others one by one. */
static lh_code delete_items(struct lh_s3 *s3, struct item *items, size_t count,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_http_arena(s3->x);
    struct lh_store *store = s3->storaged->store;
    struct lh_deletion *list = lh_arena_calloc(arena, count * sizeof(*list));
    size_t *from = lh_arena_alloc(arena, count * sizeof(*from));
    size_t plain = 0;
    if (list == NULL || from == NULL)
        return lh_fail(err, LH_BUSY, "no memory for the keys");
    for (size_t i = 0; i < count; i++) {
        struct item *item = &items[i];
        struct lh_error ignored = LH_ERROR_INIT;
        const struct lh_store_condition condition = {.if_match = item->etag};
        if (item->word != LH_S3_WORD_NONE)
            continue;
        if (item->etag.ptr != NULL) {
            item->word = word_of(s3, lh_store_delete_version(store, s3->bucket.id, &item->deletion,
                                                             &condition, &ignored));
            continue;
        }
        from[plain] = i;
        list[plain++] = item->deletion;
    }
    if (plain > 0)
        LH_TRY(lh_store_delete_many(store, s3->bucket.id, list, plain, err));
    for (size_t i = 0; i < plain; i++) {
        items[from[i]].deletion = list[i];
        items[from[i]].word = word_of(s3, list[i].code);
    }
    return LH_OK;
}

static void add_marker(struct lh_xml *xml, const struct lh_deletion *deletion)
{
    char id[LH_VERSION_ID_SIZE];
    lh_version_id(deletion->made, id);
    lh_xml_bool(xml, "DeleteMarker", true);
    lh_xml_cstr(xml, "DeleteMarkerVersionId", id);
}

static void add_result(struct lh_xml *xml, const struct item *item, bool quiet)
{
    bool deleted = item->word == LH_S3_WORD_NONE;
    const char *element = deleted ? "Deleted" : "Error";
    if (deleted && quiet)
        return;
    lh_xml_open(xml, element);
    lh_xml_text(xml, "Key", item->deletion.key);
    if (item->version.len > 0)
        lh_xml_text(xml, "VersionId", item->version);
    if (!deleted)
        lh_s3_xml_word(xml, item->word);
    else if (item->deletion.marker)
        add_marker(xml, &item->deletion);
    lh_xml_close(xml, element);
}

lh_code lh_s3_delete_objects(struct lh_s3 *s3, struct lh_error *err)
{
    const struct lh_xml_node *root = NULL;
    struct item *items = NULL;
    size_t count = 0;
    if (s3->who.anonymous)
        LH_TRY(lh_s3_authorize(s3, LH_ACCESS_WRITE, s3->bucket_name, LH_STR(""), err));
    LH_TRY(lh_s3_body_xml(s3, "Delete", &root, err));
    LH_TRY(take_items(s3, root, &items, &count, err));
    LH_TRY(delete_items(s3, items, count, err));
    bool quiet = lh_str_eq_nocase(lh_xml_child_text(root, "Quiet"), LH_STR("true"));
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    lh_xml_begin(&xml, "DeleteResult");
    for (size_t i = 0; i < count; i++)
        add_result(&xml, &items[i], quiet);
    lh_xml_close(&xml, "DeleteResult");
    return lh_s3_reply_xml(s3, &body, err);
}
