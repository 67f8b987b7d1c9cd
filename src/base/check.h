/*
 * Assertions. LH_CHECK stays on in release builds: preconditions, the magic of long-lived objects,
 * states that cannot be. LH_DCHECK is for validators and inner loops and is compiled out of release
 * builds. Neither is ever used on input from outside: that gets an lh_error.
 */
#ifndef LH_BASE_CHECK_H
#define LH_BASE_CHECK_H

/* Writes the failed condition to stderr and aborts. */
_Noreturn void lh_check_failed(const char *condition, const char *file, int line,
                               const char *function);

#define LH_CHECK(condition)                                                                        \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            lh_check_failed(#condition, __FILE__, __LINE__, __func__);                             \
    } while (0)

/* A place that cannot be reached; `why` is a string literal. */
#define LH_UNREACHABLE(why) lh_check_failed("unreachable: " why, __FILE__, __LINE__, __func__)

#ifdef LH_DEBUG
#define LH_DCHECK(condition) LH_CHECK(condition)
#else
#define LH_DCHECK(condition)                                                                       \
    do {                                                                                           \
        (void)sizeof(!(condition));                                                                \
    } while (0)
#endif

/* Long-lived objects begin with `uint32_t magic`: set by new/open, checked where the object comes
 * back through a void *, cleared first by free/close so that a use after free trips. */
#define LH_CHECK_MAGIC(object, expected)                                                           \
    do {                                                                                           \
        LH_CHECK((object) != NULL);                                                                \
        LH_CHECK((object)->magic == (expected));                                                   \
    } while (0)

#endif
