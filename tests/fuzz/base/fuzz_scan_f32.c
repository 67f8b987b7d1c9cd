/* The scanner of floats against strtof: the same end, and the same bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LH_AUTO_FREE char *text =
        lh_malloc(size); /* of just this size: the sanitizer sees each byte more */
    memcpy(text, data, size);
    float scanned = 0;
    const char *end = lh_scan_f32(text, text + size, &scanned);
    size_t len = end ? (size_t)(end - text) : 0;
    LH_CHECK(len <= size);
    if (!end)
        return 0;
    LH_AUTO_FREE char *terminated = lh_strndup(text, len);
    char *libc_end;
    float expected = strtof(terminated, &libc_end);
    LH_CHECK(libc_end == terminated + len && isfinite(scanned));
    LH_CHECK(memcmp(&scanned, &expected, sizeof(scanned)) == 0);
    char again[LH_NUMBER_MAX + 1];
    again[lh_format_f32(scanned, again)] = '\0';
    LH_CHECK(strtof(again, NULL) == scanned);
    return 0;
}
