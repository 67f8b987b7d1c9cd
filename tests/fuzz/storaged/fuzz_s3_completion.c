/*
 * The document of CompleteMultipartUpload. Input: the document.
 */
#include "base/mem.h"
#include "net/http_server_priv.h"
#include "storaged/s3_object.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken is what the core may be given: numbers in range, etags that are not empty. */
static void check(const struct lh_completion *completion)
{
    if (completion->count == 0 || completion->count > LH_PARTS_MAX)
        abort();
    for (size_t i = 0; i < completion->count; i++) {
        const struct lh_completion_part *part = &completion->parts[i];
        if (part->number < 1 || part->number > LH_PARTS_MAX || part->etag.len == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_completion completion;
    struct lh_checksum checksum;
    struct lh_http_exchange *x = lh_calloc(1, sizeof(*x));
    x->magic = LH_HTTP_EXCHANGE_MAGIC;
    x->arena = LH_ARENA_INIT(LH_HTTP_ARENA_BYTES);
    x->method = LH_HTTP_POST;
    x->body_length = (int64_t)size;
    x->gathered = lh_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        x->gathered[i] = (char)data[i];
    struct lh_s3 s3 = {.x = x, .body_mode = LH_S3_BODY_UNSIGNED, .key = LH_STR("k")};
    if (size > 0 && lh_s3_take_completion(&s3, &completion, &checksum, &err) == LH_OK)
        check(&completion);
    lh_arena_deinit(&x->arena);
    free(x->gathered);
    free(x);
    return 0;
}
