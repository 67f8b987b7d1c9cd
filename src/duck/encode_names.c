/*
 * A JSON object has each name once: columns a, a become a, a_1, as DuckDB names the columns of a
 * table.
 */
#include "duck/encode_private.h"

#include "base/hash.h"
#include "base/mem.h"
#include "duck/statement_private.h"

#include <string.h>

/* A set of names by open addressing, at most half full; with each the last number that was put
 * behind it. */
struct slot {
    const char *name;
    size_t number;
};

struct names {
    struct slot *slots;
    size_t mask;
};

/* The slot of that name, or the free one where it would go. */
static struct slot *find(const struct names *names, const char *name)
{
    size_t at = lh_xxh3(name, strlen(name)) & names->mask;
    while (names->slots[at].name != NULL && strcmp(names->slots[at].name, name) != 0)
        at = (at + 1) & names->mask;
    return &names->slots[at];
}

/* Owned by the caller; the set borrows it. */
static char *take_name(struct names *names, const char *wanted)
{
    struct slot *first = find(names, wanted);
    if (first->name == NULL)
        return (char *)(uintptr_t)(first->name = lh_strdup(wanted));
    for (;;) {
        char *name = lh_asprintf("%s_%zu", wanted, ++first->number);
        struct slot *slot = find(names, name);
        if (slot->name == NULL) {
            slot->name = name;
            return name;
        }
        free(name);
    }
}

char **lh_encode_unique_names(const struct lh_duck_statement *s)
{
    size_t capacity = 16;
    while (capacity < 2 * s->column_count)
        capacity *= 2;
    struct names names = {lh_calloc(capacity, sizeof(*names.slots)), capacity - 1};
    char **keys = lh_calloc(s->column_count + 1, sizeof(*keys));
    for (size_t i = 0; i < s->column_count; i++)
        keys[i] = take_name(&names, s->columns[i].name);
    free(names.slots);
    return keys;
}
