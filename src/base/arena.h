/*
 * lh_arena: memory for the length of one request, released as a whole. It has a limit: an
 * allocation beyond it gives NULL, which the caller turns into LH_TOO_LARGE or LH_BUSY.
 * Not thread-safe.
 */
#ifndef LH_BASE_ARENA_H
#define LH_BASE_ARENA_H

#include "base/str.h"

#include <stddef.h>

struct lh_arena_block;

struct lh_arena {
    struct lh_arena_block *blocks; /* newest first */
    size_t used_bytes;             /* handed out, without slack */
    size_t bytes_max;
};

#define LH_ARENA_INIT(limit_bytes) ((struct lh_arena){.bytes_max = (limit_bytes)})

void lh_arena_deinit(struct lh_arena *arena);
/* Aligned to 16; NULL beyond the limit. */
void *lh_arena_alloc(struct lh_arena *arena, size_t bytes);
void *lh_arena_calloc(struct lh_arena *arena, size_t bytes); /* zeroed */
char *lh_arena_strndup(struct lh_arena *arena, const char *text, size_t len);
char *lh_arena_printf(struct lh_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define LH_AUTO_ARENA __attribute__((cleanup(lh_arena_deinit)))

#endif
