/*
 * What the catalog has, as queries need it. The names are kept current by the catalog's change
 * feed: one question before a query, shared by all queries that wait for it, so that a query sent
 * after an ingest's answer sees that ingest. A dataset itself is fetched only when it changed.
 * thread-safe.
 */
#ifndef LH_QUERYD_CATALOG_H
#define LH_QUERYD_CATALOG_H

#include "base/clock.h"
#include "queryd/dataset.h"

struct lh_datasets;
struct lh_http_client;
struct lh_objstore;

struct lh_datasets_options {
    const char *url; /* of catalogd, "http://host:port" */
    struct lh_http_client *client;
    struct lh_objstore *store;
    const char *local_root; /* absolute: files below it are read where they are */
    int64_t timeout_ms;     /* of one request */
};

/* The client and the store are borrowed. */
struct lh_datasets *lh_datasets_open(const struct lh_datasets_options *options);
void lh_datasets_close(struct lh_datasets *datasets); /* accepts NULL */

/* Returns when the names are at least as new as the call. LH_UNAVAILABLE when there is no catalog.
 */
lh_code lh_datasets_sync(struct lh_datasets *datasets, lh_deadline deadline, struct lh_error *err);

enum lh_when_unit { LH_WHEN_PRESENT, LH_WHEN_SNAPSHOT, LH_WHEN_TIME };
struct lh_when {
    enum lh_when_unit unit;
    int64_t snapshot;
    const char *time; /* RFC 3339 */
};

/* The dataset that `name` ("x" or "namespace.x", in any case) means in SQL, with its files located.
 * One reference. LH_INVALID_SQL with a hint when there is none; LH_NOT_FOUND when it has no such
 * snapshot. */
lh_code lh_datasets_get(struct lh_datasets *datasets, lh_str name, const struct lh_when *when,
                        lh_deadline deadline, struct lh_dataset **ret_dataset,
                        struct lh_error *err);

/* Calls `each` for every name, in order; under the lock, so it must be quick. */
void lh_datasets_each(struct lh_datasets *datasets, void (*each)(void *ctx, const char *name),
                      void *ctx);

/* Forgets what was fetched of the dataset, so that the next query fetches it anew. */
void lh_datasets_forget(struct lh_datasets *datasets, const struct lh_dataset *dataset);

struct lh_datasets_stats {
    uint64_t names, syncs, fetches;
};
void lh_datasets_stats(struct lh_datasets *datasets, struct lh_datasets_stats *ret_stats);

#endif
