/* The client of vectord: searches for statements. thread-safe. */
#ifndef LH_QUERYD_VECTORS_H
#define LH_QUERYD_VECTORS_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"

struct lh_http_client;

struct lh_vectors {
    char *url;
    struct lh_http_client *client; /* borrowed */
    int64_t timeout_ms;            /* of one search */
};

void lh_vectors_init(struct lh_vectors *vectors, const char *url, struct lh_http_client *client,
                     int64_t timeout_ms);
void lh_vectors_deinit(struct lh_vectors *vectors); /* accepts the zero state */

struct lh_vectors_search {
    lh_str index;
    lh_str body; /* JSON */
    lh_deadline deadline;
    bool (*cancelled)(const void *ctx);
    const void *ctx;
};

/* The answer into `answer`, whose maximum bounds it. LH_INVALID_SQL with vectord's words when the
 * index is not there or the request is wrong; LH_RESULT_TOO_LARGE; LH_UNAVAILABLE, LH_TIMEOUT,
 * LH_CANCELLED, and what vectord fails with. */
lh_code lh_vectors_search(const struct lh_vectors *vectors, const struct lh_vectors_search *search,
                          struct lh_buf *answer, struct lh_error *err);

#endif
