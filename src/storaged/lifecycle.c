/*
 * Rules for the life of objects, as the index keeps them, and how the keeper carries them out.
 */
#include "storaged/store_private.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "storaged/list.h"

/* ---- rules as bytes ----
 *
 * u8 enabled | u32 expire_days | i64 expire_at | u32 abort_upload_days | u16 id length | u16 prefix
 * length | id | prefix; little-endian, one behind the other.
 */

enum { RULE_HEAD = 1 + 4 + 8 + 4 + 2 + 2, RULE_TEXT_MAX = LH_STORE_KEY_MAX };
enum { RULES_BYTES_MAX = LH_LIFECYCLE_RULES_MAX * (RULE_HEAD + 2 * RULE_TEXT_MAX) };

static void put_number(struct lh_buf *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        lh_buf_append_char(out, (char)(value >> (8 * i)));
}

static uint64_t get_number(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

static void encode_rule(struct lh_buf *out, const struct lh_lifecycle_rule *rule)
{
    put_number(out, rule->enabled, 1);
    put_number(out, rule->expire_days, 4);
    put_number(out, (uint64_t)rule->expire_at_ms, 8);
    put_number(out, rule->abort_upload_days, 4);
    put_number(out, rule->id.len, 2);
    put_number(out, rule->prefix.len, 2);
    lh_buf_append_str(out, rule->id);
    lh_buf_append_str(out, rule->prefix);
}

/* Takes the first rule off the text; it borrows from it. */
static bool next_rule(lh_str *text, struct lh_lifecycle_rule *ret)
{
    const char *at = text->ptr;
    if (text->len < RULE_HEAD)
        return false;
    struct lh_lifecycle_rule rule = {
        .enabled = at[0] != 0,
        .expire_days = (uint32_t)get_number(at + 1, 4),
        .expire_at_ms = (lh_time_ms)get_number(at + 5, 8),
        .abort_upload_days = (uint32_t)get_number(at + 13, 4),
    };
    size_t id_len = (size_t)get_number(at + 17, 2);
    size_t prefix_len = (size_t)get_number(at + 19, 2);
    if (text->len - RULE_HEAD < id_len + prefix_len)
        return false;
    rule.id = lh_str_of(at + RULE_HEAD, id_len);
    rule.prefix = lh_str_of(rule.id.ptr + id_len, prefix_len);
    *text = lh_str_skip(*text, RULE_HEAD + id_len + prefix_len);
    *ret = rule;
    return true;
}

lh_code lh_bucket_set_lifecycle(struct lh_store *store, int64_t bucket,
                                const struct lh_lifecycle_rule *rules, size_t count,
                                lh_str document, struct lh_error *err)
{
    if (count > LH_LIFECYCLE_RULES_MAX)
        return lh_fail(err, LH_TOO_LARGE, "%zu rules, at most %d are possible", count,
                       LH_LIFECYCLE_RULES_MAX);
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(RULES_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (rules[i].id.len > RULE_TEXT_MAX || rules[i].prefix.len > RULE_TEXT_MAX)
            return lh_fail(err, LH_INVALID, "a rule's id or prefix is too long");
        encode_rule(&text, &rules[i]);
    }
    lh_str encoded = count > 0 ? lh_buf_str(&text) : LH_STR_NONE;
    return lh_bucket_put_document(store, bucket, LH_BUCKET_LIFECYCLE, document, &encoded, err);
}

/* ---- carrying them out ---- */

enum { BITE_DELETES = 256, BITE_ROWS = 20000 };
static const lh_time_ms hour_ms = INT64_C(3600000);
static const lh_time_ms day_ms = 24 * INT64_C(3600000);

/* The rules of one bucket; they borrow from `text`. */
struct rules {
    struct lh_buf text;
    struct lh_lifecycle_rule list[LH_LIFECYCLE_RULES_MAX];
    size_t count;
};

static lh_code load_rules(struct lh_store *store, int64_t bucket, struct rules *rules,
                          struct lh_error *err)
{
    rules->text = LH_BUF_INIT(RULES_BYTES_MAX);
    rules->count = 0;
    lh_code code = lh_index_document(store->index, bucket, LH_INDEX_LIFECYCLE, &rules->text, err);
    if (code != LH_OK)
        return code == LH_NOT_FOUND ? LH_OK : code;
    lh_str text = lh_buf_str(&rules->text);
    while (text.len > 0 && rules->count < LH_LIFECYCLE_RULES_MAX &&
           next_rule(&text, &rules->list[rules->count])) {
        if (rules->list[rules->count].enabled)
            rules->count++;
    }
    return LH_OK;
}

static void rules_deinit(struct rules *rules)
{
    lh_buf_deinit(&rules->text);
}

static bool is_older(lh_time_ms time, uint32_t days, lh_time_ms now)
{
    return days > 0 && now - time >= (lh_time_ms)days * day_ms;
}

static bool object_has_expired(const struct rules *rules, lh_str key,
                               const struct lh_index_row *row, lh_time_ms now)
{
    for (size_t i = 0; !row->damaged && i < rules->count; i++) {
        const struct lh_lifecycle_rule *rule = &rules->list[i];
        bool due = is_older(row->info.modified_ms, rule->expire_days, now) ||
                   (rule->expire_at_ms > 0 && now >= rule->expire_at_ms);
        if (due && lh_begins_with(key, rule->prefix))
            return true;
    }
    return false;
}

static bool any_expiry(const struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->list[i].expire_days > 0 || rules->list[i].expire_at_ms > 0)
            return true;
    }
    return false;
}

/* ---- objects ---- */

/* What one bite has found. */
struct expired {
    char *keys[BITE_DELETES];
    struct lh_deletion list[BITE_DELETES];
    uint64_t bodies[BITE_DELETES];
    size_t count;
};

static void expired_free(struct expired **address)
{
    struct expired *expired = *address;
    for (size_t i = 0; i < expired->count; i++)
        free(expired->keys[i]);
    free(expired);
}

static void add_expired(struct expired *expired, lh_str key, uint64_t body)
{
    size_t i = expired->count++;
    expired->keys[i] = lh_strndup(key.ptr, key.len);
    expired->list[i].key = lh_str_of(expired->keys[i], key.len);
    expired->bodies[i] = body;
}

/* Walks on from the round's place. *ret_end: the bucket has no more keys. */
static lh_code find_expired(struct lh_store *store, int64_t bucket, const struct rules *rules,
                            struct expired *expired, bool *ret_end, struct lh_error *err)
{
    struct lh_lifecycle_round *round = &store->round;
    struct lh_index_walk *walk;
    lh_time_ms now = lh_store_now(store);
    LH_TRY(lh_index_walk_begin(store->index, bucket, &walk, err));
    lh_code code = lh_index_walk_seek(walk, lh_str_of(round->key, round->key_len), err);
    for (size_t rows = 0; code == LH_OK && rows < BITE_ROWS && expired->count < BITE_DELETES;
         rows++) {
        lh_str key;
        struct lh_index_row row;
        code = lh_index_walk_next(walk, &key, &row, err);
        *ret_end = code == LH_OK && !key.ptr;
        if (code != LH_OK || *ret_end)
            break;
        memcpy(round->key, key.ptr, key.len);
        round->key[key.len] = '\0'; /* the next place in the order of keys */
        round->key_len = key.len + 1;
        if (object_has_expired(rules, key, &row, now))
            add_expired(expired, key, row.body);
    }
    lh_index_walk_end(walk);
    return code;
}

static lh_code expire_objects(struct lh_store *store, int64_t bucket, const struct rules *rules,
                              bool *ret_end, struct lh_error *err)
{
    *ret_end = true;
    if (!any_expiry(rules))
        return LH_OK;
    LH_AUTO(expired_free) struct expired *expired = lh_calloc(1, sizeof(*expired));
    LH_TRY(find_expired(store, bucket, rules, expired, ret_end, err));
    if (expired->count == 0)
        return LH_OK;
    LH_TRY(
        lh_store_delete_bodies(store, bucket, expired->list, expired->bodies, expired->count, err));
    atomic_fetch_add(&store->expired, expired->count);
    return LH_OK;
}

/* ---- uploads ---- */

struct stale {
    struct lh_store *store;
    const struct rules *rules; /* of `bucket`; NULL = by age alone */
    int64_t bucket;
    int64_t found_bucket;
    char key[LH_STORE_KEY_MAX];
    size_t key_len;
    char id[LH_UPLOAD_ID_SIZE];
    bool found;
};

static bool is_stale(const struct stale *stale, lh_str key, const struct lh_index_upload *upload)
{
    const struct lh_store *store = stale->store;
    lh_time_ms now = lh_store_now(store);
    lh_time_ms created = upload->info.created_ms;
    if (upload->damaged)
        return false;
    if (upload->hidden && upload->body >> LH_EPOCH_SHIFT < lh_index_epoch(store->index))
        return true; /* a copy that a crash has cut off */
    if (store->options.stale_upload_ms > 0 && now - created >= store->options.stale_upload_ms)
        return true;
    for (size_t i = 0; stale->rules && i < stale->rules->count; i++) {
        const struct lh_lifecycle_rule *rule = &stale->rules->list[i];
        if (is_older(created, rule->abort_upload_days, now) && lh_begins_with(key, rule->prefix))
            return true;
    }
    return false;
}

static bool look_at_upload(void *ctx, int64_t bucket, lh_str key,
                           const struct lh_index_upload *upload)
{
    struct stale *stale = ctx;
    if (stale->bucket != 0 && bucket != stale->bucket)
        return false;
    if (!is_stale(stale, key, upload))
        return true;
    stale->found = true;
    stale->found_bucket = bucket;
    memcpy(stale->key, key.ptr, key.len);
    stale->key_len = key.len;
    memcpy(stale->id, upload->info.id, sizeof(stale->id));
    return false;
}

/* Aborts uploads of a bucket that are too old. `rules` NULL: of all buckets, by their age alone. */
static lh_code abort_uploads(struct lh_store *store, int64_t bucket, const struct rules *rules,
                             struct lh_error *err)
{
    struct stale stale = {.store = store, .rules = rules, .bucket = bucket};
    do {
        stale.found = false;
        LH_TRY(lh_index_uploads(store->index, bucket, lh_str_of(stale.key, stale.key_len), stale.id,
                                look_at_upload, &stale, err));
        if (!stale.found)
            return LH_OK;
        lh_code code = lh_multipart_abort(store, stale.found_bucket,
                                          lh_str_of(stale.key, stale.key_len), stale.id, err);
        if (code != LH_OK && code != LH_NOT_FOUND)
            return code;
        atomic_fetch_add(&store->uploads_aborted, code == LH_OK);
    } while (!atomic_load(&store->read_only) && !atomic_load(&store->keeper_stopping));
    return LH_OK;
}

/* ---- rounds ---- */

/* One bite of one bucket. *ret_end: it is through. */
static lh_code tend_bucket(struct lh_store *store, const struct lh_bucket *bucket, bool *ret_end,
                           struct lh_error *err)
{
    LH_AUTO_FREE struct rules *rules = lh_calloc(1, sizeof(*rules));
    *ret_end = true;
    lh_code code = load_rules(store, bucket->id, rules, err);
    if (code == LH_OK && rules->count > 0)
        code = expire_objects(store, bucket->id, rules, ret_end, err);
    if (code == LH_OK && rules->count > 0 && *ret_end)
        code = abort_uploads(store, bucket->id, rules, err);
    rules_deinit(rules);
    return code;
}

static bool take_first(void *ctx, const struct lh_bucket *bucket)
{
    *(struct lh_bucket *)ctx = *bucket;
    return false;
}

/* The bucket at hand, or the first behind it; false when the round is through. */
static bool round_bucket(struct lh_store *store, struct lh_bucket *ret_bucket)
{
    struct lh_lifecycle_round *round = &store->round;
    struct lh_error ignored = LH_ERROR_INIT;
    lh_str name = lh_str_from(round->bucket);
    if (round->key_len > 0 && lh_bucket_find(store, name, ret_bucket, &ignored) == LH_OK)
        return true;
    round->key_len = 0;
    *ret_bucket = (struct lh_bucket){.id = 0};
    lh_bucket_list(store, name, take_first, ret_bucket);
    memcpy(round->bucket, ret_bucket->name, sizeof(round->bucket));
    return ret_bucket->id != 0;
}

bool lh_store_live(struct lh_store *store)
{
    struct lh_lifecycle_round *round = &store->round;
    struct lh_error err = LH_ERROR_INIT;
    struct lh_bucket bucket;
    bool end = true;
    lh_code code = LH_OK;
    lh_time_ms now = lh_store_now(store);
    if (atomic_load(&store->read_only) || (!round->running && now < round->next_ms))
        return false;
    if (!round->running) {
        *round = (struct lh_lifecycle_round){.running = true, .next_ms = now + hour_ms};
        code = abort_uploads(store, 0, NULL, &err);
    } else if (!round_bucket(store, &bucket)) {
        round->running = false;
    } else {
        code = tend_bucket(store, &bucket, &end, &err);
        if (end || code != LH_OK)
            round->key_len = 0; /* the next bucket */
    }
    if (code != LH_OK)
        lh_log_error(LH_LOG_WARN, "the life cycle of a bucket could not be carried out", &err);
    return round->running;
}
