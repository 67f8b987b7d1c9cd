/*
 * Keeping an idle service small. Most of what a freshly started service has resident is the
 * start-up code of its libraries (of libcrypto alone some 3 MB), run once and never again.
 */
#include "service/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void lh_memory_limit_arenas(void)
{
    /* An arena per thread would keep what 64 workers once needed. Windows of streams (256 KiB) come
     * from the heap and are reused; what is larger goes back to the system when it is freed. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

/* Only segments that are never written: what the loader relocates lies in writable ones, even where
 * it is protected afterwards (RELRO). */
static int drop_segments(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    const uintptr_t page = *(const uintptr_t *)ctx;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
            continue;
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        uintptr_t end = start + segment->p_memsz;
        start &= ~(page - 1);
        end &= ~(page - 1); /* the last page may be shared with the next segment */
        if (end > start)
            madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void lh_memory_trim(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    malloc_trim(0);
    dl_iterate_phdr(drop_segments, &page);
}
