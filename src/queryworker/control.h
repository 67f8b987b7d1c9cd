/*
 * The worker's ear: a thread that reads all frames, so that a CANCEL is heard while a query runs.
 * Other frames wait in a queue for the main thread.
 */
#ifndef LH_QUERYWORKER_CONTROL_H
#define LH_QUERYWORKER_CONTROL_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

struct lh_control;
struct lh_duck_conn;

/* Starts the thread on `fd`. The end of the stream ends the process: nobody wants its answers. */
lh_code lh_control_start(int fd, struct lh_control **ret_control, struct lh_error *err);

/* Waits for the next frame; its payload is moved into `payload`. Main thread only, as the rest. */
uint32_t lh_control_next(struct lh_control *control, struct lh_buf *payload);

/* The connection that a CANCEL interrupts from now on; NULL = none. It stays open until NULL is
 * set. */
void lh_control_running(struct lh_control *control, struct lh_duck_conn *conn);

/* LH_CANCELLED when the query that was started last has been cancelled. To be asked between the
 * steps: an interrupt that meets no running statement is lost. */
lh_code lh_control_check(struct lh_control *control, struct lh_error *err);

#endif
