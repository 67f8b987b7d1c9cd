/*
 * Lists all keys under a target, page after page, and prints one JSON object: pages, bytes,
 * seconds, latencies.
 *
 *   list_pages PORT TARGET MARK PARAMETER [ACCESS_KEY:SECRET]
 *
 * TARGET holds a query already ("/storage?limit=1000"). MARK is what stands before the token of the
 * next page in an answer ("\"next\":\"", "<NextContinuationToken>"); the token ends at a quote or
 * an angle bracket, and is sent as the query parameter PARAMETER. An answer without MARK is the
 * last. With a key and its secret the requests are signed (SigV4).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "net/sigv4.h"

enum { PAGE_BYTES_MAX = 64 << 20, TARGET_BYTES_MAX = 16 << 10, PAGES_MAX = 1 << 20 };
enum { CALL_TIMEOUT_MS = 60 * 1000 };

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct walk {
    const char *port;
    const char *mark;
    const char *parameter;
    struct lh_sigv4_credentials credentials; /* none when its access key is empty */
    struct lh_http_client *client;
    struct lh_buf target; /* of the next page */
    struct lh_buf page;
    uint64_t pages, bytes;
    uint32_t *latencies_us;
    lh_mono start;
};

static void fail(const char *what)
{
    fprintf(stderr, "list_pages: %s\n", what);
    exit(1);
}

/* The Authorization of a request with these headers, appended to out. */
static void sign(const struct walk *walk, const struct lh_http_header *headers, size_t count,
                 struct lh_buf *out)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_sigv4_request request = {.method = LH_HTTP_GET,
                                       .query = lh_buf_str(&walk->target),
                                       .headers = headers,
                                       .header_count = count};
    lh_str_next(&request.query, '?', &request.path);
    if (lh_sigv4_sign(&request, &walk->credentials, out, &err) != LH_OK)
        fail(err.message);
}

static void get_page(struct walk *walk)
{
    char host[32];
    char timestamp[LH_SIGV4_TIMESTAMP_SIZE];
    snprintf(host, sizeof(host), "127.0.0.1:%s", walk->port);
    lh_sigv4_format_time(lh_now_ms(), timestamp);
    struct lh_http_header headers[4] = {{LH_STR("host"), lh_str_from(host)},
                                        {LH_STR("x-amz-date"), lh_str_from(timestamp)},
                                        {LH_STR("x-amz-content-sha256"), LH_STR(EMPTY_SHA256)}};
    LH_AUTO_BUF struct lh_buf authorization = LH_BUF_INIT(4096);
    LH_AUTO_FREE char *url = lh_asprintf("http://%s%s", host, walk->target.data);
    struct lh_http_call call = {
        .url = url, .headers = headers, .deadline = lh_deadline_in_ms(CALL_TIMEOUT_MS)};
    call.method = LH_HTTP_GET;
    if (walk->credentials.access_key.len > 0) {
        sign(walk, headers, 3, &authorization);
        headers[3] = (struct lh_http_header){LH_STR("Authorization"), lh_buf_str(&authorization)};
        call.header_count = 4;
    }
    struct lh_error err = LH_ERROR_INIT;
    int status = 0;
    lh_buf_reset(&walk->page);
    lh_mono begun = lh_mono_now();
    if (lh_http_call_buf(walk->client, &call, &walk->page, &status, &err) != LH_OK)
        fail(err.message);
    if (status != 200 || walk->pages == PAGES_MAX)
        fail(walk->page.data);
    walk->latencies_us[walk->pages++] = (uint32_t)(lh_mono_since_ns(begun) / 1000);
    walk->bytes += walk->page.len;
}

/* A token may hold what a query may not. */
static void append_escaped(struct lh_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        lh_buf_printf(out, "%%%02X", (unsigned)(unsigned char)text[i]);
}

/* Makes the target of the page after the one at hand; false when that was the last. */
static bool next_target(struct walk *walk, const char *target)
{
    lh_str page = lh_buf_str(&walk->page);
    const char *at = memmem(page.ptr, page.len, walk->mark, strlen(walk->mark));
    if (at == NULL)
        return false;
    at += strlen(walk->mark);
    lh_buf_reset(&walk->target);
    lh_buf_printf(&walk->target, "%s&%s=", target, walk->parameter);
    append_escaped(&walk->target, at, strcspn(at, "\"<"));
    return true;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(const struct walk *walk)
{
    double seconds = lh_mono_since_s(walk->start);
    uint32_t first_us = walk->latencies_us[0];
    size_t count = (size_t)walk->pages;
    qsort(walk->latencies_us, count, sizeof(uint32_t), compare);
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&out);
    lh_json_object(&json);
    lh_json_ku64(&json, "pages", walk->pages);
    lh_json_ku64(&json, "bytes_in", walk->bytes);
    lh_json_kf64(&json, "seconds", seconds);
    lh_json_ku64(&json, "first_us", first_us);
    lh_json_ku64(&json, "p50_us", walk->latencies_us[count / 2]);
    lh_json_ku64(&json, "p99_us", walk->latencies_us[count * 99 / 100]);
    lh_json_object_end(&json);
    printf("%s\n", out.data);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: list_pages PORT TARGET MARK PARAMETER [ACCESS_KEY:SECRET]\n");
        return 2;
    }
    struct walk walk = {
        .port = argv[1],
        .mark = argv[3],
        .parameter = argv[4],
        .credentials = {.region = LH_STR("us-east-1"), .service = LH_STR("s3")},
        .target = LH_BUF_INIT(TARGET_BYTES_MAX),
        .page = LH_BUF_INIT(PAGE_BYTES_MAX),
        .latencies_us = lh_calloc(PAGES_MAX, sizeof(uint32_t)),
        .start = lh_mono_now(),
    };
    if (argc == 6) {
        walk.credentials.secret = lh_str_from(argv[5]);
        lh_str_next(&walk.credentials.secret, ':', &walk.credentials.access_key);
    }
    const struct lh_http_client_options options = {
        .connections_idle_max = 1, .connect_timeout_ms = 1000, .user_agent = "list_pages"};
    struct lh_error err = LH_ERROR_INIT;
    if (lh_http_client_new(&options, &walk.client, &err) != LH_OK)
        fail(err.message);
    lh_buf_append_cstr(&walk.target, argv[2]);
    do
        get_page(&walk);
    while (next_target(&walk, argv[2]));
    report(&walk);
    lh_http_client_free(walk.client);
    lh_buf_deinit(&walk.page);
    lh_buf_deinit(&walk.target);
    free(walk.latencies_us);
    return 0;
}
