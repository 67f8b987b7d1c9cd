#include "vectord/fields.h"

#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sample.h"
#include "support/cmocka.h"

enum { DIM = 4 };

static struct lh_vindex *make_index(struct lh_budget *budget)
{
    struct lh_error err = LH_ERROR_INIT;
    const struct lh_vindex_config config = {.name = "docs",
                                            .dimension = DIM,
                                            .metric = LH_METRIC_L2,
                                            .m = 4,
                                            .ef_construction = 8,
                                            .seed = 42,
                                            .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab"};
    struct lh_vindex *index = NULL;
    assert_int_equal(lh_vindex_new(&config, budget, 64 << 20, &index, &err), LH_OK);
    return index;
}

/* Items with metadata of every kind, some of it missing. */
static void add_items(struct lh_vindex *index, struct lh_random *random, size_t count)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_builder *builder = lh_builder_new(1);
    for (size_t i = 0; i < count; i++) {
        char id[32], metadata[200];
        const float vector[DIM] = {(float)lh_random_f64(random), (float)lh_random_f64(random),
                                   (float)lh_random_f64(random), (float)lh_random_f64(random)};
        uint64_t number = lh_random_below(random, 1000);
        snprintf(id, sizeof(id), "%zu", (size_t)index->graph.count);
        int len = 0;
        if (number % 10 > 0)
            len = snprintf(
                metadata, sizeof(metadata),
                "{\"n\":%llu,\"unique\":%u,\"kind\":\"k%llu\",\"tags\":[%llu,\"t%llu\"]%s}",
                (unsigned long long)number, index->graph.count, (unsigned long long)number % 7,
                (unsigned long long)number % 3, (unsigned long long)number % 5,
                number % 4 == 0 ? ",\"deep\":{\"flag\":true}" : "");
        const struct lh_vindex_need need = {1, strlen(id), (uint64_t)len};
        assert_int_equal(lh_vindex_reserve(index, &need, &err), LH_OK);
        lh_vindex_upsert(index, lh_str_from(id), vector, lh_str_of(metadata, (size_t)len), builder);
    }
    lh_builder_free(builder);
}

static const char *const filters[] = {
    "{\"kind\":\"k3\"}",
    "{\"kind\":{\"$in\":[\"k1\",\"k2\",\"nope\"]},\"n\":{\"$lt\":500}}",
    "{\"n\":{\"$gte\":100,\"$lt\":110}}",
    "{\"unique\":{\"$gt\":777}}",
    "{\"unique\":63}",
    "{\"$or\":[{\"tags\":0},{\"tags\":\"t4\"},{\"deep.flag\":true}]}",
    "{\"$not\":{\"deep\":{\"$exists\":true}}}",
    "{\"kind\":{\"$ne\":\"k0\"}}",
    "{\"absent\":{\"$exists\":false}}",
    "{\"absent\":1}",
    ("{\"$and\":[{\"$not\":{\"$or\":[{\"kind\":\"k1\"},{\"kind\":\"k2\"}]}},"
     "{\"tags\":{\"$gte\":1}}]}"),
};

/* Every slot is in the set exactly when the filter holds for its metadata. */
static void check_filter(struct lh_vindex *index, const char *text, uint32_t slots)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    LH_AUTO_SLOT_SET struct lh_slot_set set = {0};
    const struct lh_filter *filter = NULL;
    lh_str key = lh_str_from(text);
    assert_int_equal(lh_filter_parse(key, &arena, &filter, &err), LH_OK);
    assert_int_equal(lh_fields_select(index, slots, filter, key, &set, &err), LH_OK);
    assert_int_equal(set.slots, slots);
    for (uint32_t slot = 0; slot < slots; slot++) {
        bool in_set = set.words[slot / 64] >> slot % 64 & 1;
        if (in_set != lh_filter_holds(filter, lh_vindex_metadata(index, slot)))
            fail_msg("%s: slot %u is %s the set", text, slot, in_set ? "in" : "not in");
    }
    if (slots % 64 > 0)
        assert_int_equal(set.words[slots / 64] >> slots % 64, 0);
}

LH_TEST(indexes_agree_with_the_filter)
{
    static const size_t steps[] = {1, 62, 1, 1, 63, 1000, 1, 5000, 3};
    struct lh_random random = lh_random_start();
    struct lh_vindex *index = make_index(NULL);
    check_filter(index, filters[0], 0);
    for (size_t step = 0; step < LH_COUNT(steps); step++) {
        add_items(index, &random, steps[step]);
        for (size_t i = 0; i < LH_COUNT(filters); i++)
            check_filter(index, filters[i], index->graph.count);
    }
    for (size_t i = 0; i < LH_COUNT(filters); i++) /* a moment that is over already */
        check_filter(index, filters[i], index->graph.count - 70);
    lh_vindex_unref(index);
}

/* More filters and more fields than are kept. */
LH_TEST(the_oldest_make_room)
{
    struct lh_random random = lh_random_start();
    struct lh_budget budget = {.bytes_max = 1 << 30};
    struct lh_vindex *index = make_index(&budget);
    add_items(index, &random, 500);
    for (int i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"f%d\":{\"$exists\":false},\"n\":{\"$gt\":%d}}", i, i);
        check_filter(index, text, index->graph.count);
    }
    assert_in_range(lh_fields_bytes(index), 500 * 4, 1 << 20);
    lh_vindex_unref(index);
    assert_int_equal(atomic_load(&budget.used_bytes), 0);
}

LH_TEST(one_filter_has_so_many_fields)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_random random = lh_random_start();
    struct lh_vindex *index = make_index(NULL);
    add_items(index, &random, 10);
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(1 << 20);
    lh_buf_append_char(&text, '{');
    for (int i = 0; i < 65; i++)
        lh_buf_printf(&text, "%s\"f%d\":1", i > 0 ? "," : "", i);
    lh_buf_append_char(&text, '}');
    LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
    const struct lh_filter *filter = NULL;
    struct lh_slot_set set = {0};
    assert_int_equal(lh_filter_parse(lh_buf_str(&text), &arena, &filter, &err), LH_OK);
    assert_int_equal(lh_fields_select(index, 10, filter, lh_buf_str(&text), &set, &err),
                     LH_INVALID);
    check_filter(index, filters[0], 10);
    lh_vindex_unref(index);
}

/* A budget that is used up is a failure, and everything is as before. */
LH_TEST(the_budget_counts)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_random random = lh_random_start();
    struct lh_budget budget = {.bytes_max = 1 << 30};
    struct lh_vindex *index = make_index(&budget);
    add_items(index, &random, 3000);
    uint64_t used = atomic_load(&budget.used_bytes);
    for (uint64_t room = 0; room < 200000; room += 7919) {
        LH_AUTO_ARENA struct lh_arena arena = LH_ARENA_INIT(1 << 20);
        LH_AUTO_SLOT_SET struct lh_slot_set set = {0};
        const struct lh_filter *filter = NULL;
        lh_str key = lh_str_from(filters[3]);
        budget.bytes_max = used + room;
        assert_int_equal(lh_filter_parse(key, &arena, &filter, &err), LH_OK);
        lh_code code = lh_fields_select(index, 3000, filter, key, &set, &err);
        assert_true(code == LH_INDEX_MEMORY || (code == LH_OK && room > 3000 * 4));
        assert_true(atomic_load(&budget.used_bytes) <= budget.bytes_max);
    }
    budget.bytes_max = 1 << 30;
    check_filter(index, filters[3], 3000);
    assert_int_equal(atomic_load(&budget.used_bytes), used + lh_fields_bytes(index));
    lh_vindex_unref(index);
    assert_int_equal(atomic_load(&budget.used_bytes), 0);
}

static void *ask(void *ctx)
{
    struct lh_vindex *index = ctx;
    for (size_t i = 0; i < 3 * LH_COUNT(filters); i++)
        check_filter(index, filters[i % LH_COUNT(filters)], index->graph.count - (uint32_t)i);
    return NULL;
}

LH_TEST(threads_ask_at_the_same_time)
{
    struct lh_random random = lh_random_start();
    struct lh_vindex *index = make_index(NULL);
    pthread_t threads[4];
    add_items(index, &random, 2000);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, index), 0);
    for (size_t i = 0; i < LH_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    lh_vindex_unref(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_agree_with_the_filter), cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(one_filter_has_so_many_fields), cmocka_unit_test(the_budget_counts),
        cmocka_unit_test(threads_ask_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
