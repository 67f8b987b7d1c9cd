/*
 * The S3 client: its life, and one try of a call: address, headers, signature, progress.
 */
#include "store/s3_client.h"

#include "base/check.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "net/sigv4.h"
#include "store/s3_client_private.h"

#include <string.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    IDLE_CONNECTIONS_MAX = 64,
    OWN_HEADERS = 5, /* Host, x-amz-date, x-amz-content-sha256, Authorization; and one to spare */
    AUTHORIZATION_BYTES_MAX = 4096,
};

static const uint32_t client_magic = 0x53c11e47;

/* ---- life ---- */

/* "https://host:port" into its two parts. */
static lh_code split_endpoint(const char *endpoint, lh_str *ret_scheme, lh_str *ret_host,
                              struct lh_error *err)
{
    lh_str text = lh_str_from(endpoint);
    lh_str scheme = LH_STR("https://");
    if (lh_str_starts(text, "http://"))
        scheme = LH_STR("http://");
    else if (!lh_str_starts(text, "https://"))
        scheme = LH_STR_NONE;
    lh_str host = lh_str_skip(text, scheme.len);
    if (host.len > 0 && host.ptr[host.len - 1] == '/')
        host.len--;
    bool has_path = host.len > 0 && memchr(host.ptr, '/', host.len) != NULL;
    if (scheme.len == 0 || host.len == 0 || has_path || memchr(host.ptr, '@', host.len) != NULL)
        return lh_fail(err, LH_INVALID_CONFIG,
                       "'%s' is not the address of an S3 store: \"https://host\" or "
                       "\"http://host:port\" is wanted",
                       endpoint);
    *ret_scheme = scheme;
    *ret_host = host;
    return LH_OK;
}

lh_code lh_s3_client_new(const struct lh_s3_client_options *options,
                         struct lh_s3_client **ret_client, struct lh_error *err)
{
    LH_CHECK(options->tries_max > 0 && options->part_bytes > 0 && options->parts_parallel > 0);
    lh_str scheme, host;
    struct lh_http_client *http = NULL;
    LH_TRY(split_endpoint(options->endpoint, &scheme, &host, err));
    if ((options->access_key[0] == '\0') != (options->secret_key[0] == '\0'))
        return lh_fail(err, LH_INVALID_CONFIG, "an access key needs its secret key");
    const struct lh_http_client_options http_options = {
        .connections_idle_max = IDLE_CONNECTIONS_MAX,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .user_agent = options->user_agent,
        .ca_file = options->ca_file,
    };
    LH_TRY(lh_http_client_new(&http_options, &http, err));
    struct lh_s3_client *client = lh_calloc(1, sizeof(*client));
    client->magic = client_magic;
    client->scheme = lh_strndup(scheme.ptr, scheme.len);
    client->host = lh_strndup(host.ptr, host.len);
    client->region = lh_strdup(options->region);
    client->access_key = lh_strdup(options->access_key);
    client->secret_key = lh_strdup(options->secret_key);
    client->bucket_in_host = options->bucket_in_host;
    client->is_backend = options->is_backend;
    client->stall_timeout_ms = options->stall_timeout_ms;
    client->tries_max = options->tries_max;
    client->part_bytes = options->part_bytes;
    client->parts_parallel = options->parts_parallel;
    client->buffer_bytes_max = options->buffer_bytes_max;
    client->http = http;
    client->budget = LH_S3_BUDGET_MAX;
    lh_mutex_init(&client->mutex);
    *ret_client = client;
    return LH_OK;
}

void lh_s3_client_free(struct lh_s3_client *client)
{
    if (client == NULL)
        return;
    LH_CHECK_MAGIC(client, client_magic);
    client->magic = 0;
    lh_http_client_free(client->http);
    pthread_mutex_destroy(&client->mutex);
    free(client->scheme);
    free(client->host);
    free(client->region);
    free(client->access_key);
    free(client->secret_key);
    free(client);
}

void lh_s3_client_stats(struct lh_s3_client *client, struct lh_s3_client_stats *ret)
{
    LH_CHECK_MAGIC(client, client_magic);
    lh_mutex_lock(&client->mutex);
    *ret = client->stats;
    lh_mutex_unlock(&client->mutex);
    ret->clock_skew_ms = client->clock_skew_ms;
}

/* ---- the address ---- */

struct address {
    struct lh_buf host; /* "bucket.host:port" */
    struct lh_buf path; /* "/bucket/key", as it is sent and signed */
    struct lh_buf url;
};

static void address_deinit(struct address *address)
{
    lh_buf_deinit(&address->host);
    lh_buf_deinit(&address->path);
    lh_buf_deinit(&address->url);
}

/* RFC 9110 section 7.2: the Host of a default port is written without it, as clients do. */
static lh_str host_without_default_port(const struct lh_s3_client *client)
{
    lh_str host = lh_str_from(client->host);
    const char *port = strcmp(client->scheme, "https://") == 0 ? ":443" : ":80";
    if (lh_str_ends(host, port))
        host.len -= strlen(port);
    return host;
}

static lh_code make_address(const struct lh_s3_client *client, const struct lh_s3_call *call,
                            struct address *ret, struct lh_error *err)
{
    bool bucket_in_path = call->bucket.len > 0 && !client->bucket_in_host;
    if (call->key.len > LH_KEY_MAX)
        return lh_fail(err, LH_KEY_TOO_LONG, "the key has %zu bytes, at most %d are possible",
                       call->key.len, LH_KEY_MAX);
    if (call->bucket.len > 0 && client->bucket_in_host)
        lh_buf_printf(&ret->host, "%.*s.", LH_FMT(call->bucket));
    lh_buf_append_str(&ret->host, host_without_default_port(client));
    lh_buf_append_char(&ret->path, '/');
    if (bucket_in_path)
        lh_http_encode(&ret->path, call->bucket, false);
    if (bucket_in_path && call->key.len > 0)
        lh_buf_append_char(&ret->path, '/');
    lh_http_encode(&ret->path, call->key, true);
    lh_buf_append_cstr(&ret->url, client->scheme);
    lh_buf_append_str(&ret->url, lh_buf_str(&ret->host));
    lh_buf_append_str(&ret->url, lh_buf_str(&ret->path));
    if (call->query != NULL)
        lh_buf_printf(&ret->url, "?%s", call->query);
    if (lh_buf_overflowed(&ret->url))
        return lh_fail(err, LH_INVALID, "a request's address is too long");
    return LH_OK;
}

/* ---- headers and signature ---- */

struct head {
    struct lh_http_header list[LH_S3_HEADERS_MAX + OWN_HEADERS];
    size_t count;
    char date[LH_SIGV4_TIMESTAMP_SIZE];
    struct lh_buf authorization;
};

static void add_header(struct head *head, lh_str name, lh_str value)
{
    LH_CHECK(head->count < LH_COUNT(head->list));
    head->list[head->count++] = (struct lh_http_header){name, value};
}

static struct lh_sigv4_credentials credentials_of(const struct lh_s3_client *client)
{
    return (struct lh_sigv4_credentials){
        .access_key = lh_str_from(client->access_key),
        .secret = lh_str_from(client->secret_key),
        .region = lh_str_from(client->region),
        .service = LH_STR("s3"),
    };
}

static lh_code sign(const struct lh_s3_client *client, const struct lh_s3_call *call, lh_str path,
                    struct head *head, struct lh_error *err)
{
    const struct lh_sigv4_request request = {
        .method = call->method,
        .path = path,
        .query = lh_str_from(call->query),
        .headers = head->list,
        .header_count = head->count,
    };
    const struct lh_sigv4_credentials credentials = credentials_of(client);
    LH_TRY(lh_sigv4_sign(&request, &credentials, &head->authorization, err));
    add_header(head, LH_STR("Authorization"), lh_buf_str(&head->authorization));
    return LH_OK;
}

static lh_code make_head(const struct lh_s3_client *client, const struct lh_s3_call *call,
                         const struct address *address, const char *sha256, struct head *ret,
                         struct lh_error *err)
{
    LH_CHECK(call->header_count <= LH_S3_HEADERS_MAX);
    for (size_t i = 0; i < call->header_count; i++)
        add_header(ret, call->headers[i].name, call->headers[i].value);
    lh_sigv4_format_time(lh_now_ms() + client->clock_skew_ms, ret->date);
    add_header(ret, LH_STR("Host"), lh_buf_str(&address->host));
    add_header(ret, LH_STR("x-amz-date"), lh_str_from(ret->date));
    add_header(ret, LH_STR("x-amz-content-sha256"), lh_str_from(sha256));
    if (client->access_key[0] == '\0')
        return LH_OK;
    return sign(client, call, lh_buf_str(&address->path), ret, err);
}

/* ---- the exchange ---- */

/* One try under way. The call's body is given piece by piece, so that its progress is seen; the
 * HTTP client then never repeats it behind our back. */
struct attempt {
    const struct lh_s3_client *client;
    const struct lh_s3_call *call;
    struct lh_s3_answer *answer;
    size_t sent;
    uint64_t received;
    int64_t moved_ns; /* when the last byte went either way */
    bool refused;     /* a callback of the caller has failed */
};

static lh_code give_body(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    (void)err;
    struct attempt *attempt = ctx;
    size_t len = attempt->call->body_len - attempt->sent;
    if (len > max)
        len = max;
    memcpy(bytes, (const char *)attempt->call->body + attempt->sent, len);
    attempt->sent += len;
    attempt->moved_ns = lh_mono_now().ns;
    *ret_len = len;
    return LH_OK;
}

static bool is_success(int status)
{
    return (status >= 200 && status < 300) || status == 304;
}

static lh_code on_head(void *ctx, int status, const struct lh_http_header *headers, size_t count,
                       struct lh_error *err)
{
    struct attempt *attempt = ctx;
    lh_s3_answer_take(attempt->answer, status, headers, count);
    if (!is_success(status) || attempt->call->on_head == NULL)
        return LH_OK;
    attempt->answer->handed_over = true;
    lh_code code = attempt->call->on_head(attempt->call->ctx, attempt->answer, err);
    attempt->refused = code != LH_OK;
    attempt->moved_ns = lh_mono_now().ns;
    return code;
}

static lh_code on_body(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct attempt *attempt = ctx;
    lh_code code = LH_OK;
    attempt->received += len;
    if (is_success(attempt->answer->status) && attempt->call->on_body != NULL) {
        code = attempt->call->on_body(attempt->call->ctx, bytes, len, err);
        attempt->refused = code != LH_OK;
    } else {
        lh_buf_append(&attempt->answer->body, bytes, len);
    }
    /* Afterwards: the time that the caller took is not the store's. */
    attempt->moved_ns = lh_mono_now().ns;
    return code;
}

static bool has_stalled(const struct attempt *attempt)
{
    int64_t silent_ms = (lh_mono_now().ns - attempt->moved_ns) / 1000000;
    return silent_ms > attempt->client->stall_timeout_ms;
}

static bool must_end(const void *ctx)
{
    const struct attempt *attempt = ctx;
    const struct lh_s3_limits *limits = &attempt->call->limits;
    return has_stalled(attempt) || (limits->cancelled != NULL && limits->cancelled(limits->ctx));
}

static void count_try(struct lh_s3_client *client, const struct attempt *attempt)
{
    lh_mutex_lock(&client->mutex);
    client->stats.requests++;
    client->stats.sent_bytes += attempt->sent;
    client->stats.received_bytes += attempt->received;
    lh_mutex_unlock(&client->mutex);
}

static lh_code exchange(struct lh_s3_client *client, const struct lh_http_call *http_call,
                        struct attempt *attempt, bool *ret_again, struct lh_error *err)
{
    const struct lh_http_sink sink = {.ctx = attempt, .on_head = on_head, .on_body = on_body};
    int status = 0;
    lh_code code = lh_http_call(client->http, http_call, &sink, &status, err);
    count_try(client, attempt);
    bool stalled = code == LH_CANCELLED && !attempt->refused && has_stalled(attempt);
    *ret_again = !attempt->refused && (code != LH_CANCELLED || stalled) && code != LH_INVALID &&
                 code != LH_NO_MEMORY && !lh_deadline_passed(http_call->deadline);
    if (stalled)
        return lh_fail(err, LH_TIMEOUT, "%s was silent for %lld ms", http_call->url,
                       (long long)client->stall_timeout_ms);
    if (code == LH_OK && is_success(status) && lh_buf_overflowed(&attempt->answer->body)) {
        *ret_again = false;
        return lh_fail(err, LH_BAD_UPSTREAM, "the answer of %s is larger than %zu bytes",
                       http_call->url, attempt->answer->body.max);
    }
    return code;
}

lh_code lh_s3_try(struct lh_s3_client *client, const struct lh_s3_call *call, const char *sha256,
                  struct lh_s3_answer *answer, bool *ret_again, struct lh_error *err)
{
    LH_CHECK_MAGIC(client, client_magic);
    LH_AUTO(address_deinit)
    struct address address = {LH_BUF_INIT(LH_S3_URL_BYTES_MAX), LH_BUF_INIT(LH_S3_URL_BYTES_MAX),
                              LH_BUF_INIT(LH_S3_URL_BYTES_MAX)};
    struct head head = {.authorization = LH_BUF_INIT(AUTHORIZATION_BYTES_MAX)};
    *ret_again = false;
    LH_TRY(make_address(client, call, &address, err));
    lh_code code = make_head(client, call, &address, sha256, &head, err);
    if (code == LH_OK) {
        struct attempt attempt = {
            .client = client, .call = call, .answer = answer, .moved_ns = lh_mono_now().ns};
        const struct lh_http_call http_call = {
            .method = call->method,
            .url = address.url.data,
            .headers = head.list,
            .header_count = head.count,
            .read_body = call->body_len > 0 ? give_body : NULL,
            .read_ctx = &attempt,
            .read_length = (int64_t)call->body_len,
            .deadline = call->limits.deadline,
            .once = call->counts_tries,
            .cancelled = must_end,
            .cancel_ctx = &attempt,
        };
        code = exchange(client, &http_call, &attempt, ret_again, err);
    }
    lh_buf_deinit(&head.authorization);
    if (code == LH_OK &&
        (!is_success(answer->status) || (call->may_hide_error && lh_s3_answer_hides_error(answer))))
        code = lh_s3_fail_from_answer(client, call, answer, ret_again, err);
    return code;
}

lh_code lh_s3_client_presign(struct lh_s3_client *client, enum lh_http_method method, lh_str bucket,
                             lh_str key, int64_t expires_s, struct lh_buf *out,
                             struct lh_error *err)
{
    LH_CHECK_MAGIC(client, client_magic);
    if (client->access_key[0] == '\0')
        return lh_fail(err, LH_UNAUTHENTICATED, "a URL is signed with a key, and there is none");
    const struct lh_s3_call call = {.method = method, .bucket = bucket, .key = key};
    const struct lh_sigv4_credentials credentials = credentials_of(client);
    LH_AUTO(address_deinit)
    struct address address = {LH_BUF_INIT(LH_S3_URL_BYTES_MAX), LH_BUF_INIT(LH_S3_URL_BYTES_MAX),
                              LH_BUF_INIT(LH_S3_URL_BYTES_MAX)};
    LH_TRY(make_address(client, &call, &address, err));
    LH_AUTO_FREE char *endpoint = lh_asprintf("%s%s", client->scheme, address.host.data);
    return lh_sigv4_presign(method, lh_str_from(endpoint), lh_buf_str(&address.path), LH_STR(""),
                            &credentials, lh_now_ms() + client->clock_skew_ms, expires_s, out, err);
}
