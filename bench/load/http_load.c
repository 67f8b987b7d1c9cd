/*
 * A load generator: one thread, N keep-alive connections, each with one request under way. Prints
 * one JSON object: requests, seconds, requests a second, latencies, bytes, failures.
 *
 *   http_load -p PORT [-t TARGET] [-m METHOD] [-c CONNECTIONS] [-n REQUESTS | -s SECONDS]
 *             [-b BODY_BYTES] [-k KEYS] [-S ACCESS_KEY:SECRET] [-H "Name: value"]...
 *
 * "{n}" in the target becomes the number of the request, so that each PUT can have a key of its
 * own; "{x}" the same in an order that looks random. With -k the numbers begin anew after so many.
 * With -S each request is signed as S3 wants it (SigV4, with the SHA-256 of its body).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/sigv4.h"

enum { RECEIVE_BYTES = 256 << 10, HEAD_MAX = 16 << 10, LATENCIES_MAX = 1 << 22, EVENTS_MAX = 256 };
enum { BLOCK_BYTES = 1 << 20 };

struct plan {
    uint16_t port;
    const char *method;
    const char *target;
    size_t connections;
    uint64_t requests; /* 0 = until the time is over */
    double seconds;
    uint64_t body_bytes;
    uint64_t keys; /* 0 = no end */
    struct lh_buf headers;
    char *body; /* BLOCK_BYTES of it, sent again and again */
    size_t body_capacity;
    struct lh_sigv4_credentials credentials; /* none when its access key is empty */
    char body_sha256[LH_SHA256_HEX];
};

/* Where a connection is in its answer. */
enum part { HEAD, BODY, CHUNK_LINE, CHUNK, CHUNK_END, TRAILER };

struct connection {
    int fd;
    bool at_work;
    struct lh_buf head_out;
    uint64_t sent; /* of head and body together */
    lh_mono begun;
    enum part part;
    struct lh_buf line; /* of the head, or of a chunk's size */
    uint64_t left;      /* of the body, or of the chunk */
    int status;
};

struct load {
    struct plan plan;
    int epoll_fd;
    struct connection *connections;
    uint64_t begun, done, failed, bytes_in, bytes_out;
    uint32_t *latencies_us;
    lh_mono start;
    char receive[RECEIVE_BYTES];
};

static void fail(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool enough(const struct load *load)
{
    if (load->plan.requests > 0)
        return load->begun >= load->plan.requests;
    return lh_mono_since_s(load->start) >= load->plan.seconds;
}

/* ---- sending ---- */

/* The numbers from 0 in an order that looks random, each once (the mix of splitmix64). */
static uint64_t scatter(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94D049BB133111EB);
    return number ^ (number >> 31);
}

static void write_target(const struct load *load, struct lh_buf *out)
{
    const struct plan *plan = &load->plan;
    uint64_t key = plan->keys > 0 ? load->begun % plan->keys : load->begun;
    const char *number = strstr(plan->target, "{n}");
    const char *scattered = strstr(plan->target, "{x}");
    if (number != NULL)
        lh_buf_printf(out, "%.*s%llu%s", (int)(number - plan->target), plan->target,
                      (unsigned long long)key, number + 3);
    else if (scattered != NULL)
        lh_buf_printf(out, "%.*s%016llx%s", (int)(scattered - plan->target), plan->target,
                      (unsigned long long)scatter(key), scattered + 3);
    else
        lh_buf_append_cstr(out, plan->target);
}

static void write_signature(const struct plan *plan, lh_str target, struct lh_buf *out)
{
    char host[32];
    char timestamp[LH_SIGV4_TIMESTAMP_SIZE];
    snprintf(host, sizeof(host), "127.0.0.1:%u", plan->port);
    lh_sigv4_format_time(lh_now_ms(), timestamp);
    const struct lh_http_header headers[] = {
        {LH_STR("host"), lh_str_from(host)},
        {LH_STR("x-amz-content-sha256"), lh_str_from(plan->body_sha256)},
        {LH_STR("x-amz-date"), lh_str_from(timestamp)},
    };
    struct lh_sigv4_request request = {.method = lh_http_method_parse(lh_str_from(plan->method)),
                                       .headers = headers,
                                       .header_count = LH_COUNT(headers)};
    request.query = target;
    LH_CHECK(lh_str_next(&request.query, '?', &request.path));
    struct lh_error err = LH_ERROR_INIT;
    lh_buf_printf(out, "x-amz-date: %s\r\nx-amz-content-sha256: %s\r\nAuthorization: ", timestamp,
                  plan->body_sha256);
    if (lh_sigv4_sign(&request, &plan->credentials, out, &err) != LH_OK) {
        fprintf(stderr, "http_load: %s\n", err.message);
        exit(1);
    }
    lh_buf_append_cstr(out, "\r\n");
}

static void write_head(const struct load *load, struct connection *c)
{
    const struct plan *plan = &load->plan;
    struct lh_buf *out = &c->head_out;
    lh_buf_reset(out);
    lh_buf_printf(out, "%s ", plan->method);
    size_t target_at = out->len;
    write_target(load, out);
    LH_AUTO_FREE char *target = lh_strndup(out->data + target_at, out->len - target_at);
    lh_buf_printf(out, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", plan->port);
    if (plan->credentials.access_key.len > 0)
        write_signature(plan, lh_str_from(target), out);
    lh_buf_append_str(out, lh_buf_str(&plan->headers));
    if (plan->body_bytes > 0 || strcmp(plan->method, "GET") != 0)
        lh_buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)plan->body_bytes);
    lh_buf_append_cstr(out, "\r\n");
}

/* As much as the socket takes. False when the connection broke. */
static bool send_more(struct load *load, struct connection *c)
{
    const struct plan *plan = &load->plan;
    uint64_t total = c->head_out.len + plan->body_bytes;
    while (c->sent < total) {
        bool in_head = c->sent < c->head_out.len;
        uint64_t left = (in_head ? c->head_out.len : total) - c->sent;
        size_t from =
            in_head ? (size_t)c->sent : (size_t)((c->sent - c->head_out.len) % plan->body_capacity);
        const char *at = (in_head ? c->head_out.data : plan->body) + from;
        size_t len = in_head || left < plan->body_capacity - from ? (size_t)left
                                                                  : plan->body_capacity - from;
        int more = in_head && plan->body_bytes > 0 ? MSG_MORE : 0;
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT | more);
        if (n < 0)
            return errno == EAGAIN;
        c->sent += (size_t)n;
        load->bytes_out += (uint64_t)n;
    }
    return true;
}

static bool begin(struct load *load, struct connection *c)
{
    write_head(load, c);
    load->begun++;
    c->at_work = true;
    c->sent = 0;
    c->part = HEAD;
    c->status = 0;
    lh_buf_reset(&c->line);
    c->begun = lh_mono_now();
    return send_more(load, c);
}

/* ---- receiving ---- */

static lh_str header_value(lh_str head, const char *name)
{
    lh_str line;
    while (lh_str_next(&head, '\n', &line)) {
        lh_str key = LH_STR_NONE;
        if (lh_str_next(&line, ':', &key) && lh_str_eq_nocase(key, lh_str_from(name))) {
            if (lh_str_ends(line, "\r"))
                line.len--;
            return lh_str_trim(line);
        }
    }
    return LH_STR_NONE;
}

static void read_head(struct load *load, struct connection *c)
{
    lh_str head = lh_buf_str(&c->line);
    c->status = head.len > 12 ? (int)strtol(head.ptr + 9, NULL, 10) : 0;
    c->left = 0;
    if (lh_str_is(header_value(head, "transfer-encoding"), "chunked")) {
        c->part = CHUNK_LINE;
    } else {
        lh_str_to_u64(header_value(head, "content-length"), &c->left);
        c->part = BODY;
    }
    if (strcmp(load->plan.method, "HEAD") == 0)
        c->left = 0;
    lh_buf_reset(&c->line);
}

/* Takes bytes up to and with `mark` into c->line; true when the mark has come. */
static bool take_line(struct connection *c, lh_str *bytes, const char *mark)
{
    size_t mark_len = strlen(mark);
    while (bytes->len > 0) {
        const char *end = memchr(bytes->ptr, '\n', bytes->len);
        size_t len = end != NULL ? (size_t)(end - bytes->ptr) + 1 : bytes->len;
        lh_buf_append(&c->line, bytes->ptr, len);
        *bytes = lh_str_skip(*bytes, len);
        if (c->line.len >= mark_len && lh_str_ends(lh_buf_str(&c->line), mark))
            return true;
    }
    return false;
}

static bool skip_left(struct connection *c, lh_str *bytes)
{
    size_t len = c->left < bytes->len ? (size_t)c->left : bytes->len;
    *bytes = lh_str_skip(*bytes, len);
    c->left -= len;
    return c->left == 0;
}

/* Moves through the answer; true when it is complete. */
static bool consume(struct load *load, struct connection *c, lh_str bytes)
{
    for (;;) {
        switch (c->part) {
        case HEAD:
            if (!take_line(c, &bytes, "\r\n\r\n"))
                return false;
            read_head(load, c);
            break;
        case BODY:
            return skip_left(c, &bytes);
        case CHUNK_LINE:
            if (!take_line(c, &bytes, "\r\n"))
                return false;
            c->left = strtoull(c->line.data, NULL, 16);
            lh_buf_reset(&c->line);
            c->part = c->left > 0 ? CHUNK : TRAILER;
            break;
        case CHUNK:
            if (!skip_left(c, &bytes))
                return false;
            c->left = 2;
            c->part = CHUNK_END;
            break;
        case CHUNK_END:
            if (!skip_left(c, &bytes))
                return false;
            c->part = CHUNK_LINE;
            break;
        case TRAILER:
            return take_line(c, &bytes, "\r\n");
        }
    }
}

static void finish(struct load *load, struct connection *c)
{
    if (c->status < 200 || c->status > 299)
        load->failed++;
    if (load->done < LATENCIES_MAX)
        load->latencies_us[load->done] = (uint32_t)(lh_mono_since_ns(c->begun) / 1000);
    load->done++;
    c->at_work = false;
}

/* ---- connections ---- */

static void open_connection(struct load *load, struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load->plan.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fail("epoll_ctl");
}

/* Reads until the socket is empty; each complete answer begins the next request. False when the
 * connection broke. */
static bool receive(struct load *load, struct connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, load->receive, sizeof(load->receive), MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        load->bytes_in += (uint64_t)n;
        if (!consume(load, c, lh_str_of(load->receive, (size_t)n)))
            continue;
        finish(load, c);
        if (!enough(load))
            return begin(load, c);
        return true;
    }
}

static size_t at_work(const struct load *load)
{
    size_t count = 0;
    for (size_t i = 0; i < load->plan.connections; i++)
        count += load->connections[i].at_work;
    return count;
}

static void on_event(struct load *load, struct connection *c, unsigned events)
{
    bool alive = true;
    if ((events & EPOLLOUT) != 0 && c->at_work)
        alive = send_more(load, c);
    if (alive && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        alive = receive(load, c);
    if (alive)
        return;
    load->failed += c->at_work;
    c->at_work = false;
    close(c->fd);
    if (enough(load)) {
        c->fd = -1;
        return;
    }
    open_connection(load, c);
    if (!begin(load, c))
        fail("send");
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    load->start = lh_mono_now();
    for (size_t i = 0; i < load->plan.connections && !enough(load); i++)
        if (!begin(load, &load->connections[i]))
            fail("send");
    while (!enough(load) || at_work(load) > 0) {
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 10000);
        if (count == 0) {
            fprintf(stderr, "http_load: no answer for 10 s\n");
            exit(1);
        }
        for (int i = 0; i < count; i++)
            on_event(load, events[i].data.ptr, events[i].events);
    }
}

/* ---- the result ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct load *load)
{
    double seconds = lh_mono_since_s(load->start);
    size_t count = load->done < LATENCIES_MAX ? (size_t)load->done : LATENCIES_MAX;
    qsort(load->latencies_us, count, sizeof(uint32_t), compare);
    struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&out);
    lh_json_object(&json);
    lh_json_ku64(&json, "requests", load->done);
    lh_json_ku64(&json, "failed", load->failed);
    lh_json_kf64(&json, "seconds", seconds);
    lh_json_kf64(&json, "per_second", (double)load->done / seconds);
    lh_json_ku64(&json, "p50_us", count ? load->latencies_us[count / 2] : 0);
    lh_json_ku64(&json, "p99_us", count ? load->latencies_us[count * 99 / 100] : 0);
    lh_json_ku64(&json, "max_us", count ? load->latencies_us[count - 1] : 0);
    lh_json_ku64(&json, "bytes_in", load->bytes_in);
    lh_json_ku64(&json, "bytes_out", load->bytes_out);
    lh_json_object_end(&json);
    printf("%s\n", out.data);
    lh_buf_deinit(&out);
}

static void prepare_body(struct plan *plan)
{
    plan->body_capacity = plan->body_bytes < BLOCK_BYTES ? (size_t)plan->body_bytes : BLOCK_BYTES;
    plan->body = lh_calloc(1, plan->body_capacity + 1);
    for (size_t i = 0; i < plan->body_capacity; i++)
        plan->body[i] = (char)('a' + i % 26);
    if (plan->credentials.access_key.len == 0)
        return;
    LH_AUTO_DIGEST struct lh_digest *sha256 = lh_digest_new(LH_DIGEST_SHA256);
    for (uint64_t left = plan->body_bytes, len; left > 0; left -= len) {
        len = left < plan->body_capacity ? left : plan->body_capacity;
        lh_digest_update(sha256, plan->body, (size_t)len);
    }
    uint8_t sum[LH_SHA256_SIZE];
    lh_digest_final(sha256, sum);
    lh_hex(sum, sizeof(sum), plan->body_sha256);
}

static void parse(int argc, char **argv, struct plan *plan)
{
    *plan = (struct plan){.method = "GET",
                          .target = "/health",
                          .connections = 1,
                          .seconds = 1,
                          .credentials = {.region = LH_STR("us-east-1"), .service = LH_STR("s3")},
                          .headers = LH_BUF_INIT(HEAD_MAX)};
    int option;
    while ((option = getopt(argc, argv, "p:t:m:c:n:s:b:k:S:H:")) != -1) {
        switch (option) {
        case 'p':
            plan->port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 't':
            plan->target = optarg;
            break;
        case 'm':
            plan->method = optarg;
            break;
        case 'c':
            plan->connections = strtoul(optarg, NULL, 10);
            break;
        case 'n':
            plan->requests = strtoull(optarg, NULL, 10);
            break;
        case 's':
            plan->seconds = strtod(optarg, NULL);
            break;
        case 'b':
            plan->body_bytes = strtoull(optarg, NULL, 10);
            break;
        case 'k':
            plan->keys = strtoull(optarg, NULL, 10);
            break;
        case 'S':
            plan->credentials.secret = lh_str_from(optarg);
            lh_str_next(&plan->credentials.secret, ':', &plan->credentials.access_key);
            break;
        case 'H':
            lh_buf_printf(&plan->headers, "%s\r\n", optarg);
            break;
        default:
            exit(2);
        }
    }
    if (plan->port == 0 || plan->connections == 0) {
        fprintf(stderr, "usage: http_load -p PORT [-t TARGET] [-m METHOD] [-c CONNECTIONS]"
                        " [-n REQUESTS | -s SECONDS] [-b BODY_BYTES] [-k KEYS]"
                        " [-S ACCESS_KEY:SECRET] [-H HEADER]...\n");
        exit(2);
    }
    prepare_body(plan);
}

int main(int argc, char **argv)
{
    struct load *load = lh_calloc(1, sizeof(*load));
    parse(argc, argv, &load->plan);
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->latencies_us = lh_calloc(LATENCIES_MAX, sizeof(uint32_t));
    load->connections = lh_calloc(load->plan.connections, sizeof(struct connection));
    for (size_t i = 0; i < load->plan.connections; i++) {
        load->connections[i].head_out = LH_BUF_INIT(HEAD_MAX);
        load->connections[i].line = LH_BUF_INIT(HEAD_MAX);
        open_connection(load, &load->connections[i]);
    }
    run(load);
    report(load);
    return load->failed > 0;
}
