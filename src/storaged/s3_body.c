/*
 * The body of a request: decoded from aws-chunked where it is, verified against everything that the
 * request says about it, and streamed straight into an upload's window. Nothing may be committed
 * before lh_s3_receive has returned LH_OK: of a signed stream each chunk's signature comes before
 * it, and the checksum of a trailer after all of it.
 */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storaged/s3_object.h"

/* Framing is read into a buffer of its own when the window has less room than that. */
enum { SCRATCH_BYTES = 4096 };

/* ---- length ---- */

static bool is_aws_chunked(const struct lh_s3 *s3)
{
    return s3->body_mode == LH_S3_BODY_CHUNKED_SIGNED ||
           s3->body_mode == LH_S3_BODY_CHUNKED_TRAILER ||
           s3->body_mode == LH_S3_BODY_UNSIGNED_TRAILER;
}

static bool names_aws_chunked(lh_str coding)
{
    lh_str item;
    while (lh_str_next(&coding, ',', &item))
        if (lh_str_eq_nocase(lh_str_trim(item), LH_STR("aws-chunked")))
            return true;
    return false;
}

/* Frames that nobody takes off would become part of the object. */
static lh_code refuse_unsigned_frames(struct lh_s3 *s3, struct lh_error *err)
{
    if (s3->body_mode == LH_S3_BODY_UNSIGNED &&
        names_aws_chunked(lh_http_header(s3->x, "Content-Encoding")))
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "aws-chunked encoding is not supported when x-amz-content-sha256 is "
                          "UNSIGNED-PAYLOAD or absent");
    return LH_OK;
}

static lh_code decoded_length(struct lh_s3 *s3, int64_t *ret_length, struct lh_error *err)
{
    lh_str text = lh_http_header(s3->x, "x-amz-decoded-content-length");
    if (!text.ptr)
        return lh_s3_fail(s3, err, LH_S3_MISSING_CONTENT_LENGTH,
                          "You must provide the x-amz-decoded-content-length HTTP header.");
    int64_t length = 0;
    if (!lh_str_to_i64(text, &length) || length < 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                          "x-amz-decoded-content-length is not a length: %.*s", LH_FMT(text));
    *ret_length = length;
    return LH_OK;
}

lh_code lh_s3_body_length(struct lh_s3 *s3, int64_t *ret_length, struct lh_error *err)
{
    if (is_aws_chunked(s3))
        return decoded_length(s3, ret_length, err);
    int64_t length = lh_http_body_length(s3->x);
    if (length == 0 && !lh_http_header(s3->x, "Content-Length").ptr)
        return lh_s3_fail(s3, err, LH_S3_MISSING_CONTENT_LENGTH,
                          "You must provide the Content-Length HTTP header.");
    *ret_length = length;
    return LH_OK;
}

/* ---- trailers ---- */

/* What was announced must be there, and nothing else may be. */
static lh_code take_trailers(struct lh_s3 *s3, const struct lh_aws_chunked *decoder,
                             enum lh_checksum_kind announced, struct lh_checksum *ret,
                             struct lh_error *err)
{
    struct lh_checksum sum = {.kind = LH_CHECKSUM_NONE};
    for (size_t i = 0; i < lh_aws_chunked_trailer_count(decoder); i++) {
        struct lh_http_header header = lh_aws_chunked_trailer(decoder, i);
        enum lh_checksum_kind kind = lh_s3_checksum_of_header(header.name);
        if (kind == LH_CHECKSUM_NONE || kind != announced || sum.kind != LH_CHECKSUM_NONE)
            return lh_s3_fail(s3, err, LH_S3_MALFORMED_TRAILER,
                              "The trailer %.*s was not announced by x-amz-trailer",
                              LH_FMT(header.name));
        if (!lh_checksum_from_text(kind, lh_str_trim(header.value), &sum))
            return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                              "Value for %.*s trailing header is invalid.", LH_FMT(header.name));
    }
    if (sum.kind != announced)
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_TRAILER,
                          "The trailer that x-amz-trailer announced did not come");
    *ret = sum;
    return LH_OK;
}

static lh_code new_decoder(struct lh_s3 *s3, struct lh_aws_chunked **ret, struct lh_error *err)
{
    struct lh_aws_chunked_options options = {
        .is_signed = s3->body_mode != LH_S3_BODY_UNSIGNED_TRAILER,
        .has_trailer = s3->body_mode != LH_S3_BODY_CHUNKED_SIGNED,
        .context = s3->signed_request ? &s3->signature : NULL,
    };
    LH_TRY(decoded_length(s3, &options.decoded_length, err));
    *ret = lh_aws_chunked_new(&options);
    return LH_OK;
}

/* A chunk whose signature does not hold is as a request whose does not. */
static lh_code decoding_failed(struct lh_s3 *s3, lh_code code, struct lh_error *err)
{
    char why[LH_ERROR_MESSAGE_MAX];
    if (code != LH_BAD_DIGEST && code != LH_INVALID)
        return code;
    memcpy(why, err->message, sizeof(why));
    if (code == LH_BAD_DIGEST)
        return lh_s3_fail(s3, err, LH_S3_SIGNATURE_DOES_NOT_MATCH, "%s", why);
    return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST, "%s", why);
}

/* Moves what the frames hold to the front of the bytes (`to` may be `from`). */
static lh_code decode(struct lh_s3 *s3, struct lh_aws_chunked *decoder, const char *from,
                      size_t len, char *to, size_t *ret_len, struct lh_error *err)
{
    size_t kept = 0;
    while (len > 0) {
        size_t used = 0;
        size_t run = 0;
        const void *bytes = NULL;
        lh_code code = lh_aws_chunked_take(decoder, from, len, &used, &bytes, &run, err);
        if (code != LH_OK)
            return decoding_failed(s3, code, err);
        if (run > 0)
            memmove(to + kept, bytes, run);
        kept += run;
        from += used;
        len -= used;
    }
    *ret_len = kept;
    return LH_OK;
}

/* ---- streaming into an upload ---- */

struct receiver {
    struct lh_s3 *s3;
    struct lh_upload *upload;
    struct lh_digest *sha256; /* NULL when nobody asks for it */
    struct lh_aws_chunked *decoder;
};

static void receiver_deinit(struct receiver *receiver)
{
    lh_digest_free(receiver->sha256);
    lh_aws_chunked_free(receiver->decoder);
}

lh_code lh_s3_add_bytes(struct lh_upload *upload, const void *bytes, size_t len,
                        struct lh_error *err)
{
    const char *from = bytes;
    while (len > 0) {
        void *space;
        size_t room;
        LH_TRY(lh_upload_space(upload, &space, &room, err));
        if (room > len)
            room = len;
        memcpy(space, from, room);
        LH_TRY(lh_upload_added(upload, room, err));
        from += room;
        len -= room;
    }
    return LH_OK;
}

/* Frames are read into the window and what they hold is moved together there, so a byte is copied
 * once at most. */
static lh_code receive_frames(struct receiver *receiver, struct lh_error *err)
{
    char scratch[SCRATCH_BYTES];
    for (;;) {
        void *space;
        size_t room;
        size_t got;
        LH_TRY(lh_upload_space(receiver->upload, &space, &room, err));
        bool tight = room < sizeof(scratch);
        char *at = tight ? scratch : space;
        LH_TRY(lh_http_body_read(receiver->s3->x, at, tight ? sizeof(scratch) : room, &got, err));
        if (got == 0)
            break;
        LH_TRY(decode(receiver->s3, receiver->decoder, at, got, at, &got, err));
        if (tight)
            LH_TRY(lh_s3_add_bytes(receiver->upload, scratch, got, err));
        else
            LH_TRY(lh_upload_added(receiver->upload, got, err));
    }
    lh_code code = lh_aws_chunked_finish(receiver->decoder, err);
    return code == LH_OK ? LH_OK : decoding_failed(receiver->s3, code, err);
}

static lh_code receive_plain(struct receiver *receiver, struct lh_error *err)
{
    for (;;) {
        void *space;
        size_t room;
        size_t got;
        LH_TRY(lh_upload_space(receiver->upload, &space, &room, err));
        LH_TRY(lh_http_body_read(receiver->s3->x, space, room, &got, err));
        if (got == 0)
            return LH_OK;
        if (receiver->sha256)
            lh_digest_update(receiver->sha256, space, got);
        LH_TRY(lh_upload_added(receiver->upload, got, err));
    }
}

/* When the upload's own checksum is the SHA-256 that was signed, one computation serves both. */
static bool needs_sha256(const struct lh_s3 *s3, const struct lh_s3_digests *digests)
{
    return s3->body_mode == LH_S3_BODY_SIGNED &&
           (digests->checksum.kind != LH_CHECKSUM_SHA256 ||
            memcmp(digests->checksum.bytes, s3->body_sha256, LH_SHA256_SIZE) != 0);
}

static lh_code check_sha256(struct lh_s3 *s3, struct lh_digest *sha256, struct lh_error *err)
{
    uint8_t found[LH_SHA256_SIZE];
    lh_digest_final(sha256, found);
    if (memcmp(found, s3->body_sha256, sizeof(found)) == 0)
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_CONTENT_SHA256_MISMATCH,
                      "The provided x-amz-content-sha256 header does not match what was computed.");
}

static lh_code receive(struct receiver *receiver, const struct lh_s3_digests *digests,
                       struct lh_error *err)
{
    struct lh_s3 *s3 = receiver->s3;
    struct lh_checksum sum = digests->checksum;
    if (is_aws_chunked(s3)) {
        LH_TRY(new_decoder(s3, &receiver->decoder, err));
        LH_TRY(receive_frames(receiver, err));
        if (digests->trailer != LH_CHECKSUM_NONE ||
            lh_aws_chunked_trailer_count(receiver->decoder) > 0)
            LH_TRY(take_trailers(s3, receiver->decoder, digests->trailer, &sum, err));
    } else {
        if (needs_sha256(s3, digests))
            receiver->sha256 = lh_digest_new(LH_DIGEST_SHA256);
        LH_TRY(receive_plain(receiver, err));
        if (receiver->sha256)
            LH_TRY(check_sha256(s3, receiver->sha256, err));
    }
    if (sum.kind == LH_CHECKSUM_NONE)
        return LH_OK;
    return lh_upload_expect(receiver->upload, &sum, err);
}

/* A part is judged by the checksum that its upload has, whether its own headers name it or not. */
static lh_code choose_checksum(struct lh_s3 *s3, const struct lh_s3_digests *digests,
                               struct lh_upload_options *options, struct lh_error *err)
{
    enum lh_checksum_kind kind = lh_s3_digests_kind(digests);
    if (kind == LH_CHECKSUM_NONE)
        return LH_OK;
    if (options->checksum != LH_CHECKSUM_NONE && options->checksum != kind)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "Checksum Type mismatch occurred, expected checksum Type: %s, actual "
                          "checksum Type: %s",
                          lh_checksum_name(options->checksum), lh_checksum_name(kind));
    options->checksum = kind;
    return LH_OK;
}

lh_code lh_s3_receive(struct lh_s3 *s3, const struct lh_s3_digests *digests,
                      struct lh_upload *upload, struct lh_error *err)
{
    LH_AUTO(receiver_deinit) struct receiver receiver = {.s3 = s3, .upload = upload};
    return receive(&receiver, digests, err);
}

/* ---- the commit ---- */

/* What a request keeps while its commit is under way. */
struct pending {
    struct lh_s3 s3;
    struct lh_upload *upload;
    lh_s3_stored stored;
};

static lh_code answer(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    (void)x;
    struct pending *pending = state;
    struct lh_store_info info = {0};
    bool created = false;
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = lh_upload_commit_end(pending->upload, &info, &created, &failure);
    lh_upload_free(pending->upload);
    code = pending->stored(&pending->s3, code, &info, created, &failure);
    return lh_s3_end(&pending->s3, code, &failure, err);
}

static void resume(void *ctx)
{
    lh_http_resume(ctx);
}

/* Takes the upload over when it succeeds. */
static lh_code commit_later(struct lh_s3 *s3, struct lh_upload *upload, lh_s3_stored stored,
                            struct lh_error *err)
{
    struct pending *pending = lh_arena_alloc(lh_http_arena(s3->x), sizeof(*pending));
    if (!pending)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a put");
    LH_TRY(lh_upload_prepare(upload, err));
    *pending = (struct pending){*s3, upload, stored};
    lh_http_defer(s3->x, answer, pending);
    lh_upload_commit_begin(upload, resume, s3->x);
    return LH_OK;
}

static lh_code commit_now(struct lh_s3 *s3, struct lh_upload *upload, lh_s3_stored stored,
                          struct lh_error *err)
{
    struct lh_store_info info = {0};
    bool created = false;
    lh_code code = lh_upload_commit(upload, &info, &created, err);
    lh_upload_free(upload);
    return stored(s3, code, &info, created, err);
}

static lh_code begin_upload(struct lh_s3 *s3, struct lh_upload_options *options,
                            struct lh_upload **ret_upload, struct lh_error *err)
{
    struct lh_s3_digests digests;
    LH_TRY(refuse_unsigned_frames(s3, err));
    LH_TRY(lh_s3_take_digests(s3, &digests, err));
    LH_TRY(choose_checksum(s3, &digests, options, err));
    /* The frames of a stream come on top; the decoded length and the upload bound what they hold.
     */
    int64_t bytes_max = is_aws_chunked(s3) ? INT64_MAX : s3->storaged->object_bytes_max;
    LH_TRY(lh_http_body_limit(s3->x, bytes_max, err));
    options->md5 = digests.has_md5 ? digests.md5 : NULL;
    struct lh_upload *upload;
    LH_TRY(lh_upload_begin(s3->storaged->store, options, &upload, err));
    lh_code code = lh_s3_receive(s3, &digests, upload, err);
    if (code == LH_OK)
        *ret_upload = upload;
    else
        lh_upload_free(upload);
    return code;
}

lh_code lh_s3_store_body(struct lh_s3 *s3, struct lh_upload_options *options, lh_s3_stored stored,
                         struct lh_error *err)
{
    struct lh_upload *upload = NULL;
    lh_code code = begin_upload(s3, options, &upload, err);
    if (code != LH_OK)
        return stored(s3, code, NULL, false, err);
    /* A file that is not wanted in the end is removed, which may take its time. */
    if (!lh_store_is_inline(s3->storaged->store, options->length))
        return commit_now(s3, upload, stored, err);
    code = commit_later(s3, upload, stored, err);
    if (code == LH_OK)
        return LH_OK;
    lh_upload_free(upload);
    return stored(s3, code, NULL, false, err);
}

/* ---- a small body as a whole ---- */

static void cleanup_decoder(struct lh_aws_chunked **decoder)
{
    lh_aws_chunked_free(*decoder);
}

/* Takes the frames off into the arena. */
static lh_code unwrap(struct lh_s3 *s3, struct lh_s3_digests *digests, lh_str *body,
                      struct lh_error *err)
{
    LH_AUTO(cleanup_decoder) struct lh_aws_chunked *decoder = NULL;
    LH_TRY(new_decoder(s3, &decoder, err));
    char *out = lh_arena_alloc(lh_http_arena(s3->x), body->len + 1);
    if (!out)
        return lh_fail(err, LH_TOO_LARGE, "the body is too large");
    size_t len = 0;
    LH_TRY(decode(s3, decoder, body->ptr, body->len, out, &len, err));
    lh_code code = lh_aws_chunked_finish(decoder, err);
    if (code != LH_OK)
        return decoding_failed(s3, code, err);
    if (digests->trailer != LH_CHECKSUM_NONE || lh_aws_chunked_trailer_count(decoder) > 0)
        LH_TRY(take_trailers(s3, decoder, digests->trailer, &digests->checksum, err));
    *body = lh_str_of(out, len);
    return LH_OK;
}

static lh_code check_checksum(struct lh_s3 *s3, const struct lh_checksum *want, lh_str body,
                              struct lh_error *err)
{
    struct lh_checksum found;
    if (want->kind == LH_CHECKSUM_NONE)
        return LH_OK;
    struct lh_checksummer *sum = lh_checksummer_new(want->kind);
    lh_checksummer_update(sum, body.ptr, body.len);
    lh_checksummer_final(sum, &found);
    lh_checksummer_free(sum);
    if (memcmp(found.bytes, want->bytes, lh_checksum_size(want->kind)) == 0)
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_BAD_DIGEST, "the body's %s is another one than was sent",
                      lh_checksum_name(want->kind));
}

static lh_code check_md5(struct lh_s3 *s3, const struct lh_s3_digests *digests, lh_str body,
                         struct lh_error *err)
{
    uint8_t md5[LH_MD5_SIZE];
    if (!digests->has_md5)
        return LH_OK;
    lh_md5(body.ptr, body.len, md5);
    if (memcmp(md5, digests->md5, sizeof(md5)) == 0)
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_BAD_DIGEST,
                      "The Content-MD5 you specified did not match what we received.");
}

static lh_code check_signed(struct lh_s3 *s3, lh_str body, struct lh_error *err)
{
    LH_AUTO_DIGEST struct lh_digest *sha256 = NULL;
    if (s3->body_mode != LH_S3_BODY_SIGNED)
        return LH_OK;
    sha256 = lh_digest_new(LH_DIGEST_SHA256);
    lh_digest_update(sha256, body.ptr, body.len);
    return check_sha256(s3, sha256, err);
}

lh_code lh_s3_body_all(struct lh_s3 *s3, size_t bytes_max, lh_str *ret_body, struct lh_error *err)
{
    struct lh_s3_digests digests;
    lh_str body;
    LH_TRY(lh_s3_take_digests(s3, &digests, err));
    LH_TRY(refuse_unsigned_frames(s3, err));
    LH_TRY(lh_http_body_all(s3->x, bytes_max, &body, err));
    if (is_aws_chunked(s3))
        LH_TRY(unwrap(s3, &digests, &body, err));
    LH_TRY(check_md5(s3, &digests, body, err));
    LH_TRY(check_signed(s3, body, err));
    LH_TRY(check_checksum(s3, &digests.checksum, body, err));
    *ret_body = body;
    return LH_OK;
}
