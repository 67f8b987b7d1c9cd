/*
 * GetObjectAttributes: what is known of an object and of its parts, without its bytes.
 */
#include <stdio.h>

#include "base/mem.h"
#include "storaged/s3_object.h"

enum { PARTS_MAX = 1000, ANSWER_BYTES_MAX = 512 << 10 };

struct wanted {
    bool etag;
    bool checksum;
    bool parts;
    bool storage_class;
    bool size;
    uint64_t parts_max;
    uint64_t part_after;
};

/* ---- what is asked for ---- */

static bool want(struct wanted *wanted, lh_str name)
{
    const struct {
        const char *name;
        bool *wanted;
    } known[] = {
        {"ETag", &wanted->etag},         {"Checksum", &wanted->checksum},
        {"ObjectParts", &wanted->parts}, {"StorageClass", &wanted->storage_class},
        {"ObjectSize", &wanted->size},
    };
    for (size_t i = 0; i < LH_COUNT(known); i++) {
        if (!lh_str_is(name, known[i].name))
            continue;
        *known[i].wanted = true;
        return true;
    }
    return false;
}

static lh_code take_number(struct lh_s3 *s3, const char *header, uint64_t *value,
                           struct lh_error *err)
{
    lh_str text = lh_http_header(s3->x, header);
    if (!text.ptr || (lh_str_to_u64(text, value) && *value <= INT32_MAX))
        return LH_OK;
    return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT, "%s is not a valid number", header);
}

/* The header may come several times, and each may list several names. */
static lh_code take_wanted(struct lh_s3 *s3, struct wanted *ret, struct lh_error *err)
{
    struct wanted wanted = {.parts_max = PARTS_MAX};
    size_t count = 0;
    for (size_t i = 0; i < lh_http_header_count(s3->x); i++) {
        struct lh_http_header header = lh_http_header_at(s3->x, i);
        lh_str name;
        if (!lh_str_eq_nocase(header.name, LH_STR("x-amz-object-attributes")))
            continue;
        while (lh_str_next(&header.value, ',', &name)) {
            if (!want(&wanted, lh_str_trim(name)))
                return lh_s3_fail(s3, err, LH_S3_INVALID_ARGUMENT,
                                  "Invalid attribute name specified: %.*s", LH_FMT(name));
            count++;
        }
    }
    if (count == 0)
        return lh_s3_fail(s3, err, LH_S3_INVALID_REQUEST,
                          "The x-amz-object-attributes header is required");
    LH_TRY(take_number(s3, "x-amz-max-parts", &wanted.parts_max, err));
    LH_TRY(take_number(s3, "x-amz-part-number-marker", &wanted.part_after, err));
    if (wanted.parts_max > PARTS_MAX)
        wanted.parts_max = PARTS_MAX;
    *ret = wanted;
    return LH_OK;
}

/* ---- the answer ---- */

static void write_part(struct lh_xml *xml, const struct lh_object_part *part)
{
    lh_xml_open(xml, "Part");
    lh_xml_u64(xml, "PartNumber", part->number);
    lh_xml_u64(xml, "Size", part->size);
    lh_s3_xml_checksum(xml, &part->checksum, 0);
    lh_xml_close(xml, "Part");
}

/* The parts behind the marker; what tells of them stands behind them, since it is known then. */
static lh_code write_parts(struct lh_xml *xml, const struct lh_object *object,
                           const struct wanted *wanted, struct lh_error *err)
{
    uint32_t count = lh_object_info(object)->part_count;
    uint64_t written = 0;
    uint64_t last = wanted->part_after;
    bool more = false;
    lh_xml_open(xml, "ObjectParts");
    for (uint32_t i = 0; i < count; i++) {
        struct lh_object_part part;
        LH_TRY(lh_object_part(object, i, &part, err));
        if (part.number <= wanted->part_after)
            continue;
        if (written == wanted->parts_max) {
            more = true;
            break;
        }
        write_part(xml, &part);
        last = part.number;
        written++;
    }
    lh_xml_bool(xml, "IsTruncated", more);
    lh_xml_u64(xml, "MaxParts", wanted->parts_max);
    lh_xml_u64(xml, "PartNumberMarker", wanted->part_after);
    lh_xml_u64(xml, "NextPartNumberMarker", last);
    lh_xml_u64(xml, "PartsCount", count);
    lh_xml_close(xml, "ObjectParts");
    return LH_OK;
}

static lh_code write_attributes(struct lh_xml *xml, const struct lh_object *object,
                                const struct wanted *wanted, struct lh_error *err)
{
    const struct lh_store_info *info = lh_object_info(object);
    lh_xml_begin(xml, "GetObjectAttributesResponse");
    if (wanted->etag)
        lh_xml_cstr(xml, "ETag", info->etag);
    if (wanted->checksum && info->checksum.kind != LH_CHECKSUM_NONE) {
        lh_xml_open(xml, "Checksum");
        lh_s3_xml_checksum(xml, &info->checksum, lh_s3_composite_parts(info));
        lh_xml_cstr(xml, "ChecksumType", lh_s3_checksum_type(info->checksum_composite));
        lh_xml_close(xml, "Checksum");
    }
    if (wanted->parts && info->part_count > 0)
        LH_TRY(write_parts(xml, object, wanted, err));
    if (wanted->storage_class)
        lh_xml_cstr(xml, "StorageClass", "STANDARD");
    if (wanted->size)
        lh_xml_u64(xml, "ObjectSize", info->size);
    lh_xml_close(xml, "GetObjectAttributesResponse");
    return LH_OK;
}

lh_code lh_s3_get_attributes(struct lh_s3 *s3, struct lh_error *err)
{
    struct wanted wanted;
    struct lh_object *object;
    LH_TRY(take_wanted(s3, &wanted, err));
    LH_TRY(lh_s3_open(s3, &object, err));
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_xml xml = {&body};
    char date[LH_HTTP_DATE_SIZE];
    lh_format_http_date(lh_object_info(object)->modified_ms, date);
    lh_code code = write_attributes(&xml, object, &wanted, err);
    lh_object_close(object);
    LH_TRY(code);
    lh_http_set_header(s3->x, "Last-Modified", lh_str_from(date));
    return lh_s3_reply_xml(s3, &body, err);
}
