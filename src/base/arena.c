/*
 * The arena: a list of blocks, newest first. Allocations are cut from the newest block; one that is
 * larger than what a block is worth gets a block of its own behind the newest, so that the newest's
 * rest is not lost.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { ALIGNMENT = 16, BLOCK_BYTES = 4096, LARGE_BYTES = BLOCK_BYTES / 4 };

struct lh_arena_block {
    struct lh_arena_block *next;
    size_t used;
    size_t size;
    _Alignas(ALIGNMENT) char data[];
};

void lh_arena_deinit(struct lh_arena *arena)
{
    while (arena->blocks) {
        struct lh_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
}

static struct lh_arena_block *block_new(size_t size)
{
    struct lh_arena_block *block = lh_try_malloc(1, sizeof(*block) + size);
    if (block)
        *block = (struct lh_arena_block){.size = size};
    return block;
}

/* A block with `bytes` free, in the list; NULL when there is no memory. */
static struct lh_arena_block *block_for(struct lh_arena *arena, size_t bytes)
{
    struct lh_arena_block *newest = arena->blocks;
    if (newest && newest->size - newest->used >= bytes)
        return newest;
    bool large = bytes >= LARGE_BYTES;
    struct lh_arena_block *block = block_new(large ? bytes : BLOCK_BYTES);
    if (!block)
        return NULL;
    if (large && newest) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = newest;
        arena->blocks = block;
    }
    return block;
}

void *lh_arena_alloc(struct lh_arena *arena, size_t bytes)
{
    if (bytes > arena->bytes_max) /* before rounding, which could overflow */
        return NULL;
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    rounded = rounded > 0 ? rounded : ALIGNMENT;
    if (rounded < bytes || rounded > arena->bytes_max - arena->used_bytes)
        return NULL;
    struct lh_arena_block *block = block_for(arena, rounded);
    if (!block)
        return NULL;
    void *ptr = block->data + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    return ptr;
}

void *lh_arena_calloc(struct lh_arena *arena, size_t bytes)
{
    void *ptr = lh_arena_alloc(arena, bytes);
    if (ptr)
        memset(ptr, 0, bytes);
    return ptr;
}

char *lh_arena_strndup(struct lh_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? lh_arena_alloc(arena, len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *lh_arena_printf(struct lh_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    LH_CHECK(len >= 0);
    char *text = lh_arena_alloc(arena, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
