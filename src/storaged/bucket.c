/*
 * Buckets in memory: two lists of the same entries, by id for the committer and by name for
 * everybody. What is published changes under the lock only, when a transaction is durable.
 */
#include "storaged/store_private.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- names ---- */

static bool is_bucket_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* What is wrong with it by S3's rules; NULL when nothing is. */
static const char *name_fault(lh_str name)
{
    char text[LH_BUCKET_NAME_SIZE] = "";
    struct in_addr address;
    if (name.len < 3 || name.len >= LH_BUCKET_NAME_SIZE)
        return "it has 3 to 63 characters";
    for (size_t i = 0; i < name.len; i++) {
        if (!is_bucket_char(name.ptr[i]))
            return "it is made of a-z, 0-9, - and .";
        if (i > 0 && name.ptr[i - 1] == '.' && (name.ptr[i] == '.' || name.ptr[i] == '-'))
            return "a dot may not be followed by a dot or a hyphen";
        if (i > 0 && name.ptr[i - 1] == '-' && name.ptr[i] == '.')
            return "a hyphen may not be followed by a dot";
    }
    char last = name.ptr[name.len - 1];
    if (name.ptr[0] == '-' || name.ptr[0] == '.' || last == '-' || last == '.')
        return "it begins and ends with a letter or digit";
    memcpy(text, name.ptr, name.len);
    return inet_pton(AF_INET, text, &address) == 1 ? "it may not look like an address" : NULL;
}

lh_code lh_bucket_check_name(lh_str name, struct lh_error *err)
{
    static const char *const reserved[] = {"storage", "health",  "livez",
                                           "readyz",  "metrics", "openapi.json"};
    const char *fault = name_fault(name);
    for (size_t i = 0; i < LH_COUNT(reserved); i++) {
        if (lh_str_is(name, reserved[i]))
            fault = "it is the name of a path of this service";
    }
    if (!fault)
        return LH_OK;
    return lh_fail(err, LH_INVALID_NAME, "%.*s cannot be the name of a bucket: %s",
                   (int)(name.len < LH_BUCKET_NAME_SIZE ? name.len : LH_BUCKET_NAME_SIZE),
                   name.len ? name.ptr : "", fault);
}

/* ---- the lists ---- */

struct lh_bucket_entry *lh_buckets_at(const struct lh_buckets *buckets, int64_t id)
{
    size_t low = 0;
    size_t high = buckets->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (buckets->by_id[middle]->info.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < buckets->count && buckets->by_id[low]->info.id == id ? buckets->by_id[low] : NULL;
}

size_t lh_buckets_place(const struct lh_buckets *buckets, lh_str name, bool *ret_found)
{
    size_t low = 0;
    size_t high = buckets->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (lh_str_compare(lh_str_from(buckets->by_name[middle]->info.name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < buckets->count && lh_str_is(name, buckets->by_name[low]->info.name);
    return low;
}

static void write_lock(struct lh_buckets *buckets)
{
    LH_CHECK(pthread_rwlock_wrlock(&buckets->lock) == 0);
}

static void read_lock(struct lh_buckets *buckets)
{
    LH_CHECK(pthread_rwlock_rdlock(&buckets->lock) == 0);
}

static void unlock(struct lh_buckets *buckets)
{
    LH_CHECK(pthread_rwlock_unlock(&buckets->lock) == 0);
}

/* Ids only grow, so the list of ids grows at its end. */
void lh_buckets_add(struct lh_store *store, const struct lh_bucket *bucket)
{
    struct lh_buckets *buckets = &store->buckets;
    struct lh_bucket_entry *entry = lh_calloc(1, sizeof(*entry));
    entry->info = *bucket;
    write_lock(buckets);
    size_t count = buckets->count;
    bool found = false;
    size_t place = lh_buckets_place(buckets, lh_str_from(bucket->name), &found);
    LH_CHECK(!found && (count == 0 || buckets->by_id[count - 1]->info.id < bucket->id));
    buckets->by_id =
        lh_grow(buckets->by_id, &buckets->by_id_capacity, count + 1, sizeof(*buckets->by_id));
    buckets->by_name =
        lh_grow(buckets->by_name, &buckets->by_name_capacity, count + 1, sizeof(*buckets->by_name));
    memmove(buckets->by_name + place + 1, buckets->by_name + place,
            (count - place) * sizeof(*buckets->by_name));
    buckets->by_name[place] = entry;
    buckets->by_id[count] = entry;
    buckets->count++;
    unlock(buckets);
}

static void take_out(struct lh_bucket_entry **list, size_t count,
                     const struct lh_bucket_entry *entry)
{
    size_t place = 0;
    while (list[place] != entry)
        place++;
    memmove(list + place, list + place + 1, (count - place - 1) * sizeof(*list));
}

void lh_buckets_remove(struct lh_store *store, struct lh_bucket_entry *entry)
{
    struct lh_buckets *buckets = &store->buckets;
    write_lock(buckets);
    take_out(buckets->by_id, buckets->count, entry);
    take_out(buckets->by_name, buckets->count, entry);
    buckets->count--;
    unlock(buckets);
    free(entry);
}

void lh_buckets_change(struct lh_store *store, struct lh_bucket_entry *entry,
                       const struct lh_bucket *changed)
{
    write_lock(&store->buckets);
    entry->info.quota_bytes = changed->quota_bytes;
    entry->info.public_rights = changed->public_rights;
    entry->info.versioning = changed->versioning;
    unlock(&store->buckets);
}

/* ---- opening and closing ---- */

static void add_loaded(void *ctx, const struct lh_bucket *bucket, bool damaged)
{
    struct lh_store *store = ctx;
    struct lh_bucket known = *bucket;
    if (damaged) { /* what it says of rights cannot be believed */
        known.public_rights = 0;
        LH_AUTO_FREE char *name = lh_asprintf("the settings of bucket %s", known.name);
        lh_store_note_damaged(store, LH_BUCKET_LAKE, lh_str_from(name));
    }
    bool found = false;
    lh_buckets_place(&store->buckets, lh_str_from(known.name), &found);
    if (found)
        return; /* a damaged row with the name of another: it stays hidden */
    atomic_fetch_add(&store->objects, known.objects);
    atomic_fetch_add(&store->bytes, known.bytes);
    lh_buckets_add(store, &known);
}

lh_code lh_buckets_load(struct lh_store *store, struct lh_error *err)
{
    return lh_index_buckets(store->index, add_loaded, store, err);
}

void lh_buckets_free(struct lh_store *store)
{
    struct lh_buckets *buckets = &store->buckets;
    for (size_t i = 0; i < buckets->count; i++)
        free(buckets->by_id[i]);
    free(buckets->by_id);
    free(buckets->by_name);
    pthread_rwlock_destroy(&buckets->lock);
}

/* ---- totals ---- */

bool lh_bucket_has_room(const struct lh_bucket_entry *entry, int64_t more_bytes)
{
    int64_t bytes = (int64_t)entry->info.bytes + entry->change_bytes;
    return more_bytes <= 0 || entry->info.quota_bytes == 0 ||
           bytes + more_bytes <= (int64_t)entry->info.quota_bytes;
}

void lh_bucket_count(struct lh_store *store, struct lh_bucket_entry *entry, int64_t objects,
                     int64_t bytes)
{
    entry->change_objects += objects;
    entry->change_bytes += bytes;
    if (entry->touched)
        return;
    entry->touched = true;
    entry->next_touched = store->buckets.touched;
    store->buckets.touched = entry;
}

lh_code lh_buckets_write_totals(struct lh_store *store, struct lh_error *err)
{
    for (const struct lh_bucket_entry *entry = store->buckets.touched; entry;
         entry = entry->next_touched) {
        if (entry->change_objects != 0 || entry->change_bytes != 0)
            LH_TRY(lh_index_add_totals(store->index, entry->info.id, entry->change_objects,
                                       entry->change_bytes, err));
    }
    return LH_OK;
}

void lh_buckets_forget_totals(struct lh_store *store)
{
    for (struct lh_bucket_entry *entry = store->buckets.touched; entry;
         entry = entry->next_touched) {
        entry->change_objects = 0;
        entry->change_bytes = 0;
        entry->touched = false;
    }
    store->buckets.touched = NULL;
}

/* Differences may be negative: sums are taken modulo 2^64. */
void lh_buckets_publish_totals(struct lh_store *store)
{
    if (!store->buckets.touched)
        return;
    write_lock(&store->buckets);
    for (struct lh_bucket_entry *entry = store->buckets.touched; entry;
         entry = entry->next_touched) {
        entry->info.objects += (uint64_t)entry->change_objects;
        entry->info.bytes += (uint64_t)entry->change_bytes;
        atomic_fetch_add(&store->objects, (uint64_t)entry->change_objects);
        atomic_fetch_add(&store->bytes, (uint64_t)entry->change_bytes);
    }
    unlock(&store->buckets);
    lh_buckets_forget_totals(store);
}

/* ---- looking up ---- */

lh_code lh_bucket_find(struct lh_store *store, lh_str name, struct lh_bucket *ret_bucket,
                       struct lh_error *err)
{
    struct lh_buckets *buckets = &store->buckets;
    bool found = false;
    read_lock(buckets);
    size_t place = lh_buckets_place(buckets, name, &found);
    if (found)
        *ret_bucket = buckets->by_name[place]->info;
    unlock(buckets);
    return found ? LH_OK : lh_fail(err, LH_NOT_FOUND, "there is no bucket of this name");
}

bool lh_bucket_name(struct lh_store *store, int64_t id, char out[LH_BUCKET_NAME_SIZE])
{
    read_lock(&store->buckets);
    const struct lh_bucket_entry *entry = lh_buckets_at(&store->buckets, id);
    if (entry)
        memcpy(out, entry->info.name, LH_BUCKET_NAME_SIZE);
    unlock(&store->buckets);
    return entry != NULL;
}

void lh_bucket_list(struct lh_store *store, lh_str after,
                    bool (*visit)(void *ctx, const struct lh_bucket *bucket), void *ctx)
{
    struct lh_buckets *buckets = &store->buckets;
    bool found = false;
    read_lock(buckets);
    size_t i = lh_buckets_place(buckets, after, &found);
    for (i += found; i < buckets->count; i++) {
        if (!visit(ctx, &buckets->by_name[i]->info))
            break;
    }
    unlock(buckets);
}
