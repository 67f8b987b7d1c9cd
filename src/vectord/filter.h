/*
 * lh_filter: a condition on the metadata of items, as a request gives it.
 *
 *   filter    = { member, ... }                    all members hold; {} holds always
 *   member    = "$and": [filter, ...] | "$or": [filter, ...] | "$not": filter
 *             | "field": value | "field": { operator, ... }
 *   operator  = "$eq" | "$ne": value | "$in" | "$nin": [value, ...]
 *             | "$gt" | "$gte" | "$lt" | "$lte": number or string | "$exists": true or false
 *   value     = string | number | true | false
 *
 * A field is a path as metadata.h has it. A condition holds when any value of the field fulfils it;
 * the bounds of one object are one range, in which one value must lie. $ne and $nin are the
 * opposites of $eq and $in, so they hold for items without the field. Values of different kinds
 * are never equal, and never in each other's range.
 */
#ifndef LH_VECTORD_FILTER_H
#define LH_VECTORD_FILTER_H

#include "base/arena.h"
#include "base/error.h"
#include "vectord/metadata.h"

enum {
    LH_FILTER_BYTES_MAX = 1 << 20,
    LH_FILTER_DEPTH_MAX = 16,
    LH_FILTER_TERMS_MAX = 256,    /* conditions on a field */
    LH_FILTER_VALUES_MAX = 20000, /* in all of them together */
    LH_FILTER_FIELD_MAX = 256,    /* bytes of a path */
};

enum lh_filter_kind {
    LH_FILTER_ALL, /* of the parts; of none: always */
    LH_FILTER_ANY, /* of the parts */
    LH_FILTER_NOT, /* the one part does not hold */
    LH_FILTER_ONE_OF,
    LH_FILTER_RANGE,
    LH_FILTER_EXISTS,
};

struct lh_filter_range {
    struct lh_value low, high;
    bool has_low, has_high;
    bool low_excluded, high_excluded;
};

struct lh_filter {
    enum lh_filter_kind kind;
    const struct lh_filter **parts; /* of ALL, ANY, NOT */
    size_t part_count;
    lh_str field;            /* of the others: conditions on one field */
    uint32_t number;         /* of a condition: 0, 1, ... in the whole filter */
    struct lh_value *values; /* of ONE_OF, sorted */
    size_t value_count;
    struct lh_filter_range range; /* of RANGE */
};

/* The filter of a request. */
struct lh_condition {
    const struct lh_filter *filter; /* NULL = none */
    lh_str text;                    /* compact: equal texts are equal filters */
};

/* Everything of the filter is in the arena. A filter that breaks a rule is LH_INVALID whose message
 * names the place: "$or[1].price.$gt". LH_TOO_LARGE when the arena is too small: 64 times the text
 * and 4 KiB are enough. */
lh_code lh_filter_parse(lh_str text, struct lh_arena *arena, const struct lh_filter **ret_filter,
                        struct lh_error *err);

/* Whether a condition on a field (ONE_OF, RANGE) takes a value. */
bool lh_filter_takes(const struct lh_filter *condition, const struct lh_value *value);

/* Whether the metadata fulfils the filter, by reading it: the reference for the indexes of
 * fields.h. */
bool lh_filter_holds(const struct lh_filter *filter, lh_str metadata);

#endif
