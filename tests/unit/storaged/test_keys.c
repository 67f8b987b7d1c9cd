#include "storaged/storaged.h"

#include "unit/storaged/sample.h"

static lh_code check(const char *key, size_t len)
{
    struct lh_error err = LH_ERROR_INIT;
    return lh_store_check_key(lh_str_of(key, len), &err);
}

LH_TEST(which_keys_are_possible)
{
    static const struct {
        lh_str key;
        lh_code code;
    } cases[] = {
        {LH_STR("a"), LH_OK},
        {LH_STR("/"), LH_OK},
        {LH_STR("//a//"), LH_OK},
        {LH_STR("../../etc/passwd"), LH_OK},
        {LH_STR("."), LH_OK},
        {LH_STR(" \t\r\n\x01\x7f"), LH_OK},
        {LH_STR("%2F"), LH_OK},
        {LH_STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x8a"), LH_OK},
        {LH_STR(""), LH_INVALID_KEY},
        {LH_STR("a\0b"), LH_INVALID_KEY},
        {LH_STR("\xff"), LH_INVALID_KEY},
        {LH_STR("\xc0\x80"), LH_INVALID_KEY},
        {LH_STR("\xed\xa0\x80"), LH_INVALID_KEY},
        {LH_STR("a\xc3"), LH_INVALID_KEY},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++)
        assert_int_equal(check(cases[i].key.ptr, cases[i].key.len), cases[i].code);

    char key[LH_STORE_KEY_MAX + 1];
    memset(key, 'k', sizeof(key));
    assert_int_equal(check(key, LH_STORE_KEY_MAX), LH_OK);
    assert_int_equal(check(key, LH_STORE_KEY_MAX + 1), LH_KEY_TOO_LONG);
}

/* Each of them is an object of its own: nothing is normalised, folded or seen as a path. */
LH_TEST(keys_are_opaque)
{
    static const char *const keys[] = {
        "a",         "a/",   "a/b",   "a//b", "/a",       "A",
        "a/.",       "a/..", "..",    "../a", "\xc3\xa4", /* U+00E4 */
        "a\xcc\x88",                                      /* the same letter, decomposed */
        "a b",       "a+b",  "a%20b", "a\nb", "a\\b",     "data/00/0000010000000000",
        "FORMAT",
    };
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    for (size_t i = 0; i < LH_COUNT(keys); i++)
        assert_int_equal(sample_put(store, keys[i], 10 + i * 20000, i), LH_OK);
    lh_store_close(store);

    store = sample_open(dir);
    assert_int_equal(sample_stats(store).objects, LH_COUNT(keys));
    for (size_t i = 0; i < LH_COUNT(keys); i++) {
        assert_object(store, keys[i], 10 + i * 20000, i);
        assert_int_equal(sample_delete(store, keys[i]), LH_OK);
        assert_absent(store, keys[i]);
        assert_int_equal(sample_stats(store).objects, LH_COUNT(keys) - 1 - i);
    }
    lh_store_close(store);
}

LH_TEST(the_longest_key)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char key[LH_STORE_KEY_MAX + 1];
    memset(key, 'k', sizeof(key) - 1);
    key[LH_STORE_KEY_MAX] = '\0';
    assert_int_equal(sample_put(store, key, 100, 1), LH_OK);
    key[LH_STORE_KEY_MAX - 1] = 'l';
    assert_int_equal(sample_put(store, key, 100000, 2), LH_OK);
    assert_object(store, key, 100000, 2);
    key[LH_STORE_KEY_MAX - 1] = 'k';
    assert_object(store, key, 100, 1);
    lh_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_keys_are_possible),
        cmocka_unit_test(keys_are_opaque),
        cmocka_unit_test(the_longest_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
