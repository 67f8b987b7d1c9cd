/*
 * Changes of uploads in parts, as the committer makes them. Bytes of parts count for their bucket
 * from the moment they are there; completing an upload moves nothing.
 */
#include "storaged/store_private.h"

/* The upload as this transaction sees it; refuses the commit when there is none. */
static lh_code find_upload(struct lh_store *store, struct lh_commit *commit, int64_t bucket,
                           lh_str key, const char *id, struct lh_index_upload *ret_upload,
                           bool *ret_found, struct lh_error *err)
{
    LH_TRY(lh_index_find_upload(store->index, bucket, key, id, ret_upload, ret_found, err));
    if (!*ret_found)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "there is no such upload");
    if (ret_upload->damaged) {
        *ret_found = false;
        return lh_commit_refuse(commit, LH_CORRUPT, "the upload's row in the index is damaged");
    }
    return LH_OK;
}

/* ---- create ---- */

static lh_code apply_create(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    const struct lh_upload_create *change = (struct lh_upload_create *)commit;
    if (!lh_buckets_at(&store->buckets, change->bucket))
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    commit->changes = true;
    return lh_index_put_upload(store->index, change->bucket, change->key, &change->upload,
                               &change->attributes, err);
}

const struct lh_commit_kind lh_upload_create_kind = {.apply = apply_create};

/* ---- parts ---- */

static lh_code apply_part(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    struct lh_part_put *put = (struct lh_part_put *)commit;
    struct lh_index_upload upload;
    bool found = false;
    LH_TRY(find_upload(store, commit, put->bucket, put->key, put->upload_id, &upload, &found, err));
    if (!found)
        return LH_OK;
    struct lh_bucket_entry *entry = lh_buckets_at(&store->buckets, put->bucket);
    if (!entry)
        return lh_commit_refuse(commit, LH_NOT_FOUND, "the bucket is gone");
    LH_TRY(lh_index_find_part(store->index, upload.body, put->part.info.number, &put->old,
                              &put->existed, err));
    int64_t more = (int64_t)put->part.info.size;
    if (put->existed)
        more -= (int64_t)put->old.info.size;
    if (!lh_bucket_has_room(entry, more))
        return lh_commit_refuse(commit, LH_QUOTA, "the bucket may hold %llu bytes",
                                (unsigned long long)entry->info.quota_bytes);
    commit->changes = true;
    lh_bucket_count(store, entry, 0, more);
    return lh_index_put_part(store->index, upload.body, &put->part, put->body,
                             put->existed ? &put->old : NULL, err);
}

static void publish_part(struct lh_store *store, struct lh_commit *commit)
{
    const struct lh_part_put *put = (struct lh_part_put *)commit;
    if (put->existed && put->old.in_file && !put->old.damaged)
        lh_store_doom_file(store, put->old.body);
}

const struct lh_commit_kind lh_part_put_kind = {.apply = apply_part, .publish = publish_part};

/* ---- complete ---- */

/* Whether the list holds exactly these parts: one may have been put again since they were looked
 * at. */
static lh_code parts_are_the_same(struct lh_store *store, const struct lh_upload_complete *change,
                                  bool *ret_same, struct lh_error *err)
{
    size_t count = 0;
    uint64_t bytes = 0;
    uint64_t list = change->put.row.body;
    LH_TRY(lh_index_parts_totals(store->index, list, &count, &bytes, err));
    *ret_same = count == change->part_count + change->unnamed_count;
    for (size_t i = 0; *ret_same && i < count; i++) {
        const struct lh_index_part *part =
            i < change->part_count ? &change->parts[i] : &change->unnamed[i - change->part_count];
        struct lh_index_part now;
        bool found = false;
        LH_TRY(lh_index_find_part(store->index, list, part->info.number, &now, &found, err));
        *ret_same = found && now.body == part->body;
    }
    return LH_OK;
}

/* Gives the named parts their places and removes the others. */
static lh_code settle_parts(struct lh_store *store, const struct lh_upload_complete *change,
                            struct lh_error *err)
{
    uint64_t list = change->put.row.body;
    for (size_t i = 0; i < change->part_count; i++) {
        if (change->parts[i].start > 0)
            LH_TRY(lh_index_place_part(store->index, list, &change->parts[i], err));
    }
    for (size_t i = 0; i < change->unnamed_count; i++)
        LH_TRY(lh_index_remove_part(store->index, list, &change->unnamed[i], err));
    return LH_OK;
}

static lh_code apply_complete(struct lh_store *store, struct lh_commit *commit,
                              struct lh_error *err)
{
    struct lh_upload_complete *change = (struct lh_upload_complete *)commit;
    struct lh_object_put *put = &change->put;
    struct lh_index_upload upload;
    bool go_on = false;
    LH_TRY(
        find_upload(store, commit, put->bucket, put->key, change->upload_id, &upload, &go_on, err));
    if (!go_on)
        return LH_OK;
    if (!change->as_it_is)
        LH_TRY(parts_are_the_same(store, change, &go_on, err));
    if (!go_on)
        return lh_commit_refuse(commit, LH_CONFLICT, "the parts of the upload have changed");
    int64_t more = 0; /* the parts are counted already */
    for (size_t i = 0; i < change->unnamed_count; i++)
        more -= (int64_t)change->unnamed[i].info.size;
    LH_TRY(lh_object_put_judge(store, put, more, &go_on, err));
    if (!go_on)
        return LH_OK;
    LH_TRY(settle_parts(store, change, err));
    LH_TRY(lh_index_remove_upload(store->index, put->bucket, put->key, &upload, true, err));
    return lh_object_put_write(store, put, more, err);
}

static void publish_complete(struct lh_store *store, struct lh_commit *commit)
{
    struct lh_upload_complete *change = (struct lh_upload_complete *)commit;
    lh_object_put_publish(store, &change->put);
    for (size_t i = 0; i < change->unnamed_count; i++) {
        if (change->unnamed[i].in_file && !change->unnamed[i].damaged)
            lh_store_doom_file(store, change->unnamed[i].body);
    }
}

const struct lh_commit_kind lh_upload_complete_kind = {.apply = apply_complete,
                                                       .publish = publish_complete};

/* ---- abort ---- */

static lh_code apply_abort(struct lh_store *store, struct lh_commit *commit, struct lh_error *err)
{
    const struct lh_upload_abort *change = (struct lh_upload_abort *)commit;
    struct lh_index_upload upload;
    bool found = false;
    size_t count = 0;
    uint64_t bytes = 0;
    LH_TRY(find_upload(store, commit, change->bucket, change->key, change->upload_id, &upload,
                       &found, err));
    struct lh_bucket_entry *entry = lh_buckets_at(&store->buckets, change->bucket);
    if (!found)
        return LH_OK;
    LH_TRY(lh_index_parts_totals(store->index, upload.body, &count, &bytes, err));
    commit->changes = true;
    if (entry)
        lh_bucket_count(store, entry, 0, -(int64_t)bytes);
    return lh_index_remove_upload(store->index, change->bucket, change->key, &upload, false, err);
}

static void publish_abort(struct lh_store *store, struct lh_commit *commit)
{
    (void)commit;
    lh_store_wake_keeper(store);
}

const struct lh_commit_kind lh_upload_abort_kind = {.apply = apply_abort, .publish = publish_abort};
