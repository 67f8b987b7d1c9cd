/*
 * The external store: its keys, and what is tried before it is trusted.
 */
#include "storaged/remote.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

enum { PROBE_TIMEOUT_MS = 60000 };

struct lh_remote {
    struct lh_s3_client *client;
    char *endpoint;
    char *bucket;
    char *prefix;
    bool deletes_by_etag;
    bool parts_with_conditions;
};

/* ---- life ---- */

static lh_code need(const char *name, const char *value, struct lh_error *err)
{
    if (value[0] != '\0')
        return LH_OK;
    return lh_fail(err, LH_INVALID_CONFIG, "storaged.backend is \"s3\", but storaged.%s is not set",
                   name);
}

lh_code lh_remote_open(const struct lh_storaged_settings *settings, struct lh_remote **ret_remote,
                       struct lh_error *err)
{
    LH_TRY(need("s3_endpoint", settings->s3_endpoint, err));
    LH_TRY(need("s3_bucket", settings->s3_bucket, err));
    const struct lh_s3_client_options options = {
        .endpoint = settings->s3_endpoint,
        .region = settings->s3_region,
        .access_key = settings->s3_access_key,
        .secret_key = settings->s3_secret_key,
        .user_agent = "lakehouse-storaged",
        .ca_file = settings->s3_ca_file,
        .bucket_in_host = strcmp(settings->s3_addressing, "host") == 0,
        .is_backend = true,
        .stall_timeout_ms = settings->s3_timeout,
        .tries_max = (unsigned)settings->s3_tries_max,
        .part_bytes = (size_t)settings->s3_part_bytes,
        .parts_parallel = (unsigned)settings->s3_parts_parallel,
        .buffer_bytes_max = (uint64_t)settings->upload_budget_bytes,
    };
    struct lh_s3_client *client = NULL;
    if (settings->upload_budget_bytes < settings->s3_part_bytes)
        return lh_fail(err, LH_INVALID_CONFIG,
                       "storaged.upload_budget_bytes must hold a part of storaged.s3_part_bytes");
    LH_TRY(lh_s3_client_new(&options, &client, err));
    struct lh_remote *remote = lh_calloc(1, sizeof(*remote));
    remote->client = client;
    remote->endpoint = lh_strdup(settings->s3_endpoint);
    remote->bucket = lh_strdup(settings->s3_bucket);
    remote->prefix = lh_strdup(settings->s3_prefix);
    *ret_remote = remote;
    return LH_OK;
}

void lh_remote_close(struct lh_remote *remote)
{
    if (remote == NULL)
        return;
    lh_s3_client_free(remote->client);
    free(remote->endpoint);
    free(remote->bucket);
    free(remote->prefix);
    free(remote);
}

void lh_remote_facts(struct lh_remote *remote, struct lh_remote_facts *ret)
{
    *ret = (struct lh_remote_facts){
        .endpoint = remote->endpoint,
        .bucket = remote->bucket,
        .prefix = remote->prefix,
        .deletes_by_etag = remote->deletes_by_etag,
        .parts_with_conditions = remote->parts_with_conditions,
    };
    lh_s3_client_stats(remote->client, &ret->client);
}

/* ---- operations ---- */

/* A key of ours as the store has it. */
struct full_key {
    char bytes[LH_KEY_MAX];
    size_t len;
};

static lh_code make_key(const struct lh_remote *remote, lh_str key, struct full_key *ret,
                        struct lh_error *err)
{
    size_t prefix_len = strlen(remote->prefix);
    if (prefix_len + key.len > sizeof(ret->bytes))
        return lh_fail(err, LH_KEY_TOO_LONG,
                       "the key has %zu bytes; behind the prefix of the external store %zu are "
                       "possible",
                       key.len,
                       prefix_len < sizeof(ret->bytes) ? sizeof(ret->bytes) - prefix_len : 0);
    memcpy(ret->bytes, remote->prefix, prefix_len);
    if (key.len > 0)
        memcpy(ret->bytes + prefix_len, key.ptr, key.len);
    ret->len = prefix_len + key.len;
    return LH_OK;
}

static lh_str key_text(const struct full_key *key)
{
    return lh_str_of(key->bytes, key->len);
}

lh_code lh_remote_put(struct lh_remote *remote, lh_str key, const struct lh_s3_put *put,
                      struct lh_object_info *ret_info, struct lh_error *err)
{
    struct full_key full;
    struct lh_s3_put mine = *put;
    LH_TRY(make_key(remote, key, &full, err));
    mine.bucket = lh_str_from(remote->bucket);
    mine.key = key_text(&full);
    mine.whole_only = !remote->parts_with_conditions && (put->if_none_match || put->if_match);
    return lh_s3_client_put(remote->client, &mine, ret_info, err);
}

lh_code lh_remote_get(struct lh_remote *remote, lh_str key, const struct lh_s3_get *get,
                      struct lh_error *err)
{
    struct full_key full;
    struct lh_s3_get mine = *get;
    LH_TRY(make_key(remote, key, &full, err));
    mine.bucket = lh_str_from(remote->bucket);
    mine.key = key_text(&full);
    return lh_s3_client_get(remote->client, &mine, err);
}

lh_code lh_remote_head(struct lh_remote *remote, lh_str key, const struct lh_s3_limits *limits,
                       struct lh_s3_answer *answer, struct lh_error *err)
{
    struct full_key full;
    LH_TRY(make_key(remote, key, &full, err));
    return lh_s3_client_head(remote->client, lh_str_from(remote->bucket), key_text(&full), limits,
                             answer, err);
}

/* For a store that would ignore the condition of a DELETE. */
static lh_code check_etag(struct lh_remote *remote, lh_str full, const char *if_match,
                          const struct lh_s3_limits *limits, struct lh_error *err)
{
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(0);
    lh_code code =
        lh_s3_client_head(remote->client, lh_str_from(remote->bucket), full, limits, &answer, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_PRECONDITION, "there is no such object");
    LH_TRY(code);
    if (strcmp(answer.info.etag, if_match) != 0)
        return lh_fail(err, LH_PRECONDITION, "the object has another etag");
    return LH_OK;
}

lh_code lh_remote_delete(struct lh_remote *remote, lh_str key, const char *if_match,
                         const struct lh_s3_limits *limits, struct lh_error *err)
{
    struct full_key full;
    LH_TRY(make_key(remote, key, &full, err));
    if (if_match != NULL && !remote->deletes_by_etag) {
        LH_TRY(check_etag(remote, key_text(&full), if_match, limits, err));
        if_match = NULL;
    }
    return lh_s3_client_delete(remote->client, lh_str_from(remote->bucket), key_text(&full),
                               if_match, limits, err);
}

/* Takes the prefix off the names of a listing. */
struct visit {
    const struct lh_remote *remote;
    lh_s3_visitor visitor;
    void *ctx;
};

static lh_code visit_name(void *ctx, lh_str name, const struct lh_object_info *info,
                          struct lh_error *err)
{
    const struct visit *visit = ctx;
    if (!lh_str_starts(name, visit->remote->prefix))
        return lh_fail(err, LH_BAD_UPSTREAM, "the store lists a key that was not asked for");
    return visit->visitor(visit->ctx, lh_str_skip(name, strlen(visit->remote->prefix)), info, err);
}

lh_code lh_remote_list(struct lh_remote *remote, const struct lh_s3_list *list,
                       lh_s3_visitor visitor, void *ctx, struct lh_buf *ret_token,
                       struct lh_error *err)
{
    struct full_key prefix;
    struct lh_s3_list mine = *list;
    struct visit visit = {remote, visitor, ctx};
    LH_TRY(make_key(remote, list->prefix, &prefix, err));
    mine.bucket = lh_str_from(remote->bucket);
    mine.prefix = key_text(&prefix);
    return lh_s3_client_list(remote->client, &mine, visit_name, &visit, ret_token, err);
}

/* ---- the probe ---- */

struct probe {
    struct lh_remote *remote;
    char key[16 + LH_UUID_TEXT];
    struct lh_s3_limits limits;
};

static lh_code read_byte(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    (void)err;
    bool *is_read = ctx;
    *ret_len = *is_read || max == 0 ? 0 : 1;
    memset(bytes, 'p', *ret_len);
    *is_read = true;
    return LH_OK;
}

/* An etag that no object has. */
static const char no_etag[] = "00000000000000000000000000000000";

struct condition {
    bool if_none_match;
    const char *if_match;
    bool in_parts;
};

static lh_code put_probe(const struct probe *probe, const struct condition *condition,
                         struct lh_object_info *ret_info, struct lh_error *err)
{
    bool is_read = false;
    const struct lh_s3_put put = {
        .if_none_match = condition->if_none_match,
        .if_match = condition->if_match,
        .in_parts = condition->in_parts,
        .length = 1,
        .read = read_byte,
        .ctx = &is_read,
        .limits = probe->limits,
    };
    return lh_remote_put(probe->remote, lh_str_from(probe->key), &put, ret_info, err);
}

/* A condition that does not hold: *ret_refused is whether the store refuses, as it must. One that
 * says that it cannot is no better than one that ignores it. */
static lh_code try_refusal(const struct probe *probe, const struct condition *condition,
                           bool *ret_refused, struct lh_error *err)
{
    struct lh_object_info info;
    struct lh_error failure = LH_ERROR_INIT;
    lh_code code = put_probe(probe, condition, &info, &failure);
    *ret_refused = code == LH_PRECONDITION;
    if (*ret_refused || code == LH_OK || code == LH_UNSUPPORTED || code == LH_INVALID)
        return LH_OK;
    *err = failure;
    return code;
}

static lh_code need_refusal(const struct probe *probe, const struct condition *condition,
                            struct lh_error *err)
{
    bool refused = false;
    LH_TRY(try_refusal(probe, condition, &refused, err));
    if (refused)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG,
                      "the store ignores %s on PUT: two writers would overwrite each other's "
                      "commits",
                      condition->if_none_match ? "If-None-Match" : "If-Match"),
              "the hint returns it");
    return lh_hint(err, "use a store with conditional writes, such as AWS, MinIO or storaged");
}

static lh_code try_parts(const struct probe *probe, struct lh_error *err)
{
    struct lh_remote *remote = probe->remote;
    bool none_match = false, match = false;
    remote->parts_with_conditions = true;
    LH_TRY(try_refusal(probe, &(struct condition){.if_none_match = true, .in_parts = true},
                       &none_match, err));
    LH_TRY(try_refusal(probe, &(struct condition){.if_match = no_etag, .in_parts = true}, &match,
                       err));
    remote->parts_with_conditions = none_match && match;
    return LH_OK;
}

/* Leaves nothing behind if it can. */
static lh_code try_delete(const struct probe *probe, struct lh_error *err)
{
    struct lh_remote *remote = probe->remote;
    struct lh_error ignored = LH_ERROR_INIT;
    remote->deletes_by_etag = true;
    lh_code code =
        lh_remote_delete(remote, lh_str_from(probe->key), no_etag, &probe->limits, &ignored);
    remote->deletes_by_etag = code == LH_PRECONDITION;
    return lh_remote_delete(remote, lh_str_from(probe->key), NULL, &probe->limits, err);
}

static lh_code try_all(const struct probe *probe, struct lh_error *err)
{
    struct lh_object_info info;
    const struct condition absent = {.if_none_match = true};
    const struct condition other = {.if_match = no_etag};
    LH_TRY(put_probe(probe, &absent, &info, err));
    LH_TRY(need_refusal(probe, &absent, err));
    LH_TRY(need_refusal(probe, &other, err));
    LH_TRY(put_probe(probe, &(struct condition){.if_match = info.etag}, &info, err));
    return try_parts(probe, err);
}

lh_code lh_remote_probe(struct lh_remote *remote, bool (*stopping)(const void *ctx),
                        const void *ctx, struct lh_error *err)
{
    struct probe probe = {
        .remote = remote,
        .key = "_probe/",
        .limits = {lh_deadline_in_ms(PROBE_TIMEOUT_MS), stopping, ctx},
    };
    struct lh_error ignored = LH_ERROR_INIT;
    lh_uuid7(probe.key + strlen("_probe/"));
    lh_code code = try_all(&probe, err);
    lh_code deleted = try_delete(&probe, code == LH_OK ? err : &ignored);
    code = code != LH_OK ? code : deleted;
    if (code != LH_OK)
        return lh_fail_context(err, "the bucket %s at %s cannot be used", remote->bucket,
                               remote->endpoint);
    return LH_OK;
}
