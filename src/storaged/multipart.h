/*
 * Uploads in parts (S3's multipart upload). Each part is a body of its own; completing an upload
 * writes one row that lists them and copies nothing, so its cost follows the number of parts.
 *
 *   LH_TRY(lh_multipart_create(store, &options, id, err));
 *   // each part: lh_upload_begin with upload_id and part_number, and so on
 *   LH_TRY(lh_multipart_complete(store, &completion, &info, err));
 *
 * All functions are thread-safe. What is created, put or completed is durable when LH_OK is
 * returned.
 */
#ifndef LH_STORAGED_MULTIPART_H
#define LH_STORAGED_MULTIPART_H

#include "storaged/storaged.h"

enum {
    LH_PARTS_MAX = 10000,
    LH_PART_BYTES_MIN = 5 << 20, /* of every part but the last */
    LH_UPLOAD_ID_SIZE = 33,      /* with its terminator */
};

struct lh_multipart_options {
    int64_t bucket;
    lh_str key;
    lh_str content_type;
    struct lh_attributes headers;
    struct lh_attributes tags;
    enum lh_checksum_kind checksum; /* NONE = parts need none */
    bool checksum_composite;        /* else over the whole object; SHA1 and SHA256 are composite */
    const char *owner;              /* user id, for listings */
};

lh_code lh_multipart_create(struct lh_store *store, const struct lh_multipart_options *options,
                            char ret_id[LH_UPLOAD_ID_SIZE], struct lh_error *err);

/* What the upload was created with; LH_NOT_FOUND also when key or bucket is another one. */
struct lh_multipart_info {
    char id[LH_UPLOAD_ID_SIZE];
    lh_time_ms created_ms;
    enum lh_checksum_kind checksum;
    bool checksum_composite;
    char owner[65];
};
lh_code lh_multipart_find(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                          struct lh_multipart_info *ret_info, struct lh_error *err);

struct lh_part {
    uint32_t number;
    uint64_t size;
    lh_time_ms modified_ms;
    char etag[LH_STORE_ETAG_SIZE];
    struct lh_checksum checksum;
};

/* Parts with numbers beyond `after`, in their order, at most `limit`. ret_more: there are others.
 * LH_NOT_FOUND. */
lh_code lh_multipart_parts(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                           uint32_t after, size_t limit,
                           void (*visit)(void *ctx, const struct lh_part *part), void *ctx,
                           bool *ret_more, struct lh_error *err);

/* Unfinished uploads of a bucket in byte order of their keys and then of their ids. key_after and
 * id_after as in S3's ListMultipartUploads: behind that key, or behind that upload of the key when
 * id_after is not empty. With a delimiter common prefixes are visited (info NULL). `visit` returns
 * false to end the page after this entry. */
struct lh_multipart_list {
    int64_t bucket;
    lh_str prefix;
    lh_str delimiter;
    lh_str key_after;
    lh_str id_after;
    size_t limit;
};
lh_code lh_multipart_list(struct lh_store *store, const struct lh_multipart_list *options,
                          bool (*visit)(void *ctx, lh_str name,
                                        const struct lh_multipart_info *info),
                          void *ctx, bool *ret_more, struct lh_error *err);

struct lh_completion_part {
    uint32_t number;
    lh_str etag;                 /* without quotes */
    struct lh_checksum checksum; /* kind NONE = not given */
};
struct lh_completion {
    int64_t bucket;
    lh_str key;
    const char *id;
    const struct lh_completion_part *parts;
    size_t count;
    struct lh_store_condition condition;
    const struct lh_checksum *checksum; /* of the whole object, as the client says; or NULL */
    int64_t size;                       /* the same of its size; -1 = not given */
};
/* One commit: the object is there and the upload is gone, or nothing has changed. LH_NOT_FOUND (no
 * such upload), LH_INVALID_PART, LH_PART_ORDER, LH_PART_TOO_SMALL, LH_BAD_DIGEST, LH_PRECONDITION.
 * Repeated with the same parts after it has succeeded, while the object is still that one, it
 * succeeds again. */
lh_code lh_multipart_complete(struct lh_store *store, const struct lh_completion *completion,
                              struct lh_store_info *ret_info, struct lh_error *err);

/* LH_NOT_FOUND. */
lh_code lh_multipart_abort(struct lh_store *store, int64_t bucket, lh_str key, const char *id,
                           struct lh_error *err);

#endif
