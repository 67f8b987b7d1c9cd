/*
 * One run through everything, online or offline.
 */
#ifndef LH_STORAGED_SCRUB_PRIVATE_H
#define LH_STORAGED_SCRUB_PRIVATE_H

#include "storaged/list.h"
#include "storaged/scrub.h"
#include "storaged/store_private.h"

struct lh_scrub {
    struct lh_store *store;
    const struct lh_scrub_report *report; /* NULL online: the store's own list tells */
    bool offline;
    uint64_t rate; /* bytes a second; 0 = no bound */
    lh_mono start;
    lh_mono told;
    pthread_t thread; /* online; under the store's mutex */
    bool joinable;

    atomic_bool stop;
    atomic_bool running;
    atomic_bool complete;
    atomic_int_fast64_t started_ms;
    atomic_int_fast64_t ended_ms;
    atomic_uint_fast64_t objects;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t findings;
};

/* All buckets, to the end or until `stop`. */
lh_code lh_scrub_run(struct lh_scrub *scrub, struct lh_error *err);
void lh_scrub_state_of(const struct lh_scrub *scrub, struct lh_scrub_state *ret);

#endif
