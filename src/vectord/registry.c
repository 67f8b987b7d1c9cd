/* The set of indexes by name. */
#include "vectord/registry.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void lh_registry_init(struct lh_registry *registry)
{
    memset(registry, 0, sizeof(*registry));
    lh_mutex_init(&registry->mutex);
    lh_cond_init(&registry->changed);
}

void lh_registry_deinit(struct lh_registry *registry)
{
    LH_CHECK(registry->busy_count == 0);
    for (size_t i = 0; i < registry->count; i++)
        lh_collection_unref(registry->items[i]);
    free(registry->items);
    free(registry->busy);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->mutex);
}

/* The first place whose name is not before `name`. With the mutex, as all static functions here. */
static size_t lower_bound(const struct lh_registry *registry, lh_str name)
{
    size_t low = 0, high = registry->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (lh_str_compare(lh_str_from(registry->items[middle]->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct lh_registry *registry, size_t at, lh_str name)
{
    return at < registry->count && lh_str_eq(lh_str_from(registry->items[at]->name), name);
}

struct lh_collection *lh_registry_find(struct lh_registry *registry, lh_str name)
{
    lh_mutex_lock(&registry->mutex);
    size_t at = lower_bound(registry, name);
    struct lh_collection *found =
        is_at(registry, at, name) ? lh_collection_ref(registry->items[at]) : NULL;
    lh_mutex_unlock(&registry->mutex);
    return found;
}

void lh_registry_add(struct lh_registry *registry, struct lh_collection *collection)
{
    lh_mutex_lock(&registry->mutex);
    lh_str name = lh_str_from(collection->name);
    size_t at = lower_bound(registry, name);
    LH_CHECK(!is_at(registry, at, name));
    registry->items = lh_grow(registry->items, &registry->capacity, registry->count + 1,
                              sizeof(struct lh_collection *));
    memmove(registry->items + at + 1, registry->items + at,
            (registry->count - at) * sizeof(struct lh_collection *));
    registry->items[at] = lh_collection_ref(collection);
    registry->count++;
    lh_mutex_unlock(&registry->mutex);
}

void lh_registry_remove(struct lh_registry *registry, struct lh_collection *collection)
{
    lh_mutex_lock(&registry->mutex);
    size_t at = lower_bound(registry, lh_str_from(collection->name));
    bool there = at < registry->count && registry->items[at] == collection;
    if (there) {
        registry->count--;
        memmove(registry->items + at, registry->items + at + 1,
                (registry->count - at) * sizeof(struct lh_collection *));
    }
    lh_mutex_unlock(&registry->mutex);
    if (there)
        lh_collection_unref(collection);
}

size_t lh_registry_count(struct lh_registry *registry)
{
    lh_mutex_lock(&registry->mutex);
    size_t count = registry->count;
    lh_mutex_unlock(&registry->mutex);
    return count;
}

static bool has_prefix(const struct lh_collection *collection, lh_str prefix)
{
    return prefix.len == 0 || strncmp(collection->name, prefix.ptr, prefix.len) == 0;
}

size_t lh_registry_list(struct lh_registry *registry, lh_str prefix, lh_str after, size_t max,
                        struct lh_collection **ret_collections)
{
    lh_mutex_lock(&registry->mutex);
    size_t count = 0;
    size_t at = lower_bound(registry, lh_str_compare(after, prefix) > 0 ? after : prefix);
    for (; at < registry->count && count < max; at++) {
        struct lh_collection *collection = registry->items[at];
        if (after.len > 0 && lh_str_compare(lh_str_from(collection->name), after) <= 0)
            continue;
        if (!has_prefix(collection, prefix))
            break;
        ret_collections[count++] = lh_collection_ref(collection);
    }
    lh_mutex_unlock(&registry->mutex);
    return count;
}

size_t lh_registry_all(struct lh_registry *registry, struct lh_collection ***ret_collections)
{
    lh_mutex_lock(&registry->mutex);
    size_t count = registry->count;
    struct lh_collection **all = lh_calloc(count + 1, sizeof(struct lh_collection *));
    for (size_t i = 0; i < count; i++)
        all[i] = lh_collection_ref(registry->items[i]);
    lh_mutex_unlock(&registry->mutex);
    *ret_collections = all;
    return count;
}

void lh_collections_free(struct lh_collection **collections, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lh_collection_unref(collections[i]);
    free(collections);
}

/* ---- claims ---- */

static size_t find_busy(const struct lh_registry *registry, lh_str name)
{
    size_t at = 0;
    while (at < registry->busy_count && !lh_str_is(name, registry->busy[at]))
        at++;
    return at;
}

lh_code lh_registry_claim(struct lh_registry *registry, lh_str name, lh_deadline deadline,
                          struct lh_error *err)
{
    lh_code code = LH_OK;
    lh_mutex_lock(&registry->mutex);
    while (code == LH_OK && find_busy(registry, name) < registry->busy_count) {
        if (!lh_cond_wait_until(&registry->changed, &registry->mutex, deadline))
            code = lh_fail(err, LH_TIMEOUT, "the index '%.*s' is being created or deleted",
                           LH_FMT(name));
    }
    if (code == LH_OK) {
        registry->busy = lh_grow(registry->busy, &registry->busy_capacity, registry->busy_count + 1,
                                 sizeof(char *));
        registry->busy[registry->busy_count++] = lh_strndup(name.ptr, name.len);
    }
    lh_mutex_unlock(&registry->mutex);
    return code;
}

void lh_registry_unclaim(struct lh_registry *registry, lh_str name)
{
    lh_mutex_lock(&registry->mutex);
    size_t at = find_busy(registry, name);
    LH_CHECK(at < registry->busy_count);
    free(registry->busy[at]);
    registry->busy[at] = registry->busy[--registry->busy_count];
    pthread_cond_broadcast(&registry->changed);
    lh_mutex_unlock(&registry->mutex);
}
