/*
 * What readers see of many datasets: pages of the list, and the change feed with its long wait.
 */
#include "catalogd/catalog_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Begins the cursor of an unreadable entry; no dataset's name begins like this. */
static const char unreadable_mark = '!';

/* ---- the list ---- */

static void set_next(struct lh_catalog_page *page)
{
    const struct lh_catalog_item *last = &page->items[page->count - 1];
    if (last->dataset)
        snprintf(page->next, sizeof(page->next), "%.*s", LH_FMT(last->dataset->parts.name));
    else
        snprintf(page->next, sizeof(page->next), "%c%s", unreadable_mark, last->dataset_id);
}

/* The mutex is held. Datasets after the cursor, by name. True when the page is full before the end.
 */
static bool list_named(struct lh_catalog *catalog, lh_str prefix, lh_str cursor, size_t limit,
                       struct lh_catalog_page *page)
{
    bool resumed = cursor.len > 0 && lh_str_compare(cursor, prefix) >= 0;
    size_t at = lh_catalog_lower_bound(catalog, resumed ? cursor : prefix);
    for (; at < catalog->named_count; at++) {
        const struct lh_entry *entry = catalog->by_name[at];
        lh_str name = entry->dataset->parts.name;
        if (resumed && lh_str_eq(name, cursor))
            continue;
        if (name.len < prefix.len || !lh_str_eq(lh_str_of(name.ptr, prefix.len), prefix))
            return false;
        if (page->count == limit)
            return true;
        struct lh_catalog_item *item = &page->items[page->count++];
        *item = (struct lh_catalog_item){.dataset = lh_dataset_ref(entry->dataset)};
        memcpy(item->dataset_id, entry->id, LH_UUID_TEXT);
    }
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(struct lh_entry *const *)a)->id, (*(struct lh_entry *const *)b)->id);
}

/* The mutex is held. Unreadable entries after the cursor (an id, or empty), by id. There are few of
 * them, and their list is made anew each time. */
static bool list_unreadable(struct lh_catalog *catalog, lh_str cursor, size_t limit,
                            struct lh_catalog_page *page)
{
    LH_AUTO_FREE struct lh_entry **found =
        lh_malloc((catalog->unreadable_count + 1) * sizeof(*found));
    size_t count = 0;
    for (size_t i = 0; i < catalog->bucket_count && count < catalog->unreadable_count; i++) {
        for (struct lh_entry *entry = catalog->buckets[i]; entry; entry = entry->next) {
            if (entry->failure && lh_str_compare(lh_str_from(entry->id), cursor) > 0)
                found[count++] = entry;
        }
    }
    qsort(found, count, sizeof(struct lh_entry *), compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (page->count == limit)
            return true;
        struct lh_catalog_item *item = &page->items[page->count++];
        *item = (struct lh_catalog_item){.failure = lh_malloc(sizeof(struct lh_error))};
        *item->failure = *found[i]->failure;
        memcpy(item->dataset_id, found[i]->id, LH_UUID_TEXT);
    }
    return false;
}

void lh_catalog_list(struct lh_catalog *catalog, lh_str prefix, lh_str cursor, size_t limit,
                     struct lh_catalog_page *ret_page)
{
    struct lh_catalog_page page = {.items = lh_malloc((limit + 1) * sizeof(*page.items))};
    bool in_unreadable = cursor.len > 0 && cursor.ptr[0] == unreadable_mark;
    lh_mutex_lock(&catalog->mutex);
    bool more = !in_unreadable && list_named(catalog, prefix, cursor, limit, &page);
    if (!more && prefix.len == 0)
        more = list_unreadable(catalog, in_unreadable ? lh_str_skip(cursor, 1) : LH_STR(""), limit,
                               &page);
    lh_mutex_unlock(&catalog->mutex);
    if (more)
        set_next(&page);
    *ret_page = page;
}

void lh_catalog_page_deinit(struct lh_catalog_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        lh_dataset_unref(page->items[i].dataset);
        free(page->items[i].failure);
    }
    free(page->items);
    *page = (struct lh_catalog_page){0};
}

/* ---- the feed ---- */

/* The mutex is held: all datasets, as if each had just been committed. */
static void list_everything(struct lh_catalog *catalog, struct lh_catalog_feed *feed)
{
    feed->reset = true;
    feed->changes = lh_calloc(catalog->named_count + 1, sizeof(*feed->changes));
    for (size_t i = 0; i < catalog->named_count; i++)
        feed->changes[feed->count++] = lh_change_of(catalog->by_name[i]->dataset, LH_CHANGE_COMMIT);
}

/* The mutex is held. Waits until there is something after `since`, or a reason to end. */
static lh_code wait_for_change(struct lh_catalog *catalog, uint64_t since, lh_deadline deadline,
                               const atomic_bool *cancelled, struct lh_error *err)
{
    if (catalog->changes.last != since || lh_deadline_passed(deadline))
        return LH_OK;
    if (catalog->waiters >= catalog->options.waiters_max)
        return lh_fail(err, LH_BUSY, "%zu readers wait for changes already", catalog->waiters);
    catalog->waiters++;
    bool in_time = true;
    while (in_time && catalog->changes.last == since && !catalog->stopping &&
           !(cancelled && atomic_load(cancelled)))
        in_time = lh_cond_wait_until(&catalog->changed, &catalog->mutex, deadline);
    catalog->waiters--;
    return LH_OK;
}

lh_code lh_catalog_changes(struct lh_catalog *catalog, lh_str cursor, lh_deadline deadline,
                           const atomic_bool *cancelled, struct lh_catalog_feed *ret_feed,
                           struct lh_error *err)
{
    struct lh_catalog_feed feed = {0};
    uint64_t since = 0;
    lh_code code = LH_OK;
    lh_mutex_lock(&catalog->mutex);
    if (lh_changes_known(&catalog->changes, cursor, &since))
        code = wait_for_change(catalog, since, deadline, cancelled, err);
    if (code == LH_OK) {
        /* Asked again: while it waited, more may have come than the ring holds. */
        if (lh_changes_known(&catalog->changes, cursor, &since))
            feed.count = lh_changes_after(&catalog->changes, since, &feed.changes);
        else
            list_everything(catalog, &feed);
        lh_changes_cursor(&catalog->changes, feed.cursor);
    }
    lh_mutex_unlock(&catalog->mutex);
    LH_TRY(code);
    *ret_feed = feed;
    return LH_OK;
}

void lh_catalog_wake(struct lh_catalog *catalog)
{
    lh_mutex_lock(&catalog->mutex);
    pthread_cond_broadcast(&catalog->changed);
    lh_mutex_unlock(&catalog->mutex);
}

void lh_catalog_stop(struct lh_catalog *catalog)
{
    lh_mutex_lock(&catalog->mutex);
    catalog->stopping = true;
    pthread_cond_broadcast(&catalog->changed);
    lh_mutex_unlock(&catalog->mutex);
}

void lh_catalog_feed_deinit(struct lh_catalog_feed *feed)
{
    lh_change_list_free(feed->changes, feed->count);
    *feed = (struct lh_catalog_feed){0};
}
