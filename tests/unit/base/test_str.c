#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

LH_TEST(comparison)
{
    static const struct {
        const char *a, *b;
        int order;
        bool same_letters;
    } cases[] = {
        {"", "", 0, true},      {"a", "a", 0, true},    {"a", "b", -1, false},
        {"a", "aa", -1, false}, {"Ab", "aB", -1, true}, {"\xff", "a", 1, false},
        {"", "a", -1, false},   {"a[", "A{", 1, false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str a = lh_str_from(cases[i].a), b = lh_str_from(cases[i].b);
        int order = lh_str_compare(a, b);
        assert_int_equal((order > 0) - (order < 0), cases[i].order);
        int reverse = lh_str_compare(b, a);
        assert_int_equal((reverse > 0) - (reverse < 0), -cases[i].order);
        assert_int_equal(lh_str_eq(a, b), cases[i].order == 0);
        assert_int_equal(lh_str_eq_nocase(a, b), cases[i].same_letters);
    }
    assert_true(lh_str_eq(LH_STR_NONE, LH_STR("")));
    assert_true(lh_str_is(LH_STR("x"), "x"));
    assert_false(lh_str_is(LH_STR("x\0y"), "x"));
}

LH_TEST(starts_ends_trim_skip)
{
    assert_true(lh_str_starts(LH_STR("abc"), "ab"));
    assert_true(lh_str_starts(LH_STR("abc"), ""));
    assert_true(lh_str_starts(LH_STR_NONE, ""));
    assert_false(lh_str_starts(LH_STR("a"), "ab"));
    assert_true(lh_str_starts_nocase(LH_STR("X-Amz-Meta-A"), LH_STR("x-amz-meta-")));
    assert_false(lh_str_starts_nocase(LH_STR("x-amz"), LH_STR("x-amz-")));
    assert_true(lh_str_ends(LH_STR("a.csv"), ".csv"));
    assert_false(lh_str_ends(LH_STR("csv"), ".csv"));
    assert_true(lh_str_is(lh_str_trim(LH_STR(" \t a b\t ")), "a b"));
    assert_int_equal(lh_str_trim(LH_STR(" \t ")).len, 0);
    assert_true(lh_str_is(lh_str_skip(LH_STR("abc"), 2), "c"));
    assert_int_equal(lh_str_skip(LH_STR("abc"), 3).len, 0);
}

LH_TEST(next_gives_each_part_once)
{
    static const struct {
        const char *text;
        const char *parts[4];
        size_t count;
    } cases[] = {
        {"a,b", {"a", "b"}, 2}, {"", {""}, 1},       {",", {"", ""}, 2},
        {"a,", {"a", ""}, 2},   {"abc", {"abc"}, 1}, {",a,", {"", "a", ""}, 3},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str rest = lh_str_from(cases[i].text), part;
        size_t count = 0;
        while (lh_str_next(&rest, ',', &part)) {
            assert_true(count < cases[i].count);
            assert_true(lh_str_is(part, cases[i].parts[count]));
            count++;
        }
        assert_int_equal(count, cases[i].count);
    }
    lh_str none = LH_STR_NONE, part = LH_STR("untouched");
    assert_false(lh_str_next(&none, ',', &part));
    assert_true(lh_str_is(part, "untouched"));
}

LH_TEST(integers_in_range_or_nothing)
{
    static const struct {
        const char *text;
        bool is_u64, is_i64;
        uint64_t value; /* as two's complement */
    } cases[] = {
        {"0", true, true, 0},
        {"007", true, true, 7},
        {"9223372036854775807", true, true, INT64_MAX},
        {"9223372036854775808", true, false, UINT64_C(1) << 63},
        {"18446744073709551615", true, false, UINT64_MAX},
        {"18446744073709551616", false, false, 0},
        {"99999999999999999999", false, false, 0},
        {"-1", false, true, UINT64_MAX},
        {"-9223372036854775808", false, true, UINT64_C(1) << 63},
        {"-9223372036854775809", false, false, 0},
        {"-0", false, true, 0},
        {"", false, false, 0},
        {"-", false, false, 0},
        {"+1", false, false, 0},
        {" 1", false, false, 0},
        {"1 ", false, false, 0},
        {"1.0", false, false, 0},
        {"0x10", false, false, 0},
        {"--1", false, false, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        uint64_t u = 42;
        int64_t s = 42;
        assert_int_equal(lh_str_to_u64(lh_str_from(cases[i].text), &u), cases[i].is_u64);
        assert_int_equal(lh_str_to_i64(lh_str_from(cases[i].text), &s), cases[i].is_i64);
        assert_true(u == (cases[i].is_u64 ? cases[i].value : 42));
        assert_true((uint64_t)s == (cases[i].is_i64 ? cases[i].value : 42));
    }
}

LH_TEST(utf8_well_formed_only)
{
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain ASCII, longer than eight bytes", true},
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"12345678\xe2\x82\xac", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},         /* overlong */
        {"\xc1\xbf", false},         /* overlong */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xed\xbf\xbf", false},     /* surrogate */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xc2", false},
        {"\xe2\x82", false},
        {"\xf0\x90\x80", false},
        {"\xc2\x41", false},
        {"\xe2\x82\x41", false},
        {"\xf0\x90\x80\x41", false},
        {"12345678\xe2\x82", false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++)
        assert_int_equal(lh_utf8_valid(lh_str_from(cases[i].bytes)), cases[i].valid);
    assert_int_equal(lh_utf8_length(LH_STR("")), 0);
    assert_int_equal(lh_utf8_length(LH_STR("a\xff")), 1);
    assert_int_equal(lh_utf8_length(LH_STR("\xe2\x82\xac\xff")), 3);
}

LH_TEST(every_code_point_is_valid_once)
{
    size_t valid = 0;
    for (uint32_t code = 0; code <= 0x110000; code++) {
        char text[4] = {(char)(0xF0 | code >> 18), (char)(0x80 | (code >> 12 & 0x3F)),
                        (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F))};
        /* Only the four-byte form: what is shorter is overlong. */
        valid += lh_utf8_valid(lh_str_of(text, 4));
    }
    assert_int_equal(valid, 0x110000 - 0x10000);
}

LH_TEST(percent_decoding_happens_once)
{
    static const struct {
        const char *text;
        bool plus_is_space;
        const char *expected; /* NULL: refused */
        size_t len;
    } cases[] = {
        {"", false, "", 0},         {"abc", false, "abc", 3},  {"a%2Fb%2fc", false, "a/b/c", 5},
        {"%252F", false, "%2F", 3}, {"a+b", false, "a+b", 3},  {"a+b", true, "a b", 3},
        {"%2B", true, "+", 1},      {"%00x", false, "\0x", 2}, {"%FF%ff", false, "\xff\xff", 2},
        {"%", false, NULL, 0},      {"%2", false, NULL, 0},    {"a%2", false, NULL, 0},
        {"%G0", false, NULL, 0},    {"%0G", false, NULL, 0},   {"% 0", false, NULL, 0},
        {"%-1", false, NULL, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        char out[16];
        size_t len = 99;
        lh_str text = lh_str_from(cases[i].text);
        bool good = lh_percent_decode(text, cases[i].plus_is_space, out, &len);
        assert_int_equal(good, cases[i].expected != NULL);
        assert_int_equal(len, good ? cases[i].len : 99);
        if (good)
            assert_memory_equal(out, cases[i].expected, len);
    }
}

LH_TEST(hex_both_ways)
{
    struct lh_random random = lh_random_start();
    for (size_t len = 0; len <= 64; len++) {
        uint8_t bytes[64], back[64];
        char hex[129];
        lh_random_fill(&random, bytes, len);
        lh_hex(bytes, len, hex);
        assert_int_equal(strlen(hex), 2 * len);
        assert_true(lh_unhex(lh_str_from(hex), back, len));
        assert_memory_equal(bytes, back, len);
    }
    uint8_t out[2];
    assert_true(lh_unhex(LH_STR("aBCd"), out, 2));
    assert_int_equal(out[0] << 8 | out[1], 0xABCD);
    assert_false(lh_unhex(LH_STR("abc"), out, 2));
    assert_false(lh_unhex(LH_STR("abcdef"), out, 2));
    assert_false(lh_unhex(LH_STR("abcg"), out, 2));
}

LH_TEST(edit_distance)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0},
        {"a", "", 1},
        {"abc", "abc", 0},
        {"abc", "abd", 1},
        {"abc", "acb", 1},
        {"abc", "bca", 2},
        {"ca", "abc", 3},
        {"listen", "lisetn", 1},
        {"listen", "lsten", 1},
        {"sitting", "kitten", 3},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str a = lh_str_from(cases[i].a), b = lh_str_from(cases[i].b);
        assert_int_equal(lh_edit_distance(a, b), cases[i].distance);
        assert_int_equal(lh_edit_distance(b, a), cases[i].distance);
    }
    char longer[100];
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(lh_edit_distance(lh_str_of(longer, 100), lh_str_of(longer, 70)), 0);
}

LH_TEST(nearest_is_near_or_none)
{
    static const char *const words[] = {"listen", "memory_limit", "timeout", "level"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"lisen", "listen"},
        {"litsen", "listen"},
        {"memory_limt", "memory_limit"},
        {"timout", "timeout"},
        {"memory", NULL},
        {"x", NULL},
        {"", NULL},
        {"something_else", NULL},
        {"Level", "level"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        const char *nearest = lh_nearest(lh_str_from(cases[i].word), words, LH_COUNT(words));
        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
    assert_null(lh_nearest(LH_STR("listen"), NULL, 0));
}

LH_TEST(numbers_in_hex)
{
    uint64_t value = 7;
    assert_true(lh_unhex_u64(LH_STR("0000000000000000"), &value));
    assert_int_equal(value, 0);
    assert_true(lh_unhex_u64(LH_STR("0123456789aBcDeF"), &value));
    assert_true(value == UINT64_C(0x0123456789abcdef));
    assert_true(lh_unhex_u64(LH_STR("ffffffffffffffff"), &value));
    assert_true(value == UINT64_MAX);
    assert_false(lh_unhex_u64(LH_STR(""), &value));
    assert_false(lh_unhex_u64(LH_STR("123456789abcdef"), &value));
    assert_false(lh_unhex_u64(LH_STR("00123456789abcdef"), &value));
    assert_false(lh_unhex_u64(LH_STR("0123456789abcdeg"), &value));
    assert_true(value == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison),
        cmocka_unit_test(starts_ends_trim_skip),
        cmocka_unit_test(next_gives_each_part_once),
        cmocka_unit_test(integers_in_range_or_nothing),
        cmocka_unit_test(utf8_well_formed_only),
        cmocka_unit_test(every_code_point_is_valid_once),
        cmocka_unit_test(percent_decoding_happens_once),
        cmocka_unit_test(hex_both_ways),
        cmocka_unit_test(edit_distance),
        cmocka_unit_test(nearest_is_near_or_none),
        cmocka_unit_test(numbers_in_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
