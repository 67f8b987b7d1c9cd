/*
 * Reading floats from JSON text, rounded as strtof rounds, at several times its speed.
 *
 * Integers below 2^53 and the powers of ten up to 10^22 are exact as doubles, so m * 10^k and m /
 * 10^k of such operands are rounded once and are the double nearest to the decimal "m e k" (Clinger
 * 1990, "How to read floating point numbers accurately", the fast path). Narrowing it to a float
 * rounds a second time, which is right unless the double lies exactly half-way between two floats:
 * then the first rounding may have hidden on which side the decimal was. Those, and long numbers,
 * go to strtof.
 */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { EXACT_POWER_MAX = 22 };

static const double powers_of_ten[EXACT_POWER_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static const uint64_t exact_integer_max = UINT64_C(1) << 53;

/* value * 10^power for |power| <= 22, rounded once when value is an integer below 2^53. */
static double scale(double value, int power)
{
    return power >= 0 ? value * powers_of_ten[power] : value / powers_of_ten[-power];
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

enum { EXPONENT_MAX = 1000000000 };

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
