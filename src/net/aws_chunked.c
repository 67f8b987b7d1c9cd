/*
 * The decoder of aws-chunked.
 *
 *   SIZE --size 0--> TRAILER --empty line--> END
 *    ^ \--size n--> DATA --n bytes--> DATA_END
 *    |_______________CRLF_______________/
 *
 * Strict: lines end in CRLF, a size is plain hex, and the only extension is a signature where there
 * must be one. A chunk's signature is judged with its last byte.
 */
#include "net/aws_chunked.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
    CHUNK_MAX_DIGITS = 15, /* hex; the sum of sizes is bounded by what follows */
    TRAILERS_BYTES_MAX = LH_AWS_TRAILERS_MAX * LH_AWS_LINE_MAX,
};
static const uint64_t body_bytes_max = UINT64_C(1) << 50;

#define SIGNATURE_EXTENSION "chunk-signature="
#define TRAILER_SIGNATURE   "x-amz-trailer-signature"

struct trailer {
    size_t name_at; /* both in `trailers` */
    size_t name_len;
    size_t value_len; /* the value stands behind the name and a colon */
};

struct lh_aws_chunked {
    enum { SIZE, DATA, DATA_END, TRAILER, END, FAILED } state;
    bool is_signed;
    bool is_verified; /* the key is known */
    bool has_trailer;
    bool trailer_signed; /* the signature has come; nothing may follow it */
    int64_t decoded_length;
    uint64_t decoded;   /* sizes of all chunks so far */
    uint64_t remaining; /* bytes of this chunk still to come */
    struct lh_sigv4_context context;
    struct lh_digest *hash;                 /* of this chunk; NULL when it is not signed */
    char signature[LH_SIGV4_SIGNATURE_HEX]; /* that the chunk claims */
    char line[LH_AWS_LINE_MAX];
    size_t line_len;
    struct lh_buf trailers; /* "name:value\n" of each, as it is signed but for the name's case */
    struct trailer trailer[LH_AWS_TRAILERS_MAX];
    size_t trailer_count;
};

struct lh_aws_chunked *lh_aws_chunked_new(const struct lh_aws_chunked_options *options)
{
    struct lh_aws_chunked *decoder = lh_calloc(1, sizeof(*decoder));
    decoder->is_signed = options->is_signed;
    decoder->has_trailer = options->has_trailer;
    decoder->decoded_length = options->decoded_length;
    decoder->trailers = LH_BUF_INIT(TRAILERS_BYTES_MAX);
    decoder->is_verified = options->is_signed && options->context != NULL;
    if (decoder->is_verified)
        decoder->context = *options->context;
    return decoder;
}

void lh_aws_chunked_free(struct lh_aws_chunked *decoder)
{
    if (!decoder)
        return;
    lh_digest_free(decoder->hash);
    lh_buf_deinit(&decoder->trailers);
    free(decoder);
}

/* ---- chunks ---- */

/* The chunk is complete: does its signature hold? */
static lh_code check_chunk(struct lh_aws_chunked *decoder, struct lh_error *err)
{
    if (!decoder->is_verified)
        return LH_OK;
    uint8_t sha256[LH_SHA256_SIZE];
    lh_digest_final(decoder->hash, sha256);
    lh_digest_free(LH_TAKE(decoder->hash));
    char wanted[LH_SIGV4_SIGNATURE_HEX];
    lh_sigv4_sign_chunk(&decoder->context, sha256, wanted);
    if (!lh_secret_eq(lh_str_from(wanted), lh_str_from(decoder->signature)))
        return lh_fail(err, LH_BAD_DIGEST, "the signature of a chunk of the body does not match");
    return LH_OK;
}

static lh_code parse_size(lh_str text, uint64_t *ret, struct lh_error *err)
{
    uint64_t size = 0;
    for (size_t i = 0; i < text.len && i < CHUNK_MAX_DIGITS; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return lh_fail(err, LH_INVALID, "the size of a chunk is not a hex number");
        size = size << 4 | digit;
    }
    if (text.len == 0 || text.len > CHUNK_MAX_DIGITS)
        return lh_fail(err, LH_INVALID, "the size of a chunk is empty or very long");
    *ret = size;
    return LH_OK;
}

/* "chunk-signature=64 hex digits", when the chunks are signed; nothing when they are not. */
static lh_code parse_extension(struct lh_aws_chunked *decoder, lh_str extension, bool present,
                               struct lh_error *err)
{
    if (present != decoder->is_signed)
        return lh_fail(err, LH_INVALID, "a chunk of the body %s",
                       present ? "has an extension, and the body is not signed in chunks"
                               : "has no signature");
    if (!present)
        return LH_OK;
    size_t digits = LH_SIGV4_SIGNATURE_HEX - 1;
    if (!lh_str_starts(extension, SIGNATURE_EXTENSION) ||
        extension.len != strlen(SIGNATURE_EXTENSION) + digits)
        return lh_fail(err, LH_INVALID, "the signature of a chunk is not well formed");
    memcpy(decoder->signature, extension.ptr + strlen(SIGNATURE_EXTENSION), digits);
    decoder->signature[digits] = '\0';
    return LH_OK;
}

static lh_code begin_chunk(struct lh_aws_chunked *decoder, lh_str line, struct lh_error *err)
{
    lh_str size_text = LH_STR_NONE;
    uint64_t size = 0;
    lh_str_next(&line, ';', &size_text);
    LH_TRY(parse_size(size_text, &size, err));
    LH_TRY(parse_extension(decoder, line, line.ptr != NULL, err));
    if (size > body_bytes_max - decoder->decoded)
        return lh_fail(err, LH_INVALID, "the chunks of the body are too large");
    decoder->decoded += size;
    if (decoder->decoded_length >= 0 && decoder->decoded > (uint64_t)decoder->decoded_length)
        return lh_fail(err, LH_INCOMPLETE_BODY,
                       "the body is longer than the %lld bytes of x-amz-decoded-content-length",
                       (long long)decoder->decoded_length);
    if (decoder->is_verified)
        decoder->hash = lh_digest_new(LH_DIGEST_SHA256);
    decoder->remaining = size;
    decoder->state = size > 0 ? DATA : TRAILER;
    return size > 0 ? LH_OK : check_chunk(decoder, err);
}

/* ---- trailing headers ---- */

static struct lh_http_header trailer_at(const struct lh_aws_chunked *decoder, size_t index)
{
    const struct trailer *at = &decoder->trailer[index];
    const char *name = decoder->trailers.data + at->name_at;
    return (struct lh_http_header){lh_str_of(name, at->name_len),
                                   lh_str_of(name + at->name_len + 1, at->value_len)};
}

/* The signature of all trailing headers; their names are signed in lower case. */
static lh_code check_trailer(struct lh_aws_chunked *decoder, lh_str signature, struct lh_error *err)
{
    decoder->trailer_signed = true;
    if (!decoder->is_verified)
        return LH_OK;
    LH_AUTO_DIGEST struct lh_digest *hash = lh_digest_new(LH_DIGEST_SHA256);
    for (size_t i = 0; i < decoder->trailer_count; i++) {
        struct lh_http_header header = trailer_at(decoder, i);
        for (size_t j = 0; j < header.name.len; j++) {
            char c = header.name.ptr[j];
            c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            lh_digest_update(hash, &c, 1);
        }
        lh_digest_update(hash, ":", 1);
        lh_digest_update(hash, header.value.ptr, header.value.len);
        lh_digest_update(hash, "\n", 1);
    }
    uint8_t sha256[LH_SHA256_SIZE];
    lh_digest_final(hash, sha256);
    char wanted[LH_SIGV4_SIGNATURE_HEX];
    lh_sigv4_sign_trailer(&decoder->context, sha256, wanted);
    if (!lh_secret_eq(lh_str_from(wanted), signature))
        return lh_fail(err, LH_BAD_DIGEST, "the signature of the trailing headers does not match");
    return LH_OK;
}

static lh_code take_trailer(struct lh_aws_chunked *decoder, lh_str line, struct lh_error *err)
{
    lh_str name = LH_STR_NONE;
    lh_str_next(&line, ':', &name);
    if (!decoder->has_trailer)
        return lh_fail(err, LH_INVALID, "there are headers behind the body, and none were said");
    if (!line.ptr || !lh_http_is_token(name))
        return lh_fail(err, LH_INVALID, "a trailing header is not name:value");
    lh_str value = lh_str_trim(line);
    if (decoder->trailer_signed)
        return lh_fail(err, LH_INVALID, "there are headers behind " TRAILER_SIGNATURE);
    if (lh_str_eq_nocase(name, LH_STR(TRAILER_SIGNATURE))) {
        if (!decoder->is_signed)
            return lh_fail(err, LH_INVALID, "%s in a body that is not signed", TRAILER_SIGNATURE);
        return check_trailer(decoder, value, err);
    }
    if (decoder->trailer_count == LH_AWS_TRAILERS_MAX)
        return lh_fail(err, LH_INVALID, "there are more than %d trailing headers",
                       LH_AWS_TRAILERS_MAX);
    decoder->trailer[decoder->trailer_count++] =
        (struct trailer){decoder->trailers.len, name.len, value.len};
    lh_buf_append_str(&decoder->trailers, name);
    lh_buf_append_char(&decoder->trailers, ':');
    lh_buf_append_str(&decoder->trailers, value);
    lh_buf_append_char(&decoder->trailers, '\n');
    return LH_OK;
}

static lh_code take_line(struct lh_aws_chunked *decoder, lh_str line, struct lh_error *err)
{
    switch (decoder->state) {
    case SIZE:
        return begin_chunk(decoder, line, err);
    case DATA_END:
        decoder->state = SIZE;
        return line.len == 0 ? LH_OK
                             : lh_fail(err, LH_INVALID, "a chunk is longer than its size says");
    case TRAILER:
        if (line.len > 0)
            return take_trailer(decoder, line, err);
        if (decoder->has_trailer && decoder->is_signed && !decoder->trailer_signed)
            return lh_fail(err, LH_INVALID, "the trailing headers are not signed");
        decoder->state = END;
        return LH_OK;
    case DATA:
    case END:
    case FAILED:
        break;
    }
    return lh_fail(err, LH_INVALID, "there are bytes behind the end of the body");
}

/* ---- bytes ---- */

/* Collects up to the end of a line, and takes it when it is whole. Returns the bytes used. */
static lh_code collect_line(struct lh_aws_chunked *decoder, const char *bytes, size_t len,
                            size_t *ret_used, struct lh_error *err)
{
    const char *feed = memchr(bytes, '\n', len);
    size_t part = feed ? (size_t)(feed - bytes) + 1 : len;
    if (decoder->state == END)
        return lh_fail(err, LH_INVALID, "there are bytes behind the end of the body");
    if (part > sizeof(decoder->line) - decoder->line_len)
        return lh_fail(err, LH_INVALID, "a line between chunks is longer than %d bytes",
                       LH_AWS_LINE_MAX);
    memcpy(decoder->line + decoder->line_len, bytes, part);
    decoder->line_len += part;
    *ret_used = part;
    if (!feed)
        return LH_OK;
    lh_str line = lh_str_of(decoder->line, decoder->line_len - 1);
    decoder->line_len = 0;
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
        return lh_fail(err, LH_INVALID, "a line between chunks does not end in CRLF");
    line.len--;
    if (line.len > 0 && (memchr(line.ptr, '\r', line.len) || memchr(line.ptr, '\0', line.len)))
        return lh_fail(err, LH_INVALID, "a line between chunks has a control character in it");
    return take_line(decoder, line, err);
}

static lh_code take_data(struct lh_aws_chunked *decoder, const char *bytes, size_t len,
                         size_t *ret_used, struct lh_error *err)
{
    size_t run = len < decoder->remaining ? len : (size_t)decoder->remaining;
    if (decoder->is_verified)
        lh_digest_update(decoder->hash, bytes, run);
    decoder->remaining -= run;
    *ret_used = run;
    if (decoder->remaining > 0)
        return LH_OK;
    decoder->state = DATA_END;
    return check_chunk(decoder, err);
}

lh_code lh_aws_chunked_take(struct lh_aws_chunked *decoder, const void *bytes, size_t len,
                            size_t *ret_used, const void **ret_bytes, size_t *ret_len,
                            struct lh_error *err)
{
    const char *start = bytes;
    size_t used = 0, part = 0;
    lh_code code = decoder->state == FAILED
                       ? lh_fail(err, LH_INVALID, "the body was not well formed before")
                       : LH_OK;
    while (code == LH_OK && used < len && decoder->state != DATA) {
        code = collect_line(decoder, start + used, len - used, &part, err);
        used += code == LH_OK ? part : 0;
    }
    size_t run = 0;
    if (code == LH_OK && used < len)
        code = take_data(decoder, start + used, len - used, &run, err);
    if (code != LH_OK) {
        decoder->state = FAILED;
        return code;
    }
    *ret_bytes = run > 0 ? start + used : NULL;
    *ret_len = run;
    *ret_used = used + run;
    return LH_OK;
}

lh_code lh_aws_chunked_finish(struct lh_aws_chunked *decoder, struct lh_error *err)
{
    if (decoder->state != END)
        return lh_fail(err, LH_INCOMPLETE_BODY, "the body ended before its last chunk");
    if (decoder->decoded_length >= 0 && decoder->decoded != (uint64_t)decoder->decoded_length)
        return lh_fail(err, LH_INCOMPLETE_BODY,
                       "the body has %llu bytes, and x-amz-decoded-content-length says %lld",
                       (unsigned long long)decoder->decoded, (long long)decoder->decoded_length);
    return LH_OK;
}

size_t lh_aws_chunked_trailer_count(const struct lh_aws_chunked *decoder)
{
    return decoder->trailer_count;
}

struct lh_http_header lh_aws_chunked_trailer(const struct lh_aws_chunked *decoder, size_t index)
{
    LH_CHECK(index < decoder->trailer_count);
    return trailer_at(decoder, index);
}
