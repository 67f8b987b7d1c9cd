/*
 * lh_collection: one named index, with everything that keeps it alive: who may read and write it
 * when, its log, its snapshot.
 *
 * Locks, in this order; none is held during I/O:
 *   writing  a token, not a lock: whoever has it is the index's only writer. It is held across the
 *            log's PUT, so that commits are one after the other; readers do not need it.
 *   lock     rwlock. Readers: while they search, which goes on beside inserts. The writer: for the
 *            moments in which changes become visible, and to put a rebuilt index in place.
 *   mutex    the queue of writes, the token, the state, the figures. Held for moments.
 *
 * A commit: the leader (the first writer that finds the token free) takes all waiting batches,
 * makes room for them, writes one log object, and only when that is durable applies them and wakes
 * their owners. If it cannot be written, memory is as before and all of them fail.
 *
 * After a timeout nobody knows whether the log object exists. So each is written under the
 * condition that its sequence is free. When it is not, what stands there was durable: it is
 * applied, and ours gets the next sequence. A sequence is settled exactly once, and memory never
 * misses a log object that a restart would find.
 *
 * States: LOADING -> READY, DAMAGED or UNAVAILABLE; UNAVAILABLE -> READY or DAMAGED (retried);
 * any but LOADING -> DROPPING -> GONE. A drop that was begun is never undone: after a timeout
 * nobody knows whether the snapshot is still there, so no write may be acknowledged any more.
 */
#ifndef LH_VECTORD_COLLECTION_H
#define LH_VECTORD_COLLECTION_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "vectord/batch.h"
#include "vectord/commons.h"
#include "vectord/lhv1.h"

enum lh_collection_state {
    LH_COLLECTION_LOADING,
    LH_COLLECTION_READY,
    LH_COLLECTION_DAMAGED,     /* its objects are not what they should be; left alone */
    LH_COLLECTION_UNAVAILABLE, /* it could not be loaded; will be tried again */
    LH_COLLECTION_DROPPING,
    LH_COLLECTION_GONE,
};

struct lh_write;

/* Figures of the log and the snapshot, under `mutex`. */
struct lh_log_figures {
    uint64_t sequence;          /* the last that is durable */
    uint64_t snapshot_sequence; /* the last that the snapshot covers */
    uint64_t snapshot_bytes;
    uint64_t log_bytes; /* of the objects behind the snapshot */
};

struct lh_collection {
    uint32_t magic;
    atomic_int references;
    struct lh_commons *commons;
    char name[LH_INDEX_NAME_MAX + 1];

    pthread_mutex_t mutex;
    pthread_cond_t changed; /* the token is free, a write is done, the state changed */
    enum lh_collection_state state;
    struct lh_error problem; /* why it is DAMAGED or UNAVAILABLE */
    bool writing;
    bool unsettled; /* the last log object may or may not be there; whoever has the token */
    struct lh_write *first, **last; /* waiting writes, oldest first */
    struct lh_log_figures figures;
    struct lh_buf pending;   /* durability async: changes that no log object holds yet */
    uint64_t flushing_bytes; /* of those, already on their way in `flushing` */
    lh_deadline idle_after;  /* without changes until then, the log is folded early */

    pthread_rwlock_t lock;
    struct lh_vindex *index; /* NULL until loaded */

    /* The keeper thread's. */
    struct lh_buf flushing;  /* durability async: the object being written */
    char etag[LH_ETAG_SIZE]; /* of the snapshot object */
    lh_deadline fold_after;  /* not before; set when one failed */
    lh_deadline load_after;
    unsigned load_failures;
};

struct lh_collection *lh_collection_new(struct lh_commons *commons, const char *name);
struct lh_collection *lh_collection_ref(struct lh_collection *collection);
void lh_collection_unref(struct lh_collection *collection); /* accepts NULL */

/* LOADING or UNAVAILABLE to READY: takes over the reference. */
void lh_collection_set_ready(struct lh_collection *collection, struct lh_vindex *index,
                             const struct lh_log_figures *figures, const char *etag);
/* To DAMAGED or UNAVAILABLE. */
void lh_collection_set_failed(struct lh_collection *collection, const struct lh_error *problem);

/* ---- writing ---- */

struct lh_write_result {
    size_t added;
    size_t updated;
    size_t deleted;
    bool durable;
};

/* Makes the batch durable, applies it, and only then returns. Its changes are borrowed until then.
 * On failure nothing was applied (after LH_TIMEOUT or LH_UNAVAILABLE it may become visible later:
 * the outcome is unknown). thread-safe. */
lh_code lh_collection_write(struct lh_collection *collection, const struct lh_batch *batch,
                            struct lh_write_result *ret_result, struct lh_error *err);

/* The token; waits for it. */
void lh_collection_begin_writing(struct lh_collection *collection);
void lh_collection_end_writing(struct lh_collection *collection);

/* With the token, room having been made: applies, beside readers. */
void lh_collection_apply(struct lh_collection *collection, const struct lh_batch *batch,
                         struct lh_write_result *ret_result);

/* ---- reading; thread-safe ---- */

/* The shared lock: `index` is there, and nothing of it becomes visible or dies until it is given
 * back. For as long as a search takes; not to be taken twice by one thread. LH_INDEX_CORRUPT,
 * LH_UNAVAILABLE, LH_NOT_FOUND by state; LH_WOULD_WAIT on a thread that may not. */
lh_code lh_collection_begin_reading(struct lh_collection *collection, struct lh_error *err);
void lh_collection_end_reading(struct lh_collection *collection);

/* The index as it is now, for reading what never changes of it. LH_INDEX_CORRUPT, LH_UNAVAILABLE,
 * LH_NOT_FOUND by state. Unref it. */
lh_code lh_collection_index(struct lh_collection *collection, struct lh_vindex **ret_index,
                            struct lh_error *err);

/* One query (ef 0 = the default); ret_hits has room for k. With a bitmap of allowed slots, `index`
 * is the index that it was made of: slots mean nothing in another one. NULL = the index as it is
 * now. *ret_found->index is what the hits' slots belong to (unref it). */
struct lh_found {
    struct lh_vindex *index;
    struct lh_hnsw_found hits;
};
lh_code lh_collection_search(struct lh_collection *collection, struct lh_vindex *index,
                             const struct lh_hnsw_query *query, struct lh_hnsw_hit *ret_hits,
                             struct lh_found *ret_found, struct lh_error *err);

/* The slot of an item and the index it belongs to (unref it). LH_NOT_FOUND. */
lh_code lh_collection_find(struct lh_collection *collection, lh_str id,
                           struct lh_vindex **ret_index, uint32_t *ret_slot, struct lh_error *err);

struct lh_collection_stats {
    enum lh_collection_state state;
    struct lh_error problem;
    struct lh_vindex_config config; /* when it is loaded */
    bool loaded;
    uint32_t live;
    uint32_t dead;
    uint64_t memory_bytes;
    uint64_t pending_bytes;
    struct lh_log_figures figures;
};
void lh_collection_stats(struct lh_collection *collection, struct lh_collection_stats *ret_stats);

enum lh_collection_state lh_collection_state(struct lh_collection *collection);
/* "ready", "corrupt", ... */
const char *lh_collection_state_name(enum lh_collection_state state);

/* Validator: lh_vindex_check with the writer standing still. */
lh_code lh_collection_check(struct lh_collection *collection, struct lh_error *err);

#endif
