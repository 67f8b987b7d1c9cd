/*
 * The HTTP side of storaged: what its files share.
 */
#ifndef LH_STORAGED_API_H
#define LH_STORAGED_API_H

#include "net/http_server.h"
#include "storaged/storaged.h"

/* The state of the service: first argument of every handler. */
struct lh_storaged {
    struct lh_store *store;
    struct lh_keys *keys; /* NULL = none: everybody may do everything */
    int64_t object_bytes_max;
    size_t list_limit_max;
    const char *s3_domain; /* names under which buckets are hosts, parted by commas; "" = none */
    const char *s3_region;
};

/* api.c: the table, which also holds DELETE and LIST. */
enum { LH_STORAGED_ROUTES = 4 };
extern const struct lh_route lh_storaged_routes[LH_STORAGED_ROUTES];

/* api_get.c: GET and HEAD of an object, also `?locate`. */
lh_code lh_storaged_get(void *service, struct lh_http_exchange *x, struct lh_error *err);

/* api_put.c: PUT of an object. */
lh_code lh_storaged_put(void *service, struct lh_http_exchange *x, struct lh_error *err);

#endif
