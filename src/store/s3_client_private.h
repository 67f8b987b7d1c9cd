/*
 * Inside of the S3 client: what its files share. Reading order: s3_client.c (one try), s3_call.c
 * (repeats), s3_answer.c (what answers mean), then one file per operation.
 */
#ifndef LH_STORE_S3_CLIENT_PRIVATE_H
#define LH_STORE_S3_CLIENT_PRIVATE_H

#include "base/thread.h"
#include "store/s3_client.h"

#include <stdatomic.h>

enum {
    LH_S3_ERROR_BYTES_MAX = 64 << 10,
    LH_S3_URL_BYTES_MAX = 16 << 10,
    /* Repeats in hand, in tenths: each costs ten, each success gives one back. */
    LH_S3_BUDGET_MAX = 500,
    LH_S3_REPEAT_COST = 10,
};

struct lh_s3_client {
    uint32_t magic;
    char *scheme; /* "https://" */
    char *host;   /* "host:port", the port as it was given */
    char *region;
    char *access_key;
    char *secret_key;
    bool bucket_in_host;
    bool is_backend;
    int64_t stall_timeout_ms;
    unsigned tries_max;
    size_t part_bytes;
    unsigned parts_parallel;
    uint64_t buffer_bytes_max;
    struct lh_http_client *http;
    _Atomic int64_t clock_skew_ms;

    pthread_mutex_t mutex; /* guards what follows */
    struct lh_s3_client_stats stats;
    int budget;
};

/* s3_client.c: one try. `sha256` is that of the body, in hex. *ret_again: it failed in a way that
 * may pass; else the failure is the caller's, or was one of its callbacks. */
lh_code lh_s3_try(struct lh_s3_client *client, const struct lh_s3_call *call, const char *sha256,
                  struct lh_s3_answer *answer, bool *ret_again, struct lh_error *err);

/* s3_answer.c */
void lh_s3_answer_reset(struct lh_s3_answer *answer);
void lh_s3_answer_take(struct lh_s3_answer *answer, int status,
                       const struct lh_http_header *headers, size_t count);
/* Whether a 200 is an <Error> in truth; then answer->code is set. */
bool lh_s3_answer_hides_error(struct lh_s3_answer *answer);
/* The failure that the answer tells; *ret_again: it may pass. A store that complains of our clock
 * has its own adopted. */
lh_code lh_s3_fail_from_answer(struct lh_s3_client *client, const struct lh_s3_call *call,
                               struct lh_s3_answer *answer, bool *ret_again, struct lh_error *err);
/* Text between quotes, as ETag has it; false when it is too long. */
bool lh_s3_take_etag(lh_str value, char out[LH_ETAG_SIZE]);

/* s3_get.c: "\"etag\"" as a header's value. */
enum { LH_S3_QUOTED_SIZE = LH_ETAG_SIZE + 2 };
lh_str lh_s3_quote(const char *etag, char out[LH_S3_QUOTED_SIZE]);

/* s3_put.c: memory of uploads, within the client's budget, of which so many bytes are left to
 * others. False when it is used up. */
struct lh_s3_window {
    char *bytes;
    size_t size;
    size_t len;
};
bool lh_s3_window_take(struct lh_s3_client *client, size_t size, uint64_t left,
                       struct lh_s3_window *ret_window);
void lh_s3_window_free(struct lh_s3_client *client, struct lh_s3_window *window);
/* Reads until the window is full or the body is at its end. */
lh_code lh_s3_window_fill(const struct lh_s3_put *put, struct lh_s3_window *window,
                          struct lh_error *err);

enum { LH_S3_PARTS_MAX = 10000, LH_S3_PUT_HEADERS_MAX = 10, LH_S3_CONDITIONS_MAX = 2 };

/* What is kept with the object: its type, x-amz-meta-*, the nonce. */
struct lh_s3_put_head {
    struct lh_http_header list[LH_S3_PUT_HEADERS_MAX];
    size_t count;
    char nonce[LH_UUID_TEXT]; /* "" = none */
};

/* The headers of the put's conditions; how many. */
size_t lh_s3_conditions(const struct lh_s3_put *put, char etag[LH_S3_QUOTED_SIZE],
                        struct lh_http_header out[LH_S3_CONDITIONS_MAX]);
/* The request that makes an object visible has failed (*err): unless it was refused because an
 * earlier try of it, whose answer was lost, has done its work. Then LH_OK. */
lh_code lh_s3_settle(struct lh_s3_client *client, const struct lh_s3_put *put, const char *nonce,
                     const struct lh_s3_answer *failed, struct lh_object_info *ret_info,
                     struct lh_error *err);

/* s3_parts.c: an upload in parts, each as large as the first one, which is read already. */
lh_code lh_s3_put_parts(struct lh_s3_client *client, const struct lh_s3_put *put,
                        struct lh_s3_window *first, const struct lh_s3_put_head *head,
                        struct lh_object_info *ret_info, struct lh_error *err);

#endif
