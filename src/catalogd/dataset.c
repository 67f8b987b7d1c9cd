/*
 * The snapshot model: drafts that grow, frozen states that do not, and the rules that hold for
 * both.
 */
#include "catalogd/dataset.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdalign.h>
#include <string.h>

/* Pinned for ever: an id must never depend on anything but the name. */
static const char dataset_namespace[] = "a8f3c1d2-4e5b-5a6c-9d8e-7f0a1b2c3d4e";
static const uint32_t dataset_magic = 0xda7a5e70;

static const char *const operation_words[] = {
    [LH_OP_CREATE] = "create",
    [LH_OP_APPEND] = "append",
    [LH_OP_REPLACE] = "replace",
    [LH_OP_RESTORE] = "restore",
};

const char *lh_operation_word(enum lh_operation operation)
{
    LH_CHECK((size_t)operation < LH_COUNT(operation_words));
    return operation_words[operation];
}

bool lh_operation_parse(lh_str word, enum lh_operation *ret)
{
    for (size_t i = 0; i < LH_COUNT(operation_words); i++) {
        if (lh_str_is(word, operation_words[i])) {
            *ret = (enum lh_operation)i;
            return true;
        }
    }
    return false;
}

/* ---- names and identities ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_part_valid(lh_str part)
{
    if (part.len == 0 || part.len > LH_NAME_PART_MAX || !is_letter(part.ptr[0]))
        return false;
    for (size_t i = 1; i < part.len; i++) {
        char c = part.ptr[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

lh_code lh_dataset_name_parse(lh_str text, char out[LH_NAME_MAX + 1], struct lh_error *err)
{
    const char *dot = text.len > 0 ? memchr(text.ptr, '.', text.len) : NULL;
    lh_str space = dot ? lh_str_of(text.ptr, (size_t)(dot - text.ptr)) : LH_STR("main");
    lh_str name = dot ? lh_str_skip(text, space.len + 1) : text;
    if (!name_part_valid(space) || !name_part_valid(name)) {
        /* The message may go to a terminal: only what could be a name is repeated. */
        lh_str shown = lh_utf8_valid(text) ? text : LH_STR("");
        LH_IGNORE(lh_fail(err, LH_INVALID_NAME, "'%.*s' is not the name of a dataset",
                          (int)(shown.len < 64 ? shown.len : 64), shown.ptr ? shown.ptr : ""),
                  "the hint returns the code");
        return lh_hint(err,
                       "a letter or _, then letters, digits, _ and - (at most %d), with an "
                       "optional namespace of the same kind: name or namespace.name",
                       LH_NAME_PART_MAX);
    }
    size_t len = 0;
    if (!lh_str_is(space, "main")) {
        memcpy(out, space.ptr, space.len);
        out[space.len] = '.';
        len = space.len + 1;
    }
    memcpy(out + len, name.ptr, name.len);
    out[len + name.len] = '\0';
    return LH_OK;
}

void lh_dataset_id(lh_str name, char out[LH_UUID_TEXT])
{
    lh_uuid5(dataset_namespace, name, out);
}

/* ---- drafts ---- */

static void *copy_array(const void *from, size_t count, size_t bytes)
{
    if (count == 0)
        return NULL;
    void *copy = lh_malloc(count * bytes);
    memcpy(copy, from, count * bytes);
    return copy;
}

struct lh_dataset_parts lh_draft_from(const struct lh_dataset *dataset)
{
    if (!dataset)
        return (struct lh_dataset_parts){0};
    struct lh_dataset_parts draft = dataset->parts;
#define COPY(things, thing)                                                                        \
    draft.things = copy_array(draft.things, draft.thing##_count, sizeof(*draft.things));           \
    draft.thing##_capacity = draft.thing##_count
    COPY(schemas, schema);
    COPY(columns, column);
    COPY(snapshots, snapshot);
    COPY(contents, content);
    COPY(objects, object);
    COPY(origins, origin);
#undef COPY
    return draft;
}

void lh_draft_deinit(struct lh_dataset_parts *draft)
{
    free(draft->schemas);
    free(draft->columns);
    free(draft->snapshots);
    free(draft->contents);
    free(draft->objects);
    free(draft->origins);
    *draft = (struct lh_dataset_parts){0};
}

#define DEFINE_ADD(things, thing)                                                                  \
    struct lh_##thing *lh_draft_add_##thing(struct lh_dataset_parts *draft)                        \
    {                                                                                              \
        draft->things = lh_grow(draft->things, &draft->thing##_capacity, draft->thing##_count + 1, \
                                sizeof(*draft->things));                                           \
        struct lh_##thing *added = &draft->things[draft->thing##_count++];                         \
        *added = (struct lh_##thing){0};                                                           \
        return added;                                                                              \
    }
DEFINE_ADD(schemas, schema)
DEFINE_ADD(columns, column)
DEFINE_ADD(snapshots, snapshot)
DEFINE_ADD(contents, content)
DEFINE_ADD(objects, object)
DEFINE_ADD(origins, origin)
#undef DEFINE_ADD

static bool ended_by(const struct lh_span *span, int64_t snapshot)
{
    return span->removed != 0 && span->removed <= snapshot;
}

void lh_draft_forget(struct lh_dataset_parts *draft, size_t snapshots_max)
{
    LH_CHECK(snapshots_max > 0);
    if (draft->snapshot_count <= snapshots_max)
        return;
    size_t dropped = draft->snapshot_count - snapshots_max;
    draft->snapshot_count = snapshots_max;
    memmove(draft->snapshots, draft->snapshots + dropped,
            snapshots_max * sizeof(*draft->snapshots));
    int64_t oldest = draft->snapshots[0].id;

    size_t kept = 0;
    for (size_t i = 0; i < draft->object_count; i++) {
        if (!ended_by(&draft->objects[i].span, oldest))
            draft->objects[kept++] = draft->objects[i];
    }
    draft->object_count = kept;
    kept = 0;
    for (size_t i = 0; i < draft->content_count; i++) {
        if (!ended_by(&draft->contents[i].span, oldest))
            draft->contents[kept++] = draft->contents[i];
    }
    draft->content_count = kept;
}

/* ---- freezing: one block holds the dataset, its arrays, then its texts ---- */

struct block {
    char *at;
    char *end;
};

static size_t rounded(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
}

static void *place_array(struct block *block, const void *from, size_t count, size_t bytes)
{
    if (count == 0)
        return NULL;
    void *copy = block->at;
    memcpy(copy, from, count * bytes);
    block->at += rounded(count * bytes);
    return copy;
}

static void place_text(struct block *block, lh_str *text)
{
    if (text->len == 0) {
        *text = LH_STR("");
        return;
    }
    LH_CHECK(text->len <= (size_t)(block->end - block->at));
    memcpy(block->at, text->ptr, text->len);
    text->ptr = block->at;
    block->at += text->len;
}

/* Every text of the parts, one after the other. */
static void each_text(struct lh_dataset_parts *parts, void (*visit)(void *ctx, lh_str *text),
                      void *ctx)
{
    visit(ctx, &parts->name);
    for (size_t i = 0; i < parts->schema_count; i++)
        visit(ctx, &parts->schemas[i].fingerprint);
    for (size_t i = 0; i < parts->column_count; i++) {
        visit(ctx, &parts->columns[i].name);
        visit(ctx, &parts->columns[i].type);
    }
    for (size_t i = 0; i < parts->snapshot_count; i++)
        visit(ctx, &parts->snapshots[i].content_id);
    for (size_t i = 0; i < parts->content_count; i++)
        visit(ctx, &parts->contents[i].id);
    for (size_t i = 0; i < parts->object_count; i++) {
        visit(ctx, &parts->objects[i].key);
        visit(ctx, &parts->objects[i].content_id);
        visit(ctx, &parts->objects[i].stats);
    }
    for (size_t i = 0; i < parts->origin_count; i++) {
        visit(ctx, &parts->origins[i].dataset_id);
        visit(ctx, &parts->origins[i].nonce);
    }
}

static void add_text_len(void *ctx, lh_str *text)
{
    *(size_t *)ctx += text->len;
}

static void place_text_in(void *ctx, lh_str *text)
{
    place_text(ctx, text);
}

struct lh_dataset *lh_dataset_freeze(const struct lh_dataset_parts *draft)
{
    struct lh_dataset_parts parts = *draft;
    size_t arrays = rounded(parts.schema_count * sizeof(*parts.schemas)) +
                    rounded(parts.column_count * sizeof(*parts.columns)) +
                    rounded(parts.snapshot_count * sizeof(*parts.snapshots)) +
                    rounded(parts.content_count * sizeof(*parts.contents)) +
                    rounded(parts.object_count * sizeof(*parts.objects)) +
                    rounded(parts.origin_count * sizeof(*parts.origins));
    size_t texts = 0;
    each_text(&parts, add_text_len, &texts);

    size_t head = rounded(sizeof(struct lh_dataset));
    struct lh_dataset *dataset = lh_malloc(head + arrays + texts);
    struct block block = {.at = (char *)dataset + head,
                          .end = (char *)dataset + head + arrays + texts};
#define PLACE(things, thing)                                                                       \
    parts.things = place_array(&block, parts.things, parts.thing##_count, sizeof(*parts.things));  \
    parts.thing##_capacity = 0
    PLACE(schemas, schema);
    PLACE(columns, column);
    PLACE(snapshots, snapshot);
    PLACE(contents, content);
    PLACE(objects, object);
    PLACE(origins, origin);
#undef PLACE
    each_text(&parts, place_text_in, &block);
    LH_CHECK(block.at == block.end);
    dataset->magic = dataset_magic;
    atomic_init(&dataset->refs, 1);
    dataset->parts = parts;
    return dataset;
}

struct lh_dataset *lh_dataset_ref(struct lh_dataset *dataset)
{
    if (dataset) {
        LH_CHECK_MAGIC(dataset, dataset_magic);
        atomic_fetch_add_explicit(&dataset->refs, 1, memory_order_relaxed);
    }
    return dataset;
}

void lh_dataset_unref(struct lh_dataset *dataset)
{
    if (!dataset)
        return;
    LH_CHECK_MAGIC(dataset, dataset_magic);
    if (atomic_fetch_sub_explicit(&dataset->refs, 1, memory_order_acq_rel) != 1)
        return;
    dataset->magic = 0;
    free(dataset);
}

void lh_dataset_cleanup(struct lh_dataset **dataset)
{
    lh_dataset_unref(*dataset);
    *dataset = NULL;
}

/* ---- asking ---- */

bool lh_span_holds(const struct lh_span *span, int64_t snapshot)
{
    return span->added <= snapshot && (span->removed == 0 || snapshot < span->removed);
}

const struct lh_snapshot *lh_dataset_head(const struct lh_dataset *dataset)
{
    LH_CHECK(dataset->parts.snapshot_count > 0);
    return &dataset->parts.snapshots[dataset->parts.snapshot_count - 1];
}

const struct lh_snapshot *lh_dataset_find_snapshot(const struct lh_dataset *dataset, int64_t id)
{
    size_t low = 0, high = dataset->parts.snapshot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dataset->parts.snapshots[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == dataset->parts.snapshot_count || dataset->parts.snapshots[low].id != id)
        return NULL;
    return &dataset->parts.snapshots[low];
}

const struct lh_snapshot *lh_dataset_as_of(const struct lh_dataset *dataset, lh_time_ms time)
{
    for (size_t i = dataset->parts.snapshot_count; i > 0; i--) {
        if (dataset->parts.snapshots[i - 1].time <= time)
            return &dataset->parts.snapshots[i - 1];
    }
    return NULL;
}

const struct lh_schema *lh_dataset_schema(const struct lh_dataset *dataset, int32_t schema_id)
{
    LH_CHECK(schema_id > 0 && (size_t)schema_id <= dataset->parts.schema_count);
    return &dataset->parts.schemas[schema_id - 1];
}
