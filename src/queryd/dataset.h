/*
 * One snapshot of a dataset as queries need it: columns and files. Immutable and shared by
 * reference.
 */
#ifndef LH_QUERYD_DATASET_H
#define LH_QUERYD_DATASET_H

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdint.h>

struct lh_dataset_file {
    char *key;
    char *etag; /* NULL until it was located */
    uint64_t size;
    char *path; /* the immutable local file; NULL = a copy in the cache is used */
};

struct lh_dataset {
    atomic_uint references;
    char *name; /* canonical: "x" or "namespace.x" */
    char *id;
    char *version; /* names one commit: numbers of snapshots begin anew with a new dataset */
    int64_t snapshot;
    json_t *columns; /* [{"name","type"}] */
    struct lh_dataset_file *files;
    size_t file_count;
};

/* Whether an absolute path lies below `dir`. */
bool lh_is_below(const char *dir, const char *path);

/* From the answer of GET /catalog/datasets/{name}; the files are not located yet. One reference. */
lh_code lh_dataset_parse(const json_t *answer, struct lh_dataset **ret_dataset,
                         struct lh_error *err);
struct lh_dataset *lh_dataset_ref(struct lh_dataset *dataset); /* thread-safe */
void lh_dataset_unref(struct lh_dataset *dataset);             /* thread-safe; accepts NULL */

/* Takes over what is known of the files that `older` has, too: keys name immutable objects. */
void lh_dataset_inherit(struct lh_dataset *dataset, const struct lh_dataset *older);

#endif
