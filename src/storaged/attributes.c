#include "storaged/attributes.h"

#include <string.h>

#include "base/mem.h"

enum { LENGTHS_BYTES = 4, TAGS_BYTES_MAX = LH_TAGS_MAX * (LH_TAG_NAME_MAX + LH_TAG_VALUE_MAX) };

static size_t bytes_of(struct lh_attributes attributes)
{
    size_t bytes = 0;
    for (size_t i = 0; i < attributes.count; i++)
        bytes += attributes.list[i].name.len + attributes.list[i].value.len;
    return bytes;
}

static void put_u16(char *at, size_t value)
{
    at[0] = (char)(value & 0xff);
    at[1] = (char)(value >> 8);
}

static size_t get_u16(const char *at)
{
    return (size_t)(unsigned char)at[0] | (size_t)(unsigned char)at[1] << 8;
}

static char *put_bytes(char *at, lh_str bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

/* All lengths fit into 16 bits: the callers have checked. */
static void encode(struct lh_attributes attributes, char **ret_text, size_t *ret_len)
{
    if (attributes.count == 0) {
        *ret_text = NULL;
        *ret_len = 0;
        return;
    }
    size_t len = bytes_of(attributes) + attributes.count * LENGTHS_BYTES;
    char *text = lh_malloc(len);
    char *at = text;
    for (size_t i = 0; i < attributes.count; i++) {
        const struct lh_attribute *attribute = &attributes.list[i];
        put_u16(at, attribute->name.len);
        put_u16(at + 2, attribute->value.len);
        at = put_bytes(put_bytes(at + LENGTHS_BYTES, attribute->name), attribute->value);
    }
    *ret_text = text;
    *ret_len = len;
}

static lh_code check_names(struct lh_attributes attributes, struct lh_error *err)
{
    for (size_t i = 0; i < attributes.count; i++) {
        if (attributes.list[i].name.len == 0)
            return lh_fail(err, LH_INVALID, "a header or tag has an empty name");
    }
    return LH_OK;
}

lh_code lh_attributes_encode_headers(struct lh_attributes headers, char **ret_text, size_t *ret_len,
                                     struct lh_error *err)
{
    size_t bytes = bytes_of(headers);
    if (bytes > LH_ATTRIBUTES_BYTES_MAX)
        return lh_fail(err, LH_TOO_LARGE,
                       "the object's headers have %zu bytes, at most %d are possible", bytes,
                       LH_ATTRIBUTES_BYTES_MAX);
    LH_TRY(check_names(headers, err));
    encode(headers, ret_text, ret_len);
    return LH_OK;
}

lh_code lh_attributes_encode_tags(struct lh_attributes tags, char **ret_text, size_t *ret_len,
                                  struct lh_error *err)
{
    if (tags.count > LH_TAGS_MAX)
        return lh_fail(err, LH_TOO_LARGE, "%zu tags, at most %d are possible", tags.count,
                       LH_TAGS_MAX);
    for (size_t i = 0; i < tags.count; i++) {
        if (tags.list[i].name.len > LH_TAG_NAME_MAX || tags.list[i].value.len > LH_TAG_VALUE_MAX)
            return lh_fail(err, LH_TOO_LARGE, "a tag's name or value is too long");
    }
    LH_TRY(check_names(tags, err));
    encode(tags, ret_text, ret_len);
    return LH_OK;
}

/* Takes the first attribute off the text. */
static bool next(lh_str *text, struct lh_attribute *ret)
{
    if (text->len < LENGTHS_BYTES)
        return false;
    size_t name_len = get_u16(text->ptr);
    size_t value_len = get_u16(text->ptr + 2);
    if (text->len - LENGTHS_BYTES < name_len + value_len)
        return false;
    ret->name = lh_str_of(text->ptr + LENGTHS_BYTES, name_len);
    ret->value = lh_str_of(ret->name.ptr + name_len, value_len);
    *text = lh_str_skip(*text, LENGTHS_BYTES + name_len + value_len);
    return true;
}

lh_code lh_attributes_decode(lh_str text, struct lh_attribute **ret_list, size_t *ret_count,
                             struct lh_error *err)
{
    struct lh_attribute *list = NULL;
    size_t count = 0;
    size_t capacity = 0;
    while (text.len > 0) {
        list = lh_grow(list, &capacity, count + 1, sizeof(*list));
        if (!next(&text, &list[count])) {
            free(list);
            return lh_fail(err, LH_CORRUPT, "the object's attributes are damaged");
        }
        count++;
    }
    *ret_list = list;
    *ret_count = count;
    return LH_OK;
}
