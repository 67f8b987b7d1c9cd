/* What the readers of bodies share (body.c, body_search.c, body_raw.c). */
#ifndef LH_VECTORD_BODY_PRIVATE_H
#define LH_VECTORD_BODY_PRIVATE_H

#include "vectord/body.h"
#include "vectord/scan.h"

enum { LH_BODY_PROBLEM_MAX = 160 };

/* The first thing that is wrong with the item being read; "" = nothing. */
struct lh_body_problem {
    char text[LH_BODY_PROBLEM_MAX];
};
void lh_body_set_problem(struct lh_body_problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An array of `dimension` numbers, prepared for the index. What is wrong with it is a problem, what
 * is no JSON a failure. */
lh_code lh_body_read_vector(struct lh_scan *scan, const struct lh_body_limits *limits, float *out,
                            struct lh_body_problem *problem, struct lh_error *err);

/* An id: a string, or a whole number of 64 bits, which stands for its decimal text. */
lh_code lh_body_read_id(struct lh_scan *scan, lh_str *ret, struct lh_body_problem *problem,
                        struct lh_error *err);

/* A filter; all of it goes into the scanner's arena. */
lh_code lh_body_read_filter(struct lh_scan *scan, struct lh_condition *ret, struct lh_error *err);

/* Room for what a body of that many bytes decodes to. */
size_t lh_body_arena_max(size_t body_len, const struct lh_body_limits *limits);

#endif
