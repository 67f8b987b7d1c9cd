/*
 * The check of the whole store while it serves: begun, and looked at.
 */
#include "base/json.h"
#include "storaged/api.h"
#include "storaged/scrub.h"

enum { ANSWER_BYTES_MAX = 4096 };

static void add_time(struct lh_json *json, const char *name, lh_time_ms time)
{
    char text[LH_RFC3339_SIZE] = "";
    if (time > 0)
        lh_format_rfc3339(time, text);
    lh_json_kcstr(json, name, time > 0 ? text : NULL);
}

static lh_code reply_state(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                           int status, struct lh_error *err)
{
    struct lh_scrub_state state;
    lh_store_check_state(storaged->store, &state);
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(ANSWER_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&body);
    lh_json_object(&json);
    lh_json_kcstr(&json, "state",
                  state.running           ? "running"
                  : state.complete        ? "complete"
                  : state.started_ms == 0 ? "never"
                                          : "failed");
    add_time(&json, "started", state.started_ms);
    add_time(&json, "ended", state.ended_ms);
    lh_json_ku64(&json, "objects", state.objects);
    lh_json_ku64(&json, "bytes", state.bytes);
    lh_json_ku64(&json, "findings", state.findings);
    lh_json_object_end(&json);
    return lh_http_reply_json(x, status, &body, err);
}

static lh_code admit(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                     struct lh_error *err)
{
    LH_TRY(lh_storaged_admit(storaged, x, LH_ACCESS_ADMIN, LH_STR(""), err));
    return storaged->store ? LH_OK
                           : lh_fail(err, LH_UNSUPPORTED, "the objects are in an external store");
}

lh_code lh_storaged_check_state(const struct lh_storaged *storaged, struct lh_http_exchange *x,
                                struct lh_error *err)
{
    LH_TRY(admit(storaged, x, err));
    return reply_state(storaged, x, 200, err);
}

lh_code lh_storaged_check_start(void *service, struct lh_http_exchange *x, struct lh_error *err)
{
    const struct lh_storaged *storaged = service;
    lh_str ignored;
    LH_TRY(admit(storaged, x, err));
    if (!lh_http_query(x, "check", &ignored))
        return lh_fail(err, LH_INVALID, "POST /storage takes ?check and nothing else");
    LH_TRY(lh_store_check_start(storaged->store, storaged->check_bytes_per_second, err));
    return reply_state(storaged, x, 202, err);
}
