#include "queryd/names.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

static int compare(const char *a, const char *b)
{
    int order = strcasecmp(a, b);
    return order != 0 ? order : strcmp(a, b);
}

/* The first index whose name is not before `name`. */
static size_t lower_bound(const struct lh_names *names, const char *name)
{
    size_t low = 0;
    size_t high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(names->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void entry_deinit(struct lh_name *entry)
{
    free(entry->name);
    free(entry->version);
    lh_dataset_unref(entry->dataset);
}

void lh_names_deinit(struct lh_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        entry_deinit(&names->items[i]);
    free(names->items);
    free(names->cursor);
    *names = (struct lh_names){0};
}

/* ---- changes ---- */

struct change {
    lh_str name, version, op;
    int64_t snapshot;
};

static lh_code read_change(const json_t *item, struct change *ret, struct lh_error *err)
{
    struct change c = {.version = LH_STR("")};
    LH_TRY(lh_json_need_str(item, "dataset", &c.name, err));
    LH_TRY(lh_json_need_str(item, "op", &c.op, err));
    LH_TRY(lh_json_opt_str(item, "version", &c.version, err)); /* a delete has none */
    LH_TRY(lh_json_opt_i64(item, "snapshot", &c.snapshot, err));
    *ret = c;
    return LH_OK;
}

static void remove_at(struct lh_names *names, size_t index)
{
    entry_deinit(&names->items[index]);
    names->count--;
    memmove(&names->items[index], &names->items[index + 1],
            (names->count - index) * sizeof(*names->items));
}

static void insert_at(struct lh_names *names, size_t index, char *name, const struct change *c)
{
    names->items = lh_grow(names->items, &names->capacity, names->count + 1, sizeof(*names->items));
    memmove(&names->items[index + 1], &names->items[index],
            (names->count - index) * sizeof(*names->items));
    names->count++;
    names->items[index] = (struct lh_name){
        .name = name,
        .version = lh_strndup(c->version.ptr, c->version.len),
        .snapshot = c->snapshot,
    };
}

static void apply_one(struct lh_names *names, const struct change *c)
{
    char *name = lh_strndup(c->name.ptr, c->name.len);
    size_t index = lower_bound(names, name);
    bool known = index < names->count && strcmp(names->items[index].name, name) == 0;
    if (lh_str_is(c->op, "delete")) {
        if (known)
            remove_at(names, index);
    } else if (known) {
        struct lh_name *entry = &names->items[index];
        entry->snapshot = c->snapshot;
        free(entry->version);
        entry->version = lh_strndup(c->version.ptr, c->version.len);
    } else {
        insert_at(names, index, name, c);
        return;
    }
    free(name);
}

/* After a reset the list is whole: what was fetched stays where it is still right. */
static void keep_datasets(struct lh_names *fresh, struct lh_names *old)
{
    for (size_t i = 0; i < old->count; i++) {
        size_t index = lower_bound(fresh, old->items[i].name);
        if (index < fresh->count && strcmp(fresh->items[index].name, old->items[i].name) == 0) {
            fresh->items[index].dataset = old->items[i].dataset;
            old->items[i].dataset = NULL;
        }
    }
}

lh_code lh_names_apply(struct lh_names *names, const json_t *answer, struct lh_error *err)
{
    lh_str cursor;
    bool reset = false;
    json_t *changes = NULL;
    LH_TRY(lh_json_need_str(answer, "cursor", &cursor, err));
    LH_TRY(lh_json_opt_bool(answer, "reset", &reset, err));
    LH_TRY(lh_json_need_array(answer, "changes", &changes, err));
    size_t index;
    json_t *item;
    struct change change;
    json_array_foreach (changes, index, item)
        LH_TRY(read_change(item, &change, err));

    struct lh_names fresh = {0};
    struct lh_names *target = reset ? &fresh : names;
    json_array_foreach (changes, index, item) {
        struct lh_error unused = LH_ERROR_INIT;
        if (read_change(item, &change, &unused) == LH_OK)
            apply_one(target, &change);
    }
    if (reset) {
        keep_datasets(&fresh, names);
        lh_names_deinit(names);
        *names = fresh;
    }
    free(names->cursor); // NOLINT(clang-analyzer-unix.Malloc): of `fresh`, or the old one
    names->cursor = lh_strndup(cursor.ptr, cursor.len);
    return LH_OK;
}

/* ---- looking up ---- */

enum { HINT_NAMES = 3, NEAR = 3 };

/* The names that are least edits away, the best first. */
static lh_code fail_unknown(const struct lh_names *names, lh_str name, struct lh_error *err)
{
    const char *best[HINT_NAMES] = {NULL};
    unsigned distance[HINT_NAMES] = {NEAR + 1, NEAR + 1, NEAR + 1};
    for (size_t i = 0; i < names->count; i++) {
        unsigned d = lh_edit_distance(name, lh_str_from(names->items[i].name));
        size_t at = HINT_NAMES;
        while (at > 0 && d < distance[at - 1])
            at--;
        if (at == HINT_NAMES)
            continue;
        memmove(&best[at + 1], &best[at], (HINT_NAMES - 1 - at) * sizeof(*best));
        memmove(&distance[at + 1], &distance[at], (HINT_NAMES - 1 - at) * sizeof(*distance));
        best[at] = names->items[i].name;
        distance[at] = d;
    }
    lh_code code = lh_fail(err, LH_INVALID_SQL, "there is no dataset \"%.*s\"", LH_FMT(name));
    if (best[0] == NULL)
        return lh_hint(err, "SHOW TABLES lists the datasets");
    if (best[1] == NULL)
        return lh_hint(err, "did you mean %s?", best[0]);
    code = lh_hint(err, "did you mean %s or %s?", best[0], best[1]);
    return code;
}

lh_code lh_names_find(const struct lh_names *names, lh_str name, struct lh_name **ret_name,
                      struct lh_error *err)
{
    LH_AUTO_FREE char *text = lh_strndup(name.ptr, name.len);
    size_t exact = lower_bound(names, text);
    if (exact < names->count && strcmp(names->items[exact].name, text) == 0) {
        *ret_name = &names->items[exact];
        return LH_OK;
    }
    /* Those that differ in case alone stand side by side around it. */
    size_t first = exact;
    while (first > 0 && strcasecmp(names->items[first - 1].name, text) == 0)
        first--;
    size_t end = exact;
    while (end < names->count && strcasecmp(names->items[end].name, text) == 0)
        end++;
    if (end == first)
        return fail_unknown(names, name, err);
    if (end - first > 1)
        return lh_fail(err, LH_INVALID_SQL, "\"%s\" may be %s or %s: write it exactly", text,
                       names->items[first].name, names->items[first + 1].name);
    *ret_name = &names->items[first];
    return LH_OK;
}
