/*
 * The worker process.
 *
 * Order: the request (from our own service), DuckDB with one thread, the cage, more threads, the
 * lock on DuckDB's settings, and only then the input. DuckDB looks at /proc and /sys when it opens,
 * which the cage forbids, and with one thread it starts none, so that all that follow inherit the
 * cage.
 */
#include "ingestworker/worker.h"

#include "base/log.h"
#include "base/mem.h"
#include "ingestworker/conversion.h"
#include "service/sandbox.h"
#include "service/worker.h"

#include <signal.h>
#include <sys/stat.h>

enum { CHANNEL = 3, REQUEST_WAIT_MS = 60000, SPILL_FACTOR = 8 };

static lh_code receive_request(struct lh_convert_request *ret_request, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(LH_FRAME_MAX);
    uint32_t type = 0;
    LH_TRY(lh_frame_receive(CHANNEL, lh_deadline_in_ms(REQUEST_WAIT_MS), &type, &payload, err));
    if (type != LH_CONVERT_REQUEST)
        return lh_fail(err, LH_INTERNAL, "a frame of type %u where a request is expected", type);
    return lh_convert_request_read(lh_buf_str(&payload), ret_request, err);
}

/* The cage is put on before a byte of the input is looked at. */
static lh_code enter_cage(const char *dir, struct lh_error *err)
{
    const char *const dirs[] = {dir, NULL};
    const struct lh_sandbox sandbox = {.read_dirs = dirs, .write_dirs = dirs};
    const char *missing = "";
    LH_TRY(lh_sandbox_enter(&sandbox, &missing, err));
    if (missing[0] != '\0')
        LH_LOG(DEBUG, "the cage has gaps", LH_LOG_STR("missing", missing));
    return LH_OK;
}

static lh_code open_database(const struct lh_convert_request *request, struct lh_duck **ret_duck,
                             struct lh_duck_conn **ret_conn, struct lh_error *err)
{
    const struct lh_duck_options options = {
        .memory_bytes = request->memory_bytes,
        .threads = 1,
        .spill_dir = request->dir,
        .spill_bytes_max = SPILL_FACTOR * request->memory_bytes,
    };
    LH_TRY(lh_duck_open(&options, ret_duck, err));
    return lh_duck_connect(*ret_duck, ret_conn, err);
}

static lh_code lock_database(const struct lh_convert_request *request, struct lh_duck_conn *conn,
                             struct lh_error *err)
{
    char threads[64];
    snprintf(threads, sizeof(threads), "SET threads = %lld", (long long)request->threads);
    LH_TRY(lh_duck_exec(conn, threads, err));
    const char *const dirs[] = {request->dir};
    return lh_duck_lock(conn, dirs, LH_COUNT(dirs), err);
}

static lh_code serve(const struct lh_convert_request *request, struct lh_buf *result,
                     struct lh_error *err)
{
    struct lh_duck *duck = NULL;
    struct lh_duck_conn *conn = NULL;
    lh_code code = open_database(request, &duck, &conn, err);
    if (code == LH_OK)
        code = enter_cage(request->dir, err);
    if (code == LH_OK)
        code = lock_database(request, conn, err);
    if (code == LH_OK)
        code = lh_convert(request, conn, result, err);
    lh_duck_disconnect(conn);
    lh_duck_close(duck);
    return code;
}

static lh_code answer(lh_code code, const struct lh_buf *result, const struct lh_error *failure,
                      struct lh_error *err)
{
    if (code == LH_OK)
        return lh_frame_send(CHANNEL, LH_CONVERT_RESULT, result->data, result->len, err);
    LH_AUTO_BUF struct lh_buf payload = LH_BUF_INIT(64 << 10);
    lh_frame_put_error(&payload, failure);
    return lh_frame_send(CHANNEL, LH_CONVERT_ERROR, payload.data, payload.len, err);
}

int lh_ingestworker_main(void)
{
    struct stat st;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_convert_request request = {0};
    if (fstat(CHANNEL, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        fputs("ingestd-worker is started by ingestd, not by hand\n", stderr);
        return 2;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file beyond its limit is EFBIG, not death */
    lh_log_init("ingestd-worker", LH_LOG_INFO, 2);
    LH_AUTO_BUF struct lh_buf result = LH_BUF_INIT(LH_FRAME_MAX);
    lh_code code = receive_request(&request, &err);
    if (code == LH_OK)
        code = serve(&request, &result, &err);
    struct lh_error unsent = LH_ERROR_INIT;
    lh_code sent = answer(code, &result, &err, &unsent);
    lh_convert_request_deinit(&request);
    return sent == LH_OK ? 0 : 1;
}
