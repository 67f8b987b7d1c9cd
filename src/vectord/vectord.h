/*
 * vectord: vector indexes, in memory, kept in the object store. This is the core: it needs no
 * socket, and api*.c adds none but HTTP to it.
 *
 * Names of indexes: [A-Za-z_][A-Za-z0-9_-]{0,127}. All functions are thread-safe.
 */
#ifndef LH_VECTORD_VECTORD_H
#define LH_VECTORD_VECTORD_H

#include "service/settings.h"
#include "vectord/collection.h"

struct lh_vectord;

/* The service, for its main. */
extern const struct lh_service lh_vectord_service;

/* The instruction set of all indexes of the process (vectord.isa), before there are any. LH_INVALID
 * when this processor does not have it. */
lh_code lh_vectord_use_isa(const char *name, struct lh_error *err);

/* Settings and store are borrowed; store NULL = memory only. */
struct lh_vectord *lh_vectord_new(const struct lh_vectord_settings *settings,
                                  struct lh_objstore *store);
/* Stops the background; changes that durability async has not saved yet are saved, as far as one
 * attempt goes. Accepts NULL. */
void lh_vectord_free(struct lh_vectord *vectord);

/* Finds all indexes in the store (waiting for it as long as it cannot be reached), loads them in
 * bounded parallel, starts the background. An index that cannot be loaded is a state of that index,
 * not a failure. `stopping` ends it early with LH_CANCELLED. */
lh_code lh_vectord_start(struct lh_vectord *vectord, bool (*stopping)(const void *ctx),
                         const void *ctx, struct lh_error *err);
/* Long waits of the background end. */
void lh_vectord_stop(struct lh_vectord *vectord);

/* What is asked of a new index; the rest of the config is filled in. */
struct lh_create {
    lh_str name;
    int64_t dimension;
    enum lh_metric metric;
    int64_t m;
    int64_t ef_construction;
    enum lh_quantization quantization;
};
enum { LH_M_DEFAULT = 16, LH_EF_CONSTRUCTION_DEFAULT = 200 };

/* *ret_created = false when it exists just so. LH_INVALID, LH_INVALID_NAME, LH_EXISTS when it
 * differs, LH_INDEX_CORRUPT, LH_INDEX_MEMORY beyond indexes_max. Durable when it returns. */
lh_code lh_vectord_create(struct lh_vectord *vectord, const struct lh_create *create,
                          bool *ret_created, struct lh_error *err);

/* The objects are gone when it returns LH_OK. After a failure the index answers no more, and the
 * background goes on deleting. LH_NOT_FOUND. */
lh_code lh_vectord_drop(struct lh_vectord *vectord, lh_str name, struct lh_error *err);

/* Unref it. LH_NOT_FOUND, LH_INVALID_NAME. */
lh_code lh_vectord_find(struct lh_vectord *vectord, lh_str name,
                        struct lh_collection **ret_collection, struct lh_error *err);

/* Up to `max` indexes with the prefix whose names come after `after`, in byte order; the caller
 * unrefs each. Returns how many. */
size_t lh_vectord_list(struct lh_vectord *vectord, lh_str prefix, lh_str after, size_t max,
                       struct lh_collection **ret_collections);

struct lh_commons *lh_vectord_commons(struct lh_vectord *vectord);

#endif
