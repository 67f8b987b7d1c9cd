/*
 * A server with handlers that read, write, wait and fail, for the tests of bodies and of leaving.
 */
#ifndef LH_TESTS_UNIT_NET_STREAM_SERVER_H
#define LH_TESTS_UNIT_NET_STREAM_SERVER_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "support/cmocka.h"
#include "support/raw_http.h"
#include "unit/net/server_options.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- handlers ---- */

static atomic_int cancel_calls;
static atomic_int left_code; /* what the last interrupted handler saw */
static atomic_bool hold;     /* handlers that honour it wait while it is set */

static inline void wait_while_held(void)
{
    while (atomic_load(&hold))
        lh_sleep_ms(1);
}

/* The byte at a place of every generated body. */
static inline char pattern(uint64_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

static inline lh_code put_sum(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline lh_code give(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline lh_code put_rejected(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline lh_code put_limited(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str body;
    LH_TRY(lh_http_body_all(x, 100 * KIB, &body, err));
    return lh_http_reply_bytes(x, 200, "text/plain", "fits", 4, err);
}

/* Writes what it reads, while it reads. */
static inline lh_code put_mirror(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline void on_cancel(void *ctx)
{
    atomic_fetch_add(&cancel_calls, 1);
    atomic_store((atomic_bool *)ctx, true);
}

static inline lh_code get_wait(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline lh_code get_drip(void *service, struct lh_http_exchange *x, struct lh_error *err)
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

static inline struct lh_http_server_options options_of_test(void)
{
    struct lh_http_server_options options = server_options(routes, LH_COUNT(routes));
    options.workers_max = 8;
    options.queue_max = 64;
    options.body_bytes_max = 10 * MIB;
    return options;
}

static inline void start_with(const struct lh_http_server_options *options)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_http_server_start(options, &server, &err), LH_OK);
    lh_http_server_set_ready(server, true);
    port = lh_http_server_port(server);
    atomic_store(&cancel_calls, 0);
    atomic_store(&left_code, LH_OK);
    atomic_store(&hold, false);
}

static inline int start(void **state)
{
    (void)state;
    struct lh_http_server_options options = options_of_test();
    start_with(&options);
    return 0;
}

static inline int stop(void **state)
{
    (void)state;
    atomic_store(&hold, false);
    lh_http_server_stop(server);
    return 0;
}

/* ---- helpers ---- */

static inline char *make_body(size_t size)
{
    char *bytes = lh_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(i);
    return bytes;
}

static inline bool send_chunk(struct lh_raw *raw, const char *bytes, size_t len)
{
    char line[32];
    int line_len = snprintf(line, sizeof(line), "%zx\r\n", len);
    return lh_raw_send_bytes(raw, line, (size_t)line_len) && lh_raw_send_bytes(raw, bytes, len) &&
           lh_raw_send_bytes(raw, "\r\n", 2);
}

static inline void expect_answer(struct lh_raw *raw, int status, const char *body)
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

static inline void wait_in_flight(uint64_t count)
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

#endif
