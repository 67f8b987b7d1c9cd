/* The guard on any header: "VERSION METHOD TARGET", then lines "name:value". */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "net/http_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lh_http_guard_limits limits = {
        .target_bytes_max = 256, .header_count_max = 20, .header_bytes_max = 1024};
    struct lh_http_header headers[32];
    size_t count = 0;
    lh_str rest = lh_str_of((const char *)data, size);
    lh_str first = LH_STR_NONE, version = LH_STR_NONE, method = LH_STR_NONE, line;
    lh_str_next(&rest, '\n', &first);
    lh_str_next(&first, ' ', &version);
    lh_str_next(&first, ' ', &method);
    while (count < 32 && lh_str_next(&rest, '\n', &line)) {
        lh_str name = LH_STR_NONE;
        lh_str_next(&line, ':', &name);
        headers[count++] = (struct lh_http_header){name, line};
    }
    struct lh_error err = LH_ERROR_INIT;
    if (lh_http_guard(version, method, first, headers, count, &limits, &err) != LH_OK)
        return 0;
    /* What passes has at most one length, in digits, and never beside an encoding. */
    int lengths = 0, encodings = 0;
    for (size_t i = 0; i < count; i++) {
        bool length = lh_str_eq_nocase(headers[i].name, LH_STR("content-length"));
        uint64_t bytes;
        lengths += length;
        encodings += lh_str_eq_nocase(headers[i].name, LH_STR("transfer-encoding"));
        LH_CHECK(!length || lh_str_to_u64(headers[i].value, &bytes));
        LH_CHECK(lh_http_is_token(headers[i].name));
    }
    LH_CHECK(lengths + encodings <= 1);
    LH_CHECK(first.len > 0 && first.ptr[0] == '/' && first.len <= limits.target_bytes_max);
    return 0;
}
