/*
 * A request passed on. The handler's thread drives both sides: libcurl asks it for body bytes,
 * which it takes from the client's window, and hands it the answer, which it puts into the other
 * window. A side that is slow blocks the thread, and so the other side: memory stays constant.
 *
 * What is never passed on (RFC 9110 section 7.6.1): headers of the connection and what Connection
 * names; whatever a client says about who it is (X-Forwarded-*, Forwarded, X-Real-IP). A body
 * larger than EXPECT_BYTES is announced with Expect: 100-continue, so that a service refuses it
 * before it is sent.
 */
#include "gateway/gateway.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <string.h>

enum { EXPECT_BYTES = 64 << 10, HEADERS_ADDED = 3 };

/* A request under way. */
struct passage {
    struct lh_http_exchange *x;
    bool client_failed; /* the failure is the client's side, not the service's */
    bool empty;         /* an answer that has no body by its status */
};

/* ---- the request ---- */

static lh_code read_from_client(void *ctx, void *bytes, size_t max, size_t *ret_len,
                                struct lh_error *err)
{
    struct passage *passage = ctx;
    lh_code code = lh_http_body_read(passage->x, bytes, max, ret_len, err);
    passage->client_failed = code != LH_OK;
    return code;
}

static bool is_dropped_from_request(lh_str name, lh_str connection)
{
    static const lh_str dropped[] = {
        LH_STR("content-length"), LH_STR("expect"),       LH_STR("forwarded"),
        LH_STR("x-real-ip"),      LH_STR("x-request-id"),
    };
    for (size_t i = 0; i < LH_COUNT(dropped); i++) {
        if (lh_str_eq_nocase(name, dropped[i]))
            return true;
    }
    static const lh_str family = LH_STR("x-forwarded-");
    if (name.len > family.len && lh_str_eq_nocase(lh_str_of(name.ptr, family.len), family))
        return true;
    return lh_http_is_hop_by_hop(name, connection);
}

/* The header lines for the service, in the request's arena. */
static lh_code request_headers(struct lh_http_exchange *x, struct lh_http_header **ret_headers,
                               size_t *ret_count, struct lh_error *err)
{
    size_t count = lh_http_header_count(x), kept = 0;
    struct lh_http_header *headers =
        lh_arena_alloc(lh_http_arena(x), (count + HEADERS_ADDED) * sizeof(*headers));
    if (headers == NULL)
        return lh_fail(err, LH_HEADERS_TOO_LARGE, "%zu header lines are too many", count);
    lh_str connection = lh_http_header(x, "Connection");
    for (size_t i = 0; i < count; i++) {
        struct lh_http_header header = lh_http_header_at(x, i);
        if (!is_dropped_from_request(header.name, connection))
            headers[kept++] = header;
    }
    headers[kept++] = (struct lh_http_header){LH_STR("X-Request-Id"), lh_http_request_id(x)};
    headers[kept++] = (struct lh_http_header){LH_STR("X-Forwarded-For"), lh_http_client_address(x)};
    int64_t length = lh_http_body_length(x);
    if (length < 0 || length > EXPECT_BYTES)
        headers[kept++] = (struct lh_http_header){LH_STR("Expect"), LH_STR("100-continue")};
    *ret_headers = headers;
    *ret_count = kept;
    return LH_OK;
}

/* ---- the answer ---- */

static bool is_dropped_from_answer(lh_str name, lh_str connection)
{
    static const lh_str dropped[] = {
        LH_STR("content-length"),
        LH_STR("date"),
        LH_STR("server"),
        LH_STR("x-request-id"),
    };
    for (size_t i = 0; i < LH_COUNT(dropped); i++) {
        if (lh_str_eq_nocase(name, dropped[i]))
            return true;
    }
    return lh_http_is_hop_by_hop(name, connection);
}

static lh_str find(const struct lh_http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (lh_str_eq_nocase(headers[i].name, lh_str_from(name)))
            return headers[i].value;
    }
    return LH_STR_NONE;
}

static lh_code begin_answer(void *ctx, int status, const struct lh_http_header *headers,
                            size_t count, struct lh_error *err)
{
    struct passage *passage = ctx;
    struct lh_http_exchange *x = passage->x;
    lh_str connection = find(headers, count, "Connection");
    for (size_t i = 0; i < count; i++) {
        if (is_dropped_from_answer(headers[i].name, connection))
            continue;
        const char *name =
            lh_arena_strndup(lh_http_arena(x), headers[i].name.ptr, headers[i].name.len);
        if (name == NULL)
            return lh_fail(err, LH_BAD_UPSTREAM, "the answer's header is too large");
        lh_http_set_header(x, name, headers[i].value);
    }
    passage->empty = status == 204 || status == 304;
    if (passage->empty)
        return LH_OK; /* sent when the call has ended well */
    uint64_t length = 0;
    bool known =
        lh_str_to_u64(find(headers, count, "Content-Length"), &length) && length <= INT64_MAX;
    return lh_http_start(x, status, NULL, known ? (int64_t)length : -1, err);
}

static lh_code write_to_client(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct passage *passage = ctx;
    lh_code code = lh_http_write(passage->x, bytes, len, err);
    passage->client_failed = code != LH_OK;
    return code;
}

/* ---- both ---- */

static bool client_gone(const void *x)
{
    return lh_http_cancelled(x);
}

/* What the client hears of a service that did not do its part. The address behind the door is for
 * the log only. */
static lh_code fail_for_client(const struct lh_upstream *upstream, lh_code code,
                               struct lh_error *err)
{
    if (code == LH_UNAVAILABLE || code == LH_BAD_UPSTREAM || code == LH_TIMEOUT) {
        LH_LOG(WARN, "upstream failed", LH_LOG_STR("upstream", upstream->name),
               LH_LOG_STR("detail", err->message));
    }
    if (code == LH_UNAVAILABLE) {
        LH_IGNORE(lh_fail(err, LH_BAD_UPSTREAM, "%s cannot be reached", upstream->name),
                  "the hint's code is the same");
        return lh_hint(err, "it may be starting again; GET /v1/health shows all services");
    }
    if (code == LH_BAD_UPSTREAM)
        return lh_fail(err, LH_BAD_UPSTREAM, "%s gave no valid answer", upstream->name);
    if (code == LH_TIMEOUT)
        return lh_fail(err, LH_TIMEOUT, "%s did not answer in time", upstream->name);
    return code;
}

/* A page of another site may make a browser send a form or a simple request here, into a network
 * that the page's author cannot reach. Browsers say so (Fetch Metadata, section 2.3), and other
 * clients have no reason to. */
static lh_code check_site(const struct lh_http_exchange *x, struct lh_error *err)
{
    enum lh_http_method method = lh_http_method(x);
    bool is_safe = method == LH_HTTP_GET || method == LH_HTTP_HEAD || method == LH_HTTP_OPTIONS;
    if (is_safe || !lh_str_is(lh_http_header(x, "Sec-Fetch-Site"), "cross-site"))
        return LH_OK;
    return lh_fail(err, LH_FORBIDDEN, "a page of another site may not change anything here");
}

lh_code lh_gateway_proxy(struct lh_gateway *gateway, enum lh_upstream_id id,
                         struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_upstream *upstream = &gateway->upstreams[id];
    struct passage passage = {.x = x};
    struct lh_http_header *headers = NULL;
    size_t header_count = 0;
    LH_TRY(check_site(x, err));
    LH_TRY(request_headers(x, &headers, &header_count, err));
    int64_t length = lh_http_body_length(x);
    if (length != 0)
        LH_TRY(lh_http_body_limit(x, INT64_MAX, err)); /* the service decides */

    lh_str target = lh_str_skip(lh_http_target(x), strlen("/v1"));
    const char *url = lh_arena_printf(lh_http_arena(x), "%s%.*s", upstream->url, LH_FMT(target));
    if (url == NULL)
        return lh_fail(err, LH_URI_TOO_LONG, "an address of %zu bytes is too long", target.len);
    const struct lh_http_call call = {
        .method = lh_http_method(x),
        .url = url,
        .headers = headers,
        .header_count = header_count,
        .read_body = length != 0 ? read_from_client : NULL,
        .read_ctx = &passage,
        .read_length = length,
        .deadline = lh_deadline_in_ms(gateway->timeout_ms),
        .first_byte_timeout_ms = gateway->first_byte_timeout_ms,
        .cancelled = client_gone,
        .cancel_ctx = x,
    };
    const struct lh_http_sink sink = {
        .ctx = &passage, .on_head = begin_answer, .on_body = write_to_client};
    int status = 0;
    lh_code code = lh_http_call(gateway->client, &call, &sink, &status, err);
    if (code != LH_OK)
        return passage.client_failed ? code : fail_for_client(upstream, code, err);
    return passage.empty ? lh_http_reply_empty(x, status, err) : lh_http_finish(x, err);
}
