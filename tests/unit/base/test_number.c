#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/cmocka.h"
#include "support/fixture.h"

enum { RANDOM_COUNT = 1000000 };

static double f64_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void text_of_f64(double value, char out[LH_NUMBER_MAX + 1])
{
    memset(out, '#', LH_NUMBER_MAX + 1);
    size_t len = lh_format_f64(value, out);
    assert_in_range(len, 1, LH_NUMBER_MAX - 1);
    assert_int_equal(out[len], '#');
    out[len] = '\0';
}

static void text_of_f32(float value, char out[LH_NUMBER_MAX + 1])
{
    memset(out, '#', LH_NUMBER_MAX + 1);
    size_t len = lh_format_f32(value, out);
    assert_in_range(len, 1, LH_NUMBER_MAX - 1);
    assert_int_equal(out[len], '#');
    out[len] = '\0';
}

/* How many significant digits a number has in text. */
static int digit_count(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        if (*text == '0' && count == 0)
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

LH_TEST(integers)
{
    static const int64_t values[] = {0,     1,  9,   10,        99,        100,       101,
                                     12345, -1, -10, INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN};
    char text[LH_NUMBER_MAX], expected[LH_NUMBER_MAX];
    for (size_t i = 0; i < LH_COUNT(values); i++) {
        size_t len = lh_format_i64(values[i], text);
        assert_int_equal(len, snprintf(expected, sizeof(expected), "%lld", (long long)values[i]));
        assert_memory_equal(text, expected, len);
    }
    for (uint64_t value = 1, last = 0; value > last; last = value, value *= 10) {
        for (uint64_t near = value - 1; near <= value + 1; near++) {
            size_t len = lh_format_u64(near, text);
            assert_int_equal(
                len, snprintf(expected, sizeof(expected), "%llu", (unsigned long long)near));
            assert_memory_equal(text, expected, len);
        }
        if (value > UINT64_MAX / 10)
            break;
    }
    assert_int_equal(lh_format_u64(UINT64_MAX, text), 20);
    assert_memory_equal(text, "18446744073709551615", 20);
}

LH_TEST(doubles_look_as_expected)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {100.0, "100.0"},
        {123456.789, "123456.789"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {0.00001, "1e-5"},
        {0.000012345, "1.2345e-5"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e16"},
        {123456789012345680.0, "1.2345678901234568e17"},
        {9007199254740991.0, "9007199254740991.0"},
        {9007199254740992.0, "9007199254740992.0"},
        {1e21, "1e21"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {1e-7, "1e-7"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {-1e300, "-1e300"},
        {4.35, "4.35"},
        {1e-10, "1e-10"},
        {17.42, "17.42"},
        {HUGE_VAL, "inf"},
        {-HUGE_VAL, "-inf"},
        {(double)NAN, "nan"},
        {(double)-NAN, "nan"},
    };
    char text[LH_NUMBER_MAX + 1];
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        text_of_f64(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

LH_TEST(floats_look_as_expected)
{
    static const struct {
        float value;
        const char *text;
    } cases[] = {
        {0.0F, "0.0"},
        {-0.0F, "-0.0"},
        {1.0F, "1.0"},
        {0.1F, "0.1"},
        {0.3F, "0.3"},
        {1.0F / 3, "0.33333334"},
        {16777216.0F, "16777216.0"},
        {123456789.0F, "123456790.0"},
        {3.4028235e38F, "3.4028235e38"},
        {1.1754944e-38F, "1.1754944e-38"},
        {1e-45F, "1e-45"},
        {-2.5e-5F, "-2.5e-5"},
        {1e10F, "10000000000.0"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    char text[LH_NUMBER_MAX + 1];
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        text_of_f32(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void assert_f64_round_trip(double value)
{
    char text[LH_NUMBER_MAX + 1], printed[64];
    text_of_f64(value, text);
    char *end;
    double back = strtod(text, &end);
    assert_int_equal(*end, '\0');
    assert_memory_equal(&back, &value, sizeof(back));
    /* Shortest: printf with one digit less gives another value. */
    int digits = digit_count(text);
    assert_in_range(digits, 0, DBL_DECIMAL_DIG);
    if (digits > 1) {
        snprintf(printed, sizeof(printed), "%.*e", digits - 2, value);
        assert_true(strtod(printed, NULL) != value);
    }
}

LH_TEST(doubles_come_back)
{
    struct lh_random random = lh_random_start();
    for (int i = 0; i < RANDOM_COUNT; i++) {
        double any = f64_of_bits(lh_random_u64(&random));
        if (isfinite(any) && i % 4 == 0)
            assert_f64_round_trip(any);
        /* Numbers of the kinds that results hold: money, means, ratios. */
        double cents = (double)lh_random_below(&random, 100000000) / 100;
        double mean = cents / (double)(1 + lh_random_below(&random, 1000));
        if (i % 4 == 1)
            assert_f64_round_trip(cents);
        if (i % 4 == 2)
            assert_f64_round_trip(mean);
        if (i % 4 == 3)
            assert_f64_round_trip(lh_random_f64(&random));
    }
}

LH_TEST(doubles_at_the_edges_come_back)
{
    const uint64_t mantissa_max = (UINT64_C(1) << 52) - 1;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (uint64_t mantissa = 0; mantissa < 3; mantissa++) {
            assert_f64_round_trip(f64_of_bits(exponent << 52 | mantissa));
            assert_f64_round_trip(f64_of_bits(exponent << 52 | (mantissa_max - mantissa)));
        }
    }
    for (int power = -320; power <= 308; power++) {
        char text[32];
        snprintf(text, sizeof(text), "1e%d", power);
        double value = strtod(text, NULL);
        assert_f64_round_trip(value);
        assert_f64_round_trip(nextafter(value, HUGE_VAL));
        if (value > 0)
            assert_f64_round_trip(nextafter(value, -HUGE_VAL));
    }
}

static void assert_f32_round_trip(float value)
{
    char text[LH_NUMBER_MAX + 1];
    text_of_f32(value, text);
    char *end;
    float back = strtof(text, &end);
    assert_int_equal(*end, '\0');
    assert_int_equal(bits_of_f32(back), bits_of_f32(value));
    assert_in_range(digit_count(text), 0, FLT_DECIMAL_DIG);
    float scanned;
    assert_ptr_equal(lh_scan_f32(text, text + strlen(text), &scanned), text + strlen(text));
    assert_int_equal(bits_of_f32(scanned), bits_of_f32(value));
}

LH_TEST(floats_come_back)
{
    struct lh_random random = lh_random_start();
    for (int i = 0; i < RANDOM_COUNT; i++) {
        float any = f32_of_bits((uint32_t)lh_random_u64(&random));
        if (isfinite(any))
            assert_f32_round_trip(any);
        assert_f32_round_trip((float)(lh_random_f64(&random) * 2 - 1));
    }
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        for (uint32_t mantissa = 0; mantissa < 4; mantissa++) {
            assert_f32_round_trip(f32_of_bits(exponent << 23 | mantissa));
            assert_f32_round_trip(f32_of_bits(exponent << 23 | (0x7FFFFF - mantissa)));
        }
    }
}

static void assert_scans_as_strtof(const char *text)
{
    float wanted = strtof(text, NULL), got = 42;
    const char *end = lh_scan_f32(text, text + strlen(text), &got);
    if (isinf(wanted)) {
        assert_null(end);
        assert_true(got == 42);
        return;
    }
    assert_ptr_equal(end, text + strlen(text));
    if (bits_of_f32(got) != bits_of_f32(wanted))
        fail_msg("%s: %a, but strtof says %a", text, (double)got, (double)wanted);
}

LH_TEST(scanning_agrees_with_strtof)
{
    struct lh_random random = lh_random_start();
    for (int i = 0; i < RANDOM_COUNT; i++) {
        char text[96];
        unsigned long long whole = lh_random_u64(&random) >> lh_random_below(&random, 64);
        unsigned long long part = lh_random_u64(&random) >> lh_random_below(&random, 64);
        int power = (int)lh_random_below(&random, 100) - 50;
        switch (i % 4) {
        case 0:
            snprintf(text, sizeof(text), "%llu.%llu", whole, part);
            break;
        case 1:
            snprintf(text, sizeof(text), "-%llu.%llue%d", whole, part, power);
            break;
        case 2:
            snprintf(text, sizeof(text), "%.9g", lh_random_f64(&random) * 2 - 1);
            break;
        default:
            snprintf(text, sizeof(text), "%.17g", f64_of_bits(lh_random_u64(&random)) / 1e200);
            if (strpbrk(text, "ni"))
                continue;
        }
        assert_scans_as_strtof(text);
    }
}

/* The decimals exactly half-way between two floats, and those a hair beside it: where a double as a
 * step between would round the wrong way. */
LH_TEST(scanning_at_half_way_points)
{
    struct lh_random random = lh_random_start();
    for (int i = 0; i < 50000; i++) {
        float low = f32_of_bits((uint32_t)lh_random_below(&random, 0x7F7FFFFF));
        double middle = ((double)low + (double)nextafterf(low, HUGE_VALF)) / 2;
        char text[400];
        snprintf(text, sizeof(text) - 8, "%.150e", middle);
        assert_scans_as_strtof(text);
        char *e = strchr(text, 'e');
        char exponent[8];
        snprintf(exponent, sizeof(exponent), "%s", e);
        snprintf(e, 16, "000001%s", exponent); /* just above */
        assert_scans_as_strtof(text);
        snprintf(text, sizeof(text), "%.17g", middle);
        assert_scans_as_strtof(text);
        snprintf(text, sizeof(text), "%.17g", nextafter(middle, 0));
        assert_scans_as_strtof(text);
    }
}

LH_TEST(scanning_long_and_extreme_numbers)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e5",
        "1e-400",
        "1e400",
        "-1e400",
        "3.4028235e38",
        "3.4028235677973366e38", /* half-way to what would follow the largest */
        "3.4028235677973365e38",
        "3.4028236e38",
        "1.401298464324817e-45",
        "7.006492321624085e-46",
        "7.0064923216240862e-46",
        "1e999999999999999999999",
        "1e-999999999999999999999",
        "0e999999999999999999999",
        "0.00000000000000000000000000000000000000000000000000000000001e60",
        "100000000000000000000000000000000000000000000000000000000000e-59",
        "16777217",
        "16777217.0000000000000000000000000000000000000000000000000000000001",
        "16777216.9999999999999999999999999999999999999999999999999999999999",
        "9007199254740993",
        "9007199254740993e22",
    };
    for (size_t i = 0; i < LH_COUNT(texts); i++)
        assert_scans_as_strtof(texts[i]);

    enum { LONG = 5000 };
    char text[2 * LONG + 32];
    memset(text, '0', LONG);
    text[0] = '1';
    snprintf(text + LONG, 32, "e-%d", LONG - 1);
    assert_scans_as_strtof(text); /* 1 */
    memset(text, '0', LONG);
    text[1] = '.';
    snprintf(text + LONG, 32, "16777217e%d", LONG);
    assert_scans_as_strtof(text);
    memset(text, '9', LONG);
    text[1] = '.';
    text[LONG] = '\0';
    assert_scans_as_strtof(text);
    snprintf(text, 32, "16777217.");
    memset(text + 9, '0', LONG);
    text[9 + LONG] = '1';
    text[10 + LONG] = '\0';
    assert_scans_as_strtof(text); /* the last of 5,000 digits decides */
}

LH_TEST(scanning_takes_json_numbers_only)
{
    static const struct {
        const char *text;
        int len; /* of the number; -1: none */
    } cases[] = {
        {"", -1},     {"-", -1},    {"+1", -1},   {".5", -1},          {"1.", -1},   {"1.e5", -1},
        {"1e", -1},   {"1e+", -1},  {"1e-", -1},  {"nan", -1},         {"inf", -1},  {"-inf", -1},
        {"--1", -1},  {" 1", -1},   {"e5", -1},   {"01", 1},           {"-01", 2},   {"0x10", 1},
        {"1,2", 1},   {"1]", 1},    {"1 ", 1},    {"1.5.5", 3},        {"1e5e5", 3}, {"1-1", 1},
        {"1E+2,", 4}, {"0.10]", 4}, {"-0.5x", 4}, {"12e-3garbage", 5},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        float value = 42;
        const char *text = cases[i].text;
        const char *end = lh_scan_f32(text, text + strlen(text), &value);
        if (cases[i].len < 0) {
            assert_null(end);
            assert_true(value == 42);
        } else {
            assert_ptr_equal(end, text + cases[i].len);
        }
    }
}

/* Never a byte beyond the end: each prefix in memory of just its size, for the sanitizers to watch.
 */
LH_TEST(scanning_stays_inside)
{
    static const char text[] = "-123456789012345678901234567890.12345678901234567890123e-12";
    for (size_t len = 0; len < sizeof(text); len++) {
        LH_AUTO_FREE char *copy = lh_malloc(len);
        memcpy(copy, text, len);
        float value;
        const char *end = lh_scan_f32(copy, copy + len, &value);
        assert_true(!end || (end > copy && end <= copy + len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles_look_as_expected),
        cmocka_unit_test(floats_look_as_expected),
        cmocka_unit_test(doubles_come_back),
        cmocka_unit_test(doubles_at_the_edges_come_back),
        cmocka_unit_test(floats_come_back),
        cmocka_unit_test(scanning_agrees_with_strtof),
        cmocka_unit_test(scanning_at_half_way_points),
        cmocka_unit_test(scanning_long_and_extreme_numbers),
        cmocka_unit_test(scanning_takes_json_numbers_only),
        cmocka_unit_test(scanning_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
