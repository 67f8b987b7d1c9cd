/*
 * The client against a peer that follows a script: one step for each request it reads, whichever
 * connection it comes on.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/thread.h"
#include "net/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the peer ---- */

enum step_end { KEEP, CLOSE, HANG, TRICKLE };

struct step {
    const char *answer; /* what is sent after a request was read; NULL = nothing */
    enum step_end end;  /* then: keep the connection, close it, or be silent until the end */
};

enum { SLOW_BYTE_MS = 20 };

struct peer {
    int listen_fd;
    uint16_t port;
    pthread_t thread;
    const struct step *steps;
    size_t step_count;
    _Atomic size_t connections;
    _Atomic size_t requests;
    atomic_bool stop;
    pthread_mutex_t lock;
    struct lh_buf incoming;
    struct lh_buf request; /* under lock: the last one that was complete, header and body */
};

static bool wait_for(const struct peer *peer, int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (!peer->stop) {
        if (poll(&poll_fd, 1, 10) > 0)
            return true;
    }
    return false;
}

/* Whether the request is complete: its header, and as much body as that says. */
static bool is_complete(const struct lh_buf *request)
{
    const char *end = request->data != NULL ? strstr(request->data, "\r\n\r\n") : NULL;
    if (end == NULL)
        return false;
    size_t body = request->len - (size_t)(end + 4 - request->data);
    const char *length = strcasestr(request->data, "content-length: ");
    if (length != NULL && length < end)
        return body >= (size_t)strtoul(length + 16, NULL, 10);
    if (strcasestr(request->data, "transfer-encoding: chunked") != NULL)
        return lh_str_ends(lh_buf_str(request), "0\r\n\r\n");
    return true;
}

static bool read_request(struct peer *peer, int fd)
{
    lh_buf_reset(&peer->incoming);
    while (!is_complete(&peer->incoming)) {
        char *room = lh_buf_reserve(&peer->incoming, 4096);
        if (room == NULL || !wait_for(peer, fd))
            return false;
        ssize_t len = recv(fd, room, 4096, 0);
        if (len <= 0)
            return false;
        lh_buf_commit(&peer->incoming, (size_t)len);
    }
    lh_mutex_lock(&peer->lock);
    lh_buf_reset(&peer->request);
    lh_buf_append_str(&peer->request, lh_buf_str(&peer->incoming));
    lh_mutex_unlock(&peer->lock);
    peer->requests++;
    return true;
}

static void send_answer(const struct peer *peer, int fd, const struct step *step)
{
    size_t len = step->answer != NULL ? strlen(step->answer) : 0;
    size_t piece = step->end == TRICKLE ? 1 : len;
    for (size_t sent = 0; sent < len && !peer->stop; sent += piece) {
        if (send(fd, step->answer + sent, piece, MSG_NOSIGNAL) < 0)
            return;
        if (step->end == TRICKLE)
            lh_sleep_ms(SLOW_BYTE_MS);
    }
}

static void serve_connection(struct peer *peer, int fd, size_t *next_step)
{
    while (read_request(peer, fd)) {
        if (*next_step >= peer->step_count)
            return;
        const struct step *step = &peer->steps[(*next_step)++];
        send_answer(peer, fd, step);
        if (step->end == CLOSE)
            return;
        while (step->end == HANG && !peer->stop)
            lh_sleep_ms(5);
    }
}

static void *run_peer(void *arg)
{
    struct peer *peer = arg;
    size_t next_step = 0;
    while (wait_for(peer, peer->listen_fd)) {
        int fd = accept(peer->listen_fd, NULL, NULL);
        if (fd < 0)
            break;
        peer->connections++;
        serve_connection(peer, fd, &next_step);
        close(fd);
    }
    return NULL;
}

static void peer_start(struct peer *peer, const struct step *steps, size_t count)
{
    *peer = (struct peer){.steps = steps,
                          .step_count = count,
                          .incoming = LH_BUF_INIT(64 << 20),
                          .request = LH_BUF_INIT(64 << 20)};
    lh_mutex_init(&peer->lock);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(peer->listen_fd, 16), 0);
    assert_int_equal(getsockname(peer->listen_fd, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_thread_start(&peer->thread, "peer", run_peer, peer, &err), LH_OK);
}

static void peer_stop(struct peer *peer)
{
    peer->stop = true;
    pthread_join(peer->thread, NULL);
    close(peer->listen_fd);
    lh_buf_deinit(&peer->incoming);
    lh_buf_deinit(&peer->request);
    pthread_mutex_destroy(&peer->lock);
}

/* The last request; it stays as it is until the next one is complete. */
static lh_str last_request(struct peer *peer)
{
    lh_mutex_lock(&peer->lock);
    lh_str request = lh_buf_str(&peer->request);
    lh_mutex_unlock(&peer->lock);
    return request;
}

/* ---- a client, and calls ---- */

static struct lh_http_client *client;

static int setup(void **state)
{
    (void)state;
    const struct lh_http_client_options options = {
        .connections_idle_max = 4, .connect_timeout_ms = 500, .user_agent = "test"};
    struct lh_error err = LH_ERROR_INIT;
    return lh_http_client_new(&options, &client, &err) == LH_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lh_http_client_free(client);
    return 0;
}

struct result {
    lh_code code;
    int status;
    struct lh_buf body;
    struct lh_error err;
    char url[128];
};

static void result_deinit(struct result *result)
{
    lh_buf_deinit(&result->body);
}

#define AUTO_RESULT LH_AUTO(result_deinit) struct result

/* Performs `call` against the peer; its URL, and a deadline unless it has one, are filled in. */
static struct result perform(const struct peer *peer, struct lh_http_call call)
{
    struct result result = {.body = LH_BUF_INIT(1 << 20), .err = LH_ERROR_INIT};
    snprintf(result.url, sizeof(result.url), "http://127.0.0.1:%u/a%%2Fb?c=d", peer->port);
    call.url = result.url;
    if (call.deadline.ns == 0)
        call.deadline = lh_deadline_in_ms(20000);
    result.code = lh_http_call_buf(client, &call, &result.body, &result.status, &result.err);
    return result;
}

static struct result get(const struct peer *peer)
{
    return perform(peer, (struct lh_http_call){.method = LH_HTTP_GET});
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* ---- requests and answers ---- */

static void test_get_keeps_the_connection(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_HELLO, KEEP}, {OK_HELLO, KEEP}, {OK_HELLO, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    for (size_t i = 0; i < LH_COUNT(steps); i++) {
        AUTO_RESULT result = get(&peer);
        assert_int_equal(result.code, LH_OK);
        assert_int_equal(result.status, 200);
        assert_true(lh_str_is(lh_buf_str(&result.body), "hello"));
    }
    assert_int_equal(peer.connections, 1);
    /* The path goes as it is; nothing of libcurl's own is added. */
    assert_true(lh_str_starts(last_request(&peer), "GET /a%2Fb?c=d HTTP/1.1\r\nHost: "));
    assert_null(strcasestr(last_request(&peer).ptr, "accept:"));
    assert_null(strcasestr(last_request(&peer).ptr, "expect:"));
    peer_stop(&peer);
}

static void test_bodies_of_bytes(void **state)
{
    (void)state;
    /* The peer serves one connection at a time, and a POST without a body takes a new one. */
    const struct step steps[] = {{OK_EMPTY, CLOSE}, {OK_EMPTY, CLOSE}, {OK_EMPTY, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    const struct lh_http_header headers[] = {{LH_STR("Content-Type"), LH_STR("text/plain")},
                                             {LH_STR("X-Empty"), LH_STR_NONE}};
    AUTO_RESULT put = perform(&peer, (struct lh_http_call){.method = LH_HTTP_PUT,
                                                           .headers = headers,
                                                           .header_count = 2,
                                                           .body = "some bytes",
                                                           .body_len = 10});
    assert_int_equal(put.code, LH_OK);
    assert_non_null(strstr(last_request(&peer).ptr, "PUT /a%2Fb?c=d HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request(&peer).ptr, "Content-Length: 10\r\n"));
    assert_non_null(strstr(last_request(&peer).ptr, "Content-Type: text/plain\r\n"));
    assert_non_null(strstr(last_request(&peer).ptr, "X-Empty:\r\n"));
    assert_true(lh_str_ends(last_request(&peer), "\r\n\r\nsome bytes"));

    AUTO_RESULT empty = perform(&peer, (struct lh_http_call){.method = LH_HTTP_POST});
    assert_int_equal(empty.code, LH_OK);
    assert_non_null(strstr(last_request(&peer).ptr, "POST /a%2Fb?c=d HTTP/1.1\r\n"));
    assert_non_null(strstr(last_request(&peer).ptr, "Content-Length: 0\r\n"));
    assert_null(strcasestr(last_request(&peer).ptr, "content-type"));

    AUTO_RESULT removed = perform(&peer, (struct lh_http_call){.method = LH_HTTP_DELETE});
    assert_int_equal(removed.code, LH_OK);
    assert_non_null(strstr(last_request(&peer).ptr, "DELETE /a%2Fb?c=d HTTP/1.1\r\n"));
    peer_stop(&peer);
}

struct source {
    size_t left;
    lh_code failure; /* at the end */
};

static lh_code read_source(void *ctx, void *bytes, size_t max, size_t *ret_len,
                           struct lh_error *err)
{
    struct source *source = ctx;
    size_t len = source->left < max ? source->left : max;
    if (len == 0 && source->failure != LH_OK)
        return lh_fail(err, source->failure, "the source failed");
    memset(bytes, 'x', len);
    source->left -= len;
    *ret_len = len;
    return LH_OK;
}

static void test_body_from_a_reader(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_EMPTY, KEEP}, {OK_EMPTY, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    struct source source = {.left = 1000000};
    AUTO_RESULT known = perform(&peer, (struct lh_http_call){.method = LH_HTTP_POST,
                                                             .read_body = read_source,
                                                             .read_ctx = &source,
                                                             .read_length = 1000000});
    assert_int_equal(known.code, LH_OK);
    assert_non_null(strstr(last_request(&peer).ptr, "Content-Length: 1000000\r\n"));
    source.left = 300000;
    AUTO_RESULT unknown = perform(&peer, (struct lh_http_call){.method = LH_HTTP_PUT,
                                                               .read_body = read_source,
                                                               .read_ctx = &source,
                                                               .read_length = -1});
    assert_int_equal(unknown.code, LH_OK);
    assert_non_null(strstr(last_request(&peer).ptr, "Transfer-Encoding: chunked\r\n"));
    assert_true(last_request(&peer).len > 300000);
    peer_stop(&peer);
}

static void test_reader_that_fails(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_EMPTY, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    struct source source = {.left = 1000, .failure = LH_INCOMPLETE_BODY};
    AUTO_RESULT result = perform(&peer, (struct lh_http_call){.method = LH_HTTP_PUT,
                                                              .read_body = read_source,
                                                              .read_ctx = &source,
                                                              .read_length = -1});
    assert_int_equal(result.code, LH_INCOMPLETE_BODY);
    assert_string_equal(result.err.message, "the source failed");
    assert_int_equal(peer.requests, 0); /* the peer saw that it broke off */
    peer_stop(&peer);
}

struct seen {
    int status;
    size_t header_count;
    char etag[16];
    size_t body_len;
    size_t heads;
    lh_code fail_head, fail_body;
};

static lh_code see_head(void *ctx, int status, const struct lh_http_header *headers, size_t count,
                        struct lh_error *err)
{
    struct seen *seen = ctx;
    seen->heads++;
    seen->status = status;
    seen->header_count = count;
    assert_int_equal(seen->body_len, 0);
    for (size_t i = 0; i < count; i++) {
        if (lh_str_eq_nocase(headers[i].name, LH_STR("etag")))
            snprintf(seen->etag, sizeof(seen->etag), "%.*s", LH_FMT(headers[i].value));
    }
    return seen->fail_head == LH_OK ? LH_OK : lh_fail(err, seen->fail_head, "no such head");
}

static lh_code see_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)bytes;
    struct seen *seen = ctx;
    seen->body_len += len;
    return seen->fail_body == LH_OK ? LH_OK : lh_fail(err, seen->fail_body, "no such body");
}

static lh_code see(const struct peer *peer, enum lh_http_method method, struct seen *seen,
                   int *ret_status, struct lh_error *err)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer->port);
    const struct lh_http_call call = {
        .method = method, .url = url, .deadline = lh_deadline_in_ms(20000)};
    const struct lh_http_sink sink = {.ctx = seen, .on_head = see_head, .on_body = see_body};
    return lh_http_call(client, &call, &sink, ret_status, err);
}

static void test_heads(void **state)
{
    (void)state;
    const struct step steps[] = {
        {"HTTP/1.1 100 Continue\r\nETag: no\r\n\r\n"
         "HTTP/1.1 404 Not Found\r\nETag:  \"e\" \r\nContent-Length: 3\r\n\r\nabc",
         KEEP},
        {"HTTP/1.1 200 OK\r\nETag: h\r\nContent-Length: 1000\r\n\r\n", KEEP},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nETag: trailer\r\n\r\n",
         KEEP},
        {"HTTP/1.1 204 No Content\r\nETag: n\r\n\r\n", KEEP},
    };
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    struct lh_error err = LH_ERROR_INIT;
    int status = 0;

    struct seen error = {0};
    assert_int_equal(see(&peer, LH_HTTP_GET, &error, &status, &err), LH_OK);
    assert_int_equal(status, 404);
    assert_int_equal(error.heads, 1);
    assert_int_equal(error.header_count, 2);
    assert_string_equal(error.etag, "\"e\"");
    assert_int_equal(error.body_len, 3);

    struct seen head = {0};
    assert_int_equal(see(&peer, LH_HTTP_HEAD, &head, &status, &err), LH_OK);
    assert_string_equal(head.etag, "h");
    assert_int_equal(head.body_len, 0);

    struct seen chunked = {0};
    assert_int_equal(see(&peer, LH_HTTP_GET, &chunked, &status, &err), LH_OK);
    assert_int_equal(chunked.body_len, 5);
    assert_string_equal(chunked.etag, "");

    struct seen none = {0};
    assert_int_equal(see(&peer, LH_HTTP_GET, &none, &status, &err), LH_OK);
    assert_int_equal(status, 204);
    assert_int_equal(none.heads, 1);
    assert_int_equal(peer.connections, 1);
    peer_stop(&peer);
}

static void test_sinks_that_fail(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_HELLO, KEEP}, {OK_HELLO, KEEP}, {OK_HELLO, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    struct lh_error err = LH_ERROR_INIT;
    int status = 0;
    struct seen seen = {.fail_head = LH_STORAGE_FULL};
    assert_int_equal(see(&peer, LH_HTTP_GET, &seen, &status, &err), LH_STORAGE_FULL);
    assert_string_equal(err.message, "no such head");
    seen = (struct seen){.fail_body = LH_CANCELLED};
    assert_int_equal(see(&peer, LH_HTTP_GET, &seen, &status, &err), LH_CANCELLED);
    assert_string_equal(err.message, "no such body");
    /* A connection with half an answer on it is not used again. */
    seen = (struct seen){0};
    assert_int_equal(see(&peer, LH_HTTP_GET, &seen, &status, &err), LH_OK);
    assert_int_equal(seen.body_len, 5);
    peer_stop(&peer);
}

static void test_answer_too_large(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_HELLO, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer.port);
    const struct lh_http_call call = {
        .method = LH_HTTP_GET, .url = url, .deadline = lh_deadline_in_ms(20000)};
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4);
    struct lh_error err = LH_ERROR_INIT;
    int status = 0;
    assert_int_equal(lh_http_call_buf(client, &call, &body, &status, &err), LH_TOO_LARGE);
    peer_stop(&peer);
}

static void test_header_that_would_split(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    const struct lh_http_header bad[] = {{LH_STR("X-A"), LH_STR("b\r\nX-C: d")},
                                         {LH_STR("X A"), LH_STR("b")},
                                         {LH_STR("X-A"), LH_STR("b\0c")}};
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        AUTO_RESULT result = perform(
            &peer,
            (struct lh_http_call){.method = LH_HTTP_GET, .headers = &bad[i], .header_count = 1});
        assert_int_equal(result.code, LH_INVALID);
    }
    assert_int_equal(peer.connections, 0);
    peer_stop(&peer);
}

/* ---- peers that are not well ---- */

static void test_nobody_there(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_stop(&peer); /* its port is free now */
    AUTO_RESULT result = get(&peer);
    assert_int_equal(result.code, LH_UNAVAILABLE);
}

static void check_one(const char *answer, enum step_end end, lh_code expected)
{
    const struct step steps[] = {{answer, end}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    AUTO_RESULT result = get(&peer);
    if (result.code != expected)
        fail_msg("'%s': %s, expected %s", answer != NULL ? answer : "(nothing)",
                 lh_code_word(result.code), lh_code_word(expected));
    peer_stop(&peer);
}

static void test_bad_answers(void **state)
{
    (void)state;
    check_one(NULL, CLOSE, LH_UNAVAILABLE);
    check_one("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", CLOSE, LH_BAD_UPSTREAM);
    check_one("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", CLOSE,
              LH_BAD_UPSTREAM);
    check_one("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", CLOSE,
              LH_BAD_UPSTREAM);
    check_one("SSH-2.0-OpenSSH_9.2\r\n", CLOSE, LH_BAD_UPSTREAM);
    check_one("HTTP/1.1 999 What\r\n\r\n", CLOSE, LH_BAD_UPSTREAM);
    check_one("HTTP/1.1 200 OK\r\nbad header line\r\nContent-Length: 0\r\n\r\n", CLOSE,
              LH_BAD_UPSTREAM);
    check_one("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n folded\r\n\r\n", CLOSE, LH_BAD_UPSTREAM);
}

/* Which of the two it is depends on libcurl's version; a success it is never. */
static void test_no_final_answer(void **state)
{
    (void)state;
    const struct step steps[] = {{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", CLOSE}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    AUTO_RESULT result = get(&peer);
    assert_true(result.code == LH_UNAVAILABLE || result.code == LH_BAD_UPSTREAM);
    peer_stop(&peer);
}

static void test_too_many_headers(void **state)
{
    (void)state;
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(1 << 20);
    lh_buf_append_cstr(&answer, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 1000; i++)
        lh_buf_printf(&answer, "X-%d: y\r\n", i);
    lh_buf_append_cstr(&answer, "Content-Length: 0\r\n\r\n");
    check_one(answer.data, CLOSE, LH_BAD_UPSTREAM);

    lh_buf_reset(&answer);
    lh_buf_append_cstr(&answer, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 10; i++)
        lh_buf_printf(&answer, "X-%d: %0*d\r\n", i, 10000, 0);
    lh_buf_append_cstr(&answer, "Content-Length: 0\r\n\r\n");
    check_one(answer.data, CLOSE, LH_BAD_UPSTREAM);
}

static void test_deadline(void **state)
{
    (void)state;
    const struct step steps[] = {{NULL, HANG}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    lh_mono before = lh_mono_now();
    AUTO_RESULT result = perform(
        &peer, (struct lh_http_call){.method = LH_HTTP_GET, .deadline = lh_deadline_in_ms(150)});
    assert_int_equal(result.code, LH_TIMEOUT);
    assert_in_range(lh_mono_since_ms(before), 150, 2000);
    peer_stop(&peer);
}

static void test_deadline_amid_a_slow_answer(void **state)
{
    (void)state;
    const struct step steps[] = {{OK_HELLO, TRICKLE}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    AUTO_RESULT result = perform(
        &peer, (struct lh_http_call){.method = LH_HTTP_GET, .deadline = lh_deadline_in_ms(150)});
    assert_int_equal(result.code, LH_TIMEOUT);
    peer_stop(&peer);
}

static void test_first_byte_timeout(void **state)
{
    (void)state;
    const struct step steps[] = {{NULL, HANG}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    lh_mono before = lh_mono_now();
    AUTO_RESULT result =
        perform(&peer, (struct lh_http_call){.method = LH_HTTP_GET, .first_byte_timeout_ms = 150});
    assert_int_equal(result.code, LH_TIMEOUT);
    assert_in_range(lh_mono_since_ms(before), 150, 2000);
    assert_non_null(strstr(result.err.message, "did not begin to answer within 150 ms"));
    peer_stop(&peer);

    /* It does not bound the rest of the answer. */
    const struct step slow[] = {{OK_HELLO, TRICKLE}};
    peer_start(&peer, slow, LH_COUNT(slow));
    const struct lh_http_header none[1];
    AUTO_RESULT trickled =
        perform(&peer, (struct lh_http_call){
                           .method = LH_HTTP_GET, .headers = none, .first_byte_timeout_ms = 5000});
    assert_int_equal(trickled.code, LH_OK);
    peer_stop(&peer);
}

static bool after_100_ms(const void *ctx)
{
    return lh_mono_since_ms(*(const lh_mono *)ctx) > 100;
}

static void test_cancelled_while_the_peer_is_silent(void **state)
{
    (void)state;
    const struct step steps[] = {{NULL, HANG}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    lh_mono before = lh_mono_now();
    AUTO_RESULT result = perform(&peer, (struct lh_http_call){.method = LH_HTTP_GET,
                                                              .cancelled = after_100_ms,
                                                              .cancel_ctx = &before});
    assert_int_equal(result.code, LH_CANCELLED);
    assert_in_range(lh_mono_since_ms(before), 100, 1000);
    peer_stop(&peer);
}

/* ---- connections that died while they were idle ---- */

static void test_safe_request_is_repeated(void **state)
{
    (void)state;
    /* The second request is read and then cut, as by a server that ends just then. */
    const struct step steps[] = {{OK_HELLO, KEEP}, {NULL, CLOSE}, {OK_HELLO, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    AUTO_RESULT first = get(&peer);
    AUTO_RESULT second =
        perform(&peer, (struct lh_http_call){.method = LH_HTTP_PUT, .body = "abc", .body_len = 3});
    assert_int_equal(first.code, LH_OK);
    assert_int_equal(second.code, LH_OK);
    assert_true(lh_str_ends(last_request(&peer), "\r\n\r\nabc"));
    assert_int_equal(peer.requests, 3);
    peer_stop(&peer);
}

static void check_not_repeated(struct lh_http_call call)
{
    const struct step steps[] = {{OK_HELLO, KEEP}, {NULL, CLOSE}, {NULL, CLOSE}, {OK_HELLO, KEEP}};
    struct peer peer;
    peer_start(&peer, steps, LH_COUNT(steps));
    AUTO_RESULT first = get(&peer);
    assert_int_equal(first.code, LH_OK);
    AUTO_RESULT second = perform(&peer, call);
    assert_int_equal(second.code, LH_UNAVAILABLE);
    assert_int_equal(peer.requests, 2);
    peer_stop(&peer);
}

static void test_post_is_never_repeated(void **state)
{
    (void)state;
    check_not_repeated((struct lh_http_call){.method = LH_HTTP_POST, .body = "abc", .body_len = 3});
    struct source source = {.left = 3};
    check_not_repeated((struct lh_http_call){
        .method = LH_HTTP_POST, .read_body = read_source, .read_ctx = &source, .read_length = 3});
}

/* ---- error answers as errors ---- */

static void test_problem_becomes_our_error(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_INIT;
    const lh_str problem = LH_STR("{\"type\":\"about:blank\",\"status\":409,"
                                  "\"code\":\"fingerprint_conflict\",\"detail\":\"other schema\","
                                  "\"hint\":\"use another name\"}");
    assert_int_equal(lh_http_fail_from_answer(409, problem, "catalogd", &err),
                     LH_FINGERPRINT_CONFLICT);
    assert_string_equal(err.message, "catalogd: other schema");
    assert_string_equal(err.hint, "use another name");

    static const struct {
        int status;
        const char *body;
        lh_code code;
    } cases[] = {
        {404, "", LH_NOT_FOUND},
        {412, "{}", LH_PRECONDITION},
        {412, "[1]", LH_PRECONDITION},
        {503, "{\"code\":\"no_such_word\"}", LH_UNAVAILABLE},
        {500, "{\"code\":\"internal\"}", LH_INTERNAL},
        {500, "oops", LH_BAD_UPSTREAM},
        {418, "{\"code\":", LH_BAD_UPSTREAM},
        {507, "{\"code\":7}", LH_STORAGE_FULL},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++)
        assert_int_equal(
            lh_http_fail_from_answer(cases[i].status, lh_str_from(cases[i].body), "storaged", &err),
            cases[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get_keeps_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_from_a_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sinks_that_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_that_would_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_final_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline_amid_a_slow_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_byte_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_while_the_peer_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_safe_request_is_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_is_never_repeated, setup, teardown),
        cmocka_unit_test(test_problem_becomes_our_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
