/*
 * Writing: the group commit. The protocol stands in collection.h.
 */
#include "vectord/commit.h"

#include <string.h>

#include "base/check.h"
#include "vectord/log.h"
#include "vectord/objects.h"

enum {
    GROUP_BYTES_MAX = 64 << 20, /* of log records, so that one commit does not grow without bound */
    TAKEN_SEQUENCES_MAX = 1000, /* adopted in one commit; beyond, something else is wrong */
};

/* A waiting batch. It lives on its owner's stack. */
struct lh_write {
    struct lh_write *next;
    const struct lh_batch *batch;
    struct lh_vindex_need need;
    bool taken; /* by a leader */
    bool done;
    lh_code code;
    struct lh_error err;
    struct lh_write_result result;
};

/* ---- the token ---- */

void lh_collection_begin_writing(struct lh_collection *collection)
{
    lh_mutex_lock(&collection->mutex);
    while (collection->writing)
        lh_cond_wait_until(&collection->changed, &collection->mutex, LH_NO_DEADLINE);
    collection->writing = true;
    lh_mutex_unlock(&collection->mutex);
}

void lh_collection_end_writing(struct lh_collection *collection)
{
    lh_mutex_lock(&collection->mutex);
    LH_CHECK(collection->writing);
    collection->writing = false;
    pthread_cond_broadcast(&collection->changed);
    lh_mutex_unlock(&collection->mutex);
}

/* ---- applying ---- */

void lh_collection_apply(struct lh_collection *collection, const struct lh_batch *batch,
                         struct lh_write_result *ret_result)
{
    struct lh_commons *commons = collection->commons;
    struct lh_builder_node *node = lh_commons_take_builder(commons);
    struct lh_applied applied = {0};
    lh_vindex_apply(collection->index, batch->changes, batch->count, node->builder,
                    &collection->lock, &applied);
    lh_commons_give_builder(commons, node);
    atomic_fetch_add(&commons->items_added, applied.added + applied.updated);
    atomic_fetch_add(&commons->items_deleted, applied.deleted);
    *ret_result = (struct lh_write_result){
        .added = applied.added, .updated = applied.updated, .deleted = applied.deleted};
}

/* ---- the log ---- */

static void count_log_object(struct lh_collection *collection, uint64_t bytes)
{
    lh_mutex_lock(&collection->mutex);
    collection->figures.sequence++;
    collection->figures.log_bytes += bytes;
    collection->idle_after = lh_deadline_in_ms(collection->commons->settings->fold_idle);
    lh_mutex_unlock(&collection->mutex);
}

/* One object on its way into the log. */
struct logging {
    struct lh_collection *collection;
    struct lh_buf *object;
    const struct lh_vindex_need *need;
    bool has_token;
    bool done; /* it is durable */
};

static struct lh_vindex_need sum_of(const struct lh_vindex_need *a, const struct lh_vindex_need *b)
{
    return (struct lh_vindex_need){a->items + b->items, a->id_bytes + b->id_bytes,
                                   a->metadata_bytes + b->metadata_bytes};
}

/* Applies what stands at the next sequence, unless it is ours, or belongs to an earlier index of
 * this name: that is removed. With the token. */
static lh_code adopt(struct logging *logging, struct lh_error *err)
{
    struct lh_collection *collection = logging->collection;
    const struct lh_vindex_config *config = &collection->index->config;
    uint64_t sequence = collection->figures.sequence + 1;
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    LH_TRY(lh_objects_get_log(collection->commons, collection->name, sequence, &object, err));
    if (lh_str_eq(lh_buf_str(&object), lh_buf_str(logging->object))) {
        count_log_object(collection, object.len);
        logging->done = true;
        return LH_OK;
    }
    struct lh_lhvl_head head;
    LH_TRY(lh_lhvl_head(lh_buf_str(&object), &head, err));
    if (!lh_str_is(lh_str_from(head.uuid), config->uuid))
        return lh_objects_delete_log(collection->commons, collection->name, sequence, err);
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    LH_TRY(lh_lhvl_decode(lh_buf_str(&object), config, &batch, &head, err));
    const struct lh_vindex_need own = lh_batch_need(&batch);
    const struct lh_vindex_need both = sum_of(&own, logging->need);
    LH_TRY(lh_vindex_reserve(collection->index, &both, err));
    struct lh_write_result result;
    lh_collection_apply(collection, &batch, &result);
    count_log_object(collection, object.len);
    return LH_OK;
}

static lh_code adopt_with_token(struct logging *logging, struct lh_error *err)
{
    if (!logging->has_token)
        lh_collection_begin_writing(logging->collection);
    lh_code code = adopt(logging, err);
    if (!logging->has_token)
        lh_collection_end_writing(logging->collection);
    return code;
}

/* One attempt. If it succeeds without the object being done, the next sequence is to be tried. */
static lh_code put_once(struct logging *logging, struct lh_error *err)
{
    struct lh_collection *collection = logging->collection;
    uint64_t sequence = collection->figures.sequence + 1;
    lh_lhvl_seal(sequence, logging->object);
    lh_code code = lh_objects_put_log(collection->commons, collection->name, sequence,
                                      lh_buf_str(logging->object), err);
    if (code == LH_OK) {
        count_log_object(collection, logging->object->len);
        logging->done = true;
        return LH_OK;
    }
    if (code != LH_PRECONDITION)
        return code;
    code = adopt_with_token(logging, err);
    return code == LH_NOT_FOUND ? LH_OK : code; /* it was removed meanwhile */
}

lh_code lh_commit_log(struct lh_collection *collection, struct lh_buf *object,
                      const struct lh_vindex_need *need, bool has_token, struct lh_error *err)
{
    struct lh_commons *commons = collection->commons;
    struct logging logging = {
        .collection = collection, .object = object, .need = need, .has_token = has_token};
    for (int attempt = 0; attempt < TAKEN_SEQUENCES_MAX; attempt++) {
        struct lh_error failure = LH_ERROR_INIT;
        if (put_once(&logging, &failure) != LH_OK) {
            atomic_fetch_add(&commons->commit_failures, 1);
            *err = failure;
            return failure.code;
        }
        if (logging.done) {
            atomic_fetch_add(&commons->commits, 1);
            return LH_OK;
        }
    }
    return lh_fail(err, LH_CONFLICT, "the log of '%s' is being written by somebody else",
                   collection->name);
}

/* ---- the group ---- */

/* The waiting writes, as many as fit one log object; at least one. With the mutex. */
static struct lh_write *take_group(struct lh_collection *collection)
{
    const struct lh_vindex_config *config = &collection->index->config;
    struct lh_write *group = collection->first;
    LH_CHECK(group != NULL);
    struct lh_write *end = group;
    uint64_t bytes = 0;
    for (struct lh_write *write = group; write != NULL; write = write->next) {
        bytes += lh_lhvl_batch_bytes(config, write->batch);
        if (write != group && bytes > GROUP_BYTES_MAX)
            break;
        write->taken = true;
        end = write;
    }
    collection->first = end->next;
    if (collection->first == NULL)
        collection->last = &collection->first;
    end->next = NULL;
    return group;
}

static void set_failed(struct lh_write *write, const struct lh_error *err)
{
    write->code = err->code;
    write->err = *err;
}

/* Makes room for all of them; who finds none fails alone. Returns what the others need. */
static struct lh_vindex_need reserve_group(struct lh_collection *collection, struct lh_write *group)
{
    struct lh_vindex_need need = {0};
    for (struct lh_write *write = group; write != NULL; write = write->next) {
        const struct lh_vindex_need sum = sum_of(&need, &write->need);
        struct lh_error err = LH_ERROR_INIT;
        if (lh_vindex_reserve(collection->index, &sum, &err) == LH_OK)
            need = sum;
        else
            set_failed(write, &err);
    }
    return need;
}

/* Deletes of ids that are not there change nothing, so nothing need be written; unless an object
 * whose outcome is unknown may bring them. */
static bool changes_nothing(const struct lh_collection *collection, const struct lh_write *group)
{
    if (collection->unsettled)
        return false;
    for (const struct lh_write *write = group; write != NULL; write = write->next) {
        for (size_t i = 0; write->code == LH_OK && i < write->batch->count; i++) {
            const struct lh_change *change = &write->batch->changes[i];
            if (change->kind == LH_CHANGE_UPSERT ||
                lh_vindex_find(collection->index, change->id) >= 0)
                return false;
        }
    }
    return true;
}

/* Appends the group's changes to a log object that is being made. */
static void append_group(const struct lh_collection *collection, const struct lh_write *group,
                         struct lh_buf *object)
{
    const struct lh_vindex_config *config = &collection->index->config;
    if (object->len == 0)
        lh_lhvl_begin(config, object);
    for (const struct lh_write *write = group; write != NULL; write = write->next) {
        if (write->code == LH_OK)
            lh_lhvl_append(config, write->batch, object);
    }
}

static lh_code make_durable(struct lh_collection *collection, const struct lh_write *group,
                            const struct lh_vindex_need *need, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(LH_LOG_OBJECT_BYTES_MAX);
    append_group(collection, group, &object);
    lh_code code = lh_commit_log(collection, &object, need, true, err);
    collection->unsettled = code != LH_OK;
    return code;
}

/* Durability async: the changes wait in `pending` for the keeper. They are put there before they
 * are applied, in the order in which they are applied. */
static lh_code remember(struct lh_collection *collection, const struct lh_write *group,
                        struct lh_error *err)
{
    size_t bytes_max = (size_t)collection->commons->settings->async_bytes_max;
    lh_code code = LH_OK;
    lh_mutex_lock(&collection->mutex);
    uint64_t waiting = collection->pending.len + collection->flushing_bytes;
    if (waiting > bytes_max)
        code = lh_fail(err, LH_BUSY, "%llu bytes of '%s' wait to be saved already",
                       (unsigned long long)waiting, collection->name);
    else
        append_group(collection, group, &collection->pending);
    lh_mutex_unlock(&collection->mutex);
    return code;
}

static lh_code check_writable(struct lh_collection *collection, struct lh_error *err)
{
    if (lh_collection_state(collection) == LH_COLLECTION_READY)
        return LH_OK;
    return lh_fail(err, LH_NOT_FOUND, "the index '%s' is being deleted", collection->name);
}

/* With the token, without the mutex. Fills code and result of each. */
static void commit_group(struct lh_collection *collection, struct lh_write *group)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_commons *commons = collection->commons;
    bool durable = commons->store != NULL && !commons->async;
    lh_code code = check_writable(collection, &err);
    if (code == LH_OK) {
        const struct lh_vindex_need need = reserve_group(collection, group);
        if (commons->store != NULL && !changes_nothing(collection, group))
            code = commons->async ? remember(collection, group, &err)
                                  : make_durable(collection, group, &need, &err);
    }
    for (struct lh_write *write = group; write != NULL; write = write->next) {
        if (write->code != LH_OK)
            continue;
        if (code != LH_OK) {
            set_failed(write, &err);
            continue;
        }
        lh_collection_apply(collection, write->batch, &write->result);
        write->result.durable = durable;
    }
}

/* ---- the queue ---- */

static void enqueue(struct lh_collection *collection, struct lh_write *write)
{
    *collection->last = write;
    collection->last = &write->next;
}

static void dequeue(struct lh_collection *collection, const struct lh_write *write)
{
    struct lh_write **at = &collection->first;
    while (*at != write)
        at = &(*at)->next;
    *at = write->next;
    if (*at == NULL)
        collection->last = at;
}

/* One turn as leader. With the mutex, which is released meanwhile. */
static void lead(struct lh_collection *collection)
{
    collection->writing = true;
    struct lh_write *group = take_group(collection);
    lh_mutex_unlock(&collection->mutex);
    commit_group(collection, group);
    lh_mutex_lock(&collection->mutex);
    while (group != NULL) {
        struct lh_write *next = group->next; /* a write that is done may be gone at once */
        group->done = true;
        group = next;
    }
    collection->writing = false;
    pthread_cond_broadcast(&collection->changed);
}

/* Until the write is done, by this thread or another. With the mutex. */
static void wait_or_lead(struct lh_collection *collection, struct lh_write *write)
{
    lh_deadline deadline = lh_commons_deadline(collection->commons);
    while (!write->done) {
        if (!collection->writing) {
            lead(collection);
            continue;
        }
        bool in_time = lh_cond_wait_until(&collection->changed, &collection->mutex,
                                          write->taken ? LH_NO_DEADLINE : deadline);
        if (in_time || write->taken || write->done)
            continue;
        dequeue(collection, write);
        write->code = lh_fail(&write->err, LH_TIMEOUT, "the writes before this one take too long");
        write->done = true;
    }
}

lh_code lh_collection_write(struct lh_collection *collection, const struct lh_batch *batch,
                            struct lh_write_result *ret_result, struct lh_error *err)
{
    struct lh_vindex *index;
    LH_TRY(lh_collection_index(collection, &index, err)); /* or why it cannot be written */
    lh_vindex_unref(index);
    if (batch->count == 0) {
        *ret_result = (struct lh_write_result){.durable = collection->commons->store != NULL &&
                                                          !collection->commons->async};
        return LH_OK;
    }
    struct lh_write write = {.batch = batch, .need = lh_batch_need(batch), .err = LH_ERROR_INIT};
    lh_mutex_lock(&collection->mutex);
    enqueue(collection, &write);
    wait_or_lead(collection, &write);
    lh_mutex_unlock(&collection->mutex);
    if (write.code != LH_OK) {
        *err = write.err;
        return write.code;
    }
    *ret_result = write.result;
    return LH_OK;
}
