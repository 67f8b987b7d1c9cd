/* Putting log objects, shared by commits (commit.c) and the background (keep.c, fold.c). */
#ifndef LH_VECTORD_COMMIT_H
#define LH_VECTORD_COMMIT_H

#include "vectord/collection.h"

/* Makes the sealed or unsealed object durable under the next free sequence. What is found at a
 * sequence that is taken is applied first, for which the token is needed: `has_token` tells whether
 * the caller has it. */
lh_code lh_commit_log(struct lh_collection *collection, struct lh_buf *object, bool has_token,
                      struct lh_error *err);

#endif
