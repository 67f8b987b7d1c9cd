/*
 * What reading an object is at both doors: conditions, ranges, and the stream of checked blocks.
 */
#ifndef LH_STORAGED_API_READ_H
#define LH_STORAGED_API_READ_H

#include "net/http_server.h"
#include "storaged/storaged.h"

/* Values of the four headers; LH_STR_NONE = not given. */
struct lh_read_conditions {
    lh_str if_match;
    lh_str if_none_match;
    lh_str if_modified_since;
    lh_str if_unmodified_since;
};
enum lh_verdict {
    LH_VERDICT_READ,
    LH_VERDICT_UNCHANGED, /* the client has it: 304, or 412 of a copy */
    LH_VERDICT_FAILED,    /* 412 */
};
/* In the order of RFC 9110 section 13.2.2. A date that is none counts as not given. */
enum lh_verdict lh_read_judge(const struct lh_read_conditions *conditions,
                              const struct lh_store_info *info);
/* The same of a GET or HEAD; LH_VERDICT_FAILED is LH_PRECONDITION. */
lh_code lh_read_judge_request(const struct lh_http_exchange *x, const struct lh_store_info *info,
                              bool *ret_unchanged, struct lh_error *err);

/* Whether If-Range, if there is one, means this object (RFC 9110 section 13.1.5). */
bool lh_read_range_is_meant(const struct lh_http_exchange *x, const struct lh_store_info *info);

struct lh_read_run {
    int status; /* 200 or 206 */
    uint64_t offset;
    uint64_t len;
    const void *first; /* set by lh_read_first */
    size_t first_len;
};
/* Which bytes are asked for by Range and If-Range; LH_RANGE. Sets Content-Range where it belongs.
 */
lh_code lh_read_choose(struct lh_http_exchange *x, const struct lh_store_info *info,
                       struct lh_read_run *ret_run, struct lh_error *err);
/* Content-Range of a run of it. */
void lh_read_set_range(struct lh_http_exchange *x, const struct lh_store_info *info,
                       const struct lh_read_run *run);

/* ETag, Last-Modified, Accept-Ranges */
void lh_read_set_validators(struct lh_http_exchange *x, const struct lh_store_info *info);
/* The headers that are kept with the object, but those that `skip` (may be NULL) names. */
void lh_read_set_headers(struct lh_http_exchange *x, const struct lh_object *object,
                         bool (*skip)(const void *ctx, lh_str name), const void *ctx);
/* Loads and checks the first block of the run, unless it is empty or the method is HEAD. Called
 * before headers are set, so that damage found there is a plain 500. */
lh_code lh_read_first(const struct lh_http_exchange *x, struct lh_object *object,
                      struct lh_read_run *run, struct lh_error *err);
/* The answer to GET and HEAD, behind the headers that are set already. Damage found on the way cuts
 * the connection. */
lh_code lh_read_send(struct lh_http_exchange *x, struct lh_object *object, const char *content_type,
                     const struct lh_read_run *run, struct lh_error *err);
lh_code lh_read_reply_unchanged(struct lh_http_exchange *x, const struct lh_store_info *info,
                                struct lh_error *err);

#endif
