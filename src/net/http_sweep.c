/*
 * The sweeper: one thread that looks after what libmicrohttpd does not see.
 *
 *   - A header that is not complete in time: the socket is shut (libmicrohttpd's own timeout begins
 *     anew with every byte).
 *   - A body below the minimum rate: 408.
 *   - A client that goes away while its connection is suspended: the socket is watched for
 * EPOLLRDHUP, and the exchange is cancelled. A client that half-closes counts as gone.
 *   - A client that has its answer and still sends: cut after LH_HTTP_LINGER_MS.
 *   - A stream that is held back for company: sent on.
 *
 * It sleeps for LAZY_MS while no exchange is at work, for TICK_MS otherwise; a short exchange is
 * over before the sweeper has looked at it and costs two list operations.
 *
 * An exchange is in the list only while its socket is open, and leaves it under the same mutex, so
 * a file descriptor is never watched or shut after it was closed.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TICK_MS = 100,
    LAZY_MS = 1000,
    WATCH_AFTER_MS = 50,
    HANG_UP_MS = 5000,
    EVENTS_MAX = 64,
    WAKE_SERIAL = 0, /* no exchange has it */
};

static const int64_t ns_per_ms = 1000000;

/* ---- connections ---- */

static size_t count_of_address(const struct lh_http_sweeper *sweeper, const char *address)
{
    size_t count = 0;
    for (const struct lh_http_connection *c = sweeper->connections; c != NULL; c = c->next)
        count += strcmp(c->address, address) == 0;
    return count;
}

struct lh_http_connection *lh_http_connection_open(struct lh_http_server *server, int fd,
                                                   const char *address)
{
    struct lh_http_sweeper *sweeper = &server->sweeper;
    struct lh_http_connection *connection = lh_calloc(1, sizeof(*connection));
    connection->fd = fd;
    size_t len = strlen(address);
    LH_CHECK(len < sizeof(connection->address));
    memcpy(connection->address, address, len + 1);
    connection->checked_at = lh_mono_now().ns;
    atomic_init(&connection->served, false);
    atomic_init(&connection->waiting_since, connection->checked_at);

    lh_mutex_lock(&sweeper->mutex);
    size_t per_ip = server->options.connections_per_ip_max;
    connection->shed = sweeper->connection_count >= server->options.connections_max ||
                       (per_ip > 0 && count_of_address(sweeper, address) >= per_ip);
    connection->next = sweeper->connections;
    if (connection->next != NULL)
        connection->next->prev = connection;
    sweeper->connections = connection;
    sweeper->connection_count++;
    lh_mutex_unlock(&sweeper->mutex);
    return connection;
}

void lh_http_connection_close(struct lh_http_server *server, struct lh_http_connection *connection)
{
    struct lh_http_sweeper *sweeper = &server->sweeper;
    lh_mutex_lock(&sweeper->mutex);
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        sweeper->connections = connection->next;
    sweeper->connection_count--;
    lh_mutex_unlock(&sweeper->mutex);
    free(connection);
}

size_t lh_http_connection_count(struct lh_http_sweeper *sweeper)
{
    lh_mutex_lock(&sweeper->mutex);
    size_t count = sweeper->connection_count;
    lh_mutex_unlock(&sweeper->mutex);
    return count;
}

/* Whether a kept-alive connection has had no byte since its last request: it is idle, which is
 * libmicrohttpd's to bound, and not in the middle of a header. */
static bool is_silent(const struct lh_http_connection *connection, int64_t waited_ns)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (!atomic_load(&connection->served) ||
        getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    enum { SLACK_MS = 50 }; /* the last request's bytes came a little before its end */
    return (int64_t)info.tcpi_last_data_recv + SLACK_MS >= waited_ns / ns_per_ms;
}

static void sweep_connections(struct lh_http_server *server, int64_t now)
{
    int64_t limit = server->options.header_timeout_ms * ns_per_ms;
    for (struct lh_http_connection *c = server->sweeper.connections; c != NULL; c = c->next) {
        int64_t since = atomic_load(&c->waiting_since);
        if (since == 0 || now - since < limit)
            continue;
        if (c->checked_at > since && now - c->checked_at < limit)
            continue; /* found idle not long ago */
        c->checked_at = now;
        if (!is_silent(c, now - since))
            shutdown(c->fd, SHUT_RDWR);
    }
}

/* ---- exchanges ---- */

static void wake(const struct lh_http_sweeper *sweeper)
{
    uint64_t one = 1;
    ssize_t written = write(sweeper->wake_fd, &one, sizeof(one));
    LH_CHECK(written == sizeof(one) || errno == EAGAIN);
}

void lh_http_sweep_add(struct lh_http_sweeper *sweeper, struct lh_http_exchange *x)
{
    lh_mutex_lock(&sweeper->mutex);
    x->serial = ++sweeper->next_serial;
    x->swept = true;
    x->sweep_next = sweeper->exchanges;
    if (x->sweep_next != NULL)
        x->sweep_next->sweep_prev = x;
    sweeper->exchanges = x;
    bool was_lazy = sweeper->lazy;
    sweeper->lazy = false;
    lh_mutex_unlock(&sweeper->mutex);
    if (was_lazy)
        wake(sweeper);
}

void lh_http_sweep_remove(struct lh_http_sweeper *sweeper, struct lh_http_exchange *x)
{
    if (!x->swept)
        return; /* only the event thread adds and removes */
    lh_mutex_lock(&sweeper->mutex);
    if (x->sweep_next != NULL)
        x->sweep_next->sweep_prev = x->sweep_prev;
    if (x->sweep_prev != NULL)
        x->sweep_prev->sweep_next = x->sweep_next;
    else
        sweeper->exchanges = x->sweep_next;
    if (x->watched)
        epoll_ctl(sweeper->epoll_fd, EPOLL_CTL_DEL, x->fd, NULL);
    x->watched = false;
    x->swept = false;
    lh_mutex_unlock(&sweeper->mutex);
}

static void watch(struct lh_http_sweeper *sweeper, struct lh_http_exchange *x)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = x->serial};
    x->watched = epoll_ctl(sweeper->epoll_fd, EPOLL_CTL_ADD, x->fd, &event) == 0;
}

/* A body whose window is over and that brought less than the rate asks for. Exchange's mutex held.
 */
static bool is_too_slow(const struct lh_http_server_options *options, struct lh_http_exchange *x,
                        int64_t now)
{
    if (x->phase != LH_PHASE_BODY || x->rate_since == 0 || options->body_rate_min == 0)
        return false;
    if (now - x->rate_since < options->body_rate_window_ms * ns_per_ms)
        return false;
    uint64_t wanted = (uint64_t)(options->body_rate_min * options->body_rate_window_ms / 1000);
    bool slow = x->body_received - x->rate_from < wanted && !x->rate_paused && !x->suspended;
    x->rate_since = now;
    x->rate_from = x->body_received;
    x->rate_paused = false;
    return slow;
}

/* Answers for a body that will not come: through the handler when one runs, or in its stead.
 * Exchange's mutex held. */
static void give_up_body(struct lh_http_exchange *x, lh_code code, const char *why)
{
    pthread_cond_broadcast(&x->changed);
    if (x->handling || x->answer.state != LH_ANSWER_NONE) {
        if (x->discard) /* the answer waits for the end of the body */
            shutdown(x->fd, SHUT_RDWR);
        return;
    }
    struct lh_error failure = LH_ERROR_INIT;
    LH_IGNORE(lh_fail(&failure, code, "%s", why), "it is sent");
    lh_http_compose_error(x, &failure);
    x->answer.state = LH_ANSWER_WHOLE;
    lh_http_answer_early(x);
}

/*
 * What a client that sends no more means for its exchange; true: it is to be cancelled. While a
 * body is being received, bytes may still be on their way through the kernel and libmicrohttpd
 * (which does not tell us of the end of the stream): the client counts as gone when two looks see
 * the same and nothing waits in the socket, or when HANG_UP_MS have brought no byte. Exchange's
 * mutex held.
 */
static bool is_gone(struct lh_http_exchange *x, int64_t now)
{
    if (x->phase == LH_PHASE_LINGER) {
        shutdown(x->fd, SHUT_RDWR);
        return false;
    }
    if (x->phase != LH_PHASE_BODY) {
        enum lh_http_answer_state state = x->answer.state;
        return state == LH_ANSWER_NONE || state == LH_ANSWER_OPEN || x->suspended;
    }
    bool moved = x->hung_received != x->body_received;
    if (moved || x->hung_looked == 0) {
        x->hung_since = now;
        x->hung_looked = now;
        x->hung_received = x->body_received;
        return false;
    }
    int waiting = 0;
    bool empty = ioctl(x->fd, FIONREAD, &waiting) == 0 && waiting == 0 && !x->suspended;
    if (now - x->hung_looked < TICK_MS * ns_per_ms)
        return false;
    return empty || now - x->hung_since >= HANG_UP_MS * ns_per_ms;
}

/* True: x is to be cancelled, which is done without our mutex. */
static bool sweep_exchange(struct lh_http_server *server, struct lh_http_exchange *x, int64_t now)
{
    lh_mutex_lock(&x->mutex);
    bool gone = x->hung_up && !x->gone && is_gone(x, now);
    if (x->phase == LH_PHASE_LINGER && lh_deadline_passed(x->linger_until)) {
        shutdown(x->fd, SHUT_RDWR);
    } else if (gone) {
        lh_http_mark_gone(x);
        if (x->phase == LH_PHASE_BODY)
            give_up_body(x, LH_INCOMPLETE_BODY, "the client left before the body's end");
    } else if (is_too_slow(&server->options, x, now)) {
        x->slow = true;
        give_up_body(x, LH_REQUEST_TIMEOUT, "the body came too slowly");
    }
    if (x->out.len > 0)
        lh_http_flush(x);
    lh_mutex_unlock(&x->mutex);
    if (!x->watched && now - x->begun.ns >= WATCH_AFTER_MS * ns_per_ms)
        watch(&server->sweeper, x);
    return gone;
}

/* One look at all. Fills `ret_gone`, with references, with those to be cancelled; the rest of a
 * crowd is for the next look. mutex held. */
static size_t sweep_exchanges(struct lh_http_server *server, struct lh_http_exchange **ret_gone,
                              size_t max)
{
    int64_t now = lh_mono_now().ns;
    size_t count = 0;
    struct lh_http_exchange *x = server->sweeper.exchanges;
    for (; x != NULL && count < max; x = x->sweep_next) {
        if (!sweep_exchange(server, x, now))
            continue;
        atomic_fetch_add(&x->refs, 1);
        ret_gone[count++] = x;
    }
    return count;
}

/* The socket of the exchange with that serial has hung up. mutex held. */
static void note_hang_up(struct lh_http_sweeper *sweeper, uint64_t serial)
{
    for (struct lh_http_exchange *x = sweeper->exchanges; x != NULL; x = x->sweep_next)
        if (x->serial == serial)
            x->hung_up = true;
}

size_t lh_http_sweep_cancel(struct lh_http_sweeper *sweeper)
{
    size_t count = 0;
    uint64_t before = UINT64_MAX;
    for (;;) { /* newest first; on_cancel runs without our mutex */
        lh_mutex_lock(&sweeper->mutex);
        struct lh_http_exchange *x = sweeper->exchanges;
        while (x != NULL && x->serial >= before)
            x = x->sweep_next;
        if (x != NULL) {
            atomic_fetch_add(&x->refs, 1);
            before = x->serial;
            count += !lh_http_cancelled(x);
            lh_mutex_lock(&x->mutex);
            if (!x->handling) /* only a slow client keeps it alive */
                shutdown(x->fd, SHUT_RDWR);
            lh_mutex_unlock(&x->mutex);
        }
        lh_mutex_unlock(&sweeper->mutex);
        if (x == NULL)
            return count;
        lh_http_cancel(x, false);
        lh_http_exchange_unref(x);
    }
}

/* ---- the thread ---- */

/* Sleeps until something hangs up or it is time to look. mutex held, released meanwhile. */
static void wait_for_events(struct lh_http_sweeper *sweeper)
{
    struct epoll_event events[EVENTS_MAX];
    sweeper->lazy = sweeper->exchanges == NULL;
    int timeout = sweeper->lazy ? LAZY_MS : TICK_MS;
    lh_mutex_unlock(&sweeper->mutex);
    int count = epoll_wait(sweeper->epoll_fd, events, EVENTS_MAX, timeout);
    lh_mutex_lock(&sweeper->mutex);
    for (int i = 0; i < count; i++) {
        uint64_t drained;
        if (events[i].data.u64 != WAKE_SERIAL)
            note_hang_up(sweeper, events[i].data.u64);
        else
            LH_CHECK(read(sweeper->wake_fd, &drained, sizeof(drained)) == sizeof(drained));
    }
}

static void *sweep(void *arg)
{
    struct lh_http_server *server = arg;
    struct lh_http_sweeper *sweeper = &server->sweeper;
    struct lh_http_exchange *gone[EVENTS_MAX];
    lh_mutex_lock(&sweeper->mutex);
    while (!sweeper->stopping) {
        wait_for_events(sweeper);
        sweep_connections(server, lh_mono_now().ns);
        size_t count = sweep_exchanges(server, gone, LH_COUNT(gone));
        lh_mutex_unlock(&sweeper->mutex);
        for (size_t i = 0; i < count; i++) {
            lh_http_cancel(gone[i], true);
            lh_http_exchange_unref(gone[i]);
        }
        lh_mutex_lock(&sweeper->mutex);
    }
    lh_mutex_unlock(&sweeper->mutex);
    return NULL;
}

void lh_http_sweeper_init(struct lh_http_sweeper *sweeper)
{
    *sweeper = (struct lh_http_sweeper){.epoll_fd = -1, .wake_fd = -1};
    lh_mutex_init(&sweeper->mutex);
}

lh_code lh_http_sweeper_start(struct lh_http_server *server, struct lh_error *err)
{
    struct lh_http_sweeper *sweeper = &server->sweeper;
    sweeper->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sweeper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sweeper->epoll_fd < 0 || sweeper->wake_fd < 0)
        return lh_fail_errno(err, "no epoll for the sweeper");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_SERIAL};
    if (epoll_ctl(sweeper->epoll_fd, EPOLL_CTL_ADD, sweeper->wake_fd, &event) != 0)
        return lh_fail_errno(err, "no eventfd for the sweeper");
    LH_TRY(lh_thread_start(&sweeper->thread, "http-sweep", sweep, server, err));
    sweeper->started = true;
    return LH_OK;
}

void lh_http_sweeper_stop(struct lh_http_sweeper *sweeper)
{
    if (!sweeper->started)
        return;
    lh_mutex_lock(&sweeper->mutex);
    sweeper->stopping = true;
    lh_mutex_unlock(&sweeper->mutex);
    wake(sweeper);
    pthread_join(sweeper->thread, NULL);
    sweeper->started = false;
}

void lh_http_sweeper_deinit(struct lh_http_sweeper *sweeper)
{
    LH_CHECK(sweeper->connections == NULL && sweeper->exchanges == NULL);
    if (sweeper->wake_fd >= 0)
        close(sweeper->wake_fd);
    if (sweeper->epoll_fd >= 0)
        close(sweeper->epoll_fd);
    pthread_mutex_destroy(&sweeper->mutex);
}
