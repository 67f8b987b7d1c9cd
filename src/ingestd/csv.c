/*
 * The CSV scanner. A record is scanned from its start whenever it is asked for, so a text that ends
 * inside of one costs that record twice and needs no state in between.
 *
 * Rules beyond RFC 4180, the same as DuckDB's strict mode: a quote that does not open a field is an
 * ordinary character; spaces may stand before an opening and after a closing quote; LF, CRLF and CR
 * end a record; an empty line is a record of one empty field.
 */
#include "ingestd/csv.h"

#include "base/buf.h"
#include "base/check.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void lh_csv_init(struct lh_csv *csv, const struct lh_csv_dialect *dialect,
                 struct lh_csv_field *fields, size_t fields_max)
{
    LH_CHECK(fields_max > 0);
    *csv =
        (struct lh_csv){.dialect = *dialect, .line = 1, .fields = fields, .fields_max = fields_max};
}

void lh_csv_refill(struct lh_csv *csv, lh_str text, bool final)
{
    csv->at = text.ptr;
    csv->end = text.ptr + text.len;
    csv->final = final;
}

bool lh_csv_is_blank(const struct lh_csv_record *record)
{
    return record->count == 1 && record->fields[0].len == 0 && !record->fields[0].quoted;
}

/* The first of three characters in [p, end), or end. Most fields are shorter than one step. */
static const char *find_any(const char *p, const char *end, char a, char b, char c)
{
#ifdef __SSE2__
    const __m128i as = _mm_set1_epi8(a);
    const __m128i bs = _mm_set1_epi8(b);
    const __m128i cs = _mm_set1_epi8(c);
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hits =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, as),
                         _mm_or_si128(_mm_cmpeq_epi8(bytes, bs), _mm_cmpeq_epi8(bytes, cs)));
        int mask = _mm_movemask_epi8(hits);
        if (mask != 0)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p != a && *p != b && *p != c)
        p++;
    return p;
}

/* What a field's scan found behind the field. */
enum field_end { AT_DELIMITER, AT_LINE_END, AT_TEXT_END, IN_QUOTES, BEHIND_QUOTE };

static enum field_end field_end_at(const char *p, const char *end, char delimiter)
{
    if (p == end)
        return AT_TEXT_END;
    return *p == delimiter ? AT_DELIMITER : AT_LINE_END;
}

/* The closing quote of a field whose content begins at p, or NULL. `lines` counts the line feeds.
 */
static const char *find_closing_quote(const struct lh_csv_dialect *dialect, const char *p,
                                      const char *end, uint64_t *lines)
{
    for (;;) {
        p = find_any(p, end, dialect->quote, dialect->escape, '\n');
        if (p == end)
            return NULL;
        bool escapes = *p == dialect->escape && p + 1 < end &&
                       (p[1] == dialect->quote || p[1] == dialect->escape);
        if (*p == dialect->quote && !escapes)
            return p;
        *lines += *p == '\n';
        p += escapes ? 2 : 1;
    }
}

static const char *skip_spaces(const char *p, const char *end, char delimiter)
{
    while (p < end && *p == ' ' && delimiter != ' ')
        p++;
    return p;
}

/* Scans one field from *at on and moves *at behind it, to the delimiter, line end or text end. */
static enum field_end scan_field(const struct lh_csv_dialect *dialect, const char **at,
                                 const char *end, struct lh_csv_field *ret_field, uint64_t *lines)
{
    const char *start = *at;
    const char *first = skip_spaces(start, end, dialect->delimiter);
    if (dialect->quote == 0 || first == end || *first != dialect->quote) {
        const char *p = find_any(first, end, dialect->delimiter, '\n', '\r');
        *ret_field = (struct lh_csv_field){.ptr = start, .len = (size_t)(p - start)};
        *at = p;
        return field_end_at(p, end, dialect->delimiter);
    }
    const char *close = find_closing_quote(dialect, first + 1, end, lines);
    if (close == NULL)
        return IN_QUOTES;
    *ret_field =
        (struct lh_csv_field){.ptr = first + 1, .len = (size_t)(close - first - 1), .quoted = true};
    const char *p = skip_spaces(close + 1, end, dialect->delimiter);
    *at = p;
    if (p < end && *p != dialect->delimiter && *p != '\n' && *p != '\r')
        return BEHIND_QUOTE;
    return field_end_at(p, end, dialect->delimiter);
}

/* Behind the last field: takes the line end. False when it takes more text to know which it is. */
static bool take_newline(const struct lh_csv *csv, const char **at, enum lh_csv_newline *ret)
{
    const char *p = *at;
    if (p == csv->end) {
        *ret = LH_CSV_NEWLINE_NONE;
        return csv->final;
    }
    if (*p == '\n') {
        *ret = LH_CSV_NEWLINE_LF;
        *at = p + 1;
        return true;
    }
    LH_DCHECK(*p == '\r');
    if (p + 1 == csv->end && !csv->final)
        return false;
    bool pair = p + 1 < csv->end && p[1] == '\n';
    *ret = pair ? LH_CSV_NEWLINE_CRLF : LH_CSV_NEWLINE_CR;
    *at = p + (pair ? 2 : 1);
    return true;
}

enum lh_csv_result lh_csv_next(struct lh_csv *csv, struct lh_csv_record *ret_record)
{
    if (csv->at == csv->end)
        return csv->final ? LH_CSV_END : LH_CSV_MORE;
    const char *p = csv->at;
    uint64_t lines = 0;
    size_t count = 0;
    ret_record->line = csv->line;
    for (;;) {
        if (count == csv->fields_max)
            return LH_CSV_TOO_MANY;
        uint64_t line = csv->line + lines;
        enum field_end found = scan_field(&csv->dialect, &p, csv->end, &csv->fields[count], &lines);
        count++;
        if (found == AT_DELIMITER) {
            p++;
            continue;
        }
        if (found == AT_LINE_END || (found == AT_TEXT_END && csv->final))
            break;
        if (found == BEHIND_QUOTE) {
            ret_record->line = csv->line + lines;
            ret_record->count = count;
            return LH_CSV_AFTER_QUOTE;
        }
        if (found == IN_QUOTES && csv->final) {
            ret_record->line = line;
            return LH_CSV_OPEN_QUOTE;
        }
        return LH_CSV_MORE;
    }
    enum lh_csv_newline newline;
    if (!take_newline(csv, &p, &newline))
        return LH_CSV_MORE;
    *ret_record = (struct lh_csv_record){
        .fields = csv->fields,
        .count = count,
        .line = csv->line,
        .bytes = (size_t)(p - csv->at),
        .newline = newline,
    };
    csv->line += lines + (newline != LH_CSV_NEWLINE_NONE);
    csv->at = p;
    return LH_CSV_RECORD;
}

void lh_csv_unescape(const struct lh_csv_dialect *dialect, const struct lh_csv_field *field,
                     struct lh_buf *out)
{
    for (size_t i = 0; i < field->len; i++) {
        char c = field->ptr[i];
        bool escapes =
            field->quoted && c == dialect->escape && i + 1 < field->len &&
            (field->ptr[i + 1] == dialect->quote || field->ptr[i + 1] == dialect->escape);
        lh_buf_append_char(out, escapes ? field->ptr[++i] : c);
    }
}
