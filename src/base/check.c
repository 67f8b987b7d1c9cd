/*
 * Where a broken invariant ends: one line on stderr, then abort, so that a core shows the place.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void lh_check_failed(const char *condition, const char *file, int line,
                               const char *function)
{
    fprintf(stderr, "%s:%d: %s: check failed: %s\n", file, line, function, condition);
    abort();
}
