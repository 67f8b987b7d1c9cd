/*
 * The index: which buckets, objects and unfinished uploads there are, and the payload of the small
 * ones, in one SQLite database. The only part that knows SQLite (index*.c). Tables and invariants:
 * docs/formats/store.md.
 *
 * One writer (the committer thread) and any number of readers, which never wait for each other. A
 * reader sees the last commit. The database's files are read and written through lh_io
 * (index_vfs.c).
 */
#ifndef LH_STORAGED_INDEX_H
#define LH_STORAGED_INDEX_H

#include "storaged/bucket.h"
#include "storaged/multipart.h"
#include "storaged/storaged.h"

struct lh_index;

/* A row. `body` is the object's body id: the file's name when in_file, that of the payload when it
 * lives in the index, that of the list of parts when it was put in parts (part_count > 0). */
struct lh_index_row {
    struct lh_store_info info;
    uint64_t body;
    bool in_file;
    bool has_attributes;
    bool damaged; /* set by reading: the row does not match its checksum */
};

/* The body's part: one XXH3 for each block, and the payload of an inline object. */
struct lh_index_body {
    const uint64_t *sums;
    size_t sum_count;
    const void *payload; /* NULL when in_file */
};

/* Headers and tags of an object, encoded (lh_attributes_encode); empty = none. */
struct lh_index_attributes {
    lh_str headers;
    lh_str tags;
};

/* Opens or makes the database `dir`/index.db. With `must_exist` a missing one is LH_INVALID_CONFIG;
 * so is one of a newer version; an older one is brought up to date. Starts a new epoch of body ids
 * (lh_index_epoch). */
lh_code lh_index_open(const char *dir, bool must_exist, struct lh_index **ret_index,
                      struct lh_error *err);
/* The same without changing anything: no new epoch, no other version than ours. For reading only.
 */
lh_code lh_index_open_to_check(const char *dir, struct lh_index **ret_index, struct lh_error *err);
void lh_index_close(struct lh_index *index); /* accepts NULL */

/* Body ids of this run are epoch << LH_EPOCH_SHIFT plus a count: never used twice, by no run. 0:
 * the disk was too full to note the new epoch; then nothing may be put. */
enum { LH_EPOCH_SHIFT = 40 };
uint64_t lh_index_epoch(const struct lh_index *index);

/* ---- the writer: committer thread only. A failure of any but begin ends the transaction. ---- */

lh_code lh_index_begin(struct lh_index *index, struct lh_error *err);
/* The current row as this transaction sees it; *ret_found false when there is none. */
lh_code lh_index_find(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err);
/* `old` is what find gave, or NULL: its body goes with it (unless damaged: then nobody knows
 * whose). `body` is NULL for an object in parts, which are there already; attributes too. */
lh_code lh_index_put(struct lh_index *index, int64_t bucket, lh_str key,
                     const struct lh_index_row *row, const struct lh_index_body *body,
                     const struct lh_index_attributes *attributes, const struct lh_index_row *old,
                     struct lh_error *err);
lh_code lh_index_remove(struct lh_index *index, int64_t bucket, lh_str key,
                        const struct lh_index_row *old, struct lh_error *err);
/* The object's headers, owned by the caller; NULL when it has none. LH_CORRUPT. */
lh_code lh_index_find_headers(struct lh_index *index, const struct lh_index_row *row,
                              char **ret_headers, size_t *ret_len, struct lh_error *err);
/* ---- versions: the current one is in `objects`, the others and all delete markers are not. A key
 * without a current one has none at all, or the newest of the others is a marker. ---- */

/* Any version of the key, as find does. */
lh_code lh_index_find_version(struct lh_index *index, int64_t bucket, lh_str key,
                              struct lh_version version, struct lh_index_row *ret_row,
                              bool *ret_found, struct lh_error *err);
/* The newest of those that are not current. */
lh_code lh_index_find_newest(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_index_row *ret_row, bool *ret_found, struct lh_error *err);
/* The current row becomes one of the others; a put over it, or leave, must follow. */
lh_code lh_index_demote(struct lh_index *index, int64_t bucket, lh_str key, struct lh_error *err);
/* Takes the current row away, and nothing that belongs to it. */
lh_code lh_index_leave(struct lh_index *index, int64_t bucket, lh_str key, struct lh_error *err);
/* One of the others becomes current. */
lh_code lh_index_promote(struct lh_index *index, int64_t bucket, lh_str key,
                         const struct lh_index_row *row, struct lh_error *err);
lh_code lh_index_put_marker(struct lh_index *index, int64_t bucket, lh_str key,
                            const struct lh_index_row *marker, struct lh_error *err);
/* One of the others goes, with its body. */
lh_code lh_index_remove_version(struct lh_index *index, int64_t bucket, lh_str key,
                                const struct lh_index_row *row, struct lh_error *err);

/* Other headers and tags for the object of this row, which is `current` or one of the others. */
lh_code lh_index_set_attributes(struct lh_index *index, int64_t bucket, lh_str key,
                                const struct lh_index_row *row, bool current,
                                const struct lh_index_attributes *attributes, struct lh_error *err);
/* Durable when it returns LH_OK. */
lh_code lh_index_commit(struct lh_index *index, struct lh_error *err);
void lh_index_rollback(struct lh_index *index);

/* ---- buckets (index_bucket.c) ---- */

/* Calls `visit` with all of them, in the order of their ids. `damaged`: the row does not match its
 * checksum. */
lh_code lh_index_buckets(struct lh_index *index,
                         void (*visit)(void *ctx, const struct lh_bucket *bucket, bool damaged),
                         void *ctx, struct lh_error *err);
/* The rest are the writer's, too. An id is never given twice. */
lh_code lh_index_new_bucket_id(struct lh_index *index, int64_t *ret_id, struct lh_error *err);
lh_code lh_index_put_bucket(struct lh_index *index, const struct lh_bucket *bucket,
                            struct lh_error *err);
/* With its documents and its unfinished uploads; its objects must be gone. */
lh_code lh_index_remove_bucket(struct lh_index *index, int64_t bucket, struct lh_error *err);
/* Whether there is any object, as this transaction sees it. */
lh_code lh_index_bucket_in_use(struct lh_index *index, int64_t bucket, bool *ret_used,
                               struct lh_error *err);
/* `objects` and `bytes` may be negative. */
lh_code lh_index_add_totals(struct lh_index *index, int64_t bucket, int64_t objects, int64_t bytes,
                            struct lh_error *err);
/* `kind`: enum lh_bucket_document, or LH_INDEX_LIFECYCLE for the encoded rules. LH_STR_NONE
 * removes. */
enum { LH_INDEX_LIFECYCLE = LH_BUCKET_DOCUMENTS };
lh_code lh_index_put_document(struct lh_index *index, int64_t bucket, int kind, lh_str text,
                              struct lh_error *err);
/* thread-safe. Appends to `out`. LH_NOT_FOUND, LH_CORRUPT. */
lh_code lh_index_document(struct lh_index *index, int64_t bucket, int kind, struct lh_buf *out,
                          struct lh_error *err);

/* ---- uploads in parts (index_parts.c) ---- */

struct lh_index_upload {
    struct lh_multipart_info info;
    uint64_t body; /* of the object that it will be; its parts are listed under it */
    char content_type[LH_STORE_TYPE_SIZE];
    bool has_attributes;
    bool hidden; /* one of our own: a copy under way */
    bool damaged;
};

struct lh_index_part {
    struct lh_part info;
    uint64_t start; /* in the object; 0 while the upload is unfinished */
    uint64_t body;  /* of the part */
    bool in_file;
    bool damaged;
};

/* As the transaction sees them; writer only. */
lh_code lh_index_find_upload(struct lh_index *index, int64_t bucket, lh_str key, const char *id,
                             struct lh_index_upload *ret_upload, bool *ret_found,
                             struct lh_error *err);
lh_code lh_index_find_part(struct lh_index *index, uint64_t list, uint32_t number,
                           struct lh_index_part *ret_part, bool *ret_found, struct lh_error *err);
/* How many parts the list has, and their bytes. */
lh_code lh_index_parts_totals(struct lh_index *index, uint64_t list, size_t *ret_count,
                              uint64_t *ret_bytes, struct lh_error *err);
lh_code lh_index_put_upload(struct lh_index *index, int64_t bucket, lh_str key,
                            const struct lh_index_upload *upload,
                            const struct lh_index_attributes *attributes, struct lh_error *err);
/* `keep_parts`: they belong to an object now, and so do the attributes; else they are doomed. */
lh_code lh_index_remove_upload(struct lh_index *index, int64_t bucket, lh_str key,
                               const struct lh_index_upload *upload, bool keep_parts,
                               struct lh_error *err);
/* Also replaces; the body of the part that was there is `old`'s, or NULL. */
lh_code lh_index_put_part(struct lh_index *index, uint64_t list, const struct lh_index_part *part,
                          const struct lh_index_body *body, const struct lh_index_part *old,
                          struct lh_error *err);
/* Says where the part lies in its object. */
lh_code lh_index_place_part(struct lh_index *index, uint64_t list, const struct lh_index_part *part,
                            struct lh_error *err);
lh_code lh_index_remove_part(struct lh_index *index, uint64_t list,
                             const struct lh_index_part *part, struct lh_error *err);
/* Lists of parts that nobody needs any more are doomed, and taken apart later, bit by bit. */
lh_code lh_index_end_doom(struct lh_index *index, uint64_t list, struct lh_error *err);

/* Readers' views of the same; thread-safe. LH_NOT_FOUND, LH_CORRUPT. */
lh_code lh_index_upload(struct lh_index *index, int64_t bucket, lh_str key, const char *id,
                        struct lh_index_upload *ret_upload, struct lh_error *err);
/* The first part with at least that number; LH_NOT_FOUND behind the last one. */
lh_code lh_index_part_from(struct lh_index *index, uint64_t list, uint32_t number,
                           struct lh_index_part *ret_part, struct lh_error *err);
/* Calls `visit` with parts from that number on, until it returns false. */
lh_code lh_index_parts(struct lh_index *index, uint64_t list, uint32_t from,
                       bool (*visit)(void *ctx, const struct lh_index_part *part), void *ctx,
                       struct lh_error *err);
/* The same with uploads of a bucket (0 = of all), from that key and id on; `key` is borrowed. The
 * page is read in one snapshot. */
typedef bool (*lh_index_upload_visitor)(void *ctx, int64_t bucket, lh_str key,
                                        const struct lh_index_upload *upload);
lh_code lh_index_uploads(struct lh_index *index, int64_t bucket, lh_str key_from,
                         const char *id_from, lh_index_upload_visitor visit, void *ctx,
                         struct lh_error *err);
/* The first doomed list behind `after`; 0 when there is none. */
lh_code lh_index_next_doomed(struct lh_index *index, uint64_t after, uint64_t *ret_list,
                             struct lh_error *err);

/* ---- readers: thread-safe ---- */

struct lh_index_object {
    struct lh_index_row row;
    uint64_t *sums; /* all owned by the caller: lh_index_object_deinit */
    size_t sum_count;
    char *payload;
    char *headers; /* encoded; NULL = none */
    size_t headers_len;
    char *tags;
    size_t tags_len;
};
void lh_index_object_deinit(struct lh_index_object *object);

/* LH_NOT_FOUND. A damaged row is found and marked so. */
lh_code lh_index_head(struct lh_index *index, int64_t bucket, lh_str key,
                      struct lh_index_row *ret_row, struct lh_error *err);
/* The same of any version. */
lh_code lh_index_head_version(struct lh_index *index, int64_t bucket, lh_str key,
                              struct lh_version version, struct lh_index_row *ret_row,
                              struct lh_error *err);
/* The newest of those that are not current. LH_NOT_FOUND. */
lh_code lh_index_head_newest(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_index_row *ret_row, struct lh_error *err);
/* With sums, payload and attributes; LH_CORRUPT when any does not match its checksum. */
lh_code lh_index_get(struct lh_index *index, int64_t bucket, lh_str key,
                     struct lh_index_object *ret_object, struct lh_error *err);
lh_code lh_index_get_version(struct lh_index *index, int64_t bucket, lh_str key,
                             struct lh_version version, struct lh_index_object *ret_object,
                             struct lh_error *err);
/* Sums and payload of one body, into the members of those names. */
lh_code lh_index_get_body(struct lh_index *index, uint64_t body, uint64_t size, bool in_file,
                          struct lh_index_object *ret_object, struct lh_error *err);
/* Whether a body of that id is known. */
lh_code lh_index_has_body(struct lh_index *index, uint64_t body, bool *ret_known,
                          struct lh_error *err);

/* A walk over keys in byte order in one snapshot; holds a connection until it ends. */
struct lh_index_walk;
lh_code lh_index_walk_begin(struct lh_index *index, int64_t bucket, struct lh_index_walk **ret_walk,
                            struct lh_error *err);
/* The same over all versions: by key, and the newest first. Its next function is walk_next. */
lh_code lh_index_walk_versions(struct lh_index *index, int64_t bucket,
                               struct lh_index_walk **ret_walk, struct lh_error *err);
/* Of such a walk: of the key `from` itself only versions with lower numbers than `below`. */
lh_code lh_index_walk_seek_version(struct lh_index_walk *walk, lh_str from, uint64_t below,
                                   struct lh_error *err);
/* Goes to the first key that is not before `from`, and to the end when there is none. */
lh_code lh_index_walk_seek(struct lh_index_walk *walk, lh_str from, struct lh_error *err);
/* The next row; the key is borrowed until the next call, LH_STR_NONE at the end. */
lh_code lh_index_walk_next(struct lh_index_walk *walk, lh_str *ret_key,
                           struct lh_index_row *ret_row, struct lh_error *err);
void lh_index_walk_end(struct lh_index_walk *walk); /* accepts NULL */

/* ---- upkeep ---- */

/* Bytes of the write-ahead log that are not home yet, as of the last commit. thread-safe. */
uint64_t lh_index_log_bytes(const struct lh_index *index);
/* Copies the log into the database. `finish`: also lets the next commit start it anew; the caller
 * then keeps commits away for the length of the call. One thread at a time. */
lh_code lh_index_checkpoint(struct lh_index *index, bool finish, struct lh_error *err);

/* Structure and counts, when nobody else uses the index: what is wrong is told in words. */
lh_code lh_index_check(struct lh_index *index, void (*found)(void *ctx, const char *what),
                       void *ctx, struct lh_error *err);

struct lh_index_disk_stats {
    uint64_t sync_count;
    uint64_t sync_ns;
    int failed_errno; /* of the first fsync that failed, else 0: from then on nothing is written */
    unsigned damaged_pages; /* found so by reading, and not written anew since */
};
void lh_index_disk_stats(const struct lh_index *index, struct lh_index_disk_stats *ret);

#endif
