/*
 * From the header lines of a request to the route that answers it: guard, request id, framing,
 * route, parameters, query. Runs on the event thread and never blocks.
 */
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_guard.h"
#include "net/http_server_priv.h"

#include <string.h>

/* ---- the request's id ---- */

static bool is_request_id(lh_str text)
{
    if (text.len == 0 || text.len > LH_HTTP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool ok =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

/* Steele, Lea, Flood 2014: a bijection, so a counter never gives the same number twice. */
static uint64_t splitmix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A UUIDv7 (RFC 9562 section 5.7) whose random part comes from a counter with a random start:
 * unlike lh_uuid7 it costs no system call, which would be felt in each small request. */
static lh_str make_request_id(struct lh_http_exchange *x)
{
    uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = splitmix64(atomic_fetch_add(&x->server->next_id, step));
    uint64_t ms = (uint64_t)lh_now_ms();
    uint8_t bytes[16];
    for (unsigned i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    bytes[6] = (uint8_t)(0x70 | (mixed & 0x0f));
    bytes[7] = (uint8_t)(mixed >> 4);
    for (unsigned i = 0; i < 7; i++)
        bytes[9 + i] = (uint8_t)(mixed >> (8 + 8 * i));
    bytes[8] = (uint8_t)(0x80 | ((mixed * 0x2d) >> 58));

    char *text = lh_http_alloc(x, LH_UUID_TEXT);
    char hex[33];
    lh_hex(bytes, sizeof(bytes), hex);
    static const unsigned group_len[] = {8, 4, 4, 4, 12};
    size_t from = 0;
    size_t to = 0;
    for (size_t i = 0; i < LH_COUNT(group_len); i++) {
        if (i > 0)
            text[to++] = '-';
        memcpy(text + to, hex + from, group_len[i]);
        from += group_len[i];
        to += group_len[i];
    }
    text[to] = '\0';
    return lh_str_of(text, to);
}

/* ---- header lines ---- */

/* The connection's memory may be gone while a handler still looks at its headers. */
static void copy_headers(struct lh_http_exchange *x, const struct lh_http_header *headers,
                         size_t count)
{
    x->headers = lh_http_alloc(x, count * sizeof(*headers));
    for (size_t i = 0; i < count; i++) {
        x->headers[i].name = lh_http_copy(x, headers[i].name);
        x->headers[i].value = lh_http_copy(x, headers[i].value);
    }
    x->header_count = count;
}

/* RFC 9112 section 6.3, on headers that have passed the guard. */
static void read_framing(struct lh_http_exchange *x)
{
    lh_str length = lh_http_header(x, "content-length");
    if (lh_http_header(x, "transfer-encoding").ptr != NULL) {
        x->body_length = -1;
    } else if (length.ptr != NULL) {
        uint64_t bytes = 0;
        LH_CHECK(lh_str_to_u64(length, &bytes));
        x->body_length = (int64_t)bytes;
    }
    x->expects_continue = !x->http_1_0 && x->body_length != 0 &&
                          lh_str_eq_nocase(lh_http_header(x, "expect"), LH_STR("100-continue"));
}

/* ---- parameters ---- */

static lh_code decode(struct lh_http_exchange *x, lh_str raw, bool plus_is_space, const char *what,
                      lh_str *ret, struct lh_error *err)
{
    char *text = lh_http_alloc(x, raw.len + 1);
    size_t len = 0;
    if (!lh_percent_decode(raw, plus_is_space, text, &len))
        return lh_fail(err, LH_INVALID, "%s holds a percent sign without two hex digits: %.*s",
                       what, (int)(raw.len < 200 ? raw.len : 200), raw.ptr);
    text[len] = '\0';
    *ret = lh_str_of(text, len);
    return LH_OK;
}

static lh_code decode_params(struct lh_http_exchange *x, struct lh_error *err)
{
    for (size_t i = 0; i < x->match.param_count; i++)
        LH_TRY(decode(x, x->match.param_raw[i], false, "the path", &x->params[i], err));
    return LH_OK;
}

/* Whether `name` is one of the route's, a list parted by spaces. Fills `candidates` on the way. */
static bool in_list(lh_str list, lh_str name)
{
    lh_str item;
    while (lh_str_next(&list, ' ', &item))
        if (item.len > 0 && lh_str_eq(item, name))
            return true;
    return false;
}

static lh_code fail_unknown_query(struct lh_http_exchange *x, lh_str name, struct lh_error *err)
{
    const char *candidates[LH_HTTP_QUERY_ARGS_MAX];
    size_t count = 0;
    lh_str list = lh_str_from(x->match.route->query);
    lh_str item;
    while (lh_str_next(&list, ' ', &item) && count < LH_COUNT(candidates))
        if (item.len > 0)
            candidates[count++] = lh_http_copy(x, item).ptr;

    lh_code code = lh_fail(err, LH_INVALID, "unknown query parameter: %.*s",
                           (int)(name.len < 100 ? name.len : 100), name.ptr);
    const char *nearest = lh_nearest(name, candidates, count);
    if (nearest != NULL)
        return lh_hint(err, "did you mean %s?", nearest);
    if (count > 0)
        return lh_hint(err, "it takes: %s", x->match.route->query);
    return code;
}

static lh_code check_arg(struct lh_http_exchange *x, lh_str name, struct lh_error *err)
{
    if ((x->match.route->flags & LH_ROUTE_ANY_QUERY) != 0)
        return LH_OK;
    if (!in_list(lh_str_from(x->match.route->query), name))
        return fail_unknown_query(x, name, err);
    for (size_t i = 0; i < x->arg_count; i++)
        if (lh_str_eq(x->args[i].name, name))
            return lh_fail(err, LH_INVALID, "the query parameter %.*s is given twice",
                           LH_FMT(name));
    return LH_OK;
}

static lh_code parse_query(struct lh_http_exchange *x, struct lh_error *err)
{
    if (x->query.len == 0)
        return LH_OK;
    size_t most = 1;
    for (size_t i = 0; i < x->query.len; i++)
        most += x->query.ptr[i] == '&';
    if (most > LH_HTTP_QUERY_ARGS_MAX)
        return lh_fail(err, LH_INVALID, "%zu query parameters, and %d are allowed", most,
                       LH_HTTP_QUERY_ARGS_MAX);
    x->args = lh_http_alloc(x, most * sizeof(x->args[0]));

    lh_str rest = x->query;
    lh_str pair;
    while (lh_str_next(&rest, '&', &pair)) {
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.ptr, '=', pair.len);
        size_t name_len = equals != NULL ? (size_t)(equals - pair.ptr) : pair.len;
        lh_str raw_value = equals != NULL ? lh_str_skip(pair, name_len + 1) : LH_STR_NONE;
        struct lh_http_arg arg = {.value = LH_STR("")};
        LH_TRY(decode(x, lh_str_of(pair.ptr, name_len), true, "the query", &arg.name, err));
        LH_TRY(check_arg(x, arg.name, err));
        if (raw_value.len > 0)
            LH_TRY(decode(x, raw_value, true, "the query", &arg.value, err));
        x->args[x->arg_count++] = arg;
    }
    return LH_OK;
}

/* ---- the route ---- */

static void set_allow(struct lh_http_exchange *x, unsigned allowed)
{
    char text[64];
    size_t len = 0;
    for (unsigned bit = LH_HTTP_GET; bit <= LH_HTTP_OPTIONS; bit <<= 1) {
        if ((allowed & bit) == 0)
            continue;
        int more = snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? ", " : "",
                            lh_http_method_name(bit));
        len += (size_t)more;
    }
    lh_http_set_header(x, "Allow", lh_str_of(text, len));
}

static lh_code find_route(struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_http_server_options *options = &x->server->options;
    unsigned allowed = 0;
    const struct lh_route *rest = lh_router_rest(options->routes, options->route_count);
    if (rest != NULL && options->wants_rest != NULL && options->wants_rest(options->service, x)) {
        x->match = (struct lh_route_match){.route = rest};
        return LH_OK;
    }
    lh_code code = lh_router_match(options->routes, options->route_count, x->method, x->path,
                                   &x->match, &allowed, err);
    if (code == LH_METHOD_NOT_ALLOWED)
        set_allow(x, allowed);
    return code;
}

static lh_code check_body(const struct lh_http_exchange *x, struct lh_error *err)
{
    if (lh_http_has_body(x) && (x->match.route->flags & LH_ROUTE_BODY) == 0)
        return lh_fail(err, LH_TOO_LARGE, "%s %.*s takes no body", lh_http_method_name(x->method),
                       LH_FMT(x->path));
    return LH_OK;
}

static lh_code check_ready(const struct lh_http_exchange *x, struct lh_error *err)
{
    if ((x->match.route->flags & LH_ROUTE_UNREADY) != 0 || atomic_load(&x->server->ready))
        return LH_OK;
    return lh_fail(err, LH_NOT_READY, "%s is still starting", x->server->options.service_name);
}

lh_code lh_http_refuse_layout(struct lh_http_exchange *x, struct lh_error *err)
{
    atomic_fetch_add(&x->server->refused, 1);
    x->answer.close = true;
    x->body_length = 0; /* nobody knows where it would begin */
    return lh_fail(err, LH_INVALID,
                   "a header line is folded, holds a NUL, or does not end in CR LF");
}

lh_code lh_http_route(struct lh_http_exchange *x, lh_str version, lh_str method,
                      const struct lh_http_header *headers, size_t header_count,
                      struct lh_error *err)
{
    const struct lh_http_server_options *options = &x->server->options;
    const struct lh_http_guard_limits limits = {
        .target_bytes_max = options->target_bytes_max,
        .header_count_max = options->header_count_max,
        .header_bytes_max = options->header_bytes_max,
    };
    lh_code refused =
        lh_http_guard(version, method, x->target, headers, header_count, &limits, err);
    if (refused != LH_OK) {
        atomic_fetch_add(&x->server->refused, 1);
        x->request_id = make_request_id(x);
        x->answer.close = true;
        return refused;
    }
    copy_headers(x, headers, header_count);
    lh_str id = lh_http_header(x, "x-request-id");
    x->request_id = is_request_id(id) ? id : make_request_id(x);
    x->http_1_0 = lh_str_is(version, "HTTP/1.0");
    x->method = lh_http_method_parse(method);
    read_framing(x);
    lh_router_split(x->target, &x->path, &x->query);

    if (x->home->shed) {
        atomic_fetch_add(&x->server->shed, 1);
        x->answer.close = true;
        return lh_fail(err, LH_BUSY, "too many connections");
    }
    if (atomic_load(&x->server->closing)) {
        x->answer.close = true;
        return lh_fail(err, LH_UNAVAILABLE, "the service stops");
    }
    if (x->method == 0)
        return lh_fail(err, LH_UNSUPPORTED, "no path takes the method %.*s", LH_FMT(method));
    LH_TRY(find_route(x, err));
    LH_TRY(check_ready(x, err));
    LH_TRY(decode_params(x, err));
    LH_TRY(parse_query(x, err));
    return check_body(x, err);
}
