/*
 * Signing keys: four HMACs from a secret, a day, a region and a service. They are the same for all
 * requests of a day, so those that proved right are kept.
 *
 * An entry is compared by the whole of what it was made from, never by its hash alone: two clients
 * could otherwise be brought to share a key. A lock guards its share of the table and is held for
 * two comparisons and a copy.
 */
#include "net/sigv4_private.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/thread.h"

enum { ENTRIES = 512, LOCKS = 16, SECRET_MAX = 128 };

struct entry {
    size_t secret_len;
    size_t scope_len; /* 0 = nothing is here */
    char secret[SECRET_MAX];
    char scope[LH_SIGV4_SCOPE_SIZE];
    uint8_t key[LH_SIGV4_KEY_SIZE];
};

static struct entry entries[ENTRIES];
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

void lh_sigv4_key_derive(lh_str secret, lh_str scope, uint8_t out[LH_SIGV4_KEY_SIZE])
{
    struct lh_buf start = LH_BUF_INIT(secret.len + 4);
    lh_buf_append_cstr(&start, "AWS4");
    lh_buf_append_str(&start, secret);
    lh_str key = lh_buf_str(&start);
    lh_str part;
    while (lh_str_next(&scope, '/', &part)) {
        uint8_t next[LH_SIGV4_KEY_SIZE];
        lh_hmac_sha256(key.ptr, key.len, part.ptr, part.len, next);
        memcpy(out, next, sizeof(next));
        key = lh_str_of((const char *)out, sizeof(next));
    }
    lh_buf_deinit(&start);
}

static bool fits(lh_str secret, lh_str scope)
{
    return secret.len <= SECRET_MAX && scope.len > 0 && scope.len <= LH_SIGV4_SCOPE_SIZE;
}

static size_t place(lh_str secret, lh_str scope)
{
    uint64_t both[2] = {lh_xxh3(secret.ptr, secret.len), lh_xxh3(scope.ptr, scope.len)};
    return lh_xxh3(both, sizeof(both)) % ENTRIES;
}

bool lh_sigv4_key_find(lh_str secret, lh_str scope, uint8_t out[LH_SIGV4_KEY_SIZE])
{
    if (!fits(secret, scope))
        return false;
    size_t at = place(secret, scope);
    const struct entry *entry = &entries[at];
    lh_mutex_lock(&locks[at % LOCKS]);
    bool found = lh_str_eq(lh_str_of(entry->scope, entry->scope_len), scope) &&
                 lh_secret_eq(lh_str_of(entry->secret, entry->secret_len), secret);
    if (found)
        memcpy(out, entry->key, sizeof(entry->key));
    lh_mutex_unlock(&locks[at % LOCKS]);
    return found;
}

void lh_sigv4_key_keep(lh_str secret, lh_str scope, const uint8_t key[LH_SIGV4_KEY_SIZE])
{
    if (!fits(secret, scope))
        return;
    size_t at = place(secret, scope);
    struct entry *entry = &entries[at];
    lh_mutex_lock(&locks[at % LOCKS]);
    entry->secret_len = secret.len;
    entry->scope_len = scope.len;
    memcpy(entry->secret, secret.ptr, secret.len);
    memcpy(entry->scope, scope.ptr, scope.len);
    memcpy(entry->key, key, sizeof(entry->key));
    lh_mutex_unlock(&locks[at % LOCKS]);
}
