/*
 * ingestd's side of the catalog: what a dataset is now, and the commit that makes a stored object
 * part of it. thread-safe.
 */
#ifndef LH_INGESTD_CATALOG_H
#define LH_INGESTD_CATALOG_H

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>

struct lh_catalog_client;
struct lh_http_client;

/* `url` as "http://host:port"; the client is borrowed. */
lh_code lh_catalog_client_open(const char *url, struct lh_http_client *client,
                               struct lh_catalog_client **ret_catalog, struct lh_error *err);
void lh_catalog_client_close(struct lh_catalog_client *catalog);

/* The answer of GET /catalog/datasets/{name}, at a snapshot or (0) at present, owned by the caller;
 * NULL when there is no such dataset or no such snapshot. */
lh_code lh_catalog_client_get(struct lh_catalog_client *catalog, const char *dataset,
                              int64_t snapshot, lh_deadline deadline, json_t **ret_dataset,
                              struct lh_error *err);

/* Sends a commit (the body of POST /catalog/datasets). Success and every answer of the 400s is
 * final. Any other failure sets *ret_unknown: the commit may have happened, may still happen, or
 * never will. Sending the same body again settles it, since commits are idempotent by their content
 * id. */
lh_code lh_catalog_client_commit(struct lh_catalog_client *catalog, lh_str body,
                                 lh_deadline deadline, json_t **ret_answer, bool *ret_unknown,
                                 struct lh_error *err);

/* What GET answered: whether an object is part of the state, and how many of its objects came with
 * a content (*ret_all: every one of them). `dataset` may be NULL. */
bool lh_catalog_client_has_object(const json_t *dataset, lh_str key);
size_t lh_catalog_client_count_content(const json_t *dataset, const char *content_id,
                                       bool *ret_all);

#endif
