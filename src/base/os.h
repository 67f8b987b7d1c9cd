/*
 * The one door to files. Every system call on a file goes through the table `lh_io`, so that a test
 * can make the N-th call fail (tests/support/fault.h) and see that nothing is lost.
 *
 * The members behave as the calls of that name (man 2), errno included. Helpers below retry EINTR
 * and short transfers.
 */
#ifndef LH_BASE_OS_H
#define LH_BASE_OS_H

#include "base/error.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct lh_io {
    int (*openat)(int dir_fd, const char *path, int flags, mode_t mode); /* O_CLOEXEC is added */
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
    /* EAGAIN when the bytes are not in memory; fewer bytes when some are. */
    ssize_t (*pread_now)(int fd, void *buf, size_t len, off_t offset);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t offset);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    /* Writes what is dirty of the whole file, and waits for it; durable it is only after an fsync.
     * A failure is final as one of fsync: the next fsync may not tell it again. */
    int (*write_back)(int fd);
    int (*ftruncate)(int fd, off_t length);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    int (*linkat)(int from_dir, const char *from, int to_dir, const char *to, int flags);
    int (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
    int (*unlinkat)(int dir_fd, const char *path, int flags);
    int (*mkdirat)(int dir_fd, const char *path, mode_t mode);
    int (*fstat)(int fd, struct stat *st);
};

/* The table in use; tests replace it. Never changed while threads run. */
extern const struct lh_io *lh_io;
extern const struct lh_io lh_io_posix;

/* All bytes or an error. `what` names the thing for the message. */
lh_code lh_write_all(int fd, const void *bytes, size_t len, const char *what, struct lh_error *err);
lh_code lh_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset, const char *what,
                      struct lh_error *err);
/* Exactly len bytes; LH_CORRUPT when the file ends before. */
lh_code lh_pread_all(int fd, void *bytes, size_t len, uint64_t offset, const char *what,
                     struct lh_error *err);

/* mkdir -p, mode 0700, each new level made durable (fsync of its parent). */
lh_code lh_make_dirs(const char *path, struct lh_error *err);

/* Reads a whole file of at most bytes_max (else LH_TOO_LARGE) into a new, terminated buffer. */
lh_code lh_read_file(const char *path, size_t bytes_max, char **ret_bytes, size_t *ret_len,
                     struct lh_error *err);

/* The file is the old or the new one: temporary name, write, fdatasync, rename, fsync of the
 * folder. */
lh_code lh_write_file_durable(const char *path, const void *bytes, size_t len, mode_t mode,
                              struct lh_error *err);

/* fsync of a folder, so that the names in it are durable. */
lh_code lh_sync_dir(const char *path, struct lh_error *err);

/* Removes a folder's content (not following links), for spools and caches. Missing is fine. */
lh_code lh_clear_dir(const char *path, struct lh_error *err);

/* Takes an exclusive lock on `path` (made when missing) for the life of the returned fd; LH_BUSY
 * and the holder's pid when another process has it. */
lh_code lh_lock_file(const char *path, int *ret_fd, struct lh_error *err);

/* Folder of the running program, for finding its siblings. Owned by the caller. */
char *lh_program_dir(void);

/* Resident memory of this process in bytes; 0 if unknown. */
uint64_t lh_resident_bytes(void);

#endif
