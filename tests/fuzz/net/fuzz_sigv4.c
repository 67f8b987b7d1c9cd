/*
 * Any request: "METHOD target", then lines "name:value". Its own signature is judged, whatever it
 * is; and the same request, signed by us by header and as a URL, always holds.
 */
#include "net/sigv4.h"

#include "base/check.h"
#include "base/mem.h"

enum { HEADERS_MAX = 32 };

static const struct lh_sigv4_credentials credentials = {LH_STR("id"), LH_STR("secret"),
                                                        LH_STR("here"), LH_STR("s3")};
static const lh_time_ms now = INT64_C(1369353600000);

static enum lh_sigv4_result judge(const struct lh_sigv4_request *request)
{
    struct lh_sigv4_claim claim;
    struct lh_sigv4_context context;
    struct lh_error err = LH_ERROR_INIT;
    enum lh_sigv4_result result = lh_sigv4_parse(request, &claim, &err);
    if (result != LH_SIGV4_OK)
        return result;
    LH_CHECK(claim.scope.len < LH_SIGV4_SCOPE_SIZE && claim.access_key.len > 0);
    return lh_sigv4_verify(request, &claim, credentials.secret, now, &context, &err);
}

static bool is_ours(lh_str name)
{
    static const lh_str ours[] = {LH_STR("host"), LH_STR("x-amz-date"), LH_STR("authorization"),
                                  LH_STR("x-amz-content-sha256")};
    for (size_t i = 0; i < LH_COUNT(ours); i++)
        if (lh_str_eq_nocase(name, ours[i]))
            return true;
    return false;
}

/* Whether a parameter may be one of a signature, which the caller of presign keeps out. */
static bool may_be_signed(lh_str query)
{
    for (; query.len >= strlen("X-Amz-"); query = lh_str_skip(query, 1))
        if (lh_str_eq_nocase(lh_str_of(query.ptr, strlen("X-Amz-")), LH_STR("X-Amz-")))
            return true;
    return false;
}

static void sign_and_judge(struct lh_sigv4_request request)
{
    if (may_be_signed(request.query))
        return;
    struct lh_http_header headers[HEADERS_MAX + 4] = {
        {LH_STR("host"), LH_STR("h")},
        {LH_STR("X-Amz-Date"), LH_STR("20130524T000000Z")},
        {LH_STR("x-amz-content-sha256"), LH_STR("UNSIGNED-PAYLOAD")},
    };
    size_t count = 3;
    for (size_t i = 0; i < request.header_count; i++) {
        lh_str name = request.headers[i].name;
        if (lh_http_is_token(name) && !is_ours(name))
            headers[count++] = request.headers[i];
    }
    request.headers = headers;
    request.header_count = count;
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf value = LH_BUF_INIT(1 << 20), url = LH_BUF_INIT(1 << 20);
    if (lh_sigv4_sign(&request, &credentials, &value, &err) == LH_OK) {
        headers[request.header_count++] =
            (struct lh_http_header){LH_STR("Authorization"), lh_buf_str(&value)};
        LH_CHECK(judge(&request) == LH_SIGV4_OK);
    }
    if (lh_sigv4_presign(request.method, LH_STR("http://h"), request.path, request.query,
                         &credentials, now, 60, &url, &err) == LH_OK) {
        request.query = lh_str_skip(lh_buf_str(&url), strlen("http://h") + request.path.len + 1);
        request.header_count = 1;
        LH_CHECK(judge(&request) == LH_SIGV4_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_http_header headers[HEADERS_MAX];
    struct lh_sigv4_request request = {.method = LH_HTTP_GET, .headers = headers};
    lh_str rest = lh_str_of((const char *)data, size);
    lh_str first = LH_STR_NONE, method = LH_STR_NONE, line;
    lh_str_next(&rest, '\n', &first);
    lh_str_next(&first, ' ', &method);
    lh_str_next(&first, '?', &request.path);
    request.query = first;
    if (lh_http_method_parse(method) != 0)
        request.method = lh_http_method_parse(method);
    while (request.header_count < HEADERS_MAX && lh_str_next(&rest, '\n', &line)) {
        struct lh_http_header *header = &headers[request.header_count++];
        header->name = LH_STR_NONE;
        lh_str_next(&line, ':', &header->name);
        header->value = line;
    }
    judge(&request);
    sign_and_judge(request);
    return 0;
}
