/*
 * Worker processes: programs of ours that do dangerous or hungry work (DuckDB on hostile input)
 * apart from the HTTP process, talking over a socket pair in frames. A worker that misbehaves is
 * killed and costs one request.
 *
 * A frame: u32 length of the payload, u32 type, payload (both little-endian, same host). Types are
 * the protocol of the pair; a payload is at most LH_FRAME_MAX.
 */
#ifndef LH_SERVICE_WORKER_H
#define LH_SERVICE_WORKER_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LH_FRAME_MAX = 16 << 20 };

/* ---- both sides ---- */

/* A frame whose payload is the concatenation of the given parts. LH_CANCELLED when the peer is
 * gone. */
lh_code lh_frame_send(int fd, uint32_t type, const void *bytes, size_t len, struct lh_error *err);
/* The next frame into `payload` (reset first). LH_CANCELLED at the end of the stream, LH_TIMEOUT.
 */
lh_code lh_frame_receive(int fd, lh_deadline deadline, uint32_t *ret_type, struct lh_buf *payload,
                         struct lh_error *err);

/* An error as a payload, and back. */
void lh_frame_put_error(struct lh_buf *payload, const struct lh_error *failure);
void lh_frame_get_error(lh_str payload, struct lh_error *ret_failure);

/* ---- the service's side ---- */

struct lh_worker_options {
    const char *program;         /* name of a program beside this one: "queryd-worker" */
    const char *const *args;     /* after argv[0], ended by NULL; or NULL */
    int64_t address_space_bytes; /* RLIMIT_AS; 0 = none */
    int64_t file_bytes_max;      /* RLIMIT_FSIZE; 0 = none */
};

struct lh_worker {
    pid_t pid;
    int fd; /* our end of the socket pair */
};

/* The worker finds its end as fd 3, dies with its parent (PR_SET_PDEATHSIG), gets no other fd of
 * ours, and writes its log to our stderr. */
lh_code lh_worker_start(const struct lh_worker_options *options, struct lh_worker *ret_worker,
                        struct lh_error *err);
/* Closes our end, waits grace_ms for its exit, then SIGKILL; reaps it. Accepts {0, -1}. */
void lh_worker_stop(struct lh_worker *worker, int64_t grace_ms);
/* SIGKILL at once, and reap. */
void lh_worker_kill(struct lh_worker *worker);
/* Whether it has exited by itself (reaps it; *ret_status as from waitpid). */
bool lh_worker_exited(struct lh_worker *worker, int *ret_status);

#endif
