#include "vectord/log.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

enum { DIM = 5 };

static const struct lh_vindex_config config = {
    .name = "docs", .dimension = DIM, .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab"};

static const float vectors[3][DIM] = {{1, 2, 3, 4, 5}, {-1, 0.5F, 0, 0, 0}, {9, 9, 9, 9, 9}};

static void make_object(struct lh_buf *out)
{
    LH_AUTO_BATCH struct lh_batch first = LH_BATCH_INIT(0);
    LH_AUTO_BATCH struct lh_batch second = LH_BATCH_INIT(0);
    lh_batch_add(&first, &(struct lh_change){.kind = LH_CHANGE_UPSERT,
                                             .id = LH_STR("a"),
                                             .metadata = LH_STR("{\"x\":1}"),
                                             .vector = vectors[0]});
    lh_batch_add(&first, &(struct lh_change){.kind = LH_CHANGE_UPSERT,
                                             .id = LH_STR("\xc3\xa9t\xc3\xa9"),
                                             .vector = vectors[1]});
    lh_batch_add(&second, &(struct lh_change){.kind = LH_CHANGE_DELETE, .id = LH_STR("a")});
    lh_batch_add(&second, &(struct lh_change){.kind = LH_CHANGE_UPSERT,
                                              .id = LH_STR("abc"),
                                              .metadata = LH_STR("{}"),
                                              .vector = vectors[2]});
    lh_lhvl_begin(&config, out);
    lh_lhvl_append(&config, &first, out);
    lh_lhvl_append(&config, &second, out);
    lh_lhvl_seal(11, out);
    lh_lhvl_seal(12, out);
    assert_int_equal(out->len, LH_LHVL_EMPTY_BYTES + lh_lhvl_batch_bytes(&config, &first) +
                                   lh_lhvl_batch_bytes(&config, &second));
}

LH_TEST(round_trip)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4096);
    make_object(&object);
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_lhvl_head head;
    assert_int_equal(lh_lhvl_decode(lh_buf_str(&object), &config, &batch, &head, &err), LH_OK);
    assert_string_equal(head.uuid, config.uuid);
    assert_int_equal(head.sequence, 12);
    assert_int_equal(batch.count, 4);
    assert_int_equal(head.record_count, 4);
    assert_true(lh_str_is(batch.changes[0].metadata, "{\"x\":1}"));
    assert_true(lh_str_is(batch.changes[1].id, "\xc3\xa9t\xc3\xa9"));
    assert_int_equal(batch.changes[1].metadata.len, 0);
    assert_memory_equal(batch.changes[1].vector, vectors[1], sizeof(vectors[1]));
    assert_int_equal(batch.changes[2].kind, LH_CHANGE_DELETE);
    assert_null(batch.changes[2].vector);
    assert_memory_equal(batch.changes[3].vector, vectors[2], sizeof(vectors[2]));
}

LH_TEST(an_object_without_records)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4096);
    lh_lhvl_begin(&config, &object);
    lh_lhvl_seal(1, &object);
    assert_int_equal(object.len, LH_LHVL_EMPTY_BYTES);
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_lhvl_head head;
    assert_int_equal(lh_lhvl_decode(lh_buf_str(&object), &config, &batch, &head, &err), LH_OK);
    assert_int_equal(batch.count, 0);
}

static void assert_refused(lh_str object)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_lhvl_head head;
    assert_int_equal(lh_lhvl_decode(object, &config, &batch, &head, &err), LH_CORRUPT);
}

LH_TEST(every_flipped_bit_and_every_cut_is_seen)
{
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4096);
    make_object(&object);
    for (size_t bit = 0; bit < object.len * 8; bit++) {
        object.data[bit / 8] = (char)(object.data[bit / 8] ^ (1 << bit % 8));
        assert_refused(lh_buf_str(&object));
        object.data[bit / 8] = (char)(object.data[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t len = 0; len < object.len; len++)
        assert_refused(lh_str_of(object.data, len));
}

/* Damage under a right checksum: thousands of random changes, each sealed again. Whatever is
 * accepted must be whole. */
LH_TEST(random_damage_under_a_right_checksum)
{
    struct lh_random random = lh_random_start();
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4096);
    make_object(&object);
    LH_AUTO_FREE char *damaged = lh_malloc(object.len);
    for (int round = 0; round < 20000; round++) {
        struct lh_error err = LH_ERROR_INIT;
        memcpy(damaged, object.data, object.len);
        for (int i = 0; i < 3; i++)
            damaged[lh_random_below(&random, object.len)] = (char)lh_random_u64(&random);
        uint64_t sum = lh_xxh3(damaged, object.len - 8);
        memcpy(damaged + object.len - 8, &sum, 8);
        LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
        struct lh_lhvl_head head;
        if (lh_lhvl_decode(lh_str_of(damaged, object.len), &config, &batch, &head, &err) != LH_OK) {
            assert_int_equal(err.code, LH_CORRUPT);
            continue;
        }
        for (size_t i = 0; i < batch.count; i++) {
            const struct lh_change *change = &batch.changes[i];
            assert_in_range(change->id.len, 1, LH_ITEM_ID_MAX);
            assert_true(change->id.ptr + change->id.len <= damaged + object.len);
            for (size_t j = 0; change->vector != NULL && j < DIM; j++)
                assert_true(isfinite(change->vector[j]));
        }
    }
}

LH_TEST(another_index_is_refused)
{
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4096);
    make_object(&object);
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_BATCH struct lh_batch batch = LH_BATCH_INIT(0);
    struct lh_lhvl_head head;
    struct lh_vindex_config other = config;
    other.uuid[0] = '1';
    assert_int_equal(lh_lhvl_decode(lh_buf_str(&object), &other, &batch, &head, &err), LH_CORRUPT);
    other = config;
    other.dimension++;
    assert_int_equal(lh_lhvl_decode(lh_buf_str(&object), &other, &batch, &head, &err), LH_CORRUPT);
    assert_int_equal(lh_lhvl_head(lh_buf_str(&object), &head, &err), LH_OK);
    assert_int_equal(head.dimension, DIM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(an_object_without_records),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_seen),
        cmocka_unit_test(random_damage_under_a_right_checksum),
        cmocka_unit_test(another_index_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
