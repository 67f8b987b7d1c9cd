/*
 * The router: see router.h. A table of some dozen routes is walked from its top; each test is a
 * comparison of a few bytes, which costs less than any index would.
 */
#include "net/router.h"

#include "base/mem.h"

#include <string.h>

void lh_router_split(lh_str target, lh_str *ret_path, lh_str *ret_query)
{
    const char *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    if (mark == NULL) {
        *ret_path = target;
        *ret_query = LH_STR_NONE;
        return;
    }
    *ret_path = lh_str_of(target.ptr, (size_t)(mark - target.ptr));
    *ret_query = lh_str_skip(target, ret_path->len + 1);
}

/* What stands before the next slash. Both texts begin with one, which is skipped. */
static lh_str next_segment(lh_str *rest)
{
    *rest = lh_str_skip(*rest, 1);
    const char *slash = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - rest->ptr) : rest->len;
    lh_str segment = lh_str_of(rest->ptr, len);
    *rest = lh_str_skip(*rest, len);
    return segment;
}

static void add_param(struct lh_route_match *match, lh_str name, lh_str raw)
{
    match->param_names[match->param_count] = name;
    match->param_raw[match->param_count] = raw;
    match->param_count++;
}

static bool match_pattern(lh_str pattern, lh_str path, struct lh_route_match *match)
{
    match->param_count = 0;
    while (pattern.len > 0) {
        if (path.len == 0 || *path.ptr != '/')
            return false;
        lh_str path_here = path;
        lh_str want = next_segment(&pattern);
        lh_str have = next_segment(&path);
        if (!lh_str_starts(want, "{")) {
            if (!lh_str_eq(want, have))
                return false;
            continue;
        }
        if (match->param_count == LH_ROUTE_PARAMS_MAX)
            return false;
        lh_str name = lh_str_of(want.ptr + 1, want.len - 2);
        if (lh_str_ends(name, "*")) { /* the whole rest, slashes and all */
            lh_str rest = lh_str_skip(path_here, 1);
            name.len--;
            add_param(match, name, rest);
            return rest.len > 0;
        }
        if (have.len == 0)
            return false;
        add_param(match, name, have);
    }
    return path.len == 0;
}

const struct lh_route *lh_router_rest(const struct lh_route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((routes[i].flags & LH_ROUTE_REST) != 0)
            return &routes[i];
    return NULL;
}

lh_code lh_router_match(const struct lh_route *routes, size_t count, enum lh_http_method method,
                        lh_str raw_path, struct lh_route_match *ret_match, unsigned *ret_allowed,
                        struct lh_error *err)
{
    unsigned wanted = (unsigned)method;
    unsigned allowed = 0;
    struct lh_route_match match;
    for (size_t i = 0; i < count; i++) {
        if ((routes[i].flags & LH_ROUTE_REST) != 0)
            continue;
        if (!match_pattern(lh_str_from(routes[i].pattern), raw_path, &match))
            continue;
        unsigned methods = routes[i].methods;
        if ((methods & LH_HTTP_GET) != 0)
            methods |= LH_HTTP_HEAD;
        if ((methods & wanted) != 0) {
            match.route = &routes[i];
            *ret_match = match;
            return LH_OK;
        }
        allowed |= methods;
    }
    const struct lh_route *rest = lh_router_rest(routes, count);
    if (allowed == 0 && rest != NULL && (rest->methods & wanted) != 0) {
        *ret_match = (struct lh_route_match){.route = rest};
        return LH_OK;
    }
    if (allowed == 0)
        return lh_fail(err, LH_ROUTE_NOT_FOUND, "nothing answers to %.*s", LH_FMT(raw_path));
    *ret_allowed = allowed;
    return lh_fail(err, LH_METHOD_NOT_ALLOWED, "%.*s does not take %s", LH_FMT(raw_path),
                   lh_http_method_name(method));
}
