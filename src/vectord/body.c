/*
 * Bodies of requests. What is wrong with an item is remembered until its object has been read,
 * since its id, by which the message names it, may stand behind its vector.
 */
#include "vectord/body.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "vectord/body_private.h"

enum { ARENA_SLACK = 4 << 20 }; /* filters take several times their text */

void lh_body_set_problem(struct lh_body_problem *problem, const char *format, ...)
{
    if (problem->text[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
}

/* ---- vectors ---- */

/* NaN and infinities are no JSON, but many writers of JSON emit them: better named than called a
 * syntax error. */
static bool take_not_finite(struct lh_scan *scan)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"};
    for (size_t i = 0; i < LH_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= len && memcmp(scan->at, words[i], len) == 0) {
            scan->at += len;
            return true;
        }
    }
    return false;
}

/* An element that is not a plain number of a float's range. */
static lh_code odd_element(struct lh_scan *scan, size_t number, struct lh_body_problem *problem,
                           struct lh_error *err)
{
    if (take_not_finite(scan)) {
        lh_body_set_problem(problem, "its component %zu is not finite", number);
        return LH_OK;
    }
    lh_str text;
    LH_TRY(lh_scan_value(scan, &text, err));
    bool is_number = text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9');
    lh_body_set_problem(problem,
                        is_number ? "its component %zu is beyond a 32-bit float"
                                  : "its component %zu is not a number",
                        number);
    return LH_OK;
}

/* An array of numbers into `out` (dimension floats); counts on beyond them. */
static lh_code read_components(struct lh_scan *scan, uint32_t dimension, float *out,
                               struct lh_body_problem *problem, struct lh_error *err)
{
    size_t count = 0;
    scan->at++; /* the bracket, which the caller has seen */
    if (lh_scan_peek(scan) == ']') {
        scan->at++;
    } else {
        for (;; scan->at++) {
            lh_scan_space(scan);
            float value = 0;
            const char *after = lh_scan_f32(scan->at, scan->end, &value);
            if (after != NULL)
                scan->at = after;
            else
                LH_TRY(odd_element(scan, count, problem, err));
            if (count < dimension)
                out[count] = value;
            count++;
            char next = lh_scan_peek(scan);
            if (next == ']')
                break;
            if (next != ',')
                return lh_scan_fail(scan, err, "comma or closing bracket");
        }
        scan->at++;
    }
    if (count != dimension)
        lh_body_set_problem(problem, "its vector has %zu components, the index has %u", count,
                            dimension);
    return LH_OK;
}

lh_code lh_body_read_vector(struct lh_scan *scan, const struct lh_body_limits *limits, float *out,
                            struct lh_body_problem *problem, struct lh_error *err)
{
    if (lh_scan_peek(scan) != '[') {
        lh_str text;
        LH_TRY(lh_scan_value(scan, &text, err));
        lh_body_set_problem(problem, "its vector is not an array of numbers");
        return LH_OK;
    }
    LH_TRY(read_components(scan, limits->dimension, out, problem, err));
    if (problem->text[0] != '\0')
        return LH_OK;
    const char *wrong = lh_vector_prepare(out, limits->dimension, limits->metric);
    if (wrong != NULL)
        lh_body_set_problem(problem, "its vector cannot be used: %s", wrong);
    return LH_OK;
}

/* ---- ids ---- */

const char *lh_item_id_problem(lh_str id)
{
    if (id.len == 0 || id.len > LH_ITEM_ID_MAX)
        return "an id has 1 to 256 bytes";
    if (!lh_utf8_valid(id))
        return "the id is not UTF-8";
    return memchr(id.ptr, '\0', id.len) != NULL ? "the id holds a NUL" : NULL;
}

/* 64 bits, with or without a sign; written as itself, so 1.0, 1e3 and -0 are not among them. */
static bool is_whole_number(lh_str text)
{
    uint64_t without_sign;
    int64_t with_sign;
    return (lh_str_to_u64(text, &without_sign) || lh_str_to_i64(text, &with_sign)) &&
           !lh_str_is(text, "-0");
}

lh_code lh_body_read_id(struct lh_scan *scan, lh_str *ret, struct lh_body_problem *problem,
                        struct lh_error *err)
{
    lh_str id;
    if (lh_scan_peek(scan) != '"') {
        LH_TRY(lh_scan_value(scan, &id, err));
        if (is_whole_number(id))
            *ret = id;
        else
            lh_body_set_problem(problem,
                                "its id is neither a string nor a whole number of 64 bits");
        return LH_OK;
    }
    LH_TRY(lh_scan_string(scan, &id, err));
    const char *wrong = lh_item_id_problem(id);
    if (wrong != NULL)
        lh_body_set_problem(problem, "%s", wrong);
    *ret = id;
    return LH_OK;
}

/* ---- filters ---- */

lh_code lh_body_read_filter(struct lh_scan *scan, struct lh_condition *ret, struct lh_error *err)
{
    lh_str text;
    LH_TRY(lh_scan_value(scan, &text, err));
    char *compact = lh_arena_alloc(scan->arena, text.len);
    if (compact == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the filter is too large");
    struct lh_condition condition = {.text = lh_str_of(compact, lh_scan_compact(text, compact))};
    LH_TRY(lh_filter_parse(condition.text, scan->arena, &condition.filter, err));
    *ret = condition;
    return LH_OK;
}

/* ---- items ---- */

struct item_reader {
    const struct lh_body_limits *limits;
    struct lh_batch *batch;
    struct lh_change change;
    struct lh_body_problem problem;
    struct lh_condition condition; /* of a delete */
};

static lh_code read_item_id(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    return lh_body_read_id(scan, &reader->change.id, &reader->problem, err);
}

static lh_code read_item_vector(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    float *vector =
        lh_arena_alloc(&reader->batch->arena, reader->limits->dimension * sizeof(float));
    if (vector == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the vectors of the body are too large");
    reader->change.vector = vector;
    return lh_body_read_vector(scan, reader->limits, vector, &reader->problem, err);
}

/* Metadata is a document: jansson has the last word on it (members that stand twice, numbers). */
static lh_code read_item_metadata(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    lh_str text;
    LH_TRY(lh_scan_value(scan, &text, err));
    if (lh_str_is(text, "null"))
        return LH_OK;
    LH_AUTO_JSON json_t *root = NULL;
    struct lh_error wrong = LH_ERROR_INIT;
    if (text.ptr[0] != '{') {
        lh_body_set_problem(&reader->problem, "its metadata is not an object");
        return LH_OK;
    }
    if (lh_json_parse(text, &root, &wrong) != LH_OK) {
        lh_body_set_problem(&reader->problem, "its metadata: %s", wrong.message);
        return LH_OK;
    }
    char *compact = lh_arena_alloc(&reader->batch->arena, text.len);
    if (compact == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the metadata of the body is too large");
    size_t len = lh_scan_compact(text, compact);
    if (len > reader->limits->metadata_bytes_max)
        lh_body_set_problem(&reader->problem, "its metadata has %zu bytes, %zu are allowed", len,
                            reader->limits->metadata_bytes_max);
    reader->change.metadata = lh_str_of(compact, len);
    return LH_OK;
}

static lh_code fail_item(const struct item_reader *reader, struct lh_error *err)
{
    lh_str id = lh_id_excerpt(reader->change.id);
    unsigned long long number = reader->limits->first_item + reader->batch->count;
    if (id.len == 0)
        return lh_fail(err, LH_INVALID_VECTOR, "item %llu: %s", number, reader->problem.text);
    return lh_fail(err, LH_INVALID_VECTOR, "item %llu (id '%.*s'): %s", number, LH_FMT(id),
                   reader->problem.text);
}

static lh_code read_item(struct lh_scan *scan, size_t number, void *ctx, struct lh_error *err)
{
    static const struct lh_scan_member members[] = {
        {"id", read_item_id}, {"vector", read_item_vector}, {"metadata", read_item_metadata}};
    struct item_reader *reader = ctx;
    if (number >= reader->limits->items_max)
        return lh_fail(err, LH_TOO_LARGE, "a batch may have at most %zu items",
                       reader->limits->items_max);
    unsigned seen = 0;
    reader->change = (struct lh_change){.kind = LH_CHANGE_UPSERT};
    reader->problem.text[0] = '\0';
    lh_code code = lh_scan_object(scan, members, LH_COUNT(members), "an item", ctx, &seen, err);
    if (code != LH_OK)
        return code == LH_INVALID
                   ? lh_fail_context(err, "item %llu",
                                     (unsigned long long)(reader->limits->first_item + number))
                   : code;
    if (!(seen & 1))
        lh_body_set_problem(&reader->problem, "it has no id");
    if (!(seen & 2))
        lh_body_set_problem(&reader->problem, "it has no vector");
    if (reader->problem.text[0] != '\0')
        return fail_item(reader, err);
    lh_batch_add(reader->batch, &reader->change);
    return LH_OK;
}

static lh_code read_items(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    return lh_scan_array(scan, "array of items", read_item, ctx, err);
}

/* Decoded, an item takes at most a small multiple of its text: "0," becomes a float. */
size_t lh_body_arena_max(size_t body_len, const struct lh_body_limits *limits)
{
    return 4 * body_len + limits->dimension * sizeof(float) + ARENA_SLACK;
}

lh_code lh_body_items(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                      struct lh_error *err)
{
    static const struct lh_scan_member members[] = {{"items", read_items}};
    batch->arena.bytes_max = lh_body_arena_max(body.len, limits);
    struct item_reader reader = {.limits = limits, .batch = batch};
    struct lh_scan scan = lh_scan_start(body, &batch->arena);
    unsigned seen = 0;
    LH_TRY(lh_scan_object(&scan, members, 1, "the body", &reader, &seen, err));
    LH_TRY(lh_scan_end(&scan, err));
    if (seen == 0)
        return lh_fail(err, LH_INVALID, "the body has no 'items'");
    return lh_batch_check_unique(batch, err);
}

lh_code lh_body_item_lines(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                           struct lh_error *err)
{
    batch->arena.bytes_max = lh_body_arena_max(body.len, limits);
    struct item_reader reader = {.limits = limits, .batch = batch};
    struct lh_scan scan = lh_scan_start(body, &batch->arena);
    scan.first_line = limits->first_line;
    const char *end = scan.end;
    size_t number = 0;
    while (scan.at < end) {
        const char *newline = memchr(scan.at, '\n', (size_t)(end - scan.at));
        scan.end = newline != NULL ? newline : end;
        lh_scan_space(&scan);
        if (scan.at < scan.end) {
            LH_TRY(read_item(&scan, number++, &reader, err));
            LH_TRY(lh_scan_end(&scan, err));
        }
        scan.at = newline != NULL ? newline + 1 : end;
    }
    return lh_batch_check_unique(batch, err);
}

/* ---- deletes ---- */

static lh_code read_delete_id(struct lh_scan *scan, size_t number, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    if (number >= reader->limits->items_max)
        return lh_fail(err, LH_TOO_LARGE, "at most %zu ids can be deleted at once",
                       reader->limits->items_max);
    reader->change = (struct lh_change){.kind = LH_CHANGE_DELETE};
    reader->problem.text[0] = '\0';
    LH_TRY(lh_body_read_id(scan, &reader->change.id, &reader->problem, err));
    if (reader->problem.text[0] != '\0')
        return fail_item(reader, err);
    lh_batch_add(reader->batch, &reader->change);
    return LH_OK;
}

/* A filter that says nothing would delete everything: that may not happen by a slip. */
static lh_code read_delete_filter(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    LH_TRY(lh_body_read_filter(scan, &reader->condition, err));
    if (reader->condition.filter->kind != LH_FILTER_ALL || reader->condition.filter->part_count > 0)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID, "an empty filter would delete all items"),
              "the hint returns the code");
    return lh_hint(err, "to empty an index, delete it and create it again");
}

static lh_code read_delete_ids(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    return lh_scan_array(scan, "array of ids", read_delete_id, ctx, err);
}

lh_code lh_body_delete(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                       struct lh_condition *ret_condition, struct lh_error *err)
{
    static const struct lh_scan_member members[] = {{"ids", read_delete_ids},
                                                    {"filter", read_delete_filter}};
    batch->arena.bytes_max = lh_body_arena_max(body.len, limits);
    struct item_reader reader = {.limits = limits, .batch = batch};
    struct lh_scan scan = lh_scan_start(body, &batch->arena);
    unsigned seen = 0;
    LH_TRY(lh_scan_object(&scan, members, LH_COUNT(members), "the body", &reader, &seen, err));
    LH_TRY(lh_scan_end(&scan, err));
    if (seen != 1 && seen != 2)
        return lh_fail(err, LH_INVALID, "the body needs one of 'ids' and 'filter'");
    *ret_condition = reader.condition;
    return LH_OK;
}
