/*
 * storaged as a service: its life cycle, health and figures.
 */
#include "base/log.h"
#include "base/mem.h"
#include "service/service.h"
#include "storaged/api.h"
#include "storaged/remote.h"
#include "storaged/s3.h"

#include <string.h>

enum { DAMAGED_TEXT_MAX = 4096 };

static lh_code open_store(struct lh_storaged *storaged, const struct lh_storaged_settings *own,
                          const char *dir, struct lh_error *err)
{
    const struct lh_store_options options = {
        .dir = dir,
        .object_bytes_max = (uint64_t)own->max_object_bytes,
        .upload_budget_bytes = (uint64_t)own->upload_budget_bytes,
        .inline_bytes_max = (uint64_t)own->inline_bytes_max,
        .reserve_bytes = (uint64_t)own->reserve_bytes,
        .stale_upload_ms = own->stale_upload_age,
    };
    struct lh_store_stats stats;
    LH_TRY(lh_store_open(&options, &storaged->store, err));
    lh_store_stats(storaged->store, &stats);
    LH_LOG(INFO, "store opened", LH_LOG_STR("dir", options.dir),
           LH_LOG_INT("objects", stats.objects), LH_LOG_INT("bytes", stats.bytes));
    return LH_OK;
}

static lh_code open_service(const struct lh_settings *settings, struct lh_service_host *host,
                            void **ret_state, struct lh_error *err)
{
    const struct lh_storaged_settings *own = &settings->storaged;
    bool is_remote = strcmp(own->backend, "s3") == 0;
    struct lh_storaged *storaged = lh_calloc(1, sizeof(*storaged));
    storaged->host = host;
    storaged->keys = lh_service_keys(host);
    storaged->object_bytes_max = own->max_object_bytes;
    storaged->list_limit_max = (size_t)own->list_limit_max;
    storaged->check_bytes_per_second = (uint64_t)own->check_bytes_per_second;
    storaged->s3_domain = own->s3_domain; /* the settings outlive the service */
    storaged->s3_region = own->s3_region;
    lh_code code = is_remote ? lh_remote_open(own, &storaged->remote, err)
                             : open_store(storaged, own, lh_service_dir(host), err);
    if (code != LH_OK) {
        free(storaged);
        return code;
    }
    *ret_state = storaged;
    return LH_OK;
}

static bool is_stopping(const void *ctx)
{
    return lh_service_stopping(ctx);
}

/* An external store is tried before the first request is taken. */
static lh_code start_service(void *state, struct lh_error *err)
{
    struct lh_storaged *storaged = state;
    if (storaged->remote == NULL)
        return LH_OK;
    struct lh_remote_facts facts;
    LH_TRY(lh_remote_probe(storaged->remote, is_stopping, storaged->host, err));
    lh_remote_facts(storaged->remote, &facts);
    LH_LOG(INFO, "external store found fit", LH_LOG_STR("endpoint", facts.endpoint),
           LH_LOG_STR("bucket", facts.bucket), LH_LOG_STR("prefix", facts.prefix),
           LH_LOG_INT("deletes_by_etag", facts.deletes_by_etag));
    return LH_OK;
}

static void close_service(void *state)
{
    struct lh_storaged *storaged = state;
    lh_store_close(storaged->store);
    lh_remote_close(storaged->remote);
    free(storaged);
}

/* ---- health ---- */

static void add_name(void *ctx, lh_str key)
{
    struct lh_buf *names = ctx;
    if (names->len > 0)
        lh_buf_append_cstr(names, ", ");
    lh_buf_append_str(names, key);
}

static void store_health(struct lh_store *store, struct lh_health *health)
{
    struct lh_store_stats stats;
    lh_store_stats(store, &stats);
    lh_health_count(health, "objects", stats.objects);
    lh_health_count(health, "bytes", stats.bytes);
    lh_health_count(health, "free_bytes", stats.free_bytes);
    lh_health_count(health, "damaged", stats.damaged);
    lh_health_fact(health, "mode", stats.read_only ? "read-only" : "read-write");
    if (stats.read_only)
        lh_health_degraded(health, "no writes are taken: %s", stats.read_only_reason);
    if (stats.damaged_pages > 0)
        lh_health_degraded(health, "%llu pages of the index are damaged",
                           (unsigned long long)stats.damaged_pages);
    if (stats.damaged > 0) {
        LH_AUTO_BUF struct lh_buf names = LH_BUF_INIT(DAMAGED_TEXT_MAX);
        lh_store_damaged(store, add_name, &names);
        lh_health_degraded(health, "damaged objects: %.*s", LH_FMT(lh_buf_str(&names)));
    }
}

static void remote_health(struct lh_remote *remote, struct lh_health *health)
{
    struct lh_remote_facts facts;
    char when[LH_RFC3339_SIZE];
    lh_remote_facts(remote, &facts);
    lh_health_fact(health, "backend", "s3");
    lh_health_fact(health, "endpoint", facts.endpoint);
    lh_health_fact(health, "bucket", facts.bucket);
    lh_health_fact(health, "prefix", facts.prefix);
    lh_health_fact(health, "conditional_delete", facts.deletes_by_etag ? "store" : "looked up");
    lh_health_fact(health, "conditions_in_parts", facts.parts_with_conditions ? "yes" : "refused");
    lh_health_count(health, "requests", facts.client.requests);
    lh_health_count(health, "repeats", facts.client.repeats);
    lh_health_count(health, "failures", facts.client.failures);
    if (facts.client.last_error_ms != 0) {
        lh_format_rfc3339(facts.client.last_error_ms, when);
        lh_health_fact(health, "last_error", facts.client.last_error);
        lh_health_fact(health, "last_error_at", when);
    }
    if (facts.client.failed_in_row > 0)
        lh_health_degraded(health, "the external store fails: %s", facts.client.last_error);
}

static void health(void *state, struct lh_health *health)
{
    const struct lh_storaged *storaged = state;
    if (storaged->remote != NULL)
        remote_health(storaged->remote, health);
    else
        store_health(storaged->store, health);
}

/* ---- figures ---- */

static void one(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
                double value, const char *help)
{
    lh_metric(metrics, name, type, help);
    lh_metric_value(metrics, name, value, NULL);
}

static void remote_metrics(struct lh_remote *remote, struct lh_metrics *metrics)
{
    struct lh_remote_facts facts;
    lh_remote_facts(remote, &facts);
    const struct lh_s3_client_stats *stats = &facts.client;
    one(metrics, "lakehouse_storaged_remote_requests_total", LH_COUNTER, (double)stats->requests,
        "Requests to the external store, repeats included");
    one(metrics, "lakehouse_storaged_remote_repeats_total", LH_COUNTER, (double)stats->repeats,
        "Requests that were sent again");
    one(metrics, "lakehouse_storaged_remote_failures_total", LH_COUNTER, (double)stats->failures,
        "Operations that failed because of the external store");
    one(metrics, "lakehouse_storaged_remote_sent_bytes_total", LH_COUNTER,
        (double)stats->sent_bytes, "Bytes of bodies sent to the external store");
    one(metrics, "lakehouse_storaged_remote_received_bytes_total", LH_COUNTER,
        (double)stats->received_bytes, "Bytes of bodies received from it");
    one(metrics, "lakehouse_storaged_remote_failing", LH_GAUGE, stats->failed_in_row > 0,
        "1 when the last operation failed because of the external store");
    one(metrics, "lakehouse_storaged_upload_bytes", LH_GAUGE, (double)stats->buffer_bytes,
        "Memory of uploads in flight");
}

static void store_metrics(struct lh_store *store, struct lh_metrics *metrics)
{
    struct lh_store_stats stats;
    lh_store_stats(store, &stats);
    one(metrics, "lakehouse_storaged_objects", LH_GAUGE, (double)stats.objects, "Objects stored");
    one(metrics, "lakehouse_storaged_object_bytes", LH_GAUGE, (double)stats.bytes,
        "Bytes of all objects");
    one(metrics, "lakehouse_storaged_free_bytes", LH_GAUGE, (double)stats.free_bytes,
        "Free bytes of the disk");
    one(metrics, "lakehouse_storaged_read_only", LH_GAUGE, stats.read_only,
        "1 when no writes are taken");
    one(metrics, "lakehouse_storaged_damaged_objects", LH_GAUGE, (double)stats.damaged,
        "Objects found damaged since the start");
    one(metrics, "lakehouse_storaged_damaged_index_pages", LH_GAUGE, (double)stats.damaged_pages,
        "Pages of the index found damaged since the start");
    one(metrics, "lakehouse_storaged_fsyncs_total", LH_COUNTER, (double)stats.fsyncs,
        "fsync and fdatasync calls");
    one(metrics, "lakehouse_storaged_fsync_seconds_total", LH_COUNTER, stats.fsync_seconds,
        "Time in them");
    one(metrics, "lakehouse_storaged_commit_groups_total", LH_COUNTER, (double)stats.groups,
        "Groups of changes, each one transaction and one fsync");
    one(metrics, "lakehouse_storaged_commits_total", LH_COUNTER, (double)stats.group_requests,
        "Changes in them");
    one(metrics, "lakehouse_storaged_orphans_swept_total", LH_COUNTER, (double)stats.orphans_swept,
        "Files left by a crash and removed");
    one(metrics, "lakehouse_storaged_uploads", LH_GAUGE, (double)stats.uploads,
        "Uploads in flight");
    one(metrics, "lakehouse_storaged_upload_bytes", LH_GAUGE, (double)stats.upload_bytes,
        "Memory of uploads in flight");
}

static void write_metrics(void *state, struct lh_metrics *metrics)
{
    const struct lh_storaged *storaged = state;
    if (storaged->remote != NULL)
        remote_metrics(storaged->remote, metrics);
    else
        store_metrics(storaged->store, metrics);
}

const struct lh_service lh_storaged_service = {
    .name = "storaged",
    .summary = "the object store of a lakehouse",
    .routes = lh_storaged_routes,
    .wants_rest = lh_s3_is_host_of_bucket,
    .route_count = LH_STORAGED_ROUTES,
    .asks_for_keys = true,
    .open = open_service,
    .start = start_service,
    .health = health,
    .metrics = write_metrics,
    .close = close_service,
};
