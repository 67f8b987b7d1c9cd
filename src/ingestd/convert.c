/*
 * A job's conversion: a worker process of its own, which is killed when it is done, late, or no
 * longer wanted.
 */
#include "ingestd/ingestd_private.h"

#include "base/mem.h"
#include "service/worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { LOOK_MS = 100, EXIT_WAIT_MS = 2000 };

/* Beyond DuckDB's own limit: its code, its threads' stacks and arenas, and what it does not count.
 */
static const int64_t address_space_extra = INT64_C(3) << 30;

/* What a worker may write into one file. Far beyond what honest input needs, far less than a disk
 * that is filled by a small file of well-packed nothing. */
static int64_t file_bytes_max(const struct lh_job *job)
{
    const int64_t least = INT64_C(1) << 30;
    const int64_t factor = 20;
    int64_t input = (int64_t)job->input_bytes;
    return input > (INT64_MAX - least) / factor ? INT64_MAX : least + factor * input;
}

static lh_code send_request(struct lh_job *job, const struct lh_ingest_options *options,
                            const json_t *schema, int fd, struct lh_error *err)
{
    const struct lh_intake_options *limits = &job->intake->options;
    struct lh_convert_request request = {
        .dir = job->dir,
        .options = *options,
        .replacing = options->mode == LH_INGEST_REPLACE,
        .memory_bytes = limits->memory_bytes,
        .threads = limits->threads,
        .columns_max = limits->columns_max,
        .line_bytes_max = limits->line_bytes_max,
        .sample_rows = limits->sample_rows,
        .resample_bytes_max = limits->resample_bytes_max,
    };
    if (schema != NULL)
        LH_TRY(lh_ingest_columns_read(schema, &request.schema, &request.schema_count, err));
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    lh_convert_request_write(&request, &payload);
    lh_ingest_columns_free(request.schema, request.schema_count);
    if (lh_buf_overflowed(&payload))
        return lh_fail(err, LH_BAD_DATA, "the names of the columns are too long");
    return lh_frame_send(fd, LH_CONVERT_REQUEST, payload.data, payload.len, err);
}

/* Until the worker has something to say: its answer, or its end. */
static lh_code await_worker(const struct lh_job *job, int fd, lh_deadline deadline,
                            struct lh_error *err)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    for (;;) {
        if (lh_job_cancelled(job))
            return lh_fail_cancelled(err);
        if (lh_deadline_passed(deadline)) {
            LH_IGNORE(lh_fail(err, LH_TIMEOUT, "the conversion took longer than %lld s",
                              (long long)(job->intake->options.convert_timeout_ms / 1000)),
                      "a hint follows");
            return lh_hint(err,
                           "send the file in parts with mode=append, or raise [ingestd] timeout");
        }
        int left = lh_deadline_left_ms(deadline);
        if (poll(&watched, 1, left < LOOK_MS ? left : LOOK_MS) > 0)
            return LH_OK;
    }
}

/* The worker ended without an answer: it crashed, or was killed for its memory. */
static lh_code fail_ended(struct lh_worker *worker, struct lh_error *err)
{
    int status = 0;
    lh_deadline deadline = lh_deadline_in_ms(EXIT_WAIT_MS);
    while (!lh_worker_exited(worker, &status) && !lh_deadline_passed(deadline))
        lh_sleep_ms(5);
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGABRT)) {
        /* The kernel's end for want of memory, and C++'s. */
        LH_IGNORE(lh_fail(err, LH_NO_MEMORY, "the conversion was ended for want of memory"),
                  "a hint follows");
        return lh_hint(err, "send the file in parts with mode=append, or lower [ingestd] threads");
    }
    return lh_fail(err, LH_INTERNAL, "the conversion ended without an answer (%s %d)",
                   WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static lh_code take_answer(struct lh_worker *worker, lh_deadline deadline, json_t **ret_result,
                           struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    lh_code code = lh_frame_receive(worker->fd, deadline, &type, &payload, err);
    if (code == LH_CANCELLED)
        return fail_ended(worker, err);
    LH_TRY(code);
    if (type == LH_CONVERT_RESULT)
        return lh_json_parse(lh_buf_str(&payload), ret_result, err);
    if (type != LH_CONVERT_ERROR)
        return lh_fail(err, LH_INTERNAL, "the worker sent a frame of type %u", type);
    lh_frame_get_error(lh_buf_str(&payload), err);
    return err->code != LH_OK ? err->code : lh_fail(err, LH_INTERNAL, "an error without a code");
}

lh_code lh_job_convert(struct lh_job *job, const struct lh_ingest_options *options,
                       const json_t *schema, lh_deadline deadline, json_t **ret_result,
                       struct lh_error *err)
{
    const struct lh_worker_options start = {
        .program = "ingestd-worker",
        .address_space_bytes = job->intake->options.memory_bytes + address_space_extra,
        .file_bytes_max = file_bytes_max(job),
    };
    struct lh_worker worker = {.fd = -1};
    LH_TRY(lh_worker_start(&start, &worker, err));
    lh_code code = send_request(job, options, schema, worker.fd, err);
    if (code == LH_CANCELLED)
        code = fail_ended(&worker, err);
    if (code == LH_OK)
        code = await_worker(job, worker.fd, deadline, err);
    if (code == LH_OK)
        code = take_answer(&worker, deadline, ret_result, err);
    /* Its output is complete when it answers; there is nothing that it would have to tidy up. */
    lh_worker_kill(&worker);
    return code;
}
