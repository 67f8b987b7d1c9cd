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
#include "vectord/scan.h"

enum { K_DEFAULT = 10, PROBLEM_MAX = 160, ARENA_SLACK = 1 << 20 };

/* The first thing that is wrong with the item being read; "" = nothing. */
struct problem {
    char text[PROBLEM_MAX];
};

static void set_problem(struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_problem(struct problem *problem, const char *format, ...)
{
    if (problem->text[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(problem->text, sizeof(problem->text), format, args);
    va_end(args);
}

const char *lh_item_id_problem(lh_str id)
{
    if (id.len == 0 || id.len > LH_ITEM_ID_MAX)
        return "an id has 1 to 256 bytes";
    if (!lh_utf8_valid(id))
        return "the id is not UTF-8";
    return memchr(id.ptr, '\0', id.len) != NULL ? "the id holds a NUL" : NULL;
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
static lh_code odd_element(struct lh_scan *scan, size_t number, struct problem *problem,
                           struct lh_error *err)
{
    if (take_not_finite(scan)) {
        set_problem(problem, "its component %zu is not finite", number);
        return LH_OK;
    }
    lh_str text;
    LH_TRY(lh_scan_value(scan, &text, err));
    bool is_number = text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9');
    set_problem(problem,
                is_number ? "its component %zu is beyond a 32-bit float"
                          : "its component %zu is not a number",
                number);
    return LH_OK;
}

/* An array of numbers into `out` (dimension floats); counts on beyond them. */
static lh_code read_components(struct lh_scan *scan, uint32_t dimension, float *out,
                               struct problem *problem, struct lh_error *err)
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
        set_problem(problem, "its vector has %zu components, the index has %u", count, dimension);
    return LH_OK;
}

static lh_code read_vector(struct lh_scan *scan, const struct lh_body_limits *limits, float *out,
                           struct problem *problem, struct lh_error *err)
{
    if (lh_scan_peek(scan) != '[') {
        lh_str text;
        LH_TRY(lh_scan_value(scan, &text, err));
        set_problem(problem, "its vector is not an array of numbers");
        return LH_OK;
    }
    LH_TRY(read_components(scan, limits->dimension, out, problem, err));
    if (problem->text[0] != '\0')
        return LH_OK;
    const char *wrong = lh_vector_prepare(out, limits->dimension, limits->metric);
    if (wrong != NULL)
        set_problem(problem, "its vector cannot be used: %s", wrong);
    return LH_OK;
}

/* ---- items ---- */

struct item_reader {
    const struct lh_body_limits *limits;
    struct lh_batch *batch;
    struct lh_change change;
    struct problem problem;
};

static lh_code read_id(struct lh_scan *scan, lh_str *ret, struct problem *problem,
                       struct lh_error *err)
{
    if (lh_scan_peek(scan) != '"') {
        lh_str text;
        LH_TRY(lh_scan_value(scan, &text, err));
        set_problem(problem, "its id is not a string");
        return LH_OK;
    }
    lh_str id;
    LH_TRY(lh_scan_string(scan, &id, err));
    const char *wrong = lh_item_id_problem(id);
    if (wrong != NULL)
        set_problem(problem, "%s", wrong);
    *ret = id;
    return LH_OK;
}

static lh_code read_item_id(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    return read_id(scan, &reader->change.id, &reader->problem, err);
}

static lh_code read_item_vector(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct item_reader *reader = ctx;
    float *vector =
        lh_arena_alloc(&reader->batch->arena, reader->limits->dimension * sizeof(float));
    if (vector == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the vectors of the body are too large");
    reader->change.vector = vector;
    return read_vector(scan, reader->limits, vector, &reader->problem, err);
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
        set_problem(&reader->problem, "its metadata is not an object");
        return LH_OK;
    }
    if (lh_json_parse(text, &root, &wrong) != LH_OK) {
        set_problem(&reader->problem, "its metadata: %s", wrong.message);
        return LH_OK;
    }
    char *compact = lh_arena_alloc(&reader->batch->arena, text.len);
    if (compact == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the metadata of the body is too large");
    size_t len = lh_scan_compact(text, compact);
    if (len > reader->limits->metadata_bytes_max)
        set_problem(&reader->problem, "its metadata has %zu bytes, %zu are allowed", len,
                    reader->limits->metadata_bytes_max);
    reader->change.metadata = lh_str_of(compact, len);
    return LH_OK;
}

static lh_code fail_item(const struct item_reader *reader, struct lh_error *err)
{
    lh_str id = lh_id_excerpt(reader->change.id);
    if (id.len == 0)
        return lh_fail(err, LH_INVALID_VECTOR, "item %zu: %s", reader->batch->count,
                       reader->problem.text);
    return lh_fail(err, LH_INVALID_VECTOR, "item %zu (id '%.*s'): %s", reader->batch->count,
                   LH_FMT(id), reader->problem.text);
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
        return code == LH_INVALID ? lh_fail_context(err, "item %zu", number) : code;
    if (!(seen & 1))
        set_problem(&reader->problem, "it has no id");
    if (!(seen & 2))
        set_problem(&reader->problem, "it has no vector");
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
static size_t arena_max(lh_str body, const struct lh_body_limits *limits)
{
    return 4 * body.len + limits->dimension * sizeof(float) + ARENA_SLACK;
}

lh_code lh_body_items(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                      struct lh_error *err)
{
    static const struct lh_scan_member members[] = {{"items", read_items}};
    batch->arena.bytes_max = arena_max(body, limits);
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
    batch->arena.bytes_max = arena_max(body, limits);
    struct item_reader reader = {.limits = limits, .batch = batch};
    struct lh_scan scan = lh_scan_start(body, &batch->arena);
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

/* ---- what is not here yet ---- */

static lh_code refuse_filter(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    (void)scan, (void)ctx;
    return lh_fail(err, LH_UNSUPPORTED, "'filter' is not supported yet");
}

static lh_code refuse_refine(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    (void)scan, (void)ctx;
    return lh_fail(err, LH_UNSUPPORTED,
                   "'refine' belongs to quantization, which is not supported yet");
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
    LH_TRY(read_id(scan, &reader->change.id, &reader->problem, err));
    if (reader->problem.text[0] != '\0')
        return fail_item(reader, err);
    lh_batch_add(reader->batch, &reader->change);
    return LH_OK;
}

static lh_code read_delete_ids(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    return lh_scan_array(scan, "array of ids", read_delete_id, ctx, err);
}

lh_code lh_body_delete(lh_str body, const struct lh_body_limits *limits, struct lh_batch *batch,
                       struct lh_error *err)
{
    static const struct lh_scan_member members[] = {{"ids", read_delete_ids},
                                                    {"filter", refuse_filter}};
    batch->arena.bytes_max = arena_max(body, limits);
    struct item_reader reader = {.limits = limits, .batch = batch};
    struct lh_scan scan = lh_scan_start(body, &batch->arena);
    unsigned seen = 0;
    LH_TRY(lh_scan_object(&scan, members, LH_COUNT(members), "the body", &reader, &seen, err));
    LH_TRY(lh_scan_end(&scan, err));
    return seen & 1 ? LH_OK : lh_fail(err, LH_INVALID, "the body has no 'ids'");
}

/* ---- searches ---- */

struct search_reader {
    const struct lh_body_limits *limits;
    struct lh_search_request *request;
    size_t capacity; /* of request->vectors, in floats */
};

static lh_code read_query(struct lh_scan *scan, size_t number, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    struct lh_search_request *request = reader->request;
    if (number >= reader->limits->items_max)
        return lh_fail(err, LH_TOO_LARGE, "a search may have at most %zu queries",
                       reader->limits->items_max);
    size_t dimension = reader->limits->dimension;
    request->vectors = lh_grow(request->vectors, &reader->capacity, (number + 1) * dimension,
                               sizeof(*request->vectors));
    struct problem problem = {""};
    LH_TRY(read_vector(scan, reader->limits, request->vectors + number * dimension, &problem, err));
    if (problem.text[0] != '\0')
        return lh_fail(err, LH_INVALID_VECTOR, "query %zu: %s", number, problem.text);
    request->count = number + 1;
    return LH_OK;
}

static lh_code read_one_query(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    return read_query(scan, 0, ctx, err);
}

static lh_code read_queries(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    reader->request->many = true;
    return lh_scan_array(scan, "array of vectors", read_query, ctx, err);
}

static lh_code read_query_id(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    struct problem problem = {""};
    LH_TRY(read_id(scan, &reader->request->id, &problem, err));
    return problem.text[0] == '\0' ? LH_OK : lh_fail(err, LH_INVALID_VECTOR, "%s", problem.text);
}

static lh_code read_bounded(struct lh_scan *scan, const char *name, uint64_t max, uint64_t *ret,
                            struct lh_error *err)
{
    uint64_t value;
    LH_TRY(lh_scan_u64(scan, &value, err));
    if (value < 1 || value > max)
        return lh_fail(err, LH_INVALID, "'%s' is %llu; 1 to %llu are possible", name,
                       (unsigned long long)value, (unsigned long long)max);
    *ret = value;
    return LH_OK;
}

static lh_code read_k(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    return read_bounded(scan, "k", reader->limits->k_max, &reader->request->k, err);
}

static lh_code read_ef(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    return read_bounded(scan, "ef", reader->limits->ef_max, &reader->request->ef, err);
}

static lh_code read_exact(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    return lh_scan_bool(scan, &reader->request->exact, err);
}

static lh_code read_search(lh_str body, const struct lh_body_limits *limits,
                           struct lh_search_request *request, struct lh_error *err)
{
    enum { VECTOR = 1, VECTORS = 2, ID = 4 };
    static const struct lh_scan_member members[] = {{"vector", read_one_query},
                                                    {"vectors", read_queries},
                                                    {"id", read_query_id},
                                                    {"k", read_k},
                                                    {"ef", read_ef},
                                                    {"exact", read_exact},
                                                    {"filter", refuse_filter},
                                                    {"refine", refuse_refine}};
    request->arena.bytes_max = body.len + ARENA_SLACK;
    struct search_reader reader = {.limits = limits, .request = request};
    struct lh_scan scan = lh_scan_start(body, &request->arena);
    unsigned seen = 0;
    LH_TRY(lh_scan_object(&scan, members, LH_COUNT(members), "the body", &reader, &seen, err));
    LH_TRY(lh_scan_end(&scan, err));
    unsigned given = seen & (VECTOR | VECTORS | ID);
    if (given != VECTOR && given != VECTORS && given != ID)
        return lh_fail(err, LH_INVALID, "the body needs one of 'vector', 'vectors' and 'id'");
    return LH_OK;
}

lh_code lh_body_search(lh_str body, const struct lh_body_limits *limits,
                       struct lh_search_request *ret_request, struct lh_error *err)
{
    struct lh_search_request request = {.k = limits->k_max < K_DEFAULT ? limits->k_max : K_DEFAULT};
    lh_code code = read_search(body, limits, &request, err);
    if (code != LH_OK) {
        lh_search_request_deinit(&request);
        return code;
    }
    *ret_request = request;
    return LH_OK;
}

void lh_search_request_deinit(struct lh_search_request *request)
{
    free(request->vectors);
    lh_arena_deinit(&request->arena);
    memset(request, 0, sizeof(*request));
}
