/* Putting log objects, shared by commits (commit.c) and the background (keep.c, fold.c). */
#ifndef LH_VECTORD_COMMIT_H
#define LH_VECTORD_COMMIT_H

#include "vectord/collection.h"

/* Makes the object durable under the next free sequence. What is found at a sequence that is taken
 * is applied first, for which the token is needed: `has_token` tells whether the caller has it.
 * Afterwards there still is the room that the caller needs to apply its own (`need`). */
lh_code lh_commit_log(struct lh_collection *collection, struct lh_buf *object,
                      const struct lh_vindex_need *need, bool has_token, struct lh_error *err);

#endif
