/*
 * The catalog from inside: the table of entries, and who may touch what.
 *
 * An entry is one dataset id. States:
 *   absent      no dataset, no failure         no manifest in the store, or one that a rename made
 * void present     dataset, etag                  as in the store when it was last read or written
 *   doubtful    as before, and `doubtful`      a put's outcome is not known: read again before the
 * next change unreadable  failure, no dataset            damaged, too large, of a newer version, or
 * not to be had
 *
 * Whoever changes an entry has its turn (lh_entry_take .. lh_entry_release): one at a time per
 * dataset, with I/O in it. The catalog's mutex is never held across I/O; it guards the table,
 * `by_name`, the entries' fields and the feed. With the turn one may read the entry's fields
 * without the mutex, since only the holder writes them (lh_entry_publish and its kin, which take
 * the mutex). Turns of two entries (rename) are taken in the order of their ids.
 */
#ifndef LH_CATALOGD_CATALOG_PRIVATE_H
#define LH_CATALOGD_CATALOG_PRIVATE_H

#include "base/thread.h"
#include "catalogd/catalogd.h"
#include "store/objstore.h"

struct lh_entry {
    char id[LH_UUID_TEXT];
    struct lh_dataset *dataset;
    char etag[LH_ETAG_SIZE];  /* of the manifest in the store; "" when there is none */
    struct lh_error *failure; /* owned */
    bool doubtful;
    lh_deadline retry;              /* an unreadable or doubtful entry is not read again before */
    char void_nonce[LH_NONCE_SIZE]; /* a manifest with this nonce was renamed away; "" = none */

    bool busy;      /* somebody has the turn */
    unsigned users; /* who have it or wait for it */
    pthread_cond_t turn;
    struct lh_entry *next; /* in the bucket */
};

struct lh_catalog {
    uint32_t magic;
    struct lh_catalog_options options;

    pthread_mutex_t mutex;
    struct lh_entry **buckets; /* by id; a power of two */
    size_t bucket_count;
    size_t entry_count;
    struct lh_entry **by_name; /* those with a dataset, by its name; unsorted while loading */
    size_t named_count, named_capacity;
    size_t unreadable_count;
    bool loading;

    struct lh_changes changes;
    pthread_cond_t changed;
    size_t waiters;
    bool stopping;

    atomic_ullong commits;
    atomic_ullong conflicts;
    atomic_bool store_away;
};

/* ---- catalog.c: the table ---- */

/* Waits for the turn of an id, whose entry is made when there is none. LH_BUSY at the deadline. */
lh_code lh_entry_take(struct lh_catalog *catalog, const char *id, lh_deadline deadline,
                      struct lh_entry **ret_entry, struct lh_error *err);
/* Gives the turn back; an entry that says nothing is dropped from the table. Accepts NULL. */
void lh_entry_release(struct lh_catalog *catalog, struct lh_entry *entry);

/* With the turn: makes it what readers see, and tells the feed when it changed. Takes over the
 * reference; NULL = absent. Clears doubt and failure. */
void lh_entry_publish(struct lh_catalog *catalog, struct lh_entry *entry,
                      struct lh_dataset *dataset, const char *etag);
/* A dataset that a rename made void; `left_behind`: its manifest is still in the store. */
void lh_entry_publish_void(struct lh_catalog *catalog, struct lh_entry *entry, bool left_behind);
/* Both at once: `from` becomes void, `to` becomes the dataset. */
void lh_entry_publish_rename(struct lh_catalog *catalog, struct lh_entry *from, struct lh_entry *to,
                             struct lh_dataset *dataset, const char *etag, bool left_behind);
void lh_entry_set_failure(struct lh_catalog *catalog, struct lh_entry *entry,
                          const struct lh_error *failure);
void lh_entry_set_doubtful(struct lh_catalog *catalog, struct lh_entry *entry);
/* The present dataset of an id without its turn: one reference, or NULL. */
struct lh_dataset *lh_catalog_peek(struct lh_catalog *catalog, const char *id);
/* References to all datasets, in a new array owned by the caller. */
size_t lh_catalog_all(struct lh_catalog *catalog, struct lh_dataset ***ret_datasets);
/* LH_STORAGE_FULL when there are datasets_max. */
lh_code lh_catalog_check_room(struct lh_catalog *catalog, struct lh_error *err);
/* The mutex is held. Index in by_name of the first whose name is not before `name`. */
size_t lh_catalog_lower_bound(const struct lh_catalog *catalog, lh_str name);
/* After loading: sorts by name. */
void lh_catalog_loaded(struct lh_catalog *catalog);

/* ---- catalog_store.c: the store ---- */

/* With the turn: reads the manifest again and publishes what it says. LH_OK also when there is
 * none. LH_CORRUPT and its like leave the entry unreadable; when the store is away, it stays as it
 * was. */
lh_code lh_entry_reload(struct lh_catalog *catalog, struct lh_entry *entry, lh_deadline deadline,
                        struct lh_error *err);
/* With the turn: whether the store's manifest is another than the one we know (by another
 * catalogd). A store that is away counts as "no". */
bool lh_entry_moved(struct lh_catalog *catalog, struct lh_entry *entry, lh_deadline deadline);
/* With the turn: writes the manifest on the condition that the store's is the one we know. LH_OK:
 * it is durable, *ret_etag is its etag; nothing is published yet. LH_PRECONDITION: somebody else
 * wrote. Otherwise nothing is known to have happened, and the entry may be doubtful. */
lh_code lh_entry_put(struct lh_catalog *catalog, struct lh_entry *entry,
                     const struct lh_dataset *next, lh_deadline deadline,
                     char ret_etag[LH_ETAG_SIZE], struct lh_error *err);
/* With the turn: removes the manifest with this etag. LH_OK: it is gone. LH_PRECONDITION: it is
 * another one by now. LH_NOT_FOUND: it was gone before. Otherwise the entry may be doubtful.
 * Nothing is published. */
lh_code lh_entry_delete(struct lh_catalog *catalog, struct lh_entry *entry, const char *etag,
                        lh_deadline deadline, struct lh_error *err);

/* Whether the objects that the snapshot adds are in the store, with their sizes. LH_BAD_DATA. */
lh_code lh_catalog_check_objects(struct lh_catalog *catalog, const struct lh_object *objects,
                                 size_t count, int64_t added, struct lh_error *err);
/* Removes the objects of a deleted dataset that no other dataset names. */
lh_code lh_catalog_purge(struct lh_catalog *catalog, const struct lh_dataset *dataset,
                         struct lh_error *err);

/* Remembers for /health whether the store answers; gives the code back. */
lh_code lh_catalog_saw(struct lh_catalog *catalog, lh_code code);

#endif
