#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "support/cmocka.h"

LH_TEST(nothing_is_something)
{
    LH_AUTO_FREE char *none = lh_malloc(0);
    LH_AUTO_FREE char *zero = lh_calloc(0, 8);
    LH_AUTO_FREE char *empty = lh_strndup(NULL, 0);
    LH_AUTO_FREE char *tried = lh_try_malloc(0, 8);
    assert_non_null(none);
    assert_non_null(zero);
    assert_non_null(tried);
    assert_string_equal(empty, "");
}

LH_TEST(copies_and_formats)
{
    LH_AUTO_FREE char *copy = lh_strdup("abc");
    LH_AUTO_FREE char *part = lh_strndup("abc", 2);
    LH_AUTO_FREE char *text = lh_asprintf("%s-%d", "x", 5);
    assert_string_equal(copy, "abc");
    assert_string_equal(part, "ab");
    assert_string_equal(text, "x-5");
}

LH_TEST(grow_doubles_and_keeps)
{
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 1000; count++) {
        numbers = lh_grow(numbers, &capacity, count + 1, sizeof(*numbers));
        assert_true(capacity > count);
        numbers[count] = (int)count;
    }
    assert_int_equal(capacity, 1024);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    free(numbers);
}

LH_TEST(try_malloc_fails_quietly)
{
    assert_null(lh_try_malloc(SIZE_MAX / 2, 3));
}

LH_TEST(take_moves_out)
{
    LH_AUTO_FREE char *owner = lh_strdup("x");
    char *taken = LH_TAKE(owner);
    assert_null(owner);
    assert_string_equal(taken, "x");
    free(taken);
}

LH_TEST(cleanup_closes_and_keeps_errno)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int number = fd;
    errno = EBUSY;
    lh_cleanup_fd(&fd);
    assert_int_equal(errno, EBUSY);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(number, F_GETFD), -1);
    lh_cleanup_fd(&fd);
}

static void overflow_in_grow(void)
{
    size_t capacity = 8;
    free(lh_grow(NULL, &capacity, SIZE_MAX / 2, 16));
}

static void failed_check(void)
{
    LH_CHECK(1 + 1 == 3);
}

/* Runs `run` in a child; whether it aborted and said `text` on stderr. */
static void assert_aborts(void (*run)(void), const char *text)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        run();
        _exit(0);
    }
    close(ends[1]);
    char said[4096] = "";
    size_t len = 0;
    for (ssize_t got; (got = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0;)
        len += (size_t)got;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, text));
}

LH_TEST(broken_checks_abort)
{
    assert_aborts(failed_check, "check failed: 1 + 1 == 3");
    assert_aborts(overflow_in_grow, "check failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_something),   cmocka_unit_test(copies_and_formats),
        cmocka_unit_test(grow_doubles_and_keeps), cmocka_unit_test(try_malloc_fails_quietly),
        cmocka_unit_test(take_moves_out),         cmocka_unit_test(cleanup_closes_and_keeps_errno),
        cmocka_unit_test(broken_checks_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
