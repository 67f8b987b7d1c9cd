#include "vectord/lhv1.h"

#include <string.h>

#include "base/os.h"
#include "sample.h"
#include "support/cmocka.h"

enum { DIM = 9, COUNT = 700 };

static struct lh_vindex_config make_config(enum lh_metric metric)
{
    return (struct lh_vindex_config){.name = "docs",
                                     .dimension = DIM,
                                     .metric = metric,
                                     .m = 8,
                                     .ef_construction = 60,
                                     .seed = 42,
                                     .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab",
                                     .created_ms = 1700000000123};
}

static const struct lh_lhv1_limits limits = {.name = "docs", .reserve_bytes = 64 << 20};

/* An index with updates, deletes and some metadata. */
static struct lh_vindex *make_index(enum lh_metric metric, size_t count)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex_config config = make_config(metric);
    struct lh_vindex *index = NULL;
    assert_int_equal(lh_vindex_new(&config, NULL, 64 << 20, &index, &err), LH_OK);
    struct lh_random random = lh_random_start();
    struct lh_builder *builder = lh_builder_new(1);
    LH_AUTO_FREE float *vectors = sample_vectors(&random, count + 1, DIM);
    for (size_t i = 0; i < count; i++) {
        char id[32], metadata[64] = "";
        snprintf(id, sizeof(id), "item-%llu", (unsigned long long)lh_random_below(&random, count));
        if (i % 3 == 0)
            snprintf(metadata, sizeof(metadata), "{\"number\":%zu}", i);
        const struct lh_vindex_need need = {1, sizeof(id), sizeof(metadata)};
        assert_int_equal(lh_vindex_reserve(index, &need, &err), LH_OK);
        assert_null(lh_vector_prepare(vectors + i * DIM, DIM, metric));
        lh_vindex_upsert(index, lh_str_from(id), vectors + i * DIM, lh_str_from(metadata), builder);
        if (i % 7 == 0)
            lh_vindex_delete(index, lh_str_from(id));
    }
    lh_builder_free(builder);
    return index;
}

/* The whole object, read in pieces of a size. */
static void write_object(struct lh_vindex *index, uint64_t sequence, size_t piece,
                         struct lh_buf *out)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_frozen *frozen = NULL;
    assert_int_equal(lh_frozen_new(index, sequence, &frozen, &err), LH_OK);
    struct lh_lhv1_writer writer;
    lh_lhv1_writer_init(&writer, frozen);
    size_t len = 1;
    while (len > 0) {
        char *room = lh_buf_reserve(out, piece);
        assert_non_null(room);
        assert_int_equal(lh_lhv1_writer_read(&writer, room, piece, &len, &err), LH_OK);
        lh_buf_commit(out, len);
    }
    assert_int_equal(out->len, writer.bytes);
    lh_lhv1_writer_deinit(&writer);
    lh_frozen_free(frozen);
}

static lh_code read_object(lh_str object, size_t piece, struct lh_vindex **ret_index,
                           uint64_t *ret_sequence, struct lh_error *err)
{
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&limits);
    lh_code code = LH_OK;
    while (object.len > 0 && code == LH_OK) {
        size_t len = object.len < piece ? object.len : piece;
        code = lh_lhv1_reader_feed(reader, object.ptr, len, err);
        object = lh_str_skip(object, len);
    }
    if (code == LH_OK)
        code = lh_lhv1_reader_finish(reader, ret_index, ret_sequence, err);
    lh_lhv1_reader_free(reader);
    return code;
}

static void assert_same(const struct lh_vindex *a, const struct lh_vindex *b)
{
    assert_int_equal(a->graph.count, b->graph.count);
    assert_int_equal(lh_vindex_live(a), lh_vindex_live(b));
    for (uint32_t slot = 0; slot < a->graph.count; slot++) {
        assert_true(lh_str_eq(lh_vindex_id(a, slot), lh_vindex_id(b, slot)));
        assert_true(lh_str_eq(lh_vindex_metadata(a, slot), lh_vindex_metadata(b, slot)));
        assert_int_equal(lh_hnsw_is_dead(&a->graph, slot), lh_hnsw_is_dead(&b->graph, slot));
        assert_memory_equal(lh_hnsw_vector(&a->graph, slot), lh_hnsw_vector(&b->graph, slot),
                            DIM * sizeof(float));
    }
}

static void assert_refused(lh_str object, const char *what, size_t where)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *loaded = NULL;
    uint64_t sequence;
    lh_code code = read_object(object, 1 << 20, &loaded, &sequence, &err);
    if (code != LH_CORRUPT && code != LH_INDEX_MEMORY)
        fail_msg("%s at %zu gives %s: %s", what, where, lh_code_word(code), err.message);
}

LH_TEST(round_trip_in_pieces_of_any_size)
{
    const size_t pieces[] = {1, 7, 4096, 100000, 1 << 20};
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, COUNT);
    for (size_t i = 0; i < LH_COUNT(pieces); i++) {
        struct lh_error err = LH_ERROR_INIT;
        LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
        write_object(index, 77, pieces[i], &object);
        struct lh_vindex *loaded = NULL;
        uint64_t sequence = 0;
        if (read_object(lh_buf_str(&object), pieces[i], &loaded, &sequence, &err) != LH_OK)
            fail_msg("%s", err.message);
        assert_int_equal(sequence, 77);
        assert_int_equal(lh_vindex_check(loaded, &err), LH_OK);
        assert_same(index, loaded);
        assert_string_equal(index->config.uuid, loaded->config.uuid);
        assert_int_equal(index->config.seed, loaded->config.seed);
        assert_int_equal(index->config.metric, loaded->config.metric);
        assert_int_equal(index->config.m, loaded->config.m);
        assert_int_equal(index->config.ef_construction, loaded->config.ef_construction);
        assert_int_equal(index->config.created_ms, loaded->config.created_ms);
        lh_vindex_unref(loaded);
    }
    lh_vindex_unref(index);
}

LH_TEST(an_empty_index_is_one_page)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = make_index(LH_METRIC_IP, 0);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(1 << 20);
    write_object(index, 0, 4096, &object);
    assert_int_equal(object.len, 4096);
    assert_memory_equal(object.data, "LHV1\0\0\x0f\xf8{", 9);
    struct lh_vindex *loaded = NULL;
    uint64_t sequence = 1;
    assert_int_equal(read_object(lh_buf_str(&object), 100, &loaded, &sequence, &err), LH_OK);
    assert_int_equal(sequence, 0);
    assert_int_equal(lh_vindex_live(loaded), 0);
    lh_vindex_unref(loaded);
    lh_vindex_unref(index);
}

/* Codes and their scale come back as they were; a search finds the same. */
LH_TEST(codes_come_back)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = make_index(LH_METRIC_L2, 9000);
    assert_non_null(index->graph.codes);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(16 << 20);
    write_object(index, 5, 100000, &object);
    struct lh_vindex *loaded = NULL;
    uint64_t sequence;
    if (read_object(lh_buf_str(&object), 70000, &loaded, &sequence, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(lh_vindex_check(loaded, &err), LH_OK);
    const struct lh_codes *before = index->graph.codes, *after = loaded->graph.codes;
    assert_non_null(after);
    assert_true(before->scale.low == after->scale.low && before->scale.step == after->scale.step);
    assert_int_equal(before->scale.level_max, after->scale.level_max);
    assert_memory_equal(before->rows.base, after->rows.base,
                        index->graph.count * before->row_bytes);
    lh_vindex_unref(loaded);
    lh_vindex_unref(index);
}

/* As it was written before there were codes. */
LH_TEST(version_1_is_still_read)
{
    struct lh_error err = LH_ERROR_INIT;
    char path[512];
    const char *end = strstr(__FILE__, "tests/unit/");
    assert_non_null(end);
    snprintf(path, sizeof(path), "%.*stests/data/version-1.lhv1", (int)(end - __FILE__), __FILE__);
    LH_AUTO_FREE char *bytes = NULL;
    size_t len = 0;
    assert_int_equal(lh_read_file(path, 1 << 20, &bytes, &len, &err), LH_OK);
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, 60), *loaded = NULL;
    uint64_t sequence = 0;
    if (read_object(lh_str_of(bytes, len), 4096, &loaded, &sequence, &err) != LH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(sequence, 3);
    assert_int_equal(lh_vindex_check(loaded, &err), LH_OK);
    assert_int_equal(loaded->config.quantization, LH_QUANTIZATION_AUTO);
    assert_same(index, loaded);
    lh_vindex_unref(loaded);
    lh_vindex_unref(index);
    for (size_t at = 0; at < len; at += 7) {
        bytes[at] = (char)(bytes[at] ^ 4);
        assert_refused(lh_str_of(bytes, len), "a flipped bit", at);
        bytes[at] = (char)(bytes[at] ^ 4);
    }
}

/* A loaded index goes on as the one it was written from. */
LH_TEST(a_loaded_index_takes_changes)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = make_index(LH_METRIC_L2, COUNT);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
    write_object(index, 5, 4096, &object);
    struct lh_vindex *loaded = NULL;
    uint64_t sequence;
    assert_int_equal(read_object(lh_buf_str(&object), 4096, &loaded, &sequence, &err), LH_OK);
    struct lh_vindex *both[] = {index, loaded};
    struct lh_builder *builder = lh_builder_new(1);
    for (size_t i = 0; i < 2; i++) {
        struct lh_random random = {99};
        LH_AUTO_FREE float *vectors = sample_vectors(&random, 300, DIM);
        for (size_t j = 0; j < 300; j++) {
            char id[32];
            snprintf(id, sizeof(id), "more-%zu", j);
            const struct lh_vindex_need need = {1, sizeof(id), 0};
            assert_int_equal(lh_vindex_reserve(both[i], &need, &err), LH_OK);
            lh_vindex_upsert(both[i], lh_str_from(id), vectors + j * DIM, LH_STR_NONE, builder);
        }
        assert_int_equal(lh_vindex_check(both[i], &err), LH_OK);
    }
    lh_builder_free(builder);
    assert_same(index, loaded);
    assert_memory_equal(index->graph.links0.base, loaded->graph.links0.base,
                        index->graph.count * 16 * sizeof(int32_t));
    lh_vindex_unref(loaded);
    lh_vindex_unref(index);
}

/* Changes after the freeze are not in the object. */
LH_TEST(a_frozen_index_stays_as_it_was)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = make_index(LH_METRIC_L2, COUNT);
    LH_AUTO_BUF struct lh_buf before = LH_BUF_INIT(4 << 20);
    write_object(index, 5, 4096, &before);
    struct lh_frozen *frozen = NULL;
    assert_int_equal(lh_frozen_new(index, 5, &frozen, &err), LH_OK);
    struct lh_builder *builder = lh_builder_new(1);
    const float vector[DIM] = {1, 2, 3};
    for (uint32_t i = 0; i < 200; i++) {
        char id[32];
        snprintf(id, sizeof(id), "item-%u", i);
        const struct lh_vindex_need need = {1, sizeof(id), 0};
        assert_int_equal(lh_vindex_reserve(index, &need, &err), LH_OK);
        lh_vindex_upsert(index, lh_str_from(id), vector, LH_STR_NONE, builder);
    }
    lh_builder_free(builder);
    struct lh_lhv1_writer writer;
    lh_lhv1_writer_init(&writer, frozen);
    LH_AUTO_FREE char *bytes = lh_malloc(before.len + 1);
    size_t len;
    assert_int_equal(lh_lhv1_writer_read(&writer, bytes, before.len + 1, &len, &err), LH_OK);
    assert_int_equal(len, before.len);
    assert_memory_equal(bytes, before.data, len);
    lh_lhv1_writer_deinit(&writer);
    lh_frozen_free(frozen);
    lh_vindex_unref(index);
}

LH_TEST(every_flipped_bit_is_seen)
{
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, 24);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
    write_object(index, 3, 4096, &object);
    lh_vindex_unref(index);
    /* Each bit of the envelope, each second one of the rest. */
    for (size_t at = 0; at < object.len; at++) {
        for (unsigned bit = at < 4096 ? 0 : at % 2; bit < 8; bit += at < 4096 ? 1 : 2) {
            object.data[at] = (char)(object.data[at] ^ (1 << bit));
            assert_refused(lh_buf_str(&object), "a flipped bit", at);
            object.data[at] = (char)(object.data[at] ^ (1 << bit));
        }
    }
}

LH_TEST(every_truncation_is_seen)
{
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, 24);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
    write_object(index, 3, 4096, &object);
    lh_vindex_unref(index);
    for (size_t len = 0; len < object.len; len++)
        assert_refused(lh_str_of(object.data, len), "a cut", len);
    lh_buf_append_char(&object, '\0');
    assert_refused(lh_buf_str(&object), "a byte too many", object.len);
}

LH_TEST(another_index_is_refused)
{
    struct lh_vindex *index = make_index(LH_METRIC_COSINE, 10);
    snprintf(index->config.name, sizeof(index->config.name), "other");
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
    write_object(index, 3, 4096, &object);
    lh_vindex_unref(index);
    assert_refused(lh_buf_str(&object), "another name", 0);
}

/* A file whose checksums are right may still lie: the links are checked one by one. */
LH_TEST(lies_under_a_right_checksum_are_seen)
{
    for (int lie = 0; lie < 5; lie++) {
        struct lh_vindex *index = make_index(LH_METRIC_L2, 200);
        int32_t *links = (int32_t *)(void *)index->graph.links0.base;
        switch (lie) {
        case 0:
            links[16 * 100] = 200;
            break;
        case 1:
            links[16 * 100] = -7;
            break;
        case 2:
            ((int32_t *)(void *)index->graph.parents.base)[150] = 160;
            break;
        case 3:
            ((float *)(void *)index->graph.vectors.base)[50 * 16] = INFINITY;
            break;
        case 4:
            ((uint64_t *)(void *)index->id_ends.base)[20] = 1;
            break;
        }
        LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
        write_object(index, 3, 4096, &object);
        assert_refused(lh_buf_str(&object), "a lie", (size_t)lie);
        lh_vindex_unref(index);
    }
}

LH_TEST(memory_is_bounded)
{
    struct lh_vindex *index = make_index(LH_METRIC_L2, COUNT);
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT(4 << 20);
    write_object(index, 3, 4096, &object);
    lh_vindex_unref(index);
    struct lh_budget budget = {.bytes_max = object.len / 2};
    struct lh_lhv1_limits tight = limits;
    tight.budget = &budget;
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&tight);
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_lhv1_reader_feed(reader, object.data, object.len, &err), LH_INDEX_MEMORY);
    lh_lhv1_reader_free(reader);
    assert_int_equal(budget.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_in_pieces_of_any_size),
        cmocka_unit_test(an_empty_index_is_one_page),
        cmocka_unit_test(codes_come_back),
        cmocka_unit_test(version_1_is_still_read),
        cmocka_unit_test(a_loaded_index_takes_changes),
        cmocka_unit_test(a_frozen_index_stays_as_it_was),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_truncation_is_seen),
        cmocka_unit_test(another_index_is_refused),
        cmocka_unit_test(lies_under_a_right_checksum_are_seen),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
