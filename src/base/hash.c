/*
 * Digests, HMAC, XXH3, random bytes, UUIDs, base64.
 *
 * OpenSSL's algorithms are fetched once: looking one up by name costs more than hashing a short
 * text.
 */
#include "base/hash.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- digests ---- */

static EVP_MD *md_sha256, *md_md5, *md_sha1;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch_algorithms(void)
{
    md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    md_md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    LH_CHECK(md_sha256 && md_md5 && md_sha1);
}

static EVP_MD *algorithm(enum lh_digest_kind kind)
{
    LH_CHECK(pthread_once(&fetched, fetch_algorithms) == 0);
    switch (kind) {
    case LH_DIGEST_SHA256:
        return md_sha256;
    case LH_DIGEST_MD5:
        return md_md5;
    case LH_DIGEST_SHA1:
        return md_sha1;
    }
    lh_check_failed("a known kind of digest", __FILE__, __LINE__, __func__);
}

struct lh_digest {
    EVP_MD_CTX *context;
};

struct lh_digest *lh_digest_new(enum lh_digest_kind kind)
{
    struct lh_digest *digest = lh_malloc(sizeof(*digest));
    digest->context = EVP_MD_CTX_new();
    LH_CHECK(digest->context);
    LH_CHECK(EVP_DigestInit_ex2(digest->context, algorithm(kind), NULL) == 1);
    return digest;
}

void lh_digest_update(struct lh_digest *digest, const void *bytes, size_t len)
{
    LH_CHECK(EVP_DigestUpdate(digest->context, bytes, len) == 1);
}

void lh_digest_final(struct lh_digest *digest, uint8_t *out)
{
    LH_CHECK(EVP_DigestFinal_ex(digest->context, out, NULL) == 1);
}

void lh_digest_free(struct lh_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void lh_digest_cleanup(struct lh_digest **digest)
{
    lh_digest_free(*digest);
}

void lh_sha256(const void *bytes, size_t len, uint8_t out[LH_SHA256_SIZE])
{
    LH_CHECK(EVP_Digest(bytes, len, out, NULL, algorithm(LH_DIGEST_SHA256), NULL) == 1);
}

void lh_sha256_hex(const void *bytes, size_t len, char out[LH_SHA256_HEX])
{
    uint8_t digest[LH_SHA256_SIZE];
    lh_sha256(bytes, len, digest);
    lh_hex(digest, sizeof(digest), out);
}

void lh_md5(const void *bytes, size_t len, uint8_t out[LH_MD5_SIZE])
{
    LH_CHECK(EVP_Digest(bytes, len, out, NULL, algorithm(LH_DIGEST_MD5), NULL) == 1);
}

/* ---- secrets ---- */

enum { SHA256_BLOCK = 64 };

/* One half of RFC 2104: SHA-256 of the key, masked, and what stands behind it. */
static void hmac_half(EVP_MD_CTX *context, const uint8_t key[SHA256_BLOCK], uint8_t mask,
                      const void *bytes, size_t len, uint8_t out[LH_SHA256_SIZE])
{
    uint8_t pad[SHA256_BLOCK];
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] = key[i] ^ mask;
    LH_CHECK(EVP_DigestInit_ex2(context, md_sha256, NULL) == 1);
    LH_CHECK(EVP_DigestUpdate(context, pad, sizeof(pad)) == 1);
    LH_CHECK(EVP_DigestUpdate(context, bytes, len) == 1);
    LH_CHECK(EVP_DigestFinal_ex(context, out, NULL) == 1);
}

/* On a plain digest: HMAC() of OpenSSL 3.0 looks its algorithm up at every call (1.2 us against
 * 0.4, bench/micro/net/sigv4.c). */
void lh_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                    uint8_t out[LH_SHA256_SIZE])
{
    LH_CHECK(pthread_once(&fetched, fetch_algorithms) == 0);
    uint8_t block[SHA256_BLOCK] = {0};
    if (key_len > sizeof(block))
        lh_sha256(key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    LH_CHECK(context);
    uint8_t inner[LH_SHA256_SIZE];
    hmac_half(context, block, 0x36, bytes, len, inner);
    hmac_half(context, block, 0x5c, inner, sizeof(inner), out);
    EVP_MD_CTX_free(context);
}

bool lh_secret_eq(lh_str a, lh_str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ---- XXH3 ---- */

struct lh_xxh3 {
    XXH3_state_t state;
};

uint64_t lh_xxh3(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

struct lh_xxh3 *lh_xxh3_new(void)
{
    void *memory = NULL;
    LH_CHECK(posix_memalign(&memory, _Alignof(struct lh_xxh3), sizeof(struct lh_xxh3)) == 0);
    struct lh_xxh3 *state = memory;
    lh_xxh3_reset(state);
    return state;
}

void lh_xxh3_reset(struct lh_xxh3 *state)
{
    LH_CHECK(XXH3_64bits_reset(&state->state) == XXH_OK);
}

void lh_xxh3_update(struct lh_xxh3 *state, const void *bytes, size_t len)
{
    LH_CHECK(XXH3_64bits_update(&state->state, bytes, len) == XXH_OK);
}

uint64_t lh_xxh3_value(const struct lh_xxh3 *state)
{
    return XXH3_64bits_digest(&state->state);
}

void lh_xxh3_free(struct lh_xxh3 *state)
{
    free(state);
}

/* ---- random bytes and UUIDs ---- */

void lh_random_bytes(void *out, size_t len)
{
    char *next = out;
    while (len > 0) {
        ssize_t got = getrandom(next, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        LH_CHECK(got > 0);
        next += got;
        len -= (size_t)got;
    }
}

/* Sets version and variant (RFC 9562 sections 4.1 and 4.2) and writes the text. */
static void uuid_text(uint8_t bytes[16], unsigned version, char out[LH_UUID_TEXT])
{
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    char hex[33];
    lh_hex(bytes, 16, hex);
    static const unsigned char group_lens[] = {8, 4, 4, 4, 12};
    const char *next = hex;
    for (size_t i = 0; i < sizeof(group_lens); i++) {
        if (i > 0)
            *out++ = '-';
        memcpy(out, next, group_lens[i]);
        out += group_lens[i];
        next += group_lens[i];
    }
    *out = '\0';
}

void lh_uuid4(char out[LH_UUID_TEXT])
{
    uint8_t bytes[16];
    lh_random_bytes(bytes, sizeof(bytes));
    uuid_text(bytes, 4, out);
}

/* The 16 bytes of a UUID in canonical text. */
static bool uuid_parse(const char *text, uint8_t out[16])
{
    char hex[32];
    size_t len = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (len == sizeof(hex))
            return false;
        hex[len++] = *text;
    }
    return lh_unhex(lh_str_of(hex, len), out, 16);
}

void lh_uuid5(const char *namespace_uuid, lh_str name, char out[LH_UUID_TEXT])
{
    LH_CHECK(pthread_once(&fetched, fetch_algorithms) == 0);
    uint8_t namespace_bytes[16];
    LH_CHECK(uuid_parse(namespace_uuid, namespace_bytes));
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    LH_CHECK(context);
    LH_CHECK(EVP_DigestInit_ex2(context, md_sha1, NULL) == 1);
    LH_CHECK(EVP_DigestUpdate(context, namespace_bytes, sizeof(namespace_bytes)) == 1);
    LH_CHECK(EVP_DigestUpdate(context, name.ptr, name.len) == 1);
    LH_CHECK(EVP_DigestFinal_ex(context, digest, NULL) == 1);
    EVP_MD_CTX_free(context);
    uuid_text(digest, 5, out);
}

void lh_uuid7(char out[LH_UUID_TEXT])
{
    uint8_t bytes[16];
    lh_random_bytes(bytes, sizeof(bytes));
    uint64_t ms = (uint64_t)lh_now_ms();
    for (unsigned i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    uuid_text(bytes, 7, out);
}

/* ---- base64 ---- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void lh_base64_encode(const void *bytes, size_t len, char *out)
{
    const uint8_t *in = bytes;
    for (; len >= 3; len -= 3, in += 3) {
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = base64_digits[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = base64_digits[in[2] & 63];
    }
    if (len > 0) {
        uint8_t second = len == 2 ? in[1] : 0;
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[(in[0] & 3) << 4 | second >> 4];
        *out++ = len == 2 ? base64_digits[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool lh_base64_decode(lh_str text, void *out, size_t out_max, size_t *ret_len)
{
    if (text.len % 4 != 0)
        return false;
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=')
        digits--;
    size_t len = digits * 3 / 4;
    if (len > out_max)
        return false;
    uint8_t *next = out;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text.ptr[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            *next++ = (uint8_t)(bits >> bit_count);
        }
    }
    /* RFC 4648 section 3.5: the bits that padding leaves over are zero, or the text is not
     * canonical. */
    if ((bits & ((1u << bit_count) - 1)) != 0)
        return false;
    *ret_len = len;
    return true;
}
