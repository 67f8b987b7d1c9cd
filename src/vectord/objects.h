/*
 * The objects of an index in the store: keys, and requests with the deadline of the settings.
 *
 *   _vectors/NAME.lhv1                      the snapshot; whether it exists is whether the index
 * exists _vectors/NAME/log/SEQUENCE.lhvl         twenty digits, so that the order of keys is the
 * order
 *
 * thread-safe. Without a store none of these may be called.
 */
#ifndef LH_VECTORD_OBJECTS_H
#define LH_VECTORD_OBJECTS_H

#include "vectord/commons.h"
#include "vectord/lhv1.h"

/* One log object. put: LH_PRECONDITION when the sequence is taken. get: the object into `out`. */
lh_code lh_objects_put_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                           lh_str object, struct lh_error *err);
lh_code lh_objects_get_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                           struct lh_buf *out, struct lh_error *err);
lh_code lh_objects_delete_log(struct lh_commons *commons, const char *name, uint64_t sequence,
                              struct lh_error *err);

/* Calls on_log for the log's objects in order of their sequences; keys of another shape are left
 * out. */
lh_code lh_objects_list_log(struct lh_commons *commons, const char *name,
                            lh_code (*on_log)(void *ctx, uint64_t sequence, uint64_t bytes,
                                              struct lh_error *err),
                            void *ctx, struct lh_error *err);

/* Deletes the log objects up to a sequence (UINT64_MAX: all of them). The first failure ends it. */
lh_code lh_objects_sweep_log(struct lh_commons *commons, const char *name, uint64_t sequence_max,
                             struct lh_error *err);

/* The snapshot. put: if `etag` is "" the key must be free, else it must have this etag; ret_etag
 * gets the new one, ret_bytes the size. LH_PRECONDITION. */
lh_code lh_objects_put_snapshot(struct lh_commons *commons, const char *name,
                                const struct lh_frozen *frozen, const char *etag,
                                char ret_etag[LH_ETAG_SIZE], uint64_t *ret_bytes,
                                struct lh_error *err);
lh_code lh_objects_get_snapshot(struct lh_commons *commons, const char *name, lh_deadline deadline,
                                lh_code (*write)(void *ctx, const void *bytes, size_t len,
                                                 struct lh_error *err),
                                void *ctx, struct lh_object_info *ret_info, struct lh_error *err);
lh_code lh_objects_delete_snapshot(struct lh_commons *commons, const char *name,
                                   struct lh_error *err);

/* Names of all indexes that have a snapshot, and of those that have a log only (ctx, name, has
 * snapshot), in order. */
lh_code lh_objects_list(struct lh_commons *commons,
                        void (*on_index)(void *ctx, lh_str name, bool has_snapshot), void *ctx,
                        struct lh_error *err);

/* Asks the store whether it is there, so that /health sees its return without traffic. */
void lh_objects_probe(struct lh_commons *commons);

/* [A-Za-z_][A-Za-z0-9_-]{0,127} */
bool lh_vindex_name_valid(lh_str name);

#endif
