/*
 * What every reader of an input needs.
 */
#ifndef LH_INGESTWORKER_INPUT_H
#define LH_INGESTWORKER_INPUT_H

#include "base/error.h"
#include "base/str.h"

#include <stddef.h>

/* The next bytes of the input, at most `max`; *ret_len = 0 at its end. */
lh_code lh_input_read(int fd, void *bytes, size_t max, size_t *ret_len, struct lh_error *err);

/* At most 200 bytes of a text, cut at the end of a character, as the excerpt of a failure. */
void lh_error_set_excerpt(struct lh_error *err, lh_str text);

#endif
