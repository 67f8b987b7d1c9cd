/*
 * Searches over HTTP. Each query is answered as it is found, so the answer of many queries with
 * much metadata needs no memory of its size: what has gathered is sent once there is a window of
 * it.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "vectord/api.h"
#include "vectord/hits.h"
#include "vectord/select.h"

enum {
    WINDOW_BYTES = 256 << 10,
    QUICK_EF_MAX = 128,
    QUICK_DIMENSION_MAX = 1024, /* up to 2,000 items are scanned: 2 M of floats */
};

static const char raw_hits_type[] = "application/x-lakehouse-hits";

struct searching {
    struct lh_vector_api *api;
    struct lh_http_exchange *x;
    struct lh_collection *collection;
    struct lh_search_request request;
    struct lh_searcher searcher;
    struct lh_hnsw_hit *hits; /* room for k, and one more for the item itself */
    bool raw;                 /* the answer is not JSON */
    struct lh_buf answer;
    struct lh_json json;
    lh_mono start;
};

/* ---- the answer ---- */

static const char *answer_type(const struct searching *searching)
{
    return searching->raw ? raw_hits_type : "application/json";
}

static lh_code flush(struct searching *searching, struct lh_error *err)
{
    if (searching->answer.len < WINDOW_BYTES)
        return LH_OK;
    if (!lh_http_started(searching->x))
        LH_TRY(lh_http_start(searching->x, 200, answer_type(searching), -1, err));
    LH_TRY(lh_http_write(searching->x, searching->answer.data, searching->answer.len, err));
    lh_buf_reset(&searching->answer);
    return LH_OK;
}

static lh_code finish(struct searching *searching, struct lh_error *err)
{
    if (!lh_http_started(searching->x))
        return lh_http_reply_buf(searching->x, 200, answer_type(searching), &searching->answer,
                                 err);
    LH_TRY(lh_http_write(searching->x, searching->answer.data, searching->answer.len, err));
    return lh_http_finish(searching->x, err);
}

/* Whole microseconds: more digits say nothing. */
static double elapsed_ms(const struct searching *searching)
{
    return (double)(lh_mono_since_ns(searching->start) / 1000) / 1000;
}

/* The item whose neighbours are wanted is not one of them; and one hit more than k was asked for.
 */
static size_t drop_item(struct searching *searching, const struct lh_found *found)
{
    const struct lh_search_request *request = &searching->request;
    size_t kept = 0;
    for (size_t i = 0; i < found->hits.count; i++) {
        uint32_t slot = (uint32_t)searching->hits[i].slot;
        if (!lh_str_eq(lh_vindex_id(found->index, slot), request->id))
            searching->hits[kept++] = searching->hits[i];
    }
    return kept < request->k ? kept : request->k;
}

static lh_code put_found(struct searching *searching, const struct lh_found *found,
                         struct lh_error *err)
{
    struct lh_json *json = &searching->json;
    const struct lh_search_request *request = &searching->request;
    const struct lh_hits hits = {.index = found->index,
                                 .items = searching->hits,
                                 .count = request->id.len > 0 ? drop_item(searching, found)
                                                              : found->hits.count,
                                 .exact = found->hits.exact};
    if (searching->raw) {
        lh_hits_put_raw(&searching->answer, &hits);
        return flush(searching, err);
    }
    lh_json_key(json, "hits");
    lh_json_array(json);
    for (size_t i = 0; i < hits.count; i++) {
        lh_hits_put_json(json, &hits, i, request->metadata);
        LH_TRY(flush(searching, err));
    }
    lh_json_array_end(json);
    lh_json_kbool(json, "exact", hits.exact);
    return LH_OK;
}

/* ---- queries ---- */

static lh_code run_query(struct searching *searching, const float *vector, struct lh_error *err)
{
    const struct lh_search_request *request = &searching->request;
    const struct lh_hnsw_query query = {.vector = vector,
                                        .k = request->k + (request->id.len > 0),
                                        .ef = request->ef,
                                        .refine = request->refine,
                                        .exact = request->exact};
    struct lh_found found;
    if (lh_http_cancelled(searching->x))
        return lh_fail(err, LH_CANCELLED, "the client is gone");
    LH_TRY(lh_searcher_search(&searching->searcher, &query, searching->hits, &found, err));
    lh_code code = put_found(searching, &found, err);
    lh_vindex_unref(found.index);
    return code;
}

static lh_code run_one(struct searching *searching, const float *vector, struct lh_error *err)
{
    if (searching->raw) {
        LH_TRY(run_query(searching, vector, err));
        return finish(searching, err);
    }
    lh_json_object(&searching->json);
    LH_TRY(run_query(searching, vector, err));
    lh_json_kf64(&searching->json, "elapsed_ms", elapsed_ms(searching));
    lh_json_object_end(&searching->json);
    return finish(searching, err);
}

static lh_code run_many_raw(struct searching *searching, uint32_t dimension, struct lh_error *err)
{
    for (size_t i = 0; i < searching->request.count; i++)
        LH_TRY(run_query(searching, searching->request.vectors + i * dimension, err));
    return finish(searching, err);
}

static lh_code run_many(struct searching *searching, uint32_t dimension, struct lh_error *err)
{
    struct lh_json *json = &searching->json;
    lh_json_object(json);
    lh_json_key(json, "results");
    lh_json_array(json);
    for (size_t i = 0; i < searching->request.count; i++) {
        lh_json_object(json);
        LH_TRY(run_query(searching, searching->request.vectors + i * dimension, err));
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
    lh_json_kf64(json, "elapsed_ms", elapsed_ms(searching));
    lh_json_object_end(json);
    return finish(searching, err);
}

static lh_code run_by_id(struct searching *searching, struct lh_error *err)
{
    struct lh_vindex *index;
    uint32_t slot;
    LH_TRY(lh_collection_find(searching->collection, searching->request.id, &index, &slot, err));
    lh_code code = run_one(searching, lh_hnsw_vector(&index->graph, slot), err);
    lh_vindex_unref(index);
    return code;
}

/* ---- the request ---- */

static lh_code read_flag(const struct lh_http_exchange *x, const char *name, bool *ret,
                         struct lh_error *err)
{
    lh_str text;
    if (!lh_http_query(x, name, &text))
        return LH_OK;
    if (!lh_str_is(text, "true") && !lh_str_is(text, "false"))
        return lh_fail(err, LH_INVALID, "'%s' is true or false", name);
    *ret = lh_str_is(text, "true");
    return LH_OK;
}

/* What stands in the body of a JSON search, as query parameters beside a raw one. */
static lh_code read_parameters(struct searching *searching, const struct lh_body_limits *limits,
                               struct lh_error *err)
{
    const struct lh_http_exchange *x = searching->x;
    struct lh_search_request *request = &searching->request;
    lh_str text;
    LH_TRY(lh_http_query_u64(x, "k", 1, limits->k_max, &request->k, err));
    LH_TRY(lh_http_query_u64(x, "ef", 1, limits->ef_max, &request->ef, err));
    LH_TRY(read_flag(x, "exact", &request->exact, err));
    LH_TRY(read_flag(x, "metadata", &request->metadata, err));
    if (lh_http_query(x, "refine", &text))
        LH_TRY(lh_body_refine(text, &request->refine, err));
    if (lh_http_query(x, "filter", &text))
        LH_TRY(lh_body_search_filter(text, request, err));
    return LH_OK;
}

static lh_code refuse_parameters(const struct lh_http_exchange *x, struct lh_error *err)
{
    static const char *const names[] = {"k", "ef", "exact", "metadata", "refine", "filter"};
    lh_str unused;
    for (size_t i = 0; i < LH_COUNT(names); i++) {
        if (lh_http_query(x, names[i], &unused))
            return lh_fail(err, LH_INVALID, "'%s' belongs into the JSON", names[i]);
    }
    return LH_OK;
}

/* The body is gone before the search begins. */
static lh_code read_request(struct searching *searching, struct lh_body_limits *limits,
                            struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    struct lh_search_request *request = &searching->request;
    enum lh_vector_format format;
    limits->items_max = (size_t)searching->api->settings->queries_max;
    LH_TRY(lh_vector_content_type(searching->x, LH_VECTOR_JSON | LH_VECTOR_RAW, &format, err));
    if (format == LH_VECTOR_RAW) {
        lh_search_request_init(request, limits);
        LH_TRY(read_parameters(searching, limits, err));
        LH_TRY(lh_vector_body_read(searching->api, searching->x, &body, err));
        return lh_body_raw_queries(lh_buf_str(&body.buf), limits, request, err);
    }
    LH_TRY(refuse_parameters(searching->x, err));
    LH_TRY(lh_vector_body_read(searching->api, searching->x, &body, err));
    LH_TRY(lh_body_search(lh_buf_str(&body.buf), limits, request, err));
    if (request->id.len > 0) { /* it may point into the body */
        char *copy = lh_arena_strndup(&request->arena, request->id.ptr, request->id.len);
        if (copy == NULL)
            return lh_fail(err, LH_TOO_LARGE, "the body is too large");
        request->id = lh_str_of(copy, request->id.len);
    }
    return LH_OK;
}

static bool accepts_raw(const struct lh_http_exchange *x)
{
    lh_str rest = lh_http_header(x, "Accept");
    lh_str type = LH_STR_NONE;
    lh_str_next(&rest, ';', &type);
    return lh_str_eq_nocase(lh_str_trim(type), lh_str_from(raw_hits_type));
}

/* Whether the event thread may do it: what takes longer than a few hundred microseconds would hold
 * up others. */
static bool is_quick(const struct searching *searching, const struct lh_body_limits *limits)
{
    const struct lh_search_request *request = &searching->request;
    return !request->many && request->id.len == 0 && !request->exact &&
           request->condition.filter == NULL && request->k <= QUICK_EF_MAX &&
           request->ef <= QUICK_EF_MAX && searching->api->settings->ef_default <= QUICK_EF_MAX &&
           limits->dimension <= QUICK_DIMENSION_MAX &&
           lh_commons_may_be_quick(lh_vectord_commons(searching->api->core));
}

static lh_code run(struct searching *searching, struct lh_body_limits *limits, struct lh_error *err)
{
    const struct lh_search_request *request = &searching->request;
    LH_TRY(read_request(searching, limits, err));
    if (!is_quick(searching, limits))
        LH_TRY(lh_check_may_wait("this search", err));
    searching->start = lh_mono_now();
    searching->raw = accepts_raw(searching->x);
    searching->hits = lh_calloc(request->k + 1, sizeof(*searching->hits));
    searching->searcher =
        (struct lh_searcher){.collection = searching->collection, .condition = &request->condition};
    if (request->id.len > 0)
        return run_by_id(searching, err);
    if (!request->many)
        return run_one(searching, request->vectors, err);
    return (searching->raw ? run_many_raw : run_many)(searching, limits->dimension, err);
}

lh_code lh_vector_search(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct searching searching = {.api = service, .x = x};
    struct lh_commons *commons = lh_vectord_commons(searching.api->core);
    struct lh_body_limits limits;
    lh_mono start = lh_mono_now();
    LH_TRY(lh_vector_target(searching.api, x, &searching.collection, &limits, err));
    searching.answer = LH_BUF_INIT((size_t)4 << 30); /* flushed between hits */
    searching.json = LH_JSON_TO(&searching.answer);
    lh_code code = run(&searching, &limits, err);
    if (!lh_may_wait())
        lh_commons_was_quick(commons, start);
    if (code != LH_WOULD_WAIT)
        atomic_fetch_add(&commons->searches, 1);
    lh_searcher_deinit(&searching.searcher);
    lh_collection_unref(searching.collection);
    lh_search_request_deinit(&searching.request);
    lh_buf_deinit(&searching.answer);
    free(searching.hits);
    return code;
}
