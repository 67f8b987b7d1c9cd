#include "base/json.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "support/cmocka.h"

static const struct lh_route routes[] = {
    {LH_HTTP_GET, "/things", NULL, 0, "prefix limit", "Lists things", NULL, "200"},
    {LH_HTTP_POST, "/things", NULL, LH_ROUTE_BODY, NULL, "Makes \"one\"", "application/json",
     "201 409"},
    {LH_HTTP_GET | LH_HTTP_DELETE, "/things/{name}/parts/{rest*}", NULL, 0, NULL, NULL, NULL, NULL},
    {LH_HTTP_PUT, "/raw/{key*}", NULL, LH_ROUTE_BODY, NULL, "Stores", "text/csv, application/x-y",
     "200 201"},
};

static const json_t *at(const json_t *root, const char *a, const char *b, const char *c)
{
    const json_t *found = json_object_get(root, a);
    if (b != NULL)
        found = json_object_get(found, b);
    if (c != NULL)
        found = json_object_get(found, c);
    return found;
}

LH_TEST(describes_the_routes)
{
    struct lh_buf out = LH_BUF_INIT(64 << 10);
    lh_http_openapi(routes, LH_COUNT(routes), "testd", "1.2", &out);
    assert_false(lh_buf_overflowed(&out));
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *root = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&out), &root, &err), LH_OK);
    assert_string_equal(json_string_value(at(root, "openapi", NULL, NULL)), "3.1.0");
    assert_string_equal(json_string_value(at(root, "info", "title", NULL)), "testd");
    assert_int_equal(json_object_size(at(root, "paths", NULL, NULL)), 3);

    const json_t *list = at(root, "paths", "/things", "get");
    const json_t *parameters = json_object_get(list, "parameters");
    assert_int_equal(json_array_size(parameters), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(parameters, 1), "name")),
                        "limit");
    const json_t *make = at(root, "paths", "/things", "post");
    assert_string_equal(json_string_value(json_object_get(make, "summary")), "Makes \"one\"");
    assert_non_null(at(make, "requestBody", "content", "application/json"));
    assert_non_null(at(make, "responses", "409", NULL));
    assert_non_null(at(make, "responses", "default", NULL));

    const json_t *part = at(root, "paths", "/things/{name}/parts/{rest}", "delete");
    assert_non_null(part);
    const json_t *second = json_array_get(json_object_get(part, "parameters"), 1);
    assert_string_equal(json_string_value(json_object_get(second, "name")), "rest");
    assert_string_equal(json_string_value(json_object_get(second, "in")), "path");
    const json_t *content =
        at(at(root, "paths", "/raw/{key}", "put"), "requestBody", "content", NULL);
    assert_int_equal(json_object_size(content), 2);
    assert_non_null(json_object_get(content, "text/csv"));
    assert_non_null(at(root, "components", "schemas", "Problem"));
    lh_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(describes_the_routes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
