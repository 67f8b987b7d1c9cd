/*
 * Allocation that does not fail, the `try` form that may, and the destructors of cleanup variables.
 */
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/os.h"

static _Noreturn void out_of_memory(size_t bytes)
{
    fprintf(stderr, "out of memory: %zu bytes could not be had\n", bytes);
    abort();
}

void *lh_malloc(size_t bytes)
{
    void *ptr = malloc(bytes > 0 ? bytes : 1);
    if (!ptr)
        out_of_memory(bytes);
    return ptr;
}

void *lh_calloc(size_t count, size_t bytes)
{
    void *ptr = calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1);
    if (!ptr)
        out_of_memory(count * bytes);
    return ptr;
}

void *lh_realloc(void *ptr, size_t bytes)
{
    void *moved = realloc(ptr, bytes > 0 ? bytes : 1);
    if (!moved)
        out_of_memory(bytes);
    return moved;
}

char *lh_strdup(const char *text)
{
    return lh_strndup(text, strlen(text));
}

char *lh_strndup(const char *text, size_t len)
{
    LH_CHECK(len < SIZE_MAX);
    char *copy = lh_malloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *lh_grow(void *array, size_t *capacity, size_t need, size_t element_bytes)
{
    enum { FIRST_CAPACITY = 8 };
    if (need <= *capacity)
        return array;
    size_t grown = *capacity > 0 ? *capacity : FIRST_CAPACITY;
    while (grown < need) {
        LH_CHECK(grown <= SIZE_MAX / 2);
        grown *= 2;
    }
    size_t bytes;
    LH_CHECK(!__builtin_mul_overflow(grown, element_bytes, &bytes));
    array = lh_realloc(array, bytes);
    *capacity = grown;
    return array;
}

void *lh_try_malloc(size_t count, size_t element_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes))
        return NULL;
    return malloc(bytes > 0 ? bytes : 1);
}

char *lh_asprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0 || !text)
        out_of_memory(strlen(format));
    return text;
}

void lh_cleanup_free(void *ptr_address)
{
    void *ptr;
    memcpy(&ptr, ptr_address, sizeof(ptr)); /* the variable is of any pointer type */
    free(ptr);
}

void lh_cleanup_fd(int *fd)
{
    if (*fd < 0)
        return;
    int saved_errno = errno;
    lh_io->close(*fd);
    *fd = -1;
    errno = saved_errno;
}
