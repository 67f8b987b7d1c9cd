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

/* A span of the tree as it stands; "null" when the member is not there. */
static lh_str raw_or_null(const struct lh_ast *ast, uint32_t node, const char *member)
{
    uint32_t value = lh_ast_member(ast, node, member);
    return value == LH_AST_NONE ? LH_STR("null") : lh_ast_raw(ast, value);
}

/* The whole table function makes place for a table, which keeps the names that were given to it and
 * to its columns. */
static size_t edit_search(const struct lh_ast *ast, const struct lh_gate_search *search,
                          const char *table, struct edit *edits, size_t count)
{
    uint32_t node = search->node;
    bool has_alias = !lh_ast_is(ast, lh_ast_member(ast, node, "alias"), "");
    LH_AUTO_FREE char *name = string_of(table);
    lh_str raw = lh_ast_raw(ast, node);
    char *text = lh_asprintf(
        "{\"type\":\"BASE_TABLE\",\"alias\":%.*s,\"sample\":%.*s,\"query_location\":%.*s,"
        "\"schema_name\":\"\",\"table_name\":%s,\"column_name_alias\":%.*s,"
        "\"catalog_name\":\"\",\"at_clause\":null}",
        LH_FMT(has_alias ? raw_or_null(ast, node, "alias") : LH_STR("\"vector_search\"")),
        LH_FMT(raw_or_null(ast, node, "sample")), LH_FMT(raw_or_null(ast, node, "query_location")),
        name, LH_FMT(raw_or_null(ast, node, "column_name_alias")));
    edits[count] = (struct edit){(uint32_t)(raw.ptr - ast->text.ptr), (uint32_t)raw.len, text};
    return count + 1;
}

static bool is_in_search(const struct lh_gate *gate, uint32_t node)
{
    lh_str raw = lh_ast_raw(&gate->ast, node);
    for (size_t i = 0; i < gate->search_count; i++) {
        lh_str search = lh_ast_raw(&gate->ast, gate->searches[i].node);
        if (raw.ptr >= search.ptr && raw.ptr < search.ptr + search.len)
            return true;
    }
    return false;
}

/* The library counts parameters by their highest number; where searches have taken some of them
 * away there would be gaps. So $3 becomes $p3, a name. */
static size_t edit_parameters(const struct lh_gate *gate, struct edit **edits, size_t *edit_max,
                              size_t count)
{
    const struct lh_ast *ast = &gate->ast;
    for (uint32_t node = 0; node < ast->count && gate->search_count > 0; node++) {
        uint32_t identifier = lh_ast_member(ast, node, "identifier");
        uint64_t number = 0;
        if (identifier == LH_AST_NONE ||
            !lh_ast_is(ast, lh_ast_member(ast, node, "class"), "PARAMETER") ||
            is_in_search(gate, node))
            continue;
        lh_str raw = lh_ast_raw(ast, identifier);
        if (raw.len < 3 || !lh_str_to_u64(lh_str_of(raw.ptr + 1, raw.len - 2), &number))
            continue;
        *edits = lh_grow(*edits, edit_max, count + 1, sizeof(**edits));
        count = add_edit(ast, *edits, count, node, "identifier",
                         lh_asprintf("\"p%llu\"", (unsigned long long)number));
    }
    return count;
}

static int by_start(const void *a, const void *b)
{
    uint32_t left = ((const struct edit *)a)->start;
    uint32_t right = ((const struct edit *)b)->start;
    return left < right ? -1 : left > right;
}

void lh_gate_rewrite(const struct lh_gate *gate, const char *const *views,
                     const char *const *searches, struct lh_buf *out)
{
    size_t edit_max = gate->reference_count * EDITS_OF_A_TABLE + gate->search_count + 1;
    struct edit *edits = lh_calloc(edit_max, sizeof(*edits));
    size_t count = 0;
    for (size_t i = 0; i < gate->search_count; i++)
        count = edit_search(&gate->ast, &gate->searches[i], searches[i], edits, count);
    for (size_t i = 0; i < gate->reference_count && views != NULL; i++)
        count =
            edit_table(gate, &gate->references[i], views[gate->references[i].table], edits, count);
    count = edit_parameters(gate, &edits, &edit_max, count);
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
