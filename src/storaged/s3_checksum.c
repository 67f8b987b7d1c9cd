/*
 * Checksums in headers and documents (Amazon S3 User Guide, "Checking object integrity"): what a
 * request says that its body has, and what an answer says that an object has. Contradictions are
 * refused: of two claims one is wrong.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storaged/s3_object.h"

#define HEADER_PREFIX "x-amz-checksum-"

/* ---- words ---- */

static const struct {
    const char *header;
    const char *element;
} words[] = {
    [LH_CHECKSUM_CRC32] = {HEADER_PREFIX "crc32", "ChecksumCRC32"},
    [LH_CHECKSUM_CRC32C] = {HEADER_PREFIX "crc32c", "ChecksumCRC32C"},
    [LH_CHECKSUM_CRC64NVME] = {HEADER_PREFIX "crc64nvme", "ChecksumCRC64NVME"},
    [LH_CHECKSUM_SHA1] = {HEADER_PREFIX "sha1", "ChecksumSHA1"},
    [LH_CHECKSUM_SHA256] = {HEADER_PREFIX "sha256", "ChecksumSHA256"},
};

enum lh_checksum_kind lh_s3_checksum_of_header(lh_str name)
{
    if (!lh_str_starts_nocase(name, LH_STR(HEADER_PREFIX)))
        return LH_CHECKSUM_NONE;
    return lh_checksum_parse(lh_str_skip(name, sizeof(HEADER_PREFIX) - 1));
}

/* Of the headers that begin as those of checksums do, these speak of something else. */
static bool is_about_checksums(lh_str name)
{
    return lh_str_eq_nocase(name, LH_STR(HEADER_PREFIX "algorithm")) ||
           lh_str_eq_nocase(name, LH_STR(HEADER_PREFIX "type")) ||
           lh_str_eq_nocase(name, LH_STR(HEADER_PREFIX "mode"));
}

enum lh_checksum_kind lh_s3_digests_kind(const struct lh_s3_digests *digests)
{
    if (digests->trailer != LH_CHECKSUM_NONE)
        return digests->trailer;
    return digests->checksum.kind;
}

const char *lh_s3_checksum_type(bool composite)
{
    return composite ? "COMPOSITE" : "FULL_OBJECT";
}

/* ---- what a request says ---- */

static lh_code take_md5(struct lh_s3 *s3, struct lh_s3_digests *digests, struct lh_error *err)
{
    size_t len = 0;
    lh_str text = lh_http_header(s3->x, "Content-MD5");
    if (!text.ptr)
        return LH_OK;
    if (!lh_base64_decode(text, digests->md5, sizeof(digests->md5), &len) ||
        len != sizeof(digests->md5))
        return lh_s3_fail(s3, err, LH_S3_INVALID_DIGEST,
                          "Content-MD5 is not the base64 of %zu bytes", sizeof(digests->md5));
    digests->has_md5 = true;
    return LH_OK;
}

/* A value that is no checksum of its kind is BadDigest, as the test suite of the field has it. */
static lh_code take_checksum(struct lh_s3 *s3, const struct lh_http_header *header,
                             struct lh_checksum *checksum, struct lh_error *err)
{
    enum lh_checksum_kind kind = lh_s3_checksum_of_header(header->name);
    if (kind == LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_NOT_IMPLEMENTED, "%.*s cannot be verified",
                          LH_FMT(header->name));
    if (checksum->kind != LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "Expecting a single x-amz-checksum- header");
    if (!lh_checksum_from_text(kind, header->value, checksum))
        return lh_s3_fail(s3, err, LH_S3_BAD_DIGEST, "%.*s is not the base64 of %zu bytes",
                          LH_FMT(header->name), lh_checksum_size(kind));
    return LH_OK;
}

static lh_code take_checksums(struct lh_s3 *s3, struct lh_checksum *checksum, struct lh_error *err)
{
    for (size_t i = 0; i < lh_http_header_count(s3->x); i++) {
        struct lh_http_header header = lh_http_header_at(s3->x, i);
        if (lh_str_starts_nocase(header.name, LH_STR(HEADER_PREFIX)) &&
            !is_about_checksums(header.name))
            LH_TRY(take_checksum(s3, &header, checksum, err));
    }
    return LH_OK;
}

lh_code lh_s3_take_algorithm(struct lh_s3 *s3, const char *header, enum lh_checksum_kind *ret,
                             struct lh_error *err)
{
    lh_str word = lh_http_header(s3->x, header);
    enum lh_checksum_kind kind = lh_checksum_parse(word);
    if (word.ptr && kind == LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST, "%s is not valid: %.*s", header,
                          LH_FMT(word));
    *ret = kind;
    return LH_OK;
}

/* x-amz-trailer: what will stand behind the body. Only a checksum can. */
static lh_code take_trailer(struct lh_s3 *s3, struct lh_s3_digests *digests, struct lh_error *err)
{
    lh_str name = lh_str_trim(lh_http_header(s3->x, "x-amz-trailer"));
    if (name.len == 0)
        return LH_OK;
    digests->trailer = lh_s3_checksum_of_header(name);
    if (digests->trailer == LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "The value specified in the x-amz-trailer header is not supported: %.*s",
                          LH_FMT(name));
    if (s3->body_mode != LH_S3_BODY_CHUNKED_TRAILER && s3->body_mode != LH_S3_BODY_UNSIGNED_TRAILER)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "x-amz-trailer needs a streaming x-amz-content-sha256 with a trailer");
    return LH_OK;
}

static lh_code check_agreement(struct lh_s3 *s3, const struct lh_s3_digests *digests,
                               struct lh_error *err)
{
    enum lh_checksum_kind kind = lh_s3_digests_kind(digests);
    if (digests->trailer != LH_CHECKSUM_NONE && digests->checksum.kind != LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "Expecting a single x-amz-checksum- header, or a trailer");
    if (digests->algorithm != LH_CHECKSUM_NONE && digests->algorithm != kind)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                          "x-amz-checksum-* or x-amz-trailer headers were found");
    return LH_OK;
}

lh_code lh_s3_take_digests(struct lh_s3 *s3, struct lh_s3_digests *ret, struct lh_error *err)
{
    struct lh_s3_digests digests = {0};
    LH_TRY(take_md5(s3, &digests, err));
    LH_TRY(lh_s3_take_algorithm(s3, "x-amz-sdk-checksum-algorithm", &digests.algorithm, err));
    if (!s3->checksum_of_object)
        LH_TRY(take_checksums(s3, &digests.checksum, err));
    LH_TRY(take_trailer(s3, &digests, err));
    LH_TRY(check_agreement(s3, &digests, err));
    *ret = digests;
    return LH_OK;
}

/* ---- of a whole object ---- */

lh_code lh_s3_take_checksum_type(struct lh_s3 *s3, enum lh_checksum_kind kind, bool *ret_given,
                                 bool *ret_composite, struct lh_error *err)
{
    lh_str word = lh_http_header(s3->x, HEADER_PREFIX "type");
    bool composite = lh_str_is(word, "COMPOSITE");
    bool digest = kind == LH_CHECKSUM_SHA1 || kind == LH_CHECKSUM_SHA256;
    if (word.ptr && !composite && !lh_str_is(word, "FULL_OBJECT"))
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST, HEADER_PREFIX "type is not valid: %.*s",
                          LH_FMT(word));
    if (word.ptr && kind == LH_CHECKSUM_NONE)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          HEADER_PREFIX "type needs " HEADER_PREFIX "algorithm");
    if (word.ptr && (composite ? kind == LH_CHECKSUM_CRC64NVME : digest))
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "The %.*s checksum type cannot be used with the %s checksum algorithm",
                          LH_FMT(word), lh_checksum_name(kind));
    *ret_given = word.ptr != NULL;
    *ret_composite = composite;
    return LH_OK;
}

lh_code lh_s3_take_object_checksum(struct lh_s3 *s3, size_t part_count, struct lh_checksum *ret,
                                   struct lh_error *err)
{
    *ret = (struct lh_checksum){.kind = LH_CHECKSUM_NONE};
    for (size_t i = 0; i < lh_http_header_count(s3->x); i++) {
        struct lh_http_header header = lh_http_header_at(s3->x, i);
        const char *dash =
            header.value.len ? memrchr(header.value.ptr, '-', header.value.len) : NULL;
        uint64_t parts = part_count;
        if (lh_s3_checksum_of_header(header.name) == LH_CHECKSUM_NONE)
            continue;
        if (dash) {
            size_t at = (size_t)(dash - header.value.ptr);
            if (!lh_str_to_u64(lh_str_skip(header.value, at + 1), &parts) || parts != part_count)
                return lh_s3_fail(s3, err, LH_S3_BAD_DIGEST, "%.*s is not that of %zu parts",
                                  LH_FMT(header.name), part_count);
            header.value.len = at;
        }
        LH_TRY(take_checksum(s3, &header, ret, err));
    }
    return LH_OK;
}

/* ---- what an answer says ---- */

uint32_t lh_s3_composite_parts(const struct lh_store_info *info)
{
    return info->checksum_composite ? info->part_count : 0;
}

void lh_s3_checksum_text(const struct lh_checksum *sum, uint32_t part_count,
                         char out[LH_S3_CHECKSUM_TEXT])
{
    char text[LH_CHECKSUM_TEXT];
    lh_checksum_text(sum, text);
    if (part_count > 0)
        snprintf(out, LH_S3_CHECKSUM_TEXT, "%s-%u", text, part_count);
    else
        snprintf(out, LH_S3_CHECKSUM_TEXT, "%s", text);
}

void lh_s3_xml_checksum(struct lh_xml *xml, const struct lh_checksum *sum, uint32_t part_count)
{
    char text[LH_S3_CHECKSUM_TEXT];
    if (sum->kind == LH_CHECKSUM_NONE)
        return;
    lh_s3_checksum_text(sum, part_count, text);
    lh_xml_cstr(xml, words[sum->kind].element, text);
}

void lh_s3_set_checksum(struct lh_s3 *s3, const struct lh_checksum *sum, uint32_t part_count)
{
    char text[LH_S3_CHECKSUM_TEXT];
    if (sum->kind == LH_CHECKSUM_NONE)
        return;
    lh_s3_checksum_text(sum, part_count, text);
    lh_http_set_header(s3->x, words[sum->kind].header, lh_str_from(text));
}

void lh_s3_set_object_checksum(struct lh_s3 *s3, const struct lh_store_info *info)
{
    if (info->checksum.kind == LH_CHECKSUM_NONE)
        return;
    lh_s3_set_checksum(s3, &info->checksum, lh_s3_composite_parts(info));
    lh_http_set_header(s3->x, HEADER_PREFIX "type",
                       lh_str_from(lh_s3_checksum_type(info->checksum_composite)));
}
