/*
 * Searches over HTTP. Each query is answered as it is found, so the answer of many queries with
 * much metadata needs no memory of its size: what has gathered is sent once there is a window of
 * it.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "vectord/api.h"

enum { WINDOW_BYTES = 256 << 10 };

struct searching {
    struct lh_vector_api *api;
    struct lh_http_exchange *x;
    struct lh_collection *collection;
    struct lh_search_request request;
    struct lh_hnsw_hit *hits; /* room for k, and one more for the item itself */
    struct lh_buf answer;
    struct lh_json json;
    lh_mono start;
};

static lh_code flush(struct searching *searching, struct lh_error *err)
{
    if (searching->answer.len < WINDOW_BYTES)
        return LH_OK;
    if (!lh_http_started(searching->x))
        LH_TRY(lh_http_start(searching->x, 200, "application/json", -1, err));
    LH_TRY(lh_http_write(searching->x, searching->answer.data, searching->answer.len, err));
    lh_buf_reset(&searching->answer);
    return LH_OK;
}

static lh_code finish(struct searching *searching, struct lh_error *err)
{
    if (!lh_http_started(searching->x))
        return lh_http_reply_json(searching->x, 200, &searching->answer, err);
    LH_TRY(lh_http_write(searching->x, searching->answer.data, searching->answer.len, err));
    return lh_http_finish(searching->x, err);
}

/* Whole microseconds: more digits say nothing. */
static double elapsed_ms(const struct searching *searching)
{
    return (double)(lh_mono_since_ns(searching->start) / 1000) / 1000;
}

static lh_code put_hits(struct searching *searching, const struct lh_found *found,
                        struct lh_error *err)
{
    struct lh_json *json = &searching->json;
    const struct lh_search_request *request = &searching->request;
    enum lh_metric metric = found->index->config.metric;
    size_t written = 0;
    lh_json_key(json, "hits");
    lh_json_array(json);
    for (size_t i = 0; i < found->hits.count && written < request->k; i++) {
        uint32_t slot = (uint32_t)searching->hits[i].slot;
        if (request->id.len > 0 && lh_str_eq(lh_vindex_id(found->index, slot), request->id))
            continue; /* the item whose neighbours are wanted */
        lh_json_object(json);
        lh_json_kstr(json, "id", lh_vindex_id(found->index, slot));
        lh_json_key(json, "distance");
        lh_json_f32(json, lh_hnsw_distance(metric, searching->hits[i].order));
        lh_vector_put_metadata(json, found->index, slot);
        lh_json_object_end(json);
        written++;
        LH_TRY(flush(searching, err));
    }
    lh_json_array_end(json);
    lh_json_kbool(json, "exact", found->hits.exact);
    return LH_OK;
}

/* The members "hits" and "exact" of one query. */
static lh_code run_query(struct searching *searching, const float *vector, struct lh_error *err)
{
    const struct lh_search_request *request = &searching->request;
    const struct lh_hnsw_query query = {.vector = vector,
                                        .k = request->k + (request->id.len > 0),
                                        .ef = request->ef,
                                        .exact = request->exact};
    struct lh_found found;
    if (lh_http_cancelled(searching->x))
        return lh_fail(err, LH_CANCELLED, "the client is gone");
    LH_TRY(lh_collection_search(searching->collection, NULL, &query, searching->hits, &found, err));
    lh_code code = put_hits(searching, &found, err);
    lh_vindex_unref(found.index);
    return code;
}

static lh_code run_one(struct searching *searching, const float *vector, struct lh_error *err)
{
    lh_json_object(&searching->json);
    LH_TRY(run_query(searching, vector, err));
    lh_json_kf64(&searching->json, "elapsed_ms", elapsed_ms(searching));
    lh_json_object_end(&searching->json);
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

/* The body is gone before the search begins. */
static lh_code read_request(struct searching *searching, struct lh_body_limits *limits,
                            struct lh_error *err)
{
    LH_AUTO_VECTOR_BODY struct lh_vector_body body = {0};
    struct lh_search_request *request = &searching->request;
    enum lh_vector_format format;
    limits->items_max = (size_t)searching->api->settings->queries_max;
    LH_TRY(lh_vector_content_type(searching->x, false, &format, err));
    LH_TRY(lh_vector_body_read(searching->api, searching->x, &body, err));
    LH_TRY(lh_body_search(lh_buf_str(&body.buf), limits, request, err));
    if (request->id.len > 0) { /* it may point into the body */
        char *copy = lh_arena_strndup(&request->arena, request->id.ptr, request->id.len);
        request->id = lh_str_of(copy, request->id.len);
    }
    return LH_OK;
}

static lh_code run(struct searching *searching, struct lh_body_limits *limits, struct lh_error *err)
{
    const struct lh_search_request *request = &searching->request;
    LH_TRY(read_request(searching, limits, err));
    searching->start = lh_mono_now();
    searching->hits = lh_calloc(request->k + 1, sizeof(*searching->hits));
    if (request->id.len > 0)
        return run_by_id(searching, err);
    if (request->many)
        return run_many(searching, limits->dimension, err);
    return run_one(searching, request->vectors, err);
}

lh_code lh_vector_search(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct searching searching = {.api = service, .x = x};
    struct lh_body_limits limits;
    LH_TRY(lh_vector_target(searching.api, x, &searching.collection, &limits, err));
    searching.answer = LH_BUF_INIT((size_t)4 << 30); /* flushed between hits */
    searching.json = LH_JSON_TO(&searching.answer);
    lh_code code = run(&searching, &limits, err);
    atomic_fetch_add(&lh_vectord_commons(searching.api->core)->searches, 1);
    lh_collection_unref(searching.collection);
    lh_search_request_deinit(&searching.request);
    lh_buf_deinit(&searching.answer);
    free(searching.hits);
    return code;
}
