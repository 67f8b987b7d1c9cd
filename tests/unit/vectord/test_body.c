#include "vectord/body.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "vectord/scan.h"

static const struct lh_body_limits limits = {.dimension = 3,
                                             .metric = LH_METRIC_L2,
                                             .items_max = 5,
                                             .metadata_bytes_max = 40,
                                             .k_max = 100,
                                             .ef_max = 200};

LH_TEST(items_are_read)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    lh_str body = LH_STR(" { \"items\" : [ {\"id\":\"a\",\"vector\":[1,-2.5e0, 3 ]},\n"
                         "{\"metadata\": { \"x y\" : [1, \"a \\\" b\" ] } ,"
                         "\"vector\":[0.1,1e-3,0],\"id\":\"\\u00e9\\ud83d\\ude00\"} ] } ");
    if (lh_body_items(body, &limits, &batch, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(batch.count, 2);
    assert_true(lh_str_is(batch.changes[0].id, "a"));
    assert_true(batch.changes[0].vector[1] == -2.5F);
    assert_int_equal(batch.changes[0].metadata.len, 0);
    assert_true(lh_str_is(batch.changes[1].id, "\xc3\xa9\xf0\x9f\x98\x80"));
    assert_true(lh_str_is(batch.changes[1].metadata, "{\"x y\":[1,\"a \\\" b\"]}"));
    assert_true(batch.changes[1].vector[0] == 0.1F);
}

LH_TEST(lines_are_read)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    lh_str body = LH_STR("{\"id\":\"a\",\"vector\":[1,2,3]}\r\n\n  \n"
                         "{\"id\":\"b\",\"vector\":[1,2,3],\"metadata\":null}");
    assert_int_equal(lh_body_item_lines(body, &limits, &batch, &err), LH_OK);
    assert_int_equal(batch.count, 2);
    LH_AUTO_BATCH struct lh_batch bad = LH_BATCH_INIT(0);
    body = LH_STR("{\"id\":\"a\",\"vector\":[1,2,3]}\n{\"id\":\"b\",\"vector\":[1,2,3]} {}\n");
    assert_int_equal(lh_body_item_lines(body, &limits, &bad, &err), LH_INVALID);
    assert_int_equal(err.line, 2);
}

struct bad_body {
    const char *body;
    lh_code code;
    const char *message; /* part of it */
};

#define ITEM(rest)   "{\"items\":[{\"id\":\"ok\",\"vector\":[1,2,3]}," rest "]}"
#define LONG_ID_64   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG_ID_256  LONG_ID_64 LONG_ID_64 LONG_ID_64 LONG_ID_64
#define WITH_ID(id)  ITEM("{\"id\":" id ",\"vector\":[1,2,3]}")
#define WITH_VEC(v)  ITEM("{\"vector\":" v ",\"id\":\"x\"}")
#define WITH_META(m) ITEM("{\"id\":\"x\",\"vector\":[1,2,3],\"metadata\":" m "}")

LH_TEST(bad_items_are_named)
{
    static const struct bad_body cases[] = {
        {WITH_VEC("[1,2]"), LH_INVALID_VECTOR,
         "item 1 (id 'x'): its vector has 2 components, the index has 3"},
        {WITH_VEC("[1,2,3,4,5,6]"), LH_INVALID_VECTOR, "has 6 components"},
        {WITH_VEC("[]"), LH_INVALID_VECTOR, "has 0 components"},
        {WITH_VEC("[1,NaN,3]"), LH_INVALID_VECTOR,
         "item 1 (id 'x'): its component 1 is not finite"},
        {WITH_VEC("[1,2,Infinity]"), LH_INVALID_VECTOR, "component 2 is not finite"},
        {WITH_VEC("[-Infinity,2,3]"), LH_INVALID_VECTOR, "component 0 is not finite"},
        {WITH_VEC("[1,2,1e999]"), LH_INVALID_VECTOR, "component 2 is beyond a 32-bit float"},
        {WITH_VEC("[3.5e38,2,3]"), LH_INVALID_VECTOR, "component 0 is beyond a 32-bit float"},
        {WITH_VEC("[1e38,2e38,0]"), LH_INVALID_VECTOR, "its length overflows"},
        {WITH_VEC("[1,\"2\",3]"), LH_INVALID_VECTOR, "component 1 is not a number"},
        {WITH_VEC("[1,null,3]"), LH_INVALID_VECTOR, "component 1 is not a number"},
        {WITH_VEC("[[1,2,3]]"), LH_INVALID_VECTOR, "component 0 is not a number"},
        {WITH_VEC("\"abc\""), LH_INVALID_VECTOR, "its vector is not an array"},
        {WITH_VEC("{\"a\":1}"), LH_INVALID_VECTOR, "its vector is not an array"},
        {ITEM("{\"id\":\"x\"}"), LH_INVALID_VECTOR, "item 1 (id 'x'): it has no vector"},
        {ITEM("{\"vector\":[1,2,3]}"), LH_INVALID_VECTOR, "item 1: it has no id"},
        {ITEM("{}"), LH_INVALID_VECTOR, "item 1: it has no id"},
        {WITH_ID("\"\""), LH_INVALID_VECTOR, "an id has 1 to 256 bytes"},
        {WITH_ID("7.5"), LH_INVALID_VECTOR, "its id is neither a string nor a whole number"},
        {WITH_ID("1e3"), LH_INVALID_VECTOR, "its id is neither"},
        {WITH_ID("18446744073709551616"), LH_INVALID_VECTOR, "its id is neither"},
        {WITH_ID("-9223372036854775809"), LH_INVALID_VECTOR, "its id is neither"},
        {WITH_ID("null"), LH_INVALID_VECTOR, "its id is neither a string"},
        {WITH_ID("\"" LONG_ID_256 "x\""), LH_INVALID_VECTOR, "an id has 1 to 256 bytes"},
        {WITH_ID("\"\xff\""), LH_INVALID_VECTOR, "the id is not UTF-8"},
        {WITH_ID("\"a\\u0000\""), LH_INVALID_VECTOR, "the id holds a NUL"},
        {WITH_ID("\"ok\""), LH_INVALID_VECTOR, "item 1 (id 'ok') has the same id as item 0"},
        {WITH_META("[1]"), LH_INVALID_VECTOR, "its metadata is not an object"},
        {WITH_META("\"text\""), LH_INVALID_VECTOR, "its metadata is not an object"},
        {WITH_META("{\"a\":1,\"a\":2}"), LH_INVALID_VECTOR, "item 1 (id 'x'): its metadata: "},
        {WITH_META("{\"a\":\"" LONG_ID_64 "\"}"), LH_INVALID_VECTOR, "bytes, 40 are allowed"},
        {WITH_META("{\"a\":\"\xff\"}"), LH_INVALID_VECTOR, "its metadata"},
        {ITEM("{\"id\":\"x\",\"vektor\":[1,2,3]}"), LH_INVALID, "item 1: an item has no member"},
        {ITEM("{\"id\":\"x\",\"id\":\"y\"}"), LH_INVALID, "'id' stands twice"},
        {ITEM("7"), LH_INVALID, "item 1: the body has no object"},
        {"{\"items\":[{},{},{},{},{},{}]}", LH_INVALID_VECTOR, "item 0"},
        {"{\"items\":7}", LH_INVALID, "no array of items"},
        {"{}", LH_INVALID, "no 'items'"},
        {"", LH_INVALID, "no object"},
        {"[]", LH_INVALID, "no object"},
        {"{\"items\":[]} x", LH_INVALID, "no end"},
        {"{\"items\":[],\"items\":[]}", LH_INVALID, "stands twice"},
        {"{\"itmes\":[]}", LH_INVALID, "no member 'itmes'"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[1,2,]}]}", LH_INVALID, "value"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[1 2]}]}", LH_INVALID, "comma or closing bracket"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[01,2,3]}]}", LH_INVALID, "comma"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[.5,2,3]}]}", LH_INVALID, "value"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[+1,2,3]}]}", LH_INVALID, "value"},
        {"{\"items\":[{\"id\":\"x\",\"vector\":[1,2,3]", LH_INVALID, "closing bracket"},
        {"{\"items\":[{\"id\":\"x", LH_INVALID, "end of a string"},
        {"{\"items\":[{\"id\":\"\\x\"}]}", LH_INVALID, "valid escapes"},
        {"{\"items\":[{\"id\":\"\\ud800\"}]}", LH_INVALID, "valid escapes"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
        lh_code code = lh_body_items(lh_str_from(cases[i].body), &limits, &batch, &err);
        if (code != cases[i].code || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s\ngives %s: %s", cases[i].body, lh_code_word(code), err.message);
    }
}

LH_TEST(limits_of_a_batch)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096);
    for (int i = 0; i < 6; i++)
        lh_buf_printf(&body, "%s{\"id\":\"%d\",\"vector\":[1,2,3]}", i > 0 ? "," : "{\"items\":[",
                      i);
    lh_buf_append_cstr(&body, "]}");
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    assert_int_equal(lh_body_items(lh_buf_str(&body), &limits, &batch, &err), LH_TOO_LARGE);
    assert_int_equal(batch.count, 5);
}

LH_TEST(nesting_is_bounded)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(1 << 20);
    lh_buf_append_cstr(&body, "{\"items\":[{\"metadata\":{\"a\":");
    for (int i = 0; i < 100000; i++)
        lh_buf_append_char(&body, '[');
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    assert_int_equal(lh_body_items(lh_buf_str(&body), &limits, &batch, &err), LH_INVALID);
    assert_non_null(strstr(err.message, "nested deeper"));
}

LH_TEST(zero_vectors_depend_on_the_metric)
{
    lh_str body = LH_STR("{\"items\":[{\"id\":\"x\",\"vector\":[0,0,0]}]}");
    for (enum lh_metric metric = LH_METRIC_COSINE; metric <= LH_METRIC_IP; metric++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_body_limits changed = limits;
        changed.metric = metric;
        LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
        assert_int_equal(lh_body_items(body, &changed, &batch, &err),
                         metric == LH_METRIC_COSINE ? LH_INVALID_VECTOR : LH_OK);
    }
}

LH_TEST(deletes_are_read)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_condition condition = {0};
    lh_str body = LH_STR("{\"ids\":[\"a\",-12,\"a\"]}");
    assert_int_equal(lh_body_delete(body, &limits, &batch, &condition, &err), LH_OK);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.changes[2].kind, LH_CHANGE_DELETE);
    assert_true(lh_str_is(batch.changes[1].id, "-12"));
    assert_null(condition.filter);
    LH_AUTO_BATCH struct lh_batch none = LH_BATCH_INIT(0);
    body = LH_STR("{\"filter\": {\"a\": [1] } }");
    assert_int_equal(lh_body_delete(body, &limits, &none, &condition, &err), LH_INVALID);
    body = LH_STR("{\"filter\": {\"a\": 1 } }");
    LH_AUTO_BATCH struct lh_batch by_filter = LH_BATCH_INIT(0);
    assert_int_equal(lh_body_delete(body, &limits, &by_filter, &condition, &err), LH_OK);
    assert_int_equal(by_filter.count, 0);
    assert_true(lh_str_is(condition.text, "{\"a\":1}"));
    const struct bad_body cases[] = {
        {"{\"filter\":{}}", LH_INVALID, "an empty filter would delete all items"},
        {"{\"filter\":{\"a\":1},\"ids\":[]}", LH_INVALID, "one of 'ids' and 'filter'"},
        {"{}", LH_INVALID, "one of 'ids' and 'filter'"},
        {"{\"ids\":\"a\"}", LH_INVALID, "array of ids"},
        {"{\"ids\":[1.5]}", LH_INVALID_VECTOR, "item 0: its id is neither a string"},
        {"{\"ids\":[\"\"]}", LH_INVALID_VECTOR, "1 to 256 bytes"},
        {"{\"ids\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}", LH_TOO_LARGE, "at most 5"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_BATCH struct lh_batch bad = LH_BATCH_INIT(0);
        assert_int_equal(
            lh_body_delete(lh_str_from(cases[i].body), &limits, &bad, &condition, &err),
            cases[i].code);
        assert_non_null(strstr(err.message, cases[i].message));
    }
}

LH_TEST(searches_are_read)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_SEARCH_REQUEST struct lh_search_request one = {0};
    assert_int_equal(lh_body_search(LH_STR("{\"vector\":[1,2,3]}"), &limits, &one, &err), LH_OK);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.k, 10);
    assert_int_equal(one.ef, 0);
    assert_false(one.many || one.exact);
    assert_true(one.metadata && one.condition.filter == NULL);
    LH_AUTO_SEARCH_REQUEST struct lh_search_request many = {0};
    lh_str body = LH_STR("{\"k\":5,\"vectors\":[[1,2,3],[4,5,6]],\"ef\":50,\"exact\":true}");
    assert_int_equal(lh_body_search(body, &limits, &many, &err), LH_OK);
    assert_int_equal(many.count, 2);
    assert_true(many.vectors[5] == 6 && many.many && many.exact && many.k == 5 && many.ef == 50);
    LH_AUTO_SEARCH_REQUEST struct lh_search_request by_id = {0};
    assert_int_equal(lh_body_search(LH_STR("{\"id\":\"a\\n\"}"), &limits, &by_id, &err), LH_OK);
    assert_true(lh_str_is(by_id.id, "a\n"));
    LH_AUTO_SEARCH_REQUEST struct lh_search_request filtered = {0};
    body = LH_STR("{\"id\":18446744073709551615,\"filter\":{\"a\": 1},\"refine\":2.5,"
                  "\"metadata\":false}");
    assert_int_equal(lh_body_search(body, &limits, &filtered, &err), LH_OK);
    assert_true(lh_str_is(filtered.id, "18446744073709551615"));
    assert_true(lh_str_is(filtered.condition.text, "{\"a\":1}"));
    assert_true(filtered.refine == 2.5 && !filtered.metadata);
}

/* ---- raw bodies ---- */

static const float raw_vector[] = {1, 2.5F, -3};

LH_TEST(raw_items_are_read)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096);
    LH_AUTO_BATCH struct lh_batch numbers = LH_BATCH_INIT(0);
    for (uint64_t id = UINT64_MAX - 1; id != 2; id++) {
        lh_buf_append(&body, &id, sizeof(id));
        lh_buf_append(&body, raw_vector, sizeof(raw_vector));
    }
    size_t len = body.len;
    assert_int_equal(lh_body_raw_items(body.data, len, LH_RAW_IDS_U64, &limits, &numbers, &err),
                     LH_OK);
    assert_int_equal(numbers.count, 4);
    assert_true(lh_str_is(numbers.changes[1].id, "18446744073709551615"));
    assert_true(lh_str_is(numbers.changes[2].id, "0"));
    assert_true(numbers.changes[3].vector[1] == 2.5F);
    for (size_t cut = 1; cut < 20; cut++) {
        LH_AUTO_BATCH struct lh_batch bad = LH_BATCH_INIT(0);
        assert_int_equal(
            lh_body_raw_items(body.data, len - cut, LH_RAW_IDS_U64, &limits, &bad, &err),
            LH_INVALID);
        assert_non_null(strstr(err.message, "within item 3"));
    }
}

LH_TEST(raw_items_with_texts_are_read)
{
    static const char *const ids[] = {"a", "ab", "abc", "abcd", "\xc3\xa9"};
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf body = LH_BUF_INIT(4096);
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    for (size_t i = 0; i < LH_COUNT(ids); i++) {
        uint16_t len = (uint16_t)strlen(ids[i]);
        lh_buf_append(&body, &len, sizeof(len));
        lh_buf_append(&body, ids[i], len);
        while (body.len % 4 != 0)
            lh_buf_append_char(&body, '\0');
        lh_buf_append(&body, raw_vector, sizeof(raw_vector));
    }
    assert_int_equal(lh_body_raw_items(body.data, body.len, LH_RAW_IDS_TEXT, &limits, &batch, &err),
                     LH_OK);
    assert_int_equal(batch.count, LH_COUNT(ids));
    for (size_t i = 0; i < LH_COUNT(ids); i++) {
        assert_true(lh_str_is(batch.changes[i].id, ids[i]));
        assert_true(batch.changes[i].vector[2] == -3);
    }
    body.data[0] = 0; /* the first id's length */
    LH_AUTO_BATCH struct lh_batch bad = LH_BATCH_INIT(0);
    assert_int_equal(lh_body_raw_items(body.data, body.len, LH_RAW_IDS_TEXT, &limits, &bad, &err),
                     LH_INVALID_VECTOR);
}

LH_TEST(raw_queries_are_read)
{
    static const float bad_vector[] = {1, INFINITY, 0};
    struct lh_error err = LH_ERROR_INIT;
    float rows[18];
    for (size_t i = 0; i < LH_COUNT(rows); i++)
        rows[i] = (float)i;
    const struct {
        const void *bytes;
        size_t len;
        lh_code code;
    } cases[] = {{rows, 12, LH_OK},
                 {rows, 60, LH_OK},
                 {rows, 72, LH_TOO_LARGE},
                 {rows, 11, LH_INVALID},
                 {rows, 13, LH_INVALID},
                 {rows, 0, LH_INVALID},
                 {bad_vector, 12, LH_INVALID_VECTOR}};
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        LH_AUTO_SEARCH_REQUEST struct lh_search_request request = {0};
        lh_str body = lh_str_of(cases[i].bytes, cases[i].len);
        assert_int_equal(lh_body_raw_queries(body, &limits, &request, &err), cases[i].code);
        if (cases[i].code == LH_OK)
            assert_int_equal(request.count, cases[i].len / 12);
    }
}

LH_TEST(bad_searches_are_refused)
{
    static const struct bad_body cases[] = {
        {"{}", LH_INVALID, "one of 'vector', 'vectors' and 'id'"},
        {"{\"vector\":[1,2,3],\"id\":\"a\"}", LH_INVALID, "one of"},
        {"{\"vector\":[1,2]}", LH_INVALID_VECTOR, "query 0: its vector has 2 components"},
        {"{\"vectors\":[[1,2,3],[1,2]]}", LH_INVALID_VECTOR, "query 1"},
        {"{\"vectors\":[1,2,3]}", LH_INVALID_VECTOR, "query 0: its vector is not an array"},
        {"{\"vector\":[1,2,NaN]}", LH_INVALID_VECTOR, "not finite"},
        {"{\"vectors\":[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}", LH_TOO_LARGE, "most 5"},
        {"{\"vector\":[1,2,3],\"k\":0}", LH_INVALID, "'k' is 0; 1 to 100"},
        {"{\"vector\":[1,2,3],\"k\":101}", LH_INVALID, "'k' is 101"},
        {"{\"vector\":[1,2,3],\"k\":-1}", LH_INVALID, "whole number"},
        {"{\"vector\":[1,2,3],\"k\":1.5}", LH_INVALID, "whole number"},
        {"{\"vector\":[1,2,3],\"k\":\"3\"}", LH_INVALID, "whole number"},
        {"{\"vector\":[1,2,3],\"k\":99999999999999999999999}", LH_INVALID, "whole number"},
        {"{\"vector\":[1,2,3],\"ef\":201}", LH_INVALID, "'ef' is 201"},
        {"{\"vector\":[1,2,3],\"exact\":1}", LH_INVALID, "true or false"},
        {"{\"vector\":[1,2,3],\"filter\":{\"a\":{\"$gr\":1}}}", LH_INVALID, "at 'a.$gr'"},
        {"{\"vector\":[1,2,3],\"filter\":[]}", LH_INVALID, "the filter: an object"},
        {"{\"vector\":[1,2,3],\"refine\":0.5}", LH_INVALID, "'refine' is a number from 1"},
        {"{\"vector\":[1,2,3],\"refine\":\"2\"}", LH_INVALID, "'refine' is a number"},
        {"{\"vector\":[1,2,3],\"metadata\":1}", LH_INVALID, "true or false"},
        {"{\"vector\":[1,2,3],\"top\":3}", LH_INVALID, "no member 'top'"},
        {"{\"id\":7.5}", LH_INVALID_VECTOR, "neither a string"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        struct lh_error err = LH_ERROR_INIT;
        struct lh_search_request request = {0};
        lh_code code = lh_body_search(lh_str_from(cases[i].body), &limits, &request, &err);
        if (code != cases[i].code || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s\ngives %s: %s", cases[i].body, lh_code_word(code), err.message);
    }
}

/* ---- against jansson ---- */

/* A random value; about one byte in a hundred texts is wrong. */
static void random_value(struct lh_random *random, unsigned depth, struct lh_buf *out)
{
    static const char *const atoms[] = {
        "0",      "-1",   "12.5", "1e3",   "1E-2",    "-0.0",        "true",
        "false",  "null", "\"\"", "\"a\"", "\"\\n\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"",
        "01",     "1.",   ".5",   "+1",    "tru",     "\"\\q\"",     "\"\\ud800\"",
        "\"\t\"", "NaN",
    };
    enum { GOOD_ATOMS = 14 };
    uint64_t choice = lh_random_below(random, depth > 4 ? 2 : 4);
    if (choice < 2) {
        size_t last = lh_random_below(random, 40) == 0 ? LH_COUNT(atoms) : GOOD_ATOMS;
        lh_buf_append_cstr(out, atoms[lh_random_below(random, last)]);
        return;
    }
    size_t count = lh_random_below(random, 4);
    lh_buf_append_cstr(out, choice == 2 ? "[" : " {");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            lh_buf_append_cstr(out, lh_random_below(random, 60) == 0 ? ",," : " ,\n");
        if (choice == 3)
            lh_buf_printf(out, "\"k%zu\" :\t", i);
        random_value(random, depth + 1, out);
    }
    lh_buf_append_cstr(out, choice == 2 ? "]" : "}\r\n");
}

LH_TEST(the_scanner_agrees_with_jansson)
{
    struct lh_random random = lh_random_start();
    int accepted = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(1 << 20);
        random_value(&random, 0, &text);
        if (lh_random_below(&random, 20) == 0 && text.len > 1)
            text.len = lh_random_below(&random, text.len); /* cut off */
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
        struct lh_scan scan = lh_scan_start(lh_buf_str(&text), &arena);
        lh_str value;
        bool ours =
            lh_scan_value(&scan, &value, &err) == LH_OK && lh_scan_end(&scan, &err) == LH_OK;
        LH_AUTO_JSON json_t *root = NULL;
        bool theirs = lh_json_parse(lh_buf_str(&text), &root, &err) == LH_OK;
        if (ours != theirs)
            fail_msg("ours %d, jansson %d: %.*s", ours, theirs, (int)text.len, text.data);
        accepted += ours;
        refused += !ours;
        if (!ours)
            continue;
        /* What is made compact means the same. */
        LH_AUTO_FREE char *compact = lh_malloc(value.len + 1);
        size_t len = lh_scan_compact(value, compact);
        LH_AUTO_JSON json_t *again = NULL;
        assert_int_equal(lh_json_parse(lh_str_of(compact, len), &again, &err), LH_OK);
        assert_true(json_equal(root, again));
    }
    assert_true(accepted > 1000 && refused > 1000);
}

LH_TEST(strings_agree_with_jansson)
{
    struct lh_random random = lh_random_start();
    static const char *const parts[] = {
        "a",       "\\n",     "\\\"",           "\\\\",     "\\/",         "\\u0041",
        "\\u00e9", "\\u20ac", "\\ud83d\\ude00", "\xc3\xa9", "\\b\\f\\r\\t"};
    for (int round = 0; round < 5000; round++) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(4096);
        lh_buf_append_char(&text, '"');
        for (uint64_t i = lh_random_below(&random, 10); i > 0; i--)
            lh_buf_append_cstr(&text, parts[lh_random_below(&random, LH_COUNT(parts))]);
        lh_buf_append_char(&text, '"');
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
        struct lh_scan scan = lh_scan_start(lh_buf_str(&text), &arena);
        lh_str ours;
        assert_int_equal(lh_scan_string(&scan, &ours, &err), LH_OK);
        LH_AUTO_JSON json_t *root = NULL;
        assert_int_equal(lh_json_parse(lh_buf_str(&text), &root, &err), LH_OK);
        assert_true(lh_str_eq(ours, lh_str_of(json_string_value(root), json_string_length(root))));
    }
}

LH_TEST(vectors_agree_with_jansson)
{
    struct lh_random random = lh_random_start();
    for (int round = 0; round < 5000; round++) {
        LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(4096);
        lh_buf_printf(&text, "{\"vector\":[%.9g,%.*g,%.3f]}", lh_random_f64(&random) * 2 - 1,
                      (int)lh_random_below(&random, 17) + 1,
                      ldexp(lh_random_f64(&random) - 0.5, (int)lh_random_below(&random, 80) - 40),
                      lh_random_f64(&random) * 1000);
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_SEARCH_REQUEST struct lh_search_request request = {0};
        assert_int_equal(lh_body_search(lh_buf_str(&text), &limits, &request, &err), LH_OK);
        LH_AUTO_JSON json_t *root = NULL;
        assert_int_equal(lh_json_parse(lh_buf_str(&text), &root, &err), LH_OK);
        json_t *vector = json_object_get(root, "vector");
        for (size_t i = 0; i < 3; i++) {
            float theirs = (float)json_number_value(json_array_get(vector, i));
            /* Theirs is rounded twice, to double and to float. */
            assert_true(request.vectors[i] == theirs ||
                        request.vectors[i] == nextafterf(theirs, request.vectors[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_read),
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(bad_items_are_named),
        cmocka_unit_test(limits_of_a_batch),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(zero_vectors_depend_on_the_metric),
        cmocka_unit_test(deletes_are_read),
        cmocka_unit_test(searches_are_read),
        cmocka_unit_test(bad_searches_are_refused),
        cmocka_unit_test(raw_items_are_read),
        cmocka_unit_test(raw_items_with_texts_are_read),
        cmocka_unit_test(raw_queries_are_read),
        cmocka_unit_test(the_scanner_agrees_with_jansson),
        cmocka_unit_test(strings_agree_with_jansson),
        cmocka_unit_test(vectors_agree_with_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
