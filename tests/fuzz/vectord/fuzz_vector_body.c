/*
 * The bodies of add, delete and search. What is accepted is whole; and the scanner takes a text
 * exactly when jansson does, as far as both have the same rules (members that stand twice and
 * numbers that do not fit are a matter of jansson's; depth and UTF-8 of each).
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "vectord/body.h"
#include "vectord/scan.h"

static const struct lh_body_limits limits = {.dimension = 2,
                                             .metric = LH_METRIC_COSINE,
                                             .items_max = 10,
                                             .metadata_bytes_max = 100,
                                             .k_max = 100,
                                             .ef_max = 100};

static void check_batch(const struct lh_batch *batch)
{
    LH_CHECK(batch->count <= limits.items_max);
    for (size_t i = 0; i < batch->count; i++) {
        const struct lh_change *change = &batch->changes[i];
        LH_CHECK(lh_item_id_problem(change->id) == NULL);
        LH_CHECK(change->metadata.len <= limits.metadata_bytes_max);
        LH_CHECK(change->vector == NULL || isfinite(change->vector[0] + change->vector[1]));
    }
}

/* Everything that jansson takes, the scanner takes; but for a NUL between two tokens, which jansson
 * passes over and which is no JSON. */
static void compare(lh_str body)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    LH_AUTO_JSON json_t *root = NULL;
    if (body.len == 0)
        return;
    struct lh_scan scan = lh_scan_start(body, &arena);
    lh_str value;
    lh_code ours = lh_scan_value(&scan, &value, &err);
    if (ours == LH_OK)
        ours = lh_scan_end(&scan, &err);
    if (memchr(body.ptr, '\0', body.len) == NULL && lh_json_parse(body, &root, &err) == LH_OK)
        LH_CHECK(ours == LH_OK || strstr(err.message, "nested") != NULL);
}

static void read_raw(lh_str body)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_SEARCH_REQUEST struct lh_search_request request = {0};
    if (lh_body_raw_queries(body, &limits, &request, &err) == LH_OK)
        LH_CHECK(request.count <= limits.items_max);
    for (enum lh_raw_ids ids = LH_RAW_IDS_U64; ids <= LH_RAW_IDS_TEXT; ids++) {
        LH_AUTO_BATCH struct lh_batch items = LH_BATCH_INIT(0);
        LH_AUTO_FREE char *copy = lh_malloc(body.len + 1);
        if (body.len > 0)
            memcpy(copy, body.ptr, body.len);
        if (lh_body_raw_items(copy, body.len, ids, &limits, &items, &err) == LH_OK)
            check_batch(&items);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_str body = lh_str_of((const char *)data, size);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch items = LH_BATCH_INIT(0);
    LH_AUTO_BATCH struct lh_batch lines = LH_BATCH_INIT(0);
    LH_AUTO_BATCH struct lh_batch deletes = LH_BATCH_INIT(0);
    LH_AUTO_SEARCH_REQUEST struct lh_search_request request = {0};
    if (lh_body_items(body, &limits, &items, &err) == LH_OK)
        check_batch(&items);
    if (lh_body_item_lines(body, &limits, &lines, &err) == LH_OK)
        check_batch(&lines);
    struct lh_condition condition;
    if (lh_body_delete(body, &limits, &deletes, &condition, &err) == LH_OK)
        check_batch(&deletes);
    if (lh_body_search(body, &limits, &request, &err) == LH_OK)
        LH_CHECK(request.count <= limits.items_max && request.k >= 1 && request.k <= 100);
    read_raw(body);
    compare(body);
    return 0;
}
