/*
 * Answers that come before the request's body has ended: 413, 507, 408 and whatever a handler says
 * without reading on.
 *
 * libmicrohttpd takes no response while it receives a body, and closing the socket under a client
 * that still sends would reset the connection and take the answer with it. So the answer is written
 * to the socket here (nothing else is being sent at that time), our side is shut, and what the
 * client still sends is read and dropped until it stops or LH_HTTP_LINGER_MS are over (the sweeper
 * sees to that).
 */
#include "base/buf.h"
#include "base/clock.h"
#include "net/http_server_priv.h"

#include <sys/socket.h>

static void append_field(struct lh_buf *out, lh_str name, lh_str value)
{
    lh_buf_append_str(out, name);
    lh_buf_append_cstr(out, ": ");
    lh_buf_append_str(out, value);
    lh_buf_append_cstr(out, "\r\n");
}

static void write_answer(const struct lh_http_exchange *x, struct lh_buf *out)
{
    const struct lh_http_answer *answer = &x->answer;
    char date[LH_HTTP_DATE_SIZE];
    lh_format_http_date(lh_now_ms(), date);
    lh_buf_printf(out, "HTTP/1.1 %d %s\r\n", answer->status, lh_http_status_text(answer->status));
    append_field(out, LH_STR("Date"), lh_str_from(date));
    append_field(out, LH_STR("Connection"), LH_STR("close"));
    for (const struct lh_http_field *field = answer->fields; field; field = field->next)
        append_field(out, field->name, field->value);
    lh_buf_printf(out, "Content-Length: %zu\r\n\r\n", answer->body_len);
    if (x->method != LH_HTTP_HEAD)
        lh_buf_append(out, answer->body, answer->body_len);
}

static bool short_rest(const struct lh_http_exchange *x)
{
    return x->body_length >= 0 &&
           (uint64_t)x->body_length - x->body_received <= LH_HTTP_SMALL_BYTES;
}

void lh_http_answer_early(struct lh_http_exchange *x)
{
    enum { HEAD_MAX = 64 << 10 };
    x->discard = true;
    if (short_rest(x) && !x->slow && !x->gone)
        return;
    struct lh_buf out = LH_BUF_INIT(x->answer.body_len + HEAD_MAX);
    write_answer(x, &out);
    /* One try: the socket's buffer is empty, and who does not read gets a part, visibly cut. */
    bool whole = lh_http_mhd_send_last(x, out.data, out.len);
    shutdown(x->fd, whole ? SHUT_WR : SHUT_RDWR);
    lh_buf_deinit(&out);
    x->phase = LH_PHASE_LINGER;
    x->linger_until = lh_deadline_in_ms(LH_HTTP_LINGER_MS);
}
