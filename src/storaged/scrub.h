/*
 * Looking at everything that the store keeps: each row, each block of each object and part against
 * its checksum; and, when nobody else has the store, totals, orphans and the index's structure.
 *
 * Online it runs on a thread of its own at a bounded rate, and what it finds is on the list of
 * damaged objects (lh_store_damaged). Offline (`storaged check`) every finding is told in words.
 */
#ifndef LH_STORAGED_SCRUB_H
#define LH_STORAGED_SCRUB_H

#include "storaged/storaged.h"

struct lh_scrub_state {
    bool running;
    bool complete;         /* the last one went to the end */
    lh_time_ms started_ms; /* 0 = never */
    lh_time_ms ended_ms;
    uint64_t objects; /* looked at so far */
    uint64_t bytes;
    uint64_t findings;
};

/* ---- online; thread-safe ---- */

/* LH_BUSY while one is running. bytes_per_second: 0 = as fast as the disk. */
lh_code lh_store_check_start(struct lh_store *store, uint64_t bytes_per_second,
                             struct lh_error *err);
void lh_store_check_state(struct lh_store *store, struct lh_scrub_state *ret);

/* ---- offline ---- */

struct lh_scrub_report {
    void (*found)(void *ctx, const char *what);
    void (*progress)(void *ctx, const struct lh_scrub_state *state); /* now and then */
    void *ctx;
};

/* Checks the store in `dir`, whose lock it takes meanwhile (LH_BUSY). LH_OK when it went to the
 * end, whatever it found. The index's log is brought home; nothing else is changed. */
lh_code lh_store_check_offline(const char *dir, const struct lh_scrub_report *report,
                               struct lh_scrub_state *ret_state, struct lh_error *err);

/* `storaged check`: the arguments behind that word. Exit code: 0 sound, 1 not, 2 usage. */
int lh_storaged_check_main(int argc, char **argv);

#endif
