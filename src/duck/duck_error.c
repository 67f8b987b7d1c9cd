/*
 * From DuckDB's failures to ours. With errors_as_json a failure's text is an object,
 *
 *   {"exception_type":"Binder","exception_message":"...","position":"7", ...}
 *
 * which some ways put behind a prefix ("Parser Error: {...}"). A text without the object ("Parser
 * Error: syntax error ...": the library ran out of memory on its way, or is older) is read by its
 * prefix.
 */
#include "duck/duck_private.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

/* The names of DuckDB's exception types. What is not here speaks of the engine's insides. */
static const struct {
    const char *type;
    lh_code code;
} codes[] = {
    {"Parser", LH_INVALID_SQL},
    {"Syntax", LH_INVALID_SQL},
    {"Binder", LH_INVALID_SQL},
    {"Catalog", LH_INVALID_SQL},
    {"Planner", LH_INVALID_SQL},
    {"Expression", LH_INVALID_SQL},
    {"Not implemented", LH_INVALID_SQL},
    {"Parameter Not Resolved", LH_INVALID_SQL},
    {"Parameter Not Allowed", LH_INVALID_SQL},
    {"Unknown Type", LH_INVALID_SQL},
    {"Dependency", LH_INVALID_SQL},
    {"Conversion", LH_BAD_DATA},
    {"Invalid Input", LH_BAD_DATA},
    {"Invalid", LH_BAD_DATA},
    {"Out of Range", LH_BAD_DATA},
    {"Decimal", LH_BAD_DATA},
    {"Mismatch Type", LH_BAD_DATA},
    {"Invalid type", LH_BAD_DATA},
    {"Divide by Zero", LH_BAD_DATA},
    {"Object Size", LH_BAD_DATA},
    {"Serialization", LH_BAD_DATA},
    {"Constraint", LH_BAD_DATA},
    {"Sequence", LH_BAD_DATA},
    {"Out of Memory", LH_QUERY_MEMORY},
    {"INTERRUPT", LH_CANCELLED},
    {"IO", LH_IO},
    {"Permission", LH_STATEMENT_NOT_ALLOWED},
    {"Missing Extension", LH_STATEMENT_NOT_ALLOWED},
    {"Extension Autoloading", LH_STATEMENT_NOT_ALLOWED},
    {"HTTP", LH_STATEMENT_NOT_ALLOWED},
    {"Network", LH_STATEMENT_NOT_ALLOWED},
};

static lh_code code_of(lh_str type)
{
    for (size_t i = 0; i < LH_COUNT(codes); i++)
        if (lh_str_is(type, codes[i].type))
            return codes[i].code;
    return LH_INTERNAL;
}

/* The first line says what is wrong, the rest how to mend it ("Candidate bindings: ..."). */
static lh_code fail_in_two_parts(struct lh_error *err, lh_code code, lh_str message)
{
    lh_str rest = message;
    lh_str first = message;
    (void)lh_str_next(&rest, '\n', &first);
    lh_code failed = lh_fail(err, code, "%.*s", LH_FMT(first));
    while (rest.len > 0 && *rest.ptr == '\n')
        rest = lh_str_skip(rest, 1);
    if (rest.len > 0)
        failed = lh_hint(err, "%.*s", LH_FMT(rest));
    return failed;
}

static lh_code fail_by_type(struct lh_error *err, lh_str type, lh_str message)
{
    lh_code code = code_of(type);
    switch (code) {
    case LH_INVALID_SQL:
        return fail_in_two_parts(err, code, message);
    case LH_QUERY_MEMORY:
        /* DuckDB's advice is for those who may change its settings. */
        return lh_fail(err, code, "the query needs more memory than it may have");
    case LH_CANCELLED:
        return lh_fail(err, code, "the query was interrupted");
    default:
        return lh_fail(err, code, "%.*s", LH_FMT(message));
    }
}

static lh_code fail_by_prefix(struct lh_error *err, lh_str text)
{
    static const char mark[] = " Error: ";
    const char *end = memmem(text.ptr, text.len, mark, sizeof(mark) - 1);
    if (end == NULL)
        return lh_fail(err, LH_INTERNAL, "%.*s", LH_FMT(text));
    size_t type_len = (size_t)(end - text.ptr);
    /* It shows its place in the SQL, too; ours are shown by those who know the whole text. */
    const char *place = memmem(text.ptr, text.len, "\n\nLINE ", 7);
    if (place != NULL)
        text.len = (size_t)(place - text.ptr);
    return fail_by_type(err, lh_str_of(text.ptr, type_len),
                        lh_str_skip(text, type_len + sizeof(mark) - 1));
}

static const char *find_object(const char *text)
{
    enum { PREFIX_MAX = 64 };
    if (*text == '{')
        return text;
    const char *mark = strstr(text, " Error: {");
    if (mark == NULL || mark - text > PREFIX_MAX)
        return NULL;
    return strchr(mark, '{');
}

lh_code lh_duck_fail(struct lh_error *err, const char *text, int64_t *ret_position)
{
    if (ret_position != NULL)
        *ret_position = LH_DUCK_NO_POSITION;
    if (text == NULL || *text == '\0')
        return lh_fail(err, LH_INTERNAL, "DuckDB failed without saying why");
    const char *object = find_object(text);
    if (object == NULL)
        return fail_by_prefix(err, lh_str_from(text));

    LH_AUTO_JSON json_t *root = NULL;
    struct lh_error unread = LH_ERROR_INIT;
    lh_str type = LH_STR_NONE;
    lh_str message = LH_STR_NONE;
    lh_str position = LH_STR_NONE;
    if (lh_json_parse(lh_str_from(object), &root, &unread) != LH_OK ||
        lh_json_need_str(root, "exception_type", &type, &unread) != LH_OK ||
        lh_json_need_str(root, "exception_message", &message, &unread) != LH_OK ||
        lh_json_opt_str(root, "position", &position, &unread) != LH_OK)
        return fail_by_prefix(err, lh_str_from(text));
    if (ret_position != NULL)
        LH_IGNORE(!lh_str_to_i64(position, ret_position), "it stays 'no position'");
    return fail_by_type(err, type, message);
}
