#include "support/raw_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "support/cmocka.h"

enum { WAIT_MS = 60 * 1000, RECEIVED_MAX = 1 << 30 };

void lh_raw_open(struct lh_raw *raw, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw->in = LH_BUF_INIT(RECEIVED_MAX);
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    LH_CHECK(raw->fd >= 0);
    LH_CHECK(connect(raw->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

void lh_raw_close(struct lh_raw *raw)
{
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
    lh_buf_deinit(&raw->in);
}

bool lh_raw_send_bytes(struct lh_raw *raw, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(raw->fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

void lh_raw_send(struct lh_raw *raw, const char *format, ...)
{
    struct lh_buf text = LH_BUF_INIT(1 << 20);
    va_list args;
    va_start(args, format);
    lh_buf_vprintf(&text, format, args);
    va_end(args);
    lh_raw_send_bytes(raw, text.data, text.len);
    lh_buf_deinit(&text);
}

/* 1: more bytes are there; 0: closed or reset; -1: nothing within the time. */
static int receive_more(struct lh_raw *raw, int64_t within_ms)
{
    struct pollfd wait = {.fd = raw->fd, .events = POLLIN};
    if (poll(&wait, 1, (int)within_ms) == 0)
        return -1;
    char *at = lh_buf_reserve(&raw->in, 64 << 10);
    ssize_t got = recv(raw->fd, at, 64 << 10, 0);
    if (got <= 0)
        return 0;
    lh_buf_commit(&raw->in, (size_t)got);
    return 1;
}

bool lh_raw_closes(struct lh_raw *raw, int64_t within_ms)
{
    return raw->in.len == 0 && receive_more(raw, within_ms) == 0;
}

bool lh_raw_ends(struct lh_raw *raw, int64_t within_ms)
{
    lh_deadline until = lh_deadline_in_ms(within_ms);
    int more;
    do
        more = receive_more(raw, lh_deadline_left_ms(until));
    while (more == 1);
    return more == 0;
}

bool lh_raw_hears(struct lh_raw *raw, int64_t within_ms)
{
    return raw->in.len > 0 || receive_more(raw, within_ms) == 1;
}

/* Until `in` holds at least len bytes; false when the peer closes before. */
static bool need(struct lh_raw *raw, size_t len)
{
    while (raw->in.len < len) {
        int more = receive_more(raw, WAIT_MS);
        assert_int_not_equal(more, -1);
        if (more == 0)
            return false;
    }
    return true;
}

/* The length of the text up to and with `mark`; 0 when the peer closes before. */
static size_t need_mark(struct lh_raw *raw, const char *mark)
{
    for (;;) {
        const char *found =
            raw->in.len > 0 ? memmem(raw->in.data, raw->in.len, mark, strlen(mark)) : NULL;
        if (found != NULL)
            return (size_t)(found - raw->in.data) + strlen(mark);
        if (!need(raw, raw->in.len + 1))
            return 0;
    }
}

static void take(struct lh_raw *raw, size_t len, struct lh_buf *out)
{
    lh_buf_append(out, raw->in.data, len);
    lh_buf_consume(&raw->in, len);
}

/* As much of the next `len` bytes as comes; false when it is less. */
static bool take_exactly(struct lh_raw *raw, size_t len, struct lh_buf *out)
{
    bool whole = need(raw, len);
    take(raw, whole ? len : raw->in.len, out);
    return whole;
}

static bool take_chunks(struct lh_raw *raw, struct lh_buf *out)
{
    for (;;) {
        size_t line = need_mark(raw, "\r\n");
        if (line == 0)
            return false;
        size_t len = strtoul(raw->in.data, NULL, 16);
        lh_buf_consume(&raw->in, line);
        if (!take_exactly(raw, len, out) || !need(raw, 2))
            return false;
        lh_buf_consume(&raw->in, 2);
        if (len == 0)
            return true;
    }
}

void lh_raw_receive(struct lh_raw *raw, bool head_only, struct lh_raw_answer *ret_answer)
{
    *ret_answer =
        (struct lh_raw_answer){.head = LH_BUF_INIT(1 << 20), .body = LH_BUF_INIT(RECEIVED_MAX)};
    size_t head = need_mark(raw, "\r\n\r\n");
    if (head == 0)
        return;
    take(raw, head, &ret_answer->head);
    assert_memory_equal(ret_answer->head.data, "HTTP/1.1 ", 9);
    ret_answer->status = (int)strtol(ret_answer->head.data + 9, NULL, 10);
    int status = ret_answer->status;
    ret_answer->chunked = strcmp(lh_raw_header(ret_answer, "Transfer-Encoding"), "chunked") == 0;
    if (head_only || status < 200 || status == 204 || status == 304)
        return;
    const char *length = lh_raw_header(ret_answer, "Content-Length");
    if (ret_answer->chunked) {
        ret_answer->cut = !take_chunks(raw, &ret_answer->body);
    } else if (length[0] != '\0') {
        ret_answer->cut = !take_exactly(raw, strtoul(length, NULL, 10), &ret_answer->body);
    } else {
        while (need(raw, raw->in.len + 1))
            ;
        take(raw, raw->in.len, &ret_answer->body);
    }
}

void lh_raw_answer_deinit(struct lh_raw_answer *answer)
{
    lh_buf_deinit(&answer->head);
    lh_buf_deinit(&answer->body);
}

const char *lh_raw_header(const struct lh_raw_answer *answer, const char *name)
{
    static _Thread_local char value[1024];
    lh_str rest = lh_buf_str(&answer->head);
    lh_str line;
    value[0] = '\0';
    while (lh_str_next(&rest, '\n', &line)) {
        lh_str key;
        if (!lh_str_next(&line, ':', &key) || !lh_str_eq_nocase(key, lh_str_from(name)))
            continue;
        line = lh_str_trim(line);
        if (lh_str_ends(line, "\r"))
            line.len--;
        assert_true(line.len < sizeof(value));
        memcpy(value, line.ptr, line.len);
        value[line.len] = '\0';
    }
    return value;
}

void lh_raw_exchange(uint16_t port, const char *request, struct lh_raw_answer *ret_answer)
{
    struct lh_raw raw;
    lh_raw_open(&raw, port);
    lh_raw_send_bytes(&raw, request, strlen(request));
    lh_raw_receive(&raw, strncmp(request, "HEAD ", 5) == 0, ret_answer);
    lh_raw_close(&raw);
}
