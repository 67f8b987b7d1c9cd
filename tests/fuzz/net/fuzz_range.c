/* Ranges, entity tags and Accept on any text; the first byte is the object's size. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    lh_str text = lh_str_of((const char *)data + 1, size - 1);
    uint64_t offset = 0, len = 0;
    if (lh_http_range(text, data[0], &offset, &len) == LH_RANGE_PART)
        LH_CHECK(len > 0 && offset < data[0] && len <= data[0] - offset);
    /* Whatever matches strongly matches weakly, too. */
    if (lh_http_etag_matches(text, LH_STR("abc"), false))
        LH_CHECK(lh_http_etag_matches(text, LH_STR("abc"), true));
    LH_CHECK(lh_http_accept_quality(text, "text/csv") <= 1000);
    return 0;
}
