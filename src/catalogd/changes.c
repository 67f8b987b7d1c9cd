/* The ring of changes. A cursor's text is "<boot>-<number>"; clients take it as opaque. */
#include "catalogd/changes.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void lh_changes_init(struct lh_changes *changes, size_t capacity)
{
    LH_CHECK(capacity > 0);
    uint8_t random[(LH_CHANGES_BOOT_SIZE - 1) / 2];
    lh_random_bytes(random, sizeof(random));
    *changes = (struct lh_changes){.capacity = capacity};
    changes->ring = lh_calloc(capacity, sizeof(*changes->ring));
    lh_hex(random, sizeof(random), changes->boot);
}

void lh_changes_deinit(struct lh_changes *changes)
{
    for (size_t i = 0; changes->ring && i < changes->capacity; i++)
        free(changes->ring[i].dataset);
    free(changes->ring);
    *changes = (struct lh_changes){0};
}

struct lh_change lh_change_of(const struct lh_dataset *dataset, enum lh_change_kind kind)
{
    const struct lh_dataset_parts *parts = &dataset->parts;
    struct lh_change change = {.dataset = lh_strndup(parts->name.ptr, parts->name.len),
                               .kind = kind};
    memcpy(change.dataset_id, parts->id, LH_UUID_TEXT);
    if (kind == LH_CHANGE_COMMIT) {
        memcpy(change.version, parts->nonce, LH_NONCE_SIZE);
        change.snapshot = lh_dataset_head(dataset)->id;
    }
    return change;
}

void lh_changes_add(struct lh_changes *changes, const struct lh_dataset *dataset,
                    enum lh_change_kind kind)
{
    struct lh_change *change = &changes->ring[++changes->last % changes->capacity];
    free(change->dataset);
    *change = lh_change_of(dataset, kind);
}

void lh_changes_cursor(const struct lh_changes *changes, char out[LH_CURSOR_SIZE])
{
    snprintf(out, LH_CURSOR_SIZE, "%s-%llu", changes->boot, (unsigned long long)changes->last);
}

bool lh_changes_known(const struct lh_changes *changes, lh_str cursor, uint64_t *ret_since)
{
    lh_str boot = LH_STR_NONE;
    uint64_t since = 0;
    if (!lh_str_next(&cursor, '-', &boot) || !lh_str_is(boot, changes->boot) ||
        !lh_str_to_u64(cursor, &since))
        return false;
    if (since > changes->last || changes->last - since > changes->capacity)
        return false;
    *ret_since = since;
    return true;
}

size_t lh_changes_after(const struct lh_changes *changes, uint64_t since,
                        struct lh_change **ret_changes)
{
    LH_CHECK(since <= changes->last && changes->last - since <= changes->capacity);
    size_t count = (size_t)(changes->last - since);
    struct lh_change *list = lh_calloc(count > 0 ? count : 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        const struct lh_change *change = &changes->ring[(since + 1 + i) % changes->capacity];
        list[i] = *change;
        list[i].dataset = lh_strdup(change->dataset);
    }
    *ret_changes = list;
    return count;
}

void lh_change_list_free(struct lh_change *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        free(list[i].dataset);
    free(list);
}
