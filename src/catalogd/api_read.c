/*
 * The handlers that read. An answer is written into a buffer; what grows beyond the buffer's window
 * is streamed, so that a dataset of many objects needs no memory for its text.
 */
#include "catalogd/api.h"

#include "base/json.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum { WINDOW_BYTES = 64 << 10, LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };
/* One item of any list: the longest text that a manifest may hold is a stats object. */
static const size_t item_bytes_max = (size_t)1 << 30;

struct reply {
    struct lh_http_exchange *x;
    struct lh_buf buf;
    struct lh_json json;
};

static void reply_deinit(struct reply *reply)
{
    lh_buf_deinit(&reply->buf);
}

static void reply_init(struct reply *reply, struct lh_http_exchange *x)
{
    *reply = (struct reply){.x = x, .buf = LH_BUF_INIT(item_bytes_max)};
    reply->json = LH_JSON_TO(&reply->buf);
}

/* Between two items: sends what has gathered once there is a window of it. */
static lh_code reply_flush(struct reply *reply, struct lh_error *err)
{
    if (reply->buf.len < WINDOW_BYTES)
        return LH_OK;
    if (!lh_http_started(reply->x))
        LH_TRY(lh_http_start(reply->x, 200, "application/json", -1, err));
    LH_TRY(lh_http_write(reply->x, reply->buf.data, reply->buf.len, err));
    lh_buf_reset(&reply->buf);
    return LH_OK;
}

static lh_code reply_end(struct reply *reply, struct lh_error *err)
{
    if (!lh_http_started(reply->x))
        return lh_http_reply_json(reply->x, 200, &reply->buf, err);
    LH_TRY(lh_http_write(reply->x, reply->buf.data, reply->buf.len, err));
    return lh_http_finish(reply->x, err);
}

static void put_time(struct lh_json *json, const char *key, lh_time_ms time)
{
    char text[LH_RFC3339_SIZE];
    lh_format_rfc3339(time, text);
    lh_json_kcstr(json, key, text);
}

static lh_code read_limit(const struct lh_http_exchange *x, size_t *ret_limit, struct lh_error *err)
{
    uint64_t limit = LIMIT_DEFAULT;
    LH_TRY(lh_http_query_u64(x, "limit", 1, UINT64_MAX, &limit, err));
    *ret_limit = limit < LIMIT_MAX ? (size_t)limit : LIMIT_MAX;
    return LH_OK;
}

/* What every view of a dataset begins with. */
static void put_head(struct lh_json *json, const struct lh_dataset *dataset,
                     const struct lh_snapshot *snapshot)
{
    lh_json_kstr(json, "dataset", dataset->parts.name);
    lh_json_kcstr(json, "dataset_id", dataset->parts.id);
    lh_json_kstr(json, "fingerprint", lh_dataset_schema(dataset, snapshot->schema_id)->fingerprint);
    lh_json_ki64(json, "snapshot", snapshot->id);
    lh_json_kcstr(json, "version", dataset->parts.nonce);
    put_time(json, "created", dataset->parts.created);
    put_time(json, "updated", snapshot->time);
    lh_json_ki64(json, "rows", snapshot->rows);
    lh_json_ki64(json, "bytes", snapshot->bytes);
}

/* ---- the list ---- */

static void put_item(struct lh_json *json, const struct lh_catalog_item *item)
{
    lh_json_object(json);
    if (item->dataset) {
        put_head(json, item->dataset, lh_dataset_head(item->dataset));
        lh_json_kcstr(json, "status", "ok");
    } else {
        lh_json_kcstr(json, "dataset", NULL);
        lh_json_kcstr(json, "dataset_id", item->dataset_id);
        lh_json_kcstr(json, "status", "damaged");
        lh_json_kcstr(json, "code", lh_code_word(item->failure->code));
        lh_json_kcstr(json, "detail", item->failure->message);
    }
    lh_json_object_end(json);
}

lh_code lh_catalogd_list(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    size_t limit = 0;
    lh_str prefix = LH_STR(""), cursor = LH_STR("");
    LH_TRY(read_limit(x, &limit, err));
    lh_http_query(x, "prefix", &prefix);
    lh_http_query(x, "cursor", &cursor);
    LH_AUTO(lh_catalog_page_deinit) struct lh_catalog_page page = {0};
    lh_catalog_list(catalogd->catalog, prefix, cursor, limit, &page);

    LH_AUTO(reply_deinit) struct reply reply;
    reply_init(&reply, x);
    lh_json_object(&reply.json);
    lh_json_key(&reply.json, "items");
    lh_json_array(&reply.json);
    for (size_t i = 0; i < page.count; i++) {
        put_item(&reply.json, &page.items[i]);
        LH_TRY(reply_flush(&reply, err));
    }
    lh_json_array_end(&reply.json);
    lh_json_kcstr(&reply.json, "next", page.next[0] != '\0' ? page.next : NULL);
    lh_json_object_end(&reply.json);
    return reply_end(&reply, err);
}

/* ---- one dataset ---- */

/* The snapshot that ?snapshot= or ?as_of= asks for; *ret_snapshot alone without them. */
static lh_code choose_snapshot(const struct lh_http_exchange *x, const struct lh_dataset *dataset,
                               const struct lh_snapshot **ret_snapshot, struct lh_error *err)
{
    const struct lh_snapshot *oldest = &dataset->parts.snapshots[0];
    const struct lh_snapshot *head = lh_dataset_head(dataset), *chosen = *ret_snapshot;
    uint64_t id = 0;
    lh_str as_of = LH_STR_NONE;
    LH_TRY(lh_http_query_u64(x, "snapshot", 1, INT64_MAX, &id, err));
    bool by_time = lh_http_query(x, "as_of", &as_of);
    if (id != 0 && by_time)
        return lh_fail(err, LH_INVALID, "snapshot and as_of exclude each other");
    if (id != 0) {
        chosen = lh_dataset_find_snapshot(dataset, (int64_t)id);
        if (!chosen)
            return lh_fail(err, LH_NOT_FOUND,
                           "dataset '%.*s' has no snapshot %" PRIu64 " (kept are %" PRId64
                           " to %" PRId64 ")",
                           LH_FMT(dataset->parts.name), id, oldest->id, head->id);
    }
    if (by_time) {
        lh_time_ms time = 0;
        if (!lh_parse_rfc3339(as_of, &time))
            return lh_fail(err, LH_INVALID, "as_of is a time like 2026-11-22T15:04:05Z");
        chosen = lh_dataset_as_of(dataset, time);
        if (!chosen)
            return lh_fail(err, LH_NOT_FOUND, "dataset '%.*s' has no snapshot that old",
                           LH_FMT(dataset->parts.name));
    }
    *ret_snapshot = chosen;
    return LH_OK;
}

static lh_code put_schema(struct reply *reply, const struct lh_dataset *dataset,
                          const struct lh_snapshot *snapshot, struct lh_error *err)
{
    const struct lh_schema *schema = lh_dataset_schema(dataset, snapshot->schema_id);
    lh_json_key(&reply->json, "schema");
    lh_json_array(&reply->json);
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct lh_column *column = &dataset->parts.columns[schema->column_first + i];
        lh_json_object(&reply->json);
        lh_json_kstr(&reply->json, "name", column->name);
        lh_json_kstr(&reply->json, "type", column->type);
        lh_json_kbool(&reply->json, "nullable", column->nullable);
        lh_json_object_end(&reply->json);
        LH_TRY(reply_flush(reply, err));
    }
    lh_json_array_end(&reply->json);
    return LH_OK;
}

static void put_object(struct lh_json *json, const struct lh_object *object)
{
    lh_json_object(json);
    lh_json_kstr(json, "key", object->key);
    lh_json_ki64(json, "rows", object->rows);
    lh_json_ki64(json, "bytes", object->bytes);
    lh_json_key(json, "stats");
    lh_json_raw(json, object->stats.len > 0 ? object->stats : LH_STR("null"));
    lh_json_ki64(json, "snapshot", object->span.added);
    if (object->content_id.len > 0)
        lh_json_kstr(json, "content_id", object->content_id);
    else
        lh_json_kcstr(json, "content_id", NULL);
    lh_json_object_end(json);
}

static lh_code put_objects(struct reply *reply, const struct lh_dataset *dataset,
                           const struct lh_snapshot *snapshot, struct lh_error *err)
{
    lh_json_key(&reply->json, "objects");
    lh_json_array(&reply->json);
    for (size_t i = 0; i < dataset->parts.object_count; i++) {
        const struct lh_object *object = &dataset->parts.objects[i];
        if (!lh_span_holds(&object->span, snapshot->id))
            continue;
        put_object(&reply->json, object);
        LH_TRY(reply_flush(reply, err));
    }
    lh_json_array_end(&reply->json);
    return LH_OK;
}

lh_code lh_catalogd_get(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    char name[LH_NAME_MAX + 1];
    LH_TRY(lh_catalogd_name(x, name, err));
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    LH_TRY(lh_catalog_get(catalogd->catalog, lh_str_from(name), &dataset, err));
    const struct lh_snapshot *snapshot = lh_dataset_head(dataset);
    LH_TRY(choose_snapshot(x, dataset, &snapshot, err));

    LH_AUTO(reply_deinit) struct reply reply;
    reply_init(&reply, x);
    lh_json_object(&reply.json);
    put_head(&reply.json, dataset, snapshot);
    LH_TRY(put_schema(&reply, dataset, snapshot, err));
    LH_TRY(put_objects(&reply, dataset, snapshot, err));
    lh_json_object_end(&reply.json);
    return reply_end(&reply, err);
}

/* ---- history ---- */

static void put_snapshot(struct lh_json *json, const struct lh_snapshot *snapshot)
{
    lh_json_object(json);
    lh_json_ki64(json, "snapshot", snapshot->id);
    put_time(json, "time", snapshot->time);
    lh_json_kcstr(json, "operation", lh_operation_word(snapshot->operation));
    if (snapshot->restored != 0)
        lh_json_ki64(json, "restored", snapshot->restored);
    if (snapshot->content_id.len > 0)
        lh_json_kstr(json, "content_id", snapshot->content_id);
    lh_json_ki64(json, "rows_added", snapshot->rows_added);
    lh_json_ki64(json, "rows_removed", snapshot->rows_removed);
    lh_json_ki64(json, "bytes_added", snapshot->bytes_added);
    lh_json_ki64(json, "bytes_removed", snapshot->bytes_removed);
    lh_json_ki64(json, "objects_added", snapshot->objects_added);
    lh_json_ki64(json, "objects_removed", snapshot->objects_removed);
    lh_json_ki64(json, "rows", snapshot->rows);
    lh_json_ki64(json, "bytes", snapshot->bytes);
    lh_json_ki64(json, "objects", snapshot->objects);
    lh_json_object_end(json);
}

/* How many snapshots stand before the cursor, which is the id of the last one that was sent. */
static lh_code count_left(const struct lh_http_exchange *x, const struct lh_dataset *dataset,
                          size_t *ret_left, struct lh_error *err)
{
    uint64_t cursor = (uint64_t)lh_dataset_head(dataset)->id + 1;
    LH_TRY(lh_http_query_u64(x, "cursor", 1, INT64_MAX, &cursor, err));
    size_t left = dataset->parts.snapshot_count;
    while (left > 0 && dataset->parts.snapshots[left - 1].id >= (int64_t)cursor)
        left--;
    *ret_left = left;
    return LH_OK;
}

lh_code lh_catalogd_history(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    char name[LH_NAME_MAX + 1];
    size_t limit = 0, left = 0;
    LH_TRY(lh_catalogd_name(x, name, err));
    LH_TRY(read_limit(x, &limit, err));
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    LH_TRY(lh_catalog_get(catalogd->catalog, lh_str_from(name), &dataset, err));
    LH_TRY(count_left(x, dataset, &left, err));

    LH_AUTO(reply_deinit) struct reply reply;
    reply_init(&reply, x);
    lh_json_object(&reply.json);
    lh_json_kstr(&reply.json, "dataset", dataset->parts.name);
    lh_json_kcstr(&reply.json, "dataset_id", dataset->parts.id);
    lh_json_key(&reply.json, "items");
    lh_json_array(&reply.json);
    for (; limit > 0 && left > 0; limit--, left--) {
        put_snapshot(&reply.json, &dataset->parts.snapshots[left - 1]);
        LH_TRY(reply_flush(&reply, err));
    }
    lh_json_array_end(&reply.json);
    char next[24];
    snprintf(next, sizeof(next), "%" PRId64, left > 0 ? dataset->parts.snapshots[left].id : 0);
    lh_json_kcstr(&reply.json, "next", left > 0 ? next : NULL);
    lh_json_object_end(&reply.json);
    return reply_end(&reply, err);
}

/* ---- the change feed ---- */

struct waiting {
    struct lh_catalog *catalog;
    atomic_bool cancelled;
};

/* The client is gone, or the drain is over. */
static void on_cancel(void *ctx)
{
    struct waiting *waiting = ctx;
    atomic_store(&waiting->cancelled, true);
    lh_catalog_wake(waiting->catalog);
}

static void put_change(struct lh_json *json, const struct lh_change *change)
{
    lh_json_object(json);
    lh_json_kcstr(json, "dataset", change->dataset);
    lh_json_kcstr(json, "dataset_id", change->dataset_id);
    if (change->kind == LH_CHANGE_COMMIT) {
        lh_json_kcstr(json, "op", "commit");
        lh_json_ki64(json, "snapshot", change->snapshot);
        lh_json_kcstr(json, "version", change->version);
    } else {
        lh_json_kcstr(json, "op", "delete");
    }
    lh_json_object_end(json);
}

lh_code lh_catalogd_changes(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = service;
    lh_str since = LH_STR("");
    uint64_t wait_ms = 0;
    lh_http_query(x, "since", &since);
    LH_TRY(lh_http_query_u64(x, "wait_ms", 0, INT32_MAX, &wait_ms, err));
    int64_t ms =
        (int64_t)wait_ms < catalogd->wait_ms_max ? (int64_t)wait_ms : catalogd->wait_ms_max;

    struct waiting waiting = {.catalog = catalogd->catalog};
    atomic_init(&waiting.cancelled, false);
    lh_http_on_cancel(x, on_cancel, &waiting);
    LH_AUTO(lh_catalog_feed_deinit) struct lh_catalog_feed feed = {0};
    lh_code code = lh_catalog_changes(catalogd->catalog, since, lh_deadline_in_ms(ms),
                                      &waiting.cancelled, &feed, err);
    lh_http_on_cancel(x, NULL, NULL);
    LH_TRY(code);

    LH_AUTO(reply_deinit) struct reply reply;
    reply_init(&reply, x);
    lh_json_object(&reply.json);
    lh_json_kcstr(&reply.json, "cursor", feed.cursor);
    lh_json_kbool(&reply.json, "reset", feed.reset);
    lh_json_key(&reply.json, "changes");
    lh_json_array(&reply.json);
    for (size_t i = 0; i < feed.count; i++) {
        put_change(&reply.json, &feed.changes[i]);
        LH_TRY(reply_flush(&reply, err));
    }
    lh_json_array_end(&reply.json);
    lh_json_object_end(&reply.json);
    return reply_end(&reply, err);
}
