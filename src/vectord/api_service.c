/* vectord as a service: its life cycle, health and figures. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "vectord/api.h"

enum { NAMED_MAX = 10, PAGE = 100 };

static lh_code open_service(const struct lh_settings *settings, struct lh_service_host *host,
                            void **ret_state, struct lh_error *err)
{
    const struct lh_vectord_settings *own = &settings->vectord;
    struct lh_objstore *store = NULL;
    LH_TRY(lh_vectord_use_isa(own->isa, err));
    if (own->storaged_url[0] != '\0')
        LH_TRY(lh_objstore_open_http(own->storaged_url, lh_service_client(host), &store, err));
    struct lh_vector_api *api = lh_calloc(1, sizeof(*api));
    api->store = store;
    api->settings = own;
    api->host = host;
    api->body_budget.bytes_max = (uint64_t)own->body_budget_bytes;
    api->core = lh_vectord_new(own, store);
    *ret_state = api;
    return LH_OK;
}

static bool is_stopping(const void *ctx)
{
    return lh_service_stopping(ctx);
}

static lh_code start_service(void *state, struct lh_error *err)
{
    struct lh_vector_api *api = state;
    return lh_vectord_start(api->core, is_stopping, api->host, err);
}

static void stopping(void *state)
{
    struct lh_vector_api *api = state;
    lh_vectord_stop(api->core);
}

static void close_service(void *state)
{
    struct lh_vector_api *api = state;
    lh_vectord_free(api->core);
    lh_objstore_close(api->store);
    free(api);
}

/* ---- health and figures ---- */

struct totals {
    uint64_t indexes, unhealthy, items, deleted, memory_bytes, pending_bytes;
};

/* Adds up all indexes; names the unhealthy ones when `health` is given. */
static void add_up(struct lh_vector_api *api, struct totals *totals, struct lh_health *health)
{
    char last[LH_INDEX_NAME_MAX + 1] = "";
    size_t count = PAGE;
    while (count == PAGE) {
        struct lh_collection *page[PAGE];
        count = lh_vectord_list(api->core, LH_STR(""), lh_str_from(last), PAGE, page);
        for (size_t i = 0; i < count; i++) {
            struct lh_collection_stats stats;
            lh_collection_stats(page[i], &stats);
            totals->indexes++;
            totals->items += stats.live;
            totals->deleted += stats.dead;
            totals->memory_bytes += stats.memory_bytes;
            totals->pending_bytes += stats.pending_bytes;
            memcpy(last, page[i]->name, sizeof(last));
            if (stats.state != LH_COLLECTION_READY && ++totals->unhealthy <= NAMED_MAX &&
                health != NULL)
                lh_health_degraded(health, "index '%s' is %s%s%s", page[i]->name,
                                   lh_collection_state_name(stats.state),
                                   stats.problem.code == LH_OK ? "" : ": ", stats.problem.message);
            lh_collection_unref(page[i]);
        }
    }
    if (health != NULL && totals->unhealthy > NAMED_MAX)
        lh_health_degraded(health, "%llu more indexes are not served",
                           (unsigned long long)(totals->unhealthy - NAMED_MAX));
}

static void health(void *state, struct lh_health *health)
{
    struct lh_vector_api *api = state;
    const struct lh_commons *commons = lh_vectord_commons(api->core);
    struct totals totals = {0};
    add_up(api, &totals, health);
    lh_health_fact(health, "durability",
                   commons->store == NULL ? "ephemeral" : api->settings->durability);
    lh_health_count(health, "indexes", totals.indexes);
    lh_health_count(health, "items", totals.items);
    lh_health_count(health, "memory_bytes", totals.memory_bytes);
    uint64_t failures = atomic_load(&commons->storage_failing);
    if (failures > 0)
        lh_health_degraded(health,
                           "storaged failed %llu times in a row: searches go on, changes %s",
                           (unsigned long long)failures, commons->async ? "wait" : "fail");
    if (commons->async)
        lh_health_count(health, "pending_bytes", totals.pending_bytes);
}

static void one(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
                double value, const char *help)
{
    lh_metric(metrics, name, type, help);
    lh_metric_value(metrics, name, value, NULL);
}

static void counter(struct lh_metrics *metrics, const char *name, const atomic_uint_fast64_t *value,
                    const char *help)
{
    one(metrics, name, LH_COUNTER, (double)atomic_load(value), help);
}

static void write_metrics(void *state, struct lh_metrics *metrics)
{
    struct lh_vector_api *api = state;
    const struct lh_commons *commons = lh_vectord_commons(api->core);
    struct totals totals = {0};
    add_up(api, &totals, NULL);
    one(metrics, "lakehouse_vectord_indexes", LH_GAUGE, (double)totals.indexes, "Indexes.");
    one(metrics, "lakehouse_vectord_indexes_unhealthy", LH_GAUGE, (double)totals.unhealthy,
        "Indexes that are not served.");
    one(metrics, "lakehouse_vectord_items", LH_GAUGE, (double)totals.items,
        "Items of all indexes.");
    one(metrics, "lakehouse_vectord_items_dead", LH_GAUGE, (double)totals.deleted,
        "Deleted items that still take memory.");
    one(metrics, "lakehouse_vectord_memory_bytes", LH_GAUGE, (double)totals.memory_bytes,
        "Memory of all indexes.");
    one(metrics, "lakehouse_vectord_pending_bytes", LH_GAUGE, (double)totals.pending_bytes,
        "Changes that are not saved yet (durability async).");
    counter(metrics, "lakehouse_vectord_searches_total", &commons->searches, "Search requests.");
    counter(metrics, "lakehouse_vectord_queries_total", &commons->queries, "Queries in them.");
    counter(metrics, "lakehouse_vectord_items_put_total", &commons->items_added, "Items put.");
    counter(metrics, "lakehouse_vectord_items_deleted_total", &commons->items_deleted,
            "Items deleted.");
    counter(metrics, "lakehouse_vectord_commits_total", &commons->commits, "Log objects written.");
    counter(metrics, "lakehouse_vectord_commit_failures_total", &commons->commit_failures,
            "Log objects that could not be written.");
    counter(metrics, "lakehouse_vectord_folds_total", &commons->folds, "Snapshots written.");
    counter(metrics, "lakehouse_vectord_fold_failures_total", &commons->fold_failures,
            "Snapshots that could not be written.");
    counter(metrics, "lakehouse_vectord_rebuilds_total", &commons->rebuilds,
            "Indexes rebuilt without their deleted items.");
}

const struct lh_service lh_vectord_service = {
    .name = "vectord",
    .summary = "vector indexes: add, search, delete",
    .routes = lh_vector_routes,
    .route_count = LH_VECTOR_ROUTES,
    .open = open_service,
    .start = start_service,
    .health = health,
    .metrics = write_metrics,
    .stopping = stopping,
    .close = close_service,
};
