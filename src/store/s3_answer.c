/*
 * What a store's answers mean: their headers, and the table that makes failures of ours of S3's
 * (Amazon S3 API Reference, "Error responses"), and says which of them may pass.
 */
#include "base/mem.h"
#include "base/xml.h"
#include "store/s3_client_private.h"

#include <stdio.h>
#include <string.h>

enum {
    ERROR_NODES_MAX = 64,
    ERROR_ARENA_BYTES = 2 * LH_S3_ERROR_BYTES_MAX,
    TEXT_BYTES_MAX = 4096, /* a message is cut, but not its buffer */
};

void lh_s3_answer_deinit(struct lh_s3_answer *answer)
{
    lh_buf_deinit(&answer->body);
}

void lh_s3_answer_reset(struct lh_s3_answer *answer)
{
    struct lh_buf body = answer->body;
    unsigned tries = answer->tries;
    lh_buf_reset(&body);
    *answer = (struct lh_s3_answer){.body = body, .tries = tries};
}

/* ---- headers ---- */

bool lh_s3_take_etag(lh_str value, char out[LH_ETAG_SIZE])
{
    if (lh_str_starts(value, "W/"))
        value = lh_str_skip(value, 2);
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = lh_str_of(value.ptr + 1, value.len - 2);
    if (value.len >= LH_ETAG_SIZE)
        return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static void take_text(lh_str value, char *out, size_t size)
{
    if (value.len < size) {
        memcpy(out, value.ptr, value.len);
        out[value.len] = '\0';
    }
}

/* "bytes 5-9/100" (RFC 9110 section 14.4): the first byte and the size of the whole. */
static void take_range(lh_str value, struct lh_s3_answer *answer)
{
    lh_str rest = value, unit, first, last;
    uint64_t first_at = 0, size = 0;
    if (lh_str_next(&rest, ' ', &unit) && lh_str_next(&rest, '-', &first) &&
        lh_str_next(&rest, '/', &last) && lh_str_to_u64(first, &first_at) &&
        lh_str_to_u64(rest, &size)) {
        answer->first = first_at;
        answer->info.size = size;
    }
}

/* x-amz-checksum-crc64nvme: base64; of the whole object unless it ends in "-parts". */
static void take_checksum(lh_str name, lh_str value, struct lh_s3_answer *answer)
{
    lh_str kind = lh_str_skip(name, strlen("x-amz-checksum-"));
    enum lh_checksum_kind parsed = lh_checksum_parse(kind);
    if (parsed != LH_CHECKSUM_NONE)
        (void)lh_checksum_from_text(parsed, value, &answer->checksum);
}

static void take_header(struct lh_s3_answer *answer, lh_str name, lh_str value)
{
    static const char checksum[] = "x-amz-checksum-";
    size_t checksum_len = sizeof(checksum) - 1;
    if (lh_str_eq_nocase(name, LH_STR("ETag")))
        (void)lh_s3_take_etag(value, answer->info.etag);
    else if (lh_str_eq_nocase(name, LH_STR("Content-Length")))
        (void)lh_str_to_u64(value, &answer->length);
    else if (lh_str_eq_nocase(name, LH_STR("Last-Modified")))
        (void)lh_parse_http_date(value, &answer->info.modified_ms);
    else if (lh_str_eq_nocase(name, LH_STR("Content-Type")))
        take_text(value, answer->content_type, sizeof(answer->content_type));
    else if (lh_str_eq_nocase(name, LH_STR("Content-Range")))
        take_range(value, answer);
    else if (lh_str_eq_nocase(name, LH_STR("x-amz-meta-" LH_S3_NONCE)))
        take_text(value, answer->nonce, sizeof(answer->nonce));
    else if (lh_str_eq_nocase(name, LH_STR("x-amz-bucket-region")))
        take_text(value, answer->region, sizeof(answer->region));
    else if (lh_str_eq_nocase(name, LH_STR("x-amz-server-side-encryption")))
        answer->etag_is_md5 = answer->etag_is_md5 && lh_str_is(value, "AES256");
    else if (lh_str_eq_nocase(name, LH_STR("Date")))
        (void)lh_parse_http_date(value, &answer->date_ms);
    else if (name.len > checksum_len &&
             lh_str_eq_nocase(lh_str_of(name.ptr, checksum_len), LH_STR("x-amz-checksum-")))
        take_checksum(name, value, answer);
}

void lh_s3_answer_take(struct lh_s3_answer *answer, int status,
                       const struct lh_http_header *headers, size_t count)
{
    answer->status = status;
    answer->etag_is_md5 = true; /* until something says otherwise */
    for (size_t i = 0; i < count; i++)
        take_header(answer, headers[i].name, headers[i].value);
    uint8_t md5[LH_MD5_SIZE];
    answer->etag_is_md5 =
        answer->etag_is_md5 && lh_unhex(lh_str_from(answer->info.etag), md5, sizeof(md5));
    if (status != 206)
        answer->info.size = answer->length;
}

/* ---- errors ---- */

struct meaning {
    int status;       /* 0 = any */
    const char *code; /* NULL = any */
    lh_code result;
    bool passes;     /* the same request may do better soon */
    bool is_request; /* says something about what was asked, not about bucket, keys or store */
};

/* The first line that fits holds. */
static const struct meaning meanings[] = {
    {0, "NoSuchKey", LH_NOT_FOUND, false, true},
    {0, "NoSuchUpload", LH_BAD_UPSTREAM, false, true}, /* only we know its id */
    {0, "NoSuchBucket", LH_NOT_FOUND, false, false},
    {0, "PreconditionFailed", LH_PRECONDITION, false, true},
    {0, "InvalidRange", LH_RANGE, false, true},
    {0, "KeyTooLongError", LH_KEY_TOO_LONG, false, true},
    {0, "EntityTooLarge", LH_TOO_LARGE, false, true},
    {0, "BucketNotEmpty", LH_NOT_EMPTY, false, true},
    {0, "BucketAlreadyOwnedByYou", LH_EXISTS, false, true},
    {0, "BucketAlreadyExists", LH_EXISTS, false, true},
    {0, "InvalidBucketName", LH_INVALID_NAME, false, true},
    {0, "QuotaExceeded", LH_QUOTA, false, true},
    {0, "ConditionalRequestConflict", LH_BUSY, true, true},
    {0, "OperationAborted", LH_BUSY, true, true},
    {0, "SlowDown", LH_BUSY, true, true},
    {0, "RequestTimeout", LH_BUSY, true, true},
    {0, "RequestTimeTooSkewed", LH_FORBIDDEN, true, false},
    {0, "InternalError", LH_BAD_UPSTREAM, true, true},
    /* We have hashed what we sent: it was spoilt on the way. */
    {0, "XAmzContentSHA256Mismatch", LH_BAD_UPSTREAM, true, true},
    {0, "BadDigest", LH_BAD_UPSTREAM, true, true},
    {400, "InvalidArgument", LH_INVALID, false, true},
    {301, NULL, LH_INVALID_CONFIG, false, false},
    {307, NULL, LH_INVALID_CONFIG, false, false},
    {400, "AuthorizationHeaderMalformed", LH_INVALID_CONFIG, false, false},
    {400, NULL, LH_INVALID, false, false},
    {401, NULL, LH_FORBIDDEN, false, false},
    {403, NULL, LH_FORBIDDEN, false, false},
    {404, NULL, LH_NOT_FOUND, false, true},
    {409, NULL, LH_CONFLICT, false, true},
    {412, NULL, LH_PRECONDITION, false, true},
    {413, NULL, LH_TOO_LARGE, false, true},
    {416, NULL, LH_RANGE, false, true},
    {429, NULL, LH_BUSY, true, true},
    {500, NULL, LH_BAD_UPSTREAM, true, true},
    {501, NULL, LH_UNSUPPORTED, false, true},
    {502, NULL, LH_BAD_UPSTREAM, true, true},
    {503, NULL, LH_BUSY, true, true},
    {504, NULL, LH_BAD_UPSTREAM, true, true},
    {507, NULL, LH_STORAGE_FULL, false, true},
    {0, NULL, LH_BAD_UPSTREAM, false, false},
};

static const struct meaning *find_meaning(const struct lh_s3_answer *answer)
{
    const struct meaning *meaning = meanings;
    while ((meaning->status != 0 && meaning->status != answer->status) ||
           (meaning->code != NULL && strcmp(meaning->code, answer->code) != 0))
        meaning++;
    return meaning;
}

/* <Error><Code/><Message/><Region/></Error>; what is no such document is left alone. */
static bool take_error(struct lh_s3_answer *answer, char *message, size_t message_size)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ERROR_ARENA_BYTES);
    struct lh_error ignored = LH_ERROR_INIT;
    const struct lh_xml_node *root = NULL;
    if (answer->body.len == 0 || answer->body.len > LH_S3_ERROR_BYTES_MAX ||
        lh_xml_parse(lh_buf_str(&answer->body), ERROR_NODES_MAX, &arena, &root, &ignored) != LH_OK)
        return false;
    if (!lh_str_is(root->name, "Error"))
        return false;
    lh_str text = lh_xml_child_text(root, "Message");
    lh_str region = lh_xml_child_text(root, "Region");
    take_text(lh_xml_child_text(root, "Code"), answer->code, sizeof(answer->code));
    if (region.len > 0)
        take_text(region, answer->region, sizeof(answer->region));
    snprintf(message, message_size, "%.*s", LH_FMT(text));
    return true;
}

bool lh_s3_answer_hides_error(struct lh_s3_answer *answer)
{
    char ignored[8];
    return take_error(answer, ignored, sizeof(ignored));
}

static void adopt_clock(struct lh_s3_client *client, const struct lh_s3_answer *answer)
{
    if (strcmp(answer->code, "RequestTimeTooSkewed") == 0 && answer->date_ms != 0)
        client->clock_skew_ms = answer->date_ms - lh_now_ms();
}

/* A 404 that is not in S3's words is of something between the store and us: it must not be taken
 * for "there is no such object". (HEAD has no words.) */
static bool is_about_request(const struct lh_s3_call *call, const struct lh_s3_answer *answer,
                             const struct meaning *meaning)
{
    bool is_wordless = answer->status == 404 && answer->code[0] == '\0';
    return meaning->is_request && (!is_wordless || call->method == LH_HTTP_HEAD);
}

/* "bucket/key: NoSuchKey: ..." for an answer about what was asked; which store has given it is for
 * the failures of the store. */
static lh_code describe(const struct lh_s3_client *client, const struct lh_s3_call *call,
                        const struct lh_s3_answer *answer, const struct meaning *meaning,
                        const char *message, struct lh_error *err)
{
    bool is_request = is_about_request(call, answer, meaning);
    bool is_plain = is_request && !meaning->passes;
    lh_code code = meaning->result;
    if (client->is_backend && !is_request)
        code = LH_BAD_UPSTREAM;
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(TEXT_BYTES_MAX);
    if (!is_plain)
        lh_buf_printf(&text, "%s%s answered %d to %s ", client->scheme, client->host,
                      answer->status, lh_http_method_name(call->method));
    lh_buf_append_str(&text, call->bucket);
    if (call->key.len > 0)
        lh_buf_printf(&text, "/%.*s", LH_FMT(call->key));
    lh_buf_printf(&text, ": %s", answer->code[0] != '\0' ? answer->code : lh_code_title(code));
    if (message[0] != '\0')
        lh_buf_printf(&text, ": %s", message);
    LH_IGNORE(lh_fail(err, code, "%s", text.data), "returned below, perhaps with a hint");
    if (answer->region[0] != '\0' && strcmp(answer->region, client->region) != 0)
        return lh_hint(err, "the bucket is in the region %s, not in %s", answer->region,
                       client->region);
    return code;
}

lh_code lh_s3_fail_from_answer(struct lh_s3_client *client, const struct lh_s3_call *call,
                               struct lh_s3_answer *answer, bool *ret_again, struct lh_error *err)
{
    char message[LH_ERROR_MESSAGE_MAX / 2] = "";
    take_error(answer, message, sizeof(message));
    const struct meaning *meaning = find_meaning(answer);
    adopt_clock(client, answer);
    *ret_again = meaning->passes;
    return describe(client, call, answer, meaning, message, err);
}
