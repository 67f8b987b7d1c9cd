/*
 * The parser of multipart/form-data.
 *
 * The delimiter CRLF "--" boundary is searched without a buffer: a boundary holds no CR (RFC 2046
 * bchars), so CR can only be the delimiter's first byte. When a match breaks off after k bytes,
 * those k bytes were content, they are known (the delimiter's first k), and the search goes on with
 * the byte that broke it. The preamble and each content start as if a CRLF had just been seen
 * (`phantom` bytes that are never content), so that a delimiter at their very beginning is found by
 * the same rule.
 *
 *   PREAMBLE -- delimiter --> AFTER_BOUNDARY -- CRLF --> HEADERS -- empty line --> CONTENT
 *                              |      ^                                             |
 *                             "--"    +------------------ delimiter ----------------+
 *                              v
 *                           EPILOGUE
 */
#include "net/multipart.h"

#include "base/check.h"
#include "net/http.h"

/* ---- parameters of a header value: ; name=value; name="quoted value" ---- */

/* Unescapes a quoted string (without its opening quote) into `out`; *text moves behind the closing
 * quote. A backslash escapes only a quote or a backslash: browsers leave it bare in file names. */
static bool take_quoted(lh_str *text, struct lh_buf *out)
{
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '"') {
            *text = lh_str_skip(*text, i + 1);
            return true;
        }
        if (c == '\\' && i + 1 < text->len && (text->ptr[i + 1] == '"' || text->ptr[i + 1] == '\\'))
            c = text->ptr[++i];
        lh_buf_append_char(out, c);
    }
    return false;
}

/* Cuts the next parameter off *rest. False at the end and at what is no parameter (*ret_bad). */
static bool next_parameter(lh_str *rest, lh_str *ret_name, struct lh_buf *value, bool *ret_bad)
{
    lh_str text = lh_str_trim(*rest);
    lh_buf_reset(value);
    *ret_bad = false;
    if (text.len == 0)
        return false;
    *ret_bad = true;
    if (text.ptr[0] != ';')
        return false;
    text = lh_str_trim(lh_str_skip(text, 1));
    const char *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    if (equals == NULL)
        return false;
    *ret_name = lh_str_trim(lh_str_of(text.ptr, (size_t)(equals - text.ptr)));
    if (!lh_http_is_token(*ret_name))
        return false;
    text = lh_str_trim(lh_str_skip(text, (size_t)(equals - text.ptr) + 1));
    if (text.len > 0 && text.ptr[0] == '"') {
        text = lh_str_skip(text, 1);
        if (!take_quoted(&text, value))
            return false;
    } else {
        const char *end = text.len > 0 ? memchr(text.ptr, ';', text.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        lh_buf_append_str(value, lh_str_trim(lh_str_of(text.ptr, len)));
        text = lh_str_skip(text, len);
    }
    *rest = text;
    *ret_bad = lh_buf_overflowed(value);
    return !*ret_bad;
}

/* What stands before the first ';'. */
static lh_str media_type(lh_str value, lh_str *ret_parameters)
{
    const char *end = value.len > 0 ? memchr(value.ptr, ';', value.len) : NULL;
    size_t len = end != NULL ? (size_t)(end - value.ptr) : value.len;
    *ret_parameters = lh_str_skip(value, len);
    return lh_str_trim(lh_str_of(value.ptr, len));
}

bool lh_multipart_is(lh_str content_type)
{
    lh_str parameters;
    return lh_str_eq_nocase(media_type(content_type, &parameters), LH_STR("multipart/form-data"));
}

/* bchars of RFC 2046 section 5.1.1; a space may not be the last one. */
static bool is_boundary(lh_str text)
{
    static const char others[] = "'()+_,-./:=? ";
    if (text.len == 0 || text.len > LH_MULTIPART_BOUNDARY_MAX || text.ptr[text.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

lh_code lh_multipart_init(struct lh_multipart *form, lh_str content_type,
                          const struct lh_multipart_sink *sink, struct lh_error *err)
{
    LH_CHECK(sink->on_part != NULL && sink->on_data != NULL && sink->on_end != NULL);
    if (!lh_multipart_is(content_type))
        return lh_fail(err, LH_INVALID, "the content type is not multipart/form-data");
    LH_AUTO_BUF struct lh_buf value = LH_BUF_INIT(LH_MULTIPART_HEADER_MAX);
    lh_str rest;
    lh_str name;
    bool bad;
    (void)media_type(content_type, &rest);
    while (next_parameter(&rest, &name, &value, &bad)) {
        if (!lh_str_eq_nocase(name, LH_STR("boundary")))
            continue;
        lh_str boundary = lh_buf_str(&value);
        if (!is_boundary(boundary))
            return lh_fail(err, LH_INVALID, "the boundary of the multipart body is not valid");
        *form = (struct lh_multipart){
            .sink = *sink,
            .delimiter_len = 4 + boundary.len,
            .matched = 2,
            .phantom = 2,
            .headers = LH_BUF_INIT(LH_MULTIPART_HEADER_MAX),
        };
        memcpy(form->delimiter, "\r\n--", 4);
        memcpy(form->delimiter + 4, boundary.ptr, boundary.len);
        return LH_OK;
    }
    return lh_fail(err, LH_INVALID, "the content type of the multipart body names no boundary");
}

void lh_multipart_deinit(struct lh_multipart *form)
{
    lh_buf_deinit(&form->headers);
}

/* ---- the head of a part ---- */

struct part_head {
    struct lh_buf name;
    struct lh_buf filename;
    lh_str content_type;
    bool has_disposition;
};

/* RFC 7578 section 4.2: form-data with a name; filename* is not used in forms and is left out. */
static lh_code read_disposition(struct part_head *head, lh_str value, struct lh_error *err)
{
    if (head->has_disposition)
        return lh_fail(err, LH_INVALID, "a part of the form has two Content-Disposition lines");
    head->has_disposition = true;
    lh_str rest;
    if (!lh_str_eq_nocase(media_type(value, &rest), LH_STR("form-data")))
        return lh_fail(err, LH_INVALID, "a part of the form is not form-data");
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(LH_MULTIPART_HEADER_MAX);
    lh_str name;
    bool bad;
    while (next_parameter(&rest, &name, &text, &bad)) {
        if (lh_str_eq_nocase(name, LH_STR("name")) && head->name.len == 0)
            lh_buf_append_str(&head->name, lh_buf_str(&text));
        else if (lh_str_eq_nocase(name, LH_STR("filename")) && head->filename.len == 0)
            lh_buf_append_str(&head->filename, lh_buf_str(&text));
    }
    if (bad)
        return lh_fail(err, LH_INVALID, "a Content-Disposition of the form is not well formed");
    return LH_OK;
}

static lh_code read_header_line(struct part_head *head, lh_str line, struct lh_error *err)
{
    const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
    lh_str name = colon != NULL ? lh_str_of(line.ptr, (size_t)(colon - line.ptr)) : LH_STR_NONE;
    if (!lh_http_is_token(name))
        return lh_fail(err, LH_INVALID, "a header line in the form is not well formed");
    lh_str value = lh_str_trim(lh_str_skip(line, name.len + 1));
    if (lh_str_eq_nocase(name, LH_STR("content-disposition")))
        return read_disposition(head, value, err);
    if (lh_str_eq_nocase(name, LH_STR("content-type")))
        head->content_type = value;
    return LH_OK;
}

static lh_code read_head(struct part_head *head, lh_str lines, struct lh_error *err)
{
    while (lines.len > 0) {
        const char *end = memmem(lines.ptr, lines.len, "\r\n", 2);
        LH_CHECK(end != NULL); /* the block was cut after its last CRLF */
        size_t len = (size_t)(end - lines.ptr);
        if (memchr(lines.ptr, '\0', len) != NULL || memchr(lines.ptr, '\n', len) != NULL)
            return lh_fail(err, LH_INVALID, "a header line in the form is not well formed");
        LH_TRY(read_header_line(head, lh_str_of(lines.ptr, len), err));
        lines = lh_str_skip(lines, len + 2);
    }
    if (head->name.len == 0)
        return lh_fail(err, LH_INVALID, "a part of the form has no name");
    if (!lh_utf8_valid(lh_buf_str(&head->name)) || !lh_utf8_valid(lh_buf_str(&head->filename)))
        return lh_fail(err, LH_INVALID, "a name in the form is not valid UTF-8");
    return LH_OK;
}

/* `lines`: the header lines without the empty one that ends them. */
static lh_code begin_part(struct lh_multipart *form, lh_str lines, struct lh_error *err)
{
    if (++form->part_count > LH_MULTIPART_PARTS_MAX)
        return lh_fail(err, LH_TOO_LARGE, "the form has more than %d parts",
                       LH_MULTIPART_PARTS_MAX);
    struct part_head head = {.name = LH_BUF_INIT(LH_MULTIPART_HEADER_MAX),
                             .filename = LH_BUF_INIT(LH_MULTIPART_HEADER_MAX)};
    lh_code code = read_head(&head, lines, err);
    if (code == LH_OK) {
        const struct lh_multipart_part part = {.name = lh_buf_str(&head.name),
                                               .filename = lh_buf_str(&head.filename),
                                               .content_type = head.content_type};
        code = form->sink.on_part(form->sink.ctx, &part, err);
    }
    lh_buf_deinit(&head.name);
    lh_buf_deinit(&head.filename);
    return code;
}

/* ---- the states; each takes from the front of *rest ---- */

static lh_code emit(struct lh_multipart *form, const void *bytes, size_t len, struct lh_error *err)
{
    if (form->state != LH_MULTIPART_CONTENT || len == 0)
        return LH_OK;
    return form->sink.on_data(form->sink.ctx, bytes, len, err);
}

/* Preamble and content: everything up to a whole delimiter is passed on in runs as long as the
 * input allows; `carried` counts the bytes of a begun match that came with an earlier piece. */
static lh_code take_content(struct lh_multipart *form, lh_str *rest, struct lh_error *err)
{
    const char *bytes = rest->ptr;
    size_t carried = form->matched;
    size_t i = 0;
    while (i < rest->len) {
        if (form->matched == 0) {
            const char *cr = memchr(bytes + i, '\r', rest->len - i);
            if (cr == NULL) {
                i = rest->len;
                break;
            }
            i = (size_t)(cr - bytes) + 1;
            form->matched = 1;
        } else if (bytes[i] == form->delimiter[form->matched]) {
            i++;
            if (++form->matched == form->delimiter_len)
                break;
        } else {
            LH_TRY(emit(form, form->delimiter + form->phantom, carried - form->phantom, err));
            carried = 0;
            form->phantom = 0;
            form->matched = 0;
        }
    }
    size_t held =
        form->matched - carried; /* matched bytes of this piece: not content, or not yet */
    LH_TRY(emit(form, bytes, i - held, err));
    *rest = lh_str_skip(*rest, i);
    if (form->matched < form->delimiter_len)
        return LH_OK;
    bool in_part = form->state == LH_MULTIPART_CONTENT;
    form->matched = 0;
    form->phantom = 0;
    form->tail_len = 0;
    form->state = LH_MULTIPART_AFTER_BOUNDARY;
    return in_part ? form->sink.on_end(form->sink.ctx, err) : LH_OK;
}

/* "--" closes the form; padding and CRLF begin a part (RFC 2046 section 5.1.1). */
static lh_code take_after_boundary(struct lh_multipart *form, lh_str *rest, struct lh_error *err)
{
    char c = rest->ptr[0];
    *rest = lh_str_skip(*rest, 1);
    if (form->tail_len == 0 && (c == ' ' || c == '\t'))
        return LH_OK;
    if (form->tail_len == 0 && (c == '-' || c == '\r')) {
        form->tail[form->tail_len++] = c;
        return LH_OK;
    }
    if (form->tail_len == 1 && form->tail[0] == '-' && c == '-') {
        form->state = LH_MULTIPART_EPILOGUE;
        return LH_OK;
    }
    if (form->tail_len == 1 && form->tail[0] == '\r' && c == '\n') {
        lh_buf_reset(&form->headers);
        form->state = LH_MULTIPART_HEADERS;
        return LH_OK;
    }
    return lh_fail(err, LH_INVALID, "a boundary of the form is not followed by a line end");
}

static lh_code take_headers(struct lh_multipart *form, lh_str *rest, struct lh_error *err)
{
    while (rest->len > 0) {
        lh_buf_append_char(&form->headers, rest->ptr[0]);
        *rest = lh_str_skip(*rest, 1);
        if (lh_buf_overflowed(&form->headers))
            return lh_fail(err, LH_TOO_LARGE, "the header lines of a part are too long");
        lh_str block = lh_buf_str(&form->headers);
        if (!lh_str_is(block, "\r\n") && !lh_str_ends(block, "\r\n\r\n"))
            continue;
        form->state = LH_MULTIPART_CONTENT;
        /* The CRLF before the delimiter of an empty part is the one that ended its header. */
        form->matched = 2;
        form->phantom = 2;
        block.len -= 2;
        return begin_part(form, block, err);
    }
    return LH_OK;
}

lh_code lh_multipart_feed(struct lh_multipart *form, const void *bytes, size_t len,
                          struct lh_error *err)
{
    lh_str rest = lh_str_of(bytes, len);
    while (rest.len > 0) {
        switch (form->state) {
        case LH_MULTIPART_PREAMBLE:
        case LH_MULTIPART_CONTENT:
            LH_TRY(take_content(form, &rest, err));
            break;
        case LH_MULTIPART_AFTER_BOUNDARY:
            LH_TRY(take_after_boundary(form, &rest, err));
            break;
        case LH_MULTIPART_HEADERS:
            LH_TRY(take_headers(form, &rest, err));
            break;
        case LH_MULTIPART_EPILOGUE:
            return LH_OK;
        }
    }
    return LH_OK;
}

lh_code lh_multipart_finish(const struct lh_multipart *form, struct lh_error *err)
{
    if (form->state != LH_MULTIPART_EPILOGUE)
        return lh_fail(err, LH_INCOMPLETE_BODY, "the form ended before its closing boundary");
    return LH_OK;
}
