/* The set of texts: open addressing, at most half full. */
#include "catalogd/keyset.h"

#include "base/hash.h"
#include "base/mem.h"

struct lh_keyset lh_keyset_new(size_t expected)
{
    size_t slots = 16;
    while (slots < expected * 2)
        slots *= 2;
    return (struct lh_keyset){.slots = lh_calloc(slots, sizeof(lh_str)), .slot_count = slots};
}

void lh_keyset_deinit(struct lh_keyset *set)
{
    free(set->slots);
    *set = (struct lh_keyset){0};
}

/* Where the key is, or the free slot where it belongs. */
static lh_str *find_slot(const struct lh_keyset *set, lh_str key)
{
    size_t mask = set->slot_count - 1;
    size_t at = (size_t)lh_xxh3(key.ptr, key.len) & mask;
    while (set->slots[at].ptr && !lh_str_eq(set->slots[at], key))
        at = (at + 1) & mask;
    return &set->slots[at];
}

static void grow(struct lh_keyset *set)
{
    struct lh_keyset larger = lh_keyset_new(set->slot_count);
    for (size_t i = 0; i < set->slot_count; i++) {
        if (set->slots[i].ptr)
            *find_slot(&larger, set->slots[i]) = set->slots[i];
    }
    larger.count = set->count;
    free(set->slots);
    *set = larger;
}

bool lh_keyset_add(struct lh_keyset *set, lh_str key)
{
    if ((set->count + 1) * 2 > set->slot_count)
        grow(set);
    if (key.ptr == NULL)
        key = LH_STR("");
    lh_str *slot = find_slot(set, key);
    if (slot->ptr)
        return false;
    *slot = key;
    set->count++;
    return true;
}

lh_str lh_keyset_get(const struct lh_keyset *set, lh_str key)
{
    return set->slot_count > 0 ? *find_slot(set, key) : LH_STR_NONE;
}

bool lh_keyset_has(const struct lh_keyset *set, lh_str key)
{
    return lh_keyset_get(set, key).ptr != NULL;
}
