/*
 * From method and raw path to a route. Pure. Patterns are matched segment by segment on the raw
 * path, so an encoded slash (%2F) never splits a segment; parameters are decoded exactly once
 * afterwards.
 */
#ifndef LH_NET_ROUTER_H
#define LH_NET_ROUTER_H

#include "net/http_server.h"

enum { LH_ROUTE_PARAMS_MAX = 4 };

struct lh_route_match {
    const struct lh_route *route;
    lh_str param_names[LH_ROUTE_PARAMS_MAX]; /* point into the pattern */
    lh_str param_raw[LH_ROUTE_PARAMS_MAX];   /* point into the path, still encoded */
    size_t param_count;
};

/* The route marked LH_ROUTE_REST; NULL when the table has none. */
const struct lh_route *lh_router_rest(const struct lh_route *routes, size_t count);

/* LH_ROUTE_NOT_FOUND, or LH_METHOD_NOT_ALLOWED with the allowed methods in *ret_allowed (a mask).
 * The first route of the table that fits wins, so special routes stand before general ones; the
 * rest's wins when no pattern fits the path. */
lh_code lh_router_match(const struct lh_route *routes, size_t count, enum lh_http_method method,
                        lh_str raw_path, struct lh_route_match *ret_match, unsigned *ret_allowed,
                        struct lh_error *err);

/* Cuts a raw target at the first '?'. */
void lh_router_split(lh_str target, lh_str *ret_path, lh_str *ret_query);

#endif
