/*
 * Faults to be planted into storaged by LD_PRELOAD, one a build: a harness that has never failed
 * proves nothing.
 *
 *   PLANT_NOSYNC     no fsync at all
 *   PLANT_NODIRSYNC  folders are not synced, files are
 *   PLANT_LOST       every 50th write at an offset is told as done and is not
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(PLANT_NOSYNC)
int fsync(int fd)
{
    (void)fd;
    return 0;
}
int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
#elif defined(PLANT_NODIRSYNC)
int fsync(int fd)
{
    static int (*real)(int);
    struct stat about;
    if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode))
        return 0;
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}
#elif defined(PLANT_LOST)
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    static atomic_uint count;
    if (!real)
        real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (atomic_fetch_add(&count, 1) % 50 == 49)
        return (ssize_t)len;
    return real(fd, bytes, len, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite64(fd, bytes, len, offset);
}
#else
#error "choose a plant"
#endif
