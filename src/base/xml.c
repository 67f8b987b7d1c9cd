/*
 * The reader of XML over expat; the only file that knows it.
 *
 * Invariant while parsing: `path[depth - 1]` is the open element, `last[depth - 1]` its newest
 * child so far, and `text` holds the character data since the last tag.
 */
#include "base/xml.h"

#include "base/mem.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

enum { DEPTH_MAX = 16 };

struct reader {
    XML_Parser parser;
    struct lh_arena *arena;
    size_t nodes_left;
    struct lh_xml_node *path[DEPTH_MAX];
    struct lh_xml_node *last[DEPTH_MAX];
    size_t depth;
    struct lh_xml_node *root;
    struct lh_buf text;
    lh_code failed; /* why we stopped expat; LH_OK when we did not */
};

static void stop(struct reader *reader, lh_code why)
{
    if (reader->failed == LH_OK)
        reader->failed = why;
    XML_StopParser(reader->parser, XML_FALSE);
}

static bool copy_text(struct reader *reader, const char *bytes, size_t len, lh_str *ret)
{
    char *copy = lh_arena_strndup(reader->arena, bytes, len);
    if (copy == NULL)
        return false;
    *ret = lh_str_of(copy, len);
    return true;
}

static const char *without_prefix(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon == NULL ? name : colon + 1;
}

static struct lh_xml_node *node_new(struct reader *reader, const char *name)
{
    if (reader->nodes_left == 0)
        return NULL;
    reader->nodes_left--;
    struct lh_xml_node *node = lh_arena_calloc(reader->arena, sizeof(*node));
    if (node == NULL || !copy_text(reader, name, strlen(name), &node->name))
        return NULL;
    node->text = LH_STR("");
    return node;
}

/* Into the tree, behind its elder siblings. */
static void attach(struct reader *reader, struct lh_xml_node *node)
{
    if (reader->depth == 0) {
        reader->root = node;
        return;
    }
    size_t above = reader->depth - 1;
    if (reader->last[above] == NULL)
        reader->path[above]->first_child = node;
    else
        reader->last[above]->next = node;
    reader->last[above] = node;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct reader *reader = ctx;
    if (reader->failed != LH_OK)
        return;
    if (reader->depth == DEPTH_MAX) {
        stop(reader, LH_INVALID);
        return;
    }
    struct lh_xml_node *node = node_new(reader, without_prefix(name));
    if (node == NULL) {
        stop(reader, LH_TOO_LARGE);
        return;
    }
    attach(reader, node);
    reader->path[reader->depth] = node;
    reader->last[reader->depth] = NULL;
    reader->depth++;
    lh_buf_reset(&reader->text);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    (void)name;
    struct reader *reader = ctx;
    if (reader->failed != LH_OK)
        return;
    struct lh_xml_node *node = reader->path[--reader->depth];
    bool has_text = node->first_child == NULL && reader->text.len > 0;
    if (has_text && !copy_text(reader, reader->text.data, reader->text.len, &node->text))
        stop(reader, LH_TOO_LARGE);
    lh_buf_reset(&reader->text);
}

static void XMLCALL on_text(void *ctx, const XML_Char *bytes, int len)
{
    struct reader *reader = ctx;
    lh_buf_append(&reader->text, bytes, (size_t)len);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
    stop(ctx, LH_INVALID);
}

static lh_code fail_parse(const struct reader *reader, struct lh_error *err)
{
    if (reader->failed == LH_TOO_LARGE)
        return lh_fail(err, LH_TOO_LARGE, "the XML document is too large");
    if (reader->failed != LH_OK)
        return lh_fail(err, LH_INVALID,
                       "the XML document has a document type, or is nested deeply");
    return lh_fail(err, LH_INVALID, "no well-formed XML: %s in line %lu",
                   XML_ErrorString(XML_GetErrorCode(reader->parser)),
                   (unsigned long)XML_GetCurrentLineNumber(reader->parser));
}

lh_code lh_xml_parse(lh_str document, size_t nodes_max, struct lh_arena *arena,
                     const struct lh_xml_node **ret_root, struct lh_error *err)
{
    if (document.len > INT_MAX)
        return lh_fail(err, LH_TOO_LARGE, "the XML document is too large");
    struct reader reader = {
        .parser = XML_ParserCreate(NULL),
        .arena = arena,
        .nodes_left = nodes_max,
        /* References only become shorter, but Latin-1 and UTF-16 grow when they become UTF-8. */
        .text = LH_BUF_INIT(2 * document.len),
    };
    if (reader.parser == NULL)
        return lh_fail(err, LH_NO_MEMORY, "no memory to read XML");
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    lh_code code = LH_OK;
    if (XML_Parse(reader.parser, document.ptr == NULL ? "" : document.ptr, (int)document.len,
                  XML_TRUE) != XML_STATUS_OK ||
        reader.failed != LH_OK)
        code = fail_parse(&reader, err);
    lh_buf_deinit(&reader.text);
    XML_ParserFree(reader.parser);
    if (code == LH_OK)
        *ret_root = reader.root;
    return code;
}

/* ---- the tree ---- */

static const struct lh_xml_node *first_named(const struct lh_xml_node *node, lh_str name)
{
    while (node != NULL && !lh_str_eq(node->name, name))
        node = node->next;
    return node;
}

const struct lh_xml_node *lh_xml_child(const struct lh_xml_node *node, const char *name)
{
    return node == NULL ? NULL : first_named(node->first_child, lh_str_from(name));
}

const struct lh_xml_node *lh_xml_next(const struct lh_xml_node *node)
{
    return first_named(node->next, node->name);
}

lh_str lh_xml_child_text(const struct lh_xml_node *node, const char *name)
{
    const struct lh_xml_node *child = lh_xml_child(node, name);
    return child == NULL ? LH_STR_NONE : child->text;
}

/* ---- writing ---- */

static const char *reference(unsigned char byte)
{
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\r':
        return "&#13;"; /* a bare one would be read as a line feed (XML 1.0 section 2.11) */
    default:
        return NULL;
    }
}

void lh_xml_escape(struct lh_buf *out, lh_str text)
{
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        const char *name = reference(byte);
        bool is_control = byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r';
        if (name == NULL && !is_control)
            continue;
        lh_buf_append(out, text.ptr + done, i - done);
        done = i + 1;
        if (name != NULL)
            lh_buf_append_cstr(out, name);
        else
            lh_buf_printf(out, "&#x%X;", byte);
    }
    lh_buf_append_str(out, lh_str_skip(text, done));
}
