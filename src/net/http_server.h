/*
 * The HTTP server. A handler is straight-line blocking C: it reads the body, works, writes the
 * answer.
 *
 *   static lh_code get_object(void *service, struct lh_http_exchange *x, struct lh_error *err)
 *   {
 *       lh_str key = lh_http_param(x, "key");
 *       ...
 *       return lh_http_reply_json(x, 200, &body, err);
 *   }
 *
 * A handler that returns a failure before a byte of its answer has left gets that failure sent as
 * application/problem+json (a stream is held back until some KiB have gathered or 100 ms are over);
 * one that fails after that has its connection cut, so that a broken stream never looks like a
 * short success.
 *
 * Threads: one or two event threads own all sockets (libmicrohttpd, only in http_server_mhd.c).
 * Handlers run on a bounded pool of workers that grows on demand and shrinks when idle; a route
 * marked LH_ROUTE_INLINE runs on the event thread and must never block. When all workers are taken
 * and the queue is full, the answer is 503 with Retry-After at once.
 *
 * An exchange belongs to its handler's thread; only lh_http_cancelled and what is said to be
 * thread-safe may be called from others.
 */
#ifndef LH_NET_HTTP_SERVER_H
#define LH_NET_HTTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_http_exchange;
struct lh_http_server;

typedef lh_code (*lh_http_handler)(void *service, struct lh_http_exchange *x, struct lh_error *err);

/* ---- routes ---- */

enum lh_route_flags {
    LH_ROUTE_INLINE = 1,    /* runs on the event thread: microseconds, never blocks, no body */
    LH_ROUTE_BODY = 2,      /* takes a request body; without it a body is refused with 413 */
    LH_ROUTE_UNREADY = 4,   /* answers before the service is ready, too */
    LH_ROUTE_ANY_QUERY = 8, /* query parameters are not checked against `query` */
    LH_ROUTE_TRY = 32,      /* a small request runs on the event thread first: see below */
    /* Takes every path that no other route of the table has; its handler reads the path from the
     * target itself, and `pattern` is for the documentation only. */
    LH_ROUTE_REST = 16,
};

/* What the route is, for the dispatcher and for /openapi.json alike. */
struct lh_route {
    unsigned methods; /* one of enum lh_http_method, or several; GET implies HEAD */
    const char
        *pattern; /* "/catalog/datasets/{name}/history"; a last "{key*}" takes the whole rest */
    lh_http_handler handler;
    unsigned flags;
    const char *query;   /* names of query parameters, "prefix limit cursor"; others get 400 */
    const char *summary; /* one line */
    const char *body;    /* content types of the request body, for the documentation; or NULL */
    const char *answers; /* "200 404 416": statuses beside the general ones */
};

/* ---- the server ---- */

struct lh_http_server_options {
    const char *host; /* numeric address */
    uint16_t port;    /* 0: chosen by the system, see lh_http_server_port */
    const struct lh_route *routes;
    size_t route_count;
    /* True: the request is for the LH_ROUTE_REST route whatever its path is (a name in Host says
     * so). Runs on the event thread, thread-safe; NULL = never. */
    bool (*wants_rest)(const void *service, const struct lh_http_exchange *x);
    void *service; /* first argument of every handler */
    const char *service_name;
    const char *version;

    /* Limits; every one is a configuration key of [http]. */
    size_t connections_max;        /* beyond: 503 and close */
    size_t connections_per_ip_max; /* 0 = no limit */
    size_t workers_max;
    size_t queue_max;          /* exchanges waiting for a worker */
    int64_t header_timeout_ms; /* until the header is complete */
    int64_t idle_timeout_ms;   /* without a byte; at least header_timeout_ms is taken */
    int64_t body_rate_min;     /* bytes a second, over body_rate_window_ms */
    int64_t body_rate_window_ms;
    int64_t drain_timeout_ms; /* for requests in flight, on stop */
    int64_t body_bytes_max;   /* of routes that do not set their own; beyond: 413 before reading */
    size_t target_bytes_max;
    size_t header_bytes_max;
    size_t header_count_max;
    size_t pool_bytes;   /* buffer of one connection */
    size_t stream_bytes; /* window between a handler and its connection, each way */

    /* Files in PEM: the door speaks TLS (1.2 and 1.3) and nothing else. NULL or "": plain HTTP. A
     * process has at most one server with TLS. */
    const char *tls_certificate;
    const char *tls_key;
};

/* Opens the port and starts the threads. LH_INVALID_CONFIG when the address cannot be had. */
lh_code lh_http_server_start(const struct lh_http_server_options *options,
                             struct lh_http_server **ret_server, struct lh_error *err);
uint16_t lh_http_server_port(const struct lh_http_server *server);

/* Until ready, routes without LH_ROUTE_UNREADY answer 503 not_ready. thread-safe. */
void lh_http_server_set_ready(struct lh_http_server *server, bool ready);

/* Reads certificate and key again, for the connections from now on; a failure changes nothing.
 * LH_OK without TLS. */
lh_code lh_http_server_reload_tls(struct lh_http_server *server, struct lh_error *err);

/* Stops taking connections, waits for exchanges in flight (at most drain_timeout_ms, then cancels
 * them), closes everything and frees. Returns the number that had to be cancelled. */
size_t lh_http_server_stop(struct lh_http_server *server);

/* Counters for /metrics; thread-safe. */
struct lh_http_server_stats {
    uint64_t requests;
    uint64_t shed;      /* answered 503 because of a limit */
    uint64_t refused;   /* by the guard */
    uint64_t cancelled; /* client gone */
    uint64_t in_flight;
    uint64_t connections;
    uint64_t workers;
    uint64_t status_count[6]; /* [n] = answers of n00 to n99 */
    double seconds_total;     /* sum over all requests */
};
void lh_http_server_stats(const struct lh_http_server *server, struct lh_http_server_stats *ret);

/* OpenAPI 3.1 of a table of routes, appended to out. */
void lh_http_openapi(const struct lh_route *routes, size_t count, const char *service_name,
                     const char *version, struct lh_buf *out);

/* ---- the request ---- */

enum lh_http_method lh_http_method(const struct lh_http_exchange *x);
lh_str lh_http_target(const struct lh_http_exchange *x); /* raw, path and query, as it came */
/* A {name} of the pattern, decoded exactly once (may hold any byte but is checked for bad escapes).
 */
lh_str lh_http_param(const struct lh_http_exchange *x, const char *name);
/* A query parameter, decoded. False when absent; a name without '=' is present and empty. */
bool lh_http_query(const struct lh_http_exchange *x, const char *name, lh_str *ret);
/* The same as a number within bounds, *ret alone when absent. LH_INVALID that names it. */
lh_code lh_http_query_u64(const struct lh_http_exchange *x, const char *name, uint64_t min,
                          uint64_t max, uint64_t *ret, struct lh_error *err);
/* All query parameters in their order, decoded. */
size_t lh_http_query_count(const struct lh_http_exchange *x);
struct lh_http_header lh_http_query_at(const struct lh_http_exchange *x, size_t index);
/* LH_STR_NONE when absent. Names are compared without case. */
lh_str lh_http_header(const struct lh_http_exchange *x, const char *name);
size_t lh_http_header_count(const struct lh_http_exchange *x);
struct lh_http_header lh_http_header_at(const struct lh_http_exchange *x, size_t index);
lh_str lh_http_request_id(const struct lh_http_exchange *x);
lh_str lh_http_client_address(const struct lh_http_exchange *x);
struct lh_arena *lh_http_arena(struct lh_http_exchange *x); /* freed after the answer */

/* The client has gone away, or the server stops and the drain time is over. thread-safe. */
bool lh_http_cancelled(const struct lh_http_exchange *x);
/* `on_cancel` is called at most once, from another thread, when that happens (at once if it has
 * happened already); it must not block. Cleared by NULL, and by the end of the exchange: after the
 * clearing call has returned it does not run. */
void lh_http_on_cancel(struct lh_http_exchange *x, void (*on_cancel)(void *ctx), void *ctx);

/* ---- threads ---- */

/* The handler of a LH_ROUTE_TRY route is tried on the event thread, which may not wait
 * (base/thread.h). When it returns LH_WOULD_WAIT, which it must before it has changed anything, a
 * worker runs it anew from its beginning. */

/* A handler that waits for something that will tell (a commit) need not keep its thread for that:
 * it calls lh_http_defer, gives x to whoever will call lh_http_resume, and returns LH_OK without an
 * answer. `then` runs as its second half, on the event thread or on a worker, with `state` as its
 * first argument: it answers or fails as a handler does, and does not wait. lh_http_resume is
 * called once, by any thread, without locks; it may be before the first half has returned, and x is
 * gone soon after it. */
void lh_http_defer(struct lh_http_exchange *x, lh_http_handler then, void *state);
void lh_http_resume(struct lh_http_exchange *x);

/* ---- the request's body ---- */

/* Content-Length, or -1 when the body is chunked, or 0 when there is none. */
int64_t lh_http_body_length(const struct lh_http_exchange *x);
/* Raises or lowers the limit of this body; before the first read. LH_TOO_LARGE when Content-Length
 * is beyond it already. A client that waits for 100-continue is let on by the first read only. */
lh_code lh_http_body_limit(struct lh_http_exchange *x, int64_t bytes_max, struct lh_error *err);
/* Next bytes, at most `max`; *ret_len = 0 at the end. Blocks. LH_CANCELLED, LH_INCOMPLETE_BODY,
 * LH_REQUEST_TIMEOUT, LH_TOO_LARGE. */
lh_code lh_http_body_read(struct lh_http_exchange *x, void *bytes, size_t max, size_t *ret_len,
                          struct lh_error *err);
/* The whole body, at most bytes_max, in the exchange's arena. */
lh_code lh_http_body_all(struct lh_http_exchange *x, size_t bytes_max, lh_str *ret_body,
                         struct lh_error *err);
/* The same, parsed as JSON; LH_MEDIA_TYPE when Content-Type is set and is not JSON. */
lh_code lh_http_body_json(struct lh_http_exchange *x, size_t bytes_max, json_t **ret_root,
                          struct lh_error *err);

/* ---- the answer ---- */

/* Before the answer starts. Copies both. Content-Length, Connection, Date and Transfer-Encoding are
 * the server's own. */
void lh_http_set_header(struct lh_http_exchange *x, const char *name, lh_str value);

/* Whole answers. `body` is copied or taken over (reply_json and reply_buf empty it). */
lh_code lh_http_reply_empty(struct lh_http_exchange *x, int status, struct lh_error *err);
lh_code lh_http_reply_bytes(struct lh_http_exchange *x, int status, const char *content_type,
                            const void *bytes, size_t len, struct lh_error *err);
lh_code lh_http_reply_buf(struct lh_http_exchange *x, int status, const char *content_type,
                          struct lh_buf *body, struct lh_error *err);
lh_code lh_http_reply_json(struct lh_http_exchange *x, int status, struct lh_buf *body,
                           struct lh_error *err);
/* application/problem+json; what the server does with a failure that a handler returns. */
lh_code lh_http_reply_error(struct lh_http_exchange *x, const struct lh_error *failure,
                            struct lh_error *err);

/* For a door that answers failures in its own shape: logs one as lh_http_reply_error would. */
void lh_http_log_failure(struct lh_http_exchange *x, const struct lh_error *failure);

/* Streams. length -1 = unknown (chunked). HEAD and 304: the bytes written are counted and dropped,
 * and none need be written; the length is stated (for 304 it must be that of the object, RFC 9110
 * section 8.6: start it with the length rather than by lh_http_reply_empty). */
lh_code lh_http_start(struct lh_http_exchange *x, int status, const char *content_type,
                      int64_t length, struct lh_error *err);
/* Blocks while the window is full. LH_CANCELLED when the client is gone. */
lh_code lh_http_write(struct lh_http_exchange *x, const void *bytes, size_t len,
                      struct lh_error *err);
/* The stream is complete. A handler that returns LH_OK without it is cut, too. */
lh_code lh_http_finish(struct lh_http_exchange *x, struct lh_error *err);
/* Whether an answer has begun: then a failure can only cut it. */
bool lh_http_started(const struct lh_http_exchange *x);

#endif
