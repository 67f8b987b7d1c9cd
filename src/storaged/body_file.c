/*
 * Files of large objects: data/ab/0123456789abcdef, where the name is the body's id in hex and the
 * folder comes from bits 10 to 17 of it. So 1,024 bodies in a row share a folder, and one fsync of
 * that folder makes the names of a whole group of commits durable.
 *
 * A file is written without a name (O_TMPFILE), made durable, and then linked; where the file
 * system has no O_TMPFILE it is written as ".id" and renamed. Once it has its name it never
 * changes. No name is ever made of a key.
 */
#include "storaged/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/os.h"

enum { BODY_NAME_MAX = 32, FOLDER_SHIFT = 10, ID_DIGITS = 16 };

unsigned lh_body_folder(uint64_t id)
{
    return (unsigned)(id >> FOLDER_SHIFT) % LH_BODY_FOLDERS;
}

static void final_name(uint64_t id, char out[BODY_NAME_MAX])
{
    snprintf(out, BODY_NAME_MAX, "%02x/%016" PRIx64, lh_body_folder(id), id);
}

static void temporary_name(uint64_t id, char out[BODY_NAME_MAX])
{
    snprintf(out, BODY_NAME_MAX, "%02x/.%016" PRIx64, lh_body_folder(id), id);
}

static void folder_name(unsigned folder, char out[BODY_NAME_MAX])
{
    snprintf(out, BODY_NAME_MAX, "%02x", folder);
}

char *lh_body_path(const struct lh_store *store, uint64_t id)
{
    char name[BODY_NAME_MAX];
    final_name(id, name);
    return lh_asprintf("%s/data/%s", store->dir, name);
}

static int open_retrying(int dir_fd, const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = lh_io->openat(dir_fd, path, flags, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* ---- one file ---- */

/* Reserves the blocks, so that a full disk is known before the upload and not in its middle. */
static lh_code allocate(int fd, int64_t length, struct lh_error *err)
{
    int result;
    do
        result = lh_io->fallocate(fd, 0, 0, length);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
        return LH_OK;
    return lh_fail_errno(err, "cannot allocate %" PRId64 " bytes", length);
}

lh_code lh_body_create(struct lh_store *store, int64_t length, struct lh_body_file *ret_file,
                       struct lh_error *err)
{
    struct lh_body_file file = {.id = atomic_fetch_add(&store->next_body, 1)};
    char name[BODY_NAME_MAX];
    if (store->named_uploads) {
        temporary_name(file.id, name);
        file.fd = open_retrying(store->data_fd, name, O_RDWR | O_CREAT | O_EXCL, 0444);
    } else {
        folder_name(lh_body_folder(file.id), name);
        file.fd = open_retrying(store->data_fd, name, O_TMPFILE | O_RDWR, 0444);
    }
    if (file.fd < 0)
        return lh_fail_errno(err, "cannot create a file in data/%s", name);
    if (length > 0) {
        lh_code code = allocate(file.fd, length, err);
        if (code != LH_OK) {
            lh_body_discard(store, &file);
            return code;
        }
    }
    *ret_file = file;
    return LH_OK;
}

lh_code lh_body_publish(struct lh_store *store, struct lh_body_file *file, struct lh_error *err)
{
    LH_TRY(lh_store_sync(store, file->fd, false, "an object's file", err));
    char name[BODY_NAME_MAX];
    final_name(file->id, name);
    char from[BODY_NAME_MAX];
    int result;
    if (store->named_uploads) {
        temporary_name(file->id, from);
        result = lh_io->renameat(store->data_fd, from, store->data_fd, name);
    } else {
        snprintf(from, sizeof(from), "/proc/self/fd/%d", file->fd);
        result = lh_io->linkat(AT_FDCWD, from, store->data_fd, name, AT_SYMLINK_FOLLOW);
    }
    if (result != 0)
        return lh_fail_errno(err, "cannot give data/%s its name", name);
    file->linked = true;
    return LH_OK;
}

lh_code lh_body_link(struct lh_store *store, uint64_t body, struct lh_body_file *ret_file,
                     struct lh_error *err)
{
    struct lh_body_file file = {
        .fd = -1, .id = atomic_fetch_add(&store->next_body, 1), .linked = true};
    char from[BODY_NAME_MAX];
    char to[BODY_NAME_MAX];
    final_name(body, from);
    final_name(file.id, to);
    if (lh_io->linkat(store->data_fd, from, store->data_fd, to, 0) != 0)
        return lh_fail_errno(err, "cannot give data/%s a second name", from);
    *ret_file = file;
    return LH_OK;
}

void lh_body_keep(struct lh_body_file *file)
{
    if (file->fd >= 0)
        lh_io->close(file->fd);
    file->fd = -1;
}

void lh_body_discard(struct lh_store *store, struct lh_body_file *file)
{
    lh_body_keep(file);
    char name[BODY_NAME_MAX];
    if (file->linked)
        final_name(file->id, name);
    else if (store->named_uploads)
        temporary_name(file->id, name);
    else
        return;                               /* it never had a name */
    lh_io->unlinkat(store->data_fd, name, 0); /* what stays is swept at the next start */
}

lh_code lh_body_open(struct lh_store *store, uint64_t id, int *ret_fd, struct lh_error *err)
{
    char name[BODY_NAME_MAX];
    final_name(id, name);
    int fd = open_retrying(store->data_fd, name, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open data/%s", name);
    *ret_fd = fd;
    return LH_OK;
}

lh_code lh_body_remove(struct lh_store *store, uint64_t id, struct lh_error *err)
{
    char name[BODY_NAME_MAX];
    final_name(id, name);
    if (lh_io->unlinkat(store->data_fd, name, 0) != 0 && errno != ENOENT)
        return lh_fail_errno(err, "cannot remove data/%s", name);
    return LH_OK;
}

/* ---- folders ---- */

lh_code lh_body_sync_folder(struct lh_store *store, unsigned folder, struct lh_error *err)
{
    char name[BODY_NAME_MAX];
    folder_name(folder, name);
    LH_AUTO_FD int fd = open_retrying(store->data_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open data/%s", name);
    return lh_store_sync(store, fd, true, "a folder of objects", err);
}

/* Whether a nameless file can be made and named here. It cannot on some network and stacked file
 * systems, nor without /proc. */
static bool can_link_nameless(struct lh_store *store)
{
    static const char probe[] = ".probe";
    LH_AUTO_FD int fd = open_retrying(store->data_fd, ".", O_TMPFILE | O_RDWR, 0444);
    if (fd < 0)
        return false;
    char from[BODY_NAME_MAX];
    snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    lh_io->unlinkat(store->data_fd, probe, 0); /* of a start that was cut off */
    bool linked = lh_io->linkat(AT_FDCWD, from, store->data_fd, probe, AT_SYMLINK_FOLLOW) == 0;
    lh_io->unlinkat(store->data_fd, probe, 0);
    return linked;
}

lh_code lh_body_prepare(struct lh_store *store, bool make_folders, struct lh_error *err)
{
    for (unsigned folder = 0; make_folders && folder < LH_BODY_FOLDERS; folder++) {
        char name[BODY_NAME_MAX];
        folder_name(folder, name);
        if (lh_io->mkdirat(store->data_fd, name, 0700) != 0 && errno != EEXIST)
            return lh_fail_errno(err, "cannot make data/%s", name);
    }
    store->named_uploads = !can_link_nameless(store);
    return make_folders ? lh_store_sync(store, store->data_fd, true, "data", err) : LH_OK;
}

/* ---- sweeping ---- */

/* The id in a file's name, with or without the dot of an upload. Other names are none of ours. */
static bool parse_name(const char *name, uint64_t *ret_id, bool *ret_temporary)
{
    bool temporary = name[0] == '.';
    *ret_temporary = temporary;
    return lh_unhex_u64(lh_str_from(name + temporary), ret_id);
}

static lh_code open_entries(struct lh_store *store, unsigned folder, DIR **ret_entries,
                            struct lh_error *err)
{
    char name[BODY_NAME_MAX];
    folder_name(folder, name);
    int fd = open_retrying(store->data_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return lh_fail_errno(err, "cannot open data/%s", name);
    *ret_entries = fdopendir(fd);
    LH_CHECK(*ret_entries);
    return LH_OK;
}

lh_code lh_body_any(struct lh_store *store, bool *ret_any, struct lh_error *err)
{
    bool any = false;
    for (unsigned folder = 0; !any && folder < LH_BODY_FOLDERS; folder++) {
        DIR *entries;
        LH_TRY(open_entries(store, folder, &entries, err));
        const struct dirent *entry;
        uint64_t id;
        bool temporary;
        while (!any && (entry = readdir(entries)) != NULL)
            any = parse_name(entry->d_name, &id, &temporary);
        closedir(entries);
    }
    *ret_any = any;
    return LH_OK;
}

/* Whether it was left by an earlier run and no object has it. Files of this run belong to uploads
 * in flight, or to the keeper; files of a later epoch to an index that is not this one. */
static lh_code is_orphan(struct lh_store *store, uint64_t id, bool temporary, bool *ret_orphan,
                         struct lh_error *err)
{
    bool known = false;
    if (id >> LH_EPOCH_SHIFT >= lh_index_epoch(store->index))
        known = true;
    else if (!temporary)
        LH_TRY(lh_index_has_body(store->index, id, &known, err));
    *ret_orphan = !known;
    return LH_OK;
}

/* What is done with an orphan: removed, or told. */
struct orphans {
    struct lh_store *store;
    unsigned folder;
    void (*visit)(void *ctx, const char *name); /* NULL = it is removed */
    void *ctx;
};

static lh_code end_orphan(const struct orphans *orphans, DIR *entries, const char *name,
                          struct lh_error *err)
{
    if (orphans->visit) {
        LH_AUTO_FREE char *path = lh_asprintf("%02x/%s", orphans->folder, name);
        orphans->visit(orphans->ctx, path);
        return LH_OK;
    }
    if (lh_io->unlinkat(dirfd(entries), name, 0) != 0)
        return lh_fail_errno(err, "cannot remove the orphan %s", name);
    atomic_fetch_add(&orphans->store->orphans_swept, 1);
    return LH_OK;
}

static lh_code look_at_entries(const struct orphans *orphans, DIR *entries, struct lh_error *err)
{
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(entries)) != NULL) {
        uint64_t id;
        bool temporary;
        bool orphan;
        if (!parse_name(entry->d_name, &id, &temporary))
            continue;
        LH_TRY(is_orphan(orphans->store, id, temporary, &orphan, err));
        if (orphan)
            LH_TRY(end_orphan(orphans, entries, entry->d_name, err));
    }
    return errno == 0 ? LH_OK : lh_fail_errno(err, "cannot list a folder of objects");
}

static lh_code look_for_orphans(const struct orphans *orphans, struct lh_error *err)
{
    DIR *entries;
    LH_TRY(open_entries(orphans->store, orphans->folder, &entries, err));
    lh_code code = look_at_entries(orphans, entries, err);
    closedir(entries);
    return code;
}

lh_code lh_body_sweep(struct lh_store *store, unsigned folder, struct lh_error *err)
{
    return look_for_orphans(&(struct orphans){.store = store, .folder = folder}, err);
}

lh_code lh_body_orphans(struct lh_store *store, unsigned folder,
                        void (*visit)(void *ctx, const char *name), void *ctx, struct lh_error *err)
{
    return look_for_orphans(
        &(struct orphans){.store = store, .folder = folder, .visit = visit, .ctx = ctx}, err);
}
