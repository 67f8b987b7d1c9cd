/*
 * Versions: their ids, and what of them is asked for without a change.
 */
#include <inttypes.h>
#include <stdio.h>

#include "storaged/store_private.h"

bool lh_version_parse(lh_str id, struct lh_version *ret)
{
    struct lh_version version = {.kind = LH_VERSION_NULL};
    if (lh_str_is(id, "null")) {
        *ret = version;
        return true;
    }
    if (!lh_unhex_u64(id, &version.number))
        return false;
    version.kind = LH_VERSION_NUMBERED;
    *ret = version;
    return version.number > 0 && version.number <= INT64_MAX;
}

struct lh_version lh_version_of(const struct lh_store_info *info)
{
    bool is_null = info->null_version || info->version == 0;
    return is_null ? (struct lh_version){.kind = LH_VERSION_NULL}
                   : (struct lh_version){.kind = LH_VERSION_NUMBERED, .number = info->version};
}

void lh_version_id(struct lh_version version, char out[LH_VERSION_ID_SIZE])
{
    if (version.kind == LH_VERSION_NUMBERED)
        snprintf(out, LH_VERSION_ID_SIZE, "%016" PRIx64, version.number);
    else
        snprintf(out, LH_VERSION_ID_SIZE, "null");
}

void lh_version_take(struct lh_store *store, const struct lh_bucket_entry *entry,
                     struct lh_store_info *info)
{
    if (entry->info.versioning == LH_VERSIONING_NONE)
        return;
    info->version = atomic_fetch_add(&store->next_body, 1);
    info->null_version = entry->info.versioning == LH_VERSIONING_SUSPENDED;
}

lh_code lh_store_head_marker(struct lh_store *store, int64_t bucket, lh_str key,
                             struct lh_store_info *ret_info, struct lh_error *err)
{
    struct lh_index_row row;
    LH_TRY(lh_index_head_newest(store->index, bucket, key, &row, err));
    if (!row.info.delete_marker || row.damaged)
        return lh_fail(err, LH_NOT_FOUND, "the key has no delete marker");
    *ret_info = row.info;
    return LH_OK;
}
