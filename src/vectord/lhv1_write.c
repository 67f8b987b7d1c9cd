/* Writing LHV1: freezing an index, its envelope, its bytes as a stream. */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "vectord/lhv1_private.h"

const char *const lh_section_names[LH_SECTION_COUNT] = {
    [LH_SECTION_SUMS] = "sums",
    [LH_SECTION_CODES] = "codes",
    [LH_SECTION_LINKS0] = "links0",
    [LH_SECTION_UPPER] = "upper",
    [LH_SECTION_LEVELS] = "levels",
    [LH_SECTION_PARENTS] = "parents",
    [LH_SECTION_TOMBSTONES] = "tombstones",
    [LH_SECTION_ID_ENDS] = "id_ends",
    [LH_SECTION_IDS] = "ids",
    [LH_SECTION_METADATA_ENDS] = "metadata_ends",
    [LH_SECTION_METADATA] = "metadata",
    [LH_SECTION_VECTORS] = "vectors",
};

/* ---- freezing ---- */

static void set_section(struct lh_frozen *frozen, enum lh_section section, const void *data,
                        uint64_t bytes)
{
    frozen->data[section] = data;
    frozen->bytes[section] = bytes;
}

/* A copy of what later changes will touch; NULL when there is no memory. */
static void *copy_of(const struct lh_rows *rows, uint64_t bytes)
{
    void *copy = lh_try_malloc(bytes + 1, 1);
    if (copy != NULL && bytes > 0)
        memcpy(copy, rows->base, bytes);
    return copy;
}

static uint64_t end_of(const struct lh_rows *ends, uint32_t count)
{
    return count == 0 ? 0 : ((const uint64_t *)(const void *)ends->base)[count - 1];
}

lh_code lh_frozen_new(struct lh_vindex *index, uint64_t sequence, struct lh_frozen **ret_frozen,
                      struct lh_error *err)
{
    const struct lh_hnsw *graph = &index->graph;
    uint64_t count = graph->count;
    uint64_t m = graph->options.m;
    uint64_t links0_bytes = count * 2 * m * sizeof(int32_t);
    uint64_t upper_bytes = graph->block_count * m * sizeof(int32_t);
    uint64_t dead_bytes = (count + 63) / 64 * sizeof(uint64_t);
    struct lh_frozen *frozen = lh_calloc(1, sizeof(*frozen));
    frozen->index = lh_vindex_ref(index);
    frozen->sequence = sequence;
    frozen->count = graph->count;
    frozen->dead_count = graph->dead_count;
    frozen->entry = graph->entry;
    frozen->entry_level = graph->entry_level;
    frozen->links0 = copy_of(&graph->links0, links0_bytes);
    frozen->upper = copy_of(&graph->upper, upper_bytes);
    frozen->dead = copy_of(&graph->dead, dead_bytes);
    if (frozen->links0 == NULL || frozen->upper == NULL || frozen->dead == NULL) {
        lh_frozen_free(frozen);
        return lh_fail(err, LH_NO_MEMORY, "no memory to copy the links of %llu slots",
                       (unsigned long long)count);
    }
    frozen->codes = lh_codes_ref(graph->codes);
    if (frozen->codes != NULL)
        set_section(frozen, LH_SECTION_CODES, frozen->codes->rows.base,
                    count * frozen->codes->row_bytes);
    set_section(frozen, LH_SECTION_VECTORS, graph->vectors.base,
                count * graph->row_floats * sizeof(float));
    set_section(frozen, LH_SECTION_LINKS0, frozen->links0, links0_bytes);
    set_section(frozen, LH_SECTION_UPPER, frozen->upper, upper_bytes);
    set_section(frozen, LH_SECTION_LEVELS, graph->levels.base, count);
    set_section(frozen, LH_SECTION_PARENTS, graph->parents.base, count * sizeof(int32_t));
    set_section(frozen, LH_SECTION_TOMBSTONES, frozen->dead, dead_bytes);
    set_section(frozen, LH_SECTION_ID_ENDS, index->id_ends.base, count * sizeof(uint64_t));
    set_section(frozen, LH_SECTION_IDS, index->ids.base, end_of(&index->id_ends, graph->count));
    set_section(frozen, LH_SECTION_METADATA_ENDS, index->metadata_ends.base,
                count * sizeof(uint64_t));
    set_section(frozen, LH_SECTION_METADATA, index->metadata.base,
                end_of(&index->metadata_ends, graph->count));
    *ret_frozen = frozen;
    return LH_OK;
}

void lh_frozen_free(struct lh_frozen *frozen)
{
    if (frozen == NULL)
        return;
    lh_vindex_unref(frozen->index);
    lh_codes_unref(frozen->codes);
    free(frozen->links0);
    free(frozen->upper);
    free(frozen->dead);
    free(frozen);
}

/* ---- the envelope ---- */

bool lh_lhv1_envelope_sum(lh_str envelope, uint64_t *ret_sum, size_t *ret_digits)
{
    static const char zeros[LH_LHV1_SUM_DIGITS + 1] = "0000000000000000";
    const size_t key_len = sizeof(LH_LHV1_SUM_KEY) - 1;
    const char *key = memmem(envelope.ptr, envelope.len, LH_LHV1_SUM_KEY, key_len);
    if (key == NULL)
        return false;
    size_t digits = (size_t)(key - envelope.ptr) + key_len;
    if (envelope.len - digits < LH_LHV1_SUM_DIGITS)
        return false;
    size_t behind = digits + LH_LHV1_SUM_DIGITS;
    struct lh_xxh3 *state = lh_xxh3_new();
    lh_xxh3_update(state, envelope.ptr, digits);
    lh_xxh3_update(state, zeros, LH_LHV1_SUM_DIGITS);
    lh_xxh3_update(state, envelope.ptr + behind, envelope.len - behind);
    *ret_sum = lh_xxh3_value(state);
    *ret_digits = digits;
    lh_xxh3_free(state);
    return true;
}

static void put_sum(struct lh_json *json, const char *key, uint64_t sum)
{
    char digits[LH_LHV1_SUM_DIGITS + 1];
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)sum);
    lh_json_kcstr(json, key, digits);
}

/* The sums of each chunk behind the section of sums, fed with its bytes in order. */
struct summing {
    struct lh_xxh3 *state;
    uint64_t *sums;
    uint64_t count;
    uint64_t filled; /* of the chunk under way */
};

static void end_chunk(struct summing *summing)
{
    summing->sums[summing->count++] = lh_xxh3_value(summing->state);
    lh_xxh3_reset(summing->state);
    summing->filled = 0;
}

static void sum_bytes(struct summing *summing, const void *bytes, uint64_t len)
{
    const char *at = bytes;
    while (len > 0) {
        uint64_t left = LH_LHV1_CHUNK - summing->filled;
        uint64_t some = len < left ? len : left;
        lh_xxh3_update(summing->state, at, some);
        summing->filled += some;
        at += some;
        len -= some;
        if (summing->filled == LH_LHV1_CHUNK)
            end_chunk(summing);
    }
}

static void sum_chunks(struct lh_lhv1_writer *writer)
{
    static const char zeros[LH_LHV1_ALIGN];
    struct summing summing = {.state = lh_xxh3_new(), .sums = writer->sums};
    uint64_t position = writer->section_bytes[LH_SECTION_SUMS];
    for (size_t i = LH_SECTION_SUMS + 1; i < LH_SECTION_COUNT; i++) {
        sum_bytes(&summing, zeros, writer->offsets[i] - position);
        sum_bytes(&summing, writer->data[i], writer->section_bytes[i]);
        position = writer->offsets[i] + writer->section_bytes[i];
    }
    if (summing.filled > 0)
        end_chunk(&summing);
    LH_CHECK(summing.count * sizeof(uint64_t) <= writer->section_bytes[LH_SECTION_SUMS]);
    lh_xxh3_free(summing.state);
}

void lh_lhv1_put_float(float value, char ret_digits[LH_LHV1_FLOAT_DIGITS + 1])
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    snprintf(ret_digits, LH_LHV1_FLOAT_DIGITS + 1, "%08x", bits);
}

static void put_codes(struct lh_json *json, const struct lh_codes *codes)
{
    if (codes == NULL)
        return;
    char low[LH_LHV1_FLOAT_DIGITS + 1], step[LH_LHV1_FLOAT_DIGITS + 1];
    lh_lhv1_put_float(codes->scale.low, low);
    lh_lhv1_put_float(codes->scale.step, step);
    lh_json_key(json, "codes");
    lh_json_object(json);
    lh_json_kcstr(json, "low", low);
    lh_json_kcstr(json, "step", step);
    lh_json_ku64(json, "level_max", codes->scale.level_max);
    lh_json_kf64(json, "clipped", codes->scale.clipped);
    lh_json_kf64(json, "score", codes->scale.score);
    lh_json_object_end(json);
}

/* Offsets are counted from the first section, so that they do not depend on the envelope's length.
 */
static void put_sections(struct lh_json *json, const struct lh_lhv1_writer *writer)
{
    lh_json_key(json, "sections");
    lh_json_array(json);
    for (size_t i = 0; i < LH_SECTION_COUNT; i++) {
        lh_json_object(json);
        lh_json_kcstr(json, "name", lh_section_names[i]);
        lh_json_ku64(json, "offset", writer->offsets[i]);
        lh_json_ku64(json, "bytes", writer->section_bytes[i]);
        lh_json_object_end(json);
    }
    lh_json_array_end(json);
}

static void put_envelope(struct lh_lhv1_writer *writer, uint64_t graph_bytes)
{
    const struct lh_frozen *frozen = writer->frozen;
    const struct lh_vindex_config *config = &frozen->index->config;
    struct lh_json json = LH_JSON_TO(&writer->head);
    char created[LH_RFC3339_SIZE];
    lh_format_rfc3339(config->created_ms, created);
    lh_json_object(&json);
    lh_json_ki64(&json, "version", LH_LHV1_VERSION);
    lh_json_kcstr(&json, "name", config->name);
    lh_json_kcstr(&json, "uuid", config->uuid);
    lh_json_kcstr(&json, "created", created);
    lh_json_ku64(&json, "dimension", config->dimension);
    lh_json_kcstr(&json, "metric", lh_metric_name(config->metric));
    lh_json_ku64(&json, "m", config->m);
    lh_json_ku64(&json, "ef_construction", config->ef_construction);
    lh_json_kcstr(&json, "quantization", lh_quantization_name(config->quantization));
    put_sum(&json, "seed", config->seed);
    lh_json_ku64(&json, "sequence", frozen->sequence);
    lh_json_ku64(&json, "count", frozen->count);
    lh_json_ku64(&json, "deleted", frozen->dead_count);
    lh_json_ki64(&json, "entry", frozen->entry);
    lh_json_ku64(&json, "entry_level", frozen->entry_level);
    put_codes(&json, frozen->codes);
    put_sections(&json, writer);
    lh_json_ku64(&json, "graph_bytes", graph_bytes);
    lh_json_ku64(&json, "chunk_bytes", LH_LHV1_CHUNK);
    put_sum(&json, "sums_xxh3", lh_xxh3(writer->sums, writer->section_bytes[LH_SECTION_SUMS]));
    put_sum(&json, "envelope_xxh3", 0);
    lh_json_object_end(&json);
}

static void pad_envelope(struct lh_buf *head)
{
    while (head->len % LH_LHV1_PAGE != 0)
        lh_buf_append_char(head, ' ');
    size_t len = head->len - LH_LHV1_PREFIX_BYTES;
    const unsigned char big_endian[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
                                         (unsigned char)(len >> 8), (unsigned char)len};
    memcpy(head->data + 4, big_endian, sizeof(big_endian));
}

static void seal_envelope(struct lh_buf *head)
{
    lh_str envelope =
        lh_str_of(head->data + LH_LHV1_PREFIX_BYTES, head->len - LH_LHV1_PREFIX_BYTES);
    uint64_t sum;
    size_t digits;
    LH_CHECK(lh_lhv1_envelope_sum(envelope, &sum, &digits));
    char text[LH_LHV1_SUM_DIGITS + 1];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    memcpy(head->data + LH_LHV1_PREFIX_BYTES + digits, text, LH_LHV1_SUM_DIGITS);
}

/* Where the sections lie behind sums of so many bytes; returns where they end. */
static uint64_t lay_out(struct lh_lhv1_writer *writer, uint64_t sums_bytes)
{
    uint64_t position = 0;
    writer->section_bytes[LH_SECTION_SUMS] = sums_bytes;
    for (size_t i = 0; i < LH_SECTION_COUNT; i++) {
        writer->offsets[i] = lh_lhv1_aligned(position);
        position = writer->offsets[i] + writer->section_bytes[i];
    }
    return position;
}

void lh_lhv1_writer_init(struct lh_lhv1_writer *writer, const struct lh_frozen *frozen)
{
    memset(writer, 0, sizeof(*writer));
    writer->frozen = frozen;
    writer->head = LH_BUF_INIT(LH_ENVELOPE_BYTES_MAX + LH_LHV1_PAGE);
    memcpy(writer->data, frozen->data, sizeof(writer->data));
    memcpy(writer->section_bytes, frozen->bytes, sizeof(writer->section_bytes));
    uint64_t sums_bytes = lh_lhv1_sums_bytes(lay_out(writer, 0));
    uint64_t end = lay_out(writer, sums_bytes);
    writer->sums = lh_calloc(sums_bytes / sizeof(uint64_t) + 1, sizeof(uint64_t));
    writer->data[LH_SECTION_SUMS] = writer->sums;
    sum_chunks(writer);
    lh_buf_append(&writer->head, "LHV1\0\0\0", LH_LHV1_PREFIX_BYTES);
    put_envelope(writer, end);
    pad_envelope(&writer->head);
    seal_envelope(&writer->head);
    LH_CHECK(!lh_buf_overflowed(&writer->head));
    for (size_t i = 0; i < LH_SECTION_COUNT; i++)
        writer->offsets[i] += writer->head.len;
    writer->bytes = writer->head.len + end;
}

void lh_lhv1_writer_deinit(struct lh_lhv1_writer *writer)
{
    lh_buf_deinit(&writer->head);
    free(writer->sums);
}

/* ---- the stream ---- */

/* One run of bytes at the position: of the head, of a section, or of the zeros before a section. */
static size_t copy_run(struct lh_lhv1_writer *writer, char *out, size_t max)
{
    uint64_t position = writer->position;
    if (position < writer->head.len) {
        size_t len = writer->head.len - position < max ? writer->head.len - position : max;
        memcpy(out, writer->head.data + position, len);
        return len;
    }
    for (size_t i = 0; i < LH_SECTION_COUNT; i++) {
        if (position < writer->offsets[i]) {
            uint64_t gap = writer->offsets[i] - position;
            size_t len = gap < max ? gap : max;
            memset(out, 0, len);
            return len;
        }
        uint64_t into = position - writer->offsets[i];
        uint64_t bytes = writer->section_bytes[i];
        if (into < bytes) {
            size_t len = bytes - into < max ? bytes - into : max;
            memcpy(out, (const char *)writer->data[i] + into, len);
            return len;
        }
    }
    return 0;
}

lh_code lh_lhv1_writer_read(void *ctx, void *bytes, size_t max, size_t *ret_len,
                            struct lh_error *err)
{
    (void)err;
    struct lh_lhv1_writer *writer = ctx;
    size_t done = 0;
    while (done < max) {
        size_t len = copy_run(writer, (char *)bytes + done, max - done);
        if (len == 0)
            break;
        writer->position += len;
        done += len;
    }
    *ret_len = done;
    return LH_OK;
}
