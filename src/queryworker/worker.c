/*
 * Start of the worker: DuckDB with one thread (it looks at files of /proc that the cage hides), the
 * cage, more threads, which inherit it, and the lock on the settings. Nothing of a user is looked
 * at before.
 */
#include "queryworker/worker.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "queryd/protocol.h"
#include "service/sandbox.h"
#include "service/worker.h"

#include <string.h>

static lh_code enter_cage(char **argv, const char **ret_missing, struct lh_error *err)
{
    const char *write_dirs[] = {argv[LH_QUERY_WORKER_SPILL_DIR], NULL};
    struct lh_sandbox sandbox = {
        .read_dirs = (const char *const *)&argv[LH_QUERY_WORKER_READ_DIRS],
        .write_dirs = write_dirs,
    };
    LH_TRY(lh_make_dirs(argv[LH_QUERY_WORKER_SPILL_DIR], err));
    return lh_sandbox_enter(&sandbox, ret_missing, err);
}

static lh_code open_duck(char **argv, struct lh_query_worker *worker, struct lh_error *err)
{
    struct lh_duck_options options = {.threads = 1, .spill_dir = argv[LH_QUERY_WORKER_SPILL_DIR]};
    if (!lh_str_to_i64(lh_str_from(argv[LH_QUERY_WORKER_MEMORY]), &options.memory_bytes) ||
        !lh_str_to_i64(lh_str_from(argv[LH_QUERY_WORKER_SPILL_BYTES]), &options.spill_bytes_max))
        return lh_fail(err, LH_INVALID, "the worker's arguments are not numbers");
    if (options.spill_bytes_max == 0)
        options.spill_dir = NULL;
    LH_TRY(lh_duck_open(&options, &worker->duck, err));
    return lh_duck_connect(worker->duck, &worker->trusted, err);
}

static lh_code configure_duck(char **argv, struct lh_query_worker *worker, struct lh_error *err)
{
    int64_t threads = 0;
    if (!lh_str_to_i64(lh_str_from(argv[LH_QUERY_WORKER_THREADS]), &threads))
        return lh_fail(err, LH_INVALID, "the worker's arguments are not numbers");
    char sql[64];
    snprintf(sql, sizeof(sql), "SET threads = %lld", (long long)threads);
    LH_TRY(lh_duck_exec(worker->trusted, sql, err));
    /* Footers of immutable files are read once; times are told in UTC. */
    LH_TRY(lh_duck_exec(worker->trusted, "SET GLOBAL parquet_metadata_cache = true", err));
    LH_TRY(lh_duck_exec(worker->trusted, "SET GLOBAL TimeZone = 'UTC'", err));
    LH_TRY(lh_duck_parser_new(worker->trusted, &worker->parser, err));

    const char *const *dirs = (const char *const *)&argv[LH_QUERY_WORKER_READ_DIRS];
    size_t dir_count = 0;
    while (dirs[dir_count] != NULL)
        dir_count++;
    return lh_duck_lock(worker->trusted, dirs, dir_count, err);
}

static lh_code start(char **argv, struct lh_query_worker *worker, const char **ret_missing,
                     struct lh_error *err)
{
    LH_TRY(open_duck(argv, worker, err));
    LH_TRY(enter_cage(argv, ret_missing, err));
    LH_TRY(configure_duck(argv, worker, err));
    worker->views = lh_views_new(worker->trusted);
    worker->hidden = (const char *const *)&argv[LH_QUERY_WORKER_SPILL_DIR];
    return lh_control_start(LH_QUERY_WORKER_FD, &worker->control, err);
}

static lh_code say_ready(const char *missing, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(4096);
    struct lh_json json = LH_JSON_TO(&payload);
    lh_json_object(&json);
    lh_json_kcstr(&json, "sandbox", missing);
    lh_json_object_end(&json);
    return lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_READY, payload.data, payload.len, err);
}

static void say_failed(const struct lh_error *failure)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_frame_put_error(&payload, failure);
    LH_IGNORE(lh_frame_send(LH_QUERY_WORKER_FD, LH_QUERY_ERROR, payload.data, payload.len, &err),
              "the exit says enough");
}

int lh_query_worker_main(int argc, char **argv)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_query_worker worker = {0};
    const char *missing = "";
    if (argc <= LH_QUERY_WORKER_READ_DIRS) {
        fprintf(stderr, "%s is started by queryd, not by hand\n", argv[0]);
        return 2;
    }
    if (start(argv, &worker, &missing, &err) != LH_OK) {
        say_failed(&err);
        return 1;
    }
    lh_code code = say_ready(missing, &err);
    struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    while (code == LH_OK) {
        /* Anything else belongs to a query that has failed already. */
        if (lh_control_next(worker.control, &payload) == LH_QUERY_START)
            code = lh_query_serve(&worker, lh_buf_str(&payload), &err);
    }
    return 1;
}
