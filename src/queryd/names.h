/*
 * The names of all datasets and what they show at present: kept current by the catalog's change
 * feed. Sorted without case first, then with it. Not thread-safe.
 */
#ifndef LH_QUERYD_NAMES_H
#define LH_QUERYD_NAMES_H

#include "queryd/dataset.h"

struct lh_name {
    char *name;    /* canonical */
    char *version; /* of its last commit */
    int64_t snapshot;
    struct lh_dataset *dataset; /* what was fetched last, perhaps of another version; or NULL */
};

struct lh_names {
    struct lh_name *items;
    size_t count, capacity;
    char *cursor; /* of the feed; NULL = from the beginning */
};

void lh_names_deinit(struct lh_names *names); /* accepts the zero state */

/* Applies an answer of GET /catalog/changes. On failure nothing is changed. */
lh_code lh_names_apply(struct lh_names *names, const json_t *answer, struct lh_error *err);

/* The dataset that `name` means in SQL: the one of that spelling, else the only one that differs in
 * case alone. LH_INVALID_SQL with the nearest names as a hint, or because several fit. */
lh_code lh_names_find(const struct lh_names *names, lh_str name, struct lh_name **ret_name,
                      struct lh_error *err);

#endif
