/*
 * Objects over HTTP: what is asked, byte for byte, and how each answer is read. The other side is a
 * real server of ours with one handler that notes the request and gives the answer of the case.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/thread.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "store/objstore.h"

#include <string.h>

/* ---- the other side ---- */

struct answer {
    int status;
    const char *etag, *modified, *body;
    int64_t length; /* of a body that is cut; 0 = as long as it is */
};

static struct {
    pthread_mutex_t lock;
    struct lh_buf seen; /* "PUT /storage/a If-Match=x body\n" for each request */
    const struct answer *answers;
    size_t next;

    struct lh_http_server *server;
    struct lh_http_client *client;
    struct lh_objstore *store;
} peer;

static void note(struct lh_http_exchange *x, lh_str body)
{
    static const char *const names[] = {"If-Match", "If-None-Match", "Content-Type"};
    lh_buf_printf(&peer.seen, "%s %.*s", lh_http_method_name(lh_http_method(x)),
                  LH_FMT(lh_http_target(x)));
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        lh_str value = lh_http_header(x, names[i]);
        if (value.ptr != NULL)
            lh_buf_printf(&peer.seen, " %s=%.*s", names[i], LH_FMT(value));
    }
    lh_buf_printf(&peer.seen, "%s%.*s\n", body.len > 0 ? " " : "", LH_FMT(body));
}

static lh_code handle(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)service;
    lh_str body = LH_STR("");
    if (lh_http_body_length(x) != 0)
        LH_TRY(lh_http_body_all(x, 1 << 20, &body, err));
    lh_mutex_lock(&peer.lock);
    note(x, body);
    const struct answer *answer = &peer.answers[peer.next++];
    lh_mutex_unlock(&peer.lock);
    if (answer->etag != NULL)
        lh_http_set_header(x, "ETag", lh_str_from(answer->etag));
    if (answer->modified != NULL)
        lh_http_set_header(x, "Last-Modified", lh_str_from(answer->modified));
    lh_str text = lh_str_from(answer->body != NULL ? answer->body : "");
    LH_TRY(lh_http_start(x, answer->status, "application/json",
                         answer->length > 0 ? answer->length : (int64_t)text.len, err));
    if (lh_http_method(x) != LH_HTTP_HEAD)
        LH_TRY(lh_http_write(x, text.ptr, text.len, err));
    return lh_http_finish(x, err);
}

static const struct lh_route routes[] = {
    {LH_HTTP_GET | LH_HTTP_PUT | LH_HTTP_DELETE, "/{rest*}", handle,
     LH_ROUTE_BODY | LH_ROUTE_ANY_QUERY, "", "all", NULL, "200"},
};

static int setup(void **state)
{
    (void)state;
    const struct lh_http_server_options options = {
        .host = "127.0.0.1",
        .routes = routes,
        .route_count = LH_COUNT(routes),
        .service_name = "peer",
        .version = "1",
        .connections_max = 16,
        .workers_max = 4,
        .queue_max = 16,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 10000,
        .body_rate_min = 1,
        .body_rate_window_ms = 10000,
        .drain_timeout_ms = 1000,
        .body_bytes_max = 1 << 20,
        .target_bytes_max = 8192,
        .header_bytes_max = 16384,
        .header_count_max = 100,
        .pool_bytes = 32768,
        .stream_bytes = 65536,
    };
    const struct lh_http_client_options client_options = {
        .connections_idle_max = 4, .connect_timeout_ms = 1000, .user_agent = "test"};
    struct lh_error err = LH_ERROR_INIT;
    lh_mutex_init(&peer.lock);
    peer.seen = LH_BUF_INIT(1 << 20);
    if (lh_http_server_start(&options, &peer.server, &err) != LH_OK ||
        lh_http_client_new(&client_options, &peer.client, &err) != LH_OK)
        return -1;
    lh_http_server_set_ready(peer.server, true);
    LH_AUTO_FREE char *url = lh_asprintf("http://127.0.0.1:%u/", lh_http_server_port(peer.server));
    return lh_objstore_open_http(url, peer.client, &peer.store, &err) == LH_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lh_objstore_close(peer.store);
    lh_http_client_free(peer.client);
    lh_http_server_stop(peer.server);
    lh_buf_deinit(&peer.seen);
    return 0;
}

static void answer_with(const struct answer *answers)
{
    lh_mutex_lock(&peer.lock);
    lh_buf_reset(&peer.seen);
    peer.answers = answers;
    peer.next = 0;
    lh_mutex_unlock(&peer.lock);
}

static void assert_seen(const char *expected)
{
    lh_mutex_lock(&peer.lock);
    assert_string_equal(peer.seen.data, expected);
    lh_mutex_unlock(&peer.lock);
}

static lh_deadline soon(void)
{
    return lh_deadline_in_ms(20000);
}

/* ---- put ---- */

LH_TEST(test_put)
{
    const struct answer answers[] = {{.status = 201, .etag = "\"e1\"", .body = "{}"},
                                     {.status = 200, .etag = "\"e2\"", .body = "{}"},
                                     {.status = 201, .etag = "\"e3\"", .body = "{}"}};
    answer_with(answers);
    const struct lh_object_body body = {.bytes = "abc", .len = 3};
    struct lh_object_info info = {0};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        lh_objstore_put(peer.store, LH_STR("a/b c%\xc3\xa4"), &body, NULL, soon(), &info, &err),
        LH_OK);
    assert_string_equal(info.etag, "e1");
    assert_int_equal(info.size, 3);
    const struct lh_put_options match = {.if_match = "e1", .content_type = "text/x"};
    assert_int_equal(lh_objstore_put(peer.store, LH_STR("k"), &body, &match, soon(), &info, &err),
                     LH_OK);
    const struct lh_put_options absent = {.if_none_match = true};
    const struct lh_object_body nothing = {.bytes = "", .len = 0};
    assert_int_equal(
        lh_objstore_put(peer.store, LH_STR("../k"), &nothing, &absent, soon(), NULL, &err), LH_OK);
    assert_seen("PUT /storage/a/b%20c%25%C3%A4 abc\n"
                "PUT /storage/k If-Match=\"e1\" Content-Type=text/x abc\n"
                "PUT /storage/../k If-None-Match=*\n");
}

struct source {
    size_t left;
};

static lh_code read_source(void *ctx, void *bytes, size_t max, size_t *ret_len,
                           struct lh_error *err)
{
    (void)err;
    struct source *source = ctx;
    size_t len = source->left < max ? source->left : max;
    memset(bytes, 'z', len);
    source->left -= len;
    *ret_len = len;
    return LH_OK;
}

LH_TEST(test_put_from_a_reader)
{
    const struct answer answers[] = {{.status = 201, .etag = "\"e\"", .body = "{}"}};
    answer_with(answers);
    struct source source = {.left = 5};
    const struct lh_object_body body = {.len = 5, .read = read_source, .ctx = &source};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_put(peer.store, LH_STR("k"), &body, NULL, soon(), NULL, &err),
                     LH_OK);
    assert_seen("PUT /storage/k zzzzz\n");
}

LH_TEST(test_put_that_fails)
{
    static const struct {
        struct answer answer;
        lh_code code;
    } cases[] = {
        {{.status = 412, .body = "{\"code\":\"precondition_failed\"}"}, LH_PRECONDITION},
        {{.status = 507, .body = "{\"code\":\"storage_full\"}"}, LH_STORAGE_FULL},
        {{.status = 503, .body = "{\"code\":\"read_only\"}"}, LH_READ_ONLY},
        {{.status = 500, .body = "?"}, LH_BAD_UPSTREAM},
        {{.status = 201, .body = "{}"}, LH_BAD_UPSTREAM}, /* no ETag */
    };
    const struct lh_object_body body = {.bytes = "abc", .len = 3};
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        answer_with(&cases[i].answer);
        assert_int_equal(lh_objstore_put(peer.store, LH_STR("k"), &body, NULL, soon(), NULL, &err),
                         cases[i].code);
    }
}

LH_TEST(test_keys_that_cannot_be)
{
    char longest[LH_KEY_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    struct lh_object_info info;
    struct lh_error err = LH_ERROR_INIT;
    answer_with(NULL);
    assert_int_equal(lh_objstore_head(peer.store, LH_STR(""), soon(), &info, &err), LH_INVALID_KEY);
    assert_int_equal(
        lh_objstore_head(peer.store, lh_str_of(longest, sizeof(longest)), soon(), &info, &err),
        LH_INVALID_KEY);
    const struct answer answers[] = {{.status = 200, .etag = "\"e\""}};
    answer_with(answers);
    assert_int_equal(
        lh_objstore_head(peer.store, lh_str_of(longest, LH_KEY_MAX), soon(), &info, &err), LH_OK);
}

/* ---- get, head, delete ---- */

LH_TEST(test_get)
{
    const struct answer answers[] = {
        {.status = 200,
         .etag = "\"e\"",
         .modified = "Sun, 22 Nov 2026 15:04:05 GMT",
         .body = "hello"},
        {.status = 404, .body = "{\"code\":\"not_found\"}"},
        {.status = 200, .body = "hello"},
    };
    answer_with(answers);
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(100);
    struct lh_object_info info = {0};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_get(peer.store, LH_STR("k"), soon(), &out, &info, &err), LH_OK);
    assert_string_equal(out.data, "hello");
    assert_string_equal(info.etag, "e");
    assert_int_equal(info.size, 5);
    assert_int_equal(info.modified_ms, INT64_C(1795359845000));
    assert_int_equal(lh_objstore_get(peer.store, LH_STR("k"), soon(), &out, &info, &err),
                     LH_NOT_FOUND);
    LH_AUTO_BUF struct lh_buf small = LH_BUF_INIT(4);
    assert_int_equal(lh_objstore_get(peer.store, LH_STR("k"), soon(), &small, &info, &err),
                     LH_TOO_LARGE);
}

/* An object that breaks off is never taken for a short one. */
LH_TEST(test_get_that_breaks_off)
{
    LH_AUTO_FREE char *body = lh_malloc(100001);
    memset(body, 'b', 100000);
    body[100000] = '\0';
    const struct answer answers[] = {
        {.status = 200, .etag = "\"e\"", .body = body, .length = 200000}};
    answer_with(answers);
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 20);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_get(peer.store, LH_STR("k"), soon(), &out, NULL, &err),
                     LH_BAD_UPSTREAM);
}

LH_TEST(test_head_and_delete)
{
    const struct answer answers[] = {
        {.status = 200, .etag = "W/\"weak\"", .length = 12345},
        {.status = 404},
        {.status = 204},
        {.status = 412, .body = "{\"code\":\"precondition_failed\"}"},
    };
    answer_with(answers);
    struct lh_object_info info = {0};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_head(peer.store, LH_STR("k"), soon(), &info, &err), LH_OK);
    assert_int_equal(info.size, 12345);
    assert_string_equal(info.etag, "weak");
    assert_int_equal(lh_objstore_head(peer.store, LH_STR("k"), soon(), &info, &err), LH_NOT_FOUND);
    assert_int_equal(lh_objstore_delete(peer.store, LH_STR("k"), soon(), &err), LH_OK);
    assert_int_equal(lh_objstore_delete_if_match(peer.store, LH_STR("k"), "e", soon(), &err),
                     LH_PRECONDITION);
    assert_seen("HEAD /storage/k\nHEAD /storage/k\n"
                "DELETE /storage/k\nDELETE /storage/k If-Match=\"e\"\n");
}

LH_TEST(test_locate)
{
    const struct answer answers[] = {
        {.status = 200, .body = "{\"path\":\"/d/f 1\",\"size\":7,\"etag\":\"e\"}"},
        {.status = 200, .body = "{\"path\":null,\"size\":7,\"etag\":\"e\"}"},
        {.status = 200, .body = "{\"path\":1,\"size\":7,\"etag\":\"e\"}"},
    };
    answer_with(answers);
    struct lh_object_info info = {0};
    struct lh_error err = LH_ERROR_INIT;
    char *path = NULL;
    assert_int_equal(lh_objstore_locate(peer.store, LH_STR("k"), soon(), &path, &info, &err),
                     LH_OK);
    assert_string_equal(path, "/d/f 1");
    assert_int_equal(info.size, 7);
    free(path);
    assert_int_equal(lh_objstore_locate(peer.store, LH_STR("k"), soon(), &path, &info, &err),
                     LH_OK);
    assert_null(path);
    assert_int_equal(lh_objstore_locate(peer.store, LH_STR("k"), soon(), &path, &info, &err),
                     LH_BAD_UPSTREAM);
    assert_seen("GET /storage/k?locate\nGET /storage/k?locate\nGET /storage/k?locate\n");
}

/* ---- list ---- */

static lh_code collect(void *ctx, lh_str key, const struct lh_object_info *info,
                       struct lh_error *err)
{
    (void)err;
    lh_buf_printf(ctx, "%.*s=%llu,%s,%lld ", LH_FMT(key), (unsigned long long)info->size,
                  info->etag, (long long)info->modified_ms);
    return LH_OK;
}

LH_TEST(test_list_by_pages)
{
    const struct answer answers[] = {
        {.status = 200,
         .body = "{\"items\":[{\"key\":\"p/a\",\"size\":1,\"etag\":\"x\",\"modified\":"
                 "\"2026-11-22T15:04:05.000Z\"}],\"prefixes\":[],\"next\":\"c+1\"}"},
        {.status = 200,
         .body = "{\"items\":[{\"key\":\"p/b\",\"size\":2,\"etag\":\"y\"}],\"next\":null}"},
    };
    answer_with(answers);
    LH_AUTO_BUF struct lh_buf got = LH_BUF_INIT(4096);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_list(peer.store, LH_STR("p/"), soon(), collect, &got, &err),
                     LH_OK);
    assert_string_equal(got.data, "p/a=1,x,1795359845000 p/b=2,y,0 ");
    assert_seen("GET /storage?limit=1000&prefix=p%2F\n"
                "GET /storage?limit=1000&prefix=p%2F&cursor=c%2B1\n");
}

LH_TEST(test_lists_that_make_no_sense)
{
    static const struct {
        struct answer answers[2];
        lh_code code;
    } cases[] = {
        {{{.status = 200, .body = "{\"items\":[],\"next\":\"c\"}"},
          {.status = 200, .body = "{\"items\":[],\"next\":\"c\"}"}},
         LH_BAD_UPSTREAM}, /* it would go on for ever */
        {{{.status = 200, .body = "{\"items\":[{\"key\":\"a\",\"size\":-1,\"etag\":\"x\"}]}"}},
         LH_BAD_UPSTREAM},
        {{{.status = 200, .body = "{\"items\":[{\"size\":1,\"etag\":\"x\"}]}"}}, LH_BAD_UPSTREAM},
        {{{.status = 200, .body = "{\"items\":7}"}}, LH_BAD_UPSTREAM},
        {{{.status = 200, .body = "["}}, LH_BAD_UPSTREAM},
        {{{.status = 503, .body = "{\"code\":\"not_ready\"}"}}, LH_NOT_READY},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf got = LH_BUF_INIT(4096);
        struct lh_error err = LH_ERROR_INIT;
        answer_with(cases[i].answers);
        assert_int_equal(lh_objstore_list(peer.store, LH_STR(""), soon(), collect, &got, &err),
                         cases[i].code);
    }
}

LH_TEST(test_address)
{
    struct lh_objstore *store = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_objstore_open_http("ftp://x", peer.client, &store, &err),
                     LH_INVALID_CONFIG);
    assert_int_equal(lh_objstore_open_http("", peer.client, &store, &err), LH_INVALID_CONFIG);
    lh_objstore_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_put_from_a_reader),
        cmocka_unit_test(test_put_that_fails),
        cmocka_unit_test(test_keys_that_cannot_be),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_get_that_breaks_off),
        cmocka_unit_test(test_head_and_delete),
        cmocka_unit_test(test_locate),
        cmocka_unit_test(test_list_by_pages),
        cmocka_unit_test(test_lists_that_make_no_sense),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
