/*
 * The text of values of fixed size: what CAST(x AS VARCHAR) gives, times in UTC. Digits by hand,
 * since this is the hot path of every result.
 */
#include "duck/encode_private.h"

#include "base/number.h"

#include <string.h>

typedef __int128 i128;
typedef unsigned __int128 u128;

enum { MICROS_PER_SECOND = 1000000, SECONDS_PER_DAY = 86400, MONTHS_PER_YEAR = 12 };

static size_t put_text(char *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out, text, len);
    return len;
}

/* At least `width` digits. */
static size_t put_padded(char *out, uint64_t value, size_t width)
{
    char digits[LH_NUMBER_MAX];
    size_t len = lh_format_u64(value, digits);
    size_t zeros = len < width ? width - len : 0;
    memset(out, '0', zeros);
    memcpy(out + zeros, digits, len);
    return zeros + len;
}

static size_t put_two(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return 2;
}

static size_t put_u128(char *out, u128 value)
{
    char digits[40];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + (unsigned)(value % 10));
        value /= 10;
    } while (value != 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

static i128 i128_of(const duckdb_hugeint *value)
{
    return (i128)(((u128)(uint64_t)value->upper << 64) | value->lower);
}

static size_t put_i128(char *out, i128 value)
{
    if (value >= 0)
        return put_u128(out, (u128)value);
    *out = '-';
    return 1 + put_u128(out + 1, -(u128)value);
}

/* ---- decimals ---- */

static i128 decimal_value(const struct lh_vector *v, idx_t row)
{
    switch (v->storage) {
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)v->data)[row];
    case DUCKDB_TYPE_INTEGER:
        return ((const int32_t *)v->data)[row];
    case DUCKDB_TYPE_BIGINT:
        return ((const int64_t *)v->data)[row];
    default:
        return i128_of(&((const duckdb_hugeint *)v->data)[row]);
    }
}

/* 1234 at scale 3 is 1.234, -5 at scale 2 is -0.05. */
static size_t put_decimal(char *out, i128 value, unsigned scale)
{
    size_t len = 0;
    u128 magnitude = value < 0 ? -(u128)value : (u128)value;
    if (value < 0)
        out[len++] = '-';
    char digits[40];
    size_t count = put_u128(digits, magnitude);
    if (scale == 0) {
        memcpy(out + len, digits, count);
        return len + count;
    }
    size_t whole = count > scale ? count - scale : 0;
    if (whole == 0)
        out[len++] = '0';
    memcpy(out + len, digits, whole);
    len += whole;
    out[len++] = '.';
    for (size_t zeros = scale - (count - whole); zeros > 0; zeros--)
        out[len++] = '0';
    memcpy(out + len, digits + whole, count - whole);
    return len + count - whole;
}

/* ---- dates and times ---- */

/* Days since 1970 to a civil date of the proleptic Gregorian calendar, by eras of 400 years that
 * begin in March, so that the leap day is the last of its year. */
static size_t put_date(char *out, int64_t days)
{
    int64_t shifted = days + 719468; /* days from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2);

    size_t len = put_padded(out, (uint64_t)(year <= 0 ? 1 - year : year), 4);
    out[len++] = '-';
    len += put_two(out + len, month);
    out[len++] = '-';
    len += put_two(out + len, day);
    return year <= 0 ? len + put_text(out + len, " (BC)") : len;
}

static size_t put_day(char *out, int32_t days)
{
    if (days == INT32_MAX)
        return put_text(out, "infinity");
    if (days == -INT32_MAX)
        return put_text(out, "-infinity");
    return put_date(out, days);
}

/* `width` digits of a fraction, without zeros at its end. */
static size_t put_fraction(char *out, uint64_t fraction, size_t width)
{
    if (fraction == 0)
        return 0;
    out[0] = '.';
    size_t len = 1 + put_padded(out + 1, fraction, width);
    while (out[len - 1] == '0')
        len--;
    return len;
}

static size_t put_clock(char *out, uint64_t seconds, uint64_t fraction, size_t width)
{
    size_t len = put_padded(out, seconds / 3600, 2);
    out[len++] = ':';
    len += put_two(out + len, (unsigned)(seconds / 60 % 60));
    out[len++] = ':';
    len += put_two(out + len, (unsigned)(seconds % 60));
    return len + put_fraction(out + len, fraction, width);
}

/* `per_second` ticks a second since 1970, `width` digits of fraction. */
static size_t put_timestamp(char *out, int64_t ticks, int64_t per_second, size_t width,
                            const char *zone)
{
    if (ticks == INT64_MAX)
        return put_text(out, "infinity");
    if (ticks == -INT64_MAX)
        return put_text(out, "-infinity");
    int64_t seconds = ticks / per_second;
    int64_t fraction = ticks % per_second;
    if (fraction < 0) {
        fraction += per_second;
        seconds--;
    }
    int64_t days = seconds / SECONDS_PER_DAY;
    int64_t second_of_day = seconds % SECONDS_PER_DAY;
    if (second_of_day < 0) {
        second_of_day += SECONDS_PER_DAY;
        days--;
    }
    size_t len = put_date(out, days);
    out[len++] = ' ';
    len += put_clock(out + len, (uint64_t)second_of_day, (uint64_t)fraction, width);
    return len + put_text(out + len, zone);
}

static size_t put_unit(char *out, size_t len, int32_t value, const char *unit)
{
    if (value == 0)
        return len;
    if (len > 0)
        out[len++] = ' ';
    len += lh_format_i64(value, out + len);
    len += put_text(out + len, unit);
    if (value != 1 && value != -1)
        out[len++] = 's';
    return len;
}

static size_t put_interval(char *out, const duckdb_interval *value)
{
    size_t len = put_unit(out, 0, value->months / MONTHS_PER_YEAR, " year");
    len = put_unit(out, len, value->months % MONTHS_PER_YEAR, " month");
    len = put_unit(out, len, value->days, " day");
    if (value->micros == 0)
        return len > 0 ? len : put_text(out, "00:00:00");
    if (len > 0)
        out[len++] = ' ';
    if (value->micros < 0)
        out[len++] = '-';
    uint64_t micros = value->micros < 0 ? -(uint64_t)value->micros : (uint64_t)value->micros;
    return len + put_clock(out + len, micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND, 6);
}

/* ---- the rest ---- */

/* DuckDB keeps a UUID as a signed 128-bit number whose order is that of the text: top bit flipped.
 */
static size_t put_uuid(char *out, const duckdb_hugeint *value)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t high = (uint64_t)value->upper ^ (UINT64_C(1) << 63);
    size_t len = 0;
    for (unsigned nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20)
            out[len++] = '-';
        uint64_t half = nibble < 16 ? high : value->lower;
        out[len++] = hex[half >> (60 - 4 * (nibble & 15)) & 15];
    }
    return len;
}

size_t lh_value_text(const struct lh_vector *v, idx_t row, char *out)
{
    switch (v->type) {
    case DUCKDB_TYPE_BOOLEAN:
        return put_text(out, ((const bool *)v->data)[row] ? "true" : "false");
    case DUCKDB_TYPE_TINYINT:
        return lh_format_i64(((const int8_t *)v->data)[row], out);
    case DUCKDB_TYPE_SMALLINT:
        return lh_format_i64(((const int16_t *)v->data)[row], out);
    case DUCKDB_TYPE_INTEGER:
        return lh_format_i64(((const int32_t *)v->data)[row], out);
    case DUCKDB_TYPE_BIGINT:
        return lh_format_i64(((const int64_t *)v->data)[row], out);
    case DUCKDB_TYPE_UTINYINT:
        return lh_format_u64(((const uint8_t *)v->data)[row], out);
    case DUCKDB_TYPE_USMALLINT:
        return lh_format_u64(((const uint16_t *)v->data)[row], out);
    case DUCKDB_TYPE_UINTEGER:
        return lh_format_u64(((const uint32_t *)v->data)[row], out);
    case DUCKDB_TYPE_UBIGINT:
        return lh_format_u64(((const uint64_t *)v->data)[row], out);
    case DUCKDB_TYPE_HUGEINT:
        return put_i128(out, i128_of(&((const duckdb_hugeint *)v->data)[row]));
    case DUCKDB_TYPE_UHUGEINT:
        return put_u128(out, (u128)i128_of(&((const duckdb_hugeint *)v->data)[row]));
    case DUCKDB_TYPE_FLOAT:
        return lh_format_f32(((const float *)v->data)[row], out);
    case DUCKDB_TYPE_DOUBLE:
        return lh_format_f64(((const double *)v->data)[row], out);
    case DUCKDB_TYPE_DECIMAL:
        return put_decimal(out, decimal_value(v, row), v->scale);
    case DUCKDB_TYPE_DATE:
        return put_day(out, ((const int32_t *)v->data)[row]);
    case DUCKDB_TYPE_TIME: {
        uint64_t micros = (uint64_t)((const int64_t *)v->data)[row];
        return put_clock(out, micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND, 6);
    }
    case DUCKDB_TYPE_TIMESTAMP:
        return put_timestamp(out, ((const int64_t *)v->data)[row], MICROS_PER_SECOND, 6, "");
    case DUCKDB_TYPE_TIMESTAMP_TZ:
        return put_timestamp(out, ((const int64_t *)v->data)[row], MICROS_PER_SECOND, 6, "+00");
    case DUCKDB_TYPE_TIMESTAMP_S:
        return put_timestamp(out, ((const int64_t *)v->data)[row], 1, 0, "");
    case DUCKDB_TYPE_TIMESTAMP_MS:
        return put_timestamp(out, ((const int64_t *)v->data)[row], 1000, 3, "");
    case DUCKDB_TYPE_TIMESTAMP_NS:
        return put_timestamp(out, ((const int64_t *)v->data)[row], 1000000000, 9, "");
    case DUCKDB_TYPE_INTERVAL:
        return put_interval(out, &((const duckdb_interval *)v->data)[row]);
    case DUCKDB_TYPE_UUID:
        return put_uuid(out, &((const duckdb_hugeint *)v->data)[row]);
    default:
        LH_UNREACHABLE("a type of variable size has no text here");
        return 0;
    }
}
