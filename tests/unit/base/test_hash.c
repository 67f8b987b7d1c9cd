#include "base/hash.h"

#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/fixture.h"

LH_TEST(sha256_vectors)
{
    /* FIPS 180-4, examples of NIST */
    char hex[LH_SHA256_HEX];
    lh_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    lh_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

LH_TEST(md5_vectors)
{
    /* RFC 1321 appendix A.5 */
    uint8_t digest[LH_MD5_SIZE];
    char hex[LH_MD5_HEX];
    lh_md5("message digest", 14, digest);
    lh_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

LH_TEST(hmac_vectors)
{
    /* RFC 4231, test cases 1, 2 and 6 (a key longer than a block) */
    char long_key[131], short_key[20];
    memset(long_key, 0xaa, sizeof(long_key));
    memset(short_key, 0x0b, sizeof(short_key));
    const struct {
        lh_str key;
        const char *text;
        const char *hex;
    } cases[] = {
        {lh_str_of(short_key, sizeof(short_key)), "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {LH_STR("Jefe"), "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {lh_str_of(long_key, sizeof(long_key)),
         "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        uint8_t mac[LH_SHA256_SIZE];
        char hex[LH_SHA256_HEX];
        lh_hmac_sha256(cases[i].key.ptr, cases[i].key.len, cases[i].text, strlen(cases[i].text),
                       mac);
        lh_hex(mac, sizeof(mac), hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

LH_TEST(secrets_are_compared_whole)
{
    assert_true(lh_secret_eq(LH_STR("same"), LH_STR("same")));
    assert_true(lh_secret_eq(LH_STR_NONE, LH_STR("")));
    assert_false(lh_secret_eq(LH_STR("same"), LH_STR("samf")));
    assert_false(lh_secret_eq(LH_STR("same"), LH_STR("same ")));
    assert_false(lh_secret_eq(LH_STR("same"), LH_STR_NONE));
}

LH_TEST(running_digests_equal_whole_ones)
{
    struct lh_random random = lh_random_start();
    uint8_t bytes[5000];
    lh_random_fill(&random, bytes, sizeof(bytes));
    LH_AUTO_DIGEST struct lh_digest *sha256 = lh_digest_new(LH_DIGEST_SHA256);
    LH_AUTO_DIGEST struct lh_digest *md5 = lh_digest_new(LH_DIGEST_MD5);
    struct lh_xxh3 *xxh3 = lh_xxh3_new();
    lh_xxh3_update(xxh3, "old", 3);
    lh_xxh3_reset(xxh3);
    for (size_t at = 0; at < sizeof(bytes);) {
        size_t part = lh_random_below(&random, 700);
        part = part < sizeof(bytes) - at ? part : sizeof(bytes) - at;
        lh_digest_update(sha256, bytes + at, part);
        lh_digest_update(md5, bytes + at, part);
        lh_xxh3_update(xxh3, bytes + at, part);
        at += part;
    }
    uint8_t running[LH_SHA256_SIZE], whole[LH_SHA256_SIZE];
    lh_digest_final(sha256, running);
    lh_sha256(bytes, sizeof(bytes), whole);
    assert_memory_equal(running, whole, LH_SHA256_SIZE);
    lh_digest_final(md5, running);
    lh_md5(bytes, sizeof(bytes), whole);
    assert_memory_equal(running, whole, LH_MD5_SIZE);
    assert_true(lh_xxh3_value(xxh3) == lh_xxh3(bytes, sizeof(bytes)));
    lh_xxh3_free(xxh3);
}

LH_TEST(xxh3_vectors)
{
    /* Fixed for ever: these values stand in files. */
    assert_true(lh_xxh3("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(lh_xxh3("abc", 3) == UINT64_C(0x78af5f94892f3950));
}

LH_TEST(uuid5_vectors)
{
    char text[LH_UUID_TEXT];
    /* RFC 9562 appendix A.4: namespace DNS, name www.example.com */
    lh_uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", LH_STR("www.example.com"), text);
    assert_string_equal(text, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    /* The catalog's namespace: the ids of datasets must be the same on every machine. */
    lh_uuid5("a8f3c1d2-4e5b-5a6c-9d8e-7f0a1b2c3d4e", LH_STR("orders"), text);
    char again[LH_UUID_TEXT];
    lh_uuid5("A8F3C1D2-4E5B-5A6C-9D8E-7F0A1B2C3D4E", LH_STR("orders"), again);
    assert_string_equal(text, again);
    assert_int_equal(text[14], '5');
}

static void assert_uuid_form(const char *text, char version)
{
    assert_int_equal(strlen(text), 36);
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(text[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", text[i]));
    }
    assert_int_equal(text[14], version);
    assert_non_null(strchr("89ab", text[19]));
}

LH_TEST(random_uuids)
{
    char last[LH_UUID_TEXT] = "";
    for (int i = 0; i < 1000; i++) {
        char text[LH_UUID_TEXT];
        lh_uuid4(text);
        assert_uuid_form(text, '4');
        assert_string_not_equal(text, last);
        lh_uuid7(text);
        assert_uuid_form(text, '7');
        /* Ordered by time: the first 48 bits never go back. */
        assert_true(memcmp(text, last, last[0] ? 13 : 0) >= 0);
        memcpy(last, text, sizeof(text));
    }
}

LH_TEST(base64_vectors)
{
    /* RFC 4648 section 10 */
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < LH_COUNT(cases); i++) {
        char text[16], back[16];
        size_t len;
        lh_base64_encode(cases[i][0], strlen(cases[i][0]), text);
        assert_string_equal(text, cases[i][1]);
        assert_true(lh_base64_decode(lh_str_from(text), back, sizeof(back), &len));
        assert_int_equal(len, strlen(cases[i][0]));
        assert_memory_equal(back, cases[i][0], len);
    }
}

LH_TEST(base64_of_any_bytes)
{
    struct lh_random random = lh_random_start();
    for (size_t len = 0; len < 100; len++) {
        uint8_t bytes[100], back[100];
        char text[140];
        size_t back_len;
        lh_random_fill(&random, bytes, len);
        lh_base64_encode(bytes, len, text);
        assert_int_equal(strlen(text), (len + 2) / 3 * 4);
        assert_true(lh_base64_decode(lh_str_from(text), back, len, &back_len));
        assert_int_equal(back_len, len);
        assert_memory_equal(bytes, back, len);
        if (len > 0)
            assert_false(lh_base64_decode(lh_str_from(text), back, len - 1, &back_len));
    }
}

LH_TEST(base64_refuses_what_is_not_canonical)
{
    static const char *const bad[] = {
        "Z",    "Zg",    "Zg=",  "Zm9vY",  "Zh==", "Zm9=", "Zg=a",    "=Zg=",
        "====", "Zg===", "Zm-v", "Zm9v\n", "Z===", " Zm9", "Zg==Zg=="};
    for (size_t i = 0; i < LH_COUNT(bad); i++) {
        char out[32];
        size_t len;
        assert_false(lh_base64_decode(lh_str_from(bad[i]), out, sizeof(out), &len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(md5_vectors),
        cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(secrets_are_compared_whole),
        cmocka_unit_test(running_digests_equal_whole_ones),
        cmocka_unit_test(xxh3_vectors),
        cmocka_unit_test(uuid5_vectors),
        cmocka_unit_test(random_uuids),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_of_any_bytes),
        cmocka_unit_test(base64_refuses_what_is_not_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
