/*
 * The body of POST /catalog/datasets: from JSON to a request for a commit.
 */
#ifndef LH_CATALOGD_COMMIT_JSON_H
#define LH_CATALOGD_COMMIT_JSON_H

#include "base/json.h"
#include "catalogd/commit.h"

struct lh_commit_limits {
    size_t columns_max;
    size_t objects_max;
};

/* A request with what its texts lie in. */
struct lh_commit_body {
    json_t *root; /* owned */
    char name[LH_NAME_MAX + 1];
    struct lh_column *columns;
    struct lh_object *objects;
    char **stats; /* one for each object, or NULL */
    struct lh_commit_request request;
};

/* Takes over `root`. Members that are not known are refused. LH_INVALID, LH_INVALID_NAME,
 * LH_TOO_LARGE; lh_commit_check has not been asked yet. *ret_body is the caller's to deinit. */
lh_code lh_commit_body_parse(json_t *root, const struct lh_commit_limits *limits,
                             struct lh_commit_body *ret_body, struct lh_error *err);
void lh_commit_body_deinit(struct lh_commit_body *body); /* accepts the zero state */
#define LH_AUTO_COMMIT_BODY __attribute__((cleanup(lh_commit_body_deinit)))

#endif
