/*
 * Two clocks that never mix: the wall clock (lh_time_ms, for people and files) and the monotonic
 * one (lh_mono_ns, for durations and deadlines).
 */
#ifndef LH_BASE_CLOCK_H
#define LH_BASE_CLOCK_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef int64_t lh_time_ms; /* milliseconds since 1970-01-01T00:00:00Z */

typedef struct {
    int64_t ns;
} lh_mono;

/* A point on the monotonic clock by which something must be done. */
typedef struct {
    int64_t ns;
} lh_deadline;

#define LH_NO_DEADLINE ((lh_deadline){INT64_MAX})

lh_time_ms lh_now_ms(void);
lh_mono lh_mono_now(void);
int64_t lh_mono_since_ns(lh_mono start);
int64_t lh_mono_since_ms(lh_mono start);
double lh_mono_since_s(lh_mono start);

lh_deadline lh_deadline_in_ms(int64_t ms);
lh_deadline lh_deadline_sooner(lh_deadline a, lh_deadline b);
bool lh_deadline_passed(lh_deadline deadline);
/* Milliseconds left, 0 to INT_MAX, as poll(2) and curl take it; INT_MAX for LH_NO_DEADLINE. */
int lh_deadline_left_ms(lh_deadline deadline);
/* For pthread_cond_timedwait on a condition made by lh_cond_init (CLOCK_MONOTONIC). */
struct timespec lh_deadline_timespec(lh_deadline deadline);

void lh_sleep_ms(int64_t ms);

enum { LH_RFC3339_SIZE = 25, LH_HTTP_DATE_SIZE = 30 };
/* "2026-11-22T15:04:05.123Z" with its terminator. Years 1970 to 9999. */
void lh_format_rfc3339(lh_time_ms time, char out[LH_RFC3339_SIZE]);
/* "Sun, 22 Nov 2026 15:04:05 GMT" with its terminator (RFC 9110 section 5.6.7). */
void lh_format_http_date(lh_time_ms time, char out[LH_HTTP_DATE_SIZE]);
/* Date, or date and time with an optional fraction and Z or offset. False if it is no such text. */
bool lh_parse_rfc3339(lh_str text, lh_time_ms *ret);
bool lh_parse_http_date(lh_str text, lh_time_ms *ret); /* the IMF-fixdate form only */

#endif
