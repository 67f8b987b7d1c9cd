/*
 * Local copies of objects that have no local file of their own (small ones live in storaged's
 * index; a remote store has none). Bounded; what was used longest ago goes first; a copy in use
 * stays. thread-safe.
 *
 * Objects are immutable, so a copy is named by a digest of key and etag and is right for ever. The
 * folder is emptied at start: nothing is trusted that an earlier process left.
 */
#ifndef LH_QUERYD_CACHE_H
#define LH_QUERYD_CACHE_H

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#include <stdint.h>

struct lh_cache;
struct lh_cached;

/* Fetches an object in pieces into `write`; what lh_objstore_get_to does. */
typedef lh_code (*lh_cache_fetch)(void *ctx, const char *key, lh_deadline deadline,
                                  lh_code (*write)(void *to, const void *bytes, size_t len,
                                                   struct lh_error *err),
                                  void *to, struct lh_error *err);

struct lh_cache_options {
    const char *dir; /* made when missing, emptied */
    uint64_t bytes_max;
    lh_cache_fetch fetch;
    void *fetch_ctx;
};

lh_code lh_cache_open(const struct lh_cache_options *options, struct lh_cache **ret_cache,
                      struct lh_error *err);
void lh_cache_close(struct lh_cache *cache); /* nothing is pinned any more */

/* The copy of an object, fetched when there is none; it stays until unpinned. Two who want the same
 * object fetch it once. LH_STORAGE_FULL when it does not fit beside what is pinned; LH_CORRUPT when
 * what came is not `size` bytes. */
lh_code lh_cache_pin(struct lh_cache *cache, const char *key, const char *etag, uint64_t size,
                     lh_deadline deadline, struct lh_cached **ret_cached, struct lh_error *err);
const char *lh_cached_path(const struct lh_cached *cached);            /* while pinned */
void lh_cache_unpin(struct lh_cache *cache, struct lh_cached *cached); /* accepts NULL */

struct lh_cache_stats {
    uint64_t bytes, copies, hits, misses;
};
void lh_cache_stats(struct lh_cache *cache, struct lh_cache_stats *ret_stats);

#endif
