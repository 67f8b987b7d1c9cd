/* Filters: from JSON to a tree of conditions, and what a condition says of a value. */
#include "vectord/filter.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

enum { PLACE_MAX = 160 };

/* Where the reader stands: a member or an element, and what it is in. */
struct place {
    const struct place *up;
    const char *name; /* NULL: element `number` */
    size_t number;
};

struct reader {
    struct lh_arena *arena;
    uint32_t terms;
    size_t values;
    unsigned depth;
};

/* ---- failures that name their place ---- */

static void put_place(struct lh_buf *out, const struct place *place)
{
    if (place == NULL)
        return;
    put_place(out, place->up);
    if (place->name == NULL)
        lh_buf_printf(out, "[%zu]", place->number);
    else
        lh_buf_printf(out, "%s%s", out->len > 0 ? "." : "", place->name);
}

static lh_code fail_at(const struct place *place, struct lh_error *err, const char *wrong)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_FILTER_BYTES_MAX);
    put_place(&text, place);
    lh_str shown = lh_buf_str(&text);
    if (shown.len == 0)
        return lh_fail(err, LH_INVALID, "the filter: %s", wrong);
    if (shown.len > PLACE_MAX) { /* its end says more than its beginning */
        shown = lh_str_skip(shown, shown.len - PLACE_MAX);
        while (shown.len > 0 && ((unsigned char)shown.ptr[0] & 0xc0) == 0x80)
            shown = lh_str_skip(shown, 1);
    }
    return lh_fail(err, LH_INVALID, "the filter at '%.*s': %s", LH_FMT(shown), wrong);
}

static lh_code fail_unknown(const struct place *place, const char *const *known, size_t count,
                            const char *wrong, struct lh_error *err)
{
    const char *nearest = lh_nearest(lh_str_from(place->name), known, count);
    lh_code code = fail_at(place, err, wrong);
    return nearest == NULL ? code : lh_hint(err, "did you mean '%s'?", nearest);
}

/* ---- making ---- */

static lh_code fail_room(struct lh_error *err)
{
    return lh_fail(err, LH_TOO_LARGE, "the filter takes too much memory");
}

static lh_code new_filter(struct reader *reader, enum lh_filter_kind kind, size_t part_max,
                          struct lh_filter **ret, struct lh_error *err)
{
    struct lh_filter *filter = lh_arena_calloc(reader->arena, sizeof(*filter));
    if (filter == NULL)
        return fail_room(err);
    filter->kind = kind;
    if (part_max > 0) {
        filter->parts = lh_arena_calloc(reader->arena, part_max * sizeof(const struct lh_filter *));
        if (filter->parts == NULL)
            return fail_room(err);
    }
    *ret = filter;
    return LH_OK;
}

static lh_code new_condition(struct reader *reader, enum lh_filter_kind kind,
                             const struct place *place, lh_str field, struct lh_filter **ret,
                             struct lh_error *err)
{
    if (reader->terms == LH_FILTER_TERMS_MAX)
        return fail_at(place, err, "a filter may have at most 256 conditions");
    LH_TRY(new_filter(reader, kind, 0, ret, err));
    (*ret)->field = field;
    (*ret)->number = reader->terms++;
    return LH_OK;
}

static lh_code negate(struct reader *reader, const struct lh_filter *part,
                      const struct lh_filter **ret, struct lh_error *err)
{
    struct lh_filter *not = NULL;
    LH_TRY(new_filter(reader, LH_FILTER_NOT, 1, &not, err));
    not ->parts[not ->part_count++] = part;
    *ret = not ;
    return LH_OK;
}

/* ---- values ---- */

static lh_code read_value(struct reader *reader, const struct place *place, const json_t *json,
                          struct lh_value *ret, struct lh_error *err)
{
    if (++reader->values > LH_FILTER_VALUES_MAX)
        return fail_at(place, err, "a filter may have at most 20,000 values");
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = lh_value_of_bool(json_is_true(json));
        return LH_OK;
    case JSON_INTEGER:
        *ret = lh_value_of_i64(json_integer_value(json));
        return LH_OK;
    case JSON_REAL:
        *ret = lh_value_of_f64(json_real_value(json));
        return LH_OK;
    case JSON_STRING: {
        size_t len = json_string_length(json);
        char *copy = lh_arena_strndup(reader->arena, json_string_value(json), len);
        if (copy == NULL)
            return fail_room(err);
        *ret = lh_value_of_text(lh_str_of(copy, len));
        return LH_OK;
    }
    case JSON_NULL:
        LH_IGNORE(fail_at(place, err, "nothing equals null"), "the hint returns the code");
        return lh_hint(err, "ask {\"$exists\": false}");
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return fail_at(place, err, "a string, a number, true or false is wanted");
}

static int compare_values(const void *a, const void *b)
{
    return lh_value_compare(a, b);
}

/* "$eq" is a list of one. */
static lh_code read_one_of(struct reader *reader, const struct place *place, const json_t *json,
                           bool is_list, lh_str field, struct lh_filter **ret, struct lh_error *err)
{
    if (is_list && !json_is_array(json))
        return fail_at(place, err, "an array of values is wanted");
    size_t count = is_list ? json_array_size(json) : 1;
    struct lh_filter *filter = NULL;
    LH_TRY(new_condition(reader, LH_FILTER_ONE_OF, place, field, &filter, err));
    filter->values = lh_arena_calloc(reader->arena, count * sizeof(*filter->values));
    if (filter->values == NULL)
        return fail_room(err);
    filter->value_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct place element = {.up = place, .number = i};
        const json_t *value = is_list ? json_array_get(json, i) : json;
        LH_TRY(read_value(reader, is_list ? &element : place, value, &filter->values[i], err));
    }
    if (count > 0)
        qsort(filter->values, count, sizeof(*filter->values), compare_values);
    *ret = filter;
    return LH_OK;
}

/* ---- operators ---- */

enum operator_kind { OP_EQ, OP_NE, OP_IN, OP_NIN, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_EXISTS };

static const char *const operator_names[] = {
    [OP_EQ] = "$eq",   [OP_NE] = "$ne", [OP_IN] = "$in",   [OP_NIN] = "$nin",      [OP_GT] = "$gt",
    [OP_GTE] = "$gte", [OP_LT] = "$lt", [OP_LTE] = "$lte", [OP_EXISTS] = "$exists"};

static bool find_operator(const char *name, enum operator_kind *ret)
{
    for (size_t i = 0; i < LH_COUNT(operator_names); i++) {
        if (strcmp(operator_names[i], name) == 0) {
            *ret = (enum operator_kind)i;
            return true;
        }
    }
    return false;
}

static lh_code read_bound(struct reader *reader, const struct place *place, const json_t *json,
                          enum operator_kind kind, struct lh_filter_range *range,
                          struct lh_error *err)
{
    bool low = kind == OP_GT || kind == OP_GTE;
    struct lh_value value = {.kind = LH_VALUE_BOOL};
    if (!json_is_number(json) && !json_is_string(json))
        return fail_at(place, err, "a number or a string is wanted");
    if (low ? range->has_low : range->has_high)
        return fail_at(place, err, "there is a bound on this side already");
    LH_TRY(read_value(reader, place, json, &value, err));
    if ((low ? range->has_high : range->has_low) &&
        value.kind != (low ? range->high.kind : range->low.kind))
        return fail_at(place, err, "the bounds are a number and a string");
    if (low) {
        range->low = value;
        range->has_low = true;
        range->low_excluded = kind == OP_GT;
    } else {
        range->high = value;
        range->has_high = true;
        range->high_excluded = kind == OP_LT;
    }
    return LH_OK;
}

static lh_code read_exists(struct reader *reader, const struct place *place, const json_t *json,
                           lh_str field, const struct lh_filter **ret, struct lh_error *err)
{
    struct lh_filter *filter = NULL;
    if (!json_is_boolean(json))
        return fail_at(place, err, "true or false is wanted");
    LH_TRY(new_condition(reader, LH_FILTER_EXISTS, place, field, &filter, err));
    if (json_is_false(json))
        return negate(reader, filter, ret, err);
    *ret = filter;
    return LH_OK;
}

/* Bounds go into the range, which becomes a part of its own; the others are parts at once. */
static lh_code read_operator(struct reader *reader, const struct place *place, const json_t *json,
                             struct lh_filter *all, struct lh_filter_range *range, lh_str field,
                             struct lh_error *err)
{
    enum operator_kind kind;
    struct lh_filter *one_of = NULL;
    const struct lh_filter **next = &all->parts[all->part_count];
    if (!find_operator(place->name, &kind))
        return fail_unknown(place, operator_names, LH_COUNT(operator_names),
                            "there is no such operator", err);
    switch (kind) {
    case OP_GT:
    case OP_GTE:
    case OP_LT:
    case OP_LTE:
        return read_bound(reader, place, json, kind, range, err);
    case OP_EXISTS:
        LH_TRY(read_exists(reader, place, json, field, next, err));
        break;
    case OP_EQ:
    case OP_IN:
        LH_TRY(read_one_of(reader, place, json, kind == OP_IN, field, &one_of, err));
        *next = one_of;
        break;
    case OP_NE:
    case OP_NIN:
        LH_TRY(read_one_of(reader, place, json, kind == OP_NIN, field, &one_of, err));
        LH_TRY(negate(reader, one_of, next, err));
        break;
    }
    all->part_count++;
    return LH_OK;
}

static lh_code read_operators(struct reader *reader, const struct place *place, json_t *json,
                              lh_str field, const struct lh_filter **ret, struct lh_error *err)
{
    struct lh_filter *all = NULL;
    struct lh_filter_range range = {0};
    const char *name;
    json_t *operand;
    if (json_object_size(json) == 0)
        return fail_at(place, err, "an operator is wanted, such as {\"$gt\": 1}");
    LH_TRY(new_filter(reader, LH_FILTER_ALL, json_object_size(json) + 1, &all, err));
    json_object_foreach (json, name, operand) {
        const struct place member = {.up = place, .name = name};
        LH_TRY(read_operator(reader, &member, operand, all, &range, field, err));
    }
    if (range.has_low || range.has_high) {
        struct lh_filter *filter = NULL;
        LH_TRY(new_condition(reader, LH_FILTER_RANGE, place, field, &filter, err));
        filter->range = range;
        all->parts[all->part_count++] = filter;
    }
    *ret = all->part_count == 1 ? all->parts[0] : all;
    return LH_OK;
}

/* ---- members ---- */

static lh_code read_filter(struct reader *reader, const struct place *place, json_t *json,
                           const struct lh_filter **ret, struct lh_error *err);

static lh_code read_list(struct reader *reader, const struct place *place, const json_t *json,
                         enum lh_filter_kind kind, const struct lh_filter **ret,
                         struct lh_error *err)
{
    struct lh_filter *list = NULL;
    size_t count = json_array_size(json);
    if (count == 0)
        return fail_at(place, err, "an array of filters is wanted, at least one");
    LH_TRY(new_filter(reader, kind, count, &list, err));
    for (size_t i = 0; i < count; i++) {
        const struct place element = {.up = place, .number = i};
        LH_TRY(read_filter(reader, &element, json_array_get(json, i), &list->parts[i], err));
        list->part_count++;
    }
    *ret = list;
    return LH_OK;
}

static lh_code read_logic(struct reader *reader, const struct place *place, json_t *json,
                          const struct lh_filter **ret, struct lh_error *err)
{
    static const char *const known[] = {"$and", "$or", "$not"};
    const struct lh_filter *part = NULL;
    if (strcmp(place->name, "$and") == 0)
        return read_list(reader, place, json, LH_FILTER_ALL, ret, err);
    if (strcmp(place->name, "$or") == 0)
        return read_list(reader, place, json, LH_FILTER_ANY, ret, err);
    if (strcmp(place->name, "$not") != 0)
        return fail_unknown(place, known, LH_COUNT(known),
                            "no field begins with $, and $and, $or and $not are all that may stand "
                            "in its place",
                            err);
    LH_TRY(read_filter(reader, place, json, &part, err));
    return negate(reader, part, ret, err);
}

static lh_code read_condition(struct reader *reader, const struct place *place, json_t *json,
                              const struct lh_filter **ret, struct lh_error *err)
{
    size_t len = strlen(place->name);
    if (len == 0 || len > LH_FILTER_FIELD_MAX)
        return fail_at(place, err, "the path of a field has 1 to 256 bytes");
    const char *copy = lh_arena_strndup(reader->arena, place->name, len);
    if (copy == NULL)
        return fail_room(err);
    lh_str field = lh_str_of(copy, len);
    if (json_is_object(json))
        return read_operators(reader, place, json, field, ret, err);
    if (json_is_array(json)) {
        LH_IGNORE(fail_at(place, err, "an array is no value"), "the hint returns the code");
        return lh_hint(err, "ask {\"$in\": [...]}");
    }
    struct lh_filter *filter = NULL;
    LH_TRY(read_one_of(reader, place, json, false, field, &filter, err));
    *ret = filter;
    return LH_OK;
}

static lh_code read_members(struct reader *reader, const struct place *place, json_t *json,
                            const struct lh_filter **ret, struct lh_error *err)
{
    struct lh_filter *all = NULL;
    const char *name;
    json_t *value;
    LH_TRY(new_filter(reader, LH_FILTER_ALL, json_object_size(json), &all, err));
    json_object_foreach (json, name, value) {
        const struct place member = {.up = place, .name = name};
        LH_TRY((name[0] == '$' ? read_logic : read_condition)(reader, &member, value,
                                                              &all->parts[all->part_count], err));
        all->part_count++;
    }
    *ret = all->part_count == 1 ? all->parts[0] : all;
    return LH_OK;
}

static lh_code read_filter(struct reader *reader, const struct place *place, json_t *json,
                           const struct lh_filter **ret, struct lh_error *err)
{
    if (!json_is_object(json))
        return fail_at(place, err, "an object is wanted");
    if (reader->depth == LH_FILTER_DEPTH_MAX)
        return fail_at(place, err, "filters are nested deeper than 16 levels");
    reader->depth++;
    lh_code code = read_members(reader, place, json, ret, err);
    reader->depth--;
    return code;
}

lh_code lh_filter_parse(lh_str text, struct lh_arena *arena, const struct lh_filter **ret_filter,
                        struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    struct reader reader = {.arena = arena};
    const struct lh_filter *filter = NULL;
    if (text.len > LH_FILTER_BYTES_MAX)
        return lh_fail(err, LH_INVALID, "the filter has %zu bytes, %d are allowed", text.len,
                       LH_FILTER_BYTES_MAX);
    if (lh_json_parse(text, &root, err) != LH_OK)
        return lh_fail_context(err, "the filter");
    LH_TRY(read_filter(&reader, NULL, root, &filter, err));
    *ret_filter = filter;
    return LH_OK;
}

/* ---- what a filter says ---- */

static bool in_range(const struct lh_filter_range *range, const struct lh_value *value)
{
    if (value->kind != (range->has_low ? range->low.kind : range->high.kind))
        return false;
    if (range->has_low && lh_value_compare(value, &range->low) < range->low_excluded)
        return false;
    return !range->has_high || lh_value_compare(value, &range->high) <= -range->high_excluded;
}

bool lh_filter_takes(const struct lh_filter *condition, const struct lh_value *value)
{
    if (condition->kind == LH_FILTER_RANGE)
        return in_range(&condition->range, value);
    return condition->kind == LH_FILTER_ONE_OF && condition->value_count > 0 &&
           bsearch(value, condition->values, condition->value_count, sizeof(*value),
                   compare_values) != NULL;
}

struct asked {
    const struct lh_filter *condition;
    bool taken;
};

static void on_value(void *ctx, const struct lh_value *value)
{
    struct asked *asked = ctx;
    asked->taken = asked->taken || lh_filter_takes(asked->condition, value);
}

bool lh_filter_holds(const struct lh_filter *filter, lh_str metadata)
{
    struct asked asked = {.condition = filter};
    bool any = filter->kind == LH_FILTER_ANY;
    switch (filter->kind) {
    case LH_FILTER_ALL:
    case LH_FILTER_ANY:
        for (size_t i = 0; i < filter->part_count; i++) {
            if (lh_filter_holds(filter->parts[i], metadata) == any)
                return any;
        }
        return !any;
    case LH_FILTER_NOT:
        return !lh_filter_holds(filter->parts[0], metadata);
    case LH_FILTER_EXISTS:
        return lh_metadata_walk(metadata, filter->field, on_value, &asked);
    case LH_FILTER_ONE_OF:
    case LH_FILTER_RANGE:
        break;
    }
    lh_metadata_walk(metadata, filter->field, on_value, &asked);
    return asked.taken;
}
