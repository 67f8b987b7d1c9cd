/*
 * Numbers as text: the shortest decimal that reads back as the same value, independent of the
 * locale. (The hot path of every result that leaves as JSON or CSV.)
 */
#ifndef LH_BASE_NUMBER_H
#define LH_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum { LH_NUMBER_MAX = 32 };

/* Each writes at most LH_NUMBER_MAX bytes, no terminator, and returns how many. NaN and infinities
 * are written as nan, inf, -inf: a caller whose format has no such words asks isfinite() first. A
 * float that is whole is written with ".0" so that readers keep its type. */
size_t lh_format_f64(double value, char *out);
size_t lh_format_f32(float value, char *out);
size_t lh_format_i64(int64_t value, char *out);
size_t lh_format_u64(uint64_t value, char *out);

/* Reads one JSON number at the start of [text, end) into a float, rounded to nearest; returns the
 * end of the number, or NULL when there is none or it overflows a float. Used for vectors in
 * bodies. */
const char *lh_scan_f32(const char *text, const char *end, float *ret);

#endif
