/*
 * The scrub. It holds no snapshot and no lock: each object is looked up, opened and read as by any
 * other reader, so an online scrub takes nothing from anybody but disk and time.
 */
#include "storaged/scrub.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storaged/scrub_private.h"

static void found(struct lh_scrub *scrub, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void found(struct lh_scrub *scrub, const char *format, ...)
{
    char text[LH_ERROR_MESSAGE_MAX + LH_STORE_KEY_MAX + LH_BUCKET_NAME_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    atomic_fetch_add(&scrub->findings, 1);
    if (scrub->report)
        scrub->report->found(scrub->report->ctx, text);
}

/* ---- pace ---- */

static bool stopped(const struct lh_scrub *scrub)
{
    return atomic_load(&scrub->stop);
}

/* Keeps to the rate: waits until the bytes so far may have been read. */
static void count_bytes(struct lh_scrub *scrub, size_t len)
{
    uint64_t bytes = atomic_fetch_add(&scrub->bytes, len) + len;
    while (scrub->rate > 0 && !stopped(scrub) &&
           bytes / scrub->rate > (uint64_t)lh_mono_since_s(scrub->start))
        lh_sleep_ms(20);
}

static void tell_progress(struct lh_scrub *scrub)
{
    enum { EVERY_MS = 200 };
    if (!scrub->report || !scrub->report->progress || lh_mono_since_ms(scrub->told) < EVERY_MS)
        return;
    struct lh_scrub_state state;
    lh_scrub_state_of(scrub, &state);
    scrub->told = lh_mono_now();
    scrub->report->progress(scrub->report->ctx, &state);
}

void lh_scrub_state_of(const struct lh_scrub *scrub, struct lh_scrub_state *ret)
{
    *ret = (struct lh_scrub_state){
        .running = atomic_load(&scrub->running),
        .complete = atomic_load(&scrub->complete),
        .started_ms = atomic_load(&scrub->started_ms),
        .ended_ms = atomic_load(&scrub->ended_ms),
        .objects = atomic_load(&scrub->objects),
        .bytes = atomic_load(&scrub->bytes),
        .findings = atomic_load(&scrub->findings),
    };
}

/* ---- bytes ---- */

/* Reads all of it; goes on behind a block that is damaged, and tells the first one. */
static bool read_all(struct lh_scrub *scrub, struct lh_object *object, struct lh_error *ret_first)
{
    bool good = true;
    uint64_t size = lh_object_info(object)->size;
    for (uint64_t at = 0; at < size && !stopped(scrub);) {
        struct lh_error err = LH_ERROR_INIT;
        const void *bytes;
        size_t len = LH_STORE_BLOCK;
        if (lh_object_read(object, at, &bytes, &len, &err) != LH_OK) {
            *ret_first = good ? err : *ret_first;
            good = false;
            len = LH_STORE_BLOCK;
        }
        at += len;
        count_bytes(scrub, len);
        tell_progress(scrub);
    }
    return good;
}

static void check_object(struct lh_scrub *scrub, const struct lh_bucket *bucket, lh_str key,
                         struct lh_version version)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    lh_code code = lh_object_open_version(scrub->store, bucket->id, key, version, &object, &err);
    if (code == LH_NOT_FOUND)
        return; /* deleted meanwhile */
    atomic_fetch_add(&scrub->objects, 1);
    if (code != LH_OK) {
        found(scrub, "%s/%.*s: %s", bucket->name, LH_FMT(key), err.message);
        return;
    }
    if (!read_all(scrub, object, &err))
        found(scrub, "%s/%.*s: %s", bucket->name, LH_FMT(key), err.message);
    lh_object_close(object);
}

/* ---- a bucket's objects ---- */

struct totals {
    uint64_t objects;
    uint64_t bytes;
};

/* A place among the versions of a bucket: of the key only those with lower numbers are left. */
struct place {
    struct lh_position key;
    uint64_t below;
    struct lh_version version; /* of the one before */
};

/* The next version, behind which the place moves. */
static lh_code next_version(struct lh_scrub *scrub, int64_t bucket, struct place *place,
                            bool *ret_end, struct totals *totals, struct lh_error *err)
{
    struct lh_index_walk *walk;
    struct lh_index_row row;
    lh_str key = LH_STR_NONE;
    lh_str from = lh_str_of(place->key.bytes, place->key.len);
    LH_TRY(lh_index_walk_versions(scrub->store->index, bucket, &walk, err));
    lh_code code = lh_index_walk_seek_version(walk, from, place->below, err);
    if (code == LH_OK)
        code = lh_index_walk_next(walk, &key, &row, err);
    *ret_end = !key.ptr;
    if (code == LH_OK && key.ptr) {
        memcpy(place->key.bytes, key.ptr, key.len);
        place->key.len = key.len;
        place->below = row.info.version;
        place->version = lh_version_of(&row.info);
        totals->objects++;
        totals->bytes += row.info.size;
    }
    lh_index_walk_end(walk);
    return code;
}

static lh_code check_objects(struct lh_scrub *scrub, const struct lh_bucket *bucket,
                             struct totals *totals, struct lh_error *err)
{
    struct place place = {.below = INT64_MAX};
    while (!stopped(scrub)) {
        bool end = false;
        LH_TRY(next_version(scrub, bucket->id, &place, &end, totals, err));
        if (end)
            return LH_OK;
        check_object(scrub, bucket, lh_str_of(place.key.bytes, place.key.len), place.version);
    }
    return LH_OK;
}

/* ---- unfinished uploads ---- */

struct unfinished {
    uint64_t list;
    lh_str key;
    char key_bytes[LH_STORE_KEY_MAX];
    char id[LH_UPLOAD_ID_SIZE];
    bool damaged;
    bool started; /* go on behind key and id */
};

static bool take_upload(void *ctx, int64_t bucket, lh_str key, const struct lh_index_upload *upload)
{
    struct unfinished *at = ctx;
    (void)bucket;
    if (at->started && lh_str_eq(key, at->key) && strcmp(upload->info.id, at->id) == 0)
        return true; /* the one before */
    at->started = true;
    at->list = upload->body;
    at->damaged = upload->damaged;
    memcpy(at->key_bytes, key.ptr, key.len);
    at->key = lh_str_of(at->key_bytes, key.len);
    memcpy(at->id, upload->info.id, sizeof(at->id));
    return false;
}

/* The next part of an upload; LH_NOT_FOUND behind the last one. */
static lh_code check_part(struct lh_scrub *scrub, const struct lh_bucket *bucket,
                          const struct unfinished *upload, uint32_t *number, struct totals *totals,
                          struct lh_error *err)
{
    struct lh_index_part part;
    struct lh_object *object;
    struct lh_error damage = LH_ERROR_INIT;
    LH_TRY(lh_index_part_from(scrub->store->index, upload->list, *number, &part, err));
    *number = part.info.number + 1;
    totals->bytes += part.info.size;
    lh_code code =
        lh_object_open_part(scrub->store, bucket->id, upload->key, &part, &object, &damage);
    bool good = code == LH_OK && read_all(scrub, object, &damage);
    if (code == LH_OK)
        lh_object_close(object);
    if (!good)
        found(scrub, "%s/%.*s: part %" PRIu32 " of upload %s: %s", bucket->name,
              LH_FMT(upload->key), part.info.number, upload->id, damage.message);
    return LH_OK;
}

static lh_code check_uploads(struct lh_scrub *scrub, const struct lh_bucket *bucket,
                             struct totals *totals, struct lh_error *err)
{
    struct unfinished upload = {.list = 0};
    while (!stopped(scrub)) {
        upload.list = 0;
        LH_TRY(lh_index_uploads(scrub->store->index, bucket->id, upload.key, upload.id, take_upload,
                                &upload, err));
        if (upload.list == 0)
            return LH_OK;
        if (upload.damaged)
            found(scrub, "%s/%.*s: the row of upload %s is damaged", bucket->name,
                  LH_FMT(upload.key), upload.id);
        uint32_t number = 1;
        lh_code code = LH_OK;
        while (code == LH_OK && !stopped(scrub))
            code = check_part(scrub, bucket, &upload, &number, totals, err);
        if (code == LH_CORRUPT)
            found(scrub, "%s/%.*s: upload %s: %s", bucket->name, LH_FMT(upload.key), upload.id,
                  err->message);
        else if (code != LH_OK && code != LH_NOT_FOUND)
            return code;
    }
    return LH_OK;
}

/* ---- all of it ---- */

static bool take_first(void *ctx, const struct lh_bucket *bucket)
{
    *(struct lh_bucket *)ctx = *bucket;
    return false;
}

lh_code lh_scrub_run(struct lh_scrub *scrub, struct lh_error *err)
{
    struct lh_bucket bucket = {.id = 0};
    scrub->start = lh_mono_now();
    for (;;) {
        char after[LH_BUCKET_NAME_SIZE];
        struct totals totals = {0};
        memcpy(after, bucket.name, sizeof(after));
        bucket.id = 0;
        lh_bucket_list(scrub->store, lh_str_from(after), take_first, &bucket);
        if (bucket.id == 0 || stopped(scrub))
            return LH_OK;
        LH_TRY(check_objects(scrub, &bucket, &totals, err));
        LH_TRY(check_uploads(scrub, &bucket, &totals, err));
        if (scrub->offline && (totals.objects != bucket.objects || totals.bytes != bucket.bytes))
            found(scrub,
                  "%s: it has %" PRIu64 " objects and %" PRIu64 " bytes, its totals say %" PRIu64
                  " and %" PRIu64,
                  bucket.name, totals.objects, totals.bytes, bucket.objects, bucket.bytes);
    }
}

/* ---- offline ---- */

static void found_in_index(void *ctx, const char *what)
{
    found(ctx, "the index: %s", what);
}

static void found_orphan(void *ctx, const char *name)
{
    found(ctx, "data/%s: no object has this file", name);
}

static void found_damaged_name(void *ctx, lh_str key)
{
    found(ctx, "%.*s: damaged", LH_FMT(key));
}

static lh_code check_all(struct lh_scrub *scrub, struct lh_error *err)
{
    struct lh_store *store = scrub->store;
    lh_store_damaged(store, found_damaged_name, scrub); /* what loading the buckets has found */
    LH_TRY(lh_index_check(store->index, found_in_index, scrub, err));
    LH_TRY(lh_scrub_run(scrub, err));
    for (unsigned folder = 0; folder < LH_BODY_FOLDERS; folder++)
        LH_TRY(lh_body_orphans(store, folder, found_orphan, scrub, err));
    struct lh_index_disk_stats disk;
    lh_index_disk_stats(store->index, &disk);
    if (disk.damaged_pages > 0)
        found(scrub, "the index: %u pages are damaged", disk.damaged_pages);
    return LH_OK;
}

lh_code lh_store_check_offline(const char *dir, const struct lh_scrub_report *report,
                               struct lh_scrub_state *ret_state, struct lh_error *err)
{
    struct lh_scrub scrub = {.report = report, .offline = true, .told = lh_mono_now()};
    LH_TRY(lh_store_open_to_check(dir, &scrub.store, err));
    lh_code code = check_all(&scrub, err);
    lh_store_close(scrub.store);
    lh_scrub_state_of(&scrub, ret_state);
    ret_state->complete = code == LH_OK;
    return code;
}

/* ---- online ---- */

static void *scrub_main(void *arg)
{
    struct lh_scrub *scrub = arg;
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_scrub_run(scrub, &err);
    if (code != LH_OK)
        found(scrub, "%s", err.message);
    atomic_store(&scrub->complete, code == LH_OK && !stopped(scrub));
    atomic_store(&scrub->ended_ms, lh_now_ms());
    atomic_store(&scrub->running, false);
    return NULL;
}

static void join(struct lh_scrub *scrub)
{
    if (scrub->joinable)
        LH_CHECK(pthread_join(scrub->thread, NULL) == 0);
    scrub->joinable = false;
}

static lh_code start(struct lh_store *store, uint64_t rate, struct lh_error *err)
{
    struct lh_scrub *scrub = store->scrub;
    if (scrub && atomic_load(&scrub->running))
        return lh_fail(err, LH_BUSY, "the store is being checked");
    if (!scrub)
        scrub = store->scrub = lh_calloc(1, sizeof(*scrub));
    join(scrub);
    scrub->store = store;
    scrub->rate = rate;
    atomic_store(&scrub->objects, 0);
    atomic_store(&scrub->bytes, 0);
    atomic_store(&scrub->findings, 0);
    atomic_store(&scrub->complete, false);
    atomic_store(&scrub->started_ms, lh_now_ms());
    atomic_store(&scrub->ended_ms, 0);
    atomic_store(&scrub->running, true);
    lh_code code = lh_thread_start(&scrub->thread, "scrub", scrub_main, scrub, err);
    scrub->joinable = code == LH_OK;
    if (code != LH_OK)
        atomic_store(&scrub->running, false);
    return code;
}

lh_code lh_store_check_start(struct lh_store *store, uint64_t bytes_per_second,
                             struct lh_error *err)
{
    lh_mutex_lock(&store->mutex);
    lh_code code = start(store, bytes_per_second, err);
    lh_mutex_unlock(&store->mutex);
    return code;
}

void lh_store_check_state(struct lh_store *store, struct lh_scrub_state *ret)
{
    *ret = (struct lh_scrub_state){.running = false};
    lh_mutex_lock(&store->mutex);
    if (store->scrub)
        lh_scrub_state_of(store->scrub, ret);
    lh_mutex_unlock(&store->mutex);
}

void lh_scrub_stop(struct lh_store *store)
{
    struct lh_scrub *scrub = store->scrub;
    if (!scrub)
        return;
    atomic_store(&scrub->stop, true);
    join(scrub);
    free(scrub);
    store->scrub = NULL;
}
