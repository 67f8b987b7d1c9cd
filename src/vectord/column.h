/*
 * lh_column: what one field holds in every slot, as numbers of a dictionary (see fields.h).
 * thread-compatible.
 */
#ifndef LH_VECTORD_COLUMN_H
#define LH_VECTORD_COLUMN_H

#include "vectord/filter.h"
#include "vectord/index.h"

/* Memory that is counted: in the budget, and for statistics. */
struct lh_counted {
    struct lh_budget *budget; /* may be NULL */
    uint64_t bytes;
};

/* A grown copy of the array, which is freed; NULL and LH_INDEX_MEMORY with the array as it was. */
void *lh_counted_grow(struct lh_counted *counted, void *array, size_t *capacity, size_t need,
                      size_t element_bytes, struct lh_error *err);
void lh_counted_free(struct lh_counted *counted, void *array, size_t capacity,
                     size_t element_bytes);

/* One different content of the field: its values one after another, encoded. */
struct lh_content {
    uint64_t offset; /* in `bytes` */
    uint32_t len;
    uint32_t tag; /* of its hash; also its place in the table */
};

struct lh_column {
    char *field;
    uint64_t used_at; /* for the owner: when it was used last */
    uint32_t *codes;  /* by slot: number of a content; 0 = the field is not there */
    size_t code_max;
    uint32_t slots;              /* that have been read */
    struct lh_content *contents; /* the first one stands for "not there" */
    size_t content_count, content_max;
    char *bytes;
    size_t byte_count, byte_max;
    uint32_t *table; /* numbers of contents by hash, linear probing; 0 = free */
    size_t table_size;
};

void lh_column_init(struct lh_column *column, lh_str field);
void lh_column_deinit(struct lh_column *column, struct lh_counted *counted);

/* Reads the slots up to `slots`. LH_INDEX_MEMORY, with those before the failure read. */
lh_code lh_column_catch_up(struct lh_column *column, const struct lh_vindex *index, uint32_t slots,
                           struct lh_counted *counted, struct lh_error *err);

/* Whether a content fulfils a condition on the field. */
bool lh_column_takes(const struct lh_column *column, const struct lh_filter *condition,
                     uint32_t code);

#endif
