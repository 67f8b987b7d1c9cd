/*
 * The start: memory from the store. The manifests are listed, then read by a few threads; what a
 * rename left behind is removed. A store that is away is waited for; a manifest that cannot be read
 * becomes an unreadable entry, and the rest goes on.
 */
#include "catalogd/catalog_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "catalogd/manifest.h"

#include <string.h>

enum { BACK_OFF_MS_FIRST = 50, BACK_OFF_MS_MAX = 2000, LIST_MS = 60000 };

struct load {
    struct lh_catalog *catalog;
    bool (*stopping)(const void *ctx);
    const void *ctx;
    char (*ids)[LH_UUID_TEXT];
    size_t count, capacity;
    atomic_size_t next; /* the first id that no thread has taken yet */
};

static bool is_stopping(const struct load *load)
{
    return load->stopping && load->stopping(load->ctx);
}

/* Waits before the next try, longer each time. False when the program stops. */
static bool back_off(const struct load *load, int64_t *ms)
{
    for (int64_t waited = 0; waited < *ms && !is_stopping(load); waited += BACK_OFF_MS_FIRST)
        lh_sleep_ms(BACK_OFF_MS_FIRST);
    *ms = *ms * 2 < BACK_OFF_MS_MAX ? *ms * 2 : BACK_OFF_MS_MAX;
    return !is_stopping(load);
}

/* The store cannot be reached, or says that it is starting: a matter of waiting. */
static bool is_away(lh_code code)
{
    return code == LH_UNAVAILABLE || code == LH_NOT_READY || code == LH_BUSY;
}

/* ---- which manifests there are ---- */

static lh_code on_manifest(void *ctx, lh_str key, const struct lh_object_info *info,
                           struct lh_error *err)
{
    (void)info;
    (void)err;
    struct load *load = ctx;
    char id[LH_UUID_TEXT];
    if (!lh_manifest_key_parse(key, id)) {
        LH_LOG(DEBUG, "not a manifest", LH_LOG_TEXT("key", key));
        return LH_OK;
    }
    load->ids = lh_grow(load->ids, &load->capacity, load->count + 1, sizeof(*load->ids));
    memcpy(load->ids[load->count++], id, LH_UUID_TEXT);
    return LH_OK;
}

static lh_code list_manifests(struct load *load, struct lh_error *err)
{
    int64_t wait_ms = BACK_OFF_MS_FIRST;
    for (;;) {
        struct lh_error failure = LH_ERROR_INIT;
        load->count = 0;
        lh_code code = lh_catalog_saw(load->catalog, lh_objstore_list(load->catalog->options.store,
                                                                      LH_STR(LH_MANIFEST_PREFIX),
                                                                      lh_deadline_in_ms(LIST_MS),
                                                                      on_manifest, load, &failure));
        if (code == LH_OK)
            return LH_OK;
        LH_LOG(DEBUG, "the manifests cannot be listed", LH_LOG_STR("detail", failure.message));
        if (!back_off(load, &wait_ms))
            return lh_fail(err, LH_CANCELLED, "stopped while waiting for storaged");
    }
}

/* ---- reading them ---- */

/* Until it is read, or known to be unreadable, or the program stops. */
static void load_one(const struct load *load, const char *id)
{
    struct lh_catalog *catalog = load->catalog;
    struct lh_entry *entry = NULL;
    struct lh_error failure = LH_ERROR_INIT;
    if (lh_entry_take(catalog, id, LH_NO_DEADLINE, &entry, &failure) != LH_OK)
        return;
    int64_t wait_ms = BACK_OFF_MS_FIRST;
    while (is_away(lh_entry_reload(
               catalog, entry, lh_deadline_in_ms(catalog->options.load_timeout_ms), &failure)) &&
           back_off(load, &wait_ms))
        ;
    lh_entry_release(catalog, entry);
}

static void *load_some(void *arg)
{
    struct load *load = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&load->next, 1);
        if (i >= load->count || is_stopping(load))
            return NULL;
        load_one(load, load->ids[i]);
    }
}

/* This thread loads as well, so the work is done even where no other thread can be had. */
static void load_all(struct load *load)
{
    size_t extra = load->catalog->options.load_parallel - 1;
    if (extra > load->count)
        extra = load->count;
    LH_AUTO_FREE pthread_t *threads = lh_calloc(extra + 1, sizeof(*threads));
    size_t started = 0;
    struct lh_error failure = LH_ERROR_INIT;
    while (started < extra &&
           lh_thread_start(&threads[started], "load", load_some, load, &failure) == LH_OK)
        started++;
    load_some(load);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* ---- what renames left behind ---- */

/* `origin` was renamed to a dataset that is there: its manifest is void, unless it is one that was
 * made later under the old name, which has another nonce. */
static void drop_void(struct lh_catalog *catalog, const struct lh_origin *origin)
{
    char id[LH_UUID_TEXT], nonce[LH_NONCE_SIZE];
    memcpy(id, origin->dataset_id.ptr, LH_UUID_TEXT - 1);
    memcpy(nonce, origin->nonce.ptr, LH_NONCE_SIZE - 1);
    id[LH_UUID_TEXT - 1] = nonce[LH_NONCE_SIZE - 1] = '\0';
    LH_AUTO_DATASET struct lh_dataset *old = lh_catalog_peek(catalog, id);
    if (!old || strcmp(old->parts.nonce, nonce) != 0)
        return;
    struct lh_entry *entry = NULL;
    struct lh_error failure = LH_ERROR_INIT;
    if (lh_entry_take(catalog, id, LH_NO_DEADLINE, &entry, &failure) != LH_OK)
        return;
    lh_deadline deadline = lh_deadline_in_ms(catalog->options.storage_timeout_ms);
    bool deleted = lh_entry_delete(catalog, entry, entry->etag, deadline, &failure) == LH_OK;
    lh_entry_publish_void(catalog, entry, !deleted);
    lh_entry_release(catalog, entry);
}

static void drop_voids(struct lh_catalog *catalog)
{
    LH_AUTO_FREE struct lh_dataset **all = NULL;
    size_t count = lh_catalog_all(catalog, &all);
    for (size_t i = 0; i < count; i++) {
        for (size_t o = 0; o < all[i]->parts.origin_count; o++)
            drop_void(catalog, &all[i]->parts.origins[o]);
        lh_dataset_unref(all[i]);
    }
}

lh_code lh_catalog_load(struct lh_catalog *catalog, bool (*stopping)(const void *ctx),
                        const void *ctx, struct lh_error *err)
{
    struct load load = {.catalog = catalog, .stopping = stopping, .ctx = ctx};
    catalog->loading = true; /* before other threads: no lock is needed */
    lh_code code = list_manifests(&load, err);
    if (code == LH_OK)
        load_all(&load);
    lh_catalog_loaded(catalog);
    free(load.ids);
    if (code == LH_OK && is_stopping(&load))
        return lh_fail(err, LH_CANCELLED, "stopped while loading");
    LH_TRY(code);
    drop_voids(catalog);
    return LH_OK;
}
