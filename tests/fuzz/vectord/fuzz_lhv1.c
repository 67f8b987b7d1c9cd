/*
 * The reader of snapshots. The first byte chooses: the rest as an object whose envelope gets a
 * right checksum; or the rest as changes to the arrays of a sound index, written with right
 * checksums, so that the checks behind them are reached. What is accepted must satisfy the
 * validator.
 */
#include <string.h>

#include "base/check.h"
#include "vectord/lhv1_private.h"

static const struct lh_vindex_config config = {.name = "docs",
                                               .dimension = 3,
                                               .m = 4,
                                               .ef_construction = 10,
                                               .uuid = "0190f3a2-7c1e-7000-8000-0123456789ab"};

static struct lh_vindex *make_index(void)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = NULL;
    struct lh_builder *builder = lh_builder_new(1);
    LH_CHECK(lh_vindex_new(&config, NULL, 1 << 20, &index, &err) == LH_OK);
    for (int i = 0; i < 40; i++) {
        char id[16];
        const float vector[3] = {(float)(i * 7 % 11), (float)(i % 5), 1};
        const struct lh_vindex_need need = {1, 16, 2};
        snprintf(id, sizeof(id), "%d", i % 35);
        LH_CHECK(lh_vindex_reserve(index, &need, &err) == LH_OK);
        lh_vindex_upsert(index, lh_str_from(id), vector, LH_STR("{}"), builder);
    }
    lh_builder_free(builder);
    return index;
}

/* The object of an index whose arrays were changed: section, offset and value of each byte. */
static void make_lies(const uint8_t *data, size_t size, struct lh_buf *out)
{
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = make_index();
    struct lh_frozen *frozen = NULL;
    LH_CHECK(lh_frozen_new(index, 9, &frozen, &err) == LH_OK);
    for (; size >= 4; data += 4, size -= 4) {
        size_t section = data[0] % LH_SECTION_COUNT;
        size_t at = data[1] | (size_t)data[2] << 8;
        if (at < frozen->bytes[section]) /* ours alone: nobody else reads this index */
            ((uint8_t *)(uintptr_t)frozen->data[section])[at] = data[3];
    }
    struct lh_lhv1_writer writer;
    lh_lhv1_writer_init(&writer, frozen);
    size_t len;
    char *room = lh_buf_reserve(out, writer.bytes);
    LH_CHECK(lh_lhv1_writer_read(&writer, room, writer.bytes, &len, &err) == LH_OK);
    lh_buf_commit(out, len);
    lh_lhv1_writer_deinit(&writer);
    lh_frozen_free(frozen);
    lh_vindex_unref(index);
}

static void seal(struct lh_buf *object)
{
    uint64_t sum;
    size_t digits;
    if (object->len < LH_LHV1_PREFIX_BYTES)
        return;
    const uint8_t *length = (const uint8_t *)object->data + 4;
    size_t len = (size_t)length[2] << 8 | length[3];
    if (len > object->len - LH_LHV1_PREFIX_BYTES ||
        !lh_lhv1_envelope_sum(lh_str_of(object->data + LH_LHV1_PREFIX_BYTES, len), &sum, &digits))
        return;
    char text[LH_LHV1_SUM_DIGITS + 1];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    memcpy(object->data + LH_LHV1_PREFIX_BYTES + digits, text, LH_LHV1_SUM_DIGITS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    LH_AUTO_BUF struct lh_buf object = LH_BUF_INIT((size_t)1 << 20);
    if (data[0] % 2 == 0) {
        lh_buf_append(&object, data + 1, size - 1);
        seal(&object);
    } else {
        make_lies(data + 1, size - 1, &object);
    }
    struct lh_budget budget = {.bytes_max = 16 << 20};
    const struct lh_lhv1_limits limits = {
        .name = "docs", .budget = &budget, .reserve_bytes = 1 << 20};
    struct lh_lhv1_reader *reader = lh_lhv1_reader_new(&limits);
    struct lh_error err = LH_ERROR_INIT;
    struct lh_vindex *index = NULL;
    uint64_t sequence;
    lh_code code = lh_lhv1_reader_feed(reader, object.data, object.len, &err);
    if (code == LH_OK)
        code = lh_lhv1_reader_finish(reader, &index, &sequence, &err);
    LH_CHECK(code == LH_OK || code == LH_CORRUPT || code == LH_INDEX_MEMORY);
    if (code == LH_OK)
        LH_CHECK(lh_hnsw_check_links(&index->graph, &err) == LH_OK);
    lh_vindex_unref(index);
    lh_lhv1_reader_free(reader);
    LH_CHECK(budget.used_bytes == 0);
    return 0;
}
