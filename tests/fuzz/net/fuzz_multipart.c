/*
 * Any body, fed whole and byte by byte: the same outcome, and the content is never longer than it.
 */
#include "net/multipart.h"

#include "base/check.h"

static lh_code on_part(void *ctx, const struct lh_multipart_part *part, struct lh_error *err)
{
    (void)err;
    *(size_t *)ctx += part->name.len;
    return LH_OK;
}

static lh_code on_data(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    (void)bytes;
    (void)err;
    *(size_t *)ctx += len;
    return LH_OK;
}

static lh_code on_end(void *ctx, struct lh_error *err)
{
    (void)ctx;
    (void)err;
    return LH_OK;
}

static lh_code parse(const uint8_t *data, size_t size, size_t piece, size_t *ret_total)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_multipart_sink sink = {
        .ctx = ret_total, .on_part = on_part, .on_data = on_data, .on_end = on_end};
    struct lh_multipart form = {0};
    lh_code code = lh_multipart_init(&form, LH_STR("multipart/form-data; boundary=b"), &sink, &err);
    for (size_t i = 0; code == LH_OK && i < size; i += piece)
        code = lh_multipart_feed(&form, data + i, size - i < piece ? size - i : piece, &err);
    if (code == LH_OK)
        code = lh_multipart_finish(&form, &err);
    lh_multipart_deinit(&form);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole = 0;
    size_t pieces = 0;
    lh_code code = parse(data, size, size + 1, &whole);
    LH_CHECK(parse(data, size, 1, &pieces) == code);
    LH_CHECK(whole == pieces && whole <= size);
    return 0;
}
