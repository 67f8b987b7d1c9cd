/*
 * The HTTP side of ingestd: what its files share.
 */
#ifndef LH_INGESTD_API_H
#define LH_INGESTD_API_H

#include "ingestd/ingestd.h"
#include "net/http_server.h"

/* The state of the service: first argument of every handler. */
struct lh_ingestd {
    struct lh_intake *intake;
    struct lh_objstore *store;
    struct lh_catalog_client *catalog;
    int64_t body_bytes_max;
};

/* api.c: the table of routes. */
enum { LH_INGESTD_ROUTES = 2 };
extern const struct lh_route lh_ingestd_routes[LH_INGESTD_ROUTES];

/* api_upload.c: the whole body into the job, a form's fields into the options. */
lh_code lh_ingestd_upload(struct lh_http_exchange *x, struct lh_job *job,
                          struct lh_ingest_options *options, struct lh_error *err);

#endif
