/*
 * GetObject and HeadObject: conditions, ranges, parts, what the answer's headers say.
 */
#include "storaged/api_read.h"
#include "storaged/s3_object.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- response-*: headers of the answer chosen by the request ---- */

static const struct {
    const char *parameter;
    const char *header; /* as it is kept with the object */
} overrides[] = {
    {"response-cache-control", "cache-control"},
    {"response-content-disposition", "content-disposition"},
    {"response-content-encoding", "content-encoding"},
    {"response-content-language", "content-language"},
    {"response-expires", "expires"},
    {"response-content-type", "content-type"},
};

struct choice {
    lh_str values[LH_COUNT(overrides)]; /* LH_STR_NONE = as kept */
};

/* A stranger must not make our answers say what he likes (Amazon S3 API Reference, GetObject,
 * "Overriding response header values through the request"). */
static lh_code take_overrides(struct lh_s3 *s3, struct choice *choice, struct lh_error *err)
{
    for (size_t i = 0; i < LH_COUNT(overrides); i++) {
        lh_str *value = &choice->values[i];
        if (!lh_http_query(s3->x, overrides[i].parameter, value))
            continue;
        if (s3->who.anonymous)
            return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                              "Request specific response headers cannot be used for anonymous GET "
                              "requests.");
        for (size_t k = 0; k < value->len; k++)
            if ((unsigned char)value->ptr[k] < ' ' || value->ptr[k] == 0x7f)
                return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "%s holds a control character",
                                  overrides[i].parameter);
    }
    return LH_OK;
}

static bool is_overridden(const void *ctx, lh_str name)
{
    const struct choice *choice = ctx;
    for (size_t i = 0; i < LH_COUNT(overrides); i++)
        if (choice->values[i].ptr && lh_str_is(name, overrides[i].header))
            return true;
    return false;
}

/* Sets what the choice says; returns the content type, which the answer's start takes. */
static const char *set_overrides(struct lh_s3 *s3, const struct choice *choice,
                                 const struct lh_store_info *info)
{
    const char *type = info->content_type;
    for (size_t i = 0; i < LH_COUNT(overrides); i++) {
        lh_str value = choice->values[i];
        if (!value.ptr)
            continue;
        if (strcmp(overrides[i].header, "content-type") == 0)
            type = value.ptr; /* decoded parameters are terminated */
        else
            lh_http_set_header(s3->x, overrides[i].header, value);
    }
    return type;
}

/* ---- which bytes ---- */

/* Parts are numbered as they were uploaded, in ascending order but perhaps with gaps. */
static lh_code find_part(const struct lh_object *object, uint32_t number,
                         struct lh_object_part *ret_part, struct lh_error *err)
{
    uint32_t low = 0;
    uint32_t high = lh_object_info(object)->part_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        LH_TRY(lh_object_part(object, middle, ret_part, err));
        if (ret_part->number == number)
            return LH_OK;
        if (ret_part->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return lh_fail(err, LH_NOT_FOUND, "the object has no part %u", number);
}

struct reading {
    struct lh_read_run run;
    bool whole; /* no range was asked for, so the object's checksum is that of the answer */
    bool is_part;
    struct lh_checksum part_checksum;
};

static lh_code choose_part(struct lh_s3 *s3, const struct lh_object *object,
                           struct reading *reading, struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    uint32_t number = 0;
    LH_TRY(lh_s3_take_part_number(s3, &number, err));
    if (lh_http_header(s3->x, "Range").ptr)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "Cannot specify both Range header and partNumber query parameter");
    struct lh_object_part part = {.size = info->size, .checksum = info->checksum};
    lh_code code = LH_OK;
    if (info->part_count > 0)
        code = find_part(object, number, &part, err);
    if (code == LH_NOT_FOUND || (info->part_count == 0 && number != 1))
        return lh_s3_fail(s3, err, LH_S3_INVALID_PART,
                          "The requested partnumber is not satisfiable");
    LH_TRY(code);
    reading->is_part = true;
    reading->part_checksum = part.checksum;
    reading->run = (struct lh_read_run){
        .status = part.size > 0 ? 206 : 200, .offset = part.offset, .len = part.size};
    if (part.size > 0)
        lh_read_set_range(s3->x, info, &reading->run);
    return LH_OK;
}

static lh_code choose_bytes(struct lh_s3 *s3, const struct lh_object *object,
                            struct reading *ret_reading, struct lh_error *err)
{
    lh_str ignored;
    struct reading reading = {.whole = false};
    if (lh_http_query(s3->x, "partNumber", &ignored)) {
        LH_TRY(choose_part(s3, object, &reading, err));
    } else {
        LH_TRY(lh_read_choose(s3->x, lh_object_info(object), &reading.run, err));
        reading.whole = reading.run.status == 200;
    }
    *ret_reading = reading;
    return LH_OK;
}

/* ---- the answer ---- */

static void set_count(struct lh_s3 *s3, const char *header, size_t count)
{
    char text[24];
    snprintf(text, sizeof(text), "%zu", count);
    if (count > 0)
        lh_http_set_header(s3->x, header, lh_str_from(text));
}

/* Never the checksum of the whole with a part of it: clients verify what they get. */
static void set_checksum(struct lh_s3 *s3, const struct lh_store_info *info,
                         const struct reading *reading)
{
    if (!lh_str_eq_nocase(lh_http_header(s3->x, "x-amz-checksum-mode"), LH_STR("ENABLED")))
        return;
    if (reading->whole) {
        lh_s3_set_object_checksum(s3, info);
    } else if (reading->is_part && reading->part_checksum.kind != LH_CHECKSUM_NONE) {
        lh_s3_set_checksum(s3, &reading->part_checksum, 0);
        lh_http_set_header(s3->x, "x-amz-checksum-type",
                           lh_str_from(lh_s3_checksum_type(info->checksum_composite)));
    }
}

static lh_code reply_object(struct lh_s3 *s3, struct lh_object *object, const struct choice *choice,
                            struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    struct reading reading;
    bool unchanged = false;
    LH_TRY(lh_read_judge_request(s3->x, info, &unchanged, err));
    if (unchanged)
        return lh_read_reply_unchanged(s3->x, info, err);
    LH_TRY(choose_bytes(s3, object, &reading, err));
    LH_TRY(lh_read_first(s3->x, object, &reading.run, err));
    lh_read_set_headers(s3->x, object, is_overridden, choice);
    const char *content_type = set_overrides(s3, choice, info);
    set_checksum(s3, info, &reading);
    set_count(s3, "x-amz-tagging-count", lh_object_tags(object).count);
    if (reading.is_part)
        set_count(s3, "x-amz-mp-parts-count", info->part_count);
    return lh_read_send(s3->x, object, content_type, &reading.run, err);
}

lh_code lh_s3_get_object(struct lh_s3 *s3, struct lh_error *err)
{
    struct choice choice = {0};
    struct lh_object *object;
    LH_TRY(take_overrides(s3, &choice, err));
    LH_TRY(lh_s3_open(s3, &object, err));
    lh_code code = reply_object(s3, object, &choice, err);
    lh_object_close(object);
    return code;
}
