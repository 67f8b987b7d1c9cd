/*
 * The headers of the S3 door: digests, what is kept, tags, conditions, ranges, sources of copies.
 * Input: lines "name:value", as many as there are; the method is the input's first byte.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_server_priv.h"
#include "storaged/api_read.h"
#include "storaged/s3_object.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 32, OBJECT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exchange that has its headers and nothing behind it. */
static struct lh_http_exchange *make_exchange(lh_str text, struct lh_http_header *headers)
{
    struct lh_http_exchange *x = lh_calloc(1, sizeof(*x));
    lh_str line;
    x->magic = LH_HTTP_EXCHANGE_MAGIC;
    x->method = LH_HTTP_GET;
    x->arena = LH_ARENA_INIT(LH_HTTP_ARENA_BYTES);
    x->inner = LH_ARENA_INIT(SIZE_MAX);
    x->headers = headers;
    while (x->header_count < HEADERS_MAX && lh_str_next(&text, '\n', &line)) {
        struct lh_http_header *header = &headers[x->header_count];
        if (lh_str_next(&line, ':', &header->name) && lh_http_is_token(header->name)) {
            header->value = line.ptr ? line : LH_STR("");
            x->header_count++;
        }
    }
    return x;
}

static void free_exchange(struct lh_http_exchange *x)
{
    lh_arena_deinit(&x->arena);
    lh_arena_deinit(&x->inner);
    free(x);
}

static void check_kept(struct lh_s3 *s3)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_upload_options options = {.bucket = 1};
    if (lh_s3_take_headers(s3, &options, &err) != LH_OK)
        return;
    size_t bytes = 0;
    for (size_t i = 0; i < options.headers.count; i++) {
        if (!lh_http_is_token(options.headers.list[i].name))
            abort();
        bytes += options.headers.list[i].name.len + options.headers.list[i].value.len;
    }
    if (bytes > LH_ATTRIBUTES_BYTES_MAX)
        abort();
}

static void check_tags(struct lh_s3 *s3)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_attributes tags;
    if (lh_s3_take_tags(s3, &tags, &err) != LH_OK)
        return;
    if (tags.count > LH_TAGS_MAX)
        abort();
    for (size_t i = 0; i < tags.count; i++)
        if (tags.list[i].name.len == 0 || tags.list[i].name.len > LH_TAG_NAME_MAX ||
            tags.list[i].value.len > LH_TAG_VALUE_MAX)
            abort();
}

static void check_source(struct lh_s3 *s3)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_s3_source source = {.object = NULL};
    struct lh_s3_run run;
    if (lh_s3_take_source(s3, &source, &err) == LH_OK &&
        (source.key.len == 0 || source.bucket_name.len == 0 ||
         memchr(source.bucket_name.ptr, '/', source.bucket_name.len)))
        abort();
    if (lh_s3_take_run(s3, OBJECT_BYTES, &run, &err) == LH_OK &&
        (run.len == 0 || run.offset + run.len > OBJECT_BYTES))
        abort();
}

static void check_reading(struct lh_http_exchange *x)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_store_info info = {.size = OBJECT_BYTES, .modified_ms = 1700000000000, .etag = "0a"};
    struct lh_read_run run;
    bool unchanged = false;
    if (lh_read_judge_request(x, &info, &unchanged, &err) != LH_OK || unchanged)
        return;
    if (lh_read_choose(x, &info, &run, &err) == LH_OK &&
        (run.len == 0 || run.len > info.size || run.offset > info.size - run.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_http_header headers[HEADERS_MAX];
    struct lh_s3_digests digests;
    struct lh_checksum checksum;
    struct lh_error err = LH_ERROR_INIT;
    if (size == 0)
        return 0;
    struct lh_http_exchange *x =
        make_exchange(lh_str_of((const char *)data + 1, size - 1), headers);
    struct lh_s3 s3 = {.x = x, .body_mode = data[0] % (LH_S3_BODY_UNSIGNED_TRAILER + 1)};
    if (lh_s3_take_digests(&s3, &digests, &err) == LH_OK &&
        digests.checksum.kind != LH_CHECKSUM_NONE && digests.trailer != LH_CHECKSUM_NONE)
        abort();
    LH_IGNORE(lh_s3_take_object_checksum(&s3, 3, &checksum, &err), "any answer will do");
    LH_IGNORE(lh_s3_refuse_headers(&s3, &err), "any answer will do");
    check_kept(&s3);
    check_tags(&s3);
    check_source(&s3);
    check_reading(x);
    free_exchange(x);
    return 0;
}
