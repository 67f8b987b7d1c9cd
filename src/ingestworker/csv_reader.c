/*
 * Reading CSV from a file: a sliding buffer under the scanner of ingestd/csv.h. What is left of a
 * record moves to the front; when a record fills the whole buffer, the buffer doubles.
 */
#include "ingestworker/csv_reader.h"

#include "base/mem.h"
#include "base/os.h"
#include "ingestd/encoding.h"
#include "ingestworker/input.h"

#include <fcntl.h>

enum { BUFFER_MIN = 1 << 20 };

lh_code lh_csv_reader_open(const char *path, const struct lh_csv_reader_options *options,
                           struct lh_csv_reader *ret_reader, struct lh_error *err)
{
    int fd = lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open the input");
    *ret_reader = (struct lh_csv_reader){
        .options = *options,
        .fd = fd,
        .buffer = lh_malloc(BUFFER_MIN),
        .capacity = BUFFER_MIN,
        .fields = lh_calloc(options->columns_max + 2, sizeof(struct lh_csv_field)),
    };
    lh_csv_init(&ret_reader->csv, &options->dialect, ret_reader->fields, options->columns_max + 2);
    lh_csv_refill(&ret_reader->csv, lh_str_of(ret_reader->buffer, 0), false);
    return LH_OK;
}

void lh_csv_reader_close(struct lh_csv_reader *reader)
{
    if (reader->fd < 0)
        return;
    lh_io->close(reader->fd);
    free(reader->buffer);
    free(reader->fields);
    *reader = LH_CSV_READER_NONE;
}

/* ---- the buffer ---- */

static lh_code fail_long_line(const struct lh_csv_reader *reader, uint64_t line,
                              struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu is longer than %zu bytes",
                      (unsigned long long)line, reader->options.line_bytes_max),
              "a hint follows");
    err->line = line;
    return lh_hint(err, "is a quote left open? The limit is [ingestd] line_bytes_max");
}

static lh_code make_room(struct lh_csv_reader *reader, struct lh_error *err)
{
    size_t left = (size_t)(reader->csv.end - reader->csv.at);
    if (left > reader->options.line_bytes_max)
        return fail_long_line(reader, reader->csv.line, err);
    memmove(reader->buffer, reader->csv.at, left);
    reader->len = left;
    if (left < reader->capacity)
        return LH_OK;
    char *buffer = lh_try_malloc(reader->capacity, 2);
    if (buffer == NULL)
        return lh_fail(err, LH_NO_MEMORY, "no memory for a line of %zu bytes", left);
    memcpy(buffer, reader->buffer, left);
    free(reader->buffer);
    reader->buffer = buffer;
    reader->capacity *= 2;
    return LH_OK;
}

static lh_code refill(struct lh_csv_reader *reader, struct lh_error *err)
{
    bool at_start = reader->len == 0 && reader->csv.line == 1;
    LH_TRY(make_room(reader, err));
    size_t got = 0;
    LH_TRY(lh_input_read(reader->fd, reader->buffer + reader->len, reader->capacity - reader->len,
                         &got, err));
    if (got > 0 && memchr(reader->buffer + reader->len, '\0', got) != NULL)
        reader->has_nul = true;
    reader->len += got;
    reader->at_end = got == 0;
    lh_str text = lh_str_of(reader->buffer, reader->len);
    size_t bom_len = 0;
    if (at_start && lh_encoding_of_bom(text, &bom_len) == LH_ENCODING_UTF8)
        text = lh_str_skip(text, bom_len);
    lh_csv_refill(&reader->csv, text, reader->at_end);
    return LH_OK;
}

/* ---- failures ---- */

static lh_code fail_open_quote(struct lh_csv_reader *reader, uint64_t line, struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the quote that opens in line %llu is never closed",
                      (unsigned long long)line),
              "a hint follows");
    lh_error_set_excerpt(err,
                         lh_str_of(reader->csv.at, (size_t)(reader->csv.end - reader->csv.at)));
    err->line = line;
    return lh_hint(err, "write a quote inside of a value twice (\"\"), or read without quotes: "
                        "?quote=none");
}

static lh_code fail_after_quote(struct lh_csv_reader *reader, const struct lh_csv_record *at,
                                struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu: text follows the closing quote of value %zu",
                      (unsigned long long)at->line, at->count),
              "a hint follows");
    lh_error_set_excerpt(err,
                         lh_str_of(reader->csv.at, (size_t)(reader->csv.end - reader->csv.at)));
    err->line = at->line;
    err->column = at->count;
    return lh_hint(err, "write a quote inside of a value twice (\"\"), or name the character that "
                        "escapes it: ?escape=\\");
}

lh_code lh_csv_reader_next(struct lh_csv_reader *reader, struct lh_csv_record *ret_record,
                           bool *ret_got, struct lh_error *err)
{
    for (;;) {
        enum lh_csv_result result = lh_csv_next(&reader->csv, ret_record);
        switch (result) {
        case LH_CSV_RECORD:
            if (ret_record->bytes > reader->options.line_bytes_max)
                return fail_long_line(reader, ret_record->line, err);
            *ret_got = true;
            return LH_OK;
        case LH_CSV_END:
            *ret_got = false;
            return LH_OK;
        case LH_CSV_MORE:
            LH_TRY(refill(reader, err));
            break;
        case LH_CSV_OPEN_QUOTE:
            return fail_open_quote(reader, ret_record->line, err);
        case LH_CSV_AFTER_QUOTE:
            return fail_after_quote(reader, ret_record, err);
        case LH_CSV_TOO_MANY:
            LH_IGNORE(lh_fail(err, LH_BAD_DATA, "line %llu has more than %zu columns",
                              (unsigned long long)ret_record->line, reader->options.columns_max),
                      "the position follows");
            err->line = ret_record->line;
            return err->code;
        }
    }
}
