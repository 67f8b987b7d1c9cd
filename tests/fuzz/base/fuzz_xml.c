/*
 * The reader of XML: what it accepts, written again, reads as a tree of the same shape and
 * texts. Input: a document.
 */
#include "base/xml.h"

#include <stdlib.h>

enum { NODES_MAX = 1000, ARENA_MAX = 1 << 20, TEXT_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Elements lose their names: the rest of one without its prefix need not be a name. */
static void write_tree(struct lh_buf *out, const struct lh_xml_node *node)
{
    lh_buf_append_cstr(out, "<n>");
    lh_xml_escape(out, node->text);
    for (const struct lh_xml_node *child = node->first_child; child; child = child->next)
        write_tree(out, child);
    lh_buf_append_cstr(out, "</n>");
}

static void check_same(const struct lh_xml_node *a, const struct lh_xml_node *b)
{
    if (!lh_str_eq(a->text, b->text) || a->name.ptr == NULL || !lh_str_is(b->name, "n"))
        abort();
    for (a = a->first_child, b = b->first_child; a && b; a = a->next, b = b->next)
        check_same(a, b);
    if (a || b)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_MAX);
    LH_AUTO_ARENA struct lh_arena again_arena = LH_ARENA_INIT((size_t)2 * ARENA_MAX);
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(TEXT_MAX);
    const struct lh_xml_node *root = NULL;
    const struct lh_xml_node *again = NULL;
    if (lh_xml_parse(lh_str_of((const char *)data, size), NODES_MAX, &arena, &root, &err) != LH_OK)
        return 0;
    write_tree(&text, root);
    if (lh_xml_parse(lh_buf_str(&text), NODES_MAX, &again_arena, &again, &err) != LH_OK)
        abort();
    check_same(root, again);
    return 0;
}
