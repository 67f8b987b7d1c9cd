/* LHVL, the log's objects: writing and reading. The layout stands in log.h. */
#include "vectord/log.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

enum { HEAD_BYTES = 48, RECORD_HEAD_BYTES = 8, SUM_BYTES = 8, VERSION = 1, UUID_BYTES = 16 };

/* As it stands in the file; the machine is little-endian (hnsw.c asserts it). */
struct file_head {
    char magic[4];
    uint32_t version;
    uint8_t uuid[UUID_BYTES];
    uint64_t sequence;
    uint32_t record_count;
    uint32_t dimension;
    uint64_t record_bytes;
};
_Static_assert(sizeof(struct file_head) == HEAD_BYTES, "the head is written as it is");

struct record_head {
    uint8_t kind;
    uint8_t zero;
    uint16_t id_len;
    uint32_t metadata_len;
};
_Static_assert(sizeof(struct record_head) == RECORD_HEAD_BYTES, "the head is written as it is");

static uint64_t padded(uint64_t len)
{
    return (len + 3) & ~UINT64_C(3);
}

/* "01234567-89ab-..." to its sixteen bytes. */
static bool uuid_bytes(const char *text, uint8_t out[UUID_BYTES])
{
    char hex[2 * UUID_BYTES];
    size_t len = 0;
    for (; *text != '\0' && len < sizeof(hex); text++) {
        if (*text != '-')
            hex[len++] = *text;
    }
    return len == sizeof(hex) && lh_unhex(lh_str_of(hex, len), out, UUID_BYTES);
}

static void uuid_text(const uint8_t bytes[UUID_BYTES], char out[LH_UUID_TEXT])
{
    char hex[2 * UUID_BYTES + 1];
    lh_hex(bytes, UUID_BYTES, hex);
    const size_t starts[] = {0, 8, 12, 16, 20, 32};
    char *at = out;
    for (size_t part = 0; part < 5; part++) {
        size_t len = starts[part + 1] - starts[part];
        memcpy(at, hex + starts[part], len);
        at += len;
        *at++ = part < 4 ? '-' : '\0';
    }
}

static uint64_t change_bytes(const struct lh_vindex_config *config, const struct lh_change *change)
{
    uint64_t texts = padded(change->id.len + change->metadata.len);
    uint64_t vector = change->kind == LH_CHANGE_UPSERT ? config->dimension * sizeof(float) : 0;
    return RECORD_HEAD_BYTES + texts + vector;
}

uint64_t lh_lhvl_batch_bytes(const struct lh_vindex_config *config, const struct lh_batch *batch)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < batch->count; i++)
        bytes += change_bytes(config, &batch->changes[i]);
    return bytes;
}

static void put_change(const struct lh_vindex_config *config, const struct lh_change *change,
                       struct lh_buf *out)
{
    LH_CHECK(change->id.len >= 1 && change->id.len <= LH_ITEM_ID_MAX);
    LH_CHECK(change->metadata.len <= UINT32_MAX);
    const struct record_head head = {.kind = (uint8_t)change->kind,
                                     .id_len = (uint16_t)change->id.len,
                                     .metadata_len = (uint32_t)change->metadata.len};
    uint64_t texts = change->id.len + change->metadata.len;
    lh_buf_append(out, &head, sizeof(head));
    lh_buf_append_str(out, change->id);
    lh_buf_append_str(out, change->metadata);
    lh_buf_append(out, "\0\0\0", padded(texts) - texts);
    if (change->kind == LH_CHANGE_UPSERT)
        lh_buf_append(out, change->vector, config->dimension * sizeof(float));
}

void lh_lhvl_begin(const struct lh_vindex_config *config, struct lh_buf *out)
{
    LH_CHECK(out->len == 0);
    struct file_head head = {
        .magic = {'L', 'H', 'V', 'L'}, .version = VERSION, .dimension = config->dimension};
    LH_CHECK(uuid_bytes(config->uuid, head.uuid));
    lh_buf_append(out, &head, sizeof(head));
}

/* The head is brought up to date by each call, the checksum by lh_lhvl_seal. */
void lh_lhvl_append(const struct lh_vindex_config *config, const struct lh_batch *batch,
                    struct lh_buf *out)
{
    struct file_head head;
    for (size_t i = 0; i < batch->count; i++)
        put_change(config, &batch->changes[i], out);
    LH_CHECK(!lh_buf_overflowed(out));
    memcpy(&head, out->data, sizeof(head));
    head.record_count += (uint32_t)batch->count;
    head.record_bytes = out->len - HEAD_BYTES;
    memcpy(out->data, &head, sizeof(head));
}

void lh_lhvl_seal(uint64_t sequence, struct lh_buf *out)
{
    struct file_head head;
    memcpy(&head, out->data, sizeof(head));
    head.sequence = sequence;
    memcpy(out->data, &head, sizeof(head));
    uint64_t sum = lh_xxh3(out->data, HEAD_BYTES + head.record_bytes);
    if (out->len > HEAD_BYTES + head.record_bytes) /* sealed before */
        memcpy(out->data + HEAD_BYTES + head.record_bytes, &sum, sizeof(sum));
    else
        lh_buf_append(out, &sum, sizeof(sum));
    LH_CHECK(!lh_buf_overflowed(out));
}

/* ---- reading ---- */

static lh_code read_head(lh_str object, struct file_head *ret_head, struct lh_error *err)
{
    if (object.len < HEAD_BYTES + SUM_BYTES)
        return lh_fail(err, LH_CORRUPT, "a log object of %zu bytes is too short", object.len);
    struct file_head head;
    memcpy(&head, object.ptr, sizeof(head));
    if (memcmp(head.magic, "LHVL", 4) != 0)
        return lh_fail(err, LH_CORRUPT, "the log object does not begin with LHVL");
    uint64_t sum;
    memcpy(&sum, object.ptr + object.len - SUM_BYTES, sizeof(sum));
    if (sum != lh_xxh3(object.ptr, object.len - SUM_BYTES))
        return lh_fail(err, LH_CORRUPT, "the checksum of the log object is wrong");
    if (head.version != VERSION)
        return lh_fail(err, LH_CORRUPT, "the log object has version %u, not %d", head.version,
                       VERSION);
    if (head.record_bytes != object.len - HEAD_BYTES - SUM_BYTES)
        return lh_fail(err, LH_CORRUPT, "the log object is %zu bytes long, its head says otherwise",
                       object.len);
    *ret_head = head;
    return LH_OK;
}

static struct lh_lhvl_head public_head(const struct file_head *head)
{
    struct lh_lhvl_head result = {.sequence = head->sequence,
                                  .record_count = head->record_count,
                                  .dimension = head->dimension};
    uuid_text(head->uuid, result.uuid);
    return result;
}

lh_code lh_lhvl_head(lh_str object, struct lh_lhvl_head *ret_head, struct lh_error *err)
{
    struct file_head head;
    LH_TRY(read_head(object, &head, err));
    *ret_head = public_head(&head);
    return LH_OK;
}

/* Cuts one record off the front of *rest. */
static lh_code take_record(lh_str *rest, const struct lh_vindex_config *config,
                           struct lh_change *ret_change, struct lh_error *err)
{
    struct record_head head;
    if (rest->len < sizeof(head))
        return lh_fail(err, LH_CORRUPT, "a record of the log is cut off");
    memcpy(&head, rest->ptr, sizeof(head));
    if ((head.kind != LH_CHANGE_UPSERT && head.kind != LH_CHANGE_DELETE) || head.zero != 0 ||
        head.id_len == 0 || head.id_len > LH_ITEM_ID_MAX ||
        (head.kind == LH_CHANGE_DELETE && head.metadata_len != 0))
        return lh_fail(err, LH_CORRUPT, "a record of the log has a bad head");
    uint64_t texts = padded((uint64_t)head.id_len + head.metadata_len);
    uint64_t floats = head.kind == LH_CHANGE_UPSERT ? config->dimension : 0;
    if (rest->len - sizeof(head) < texts + floats * sizeof(float))
        return lh_fail(err, LH_CORRUPT, "a record of the log is cut off");
    const char *id = rest->ptr + sizeof(head);
    *ret_change = (struct lh_change){
        .kind = head.kind,
        .id = lh_str_of(id, head.id_len),
        .metadata = lh_str_of(id + head.id_len, head.metadata_len),
        .vector = floats > 0 ? (const float *)(const void *)(id + texts) : NULL,
    };
    *rest = lh_str_skip(*rest, sizeof(head) + texts + floats * sizeof(float));
    return LH_OK;
}

/* What the graph relies on. */
static lh_code check_change(const struct lh_change *change, uint32_t dimension,
                            struct lh_error *err)
{
    if (!lh_utf8_valid(change->id) || !lh_utf8_valid(change->metadata))
        return lh_fail(err, LH_CORRUPT, "a text in the log is not UTF-8");
    double squares = 0;
    for (uint32_t i = 0; change->vector != NULL && i < dimension; i++)
        squares += (double)change->vector[i] * (double)change->vector[i];
    if (!(squares <= LH_NORM_SQUARED_MAX))
        return lh_fail(err, LH_CORRUPT, "a vector in the log is not finite");
    return LH_OK;
}

lh_code lh_lhvl_decode(lh_str object, const struct lh_vindex_config *config, struct lh_batch *batch,
                       struct lh_lhvl_head *ret_head, struct lh_error *err)
{
    LH_CHECK((uintptr_t)object.ptr % 4 == 0);
    struct file_head head;
    LH_TRY(read_head(object, &head, err));
    struct lh_lhvl_head result = public_head(&head);
    if (!lh_str_is(lh_str_from(result.uuid), config->uuid))
        return lh_fail(err, LH_CORRUPT, "the log object belongs to another index (%s)",
                       result.uuid);
    if (head.dimension != config->dimension)
        return lh_fail(err, LH_CORRUPT, "the log object is for %u dimensions, not %u",
                       head.dimension, config->dimension);
    lh_str rest = lh_str_of(object.ptr + HEAD_BYTES, head.record_bytes);
    for (uint32_t i = 0; i < head.record_count; i++) {
        struct lh_change change;
        LH_TRY(take_record(&rest, config, &change, err));
        LH_TRY(check_change(&change, config->dimension, err));
        lh_batch_add(batch, &change);
    }
    if (rest.len != 0)
        return lh_fail(err, LH_CORRUPT, "there are %zu bytes behind the log's records", rest.len);
    *ret_head = result;
    return LH_OK;
}
