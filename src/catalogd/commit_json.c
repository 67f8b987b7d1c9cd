/* The body of a commit. Texts are borrowed from the document, but for the statistics of objects,
 * which are kept as JSON text: {"column": {"min": 1, "max": 9, "nulls": 0}}, values of one level
 * only. */
#include "catalogd/commit_json.h"

#include "base/mem.h"

static const char *const body_keys[] = {"name", "fingerprint",     "schema",    "objects",
                                        "mode", "expect_snapshot", "content_id"};
static const char *const column_keys[] = {"name", "type", "nullable"};
static const char *const object_keys[] = {"key", "rows", "bytes", "stats"};
static const char *const modes[] = {"create", "append", "replace"};

void lh_commit_body_deinit(struct lh_commit_body *body)
{
    for (size_t i = 0; body->stats && i < body->request.object_count; i++)
        free(body->stats[i]);
    free(body->stats);
    free(body->columns);
    free(body->objects);
    json_decref(body->root);
    *body = (struct lh_commit_body){0};
}

static lh_code parse_mode(lh_str text, enum lh_commit_mode *ret_mode, struct lh_error *err)
{
    for (size_t i = 0; i < LH_COUNT(modes); i++) {
        if (lh_str_is(text, modes[i])) {
            *ret_mode = (enum lh_commit_mode)i;
            return LH_OK;
        }
    }
    return lh_fail(err, LH_INVALID, "\"mode\" is create, append or replace, not '%.*s'",
                   LH_FMT(text));
}

/* A member that is an array, or absent (*ret_array = NULL), with a bound on its items. */
static lh_code opt_array(const json_t *object, const char *key, size_t count_max, const char *limit,
                         json_t **ret_array, struct lh_error *err)
{
    json_t *array = NULL;
    const json_t *member = json_object_get(object, key);
    if (member && !json_is_null(member))
        LH_TRY(lh_json_need_array(object, key, &array, err));
    if (json_array_size(array) > count_max) {
        LH_IGNORE(lh_fail(err, LH_TOO_LARGE, "\"%s\" has %zu items, at most %zu are taken", key,
                          json_array_size(array), count_max),
                  "the hint returns the code");
        return lh_hint(err, "%s", limit);
    }
    *ret_array = array;
    return LH_OK;
}

static lh_code parse_column(const json_t *item, struct lh_column *ret_column, struct lh_error *err)
{
    struct lh_column column = {.nullable = true};
    LH_TRY(lh_json_need_str(item, "name", &column.name, err));
    LH_TRY(lh_json_need_str(item, "type", &column.type, err));
    LH_TRY(lh_json_opt_bool(item, "nullable", &column.nullable, err));
    LH_TRY(lh_json_only(item, column_keys, LH_COUNT(column_keys), err));
    *ret_column = column;
    return LH_OK;
}

static lh_code parse_columns(struct lh_commit_body *body, const struct lh_commit_limits *limits,
                             struct lh_error *err)
{
    json_t *array = NULL;
    LH_TRY(
        opt_array(body->root, "schema", limits->columns_max, "catalogd.columns_max", &array, err));
    size_t count = json_array_size(array);
    body->columns = lh_calloc(count + 1, sizeof(*body->columns));
    for (size_t i = 0; i < count; i++) {
        if (parse_column(json_array_get(array, i), &body->columns[i], err) != LH_OK)
            return lh_fail_context(err, "schema[%zu]", i);
    }
    body->request.columns = body->columns;
    body->request.column_count = count;
    return LH_OK;
}

/* {"column": {"min": scalar, ...}, ...}: the shape bounds the nesting. */
static lh_code check_stats(json_t *stats, struct lh_error *err)
{
    if (!json_is_object(stats))
        return lh_fail(err, LH_INVALID, "\"stats\" must be an object: column -> bounds");
    const char *column, *bound;
    json_t *bounds, *value;
    json_object_foreach (stats, column, bounds) {
        if (!json_is_object(bounds))
            return lh_fail(err, LH_INVALID, "\"stats\": the bounds of '%s' must be an object",
                           column);
        json_object_foreach (bounds, bound, value) {
            if (json_is_object(value) || json_is_array(value))
                return lh_fail(err, LH_INVALID, "\"stats\": '%s' of '%s' must be a single value",
                               bound, column);
        }
    }
    return LH_OK;
}

static lh_code parse_object(const json_t *item, struct lh_object *ret_object, char **ret_stats,
                            struct lh_error *err)
{
    struct lh_object object = {.stats = LH_STR("")};
    LH_TRY(lh_json_need_str(item, "key", &object.key, err));
    LH_TRY(lh_json_need_i64(item, "rows", &object.rows, err));
    LH_TRY(lh_json_need_i64(item, "bytes", &object.bytes, err));
    LH_TRY(lh_json_only(item, object_keys, LH_COUNT(object_keys), err));
    json_t *stats = json_object_get(item, "stats");
    if (stats && !json_is_null(stats)) {
        LH_TRY(check_stats(stats, err));
        *ret_stats = json_dumps(stats, JSON_COMPACT);
        object.stats = lh_str_from(*ret_stats);
    }
    *ret_object = object;
    return LH_OK;
}

static lh_code parse_objects(struct lh_commit_body *body, const struct lh_commit_limits *limits,
                             struct lh_error *err)
{
    json_t *array = NULL;
    LH_TRY(
        opt_array(body->root, "objects", limits->objects_max, "catalogd.objects_max", &array, err));
    size_t count = json_array_size(array);
    body->objects = lh_calloc(count + 1, sizeof(*body->objects));
    body->stats = lh_calloc(count + 1, sizeof(*body->stats));
    body->request.objects = body->objects;
    body->request.object_count = count;
    for (size_t i = 0; i < count; i++) {
        if (parse_object(json_array_get(array, i), &body->objects[i], &body->stats[i], err) !=
            LH_OK)
            return lh_fail_context(err, "objects[%zu]", i);
    }
    return LH_OK;
}

static lh_code parse(struct lh_commit_body *body, const struct lh_commit_limits *limits,
                     struct lh_error *err)
{
    struct lh_commit_request *request = &body->request;
    lh_str name, mode = LH_STR("create");
    request->expect_snapshot = -1;
    request->content_id = LH_STR("");
    LH_TRY(lh_json_need_str(body->root, "name", &name, err));
    LH_TRY(lh_json_need_str(body->root, "fingerprint", &request->fingerprint, err));
    LH_TRY(lh_json_only(body->root, body_keys, LH_COUNT(body_keys), err));
    LH_TRY(lh_dataset_name_parse(name, body->name, err));
    request->name = lh_str_from(body->name);
    LH_TRY(lh_json_opt_str(body->root, "mode", &mode, err));
    LH_TRY(parse_mode(mode, &request->mode, err));
    LH_TRY(lh_json_opt_str(body->root, "content_id", &request->content_id, err));
    int64_t expect = -1;
    LH_TRY(lh_json_opt_i64(body->root, "expect_snapshot", &expect, err));
    if (expect < 0 && json_is_integer(json_object_get(body->root, "expect_snapshot")))
        return lh_fail(err, LH_INVALID, "\"expect_snapshot\" is 0 or more");
    request->expect_snapshot = expect;
    LH_TRY(parse_columns(body, limits, err));
    return parse_objects(body, limits, err);
}

lh_code lh_commit_body_parse(json_t *root, const struct lh_commit_limits *limits,
                             struct lh_commit_body *ret_body, struct lh_error *err)
{
    struct lh_commit_body body = {.root = root};
    lh_code code = parse(&body, limits, err);
    if (code != LH_OK) {
        lh_commit_body_deinit(&body);
        return code;
    }
    *ret_body = body;
    ret_body->request.name = lh_str_from(ret_body->name); /* it moved with the struct */
    return LH_OK;
}
