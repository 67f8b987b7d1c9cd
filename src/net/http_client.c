/*
 * The HTTP client over libcurl; the only file that knows it.
 *
 * A slot is one libcurl "multi" with one "easy" handle in it. The multi keeps up to two idle
 * connections, the easy handle is reset between calls. Idle slots wait in a list, newest first; a
 * call takes one that talked to the same host before, so that its connection is warm.
 *
 * We drive the multi ourselves instead of curl_easy_perform, because that looks at its progress
 * callback only once a second while a peer is silent; here the predicate `cancelled` and the
 * deadlines are looked at every POLL_MS_MAX.
 *
 * libcurl repeats a request by itself when a kept connection turns out to be dead before a byte of
 * an answer has come. That is right for what is safe to repeat and wrong for the rest: there the
 * body has no rewind (libcurl then fails instead), and a request without a body takes a new
 * connection.
 *
 * Threads: `lock` guards the list of idle slots only; a slot belongs to one call at a time.
 */
#include "net/http_client.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/thread.h"

#include <curl/curl.h>
#include <string.h>

enum {
    POLL_MS_MAX = 100,
    HEAD_BYTES_MAX = 64 << 10,
    HEAD_LINES_MAX = 256,
    RECEIVE_BYTES = 64 << 10, /* 16 and 256 KiB cost a fifth more CPU for large bodies */
    CONNECTIONS_A_SLOT = 2,
    CONNECTION_AGE_MAX_S = 45, /* below the idle timeout of our servers (60 s) */
};

struct slot {
    struct slot *next;
    CURLM *multi;
    CURL *easy;
    char origin[128]; /* "http://host:port" of the last call */
};

struct lh_http_client {
    pthread_mutex_t lock;
    struct slot *idle;
    size_t idle_count;
    size_t idle_max;
    int64_t connect_timeout_ms;
    char *user_agent;
    char *ca_file;              /* "" = as the system says */
    char *bearer_origin;        /* without a slash at its end; "" = none */
    char *bearer_authorization; /* "Authorization: Bearer ..." */
};

/* One call under way. */
struct transfer {
    const struct lh_http_call *call;
    const struct lh_http_sink *sink;
    struct curl_slist *headers;

    uint64_t body_sent;
    bool uploaded;      /* the whole body has been handed over */
    int64_t sent_at_ns; /* when the request was out, for the first-byte timeout; 0 = not yet */

    struct lh_buf head; /* names and values of the answer's header lines, back to back */
    struct {
        uint32_t name_at, name_len, value_at, value_len;
    } lines[HEAD_LINES_MAX];
    size_t line_count;
    int status;
    bool head_done;

    lh_code failed; /* set by a callback, with *err filled: the call ends with it */
    struct lh_error *err;
};

/* ---- slots ---- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    LH_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* Length of "http://host:port" at the start of a URL. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    return (size_t)(host - url) + strcspn(host, "/?");
}

lh_code lh_http_client_new(const struct lh_http_client_options *options,
                           struct lh_http_client **ret_client, struct lh_error *err)
{
    if (pthread_once(&curl_once, init_curl) != 0)
        return lh_fail(err, LH_INTERNAL, "libcurl does not start");
    struct lh_http_client *client = lh_calloc(1, sizeof(*client));
    lh_mutex_init(&client->lock);
    client->idle_max = options->connections_idle_max;
    client->connect_timeout_ms = options->connect_timeout_ms;
    client->user_agent = lh_strdup(options->user_agent);
    client->ca_file = lh_strdup(options->ca_file != NULL ? options->ca_file : "");
    bool has_bearer = lh_str_from(options->bearer).len > 0;
    client->bearer_origin = lh_strdup(has_bearer ? options->bearer_origin : "");
    client->bearer_origin[origin_len(client->bearer_origin)] = '\0';
    client->bearer_authorization =
        lh_asprintf("Authorization: Bearer %s", has_bearer ? options->bearer : "");
    *ret_client = client;
    return LH_OK;
}

static void slot_free(struct slot *slot)
{
    if (slot == NULL)
        return;
    curl_easy_cleanup(slot->easy);
    curl_multi_cleanup(slot->multi);
    free(slot);
}

void lh_http_client_free(struct lh_http_client *client)
{
    if (client == NULL)
        return;
    while (client->idle != NULL) {
        struct slot *slot = client->idle;
        client->idle = slot->next;
        slot_free(slot);
    }
    pthread_mutex_destroy(&client->lock);
    free(client->user_agent);
    free(client->ca_file);
    free(client->bearer_origin);
    free(client->bearer_authorization);
    free(client);
}

static struct slot *slot_new(void)
{
    struct slot *slot = lh_calloc(1, sizeof(*slot));
    slot->multi = curl_multi_init();
    slot->easy = curl_easy_init();
    if (slot->multi == NULL || slot->easy == NULL) {
        slot_free(slot);
        return NULL;
    }
    curl_multi_setopt(slot->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_A_SLOT);
    return slot;
}

static struct slot *slot_take(struct lh_http_client *client, const char *url)
{
    size_t len = origin_len(url);
    struct slot *slot = NULL;
    lh_mutex_lock(&client->lock);
    struct slot **link = &client->idle;
    while (*link != NULL &&
           (strncmp((*link)->origin, url, len) != 0 || (*link)->origin[len] != '\0'))
        link = &(*link)->next;
    if (*link == NULL && client->idle_count >= client->idle_max)
        link =
            &client->idle; /* none for this host, and no room for more: the newest changes hosts */
    if (*link != NULL) {
        slot = *link;
        *link = slot->next;
        client->idle_count--;
    }
    lh_mutex_unlock(&client->lock);

    if (slot == NULL)
        slot = slot_new();
    if (slot != NULL && len < sizeof(slot->origin)) {
        memcpy(slot->origin, url, len);
        slot->origin[len] = '\0';
    }
    return slot;
}

static void slot_put(struct lh_http_client *client, struct slot *slot)
{
    lh_mutex_lock(&client->lock);
    bool keep = client->idle_count < client->idle_max;
    if (keep) {
        slot->next = client->idle;
        client->idle = slot;
        client->idle_count++;
    }
    lh_mutex_unlock(&client->lock);
    if (!keep)
        slot_free(slot);
}

/* ---- what libcurl calls ---- */

/* -1 = unknown. */
static int64_t body_length(const struct lh_http_call *call)
{
    return call->read_body != NULL ? call->read_length : (int64_t)call->body_len;
}

static size_t give_body(char *out, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    const struct lh_http_call *call = t->call;
    size_t max = size * count;
    size_t len = 0;
    if (call->read_body != NULL) {
        t->failed = call->read_body(call->read_ctx, out, max, &len, t->err);
        if (t->failed != LH_OK)
            return CURL_READFUNC_ABORT;
    } else {
        len = call->body_len - (size_t)t->body_sent;
        if (len > max)
            len = max;
        memcpy(out, (const char *)call->body + t->body_sent, len);
    }
    t->body_sent += len;
    /* A body of known length is not asked for its end. */
    t->uploaded = len == 0 || t->body_sent == (uint64_t)body_length(call);
    return len;
}

/* Back to the start of a body of bytes, for a repeat on another connection. */
static int rewind_body(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->call->body_len)
        return CURL_SEEKFUNC_CANTSEEK;
    t->body_sent = (uint64_t)offset;
    t->uploaded = false;
    return CURL_SEEKFUNC_OK;
}

static lh_code parse_status_line(struct transfer *t, lh_str line)
{
    /* "HTTP/1.1 200 OK"; libcurl has looked at it before us. */
    lh_str rest = line, version, code;
    uint64_t status = 0;
    if (!lh_str_next(&rest, ' ', &version) || !lh_str_next(&rest, ' ', &code) ||
        !lh_str_to_u64(code, &status) || status < 100 || status > 599)
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer's status line is not valid");
    t->status = (int)status;
    t->line_count = 0;
    lh_buf_reset(&t->head);
    return LH_OK;
}

static lh_code parse_header_line(struct transfer *t, lh_str line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || !lh_http_is_token(lh_str_of(line.ptr, (size_t)(colon - line.ptr))))
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer has a header line that is not valid");
    if (t->line_count == HEAD_LINES_MAX)
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer has more than %d header lines",
                       HEAD_LINES_MAX);
    lh_str name = lh_str_of(line.ptr, (size_t)(colon - line.ptr));
    lh_str value = lh_str_trim(lh_str_skip(line, name.len + 1));
    t->lines[t->line_count].name_at = (uint32_t)t->head.len;
    t->lines[t->line_count].name_len = (uint32_t)name.len;
    lh_buf_append_str(&t->head, name);
    t->lines[t->line_count].value_at = (uint32_t)t->head.len;
    t->lines[t->line_count].value_len = (uint32_t)value.len;
    lh_buf_append_str(&t->head, value);
    t->line_count++;
    if (lh_buf_overflowed(&t->head))
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer's header is larger than %d bytes",
                       HEAD_BYTES_MAX);
    return LH_OK;
}

static lh_code head_complete(struct transfer *t)
{
    if (t->status < 200)
        return LH_OK; /* 100 Continue and its like: the answer is still to come */
    t->head_done = true;
    if (t->sink->on_head == NULL)
        return LH_OK;
    struct lh_http_header headers[HEAD_LINES_MAX];
    for (size_t i = 0; i < t->line_count; i++) {
        headers[i].name = lh_str_of(t->head.data + t->lines[i].name_at, t->lines[i].name_len);
        headers[i].value = lh_str_of(t->head.data + t->lines[i].value_at, t->lines[i].value_len);
    }
    return t->sink->on_head(t->sink->ctx, t->status, headers, t->line_count, t->err);
}

static size_t take_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * count;
    if (t->head_done)
        return len; /* a trailer */
    lh_str line = lh_str_of(bytes, len);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (lh_str_starts(line, "HTTP/"))
        t->failed = parse_status_line(t, line);
    else if (line.len > 0)
        t->failed = parse_header_line(t, line);
    else
        t->failed = head_complete(t);
    return t->failed == LH_OK ? len : 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    t->failed = t->sink->on_body(t->sink->ctx, bytes, size * count, t->err);
    return t->failed == LH_OK ? size * count : 0;
}

/* ---- a call ---- */

static bool is_repeatable(const struct lh_http_call *call)
{
    return call->method != LH_HTTP_POST && !call->once; /* RFC 9110 section 9.2.2 */
}

static bool has_body(const struct lh_http_call *call)
{
    return call->read_body != NULL || call->body_len > 0;
}

/* A byte that would end the request line early. */
static lh_code check_url(const char *url, struct lh_error *err)
{
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return lh_fail(err, LH_INVALID, "a URL holds a byte that is not allowed there");
    }
    return LH_OK;
}

/* Bytes that would begin a header line of their own, or end the text early. */
static bool has_line_end(lh_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
            return true;
    }
    return false;
}

/* Whether the call goes to whom we show our key. */
static bool wants_bearer(const struct lh_http_client *client, const char *url)
{
    size_t len = strlen(client->bearer_origin);
    return len > 0 && origin_len(url) == len && memcmp(url, client->bearer_origin, len) == 0;
}

static lh_code set_headers(const struct lh_http_client *client, struct transfer *t)
{
    bool expects = false, authorizes = false;
    for (size_t i = 0; i < t->call->header_count; i++) {
        lh_str name = t->call->headers[i].name, value = t->call->headers[i].value;
        if (!lh_http_is_token(name) || has_line_end(value))
            return lh_fail(t->err, LH_INVALID, "header %zu of a request is not valid", i + 1);
        expects = expects || lh_str_eq_nocase(name, LH_STR("Expect"));
        authorizes = authorizes || lh_str_eq_nocase(name, LH_STR("Authorization"));
        /* "Name;" is how libcurl is told to send a header without a value. */
        LH_AUTO_FREE char *line = value.len == 0
                                      ? lh_asprintf("%.*s;", LH_FMT(name))
                                      : lh_asprintf("%.*s: %.*s", LH_FMT(name), LH_FMT(value));
        t->headers = curl_slist_append(t->headers, line);
    }
    if (!authorizes && wants_bearer(client, t->call->url))
        t->headers = curl_slist_append(t->headers, client->bearer_authorization);
    /* libcurl would wait up to a second for a 100 of a peer that does not know it. */
    if (!expects)
        t->headers = curl_slist_append(t->headers, "Expect:");
    t->headers = curl_slist_append(t->headers, "Accept:"); /* none of its own making */
    return LH_OK;
}

static void set_method(CURL *easy, const struct lh_http_call *call, struct transfer *t)
{
    if (has_body(call)) {
        /* An "upload" is a body from our reader; the method's name is replaced. */
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_length(call));
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, t);
        if (is_repeatable(call) && call->read_body == NULL) {
            curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
            curl_easy_setopt(easy, CURLOPT_SEEKDATA, t);
        }
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, lh_http_method_name(call->method));
        return;
    }
    t->uploaded = true;
    switch (call->method) {
    case LH_HTTP_GET:
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        return;
    case LH_HTTP_HEAD:
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    case LH_HTTP_PUT:
    case LH_HTTP_POST:
        curl_easy_setopt(easy, CURLOPT_POST, 1L); /* sends Content-Length: 0 */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, lh_http_method_name(call->method));
        t->headers =
            curl_slist_append(t->headers, "Content-Type:"); /* unless the caller gave one */
        break;
    case LH_HTTP_DELETE:
    case LH_HTTP_OPTIONS:
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, lh_http_method_name(call->method));
        break;
    }
    if (!is_repeatable(call))
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

/* The target byte for byte: libcurl's own parser would cut it at a '#', for one. */
static void set_target(CURL *easy, const char *url)
{
    const char *target = url + origin_len(url);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (target[0] == '/')
        curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, target);
}

static void set_options(struct lh_http_client *client, CURL *easy, struct transfer *t)
{
    const struct lh_http_call *call = t->call;
    curl_easy_reset(easy); /* keeps the connections */
    set_target(easy, call->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* else http_proxy of the environment is obeyed */
    if (client->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_MAX_S);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    set_method(easy, call, t);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
}

/* Looked at between two steps: whether the call must end now. */
static lh_code check_limits(struct transfer *t)
{
    const struct lh_http_call *call = t->call;
    if (call->cancelled != NULL && call->cancelled(call->cancel_ctx))
        return lh_fail(t->err, LH_CANCELLED, "the call to %s was cancelled", call->url);
    if (lh_deadline_passed(call->deadline))
        return lh_fail(t->err, LH_TIMEOUT, "%s did not answer in time", call->url);
    if (call->first_byte_timeout_ms <= 0 || t->head_done || !t->uploaded)
        return LH_OK;
    int64_t now = lh_mono_now().ns;
    if (t->sent_at_ns == 0)
        t->sent_at_ns = now;
    if (now - t->sent_at_ns > call->first_byte_timeout_ms * 1000000)
        return lh_fail(t->err, LH_TIMEOUT, "%s did not begin to answer within %lld ms", call->url,
                       (long long)call->first_byte_timeout_ms);
    return LH_OK;
}

/* Steps the transfer to its end. LH_OK means that libcurl is done with it, well or not:
 * *ret_result. */
static lh_code run(struct slot *slot, struct transfer *t, CURLcode *ret_result)
{
    for (;;) {
        int running = 0;
        if (curl_multi_perform(slot->multi, &running) != CURLM_OK)
            return lh_fail(t->err, LH_INTERNAL, "libcurl cannot go on with %s", t->call->url);
        if (running == 0)
            break;
        LH_TRY(check_limits(t));
        int wait_ms = lh_deadline_left_ms(t->call->deadline);
        if (wait_ms > POLL_MS_MAX)
            wait_ms = POLL_MS_MAX;
        if (curl_multi_poll(slot->multi, NULL, 0, wait_ms, NULL) != CURLM_OK)
            return lh_fail(t->err, LH_INTERNAL, "libcurl cannot wait for %s", t->call->url);
    }
    int left = 0;
    const CURLMsg *message = curl_multi_info_read(slot->multi, &left);
    LH_CHECK(message != NULL && message->msg == CURLMSG_DONE);
    *ret_result = message->data.result;
    return LH_OK;
}

/* What libcurl says in our words. */
static lh_code fail_from_curl(const struct transfer *t, CURLcode result)
{
    const char *url = t->call->url;
    const char *text = curl_easy_strerror(result);
    switch (result) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT: /* only its connect timeout is set */
        return lh_fail(t->err, LH_UNAVAILABLE, "no connection to %s: %s", url, text);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_RECV_ERROR:
        if (!t->head_done)
            return lh_fail(t->err, LH_UNAVAILABLE, "%s closed the connection before it answered",
                           url);
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer of %s broke off", url);
    case CURLE_PARTIAL_FILE:
        return lh_fail(t->err, LH_BAD_UPSTREAM, "the answer of %s broke off", url);
    case CURLE_URL_MALFORMAT:
        return lh_fail(t->err, LH_INVALID, "'%s' is not a URL", url);
    case CURLE_OUT_OF_MEMORY:
        return lh_fail(t->err, LH_NO_MEMORY, "no memory for a call to %s", url);
    default:
        return lh_fail(t->err, LH_BAD_UPSTREAM, "%s did not answer in HTTP: %s", url, text);
    }
}

static lh_code perform(struct slot *slot, struct transfer *t)
{
    if (curl_multi_add_handle(slot->multi, slot->easy) != CURLM_OK)
        return lh_fail(t->err, LH_INTERNAL, "libcurl does not take a call to %s", t->call->url);
    CURLcode result = CURLE_OK;
    lh_code code = run(slot, t, &result);
    curl_multi_remove_handle(slot->multi, slot->easy);
    if (code != LH_OK)
        return code;
    if (t->failed != LH_OK)
        return t->failed;
    if (result != CURLE_OK)
        return fail_from_curl(t, result);
    if (!t->head_done) /* 101 and nothing after it */
        return lh_fail(t->err, LH_BAD_UPSTREAM, "%s gave no final answer", t->call->url);
    return LH_OK;
}

lh_code lh_http_call(struct lh_http_client *client, const struct lh_http_call *call,
                     const struct lh_http_sink *sink, int *ret_status, struct lh_error *err)
{
    LH_CHECK(sink->on_body != NULL);
    struct slot *slot = slot_take(client, call->url);
    if (slot == NULL)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a call to %s", call->url);
    struct transfer t = {
        .call = call, .sink = sink, .head = LH_BUF_INIT(HEAD_BYTES_MAX), .err = err};
    lh_code code = check_url(call->url, err);
    if (code == LH_OK)
        code = set_headers(client, &t);
    if (code == LH_OK) {
        set_options(client, slot->easy, &t);
        code = perform(slot, &t);
    }
    if (code == LH_OK)
        *ret_status = t.status;
    curl_slist_free_all(t.headers);
    lh_buf_deinit(&t.head);
    slot_put(client, slot);
    return code;
}

/* ---- small answers ---- */

static lh_code append_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct lh_buf *body = ctx;
    lh_buf_append(body, bytes, len);
    if (lh_buf_overflowed(body))
        return lh_fail(err, LH_TOO_LARGE, "the answer is larger than %zu bytes", body->max);
    return LH_OK;
}

lh_code lh_http_call_buf(struct lh_http_client *client, const struct lh_http_call *call,
                         struct lh_buf *body, int *ret_status, struct lh_error *err)
{
    const struct lh_http_sink sink = {.ctx = body, .on_body = append_body};
    lh_buf_reset(body);
    return lh_http_call(client, call, &sink, ret_status, err);
}
