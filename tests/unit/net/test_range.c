#include "base/mem.h"
#include "net/http.h"
#include "support/cmocka.h"

struct wanted {
    const char *range;
    uint64_t size;
    enum lh_range_result result;
    uint64_t offset, len;
};

LH_TEST(ranges)
{
    static const struct wanted cases[] = {
        {"bytes=0-0", 10, LH_RANGE_PART, 0, 1},
        {"bytes=0-9", 10, LH_RANGE_PART, 0, 10},
        {"bytes=0-10", 10, LH_RANGE_PART, 0, 10},
        {"bytes=2-", 10, LH_RANGE_PART, 2, 8},
        {"bytes=9-", 10, LH_RANGE_PART, 9, 1},
        {"bytes=-3", 10, LH_RANGE_PART, 7, 3},
        {"bytes=-30", 10, LH_RANGE_PART, 0, 10},
        {"BYTES= 1-2 ", 10, LH_RANGE_PART, 1, 2},
        {"bytes=1-99999999999999999999999999", 10, LH_RANGE_PART, 1, 9},
        {"bytes=0-18446744073709551615", UINT64_MAX, LH_RANGE_PART, 0, UINT64_MAX},
        {"bytes=10-", 10, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-12", 10, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999999-", 10, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-0", 0, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-5", 0, LH_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-2", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes=1 -2", 10, LH_RANGE_WHOLE, 0, 0},
        {"rows=0-1", 10, LH_RANGE_WHOLE, 0, 0},
        {"bytes 0-1", 10, LH_RANGE_WHOLE, 0, 0},
        {"", 10, LH_RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        uint64_t offset = 77, len = 77;
        enum lh_range_result result =
            lh_http_range(lh_str_from(cases[i].range), cases[i].size, &offset, &len);
        assert_int_equal(result, cases[i].result);
        assert_int_equal(offset, result == LH_RANGE_PART ? cases[i].offset : 77);
        assert_int_equal(len, result == LH_RANGE_PART ? cases[i].len : 77);
    }
    assert_int_equal(lh_http_range(LH_STR_NONE, 10, NULL, NULL), LH_RANGE_WHOLE);
}

/* Every small range of every small object, against the definition. */
LH_TEST(ranges_by_definition)
{
    for (uint64_t size = 0; size < 6; size++) {
        for (uint64_t first = 0; first < 7; first++) {
            for (uint64_t last = first; last < 8; last++) {
                char text[32];
                uint64_t offset = 0, len = 0;
                snprintf(text, sizeof(text), "bytes=%d-%d", (int)first, (int)last);
                enum lh_range_result result = lh_http_range(lh_str_from(text), size, &offset, &len);
                uint64_t count = 0;
                for (uint64_t at = first; at <= last; at++)
                    count += at < size;
                assert_int_equal(result, count > 0 ? LH_RANGE_PART : LH_RANGE_UNSATISFIABLE);
                assert_int_equal(len, count);
                assert_int_equal(offset, count > 0 ? first : 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(ranges_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
