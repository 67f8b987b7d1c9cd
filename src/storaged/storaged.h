/*
 * The object store: a folder of objects that survive power loss, addressed by bucket and key. This
 * is the core, without sockets; api.c puts HTTP in front of it.
 *
 *   struct lh_store_options options = {.dir = "/var/lib/lakehouse/storaged", ...};
 *   LH_TRY(lh_store_open(&options, &store, err));
 *
 *   LH_TRY(lh_upload_begin(store, &put, &upload, err));
 *   while (...) {
 *       char *space = lh_upload_space(upload, &room, err);   // read straight into it
 *       LH_TRY(lh_upload_added(upload, got, err));
 *   }
 *   LH_TRY(lh_upload_commit(upload, &info, &created, err));   // durable from here on
 *   lh_upload_free(upload);
 *
 * All functions are thread-safe, but an upload and an open object belong to one thread at a time.
 * Failures of any write: LH_READ_ONLY after a failed fsync, LH_STORAGE_FULL when the disk or its
 * reserve is used up; the store is then as it was before the call.
 */
#ifndef LH_STORAGED_STORAGED_H
#define LH_STORAGED_STORAGED_H

#include "base/buf.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_service;
struct lh_store;
struct lh_upload;
struct lh_object;

extern const struct lh_service lh_storaged_service;

enum {
    LH_STORE_KEY_MAX = 1024,    /* bytes */
    LH_STORE_ETAG_SIZE = 64,    /* with its terminator */
    LH_STORE_TYPE_SIZE = 256,   /* content type, with its terminator */
    LH_STORE_BLOCK = 256 << 10, /* bytes under one checksum */
    LH_STORE_CURSOR_MAX = 2 * (6 + LH_STORE_KEY_MAX) + 1,
    LH_VERSION_ID_SIZE = 17, /* with its terminator */
    LH_BUCKET_LAKE = 1,      /* the bucket of the native keys */
};

/* ---- the store ---- */

struct lh_store_options {
    const char *dir;
    uint64_t object_bytes_max;
    uint64_t upload_budget_bytes; /* memory of all uploads in flight */
    uint64_t inline_bytes_max;    /* objects up to this size live in the index */
    uint64_t reserve_bytes;       /* free disk below which nothing new is taken */
    uint64_t part_bytes_min;      /* of every part but the last; 0 = LH_PART_BYTES_MIN */
    int64_t stale_upload_ms;      /* unfinished uploads older than that are aborted; 0 = never */
    lh_time_ms (*now)(void);      /* NULL = the clock; for tests of what takes days */
    bool tend_by_hand;            /* no background thread: tests call lh_store_tend */
};

/* Opens the store in `dir`, making it when the folder is empty or absent. LH_BUSY when another
 * process has it, LH_INVALID_CONFIG when it is of a newer format or half of it is missing. */
lh_code lh_store_open(const struct lh_store_options *options, struct lh_store **ret_store,
                      struct lh_error *err);
/* No other call may be under way. Accepts NULL. */
void lh_store_close(struct lh_store *store);

/* One round of background work: sweeps orphans left by a crash, removes files of replaced objects,
 * brings the index's log home. Returns whether there may be more to do. */
bool lh_store_tend(struct lh_store *store);

enum { LH_STORE_REASON_MAX = 480, LH_STORE_DAMAGED_NAMES_MAX = 16 };

struct lh_store_stats {
    uint64_t objects;
    uint64_t bytes;
    uint64_t free_bytes;     /* of the disk, for this process */
    uint64_t groups;         /* commits of the index, each one transaction and one fsync */
    uint64_t group_requests; /* answered by them */
    uint64_t fsyncs;
    double fsync_seconds;
    uint64_t orphans_swept;
    uint64_t uploads;
    uint64_t upload_bytes;  /* memory held by uploads in flight */
    uint64_t damaged;       /* objects found damaged since the start and not replaced since */
    uint64_t damaged_pages; /* of the index */
    bool sweeping;          /* the sweep for orphans has not ended yet */
    bool read_only;
    char read_only_reason[LH_STORE_REASON_MAX];
};
void lh_store_stats(struct lh_store *store, struct lh_store_stats *ret);

/* Calls `visit` with up to LH_STORE_DAMAGED_NAMES_MAX keys of damaged objects. `visit` must not
 * call into the store. */
void lh_store_damaged(struct lh_store *store, void (*visit)(void *ctx, lh_str key), void *ctx);

/* ---- keys and conditions ---- */

/* LH_INVALID_KEY (empty, NUL, not UTF-8) or LH_KEY_TOO_LONG. Nothing is normalised: `..`, `//` and
 * a trailing `/` are bytes as any others. */
lh_code lh_store_check_key(lh_str key, struct lh_error *err);

/* Values of If-Match and If-None-Match; LH_STR_NONE = no condition. Judged inside the commit, so of
 * many that race exactly one wins; the others get LH_PRECONDITION. */
struct lh_store_condition {
    lh_str if_match;
    lh_str if_none_match;
};

struct lh_store_info {
    uint64_t size;
    lh_time_ms modified_ms;
    char etag[LH_STORE_ETAG_SIZE]; /* without quotes: MD5 in hex, "-N" behind it for N parts */
    char content_type[LH_STORE_TYPE_SIZE];
    uint32_t part_count; /* 0 = it was put in one piece */
    /* What S3 calls the object's checksum; kind NONE when there is none. A composite one is over
     * the checksums of its parts. */
    struct lh_checksum checksum;
    bool checksum_composite;
    uint64_t version;   /* ascends with each of the key; 0 = from before versioning */
    bool null_version;  /* written while versioning was suspended */
    bool delete_marker; /* it stands for the absence of an object */
};

/* Which version of a key is meant. A bucket that was never versioned has one, which is null. */
enum lh_version_kind { LH_VERSION_CURRENT, LH_VERSION_NULL, LH_VERSION_NUMBERED };
struct lh_version {
    enum lh_version_kind kind;
    uint64_t number; /* of NUMBERED */
};
/* "null" or 16 hexadecimal digits; false for other texts. */
bool lh_version_parse(lh_str id, struct lh_version *ret);
struct lh_version lh_version_of(const struct lh_store_info *info);
void lh_version_id(struct lh_version version, char out[LH_VERSION_ID_SIZE]);

/* What a client keeps with an object, beside its content type: headers ("cache-control",
 * "x-amz-meta-author", names in lower case) or tags, in the order given. */
struct lh_attribute {
    lh_str name;
    lh_str value;
};
struct lh_attributes {
    const struct lh_attribute *list;
    size_t count;
};
enum {
    LH_ATTRIBUTES_BYTES_MAX = 8 << 10, /* names and values of one object's headers */
    LH_TAGS_MAX = 10,                  /* of an object */
    LH_TAG_NAME_MAX = 128 * 4,         /* bytes; characters are the door's business */
    LH_TAG_VALUE_MAX = 256 * 4,
};

/* ---- put ---- */

struct lh_upload_options {
    int64_t bucket;
    lh_str key;                          /* copied */
    lh_str content_type;                 /* copied; LH_STR_NONE = application/octet-stream */
    struct lh_store_condition condition; /* borrowed until commit */
    int64_t length;                      /* -1 = unknown */
    const uint8_t *md5;    /* what the body must hash to (LH_MD5_SIZE bytes), or NULL; copied */
    const uint8_t *sha256; /* the same (LH_SHA256_SIZE bytes) */
    struct lh_attributes headers; /* copied */
    struct lh_attributes tags;    /* copied */
    /* Computed over the body and kept with the object; NONE = none. */
    enum lh_checksum_kind checksum;
    /* Part `part_number` of this upload in parts instead of an object: `key` must be that of the
     * upload; content type, headers, tags and conditions are the upload's. NULL = an object. */
    const char *upload_id;
    uint32_t part_number; /* 1 to LH_PARTS_MAX */
};

/* Takes the upload's window from the budget. Also LH_BUSY when the budget is used up, LH_TOO_LARGE,
 * LH_INVALID for a content type that is too long. */
lh_code lh_upload_begin(struct lh_store *store, const struct lh_upload_options *options,
                        struct lh_upload **ret_upload, struct lh_error *err);
/* Where the next bytes go, at least one; writes earlier ones out when the window is full. */
lh_code lh_upload_space(struct lh_upload *upload, void **ret_space, size_t *ret_room,
                        struct lh_error *err);
/* So many bytes were put there. LH_TOO_LARGE. */
lh_code lh_upload_added(struct lh_upload *upload, size_t len, struct lh_error *err);
/* What the body's checksum must be; at any time before commit (a trailer comes last). LH_INVALID
 * when the upload was begun with another kind. */
lh_code lh_upload_expect(struct lh_upload *upload, const struct lh_checksum *checksum,
                         struct lh_error *err);
/* The body is complete: verifies its digests (LH_BAD_DIGEST) and its length (LH_INCOMPLETE_BODY),
 * makes it durable and visible. *ret_created: the key was absent. Afterwards the upload can only be
 * freed. LH_IO may leave the outcome open when the disk failed in the commit itself; then the store
 * is read-only. */
lh_code lh_upload_commit(struct lh_upload *upload, struct lh_store_info *ret_info,
                         bool *ret_created, struct lh_error *err);
/* The same in steps, for callers that do not want to sleep until it is durable. prepare verifies
 * the body, and syncs its file if it has one; begin hands it to the committer, who calls `told`
 * once when the outcome is there (`told` must not wait, nor free the upload); end returns it, and
 * with LH_PRECONDITION, too, whether the key was absent. */
lh_code lh_upload_prepare(struct lh_upload *upload, struct lh_error *err);
void lh_upload_commit_begin(struct lh_upload *upload, void (*told)(void *ctx), void *ctx);
lh_code lh_upload_commit_end(struct lh_upload *upload, struct lh_store_info *ret_info,
                             bool *ret_created, struct lh_error *err);
/* Whether putting so many bytes needs no disk but that of the commit: nothing waits before it. */
bool lh_store_is_inline(const struct lh_store *store, int64_t length);
/* Ends an upload; what was not committed is gone. Accepts NULL. */
void lh_upload_free(struct lh_upload *upload);

/* ---- delete ---- */

/* The current object; in a versioned bucket a delete marker takes its place. LH_OK also when the
 * key is absent, unless if_match is given: then LH_PRECONDITION. */
lh_code lh_store_delete(struct lh_store *store, int64_t bucket, lh_str key,
                        const struct lh_store_condition *condition, struct lh_error *err);

struct lh_deletion {
    lh_str key;
    struct lh_version version; /* CURRENT: as lh_store_delete; another one is gone for good */

    /* Results. LH_OK also when there is no such version. */
    lh_code code;
    bool marker;            /* a delete marker was made, or was the version deleted */
    struct lh_version made; /* the marker; of kind CURRENT when none was made */
};
/* One, with a condition (may be NULL) on the version that goes. */
lh_code lh_store_delete_version(struct lh_store *store, int64_t bucket,
                                struct lh_deletion *deletion,
                                const struct lh_store_condition *condition, struct lh_error *err);
/* Many at once, in one group. Each has its own result; a failure of the call is that of all. */
lh_code lh_store_delete_many(struct lh_store *store, int64_t bucket, struct lh_deletion *list,
                             size_t count, struct lh_error *err);

/* ---- get ---- */

/* What the index knows of the key. LH_NOT_FOUND, LH_CORRUPT. */
lh_code lh_store_head(struct lh_store *store, int64_t bucket, lh_str key,
                      struct lh_store_info *ret_info, struct lh_error *err);

/* The delete marker that is the newest version of a key without a current one. LH_NOT_FOUND. */
lh_code lh_store_head_marker(struct lh_store *store, int64_t bucket, lh_str key,
                             struct lh_store_info *ret_info, struct lh_error *err);

/* A snapshot of the object: later puts and deletes of the key do not change what is read from it.
 */
lh_code lh_object_open(struct lh_store *store, int64_t bucket, lh_str key,
                       struct lh_object **ret_object, struct lh_error *err);
/* The same of any version; one that is a delete marker has no bytes. */
lh_code lh_object_open_version(struct lh_store *store, int64_t bucket, lh_str key,
                               struct lh_version version, struct lh_object **ret_object,
                               struct lh_error *err);
const struct lh_store_info *lh_object_info(const struct lh_object *object);
/* The bytes at `offset` (< size) up to the end of their block, checked against their checksum;
 * borrowed until the next call. LH_CORRUPT when they are not what was stored: the object is then on
 * the list of damaged ones. */
lh_code lh_object_read(struct lh_object *object, uint64_t offset, const void **ret_bytes,
                       size_t *ret_len, struct lh_error *err);
void lh_object_close(struct lh_object *object); /* accepts NULL */
/* Borrowed until close. */
struct lh_attributes lh_object_headers(const struct lh_object *object);
struct lh_attributes lh_object_tags(const struct lh_object *object);
/* Part `index` (from 0, in their order) of an object that was put in parts: its number, where it
 * lies, and its own checksum. LH_NOT_FOUND. */
struct lh_object_part {
    uint32_t number;
    uint64_t offset;
    uint64_t size;
    char etag[LH_STORE_ETAG_SIZE];
    struct lh_checksum checksum;
};
lh_code lh_object_part(const struct lh_object *object, uint32_t index,
                       struct lh_object_part *ret_part, struct lh_error *err);

/* ---- copy, tags ---- */

/* An object of `source`, whole and without moving its bytes where the file system can link them.
 * `options` as of an upload: its digests, length and upload_id are not looked at. The copy gets
 * the etag and, when options->checksum is NONE, the checksum of the source. */
lh_code lh_store_copy(struct lh_store *store, struct lh_object *source,
                      const struct lh_upload_options *options, struct lh_store_info *ret_info,
                      struct lh_error *err);

/* Replaces the object's tags. LH_NOT_FOUND. */
lh_code lh_store_set_tags(struct lh_store *store, int64_t bucket, lh_str key,
                          struct lh_attributes tags, struct lh_error *err);
lh_code lh_store_set_version_tags(struct lh_store *store, int64_t bucket, lh_str key,
                                  struct lh_version version, struct lh_attributes tags,
                                  struct lh_error *err);

/* The absolute path of the object's immutable file, owned by the caller; NULL for one that lives in
 * the index. The file disappears some time after the object is replaced or deleted. */
lh_code lh_store_locate(struct lh_store *store, int64_t bucket, lh_str key, char **ret_path,
                        struct lh_store_info *ret_info, struct lh_error *err);

/* ---- list ---- */

struct lh_list_options {
    int64_t bucket;
    lh_str prefix;
    lh_str delimiter; /* empty = none */
    lh_str cursor;    /* of the page before; empty = from the start */
    lh_str after;     /* without a cursor: only names behind this one; empty = all */
    size_t limit;     /* keys and common prefixes together; > 0 */
};

/* An object (info set, `damaged` when its row does not match its checksum) or a common prefix (info
 * NULL). False ends the page after this entry. The page is read in one snapshot: do not block. */
typedef bool (*lh_list_visitor)(void *ctx, lh_str name, const struct lh_store_info *info,
                                bool damaged);

/* One page in byte order of the keys. ret_cursor is "" when there is no more. LH_INVALID for a
 * cursor that is not one of ours for this prefix and delimiter. */
lh_code lh_store_list(struct lh_store *store, const struct lh_list_options *options,
                      lh_list_visitor visit, void *ctx, char ret_cursor[LH_STORE_CURSOR_MAX],
                      struct lh_error *err);

/* Versions and delete markers, by key and then the newest first. */
struct lh_version_list_options {
    int64_t bucket;
    lh_str prefix;
    lh_str delimiter; /* empty = none */
    lh_str key_after; /* only behind this key or common prefix; empty = from the start */
    bool in_key;      /* go on inside of key_after: */
    struct lh_version version_after; /* behind this version of it */
    size_t limit;                    /* > 0 */
};
/* As lh_list_visitor; `is_latest`: what a get of the key finds. */
typedef bool (*lh_version_visitor)(void *ctx, lh_str name, const struct lh_store_info *info,
                                   bool is_latest);
lh_code lh_store_list_versions(struct lh_store *store,
                               const struct lh_version_list_options *options,
                               lh_version_visitor visit, void *ctx, bool *ret_more,
                               struct lh_error *err);

#endif
