/*
 * The rules of a commit: what each request makes of each state.
 */
#include "unit/catalogd/sample.h"

#define KEYS(dataset, snapshot, expected)                                                          \
    do {                                                                                           \
        LH_AUTO_FREE char *keys_ = sample_keys(dataset, snapshot);                                 \
        assert_string_equal(keys_, expected);                                                      \
    } while (0)

static int64_t head_id(const struct lh_dataset *dataset)
{
    return lh_dataset_head(dataset)->id;
}

LH_TEST(create_makes_the_first_snapshot)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "a", "c1"), LH_COMMIT_CREATED);
    const struct lh_snapshot *head = lh_dataset_head(dataset);
    assert_int_equal(head->id, 1);
    assert_int_equal(head->operation, LH_OP_CREATE);
    assert_int_equal(head->rows, 10);
    assert_int_equal(head->bytes, 1000);
    assert_int_equal(head->objects, 1);
    assert_int_equal(dataset->parts.created, sample_context.now);
    KEYS(dataset, 1, "a");
}

/* The table of the contract: state x mode x content -> answer. */
LH_TEST(modes_and_contents)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "a", "c1"), LH_COMMIT_CREATED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "a", "c1"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "", ""), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "b", "c2"), -LH_EXISTS);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "b", "c1"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "b", "c2"), LH_COMMIT_APPENDED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, "x", "c2"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "c", "c1"), LH_COMMIT_REPLACED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "c", "c1"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "d", "c2"), LH_COMMIT_APPENDED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "e", "c2"), LH_COMMIT_REPLACED);
    assert_int_equal(head_id(dataset), 5);
    KEYS(dataset, 1, "a");
    KEYS(dataset, 2, "a b");
    KEYS(dataset, 3, "c");
    KEYS(dataset, 4, "c d");
    KEYS(dataset, 5, "e");
    const struct lh_snapshot *head = lh_dataset_head(dataset);
    assert_int_equal(head->objects_removed, 2);
    assert_int_equal(head->rows_removed, 20);
    assert_int_equal(head->rows, 10);
}

LH_TEST(commits_without_content_id_always_count)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "a", ""), LH_COMMIT_CREATED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "b", ""), LH_COMMIT_APPENDED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "c", "c1"), LH_COMMIT_APPENDED);
    /* Two nameless commits are part of the state: it is not c1 alone. */
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "d", "c1"), LH_COMMIT_REPLACED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "e", ""), LH_COMMIT_REPLACED);
    KEYS(dataset, 5, "e");
}

LH_TEST(an_object_is_added_once)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "a", "c2"), -LH_BAD_DATA);
    assert_int_equal(head_id(dataset), 1);
    assert_int_equal(sample_commit(&dataset, LH_MODE_REPLACE, "a", "c2"), LH_COMMIT_REPLACED);
    KEYS(dataset, 2, "a");
}

LH_TEST(another_fingerprint_or_other_columns_conflict)
{
    static const struct lh_column other[] = {{LH_STR("id"), LH_STR("DOUBLE"), false}};
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    for (int mode = LH_MODE_CREATE; mode <= LH_MODE_REPLACE; mode++) {
        struct lh_object object;
        struct lh_error err;
        struct lh_commit_request request =
            sample_request((enum lh_commit_mode)mode, "b", "c1", &object);
        request.fingerprint = LH_STR("f2");
        assert_int_equal(sample_apply(&dataset, &request, &err), -1);
        assert_int_equal(err.code, LH_FINGERPRINT_CONFLICT);
        request.fingerprint = LH_STR("f1");
        request.columns = other;
        request.column_count = LH_COUNT(other);
        assert_int_equal(sample_apply(&dataset, &request, &err), -1);
        assert_int_equal(err.code, LH_FINGERPRINT_CONFLICT);
    }
}

LH_TEST(columns_may_come_later)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_object object;
    struct lh_error err;
    struct lh_commit_request request = sample_request(LH_MODE_CREATE, "", "", &object);
    request.column_count = 0;
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_CREATED);
    assert_int_equal(lh_dataset_head(dataset)->objects, 0);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "a", "c1"), LH_COMMIT_APPENDED);
    assert_int_equal(lh_dataset_head(dataset)->schema_id, 2);
    assert_int_equal(lh_dataset_schema(dataset, 2)->column_count, 2);
    assert_int_equal(lh_dataset_schema(dataset, 1)->column_count, 0);
    request.mode = LH_MODE_APPEND; /* without columns: those of the dataset */
    request.object_count = 1;
    object.key = LH_STR("b");
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_APPENDED);
    assert_int_equal(lh_dataset_head(dataset)->schema_id, 2);
}

LH_TEST(expectations)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_object object;
    struct lh_error err;
    struct lh_commit_request request = sample_request(LH_MODE_APPEND, "a", "c1", &object);
    request.expect_snapshot = 1;
    assert_int_equal(sample_apply(&dataset, &request, &err), -1);
    assert_int_equal(err.code, LH_PRECONDITION);
    request.expect_snapshot = 0;
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_CREATED);
    /* The retry of that commit, whose answer was lost. */
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_UNCHANGED);
    request.content_id = LH_STR("c2");
    object.key = LH_STR("b");
    assert_int_equal(sample_apply(&dataset, &request, &err), -1);
    assert_int_equal(err.code, LH_PRECONDITION);
    request.expect_snapshot = 1;
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_APPENDED);
    request = sample_request(LH_MODE_CREATE, "", "", &object);
    request.expect_snapshot = 1;
    assert_int_equal(sample_apply(&dataset, &request, &err), -1);
    assert_int_equal(err.code, LH_PRECONDITION);
    request.expect_snapshot = 2;
    assert_int_equal(sample_apply(&dataset, &request, &err), LH_COMMIT_UNCHANGED);
}

LH_TEST(requests_that_make_no_sense)
{
    char text[LH_COLUMN_TYPE_MAX + 2];
    memset(text, 'k', sizeof(text));
    struct lh_object object;
    struct lh_commit_request request;
    struct lh_error err = LH_ERROR_INIT;
#define REFUSED(code, change)                                                                      \
    do {                                                                                           \
        request = sample_request(LH_MODE_CREATE, "a", "c1", &object);                              \
        change;                                                                                    \
        assert_int_equal(lh_commit_check(&request, &err), code);                                   \
    } while (0)
    REFUSED(LH_OK, (void)0);
    REFUSED(LH_INVALID, request.fingerprint = LH_STR(""));
    REFUSED(LH_INVALID, request.fingerprint = lh_str_of(text, LH_FINGERPRINT_MAX + 1));
    REFUSED(LH_INVALID, request.content_id = lh_str_of(text, LH_CONTENT_ID_MAX + 1));
    REFUSED(LH_INVALID_KEY, object.key = LH_STR(""));
    REFUSED(LH_INVALID_KEY, object.key = LH_STR("_catalog/manifests/x.parquet"));
    REFUSED(LH_INVALID_KEY, object.key = LH_STR("_vectors/x.lhv1"));
    REFUSED(LH_KEY_TOO_LONG, object.key = lh_str_of(text, 1025));
    REFUSED(LH_OK, object.key = lh_str_of(text, 1024));
    REFUSED(LH_INVALID, object.rows = -1);
    REFUSED(LH_INVALID, object.bytes = -1);
    struct lh_object two[2];
    struct lh_column columns[2] = {sample_columns[0], sample_columns[0]};
    REFUSED(LH_BAD_DATA, {
        two[0] = object;
        two[1] = object;
        request.objects = two;
        request.object_count = 2;
    });
    REFUSED(LH_INVALID, {
        two[0] = object;
        two[1] = object;
        two[0].rows = INT64_MAX;
        two[1].key = LH_STR("b");
        request.objects = two;
        request.object_count = 2;
    });
    REFUSED(LH_INVALID, request.columns = columns);
    REFUSED(LH_INVALID, {
        columns[1].name = LH_STR("");
        request.columns = columns;
    });
    REFUSED(LH_INVALID, {
        columns[1].name = LH_STR("b");
        columns[1].type = lh_str_of(text, LH_COLUMN_TYPE_MAX + 1);
        request.columns = columns;
    });
#undef REFUSED
}

LH_TEST(restore_brings_back_objects_and_contents)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_INIT;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    sample_commit(&dataset, LH_MODE_APPEND, "b", "c2");
    sample_commit(&dataset, LH_MODE_REPLACE, "c", "c3");
    sample_restore(&dataset, 2);
    KEYS(dataset, 4, "a b");
    const struct lh_snapshot *head = lh_dataset_head(dataset);
    assert_int_equal(head->operation, LH_OP_RESTORE);
    assert_int_equal(head->restored, 2);
    assert_int_equal(head->objects_added, 2);
    assert_int_equal(head->objects_removed, 1);
    assert_int_equal(head->rows, 20);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "x", "c2"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "d", "c3"), LH_COMMIT_APPENDED);
    KEYS(dataset, 3, "c");
    KEYS(dataset, 5, "a b d");
    sample_restore(&dataset, 1); /* "a" lives on under the span of the first restore */
    KEYS(dataset, 6, "a");
    assert_int_equal(lh_dataset_head(dataset)->objects_added, 0);
    sample_restore(&dataset, 5);
    KEYS(dataset, 7, "a b d");

    struct lh_dataset *next = NULL;
    assert_int_equal(lh_restore_apply(dataset, 7, &sample_context, &next, &err), LH_OK);
    assert_null(next);
    assert_int_equal(lh_restore_apply(dataset, 8, &sample_context, &next, &err), LH_NOT_FOUND);
    assert_int_equal(lh_restore_apply(dataset, 0, &sample_context, &next, &err), LH_NOT_FOUND);
}

LH_TEST(old_snapshots_are_forgotten_with_what_only_they_had)
{
    const struct lh_commit_context context = {.now = 5, .snapshots_max = 3};
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_INIT;
    for (int i = 1; i <= 6; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        struct lh_object object;
        struct lh_commit_request request =
            sample_request(i == 3 ? LH_MODE_REPLACE : LH_MODE_APPEND, key, key, &object);
        struct lh_dataset *next = NULL;
        enum lh_commit_status status;
        assert_int_equal(lh_commit_apply(dataset, &request, &context, &next, &status, &err), LH_OK);
        assert_int_equal(lh_dataset_check(&next->parts, &err), LH_OK);
        lh_dataset_unref(dataset);
        dataset = next;
    }
    assert_int_equal(dataset->parts.snapshot_count, 3);
    assert_int_equal(dataset->parts.snapshots[0].id, 4);
    assert_int_equal(dataset->parts.object_count, 4); /* k1 and k2 ended at 3 */
    KEYS(dataset, 4, "k3 k4");
    KEYS(dataset, 6, "k3 k4 k5 k6");
    /* A content that lives is known for ever, however old its snapshot. */
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "x", "k3"), LH_COMMIT_UNCHANGED);
    assert_int_equal(sample_commit(&dataset, LH_MODE_APPEND, "x", "k1"), LH_COMMIT_APPENDED);
}

LH_TEST(a_clock_set_back_does_not_reorder_snapshots)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object object;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    struct lh_commit_request request = sample_request(LH_MODE_APPEND, "b", "c2", &object);
    const struct lh_commit_context earlier = {.now = 7, .snapshots_max = 10};
    LH_AUTO_DATASET struct lh_dataset *next = NULL;
    enum lh_commit_status status;
    assert_int_equal(lh_commit_apply(dataset, &request, &earlier, &next, &status, &err), LH_OK);
    assert_int_equal(lh_dataset_head(next)->time, sample_context.now);
    assert_int_equal(lh_dataset_check(&next->parts, &err), LH_OK);
}

LH_TEST(rename_keeps_everything_but_the_identity)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_INIT;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    sample_commit(&dataset, LH_MODE_APPEND, "b", "c2");
    LH_AUTO_DATASET struct lh_dataset *renamed = lh_rename_apply(dataset, LH_STR("eu.sales"));
    assert_int_equal(lh_dataset_check(&renamed->parts, &err), LH_OK);
    assert_true(lh_str_is(renamed->parts.name, "eu.sales"));
    assert_string_not_equal(renamed->parts.id, dataset->parts.id);
    assert_string_not_equal(renamed->parts.nonce, dataset->parts.nonce);
    assert_int_equal(head_id(renamed), 2);
    KEYS(renamed, 2, "a b");
    assert_int_equal(renamed->parts.origin_count, 1);
    assert_true(lh_str_is(renamed->parts.origins[0].dataset_id, dataset->parts.id));
    assert_true(lh_str_is(renamed->parts.origins[0].nonce, dataset->parts.nonce));
    for (int i = 0; i < 40; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        struct lh_dataset *again = lh_rename_apply(renamed, lh_str_from(name));
        lh_dataset_unref(renamed);
        renamed = again;
    }
    assert_int_equal(lh_dataset_check(&renamed->parts, &err), LH_OK);
    assert_in_range(renamed->parts.origin_count, 2, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_makes_the_first_snapshot),
        cmocka_unit_test(modes_and_contents),
        cmocka_unit_test(commits_without_content_id_always_count),
        cmocka_unit_test(an_object_is_added_once),
        cmocka_unit_test(another_fingerprint_or_other_columns_conflict),
        cmocka_unit_test(columns_may_come_later),
        cmocka_unit_test(expectations),
        cmocka_unit_test(requests_that_make_no_sense),
        cmocka_unit_test(restore_brings_back_objects_and_contents),
        cmocka_unit_test(old_snapshots_are_forgotten_with_what_only_they_had),
        cmocka_unit_test(a_clock_set_back_does_not_reorder_snapshots),
        cmocka_unit_test(rename_keeps_everything_but_the_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
