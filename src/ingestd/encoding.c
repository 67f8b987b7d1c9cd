/*
 * Encodings. UTF-16 by RFC 2781, windows-1252 by the WHATWG table (its five unassigned bytes become
 * control characters, as in browsers), latin-1 one to one.
 */
#include "ingestd/encoding.h"

#include "base/check.h"
#include "base/mem.h"

static const struct {
    const char *word;
    enum lh_encoding encoding;
} words[] = {
    {"auto", LH_ENCODING_AUTO},
    {"utf-8", LH_ENCODING_UTF8},
    {"utf-16le", LH_ENCODING_UTF16LE},
    {"utf-16be", LH_ENCODING_UTF16BE},
    {"latin-1", LH_ENCODING_LATIN1},
    {"windows-1252", LH_ENCODING_WINDOWS1252},
    /* other names of the same */
    {"utf8", LH_ENCODING_UTF8},
    {"utf-16", LH_ENCODING_UTF16LE},
    {"utf16", LH_ENCODING_UTF16LE},
    {"latin1", LH_ENCODING_LATIN1},
    {"iso-8859-1", LH_ENCODING_LATIN1},
    {"cp1252", LH_ENCODING_WINDOWS1252},
};

bool lh_encoding_parse(lh_str word, enum lh_encoding *ret)
{
    for (size_t i = 0; i < LH_COUNT(words); i++) {
        if (!lh_str_eq_nocase(word, lh_str_from(words[i].word)))
            continue;
        *ret = words[i].encoding;
        return true;
    }
    return false;
}

const char *lh_encoding_name(enum lh_encoding encoding)
{
    for (size_t i = 0; i < LH_COUNT(words); i++)
        if (words[i].encoding == encoding)
            return words[i].word;
    LH_UNREACHABLE("an encoding of the table");
    return "";
}

enum lh_encoding lh_encoding_of_bom(lh_str start, size_t *ret_bom_len)
{
    static const struct {
        const char *mark;
        size_t len;
        enum lh_encoding encoding;
    } marks[] = {
        {"\xEF\xBB\xBF", 3, LH_ENCODING_UTF8},
        {"\xFF\xFE", 2, LH_ENCODING_UTF16LE},
        {"\xFE\xFF", 2, LH_ENCODING_UTF16BE},
    };
    *ret_bom_len = 0;
    for (size_t i = 0; i < LH_COUNT(marks); i++) {
        if (start.len < marks[i].len || memcmp(start.ptr, marks[i].mark, marks[i].len) != 0)
            continue;
        *ret_bom_len = marks[i].len;
        return marks[i].encoding;
    }
    return LH_ENCODING_AUTO;
}

static void append_utf8(struct lh_buf *out, uint32_t c)
{
    if (c < 0x80) {
        lh_buf_append_char(out, (char)c);
    } else if (c < 0x800) {
        lh_buf_append_char(out, (char)(0xC0 | c >> 6));
        lh_buf_append_char(out, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        lh_buf_append_char(out, (char)(0xE0 | c >> 12));
        lh_buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
        lh_buf_append_char(out, (char)(0x80 | (c & 0x3F)));
    } else {
        lh_buf_append_char(out, (char)(0xF0 | c >> 18));
        lh_buf_append_char(out, (char)(0x80 | (c >> 12 & 0x3F)));
        lh_buf_append_char(out, (char)(0x80 | (c >> 6 & 0x3F)));
        lh_buf_append_char(out, (char)(0x80 | (c & 0x3F)));
    }
}

static lh_code fail_surrogate(const struct lh_transcoder *transcoder, struct lh_error *err)
{
    LH_IGNORE(lh_fail(err, LH_BAD_DATA, "the text is not valid UTF-16: half a surrogate pair"),
              "the position follows");
    err->line = transcoder->line;
    return err->code;
}

static lh_code take_unit(struct lh_transcoder *transcoder, uint32_t unit, struct lh_buf *out,
                         struct lh_error *err)
{
    bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;
    if ((transcoder->high != 0) != is_low)
        return fail_surrogate(transcoder, err);
    if (is_low) {
        append_utf8(out, 0x10000 + ((transcoder->high - 0xD800) << 10) + (unit - 0xDC00));
        transcoder->high = 0;
    } else if (unit >= 0xD800 && unit <= 0xDBFF) {
        transcoder->high = unit;
    } else if (unit != 0xFEFF || !transcoder->at_start) {
        append_utf8(out, unit);
    }
    if (unit == '\n')
        transcoder->line++;
    transcoder->at_start = false;
    return LH_OK;
}

static lh_code from_utf16(struct lh_transcoder *transcoder, const uint8_t *bytes, size_t len,
                          struct lh_buf *out, struct lh_error *err)
{
    bool big_endian = transcoder->encoding == LH_ENCODING_UTF16BE;
    for (size_t i = 0; i < len; i++) {
        transcoder->unit[transcoder->unit_len++] = bytes[i];
        if (transcoder->unit_len < 2)
            continue;
        transcoder->unit_len = 0;
        uint32_t first = transcoder->unit[0];
        uint32_t second = transcoder->unit[1];
        uint32_t unit = big_endian ? first << 8 | second : second << 8 | first;
        LH_TRY(take_unit(transcoder, unit, out, err));
    }
    return LH_OK;
}

static uint32_t from_windows1252(uint8_t byte)
{
    static const uint16_t high[32] = {
        0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
    };
    return byte >= 0x80 && byte < 0xA0 ? high[byte - 0x80] : byte;
}

static void from_single_bytes(struct lh_transcoder *transcoder, const uint8_t *bytes, size_t len,
                              struct lh_buf *out)
{
    bool windows = transcoder->encoding == LH_ENCODING_WINDOWS1252;
    for (size_t i = 0; i < len; i++)
        append_utf8(out, windows ? from_windows1252(bytes[i]) : bytes[i]);
}

lh_code lh_transcode(struct lh_transcoder *transcoder, const void *bytes, size_t len,
                     struct lh_buf *out, struct lh_error *err)
{
    switch (transcoder->encoding) {
    case LH_ENCODING_UTF16LE:
    case LH_ENCODING_UTF16BE:
        LH_TRY(from_utf16(transcoder, bytes, len, out, err));
        break;
    case LH_ENCODING_LATIN1:
    case LH_ENCODING_WINDOWS1252:
        from_single_bytes(transcoder, bytes, len, out);
        break;
    case LH_ENCODING_AUTO:
    case LH_ENCODING_UTF8:
        lh_buf_append(out, bytes, len);
        break;
    }
    LH_CHECK(!lh_buf_overflowed(out));
    return LH_OK;
}

lh_code lh_transcode_finish(const struct lh_transcoder *transcoder, struct lh_error *err)
{
    if (transcoder->unit_len == 0 && transcoder->high == 0)
        return LH_OK;
    LH_IGNORE(
        lh_fail(err, LH_BAD_DATA, "the text is not valid UTF-16: it ends inside of a character"),
        "the position follows");
    err->line = transcoder->line;
    return err->code;
}

/* How many bytes a character takes that begins with this byte; 0 for none. */
static size_t sequence_len(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

/* Whether the text, shorter than its first byte asks for, could go on to be a character. */
static bool is_cut_character(const uint8_t *bytes, size_t len)
{
    if (len >= 2) { /* RFC 3629 section 4: the second byte is narrower after these */
        uint8_t least = bytes[0] == 0xE0 ? 0xA0 : bytes[0] == 0xF0 ? 0x90 : 0x80;
        uint8_t most = bytes[0] == 0xED ? 0x9F : bytes[0] == 0xF4 ? 0x8F : 0xBF;
        if (bytes[1] < least || bytes[1] > most)
            return false;
    }
    return len < 3 || (bytes[2] & 0xC0) == 0x80;
}

size_t lh_utf8_invalid_at(lh_str text)
{
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    size_t i = 0;
    while (i < text.len) {
        if (bytes[i] < 0x80) {
            i++;
            continue;
        }
        size_t len = sequence_len(bytes[i]);
        if (len == 0)
            return i;
        if (text.len - i < len)
            return is_cut_character(bytes + i, text.len - i) ? text.len : i;
        if (!lh_utf8_valid(lh_str_of(text.ptr + i, len)))
            return i;
        i += len;
    }
    return i;
}
