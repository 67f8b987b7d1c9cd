/*
 * Every call on files fails in turn, in whatever changes a store: each test program brings a list
 * of actions. Afterwards the whole store is as before or as it should be; what was acknowledged is
 * there; and a check of everything has nothing to say.
 */
#ifndef LH_TESTS_UNIT_STORAGED_TURNS_H
#define LH_TESTS_UNIT_STORAGED_TURNS_H

#include "storaged/storaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "storaged/scrub.h"
#include "support/fault.h"
#include "unit/storaged/sample.h"

enum { SMALL = 3000, LARGE = 70000, CALLS_MAX = 3000, STATE_MAX = 1 << 16 };

/* ---- the state of a store, as text ---- */

struct state {
    struct lh_store *store;
    struct lh_buf *text;
    struct lh_bucket bucket;
};

static inline void add_attributes(struct lh_buf *text, struct lh_attributes attributes)
{
    for (size_t i = 0; i < attributes.count; i++)
        lh_buf_printf(text, " %.*s=%.*s", LH_FMT(attributes.list[i].name),
                      LH_FMT(attributes.list[i].value));
}

/* One version of an object; its number is another one in each run. */
static inline bool add_object(void *ctx, lh_str name, const struct lh_store_info *info,
                              bool is_latest)
{
    struct state *state = ctx;
    struct lh_version version = lh_version_of(info);
    lh_buf_printf(state->text, "  %s %.*s %d %s%s%s", info->delete_marker ? "marker" : "object",
                  LH_FMT(name), (int)info->size, info->etag, is_latest ? " latest" : "",
                  version.kind == LH_VERSION_NULL ? " null" : "");
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object *object;
    assert_int_equal(
        lh_object_open_version(state->store, state->bucket.id, name, version, &object, &err),
        LH_OK);
    add_attributes(state->text, lh_object_headers(object));
    add_attributes(state->text, lh_object_tags(object));
    uint64_t sum = 0;
    for (uint64_t at = 0; at < info->size;) {
        const void *bytes;
        size_t len;
        assert_int_equal(lh_object_read(object, at, &bytes, &len, &err), LH_OK);
        sum = sum * 31 + lh_xxh3(bytes, len);
        at += len;
    }
    lh_object_close(object);
    lh_buf_printf(state->text, " %016llx\n", (unsigned long long)sum);
    return true;
}

static inline void add_part(void *ctx, const struct lh_part *part)
{
    lh_buf_printf(ctx, " %d:%d:%s", (int)part->number, (int)part->size, part->etag);
}

static inline bool add_upload(void *ctx, lh_str name, const struct lh_multipart_info *info)
{
    struct state *state = ctx;
    struct lh_error err = LH_ERROR_INIT;
    bool more;
    lh_buf_printf(state->text, "  upload %.*s", LH_FMT(name));
    assert_int_equal(lh_multipart_parts(state->store, state->bucket.id, name, info->id, 0, 100,
                                        add_part, state->text, &more, &err),
                     LH_OK);
    lh_buf_append_cstr(state->text, "\n");
    return true;
}

static inline bool take_bucket(void *ctx, const struct lh_bucket *bucket)
{
    *(struct lh_bucket *)ctx = *bucket;
    return false;
}

/* With totals only once nothing is left to be cleared away. */
static inline char *state_of(struct lh_store *store, bool totals)
{
    struct lh_buf text = LH_BUF_INIT(STATE_MAX);
    struct state state = {.store = store, .text = &text};
    for (;;) {
        struct lh_error err = LH_ERROR_INIT;
        bool more;
        char after[LH_BUCKET_NAME_SIZE];
        memcpy(after, state.bucket.name, sizeof(after));
        state.bucket.id = 0;
        lh_bucket_list(store, lh_str_from(after), take_bucket, &state.bucket);
        if (state.bucket.id == 0)
            return lh_buf_take(&text);
        lh_buf_printf(&text, "bucket %s %llu %d", state.bucket.name,
                      (unsigned long long)state.bucket.quota_bytes, (int)state.bucket.versioning);
        if (totals)
            lh_buf_printf(&text, " %d %d", (int)state.bucket.objects, (int)state.bucket.bytes);
        lh_buf_append_cstr(&text, "\n");
        const struct lh_version_list_options list = {.bucket = state.bucket.id, .limit = 1000};
        assert_int_equal(lh_store_list_versions(store, &list, add_object, &state, &more, &err),
                         LH_OK);
        const struct lh_multipart_list uploads = {.bucket = state.bucket.id, .limit = 1000};
        assert_int_equal(lh_multipart_list(store, &uploads, add_upload, &state, &more, &err),
                         LH_OK);
        struct lh_buf document = LH_BUF_INIT(LH_BUCKET_DOCUMENT_MAX);
        if (lh_bucket_document(store, state.bucket.id, LH_BUCKET_LIFECYCLE, &document, &err) ==
            LH_OK)
            lh_buf_printf(&text, "  %.*s\n", LH_FMT(lh_buf_str(&document)));
        lh_buf_deinit(&document);
    }
}

/* ---- what there is before each turn ---- */

static char upload_id[LH_UPLOAD_ID_SIZE];

static inline bool abort_upload(void *ctx, lh_str name, const struct lh_multipart_info *info)
{
    struct lh_error err = LH_ERROR_INIT;
    char id[LH_UPLOAD_ID_SIZE];
    memcpy(id, info->id, sizeof(id));
    LH_AUTO_FREE char *key = lh_strndup(name.ptr, name.len);
    assert_int_equal(lh_multipart_abort(ctx, LH_BUCKET_LAKE, lh_str_from(key), id, &err), LH_OK);
    return true;
}

/* What a test program has beside it; NULL = nothing. */
static void (*prepare_more)(struct lh_store *store);

/* The same again for each run. */
static inline void prepare(struct lh_store *store)
{
    static const char *const keys[] = {"small", "large", "parts", "k", "copy"};
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    bool more;
    for (size_t i = 0; i < LH_COUNT(keys); i++)
        assert_int_equal(sample_delete(store, keys[i]), LH_OK);
    const struct lh_multipart_list uploads = {.bucket = LH_BUCKET_LAKE, .limit = 1000};
    assert_int_equal(lh_multipart_list(store, &uploads, abort_upload, store, &more, &err), LH_OK);
    LH_IGNORE(lh_bucket_delete(store, LH_STR("old"), &err), "it may be gone");
    LH_IGNORE(lh_bucket_delete(store, LH_STR("new"), &err), "it may not be there");
    assert_int_equal(lh_bucket_create(store, LH_STR("old"), "me", &bucket, &err), LH_OK);
    assert_int_equal(
        lh_bucket_set_document(store, LH_BUCKET_LAKE, LH_BUCKET_LIFECYCLE, LH_STR_NONE, &err),
        LH_OK);
    const struct lh_multipart_options in_old = {.bucket = bucket.id, .key = LH_STR("u")};
    assert_int_equal(lh_multipart_create(store, &in_old, upload_id, &err), LH_OK);
    assert_int_equal(sample_put(store, "small", SMALL, 1), LH_OK);
    assert_int_equal(sample_put(store, "large", LARGE, 2), LH_OK);
    assert_int_equal(sample_put(store, "k", LARGE, 3), LH_OK);
    assert_int_equal(sample_begin_upload(store, "parts", upload_id), LH_OK);
    assert_int_equal(sample_put_part(store, "parts", upload_id, 1, 0, LARGE, 4), LH_OK);
    assert_int_equal(sample_put_part(store, "parts", upload_id, 2, LARGE, SMALL, 4), LH_OK);
    assert_int_equal(sample_complete(store, "parts", upload_id, 2), LH_OK);
    assert_int_equal(sample_begin_upload(store, "k", upload_id), LH_OK);
    assert_int_equal(sample_put_part(store, "k", upload_id, 1, 0, LARGE, 5), LH_OK);
    assert_int_equal(sample_put_part(store, "k", upload_id, 2, LARGE, SMALL, 5), LH_OK);
    assert_int_equal(sample_put_part(store, "k", upload_id, 3, 0, LARGE, 6), LH_OK);
    if (prepare_more)
        prepare_more(store);
    sample_tend(store);
}

/* ---- faults ---- */

struct action {
    const char *name;
    lh_code (*act)(struct lh_store *store);
};

/* Calls that a signal may interrupt on a local file system. */
enum {
    INTERRUPTIBLE = LH_FAULT_OPEN | LH_FAULT_READ | LH_FAULT_WRITE | LH_FAULT_SYNC |
                    LH_FAULT_TRUNCATE | LH_FAULT_ALLOCATE
};

static const struct plan {
    int error;
    bool for_ever;
    unsigned calls;
} plans[] = {
    {EIO, false, LH_FAULT_ALL},   {EIO, true, LH_FAULT_ALL},     {ENOSPC, false, LH_FAULT_ALL},
    {ENOSPC, true, LH_FAULT_ALL}, {EINTR, false, INTERRUPTIBLE},
};

static inline void tell(void *ctx, const char *what)
{
    print_message("%s: %s\n", (const char *)ctx, what);
}

static inline void assert_sound(const char *dir, const char *name)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_scrub_state state;
    const struct lh_scrub_report report = {.found = tell, .ctx = (void *)(uintptr_t)name};
    assert_int_equal(lh_store_check_offline(dir, &report, &state, &err), LH_OK);
    assert_int_equal(state.findings, 0);
}

struct outcomes {
    char *before; /* without totals and with them */
    char *before_all;
    char *after;
    char *after_all;
};

/* What the action comes to when nothing fails. */
static inline struct outcomes find_outcomes(const char *dir, const struct action *action)
{
    struct outcomes outcomes;
    struct lh_store *store = sample_open(dir);
    prepare(store);
    outcomes.before = state_of(store, false);
    outcomes.before_all = state_of(store, true);
    assert_int_equal(action->act(store), LH_OK);
    sample_tend(store);
    outcomes.after = state_of(store, false);
    outcomes.after_all = state_of(store, true);
    lh_store_close(store);
    assert_string_not_equal(outcomes.before_all, outcomes.after_all);
    assert_sound(dir, action->name);
    return outcomes;
}

static inline void outcomes_deinit(struct outcomes *outcomes)
{
    free(outcomes->before);
    free(outcomes->before_all);
    free(outcomes->after);
    free(outcomes->after_all);
}

/* The state while the store is open: reads go on in any case. */
static inline void assert_live(struct lh_store *store, const struct outcomes *outcomes,
                               lh_code code)
{
    LH_AUTO_FREE char *now = state_of(store, false);
    bool read_only = sample_stats(store).read_only;
    if (code == LH_OK)
        assert_string_equal(now, outcomes->after);
    else if (!read_only)
        assert_string_equal(now, outcomes->before);
}

/* The state after the next start. */
static inline void assert_later(const char *dir, const struct outcomes *outcomes, lh_code code,
                                bool open)
{
    struct lh_store *store = sample_open(dir);
    sample_tend(store);
    LH_AUTO_FREE char *now = state_of(store, true);
    bool is_new = strcmp(now, outcomes->after_all) == 0;
    if (!is_new)
        assert_string_equal(now, outcomes->before_all);
    if (code == LH_OK)
        assert_true(is_new);
    if (code != LH_OK && !open)
        assert_false(is_new);
    lh_store_close(store);
}

/* One run with the n-th call failing. Returns whether the plan was reached. */
static inline bool run(const char *dir, const struct action *action,
                       const struct outcomes *outcomes, const struct plan *plan, uint64_t n)
{
    struct lh_store *store = sample_open(dir);
    prepare(store);
    lh_fault_start(&(struct lh_fault){
        .calls = plan->calls, .fail_at = n, .for_ever = plan->for_ever, .error = plan->error});
    lh_code code = action->act(store);
    lh_store_tend(store);
    uint64_t count = lh_fault_stop();
    if (plan->error == EINTR || count < n)
        assert_int_equal(code, LH_OK);
    assert_live(store, outcomes, code);
    /* When the log could neither be made durable nor be cut back, the outcome is open. */
    bool open = plan->for_ever && sample_stats(store).read_only;
    lh_store_close(store);
    assert_later(dir, outcomes, code, open);
    if (n % 4 == 1)
        assert_sound(dir, action->name);
    return count >= n;
}

static inline void turns_every_call(const struct action *actions, size_t count)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    uint64_t faults = 0;
    for (size_t a = 0; a < count; a++) {
        LH_AUTO(outcomes_deinit) struct outcomes outcomes = find_outcomes(dir, &actions[a]);
        for (size_t p = 0; p < LH_COUNT(plans); p++) {
            uint64_t n = 1;
            while (run(dir, &actions[a], &outcomes, &plans[p], n)) {
                assert_true(n < CALLS_MAX);
                n += p == 0 ? 1 : LH_FAULT_STEP;
                faults++;
            }
        }
    }
    print_message("%d faults\n", (int)faults);
    assert_true(faults > 20 * count);
}

static inline void turns_short_transfers(const struct action *actions, size_t count)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (size_t a = 0; a < count; a++) {
        LH_AUTO(outcomes_deinit) struct outcomes outcomes = find_outcomes(dir, &actions[a]);
        lh_fault_start(&(struct lh_fault){.transfer_max = 1000, .interrupt_every = 3});
        struct lh_store *store = sample_open(dir);
        prepare(store);
        lh_code code = actions[a].act(store);
        assert_int_equal(code, LH_OK);
        lh_store_close(store);
        lh_fault_stop();
        assert_later(dir, &outcomes, code, false);
        assert_sound(dir, actions[a].name);
    }
}

/* The faults are made in this process, and the keeper tells of each: a disk in memory does, and
 * nobody reads the log. */
static inline void turns_init(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    lh_log_init("test", LH_LOG_ERROR, nowhere);
}

/* ---- the program ---- */

static const struct action *turns_actions;
static size_t turns_action_count;

LH_TEST(every_call_fails_in_turn)
{
    turns_every_call(turns_actions, turns_action_count);
}

LH_TEST(short_transfers_and_interrupts)
{
    turns_short_transfers(turns_actions, turns_action_count);
}

/* What main returns. */
static inline int turns_run(const struct action *actions, size_t count)
{
    turns_init();
    turns_actions = actions;
    turns_action_count = count;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_in_turn),
        cmocka_unit_test(short_transfers_and_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
