/*
 * Reading objects at both doors: conditions, ranges, the stream of checked blocks.
 */
#include "storaged/api_read.h"

#include <inttypes.h>
#include <stdio.h>

enum { ETAG_QUOTED = LH_STORE_ETAG_SIZE + 2, RANGE_TEXT = 96 };

/* ---- conditions ---- */

/* Whether the object is younger than the date of a header; false when that is absent or no date. */
static bool modified_since(const struct lh_store_info *info, lh_str date, bool *ret_is_date)
{
    lh_time_ms limit = 0;
    *ret_is_date = date.ptr && lh_parse_http_date(date, &limit);
    return *ret_is_date && info->modified_ms / 1000 > limit / 1000;
}

enum lh_verdict lh_read_judge(const struct lh_read_conditions *conditions,
                              const struct lh_store_info *info)
{
    lh_str etag = lh_str_from(info->etag);
    bool is_date = false;
    if (conditions->if_match.ptr) {
        if (!lh_http_etag_matches(conditions->if_match, etag, false))
            return LH_VERDICT_FAILED;
    } else if (modified_since(info, conditions->if_unmodified_since, &is_date)) {
        return LH_VERDICT_FAILED;
    }
    if (conditions->if_none_match.ptr)
        return lh_http_etag_matches(conditions->if_none_match, etag, true) ? LH_VERDICT_UNCHANGED
                                                                           : LH_VERDICT_READ;
    bool younger = modified_since(info, conditions->if_modified_since, &is_date);
    return is_date && !younger ? LH_VERDICT_UNCHANGED : LH_VERDICT_READ;
}

lh_code lh_read_judge_request(const struct lh_http_exchange *x, const struct lh_store_info *info,
                              bool *ret_unchanged, struct lh_error *err)
{
    const struct lh_read_conditions conditions = {
        .if_match = lh_http_header(x, "If-Match"),
        .if_none_match = lh_http_header(x, "If-None-Match"),
        .if_modified_since = lh_http_header(x, "If-Modified-Since"),
        .if_unmodified_since = lh_http_header(x, "If-Unmodified-Since"),
    };
    enum lh_verdict verdict = lh_read_judge(&conditions, info);
    if (verdict == LH_VERDICT_FAILED)
        return lh_fail(err, LH_PRECONDITION, "the object has another etag or was modified since");
    *ret_unchanged = verdict == LH_VERDICT_UNCHANGED;
    return LH_OK;
}

bool lh_read_range_is_meant(const struct lh_http_exchange *x, const struct lh_store_info *info)
{
    lh_str if_range = lh_http_header(x, "If-Range");
    if (!if_range.ptr)
        return true;
    lh_time_ms date = 0;
    if (lh_parse_http_date(if_range, &date))
        return info->modified_ms / 1000 == date / 1000;
    return !lh_str_starts(if_range, "W/") &&
           lh_http_etag_matches(if_range, lh_str_from(info->etag), false);
}

/* ---- headers ---- */

static void set_text(struct lh_http_exchange *x, const char *name, const char *text)
{
    lh_http_set_header(x, name, lh_str_from(text));
}

void lh_read_set_validators(struct lh_http_exchange *x, const struct lh_store_info *info)
{
    char etag[ETAG_QUOTED];
    char date[LH_HTTP_DATE_SIZE];
    snprintf(etag, sizeof(etag), "\"%s\"", info->etag);
    lh_format_http_date(info->modified_ms, date);
    set_text(x, "ETag", etag);
    set_text(x, "Last-Modified", date);
    set_text(x, "Accept-Ranges", "bytes");
}

/* botocore writes headers in UTF-8, but reads them as ISO-8859-1. What fits into that is given to
 * it so, and it reads what it wrote; all others get the bytes that were sent. */
static bool reads_latin1(const struct lh_http_exchange *x)
{
    lh_str agent = lh_http_header(x, "User-Agent");
    return lh_str_starts_nocase(agent, LH_STR("boto")) ||
           lh_str_starts_nocase(agent, LH_STR("aws-cli/"));
}

/* In ISO-8859-1 when it is UTF-8 that fits; else as it is. */
static lh_str to_latin1(struct lh_arena *arena, lh_str text)
{
    char *out = lh_utf8_valid(text) ? lh_arena_alloc(arena, text.len + 1) : NULL;
    size_t len = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte > 0xc3)
            return text;
        if (byte >= 0xc2)
            byte = (unsigned char)(byte << 6 | ((unsigned char)text.ptr[++i] & 0x3f));
        out[len++] = (char)byte;
    }
    return out ? lh_str_of(out, len) : text;
}

void lh_read_set_headers(struct lh_http_exchange *x, const struct lh_object *object,
                         bool (*skip)(const void *ctx, lh_str name), const void *ctx)
{
    struct lh_attributes headers = lh_object_headers(object);
    bool latin1 = headers.count > 0 && reads_latin1(x);
    for (size_t i = 0; i < headers.count; i++) {
        const struct lh_attribute *header = &headers.list[i];
        const char *name = lh_arena_strndup(lh_http_arena(x), header->name.ptr, header->name.len);
        if (name && (!skip || !skip(ctx, header->name)))
            lh_http_set_header(x, name,
                               latin1 ? to_latin1(lh_http_arena(x), header->value) : header->value);
    }
}

/* ---- ranges ---- */

void lh_read_set_range(struct lh_http_exchange *x, const struct lh_store_info *info,
                       const struct lh_read_run *run)
{
    char text[RANGE_TEXT];
    snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, run->offset,
             run->offset + run->len - 1, info->size);
    set_text(x, "Content-Range", text);
}

lh_code lh_read_choose(struct lh_http_exchange *x, const struct lh_store_info *info,
                       struct lh_read_run *ret_run, struct lh_error *err)
{
    struct lh_read_run run = {.status = 200, .len = info->size};
    lh_str range = lh_http_header(x, "Range");
    enum lh_range_result result = LH_RANGE_WHOLE;
    if (range.ptr && lh_read_range_is_meant(x, info))
        result = lh_http_range(range, info->size, &run.offset, &run.len);
    if (result == LH_RANGE_UNSATISFIABLE) {
        char text[RANGE_TEXT];
        snprintf(text, sizeof(text), "bytes */%" PRIu64, info->size);
        set_text(x, "Content-Range", text);
        return lh_fail(err, LH_RANGE, "the object has %" PRIu64 " bytes", info->size);
    }
    if (result == LH_RANGE_PART) {
        run.status = 206;
        lh_read_set_range(x, info, &run);
    }
    *ret_run = run;
    return LH_OK;
}

/* ---- the answer ---- */

lh_code lh_read_first(const struct lh_http_exchange *x, struct lh_object *object,
                      struct lh_read_run *run, struct lh_error *err)
{
    if (lh_http_method(x) == LH_HTTP_HEAD || run->len == 0)
        return LH_OK;
    return lh_object_read(object, run->offset, &run->first, &run->first_len, err);
}

static lh_code send_body(struct lh_http_exchange *x, struct lh_object *object,
                         const struct lh_read_run *run, struct lh_error *err)
{
    const void *bytes = run->first;
    size_t len = run->first_len;
    uint64_t at = run->offset;
    uint64_t end = run->offset + run->len;
    while (at < end) {
        if (len > end - at)
            len = (size_t)(end - at);
        LH_TRY(lh_http_write(x, bytes, len, err));
        at += len;
        if (at < end)
            LH_TRY(lh_object_read(object, at, &bytes, &len, err));
    }
    return LH_OK;
}

lh_code lh_read_send(struct lh_http_exchange *x, struct lh_object *object, const char *content_type,
                     const struct lh_read_run *run, struct lh_error *err)
{
    lh_read_set_validators(x, lh_object_info(object));
    LH_TRY(lh_http_start(x, run->status, content_type, (int64_t)run->len, err));
    if (run->first)
        LH_TRY(send_body(x, object, run, err));
    return lh_http_finish(x, err);
}

lh_code lh_read_reply_unchanged(struct lh_http_exchange *x, const struct lh_store_info *info,
                                struct lh_error *err)
{
    lh_read_set_validators(x, info);
    return lh_http_reply_empty(x, 304, err);
}
