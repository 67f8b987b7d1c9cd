/*
 * The tree with other tables in it: the JSON text as it was, with the spans of some members
 * replaced.
 */
#include "queryworker/gate.h"

#include "base/json.h"
#include "base/mem.h"

/* One replaced span. The texts are pieces of JSON. */
struct edit {
    uint32_t start, len;
    char *text;
};

enum { EDITS_OF_A_TABLE = 4, NAME_JSON_MAX = 32 << 10 };

static char *string_of(const char *text)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(NAME_JSON_MAX);
    struct lh_json json = LH_JSON_TO(&out);
    lh_json_cstr(&json, text);
    return lh_buf_take(&out);
}

/* Takes over `text`. A member that is not there is left away. */
static size_t add_edit(const struct lh_ast *ast, struct edit *edits, size_t count, uint32_t node,
                       const char *member, char *text)
{
    uint32_t value = lh_ast_member(ast, node, member);
    if (value == LH_AST_NONE) {
        free(text);
        return count;
    }
    lh_str raw = lh_ast_raw(ast, value);
    edits[count] = (struct edit){(uint32_t)(raw.ptr - ast->text.ptr), (uint32_t)raw.len, text};
    return count + 1;
}

static size_t edit_table(const struct lh_gate *gate, const struct lh_gate_reference *reference,
                         const char *view, struct edit *edits, size_t count)
{
    const struct lh_ast *ast = &gate->ast;
    uint32_t node = reference->node;
    if (lh_ast_is(ast, lh_ast_member(ast, node, "alias"), ""))
        count = add_edit(ast, edits, count, node, "alias",
                         string_of(gate->tables[reference->table].name));
    count = add_edit(ast, edits, count, node, "schema_name", string_of(""));
    count = add_edit(ast, edits, count, node, "table_name", string_of(view));
    return add_edit(ast, edits, count, node, "at_clause", lh_strdup("null"));
}

static int by_start(const void *a, const void *b)
{
    uint32_t left = ((const struct edit *)a)->start;
    uint32_t right = ((const struct edit *)b)->start;
    return left < right ? -1 : left > right;
}

void lh_gate_rewrite(const struct lh_gate *gate, const char *const *views, struct lh_buf *out)
{
    struct edit *edits = lh_calloc(gate->reference_count * EDITS_OF_A_TABLE + 1, sizeof(*edits));
    size_t count = 0;
    for (size_t i = 0; i < gate->reference_count; i++)
        count =
            edit_table(gate, &gate->references[i], views[gate->references[i].table], edits, count);
    /* The walk does not follow the order of the text everywhere. */
    qsort(edits, count, sizeof(*edits), by_start);

    lh_str text = gate->ast.text;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        lh_buf_append(out, text.ptr + at, edits[i].start - at);
        lh_buf_append_cstr(out, edits[i].text);
        at = edits[i].start + edits[i].len;
        free(edits[i].text);
    }
    lh_buf_append(out, text.ptr + at, text.len - at);
    free(edits);
}
