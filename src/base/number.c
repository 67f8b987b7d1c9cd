/*
 * Numbers as text, both ways, without printf and the locale on the usual path.
 *
 * Both directions rest on one fact: integers below 2^53 and the powers of ten up to 10^22 are exact
 * as doubles, so m * 10^k and m / 10^k of such operands are rounded once, and are therefore the
 * value that a correct reader gives for the decimal "m e k" (Clinger 1990, "How to read floating
 * point numbers accurately", the fast path). What does not fit goes through libc.
 *
 * Where a double is only a step to a float, the second rounding is right unless the double lies
 * exactly half-way between two floats: then the first rounding may have hidden on which side the
 * decimal was.
 */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { EXACT_POWER_MAX = 22 };

static const double powers_of_ten[EXACT_POWER_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static const uint64_t exact_integer_max = UINT64_C(1) << 53;

/* mantissa * 10^exponent */
struct decimal {
    uint64_t mantissa;
    int exponent;
};

/* ---- writing ---- */

static const char digit_pairs[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

size_t lh_format_u64(uint64_t value, char *out)
{
    char digits[20];
    char *first = digits + sizeof(digits);
    while (value >= 100) {
        first -= 2;
        memcpy(first, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, digit_pairs + value * 2, 2);
    } else {
        *--first = (char)('0' + value);
    }
    size_t len = (size_t)(digits + sizeof(digits) - first);
    memcpy(out, first, len);
    return len;
}

size_t lh_format_i64(int64_t value, char *out)
{
    if (value >= 0)
        return lh_format_u64((uint64_t)value, out);
    *out = '-';
    return 1 + lh_format_u64(0 - (uint64_t)value, out + 1);
}

static struct decimal without_trailing_zeros(struct decimal number)
{
    while (number.mantissa % 10 == 0) {
        number.mantissa /= 10;
        number.exponent++;
    }
    return number;
}

/* `count` digits with the point after the first `point` of them, which may be before or behind all.
 */
static char *put_fixed(char *out, const char *digits, int count, int point)
{
    if (point <= 0) {
        *out++ = '0';
        *out++ = '.';
        memset(out, '0', (size_t)-point);
        out += -point;
        memcpy(out, digits, (size_t)count);
        return out + count;
    }
    int whole = point < count ? point : count;
    memcpy(out, digits, (size_t)whole);
    out += whole;
    memset(out, '0', (size_t)(point - whole));
    out += point - whole;
    *out++ = '.';
    if (whole == count) {
        *out++ = '0';
        return out;
    }
    memcpy(out, digits + whole, (size_t)(count - whole));
    return out + (count - whole);
}

/* d.ddde-7 */
static char *put_scientific(char *out, const char *digits, int count, int point)
{
    *out++ = digits[0];
    if (count > 1) {
        *out++ = '.';
        memcpy(out, digits + 1, (size_t)(count - 1));
        out += count - 1;
    }
    *out++ = 'e';
    return out + lh_format_i64(point - 1, out);
}

/* The layout that Python and Java users know: plain digits from 0.0001 to below 10^16. */
static char *put_decimal(char *out, struct decimal number)
{
    enum { POINT_MIN = -3, POINT_MAX = 16 };
    number = without_trailing_zeros(number);
    char digits[LH_NUMBER_MAX];
    int count = (int)lh_format_u64(number.mantissa, digits);
    int point = count + number.exponent;
    if (point >= POINT_MIN && point <= POINT_MAX)
        return put_fixed(out, digits, count, point);
    return put_scientific(out, digits, count, point);
}

/* Words for what is no number, and zero; NULL for all else. */
static char *put_special(char *out, double magnitude)
{
    const char *word = isnan(magnitude) ? "nan" : isinf(magnitude) ? "inf" : "0.0";
    if (isfinite(magnitude) && magnitude != 0)
        return NULL;
    size_t len = strlen(word);
    memcpy(out, word, len);
    return out + len;
}

/* value * 10^power for |power| <= 22, rounded once when value is an integer below 2^53. */
static double scale(double value, int power)
{
    return power >= 0 ? value * powers_of_ten[power] : value / powers_of_ten[-power];
}

/* floor(log10(value)) or one less. */
static int decimal_exponent(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    int binary = (int)(bits >> 52) - 1023;
    return (binary * 1233) >> 12; /* 1233 / 4096 is just below log10(2) */
}

/* `value` rounded to `count` digits, at most 15; false when that takes a power beyond the exact
 * ones. */
static bool round_to_digits(double value, int count, struct decimal *ret)
{
    int power = count - 1 - decimal_exponent(value);
    if (power > EXACT_POWER_MAX)
        power = EXACT_POWER_MAX; /* fewer digits, which may still be enough */
    if (power <= -EXACT_POWER_MAX)
        return false;
    double scaled = scale(value, power);
    if (scaled >= powers_of_ten[count])
        scaled = scale(value, --power);
    *ret = (struct decimal){(uint64_t)(scaled + 0.5), -power};
    return ret->mantissa > 0;
}

/* Whether every reader gives `value` for the decimal. Fifteen digits always survive the way through
 * `value` and back, so a decimal that short, if there is one, is what round_to_digits finds. */
static bool short_f64(double value, struct decimal *ret)
{
    return round_to_digits(value, DBL_DIG, ret) &&
           scale((double)ret->mantissa, ret->exponent) == value;
}

/* "d.ddde-07", as printf writes it. */
static struct decimal parse_printed(const char *text)
{
    struct decimal number = {0, 0};
    int fraction_digits = 0;
    const char *at = text;
    for (; *at != 'e'; at++) {
        if (*at == '.')
            continue;
        number.mantissa = number.mantissa * 10 + (uint64_t)(*at - '0');
        fraction_digits += at > text;
    }
    number.exponent = (int)strtol(at + 1, NULL, 10) - fraction_digits;
    return number;
}

static struct decimal long_f64(double value)
{
    char text[LH_NUMBER_MAX];
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return parse_printed(text);
}

size_t lh_format_f64(double value, char *out)
{
    char *start = out;
    if (signbit(value) && !isnan(value))
        *out++ = '-';
    double magnitude = fabs(value);
    char *end = put_special(out, magnitude);
    if (end)
        return (size_t)(end - start);
    if (magnitude < (double)exact_integer_max && magnitude == (double)(uint64_t)magnitude) {
        out += lh_format_u64((uint64_t)magnitude, out);
        memcpy(out, ".0", 2);
        return (size_t)(out + 2 - start);
    }
    struct decimal number;
    if (!short_f64(magnitude, &number))
        number = long_f64(magnitude);
    return (size_t)(put_decimal(out, number) - start);
}

/* The bits of a double that a float has no room for. */
static const uint64_t float_rest_mask = (UINT64_C(1) << 29) - 1;

/* Rounds to float; false where rounding twice may differ from rounding once (see the head). Below
 * the least normal float half-way points have other bits, so all of that range counts as doubtful.
 */
static bool narrow(double value, float *ret)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bool half_way = (bits & float_rest_mask) == UINT64_C(1) << 28;
    if (half_way || value < (double)FLT_MIN)
        return false;
    *ret = (float)value;
    return true;
}

static bool short_f32(float value, struct decimal *ret)
{
    for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        float back;
        if (!round_to_digits((double)value, digits, ret) || ret->exponent > EXACT_POWER_MAX ||
            ret->exponent < -EXACT_POWER_MAX)
            return false;
        if (narrow(scale((double)ret->mantissa, ret->exponent), &back) && back == value)
            return true;
    }
    return false;
}

static struct decimal long_f32(float value)
{
    char text[LH_NUMBER_MAX];
    for (int digits = 1; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return parse_printed(text);
}

size_t lh_format_f32(float value, char *out)
{
    enum { EXACT_FLOAT_INTEGER_MAX = 1 << 24 };
    char *start = out;
    if (signbit(value) && !isnan(value))
        *out++ = '-';
    float magnitude = fabsf(value);
    char *end = put_special(out, (double)magnitude);
    if (end)
        return (size_t)(end - start);
    if (magnitude < EXACT_FLOAT_INTEGER_MAX && magnitude == (float)(uint32_t)magnitude) {
        out += lh_format_u64((uint32_t)magnitude, out);
        memcpy(out, ".0", 2);
        return (size_t)(out + 2 - start);
    }
    struct decimal number;
    if (!short_f32(magnitude, &number))
        number = long_f32(magnitude);
    return (size_t)(put_decimal(out, number) - start);
}

/* ---- reading ---- */

enum {
    MANTISSA_DIGITS = 19, /* always fit 64 bits */
    EXPONENT_MAX = 1000000000,
};

/* A number as it stands in the text (RFC 8259 section 6). */
struct token {
    const char *digits;     /* first digit of the integer part */
    const char *digits_end; /* after the last digit of the fraction */
    const char *end;
    uint64_t mantissa; /* the first significant digits, at most 19 */
    int64_t exponent;  /* so that mantissa * 10^exponent is the value, were no digit dropped */
    int64_t written;   /* what stands after the e */
    bool negative;
    bool dropped; /* digits beyond the 19th */
};

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Adds a run of digits to the mantissa; returns the end of the run. */
static const char *scan_digits(struct token *token, const char *at, const char *end,
                               bool is_fraction)
{
    const uint64_t full = UINT64_C(1000000000000000000); /* 10^18: one more digit still fits */
    for (; is_digit(at, end); at++) {
        if (token->mantissa < full) {
            token->mantissa = token->mantissa * 10 + (uint64_t)(*at - '0');
            token->exponent -= is_fraction;
        } else {
            token->dropped = true;
            token->exponent += !is_fraction;
        }
    }
    return at;
}

/* "e-7": NULL when no digit follows. Saturates, for a float is 0 or infinite long before. */
static const char *scan_exponent(struct token *token, const char *at, const char *end)
{
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (!is_digit(at, end))
        return NULL;
    int64_t value = 0;
    for (; is_digit(at, end); at++) {
        if (value < EXPONENT_MAX)
            value = value * 10 + (*at - '0');
    }
    token->written = negative ? -value : value;
    token->exponent += token->written;
    return at;
}

static bool scan_token(const char *text, const char *end, struct token *ret)
{
    *ret = (struct token){.negative = text < end && *text == '-'};
    const char *at = text + ret->negative;
    if (!is_digit(at, end))
        return false;
    ret->digits = at;
    if (*at == '0')
        at++; /* a digit after it is not part of the number */
    else
        at = scan_digits(ret, at, end, false);
    if (at < end && *at == '.') {
        if (!is_digit(at + 1, end))
            return false;
        at = scan_digits(ret, at + 1, end, true);
    }
    ret->digits_end = at;
    if (at < end && (*at == 'e' || *at == 'E'))
        at = scan_exponent(ret, at, end);
    ret->end = at;
    return at != NULL;
}

/* The number for strtof, short and terminated: the first 120 significant digits, a 1 for all that
 * is dropped (no half-way point of floats has more than 113 digits, so it only breaks ties), and
 * the exponent. */
static float slow_f32(const struct token *token)
{
    enum { DIGITS_MAX = 120 };
    char text[DIGITS_MAX + LH_NUMBER_MAX];
    size_t len = 0;
    bool in_fraction = false, rest = false;
    int64_t shift = 0; /* of the decimal point, from the digits to the copy */
    for (const char *at = token->digits; at < token->digits_end; at++) {
        if (*at == '.') {
            in_fraction = true;
            continue;
        }
        bool kept = len < DIGITS_MAX && (len > 0 || *at != '0');
        if (kept)
            text[len++] = *at;
        else if (len > 0)
            rest |= *at != '0';
        shift += !kept && len > 0 && !in_fraction;
        shift -= in_fraction && (kept || len == 0);
    }
    int64_t exponent = token->written + shift;
    if (rest) {
        text[len++] = '1';
        exponent--;
    }
    LH_CHECK(len > 0);
    exponent = exponent > EXPONENT_MAX ? EXPONENT_MAX : exponent;
    exponent = exponent < -EXPONENT_MAX ? -EXPONENT_MAX : exponent;
    text[len++] = 'e';
    len += lh_format_i64(exponent, text + len);
    text[len] = '\0';
    return strtof(text, NULL);
}

const char *lh_scan_f32(const char *text, const char *end, float *ret)
{
    struct token token;
    if (!scan_token(text, end, &token))
        return NULL;
    float value = 0;
    bool exact = !token.dropped && token.mantissa < exact_integer_max &&
                 token.exponent >= -EXACT_POWER_MAX && token.exponent <= EXACT_POWER_MAX;
    if (token.mantissa != 0 &&
        (!exact || !narrow(scale((double)token.mantissa, (int)token.exponent), &value)))
        value = slow_f32(&token);
    if (isinf(value))
        return NULL;
    *ret = token.negative ? -value : value;
    return token.end;
}
