/*
 * A service's error answer as an error of ours: the word of its problem document decides, or else
 * its status.
 */
#include "base/json.h"
#include "net/http_client.h"

enum { ERROR_BODY_MAX = 64 << 10 };

/* The code for an answer that does not carry a word of ours. */
static lh_code code_from_status(int status)
{
    switch (status) {
    case 400:
        return LH_INVALID;
    case 401:
        return LH_UNAUTHENTICATED;
    case 403:
        return LH_FORBIDDEN;
    case 404:
        return LH_NOT_FOUND;
    case 408:
        return LH_REQUEST_TIMEOUT;
    case 409:
        return LH_CONFLICT;
    case 412:
        return LH_PRECONDITION;
    case 413:
        return LH_TOO_LARGE;
    case 416:
        return LH_RANGE;
    case 503:
        return LH_UNAVAILABLE;
    case 504:
        return LH_TIMEOUT;
    case 507:
        return LH_STORAGE_FULL;
    default:
        return LH_BAD_UPSTREAM;
    }
}

static lh_code fail_from_problem(int status, const json_t *problem, const char *who,
                                 struct lh_error *err)
{
    struct lh_error ignored = LH_ERROR_INIT;
    lh_str word = LH_STR_NONE, detail = LH_STR_NONE, hint = LH_STR_NONE;
    LH_IGNORE(lh_json_opt_str(problem, "code", &word, &ignored), "a member of another type");
    LH_IGNORE(lh_json_opt_str(problem, "detail", &detail, &ignored), "is as good as none");
    LH_IGNORE(lh_json_opt_str(problem, "hint", &hint, &ignored), "likewise");
    lh_code code = word.len > 0 ? lh_code_from_word(word.ptr, word.len) : LH_INTERNAL;
    /* A word that is not in our table says nothing: the status decides. */
    if (code == LH_INTERNAL && !lh_str_is(word, lh_code_word(LH_INTERNAL)))
        code = code_from_status(status);
    lh_code failure = detail.len > 0
                          ? lh_fail(err, code, "%s: %.*s", who, LH_FMT(detail))
                          : lh_fail(err, code, "%s answered with status %d", who, status);
    return hint.len > 0 ? lh_hint(err, "%.*s", LH_FMT(hint)) : failure;
}

lh_code lh_http_fail_from_answer(int status, lh_str body, const char *who, struct lh_error *err)
{
    LH_AUTO_JSON json_t *problem = NULL;
    struct lh_error ignored = LH_ERROR_INIT;
    if (body.len > 0 && body.len <= ERROR_BODY_MAX && body.ptr[0] == '{' &&
        lh_json_parse(body, &problem, &ignored) == LH_OK && json_is_object(problem))
        return fail_from_problem(status, problem, who, err);
    return lh_fail(err, code_from_status(status), "%s answered with status %d", who, status);
}
