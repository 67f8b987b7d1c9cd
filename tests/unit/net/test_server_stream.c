/*
 * Bodies in both directions, clients that are slow or leave, and the end of the server.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/raw_http.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- handlers ---- */

static atomic_int cancel_calls;
static atomic_int left_code; /* what the last interrupted handler saw */
static atomic_bool hold;     /* handlers that honour it wait while it is set */

static void wait_while_held(void)
{
    while (atomic_load(&hold))
        lh_sleep_ms(1);
}

/* The byte at a place of every generated body. */
static char pattern(uint64_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

static lh_code put_sum(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    char bytes[10000];
    uint64_t total = 0;
    bool same = true;
    LH_TRY(lh_http_body_limit(x, 100 * MIB, err));
    wait_while_held();
    for (;;) {
        size_t len = 0;
        lh_code code = lh_http_body_read(x, bytes, sizeof(bytes), &len, err);
        if (code != LH_OK) {
            atomic_store(&left_code, (int)code);
            return code;
        }
        if (len == 0)
            break;
        for (size_t i = 0; i < len; i++)
            same = same && bytes[i] == pattern(total + i);
        total += len;
    }
    char text[64];
    int len = snprintf(text, sizeof(text), "%llu %s", (unsigned long long)total,
                       same ? "same" : "differs");
    return lh_http_reply_bytes(x, 200, "text/plain", text, (size_t)len, err);
}

static lh_code give(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    uint64_t size = 0, piece = 10000, chunked = 0, broken_at = UINT64_MAX;
    LH_TRY(lh_http_query_u64(x, "size", 0, UINT32_MAX, &size, err));
    LH_TRY(lh_http_query_u64(x, "piece", 1, 100000, &piece, err));
    LH_TRY(lh_http_query_u64(x, "chunked", 0, 1, &chunked, err));
    LH_TRY(lh_http_query_u64(x, "broken_at", 0, UINT32_MAX, &broken_at, err));
    lh_http_set_header(x, "ETag", LH_STR("\"e\""));
    LH_TRY(lh_http_start(x, 200, "text/plain", chunked ? -1 : (int64_t)size, err));
    LH_AUTO_FREE char *bytes = lh_malloc(piece);
    for (uint64_t at = 0; at < size;) {
        if (at >= broken_at)
            return lh_fail(err, LH_CORRUPT, "damaged at %llu", (unsigned long long)at);
        size_t len = piece < size - at ? piece : (size_t)(size - at);
        for (size_t i = 0; i < len; i++)
            bytes[i] = pattern(at + i);
        lh_code code = lh_http_write(x, bytes, len, err);
        if (code != LH_OK) {
            atomic_store(&left_code, (int)code);
            return code;
        }
        at += len;
    }
    return lh_http_finish(x, err);
}

static lh_code put_rejected(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    char bytes[1000];
    uint64_t after = 0;
    size_t len = 0;
    LH_TRY(lh_http_query_u64(x, "after", 0, UINT32_MAX, &after, err));
    LH_TRY(lh_http_body_limit(x, 100 * MIB, err));
    for (uint64_t total = 0; total < after; total += len)
        LH_TRY(lh_http_body_read(x, bytes, sizeof(bytes), &len, err));
    return lh_fail(err, LH_STORAGE_FULL, "no room");
}

static lh_code put_limited(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str body;
    LH_TRY(lh_http_body_all(x, 100 * KIB, &body, err));
    return lh_http_reply_bytes(x, 200, "text/plain", "fits", 4, err);
}

/* Writes what it reads, while it reads. */
static lh_code put_mirror(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    char bytes[4096];
    LH_TRY(lh_http_start(x, 200, "text/plain", -1, err));
    for (;;) {
        size_t len = 0;
        LH_TRY(lh_http_body_read(x, bytes, sizeof(bytes), &len, err));
        if (len == 0)
            return lh_http_finish(x, err);
        LH_TRY(lh_http_write(x, bytes, len, err));
    }
}

static void on_cancel(void *ctx)
{
    atomic_fetch_add(&cancel_calls, 1);
    atomic_store((atomic_bool *)ctx, true);
}

static lh_code get_wait(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    atomic_bool told = false;
    lh_http_on_cancel(x, on_cancel, &told);
    for (int i = 0; i < 60000 && !atomic_load(&told) && atomic_load(&hold); i++)
        lh_sleep_ms(1);
    lh_http_on_cancel(x, NULL, NULL);
    if (lh_http_cancelled(x))
        return lh_fail(err, LH_CANCELLED, "cancelled");
    return lh_http_reply_bytes(x, 200, "text/plain", "done", 4, err);
}

static lh_code get_drip(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    LH_TRY(lh_http_start(x, 200, "text/plain", -1, err));
    LH_TRY(lh_http_write(x, "first\n", 6, err));
    wait_while_held();
    LH_TRY(lh_http_write(x, "second\n", 7, err));
    return lh_http_finish(x, err);
}

static const struct lh_route routes[] = {
    {LH_HTTP_PUT, "/sum", put_sum, LH_ROUTE_BODY, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/give", give, 0, "size piece chunked broken_at", "", NULL, ""},
    {LH_HTTP_PUT, "/rejected", put_rejected, LH_ROUTE_BODY, "after", "", NULL, ""},
    {LH_HTTP_PUT, "/limited", put_limited, LH_ROUTE_BODY, NULL, "", NULL, ""},
    {LH_HTTP_PUT, "/mirror", put_mirror, LH_ROUTE_BODY, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/wait", get_wait, 0, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/drip", get_drip, 0, NULL, "", NULL, ""},
};

static struct lh_http_server *server;
static uint16_t port;

static struct lh_http_server_options options_of_test(void)
{
    return (struct lh_http_server_options){
        .host = "127.0.0.1",
        .routes = routes,
        .route_count = LH_COUNT(routes),
        .service_name = "testd",
        .version = "1",
        .connections_max = 64,
        .workers_max = 8,
        .queue_max = 64,
        .header_timeout_ms = 20000,
        .body_rate_window_ms = 20000,
        .drain_timeout_ms = 20000,
        .body_bytes_max = 10 * MIB,
        .target_bytes_max = 1024,
        .header_bytes_max = 4096,
        .header_count_max = 20,
        .pool_bytes = 16 << 10,
        .stream_bytes = 64 << 10,
    };
}

static void start_with(const struct lh_http_server_options *options)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_http_server_start(options, &server, &err), LH_OK);
    lh_http_server_set_ready(server, true);
    port = lh_http_server_port(server);
    atomic_store(&cancel_calls, 0);
    atomic_store(&left_code, LH_OK);
    atomic_store(&hold, false);
}

static int start(void **state)
{
    (void)state;
    struct lh_http_server_options options = options_of_test();
    start_with(&options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&hold, false);
    lh_http_server_stop(server);
    return 0;
}

/* ---- helpers ---- */

static char *make_body(size_t size)
{
    char *bytes = lh_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(i);
    return bytes;
}

static bool send_chunk(struct lh_raw *raw, const char *bytes, size_t len)
{
    char line[32];
    int line_len = snprintf(line, sizeof(line), "%zx\r\n", len);
    return lh_raw_send_bytes(raw, line, (size_t)line_len) && lh_raw_send_bytes(raw, bytes, len) &&
           lh_raw_send_bytes(raw, "\r\n", 2);
}

static void expect_answer(struct lh_raw *raw, int status, const char *body)
{
    struct lh_raw_answer answer;
    lh_raw_receive(raw, false, &answer);
    if (answer.status != status)
        print_error("%s%s\n", answer.head.data ? answer.head.data : "(closed)",
                    answer.body.data ? answer.body.data : "");
    assert_int_equal(answer.status, status);
    assert_false(answer.cut);
    if (body != NULL && strstr(answer.body.data ? answer.body.data : "", body) == NULL)
        fail_msg("no %s in %s", body, answer.body.data ? answer.body.data : "(no body)");
    lh_raw_answer_deinit(&answer);
}

static void wait_in_flight(uint64_t count)
{
    struct lh_http_server_stats stats;
    for (int i = 0; i < 20000; i++) {
        lh_http_server_stats(server, &stats);
        if (stats.in_flight == count)
            return;
        lh_sleep_ms(1);
    }
    fail_msg("%llu requests in flight, not %llu", (unsigned long long)stats.in_flight,
             (unsigned long long)count);
}

/* ---- bodies ---- */

static const size_t sizes[] = {0,      1,      65535,       65536,   65537,
                               131072, 131073, 1000 * 1000, 3 * MIB, 12345};

LH_TEST(uploads_arrive_as_sent)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (size_t i = 0; i < LH_COUNT(sizes); i++) {
        LH_AUTO_FREE char *body = make_body(sizes[i]);
        char want[64];
        snprintf(want, sizeof(want), "%zu same", sizes[i]);
        lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        assert_true(lh_raw_send_bytes(&raw, body, sizes[i]));
        expect_answer(&raw, 200, want);

        lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        size_t piece = 500 + i * 7919;
        for (size_t at = 0; at < sizes[i]; at += piece) {
            size_t left = sizes[i] - at;
            assert_true(send_chunk(&raw, body + at, left < piece ? left : piece));
        }
        lh_raw_send(&raw, "0\r\n\r\n");
        expect_answer(&raw, 200, want);
    }
    lh_raw_close(&raw);
}

LH_TEST(downloads_arrive_as_written)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (size_t i = 0; i < 2 * LH_COUNT(sizes); i++) {
        size_t size = sizes[i / 2];
        LH_AUTO_FREE char *body = make_body(size);
        lh_raw_send(&raw, "GET /give?size=%zu&chunked=%zu HTTP/1.1\r\nHost: x\r\n\r\n", size,
                    i % 2);
        struct lh_raw_answer answer;
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.body.len, size);
        if (size > 0)
            assert_memory_equal(answer.body.data, body, size);
        if (i % 2 == 0)
            assert_false(answer.chunked);
        if (size > 100 * KIB && i % 2 == 1)
            assert_true(answer.chunked);
        lh_raw_answer_deinit(&answer);

        lh_raw_send(&raw, "HEAD /give?size=%zu&chunked=%zu HTTP/1.1\r\nHost: x\r\n\r\n", size,
                    i % 2);
        lh_raw_receive(&raw, true, &answer);
        char want[32];
        snprintf(want, sizeof(want), "%zu", size);
        assert_string_equal(lh_raw_header(&answer, "Content-Length"), want);
        lh_raw_answer_deinit(&answer);
    }
    lh_raw_close(&raw);
}

LH_TEST(a_slow_reader_is_waited_for)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "GET /give?size=20000000&chunked=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    lh_sleep_ms(300); /* the window and the socket's buffers fill, the handler waits */
    struct lh_http_server_stats stats;
    lh_http_server_stats(server, &stats);
    assert_int_equal(stats.in_flight, 1);
    struct lh_raw_answer answer;
    lh_raw_receive(&raw, false, &answer);
    assert_false(answer.cut);
    assert_int_equal(answer.body.len, 20000000);
    lh_raw_answer_deinit(&answer);
    lh_raw_close(&raw);
}

LH_TEST(a_slow_handler_is_waited_for)
{
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(8 * MIB);
    lh_raw_open(&raw, port);
    atomic_store(&hold, true);
    lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 8 * MIB);
    size_t sent = 0;
    for (int idle = 0; idle < 100; idle++) { /* until the window and the buffers are full */
        ssize_t n = send(raw.fd, body + sent, 8 * MIB - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            idle = 0;
        }
        lh_sleep_ms(2);
    }
    assert_true(sent < 8 * MIB);
    atomic_store(&hold, false);
    assert_true(lh_raw_send_bytes(&raw, body + sent, 8 * MIB - sent));
    expect_answer(&raw, 200, "8388608 same");
    lh_raw_close(&raw);
}

LH_TEST(a_slow_stream_is_not_held_back)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    atomic_store(&hold, true);
    lh_raw_send(&raw, "GET /drip HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(lh_raw_hears(&raw, 5000));
    atomic_store(&hold, false);
    expect_answer(&raw, 200, "first\nsecond\n");
    lh_raw_close(&raw);
}

LH_TEST(reading_and_writing_at_the_same_time)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    LH_AUTO_FREE char *body = make_body(60 * KIB);
    lh_raw_send(&raw, "PUT /mirror HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(&raw, body, 60 * KIB));
    lh_raw_send(&raw, "0\r\n\r\n");
    struct lh_raw_answer answer;
    lh_raw_receive(&raw, false, &answer);
    assert_int_equal(answer.body.len, 60 * KIB);
    assert_memory_equal(answer.body.data, body, 60 * KIB);
    lh_raw_answer_deinit(&answer);

    /* More than the window: the answer cannot leave before the body's end, so it is cut. */
    lh_raw_send(&raw, "PUT /mirror HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10 && send_chunk(&raw, body, 60 * KIB); i++)
        ;
    lh_raw_send(&raw, "0\r\n\r\n");
    lh_raw_receive(&raw, false, &answer);
    assert_true(answer.status == 0 || answer.cut);
    lh_raw_answer_deinit(&answer);
    lh_raw_close(&raw);
}

/* ---- 100-continue ---- */

LH_TEST(continue_comes_with_the_first_read)
{
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(100000);
    lh_raw_open(&raw, port);
    atomic_store(&hold, true);
    lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
                      "Expect: 100-continue\r\n\r\n");
    assert_false(lh_raw_hears(&raw, 200));
    atomic_store(&hold, false);
    expect_answer(&raw, 100, NULL);
    assert_true(lh_raw_send_bytes(&raw, body, 100000));
    expect_answer(&raw, 200, "100000 same");
    lh_raw_close(&raw);
}

LH_TEST(no_continue_for_a_refused_body)
{
    static const char *const targets[] = {"/rejected", "/limited", "/nowhere"};
    static const int statuses[] = {507, 413, 404};
    for (size_t i = 0; i < LH_COUNT(targets); i++) {
        struct lh_raw raw;
        lh_raw_open(&raw, port);
        lh_raw_send(&raw,
                    "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
                    "Expect: 100-continue\r\n\r\n",
                    targets[i]);
        expect_answer(&raw, statuses[i], NULL);
        assert_true(lh_raw_closes(&raw, 10000));
        lh_raw_close(&raw);
    }
}

/* ---- early answers ---- */

LH_TEST(a_large_body_is_refused_before_it_is_read)
{
    LH_AUTO_FREE char *body = make_body(5 * MIB);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct lh_raw raw;
        lh_raw_open(&raw, port);
        if (chunked) {
            lh_raw_send(&raw,
                        "PUT /limited HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            send_chunk(&raw, body, 5 * MIB);
        } else {
            lh_raw_send(&raw, "PUT /limited HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                        5 * MIB);
            lh_raw_send_bytes(&raw, body, 5 * MIB);
        }
        /* The client sent it all, and still hears the answer: no reset takes it away. */
        expect_answer(&raw, 413, "larger than the 102400 bytes");
        assert_true(lh_raw_closes(&raw, 10000));
        lh_raw_close(&raw);
    }
}

LH_TEST(an_answer_comes_while_the_client_is_silent)
{
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(200000);
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "PUT /rejected?after=150000 HTTP/1.1\r\nHost: x\r\n"
                      "Content-Length: 50000000\r\n\r\n");
    lh_raw_send_bytes(&raw, body, 200000);
    expect_answer(&raw, 507, "no room");
    lh_raw_close(&raw);
    wait_in_flight(0);
}

LH_TEST(a_short_rest_is_dropped_and_the_connection_kept)
{
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(100000);
    lh_raw_open(&raw, port);
    for (int i = 0; i < 5; i++) {
        lh_raw_send(&raw, "PUT /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
        lh_raw_send_bytes(&raw, body, 1000);
        expect_answer(&raw, 404, NULL);
        lh_raw_send(&raw, "PUT /rejected?after=60000 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000"
                          "\r\n\r\n");
        lh_raw_send_bytes(&raw, body, 100000);
        expect_answer(&raw, 507, NULL);
    }
    lh_raw_close(&raw);
}

/* ---- slow clients ---- */

LH_TEST(slow_bodies_get_408)
{
    struct lh_http_server_options options = options_of_test();
    options.body_rate_min = 10000;
    options.body_rate_window_ms = 300;
    start_with(&options);
    static const size_t lengths[] = {1000, 200000}; /* gathered first, and read by a handler */
    for (size_t i = 0; i < LH_COUNT(lengths); i++) {
        struct lh_raw raw;
        lh_raw_open(&raw, port);
        lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\nabc",
                    lengths[i]);
        expect_answer(&raw, 408, "request_timeout");
        assert_true(lh_raw_closes(&raw, 10000));
        lh_raw_close(&raw);
    }
    wait_in_flight(0);
    stop(NULL);
}

LH_TEST(a_fast_body_behind_a_slow_handler_is_not_slow)
{
    struct lh_http_server_options options = options_of_test();
    options.body_rate_min = 10000;
    options.body_rate_window_ms = 200;
    start_with(&options);
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(2 * MIB);
    lh_raw_open(&raw, port);
    atomic_store(&hold, true);
    lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 2 * MIB);
    lh_raw_send_bytes(&raw, body, 1 * MIB);
    lh_sleep_ms(700);
    atomic_store(&hold, false);
    assert_true(lh_raw_send_bytes(&raw, body + 1 * MIB, 1 * MIB));
    expect_answer(&raw, 200, "2097152 same");
    lh_raw_close(&raw);
    stop(NULL);
}

LH_TEST(slow_headers_are_closed)
{
    struct lh_http_server_options options = options_of_test();
    options.header_timeout_ms = 500;
    options.idle_timeout_ms = 60000;
    start_with(&options);
    struct lh_raw drip, idle, back;
    lh_raw_open(&drip, port);
    lh_raw_open(&idle, port);
    lh_raw_open(&back, port);
    lh_raw_send(&idle, "GET /give?size=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(&idle, 200, "aho");
    lh_raw_send(&back, "GET /give?size=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(&back, 200, "aho");
    lh_mono begun = lh_mono_now();
    bool dripping = true;
    for (int i = 0; i < 100 && dripping; i++) {
        dripping = lh_raw_send_bytes(&drip, i == 0 ? "GET /give HTTP/1.1\r\nX: " : "x", i ? 1 : 24);
        lh_sleep_ms(50);
    }
    assert_false(dripping);
    assert_true(lh_mono_since_ms(begun) < 4900);
    /* Idle is not slow. A second header that does not end is. */
    assert_false(lh_raw_closes(&idle, 1500));
    lh_raw_send(&idle, "GET /give?size=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(&idle, 200, "aho");
    lh_raw_send(&back, "GET /give");
    for (int i = 0; i < 100 && lh_raw_send_bytes(&back, "x", 1); i++)
        lh_sleep_ms(50);
    assert_true(lh_raw_closes(&back, 100));
    lh_raw_close(&drip);
    lh_raw_close(&idle);
    lh_raw_close(&back);
    stop(NULL);
}

/* ---- clients that leave ---- */

static void wait_for_code(lh_code code)
{
    for (int i = 0; i < 20000 && atomic_load(&left_code) != (int)code; i++)
        lh_sleep_ms(1);
    assert_int_equal(atomic_load(&left_code), code);
}

LH_TEST(leaving_cancels_the_handler_once)
{
    struct lh_raw raw;
    atomic_store(&hold, true);
    for (int i = 1; i <= 3; i++) {
        lh_raw_open(&raw, port);
        lh_raw_send(&raw, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_in_flight(1);
        lh_raw_close(&raw);
        wait_in_flight(0);
        for (int j = 0; j < 20000 && atomic_load(&cancel_calls) < i; j++)
            lh_sleep_ms(1);
        assert_int_equal(atomic_load(&cancel_calls), i);
    }
    struct lh_http_server_stats stats;
    lh_http_server_stats(server, &stats);
    assert_int_equal(stats.cancelled, 3);
}

LH_TEST(leaving_in_the_middle_of_bodies)
{
    struct lh_raw raw;
    LH_AUTO_FREE char *body = make_body(MIB);
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 2 * MIB);
    lh_raw_send_bytes(&raw, body, MIB);
    lh_raw_close(&raw);
    wait_for_code(LH_INCOMPLETE_BODY);

    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "GET /give?size=50000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(lh_raw_hears(&raw, 5000));
    lh_raw_close(&raw);
    wait_for_code(LH_CANCELLED);

    lh_raw_open(&raw, port); /* a small body that is not there yet, and no handler */
    lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    wait_in_flight(1);
    lh_raw_close(&raw);
    wait_in_flight(0);
}

/* libmicrohttpd may miss the end of a stream that comes together with its last bytes. */
LH_TEST(half_closing_before_the_end_of_a_body)
{
    static const size_t lengths[] = {10, 100000, 3000000};
    for (size_t i = 0; i < LH_COUNT(lengths); i++) {
        LH_AUTO_FREE char *body = make_body(lengths[i]);
        struct lh_raw raw;
        struct lh_raw_answer answer;
        lh_raw_open(&raw, port);
        lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                    lengths[i]);
        lh_raw_send_bytes(&raw, body, lengths[i] / 2);
        shutdown(raw.fd, SHUT_WR);
        lh_raw_receive(&raw, false, &answer);
        assert_true(answer.status == 400 || answer.status == 0);
        assert_true(lh_raw_ends(&raw, 10000));
        lh_raw_answer_deinit(&answer);
        lh_raw_close(&raw);
        wait_in_flight(0);
    }
}

/* A handler that notices late that its request is over writes nothing to a socket that is
 * another's. */
LH_TEST(late_answers_go_nowhere)
{
    for (int i = 0; i < 20; i++) {
        struct lh_raw raw;
        struct lh_raw_answer answer;
        lh_raw_open(&raw, port);
        lh_raw_send(&raw,
                    "PUT /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, 400);
        assert_true(lh_raw_closes(&raw, 10000));
        lh_raw_answer_deinit(&answer);
        lh_raw_close(&raw);
        lh_raw_open(&raw, port);
        assert_false(lh_raw_hears(&raw, 20));
        lh_raw_close(&raw);
    }
}

/* ---- handlers that fail ---- */

LH_TEST(a_broken_stream_is_cut)
{
    static const char *const queries[] = {"size=300000&broken_at=200000",
                                          "size=300000&broken_at=200000&chunked=1"};
    for (size_t i = 0; i < LH_COUNT(queries); i++) {
        struct lh_raw raw;
        struct lh_raw_answer answer;
        lh_raw_open(&raw, port);
        lh_raw_send(&raw, "GET /give?%s HTTP/1.1\r\nHost: x\r\n\r\n", queries[i]);
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, 200);
        assert_true(answer.cut);
        assert_true(answer.body.len <= 200000);
        lh_raw_answer_deinit(&answer);
        lh_raw_close(&raw);
    }
}

LH_TEST(a_failure_before_a_byte_has_left_is_told)
{
    static const char *const queries[] = {"size=30000&broken_at=10000",
                                          "size=300000&piece=1000&broken_at=2000&chunked=1"};
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (size_t i = 0; i < LH_COUNT(queries); i++) {
        struct lh_raw_answer answer;
        lh_raw_send(&raw, "GET /give?%s HTTP/1.1\r\nHost: x\r\n\r\n", queries[i]);
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, 500);
        assert_non_null(strstr(answer.body.data, "\"code\":\"corrupt\""));
        assert_string_equal(lh_raw_header(&answer, "ETag"), "");
        assert_string_equal(lh_raw_header(&answer, "Content-Type"), "application/problem+json");
        lh_raw_answer_deinit(&answer);
    }
    lh_raw_close(&raw);
}

/* ---- the end ---- */

static void *stop_in_thread(void *arg)
{
    size_t *cancelled = arg;
    *cancelled = lh_http_server_stop(server);
    return NULL;
}

static bool is_listening(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    LH_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

LH_TEST(drain_lets_requests_end)
{
    struct lh_raw busy;
    size_t cancelled = 99;
    pthread_t thread;
    start(NULL);
    lh_raw_open(&busy, port);
    atomic_store(&hold, true);
    lh_raw_send(&busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_in_flight(1);
    assert_int_equal(pthread_create(&thread, NULL, stop_in_thread, &cancelled), 0);
    lh_sleep_ms(200);
    assert_false(is_listening());
    atomic_store(&hold, false);
    struct lh_raw_answer answer;
    lh_raw_receive(&busy, false, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(lh_raw_header(&answer, "Connection"), "close");
    lh_raw_answer_deinit(&answer);
    lh_raw_close(&busy);
    pthread_join(thread, NULL);
    assert_int_equal(cancelled, 0);
    assert_int_equal(atomic_load(&cancel_calls), 0);
}

LH_TEST(drain_cancels_what_does_not_end)
{
    struct lh_http_server_options options = options_of_test();
    options.drain_timeout_ms = 100;
    start_with(&options);
    struct lh_raw waiting, unread, slow;
    lh_raw_open(&waiting, port);
    lh_raw_open(&unread, port);
    lh_raw_open(&slow, port);
    atomic_store(&hold, true);
    lh_raw_send(&waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    lh_raw_send(&unread, "GET /give?size=50000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    lh_raw_send(&slow, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    wait_in_flight(3);
    struct lh_raw half; /* a header that never ends is no request, and holds nobody up */
    lh_raw_open(&half, port);
    lh_raw_send(&half, "GET /wait HTTP/1.1\r\nHost: x\r\nX: ");
    lh_sleep_ms(50);
    lh_mono begun = lh_mono_now();
    assert_int_equal(lh_http_server_stop(server), 3);
    assert_true(lh_mono_since_ms(begun) < 5000);
    assert_int_equal(atomic_load(&cancel_calls), 1);
    expect_answer(&waiting, 503, "the service stops");
    lh_raw_close(&half);
    lh_raw_close(&waiting);
    lh_raw_close(&unread);
    lh_raw_close(&slow);
}

/* ---- many at once ---- */

enum { CLIENTS = 16, ROUNDS = 150 };

static void *client(void *arg)
{
    struct lh_random random = {.state = (uint64_t)(uintptr_t)arg};
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (int i = 0; i < ROUNDS; i++) {
        struct lh_raw_answer answer;
        size_t size = (size_t)lh_random_below(&random, 200000);
        if (i % 3 == 0) {
            LH_AUTO_FREE char *body = make_body(size);
            lh_raw_send(&raw, "PUT /sum HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
            lh_raw_send_bytes(&raw, body, size);
        } else {
            lh_raw_send(&raw,
                        "GET /give?size=%zu&chunked=%d&piece=9999 HTTP/1.1\r\nHost: x\r\n\r\n",
                        size, i % 2);
        }
        lh_mono begun = lh_mono_now();
        lh_raw_receive(&raw, false, &answer);
        bool good = answer.status == 200 && !answer.cut && lh_mono_since_ms(begun) < 10000 &&
                    (i % 3 == 0 || answer.body.len == size);
        lh_raw_answer_deinit(&answer);
        if (!good) {
            lh_raw_close(&raw);
            return NULL;
        }
    }
    lh_raw_close(&raw);
    return arg;
}

/* Connections sleep and wake some ten thousand times; none is ever forgotten. */
LH_TEST(no_connection_is_forgotten)
{
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, client, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_non_null(result);
    }
    wait_in_flight(0);
    struct lh_http_server_stats stats;
    lh_http_server_stats(server, &stats);
    assert_int_equal(stats.requests, CLIENTS * ROUNDS);
    assert_int_equal(stats.status_count[2], CLIENTS * ROUNDS);
}

int main(void)
{
    lh_log_init("test", LH_LOG_ERROR, 2);
#define LH_CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        LH_CASE(uploads_arrive_as_sent),
        LH_CASE(downloads_arrive_as_written),
        LH_CASE(a_slow_reader_is_waited_for),
        LH_CASE(a_slow_handler_is_waited_for),
        LH_CASE(a_slow_stream_is_not_held_back),
        LH_CASE(reading_and_writing_at_the_same_time),
        LH_CASE(continue_comes_with_the_first_read),
        LH_CASE(no_continue_for_a_refused_body),
        LH_CASE(a_large_body_is_refused_before_it_is_read),
        LH_CASE(an_answer_comes_while_the_client_is_silent),
        LH_CASE(a_short_rest_is_dropped_and_the_connection_kept),
        cmocka_unit_test(slow_bodies_get_408),
        cmocka_unit_test(a_fast_body_behind_a_slow_handler_is_not_slow),
        cmocka_unit_test(slow_headers_are_closed),
        LH_CASE(leaving_cancels_the_handler_once),
        LH_CASE(leaving_in_the_middle_of_bodies),
        LH_CASE(half_closing_before_the_end_of_a_body),
        LH_CASE(late_answers_go_nowhere),
        LH_CASE(a_broken_stream_is_cut),
        LH_CASE(a_failure_before_a_byte_has_left_is_told),
        cmocka_unit_test(drain_lets_requests_end),
        cmocka_unit_test(drain_cancels_what_does_not_end),
        LH_CASE(no_connection_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
