/*
 * The catalog: which datasets there are, and what each is made of. The core, without sockets;
 * api*.c is its HTTP face. What is true stands in the store, one manifest a dataset (manifest.h);
 * memory is a copy of it. Every function is thread-safe. What it hands out is a copy or an
 * immutable reference.
 *
 * README.md of this folder: the files in reading order, the invariants, the states of an entry.
 */
#ifndef LH_CATALOGD_CATALOGD_H
#define LH_CATALOGD_CATALOGD_H

#include "base/clock.h"
#include "base/error.h"
#include "catalogd/changes.h"
#include "catalogd/commit.h"
#include "catalogd/dataset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_catalog;
struct lh_objstore;
struct lh_service;

/* For the program's main (api_service.c). */
extern const struct lh_service lh_catalogd_service;

struct lh_catalog_options {
    struct lh_objstore *store; /* borrowed */
    size_t manifest_bytes_max;
    size_t datasets_max;
    size_t snapshots_max;
    size_t load_parallel;
    int64_t load_timeout_ms;    /* of one manifest at start */
    int64_t storage_timeout_ms; /* of the store's part in one change */
    size_t waiters_max;
};

struct lh_catalog *lh_catalog_new(const struct lh_catalog_options *options);
void lh_catalog_free(struct lh_catalog *catalog); /* no call may be under way */

/* Fills memory from the store; once, before anything else. Waits with back-off for a store that is
 * away. A manifest that cannot be read is an entry of its own (see lh_catalog_item) and no failure.
 * LH_CANCELLED when `stopping` says so. */
lh_code lh_catalog_load(struct lh_catalog *catalog, bool (*stopping)(const void *ctx),
                        const void *ctx, struct lh_error *err);

/* Ends every wait for changes, now and from now on. */
void lh_catalog_stop(struct lh_catalog *catalog);

/* ---- changes to one dataset ----
 *
 * Durable in the store when they return LH_OK, and visible to every call after it. Names are
 * canonical (lh_dataset_name_parse). Beside what is said: LH_CORRUPT when the manifest is damaged
 * (it is never overwritten), LH_CONFLICT when others write all the time, LH_UNAVAILABLE, LH_TIMEOUT
 * and whatever else the store fails with; after such a failure the change may have happened. */

struct lh_commit_result {
    struct lh_dataset *dataset; /* the state after it; one reference, the caller's */
    enum lh_commit_status status;
};

/* lh_commit_apply's rules. LH_BAD_DATA when an object is not in the store or has another size
 * there, LH_TOO_LARGE when the manifest would be, LH_STORAGE_FULL beyond datasets_max. */
lh_code lh_catalog_commit(struct lh_catalog *catalog, const struct lh_commit_request *request,
                          struct lh_commit_result *ret_result, struct lh_error *err);
lh_code lh_catalog_restore(struct lh_catalog *catalog, lh_str name, int64_t snapshot,
                           struct lh_commit_result *ret_result, struct lh_error *err);
/* LH_EXISTS when there is a dataset of that name. */
lh_code lh_catalog_rename(struct lh_catalog *catalog, lh_str name, lh_str to,
                          struct lh_commit_result *ret_result, struct lh_error *err);
/* `purge`: afterwards its objects are removed from the store, too, but for those that another
 * dataset names. LH_NOT_FOUND. LH_UNAVAILABLE when objects were left behind. */
lh_code lh_catalog_delete(struct lh_catalog *catalog, lh_str name, bool purge,
                          struct lh_error *err);

/* ---- reading ---- */

/* One reference, the caller's. LH_NOT_FOUND, LH_CORRUPT (or why else its manifest could not be
 * read). */
lh_code lh_catalog_get(struct lh_catalog *catalog, lh_str name, struct lh_dataset **ret_dataset,
                       struct lh_error *err);

struct lh_catalog_item {
    struct lh_dataset *dataset; /* NULL: the manifest could not be read */
    char dataset_id[LH_UUID_TEXT];
    struct lh_error *failure; /* why not; NULL for a dataset */
};

/* Datasets by name, then, without a prefix, the unreadable ones by id. */
struct lh_catalog_page {
    struct lh_catalog_item *items;
    size_t count;
    char next[LH_NAME_MAX + 1]; /* cursor of the next page; "" at the end */
};
void lh_catalog_list(struct lh_catalog *catalog, lh_str prefix, lh_str cursor, size_t limit,
                     struct lh_catalog_page *ret_page);
void lh_catalog_page_deinit(struct lh_catalog_page *page);

/* ---- the change feed ---- */

struct lh_catalog_feed {
    char cursor[LH_CURSOR_SIZE];
    bool reset; /* `changes` are all datasets there are: forget what you know */
    struct lh_change *changes;
    size_t count;
};

/* The changes after `cursor`; waits for one until the deadline, `*cancelled` or lh_catalog_stop.
 * LH_BUSY when too many wait already. */
lh_code lh_catalog_changes(struct lh_catalog *catalog, lh_str cursor, lh_deadline deadline,
                           const atomic_bool *cancelled, struct lh_catalog_feed *ret_feed,
                           struct lh_error *err);
/* Makes waiting calls look at their `cancelled`. */
void lh_catalog_wake(struct lh_catalog *catalog);
void lh_catalog_feed_deinit(struct lh_catalog_feed *feed);

/* ---- for /health and /metrics ---- */

struct lh_catalog_stats {
    size_t datasets;
    size_t unreadable;
    size_t waiters;
    uint64_t commits;   /* manifests written */
    uint64_t conflicts; /* conditional puts that lost against another writer */
    bool store_away;    /* the last call to the store failed */
};
/* What a call to the store that was made elsewhere came to. */
void lh_catalog_note_store(struct lh_catalog *catalog, lh_code code);
void lh_catalog_stats(struct lh_catalog *catalog, struct lh_catalog_stats *ret_stats);

#endif
