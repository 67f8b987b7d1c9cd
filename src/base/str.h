/*
 * lh_str: a borrowed run of bytes (pointer and length, no terminator promised). It owns nothing and
 * is passed by value; whoever holds the bytes must outlive it.
 */
#ifndef LH_BASE_STR_H
#define LH_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *ptr;
    size_t len;
} lh_str;

#define LH_STR(literal) ((lh_str){"" literal, sizeof(literal) - 1})
#define LH_STR_NONE     ((lh_str){NULL, 0})
/* For printf: "%.*s", LH_FMT(text) */
#define LH_FMT(text) (int)(text).len, (text).ptr

lh_str lh_str_from(const char *text); /* NULL gives LH_STR_NONE */
lh_str lh_str_of(const char *ptr, size_t len);
bool lh_str_eq(lh_str a, lh_str b);
bool lh_str_is(lh_str text, const char *literal);
bool lh_str_eq_nocase(lh_str a, lh_str b); /* ASCII only */
bool lh_str_starts(lh_str text, const char *prefix);
bool lh_str_starts_nocase(lh_str text, lh_str prefix); /* ASCII only */
bool lh_str_ends(lh_str text, const char *suffix);
int lh_str_compare(lh_str a, lh_str b); /* by bytes, as memcmp, shorter first */
lh_str lh_str_trim(lh_str text);        /* spaces and tabs on both sides */
lh_str lh_str_skip(lh_str text, size_t count);

/* Cuts text at the first `separator`: *ret_head is what stands before it, *rest what stands after.
 * False when the rest was already used up. Use: while (lh_str_next(&rest, ',', &item)) ... */
bool lh_str_next(lh_str *rest, char separator, lh_str *ret_head);

/* The whole text must be a number in range; otherwise false and *ret is untouched. Decimal only. */
bool lh_str_to_u64(lh_str text, uint64_t *ret);
bool lh_str_to_i64(lh_str text, int64_t *ret);

/* True if the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool lh_utf8_valid(lh_str text);

/* Bytes of the well-formed character at the start of text; 0 if there is none. */
size_t lh_utf8_length(lh_str text);

/* Decodes %XX exactly once into `out` (at least text.len bytes; may not overlap). '+' stays a plus
 * unless `plus_is_space`. False on a bad escape. */
bool lh_percent_decode(lh_str text, bool plus_is_space, char *out, size_t *ret_len);

/* Lower-case hex; out holds 2 * len + 1 bytes. */
void lh_hex(const void *bytes, size_t len, char *out);
bool lh_unhex(lh_str hex, void *out, size_t out_len);
/* A number of 16 digits, the highest first; false for anything else. */
bool lh_unhex_u64(lh_str hex, uint64_t *ret);
/* The value of a hex digit, or -1. */
int lh_hex_value(char c);

/* Distance of Damerau and Levenshtein, for "did you mean"; of the first 64 bytes of each. */
unsigned lh_edit_distance(lh_str a, lh_str b);

/* The candidate nearest to `word` when it is near enough to be a misspelling, else NULL. */
const char *lh_nearest(lh_str word, const char *const *candidates, size_t count);

#endif
