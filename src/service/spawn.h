/*
 * Starting a program of ours as a child: fork, arrange, exec. Between fork and exec only
 * async-signal-safe calls are made, so that it is right in a process with threads.
 *
 * PR_SET_PDEATHSIG counts from the *thread* that forked: a child dies when that thread ends. So
 * call this from a thread that lives as long as the process (worker.c keeps one for that).
 */
#ifndef LH_SERVICE_SPAWN_H
#define LH_SERVICE_SPAWN_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct lh_spawn {
    const char *program;         /* name of a program beside this one */
    const char *const *args;     /* after argv[0], ended by NULL; or NULL */
    char *const *environment;    /* ended by NULL; NULL = ours */
    int fd;                      /* becomes fd 3 of the child; -1 = none. It stays open here */
    int64_t address_space_bytes; /* RLIMIT_AS; 0 = none */
    int64_t file_bytes_max;      /* RLIMIT_FSIZE; 0 = none */
};

/* Returns after the exec: LH_NOT_FOUND and its like when there is no such program. The child has
 * default signals, a process group of its own, /dev/null as its stdin, our stderr as its stdout,
 * and is killed when we end. */
lh_code lh_spawn(const struct lh_spawn *spawn, pid_t *ret_pid, struct lh_error *err);

#endif
