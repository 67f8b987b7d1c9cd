/*
 * The objects in an external S3 store, with backend = "s3": the native keys of this service are
 * keys of one bucket there, behind a prefix. Nothing is kept here. thread-safe.
 *
 * The store must honour If-None-Match and If-Match on PUT: the commits of the services above depend
 * on it, so it is tried before the first request is taken. A store that does not know If-Match on
 * DELETE is helped out: the object is looked at first, so somebody else's put in between is lost.
 * One that ignores the conditions of an upload in parts gets no object with a condition that is
 * larger than a part (LH_UNSUPPORTED).
 */
#ifndef LH_STORAGED_REMOTE_H
#define LH_STORAGED_REMOTE_H

#include "service/settings.h"
#include "storaged/storaged.h"
#include "store/s3_client.h"

struct lh_remote;

/* Makes no request. LH_INVALID_CONFIG. */
lh_code lh_remote_open(const struct lh_storaged_settings *settings, struct lh_remote **ret_remote,
                       struct lh_error *err);
void lh_remote_close(struct lh_remote *remote); /* accepts NULL */

/* Whether the store can be used, by writing and removing an object of its own. The message of a
 * failure is for the operator. `stopping` ends it early. */
lh_code lh_remote_probe(struct lh_remote *remote, bool (*stopping)(const void *ctx),
                        const void *ctx, struct lh_error *err);

struct lh_remote_facts {
    const char *endpoint;
    const char *bucket;
    const char *prefix;
    bool deletes_by_etag;       /* the store knows If-Match on DELETE */
    bool parts_with_conditions; /* it honours conditions when an upload in parts is completed */
    struct lh_s3_client_stats client;
};
void lh_remote_facts(struct lh_remote *remote, struct lh_remote_facts *ret);

/* The operations of store/s3_client.h on one key of ours. `put` and `get` come without bucket and
 * key, `list` without bucket and with our prefix and its token; names given to a visitor are ours.
 * LH_KEY_TOO_LONG when there is no room for the prefix. */
lh_code lh_remote_put(struct lh_remote *remote, lh_str key, const struct lh_s3_put *put,
                      struct lh_object_info *ret_info, struct lh_error *err);
lh_code lh_remote_get(struct lh_remote *remote, lh_str key, const struct lh_s3_get *get,
                      struct lh_error *err);
lh_code lh_remote_head(struct lh_remote *remote, lh_str key, const struct lh_s3_limits *limits,
                       struct lh_s3_answer *answer, struct lh_error *err);
lh_code lh_remote_delete(struct lh_remote *remote, lh_str key, const char *if_match,
                         const struct lh_s3_limits *limits, struct lh_error *err);
lh_code lh_remote_list(struct lh_remote *remote, const struct lh_s3_list *list, lh_s3_visitor visit,
                       void *ctx, struct lh_buf *ret_token, struct lh_error *err);

#endif
