/*
 * The calls of vector_search in one statement: what is asked of queryd, and the tables with the
 * hits that stand in their places.
 */
#ifndef LH_QUERYWORKER_SEARCHES_H
#define LH_QUERYWORKER_SEARCHES_H

#include "duck/duck.h"
#include "queryworker/gate.h"
#include "queryworker/vector_call.h"

struct lh_searches {
    struct lh_duck_conn *conn; /* the trusted one: hits are made tables by it */
    struct lh_vector_call calls[LH_GATE_SEARCHES_MAX];
    char *tables[LH_GATE_SEARCHES_MAX]; /* a name that no dataset can have */
    size_t count;
    size_t shown; /* tables that were made */
    json_t *used; /* names of the parameters that calls have taken */
};

/* Reads the arguments of all calls. LH_INVALID_SQL with line, column and excerpt. Deinit it
 * whatever comes out. */
lh_code lh_searches_read(const struct lh_gate *gate, lh_str sql, const json_t *params,
                         struct lh_duck_conn *conn, struct lh_searches *searches,
                         struct lh_error *err);
/* Drops the tables. Accepts the zero state. */
void lh_searches_deinit(struct lh_searches *searches);

/* The member "searches" of TABLES. */
void lh_searches_put(const struct lh_searches *searches, struct lh_json *json);

/* Makes the next table of the hits: id VARCHAR, distance FLOAT, metadata JSON, nearest first. */
lh_code lh_searches_show(struct lh_searches *searches, lh_str hits, struct lh_error *err);

#endif
