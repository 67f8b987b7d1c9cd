/*
 * lakehouse storage ls, du, stat, rm, cp, presign, mb and rb.
 */
#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/storage.h"
#include "cli/terminal.h"
#include "net/sigv4.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES_MAX = 16 << 10, NAME_COLUMNS_MAX = 4096 };

static void print_line(struct lh_buf *line)
{
    lh_buf_append_char(line, '\n');
    fwrite(line->data, 1, line->len, stdout);
}

/* A name for a terminal has no control characters; for a program it is as it is. */
static void put_name(struct lh_buf *line, lh_str name)
{
    if (lh_is_terminal(stdout))
        lh_put_clipped(line, name, NAME_COLUMNS_MAX);
    else
        lh_buf_append_str(line, name);
}

/* ---- ls ---- */

static void put_entry_json(struct lh_buf *line, lh_str name, const struct lh_object_info *info,
                           bool is_bucket)
{
    char modified[LH_RFC3339_SIZE];
    struct lh_json json = LH_JSON_TO(line);
    lh_json_object(&json);
    lh_json_kstr(&json, is_bucket ? "bucket" : info != NULL ? "key" : "prefix", name);
    if (info != NULL) {
        lh_format_rfc3339(info->modified_ms, modified);
        if (!is_bucket) {
            lh_json_ku64(&json, "size", info->size);
            lh_json_kcstr(&json, "etag", info->etag);
        }
        lh_json_kcstr(&json, is_bucket ? "created" : "modified", modified);
    }
    lh_json_object_end(&json);
}

/* "2026-11-22 15:04:05      12.3 MB  name" */
static void put_entry_long(struct lh_buf *line, lh_str name, const struct lh_object_info *info,
                           bool is_bucket)
{
    char modified[LH_RFC3339_SIZE] = "";
    char size[LH_HUMAN_SIZE] = "";
    if (info != NULL) {
        lh_format_rfc3339(info->modified_ms, modified);
        modified[10] = ' ';
        modified[19] = '\0';
    }
    if (info != NULL && !is_bucket)
        lh_human_bytes(info->size, size);
    lh_buf_printf(line, "%-19s  %10s  ", modified, size);
    if (!is_bucket)
        lh_buf_printf(line, "%-32s  ", info != NULL ? info->etag : "");
    put_name(line, name);
}

static void print_entry(const struct lh_storage *storage, lh_str name,
                        const struct lh_object_info *info, bool is_bucket)
{
    LH_AUTO_BUF struct lh_buf line = LH_BUF_INIT(LINE_BYTES_MAX);
    if (storage->as_json)
        put_entry_json(&line, name, info, is_bucket);
    else if (storage->is_long)
        put_entry_long(&line, name, info, is_bucket);
    else
        put_name(&line, name);
    print_line(&line);
}

static lh_code print_object(void *ctx, lh_str name, const struct lh_object_info *info,
                            struct lh_error *err)
{
    (void)err;
    print_entry(ctx, name, info, false);
    return LH_OK;
}

static lh_code print_bucket(void *ctx, lh_str name, const struct lh_object_info *info,
                            struct lh_error *err)
{
    (void)err;
    print_entry(ctx, name, info, true);
    return LH_OK;
}

lh_code lh_storage_ls(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    struct lh_storage_path path;
    struct lh_s3_limits limits = lh_storage_limits();
    if (count == 0)
        return lh_s3_client_list_buckets(storage->client, &limits, print_bucket, storage, err);
    LH_TRY(lh_storage_parse(words[0], &path, err));
    return lh_storage_walk(storage, &path, storage->recursive ? "" : "/", print_object, storage,
                           err);
}

/* ---- du, stat ---- */

struct usage {
    uint64_t objects;
    uint64_t bytes;
};

static lh_code add_usage(void *ctx, lh_str name, const struct lh_object_info *info,
                         struct lh_error *err)
{
    (void)name, (void)err;
    struct usage *usage = ctx;
    usage->objects++;
    usage->bytes += info->size;
    return LH_OK;
}

lh_code lh_storage_du(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    (void)count;
    struct lh_storage_path path;
    struct usage usage = {0};
    char objects[LH_HUMAN_SIZE], bytes[LH_HUMAN_SIZE];
    LH_TRY(lh_storage_parse(words[0], &path, err));
    LH_TRY(lh_storage_walk(storage, &path, "", add_usage, &usage, err));
    if (storage->as_json || !lh_is_terminal(stdout))
        printf("{\"objects\":%llu,\"bytes\":%llu}\n", (unsigned long long)usage.objects,
               (unsigned long long)usage.bytes);
    else
        printf("%s objects  %s\n", lh_human_count(usage.objects, objects),
               lh_human_bytes(usage.bytes, bytes));
    return LH_OK;
}

static void put_stat_json(struct lh_buf *line, lh_str key, const struct lh_s3_answer *answer)
{
    char modified[LH_RFC3339_SIZE];
    char checksum[LH_CHECKSUM_TEXT];
    struct lh_json json = LH_JSON_TO(line);
    lh_format_rfc3339(answer->info.modified_ms, modified);
    lh_json_object(&json);
    lh_json_kstr(&json, "key", key);
    lh_json_ku64(&json, "size", answer->info.size);
    lh_json_kcstr(&json, "etag", answer->info.etag);
    lh_json_kcstr(&json, "modified", modified);
    lh_json_kcstr(&json, "content_type", answer->content_type);
    if (answer->checksum.kind != LH_CHECKSUM_NONE) {
        lh_checksum_text(&answer->checksum, checksum);
        lh_json_kcstr(&json, "checksum_algorithm", lh_checksum_name(answer->checksum.kind));
        lh_json_kcstr(&json, "checksum", checksum);
    }
    lh_json_object_end(&json);
}

static void put_stat_text(struct lh_buf *line, lh_str key, const struct lh_s3_answer *answer)
{
    char modified[LH_RFC3339_SIZE];
    char size[LH_HUMAN_SIZE];
    lh_format_rfc3339(answer->info.modified_ms, modified);
    put_name(line, key);
    lh_buf_printf(line, "\n  size      %llu (%s)\n  etag      %s\n  modified  %s\n  type      ",
                  (unsigned long long)answer->info.size, lh_human_bytes(answer->info.size, size),
                  answer->info.etag, modified);
    put_name(line, lh_str_from(answer->content_type));
}

lh_code lh_storage_stat(struct lh_storage *storage, const char *const *words, size_t count,
                        struct lh_error *err)
{
    (void)count;
    struct lh_storage_path path;
    struct lh_s3_limits limits = lh_storage_limits();
    LH_AUTO_BUF struct lh_buf line = LH_BUF_INIT(LINE_BYTES_MAX);
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(0);
    LH_TRY(lh_storage_parse_object(words[0], &path, err));
    LH_TRY(lh_s3_client_head(storage->client, path.bucket, path.key, &limits, &answer, err));
    if (storage->as_json || !lh_is_terminal(stdout))
        put_stat_json(&line, path.key, &answer);
    else
        put_stat_text(&line, path.key, &answer);
    print_line(&line);
    return LH_OK;
}

/* ---- rm, cp ---- */

static lh_code remove_item(struct lh_storage_job *job, const struct lh_storage_item *item,
                           struct lh_error *err)
{
    struct lh_s3_limits limits = {LH_NO_DEADLINE, lh_storage_job_ends, job};
    return lh_s3_client_delete(job->storage->client, job->bucket, lh_str_from(item->key), NULL,
                               &limits, err);
}

/* An object, or all below a prefix when -r is given. */
static lh_code plan_of(struct lh_storage *storage, const struct lh_storage_path *path,
                       struct lh_storage_plan *plan, struct lh_error *err)
{
    if (storage->recursive)
        return lh_storage_plan_list(storage, path, plan, err);
    if (path->key.len == 0)
        return lh_fail(err, LH_INVALID, "%.*s is a bucket: -r means all of its objects",
                       LH_FMT(path->bucket));
    lh_storage_plan_add(plan,
                        (struct lh_storage_item){.key = lh_strndup(path->key.ptr, path->key.len)});
    return LH_OK;
}

lh_code lh_storage_rm(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    struct lh_storage_sum sum = {.verb = "rm"};
    lh_mono start = lh_mono_now();
    for (size_t i = 0; i < count; i++) {
        struct lh_storage_path path;
        LH_AUTO_STORAGE_PLAN struct lh_storage_plan plan = {0};
        LH_TRY(lh_storage_parse(words[i], &path, err));
        LH_TRY(plan_of(storage, &path, &plan, err));
        struct lh_storage_job job = {.storage = storage, .bucket = path.bucket};
        LH_TRY(lh_storage_run(&job, &plan, "rm", remove_item, err));
        sum.deleted += plan.count;
    }
    sum.seconds = lh_mono_since_s(start);
    lh_storage_print_sum(storage, &sum);
    return LH_OK;
}

/* From where to where; a folder's keys keep what stands behind `from`. */
struct copying {
    struct lh_storage_path from;
    struct lh_storage_path to;
};

static lh_code copy_item(struct lh_storage_job *job, const struct lh_storage_item *item,
                         struct lh_error *err)
{
    const struct copying *copying = job->ctx;
    lh_str key = lh_str_from(item->key);
    lh_str rest = job->storage->recursive ? lh_str_skip(key, copying->from.key.len) : LH_STR("");
    LH_AUTO_FREE char *target = lh_asprintf("%.*s%.*s", LH_FMT(copying->to.key), LH_FMT(rest));
    const struct lh_s3_copy copy = {
        .bucket = copying->to.bucket,
        .key = lh_str_from(target),
        .from_bucket = copying->from.bucket,
        .from_key = key,
        .limits = {LH_NO_DEADLINE, lh_storage_job_ends, job},
    };
    LH_TRY(lh_s3_client_copy(job->storage->client, &copy, err));
    atomic_fetch_add(&job->moved_bytes, item->bytes);
    return LH_OK;
}

lh_code lh_storage_cp(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    (void)count;
    struct copying copying;
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan plan = {0};
    lh_mono start = lh_mono_now();
    LH_TRY(lh_storage_parse(words[0], &copying.from, err));
    LH_TRY(lh_storage_parse(words[1], &copying.to, err));
    LH_TRY(plan_of(storage, &copying.from, &plan, err));
    /* Into a folder, an object keeps its last name. */
    LH_AUTO_FREE char *target = NULL;
    if (!storage->recursive && lh_storage_is_folder(&copying.to)) {
        const char *slash = strrchr(plan.items[0].key, '/');
        target = lh_asprintf("%.*s%s", LH_FMT(copying.to.key),
                             slash != NULL ? slash + 1 : plan.items[0].key);
        copying.to.key = lh_str_from(target);
    }
    struct lh_storage_job job = {
        .storage = storage, .bucket = copying.from.bucket, .ctx = &copying};
    LH_TRY(lh_storage_run(&job, &plan, "cp", copy_item, err));
    lh_storage_print_sum(storage, &(struct lh_storage_sum){.verb = "cp",
                                                           .files = plan.count,
                                                           .bytes = job.moved_bytes,
                                                           .seconds = lh_mono_since_s(start)});
    return LH_OK;
}

/* ---- presign, mb, rb ---- */

lh_code lh_storage_presign(struct lh_storage *storage, const char *const *words, size_t count,
                           struct lh_error *err)
{
    (void)count;
    struct lh_storage_path path;
    int64_t expires_ms = 0;
    const char *expires = storage->expires != NULL ? storage->expires : "1h";
    LH_AUTO_BUF struct lh_buf url = LH_BUF_INIT(LINE_BYTES_MAX);
    LH_TRY(lh_storage_parse_object(words[0], &path, err));
    if (!lh_parse_duration_ms(lh_str_from(expires), &expires_ms) || expires_ms < 1000 ||
        expires_ms / 1000 > LH_SIGV4_EXPIRES_MAX)
        return lh_fail(err, LH_INVALID, "--expires is a time from 1s to 7d, not \"%s\"", expires);
    LH_TRY(lh_s3_client_presign(storage->client, storage->to_put ? LH_HTTP_PUT : LH_HTTP_GET,
                                path.bucket, path.key, expires_ms / 1000, &url, err));
    print_line(&url);
    return LH_OK;
}

static lh_code call_bucket(struct lh_storage *storage, enum lh_http_method method, const char *word,
                           struct lh_error *err)
{
    struct lh_storage_path path;
    LH_TRY(lh_storage_parse(word, &path, err));
    if (path.key.len > 0)
        return lh_fail(err, LH_INVALID, "\"%s\" is not a bucket", word);
    const struct lh_s3_call call = {
        .method = method, .bucket = path.bucket, .limits = lh_storage_limits()};
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(LINE_BYTES_MAX);
    return lh_s3_client_call(storage->client, &call, &answer, err);
}

lh_code lh_storage_mb(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    (void)count;
    return call_bucket(storage, LH_HTTP_PUT, words[0], err);
}

lh_code lh_storage_rb(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err)
{
    (void)count;
    return call_bucket(storage, LH_HTTP_DELETE, words[0], err);
}
