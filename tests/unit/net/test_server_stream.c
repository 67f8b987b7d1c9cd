/*
 * Bodies in both directions, as they should be and when the handler fails or will not have them.
 */
#include "unit/net/stream_server.h"

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
        LH_CASE(a_broken_stream_is_cut),
        LH_CASE(a_failure_before_a_byte_has_left_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
