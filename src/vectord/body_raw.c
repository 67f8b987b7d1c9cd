/*
 * Bodies of raw little-endian 32-bit floats (docs/api/vectord.md): what costs nothing to read. Our
 * processors are little-endian, so a vector is taken as it stands.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "vectord/body_private.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw floats are taken as they stand");

enum { U64_TEXT_MAX = 20 };

/* ---- items ---- */

struct raw_reader {
    const struct lh_body_limits *limits;
    struct lh_batch *batch;
    char *at;
    size_t rest; /* bytes */
};

static lh_code fail_short(const struct raw_reader *reader, struct lh_error *err)
{
    return lh_fail(err, LH_INVALID, "the body ends within item %zu; a vector has %u floats",
                   reader->batch->count, reader->limits->dimension);
}

static char *take(struct raw_reader *reader, size_t bytes)
{
    if (reader->rest < bytes)
        return NULL;
    char *taken = reader->at;
    reader->at += bytes;
    reader->rest -= bytes;
    return taken;
}

static lh_code take_number(struct raw_reader *reader, lh_str *ret_id, struct lh_error *err)
{
    uint64_t number;
    const char *bytes = take(reader, sizeof(number));
    char *text = lh_arena_alloc(&reader->batch->arena, U64_TEXT_MAX + 1);
    if (text == NULL)
        return lh_fail(err, LH_TOO_LARGE, "the ids of the body are too large");
    if (bytes == NULL)
        return fail_short(reader, err);
    memcpy(&number, bytes, sizeof(number));
    int len = snprintf(text, U64_TEXT_MAX + 1, "%llu", (unsigned long long)number);
    *ret_id = lh_str_of(text, (size_t)len);
    return LH_OK;
}

static lh_code take_text(struct raw_reader *reader, lh_str *ret_id, struct lh_error *err)
{
    uint16_t len;
    const char *head = take(reader, sizeof(len));
    if (head == NULL)
        return fail_short(reader, err);
    memcpy(&len, head, sizeof(len));
    size_t padding = (4 - (sizeof(len) + len) % 4) % 4;
    const char *text = take(reader, len + padding);
    if (text == NULL)
        return fail_short(reader, err);
    const char *wrong = lh_item_id_problem(lh_str_of(text, len));
    if (wrong != NULL)
        return lh_fail(err, LH_INVALID_VECTOR, "item %zu: %s", reader->batch->count, wrong);
    *ret_id = lh_str_of(text, len);
    return LH_OK;
}

static lh_code take_item(struct raw_reader *reader, enum lh_raw_ids ids, struct lh_error *err)
{
    const struct lh_body_limits *limits = reader->limits;
    struct lh_change change = {.kind = LH_CHANGE_UPSERT};
    if (reader->batch->count == limits->items_max)
        return lh_fail(err, LH_TOO_LARGE, "a batch may have at most %zu items", limits->items_max);
    LH_TRY((ids == LH_RAW_IDS_U64 ? take_number : take_text)(reader, &change.id, err));
    float *vector = (float *)(void *)take(reader, limits->dimension * sizeof(float));
    if (vector == NULL)
        return fail_short(reader, err);
    const char *wrong = lh_vector_prepare(vector, limits->dimension, limits->metric);
    if (wrong != NULL)
        return lh_fail(err, LH_INVALID_VECTOR,
                       "item %zu (id '%.*s'): its vector cannot be used: %s", reader->batch->count,
                       LH_FMT(lh_id_excerpt(change.id)), wrong);
    change.vector = vector;
    lh_batch_add(reader->batch, &change);
    return LH_OK;
}

lh_code lh_body_raw_items(char *body, size_t len, enum lh_raw_ids ids,
                          const struct lh_body_limits *limits, struct lh_batch *batch,
                          struct lh_error *err)
{
    LH_CHECK((uintptr_t)body % 8 == 0);
    batch->arena.bytes_max = lh_body_arena_max(len, limits);
    struct raw_reader reader = {.limits = limits, .batch = batch, .at = body, .rest = len};
    while (reader.rest > 0)
        LH_TRY(take_item(&reader, ids, err));
    return lh_batch_check_unique(batch, err);
}

/* ---- queries ---- */

lh_code lh_body_raw_queries(lh_str body, const struct lh_body_limits *limits,
                            struct lh_search_request *request, struct lh_error *err)
{
    size_t row_bytes = limits->dimension * sizeof(float);
    size_t count = body.len / row_bytes;
    if (body.len == 0 || body.len % row_bytes != 0)
        return lh_fail(err, LH_INVALID,
                       "the body has %zu bytes, which are no vectors of %zu (%u floats) each",
                       body.len, row_bytes, limits->dimension);
    if (count > limits->items_max)
        return lh_fail(err, LH_TOO_LARGE, "a search may have at most %zu queries",
                       limits->items_max);
    LH_CHECK(request->vectors == NULL);
    request->vectors = lh_malloc(body.len);
    memcpy(request->vectors, body.ptr, body.len);
    request->count = count;
    request->many = true;
    for (size_t i = 0; i < count; i++) {
        const char *wrong = lh_vector_prepare(request->vectors + i * limits->dimension,
                                              limits->dimension, limits->metric);
        if (wrong != NULL)
            return lh_fail(err, LH_INVALID_VECTOR, "query %zu: its vector cannot be used: %s", i,
                           wrong);
    }
    return LH_OK;
}
