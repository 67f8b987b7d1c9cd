/* Arguments and environment of a supervised service. Inside of the supervisor. */
#ifndef LH_SERVICE_SUPERVISOR_PLAN_H
#define LH_SERVICE_SUPERVISOR_PLAN_H

#include "service/supervisor.h"

struct lh_plan {
    char **args;        /* ended by NULL; owned */
    char **environment; /* the same */
};

/* The same configuration file and flags for all. A service whose configured port is 0 and whose
 * address is known by now (`services`) has that address in the environment, in place of any other
 * word on it, so that all agree. LAKEHOUSE_NOTIFY_FD is 3. `internal`: the key by which they know
 * each other, unless the settings have one. */
void lh_plan_make(const struct lh_settings *settings, const struct lh_command_line *line,
                  const struct lh_supervised services[LH_SUPERVISED_COUNT], const char *internal,
                  struct lh_plan *ret_plan);
void lh_plan_free(struct lh_plan *plan);

#endif
