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

struct lh_catalog;
struct lh_http_client;

/* `url` as "http://host:port"; the client is borrowed. */
lh_code lh_catalog_open(const char *url, struct lh_http_client *client,
                        struct lh_catalog **ret_catalog, struct lh_error *err);
void lh_catalog_close(struct lh_catalog *catalog);

/* The answer of GET /catalog/datasets/{name}, owned by the caller; NULL when there is no such
 * dataset. */
lh_code lh_catalog_get(struct lh_catalog *catalog, const char *dataset, lh_deadline deadline,
                       json_t **ret_dataset, struct lh_error *err);

/* Sends a commit (the body of POST /catalog/datasets). Success and every answer of the 400s is
 * final. Any other failure sets *ret_unknown: the commit may have happened, may still happen, or
 * never will. Sending the same body again settles it, since commits are idempotent by their content
 * id. */
lh_code lh_catalog_commit(struct lh_catalog *catalog, lh_str body, lh_deadline deadline,
                          json_t **ret_answer, bool *ret_unknown, struct lh_error *err);

/* What GET answered: whether an object, or a content, is part of the dataset's present state. */
bool lh_catalog_has_object(const json_t *dataset, lh_str key);
bool lh_catalog_has_content(const json_t *dataset, const char *content_id);

#endif
