/*
 * Objects, whoever keeps them: put, get, head, list, delete, and the conditional put that is the
 * commit point of everything above. Spoken to storaged (objstore_http.c), which keeps them on its
 * disk or in an external S3 store (s3_client.h). thread-safe.
 */
#ifndef LH_STORE_OBJSTORE_H
#define LH_STORE_OBJSTORE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lh_objstore;
struct lh_http_client;

enum { LH_ETAG_SIZE = 64, LH_KEY_MAX = 1024 };

struct lh_object_info {
    uint64_t size;
    int64_t modified_ms;
    char etag[LH_ETAG_SIZE]; /* without quotes */
};

/* The body of a put: bytes, or a reader of known length. */
struct lh_object_body {
    const void *bytes;
    uint64_t len;
    lh_code (*read)(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err);
    void *ctx;
};

struct lh_put_options {
    bool if_none_match;   /* only when the key is absent */
    const char *if_match; /* only when the key has this etag; NULL = no condition */
    const char *content_type;
};

/* `url` as "http://host:port". The client is borrowed. */
lh_code lh_objstore_open_http(const char *url, struct lh_http_client *client,
                              struct lh_objstore **ret_store, struct lh_error *err);
void lh_objstore_close(struct lh_objstore *store);

/* Durable when it returns LH_OK. LH_PRECONDITION when a condition does not hold. After a timeout
 * the outcome is unknown: a caller with a condition asks by head. */
lh_code lh_objstore_put(struct lh_objstore *store, lh_str key, const struct lh_object_body *body,
                        const struct lh_put_options *options, lh_deadline deadline,
                        struct lh_object_info *ret_info, struct lh_error *err);

/* Whole object into `out` (its maximum bounds it). LH_NOT_FOUND. `ret_info` may be NULL. */
lh_code lh_objstore_get(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                        struct lh_buf *out, struct lh_object_info *ret_info, struct lh_error *err);

/* Streamed into `write`. */
lh_code lh_objstore_get_to(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           lh_code (*write)(void *ctx, const void *bytes, size_t len,
                                            struct lh_error *err),
                           void *ctx, struct lh_object_info *ret_info, struct lh_error *err);

lh_code lh_objstore_head(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                         struct lh_object_info *ret_info, struct lh_error *err);

/* LH_OK also when it is absent. */
lh_code lh_objstore_delete(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           struct lh_error *err);

/* Only while the object has this etag; LH_PRECONDITION when it is another one or absent. */
lh_code lh_objstore_delete_if_match(struct lh_objstore *store, lh_str key, const char *etag,
                                    lh_deadline deadline, struct lh_error *err);

/* Calls on_object for every key with the prefix, in byte order, page by page. */
lh_code lh_objstore_list(struct lh_objstore *store, lh_str prefix, lh_deadline deadline,
                         lh_code (*on_object)(void *ctx, lh_str key,
                                              const struct lh_object_info *info,
                                              struct lh_error *err),
                         void *ctx, struct lh_error *err);

/* The immutable local file of an object, for processes on the same host; *ret_path = NULL when
 * there is none (inline object or remote store). Owned by the caller. */
lh_code lh_objstore_locate(struct lh_objstore *store, lh_str key, lh_deadline deadline,
                           char **ret_path, struct lh_object_info *ret_info, struct lh_error *err);

#endif
