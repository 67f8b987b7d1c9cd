/* Folding the log into the snapshot, and rebuilding what is mostly dead. Only the keeper calls
 * these. */
#ifndef LH_VECTORD_FOLD_H
#define LH_VECTORD_FOLD_H

#include "vectord/collection.h"

/* Whether enough of it is dead, or its log long enough. thread-safe. */
bool lh_collection_wants_rebuild(struct lh_collection *collection);
bool lh_collection_wants_fold(struct lh_collection *collection);

/* Builds the index anew from its live items, without stopping readers or writers, and puts it in
 * place. LH_INDEX_MEMORY when there is no room for two. */
lh_code lh_collection_rebuild(struct lh_collection *collection, bool (*stopping)(const void *ctx),
                              const void *ctx, struct lh_error *err);

/* Writes the snapshot and deletes the log objects that it covers. On failure everything is as
 * before; what was not deleted is ignored when the index is loaded, and deleted by the next fold.
 */
lh_code lh_collection_fold(struct lh_collection *collection, struct lh_error *err);

#endif
