/*
 * The HTTP side of storaged: what its files share.
 */
#ifndef LH_STORAGED_API_H
#define LH_STORAGED_API_H

#include "net/http_server.h"
#include "service/keys.h"
#include "storaged/storaged.h"

struct lh_remote;
struct lh_service_host;

/* The state of the service: first argument of every handler. */
struct lh_storaged {
    struct lh_store *store;   /* NULL with an external store */
    struct lh_remote *remote; /* the external store; NULL = the objects are here */
    const struct lh_service_host *host;
    struct lh_keys *keys;
    int64_t object_bytes_max;
    size_t list_limit_max;
    uint64_t check_bytes_per_second;
    const char *s3_domain; /* names under which buckets are hosts, parted by commas; "" = none */
    const char *s3_region;
};

/* api.c: the table, which also holds DELETE and LIST. */
enum { LH_STORAGED_ROUTES = 6 };
extern const struct lh_route lh_storaged_routes[LH_STORAGED_ROUTES];

/* api_auth.c: whether the request shows a key that may do that with the object, or, for a listing,
 * with a prefix. Always when there are no keys. LH_UNAUTHENTICATED, LH_FORBIDDEN. */
lh_code lh_storaged_admit(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                          enum lh_access access, lh_str object_key, struct lh_error *err);

/* api_get.c: GET and HEAD of an object, also `?locate`. */
lh_code lh_storaged_get(void *service, struct lh_http_exchange *x, struct lh_error *err);
/* The answer to ?locate; `path` may be NULL. */
lh_code lh_storaged_reply_location(struct lh_http_exchange *x, const char *path, uint64_t size,
                                   const char *etag, struct lh_error *err);

/* api_put.c: PUT of an object. */
lh_code lh_storaged_put(void *service, struct lh_http_exchange *x, struct lh_error *err);
/* x-amz-content-sha256 of a request whose body is not streamed: fills body_mode and body_sha256. */
struct lh_s3;
lh_code lh_storaged_take_payload(struct lh_s3 *s3, struct lh_error *err);
lh_code lh_storaged_reply_stored(struct lh_http_exchange *x, lh_str key, uint64_t size,
                                 const char *etag, bool created, struct lh_error *err);

/* api_check.c: POST and GET /storage?check, the check of everything under way. */
lh_code lh_storaged_check_start(void *service, struct lh_http_exchange *x, struct lh_error *err);
lh_code lh_storaged_check_state(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                                struct lh_error *err);

/* api_listing.c: a page of a listing as JSON. `add` is a lh_list_visitor. */
struct lh_listing {
    struct lh_buf items;
    struct lh_buf prefixes;
    struct lh_json items_json;
    struct lh_json prefixes_json;
};
void lh_listing_init(struct lh_listing *listing);
void lh_listing_deinit(struct lh_listing *listing);
#define LH_AUTO_LISTING __attribute__((cleanup(lh_listing_deinit)))
bool lh_listing_add(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged);
/* `cursor` empty: this is the last page. */
lh_code lh_listing_reply(struct lh_listing *listing, lh_str cursor, struct lh_http_exchange *x,
                         struct lh_error *err);

/* api_remote.c: the same requests when the objects are in an external store. */
lh_code lh_storaged_remote_get(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                               struct lh_error *err);
lh_code lh_storaged_remote_put(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                               struct lh_error *err);
lh_code lh_storaged_remote_delete(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                                  struct lh_error *err);
lh_code lh_storaged_remote_list(const struct lh_storaged *storaged,
                                const struct lh_list_options *options, struct lh_http_exchange *x,
                                struct lh_error *err);

#endif
