#include "base/checksum.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

static struct lh_checksum sum_of(enum lh_checksum_kind kind, const void *bytes, size_t len)
{
    struct lh_checksum sum;
    struct lh_checksummer *running = lh_checksummer_new(kind);
    lh_checksummer_update(running, bytes, len);
    lh_checksummer_final(running, &sum);
    lh_checksummer_free(running);
    return sum;
}

static bool same(const struct lh_checksum *a, const struct lh_checksum *b)
{
    return a->kind == b->kind && memcmp(a->bytes, b->bytes, lh_checksum_size(a->kind)) == 0;
}

/* The definition, bit by bit. */
static uint64_t slow_crc(enum lh_checksum_kind kind, const uint8_t *bytes, size_t len)
{
    uint64_t polynomial = kind == LH_CHECKSUM_CRC32    ? UINT64_C(0xedb88320)
                          : kind == LH_CHECKSUM_CRC32C ? UINT64_C(0x82f63b78)
                                                       : UINT64_C(0x9a6c9329ac4bc9b5);
    uint64_t all = kind == LH_CHECKSUM_CRC64NVME ? UINT64_MAX : UINT32_MAX;
    uint64_t crc = all;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    return crc ^ all;
}

static uint64_t value_of(const struct lh_checksum *sum)
{
    uint64_t value = 0;
    for (size_t i = 0; i < lh_checksum_size(sum->kind); i++)
        value = value << 8 | sum->bytes[i];
    return value;
}

static const enum lh_checksum_kind all_kinds[] = {LH_CHECKSUM_CRC32, LH_CHECKSUM_CRC32C,
                                                  LH_CHECKSUM_CRC64NVME, LH_CHECKSUM_SHA1,
                                                  LH_CHECKSUM_SHA256};
enum { CRC_KINDS = 3 };

LH_TEST(check_values)
{
    /* "check" of the CRC catalogue; FIPS 180-4 for the digests. */
    static const struct {
        enum lh_checksum_kind kind;
        const char *text;
        const char *hex;
    } vectors[] = {
        {LH_CHECKSUM_CRC32, "123456789", "cbf43926"},
        {LH_CHECKSUM_CRC32C, "123456789", "e3069283"},
        {LH_CHECKSUM_CRC64NVME, "123456789", "ae8b14860a799888"},
        {LH_CHECKSUM_CRC32, "", "00000000"},
        {LH_CHECKSUM_CRC32C, "", "00000000"},
        {LH_CHECKSUM_CRC64NVME, "", "0000000000000000"},
        {LH_CHECKSUM_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {LH_CHECKSUM_SHA256, "abc",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < LH_COUNT(vectors); i++) {
        char hex[2 * LH_CHECKSUM_MAX + 1];
        struct lh_checksum sum = sum_of(vectors[i].kind, vectors[i].text, strlen(vectors[i].text));
        lh_hex(sum.bytes, lh_checksum_size(sum.kind), hex);
        assert_string_equal(hex, vectors[i].hex);
    }
}

LH_TEST(thirty_two_zeros)
{
    /* RFC 3720 appendix B.4 */
    const uint8_t zeros[32] = {0};
    struct lh_checksum sum = sum_of(LH_CHECKSUM_CRC32C, zeros, sizeof(zeros));
    assert_int_equal(value_of(&sum), 0x8a9136aa);
}

LH_TEST(every_length_equals_the_definition)
{
    uint8_t bytes[700];
    struct lh_random random = lh_random_start();
    lh_random_fill(&random, bytes, sizeof(bytes));
    for (size_t i = 0; i < CRC_KINDS; i++) {
        for (size_t len = 0; len <= 400; len++) {
            const uint8_t *start = bytes + len % 17; /* at all alignments */
            struct lh_checksum sum = sum_of(all_kinds[i], start, len);
            assert_true(value_of(&sum) == slow_crc(all_kinds[i], start, len));
        }
    }
}

LH_TEST(pieces_equal_the_whole)
{
    enum { BYTES = 300000 };
    LH_AUTO_FREE uint8_t *bytes = lh_malloc(BYTES);
    struct lh_random random = lh_random_start();
    lh_random_fill(&random, bytes, BYTES);
    for (size_t i = 0; i < LH_COUNT(all_kinds); i++) {
        struct lh_checksum whole = sum_of(all_kinds[i], bytes, BYTES);
        struct lh_checksummer *running = lh_checksummer_new(all_kinds[i]);
        for (size_t at = 0; at < BYTES;) {
            size_t piece = lh_random_below(&random, at % 3 == 0 ? 20000 : 100);
            piece = piece < BYTES - at ? piece : BYTES - at;
            lh_checksummer_update(running, bytes + at, piece);
            at += piece;
        }
        struct lh_checksum sum;
        lh_checksummer_final(running, &sum);
        lh_checksummer_free(running);
        assert_true(same(&sum, &whole));
    }
}

LH_TEST(two_become_one)
{
    enum { BYTES = 5000 };
    uint8_t bytes[BYTES];
    struct lh_random random = lh_random_start();
    lh_random_fill(&random, bytes, BYTES);
    for (size_t i = 0; i < CRC_KINDS; i++) {
        struct lh_checksum whole = sum_of(all_kinds[i], bytes, BYTES);
        for (size_t cut = 0; cut <= BYTES; cut += cut < 20 || cut > BYTES - 20 ? 1 : 97) {
            struct lh_checksum total = sum_of(all_kinds[i], bytes, cut);
            struct lh_checksum next = sum_of(all_kinds[i], bytes + cut, BYTES - cut);
            lh_checksum_combine(&total, &next, BYTES - cut);
            assert_true(same(&total, &whole));
        }
    }
}

LH_TEST(lengths_beyond_memory)
{
    /* zeros of 2^40 bytes, once as a half and a half, once as a quarter and the rest */
    const uint64_t quarter = UINT64_C(1) << 38;
    uint8_t zero = 0;
    for (size_t i = 0; i < CRC_KINDS; i++) {
        struct lh_checksum part = sum_of(all_kinds[i], &zero, 1);
        for (uint64_t len = 1; len < quarter; len *= 2) {
            struct lh_checksum again = part;
            lh_checksum_combine(&part, &again, len);
        }
        struct lh_checksum half = part;
        lh_checksum_combine(&half, &part, quarter);
        struct lh_checksum by_halves = half;
        lh_checksum_combine(&by_halves, &half, 2 * quarter);
        struct lh_checksum by_quarters = half;
        lh_checksum_combine(&by_quarters, &part, quarter);
        lh_checksum_combine(&by_quarters, &part, quarter);
        assert_true(same(&by_halves, &by_quarters));
    }
}

LH_TEST(names)
{
    for (size_t i = 0; i < LH_COUNT(all_kinds); i++)
        assert_int_equal(lh_checksum_parse(lh_str_from(lh_checksum_name(all_kinds[i]))),
                         all_kinds[i]);
    assert_int_equal(lh_checksum_parse(LH_STR("crc64nvme")), LH_CHECKSUM_CRC64NVME);
    assert_int_equal(lh_checksum_parse(LH_STR("Sha1")), LH_CHECKSUM_SHA1);
    assert_int_equal(lh_checksum_parse(LH_STR("")), LH_CHECKSUM_NONE);
    assert_int_equal(lh_checksum_parse(LH_STR_NONE), LH_CHECKSUM_NONE);
    assert_int_equal(lh_checksum_parse(LH_STR("CRC3")), LH_CHECKSUM_NONE);
    assert_int_equal(lh_checksum_parse(LH_STR("MD5")), LH_CHECKSUM_NONE);
}

LH_TEST(text_and_back)
{
    char text[LH_CHECKSUM_TEXT];
    struct lh_checksum back;
    struct lh_checksum sum = sum_of(LH_CHECKSUM_CRC32, "123456789", 9);
    lh_checksum_text(&sum, text);
    assert_string_equal(text, "y/Q5Jg==");
    for (size_t i = 0; i < LH_COUNT(all_kinds); i++) {
        sum = sum_of(all_kinds[i], "some text", 9);
        lh_checksum_text(&sum, text);
        assert_true(lh_checksum_from_text(all_kinds[i], lh_str_from(text), &back));
        assert_true(same(&sum, &back));
    }
    static const char *const bad[] = {
        "", "y/Q5Jg", "y/Q5Jg=", "y/Q5JgA=", "y/Q=", "y/Q5J!==", "rosUhgp5mIg="};
    for (size_t i = 0; i < LH_COUNT(bad); i++)
        assert_false(lh_checksum_from_text(LH_CHECKSUM_CRC32, lh_str_from(bad[i]), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(thirty_two_zeros),
        cmocka_unit_test(every_length_equals_the_definition),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(two_become_one),
        cmocka_unit_test(lengths_beyond_memory),
        cmocka_unit_test(names),
        cmocka_unit_test(text_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
