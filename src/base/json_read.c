/*
 * Reading JSON documents: jansson behind limits, and typed access to members whose errors name the
 * member, what was wanted and what was found.
 */
#include "base/json.h"

#include "base/check.h"
#include "base/mem.h"

/* jansson recurses once a level and allows 2,048, more than a small stack holds. */
enum { DEPTH_MAX = 128 };

/* The deepest nesting of brackets outside of strings. What is no JSON is found by the parser. */
static unsigned nesting(lh_str text)
{
    unsigned depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

lh_code lh_json_parse(lh_str text, json_t **ret_root, struct lh_error *err)
{
    if (nesting(text) > DEPTH_MAX)
        return lh_fail(err, LH_INVALID, "the JSON is nested deeper than %d levels", DEPTH_MAX);
    json_error_t error;
    json_t *root = json_loadb(text.len > 0 ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root) {
        unsigned line = error.line > 0 ? (unsigned)error.line : 1;
        unsigned column = error.column > 0 ? (unsigned)error.column : 1;
        lh_code code = lh_fail(err, LH_INVALID, "the JSON is not valid at line %u, column %u: %s",
                               line, column, error.text);
        err->line = line;
        err->column = column;
        return code;
    }
    *ret_root = root;
    return LH_OK;
}

void lh_json_cleanup(json_t **root)
{
    json_decref(*root); /* accepts NULL */
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

static lh_code wrong_type(const char *key, const char *wanted, const json_t *found,
                          struct lh_error *err)
{
    return lh_fail(err, LH_INVALID, "\"%s\" must be %s, but it is %s", key, wanted,
                   type_name(found));
}

/* The member, or NULL when it is absent or null. */
static lh_code find_member(const json_t *object, const char *key, json_t **ret_value,
                           struct lh_error *err)
{
    if (!json_is_object(object))
        return lh_fail(err, LH_INVALID, "an object with \"%s\" is needed, but this is %s", key,
                       object ? type_name(object) : "nothing");
    json_t *value = json_object_get(object, key);
    *ret_value = json_is_null(value) ? NULL : value;
    return LH_OK;
}

static lh_code need_member(const json_t *object, const char *key, const char *wanted,
                           json_t **ret_value, struct lh_error *err)
{
    LH_TRY(find_member(object, key, ret_value, err));
    if (!*ret_value)
        return lh_fail(err, LH_INVALID, "\"%s\" is missing: it must be %s", key, wanted);
    return LH_OK;
}

static lh_code get_str(const char *key, const json_t *value, lh_str *ret, struct lh_error *err)
{
    if (!json_is_string(value))
        return wrong_type(key, "a string", value, err);
    *ret = lh_str_of(json_string_value(value), json_string_length(value));
    return LH_OK;
}

static lh_code get_i64(const char *key, const json_t *value, int64_t *ret, struct lh_error *err)
{
    if (!json_is_integer(value))
        return wrong_type(key, "an integer", value, err);
    *ret = json_integer_value(value);
    return LH_OK;
}

lh_code lh_json_need_str(const json_t *object, const char *key, lh_str *ret, struct lh_error *err)
{
    json_t *value;
    LH_TRY(need_member(object, key, "a string", &value, err));
    return get_str(key, value, ret, err);
}

lh_code lh_json_opt_str(const json_t *object, const char *key, lh_str *ret, struct lh_error *err)
{
    json_t *value;
    LH_TRY(find_member(object, key, &value, err));
    return value ? get_str(key, value, ret, err) : LH_OK;
}

lh_code lh_json_need_i64(const json_t *object, const char *key, int64_t *ret, struct lh_error *err)
{
    json_t *value;
    LH_TRY(need_member(object, key, "an integer", &value, err));
    return get_i64(key, value, ret, err);
}

lh_code lh_json_opt_i64(const json_t *object, const char *key, int64_t *ret, struct lh_error *err)
{
    json_t *value;
    LH_TRY(find_member(object, key, &value, err));
    return value ? get_i64(key, value, ret, err) : LH_OK;
}

lh_code lh_json_opt_bool(const json_t *object, const char *key, bool *ret, struct lh_error *err)
{
    json_t *value;
    LH_TRY(find_member(object, key, &value, err));
    if (!value)
        return LH_OK;
    if (!json_is_boolean(value))
        return wrong_type(key, "a boolean", value, err);
    *ret = json_is_true(value);
    return LH_OK;
}

lh_code lh_json_need_array(const json_t *object, const char *key, json_t **ret,
                           struct lh_error *err)
{
    json_t *value;
    LH_TRY(need_member(object, key, "an array", &value, err));
    if (!json_is_array(value))
        return wrong_type(key, "an array", value, err);
    *ret = value;
    return LH_OK;
}

static bool is_one_of(lh_str key, const char *const *keys, size_t key_count)
{
    for (size_t i = 0; i < key_count; i++) {
        if (lh_str_is(key, keys[i]))
            return true;
    }
    return false;
}

lh_code lh_json_only(const json_t *object, const char *const *keys, size_t key_count,
                     struct lh_error *err)
{
    if (!json_is_object(object))
        return lh_fail(err, LH_INVALID, "a JSON object is needed, but this is %s",
                       object ? type_name(object) : "nothing");
    /* jansson's iterator asks for an object that may be changed, but changes nothing itself. */
    json_t *root = (json_t *)(uintptr_t)object;
    for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
        lh_str key = lh_str_from(json_object_iter_key(at));
        if (is_one_of(key, keys, key_count))
            continue;
        const char *nearest = lh_nearest(key, keys, key_count);
        lh_code code = lh_fail(err, LH_INVALID, "\"%.*s\" is not known here", LH_FMT(key));
        return nearest ? lh_hint(err, "did you mean \"%s\"?", nearest) : code;
    }
    return LH_OK;
}
