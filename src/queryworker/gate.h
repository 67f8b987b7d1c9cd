/*
 * The gate: decides from the tree of a statement whether it may run, and says which datasets it
 * reads. Pure: it sees the tree and the text, never DuckDB.
 *
 * It fails closed: a kind of node that it does not know is refused. Names that are neither a
 * dataset nor a table expression (WITH) in scope are reported as datasets, and whoever resolves
 * them refuses them, so no table, view or file of DuckDB's own can be read.
 */
#ifndef LH_QUERYWORKER_GATE_H
#define LH_QUERYWORKER_GATE_H

#include "base/arena.h"
#include "queryworker/ast.h"

enum lh_gate_kind {
    LH_GATE_SELECT,      /* also DESCRIBE and SUMMARIZE of one */
    LH_GATE_SHOW_TABLES, /* SHOW TABLES by itself */
};

enum lh_at_unit { LH_AT_PRESENT, LH_AT_VERSION, LH_AT_TIMESTAMP };

/* A dataset that the statement reads, each once. Texts live in the gate's arena. */
struct lh_gate_table {
    const char *schema; /* "" when none was written */
    const char *name;
    enum lh_at_unit unit;
    int64_t version;
    const char *time; /* as written */
    size_t offset;    /* byte in the SQL where it stands first */
};

/* A place in the tree where a table stands. */
struct lh_gate_reference {
    uint32_t node;
    size_t table;
};

/* A call of vector_search in FROM: queryd resolves it, and the rewritten tree has a table there. */
struct lh_gate_search {
    uint32_t node;     /* of the table */
    uint32_t function; /* of the call in it */
};

struct lh_gate {
    enum lh_gate_kind kind;
    struct lh_ast ast; /* spans of the JSON text */
    struct lh_arena arena;
    struct lh_gate_table *tables;
    size_t table_count, table_capacity;
    struct lh_gate_reference *references;
    size_t reference_count, reference_capacity;
    struct lh_gate_search *searches;
    size_t search_count, search_capacity;
};

enum {
    LH_GATE_TABLES_MAX = 256,
    LH_GATE_SEARCHES_MAX = 16,
    LH_GATE_LENGTH_MAX =
        1000000, /* of what repeat, lpad, range and their like may make of one value */
};

/* `tree` is what json_serialize_sql said of `sql`; both are borrowed as long as the gate lives.
 * Failures: LH_INVALID_SQL (with line, column and excerpt) for what is no SQL,
 * LH_STATEMENT_NOT_ALLOWED with a hint for what may not run. On failure nothing is left to free. */
lh_code lh_gate_check(lh_str sql, lh_str tree, struct lh_gate *ret_gate, struct lh_error *err);
void lh_gate_deinit(struct lh_gate *gate); /* accepts the zero state */

/* The tree with each table replaced by the view `views[table]` (in the schema main), aliased to the
 * name that was written, and without its AT (NULL: tables stay), and with each search replaced by
 * the table `searches[i]`; appended to out. Where there are searches the parameter $3 is named $p3,
 * since they take some away. */
void lh_gate_rewrite(const struct lh_gate *gate, const char *const *views,
                     const char *const *searches, struct lh_buf *out);

#endif
