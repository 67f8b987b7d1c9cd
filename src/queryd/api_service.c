/*
 * queryd as a service: opening its parts in order, health, figures, closing.
 */
#include "queryd/api.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "service/service.h"
#include "store/objstore.h"

#include <stdlib.h>

/* A worker with less can hardly read a Parquet file. */
static const int64_t worker_memory_min = INT64_C(64) << 20;

static lh_code fetch_object(void *ctx, const char *key, lh_deadline deadline,
                            lh_code (*write)(void *to, const void *bytes, size_t len,
                                             struct lh_error *err),
                            void *to, struct lh_error *err)
{
    const struct lh_queryd *queryd = ctx;
    return lh_objstore_get_to(queryd->store, lh_str_from(key), deadline, write, to, NULL, err);
}

static void wake_queue(void *ctx)
{
    const struct lh_queryd *queryd = ctx;
    lh_pool_wake(queryd->pool);
}

static lh_code open_cache(struct lh_queryd *queryd, const struct lh_queryd_settings *mine,
                          struct lh_error *err)
{
    const struct lh_cache_options options = {
        .dir = queryd->cache_dir,
        .bytes_max = (uint64_t)mine->cache_bytes_max,
        .fetch = fetch_object,
        .fetch_ctx = queryd,
    };
    return lh_cache_open(&options, &queryd->cache, err);
}

static lh_code open_pool(struct lh_queryd *queryd, const struct lh_queryd_settings *mine,
                         struct lh_error *err)
{
    int64_t memory = mine->memory_limit / mine->workers_max;
    const struct lh_pool_options options = {
        .workers_max = (size_t)mine->workers_max,
        .queue_max = (size_t)mine->queue_max,
        .memory_bytes = memory > worker_memory_min ? memory : worker_memory_min,
        .threads = mine->threads,
        .spill_bytes = mine->spill_bytes_max / mine->workers_max,
        .spill_dir = queryd->spill_dir,
        .read_dirs = queryd->read_dirs,
    };
    return lh_pool_open(&options, &queryd->pool, &queryd->sandbox_missing, err);
}

/* Where files may lie: the lake's folder, whose real path the object store tells, too. */
static lh_code find_dirs(struct lh_queryd *queryd, const char *data_dir,
                         struct lh_service_host *host, struct lh_error *err)
{
    LH_AUTO_FREE char *own = realpath(lh_service_dir(host), NULL);
    queryd->data_dir = realpath(data_dir, NULL);
    if (own == NULL || queryd->data_dir == NULL)
        return lh_fail_errno(err, "cannot find %s", data_dir);
    queryd->cache_dir = lh_asprintf("%s/cache", own);
    queryd->spill_dir = lh_asprintf("%s/spill", own);
    queryd->read_dirs[0] = queryd->data_dir;
    if (!lh_is_below(queryd->data_dir, queryd->cache_dir))
        queryd->read_dirs[1] = queryd->cache_dir;
    return LH_OK;
}

static lh_code open_parts(struct lh_queryd *queryd, const struct lh_settings *settings,
                          struct lh_service_host *host, struct lh_error *err)
{
    const struct lh_queryd_settings *mine = &settings->queryd;
    LH_TRY(find_dirs(queryd, settings->data_dir, host, err));
    LH_TRY(lh_objstore_open_http(mine->storaged_url, lh_service_client(host), &queryd->store, err));
    const struct lh_datasets_options datasets = {
        .url = mine->catalogd_url,
        .client = lh_service_client(host),
        .store = queryd->store,
        .local_root = queryd->data_dir,
        .timeout_ms = mine->storage_timeout,
    };
    queryd->datasets = lh_datasets_open(&datasets);
    lh_vectors_init(&queryd->vectors, mine->vectord_url, lh_service_client(host),
                    mine->storage_timeout);
    LH_TRY(open_cache(queryd, mine, err)); /* makes the folder, which workers must find */
    LH_TRY(open_pool(queryd, mine, err));
    return lh_running_open(wake_queue, queryd, &queryd->running, err);
}

static void queryd_close(void *state)
{
    struct lh_queryd *queryd = state;
    lh_running_close(queryd->running);
    lh_pool_close(queryd->pool);
    lh_cache_close(queryd->cache);
    lh_datasets_close(queryd->datasets);
    lh_vectors_deinit(&queryd->vectors);
    lh_objstore_close(queryd->store);
    free(queryd->cache_dir);
    free(queryd->spill_dir);
    free(queryd->data_dir);
    free(queryd);
}

static lh_code queryd_open(const struct lh_settings *settings, struct lh_service_host *host,
                           void **ret_state, struct lh_error *err)
{
    struct lh_queryd *queryd = lh_calloc(1, sizeof(*queryd));
    queryd->timeout_ms = settings->queryd.timeout;
    queryd->sql_bytes_max = settings->queryd.sql_bytes_max;
    queryd->rows_max = (uint64_t)settings->queryd.result_rows_max;
    lh_code code = open_parts(queryd, settings, host, err);
    if (code != LH_OK) {
        queryd_close(queryd);
        return code;
    }
    if (queryd->sandbox_missing[0] != '\0')
        LH_LOG(WARN, "workers run without part of their sandbox",
               LH_LOG_STR("missing", queryd->sandbox_missing));
    *ret_state = queryd;
    return LH_OK;
}

static void queryd_health(void *state, struct lh_health *health)
{
    const struct lh_queryd *queryd = state;
    struct lh_pool_stats pool;
    struct lh_datasets_stats datasets;
    lh_pool_stats(queryd->pool, &pool);
    lh_datasets_stats(queryd->datasets, &datasets);
    lh_health_count(health, "workers", pool.live);
    lh_health_count(health, "queries", lh_running_count(queryd->running));
    lh_health_count(health, "datasets", datasets.names);
    if (pool.live == 0)
        lh_health_degraded(health, "no query worker runs");
    if (queryd->sandbox_missing[0] != '\0')
        lh_health_fact(health, "sandbox_missing", queryd->sandbox_missing);
}

static void one(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
                double value, const char *help)
{
    lh_metric(metrics, name, type, help);
    lh_metric_value(metrics, name, value, NULL);
}

static void count_results(struct lh_metrics *metrics, struct lh_query_counts *counts)
{
    static const char name[] = "lakehouse_queryd_queries_total";
    const struct {
        const char *result;
        atomic_ullong *count;
    } results[] = {
        {"ok", &counts->ok},
        {"refused", &counts->refused},
        {"failed", &counts->failed},
        {"timed_out", &counts->timed_out},
        {"cancelled", &counts->cancelled},
    };
    lh_metric(metrics, name, LH_COUNTER, "Queries by result");
    for (size_t i = 0; i < LH_COUNT(results); i++)
        lh_metric_value(metrics, name, (double)atomic_load(results[i].count), "result",
                        results[i].result, NULL);
}

static void queryd_metrics(void *state, struct lh_metrics *metrics)
{
    struct lh_queryd *queryd = state;
    struct lh_pool_stats pool;
    struct lh_cache_stats cache;
    struct lh_datasets_stats datasets;
    lh_pool_stats(queryd->pool, &pool);
    lh_cache_stats(queryd->cache, &cache);
    lh_datasets_stats(queryd->datasets, &datasets);
    count_results(metrics, &queryd->counts);
    one(metrics, "lakehouse_queryd_rows_total", LH_COUNTER,
        (double)atomic_load(&queryd->counts.rows), "Rows in answers");
    one(metrics, "lakehouse_queryd_answer_bytes_total", LH_COUNTER,
        (double)atomic_load(&queryd->counts.bytes), "Bytes of answers");
    one(metrics, "lakehouse_queryd_retries_total", LH_COUNTER,
        (double)atomic_load(&queryd->counts.retried), "Queries run once more");
    one(metrics, "lakehouse_queryd_waiting", LH_GAUGE, (double)pool.waiting,
        "Queries waiting for a worker");
    one(metrics, "lakehouse_queryd_workers", LH_GAUGE, (double)pool.live, "Worker processes");
    one(metrics, "lakehouse_queryd_workers_started_total", LH_COUNTER, (double)pool.started,
        "Worker processes started");
    one(metrics, "lakehouse_queryd_workers_lost_total", LH_COUNTER, (double)pool.crashed,
        "Worker processes that crashed or were killed");
    one(metrics, "lakehouse_queryd_cache_bytes", LH_GAUGE, (double)cache.bytes,
        "Local copies of objects");
    one(metrics, "lakehouse_queryd_cache_hits_total", LH_COUNTER, (double)cache.hits,
        "Objects found in the cache");
    one(metrics, "lakehouse_queryd_cache_misses_total", LH_COUNTER, (double)cache.misses,
        "Objects fetched into the cache");
    one(metrics, "lakehouse_queryd_catalog_syncs_total", LH_COUNTER, (double)datasets.syncs,
        "Questions to the catalog's change feed");
}

const struct lh_service lh_queryd_service = {
    .name = "queryd",
    .summary = "SQL over the datasets of the lake",
    .routes = lh_queryd_routes,
    .route_count = LH_QUERYD_ROUTES,
    .open = queryd_open,
    .health = queryd_health,
    .metrics = queryd_metrics,
    .close = queryd_close,
};
