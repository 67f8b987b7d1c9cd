/* Bodies of searches. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "vectord/body_private.h"

enum { K_DEFAULT = 10, REFINE_MAX = 100, NUMBER_TEXT_MAX = 64 };

void lh_search_request_init(struct lh_search_request *request, const struct lh_body_limits *limits)
{
    *request = (struct lh_search_request){
        .k = limits->k_max < K_DEFAULT ? limits->k_max : K_DEFAULT, .metadata = true};
}

lh_code lh_body_refine(lh_str text, double *ret, struct lh_error *err)
{
    char copy[NUMBER_TEXT_MAX] = "";
    char *end = copy;
    double value = (double)NAN;
    if (text.len > 0 && text.len < sizeof(copy)) {
        memcpy(copy, text.ptr, text.len);
        value = strtod(copy, &end);
    }
    if (end != copy + text.len || !(value >= 1) || value > REFINE_MAX)
        return lh_fail(err, LH_INVALID, "'refine' is a number from 1 to %d", REFINE_MAX);
    *ret = value;
    return LH_OK;
}

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
    struct lh_body_problem problem = {""};
    LH_TRY(lh_body_read_vector(scan, reader->limits, request->vectors + number * dimension,
                               &problem, err));
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
    struct lh_body_problem problem = {""};
    LH_TRY(lh_body_read_id(scan, &reader->request->id, &problem, err));
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

static lh_code read_metadata(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    return lh_scan_bool(scan, &reader->request->metadata, err);
}

static lh_code read_refine(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    lh_str text;
    LH_TRY(lh_scan_value(scan, &text, err));
    return lh_body_refine(text, &reader->request->refine, err);
}

/* A filter that always holds is none. */
static void set_condition(struct lh_search_request *request, const struct lh_condition *condition)
{
    bool always = condition->filter->kind == LH_FILTER_ALL && condition->filter->part_count == 0;
    request->condition = always ? (struct lh_condition){.filter = NULL} : *condition;
}

static lh_code read_filter(struct lh_scan *scan, void *ctx, struct lh_error *err)
{
    struct search_reader *reader = ctx;
    struct lh_condition condition = {.filter = NULL};
    LH_TRY(lh_body_read_filter(scan, &condition, err));
    set_condition(reader->request, &condition);
    return LH_OK;
}

lh_code lh_body_search_filter(lh_str text, struct lh_search_request *request, struct lh_error *err)
{
    struct search_reader reader = {.request = request};
    const struct lh_body_limits no_vectors = {.dimension = 0};
    request->arena.bytes_max = lh_body_arena_max(text.len, &no_vectors);
    struct lh_scan scan = lh_scan_start(text, &request->arena);
    LH_TRY(read_filter(&scan, &reader, err));
    return lh_scan_end(&scan, err);
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
                                                    {"filter", read_filter},
                                                    {"refine", read_refine},
                                                    {"metadata", read_metadata}};
    request->arena.bytes_max = lh_body_arena_max(body.len, limits);
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
    struct lh_search_request request;
    lh_search_request_init(&request, limits);
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
