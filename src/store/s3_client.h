/*
 * A client of S3: of AWS, Ceph, MinIO, another storaged, or whatever else speaks it. Requests are
 * signed (net/sigv4.h), repeated when that may help, and bounded in time and memory. What storaged
 * keeps its objects in with backend = "s3", and what `lakehouse storage` speaks.
 *
 * Repeats: a request that met no connection, a broken one, silence, a 5xx, a 429 or one of S3's
 * passing refusals is sent again after a random pause that doubles (full jitter), at most tries_max
 * times and as long as the client's budget of repeats lasts: one repeat for ten successes beyond
 * the first fifty, so that a store that is down is not hammered.
 *
 * A conditional put is repeated, too: it carries a nonce in its metadata, and a 412 is believed
 * only when the object there is not our own from a try whose answer was lost.
 *
 * thread-safe, but for an answer or an upload, which belong to one call.
 */
#ifndef LH_STORE_S3_CLIENT_H
#define LH_STORE_S3_CLIENT_H

#include "base/buf.h"
#include "base/checksum.h"
#include "base/hash.h"
#include "net/http.h"
#include "store/objstore.h"

struct lh_s3_client;

struct lh_s3_client_options {
    const char *endpoint; /* "https://host" or "http://host:port" */
    const char *region;
    const char *access_key; /* "" = nothing is signed */
    const char *secret_key;
    const char *user_agent;
    const char *ca_file; /* as of the HTTP client; may be NULL */
    bool bucket_in_host; /* https://bucket.host/key instead of https://host/bucket/key */
    /* What is wrong with the bucket or with the keys is a failure of ours (LH_BAD_UPSTREAM), not
     * an answer for whoever asks (LH_NOT_FOUND, LH_FORBIDDEN). */
    bool is_backend;
    int64_t stall_timeout_ms; /* without a byte either way; then the try has failed */
    unsigned tries_max;
    size_t part_bytes;         /* larger objects are uploaded in parts, of at least this size */
    unsigned parts_parallel;   /* of one upload */
    uint64_t buffer_bytes_max; /* of all uploads together; beyond: LH_BUSY */
};

/* The size of the parts in which an object of that size is uploaded. */
uint64_t lh_s3_client_part_bytes(const struct lh_s3_client *client, uint64_t size);

/* All strings are copied. LH_INVALID_CONFIG for an endpoint that is none. No request is made. */
lh_code lh_s3_client_new(const struct lh_s3_client_options *options,
                         struct lh_s3_client **ret_client, struct lh_error *err);
void lh_s3_client_free(struct lh_s3_client *client); /* no call may be under way; accepts NULL */

struct lh_s3_client_stats {
    uint64_t requests; /* tries, the repeats included */
    uint64_t repeats;
    uint64_t failures; /* calls that failed for good because of the store or the way to it */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t buffer_bytes;  /* held by uploads now */
    int64_t clock_skew_ms;  /* how far the store's clock is ahead of ours, once it has complained */
    uint64_t failed_in_row; /* calls since the last success */
    char last_error[LH_ERROR_MESSAGE_MAX]; /* "" = none yet */
    lh_time_ms last_error_ms;
};
void lh_s3_client_stats(struct lh_s3_client *client, struct lh_s3_client_stats *ret);

/* When a call must end, beside its own limits. The zero value is not valid: use
 * LH_S3_LIMITS_NONE. */
struct lh_s3_limits {
    lh_deadline deadline;
    bool (*cancelled)(const void *ctx); /* then LH_CANCELLED within 200 ms; may be NULL */
    const void *ctx;
};
#define LH_S3_LIMITS_NONE ((struct lh_s3_limits){.deadline = LH_NO_DEADLINE})

/* ---- one call ---- */

enum {
    LH_S3_CODE_SIZE = 64,
    LH_S3_TYPE_SIZE = 256,
    LH_S3_REGION_SIZE = 64,
    LH_S3_HEADERS_MAX = 16
};

/* The name, behind x-amz-meta-, under which a put leaves its nonce. */
#define LH_S3_NONCE "lakehouse-put"

/* What an answer says. */
struct lh_s3_answer {
    int status;
    struct lh_object_info info; /* size: of the whole object, when the answer is of an object */
    uint64_t first;             /* of a range: where it begins */
    uint64_t length;            /* Content-Length */
    char content_type[LH_S3_TYPE_SIZE];
    char nonce[LH_UUID_TEXT];       /* of the put that wrote the object; "" = none */
    char region[LH_S3_REGION_SIZE]; /* where the store says that the bucket is; "" = nothing */
    lh_time_ms date_ms;             /* the store's clock; 0 = not told */
    struct lh_checksum checksum;    /* of the whole object; kind NONE when it names none */
    bool etag_is_md5;               /* of the object's bytes: not so of parts, and under KMS */
    char code[LH_S3_CODE_SIZE];     /* of an <Error>: "NoSuchKey" */
    unsigned tries;
    bool handed_over;   /* on_head was called: the call can no longer be repeated as a whole */
    struct lh_buf body; /* of a success without on_body, or of an error */
};
#define LH_S3_ANSWER_INIT(bytes_max) ((struct lh_s3_answer){.body = LH_BUF_INIT(bytes_max)})
void lh_s3_answer_deinit(struct lh_s3_answer *answer);
#define LH_AUTO_S3_ANSWER LH_AUTO(lh_s3_answer_deinit)

struct lh_s3_call {
    enum lh_http_method method;
    lh_str bucket;                        /* empty: the account */
    lh_str key;                           /* empty: the bucket; at most LH_KEY_MAX bytes */
    const char *query;                    /* as it is sent: "uploads=", or NULL */
    const struct lh_http_header *headers; /* at most LH_S3_HEADERS_MAX, beside those of S3 */
    size_t header_count;
    const void *body;
    size_t body_len;
    bool counts_tries; /* not even a dead connection makes a try that answer->tries knows not of */
    bool may_hide_error; /* a 200 whose body is an <Error> is a failure */
    struct lh_s3_limits limits;
    /* Of a success; on_head once, before the body. May be NULL. */
    lh_code (*on_head)(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err);
    lh_code (*on_body)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
    void *ctx;
};

/* Status 2xx and 304 are successes. Failures carry a code of ours and name bucket and key; the
 * answer is filled as far as one came. */
lh_code lh_s3_client_call(struct lh_s3_client *client, const struct lh_s3_call *call,
                          struct lh_s3_answer *answer, struct lh_error *err);

/* ---- objects ---- */

lh_code lh_s3_client_head(struct lh_s3_client *client, lh_str bucket, lh_str key,
                          const struct lh_s3_limits *limits, struct lh_s3_answer *answer,
                          struct lh_error *err);

/* Streams an object, or what a Range among the headers asks for. A stream that breaks off is gone
 * on with from where it broke, from the same version of the object only. A whole object is checked
 * against the checksum that the store has of it, before its last bytes are given on: LH_CORRUPT. */
struct lh_s3_get {
    lh_str bucket;
    lh_str key;
    const struct lh_http_header *headers; /* Range and conditions */
    size_t header_count;
    lh_code (*on_head)(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err);
    lh_code (*on_body)(void *ctx, const void *bytes, size_t len, struct lh_error *err);
    void *ctx;
    struct lh_s3_limits limits;
};
lh_code lh_s3_client_get(struct lh_s3_client *client, const struct lh_s3_get *get,
                         struct lh_error *err);

/* An object from a reader: in one request when it fits a part, else in parts, some of them at the
 * same time. Nothing is visible before the whole is there, and after a failure nothing is left. */
struct lh_s3_put {
    lh_str bucket;
    lh_str key;
    const char *content_type; /* NULL = application/octet-stream */
    bool if_none_match;       /* only when the key is absent; else LH_PRECONDITION */
    const char *if_match;     /* only when it has this etag (without quotes); NULL = no condition */
    const struct lh_http_header *headers; /* x-amz-meta-*, at most 8 */
    size_t header_count;

    bool in_parts;     /* even when it fits one request */
    bool whole_only;   /* LH_UNSUPPORTED when it does not */
    int64_t length;    /* -1 = not known */
    uint64_t size_max; /* of one whose length is not known */
    /* The next bytes; *ret_len = 0 at the end. */
    lh_code (*read)(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err);
    /* All was read and nothing is visible yet: the last word is the caller's. May be NULL. */
    lh_code (*before_commit)(void *ctx, struct lh_error *err);
    void *ctx;
    struct lh_s3_limits limits;
};
lh_code lh_s3_client_put(struct lh_s3_client *client, const struct lh_s3_put *put,
                         struct lh_object_info *ret_info, struct lh_error *err);

/* LH_OK also when it is absent, unless there is an etag: then LH_PRECONDITION. */
lh_code lh_s3_client_delete(struct lh_s3_client *client, lh_str bucket, lh_str key,
                            const char *if_match, const struct lh_s3_limits *limits,
                            struct lh_error *err);

/* Copies an object inside the store, with all that is kept with it; up to 5 GiB, as S3 has it. */
struct lh_s3_copy {
    lh_str bucket;
    lh_str key;
    lh_str from_bucket;
    lh_str from_key;
    struct lh_s3_limits limits;
};
lh_code lh_s3_client_copy(struct lh_s3_client *client, const struct lh_s3_copy *copy,
                          struct lh_error *err);

/* Appends a URL by which anybody may do that with the object for so long (at most
 * LH_SIGV4_EXPIRES_MAX seconds). LH_UNAUTHENTICATED without keys. */
lh_code lh_s3_client_presign(struct lh_s3_client *client, enum lh_http_method method, lh_str bucket,
                             lh_str key, int64_t expires_s, struct lh_buf *out,
                             struct lh_error *err);

/* ---- listings ---- */

struct lh_s3_list {
    lh_str bucket;
    lh_str prefix;
    lh_str delimiter; /* empty = none */
    lh_str token;     /* of the page before; empty = from the start */
    unsigned limit;   /* 1 to 1000 */
    struct lh_s3_limits limits;
};
/* `info` NULL: a common prefix. Keys first, each kind in byte order. */
typedef lh_code (*lh_s3_visitor)(void *ctx, lh_str name, const struct lh_object_info *info,
                                 struct lh_error *err);
/* One page; ret_token (whose maximum bounds it) is empty when there is no more. */
lh_code lh_s3_client_list(struct lh_s3_client *client, const struct lh_s3_list *list,
                          lh_s3_visitor visit, void *ctx, struct lh_buf *ret_token,
                          struct lh_error *err);

/* The account's buckets; info->modified_ms is when each was made. */
lh_code lh_s3_client_list_buckets(struct lh_s3_client *client, const struct lh_s3_limits *limits,
                                  lh_s3_visitor visit, void *ctx, struct lh_error *err);

#endif
