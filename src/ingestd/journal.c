/*
 * The journal: files of a folder.
 */
#include "ingestd/journal.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

enum { ENTRY_BYTES_MAX = 32 << 20, CHECKSUM_HEX = 16 };

struct lh_journal {
    char *dir;
};

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* A crash while an entry was written leaves a file under a temporary name, which nothing refers to.
 */
static lh_code remove_unfinished(const char *path, struct lh_error *err)
{
    LH_AUTO(close_dir) DIR *dir = opendir(path);
    if (dir == NULL)
        return lh_fail_errno(err, "cannot list %s", path);
    const struct dirent *file;
    while ((file = readdir(dir)) != NULL)
        if (lh_str_ends(lh_str_from(file->d_name), ".tmp") &&
            lh_io->unlinkat(dirfd(dir), file->d_name, 0) != 0)
            return lh_fail_errno(err, "cannot remove %s/%s", path, file->d_name);
    return LH_OK;
}

lh_code lh_journal_open(const char *dir, struct lh_journal **ret_journal, struct lh_error *err)
{
    LH_TRY(lh_make_dirs(dir, err));
    LH_TRY(remove_unfinished(dir, err));
    struct lh_journal *journal = lh_calloc(1, sizeof(*journal));
    journal->dir = lh_strdup(dir);
    *ret_journal = journal;
    return LH_OK;
}

void lh_journal_close(struct lh_journal *journal)
{
    if (journal == NULL)
        return;
    free(journal->dir);
    free(journal);
}

static char *entry_path(const struct lh_journal *journal, const char *id)
{
    return lh_asprintf("%s/%s.json", journal->dir, id);
}

lh_code lh_journal_write(struct lh_journal *journal, const struct lh_journal_entry *entry,
                         struct lh_error *err)
{
    LH_AUTO_BUF struct lh_buf text = LH_BUF_INIT(ENTRY_BYTES_MAX);
    struct lh_json json = LH_JSON_TO(&text);
    lh_json_object(&json);
    lh_json_ki64(&json, "version", 1);
    lh_json_kstr(&json, "key", entry->key);
    if (entry->commit.len > 0) {
        lh_json_key(&json, "commit");
        lh_json_raw(&json, entry->commit);
    }
    lh_json_object_end(&json);

    LH_AUTO_BUF struct lh_buf file = LH_BUF_INIT(ENTRY_BYTES_MAX + CHECKSUM_HEX + 1);
    lh_buf_printf(&file, "%016llx\n", (unsigned long long)lh_xxh3(text.data, text.len));
    lh_buf_append_str(&file, lh_buf_str(&text));
    if (lh_buf_overflowed(&text) || lh_buf_overflowed(&file))
        return lh_fail(err, LH_TOO_LARGE, "the schema is too large to be committed");
    LH_AUTO_FREE char *path = entry_path(journal, entry->id);
    return lh_write_file_durable(path, file.data, file.len, 0600, err);
}

lh_code lh_journal_remove(struct lh_journal *journal, const char *id, struct lh_error *err)
{
    LH_AUTO_FREE char *path = entry_path(journal, id);
    if (lh_io->unlinkat(AT_FDCWD, path, 0) != 0 && errno != ENOENT)
        return lh_fail_errno(err, "cannot remove %s", path);
    return LH_OK;
}

static lh_code parse_entry(lh_str file, json_t **ret_root, struct lh_error *err)
{
    if (file.len <= CHECKSUM_HEX)
        return lh_fail(err, LH_CORRUPT, "an entry of the journal is cut short");
    lh_str text = lh_str_skip(file, CHECKSUM_HEX + 1);
    char want[CHECKSUM_HEX + 2];
    snprintf(want, sizeof(want), "%016llx\n", (unsigned long long)lh_xxh3(text.ptr, text.len));
    if (!lh_str_starts(file, want))
        return lh_fail(err, LH_CORRUPT, "an entry of the journal is damaged");
    return lh_json_parse(text, ret_root, err);
}

/* LH_CORRUPT for a file that cannot be understood; otherwise what on_entry returns. */
static lh_code visit(struct lh_journal *journal, const char *id,
                     lh_code (*on_entry)(void *ctx, const struct lh_journal_entry *entry,
                                         struct lh_error *err),
                     void *ctx, bool *ret_damaged, struct lh_error *err)
{
    LH_AUTO_FREE char *path = entry_path(journal, id);
    LH_AUTO_FREE char *bytes = NULL;
    LH_AUTO_JSON json_t *root = NULL;
    size_t len = 0;
    lh_str key = LH_STR_NONE;
    lh_code code = lh_read_file(path, ENTRY_BYTES_MAX + CHECKSUM_HEX + 1, &bytes, &len, err);
    if (code == LH_NOT_FOUND)
        return LH_OK; /* settled by its own request meanwhile */
    LH_TRY(code);
    struct lh_error unread = LH_ERROR_INIT;
    if (parse_entry(lh_str_of(bytes, len), &root, &unread) != LH_OK ||
        lh_json_need_str(root, "key", &key, &unread) != LH_OK) {
        *ret_damaged = true;
        return LH_OK;
    }
    const json_t *commit = json_object_get(root, "commit");
    LH_AUTO_FREE char *body = commit != NULL ? json_dumps(commit, JSON_COMPACT) : NULL;
    const struct lh_journal_entry entry = {.id = id, .key = key, .commit = lh_str_from(body)};
    return on_entry(ctx, &entry, err);
}

lh_code lh_journal_each(struct lh_journal *journal,
                        lh_code (*on_entry)(void *ctx, const struct lh_journal_entry *entry,
                                            struct lh_error *err),
                        void *ctx, size_t *ret_damaged, struct lh_error *err)
{
    LH_AUTO(close_dir) DIR *dir = opendir(journal->dir);
    if (dir == NULL)
        return lh_fail_errno(err, "cannot list %s", journal->dir);
    *ret_damaged = 0;
    const struct dirent *file;
    while ((file = readdir(dir)) != NULL) {
        lh_str name = lh_str_from(file->d_name);
        if (!lh_str_ends(name, ".json") || name.len <= 5)
            continue;
        LH_AUTO_FREE char *id = lh_strndup(name.ptr, name.len - 5);
        bool damaged = false;
        LH_TRY(visit(journal, id, on_entry, ctx, &damaged, err));
        *ret_damaged += damaged;
    }
    return LH_OK;
}
