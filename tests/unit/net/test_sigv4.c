/*
 * Signatures: the examples that Amazon publishes, what is refused and as what, and everything that
 * we sign against our own verifier.
 */
#include "net/sigv4.h"

#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SCOPE      "20130524/us-east-1/s3/aws4_request"

enum { HEADERS_MAX = 24, AT_MS_PER_S = 1000 };
static const lh_time_ms example_time = INT64_C(1369353600) * AT_MS_PER_S; /* 20130524T000000Z */

static const struct lh_sigv4_credentials example = {LH_STR(ACCESS_KEY), LH_STR(SECRET),
                                                    LH_STR("us-east-1"), LH_STR("s3")};

/* A request from text: "METHOD target", then lines "name:value". */
struct parsed {
    struct lh_sigv4_request request;
    struct lh_http_header headers[HEADERS_MAX];
};

static void parse_text(lh_str text, struct parsed *ret)
{
    lh_str line = LH_STR_NONE, method = LH_STR_NONE, path = LH_STR_NONE;
    assert_true(lh_str_next(&text, '\n', &line));
    assert_true(lh_str_next(&line, ' ', &method));
    assert_true(lh_str_next(&line, '?', &path));
    ret->request = (struct lh_sigv4_request){
        .method = lh_http_method_parse(method), .path = path, .query = line};
    while (lh_str_next(&text, '\n', &line)) {
        if (line.len == 0)
            continue;
        assert_true(ret->request.header_count < HEADERS_MAX);
        struct lh_http_header *header = &ret->headers[ret->request.header_count++];
        assert_true(lh_str_next(&line, ':', &header->name));
        header->value = line;
    }
    ret->request.headers = ret->headers;
}

static enum lh_sigv4_result judge_at(const char *text, const char *secret, lh_time_ms now,
                                     struct lh_sigv4_context *ret_context, struct lh_error *err)
{
    struct parsed parsed;
    struct lh_sigv4_claim claim;
    parse_text(lh_str_from(text), &parsed);
    enum lh_sigv4_result result = lh_sigv4_parse(&parsed.request, &claim, err);
    if (result != LH_SIGV4_OK)
        return result;
    return lh_sigv4_verify(&parsed.request, &claim, lh_str_from(secret), now, ret_context, err);
}

static enum lh_sigv4_result judge(const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    return judge_at(text, SECRET, example_time, NULL, &err);
}

#define AUTHORIZATION(names, signature)                                                            \
    "Authorization:AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/" SCOPE ",SignedHeaders=" names      \
    ",Signature=" signature "\n"
#define GET_HEADERS                                                                                \
    "Host:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" EMPTY                             \
    "\nx-amz-date:20130524T000000Z\n"
#define GET_NAMES     "host;range;x-amz-content-sha256;x-amz-date"
#define GET_SIGNATURE "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
#define PRESIGNED_QUERY                                                                            \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ACCESS_KEY                                \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"                      \
    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
#define PRESIGNED_SIGNATURE "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

/* Amazon S3 API Reference, "Signature calculations for the Authorization header", and "Signature
 * calculations: query parameters". */
LH_TEST(published_examples)
{
    static const char *const requests[] = {
        "GET /test.txt\n" GET_HEADERS "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
        "PUT /test%24file.text\n"
        "Host:examplebucket.s3.amazonaws.com\nDate:Fri, 24 May 2013 00:00:00 GMT\n"
        "x-amz-content-sha256:44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n"
        "x-amz-date:20130524T000000Z\nx-amz-storage-class:REDUCED_REDUNDANCY\n" AUTHORIZATION(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        "GET /?lifecycle\n" GET_HEADERS AUTHORIZATION(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        "GET /?max-keys=2&prefix=J\n" GET_HEADERS AUTHORIZATION(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        "GET /test.txt?" PRESIGNED_QUERY "&X-Amz-Signature=" PRESIGNED_SIGNATURE
        "\nHost:examplebucket.s3.amazonaws.com\n",
    };
    for (size_t i = 0; i < LH_COUNT(requests); i++) {
        assert_int_equal(judge(requests[i]), LH_SIGV4_OK);
        assert_int_equal(judge(requests[i]), LH_SIGV4_OK); /* by the cached key, too */
    }
}

LH_TEST(a_date_header_is_enough)
{
    assert_int_equal(judge("GET /test.txt\nHost:examplebucket.s3.amazonaws.com\n"
                           "x-amz-content-sha256:" EMPTY
                           "\nDate:Fri, 24 May 2013 00:00:00 GMT\n" AUTHORIZATION(
                               "date;host;x-amz-content-sha256", "0")),
                     LH_SIGV4_MISMATCH);
}

/* ---- what is refused ---- */

struct refusal {
    const char *text;
    enum lh_sigv4_result result;
};

static void check_refusals(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lh_error err = LH_ERROR_INIT;
        enum lh_sigv4_result result = judge_at(cases[i].text, SECRET, example_time, NULL, &err);
        if (result != cases[i].result)
            print_message("case %zu: %s\n%s\n", i, cases[i].text, err.message);
        assert_int_equal(result, cases[i].result);
        assert_int_equal(err.message[0] == '\0', result == LH_SIGV4_OK || result == LH_SIGV4_NONE);
    }
}

#define GET_WITH(authorization) "GET /test.txt\n" GET_HEADERS "Range:bytes=0-9\n" authorization
#define SIGNED_GET              GET_WITH(AUTHORIZATION(GET_NAMES, GET_SIGNATURE))
#define CREDENTIAL              "Credential=" ACCESS_KEY "/" SCOPE
#define NAMES                   "SignedHeaders=" GET_NAMES
#define SIGNATURE               "Signature=" GET_SIGNATURE
#define V4                      "Authorization:AWS4-HMAC-SHA256 "

LH_TEST(headers_are_judged)
{
    static const struct refusal cases[] = {
        {SIGNED_GET, LH_SIGV4_OK},
        {GET_WITH(V4 CREDENTIAL ", " NAMES ", " SIGNATURE "\n"), LH_SIGV4_OK},
        {GET_WITH(V4 SIGNATURE " ,\t" NAMES "," CREDENTIAL "\n"), LH_SIGV4_OK},
        {GET_WITH(V4 " " CREDENTIAL "," NAMES "," SIGNATURE ",Extra=1\n"), LH_SIGV4_OK},
        {GET_WITH(""), LH_SIGV4_NONE},
        {GET_WITH("Authorization:\n"), LH_SIGV4_NONE},
        {GET_WITH("Authorization:AWS AKIA:c2ln\n"), LH_SIGV4_VERSION_2},
        {"GET /test.txt?AWSAccessKeyId=a&Expires=1&Signature=b\nhost:h\n", LH_SIGV4_VERSION_2},
        {GET_WITH("Authorization:Bearer token\n"), LH_SIGV4_MALFORMED},
        {GET_WITH("Authorization:AWS4-ECDSA-P256-SHA256 " CREDENTIAL "," NAMES "," SIGNATURE "\n"),
         LH_SIGV4_MALFORMED},
        {GET_WITH(V4 "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 CREDENTIAL "," NAMES "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 CREDENTIAL "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 NAMES "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 CREDENTIAL "," NAMES "," SIGNATURE "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 "Credential=" ACCESS_KEY "," NAMES "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 "Credential=/" SCOPE "," NAMES "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 CREDENTIAL "s," NAMES "," SIGNATURE "\n"), LH_SIGV4_MALFORMED},
        {GET_WITH(V4 "Credential=k/20130525/us-east-1/s3/aws4_request," NAMES "," SIGNATURE "\n"),
         LH_SIGV4_MALFORMED},
        {GET_WITH(V4 "Credential=k/20130524//s3/aws4_request," NAMES "," SIGNATURE "\n"),
         LH_SIGV4_MALFORMED},
        {GET_WITH(V4 CREDENTIAL "," NAMES ",Signature=f0e8\n"), LH_SIGV4_MISMATCH},
        {GET_WITH(V4 CREDENTIAL "," NAMES "," SIGNATURE "1\n"), LH_SIGV4_MISMATCH},
        {GET_WITH(V4 "Credential=" ACCESS_KEY "/20130524/eu-west-1/s3/aws4_request," NAMES
                     "," SIGNATURE "\n"),
         LH_SIGV4_MISMATCH},
        {"HEAD /test.txt\n" GET_HEADERS "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_MISMATCH},
        {"GET /test.txT\n" GET_HEADERS "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_MISMATCH},
        {"GET /test.txt?a\n" GET_HEADERS
         "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_MISMATCH},
        {"GET /test.txt\n" GET_HEADERS "Range:bytes=0-8\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_MISMATCH},
        {"GET /test.txt\n" GET_HEADERS AUTHORIZATION(GET_NAMES, GET_SIGNATURE), LH_SIGV4_MALFORMED},
        {SIGNED_GET "range:bytes=0-9\n", LH_SIGV4_MISMATCH},
        {SIGNED_GET "X-Amz-Acl:public-read\n", LH_SIGV4_UNSIGNED_HEADER},
        {GET_WITH(V4 CREDENTIAL ",SignedHeaders=x-amz-content-sha256;x-amz-date," SIGNATURE "\n"),
         LH_SIGV4_UNSIGNED_HEADER},
        {SIGNED_GET "X-Amzn-Trace-Id:1\n", LH_SIGV4_OK}, /* a balancer's, not S3's */
    };
    check_refusals(cases, LH_COUNT(cases));
    /* In other spellings the same request. */
    static const struct refusal same[] = {
        {"GET /test.txt\nHOST: examplebucket.s3.amazonaws.com\t\nX-Amz-Content-SHA256: " EMPTY
         "\nX-AMZ-Date: 20130524T000000Z\nRANGE:  bytes=0-9 \n" AUTHORIZATION(GET_NAMES,
                                                                              GET_SIGNATURE),
         LH_SIGV4_OK},
        {"GET /%74est%2Etxt\n" GET_HEADERS
         "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_OK},
        {"GET /test.txt?\n" GET_HEADERS "Range:bytes=0-9\n" AUTHORIZATION(GET_NAMES, GET_SIGNATURE),
         LH_SIGV4_OK},
    };
    check_refusals(same, LH_COUNT(same));
}

#define HOST             "\nHost:examplebucket.s3.amazonaws.com\n"
#define PRESIGNED(query) "GET /test.txt?" query "&X-Amz-Signature=" PRESIGNED_SIGNATURE HOST
#define WITH_EXPIRES(expires)                                                                      \
    "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ACCESS_KEY                  \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" expires              \
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=0" HOST

LH_TEST(presigned_urls_are_judged)
{
    static const struct refusal cases[] = {
        {PRESIGNED(PRESIGNED_QUERY), LH_SIGV4_OK},
        {PRESIGNED("&" PRESIGNED_QUERY "&"), LH_SIGV4_OK},
        {PRESIGNED(PRESIGNED_QUERY "&versionId=1"), LH_SIGV4_MISMATCH},
        {PRESIGNED(PRESIGNED_QUERY "&X-Amz-Expires=86400"), LH_SIGV4_MALFORMED},
        {PRESIGNED(PRESIGNED_QUERY "&X-Amz-Signature=0"), LH_SIGV4_MALFORMED},
        {PRESIGNED(PRESIGNED_QUERY) "Authorization:AWS4-HMAC-SHA256 a=b\n", LH_SIGV4_MALFORMED},
        {PRESIGNED(PRESIGNED_QUERY) "x-amz-meta-a:1\n", LH_SIGV4_UNSIGNED_HEADER},
        {"GET /test.txt?" PRESIGNED_QUERY HOST, LH_SIGV4_MALFORMED},
        {"GET /test.txt?X-Amz-Signature=0" HOST, LH_SIGV4_MALFORMED},
        {"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA512&X-Amz-Signature=0" HOST,
         LH_SIGV4_MALFORMED},
        {"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%zz" HOST,
         LH_SIGV4_MALFORMED},
        {WITH_EXPIRES(""), LH_SIGV4_MALFORMED},
        {WITH_EXPIRES("&X-Amz-Expires="), LH_SIGV4_MALFORMED},
        {WITH_EXPIRES("&X-Amz-Expires=ten"), LH_SIGV4_MALFORMED},
        {WITH_EXPIRES("&X-Amz-Expires=0"), LH_SIGV4_EXPIRED},
        {WITH_EXPIRES("&X-Amz-Expires=-7"), LH_SIGV4_EXPIRED},
        {WITH_EXPIRES("&X-Amz-Expires=604801"), LH_SIGV4_EXPIRED},
        {WITH_EXPIRES("&X-Amz-Expires=604800"), LH_SIGV4_MISMATCH},
    };
    check_refusals(cases, LH_COUNT(cases));
}

LH_TEST(time_matters)
{
    static const struct {
        const char *text;
        int64_t seconds;
        enum lh_sigv4_result result;
    } cases[] = {
        {SIGNED_GET, 900, LH_SIGV4_OK},
        {SIGNED_GET, -900, LH_SIGV4_OK},
        {SIGNED_GET, 901, LH_SIGV4_SKEWED},
        {SIGNED_GET, -901, LH_SIGV4_SKEWED},
        {PRESIGNED(PRESIGNED_QUERY), 86399, LH_SIGV4_OK},
        {PRESIGNED(PRESIGNED_QUERY), 86400, LH_SIGV4_EXPIRED},
        {PRESIGNED(PRESIGNED_QUERY), -901, LH_SIGV4_SKEWED},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        lh_time_ms now = example_time + cases[i].seconds * AT_MS_PER_S;
        assert_int_equal(judge_at(cases[i].text, SECRET, now, NULL, &err), cases[i].result);
    }
}

LH_TEST(another_secret_does_not_match)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(judge_at(SIGNED_GET, SECRET "x", example_time, NULL, &err), LH_SIGV4_MISMATCH);
    assert_non_null(strstr(err.excerpt, "AWS4-HMAC-SHA256\n20130524T000000Z\n" SCOPE "\n"));
    assert_int_equal(judge_at(SIGNED_GET, "", example_time, NULL, &err), LH_SIGV4_MISMATCH);
}

LH_TEST(limits_hold)
{
    LH_AUTO_BUF struct lh_buf many = LH_BUF_INIT(1 << 20);
    lh_buf_append_cstr(&many, "GET /test.txt?" PRESIGNED_QUERY "&X-Amz-Signature=0");
    for (int i = 0; i < LH_SIGV4_PARAMS_MAX; i++)
        lh_buf_append_cstr(&many, "&a");
    lh_buf_append_cstr(&many, HOST);
    assert_int_equal(judge(many.data), LH_SIGV4_MALFORMED);

    lh_buf_reset(&many); /* a list that repeats a long header until it is too long to hash */
    lh_buf_append_cstr(&many, "GET /\n" GET_HEADERS "long:");
    for (int i = 0; i < 4000; i++)
        lh_buf_append_char(&many, 'x');
    lh_buf_append_cstr(&many, "\n" V4 CREDENTIAL "," SIGNATURE ",SignedHeaders=host;x-amz-date;"
                              "x-amz-content-sha256");
    for (int i = 0; i < 1000; i++)
        lh_buf_append_cstr(&many, ";long");
    assert_int_equal(judge(many.data), LH_SIGV4_MALFORMED);
}

/* ---- chunks ---- */

static void check_chunk(struct lh_sigv4_context *context, size_t len, const char *wanted)
{
    LH_AUTO_FREE char *bytes = lh_malloc(len + 1);
    memset(bytes, 'a', len);
    uint8_t hash[LH_SHA256_SIZE];
    char signature[LH_SIGV4_SIGNATURE_HEX];
    lh_sha256(bytes, len, hash);
    lh_sigv4_sign_chunk(context, hash, signature);
    assert_string_equal(signature, wanted);
}

#define CHUNKED_HEADERS                                                                            \
    "Host:s3.amazonaws.com\nx-amz-date:20130524T000000Z\n"                                         \
    "x-amz-storage-class:REDUCED_REDUNDANCY\nContent-Encoding:aws-chunked\n"                       \
    "x-amz-decoded-content-length:66560\n"

/* "Signature calculations for the Authorization header: transferring payload in multiple chunks" */
LH_TEST(published_chunks)
{
    struct lh_sigv4_context context;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        judge_at("PUT /examplebucket/chunkObject.txt\n" CHUNKED_HEADERS "Content-Length:66824\n"
                 "x-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n" AUTHORIZATION(
                     "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
                     "x-amz-decoded-content-length;x-amz-storage-class",
                     "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
                 SECRET, example_time, &context, &err),
        LH_SIGV4_OK);
    check_chunk(&context, 65536,
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    check_chunk(&context, 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    check_chunk(&context, 0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
}

/* The same with trailing headers. */
LH_TEST(published_trailer)
{
    struct lh_sigv4_context context;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(
        judge_at("PUT /examplebucket/chunkObject.txt\n" CHUNKED_HEADERS
                 "x-amz-trailer:x-amz-checksum-crc32c\n"
                 "x-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\n" AUTHORIZATION(
                     "content-encoding;host;x-amz-content-sha256;x-amz-date;"
                     "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
                     "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"),
                 SECRET, example_time, &context, &err),
        LH_SIGV4_OK);
    check_chunk(&context, 65536,
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2");
    check_chunk(&context, 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7");
    check_chunk(&context, 0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992");
    uint8_t hash[LH_SHA256_SIZE];
    char signature[LH_SIGV4_SIGNATURE_HEX];
    const char trailer[] = "x-amz-checksum-crc32c:sOO8/Q==\n";
    lh_sha256(trailer, sizeof(trailer) - 1, hash);
    lh_sigv4_sign_trailer(&context, hash, signature);
    assert_string_equal(signature,
                        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

/* ---- signing ---- */

LH_TEST(presigning_gives_the_published_url)
{
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(4096);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_sigv4_presign(LH_HTTP_GET, LH_STR("https://examplebucket.s3.amazonaws.com"),
                                      LH_STR("/test.txt"), LH_STR_NONE, &example, example_time,
                                      86400, &url, &err),
                     LH_OK);
    assert_string_equal(url.data, "https://examplebucket.s3.amazonaws.com/test.txt?" PRESIGNED_QUERY
                                  "&X-Amz-Signature=" PRESIGNED_SIGNATURE);
    assert_int_equal(lh_sigv4_presign(LH_HTTP_GET, LH_STR("host:80"), LH_STR("/"), LH_STR_NONE,
                                      &example, example_time, 60, &url, &err),
                     LH_INVALID);
    assert_int_equal(lh_sigv4_presign(LH_HTTP_GET, LH_STR("http://h"), LH_STR("/"), LH_STR_NONE,
                                      &example, example_time, 604801, &url, &err),
                     LH_INVALID);
}

LH_TEST(signing_needs_its_headers)
{
    static const char *const requests[] = {
        "GET /\nhost:h\nx-amz-date:20130524T000000Z\n",
        "GET /\nhost:h\nx-amz-content-sha256:" EMPTY "\n",
        "GET /\nhost:h\nx-amz-date:20130524\nx-amz-content-sha256:" EMPTY "\n",
        "GET /\nx-amz-date:20130524T000000Z\nx-amz-content-sha256:" EMPTY "\n",
    };
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    for (size_t i = 0; i < LH_COUNT(requests); i++) {
        struct parsed parsed;
        struct lh_error err = LH_ERROR_INIT;
        parse_text(lh_str_from(requests[i]), &parsed);
        assert_int_equal(lh_sigv4_sign(&parsed.request, &example, &out, &err), LH_INVALID);
    }
}

static uint64_t seed = 20130524;

static size_t below(size_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % bound;
}

/* Text of pieces that are hard for one reader or the other. */
static void append_random(struct lh_buf *out, bool in_url)
{
    static const char *const in_urls[] = {"a", "Z9",  "%20", "%2f", "%2F", "/",   "//", "..",
                                          ".", "~",   "+",   "%2B", "*",   "'",   "(",  "%C3%A9",
                                          "=", "%3D", "$",   ":",   "@",   "%00", "%",  "\xC3\xA9"};
    static const char *const in_values[] = {"a", "  ", "\t", ",", ";", "=", "\xC3\xA9", "Z", "\""};
    for (size_t count = below(8); count > 0; count--)
        lh_buf_append_cstr(out, in_url ? in_urls[below(LH_COUNT(in_urls))]
                                       : in_values[below(LH_COUNT(in_values))]);
}

static void append_random_request(struct lh_buf *out)
{
    static const char *const methods[] = {"GET", "PUT", "HEAD", "POST", "DELETE"};
    lh_buf_printf(out, "%s /", methods[below(LH_COUNT(methods))]);
    append_random(out, true);
    for (size_t count = below(5), i = 0; i < count; i++) {
        lh_buf_append_char(out, i == 0 ? '?' : '&');
        append_random(out, true);
        if (below(3) > 0)
            lh_buf_append_char(out, '=');
        append_random(out, true);
    }
    lh_buf_append_cstr(out, "\nHost:h:3211\nx-amz-date:20130524T000000Z\n"
                            "X-Amz-Content-Sha256:UNSIGNED-PAYLOAD\n");
    for (size_t count = below(4); count > 0; count--) {
        lh_buf_printf(out, "x-amz-meta-%c:", "aAbB"[below(4)]);
        append_random(out, false);
        lh_buf_append_char(out, '\n');
    }
}

/* What is signed holds, by header and as a URL; with one bit of the signature turned it does not.
 */
LH_TEST(what_we_sign_we_verify)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(8192), value = LH_BUF_INIT(8192);
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(8192);
    for (int round = 0; round < 3000; round++) {
        struct lh_error err = LH_ERROR_INIT;
        struct parsed parsed;
        lh_buf_reset(&text);
        lh_buf_reset(&value);
        append_random_request(&text);
        parse_text(lh_buf_str(&text), &parsed);
        assert_int_equal(lh_sigv4_sign(&parsed.request, &example, &value, &err), LH_OK);
        lh_buf_reset(&url);
        assert_int_equal(lh_sigv4_presign(LH_HTTP_GET, LH_STR("http://h:3211"), parsed.request.path,
                                          parsed.request.query, &example, example_time, 60, &url,
                                          &err),
                         LH_OK);

        lh_buf_printf(&text, "Authorization: %s\n", value.data);
        assert_int_equal(judge(text.data), LH_SIGV4_OK);
        text.data[text.len - 2] ^= 1;
        assert_int_equal(judge(text.data), LH_SIGV4_MISMATCH);

        lh_buf_reset(&text);
        lh_buf_printf(&text, "GET %s\nHost:h:3211\n", url.data + strlen("http://h:3211"));
        assert_int_equal(judge(text.data), LH_SIGV4_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(a_date_header_is_enough),
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(presigned_urls_are_judged),
        cmocka_unit_test(time_matters),
        cmocka_unit_test(another_secret_does_not_match),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(published_chunks),
        cmocka_unit_test(published_trailer),
        cmocka_unit_test(presigning_gives_the_published_url),
        cmocka_unit_test(signing_needs_its_headers),
        cmocka_unit_test(what_we_sign_we_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
