/*
 * The health of the whole: every service is asked at the same time, each by a thread of its own, so
 * that one that hangs costs the deadline once.
 */
#include "gateway/gateway.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "service/service.h"

enum { ASK_TIMEOUT_MS = 1000, ANSWER_BYTES_MAX = 256 << 10, STATUS_BYTES_MAX = 2 << 20 };

/* One service asked. */
struct question {
    struct lh_http_client *client;
    const struct lh_upstream *upstream;
    pthread_t thread;
    bool asked;
    struct lh_buf answer; /* its /health, a JSON object */
    json_t *health;       /* the same, parsed; NULL = there is none */
    struct lh_error err;
};

static lh_code ask(struct question *question)
{
    struct lh_error *err = &question->err;
    LH_AUTO_FREE char *url = lh_asprintf("%s/health", question->upstream->url);
    const struct lh_http_call call = {
        .method = LH_HTTP_GET, .url = url, .deadline = lh_deadline_in_ms(ASK_TIMEOUT_MS)};
    int status = 0;
    LH_TRY(lh_http_call_buf(question->client, &call, &question->answer, &status, err));
    if (status != 200)
        return lh_fail(err, LH_BAD_UPSTREAM, "it answered with status %d", status);
    LH_TRY(lh_json_parse(lh_buf_str(&question->answer), &question->health, err));
    if (!json_is_string(json_object_get(question->health, "status"))) {
        json_decref(question->health);
        question->health = NULL;
        return lh_fail(err, LH_BAD_UPSTREAM, "its answer names no status");
    }
    return LH_OK;
}

static void *run_ask(void *arg)
{
    LH_IGNORE(ask(arg), "the failure is kept in the question");
    return NULL;
}

static void put_unreachable(struct lh_json *json, const struct question *question)
{
    const char *reason = question->err.code == LH_UNAVAILABLE ? "it cannot be reached"
                         : question->err.code == LH_TIMEOUT   ? "it did not answer in time"
                                                              : question->err.message;
    lh_json_object(json);
    lh_json_kcstr(json, "service", question->upstream->name);
    lh_json_kcstr(json, "status", "unreachable");
    lh_json_key(json, "reasons");
    lh_json_array(json);
    lh_json_cstr(json, reason);
    lh_json_array_end(json);
    lh_json_object_end(json);
}

static void put_status(struct lh_json *json, const struct question *questions, bool all_ok)
{
    lh_json_object(json);
    lh_json_kcstr(json, "status", all_ok ? "ok" : "degraded");
    lh_json_kcstr(json, "version", lh_version);
    lh_json_key(json, "services");
    lh_json_array(json);
    lh_json_object(json);
    lh_json_kcstr(json, "service", "gateway");
    lh_json_kcstr(json, "status", "ok");
    lh_json_kcstr(json, "version", lh_version);
    lh_json_object_end(json);
    for (size_t i = 0; i < LH_UPSTREAM_COUNT; i++) {
        if (questions[i].health != NULL)
            lh_json_raw(json, lh_str_trim(lh_buf_str(&questions[i].answer)));
        else
            put_unreachable(json, &questions[i]);
    }
    lh_json_array_end(json);
    lh_json_object_end(json);
}

static bool is_ok(const struct question *question)
{
    lh_str status = lh_str_from(json_string_value(json_object_get(question->health, "status")));
    return lh_str_is(status, "ok");
}

lh_code lh_gateway_status(void *state, struct lh_http_exchange *x, struct lh_error *err)
{
    struct lh_gateway *gateway = state;
    struct question questions[LH_UPSTREAM_COUNT];
    for (size_t i = 0; i < LH_UPSTREAM_COUNT; i++) {
        questions[i] = (struct question){.client = gateway->client,
                                         .upstream = &gateway->upstreams[i],
                                         .answer = LH_BUF_INIT(ANSWER_BYTES_MAX),
                                         .err = LH_ERROR_INIT};
        questions[i].asked = lh_thread_start(&questions[i].thread, "health", run_ask, &questions[i],
                                             &questions[i].err) == LH_OK;
    }
    bool all_ok = true;
    for (size_t i = 0; i < LH_UPSTREAM_COUNT; i++) {
        if (questions[i].asked)
            pthread_join(questions[i].thread, NULL);
        all_ok = is_ok(&questions[i]) && all_ok;
    }
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(STATUS_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    put_status(&json, questions, all_ok);
    for (size_t i = 0; i < LH_UPSTREAM_COUNT; i++) {
        lh_buf_deinit(&questions[i].answer);
        json_decref(questions[i].health);
    }
    return lh_http_reply_json(x, 200, &body, err);
}
