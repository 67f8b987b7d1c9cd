/*
 * Calls that this code does without, each with what to use instead. Included by every file of ours
 * through the compiler's command line (-include), so that using one does not compile.
 */
#ifndef LH_BASE_BANNED_H
#define LH_BASE_BANNED_H

#ifndef __cplusplus
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets /* lh_buf, memcpy */
#pragma GCC poison atoi atol atoll                                            /* lh_str_to_i64 */
#pragma GCC poison gmtime localtime ctime asctime                             /* base/clock.h */
#pragma GCC poison srand
#define rand lh_banned_use_lh_random_bytes /* not poisoned: OpenSSL has parameters of that name */
#endif

#endif
