/*
 * XML of the S3 door: the writer, and the reading of a request's body.
 */
#include <stdio.h>

#include "base/number.h"
#include "storaged/s3.h"

static const char declaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/* ---- out ---- */

void lh_xml_begin(struct lh_xml *xml, const char *root)
{
    lh_buf_append(xml->out, declaration, sizeof(declaration) - 1);
    lh_buf_append_char(xml->out, '<');
    lh_buf_append_cstr(xml->out, root);
    lh_buf_append_cstr(xml->out, " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
}

void lh_xml_open(struct lh_xml *xml, const char *element)
{
    lh_buf_append_char(xml->out, '<');
    lh_buf_append_cstr(xml->out, element);
    lh_buf_append_char(xml->out, '>');
}

void lh_xml_close(struct lh_xml *xml, const char *element)
{
    lh_buf_append(xml->out, "</", 2);
    lh_buf_append_cstr(xml->out, element);
    lh_buf_append_char(xml->out, '>');
}

void lh_xml_text(struct lh_xml *xml, const char *element, lh_str text)
{
    lh_xml_open(xml, element);
    lh_xml_escape(xml->out, text);
    lh_xml_close(xml, element);
}

void lh_xml_cstr(struct lh_xml *xml, const char *element, const char *text)
{
    lh_xml_text(xml, element, lh_str_from(text));
}

void lh_xml_u64(struct lh_xml *xml, const char *element, uint64_t value)
{
    char digits[LH_NUMBER_MAX];
    size_t len = lh_format_u64(value, digits);
    lh_xml_open(xml, element);
    lh_buf_append(xml->out, digits, len);
    lh_xml_close(xml, element);
}

void lh_xml_bool(struct lh_xml *xml, const char *element, bool value)
{
    lh_xml_cstr(xml, element, value ? "true" : "false");
}

void lh_xml_time(struct lh_xml *xml, const char *element, lh_time_ms time)
{
    char text[LH_RFC3339_SIZE];
    lh_format_rfc3339(time, text);
    lh_xml_cstr(xml, element, text);
}

void lh_xml_quoted(struct lh_xml *xml, const char *element, const char *etag)
{
    lh_xml_open(xml, element);
    lh_buf_append_cstr(xml->out, "&quot;");
    lh_buf_append_cstr(xml->out, etag);
    lh_buf_append_cstr(xml->out, "&quot;");
    lh_xml_close(xml, element);
}

void lh_xml_key(struct lh_xml *xml, const char *element, lh_str key, bool url)
{
    if (!url) {
        lh_xml_text(xml, element, key);
        return;
    }
    lh_xml_open(xml, element);
    lh_http_encode(xml->out, key, true);
    lh_xml_close(xml, element);
}

/* Depth is bounded by the reader. */
static void copy_node(struct lh_xml *xml, const struct lh_xml_node *node, bool is_root)
{
    char name[128];
    snprintf(name, sizeof(name), "%.*s", LH_FMT(node->name));
    if (is_root)
        lh_xml_begin(xml, name);
    else
        lh_xml_open(xml, name);
    lh_xml_escape(xml->out, node->text);
    for (const struct lh_xml_node *child = node->first_child; child; child = child->next)
        copy_node(xml, child, false);
    lh_xml_close(xml, name);
}

void lh_xml_node(struct lh_xml *xml, const struct lh_xml_node *node)
{
    copy_node(xml, node, false);
}

void lh_s3_xml_copy(struct lh_buf *out, const struct lh_xml_node *root)
{
    struct lh_xml xml = {out};
    copy_node(&xml, root, true);
}

lh_code lh_s3_reply_xml(struct lh_s3 *s3, struct lh_buf *body, struct lh_error *err)
{
    return lh_http_reply_buf(s3->x, 200, "application/xml", body, err);
}

/* ---- in ---- */

lh_code lh_s3_body_xml(struct lh_s3 *s3, const char *root, const struct lh_xml_node **ret_root,
                       struct lh_error *err)
{
    lh_str body = LH_STR_NONE;
    const struct lh_xml_node *node = NULL;
    LH_TRY(lh_s3_body_all(s3, LH_S3_XML_BYTES_MAX, &body, err));
    if (lh_xml_parse(body, LH_S3_XML_NODES_MAX, lh_http_arena(s3->x), &node, err) != LH_OK) {
        s3->word = LH_S3_MALFORMED_XML;
        return err->code;
    }
    if (!lh_str_is(node->name, root))
        return lh_s3_fail(s3, err, LH_S3_MALFORMED_XML, "the body is a <%.*s> and not a <%s>",
                          LH_FMT(node->name), root);
    *ret_root = node;
    return LH_OK;
}
