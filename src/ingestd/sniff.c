/*
 * The first look at a file.
 *
 * Format: what the caller said; else the content type, unless it says nothing (octet-stream) or the
 * bytes plainly contradict it (PAR1); else the file's name; else the bytes.
 *
 * Delimiter: the header decides. Each candidate splits the first records; one that splits the
 * header and leaves the most records with as many fields as the header is taken. When none splits
 * the header the file has one column.
 */
#include "ingestd/sniff.h"

#include "base/buf.h"
#include "base/mem.h"
#include "ingestd/csv.h"

enum { RECORDS_MAX = 200 };

static const char separators[] = ",;\t|";

/* ---- the format ---- */

struct word_format {
    const char *word;
    enum lh_ingest_format format;
    bool tab;
};

static const struct word_format content_types[] = {
    {"text/csv", LH_INGEST_CSV, false},
    {"application/csv", LH_INGEST_CSV, false},
    {"text/tab-separated-values", LH_INGEST_CSV, true},
    {"application/json", LH_INGEST_JSON, false},
    {"text/json", LH_INGEST_JSON, false},
    {"application/x-ndjson", LH_INGEST_NDJSON, false},
    {"application/ndjson", LH_INGEST_NDJSON, false},
    {"application/jsonl", LH_INGEST_NDJSON, false},
    {"application/x-jsonlines", LH_INGEST_NDJSON, false},
    {"application/jsonlines", LH_INGEST_NDJSON, false},
    {"application/vnd.apache.parquet", LH_INGEST_PARQUET, false},
    {"application/x-parquet", LH_INGEST_PARQUET, false},
    /* These say nothing; the fourth is what curl sends unasked, the fifth what Windows calls CSV.
     */
    {"", LH_INGEST_AUTO, false},
    {"application/octet-stream", LH_INGEST_AUTO, false},
    {"binary/octet-stream", LH_INGEST_AUTO, false},
    {"application/x-www-form-urlencoded", LH_INGEST_AUTO, false},
    {"application/vnd.ms-excel", LH_INGEST_AUTO, false},
    {"text/plain", LH_INGEST_AUTO, false},
};

static const struct word_format extensions[] = {
    {".csv", LH_INGEST_CSV, false},         {".tsv", LH_INGEST_CSV, true},
    {".tab", LH_INGEST_CSV, true},          {".json", LH_INGEST_JSON, false},
    {".ndjson", LH_INGEST_NDJSON, false},   {".jsonl", LH_INGEST_NDJSON, false},
    {".parquet", LH_INGEST_PARQUET, false}, {".pq", LH_INGEST_PARQUET, false},
};

static lh_code format_of_content_type(lh_str value, const struct word_format **ret,
                                      struct lh_error *err)
{
    lh_str type = LH_STR("");
    if (value.len > 0)
        (void)lh_str_next(&value, ';', &type);
    type = lh_str_trim(type);
    for (size_t i = 0; i < LH_COUNT(content_types); i++) {
        if (!lh_str_eq_nocase(type, lh_str_from(content_types[i].word)))
            continue;
        *ret = &content_types[i];
        return LH_OK;
    }
    LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "%.*s cannot be taken in", LH_FMT(type)),
              "a hint follows");
    return lh_hint(err, "send CSV, TSV, JSON, NDJSON or Parquet, or name it: ?format=csv");
}

static const struct word_format *format_of_file_name(lh_str name)
{
    for (size_t i = 0; i < LH_COUNT(extensions); i++) {
        size_t len = strlen(extensions[i].word);
        if (name.len > len &&
            lh_str_eq_nocase(lh_str_skip(name, name.len - len), lh_str_from(extensions[i].word)))
            return &extensions[i];
    }
    return NULL;
}

/* Files that are known and are not ours: better named than called bad text. */
static lh_code refuse_known_binary(lh_str start, struct lh_error *err)
{
    static const struct {
        lh_str magic;
        const char *what;
        const char *hint;
    } known[] = {
        {{"\x1F\x8B", 2}, "a gzip file", "unpack it first: gunzip"},
        {{"\x28\xB5\x2F\xFD", 4}, "a Zstandard file", "unpack it first: unzstd"},
        {{"BZh", 3}, "a bzip2 file", "unpack it first: bunzip2"},
        {{"\xFD"
          "7zXZ",
          5},
         "an xz file",
         "unpack it first: unxz"},
        {{"PK\x03\x04", 4},
         "a ZIP archive or an Excel workbook",
         "unpack it, or save the sheet as CSV"},
        {{"\xD0\xCF\x11\xE0", 4}, "an Excel workbook", "save the sheet as CSV"},
        {{"%PDF-", 5}, "a PDF document", "send CSV, TSV, JSON, NDJSON or Parquet"},
        {{"ARROW1", 6}, "an Arrow file", "send it as Parquet"},
        {{"SQLite format 3", 15}, "an SQLite database", "export the table as CSV"},
    };
    for (size_t i = 0; i < LH_COUNT(known); i++) {
        lh_str magic = known[i].magic;
        if (start.len < magic.len || memcmp(start.ptr, magic.ptr, magic.len) != 0)
            continue;
        LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "this is %s", known[i].what), "a hint follows");
        return lh_hint(err, "%s", known[i].hint);
    }
    return LH_OK;
}

static lh_str skip_white(lh_str text)
{
    size_t i = 0;
    while (i < text.len && memchr(" \t\r\n", text.ptr[i], 4) != NULL)
        i++;
    return lh_str_skip(text, i);
}

/* Whether the first line is a whole JSON value: then the lines are, one by one. */
static bool first_line_is_json(lh_str text, bool whole)
{
    lh_str rest = text;
    lh_str line;
    if (!lh_str_next(&rest, '\n', &line) || (rest.ptr == NULL && !whole))
        return false;
    json_error_t ignored;
    json_t *root = json_loadb(line.ptr, line.len, 0, &ignored);
    json_decref(root);
    return root != NULL;
}

static enum lh_ingest_format format_of_text(lh_str text, bool whole)
{
    lh_str json = skip_white(text);
    if (lh_str_starts(json, "{"))
        return first_line_is_json(json, whole) ? LH_INGEST_NDJSON : LH_INGEST_JSON;
    lh_str inside = lh_str_starts(json, "[") ? skip_white(lh_str_skip(json, 1)) : LH_STR_NONE;
    if (inside.len > 0 && (inside.ptr[0] == '{' || inside.ptr[0] == ']'))
        return LH_INGEST_JSON;
    return LH_INGEST_CSV;
}

static lh_code resolve_format(const struct lh_sniff *sniff, struct lh_ingest_options *options,
                              struct lh_error *err)
{
    if (options->format != LH_INGEST_AUTO)
        return LH_OK;
    LH_TRY(refuse_known_binary(sniff->start, err));
    if (lh_str_starts(sniff->start, "PAR1")) {
        options->format = LH_INGEST_PARQUET;
        return LH_OK;
    }
    const struct word_format *said = &content_types[0];
    LH_TRY(format_of_content_type(sniff->content_type, &said, err));
    if (said->format == LH_INGEST_AUTO)
        said = format_of_file_name(sniff->file_name);
    if (said == NULL)
        return LH_OK; /* the text decides */
    options->format = said->format;
    if (said->tab && !options->has_delimiter) {
        options->delimiter = '\t';
        options->has_delimiter = true;
    }
    return LH_OK;
}

/* ---- the encoding ---- */

static uint64_t line_at(lh_str text, size_t offset)
{
    uint64_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text.ptr[i] == '\n';
    return line;
}

/* Text in UTF-16 has a zero in every second byte as long as it is ASCII. */
static bool looks_like_utf16(lh_str start)
{
    size_t zeros[2] = {0, 0};
    size_t len = start.len < 1024 ? start.len : 1024;
    for (size_t i = 0; i < len; i++)
        zeros[i % 2] += start.ptr[i] == '\0';
    size_t most = zeros[0] > zeros[1] ? zeros[0] : zeros[1];
    return len >= 4 && most > len / 4 && zeros[0] + zeros[1] - most < len / 16 + 1;
}

static lh_code check_utf8(const struct lh_sniff *sniff, lh_str text, bool format_known,
                          struct lh_error *err)
{
    size_t at = lh_utf8_invalid_at(text);
    bool utf16 = looks_like_utf16(text);
    if (at == text.len && !utf16)
        return LH_OK;
    bool binary = !utf16 && memchr(text.ptr, '\0', text.len) != NULL;
    if (binary && !format_known) {
        LH_IGNORE(lh_fail(err, LH_MEDIA_TYPE, "the content is neither text nor Parquet"),
                  "a hint follows");
        return lh_hint(err, "send CSV, TSV, JSON, NDJSON or Parquet");
    }
    if (utf16)
        LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the text looks like UTF-16 without a byte order mark"),
                  "a hint follows");
    else
        LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the text is not valid UTF-8: byte 0x%02X in line %llu",
                          (unsigned)(unsigned char)text.ptr[at],
                          (unsigned long long)line_at(sniff->start, at)),
                  "a hint follows");
    LH_IGNORE(lh_hint(err, "%s",
                      utf16 ? "name its encoding: ?encoding=utf-16le or utf-16be"
                            : "name its encoding: ?encoding=latin-1 (or windows-1252)"),
              "the position follows");
    err->line = utf16 ? 1 : line_at(sniff->start, at);
    return err->code;
}

/* The start as UTF-8 without a byte order mark, borrowed from it or in `buf`. */
static lh_code decode_start(const struct lh_sniff *sniff, struct lh_ingest_options *options,
                            struct lh_buf *buf, lh_str *ret_text, struct lh_error *err)
{
    size_t bom_len;
    enum lh_encoding marked = lh_encoding_of_bom(sniff->start, &bom_len);
    if (marked != LH_ENCODING_AUTO)
        options->encoding = marked;
    if (options->encoding == LH_ENCODING_AUTO)
        options->encoding = LH_ENCODING_UTF8;
    if (options->encoding == LH_ENCODING_UTF8) {
        *ret_text = lh_str_skip(sniff->start, bom_len);
        return check_utf8(sniff, *ret_text, options->format != LH_INGEST_AUTO, err);
    }
    struct lh_transcoder transcoder = LH_TRANSCODER_INIT(options->encoding);
    LH_TRY(lh_transcode(&transcoder, sniff->start.ptr, sniff->start.len, buf, err));
    *ret_text = lh_buf_str(buf);
    return LH_OK;
}

/* ---- the delimiter ---- */

struct split {
    size_t columns; /* of the header */
    size_t records;
    size_t even; /* records with as many fields as the header */
    bool broken; /* quotes do not come out right */
    bool too_many;
    bool separator_in_name; /* the header is one field that holds a separator */
};

static bool holds_separator(const struct lh_csv_field *field)
{
    for (size_t i = 0; i < field->len; i++)
        if (field->ptr[i] != '\0' && strchr(separators, field->ptr[i]) != NULL)
            return true;
    return false;
}

static struct split split_text(lh_str text, bool whole, const struct lh_ingest_options *options,
                               char delimiter, size_t columns_max)
{
    const struct lh_csv_dialect dialect = {
        .delimiter = delimiter, .quote = options->quote, .escape = options->escape};
    LH_AUTO_FREE struct lh_csv_field *fields = lh_calloc(columns_max + 2, sizeof(*fields));
    struct lh_csv csv;
    struct lh_csv_record record;
    struct split split = {0};
    enum lh_csv_result result;
    lh_csv_init(&csv, &dialect, fields, columns_max + 2);
    lh_csv_refill(&csv, text, whole);
    while ((result = lh_csv_next(&csv, &record)) == LH_CSV_RECORD && split.records < RECORDS_MAX) {
        if (lh_csv_is_blank(&record))
            continue;
        if (split.records++ == 0) {
            split.columns = record.count;
            split.separator_in_name = record.count == 1 && holds_separator(&record.fields[0]);
        }
        split.even += record.count == split.columns;
    }
    split.broken = result == LH_CSV_OPEN_QUOTE || result == LH_CSV_AFTER_QUOTE;
    split.too_many = result == LH_CSV_TOO_MANY || split.columns > columns_max;
    return split;
}

/* Whether a splits better than b: quotes in order, then the share of even records, then columns. */
static bool splits_better(const struct split *a, const struct split *b)
{
    if ((a->columns > 1) != (b->columns > 1))
        return a->columns > 1;
    if (a->broken != b->broken)
        return b->broken;
    size_t left = a->even * b->records;
    size_t right = b->even * a->records;
    return left != right ? left > right : a->columns > b->columns;
}

static lh_code resolve_delimiter(const struct lh_sniff *sniff, lh_str text,
                                 struct lh_ingest_options *options, struct lh_error *err)
{
    char delimiter = options->has_delimiter ? options->delimiter : separators[0];
    struct split best = split_text(text, sniff->whole, options, delimiter, sniff->columns_max);
    for (const char *c = separators + 1; *c != '\0' && !options->has_delimiter; c++) {
        struct split split = split_text(text, sniff->whole, options, *c, sniff->columns_max);
        if (!splits_better(&split, &best))
            continue;
        best = split;
        delimiter = *c;
    }
    if (best.too_many)
        return lh_fail(err, LH_BAD_DATA, "the file has more than %zu columns", sniff->columns_max);
    if (best.separator_in_name && !options->has_delimiter) {
        LH_IGNORE(
            lh_fail(err, LH_BAD_DATA, "the file has one column, and its name holds a separator"),
            "a hint follows");
        LH_IGNORE(lh_hint(err, "are whole lines quoted? If it is right, say so: ?delimiter=,"),
                  "the position follows");
        err->line = 1;
        return err->code;
    }
    options->delimiter = delimiter;
    return LH_OK;
}

lh_code lh_sniff(const struct lh_sniff *sniff, struct lh_ingest_options *options,
                 struct lh_error *err)
{
    LH_TRY(resolve_format(sniff, options, err));
    if (sniff->start.len == 0)
        return lh_fail(err, LH_BAD_DATA, "the file is empty");
    if (options->format == LH_INGEST_PARQUET) {
        options->encoding = LH_ENCODING_UTF8;
        return LH_OK;
    }
    LH_AUTO_BUF struct lh_buf buf = LH_BUF_INIT((size_t)3 * LH_SNIFF_BYTES + 16);
    lh_str text = LH_STR_NONE;
    LH_TRY(decode_start(sniff, options, &buf, &text, err));
    if (sniff->whole && skip_white(text).len == 0)
        return lh_fail(err, LH_BAD_DATA, "the file is empty");
    if (options->format == LH_INGEST_AUTO)
        options->format = format_of_text(text, sniff->whole);
    return options->format == LH_INGEST_CSV ? resolve_delimiter(sniff, text, options, err) : LH_OK;
}
