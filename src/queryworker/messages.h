/*
 * Messages that leave the worker do not name our folders.
 */
#ifndef LH_QUERYWORKER_MESSAGES_H
#define LH_QUERYWORKER_MESSAGES_H

#include "base/error.h"

/* Replaces every path below `dir` in message, hint and excerpt by "(a data file)". */
void lh_message_hide(struct lh_error *failure, const char *dir);

#endif
