/*
 * The supervisor: `lakehouse serve` as a loop. It starts the six programs that lie beside this one,
 * in the order of their dependencies, each stage when the one before is ready; starts a crashed one
 * again after a pause; and stops them in reverse order.
 *
 *   struct lh_supervisor_options options = {.settings = &settings, .line = &line, .on_event =
 * show}; lh_code code = lh_supervisor_run(&options, &err);   // until SIGTERM or SIGINT
 *
 * Services whose port is 0 get one from the system; the others learn it through the environment,
 * and a service that is started again gets the same one.
 */
#ifndef LH_SERVICE_SUPERVISOR_H
#define LH_SERVICE_SUPERVISOR_H

#include "service/command_line.h"
#include "service/settings.h"

#include <sys/types.h>

enum { LH_SUPERVISED_COUNT = 6, LH_ADDRESS_SIZE = 300 };

/* One service as the caller sees it. */
struct lh_supervised {
    const char *name;
    char address[LH_ADDRESS_SIZE]; /* "127.0.0.1:3211"; "" until it listens */
    bool ready;
    pid_t pid; /* 0 = not running */
    unsigned restarts;
};

enum lh_supervisor_event_type {
    LH_SUPERVISOR_SERVICE_READY, /* `index` serves, for the first time or again */
    LH_SUPERVISOR_ALL_READY,     /* all six do, for the first time */
    LH_SUPERVISOR_CRASHED,       /* `index` ended by itself and is started again in `pause_ms` */
    LH_SUPERVISOR_STOPPING,      /* a signal came, or the start failed */
};

struct lh_supervisor_event {
    enum lh_supervisor_event_type type;
    size_t index;
    int64_t elapsed_ms; /* since lh_supervisor_run was called */
    int64_t pause_ms;
    int wait_status;                      /* of a crash, as from waitpid */
    const struct lh_supervised *services; /* all six, gateway last; valid during the callback */
};

struct lh_supervisor_options {
    const struct lh_settings *settings;
    const struct lh_command_line *line; /* its file and flags are passed on */
    void (*on_event)(void *ctx, const struct lh_supervisor_event *event); /* may be NULL */
    void *ctx;
};

/* Runs until SIGTERM or SIGINT, then stops all: LH_OK. SIGHUP is passed on. LH_INVALID_CONFIG when
 * a service refuses its configuration (it has said on stderr why), LH_UNAVAILABLE when one does not
 * start, LH_CANCELLED when a second signal cut the stopping short. Call it on the main thread,
 * before other threads are started: it blocks the signals that it waits for, and its children die
 * with the calling thread. */
lh_code lh_supervisor_run(const struct lh_supervisor_options *options, struct lh_error *err);

#endif
