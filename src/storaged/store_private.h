/*
 * The inside of the object store, shared by its core files. Reading order: upload.c, commit.c,
 * object_commit.c, object.c, list.c, bucket.c, multipart.c, keeper.c; body_file.c and store.c carry
 * them.
 *
 * Threads: callers; one committer, which alone writes to the index; one keeper, which does what
 * nobody should wait for.
 *
 * Locks, in this order:
 *   turn   held by the committer for one group, by the keeper for the end of a checkpoint. It makes
 * the two take turns and is the only lock held across I/O. mutex  guards the queue, the doomed
 * files, the pins, the budget, the damaged list and the reason; buckets.lock guards what is
 * published of the buckets. Neither is held across I/O.
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

/* A list of parts that is being read: the keeper leaves it alone. */
struct lh_pin {
    uint64_t list;
    unsigned count;
};

struct lh_bucket_entry {
    struct lh_bucket info; /* as of the last commit */
    /* The committer's own: what the transaction at hand changes. */
    int64_t change_objects;
    int64_t change_bytes;
    bool touched;
    struct lh_bucket_entry *next_touched;
};

/* All buckets. Only the committer changes the lists and the entries, with the lock held for
 * writing; so it reads them without it. */
struct lh_buckets {
    pthread_rwlock_t lock;
    struct lh_bucket_entry **by_id;
    struct lh_bucket_entry **by_name;
    size_t count;
    size_t by_id_capacity;
    size_t by_name_capacity;
    struct lh_bucket_entry *touched;
};

/* Where the round through the buckets' rules is; the keeper's own. */
struct lh_lifecycle_round {
    bool running;
    lh_time_ms next_ms; /* when the next one begins */
    char bucket[LH_BUCKET_NAME_SIZE];
    char key[LH_STORE_KEY_MAX + 1]; /* go on from here in this bucket; empty = with the next one */
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
    struct lh_buckets buckets;

    atomic_uint_fast64_t objects; /* of all buckets, as of the last commit */
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t next_body;
    atomic_uint_fast64_t groups;
    atomic_uint_fast64_t group_requests;
    atomic_uint_fast64_t sync_count; /* of bodies and folders; the index counts its own */
    atomic_uint_fast64_t sync_ns;
    atomic_uint_fast64_t orphans_swept;
    atomic_uint_fast64_t expired;         /* objects deleted by rules */
    atomic_uint_fast64_t uploads_aborted; /* by age */
    struct lh_lifecycle_round round;
    struct lh_scrub *scrub;   /* NULL until the first one; guarded by mutex */
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
    struct lh_pin *pins;
    size_t pin_count;
    size_t pin_capacity;
    bool pin_in_the_way; /* the keeper left a doomed list alone */
    uint64_t upload_count;
    uint64_t upload_bytes;
    struct lh_damaged *damaged;
    size_t damaged_count;
    size_t damaged_capacity;
    uint64_t damaged_unnamed; /* beyond LH_DAMAGED_MAX */
    char read_only_reason[LH_STORE_REASON_MAX];
    bool work_to_do; /* for the keeper */
    /* The keeper's commits need the committer, which therefore goes last. */
    atomic_bool keeper_stopping;
    bool committer_stopping; /* when its queue is empty */

    bool committer_started;
    bool keeper_started;
    pthread_t committer;
    pthread_t keeper;
};

/* ---- store.c ---- */

/* A store to be read only, by this thread: nothing runs beside. Takes the lock (LH_BUSY). */
lh_code lh_store_open_to_check(const char *dir, struct lh_store **ret_store, struct lh_error *err);

/* LH_INVALID for a content type that is too long or no text. */
lh_code lh_store_check_type(lh_str type, struct lh_error *err);
/* The type, or the one that stands for none. */
void lh_store_take_type(lh_str type, char out[LH_STORE_TYPE_SIZE]);
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
/* Hands a file to the keeper, who removes it. */
void lh_store_doom_file(struct lh_store *store, uint64_t body);
/* While a list of parts is pinned, its parts stay where they are. */
void lh_store_pin(struct lh_store *store, uint64_t list);
void lh_store_unpin(struct lh_store *store, uint64_t list);
/* For the keeper, who is woken when it may try again. */
bool lh_store_is_pinned(struct lh_store *store, uint64_t list);
lh_time_ms lh_store_now(const struct lh_store *store);
void lh_store_note_damaged(struct lh_store *store, int64_t bucket, lh_str key);
void lh_store_forget_damaged(struct lh_store *store, int64_t bucket, lh_str key);

/* ---- object.c ---- */

/* A part of an unfinished upload, to be read as if it were an object. LH_CORRUPT. */
lh_code lh_object_open_part(struct lh_store *store, int64_t bucket, lh_str key,
                            const struct lh_index_part *part, struct lh_object **ret_object,
                            struct lh_error *err);

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
/* A second name, under a new id, for the file of another body: what is in it is durable already. */
lh_code lh_body_link(struct lh_store *store, uint64_t body, struct lh_body_file *ret_file,
                     struct lh_error *err);
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
/* Calls `visit` with the names of such files in one folder, as they are below data/. */
lh_code lh_body_orphans(struct lh_store *store, unsigned folder,
                        void (*visit)(void *ctx, const char *name), void *ctx,
                        struct lh_error *err);
/* Removes the files of one folder that belong to no object and to no upload of this run. */
lh_code lh_body_sweep(struct lh_store *store, unsigned folder, struct lh_error *err);

/* ---- commit.c: one writer, many changes in one transaction ---- */

struct lh_commit;

/* What a change does. Both are called by the committer. */
struct lh_commit_kind {
    /* In the transaction. Judges first and writes then: a change that may not be is refused
     * (lh_commit_refuse), which disturbs no other; a failure returned is the whole group's. */
    lh_code (*apply)(struct lh_store *store, struct lh_commit *commit, struct lh_error *err);
    /* The transaction is durable: brings memory up to date. May be NULL. */
    void (*publish)(struct lh_store *store, struct lh_commit *commit);
    bool alone; /* has a group of its own */
};

/* One change that waits for its group: the first member of what it is about. Lives with its caller,
 * who sleeps until `done`, or is told. */
struct lh_commit {
    const struct lh_commit_kind *kind;
    void (*told)(void *ctx); /* of lh_commit_begin; NULL for a caller who sleeps */
    void *told_ctx;
    size_t load;           /* bytes that it puts into the index */
    const uint64_t *files; /* bodies whose names must be durable first; may be set by apply */
    size_t file_count;

    /* Results. */
    lh_code code;
    struct lh_error err;
    bool outcome_open; /* it failed, but may be found done at the next start */

    /* The committer's own. */
    struct lh_commit *next;
    bool changes; /* set by apply: there is something to write */
    bool done;
    pthread_cond_t answered;
};

lh_code lh_committer_start(struct lh_store *store, struct lh_error *err);
void lh_committer_stop(struct lh_store *store); /* after the queue has been worked off */
/* Waits for the commit's group; what became of it is in the commit and in *err. */
lh_code lh_commit_submit(struct lh_store *store, struct lh_commit *commit, struct lh_error *err);
/* Does not wait: the committer calls commit->told, without locks, when the results are there. The
 * commit is its caller's again from then on. */
void lh_commit_begin(struct lh_store *store, struct lh_commit *commit);
/* This change may not be; the group goes on, so the result is LH_OK. */
lh_code lh_commit_refuse(struct lh_commit *commit, lh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- object_commit.c: changes of objects ---- */

/* An object for a key. */
struct lh_object_put {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    struct lh_store_condition condition;
    struct lh_index_row row;
    const struct lh_index_body *body; /* NULL for an object in parts */
    struct lh_index_attributes attributes;

    /* Set by judging it. */
    struct lh_bucket_entry *entry;
    struct lh_index_row old; /* what was current */
    bool existed;
    bool replaces;             /* it goes; else it becomes one of the other versions */
    struct lh_index_row other; /* the null version, not current, which goes */
    bool replaces_other;
};
extern const struct lh_commit_kind lh_object_put_kind;

/* RFC 9110 sections 13.1.1 and 13.1.2, for a method that changes the object (NULL = there is none).
 * *ret_why says what is wrong. */
lh_code lh_object_judge(const struct lh_store_condition *condition, const struct lh_index_row *old,
                        const char **ret_why);
/* After the commit: the row that was there is gone, with what it had. */
void lh_object_gone(struct lh_store *store, int64_t bucket, lh_str key,
                    const struct lh_index_row *old);
/* The committer's: the number of a new version, where the bucket has versions. */
void lh_version_take(struct lh_store *store, const struct lh_bucket_entry *entry,
                     struct lh_store_info *info);

/* For changes that end in an object: whether it may be, with its condition, in its bucket, which
 * gets so many bytes more beside the row that it replaces. Refuses the commit if not. */
lh_code lh_object_put_judge(struct lh_store *store, struct lh_object_put *put, int64_t more_bytes,
                            bool *ret_allowed, struct lh_error *err);
/* Writes it, once judged. */
lh_code lh_object_put_write(struct lh_store *store, struct lh_object_put *put, int64_t more_bytes,
                            struct lh_error *err);
void lh_object_put_publish(struct lh_store *store, struct lh_object_put *put);

/* lh_store_delete_many, but only of objects that still have these bodies (NULL = any). */
lh_code lh_store_delete_bodies(struct lh_store *store, int64_t bucket, struct lh_deletion *list,
                               const uint64_t *bodies, size_t count, struct lh_error *err);

/* ---- bucket.c, bucket_commit.c ---- */

lh_code lh_buckets_load(struct lh_store *store, struct lh_error *err);
void lh_buckets_free(struct lh_store *store);
/* With the lock held. The place of the name, or where it would be. */
size_t lh_buckets_place(const struct lh_buckets *buckets, lh_str name, bool *ret_found);
/* False when there is no such bucket. */
bool lh_bucket_name(struct lh_store *store, int64_t id, char out[LH_BUCKET_NAME_SIZE]);
/* A document, and the encoded rules of a life cycle with it (NULL = as they are). */
lh_code lh_bucket_put_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                               lh_str text, const lh_str *rules, struct lh_error *err);
/* The rest are the committer's. NULL when there is none. */
struct lh_bucket_entry *lh_buckets_at(const struct lh_buckets *buckets, int64_t id);
void lh_buckets_add(struct lh_store *store, const struct lh_bucket *bucket);
void lh_buckets_remove(struct lh_store *store, struct lh_bucket_entry *entry);
void lh_buckets_change(struct lh_store *store, struct lh_bucket_entry *entry,
                       const struct lh_bucket *changed);
/* Whether the quota allows so many bytes more, as this transaction sees it. */
bool lh_bucket_has_room(const struct lh_bucket_entry *entry, int64_t more_bytes);
void lh_bucket_count(struct lh_store *store, struct lh_bucket_entry *entry, int64_t objects,
                     int64_t bytes);
/* The transaction's changes of totals: into the index, into memory, or forgotten. */
lh_code lh_buckets_write_totals(struct lh_store *store, struct lh_error *err);
void lh_buckets_publish_totals(struct lh_store *store);
void lh_buckets_forget_totals(struct lh_store *store);

/* ---- multipart_commit.c: changes of uploads in parts ---- */

struct lh_upload_create {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    struct lh_index_upload upload;
    struct lh_index_attributes attributes;
};
extern const struct lh_commit_kind lh_upload_create_kind;

/* A part for an upload. */
struct lh_part_put {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    const char *upload_id;
    struct lh_index_part part;
    const struct lh_index_body *body;
    struct lh_index_part old; /* of the same number, when it existed */
    bool existed;
};
extern const struct lh_commit_kind lh_part_put_kind;

/* An upload becomes an object, when its parts are still these. */
struct lh_upload_complete {
    struct lh_object_put put; /* its commit is the one to submit; row.body is the list of parts */
    const char *upload_id;
    const struct lh_index_part *parts; /* each with its place in the object */
    size_t part_count;
    const struct lh_index_part *unnamed; /* these go */
    size_t unnamed_count;
    bool as_it_is; /* a copy of our own: nobody else knows of it, its parts have their places */
};
extern const struct lh_commit_kind lh_upload_complete_kind;

struct lh_upload_abort {
    struct lh_commit commit;
    int64_t bucket;
    lh_str key;
    const char *upload_id;
};
extern const struct lh_commit_kind lh_upload_abort_kind;

/* ---- multipart.c ---- */

/* A new upload: id and list. `hidden`: no listing shows it. */
lh_code lh_upload_create(struct lh_store *store, const struct lh_multipart_options *options,
                         bool hidden, struct lh_index_upload *ret_upload, struct lh_error *err);

/* ---- keeper.c ---- */

lh_code lh_keeper_start(struct lh_store *store, struct lh_error *err);
void lh_keeper_stop(struct lh_store *store);
/* Called with store->mutex held. */
void lh_keeper_wake(struct lh_store *store);
void lh_store_wake_keeper(struct lh_store *store); /* the same without it */
bool lh_keeper_checkpoint_due(const struct lh_store *store);

/* ---- scrub.c ---- */

void lh_scrub_stop(struct lh_store *store); /* for good */

/* ---- lifecycle.c ---- */

/* One bounded bite of the round that begins at the start and then every hour. Returns whether it
 * goes on. */
bool lh_store_live(struct lh_store *store);

/* ---- dismantle.c ---- */

/* Takes doomed lists of parts apart, one bounded bite. Returns whether there may be more. */
bool lh_store_dismantle(struct lh_store *store);

#endif
