/*
 * What a filter sees of an item: the values of a field of its metadata.
 *
 * A field is a path: "a.b" is member b of member a, and also a member that is itself named "a.b".
 * Arrays are looked through: a field has the values of all elements, and "tags.name" those of all
 * objects in the array "tags". Null is no value, and a field that is null is not there.
 */
#ifndef LH_VECTORD_METADATA_H
#define LH_VECTORD_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum lh_value_kind { LH_VALUE_BOOL, LH_VALUE_NUMBER, LH_VALUE_STRING };

/* A scalar. A whole number of 64 bits may not fit a double: it is `number` + `rest`, exactly, and
 * numbers are in order when these pairs are. */
struct lh_value {
    enum lh_value_kind kind;
    int32_t rest;  /* of a number; within 512 */
    double number; /* of a number; 0 or 1 of a bool */
    lh_str text;   /* of a string */
};

struct lh_value lh_value_of_bool(bool truth);
struct lh_value lh_value_of_i64(int64_t number);
struct lh_value lh_value_of_f64(double number);
struct lh_value lh_value_of_text(lh_str text);

/* Total order: by kind, then numbers by size, strings by bytes. */
int lh_value_compare(const struct lh_value *a, const struct lh_value *b);

/* Calls on_value for every value of the field, and returns whether the field is there (it may have
 * no values: an empty array, an object). The value is valid during the call only. Metadata is an
 * object as JSON, or empty; of text that is not JSON nothing is said, but it does no harm. */
bool lh_metadata_walk(lh_str metadata, lh_str field,
                      void (*on_value)(void *ctx, const struct lh_value *value), void *ctx);

#endif
