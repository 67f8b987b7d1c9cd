/*
 * Folding and rebuilding.
 *
 * A fold takes the token for as long as it takes to copy the links (see lhv1.h), then writes
 * without it. A rebuild copies the live items and their graph into a new index while the old one
 * goes on; slots that came after its start are added in further rounds; the last few, and the
 * deaths, while it has the token.
 */
#include "vectord/fold.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/objects.h"

enum {
    REBUILD_DEAD_PERCENT = 20,   /* so that files are at most 1.25 times what they need be */
    REBUILD_DEAD_MIN = 256,      /* below, nothing is gained */
    REBUILD_LAST_SLOTS_MAX = 64, /* copied while writers wait */
    IDLE_FOLD_BYTES_MIN = 1 << 20,
    IDLE_FOLD_PARTS = 8,    /* of the snapshot */
    REBUILD_ROUNDS_MAX = 6, /* then the rest, however much: writers are as fast as we are */
};

bool lh_collection_wants_rebuild(struct lh_collection *collection)
{
    struct lh_collection_stats stats;
    lh_collection_stats(collection, &stats);
    uint64_t slots = (uint64_t)stats.live + stats.dead;
    return stats.state == LH_COLLECTION_READY && stats.dead >= REBUILD_DEAD_MIN &&
           (uint64_t)stats.dead * 100 > slots * REBUILD_DEAD_PERCENT;
}

/* A log that is worth it is folded when writers rest: then the next start is a read, not a build.
 */
static bool wants_idle_fold(struct lh_collection *collection)
{
    lh_mutex_lock(&collection->mutex);
    const struct lh_log_figures *figures = &collection->figures;
    bool wants = figures->log_bytes >= IDLE_FOLD_BYTES_MIN &&
                 figures->log_bytes * IDLE_FOLD_PARTS >= figures->snapshot_bytes &&
                 lh_deadline_passed(collection->idle_after);
    lh_mutex_unlock(&collection->mutex);
    return wants;
}

bool lh_collection_wants_fold(struct lh_collection *collection)
{
    struct lh_collection_stats stats;
    lh_collection_stats(collection, &stats);
    const struct lh_vectord_settings *settings = collection->commons->settings;
    uint64_t objects = stats.figures.sequence - stats.figures.snapshot_sequence;
    return collection->commons->store != NULL && stats.state == LH_COLLECTION_READY &&
           (stats.figures.log_bytes >= (uint64_t)settings->fold_log_bytes ||
            objects >= (uint64_t)settings->fold_log_objects || wants_idle_fold(collection));
}

/* ---- rebuilding ---- */

struct rebuild {
    struct lh_collection *collection;
    struct lh_vindex *old;
    struct lh_vindex *built;
    struct lh_builder_node *builder;
    uint64_t *dead; /* of the old slots, as they were when they were copied; bit set = not copied */
    size_t words;   /* of `dead` */
    uint32_t copied; /* old slots looked at so far */
    unsigned rounds;
    bool (*stopping)(const void *ctx);
    const void *ctx;
};

/* The tombstones of the slots from rebuild->copied up to `end` as they are now. With the token. */
static void note_dead(struct rebuild *rebuild, uint32_t end)
{
    size_t words = (size_t)end / 64 + 1;
    rebuild->dead = lh_grow(rebuild->dead, &rebuild->words, words, sizeof(uint64_t));
    for (uint32_t slot = rebuild->copied; slot < end; slot++) {
        uint64_t bit = UINT64_C(1) << (slot & 63);
        if (lh_hnsw_is_dead(&rebuild->old->graph, slot))
            rebuild->dead[slot >> 6] |= bit;
        else
            rebuild->dead[slot >> 6] &= ~bit;
    }
}

static bool was_dead(const struct rebuild *rebuild, uint32_t slot)
{
    return (rebuild->dead[slot >> 6] >> (slot & 63)) & 1;
}

/* The first round: nearly everything, the graph as it is, its links mended. Needs no lock. */
static lh_code copy_graph(struct rebuild *rebuild, uint32_t end, struct lh_codes *codes,
                          struct lh_error *err)
{
    lh_code code = lh_vindex_compact(rebuild->built, rebuild->old, end, rebuild->dead, codes,
                                     rebuild->builder->builder, err);
    rebuild->copied = end;
    return code;
}

/* Copies the slots up to `end` that were alive. Needs no lock: a slot's data never change. */
static lh_code copy_slots(struct rebuild *rebuild, uint32_t end, struct lh_error *err)
{
    while (rebuild->copied < end) {
        struct lh_change changes[LH_HNSW_LINK_MAX];
        struct lh_vindex_need need = {0};
        struct lh_applied applied = {0};
        for (; rebuild->copied < end && need.items < LH_COUNT(changes); rebuild->copied++) {
            uint32_t slot = rebuild->copied;
            if (was_dead(rebuild, slot))
                continue;
            const struct lh_change change = {LH_CHANGE_UPSERT, lh_vindex_id(rebuild->old, slot),
                                             lh_vindex_metadata(rebuild->old, slot),
                                             lh_hnsw_vector(&rebuild->old->graph, slot)};
            need.id_bytes += change.id.len;
            need.metadata_bytes += change.metadata.len;
            changes[need.items++] = change;
        }
        LH_TRY(lh_vindex_reserve(rebuild->built, &need, err));
        lh_vindex_apply(rebuild->built, changes, need.items, rebuild->builder->builder, NULL,
                        &applied);
        if (rebuild->stopping(rebuild->ctx))
            return lh_fail(err, LH_CANCELLED, "the service stops");
    }
    return LH_OK;
}

/* What died since it was copied, and has not come back under its id. With the token. */
static void copy_deaths(struct rebuild *rebuild)
{
    for (uint32_t slot = 0; slot < rebuild->copied; slot++) {
        if (was_dead(rebuild, slot) || !lh_hnsw_is_dead(&rebuild->old->graph, slot))
            continue;
        lh_str id = lh_vindex_id(rebuild->old, slot);
        if (lh_vindex_find(rebuild->old, id) < 0)
            lh_vindex_delete(rebuild->built, id);
    }
}

/* One round. *ret_few when little enough came meanwhile that the rest can be done with the token.
 */
static lh_code copy_round(struct rebuild *rebuild, bool *ret_few, struct lh_error *err)
{
    lh_collection_begin_writing(rebuild->collection);
    uint32_t end = rebuild->old->graph.count;
    note_dead(rebuild, end);
    struct lh_codes *codes = lh_codes_ref(rebuild->old->graph.codes);
    *ret_few = (rebuild->copied > 0 && end - rebuild->copied <= REBUILD_LAST_SLOTS_MAX) ||
               ++rebuild->rounds > REBUILD_ROUNDS_MAX;
    lh_code code = LH_OK;
    if (*ret_few)
        code = copy_slots(rebuild, end, err);
    if (*ret_few && code == LH_OK) {
        copy_deaths(rebuild);
        LH_CHECK(lh_vindex_live(rebuild->built) == lh_vindex_live(rebuild->old));
        LH_CHECK(pthread_rwlock_wrlock(&rebuild->collection->lock) == 0);
        rebuild->collection->index = lh_vindex_ref(rebuild->built);
        LH_CHECK(pthread_rwlock_unlock(&rebuild->collection->lock) == 0);
        lh_vindex_unref(rebuild->old); /* the collection's reference */
    }
    lh_collection_end_writing(rebuild->collection);
    if (code == LH_OK && !*ret_few)
        code = rebuild->copied == 0 ? copy_graph(rebuild, end, codes, err)
                                    : copy_slots(rebuild, end, err);
    lh_codes_unref(codes);
    return code;
}

lh_code lh_collection_rebuild(struct lh_collection *collection, bool (*stopping)(const void *ctx),
                              const void *ctx, struct lh_error *err)
{
    struct lh_commons *commons = collection->commons;
    struct rebuild rebuild = {.collection = collection, .stopping = stopping, .ctx = ctx};
    LH_TRY(lh_collection_index(collection, &rebuild.old, err));
    lh_code code = lh_vindex_new(&rebuild.old->config, &commons->budget, commons->reserve_bytes,
                                 &rebuild.built, err);
    rebuild.builder = lh_commons_take_builder(commons);
    bool few = false;
    while (code == LH_OK && !few)
        code = copy_round(&rebuild, &few, err);
    lh_commons_give_builder(commons, rebuild.builder);
    lh_vindex_unref(rebuild.built);
    lh_vindex_unref(rebuild.old);
    free(rebuild.dead);
    if (code == LH_OK)
        atomic_fetch_add(&commons->rebuilds, 1);
    return code;
}

/* ---- folding ---- */

static lh_code freeze(struct lh_collection *collection, struct lh_frozen **ret_frozen,
                      uint64_t *ret_log_bytes, struct lh_error *err)
{
    lh_collection_begin_writing(collection);
    *ret_log_bytes = collection->figures.log_bytes;
    lh_code code = lh_frozen_new(collection->index, collection->figures.sequence, ret_frozen, err);
    lh_collection_end_writing(collection);
    return code;
}

/* Feeds a reader until it knows the envelope, and lets the rest go by. */
static lh_code read_envelope(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    uint64_t sequence;
    if (lh_lhv1_reader_config(ctx, &sequence) != NULL)
        return LH_OK;
    return lh_lhv1_reader_feed(ctx, bytes, len, err);
}

/* Our own earlier PUT may have landed after we gave it up: then the snapshot has another etag than
 * we know. It is ours if it has our UUID; its etag is taken over. */
static lh_code learn_etag(struct lh_collection *collection, const struct lh_frozen *frozen,
                          struct lh_error *err)
{
    struct lh_commons *commons = collection->commons;
    const struct lh_lhv1_limits limits = {.name = collection->name,
                                          .reserve_bytes = commons->reserve_bytes};
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&limits);
    struct lh_object_info info = {0};
    lh_deadline deadline = lh_deadline_in_ms(commons->settings->load_timeout);
    lh_code code = lh_objects_get_snapshot(commons, collection->name, deadline, read_envelope,
                                           reader, &info, err);
    uint64_t sequence = 0;
    const struct lh_vindex_config *found = lh_lhv1_reader_config(reader, &sequence);
    if (code == LH_OK && (found == NULL || strcmp(found->uuid, frozen->index->config.uuid) != 0 ||
                          sequence > frozen->sequence))
        code = lh_fail(err, LH_CONFLICT, "the snapshot of '%s' was replaced by somebody else",
                       collection->name);
    lh_lhv1_reader_free(reader);
    if (code == LH_OK)
        memcpy(collection->etag, info.etag, LH_ETAG_SIZE);
    return code;
}

static lh_code write_snapshot(struct lh_collection *collection, const struct lh_frozen *frozen,
                              struct lh_error *err)
{
    uint64_t bytes = 0;
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = lh_objects_put_snapshot(collection->commons, collection->name, frozen,
                                           collection->etag, collection->etag, &bytes, &failure);
    if (code == LH_PRECONDITION) {
        LH_TRY(learn_etag(collection, frozen, err));
        code = lh_objects_put_snapshot(collection->commons, collection->name, frozen,
                                       collection->etag, collection->etag, &bytes, &failure);
    }
    if (code != LH_OK) {
        *err = failure;
        return code;
    }
    lh_mutex_lock(&collection->mutex);
    collection->figures.snapshot_sequence = frozen->sequence;
    collection->figures.snapshot_bytes = bytes;
    lh_mutex_unlock(&collection->mutex);
    return LH_OK;
}

lh_code lh_collection_fold(struct lh_collection *collection, struct lh_error *err)
{
    struct lh_commons *commons = collection->commons;
    struct lh_frozen *frozen = NULL;
    uint64_t log_bytes = 0; /* of the objects that it covers */
    LH_TRY(freeze(collection, &frozen, &log_bytes, err));
    lh_code code = write_snapshot(collection, frozen, err);
    uint64_t covered = frozen->sequence;
    lh_frozen_free(frozen);
    if (code != LH_OK)
        return code;
    lh_mutex_lock(&collection->mutex);
    collection->figures.log_bytes -= log_bytes;
    lh_mutex_unlock(&collection->mutex);
    atomic_fetch_add(&commons->folds, 1);
    return lh_objects_sweep_log(commons, collection->name, covered, err);
}
