/*
 * Hashes and identities: SHA-256, MD5 and HMAC (OpenSSL), XXH3 (xxhash), UUIDs, random bytes.
 */
#ifndef LH_BASE_HASH_H
#define LH_BASE_HASH_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LH_SHA256_SIZE = 32,
    LH_SHA1_SIZE = 20,
    LH_MD5_SIZE = 16,
    LH_SHA256_HEX = 65,
    LH_MD5_HEX = 33,
    LH_UUID_TEXT = 37
};

enum lh_digest_kind { LH_DIGEST_SHA256, LH_DIGEST_MD5, LH_DIGEST_SHA1 };

/* A running digest. new never returns NULL; final may be called once. */
struct lh_digest;
struct lh_digest *lh_digest_new(enum lh_digest_kind kind);
void lh_digest_update(struct lh_digest *digest, const void *bytes, size_t len);
void lh_digest_final(struct lh_digest *digest, uint8_t *out); /* LH_..._SIZE bytes */
void lh_digest_free(struct lh_digest *digest);
void lh_digest_cleanup(struct lh_digest **digest);
#define LH_AUTO_DIGEST __attribute__((cleanup(lh_digest_cleanup)))

void lh_sha256(const void *bytes, size_t len, uint8_t out[LH_SHA256_SIZE]);
void lh_sha256_hex(const void *bytes, size_t len, char out[LH_SHA256_HEX]);
void lh_md5(const void *bytes, size_t len, uint8_t out[LH_MD5_SIZE]);

/* HMAC with SHA-256 (RFC 2104). */
void lh_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                    uint8_t out[LH_SHA256_SIZE]);

/* Whether two secrets are the same, in a time that tells nothing but their lengths. */
bool lh_secret_eq(lh_str a, lh_str b);

/* XXH3, 64 bits, seed 0: the checksum of everything that we persist. */
uint64_t lh_xxh3(const void *bytes, size_t len);

/* A running XXH3. */
struct lh_xxh3;
struct lh_xxh3 *lh_xxh3_new(void);
void lh_xxh3_reset(struct lh_xxh3 *state);
void lh_xxh3_update(struct lh_xxh3 *state, const void *bytes, size_t len);
uint64_t lh_xxh3_value(const struct lh_xxh3 *state);
void lh_xxh3_free(struct lh_xxh3 *state);

/* From the kernel's generator; aborts if there is none. */
void lh_random_bytes(void *out, size_t len);

/* Canonical lower-case text with its terminator. v5: RFC 9562 section 5.5. */
void lh_uuid4(char out[LH_UUID_TEXT]);
void lh_uuid5(const char *namespace_uuid, lh_str name, char out[LH_UUID_TEXT]);
/* Time-ordered, RFC 9562 section 5.7: request ids, query ids, object ids. */
void lh_uuid7(char out[LH_UUID_TEXT]);

/* RFC 4648 base64 with padding. encode: out holds 4 * ((len + 2) / 3) + 1 bytes. */
void lh_base64_encode(const void *bytes, size_t len, char *out);
bool lh_base64_decode(lh_str text, void *out, size_t out_max, size_t *ret_len);

#endif
