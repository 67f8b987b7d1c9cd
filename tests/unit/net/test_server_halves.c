/*
 * Handlers that are tried on the event thread, and handlers in two halves: who runs them, what is
 * left of a try, and what becomes of a half whose client has gone or whose server stops.
 */
#include "net/http_server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "support/cmocka.h"
#include "support/raw_http.h"
#include "unit/net/server_options.h"

enum { CLIENTS = 8, ROUNDS = 200 };

/* ---- handlers ---- */

static atomic_int tries, halves;
static atomic_bool hold; /* resumers wait while it is set */

/* The first try leaves a header, an answer that was begun and a body that was read; none may show.
 */
static lh_code try_twice(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str body;
    LH_TRY(lh_http_body_all(x, 100000, &body, err));
    if (!lh_may_wait()) {
        atomic_fetch_add(&tries, 1);
        lh_http_set_header(x, "X-Lost", LH_STR("1"));
        LH_TRY(lh_http_start(x, 200, "text/plain", 100, err));
        LH_TRY(lh_http_write(x, "lost", 4, err));
        return lh_fail(err, LH_WOULD_WAIT, "not here");
    }
    return lh_http_reply_bytes(x, 200, "text/plain", body.ptr, body.len, err);
}

static lh_code try_once(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    uint64_t size = 5;
    const char *who = lh_may_wait() ? "worker" : "events";
    LH_TRY(lh_http_query_u64(x, "size", 0, 1 << 20, &size, err));
    LH_AUTO_FREE char *bytes = lh_calloc(1, size + 1);
    memset(bytes, 'b', size);
    memcpy(bytes, who, size < 6 ? size : 6);
    LH_TRY(lh_http_start(x, 200, "text/plain", (int64_t)size, err));
    LH_TRY(lh_http_write(x, bytes, size, err));
    return lh_http_finish(x, err);
}

static lh_code second_half(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    lh_str ignored;
    atomic_fetch_add((atomic_int *)state, 1);
    if (lh_http_query(x, "fail", &ignored))
        return lh_fail(err, LH_PRECONDITION, "the second half says no");
    lh_http_set_header(x, "X-Half", LH_STR("2"));
    return lh_http_reply_bytes(x, 201, "text/plain", "late", 4, err);
}

static void *resume_later(void *arg)
{
    while (atomic_load(&hold))
        lh_sleep_ms(1);
    lh_http_resume(arg);
    return NULL;
}

static lh_code first_half(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str when;
    lh_http_defer(x, second_half, &halves);
    if (!lh_http_query(x, "when", &when) || lh_str_is(when, "now")) {
        lh_http_resume(x);
        return LH_OK;
    }
    pthread_t thread;
    LH_TRY(lh_thread_start(&thread, "resumer", resume_later, x, err));
    pthread_detach(thread);
    return LH_OK;
}

static const struct lh_route routes[] = {
    {LH_HTTP_PUT, "/twice", try_twice, LH_ROUTE_BODY | LH_ROUTE_TRY, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/once", try_once, LH_ROUTE_TRY, "size", "", NULL, ""},
    {LH_HTTP_PUT, "/tried", first_half, LH_ROUTE_BODY | LH_ROUTE_TRY, "when fail", "", NULL, ""},
    {LH_HTTP_PUT, "/worked", first_half, LH_ROUTE_BODY, "when fail", "", NULL, ""},
};

static struct lh_http_server *server;
static uint16_t port;

static int start(void **state)
{
    (void)state;
    struct lh_http_server_options options = server_options(routes, LH_COUNT(routes));
    options.workers_max = 2;
    options.queue_max = 1;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_http_server_start(&options, &server, &err), LH_OK);
    lh_http_server_set_ready(server, true);
    port = lh_http_server_port(server);
    atomic_store(&tries, 0);
    atomic_store(&halves, 0);
    atomic_store(&hold, false);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lh_http_server_stop(server);
    return 0;
}

/* ---- asking ---- */

static void expect_answer(struct lh_raw *raw, int status, const char *body)
{
    struct lh_raw_answer answer;
    lh_raw_receive(raw, false, &answer);
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.body.data, body));
    assert_string_equal(lh_raw_header(&answer, "X-Lost"), "");
    lh_raw_answer_deinit(&answer);
}

static void put(struct lh_raw *raw, const char *target, size_t body_len)
{
    LH_AUTO_FREE char *body = lh_calloc(1, body_len + 1);
    memset(body, 'b', body_len);
    lh_raw_send(raw, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", target,
                body_len, body);
}

static void wait_for(atomic_int *count, int value)
{
    for (int i = 0; i < 20000 && atomic_load(count) != value; i++)
        lh_sleep_ms(1);
    assert_int_equal(atomic_load(count), value);
}

/* ---- tests ---- */

LH_TEST(a_try_that_would_wait_leaves_nothing)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (int i = 1; i <= 3; i++) { /* on one connection */
        put(&raw, "/twice", 1000);
        expect_answer(&raw, 200, "bbbb");
        assert_int_equal(atomic_load(&tries), i);
    }
    put(&raw, "/twice", 20000); /* too large for a try */
    expect_answer(&raw, 200, "bbbb");
    assert_int_equal(atomic_load(&tries), 3);
    lh_raw_close(&raw);
}

LH_TEST(small_answers_are_the_event_threads)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "GET /once?size=6 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(&raw, 200, "events");
    lh_raw_send(&raw, "GET /once?size=300000 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(&raw, 200, "workerbbb");
    lh_raw_send(&raw, "HEAD /once?size=9 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct lh_raw_answer answer;
    lh_raw_receive(&raw, true, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(lh_raw_header(&answer, "Content-Length"), "9");
    lh_raw_answer_deinit(&answer);
    lh_raw_close(&raw);
}

LH_TEST(second_halves_answer)
{
    static const char *const doors[] = {"/tried", "/worked"};
    static const size_t bodies[] = {0, 100, 20000, 200000};
    int expected = 0;
    for (size_t d = 0; d < LH_COUNT(doors); d++) {
        for (size_t b = 0; b < LH_COUNT(bodies); b++) {
            struct lh_raw raw;
            char target[64];
            lh_raw_open(&raw, port);
            for (int later = 0; later < 2; later++) {
                snprintf(target, sizeof(target), "%s?when=%s", doors[d], later ? "later" : "now");
                put(&raw, target, bodies[b]);
                expect_answer(&raw, 201, "late");
                assert_int_equal(atomic_load(&halves), ++expected);
                if (bodies[b] > 100000) { /* unread: the connection closes */
                    lh_raw_close(&raw);
                    lh_raw_open(&raw, port);
                }
            }
            snprintf(target, sizeof(target), "%s?when=later&fail", doors[d]);
            put(&raw, target, bodies[b]);
            expect_answer(&raw, 412, "the second half says no");
            expected++;
            lh_raw_close(&raw);
        }
    }
}

/* Far more of them wait than there are workers and places in the queue. */
LH_TEST(waiting_holds_no_worker)
{
    struct lh_raw raws[CLIENTS];
    atomic_store(&hold, true);
    for (int i = 0; i < CLIENTS; i++) {
        lh_raw_open(&raws[i], port);
        put(&raws[i], "/tried?when=later", 10);
    }
    struct lh_raw other;
    lh_raw_open(&other, port);
    put(&other, "/twice", 1000);
    expect_answer(&other, 200, "bbbb");
    assert_int_equal(atomic_load(&halves), 0);
    atomic_store(&hold, false);
    for (int i = 0; i < CLIENTS; i++) {
        expect_answer(&raws[i], 201, "late");
        lh_raw_close(&raws[i]);
    }
    lh_raw_close(&other);
}

LH_TEST(a_half_runs_though_its_client_has_gone)
{
    static const char *const targets[] = {"/tried?when=later", "/worked?when=later"};
    for (size_t i = 0; i < LH_COUNT(targets); i++) {
        struct lh_raw raw;
        struct lh_http_server_stats stats;
        atomic_store(&halves, 0);
        atomic_store(&hold, true);
        lh_raw_open(&raw, port);
        put(&raw, targets[i], 10);
        lh_raw_close(&raw);
        for (int tick = 0; tick < 20000; tick++) {
            lh_http_server_stats(server, &stats);
            if (stats.cancelled == i + 1 && stats.in_flight == 0)
                break;
            lh_sleep_ms(1);
        }
        assert_int_equal(stats.cancelled, i + 1);
        assert_int_equal(atomic_load(&halves), 0);
        atomic_store(&hold, false);
        wait_for(&halves, 1);
    }
}

static void *open_gate(void *arg)
{
    (void)arg;
    lh_sleep_ms(200);
    atomic_store(&hold, false);
    return NULL;
}

LH_TEST(the_server_stops_after_the_last_half)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_raw stays, leaves;
    pthread_t thread;
    atomic_store(&hold, true);
    lh_raw_open(&stays, port);
    lh_raw_open(&leaves, port);
    put(&stays, "/tried?when=later", 10);
    put(&leaves, "/tried?when=later", 10);
    lh_raw_close(&leaves);
    lh_sleep_ms(300); /* the sweeper finds out */
    assert_int_equal(lh_thread_start(&thread, "gate", open_gate, NULL, &err), LH_OK);
    lh_http_server_stop(server);
    assert_int_equal(atomic_load(&halves), 2);
    expect_answer(&stays, 201, "late");
    lh_raw_close(&stays);
    pthread_join(thread, NULL);
    start(NULL);
}

static void *crowd(void *arg)
{
    struct lh_raw raw;
    const char *target = arg;
    lh_raw_open(&raw, port);
    for (int i = 0; i < ROUNDS; i++) {
        put(&raw, target, 10);
        expect_answer(&raw, 201, "late");
    }
    lh_raw_close(&raw);
    return NULL;
}

LH_TEST(crowds)
{
    static char tried_now[] = "/tried", tried_later[] = "/tried?when=later";
    static char worked_now[] = "/worked", worked_later[] = "/worked?when=later";
    char *targets[] = {tried_now, tried_later, worked_now, worked_later};
    struct lh_error err = LH_ERROR_INIT;
    pthread_t threads[LH_COUNT(targets)];
    for (size_t i = 0; i < LH_COUNT(targets); i++)
        assert_int_equal(lh_thread_start(&threads[i], "client", crowd, targets[i], &err), LH_OK);
    for (size_t i = 0; i < LH_COUNT(targets); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&halves), (int)LH_COUNT(targets) * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_try_that_would_wait_leaves_nothing, start, stop),
        cmocka_unit_test_setup_teardown(small_answers_are_the_event_threads, start, stop),
        cmocka_unit_test_setup_teardown(second_halves_answer, start, stop),
        cmocka_unit_test_setup_teardown(waiting_holds_no_worker, start, stop),
        cmocka_unit_test_setup_teardown(a_half_runs_though_its_client_has_gone, start, stop),
        cmocka_unit_test_setup_teardown(the_server_stops_after_the_last_half, start, stop),
        cmocka_unit_test_setup_teardown(crowds, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
