/*
 * Writing numbers without printf and the locale: the shortest decimal that reads back as the same
 * value, and of those the one nearest to it.
 *
 * The digits come from the algorithm Schubfach (Raffaello Giulietti 2020, "The Schubfach way to
 * render doubles"). A value c * 2^q stands for all numbers in its rounding interval. With k such
 * that 10^k is just below the interval's width, the interval holds at most one multiple of
 * 10^(k+1), which is then the shortest, or else at least one of 10^k. Ends and middle of the
 * interval are computed as multiples of 10^k / 4 from a 128-bit power of ten, rounded to odd:
 * enough to compare them exactly.
 */
#include "base/number.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

/* ---- integers ---- */

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

/* ---- powers of ten ---- */

/* The greatest integer that is at most n / 2^shift, for negative n as well. */
static int floor_shift(int n, unsigned shift)
{
    return n >> shift; /* gcc and clang shift the sign in */
}

/* floor(log2(10^e)) for |e| <= 1233 */
static int floor_log2_pow10(int e)
{
    return floor_shift(e * 1741647, 19);
}

enum { POWER_MIN = -292, POWER_MAX = 324 };

/* 10^e = (high * 2^64 + low) * 2^(floor_log2_pow10(e) - 127), rounded up at the last bit. */
struct power {
    uint64_t high;
    uint64_t low;
};

static struct power powers[POWER_MAX - POWER_MIN + 1];
static pthread_once_t powers_made = PTHREAD_ONCE_INIT;

/* A large integer, least word first. 10^324 has 1,077 bits; 2^1216 / 10^292 keeps 246. */
enum { BIG_WORDS = 38 };
struct big {
    uint32_t words[BIG_WORDS];
};

static void big_times_ten(struct big *big)
{
    uint64_t carry = 0;
    for (int i = 0; i < BIG_WORDS; i++) {
        carry += (uint64_t)big->words[i] * 10;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    LH_CHECK(carry == 0);
}

static void big_divide_by_ten(struct big *big)
{
    uint64_t rest = 0;
    for (int i = BIG_WORDS - 1; i >= 0; i--) {
        rest = rest << 32 | big->words[i];
        big->words[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
}

static uint32_t big_word(const struct big *big, int i)
{
    return i >= 0 ? big->words[i] : 0;
}

/* The 128 leading bits; *ret_exact when all bits behind them are 0. */
static struct power big_leading(const struct big *big, bool *ret_exact)
{
    int top = BIG_WORDS - 1;
    while (big->words[top] == 0)
        top--;
    unsigned shift = (unsigned)__builtin_clz(big->words[top]);
    uint64_t parts[4]; /* 32 bits each */
    for (int i = 0; i < 4; i++) {
        uint64_t two = (uint64_t)big_word(big, top - i) << 32 | big_word(big, top - i - 1);
        parts[i] = two << shift >> 32;
    }
    uint64_t behind = (uint64_t)(big_word(big, top - 4) << shift & UINT32_MAX);
    *ret_exact = behind == 0;
    for (int i = top - 5; i >= 0; i--)
        *ret_exact = *ret_exact && big->words[i] == 0;
    return (struct power){parts[0] << 32 | parts[1], parts[2] << 32 | parts[3]};
}

static void put_power(int e, const struct big *big, bool floored)
{
    bool exact;
    struct power power = big_leading(big, &exact);
    if (!exact ||
        floored) { /* rounded up; the low half carries into the high one, which has room */
        power.low++;
        power.high += power.low == 0;
    }
    powers[e - POWER_MIN] = power;
}

/* About 0.1 ms, once in a process, instead of a table of 617 lines. */
static void make_powers(void)
{
    struct big big = {.words = {1}};
    for (int e = 0; e <= POWER_MAX; e++) {
        put_power(e, &big, false);
        if (e < POWER_MAX)
            big_times_ten(&big);
    }
    /* floor(floor(x / 10) / 10) = floor(x / 100): no error adds up. */
    big = (struct big){.words = {[BIG_WORDS - 1] = UINT32_C(1) << 31}};
    for (int e = -1; e >= POWER_MIN; e--) {
        big_divide_by_ten(&big);
        put_power(e, &big, true);
    }
}

static struct power power_of_ten(int e)
{
    LH_CHECK(pthread_once(&powers_made, make_powers) == 0);
    LH_DCHECK(e >= POWER_MIN && e <= POWER_MAX);
    return powers[e - POWER_MIN];
}

/* ---- digits ---- */

/* mantissa * 10^exponent */
struct decimal {
    uint64_t mantissa;
    int exponent;
};

/* c * 2^q, as IEEE 754 has it. */
struct binary {
    uint64_t c;
    int q;
    bool lower_is_closer; /* c is the least of its exponent: the neighbour below is half as far */
};

/* The interval's lower end, the value and the upper end, as multiples of 10^k / 4. */
struct interval {
    uint64_t lower;
    uint64_t value;
    uint64_t upper;
    int k;
};

static struct decimal shortest_in(const struct interval *interval)
{
    uint64_t s = interval->value / 4;
    if (s >= 10) { /* one digit less, if just one of the two candidates is inside */
        uint64_t tens = s / 10;
        bool down = interval->lower <= 40 * tens;
        bool up = 40 * tens + 40 <= interval->upper;
        if (down != up)
            return (struct decimal){tens + up, interval->k + 1};
    }
    bool down = interval->lower <= 4 * s;
    bool up = 4 * s + 4 <= interval->upper;
    if (down != up)
        return (struct decimal){s + up, interval->k};
    uint64_t middle = 4 * s + 2; /* both are inside: the nearer, or the even one */
    bool nearer_up = interval->value > middle || (interval->value == middle && s % 2 == 1);
    return (struct decimal){s + nearer_up, interval->k};
}

/* floor(log10(width of the interval)) */
static int interval_exponent(const struct binary *binary)
{
    return floor_shift(binary->q * 1262611 - (binary->lower_is_closer ? 524031 : 0), 22);
}

/* g * factor / 2^128, with the last bit set when anything was cut off ("rounded to odd"). */
static uint64_t times_128(struct power g, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)g.low * factor;
    unsigned __int128 product = (unsigned __int128)g.high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* The same with 64 bits of the power and 32 of the result: enough for a float. */
static uint64_t times_64(uint64_t g, uint64_t factor)
{
    unsigned __int128 product = (unsigned __int128)g * factor;
    return (uint64_t)(product >> 64) | ((uint64_t)product >> 32 > 1);
}

static struct decimal shortest_f64(struct binary binary)
{
    int k = interval_exponent(&binary);
    int h = binary.q + floor_log2_pow10(-k) + 1;
    struct power g = power_of_ten(-k);
    bool closed = binary.c % 2 == 0; /* ties go to even: the ends belong to an even c */
    uint64_t four = 4 * binary.c;
    struct interval interval = {
        .lower = times_128(g, (four - 2 + binary.lower_is_closer) << h) + !closed,
        .value = times_128(g, four << h),
        .upper = times_128(g, (four + 2) << h) - !closed,
        .k = k,
    };
    return shortest_in(&interval);
}

static struct decimal shortest_f32(struct binary binary)
{
    int k = interval_exponent(&binary);
    int h = binary.q + floor_log2_pow10(-k) + 1;
    struct power wide = power_of_ten(-k);
    uint64_t g = wide.high + (wide.low != 0); /* rounded up, as the wide one */
    bool closed = binary.c % 2 == 0;
    uint64_t four = 4 * binary.c;
    struct interval interval = {
        .lower = times_64(g, (four - 2 + binary.lower_is_closer) << h) + !closed,
        .value = times_64(g, four << h),
        .upper = times_64(g, (four + 2) << h) - !closed,
        .k = k,
    };
    return shortest_in(&interval);
}

/* From the parts of a number that is finite and not 0. */
static struct binary binary_of(uint64_t fraction, unsigned exponent, unsigned fraction_bits,
                               int bias)
{
    bool normal = exponent != 0;
    return (struct binary){
        .c = fraction | (uint64_t)normal << fraction_bits,
        .q = (normal ? (int)exponent : 1) - bias - (int)fraction_bits,
        .lower_is_closer = fraction == 0 && exponent > 1,
    };
}

/* ---- layout ---- */

static struct decimal without_trailing_zeros(struct decimal number)
{
    static const struct {
        uint64_t divisor;
        int zeros;
    } steps[] = {{100000000, 8}, {10000, 4}, {100, 2}, {10, 1}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        /* Once each but for the first: 19 digits may have sixteen zeros and more. */
        while (number.mantissa % steps[i].divisor == 0) {
            number.mantissa /= steps[i].divisor;
            number.exponent += steps[i].zeros;
        }
    }
    return number;
}

/* `count` digits with the point after the first `point`, which may lie before or behind all. */
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

/* ".0" behind the digits of a whole number. */
static size_t put_whole(uint64_t magnitude, char *start, char *out)
{
    out += lh_format_u64(magnitude, out);
    memcpy(out, ".0", 2);
    return (size_t)(out + 2 - start);
}

size_t lh_format_f64(double value, char *out)
{
    enum { FRACTION_BITS = 52, BIAS = 1023 };
    char *start = out;
    if (signbit(value) && !isnan(value))
        *out++ = '-';
    double magnitude = fabs(value);
    char *end = put_special(out, magnitude);
    if (end)
        return (size_t)(end - start);
    if (magnitude < 0x1p53 && magnitude == (double)(uint64_t)magnitude)
        return put_whole((uint64_t)magnitude, start, out);
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    unsigned exponent = (unsigned)(bits >> FRACTION_BITS);
    struct binary binary = binary_of(fraction, exponent, FRACTION_BITS, BIAS);
    return (size_t)(put_decimal(out, shortest_f64(binary)) - start);
}

size_t lh_format_f32(float value, char *out)
{
    enum { FRACTION_BITS = 23, BIAS = 127 };
    char *start = out;
    if (signbit(value) && !isnan(value))
        *out++ = '-';
    float magnitude = fabsf(value);
    char *end = put_special(out, (double)magnitude);
    if (end)
        return (size_t)(end - start);
    if (magnitude < 0x1p24F && magnitude == (float)(uint32_t)magnitude)
        return put_whole((uint32_t)magnitude, start, out);
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    uint32_t fraction = bits & ((UINT32_C(1) << FRACTION_BITS) - 1);
    unsigned exponent = bits >> FRACTION_BITS;
    struct binary binary = binary_of(fraction, exponent, FRACTION_BITS, BIAS);
    return (size_t)(put_decimal(out, shortest_f32(binary)) - start);
}
