/*
 * The decoder of aws-chunked: its four forms, cut at every position; and everything that is wrong.
 */
#include "net/aws_chunked.h"

#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"

enum form { UNSIGNED, UNSIGNED_TRAILER, SIGNED, SIGNED_TRAILER };

static bool is_signed(enum form form)
{
    return form == SIGNED || form == SIGNED_TRAILER;
}

/* A context whose key and first signature are what the encoder below uses. */
static struct lh_sigv4_context start_context(void)
{
    struct lh_sigv4_context context = {.scope = "20130524/us-east-1/s3/aws4_request",
                                       .timestamp = "20130524T000000Z"};
    memset(context.signing_key, 7, sizeof(context.signing_key));
    memset(context.signature, 'a', sizeof(context.signature) - 1);
    return context;
}

static struct lh_aws_chunked *decoder_of(enum form form, int64_t decoded_length)
{
    struct lh_sigv4_context context = start_context();
    const struct lh_aws_chunked_options options = {
        .is_signed = is_signed(form),
        .has_trailer = form == UNSIGNED_TRAILER || form == SIGNED_TRAILER,
        .context = is_signed(form) ? &context : NULL,
        .decoded_length = decoded_length,
    };
    return lh_aws_chunked_new(&options);
}

/* ---- an encoder ---- */

static void append_chunk(struct lh_buf *out, struct lh_sigv4_context *context, lh_str bytes)
{
    lh_buf_printf(out, "%zx", bytes.len);
    if (context) {
        uint8_t hash[LH_SHA256_SIZE];
        char signature[LH_SIGV4_SIGNATURE_HEX];
        lh_sha256(bytes.ptr, bytes.len, hash);
        lh_sigv4_sign_chunk(context, hash, signature);
        lh_buf_printf(out, ";chunk-signature=%s", signature);
    }
    lh_buf_append_cstr(out, "\r\n");
    lh_buf_append_str(out, bytes);
    if (bytes.len > 0)
        lh_buf_append_cstr(out, "\r\n");
}

static void append_trailer(struct lh_buf *out, struct lh_sigv4_context *context)
{
    lh_buf_append_cstr(out, "X-Amz-Checksum-CRC32: NhCmhg==\r\nx-amz-checksum-sha1:\r\n");
    if (!context)
        return;
    const char text[] = "x-amz-checksum-crc32:NhCmhg==\nx-amz-checksum-sha1:\n";
    uint8_t hash[LH_SHA256_SIZE];
    char signature[LH_SIGV4_SIGNATURE_HEX];
    lh_sha256(text, sizeof(text) - 1, hash);
    lh_sigv4_sign_trailer(context, hash, signature);
    lh_buf_printf(out, "x-amz-trailer-signature:%s\r\n", signature);
}

/* "hello\r\n0\r\n\r\nworld" in chunks. */
static const char content[] = "hello\r\n0\r\n\r\nworld";

static void append_body(struct lh_buf *out, enum form form)
{
    struct lh_sigv4_context signing = start_context();
    struct lh_sigv4_context *context = is_signed(form) ? &signing : NULL;
    append_chunk(out, context, lh_str_of(content, 7));
    append_chunk(out, context, lh_str_of(content + 7, 1));
    append_chunk(out, context, lh_str_of(content + 8, sizeof(content) - 1 - 8));
    append_chunk(out, context, LH_STR_NONE);
    if (form == UNSIGNED_TRAILER || form == SIGNED_TRAILER)
        append_trailer(out, context);
    lh_buf_append_cstr(out, "\r\n");
}

/* ---- decoding ---- */

static lh_code feed(struct lh_aws_chunked *decoder, lh_str bytes, struct lh_buf *out,
                    struct lh_error *err)
{
    while (bytes.len > 0) {
        size_t used = 0, len = 0;
        const void *run = NULL;
        LH_TRY(lh_aws_chunked_take(decoder, bytes.ptr, bytes.len, &used, &run, &len, err));
        assert_in_range(used, 1, bytes.len);
        assert_true(len <= used);
        lh_buf_append(out, run, len);
        bytes = lh_str_skip(bytes, used);
    }
    return LH_OK;
}

/* Decodes a whole body that comes cut in two. */
static lh_code decode(enum form form, int64_t decoded_length, lh_str body, size_t cut,
                      struct lh_buf *out, struct lh_error *err)
{
    struct lh_aws_chunked *decoder = decoder_of(form, decoded_length);
    lh_code code = feed(decoder, lh_str_of(body.ptr, cut), out, err);
    if (code == LH_OK)
        code = feed(decoder, lh_str_skip(body, cut), out, err);
    if (code == LH_OK)
        code = lh_aws_chunked_finish(decoder, err);
    lh_aws_chunked_free(decoder);
    return code;
}

LH_TEST(every_form_at_every_cut)
{
    for (enum form form = UNSIGNED; form <= SIGNED_TRAILER; form++) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        append_body(&body, form);
        for (size_t cut = 0; cut <= body.len; cut++) {
            struct lh_error err = LH_ERROR_INIT;
            lh_buf_reset(&out);
            assert_int_equal(decode(form, cut % 2 ? -1 : (int64_t)sizeof(content) - 1,
                                    lh_buf_str(&body), cut, &out, &err),
                             LH_OK);
            assert_string_equal(out.data, content);
        }
    }
}

LH_TEST(byte_by_byte)
{
    for (enum form form = UNSIGNED; form <= SIGNED_TRAILER; form++) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        struct lh_error err = LH_ERROR_INIT;
        append_body(&body, form);
        struct lh_aws_chunked *decoder = decoder_of(form, sizeof(content) - 1);
        for (size_t i = 0; i < body.len; i++) {
            assert_int_equal(lh_aws_chunked_finish(decoder, &err), LH_INCOMPLETE_BODY);
            assert_int_equal(feed(decoder, lh_str_of(body.data + i, 1), &out, &err), LH_OK);
        }
        assert_int_equal(lh_aws_chunked_finish(decoder, &err), LH_OK);
        assert_string_equal(out.data, content);
        lh_aws_chunked_free(decoder);
    }
}

/* A body that stops anywhere is not whole, and one with any bit of it turned is never the same body
 * to somebody who signed it. */
LH_TEST(cut_short_or_changed)
{
    for (enum form form = UNSIGNED; form <= SIGNED_TRAILER; form++) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        append_body(&body, form);
        for (size_t i = 0; i < body.len; i++) {
            struct lh_error err = LH_ERROR_INIT;
            assert_int_equal(decode(form, -1, lh_str_of(body.data, i), i / 2, &out, &err),
                             LH_INCOMPLETE_BODY);
            if (!is_signed(form))
                continue;
            lh_buf_reset(&out);
            body.data[i] ^= 0x20; /* turns case, too, which only names and sizes forgive */
            lh_code code = decode(form, -1, lh_buf_str(&body), i, &out, &err);
            if (code == LH_OK)
                assert_string_equal(out.data, content);
            body.data[i] ^= 0x20;
        }
    }
}

LH_TEST(trailers_are_handed_out)
{
    for (enum form form = UNSIGNED_TRAILER; form <= SIGNED_TRAILER; form += 2) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        struct lh_error err = LH_ERROR_INIT;
        append_body(&body, form);
        struct lh_aws_chunked *decoder = decoder_of(form, -1);
        assert_int_equal(feed(decoder, lh_buf_str(&body), &out, &err), LH_OK);
        assert_int_equal(lh_aws_chunked_finish(decoder, &err), LH_OK);
        assert_int_equal(lh_aws_chunked_trailer_count(decoder), 2);
        struct lh_http_header first = lh_aws_chunked_trailer(decoder, 0);
        struct lh_http_header second = lh_aws_chunked_trailer(decoder, 1);
        assert_true(lh_str_is(first.name, "X-Amz-Checksum-CRC32"));
        assert_true(lh_str_is(first.value, "NhCmhg=="));
        assert_true(lh_str_is(second.name, "x-amz-checksum-sha1"));
        assert_int_equal(second.value.len, 0);
        lh_aws_chunked_free(decoder);
    }
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

LH_TEST(what_is_wrong)
{
    static const struct {
        enum form form;
        int64_t length;
        const char *body;
        lh_code code;
    } cases[] = {
        {UNSIGNED, -1, "0\r\n\r\n", LH_OK},
        {UNSIGNED, -1, "5\r\nhello\r\n0\r\n\r\n", LH_OK},
        {UNSIGNED, -1, "00A\r\n0123456789\r\n000\r\n\r\n", LH_OK},
        {UNSIGNED, -1, "a\r\n0123456789\r\n0\r\n\r\n", LH_OK},
        {UNSIGNED, -1, "", LH_INCOMPLETE_BODY},
        {UNSIGNED, -1, "\r\n", LH_INVALID},
        {UNSIGNED, -1, "\n", LH_INVALID},
        {UNSIGNED, -1, "hello", LH_INCOMPLETE_BODY},
        {UNSIGNED, -1, "hello\r\n", LH_INVALID},
        {UNSIGNED, -1, "-5\r\nhello\r\n", LH_INVALID},
        {UNSIGNED, -1, "0x5\r\nhello\r\n", LH_INVALID},
        {UNSIGNED, -1, " 5\r\nhello\r\n", LH_INVALID},
        {UNSIGNED, -1, "5 \r\nhello\r\n", LH_INVALID},
        {UNSIGNED, -1, "5\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5\r\nhello\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5\r\nhello0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "4\r\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "6\r\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5;a=b\r\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5;\r\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5\r\nhello\r\n0\r\n\r\nx", LH_INVALID},
        {UNSIGNED, -1, "5\r\nhello\r\n0\r\n\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "5\r\nhello\r\n0\r\na:b\r\n\r\n", LH_INVALID},
        {UNSIGNED, -1, "fffffffffffffff\r\n", LH_INVALID},
        {UNSIGNED, -1, "0000000000000001\r\nh\r\n", LH_INVALID},
        {UNSIGNED, -1, "\r5\r\nhello\r\n0\r\n\r\n", LH_INVALID},
        {UNSIGNED, 4, "5\r\nhello\r\n0\r\n\r\n", LH_INCOMPLETE_BODY},
        {UNSIGNED, 6, "5\r\nhello\r\n0\r\n\r\n", LH_INCOMPLETE_BODY},
        {UNSIGNED, 0, "0\r\n\r\n", LH_OK},
        {UNSIGNED_TRAILER, -1, "0\r\n\r\n", LH_OK},
        {UNSIGNED_TRAILER, -1, "0\r\na:b\r\n\r\n", LH_OK},
        {UNSIGNED_TRAILER, -1, "0\r\na:\tb c \r\n\r\n", LH_OK},
        {UNSIGNED_TRAILER, -1, "0\r\na:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\n\r\n",
         LH_OK},
        {UNSIGNED_TRAILER, -1,
         "0\r\na:1\r\na:2\r\na:3\r\na:4\r\na:5\r\na:6\r\na:7\r\na:8\r\na:9\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\na\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\n:b\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\na b:c\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\n a:c\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\na:b\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\na:b\rc\r\n\r\n", LH_INVALID},
        {UNSIGNED_TRAILER, -1, "0\r\nx-amz-trailer-signature:" ZEROS "\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0;\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0;chunk-signature=\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0;chunk-signature=" ZEROS "0\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0;signature=" ZEROS "\r\n\r\n", LH_INVALID},
        {SIGNED, -1, "0;chunk-signature=" ZEROS "\r\n\r\n", LH_BAD_DIGEST},
        {SIGNED, -1, "5;chunk-signature=" ZEROS "\r\nhell", LH_INCOMPLETE_BODY},
        {SIGNED, -1, "5;chunk-signature=" ZEROS "\r\nhello", LH_BAD_DIGEST},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        lh_str body = lh_str_from(cases[i].body);
        for (size_t cut = 0; cut <= body.len; cut++) {
            LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
            struct lh_error err = LH_ERROR_INIT;
            lh_code code = decode(cases[i].form, cases[i].length, body, cut, &out, &err);
            if (code != cases[i].code)
                print_message("case %zu, cut %zu: %s\n", i, cut, err.message);
            assert_int_equal(code, cases[i].code);
        }
    }
}

/* The trailers are signed or refused, whole, and nothing stands behind their signature. */
LH_TEST(signed_trailers)
{
    static const struct {
        const char *trailer; /* @: the right signature of no trailers */
        lh_code code;
    } cases[] = {
        {"x-amz-trailer-signature:@\r\n\r\n", LH_OK},
        {"X-AMZ-Trailer-Signature: @\r\n\r\n", LH_OK},
        {"\r\n", LH_INVALID},
        {"a:b\r\nx-amz-trailer-signature:@\r\n\r\n", LH_BAD_DIGEST},
        {"x-amz-trailer-signature:@x\r\n\r\n", LH_BAD_DIGEST},
        {"x-amz-trailer-signature:@\r\na:b\r\n\r\n", LH_INVALID},
        {"x-amz-trailer-signature:@\r\nx-amz-trailer-signature:@\r\n\r\n", LH_INVALID},
        {"x-amz-trailer-signature:@\r\n", LH_INCOMPLETE_BODY},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        struct lh_error err = LH_ERROR_INIT;
        struct lh_sigv4_context context = start_context();
        uint8_t hash[LH_SHA256_SIZE];
        char signature[LH_SIGV4_SIGNATURE_HEX];
        append_chunk(&body, &context, LH_STR_NONE);
        lh_sha256("", 0, hash);
        lh_sigv4_sign_trailer(&context, hash, signature);
        for (const char *c = cases[i].trailer; *c; c++) {
            if (*c == '@')
                lh_buf_append_cstr(&body, signature);
            else
                lh_buf_append_char(&body, *c);
        }
        assert_int_equal(decode(SIGNED_TRAILER, -1, lh_buf_str(&body), 10, &out, &err),
                         cases[i].code);
    }
}

LH_TEST(lines_are_bounded)
{
    for (size_t len = LH_AWS_LINE_MAX - 4; len < LH_AWS_LINE_MAX + 4; len++) {
        LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096), out = LH_BUF_INIT(4096);
        struct lh_error err = LH_ERROR_INIT;
        lh_buf_append_cstr(&body, "0\r\na:");
        for (size_t i = 4; i < len; i++)
            lh_buf_append_char(&body, 'b');
        lh_buf_append_cstr(&body, "\r\n\r\n");
        assert_int_equal(decode(UNSIGNED_TRAILER, -1, lh_buf_str(&body), 100, &out, &err),
                         len <= LH_AWS_LINE_MAX ? LH_OK : LH_INVALID);
    }
}

LH_TEST(a_failure_is_final)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(64);
    struct lh_aws_chunked *decoder = decoder_of(UNSIGNED, -1);
    assert_int_equal(feed(decoder, LH_STR("x\r\n"), &out, &err), LH_INVALID);
    assert_int_equal(feed(decoder, LH_STR("0\r\n\r\n"), &out, &err), LH_INVALID);
    assert_int_equal(lh_aws_chunked_finish(decoder, &err), LH_INCOMPLETE_BODY);
    lh_aws_chunked_free(decoder);
    lh_aws_chunked_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_at_every_cut), cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(cut_short_or_changed),    cmocka_unit_test(trailers_are_handed_out),
        cmocka_unit_test(what_is_wrong),           cmocka_unit_test(signed_trailers),
        cmocka_unit_test(lines_are_bounded),       cmocka_unit_test(a_failure_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
