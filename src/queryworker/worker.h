/*
 * The worker program of queryd: DuckDB in a cage, one query at a time (queryd/protocol.h).
 */
#ifndef LH_QUERYWORKER_WORKER_H
#define LH_QUERYWORKER_WORKER_H

#include "base/buf.h"
#include "base/error.h"
#include "duck/parser.h"
#include "queryworker/control.h"
#include "queryworker/views.h"

enum { LH_QUERY_WORKER_FD = 3 };

/* main() of the program. */
int lh_query_worker_main(int argc, char **argv);

/* What a query needs of the worker. */
struct lh_query_worker {
    struct lh_duck *duck;
    struct lh_duck_conn *trusted; /* for the parser and the views; no text of a user runs on it */
    struct lh_duck_parser *parser;
    struct lh_views *views;
    struct lh_control *control;
    const char *const *hidden; /* folders that no message may name, ended by NULL */
};

/* Serves one START: answers with frames up to DONE or ERROR. A failure means that queryd is gone.
 */
lh_code lh_query_serve(struct lh_query_worker *worker, lh_str start, struct lh_error *err);

#endif
