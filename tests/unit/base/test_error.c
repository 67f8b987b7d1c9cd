#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "support/cmocka.h"

LH_TEST(fail_fills_all_of_it)
{
    struct lh_error err = {.line = 7, .column = 3, .hint = "old", .excerpt = "old", .sys_errno = 5};
    assert_int_equal(lh_fail(&err, LH_NOT_FOUND, "no %s at %d", "thing", 9), LH_NOT_FOUND);
    assert_int_equal(err.code, LH_NOT_FOUND);
    assert_string_equal(err.message, "no thing at 9");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.excerpt, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(err.column, 0);
    assert_int_equal(err.sys_errno, 0);
}

LH_TEST(arguments_may_point_into_the_error)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_fail(&err, LH_IO, "first"), LH_IO);
    assert_int_equal(lh_fail(&err, LH_BUSY, "again: %s", err.message), LH_BUSY);
    assert_string_equal(err.message, "again: first");
    assert_int_equal(lh_fail_context(&err, "%s", err.message), LH_BUSY);
    assert_string_equal(err.message, "again: first: again: first");
}

LH_TEST(long_messages_are_cut_at_a_character)
{
    /* Of each length of characters, at each offset, so that each possible cut is met. */
    static const char *const characters[] = {"a", "\u00e9", "\u20ac", "\U0001F600"};
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        for (size_t offset = 0; offset < 4; offset++) {
            char text[2 * LH_ERROR_MESSAGE_MAX] = "xxxx";
            size_t len = offset;
            while (len + 4 < sizeof(text)) {
                memcpy(text + len, characters[i], strlen(characters[i]));
                len += strlen(characters[i]);
            }
            text[len] = '\0';
            struct lh_error err = LH_ERROR_INIT;
            assert_int_equal(lh_fail(&err, LH_IO, "%s", text), LH_IO);
            assert_true(lh_utf8_valid(lh_str_from(err.message)));
            assert_in_range(strlen(err.message), LH_ERROR_MESSAGE_MAX - 4,
                            LH_ERROR_MESSAGE_MAX - 1);
            assert_int_equal(lh_hint(&err, "%s", text), LH_IO);
            assert_true(lh_utf8_valid(lh_str_from(err.hint)));
            assert_int_equal(lh_fail_context(&err, "%s", text), LH_IO);
            assert_true(lh_utf8_valid(lh_str_from(err.message)));
        }
    }
}

LH_TEST(errno_picks_the_code)
{
    static const struct {
        int sys_errno;
        lh_code code;
    } cases[] = {
        {ENOSPC, LH_STORAGE_FULL},
        {EDQUOT, LH_STORAGE_FULL},
        {ENOENT, LH_NOT_FOUND},
        {ENOMEM, LH_NO_MEMORY},
        {EIO, LH_IO},
        {EACCES, LH_IO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lh_error err = LH_ERROR_INIT;
        errno = cases[i].sys_errno;
        assert_int_equal(lh_fail_errno(&err, "cannot open %s", "x"), cases[i].code);
        assert_int_equal(err.sys_errno, cases[i].sys_errno);
        assert_non_null(strstr(err.message, "cannot open x: "));
    }
}

LH_TEST(context_and_hint_keep_the_rest)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_fail(&err, LH_BAD_DATA, "bad value"), LH_BAD_DATA);
    err.line = 12;
    assert_int_equal(lh_hint(&err, "try %d", 4), LH_BAD_DATA);
    assert_int_equal(lh_fail_context(&err, "line %d", 12), LH_BAD_DATA);
    assert_string_equal(err.message, "line 12: bad value");
    assert_string_equal(err.hint, "try 4");
    assert_int_equal(err.line, 12);
}

LH_TEST(table_is_consistent)
{
    static const char *const words[] = {
#define LH_ERROR(name, status, word, title) word,
#include "base/error.def"
#undef LH_ERROR
    };
    size_t count = sizeof(words) / sizeof(words[0]);
    for (size_t i = 0; i < count; i++) {
        lh_code code = (lh_code)(i + 1);
        assert_string_equal(lh_code_word(code), words[i]);
        assert_int_equal(lh_code_from_word(words[i], strlen(words[i])),
                         code); /* so: no word twice */
        assert_in_range(lh_code_status(code), 400, 599);
        assert_true(strlen(lh_code_title(code)) > 0);
        for (const char *c = words[i]; *c; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
    }
    assert_int_equal(lh_code_from_word("no_such_word", 12), LH_INTERNAL);
    assert_int_equal(lh_code_from_word("", 0), LH_INTERNAL);
}

LH_TEST(insides_are_not_public)
{
    assert_false(lh_code_is_public(LH_INTERNAL));
    assert_false(lh_code_is_public(LH_IO));
    assert_true(lh_code_is_public(LH_INVALID));
    assert_true(lh_code_is_public(LH_STORAGE_FULL));
    assert_true(lh_code_is_public(LH_CORRUPT));
}

static lh_code twice(bool fail_first, int *steps, struct lh_error *err)
{
    if (fail_first)
        LH_TRY(lh_fail(err, LH_BUSY, "no"));
    *steps += 1;
    return LH_OK;
}

LH_TEST(try_returns_at_the_first_failure)
{
    struct lh_error err = LH_ERROR_INIT;
    int steps = 0;
    assert_int_equal(twice(true, &steps, &err), LH_BUSY);
    assert_int_equal(steps, 0);
    assert_int_equal(twice(false, &steps, &err), LH_OK);
    assert_int_equal(steps, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_all_of_it),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(long_messages_are_cut_at_a_character),
        cmocka_unit_test(errno_picks_the_code),
        cmocka_unit_test(context_and_hint_keep_the_rest),
        cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(insides_are_not_public),
        cmocka_unit_test(try_returns_at_the_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
