/* Frames over a socket pair: an eight-byte header (length, type), then the payload. */
#include "service/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct frame_header {
    uint32_t len;
    uint32_t type;
};

/* ---- sending ---- */

lh_code lh_frame_send(int fd, uint32_t type, const void *bytes, size_t len, struct lh_error *err)
{
    if (len > LH_FRAME_MAX)
        return lh_fail(err, LH_TOO_LARGE, "a frame of %zu bytes: at most %d are possible", len,
                       LH_FRAME_MAX);
    struct frame_header header = {.len = (uint32_t)len, .type = type};
    size_t total = sizeof(header) + len;
    for (size_t sent = 0; sent < total;) {
        struct iovec parts[2];
        int count = 0;
        if (sent < sizeof(header))
            parts[count++] = (struct iovec){(char *)&header + sent, sizeof(header) - sent};
        size_t skip = sent > sizeof(header) ? sent - sizeof(header) : 0;
        if (skip < len) {
            /* sendmsg does not write through the pointer */
            void *rest = (void *)((uintptr_t)bytes + skip);
            parts[count++] = (struct iovec){rest, len - skip};
        }
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t done = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (done >= 0)
            sent += (size_t)done;
        else if (errno == EPIPE || errno == ECONNRESET)
            return lh_fail(err, LH_CANCELLED, "the other side of the frames is gone");
        else if (errno != EINTR)
            return lh_fail_errno(err, "cannot send a frame");
    }
    return LH_OK;
}

/* ---- receiving ---- */

static lh_code wait_readable(int fd, lh_deadline deadline, struct lh_error *err)
{
    for (;;) {
        if (lh_deadline_passed(deadline))
            return lh_fail(err, LH_TIMEOUT, "no frame came in time");
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int ready = poll(&poll_fd, 1, lh_deadline_left_ms(deadline));
        if (ready > 0)
            return LH_OK;
        if (ready < 0 && errno != EINTR)
            return lh_fail_errno(err, "cannot wait for a frame");
    }
}

/* Exactly `len` bytes. Asks first and waits only when nothing is there: a busy stream of frames
 * costs no poll. */
static lh_code receive_all(int fd, lh_deadline deadline, void *out, size_t len,
                           struct lh_error *err)
{
    for (size_t got = 0; got < len;) {
        ssize_t count = recv(fd, (char *)out + got, len - got, MSG_DONTWAIT);
        if (count > 0)
            got += (size_t)count;
        else if (count == 0 || errno == ECONNRESET)
            return lh_fail(err, LH_CANCELLED, "the other side of the frames is gone");
        else if (errno == EAGAIN)
            LH_TRY(wait_readable(fd, deadline, err));
        else if (errno != EINTR)
            return lh_fail_errno(err, "cannot receive a frame");
    }
    return LH_OK;
}

lh_code lh_frame_receive(int fd, lh_deadline deadline, uint32_t *ret_type, struct lh_buf *payload,
                         struct lh_error *err)
{
    struct frame_header header;
    lh_buf_reset(payload);
    LH_TRY(receive_all(fd, deadline, &header, sizeof(header), err));
    if (header.len > LH_FRAME_MAX)
        return lh_fail(err, LH_CORRUPT, "a frame says it has %u bytes: at most %d are possible",
                       header.len, LH_FRAME_MAX);
    if (header.len > 0) {
        char *room = lh_buf_reserve(payload, header.len);
        if (room == NULL)
            return lh_fail(err, LH_TOO_LARGE, "a frame of %u bytes where at most %zu are expected",
                           header.len, payload->max);
        LH_TRY(receive_all(fd, deadline, room, header.len, err));
        lh_buf_commit(payload, header.len);
    }
    *ret_type = header.type;
    return LH_OK;
}

/* ---- errors ---- */

/*
 * u64 line, u64 column, i32 errno, then four texts, each ended by a NUL: word, message, hint,
 * excerpt.
 */
struct error_head {
    uint64_t line, column;
    int32_t sys_errno;
    uint32_t zero; /* no padding with unset bytes */
};

void lh_frame_put_error(struct lh_buf *payload, const struct lh_error *failure)
{
    const struct error_head head = {
        .line = failure->line, .column = failure->column, .sys_errno = failure->sys_errno};
    const char *const texts[] = {lh_code_word(failure->code), failure->message, failure->hint,
                                 failure->excerpt};
    lh_buf_append(payload, &head, sizeof(head));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        lh_buf_append(payload, texts[i], strlen(texts[i]) + 1);
}

/* The next text of the payload, cut to fit; "" when there is none. */
static void get_text(lh_str *rest, char *out, size_t size)
{
    lh_str text = LH_STR_NONE;
    if (!lh_str_next(rest, '\0', &text))
        text = LH_STR("");
    size_t len = text.len < size ? text.len : size - 1;
    memcpy(out, text.ptr, len);
    out[len] = '\0';
}

void lh_frame_get_error(lh_str payload, struct lh_error *ret_failure)
{
    struct error_head head;
    if (payload.len < sizeof(head)) {
        LH_IGNORE(lh_fail(ret_failure, LH_INTERNAL, "a worker sent an error that cannot be read"),
                  "the failure is the result");
        return;
    }
    memcpy(&head, payload.ptr, sizeof(head));
    lh_str rest = lh_str_skip(payload, sizeof(head));
    char word[64];
    *ret_failure = LH_ERROR_INIT;
    get_text(&rest, word, sizeof(word));
    get_text(&rest, ret_failure->message, sizeof(ret_failure->message));
    get_text(&rest, ret_failure->hint, sizeof(ret_failure->hint));
    get_text(&rest, ret_failure->excerpt, sizeof(ret_failure->excerpt));
    ret_failure->code = lh_code_from_word(word, strlen(word));
    ret_failure->sys_errno = head.sys_errno;
    ret_failure->line = head.line;
    ret_failure->column = head.column;
}
