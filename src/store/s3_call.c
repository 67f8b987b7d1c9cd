/*
 * Repeats: a call is tried until it succeeds, fails in a way that does not pass, or is out of
 * tries, of time or of budget. Waits grow as 100, 200, 400 ms ... 5 s, of which a random part is
 * taken (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015: full jitter).
 */
#include "base/check.h"
#include "store/s3_client_private.h"

#include <string.h>

enum { PAUSE_MS_FIRST = 100, PAUSE_MS_MAX = 5000, PAUSE_STEP_MS = 50 };

static int64_t random_pause_ms(unsigned tries)
{
    int64_t limit = PAUSE_MS_FIRST;
    for (unsigned i = 1; i < tries && limit < PAUSE_MS_MAX; i++)
        limit *= 2;
    if (limit > PAUSE_MS_MAX)
        limit = PAUSE_MS_MAX;
    uint32_t random;
    lh_random_bytes(&random, sizeof(random));
    return random % (limit + 1);
}

/* False when the call must end meanwhile. */
static bool pause_before(const struct lh_s3_limits *limits, unsigned tries)
{
    lh_deadline until = lh_deadline_in_ms(random_pause_ms(tries));
    if (until.ns >= limits->deadline.ns)
        return false;
    while (!lh_deadline_passed(until)) {
        if (limits->cancelled != NULL && limits->cancelled(limits->ctx))
            return false;
        int left_ms = lh_deadline_left_ms(until);
        lh_sleep_ms(left_ms < PAUSE_STEP_MS ? left_ms + 1 : PAUSE_STEP_MS);
    }
    return true;
}

static bool take_from_budget(struct lh_s3_client *client)
{
    lh_mutex_lock(&client->mutex);
    bool enough = client->budget >= LH_S3_REPEAT_COST;
    if (enough) {
        client->budget -= LH_S3_REPEAT_COST;
        client->stats.repeats++;
    }
    lh_mutex_unlock(&client->mutex);
    return enough;
}

/* The store works. */
static void note_success(struct lh_s3_client *client)
{
    lh_mutex_lock(&client->mutex);
    client->stats.failed_in_row = 0;
    if (client->budget < LH_S3_BUDGET_MAX)
        client->budget++;
    lh_mutex_unlock(&client->mutex);
}

static void note_failure(struct lh_s3_client *client, const struct lh_error *err)
{
    lh_mutex_lock(&client->mutex);
    struct lh_s3_client_stats *stats = &client->stats;
    stats->failures++;
    stats->failed_in_row++;
    stats->last_error_ms = lh_now_ms();
    memcpy(stats->last_error, err->message, sizeof(stats->last_error));
    lh_mutex_unlock(&client->mutex);
}

lh_code lh_s3_client_call(struct lh_s3_client *client, const struct lh_s3_call *call,
                          struct lh_s3_answer *answer, struct lh_error *err)
{
    char sha256[LH_SHA256_HEX];
    struct lh_error failure = LH_ERROR_INIT;
    lh_sha256_hex(call->body_len > 0 ? call->body : "", call->body_len, sha256);
    answer->tries = 0;
    for (;;) {
        bool again = false;
        lh_s3_answer_reset(answer);
        answer->tries++;
        lh_code code = lh_s3_try(client, call, sha256, answer, &again, &failure);
        if (code == LH_OK) {
            note_success(client);
            return LH_OK;
        }
        if (again && !answer->handed_over && answer->tries < client->tries_max &&
            take_from_budget(client) && pause_before(&call->limits, answer->tries))
            continue;
        /* What a callback of the caller has refused says nothing about the store; an answer about
         * what was asked says that it works. */
        if (again || (code == LH_BAD_UPSTREAM && answer->status >= 300))
            note_failure(client, &failure);
        else if (answer->status >= 300)
            note_success(client);
        *err = failure;
        return code;
    }
}
