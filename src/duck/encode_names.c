/*
 * A JSON object has each name once: columns a, a become a, a_1, as DuckDB names the columns of a
 * table.
 */
#include "duck/encode_private.h"

#include "base/hash.h"
#include "base/json.h"
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

/* The caller owns it and keeps it as long as the set. */
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

static char *key_of(const char *name, bool first)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(SIZE_MAX / 4);
    lh_buf_append_cstr(&out, first ? "{\"" : ",\"");
    lh_json_escape(&out, lh_str_from(name));
    lh_buf_append_cstr(&out, "\":");
    return lh_buf_take(&out);
}

char **lh_encode_keys(const struct lh_duck_statement *s)
{
    size_t capacity = 16;
    while (capacity < 2 * s->column_count)
        capacity *= 2;
    struct names names = {lh_calloc(capacity, sizeof(*names.slots)), capacity - 1};
    char **taken = lh_calloc(s->column_count + 1, sizeof(*taken));
    char **keys = lh_calloc(s->column_count + 1, sizeof(*keys));
    for (size_t i = 0; i < s->column_count; i++) {
        taken[i] = take_name(&names, s->columns[i].name);
        keys[i] = key_of(taken[i], i == 0);
    }
    for (size_t i = 0; i < s->column_count; i++)
        free(taken[i]);
    free(taken);
    free(names.slots);
    return keys;
}
