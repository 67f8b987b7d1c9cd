/*
 * Any body in any of the four forms (the first byte says which), taken whole and in small pieces:
 * the same outcome, the same bytes, and never more of them than came.
 */
#include "net/aws_chunked.h"

#include "base/check.h"

struct outcome {
    lh_code code;
    size_t decoded;
    size_t trailers;
};

static struct outcome decode(uint8_t form, const uint8_t *data, size_t size, size_t piece,
                             struct lh_buf *out)
{
    const struct lh_sigv4_context context = {.scope = "20130524/here/s3/aws4_request",
                                             .timestamp = "20130524T000000Z"};
    const struct lh_aws_chunked_options options = {
        .is_signed = form & 1,
        .has_trailer = form & 2,
        .context = &context,
        .decoded_length = form & 4 ? 5 : -1,
    };
    struct lh_aws_chunked *decoder = lh_aws_chunked_new(&options);
    struct outcome outcome = {LH_OK, 0, 0};
    struct lh_error err = LH_ERROR_INIT;
    for (size_t at = 0; outcome.code == LH_OK && at < size;) {
        size_t used = 0, len = 0, feed = size - at < piece ? size - at : piece;
        const void *bytes = NULL;
        outcome.code = lh_aws_chunked_take(decoder, data + at, feed, &used, &bytes, &len, &err);
        LH_CHECK(outcome.code != LH_OK || (used > 0 && used <= feed && len <= used));
        lh_buf_append(out, bytes, len);
        at += used;
    }
    if (outcome.code == LH_OK)
        outcome.code = lh_aws_chunked_finish(decoder, &err);
    outcome.trailers = lh_aws_chunked_trailer_count(decoder);
    for (size_t i = 0; i < outcome.trailers; i++)
        LH_CHECK(lh_http_is_token(lh_aws_chunked_trailer(decoder, i).name));
    outcome.decoded = out->len;
    lh_aws_chunked_free(decoder);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    LH_AUTO_BUF struct lh_buf whole = LH_BUF_INIT(size), pieces = LH_BUF_INIT(size);
    struct outcome first = decode(data[0], data + 1, size - 1, size, &whole);
    struct outcome second = decode(data[0], data + 1, size - 1, 1 + data[0] % 7, &pieces);
    LH_CHECK(first.code == second.code && first.trailers == second.trailers);
    /* Pieces of a signed chunk are handed out before its signature is known to be wrong. */
    if (first.code == LH_OK)
        LH_CHECK(lh_str_eq(lh_buf_str(&whole), lh_buf_str(&pieces)));
    return 0;
}
