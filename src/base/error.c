/*
 * Errors: filling struct lh_error, and the facts of the table in error.def.
 *
 * Every message is formatted into a local buffer first, so the arguments may point into the error
 * that is being filled: lh_fail(err, LH_IO, "second try: %s", err->message) is fine.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct code_facts {
    int status;
    const char *word;
    const char *title;
};

static const struct code_facts facts_of[] = {
    [LH_OK] = {200, "ok", "It worked"},
#define LH_ERROR(name, status, word, title) [LH_##name] = {status, word, title},
#include "base/error.def"
#undef LH_ERROR
};

static const struct code_facts *facts(lh_code code)
{
    LH_CHECK((size_t)code < LH_COUNT(facts_of));
    return &facts_of[code];
}

/* The end of a message that was cut at `len`: before the character of which only a part fits. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return len;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return len - (start - 1) < want ? start - 1 : len;
}

/* vsnprintf that cuts at a character's boundary. */
__attribute__((format(printf, 3, 0))) static void format_cut(char *out, size_t out_size,
                                                             const char *format, va_list args)
{
    int len = vsnprintf(out, out_size, format, args);
    LH_CHECK(len >= 0);
    if ((size_t)len >= out_size)
        out[whole_characters(out, out_size - 1)] = '\0';
}

static void fill(struct lh_error *err, lh_code code, int sys_errno, const char *message)
{
    *err = (struct lh_error){.code = code, .sys_errno = sys_errno};
    memcpy(err->message, message, strlen(message) + 1);
}

lh_code lh_fail_call(struct lh_error *err, lh_code code, const char *format, ...)
{
    LH_CHECK(code != LH_OK);
    char message[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_cut(message, sizeof(message), format, args);
    va_end(args);
    fill(err, code, 0, message);
    return code;
}

static lh_code code_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
        return LH_STORAGE_FULL;
    case ENOENT:
        return LH_NOT_FOUND;
    case ENOMEM:
        return LH_NO_MEMORY;
    default:
        return LH_IO;
    }
}

/* snprintf that cuts at a character's boundary. */
__attribute__((format(printf, 3, 4))) static void join_cut(char *out, size_t out_size,
                                                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_cut(out, out_size, format, args);
    va_end(args);
}

lh_code lh_fail_errno_call(struct lh_error *err, const char *format, ...)
{
    int sys_errno = errno;
    char what[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_cut(what, sizeof(what), format, args);
    va_end(args);

    char reason_space[128];
    const char *reason = strerror_r(sys_errno, reason_space, sizeof(reason_space));
    char message[LH_ERROR_MESSAGE_MAX];
    join_cut(message, sizeof(message), "%s: %s", what, reason);
    fill(err, code_of_errno(sys_errno), sys_errno, message);
    return err->code;
}

lh_code lh_hint_call(struct lh_error *err, const char *format, ...)
{
    LH_CHECK(err->code != LH_OK);
    char hint[LH_ERROR_HINT_MAX];
    va_list args;
    va_start(args, format);
    format_cut(hint, sizeof(hint), format, args);
    va_end(args);
    memcpy(err->hint, hint, strlen(hint) + 1);
    return err->code;
}

lh_code lh_fail_context_call(struct lh_error *err, const char *format, ...)
{
    LH_CHECK(err->code != LH_OK);
    char context[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_cut(context, sizeof(context), format, args);
    va_end(args);

    char message[LH_ERROR_MESSAGE_MAX];
    join_cut(message, sizeof(message), "%s: %s", context, err->message);
    memcpy(err->message, message, strlen(message) + 1);
    return err->code;
}

int lh_code_status(lh_code code)
{
    return facts(code)->status;
}

const char *lh_code_word(lh_code code)
{
    return facts(code)->word;
}

const char *lh_code_title(lh_code code)
{
    return facts(code)->title;
}

lh_code lh_code_from_word(const char *word, size_t len)
{
    for (size_t i = 1; i < LH_COUNT(facts_of); i++) {
        if (strlen(facts_of[i].word) == len && memcmp(facts_of[i].word, word, len) == 0)
            return (lh_code)i;
    }
    return LH_INTERNAL;
}

bool lh_code_is_public(lh_code code)
{
    /* These two speak of files and system calls. Damage (LH_CORRUPT) is named to everybody. */
    return code != LH_INTERNAL && code != LH_IO;
}
