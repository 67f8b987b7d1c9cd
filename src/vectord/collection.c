/* One named index: life, state, reading. Writing is in commit.c. */
#include "vectord/collection.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/log.h"

enum { COLLECTION_MAGIC = 0x4c48434f };

static void init_rwlock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    LH_CHECK(pthread_rwlockattr_init(&attributes) == 0);
    /* A steady stream of searches must not keep a commit waiting for ever. */
    LH_CHECK(pthread_rwlockattr_setkind_np(&attributes,
                                           PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
    LH_CHECK(pthread_rwlock_init(lock, &attributes) == 0);
    pthread_rwlockattr_destroy(&attributes);
}

struct lh_collection *lh_collection_new(struct lh_commons *commons, const char *name)
{
    struct lh_collection *collection = lh_calloc(1, sizeof(*collection));
    collection->magic = COLLECTION_MAGIC;
    atomic_init(&collection->references, 1);
    collection->commons = commons;
    LH_CHECK(strlen(name) <= LH_INDEX_NAME_MAX);
    memcpy(collection->name, name, strlen(name));
    lh_mutex_init(&collection->mutex);
    lh_cond_init(&collection->changed);
    init_rwlock(&collection->lock);
    collection->state = LH_COLLECTION_LOADING;
    collection->last = &collection->first;
    collection->pending = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    collection->flushing = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    return collection;
}

struct lh_collection *lh_collection_ref(struct lh_collection *collection)
{
    LH_CHECK_MAGIC(collection, COLLECTION_MAGIC);
    atomic_fetch_add(&collection->references, 1);
    return collection;
}

void lh_collection_unref(struct lh_collection *collection)
{
    if (collection == NULL)
        return;
    LH_CHECK_MAGIC(collection, COLLECTION_MAGIC);
    if (atomic_fetch_sub(&collection->references, 1) > 1)
        return;
    LH_CHECK(collection->first == NULL && !collection->writing);
    collection->magic = 0;
    lh_vindex_unref(collection->index);
    lh_buf_deinit(&collection->pending);
    lh_buf_deinit(&collection->flushing);
    pthread_rwlock_destroy(&collection->lock);
    pthread_cond_destroy(&collection->changed);
    pthread_mutex_destroy(&collection->mutex);
    free(collection);
}

/* It may have been dropped while it was being loaded. With the mutex. */
static bool awaits_loading(const struct lh_collection *collection)
{
    return collection->state == LH_COLLECTION_LOADING ||
           collection->state == LH_COLLECTION_UNAVAILABLE;
}

void lh_collection_set_ready(struct lh_collection *collection, struct lh_vindex *index,
                             const struct lh_log_figures *figures, const char *etag)
{
    LH_CHECK(strlen(etag) < LH_ETAG_SIZE);
    /* A process that was killed may have left a PUT on its way. */
    collection->unsettled = collection->commons->store != NULL;
    memcpy(collection->etag, etag, strlen(etag) + 1);
    LH_CHECK(pthread_rwlock_wrlock(&collection->lock) == 0);
    LH_CHECK(collection->index == NULL);
    collection->index = index;
    pthread_rwlock_unlock(&collection->lock);
    lh_mutex_lock(&collection->mutex);
    collection->figures = *figures;
    if (awaits_loading(collection))
        collection->state = LH_COLLECTION_READY;
    lh_mutex_unlock(&collection->mutex);
}

/* What a later try could find mended is not damage. */
static bool may_pass(lh_code code)
{
    return code != LH_CORRUPT && code != LH_NOT_FOUND && code != LH_INVALID;
}

void lh_collection_set_failed(struct lh_collection *collection, const struct lh_error *problem)
{
    lh_mutex_lock(&collection->mutex);
    collection->problem = *problem;
    if (awaits_loading(collection))
        collection->state =
            may_pass(problem->code) ? LH_COLLECTION_UNAVAILABLE : LH_COLLECTION_DAMAGED;
    lh_mutex_unlock(&collection->mutex);
}

enum lh_collection_state lh_collection_state(struct lh_collection *collection)
{
    lh_mutex_lock(&collection->mutex);
    enum lh_collection_state state = collection->state;
    lh_mutex_unlock(&collection->mutex);
    return state;
}

const char *lh_collection_state_name(enum lh_collection_state state)
{
    static const char *const names[] = {
        [LH_COLLECTION_LOADING] = "loading",   [LH_COLLECTION_READY] = "ready",
        [LH_COLLECTION_DAMAGED] = "corrupt",   [LH_COLLECTION_UNAVAILABLE] = "unavailable",
        [LH_COLLECTION_DROPPING] = "dropping", [LH_COLLECTION_GONE] = "gone",
    };
    return names[state];
}

/* ---- reading ---- */

/* Whether the state allows reading. */
static lh_code check_state(struct lh_collection *collection, struct lh_error *err)
{
    lh_mutex_lock(&collection->mutex);
    enum lh_collection_state state = collection->state;
    lh_code code = LH_OK;
    switch (state) {
    case LH_COLLECTION_READY:
        break;
    case LH_COLLECTION_DAMAGED:
        code = lh_fail(err, LH_INDEX_CORRUPT, "the index '%s' is damaged: %s", collection->name,
                       collection->problem.message);
        break;
    case LH_COLLECTION_LOADING:
    case LH_COLLECTION_UNAVAILABLE:
        code =
            lh_fail(err, LH_UNAVAILABLE, "the index '%s' is not loaded yet%s%s", collection->name,
                    state == LH_COLLECTION_LOADING ? "" : ": ", collection->problem.message);
        break;
    case LH_COLLECTION_DROPPING:
    case LH_COLLECTION_GONE:
        code = lh_fail(err, LH_NOT_FOUND, "the index '%s' is being deleted", collection->name);
        break;
    }
    lh_mutex_unlock(&collection->mutex);
    return code;
}

lh_code lh_collection_begin_reading(struct lh_collection *collection, struct lh_error *err)
{
    LH_CHECK_MAGIC(collection, COLLECTION_MAGIC);
    LH_TRY(check_state(collection, err));
    if (pthread_rwlock_tryrdlock(&collection->lock) != 0) {
        LH_TRY(lh_check_may_wait("a change of the index", err));
        LH_CHECK(pthread_rwlock_rdlock(&collection->lock) == 0);
    }
    LH_CHECK(collection->index != NULL);
    return LH_OK;
}

void lh_collection_end_reading(struct lh_collection *collection)
{
    LH_CHECK(pthread_rwlock_unlock(&collection->lock) == 0);
}

lh_code lh_collection_index(struct lh_collection *collection, struct lh_vindex **ret_index,
                            struct lh_error *err)
{
    LH_TRY(lh_collection_begin_reading(collection, err));
    *ret_index = lh_vindex_ref(collection->index);
    lh_collection_end_reading(collection);
    return LH_OK;
}

lh_code lh_collection_search(struct lh_collection *collection, struct lh_vindex *index,
                             const struct lh_hnsw_query *query, struct lh_hnsw_hit *ret_hits,
                             struct lh_found *ret_found, struct lh_error *err)
{
    LH_CHECK(query->allowed == NULL || index != NULL);
    struct lh_commons *commons = collection->commons;
    struct lh_hnsw_query filled = *query;
    if (filled.ef == 0)
        filled.ef = (size_t)commons->settings->ef_default;
    struct lh_scratch_node *node = lh_commons_take_scratch(commons);
    lh_code code = lh_collection_begin_reading(collection, err);
    if (code == LH_OK) {
        ret_found->index = lh_vindex_ref(index != NULL ? index : collection->index);
        ret_found->hits =
            lh_hnsw_search(&ret_found->index->graph, &filled, &node->scratch, ret_hits);
        lh_collection_end_reading(collection);
        atomic_fetch_add(&commons->queries, 1);
    }
    lh_commons_give_scratch(commons, node);
    return code;
}

lh_code lh_collection_find(struct lh_collection *collection, lh_str id,
                           struct lh_vindex **ret_index, uint32_t *ret_slot, struct lh_error *err)
{
    LH_TRY(lh_collection_begin_reading(collection, err));
    int32_t slot = lh_vindex_find(collection->index, id);
    if (slot >= 0) {
        *ret_slot = (uint32_t)slot;
        *ret_index = lh_vindex_ref(collection->index);
    }
    lh_collection_end_reading(collection);
    if (slot >= 0)
        return LH_OK;
    return lh_fail(err, LH_NOT_FOUND, "the index '%s' has no item '%.*s'", collection->name,
                   LH_FMT(lh_id_excerpt(id)));
}

void lh_collection_stats(struct lh_collection *collection, struct lh_collection_stats *ret_stats)
{
    LH_CHECK_MAGIC(collection, COLLECTION_MAGIC);
    memset(ret_stats, 0, sizeof(*ret_stats));
    LH_CHECK(pthread_rwlock_rdlock(&collection->lock) == 0);
    const struct lh_vindex *index = collection->index;
    if (index != NULL) {
        ret_stats->loaded = true;
        ret_stats->config = index->config;
        ret_stats->live = lh_vindex_live(index);
        ret_stats->dead = index->graph.dead_count;
        ret_stats->memory_bytes = atomic_load(&index->taken_bytes);
    }
    lh_collection_end_reading(collection);
    lh_mutex_lock(&collection->mutex);
    ret_stats->state = collection->state;
    ret_stats->problem = collection->problem;
    ret_stats->figures = collection->figures;
    ret_stats->pending_bytes = collection->pending.len + collection->flushing_bytes;
    lh_mutex_unlock(&collection->mutex);
}

lh_code lh_collection_check(struct lh_collection *collection, struct lh_error *err)
{
    lh_collection_begin_writing(collection);
    lh_code code = lh_vindex_check(collection->index, err);
    lh_collection_end_writing(collection);
    return code;
}
