/*
 * lh_rows: an array that grows without moving. Address space is reserved once and made usable from
 * the front, so readers keep their pointers while a writer grows it, and nothing is ever copied.
 *
 * New bytes are zero. Growing is for one writer at a time; bytes below what was usable before stay
 * readable by others meanwhile.
 */
#ifndef LH_VECTORD_ROWS_H
#define LH_VECTORD_ROWS_H

#include <stddef.h>

#include "base/error.h"

struct lh_rows {
    unsigned char *base; /* on a 2 MiB boundary */
    size_t usable_bytes;
    size_t reserved_bytes;
    void *mapping;
    size_t mapping_bytes;
    bool huge; /* asked the kernel for huge pages */
};

/* Reserves address space only. LH_INDEX_MEMORY when there is not enough of it. */
lh_code lh_rows_init(struct lh_rows *rows, size_t reserve_bytes, struct lh_error *err);
void lh_rows_deinit(struct lh_rows *rows); /* accepts the zero state */

/* Makes at least `bytes` usable from the front. LH_INDEX_MEMORY beyond the reservation, or when the
 * system has no more memory; then the array is as before. */
lh_code lh_rows_fit(struct lh_rows *rows, size_t bytes, struct lh_error *err);

#endif
