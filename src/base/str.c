/*
 * Borrowed strings: comparison, cutting, numbers, UTF-8, percent and hex coding, near spellings.
 */
#include "base/str.h"

#include <string.h>

#include "base/check.h"

lh_str lh_str_from(const char *text)
{
    return text ? (lh_str){text, strlen(text)} : LH_STR_NONE;
}

lh_str lh_str_of(const char *ptr, size_t len)
{
    return (lh_str){ptr, len};
}

bool lh_str_eq(lh_str a, lh_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool lh_str_is(lh_str text, const char *literal)
{
    return lh_str_eq(text, lh_str_from(literal));
}

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool lh_str_eq_nocase(lh_str a, lh_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool lh_str_starts(lh_str text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && (len == 0 || memcmp(text.ptr, prefix, len) == 0);
}

bool lh_str_starts_nocase(lh_str text, lh_str prefix)
{
    return text.len >= prefix.len && lh_str_eq_nocase(lh_str_of(text.ptr, prefix.len), prefix);
}

bool lh_str_ends(lh_str text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len >= len && (len == 0 || memcmp(text.ptr + text.len - len, suffix, len) == 0);
}

int lh_str_compare(lh_str a, lh_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

lh_str lh_str_trim(lh_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = lh_str_skip(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

lh_str lh_str_skip(lh_str text, size_t count)
{
    LH_CHECK(count <= text.len);
    return count > 0 ? (lh_str){text.ptr + count, text.len - count} : text;
}

bool lh_str_next(lh_str *rest, char separator, lh_str *ret_head)
{
    if (!rest->ptr)
        return false;
    const char *cut = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!cut) {
        *ret_head = *rest;
        *rest = LH_STR_NONE;
        return true;
    }
    size_t head_len = (size_t)(cut - rest->ptr);
    *ret_head = lh_str_of(rest->ptr, head_len);
    *rest = lh_str_of(cut + 1, rest->len - head_len - 1);
    return true;
}

bool lh_str_to_u64(lh_str text, uint64_t *ret)
{
    if (text.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

bool lh_str_to_i64(lh_str text, int64_t *ret)
{
    bool negative = lh_str_starts(text, "-");
    uint64_t magnitude;
    if (!lh_str_to_u64(lh_str_skip(text, negative), &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* RFC 3629 section 4: the second byte's range depends on the first, the rest are 80 to BF. */
size_t lh_utf8_length(lh_str text)
{
    if (text.len == 0)
        return 0;
    const unsigned char *byte = (const unsigned char *)text.ptr;
    unsigned char lead = byte[0];
    if (lead < 0x80)
        return 1;
    size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.len < len)
        return 0;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte[1] < low || byte[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

bool lh_utf8_valid(lh_str text)
{
    while (text.len > 0) {
        /* Eight ASCII bytes at a time: most text is nothing else. */
        uint64_t eight;
        if (text.len >= sizeof(eight)) {
            memcpy(&eight, text.ptr, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                text = lh_str_skip(text, sizeof(eight));
                continue;
            }
        }
        size_t len = lh_utf8_length(text);
        if (len == 0)
            return false;
        text = lh_str_skip(text, len);
    }
    return true;
}

int lh_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool lh_percent_decode(lh_str text, bool plus_is_space, char *out, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3)
                return false;
            int high = lh_hex_value(text.ptr[i + 1]);
            int low = lh_hex_value(text.ptr[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    *ret_len = len;
    return true;
}

void lh_hex(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[byte[i] >> 4];
        *out++ = digits[byte[i] & 15];
    }
    *out = '\0';
}

bool lh_unhex(lh_str hex, void *out, size_t out_len)
{
    if (hex.len != 2 * out_len)
        return false;
    unsigned char *byte = out;
    for (size_t i = 0; i < out_len; i++) {
        int high = lh_hex_value(hex.ptr[2 * i]);
        int low = lh_hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        byte[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool lh_unhex_u64(lh_str hex, uint64_t *ret)
{
    unsigned char bytes[sizeof(*ret)];
    if (!lh_unhex(hex, bytes, sizeof(bytes)))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        value = value << 8 | bytes[i];
    *ret = value;
    return true;
}

enum { EDIT_BYTES_MAX = 64 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* The restricted form (optimal string alignment): a pair is swapped at most once. Three rows of the
 * table are enough: the swap looks two rows back. */
unsigned lh_edit_distance(lh_str a, lh_str b)
{
    a.len = a.len < EDIT_BYTES_MAX ? a.len : EDIT_BYTES_MAX;
    b.len = b.len < EDIT_BYTES_MAX ? b.len : EDIT_BYTES_MAX;
    unsigned rows[3][EDIT_BYTES_MAX + 1] = {0};
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b.len; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = a.ptr[i - 1] == b.ptr[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            bool swapped =
                i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            if (swapped && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

const char *lh_nearest(lh_str word, const char *const *candidates, size_t count)
{
    /* One slip in three letters still looks like the word; more is another word. */
    unsigned best = (unsigned)(word.len < EDIT_BYTES_MAX ? word.len : EDIT_BYTES_MAX) / 3 + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = lh_edit_distance(word, lh_str_from(candidates[i]));
        if (distance < best || (distance == best && !nearest && distance < word.len)) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
