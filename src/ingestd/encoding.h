/*
 * Text encodings of files that come in, and the way from each to UTF-8. Pure.
 */
#ifndef LH_INGESTD_ENCODING_H
#define LH_INGESTD_ENCODING_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lh_encoding {
    LH_ENCODING_AUTO, /* UTF-8, or what a byte order mark says */
    LH_ENCODING_UTF8,
    LH_ENCODING_UTF16LE,
    LH_ENCODING_UTF16BE,
    LH_ENCODING_LATIN1,
    LH_ENCODING_WINDOWS1252,
};

/* The word in ?encoding=; case does not matter. False for one that is unknown. */
bool lh_encoding_parse(lh_str word, enum lh_encoding *ret);
const char *lh_encoding_name(enum lh_encoding encoding);

/* The encoding that a byte order mark at the start of a file names, and the mark's length;
 * LH_ENCODING_AUTO and 0 when there is none. */
enum lh_encoding lh_encoding_of_bom(lh_str start, size_t *ret_bom_len);

/* Turns a stream of bytes into UTF-8; the pieces may be cut anywhere. */
struct lh_transcoder {
    enum lh_encoding encoding; /* not AUTO */
    uint64_t line;             /* of the next character, 1-based */
    uint8_t unit[2];           /* the begun code unit of UTF-16 */
    size_t unit_len;
    uint32_t high; /* a high surrogate that waits for its other half, or 0 */
    bool at_start; /* a byte order mark may come */
};

#define LH_TRANSCODER_INIT(from)                                                                   \
    ((struct lh_transcoder){.encoding = (from), .line = 1, .at_start = true})

/* Appends at most 3 * len + 3 bytes to `out`, whose maximum must allow it. A byte order mark at the
 * start is dropped. LH_BAD_DATA with the line for what is no valid text in that encoding. UTF-8 is
 * passed on unchecked. */
lh_code lh_transcode(struct lh_transcoder *transcoder, const void *bytes, size_t len,
                     struct lh_buf *out, struct lh_error *err);
/* The input has ended: LH_BAD_DATA when it ended inside of a character. */
lh_code lh_transcode_finish(const struct lh_transcoder *transcoder, struct lh_error *err);

/* Where the first byte stands that is no well-formed UTF-8; text.len when all is well. A character
 * that is only cut off by the end of the text counts as well. */
size_t lh_utf8_invalid_at(lh_str text);

#endif
