/* How well an index finds: stored vectors as queries, searched as always and exactly. */
#ifndef LH_VECTORD_RECALL_H
#define LH_VECTORD_RECALL_H

#include "vectord/select.h"

enum { LH_RECALL_SAMPLE_DEFAULT = 100, LH_RECALL_SAMPLE_MAX = 10000 };

struct lh_recall_request {
    uint64_t sample; /* vectors, at least 1 */
    uint64_t k;
    uint64_t ef;   /* 0 = the default */
    double refine; /* 0 = the default */
    struct lh_condition condition;
    lh_deadline deadline; /* what was measured until then is the answer */
    bool (*cancelled)(const void *ctx);
    const void *ctx;
};

struct lh_recall {
    uint64_t sample;  /* queries that were asked: fewer when there are fewer items, or less time */
    double recall;    /* share of the true neighbours that were found; 1 when there are none */
    double search_us; /* a query, on average */
    double exact_us;
};

/* The item itself is no neighbour. Equals of the k-th neighbour count as found. LH_CANCELLED. */
lh_code lh_collection_recall(struct lh_collection *collection,
                             const struct lh_recall_request *request, struct lh_recall *ret_recall,
                             struct lh_error *err);

#endif
