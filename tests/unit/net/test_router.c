#include "net/router.h"

#include "base/mem.h"
#include "support/cmocka.h"

static const struct lh_route routes[] = {
    {LH_HTTP_GET, "/things/special", NULL, 0, NULL, "1", NULL, NULL},
    {LH_HTTP_GET, "/things/{name}", NULL, 0, NULL, "2", NULL, NULL},
    {LH_HTTP_PUT | LH_HTTP_DELETE, "/things/{name}", NULL, 0, NULL, "3", NULL, NULL},
    {LH_HTTP_GET, "/things/{name}/parts/{part}", NULL, 0, NULL, "4", NULL, NULL},
    {LH_HTTP_GET | LH_HTTP_PUT, "/store/{key*}", NULL, 0, NULL, "5", NULL, NULL},
    {LH_HTTP_GET, "/store", NULL, 0, NULL, "6", NULL, NULL},
    {LH_HTTP_GET, "/", NULL, 0, NULL, "7", NULL, NULL},
    {LH_HTTP_POST, "/{bucket}/{key*}", NULL, 0, NULL, "8", NULL, NULL},
};

struct wanted {
    enum lh_http_method method;
    const char *path;
    const char *route; /* its summary, or NULL for none */
    const char *params[2];
};

LH_TEST(paths_find_their_routes)
{
    static const struct wanted cases[] = {
        {LH_HTTP_GET, "/things/special", "1", {NULL, NULL}},
        {LH_HTTP_GET, "/things/Special", "2", {"Special", NULL}},
        {LH_HTTP_HEAD, "/things/a", "2", {"a", NULL}},
        {LH_HTTP_DELETE, "/things/special", "3", {"special", NULL}},
        {LH_HTTP_GET, "/things/a%2Fb", "2", {"a%2Fb", NULL}}, /* a slash in a name is no segment */
        {LH_HTTP_GET, "/things/a/parts/b", "4", {"a", "b"}},
        {LH_HTTP_GET, "/things/a/parts/", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "/things/", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "/things//parts/b", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "/store", "6", {NULL, NULL}},
        {LH_HTTP_GET, "/store/", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "/store/a", "5", {"a", NULL}},
        {LH_HTTP_PUT, "/store//a/../b/", "5", {"/a/../b/", NULL}},
        {LH_HTTP_GET, "/", "7", {NULL, NULL}},
        {LH_HTTP_POST, "/bucket/k/e/y", "8", {"bucket", "k/e/y"}},
        {LH_HTTP_GET, "/st%6fre", NULL, {NULL, NULL}}, /* names of routes are not decoded */
        {LH_HTTP_GET, "//", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "", NULL, {NULL, NULL}},
        {LH_HTTP_GET, "things", NULL, {NULL, NULL}},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_route_match match;
        unsigned allowed = 0;
        lh_code code = lh_router_match(routes, LH_COUNT(routes), cases[i].method,
                                       lh_str_from(cases[i].path), &match, &allowed, &err);
        if (cases[i].route == NULL) {
            assert_int_not_equal(code, LH_OK);
            continue;
        }
        assert_int_equal(code, LH_OK);
        assert_string_equal(match.route->summary, cases[i].route);
        for (size_t j = 0; j < 2; j++) {
            assert_int_equal(cases[i].params[j] != NULL, j < match.param_count);
            if (j < match.param_count)
                assert_true(lh_str_is(match.param_raw[j], cases[i].params[j]));
        }
    }
}

LH_TEST(what_is_not_there_and_what_is_not_allowed)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_route_match match;
    unsigned allowed = 0;
    assert_int_equal(lh_router_match(routes, LH_COUNT(routes), LH_HTTP_POST, LH_STR("/things"),
                                     &match, &allowed, &err),
                     LH_ROUTE_NOT_FOUND);
    assert_int_equal(allowed, 0);
    assert_int_equal(
        lh_router_match(routes, 7, LH_HTTP_POST, LH_STR("/things/special"), &match, &allowed, &err),
        LH_METHOD_NOT_ALLOWED);
    assert_int_equal(allowed, LH_HTTP_GET | LH_HTTP_HEAD | LH_HTTP_PUT | LH_HTTP_DELETE);
}

LH_TEST(names_of_parameters)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_route_match match;
    unsigned allowed = 0;
    assert_int_equal(lh_router_match(routes, LH_COUNT(routes), LH_HTTP_POST, LH_STR("/b/k/l"),
                                     &match, &allowed, &err),
                     LH_OK);
    assert_int_equal(match.param_count, 2);
    assert_true(lh_str_is(match.param_names[0], "bucket"));
    assert_true(lh_str_is(match.param_names[1], "key"));
}

LH_TEST(targets_are_cut_at_the_first_question_mark)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/a", "/a", ""}, {"/a?", "/a", ""}, {"/a?b=c?d", "/a", "b=c?d"},
        {"?x", "", "x"},  {"", "", ""},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str path, query;
        lh_router_split(lh_str_from(cases[i].target), &path, &query);
        assert_true(lh_str_is(path, cases[i].path));
        assert_true(lh_str_is(query, cases[i].query));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_routes),
        cmocka_unit_test(what_is_not_there_and_what_is_not_allowed),
        cmocka_unit_test(names_of_parameters),
        cmocka_unit_test(targets_are_cut_at_the_first_question_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
