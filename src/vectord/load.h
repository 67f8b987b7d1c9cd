/* Bringing an index back: its snapshot, then the log behind it. */
#ifndef LH_VECTORD_LOAD_H
#define LH_VECTORD_LOAD_H

#include "vectord/collection.h"

/* Loads the collection's objects and makes it ready, or sets it failed with the reason; the code
 * tells which. Nothing is written. Under a deadline of its own (vectord.load_timeout). `stopping`,
 * when it becomes true, ends it with LH_CANCELLED and leaves the state alone. */
lh_code lh_collection_load(struct lh_collection *collection, bool (*stopping)(const void *ctx),
                           const void *ctx, struct lh_error *err);

#endif
