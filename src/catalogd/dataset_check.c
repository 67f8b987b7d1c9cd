/*
 * The validator of a dataset: every rule of the model, for what comes from a manifest and for
 * tests. A manifest whose checksums are right can still be wrong when somebody else wrote it.
 */
#include "catalogd/dataset.h"

static lh_code broken(struct lh_error *err, const char *rule)
{
    return lh_fail(err, LH_CORRUPT, "the manifest breaks a rule: %s", rule);
}

static lh_code check_identity(const struct lh_dataset_parts *parts, struct lh_error *err)
{
    char name[LH_NAME_MAX + 1];
    char id[LH_UUID_TEXT];
    struct lh_error ignored = LH_ERROR_INIT;
    if (lh_dataset_name_parse(parts->name, name, &ignored) != LH_OK ||
        !lh_str_is(parts->name, name))
        return broken(err, "its name is not a dataset's");
    lh_dataset_id(parts->name, id);
    if (!lh_str_is(lh_str_from(id), parts->id))
        return broken(err, "its id is not that of its name");
    if (lh_str_from(parts->nonce).len != LH_NONCE_SIZE - 1 || parts->created < 0)
        return broken(err, "its nonce or its time is not valid");
    for (size_t i = 0; i < parts->origin_count; i++) {
        if (parts->origins[i].dataset_id.len != LH_UUID_TEXT - 1 ||
            parts->origins[i].nonce.len != LH_NONCE_SIZE - 1)
            return broken(err, "an origin is not valid");
    }
    return LH_OK;
}

static lh_code check_schemas(const struct lh_dataset_parts *parts, struct lh_error *err)
{
    size_t columns = 0;
    for (size_t i = 0; i < parts->schema_count; i++) {
        const struct lh_schema *schema = &parts->schemas[i];
        if (schema->id != (int32_t)i + 1 || schema->column_first != columns)
            return broken(err, "its schemas are not in order");
        if (schema->fingerprint.len == 0 || schema->fingerprint.len > LH_FINGERPRINT_MAX)
            return broken(err, "a fingerprint is empty or too long");
        columns += schema->column_count;
    }
    if (parts->schema_count == 0 || columns != parts->column_count)
        return broken(err, "its columns are not those of its schemas");
    for (size_t i = 0; i < parts->column_count; i++) {
        if (parts->columns[i].name.len == 0 || parts->columns[i].type.len == 0)
            return broken(err, "a column has no name or no type");
    }
    return LH_OK;
}

static lh_code check_snapshots(const struct lh_dataset_parts *parts, struct lh_error *err)
{
    if (parts->snapshot_count == 0)
        return broken(err, "it has no snapshot");
    int64_t before = 0;
    lh_time_ms time = parts->created;
    for (size_t i = 0; i < parts->snapshot_count; i++) {
        const struct lh_snapshot *snapshot = &parts->snapshots[i];
        if (snapshot->id <= before || snapshot->time < time)
            return broken(err, "its snapshots are not in order");
        if (snapshot->schema_id < 1 || (size_t)snapshot->schema_id > parts->schema_count)
            return broken(err, "a snapshot names a schema that is not there");
        if (snapshot->restored < 0 || snapshot->restored >= snapshot->id)
            return broken(err, "a snapshot restores one that is not before it");
        before = snapshot->id;
        time = snapshot->time;
    }
    return LH_OK;
}

static bool span_valid(const struct lh_span *span, int64_t head)
{
    return span->added >= 1 && span->added <= head &&
           (span->removed == 0 || (span->removed > span->added && span->removed <= head));
}

static lh_code check_spans(const struct lh_dataset_parts *parts, struct lh_error *err)
{
    const struct lh_snapshot *head = &parts->snapshots[parts->snapshot_count - 1];
    int64_t rows = 0, bytes = 0, objects = 0;
    for (size_t i = 0; i < parts->object_count; i++) {
        const struct lh_object *object = &parts->objects[i];
        if (!span_valid(&object->span, head->id) || object->key.len == 0 || object->rows < 0 ||
            object->bytes < 0)
            return broken(err, "an object is not valid");
        if (object->span.removed != 0)
            continue;
        if (__builtin_add_overflow(rows, object->rows, &rows) ||
            __builtin_add_overflow(bytes, object->bytes, &bytes))
            return broken(err, "its objects have more rows or bytes than can be");
        objects++;
    }
    if (rows != head->rows || bytes != head->bytes || objects != head->objects)
        return broken(err, "the sums of its objects are not those of its present snapshot");
    for (size_t i = 0; i < parts->content_count; i++) {
        if (!span_valid(&parts->contents[i].span, head->id))
            return broken(err, "a content is not valid");
    }
    return LH_OK;
}

lh_code lh_dataset_check(const struct lh_dataset_parts *parts, struct lh_error *err)
{
    LH_TRY(check_identity(parts, err));
    LH_TRY(check_schemas(parts, err));
    LH_TRY(check_snapshots(parts, err));
    return check_spans(parts, err);
}
