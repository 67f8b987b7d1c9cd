/*
 * Names, identities, spans, frozen states.
 */
#include "unit/catalogd/sample.h"

LH_TEST(names)
{
    static const struct {
        const char *text;
        const char *canonical; /* NULL = refused */
    } table[] = {
        {"a", "a"},
        {"_", "_"},
        {"Sales_2024-q1", "Sales_2024-q1"},
        {"main.sales", "sales"},
        {"eu.sales", "eu.sales"},
        {"EU.sales", "EU.sales"},
        {"main.main", "main"},
        {"", NULL},
        {".", NULL},
        {"a.", NULL},
        {".a", NULL},
        {"a.b.c", NULL},
        {"1a", NULL},
        {"-a", NULL},
        {"a b", NULL},
        {"a/b", NULL},
        {"a\"b", NULL},
        {"a'b", NULL},
        {"a;b", NULL},
        {"../a", NULL},
        {"a\nb", NULL},
        {"caf\xc3\xa9", NULL},
        {"a\xe2\x80\xae", NULL},
        {"a\xff", NULL},
        {"\xff", NULL},
    };
    for (size_t i = 0; i < LH_COUNT(table); i++) {
        char name[LH_NAME_MAX + 1];
        struct lh_error err = LH_ERROR_INIT;
        lh_code code = lh_dataset_name_parse(lh_str_from(table[i].text), name, &err);
        if (table[i].canonical) {
            assert_int_equal(code, LH_OK);
            assert_string_equal(name, table[i].canonical);
        } else {
            assert_int_equal(code, LH_INVALID_NAME);
            assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
        }
    }
}

LH_TEST(name_lengths)
{
    char text[2 * LH_NAME_PART_MAX + 8];
    char name[LH_NAME_MAX + 1];
    struct lh_error err = LH_ERROR_INIT;
    memset(text, 'x', sizeof(text));
    assert_int_equal(lh_dataset_name_parse(lh_str_of(text, LH_NAME_PART_MAX), name, &err), LH_OK);
    assert_int_equal(lh_dataset_name_parse(lh_str_of(text, LH_NAME_PART_MAX + 1), name, &err),
                     LH_INVALID_NAME);
    text[LH_NAME_PART_MAX] = '.';
    assert_int_equal(lh_dataset_name_parse(lh_str_of(text, LH_NAME_MAX), name, &err), LH_OK);
    assert_int_equal(strlen(name), LH_NAME_MAX);
    assert_int_equal(lh_dataset_name_parse(lh_str_of(text, LH_NAME_MAX + 1), name, &err),
                     LH_INVALID_NAME);
    assert_int_equal(lh_dataset_name_parse(LH_STR("a\0b"), name, &err), LH_INVALID_NAME);
}

/* RFC 9562 section 5.5 over the pinned namespace; computed with Python's uuid.uuid5. */
LH_TEST(ids_are_pinned)
{
    char id[LH_UUID_TEXT];
    lh_dataset_id(LH_STR("sales"), id);
    assert_string_equal(id, "998fadf0-f4cb-5861-a0a3-2dacf4e88cf0");
    lh_dataset_id(LH_STR("eu.sales"), id);
    assert_string_equal(id, "5182b3a5-dde9-5092-9e2e-15d405082f01");
}

LH_TEST(spans)
{
    const struct lh_span lives = {.added = 3};
    const struct lh_span ended = {.added = 3, .removed = 5};
    assert_false(lh_span_holds(&lives, 2));
    assert_true(lh_span_holds(&lives, 3));
    assert_true(lh_span_holds(&lives, 900));
    assert_true(lh_span_holds(&ended, 4));
    assert_false(lh_span_holds(&ended, 5));
}

LH_TEST(a_frozen_state_owns_its_texts)
{
    char key[] = "data/one";
    struct lh_dataset *dataset = NULL;
    assert_int_equal(sample_commit(&dataset, LH_MODE_CREATE, key, "c1"), LH_COMMIT_CREATED);
    memset(key, '!', sizeof(key) - 1);
    assert_true(lh_str_is(dataset->parts.objects[0].key, "data/one"));
    assert_true(lh_str_is(dataset->parts.columns[1].name, "name \"quoted\""));
    struct lh_dataset *second = lh_dataset_ref(dataset);
    lh_dataset_unref(dataset);
    assert_true(lh_str_is(second->parts.name, "sales"));
    lh_dataset_unref(second);
}

LH_TEST(as_of_takes_the_newest_that_is_not_later)
{
    struct lh_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_object object;
    for (int i = 0; i < 3; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        struct lh_commit_request request = sample_request(LH_MODE_APPEND, key, "", &object);
        const struct lh_commit_context context = {.now = 1000 * (i + 1), .snapshots_max = 10};
        struct lh_dataset *next = NULL;
        enum lh_commit_status status;
        assert_int_equal(lh_commit_apply(dataset, &request, &context, &next, &status, &err), LH_OK);
        lh_dataset_unref(dataset);
        dataset = next;
    }
    assert_null(lh_dataset_as_of(dataset, 999));
    assert_int_equal(lh_dataset_as_of(dataset, 1000)->id, 1);
    assert_int_equal(lh_dataset_as_of(dataset, 2999)->id, 2);
    assert_int_equal(lh_dataset_as_of(dataset, 9999)->id, 3);
    assert_null(lh_dataset_find_snapshot(dataset, 0));
    assert_int_equal(lh_dataset_find_snapshot(dataset, 2)->time, 2000);
    assert_null(lh_dataset_find_snapshot(dataset, 4));
    lh_dataset_unref(dataset);
}

LH_TEST(the_validator_names_each_broken_rule)
{
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    sample_commit(&dataset, LH_MODE_APPEND, "b", "c2");
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_dataset_check(&dataset->parts, &err), LH_OK);
#define BREAKS(change)                                                                             \
    do {                                                                                           \
        LH_AUTO_DRAFT struct lh_dataset_parts draft = lh_draft_from(dataset);                      \
        change;                                                                                    \
        assert_int_equal(lh_dataset_check(&draft, &err), LH_CORRUPT);                              \
    } while (0)
    BREAKS(draft.name = LH_STR("other"));
    BREAKS(draft.name = LH_STR("main.sales"));
    BREAKS(draft.id[0] = 'x');
    BREAKS(draft.nonce[3] = '\0');
    BREAKS(draft.schema_count = 0);
    BREAKS(draft.schemas[0].fingerprint = LH_STR(""));
    BREAKS(draft.schemas[0].id = 7);
    BREAKS(draft.columns[1].type = LH_STR(""));
    BREAKS(draft.snapshot_count = 0);
    BREAKS(draft.snapshots[1].id = 1);
    BREAKS(draft.snapshots[1].time = 5);
    BREAKS(draft.snapshots[1].schema_id = 2);
    BREAKS(draft.snapshots[1].restored = 2);
    BREAKS(draft.snapshots[1].rows = 19);
    BREAKS(draft.objects[0].span.removed = 1);
    BREAKS(draft.objects[0].span.added = 0);
    BREAKS(draft.objects[1].span.added = 3);
    BREAKS(draft.objects[1].rows = -1);
    BREAKS(draft.objects[1].rows = INT64_MAX);
    BREAKS(draft.contents[1].span.added = 9);
    BREAKS(lh_draft_add_origin(&draft));
#undef BREAKS
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(name_lengths),
        cmocka_unit_test(ids_are_pinned),
        cmocka_unit_test(spans),
        cmocka_unit_test(a_frozen_state_owns_its_texts),
        cmocka_unit_test(as_of_takes_the_newest_that_is_not_later),
        cmocka_unit_test(the_validator_names_each_broken_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
