/*
 * The worker's request as JSON.
 */
#include "ingestd/protocol.h"

#include "base/mem.h"

static const struct {
    const char *key;
    size_t offset;
} numbers[] = {
    {"replacing", offsetof(struct lh_convert_request, replacing)},
    {"memory_bytes", offsetof(struct lh_convert_request, memory_bytes)},
    {"threads", offsetof(struct lh_convert_request, threads)},
    {"columns_max", offsetof(struct lh_convert_request, columns_max)},
    {"line_bytes_max", offsetof(struct lh_convert_request, line_bytes_max)},
    {"sample_rows", offsetof(struct lh_convert_request, sample_rows)},
    {"resample_bytes_max", offsetof(struct lh_convert_request, resample_bytes_max)},
};

static int64_t *number_of(struct lh_convert_request *request, size_t i)
{
    return (int64_t *)(void *)((char *)request + numbers[i].offset);
}

void lh_convert_request_write(const struct lh_convert_request *request, struct lh_buf *out)
{
    struct lh_json json = LH_JSON_TO(out);
    struct lh_convert_request copy = *request; /* number_of gives no const */
    lh_json_object(&json);
    lh_json_kcstr(&json, "dir", request->dir);
    for (size_t i = 0; i < LH_COUNT(numbers); i++)
        lh_json_ki64(&json, numbers[i].key, *number_of(&copy, i));
    lh_json_key(&json, "options");
    lh_ingest_options_write(&request->options, &json);
    if (request->schema != NULL) {
        lh_json_key(&json, "schema");
        lh_json_array(&json);
        for (size_t i = 0; i < request->schema_count; i++) {
            lh_json_object(&json);
            lh_json_kcstr(&json, "name", request->schema[i].name);
            lh_json_kcstr(&json, "type", request->schema[i].type);
            lh_json_object_end(&json);
        }
        lh_json_array_end(&json);
    }
    lh_json_object_end(&json);
}

lh_code lh_ingest_columns_read(const json_t *array, struct lh_ingest_column **ret_columns,
                               size_t *ret_count, struct lh_error *err)
{
    size_t count = json_array_size(array);
    struct lh_ingest_column *columns = lh_calloc(count > 0 ? count : 1, sizeof(*columns));
    lh_code code = LH_OK;
    for (size_t i = 0; code == LH_OK && i < count; i++) {
        const json_t *column = json_array_get(array, i);
        lh_str name = LH_STR_NONE;
        lh_str type = LH_STR_NONE;
        code = lh_json_need_str(column, "name", &name, err);
        if (code == LH_OK)
            code = lh_json_need_str(column, "type", &type, err);
        if (code == LH_OK)
            columns[i] = (struct lh_ingest_column){lh_strndup(name.ptr, name.len),
                                                   lh_strndup(type.ptr, type.len)};
    }
    if (code != LH_OK) {
        lh_ingest_columns_free(columns, count);
        return code;
    }
    *ret_columns = columns;
    *ret_count = count;
    return LH_OK;
}

void lh_ingest_columns_free(struct lh_ingest_column *columns, size_t count)
{
    for (size_t i = 0; columns != NULL && i < count; i++) {
        free(columns[i].name);
        free(columns[i].type);
    }
    free(columns);
}

static lh_code read_members(const json_t *root, struct lh_convert_request *request,
                            struct lh_error *err)
{
    lh_str dir = LH_STR_NONE;
    LH_TRY(lh_json_need_str(root, "dir", &dir, err));
    request->dir = lh_strndup(dir.ptr, dir.len);
    for (size_t i = 0; i < LH_COUNT(numbers); i++)
        LH_TRY(lh_json_need_i64(root, numbers[i].key, number_of(request, i), err));
    LH_TRY(lh_ingest_options_read(json_object_get(root, "options"), &request->options, err));
    const json_t *schema = json_object_get(root, "schema");
    if (schema == NULL)
        return LH_OK;
    return lh_ingest_columns_read(schema, &request->schema, &request->schema_count, err);
}

lh_code lh_convert_request_read(lh_str text, struct lh_convert_request *ret_request,
                                struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    LH_TRY(lh_json_parse(text, &root, err));
    struct lh_convert_request request = {0};
    lh_code code = read_members(root, &request, err);
    if (code != LH_OK) {
        lh_convert_request_deinit(&request);
        return code;
    }
    *ret_request = request;
    return LH_OK;
}

void lh_convert_request_deinit(struct lh_convert_request *request)
{
    free(request->dir);
    lh_ingest_options_deinit(&request->options);
    lh_ingest_columns_free(request->schema, request->schema_count);
    *request = (struct lh_convert_request){0};
}
