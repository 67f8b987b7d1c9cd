/*
 * What the files of catalogd's HTTP face share.
 */
#ifndef LH_CATALOGD_API_H
#define LH_CATALOGD_API_H

#include "catalogd/catalogd.h"
#include "catalogd/commit_json.h"
#include "net/http_server.h"

/* The state of the service: the first argument of every handler. */
struct lh_catalogd {
    struct lh_objstore *store;
    struct lh_catalog *catalog;
    struct lh_commit_limits limits;
    size_t body_bytes_max;
    int64_t wait_ms_max;
    const struct lh_service_host *host;
};

enum { LH_CATALOGD_ROUTES = 8 };
extern const struct lh_route lh_catalogd_routes[LH_CATALOGD_ROUTES];

/* GET /catalog/datasets/{name}, .../history, and /catalog/changes (api_read.c). */
lh_code lh_catalogd_list(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_catalogd_get(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_catalogd_history(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_catalogd_changes(void *service, struct lh_http_exchange *x, struct lh_error *err);

/* The {name} of the path, canonical. */
lh_code lh_catalogd_name(const struct lh_http_exchange *x, char out[LH_NAME_MAX + 1],
                         struct lh_error *err);

#endif
