/*
 * The inside of the object store, shared by its core files. Reading order: upload.c, commit.c,
 * object.c, list.c, keeper.c; body_file.c and store.c carry them.
 *
 * Threads: callers; one committer, which alone writes to the index; one keeper, which does what
 * nobody should wait for.
 *
 * Locks, in this order:
 *   turn   held by the committer for one group, by the keeper for the end of a checkpoint. It makes
 * the two take turns and is the only lock held across I/O. mutex  guards the queue, the doomed
 * files, the budget, the damaged list and the reason; never held across I/O.
 */
#ifndef LH_STORAGED_STORE_PRIVATE_H
#define LH_STORAGED_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storaged/index.h"
#include "storaged/storaged.h"

enum { LH_BODY_FOLDERS = 256, LH_DAMAGED_MAX = 1024 };

struct lh_damaged {
    int64_t bucket;
    char *key;
    size_t key_len;
};

struct lh_store {
    uint32_t magic;
    struct lh_store_options options; /* its dir points to ours */
    char *dir;                       /* absolute */
    int lock_fd;
    int data_fd;
    bool named_uploads; /* the file system has no O_TMPFILE */
    struct lh_index *index;

    atomic_uint_fast64_t next_body;
    atomic_uint_fast64_t groups;
    atomic_uint_fast64_t group_requests;
    atomic_uint_fast64_t sync_count; /* of bodies and folders; the index counts its own */
    atomic_uint_fast64_t sync_ns;
    atomic_uint_fast64_t orphans_swept;
    atomic_uint sweep_folder; /* the next to be swept; LH_BODY_FOLDERS = done */
    atomic_bool read_only;

    pthread_mutex_t turn;
    pthread_mutex_t mutex;
    pthread_cond_t committer_wake;
    pthread_cond_t keeper_wake;
    struct lh_commit *queue;
    struct lh_commit **queue_end;
    uint64_t *doomed; /* bodies whose files are to be removed */
    size_t doomed_count;
    size_t doomed_capacity;
    uint64_t upload_count;
    uint64_t upload_bytes;
    struct lh_damaged *damaged;
    size_t damaged_count;
    size_t damaged_capacity;
    uint64_t damaged_unnamed; /* beyond LH_DAMAGED_MAX */
    char read_only_reason[LH_STORE_REASON_MAX];
    bool work_to_do; /* for the keeper */
    bool stopping;

    bool committer_started;
    bool keeper_started;
    pthread_t committer;
    pthread_t keeper;
};

/* ---- store.c ---- */

/* LH_READ_ONLY with the reason when the store takes no writes. */
lh_code lh_store_check_writable(struct lh_store *store, struct lh_error *err);
/* LH_STORAGE_FULL unless `need` more bytes leave the reserve untouched. */
lh_code lh_store_check_room(struct lh_store *store, uint64_t need, struct lh_error *err);
/* For good, until the next start. The first reason stays. */
void lh_store_set_read_only(struct lh_store *store, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* An fsync that is counted, timed and final: a failure turns the store read-only, except for a full
 * disk when the file can be thrown away. */
lh_code lh_store_sync(struct lh_store *store, int fd, bool is_folder, const char *what,
                      struct lh_error *err);
/* The index after a failure: when its fsync failed, the store is read-only. Returns whether it is
 * so. */
bool lh_store_index_failed(struct lh_store *store);
void lh_store_note_damaged(struct lh_store *store, int64_t bucket, lh_str key);
void lh_store_forget_damaged(struct lh_store *store, int64_t bucket, lh_str key);

/* ---- body_file.c: the immutable files of large objects, named by body id ---- */

struct lh_body_file {
    int fd; /* -1 = none */
    uint64_t id;
    bool linked; /* it has its final name */
};

/* A new file without a final name. `length` is allocated at once when known (else -1). */
lh_code lh_body_create(struct lh_store *store, int64_t length, struct lh_body_file *ret_file,
                       struct lh_error *err);
/* Makes the content durable and gives it its name, which lh_body_sync_folder makes durable. */
lh_code lh_body_publish(struct lh_store *store, struct lh_body_file *file, struct lh_error *err);
/* Closes; the file stays when published. */
void lh_body_keep(struct lh_body_file *file);
/* Closes and removes. */
void lh_body_discard(struct lh_store *store, struct lh_body_file *file);
/* LH_NOT_FOUND. */
lh_code lh_body_open(struct lh_store *store, uint64_t id, int *ret_fd, struct lh_error *err);
lh_code lh_body_remove(struct lh_store *store, uint64_t id, struct lh_error *err);
lh_code lh_body_sync_folder(struct lh_store *store, unsigned folder, struct lh_error *err);
unsigned lh_body_folder(uint64_t id);
char *lh_body_path(const struct lh_store *store, uint64_t id); /* absolute, owned by the caller */
/* Makes the folders of a new store and finds out about O_TMPFILE. Takes store->data_fd. */
lh_code lh_body_prepare(struct lh_store *store, bool make_folders, struct lh_error *err);
/* Whether there is any file of an object. */
lh_code lh_body_any(struct lh_store *store, bool *ret_any, struct lh_error *err);
/* Removes the files of one folder that belong to no object and to no upload of this run. */
lh_code lh_body_sweep(struct lh_store *store, unsigned folder, struct lh_error *err);

/* ---- commit.c ---- */

enum lh_commit_kind { LH_COMMIT_PUT, LH_COMMIT_DELETE };

/* One change that waits for its group. Lives on its caller's stack; the caller sleeps until `done`.
 */
struct lh_commit {
    enum lh_commit_kind kind;
    int64_t bucket;
    lh_str key;
    struct lh_store_condition condition;
    struct lh_index_row row;   /* of a put */
    struct lh_index_body body; /* of a put; borrowed from the caller */

    /* Results. */
    lh_code code;
    struct lh_error err;
    bool existed;      /* the key was there before */
    bool outcome_open; /* it failed, but may be found done at the next start */

    /* The committer's own. */
    struct lh_commit *next;
    bool changes;      /* the condition holds and there is something to write */
    uint64_t old_file; /* body of the replaced object when it has a file; 0 = none */
    bool done;
    pthread_cond_t answered;
};

lh_code lh_committer_start(struct lh_store *store, struct lh_error *err);
void lh_committer_stop(struct lh_store *store); /* after the queue has been worked off */
/* Waits for the commit's group; what became of it is in the commit and in *err. */
lh_code lh_commit_submit(struct lh_store *store, struct lh_commit *commit, struct lh_error *err);

/* ---- keeper.c ---- */

lh_code lh_keeper_start(struct lh_store *store, struct lh_error *err);
void lh_keeper_stop(struct lh_store *store);
/* Called with store->mutex held. */
void lh_keeper_wake(struct lh_store *store);
bool lh_keeper_checkpoint_due(const struct lh_store *store);

#endif
