/* From id to slot. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "vectord/index_private.h"

enum { TABLE_MIN = 64 };

uint32_t lh_id_tag(lh_str id)
{
    return (uint32_t)lh_xxh3(id.ptr, id.len);
}

void lh_id_table_put(struct lh_id_table *table, uint32_t tag, int32_t slot)
{
    uint32_t at = tag & table->mask;
    while (table->entries[at].slot >= 0)
        at = (at + 1) & table->mask;
    table->entries[at] = (struct lh_id_entry){tag, slot};
}

/* The place of an id, or -1. */
int64_t lh_id_table_find(const struct lh_vindex *index, lh_str id, uint32_t tag)
{
    const struct lh_id_table *table = &index->table;
    if (table->entries == NULL)
        return -1;
    for (uint32_t at = tag & table->mask; table->entries[at].slot >= 0;
         at = (at + 1) & table->mask) {
        const struct lh_id_entry *entry = &table->entries[at];
        if (entry->tag == tag && lh_str_eq(lh_vindex_id(index, (uint32_t)entry->slot), id))
            return at;
    }
    return -1;
}

/* Knuth, volume 3, 6.4, algorithm R: what follows moves up, so there are no tombstones in the
 * table. */
void lh_id_table_remove(struct lh_id_table *table, uint32_t at)
{
    uint32_t hole = at;
    for (;;) {
        at = (at + 1) & table->mask;
        if (table->entries[at].slot < 0)
            break;
        uint32_t home = table->entries[at].tag & table->mask;
        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->entries[hole] = table->entries[at];
            hole = at;
        }
    }
    table->entries[hole].slot = -1;
}

lh_code lh_id_table_new(struct lh_id_table *table, uint64_t items, struct lh_error *err)
{
    uint64_t size = TABLE_MIN;
    while (size < items + items / 2) /* at most two thirds full */
        size *= 2;
    LH_CHECK(size <= UINT64_C(1) << 32);
    table->entries = lh_try_malloc(size, sizeof(*table->entries));
    if (table->entries == NULL)
        return lh_fail(err, LH_INDEX_MEMORY, "no memory for a table of %llu ids",
                       (unsigned long long)items);
    memset(table->entries, 0xff, size * sizeof(*table->entries));
    table->mask = (uint32_t)(size - 1);
    return LH_OK;
}

static bool table_fits(const struct lh_id_table *table, uint64_t items)
{
    return table->entries != NULL && items + items / 2 <= (uint64_t)table->mask + 1;
}

/* Fills next_table beside readers, who use `table` until the next apply. */
lh_code lh_id_tables_grow(struct lh_vindex *index, uint32_t items, struct lh_error *err)
{
    free(index->last_table.entries); /* its readers were excluded when it was replaced */
    index->last_table.entries = NULL;
    uint64_t wanted = (uint64_t)lh_vindex_live(index) + items;
    if (table_fits(&index->table, wanted) || table_fits(&index->next_table, wanted))
        return LH_OK;
    struct lh_id_table grown;
    LH_TRY(lh_id_table_new(&grown, wanted, err));
    for (uint64_t i = 0; index->table.entries != NULL && i <= index->table.mask; i++) {
        if (index->table.entries[i].slot >= 0)
            lh_id_table_put(&grown, index->table.entries[i].tag, index->table.entries[i].slot);
    }
    free(index->next_table.entries);
    index->next_table = grown;
    return LH_OK;
}

/* Readers are excluded. */
void lh_id_tables_switch(struct lh_vindex *index)
{
    if (index->next_table.entries == NULL)
        return;
    LH_CHECK(index->last_table.entries == NULL);
    index->last_table = index->table;
    index->table = index->next_table;
    index->next_table.entries = NULL;
}
