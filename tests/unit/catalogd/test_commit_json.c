/*
 * Bodies of commits: what is taken, and what each refused one is answered.
 */
#include "unit/catalogd/sample.h"

#include "catalogd/commit_json.h"

static const struct lh_commit_limits limits = {.columns_max = 3, .objects_max = 2};

static lh_code parse(const char *text, struct lh_commit_body *ret_body, struct lh_error *err)
{
    json_t *root = NULL;
    *err = LH_ERROR_INIT;
    LH_TRY(lh_json_parse(lh_str_from(text), &root, err));
    LH_TRY(lh_commit_body_parse(root, &limits, ret_body, err));
    return lh_commit_check(&ret_body->request, err);
}

LH_TEST(a_full_body)
{
    LH_AUTO_COMMIT_BODY struct lh_commit_body body = {0};
    struct lh_error err;
    assert_int_equal(
        parse("{\"name\":\"main.sales\",\"fingerprint\":\"f\",\"mode\":\"append\","
              "\"expect_snapshot\":7,\"content_id\":\"c\",\"schema\":["
              "{\"name\":\"a\",\"type\":\"BIGINT\",\"nullable\":false},"
              "{\"name\":\"b\",\"type\":\"VARCHAR\"}],\"objects\":[{\"key\":\"k1\",\"rows\":1,"
              "\"bytes\":2,\"stats\":{\"a\":{\"min\":1,\"max\":2.5,\"nulls\":0},\"b\":{\"min\":"
              "\"x\\u00e9\",\"max\":null}}},{\"key\":\"k2\",\"rows\":0,\"bytes\":0}]}",
              &body, &err),
        LH_OK);
    const struct lh_commit_request *request = &body.request;
    assert_true(lh_str_is(request->name, "sales"));
    assert_int_equal(request->mode, LH_MODE_APPEND);
    assert_int_equal(request->expect_snapshot, 7);
    assert_true(lh_str_is(request->content_id, "c"));
    assert_int_equal(request->column_count, 2);
    assert_false(request->columns[0].nullable);
    assert_true(request->columns[1].nullable);
    assert_int_equal(request->object_count, 2);
    assert_true(lh_str_is(request->objects[0].stats,
                          "{\"a\":{\"min\":1,\"max\":2.5,\"nulls\":0},\"b\":{\"min\":\"x\xc3\xa9\","
                          "\"max\":null}}"));
    assert_true(lh_str_is(request->objects[1].stats, ""));
}

LH_TEST(the_least_body)
{
    LH_AUTO_COMMIT_BODY struct lh_commit_body body = {0};
    struct lh_error err;
    assert_int_equal(parse("{\"name\":\"x\",\"fingerprint\":\"f\"}", &body, &err), LH_OK);
    assert_int_equal(body.request.mode, LH_MODE_CREATE);
    assert_int_equal(body.request.expect_snapshot, -1);
    assert_int_equal(body.request.content_id.len, 0);
    assert_int_equal(body.request.object_count + body.request.column_count, 0);
}

LH_TEST(refused_bodies)
{
#define X "{\"name\":\"x\",\"fingerprint\":\"f\","
    static const struct {
        const char *body;
        lh_code code;
    } table[] = {
        {"[]", LH_INVALID},
        {"null", LH_INVALID},
        {"{}", LH_INVALID},
        {"{\"name\":\"x\"}", LH_INVALID},
        {"{\"fingerprint\":\"f\"}", LH_INVALID},
        {"{\"name\":\"\",\"fingerprint\":\"f\"}", LH_INVALID_NAME},
        {"{\"name\":\"x\",\"fingerprint\":\"\"}", LH_INVALID},
        {"{\"name\":5,\"fingerprint\":\"f\"}", LH_INVALID},
        {"{\"name\":null,\"fingerprint\":\"f\"}", LH_INVALID},
        {X "\"name\":\"y\"}", LH_INVALID},
        {X "\"fingerprnt\":\"y\"}", LH_INVALID},
        {X "\"mode\":\"upsert\"}", LH_INVALID},
        {X "\"mode\":1}", LH_INVALID},
        {X "\"expect_snapshot\":-1}", LH_INVALID},
        {X "\"expect_snapshot\":1.5}", LH_INVALID},
        {X "\"expect_snapshot\":99999999999999999999}", LH_INVALID},
        {X "\"content_id\":[]}", LH_INVALID},
        {X "\"schema\":{}}", LH_INVALID},
        {X "\"schema\":[1]}", LH_INVALID},
        {X "\"schema\":[{\"name\":\"a\"}]}", LH_INVALID},
        {X "\"schema\":[{\"name\":\"a\",\"type\":\"T\",\"nullabel\":true}]}", LH_INVALID},
        {X "\"schema\":[{\"name\":\"a\",\"type\":\"T\",\"nullable\":1}]}", LH_INVALID},
        {X "\"schema\":[{},{},{},{}]}", LH_TOO_LARGE},
        {X "\"objects\":[{},{},{}]}", LH_TOO_LARGE},
        {X "\"objects\":\"k\"}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":1}]}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":-1,\"bytes\":1}]}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":1,\"bytes\":1,\"more\":1}]}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":1,\"bytes\":1,\"stats\":[]}]}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":1,\"bytes\":1,\"stats\":{\"a\":1}}]}", LH_INVALID},
        {X "\"objects\":[{\"key\":\"k\",\"rows\":1,\"bytes\":1,\"stats\":{\"a\":{\"min\":[]}}}]}",
         LH_INVALID},
    };
#undef X
    for (size_t i = 0; i < LH_COUNT(table); i++) {
        LH_AUTO_COMMIT_BODY struct lh_commit_body body = {0};
        struct lh_error err;
        if (parse(table[i].body, &body, &err) != table[i].code)
            fail_msg("%s: %s", table[i].body, err.message);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_body),
        cmocka_unit_test(the_least_body),
        cmocka_unit_test(refused_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
