/*
 * catalogd as a service: its life cycle, health and figures.
 */
#include "catalogd/api.h"

#include "base/log.h"
#include "base/mem.h"
#include "service/service.h"
#include "store/objstore.h"

enum { NAMED_MAX = 10, LOG_PAGE = 100, PROBE_MS = 200 };

/* A waiting change feed holds a worker: half of them stay free for everything else. */
static size_t waiters_max(const struct lh_settings *settings)
{
    int64_t most = settings->http.workers_max / 2;
    return (size_t)(settings->catalogd.waiters_max < most ? settings->catalogd.waiters_max : most);
}

static lh_code open_service(const struct lh_settings *settings, struct lh_service_host *host,
                            void **ret_state, struct lh_error *err)
{
    const struct lh_catalogd_settings *own = &settings->catalogd;
    struct lh_objstore *store = NULL;
    LH_TRY(lh_objstore_open_http(own->storaged_url, lh_service_client(host), &store, err));
    struct lh_catalogd *catalogd = lh_calloc(1, sizeof(*catalogd));
    *catalogd = (struct lh_catalogd){
        .store = store,
        .host = host,
        .limits = {.columns_max = (size_t)own->columns_max,
                   .objects_max = (size_t)own->objects_max},
        .body_bytes_max = (size_t)own->body_bytes_max,
        .wait_ms_max = own->wait_max,
    };
    const struct lh_catalog_options options = {
        .store = store,
        .manifest_bytes_max = (size_t)own->manifest_bytes_max,
        .datasets_max = (size_t)own->datasets_max,
        .snapshots_max = (size_t)own->snapshots_max,
        .load_parallel = (size_t)own->load_parallel,
        .load_timeout_ms = own->load_timeout,
        .storage_timeout_ms = own->storage_timeout,
        .waiters_max = waiters_max(settings),
    };
    catalogd->catalog = lh_catalog_new(&options);
    *ret_state = catalogd;
    return LH_OK;
}

static bool is_stopping(const void *ctx)
{
    return lh_service_stopping(ctx);
}

/* Names each manifest that cannot be read, in the log; /health repeats the first few. */
static void log_unreadable(const struct lh_catalogd *catalogd)
{
    char cursor[LH_NAME_MAX + 1] = "!"; /* behind the last name */
    while (cursor[0] != '\0') {
        LH_AUTO(lh_catalog_page_deinit) struct lh_catalog_page page = {0};
        lh_catalog_list(catalogd->catalog, LH_STR(""), lh_str_from(cursor), LOG_PAGE, &page);
        for (size_t i = 0; i < page.count; i++)
            lh_log_error(LH_LOG_ERROR, "a manifest cannot be read", page.items[i].failure);
        memcpy(cursor, page.next, sizeof(cursor));
    }
}

static lh_code start_service(void *state, struct lh_error *err)
{
    const struct lh_catalogd *catalogd = state;
    lh_mono start = lh_mono_now();
    lh_code code = lh_catalog_load(catalogd->catalog, is_stopping, catalogd->host, err);
    if (code == LH_CANCELLED)
        return LH_OK; /* SIGTERM while starting: an orderly end */
    LH_TRY(code);
    struct lh_catalog_stats stats;
    lh_catalog_stats(catalogd->catalog, &stats);
    LH_LOG(INFO, "catalog loaded", LH_LOG_INT("datasets", stats.datasets),
           LH_LOG_INT("unreadable", stats.unreadable), LH_LOG_INT("ms", lh_mono_since_ms(start)));
    if (stats.unreadable > 0)
        log_unreadable(catalogd);
    return LH_OK;
}

static void stopping(void *state)
{
    const struct lh_catalogd *catalogd = state;
    lh_catalog_stop(catalogd->catalog);
}

static void close_service(void *state)
{
    struct lh_catalogd *catalogd = state;
    lh_catalog_free(catalogd->catalog);
    lh_objstore_close(catalogd->store);
    free(catalogd);
}

/* ---- health ---- */

static void report_unreadable(const struct lh_catalogd *catalogd, size_t total,
                              struct lh_health *health)
{
    LH_AUTO(lh_catalog_page_deinit) struct lh_catalog_page page = {0};
    lh_catalog_list(catalogd->catalog, LH_STR(""), LH_STR("!"), NAMED_MAX, &page);
    for (size_t i = 0; i < page.count; i++)
        lh_health_degraded(health, "dataset %s: %s", page.items[i].dataset_id,
                           page.items[i].failure->message);
    if (total > page.count)
        lh_health_degraded(health, "%zu more manifests cannot be read", total - page.count);
}

/* After a failure the store is asked, so that its return is seen without traffic. */
static bool store_is_away(const struct lh_catalogd *catalogd)
{
    struct lh_object_info info;
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = lh_objstore_head(catalogd->store, LH_STR("_catalog/probe"),
                                    lh_deadline_in_ms(PROBE_MS), &info, &failure);
    struct lh_catalog_stats stats;
    lh_catalog_note_store(catalogd->catalog, code);
    lh_catalog_stats(catalogd->catalog, &stats);
    return stats.store_away;
}

static void health(void *state, struct lh_health *health)
{
    const struct lh_catalogd *catalogd = state;
    struct lh_catalog_stats stats;
    lh_catalog_stats(catalogd->catalog, &stats);
    lh_health_count(health, "datasets", stats.datasets);
    lh_health_count(health, "unreadable", stats.unreadable);
    if (stats.store_away && store_is_away(catalogd))
        lh_health_degraded(health,
                           "storaged does not answer: reads go on from memory, changes fail");
    if (stats.unreadable > 0)
        report_unreadable(catalogd, stats.unreadable, health);
}

/* ---- figures ---- */

static void one(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
                double value, const char *help)
{
    lh_metric(metrics, name, type, help);
    lh_metric_value(metrics, name, value, NULL);
}

static void write_metrics(void *state, struct lh_metrics *metrics)
{
    const struct lh_catalogd *catalogd = state;
    struct lh_catalog_stats stats;
    lh_catalog_stats(catalogd->catalog, &stats);
    one(metrics, "lakehouse_catalogd_datasets", LH_GAUGE, (double)stats.datasets,
        "Datasets in the catalog");
    one(metrics, "lakehouse_catalogd_unreadable_manifests", LH_GAUGE, (double)stats.unreadable,
        "Manifests that cannot be read");
    one(metrics, "lakehouse_catalogd_commits_total", LH_COUNTER, (double)stats.commits,
        "Manifests written");
    one(metrics, "lakehouse_catalogd_conflicts_total", LH_COUNTER, (double)stats.conflicts,
        "Conditional writes that lost against another writer");
    one(metrics, "lakehouse_catalogd_waiters", LH_GAUGE, (double)stats.waiters,
        "Change feeds that wait");
    one(metrics, "lakehouse_catalogd_store_away", LH_GAUGE, stats.store_away,
        "1 when the last call to storaged failed");
}

const struct lh_service lh_catalogd_service = {
    .name = "catalogd",
    .summary = "the catalog of datasets",
    .routes = lh_catalogd_routes,
    .route_count = LH_CATALOGD_ROUTES,
    .stateless = true,
    .open = open_service,
    .start = start_service,
    .health = health,
    .metrics = write_metrics,
    .stopping = stopping,
    .close = close_service,
};
