#include "net/http.h"

#include "base/buf.h"
#include "base/mem.h"
#include "support/cmocka.h"

LH_TEST(methods_and_statuses)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        enum lh_http_method method = lh_http_method_parse(lh_str_from(names[i]));
        assert_int_equal(method, 1 << i);
        assert_string_equal(lh_http_method_name(method), names[i]);
    }
    assert_int_equal(lh_http_method_parse(LH_STR("get")), 0);
    assert_int_equal(lh_http_method_parse(LH_STR("")), 0);
    assert_string_equal(lh_http_status_text(507), "Insufficient Storage");
}

/* Every status of the table of errors has a text of its own. */
LH_TEST(every_error_has_a_status_text)
{
    static const int statuses[] = {
#define LH_ERROR(name, status, word, title) status,
#include "base/error.def"
#undef LH_ERROR
    };
    for (size_t i = 0; i < LH_COUNT(statuses); i++)
        assert_string_not_equal(lh_http_status_text(statuses[i]), "Status");
}

LH_TEST(tokens)
{
    assert_true(lh_http_is_token(LH_STR("X-a_1!#$%&'*+.^`|~")));
    assert_false(lh_http_is_token(LH_STR("")));
    assert_false(lh_http_is_token(LH_STR("a b")));
    assert_false(lh_http_is_token(LH_STR("a\0")));
    assert_false(lh_http_is_token(LH_STR("a:")));
    assert_false(lh_http_is_token(LH_STR("\xc3\xbc")));
}

LH_TEST(hop_by_hop)
{
    static const char *const names[] = {
        "Connection", "keep-alive",         "TE", "Trailer", "Transfer-Encoding",
        "Upgrade",    "Proxy-Authorization"};
    for (size_t i = 0; i < LH_COUNT(names); i++)
        assert_true(lh_http_is_hop_by_hop(lh_str_from(names[i]), LH_STR_NONE));
    assert_false(lh_http_is_hop_by_hop(LH_STR("Content-Type"), LH_STR_NONE));
    assert_true(lh_http_is_hop_by_hop(LH_STR("X-Foo"), LH_STR("close, x-foo")));
    assert_false(lh_http_is_hop_by_hop(LH_STR("X-Fo"), LH_STR("close, x-foo")));
}

LH_TEST(entity_tags)
{
    static const struct {
        const char *list;
        bool strong, weak;
    } cases[] = {
        {"\"abc\"", true, true},
        {"abc", true, true},
        {"*", true, true},
        {" * ", true, true},
        {"W/\"abc\"", false, true},
        {"\"x\", \"abc\"", true, true},
        {"\"x\",W/\"abc\" , y", false, true},
        {"\"abcd\"", false, false},
        {"", false, false},
        {"\"a,bc\", \"abc\"", true, true},
        {"\"abc", false, false},
        {",, ,\"abc\"", true, true},
        {"\"*\"", false, false},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str list = lh_str_from(cases[i].list);
        assert_int_equal(lh_http_etag_matches(list, LH_STR("abc"), false), cases[i].strong);
        assert_int_equal(lh_http_etag_matches(list, LH_STR("abc"), true), cases[i].weak);
    }
    assert_true(lh_http_etag_matches(LH_STR("\"a,b\""), LH_STR("a,b"), false));
}

LH_TEST(encoding)
{
    struct lh_buf out = LH_BUF_INIT(4096);
    lh_http_encode(&out, LH_STR("aZ09-._~/ %?#\xc3\xbc\0"), true);
    assert_string_equal(out.data, "aZ09-._~/%20%25%3F%23%C3%BC%00");
    lh_buf_reset(&out);
    lh_http_encode(&out, LH_STR("a/b"), false);
    assert_string_equal(out.data, "a%2Fb");
    for (unsigned byte = 0; byte < 256; byte++) { /* what is encoded decodes to itself */
        char c = (char)byte, back = 0;
        size_t len = 0;
        lh_buf_reset(&out);
        lh_http_encode(&out, lh_str_of(&c, 1), false);
        assert_true(lh_percent_decode(lh_buf_str(&out), true, &back, &len));
        assert_true(len == 1 && back == c);
    }
    lh_buf_deinit(&out);
}

LH_TEST(accept)
{
    static const struct {
        const char *accept;
        unsigned json, csv;
    } cases[] = {
        {"", 1000, 1000},
        {"*/*", 1000, 1000},
        {"application/json", 1000, 0},
        {"APPLICATION/JSON", 1000, 0},
        {"text/csv;q=0.5, application/json;q=0.25", 250, 500},
        {"application/*;q=0.1, */*;q=0.2", 100, 200},
        {"application/json;q=0, */*", 0, 1000},
        {"*/*;q=0.001", 1, 1},
        {"text/csv; header=absent; q=0.3", 0, 300},
        {"text/csv;q=2", 0, 0},
        {"text/csv;q=x", 0, 0},
        {"text/csv;q=1.000", 0, 1000},
        {"nonsense", 0, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str accept = lh_str_from(cases[i].accept);
        assert_int_equal(lh_http_accept_quality(accept, "application/json"), cases[i].json);
        assert_int_equal(lh_http_accept_quality(accept, "text/csv"), cases[i].csv);
    }
    assert_int_equal(lh_http_accept_quality(LH_STR_NONE, "text/csv"), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_and_statuses),
        cmocka_unit_test(every_error_has_a_status_text),
        cmocka_unit_test(tokens),
        cmocka_unit_test(hop_by_hop),
        cmocka_unit_test(entity_tags),
        cmocka_unit_test(encoding),
        cmocka_unit_test(accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
