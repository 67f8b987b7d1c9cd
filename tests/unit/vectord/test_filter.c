#include "vectord/filter.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/cmocka.h"

/* Whether the filter holds for the metadata; -1 with the message printed when it does not parse. */
static int holds(const char *filter_text, const char *metadata)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    const struct lh_filter *filter = NULL;
    if (lh_filter_parse(lh_str_from(filter_text), &arena, &filter, &err) != LH_OK) {
        print_message("%s\n", err.message);
        return -1;
    }
    return lh_filter_holds(filter, lh_str_from(metadata));
}

#define ITEM                                                                                       \
    "{\"kind\":\"book\",\"price\":12.5,\"stock\":0,\"new\":true,\"none\":null,\"tags\":[\"a\",7]," \
    "\"empty\":[],\"dims\":{\"w\":3,\"h\":[4,5]},\"x.y\":1,\"parts\":[{\"n\":\"p\"},{\"n\":\"q\"}" \
    "],"                                                                                           \
    "\"big\":9007199254740993,\"esc\":\"caf\\u00e9\",\"day\":\"2026-11-22\"}"

LH_TEST(what_filters_say)
{
    static const struct {
        const char *filter;
        int holds;
    } cases[] = {
        {"{}", 1},
        {"{\"kind\":\"book\"}", 1},
        {"{\"kind\":\"Book\"}", 0},
        {"{\"kind\":{\"$eq\":\"book\"}}", 1},
        {"{\"kind\":\"book\",\"new\":false}", 0},
        {"{\"new\":true}", 1},
        {"{\"new\":1}", 0},
        {"{\"price\":12.5}", 1},
        {"{\"stock\":0}", 1},
        {"{\"stock\":-0.0}", 1},
        {"{\"stock\":false}", 0},
        {"{\"absent\":0}", 0},
        {"{\"price\":{\"$gt\":12.4,\"$lt\":12.6}}", 1},
        {"{\"price\":{\"$gt\":12.5}}", 0},
        {"{\"price\":{\"$gte\":12.5,\"$lte\":12.5}}", 1},
        {"{\"price\":{\"$lt\":12.5}}", 0},
        {"{\"price\":{\"$lt\":\"z\"}}", 0},
        {"{\"day\":{\"$gte\":\"2026-11-01\",\"$lt\":\"2026-12-01\"}}", 1},
        {"{\"day\":{\"$gt\":\"2026-11-22\"}}", 0},
        {"{\"kind\":{\"$in\":[\"film\",\"book\"]}}", 1},
        {"{\"kind\":{\"$in\":[]}}", 0},
        {"{\"kind\":{\"$nin\":[\"film\",\"book\"]}}", 0},
        {"{\"kind\":{\"$nin\":[]}}", 1},
        {"{\"kind\":{\"$ne\":\"film\"}}", 1},
        {"{\"absent\":{\"$ne\":\"film\"}}", 1},
        {"{\"absent\":{\"$nin\":[1]}}", 1},
        {"{\"none\":{\"$exists\":true}}", 0},
        {"{\"none\":{\"$exists\":false}}", 1},
        {"{\"kind\":{\"$exists\":true}}", 1},
        {"{\"empty\":{\"$exists\":true}}", 1},
        {"{\"dims\":{\"$exists\":true}}", 1},
        {"{\"dims.z\":{\"$exists\":true}}", 0},
        {"{\"tags\":\"a\"}", 1},
        {"{\"tags\":7}", 1},
        {"{\"tags\":\"b\"}", 0},
        {"{\"tags\":{\"$ne\":\"a\"}}", 0},
        {"{\"dims.w\":3}", 1},
        {"{\"dims.h\":5}", 1},
        {"{\"dims.h\":{\"$gt\":4,\"$lt\":5}}", 0}, /* no one element lies between */
        {"{\"x.y\":1}", 1},
        {"{\"parts.n\":\"q\"}", 1},
        {"{\"parts.n\":\"r\"}", 0},
        {"{\"big\":9007199254740993}", 1},
        {"{\"big\":9007199254740992}", 0},
        {"{\"big\":{\"$gt\":9007199254740992}}", 1},
        {"{\"big\":{\"$lt\":9007199254740994.0}}", 1},
        {"{\"esc\":\"café\"}", 1},
        {"{\"esc\":\"caf\\u00e9\"}", 1},
        {"{\"$not\":{\"kind\":\"book\"}}", 0},
        {"{\"$or\":[{\"kind\":\"film\"},{\"price\":12.5}]}", 1},
        {"{\"$or\":[{\"kind\":\"film\"},{\"price\":1}]}", 0},
        {"{\"$and\":[{\"kind\":\"book\"},{\"$not\":{\"price\":1}}],\"new\":true}", 1},
        {"{\"kind\":{\"$in\":[\"book\"],\"$ne\":\"film\",\"$exists\":true}}", 1},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        if (holds(cases[i].filter, ITEM) != cases[i].holds)
            fail_msg("%s: not %d", cases[i].filter, cases[i].holds);
    }
    assert_int_equal(holds("{\"a\":1}", ""), 0);
    assert_int_equal(holds("{\"a\":{\"$ne\":1}}", ""), 1);
}

LH_TEST(bad_filters_are_named)
{
    static const struct {
        const char *filter;
        const char *message; /* part of it */
    } cases[] = {
        {"", "the filter: the JSON is not valid"},
        {"{", "the filter: the JSON is not valid"},
        {"[]", "the filter: an object is wanted"},
        {"{\"a\":1,\"a\":2}", "the filter: the JSON is not valid"},
        {"{\"a\":null}", "the filter at 'a': nothing equals null"},
        {"{\"a\":[1]}", "the filter at 'a': an array is no value"},
        {"{\"a\":{}}", "the filter at 'a': an operator is wanted"},
        {"{\"\":1}", "the path of a field has 1 to 256 bytes"},
        {"{\"a\":{\"$gr\":1}}", "the filter at 'a.$gr': there is no such operator"},
        {"{\"a\":{\"b\":1}}", "the filter at 'a.b': there is no such operator"},
        {"{\"a\":{\"$gt\":true}}", "the filter at 'a.$gt': a number or a string is wanted"},
        {"{\"a\":{\"$gt\":1,\"$gte\":2}}", "the filter at 'a.$gte': there is a bound"},
        {"{\"a\":{\"$gt\":1,\"$lt\":\"b\"}}", "the filter at 'a.$lt': the bounds are"},
        {"{\"a\":{\"$in\":1}}", "the filter at 'a.$in': an array of values is wanted"},
        {"{\"a\":{\"$in\":[1,{}]}}", "the filter at 'a.$in[1]': a string, a number"},
        {"{\"a\":{\"$exists\":1}}", "the filter at 'a.$exists': true or false is wanted"},
        {"{\"$and\":{}}", "the filter at '$and': an array of filters is wanted"},
        {"{\"$or\":[]}", "the filter at '$or': an array of filters is wanted"},
        {"{\"$or\":[{},{\"p\":{\"$lte\":null}}]}", "the filter at '$or[1].p.$lte': a number"},
        {"{\"$not\":3}", "the filter at '$not': an object is wanted"},
        {"{\"$nor\":[{}]}", "the filter at '$nor': no field begins with $"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
        const struct lh_filter *filter = NULL;
        assert_int_equal(lh_filter_parse(lh_str_from(cases[i].filter), &arena, &filter, &err),
                         LH_INVALID);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].filter, err.message);
    }
}

/* `count` times `part`, between `head` and `tail`. */
static char *repeated(const char *head, const char *part, size_t count, const char *tail)
{
    struct lh_buf buf = LH_BUF_INIT(64 << 20);
    lh_buf_append_cstr(&buf, head);
    for (size_t i = 0; i < count; i++)
        lh_buf_append_cstr(&buf, part);
    lh_buf_append_cstr(&buf, tail);
    return lh_buf_take(&buf);
}

static lh_code parse(const char *text, struct lh_error *err)
{
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(64 << 20);
    const struct lh_filter *filter = NULL;
    return lh_filter_parse(lh_str_from(text), &arena, &filter, err);
}

LH_TEST(filters_have_limits)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *deep = repeated("", "{\"$not\":", 15, "{}}}}}}}}}}}}}}}}");
    assert_int_equal(parse(deep, &err), LH_OK);
    LH_AUTO_FREE char *deeper = repeated("", "{\"$not\":", 16, "{}}}}}}}}}}}}}}}}}");
    assert_int_equal(parse(deeper, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "nested deeper than 16 levels"));
    LH_AUTO_FREE char *many = repeated("{\"$or\":[{}", ",{\"a\":1}", 256, "]}");
    assert_int_equal(parse(many, &err), LH_OK);
    LH_AUTO_FREE char *more = repeated("{\"$or\":[{}", ",{\"a\":1}", 257, "]}");
    assert_int_equal(parse(more, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "at most 256 conditions"));
    LH_AUTO_FREE char *values = repeated("{\"a\":{\"$in\":[1", ",1", 20000, "]}}");
    assert_int_equal(parse(values, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "at most 20,000 values"));
    LH_AUTO_FREE char *large = repeated("{\"a\":\"", "aaaaaaaaaaaaaaaa", 1 << 16, "\"}");
    assert_int_equal(parse(large, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "are allowed"));
    LH_AUTO_FREE char *path = repeated("{\"", "a", 257, "\":1}");
    assert_int_equal(parse(path, &err), LH_INVALID);
}

LH_TEST(numbers_are_in_order)
{
    struct lh_value values[] = {
        lh_value_of_f64(-1e300),
        lh_value_of_i64(INT64_MIN),
        lh_value_of_i64(INT64_MIN + 1),
        lh_value_of_i64(-9007199254740993),
        lh_value_of_i64(-1),
        lh_value_of_f64(-0.5),
        lh_value_of_f64(0),
        lh_value_of_f64(0.5),
        lh_value_of_i64(1),
        lh_value_of_i64(9007199254740992),
        lh_value_of_i64(9007199254740993),
        lh_value_of_f64(9007199254740994.0),
        lh_value_of_i64(INT64_MAX - 1),
        lh_value_of_i64(INT64_MAX),
        lh_value_of_f64(0x1p63),
        lh_value_of_f64(1e300),
    };
    for (size_t i = 0; i < LH_COUNT(values); i++) {
        for (size_t j = 0; j < LH_COUNT(values); j++)
            assert_int_equal(lh_value_compare(&values[i], &values[j]), i < j ? -1 : i > j);
    }
}

/* What a damaged snapshot could hold does no harm. */
LH_TEST(metadata_that_is_not_json)
{
    static const char *const texts[] = {"{",      "{\"a\"",       "{\"a\":",  "{\"a\":[1,",
                                        "[1]",    "\"a\"",        "{\"a\":1", "{\"a\":1}x",
                                        "{\"a\\", "{\"a\":\"\\u", "}",        "{\"a\":1e999}"};
    for (size_t i = 0; i < LH_COUNT(texts); i++)
        assert_in_range(holds("{\"a\":1}", texts[i]), 0, 1);
    LH_AUTO_FREE char *deep = repeated("{\"a\":", "[", 100000, "");
    assert_int_equal(holds("{\"a\":1}", deep), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_filters_say),          cmocka_unit_test(bad_filters_are_named),
        cmocka_unit_test(filters_have_limits),       cmocka_unit_test(numbers_are_in_order),
        cmocka_unit_test(metadata_that_is_not_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
