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

enum { LH_VECTOR_ROUTES = 8 };
extern const struct lh_route lh_vector_routes[LH_VECTOR_ROUTES];

lh_code lh_vector_add(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_delete_items(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_get_item(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_vector_search(void *service, struct lh_http_exchange *x, struct lh_error *err);

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

/* LH_TOO_LARGE, LH_BUSY when too many bodies are in memory. */
lh_code lh_vector_body_read(struct lh_vector_api *api, struct lh_http_exchange *x,
                            struct lh_vector_body *ret_body, struct lh_error *err);

/* What Content-Type says: JSON (also when there is none), or lines of JSON. */
enum lh_vector_format { LH_VECTOR_JSON, LH_VECTOR_NDJSON };
lh_code lh_vector_content_type(const struct lh_http_exchange *x, bool lines_allowed,
                               enum lh_vector_format *ret_format, struct lh_error *err);

/* The member "metadata" of a slot, in an object that is being written. */
void lh_vector_put_metadata(struct lh_json *json, const struct lh_vindex *index, uint32_t slot);

#endif
