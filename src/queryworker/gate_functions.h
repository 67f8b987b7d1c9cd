/*
 * Which functions a statement may call.
 */
#ifndef LH_QUERYWORKER_GATE_FUNCTIONS_H
#define LH_QUERYWORKER_GATE_FUNCTIONS_H

#include "queryworker/ast.h"

/* `node` is a call (class FUNCTION or WINDOW) in an expression. LH_STATEMENT_NOT_ALLOWED. */
lh_code lh_gate_function(const struct lh_ast *ast, uint32_t node, struct lh_error *err);

/* Whether a call in FROM is vector_search, which is ours and no function of the library. */
bool lh_gate_is_vector_search(const struct lh_ast *ast, uint32_t node);

/* `node` is a call in FROM. */
lh_code lh_gate_table_function(const struct lh_ast *ast, uint32_t node, struct lh_error *err);

#endif
