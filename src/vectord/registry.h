/* The set of indexes by name. thread-safe; every collection handed out is a reference. */
#ifndef LH_VECTORD_REGISTRY_H
#define LH_VECTORD_REGISTRY_H

#include "vectord/collection.h"

struct lh_registry {
    pthread_mutex_t mutex;
    pthread_cond_t changed;       /* a name was settled */
    struct lh_collection **items; /* by name, in byte order; a reference each */
    size_t count, capacity;
    char **busy; /* names that are being created */
    size_t busy_count, busy_capacity;
};

void lh_registry_init(struct lh_registry *registry);
void lh_registry_deinit(struct lh_registry *registry);

/* NULL when there is none. */
struct lh_collection *lh_registry_find(struct lh_registry *registry, lh_str name);
/* Takes a reference of its own. The name must be free. */
void lh_registry_add(struct lh_registry *registry, struct lh_collection *collection);
/* Nothing happens when it is not in there (any more). */
void lh_registry_remove(struct lh_registry *registry, struct lh_collection *collection);
size_t lh_registry_count(struct lh_registry *registry);
size_t lh_registry_list(struct lh_registry *registry, lh_str prefix, lh_str after, size_t max,
                        struct lh_collection **ret_collections);
/* All of them in a new array. */
size_t lh_registry_all(struct lh_registry *registry, struct lh_collection ***ret_collections);
void lh_collections_free(struct lh_collection **collections, size_t count);

/* One thread at a time creates or deletes an index of a name; waits for its turn, until the
 * deadline (LH_TIMEOUT). */
lh_code lh_registry_claim(struct lh_registry *registry, lh_str name, lh_deadline deadline,
                          struct lh_error *err);
void lh_registry_unclaim(struct lh_registry *registry, lh_str name);

#endif
