/* The values of a field in an item's metadata, found without building a tree. */
#include "vectord/metadata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vectord/scan.h"

enum { NUMBER_TEXT_MAX = 1024, STRING_BYTES_MAX = 1 << 30 };

/* ---- values ---- */

struct lh_value lh_value_of_bool(bool truth)
{
    return (struct lh_value){.kind = LH_VALUE_BOOL, .number = truth};
}

struct lh_value lh_value_of_i64(int64_t number)
{
    struct lh_value value = {.kind = LH_VALUE_NUMBER, .number = (double)number};
    /* 2^63 is a double that no int64_t holds; what rounds up to it differs from its neighbour. */
    if (value.number >= 0x1p63)
        value.rest = (int32_t)(number - INT64_MAX) - 1;
    else
        value.rest = (int32_t)(number - (int64_t)value.number);
    return value;
}

struct lh_value lh_value_of_f64(double number)
{
    return (struct lh_value){.kind = LH_VALUE_NUMBER, .number = number + 0.0}; /* no -0 */
}

struct lh_value lh_value_of_text(lh_str text)
{
    return (struct lh_value){.kind = LH_VALUE_STRING, .text = text};
}

int lh_value_compare(const struct lh_value *a, const struct lh_value *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == LH_VALUE_STRING)
        return lh_str_compare(a->text, b->text);
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (a->rest > b->rest) - (a->rest < b->rest);
}

/* ---- walking ---- */

struct walk {
    struct lh_scan scan;
    struct lh_arena arena; /* keys and strings with escapes */
    void (*on_value)(void *ctx, const struct lh_value *value);
    void *ctx;
    unsigned depth;
    bool found;
};

/* A number's text as a value. Null, texts longer than any sensible number, and numbers beyond a
 * double have none. */
static bool number_of(lh_str text, struct lh_value *ret)
{
    char copy[NUMBER_TEXT_MAX];
    int64_t whole;
    if (lh_str_to_i64(text, &whole)) {
        *ret = lh_value_of_i64(whole);
        return true;
    }
    if (text.ptr[0] == 'n' || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double number = strtod(copy, NULL);
    if (!isfinite(number))
        return false;
    *ret = lh_value_of_f64(number);
    return true;
}

static lh_code give(struct walk *walk, struct lh_value value)
{
    walk->found = true;
    walk->on_value(walk->ctx, &value);
    return LH_OK;
}

static lh_code walk_value(struct walk *walk, lh_str field, struct lh_error *err);

/* One member: the one that is wanted, one on the way to it, or neither. */
static lh_code walk_member(struct walk *walk, lh_str name, lh_str field, struct lh_error *err)
{
    lh_str skipped;
    if (lh_str_eq(name, field))
        return walk_value(walk, LH_STR_NONE, err);
    if (name.len < field.len && field.ptr[name.len] == '.' &&
        memcmp(name.ptr, field.ptr, name.len) == 0)
        return walk_value(walk, lh_str_skip(field, name.len + 1), err);
    return lh_scan_value(&walk->scan, &skipped, err);
}

static lh_code walk_object(struct walk *walk, lh_str field, struct lh_error *err)
{
    if (field.len == 0) { /* the field is an object: there, but no value */
        lh_str skipped;
        walk->found = true;
        return lh_scan_value(&walk->scan, &skipped, err);
    }
    walk->scan.at++;
    if (lh_scan_take(&walk->scan, '}'))
        return LH_OK;
    do {
        lh_str name;
        LH_TRY(lh_scan_string(&walk->scan, &name, err));
        if (!lh_scan_take(&walk->scan, ':'))
            return lh_scan_fail(&walk->scan, err, "colon");
        LH_TRY(walk_member(walk, name, field, err));
    } while (lh_scan_take(&walk->scan, ','));
    return lh_scan_take(&walk->scan, '}') ? LH_OK : lh_scan_fail(&walk->scan, err, "bracket");
}

static lh_code walk_array(struct walk *walk, lh_str field, struct lh_error *err)
{
    walk->scan.at++;
    walk->found = walk->found || field.len == 0;
    if (lh_scan_take(&walk->scan, ']'))
        return LH_OK;
    do {
        LH_TRY(walk_value(walk, field, err));
    } while (lh_scan_take(&walk->scan, ','));
    return lh_scan_take(&walk->scan, ']') ? LH_OK : lh_scan_fail(&walk->scan, err, "bracket");
}

/* A scalar where the path has ended. */
static lh_code walk_scalar(struct walk *walk, struct lh_error *err)
{
    lh_str text;
    bool truth;
    struct lh_value value;
    switch (lh_scan_peek(&walk->scan)) {
    case '"':
        LH_TRY(lh_scan_string(&walk->scan, &text, err));
        return give(walk, lh_value_of_text(text));
    case 't':
    case 'f':
        LH_TRY(lh_scan_bool(&walk->scan, &truth, err));
        return give(walk, lh_value_of_bool(truth));
    default: /* null, or a number */
        LH_TRY(lh_scan_value(&walk->scan, &text, err));
        return number_of(text, &value) ? give(walk, value) : LH_OK;
    }
}

/* The value that is next; `field` is the rest of the path, empty at its end. */
static lh_code walk_value(struct walk *walk, lh_str field, struct lh_error *err)
{
    lh_str skipped;
    char next = lh_scan_peek(&walk->scan);
    if (next != '{' && next != '[')
        return field.len == 0 ? walk_scalar(walk, err) : lh_scan_value(&walk->scan, &skipped, err);
    if (walk->depth == LH_SCAN_DEPTH_MAX)
        return lh_fail(err, LH_INVALID, "nested too deep");
    walk->depth++;
    lh_code code = next == '{' ? walk_object(walk, field, err) : walk_array(walk, field, err);
    walk->depth--;
    return code;
}

bool lh_metadata_walk(lh_str metadata, lh_str field,
                      void (*on_value)(void *ctx, const struct lh_value *value), void *ctx)
{
    if (metadata.len == 0 || field.len == 0)
        return false;
    struct lh_error err = LH_ERROR_INIT;
    struct walk walk = {.arena = LH_ARENA_INIT(STRING_BYTES_MAX), .on_value = on_value, .ctx = ctx};
    walk.scan = lh_scan_start(metadata, &walk.arena);
    if (lh_scan_peek(&walk.scan) == '{')
        LH_IGNORE(walk_object(&walk, field, &err),
                  "only a damaged text fails, as far as it is read");
    lh_arena_deinit(&walk.arena);
    return walk.found;
}
