/*
 * JSON. Documents of the control plane are read with jansson, behind limits; everything is written
 * by a streaming writer of our own that never builds a tree.
 */
#ifndef LH_BASE_JSON_H
#define LH_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- reading ---- */

/* Parses one document: duplicate keys refused, integers beyond 64 bits refused, nothing after it.
 * On failure LH_INVALID with line and column. *ret_root is owned by the caller (json_decref). */
lh_code lh_json_parse(lh_str text, json_t **ret_root, struct lh_error *err);

void lh_json_cleanup(json_t **root);
#define LH_AUTO_JSON __attribute__((cleanup(lh_json_cleanup)))

/* Members of an object. `lh_json_need_*` fail with LH_INVALID when the member is absent or of
 * another type; `lh_json_opt_*` leave *ret alone when it is absent or null and fail only on another
 * type. Strings are borrowed from the document. */
lh_code lh_json_need_str(const json_t *object, const char *key, lh_str *ret, struct lh_error *err);
lh_code lh_json_opt_str(const json_t *object, const char *key, lh_str *ret, struct lh_error *err);
lh_code lh_json_need_i64(const json_t *object, const char *key, int64_t *ret, struct lh_error *err);
lh_code lh_json_opt_i64(const json_t *object, const char *key, int64_t *ret, struct lh_error *err);
lh_code lh_json_opt_bool(const json_t *object, const char *key, bool *ret, struct lh_error *err);
lh_code lh_json_need_array(const json_t *object, const char *key, json_t **ret,
                           struct lh_error *err);

/* LH_INVALID and the nearest spelling when `object` has a member that is not in `keys`. */
lh_code lh_json_only(const json_t *object, const char *const *keys, size_t key_count,
                     struct lh_error *err);

/* ---- writing ---- */

/* Writes into a buffer that the caller owns and may flush and reset between any two calls (commas
 * are kept in the writer). Nesting beyond 64 levels aborts: the writer's callers decide on the
 * nesting. */
struct lh_json {
    struct lh_buf *out;
    uint64_t has_items; /* bit d: the container at depth d has an item already */
    unsigned depth;
    bool after_key;
};

#define LH_JSON_TO(buffer) ((struct lh_json){.out = (buffer)})

void lh_json_object(struct lh_json *json);
void lh_json_object_end(struct lh_json *json);
void lh_json_array(struct lh_json *json);
void lh_json_array_end(struct lh_json *json);
void lh_json_key(struct lh_json *json, const char *key);
void lh_json_str(struct lh_json *json, lh_str text); /* invalid UTF-8 becomes U+FFFD */
void lh_json_cstr(struct lh_json *json, const char *text);
void lh_json_i64(struct lh_json *json, int64_t value);
void lh_json_u64(struct lh_json *json, uint64_t value);
void lh_json_f64(struct lh_json *json, double value); /* NaN and infinities become null */
void lh_json_f32(struct lh_json *json, float value);
void lh_json_bool(struct lh_json *json, bool value);
void lh_json_null(struct lh_json *json);
void lh_json_raw(struct lh_json *json, lh_str text); /* a finished JSON value */

/* key and value in one call */
void lh_json_kstr(struct lh_json *json, const char *key, lh_str text);
void lh_json_kcstr(struct lh_json *json, const char *key, const char *text); /* NULL becomes null */
void lh_json_ki64(struct lh_json *json, const char *key, int64_t value);
void lh_json_ku64(struct lh_json *json, const char *key, uint64_t value);
void lh_json_kf64(struct lh_json *json, const char *key, double value);
void lh_json_kbool(struct lh_json *json, const char *key, bool value);

/* The text of a string between its quotes, escaped (RFC 8259 section 7). */
void lh_json_escape(struct lh_buf *out, lh_str text);

#endif
