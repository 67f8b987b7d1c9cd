/*
 * A conversion from its request to its answer.
 */
#include "ingestworker/conversion.h"

#include "base/mem.h"
#include "base/os.h"
#include "ingestworker/input.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    WARNINGS_MAX = 1000,
    WARNINGS_BYTES_MAX = 2 << 20,
    STAT_TEXT_MAX = 256, /* DuckDB cuts bounds here, and a cut maximum bounds nothing */
    DECODE_STEP = 256 << 10,
    FREE_LEAST = 1 << 20,
};

/* ---- what the readers share ---- */

void lh_convert_warn(struct lh_conversion *c, const char *code, const char *column,
                     const char *hint, const char *format, ...)
{
    if (++c->warning_count > WARNINGS_MAX)
        return;
    LH_AUTO_BUF struct lh_buf message = LH_BUF_INIT(4096);
    va_list args;
    va_start(args, format);
    lh_buf_vprintf(&message, format, args);
    va_end(args);
    if (c->warnings.len > 0)
        lh_buf_append_char(&c->warnings, ',');
    struct lh_json json = LH_JSON_TO(&c->warnings);
    lh_json_object(&json);
    lh_json_kcstr(&json, "code", code);
    lh_json_kcstr(&json, "column", column);
    lh_json_kstr(&json, "message", lh_buf_str(&message));
    lh_json_kcstr(&json, "hint", hint);
    lh_json_object_end(&json);
}

/* `skip`: bytes at the start that are left out; at most what one read brings. */
static lh_code decode_file(int from, int to, enum lh_encoding encoding, size_t skip,
                           struct lh_error *err)
{
    LH_AUTO_FREE char *piece = lh_malloc(DECODE_STEP);
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT((size_t)3 * DECODE_STEP + 16);
    struct lh_transcoder transcoder = LH_TRANSCODER_INIT(encoding);
    for (;;) {
        size_t got = 0;
        LH_TRY(lh_input_read(from, piece, DECODE_STEP, &got, err));
        if (got == 0)
            return lh_transcode_finish(&transcoder, err);
        lh_buf_reset(&text);
        LH_TRY(lh_transcode(&transcoder, piece + skip, got - skip, &text, err));
        skip = 0;
        LH_TRY(lh_write_all(to, text.data, text.len, "the decoded input", err));
    }
}

/* The length of the input's UTF-8 byte order mark, 0 without one. */
static lh_code find_bom(const struct lh_conversion *c, size_t *ret_len, struct lh_error *err)
{
    char start[4];
    size_t got = 0;
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, c->input, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the input");
    LH_TRY(lh_input_read(fd, start, sizeof(start), &got, err));
    (void)lh_encoding_of_bom(lh_str_of(start, got), ret_len);
    return LH_OK;
}

lh_code lh_convert_decode(struct lh_conversion *c, bool drop_bom, struct lh_error *err)
{
    enum lh_encoding encoding = c->request->options.encoding;
    size_t skip = 0;
    if (encoding == LH_ENCODING_UTF8) {
        if (drop_bom)
            LH_TRY(find_bom(c, &skip, err));
        if (skip == 0)
            return LH_OK;
    }
    LH_AUTO_FREE char *path = lh_asprintf("%s/decoded", c->request->dir);
    LH_AUTO_FD int from = lh_io->openat(AT_FDCWD, c->input, O_RDONLY, 0);
    LH_AUTO_FD int to = lh_io->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (from < 0 || to < 0)
        return lh_fail_errno(err, "cannot open the input");
    LH_TRY(decode_file(from, to, encoding, skip, err));
    free(c->input);
    c->input = LH_TAKE(path);
    return LH_OK;
}

void lh_convert_forget_columns(struct lh_conversion *c)
{
    for (size_t i = 0; i < c->column_count; i++) {
        free(c->columns[i].name);
        free(c->columns[i].type);
        free(c->columns[i].natural_type);
    }
    free(c->columns);
    c->columns = NULL;
    c->column_count = 0;
}

static char *text_of(lh_str text)
{
    return lh_strndup(text.len > 0 ? text.ptr : "", text.len);
}

lh_code lh_convert_describe(struct lh_conversion *c, const char *sql, struct lh_error *err)
{
    lh_convert_forget_columns(c);
    struct lh_duck_rows *rows = NULL;
    LH_TRY(lh_duck_query(c->conn, sql, NULL, 0, &rows, err));
    size_t capacity = 0;
    while (lh_duck_next(rows)) {
        c->columns = lh_grow(c->columns, &capacity, c->column_count + 1, sizeof(*c->columns));
        lh_str type = lh_duck_text(rows, 1);
        c->columns[c->column_count++] = (struct lh_input_column){
            .name = text_of(lh_duck_text(rows, 0)),
            .type = text_of(type),
            .natural_type = text_of(type),
        };
    }
    LH_TRY(lh_duck_rows_close(&rows, err));
    if (c->column_count > (size_t)c->request->columns_max)
        return lh_fail(err, LH_BAD_DATA, "the file has %zu columns, more than %lld",
                       c->column_count, (long long)c->request->columns_max);
    if (c->column_count == 0)
        return lh_fail(err, LH_BAD_DATA, "the file has no columns");
    return LH_OK;
}

/* ---- the copy and its statistics ---- */

static char *short_text(lh_str text)
{
    return text.ptr == NULL || text.len >= STAT_TEXT_MAX ? NULL : text_of(text);
}

static void forget_stats(struct lh_conversion *c)
{
    for (size_t i = 0; i < c->stats_count; i++) {
        free(c->stats[i].path);
        free(c->stats[i].min);
        free(c->stats[i].max);
    }
    free(c->stats);
    c->stats = NULL;
    c->stats_count = c->stats_capacity = 0;
}

static void take_stats(void *ctx, const struct lh_duck_column_stats *stats)
{
    struct lh_conversion *c = ctx;
    c->stats = lh_grow(c->stats, &c->stats_capacity, c->stats_count + 1, sizeof(*c->stats));
    /* NaN is greater than everything, and the bounds leave it out: they bound nothing then. */
    c->stats[c->stats_count++] = (struct lh_output_stats){
        .path = text_of(stats->path),
        .min = stats->has_nan ? NULL : short_text(stats->min),
        .max = stats->has_nan ? NULL : short_text(stats->max),
        .null_count = stats->null_count,
    };
}

lh_code lh_convert_copy(struct lh_conversion *c, lh_str select, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT((size_t)2 * LH_SQL_MAX);
    forget_stats(c);
    lh_buf_printf(&sql, "COPY (%.*s) TO ", LH_FMT(select));
    lh_duck_quote_literal(&sql, lh_str_from(c->output));
    /* zstd's level 2 instead of 3: 15 % less CPU for files that are 2 % larger
     * (bench/load/ingest.py). The order of the rows is kept, which costs memory but not beyond the
     * limit. */
    lh_buf_append_cstr(&sql,
                       " (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 2, RETURN_STATS)");
    if (lh_buf_overflowed(&sql))
        return lh_fail(err, LH_BAD_DATA, "the names of the columns are too long");
    return lh_duck_copy(c->conn, sql.data, take_stats, c, &c->rows, &c->output_bytes, err);
}

/* ---- the answer ---- */

static const struct lh_output_stats *find_stats(const struct lh_conversion *c, lh_str name)
{
    LH_AUTO_BUF struct lh_buf path = LH_BUF_INIT(LH_SQL_MAX);
    lh_duck_quote_name(&path, name);
    for (size_t i = 0; i < c->stats_count; i++)
        if (lh_str_is(lh_buf_str(&path), c->stats[i].path))
            return &c->stats[i];
    return NULL;
}

static void write_stats(const struct lh_conversion *c, struct lh_json *json)
{
    lh_json_key(json, "stats");
    lh_json_object(json);
    for (size_t i = 0; i < c->column_count; i++) {
        const struct lh_output_stats *stats = find_stats(c, lh_str_from(c->columns[i].name));
        if (stats == NULL)
            continue;
        lh_json_key(json, c->columns[i].name);
        lh_json_object(json);
        if (stats->min != NULL && stats->max != NULL) {
            lh_json_kcstr(json, "min", stats->min);
            lh_json_kcstr(json, "max", stats->max);
        }
        lh_json_ku64(json, "nulls", stats->null_count);
        lh_json_object_end(json);
    }
    lh_json_object_end(json);
}

/* The schema is asked from the file that was written: that is what queries will see. */
static lh_code describe_output(struct lh_conversion *c, struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf sql = LH_BUF_INIT(LH_SQL_MAX);
    lh_buf_append_cstr(&sql, "SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(");
    lh_duck_quote_literal(&sql, lh_str_from(c->output));
    lh_buf_append_cstr(&sql, "))");
    return lh_convert_describe(c, sql.data, err);
}

static lh_code write_result(struct lh_conversion *c, struct lh_buf *result, struct lh_error *err)
{
    LH_TRY(describe_output(c, err));
    struct lh_json json = LH_JSON_TO(result);
    lh_json_object(&json);
    lh_json_ku64(&json, "rows", c->rows);
    lh_json_ku64(&json, "bytes", c->output_bytes);
    lh_json_key(&json, "schema");
    lh_json_array(&json);
    for (size_t i = 0; i < c->column_count; i++) {
        lh_json_object(&json);
        lh_json_kcstr(&json, "name", c->columns[i].name);
        lh_json_kcstr(&json, "type", c->columns[i].type);
        lh_json_kbool(&json, "nullable", true);
        lh_json_object_end(&json);
    }
    lh_json_array_end(&json);
    write_stats(c, &json);
    lh_json_key(&json, "warnings");
    LH_AUTO_BUF struct lh_buf warnings = LH_BUF_INIT(WARNINGS_BYTES_MAX + 2);
    lh_buf_printf(&warnings, "[%.*s]", (int)c->warnings.len,
                  c->warnings.len > 0 ? c->warnings.data : "");
    lh_json_raw(&json, lh_buf_str(&warnings));
    lh_json_object_end(&json);
    if (lh_buf_overflowed(result) || lh_buf_overflowed(&c->warnings))
        return lh_fail(err, LH_BAD_DATA, "the names of the columns are too long");
    return LH_OK;
}

/* ---- the whole ---- */

static lh_code measure_input(struct lh_conversion *c, struct lh_error *err)
{
    struct stat st;
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, c->input, O_RDONLY, 0);
    if (fd < 0 || lh_io->fstat(fd, &st) != 0)
        return lh_fail_errno(err, "cannot open the input");
    c->input_bytes = (uint64_t)st.st_size;
    return LH_OK;
}

static lh_code read_format(struct lh_conversion *c, struct lh_error *err)
{
    switch (c->request->options.format) {
    case LH_INGEST_CSV:
        return lh_convert_csv(c, err);
    case LH_INGEST_JSON:
    case LH_INGEST_NDJSON:
        return lh_convert_json(c, err);
    case LH_INGEST_PARQUET:
        return lh_convert_parquet(c, err);
    case LH_INGEST_AUTO:
        break;
    }
    return lh_fail(err, LH_INTERNAL, "a conversion without a format");
}

/* DuckDB says only that it could not write. */
static bool disk_is_full(const struct lh_conversion *c)
{
    struct statvfs disk;
    return statvfs(c->request->dir, &disk) == 0 && disk.f_bavail * disk.f_frsize < FREE_LEAST;
}

/* What DuckDB says of its insides is no use to a caller: its codes become ours. */
static lh_code translate(const struct lh_conversion *c, struct lh_error *err)
{
    if (err->code == LH_QUERY_MEMORY) {
        LH_IGNORE(lh_fail(err, LH_NO_MEMORY, "the conversion needs more memory than it may have"),
                  "a hint follows");
        return lh_hint(err, "raise [ingestd] memory_limit, or lower threads");
    }
    if (err->code == LH_IO && disk_is_full(c)) {
        LH_IGNORE(lh_fail(err, LH_STORAGE_FULL, "the disk is full"), "a hint follows");
        return lh_hint(err, "the conversion needs room in the data folder beside the file itself");
    }
    if (err->code == LH_INVALID_SQL || err->code == LH_STATEMENT_NOT_ALLOWED)
        err->code = LH_INTERNAL; /* the SQL is ours */
    return err->code;
}

lh_code lh_convert(const struct lh_convert_request *request, struct lh_duck_conn *conn,
                   struct lh_buf *result, struct lh_error *err)
{
    struct lh_conversion c = {
        .request = request,
        .conn = conn,
        .input = lh_asprintf("%s/%s", request->dir, LH_JOB_INPUT),
        .output = lh_asprintf("%s/%s", request->dir, LH_JOB_OUTPUT),
        .warnings = LH_BUF_INIT(WARNINGS_BYTES_MAX),
    };
    lh_code code = measure_input(&c, err);
    if (code == LH_OK)
        code = read_format(&c, err);
    if (code == LH_OK)
        code = write_result(&c, result, err);
    if (code != LH_OK)
        code = translate(&c, err);
    lh_convert_forget_columns(&c);
    forget_stats(&c);
    lh_buf_deinit(&c.warnings);
    free(c.input);
    free(c.output);
    return code;
}
