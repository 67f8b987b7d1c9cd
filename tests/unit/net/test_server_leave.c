/*
 * Clients that are slow or leave, the end of the server, and many at once.
 */
#include "unit/net/stream_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#include "support/fixture.h"

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
        cmocka_unit_test(slow_bodies_get_408),
        cmocka_unit_test(a_fast_body_behind_a_slow_handler_is_not_slow),
        cmocka_unit_test(slow_headers_are_closed),
        LH_CASE(leaving_cancels_the_handler_once),
        LH_CASE(leaving_in_the_middle_of_bodies),
        LH_CASE(half_closing_before_the_end_of_a_body),
        LH_CASE(late_answers_go_nowhere),
        cmocka_unit_test(drain_lets_requests_end),
        cmocka_unit_test(drain_cancels_what_does_not_end),
        LH_CASE(no_connection_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
