/* Recall on a sample of the stored vectors. */
#include "vectord/recall.h"

#include <string.h>

#include "base/mem.h"

struct measuring {
    const struct lh_recall_request *request;
    struct lh_searcher searcher;
    struct lh_hnsw_hit *truth, *found; /* room for k and the item itself */
    size_t truth_count, found_count;
    lh_str id; /* the item whose vector is the query */
    uint64_t right, wanted;
    uint64_t search_ns, exact_ns;
};

/* One search without the item itself in its hits. */
static lh_code search(struct measuring *measuring, const float *vector, bool exact,
                      struct lh_hnsw_hit *hits, size_t *ret_count, uint64_t *ns,
                      struct lh_error *err)
{
    const struct lh_recall_request *request = measuring->request;
    const struct lh_hnsw_query query = {.vector = vector,
                                        .k = request->k + 1,
                                        .ef = request->ef,
                                        .refine = request->refine,
                                        .exact = exact};
    struct lh_found found;
    lh_mono start = lh_mono_now();
    LH_TRY(lh_searcher_search(&measuring->searcher, &query, hits, &found, err));
    *ns += (uint64_t)lh_mono_since_ns(start);
    size_t kept = 0;
    for (size_t i = 0; i < found.hits.count && kept < request->k; i++) {
        if (!lh_str_eq(lh_vindex_id(found.index, (uint32_t)hits[i].slot), measuring->id))
            hits[kept++] = hits[i];
    }
    *ret_count = kept;
    lh_vindex_unref(found.index);
    return LH_OK;
}

/* Distances may differ in their last bit, as rows are measured four at a time or one by one. */
static bool is_right(const struct measuring *measuring, const struct lh_hnsw_hit *hit)
{
    if (hit->order <= measuring->truth[measuring->truth_count - 1].order)
        return true;
    for (size_t i = 0; i < measuring->truth_count; i++) {
        if (measuring->truth[i].slot == hit->slot)
            return true;
    }
    return false;
}

static lh_code measure(struct measuring *measuring, const struct lh_vindex *index, uint32_t slot,
                       struct lh_error *err)
{
    const float *vector = lh_hnsw_vector(&index->graph, slot);
    measuring->id = lh_vindex_id(index, slot);
    LH_TRY(search(measuring, vector, true, measuring->truth, &measuring->truth_count,
                  &measuring->exact_ns, err));
    LH_TRY(search(measuring, vector, false, measuring->found, &measuring->found_count,
                  &measuring->search_ns, err));
    for (size_t i = 0; i < measuring->found_count && measuring->truth_count > 0; i++)
        measuring->right += is_right(measuring, &measuring->found[i]);
    measuring->wanted += measuring->truth_count;
    return LH_OK;
}

/* The slot with that many others of the set before it, at or behind *slot, of which `passed` are
 * before *slot. */
static uint32_t slot_of_rank(const struct lh_slot_set *set, uint32_t rank, uint32_t *word,
                             uint32_t *passed)
{
    uint32_t here = (uint32_t)__builtin_popcountll(set->words[*word]);
    while (*passed + here <= rank) {
        *passed += here;
        here = (uint32_t)__builtin_popcountll(set->words[++*word]);
    }
    uint64_t rest = set->words[*word];
    for (uint32_t i = *passed; i < rank; i++)
        rest &= rest - 1;
    return *word * 64 + (uint32_t)__builtin_ctzll(rest);
}

/* The sample is spread evenly over the items in the order of their age. */
static lh_code measure_sample(struct measuring *measuring, const struct lh_vindex *index,
                              const struct lh_slot_set *set, struct lh_recall *recall,
                              struct lh_error *err)
{
    const struct lh_recall_request *request = measuring->request;
    uint64_t sample = request->sample < set->count ? request->sample : set->count;
    uint32_t word = 0, passed = 0;
    for (uint64_t i = 0; i < sample; i++) {
        uint32_t rank = (uint32_t)((2 * i + 1) * set->count / (2 * sample));
        if (request->cancelled(request->ctx))
            return lh_fail(err, LH_CANCELLED, "the client is gone");
        if (i > 0 && lh_deadline_passed(request->deadline))
            break;
        LH_TRY(measure(measuring, index, slot_of_rank(set, rank, &word, &passed), err));
        recall->sample++;
    }
    if (recall->sample > 0) {
        recall->search_us = (double)measuring->search_ns / 1000 / (double)recall->sample;
        recall->exact_us = (double)measuring->exact_ns / 1000 / (double)recall->sample;
    }
    if (measuring->wanted > 0)
        recall->recall = (double)measuring->right / (double)measuring->wanted;
    return LH_OK;
}

lh_code lh_collection_recall(struct lh_collection *collection,
                             const struct lh_recall_request *request, struct lh_recall *ret_recall,
                             struct lh_error *err)
{
    static const struct lh_filter always = {.kind = LH_FILTER_ALL};
    const struct lh_condition all = {&always, LH_STR("{}")};
    LH_AUTO_SLOT_SET struct lh_slot_set set = {0};
    struct lh_vindex *index;
    LH_TRY(lh_collection_select(collection, &all, &index, &set, err));
    struct measuring measuring = {
        .request = request,
        .searcher = {.collection = collection, .condition = &request->condition},
        .truth = lh_calloc(request->k + 1, sizeof(struct lh_hnsw_hit)),
        .found = lh_calloc(request->k + 1, sizeof(struct lh_hnsw_hit))};
    struct lh_recall recall = {.recall = 1};
    lh_code code = measure_sample(&measuring, index, &set, &recall, err);
    free(measuring.truth);
    free(measuring.found);
    lh_searcher_deinit(&measuring.searcher);
    lh_vindex_unref(index);
    if (code == LH_OK)
        *ret_recall = recall;
    return code;
}
