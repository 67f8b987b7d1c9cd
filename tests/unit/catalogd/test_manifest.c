/*
 * The manifest: there and back, read by an independent reader (DuckDB), and damaged in every way.
 */
#include "unit/catalogd/sample.h"

#include "base/os.h"
#include "catalogd/manifest.h"
#include "duck/duck.h"
#include "support/fixture.h"

enum { BYTES_MAX = 64 << 20 };

/* A dataset with every kind of record in it. */
static struct lh_dataset *full_sample(void)
{
    struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "datasets/main/sales/data/1.parquet", "c1");
    sample_commit(&dataset, LH_MODE_APPEND, "datasets/main/sales/data/2.parquet", "");
    sample_commit(&dataset, LH_MODE_REPLACE, "datasets/main/sales/data/3.parquet", "c3");
    sample_restore(&dataset, 1);
    struct lh_dataset *renamed = lh_rename_apply(dataset, LH_STR("eu.sales"));
    lh_dataset_unref(dataset);
    return renamed;
}

static struct lh_buf encoded(const struct lh_dataset *dataset)
{
    struct lh_buf bytes = LH_BUF_INIT(BYTES_MAX);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_manifest_encode(dataset, BYTES_MAX, &bytes, &err), LH_OK);
    return bytes;
}

static void assert_same(const struct lh_dataset *a, const struct lh_dataset *b)
{
    LH_AUTO_BUF struct lh_buf one = encoded(a);
    LH_AUTO_BUF struct lh_buf two = encoded(b);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
}

LH_TEST(there_and_back)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = full_sample();
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    LH_AUTO_DATASET struct lh_dataset *back = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_manifest_decode(lh_buf_str(&bytes), BYTES_MAX, &back, &err), LH_OK);
    assert_same(dataset, back);
    assert_string_equal(back->parts.id, dataset->parts.id);
    assert_string_equal(back->parts.nonce, dataset->parts.nonce);
    assert_int_equal(back->parts.created, dataset->parts.created);
    assert_true(lh_str_eq(back->parts.name, dataset->parts.name));
    assert_true(lh_str_is(back->parts.columns[1].name, "name \"quoted\""));
    assert_false(back->parts.columns[0].nullable);
    assert_true(back->parts.columns[1].nullable);
    assert_int_equal(back->parts.origin_count, 1);
    assert_int_equal(back->parts.snapshots[3].restored, 1);
    assert_true(lh_str_is(back->parts.objects[0].content_id, "c1"));
    LH_AUTO_FREE char *keys = sample_keys(back, 4);
    assert_string_equal(keys, "datasets/main/sales/data/1.parquet");
}

/* Enough rows for pages that are compressed, with levels that alternate. */
static struct lh_dataset *large_sample(size_t objects)
{
    LH_AUTO_DRAFT struct lh_dataset_parts draft = {.name = LH_STR("sales"), .created = 1};
    LH_AUTO_FREE char *texts = lh_malloc(objects * 64);
    lh_dataset_id(draft.name, draft.id);
    memset(draft.nonce, 'a', sizeof(draft.nonce) - 1);
    *lh_draft_add_schema(&draft) = (struct lh_schema){.id = 1, .fingerprint = LH_STR("f")};
    struct lh_snapshot *snapshot = lh_draft_add_snapshot(&draft);
    *snapshot = (struct lh_snapshot){.id = 1, .time = 1, .schema_id = 1};
    for (size_t i = 0; i < objects; i++) {
        char *key = texts + i * 64;
        snprintf(key, 64, "datasets/main/sales/data/%zu.parquet", i * 7919);
        *lh_draft_add_object(&draft) = (struct lh_object){
            .span = {.added = 1},
            .key = lh_str_from(key),
            .stats = i % 3 == 0 ? LH_STR("{}") : LH_STR(""),
            .rows = (int64_t)i,
            .bytes = INT64_C(1) << (i % 40),
        };
        snapshot->rows += (int64_t)i;
        snapshot->bytes += INT64_C(1) << (i % 40);
        snapshot->objects++;
    }
    return lh_dataset_freeze(&draft);
}

LH_TEST(many_objects_are_compressed)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = large_sample(20000);
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    assert_in_range(bytes.len, 100000, 20000 * 40);
    LH_AUTO_DATASET struct lh_dataset *back = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_manifest_decode(lh_buf_str(&bytes), BYTES_MAX, &back, &err), LH_OK);
    assert_same(dataset, back);
}

LH_TEST(limits_hold_both_ways)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = large_sample(2000);
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    LH_AUTO_BUF struct lh_buf small = LH_BUF_INIT(BYTES_MAX);
    LH_AUTO_DATASET struct lh_dataset *back = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_manifest_encode(dataset, bytes.len, &small, &err), LH_OK);
    lh_buf_reset(&small);
    assert_int_equal(lh_manifest_encode(dataset, bytes.len - 1, &small, &err), LH_TOO_LARGE);
    assert_int_equal(lh_manifest_decode(lh_buf_str(&bytes), bytes.len - 1, &back, &err),
                     LH_TOO_LARGE);
    assert_int_equal(lh_manifest_decode(lh_buf_str(&bytes), bytes.len, &back, &err), LH_OK);
}

/* A damaged manifest either fails, or means what it meant before. Never a crash (the sanitizers
 * look on), never another dataset. */
static void assert_harmless(const struct lh_dataset *dataset, lh_str bytes, size_t *ret_detected)
{
    struct lh_dataset *back = NULL;
    struct lh_error err = LH_ERROR_INIT;
    lh_code code = lh_manifest_decode(bytes, BYTES_MAX, &back, &err);
    if (code != LH_OK) {
        assert_true(code == LH_CORRUPT || code == LH_UNSUPPORTED || code == LH_TOO_LARGE);
        assert_true(err.message[0] != '\0');
        (*ret_detected)++;
        return;
    }
    assert_same(dataset, back);
    lh_dataset_unref(back);
}

static void flip_every_byte(const struct lh_dataset *dataset, size_t step)
{
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    size_t tried = 0, detected = 0;
    for (size_t i = 0; i < bytes.len; i += step) {
        static const unsigned char masks[] = {0x01, 0x80, 0xff, 0x10};
        for (size_t m = 0; m < LH_COUNT(masks); m++) {
            bytes.data[i] = (char)(bytes.data[i] ^ masks[m]);
            assert_harmless(dataset, lh_buf_str(&bytes), &detected);
            bytes.data[i] = (char)(bytes.data[i] ^ masks[m]);
            tried++;
        }
    }
    print_message("%zu flips, %zu detected\n", tried, detected);
    /* What is not detected lies in names, sizes and types that only other readers look at. */
    assert_true(detected * 10 > tried * 5);
}

LH_TEST(every_flipped_byte_is_detected_or_harmless)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = full_sample();
    flip_every_byte(dataset, 1);
    LH_AUTO_DATASET struct lh_dataset *large = large_sample(400);
    flip_every_byte(large, 7);
}

LH_TEST(every_truncation_is_detected)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = full_sample();
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    size_t detected = 0;
    for (size_t len = 0; len < bytes.len; len++)
        assert_harmless(dataset, lh_str_of(bytes.data, len), &detected);
    assert_int_equal(detected, bytes.len);
    for (size_t from = 1; from < bytes.len; from++)
        assert_harmless(dataset, lh_str_skip(lh_buf_str(&bytes), from), &detected);
}

LH_TEST(random_damage)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = large_sample(300);
    LH_AUTO_BUF struct lh_buf good = encoded(dataset);
    LH_AUTO_FREE char *bytes = lh_malloc(good.len);
    struct lh_random random = lh_random_start();
    size_t detected = 0;
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, good.data, good.len);
        size_t at = (size_t)lh_random_below(&random, good.len);
        size_t len = 1 + (size_t)lh_random_below(&random, 16);
        lh_random_fill(&random, bytes + at, len < good.len - at ? len : good.len - at);
        assert_harmless(dataset, lh_str_of(bytes, good.len), &detected);
    }
    assert_true(detected > 2000);
}

LH_TEST(another_version_is_not_called_damage)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = full_sample();
    LH_AUTO_BUF struct lh_buf bytes = encoded(dataset);
    char *value = memmem(bytes.data, bytes.len, "lakehouse.manifest", 18);
    assert_non_null(value);
    assert_int_equal(value[20], '1');
    value[20] = '2';
    LH_AUTO_DATASET struct lh_dataset *back = NULL;
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_manifest_decode(lh_buf_str(&bytes), BYTES_MAX, &back, &err),
                     LH_UNSUPPORTED);
}

LH_TEST(keys)
{
    char key[LH_MANIFEST_KEY_SIZE], id[LH_UUID_TEXT];
    lh_manifest_key("67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0a", key);
    assert_string_equal(key, "_catalog/manifests/67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0a.parquet");
    assert_true(lh_manifest_key_parse(lh_str_from(key), id));
    assert_string_equal(id, "67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0a");
    static const char *const others[] = {
        "",
        "_catalog/manifests/",
        "_catalog/manifests/x.parquet",
        "_catalog/manifests/67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0A.parquet",
        "_catalog/manifests/67f8fb33+9797-5b6c-8a0c-d3b5aa16cf0a.parquet",
        "_catalog/manifests/67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0a.parquet2",
        "_catalog/other/xxxx67f8fb33-9797-5b6c-8a0c-d3b5aa16cf0a.parquet",
    };
    for (size_t i = 0; i < LH_COUNT(others); i++)
        assert_false(lh_manifest_key_parse(lh_str_from(others[i]), id));
}

/* One value as text. */
static char *ask(struct lh_duck_conn *conn, const char *sql)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck_rows *rows = NULL;
    if (lh_duck_query(conn, sql, NULL, 0, &rows, &err) != LH_OK)
        fail_msg("%s: %s", sql, err.message);
    assert_true(lh_duck_next(rows));
    lh_str text = lh_duck_is_null(rows, 0) ? LH_STR("NULL") : lh_duck_text(rows, 0);
    char *value = lh_strndup(text.ptr, text.len);
    assert_false(lh_duck_next(rows));
    if (lh_duck_rows_close(&rows, &err) != LH_OK)
        fail_msg("%s: %s", sql, err.message);
    return value;
}

LH_TEST(other_readers_read_it)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "manifest.parquet");
    const struct lh_duck_options options = {.memory_bytes = 64 << 20, .threads = 1};
    struct lh_error err = LH_ERROR_INIT;
    struct lh_duck *duck = NULL;
    struct lh_duck_conn *conn = NULL;
    assert_int_equal(lh_duck_open(&options, &duck, &err), LH_OK);
    assert_int_equal(lh_duck_connect(duck, &conn, &err), LH_OK);

    LH_AUTO_DATASET struct lh_dataset *small = full_sample();
    LH_AUTO_DATASET struct lh_dataset *large = large_sample(20000);
    const struct {
        const struct lh_dataset *dataset;
        const char *sql;
        const char *value;
    } table[] = {
        {small, "SELECT count(*)::VARCHAR FROM manifest", "18"},
        {small, "SELECT string_agg(DISTINCT record, ' ' ORDER BY record) FROM manifest",
         "column content dataset end object origin schema snapshot"},
        {small,
         "SELECT string_agg(object_key, ' ' ORDER BY row) FROM manifest WHERE record = 'object' "
         "AND "
         "added_snapshot <= 2 AND (removed_snapshot IS NULL OR removed_snapshot > 2)",
         "datasets/main/sales/data/1.parquet datasets/main/sales/data/2.parquet"},
        {small, "SELECT strftime(time, '%Y-%m-%dT%H:%M:%S') FROM manifest WHERE record = 'dataset'",
         "2025-11-22T08:26:40"},
        {small,
         "SELECT string_agg(DISTINCT typeof(time) || ' ' || typeof(checksum) || ' ' || "
         "typeof(nullable) || ' ' || typeof(schema_id), ',') FROM manifest",
         "TIMESTAMP WITH TIME ZONE UBIGINT BOOLEAN INTEGER"},
        {small,
         "SELECT string_agg(nullable::VARCHAR, ' ' ORDER BY row) FROM manifest "
         "WHERE record = 'column'",
         "false true"},
        {small,
         "SELECT (stats::JSON)->>'$.id.max' FROM manifest WHERE record = 'object' AND row = "
         "(SELECT min(row) FROM manifest WHERE record = 'object')",
         "9"},
        {large,
         "SELECT (count(*) || ' ' || sum(rows) || ' ' || count(stats)) FROM manifest "
         "WHERE record = 'object'",
         "20000 199990000 6667"},
        {large, "SELECT (count(*) = max(row) + 1)::VARCHAR FROM manifest", "true"},
    };
    for (size_t i = 0; i < LH_COUNT(table); i++) {
        LH_AUTO_BUF struct lh_buf bytes = encoded(table[i].dataset);
        assert_int_equal(lh_write_file_durable(path, bytes.data, bytes.len, 0600, &err), LH_OK);
        LH_AUTO_FREE char *view =
            lh_asprintf("CREATE OR REPLACE VIEW manifest AS FROM read_parquet('%s')", path);
        assert_int_equal(lh_duck_exec(conn, view, &err), LH_OK);
        LH_AUTO_FREE char *value = ask(conn, table[i].sql);
        assert_string_equal(value, table[i].value);
    }
    lh_duck_disconnect(conn);
    lh_duck_close(duck);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(many_objects_are_compressed),
        cmocka_unit_test(limits_hold_both_ways),
        cmocka_unit_test(every_flipped_byte_is_detected_or_harmless),
        cmocka_unit_test(every_truncation_is_detected),
        cmocka_unit_test(random_damage),
        cmocka_unit_test(another_version_is_not_called_damage),
        cmocka_unit_test(keys),
        cmocka_unit_test(other_readers_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
