/*
 * vector_search('index', query, k := 10, ef := 64, filter := '{...}') in FROM: its arguments, read
 * from the tree, as the body of a search.
 *
 * All of them are constants or parameters, since the search is done before the statement runs, and
 * by queryd: a worker has no network. The query is an array of numbers, or a text or a parameter
 * that holds one.
 */
#ifndef LH_QUERYWORKER_VECTOR_CALL_H
#define LH_QUERYWORKER_VECTOR_CALL_H

#include "base/json.h"
#include "queryworker/ast.h"

struct lh_vector_call {
    struct lh_buf index; /* its name */
    struct lh_buf body;  /* of POST /vectors/{index}/search */
    size_t offset;       /* byte in the SQL where the call stands */
};
void lh_vector_call_deinit(struct lh_vector_call *call); /* accepts the zero state */

/* `function` is the call in a TABLE_FUNCTION. `params` are those of the request, NULL = none; names
 * of those that are used are added to `used`, an object. LH_INVALID_SQL, with *ret_offset at the
 * argument that is wrong; then nothing is left to free. */
lh_code lh_vector_call_read(const struct lh_ast *ast, uint32_t function, const json_t *params,
                            json_t *used, struct lh_vector_call *ret_call, size_t *ret_offset,
                            struct lh_error *err);

#endif
