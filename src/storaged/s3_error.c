/*
 * Failures as S3 tells them: the table of words, and the answer in XML.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "storaged/s3.h"

enum { ERROR_BYTES_MAX = 96 << 10 };

struct word {
    int status;
    const char *text;
    const char *message;
};

static const struct word words[] = {
    [LH_S3_WORD_NONE] = {500, "InternalError", ""},
#define LH_S3_ERROR(name, status, word, message) [LH_S3_##name] = {status, word, message},
#include "storaged/s3_error.def"
#undef LH_S3_ERROR
};

/* ---- words and codes ---- */

static lh_code code_from_word(enum lh_s3_word word)
{
    if (word == LH_S3_BAD_DIGEST || word == LH_S3_CONTENT_SHA256_MISMATCH)
        return LH_BAD_DIGEST;
    switch (words[word].status) {
    case 403:
        return LH_FORBIDDEN;
    case 404:
        return LH_NOT_FOUND;
    case 405:
        return LH_METHOD_NOT_ALLOWED;
    case 409:
        return LH_CONFLICT;
    case 412:
        return LH_PRECONDITION;
    case 416:
        return LH_RANGE;
    case 500:
        return LH_INTERNAL;
    case 501:
        return LH_UNSUPPORTED;
    case 503:
        return LH_BUSY;
    case 507:
        return LH_STORAGE_FULL;
    default:
        return LH_INVALID;
    }
}

/* Deleted by somebody else while this request was under way. */
static bool is_bucket_gone(const struct lh_s3 *s3)
{
    struct lh_bucket now;
    struct lh_error ignored = LH_ERROR_INIT;
    return s3->bucket.id != 0 &&
           (lh_bucket_find(s3->storaged->store, s3->bucket_name, &now, &ignored) != LH_OK ||
            now.id != s3->bucket.id);
}

enum lh_s3_word lh_s3_word_of(const struct lh_s3 *s3, lh_code code)
{
    static const struct {
        lh_code code;
        enum lh_s3_word word;
    } table[] = {
        {LH_INVALID, LH_S3_INVALID_ARGUMENT},
        {LH_INVALID_NAME, LH_S3_INVALID_BUCKET_NAME},
        {LH_INVALID_KEY, LH_S3_INVALID_URI},
        {LH_KEY_TOO_LONG, LH_S3_KEY_TOO_LONG},
        {LH_BAD_DIGEST, LH_S3_BAD_DIGEST},
        {LH_INCOMPLETE_BODY, LH_S3_INCOMPLETE_BODY},
        {LH_INVALID_PART, LH_S3_INVALID_PART},
        {LH_PART_ORDER, LH_S3_INVALID_PART_ORDER},
        {LH_PART_TOO_SMALL, LH_S3_ENTITY_TOO_SMALL},
        {LH_UNAUTHENTICATED, LH_S3_ACCESS_DENIED},
        {LH_FORBIDDEN, LH_S3_ACCESS_DENIED},
        {LH_QUOTA, LH_S3_QUOTA_EXCEEDED},
        {LH_METHOD_NOT_ALLOWED, LH_S3_METHOD_NOT_ALLOWED},
        {LH_REQUEST_TIMEOUT, LH_S3_REQUEST_TIMEOUT},
        {LH_CONFLICT, LH_S3_CONDITIONAL_CONFLICT},
        {LH_EXISTS, LH_S3_BUCKET_ALREADY_EXISTS},
        {LH_NOT_EMPTY, LH_S3_BUCKET_NOT_EMPTY},
        {LH_PRECONDITION, LH_S3_PRECONDITION_FAILED},
        {LH_TOO_LARGE, LH_S3_ENTITY_TOO_LARGE},
        {LH_RANGE, LH_S3_INVALID_RANGE},
        {LH_UNSUPPORTED, LH_S3_NOT_IMPLEMENTED},
        {LH_BUSY, LH_S3_SLOW_DOWN},
        {LH_NO_MEMORY, LH_S3_SLOW_DOWN},
        {LH_NOT_READY, LH_S3_SERVICE_UNAVAILABLE},
        {LH_UNAVAILABLE, LH_S3_SERVICE_UNAVAILABLE},
        {LH_BAD_UPSTREAM, LH_S3_SERVICE_UNAVAILABLE},
        {LH_TIMEOUT, LH_S3_SERVICE_UNAVAILABLE},
        {LH_READ_ONLY, LH_S3_SERVICE_UNAVAILABLE},
        {LH_STORAGE_FULL, LH_S3_STORAGE_FULL},
    };
    if (code == LH_NOT_FOUND)
        return s3->key.len > 0 && !is_bucket_gone(s3) ? LH_S3_NO_SUCH_KEY : LH_S3_NO_SUCH_BUCKET;
    for (size_t i = 0; i < LH_COUNT(table); i++)
        if (table[i].code == code)
            return table[i].word;
    return LH_S3_INTERNAL_ERROR;
}

lh_code lh_s3_fail_call(struct lh_s3 *s3, struct lh_error *err, enum lh_s3_word word,
                        const char *format, ...)
{
    char message[LH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    s3->word = word;
    return lh_fail(err, code_from_word(word), "%s", message);
}

/* ---- the answer ---- */

void lh_s3_xml_word(struct lh_xml *xml, enum lh_s3_word word)
{
    lh_xml_cstr(xml, "Code", words[word].text);
    lh_xml_cstr(xml, "Message", words[word].message);
}

/* What XML cannot hold at all is left out: NUL and other control characters, broken UTF-8. */
static bool fits_xml(lh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')
            return false;
    }
    return text.len > 0 && lh_utf8_valid(text);
}

static void write_error(const struct lh_s3 *s3, const struct word *word,
                        const struct lh_error *failure, struct lh_buf *out)
{
    bool told = lh_code_is_public(failure->code) && fits_xml(lh_str_from(failure->message));
    struct lh_xml xml = {out};
    lh_buf_append_cstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    lh_xml_cstr(&xml, "Code", word->text);
    lh_xml_cstr(&xml, "Message", told ? failure->message : word->message);
    if (fits_xml(s3->bucket_name))
        lh_xml_text(&xml, "BucketName", s3->bucket_name);
    if (fits_xml(s3->key))
        lh_xml_text(&xml, "Key", s3->key);
    lh_xml_text(&xml, "Resource", s3->path);
    lh_xml_text(&xml, "RequestId", lh_http_request_id(s3->x));
    lh_xml_cstr(&xml, "HostId", LH_S3_HOST_ID);
    lh_xml_close(&xml, "Error");
}

lh_code lh_s3_reply_error(struct lh_s3 *s3, const struct lh_error *failure, struct lh_error *err)
{
    enum lh_s3_word which = s3->word;
    if (which == LH_S3_WORD_NONE)
        which = lh_s3_word_of(s3, failure->code);
    const struct word *word = &words[which];
    lh_http_log_failure(s3->x, failure);
    if (word->status == 503)
        lh_http_set_header(s3->x, "Retry-After", LH_STR("1"));
    if (lh_http_method(s3->x) == LH_HTTP_HEAD)
        return lh_http_reply_empty(s3->x, word->status, err);
    struct lh_buf body = LH_BUF_INIT(ERROR_BYTES_MAX);
    write_error(s3, word, failure, &body);
    lh_code code = lh_http_reply_buf(s3->x, word->status, "application/xml", &body, err);
    lh_buf_deinit(&body);
    return code;
}
