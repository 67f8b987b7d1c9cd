/* An array that grows without moving: reserved with PROT_NONE, made usable by mprotect. */
#include "vectord/rows.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

enum {
    HUGE_PAGE = 2 << 20,
    STEP_SMALL = 64 << 10, /* so that an almost empty index costs next to nothing */
};

lh_code lh_rows_init(struct lh_rows *rows, size_t reserve_bytes, struct lh_error *err)
{
    memset(rows, 0, sizeof(*rows));
    if (reserve_bytes > SIZE_MAX / 2)
        return lh_fail(err, LH_INDEX_MEMORY, "an array of %zu bytes is too large", reserve_bytes);
    size_t reserved = (reserve_bytes / HUGE_PAGE + 1) * HUGE_PAGE;
    void *mapping = mmap(NULL, reserved + HUGE_PAGE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return lh_fail(err, LH_INDEX_MEMORY, "no address space for %zu bytes", reserved);
    rows->mapping = mapping;
    rows->mapping_bytes = reserved + HUGE_PAGE;
    rows->base =
        (unsigned char *)(((uintptr_t)mapping + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    rows->reserved_bytes = reserved;
    return LH_OK;
}

void lh_rows_deinit(struct lh_rows *rows)
{
    if (rows->mapping != NULL)
        LH_CHECK(munmap(rows->mapping, rows->mapping_bytes) == 0);
    memset(rows, 0, sizeof(*rows));
}

/* By an eighth at a time: few system calls, little waste. */
static size_t next_size(const struct lh_rows *rows, size_t bytes)
{
    size_t wanted = rows->usable_bytes + rows->usable_bytes / 8;
    if (wanted < bytes)
        wanted = bytes;
    size_t step = wanted >= (size_t)4 * HUGE_PAGE ? HUGE_PAGE : STEP_SMALL;
    wanted = (wanted + step - 1) / step * step;
    return wanted < rows->reserved_bytes ? wanted : rows->reserved_bytes;
}

lh_code lh_rows_fit(struct lh_rows *rows, size_t bytes, struct lh_error *err)
{
    if (bytes <= rows->usable_bytes)
        return LH_OK;
    LH_CHECK(rows->mapping != NULL);
    if (bytes > rows->reserved_bytes) {
        LH_IGNORE(lh_fail(err, LH_INDEX_MEMORY,
                          "an index may not grow beyond %zu bytes in one array",
                          rows->reserved_bytes),
                  "the hint returns the code");
        return lh_hint(err, "raise vectord.memory_limit, or lower vectord.indexes_max");
    }
    size_t usable = next_size(rows, bytes);
    /* Rows are read at random places: huge pages save most of the misses of the address cache. */
    if (!rows->huge && usable >= (size_t)4 * HUGE_PAGE) {
        rows->huge = true;
        LH_IGNORE(madvise(rows->base, rows->reserved_bytes, MADV_HUGEPAGE), "only speed is lost");
    }
    if (mprotect(rows->base + rows->usable_bytes, usable - rows->usable_bytes,
                 PROT_READ | PROT_WRITE) != 0)
        return lh_fail(err, LH_INDEX_MEMORY, "the system gives no more memory (%zu bytes)", usable);
    rows->usable_bytes = usable;
    return LH_OK;
}
