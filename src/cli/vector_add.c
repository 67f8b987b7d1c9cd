/* Rows as lines of JSON, turned into items and sent in batches. */
#include "cli/vector_add.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/client.h"
#include "cli/ingest.h"
#include "cli/progress.h"
#include "cli/sql.h"

enum {
    LINE_BYTES_MAX = 64 << 20,
    BATCH_BYTES = 8 << 20, /* a batch is sent when it has so many */
    READ_BYTES = 256 << 10,
    ANSWER_BYTES_MAX = 1 << 20,
    QUIET_MS = 500,
    FLOAT_DIGITS = 9, /* enough for every 32-bit float */
};

struct adding {
    struct lh_cli *cli;
    const struct lh_vector_add *add;
    struct lh_buf line;  /* one that has not ended */
    struct lh_buf batch; /* items, one a line */
    int64_t batch_count;
    uint64_t row; /* number of the one being read, from 1 */
    uint64_t bytes;
    struct lh_vector_added sum;
    struct lh_progress progress;
};

/* ---- batches ---- */

static lh_code keep_answer(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct lh_buf *answer = ctx;
    lh_buf_append(answer, bytes, len);
    return lh_buf_overflowed(answer) ? lh_fail(err, LH_BAD_UPSTREAM, "the answer is too large")
                                     : LH_OK;
}

static lh_code count_answer(struct adding *adding, lh_str answer, struct lh_error *err)
{
    LH_AUTO_JSON json_t *root = NULL;
    int64_t added = 0, updated = 0;
    LH_TRY(lh_json_parse(answer, &root, err));
    LH_TRY(lh_json_need_i64(root, "added", &added, err));
    LH_TRY(lh_json_need_i64(root, "updated", &updated, err));
    LH_TRY(lh_json_opt_bool(root, "durable", &adding->sum.durable, err));
    adding->sum.added += (uint64_t)added;
    adding->sum.updated += (uint64_t)updated;
    return LH_OK;
}

static lh_code send_batch(struct adding *adding, struct lh_error *err)
{
    static const struct lh_http_header lines = {
        {"Content-Type", sizeof("Content-Type") - 1},
        {"application/x-ndjson", sizeof("application/x-ndjson") - 1},
    };
    if (adding->batch_count == 0)
        return LH_OK;
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(4096);
    lh_buf_append_cstr(&path, "/v1/vectors/");
    lh_http_encode(&path, lh_str_from(adding->add->index), false);
    lh_buf_append_cstr(&path, "/add");
    const struct lh_http_call call = {
        .method = LH_HTTP_POST,
        .headers = &lines,
        .header_count = 1,
        .body = adding->batch.data,
        .body_len = adding->batch.len,
        .deadline = LH_NO_DEADLINE,
        .cancelled = lh_cli_interrupted,
    };
    LH_AUTO_BUF struct lh_buf answer = LH_BUF_INIT(ANSWER_BYTES_MAX);
    const struct lh_http_sink sink = {.ctx = &answer, .on_body = keep_answer};
    int status = 0;
    LH_TRY(lh_client_call(adding->cli, path.data, &call, &sink, &status, err));
    if (status != 200)
        return lh_client_fail(status, lh_buf_str(&answer), err);
    LH_TRY(count_answer(adding, lh_buf_str(&answer), err));
    adding->batch_count = 0;
    lh_buf_reset(&adding->batch);
    const struct lh_progress_state state = {.bytes = adding->bytes,
                                            .rows = adding->sum.added + adding->sum.updated};
    lh_progress_draw(&adding->progress, &state);
    return LH_OK;
}

/* ---- rows ---- */

static lh_code fail_row(const struct adding *adding, const char *wrong, struct lh_error *err)
{
    return lh_fail(err, LH_BAD_DATA, "row %llu: %s", (unsigned long long)adding->row, wrong);
}

static lh_code fail_no_column(const struct adding *adding, const char *column, const char *flag,
                              struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "row %llu has no \"%s\"", (unsigned long long)adding->row,
                      column),
              "the hint returns the code");
    return lh_hint(err, "say by --%s-column which it is", flag);
}

static void put_value(struct lh_json *json, const json_t *value, size_t flags)
{
    LH_AUTO_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | flags);
    lh_json_raw(json, lh_str_from(text));
}

/* An array, or a text that holds one: CSV knows no arrays. */
static lh_code put_vector(const struct adding *adding, const json_t *value, struct lh_json *json,
                          struct lh_error *err)
{
    LH_AUTO_JSON json_t *parsed = NULL;
    if (json_is_string(value)) {
        struct lh_error ignored = LH_ERROR_INIT;
        lh_str text = lh_str_of(json_string_value(value), json_string_length(value));
        if (lh_json_parse(text, &parsed, &ignored) == LH_OK)
            value = parsed;
    }
    if (!json_is_array(value))
        return fail_row(adding, "its vector is no array of numbers", err);
    lh_json_key(json, "vector");
    put_value(json, value, JSON_REAL_PRECISION(FLOAT_DIGITS));
    return LH_OK;
}

/* The content of the one column "metadata": an object, or a text that holds one. */
static lh_code put_own_metadata(const struct adding *adding, const json_t *value,
                                struct lh_json *json, struct lh_error *err)
{
    LH_AUTO_JSON json_t *parsed = NULL;
    if (json_is_null(value))
        return LH_OK;
    if (json_is_string(value)) {
        lh_str text = lh_str_of(json_string_value(value), json_string_length(value));
        LH_TRY(lh_json_parse(text, &parsed, err));
        value = parsed;
    }
    if (!json_is_object(value))
        return fail_row(adding, "its metadata is no object", err);
    lh_json_key(json, "metadata");
    put_value(json, value, 0);
    return LH_OK;
}

/* All that is left of the row, but for nulls. */
static lh_code put_metadata(const struct adding *adding, const json_t *rest, struct lh_json *json,
                            struct lh_error *err)
{
    const json_t *own = json_object_get(rest, "metadata");
    const char *name;
    json_t *value;
    if (own != NULL && json_object_size(rest) == 1)
        return put_own_metadata(adding, own, json, err);
    if (json_object_size(rest) == 0)
        return LH_OK;
    lh_json_key(json, "metadata");
    lh_json_object(json);
    json_object_foreach ((json_t *)(uintptr_t)rest, name, value) {
        if (json_is_null(value))
            continue;
        lh_json_key(json, name);
        put_value(json, value, 0);
    }
    lh_json_object_end(json);
    return LH_OK;
}

static lh_code put_item(struct adding *adding, json_t *row, struct lh_error *err)
{
    const struct lh_vector_add *add = adding->add;
    struct lh_json json = LH_JSON_TO(&adding->batch);
    const json_t *id = json_object_get(row, add->id_column);
    const json_t *vector = json_object_get(row, add->vector_column);
    if (id == NULL)
        return fail_no_column(adding, add->id_column, "id", err);
    if (vector == NULL)
        return fail_no_column(adding, add->vector_column, "vector", err);
    if (!json_is_string(id) && !json_is_integer(id))
        return fail_row(adding, "its id is neither a text nor a whole number", err);
    lh_json_object(&json);
    lh_json_key(&json, "id");
    put_value(&json, id, 0);
    LH_TRY(put_vector(adding, vector, &json, err));
    json_object_del(row, add->id_column);
    json_object_del(row, add->vector_column);
    LH_TRY(put_metadata(adding, row, &json, err));
    lh_json_object_end(&json);
    lh_buf_append_char(&adding->batch, '\n');
    return LH_OK;
}

static lh_code take_line(struct adding *adding, lh_str line, struct lh_error *err)
{
    LH_AUTO_JSON json_t *row = NULL;
    adding->row++;
    if (lh_str_trim(line).len == 0 || lh_str_is(line, "\r"))
        return LH_OK;
    if (lh_json_parse(line, &row, err) != LH_OK)
        return lh_fail_context(err, "row %llu", (unsigned long long)adding->row);
    if (!json_is_object(row))
        return fail_row(adding, "it is no object", err);
    LH_TRY(put_item(adding, row, err));
    if (++adding->batch_count < adding->add->batch && adding->batch.len < BATCH_BYTES)
        return LH_OK;
    return send_batch(adding, err);
}

/* Bytes of lines, cut anywhere. */
static lh_code feed(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct adding *adding = ctx;
    lh_str rest = lh_str_of(bytes, len);
    adding->bytes += len;
    for (;;) {
        const char *newline = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
        if (newline == NULL)
            break;
        lh_str line = lh_str_of(rest.ptr, (size_t)(newline - rest.ptr));
        rest = lh_str_skip(rest, line.len + 1);
        if (adding->line.len > 0) {
            lh_buf_append_str(&adding->line, line);
            line = lh_buf_str(&adding->line);
        }
        LH_TRY(take_line(adding, line, err));
        lh_buf_reset(&adding->line);
    }
    lh_buf_append_str(&adding->line, rest);
    return lh_buf_overflowed(&adding->line) ? fail_row(adding, "the line is too long", err) : LH_OK;
}

/* ---- sources ---- */

static lh_code feed_file(struct adding *adding, struct lh_error *err)
{
    const char *path = adding->add->path;
    LH_AUTO_FD int fd =
        strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    LH_AUTO_FREE char *bytes = lh_malloc(READ_BYTES);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open %s", path);
    for (;;) {
        ssize_t got = lh_io->read(fd, bytes, READ_BYTES);
        if (lh_cli_interrupted(NULL))
            return lh_fail(err, LH_CANCELLED, "cancelled");
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read %s", path);
        if (got == 0)
            return LH_OK;
        LH_TRY(feed(adding, bytes, (size_t)got, err));
    }
}

static lh_code feed_sql(struct adding *adding, lh_str sql, struct lh_error *err)
{
    const struct lh_sql_query query = {.sql = sql};
    return lh_sql_stream(adding->cli, &query, "ndjson", feed, adding, err);
}

/* The server reads the file, as a dataset that is deleted afterwards. */
static lh_code feed_by_server(struct adding *adding, struct lh_error *err)
{
    char uuid[LH_UUID_TEXT];
    lh_uuid4(uuid);
    LH_AUTO_FREE char *dataset = lh_asprintf("vector_add_%.8s", uuid);
    LH_AUTO_FREE char *sql = lh_asprintf("FROM %s", dataset);
    LH_AUTO_FREE char *path = lh_asprintf("/v1/catalog/datasets/%s?purge=true", dataset);
    LH_AUTO_JSON json_t *answer = NULL;
    LH_AUTO_JSON json_t *deleted = NULL;
    struct lh_error ignored = LH_ERROR_INIT;
    const struct lh_ingest_request request = {.path = adding->add->path,
                                              .dataset = dataset,
                                              .mode = "create",
                                              .format = adding->add->format};
    LH_TRY(lh_ingest_file(adding->cli, &request, &answer, err));
    lh_code code = feed_sql(adding, lh_str_from(sql), err);
    LH_IGNORE(lh_client_json(adding->cli, LH_HTTP_DELETE, path, NULL, &deleted, &ignored),
              "what was added stays added");
    return code;
}

static bool are_lines(const struct lh_vector_add *add)
{
    lh_str path = lh_str_from(add->path);
    if (add->format != NULL)
        return strcmp(add->format, "ndjson") == 0;
    return lh_str_is(path, "-") || lh_str_ends(path, ".ndjson") || lh_str_ends(path, ".jsonl");
}

static lh_code feed_all(struct adding *adding, struct lh_error *err)
{
    const struct lh_vector_add *add = adding->add;
    if (add->sql != NULL)
        LH_TRY(feed_sql(adding, lh_str_from(add->sql), err));
    else if (are_lines(add))
        LH_TRY(feed_file(adding, err));
    else
        LH_TRY(feed_by_server(adding, err));
    if (adding->line.len > 0)
        LH_TRY(take_line(adding, lh_buf_str(&adding->line), err));
    return send_batch(adding, err);
}

lh_code lh_vector_add(struct lh_cli *cli, const struct lh_vector_add *add,
                      struct lh_vector_added *ret_added, struct lh_error *err)
{
    LH_AUTO_FREE char *label = lh_asprintf("add to %s", add->index);
    struct adding adding = {
        .cli = cli,
        .add = add,
        .line = LH_BUF_INIT(LINE_BYTES_MAX),
        .batch = LH_BUF_INIT(BATCH_BYTES + 2 * (size_t)LINE_BYTES_MAX),
    };
    lh_progress_start(&adding.progress, label, QUIET_MS, cli->color);
    lh_code code = feed_all(&adding, err);
    lh_progress_end(&adding.progress);
    lh_buf_deinit(&adding.line);
    lh_buf_deinit(&adding.batch);
    *ret_added = adding.sum;
    return code;
}
