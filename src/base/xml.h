/*
 * XML as S3 and its kind use it: small documents of elements and text. Read by expat into a tree in
 * an arena; written by appending. Attributes, comments and instructions are skipped, prefixes of
 * namespaces are dropped, and a document type declaration is refused (so there are no entities but
 * XML's own five).
 */
#ifndef LH_BASE_XML_H
#define LH_BASE_XML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stddef.h>

struct lh_xml_node {
    lh_str name;
    lh_str text; /* of an element without children: its character data as it is; else empty */
    const struct lh_xml_node *first_child;
    const struct lh_xml_node *next;
};

/* Parses the whole document; the tree lives in `arena`. LH_INVALID when it is not well-formed, has
 * a document type or is nested deeper than 16; LH_TOO_LARGE beyond nodes_max elements or the
 * arena's limit. */
lh_code lh_xml_parse(lh_str document, size_t nodes_max, struct lh_arena *arena,
                     const struct lh_xml_node **ret_root, struct lh_error *err);

/* The first child of that name, NULL when there is none; `node` may be NULL. */
const struct lh_xml_node *lh_xml_child(const struct lh_xml_node *node, const char *name);
/* The next sibling of the same name, or NULL. */
const struct lh_xml_node *lh_xml_next(const struct lh_xml_node *node);
/* The text of a child; LH_STR_NONE when there is none. */
lh_str lh_xml_child_text(const struct lh_xml_node *node, const char *name);

/* Appends text as character data. A byte that XML 1.0 cannot hold (a control character) becomes a
 * reference, which S3 clients understand although strict readers do not. */
void lh_xml_escape(struct lh_buf *out, lh_str text);

#endif
