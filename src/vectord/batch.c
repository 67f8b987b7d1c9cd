/* The changes of one request. */
#include "vectord/batch.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { ID_EXCERPT_MAX = 64 };

void lh_batch_deinit(struct lh_batch *batch)
{
    free(batch->changes);
    lh_arena_deinit(&batch->arena);
    memset(batch, 0, sizeof(*batch));
}

void lh_batch_add(struct lh_batch *batch, const struct lh_change *change)
{
    batch->changes = lh_grow(batch->changes, &batch->capacity, batch->count + 1, sizeof(*change));
    batch->changes[batch->count++] = *change;
}

/* Open addressing over numbers of changes; the table lives for this one check. */
lh_code lh_batch_check_unique(const struct lh_batch *batch, struct lh_error *err)
{
    size_t size = 16;
    while (size < 2 * batch->count)
        size *= 2;
    LH_AUTO_FREE size_t *numbers = lh_calloc(size, sizeof(*numbers)); /* number + 1; 0 = free */
    for (size_t i = 0; i < batch->count; i++) {
        lh_str id = batch->changes[i].id;
        size_t at = lh_xxh3(id.ptr, id.len) & (size - 1);
        for (; numbers[at] != 0; at = (at + 1) & (size - 1)) {
            if (lh_str_eq(batch->changes[numbers[at] - 1].id, id))
                return lh_fail(err, LH_INVALID_VECTOR,
                               "item %zu (id '%.*s') has the same id as item %zu", i,
                               LH_FMT(lh_id_excerpt(id)), numbers[at] - 1);
        }
        numbers[at] = i + 1;
    }
    return LH_OK;
}

struct lh_vindex_need lh_batch_need(const struct lh_batch *batch)
{
    struct lh_vindex_need need = {0};
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->changes[i].kind != LH_CHANGE_UPSERT)
            continue;
        need.items++;
        need.id_bytes += batch->changes[i].id.len;
        need.metadata_bytes += batch->changes[i].metadata.len;
    }
    return need;
}

lh_str lh_id_excerpt(lh_str id)
{
    if (id.len <= ID_EXCERPT_MAX)
        return id;
    size_t len = ID_EXCERPT_MAX;
    while (len > 0 && ((unsigned char)id.ptr[len] & 0xc0) == 0x80)
        len--;
    return lh_str_of(id.ptr, len);
}
