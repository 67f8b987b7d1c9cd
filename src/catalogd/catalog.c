/*
 * The table of entries: finding, turns, publishing, lists, the feed. No I/O happens here.
 * catalog_private.h says who may touch what.
 */
#include "catalogd/catalog_private.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { RING_CAPACITY = 4096, BUCKETS_FIRST = 256, RETRY_MS = 1000 };

static const uint32_t catalog_magic = 0xca7a1060;

struct lh_catalog *lh_catalog_new(const struct lh_catalog_options *options)
{
    struct lh_catalog *catalog = lh_calloc(1, sizeof(*catalog));
    catalog->magic = catalog_magic;
    catalog->options = *options;
    catalog->bucket_count = BUCKETS_FIRST;
    catalog->buckets = lh_calloc(catalog->bucket_count, sizeof(struct lh_entry *));
    lh_mutex_init(&catalog->mutex);
    lh_cond_init(&catalog->changed);
    lh_changes_init(&catalog->changes, RING_CAPACITY);
    return catalog;
}

static void entry_free(struct lh_entry *entry)
{
    lh_dataset_unref(entry->dataset);
    free(entry->failure);
    pthread_cond_destroy(&entry->turn);
    free(entry);
}

void lh_catalog_free(struct lh_catalog *catalog)
{
    if (!catalog)
        return;
    LH_CHECK_MAGIC(catalog, catalog_magic);
    LH_CHECK(catalog->waiters == 0);
    catalog->magic = 0;
    for (size_t i = 0; i < catalog->bucket_count; i++) {
        while (catalog->buckets[i]) {
            struct lh_entry *entry = catalog->buckets[i];
            LH_CHECK(entry->users == 0);
            catalog->buckets[i] = entry->next;
            entry_free(entry);
        }
    }
    free(catalog->buckets);
    free(catalog->by_name);
    lh_changes_deinit(&catalog->changes);
    pthread_cond_destroy(&catalog->changed);
    pthread_mutex_destroy(&catalog->mutex);
    free(catalog);
}

/* ---- entries by id; the mutex is held ---- */

static struct lh_entry **bucket_of(struct lh_catalog *catalog, const char *id)
{
    return &catalog->buckets[lh_xxh3(id, LH_UUID_TEXT - 1) & (catalog->bucket_count - 1)];
}

static struct lh_entry *find_entry(struct lh_catalog *catalog, const char *id)
{
    struct lh_entry *entry = *bucket_of(catalog, id);
    while (entry && strcmp(entry->id, id) != 0)
        entry = entry->next;
    return entry;
}

static void link_entry(struct lh_catalog *catalog, struct lh_entry *entry)
{
    struct lh_entry **bucket = bucket_of(catalog, entry->id);
    entry->next = *bucket;
    *bucket = entry;
}

static void grow_buckets(struct lh_catalog *catalog)
{
    struct lh_entry **old = catalog->buckets;
    size_t old_count = catalog->bucket_count;
    catalog->bucket_count *= 2;
    catalog->buckets = lh_calloc(catalog->bucket_count, sizeof(struct lh_entry *));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            struct lh_entry *entry = old[i];
            old[i] = entry->next;
            link_entry(catalog, entry);
        }
    }
    free(old);
}

static struct lh_entry *add_entry(struct lh_catalog *catalog, const char *id)
{
    if (catalog->entry_count >= catalog->bucket_count)
        grow_buckets(catalog);
    struct lh_entry *entry = lh_calloc(1, sizeof(*entry));
    memcpy(entry->id, id, LH_UUID_TEXT);
    lh_cond_init(&entry->turn);
    link_entry(catalog, entry);
    catalog->entry_count++;
    return entry;
}

static void drop_entry(struct lh_catalog *catalog, struct lh_entry *entry)
{
    struct lh_entry **at = bucket_of(catalog, entry->id);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    catalog->entry_count--;
    entry_free(entry);
}

/* ---- turns ---- */

static bool says_nothing(const struct lh_entry *entry)
{
    return !entry->dataset && !entry->failure && !entry->doubtful && entry->void_nonce[0] == '\0';
}

static void leave(struct lh_catalog *catalog, struct lh_entry *entry)
{
    if (--entry->users == 0 && says_nothing(entry))
        drop_entry(catalog, entry);
}

lh_code lh_entry_take(struct lh_catalog *catalog, const char *id, lh_deadline deadline,
                      struct lh_entry **ret_entry, struct lh_error *err)
{
    LH_CHECK_MAGIC(catalog, catalog_magic);
    lh_mutex_lock(&catalog->mutex);
    struct lh_entry *entry = find_entry(catalog, id);
    if (!entry)
        entry = add_entry(catalog, id);
    entry->users++;
    bool in_time = true;
    while (entry->busy && in_time)
        in_time = lh_cond_wait_until(&entry->turn, &catalog->mutex, deadline);
    bool taken = !entry->busy;
    if (taken)
        entry->busy = true;
    else
        leave(catalog, entry);
    lh_mutex_unlock(&catalog->mutex);
    if (!taken)
        return lh_fail(err, LH_BUSY, "too many changes of this dataset are waiting");
    *ret_entry = entry;
    return LH_OK;
}

void lh_entry_release(struct lh_catalog *catalog, struct lh_entry *entry)
{
    if (!entry)
        return;
    lh_mutex_lock(&catalog->mutex);
    LH_CHECK(entry->busy);
    entry->busy = false;
    pthread_cond_signal(&entry->turn);
    leave(catalog, entry);
    lh_mutex_unlock(&catalog->mutex);
}

/* ---- datasets by name; the mutex is held ---- */

static lh_str name_of(const struct lh_entry *entry)
{
    return entry->dataset->parts.name;
}

size_t lh_catalog_lower_bound(const struct lh_catalog *catalog, lh_str name)
{
    size_t low = 0, high = catalog->named_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lh_str_compare(name_of(catalog->by_name[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert_name(struct lh_catalog *catalog, struct lh_entry *entry)
{
    catalog->by_name = lh_grow(catalog->by_name, &catalog->named_capacity, catalog->named_count + 1,
                               sizeof(struct lh_entry *));
    size_t at =
        catalog->loading ? catalog->named_count : lh_catalog_lower_bound(catalog, name_of(entry));
    memmove(catalog->by_name + at + 1, catalog->by_name + at,
            (catalog->named_count - at) * sizeof(struct lh_entry *));
    catalog->by_name[at] = entry;
    catalog->named_count++;
}

static void remove_name(struct lh_catalog *catalog, struct lh_entry *entry)
{
    LH_CHECK(!catalog->loading);
    size_t at = lh_catalog_lower_bound(catalog, name_of(entry));
    LH_CHECK(at < catalog->named_count && catalog->by_name[at] == entry);
    catalog->named_count--;
    memmove(catalog->by_name + at, catalog->by_name + at + 1,
            (catalog->named_count - at) * sizeof(struct lh_entry *));
}

static int compare_names(const void *a, const void *b)
{
    return lh_str_compare(name_of(*(struct lh_entry *const *)a),
                          name_of(*(struct lh_entry *const *)b));
}

void lh_catalog_loaded(struct lh_catalog *catalog)
{
    lh_mutex_lock(&catalog->mutex);
    if (catalog->named_count > 0)
        qsort(catalog->by_name, catalog->named_count, sizeof(struct lh_entry *), compare_names);
    catalog->loading = false;
    lh_mutex_unlock(&catalog->mutex);
}

/* ---- publishing ---- */

/* The mutex is held. Gives the dataset that was there before, which the caller lets go of outside.
 */
static struct lh_dataset *swap(struct lh_catalog *catalog, struct lh_entry *entry,
                               struct lh_dataset *dataset, const char *etag)
{
    LH_CHECK(entry->busy);
    struct lh_dataset *before = entry->dataset;
    bool same = before && dataset && strcmp(before->parts.nonce, dataset->parts.nonce) == 0;
    if (before && !dataset) {
        remove_name(catalog, entry);
        lh_changes_add(&catalog->changes, before, LH_CHANGE_DELETE);
    }
    entry->dataset = dataset;
    if (dataset && !before)
        insert_name(catalog, entry);
    if (dataset && !same && !catalog->loading)
        lh_changes_add(&catalog->changes, dataset, LH_CHANGE_COMMIT);
    if (entry->failure) {
        free(entry->failure);
        entry->failure = NULL;
        catalog->unreadable_count--;
    }
    entry->doubtful = false;
    if (dataset || etag[0] == '\0')
        entry->void_nonce[0] = '\0'; /* the void manifest is written over, or gone */
    snprintf(entry->etag, sizeof(entry->etag), "%s", etag);
    pthread_cond_broadcast(&catalog->changed);
    return before;
}

void lh_entry_publish(struct lh_catalog *catalog, struct lh_entry *entry,
                      struct lh_dataset *dataset, const char *etag)
{
    lh_mutex_lock(&catalog->mutex);
    struct lh_dataset *before = swap(catalog, entry, dataset, etag);
    lh_mutex_unlock(&catalog->mutex);
    lh_dataset_unref(before);
}

/* The mutex is held: the dataset is no more, but its manifest may still lie in the store. */
static struct lh_dataset *swap_for_void(struct lh_catalog *catalog, struct lh_entry *entry,
                                        bool left_behind)
{
    LH_CHECK(entry->dataset != NULL);
    char etag[LH_ETAG_SIZE] = "";
    if (left_behind)
        memcpy(etag, entry->etag, sizeof(etag));
    struct lh_dataset *before = swap(catalog, entry, NULL, etag);
    if (left_behind)
        memcpy(entry->void_nonce, before->parts.nonce, LH_NONCE_SIZE);
    return before;
}

void lh_entry_publish_void(struct lh_catalog *catalog, struct lh_entry *entry, bool left_behind)
{
    lh_mutex_lock(&catalog->mutex);
    struct lh_dataset *before = swap_for_void(catalog, entry, left_behind);
    lh_mutex_unlock(&catalog->mutex);
    lh_dataset_unref(before);
}

void lh_entry_publish_rename(struct lh_catalog *catalog, struct lh_entry *from, struct lh_entry *to,
                             struct lh_dataset *dataset, const char *etag, bool left_behind)
{
    lh_mutex_lock(&catalog->mutex);
    struct lh_dataset *before = swap_for_void(catalog, from, left_behind);
    struct lh_dataset *none = swap(catalog, to, dataset, etag);
    lh_mutex_unlock(&catalog->mutex);
    LH_CHECK(none == NULL);
    lh_dataset_unref(before);
}

void lh_entry_set_failure(struct lh_catalog *catalog, struct lh_entry *entry,
                          const struct lh_error *failure)
{
    struct lh_error *copy = lh_malloc(sizeof(*copy));
    *copy = *failure;
    lh_mutex_lock(&catalog->mutex);
    struct lh_dataset *before = swap(catalog, entry, NULL, "");
    entry->failure = copy;
    entry->retry = lh_deadline_in_ms(RETRY_MS);
    catalog->unreadable_count++;
    lh_mutex_unlock(&catalog->mutex);
    lh_dataset_unref(before);
}

void lh_entry_set_doubtful(struct lh_catalog *catalog, struct lh_entry *entry)
{
    lh_mutex_lock(&catalog->mutex);
    entry->doubtful = true;
    entry->retry = lh_deadline_in_ms(RETRY_MS);
    lh_mutex_unlock(&catalog->mutex);
}

/* ---- reading ---- */

struct lh_dataset *lh_catalog_peek(struct lh_catalog *catalog, const char *id)
{
    lh_mutex_lock(&catalog->mutex);
    struct lh_entry *entry = find_entry(catalog, id);
    struct lh_dataset *dataset = entry ? lh_dataset_ref(entry->dataset) : NULL;
    lh_mutex_unlock(&catalog->mutex);
    return dataset;
}

/* What memory knows of an id. True when the store should be asked again first. */
static bool look(struct lh_catalog *catalog, const char *id, struct lh_dataset **ret_dataset,
                 struct lh_error *ret_failure)
{
    lh_mutex_lock(&catalog->mutex);
    const struct lh_entry *entry = find_entry(catalog, id);
    bool ask = entry && (entry->failure || entry->doubtful) && lh_deadline_passed(entry->retry);
    if (!ask && entry) {
        *ret_dataset = lh_dataset_ref(entry->dataset);
        if (entry->failure)
            *ret_failure = *entry->failure;
    }
    lh_mutex_unlock(&catalog->mutex);
    return ask;
}

/* A repaired manifest is found by the next reader, at most once a second. The failure of the
 * attempt is the entry's: what memory has is answered then. */
static void ask_again(struct lh_catalog *catalog, const char *id)
{
    struct lh_error failure = LH_ERROR_INIT;
    struct lh_entry *entry = NULL;
    lh_deadline deadline = lh_deadline_in_ms(RETRY_MS);
    if (lh_entry_take(catalog, id, deadline, &entry, &failure) != LH_OK)
        return;
    lh_mutex_lock(&catalog->mutex);
    entry->retry = lh_deadline_in_ms(RETRY_MS);
    lh_mutex_unlock(&catalog->mutex);
    LH_IGNORE(lh_entry_reload(catalog, entry, deadline, &failure), "kept in the entry");
    lh_entry_release(catalog, entry);
}

lh_code lh_catalog_get(struct lh_catalog *catalog, lh_str name, struct lh_dataset **ret_dataset,
                       struct lh_error *err)
{
    LH_CHECK_MAGIC(catalog, catalog_magic);
    char id[LH_UUID_TEXT];
    lh_dataset_id(name, id);
    struct lh_dataset *dataset = NULL;
    struct lh_error failure = LH_ERROR_INIT;
    if (look(catalog, id, &dataset, &failure)) {
        ask_again(catalog, id);
        if (look(catalog, id, &dataset, &failure)) /* it took longer than a second */
            dataset = lh_catalog_peek(catalog, id);
    }
    if (dataset) {
        *ret_dataset = dataset;
        return LH_OK;
    }
    if (failure.code != LH_OK) {
        *err = failure;
        return lh_fail_context(err, "dataset '%.*s'", LH_FMT(name));
    }
    return lh_fail(err, LH_NOT_FOUND, "there is no dataset '%.*s'", LH_FMT(name));
}

size_t lh_catalog_all(struct lh_catalog *catalog, struct lh_dataset ***ret_datasets)
{
    lh_mutex_lock(&catalog->mutex);
    size_t count = catalog->named_count;
    struct lh_dataset **datasets = lh_malloc((count + 1) * sizeof(*datasets));
    for (size_t i = 0; i < count; i++)
        datasets[i] = lh_dataset_ref(catalog->by_name[i]->dataset);
    lh_mutex_unlock(&catalog->mutex);
    *ret_datasets = datasets;
    return count;
}

lh_code lh_catalog_check_room(struct lh_catalog *catalog, struct lh_error *err)
{
    lh_mutex_lock(&catalog->mutex);
    size_t count = catalog->named_count + catalog->unreadable_count;
    lh_mutex_unlock(&catalog->mutex);
    if (count < catalog->options.datasets_max)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_STORAGE_FULL, "there are %zu datasets, which is the most", count),
              "the hint returns the code");
    return lh_hint(err, "catalogd.datasets_max");
}

void lh_catalog_stats(struct lh_catalog *catalog, struct lh_catalog_stats *ret_stats)
{
    lh_mutex_lock(&catalog->mutex);
    *ret_stats = (struct lh_catalog_stats){
        .datasets = catalog->named_count,
        .unreadable = catalog->unreadable_count,
        .waiters = catalog->waiters,
        .commits = atomic_load(&catalog->commits),
        .conflicts = atomic_load(&catalog->conflicts),
        .store_away = atomic_load(&catalog->store_away),
    };
    lh_mutex_unlock(&catalog->mutex);
}
