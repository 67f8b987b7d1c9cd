/*
 * Files against objects: whether they are the same, which there are, and the transfer of one.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 256 << 10 };

/* ---- the same? ---- */

static lh_code open_file(const char *path, int *ret_fd, uint64_t *ret_size, struct lh_error *err)
{
    struct stat st;
    int fd = lh_io->openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open %s", path);
    if (lh_io->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        lh_io->close(fd);
        return lh_fail(err, LH_INVALID, "%s is not a file", path);
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return LH_OK;
}

static lh_code read_some(int fd, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    for (;;) {
        ssize_t got = lh_io->read(fd, bytes, max);
        if (got < 0 && errno == EINTR && !lh_cli_interrupted(NULL))
            continue;
        if (got < 0)
            return lh_fail_errno(err, "cannot read the file");
        *ret_len = (size_t)got;
        return LH_OK;
    }
}

/* MD5 of at most `max` bytes from where the file stands; *ret_len of them. */
static lh_code md5_of(int fd, uint64_t max, uint8_t md5[LH_MD5_SIZE], uint64_t *ret_len,
                      struct lh_error *err)
{
    LH_AUTO_DIGEST struct lh_digest *digest = lh_digest_new(LH_DIGEST_MD5);
    LH_AUTO_FREE char *block = lh_malloc(BLOCK_BYTES);
    uint64_t done = 0;
    size_t len = 1;
    while (done < max && len > 0) {
        size_t room = max - done < BLOCK_BYTES ? (size_t)(max - done) : BLOCK_BYTES;
        LH_TRY(read_some(fd, block, room, &len, err));
        lh_digest_update(digest, block, len);
        done += len;
    }
    lh_digest_final(digest, md5);
    *ret_len = done;
    return LH_OK;
}

/* The ETag that the file would get: MD5, or MD5 of the parts' MD5 and their number. */
static lh_code etag_of(int fd, uint64_t size, uint64_t part_bytes, char out[LH_ETAG_SIZE],
                       struct lh_error *err)
{
    uint8_t md5[LH_MD5_SIZE];
    uint64_t len = 0;
    uint64_t parts = part_bytes > 0 ? (size + part_bytes - 1) / part_bytes : 0;
    if (parts == 0) {
        LH_TRY(md5_of(fd, UINT64_MAX, md5, &len, err));
        lh_hex(md5, sizeof(md5), out);
        return LH_OK;
    }
    LH_AUTO_DIGEST struct lh_digest *whole = lh_digest_new(LH_DIGEST_MD5);
    for (uint64_t i = 0; i < parts; i++) {
        LH_TRY(md5_of(fd, part_bytes, md5, &len, err));
        lh_digest_update(whole, md5, sizeof(md5));
    }
    lh_digest_final(whole, md5);
    lh_hex(md5, sizeof(md5), out);
    size_t end = strlen(out);
    snprintf(out + end, LH_ETAG_SIZE - end, "-%" PRIu64, parts);
    return LH_OK;
}

lh_code lh_storage_same(const struct lh_storage *storage, const char *path,
                        const struct lh_object_info *info, bool *ret_same, struct lh_error *err)
{
    LH_AUTO_FD int fd = -1;
    uint64_t size = 0;
    char etag[LH_ETAG_SIZE];
    bool in_parts = strchr(info->etag, '-') != NULL;
    *ret_same = false;
    if (access(path, F_OK) != 0)
        return LH_OK;
    LH_TRY(open_file(path, &fd, &size, err));
    if (size != info->size)
        return LH_OK;
    uint64_t part_bytes = in_parts ? lh_s3_client_part_bytes(storage->client, size) : 0;
    LH_TRY(etag_of(fd, size, part_bytes, etag, err));
    *ret_same = strcmp(etag, info->etag) == 0;
    return LH_OK;
}

/* ---- folders ---- */

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

static lh_code add_entry(const char *path, const char *key, struct lh_storage_plan *plan,
                         struct lh_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return lh_fail_errno(err, "cannot look at %s", path);
    if (S_ISDIR(st.st_mode)) {
        LH_AUTO_FREE char *base = lh_asprintf("%s/", key);
        return lh_storage_plan_files(path, lh_str_from(base), plan, err);
    }
    if (S_ISREG(st.st_mode))
        lh_storage_plan_add(plan, (struct lh_storage_item){.local = lh_strdup(path),
                                                           .key = lh_strdup(key),
                                                           .bytes = (uint64_t)st.st_size});
    return LH_OK;
}

lh_code lh_storage_plan_files(const char *folder, lh_str base, struct lh_storage_plan *plan,
                              struct lh_error *err)
{
    LH_AUTO(close_dir) DIR *dir = opendir(folder);
    if (dir == NULL)
        return lh_fail_errno(err, "cannot open the folder %s", folder);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        LH_AUTO_FREE char *path = lh_asprintf("%s/%s", folder, entry->d_name);
        LH_AUTO_FREE char *key = lh_asprintf("%.*s%s", LH_FMT(base), entry->d_name);
        LH_TRY(add_entry(path, key, plan, err));
    }
    return LH_OK;
}

lh_code lh_storage_local_name(const char *folder, lh_str base, lh_str key, char **ret_path,
                              struct lh_error *err)
{
    lh_str name = lh_str_skip(key, base.len < key.len ? base.len : key.len);
    lh_str rest = name, segment;
    bool is_safe = name.len > 0 && memchr(name.ptr, '\0', name.len) == NULL;
    while (is_safe && lh_str_next(&rest, '/', &segment))
        is_safe = segment.len > 0 && !lh_str_is(segment, ".") && !lh_str_is(segment, "..");
    if (!is_safe)
        return lh_fail(err, LH_BAD_DATA, "the key \"%.*s\" cannot be the name of a file",
                       LH_FMT(key));
    *ret_path = lh_asprintf("%s/%.*s", folder, LH_FMT(name));
    return LH_OK;
}

/* ---- one up ---- */

struct reading {
    struct lh_storage_job *job;
    int fd;
};

static lh_code read_file(void *ctx, void *bytes, size_t max, size_t *ret_len, struct lh_error *err)
{
    struct reading *reading = ctx;
    LH_TRY(read_some(reading->fd, bytes, max, ret_len, err));
    atomic_fetch_add(&reading->job->moved_bytes, *ret_len);
    return LH_OK;
}

lh_code lh_storage_upload(struct lh_storage_job *job, const struct lh_storage_item *item,
                          struct lh_error *err)
{
    LH_AUTO_FD int fd = -1;
    uint64_t size = 0;
    bool same = false;
    struct lh_object_info info;
    if (item->remote.etag[0] != '\0')
        LH_TRY(lh_storage_same(job->storage, item->local, &item->remote, &same, err));
    if (same) {
        atomic_fetch_add(&job->skipped, 1);
        atomic_fetch_add(&job->moved_bytes, item->bytes);
        return LH_OK;
    }
    LH_TRY(open_file(item->local, &fd, &size, err));
    struct reading reading = {job, fd};
    const struct lh_s3_put put = {
        .bucket = job->bucket,
        .key = lh_str_from(item->key),
        .length = (int64_t)size,
        .read = read_file,
        .ctx = &reading,
        .limits = {LH_NO_DEADLINE, lh_storage_job_ends, job},
    };
    return lh_s3_client_put(job->storage->client, &put, &info, err);
}

/* ---- one down ---- */

struct writing {
    struct lh_storage_job *job;
    const char *path;
    int fd;
    struct lh_digest *md5; /* NULL when the ETag is none */
    char etag[LH_ETAG_SIZE];
};

static lh_code take_head(void *ctx, const struct lh_s3_answer *answer, struct lh_error *err)
{
    (void)err;
    struct writing *writing = ctx;
    if (answer->etag_is_md5) {
        writing->md5 = lh_digest_new(LH_DIGEST_MD5);
        memcpy(writing->etag, answer->info.etag, sizeof(writing->etag));
    }
    return LH_OK;
}

static lh_code write_file(void *ctx, const void *bytes, size_t len, struct lh_error *err)
{
    struct writing *writing = ctx;
    LH_TRY(lh_write_all(writing->fd, bytes, len, writing->path, err));
    if (writing->md5 != NULL)
        lh_digest_update(writing->md5, bytes, len);
    atomic_fetch_add(&writing->job->moved_bytes, len);
    return LH_OK;
}

static lh_code check_md5(const struct writing *writing, struct lh_error *err)
{
    uint8_t md5[LH_MD5_SIZE];
    char hex[LH_MD5_HEX];
    if (writing->md5 == NULL)
        return LH_OK;
    lh_digest_final(writing->md5, md5);
    lh_hex(md5, sizeof(md5), hex);
    if (strcasecmp(hex, writing->etag) != 0)
        return lh_fail(err, LH_CORRUPT, "what came for %s does not match its ETag", writing->path);
    return LH_OK;
}

static lh_code fetch(struct lh_storage_job *job, const char *key, const char *path, int fd,
                     struct lh_error *err)
{
    struct writing writing = {.job = job, .path = path, .fd = fd};
    const struct lh_s3_get get = {
        .bucket = job->bucket,
        .key = lh_str_from(key),
        .on_head = take_head,
        .on_body = write_file,
        .ctx = &writing,
        .limits = {LH_NO_DEADLINE, lh_storage_job_ends, job},
    };
    lh_code code = lh_s3_client_get(job->storage->client, &get, err);
    if (code == LH_OK)
        code = check_md5(&writing, err);
    lh_digest_free(writing.md5);
    return code;
}

/* mkdir -p of the folder that the file lies in. */
static lh_code make_folder_of(const char *path, struct lh_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return LH_OK;
    LH_AUTO_FREE char *folder = lh_strndup(path, (size_t)(slash - path));
    for (char *c = folder + 1;; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char kept = *c;
        *c = '\0';
        if (lh_io->mkdirat(AT_FDCWD, folder, 0777) != 0 && errno != EEXIST)
            return lh_fail_errno(err, "cannot make the folder %s", folder);
        *c = kept;
        if (kept == '\0')
            return LH_OK;
    }
}

static lh_code fetch_to(struct lh_storage_job *job, const struct lh_storage_item *item,
                        struct lh_error *err)
{
    LH_TRY(make_folder_of(item->local, err));
    char id[LH_UUID_TEXT];
    lh_uuid4(id);
    LH_AUTO_FREE char *part = lh_asprintf("%s.%.8s.part", item->local, id);
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, part, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        return lh_fail_errno(err, "cannot make %s", part);
    lh_code code = fetch(job, item->key, item->local, fd, err);
    if (code == LH_OK && lh_io->renameat(AT_FDCWD, part, AT_FDCWD, item->local) != 0)
        code = lh_fail_errno(err, "cannot write %s", item->local);
    if (code != LH_OK)
        lh_io->unlinkat(AT_FDCWD, part, 0);
    return code;
}

lh_code lh_storage_download(struct lh_storage_job *job, const struct lh_storage_item *item,
                            struct lh_error *err)
{
    bool same = false;
    if (item->local == NULL) /* "-" */
        return fetch(job, item->key, "stdout", STDOUT_FILENO, err);
    if (job->storage->sync && item->remote.etag[0] != '\0')
        LH_TRY(lh_storage_same(job->storage, item->local, &item->remote, &same, err));
    if (same) {
        atomic_fetch_add(&job->skipped, 1);
        atomic_fetch_add(&job->moved_bytes, item->bytes);
        return LH_OK;
    }
    return fetch_to(job, item, err);
}
