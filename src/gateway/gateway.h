/*
 * The gateway: the one public door. It keeps no state but warm connections to the services behind
 * it.
 *
 * Files: api.c (the table of routes), proxy.c (a request passed on), status.c (/v1/health of all),
 * console.c (the page at /).
 */
#ifndef LH_GATEWAY_GATEWAY_H
#define LH_GATEWAY_GATEWAY_H

#include "base/error.h"
#include "service/settings.h"

#include <stddef.h>

struct lh_http_client;
struct lh_http_exchange;
struct lh_service;
struct lh_console;

extern const struct lh_service lh_gateway_service;

enum lh_upstream_id {
    LH_UPSTREAM_STORAGED,
    LH_UPSTREAM_CATALOGD,
    LH_UPSTREAM_INGESTD,
    LH_UPSTREAM_QUERYD,
    LH_UPSTREAM_VECTORD,
    LH_UPSTREAM_COUNT,
};

struct lh_upstream {
    const char *name; /* "storaged" */
    const char *url;  /* "http://127.0.0.1:3211"; borrowed from the settings */
};

struct lh_gateway {
    struct lh_upstream upstreams[LH_UPSTREAM_COUNT];
    int64_t first_byte_timeout_ms;
    int64_t timeout_ms;
    struct lh_http_client *client;
    struct lh_console *console;
};

/* ---- proxy.c ---- */

/* Passes the request on to the service and its answer back, both streamed through one window each.
 * The target goes byte for byte, without "/v1"; header lines are made anew from what was parsed.
 *
 * Failures: LH_BAD_UPSTREAM (no connection, no HTTP, or closed before an answer), LH_TIMEOUT (no
 * first byte, or no end, in time). An answer that breaks off after it began breaks the client's
 * connection.
 */
lh_code lh_gateway_proxy(struct lh_gateway *gateway, enum lh_upstream_id id,
                         struct lh_http_exchange *x, struct lh_error *err);

/* ---- status.c ---- */

/* GET /v1/health: the health of all services, asked at the same time under one short deadline. */
lh_code lh_gateway_status(void *state, struct lh_http_exchange *x, struct lh_error *err);

/* ---- console.c ---- */

struct lh_console *lh_console_new(void);
void lh_console_free(struct lh_console *console); /* accepts NULL */
/* GET /: the embedded page. */
lh_code lh_gateway_console(void *state, struct lh_http_exchange *x, struct lh_error *err);

#endif
