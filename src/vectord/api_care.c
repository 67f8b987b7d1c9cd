/* What an operator asks of an index: a snapshot now, and how well it finds. */
#include <string.h>

#include "base/mem.h"
#include "vectord/api.h"
#include "vectord/recall.h"
#include "vectord/snapshot.h"

enum { BODY_MAX = 2 << 20, ARENA_MAX = 8 << 20 };

/* ---- snapshot ---- */

lh_code lh_vector_snapshot(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_body_limits limits; /* asked for, since it fails for an index that is not served */
    LH_TRY(lh_vector_target(api, x, &collection, &limits, err));
    lh_deadline deadline = lh_deadline_in_ms(api->settings->load_timeout);
    lh_code code = lh_vectord_snapshot(api->core, collection, deadline, err);
    if (code == LH_OK)
        code = lh_vector_reply_collection(x, collection, err);
    lh_collection_unref(collection);
    return code;
}

/* ---- recall ---- */

static bool is_cancelled(const void *ctx)
{
    return lh_http_cancelled(ctx);
}

static lh_code read_bounded(const json_t *root, const char *name, uint64_t max, uint64_t *ret,
                            struct lh_error *err)
{
    int64_t value = (int64_t)*ret;
    LH_TRY(lh_json_opt_i64(root, name, &value, err));
    if (json_object_get(root, name) != NULL && (value < 1 || (uint64_t)value > max))
        return lh_fail(err, LH_INVALID, "'%s' is %lld; 1 to %llu are possible", name,
                       (long long)value, (unsigned long long)max);
    *ret = (uint64_t)value;
    return LH_OK;
}

static lh_code read_refine(const json_t *root, double *ret, struct lh_error *err)
{
    const json_t *value = json_object_get(root, "refine");
    if (value == NULL)
        return LH_OK;
    LH_AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
    return lh_body_refine(lh_str_from(text), ret, err);
}

static lh_code read_filter(const json_t *root, struct lh_arena *arena, struct lh_condition *ret,
                           struct lh_error *err)
{
    const json_t *value = json_object_get(root, "filter");
    if (value == NULL)
        return LH_OK;
    LH_AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    char *copy = lh_arena_strndup(arena, text, strlen(text));
    if (copy == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the filter is too large");
    ret->text = lh_str_from(copy);
    return lh_filter_parse(ret->text, arena, &ret->filter, err);
}

static lh_code read_recall(const json_t *root, const struct lh_body_limits *limits,
                           struct lh_arena *arena, struct lh_recall_request *request,
                           struct lh_error *err)
{
    static const char *const keys[] = {"sample", "k", "ef", "refine", "filter"};
    if (!json_is_object(root))
        return lh_fail(err, LH_INVALID, "the body is not an object");
    LH_TRY(lh_json_only(root, keys, LH_COUNT(keys), err));
    LH_TRY(read_bounded(root, "sample", LH_RECALL_SAMPLE_MAX, &request->sample, err));
    LH_TRY(read_bounded(root, "k", limits->k_max, &request->k, err));
    LH_TRY(read_bounded(root, "ef", limits->ef_max, &request->ef, err));
    LH_TRY(read_refine(root, &request->refine, err));
    return read_filter(root, arena, &request->condition, err);
}

static lh_code reply_recall(struct lh_http_exchange *x, const struct lh_recall_request *request,
                            const struct lh_recall *recall, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&answer);
    lh_json_object(&json);
    lh_json_kf64(&json, "recall", recall->recall);
    lh_json_ku64(&json, "sample", recall->sample);
    lh_json_ku64(&json, "k", request->k);
    lh_json_ku64(&json, "ef", request->ef);
    lh_json_kf64(&json, "search_us", recall->search_us);
    lh_json_kf64(&json, "exact_us", recall->exact_us);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, 200, &answer, err);
}

static lh_code run_recall(struct lh_vector_api *api, struct lh_http_exchange *x,
                          struct lh_collection *collection, const struct lh_body_limits *limits,
                          struct lh_error *err)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_MAX);
    struct lh_recall_request request = {
        .sample = LH_RECALL_SAMPLE_DEFAULT,
        .k = limits->k_max < 10 ? limits->k_max : 10,
        .ef = (uint64_t)api->settings->ef_default,
        .deadline = lh_deadline_in_ms(api->settings->recall_timeout),
        .cancelled = is_cancelled,
        .ctx = x,
    };
    struct lh_recall recall;
    if (lh_http_body_length(x) != 0) {
        LH_AUTO_JSON json_t *root = NULL;
        LH_TRY(lh_http_body_json(x, BODY_MAX, &root, err));
        LH_TRY(read_recall(root, limits, &arena, &request, err));
    }
    LH_TRY(lh_collection_recall(collection, &request, &recall, err));
    return reply_recall(x, &request, &recall, err);
}

lh_code lh_vector_recall(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_vector_api *api = service;
    struct lh_collection *collection;
    struct lh_body_limits limits;
    LH_TRY(lh_vector_target(api, x, &collection, &limits, err));
    lh_code code = run_recall(api, x, collection, &limits, err);
    lh_collection_unref(collection);
    return code;
}
