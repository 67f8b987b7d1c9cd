/*
 * Memory. Small internal allocations do not fail: they abort with a message, since nothing useful
 * could be done. Sizes that come from outside are bounded first; large ones use the `try` form and
 * answer LH_NO_MEMORY.
 *
 * Scratch is owned by the scope (LH_AUTO_FREE char *p = ...) and handed over by LH_TAKE(p).
 * A function uses either cleanup variables or goto, never both.
 */
#ifndef LH_BASE_MEM_H
#define LH_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *lh_malloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *lh_calloc(size_t count, size_t bytes)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *lh_realloc(void *ptr, size_t bytes) __attribute__((returns_nonnull, alloc_size(2)));
char *lh_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *lh_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));

/* Grows an array to hold at least `need` elements, doubling; aborts on overflow. */
void *lh_grow(void *array, size_t *capacity, size_t need, size_t element_bytes);

/* NULL when there is no memory or the product overflows. */
void *lh_try_malloc(size_t count, size_t element_bytes) __attribute__((malloc));

/* printf into a new string, owned by the caller. */
char *lh_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

void lh_cleanup_free(void *ptr_address);
void lh_cleanup_fd(int *fd);

#define LH_AUTO(function) __attribute__((cleanup(function)))
#define LH_AUTO_FREE      LH_AUTO(lh_cleanup_free)
#define LH_AUTO_FD        LH_AUTO(lh_cleanup_fd) /* -1 = nothing to close */

#define LH_TAKE(variable)                                                                          \
    ({                                                                                             \
        __typeof__(variable) lh_taken_ = (variable);                                               \
        (variable) = NULL;                                                                         \
        lh_taken_;                                                                                 \
    })

#define LH_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
