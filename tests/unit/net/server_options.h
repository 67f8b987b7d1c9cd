/*
 * What the servers of these tests have in common; each changes what its tests are about.
 */
#ifndef LH_TESTS_UNIT_NET_SERVER_OPTIONS_H
#define LH_TESTS_UNIT_NET_SERVER_OPTIONS_H

#include "net/http_server.h"

static inline struct lh_http_server_options server_options(const struct lh_route *routes,
                                                           size_t route_count)
{
    return (struct lh_http_server_options){
        .host = "127.0.0.1",
        .routes = routes,
        .route_count = route_count,
        .service_name = "testd",
        .version = "1",
        .connections_max = 64,
        .workers_max = 4,
        .queue_max = 4,
        .header_timeout_ms = 20000,
        .body_rate_window_ms = 20000,
        .drain_timeout_ms = 20000,
        .body_bytes_max = 1 << 20,
        .target_bytes_max = 1024,
        .header_bytes_max = 4096,
        .header_count_max = 20,
        .pool_bytes = 16 << 10,
        .stream_bytes = 64 << 10,
    };
}

#endif
