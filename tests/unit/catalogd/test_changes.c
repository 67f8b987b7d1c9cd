/*
 * The ring of changes and its cursors.
 */
#include "unit/catalogd/sample.h"

#include "catalogd/changes.h"

static uint64_t known(const struct lh_changes *changes, const char *cursor)
{
    uint64_t since = UINT64_MAX;
    return lh_changes_known(changes, lh_str_from(cursor), &since) ? since : UINT64_MAX;
}

LH_TEST(a_cursor_leads_to_what_came_after_it)
{
    struct lh_changes changes;
    lh_changes_init(&changes, 8);
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    char cursor[LH_CURSOR_SIZE];
    lh_changes_cursor(&changes, cursor);
    assert_int_equal(known(&changes, cursor), 0);
    lh_changes_add(&changes, dataset, LH_CHANGE_COMMIT);
    lh_changes_add(&changes, dataset, LH_CHANGE_DELETE);

    struct lh_change *list = NULL;
    size_t count = lh_changes_after(&changes, known(&changes, cursor), &list);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].dataset, "sales");
    assert_string_equal(list[0].dataset_id, dataset->parts.id);
    assert_string_equal(list[0].version, dataset->parts.nonce);
    assert_int_equal(list[0].kind, LH_CHANGE_COMMIT);
    assert_int_equal(list[0].snapshot, 1);
    assert_int_equal(list[1].kind, LH_CHANGE_DELETE);
    assert_string_equal(list[1].version, "");
    lh_change_list_free(list, count);

    lh_changes_cursor(&changes, cursor);
    assert_int_equal(lh_changes_after(&changes, known(&changes, cursor), &list), 0);
    lh_change_list_free(list, 0);
    lh_changes_deinit(&changes);
}

LH_TEST(what_left_the_ring_is_a_reset)
{
    struct lh_changes changes;
    lh_changes_init(&changes, 4);
    LH_AUTO_DATASET struct lh_dataset *dataset = NULL;
    sample_commit(&dataset, LH_MODE_CREATE, "a", "c1");
    char cursor[LH_CURSOR_SIZE];
    lh_changes_cursor(&changes, cursor);
    for (int i = 0; i < 4; i++)
        lh_changes_add(&changes, dataset, LH_CHANGE_COMMIT);
    assert_int_equal(known(&changes, cursor), 0);
    struct lh_change *list = NULL;
    size_t count = lh_changes_after(&changes, 0, &list);
    assert_int_equal(count, 4);
    lh_change_list_free(list, count);
    lh_changes_add(&changes, dataset, LH_CHANGE_COMMIT);
    assert_int_equal(known(&changes, cursor), UINT64_MAX);
    lh_changes_deinit(&changes);
}

LH_TEST(foreign_cursors_are_a_reset)
{
    struct lh_changes changes, other;
    lh_changes_init(&changes, 4);
    lh_changes_init(&other, 4);
    char cursor[LH_CURSOR_SIZE], text[2 * LH_CURSOR_SIZE];
    lh_changes_cursor(&other, cursor);
    assert_int_equal(known(&changes, cursor), UINT64_MAX);
    static const char *const ends[] = {"-1", "-", "--1", "-x", "-18446744073709551616", "", "- 0"};
    for (size_t i = 0; i < LH_COUNT(ends); i++) {
        snprintf(text, sizeof(text), "%s%s", changes.boot, ends[i]);
        assert_int_equal(known(&changes, text), UINT64_MAX);
    }
    assert_int_equal(known(&changes, ""), UINT64_MAX);
    assert_int_equal(known(&changes, "-0"), UINT64_MAX);
    lh_changes_deinit(&changes);
    lh_changes_deinit(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_leads_to_what_came_after_it),
        cmocka_unit_test(what_left_the_ring_is_a_reset),
        cmocka_unit_test(foreign_cursors_are_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
