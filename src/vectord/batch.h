/*
 * lh_batch: the changes of one request, or of one log object: items to put and ids to delete. It is
 * filled and checked as a whole before anything is changed. Not thread-safe.
 */
#ifndef LH_VECTORD_BATCH_H
#define LH_VECTORD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "vectord/index.h"

struct lh_batch {
    struct lh_change *changes;
    size_t count;
    size_t capacity;
    struct lh_arena arena; /* what the changes point to, unless it is borrowed */
};

#define LH_BATCH_INIT(arena_bytes_max) ((struct lh_batch){.arena = LH_ARENA_INIT(arena_bytes_max)})
#define LH_AUTO_BATCH                  LH_AUTO(lh_batch_deinit)

void lh_batch_deinit(struct lh_batch *batch); /* accepts the zero state */
void lh_batch_add(struct lh_batch *batch, const struct lh_change *change); /* copies the struct */

/* LH_INVALID_VECTOR that names the second item of an id that stands twice. */
lh_code lh_batch_check_unique(const struct lh_batch *batch, struct lh_error *err);

/* What applying it takes at most. */
struct lh_vindex_need lh_batch_need(const struct lh_batch *batch);

/* The first bytes of an id for a message, cut at a character's boundary. */
lh_str lh_id_excerpt(lh_str id);

#endif
