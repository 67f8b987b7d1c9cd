/*
 * The table of keys.
 *
 * A table never changes once it is made; reloading makes another one and swaps it in. Readers copy
 * a key out under a lock that is held for a search. Tokens are found by a salted hash, so that the
 * time of a search tells nothing of the secrets it passes; the one that is found is then compared
 * whole, in constant time.
 */
#include "service/keys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/keys_private.h"

struct token {
    uint8_t hash[LH_SHA256_SIZE];
    size_t key; /* index in the table */
};

struct lh_keys {
    struct lh_keys_options options;
    uint8_t salt[16];
    atomic_bool required; /* whether there are any; asked without the lock */
    pthread_rwlock_t lock;
    struct lh_key_table table; /* sorted by id */
    struct token *tokens;      /* sorted by hash; one for each key */
};

/* ---- order ---- */

static int compare_ids(const void *a, const void *b)
{
    const struct lh_key *left = a, *right = b;
    return strcmp(left->id, right->id);
}

static int compare_tokens(const void *a, const void *b)
{
    const struct token *left = a, *right = b;
    return memcmp(left->hash, right->hash, sizeof(left->hash));
}

static void hash_token(const struct lh_keys *keys, lh_str secret, uint8_t out[LH_SHA256_SIZE])
{
    lh_hmac_sha256(keys->salt, sizeof(keys->salt), secret.ptr, secret.len, out);
}

static const struct lh_key *find_id(const struct lh_key_table *table, const struct lh_key *wanted)
{
    return table->count > 0
               ? bsearch(wanted, table->keys, table->count, sizeof(*wanted), compare_ids)
               : NULL;
}

/* ---- loading ---- */

/* Sorts, and refuses what would make it unclear whose a request is. */
static lh_code index_table(const struct lh_keys *keys, struct lh_key_table *table,
                           struct token **ret_tokens, struct lh_error *err)
{
    if (table->count > 0)
        qsort(table->keys, table->count, sizeof(*table->keys), compare_ids);
    LH_AUTO_FREE struct token *tokens = lh_calloc(table->count + 1, sizeof(*tokens));
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0 && strcmp(table->keys[i - 1].id, table->keys[i].id) == 0)
            return lh_fail(err, LH_INVALID_CONFIG, "there are two keys with the id \"%s\"",
                           table->keys[i].id);
        hash_token(keys, lh_str_from(table->keys[i].secret), tokens[i].hash);
        tokens[i].key = i;
    }
    if (table->count > 0)
        qsort(tokens, table->count, sizeof(*tokens), compare_tokens);
    for (size_t i = 1; i < table->count; i++) {
        if (compare_tokens(&tokens[i - 1], &tokens[i]) == 0)
            return lh_fail(err, LH_INVALID_CONFIG,
                           "the keys \"%s\" and \"%s\" have the same secret",
                           table->keys[tokens[i - 1].key].id, table->keys[tokens[i].key].id);
    }
    *ret_tokens = LH_TAKE(tokens);
    return LH_OK;
}

static lh_code load(const struct lh_keys *keys, struct lh_key_table *ret_table,
                    struct token **ret_tokens, struct lh_error *err)
{
    struct lh_key_table table = {0};
    lh_code code = LH_OK;
    if (lh_str_from(keys->options.file).len > 0)
        code = lh_key_table_read(keys->options.file, &table, err);
    if (code == LH_OK)
        code = lh_key_table_add_admin(&table, keys->options.id, keys->options.secret, err);
    if (code == LH_OK)
        code = index_table(keys, &table, ret_tokens, err);
    if (code != LH_OK) {
        lh_key_table_deinit(&table);
        return code;
    }
    *ret_table = table;
    return LH_OK;
}

/* What works and should not be so. */
static void warn(const struct lh_keys *keys)
{
    const char *file = keys->options.file;
    struct stat facts;
    /* Not refused: secrets that Kubernetes mounts have this mode, and a namespace of their own. */
    if (file && file[0] && stat(file, &facts) == 0 && (facts.st_mode & S_IROTH))
        LH_LOG(WARN, "everybody on this host may read the keys: chmod o-r",
               LH_LOG_STR("file", file));
    for (size_t i = 0; i < keys->table.count; i++) {
        if (strlen(keys->table.keys[i].secret) < LH_KEY_SECRET_MIN)
            LH_LOG(WARN, "the secret of a key is short", LH_LOG_STR("id", keys->table.keys[i].id));
    }
}

lh_code lh_keys_open(const struct lh_keys_options *options, struct lh_keys **ret_keys,
                     struct lh_error *err)
{
    struct lh_keys *keys = lh_calloc(1, sizeof(*keys));
    keys->options = *options;
    lh_random_bytes(keys->salt, sizeof(keys->salt));
    lh_code code = load(keys, &keys->table, &keys->tokens, err);
    if (code != LH_OK) {
        free(keys);
        return code;
    }
    LH_CHECK(pthread_rwlock_init(&keys->lock, NULL) == 0);
    atomic_init(&keys->required, keys->table.count > 0);
    if (keys->table.count > 0)
        LH_LOG(INFO, "keys loaded", LH_LOG_INT("keys", keys->table.count));
    warn(keys);
    *ret_keys = keys;
    return LH_OK;
}

void lh_keys_close(struct lh_keys *keys)
{
    if (!keys)
        return;
    pthread_rwlock_destroy(&keys->lock);
    lh_key_table_deinit(&keys->table);
    free(keys->tokens);
    free(keys);
}

/* Of two keys with one id. */
static bool is_same(const struct lh_key *a, const struct lh_key *b)
{
    return strcmp(a->secret, b->secret) == 0 && a->role == b->role &&
           strcmp(a->pattern, b->pattern) == 0 && strcmp(a->user_id, b->user_id) == 0 &&
           strcmp(a->display_name, b->display_name) == 0;
}

static void log_changes(const struct lh_key_table *old, const struct lh_key_table *new)
{
    for (size_t i = 0; i < new->count; i++) {
        const struct lh_key *before = find_id(old, &new->keys[i]);
        if (!before)
            LH_LOG(INFO, "key added", LH_LOG_STR("id", new->keys[i].id));
        else if (!is_same(before, &new->keys[i]))
            LH_LOG(INFO, "key changed", LH_LOG_STR("id", new->keys[i].id));
    }
    for (size_t i = 0; i < old->count; i++) {
        if (!find_id(new, &old->keys[i]))
            LH_LOG(INFO, "key removed", LH_LOG_STR("id", old->keys[i].id));
    }
    LH_LOG(INFO, "keys loaded again", LH_LOG_INT("keys", new->count));
}

lh_code lh_keys_reload(struct lh_keys *keys, struct lh_error *err)
{
    struct lh_key_table table = {0}, old;
    struct token *tokens = NULL;
    LH_TRY(load(keys, &table, &tokens, err));
    /* An empty file would open the door to everybody, and is more likely a slip. */
    if (table.count == 0 && keys->table.count > 0) {
        lh_key_table_deinit(&table);
        free(tokens);
        return lh_fail(err, LH_INVALID_CONFIG, "%s has no keys any more; to go without, restart",
                       keys->options.file);
    }
    LH_CHECK(pthread_rwlock_wrlock(&keys->lock) == 0);
    old = keys->table;
    struct token *old_tokens = keys->tokens;
    keys->table = table;
    keys->tokens = tokens;
    atomic_store(&keys->required, table.count > 0);
    LH_CHECK(pthread_rwlock_unlock(&keys->lock) == 0);
    log_changes(&old, &table);
    warn(keys);
    lh_key_table_deinit(&old);
    free(old_tokens);
    return LH_OK;
}

/* ---- looking up ---- */

bool lh_keys_required(const struct lh_keys *keys)
{
    return atomic_load_explicit(&keys->required, memory_order_relaxed);
}

bool lh_keys_by_id(struct lh_keys *keys, lh_str id, struct lh_key *ret_key)
{
    struct lh_key wanted;
    if (id.len == 0 || id.len >= sizeof(wanted.id) || memchr(id.ptr, '\0', id.len))
        return false;
    memcpy(wanted.id, id.ptr, id.len);
    wanted.id[id.len] = '\0';
    LH_CHECK(pthread_rwlock_rdlock(&keys->lock) == 0);
    const struct lh_key *found = find_id(&keys->table, &wanted);
    if (found)
        *ret_key = *found;
    LH_CHECK(pthread_rwlock_unlock(&keys->lock) == 0);
    return found != NULL;
}

static bool find_token(const struct lh_keys *keys, lh_str token, struct lh_key *ret_key)
{
    struct token wanted = {0};
    hash_token(keys, token, wanted.hash);
    const struct token *found =
        bsearch(&wanted, keys->tokens, keys->table.count, sizeof(wanted), compare_tokens);
    const struct lh_key *key = found ? &keys->table.keys[found->key] : NULL;
    if (!key || !lh_secret_eq(lh_str_from(key->secret), token))
        return false;
    *ret_key = *key;
    return true;
}

bool lh_keys_by_token(struct lh_keys *keys, lh_str token, struct lh_key *ret_key)
{
    lh_str internal = lh_str_from(keys->options.internal);
    if (token.len == 0)
        return false;
    if (lh_secret_eq(token, internal)) {
        *ret_key = (struct lh_key){.id = "internal", .role = LH_ROLE_ADMIN, .pattern = "*"};
        return true;
    }
    LH_CHECK(pthread_rwlock_rdlock(&keys->lock) == 0);
    bool found = keys->table.count > 0 && find_token(keys, token, ret_key);
    LH_CHECK(pthread_rwlock_unlock(&keys->lock) == 0);
    return found;
}

/* ---- may it? ---- */

/* A part of a pattern against a name: equal, or with a '*' at its end the same beginning. */
static bool part_matches(lh_str pattern, lh_str name)
{
    if (!lh_str_ends(pattern, "*"))
        return lh_str_eq(pattern, name);
    pattern.len--;
    return name.len >= pattern.len && lh_str_eq(pattern, lh_str_of(name.ptr, pattern.len));
}

static bool pattern_matches(lh_str pattern, lh_str bucket, lh_str object_key)
{
    if (lh_str_is(pattern, "*"))
        return true;
    lh_str bucket_part = LH_STR_NONE;
    lh_str_next(&pattern, '/', &bucket_part);
    if (bucket.len == 0 || !part_matches(bucket_part, bucket))
        return false;
    return !pattern.ptr || part_matches(pattern, object_key);
}

bool lh_key_may(const struct lh_key *key, enum lh_access access, lh_str bucket, lh_str object_key)
{
    static const enum lh_role needed[] = {[LH_ACCESS_READ] = LH_ROLE_READ,
                                          [LH_ACCESS_WRITE] = LH_ROLE_WRITE,
                                          [LH_ACCESS_ADMIN] = LH_ROLE_ADMIN};
    if (key->anonymous || key->role < needed[access])
        return false;
    lh_str patterns = lh_str_from(key->pattern), pattern;
    while (lh_str_next(&patterns, '\n', &pattern)) {
        if (pattern_matches(pattern, bucket, object_key))
            return true;
    }
    return false;
}
