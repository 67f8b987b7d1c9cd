/*
 * Names of datasets and the change feed; a dataset's document. (catalog.c itself is tested against
 * the real catalog by tests/system/test_sql.py.)
 */
#include "queryd/names.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static lh_code apply(struct lh_names *names, const char *text, struct lh_error *err)
{
    LH_AUTO_JSON json_t *answer = NULL;
    LH_TRY(lh_json_parse(lh_str_from(text), &answer, err));
    return lh_names_apply(names, answer, err);
}

static void must_apply(struct lh_names *names, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    if (apply(names, text, &err) != LH_OK)
        fail_msg("%s: %s", text, err.message);
}

/* "a@1 b@2", in their order. */
static void check_names(const struct lh_names *names, const char *wanted)
{
    LH_AUTO_BUF struct lh_buf out = LH_BUF_INIT(4096);
    lh_buf_append_cstr(&out, "");
    for (size_t i = 0; i < names->count; i++)
        lh_buf_printf(&out, "%s%s@%d", i > 0 ? " " : "", names->items[i].name,
                      (int)names->items[i].snapshot);
    assert_string_equal(out.data != NULL ? out.data : "", wanted);
}

static struct lh_dataset *parse(const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_JSON json_t *answer = NULL;
    struct lh_dataset *dataset = NULL;
    if (lh_json_parse(lh_str_from(text), &answer, &err) != LH_OK ||
        lh_dataset_parse(answer, &dataset, &err) != LH_OK)
        fail_msg("%s: %s", text, err.message);
    return dataset;
}

static void test_changes(void **state)
{
    (void)state;
    struct lh_names names = {0};
    must_apply(&names, "{\"cursor\":\"c1\",\"reset\":true,\"changes\":["
                       "{\"dataset\":\"b\",\"version\":\"B\",\"op\":\"commit\",\"snapshot\":2},"
                       "{\"dataset\":\"a\",\"version\":\"A\",\"op\":\"commit\",\"snapshot\":1}]}");
    check_names(&names, "a@1 b@2");
    assert_string_equal(names.cursor, "c1");
    must_apply(&names, "{\"cursor\":\"c2\",\"reset\":false,\"changes\":["
                       "{\"dataset\":\"a\",\"version\":\"A\",\"op\":\"commit\",\"snapshot\":3},"
                       "{\"dataset\":\"n.c\",\"version\":\"C\",\"op\":\"commit\",\"snapshot\":1},"
                       "{\"dataset\":\"b\",\"dataset_id\":\"B\",\"op\":\"delete\"},"
                       "{\"dataset\":\"zz\",\"dataset_id\":\"Z\",\"op\":\"delete\"}]}");
    check_names(&names, "a@3 n.c@1");
    must_apply(&names, "{\"cursor\":\"c3\",\"reset\":false,\"changes\":[]}");
    check_names(&names, "a@3 n.c@1");
    assert_string_equal(names.cursor, "c3");
    lh_names_deinit(&names);
    lh_names_deinit(&names);
}

/* A bad answer changes nothing, wherever it is bad. */
static void test_bad_answers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"cursor\":\"c\",\"reset\":true}",
        "{\"cursor\":5,\"reset\":true,\"changes\":[]}",
        "{\"cursor\":\"c\",\"reset\":\"x\",\"changes\":[]}",
        "{\"cursor\":\"c\",\"reset\":true,\"changes\":[{\"dataset\":\"b\",\"dataset_id\":\"B\","
        "\"op\":\"commit\",\"snapshot\":1},{\"dataset\":\"c\"}]}",
        "{\"cursor\":\"c\",\"reset\":false,\"changes\":[{\"dataset\":\"b\",\"dataset_id\":\"B\","
        "\"op\":\"commit\",\"snapshot\":\"x\"}]}",
        "{\"cursor\":\"c\",\"reset\":false,\"changes\":[5]}",
    };
    struct lh_names names = {0};
    must_apply(&names, "{\"cursor\":\"c1\",\"reset\":true,\"changes\":["
                       "{\"dataset\":\"a\",\"version\":\"A\",\"op\":\"commit\",\"snapshot\":1}]}");
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        struct lh_error err = LH_ERROR_INIT;
        assert_int_not_equal(apply(&names, bad[i], &err), LH_OK);
        check_names(&names, "a@1");
        assert_string_equal(names.cursor, "c1");
    }
    lh_names_deinit(&names);
}

/* What was fetched stays beside its name over a reset. */
static void test_reset_keeps_what_was_fetched(void **state)
{
    (void)state;
    struct lh_names names = {0};
    struct lh_name *entry = NULL;
    struct lh_error err = LH_ERROR_INIT;
    const char *both = "{\"cursor\":\"c1\",\"reset\":true,\"changes\":["
                       "{\"dataset\":\"a\",\"version\":\"A\",\"op\":\"commit\",\"snapshot\":1},"
                       "{\"dataset\":\"b\",\"version\":\"B\",\"op\":\"commit\",\"snapshot\":1}]}";
    must_apply(&names, both);
    assert_int_equal(lh_names_find(&names, LH_STR("a"), &entry, &err), LH_OK);
    struct lh_dataset *dataset = parse("{\"dataset\":\"a\",\"dataset_id\":\"A\",\"version\":\"v\","
                                       "\"snapshot\":1,\"schema\":[],\"objects\":[]}");
    entry->dataset = dataset;
    must_apply(&names, both);
    assert_int_equal(lh_names_find(&names, LH_STR("a"), &entry, &err), LH_OK);
    assert_ptr_equal(entry->dataset, dataset);
    must_apply(&names, "{\"cursor\":\"c2\",\"reset\":true,\"changes\":["
                       "{\"dataset\":\"b\",\"version\":\"B\",\"op\":\"commit\",\"snapshot\":1}]}");
    check_names(&names, "b@1");
    lh_names_deinit(&names);
}

static void test_find(void **state)
{
    (void)state;
    struct lh_names names = {0};
    must_apply(&names,
               "{\"cursor\":\"c1\",\"reset\":true,\"changes\":["
               "{\"dataset\":\"Events\",\"version\":\"1\",\"op\":\"commit\",\"snapshot\":1},"
               "{\"dataset\":\"users\",\"version\":\"2\",\"op\":\"commit\",\"snapshot\":1},"
               "{\"dataset\":\"Users\",\"version\":\"3\",\"op\":\"commit\",\"snapshot\":1},"
               "{\"dataset\":\"sales.Orders\",\"version\":\"4\",\"op\":\"commit\",\"snapshot\":1},"
               "{\"dataset\":\"a_b\",\"version\":\"5\",\"op\":\"commit\",\"snapshot\":1}]}");
    static const struct {
        const char *name, *found; /* found NULL = unknown, with this hint */
        const char *hint;
    } cases[] = {
        {"Events", "Events", NULL},
        {"EVENTS", "Events", NULL},
        {"users", "users", NULL},
        {"Users", "Users", NULL},
        {"USERS", NULL, ""},
        {"SALES.orders", "sales.Orders", NULL},
        {"A_B", "a_b", NULL},
        {"Evnts", NULL, "did you mean Events?"},
        {"user", NULL, "did you mean users or Users?"},
        {"nothing_like_it", NULL, "SHOW TABLES lists the datasets"},
        {"", NULL, "did you mean a_b?"},
        {"a.parquet", NULL, "SHOW TABLES lists the datasets"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_name *entry = NULL;
        lh_code code = lh_names_find(&names, lh_str_from(cases[i].name), &entry, &err);
        if (cases[i].found != NULL) {
            assert_int_equal(code, LH_OK);
            assert_string_equal(entry->name, cases[i].found);
        } else {
            assert_int_equal(code, LH_INVALID_SQL);
            assert_string_equal(err.hint, cases[i].hint);
        }
    }
    lh_names_deinit(&names);
}

/* Many names in any order end up sorted, and each is found. */
static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct lh_names names = {0};
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(1 << 20);
    lh_buf_append_cstr(&text, "{\"cursor\":\"c\",\"reset\":true,\"changes\":[");
    for (unsigned i = 0; i < COUNT; i++)
        lh_buf_printf(&text,
                      "%s{\"dataset\":\"t%u\",\"dataset_id\":\"%u\",\"op\":\"commit\","
                      "\"snapshot\":%u}",
                      i > 0 ? "," : "", i * 7919 % COUNT, i, i + 1);
    lh_buf_append_cstr(&text, "]}");
    must_apply(&names, text.data);
    assert_int_equal(names.count, COUNT);
    for (size_t i = 1; i < names.count; i++)
        assert_true(strcmp(names.items[i - 1].name, names.items[i].name) < 0);
    for (unsigned i = 0; i < COUNT; i++) {
        char name[16];
        struct lh_error err = LH_ERROR_INIT;
        struct lh_name *entry = NULL;
        snprintf(name, sizeof(name), "T%u", i);
        assert_int_equal(lh_names_find(&names, lh_str_from(name), &entry, &err), LH_OK);
    }
    lh_names_deinit(&names);
}

static void test_dataset(void **state)
{
    (void)state;
    struct lh_dataset *old =
        parse("{\"dataset\":\"n.x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":4,"
              "\"schema\":[{\"name\":\"a\","
              "\"type\":\"BIGINT\",\"nullable\":true}],\"objects\":[{\"key\":\"k1\",\"rows\":1,"
              "\"bytes\":10},{\"key\":\"k2\",\"rows\":1,\"bytes\":20,\"stats\":{}}]}");
    assert_string_equal(old->name, "n.x");
    assert_int_equal(old->snapshot, 4);
    assert_int_equal(old->file_count, 2);
    assert_string_equal(old->files[1].key, "k2");
    assert_int_equal(old->files[1].size, 20);
    char *columns = json_dumps(old->columns, JSON_COMPACT);
    assert_string_equal(columns, "[{\"name\":\"a\",\"type\":\"BIGINT\"}]");
    free(columns);
    old->files[0].etag = lh_strdup("e1");
    old->files[0].path = lh_strdup("/p1");
    old->files[1].etag = lh_strdup("e2");

    struct lh_dataset *new = parse("{\"dataset\":\"n.x\",\"dataset_id\":\"I\",\"version\":\"v\","
                                   "\"snapshot\":5,\"schema\":[],\"objects\":["
                                   "{\"key\":\"k3\"},{\"key\":\"k2\"},{\"key\":\"k1\"}]}");
    lh_dataset_inherit(new, old);
    assert_null(new->files[0].etag);
    assert_string_equal(new->files[1].etag, "e2");
    assert_null(new->files[1].path);
    assert_string_equal(new->files[2].path, "/p1");
    assert_int_equal(new->files[2].size, 10);
    lh_dataset_unref(lh_dataset_ref(new));
    lh_dataset_unref(new);
    lh_dataset_unref(old);
    lh_dataset_unref(NULL);
}

static void test_bad_datasets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"dataset\":\"x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":1,\"schema\":[]}",
        "{\"dataset\":\"x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":1,\"schema\":[{}],"
        "\"objects\":[]}",
        "{\"dataset\":\"x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":1,\"schema\":[],"
        "\"objects\":[{}]}",
        "{\"dataset\":\"x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":1,\"schema\":[],"
        "\"objects\":[1]}",
        "{\"dataset\":\"x\",\"dataset_id\":\"I\",\"version\":\"v\",\"snapshot\":\"1\",\"schema\":[]"
        ",\"objects\":[]}",
    };
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_JSON json_t *answer = NULL;
        struct lh_dataset *dataset = NULL;
        assert_int_equal(lh_json_parse(lh_str_from(bad[i]), &answer, &err), LH_OK);
        assert_int_equal(lh_dataset_parse(answer, &dataset, &err), LH_BAD_UPSTREAM);
        assert_null(dataset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_reset_keeps_what_was_fetched),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_dataset),
        cmocka_unit_test(test_bad_datasets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
