/*
 * Clocks, deadlines, and dates as text. The calendar is computed here (proleptic Gregorian, UTC):
 * gmtime and timegm bring locks and the time zone's files.
 */
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { MS_PER_S = 1000, S_PER_DAY = 86400, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

/* ---- clocks and deadlines ---- */

lh_time_ms lh_now_ms(void)
{
    struct timespec now;
    LH_CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (lh_time_ms)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

lh_mono lh_mono_now(void)
{
    struct timespec now;
    LH_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (lh_mono){(int64_t)now.tv_sec * NS_PER_S + now.tv_nsec};
}

int64_t lh_mono_since_ns(lh_mono start)
{
    return lh_mono_now().ns - start.ns;
}

int64_t lh_mono_since_ms(lh_mono start)
{
    return lh_mono_since_ns(start) / NS_PER_MS;
}

double lh_mono_since_s(lh_mono start)
{
    return (double)lh_mono_since_ns(start) / NS_PER_S;
}

lh_deadline lh_deadline_in_ms(int64_t ms)
{
    int64_t ns;
    if (__builtin_mul_overflow(ms, (int64_t)NS_PER_MS, &ns) ||
        __builtin_add_overflow(ns, lh_mono_now().ns, &ns))
        return LH_NO_DEADLINE;
    return (lh_deadline){ns};
}

lh_deadline lh_deadline_sooner(lh_deadline a, lh_deadline b)
{
    return a.ns < b.ns ? a : b;
}

bool lh_deadline_passed(lh_deadline deadline)
{
    return deadline.ns != LH_NO_DEADLINE.ns && lh_mono_now().ns >= deadline.ns;
}

int lh_deadline_left_ms(lh_deadline deadline)
{
    if (deadline.ns == LH_NO_DEADLINE.ns)
        return INT_MAX;
    int64_t left_ns = deadline.ns - lh_mono_now().ns;
    if (left_ns <= 0)
        return 0;
    /* Rounded up: a wait that ends just before its deadline would be followed by one of 0 ms. */
    int64_t left_ms = left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

struct timespec lh_deadline_timespec(lh_deadline deadline)
{
    int64_t ns = deadline.ns > 0 ? deadline.ns : 0;
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

void lh_sleep_ms(int64_t ms)
{
    struct timespec until = lh_deadline_timespec(lh_deadline_in_ms(ms));
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

/* ---- the calendar ---- */

struct civil {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};

/* The year is made to begin in March, so that the leap day is its last and the lengths of the
 * months before it follow one line: day of the year = (153 * m + 2) / 5 for the m-th month after
 * March. An era is 400 years = 146,097 days; day 0 of era 0 is 0000-03-01, which is 719,468 days
 * before 1970. */
enum { ERA_DAYS = 146097, DAYS_TO_1970 = 719468 };

static int64_t days_from_civil(struct civil date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_after_march = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month_after_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - DAYS_TO_1970;
}

static struct civil civil_from_days(int64_t days)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = days - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA_DAYS - 1)) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_after_march = (5 * day_of_year + 2) / 153;
    unsigned month =
        (unsigned)(month_after_march < 10 ? month_after_march + 3 : month_after_march - 9);
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * month_after_march + 2) / 5 + 1),
    };
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* ---- text ---- */

/* 9999-12-31T23:59:59.999Z: beyond it a year has five digits. */
static const lh_time_ms text_time_max = INT64_C(253402300799999);

static lh_time_ms clamp_for_text(lh_time_ms time)
{
    return time < 0 ? 0 : time > text_time_max ? text_time_max : time;
}

/* `count` decimal digits; returns the place after them. */
static char *put_digits(char *out, unsigned value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + count;
}

static char *put_text(char *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

/* hh:mm:ss */
static char *put_clock(char *out, unsigned second_of_day)
{
    out = put_digits(out, second_of_day / 3600, 2);
    *out++ = ':';
    out = put_digits(out, second_of_day / 60 % 60, 2);
    *out++ = ':';
    return put_digits(out, second_of_day % 60, 2);
}

void lh_format_rfc3339(lh_time_ms time, char out[LH_RFC3339_SIZE])
{
    time = clamp_for_text(time);
    int64_t second = time / MS_PER_S;
    struct civil date = civil_from_days(second / S_PER_DAY);
    out = put_digits(out, (unsigned)date.year, 4);
    *out++ = '-';
    out = put_digits(out, date.month, 2);
    *out++ = '-';
    out = put_digits(out, date.day, 2);
    *out++ = 'T';
    out = put_clock(out, (unsigned)(second % S_PER_DAY));
    *out++ = '.';
    out = put_digits(out, (unsigned)(time % MS_PER_S), 3);
    *out++ = 'Z';
    *out = '\0';
}

void lh_format_http_date(lh_time_ms time, char out[LH_HTTP_DATE_SIZE])
{
    int64_t second = clamp_for_text(time) / MS_PER_S;
    int64_t days = second / S_PER_DAY;
    struct civil date = civil_from_days(days);
    out = put_text(out, day_names[days % 7]);
    out = put_text(out, ", ");
    out = put_digits(out, date.day, 2);
    *out++ = ' ';
    out = put_text(out, month_names[date.month - 1]);
    *out++ = ' ';
    out = put_digits(out, (unsigned)date.year, 4);
    *out++ = ' ';
    out = put_clock(out, (unsigned)(second % S_PER_DAY));
    out = put_text(out, " GMT");
    *out = '\0';
}

/* Exactly `count` digits off the front of *rest. */
static bool take_digits(lh_str *rest, unsigned count, unsigned *ret)
{
    if (rest->len < count)
        return false;
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(rest->ptr[i] - '0');
    }
    *rest = lh_str_skip(*rest, count);
    *ret = value;
    return true;
}

static bool take_text(lh_str *rest, const char *text)
{
    if (!lh_str_starts(*rest, text))
        return false;
    *rest = lh_str_skip(*rest, strlen(text));
    return true;
}

/* hh:mm:ss; a leap second counts as the second after it. */
static bool take_clock(lh_str *rest, int64_t *ret_second_of_day)
{
    unsigned hour, minute, second;
    if (!take_digits(rest, 2, &hour) || !take_text(rest, ":") || !take_digits(rest, 2, &minute) ||
        !take_text(rest, ":") || !take_digits(rest, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_second_of_day = (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    return true;
}

/* The date at the front as days since 1970-01-01. */
static bool take_date(lh_str *rest, int64_t *ret_days)
{
    unsigned year, month, day;
    if (!take_digits(rest, 4, &year) || !take_text(rest, "-") || !take_digits(rest, 2, &month) ||
        !take_text(rest, "-") || !take_digits(rest, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_days = days_from_civil((struct civil){year, month, day});
    return true;
}

/* ".123": of any length; what is finer than a millisecond is cut. */
static bool take_fraction(lh_str *rest, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (!take_text(rest, "."))
        return true;
    unsigned digit;
    if (!take_digits(rest, 1, &digit))
        return false;
    int64_t ms = (int64_t)digit * 100;
    for (unsigned weight = 10; take_digits(rest, 1, &digit); weight /= 10)
        ms += (int64_t)digit * weight;
    *ret_ms = ms;
    return true;
}

/* "Z" or "+hh:mm" as minutes east of Greenwich. */
static bool take_offset(lh_str *rest, int64_t *ret_minutes)
{
    if (take_text(rest, "Z") || take_text(rest, "z")) {
        *ret_minutes = 0;
        return true;
    }
    bool west = take_text(rest, "-");
    unsigned hour, minute;
    if ((!west && !take_text(rest, "+")) || !take_digits(rest, 2, &hour) || !take_text(rest, ":") ||
        !take_digits(rest, 2, &minute) || hour > 23 || minute > 59)
        return false;
    int64_t minutes = (int64_t)hour * 60 + minute;
    *ret_minutes = west ? -minutes : minutes;
    return true;
}

bool lh_parse_rfc3339(lh_str text, lh_time_ms *ret)
{
    int64_t days;
    if (!take_date(&text, &days))
        return false;
    int64_t second = 0, ms = 0, offset_minutes = 0;
    if (text.len > 0) {
        if (!take_text(&text, "T") && !take_text(&text, "t") && !take_text(&text, " "))
            return false;
        if (!take_clock(&text, &second) || !take_fraction(&text, &ms) ||
            !take_offset(&text, &offset_minutes) || text.len > 0)
            return false;
    }
    *ret = (days * S_PER_DAY + second - offset_minutes * 60) * MS_PER_S + ms;
    return true;
}

bool lh_parse_http_date(lh_str text, lh_time_ms *ret)
{
    unsigned weekday = 0;
    while (weekday < 7 && !take_text(&text, day_names[weekday]))
        weekday++;
    unsigned day;
    if (weekday == 7 || !take_text(&text, ", ") || !take_digits(&text, 2, &day) ||
        !take_text(&text, " "))
        return false;
    unsigned month = 0;
    while (month < 12 && !take_text(&text, month_names[month]))
        month++;
    unsigned year;
    int64_t second;
    if (month == 12 || !take_text(&text, " ") || !take_digits(&text, 4, &year) ||
        !take_text(&text, " ") || !take_clock(&text, &second) || !take_text(&text, " GMT") ||
        text.len > 0)
        return false;
    if (day < 1 || day > days_in_month(year, month + 1))
        return false;
    int64_t days = days_from_civil((struct civil){year, month + 1, day});
    *ret = (days * S_PER_DAY + second) * MS_PER_S;
    return true;
}
