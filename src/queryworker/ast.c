/*
 * A small JSON reader for one producer. It is strict about structure (brackets, commas, quotes),
 * and careless about what the producer never gets wrong (the digits of a number).
 */
#include "queryworker/ast.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum { NODES_MAX = 4 << 20 };

struct reader {
    struct lh_ast *ast;
    const char *at, *end;
    struct lh_error *err;
};

static lh_code broken(struct reader *r)
{
    return lh_fail(r->err, LH_INTERNAL, "the tree of the statement is broken at byte %zu",
                   (size_t)(r->at - r->ast->text.ptr));
}

static lh_code new_node(struct reader *r, enum lh_ast_type type, uint32_t *ret_node)
{
    struct lh_ast *ast = r->ast;
    if (ast->count == NODES_MAX)
        return lh_fail(r->err, LH_INVALID_SQL, "the statement has too many parts");
    ast->nodes = lh_grow(ast->nodes, &ast->capacity, ast->count + 1, sizeof(*ast->nodes));
    ast->nodes[ast->count] = (struct lh_ast_node){
        .type = type,
        .start = (uint32_t)(r->at - ast->text.ptr),
        .first_child = LH_AST_NONE,
        .next = LH_AST_NONE,
    };
    *ret_node = (uint32_t)ast->count++;
    return LH_OK;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool take(struct reader *r, char byte)
{
    skip_space(r);
    if (r->at == r->end || *r->at != byte)
        return false;
    r->at++;
    return true;
}

/* From behind the opening quote to behind the closing one. */
static lh_code skip_string(struct reader *r)
{
    while (r->at < r->end) {
        char byte = *r->at++;
        if (byte == '"')
            return LH_OK;
        if (byte == '\\' && r->at < r->end)
            r->at++;
    }
    return broken(r);
}

static lh_code skip_scalar(struct reader *r)
{
    const char *start = r->at;
    while (r->at < r->end && memchr(",]} \n\r\t", *r->at, 7) == NULL)
        r->at++;
    return r->at > start ? LH_OK : broken(r);
}

static lh_code read_value(struct reader *r, unsigned depth, uint32_t *ret_node);

static lh_code read_key(struct reader *r, uint32_t *ret_start, uint32_t *ret_len)
{
    if (!take(r, '"'))
        return broken(r);
    const char *start = r->at;
    LH_TRY(skip_string(r));
    *ret_start = (uint32_t)(start - r->ast->text.ptr);
    *ret_len = (uint32_t)(r->at - 1 - start);
    return take(r, ':') ? LH_OK : broken(r);
}

static lh_code read_children(struct reader *r, uint32_t node, char close, unsigned depth)
{
    if (take(r, close))
        return LH_OK;
    uint32_t last = LH_AST_NONE;
    do {
        uint32_t key = 0;
        uint32_t key_len = 0;
        uint32_t child = LH_AST_NONE;
        if (close == '}')
            LH_TRY(read_key(r, &key, &key_len));
        LH_TRY(read_value(r, depth + 1, &child));
        struct lh_ast_node *nodes = r->ast->nodes;
        nodes[child].key = key;
        nodes[child].key_len = key_len;
        if (last == LH_AST_NONE)
            nodes[node].first_child = child;
        else
            nodes[last].next = child;
        last = child;
    } while (take(r, ','));
    return take(r, close) ? LH_OK : broken(r);
}

static lh_code read_value(struct reader *r, unsigned depth, uint32_t *ret_node)
{
    if (depth > LH_AST_DEPTH_MAX)
        return lh_fail(r->err, LH_INVALID_SQL, "the statement nests too deeply");
    skip_space(r);
    if (r->at == r->end)
        return broken(r);
    char first = *r->at;
    enum lh_ast_type type = first == '{'   ? LH_AST_OBJECT
                            : first == '[' ? LH_AST_ARRAY
                            : first == '"' ? LH_AST_STRING
                                           : LH_AST_SCALAR;
    uint32_t node = LH_AST_NONE;
    LH_TRY(new_node(r, type, &node));
    if (type == LH_AST_SCALAR) {
        LH_TRY(skip_scalar(r));
    } else {
        r->at++;
        if (type == LH_AST_STRING)
            LH_TRY(skip_string(r));
        else
            LH_TRY(read_children(r, node, first == '{' ? '}' : ']', depth));
    }
    struct lh_ast_node *n = &r->ast->nodes[node];
    n->len = (uint32_t)(r->at - r->ast->text.ptr) - n->start;
    *ret_node = node;
    return LH_OK;
}

lh_code lh_ast_parse(lh_str text, struct lh_ast *ret_ast, struct lh_error *err)
{
    LH_CHECK(text.len < UINT32_MAX);
    struct lh_ast ast = {.text = text};
    struct reader r = {.ast = &ast, .at = text.ptr, .end = text.ptr + text.len, .err = err};
    uint32_t root = LH_AST_NONE;
    lh_code code = read_value(&r, 0, &root);
    if (code == LH_OK) {
        skip_space(&r);
        if (r.at != r.end)
            code = broken(&r);
    }
    if (code != LH_OK) {
        lh_ast_deinit(&ast);
        return code;
    }
    *ret_ast = ast;
    return LH_OK;
}

void lh_ast_deinit(struct lh_ast *ast)
{
    free(ast->nodes);
    *ast = (struct lh_ast){0};
}

/* ---- looking at it ---- */

static const struct lh_ast_node *node_at(const struct lh_ast *ast, uint32_t node)
{
    LH_CHECK(node < ast->count);
    return &ast->nodes[node];
}

enum lh_ast_type lh_ast_type(const struct lh_ast *ast, uint32_t node)
{
    return node_at(ast, node)->type;
}

uint32_t lh_ast_child(const struct lh_ast *ast, uint32_t node)
{
    return node_at(ast, node)->first_child;
}

uint32_t lh_ast_next(const struct lh_ast *ast, uint32_t node)
{
    return node_at(ast, node)->next;
}

lh_str lh_ast_key(const struct lh_ast *ast, uint32_t node)
{
    const struct lh_ast_node *n = node_at(ast, node);
    return lh_str_of(ast->text.ptr + n->key, n->key_len);
}

lh_str lh_ast_raw(const struct lh_ast *ast, uint32_t node)
{
    const struct lh_ast_node *n = node_at(ast, node);
    return lh_str_of(ast->text.ptr + n->start, n->len);
}

uint32_t lh_ast_member(const struct lh_ast *ast, uint32_t node, const char *name)
{
    if (node == LH_AST_NONE || node_at(ast, node)->type != LH_AST_OBJECT)
        return LH_AST_NONE;
    uint32_t child = lh_ast_child(ast, node);
    while (child != LH_AST_NONE && !lh_str_is(lh_ast_key(ast, child), name))
        child = lh_ast_next(ast, child);
    return child;
}

bool lh_ast_is_null(const struct lh_ast *ast, uint32_t node)
{
    return node == LH_AST_NONE ||
           (node_at(ast, node)->type == LH_AST_SCALAR && lh_str_is(lh_ast_raw(ast, node), "null"));
}

/* Without the quotes. */
static lh_str content(const struct lh_ast *ast, uint32_t node)
{
    if (node == LH_AST_NONE || node_at(ast, node)->type != LH_AST_STRING)
        return LH_STR_NONE;
    lh_str raw = lh_ast_raw(ast, node);
    return lh_str_of(raw.ptr + 1, raw.len - 2);
}

bool lh_ast_is(const struct lh_ast *ast, uint32_t node, const char *text)
{
    return node != LH_AST_NONE && node_at(ast, node)->type == LH_AST_STRING &&
           lh_str_is(content(ast, node), text);
}

/* ---- strings ---- */

static void put_utf8(struct lh_buf *out, uint32_t code)
{
    if (code < 0x80) {
        lh_buf_append_char(out, (char)code);
    } else if (code < 0x800) {
        lh_buf_append_char(out, (char)(0xC0 | code >> 6));
        lh_buf_append_char(out, (char)(0x80 | (code & 63)));
    } else if (code < 0x10000) {
        lh_buf_append_char(out, (char)(0xE0 | code >> 12));
        lh_buf_append_char(out, (char)(0x80 | (code >> 6 & 63)));
        lh_buf_append_char(out, (char)(0x80 | (code & 63)));
    } else {
        lh_buf_append_char(out, (char)(0xF0 | code >> 18));
        lh_buf_append_char(out, (char)(0x80 | (code >> 12 & 63)));
        lh_buf_append_char(out, (char)(0x80 | (code >> 6 & 63)));
        lh_buf_append_char(out, (char)(0x80 | (code & 63)));
    }
}

/* The four digits at text[at]; U+FFFD when there are none. */
static uint32_t hex4(lh_str text, size_t at)
{
    unsigned char bytes[2];
    if (text.len < at + 4 || !lh_unhex(lh_str_of(text.ptr + at, 4), bytes, sizeof(bytes)))
        return 0xFFFD;
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

/* text[at] is the u of \uXXXX; returns how many bytes were used. */
static size_t put_unicode(struct lh_buf *out, lh_str text, size_t at)
{
    uint32_t code = hex4(text, at + 1);
    if (code >= 0xD800 && code < 0xDC00 && at + 6 < text.len && text.ptr[at + 5] == '\\' &&
        text.ptr[at + 6] == 'u') {
        uint32_t low = hex4(text, at + 7);
        if (low >= 0xDC00 && low < 0xE000) {
            put_utf8(out, 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
            return 11;
        }
    }
    put_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    return 5;
}

void lh_ast_text(const struct lh_ast *ast, uint32_t node, struct lh_buf *out)
{
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    lh_str text = content(ast, node);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\\' || i + 1 == text.len) {
            lh_buf_append_char(out, text.ptr[i]);
            continue;
        }
        char kind = text.ptr[++i];
        const char *known = memchr(names, kind, sizeof(names) - 1);
        if (kind == 'u')
            i += put_unicode(out, text, i) - 1;
        else
            lh_buf_append_char(out, known != NULL ? values[known - names] : kind);
    }
}
