/*
 * Inside of the factory: the one service of this process, and its health report. Only src/service
 * includes this.
 */
#ifndef LH_SERVICE_HOST_H
#define LH_SERVICE_HOST_H

#include "base/clock.h"
#include "base/json.h"
#include "service/service.h"

#include <stdatomic.h>

enum lh_phase { LH_PHASE_STARTING, LH_PHASE_READY, LH_PHASE_STOPPING };

struct lh_service_host {
    const struct lh_service *service;
    struct lh_settings settings;
    void *state;                   /* of the service, between its open and close */
    char *dir;                     /* data_dir/<name>, NULL for a service without data */
    int lock_fd;                   /* data_dir/<name>.lock */
    struct lh_keys *keys;          /* NULL for a service that asks for none */
    struct lh_http_client *client; /* NULL until it is asked for */
    void (*free_client)(struct lh_http_client *client);
    struct lh_http_server *server;
    struct lh_route *routes; /* the built-in ones and the service's */
    size_t route_count;
    lh_mono started;
    lh_time_ms started_ms;
    _Atomic enum lh_phase phase;
};

/* Filled by a service's health function. */
struct lh_health {
    struct lh_buf facts;   /* ,"name":value,... */
    struct lh_buf reasons; /* "a","b" */
};

/* The process's host. Handlers of the built-in routes find it here, since the first argument of a
 * handler is the service's own state. */
extern struct lh_service_host lh_host;

/* Builds host->routes. */
void lh_host_make_routes(struct lh_service_host *host);

#endif
