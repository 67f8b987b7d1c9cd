#include "net/http_guard.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"

static const struct lh_http_guard_limits limits = {
    .target_bytes_max = 100, .header_count_max = 4, .header_bytes_max = 200};

struct pair {
    const char *name;
    const char *value;
};

static lh_code guard(const char *version, const char *method, const char *target,
                     const struct pair *pairs, size_t count)
{
    struct lh_http_header headers[8];
    struct lh_error err = LH_ERROR_INIT;
    for (size_t i = 0; i < count; i++)
        headers[i] =
            (struct lh_http_header){lh_str_from(pairs[i].name), lh_str_from(pairs[i].value)};
    lh_code code = lh_http_guard(lh_str_from(version), lh_str_from(method), lh_str_from(target),
                                 headers, count, &limits, &err);
    assert_int_equal(code, err.code);
    assert_int_equal(code != LH_OK, err.message[0] != '\0');
    return code;
}

/* A request with Host and these two headers. */
static lh_code with(const char *name1, const char *value1, const char *name2, const char *value2)
{
    const struct pair pairs[] = {{"Host", "x"}, {name1, value1}, {name2, value2}};
    return guard("HTTP/1.1", "GET", "/", pairs, name2 ? 3 : name1 ? 2 : 1);
}

LH_TEST(what_is_fine)
{
    assert_int_equal(with(NULL, NULL, NULL, NULL), LH_OK);
    assert_int_equal(with("Content-Length", "0", NULL, NULL), LH_OK);
    assert_int_equal(with("Content-Length", "9223372036854775807", NULL, NULL), LH_OK);
    assert_int_equal(with("transfer-encoding", "Chunked", NULL, NULL), LH_OK);
    assert_int_equal(with("Accept", "a/b", "accept", "c/d"), LH_OK); /* a list: may come twice */
    assert_int_equal(with("x-amz-meta-a", "1", "x-amz-meta-a", "2"), LH_OK);
    assert_int_equal(with("X", "tab\tand \xc3\xbc", "Y", ""), LH_OK);
    assert_int_equal(guard("HTTP/1.0", "GET", "/", NULL, 0), LH_OK); /* 1.0 needs no Host */
    const struct pair host[] = {{"Host", "x"}};
    assert_int_equal(guard("HTTP/1.1", "M-SEARCH", "/a%2Fb?c=%20&d=\"<>", host, 1), LH_OK);
}

LH_TEST(doubt_about_the_body)
{
    static const char *const lengths[] = {"",
                                          "+1",
                                          "-1",
                                          "1,1",
                                          "1 ",
                                          " 1",
                                          "0x1",
                                          "1a",
                                          "9223372036854775808",
                                          "99999999999999999999999"};
    for (size_t i = 0; i < LH_COUNT(lengths); i++)
        assert_int_equal(with("Content-Length", lengths[i], NULL, NULL), LH_INVALID);
    static const char *const encodings[] = {
        "",         "xchunked",         "chunked ",      "gzip",
        "chunked,", "chunked, chunked", "gzip, chunked", "\tchunked",
        "identity"};
    for (size_t i = 0; i < LH_COUNT(encodings); i++)
        assert_int_equal(with("Transfer-Encoding", encodings[i], NULL, NULL), LH_INVALID);
    assert_int_equal(with("Content-Length", "1", "content-length", "1"), LH_INVALID);
    assert_int_equal(with("Content-Length", "1", "Transfer-Encoding", "chunked"), LH_INVALID);
    assert_int_equal(with("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"),
                     LH_INVALID);
    const struct pair old[] = {{"Transfer-Encoding", "chunked"}};
    assert_int_equal(guard("HTTP/1.0", "PUT", "/", old, 1), LH_INVALID);
}

LH_TEST(headers_that_come_once)
{
    static const char *const names[] = {"Host",
                                        "Authorization",
                                        "Range",
                                        "If-Match",
                                        "If-None-Match",
                                        "Content-Type",
                                        "Content-MD5",
                                        "Expect",
                                        "Date",
                                        "X-Request-Id",
                                        "X-Amz-Date",
                                        "x-amz-acl",
                                        "If-Range",
                                        "X-Api-Key",
                                        "traceparent",
                                        "If-Modified-Since",
                                        "x-amz-content-sha256"};
    for (size_t i = 0; i < LH_COUNT(names); i++)
        assert_int_equal(with(names[i], "v", names[i], "v"), LH_INVALID);
    assert_int_equal(guard("HTTP/1.1", "GET", "/", NULL, 0), LH_INVALID);
}

LH_TEST(bytes_that_do_not_belong_there)
{
    static const char *const names[] = {"", "a b", "a\tb", "a:", "a(", "a\x01", "\xc3\xbc", "a\r"};
    for (size_t i = 0; i < LH_COUNT(names); i++)
        assert_int_equal(with(names[i], "v", NULL, NULL), LH_INVALID);
    static const char *const values[] = {"a\rb", "a\nb", "\x01", "a\x7f", "\x1b[0m"};
    for (size_t i = 0; i < LH_COUNT(values); i++)
        assert_int_equal(with("X", values[i], NULL, NULL), LH_INVALID);
    const struct lh_http_header nul[] = {{LH_STR("Host"), LH_STR("x")},
                                         {LH_STR("X"), LH_STR("a\0b")}};
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        lh_http_guard(LH_STR("HTTP/1.1"), LH_STR("GET"), LH_STR("/"), nul, 2, &limits, &err),
        LH_INVALID);
}

LH_TEST(request_lines)
{
    const struct pair host[] = {{"Host", "x"}};
    static const char *const targets[] = {"",   "a",     "*",     "http://x/", "/a b",
                                          "/#", "/\x7f", "/\x80", "/\t"};
    for (size_t i = 0; i < LH_COUNT(targets); i++)
        assert_int_equal(guard("HTTP/1.1", "GET", targets[i], host, 1), LH_INVALID);
    assert_int_equal(guard("HTTP/1.1", "", "/", host, 1), LH_INVALID);
    assert_int_equal(guard("HTTP/1.1", "G@T", "/", host, 1), LH_INVALID);
    assert_int_equal(guard("HTTP/1.2", "GET", "/", host, 1), LH_HTTP_VERSION);
    assert_int_equal(guard("HTTP/2.0", "GET", "/", host, 1), LH_HTTP_VERSION);
    assert_int_equal(guard("", "GET", "/", host, 1), LH_HTTP_VERSION);
}

LH_TEST(limits_are_exact)
{
    char target[128];
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    const struct pair host[] = {{"Host", "x"}, {"A", "1"}, {"B", "1"}, {"C", "1"}, {"D", "1"}};
    target[100] = '\0';
    assert_int_equal(guard("HTTP/1.1", "GET", target, host, 4), LH_OK);
    assert_int_equal(guard("HTTP/1.1", "GET", target, host, 5), LH_HEADERS_TOO_LARGE);
    target[100] = 'a';
    target[101] = '\0';
    assert_int_equal(guard("HTTP/1.1", "GET", target, host, 1), LH_URI_TOO_LONG);
    char value[256];
    memset(value, 'v', sizeof(value));
    value[200 - 9 - 5] = '\0'; /* "Host: x" and "A: " with their line ends */
    assert_int_equal(with("A", value, NULL, NULL), LH_OK);
    value[200 - 9 - 5] = 'v';
    value[200 - 9 - 4] = '\0';
    assert_int_equal(with("A", value, NULL, NULL), LH_HEADERS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fine),           cmocka_unit_test(doubt_about_the_body),
        cmocka_unit_test(headers_that_come_once), cmocka_unit_test(bytes_that_do_not_belong_there),
        cmocka_unit_test(request_lines),          cmocka_unit_test(limits_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
