/* The gate on any text in place of a statement's tree: it decides or refuses, and what it lets pass
 * can be rewritten. */
#include "queryworker/gate.h"

#include "base/mem.h"
#include "queryworker/vector_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_str sql = LH_STR("SELECT a,\n  b FROM t");
    struct lh_error err = LH_ERROR_INIT;
    struct lh_gate gate = {0};
    if (lh_gate_check(sql, lh_str_of((const char *)data, size), &gate, &err) != LH_OK)
        return 0;
    const char **views = lh_calloc(gate.table_count + 1, sizeof(*views));
    for (size_t i = 0; i < gate.table_count; i++)
        views[i] = "view";
    const char *searches[LH_GATE_SEARCHES_MAX];
    for (size_t i = 0; i < gate.search_count; i++) {
        struct lh_vector_call call = {0};
        size_t offset = 0;
        json_t *used = json_object();
        if (lh_vector_call_read(&gate.ast, gate.searches[i].function, NULL, used, &call, &offset,
                                &err) == LH_OK)
            lh_vector_call_deinit(&call);
        json_decref(used);
        searches[i] = "search";
    }
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(1 << 20);
    lh_gate_rewrite(&gate, views, searches, &out);
    free(views);
    lh_gate_deinit(&gate);
    return 0;
}
