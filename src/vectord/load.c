/*
 * Bringing an index back. The log behind the snapshot must be whole: every sequence from the one
 * after the snapshot's to the last, each object sound. A gap or damage means that acknowledged
 * changes are missing, so the index is not served.
 *
 * What is left of an earlier index of the same name has another UUID and is passed over; so is what
 * the snapshot covers.
 */
#include "vectord/load.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/log.h"
#include "vectord/objects.h"

struct log_object {
    uint64_t sequence;
    uint64_t bytes;
};

struct loading {
    struct lh_collection *collection;
    lh_deadline deadline;
    bool (*stopping)(const void *ctx);
    const void *ctx;
    struct lh_vindex *index;
    struct lh_log_figures figures;
    char etag[LH_ETAG_SIZE];
    struct log_object *log; /* behind the snapshot, by sequence */
    size_t log_count, log_capacity;
};

static lh_code go_on(const struct loading *loading, struct lh_error *err)
{
    if (loading->stopping(loading->ctx))
        return lh_fail(err, LH_CANCELLED, "the service stops");
    if (lh_deadline_passed(loading->deadline))
        return lh_fail(err, LH_TIMEOUT, "loading takes longer than vectord.load_timeout");
    return LH_OK;
}

static lh_code load_snapshot(struct loading *loading, struct lh_error *err)
{
    struct lh_commons *commons = loading->collection->commons;
    const struct lh_lhv1_limits limits = {.name = loading->collection->name,
                                          .budget = &commons->budget,
                                          .reserve_bytes = commons->reserve_bytes};
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&limits);
    struct lh_object_info info = {0};
    lh_code code = lh_objects_get_snapshot(commons, loading->collection->name, loading->deadline,
                                           lh_lhv1_reader_feed, reader, &info, err);
    if (code == LH_OK)
        code = lh_lhv1_reader_finish(reader, &loading->index, &loading->figures.sequence, err);
    lh_lhv1_reader_free(reader);
    if (code != LH_OK)
        return lh_fail_context(err, "the snapshot");
    memcpy(loading->etag, info.etag, LH_ETAG_SIZE);
    loading->figures.snapshot_sequence = loading->figures.sequence;
    loading->figures.snapshot_bytes = info.size;
    return LH_OK;
}

static lh_code on_log(void *ctx, uint64_t sequence, uint64_t bytes, struct lh_error *err)
{
    (void)err;
    struct loading *loading = ctx;
    if (sequence <= loading->figures.snapshot_sequence)
        return LH_OK;
    loading->log = lh_grow(loading->log, &loading->log_capacity, loading->log_count + 1,
                           sizeof(*loading->log));
    loading->log[loading->log_count++] = (struct log_object){sequence, bytes};
    return LH_OK;
}

enum { PIECE = 8 * LH_HNSW_LINK_MAX };

/* Applies in pieces, so that the deadline is looked at between them. */
static lh_code apply(struct loading *loading, const struct lh_batch *batch, struct lh_error *err)
{
    const struct lh_vindex_need need = lh_batch_need(batch);
    LH_TRY(lh_vindex_reserve(loading->index, &need, err));
    struct lh_builder_node *node = lh_commons_take_builder(loading->collection->commons);
    struct lh_applied applied = {0};
    lh_code code = LH_OK;
    for (size_t i = 0; i < batch->count && code == LH_OK; i += PIECE) {
        size_t count = batch->count - i < PIECE ? batch->count - i : PIECE;
        lh_vindex_apply(loading->index, batch->changes + i, count, node->builder, NULL, &applied);
        code = go_on(loading, err);
    }
    lh_commons_give_builder(loading->collection->commons, node);
    return code;
}

static lh_code replay(struct loading *loading, const struct log_object *object,
                      struct lh_error *err)
{
    struct lh_collection *collection = loading->collection;
    LH_AUTO_BUF struct lh_buf bytes = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_lhvl_head head;
    LH_TRY(
        lh_objects_get_log(collection->commons, collection->name, object->sequence, &bytes, err));
    LH_TRY(lh_lhvl_head(lh_buf_str(&bytes), &head, err));
    if (!lh_str_is(lh_str_from(head.uuid), loading->index->config.uuid))
        return LH_OK;
    if (head.sequence != object->sequence || head.sequence != loading->figures.sequence + 1)
        return lh_fail(err, LH_CORRUPT, "%llu was expected, it says %llu",
                       (unsigned long long)loading->figures.sequence + 1,
                       (unsigned long long)head.sequence);
    LH_TRY(lh_lhvl_decode(lh_buf_str(&bytes), &loading->index->config, &batch, &head, err));
    LH_TRY(apply(loading, &batch, err));
    loading->figures.sequence++;
    loading->figures.log_bytes += bytes.len;
    return LH_OK;
}

static lh_code load_log(struct loading *loading, struct lh_error *err)
{
    struct lh_collection *collection = loading->collection;
    LH_TRY(lh_objects_list_log(collection->commons, collection->name, on_log, loading, err));
    for (size_t i = 0; i < loading->log_count; i++) {
        LH_TRY(go_on(loading, err));
        if (replay(loading, &loading->log[i], err) != LH_OK)
            return lh_fail_context(err, "log object %llu",
                                   (unsigned long long)loading->log[i].sequence);
    }
    return LH_OK;
}

lh_code lh_collection_load(struct lh_collection *collection, bool (*stopping)(const void *ctx),
                           const void *ctx, struct lh_error *err)
{
    struct loading loading = {.collection = collection,
                              .deadline =
                                  lh_deadline_in_ms(collection->commons->settings->load_timeout),
                              .stopping = stopping,
                              .ctx = ctx};
    lh_code code = load_snapshot(&loading, err);
    if (code == LH_OK)
        code = load_log(&loading, err);
    free(loading.log);
    if (code == LH_OK) {
        lh_collection_set_ready(collection, loading.index, &loading.figures, loading.etag);
        return LH_OK;
    }
    lh_vindex_unref(loading.index);
    if (code != LH_CANCELLED)
        lh_collection_set_failed(collection, err);
    return code;
}
