/*
 * Taxi trips that look like ones: distances with many short and few long, fares that follow them,
 * tips that not everybody gives, mornings and evenings that are busier than nights.
 */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/os.h"
#include "cli/demo.h"

enum { WINDOW_BYTES = 1 << 20, ROW_BYTES_MAX = 256, MS_PER_MINUTE = 60000 };

static const uint64_t minutes_per_day = 24 * UINT64_C(60);

/* Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
static uint64_t next_u64(struct lh_demo_random *random)
{
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t lh_demo_random_below(struct lh_demo_random *random, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)next_u64(random) * limit) >> 64);
}

static const char *const vendors[] = {"CMT", "VTS", "DDS", "Juno"};
static const char *const cities[] = {"Amsterdam", "Bergen",   "Cork",    "Dresden",
                                     "Espoo",     "Florence", "Granada", "Haarlem"};

/* Unequal shares: the lesser of two draws, so the first of `count` comes most often. */
static size_t draw_share(struct lh_demo_random *random, size_t count)
{
    uint64_t a = lh_demo_random_below(random, count), b = lh_demo_random_below(random, count);
    return a < b ? a : b;
}

/* A minute of the day: of two draws the one nearer to a rush hour. */
static uint64_t draw_minute(struct lh_demo_random *random)
{
    static const uint64_t rush[] = {510, 1080}; /* half past eight, six in the evening */
    uint64_t first = lh_demo_random_below(random, minutes_per_day);
    uint64_t second = lh_demo_random_below(random, minutes_per_day);
    uint64_t wanted = rush[lh_demo_random_below(random, 2)];
    uint64_t first_off = first > wanted ? first - wanted : wanted - first;
    uint64_t second_off = second > wanted ? second - wanted : wanted - second;
    return first_off < second_off ? first : second;
}

static void put_cents(struct lh_buf *out, uint64_t cents)
{
    char text[LH_NUMBER_MAX];
    lh_buf_append(out, text, lh_format_u64(cents / 100, text));
    char part[3] = {'.', (char)('0' + cents / 10 % 10), (char)('0' + cents % 10)};
    lh_buf_append(out, part, sizeof(part));
}

/* id,pickup_time,vendor,distance_km,fare,tip,passengers,city */
static void put_trip(struct lh_buf *out, int64_t id, struct lh_demo_random *random)
{
    enum { DAYS = 365 };
    const lh_time_ms new_year = INT64_C(1735689600000); /* 2025-01-01T00:00:00Z */
    uint64_t minute = lh_demo_random_below(random, DAYS) * minutes_per_day + draw_minute(random);
    lh_time_ms pickup = new_year + (lh_time_ms)minute * MS_PER_MINUTE +
                        (lh_time_ms)lh_demo_random_below(random, 60) * 1000;
    uint64_t metres = 400 + lh_demo_random_below(random, 1 + lh_demo_random_below(random, 24000));
    uint64_t fare = 320 + metres * 21 / 100 + lh_demo_random_below(random, 250);
    bool tips = lh_demo_random_below(random, 10) < 6;
    uint64_t tip = tips ? fare * (5 + lh_demo_random_below(random, 20)) / 100 : 0;
    uint64_t alone = lh_demo_random_below(random, 3);
    uint64_t passengers = alone < 2 ? 1 : 2 + lh_demo_random_below(random, 4);

    char text[LH_NUMBER_MAX], time[LH_RFC3339_SIZE];
    lh_format_rfc3339(pickup, time);
    time[10] = ' ';
    lh_buf_append(out, text, lh_format_i64(id, text));
    lh_buf_append_char(out, ',');
    lh_buf_append(out, time, strlen("2025-01-01 00:00:00"));
    lh_buf_append_char(out, ',');
    lh_buf_append_cstr(out, vendors[draw_share(random, LH_COUNT(vendors))]);
    lh_buf_append_char(out, ',');
    put_cents(out, metres / 10); /* kilometres with two digits */
    lh_buf_append_char(out, ',');
    put_cents(out, fare);
    lh_buf_append_char(out, ',');
    put_cents(out, tip);
    lh_buf_append_char(out, ',');
    lh_buf_append(out, text, lh_format_u64(passengers, text));
    lh_buf_append_char(out, ',');
    lh_buf_append_cstr(out, cities[draw_share(random, LH_COUNT(cities))]);
    lh_buf_append_char(out, '\n');
}

static lh_code flush_window(int fd, struct lh_buf *window, const char *path, uint64_t *bytes,
                            struct lh_error *err)
{
    if (lh_cli_interrupted(NULL))
        return lh_fail(err, LH_CANCELLED, "cancelled");
    LH_TRY(lh_write_all(fd, window->data, window->len, path, err));
    *bytes += window->len;
    lh_buf_reset(window);
    return LH_OK;
}

lh_code lh_demo_write_trips(const char *path, int64_t rows, uint64_t *ret_bytes,
                            struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return lh_fail_errno(err, "cannot create %s", path);
    LH_AUTO_BUF struct lh_buf window = LH_BUF_INIT(WINDOW_BYTES);
    struct lh_demo_random random = {20260101};
    uint64_t bytes = 0;
    lh_buf_append_cstr(&window, "id,pickup_time,vendor,distance_km,fare,tip,passengers,city\n");
    for (int64_t id = 1; id <= rows; id++) {
        put_trip(&window, id, &random);
        if (window.len + ROW_BYTES_MAX > WINDOW_BYTES)
            LH_TRY(flush_window(fd, &window, path, &bytes, err));
    }
    LH_TRY(flush_window(fd, &window, path, &bytes, err));
    *ret_bytes = bytes;
    return LH_OK;
}
