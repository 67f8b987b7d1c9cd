/*
 * The HTTP client (libcurl, only in http_client.c): blocking calls with one deadline, keep-alive
 * connections shared by all threads, bodies streamed both ways in constant memory. Never follows
 * redirects, never reads a proxy from the environment. thread-safe.
 */
#ifndef LH_NET_HTTP_CLIENT_H
#define LH_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_http_client;

struct lh_http_client_options {
    size_t connections_idle_max; /* kept open, over all hosts */
    int64_t connect_timeout_ms;
    const char *user_agent;
    const char *ca_file; /* PEM; who signed the certificates of https peers. "" or NULL: as the
                            system says */
    /* Calls to this origin ("http://host:port") carry "Authorization: Bearer <bearer>", unless they
     * have an Authorization of their own. "" or NULL: none. */
    const char *bearer_origin;
    const char *bearer;
};

lh_code lh_http_client_new(const struct lh_http_client_options *options,
                           struct lh_http_client **ret_client, struct lh_error *err);
void lh_http_client_free(struct lh_http_client *client); /* no call may be under way */

/* Where an answer goes. Each callback may block; a failure that it returns ends the call with it.
 */
struct lh_http_sink {
    void *ctx;
    /* Once, before the first byte of the body. Headers are borrowed for the call. May be NULL. */
    lh_code (*on_head)(void *ctx, int status, const struct lh_http_header *headers, size_t count,
                       struct lh_error *err);
    lh_code (*on_body)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
};

struct lh_http_call {
    enum lh_http_method method;
    const char *url; /* absolute; the path is sent as it is */
    const struct lh_http_header *headers;
    size_t header_count;

    /* The body: bytes, or a reader (returns LH_OK and 0 bytes at the end), or none. */
    const void *body;
    size_t body_len;
    lh_code (*read_body)(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err);
    void *read_ctx;
    int64_t read_length; /* -1 = unknown, sent chunked */

    lh_deadline deadline;          /* of the whole call */
    int64_t first_byte_timeout_ms; /* after the request was sent; 0 = only the deadline */

    bool once; /* never repeated on another connection, even if the method would allow it */

    /* The call ends with LH_CANCELLED soon (<= 200 ms) after this becomes true. May be NULL. */
    bool (*cancelled)(const void *ctx);
    const void *cancel_ctx;
};

/* Performs the call. Any HTTP status is a success here. Failures: LH_UNAVAILABLE (no connection
 * could be made, or the peer closed before it answered), LH_BAD_UPSTREAM (no valid HTTP, or the
 * answer broke off), LH_TIMEOUT, LH_CANCELLED, or what a callback returned. A request that is safe
 * to repeat and failed on a stale keep-alive connection before its first byte is repeated once. */
lh_code lh_http_call(struct lh_http_client *client, const struct lh_http_call *call,
                     const struct lh_http_sink *sink, int *ret_status, struct lh_error *err);

/* The same for small answers: the body goes into `body` (whose maximum bounds it, LH_TOO_LARGE). */
lh_code lh_http_call_buf(struct lh_http_client *client, const struct lh_http_call *call,
                         struct lh_buf *body, int *ret_status, struct lh_error *err);

/* A service's problem+json (or any other error answer) as our error: code by its word, message,
 * hint. */
lh_code lh_http_fail_from_answer(int status, lh_str body, const char *who, struct lh_error *err);

#endif
