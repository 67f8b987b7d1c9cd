#include "storaged/cursor.h"
#include "storaged/storaged.h"

#include <stdlib.h>

#include "unit/storaged/sample.h"

enum { KEYS_MAX = 400, ENTRIES_MAX = 2000 };

/* What a listing gave, in order: keys as "k:...", common prefixes as "p:...". */
struct entries {
    size_t count;
    char *names[ENTRIES_MAX];
};

static void entries_deinit(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->names[i]);
}

static void add(struct entries *entries, char kind, lh_str name)
{
    assert_true(entries->count < ENTRIES_MAX);
    entries->names[entries->count++] = lh_asprintf("%c:%.*s", kind, LH_FMT(name));
}

static bool on_entry(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    assert_false(damaged);
    add(ctx, info ? 'k' : 'p', name);
    return true;
}

static bool stop_at_once(void *ctx, lh_str name, const struct lh_store_info *info, bool damaged)
{
    on_entry(ctx, name, info, damaged);
    return false;
}

/* All pages of a listing. */
static void list(struct lh_store *store, const char *prefix, const char *delimiter, size_t limit,
                 lh_list_visitor visit, struct entries *entries)
{
    char cursor[LH_STORE_CURSOR_MAX] = "";
    do {
        struct lh_error err = LH_ERROR_INIT;
        const struct lh_list_options options = {
            .bucket = LH_BUCKET_LAKE,
            .prefix = lh_str_from(prefix),
            .delimiter = lh_str_from(delimiter),
            .cursor = lh_str_from(cursor),
            .limit = limit,
        };
        size_t before = entries->count;
        char next[LH_STORE_CURSOR_MAX];
        assert_int_equal(lh_store_list(store, &options, visit, entries, next, &err), LH_OK);
        assert_true(entries->count - before <= limit);
        assert_true(next[0] == '\0' || entries->count > before);
        memcpy(cursor, next, sizeof(cursor));
    } while (cursor[0] != '\0');
}

/* ---- against a model ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same from a sorted array of keys, by the definition. */
static void model(char *const *keys, size_t count, const char *prefix, const char *delimiter,
                  struct entries *entries)
{
    size_t prefix_len = strlen(prefix);
    LH_AUTO_FREE char *last = lh_strdup("");
    for (size_t i = 0; i < count; i++) {
        if (strncmp(keys[i], prefix, prefix_len) != 0)
            continue;
        const char *cut = delimiter[0] ? strstr(keys[i] + prefix_len, delimiter) : NULL;
        if (!cut) {
            add(entries, 'k', lh_str_from(keys[i]));
            continue;
        }
        lh_str common = lh_str_of(keys[i], (size_t)(cut - keys[i]) + strlen(delimiter));
        if (lh_str_is(common, last))
            continue;
        add(entries, 'p', common);
        free(last);
        last = lh_strndup(common.ptr, common.len);
    }
}

static void assert_same(const struct entries *got, const struct entries *wanted)
{
    assert_int_equal(got->count, wanted->count);
    for (size_t i = 0; i < got->count; i++)
        assert_string_equal(got->names[i], wanted->names[i]);
}

/* Short keys of few letters share many prefixes; the last letters are at the edges of the order. */
static char *random_key(struct lh_random *random)
{
    static const char *const letters[] = {"a",    "b",    "/",        "//",
                                          "\x01", "\x7f", "\xc3\xa4", "\xf4\x8f\xbf\xbf"};
    struct lh_buf key = LH_BUF_INIT(64);
    for (uint64_t left = 1 + lh_random_below(random, 6); left > 0; left--)
        lh_buf_append_cstr(&key, letters[lh_random_below(random, LH_COUNT(letters))]);
    return lh_buf_take(&key);
}

LH_TEST(pages_agree_with_a_model)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_random random = lh_random_start();
    char *keys[KEYS_MAX];
    size_t count = 0;
    while (count < KEYS_MAX) {
        char *key = random_key(&random);
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || strcmp(keys[i], key) == 0;
        if (known) {
            free(key);
            continue;
        }
        keys[count++] = key;
    }
    /* Written side by side in one go would hide the order: the index must make it. */
    for (size_t i = 0; i < count; i++)
        assert_int_equal(sample_put(store, keys[i], 1, 1), LH_OK);
    qsort(keys, count, sizeof(keys[0]), compare_names);

    static const char *const prefixes[] = {"",   "a",        "a/", "/",   "//",
                                           "ab", "\xc3\xa4", "zz", "\x7f"};
    static const char *const delimiters[] = {"", "/", "//", "b", "\xc3\xa4", "\xf4\x8f\xbf\xbf"};
    static const size_t limits[] = {1, 2, 7, 1000};
    for (size_t p = 0; p < LH_COUNT(prefixes); p++) {
        for (size_t d = 0; d < LH_COUNT(delimiters); d++) {
            LH_AUTO(entries_deinit) struct entries wanted = {0};
            model(keys, count, prefixes[p], delimiters[d], &wanted);
            for (size_t l = 0; l < LH_COUNT(limits); l++) {
                LH_AUTO(entries_deinit) struct entries got = {0};
                list(store, prefixes[p], delimiters[d], limits[l], on_entry, &got);
                assert_same(&got, &wanted);
            }
            LH_AUTO(entries_deinit) struct entries stopped = {0};
            list(store, prefixes[p], delimiters[d], 1000, stop_at_once, &stopped);
            assert_same(&stopped, &wanted);
        }
    }
    for (size_t i = 0; i < count; i++)
        free(keys[i]);
    lh_store_close(store);
}

LH_TEST(keys_that_come_and_go_between_pages)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    struct lh_error err = LH_ERROR_INIT;
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < LH_COUNT(keys); i++)
        assert_int_equal(sample_put(store, keys[i], 1, 1), LH_OK);
    LH_AUTO(entries_deinit) struct entries entries = {0};
    char cursor[LH_STORE_CURSOR_MAX];
    struct lh_list_options options = {.bucket = LH_BUCKET_LAKE, .limit = 2};
    assert_int_equal(lh_store_list(store, &options, on_entry, &entries, cursor, &err), LH_OK);
    /* The cursor's own key goes, one before and one behind it come. */
    assert_int_equal(sample_delete(store, "b"), LH_OK);
    assert_int_equal(sample_put(store, "aa", 1, 1), LH_OK);
    assert_int_equal(sample_put(store, "ba", 1, 1), LH_OK);
    options.cursor = lh_str_from(cursor);
    options.limit = 10;
    char end[LH_STORE_CURSOR_MAX];
    assert_int_equal(lh_store_list(store, &options, on_entry, &entries, end, &err), LH_OK);
    assert_string_equal(end, "");
    static const char *const expected[] = {"k:a", "k:b", "k:ba", "k:c", "k:d", "k:e"};
    assert_int_equal(entries.count, LH_COUNT(expected));
    for (size_t i = 0; i < entries.count; i++)
        assert_string_equal(entries.names[i], expected[i]);
    lh_store_close(store);
}

/* ---- cursors ---- */

LH_TEST(cursors_come_back)
{
    for (size_t len = 1; len <= LH_STORE_KEY_MAX; len += len < 10 ? 1 : 507) {
        struct lh_cursor cursor = {.kind = len % 2 ? LH_CURSOR_KEY : LH_CURSOR_PREFIX, .len = len};
        struct lh_cursor back;
        struct lh_error err = LH_ERROR_INIT;
        char text[LH_STORE_CURSOR_MAX];
        memset(cursor.position, (int)len, len);
        lh_cursor_encode(&cursor, LH_STR("pre"), LH_STR("/"), text);
        assert_int_equal(
            lh_cursor_decode(lh_str_from(text), LH_STR("pre"), LH_STR("/"), &back, &err), LH_OK);
        assert_int_equal(back.kind, cursor.kind);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.position, cursor.position, len);
    }
}

LH_TEST(foreign_cursors_are_refused)
{
    struct lh_cursor cursor = {.kind = LH_CURSOR_KEY, .len = 3, .position = "abc"};
    struct lh_cursor back;
    struct lh_error err = LH_ERROR_INIT;
    char text[LH_STORE_CURSOR_MAX];
    lh_cursor_encode(&cursor, LH_STR("a"), LH_STR("/"), text);
    assert_int_equal(lh_cursor_decode(lh_str_from(text), LH_STR(""), LH_STR("/"), &back, &err),
                     LH_INVALID);
    assert_int_equal(lh_cursor_decode(lh_str_from(text), LH_STR("a"), LH_STR(""), &back, &err),
                     LH_INVALID);
    assert_int_equal(lh_cursor_decode(lh_str_from(text), LH_STR("a/"), LH_STR(""), &back, &err),
                     LH_INVALID);
    for (size_t i = 0; text[i]; i++) {
        char kept = text[i];
        text[i] = kept == '0' ? '1' : '0';
        assert_int_equal(lh_cursor_decode(lh_str_from(text), LH_STR("a"), LH_STR("/"), &back, &err),
                         LH_INVALID);
        text[i] = kept;
        assert_int_equal(
            lh_cursor_decode(lh_str_of(text, i), LH_STR("a"), LH_STR("/"), &back, &err),
            LH_INVALID);
    }
}

LH_TEST(prefix_and_delimiter_are_checked)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    struct lh_store *store = sample_open(dir);
    char cursor[LH_STORE_CURSOR_MAX];
    char long_text[LH_STORE_KEY_MAX + 1];
    memset(long_text, 'x', sizeof(long_text));
    const lh_str wrong[] = {LH_STR("\xff"), LH_STR("a\0b"),
                            lh_str_of(long_text, sizeof(long_text))};
    for (size_t i = 0; i < LH_COUNT(wrong); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_list_options options = {.bucket = LH_BUCKET_LAKE, .limit = 1};
        options.prefix = wrong[i];
        assert_int_equal(lh_store_list(store, &options, on_entry, NULL, cursor, &err), LH_INVALID);
        options.prefix = LH_STR_NONE;
        options.delimiter = wrong[i];
        assert_int_equal(lh_store_list(store, &options, on_entry, NULL, cursor, &err), LH_INVALID);
    }
    lh_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_agree_with_a_model),
        cmocka_unit_test(keys_that_come_and_go_between_pages),
        cmocka_unit_test(cursors_come_back),
        cmocka_unit_test(foreign_cursors_are_refused),
        cmocka_unit_test(prefix_and_delimiter_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
