/* The router on any path: whatever it cuts out lies inside of the path. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lh_route routes[] = {
        {.methods = LH_HTTP_GET, .pattern = "/a/{x}/b/{y}"},
        {.methods = LH_HTTP_GET, .pattern = "/a/{x}/{rest*}"},
        {.methods = LH_HTTP_PUT, .pattern = "/a/{x}"},
        {.methods = LH_HTTP_GET, .pattern = "/{a}/{b}/{c}/{d}"},
    };
    lh_str path, query;
    lh_router_split(lh_str_of((const char *)data, size), &path, &query);
    LH_CHECK(path.len + query.len + (path.len < size) == size);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_route_match match;
    unsigned allowed = 0;
    if (lh_router_match(routes, LH_COUNT(routes), LH_HTTP_GET, path, &match, &allowed, &err) !=
        LH_OK)
        return 0;
    for (size_t i = 0; i < match.param_count; i++) {
        LH_CHECK(match.param_raw[i].len > 0);
        LH_CHECK(match.param_raw[i].ptr > path.ptr);
        LH_CHECK(match.param_raw[i].ptr + match.param_raw[i].len <= path.ptr + path.len);
    }
    return 0;
}
