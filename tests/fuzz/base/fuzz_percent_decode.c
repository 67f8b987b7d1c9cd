/* The decoder of paths and queries: never longer than its input, and what needs no decoding stays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lh_str text = lh_str_of((const char *)data, size);
    LH_AUTO_FREE char *out = lh_malloc(size);
    for (int plus_is_space = 0; plus_is_space < 2; plus_is_space++) {
        size_t len = 0;
        bool good = lh_percent_decode(text, plus_is_space, out, &len);
        bool has_escape = memchr(data, '%', size) != NULL;
        LH_CHECK(good || has_escape);
        LH_CHECK(len <= size && (!good || has_escape || len == size));
        if (good && !has_escape && !plus_is_space)
            LH_CHECK(memcmp(out, data, size) == 0);
    }
    LH_CHECK(lh_utf8_length(text) <= 4);
    (void)lh_utf8_valid(text);
    return 0;
}
