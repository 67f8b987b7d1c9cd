#include "net/http_stream.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

LH_TEST(fills_and_empties)
{
    struct lh_http_stream stream;
    const char *bytes = NULL;
    char *space = NULL;
    lh_http_stream_init(&stream, 8);
    assert_int_equal(lh_http_stream_bytes(&stream, &bytes), 0);
    assert_null(stream.data); /* memory comes when it is opened */
    assert_true(lh_http_stream_open(&stream));
    assert_int_equal(lh_http_stream_space(&stream, &space), 8);
    memcpy(space, "abcdef", 6);
    lh_http_stream_commit(&stream, 6);
    assert_false(lh_http_stream_roomy(&stream));
    assert_int_equal(lh_http_stream_bytes(&stream, &bytes), 6);
    assert_memory_equal(bytes, "abcdef", 6);
    lh_http_stream_consume(&stream, 4);
    assert_true(lh_http_stream_roomy(&stream));
    assert_int_equal(lh_http_stream_space(&stream, &space), 2); /* to the end of the memory */
    memcpy(space, "gh", 2);
    lh_http_stream_commit(&stream, 2);
    assert_int_equal(lh_http_stream_space(&stream, &space), 4); /* and round it */
    memcpy(space, "ijkl", 4);
    lh_http_stream_commit(&stream, 4);
    assert_int_equal(lh_http_stream_space(&stream, &space), 0);
    lh_http_stream_check(&stream);
    assert_int_equal(lh_http_stream_bytes(&stream, &bytes), 4);
    assert_memory_equal(bytes, "efgh", 4);
    lh_http_stream_consume(&stream, 4);
    assert_int_equal(lh_http_stream_bytes(&stream, &bytes), 4);
    assert_memory_equal(bytes, "ijkl", 4);
    lh_http_stream_consume(&stream, 4);
    assert_int_equal(lh_http_stream_bytes(&stream, &bytes), 0);
    lh_http_stream_deinit(&stream);
}

/* Random writes and reads against a plain count: what goes in comes out, in order. */
LH_TEST(any_sequence_keeps_the_bytes)
{
    struct lh_random random = lh_random_start();
    for (size_t capacity = 1; capacity < 40; capacity++) {
        struct lh_http_stream stream;
        uint64_t written = 0, read = 0;
        lh_http_stream_init(&stream, capacity);
        assert_true(lh_http_stream_open(&stream));
        for (int i = 0; i < 2000; i++) {
            char *space = NULL;
            const char *bytes = NULL;
            size_t len = lh_http_stream_space(&stream, &space);
            assert_int_equal(len > 0, written - read < capacity);
            len = (size_t)lh_random_below(&random, len + 1);
            for (size_t j = 0; j < len; j++)
                space[j] = (char)written++;
            lh_http_stream_commit(&stream, len);
            lh_http_stream_check(&stream);
            len = lh_http_stream_bytes(&stream, &bytes);
            assert_int_equal(len > 0, written > read);
            len = (size_t)lh_random_below(&random, len + 1);
            for (size_t j = 0; j < len; j++)
                assert_int_equal(bytes[j], (char)read++);
            lh_http_stream_consume(&stream, len);
            lh_http_stream_check(&stream);
        }
        lh_http_stream_deinit(&stream);
    }
}

struct pipe_ends {
    struct lh_http_stream stream;
    pthread_mutex_t mutex;
};

enum { PIPE_BYTES = 1 << 20 };

static void *write_side(void *arg)
{
    struct pipe_ends *ends = arg;
    for (size_t written = 0; written < PIPE_BYTES;) {
        char *space = NULL;
        pthread_mutex_lock(&ends->mutex);
        size_t len = lh_http_stream_space(&ends->stream, &space);
        pthread_mutex_unlock(&ends->mutex);
        for (size_t i = 0; i < len; i++) /* without the lock: the region is the writer's */
            space[i] = (char)(written + i);
        pthread_mutex_lock(&ends->mutex);
        lh_http_stream_commit(&ends->stream, len);
        pthread_mutex_unlock(&ends->mutex);
        written += len;
    }
    return NULL;
}

LH_TEST(regions_need_no_lock)
{
    struct pipe_ends ends;
    lh_http_stream_init(&ends.stream, 999);
    assert_true(lh_http_stream_open(&ends.stream));
    pthread_mutex_init(&ends.mutex, NULL);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_side, &ends), 0);
    for (size_t read = 0; read < PIPE_BYTES;) {
        const char *bytes = NULL;
        pthread_mutex_lock(&ends.mutex);
        size_t len = lh_http_stream_bytes(&ends.stream, &bytes);
        pthread_mutex_unlock(&ends.mutex);
        bool same = true;
        for (size_t i = 0; i < len; i++)
            same = same && bytes[i] == (char)(read + i);
        assert_true(same);
        pthread_mutex_lock(&ends.mutex);
        lh_http_stream_consume(&ends.stream, len);
        pthread_mutex_unlock(&ends.mutex);
        read += len;
    }
    pthread_join(writer, NULL);
    pthread_mutex_destroy(&ends.mutex);
    lh_http_stream_deinit(&ends.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_empties),
        cmocka_unit_test(any_sequence_keeps_the_bytes),
        cmocka_unit_test(regions_need_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
