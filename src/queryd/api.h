/*
 * The HTTP side of queryd: routes, and what they share.
 */
#ifndef LH_QUERYD_API_H
#define LH_QUERYD_API_H

#include "net/http_server.h"
#include "queryd/queryd.h"

enum {
    LH_QUERYD_ROUTES = 3,
    LH_QUERY_PARAMS_MAX = 4 << 20, /* room for parameters in a body */
};
extern const struct lh_route lh_queryd_routes[LH_QUERYD_ROUTES];

/* A request's body and parameters (api_request.c). Texts live in the exchange's arena or in `root`.
 */
struct lh_query_body {
    json_t *root; /* NULL when the body is the statement itself */
    struct lh_query_request request;
};

lh_code lh_query_body_read(struct lh_queryd *queryd, struct lh_http_exchange *x,
                           struct lh_query_body *ret_body, struct lh_error *err);
void lh_query_body_deinit(struct lh_query_body *body);

#endif
