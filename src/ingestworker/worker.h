/*
 * The worker process of ingestd: takes one request over fd 3, converts one file in its cage,
 * answers, ends.
 */
#ifndef LH_INGESTWORKER_WORKER_H
#define LH_INGESTWORKER_WORKER_H

/* The whole program. Exit codes: 0 an answer was sent (also one that says what failed), 1 none
 * could be sent, 2 it was not started by ingestd. */
int lh_ingestworker_main(void);

#endif
