/*
 * What the subcommands of `lakehouse storage` share: the S3 store that they speak to, how its
 * objects are written on the command line, and the transfer of many at the same time.
 */
#ifndef LH_CLI_STORAGE_H
#define LH_CLI_STORAGE_H

#include "cli/cli.h"
#include "store/s3_client.h"

#include <stdatomic.h>

struct lh_storage {
    struct lh_cli *cli;
    struct lh_s3_client *client;

    /* Flags. */
    const char *endpoint;
    const char *key_id;
    const char *secret;
    const char *region;
    const char *expires;
    int64_t parallel;
    bool as_json;
    bool is_long;
    bool recursive;
    bool sync;
    bool with_delete;
    bool to_put; /* presign */
};

enum { LH_STORAGE_PARALLEL_DEFAULT = 8, LH_STORAGE_PARALLEL_MAX = 64 };

/* storage.c. Where and with which keys: flags, then the environment (AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL), then the configuration. */
lh_code lh_storage_open(struct lh_storage *storage, struct lh_error *err);
void lh_storage_close(struct lh_storage *storage);
/* Until Ctrl-C. */
struct lh_s3_limits lh_storage_limits(void);

/* "bucket/key" (a leading "s3://" or "/" is skipped); borrowed from the text. LH_INVALID without a
 * bucket. */
struct lh_storage_path {
    lh_str bucket;
    lh_str key; /* may be empty */
};
lh_code lh_storage_parse(const char *text, struct lh_storage_path *ret, struct lh_error *err);
/* The same, and the key must be there. */
lh_code lh_storage_parse_object(const char *text, struct lh_storage_path *ret,
                                struct lh_error *err);
/* Whether a path means all objects below it: it has no key, or ends in a slash. */
bool lh_storage_is_folder(const struct lh_storage_path *path);

/* All pages of a listing. */
lh_code lh_storage_walk(const struct lh_storage *storage, const struct lh_storage_path *path,
                        const char *delimiter, lh_s3_visitor visit, void *ctx,
                        struct lh_error *err);

/* ---- many at the same time (storage_plan.c) ---- */

struct lh_storage_item {
    char *local; /* a file; NULL where there is none */
    char *key;
    struct lh_object_info remote; /* as it is listed; etag "" = it is not there */
    uint64_t bytes;               /* to be moved */
};

struct lh_storage_plan {
    struct lh_storage_item *items;
    size_t count;
    size_t capacity;
    uint64_t bytes;
};

/* Takes the item's strings. */
void lh_storage_plan_add(struct lh_storage_plan *plan, struct lh_storage_item item);
void lh_storage_plan_deinit(struct lh_storage_plan *plan);
#define LH_AUTO_STORAGE_PLAN __attribute__((cleanup(lh_storage_plan_deinit)))
/* By key, so that find works. */
void lh_storage_plan_sort(struct lh_storage_plan *plan);
const struct lh_storage_item *lh_storage_plan_find(const struct lh_storage_plan *plan,
                                                   const char *key);
/* Adds every object below the path. */
lh_code lh_storage_plan_list(const struct lh_storage *storage, const struct lh_storage_path *path,
                             struct lh_storage_plan *plan, struct lh_error *err);

/* A plan being carried out. Workers add to what moved. */
struct lh_storage_job {
    const struct lh_storage *storage;
    lh_str bucket;
    void *ctx;
    atomic_uint_fast64_t moved_bytes;
    atomic_uint_fast64_t skipped; /* items that were the same already */
    atomic_bool failed;           /* the others stop, too */
};
typedef lh_code (*lh_storage_work)(struct lh_storage_job *job, const struct lh_storage_item *item,
                                   struct lh_error *err);

/* Carries out the plan by up to `parallel` threads, with a progress line. After the first failure,
 * which is returned, and after Ctrl-C nothing new is begun and what is under way is given up. */
lh_code lh_storage_run(struct lh_storage_job *job, const struct lh_storage_plan *plan,
                       const char *label, lh_storage_work work, struct lh_error *err);
/* For limits of calls within a job. */
bool lh_storage_job_ends(const void *job);

/* ---- files (storage_file.c) ---- */

/* Whether the file has these bytes, by size and by its ETag (of one piece, or of our parts). */
lh_code lh_storage_same(const struct lh_storage *storage, const char *path,
                        const struct lh_object_info *info, bool *ret_same, struct lh_error *err);
/* Adds every regular file below the folder; keys are `base` and the path in it. Links are not
 * followed. */
lh_code lh_storage_plan_files(const char *folder, lh_str base, struct lh_storage_plan *plan,
                              struct lh_error *err);
/* "folder/a/b" for the key "base" "a/b"; owned by the caller. LH_INVALID for a key that is no safe
 * name of a file. */
lh_code lh_storage_local_name(const char *folder, lh_str base, lh_str key, char **ret_path,
                              struct lh_error *err);
/* One object to a file, which appears when it is whole. */
lh_code lh_storage_download(struct lh_storage_job *job, const struct lh_storage_item *item,
                            struct lh_error *err);
/* One file to an object. */
lh_code lh_storage_upload(struct lh_storage_job *job, const struct lh_storage_item *item,
                          struct lh_error *err);

/* ---- subcommands: words are what stands behind their name ---- */

lh_code lh_storage_put(struct lh_storage *storage, const char *const *words, size_t count,
                       struct lh_error *err);
lh_code lh_storage_get(struct lh_storage *storage, const char *const *words, size_t count,
                       struct lh_error *err);
lh_code lh_storage_ls(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);
lh_code lh_storage_du(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);
lh_code lh_storage_stat(struct lh_storage *storage, const char *const *words, size_t count,
                        struct lh_error *err);
lh_code lh_storage_rm(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);
lh_code lh_storage_cp(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);
lh_code lh_storage_presign(struct lh_storage *storage, const char *const *words, size_t count,
                           struct lh_error *err);
lh_code lh_storage_mb(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);
lh_code lh_storage_rb(struct lh_storage *storage, const char *const *words, size_t count,
                      struct lh_error *err);

/* The line at the end of a transfer; one JSON object without a terminal. */
struct lh_storage_sum {
    const char *verb; /* "put" */
    uint64_t files;   /* that were moved */
    uint64_t bytes;
    uint64_t skipped;
    uint64_t deleted;
    double seconds;
};
void lh_storage_print_sum(const struct lh_storage *storage, const struct lh_storage_sum *sum);

#endif
