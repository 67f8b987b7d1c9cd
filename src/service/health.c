/*
 * The routes that every service has: /health, /livez, /readyz, /metrics, /openapi.json.
 *
 * /livez and /readyz say one bit each to a supervisor and are answered on the event thread; /health
 * asks the service, so it runs on a worker, except for a service that has nothing to say.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "service/host.h"

#include <stdarg.h>
#include <string.h>

enum {
    HEALTH_BYTES_MAX = 256 << 10,
    ANSWER_BYTES_MAX = 2 * HEALTH_BYTES_MAX,
    METRICS_BYTES_MAX = 4 << 20,
    OPENAPI_BYTES_MAX = 1 << 20
};

/* ---- the report ---- */

void lh_health_degraded(struct lh_health *health, const char *format, ...)
{
    char text[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lh_buf_append_cstr(&health->reasons, health->reasons.len > 0 ? ",\"" : "\"");
    lh_json_escape(&health->reasons, lh_str_from(text));
    lh_buf_append_char(&health->reasons, '"');
}

void lh_health_fact(struct lh_health *health, const char *name, const char *value)
{
    lh_buf_printf(&health->facts, ",\"%s\":\"", name);
    lh_json_escape(&health->facts, lh_str_from(value));
    lh_buf_append_char(&health->facts, '"');
}

void lh_health_count(struct lh_health *health, const char *name, uint64_t value)
{
    lh_buf_printf(&health->facts, ",\"%s\":%llu", name, (unsigned long long)value);
}

static const char *status_word(enum lh_phase phase, bool degraded)
{
    switch (phase) {
    case LH_PHASE_STARTING:
        return "starting";
    case LH_PHASE_READY:
        return degraded ? "degraded" : "ok";
    case LH_PHASE_STOPPING:
        return "stopping";
    }
    return "";
}

static lh_code get_health(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_service_host *host = &lh_host;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_health health = {.facts = LH_BUF_INIT(HEALTH_BYTES_MAX),
                               .reasons = LH_BUF_INIT(HEALTH_BYTES_MAX)};
    if (host->service->health != NULL)
        host->service->health(state, &health);
    const char *status = status_word(host->phase, health.reasons.len > 0);
    lh_buf_printf(
        &body, "{\"service\":\"%s\",\"status\":\"%s\",\"version\":\"%s\",\"uptime_s\":%lld",
        host->service->name, status, lh_version, (long long)lh_mono_since_s(host->started));
    lh_buf_append_str(&body, lh_buf_str(&health.facts));
    if (health.reasons.len > 0)
        lh_buf_printf(&body, ",\"reasons\":[%s]", health.reasons.data);
    lh_buf_append_char(&body, '}');
    bool overflowed = lh_buf_overflowed(&health.facts) || lh_buf_overflowed(&health.reasons);
    lh_buf_deinit(&health.facts);
    lh_buf_deinit(&health.reasons);
    if (overflowed)
        return lh_fail(err, LH_INTERNAL, "the health report is larger than %d bytes",
                       HEALTH_BYTES_MAX);
    return lh_http_reply_json(x, 200, &body, err);
}

static lh_code get_livez(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)state;
    return lh_http_reply_bytes(x, 200, "text/plain", "ok\n", 3, err);
}

static lh_code get_readyz(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)state;
    if (lh_host.phase != LH_PHASE_READY)
        return lh_fail(err, LH_NOT_READY, "%s is %s", lh_host.service->name,
                       status_word(lh_host.phase, false));
    return lh_http_reply_bytes(x, 200, "text/plain", "ok\n", 3, err);
}

/* ---- metrics ---- */

static void put_process_metrics(const struct lh_service_host *host, struct lh_metrics *metrics)
{
    lh_metric(metrics, "lakehouse_build_info", LH_GAUGE, "1, with service and version as labels.");
    lh_metric_value(metrics, "lakehouse_build_info", 1, "service", host->service->name, "version",
                    lh_version, NULL);
    lh_metric(metrics, "lakehouse_ready", LH_GAUGE, "1 when requests are served.");
    lh_metric_value(metrics, "lakehouse_ready", host->phase == LH_PHASE_READY, NULL);
    lh_metric(metrics, "process_start_time_seconds", LH_GAUGE, "Start, seconds since 1970.");
    lh_metric_value(metrics, "process_start_time_seconds", (double)host->started_ms / 1000, NULL);
    lh_metric(metrics, "process_resident_memory_bytes", LH_GAUGE, "Resident memory.");
    lh_metric_value(metrics, "process_resident_memory_bytes", (double)lh_resident_bytes(), NULL);
}

static void put_gauge(struct lh_metrics *metrics, const char *name, enum lh_metric_type type,
                      const char *help, double value)
{
    lh_metric(metrics, name, type, help);
    lh_metric_value(metrics, name, value, NULL);
}

static void put_http_metrics(const struct lh_service_host *host, struct lh_metrics *metrics)
{
    struct lh_http_server_stats stats;
    lh_http_server_stats(host->server, &stats);
    static const char *const classes[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    lh_metric(metrics, "lakehouse_http_responses_total", LH_COUNTER, "Answers by class of status.");
    for (size_t i = 2; i < LH_COUNT(classes); i++)
        lh_metric_value(metrics, "lakehouse_http_responses_total", (double)stats.status_count[i],
                        "code", classes[i], NULL);
    put_gauge(metrics, "lakehouse_http_requests_total", LH_COUNTER, "Requests.",
              (double)stats.requests);
    put_gauge(metrics, "lakehouse_http_request_duration_seconds_total", LH_COUNTER,
              "Time of all requests together.", stats.seconds_total);
    put_gauge(metrics, "lakehouse_http_shed_total", LH_COUNTER,
              "Requests answered 503 because of a limit.", (double)stats.shed);
    put_gauge(metrics, "lakehouse_http_refused_total", LH_COUNTER,
              "Requests that were not valid HTTP.", (double)stats.refused);
    put_gauge(metrics, "lakehouse_http_cancelled_total", LH_COUNTER,
              "Requests whose client went away.", (double)stats.cancelled);
    put_gauge(metrics, "lakehouse_http_requests_in_flight", LH_GAUGE, "Requests at work.",
              (double)stats.in_flight);
    put_gauge(metrics, "lakehouse_http_connections", LH_GAUGE, "Open connections.",
              (double)stats.connections);
    put_gauge(metrics, "lakehouse_http_workers", LH_GAUGE, "Threads that work on requests.",
              (double)stats.workers);
}

static lh_code get_metrics(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(METRICS_BYTES_MAX);
    struct lh_metrics metrics = {.out = &body};
    put_process_metrics(&lh_host, &metrics);
    put_http_metrics(&lh_host, &metrics);
    if (lh_host.service->metrics != NULL)
        lh_host.service->metrics(state, &metrics);
    if (lh_buf_overflowed(&body))
        return lh_fail(err, LH_INTERNAL, "the metrics are larger than %d bytes", METRICS_BYTES_MAX);
    return lh_http_reply_buf(x, 200, "text/plain; version=0.0.4; charset=utf-8", &body, err);
}

static lh_code get_openapi(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)state;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(OPENAPI_BYTES_MAX);
    lh_http_openapi(lh_host.routes, lh_host.route_count, lh_host.service->name, lh_version, &body);
    return lh_http_reply_json(x, 200, &body, err);
}

/* ---- the table ---- */

static const struct lh_route builtin_routes[] = {
    {LH_HTTP_GET, "/health", get_health, LH_ROUTE_UNREADY, "", "status of this service", NULL,
     "200"},
    {LH_HTTP_GET, "/livez", get_livez, LH_ROUTE_INLINE | LH_ROUTE_UNREADY, "",
     "whether the process lives", NULL, "200"},
    {LH_HTTP_GET, "/readyz", get_readyz, LH_ROUTE_INLINE | LH_ROUTE_UNREADY, "",
     "whether requests are served", NULL, "200 503"},
    {LH_HTTP_GET, "/metrics", get_metrics, LH_ROUTE_UNREADY, "", "counters as Prometheus text",
     NULL, "200"},
    {LH_HTTP_GET, "/openapi.json", get_openapi, LH_ROUTE_UNREADY, "", "this table of routes", NULL,
     "200"},
};

void lh_host_make_routes(struct lh_service_host *host)
{
    const struct lh_service *service = host->service;
    size_t builtin_count = LH_COUNT(builtin_routes);
    host->route_count = builtin_count + service->route_count;
    host->routes = lh_calloc(host->route_count, sizeof(*host->routes));
    memcpy(host->routes, builtin_routes, sizeof(builtin_routes));
    if (service->route_count > 0)
        memcpy(host->routes + builtin_count, service->routes,
               service->route_count * sizeof(*host->routes));
    if (service->health == NULL)
        host->routes[0].flags |= LH_ROUTE_INLINE;
}
