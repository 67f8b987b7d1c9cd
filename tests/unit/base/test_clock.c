#include "base/clock.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

LH_TEST(deadlines)
{
    assert_false(lh_deadline_passed(LH_NO_DEADLINE));
    assert_int_equal(lh_deadline_left_ms(LH_NO_DEADLINE), INT_MAX);
    lh_deadline now = lh_deadline_in_ms(0);
    assert_true(lh_deadline_passed(now));
    assert_int_equal(lh_deadline_left_ms(now), 0);
    assert_int_equal(lh_deadline_left_ms(lh_deadline_in_ms(-5)), 0);
    lh_deadline later = lh_deadline_in_ms(60000);
    assert_false(lh_deadline_passed(later));
    assert_in_range(lh_deadline_left_ms(later), 50000, 60000);
    assert_int_equal(lh_deadline_left_ms(lh_deadline_in_ms(INT64_C(1) << 40)), INT_MAX);
    assert_true(lh_deadline_in_ms(INT64_MAX).ns == LH_NO_DEADLINE.ns);
    assert_true(lh_deadline_sooner(now, later).ns == now.ns);
    assert_true(lh_deadline_sooner(LH_NO_DEADLINE, later).ns == later.ns);
    struct timespec spec = lh_deadline_timespec((lh_deadline){INT64_C(5000000007)});
    assert_int_equal(spec.tv_sec, 5);
    assert_int_equal(spec.tv_nsec, 7);
}

LH_TEST(time_goes_on)
{
    lh_mono start = lh_mono_now();
    lh_deadline deadline = lh_deadline_in_ms(20);
    lh_sleep_ms(20);
    assert_true(lh_deadline_passed(deadline));
    assert_true(lh_mono_since_ns(start) >= 20000000);
    assert_true(lh_mono_since_ms(start) >= 20);
    assert_true(lh_mono_since_s(start) >= 0.020);
    assert_true(lh_now_ms() > INT64_C(1700000000000));
}

static const struct {
    lh_time_ms time;
    const char *rfc3339, *http_date;
} moments[] = {
    {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {INT64_C(784111777000), "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
    {INT64_C(951782400000), "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {INT64_C(951868799999), "2000-02-29T23:59:59.999Z", "Tue, 29 Feb 2000 23:59:59 GMT"},
    {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
    {INT64_C(1795359845123), "2026-11-22T15:04:05.123Z", "Sun, 22 Nov 2026 15:04:05 GMT"},
    {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

LH_TEST(known_moments)
{
    for (size_t i = 0; i < LH_COUNT(moments); i++) {
        char text[LH_RFC3339_SIZE];
        lh_format_rfc3339(moments[i].time, text);
        assert_string_equal(text, moments[i].rfc3339);
        char date[LH_HTTP_DATE_SIZE];
        lh_format_http_date(moments[i].time, date);
        assert_string_equal(date, moments[i].http_date);
        lh_time_ms back;
        assert_true(lh_parse_rfc3339(lh_str_from(text), &back));
        assert_true(back == moments[i].time);
        assert_true(lh_parse_http_date(lh_str_from(date), &back));
        assert_true(back == moments[i].time / 1000 * 1000);
    }
    char text[LH_RFC3339_SIZE];
    lh_format_rfc3339(-1, text);
    assert_string_equal(text, moments[0].rfc3339);
    lh_format_rfc3339(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

/* Every day of eight thousand years against libc's calendar. */
LH_TEST(every_day_as_libc_has_it)
{
    for (int64_t day = 0; day < 2932897; day++) {
        time_t second = day * 86400 + day % 86400;
        struct tm tm;
        gmtime_r(&second, &tm);
        char expected[LH_RFC3339_SIZE], text[LH_RFC3339_SIZE];
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        lh_format_rfc3339(second * 1000, text);
        assert_string_equal(text, expected);
        lh_time_ms back;
        assert_true(lh_parse_rfc3339(lh_str_from(text), &back));
        assert_true(back == second * 1000);
    }
}

LH_TEST(rfc3339_forms)
{
    static const struct {
        const char *text;
        bool valid;
        lh_time_ms time;
    } cases[] = {
        {"1970-01-02", true, 86400000},
        {"1970-01-01T00:00:01Z", true, 1000},
        {"1970-01-01t00:00:01z", true, 1000},
        {"1970-01-01 00:00:01Z", true, 1000},
        {"1970-01-01T01:00:00+01:00", true, 0},
        {"1969-12-31T19:00:00-05:00", true, 0},
        {"1970-01-01T00:00:00.5Z", true, 500},
        {"1970-01-01T00:00:00.1239999Z", true, 123},
        {"1970-01-01T00:00:00.000000001Z", true, 0},
        {"1969-12-31T23:59:59.999Z", true, -1},
        {"1972-06-30T23:59:60Z", true, INT64_C(78796800000)},
        {"0000-03-01", true, INT64_C(-719468) * 86400000},
        {"", false, 0},
        {"1970", false, 0},
        {"1970-1-1", false, 0},
        {"1970-13-01", false, 0},
        {"1970-00-01", false, 0},
        {"1970-01-00", false, 0},
        {"1970-01-32", false, 0},
        {"1970-02-29", false, 0},
        {"1900-02-29", false, 0},
        {"1970-01-01T", false, 0},
        {"1970-01-01T00:00:00", false, 0}, /* no offset: it could mean any zone */
        {"1970-01-01T24:00:00Z", false, 0},
        {"1970-01-01T00:60:00Z", false, 0},
        {"1970-01-01T00:00:61Z", false, 0},
        {"1970-01-01T00:00:00.Z", false, 0},
        {"1970-01-01T00:00:00+0100", false, 0},
        {"1970-01-01T00:00:00+24:00", false, 0},
        {"1970-01-01T00:00:00Zx", false, 0},
        {"1970-01-01x00:00:00Z", false, 0},
        {" 1970-01-01", false, 0},
        {"+970-01-01", false, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_time_ms time = 42;
        assert_int_equal(lh_parse_rfc3339(lh_str_from(cases[i].text), &time), cases[i].valid);
        assert_true(time == (cases[i].valid ? cases[i].time : 42));
    }
}

LH_TEST(http_date_refuses_the_rest)
{
    static const char *const bad[] = {
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
    };
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        lh_time_ms time;
        assert_false(lh_parse_http_date(lh_str_from(bad[i]), &time));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines),     cmocka_unit_test(time_goes_on),
        cmocka_unit_test(known_moments), cmocka_unit_test(every_day_as_libc_has_it),
        cmocka_unit_test(rfc3339_forms), cmocka_unit_test(http_date_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
