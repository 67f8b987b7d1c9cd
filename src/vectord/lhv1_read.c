/*
 * Reading LHV1: a machine fed with bytes. Nothing is believed: the envelope is checked before
 * memory is taken, sizes are computed in 64 bits and must agree with each other, checksums are
 * compared, and at the end every index in the arrays is checked against the array it points into.
 */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "vectord/lhv1_private.h"

enum { READER_MAGIC = 0x4c485231, DIMENSION_MAX = 65535 };

struct section {
    uint64_t offset; /* from the first section */
    uint64_t bytes;
    uint64_t sum;
    unsigned char *target;
};

/* The sections of version 1, in their order. */
static const enum lh_section order_1[] = {
    LH_SECTION_VECTORS,       LH_SECTION_LINKS0,     LH_SECTION_UPPER,   LH_SECTION_LEVELS,
    LH_SECTION_PARENTS,       LH_SECTION_TOMBSTONES, LH_SECTION_ID_ENDS, LH_SECTION_IDS,
    LH_SECTION_METADATA_ENDS, LH_SECTION_METADATA,
};
static const enum lh_section order_2[] = {
    LH_SECTION_SUMS,   LH_SECTION_CODES,         LH_SECTION_LINKS0,     LH_SECTION_UPPER,
    LH_SECTION_LEVELS, LH_SECTION_PARENTS,       LH_SECTION_TOMBSTONES, LH_SECTION_ID_ENDS,
    LH_SECTION_IDS,    LH_SECTION_METADATA_ENDS, LH_SECTION_METADATA,   LH_SECTION_VECTORS,
};

struct lh_lhv1_reader {
    uint32_t magic;
    struct lh_lhv1_limits limits;
    struct lh_buf head;  /* the prefix, then the envelope */
    uint64_t head_bytes; /* of both; 0 until the prefix is there */
    struct lh_vindex_config config;
    uint64_t sequence;
    uint32_t count;
    uint32_t block_count;
    uint64_t graph_bytes;
    uint64_t graph_sum; /* version 1: of all sections; version 2: of the section of sums */
    struct section sections[LH_SECTION_COUNT];
    uint64_t version;
    const enum lh_section *order;
    size_t order_count;
    bool has_codes;
    struct lh_code_scale scale;
    uint64_t *sums;              /* version 2 */
    struct lh_vindex *index;     /* made when the envelope is complete */
    uint64_t position;           /* in the graph */
    size_t section;              /* in `order`: the one at the position, or the next */
    struct lh_xxh3 *running_sum; /* version 1: of all so far; version 2: of the chunk */
    uint64_t chunk;              /* number of the chunk */
    uint64_t chunk_filled;
};

struct lh_lhv1_reader *lh_lhv1_reader_new(const struct lh_lhv1_limits *limits)
{
    struct lh_lhv1_reader *reader = lh_calloc(1, sizeof(*reader));
    reader->magic = READER_MAGIC;
    reader->limits = *limits;
    reader->head = LH_BUF_INIT(LH_ENVELOPE_BYTES_MAX + LH_LHV1_PAGE);
    reader->running_sum = lh_xxh3_new();
    return reader;
}

void lh_lhv1_reader_free(struct lh_lhv1_reader *reader)
{
    if (reader == NULL)
        return;
    LH_CHECK_MAGIC(reader, READER_MAGIC);
    reader->magic = 0;
    lh_buf_deinit(&reader->head);
    lh_vindex_unref(reader->index);
    free(reader->sums);
    lh_xxh3_free(reader->running_sum);
    free(reader);
}

const struct lh_vindex_config *lh_lhv1_reader_config(const struct lh_lhv1_reader *reader,
                                                     uint64_t *ret_sequence)
{
    LH_CHECK_MAGIC(reader, READER_MAGIC);
    if (reader->index == NULL)
        return NULL;
    *ret_sequence = reader->sequence;
    return &reader->config;
}

/* ---- the envelope ---- */

static lh_code need_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret,
                        struct lh_error *err)
{
    int64_t value = 0;
    LH_TRY(lh_json_need_i64(object, key, &value, err));
    if (value < 0 || (uint64_t)value > max)
        return lh_fail(err, LH_CORRUPT, "'%s' is out of range", key);
    *ret = (uint64_t)value;
    return LH_OK;
}

static lh_code need_sum(const json_t *object, const char *key, uint64_t *ret, struct lh_error *err)
{
    lh_str text;
    LH_TRY(lh_json_need_str(object, key, &text, err));
    return lh_unhex_u64(text, ret) ? LH_OK
                                   : lh_fail(err, LH_CORRUPT, "'%s' is not a checksum", key);
}

static lh_code need_text(const json_t *object, const char *key, char *out, size_t size,
                         struct lh_error *err)
{
    lh_str text;
    LH_TRY(lh_json_need_str(object, key, &text, err));
    if (text.len >= size)
        return lh_fail(err, LH_CORRUPT, "'%s' is too long", key);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return LH_OK;
}

static lh_code read_config(struct lh_lhv1_reader *reader, const json_t *root, struct lh_error *err)
{
    struct lh_vindex_config *config = &reader->config;
    uint64_t dimension = 0, m = 0, ef_construction = 0;
    lh_str metric = LH_STR_NONE, quantization = LH_STR_NONE, created = LH_STR_NONE;
    LH_TRY(need_text(root, "name", config->name, sizeof(config->name), err));
    LH_TRY(need_text(root, "uuid", config->uuid, sizeof(config->uuid), err));
    LH_TRY(need_u64(root, "dimension", DIMENSION_MAX, &dimension, err));
    LH_TRY(need_u64(root, "m", LH_HNSW_M_MAX, &m, err));
    LH_TRY(need_u64(root, "ef_construction", LH_HNSW_EF_CONSTRUCTION_MAX, &ef_construction, err));
    LH_TRY(need_sum(root, "seed", &config->seed, err));
    LH_TRY(lh_json_need_str(root, "metric", &metric, err));
    LH_TRY(lh_json_need_str(root, "quantization", &quantization, err));
    LH_TRY(lh_json_need_str(root, "created", &created, err));
    if (!lh_str_is(lh_str_from(config->name), reader->limits.name))
        return lh_fail(err, LH_CORRUPT, "it is the index '%s'", config->name);
    if (strlen(config->uuid) != LH_UUID_TEXT - 1 || dimension == 0 || m < LH_HNSW_M_MIN ||
        ef_construction == 0 || !lh_metric_parse(metric, &config->metric) ||
        !lh_quantization_parse(quantization, &config->quantization) ||
        !lh_parse_rfc3339(created, &config->created_ms))
        return lh_fail(err, LH_CORRUPT, "a setting of the index is not valid");
    if (reader->version == 1) /* there was no choice, and no codes */
        config->quantization = LH_QUANTIZATION_AUTO;
    config->dimension = (uint32_t)dimension;
    config->m = (uint32_t)m;
    config->ef_construction = (uint32_t)ef_construction;
    return LH_OK;
}

static lh_code need_float(const json_t *object, const char *key, float *ret, struct lh_error *err)
{
    lh_str text;
    unsigned char bytes[sizeof(float)];
    LH_TRY(lh_json_need_str(object, key, &text, err));
    if (text.len != LH_LHV1_FLOAT_DIGITS || !lh_unhex(text, bytes, sizeof(bytes)))
        return lh_fail(err, LH_CORRUPT, "'%s' is not a float", key);
    uint32_t bits =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    memcpy(ret, &bits, sizeof(*ret));
    return LH_OK;
}

static lh_code read_codes(struct lh_lhv1_reader *reader, const json_t *root, struct lh_error *err)
{
    const json_t *codes = json_object_get(root, "codes");
    struct lh_code_scale *scale = &reader->scale;
    uint64_t level_max = 0;
    if (reader->version == 1 || codes == NULL)
        return LH_OK;
    LH_TRY(need_float(codes, "low", &scale->low, err));
    LH_TRY(need_float(codes, "step", &scale->step, err));
    LH_TRY(need_u64(codes, "level_max", 255, &level_max, err));
    scale->clipped = json_number_value(json_object_get(codes, "clipped"));
    scale->score = json_number_value(json_object_get(codes, "score"));
    scale->level_max = (uint32_t)level_max;
    if (!isfinite(scale->low) || !isnormal(scale->step) || scale->step < 0 || level_max == 0 ||
        reader->config.dimension > LH_CODE_DIMENSION_MAX || reader->config.metric == LH_METRIC_IP)
        return lh_fail(err, LH_CORRUPT, "the scale of the codes is not valid");
    reader->has_codes = true;
    return LH_OK;
}

static lh_code read_section(struct lh_lhv1_reader *reader, const json_t *item,
                            enum lh_section number, uint64_t *position, struct lh_error *err)
{
    struct section *section = &reader->sections[number];
    lh_str name;
    LH_TRY(lh_json_need_str(item, "name", &name, err));
    LH_TRY(need_u64(item, "offset", INT64_MAX / 2, &section->offset, err));
    LH_TRY(need_u64(item, "bytes", INT64_MAX / 32, &section->bytes, err));
    if (reader->version == 1)
        LH_TRY(need_sum(item, "xxh3", &section->sum, err));
    if (!lh_str_is(name, lh_section_names[number]) || section->offset != lh_lhv1_aligned(*position))
        return lh_fail(err, LH_CORRUPT, "the section '%s' is not where it should be",
                       lh_section_names[number]);
    *position = section->offset + section->bytes;
    return LH_OK;
}

/* The sections must lie one behind the other, in their order, without holes. */
static lh_code read_sections(struct lh_lhv1_reader *reader, const json_t *root,
                             struct lh_error *err)
{
    json_t *list;
    LH_TRY(lh_json_need_array(root, "sections", &list, err));
    if (json_array_size(list) != reader->order_count)
        return lh_fail(err, LH_CORRUPT, "there are %zu sections", json_array_size(list));
    uint64_t position = 0;
    for (size_t i = 0; i < reader->order_count; i++)
        LH_TRY(read_section(reader, json_array_get(list, i), reader->order[i], &position, err));
    LH_TRY(need_u64(root, "graph_bytes", INT64_MAX / 2, &reader->graph_bytes, err));
    LH_TRY(
        need_sum(root, reader->version == 1 ? "graph_xxh3" : "sums_xxh3", &reader->graph_sum, err));
    if (position != reader->graph_bytes)
        return lh_fail(err, LH_CORRUPT, "the sections are %llu bytes, the envelope says %llu",
                       (unsigned long long)position, (unsigned long long)reader->graph_bytes);
    uint64_t chunk_bytes = LH_LHV1_CHUNK;
    if (reader->version > 1)
        LH_TRY(need_u64(root, "chunk_bytes", INT64_MAX, &chunk_bytes, err));
    if (chunk_bytes != LH_LHV1_CHUNK)
        return lh_fail(err, LH_CORRUPT, "chunks of %llu bytes are not possible",
                       (unsigned long long)chunk_bytes);
    return LH_OK;
}

/* Whether the sizes of the sections follow from the number of slots. */
static lh_code check_sizes(struct lh_lhv1_reader *reader, struct lh_error *err)
{
    const struct section *sections = reader->sections;
    const struct lh_vindex_config *config = &reader->config;
    uint64_t count = reader->count; /* < 2^31, and no row has 2^19 bytes: no product overflows */
    const uint64_t expected[LH_SECTION_COUNT] = {
        [LH_SECTION_SUMS] =
            reader->version == 1
                ? 0
                : lh_lhv1_sums_bytes(reader->graph_bytes - sections[LH_SECTION_SUMS].bytes),
        [LH_SECTION_CODES] = reader->has_codes ? count * lh_row_code_bytes(config->dimension) : 0,
        [LH_SECTION_VECTORS] = count * lh_row_floats(config->dimension) * sizeof(float),
        [LH_SECTION_LINKS0] = count * 2 * config->m * sizeof(int32_t),
        [LH_SECTION_LEVELS] = count,
        [LH_SECTION_PARENTS] = count * sizeof(int32_t),
        [LH_SECTION_TOMBSTONES] = (count + 63) / 64 * sizeof(uint64_t),
        [LH_SECTION_ID_ENDS] = count * sizeof(uint64_t),
        [LH_SECTION_METADATA_ENDS] = count * sizeof(uint64_t),
        [LH_SECTION_UPPER] = sections[LH_SECTION_UPPER].bytes,
        [LH_SECTION_IDS] = sections[LH_SECTION_IDS].bytes,
        [LH_SECTION_METADATA] = sections[LH_SECTION_METADATA].bytes,
    };
    for (size_t i = 0; i < LH_SECTION_COUNT; i++) {
        if (sections[i].bytes != expected[i])
            return lh_fail(err, LH_CORRUPT, "the section '%s' has %llu bytes for %llu slots",
                           lh_section_names[i], (unsigned long long)sections[i].bytes,
                           (unsigned long long)count);
    }
    uint64_t block_bytes = config->m * sizeof(int32_t);
    uint64_t blocks = sections[LH_SECTION_UPPER].bytes / block_bytes;
    if (sections[LH_SECTION_UPPER].bytes % block_bytes != 0 || blocks > count * LH_HNSW_LEVEL_MAX ||
        blocks > UINT32_MAX || sections[LH_SECTION_IDS].bytes > count * LH_ITEM_ID_MAX ||
        sections[LH_SECTION_METADATA].bytes > count * UINT32_MAX)
        return lh_fail(err, LH_CORRUPT, "a section's size is not possible");
    reader->block_count = (uint32_t)blocks;
    return LH_OK;
}

/* Takes the memory. From here on bytes go straight into the index's arrays. */
static lh_code make_index(struct lh_lhv1_reader *reader, struct lh_error *err)
{
    struct section *sections = reader->sections;
    const struct lh_lhv1_limits *limits = &reader->limits;
    struct lh_vindex *index;
    LH_TRY(lh_vindex_new(&reader->config, limits->budget, limits->reserve_bytes, &index, err));
    reader->index = index;
    LH_TRY(lh_budget_take(limits->budget, reader->graph_bytes, err));
    index->taken_bytes = reader->graph_bytes;
    if (reader->has_codes)
        LH_TRY(lh_codes_new(&reader->scale, reader->config.dimension,
                            index->graph.options.slots_max, &index->graph.codes, err));
    LH_TRY(lh_hnsw_load_begin(&index->graph, reader->count, reader->block_count, err));
    reader->sums =
        lh_calloc(sections[LH_SECTION_SUMS].bytes / sizeof(uint64_t) + 1, sizeof(*reader->sums));
    sections[LH_SECTION_SUMS].target = (unsigned char *)reader->sums;
    struct lh_rows *const rows[LH_SECTION_COUNT] = {
        [LH_SECTION_CODES] = index->graph.codes != NULL ? &index->graph.codes->rows : NULL,
        [LH_SECTION_VECTORS] = &index->graph.vectors,
        [LH_SECTION_LINKS0] = &index->graph.links0,
        [LH_SECTION_UPPER] = &index->graph.upper,
        [LH_SECTION_LEVELS] = &index->graph.levels,
        [LH_SECTION_PARENTS] = &index->graph.parents,
        [LH_SECTION_TOMBSTONES] = &index->graph.dead,
        [LH_SECTION_ID_ENDS] = &index->id_ends,
        [LH_SECTION_IDS] = &index->ids,
        [LH_SECTION_METADATA_ENDS] = &index->metadata_ends,
        [LH_SECTION_METADATA] = &index->metadata,
    };
    for (size_t i = 0; i < LH_SECTION_COUNT; i++) {
        if (rows[i] == NULL)
            continue;
        LH_TRY(lh_rows_fit(rows[i], sections[i].bytes, err));
        sections[i].target = rows[i]->base;
    }
    return LH_OK;
}

static lh_code read_document(struct lh_lhv1_reader *reader, const json_t *root,
                             struct lh_error *err)
{
    uint64_t count = 0, dead_count = 0, entry_level = 0;
    int64_t entry = -1;
    LH_TRY(need_u64(root, "version", UINT32_MAX, &reader->version, err));
    if (reader->version < 1 || reader->version > LH_LHV1_VERSION)
        return lh_fail(err, LH_CORRUPT, "its version is %llu, this program reads 1 to %d",
                       (unsigned long long)reader->version, LH_LHV1_VERSION);
    reader->order = reader->version == 1 ? order_1 : order_2;
    reader->order_count = reader->version == 1 ? LH_COUNT(order_1) : LH_COUNT(order_2);
    LH_TRY(read_config(reader, root, err));
    LH_TRY(need_u64(root, "sequence", INT64_MAX, &reader->sequence, err));
    LH_TRY(need_u64(root, "count", INT32_MAX, &count, err));
    LH_TRY(need_u64(root, "deleted", count, &dead_count, err));
    LH_TRY(lh_json_need_i64(root, "entry", &entry, err));
    LH_TRY(need_u64(root, "entry_level", LH_HNSW_LEVEL_MAX, &entry_level, err));
    if (entry < -1 || entry >= (int64_t)count)
        return lh_fail(err, LH_CORRUPT, "the entry is not a slot");
    reader->count = (uint32_t)count;
    LH_TRY(read_codes(reader, root, err));
    LH_TRY(read_sections(reader, root, err));
    LH_TRY(check_sizes(reader, err));
    LH_TRY(make_index(reader, err));
    reader->index->graph.dead_count = (uint32_t)dead_count;
    reader->index->graph.entry = (int32_t)entry;
    reader->index->graph.entry_level = (uint32_t)entry_level;
    return LH_OK;
}

static lh_code read_envelope(struct lh_lhv1_reader *reader, struct lh_error *err)
{
    lh_str envelope = lh_str_skip(lh_buf_str(&reader->head), LH_LHV1_PREFIX_BYTES);
    uint64_t sum;
    size_t digits;
    char expected[LH_LHV1_SUM_DIGITS + 1];
    if (!lh_lhv1_envelope_sum(envelope, &sum, &digits))
        return lh_fail(err, LH_CORRUPT, "the envelope has no checksum");
    snprintf(expected, sizeof(expected), "%016llx", (unsigned long long)sum);
    if (memcmp(envelope.ptr + digits, expected, LH_LHV1_SUM_DIGITS) != 0)
        return lh_fail(err, LH_CORRUPT, "the checksum of the envelope is wrong");
    LH_AUTO_JSON json_t *root = NULL;
    lh_code code = lh_json_parse(envelope, &root, err);
    if (code == LH_OK)
        code = read_document(reader, root, err);
    if (code == LH_INVALID) { /* said by the JSON reader of what is a file here */
        err->code = LH_CORRUPT;
        code = lh_fail_context(err, "the envelope");
    }
    return code;
}

/* ---- feeding ---- */

/* Collects the prefix, then the envelope. Returns how many bytes it took. */
static lh_code feed_head(struct lh_lhv1_reader *reader, lh_str bytes, size_t *ret_taken,
                         struct lh_error *err)
{
    uint64_t wanted = reader->head_bytes > 0 ? reader->head_bytes : LH_LHV1_PREFIX_BYTES;
    size_t taken = wanted - reader->head.len < bytes.len ? wanted - reader->head.len : bytes.len;
    lh_buf_append(&reader->head, bytes.ptr, taken);
    *ret_taken = taken;
    if (reader->head.len < wanted)
        return LH_OK;
    if (reader->head_bytes > 0)
        return read_envelope(reader, err);
    if (memcmp(reader->head.data, "LHV1", 4) != 0)
        return lh_fail(err, LH_CORRUPT, "it does not begin with LHV1");
    const unsigned char *big_endian = (const unsigned char *)reader->head.data + 4;
    uint64_t len = (uint64_t)big_endian[0] << 24 | (uint64_t)big_endian[1] << 16 |
                   (uint64_t)big_endian[2] << 8 | big_endian[3];
    if (len == 0 || len > LH_ENVELOPE_BYTES_MAX || (len + LH_LHV1_PREFIX_BYTES) % LH_LHV1_PAGE != 0)
        return lh_fail(err, LH_CORRUPT, "an envelope of %llu bytes is not possible",
                       (unsigned long long)len);
    reader->head_bytes = len + LH_LHV1_PREFIX_BYTES;
    return LH_OK;
}

/* The section of sums is complete: whether they are what the envelope says. */
static lh_code check_sums_section(const struct lh_lhv1_reader *reader, struct lh_error *err)
{
    uint64_t bytes = reader->sections[LH_SECTION_SUMS].bytes;
    uint64_t chunks = (reader->graph_bytes - bytes + LH_LHV1_CHUNK - 1) / LH_LHV1_CHUNK;
    bool rest_is_zero = true;
    for (uint64_t i = chunks; i < bytes / sizeof(uint64_t); i++)
        rest_is_zero = rest_is_zero && reader->sums[i] == 0;
    if (lh_xxh3(reader->sums, bytes) != reader->graph_sum || !rest_is_zero)
        return lh_fail(err, LH_CORRUPT, "the checksum of the checksums is wrong");
    return LH_OK;
}

static lh_code end_chunk(struct lh_lhv1_reader *reader, struct lh_error *err)
{
    if (lh_xxh3_value(reader->running_sum) != reader->sums[reader->chunk])
        return lh_fail(err, LH_CORRUPT, "the checksum of MiB %llu is wrong",
                       (unsigned long long)reader->chunk);
    reader->chunk++;
    reader->chunk_filled = 0;
    lh_xxh3_reset(reader->running_sum);
    return LH_OK;
}

/* Version 2: bytes that follow the section of sums are compared chunk by chunk. At most up to the
 * chunk's end is taken. */
static lh_code sum_taken(struct lh_lhv1_reader *reader, const char *bytes, size_t taken,
                         struct lh_error *err)
{
    if (reader->version == 1) {
        lh_xxh3_update(reader->running_sum, bytes, taken);
        return LH_OK;
    }
    uint64_t sums_bytes = reader->sections[LH_SECTION_SUMS].bytes;
    if (reader->position < sums_bytes)
        return reader->position + taken == sums_bytes ? check_sums_section(reader, err) : LH_OK;
    lh_xxh3_update(reader->running_sum, bytes, taken);
    reader->chunk_filled += taken;
    if (reader->chunk_filled == LH_LHV1_CHUNK || reader->position + taken == reader->graph_bytes)
        return end_chunk(reader, err);
    return LH_OK;
}

/* Bytes of the section at the position, or of the zeros before it. */
static lh_code feed_graph(struct lh_lhv1_reader *reader, lh_str bytes, size_t *ret_taken,
                          struct lh_error *err)
{
    const struct section *section;
    for (;; reader->section++) {
        if (reader->section == reader->order_count)
            return lh_fail(err, LH_CORRUPT, "there are bytes behind the last section");
        section = &reader->sections[reader->order[reader->section]];
        if (reader->position < section->offset + section->bytes)
            break;
    }
    bool before = reader->position < section->offset;
    uint64_t left =
        (before ? section->offset : section->offset + section->bytes) - reader->position;
    size_t taken = left < bytes.len ? left : bytes.len;
    if (taken > LH_LHV1_CHUNK - reader->chunk_filled)
        taken = LH_LHV1_CHUNK - reader->chunk_filled;
    if (!before)
        memcpy(section->target + (reader->position - section->offset), bytes.ptr, taken);
    LH_TRY(sum_taken(reader, bytes.ptr, taken, err));
    reader->position += taken;
    *ret_taken = taken;
    return LH_OK;
}

lh_code lh_lhv1_reader_feed(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct lh_lhv1_reader *reader = ctx;
    LH_CHECK_MAGIC(reader, READER_MAGIC);
    lh_str rest = lh_str_of(bytes, len);
    while (rest.len > 0) {
        size_t taken = 0;
        if (reader->index == NULL)
            LH_TRY(feed_head(reader, rest, &taken, err));
        else
            LH_TRY(feed_graph(reader, rest, &taken, err));
        rest = lh_str_skip(rest, taken);
    }
    return LH_OK;
}

/* ---- the end ---- */

/* Version 1: sums of whole sections. Those of version 2 were compared on the way. */
static lh_code check_sums(const struct lh_lhv1_reader *reader, struct lh_error *err)
{
    if (reader->version > 1)
        return LH_OK;
    for (size_t i = 0; i < reader->order_count; i++) {
        const struct section *section = &reader->sections[reader->order[i]];
        if (lh_xxh3(section->target, section->bytes) != section->sum)
            return lh_fail(err, LH_CORRUPT, "the checksum of the section '%s' is wrong",
                           lh_section_names[reader->order[i]]);
    }
    if (lh_xxh3_value(reader->running_sum) != reader->graph_sum)
        return lh_fail(err, LH_CORRUPT, "the checksum of the graph is wrong");
    return LH_OK;
}

static uint64_t last_end(const struct lh_rows *ends, uint32_t count)
{
    return count == 0 ? 0 : ((const uint64_t *)(const void *)ends->base)[count - 1];
}

lh_code lh_lhv1_reader_finish(struct lh_lhv1_reader *reader, struct lh_vindex **ret_index,
                              uint64_t *ret_sequence, struct lh_error *err)
{
    LH_CHECK_MAGIC(reader, READER_MAGIC);
    if (reader->index == NULL || reader->position != reader->graph_bytes)
        return lh_fail(err, LH_CORRUPT, "it is cut off");
    LH_TRY(check_sums(reader, err));
    struct lh_vindex *index = reader->index;
    LH_TRY(lh_hnsw_load_finish(&index->graph, reader->count, reader->block_count, err));
    if (last_end(&index->id_ends, reader->count) != reader->sections[LH_SECTION_IDS].bytes ||
        last_end(&index->metadata_ends, reader->count) !=
            reader->sections[LH_SECTION_METADATA].bytes)
        return lh_fail(err, LH_CORRUPT, "the texts do not fill their sections");
    LH_TRY(lh_vindex_load_finish(index, err));
    *ret_index = LH_TAKE(reader->index);
    *ret_sequence = reader->sequence;
    return LH_OK;
}
