/*
 * Errors are values: a code from error.def, a message that names the object, what was wanted and
 * what was found, and a hint that says how to mend it.
 *
 *   lh_code lh_thing_open(const char *path, struct lh_thing **ret_thing, struct lh_error *err)
 *   {
 *       LH_TRY(lh_thing_check(path, err));
 *       if (...)
 *           return lh_fail(err, LH_NOT_FOUND, "no thing at %s", path);
 *
 * A function that fails has filled *err and left its ret_ arguments alone; one that succeeds has
 * left *err alone. `err` is never NULL. Decide on codes, never on the text of a message.
 */
#ifndef LH_BASE_ERROR_H
#define LH_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* gcc checks unused results per function only; clang checks this type, in the sanitizer builds. */
#ifdef __clang__
#define LH_CODE_MUST_BE_USED __attribute__((warn_unused_result))
#else
#define LH_CODE_MUST_BE_USED
#endif

typedef enum LH_CODE_MUST_BE_USED {
    LH_OK = 0,
#define LH_ERROR(name, status, word, title) LH_##name,
#include "base/error.def"
#undef LH_ERROR
} lh_code;

enum { LH_ERROR_MESSAGE_MAX = 400, LH_ERROR_HINT_MAX = 240, LH_ERROR_EXCERPT_MAX = 400 };

struct lh_error {
    lh_code code;
    int sys_errno; /* errno of the failed system call, 0 if none */
    uint64_t line; /* position in the caller's input, 1-based; 0 if there is none */
    uint64_t column;
    char message[LH_ERROR_MESSAGE_MAX];
    char hint[LH_ERROR_HINT_MAX];       /* "" if there is none */
    char excerpt[LH_ERROR_EXCERPT_MAX]; /* the offending value, or the SQL line and its caret */
};

#define LH_ERROR_INIT ((struct lh_error){.code = LH_OK})

/* Fills *err and returns `code`, so that a failure is one statement: return lh_fail(...).
 * Overlong messages are cut at a character boundary. Clears hint, position and excerpt. */
#define lh_fail(err, code, ...) LH_NEVER_OK(lh_fail_call((err), (code), __VA_ARGS__))

/* The same for a failed system call: picks the code from errno (ENOSPC and EDQUOT give
 * LH_STORAGE_FULL, ENOENT LH_NOT_FOUND, ENOMEM LH_NO_MEMORY, the rest LH_IO) and appends its text.
 * The only caller of strerror. */
#define lh_fail_errno(err, ...) LH_NEVER_OK(lh_fail_errno_call((err), __VA_ARGS__))

/* Adds to a failure that lh_fail made; each returns err->code. */
#define lh_hint(err, ...) LH_NEVER_OK(lh_hint_call((err), __VA_ARGS__))

/* Puts "context: " in front of the message and returns err->code. */
#define lh_fail_context(err, ...) LH_NEVER_OK(lh_fail_context_call((err), __VA_ARGS__))

/* The functions behind the names above, which tell compiler and analyser that a failure is one:
 * without that, both believe in outputs left unset by a success that cannot be. */
lh_code lh_fail_call(struct lh_error *err, lh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));
lh_code lh_fail_errno_call(struct lh_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
lh_code lh_hint_call(struct lh_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
lh_code lh_fail_context_call(struct lh_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

static inline lh_code lh_never_ok(lh_code code)
{
    if (code == LH_OK)
        __builtin_unreachable();
    return code;
}
#define LH_NEVER_OK(call) lh_never_ok(call)

/* Facts of the table. `lh_code_from_word` gives LH_INTERNAL for a word that is not in it. */
int lh_code_status(lh_code code);
const char *lh_code_word(lh_code code);
const char *lh_code_title(lh_code code);
lh_code lh_code_from_word(const char *word, size_t len);

/* Whether the message may be shown to a client: those that speak of our insides are for the log. */
bool lh_code_is_public(lh_code code);

#define LH_TRY(call)                                                                               \
    do {                                                                                           \
        lh_code lh_try_code_ = (call);                                                             \
        if (lh_try_code_ != LH_OK)                                                                 \
            return lh_try_code_;                                                                   \
    } while (0)

/* Drops a result on purpose, and says why. */
#define LH_IGNORE(call, why)                                                                       \
    do {                                                                                           \
        if ((call)) { /* why */                                                                    \
        }                                                                                          \
    } while (0)

#endif
