/*
 * The service factory. A service is a struct; its main is one statement:
 *
 *   int main(int argc, char **argv)
 *   {
 *       return lh_service_main(&lh_storaged_service, argc, argv);
 *   }
 *
 * The factory reads flags and configuration, starts the log, opens the service, listens, tells the
 * supervisor, answers /health, /livez, /readyz, /metrics and /openapi.json, reads keys and
 * certificate again on SIGHUP, and drains on SIGTERM or SIGINT. Exit codes: 0 stopped in order, 1
 * failed, 2 usage or configuration.
 */
#ifndef LH_SERVICE_SERVICE_H
#define LH_SERVICE_SERVICE_H

#include "base/buf.h"
#include "base/error.h"
#include "net/http_server.h"
#include "service/metrics.h"
#include "service/settings.h"

struct lh_http_client;
struct lh_keys;
struct lh_service_host;

/* Collected for GET /health. */
struct lh_health;
/* The service works, but not as it should: status becomes "degraded" with this reason. */
void lh_health_degraded(struct lh_health *health, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A fact beside the status, as a member of the answer: ("durability", "ephemeral"). */
void lh_health_fact(struct lh_health *health, const char *name, const char *value);
void lh_health_count(struct lh_health *health, const char *name, uint64_t value);

struct lh_service {
    const char *name;    /* "storaged"; also its section of the configuration */
    const char *summary; /* one line for -help */
    const struct lh_route *routes;
    size_t route_count;
    bool stateless;     /* has no data folder */
    bool asks_for_keys; /* its handlers look at lh_service_keys */
    /* As lh_http_server_options.wants_rest; may be NULL. */
    bool (*wants_rest)(const void *state, const struct lh_http_exchange *x);

    /* Before listening: take locks, open files, fail early. `host` is valid until close returns. */
    lh_code (*open)(const struct lh_settings *settings, struct lh_service_host *host,
                    void **ret_state, struct lh_error *err);
    /* After listening, on the main thread: load what takes time, start background threads. The
     * service is ready when this returns LH_OK; NULL = ready at once. A failure ends the program.
     */
    lh_code (*start)(void *state, struct lh_error *err);
    /* thread-safe and quick: called on a worker at each GET /health and /metrics. May be NULL. */
    void (*health)(void *state, struct lh_health *health);
    void (*metrics)(void *state, struct lh_metrics *metrics);
    /* SIGHUP has come, and keys and certificate were read again: read whatever else can change
     * under way. On the main thread; a failure is logged. May be NULL. */
    lh_code (*reload)(void *state, struct lh_error *err);
    /* SIGTERM has come, before requests are drained: end long waits. May be NULL. */
    void (*stopping)(void *state);
    /* After the drain: no handler runs any more. Frees the state. */
    void (*close)(void *state);
};

int lh_service_main(const struct lh_service *service, int argc, char **argv);

/* ---- what the factory offers to a service ---- */

/* One client for all calls to other services; made by the first call, which is in `open`. Its calls
 * to storaged carry the internal key. */
struct lh_http_client *lh_service_client(struct lh_service_host *host);
/* The table of keys, for a service that asks for them. */
struct lh_keys *lh_service_keys(struct lh_service_host *host);
/* data_dir/<name of the service>, made when missing, locked against a second process. Borrowed. */
const char *lh_service_dir(struct lh_service_host *host);
/* True once SIGTERM has come; for loops of `start` and of background threads. thread-safe. */
bool lh_service_stopping(const struct lh_service_host *host);

extern const char lh_version[]; /* "0.1.0" */

#endif
