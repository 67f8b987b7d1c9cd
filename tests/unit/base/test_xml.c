/*
 * The XML reader and the escaping of text.
 */
#include "base/xml.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"

enum { ARENA_BYTES = 64 << 10 };

static lh_code parse(struct lh_arena *arena, const char *text, size_t nodes_max,
                     const struct lh_xml_node **ret_root)
{
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_xml_parse(lh_str_from(text), nodes_max, arena, ret_root, &err);
    assert_int_equal(code, err.code);
    return code;
}

static void assert_text(const struct lh_xml_node *node, const char *name, const char *expected)
{
    lh_str text = lh_xml_child_text(node, name);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

LH_TEST(a_tree_of_names_and_texts)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_BYTES);
    const struct lh_xml_node *root = NULL;
    const char *text = "<?xml version=\"1.0\"?>\n<r xmlns=\"http://x/\" a=\"1\"><!-- no -->\n"
                       "  <Key> a&amp;b&#xFC;<![CDATA[<c>]]></Key>\n  <s3:Two>2</s3:Two><Two/>"
                       "<Two><Key>deep</Key></Two></r>";
    assert_int_equal(parse(&arena, text, 100, &root), LH_OK);
    assert_true(lh_str_is(root->name, "r"));
    assert_int_equal(root->text.len, 0);
    assert_text(root, "Key", " a&b\xc3\xbc<c>");
    assert_text(root, "Two", "2");
    const struct lh_xml_node *two = lh_xml_next(lh_xml_child(root, "Two"));
    assert_non_null(two->text.ptr);
    assert_int_equal(two->text.len, 0);
    assert_text(lh_xml_next(two), "Key", "deep");
    assert_null(lh_xml_next(lh_xml_next(two)));
    assert_null(lh_xml_child(root, "None"));
    assert_null(lh_xml_child(NULL, "None"));
    assert_null(lh_xml_child_text(root, "None").ptr);
}

LH_TEST(what_is_refused)
{
    static const struct {
        const char *text;
        size_t nodes_max;
        lh_code expected;
    } cases[] = {
        {"", 10, LH_INVALID},
        {" ", 10, LH_INVALID},
        {"text", 10, LH_INVALID},
        {"<a>", 10, LH_INVALID},
        {"<a></b>", 10, LH_INVALID},
        {"<a/><b/>", 10, LH_INVALID},
        {"<a>&unknown;</a>", 10, LH_INVALID},
        {"<a>\xff</a>", 10, LH_INVALID},
        {"<a>\x01</a>", 10, LH_INVALID},
        {"<!DOCTYPE a><a/>", 10, LH_INVALID},
        {"<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", 10, LH_INVALID},
        {"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", 100, LH_INVALID},
        {"<a><b/><b/></a>", 2, LH_TOO_LARGE},
        {"<a><b/><b/></a>", 3, LH_OK},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(ARENA_BYTES);
        const struct lh_xml_node *root = NULL;
        lh_code code = parse(&arena, cases[i].text, cases[i].nodes_max, &root);
        if (code != cases[i].expected)
            fail_msg("case %zu: %s", i, lh_code_word(code));
        assert_int_equal(root != NULL, code == LH_OK);
    }
    LH_AUTO_ARENA struct lh_arena small = LH_ARENA_INIT(200);
    const struct lh_xml_node *root = NULL;
    assert_int_equal(parse(&small, "<a><b>1</b><b>2</b><b>3</b><b>4</b></a>", 100, &root),
                     LH_TOO_LARGE);
}

LH_TEST(escaping)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1000);
    lh_xml_escape(&out, LH_STR("a<b>&\"c\"\r\n\x01\xc3\xbc"));
    assert_string_equal(out.data, "a&lt;b&gt;&amp;&quot;c&quot;&#13;\n&#x1;\xc3\xbc");
    lh_buf_reset(&out);
    lh_xml_escape(&out, LH_STR_NONE);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_of_names_and_texts),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(escaping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
