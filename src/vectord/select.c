/* Items that fulfil a filter. */
#include "vectord/select.h"

#include <string.h>

#include "base/check.h"

enum { ATTEMPTS_MAX = 4 };

/* How many slots there are. */
static uint32_t slots_of(struct lh_collection *collection, const struct lh_vindex *index)
{
    LH_CHECK(pthread_rwlock_rdlock(&collection->lock) == 0);
    uint32_t slots = index->graph.count;
    LH_CHECK(pthread_rwlock_unlock(&collection->lock) == 0);
    return slots;
}

/* Takes the dead out and counts the rest. */
static void keep_live(struct lh_collection *collection, const struct lh_vindex *index,
                      struct lh_slot_set *set)
{
    const uint64_t *dead = (const uint64_t *)(const void *)index->graph.dead.base;
    uint32_t words = set->slots / 64 + (set->slots % 64 > 0);
    uint32_t count = 0;
    LH_CHECK(pthread_rwlock_rdlock(&collection->lock) == 0);
    for (uint32_t i = 0; i < words; i++) {
        set->words[i] &= ~dead[i];
        count += (uint32_t)__builtin_popcountll(set->words[i]);
    }
    LH_CHECK(pthread_rwlock_unlock(&collection->lock) == 0);
    set->count = count;
}

lh_code lh_collection_select(struct lh_collection *collection, const struct lh_condition *condition,
                             struct lh_vindex **ret_index, struct lh_slot_set *ret_set,
                             struct lh_error *err)
{
    struct lh_vindex *index;
    LH_TRY(lh_collection_index(collection, &index, err));
    uint32_t slots = slots_of(collection, index);
    lh_code code = lh_fields_select(index, slots, condition->filter, condition->text, ret_set, err);
    if (code != LH_OK) {
        lh_vindex_unref(index);
        return code;
    }
    keep_live(collection, index, ret_set);
    *ret_index = index;
    return LH_OK;
}

/* ---- searching ---- */

void lh_searcher_deinit(struct lh_searcher *searcher)
{
    lh_vindex_unref(searcher->index);
    lh_slot_set_deinit(&searcher->set);
    searcher->index = NULL;
}

static lh_code select_again(struct lh_searcher *searcher, struct lh_error *err)
{
    lh_searcher_deinit(searcher);
    return lh_collection_select(searcher->collection, searcher->condition, &searcher->index,
                                &searcher->set, err);
}

/* An item that is updated after the selection has a slot that is not in it, and its old one is
 * dead: it would be missing although it was there all the time. So a search that comes back with
 * too little has another go with a new selection. */
lh_code lh_searcher_search(struct lh_searcher *searcher, const struct lh_hnsw_query *query,
                           struct lh_hnsw_hit *ret_hits, struct lh_found *ret_found,
                           struct lh_error *err)
{
    if (searcher->condition->filter == NULL)
        return lh_collection_search(searcher->collection, NULL, query, ret_hits, ret_found, err);
    for (int attempt = 1;; attempt++) {
        if (searcher->index == NULL || attempt > 1)
            LH_TRY(select_again(searcher, err));
        struct lh_hnsw_query filtered = *query;
        filtered.allowed = searcher->set.words;
        filtered.allowed_slots = searcher->set.slots;
        filtered.allowed_count = searcher->set.count;
        LH_TRY(lh_collection_search(searcher->collection, searcher->index, &filtered, ret_hits,
                                    ret_found, err));
        size_t wanted = query->k < searcher->set.count ? query->k : searcher->set.count;
        if (ret_found->hits.count >= wanted || attempt == ATTEMPTS_MAX)
            return LH_OK;
        lh_vindex_unref(ret_found->index);
    }
}

/* ---- deleting ---- */

static lh_code add_delete(struct lh_batch *batch, const struct lh_vindex *index, uint32_t slot,
                          struct lh_error *err)
{
    lh_str id = lh_vindex_id(index, slot);
    char *copy = lh_arena_strndup(&batch->arena, id.ptr, id.len);
    if (copy == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the ids to be deleted take too much memory");
    lh_batch_add(batch,
                 &(struct lh_change){.kind = LH_CHANGE_DELETE, .id = lh_str_of(copy, id.len)});
    return LH_OK;
}

lh_code lh_collection_select_deletes(struct lh_collection *collection,
                                     const struct lh_condition *condition, size_t max,
                                     struct lh_batch *batch, bool *ret_more, struct lh_error *err)
{
    LH_AUTO_SLOT_SET struct lh_slot_set set = {0};
    struct lh_vindex *index = NULL;
    LH_TRY(lh_collection_select(collection, condition, &index, &set, err));
    lh_code code = LH_OK;
    size_t taken = 0;
    for (uint32_t i = 0; i * 64 < set.slots && taken < max && code == LH_OK; i++) {
        for (uint64_t rest = set.words[i]; rest != 0 && taken < max && code == LH_OK;
             rest &= rest - 1, taken++)
            code = add_delete(batch, index, i * 64 + (uint32_t)__builtin_ctzll(rest), err);
    }
    lh_vindex_unref(index);
    *ret_more = taken < set.count;
    return code;
}
