/*
 * From POST /sql to a request: the body is JSON or the statement itself, the format comes from
 * ?format= or Accept.
 */
#include "queryd/api.h"

#include "base/mem.h"

#include <string.h>

static const struct {
    const char *word, *media_type;
} formats[] = {
    {"json", "application/json"},
    {"ndjson", "application/x-ndjson"},
    {"csv", "text/csv"},
};

/* ---- the format ---- */

static lh_code fail_format(struct lh_error *err, const char *what, lh_str value)
{
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "%s \"%.*s\" is not one that results come in", what,
                      LH_FMT(value)),
              "the hint returns the code");
    return lh_hint(err,
                   "format=json, ndjson or csv; Accept: application/json, application/x-ndjson "
                   "or text/csv");
}

static lh_code choose_format(const struct lh_http_exchange *x, const char **ret_format,
                             struct lh_error *err)
{
    lh_str wanted;
    if (lh_http_query(x, "format", &wanted)) {
        for (size_t i = 0; i < LH_COUNT(formats); i++) {
            if (lh_str_is(wanted, formats[i].word)) {
                *ret_format = formats[i].word;
                return LH_OK;
            }
        }
        return fail_format(err, "the format", wanted);
    }
    lh_str accept = lh_http_header(x, "Accept");
    unsigned best = 0;
    for (size_t i = 0; i < LH_COUNT(formats); i++) {
        unsigned quality = lh_http_accept_quality(accept, formats[i].media_type);
        if (quality > best) {
            best = quality;
            *ret_format = formats[i].word;
        }
    }
    return best > 0 ? LH_OK : fail_format(err, "Accept:", accept);
}

/* ---- the body ---- */

/* The media type without its parameters. */
static bool content_type_is(lh_str type, const char *wanted)
{
    lh_str rest = type;
    lh_str head = LH_STR_NONE;
    (void)lh_str_next(&rest, ';', &head);
    return lh_str_eq_nocase(lh_str_trim(head), lh_str_from(wanted));
}

static lh_code check_snapshots(const json_t *snapshots, struct lh_error *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(snapshots))
        return lh_fail(err, LH_INVALID, "snapshots is not an object of dataset and number");
    json_object_foreach ((json_t *)(uintptr_t)snapshots, name, value)
        if (!json_is_integer(value) || json_integer_value(value) < 1)
            return lh_fail(err, LH_INVALID, "the snapshot of %s is not a number from 1 on", name);
    return LH_OK;
}

static lh_code check_time(struct lh_http_exchange *x, lh_str text, const char **ret_time,
                          struct lh_error *err)
{
    lh_time_ms unused;
    if (!lh_parse_rfc3339(text, &unused)) {
        LH_IGNORE(lh_fail(err, LH_INVALID, "as_of is not a time: \"%.*s\"", LH_FMT(text)),
                  "the hint returns the code");
        return lh_hint(err, "write it as 2026-01-31 or 2026-01-31T12:00:00Z");
    }
    char *copy = lh_arena_strndup(lh_http_arena(x), text.ptr, text.len);
    if (copy == NULL)
        return lh_fail(err, LH_TOO_LARGE, "as_of is too long");
    *ret_time = copy;
    return LH_OK;
}

static lh_code positive(const json_t *root, const char *key, int64_t *ret, struct lh_error *err)
{
    LH_TRY(lh_json_opt_i64(root, key, ret, err));
    if (*ret < 0 || (*ret == 0 && json_is_integer(json_object_get(root, key))))
        return lh_fail(err, LH_INVALID, "%s must be a number from 1 on", key);
    return LH_OK;
}

static lh_code read_json(struct lh_http_exchange *x, struct lh_query_body *body,
                         struct lh_error *err)
{
    static const char *const keys[] = {"sql",        "params", "limit",
                                       "timeout_ms", "as_of",  "snapshots"};
    struct lh_query_request *r = &body->request;
    const json_t *root = body->root;
    lh_str as_of = LH_STR_NONE;
    int64_t limit = 0;
    if (!json_is_object(root))
        return lh_fail(err, LH_INVALID, "the body is not a JSON object");
    LH_TRY(lh_json_only(root, keys, LH_COUNT(keys), err));
    LH_TRY(lh_json_need_str(root, "sql", &r->sql, err));
    LH_TRY(positive(root, "limit", &limit, err));
    LH_TRY(positive(root, "timeout_ms", &r->timeout_ms, err));
    LH_TRY(lh_json_opt_str(root, "as_of", &as_of, err));
    r->limit = (uint64_t)limit;
    if (as_of.ptr != NULL)
        LH_TRY(check_time(x, as_of, &r->as_of, err));
    const json_t *params = json_object_get(root, "params");
    if (params != NULL && !json_is_null(params)) {
        if (!json_is_array(params) && !json_is_object(params))
            return lh_fail(err, LH_INVALID, "params is neither an array nor an object");
        r->params = params;
    }
    const json_t *snapshots = json_object_get(root, "snapshots");
    if (snapshots != NULL && !json_is_null(snapshots)) {
        LH_TRY(check_snapshots(snapshots, err));
        r->snapshots = snapshots;
    }
    return LH_OK;
}

/* What stands in the address counts for both kinds of body. */
static lh_code read_query(struct lh_http_exchange *x, struct lh_query_request *r,
                          struct lh_error *err)
{
    lh_str as_of;
    uint64_t timeout_ms = (uint64_t)r->timeout_ms;
    LH_TRY(lh_http_query_u64(x, "limit", 1, INT64_MAX, &r->limit, err));
    LH_TRY(lh_http_query_u64(x, "timeout_ms", 1, INT64_MAX, &timeout_ms, err));
    r->timeout_ms = (int64_t)timeout_ms;
    if (lh_http_query(x, "as_of", &as_of))
        LH_TRY(check_time(x, as_of, &r->as_of, err));
    return LH_OK;
}

static lh_code read_body(struct lh_queryd *queryd, struct lh_http_exchange *x,
                         struct lh_query_body *body, struct lh_error *err)
{
    lh_str type = lh_http_header(x, "Content-Type");
    if (type.len == 0 || content_type_is(type, "application/json")) {
        /* Escapes and parameters take room beside the text itself, which is measured later. */
        size_t bytes_max = (size_t)queryd->sql_bytes_max * 2 + LH_QUERY_PARAMS_MAX;
        LH_TRY(lh_http_body_limit(x, (int64_t)bytes_max, err));
        LH_TRY(lh_http_body_json(x, bytes_max, &body->root, err));
        return read_json(x, body, err);
    }
    if (content_type_is(type, "text/plain") || content_type_is(type, "application/sql")) {
        LH_TRY(lh_http_body_limit(x, queryd->sql_bytes_max, err));
        return lh_http_body_all(x, (size_t)queryd->sql_bytes_max, &body->request.sql, err);
    }
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "a statement does not come as \"%.*s\"", LH_FMT(type)),
              "the hint returns the code");
    return lh_hint(err, "send Content-Type: text/plain with the SQL, or application/json with "
                        "{\"sql\": ...}");
}

lh_code lh_query_body_read(struct lh_queryd *queryd, struct lh_http_exchange *x,
                           struct lh_query_body *ret_body, struct lh_error *err)
{
    LH_TRY(choose_format(x, &ret_body->request.format, err));
    LH_TRY(read_body(queryd, x, ret_body, err));
    return read_query(x, &ret_body->request, err);
}

void lh_query_body_deinit(struct lh_query_body *body)
{
    lh_json_cleanup(&body->root);
}
