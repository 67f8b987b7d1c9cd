/*
 * The object store as a whole: opening and closing its folder, read-only mode, room on the disk,
 * the list of damaged objects, figures. The folder's layout is in docs/formats/store.md.
 */
#include "storaged/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

static const uint32_t store_magic = 0x57012a6e;

enum { FORMAT_VERSION = 2, FORMAT_BYTES_MAX = 4096 };
#define FORMAT_HEAD "lakehouse object store, format "

/* ---- keys ---- */

lh_code lh_store_check_key(lh_str key, struct lh_error *err)
{
    if (key.len == 0)
        return lh_fail(err, LH_INVALID_KEY, "the object key is empty");
    if (key.len > LH_STORE_KEY_MAX)
        return lh_fail(err, LH_KEY_TOO_LONG,
                       "the object key has %zu bytes, at most %d are possible", key.len,
                       LH_STORE_KEY_MAX);
    if (memchr(key.ptr, '\0', key.len))
        return lh_fail(err, LH_INVALID_KEY, "the object key has a NUL byte");
    if (!lh_utf8_valid(key))
        return lh_fail(err, LH_INVALID_KEY, "the object key is not UTF-8");
    return LH_OK;
}

lh_code lh_store_check_type(lh_str type, struct lh_error *err)
{
    if (type.len >= LH_STORE_TYPE_SIZE)
        return lh_fail(err, LH_INVALID, "the content type has %zu bytes, at most %d are possible",
                       type.len, LH_STORE_TYPE_SIZE - 1);
    for (size_t i = 0; i < type.len; i++) {
        if ((unsigned char)type.ptr[i] < ' ' || (unsigned char)type.ptr[i] > '~')
            return lh_fail(err, LH_INVALID, "the content type has a byte that is not ASCII text");
    }
    return LH_OK;
}

void lh_store_take_type(lh_str type, char out[LH_STORE_TYPE_SIZE])
{
    if (type.len == 0)
        type = LH_STR("application/octet-stream");
    memcpy(out, type.ptr, type.len);
    out[type.len] = '\0';
}

/* ---- read-only mode ---- */

void lh_store_set_read_only(struct lh_store *store, const char *format, ...)
{
    lh_mutex_lock(&store->mutex);
    if (!atomic_load(&store->read_only)) {
        va_list args;
        va_start(args, format);
        vsnprintf(store->read_only_reason, sizeof(store->read_only_reason), format, args);
        va_end(args);
        atomic_store(&store->read_only, true);
    }
    lh_mutex_unlock(&store->mutex);
}

lh_code lh_store_check_writable(struct lh_store *store, struct lh_error *err)
{
    if (!atomic_load(&store->read_only))
        return LH_OK;
    lh_mutex_lock(&store->mutex);
    LH_IGNORE(lh_fail(err, LH_READ_ONLY, "%s", store->read_only_reason), "the hint returns it");
    lh_mutex_unlock(&store->mutex);
    return lh_hint(err, "reads go on; check the disk, then restart storaged");
}

lh_code lh_store_sync(struct lh_store *store, int fd, bool is_folder, const char *what,
                      struct lh_error *err)
{
    lh_mono start = lh_mono_now();
    int result;
    do
        result = is_folder ? lh_io->fsync(fd) : lh_io->fdatasync(fd);
    while (result != 0 && errno == EINTR);
    atomic_fetch_add(&store->sync_count, 1);
    atomic_fetch_add(&store->sync_ns, (uint64_t)lh_mono_since_ns(start));
    if (result == 0)
        return LH_OK;
    lh_code code = lh_fail_errno(err, "cannot make %s durable", what);
    /* Without room, a file that nobody knows yet can be thrown away. Everything else is final: the
     * kernel may have dropped the pages, and would say success the next time. */
    if (is_folder || code != LH_STORAGE_FULL)
        lh_store_set_read_only(store, "a write could not be made durable: %s", err->message);
    return code;
}

bool lh_store_index_failed(struct lh_store *store)
{
    struct lh_index_disk_stats stats;
    lh_index_disk_stats(store->index, &stats);
    if (stats.failed_errno == 0)
        return false;
    struct lh_error err = LH_ERROR_INIT;
    errno = stats.failed_errno;
    LH_IGNORE(lh_fail_errno(&err, "cannot make the index durable"), "its text is what is wanted");
    lh_store_set_read_only(store, "a write could not be made durable: %s", err.message);
    return true;
}

/* ---- room ---- */

static bool free_bytes(struct lh_store *store, uint64_t *ret_bytes)
{
    struct statvfs st;
    if (fstatvfs(store->data_fd, &st) != 0)
        return false;
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

lh_code lh_store_check_room(struct lh_store *store, uint64_t need, struct lh_error *err)
{
    uint64_t available;
    uint64_t wanted;
    if (!free_bytes(store, &available))
        return lh_fail_errno(err, "cannot ask for the free disk");
    if (!__builtin_add_overflow(need, store->options.reserve_bytes, &wanted) && available >= wanted)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_STORAGE_FULL,
                      "%" PRIu64 " bytes of disk are free, %" PRIu64 " of them are kept in reserve",
                      available, store->options.reserve_bytes),
              "the hint returns it");
    return lh_hint(err, "delete objects or make room on the disk; reads and deletes go on");
}

/* ---- damaged objects ---- */

static size_t find_damaged(const struct lh_store *store, int64_t bucket, lh_str key)
{
    size_t i = 0;
    while (i < store->damaged_count &&
           !(store->damaged[i].bucket == bucket &&
             lh_str_eq(key, lh_str_of(store->damaged[i].key, store->damaged[i].key_len))))
        i++;
    return i;
}

void lh_store_note_damaged(struct lh_store *store, int64_t bucket, lh_str key)
{
    lh_mutex_lock(&store->mutex);
    if (find_damaged(store, bucket, key) == store->damaged_count) {
        if (store->damaged_count < LH_DAMAGED_MAX) {
            store->damaged = lh_grow(store->damaged, &store->damaged_capacity,
                                     store->damaged_count + 1, sizeof(*store->damaged));
            store->damaged[store->damaged_count++] =
                (struct lh_damaged){bucket, lh_strndup(key.ptr, key.len), key.len};
        } else {
            store->damaged_unnamed++;
        }
    }
    lh_mutex_unlock(&store->mutex);
}

void lh_store_forget_damaged(struct lh_store *store, int64_t bucket, lh_str key)
{
    lh_mutex_lock(&store->mutex);
    size_t i = store->damaged_count > 0 ? find_damaged(store, bucket, key) : 0;
    if (i < store->damaged_count) {
        free(store->damaged[i].key);
        store->damaged[i] = store->damaged[--store->damaged_count];
    }
    lh_mutex_unlock(&store->mutex);
}

void lh_store_damaged(struct lh_store *store, void (*visit)(void *ctx, lh_str key), void *ctx)
{
    LH_CHECK_MAGIC(store, store_magic);
    lh_mutex_lock(&store->mutex);
    for (size_t i = 0; i < store->damaged_count && i < LH_STORE_DAMAGED_NAMES_MAX; i++) {
        const struct lh_damaged *damaged = &store->damaged[i];
        lh_str key = lh_str_of(damaged->key, damaged->key_len);
        char bucket[LH_BUCKET_NAME_SIZE];
        if (damaged->bucket == LH_BUCKET_LAKE || !lh_bucket_name(store, damaged->bucket, bucket)) {
            visit(ctx, key);
            continue;
        }
        LH_AUTO_FREE char *name = lh_asprintf("%s/%.*s", bucket, LH_FMT(key));
        visit(ctx, lh_str_from(name));
    }
    lh_mutex_unlock(&store->mutex);
}

/* ---- files to remove, parts to keep ---- */

void lh_store_doom_file(struct lh_store *store, uint64_t body)
{
    lh_mutex_lock(&store->mutex);
    store->doomed = lh_grow(store->doomed, &store->doomed_capacity, store->doomed_count + 1,
                            sizeof(*store->doomed));
    store->doomed[store->doomed_count++] = body;
    lh_mutex_unlock(&store->mutex);
}

static struct lh_pin *find_pin(struct lh_store *store, uint64_t list)
{
    for (size_t i = 0; i < store->pin_count; i++) {
        if (store->pins[i].list == list)
            return &store->pins[i];
    }
    return NULL;
}

void lh_store_pin(struct lh_store *store, uint64_t list)
{
    lh_mutex_lock(&store->mutex);
    struct lh_pin *pin = find_pin(store, list);
    if (!pin) {
        store->pins =
            lh_grow(store->pins, &store->pin_capacity, store->pin_count + 1, sizeof(*store->pins));
        pin = &store->pins[store->pin_count++];
        *pin = (struct lh_pin){.list = list};
    }
    pin->count++;
    lh_mutex_unlock(&store->mutex);
}

void lh_store_unpin(struct lh_store *store, uint64_t list)
{
    lh_mutex_lock(&store->mutex);
    struct lh_pin *pin = find_pin(store, list);
    LH_CHECK(pin);
    if (--pin->count == 0) {
        *pin = store->pins[--store->pin_count];
        if (store->pin_in_the_way)
            lh_keeper_wake(store);
        store->pin_in_the_way = false;
    }
    lh_mutex_unlock(&store->mutex);
}

bool lh_store_is_pinned(struct lh_store *store, uint64_t list)
{
    lh_mutex_lock(&store->mutex);
    bool pinned = find_pin(store, list) != NULL;
    store->pin_in_the_way |= pinned;
    lh_mutex_unlock(&store->mutex);
    return pinned;
}

lh_time_ms lh_store_now(const struct lh_store *store)
{
    return store->options.now ? store->options.now() : lh_now_ms();
}

/* ---- figures ---- */

void lh_store_stats(struct lh_store *store, struct lh_store_stats *ret)
{
    LH_CHECK_MAGIC(store, store_magic);
    struct lh_index_disk_stats disk;
    lh_index_disk_stats(store->index, &disk);
    struct lh_store_stats stats = {
        .objects = atomic_load(&store->objects),
        .bytes = atomic_load(&store->bytes),
        .groups = atomic_load(&store->groups),
        .group_requests = atomic_load(&store->group_requests),
        .fsyncs = atomic_load(&store->sync_count) + disk.sync_count,
        .fsync_seconds = (double)(atomic_load(&store->sync_ns) + disk.sync_ns) / 1e9,
        .orphans_swept = atomic_load(&store->orphans_swept),
        .damaged_pages = disk.damaged_pages,
        .sweeping = atomic_load(&store->sweep_folder) < LH_BODY_FOLDERS,
        .read_only = atomic_load(&store->read_only),
    };
    if (!free_bytes(store, &stats.free_bytes))
        stats.free_bytes = 0;
    lh_mutex_lock(&store->mutex);
    stats.uploads = store->upload_count;
    stats.upload_bytes = store->upload_bytes;
    stats.damaged = store->damaged_count + store->damaged_unnamed;
    memcpy(stats.read_only_reason, store->read_only_reason, sizeof(stats.read_only_reason));
    lh_mutex_unlock(&store->mutex);
    *ret = stats;
}

/* ---- opening ---- */

/* What the file FORMAT says: *ret_version is 0 when there is none. */
static lh_code read_format(const char *path, uint64_t *ret_version, struct lh_error *err)
{
    LH_AUTO_FREE char *text = NULL;
    size_t len = 0;
    lh_code code = lh_read_file(path, FORMAT_BYTES_MAX, &text, &len, err);
    if (code == LH_NOT_FOUND) {
        *ret_version = 0;
        return LH_OK;
    }
    LH_TRY(code);
    lh_str rest = lh_str_of(text, len);
    lh_str line;
    uint64_t version = 0;
    if (!lh_str_next(&rest, '\n', &line) || !lh_str_starts(line, FORMAT_HEAD) ||
        !lh_str_to_u64(lh_str_skip(line, sizeof(FORMAT_HEAD) - 1), &version) || version == 0)
        return lh_fail(err, LH_INVALID_CONFIG, "%s is not the mark of an object store", path);
    if (version > FORMAT_VERSION) {
        LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG,
                          "%s says format %" PRIu64 ", this program knows formats up to %d", path,
                          version, FORMAT_VERSION),
                  "the hint returns it");
        return lh_hint(err, "start the newer program that wrote it");
    }
    *ret_version = version;
    return LH_OK;
}

/* A store that has lost its index looks like a new one with orphans, which a sweep would remove. */
static lh_code refuse_lost_index(struct lh_store *store, struct lh_error *err)
{
    LH_AUTO_FREE char *index = lh_asprintf("%s/index.db", store->dir);
    struct stat st;
    bool any = false;
    if (stat(index, &st) == 0)
        return LH_OK;
    LH_TRY(lh_body_any(store, &any, err));
    if (!any)
        return LH_OK;
    LH_IGNORE(lh_fail(err, LH_INVALID_CONFIG, "%s is missing, but %s/data holds objects", index,
                      store->dir),
              "the hint returns it");
    return lh_hint(err, "restore the whole folder from a backup");
}

static lh_code open_data_folder(struct lh_store *store, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_asprintf("%s/data", store->dir);
    store->data_fd = lh_io->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    return store->data_fd >= 0 ? LH_OK : lh_fail_errno(err, "cannot open %s", path);
}

static lh_code open_data(struct lh_store *store, bool is_new, struct lh_error *err)
{
    LH_AUTO_FREE char *path = lh_asprintf("%s/data", store->dir);
    if (is_new)
        LH_TRY(lh_make_dirs(path, err));
    LH_TRY(open_data_folder(store, err));
    LH_TRY(lh_body_prepare(store, is_new, err));
    return is_new ? refuse_lost_index(store, err) : LH_OK;
}

/* Finds the folder's absolute path, and keeps other processes out of it. */
static lh_code open_locked(struct lh_store *store, struct lh_error *err)
{
    store->dir = realpath(store->options.dir, NULL);
    if (!store->dir)
        return lh_fail_errno(err, "cannot find %s", store->options.dir);
    store->options.dir = store->dir;
    LH_AUTO_FREE char *lock = lh_asprintf("%s/LOCK", store->dir);
    return lh_lock_file(lock, &store->lock_fd, err);
}

static lh_code open_folder(struct lh_store *store, struct lh_error *err)
{
    LH_TRY(lh_make_dirs(store->options.dir, err));
    LH_TRY(open_locked(store, err));
    LH_AUTO_FREE char *format = lh_asprintf("%s/FORMAT", store->dir);
    uint64_t version = 0;
    LH_TRY(read_format(format, &version, err));
    bool is_new = version == 0;
    LH_TRY(open_data(store, is_new, err));
    LH_TRY(lh_index_open(store->dir, !is_new, &store->index, err));
    LH_TRY(lh_buckets_load(store, err));
    if (version == FORMAT_VERSION)
        return LH_OK;
    /* Last: it says that all the rest is there, and of this format. */
    static const char text[] = FORMAT_HEAD "2\n"
                                           "Do not change anything in this folder by hand.\n";
    return lh_write_file_durable(format, text, sizeof(text) - 1, 0600, err);
}

static lh_code start(struct lh_store *store, struct lh_error *err)
{
    LH_TRY(open_folder(store, err));
    uint64_t epoch = lh_index_epoch(store->index);
    if (epoch == 0)
        lh_store_set_read_only(store, "the disk was full when the store was opened");
    atomic_store(&store->next_body, epoch << LH_EPOCH_SHIFT);
    LH_TRY(lh_committer_start(store, err));
    return store->options.tend_by_hand ? LH_OK : lh_keeper_start(store, err);
}

static struct lh_store *new_store(const struct lh_store_options *options)
{
    struct lh_store *store = lh_calloc(1, sizeof(*store));
    store->magic = store_magic;
    store->options = *options;
    store->lock_fd = -1;
    store->data_fd = -1;
    store->queue_end = &store->queue;
    LH_CHECK(pthread_rwlock_init(&store->buckets.lock, NULL) == 0);
    lh_mutex_init(&store->turn);
    lh_mutex_init(&store->mutex);
    lh_cond_init(&store->committer_wake);
    lh_cond_init(&store->keeper_wake);
    return store;
}

static lh_code finish_open(struct lh_store *store, lh_code code, struct lh_store **ret_store)
{
    if (code == LH_OK)
        *ret_store = store;
    else
        lh_store_close(store);
    return code;
}

lh_code lh_store_open(const struct lh_store_options *options, struct lh_store **ret_store,
                      struct lh_error *err)
{
    struct lh_store *store = new_store(options);
    return finish_open(store, start(store, err), ret_store);
}

static lh_code open_to_check(struct lh_store *store, struct lh_error *err)
{
    LH_AUTO_FREE char *format = lh_asprintf("%s/FORMAT", store->options.dir);
    uint64_t version = 0;
    LH_TRY(read_format(format, &version, err));
    if (version == 0)
        return lh_fail(err, LH_NOT_FOUND, "there is no object store in %s", store->options.dir);
    LH_TRY(open_locked(store, err));
    LH_TRY(open_data_folder(store, err));
    LH_TRY(lh_index_open_to_check(store->dir, &store->index, err));
    lh_store_set_read_only(store, "the store is being checked");
    return lh_buckets_load(store, err);
}

lh_code lh_store_open_to_check(const char *dir, struct lh_store **ret_store, struct lh_error *err)
{
    const struct lh_store_options options = {.dir = dir, .tend_by_hand = true};
    struct lh_store *store = new_store(&options);
    return finish_open(store, open_to_check(store, err), ret_store);
}

void lh_store_close(struct lh_store *store)
{
    if (!store)
        return;
    LH_CHECK_MAGIC(store, store_magic);
    LH_CHECK(store->upload_count == 0);
    lh_scrub_stop(store);
    lh_keeper_stop(store);
    lh_committer_stop(store);
    store->magic = 0;
    lh_index_close(store->index);
    if (store->data_fd >= 0)
        lh_io->close(store->data_fd);
    if (store->lock_fd >= 0)
        lh_io->close(store->lock_fd);
    for (size_t i = 0; i < store->damaged_count; i++)
        free(store->damaged[i].key);
    free(store->damaged);
    free(store->doomed);
    free(store->pins);
    lh_buckets_free(store);
    free(store->dir);
    pthread_cond_destroy(&store->keeper_wake);
    pthread_cond_destroy(&store->committer_wake);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->turn);
    free(store);
}
