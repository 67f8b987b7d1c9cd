/*
 * Who may use the native REST: a key as "Authorization: Bearer SECRET" or "X-Api-Key: SECRET". Its
 * objects are those of the bucket "lake", so a key's pattern is asked about that.
 */
#include "service/keys.h"
#include "storaged/api.h"

#define LAKE "lake"

/* The secret that the request shows; LH_STR_NONE for none. */
static lh_str find_token(const struct lh_http_exchange *x)
{
    const lh_str scheme = LH_STR("Bearer ");
    lh_str authorization = lh_http_header(x, "Authorization");
    if (authorization.len > scheme.len &&
        lh_str_eq_nocase(lh_str_of(authorization.ptr, scheme.len), scheme))
        return lh_str_trim(lh_str_skip(authorization, scheme.len));
    return lh_http_header(x, "X-Api-Key");
}

/* RFC 6750 section 3: how to come in; `error` only for a token that was there and is wrong. */
static lh_code unauthenticated(struct lh_http_exchange *x, bool wrong, struct lh_error *err)
{
    lh_http_set_header(x, "WWW-Authenticate",
                       wrong ? LH_STR("Bearer realm=\"lakehouse\", error=\"invalid_token\"")
                             : LH_STR("Bearer realm=\"lakehouse\""));
    LH_IGNORE(lh_fail(err, LH_UNAUTHENTICATED, "%s",
                      wrong ? "this key is not known here" : "a key is needed here"),
              "the hint's code is the same");
    return lh_hint(err, "send the secret of a key: Authorization: Bearer SECRET");
}

lh_code lh_storaged_admit(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                          enum lh_access access, lh_str object_key, struct lh_error *err)
{
    if (!lh_keys_required(storaged->keys))
        return LH_OK;
    lh_str token = find_token(x);
    struct lh_key key;
    if (!lh_keys_by_token(storaged->keys, token, &key))
        return unauthenticated(x, token.len > 0, err);
    if (lh_key_may(&key, access, LH_STR(LAKE), object_key))
        return LH_OK;
    return lh_fail(err, LH_FORBIDDEN, "the key \"%s\" may not do that to \"%.*s\" of " LAKE, key.id,
                   LH_FMT(object_key));
}
