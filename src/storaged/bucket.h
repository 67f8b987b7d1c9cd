/*
 * Buckets: what they are called, and how they are set up. All of them are held in memory (at most
 * LH_BUCKETS_MAX); a lookup does no I/O. thread-safe.
 */
#ifndef LH_STORAGED_BUCKET_H
#define LH_STORAGED_BUCKET_H

#include "storaged/storaged.h"

enum {
    LH_BUCKETS_MAX = 10000,
    LH_BUCKET_NAME_SIZE = 64,  /* with its terminator */
    LH_BUCKET_OWNER_SIZE = 65, /* the same: user id of the key that made it */
    LH_BUCKET_DOCUMENT_MAX = 64 << 10,
};

/* Read: get and list. Write: put and delete. */
enum lh_public_rights { LH_PUBLIC_READ = 1, LH_PUBLIC_WRITE = 2 };

/* Once enabled, versioning can be suspended, and never be undone. */
enum lh_versioning { LH_VERSIONING_NONE, LH_VERSIONING_ENABLED, LH_VERSIONING_SUSPENDED };

/* What a client may hang on a bucket, kept as the bytes that it sent once they were found valid. */
enum lh_bucket_document {
    LH_BUCKET_CORS,
    LH_BUCKET_TAGGING,
    LH_BUCKET_LIFECYCLE,
    LH_BUCKET_DOCUMENTS, /* how many */
};

struct lh_bucket {
    int64_t id;
    char name[LH_BUCKET_NAME_SIZE];
    char owner[LH_BUCKET_OWNER_SIZE]; /* "" for the bucket lake */
    lh_time_ms created_ms;
    uint64_t objects;       /* with all versions and delete markers */
    uint64_t bytes;         /* of them, and of parts of unfinished uploads */
    uint64_t quota_bytes;   /* 0 = none; beyond: LH_QUOTA */
    unsigned public_rights; /* what anybody may do without a key: enum lh_public_rights */
    enum lh_versioning versioning;
};

/* Amazon S3 User Guide, "Bucket naming rules": 3 to 63 of [a-z0-9.-], no address, no "..", ".-",
 * "-."; and none of the paths of this service (storage, health, livez, readyz, metrics,
 * openapi.json). LH_INVALID_NAME. */
lh_code lh_bucket_check_name(lh_str name, struct lh_error *err);

/* LH_EXISTS (ret_bucket is then the one that exists), LH_INVALID_NAME, LH_BUSY beyond the maximum.
 * Durable when it returns LH_OK. */
lh_code lh_bucket_create(struct lh_store *store, lh_str name, const char *owner,
                         struct lh_bucket *ret_bucket, struct lh_error *err);
/* LH_NOT_FOUND, LH_NOT_EMPTY while it has objects or versions; unfinished uploads go with it. The
 * bucket lake cannot be deleted (LH_FORBIDDEN). */
lh_code lh_bucket_delete(struct lh_store *store, lh_str name, struct lh_error *err);
/* LH_NOT_FOUND. */
lh_code lh_bucket_find(struct lh_store *store, lh_str name, struct lh_bucket *ret_bucket,
                       struct lh_error *err);
/* In byte order of the names, from the first behind `after`. `visit` returns false to stop; it must
 * not call into the store. */
void lh_bucket_list(struct lh_store *store, lh_str after,
                    bool (*visit)(void *ctx, const struct lh_bucket *bucket), void *ctx);

lh_code lh_bucket_set_quota(struct lh_store *store, int64_t bucket, uint64_t bytes,
                            struct lh_error *err);
lh_code lh_bucket_set_public(struct lh_store *store, int64_t bucket, unsigned rights,
                             struct lh_error *err);

/* ENABLED or SUSPENDED. */
lh_code lh_bucket_set_versioning(struct lh_store *store, int64_t bucket,
                                 enum lh_versioning versioning, struct lh_error *err);

/* `text` LH_STR_NONE removes it. LH_TOO_LARGE. */
lh_code lh_bucket_set_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                               lh_str text, struct lh_error *err);
/* Appends it to `out`. LH_NOT_FOUND when there is none. */
lh_code lh_bucket_document(struct lh_store *store, int64_t bucket, enum lh_bucket_document kind,
                           struct lh_buf *out, struct lh_error *err);

/* ---- life cycle: carried out by the keeper, once an hour and at the start ---- */

enum { LH_LIFECYCLE_RULES_MAX = 100 };

struct lh_lifecycle_rule {
    bool enabled;
    lh_str id;
    lh_str prefix;
    uint32_t expire_days;       /* objects older than so many days are deleted; 0 = never */
    lh_time_ms expire_at_ms;    /* the same from a date on; 0 = never */
    uint32_t abort_upload_days; /* unfinished uploads older than that are aborted; 0 = never */
};

/* Replaces the rules; the document of kind LIFECYCLE is set with them, in one commit. */
lh_code lh_bucket_set_lifecycle(struct lh_store *store, int64_t bucket,
                                const struct lh_lifecycle_rule *rules, size_t count,
                                lh_str document, struct lh_error *err);

#endif
