/*
 * The S3 store that `lakehouse storage` speaks to: where it is, with which keys, and its paths.
 */
#include "cli/storage.h"

#include "base/mem.h"
#include "cli/client.h"
#include "service/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STALL_TIMEOUT_MS = 30000,
    TRIES_MAX = 5,
    PART_BYTES = 16 << 20,
    PARTS_PARALLEL = 3,
    PAGE = 1000,
    TOKEN_BYTES_MAX = 64 << 10,
};

/* The first that is given. */
static const char *given(const char *flag, const char *variable, const char *fallback)
{
    const char *from_environment = getenv(variable);
    if (flag != NULL)
        return flag;
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : fallback;
}

/* By the configuration: an external store as storaged knows it, else storaged itself. */
static lh_code open_by(struct lh_storage *storage, const struct lh_settings *settings,
                       struct lh_error *err)
{
    const struct lh_storaged_settings *own = &settings->storaged;
    bool is_external = strcmp(own->backend, "s3") == 0;
    LH_AUTO_FREE char *here = lh_settings_url(settings, own->listen);
    const char *endpoint = is_external ? own->s3_endpoint : here;
    const char *ca_file = is_external ? own->s3_ca_file : settings->http.tls_ca;
    const char *key_id = is_external ? own->s3_access_key : settings->keys.id;
    const char *secret = is_external ? own->s3_secret_key : settings->keys.secret;
    const struct lh_s3_client_options options = {
        .endpoint = given(storage->endpoint, "AWS_ENDPOINT_URL", endpoint),
        .region = given(storage->region, "AWS_REGION", own->s3_region),
        .access_key = given(storage->key_id, "AWS_ACCESS_KEY_ID", key_id),
        .secret_key = given(storage->secret, "AWS_SECRET_ACCESS_KEY", secret),
        .user_agent = "lakehouse-cli/" LH_VERSION,
        .ca_file = ca_file,
        .bucket_in_host = is_external && strcmp(own->s3_addressing, "host") == 0,
        .stall_timeout_ms = STALL_TIMEOUT_MS,
        .tries_max = TRIES_MAX,
        .part_bytes = PART_BYTES,
        .parts_parallel = PARTS_PARALLEL,
        .buffer_bytes_max = (uint64_t)storage->parallel * PARTS_PARALLEL * PART_BYTES,
    };
    return lh_s3_client_new(&options, &storage->client, err);
}

lh_code lh_storage_open(struct lh_storage *storage, struct lh_error *err)
{
    const struct lh_config_source source = {
        .file = lh_client_config_file(storage->cli),
        .environment = environ,
    };
    struct lh_settings settings;
    LH_TRY(lh_settings_load(&source, &settings, NULL, err));
    lh_code code = open_by(storage, &settings, err);
    lh_settings_free(&settings);
    return code;
}

void lh_storage_close(struct lh_storage *storage)
{
    lh_s3_client_free(storage->client);
    storage->client = NULL;
}

struct lh_s3_limits lh_storage_limits(void)
{
    return (struct lh_s3_limits){.deadline = LH_NO_DEADLINE, .cancelled = lh_cli_interrupted};
}

/* ---- paths ---- */

lh_code lh_storage_parse(const char *text, struct lh_storage_path *ret, struct lh_error *err)
{
    lh_str rest = lh_str_from(text);
    if (lh_str_starts(rest, "s3://"))
        rest = lh_str_skip(rest, strlen("s3://"));
    else if (lh_str_starts(rest, "/"))
        rest = lh_str_skip(rest, 1);
    struct lh_storage_path path = {LH_STR(""), LH_STR("")};
    lh_str_next(&rest, '/', &path.bucket);
    if (path.bucket.len == 0)
        return lh_fail(err, LH_INVALID, "\"%s\" names no bucket: BUCKET/KEY is wanted", text);
    if (rest.len > 0)
        path.key = rest;
    *ret = path;
    return LH_OK;
}

lh_code lh_storage_parse_object(const char *text, struct lh_storage_path *ret, struct lh_error *err)
{
    LH_TRY(lh_storage_parse(text, ret, err));
    if (ret->key.len == 0)
        return lh_fail(err, LH_INVALID, "\"%s\" names no object: BUCKET/KEY is wanted", text);
    return LH_OK;
}

bool lh_storage_is_folder(const struct lh_storage_path *path)
{
    return path->key.len == 0 || path->key.ptr[path->key.len - 1] == '/';
}

lh_code lh_storage_walk(const struct lh_storage *storage, const struct lh_storage_path *path,
                        const char *delimiter, lh_s3_visitor visit, void *ctx, struct lh_error *err)
{
    struct lh_buf token = LH_BUF_INIT(TOKEN_BYTES_MAX);
    struct lh_buf next = LH_BUF_INIT(TOKEN_BYTES_MAX);
    lh_code code;
    do {
        const struct lh_s3_list list = {
            .bucket = path->bucket,
            .prefix = path->key,
            .delimiter = lh_str_from(delimiter),
            .token = lh_buf_str(&token),
            .limit = PAGE,
            .limits = lh_storage_limits(),
        };
        code = lh_s3_client_list(storage->client, &list, visit, ctx, &next, err);
        lh_buf_reset(&token);
        lh_buf_append_str(&token, lh_buf_str(&next));
    } while (code == LH_OK && next.len > 0);
    lh_buf_deinit(&token);
    lh_buf_deinit(&next);
    return code;
}
