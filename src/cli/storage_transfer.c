/*
 * lakehouse storage put and get: files, folders, stdin and stdout.
 */
#include "base/mem.h"
#include "base/os.h"
#include "cli/progress.h"
#include "cli/storage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STDIN_BYTES_MAX_GIB = 5 * 1024 };

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void lh_storage_print_sum(const struct lh_storage *storage, const struct lh_storage_sum *sum)
{
    if (storage->as_json || !lh_is_terminal(stdout)) {
        printf("{\"files\":%llu,\"bytes\":%llu,\"skipped\":%llu,\"deleted\":%llu,"
               "\"elapsed_ms\":%lld}\n",
               (unsigned long long)sum->files, (unsigned long long)sum->bytes,
               (unsigned long long)sum->skipped, (unsigned long long)sum->deleted,
               (long long)(sum->seconds * 1000));
        return;
    }
    char files[LH_HUMAN_SIZE], bytes[LH_HUMAN_SIZE], seconds[LH_HUMAN_SIZE], rate[LH_HUMAN_SIZE];
    double speed = sum->seconds > 0 ? (double)sum->bytes / sum->seconds : 0;
    printf("%s  %s objects  %s  %s  %s/s", sum->verb, lh_human_count(sum->files, files),
           lh_human_bytes(sum->bytes, bytes), lh_human_seconds(sum->seconds, seconds),
           lh_human_bytes((uint64_t)speed, rate));
    if (sum->skipped > 0)
        printf("  %s the same", lh_human_count(sum->skipped, files));
    if (sum->deleted > 0)
        printf("  %s deleted", lh_human_count(sum->deleted, files));
    putchar('\n');
}

/* Runs the plan, and says what came of it. */
static lh_code transfer(struct lh_storage *storage, lh_str bucket,
                        const struct lh_storage_plan *plan, const char *verb, lh_storage_work work,
                        struct lh_storage_sum *ret_sum, struct lh_error *err)
{
    lh_mono start = lh_mono_now();
    struct lh_storage_job job = {.storage = storage, .bucket = bucket};
    LH_TRY(lh_storage_run(&job, plan, verb, work, err));
    *ret_sum = (struct lh_storage_sum){
        .verb = verb,
        .files = plan->count - job.skipped,
        .bytes = job.moved_bytes,
        .skipped = job.skipped,
        .seconds = lh_mono_since_s(start),
    };
    return LH_OK;
}

/* ---- put ---- */

static lh_code read_stdin(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    (void)ctx;
    ssize_t got = lh_io->read(STDIN_FILENO, bytes, max);
    if (got < 0)
        return lh_fail_errno(err, "cannot read stdin");
    *ret_len = (size_t)got;
    return LH_OK;
}

static lh_code put_stdin(struct lh_storage *storage, const struct lh_storage_path *to,
                         struct lh_error *err)
{
    lh_mono start = lh_mono_now();
    struct lh_object_info info;
    if (lh_storage_is_folder(to))
        return lh_fail(err, LH_INVALID, "what comes from stdin needs a whole key");
    const struct lh_s3_put put = {
        .bucket = to->bucket,
        .key = to->key,
        .length = -1,
        .size_max = (uint64_t)STDIN_BYTES_MAX_GIB << 30,
        .read = read_stdin,
        .limits = lh_storage_limits(),
    };
    LH_TRY(lh_s3_client_put(storage->client, &put, &info, err));
    lh_storage_print_sum(storage, &(struct lh_storage_sum){.verb = "put",
                                                           .files = 1,
                                                           .bytes = info.size,
                                                           .seconds = lh_mono_since_s(start)});
    return LH_OK;
}

/* The key under which a folder's or a file's name goes. */
static char *key_of(const struct lh_storage_path *to, const char *local, bool folder)
{
    bool is_folder = lh_storage_is_folder(to);
    if (folder)
        return lh_asprintf("%.*s%s", LH_FMT(to->key), is_folder ? "" : "/");
    return lh_asprintf("%.*s%s", LH_FMT(to->key), is_folder ? last_name(local) : "");
}

static lh_code plan_local(const char *local, const struct lh_storage_path *to,
                          struct lh_storage_plan *plan, struct lh_error *err)
{
    struct stat st;
    if (stat(local, &st) != 0)
        return lh_fail_errno(err, "cannot look at %s", local);
    LH_AUTO_FREE char *key = key_of(to, local, S_ISDIR(st.st_mode));
    if (S_ISDIR(st.st_mode))
        return lh_storage_plan_files(local, lh_str_from(key), plan, err);
    lh_storage_plan_add(plan, (struct lh_storage_item){.local = lh_strdup(local),
                                                       .key = LH_TAKE(key),
                                                       .bytes = (uint64_t)st.st_size});
    return LH_OK;
}

/* What is there already, into the items; and what there is beside them, into `extra`. */
static void compare(struct lh_storage_plan *plan, const struct lh_storage_plan *there,
                    struct lh_storage_plan *extra)
{
    lh_storage_plan_sort(plan);
    for (size_t i = 0; i < plan->count; i++) {
        const struct lh_storage_item *found = lh_storage_plan_find(there, plan->items[i].key);
        if (found != NULL)
            plan->items[i].remote = found->remote;
    }
    for (size_t i = 0; i < there->count; i++) {
        if (lh_storage_plan_find(plan, there->items[i].key) == NULL)
            lh_storage_plan_add(extra,
                                (struct lh_storage_item){.key = lh_strdup(there->items[i].key)});
    }
}

static lh_code delete_item(struct lh_storage_job *job, const struct lh_storage_item *item,
                           struct lh_error *err)
{
    struct lh_s3_limits limits = {LH_NO_DEADLINE, lh_storage_job_ends, job};
    return lh_s3_client_delete(job->storage->client, job->bucket, lh_str_from(item->key), NULL,
                               &limits, err);
}

static lh_code put_plan(struct lh_storage *storage, const struct lh_storage_path *to,
                        struct lh_storage_plan *plan, struct lh_error *err)
{
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan there = {0};
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan extra = {0};
    struct lh_storage_sum sum, deleted = {0};
    if (storage->sync) {
        LH_TRY(lh_storage_plan_list(storage, to, &there, err));
        lh_storage_plan_sort(&there);
        compare(plan, &there, &extra);
    }
    LH_TRY(transfer(storage, to->bucket, plan, "put", lh_storage_upload, &sum, err));
    if (storage->with_delete)
        LH_TRY(transfer(storage, to->bucket, &extra, "delete", delete_item, &deleted, err));
    sum.deleted = deleted.files;
    lh_storage_print_sum(storage, &sum);
    return LH_OK;
}

lh_code lh_storage_put(struct lh_storage *storage, const char *const *words, size_t count,
                       struct lh_error *err)
{
    struct lh_storage_path to;
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan plan = {0};
    LH_TRY(lh_storage_parse(words[count - 1], &to, err));
    if (count == 2 && strcmp(words[0], "-") == 0)
        return put_stdin(storage, &to, err);
    if (count > 2 && !lh_storage_is_folder(&to))
        return lh_fail(err, LH_INVALID, "several files go below a key that ends in a slash");
    if (storage->with_delete && (count > 2 || !is_directory(words[0])))
        return lh_fail(err, LH_INVALID, "--delete goes with one folder");
    for (size_t i = 0; i + 1 < count; i++)
        LH_TRY(plan_local(words[i], &to, &plan, err));
    /* The objects of a folder lie below its key with a slash. */
    LH_AUTO_FREE char *base = key_of(&to, words[0], is_directory(words[0]));
    const struct lh_storage_path below = {to.bucket, lh_str_from(base)};
    return put_plan(storage, count == 2 ? &below : &to, &plan, err);
}

/* ---- get ---- */

/* Objects that only mark a folder: empty, with a key that ends in a slash. The rest keeps its
 * order. */
static void drop_markers(struct lh_storage_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct lh_storage_item item = plan->items[i];
        if (item.bytes == 0 && lh_str_ends(lh_str_from(item.key), "/"))
            continue;
        plan->items[i] = plan->items[kept];
        plan->items[kept++] = item;
    }
    while (plan->count > kept)
        free(plan->items[--plan->count].key);
}

static lh_code name_items(struct lh_storage_plan *plan, const char *folder, lh_str base,
                          struct lh_error *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct lh_storage_item *item = &plan->items[i];
        LH_TRY(lh_storage_local_name(folder, base, lh_str_from(item->key), &item->local, err));
    }
    return LH_OK;
}

/* Files below the folder that are no objects. */
static lh_code remove_others(const struct lh_storage_plan *plan, const char *folder, lh_str base,
                             uint64_t *ret_count, struct lh_error *err)
{
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan files = {0};
    LH_TRY(lh_storage_plan_files(folder, base, &files, err));
    for (size_t i = 0; i < files.count; i++) {
        if (lh_storage_plan_find(plan, files.items[i].key) != NULL)
            continue;
        if (lh_io->unlinkat(AT_FDCWD, files.items[i].local, 0) != 0)
            return lh_fail_errno(err, "cannot remove %s", files.items[i].local);
        ++*ret_count;
    }
    return LH_OK;
}

static lh_code get_folder(struct lh_storage *storage, const struct lh_storage_path *from,
                          const char *folder, struct lh_error *err)
{
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan plan = {0};
    struct lh_storage_sum sum;
    LH_AUTO_FREE char *base = key_of(from, "", true);
    const struct lh_storage_path below = {from->bucket,
                                          from->key.len > 0 ? lh_str_from(base) : LH_STR("")};
    LH_TRY(lh_storage_plan_list(storage, &below, &plan, err));
    lh_storage_plan_sort(&plan);
    drop_markers(&plan);
    LH_TRY(name_items(&plan, folder, below.key, err));
    if (plan.count == 0 && below.key.len > 0)
        return lh_fail(err, LH_NOT_FOUND, "there are no objects below %.*s/%.*s",
                       LH_FMT(below.bucket), LH_FMT(below.key));
    LH_TRY(transfer(storage, from->bucket, &plan, "get", lh_storage_download, &sum, err));
    if (storage->with_delete && is_directory(folder))
        LH_TRY(remove_others(&plan, folder, below.key, &sum.deleted, err));
    lh_storage_print_sum(storage, &sum);
    return LH_OK;
}

static lh_code get_object(struct lh_storage *storage, const struct lh_storage_path *from,
                          const char *local, struct lh_error *err)
{
    LH_AUTO_STORAGE_PLAN struct lh_storage_plan plan = {0};
    LH_AUTO_S3_ANSWER struct lh_s3_answer answer = LH_S3_ANSWER_INIT(0);
    struct lh_s3_limits limits = lh_storage_limits();
    struct lh_storage_sum sum;
    struct lh_storage_item item = {0};
    bool to_stdout = local != NULL && strcmp(local, "-") == 0;
    LH_TRY(lh_s3_client_head(storage->client, from->bucket, from->key, &limits, &answer, err));
    item.key = lh_strndup(from->key.ptr, from->key.len);
    item.remote = answer.info;
    item.bytes = answer.info.size;
    if (local == NULL)
        item.local = lh_strdup(last_name(item.key));
    else if (!to_stdout)
        item.local = is_directory(local) ? lh_asprintf("%s/%s", local, last_name(item.key))
                                         : lh_strdup(local);
    lh_storage_plan_add(&plan, item);
    LH_TRY(transfer(storage, from->bucket, &plan, "get", lh_storage_download, &sum, err));
    if (!to_stdout)
        lh_storage_print_sum(storage, &sum);
    return LH_OK;
}

lh_code lh_storage_get(struct lh_storage *storage, const char *const *words, size_t count,
                       struct lh_error *err)
{
    struct lh_storage_path from;
    const char *local = count > 1 ? words[1] : NULL;
    LH_TRY(lh_storage_parse(words[0], &from, err));
    bool folder = storage->recursive || lh_storage_is_folder(&from);
    if (storage->with_delete && !folder)
        return lh_fail(err, LH_INVALID, "--delete goes with a folder");
    if (!folder)
        return get_object(storage, &from, local, err);
    if (local != NULL && strcmp(local, "-") == 0)
        return lh_fail(err, LH_INVALID, "only one object goes to stdout");
    return get_folder(storage, &from, local != NULL ? local : ".", err);
}
