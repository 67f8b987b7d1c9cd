/* What the HTTP side of vectord shares: its state, its handlers, reading bodies. */
#ifndef LH_VECTORD_API_H
#define LH_VECTORD_API_H

#include "net/http_server.h"
#include "service/service.h"
#include "vectord/body.h"
#include "vectord/vectord.h"

struct lh_vector_api {
    struct lh_vectord *core;
    struct lh_objstore *store;
    const struct lh_vectord_settings *settings;
    struct lh_service_host *host;
    struct lh_budget body_budget; /* of bodies in memory */
};

enum { LH_VECTOR_ROUTES = 10 };
extern const struct lh_route lh_vector_routes[LH_VECTOR_ROUTES];

lh_code lh_vector_add(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_delete_items(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_get_item(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_search(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_snapshot(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_recall(void *service, struct lh_http_exchange *x, struct lh_error *err);

/* 200 with an index as GET shows it. */
lh_code lh_vector_reply_collection(struct lh_http_exchange *x, struct lh_collection *collection,
                                   struct lh_error *err);

/* The collection of {name}, and what bodies for it may be. Unref it. */
lh_code lh_vector_target(struct lh_vector_api *api, const struct lh_http_exchange *x,
                         struct lh_collection **ret_collection, struct lh_body_limits *ret_limits,
                         struct lh_error *err);

/* A whole body in memory, within the budget. */
struct lh_vector_body {
    struct lh_vector_api *api;
    struct lh_buf buf;
    uint64_t taken_bytes;
};
#define LH_AUTO_VECTOR_BODY LH_AUTO(lh_vector_body_deinit)
void lh_vector_body_deinit(struct lh_vector_body *body);

/* Takes memory for the body out of the budget, given back by deinit. LH_BUSY. */
lh_code lh_vector_body_take(struct lh_vector_body *body, uint64_t bytes, struct lh_error *err);

/* LH_TOO_LARGE, LH_BUSY when too many bodies are in memory. */
lh_code lh_vector_body_read(struct lh_vector_api *api, struct lh_http_exchange *x,
                            struct lh_vector_body *ret_body, struct lh_error *err);

/* What Content-Type says: JSON (also when there is none), lines of JSON, raw floats. */
enum lh_vector_format { LH_VECTOR_JSON = 1, LH_VECTOR_NDJSON = 2, LH_VECTOR_RAW = 4 };
/* LH_MEDIA_TYPE when it is none of `allowed`. */
lh_code lh_vector_content_type(const struct lh_http_exchange *x, unsigned allowed,
                               enum lh_vector_format *ret_format, struct lh_error *err);

#endif
