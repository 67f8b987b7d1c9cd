/*
 * The tree of a statement, read from DuckDB's JSON. Nodes are spans of that text: numbers keep all
 * their digits (jansson would lose those beyond 63 bits), and a changed tree is the old text with
 * some spans replaced.
 *
 * Node 0 is the root; a node's index says nothing but identity. Parsed nodes never change.
 */
#ifndef LH_QUERYWORKER_AST_H
#define LH_QUERYWORKER_AST_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum lh_ast_type { LH_AST_OBJECT, LH_AST_ARRAY, LH_AST_STRING, LH_AST_SCALAR };
enum { LH_AST_NONE = UINT32_MAX, LH_AST_DEPTH_MAX = 3000 };

struct lh_ast_node {
    enum lh_ast_type type;
    uint32_t start, len;        /* of the value in the text; a string with its quotes */
    uint32_t key, key_len;      /* of the member's name without quotes; 0, 0 elsewhere */
    uint32_t first_child, next; /* LH_AST_NONE = none */
};

struct lh_ast {
    lh_str text; /* borrowed */
    struct lh_ast_node *nodes;
    size_t count, capacity;
};

/* LH_INVALID_SQL when it nests or grows beyond the limits; LH_INTERNAL when it is no JSON. On
 * failure nothing is left to free. */
lh_code lh_ast_parse(lh_str text, struct lh_ast *ret_ast, struct lh_error *err);
void lh_ast_deinit(struct lh_ast *ast); /* accepts the zero state */

enum lh_ast_type lh_ast_type(const struct lh_ast *ast, uint32_t node);
/* The member of that name, or LH_AST_NONE; also when `node` is LH_AST_NONE or no object. */
uint32_t lh_ast_member(const struct lh_ast *ast, uint32_t node, const char *name);
/* Loop over members or items: for (c = lh_ast_child(a, n); c != LH_AST_NONE; c = lh_ast_next(a, c))
 */
uint32_t lh_ast_child(const struct lh_ast *ast, uint32_t node);
uint32_t lh_ast_next(const struct lh_ast *ast, uint32_t node);
lh_str lh_ast_key(const struct lh_ast *ast, uint32_t node);
/* The span as it stands in the text. */
lh_str lh_ast_raw(const struct lh_ast *ast, uint32_t node);

bool lh_ast_is_null(const struct lh_ast *ast, uint32_t node); /* absent counts, too */
/* A string's raw content equals `text`, which has nothing to escape. */
bool lh_ast_is(const struct lh_ast *ast, uint32_t node, const char *text);
/* The content of a string, escapes resolved, appended to out; nothing for other nodes. */
void lh_ast_text(const struct lh_ast *ast, uint32_t node, struct lh_buf *out);

#endif
