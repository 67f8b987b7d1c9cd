/*
 * ingestd as a service: its life cycle, health and figures.
 */
#include "base/log.h"
#include "base/mem.h"
#include "ingestd/api.h"
#include "ingestd/catalog.h"
#include "service/service.h"
#include "store/objstore.h"

static void close_service(void *state)
{
    struct lh_ingestd *ingestd = state;
    lh_intake_close(ingestd->intake);
    lh_catalog_client_close(ingestd->catalog);
    lh_objstore_close(ingestd->store);
    free(ingestd);
}

static lh_code open_intake(const struct lh_ingestd_settings *own, struct lh_service_host *host,
                           struct lh_ingestd *ingestd, struct lh_error *err)
{
    struct lh_http_client *client = lh_service_client(host);
    LH_TRY(lh_objstore_open_http(own->storaged_url, client, &ingestd->store, err));
    LH_TRY(lh_catalog_client_open(own->catalogd_url, client, &ingestd->catalog, err));
    const struct lh_intake_options options = {
        .dir = lh_service_dir(host),
        .store = ingestd->store,
        .catalog = ingestd->catalog,
        .memory_bytes = own->memory_limit,
        .threads = own->threads,
        .columns_max = own->columns_max,
        .line_bytes_max = own->line_bytes_max,
        .sample_rows = own->sample_rows,
        .resample_bytes_max = own->resample_bytes_max,
        .convert_timeout_ms = own->timeout,
        .storage_timeout_ms = own->storage_timeout,
        .jobs_max = (size_t)own->jobs_max,
        .queue_max = (size_t)own->queue_max,
    };
    return lh_intake_open(&options, &ingestd->intake, err);
}

static lh_code open_service(const struct lh_settings *settings, struct lh_service_host *host,
                            void **ret_state, struct lh_error *err)
{
    struct lh_ingestd *ingestd = lh_calloc(1, sizeof(*ingestd));
    ingestd->body_bytes_max = settings->ingestd.body_bytes_max;
    lh_code code = open_intake(&settings->ingestd, host, ingestd, err);
    if (code != LH_OK) {
        close_service(ingestd);
        return code;
    }
    *ret_state = ingestd;
    return LH_OK;
}

static lh_code start_service(void *state, struct lh_error *err)
{
    const struct lh_ingestd *ingestd = state;
    struct lh_intake_stats stats;
    lh_intake_stats(ingestd->intake, &stats);
    if (stats.unsettled > 0)
        LH_LOG(INFO, "uploads of the last run are being settled",
               LH_LOG_INT("objects", stats.unsettled));
    return lh_intake_start(ingestd->intake, err);
}

static void stopping_service(void *state)
{
    const struct lh_ingestd *ingestd = state;
    lh_intake_stop(ingestd->intake);
}

static void health(void *state, struct lh_health *health)
{
    const struct lh_ingestd *ingestd = state;
    struct lh_intake_stats stats;
    lh_intake_stats(ingestd->intake, &stats);
    lh_health_count(health, "jobs", stats.jobs);
    lh_health_count(health, "converting", stats.converting);
    lh_health_count(health, "unsettled", stats.unsettled);
    if (stats.unsettled > 0)
        lh_health_degraded(health, "%zu stored objects wait for the catalog or the store",
                           stats.unsettled);
    if (stats.damaged > 0)
        lh_health_degraded(health, "%zu entries of the journal are damaged", stats.damaged);
}

static void metrics(void *state, struct lh_metrics *out)
{
    const struct lh_ingestd *ingestd = state;
    struct lh_intake_stats stats;
    lh_intake_stats(ingestd->intake, &stats);
    const struct {
        const char *status;
        uint64_t count;
    } outcomes[] = {{"created", stats.created},
                    {"appended", stats.appended},
                    {"replaced", stats.replaced},
                    {"unchanged", stats.unchanged},
                    {"failed", stats.failed}};
    const struct {
        const char *name;
        enum lh_metric_type type;
        double value;
        const char *help;
    } figures[] = {
        {"lakehouse_ingestd_jobs", LH_GAUGE, (double)stats.jobs, "Files being taken in"},
        {"lakehouse_ingestd_converting", LH_GAUGE, (double)stats.converting, "Of them, converting"},
        {"lakehouse_ingestd_unsettled_objects", LH_GAUGE, (double)stats.unsettled,
         "Objects stored whose commit is not known"},
        {"lakehouse_ingestd_rows_total", LH_COUNTER, (double)stats.rows, "Rows taken in"},
        {"lakehouse_ingestd_in_bytes_total", LH_COUNTER, (double)stats.bytes_in,
         "Bytes of files taken in"},
        {"lakehouse_ingestd_out_bytes_total", LH_COUNTER, (double)stats.bytes_out,
         "Bytes of Parquet stored for them"},
    };
    lh_metric(out, "lakehouse_ingestd_ingests_total", LH_COUNTER, "Files by outcome");
    for (size_t i = 0; i < LH_COUNT(outcomes); i++)
        lh_metric_value(out, "lakehouse_ingestd_ingests_total", (double)outcomes[i].count, "status",
                        outcomes[i].status, NULL);
    for (size_t i = 0; i < LH_COUNT(figures); i++) {
        lh_metric(out, figures[i].name, figures[i].type, figures[i].help);
        lh_metric_value(out, figures[i].name, figures[i].value, NULL);
    }
}

const struct lh_service lh_ingestd_service = {
    .name = "ingestd",
    .summary = "the intake of files: CSV, TSV, JSON, NDJSON and Parquet become datasets",
    .routes = lh_ingestd_routes,
    .route_count = LH_INGESTD_ROUTES,
    .open = open_service,
    .start = start_service,
    .health = health,
    .metrics = metrics,
    .stopping = stopping_service,
    .close = close_service,
};
