/*
 * Lines, columns and carets. Characters are code points; one that is wider than a column on the
 * screen moves the caret a little, which is still a good hint.
 */
#include "queryd/caret.h"

#include <stdbool.h>
#include <string.h>

enum {
    BEFORE_MAX = 60, /* characters of the line shown before the place */
    AFTER_MAX = 40,  /* and from it on, if they fit */
};

/* A byte that begins a character: anything but 10xxxxxx. */
static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

static size_t count_characters(lh_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += begins_character(text.ptr[i]);
    return count;
}

size_t lh_sql_byte_of_character(lh_str sql, size_t n)
{
    size_t seen = 0;
    for (size_t i = 0; i < sql.len; i++) {
        if (!begins_character(sql.ptr[i]))
            continue;
        if (seen++ == n)
            return i;
    }
    return sql.len;
}

/* The last `max` characters of text. */
static lh_str last_characters(lh_str text, size_t max)
{
    size_t count = count_characters(text);
    if (count <= max)
        return text;
    return lh_str_skip(text, lh_sql_byte_of_character(text, count - max));
}

struct excerpt {
    char *out;
    size_t len;
};

static void put(struct excerpt *e, const char *bytes, size_t len)
{
    if (len >= LH_ERROR_EXCERPT_MAX - e->len)
        return;
    memcpy(e->out + e->len, bytes, len);
    e->len += len;
    e->out[e->len] = '\0';
}

/* Control characters would break the picture; a tab keeps its width by standing in both lines. */
static void put_line(struct excerpt *e, lh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        put(e, byte < 0x20 && byte != '\t' ? "?" : &text.ptr[i], 1);
    }
}

static void put_padding(struct excerpt *e, lh_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (begins_character(text.ptr[i]))
            put(e, text.ptr[i] == '\t' ? "\t" : " ", 1);
}

/* The first characters of text, at most `max` and not more than `bytes_max` bytes. */
static lh_str first_characters(lh_str text, size_t max, size_t bytes_max)
{
    size_t len = lh_sql_byte_of_character(text, max);
    if (len > bytes_max)
        len = bytes_max;
    while (len > 0 && len < text.len && !begins_character(text.ptr[len]))
        len--;
    return lh_str_of(text.ptr, len);
}

static void put_excerpt(struct excerpt *e, lh_str before, lh_str after)
{
    lh_str shown = last_characters(before, BEFORE_MAX);
    bool cut = shown.len < before.len;
    /* Two times "...", the end of the line, the line of the caret and the terminator. */
    size_t taken = shown.len + 6 + 1 + 3 + count_characters(shown) + 1 + 1;
    lh_str rest = first_characters(after, AFTER_MAX, LH_ERROR_EXCERPT_MAX - taken);
    if (cut)
        put(e, "...", 3);
    put_line(e, shown);
    put_line(e, rest);
    if (rest.len < after.len)
        put(e, "...", 3);
    put(e, "\n", 1);
    if (cut)
        put(e, "   ", 3);
    put_padding(e, shown);
    put(e, "^", 1);
}

void lh_sql_caret(lh_str sql, size_t offset, struct lh_error *err)
{
    if (offset > sql.len)
        offset = sql.len;
    size_t start = 0;
    uint64_t line = 1;
    for (size_t i = 0; i < offset; i++) {
        if (sql.ptr[i] == '\n') {
            start = i + 1;
            line++;
        }
    }
    size_t end = offset;
    while (end < sql.len && sql.ptr[end] != '\n' && sql.ptr[end] != '\r')
        end++;
    lh_str before = lh_str_of(sql.ptr + start, offset - start);
    err->line = line;
    err->column = count_characters(before) + 1;
    put_excerpt(&(struct excerpt){.out = err->excerpt}, before,
                lh_str_of(sql.ptr + offset, end - offset));
}
