/*
 * The rules of a commit. One change is one new snapshot; what a snapshot adds and removes is
 * counted as it is done, so the sums of the new head follow from those of the old one.
 */
#include "catalogd/commit.h"

#include "base/check.h"
#include "catalogd/keyset.h"
#include "store/objstore.h"

/* Renames that are remembered; older ones were swept long ago. */
enum { ORIGINS_MAX = 16 };

const char *lh_commit_status_word(enum lh_commit_status status)
{
    static const char *const words[] = {
        [LH_COMMIT_CREATED] = "created",   [LH_COMMIT_APPENDED] = "appended",
        [LH_COMMIT_REPLACED] = "replaced", [LH_COMMIT_UNCHANGED] = "unchanged",
        [LH_COMMIT_RESTORED] = "restored", [LH_COMMIT_RENAMED] = "renamed",
    };
    LH_CHECK((size_t)status < sizeof(words) / sizeof(words[0]));
    return words[status];
}

/* ---- the request by itself ---- */

static lh_code check_key(lh_str key, struct lh_error *err)
{
    if (key.len == 0)
        return lh_fail(err, LH_INVALID_KEY, "an object has no key");
    if (key.len > LH_KEY_MAX)
        return lh_fail(err, LH_KEY_TOO_LONG, "an object's key has %zu bytes, at most %d", key.len,
                       LH_KEY_MAX);
    if (lh_str_starts(key, "_catalog/") || lh_str_starts(key, "_vectors/"))
        return lh_fail(err, LH_INVALID_KEY,
                       "'%.*s' is reserved: a dataset's object may not lie below _catalog/ or "
                       "_vectors/",
                       LH_FMT(key));
    return LH_OK;
}

static lh_code check_objects(const struct lh_commit_request *request, struct lh_error *err)
{
    LH_AUTO_KEYSET struct lh_keyset keys = lh_keyset_new(request->object_count);
    int64_t rows = 0, bytes = 0;
    for (size_t i = 0; i < request->object_count; i++) {
        const struct lh_object *object = &request->objects[i];
        LH_TRY(check_key(object->key, err));
        if (object->rows < 0 || object->bytes < 0)
            return lh_fail(err, LH_INVALID, "object '%.*s': rows and bytes may not be negative",
                           LH_FMT(object->key));
        if (__builtin_add_overflow(rows, object->rows, &rows) ||
            __builtin_add_overflow(bytes, object->bytes, &bytes))
            return lh_fail(err, LH_INVALID, "the objects have more rows or bytes than can be");
        if (!lh_keyset_add(&keys, object->key))
            return lh_fail(err, LH_BAD_DATA, "object '%.*s' is named twice", LH_FMT(object->key));
    }
    return LH_OK;
}

static lh_code check_columns(const struct lh_commit_request *request, struct lh_error *err)
{
    LH_AUTO_KEYSET struct lh_keyset names = lh_keyset_new(request->column_count);
    for (size_t i = 0; i < request->column_count; i++) {
        const struct lh_column *column = &request->columns[i];
        if (column->name.len == 0 || column->name.len > LH_COLUMN_NAME_MAX)
            return lh_fail(err, LH_INVALID, "column %zu: a name has 1 to %d bytes", i + 1,
                           LH_COLUMN_NAME_MAX);
        if (column->type.len == 0 || column->type.len > LH_COLUMN_TYPE_MAX)
            return lh_fail(err, LH_INVALID, "column '%.*s': a type has 1 to %d bytes",
                           LH_FMT(column->name), LH_COLUMN_TYPE_MAX);
        if (!lh_keyset_add(&names, column->name))
            return lh_fail(err, LH_INVALID, "column '%.*s' is there twice", LH_FMT(column->name));
    }
    return LH_OK;
}

lh_code lh_commit_check(const struct lh_commit_request *request, struct lh_error *err)
{
    if (request->fingerprint.len == 0 || request->fingerprint.len > LH_FINGERPRINT_MAX)
        return lh_fail(err, LH_INVALID, "fingerprint: 1 to %d bytes, not %zu", LH_FINGERPRINT_MAX,
                       request->fingerprint.len);
    if (request->content_id.len > LH_CONTENT_ID_MAX)
        return lh_fail(err, LH_INVALID, "content_id: at most %d bytes", LH_CONTENT_ID_MAX);
    LH_TRY(check_columns(request, err));
    return check_objects(request, err);
}

/* ---- the next snapshot, step by step ---- */

static const struct lh_snapshot *head_of(const struct lh_dataset_parts *draft)
{
    return &draft->snapshots[draft->snapshot_count - 1];
}

/* Begins the next snapshot: the sums of the one before it, nothing added or removed yet. */
static struct lh_snapshot *begin_snapshot(struct lh_dataset_parts *draft,
                                          enum lh_operation operation, lh_time_ms now)
{
    struct lh_snapshot before = {.time = now, .schema_id = 1};
    if (draft->snapshot_count > 0)
        before = *head_of(draft);
    struct lh_snapshot *next = lh_draft_add_snapshot(draft);
    *next = (struct lh_snapshot){
        .id = before.id + 1,
        .time = now > before.time ? now : before.time, /* also when the clock was set back */
        .operation = operation,
        .schema_id = before.schema_id,
        .content_id = LH_STR(""),
        .rows = before.rows,
        .bytes = before.bytes,
        .objects = before.objects,
    };
    return next;
}

static void end_object(struct lh_snapshot *snapshot, struct lh_object *object)
{
    object->span.removed = snapshot->id;
    snapshot->rows_removed += object->rows;
    snapshot->bytes_removed += object->bytes;
    snapshot->objects_removed++;
}

static void add_object(struct lh_dataset_parts *draft, struct lh_snapshot *snapshot,
                       const struct lh_object *object)
{
    struct lh_object *added = lh_draft_add_object(draft);
    *added = *object;
    added->span = (struct lh_span){.added = snapshot->id};
    snapshot->rows_added += object->rows;
    snapshot->bytes_added += object->bytes;
    snapshot->objects_added++;
}

static void add_content(struct lh_dataset_parts *draft, const struct lh_snapshot *snapshot,
                        lh_str id)
{
    struct lh_content *added = lh_draft_add_content(draft);
    *added = (struct lh_content){.span = {.added = snapshot->id}, .id = id};
}

static void end_everything(struct lh_dataset_parts *draft, struct lh_snapshot *snapshot)
{
    for (size_t i = 0; i < draft->object_count; i++) {
        if (draft->objects[i].span.removed == 0)
            end_object(snapshot, &draft->objects[i]);
    }
    for (size_t i = 0; i < draft->content_count; i++) {
        if (draft->contents[i].span.removed == 0)
            draft->contents[i].span.removed = snapshot->id;
    }
}

static void set_nonce(struct lh_dataset_parts *draft)
{
    uint8_t random[(LH_NONCE_SIZE - 1) / 2];
    lh_random_bytes(random, sizeof(random));
    lh_hex(random, sizeof(random), draft->nonce);
}

/* Sums up, forgets what is too old, gives the state its nonce, and freezes it. */
static lh_code end_snapshot(struct lh_dataset_parts *draft, struct lh_snapshot *snapshot,
                            size_t snapshots_max, struct lh_dataset **ret_next,
                            struct lh_error *err)
{
    if (__builtin_add_overflow(snapshot->rows - snapshot->rows_removed, snapshot->rows_added,
                               &snapshot->rows) ||
        __builtin_add_overflow(snapshot->bytes - snapshot->bytes_removed, snapshot->bytes_added,
                               &snapshot->bytes))
        return lh_fail(err, LH_INVALID, "the dataset would have more rows or bytes than can be");
    snapshot->objects += snapshot->objects_added - snapshot->objects_removed;
    lh_draft_forget(draft, snapshots_max);
    set_nonce(draft);
    *ret_next = lh_dataset_freeze(draft);
    return LH_OK;
}

/* ---- register and commit ---- */

static bool same_columns(const struct lh_dataset *dataset, const struct lh_schema *schema,
                         const struct lh_commit_request *request)
{
    if (schema->column_count != request->column_count)
        return false;
    for (size_t i = 0; i < request->column_count; i++) {
        const struct lh_column *have = &dataset->parts.columns[schema->column_first + i];
        const struct lh_column *want = &request->columns[i];
        if (!lh_str_eq(have->name, want->name) || !lh_str_eq(have->type, want->type) ||
            have->nullable != want->nullable)
            return false;
    }
    return true;
}

/* The same fingerprint; and the same columns, where both sides name some. */
static lh_code check_schema(const struct lh_dataset *current,
                            const struct lh_commit_request *request, struct lh_error *err)
{
    const struct lh_schema *schema =
        lh_dataset_schema(current, lh_dataset_head(current)->schema_id);
    if (!lh_str_eq(schema->fingerprint, request->fingerprint))
        return lh_fail(err, LH_FINGERPRINT_CONFLICT,
                       "dataset '%.*s' has the fingerprint %.*s, the request %.*s",
                       LH_FMT(current->parts.name), LH_FMT(schema->fingerprint),
                       LH_FMT(request->fingerprint));
    if (request->column_count > 0 && schema->column_count > 0 &&
        !same_columns(current, schema, request))
        return lh_fail(err, LH_FINGERPRINT_CONFLICT,
                       "dataset '%.*s' has other columns under the same fingerprint",
                       LH_FMT(current->parts.name));
    return LH_OK;
}

static bool has_content(const struct lh_dataset *current, lh_str content_id)
{
    for (size_t i = 0; i < current->parts.content_count; i++) {
        const struct lh_content *content = &current->parts.contents[i];
        if (content->span.removed == 0 && lh_str_eq(content->id, content_id))
            return true;
    }
    return false;
}

/* The present state is exactly that one content. */
static bool is_content(const struct lh_dataset *current, lh_str content_id)
{
    for (size_t i = 0; i < current->parts.content_count; i++) {
        const struct lh_content *content = &current->parts.contents[i];
        if (content->span.removed == 0 && !lh_str_eq(content->id, content_id))
            return false;
    }
    return has_content(current, content_id);
}

/* The same content again: a retry, or the same file twice. */
static bool is_repeat(const struct lh_dataset *current, const struct lh_commit_request *request)
{
    if (request->content_id.len == 0)
        return false;
    return request->mode == LH_MODE_REPLACE ? is_content(current, request->content_id)
                                            : has_content(current, request->content_id);
}

static lh_code check_expectation(const struct lh_dataset *current,
                                 const struct lh_commit_request *request, struct lh_error *err)
{
    int64_t present = current ? lh_dataset_head(current)->id : 0;
    if (request->expect_snapshot < 0 || request->expect_snapshot == present)
        return LH_OK;
    if (!current)
        return lh_fail(err, LH_PRECONDITION,
                       "dataset '%.*s' does not exist, snapshot %lld was expected",
                       LH_FMT(request->name), (long long)request->expect_snapshot);
    return lh_fail(err, LH_PRECONDITION, "dataset '%.*s' is at snapshot %lld, not %lld",
                   LH_FMT(request->name), (long long)present, (long long)request->expect_snapshot);
}

static lh_code check_new_objects(const struct lh_dataset *current,
                                 const struct lh_commit_request *request, struct lh_error *err)
{
    LH_AUTO_KEYSET struct lh_keyset keys = lh_keyset_new(request->object_count);
    for (size_t i = 0; i < request->object_count; i++)
        lh_keyset_add(&keys, request->objects[i].key);
    for (size_t i = 0; i < current->parts.object_count; i++) {
        const struct lh_object *object = &current->parts.objects[i];
        if (object->span.removed == 0 && lh_keyset_has(&keys, object->key))
            return lh_fail(err, LH_BAD_DATA, "object '%.*s' is part of dataset '%.*s' already",
                           LH_FMT(object->key), LH_FMT(request->name));
    }
    return LH_OK;
}

static int32_t add_schema(struct lh_dataset_parts *draft, const struct lh_commit_request *request)
{
    struct lh_schema *schema = lh_draft_add_schema(draft);
    *schema = (struct lh_schema){
        .id = (int32_t)draft->schema_count,
        .fingerprint = request->fingerprint,
        .column_first = draft->column_count,
        .column_count = request->column_count,
    };
    int32_t id = schema->id;
    for (size_t i = 0; i < request->column_count; i++)
        *lh_draft_add_column(draft) = request->columns[i];
    return id;
}

static lh_code build(const struct lh_dataset *current, const struct lh_commit_request *request,
                     enum lh_operation operation, const struct lh_commit_context *context,
                     struct lh_dataset **ret_next, struct lh_error *err)
{
    LH_AUTO_DRAFT struct lh_dataset_parts draft = lh_draft_from(current);
    if (!current) {
        draft.name = request->name;
        draft.created = context->now;
        lh_dataset_id(request->name, draft.id);
    }
    struct lh_snapshot *snapshot = begin_snapshot(&draft, operation, context->now);
    snapshot->content_id = request->content_id;
    /* A dataset that was registered without columns learns them from the first commit that has
     * some. */
    if (!current ||
        (request->column_count > 0 && draft.schemas[snapshot->schema_id - 1].column_count == 0))
        snapshot->schema_id = add_schema(&draft, request);
    if (operation == LH_OP_REPLACE)
        end_everything(&draft, snapshot);
    for (size_t i = 0; i < request->object_count; i++) {
        struct lh_object object = request->objects[i];
        object.content_id = request->content_id;
        add_object(&draft, snapshot, &object);
    }
    if (request->object_count > 0 || request->content_id.len > 0)
        add_content(&draft, snapshot, request->content_id);
    return end_snapshot(&draft, snapshot, context->snapshots_max, ret_next, err);
}

lh_code lh_commit_apply(const struct lh_dataset *current, const struct lh_commit_request *request,
                        const struct lh_commit_context *context, struct lh_dataset **ret_next,
                        enum lh_commit_status *ret_status, struct lh_error *err)
{
    if (!current) {
        LH_TRY(check_expectation(current, request, err));
        LH_TRY(build(NULL, request, LH_OP_CREATE, context, ret_next, err));
        *ret_status = LH_COMMIT_CREATED;
        return LH_OK;
    }
    LH_TRY(check_schema(current, request, err));
    /* Before the expectation: a repeat of a commit whose answer was lost expects the snapshot
     * before. */
    bool unchanged = is_repeat(current, request);
    if (!unchanged)
        LH_TRY(check_expectation(current, request, err));
    if (request->mode == LH_MODE_CREATE && request->content_id.len == 0)
        unchanged = true;
    if (unchanged) {
        *ret_next = NULL;
        *ret_status = LH_COMMIT_UNCHANGED;
        return LH_OK;
    }
    if (request->mode == LH_MODE_CREATE) {
        LH_IGNORE(lh_fail(err, LH_EXISTS, "dataset '%.*s' exists already, with other content",
                          LH_FMT(request->name)),
                  "the hint returns the code");
        return lh_hint(err, "mode=append adds to it, mode=replace puts this in its place");
    }
    bool append = request->mode == LH_MODE_APPEND;
    if (append)
        LH_TRY(check_new_objects(current, request, err));
    LH_TRY(build(current, request, append ? LH_OP_APPEND : LH_OP_REPLACE, context, ret_next, err));
    *ret_status = append ? LH_COMMIT_APPENDED : LH_COMMIT_REPLACED;
    return LH_OK;
}

/* ---- restore ---- */

/* Ends the objects that the snapshot did not have, and adds those of it that do not live. An object
 * that came back by an earlier restore lives under a later span: keys are compared, not spans. */
static void restore_objects(const struct lh_dataset *current, int64_t target,
                            struct lh_dataset_parts *draft, struct lh_snapshot *snapshot)
{
    size_t count = current->parts.object_count;
    LH_AUTO_KEYSET struct lh_keyset wanted = lh_keyset_new(count);
    LH_AUTO_KEYSET struct lh_keyset alive = lh_keyset_new(count);
    for (size_t i = 0; i < count; i++) {
        const struct lh_object *object = &current->parts.objects[i];
        if (lh_span_holds(&object->span, target))
            lh_keyset_add(&wanted, object->key);
        if (object->span.removed == 0)
            lh_keyset_add(&alive, object->key);
    }
    for (size_t i = 0; i < count; i++) {
        const struct lh_object *object = &current->parts.objects[i];
        if (object->span.removed == 0 && !lh_keyset_has(&wanted, object->key))
            end_object(snapshot, &draft->objects[i]);
        if (lh_span_holds(&object->span, target) && !lh_keyset_has(&alive, object->key))
            add_object(draft, snapshot, object);
    }
}

/* The same for contents, by their spans: one that comes back begins a new one. */
static void restore_contents(const struct lh_dataset *current, int64_t target,
                             struct lh_dataset_parts *draft, const struct lh_snapshot *snapshot)
{
    for (size_t i = 0; i < current->parts.content_count; i++) {
        const struct lh_content *content = &current->parts.contents[i];
        bool wanted = lh_span_holds(&content->span, target);
        bool alive = content->span.removed == 0;
        if (wanted == alive)
            continue;
        if (alive)
            draft->contents[i].span.removed = snapshot->id;
        else
            add_content(draft, snapshot, content->id);
    }
}

lh_code lh_restore_apply(const struct lh_dataset *current, int64_t target,
                         const struct lh_commit_context *context, struct lh_dataset **ret_next,
                         struct lh_error *err)
{
    const struct lh_snapshot *wanted = lh_dataset_find_snapshot(current, target);
    const struct lh_snapshot *head = lh_dataset_head(current);
    if (!wanted)
        return lh_fail(err, LH_NOT_FOUND,
                       "dataset '%.*s' has no snapshot %lld (kept are %lld to %lld)",
                       LH_FMT(current->parts.name), (long long)target,
                       (long long)current->parts.snapshots[0].id, (long long)head->id);
    if (wanted == head) {
        *ret_next = NULL;
        return LH_OK;
    }
    LH_AUTO_DRAFT struct lh_dataset_parts draft = lh_draft_from(current);
    struct lh_snapshot *snapshot = begin_snapshot(&draft, LH_OP_RESTORE, context->now);
    snapshot->restored = target;
    snapshot->schema_id = wanted->schema_id;
    restore_objects(current, target, &draft, snapshot);
    restore_contents(current, target, &draft, snapshot);
    return end_snapshot(&draft, snapshot, context->snapshots_max, ret_next, err);
}

/* ---- rename ---- */

struct lh_dataset *lh_rename_apply(const struct lh_dataset *current, lh_str name)
{
    LH_AUTO_DRAFT struct lh_dataset_parts draft = lh_draft_from(current);
    *lh_draft_add_origin(&draft) = (struct lh_origin){
        .dataset_id = lh_str_from(current->parts.id),
        .nonce = lh_str_from(current->parts.nonce),
    };
    if (draft.origin_count > ORIGINS_MAX) {
        draft.origin_count--;
        for (size_t i = 0; i < draft.origin_count; i++)
            draft.origins[i] = draft.origins[i + 1];
    }
    draft.name = name;
    lh_dataset_id(name, draft.id);
    set_nonce(&draft);
    return lh_dataset_freeze(&draft);
}
