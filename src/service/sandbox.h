/*
 * The cage of a worker process, put on before it looks at any input: no new privileges, no core
 * dump, files only below the given folders (Landlock), no sockets, no new programs (seccomp). Each
 * part is used where the kernel has it.
 */
#ifndef LH_SERVICE_SANDBOX_H
#define LH_SERVICE_SANDBOX_H

#include "base/error.h"

struct lh_sandbox {
    const char *const *read_dirs;  /* ended by NULL; may be read */
    const char *const *write_dirs; /* ended by NULL; may be read, written, created and removed in */
};

/* Call on the only thread, before others start: threads inherit the cage. Existing file descriptors
 * stay usable. *ret_missing gets a phrase for the log about what this kernel lacks, "" when
 * nothing. */
lh_code lh_sandbox_enter(const struct lh_sandbox *sandbox, const char **ret_missing,
                         struct lh_error *err);

#endif
