/*
 * The queries that run or wait: listed, cancelled, and watched over. A thread sees to it that a
 * query ends: at its deadline or when it is cancelled its worker is interrupted, and 2 s later
 * killed.
 */
#ifndef LH_QUERYD_RUNNING_H
#define LH_QUERYD_RUNNING_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"

#include <stdint.h>
#include <sys/types.h>

struct lh_running;
struct lh_run;

enum lh_run_end {
    LH_RUN_GOES_ON,
    LH_RUN_TIMED_OUT,
    LH_RUN_CLIENT_GONE,
    LH_RUN_CANCELLED, /* by lh_running_cancel */
    LH_RUN_FAILED,    /* on our side: the worker shall stop */
};

/* `on_end` is called from any thread after a query was told to end. */
lh_code lh_running_open(void (*on_end)(void *ctx), void *ctx, struct lh_running **ret_running,
                        struct lh_error *err);
void lh_running_close(struct lh_running *all); /* no query is left; accepts NULL */

/* Lists a query until lh_run_finish; its id is new. */
struct lh_run *lh_run_start(struct lh_running *all, lh_str sql, int64_t timeout_ms);
void lh_run_finish(struct lh_run *run);

const char *lh_run_id(const struct lh_run *run);
lh_mono lh_run_started(const struct lh_run *run);
lh_deadline lh_run_deadline(const struct lh_run *run);
int64_t lh_run_timeout_ms(const struct lh_run *run);

/* From now on this process works for the query; until detached it must not be reaped. The number
 * names the query towards the worker. */
uint64_t lh_run_attach(struct lh_run *run, int fd, pid_t pid);
void lh_run_detach(struct lh_run *run);
/* Sends a frame to the attached worker; never mixed with a CANCEL of the watching thread. */
lh_code lh_run_send(struct lh_run *run, uint32_t type, lh_str payload, struct lh_error *err);

/* Tells the query to end; the first reason counts. thread-safe, does not block. */
void lh_run_stop(struct lh_run *run, enum lh_run_end reason);
/* False when there is no such query. */
bool lh_running_cancel(struct lh_running *all, lh_str id);
enum lh_run_end lh_run_ended(struct lh_run *run);

/* [{"query_id","sql","state","elapsed_ms"}], the oldest first; the text is cut. Appended to out. */
void lh_running_list(struct lh_running *all, struct lh_buf *out);
size_t lh_running_count(struct lh_running *all);

#endif
