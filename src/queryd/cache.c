/*
 * Copies hang in a hash table by name and in a list by last use. States of a copy: FETCHING (its
 * pinner writes the file, others wait) -> READY, or gone when the fetch failed. `bytes` counts a
 * copy from the moment its fetch begins, so that fetches side by side cannot exceed the bound
 * together.
 *
 * One lock, never held across I/O on objects: eviction takes a copy out of the table first and
 * unlinks after. Its name could only be wanted again by a fetch, which writes a temporary file and
 * renames it; the unlink happens under the lock, so it cannot hit the new one.
 */
#include "queryd/cache.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 4096, NAME_SIZE = 33, LH_CACHED_MAGIC = 0x64686361 };

struct lh_cached {
    uint32_t magic;
    char name[NAME_SIZE];
    char *path;
    uint64_t size;
    unsigned pins;
    bool ready;
    struct lh_cached *bucket_next;
    struct lh_cached *newer, *older; /* by last use */
};

struct lh_cache {
    struct lh_cache_options options;
    char *dir;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a fetch ended */
    struct lh_cached *buckets[BUCKETS];
    struct lh_cached *newest, *oldest;
    struct lh_cache_stats stats;
};

/* ---- table and list ---- */

static struct lh_cached **bucket_of(struct lh_cache *cache, const char *name)
{
    return &cache->buckets[lh_xxh3(name, strlen(name)) % BUCKETS];
}

static struct lh_cached *find(struct lh_cache *cache, const char *name)
{
    struct lh_cached *c = *bucket_of(cache, name);
    while (c != NULL && strcmp(c->name, name) != 0)
        c = c->bucket_next;
    return c;
}

static void list_remove(struct lh_cache *cache, struct lh_cached *c)
{
    if (c->newer != NULL)
        c->newer->older = c->older;
    else
        cache->newest = c->older;
    if (c->older != NULL)
        c->older->newer = c->newer;
    else
        cache->oldest = c->newer;
    c->newer = NULL;
    c->older = NULL;
}

static void list_push(struct lh_cache *cache, struct lh_cached *c)
{
    c->older = cache->newest;
    if (c->older != NULL)
        c->older->newer = c;
    else
        cache->oldest = c;
    cache->newest = c;
}

static struct lh_cached *add(struct lh_cache *cache, const char *name, uint64_t size)
{
    struct lh_cached *c = lh_calloc(1, sizeof(*c));
    c->magic = LH_CACHED_MAGIC;
    memcpy(c->name, name, NAME_SIZE);
    c->path = lh_asprintf("%s/%s.parquet", cache->dir, name);
    c->size = size;
    c->pins = 1;
    struct lh_cached **bucket = bucket_of(cache, name);
    c->bucket_next = *bucket;
    *bucket = c;
    list_push(cache, c);
    cache->stats.bytes += size;
    cache->stats.copies++;
    return c;
}

/* Takes it out of everything and frees it; the file is removed. */
static void discard(struct lh_cache *cache, struct lh_cached *c)
{
    struct lh_cached **link = bucket_of(cache, c->name);
    while (*link != c)
        link = &(*link)->bucket_next;
    *link = c->bucket_next;
    list_remove(cache, c);
    cache->stats.bytes -= c->size;
    cache->stats.copies--;
    (void)lh_io->unlinkat(AT_FDCWD, c->path, 0);
    c->magic = 0;
    free(c->path);
    free(c);
}

/* Makes room for `size` more bytes. False when what is pinned leaves too little. */
static bool make_room(struct lh_cache *cache, uint64_t size)
{
    if (size > cache->options.bytes_max)
        return false;
    uint64_t bound = cache->options.bytes_max - size;
    struct lh_cached *c = cache->oldest;
    while (cache->stats.bytes > bound && c != NULL) {
        struct lh_cached *next = c->newer;
        if (c->pins == 0)
            discard(cache, c);
        c = next;
    }
    return cache->stats.bytes <= bound;
}

/* ---- fetching ---- */

struct download {
    int fd;
    uint64_t len;
    const struct lh_cached *cached;
};

static lh_code write_piece(void *to, const void *bytes, size_t len, struct lh_error *err)
{
    struct download *download = to;
    if (len > download->cached->size - download->len)
        return lh_fail(err, LH_CORRUPT, "an object is longer than the catalog says");
    LH_TRY(lh_write_all(download->fd, bytes, len, download->cached->path, err));
    download->len += len;
    return LH_OK;
}

static lh_code download(struct lh_cache *cache, const struct lh_cached *c, const char *key,
                        const char *temporary, lh_deadline deadline, struct lh_error *err)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0400);
    if (fd < 0)
        return lh_fail_errno(err, "cannot write into the cache");
    struct download to = {.fd = fd, .cached = c};
    LH_TRY(cache->options.fetch(cache->options.fetch_ctx, key, deadline, write_piece, &to, err));
    if (to.len != c->size)
        return lh_fail(err, LH_CORRUPT, "the object %s has %llu bytes instead of %llu", key,
                       (unsigned long long)to.len, (unsigned long long)c->size);
    if (lh_io->renameat(AT_FDCWD, temporary, AT_FDCWD, c->path) != 0)
        return lh_fail_errno(err, "cannot name a file of the cache");
    return LH_OK;
}

static lh_code fetch(struct lh_cache *cache, const struct lh_cached *c, const char *key,
                     lh_deadline deadline, struct lh_error *err)
{
    LH_AUTO_FREE char *temporary = lh_asprintf("%s/%s.part", cache->dir, c->name);
    lh_code code = download(cache, c, key, temporary, deadline, err);
    if (code != LH_OK)
        (void)lh_io->unlinkat(AT_FDCWD, temporary, 0);
    return code;
}

/* ---- the door ---- */

static void name_of(const char *key, const char *etag, char name[NAME_SIZE])
{
    LH_AUTO_FREE char *identity = lh_asprintf("%s\n%s", key, etag);
    char hex[LH_SHA256_HEX];
    lh_sha256_hex(identity, strlen(identity), hex);
    memcpy(name, hex, NAME_SIZE - 1);
    name[NAME_SIZE - 1] = '\0';
}

/* With the lock held: a copy that is ready and pinned, or a new one in *ret_fetch, or a failure. */
static lh_code pin_or_add(struct lh_cache *cache, const char *name, const char *key, uint64_t size,
                          lh_deadline deadline, struct lh_cached **ret_cached, bool *ret_fetch,
                          struct lh_error *err)
{
    for (;;) {
        struct lh_cached *c = find(cache, name);
        if (c == NULL)
            break;
        if (c->ready) {
            c->pins++;
            list_remove(cache, c);
            list_push(cache, c);
            cache->stats.hits++;
            *ret_cached = c;
            *ret_fetch = false;
            return LH_OK;
        }
        if (!lh_cond_wait_until(&cache->changed, &cache->lock, deadline))
            return lh_fail(err, LH_TIMEOUT, "the object %s was not fetched in time", key);
    }
    if (!make_room(cache, size))
        return lh_fail(err, LH_STORAGE_FULL, "the cache has no room for the object %s", key);
    cache->stats.misses++;
    *ret_cached = add(cache, name, size);
    *ret_fetch = true;
    return LH_OK;
}

lh_code lh_cache_pin(struct lh_cache *cache, const char *key, const char *etag, uint64_t size,
                     lh_deadline deadline, struct lh_cached **ret_cached, struct lh_error *err)
{
    char name[NAME_SIZE];
    name_of(key, etag, name);
    struct lh_cached *c = NULL;
    bool must_fetch = false;
    lh_mutex_lock(&cache->lock);
    lh_code code = pin_or_add(cache, name, key, size, deadline, &c, &must_fetch, err);
    lh_mutex_unlock(&cache->lock);
    if (code == LH_OK && must_fetch) {
        code = fetch(cache, c, key, deadline, err);
        lh_mutex_lock(&cache->lock);
        if (code == LH_OK)
            c->ready = true;
        else
            discard(cache, c);
        pthread_cond_broadcast(&cache->changed);
        lh_mutex_unlock(&cache->lock);
    }
    if (code == LH_OK)
        *ret_cached = c;
    return code;
}

const char *lh_cached_path(const struct lh_cached *cached)
{
    LH_CHECK_MAGIC(cached, LH_CACHED_MAGIC);
    return cached->path;
}

void lh_cache_unpin(struct lh_cache *cache, struct lh_cached *cached)
{
    if (cached == NULL)
        return;
    lh_mutex_lock(&cache->lock);
    LH_CHECK_MAGIC(cached, LH_CACHED_MAGIC);
    LH_CHECK(cached->pins > 0);
    cached->pins--;
    lh_mutex_unlock(&cache->lock);
}

void lh_cache_stats(struct lh_cache *cache, struct lh_cache_stats *ret_stats)
{
    lh_mutex_lock(&cache->lock);
    *ret_stats = cache->stats;
    lh_mutex_unlock(&cache->lock);
}

lh_code lh_cache_open(const struct lh_cache_options *options, struct lh_cache **ret_cache,
                      struct lh_error *err)
{
    LH_TRY(lh_make_dirs(options->dir, err));
    LH_TRY(lh_clear_dir(options->dir, err));
    struct lh_cache *cache = lh_calloc(1, sizeof(*cache));
    cache->options = *options;
    cache->dir = lh_strdup(options->dir);
    lh_mutex_init(&cache->lock);
    lh_cond_init(&cache->changed);
    *ret_cache = cache;
    return LH_OK;
}

void lh_cache_close(struct lh_cache *cache)
{
    if (cache == NULL)
        return;
    struct lh_cached *older = NULL;
    for (struct lh_cached *c = cache->newest; c != NULL; c = older) {
        LH_CHECK(c->pins == 0);
        older = c->older;
        discard(cache, c);
    }
    pthread_mutex_destroy(&cache->lock);
    pthread_cond_destroy(&cache->changed);
    free(cache->dir);
    free(cache);
}
