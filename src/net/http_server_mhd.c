/*
 * The HTTP server's engine: the only file that knows libmicrohttpd (0.9.75 in Debian 12). It sets
 * up the daemon, turns its callbacks into the calls of http_turn.c, and answers into its responses.
 *
 * What has to be known about libmicrohttpd:
 *   - All callbacks run on its event thread. A response may be queued when the header is complete
 * or when the request is, never while a body is received (http_early.c is for that).
 *   - A suspended connection is touched by nobody but MHD_resume_connection, which any thread may
 * call; suspending and resuming are done under the exchange's mutex, and `suspended` says which is
 * due.
 *   - After the completed callback neither the connection nor its header memory may be touched.
 *   - Its parser takes lines that end in a bare LF, folded headers, and cuts values at a NUL. The
 *     header's bytes stay where they were received, so is_layout_exact sees all of these.
 */
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"
#include "net/http_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 4096,
    /* Connections beyond the limit are still taken, to be told 503; beyond these, too, they wait.
     */
    SHED_CONNECTIONS_MAX = 64,
    STREAM_BLOCK_BYTES = 64 << 10,
    DRAIN_TICK_MS = 10,
};

/* ---- suspending, resuming, answering ---- */

void lh_http_mhd_suspend(struct lh_http_exchange *x)
{
    LH_CHECK(!x->suspended && x->connection != NULL);
    x->suspended = true;
    MHD_suspend_connection(x->connection);
}

void lh_http_mhd_resume(struct lh_http_exchange *x)
{
    LH_CHECK(x->suspended && x->connection != NULL);
    x->suspended = false;
    MHD_resume_connection(x->connection);
}

bool lh_http_mhd_send_last(struct lh_http_exchange *x, const void *bytes, size_t len)
{
    if (x->server->tls == NULL)
        return send(x->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
    /* A session takes one thread that sends beside one that receives, which libmicrohttpd may be
     * doing now. */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return lh_http_tls_send_last(info->tls_session, bytes, len);
}

static ssize_t on_read(void *cls, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct lh_http_exchange *x = cls;
    LH_CHECK_MAGIC(x, LH_HTTP_EXCHANGE_MAGIC);
    ssize_t len = lh_http_turn_read(x, out, max);
    if (len == LH_HTTP_READ_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (len == LH_HTTP_READ_CUT)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    return len;
}

static struct MHD_Response *make_response(struct lh_http_exchange *x, bool whole)
{
    const struct lh_http_answer *answer = &x->answer;
    /* Bytes in memory stay the exchange's, which outlives the response's sending. */
    if (whole && (answer->body != NULL || answer->body_len == 0))
        return MHD_create_response_from_buffer(answer->body_len, answer->body,
                                               MHD_RESPMEM_PERSISTENT);
    uint64_t length = MHD_SIZE_UNKNOWN;
    if (whole) /* HEAD and 304: a length and no bytes */
        length = answer->body_len;
    else if (answer->length >= 0)
        length = (uint64_t)answer->length;
    /* Chunks are made in the connection's own buffer. */
    bool chunked = length == MHD_SIZE_UNKNOWN && !x->http_1_0;
    return MHD_create_response_from_callback(length, chunked ? 1 : STREAM_BLOCK_BYTES, on_read, x,
                                             NULL);
}

bool lh_http_mhd_queue(struct lh_http_exchange *x, bool whole)
{
    struct MHD_Response *response = make_response(x, whole);
    if (response == NULL)
        return false;
    /* libmicrohttpd takes no empty value; a space is one, since readers trim it. */
    for (const struct lh_http_field *field = x->answer.fields; field; field = field->next)
        MHD_add_response_header(response, field->name.ptr,
                                field->value.len > 0 ? field->value.ptr : " ");
    if (x->answer.close || atomic_load_explicit(&x->server->draining, memory_order_relaxed))
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result queued =
        MHD_queue_response(x->connection, (unsigned)x->answer.status, response);
    MHD_destroy_response(response);
    return queued == MHD_YES;
}

/* ---- the header ---- */

struct header_list {
    struct lh_http_header *items;
    size_t count;
    size_t capacity;
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct header_list *list = cls;
    if (list->count == list->capacity)
        return MHD_NO;
    list->items[list->count++] = (struct lh_http_header){
        lh_str_of(name, name_len), lh_str_of(value != NULL ? value : "", value_len)};
    return MHD_YES;
}

/*
 * Whether the header consists of nothing but its lines, each ended by CR LF. libmicrohttpd 0.9
 * parses in place and overwrites line ends by NULs: what it hands out points into the bytes as they
 * came, so every line must begin two bytes after the one before has ended. A bare LF leaves one
 * byte, a NUL inside a value more than two, a folded line lies elsewhere. Later versions refuse
 * these themselves.
 */
static bool is_layout_exact(const struct lh_http_exchange *x, const char *version,
                            const char *method, const struct header_list *list)
{
#if MHD_VERSION < 0x01000000
    enum { LINE_END = 2 };
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *end = method + info->header_size;
    const char *at = method + strlen(method) + 1 + x->target.len + 1; /* one space each */
    if (version != at)
        return false;
    at += strlen(version) + LINE_END;
    for (size_t i = 0; i < list->count; i++) {
        const struct lh_http_header *header = &list->items[i];
        if (header->name.ptr != at || header->value.ptr <= at || header->value.ptr >= end)
            return false;
        for (const char *c = at + header->name.len + 1; c < header->value.ptr; c++)
            if (*c != ' ' && *c != '\t')
                return false;
        at = header->value.ptr + header->value.len + LINE_END;
    }
    return at + LINE_END == end;
#else
    (void)x, (void)version, (void)method, (void)list;
    return true;
#endif
}

static bool on_head(struct lh_http_exchange *x, const char *version, const char *method)
{
    size_t most = x->server->options.header_count_max + 1; /* one more shows the excess */
    struct lh_http_header items[128];
    struct header_list list = {.items = items, .capacity = LH_COUNT(items)};
    if (most > LH_COUNT(items)) {
        list.items = lh_http_alloc(x, most * sizeof(*list.items));
        list.capacity = most;
    }
    MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_header, &list);

    struct lh_error err = LH_ERROR_INIT;
    lh_code code =
        lh_http_route(x, lh_str_from(version), lh_str_from(method), list.items, list.count, &err);
    if (code == LH_OK && !is_layout_exact(x, version, method, &list))
        code = lh_http_refuse_layout(x, &err);
    return lh_http_turn_head(x, code == LH_OK ? NULL : &err);
}

/* ---- callbacks ---- */

static struct lh_http_connection *home_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line has come: the only time that the target is seen as it was sent. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct lh_http_server *server = cls;
    struct lh_http_connection *home = home_of(connection);
    struct lh_http_exchange *x = lh_http_exchange_new(server, home, lh_str_from(target));
    x->connection = connection;
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **context)
{
    (void)cls, (void)connection, (void)url;
    struct lh_http_exchange *x = *context;
    LH_CHECK_MAGIC(x, LH_HTTP_EXCHANGE_MAGIC);
    bool open;
    if (!x->head_seen) {
        x->head_seen = true;
        atomic_fetch_add(&x->server->in_flight, 1);
        atomic_fetch_add(&x->server->requests, 1);
        atomic_store(&x->home->waiting_since, 0);
        open = on_head(x, version, method);
    } else if (*len > 0) {
        open = lh_http_turn_body(x, bytes, len);
    } else {
        open = lh_http_turn(x);
    }
    return open ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode how)
{
    (void)cls, (void)connection;
    struct lh_http_exchange *x = *context;
    *context = NULL;
    if (x != NULL)
        lh_http_turn_end(x, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void address_of(struct MHD_Connection *connection, char out[LH_HTTP_ADDRESS_SIZE])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const void *address = NULL;
    sa_family_t family = info->client_addr->sa_family;
    if (family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr;
    else
        address = &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr;
    if (inet_ntop(family, address, out, LH_HTTP_ADDRESS_SIZE) == NULL)
        memcpy(out, "?", 2);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct lh_http_server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        char address[LH_HTTP_ADDRESS_SIZE];
        address_of(connection, address);
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = lh_http_connection_open(server, fd, address);
    } else if (*socket_context != NULL) {
        lh_http_connection_close(server, *socket_context);
        *socket_context = NULL;
    }
}

/* Paths stay as they came: decoding is the router's, exactly once. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strlen(text);
}

/* ---- start ---- */

static lh_code listen_on(const char *host, uint16_t port, int *ret_fd, struct lh_error *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
        return lh_fail(err, LH_INVALID_CONFIG, "%s is no numeric address", host);
    const struct sockaddr *address =
        is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    socklen_t len = is_v4 ? sizeof(v4) : sizeof(v6);

    LH_AUTO_FD int fd =
        socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, address, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        LH_IGNORE(lh_fail_errno(err, "cannot listen on %s port %u", host, port), "code follows");
        err->code = LH_INVALID_CONFIG;
        return err->code;
    }
    *ret_fd = fd;
    fd = -1;
    return LH_OK;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t len = sizeof(address);
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

/* Takes over listen_fd when it succeeds. */
static lh_code start_daemon(struct lh_http_server *server, int listen_fd, struct lh_error *err)
{
    const struct lh_http_server_options *options = &server->options;
    int64_t idle_ms = options->idle_timeout_ms > options->header_timeout_ms
                          ? options->idle_timeout_ms
                          : options->header_timeout_ms;
    unsigned tls_flag = server->tls != NULL ? MHD_USE_TLS : 0;
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)lh_http_tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)LH_HTTP_TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    /* The event thread inherits the signal mask: signals are for the main thread. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_PEDANTIC_CHECKS |
            tls_flag,
        0, NULL, NULL, on_request, server,                   /* */
        MHD_OPTION_ARRAY, server->tls != NULL ? tls : plain, /* */
        MHD_OPTION_LISTEN_SOCKET, listen_fd,                 /* */
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server,      /* */
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,   /* */
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, /* */
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, server,  /* */
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(options->connections_max + SHED_CONNECTIONS_MAX),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->pool_bytes,           /* */
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((idle_ms + 999) / 1000), /* */
        MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (server->daemon == NULL)
        return lh_fail_errno(err, "the HTTP server does not start");
    return LH_OK;
}

static void check_options(const struct lh_http_server_options *options)
{
    LH_CHECK(options->routes != NULL && options->service_name != NULL && options->host != NULL);
    LH_CHECK(options->connections_max > 0 && options->workers_max > 0);
    LH_CHECK(options->header_timeout_ms > 0 && options->body_rate_window_ms > 0);
    LH_CHECK(options->body_bytes_max >= 0 && options->body_rate_min >= 0);
    LH_CHECK(options->target_bytes_max > 0 && options->header_bytes_max > 0);
    LH_CHECK(options->header_count_max > 0 && options->stream_bytes >= LH_HTTP_HOLD_BYTES);
    LH_CHECK(options->pool_bytes >= 4096);
    for (size_t i = 0; i < options->route_count; i++)
        LH_CHECK((~options->routes[i].flags & (LH_ROUTE_INLINE | LH_ROUTE_BODY)) != 0);
}

static void server_free(struct lh_http_server *server)
{
    lh_http_workers_deinit(&server->workers);
    lh_http_sweeper_stop(&server->sweeper);
    lh_http_sweeper_deinit(&server->sweeper);
    lh_http_tls_close(server->tls);
    server->magic = 0;
    free(server);
}

static lh_code open_tls(struct lh_http_server *server, struct lh_error *err)
{
    lh_str certificate = lh_str_from(server->options.tls_certificate);
    lh_str key = lh_str_from(server->options.tls_key);
    server->options.tls_certificate = server->options.tls_key = NULL; /* the same */
    if (certificate.len == 0 && key.len == 0)
        return LH_OK;
    if (certificate.len == 0 || key.len == 0)
        return lh_fail(err, LH_INVALID_CONFIG, "a certificate for TLS and its key go together");
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return lh_fail(err, LH_INVALID_CONFIG, "this libmicrohttpd was built without TLS");
    return lh_http_tls_open(certificate.ptr, key.ptr, server->options.header_timeout_ms,
                            &server->tls, err);
}

lh_code lh_http_server_reload_tls(struct lh_http_server *server, struct lh_error *err)
{
    return server->tls != NULL ? lh_http_tls_reload(server->tls, err) : LH_OK;
}

lh_code lh_http_server_start(const struct lh_http_server_options *options,
                             struct lh_http_server **ret_server, struct lh_error *err)
{
    check_options(options);
    int listen_fd = -1;
    LH_TRY(listen_on(options->host, options->port, &listen_fd, err));
    struct lh_http_server *server = lh_calloc(1, sizeof(*server));
    server->magic = LH_HTTP_SERVER_MAGIC;
    server->options = *options;
    server->options.host = NULL; /* need not outlive this call */
    server->port = port_of(listen_fd);
    uint64_t seed;
    lh_random_bytes(&seed, sizeof(seed));
    atomic_init(&server->next_id, seed);
    lh_http_workers_init(&server->workers, options->workers_max, options->queue_max);
    lh_http_sweeper_init(&server->sweeper);
    lh_code code = open_tls(server, err);
    if (code == LH_OK)
        code = lh_http_sweeper_start(server, err);
    if (code == LH_OK)
        code = start_daemon(server, listen_fd, err);
    if (code != LH_OK) {
        close(listen_fd);
        server_free(server);
        return code;
    }
    *ret_server = server;
    return LH_OK;
}

uint16_t lh_http_server_port(const struct lh_http_server *server)
{
    return server->port;
}

void lh_http_server_set_ready(struct lh_http_server *server, bool ready)
{
    atomic_store(&server->ready, ready);
}

/* ---- stop ---- */

/* Waits until no request is at work; what still is when the time is over is cancelled, and told so
 * again and again. */
static size_t wait_for_requests(struct lh_http_server *server, lh_deadline until)
{
    size_t cancelled = 0;
    while (atomic_load(&server->in_flight) > 0 || atomic_load(&server->deferred) > 0) {
        if (lh_deadline_passed(until))
            cancelled += lh_http_sweep_cancel(&server->sweeper);
        lh_sleep_ms(DRAIN_TICK_MS);
    }
    return cancelled;
}

size_t lh_http_server_stop(struct lh_http_server *server)
{
    LH_CHECK_MAGIC(server, LH_HTTP_SERVER_MAGIC);
    atomic_store(&server->draining, true);
    /* The event thread may be about to use the socket once more: it is shut, and closed at the end.
     */
    int listen_fd = MHD_quiesce_daemon(server->daemon);
    shutdown(listen_fd, SHUT_RDWR);
    lh_deadline until = lh_deadline_in_ms(server->options.drain_timeout_ms);
    size_t cancelled = wait_for_requests(server, until);
    /* A request may have come on a kept-alive connection just now. Whoever counts itself after this
     * line is refused, and libmicrohttpd is stopped with no connection suspended, as it demands. */
    atomic_store(&server->closing, true);
    cancelled += wait_for_requests(server, until);
    lh_http_sweeper_stop(&server->sweeper); /* from now on sockets close */
    MHD_stop_daemon(server->daemon);
    close(listen_fd);
    server_free(server);
    return cancelled;
}

void lh_http_server_stats(const struct lh_http_server *server, struct lh_http_server_stats *ret)
{
    struct lh_http_server *s = (struct lh_http_server *)(uintptr_t)server; /* locks, no changes */
    *ret = (struct lh_http_server_stats){
        .requests = atomic_load(&s->requests),
        .shed = atomic_load(&s->shed),
        .refused = atomic_load(&s->refused),
        .cancelled = atomic_load(&s->cancelled),
        .in_flight = atomic_load(&s->in_flight),
        .connections = lh_http_connection_count(&s->sweeper),
        .workers = lh_http_workers_count(&s->workers),
        .seconds_total = (double)atomic_load(&s->busy_ns) / 1e9,
    };
    for (size_t i = 0; i < LH_COUNT(ret->status_count); i++)
        ret->status_count[i] = atomic_load(&s->status_count[i]);
}
