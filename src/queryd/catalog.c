/*
 * The client of the catalog.
 *
 * Syncs are numbered. A query that arrives while sync n is under way cannot use it, since the
 * catalog may have answered that one before an ingest which the query must see; it waits for n + 1,
 * together with all others that arrive meanwhile. One of the waiting does the asking.
 *
 * One lock guards names and numbers; it is not held across HTTP. A fetched dataset is put beside
 * its name only if it is not older than what is there.
 */
#include "queryd/catalog.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_client.h"
#include "queryd/names.h"
#include "store/objstore.h"

#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 << 20, LH_DATASETS_MAGIC = 0x73746164 };

struct lh_datasets {
    uint32_t magic;
    struct lh_datasets_options options;
    char *url, *local_root;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lh_names names;
    uint64_t begun, ended; /* numbers of syncs; begun - ended is 0 or 1 */
    uint64_t failed;       /* number of the last that failed, with: */
    struct lh_error failure;
    struct lh_datasets_stats stats;
};

struct lh_datasets *lh_datasets_open(const struct lh_datasets_options *options)
{
    struct lh_datasets *d = lh_calloc(1, sizeof(*d));
    d->magic = LH_DATASETS_MAGIC;
    d->options = *options;
    d->url = lh_strdup(options->url);
    d->local_root = lh_strdup(options->local_root);
    lh_mutex_init(&d->lock);
    lh_cond_init(&d->changed);
    return d;
}

void lh_datasets_close(struct lh_datasets *d)
{
    if (d == NULL)
        return;
    LH_CHECK_MAGIC(d, LH_DATASETS_MAGIC);
    d->magic = 0;
    lh_names_deinit(&d->names);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    free(d->url);
    free(d->local_root);
    free(d);
}

/* ---- HTTP ---- */

/* GET url + path, as JSON. A refusal of the catalog is passed on as it is. */
static lh_code get_json(struct lh_datasets *d, const char *path, lh_deadline deadline,
                        json_t **ret_root, struct lh_error *err)
{
    LH_AUTO_FREE char *url = lh_asprintf("%s%s", d->url, path);
    const struct lh_http_call call = {
        .method = LH_HTTP_GET,
        .url = url,
        .deadline = lh_deadline_sooner(deadline, lh_deadline_in_ms(d->options.timeout_ms)),
    };
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_MAX);
    int status = 0;
    if (lh_http_call_buf(d->options.client, &call, &body, &status, err) != LH_OK)
        return lh_fail_context(err, "the catalog does not answer");
    if (status != 200)
        return lh_http_fail_from_answer(status, lh_buf_str(&body), "the catalog", err);
    return lh_json_parse(lh_buf_str(&body), ret_root, err);
}

/* ---- the feed ---- */

static lh_code ask_for_changes(struct lh_datasets *d, const char *cursor, lh_deadline deadline,
                               json_t **ret_answer, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(4096);
    lh_buf_append_cstr(&path, "/catalog/changes?wait_ms=0");
    if (cursor != NULL) {
        lh_buf_append_cstr(&path, "&since=");
        lh_http_encode(&path, lh_str_from(cursor), false);
    }
    return get_json(d, path.data, deadline, ret_answer, err);
}

/* The lock is held at entry and at return. */
static void sync_now(struct lh_datasets *d, lh_deadline deadline)
{
    uint64_t number = ++d->begun;
    LH_AUTO_FREE char *cursor = d->names.cursor != NULL ? lh_strdup(d->names.cursor) : NULL;
    struct lh_error err = LH_ERROR_INIT;
    json_t *answer = NULL;
    lh_mutex_unlock(&d->lock);
    lh_code code = ask_for_changes(d, cursor, deadline, &answer, &err);
    lh_mutex_lock(&d->lock);
    if (code == LH_OK)
        code = lh_names_apply(&d->names, answer, &err);
    json_decref(answer);
    if (code != LH_OK) {
        d->failed = number;
        d->failure = err;
    }
    d->ended = number;
    d->stats.syncs++;
    pthread_cond_broadcast(&d->changed);
}

lh_code lh_datasets_sync(struct lh_datasets *d, lh_deadline deadline, struct lh_error *err)
{
    LH_CHECK_MAGIC(d, LH_DATASETS_MAGIC);
    lh_mutex_lock(&d->lock);
    uint64_t wanted = d->begun + 1;
    bool in_time = true;
    while (d->ended < wanted && in_time) {
        if (d->begun == d->ended)
            sync_now(d, deadline);
        else
            in_time = lh_cond_wait_until(&d->changed, &d->lock, deadline);
    }
    lh_code code = LH_OK;
    if (d->ended < wanted) {
        code = lh_fail(err, LH_TIMEOUT, "the catalog did not answer in time");
    } else if (d->failed >= wanted) {
        *err = d->failure;
        code = err->code;
    }
    lh_mutex_unlock(&d->lock);
    return code;
}

/* ---- files ---- */

static bool is_local(const struct lh_datasets *d, const char *path)
{
    return lh_is_below(d->local_root, path) && access(path, R_OK) == 0;
}

static lh_code locate_files(struct lh_datasets *d, struct lh_dataset *dataset, lh_deadline deadline,
                            struct lh_error *err)
{
    for (size_t i = 0; i < dataset->file_count; i++) {
        struct lh_dataset_file *file = &dataset->files[i];
        if (file->etag != NULL)
            continue;
        struct lh_object_info info;
        LH_AUTO_FREE char *path = NULL;
        lh_deadline soon = lh_deadline_sooner(deadline, lh_deadline_in_ms(d->options.timeout_ms));
        if (lh_objstore_locate(d->options.store, lh_str_from(file->key), soon, &path, &info, err) !=
            LH_OK)
            return lh_fail_context(err, "an object of %s", dataset->name);
        file->size = info.size;
        file->etag = lh_strdup(info.etag);
        if (path != NULL && is_local(d, path))
            file->path = LH_TAKE(path);
    }
    return LH_OK;
}

/* ---- datasets ---- */

static lh_code fetch(struct lh_datasets *d, const char *name, const struct lh_when *when,
                     const struct lh_dataset *older, lh_deadline deadline,
                     struct lh_dataset **ret_dataset, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(4096);
    lh_buf_append_cstr(&path, "/catalog/datasets/");
    lh_http_encode(&path, lh_str_from(name), false);
    if (when->unit == LH_WHEN_SNAPSHOT)
        lh_buf_printf(&path, "?snapshot=%lld", (long long)when->snapshot);
    if (when->unit == LH_WHEN_TIME) {
        lh_buf_append_cstr(&path, "?as_of=");
        lh_http_encode(&path, lh_str_from(when->time), false);
    }
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(get_json(d, path.data, deadline, &answer, err));
    struct lh_dataset *dataset = NULL;
    LH_TRY(lh_dataset_parse(answer, &dataset, err));
    if (older != NULL)
        lh_dataset_inherit(dataset, older);
    lh_code code = locate_files(d, dataset, deadline, err);
    if (code != LH_OK) {
        lh_dataset_unref(dataset);
        return code;
    }
    *ret_dataset = dataset;
    return LH_OK;
}

/* What is known under that name: *ret_known (one reference, or NULL), and whether it is the
 * present. */
static lh_code look_up(struct lh_datasets *d, lh_str name, char **ret_name,
                       struct lh_dataset **ret_known, bool *ret_present, struct lh_error *err)
{
    struct lh_name *entry = NULL;
    lh_mutex_lock(&d->lock);
    lh_code code = lh_names_find(&d->names, name, &entry, err);
    if (code == LH_OK) {
        *ret_name = lh_strdup(entry->name);
        *ret_known = entry->dataset != NULL ? lh_dataset_ref(entry->dataset) : NULL;
        *ret_present =
            entry->dataset != NULL && strcmp(entry->dataset->version, entry->version) == 0;
    }
    lh_mutex_unlock(&d->lock);
    return code;
}

static void remember(struct lh_datasets *d, struct lh_dataset *dataset)
{
    struct lh_name *entry = NULL;
    struct lh_error unused = LH_ERROR_INIT;
    struct lh_dataset *old = NULL;
    lh_mutex_lock(&d->lock);
    d->stats.fetches++;
    if (lh_names_find(&d->names, lh_str_from(dataset->name), &entry, &unused) == LH_OK &&
        strcmp(entry->name, dataset->name) == 0) {
        old = entry->dataset;
        entry->dataset = lh_dataset_ref(dataset);
    }
    lh_mutex_unlock(&d->lock);
    lh_dataset_unref(old);
}

lh_code lh_datasets_get(struct lh_datasets *d, lh_str name, const struct lh_when *when,
                        lh_deadline deadline, struct lh_dataset **ret_dataset, struct lh_error *err)
{
    LH_CHECK_MAGIC(d, LH_DATASETS_MAGIC);
    LH_AUTO_FREE char *canonical = NULL;
    struct lh_dataset *known = NULL;
    bool present = false;
    LH_TRY(look_up(d, name, &canonical, &known, &present, err));
    bool wanted =
        when->unit == LH_WHEN_PRESENT ||
        (when->unit == LH_WHEN_SNAPSHOT && known != NULL && known->snapshot == when->snapshot);
    if (present && wanted) {
        *ret_dataset = known;
        return LH_OK;
    }
    lh_code code = fetch(d, canonical, when, known, deadline, ret_dataset, err);
    lh_dataset_unref(known);
    if (code == LH_OK && when->unit == LH_WHEN_PRESENT)
        remember(d, *ret_dataset);
    return code;
}

void lh_datasets_each(struct lh_datasets *d, void (*each)(void *ctx, const char *name), void *ctx)
{
    lh_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->names.count; i++)
        each(ctx, d->names.items[i].name);
    lh_mutex_unlock(&d->lock);
}

void lh_datasets_forget(struct lh_datasets *d, const struct lh_dataset *dataset)
{
    struct lh_dataset *old = NULL;
    lh_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->names.count; i++) {
        if (d->names.items[i].dataset == dataset) {
            old = d->names.items[i].dataset;
            d->names.items[i].dataset = NULL;
        }
    }
    lh_mutex_unlock(&d->lock);
    lh_dataset_unref(old);
}

void lh_datasets_stats(struct lh_datasets *d, struct lh_datasets_stats *ret_stats)
{
    lh_mutex_lock(&d->lock);
    *ret_stats = d->stats;
    ret_stats->names = d->names.count;
    lh_mutex_unlock(&d->lock);
}
