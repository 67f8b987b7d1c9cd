/* Items that fulfil a filter. */
#include "vectord/select.h"

#include <string.h>

#include "base/mem.h"

/* Takes the dead out and counts the rest. With the shared lock. */
static void keep_live(const struct lh_vindex *index, struct lh_slot_set *set)
{
    const uint64_t *dead = (const uint64_t *)(const void *)index->graph.dead.base;
    uint32_t words = set->slots / 64 + (set->slots % 64 > 0);
    uint32_t count = 0;
    for (uint32_t i = 0; i < words; i++) {
        set->words[i] &= ~dead[i];
        count += (uint32_t)__builtin_popcountll(set->words[i]);
    }
    set->count = count;
}

/* The index and how many slots it has. */
static lh_code look(struct lh_collection *collection, struct lh_vindex **ret_index,
                    uint32_t *ret_slots, struct lh_error *err)
{
    LH_TRY(lh_collection_begin_reading(collection, err));
    *ret_index = lh_vindex_ref(collection->index);
    *ret_slots = collection->index->graph.count;
    lh_collection_end_reading(collection);
    return LH_OK;
}

lh_code lh_collection_select(struct lh_collection *collection, const struct lh_condition *condition,
                             struct lh_vindex **ret_index, struct lh_slot_set *ret_set,
                             struct lh_error *err)
{
    struct lh_vindex *index;
    uint32_t slots;
    LH_TRY(look(collection, &index, &slots, err));
    lh_code code = lh_fields_select(index, slots, condition->filter, condition->text, ret_set, err);
    if (code == LH_OK)
        code = lh_collection_begin_reading(collection, err);
    if (code != LH_OK) {
        lh_vindex_unref(index);
        return code;
    }
    keep_live(index, ret_set);
    lh_collection_end_reading(collection);
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

/* With the shared lock. */
static bool is_current(const struct lh_searcher *searcher)
{
    const struct lh_vindex *index = searcher->collection->index;
    return searcher->index == index && searcher->set.slots == index->graph.count &&
           searcher->dead_count == index->graph.dead_count;
}

/* The set as it is now. With the shared lock. */
static lh_code take_set(struct lh_searcher *searcher, struct lh_error *err)
{
    struct lh_vindex *index = searcher->collection->index;
    const struct lh_condition *condition = searcher->condition;
    struct lh_slot_set set = {0};
    LH_TRY(
        lh_fields_select(index, index->graph.count, condition->filter, condition->text, &set, err));
    keep_live(index, &set);
    lh_searcher_deinit(searcher);
    searcher->index = lh_vindex_ref(index);
    searcher->set = set;
    searcher->dead_count = index->graph.dead_count;
    return LH_OK;
}

/* Reads what is new without the lock, so that there is next to nothing left to do under it. */
static lh_code catch_up(struct lh_searcher *searcher, struct lh_error *err)
{
    struct lh_vindex *index;
    uint32_t slots;
    LH_AUTO_SLOT_SET struct lh_slot_set set = {0};
    LH_TRY(look(searcher->collection, &index, &slots, err));
    lh_code code = lh_fields_select(index, slots, searcher->condition->filter,
                                    searcher->condition->text, &set, err);
    lh_vindex_unref(index);
    return code;
}

/* The shared lock, and the set as it is at that moment. */
static lh_code begin_filtered(struct lh_searcher *searcher, struct lh_error *err)
{
    LH_TRY(lh_collection_begin_reading(searcher->collection, err));
    if (is_current(searcher))
        return LH_OK;
    lh_collection_end_reading(searcher->collection);
    LH_TRY(catch_up(searcher, err));
    LH_TRY(lh_collection_begin_reading(searcher->collection, err));
    lh_code code = take_set(searcher, err);
    if (code != LH_OK)
        lh_collection_end_reading(searcher->collection);
    return code;
}

/* An update gives an item a new slot and kills the old one. The set is taken and searched under one
 * lock, so an item that is there all the time is never missing. */
lh_code lh_searcher_search(struct lh_searcher *searcher, const struct lh_hnsw_query *query,
                           struct lh_hnsw_hit *ret_hits, struct lh_found *ret_found,
                           struct lh_error *err)
{
    struct lh_commons *commons = searcher->collection->commons;
    struct lh_hnsw_query filtered = *query;
    if (searcher->condition->filter == NULL)
        return lh_collection_search(searcher->collection, NULL, query, ret_hits, ret_found, err);
    LH_TRY(begin_filtered(searcher, err));
    struct lh_scratch_node *node = lh_commons_take_scratch(commons);
    if (filtered.ef == 0)
        filtered.ef = (size_t)commons->settings->ef_default;
    filtered.allowed = searcher->set.words;
    filtered.allowed_slots = searcher->set.slots;
    filtered.allowed_count = searcher->set.count;
    ret_found->index = lh_vindex_ref(searcher->index);
    ret_found->hits = lh_hnsw_search(&searcher->index->graph, &filtered, &node->scratch, ret_hits);
    lh_collection_end_reading(searcher->collection);
    lh_commons_give_scratch(commons, node);
    atomic_fetch_add(&commons->queries, 1);
    return LH_OK;
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
