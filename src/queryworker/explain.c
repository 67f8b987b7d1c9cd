/*
 * The smallest lexer that can tell the first words of a statement.
 */
#include "queryworker/explain.h"

#include "base/str.h"

#include <string.h>

/* Past spaces, -- comments and nested block comments, as PostgreSQL's grammar has them. */
static char *skip_blank(char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n\f\v");
        if (strncmp(at, "--", 2) == 0) {
            at += strcspn(at, "\n");
        } else if (strncmp(at, "/*", 2) == 0) {
            unsigned depth = 0;
            do {
                bool opens = strncmp(at, "/*", 2) == 0;
                bool closes = strncmp(at, "*/", 2) == 0;
                depth = depth + opens - closes;
                at += opens || closes ? 2 : 1;
            } while (depth > 0 && *at != '\0');
        } else {
            return at;
        }
    }
}

/* The length of the word when it is the one at `at`, else 0. */
static size_t word(const char *at, const char *wanted)
{
    size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return lh_str_eq_nocase(lh_str_of(at, len), lh_str_from(wanted)) ? len : 0;
}

lh_code lh_explain_strip(char *sql, bool *ret_explain, struct lh_error *err)
{
    char *at = skip_blank(sql);
    size_t len = word(at, "EXPLAIN");
    *ret_explain = len > 0;
    if (len == 0)
        return LH_OK;
    char *next = skip_blank(at + len);
    if (word(next, "ANALYZE") > 0 || *next == '(') {
        LH_IGNORE(lh_fail(err, LH_STATEMENT_NOT_ALLOWED, "EXPLAIN takes no options here"),
                  "the hint returns the code");
        return lh_hint(err, "EXPLAIN SELECT ... shows the plan without running it");
    }
    memset(at, ' ', len);
    return LH_OK;
}
