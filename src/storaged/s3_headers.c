/*
 * The headers that come with a write: what is kept with the object, its tags, its conditions, and
 * what we do not serve, which is refused rather than ignored.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storaged/s3_object.h"

enum {
    METADATA_BYTES_MAX = 2 << 10, /* Amazon S3 User Guide, "Working with object metadata" */
    TAG_NAME_CHARS_MAX = 128,     /* Amazon S3 User Guide, "Categorizing objects using tags" */
    TAG_VALUE_CHARS_MAX = 256,
};

#define META_PREFIX "x-amz-meta-"

/* ---- what is not served ---- */

/* An object is as its bucket. Clients say "private" by habit, whatever the bucket is. */
static lh_code check_acl(struct lh_s3 *s3, struct lh_error *err)
{
    unsigned rights = 0;
    LH_TRY(lh_s3_canned_acl(s3, &rights, err));
    if ((rights & ~s3->bucket.public_rights) != 0)
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "an object is as public as its bucket");
    return LH_OK;
}

static lh_code check_storage_class(struct lh_s3 *s3, struct lh_error *err)
{
    lh_str name = lh_http_header(s3->x, "x-amz-storage-class");
    if (!name.ptr || lh_str_is(name, "STANDARD") || lh_str_is(name, "REDUCED_REDUNDANCY"))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_STORAGE_CLASS, "x-amz-storage-class: %.*s",
                      LH_FMT(name));
}

lh_code lh_s3_refuse_headers(struct lh_s3 *s3, struct lh_error *err)
{
    static const lh_str refused[] = {
        LH_STR("x-amz-server-side-encryption"), LH_STR("x-amz-copy-source-server-side-encryption"),
        LH_STR("x-amz-object-lock-"),           LH_STR("x-amz-website-redirect-location"),
        LH_STR("x-amz-write-offset-bytes"),     LH_STR("content-range"),
    };
    for (size_t i = 0; i < lh_http_header_count(s3->x); i++) {
        struct lh_http_header header = lh_http_header_at(s3->x, i);
        for (size_t k = 0; k < LH_COUNT(refused); k++)
            if (lh_str_starts_nocase(header.name, refused[k]))
                return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED,
                                  "A header you provided implies functionality that is not "
                                  "implemented: %.*s",
                                  LH_FMT(header.name));
    }
    LH_TRY(check_acl(s3, err));
    return check_storage_class(s3, err);
}

/* ---- what is kept ---- */

static char *lower_case(struct lh_arena *arena, lh_str name)
{
    char *copy = lh_arena_strndup(arena, name.ptr, name.len);
    for (size_t i = 0; copy && i < name.len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    return copy;
}

/* Content-Encoding without aws-chunked, which is the body's way here and not the object's. */
static lh_str stored_coding(struct lh_arena *arena, lh_str coding)
{
    char *out = lh_arena_alloc(arena, 2 * coding.len + 1); /* blanks behind commas may be new */
    size_t len = 0;
    lh_str item;
    while (out && lh_str_next(&coding, ',', &item)) {
        item = lh_str_trim(item);
        if (item.len == 0 || lh_str_eq_nocase(item, LH_STR("aws-chunked")))
            continue;
        if (len > 0) {
            out[len++] = ',';
            out[len++] = ' ';
        }
        memcpy(out + len, item.ptr, item.len);
        len += item.len;
    }
    return lh_str_of(out, len);
}

static bool is_kept(lh_str name)
{
    static const lh_str kept[] = {LH_STR("cache-control"), LH_STR("content-disposition"),
                                  LH_STR("content-language"), LH_STR("expires"),
                                  LH_STR("content-encoding")};
    for (size_t i = 0; i < LH_COUNT(kept); i++)
        if (lh_str_eq_nocase(name, kept[i]))
            return true;
    return false;
}

struct keeper {
    struct lh_arena *arena;
    struct lh_attribute *list;
    size_t count;
    size_t bytes;      /* of all */
    size_t meta_bytes; /* of user metadata, as S3 counts them: names without their prefix */
};

static void keep(struct keeper *keeper, const struct lh_http_header *header)
{
    bool meta = lh_str_starts_nocase(header->name, LH_STR(META_PREFIX));
    lh_str value = header->value;
    if (!meta && !is_kept(header->name))
        return;
    if (lh_str_eq_nocase(header->name, LH_STR("content-encoding")))
        value = stored_coding(keeper->arena, value);
    if (!meta && value.len == 0)
        return;
    const char *name = lower_case(keeper->arena, header->name);
    keeper->list[keeper->count++] =
        (struct lh_attribute){lh_str_of(name, name ? header->name.len : 0), value};
    keeper->bytes += header->name.len + value.len;
    if (meta)
        keeper->meta_bytes += header->name.len - (sizeof(META_PREFIX) - 1) + value.len;
}

lh_code lh_s3_take_headers(struct lh_s3 *s3, struct lh_upload_options *options,
                           struct lh_error *err)
{
    size_t count = lh_http_header_count(s3->x);
    struct keeper keeper = {.arena = lh_http_arena(s3->x)};
    keeper.list = lh_arena_alloc(keeper.arena, (count + 1) * sizeof(*keeper.list));
    if (!keeper.list)
        return lh_fail(err, LH_TOO_LARGE, "too many headers");
    for (size_t i = 0; i < count; i++) {
        struct lh_http_header header = lh_http_header_at(s3->x, i);
        keep(&keeper, &header);
    }
    if (keeper.meta_bytes > METADATA_BYTES_MAX || keeper.bytes > LH_ATTRIBUTES_BYTES_MAX)
        return lh_s3_fail(s3, err, LH_S3_METADATA_TOO_LARGE,
                          "Your metadata headers exceed the maximum allowed metadata size");
    options->content_type = lh_http_header(s3->x, "Content-Type");
    options->headers = (struct lh_attributes){keeper.list, keeper.count};
    return LH_OK;
}

/* ---- tags ---- */

static size_t utf8_count(lh_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

static bool is_known_tag(const struct lh_attributes *tags, size_t count, lh_str name)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_eq(tags->list[i].name, name))
            return true;
    return false;
}

lh_code lh_s3_check_tags(struct lh_s3 *s3, const struct lh_attributes *tags, struct lh_error *err)
{
    if (tags->count > LH_TAGS_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_TAG, "Object tags cannot be greater than %d",
                          LH_TAGS_MAX);
    for (size_t i = 0; i < tags->count; i++) {
        const struct lh_attribute *tag = &tags->list[i];
        if (tag->name.len == 0 || !lh_utf8_valid(tag->name) ||
            utf8_count(tag->name) > TAG_NAME_CHARS_MAX)
            return lh_s3_fail(s3, err, LH_S3_INVALID_TAG,
                              "The TagKey you have provided is invalid");
        if (!lh_utf8_valid(tag->value) || utf8_count(tag->value) > TAG_VALUE_CHARS_MAX)
            return lh_s3_fail(s3, err, LH_S3_INVALID_TAG,
                              "The TagValue you have provided is invalid");
        if (is_known_tag(tags, i, tag->name))
            return lh_s3_fail(s3, err, LH_S3_INVALID_TAG,
                              "Cannot provide multiple Tags with the same key");
    }
    return LH_OK;
}

/* One name or value of a form; LH_STR_NONE for a bad escape. */
static lh_str form_decode(struct lh_arena *arena, lh_str raw)
{
    size_t len = 0;
    char *out = lh_arena_alloc(arena, raw.len + 1);
    if (!out || !lh_percent_decode(raw, true, out, &len))
        return LH_STR_NONE;
    return lh_str_of(out, len);
}

static lh_code bad_tagging(struct lh_s3 *s3, struct lh_error *err)
{
    return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL "
                      "query parameters without tag name duplicates.");
}

/* The header is a set: it is kept in the order of its names. */
static int compare_tags(const void *a, const void *b)
{
    return lh_str_compare(((const struct lh_attribute *)a)->name,
                          ((const struct lh_attribute *)b)->name);
}

lh_code lh_s3_take_tags(struct lh_s3 *s3, struct lh_attributes *ret_tags, struct lh_error *err)
{
    struct lh_arena *arena = lh_http_arena(s3->x);
    struct lh_attribute *list = lh_arena_calloc(arena, (LH_TAGS_MAX + 1) * sizeof(*list));
    struct lh_attributes tags = {list, 0};
    lh_str rest = lh_http_header(s3->x, "x-amz-tagging");
    lh_str pair;
    if (!list)
        return lh_fail(err, LH_BUSY, "no memory for tags");
    while (rest.len > 0 && lh_str_next(&rest, '&', &pair)) {
        lh_str name = LH_STR_NONE;
        if (pair.len == 0)
            continue;
        if (tags.count > LH_TAGS_MAX || !lh_str_next(&pair, '=', &name))
            break;
        struct lh_attribute *tag = &list[tags.count++];
        tag->name = form_decode(arena, name);
        tag->value = pair.len > 0 ? form_decode(arena, pair) : LH_STR("");
        if (!tag->name.ptr || !tag->value.ptr)
            return bad_tagging(s3, err);
    }
    LH_TRY(lh_s3_check_tags(s3, &tags, err));
    if (tags.count > 1)
        qsort(list, tags.count, sizeof(*list), compare_tags);
    *ret_tags = tags;
    return LH_OK;
}

/* ---- conditions and parameters ---- */

struct lh_store_condition lh_s3_condition(const struct lh_s3 *s3)
{
    return (struct lh_store_condition){.if_match = lh_http_header(s3->x, "If-Match"),
                                       .if_none_match = lh_http_header(s3->x, "If-None-Match")};
}

lh_code lh_s3_condition_failed(struct lh_s3 *s3, lh_code code, struct lh_error *err)
{
    struct lh_store_info info;
    struct lh_error absent = LH_ERROR_INIT;
    if (code != LH_PRECONDITION || !lh_http_header(s3->x, "If-Match").ptr)
        return code;
    if (lh_store_head(s3->storaged->store, s3->bucket.id, s3->key, &info, &absent) == LH_NOT_FOUND)
        return lh_s3_fail(s3, err, LH_S3_NO_SUCH_KEY, "The specified key does not exist.");
    return code;
}

lh_code lh_s3_no_upload(struct lh_s3 *s3, lh_code code, struct lh_error *err)
{
    if (code != LH_NOT_FOUND)
        return code;
    return lh_s3_fail(s3, err, LH_S3_NO_SUCH_UPLOAD,
                      "The specified multipart upload does not exist. The upload ID might be "
                      "invalid, or the multipart upload might have been aborted or completed.");
}

lh_code lh_s3_take_part_number(struct lh_s3 *s3, uint32_t *ret, struct lh_error *err)
{
    uint64_t number = 0;
    lh_str text = LH_STR_NONE;
    lh_http_query(s3->x, "partNumber", &text);
    if (!lh_str_to_u64(text, &number) || number < 1 || number > LH_PARTS_MAX)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "Part number must be an integer between 1 and %d, inclusive",
                          LH_PARTS_MAX);
    *ret = (uint32_t)number;
    return LH_OK;
}

const char *lh_s3_upload_id(const struct lh_s3 *s3)
{
    lh_str id = LH_STR_NONE;
    /* Decoded parameters are terminated, and an id never holds a NUL: one that does is cut there
     * and is none of ours. */
    return lh_http_query(s3->x, "uploadId", &id) ? id.ptr : "";
}

void lh_s3_set_etag(struct lh_s3 *s3, const char *etag)
{
    char quoted[LH_STORE_ETAG_SIZE + 2];
    snprintf(quoted, sizeof(quoted), "\"%s\"", etag);
    lh_http_set_header(s3->x, "ETag", lh_str_from(quoted));
}
