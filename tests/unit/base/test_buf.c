#include "base/buf.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

static void assert_content(const struct lh_buf *buf, const char *expected)
{
    lh_buf_check(buf);
    assert_int_equal(buf->len, strlen(expected));
    assert_memory_equal(lh_buf_str(buf).ptr, expected, buf->len);
}

LH_TEST(zero_state_is_usable)
{
    struct lh_buf buf = LH_BUF_INIT(10);
    assert_content(&buf, "");
    lh_buf_consume(&buf, 0);
    lh_buf_append(&buf, NULL, 0);
    assert_null(buf.data);
    lh_buf_reset(&buf);
    lh_buf_deinit(&buf);
    lh_buf_deinit(&buf);
    assert_content(&buf, "");
}

LH_TEST(every_way_of_appending)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(1000);
    lh_buf_append(&buf, "ab", 2);
    lh_buf_append_str(&buf, LH_STR("cd"));
    lh_buf_append_cstr(&buf, "ef");
    lh_buf_append_char(&buf, 'g');
    lh_buf_printf(&buf, "%d-%s", 7, "x");
    assert_content(&buf, "abcdefg7-x");
    char *room = lh_buf_reserve(&buf, 5);
    assert_non_null(room);
    memcpy(room, "YZ", 2);
    lh_buf_commit(&buf, 2);
    assert_content(&buf, "abcdefg7-xYZ");
}

LH_TEST(the_maximum_is_exact)
{
    for (size_t max = 0; max < 200; max++) {
        struct lh_buf buf = LH_BUF_INIT(max);
        for (size_t i = 0; i < max; i++) {
            lh_buf_append_char(&buf, 'x');
            lh_buf_check(&buf);
        }
        assert_int_equal(buf.len, max);
        assert_false(lh_buf_overflowed(&buf));
        lh_buf_append_char(&buf, 'x');
        lh_buf_check(&buf);
        assert_int_equal(buf.len, max);
        assert_true(lh_buf_overflowed(&buf));
        lh_buf_deinit(&buf);
    }
}

LH_TEST(overflow_drops_and_stays)
{
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(4);
    lh_buf_append_cstr(&buf, "abc");
    lh_buf_append_cstr(&buf, "de");
    assert_content(&buf, "abc");
    lh_buf_append_char(&buf, 'd'); /* it would fit, but a gap before it would make it wrong */
    assert_content(&buf, "abc");
    assert_null(lh_buf_reserve(&buf, 0));
    assert_true(lh_buf_overflowed(&buf));
    lh_buf_reset(&buf);
    assert_false(lh_buf_overflowed(&buf));
    lh_buf_printf(&buf, "%s", "12345");
    assert_true(lh_buf_overflowed(&buf));
    assert_content(&buf, "");
    assert_null(lh_buf_reserve(&buf, SIZE_MAX));
}

LH_TEST(printf_of_every_length)
{
    char text[600];
    memset(text, 'p', sizeof(text));
    for (int len = 0; len < 600; len += 7) {
        LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(500);
        lh_buf_append_char(&buf, '>');
        lh_buf_printf(&buf, "%.*s", len, text);
        lh_buf_check(&buf);
        assert_int_equal(lh_buf_overflowed(&buf), len > 499);
        assert_int_equal(buf.len, len > 499 ? 1 : len + 1);
    }
}

LH_TEST(take_leaves_an_empty_buffer)
{
    struct lh_buf buf = LH_BUF_INIT(10);
    char *empty = lh_buf_take(&buf);
    assert_string_equal(empty, "");
    free(empty);
    lh_buf_append_cstr(&buf, "abc");
    char *text = lh_buf_take(&buf);
    assert_string_equal(text, "abc");
    free(text);
    assert_content(&buf, "");
    lh_buf_append_cstr(&buf, "again");
    assert_content(&buf, "again");
    lh_buf_deinit(&buf);
}

/* Random operations against a model: an array with a length. */
LH_TEST(behaves_like_its_model)
{
    enum { MAX = 300, STEPS = 20000 };
    struct lh_random random = lh_random_start();
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT(MAX);
    char model[MAX + 1];
    size_t model_len = 0;
    bool overflowed = false;
    for (int step = 0; step < STEPS; step++) {
        size_t len = lh_random_below(&random, 40);
        char bytes[40];
        lh_random_fill(&random, bytes, len);
        switch (lh_random_below(&random, 8)) {
        case 0:
            len = len < model_len ? len : model_len;
            lh_buf_consume(&buf, len);
            memmove(model, model + len, model_len - len);
            model_len -= len;
            break;
        case 1:
            if (overflowed || step % 16 == 0) {
                lh_buf_reset(&buf);
                model_len = 0;
                overflowed = false;
            }
            break;
        default:
            lh_buf_append(&buf, bytes, len);
            overflowed |= len > MAX - model_len;
            if (!overflowed) {
                memcpy(model + model_len, bytes, len);
                model_len += len;
            }
        }
        lh_buf_check(&buf);
        assert_int_equal(buf.len, model_len);
        assert_int_equal(lh_buf_overflowed(&buf), overflowed);
        if (model_len > 0)
            assert_memory_equal(buf.data, model, model_len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_state_is_usable),   cmocka_unit_test(every_way_of_appending),
        cmocka_unit_test(the_maximum_is_exact),   cmocka_unit_test(overflow_drops_and_stays),
        cmocka_unit_test(printf_of_every_length), cmocka_unit_test(take_leaves_an_empty_buffer),
        cmocka_unit_test(behaves_like_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
