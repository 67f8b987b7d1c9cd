/*
 * Signatures verified and made a second, on one core: a GET as boto3 sends it, by header and
 * presigned, and the chunks of a stream.
 *
 *   bench/sigv4               one JSON object a line
 */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/sigv4.h"

enum { ROUNDS = 5, PER_ROUND = 40000 };

static const struct lh_sigv4_credentials credentials = {
    LH_STR("AKIAIOSFODNN7EXAMPLE"), LH_STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    LH_STR("us-east-1"), LH_STR("s3")};

/* What is measured: a function of a request, repeated. */
typedef void (*measured)(const struct lh_sigv4_request *request, lh_time_ms now);

static void verify(const struct lh_sigv4_request *request, lh_time_ms now)
{
    struct lh_sigv4_claim claim;
    struct lh_sigv4_context context;
    struct lh_error err = LH_ERROR_INIT;
    LH_CHECK(lh_sigv4_parse(request, &claim, &err) == LH_SIGV4_OK);
    LH_CHECK(lh_sigv4_verify(request, &claim, credentials.secret, now, &context, &err) ==
             LH_SIGV4_OK);
}

static void sign(const struct lh_sigv4_request *request, lh_time_ms now)
{
    (void)now;
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_error err = LH_ERROR_INIT;
    LH_CHECK(lh_sigv4_sign(request, &credentials, &out, &err) == LH_OK);
}

static void sign_chunk(const struct lh_sigv4_request *request, lh_time_ms now)
{
    (void)request, (void)now;
    struct lh_sigv4_context context = {.scope = "20130524/us-east-1/s3/aws4_request",
                                       .timestamp = "20130524T000000Z",
                                       .signature = "4f232c4386841ef735655705268965c44a0e4690baa4"};
    const uint8_t hash[LH_SHA256_SIZE] = {0};
    char signature[LH_SIGV4_SIGNATURE_HEX];
    lh_sigv4_sign_chunk(&context, hash, signature);
}

static void run(const char *what, measured function, const struct lh_sigv4_request *request,
                lh_time_ms now)
{
    double best_ns = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        lh_mono start = lh_mono_now();
        for (int i = 0; i < PER_ROUND; i++)
            function(request, now);
        double ns = (double)lh_mono_since_ns(start) / PER_ROUND;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    printf("{\"what\":\"%s\",\"ns\":%.0f,\"per_second\":%.0f}\n", what, best_ns, 1e9 / best_ns);
}

int main(void)
{
    lh_time_ms now = lh_now_ms();
    char date[LH_SIGV4_TIMESTAMP_SIZE];
    lh_sigv4_format_time(now, date);
    LH_AUTO_BUF struct lh_buf authorization = LH_BUF_INIT(4096), url = LH_BUF_INIT(4096);
    struct lh_http_header headers[] = {
        {LH_STR("host"), LH_STR("127.0.0.1:3211")},
        {LH_STR("accept-encoding"), LH_STR("identity")},
        {LH_STR("user-agent"), LH_STR("Boto3/1.43.11 md/Botocore#1.43.11 os/linux lang/python")},
        {LH_STR("x-amz-date"), lh_str_from(date)},
        {LH_STR("x-amz-content-sha256"),
         LH_STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")},
        {LH_STR("amz-sdk-invocation-id"), LH_STR("7a8ad2c8-bcd4-4a07-8e5f-30a1ef1da5ce")},
        {LH_STR("authorization"), LH_STR_NONE},
    };
    struct lh_sigv4_request request = {LH_HTTP_GET, LH_STR("/bucket/folder/object-0000001.parquet"),
                                       LH_STR_NONE, headers, LH_COUNT(headers) - 1};
    struct lh_error err = LH_ERROR_INIT;
    LH_CHECK(lh_sigv4_sign(&request, &credentials, &authorization, &err) == LH_OK);
    run("sign", sign, &request, now);
    headers[LH_COUNT(headers) - 1].value = lh_buf_str(&authorization);
    request.header_count++;
    run("verify header", verify, &request, now);

    LH_CHECK(lh_sigv4_presign(LH_HTTP_GET, LH_STR("http://127.0.0.1:3211"), request.path,
                              LH_STR_NONE, &credentials, now, 3600, &url, &err) == LH_OK);
    lh_str query = lh_buf_str(&url), before = LH_STR_NONE;
    LH_CHECK(lh_str_next(&query, '?', &before));
    request = (struct lh_sigv4_request){LH_HTTP_GET, request.path, query, headers, 3};
    run("verify presigned", verify, &request, now);
    run("sign chunk", sign_chunk, NULL, now);
    return 0;
}
