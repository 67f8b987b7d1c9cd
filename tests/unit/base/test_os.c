#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fault.h"
#include "support/fixture.h"

static void assert_file_is(const char *path, const char *expected)
{
    struct lh_error err = LH_ERROR_INIT;
    LH_AUTO_FREE char *bytes = NULL;
    size_t len;
    assert_int_equal(lh_read_file(path, 1 << 20, &bytes, &len, &err), LH_OK);
    assert_int_equal(len, strlen(expected));
    assert_string_equal(bytes, expected);
}

static void write_new(const char *path, const char *text)
{
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_write_file_durable(path, text, strlen(text), 0600, &err), LH_OK);
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

LH_TEST(write_and_read_back)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "file");
    write_new(path, "one");
    assert_file_is(path, "one");
    write_new(path, "two, and longer");
    assert_file_is(path, "two, and longer");
    write_new(path, "");
    assert_file_is(path, "");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(count_entries(dir), 1);
}

LH_TEST(read_file_is_bounded)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "file");
    write_new(path, "12345");
    struct lh_error err = LH_ERROR_INIT;
    char *bytes = NULL;
    size_t len;
    assert_int_equal(lh_read_file(path, 4, &bytes, &len, &err), LH_TOO_LARGE);
    assert_null(bytes);
    assert_int_equal(lh_read_file(path, 5, &bytes, &len, &err), LH_OK);
    free(bytes);
    bytes = NULL;
    LH_AUTO_FREE char *missing = lh_path_in(dir, "missing");
    assert_int_equal(lh_read_file(missing, 5, &bytes, &len, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.message, missing));
    assert_int_equal(lh_read_file(dir, 5, &bytes, &len, &err), LH_IO);
}

/* Each call of a durable write fails in turn: the file is the old one or the new one, the error is
 * told unless the new one is there, and no temporary file stays. */
LH_TEST(durable_write_is_all_or_nothing)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "file");
    unsigned old_kept = 0, new_there = 0;
    for (uint64_t n = 1;; n++) {
        write_new(path, "old");
        struct lh_error err = LH_ERROR_INIT;
        lh_fault_start(&(struct lh_fault){
            .calls = LH_FAULT_CHANGES & ~LH_FAULT_UNLINK, .fail_at = n, .error = ENOSPC});
        lh_code code = lh_write_file_durable(path, "new", 3, 0600, &err);
        assert_int_equal(lh_fault_open_files(), 0);
        uint64_t count = lh_fault_stop();
        assert_int_equal(count_entries(dir), 1);
        LH_AUTO_FREE char *bytes = NULL;
        size_t len;
        struct lh_error read_err = LH_ERROR_INIT;
        assert_int_equal(lh_read_file(path, 10, &bytes, &len, &read_err), LH_OK);
        bool is_new = strcmp(bytes, "new") == 0;
        assert_true(is_new || strcmp(bytes, "old") == 0);
        old_kept += !is_new;
        new_there += is_new;
        if (count < n) {
            assert_int_equal(code, LH_OK);
            assert_true(is_new);
            break;
        }
        assert_int_equal(code, LH_STORAGE_FULL);
        assert_int_equal(err.sys_errno, ENOSPC);
    }
    assert_int_equal(old_kept, 4);  /* open, write, fdatasync, rename */
    assert_int_equal(new_there, 3); /* open and fsync of the folder, and no failure */
}

LH_TEST(short_transfers_and_interrupts_are_retried)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "file");
    char bytes[1000], back[1000];
    struct lh_random random = lh_random_start();
    lh_random_fill(&random, bytes, sizeof(bytes));
    struct lh_error err = LH_ERROR_INIT;
    lh_fault_start(&(struct lh_fault){.transfer_max = 7, .interrupt_every = 3});
    assert_int_equal(lh_write_file_durable(path, bytes, sizeof(bytes), 0600, &err), LH_OK);
    LH_AUTO_FREE char *whole = NULL;
    size_t len;
    assert_int_equal(lh_read_file(path, sizeof(bytes), &whole, &len, &err), LH_OK);
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, path, O_RDWR, 0);
    assert_int_equal(lh_pwrite_all(fd, "XYZ", 3, 500, "file", &err), LH_OK);
    assert_int_equal(lh_pread_all(fd, back, sizeof(back), 0, "file", &err), LH_OK);
    lh_fault_stop();
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(whole, bytes, sizeof(bytes));
    memcpy(bytes + 500, "XYZ", 3);
    assert_memory_equal(back, bytes, sizeof(bytes));
    assert_int_equal(lh_pread_all(fd, back, 2, sizeof(bytes) - 1, "file", &err), LH_CORRUPT);
}

LH_TEST(make_dirs_and_clear_dir)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *deep = lh_path_in(dir, "a/b//c/");
    LH_AUTO_FREE char *top = lh_path_in(dir, "a");
    LH_AUTO_FREE char *file = lh_path_in(dir, "a/b/c/file");
    LH_AUTO_FREE char *outside = lh_path_in(dir, "outside");
    LH_AUTO_FREE char *kept = lh_path_in(dir, "outside/kept");
    LH_AUTO_FREE char *link_path = lh_path_in(dir, "a/link");
    struct lh_error err = LH_ERROR_INIT;
    assert_int_equal(lh_make_dirs(deep, &err), LH_OK);
    assert_int_equal(lh_make_dirs(deep, &err), LH_OK);
    assert_int_equal(lh_make_dirs(outside, &err), LH_OK);
    write_new(file, "x");
    write_new(kept, "y");
    assert_int_equal(symlink(outside, link_path), 0);
    struct stat st;
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    assert_int_equal(lh_clear_dir(top, &err), LH_OK);
    assert_int_equal(count_entries(top), 0);
    assert_file_is(kept, "y"); /* the link was removed, not what it pointed to */
    assert_int_equal(lh_clear_dir(file, &err), LH_OK); /* missing is fine */
    assert_int_equal(lh_make_dirs(kept, &err), LH_IO);
    LH_AUTO_FREE char *below_file = lh_path_in(dir, "outside/kept/x");
    assert_int_equal(lh_make_dirs(below_file, &err), LH_IO);
}

LH_TEST(make_dirs_tells_each_failure)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    for (uint64_t n = 1;; n++) {
        LH_AUTO_FREE char *path = lh_asprintf("%s/%d/x", dir, (int)n);
        struct lh_error err = LH_ERROR_INIT;
        lh_fault_start(&(struct lh_fault){.calls = LH_FAULT_CHANGES, .fail_at = n, .error = EIO});
        lh_code code = lh_make_dirs(path, &err);
        assert_int_equal(lh_fault_open_files(), 0);
        uint64_t count = lh_fault_stop();
        assert_int_equal(code, count < n ? LH_OK : LH_IO);
        if (count < n)
            break;
    }
}

LH_TEST(lock_is_for_one_process)
{
    LH_AUTO_TEMP_DIR char *dir = lh_temp_dir();
    LH_AUTO_FREE char *path = lh_path_in(dir, "lock");
    struct lh_error err = LH_ERROR_INIT;
    int fd = -1, second = -1;
    assert_int_equal(lh_lock_file(path, &fd, &err), LH_OK);
    pid_t child = fork();
    if (child == 0)
        _exit(lh_lock_file(path, &second, &err) == LH_BUSY ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(lh_lock_file(path, &second, &err), LH_BUSY);
    LH_AUTO_FREE char *pid = lh_asprintf("(pid %ld)", (long)getpid());
    assert_non_null(strstr(err.message, pid));
    assert_int_equal(second, -1);
    close(fd);
    assert_int_equal(lh_lock_file(path, &fd, &err), LH_OK);
    close(fd);
}

LH_TEST(facts_of_the_process)
{
    LH_AUTO_FREE char *dir = lh_program_dir();
    assert_int_equal(dir[0], '/');
    LH_AUTO_FREE char *self = lh_path_in(dir, "unit_base_os");
    assert_int_equal(access(self, X_OK), 0);
    assert_in_range(lh_resident_bytes(), 1 << 16, INT64_C(1) << 34);
}

LH_TEST(files_are_closed_on_exec)
{
    LH_AUTO_FD int fd = lh_io->openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read_back),
        cmocka_unit_test(read_file_is_bounded),
        cmocka_unit_test(durable_write_is_all_or_nothing),
        cmocka_unit_test(short_transfers_and_interrupts_are_retried),
        cmocka_unit_test(make_dirs_and_clear_dir),
        cmocka_unit_test(make_dirs_tells_each_failure),
        cmocka_unit_test(lock_is_for_one_process),
        cmocka_unit_test(facts_of_the_process),
        cmocka_unit_test(files_are_closed_on_exec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
