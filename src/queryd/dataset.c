#include "queryd/dataset.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

bool lh_is_below(const char *dir, const char *path)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static lh_code parse_file(const json_t *object, struct lh_dataset_file *file, struct lh_error *err)
{
    lh_str key;
    int64_t bytes = 0;
    LH_TRY(lh_json_need_str(object, "key", &key, err));
    LH_TRY(lh_json_opt_i64(object, "bytes", &bytes, err));
    file->key = lh_strndup(key.ptr, key.len);
    file->size = bytes > 0 ? (uint64_t)bytes : 0;
    return LH_OK;
}

static lh_code parse_files(struct lh_dataset *d, const json_t *answer, struct lh_error *err)
{
    json_t *objects = NULL;
    LH_TRY(lh_json_need_array(answer, "objects", &objects, err));
    d->files = lh_calloc(json_array_size(objects) + 1, sizeof(*d->files));
    size_t index;
    json_t *object;
    json_array_foreach (objects, index, object) {
        LH_TRY(parse_file(object, &d->files[index], err));
        d->file_count++;
    }
    return LH_OK;
}

/* Copied member by member: what else the catalog may say of a column is not for the worker. */
static lh_code parse_columns(struct lh_dataset *d, const json_t *answer, struct lh_error *err)
{
    json_t *schema = NULL;
    LH_TRY(lh_json_need_array(answer, "schema", &schema, err));
    d->columns = json_array();
    size_t index;
    json_t *column;
    json_array_foreach (schema, index, column) {
        lh_str name, type;
        LH_TRY(lh_json_need_str(column, "name", &name, err));
        LH_TRY(lh_json_need_str(column, "type", &type, err));
        json_array_append_new(d->columns, json_pack("{s:s%,s:s%}", "name", name.ptr, name.len,
                                                    "type", type.ptr, type.len));
    }
    return LH_OK;
}

static lh_code parse(struct lh_dataset *d, const json_t *answer, struct lh_error *err)
{
    lh_str name, id, version;
    LH_TRY(lh_json_need_str(answer, "dataset", &name, err));
    LH_TRY(lh_json_need_str(answer, "dataset_id", &id, err));
    LH_TRY(lh_json_need_str(answer, "version", &version, err));
    LH_TRY(lh_json_need_i64(answer, "snapshot", &d->snapshot, err));
    d->name = lh_strndup(name.ptr, name.len);
    d->id = lh_strndup(id.ptr, id.len);
    d->version = lh_strndup(version.ptr, version.len);
    LH_TRY(parse_columns(d, answer, err));
    return parse_files(d, answer, err);
}

lh_code lh_dataset_parse(const json_t *answer, struct lh_dataset **ret_dataset,
                         struct lh_error *err)
{
    struct lh_dataset *d = lh_calloc(1, sizeof(*d));
    atomic_init(&d->references, 1);
    if (parse(d, answer, err) != LH_OK) {
        lh_dataset_unref(d);
        struct lh_error why = *err;
        return lh_fail(err, LH_BAD_UPSTREAM, "the catalog's answer is not understood: %s",
                       why.message);
    }
    *ret_dataset = d;
    return LH_OK;
}

struct lh_dataset *lh_dataset_ref(struct lh_dataset *dataset)
{
    LH_CHECK(atomic_fetch_add(&dataset->references, 1) > 0);
    return dataset;
}

void lh_dataset_unref(struct lh_dataset *d)
{
    if (d == NULL || atomic_fetch_sub(&d->references, 1) > 1)
        return;
    for (size_t i = 0; i < d->file_count; i++) {
        free(d->files[i].key);
        free(d->files[i].etag);
        free(d->files[i].path);
    }
    free(d->files);
    json_decref(d->columns);
    free(d->name);
    free(d->id);
    free(d->version);
    free(d);
}

/* Snapshots mostly grow at their end, so the search begins where the last one ended. */
void lh_dataset_inherit(struct lh_dataset *d, const struct lh_dataset *older)
{
    size_t at = 0;
    for (size_t i = 0; i < d->file_count && older->file_count > 0; i++) {
        struct lh_dataset_file *file = &d->files[i];
        for (size_t tried = 0; tried < older->file_count; tried++, at++) {
            const struct lh_dataset_file *known = &older->files[at % older->file_count];
            if (strcmp(known->key, file->key) != 0)
                continue;
            file->size = known->size;
            file->etag = known->etag != NULL ? lh_strdup(known->etag) : NULL;
            file->path = known->path != NULL ? lh_strdup(known->path) : NULL;
            at++;
            break;
        }
    }
}
