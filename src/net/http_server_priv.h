/*
 * The inside of the HTTP server. Files: http_server_mhd.c (libmicrohttpd's daemon and callbacks),
 * http_turn.c (an exchange as the event thread sees it), http_dispatch.c (from a header to a
 * route), http_exchange.c and http_reply.c (as a handler sees it), http_early.c (answers before the
 * end of a body), http_workers.c (the pool), http_sweep.c (deadlines and hang-ups).
 *
 * Who owns what: an exchange has a reference of its connection (from the request line until
 * libmicrohttpd says that the request is over) and one of its worker (while the handler runs).
 *   - `request` members are written by the event thread before the handler starts, then only read.
 *   - `answer` belongs to the handler's thread until `answer.state` says that it may be sent; the
 *     sweeper takes it over only while nobody works on the exchange (it sets phase to LINGER
 * first).
 *   - members below "shared" are guarded by `mutex`; so is every call that suspends or resumes.
 *
 * Lock order: sweeper.mutex, exchange.mutex, then libmicrohttpd's and the workers' own.
 * cancel_mutex stands alone: nothing else is taken under it by us.
 */
#ifndef LH_NET_HTTP_SERVER_PRIV_H
#define LH_NET_HTTP_SERVER_PRIV_H

#include "base/arena.h"
#include "net/http_server.h"
#include "net/http_stream.h"
#include "net/router.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

struct MHD_Connection;
struct MHD_Daemon;

enum {
    LH_HTTP_ADDRESS_SIZE = 46, /* INET6_ADDRSTRLEN */
    LH_HTTP_REQUEST_ID_MAX = 64,
    LH_HTTP_SCRATCH_BYTES = 1536, /* of an exchange, before its arena allocates */
    LH_HTTP_QUERY_ARGS_MAX = 64,
    LH_HTTP_SMALL_BYTES = 64 << 10, /* bodies that are gathered or discarded whole */
    LH_HTTP_TRY_BYTES = 16 << 10,   /* bodies that the event thread may be bothered with: 50 us */
    LH_HTTP_HOLD_BYTES = 16 << 10,  /* of a stream, before the connection is woken for it */
    LH_HTTP_LINGER_MS = 30 * 1000,  /* for a client that still sends after its early answer */
    LH_HTTP_ARENA_BYTES = 16 << 20, /* bound of a handler's arena */
};

/* ---- connections (http_sweep.c) ---- */

struct lh_http_connection {
    struct lh_http_connection *prev, *next;
    int fd;
    bool shed;          /* came beyond a limit: its one request is answered 503 */
    atomic_bool served; /* had a request already: silence is idleness, not slowness */
    /* When the wait for a header began (lh_mono), 0 while a request is at work. */
    _Atomic int64_t waiting_since;
    int64_t checked_at; /* sweeper only */
    char address[LH_HTTP_ADDRESS_SIZE];
};

/* ---- exchanges ---- */

#define LH_HTTP_EXCHANGE_MAGIC 0x45584348u

/*
 * HEAD -> HELD | BODY | WHOLE      the header is complete
 * HELD -> BODY | QUEUED            a client waits for 100-continue
 * BODY -> WHOLE | LINGER           libmicrohttpd hands over body bytes
 * WHOLE -> QUEUED                  the response is libmicrohttpd's
 * LINGER                           answered by hand; what still comes is dropped, then the end
 */
enum lh_http_phase {
    LH_PHASE_HEAD,
    LH_PHASE_HELD,
    LH_PHASE_BODY,
    LH_PHASE_WHOLE,
    LH_PHASE_QUEUED,
    LH_PHASE_LINGER,
};

/* NONE -> OPEN (lh_http_start) -> SENDING (the ring is being read) -> DONE | CUT; NONE | OPEN ->
 * WHOLE. */
enum lh_http_answer_state {
    LH_ANSWER_NONE,
    LH_ANSWER_OPEN,    /* started, held back until there is enough to send */
    LH_ANSWER_SENDING, /* a stream, through the ring */
    LH_ANSWER_DONE,    /* a stream, and all of it is in the ring */
    LH_ANSWER_CUT,     /* a stream that failed: the connection is cut */
    LH_ANSWER_WHOLE,   /* all of it lies in `body` */
};

/*
 * A handler in two halves (lh_http_defer). FIRST -> RESUMED when it is resumed before its first
 * half has returned, whose thread then runs the second; FIRST -> WAITING when that has returned;
 * WAITING -> DUE when the event thread is woken for the second half, or -> WORKER.
 */
enum lh_http_deferral {
    LH_DEFERRAL_NONE,
    LH_DEFERRAL_FIRST,
    LH_DEFERRAL_RESUMED,
    LH_DEFERRAL_WAITING,
    LH_DEFERRAL_DUE,
    LH_DEFERRAL_WORKER,
};

struct lh_http_field {
    lh_str name; /* both terminated */
    lh_str value;
    struct lh_http_field *next;
};

struct lh_http_answer {
    enum lh_http_answer_state state; /* shared; the rest is the owner's until it changes */
    bool started;
    int status;
    int64_t length; /* of a stream, -1 = unknown */
    uint64_t written;
    char *body; /* of a whole answer, or of a small stream while it is written */
    size_t body_len;
    bool body_on_heap;
    bool close; /* end the connection after it */
    struct lh_http_field *fields;
    struct lh_http_field *last_field;
};

struct lh_http_arg {
    lh_str name;
    lh_str value;
};

struct lh_http_exchange {
    uint32_t magic;
    atomic_uint refs;
    struct lh_http_server *server;
    struct lh_http_connection *home; /* event thread only */

    /* request */
    enum lh_http_method method;
    bool http_1_0;
    bool expects_continue;
    bool on_event_thread; /* a handler runs there */
    bool tried;           /* the handler was given to the event thread first (event thread only) */
    bool head_seen;       /* the request counts: its header is complete */
    lh_str target, path, query;
    struct lh_http_header *headers;
    size_t header_count;
    struct lh_route_match match;
    lh_str params[LH_ROUTE_PARAMS_MAX];
    struct lh_http_arg *args;
    size_t arg_count;
    lh_str request_id;
    int64_t body_length; /* -1 = chunked */
    lh_mono begun;
    char address[LH_HTTP_ADDRESS_SIZE];

    struct lh_arena arena; /* the handler's, which may use it up */
    struct lh_arena inner; /* ours, behind the scratch */
    struct lh_http_answer answer;

    /* handler only */
    int64_t body_limit;
    uint64_t body_read;
    char *body_memory; /* what lh_http_body_all gathered */

    /* cancelling */
    atomic_bool cancelled;
    pthread_mutex_t cancel_mutex;
    void (*on_cancel)(void *ctx);
    void *cancel_ctx;

    /* shared */
    pthread_mutex_t mutex;
    pthread_cond_t changed;            /* the handler's thread waits here */
    struct MHD_Connection *connection; /* NULL when the request is over */
    int fd;
    enum lh_http_phase phase;
    bool suspended; /* the connection sleeps until somebody resumes it */
    enum lh_http_deferral deferral;
    lh_http_handler then;
    void *then_state;
    atomic_bool handling; /* the handler runs, or waits in the queue */
    bool gone;            /* the client is */
    bool wants_body;      /* the handler has read: let a client on that waits for 100-continue */
    bool body_begun;      /* a byte has come, so 100-continue has gone out */
    bool body_ended;
    bool discard; /* what still comes of the body is dropped */
    bool slow;    /* the body came below the rate */
    uint64_t body_received;
    char *gathered; /* a small body, whole before the handler starts */
    struct lh_http_stream in;
    struct lh_http_stream out;

    /* sweeper, under its mutex */
    struct lh_http_exchange *sweep_prev, *sweep_next;
    bool swept; /* is in the list */
    bool watched;
    bool hung_up; /* EPOLLRDHUP was seen: the client sends no more */
    int64_t hung_since;
    uint64_t hung_received; /* bytes of the body at the last look, */
    int64_t hung_looked;    /* and when that was */
    uint64_t serial;
    /* under the exchange's mutex */
    int64_t rate_since; /* lh_mono; 0 = not measured */
    uint64_t rate_from;
    bool rate_paused; /* we were the slow side in this window */
    lh_deadline linger_until;

    struct lh_http_exchange *queue_next; /* workers.mutex */

    size_t scratch_used;
    _Alignas(16) char scratch[LH_HTTP_SCRATCH_BYTES];
};

/* ---- the pool of workers (http_workers.c) ---- */

struct lh_http_workers {
    pthread_mutex_t mutex;
    pthread_cond_t work;  /* there is an exchange, or the pool stops */
    pthread_cond_t ended; /* a worker has left */
    struct lh_http_exchange *first, *last;
    size_t queued;
    size_t count; /* threads */
    size_t idle;  /* threads that have no exchange, those just starting among them */
    bool waking;  /* one of these was told of work, and has not come yet */
    size_t workers_max;
    size_t queue_max;
    bool stopping;
    bool has_left; /* `left` is a thread that nobody has joined yet */
    pthread_t left;
};

void lh_http_workers_init(struct lh_http_workers *workers, size_t workers_max, size_t queue_max);
/* Waits until every worker has left: after the last exchange. */
void lh_http_workers_deinit(struct lh_http_workers *workers);
/* Hands x, with a reference, to a worker; false when all are taken and the queue is full. The
 * second half of a handler (`must`) is refused only when there is no worker and none to be had. */
bool lh_http_workers_push(struct lh_http_workers *workers, struct lh_http_exchange *x, bool must);
size_t lh_http_workers_count(struct lh_http_workers *workers);

/* ---- the sweeper (http_sweep.c) ---- */

struct lh_http_sweeper {
    pthread_t thread;
    bool started;
    int epoll_fd;
    int wake_fd;
    pthread_mutex_t mutex;
    struct lh_http_connection *connections;
    size_t connection_count;
    struct lh_http_exchange *exchanges; /* at work, or with a body to come */
    uint64_t next_serial;
    bool lazy; /* the thread sleeps long */
    bool stopping;
};

void lh_http_sweeper_init(struct lh_http_sweeper *sweeper);
lh_code lh_http_sweeper_start(struct lh_http_server *server, struct lh_error *err);
/* Ends the thread, if it runs. */
void lh_http_sweeper_stop(struct lh_http_sweeper *sweeper);
void lh_http_sweeper_deinit(struct lh_http_sweeper *sweeper); /* after the last connection */
/* `address` is copied. Event thread. */
struct lh_http_connection *lh_http_connection_open(struct lh_http_server *server, int fd,
                                                   const char *address);
void lh_http_connection_close(struct lh_http_server *server, struct lh_http_connection *connection);
void lh_http_sweep_add(struct lh_http_sweeper *sweeper, struct lh_http_exchange *x);
void lh_http_sweep_remove(struct lh_http_sweeper *sweeper, struct lh_http_exchange *x);
/* Cancels all that are at work; returns the number that were not cancelled before. */
size_t lh_http_sweep_cancel(struct lh_http_sweeper *sweeper);
size_t lh_http_connection_count(struct lh_http_sweeper *sweeper);

/* ---- the server ---- */

#define LH_HTTP_SERVER_MAGIC 0x48545350u

struct lh_http_server {
    uint32_t magic;
    struct lh_http_server_options options;
    struct MHD_Daemon *daemon;
    struct lh_http_tls *tls; /* NULL: plain */
    uint16_t port;
    atomic_bool ready;
    atomic_bool draining; /* no new connections */
    atomic_bool closing;  /* no new requests */
    struct lh_http_workers workers;
    struct lh_http_sweeper sweeper;
    _Atomic uint64_t next_id; /* of requests that bring none */

    _Atomic uint64_t in_flight;
    _Atomic uint64_t deferred; /* between their halves */
    _Atomic uint64_t requests, shed, refused, cancelled;
    _Atomic uint64_t status_count[6];
    _Atomic uint64_t busy_ns;
};

/* ---- an exchange's life (http_exchange.c) ---- */

struct lh_http_exchange *lh_http_exchange_new(struct lh_http_server *server,
                                              struct lh_http_connection *home, lh_str target);
void lh_http_exchange_unref(struct lh_http_exchange *x);
/* Memory for the length of the exchange; never NULL for the small things of the server itself. */
void *lh_http_alloc(struct lh_http_exchange *x, size_t bytes);
lh_str lh_http_copy(struct lh_http_exchange *x, lh_str text);
/* Marks it cancelled (and its client as gone), wakes whoever waits, runs on_cancel. thread-safe. */
void lh_http_cancel(struct lh_http_exchange *x, bool gone);
/* The client is gone: counted once. `mutex` held. */
void lh_http_mark_gone(struct lh_http_exchange *x);
bool lh_http_has_body(const struct lh_http_exchange *x);
/* Nobody reads what may still come of the body. `mutex` held. */
void lh_http_drop_body(struct lh_http_exchange *x);

/* ---- running handlers (http_run.c) ---- */

/* Runs the handler, or the half that is due, and settles its answer. Consumes no reference. */
void lh_http_run(struct lh_http_exchange *x);
/* Event thread: runs the handler there. Nothing is left of one that would have to wait. */
void lh_http_try(struct lh_http_exchange *x);
/* Event thread: runs the second half there. */
void lh_http_run_second(struct lh_http_exchange *x);
/* Event thread, which comes to x no more: a half that it was to run goes to a worker. */
void lh_http_leave(struct lh_http_exchange *x);

/* ---- answers (http_reply.c) ---- */

/* Takes back all of an answer that has not left. */
void lh_http_forget_answer(struct lh_http_exchange *x);

/* Composes the answer to a failure, without sending it: the owner of the answer only. */
void lh_http_compose_error(struct lh_http_exchange *x, const struct lh_error *failure);
/* Moves the answer on and wakes the event thread for it. `mutex` held. */
void lh_http_publish(struct lh_http_exchange *x, enum lh_http_answer_state state);
/* Sends on what a slow stream holds back. `mutex` held. */
void lh_http_flush(struct lh_http_exchange *x);
/* What becomes of the answer when the handler has returned `code`. */
void lh_http_settle(struct lh_http_exchange *x, lh_code code, const struct lh_error *err);

/* ---- before the body's end (http_early.c) ---- */

/* For a whole answer that comes before the end of the body. A short rest of the body is dropped and
 * the answer goes its usual way; otherwise it is sent on the socket itself, past libmicrohttpd,
 * which takes none while a body is on its way, and the exchange lingers. `mutex` held, phase BODY.
 */
void lh_http_answer_early(struct lh_http_exchange *x);

/* ---- from a header to a route (http_dispatch.c) ---- */

/* Guard, request id, route, parameters. A failure has `answer.close` set where it must be. */
lh_code lh_http_route(struct lh_http_exchange *x, lh_str version, lh_str method,
                      const struct lh_http_header *headers, size_t header_count,
                      struct lh_error *err);
/* The guard's answer to a header whose bytes are not its lines and line ends alone. */
lh_code lh_http_refuse_layout(struct lh_http_exchange *x, struct lh_error *err);

/* ---- the event thread's side (http_turn.c) ---- */

/* Each returns false when the connection is to be closed at once. */
bool lh_http_turn_head(struct lh_http_exchange *x, const struct lh_error *refusal);
bool lh_http_turn_body(struct lh_http_exchange *x, const char *bytes, size_t *len);
bool lh_http_turn(struct lh_http_exchange *x);
enum { LH_HTTP_READ_WAIT = 0, LH_HTTP_READ_END = -1, LH_HTTP_READ_CUT = -2 };
ssize_t lh_http_turn_read(struct lh_http_exchange *x, char *out, size_t max);
void lh_http_turn_end(struct lh_http_exchange *x, bool complete);

/* ---- what libmicrohttpd does for us (http_server_mhd.c) ---- */

/* x->mutex held. */
void lh_http_mhd_suspend(struct lh_http_exchange *x);
void lh_http_mhd_resume(struct lh_http_exchange *x);
/* Sends bytes past libmicrohttpd and says that nothing follows, in one try without waiting; while a
 * body is being received. False when a part of them did not fit. x->mutex held. */
bool lh_http_mhd_send_last(struct lh_http_exchange *x, const void *bytes, size_t len);
/* Hands the answer over, all of it in memory (`whole`) or as a stream. x->mutex not held. False
 * when that fails. */
bool lh_http_mhd_queue(struct lh_http_exchange *x, bool whole);

#endif
