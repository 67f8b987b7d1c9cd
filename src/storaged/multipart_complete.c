/*
 * Completing an upload in parts: what the client names is matched with what is there, the etag and
 * the checksum of the object are made of those of its parts, and one commit makes it an object.
 */
#include "storaged/multipart.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "storaged/store_private.h"

enum { TRIES_MAX = 10 };

/* The upload's parts as they are: those that the client names, with their places, and the rest. */
struct gathering {
    struct lh_store *store;
    const struct lh_completion *completion;
    struct lh_index_part *parts;
    size_t part_count;
    struct lh_index_part *unnamed;
    size_t unnamed_count;
    size_t unnamed_capacity;
    uint64_t size;
    lh_code code;
    struct lh_error err;
};

static void gathering_deinit(struct gathering *gathering)
{
    free(gathering->parts);
    free(gathering->unnamed);
}

/* ---- matching ---- */

static bool checksums_differ(const struct lh_checksum *a, const struct lh_checksum *b)
{
    return a->kind != b->kind || memcmp(a->bytes, b->bytes, lh_checksum_size(a->kind)) != 0;
}

static uint64_t part_bytes_min(const struct lh_store *store)
{
    return store->options.part_bytes_min ? store->options.part_bytes_min : LH_PART_BYTES_MIN;
}

static lh_code check_named(const struct gathering *gathering,
                           const struct lh_completion_part *wanted,
                           const struct lh_index_part *part, bool is_last, struct lh_error *err)
{
    if (part->damaged)
        return lh_fail(err, LH_CORRUPT, "the row of part %" PRIu32 " is damaged", wanted->number);
    if (wanted->etag.ptr && !lh_str_is(wanted->etag, part->info.etag))
        return lh_fail(err, LH_INVALID_PART, "part %" PRIu32 " has another etag", wanted->number);
    if (wanted->checksum.kind != LH_CHECKSUM_NONE &&
        checksums_differ(&wanted->checksum, &part->info.checksum))
        return lh_fail(err, LH_INVALID_PART, "part %" PRIu32 " has another checksum",
                       wanted->number);
    if (!is_last && part->info.size < part_bytes_min(gathering->store))
        return lh_fail(err, LH_PART_TOO_SMALL,
                       "part %" PRIu32 " has %" PRIu64
                       " bytes, only the last may have less than %" PRIu64,
                       wanted->number, part->info.size, part_bytes_min(gathering->store));
    return LH_OK;
}

/* Both sides are in the order of numbers. */
static bool add_part(void *ctx, const struct lh_index_part *part)
{
    struct gathering *gathering = ctx;
    const struct lh_completion *completion = gathering->completion;
    size_t i = gathering->part_count;
    if (i == completion->count || completion->parts[i].number > part->info.number) {
        gathering->unnamed = lh_grow(gathering->unnamed, &gathering->unnamed_capacity,
                                     gathering->unnamed_count + 1, sizeof(*gathering->unnamed));
        gathering->unnamed[gathering->unnamed_count++] = *part;
        return true;
    }
    if (completion->parts[i].number < part->info.number)
        return false; /* it is not there */
    gathering->code = check_named(gathering, &completion->parts[i], part,
                                  i + 1 == completion->count, &gathering->err);
    gathering->parts[i] = *part;
    gathering->parts[i].start = gathering->size;
    gathering->size += part->info.size;
    gathering->part_count++;
    return gathering->code == LH_OK;
}

static lh_code check_order(const struct lh_completion *completion, struct lh_error *err)
{
    if (completion->count == 0 || completion->count > LH_PARTS_MAX)
        return lh_fail(err, LH_INVALID, "an object has 1 to %d parts", LH_PARTS_MAX);
    for (size_t i = 0; i < completion->count; i++) {
        uint32_t number = completion->parts[i].number;
        if (number < 1 || number > LH_PARTS_MAX)
            return lh_fail(err, LH_INVALID_PART, "part numbers are from 1 to %d", LH_PARTS_MAX);
        if (i > 0 && completion->parts[i - 1].number >= number)
            return lh_fail(err, LH_PART_ORDER, "part %" PRIu32 " is not in order", number);
    }
    return LH_OK;
}

static lh_code gather(struct gathering *gathering, uint64_t list, struct lh_error *err)
{
    const struct lh_completion *completion = gathering->completion;
    gathering->parts = lh_calloc(completion->count, sizeof(*gathering->parts));
    LH_TRY(lh_index_parts(gathering->store->index, list, 0, add_part, gathering, err));
    if (gathering->code != LH_OK) {
        *err = gathering->err;
        return gathering->code;
    }
    if (gathering->part_count < completion->count)
        return lh_fail(err, LH_INVALID_PART, "there is no part %" PRIu32,
                       completion->parts[gathering->part_count].number);
    if (completion->size >= 0 && (uint64_t)completion->size != gathering->size)
        return lh_fail(err, LH_INVALID, "the parts have %" PRIu64 " bytes, not %" PRId64,
                       gathering->size, completion->size);
    return LH_OK;
}

/* ---- etag and checksum ---- */

/* S3: the MD5 of the parts' MD5s, and how many they are. */
static lh_code make_etag(const struct gathering *gathering, char out[LH_STORE_ETAG_SIZE],
                         struct lh_error *err)
{
    LH_AUTO_DIGEST struct lh_digest *md5 = lh_digest_new(LH_DIGEST_MD5);
    uint8_t value[LH_MD5_SIZE];
    char hex[LH_MD5_HEX];
    for (size_t i = 0; i < gathering->part_count; i++) {
        if (!lh_unhex(lh_str_from(gathering->parts[i].info.etag), value, sizeof(value)))
            return lh_fail(err, LH_CORRUPT, "the etag of part %" PRIu32 " is no MD5",
                           gathering->parts[i].info.number);
        lh_digest_update(md5, value, sizeof(value));
    }
    lh_digest_final(md5, value);
    lh_hex(value, sizeof(value), hex);
    snprintf(out, LH_STORE_ETAG_SIZE, "%s-%zu", hex, gathering->part_count);
    return LH_OK;
}

static lh_code require_checksums(const struct gathering *gathering, enum lh_checksum_kind kind,
                                 struct lh_error *err)
{
    for (size_t i = 0; i < gathering->part_count; i++) {
        if (gathering->parts[i].info.checksum.kind != kind)
            return lh_fail(err, LH_INVALID, "the upload was not begun for checksums of kind %s",
                           lh_checksum_name(kind));
    }
    return LH_OK;
}

/* Over the whole object, of those of the parts. */
static void combine(const struct gathering *gathering, struct lh_checksum *ret)
{
    *ret = gathering->parts[0].info.checksum;
    for (size_t i = 1; i < gathering->part_count; i++)
        lh_checksum_combine(ret, &gathering->parts[i].info.checksum, gathering->parts[i].info.size);
}

/* Over the values of the parts. */
static void compose(const struct gathering *gathering, enum lh_checksum_kind kind,
                    struct lh_checksum *ret)
{
    struct lh_checksummer *sum = lh_checksummer_new(kind);
    for (size_t i = 0; i < gathering->part_count; i++)
        lh_checksummer_update(sum, gathering->parts[i].info.checksum.bytes, lh_checksum_size(kind));
    lh_checksummer_final(sum, ret);
    lh_checksummer_free(sum);
}

static lh_code make_checksum(const struct gathering *gathering,
                             const struct lh_multipart_info *upload, struct lh_store_info *info,
                             struct lh_error *err)
{
    const struct lh_checksum *wanted = gathering->completion->checksum;
    enum lh_checksum_kind kind = upload->checksum;
    if (kind == LH_CHECKSUM_NONE && wanted)
        kind = wanted->kind;
    if (kind == LH_CHECKSUM_NONE)
        return LH_OK;
    LH_TRY(require_checksums(gathering, kind, err));
    info->checksum_composite =
        upload->checksum_composite || kind == LH_CHECKSUM_SHA1 || kind == LH_CHECKSUM_SHA256;
    if (info->checksum_composite)
        compose(gathering, kind, &info->checksum);
    else
        combine(gathering, &info->checksum);
    if (wanted && wanted->kind != LH_CHECKSUM_NONE && checksums_differ(wanted, &info->checksum))
        return lh_fail(err, LH_BAD_DIGEST, "the object's %s is another one than the request says",
                       lh_checksum_name(kind));
    return LH_OK;
}

/* ---- complete ---- */

static lh_code complete_once(struct lh_store *store, const struct lh_completion *completion,
                             struct lh_store_info *ret_info, struct lh_error *err)
{
    struct lh_index_upload upload;
    LH_TRY(lh_index_upload(store->index, completion->bucket, completion->key, completion->id,
                           &upload, err));
    LH_AUTO(gathering_deinit)
    struct gathering gathering = {.store = store, .completion = completion, .err = LH_ERROR_INIT};
    LH_TRY(gather(&gathering, upload.body, err));
    struct lh_upload_complete change = {
        .put = {.commit = {.kind = &lh_upload_complete_kind, .err = LH_ERROR_INIT},
                .bucket = completion->bucket,
                .key = completion->key,
                .condition = completion->condition,
                .row = {.info = {.size = gathering.size,
                                 .modified_ms = lh_store_now(store),
                                 .part_count = (uint32_t)gathering.part_count},
                        .body = upload.body,
                        .has_attributes = upload.has_attributes}},
        .upload_id = completion->id,
        .parts = gathering.parts,
        .part_count = gathering.part_count,
        .unnamed = gathering.unnamed,
        .unnamed_count = gathering.unnamed_count,
    };
    struct lh_store_info *info = &change.put.row.info;
    memcpy(info->content_type, upload.content_type, sizeof(info->content_type));
    LH_TRY(make_etag(&gathering, info->etag, err));
    LH_TRY(make_checksum(&gathering, &upload.info, info, err));
    LH_TRY(lh_commit_submit(store, &change.put.commit, err));
    *ret_info = *info;
    return LH_OK;
}

/* ---- again ---- */

struct comparison {
    const struct lh_completion *completion;
    size_t count;
    bool same;
};

static bool compare_part(void *ctx, const struct lh_index_part *part)
{
    struct comparison *comparison = ctx;
    size_t i = comparison->count++;
    comparison->same = i < comparison->completion->count;
    if (!comparison->same)
        return false;
    const struct lh_completion_part *wanted = &comparison->completion->parts[i];
    comparison->same = wanted->number == part->info.number &&
                       (!wanted->etag.ptr || lh_str_is(wanted->etag, part->info.etag));
    return comparison->same;
}

/* Whether the key holds what this very upload became, of the same parts. */
static lh_code find_completed(struct lh_store *store, const struct lh_completion *completion,
                              struct lh_store_info *ret_info, struct lh_error *err)
{
    struct lh_index_row row;
    struct comparison comparison = {.completion = completion};
    uint64_t list = 0;
    if (strlen(completion->id) != LH_UPLOAD_ID_SIZE - 1 ||
        !lh_unhex_u64(lh_str_of(completion->id, 2 * sizeof(list)), &list))
        return lh_fail(err, LH_NOT_FOUND, "there is no such upload");
    lh_code code = lh_index_head(store->index, completion->bucket, completion->key, &row, err);
    if (code == LH_OK && !row.damaged && row.body == list && row.info.part_count > 0)
        LH_TRY(lh_index_parts(store->index, list, 0, compare_part, &comparison, err));
    if (!comparison.same || comparison.count != completion->count)
        return lh_fail(err, LH_NOT_FOUND, "there is no such upload");
    *ret_info = row.info;
    return LH_OK;
}

lh_code lh_multipart_complete(struct lh_store *store, const struct lh_completion *completion,
                              struct lh_store_info *ret_info, struct lh_error *err)
{
    LH_TRY(lh_store_check_key(completion->key, err));
    LH_TRY(lh_store_check_writable(store, err));
    LH_TRY(check_order(completion, err));
    lh_code code = LH_CONFLICT;
    for (int i = 0; code == LH_CONFLICT && i < TRIES_MAX; i++)
        code = complete_once(store, completion, ret_info, err);
    return code == LH_NOT_FOUND ? find_completed(store, completion, ret_info, err) : code;
}
