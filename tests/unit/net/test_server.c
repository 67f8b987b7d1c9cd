/*
 * The server's manners, on a real socket: routes, errors, keep-alive, HEAD, pipelining, limits.
 */
#include "net/http_server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/raw_http.h"
#include "unit/net/server_options.h"

/* ---- handlers ---- */

static lh_code get_health(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    return lh_http_reply_bytes(x, 200, "application/json", "{\"ok\":true}", 11, err);
}

/* Says what the server understood. */
static lh_code get_item(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    struct lh_buf body = LH_BUF_INIT(64 << 10);
    lh_str color = LH_STR("none");
    uint64_t limit = 7;
    lh_http_query(x, "color", &color);
    lh_code code = lh_http_query_u64(x, "limit", 1, 100, &limit, err);
    if (code == LH_OK) {
        lh_buf_printf(&body, "%.*s|%.*s|%llu", LH_FMT(lh_http_param(x, "name")), LH_FMT(color),
                      (unsigned long long)limit);
        code = lh_http_reply_buf(x, 200, "text/plain", &body, err);
    }
    lh_buf_deinit(&body);
    return code;
}

static lh_code get_rest(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str key = lh_http_param(x, "key");
    return lh_http_reply_bytes(x, 200, "text/plain", key.ptr, key.len, err);
}

static lh_code get_failure(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str name = lh_http_param(x, "code");
    lh_code code = lh_code_from_word(name.ptr, name.len);
    LH_IGNORE(lh_fail(err, code, "about /secret/file"), "the hint returns it");
    err->line = 3;
    err->column = 14;
    memcpy(err->excerpt, "x = ?", 6);
    return lh_hint(err, "try again");
}

static lh_code get_nothing(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    uint64_t status = 204;
    LH_TRY(lh_http_query_u64(x, "status", 200, 599, &status, err));
    lh_http_set_header(x, "ETag", LH_STR("\"abc\""));
    lh_http_set_header(x, "X-Bad", LH_STR("a\r\nInjected: 1"));
    if (status != 304)
        return lh_http_reply_empty(x, (int)status, err);
    LH_TRY(lh_http_start(x, 304, NULL, 1234567, err));
    return lh_http_finish(x, err);
}

static lh_code forget(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service, (void)x, (void)err;
    return LH_OK;
}

static lh_code echo(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str body;
    LH_TRY(lh_http_body_all(x, 1 << 20, &body, err));
    return lh_http_reply_bytes(x, 200, "application/octet-stream", body.ptr, body.len, err);
}

static lh_code post_json(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    LH_AUTO_JSON json_t *root = NULL;
    LH_TRY(lh_http_body_json(x, 1000, &root, err));
    return lh_http_reply_empty(x, 200, err);
}

/* Blocks until the test lets it go. */
static atomic_bool gate_open;
static atomic_int at_gate;

static lh_code get_gate(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    atomic_fetch_add(&at_gate, 1);
    while (!atomic_load(&gate_open) && !lh_http_cancelled(x))
        lh_sleep_ms(1);
    atomic_fetch_sub(&at_gate, 1);
    if (lh_http_cancelled(x))
        return lh_fail(err, LH_CANCELLED, "cancelled");
    return lh_http_reply_bytes(x, 200, "text/plain", "through", 7, err);
}

static const struct lh_route routes[] = {
    {LH_HTTP_GET, "/health", get_health, LH_ROUTE_INLINE | LH_ROUTE_UNREADY, NULL, "", NULL, "200"},
    {LH_HTTP_GET, "/items/{name}", get_item, 0, "color limit", "", NULL, "200"},
    {LH_HTTP_GET | LH_HTTP_PUT, "/rest/{key*}", get_rest, LH_ROUTE_ANY_QUERY, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/fail/{code}", get_failure, 0, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/nothing", get_nothing, 0, "status", "", NULL, ""},
    {LH_HTTP_GET, "/forget", forget, 0, NULL, "", NULL, ""},
    {LH_HTTP_POST, "/echo", echo, LH_ROUTE_BODY, NULL, "", NULL, ""},
    {LH_HTTP_POST, "/json", post_json, LH_ROUTE_BODY, NULL, "", NULL, ""},
    {LH_HTTP_GET, "/gate", get_gate, 0, NULL, "", NULL, ""},
};

static struct lh_http_server_options options_of_test(void)
{
    struct lh_http_server_options options = server_options(routes, LH_COUNT(routes));
    options.header_timeout_ms = 5000;
    options.body_rate_window_ms = 5000;
    options.drain_timeout_ms = 5000;
    return options;
}

static struct lh_http_server *server;
static uint16_t port;

static void start_with(const struct lh_http_server_options *options)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_http_server_start(options, &server, &err), LH_OK);
    lh_http_server_set_ready(server, true);
    port = lh_http_server_port(server);
    atomic_store(&gate_open, false);
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
    lh_http_server_stop(server);
    return 0;
}

/* ---- asking ---- */

/* Sends, compares the status, and a text that must stand in the body. */
static void expect(const char *request, int status, const char *in_body)
{
    struct lh_raw_answer answer;
    lh_raw_exchange(port, request, &answer);
    if (answer.status != status)
        print_error("%s\n%s%s\n", request, answer.head.data ? answer.head.data : "(closed)",
                    answer.body.data ? answer.body.data : "");
    assert_int_equal(answer.status, status);
    if (in_body != NULL && strstr(answer.body.data ? answer.body.data : "", in_body) == NULL)
        fail_msg("no %s in %s", in_body, answer.body.data ? answer.body.data : "(no body)");
    lh_raw_answer_deinit(&answer);
}

static void expect_get(const char *target, int status, const char *in_body)
{
    char request[2048];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    expect(request, status, in_body);
}

/* ---- tests ---- */

LH_TEST(parameters_and_queries)
{
    expect_get("/health", 200, "{\"ok\":true}");
    expect_get("/items/a", 200, "a|none|7");
    expect_get("/items/a%2Fb%20c?color=r%26g+b&limit=100", 200, "a/b c|r&g b|100");
    expect_get("/items/a?color", 200, "a||7");
    expect_get("/items/a?limit=101", 400, "limit must be a whole number from 1 to 100");
    expect_get("/items/a?colour=red", 400, "did you mean color?");
    expect_get("/items/a?zzz=1", 400, "it takes: color limit");
    expect_get("/items/a?color=1&color=2", 400, "given twice");
    expect_get("/items/a%zz", 400, "percent sign");
    expect_get("/items/a?color=%1", 400, "percent sign");
    expect_get("/rest/a/../b//c/?x=1", 200, "a/../b//c/");
    expect_get("/rest/", 404, "route_not_found");
    expect_get("/nowhere", 404, "nothing answers to /nowhere");
}

LH_TEST(methods)
{
    struct lh_raw_answer answer;
    lh_raw_exchange(port, "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &answer);
    assert_int_equal(answer.status, 405);
    assert_string_equal(lh_raw_header(&answer, "Allow"), "GET, HEAD");
    lh_raw_answer_deinit(&answer);
    expect("BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, "BREW");
    expect("OPTIONS /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, NULL);
    expect("PUT /rest/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413, "takes no body");
}

LH_TEST(failures_are_problems)
{
    struct lh_raw_answer answer;
    lh_raw_exchange(port, "GET /fail/bad_data HTTP/1.1\r\nHost: x\r\nX-Request-Id: my-id-1\r\n\r\n",
                    &answer);
    assert_int_equal(answer.status, 422);
    assert_string_equal(lh_raw_header(&answer, "Content-Type"), "application/problem+json");
    assert_string_equal(lh_raw_header(&answer, "X-Request-Id"), "my-id-1");
    LH_AUTO_JSON json_t *root = json_loads(answer.body.data, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "code")), "bad_data");
    assert_string_equal(json_string_value(json_object_get(root, "detail")), "about /secret/file");
    assert_string_equal(json_string_value(json_object_get(root, "hint")), "try again");
    assert_string_equal(json_string_value(json_object_get(root, "excerpt")), "x = ?");
    assert_string_equal(json_string_value(json_object_get(root, "request_id")), "my-id-1");
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 422);
    assert_int_equal(json_integer_value(json_object_get(root, "line")), 3);
    assert_int_equal(json_integer_value(json_object_get(root, "column")), 14);
    lh_raw_answer_deinit(&answer);
}

LH_TEST(insides_are_not_told)
{
    struct lh_raw_answer answer;
    lh_raw_exchange(port, "GET /fail/io_error HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 500);
    assert_null(strstr(answer.body.data, "secret"));
    assert_int_equal(strlen(lh_raw_header(&answer, "X-Request-Id")), 36);
    lh_raw_answer_deinit(&answer);
    expect_get("/forget", 500, "internal");
    lh_raw_exchange(port, "GET /fail/busy HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 503);
    assert_string_equal(lh_raw_header(&answer, "Retry-After"), "1");
    lh_raw_answer_deinit(&answer);
}

LH_TEST(request_ids)
{
    static const char *const bad[] = {
        "a b", "a_b", "",
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaa")};
    char first[64] = "";
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        char request[512];
        snprintf(request, sizeof(request),
                 "GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n\r\n", bad[i]);
        struct lh_raw_answer answer;
        lh_raw_exchange(port, request, &answer);
        const char *id = lh_raw_header(&answer, "X-Request-Id");
        assert_int_equal(strlen(id), 36);
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_string_not_equal(id, first);
        snprintf(first, sizeof(first), "%s", id);
        lh_raw_answer_deinit(&answer);
    }
}

LH_TEST(head_and_empty_answers)
{
    struct lh_raw raw;
    struct lh_raw_answer answer;
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    lh_raw_receive(&raw, true, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(lh_raw_header(&answer, "Content-Length"), "11");
    lh_raw_answer_deinit(&answer);

    static const int statuses[] = {204, 304, 200, 404};
    for (size_t i = 0; i < LH_COUNT(statuses); i++) { /* each leaves the connection usable */
        lh_raw_send(&raw, "GET /nothing?status=%d HTTP/1.1\r\nHost: x\r\n\r\n", statuses[i]);
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, statuses[i]);
        assert_int_equal(answer.body.len, 0);
        assert_string_equal(lh_raw_header(&answer, "ETag"), "\"abc\"");
        assert_string_equal(lh_raw_header(&answer, "Injected"), "");
        assert_string_equal(lh_raw_header(&answer, "X-Bad"), "a  Injected: 1");
        const char *length = statuses[i] == 204 ? "" : statuses[i] == 304 ? "1234567" : "0";
        assert_string_equal(lh_raw_header(&answer, "Content-Length"), length);
        lh_raw_answer_deinit(&answer);
    }
    lh_raw_close(&raw);
}

LH_TEST(pipelining_keeps_the_order)
{
    enum { COUNT = 50 };
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 2)
            lh_raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d", i);
        else
            lh_raw_send(&raw, "GET /%s/%d HTTP/1.1\r\nHost: x\r\n\r\n", i % 3 ? "items" : "rest",
                        i);
    }
    for (int i = 0; i < COUNT; i++) {
        struct lh_raw_answer answer;
        char want[32];
        lh_raw_receive(&raw, false, &answer);
        assert_int_equal(answer.status, 200);
        snprintf(want, sizeof(want), i % 3 == 0 ? "%d" : i % 3 == 1 ? "%d|none|7" : "%02d", i);
        assert_string_equal(answer.body.data, want);
        lh_raw_answer_deinit(&answer);
    }
    lh_raw_close(&raw);
}

LH_TEST(old_clients)
{
    struct lh_raw raw;
    struct lh_raw_answer answer;
    lh_raw_open(&raw, port);
    lh_raw_send(&raw, "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    lh_raw_receive(&raw, false, &answer);
    assert_int_equal(answer.status, 200);
    lh_raw_answer_deinit(&answer);
    lh_raw_send(&raw, "GET /health HTTP/1.0\r\n\r\n");
    lh_raw_receive(&raw, false, &answer);
    assert_int_equal(answer.status, 200);
    lh_raw_answer_deinit(&answer);
    assert_true(lh_raw_closes(&raw, 10000));
    lh_raw_close(&raw);
}

/* Each is answered with 400 (or the status given) and the connection closes. */
LH_TEST(doubtful_requests_are_refused_and_closed)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
         400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nab\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2,2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400},         /* bare LF */
        {"GET /health HTTP/1.1\nHost: x\r\n\r\n", 400},                 /* bare LF, request line */
        {"GET /health HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400}, /* folded */
        {"GET /health HTTP/1.1\r\nHost: x\r\n\n", 400},                 /* bare LF, last line */
        {"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /health\r\nHost: x\r\n\r\n", 400},
        {"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"\x16\x03\x01\x02\x01\r\n\r\n",
         0}, /* TLS on a plain port: whatever, but not an answer 2xx */
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_raw raw;
        struct lh_raw_answer answer;
        lh_raw_open(&raw, port);
        lh_raw_send_bytes(&raw, cases[i].request, strlen(cases[i].request));
        lh_raw_receive(&raw, false, &answer);
        if (cases[i].status != 0 && answer.status != cases[i].status)
            print_error("case %zu: %s\n%s\n", i, cases[i].request,
                        answer.head.data ? answer.head.data : "(closed)");
        if (cases[i].status != 0)
            assert_int_equal(answer.status, cases[i].status);
        assert_true(answer.status == 0 || answer.status >= 400);
        assert_true(lh_raw_ends(&raw, 10000));
        lh_raw_answer_deinit(&answer);
        lh_raw_close(&raw);
    }
    static const char nul[] = "GET /health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n";
    struct lh_raw raw;
    struct lh_raw_answer answer;
    lh_raw_open(&raw, port);
    lh_raw_send_bytes(&raw, nul, sizeof(nul) - 1);
    lh_raw_receive(&raw, false, &answer);
    assert_int_equal(answer.status, 400);
    lh_raw_answer_deinit(&answer);
    lh_raw_close(&raw);
    expect_get("/health", 200, "ok");
}

static void append_header_lines(struct lh_buf *request, size_t count, size_t value_len)
{
    for (size_t i = 0; i < count; i++) {
        lh_buf_printf(request, "X-%zu: ", i);
        for (size_t j = 0; j < value_len; j++)
            lh_buf_append_char(request, 'v');
        lh_buf_append_cstr(request, "\r\n");
    }
}

LH_TEST(sizes_of_a_header)
{
    static const struct {
        size_t target, count, value;
        int status;
    } cases[] = {
        {1000, 1, 1, 404}, {1024, 1, 1, 404}, {1025, 1, 1, 414},  {40000, 1, 1, 414},
        {1, 19, 1, 404},   {1, 20, 1, 431},   {1, 200, 1, 431},   {1, 1, 4000, 404},
        {1, 1, 4200, 431}, {1, 1, 9000, 431}, {1, 1, 30000, 431}, {1, 4, 900, 404},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_buf request = LH_BUF_INIT(1 << 20);
        lh_buf_append_cstr(&request, "GET /");
        for (size_t j = 1; j < cases[i].target; j++)
            lh_buf_append_char(&request, 't');
        lh_buf_append_cstr(&request, " HTTP/1.1\r\nHost: x\r\n");
        append_header_lines(&request, cases[i].count, cases[i].value);
        lh_buf_append_cstr(&request, "\r\n");
        struct lh_raw_answer answer;
        lh_raw_exchange(port, request.data, &answer);
        if (answer.status != cases[i].status)
            print_error("case %zu\n", i);
        assert_int_equal(answer.status, cases[i].status);
        lh_raw_answer_deinit(&answer);
        lh_buf_deinit(&request);
    }
}

LH_TEST(json_bodies)
{
    expect("POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200, NULL);
    expect(
        "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.x+json; charset=utf-8\r\n"
        "Content-Length: 2\r\n\r\n{}",
        200, NULL);
    expect(
        "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 2\r\n\r\n{}",
        415, "Content-Type: application/json");
    expect("POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{]", 400, "\"line\":1");
    expect("POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400, "JSON body");
}

LH_TEST(not_ready_yet)
{
    lh_http_server_set_ready(server, false);
    expect_get("/health", 200, NULL);
    expect_get("/items/a", 503, "not_ready");
    expect_get("/nowhere", 404, NULL);
    lh_http_server_set_ready(server, true);
    expect_get("/items/a", 200, NULL);
}

static void open_at_gate(struct lh_raw *raws, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lh_raw_open(&raws[i], port);
        lh_raw_send(&raws[i], "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    }
}

LH_TEST(shed_when_workers_and_queue_are_full)
{
    struct lh_raw raws[8];
    struct lh_raw_answer answer;
    open_at_gate(raws, 4);
    while (atomic_load(&at_gate) < 4)
        lh_sleep_ms(1);
    open_at_gate(raws + 4, 4);
    struct lh_http_server_stats stats;
    do { /* the last four are read by the event thread before ours is */
        lh_sleep_ms(1);
        lh_http_server_stats(server, &stats);
    } while (stats.in_flight < 8);
    lh_raw_exchange(port, "GET /items/a HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 503);
    assert_string_equal(lh_raw_header(&answer, "Retry-After"), "1");
    lh_raw_answer_deinit(&answer);
    expect_get("/health", 200, NULL); /* inline: needs no worker */
    atomic_store(&gate_open, true);
    for (size_t i = 0; i < LH_COUNT(raws); i++) {
        lh_raw_receive(&raws[i], false, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body.data, "through");
        lh_raw_answer_deinit(&answer);
        lh_raw_close(&raws[i]);
    }
    lh_http_server_stats(server, &stats);
    assert_int_equal(stats.workers, 4);
    assert_true(stats.shed >= 1);
}

LH_TEST(connections_beyond_the_limit)
{
    struct lh_http_server_options options = options_of_test();
    options.connections_max = 3;
    options.connections_per_ip_max = 2;
    start_with(&options);
    struct lh_raw raws[3];
    struct lh_raw_answer answer;
    for (size_t i = 0; i < LH_COUNT(raws); i++) {
        lh_raw_open(&raws[i], port);
        lh_raw_send(&raws[i], "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        lh_raw_receive(&raws[i], false, &answer);
        assert_int_equal(answer.status, i < 2 ? 200 : 503);
        lh_raw_answer_deinit(&answer);
    }
    assert_true(lh_raw_closes(&raws[2], 10000));
    lh_raw_close(&raws[0]);
    struct lh_http_server_stats stats;
    do {
        lh_sleep_ms(1);
        lh_http_server_stats(server, &stats);
    } while (stats.connections > 1);
    expect_get("/health", 200, NULL);
    lh_raw_close(&raws[1]);
    lh_raw_close(&raws[2]);
    lh_http_server_stop(server);
}

LH_TEST(bad_addresses)
{
    struct lh_http_server_options options = options_of_test();
    struct lh_error err = LH_ERROR_INIT;
    struct lh_http_server *second = NULL;
    options.host = "localhost";
    assert_int_equal(lh_http_server_start(&options, &second, &err), LH_INVALID_CONFIG);
    options.host = "127.0.0.1";
    options.port = port;
    assert_int_equal(lh_http_server_start(&options, &second, &err), LH_INVALID_CONFIG);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_null(second);
}

int main(void)
{
    lh_log_init("test", LH_LOG_ERROR, 2);
#define LH_CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        LH_CASE(parameters_and_queries),
        LH_CASE(methods),
        LH_CASE(failures_are_problems),
        LH_CASE(insides_are_not_told),
        LH_CASE(request_ids),
        LH_CASE(head_and_empty_answers),
        LH_CASE(pipelining_keeps_the_order),
        LH_CASE(old_clients),
        LH_CASE(doubtful_requests_are_refused_and_closed),
        LH_CASE(sizes_of_a_header),
        LH_CASE(json_bodies),
        LH_CASE(not_ready_yet),
        LH_CASE(shed_when_workers_and_queue_are_full),
        cmocka_unit_test(connections_beyond_the_limit),
        LH_CASE(bad_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
