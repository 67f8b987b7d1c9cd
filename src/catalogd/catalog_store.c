/*
 * The catalog's dealings with the store: reading a manifest, and the conditional put that is the
 * commit point. Nothing here holds the mutex while it talks to the store.
 *
 * After a put whose answer did not come the manifest is read: its nonce says whether it is ours. If
 * the store still has the one before, the put is sent again under the same condition; then the
 * delayed first one either finds its condition broken, or was the one that counted.
 */
#include "catalogd/catalog_private.h"

#include "base/mem.h"
#include "catalogd/keyset.h"
#include "catalogd/manifest.h"

#include <string.h>

enum { PUT_ATTEMPTS = 2, SETTLE_MS = 3000 };

lh_code lh_catalog_saw(struct lh_catalog *catalog, lh_code code)
{
    bool away = code == LH_UNAVAILABLE || code == LH_TIMEOUT || code == LH_BAD_UPSTREAM ||
                code == LH_NOT_READY;
    if (atomic_load(&catalog->store_away) != away)
        atomic_store(&catalog->store_away, away);
    return code;
}

void lh_catalog_note_store(struct lh_catalog *catalog, lh_code code)
{
    LH_IGNORE(lh_catalog_saw(catalog, code), "only remembered");
}

/* What the store has under an entry's key. */
struct stored {
    struct lh_dataset *dataset; /* NULL: nothing, or a manifest that a rename made void */
    char etag[LH_ETAG_SIZE];
};

/* LH_CORRUPT and its like when there is something that is no manifest of this dataset. */
static lh_code fetch(struct lh_catalog *catalog, const struct lh_entry *entry, lh_deadline deadline,
                     struct stored *ret_stored, struct lh_error *err)
{
    char key[LH_MANIFEST_KEY_SIZE];
    lh_manifest_key(entry->id, key);
    size_t bytes_max = catalog->options.manifest_bytes_max;
    LH_AUTO_BUF struct lh_buf bytes = LH_BUF_INIT(bytes_max);
    struct lh_object_info info = {0};
    struct stored stored = {0};
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = lh_catalog_saw(catalog, lh_objstore_get(catalog->options.store, lh_str_from(key),
                                                           deadline, &bytes, &info, &failure));
    if (code == LH_NOT_FOUND) {
        *ret_stored = stored;
        return LH_OK;
    }
    if (code != LH_OK) {
        *err = failure;
        return code;
    }
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    if (lh_manifest_decode(lh_buf_str(&bytes), bytes_max, &dataset, err) != LH_OK)
        return lh_fail_context(err, "manifest %s", key);
    if (strcmp(dataset->parts.id, entry->id) != 0)
        return lh_fail(err, LH_CORRUPT, "manifest %s is that of dataset '%.*s'", key,
                       LH_FMT(dataset->parts.name));
    memcpy(stored.etag, info.etag, sizeof(stored.etag));
    if (strcmp(dataset->parts.nonce, entry->void_nonce) != 0)
        stored.dataset = LH_TAKE(dataset);
    *ret_stored = stored;
    return LH_OK;
}

/* A failure that lies in the manifest, not on the way to it. */
static bool is_damage(lh_code code)
{
    return code == LH_CORRUPT || code == LH_UNSUPPORTED || code == LH_TOO_LARGE;
}

lh_code lh_entry_reload(struct lh_catalog *catalog, struct lh_entry *entry, lh_deadline deadline,
                        struct lh_error *err)
{
    struct stored stored;
    lh_code code = fetch(catalog, entry, deadline, &stored, err);
    /* An entry that was never read says why; one that was keeps what it has while the store is
     * away. */
    if (code != LH_OK && (is_damage(code) || catalog->loading || entry->failure))
        lh_entry_set_failure(catalog, entry, err);
    LH_TRY(code);
    lh_entry_publish(catalog, entry, stored.dataset, stored.etag);
    return LH_OK;
}

bool lh_entry_moved(struct lh_catalog *catalog, struct lh_entry *entry, lh_deadline deadline)
{
    char key[LH_MANIFEST_KEY_SIZE];
    lh_manifest_key(entry->id, key);
    struct lh_object_info info = {0};
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code =
        lh_catalog_saw(catalog, lh_objstore_head(catalog->options.store, lh_str_from(key), deadline,
                                                 &info, &failure));
    if (code == LH_NOT_FOUND)
        return entry->etag[0] != '\0';
    return code == LH_OK && strcmp(info.etag, entry->etag) != 0;
}

/* ---- the commit point ---- */

/* A failure that says for certain that nothing was written. */
static bool surely_not_written(lh_code code)
{
    int status = lh_code_status(code);
    return (status >= 400 && status < 500 && code != LH_CANCELLED && code != LH_REQUEST_TIMEOUT) ||
           code == LH_STORAGE_FULL || code == LH_READ_ONLY || code == LH_BUSY ||
           code == LH_NOT_READY;
}

/* The store did not answer: what it did can be seen in it. A store that answered with a failure of
 * its own disk is not believed in what it shows until it was started again. */
static bool answer_is_lost(lh_code code)
{
    return code == LH_UNAVAILABLE || code == LH_TIMEOUT || code == LH_BAD_UPSTREAM ||
           code == LH_CANCELLED;
}

enum outcome { WRITTEN, NOT_WRITTEN, OTHERS_WROTE, NOT_KNOWN };

/* Looks in the store for what became of a put of `next`. */
static enum outcome settle(struct lh_catalog *catalog, const struct lh_entry *entry,
                           const struct lh_dataset *next, char ret_etag[LH_ETAG_SIZE])
{
    struct lh_error failure = LH_ERROR_INIT;
    struct stored stored = {0};
    lh_code code = fetch(catalog, entry, lh_deadline_in_ms(SETTLE_MS), &stored, &failure);
    if (code != LH_OK)
        return is_damage(code) ? OTHERS_WROTE : NOT_KNOWN;
    enum outcome outcome = OTHERS_WROTE;
    if (stored.dataset && strcmp(stored.dataset->parts.nonce, next->parts.nonce) == 0)
        outcome = WRITTEN;
    else if (strcmp(stored.etag, entry->etag) == 0)
        outcome = NOT_WRITTEN;
    memcpy(ret_etag, stored.etag, LH_ETAG_SIZE);
    lh_dataset_unref(stored.dataset);
    return outcome;
}

static lh_code put_once(struct lh_catalog *catalog, const struct lh_entry *entry, lh_str bytes,
                        lh_deadline deadline, char ret_etag[LH_ETAG_SIZE], struct lh_error *err)
{
    char key[LH_MANIFEST_KEY_SIZE];
    lh_manifest_key(entry->id, key);
    const struct lh_object_body body = {.bytes = bytes.ptr, .len = bytes.len};
    const struct lh_put_options options = {
        .if_none_match = entry->etag[0] == '\0',
        .if_match = entry->etag[0] != '\0' ? entry->etag : NULL,
        .content_type = "application/vnd.apache.parquet",
    };
    struct lh_object_info info = {0};
    LH_TRY(lh_catalog_saw(catalog, lh_objstore_put(catalog->options.store, lh_str_from(key), &body,
                                                   &options, deadline, &info, err)));
    memcpy(ret_etag, info.etag, LH_ETAG_SIZE);
    return LH_OK;
}

/* Sends the put until it is known what became of it. *failure is used by the way, also on success.
 */
static lh_code put_and_settle(struct lh_catalog *catalog, struct lh_entry *entry,
                              const struct lh_dataset *next, lh_str bytes, lh_deadline deadline,
                              char ret_etag[LH_ETAG_SIZE], struct lh_error *failure)
{
    for (unsigned attempt = 1;; attempt++) {
        lh_code code = put_once(catalog, entry, bytes, deadline, ret_etag, failure);
        /* A broken condition is looked into as well: a put that was repeated (here, or by the
         * client on a stale connection) finds its own first try there. */
        if (code == LH_OK || (code != LH_PRECONDITION && surely_not_written(code)))
            return code;
        if (code != LH_PRECONDITION && !answer_is_lost(code)) {
            lh_entry_set_doubtful(catalog, entry);
            return code;
        }
        switch (settle(catalog, entry, next, ret_etag)) {
        case WRITTEN:
            return LH_OK;
        case OTHERS_WROTE:
            return lh_fail(failure, LH_PRECONDITION, "the manifest was changed by another writer");
        case NOT_WRITTEN:
            if (attempt < PUT_ATTEMPTS && !lh_deadline_passed(deadline))
                break;
            if (code == LH_PRECONDITION)
                return code;
            lh_entry_set_doubtful(catalog, entry); /* a delayed put may still arrive */
            return code;
        case NOT_KNOWN:
            lh_entry_set_doubtful(catalog, entry);
            return code;
        }
    }
}

lh_code lh_entry_put(struct lh_catalog *catalog, struct lh_entry *entry,
                     const struct lh_dataset *next, lh_deadline deadline,
                     char ret_etag[LH_ETAG_SIZE], struct lh_error *err)
{
    size_t bytes_max = catalog->options.manifest_bytes_max;
    LH_AUTO_BUF struct lh_buf bytes = LH_BUF_INIT(bytes_max);
    if (lh_manifest_encode(next, bytes_max, &bytes, err) != LH_OK)
        return lh_hint(err, "catalogd.manifest_bytes_max; mode=replace begins with fewer objects");
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code =
        put_and_settle(catalog, entry, next, lh_buf_str(&bytes), deadline, ret_etag, &failure);
    if (code != LH_OK)
        *err = failure;
    if (code == LH_OK)
        atomic_fetch_add(&catalog->commits, 1);
    else if (code == LH_PRECONDITION)
        atomic_fetch_add(&catalog->conflicts, 1);
    return code;
}

/* The same for a delete. */
static lh_code delete_and_settle(struct lh_catalog *catalog, struct lh_entry *entry,
                                 const char *etag, lh_deadline deadline, struct lh_error *failure)
{
    char key[LH_MANIFEST_KEY_SIZE];
    lh_manifest_key(entry->id, key);
    lh_code code = lh_catalog_saw(catalog, lh_objstore_delete_if_match(catalog->options.store,
                                                                       lh_str_from(key), etag,
                                                                       deadline, failure));
    if (code == LH_OK || (code != LH_PRECONDITION && surely_not_written(code)))
        return code;
    if (code != LH_PRECONDITION)
        lh_entry_set_doubtful(catalog, entry);
    if (code != LH_PRECONDITION && !answer_is_lost(code))
        return code;
    struct stored stored = {0};
    struct lh_error ignored = LH_ERROR_INIT;
    bool known = fetch(catalog, entry, lh_deadline_in_ms(SETTLE_MS), &stored, &ignored) == LH_OK;
    lh_dataset_unref(stored.dataset);
    if (!known || stored.etag[0] != '\0')
        return code;
    if (code == LH_PRECONDITION)
        return lh_fail(failure, LH_NOT_FOUND, "manifest %s is gone already", key);
    return LH_OK; /* only the answer was lost */
}

lh_code lh_entry_delete(struct lh_catalog *catalog, struct lh_entry *entry, const char *etag,
                        lh_deadline deadline, struct lh_error *err)
{
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = delete_and_settle(catalog, entry, etag, deadline, &failure);
    if (code != LH_OK)
        *err = failure;
    return code;
}

/* ---- objects ---- */

static lh_code check_object(struct lh_catalog *catalog, const struct lh_object *object,
                            lh_deadline deadline, struct lh_error *err)
{
    struct lh_object_info info = {0};
    lh_code code = lh_catalog_saw(
        catalog, lh_objstore_head(catalog->options.store, object->key, deadline, &info, err));
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_BAD_DATA, "object '%.*s' is not in the store", LH_FMT(object->key));
    LH_TRY(code);
    if (info.size != (uint64_t)object->bytes)
        return lh_fail(err, LH_BAD_DATA, "object '%.*s' has %llu bytes in the store, not %lld",
                       LH_FMT(object->key), (unsigned long long)info.size,
                       (long long)object->bytes);
    return LH_OK;
}

lh_code lh_catalog_check_objects(struct lh_catalog *catalog, const struct lh_object *objects,
                                 size_t count, int64_t added, struct lh_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (added != 0 && objects[i].span.added != added)
            continue;
        lh_deadline deadline = lh_deadline_in_ms(catalog->options.storage_timeout_ms);
        LH_TRY(check_object(catalog, &objects[i], deadline, err));
    }
    return LH_OK;
}

/* The dataset's keys that another one names as well. */
static void find_shared(struct lh_catalog *catalog, const struct lh_dataset *dataset,
                        struct lh_keyset *shared)
{
    LH_AUTO_KEYSET struct lh_keyset mine = lh_keyset_new(dataset->parts.object_count);
    for (size_t i = 0; i < dataset->parts.object_count; i++)
        lh_keyset_add(&mine, dataset->parts.objects[i].key);
    LH_AUTO_FREE struct lh_dataset **all = NULL;
    size_t count = lh_catalog_all(catalog, &all);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < all[i]->parts.object_count; k++) {
            lh_str key = all[i]->parts.objects[k].key;
            if (lh_keyset_has(&mine, key))
                lh_keyset_add(shared, lh_keyset_get(&mine, key));
        }
        lh_dataset_unref(all[i]);
    }
}

lh_code lh_catalog_purge(struct lh_catalog *catalog, const struct lh_dataset *dataset,
                         struct lh_error *err)
{
    LH_AUTO_KEYSET struct lh_keyset kept = lh_keyset_new(0);
    find_shared(catalog, dataset, &kept);
    size_t count = dataset->parts.object_count;
    for (size_t i = 0; i < count; i++) {
        lh_str key = dataset->parts.objects[i].key;
        if (!lh_keyset_add(&kept, key)) /* shared, or removed a moment ago */
            continue;
        lh_deadline deadline = lh_deadline_in_ms(catalog->options.storage_timeout_ms);
        lh_code code =
            lh_catalog_saw(catalog, lh_objstore_delete(catalog->options.store, key, deadline, err));
        if (code != LH_OK)
            return lh_fail_context(err,
                                   "dataset '%.*s' is deleted, but its objects from '%.*s' on are "
                                   "still in the store",
                                   LH_FMT(dataset->parts.name), LH_FMT(key));
    }
    return LH_OK;
}
