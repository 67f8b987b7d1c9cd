/*
 * Sending a file. The call blocks the main thread; a second thread draws the progress line, for
 * which it asks the server what phase the job is in once all bytes are sent.
 */
#include "cli/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "cli/client.h"
#include "cli/progress.h"

enum { DRAW_EVERY_MS = 80, QUIET_MS = 500, ANSWER_BYTES_MAX = 16 << 20 };

/* ---- names ---- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

char *lh_dataset_name_of(const char *path)
{
    enum { NAME_BYTES_MAX = 127 };
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    LH_AUTO_BUF struct lh_buf name = LH_BUF_INIT(NAME_BYTES_MAX + 1);
    if ((base[0] >= '0' && base[0] <= '9') || base[0] == '-')
        lh_buf_append_char(&name, '_');
    for (const char *c = base; *c && *c != '.' && name.len < NAME_BYTES_MAX; c++)
        lh_buf_append_char(&name, is_name_byte(*c) ? *c : '_');
    return lh_buf_take(&name);
}

/* ---- one job ---- */

struct job {
    struct lh_cli *cli;
    const char *dataset;
    int fd;
    uint64_t bytes_total;      /* 0 = unknown */
    atomic_uint_fast64_t sent; /* read by the thread that draws */
    atomic_bool done;

    struct lh_buf answer;
    const char *label;
    int64_t quiet_ms; /* before the progress line appears */
};

static lh_code read_file(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    struct job *job = ctx;
    for (;;) {
        ssize_t got = lh_io->read(job->fd, bytes, max);
        if (got < 0 && errno == EINTR && !lh_cli_interrupted(NULL))
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read the file");
        atomic_fetch_add(&job->sent, (uint64_t)got);
        *ret_len = (size_t)got;
        return LH_OK;
    }
}

static lh_code keep_answer(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct job *job = ctx;
    lh_buf_append(&job->answer, bytes, len);
    return lh_buf_overflowed(&job->answer)
               ? lh_fail(err, LH_TOO_LARGE, "the answer is too large to be one")
               : LH_OK;
}

/* ---- the line that tells how far it is ---- */

/* Our job in GET /v1/ingest: its phase, and the rows if it tells them. False: not there. */
static bool find_phase(json_t *list, const char *dataset, lh_str *ret_phase, uint64_t *ret_rows)
{
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(list, "items"), i, item) {
        const char *name = json_string_value(json_object_get(item, "dataset"));
        const char *phase = json_string_value(json_object_get(item, "phase"));
        if (!name || !phase || strcmp(name, dataset) != 0)
            continue;
        *ret_phase = lh_str_from(phase);
        *ret_rows = (uint64_t)json_integer_value(json_object_get(item, "rows"));
        return true;
    }
    return false;
}

static void draw(struct job *job, struct lh_progress *progress)
{
    struct lh_progress_state state = {
        .bytes = atomic_load(&job->sent),
        .bytes_total = job->bytes_total,
    };
    char phase_text[32] = "";
    if (progress->drawn && job->bytes_total > 0 && state.bytes >= job->bytes_total) {
        struct lh_error ignored = LH_ERROR_INIT;
        LH_AUTO_JSON json_t *list = NULL;
        lh_str phase = LH_STR("receiving");
        if (lh_client_json(job->cli, LH_HTTP_GET, "/v1/ingest", NULL, &list, &ignored) == LH_OK)
            find_phase(list, job->dataset, &phase, &state.rows);
        if (!lh_str_is(phase, "receiving"))
            snprintf(phase_text, sizeof(phase_text), "%.*s", LH_FMT(phase));
    }
    state.phase = phase_text;
    lh_progress_draw(progress, &state);
}

static void *draw_until_done(void *arg)
{
    struct job *job = arg;
    struct lh_progress progress;
    lh_progress_start(&progress, job->label, job->quiet_ms, job->cli->color);
    while (progress.enabled && !atomic_load(&job->done)) {
        lh_sleep_ms(DRAW_EVERY_MS);
        draw(job, &progress);
    }
    lh_progress_end(&progress);
    return NULL;
}

/* ---- sending ---- */

static char *path_of(const struct lh_ingest_request *request, const char *dataset)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(8192);
    lh_buf_append_cstr(&path, "/v1/ingest?dataset=");
    lh_http_encode(&path, lh_str_from(dataset), false);
    if (request->mode) {
        lh_buf_append_cstr(&path, "&mode=");
        lh_http_encode(&path, lh_str_from(request->mode), false);
    }
    if (request->format) {
        lh_buf_append_cstr(&path, "&format=");
        lh_http_encode(&path, lh_str_from(request->format), false);
    }
    return lh_buf_take(&path);
}

static lh_code send_job(struct job *job, const char *path, int *ret_status, struct lh_error *err)
{
    /* What it holds is for the server to find out (or --format says it). */
    static const struct lh_http_header unknown_content = {
        {"Content-Type", sizeof("Content-Type") - 1},
        {"application/octet-stream", sizeof("application/octet-stream") - 1},
    };
    const struct lh_http_call call = {
        .method = LH_HTTP_POST,
        .headers = &unknown_content,
        .header_count = 1,
        .read_body = read_file,
        .read_ctx = job,
        .read_length = job->bytes_total > 0 ? (int64_t)job->bytes_total : -1,
        .deadline = LH_NO_DEADLINE,
        .cancelled = lh_cli_interrupted,
    };
    const struct lh_http_sink sink = {.ctx = job, .on_body = keep_answer};
    pthread_t drawer;
    LH_TRY(lh_thread_start(&drawer, "progress", draw_until_done, job, err));
    lh_code code = lh_client_call(job->cli, path, &call, &sink, ret_status, err);
    atomic_store(&job->done, true);
    pthread_join(drawer, NULL);
    return code;
}

static lh_code open_input(const char *path, int *ret_fd, uint64_t *ret_bytes, struct lh_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    LH_AUTO_FD int fd = is_stdin ? dup(STDIN_FILENO) : lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open %s", path);
    struct stat st;
    if (lh_io->fstat(fd, &st) != 0)
        return lh_fail_errno(err, "cannot look at %s", path);
    if (S_ISDIR(st.st_mode))
        return lh_fail(err, LH_INVALID, "%s is a folder, not a file", path);
    *ret_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    *ret_fd = fd;
    fd = -1;
    return LH_OK;
}

lh_code lh_ingest_file(struct lh_cli *cli, const struct lh_ingest_request *request,
                       json_t **ret_answer, struct lh_error *err)
{
    LH_AUTO_FREE char *derived = request->dataset ? NULL : lh_dataset_name_of(request->path);
    const char *dataset = request->dataset ? request->dataset : derived;
    LH_AUTO_FREE char *label =
        lh_asprintf("ingest %s", request->label ? request->label : request->path);
    LH_AUTO_FREE char *path = path_of(request, dataset);
    LH_AUTO_FD int fd = -1;
    uint64_t bytes;
    LH_TRY(open_input(request->path, &fd, &bytes, err));

    struct job job = {
        .cli = cli,
        .dataset = dataset,
        .fd = fd,
        .bytes_total = bytes,
        .answer = LH_BUF_INIT(ANSWER_BYTES_MAX),
        .label = label,
        .quiet_ms = request->progress_at_once ? 0 : QUIET_MS,
    };
    int status = 0;
    lh_code code = send_job(&job, path, &status, err);
    if (code == LH_OK && (status < 200 || status > 299))
        code = lh_client_fail(status, lh_buf_str(&job.answer), err);
    if (code == LH_OK)
        code = lh_json_parse(lh_buf_str(&job.answer), ret_answer, err);
    lh_buf_deinit(&job.answer);
    if (code != LH_OK && code != LH_UNAVAILABLE && code != LH_CANCELLED)
        return lh_fail_context(err, "cannot ingest %s", request->path);
    return code;
}

/* ---- the answer for people ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

static void print_warning(const json_t *warning, const struct lh_style *style)
{
    const char *column = text_of(warning, "column");
    const char *quote = column[0] ? "\"" : "", *space = column[0] ? " " : "";
    fprintf(stderr, "  %swarning:%s %s%s%s%s%s\n", style->yellow, style->off, quote, column, quote,
            space, text_of(warning, "message"));
    if (text_of(warning, "hint")[0])
        fprintf(stderr, "           %s\n", text_of(warning, "hint"));
}

static void print_result(const json_t *answer, double seconds, const struct lh_style *style)
{
    char rows[LH_HUMAN_SIZE], in[LH_HUMAN_SIZE], out[LH_HUMAN_SIZE], time[LH_HUMAN_SIZE];
    char rate[LH_HUMAN_SIZE];
    const char *status = text_of(answer, "status");
    printf("%s%s%s: ", style->bold, text_of(answer, "dataset"), style->off);
    if (strcmp(status, "unchanged") == 0) {
        printf("unchanged (same bytes, snapshot %llu)  %s\n",
               (unsigned long long)number_of(answer, "snapshot"), lh_human_seconds(seconds, time));
        return;
    }
    uint64_t bytes_in = number_of(answer, "bytes_in");
    uint64_t row_count = number_of(answer, "rows");
    size_t columns = json_array_size(json_object_get(answer, "schema"));
    printf("%s%s%s  %s row%s  %zu column%s  %s -> %s  %s  %s/s\n", style->green, status, style->off,
           lh_human_count(row_count, rows), row_count == 1 ? "" : "s", columns,
           columns == 1 ? "" : "s", lh_human_bytes(bytes_in, in),
           lh_human_bytes(number_of(answer, "bytes_out"), out), lh_human_seconds(seconds, time),
           lh_human_bytes(seconds > 0 ? (uint64_t)((double)bytes_in / seconds) : 0, rate));
}

void lh_ingest_print(const struct lh_cli *cli, const json_t *answer, double seconds)
{
    struct lh_style style = lh_style_of(stdout, cli->color);
    print_result(answer, seconds, &style);
    fflush(stdout);
    style = lh_style_of(stderr, cli->color);
    size_t i;
    json_t *warning;
    json_array_foreach (json_object_get(answer, "warnings"), i, warning) {
        print_warning(warning, &style);
    }
}
