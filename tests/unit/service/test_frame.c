/* Frames: what goes in comes out, in any pieces; a peer that is gone, silent or lying is an error.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/thread.h"
#include "service/worker.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    int a, b;
};

static int setup(void **state)
{
    struct pair *pair = lh_calloc(1, sizeof(*pair));
    *state = pair;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, (int *)pair);
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    if (pair->a >= 0)
        close(pair->a);
    close(pair->b);
    free(pair);
    return 0;
}

static void test_frames_keep_type_and_bytes(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    assert_int_equal(lh_frame_send(pair->a, 7, "hello", 5, &err), LH_OK);
    assert_int_equal(lh_frame_send(pair->a, 8, NULL, 0, &err), LH_OK);
    assert_int_equal(lh_frame_send(pair->a, 9, "a\0b", 3, &err), LH_OK);

    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err), LH_OK);
    assert_int_equal(type, 7);
    assert_true(lh_str_is(lh_buf_str(&payload), "hello"));
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err), LH_OK);
    assert_int_equal(type, 8);
    assert_int_equal(payload.len, 0);
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err), LH_OK);
    assert_int_equal(payload.len, 3);
    assert_memory_equal(payload.data, "a\0b", 3);
}

struct sender {
    int fd;
    char *bytes;
    size_t len;
    lh_code code;
};

static void *send_large(void *arg)
{
    struct sender *sender = arg;
    struct lh_error err = LH_ERROR_INIT;
    sender->code = lh_frame_send(sender->fd, 1, sender->bytes, sender->len, &err);
    return NULL;
}

/* Larger than the socket's buffer, so both sides see partial transfers. */
static void test_large_frame(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    struct sender sender = {.fd = pair->a, .len = LH_FRAME_MAX};
    sender.bytes = lh_malloc(sender.len);
    for (size_t i = 0; i < sender.len; i++)
        sender.bytes[i] = (char)(i * 31 >> 3);
    pthread_t thread;
    assert_int_equal(lh_thread_start(&thread, "sender", send_large, &sender, &err), LH_OK);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, lh_deadline_in_ms(30000), &type, &payload, &err),
                     LH_OK);
    pthread_join(thread, NULL);
    assert_int_equal(sender.code, LH_OK);
    assert_int_equal(payload.len, sender.len);
    assert_memory_equal(payload.data, sender.bytes, sender.len);
    free(sender.bytes);
}

static void test_too_large_is_refused(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_frame_send(pair->a, 1, "", (size_t)LH_FRAME_MAX + 1, &err), LH_TOO_LARGE);

    const uint32_t lie[2] = {LH_FRAME_MAX + 1u, 1};
    assert_int_equal(write(pair->a, lie, sizeof(lie)), (ssize_t)sizeof(lie));
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err), LH_CORRUPT);
}

static void test_receiver_may_expect_less(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_frame_send(pair->a, 1, "0123456789", 10, &err), LH_OK);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(4);
    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err),
                     LH_TOO_LARGE);
}

static void test_deadline(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(100);
    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, lh_deadline_in_ms(20), &type, &payload, &err),
                     LH_TIMEOUT);
    /* Half a header, then silence. */
    assert_int_equal(write(pair->a, "\1\0\0\0", 4), 4);
    assert_int_equal(lh_frame_receive(pair->b, lh_deadline_in_ms(20), &type, &payload, &err),
                     LH_TIMEOUT);
}

static void test_peer_gone(void **state)
{
    struct pair *pair = *state;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(write(pair->a, "\5\0\0\0\1\0\0\0ab", 10), 10);
    close(pair->a);
    pair->a = -1;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(100);
    uint32_t type = 0;
    assert_int_equal(lh_frame_receive(pair->b, LH_NO_DEADLINE, &type, &payload, &err),
                     LH_CANCELLED);
    assert_int_equal(lh_frame_send(pair->b, 1, "x", 1, &err), LH_CANCELLED);
}

static void test_errors_travel(void **state)
{
    (void)state;
    struct lh_error failure = LH_ERROR_INIT;
    LH_IGNORE(lh_fail(&failure, LH_INVALID_SQL, "no column '%s'", "x"), "only made here");
    LH_IGNORE(lh_hint(&failure, "did you mean y?"), "only made here");
    failure.line = 3;
    failure.column = 14;
    failure.sys_errno = 5;
    snprintf(failure.excerpt, sizeof(failure.excerpt), "SELECT x\n       ^");
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_frame_put_error(&payload, &failure);

    struct lh_error back = LH_ERROR_INIT;
    lh_frame_get_error(lh_buf_str(&payload), &back);
    assert_int_equal(back.code, LH_INVALID_SQL);
    assert_string_equal(back.message, "no column 'x'");
    assert_string_equal(back.hint, "did you mean y?");
    assert_string_equal(back.excerpt, failure.excerpt);
    assert_int_equal(back.line, 3);
    assert_int_equal(back.column, 14);
    assert_int_equal(back.sys_errno, 5);

    /* Cut anywhere, it is still an error that can be shown. */
    for (size_t len = 0; len < payload.len; len++) {
        lh_frame_get_error(lh_str_of(payload.data, len), &back);
        assert_int_not_equal(back.code, LH_OK);
        assert_true(strlen(back.message) < sizeof(back.message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frames_keep_type_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receiver_may_expect_less, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_gone, setup, teardown),
        cmocka_unit_test(test_errors_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
